//! Metrics: how long promotions take and what they wait for, who approves, what fails.
//!
//! Two steps. [`gather`] reads the streams of the environments, newest first, and of the promotions that it meets there:
//! so many entries at most, and it says how far back that came. [`figures`] counts what somebody may read of it. Nothing
//! is counted on the way in, so that figures cannot differ from the ledger.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_ledger::entry::{CloseCause, DecisionRecorded};
use lockgate_ledger::{Entry, Event, Governance};
use lockgate_model::facts::PromotionKind;
use lockgate_model::{EntryIndex, EnvName, PersonId, PromotionId, ServiceName, Span, StreamName, UnixMillis};
use lockgate_policy::{GateKind, GateOutcome, Object, Outcome, Permission};

use crate::approvers;
use crate::authorise::{authorise, may_read};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;
use crate::why::recorded;

/// After how many entries reading stops, over all environments; the promotion that is being read is read to its end.
pub const ENTRIES_MAX: usize = 20_000;
/// How many entries of one promotion are read; where one has more, the figures end before it and say so.
const PROMOTION_MAX: usize = 4096;
/// How many rows are read at a time.
const PAGE: usize = 512;
/// Of how many denials the reasons are read.
const DENIALS_MAX: usize = 1_000;
/// How many reasons are listed.
const REASONS_MAX: usize = 10;
/// A rollback within this time of a grant counts as a failure of what was granted.
pub const FAILURE_SPAN: Span = Span::from_secs(7 * 86_400);
const WEEK_MILLIS: u64 = 7 * 86_400_000;
/// How many weeks are told at most.
const WEEKS_MAX: u64 = 104;

/// What a promotion waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// People.
    Approval,
    /// Reports and signed statements.
    Evidence,
    /// The time of day, or another release before it.
    Window,
    /// Anything else: another environment first, a rule of one's own, a freeze, a gate that is not there any more.
    Other,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Approval, Self::Evidence, Self::Window, Self::Other];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Evidence => "evidence",
            Self::Window => "window",
            Self::Other => "other",
        }
    }

    /// What a gate of a kind waits for. Each kind is named, so that a new one cannot be filed by accident.
    const fn of(kind: &GateKind) -> Self {
        match kind {
            GateKind::Approvals(_) => Self::Approval,
            GateKind::Windows(_) | GateKind::Capacity(_) => Self::Window,
            GateKind::Provenance(_)
            | GateKind::Sbom(_)
            | GateKind::Tests(_)
            | GateKind::Vulnerabilities(_)
            | GateKind::Source(_)
            | GateKind::Reproducible(_)
            | GateKind::Licences(_)
            | GateKind::Analysis(_)
            | GateKind::Secrets(_)
            | GateKind::Coverage(_)
            | GateKind::Performance(_)
            | GateKind::Checks(_)
            | GateKind::ChangeTicket(_)
            | GateKind::Configuration(_)
            | GateKind::FeatureFlags(_)
            | GateKind::Freshness(_)
            | GateKind::Signature(_) => Self::Evidence,
            GateKind::Certified(_) | GateKind::Version(_) | GateKind::ReleaseNotes(_) | GateKind::Rego(_) => {
                Self::Other
            }
        }
    }
}

/// What is known of one promotion.
#[derive(Debug, Clone)]
struct Told {
    service: ServiceName,
    environment: EnvName,
    kind: PromotionKind,
    requested_at: UnixMillis,
    granted_at: Option<UnixMillis>,
    closed: Option<(CloseCause, UnixMillis)>,
    /// When it was denied first.
    denied_at: Option<UnixMillis>,
    reasons: BTreeSet<String>,
    /// Milliseconds by what it waited for; where it waited for several at once, each has its share.
    waited: BTreeMap<Cause, u64>,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Gathered {
    since: UnixMillis,
    until: UnixMillis,
    covered_from: UnixMillis,
    complete: bool,
    entries: u64,
    promotions: Vec<Told>,
}

/// Reads what happened since a moment.
///
/// # Errors
/// What the store says.
pub fn gather(engine: &Engine, since: UnixMillis) -> Result<Gathered, Fault> {
    let governance = engine.governance()?;
    let environments = governance.policy.environments();
    let gates = governance.policy.gates().iter();
    let causes = gates.map(|gate| (gate.name.to_string(), Cause::of(&gate.kind))).collect();
    let until = engine.time();
    let gathered = Gathered { since, until, covered_from: since, complete: true, entries: 0, promotions: Vec::new() };
    let mut gatherer = Gatherer { engine, causes, gathered, denials: 0 };
    // Each environment has its share, so that a busy one does not hide the others.
    let share = (ENTRIES_MAX / environments.len().max(1)) as u64;
    for environment in environments {
        gatherer.walk(&environment.name, share)?;
    }
    Ok(gatherer.gathered)
}

struct Gatherer<'a> {
    engine: &'a Engine,
    /// What the gates of the active policy set wait for, by their names.
    causes: BTreeMap<String, Cause>,
    gathered: Gathered,
    denials: usize,
}

impl Gatherer<'_> {
    fn entry(&mut self, index: EntryIndex) -> Result<Entry, Fault> {
        self.gathered.entries += 1;
        reader::entry(self.engine.store(), index)
    }

    fn walk(&mut self, environment: &EnvName, share: u64) -> Result<(), Fault> {
        let stream = StreamName::environment(environment);
        let most = self.gathered.entries + share;
        let (mut seen, mut before) = (BTreeSet::new(), None);
        let mut reached = self.gathered.until;
        loop {
            let page = self.engine.store().stream_page_newest(&stream, before, PAGE)?;
            for (seq, index) in &page {
                if self.gathered.entries >= most {
                    self.cut(reached);
                    return Ok(());
                }
                before = Some(*seq);
                let entry = self.entry(*index)?;
                if entry.time < self.gathered.since {
                    return Ok(());
                }
                reached = entry.time;
                let promotion = match &entry.event {
                    Event::DecisionRecorded(event) => event.promotion,
                    Event::GrantIssued(event) => event.promotion,
                    _ => continue,
                };
                if seen.insert(promotion) && !self.promotion(promotion)? {
                    // It is left out itself, and so is this moment.
                    self.cut(UnixMillis(reached.0.saturating_add(1)));
                    return Ok(());
                }
            }
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Notes that what is older than a moment may be left out.
    fn cut(&mut self, at: UnixMillis) {
        self.gathered.complete = false;
        self.gathered.covered_from = self.gathered.covered_from.max(at);
    }

    /// Reads one promotion; `false`, and nothing of it, where it has more than [`PROMOTION_MAX`] entries.
    fn promotion(&mut self, id: PromotionId) -> Result<bool, Fault> {
        let page = self.engine.store().stream_page(&StreamName::promotion(id), 0, PROMOTION_MAX + 1)?;
        if page.len() > PROMOTION_MAX {
            return Ok(false);
        }
        let mut told: Option<Told> = None;
        // What it waits for, and since when.
        let (mut causes, mut last): (BTreeSet<Cause>, UnixMillis) = (BTreeSet::new(), UnixMillis(0));
        for (_, index) in page {
            let Entry { time, event, .. } = self.entry(index)?;
            if let Event::PromotionRequested(asked) = &event {
                last = time;
                told = Some(Told::new(asked.release.service.clone(), asked.environment.clone(), asked.kind, time));
                continue;
            }
            let Some(told) = told.as_mut() else { continue };
            match &event {
                Event::DecisionRecorded(decision) => {
                    told.wait(&causes, last, time);
                    (causes, last) = (self.causes(decision), time);
                    if decision.outcome == Outcome::Deny {
                        told.denied_at = told.denied_at.or(Some(time));
                        told.reasons.extend(self.reasons(decision)?);
                    }
                }
                Event::GrantIssued(_) => {
                    told.wait(&causes, last, time);
                    (told.granted_at, last) = (Some(time), time);
                }
                Event::PromotionClosed(closed) => {
                    told.closed = Some((closed.cause, time));
                    if closed.cause == CloseCause::Rejected {
                        told.reasons.insert("REJECTED".to_owned());
                    }
                }
                _ => {}
            }
        }
        self.gathered.promotions.extend(told);
        Ok(true)
    }

    /// What the gates that do not pass wait for.
    fn causes(&self, decision: &DecisionRecorded) -> BTreeSet<Cause> {
        let blocks = |outcome: GateOutcome| matches!(outcome, GateOutcome::Fail | GateOutcome::Pending);
        let lines = decision.gates.iter().filter(|line| blocks(line.outcome));
        lines.map(|line| self.causes.get(line.gate.as_str()).copied().unwrap_or(Cause::Other)).collect()
    }

    /// The reason codes of the gates that failed.
    fn reasons(&mut self, decision: &DecisionRecorded) -> Result<Vec<String>, Fault> {
        if self.denials >= DENIALS_MAX {
            return Ok(Vec::new());
        }
        self.denials += 1;
        let gates = recorded(self.engine, &decision.decision)?.gates;
        Ok(gates.into_iter().filter(|gate| gate.outcome == GateOutcome::Fail).map(|gate| gate.reason).collect())
    }
}

impl Told {
    fn new(service: ServiceName, environment: EnvName, kind: PromotionKind, requested_at: UnixMillis) -> Self {
        Self {
            service,
            environment,
            kind,
            requested_at,
            granted_at: None,
            closed: None,
            denied_at: None,
            reasons: BTreeSet::new(),
            waited: BTreeMap::new(),
        }
    }

    /// Shares a stretch of time among what it waited for.
    fn wait(&mut self, causes: &BTreeSet<Cause>, from: UnixMillis, until: UnixMillis) {
        let share = until.0.saturating_sub(from.0).checked_div(causes.len() as u64).unwrap_or(0);
        for cause in causes {
            *self.waited.entry(*cause).or_insert(0) += share;
        }
    }
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFigures {
    /// Which.
    pub environment: EnvName,
    /// How many promotions were granted, without rollbacks.
    pub grants: u64,
    /// How many rollbacks were granted.
    pub rollbacks: u64,
    /// From request to grant, in seconds, of half of those promotions at most; absent without any.
    pub p50_secs: Option<u64>,
    /// The same of nine of ten.
    pub p90_secs: Option<u64>,
    /// How many grants were followed by a rollback of the service within [`FAILURE_SPAN`].
    pub failed: u64,
    /// From such a grant to the grant of that rollback, in seconds, of half of them at most; absent without any.
    pub recovery_p50_secs: Option<u64>,
}

/// What granted promotions waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitFigures {
    /// What for.
    pub cause: Cause,
    /// How long in all, in seconds.
    pub secs: u64,
    /// How many promotions did.
    pub promotions: u64,
}

/// Who approved how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverFigures {
    /// Who.
    pub person: PersonId,
    /// How many approvals.
    pub approvals: u64,
    /// How long the document was open before it was signed, in seconds, of half of them at most; absent where none says.
    pub median_review_secs: Option<u64>,
}

/// One week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeekFigures {
    /// When it began.
    pub from: UnixMillis,
    /// How many promotions were granted, without rollbacks.
    pub grants: u64,
    /// How many rollbacks were granted.
    pub rollbacks: u64,
    /// From request to grant, in seconds, of half of those promotions at most.
    pub p50_secs: Option<u64>,
}

/// What became of promotions that were not granted at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Denied by a gate, at least once.
    pub denied: u64,
    /// Rejected by a person.
    pub rejected: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Expired.
    pub expired: u64,
    /// Superseded by another one.
    pub superseded: u64,
}

/// The figures, as far as somebody may read what they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Since when was asked for.
    pub since: UnixMillis,
    /// Until when.
    pub until: UnixMillis,
    /// Since when nothing is left out.
    pub covered_from: UnixMillis,
    /// Whether that is all that was asked for.
    pub complete: bool,
    /// How many entries were read.
    pub entries: u64,
    /// How many promotions are counted.
    pub promotions: u64,
    /// Each environment, in policy order.
    pub environments: Vec<EnvironmentFigures>,
    /// What granted promotions waited for.
    pub waiting: Vec<WaitFigures>,
    /// What became of the others.
    pub refusals: Refusals,
    /// Why promotions were denied or rejected: reason codes, the most frequent first, each once a promotion.
    pub reasons: Vec<(String, u64)>,
    /// Who approved how much; absent for who may not audit.
    pub approvers: Option<Vec<ApproverFigures>>,
    /// Each week, oldest first.
    pub weeks: Vec<WeekFigures>,
    /// How many freezes were ordered.
    pub freezes: u64,
    /// How many break-glasses took effect.
    pub break_glass: u64,
}

/// Counts what somebody may read.
///
/// # Errors
/// What the store says.
pub fn figures(engine: &Engine, principal: &PersonId, gathered: &Gathered) -> Result<Figures, Fault> {
    let governance = engine.governance()?;
    let readable = |told: &&Told| may_read(&governance, principal, Object::Target(&told.service, &told.environment));
    let promotions: Vec<&Told> = gathered.promotions.iter().filter(readable).collect();
    let names = governance.policy.environments().iter().map(|environment| &environment.name);
    let since = gathered.since;
    let (freezes, break_glass) = emergencies(&governance, principal, since);
    let audits = authorise(&governance, principal, Permission::Audit, Object::Anywhere).is_ok();
    Ok(Figures {
        since,
        until: gathered.until,
        covered_from: gathered.covered_from,
        complete: gathered.complete,
        entries: gathered.entries,
        promotions: promotions.len() as u64,
        environments: names.map(|name| environment(name, &promotions, since)).collect(),
        waiting: waiting(&promotions, since),
        refusals: refusals(&promotions, since),
        reasons: reasons(&promotions, since),
        approvers: audits.then(|| approver_figures(engine, since)).transpose()?,
        weeks: weeks(&promotions, gathered.covered_from, gathered.until),
        freezes,
        break_glass,
    })
}

/// When it was granted, if that was in time.
fn granted(told: &Told, since: UnixMillis) -> Option<UnixMillis> {
    told.granted_at.filter(|at| *at >= since)
}

fn is_forward(told: &Told) -> bool {
    told.kind == PromotionKind::Promotion
}

/// From request to grant, in seconds.
fn took(told: &Told, since: UnixMillis) -> Option<u64> {
    granted(told, since).map(|at| at.since(told.requested_at).secs())
}

fn environment(name: &EnvName, promotions: &[&Told], since: UnixMillis) -> EnvironmentFigures {
    let here: Vec<&Told> = promotions.iter().copied().filter(|told| told.environment == *name).collect();
    let mut times: Vec<u64> =
        here.iter().filter(|told| is_forward(told)).filter_map(|told| took(told, since)).collect();
    times.sort_unstable();
    let rollbacks = here.iter().filter(|told| !is_forward(told) && granted(told, since).is_some()).count();
    let recoveries = recoveries(&here, since);
    EnvironmentFigures {
        environment: name.clone(),
        grants: times.len() as u64,
        rollbacks: rollbacks as u64,
        p50_secs: quantile(&times, 50),
        p90_secs: quantile(&times, 90),
        failed: recoveries.len() as u64,
        recovery_p50_secs: quantile(&recoveries, 50),
    }
}

/// For each grant that was followed by a rollback of the same service soon, how many seconds later: each counts once, the
/// shortest time first.
fn recoveries(here: &[&Told], since: UnixMillis) -> Vec<u64> {
    let mut grants: BTreeMap<&ServiceName, Vec<(UnixMillis, bool)>> = BTreeMap::new();
    for told in here {
        if let Some(at) = granted(told, since) {
            grants.entry(&told.service).or_default().push((at, is_forward(told)));
        }
    }
    let mut times = Vec::new();
    for grants in grants.values_mut() {
        grants.sort_unstable();
        // The newest grant that no rollback has ended yet.
        let mut standing: Option<UnixMillis> = None;
        for (at, forward) in grants.iter() {
            match forward {
                true => standing = Some(*at),
                false => {
                    let lasted = standing.take().map(|granted| at.since(granted));
                    times.extend(lasted.filter(|lasted| *lasted <= FAILURE_SPAN).map(|lasted| lasted.secs()));
                }
            }
        }
    }
    times.sort_unstable();
    times
}

fn waiting(promotions: &[&Told], since: UnixMillis) -> Vec<WaitFigures> {
    let figures = |cause: Cause| {
        let waited: Vec<u64> = promotions
            .iter()
            .filter(|told| granted(told, since).is_some())
            .filter_map(|told| told.waited.get(&cause).copied())
            .filter(|millis| *millis > 0)
            .collect();
        WaitFigures { cause, secs: waited.iter().sum::<u64>() / 1000, promotions: waited.len() as u64 }
    };
    Cause::ALL.into_iter().map(figures).collect()
}

fn refusals(promotions: &[&Told], since: UnixMillis) -> Refusals {
    let mut refusals = Refusals::default();
    for told in promotions {
        refusals.denied += u64::from(told.denied_at.is_some_and(|at| at >= since));
        let Some((cause, _)) = told.closed.filter(|(_, at)| *at >= since) else { continue };
        match cause {
            CloseCause::Rejected => refusals.rejected += 1,
            CloseCause::Withdrawn => refusals.withdrawn += 1,
            CloseCause::Expired => refusals.expired += 1,
            CloseCause::Superseded => refusals.superseded += 1,
        }
    }
    refusals
}

fn reasons(promotions: &[&Told], since: UnixMillis) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let recent =
        |told: &&&Told| told.denied_at.is_some_and(|at| at >= since) || told.closed.is_some_and(|(_, at)| at >= since);
    for reason in promotions.iter().filter(recent).flat_map(|told| &told.reasons) {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().map(|(code, count)| (code.to_owned(), count)).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(REASONS_MAX);
    counts
}

fn approver_figures(engine: &Engine, since: UnixMillis) -> Result<Vec<ApproverFigures>, Fault> {
    let figures = |(person, reviews): (PersonId, Vec<Option<u64>>)| {
        let mut timed: Vec<u64> = reviews.iter().copied().flatten().collect();
        timed.sort_unstable();
        ApproverFigures { person, approvals: reviews.len() as u64, median_review_secs: quantile(&timed, 50) }
    };
    Ok(approvers::reviews_since(engine, since)?.into_iter().map(figures).collect())
}

/// How many freezes were ordered, and how many break-glasses took effect.
fn emergencies(governance: &Governance, principal: &PersonId, since: UnixMillis) -> (u64, u64) {
    let freezes = governance.freezes().iter().filter(|freeze| {
        let service = freeze.event.service.as_ref();
        freeze.time >= since && service.is_none_or(|name| may_read(governance, principal, Object::Service(name)))
    });
    let opened = governance.break_glasses().iter().filter(|opened| {
        let target = Object::Target(&opened.event.release.service, &opened.event.environment);
        opened.effective.is_some_and(|at| at >= since) && may_read(governance, principal, target)
    });
    (freezes.count() as u64, opened.count() as u64)
}

fn weeks(promotions: &[&Told], from: UnixMillis, until: UnixMillis) -> Vec<WeekFigures> {
    let span = until.0.saturating_sub(from.0);
    let count = (span / WEEK_MILLIS + 1).min(WEEKS_MAX);
    // The last week ends now, and the first one may be cut off.
    let begin = |number: u64| UnixMillis(until.0.saturating_sub((count - number) * WEEK_MILLIS).max(from.0));
    let mut weeks: Vec<(WeekFigures, Vec<u64>)> = (0..count)
        .map(|number| (WeekFigures { from: begin(number), grants: 0, rollbacks: 0, p50_secs: None }, Vec::new()))
        .collect();
    for told in promotions {
        let Some(at) = granted(told, from) else { continue };
        let ago = until.0.saturating_sub(at.0) / WEEK_MILLIS;
        let place = count.checked_sub(ago + 1).and_then(|place| usize::try_from(place).ok());
        let Some((week, times)) = place.and_then(|place| weeks.get_mut(place)) else { continue };
        match is_forward(told) {
            true => {
                week.grants += 1;
                times.push(at.since(told.requested_at).secs());
            }
            false => week.rollbacks += 1,
        }
    }
    let finish = |(mut week, mut times): (WeekFigures, Vec<u64>)| {
        times.sort_unstable();
        week.p50_secs = quantile(&times, 50);
        week
    };
    weeks.into_iter().map(finish).collect()
}

/// The smallest value that at least so many of a hundred do not exceed; of sorted values.
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn told(service: &str, kind: PromotionKind, requested: u64, granted: Option<u64>) -> Told {
        let mut told = Told::new(service.parse().unwrap(), "production".parse().unwrap(), kind, UnixMillis(requested));
        told.granted_at = granted.map(UnixMillis);
        told
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let values: Vec<u64> = (1..=10).collect();
        let check = |values: &[u64], percent, wanted| assert_eq!(quantile(values, percent), wanted, "{percent}");
        check(&values, 50, Some(5));
        check(&values, 90, Some(9));
        check(&values, 100, Some(10));
        check(&[7], 50, Some(7));
        check(&[], 50, None);
    }

    #[test]
    fn waiting_for_two_things_is_shared() {
        let mut one = told("a", PromotionKind::Promotion, 0, Some(10_000));
        one.wait(&BTreeSet::from([Cause::Approval, Cause::Window]), UnixMillis(0), UnixMillis(8_000));
        one.wait(&BTreeSet::from([Cause::Approval]), UnixMillis(8_000), UnixMillis(10_000));
        // A time in which nothing is waited for is nobody's.
        one.wait(&BTreeSet::new(), UnixMillis(10_000), UnixMillis(20_000));
        let found = waiting(&[&one], UnixMillis(0));
        let secs: Vec<(&str, u64)> = found.iter().map(|row| (row.cause.as_str(), row.secs)).collect();
        assert_eq!(secs, [("approval", 6), ("evidence", 0), ("window", 4), ("other", 0)]);
    }

    #[test]
    fn a_rollback_soon_after_a_grant_is_its_failure() {
        use PromotionKind::{Promotion, Rollback};
        let check = |all: &[(&str, PromotionKind, u64)], wanted: &[u64]| {
            let all: Vec<Told> = all.iter().map(|(name, kind, at)| told(name, *kind, *at, Some(*at))).collect();
            assert_eq!(recoveries(&all.iter().collect::<Vec<_>>(), UnixMillis(0)), wanted, "{all:?}");
        };
        check(&[("a", Promotion, 0), ("a", Rollback, DAY)], &[86_400]);
        check(&[("a", Promotion, 0), ("a", Rollback, 7 * DAY)], &[604_800]);
        check(&[("a", Promotion, 0), ("a", Rollback, 7 * DAY + 1000)], &[]);
        check(&[("a", Promotion, 0), ("b", Rollback, DAY)], &[]);
        // One grant fails once, and a rollback before it says nothing about it.
        check(&[("a", Promotion, 0), ("a", Rollback, DAY), ("a", Rollback, 2 * DAY)], &[86_400]);
        check(&[("a", Rollback, 0), ("a", Promotion, DAY)], &[]);
        // Of several, the shortest time comes first.
        let both = [("a", Promotion, 0), ("a", Rollback, DAY), ("b", Promotion, 0), ("b", Rollback, 5_000)];
        check(&both, &[5, 86_400]);
    }

    #[test]
    fn the_last_week_ends_now() {
        let until = UnixMillis(30 * DAY);
        let one = told("a", PromotionKind::Promotion, 29 * DAY, Some(29 * DAY + 5_000));
        let old = told("a", PromotionKind::Rollback, DAY, Some(DAY));
        let found = weeks(&[&one, &old], UnixMillis(0), until);
        assert_eq!(found.len(), 5);
        let counts: Vec<(u64, u64)> = found.iter().map(|week| (week.grants, week.rollbacks)).collect();
        assert_eq!(counts, [(0, 1), (0, 0), (0, 0), (0, 0), (1, 0)]);
        assert_eq!(found.last().unwrap().p50_secs, Some(5));
        assert_eq!(found.first().unwrap().from, UnixMillis(0));
    }
}
