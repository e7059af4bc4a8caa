//! History: one stream, newest first, a page at a time.

use std::collections::BTreeSet;
use std::str::FromStr;

use lockgate_ledger::{Entry, Event};
use lockgate_model::facts::Verdict;
use lockgate_model::{
    Digest, EntryIndex, EnvName, PersonId, ReleaseName, ServiceName, StreamName, TreeSize, UnixMillis,
};
use lockgate_policy::Outcome;
use lockgate_store::Store;

use crate::authorise::may_read_stream;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;
use crate::sight::Sight;
use crate::whereabouts::built;

/// The most entries of one page.
pub const PAGE_MAX: usize = 200;
/// How many entries one search looks at, and how many that a reader may not see are passed over at once.
pub const SCAN_MAX: usize = 5_000;
/// How many leaves of the whole ledger a search reads at once.
const WINDOW: u64 = 512;
/// How many releases of a build are looked up one by one; with more, the whole ledger is walked.
const BUILT_MAX: usize = 200;

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
/// In a stream that number is of an entry that they may read, as in [`search`].
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
    let mut sight = Sight::new(engine.store(), &governance, principal);
    let (mut before, mut size, mut looked) = (before, most, 0);
    loop {
        let page = history(engine, stream, before, size)?;
        looked += page.len();
        let next = page.last().map(|item| item.seq).filter(|seq| *seq > 0 && page.len() == size);
        let mut shown = Vec::new();
        for item in page {
            if sight.event(&item.entry.event)? {
                shown.push(item);
            }
        }
        let is_more = next.is_some() || shown.len() > most;
        let is_told = stream.is_some() || shown.len() > most;
        shown.truncate(most);
        if let Some(last) = shown.last() {
            let next = if is_told { Some(last.seq).filter(|seq| *seq > 0 && is_more) } else { next };
            return Ok((shown, next));
        }
        if next.is_none() || looked >= SCAN_MAX {
            return Ok((shown, next));
        }
        (before, size) = (next, PAGE_MAX);
    }
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
    pub event: Option<EventStart>,
    /// From when on, in ledger time.
    pub since: Option<UnixMillis>,
    /// Before when.
    pub until: Option<UnixMillis>,
    /// How it came out, as a decision or as an approval.
    pub outcome: Option<CameOut>,
    /// The policy set that it was decided under, or that it made active.
    pub policy: Option<DigestStart>,
    /// What the build of its release is known by begins with: a commit, a run, or a builder.
    pub build: Option<String>,
}

/// How something came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameOut {
    /// A decision.
    Decided(Outcome),
    /// An approval or rejection.
    Said(Verdict),
}

/// Why a text is no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no outcome: write allow, deny, pending, approve or reject")]
pub struct OutcomeError(String);

impl FromStr for CameOut {
    type Err = OutcomeError;
    fn from_str(text: &str) -> Result<Self, OutcomeError> {
        match text {
            "allow" => Ok(Self::Decided(Outcome::Allow)),
            "deny" => Ok(Self::Decided(Outcome::Deny)),
            "pending" => Ok(Self::Decided(Outcome::Pending)),
            "approve" => Ok(Self::Said(Verdict::Approve)),
            "reject" => Ok(Self::Said(Verdict::Reject)),
            other => Err(OutcomeError(other.chars().take(64).collect())),
        }
    }
}

impl CameOut {
    fn fits(self, event: &Event) -> bool {
        match (self, event) {
            (Self::Decided(outcome), Event::DecisionRecorded(decision)) => decision.outcome == outcome,
            (Self::Said(verdict), Event::ApprovalRecorded(approval)) => approval.verdict == verdict,
            _ => false,
        }
    }
}

/// The name of an event, or its first part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStart(String);

/// Why a text names no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no event: write one such as approval.recorded, or its first part: {first}", first = first_parts())]
pub struct EventStartError(String);

/// The first parts of all names, each once.
fn first_parts() -> String {
    let parts: BTreeSet<&str> = Event::NAMES.iter().filter_map(|name| name.split('.').next()).collect();
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

impl FromStr for EventStart {
    type Err = EventStartError;
    fn from_str(text: &str) -> Result<Self, EventStartError> {
        let start = Self(text.trim().to_owned());
        match Event::NAMES.iter().any(|name| start.fits(name)) {
            true => Ok(start),
            false => Err(EventStartError(text.chars().take(64).collect())),
        }
    }
}

impl EventStart {
    fn fits(&self, name: &str) -> bool {
        name.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// What a digest begins with: at least four hexadecimal characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestStart(String);

/// Why a text begins no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` begins no digest: write sha256: and at least 4 hexadecimal characters")]
pub struct DigestStartError(String);

impl FromStr for DigestStart {
    type Err = DigestStartError;
    fn from_str(text: &str) -> Result<Self, DigestStartError> {
        let hex = text.trim();
        // As pages show it, shortened.
        let hex = hex.strip_prefix("sha256:").unwrap_or(hex).trim_end_matches('\u{2026}').to_lowercase();
        match (4..=64).contains(&hex.len()) && hex.chars().all(|c| c.is_ascii_hexdigit()) {
            true => Ok(Self(format!("sha256:{hex}"))),
            false => Err(DigestStartError(text.chars().take(80).collect())),
        }
    }
}

impl DigestStart {
    fn fits(&self, event: &Event) -> bool {
        let named: Option<&Digest> = match event {
            Event::LedgerCreated(created) => Some(&created.policy),
            Event::PolicyActivated(activated) => Some(&activated.policy),
            Event::DecisionRecorded(decision) => Some(&decision.policy),
            _ => None,
        };
        named.is_some_and(|digest| digest.to_string().starts_with(&self.0))
    }
}

/// What a search found, newest first.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The entries.
    pub items: Vec<Item>,
    /// The number that the next page starts before, if there may be more.
    pub next: Option<u64>,
    /// The oldest entry that was looked at; in a stream, or among the entries of a build, the oldest that may be read.
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
            && self.outcome.is_none()
            && self.policy.is_none()
            && self.build.is_none()
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
        self.streams.iter().all(|stream| entry.link(stream).is_some())
            && self.service.as_ref().is_none_or(is_about)
            && self.environment.as_ref().is_none_or(is_for)
            && self.event.as_ref().is_none_or(|event| event.fits(name))
            && self.until.is_none_or(|until| entry.time < until)
            && self.outcome.is_none_or(|outcome| outcome.fits(&entry.event))
            && self.policy.as_ref().is_none_or(|policy| policy.fits(&entry.event))
    }
}

/// A search of somebody's, with what is found out once for all of its pages: the releases of a build, and where their
/// entries stand.
///
/// What the reader may read is asked anew for each page.
pub struct Search<'a> {
    principal: &'a PersonId,
    filter: &'a Filter,
    builds: Option<BTreeSet<ReleaseName>>,
    walk: Walk<'a>,
}

impl<'a> Search<'a> {
    /// What somebody looks for.
    ///
    /// # Errors
    /// `QUERY_INVALID` for a build that too much begins with; what the store says.
    pub fn of(engine: &Engine, principal: &'a PersonId, filter: &'a Filter) -> Result<Self, Fault> {
        let walked = filter.streams.first();
        if let Some(stream) = walked
            && !may_read_stream(engine, principal, stream)?
        {
            return Ok(Self { principal, filter, builds: None, walk: Walk::Entries(Vec::new()) });
        }
        let builds = filter.build.as_deref().map(|start| built(engine, principal, start)).transpose()?;
        let walk = Walk::of(engine.store(), walked, builds.as_ref())?;
        Ok(Self { principal, filter, builds, walk })
    }

    fn is_built(&self, event: &Event) -> bool {
        let built = |builds: &BTreeSet<ReleaseName>| event.release().is_some_and(|release| builds.contains(release));
        self.builds.as_ref().is_none_or(built)
    }

    /// Looks through one stream or the whole ledger, newest first, before number `before`, for what somebody may read,
    /// fits the filter and is what `says` wants. Looks at [`SCAN_MAX`] entries at most, and says how far it came.
    ///
    /// How far is told of the whole ledger, whose size everybody knows. Of a stream, and of the entries of a build, it
    /// is told by entries that may be read alone: where the others stand says that there is something about a service,
    /// an artifact or a commit. The one exception is a search that ends among them after [`SCAN_MAX`] entries
    /// (`SECURITY.md`).
    ///
    /// # Errors
    /// What the store says.
    pub fn page(
        &self,
        engine: &Engine,
        says: impl Fn(&Item) -> bool,
        before: Option<u64>,
        most: usize,
    ) -> Result<Found, Fault> {
        let governance = engine.governance()?;
        let mut sight = Sight::new(engine.store(), &governance, self.principal);
        let mut found = Found::default();
        let most = most.clamp(1, PAGE_MAX);
        let is_whole = matches!(self.walk, Walk::Whole);
        let (mut before, mut looked) = (before, 0);
        loop {
            let (page, next) = window(engine, &self.walk, before)?;
            for item in page {
                // Ledger time never decreases: whatever is left is older still.
                if self.filter.since.is_some_and(|since| item.entry.time < since) {
                    return Ok(found);
                }
                looked += 1;
                let seq = item.seq;
                let event = &item.entry.event;
                let fits = self.filter.fits(&item.entry) && self.is_built(event);
                let readable = (fits || !is_whole) && sight.event(event)?;
                if is_whole || readable || looked == SCAN_MAX {
                    found.scanned_to = Some(item.index);
                }
                if fits && readable && says(&item) {
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
}

/// What a search walks, newest first.
enum Walk<'a> {
    /// The whole ledger.
    Whole,
    /// One stream, by its own numbers.
    Stream(&'a StreamName),
    /// These entries, oldest first.
    Entries(Vec<EntryIndex>),
}

impl<'a> Walk<'a> {
    fn of(
        store: &dyn Store,
        stream: Option<&'a StreamName>,
        builds: Option<&BTreeSet<ReleaseName>>,
    ) -> Result<Self, Fault> {
        match (stream, builds) {
            (Some(stream), _) => Ok(Self::Stream(stream)),
            (None, Some(builds)) if builds.len() <= BUILT_MAX => {
                let mut indices = BTreeSet::new();
                for release in builds {
                    indices.extend(reader::stream_indices(store, &StreamName::release(release))?);
                }
                Ok(Self::Entries(indices.into_iter().collect()))
            }
            (None, _) => Ok(Self::Whole),
        }
    }
}

/// The next entries to look at, newest first, and where those after them end.
fn window(engine: &Engine, walk: &Walk<'_>, before: Option<u64>) -> Result<(Vec<Item>, Option<u64>), Fault> {
    match walk {
        Walk::Stream(stream) => {
            let page = history(engine, Some(*stream), before, PAGE_MAX)?;
            let next = page.last().map(|item| item.seq).filter(|seq| *seq > 0 && page.len() == PAGE_MAX);
            Ok((page, next))
        }
        Walk::Entries(indices) => {
            let end = indices.partition_point(|index| before.is_none_or(|before| index.0 < before));
            let first = end.saturating_sub(PAGE_MAX);
            let page = indices.get(first..end).unwrap_or_default();
            let item = |index: &EntryIndex| {
                Ok(Item { index: *index, seq: index.0, entry: reader::entry(engine.store(), *index)? })
            };
            let items: Vec<Item> = page.iter().rev().map(item).collect::<Result<_, Fault>>()?;
            Ok((items, page.first().filter(|_| first > 0).map(|index| index.0)))
        }
        Walk::Whole => {
            let size = engine.published().head.size.0;
            let end = before.unwrap_or(size).min(size);
            let first = end.saturating_sub(WINDOW);
            Ok((decoded(engine, first, end, usize::MAX)?, (first > 0).then_some(first)))
        }
    }
}

fn whole(engine: &Engine, before: Option<u64>, most: usize) -> Result<Vec<Item>, Fault> {
    let size = engine.published().head.size.0;
    let end = before.unwrap_or(size).min(size);
    // Leaves of attestations are not events: read a little more than a page of leaves to fill a page of events.
    decoded(engine, end.saturating_sub(most as u64 * 2), end, most)
}

/// The events of a range of the ledger, newest first, `most` at most.
fn decoded(engine: &Engine, first: u64, end: u64, most: usize) -> Result<Vec<Item>, Fault> {
    let mut items = Vec::new();
    reader::each_entry(engine.store(), EntryIndex(first), TreeSize(end), |index, entry, _| {
        items.push(Item { index, seq: index.0, entry });
        Ok(())
    })?;
    items.reverse();
    items.truncate(most);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_by_what_it_begins_with() {
        let check = |text: &str, wanted: Option<&str>| {
            let found = text.parse::<DigestStart>().ok().map(|start| start.0);
            assert_eq!(found.as_deref(), wanted, "{text}");
        };
        check("sha256:f717b348bbd6", Some("sha256:f717b348bbd6"));
        check("sha256:f717b348bbd6\u{2026}", Some("sha256:f717b348bbd6"));
        check(" F717 ", Some("sha256:f717"));
        check("f71", None);
        check("sha256:", None);
        check("sha512:f717b348", None);
        check(&"a".repeat(65), None);
    }

    #[test]
    fn outcomes_are_five_words() {
        let check = |text: &str, wanted: Option<CameOut>| assert_eq!(text.parse().ok(), wanted, "{text}");
        check("deny", Some(CameOut::Decided(Outcome::Deny)));
        check("reject", Some(CameOut::Said(Verdict::Reject)));
        check("denied", None);
        check("", None);
    }
}
