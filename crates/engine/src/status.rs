//! Status: what runs where, and what waits.

use lockgate_ledger::Governance;
use lockgate_model::facts::Running;
use lockgate_model::{EnvName, PersonId, PromotionId, ReleaseName, ServiceName};
use lockgate_policy::Object;

use crate::authorise::may_read;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;
use crate::staging::OPEN_PROMOTIONS;

/// The most rows of one page.
pub const PAGE_MAX: usize = 500;

/// One service.
#[derive(Debug, Clone)]
pub struct ServiceRow {
    /// Which.
    pub service: ServiceName,
    /// What runs, by environment in policy order; `None` where nothing does.
    pub cells: Vec<(EnvName, Option<Running>)>,
}

/// An open promotion.
#[derive(Debug, Clone)]
pub struct OpenRow {
    /// Which.
    pub promotion: PromotionId,
    /// Of what.
    pub release: ReleaseName,
    /// Into where.
    pub environment: EnvName,
}

/// A page of services, in order of name, starting after `after`.
///
/// # Errors
/// What the store says.
pub fn services(engine: &Engine, after: Option<&ServiceName>, most: usize) -> Result<Vec<ServiceRow>, Fault> {
    let store = engine.store();
    let policy = engine.governance()?.policy.clone();
    let after = after.map(|service| format!("service:{service}"));
    let heads = store.stream_heads("service:", after.as_deref(), most.min(PAGE_MAX))?;
    heads
        .iter()
        .filter_map(|(stream, _)| stream.as_str().strip_prefix("service:").and_then(|name| name.parse().ok()))
        .map(|service| row(engine, &policy, service))
        .collect()
}

/// The open promotions, by environment, service and number.
///
/// # Errors
/// What the store says.
pub fn open_promotions(engine: &Engine, most: usize) -> Result<Vec<OpenRow>, Fault> {
    let rows = engine.store().projections(OPEN_PROMOTIONS, None, most.min(PAGE_MAX))?;
    let row = |(key, value): &(String, Vec<u8>)| {
        let (promotion, release) = reader::open_promotion(key, value)?;
        let environment = key.split('/').next()?.parse().ok()?;
        Some(OpenRow { promotion, release, environment })
    };
    Ok(rows.iter().filter_map(row).collect())
}

/// One service, if it has a release.
///
/// # Errors
/// What the store says.
pub fn service(engine: &Engine, service: &ServiceName) -> Result<Option<ServiceRow>, Fault> {
    let store = engine.store();
    if store.stream_head(&lockgate_model::StreamName::service(service))?.is_none() {
        return Ok(None);
    }
    let policy = engine.governance()?.policy.clone();
    row(engine, &policy, service.clone()).map(Some)
}

/// A page of the services that somebody may read, with what runs in the environments that they may read, and the name
/// that the next page starts after, if there is one.
///
/// # Errors
/// What the store says.
pub fn services_for(
    engine: &Engine,
    principal: &PersonId,
    after: Option<&ServiceName>,
    most: usize,
) -> Result<(Vec<ServiceRow>, Option<ServiceName>), Fault> {
    let governance = engine.governance()?;
    let most = most.clamp(1, PAGE_MAX);
    let mut after = after.cloned();
    loop {
        let page = services(engine, after.as_ref(), most)?;
        let full = page.len() == most;
        let last = page.last().map(|row| row.service.clone());
        let shown: Vec<ServiceRow> = page.into_iter().filter_map(|row| visible(&governance, principal, row)).collect();
        if !full {
            return Ok((shown, None));
        }
        // The cursor is a name that the reader has seen; one that is hidden would tell that it exists.
        if let Some(seen) = shown.last() {
            let next = Some(seen.service.clone());
            return Ok((shown, next));
        }
        after = last;
    }
}

/// One service, if it has a release that somebody may read.
///
/// # Errors
/// What the store says.
pub fn service_for(engine: &Engine, principal: &PersonId, name: &ServiceName) -> Result<Option<ServiceRow>, Fault> {
    let governance = engine.governance()?;
    Ok(service(engine, name)?.and_then(|row| visible(&governance, principal, row)))
}

/// The open promotions that somebody may read.
///
/// # Errors
/// What the store says.
pub fn open_promotions_for(engine: &Engine, principal: &PersonId, most: usize) -> Result<Vec<OpenRow>, Fault> {
    let governance = engine.governance()?;
    let mut rows = open_promotions(engine, most)?;
    rows.retain(|row| may_read(&governance, principal, Object::Target(&row.release.service, &row.environment)));
    Ok(rows)
}

fn visible(governance: &Governance, principal: &PersonId, row: ServiceRow) -> Option<ServiceRow> {
    if !may_read(governance, principal, Object::Service(&row.service)) {
        return None;
    }
    let ServiceRow { service, cells } = row;
    let cell = |(environment, running): (EnvName, Option<Running>)| {
        let seen = may_read(governance, principal, Object::Target(&service, &environment));
        (environment, running.filter(|_| seen))
    };
    let cells = cells.into_iter().map(cell).collect();
    Some(ServiceRow { service, cells })
}

fn row(engine: &Engine, policy: &lockgate_policy::PolicySet, service: ServiceName) -> Result<ServiceRow, Fault> {
    let cell = |environment: &lockgate_policy::Environment| {
        let running = reader::running(engine.store(), &environment.name, &service)?;
        Ok((environment.name.clone(), running))
    };
    let cells = policy.environments().iter().map(cell).collect::<Result<Vec<_>, Fault>>()?;
    Ok(ServiceRow { service, cells })
}
