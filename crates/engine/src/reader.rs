//! Reading state by stream: the same fold as everywhere, over one release's own entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_ledger::entry::{PromotionRequested, StreamPosition};
use lockgate_ledger::state::Slice;
use lockgate_ledger::{Entry, Event, Governance, Leaf, ReleaseState, State};
use lockgate_model::facts::Running;
use lockgate_model::{
    EntryIndex, EnvName, Limits, PromotionId, ReleaseName, ServiceName, StreamName, TreeSize, UnixMillis,
};
use lockgate_store::{Store, StoreError};
use lockgate_tlog::hash::{HASH_BYTES, leaf_hash};
use lockgate_tlog::tile::TILE_WIDTH;

use crate::authorise::promotion_unknown;
use crate::bodies::StoreBodies;
use crate::fault::{Fault, Kind};

/// How many rows are read at a time.
const PAGE: usize = 512;

/// Reads one entry that must be there.
///
/// # Errors
/// `ENTRY_MISSING`, `ENTRY_CHANGED` or `ENTRY_INVALID` when the store is damaged.
pub fn entry(store: &dyn Store, index: EntryIndex) -> Result<Entry, Fault> {
    let bytes = store.entry(index)?.ok_or_else(|| missing(index))?;
    match Leaves::of(store).decode(index, &bytes)? {
        Leaf::Entry(entry) => Ok(*entry),
        Leaf::HashedRekord => Err(damaged("ENTRY_INVALID", format!("entry {index} is a leaf of an attestation"))),
    }
}

/// Reads the entries from `first` up to the size of a ledger, in order, each with its bytes; leaves that are no entries
/// are passed over.
///
/// # Errors
/// `ENTRY_MISSING`, `ENTRY_CHANGED` or `ENTRY_INVALID` when the store is damaged; what the store and `visit` say.
pub fn each_entry(
    store: &dyn Store,
    first: EntryIndex,
    size: TreeSize,
    mut visit: impl FnMut(EntryIndex, Entry, &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut leaves = Leaves::of(store);
    let mut next = first.0;
    while next < size.0 {
        let most = usize::try_from(size.0 - next).map_or(PAGE, |left| left.min(PAGE));
        let page = store.entries(EntryIndex(next), most)?;
        if page.is_empty() {
            return Err(missing(EntryIndex(next)));
        }
        for bytes in page {
            let index = EntryIndex(next);
            next += 1;
            if let Leaf::Entry(entry) = leaves.decode(index, &bytes)? {
                visit(index, *entry, &bytes)?;
            }
        }
    }
    Ok(())
}

/// Reads leaves, each compared with the tile that holds its hash; the last tile is kept for the next leaf.
struct Leaves<'a> {
    store: &'a dyn Store,
    tile: Option<(u64, Vec<u8>)>,
}

impl<'a> Leaves<'a> {
    fn of(store: &'a dyn Store) -> Self {
        Self { store, tile: None }
    }

    /// INVARIANT (rows are not believed): an edited row is not what the tree was made of.
    fn decode(&mut self, index: EntryIndex, bytes: &[u8]) -> Result<Leaf, Fault> {
        let width = u64::from(TILE_WIDTH);
        let (number, at) = (index.0 / width, usize::try_from(index.0 % width).unwrap_or_default() * HASH_BYTES);
        let tile = match self.tile.take() {
            Some((known, tile)) if known == number => tile,
            _ => self.store.tile(0, number)?.unwrap_or_default(),
        };
        let is_of_tree = tile.get(at..at + HASH_BYTES) == Some(leaf_hash(bytes).as_bytes().as_slice());
        self.tile = Some((number, tile));
        if !is_of_tree {
            return Err(damaged("ENTRY_CHANGED", format!("entry {index} is not what the tree was made of")));
        }
        Leaf::decode(bytes, &Limits::DEFAULT)
            .map_err(|error| damaged("ENTRY_INVALID", format!("entry {index}: {error}")))
    }
}

fn missing(index: EntryIndex) -> Fault {
    damaged("ENTRY_MISSING", format!("entry {index} is missing"))
}

fn damaged(code: &'static str, message: String) -> Fault {
    Fault::new(Kind::Integrity, code, message).hint("run `lockgate audit`")
}

/// The ledger indices of a whole stream, oldest first.
///
/// # Errors
/// What the store says.
pub fn stream_indices(store: &dyn Store, stream: &StreamName) -> Result<Vec<EntryIndex>, StoreError> {
    let mut indices = Vec::new();
    loop {
        let page = store.stream_page(stream, indices.len() as u64, PAGE)?;
        let done = page.len() < PAGE;
        indices.extend(page.into_iter().map(|(_, index)| index));
        if done {
            return Ok(indices);
        }
    }
}

/// The newest position of a stream.
///
/// # Errors
/// What the store says.
pub fn head(store: &dyn Store, stream: &StreamName) -> Result<Option<StreamPosition>, StoreError> {
    let head = store.stream_head(stream)?;
    Ok(head.map(|head| StreamPosition { stream: stream.clone(), seq: head.seq, index: head.index }))
}

/// Folds the governance stream from entry 0; `None` for an empty ledger.
///
/// # Errors
/// What the fold refuses: a ledger whose governance does not verify is not served.
pub fn governance(store: &dyn Store) -> Result<Option<Arc<Governance>>, Fault> {
    Ok(governed_before(store, EntryIndex(u64::MAX))?.governance().ok().cloned())
}

/// Folds the entries of the governance stream that come before `end`.
///
/// # Errors
/// As [`governance`].
pub fn governed_before(store: &dyn Store, end: EntryIndex) -> Result<State, Fault> {
    let mut state = State::default();
    for index in stream_indices(store, &StreamName::governance())?.into_iter().take_while(|index| *index < end) {
        let entry = entry(store, index)?;
        state.apply(index, &entry, &StoreBodies(store), Slice::Partial)?;
    }
    Ok(state)
}

/// Folds one release's stream; `None` when it is not published.
///
/// # Errors
/// What the fold refuses.
pub fn release(
    store: &dyn Store,
    governance: &Arc<Governance>,
    name: &ReleaseName,
) -> Result<Option<Arc<ReleaseState>>, Fault> {
    let mut state = State::resume(Some(governance.clone()), [], None);
    for index in stream_indices(store, &StreamName::release(name))? {
        let entry = entry(store, index)?;
        state.apply(index, &entry, &StoreBodies(store), Slice::Partial)?;
    }
    Ok(state.release(name).ok().cloned())
}

/// The release that a promotion is about.
///
/// # Errors
/// `PROMOTION_UNKNOWN`.
pub fn release_of(store: &dyn Store, promotion: PromotionId) -> Result<ReleaseName, Fault> {
    Ok(request_of(store, promotion)?.release)
}

/// What was asked for in a promotion.
///
/// # Errors
/// `PROMOTION_UNKNOWN`.
pub fn request_of(store: &dyn Store, promotion: PromotionId) -> Result<PromotionRequested, Fault> {
    let unknown = || promotion_unknown(promotion);
    let page = store.stream_page(&StreamName::promotion(promotion), 0, 1)?;
    let (_, index) = page.first().ok_or_else(unknown)?;
    match entry(store, *index)?.event {
        Event::PromotionRequested(event) => Ok(event),
        _ => Err(unknown()),
    }
}

/// What runs in an environment, of one service: the newest grant of that stream.
///
/// # Errors
/// What the store says.
pub fn running(store: &dyn Store, environment: &EnvName, service: &ServiceName) -> Result<Option<Running>, Fault> {
    let Some(head) = store.stream_head(&StreamName::running(environment, service))? else { return Ok(None) };
    let entry = entry(store, head.index)?;
    Ok(match entry.event {
        Event::GrantIssued(grant) => Some(Running {
            release: grant.release,
            manifest: grant.manifest,
            since: entry.time,
            promotion: grant.promotion,
        }),
        _ => None,
    })
}

/// The newest grant of each service into an environment that was issued since a moment, with its place in the stream of
/// what runs.
///
/// # Errors
/// What the store says.
pub fn grants_since(
    store: &dyn Store,
    environment: &EnvName,
    since: UnixMillis,
) -> Result<BTreeMap<ServiceName, (StreamPosition, Running)>, Fault> {
    let (mut found, mut before) = (BTreeMap::new(), None);
    let stream = StreamName::environment(environment);
    loop {
        let page = store.stream_page_newest(&stream, before, PAGE)?;
        for (seq, index) in &page {
            before = Some(*seq);
            let entry = entry(store, *index)?;
            if entry.time < since {
                return Ok(found);
            }
            let Event::GrantIssued(grant) = &entry.event else { continue };
            let target = StreamName::running(environment, &grant.release.service);
            let Some(link) = entry.link(&target) else { continue };
            let running = Running {
                release: grant.release.clone(),
                manifest: grant.manifest,
                since: entry.time,
                promotion: grant.promotion,
            };
            let position = StreamPosition { seq: link.seq, index: *index, stream: target };
            found.entry(grant.release.service.clone()).or_insert((position, running));
        }
        if page.is_empty() {
            return Ok(found);
        }
    }
}

/// The projections of a kind whose key starts with `prefix`.
///
/// # Errors
/// What the store says.
pub fn projections_under(store: &dyn Store, kind: &str, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    let mut after = prefix.to_owned();
    loop {
        let page = store.projections(kind, Some(&after), PAGE)?;
        let done = page.len() < PAGE;
        for (key, value) in page {
            if !key.starts_with(prefix) {
                return Ok(found);
            }
            after.clone_from(&key);
            found.push((key, value));
        }
        if done {
            return Ok(found);
        }
    }
}

/// Reads an open promotion's projection.
pub fn open_promotion(key: &str, value: &[u8]) -> Option<(PromotionId, ReleaseName)> {
    let id = key.rsplit('/').next()?.parse().ok()?;
    let release = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some((id, release))
}
