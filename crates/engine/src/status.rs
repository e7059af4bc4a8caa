//! Status: what runs where, and what waits.

use lockgate_model::facts::Running;
use lockgate_model::{EnvName, PromotionId, ReleaseName, ServiceName};

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

fn row(engine: &Engine, policy: &lockgate_policy::PolicySet, service: ServiceName) -> Result<ServiceRow, Fault> {
    let cell = |environment: &lockgate_policy::Environment| {
        let running = reader::running(engine.store(), &environment.name, &service)?;
        Ok((environment.name.clone(), running))
    };
    let cells = policy.environments().iter().map(cell).collect::<Result<Vec<_>, Fault>>()?;
    Ok(ServiceRow { service, cells })
}
