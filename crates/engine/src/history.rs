//! History: one stream, newest first, a page at a time.

use lockgate_ledger::{Entry, Leaf};
use lockgate_model::{EntryIndex, Limits, StreamName};

use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::reader;

/// The most entries of one page.
pub const PAGE_MAX: usize = 200;

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
