//! Drift: what the ledger grants, compared with what was reported to run.
//!
//! A report is a named check `runs-in-<environment>` that somebody handed in about a release: `pass` and `warn` say that
//! it runs there, `fail` that it does not. Only a report by somebody who might deploy there counts, and only one that was
//! made after the grant. Of those, the newest counts that something runs; where there is none, the newest that the granted
//! release does not (see [`crate::runs`]). No decision rests on any of this.
//!
//! What a page costs is bounded: for one place at most three entries and one short report are read.

use std::sync::Arc;

use lockgate_ledger::bodies::BodyError;
use lockgate_ledger::contents::{Said, read_recorded};
use lockgate_ledger::entry::EvidenceRecorded;
use lockgate_ledger::{Event, Governance};
use lockgate_model::facts::{CheckOutcome, Claim, Running};
use lockgate_model::{Digest, EntryIndex, EnvName, PersonId, ReleaseName, ServiceName, Span, UnixMillis};
use lockgate_policy::Object;
use lockgate_store::Store;

use crate::authorise::may_read;
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::environment;
use crate::fault::Fault;
use crate::reader;
use crate::runs::{self, Row, Word};

/// After how many places a page ends; the places of one service stay together.
pub const PAGE_MAX: usize = 100;
/// How many names are read at a time.
const NAMES: usize = 512;
/// How many places are looked at for one page at most.
const PLACES_MAX: usize = 1_000;

/// How what was reported compares with what is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The granted release was reported to run.
    InStep,
    /// A release was reported that was granted there before, but is not now.
    Other,
    /// A release was reported that was never granted there.
    NoGrant,
    /// The granted release was reported not to run.
    NotRunning,
    /// Nothing was reported since the grant.
    Silent,
    /// The granted release was reported to run, but long ago.
    Old,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::InStep, Self::Other, Self::NoGrant, Self::NotRunning, Self::Silent, Self::Old];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InStep => "in-step",
            Self::Other => "other-release",
            Self::NoGrant => "no-grant",
            Self::NotRunning => "not-running",
            Self::Silent => "not-reported",
            Self::Old => "report-old",
        }
    }

    /// The standing that a word means.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }

    /// Whether what was reported differs from what is granted.
    pub const fn is_drift(self) -> bool {
        matches!(self, Self::Other | Self::NoGrant | Self::NotRunning)
    }
}

/// Which places are shown; what is empty leaves all in.
#[derive(Debug, Clone)]
pub struct Filter {
    /// A part of the service's name, in any case.
    pub text: String,
    /// The only environment.
    pub environment: Option<EnvName>,
    /// How it stands there.
    pub standing: Option<Standing>,
    /// After which time a report is old.
    pub old: Span,
}

/// What somebody reported.
#[derive(Debug, Clone)]
pub struct Report {
    /// Of which release.
    pub release: ReleaseName,
    /// Whether it runs there, as they say.
    pub outcome: CheckOutcome,
    /// When the reporter looked, as the report says; never later than it was recorded.
    pub at: UnixMillis,
    /// Where it is recorded.
    pub index: EntryIndex,
    /// Who handed it in.
    pub by: String,
    /// What they handed in.
    pub evidence: Digest,
    /// Whether that release was ever granted there.
    pub granted: bool,
}

impl Report {
    /// Whether it says that the release runs.
    fn says_runs(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Pass | CheckOutcome::Warn)
    }
}

/// One service in one environment.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which service.
    pub service: ServiceName,
    /// Which environment.
    pub environment: EnvName,
    /// How it stands.
    pub standing: Standing,
    /// What ought to run: the newest grant.
    pub granted: Option<Running>,
    /// The report that counts.
    pub reported: Option<Report>,
}

impl Place {
    /// The command that mends it; none where nothing is to be mended.
    pub fn fix(&self) -> Option<String> {
        let (service, environment) = (&self.service, &self.environment);
        let granted = self.granted.as_ref().map(|granted| &granted.release);
        let reported = self.reported.as_ref().map(|report| &report.release);
        match (self.standing, granted, reported) {
            (Standing::Silent | Standing::Old, Some(granted), _) => {
                Some(format!("lockgate attest {granted} --report runs-in-{environment}.json"))
            }
            (Standing::Other, _, Some(reported)) => {
                Some(format!("lockgate rollback {reported} --to {environment} --reason REASON"))
            }
            (Standing::NoGrant, _, Some(reported)) => {
                Some(format!("lockgate promote {reported} --to {environment} --reason REASON"))
            }
            (Standing::NotRunning, ..) => Some(format!("lockgate verify FILE --service {service} --env {environment}")),
            _ => None,
        }
    }
}

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The places that fit, by service in order of name, and by environment in policy order.
    pub places: Vec<Place>,
    /// The name that the next page starts after, if there may be more.
    pub next: Option<ServiceName>,
    /// The environments of the policy set, in its order.
    pub environments: Vec<EnvName>,
}

/// A page of what somebody may read and what fits, by service in order of name, starting after `after`.
///
/// # Errors
/// `ENVIRONMENT_UNKNOWN` for a filter by one that the policy set does not have; what the store says.
pub fn page(
    engine: &Engine,
    principal: &PersonId,
    filter: &Filter,
    after: Option<&ServiceName>,
    most: usize,
) -> Result<Page, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let environments: Vec<EnvName> =
        governance.policy.environments().iter().map(|environment| environment.name.clone()).collect();
    if let Some(wanted) = &filter.environment {
        environment::check(&governance.policy, wanted)?;
    }
    let view = View { engine, governance, principal, now, filter };
    let (places, next) = view.walk(&environments, after, most.clamp(1, PAGE_MAX))?;
    Ok(Page { places, next, environments })
}

/// How what was reported of one place differs from what is granted there; none where it does not.
///
/// Costs two short reads of rows where nothing was reported, or what is granted; only a difference is looked up in the
/// ledger.
///
/// # Errors
/// What the store says.
pub fn difference(
    store: &dyn Store,
    service: &ServiceName,
    environment: &EnvName,
    granted: Option<&Running>,
) -> Result<Option<Standing>, Fault> {
    let Some(row) = counting(store, service, environment, granted)? else { return Ok(None) };
    if row.says_runs() && granted.is_some_and(|granted| granted.release == row.release) {
        return Ok(None);
    }
    let Some(report) = recorded(store, environment, &row)?.filter(|report| granted.is_some() || report.says_runs())
    else {
        return Ok(None);
    };
    // How old a report is makes no difference between two releases.
    let standing = standing(granted, Some(&report), report.at, Span::from_secs(1));
    Ok(Some(standing).filter(|standing| standing.is_drift()))
}

/// The report that counts in one place, as the ledger has it, where this is granted there. Whether the place may be read
/// is for the caller to ask.
///
/// # Errors
/// What the store says.
pub fn report(
    store: &dyn Store,
    service: &ServiceName,
    environment: &EnvName,
    granted: Option<&Running>,
) -> Result<Option<Report>, Fault> {
    match counting(store, service, environment, granted)? {
        Some(row) => recorded(store, environment, &row),
        None => Ok(None),
    }
}

/// The row of the report that counts of a place.
fn counting(
    store: &dyn Store,
    service: &ServiceName,
    environment: &EnvName,
    granted: Option<&Running>,
) -> Result<Option<Row>, Fault> {
    let words = runs::words(store, environment, service, granted.map(|granted| &granted.release))?;
    Ok(runs::counting(words, granted.map_or(UnixMillis(0), |granted| granted.since)))
}

/// What a row stands for, as the ledger has it.
fn recorded(store: &dyn Store, environment: &EnvName, row: &Row) -> Result<Option<Report>, Fault> {
    // INVARIANT (rows are not believed): the row only says where to look.
    let entry = reader::entry(store, row.index)?;
    let Event::EvidenceRecorded(event) = &entry.event else { return Ok(None) };
    if event.release != row.release || event.evidence != row.evidence || event.size_bytes > runs::BYTES_MAX {
        return Ok(None);
    }
    let Some(word) = word(store, event)?.filter(|word| word.environment == *environment) else { return Ok(None) };
    Ok(Some(Report {
        release: row.release.clone(),
        outcome: word.outcome,
        at: word.at(entry.time),
        index: row.index,
        by: entry.actor.to_string(),
        evidence: row.evidence,
        granted: was_granted(store, environment, &row.release)?,
    }))
}

/// What a piece of evidence says of what runs; none where it says nothing of it, or is damaged for good.
fn word(store: &dyn Store, event: &EvidenceRecorded) -> Result<Option<Word>, Fault> {
    match read_recorded(event, &StoreBodies(store)) {
        Ok(Said { claim: Claim::Check(check), .. }) => Ok(Word::of(&check)),
        Err(error @ BodyError::Unreachable(..)) => Err(error.into()),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn was_granted(store: &dyn Store, environment: &EnvName, release: &ReleaseName) -> Result<bool, Fault> {
    let Some(index) = runs::granted_at(store, environment, release)? else { return Ok(false) };
    let entry = reader::entry(store, index)?;
    let is_it = |event: &Event| match event {
        Event::GrantIssued(grant) => grant.environment == *environment && grant.release == *release,
        _ => false,
    };
    Ok(is_it(&entry.event))
}

/// What places are made from.
struct View<'a> {
    engine: &'a Engine,
    governance: Arc<Governance>,
    principal: &'a PersonId,
    now: UnixMillis,
    filter: &'a Filter,
}

impl View<'_> {
    fn walk(
        &self,
        environments: &[EnvName],
        after: Option<&ServiceName>,
        most: usize,
    ) -> Result<(Vec<Place>, Option<ServiceName>), Fault> {
        let text = self.filter.text.trim().to_lowercase();
        let is_asked = |name: &&EnvName| self.filter.environment.as_ref().is_none_or(|only| only == *name);
        let (mut places, mut looked) = (Vec::new(), 0);
        // The cursor is a name that the reader may read; one that is hidden would tell that it exists.
        let mut seen: Option<ServiceName> = None;
        let mut after = after.map(|service| format!("service:{service}"));
        loop {
            let heads = self.engine.store().stream_heads("service:", after.as_deref(), NAMES)?;
            for (stream, _) in &heads {
                let name = stream.as_str().strip_prefix("service:").and_then(|name| name.parse::<ServiceName>().ok());
                let Some(service) = name.filter(|name| self.is_named(name, &text)) else { continue };
                if (places.len() >= most || looked >= PLACES_MAX) && seen.is_some() {
                    return Ok((places, seen));
                }
                for environment in environments.iter().filter(is_asked) {
                    looked += 1;
                    let place = self.place(&service, environment)?;
                    places.extend(place.filter(|place| self.filter.standing.is_none_or(|one| one == place.standing)));
                }
                seen = Some(service);
            }
            match heads.last() {
                Some((stream, _)) if heads.len() == NAMES => after = Some(stream.as_str().to_owned()),
                _ => return Ok((places, None)),
            }
        }
    }

    fn is_named(&self, service: &ServiceName, text: &str) -> bool {
        service.as_str().contains(text) && may_read(&self.governance, self.principal, Object::Service(service))
    }

    /// One place; none where nothing is granted and nothing is said to run, or that the reader may not read.
    fn place(&self, service: &ServiceName, environment: &EnvName) -> Result<Option<Place>, Fault> {
        if !may_read(&self.governance, self.principal, Object::Target(service, environment)) {
            return Ok(None);
        }
        let store = self.engine.store();
        let granted = reader::running(store, environment, service)?;
        let reported = report(store, service, environment, granted.as_ref())?;
        if granted.is_none() && !reported.as_ref().is_some_and(Report::says_runs) {
            return Ok(None);
        }
        let standing = standing(granted.as_ref(), reported.as_ref(), self.now, self.filter.old);
        Ok(Some(Place { service: service.clone(), environment: environment.clone(), standing, granted, reported }))
    }
}

/// How a report compares with a grant. Something is granted, or reported to run.
fn standing(granted: Option<&Running>, reported: Option<&Report>, now: UnixMillis, old: Span) -> Standing {
    let Some(granted) = granted else { return Standing::NoGrant };
    let Some(report) = reported.filter(|report| report.at.secs() >= granted.since.secs()) else {
        return Standing::Silent;
    };
    match (report.release == granted.release, report.says_runs()) {
        (true, true) if now.since(report.at) >= old => Standing::Old,
        (true, true) => Standing::InStep,
        (true, false) => Standing::NotRunning,
        (false, true) if report.granted => Standing::Other,
        (false, true) => Standing::NoGrant,
        // That another release does not run says nothing of the one that ought to.
        (false, false) => Standing::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn granted() -> Running {
        Running {
            release: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            since: UnixMillis(DAY),
            promotion: "P-3".parse().unwrap(),
        }
    }

    fn report(version: &str, outcome: CheckOutcome, at: u64, granted: bool) -> Report {
        Report {
            release: format!("shop/web@{version}").parse().unwrap(),
            outcome,
            at: UnixMillis(at),
            index: EntryIndex(9),
            by: "ci".to_owned(),
            evidence: Digest::of(b"report"),
            granted,
        }
    }

    #[test]
    fn the_newest_report_since_the_grant_decides() {
        let check = |reported: Option<Report>, wanted: Standing| {
            let found = standing(Some(&granted()), reported.as_ref(), UnixMillis(9 * DAY), Span::from_secs(7 * 86_400));
            assert_eq!(found, wanted, "{reported:?}");
        };
        check(None, Standing::Silent);
        check(Some(report("1.4.2", CheckOutcome::Pass, DAY - 1, true)), Standing::Silent);
        check(Some(report("1.4.2", CheckOutcome::Pass, 8 * DAY, true)), Standing::InStep);
        check(Some(report("1.4.2", CheckOutcome::Warn, 8 * DAY, true)), Standing::InStep);
        check(Some(report("1.4.2", CheckOutcome::Pass, 2 * DAY, true)), Standing::Old);
        check(Some(report("1.4.2", CheckOutcome::Fail, 2 * DAY, true)), Standing::NotRunning);
        check(Some(report("1.4.1", CheckOutcome::Pass, 2 * DAY, true)), Standing::Other);
        check(Some(report("1.5.0", CheckOutcome::Pass, 2 * DAY, false)), Standing::NoGrant);
        check(Some(report("1.4.1", CheckOutcome::Fail, 2 * DAY, true)), Standing::Silent);
        let alone = report("1.5.0", CheckOutcome::Pass, 0, false);
        assert_eq!(standing(None, Some(&alone), UnixMillis(0), Span::from_secs(1)), Standing::NoGrant);
    }

    #[test]
    fn each_standing_has_a_word_and_drift_has_a_command() {
        for standing in Standing::ALL {
            assert_eq!(Standing::of(standing.as_str()), Some(standing));
            let place = Place {
                service: "shop/web".parse().unwrap(),
                environment: "production".parse().unwrap(),
                standing,
                granted: Some(granted()),
                reported: Some(report("1.5.0", CheckOutcome::Pass, 0, false)),
            };
            assert_eq!(place.fix().is_none(), standing == Standing::InStep, "{standing:?}");
        }
        assert_eq!(Standing::of("drift"), None);
    }
}
