//! Staging: what one batch will commit, readable by the requests that come later in the same batch.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_ledger::entry::{Entry, Position, SCHEMA, StreamPosition};
use lockgate_ledger::state::Slice;
use lockgate_ledger::{Actor, Event, Governance, Link, ReleaseState, State};
use lockgate_model::facts::Running;
use lockgate_model::{
    Digest, EntryIndex, EnvName, Limits, PromotionId, ReleaseName, ServiceName, StreamName, UnixMillis,
};
use lockgate_store::{NewEntry, Projection, Store};
use lockgate_tlog::hash::leaf_hash;

use crate::bodies::StoreBodies;
use crate::fault::{Fault, Kind};
use crate::reader;

/// The projection of promotions that can still change: key `<environment>/<service>/<P-n>`, value the release.
pub const OPEN_PROMOTIONS: &str = "open-promotion";

/// What one batch will commit.
///
/// INVARIANT (staged is applied): every entry in `entries` has passed [`State::apply`] on the state just before it.
pub struct Staging<'a> {
    store: &'a dyn Store,
    first: EntryIndex,
    time: UnixMillis,
    entries: Vec<NewEntry>,
    documents: BTreeMap<Digest, Vec<u8>>,
    projections: BTreeMap<(&'static str, String), Option<Vec<u8>>>,
    heads: HashMap<StreamName, StreamPosition>,
    governance: Option<Arc<Governance>>,
    releases: HashMap<ReleaseName, Arc<ReleaseState>>,
    running: HashMap<(EnvName, ServiceName), Running>,
    undo: Vec<Undo>,
}

/// How to take one change back.
enum Undo {
    Document(Digest),
    Projection((&'static str, String), Option<Option<Vec<u8>>>),
    Head(StreamName, Option<StreamPosition>),
    Governance(Option<Arc<Governance>>),
    Release(ReleaseName, Option<Arc<ReleaseState>>),
    Running((EnvName, ServiceName), Option<Running>),
}

/// What a finished staging hands to the store, and what the engine keeps of it.
pub struct Staged {
    /// The entries, in order.
    pub entries: Vec<NewEntry>,
    /// The bodies that are rows.
    pub documents: Vec<(Digest, Vec<u8>)>,
    /// Changed projections.
    pub projections: Vec<Projection>,
    /// The governance state after the batch.
    pub governance: Option<Arc<Governance>>,
    /// What the batch read or changed.
    pub warm: Warm,
}

/// What is kept from batch to batch, so that it is not read again: only the sequencer writes, so it stays exact.
#[derive(Default)]
pub struct Warm {
    releases: HashMap<ReleaseName, Arc<ReleaseState>>,
    heads: HashMap<StreamName, StreamPosition>,
}

impl Warm {
    /// How many releases and stream heads are kept.
    const RELEASES: usize = 256;
    const HEADS: usize = 4096;

    /// Forgets everything once there is too much of it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if self.releases.len() > Self::RELEASES {
            self.releases = HashMap::new();
        }
        if self.heads.len() > Self::HEADS {
            self.heads = HashMap::new();
        }
        self
    }
}

/// A point to go back to when a request fails half-way: how many entries were staged then.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl<'a> Staging<'a> {
    /// Starts a batch whose first entry will have index `first`, at ledger time `time`.
    pub fn begin(
        store: &'a dyn Store,
        first: EntryIndex,
        time: UnixMillis,
        governance: Option<Arc<Governance>>,
        warm: Warm,
    ) -> Self {
        Self {
            store,
            first,
            time,
            entries: Vec::new(),
            documents: BTreeMap::new(),
            projections: BTreeMap::new(),
            heads: warm.heads,
            governance,
            releases: warm.releases,
            running: HashMap::new(),
            undo: Vec::new(),
        }
    }

    /// The ledger time of this batch.
    pub fn time(&self) -> UnixMillis {
        self.time
    }

    /// The store as it was before the batch.
    pub fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// The index that the next entry will have.
    pub fn next_index(&self) -> EntryIndex {
        EntryIndex(self.first.0 + self.entries.len() as u64)
    }

    /// The leaf hash of a staged entry.
    pub fn leaf_hash(&self, index: EntryIndex) -> Option<Digest> {
        let at = usize::try_from(index.0.checked_sub(self.first.0)?).ok()?;
        self.entries.get(at).map(|entry| entry.leaf_hash)
    }

    /// The governance state.
    ///
    /// # Errors
    /// `LEDGER_EMPTY` before entry 0.
    pub fn governance(&self) -> Result<&Arc<Governance>, Fault> {
        self.governance
            .as_ref()
            .ok_or_else(|| Fault::new(Kind::Unavailable, "LEDGER_EMPTY", "the ledger has no first entry"))
    }

    /// A release, from this batch or the store; read by its own stream.
    ///
    /// # Errors
    /// `RELEASE_UNKNOWN`, or what the store says.
    pub fn release(&mut self, name: &ReleaseName) -> Result<Arc<ReleaseState>, Fault> {
        self.release_if_any(name)?
            .ok_or_else(|| Fault::not_found("RELEASE_UNKNOWN", format!("no release {name} is published")))
    }

    /// A release, if it is published.
    ///
    /// # Errors
    /// What the store says.
    pub fn release_if_any(&mut self, name: &ReleaseName) -> Result<Option<Arc<ReleaseState>>, Fault> {
        if let Some(release) = self.releases.get(name) {
            return Ok(Some(release.clone()));
        }
        let Some(governance) = &self.governance else { return Ok(None) };
        let release = reader::release(self.store, governance, name)?;
        if let Some(release) = &release {
            self.releases.insert(name.clone(), release.clone());
        }
        Ok(release)
    }

    /// The release that a promotion is about.
    ///
    /// # Errors
    /// `PROMOTION_UNKNOWN`.
    pub fn release_of(&mut self, promotion: PromotionId) -> Result<Arc<ReleaseState>, Fault> {
        let staged = self.releases.values().find(|release| release.promotions.contains_key(&promotion)).cloned();
        if let Some(release) = staged {
            return Ok(release);
        }
        let name = reader::release_of(self.store, promotion)?;
        self.release(&name)
    }

    /// What runs in an environment, of one service.
    ///
    /// # Errors
    /// What the store says.
    pub fn running(&self, environment: &EnvName, service: &ServiceName) -> Result<Option<Running>, Fault> {
        match self.running.get(&(environment.clone(), service.clone())) {
            Some(running) => Ok(Some(running.clone())),
            None => reader::running(self.store, environment, service),
        }
    }

    /// The newest position of a stream.
    ///
    /// # Errors
    /// What the store says.
    pub fn head(&self, stream: &StreamName) -> Result<Option<StreamPosition>, Fault> {
        match self.heads.get(stream) {
            Some(head) => Ok(Some(head.clone())),
            None => Ok(reader::head(self.store, stream)?),
        }
    }

    /// The slice of state that a decision about `release` into `environment` rests on.
    ///
    /// # Errors
    /// What the store says.
    pub fn slice(&mut self, release: &Arc<ReleaseState>, environment: &EnvName) -> Result<State, Fault> {
        let service = &release.name.service;
        let mut streams = vec![
            StreamName::governance(),
            StreamName::release(&release.name),
            StreamName::running(environment, service),
        ];
        let running = self.running(environment, service)?;
        let policy = self.governance()?.policy.clone();
        let compared = match &running {
            Some(running) if policy.compares_with_running(environment, service) => {
                self.release_if_any(&running.release)?
            }
            _ => None,
        };
        streams.extend(compared.iter().map(|compared| StreamName::release(&compared.name)));
        let neighbours = match policy.neighbours_since(environment, service) {
            Some(span) => {
                self.neighbours(environment, service, UnixMillis(self.time.0.saturating_sub(span.millis())))?
            }
            None => Vec::new(),
        };
        streams.extend(neighbours.iter().map(|other| StreamName::running(environment, &other.release.service)));
        let mut state = self.state_with(&streams)?;
        compared.into_iter().for_each(|compared| state.adopt_release(compared));
        state.adopt_release(release.clone());
        for running in neighbours.into_iter().chain(running) {
            state.adopt_running(environment.clone(), running);
        }
        Ok(state)
    }

    /// What other services were let into an environment since a moment, by this batch too.
    fn neighbours(
        &self,
        environment: &EnvName,
        service: &ServiceName,
        since: UnixMillis,
    ) -> Result<Vec<Running>, Fault> {
        let mut found = reader::grants_since(self.store, environment, since)?;
        let mut running: BTreeMap<ServiceName, Running> =
            std::mem::take(&mut found).into_iter().map(|(service, (_, running))| (service, running)).collect();
        for ((place, service), staged) in &self.running {
            if place == environment {
                running.insert(service.clone(), staged.clone());
            }
        }
        running.retain(|other, running| other != service && running.since >= since);
        Ok(running.into_values().collect())
    }

    fn state_with(&self, streams: &[StreamName]) -> Result<State, Fault> {
        let mut heads = Vec::with_capacity(streams.len());
        for stream in streams {
            heads.extend(self.head(stream)?);
        }
        Ok(State::resume(self.governance.clone(), heads, Some(self.time)))
    }

    /// Adds an entry: fills in its links, applies it, and makes it visible to what follows in the batch.
    ///
    /// # Errors
    /// What [`State::apply`] refuses; the staging is unchanged then.
    pub fn append(&mut self, actor: Actor, more: &[StreamName], event: Event) -> Result<EntryIndex, Fault> {
        let mut streams = event.streams(&actor);
        streams.extend_from_slice(more);
        let mut needed = streams.clone();
        needed.push(StreamName::governance());
        let mut state = self.state_with(&needed)?;
        let touched = event.release().cloned();
        if let Some(name) = &touched
            && let Some(release) = self.release_if_any(name)?
        {
            state.adopt_release(release);
        }
        let links: Vec<Link> = streams.iter().map(|stream| state.next_link(stream)).collect();
        let governance =
            state.head(&StreamName::governance()).map(|head| Position { seq: head.seq, index: head.index });
        let entry = Entry { schema: SCHEMA.to_owned(), time: self.time, actor, governance, streams: links, event };
        let bytes = entry
            .to_leaf(&Limits::DEFAULT)
            .map_err(|error| Fault::new(Kind::TooLarge, "ENTRY_TOO_LARGE", error.to_string()))?;
        let index = self.next_index();
        state.apply(index, &entry, &*self, Slice::Whole)?;
        self.take_over(&state, touched.as_ref(), &entry, index);
        let streams = entry.streams.into_iter().map(|link| (link.stream, link.seq)).collect();
        self.entries.push(NewEntry { leaf_hash: leaf_hash(&bytes), bytes, streams });
        lockgate_failpoint::staged(entry.event.name());
        Ok(index)
    }

    fn take_over(&mut self, state: &State, touched: Option<&ReleaseName>, entry: &Entry, index: EntryIndex) {
        let governance = state.governance().ok().cloned();
        self.undo.push(Undo::Governance(std::mem::replace(&mut self.governance, governance)));
        if let Some(release) = touched.and_then(|name| state.release(name).ok()) {
            let before = self.releases.insert(release.name.clone(), release.clone());
            self.undo.push(Undo::Release(release.name.clone(), before));
        }
        if let Event::GrantIssued(grant) = &entry.event
            && let Some(running) = state.running(&grant.environment, &grant.release.service)
        {
            let key = (grant.environment.clone(), grant.release.service.clone());
            let before = self.running.insert(key.clone(), running.clone());
            self.undo.push(Undo::Running(key, before));
        }
        for link in &entry.streams {
            let position = StreamPosition { stream: link.stream.clone(), seq: link.seq, index };
            let before = self.heads.insert(link.stream.clone(), position);
            self.undo.push(Undo::Head(link.stream.clone(), before));
        }
    }

    /// Adds a `hashedrekord` leaf, which stands in no stream.
    pub fn append_leaf(&mut self, bytes: Vec<u8>) -> EntryIndex {
        let index = self.next_index();
        self.entries.push(NewEntry { leaf_hash: leaf_hash(&bytes), bytes, streams: Vec::new() });
        index
    }

    /// Adds a body that is kept as a row.
    pub fn document(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        if self.documents.insert(digest, bytes).is_none() {
            self.undo.push(Undo::Document(digest));
        }
        digest
    }

    /// Sets or removes a projection.
    pub fn project(&mut self, kind: &'static str, key: String, value: Option<Vec<u8>>) {
        let key = (kind, key);
        let before = self.projections.insert(key.clone(), value);
        self.undo.push(Undo::Projection(key, before));
    }

    /// A projection as it stands: what is staged comes before what is stored.
    ///
    /// # Errors
    /// What the store says.
    pub fn projection(&self, kind: &'static str, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.projections.get(&(kind, key.to_owned())) {
            Some(staged) => Ok(staged.clone()),
            None => Ok(self.store.projection(kind, key)?),
        }
    }

    /// The open promotions of one service into one environment, with their releases.
    ///
    /// # Errors
    /// What the store says.
    pub fn open_promotions(
        &self,
        environment: &EnvName,
        service: &ServiceName,
    ) -> Result<Vec<(PromotionId, ReleaseName)>, Fault> {
        let prefix = format!("{environment}/{service}/");
        let mut found: BTreeMap<String, Vec<u8>> =
            reader::projections_under(self.store, OPEN_PROMOTIONS, &prefix)?.into_iter().collect();
        for ((kind, key), value) in &self.projections {
            if *kind == OPEN_PROMOTIONS && key.starts_with(&prefix) {
                match value {
                    Some(value) => found.insert(key.clone(), value.clone()),
                    None => found.remove(key),
                };
            }
        }
        // The key of `shop` is a prefix of that of `shop/web`: the release tells which service it is.
        let open = found.iter().filter_map(|(key, value)| reader::open_promotion(key, value));
        Ok(open.filter(|(_, release)| release.service == *service).collect())
    }

    /// Remembers this point; only the newest mark can be gone back to.
    pub fn mark(&mut self) -> Mark {
        self.undo.clear();
        Mark(self.entries.len())
    }

    /// Goes back to a point: what was staged after it is gone.
    pub fn go_back(&mut self, mark: Mark) {
        self.entries.truncate(mark.0);
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Document(digest) => {
                    self.documents.remove(&digest);
                }
                Undo::Projection(key, before) => restore_in_tree(&mut self.projections, key, before),
                Undo::Head(stream, before) => restore(&mut self.heads, stream, before),
                Undo::Governance(before) => self.governance = before,
                Undo::Release(name, before) => restore(&mut self.releases, name, before),
                Undo::Running(key, before) => restore(&mut self.running, key, before),
            }
        }
    }

    /// Ends the batch.
    pub fn finish(self) -> Staged {
        let projection = |((kind, key), value)| Projection { kind, key, value };
        Staged {
            entries: self.entries,
            documents: self.documents.into_iter().collect(),
            projections: self.projections.into_iter().map(projection).collect(),
            governance: self.governance,
            warm: Warm { releases: self.releases, heads: self.heads },
        }
    }
}

fn restore<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => map.insert(key, before),
        None => map.remove(&key),
    };
}

fn restore_in_tree<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => map.insert(key, before),
        None => map.remove(&key),
    };
}

/// The key of an open promotion's projection.
pub fn open_key(environment: &EnvName, service: &ServiceName, promotion: PromotionId) -> String {
    format!("{environment}/{service}/{promotion}")
}

impl Bodies for Staging<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        match self.documents.get(digest) {
            Some(bytes) => Ok(Some(Cow::Borrowed(bytes.as_slice()))),
            None => match StoreBodies(self.store).body(digest)? {
                Some(bytes) => Ok(Some(Cow::Owned(bytes.into_owned()))),
                None => Ok(None),
            },
        }
    }

    fn body_reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
        match self.documents.get(digest) {
            Some(bytes) => Ok(Some(Box::new(bytes.as_slice()))),
            None => Ok(StoreBodies(self.store).reader(digest)?.map(|reader| reader as Box<dyn Read + '_>)),
        }
    }
}
