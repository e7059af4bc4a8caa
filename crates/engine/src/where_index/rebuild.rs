//! The index made again from the ledger: where it is missing or of another version, or where somebody asks for it.

use lockgate_ledger::bodies::BodyError;
use lockgate_ledger::contents::{Said, read_recorded};
use lockgate_ledger::entry::EvidenceForm;
use lockgate_ledger::state::Slice;
use lockgate_ledger::{Actor, Entry, Event, Governance, Manifest};
use lockgate_model::{Digest, EntryIndex, Limits, StreamName};
use lockgate_policy::EvidenceKind;
use lockgate_store::{Batch, Head, Projection, Store};

use super::{
    PAGE, PARTIAL, STATE, STATE_KEY, Terms, UP_TO, VERSION, WHERE, about_row, approval_rows, exception_rows,
    release_rows, row,
};
use crate::bodies::StoreBodies;
use crate::fault::{Fault, Kind};
use crate::projections;
use crate::reader;
use crate::runs::{self, Row, Word};

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries read.
    pub entries: u64,
    /// Rows written.
    pub rows: u64,
    /// Pieces of evidence that could not be read, and are not indexed.
    pub unreadable: u64,
}

/// Makes the rows again where they are missing, or written by another version; goes on where that was broken off. The
/// caller is the store's only writer.
///
/// # Errors
/// As [`rebuild`].
pub fn ensure(store: &dyn Store, governance: Option<&Governance>) -> Result<(), Fault> {
    let Some(governance) = governance else { return Ok(()) };
    let state = store.projection(STATE, STATE_KEY)?;
    if state.as_deref() == Some(VERSION.as_bytes()) {
        return Ok(());
    }
    let entries = store.head()?.size.0;
    let first = state.as_deref().and_then(broken_off).filter(|first| *first <= entries);
    tracing::info!(entries, from = first.unwrap_or(0), "making the index of what is where again, before anything else");
    let done = match first {
        Some(first) => fill(store, governance, first)?,
        None => rebuild(store, governance)?,
    };
    tracing::info!(entries = done.entries, rows = done.rows, "made the index of what is where again");
    Ok(())
}

/// How many entries are done of a rebuild by this version that was broken off.
fn broken_off(state: &[u8]) -> Option<u64> {
    std::str::from_utf8(state).ok()?.strip_prefix(VERSION)?.strip_prefix(UP_TO)?.parse().ok()
}

/// The row that says how far the index is made.
fn mark(state: Option<String>) -> Projection {
    Projection { kind: STATE, key: STATE_KEY.to_owned(), value: state.map(String::into_bytes) }
}

/// Throws all rows away and makes them again from the ledger. The caller is the store's only writer.
///
/// A crash on the way leaves an index that is marked with how far it is made, and the next start goes on there.
///
/// # Errors
/// What the store says, or an entry that does not read. Evidence that does not read is counted, and is no error.
pub fn rebuild(store: &dyn Store, governance: &Governance) -> Result<Rebuilt, Fault> {
    let head = store.head()?;
    put(store, &head, vec![mark(None)])?;
    loop {
        let page = store.projections(WHERE, None, PAGE)?;
        if page.is_empty() {
            break;
        }
        let gone = |(key, _)| Projection { kind: WHERE, key, value: None };
        put(store, &head, page.into_iter().map(gone).collect())?;
    }
    fill(store, governance, 0)
}

/// Makes the rows of the entries from `first` on, in their order, and marks the index as whole.
fn fill(store: &dyn Store, governance: &Governance, first: u64) -> Result<Rebuilt, Fault> {
    let head = store.head()?;
    let mut done = Rebuilt::default();
    let mut waiting: Vec<Projection> = Vec::new();
    // Who may deploy is asked of the policy set as it was then.
    let mut past = reader::governed_before(store, EntryIndex(first))?;
    reader::each_entry(store, EntryIndex(first), head.size, |index, entry, _| {
        let mut rows = rows_of(store, governance, index, &entry, &mut done)?;
        if let Some((word, row)) = rows.word {
            let known = |key: &str| waiting_or_stored(store, &waiting, key);
            rows.rows.extend(runs::rows(&word, &row, past.governance()?, known)?);
        }
        if entry.link(&StreamName::governance()).is_some() {
            past.apply(index, &entry, &StoreBodies(store), Slice::Partial)?;
        }
        let rows = rows.rows;
        done.rows += rows.len() as u64;
        waiting.extend(rows.into_iter().map(|(key, value)| Projection { kind: WHERE, key, value: Some(value) }));
        if waiting.len() >= PAGE {
            // In one commit: what is marked as done is there.
            waiting.push(mark(Some(format!("{VERSION}{UP_TO}{}", index.0 + 1))));
            put(store, &head, std::mem::take(&mut waiting))?;
        }
        Ok(())
    })?;
    done.entries = head.size.0.saturating_sub(first);
    waiting.push(mark(Some(VERSION.to_owned())));
    put(store, &head, waiting)?;
    Ok(done)
}

/// A row as it stands: what waits to be written comes after what is stored.
fn waiting_or_stored(store: &dyn Store, waiting: &[Projection], key: &str) -> Result<Option<Vec<u8>>, Fault> {
    match waiting.iter().rev().find(|row| row.kind == WHERE && row.key == key) {
        Some(row) => Ok(row.value.clone()),
        None => Ok(store.projection(WHERE, key)?),
    }
}

/// What one entry gives.
#[derive(Default)]
struct Given {
    rows: Vec<(String, Vec<u8>)>,
    /// What it says of what runs, and where that is written.
    word: Option<(Word, Row)>,
}

impl From<Vec<(String, Vec<u8>)>> for Given {
    fn from(rows: Vec<(String, Vec<u8>)>) -> Self {
        Self { rows, word: None }
    }
}

/// The rows of one entry.
///
/// # Errors
/// `STORE_FAILED` where a body cannot be had now; one that is damaged for good has a row that says so.
fn rows_of(
    store: &dyn Store,
    governance: &Governance,
    index: EntryIndex,
    entry: &Entry,
    done: &mut Rebuilt,
) -> Result<Given, Fault> {
    let body = |digest: &Digest| StoreBodies(store).lasting(digest);
    Ok(match &entry.event {
        Event::ReleasePublished(event) => {
            let manifest = body(&event.manifest)?.and_then(|bytes| Manifest::from_bytes(&bytes, &Limits::DEFAULT).ok());
            manifest.map(|manifest| release_rows(&manifest, &event.manifest)).unwrap_or_default().into()
        }
        Event::ApprovalRecorded(event) => approval_rows(event, index).into(),
        Event::GrantIssued(grant) => vec![runs::granted_row(&grant.environment, &grant.release, index)].into(),
        Event::EvidenceRecorded(event) => {
            let is_signed = !matches!(event.form, EvidenceForm::Report { .. });
            let signed = if is_signed { body(&event.evidence)?.map(Some) } else { Some(None) };
            let read = match read_recorded(event, &StoreBodies(store)) {
                Err(error @ BodyError::Unreachable(..)) => return Err(error.into()),
                read => read.ok(),
            };
            let (Some(signed), Some(Said { claim, components, subjects })) = (signed, read) else {
                done.unreadable += 1;
                let name = event.evidence.to_string();
                return Ok(vec![row(PARTIAL, &event.release, &name, "evidence", "cannot be read")].into());
            };
            let mut terms = Terms::of(&claim, &components);
            if let Some(bytes) = signed {
                terms.add_signers(&event.form, &bytes, &governance.policy);
            }
            let mut rows = terms.rows(&event.release, &event.evidence, EvidenceKind::word_of(&claim));
            if is_signed {
                rows.push(about_row(&event.release, &event.evidence, &subjects));
            }
            let word = match &entry.actor {
                Actor::Subject { id } => terms.word.and_then(|word| {
                    let row = Row::of(&word, event, id, entry.time, index)?;
                    Some((word, row))
                }),
                Actor::System => None,
            };
            Given { rows, word }
        }
        event => exception_rows(governance, event, index).into(),
    })
}

/// Writes rows without an entry: the head stays what it is.
pub(crate) fn put(store: &dyn Store, head: &Head, projections: Vec<Projection>) -> Result<(), Fault> {
    Ok(store.commit(&Batch::of_projections(head, projections))?)
}

/// The same for a store that no server has open, with the other projections: `lockgate doctor --rebuild`.
///
/// # Errors
/// `LEDGER_EMPTY`, or as [`rebuild`].
pub fn rebuild_store(store: &dyn Store) -> Result<Rebuilt, Fault> {
    let governance = reader::governance(store)?
        .ok_or_else(|| Fault::new(Kind::Unavailable, "LEDGER_EMPTY", "the ledger has no first entry"))?;
    let done = rebuild(store, &governance)?;
    projections::remake(store)?;
    Ok(done)
}
