//! Services: one service with what runs and ran where, and its releases a page at a time; one release by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockgate_ledger::facts::fact_of;
use lockgate_ledger::release::GrantRecord;
use lockgate_ledger::suspect::{self, Suspect};
use lockgate_ledger::{Event, Governance, ReleaseState};
use lockgate_model::facts::{EvidenceFact, Running};
use lockgate_model::{EntryIndex, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, StreamName, UnixMillis};
use lockgate_policy::Object;
use lockgate_store::Store;

use crate::authorise::{check_release, may_read, release_unknown};
use crate::bodies::StoreBodies;
use crate::drift::{self, Report};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;

/// How many releases one page has.
pub const PAGE: usize = 20;
/// How many grants of one environment are listed.
const RAN_MAX: usize = 20;

/// One service.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// Its environments, in policy order, as far as the reader may read them.
    pub environments: Vec<EnvironmentView>,
    /// A page of its releases, newest first.
    pub releases: Vec<Arc<ReleaseState>>,
    /// The number that the next page starts before.
    pub next: Option<u64>,
}

/// One service in one environment.
#[derive(Debug, Clone)]
pub struct EnvironmentView {
    /// Which environment.
    pub environment: EnvName,
    /// What runs there.
    pub running: Option<Running>,
    /// What was granted there, newest first.
    pub ran: Vec<Ran>,
}

/// One grant.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Which release.
    pub release: ReleaseName,
    /// By which promotion.
    pub promotion: PromotionId,
    /// Since when.
    pub since: UnixMillis,
    /// Until when, where another grant came after it.
    pub until: Option<UnixMillis>,
    /// Whether one can go back to it.
    pub rollback: bool,
}

/// One release.
#[derive(Debug, Clone)]
pub struct ReleaseView {
    /// Its state.
    pub release: Arc<ReleaseState>,
    /// What is read from its evidence under the active policy set, in ledger order; what cannot be read is left out.
    pub evidence: Vec<EvidenceFact>,
    /// What became of it in each environment, in policy order, as far as the reader may read them.
    pub places: Vec<ReleasePlace>,
    /// What of it rested on keys that were found compromised later.
    pub suspects: Vec<Suspect>,
}

/// One release in one environment.
#[derive(Debug, Clone)]
pub struct ReleasePlace {
    /// Which environment.
    pub environment: EnvName,
    /// What of the service runs there: this release or another.
    pub running: Option<Running>,
    /// Its newest grant there.
    pub grant: Option<GrantRecord>,
    /// When another release was granted after that one.
    pub replaced_at: Option<UnixMillis>,
    /// The report that counts there, where it is about this release.
    pub reported: Option<Report>,
}

/// One service with a page of its releases, before number `before` of its stream.
///
/// # Errors
/// `SERVICE_UNKNOWN`, also for a service that the reader may not read; what the store says.
pub fn service(
    engine: &Engine,
    person: &PersonId,
    name: &ServiceName,
    before: Option<u64>,
) -> Result<ServiceView, Fault> {
    check_service(engine, person, name)?;
    let governance = engine.governance()?;
    let store = engine.store();
    let stream = StreamName::service(name);
    let page = store.stream_page_newest(&stream, before, PAGE)?;
    let next = page.last().map(|(seq, _)| *seq).filter(|seq| *seq > 0 && page.len() == PAGE);
    let mut releases = Vec::with_capacity(page.len());
    for (_, index) in page {
        if let Event::ReleasePublished(event) = reader::entry(store, index)?.event {
            releases.extend(reader::release(store, &governance, &event.release)?);
        }
    }
    let mut environments = Vec::new();
    for environment in readable(&governance, person, name) {
        environments.push(in_environment(engine, &governance, name, environment)?);
    }
    Ok(ServiceView { environments, releases, next })
}

/// Refuses a service that is not there, or that somebody may not read, with the same words.
///
/// # Errors
/// `SERVICE_UNKNOWN`; what the store says.
pub fn check_service(engine: &Engine, person: &PersonId, name: &ServiceName) -> Result<(), Fault> {
    let governance = engine.governance()?;
    let is_readable = may_read(&governance, person, Object::Service(name));
    match is_readable && engine.store().stream_head(&StreamName::service(name))?.is_some() {
        true => Ok(()),
        false => Err(Fault::not_found("SERVICE_UNKNOWN", format!("no release of {name} is published"))
            .hint("`lockgate status` lists the services that you may read")),
    }
}

/// One release with where it and its siblings run.
///
/// # Errors
/// `RELEASE_UNKNOWN`, also for a release that the reader may not read; what the store says.
pub fn release(engine: &Engine, person: &PersonId, name: &ReleaseName) -> Result<ReleaseView, Fault> {
    check_release(engine, person, name)?;
    let governance = engine.governance()?;
    let release = reader::release(engine.store(), &governance, name)?.ok_or_else(|| release_unknown(name))?;
    let mut places = Vec::new();
    for environment in readable(&governance, person, &name.service) {
        places.push(release_place(engine.store(), &release, environment)?);
    }
    let suspects = suspect::in_release(&governance, &release);
    let bodies = StoreBodies(engine.store());
    let mut evidence = Vec::with_capacity(release.evidence.len());
    for record in &release.evidence {
        match fact_of(record, &release, &governance, &bodies, &engine.inner().claims) {
            Ok(fact) => evidence.push(fact),
            Err(error) if error.code == "STORE_FAILED" => return Err(error.into()),
            // What is damaged for good is left out, and an audit says why.
            Err(_) => {}
        }
    }
    Ok(ReleaseView { release, evidence, places, suspects })
}

fn release_place(store: &dyn Store, release: &ReleaseState, environment: EnvName) -> Result<ReleasePlace, Fault> {
    let service = &release.name.service;
    let running = reader::running(store, &environment, service)?;
    let grant = release.grants.iter().rev().find(|grant| grant.event.environment == environment).cloned();
    let replaced_at = match &grant {
        Some(grant) => next_grant(store, &StreamName::running(&environment, service), grant.index)?,
        None => None,
    };
    let reported = drift::report(store, service, &environment, running.as_ref())?;
    let reported = reported.filter(|report| report.release == release.name);
    Ok(ReleasePlace { environment, running, grant, replaced_at, reported })
}

/// When the next grant after one was issued, in the stream of what runs.
fn next_grant(store: &dyn Store, running: &StreamName, grant: EntryIndex) -> Result<Option<UnixMillis>, Fault> {
    let Some(seq) = reader::entry(store, grant)?.link(running).map(|link| link.seq) else { return Ok(None) };
    match store.stream_page(running, seq.saturating_add(1), 1)?.first() {
        Some((_, index)) => Ok(Some(reader::entry(store, *index)?.time)),
        None => Ok(None),
    }
}

/// The environments of the policy set in which somebody may read a service.
fn readable(governance: &Governance, person: &PersonId, service: &ServiceName) -> Vec<EnvName> {
    let names = governance.policy.environments().iter().map(|environment| environment.name.clone());
    names.filter(|environment| may_read(governance, person, Object::Target(service, environment))).collect()
}

fn in_environment(
    engine: &Engine,
    governance: &Arc<Governance>,
    service: &ServiceName,
    environment: EnvName,
) -> Result<EnvironmentView, Fault> {
    let store = engine.store();
    let running = reader::running(store, &environment, service)?;
    let mut ran: Vec<Ran> = Vec::new();
    let mut seen: BTreeSet<ReleaseName> = running.iter().map(|running| running.release.clone()).collect();
    let mut doubts = BTreeMap::new();
    let mut until = None;
    for (_, index) in store.stream_page_newest(&StreamName::running(&environment, service), None, RAN_MAX)? {
        let entry = reader::entry(store, index)?;
        let Event::GrantIssued(grant) = entry.event else { continue };
        // The newest time that a release ran is the one that counts; what runs is nothing to go back to.
        let first = seen.insert(grant.release.clone());
        let sound = first && !is_doubtful(engine, governance, &grant.release, &environment, &mut doubts)?;
        ran.push(Ran {
            release: grant.release,
            promotion: grant.promotion,
            since: entry.time,
            until: until.replace(entry.time),
            rollback: sound,
        });
    }
    Ok(EnvironmentView { environment, running, ran })
}

/// Whether a grant of a release into an environment rests on a key that was found compromised later.
fn is_doubtful(
    engine: &Engine,
    governance: &Arc<Governance>,
    name: &ReleaseName,
    environment: &EnvName,
    known: &mut BTreeMap<ReleaseName, bool>,
) -> Result<bool, Fault> {
    if !suspect::is_possible(governance) {
        return Ok(false);
    }
    if let Some(known) = known.get(name) {
        return Ok(*known);
    }
    let doubtful = reader::release(engine.store(), governance, name)?.is_none_or(|release| {
        let suspects = suspect::in_release(governance, &release);
        let newest = release.grants.iter().rev().find(|grant| grant.event.environment == *environment);
        newest.is_none_or(|grant| suspects.iter().any(|suspect| suspect.index == grant.index))
    });
    known.insert(name.clone(), doubtful);
    Ok(doubtful)
}
