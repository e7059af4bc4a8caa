//! State: the fold over entries. How they follow each other is here, what each event does in `state/events.rs`.

mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockgate_model::facts::Running;
use lockgate_model::{EntryIndex, EnvName, PromotionId, ReleaseName, ServiceName, StreamName, UnixMillis};

use crate::bodies::{Bodies, BodyError};
use crate::entry::{Entry, Event, Link, SCHEMA, StreamPosition};
use crate::governance::Governance;
use crate::release::ReleaseState;

/// Why an entry cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApplyError {
    /// A stable reason code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl ApplyError {
    /// An error with a reason code.
    pub fn new(code: &'static str, message: String) -> Self {
        Self { code, message }
    }
}

impl From<BodyError> for ApplyError {
    fn from(error: BodyError) -> Self {
        let code = match &error {
            BodyError::DigestMismatch { .. } => "DIGEST_MISMATCH",
            BodyError::Unreadable(..) => "BODY_UNREADABLE",
            BodyError::Unreachable(..) => "STORE_FAILED",
            BodyError::Missing(_) => "BODY_MISSING",
        };
        Self::new(code, error.to_string())
    }
}

/// The state at one point of the ledger, or of a slice of it that is complete in the streams that matter.
///
/// A slice (a bundle, or what the server loads for one request) holds whole streams: `governance`, one release, and
/// the head of what runs in a target. The fold is the same.
#[derive(Debug, Clone, Default)]
pub struct State {
    governance: Option<Arc<Governance>>,
    releases: BTreeMap<ReleaseName, Arc<ReleaseState>>,
    promotions: BTreeMap<PromotionId, ReleaseName>,
    running: BTreeMap<(EnvName, ServiceName), Running>,
    streams: BTreeMap<StreamName, StreamPosition>,
    whole: BTreeSet<StreamName>,
    time: Option<UnixMillis>,
}

impl State {
    /// The governance state.
    ///
    /// # Errors
    /// `LEDGER_EMPTY` before entry 0.
    pub fn governance(&self) -> Result<&Arc<Governance>, ApplyError> {
        self.governance
            .as_ref()
            .ok_or_else(|| ApplyError::new("LEDGER_EMPTY", "the ledger has no first entry".to_owned()))
    }

    /// One release.
    ///
    /// # Errors
    /// `RELEASE_UNKNOWN`.
    pub fn release(&self, name: &ReleaseName) -> Result<&Arc<ReleaseState>, ApplyError> {
        self.releases
            .get(name)
            .ok_or_else(|| ApplyError::new("RELEASE_UNKNOWN", format!("no release {name} is published")))
    }

    /// Every release of the slice.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<ReleaseState>> {
        self.releases.values()
    }

    /// The release that a promotion is about.
    pub fn release_of(&self, promotion: PromotionId) -> Option<&ReleaseName> {
        self.promotions.get(&promotion)
    }

    /// What runs in an environment, of one service.
    pub fn running(&self, environment: &EnvName, service: &ServiceName) -> Option<&Running> {
        self.running.get(&(environment.clone(), service.clone()))
    }

    /// What other services than `service` were let into an environment since a moment, by service.
    pub fn neighbours(&self, environment: &EnvName, service: &ServiceName, since: UnixMillis) -> Vec<Running> {
        let beside = |(place, running): &(&(EnvName, ServiceName), &Running)| {
            place.0 == *environment && place.1 != *service && running.since >= since
        };
        self.running.iter().filter(beside).map(|(_, running)| running.clone()).collect()
    }

    /// The newest position of a stream.
    pub fn head(&self, stream: &StreamName) -> Option<&StreamPosition> {
        self.streams.get(stream)
    }

    /// Whether the state holds this stream from its first entry on, without a gap.
    pub fn holds_whole(&self, stream: &StreamName) -> bool {
        self.whole.contains(stream)
    }

    /// Every stream of the slice with its newest position.
    pub fn heads(&self) -> impl Iterator<Item = &StreamPosition> {
        self.streams.values()
    }

    /// The time of the newest entry.
    pub fn time(&self) -> Option<UnixMillis> {
        self.time
    }

    /// The link that the next entry of `stream` carries.
    pub fn next_link(&self, stream: &StreamName) -> Link {
        match self.streams.get(stream) {
            None => Link { stream: stream.clone(), seq: 0, prev: None },
            Some(head) => Link { stream: stream.clone(), seq: head.seq + 1, prev: Some(head.index) },
        }
    }

    /// Starts a slice from parts that were folded before: the governance state and, of streams that the slice does
    /// not hold from their start, the heads.
    pub fn resume(
        governance: Option<Arc<Governance>>,
        heads: impl IntoIterator<Item = StreamPosition>,
        time: Option<UnixMillis>,
    ) -> Self {
        let streams = heads.into_iter().map(|head| (head.stream.clone(), head)).collect();
        Self { governance, streams, time, ..Self::default() }
    }

    /// Adds a release that was folded before.
    pub fn adopt_release(&mut self, release: Arc<ReleaseState>) {
        for id in release.promotions.keys() {
            self.promotions.insert(*id, release.name.clone());
        }
        self.releases.insert(release.name.clone(), release);
    }

    /// Adds what runs in an environment, as read from the newest grant of that stream.
    pub fn adopt_running(&mut self, environment: EnvName, running: Running) {
        self.running.insert((environment, running.release.service.clone()), running);
    }

    /// Sets the head of a stream that the slice does not hold from its start.
    pub fn adopt_head(&mut self, head: StreamPosition) {
        self.streams.insert(head.stream.clone(), head);
    }

    /// Applies the entry at `index`: checks its links, verifies its signatures, changes the state.
    ///
    /// INVARIANT (streams are chains): the entry must be the next one of each of its streams, unless `slice` says that
    /// entries were left out; then [`State::holds_whole`] tells which streams are complete.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; the state is unchanged then.
    pub fn apply(
        &mut self,
        index: EntryIndex,
        entry: &Entry,
        bodies: &dyn Bodies,
        slice: Slice,
    ) -> Result<(), ApplyError> {
        self.check_frame(index, entry, slice)?;
        self.apply_event(index, entry, bodies)?;
        for link in &entry.streams {
            // INVARIANT (whole means without a gap): only a chain from 0 whose every link followed counts.
            let follows = *link == self.next_link(&link.stream);
            if link.seq == 0 {
                self.whole.insert(link.stream.clone());
            } else if !follows {
                self.whole.remove(&link.stream);
            }
            let position = StreamPosition { stream: link.stream.clone(), seq: link.seq, index };
            self.streams.insert(link.stream.clone(), position);
        }
        self.time = Some(entry.time);
        Ok(())
    }

    /// Follows the chain of a release that the slice only compares with: what it is and its evidence are taken in, its
    /// promotions are not. Says whether the entry belongs to a chain that is followed from its beginning.
    ///
    /// # Errors
    /// [`ApplyError`] when the chain has a gap, or the entry does not fit.
    pub fn follow(&mut self, index: EntryIndex, entry: &Entry, bodies: &dyn Bodies) -> Result<bool, ApplyError> {
        let Some(name) = entry.event.release() else { return Ok(false) };
        let stream = StreamName::release(name);
        let Some(link) = entry.link(&stream).filter(|_| entry.schema == SCHEMA) else { return Ok(false) };
        if !self.holds_whole(&stream) && link.seq > 0 {
            return Ok(false);
        }
        if *link != self.next_link(&stream) {
            return Err(ApplyError::new("STREAM_BROKEN", format!("entry {index} is not the next of `{stream}`")));
        }
        if self.time.is_some_and(|time| entry.time < time) && !lockgate_failpoint::planted("clock-not-clamped") {
            return Err(ApplyError::new("TIME_BACKWARDS", format!("entry {index} is earlier than the one before it")));
        }
        self.check_governance_head(index, entry)?;
        if matches!(entry.event, Event::ReleasePublished(_) | Event::EvidenceRecorded(_)) {
            self.apply_event(index, entry, bodies)?;
        }
        self.whole.insert(stream.clone());
        self.streams.insert(stream.clone(), StreamPosition { stream, seq: link.seq, index });
        self.time = Some(entry.time);
        Ok(true)
    }

    fn check_frame(&self, index: EntryIndex, entry: &Entry, slice: Slice) -> Result<(), ApplyError> {
        if entry.schema != SCHEMA {
            return Err(ApplyError::new(
                "ENTRY_SCHEMA",
                format!("`{}` is not an entry schema that this version knows", entry.schema),
            ));
        }
        if self.time.is_some_and(|time| entry.time < time) && !lockgate_failpoint::planted("clock-not-clamped") {
            return Err(ApplyError::new("TIME_BACKWARDS", format!("entry {index} is earlier than the one before it")));
        }
        self.check_governance_head(index, entry)?;
        let mut seen: Vec<&StreamName> = Vec::with_capacity(entry.streams.len());
        for link in &entry.streams {
            let expected = self.next_link(&link.stream);
            let fits = *link == expected || (slice == Slice::Partial && self.leaves_a_gap(link));
            if !fits || seen.contains(&&link.stream) || link.prev.is_some_and(|prev| prev >= index) {
                return Err(ApplyError::new(
                    "STREAM_BROKEN",
                    format!(
                        "entry {index} is number {} of `{}`, but number {} comes next",
                        link.seq, link.stream, expected.seq
                    ),
                ));
            }
            seen.push(&link.stream);
        }
        let expected = entry.event.streams(&entry.actor);
        match expected.iter().all(|stream| seen.contains(&stream)) {
            true => Ok(()),
            false => Err(ApplyError::new(
                "STREAM_MISSING",
                format!("entry {index} does not stand in every stream that it belongs to"),
            )),
        }
    }

    /// The entry must name the governance head that the state has, where the state has one.
    ///
    /// # Errors
    /// `GOVERNANCE_GAP` when governance entries were left out, or made up.
    pub fn check_governance_head(&self, index: EntryIndex, entry: &Entry) -> Result<(), ApplyError> {
        match (self.streams.get(&StreamName::governance()), entry.governance) {
            _ if lockgate_failpoint::planted("governance-gap-allowed") => Ok(()),
            (None, _) => Ok(()),
            (Some(head), Some(named)) if head.seq == named.seq && head.index == named.index => Ok(()),
            _ => Err(ApplyError::new(
                "GOVERNANCE_GAP",
                format!("entry {index} names another newest governance entry than the chain has"),
            )),
        }
    }

    /// Whether the link comes later in its stream than what the state knows, with entries in between.
    fn leaves_a_gap(&self, link: &Link) -> bool {
        match self.streams.get(&link.stream) {
            None => link.seq > 0,
            Some(head) => link.seq > head.seq + 1 && link.prev.is_some_and(|prev| prev > head.index),
        }
    }

    /// What `work` makes of this state under another governance state; afterwards it is as it was.
    ///
    /// For questions such as what another policy set would have decided; nothing is applied meanwhile.
    pub fn under_governance<T>(&mut self, governance: &Arc<Governance>, work: impl FnOnce(&Self) -> T) -> T {
        let own = self.governance.replace(governance.clone());
        let made = work(self);
        self.governance = own;
        made
    }

    fn governance_mut(&mut self) -> Result<&mut Governance, ApplyError> {
        self.governance
            .as_mut()
            .map(Arc::make_mut)
            .ok_or_else(|| ApplyError::new("LEDGER_EMPTY", "the ledger has no first entry".to_owned()))
    }

    fn release_mut(&mut self, name: &ReleaseName) -> Result<&mut ReleaseState, ApplyError> {
        self.releases
            .get_mut(name)
            .map(Arc::make_mut)
            .ok_or_else(|| ApplyError::new("RELEASE_UNKNOWN", format!("no release {name} is published")))
    }
}

/// Whether entries of a stream may have been left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// No: every stream is here from its first entry on.
    Whole,
    /// Yes: the caller asks [`State::holds_whole`] for the streams that matter.
    Partial,
}

impl Event {
    /// The streams that an entry of this event stands in; a release's artifacts come on top.
    pub fn streams(&self, by: &crate::entry::Actor) -> Vec<StreamName> {
        let mut streams = match self {
            Self::LedgerCreated(_)
            | Self::PersonEnrolled(_)
            | Self::KeyAdded(_)
            | Self::KeyRevoked(_)
            | Self::KeyRotated(_)
            | Self::KeyRecovered(_)
            | Self::PersonSuspended(_)
            | Self::PersonReinstated(_)
            | Self::IdentityBound(_)
            | Self::IdentityUnbound(_)
            | Self::ChangeProposed(_)
            | Self::ChangeSigned(_)
            | Self::ChangeRejected(_)
            | Self::PolicyActivated(_)
            | Self::WaiverRequested(_)
            | Self::WaiverGranted(_)
            | Self::WaiverRevoked(_)
            | Self::FeedRecorded(_)
            | Self::AccessReviewed(_)
            | Self::CiTrusted(_)
            | Self::CiUntrusted(_)
            | Self::DelegationGranted(_)
            | Self::DelegationEnded(_)
            | Self::FreezeOrdered(_)
            | Self::FreezeLifted(_)
            | Self::BreakGlassOpened(_)
            | Self::BreakGlassSigned(_)
            | Self::BreakGlassReviewed(_) => vec![StreamName::governance()],
            // It stands in its author's stream alone.
            Self::DrillRecorded(_) => Vec::new(),
            Self::ReleasePublished(event) => {
                vec![StreamName::release(&event.release), StreamName::service(&event.release.service)]
            }
            Self::EvidenceRecorded(event) => vec![StreamName::release(&event.release)],
            Self::PromotionRequested(event) => {
                vec![
                    StreamName::promotions(),
                    StreamName::promotion(event.promotion),
                    StreamName::release(&event.release),
                ]
            }
            Self::ApprovalRecorded(event) => {
                vec![StreamName::promotion(event.promotion), StreamName::release(&event.release)]
            }
            Self::ApprovalWithdrawn(event) => {
                vec![StreamName::promotion(event.promotion), StreamName::release(&event.release)]
            }
            Self::PromotionClosed(event) => {
                vec![StreamName::promotion(event.promotion), StreamName::release(&event.release)]
            }
            Self::DecisionRecorded(event) => vec![
                StreamName::promotion(event.promotion),
                StreamName::release(&event.release),
                StreamName::environment(&event.environment),
            ],
            Self::AttestationsIssued(event) => vec![StreamName::release(&event.release)],
            Self::GrantIssued(event) => vec![
                StreamName::promotion(event.promotion),
                StreamName::release(&event.release),
                StreamName::environment(&event.environment),
                StreamName::running(&event.environment, &event.release.service),
            ],
        };
        if let Some(person) = by.person() {
            streams.push(StreamName::person(person));
        }
        streams
    }
}
