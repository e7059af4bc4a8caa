//! History: one stream, newest first, a page at a time.

use lockgate_ledger::{Entry, Leaf};
use lockgate_model::{EntryIndex, Limits, PersonId, StreamName};

use crate::authorise::{may_read_event, may_read_stream};
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::reader;

/// The most entries of one page.
pub const PAGE_MAX: usize = 200;
/// How many pages of what a reader may not see are passed over at once.
const HIDDEN_PAGES_MAX: usize = 16;

/// One event.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where.
    pub index: EntryIndex,
    /// Its number in the stream that was asked for, or its index when the whole ledger was.
    pub seq: u64,
    /// What.
    pub entry: Entry,
}

/// A page of one stream, or of the whole ledger, newest first, before number `before`.
///
/// # Errors
/// What the store says.
pub fn history(
    engine: &Engine,
    stream: Option<&StreamName>,
    before: Option<u64>,
    most: usize,
) -> Result<Vec<Item>, Fault> {
    let most = most.clamp(1, PAGE_MAX);
    match stream {
        Some(stream) => engine
            .store()
            .stream_page_newest(stream, before, most)?
            .into_iter()
            .map(|(seq, index)| Ok(Item { index, seq, entry: reader::entry(engine.store(), index)? }))
            .collect(),
        None => whole(engine, before, most),
    }
}

/// The same, of what somebody may read, with the number that the next page starts before, if there is one.
///
/// # Errors
/// What the store says.
pub fn history_for(
    engine: &Engine,
    principal: &PersonId,
    stream: Option<&StreamName>,
    before: Option<u64>,
    most: usize,
) -> Result<(Vec<Item>, Option<u64>), Fault> {
    if let Some(stream) = stream
        && !may_read_stream(engine, principal, stream)?
    {
        return Ok((Vec::new(), None));
    }
    let governance = engine.governance()?;
    let most = most.clamp(1, PAGE_MAX);
    let mut before = before;
    for _ in 0..HIDDEN_PAGES_MAX {
        let page = history(engine, stream, before, most)?;
        let next = page.last().map(|item| item.seq).filter(|seq| *seq > 0 && page.len() == most);
        let readable = |item: &Item| may_read_event(&governance, principal, &item.entry.event);
        let shown: Vec<Item> = page.into_iter().filter(readable).collect();
        if next.is_none() || !shown.is_empty() {
            return Ok((shown, next));
        }
        before = next;
    }
    Ok((Vec::new(), before))
}

fn whole(engine: &Engine, before: Option<u64>, most: usize) -> Result<Vec<Item>, Fault> {
    let size = engine.published().head.size.0;
    let end = before.unwrap_or(size).min(size);
    // Leaves of attestations are not events: read a little more than a page of leaves to fill a page of events.
    let first = end.saturating_sub(most as u64 * 2);
    let leaves = engine.store().entries(EntryIndex(first), usize::try_from(end - first).unwrap_or(most))?;
    let mut items = Vec::with_capacity(most);
    for (at, leaf) in leaves.iter().enumerate().rev() {
        let index = first + at as u64;
        let decoded = Leaf::decode(leaf, &Limits::DEFAULT).map_err(|error| {
            Fault::new(Kind::Integrity, "ENTRY_INVALID", format!("entry {index}: {error}")).hint("run `lockgate audit`")
        })?;
        if let Leaf::Entry(entry) = decoded {
            items.push(Item { index: EntryIndex(index), seq: index, entry: *entry });
        }
        if items.len() == most {
            break;
        }
    }
    Ok(items)
}
