//! Feeds in the ledger: snapshots of KEV and EPSS, recorded by digest and date.
//!
//! The entry is small and stands in the governance stream, so that every bundle from after it shows which snapshot was
//! the newest. The bytes are a body like evidence; a decision names the snapshots that it used, and whoever makes it
//! again reads the rows from those bytes. A feed is not signed by its maker: it is believed as far as the permission
//! `feeds` of whoever recorded it reaches, and it can only add to what scanners say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use lockgate_evidence::feed;
use lockgate_model::facts::{FeedFact, FeedKind, Kev};
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, PersonId, ServiceName, Span, UnixMillis};
use lockgate_policy::Permission;

use crate::bodies::{Bodies, required};
use crate::facts::ClaimCache;
use crate::governance::Governance;
use crate::state::ApplyError;

/// How far ahead of the ledger's time a snapshot's own date may be: it is a day, not a moment.
const AHEAD_MAX: Span = Span::from_secs(86_400);
/// How many read snapshots are remembered.
const CACHE_ITEMS: usize = 4;

/// Body of `feed.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedRecorded {
    /// Which feed.
    pub feed: FeedKind,
    /// The digest of the snapshot's bytes.
    pub digest: Digest,
    /// Their length.
    pub size_bytes: u64,
    /// The snapshot's own date.
    pub date: UnixMillis,
    /// How many vulnerabilities it tells of.
    pub rows: u64,
}

/// A snapshot that a decision used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedUsed {
    /// Which feed.
    pub feed: FeedKind,
    /// The digest of the snapshot's bytes.
    pub digest: Digest,
    /// The `feed.recorded` entry.
    pub index: EntryIndex,
    /// The snapshot's own date.
    pub date: UnixMillis,
}

impl FeedUsed {
    /// What a decision on these facts names.
    pub fn of(facts: &[FeedFact]) -> Vec<Self> {
        let used = |fact: &FeedFact| Self { feed: fact.feed, digest: fact.digest, index: fact.index, date: fact.date };
        facts.iter().map(used).collect()
    }
}

/// A recorded snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// What was recorded.
    pub event: FeedRecorded,
    /// The entry.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// By whom.
    pub by: PersonId,
}

/// A snapshot that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its own date.
    pub date: UnixMillis,
    /// Entries of the KEV catalogue, by CVE id in upper case.
    kev: BTreeMap<String, Kev>,
    /// EPSS scores in millionths, by CVE id in upper case.
    epss: BTreeMap<String, u32>,
}

impl Snapshot {
    /// Reads a snapshot.
    ///
    /// # Errors
    /// `FEED_TOO_LARGE`, or the reader's own: `FEED_MALFORMED`.
    pub fn read(kind: FeedKind, bytes: &[u8]) -> Result<Self, ApplyError> {
        let limits = &Limits::DEFAULT;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits.feed_bytes {
            return Err(ApplyError::new(
                "FEED_TOO_LARGE",
                format!("{} bytes are over the limit of {} for a feed", bytes.len(), limits.feed_bytes),
            ));
        }
        let refused = |error: lockgate_evidence::EvidenceError| {
            ApplyError::new(error.code, format!("this is no snapshot of the feed {kind}: {}", error.message))
        };
        Ok(match kind {
            FeedKind::Kev => {
                let feed = feed::kev(bytes, limits).map_err(refused)?;
                Self { date: feed.released_at, kev: feed.entries, epss: BTreeMap::new() }
            }
            FeedKind::Epss => {
                let feed = feed::epss(bytes, limits).map_err(refused)?;
                Self { date: feed.scored_at, kev: BTreeMap::new(), epss: feed.scores }
            }
        })
    }

    /// How many vulnerabilities it tells of.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.kev.len().saturating_add(self.epss.len())).unwrap_or(u64::MAX)
    }

    /// What is recorded of it.
    pub fn event(&self, feed: FeedKind, digest: Digest, size_bytes: u64) -> FeedRecorded {
        FeedRecorded { feed, digest, size_bytes, date: self.date, rows: self.rows() }
    }
}

/// Snapshots that were read before, by digest: reading is pure, so remembering is safe.
#[derive(Debug, Default)]
pub(crate) struct SnapshotCache(Mutex<HashMap<(FeedKind, Digest), Arc<Snapshot>>>);

impl SnapshotCache {
    fn read(&self, kind: FeedKind, digest: Digest, bodies: &dyn Bodies) -> Result<Arc<Snapshot>, ApplyError> {
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().get(&(kind, digest)) {
            return Ok(known.clone());
        }
        let fresh = Arc::new(Snapshot::read(kind, &required(bodies, &digest)?)?);
        let mut known = lock();
        if known.len() >= CACHE_ITEMS {
            known.clear();
        }
        known.insert((kind, digest), fresh.clone());
        Ok(fresh)
    }
}

/// Every recorded snapshot, in ledger order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feeds(Vec<Feed>);

impl Governance {
    /// Every recorded snapshot, in ledger order.
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds.0
    }

    /// The newest recorded snapshot of a feed.
    pub fn feed(&self, kind: FeedKind) -> Option<&Feed> {
        self.feeds.0.iter().rev().find(|known| known.event.feed == kind)
    }

    /// Applies `feed.recorded`, recorded at ledger time `time` by `by`.
    ///
    /// The body is not read here: it is read wherever a decision uses it, and has to say what the entry says.
    ///
    /// # Errors
    /// `NOT_PERMITTED`, `FEED_MALFORMED`, `FEED_TOO_LARGE`, `FEED_FUTURE`, `FEED_OLDER` or `FEED_KNOWN`; nothing
    /// changes then.
    pub fn record_feed(
        &mut self,
        event: &FeedRecorded,
        index: EntryIndex,
        time: UnixMillis,
        by: &PersonId,
    ) -> Result<(), ApplyError> {
        if !self.may(by, Permission::Feeds) {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{by}` has no role with the permission `{}`", Permission::Feeds),
            ));
        }
        if event.rows == 0 || event.size_bytes == 0 {
            return Err(ApplyError::new("FEED_MALFORMED", "a snapshot tells of something".to_owned()));
        }
        if event.size_bytes > Limits::DEFAULT.feed_bytes {
            return Err(ApplyError::new(
                "FEED_TOO_LARGE",
                format!("a snapshot has at most {} bytes", Limits::DEFAULT.feed_bytes),
            ));
        }
        if event.date > time.plus(AHEAD_MAX) {
            return Err(ApplyError::new("FEED_FUTURE", format!("the snapshot says that it is of {}", event.date)));
        }
        if let Some(newest) = self.feed(event.feed) {
            if newest.event.digest == event.digest {
                return Err(ApplyError::new(
                    "FEED_KNOWN",
                    format!("this very snapshot is the newest one already, by entry {}", newest.index),
                ));
            }
            if event.date < newest.event.date {
                return Err(ApplyError::new(
                    "FEED_OLDER",
                    format!(
                        "the snapshot is of {}, and entry {} has one of {}",
                        event.date, newest.index, newest.event.date
                    ),
                ));
            }
        }
        self.feeds.0.push(Feed { event: event.clone(), index, time, by: by.clone() });
        Ok(())
    }

    /// Which of these vulnerabilities, in upper case, the newest snapshot of the KEV catalogue lists; none where nobody
    /// recorded one.
    ///
    /// # Errors
    /// As [`Snapshot::read`], and `FEED_MISMATCH` when the bytes say otherwise than the entry.
    pub fn exploited(
        &self,
        names: &BTreeSet<String>,
        bodies: &dyn Bodies,
        cache: &ClaimCache,
    ) -> Result<BTreeSet<String>, ApplyError> {
        let Some(newest) = self.feed(FeedKind::Kev) else { return Ok(BTreeSet::new()) };
        Ok(feed_fact(newest, names, bodies, cache.snapshots())?.kev.into_keys().collect())
    }

    /// The newest snapshots of the feeds that the policy set asks for a service into an environment, each with its rows
    /// about these vulnerabilities. A feed that nobody recorded is left out, and the gate says so.
    ///
    /// # Errors
    /// `FEED_MISMATCH` when the bytes say otherwise than the entry, or what the reader says.
    pub(crate) fn feed_facts(
        &self,
        service: &ServiceName,
        environment: &EnvName,
        names: &BTreeSet<String>,
        bodies: &dyn Bodies,
        cache: &SnapshotCache,
    ) -> Result<Vec<FeedFact>, ApplyError> {
        let asked = self.policy.feeds_for(environment, service);
        let newest = asked.into_iter().filter_map(|kind| self.feed(kind));
        newest.map(|known| feed_fact(known, names, bodies, cache)).collect()
    }
}

fn feed_fact(
    known: &Feed,
    names: &BTreeSet<String>,
    bodies: &dyn Bodies,
    cache: &SnapshotCache,
) -> Result<FeedFact, ApplyError> {
    let event = &known.event;
    let snapshot = cache.read(event.feed, event.digest, bodies)?;
    if snapshot.date != event.date || snapshot.rows() != event.rows {
        return Err(ApplyError::new(
            "FEED_MISMATCH",
            format!("the snapshot {} says otherwise than entry {}, which recorded it", event.digest, known.index),
        ));
    }
    let kev = names.iter().filter_map(|name| Some((name.clone(), snapshot.kev.get(name)?.clone()))).collect();
    let epss = names.iter().filter_map(|name| Some((name.clone(), *snapshot.epss.get(name)?))).collect();
    Ok(FeedFact {
        feed: event.feed,
        digest: event.digest,
        index: known.index,
        date: event.date,
        kev,
        epss_millionths: epss,
    })
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
