//! Runs: the rows of the index of what is where that say what was reported to run, and what was ever granted where.
//!
//! A report counts when whoever hands it in may deploy there at that moment; from anybody else it makes no row, so that
//! nobody else can put it out of sight either. Two words of each reporter are kept: the newest that some release runs in
//! a place, and the newest about each release there. Words are ordered by when their reporters looked, as they say, which
//! is never later than their entry. A row names the entry that it is from, and is compared with it where it is shown.

use lockgate_ledger::Governance;
use lockgate_ledger::entry::EvidenceRecorded;
use lockgate_model::facts::{CheckOutcome, NamedCheck};
use lockgate_model::{Digest, EntryIndex, EnvName, PersonId, ReleaseName, ServiceName, UnixMillis};
use lockgate_policy::Permission;
use lockgate_store::{Store, StoreError};

use crate::fault::Fault;
use crate::staging::Staging;
use crate::where_index::{Terms, WHERE};

/// The longest report that counts, in bytes: it is read again where it is shown.
pub const BYTES_MAX: u64 = 64 * 1024;
/// Of how many reporters the words about one place are read.
const REPORTERS_MAX: usize = 32;

/// What a check says of what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where.
    pub environment: EnvName,
    /// Whether it runs there; never that the check did not run.
    pub outcome: CheckOutcome,
    /// When the reporter looked, as the report says.
    checked_at: Option<UnixMillis>,
}

impl Word {
    /// What a check says; `None` where it is about something else, or did not run.
    pub fn of(check: &NamedCheck) -> Option<Self> {
        let environment = check.runs_in()?.parse().ok()?;
        let (outcome, checked_at) = (check.outcome, check.checked_at);
        (outcome != CheckOutcome::NotRun).then_some(Self { environment, outcome, checked_at })
    }

    /// When the reporter looked: never later than the report was recorded, and then where it does not say.
    pub fn at(&self, recorded: UnixMillis) -> UnixMillis {
        self.checked_at.map_or(recorded, |at| at.min(recorded))
    }
}

/// A word as a row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// About which release.
    pub release: ReleaseName,
    /// Who handed it in.
    pub by: PersonId,
    /// Whether it runs.
    pub outcome: CheckOutcome,
    /// When the reporter looked.
    pub at: UnixMillis,
    /// The entry that records it.
    pub index: EntryIndex,
    /// The report.
    pub evidence: Digest,
}

impl Row {
    /// The row of a report; `None` for one that is too long to count.
    pub fn of(
        word: &Word,
        event: &EvidenceRecorded,
        by: &PersonId,
        recorded: UnixMillis,
        index: EntryIndex,
    ) -> Option<Self> {
        let row = || Self {
            release: event.release.clone(),
            by: by.clone(),
            outcome: word.outcome,
            at: word.at(recorded),
            index,
            evidence: event.evidence,
        };
        (event.size_bytes <= BYTES_MAX).then(row)
    }

    /// Whether it says that the release runs.
    pub fn says_runs(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Pass | CheckOutcome::Warn)
    }

    /// By what words are ordered: when the reporter looked, then what was recorded later.
    pub fn order(&self) -> (UnixMillis, EntryIndex) {
        (self.at, self.index)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let Self { release, by, outcome, at, index, evidence } = self;
        format!("{release}\t{by}\t{}\t{}\t{}\t{evidence}", outcome.as_str(), at.0, index.0).into_bytes()
    }

    fn read(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('\t');
        let (release, by) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let outcome = match parts.next()? {
            "pass" => CheckOutcome::Pass,
            "warn" => CheckOutcome::Warn,
            "fail" => CheckOutcome::Fail,
            _ => return None,
        };
        let at = UnixMillis(parts.next()?.parse().ok()?);
        let index = EntryIndex(parts.next()?.parse().ok()?);
        Some(Self { release, by, outcome, at, index, evidence: parts.next()?.parse().ok()? })
    }
}

/// What the keys start with of the newest word of each reporter that something runs in a place.
fn place_prefix(environment: &EnvName, service: &ServiceName) -> String {
    format!("runs\t{environment}\t{service}\t")
}

/// What the keys start with of the newest word of each reporter about one release in one environment.
fn release_prefix(environment: &EnvName, release: &ReleaseName) -> String {
    format!("runs-of\t{environment}\t{release}\t")
}

fn granted_key(environment: &EnvName, release: &ReleaseName) -> String {
    format!("granted\t{environment}\t{release}")
}

/// Remembers what a report that is recorded next says of what runs, if it counts.
///
/// # Errors
/// What the store says.
pub fn remember(
    staging: &mut Staging<'_>,
    terms: &Terms,
    by: &PersonId,
    event: &EvidenceRecorded,
) -> Result<(), Fault> {
    let Some(word) = terms.word() else { return Ok(()) };
    let Some(row) = Row::of(word, event, by, staging.time(), staging.next_index()) else { return Ok(()) };
    let rows = rows(word, &row, staging.governance()?, |key| staging.projection(WHERE, key))?;
    for (key, value) in rows {
        staging.project(WHERE, key, Some(value));
    }
    Ok(())
}

/// Remembers that a release was granted in an environment.
pub fn remember_grant(staging: &mut Staging<'_>, environment: &EnvName, release: &ReleaseName, index: EntryIndex) {
    let (key, value) = granted_row(environment, release, index);
    staging.project(WHERE, key, Some(value));
}

/// The row that says where a grant is recorded.
pub fn granted_row(environment: &EnvName, release: &ReleaseName, index: EntryIndex) -> (String, Vec<u8>) {
    (granted_key(environment, release), index.0.to_string().into_bytes())
}

/// The rows that a word changes; `known` gives a row as it stands. None where the reporter may not deploy there, or has
/// said something later already.
///
/// # Errors
/// What `known` says.
pub fn rows(
    word: &Word,
    row: &Row,
    governance: &Governance,
    known: impl Fn(&str) -> Result<Option<Vec<u8>>, Fault>,
) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    if !governance.may_for(&row.by, Permission::Deploy, &row.release.service, &word.environment) {
        return Ok(Vec::new());
    }
    let mut keys = vec![format!("{}{}", release_prefix(&word.environment, &row.release), row.by)];
    if row.says_runs() {
        keys.push(format!("{}{}", place_prefix(&word.environment, &row.release.service), row.by));
    }
    let mut rows = Vec::new();
    for key in keys {
        let before = known(&key)?.as_deref().and_then(Row::read);
        if before.is_none_or(|before| before.order() < row.order()) {
            rows.push((key, row.to_bytes()));
        }
    }
    Ok(rows)
}

/// The words about a place that stand: each reporter's newest that another release runs, unless the same reporter took
/// it back later, and each reporter's newest about the granted release.
///
/// # Errors
/// What the store says.
pub fn words(
    store: &dyn Store,
    environment: &EnvName,
    service: &ServiceName,
    granted: Option<&ReleaseName>,
) -> Result<Vec<Row>, StoreError> {
    let mut words = match granted {
        Some(release) => under(store, &release_prefix(environment, release))?,
        None => Vec::new(),
    };
    for word in under(store, &place_prefix(environment, service))? {
        if granted == Some(&word.release) {
            // What this reporter says of it is among the words already.
            continue;
        }
        let key = format!("{}{}", release_prefix(environment, &word.release), word.by);
        let newest = store.projection(WHERE, &key)?.as_deref().and_then(Row::read);
        if !newest.is_some_and(|newest| !newest.says_runs() && newest.order() > word.order()) {
            words.push(word);
        }
    }
    words.retain(|word| word.release.service == *service);
    Ok(words)
}

fn under(store: &dyn Store, prefix: &str) -> Result<Vec<Row>, StoreError> {
    let page = store.projections(WHERE, Some(prefix), REPORTERS_MAX)?;
    Ok(page.iter().filter(|(key, _)| key.starts_with(prefix)).filter_map(|(_, value)| Row::read(value)).collect())
}

/// Whether anybody ever reported what runs in an environment.
///
/// # Errors
/// What the store says.
pub fn is_reported(store: &dyn Store, environment: &EnvName) -> Result<bool, StoreError> {
    for prefix in [format!("runs\t{environment}\t"), format!("runs-of\t{environment}\t")] {
        let first = store.projections(WHERE, Some(&prefix), 1)?;
        if first.first().is_some_and(|(key, _)| key.starts_with(&prefix)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of these words the one that counts: the newest that something runs, since `since`; where there is none, the newest
/// that something does not. Moments are compared by the second, as reports have them.
pub fn counting(words: Vec<Row>, since: UnixMillis) -> Option<Row> {
    let (mut runs, mut rest) = (None::<Row>, None::<Row>);
    for word in words.into_iter().filter(|word| word.at.secs() >= since.secs()) {
        let best = if word.says_runs() { &mut runs } else { &mut rest };
        if best.as_ref().is_none_or(|best| best.order() < word.order()) {
            *best = Some(word);
        }
    }
    runs.or(rest)
}

/// Where a grant of a release in an environment is recorded.
///
/// # Errors
/// What the store says.
pub fn granted_at(
    store: &dyn Store,
    environment: &EnvName,
    release: &ReleaseName,
) -> Result<Option<EntryIndex>, StoreError> {
    let row = store.projection(WHERE, &granted_key(environment, release))?;
    Ok(row.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok().map(EntryIndex)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_about_what_runs_is_a_word_of_a_moment_that_is_not_to_come() {
        let check = |name: &str, outcome: &str, checked_at: Option<u64>, wanted: Option<u64>| {
            let mut document = serde_json::json!({ "name": name, "outcome": outcome });
            if let Some(at) = checked_at {
                document["checked_at"] = at.into();
            }
            let check: NamedCheck = serde_json::from_value(document).unwrap();
            let found = Word::of(&check).map(|word| word.at(UnixMillis(5_000)).0);
            assert_eq!(found, wanted, "{name} {outcome} {checked_at:?}");
        };
        check("runs-in-production", "pass", None, Some(5_000));
        check("runs-in-production", "pass", Some(1_000), Some(1_000));
        check("runs-in-production", "fail", Some(9_000), Some(5_000));
        check("runs-in-production", "not-run", None, None);
        check("runs-in-", "pass", None, None);
        check("accessibility", "pass", None, None);
    }

    fn row(by: &str, version: &str, outcome: CheckOutcome, at: u64, index: u64) -> Row {
        Row {
            release: format!("shop/web@{version}").parse().unwrap(),
            by: by.parse().unwrap(),
            outcome,
            at: UnixMillis(at),
            index: EntryIndex(index),
            evidence: Digest::of(b"report"),
        }
    }

    #[test]
    fn rows_round_trip_and_nonsense_is_none() {
        for outcome in [CheckOutcome::Pass, CheckOutcome::Warn, CheckOutcome::Fail] {
            let row = row("robot", "1.4.2", outcome, 7, 9);
            assert_eq!(Row::read(&row.to_bytes()), Some(row));
        }
        assert_eq!(Row::read(b"nonsense"), None);
        assert_eq!(Row::read(b"shop/web@1.4.2\trobot\tnot-run\t7\t9\t"), None);
    }

    #[test]
    fn the_newest_that_something_runs_counts_whatever_others_say() {
        use CheckOutcome::{Fail, Pass, Warn};
        let check = |words: &[Row], wanted: Option<u64>| {
            let found = counting(words.to_vec(), UnixMillis(2_500)).map(|row| row.index.0);
            assert_eq!(found, wanted, "{words:?}");
        };
        check(&[], None);
        check(&[row("ann", "1.0.0", Pass, 1_999, 1)], None);
        // A report has seconds; a grant in the same second is not after it.
        check(&[row("ann", "1.0.0", Pass, 2_000, 1)], Some(1));
        check(&[row("ann", "1.0.0", Pass, 3_000, 1), row("bob", "1.0.0", Fail, 9_000, 2)], Some(1));
        check(&[row("ann", "1.0.0", Pass, 4_000, 1), row("bob", "1.1.0", Warn, 3_000, 2)], Some(1));
        check(&[row("ann", "1.0.0", Fail, 3_000, 1), row("bob", "1.0.0", Fail, 4_000, 2)], Some(2));
        check(&[row("ann", "1.0.0", Pass, 3_000, 1), row("bob", "1.1.0", Pass, 3_000, 2)], Some(2));
    }
}
