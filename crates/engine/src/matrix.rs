//! Matrix: what runs where and what is on its way, a page of services at a time, filtered.
//!
//! Names are cheap and cells are not. What names, open promotions and freezes can tell is filtered by first, and cells
//! are read only of what is left: of the services of one page, or, where cells themselves are filtered by, of so many
//! that a page takes no longer; it then says where to go on.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_ledger::entry::DecisionRecorded;
use lockgate_ledger::freeze::Freeze;
use lockgate_ledger::{Event, Governance};
use lockgate_model::facts::{Running, Verdict};
use lockgate_model::{
    Digest, EnvName, GateName, PersonId, PromotionId, ReleaseName, ServiceName, Span, StreamName, UnixMillis,
};
use lockgate_policy::{GateOutcome, Object, Outcome};

use crate::authorise::may_read;
use crate::engine::Engine;
use crate::environment;
use crate::fault::Fault;
use crate::reader;
use crate::staging::OPEN_PROMOTIONS;
use crate::why::recorded;

/// The most rows of one page.
pub const PAGE_MAX: usize = 100;
/// How many rows a page has that says nothing of it: what a browser draws anew without being felt.
pub const PAGE: usize = 50;
/// How many names are read at a time.
const NAMES: usize = 512;
/// How many cells are read for one page at most.
const CELLS_MAX: usize = 2_000;
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
    /// A freeze in force.
    Frozen,
    /// An older version than where it comes from.
    Behind,
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
    /// The services, in order of name.
    pub rows: Vec<Row>,
    /// The name that the next page starts after, if there may be more.
    pub next: Option<ServiceName>,
    /// How many open promotions there are, in all services that the reader may read.
    pub open: u64,
    /// Whether there are more than were counted.
    pub open_cut: bool,
}

/// A page of the services that somebody may read and that fit, in order of name, starting after `after`.
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
    let now = engine.inner().now().max(engine.published().time);
    let columns = columns(&governance, filter)?;
    let (open, counted, open_cut) = open(engine, &governance, principal)?;
    let freezes = governance.freezes().iter().filter(|freeze| governance.is_frozen_by(freeze, now)).collect();
    let view = View { engine, governance: &governance, principal, now, columns: &columns, freezes, open };
    let (mut rows, next) = view.walk(filter, after, most.clamp(1, PAGE_MAX))?;
    let cells = rows.iter_mut().flat_map(|row| &mut row.cells);
    for open in cells.filter_map(|cell| cell.open.as_mut()).take(DETAILS_MAX) {
        describe(engine, &governance, open)?;
    }
    Ok(Page { columns, rows, next, open: counted, open_cut })
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

/// Open promotions by service and environment: of each cell the newest.
type OpenCells = BTreeMap<ServiceName, BTreeMap<EnvName, (PromotionId, ReleaseName)>>;

/// The open promotions that somebody may read, how many they are, and whether there are more.
fn open(engine: &Engine, governance: &Governance, principal: &PersonId) -> Result<(OpenCells, u64, bool), Fault> {
    let (mut cells, mut counted, mut read) = (OpenCells::new(), 0_u64, 0);
    let mut after: Option<String> = None;
    loop {
        let rows = engine.store().projections(OPEN_PROMOTIONS, after.as_deref(), ROWS)?;
        for (key, value) in &rows {
            let Some((promotion, release)) = reader::open_promotion(key, value) else { continue };
            let Some(environment) = key.split('/').next().and_then(|name| name.parse::<EnvName>().ok()) else {
                continue;
            };
            if !may_read(governance, principal, Object::Target(&release.service, &environment)) {
                continue;
            }
            counted += 1;
            let cell = cells.entry(release.service.clone()).or_default();
            if cell.get(&environment).is_none_or(|(known, _)| *known < promotion) {
                cell.insert(environment, (promotion, release));
            }
        }
        read += rows.len();
        if rows.len() < ROWS {
            return Ok((cells, counted, false));
        }
        if read >= OPEN_MAX {
            return Ok((cells, counted, true));
        }
        after = rows.last().map(|(key, _)| key.clone());
    }
}

/// What rows are made from.
struct View<'a> {
    engine: &'a Engine,
    governance: &'a Governance,
    principal: &'a PersonId,
    now: UnixMillis,
    columns: &'a [Column],
    freezes: Vec<&'a Freeze>,
    open: OpenCells,
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
        // The cursor is a name that the reader may read; one that is hidden would tell that it exists.
        let mut seen: Option<ServiceName> = None;
        let mut after = after.map(|service| format!("service:{service}"));
        loop {
            let heads = self.engine.store().stream_heads("service:", after.as_deref(), NAMES)?;
            for (stream, _) in &heads {
                let name = stream.as_str().strip_prefix("service:").and_then(|name| name.parse::<ServiceName>().ok());
                let Some(service) = name.filter(|name| self.is_named(name, &text)) else { continue };
                if !self.could_fit(&service, filter.wanted) {
                    continue;
                }
                if (rows.len() >= most || looked >= CELLS_MAX) && seen.is_some() {
                    return Ok((rows, seen));
                }
                seen = Some(service.clone());
                let row = self.row(service, &mut looked)?;
                if self.fits(&row, filter.wanted) {
                    rows.push(row);
                }
            }
            match heads.last() {
                Some((stream, _)) if heads.len() == NAMES => after = Some(stream.as_str().to_owned()),
                _ => return Ok((rows, None)),
            }
        }
    }

    fn is_named(&self, service: &ServiceName, text: &str) -> bool {
        service.as_str().contains(text) && may_read(self.governance, self.principal, Object::Service(service))
    }

    /// Whether a service can fit, as far as that is known without its cells.
    fn could_fit(&self, service: &ServiceName, wanted: Option<Wanted>) -> bool {
        let mut environments = self.columns.iter().map(|column| &column.environment);
        match wanted {
            Some(Wanted::Open) => {
                let open = self.open.get(service);
                open.is_some_and(|open| environments.any(|environment| open.contains_key(environment)))
            }
            Some(Wanted::Frozen) => environments.any(|environment| self.is_frozen(service, environment)),
            Some(Wanted::Behind | Wanted::Old(_)) | None => true,
        }
    }

    fn fits(&self, row: &Row, wanted: Option<Wanted>) -> bool {
        match wanted {
            Some(Wanted::Behind) => row.cells.iter().any(|cell| cell.behind),
            Some(Wanted::Old(span)) => {
                let mut running = row.cells.iter().filter_map(|cell| cell.running.as_ref());
                running.any(|running| self.now.since(running.since) >= span)
            }
            Some(Wanted::Open | Wanted::Frozen) | None => true,
        }
    }

    fn row(&self, service: ServiceName, looked: &mut usize) -> Result<Row, Fault> {
        let mut known: BTreeMap<&EnvName, Option<Running>> = BTreeMap::new();
        for column in self.columns {
            for environment in std::iter::once(&column.environment).chain(&column.after) {
                if known.contains_key(environment) {
                    continue;
                }
                *looked += 1;
                let running = match may_read(self.governance, self.principal, Object::Target(&service, environment)) {
                    true => reader::running(self.engine.store(), environment, &service)?,
                    false => None,
                };
                known.insert(environment, running);
            }
        }
        let running = |environment: &EnvName| known.get(environment).and_then(Option::as_ref);
        let cell = |column: &Column| {
            let here = running(&column.environment);
            let pair = here.zip(column.after.as_ref().and_then(running));
            Cell {
                running: here.cloned(),
                same: pair.is_some_and(|(here, there)| here.release == there.release),
                behind: pair.is_some_and(|(here, there)| here.release.version < there.release.version),
                frozen: self.is_frozen(&service, &column.environment),
                open: self.open_at(&service, &column.environment),
            }
        };
        let cells = self.columns.iter().map(cell).collect();
        Ok(Row { service, cells })
    }

    fn is_frozen(&self, service: &ServiceName, environment: &EnvName) -> bool {
        self.freezes.iter().any(|freeze| {
            freeze.event.service.as_ref().is_none_or(|frozen| frozen == service)
                && freeze.event.environment.as_ref().is_none_or(|frozen| frozen == environment)
        })
    }

    fn open_at(&self, service: &ServiceName, environment: &EnvName) -> Option<Open> {
        let (promotion, release) = self.open.get(service)?.get(environment)?;
        Some(Open {
            promotion: *promotion,
            release: release.clone(),
            outcome: None,
            approvals: 0,
            needed: None,
            gates: Vec::new(),
        })
    }
}

/// Adds what was decided last about an open promotion, and who has approved it since.
fn describe(engine: &Engine, governance: &Governance, open: &mut Open) -> Result<(), Fault> {
    let store = engine.store();
    let aliases = governance.policy.aliases();
    let mut taken_back: BTreeSet<Digest> = BTreeSet::new();
    let mut approvers: BTreeSet<PersonId> = BTreeSet::new();
    let mut decision: Option<DecisionRecorded> = None;
    // Newest first: what was taken back is met before what it takes back.
    for (_, index) in store.stream_page_newest(&StreamName::promotion(open.promotion), None, ENTRIES_MAX)? {
        match reader::entry(store, index)?.event {
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
    fn a_demand_begins_with_its_number() {
        let check = |text: &str, wanted: Option<u64>| assert_eq!(leading_number(text), wanted, "{text}");
        check("2 approvals by group approvers", Some(2));
        check("1 approval", Some(1));
        check("approvals", None);
        check("", None);
    }
}
