//! Matrix: what runs where and what is on its way, a page of services at a time, filtered.
//!
//! Names are cheap and cells are not. What names, open promotions and freezes can tell is filtered by first, and cells
//! are read only of what is left: of the services of one page, or, where cells themselves are filtered by, of so many
//! that a page takes no longer; it then says where to go on.

mod graph;

use std::collections::{BTreeMap, BTreeSet};

use lockgate_ledger::break_glass::{BreakGlass, BreakGlassOpened};
use lockgate_ledger::entry::DecisionRecorded;
use lockgate_ledger::freeze::Freeze;
use lockgate_ledger::{Event, Governance};
use lockgate_model::facts::{PromotionKind, Running, Verdict};
use lockgate_model::{
    Digest, EnvName, GateName, PersonId, PromotionId, ReleaseName, ServiceName, Span, StreamName, UnixMillis, Version,
};
use lockgate_policy::{GateOutcome, Object, Outcome};

use crate::authorise::may_read;
use crate::drift::{self, Standing};
use crate::engine::Engine;
use crate::environment;
use crate::fault::Fault;
use crate::inbox;
use crate::reader;
use crate::runs;
use crate::staging::OPEN_PROMOTIONS;
use crate::why::recorded;

pub use graph::{Edge, Graph, Node, graph};

/// The most rows of one page.
pub const PAGE_MAX: usize = 100;
/// How many rows a page has that says nothing of it: more than a screen shows, and what a browser draws anew without
/// being felt.
pub const PAGE: usize = 15;
/// How many names are read at a time.
const NAMES: usize = 512;
/// How many cells are read for one page at most; what else is read for it counts as so many cells as it takes.
const CELLS_MAX: usize = 1_000;
/// As how many cells it counts to find out whether one promotion waits for the reader: that decides it anew.
const DECISION_CELLS: usize = 50;
/// Of how many promotions of one service it is found out at most, the newest first; the inbox has the others.
const CANDIDATES_MAX: usize = 16;
/// Of how many releases of one service it is counted by how many something is behind.
const RELEASES_MAX: usize = 512;
/// How many names of releases count as one cell.
const NAMES_A_CELL: usize = 32;
/// How many open promotions are considered at most.
const OPEN_MAX: usize = 5_000;
/// How many rows of open promotions are read at a time.
const ROWS: usize = 512;
/// Of how many open promotions one page says what they wait for.
const DETAILS_MAX: usize = 200;
/// How many of a promotion's newest entries are read for that.
const ENTRIES_MAX: usize = 16;
/// The kind of gates that people decide.
const APPROVALS: &str = "approvals";

/// Which cells a service has to have one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An open promotion.
    Open,
    /// An open promotion that the reader's own approval would count for now.
    Mine,
    /// A freeze in force.
    Frozen,
    /// A report that something else runs than what is granted.
    Drift,
    /// An older version than where it comes from, by more than so many releases of the service. Where there are too many
    /// to count, it is.
    Behind(u64),
    /// Something that has run for so long.
    Old(Span),
}

/// Which services are shown; what is empty leaves all in.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of the service's name, in any case.
    pub text: String,
    /// The only environment that is looked at.
    pub environment: Option<EnvName>,
    /// What at least one of its cells is.
    pub wanted: Option<Wanted>,
    /// The services that come first, on the first page.
    pub pinned: BTreeSet<ServiceName>,
}

/// One environment of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Which.
    pub environment: EnvName,
    /// Where releases come from, if from anywhere: what cells are compared with.
    pub after: Option<EnvName>,
}

/// An open promotion of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Which.
    pub promotion: PromotionId,
    /// Of what.
    pub release: ReleaseName,
    /// Whether it waits for the reader; only known where it is filtered by.
    pub mine: bool,
    /// Until when it stays open; absent where one page does not say it of so many.
    pub expires_at: Option<UnixMillis>,
    /// What was decided last; absent where one page does not say it of so many.
    pub outcome: Option<Outcome>,
    /// How many different people have approved it, whether or not that counts in the end.
    pub approvals: u64,
    /// How many approvals the decision asks for; absent where no gate waits for any.
    pub needed: Option<u64>,
    /// The gates that fail or wait.
    pub gates: Vec<GateName>,
}

/// One service in one environment.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What runs there.
    pub running: Option<Running>,
    /// Whether that is what runs where it comes from.
    pub same: bool,
    /// Whether that is older than what runs where it comes from.
    pub behind: bool,
    /// By how many releases of the service it is, those up to the one that runs where it comes from; absent where it is
    /// not, or where there are too many to count.
    pub behind_by: Option<u64>,
    /// How what was reported to run differs from that; absent where it does not.
    pub drift: Option<Standing>,
    /// Whether that came back by a rollback; only known in the rows of a page.
    pub rollback: bool,
    /// Whether something is let past the gates by a break-glass that nobody has reviewed.
    pub break_glass: bool,
    /// Whether a freeze is in force.
    pub frozen: bool,
    /// What is to be let in.
    pub open: Option<Open>,
}

/// One service.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub service: ServiceName,
    /// Its cells, in the order of the columns.
    pub cells: Vec<Cell>,
}

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The environments, in policy order.
    pub columns: Vec<Column>,
    /// The services, in order of name, after those that are pinned.
    pub rows: Vec<Row>,
    /// The name that the next page starts after, if there may be more.
    pub next: Option<ServiceName>,
    /// How many open promotions there are, in all services that the reader may read.
    pub open: u64,
    /// Whether there may be more than were counted: those that the reader may not read count to the rows that are looked
    /// at (`SECURITY.md`).
    pub open_cut: bool,
}

/// A page of the services that somebody may read and that fit, in order of name, starting after `after`. Those that are
/// pinned come before them on the first page, and on no other.
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
    let columns = columns(&governance, filter)?;
    let reader = Reader { governance: &governance, principal, now };
    let found = open(engine, &reader, filter.wanted == Some(Wanted::Mine))?;
    let mut reported = BTreeSet::new();
    for column in &columns {
        if runs::is_reported(engine.store(), &column.environment)? {
            reported.insert(column.environment.clone());
        }
    }
    let freezes = governance.freezes().iter().filter(|freeze| governance.is_frozen_by(freeze, now)).collect();
    let view = View {
        engine,
        reader,
        columns: &columns,
        freezes,
        unreviewed: governance.unreviewed(),
        reported,
        open: found.cells,
        candidates: found.candidates,
    };
    let (mut rows, next) = view.walk(filter, after, most.clamp(1, PAGE_MAX))?;
    for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
        if let Some(running) = &cell.running {
            cell.rollback = reader::request_of(engine.store(), running.promotion)?.kind == PromotionKind::Rollback;
        }
    }
    let cells = rows.iter_mut().flat_map(|row| &mut row.cells);
    for open in cells.filter_map(|cell| cell.open.as_mut()).take(DETAILS_MAX) {
        describe(engine, &governance, open)?;
    }
    Ok(Page { columns, rows, next, open: found.counted, open_cut: found.cut })
}

/// The environments of the policy set, or the one that is filtered by.
fn columns(governance: &Governance, filter: &Filter) -> Result<Vec<Column>, Fault> {
    if let Some(wanted) = &filter.environment {
        environment::check(&governance.policy, wanted)?;
    }
    let wanted = |name: &EnvName| filter.environment.as_ref().is_none_or(|only| only == name);
    let all = governance.policy.environments().iter().filter(|environment| wanted(&environment.name));
    Ok(all
        .map(|environment| Column { environment: environment.name.clone(), after: environment.after.last().cloned() })
        .collect())
}

/// Who looks, and when.
#[derive(Clone, Copy)]
struct Reader<'a> {
    governance: &'a Governance,
    principal: &'a PersonId,
    now: UnixMillis,
}

impl Reader<'_> {
    fn may_read(&self, object: Object<'_>) -> bool {
        may_read(self.governance, self.principal, object)
    }

    fn could_approve(&self, service: &ServiceName, environment: &EnvName) -> bool {
        inbox::could_approve(self.governance, self.principal, service, environment, self.now)
    }
}

/// Open promotions by service and environment: of each cell the newest.
type OpenCells = BTreeMap<ServiceName, BTreeMap<EnvName, (PromotionId, ReleaseName)>>;

/// The open promotions that may wait for the reader, by service.
type Candidates = BTreeMap<ServiceName, Vec<(EnvName, PromotionId, ReleaseName)>>;

/// The open promotions that somebody may read.
#[derive(Default)]
struct OpenFound {
    cells: OpenCells,
    candidates: Candidates,
    /// How many they are in each environment.
    by_environment: BTreeMap<EnvName, u64>,
    /// How many they are.
    counted: u64,
    /// Whether there are more.
    cut: bool,
}

/// The open promotions that somebody may read; with `mine`, also which of them may wait for that reader.
fn open(engine: &Engine, by: &Reader<'_>, mine: bool) -> Result<OpenFound, Fault> {
    let (mut found, mut read) = (OpenFound::default(), 0);
    let mut after: Option<String> = None;
    loop {
        let rows = engine.store().projections(OPEN_PROMOTIONS, after.as_deref(), ROWS)?;
        for (key, value) in &rows {
            let Some((promotion, release)) = reader::open_promotion(key, value) else { continue };
            let Some(environment) = key.split('/').next().and_then(|name| name.parse::<EnvName>().ok()) else {
                continue;
            };
            if !by.may_read(Object::Target(&release.service, &environment)) {
                continue;
            }
            found.counted += 1;
            *found.by_environment.entry(environment.clone()).or_default() += 1;
            if mine && by.could_approve(&release.service, &environment) {
                let candidates = found.candidates.entry(release.service.clone()).or_default();
                candidates.push((environment.clone(), promotion, release.clone()));
            }
            let cell = found.cells.entry(release.service.clone()).or_default();
            if cell.get(&environment).is_none_or(|(known, _)| *known < promotion) {
                cell.insert(environment, (promotion, release));
            }
        }
        read += rows.len();
        if rows.len() < ROWS {
            return Ok(found);
        }
        if read >= OPEN_MAX {
            found.cut = true;
            return Ok(found);
        }
        after = rows.last().map(|(key, _)| key.clone());
    }
}

/// What rows are made from.
struct View<'a> {
    engine: &'a Engine,
    reader: Reader<'a>,
    columns: &'a [Column],
    freezes: Vec<&'a Freeze>,
    /// What was let past gates and has no review yet.
    unreviewed: Vec<&'a BreakGlass>,
    /// The environments in which anybody ever reported what runs.
    reported: BTreeSet<EnvName>,
    open: OpenCells,
    candidates: Candidates,
}

impl View<'_> {
    fn walk(
        &self,
        filter: &Filter,
        after: Option<&ServiceName>,
        most: usize,
    ) -> Result<(Vec<Row>, Option<ServiceName>), Fault> {
        let text = filter.text.trim().to_lowercase();
        let (mut rows, mut looked) = (Vec::new(), 0);
        if after.is_none() {
            self.pinned(filter, &text, &mut rows, &mut looked)?;
        }
        // The cursor is a name that the reader may read; one that is hidden would tell that it exists.
        let mut seen: Option<ServiceName> = None;
        let mut after = after.map(|service| format!("service:{service}"));
        loop {
            let heads = self.engine.store().stream_heads("service:", after.as_deref(), NAMES)?;
            for (stream, _) in &heads {
                let name = stream.as_str().strip_prefix("service:").and_then(|name| name.parse::<ServiceName>().ok());
                let Some(service) = name.filter(|name| self.is_named(name, &text)) else { continue };
                if filter.pinned.contains(&service) || !self.could_fit(&service, filter.wanted) {
                    continue;
                }
                if (rows.len() >= most || looked >= CELLS_MAX) && seen.is_some() {
                    return Ok((rows, seen));
                }
                seen = Some(service.clone());
                rows.extend(self.fitting(service, filter.wanted, &mut looked)?);
            }
            match heads.last() {
                Some((stream, _)) if heads.len() == NAMES => after = Some(stream.as_str().to_owned()),
                _ => return Ok((rows, None)),
            }
        }
    }

    /// The rows that come first. A name that nothing was published under, or that the reader may not read, has none.
    fn pinned(&self, filter: &Filter, text: &str, rows: &mut Vec<Row>, looked: &mut usize) -> Result<(), Fault> {
        for service in &filter.pinned {
            let is_there = self.engine.store().stream_head(&StreamName::service(service))?.is_some();
            if is_there && self.is_named(service, text) && self.could_fit(service, filter.wanted) {
                rows.extend(self.fitting(service.clone(), filter.wanted, looked)?);
            }
        }
        Ok(())
    }

    fn is_named(&self, service: &ServiceName, text: &str) -> bool {
        service.as_str().contains(text) && self.reader.may_read(Object::Service(service))
    }

    fn is_shown(&self, environment: &EnvName) -> bool {
        self.columns.iter().any(|column| column.environment == *environment)
    }

    /// Whether a service can fit, as far as that is known without its cells.
    fn could_fit(&self, service: &ServiceName, wanted: Option<Wanted>) -> bool {
        let mut environments = self.columns.iter().map(|column| &column.environment);
        match wanted {
            Some(Wanted::Open) => {
                let open = self.open.get(service);
                open.is_some_and(|open| environments.any(|environment| open.contains_key(environment)))
            }
            Some(Wanted::Mine) => {
                let candidates = self.candidates.get(service);
                candidates.is_some_and(|all| all.iter().any(|(environment, ..)| self.is_shown(environment)))
            }
            Some(Wanted::Frozen) => environments.any(|environment| self.is_frozen(service, environment)),
            Some(Wanted::Drift) => !self.reported.is_empty(),
            Some(Wanted::Behind(_) | Wanted::Old(_)) | None => true,
        }
    }

    /// The row of a service, if one of its cells is what is wanted.
    fn fitting(&self, service: ServiceName, wanted: Option<Wanted>, looked: &mut usize) -> Result<Option<Row>, Fault> {
        let mut row = self.row(service, looked)?;
        if wanted == Some(Wanted::Mine) {
            // Of pinned services alone there can be more than a page may cost: these are shown without being asked about.
            if *looked >= CELLS_MAX {
                return Ok(Some(row));
            }
            self.find_mine(&mut row, looked)?;
        }
        Ok(Some(row).filter(|row| self.fits(row, wanted)))
    }

    fn fits(&self, row: &Row, wanted: Option<Wanted>) -> bool {
        let mut cells = row.cells.iter();
        match wanted {
            Some(Wanted::Behind(more)) => cells.any(|cell| cell.behind && cell.behind_by.is_none_or(|by| by > more)),
            Some(Wanted::Old(span)) => {
                let mut running = cells.filter_map(|cell| cell.running.as_ref());
                running.any(|running| self.reader.now.since(running.since) >= span)
            }
            Some(Wanted::Drift) => cells.any(|cell| cell.drift.is_some()),
            Some(Wanted::Mine) => cells.any(|cell| cell.open.as_ref().is_some_and(|open| open.mine)),
            Some(Wanted::Open | Wanted::Frozen) | None => true,
        }
    }

    /// Puts into each cell the newest promotion that waits for the reader, by what the inbox finds.
    fn find_mine(&self, row: &mut Row, looked: &mut usize) -> Result<(), Fault> {
        let mut candidates = self.candidates.get(&row.service).cloned().unwrap_or_default();
        candidates.retain(|(environment, ..)| self.is_shown(environment));
        candidates.sort_by_key(|(_, promotion, _)| std::cmp::Reverse(*promotion));
        for (environment, promotion, release) in candidates.into_iter().take(CANDIDATES_MAX) {
            let place = self.columns.iter().position(|column| column.environment == environment);
            let Some(cell) = place.and_then(|place| row.cells.get_mut(place)) else { continue };
            if cell.open.as_ref().is_some_and(|open| open.mine) {
                continue;
            }
            *looked += DECISION_CELLS;
            if inbox::waiting(self.engine, self.reader.principal, promotion, self.reader.now)?.is_some() {
                cell.open = Some(Open { mine: true, ..Open::new(promotion, release) });
            }
        }
        Ok(())
    }

    fn row(&self, service: ServiceName, looked: &mut usize) -> Result<Row, Fault> {
        let mut known: BTreeMap<&EnvName, Option<Running>> = BTreeMap::new();
        for column in self.columns {
            for environment in std::iter::once(&column.environment).chain(&column.after) {
                if known.contains_key(environment) {
                    continue;
                }
                *looked += 1;
                let running = match self.reader.may_read(Object::Target(&service, environment)) {
                    true => reader::running(self.engine.store(), environment, &service)?,
                    false => None,
                };
                known.insert(environment, running);
            }
        }
        let running = |environment: &EnvName| known.get(environment).and_then(Option::as_ref);
        let mut versions: Option<Versions> = None;
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let here = running(&column.environment);
            let pair = here.zip(column.after.as_ref().and_then(running));
            let pair = pair.map(|(here, there)| (&here.release, &there.release));
            let behind = pair.filter(|(here, there)| here.version < there.version);
            if behind.is_some() && versions.is_none() {
                versions = Some(self.versions(&service, looked)?);
            }
            let behind_by = behind
                .zip(versions.as_ref())
                .and_then(|((here, there), versions)| versions.between(&here.version, &there.version));
            cells.push(Cell {
                running: here.cloned(),
                same: pair.is_some_and(|(here, there)| here == there),
                behind: behind.is_some(),
                behind_by,
                drift: self.drift(&service, &column.environment, here, looked)?,
                rollback: false,
                break_glass: self.is_let_past(&service, &column.environment),
                frozen: self.is_frozen(&service, &column.environment),
                open: self.open_at(&service, &column.environment),
            });
        }
        Ok(Row { service, cells })
    }

    /// The versions of a service that were published, by the names of their streams: no entry is read.
    fn versions(&self, service: &ServiceName, looked: &mut usize) -> Result<Versions, Fault> {
        let heads = self.engine.store().stream_heads(&format!("release:{service}@"), None, RELEASES_MAX + 1)?;
        *looked += 1 + heads.len() / NAMES_A_CELL;
        if heads.len() > RELEASES_MAX {
            return Ok(Versions(None));
        }
        let named = heads.iter().filter_map(|(stream, _)| stream.as_str().strip_prefix("release:"));
        let releases = named.filter_map(|name| name.parse::<ReleaseName>().ok());
        Ok(Versions(Some(releases.map(|release| release.version).collect())))
    }

    fn drift(
        &self,
        service: &ServiceName,
        environment: &EnvName,
        running: Option<&Running>,
        looked: &mut usize,
    ) -> Result<Option<Standing>, Fault> {
        if !self.reported.contains(environment) || !self.reader.may_read(Object::Target(service, environment)) {
            return Ok(None);
        }
        *looked += 1;
        drift::difference(self.engine.store(), service, environment, running)
    }

    fn is_frozen(&self, service: &ServiceName, environment: &EnvName) -> bool {
        self.freezes.iter().any(|freeze| {
            freeze.event.service.as_ref().is_none_or(|frozen| frozen == service)
                && freeze.event.environment.as_ref().is_none_or(|frozen| frozen == environment)
        })
    }

    fn is_let_past(&self, service: &ServiceName, environment: &EnvName) -> bool {
        let is_here = |event: &BreakGlassOpened| event.release.service == *service && event.environment == *environment;
        self.unreviewed.iter().any(|opened| is_here(&opened.event))
            && self.reader.may_read(Object::Target(service, environment))
    }

    fn open_at(&self, service: &ServiceName, environment: &EnvName) -> Option<Open> {
        let (promotion, release) = self.open.get(service)?.get(environment)?;
        Some(Open::new(*promotion, release.clone()))
    }
}

/// The versions of one service; none where there are too many to count.
struct Versions(Option<Vec<Version>>);

impl Versions {
    /// How many are newer than one and not newer than the other.
    fn between(&self, older: &Version, newer: &Version) -> Option<u64> {
        let all = self.0.as_ref()?;
        let count = all.iter().filter(|version| *version > older && *version <= newer).count();
        Some(count as u64).filter(|count| *count > 0)
    }
}

impl Open {
    /// A promotion of which nothing else is known yet.
    fn new(promotion: PromotionId, release: ReleaseName) -> Self {
        Self {
            promotion,
            release,
            mine: false,
            expires_at: None,
            outcome: None,
            approvals: 0,
            needed: None,
            gates: Vec::new(),
        }
    }
}

/// Adds what was decided last about an open promotion, who has approved it since, and when it ends.
fn describe(engine: &Engine, governance: &Governance, open: &mut Open) -> Result<(), Fault> {
    let store = engine.store();
    let aliases = governance.policy.aliases();
    let mut taken_back: BTreeSet<Digest> = BTreeSet::new();
    let mut approvers: BTreeSet<PersonId> = BTreeSet::new();
    let mut decision: Option<DecisionRecorded> = None;
    // Newest first: what was taken back is met before what it takes back.
    for (_, index) in store.stream_page_newest(&StreamName::promotion(open.promotion), None, ENTRIES_MAX)? {
        match reader::entry(store, index)?.event {
            Event::PromotionRequested(event) => open.expires_at = Some(event.expires_at),
            Event::ApprovalWithdrawn(event) => taken_back.extend(event.approvals),
            Event::ApprovalRecorded(event)
                if event.verdict == Verdict::Approve && !taken_back.contains(&event.document) =>
            {
                approvers.insert(aliases.person(&event.approver).clone());
            }
            Event::DecisionRecorded(event) if decision.is_none() => decision = Some(event),
            _ => {}
        }
    }
    if open.expires_at.is_none() {
        // What was asked for stands first, and there were more entries since.
        open.expires_at = Some(reader::request_of(store, open.promotion)?.expires_at);
    }
    open.approvals = approvers.len() as u64;
    let Some(decision) = decision else { return Ok(()) };
    open.outcome = Some(decision.outcome);
    let blocks = |outcome: GateOutcome| matches!(outcome, GateOutcome::Fail | GateOutcome::Pending);
    open.gates = decision.gates.iter().filter(|line| blocks(line.outcome)).map(|line| line.gate.clone()).collect();
    if decision.outcome == Outcome::Pending {
        let gates = recorded(engine, &decision.decision)?.gates;
        let waiting = gates.iter().filter(|gate| gate.kind == APPROVALS && gate.outcome == GateOutcome::Pending);
        open.needed = waiting.filter_map(|gate| leading_number(&gate.needed)).max();
    }
    Ok(())
}

/// The number that a demand begins with, such as `2 approvals by group approvers`.
fn leading_number(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_between_two_are_counted_by_version_and_not_by_when_they_came() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let all = ["1.10.0", "1.9.0", "1.2.1", "1.2.0", "2.0.0", "1.10.0-rc.1"].map(version).to_vec();
        let check = |older: &str, newer: &str, wanted: Option<u64>| {
            let found = Versions(Some(all.clone())).between(&version(older), &version(newer));
            assert_eq!(found, wanted, "{older} {newer}");
        };
        check("1.2.0", "1.2.1", Some(1));
        check("1.2.0", "1.10.0", Some(4));
        check("1.9.0", "2.0.0", Some(3));
        // What is not among them at all has no number.
        check("2.0.0", "3.0.0", None);
        assert_eq!(Versions(None).between(&version("1.0.0"), &version("2.0.0")), None);
    }

    #[test]
    fn a_demand_begins_with_its_number() {
        let check = |text: &str, wanted: Option<u64>| assert_eq!(leading_number(text), wanted, "{text}");
        check("2 approvals by group approvers", Some(2));
        check("1 approval", Some(1));
        check("approvals", None);
        check("", None);
    }
}
