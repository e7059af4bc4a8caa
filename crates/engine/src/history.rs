//! History: one stream, newest first, a page at a time.

use lockgate_ledger::{Entry, Event, Leaf};
use lockgate_model::{EntryIndex, EnvName, Limits, PersonId, ServiceName, StreamName, UnixMillis};

use crate::authorise::{may_read_event, may_read_stream};
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::reader;

/// The most entries of one page.
pub const PAGE_MAX: usize = 200;
/// How many pages of what a reader may not see are passed over at once.
const HIDDEN_PAGES_MAX: usize = 16;

/// How many entries one search looks at.
pub const SCAN_MAX: usize = 5_000;
/// How many leaves of the whole ledger a search reads at once.
const WINDOW: u64 = 512;

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

/// Which entries are looked for; what is empty leaves all in.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Streams that the entry belongs to, each of them; the first one is walked.
    pub streams: Vec<StreamName>,
    /// The service that it is about.
    pub service: Option<ServiceName>,
    /// The environment that it is about, as far as the entry itself says so.
    pub environment: Option<EnvName>,
    /// Its event, such as `key.revoked`, or the first part of that.
    pub event: Option<String>,
    /// From when on, in ledger time.
    pub since: Option<UnixMillis>,
    /// Before when.
    pub until: Option<UnixMillis>,
}

/// What a search found, newest first.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The entries.
    pub items: Vec<Item>,
    /// The number that the next page starts before, if there may be more.
    pub next: Option<u64>,
    /// The oldest entry that was looked at.
    pub scanned_to: Option<EntryIndex>,
}

impl Filter {
    /// Whether it leaves nothing out but by one stream.
    pub fn is_plain(&self) -> bool {
        self.streams.len() <= 1
            && self.service.is_none()
            && self.environment.is_none()
            && self.event.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }

    fn fits(&self, entry: &Entry) -> bool {
        let name = entry.event.name();
        let is_about = |service: &ServiceName| match &entry.event {
            Event::WaiverGranted(waiver) => waiver.service == *service,
            other => other.release().is_some_and(|release| release.service == *service),
        };
        let is_for = |environment: &EnvName| match &entry.event {
            Event::PromotionRequested(asked) => asked.environment == *environment,
            Event::WaiverGranted(waiver) => waiver.environment == *environment,
            _ => entry.link(&StreamName::environment(environment)).is_some(),
        };
        let starts =
            |event: &String| name == event || name.strip_prefix(event).is_some_and(|rest| rest.starts_with('.'));
        self.streams.iter().all(|stream| entry.link(stream).is_some())
            && self.service.as_ref().is_none_or(is_about)
            && self.environment.as_ref().is_none_or(is_for)
            && self.event.as_ref().is_none_or(starts)
            && self.until.is_none_or(|until| entry.time < until)
    }
}

/// Looks through one stream or the whole ledger, newest first, before number `before`, for what somebody may read, fits
/// the filter and is what `says` wants. Looks at [`SCAN_MAX`] entries at most, and says how far it came.
///
/// # Errors
/// What the store says.
pub fn search(
    engine: &Engine,
    principal: &PersonId,
    filter: &Filter,
    says: impl Fn(&Item) -> bool,
    before: Option<u64>,
    most: usize,
) -> Result<Found, Fault> {
    let walked = filter.streams.first();
    let mut found = Found::default();
    if let Some(stream) = walked
        && !may_read_stream(engine, principal, stream)?
    {
        return Ok(found);
    }
    let governance = engine.governance()?;
    let most = most.clamp(1, PAGE_MAX);
    let (mut before, mut looked) = (before, 0);
    loop {
        let (page, next) = window(engine, walked, before)?;
        for item in page {
            // Ledger time never decreases: whatever is left is older still.
            if filter.since.is_some_and(|since| item.entry.time < since) {
                return Ok(found);
            }
            looked += 1;
            let seq = item.seq;
            found.scanned_to = Some(item.index);
            if filter.fits(&item.entry) && may_read_event(&governance, principal, &item.entry.event) && says(&item) {
                found.items.push(item);
            }
            if found.items.len() == most || looked == SCAN_MAX {
                found.next = (seq > 0).then_some(seq);
                return Ok(found);
            }
        }
        if next.is_none() {
            return Ok(found);
        }
        before = next;
    }
}

/// The next entries to look at, newest first, and where those after them end.
fn window(
    engine: &Engine,
    stream: Option<&StreamName>,
    before: Option<u64>,
) -> Result<(Vec<Item>, Option<u64>), Fault> {
    if stream.is_some() {
        let page = history(engine, stream, before, PAGE_MAX)?;
        let next = page.last().map(|item| item.seq).filter(|seq| *seq > 0 && page.len() == PAGE_MAX);
        return Ok((page, next));
    }
    let size = engine.published().head.size.0;
    let end = before.unwrap_or(size).min(size);
    let first = end.saturating_sub(WINDOW);
    Ok((decoded(engine, first, end, usize::MAX)?, (first > 0).then_some(first)))
}

fn whole(engine: &Engine, before: Option<u64>, most: usize) -> Result<Vec<Item>, Fault> {
    let size = engine.published().head.size.0;
    let end = before.unwrap_or(size).min(size);
    // Leaves of attestations are not events: read a little more than a page of leaves to fill a page of events.
    decoded(engine, end.saturating_sub(most as u64 * 2), end, most)
}

/// The events of a range of the ledger, newest first, `most` at most.
fn decoded(engine: &Engine, first: u64, end: u64, most: usize) -> Result<Vec<Item>, Fault> {
    let leaves = engine.store().entries(EntryIndex(first), usize::try_from(end - first).unwrap_or(usize::MAX))?;
    let mut items = Vec::new();
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
