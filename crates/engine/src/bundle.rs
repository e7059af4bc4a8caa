//! Bundle: gather what proves a decision, for use without the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::bodies::required;
use lockgate_ledger::bundle::{Bundle, BundleAnchor, BundleEntry, bodies_of};
use lockgate_ledger::entry::DecisionRecorded;
use lockgate_ledger::{Entry, Event};
use lockgate_model::facts::FeedKind;
use lockgate_model::{
    Digest, EntryIndex, EnvName, PromotionId, ReleaseName, ServiceName, StreamName, TreeSize, UnixMillis,
};
use lockgate_policy::{Outcome, PolicySet};
use lockgate_tlog::hash::leaf_hash;

use crate::bodies::StoreBodies;
use crate::engine::{Engine, TreeHead};
use crate::environment;
use crate::fault::{Fault, Kind};
use crate::reader;

/// Builds the bundle of a promotion, as the ledger stands.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, `DECISION_MISSING`, or what the store says.
pub fn build(engine: &Engine, promotion: PromotionId) -> Result<Vec<u8>, Fault> {
    let store = engine.store();
    let gathering = Gathering::read(engine, promotion)?;
    let last = gathering.last_decision()?;
    let policy = engine.governance()?.policy.clone();
    let compared = gathering.compared(last, &policy)?;
    let mut indices: BTreeSet<EntryIndex> = gathering.entries.keys().copied().collect();
    indices.extend(compared.indices);
    indices.extend(gathering.neighbours(last, &policy)?);
    indices.extend(gathering.ran_before());
    // The newest grant of the target too: an approver has to see what runs there now. And the newest entry of all: it
    // names the governance head, so that no later revocation can be left out.
    let target = StreamName::running(&last.environment, &gathering.name.service);
    let runs = reader::head(store, &target)?.map(|position| position.index);
    indices.extend(runs.filter(|index| gathering.is_below_head(*index)));
    indices.extend(gathering.newest());
    indices.extend(gathering.entries.values().flat_map(|entry| leaves_of(&entry.event, promotion)));
    let mut needed = bodies_of(gathering.entries.values().filter(|entry| is_needed(&entry.event, promotion)));
    needed.extend(gathering.snapshots(last, &policy).into_values());
    needed.extend(compared.bodies);
    needed.extend(gathering.begun_by_newest()?);
    let mut bodies = BTreeMap::new();
    for digest in needed {
        bodies.insert(digest, STANDARD.encode(required(&StoreBodies(store), &digest)?));
    }
    let entries = gathering.proven(indices)?;
    let anchors = gathering.anchors()?;
    let bundle = Bundle {
        schema: Bundle::SCHEMA.to_owned(),
        promotion,
        checkpoint: gathering.head.checkpoint.clone(),
        entries,
        anchors,
        bodies,
    };
    Ok(bundle.to_bytes()?)
}

/// What a bundle is gathered from: the entries of the governance stream and of the promotion's own release, below the
/// head that is signed for. Entries that came after it are left to the next bundle.
struct Gathering<'a> {
    engine: &'a Engine,
    promotion: PromotionId,
    name: ReleaseName,
    head: Arc<TreeHead>,
    entries: BTreeMap<EntryIndex, Entry>,
}

/// The releases that ran when decisions were made, or run now: where their entries are, and the bodies of what a
/// comparison reads of them.
struct Compared {
    indices: Vec<EntryIndex>,
    bodies: Vec<Digest>,
}

impl<'a> Gathering<'a> {
    fn read(engine: &'a Engine, promotion: PromotionId) -> Result<Self, Fault> {
        let store = engine.store();
        let head = engine.published().head.clone();
        let name = reader::release_of(store, promotion)?;
        let mut indices: BTreeSet<EntryIndex> = BTreeSet::new();
        indices.extend(reader::stream_indices(store, &StreamName::governance())?);
        indices.extend(reader::stream_indices(store, &StreamName::release(&name))?);
        let mut gathering = Self { engine, promotion, name, head, entries: BTreeMap::new() };
        indices.retain(|index| gathering.is_below_head(*index));
        for index in indices {
            gathering.entries.insert(index, reader::entry(store, index)?);
        }
        Ok(gathering)
    }

    fn is_below_head(&self, index: EntryIndex) -> bool {
        index.0 < self.head.size.0
    }

    /// The newest entry of all below the head.
    fn newest(&self) -> Option<EntryIndex> {
        self.head.size.0.checked_sub(1).map(EntryIndex)
    }

    fn last_decision(&self) -> Result<&DecisionRecorded, Fault> {
        self.entries
            .values()
            .filter_map(|entry| match &entry.event {
                Event::DecisionRecorded(event) if event.promotion == self.promotion => Some(event),
                _ => None,
            })
            .next_back()
            .ok_or_else(|| Fault::not_found("DECISION_MISSING", format!("{} has no decision yet", self.promotion)))
    }

    /// The decisions that a verifier runs again.
    fn replayed(&self) -> impl Iterator<Item = &DecisionRecorded> {
        let promotion = self.promotion;
        self.entries.values().filter_map(move |entry| replayed(&entry.event, promotion))
    }

    /// What decisions compared with, and what an approver's would: the whole chain of the release that ran.
    fn compared(&self, last: &DecisionRecorded, policy: &PolicySet) -> Result<Compared, Fault> {
        let store = self.engine.store();
        let mut compared = Compared { indices: Vec::new(), bodies: Vec::new() };
        for stream in self.compared_streams(last, policy)? {
            for index in reader::stream_indices(store, &stream)? {
                if !self.is_below_head(index) {
                    continue;
                }
                let entry = reader::entry(store, index)?;
                if matches!(entry.event, Event::ReleasePublished(_) | Event::EvidenceRecorded(_)) {
                    compared.bodies.extend(entry.event.bodies());
                }
                compared.indices.push(index);
            }
        }
        Ok(compared)
    }

    fn compared_streams(&self, last: &DecisionRecorded, policy: &PolicySet) -> Result<BTreeSet<StreamName>, Fault> {
        let own = StreamName::release(&self.name);
        let mut streams: BTreeSet<StreamName> = self
            .replayed()
            .flat_map(|event| &event.relied_on)
            .map(|position| position.stream.clone())
            .filter(|stream| stream.as_str().starts_with("release:") && *stream != own)
            .collect();
        if last.outcome != Outcome::Allow && policy.compares_with_running(&last.environment, &self.name.service) {
            let running = reader::running(self.engine.store(), &last.environment, &self.name.service)?;
            let running = running.map(|running| StreamName::release(&running.release));
            streams.extend(running.filter(|stream| *stream != own));
        }
        Ok(streams)
    }

    /// The newest grants of other services, where an approver's gates would look at these.
    fn neighbours(&self, last: &DecisionRecorded, policy: &PolicySet) -> Result<Vec<EntryIndex>, Fault> {
        let span = policy.neighbours_since(&last.environment, &self.name.service);
        let Some(span) = span.filter(|_| last.outcome != Outcome::Allow) else { return Ok(Vec::new()) };
        let now = self.engine.time();
        let since = UnixMillis(now.0.saturating_sub(span.millis()));
        let beside = reader::grants_since(self.engine.store(), &last.environment, since)?;
        let indices = beside.into_values().map(|(position, _)| position.index);
        Ok(indices.filter(|index| self.is_below_head(*index)).collect())
    }

    /// The grants of what ran when decisions were made.
    fn ran_before(&self) -> impl Iterator<Item = EntryIndex> {
        self.replayed()
            .flat_map(|event| &event.relied_on)
            .filter(|position| position.stream.as_str().starts_with("running:"))
            .map(|position| position.index)
    }

    /// An approver decides with the newest snapshots that the active policy set asks, and these may be younger than the
    /// last decision.
    fn snapshots(&self, last: &DecisionRecorded, policy: &PolicySet) -> BTreeMap<FeedKind, Digest> {
        let asked = policy.feeds_for(&last.environment, &self.name.service);
        let is_undecided = last.outcome != Outcome::Allow;
        self.entries
            .values()
            .filter_map(|entry| match &entry.event {
                Event::FeedRecorded(event) if is_undecided && asked.contains(&event.feed) => {
                    Some((event.feed, event.digest))
                }
                _ => None,
            })
            .collect()
    }

    /// A chain is followed from its beginning: where the newest entry of all begins that of another release of the same
    /// service, what the release is has to be there too.
    fn begun_by_newest(&self) -> Result<Vec<Digest>, Fault> {
        let newest = self.newest().filter(|newest| !self.entries.contains_key(newest));
        let Some(newest) = newest else { return Ok(Vec::new()) };
        let newest = reader::entry(self.engine.store(), newest)?;
        let begins = matches!(&newest.event, Event::ReleasePublished(_));
        match begins && newest.event.release().is_some_and(|release| release.service == self.name.service) {
            true => Ok(newest.event.bodies()),
            false => Ok(Vec::new()),
        }
    }

    /// The entries at these places, each with the proof that the head's ledger holds it.
    fn proven(&self, indices: BTreeSet<EntryIndex>) -> Result<Vec<BundleEntry>, Fault> {
        let mut proven = Vec::with_capacity(indices.len());
        for index in indices {
            let bytes = self.engine.store().entry(index)?.ok_or_else(|| {
                Fault::new(Kind::Integrity, "ENTRY_MISSING", format!("entry {index} is missing"))
                    .hint("run `lockgate audit`")
            })?;
            let path = self.engine.inclusion(index, &leaf_hash(&bytes), &self.head)?;
            let proof = path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
            proven.push(BundleEntry { index, leaf: STANDARD.encode(&bytes), proof });
        }
        Ok(proven)
    }

    /// Proofs that the ledgers which the approvers saw grew into this one.
    fn anchors(&self) -> Result<Vec<BundleAnchor>, Fault> {
        let release = reader::release(self.engine.store(), &self.engine.governance()?, &self.name)?;
        let asked = release.as_ref().and_then(|release| release.promotions.get(&self.promotion));
        let Some(asked) = asked else { return Ok(Vec::new()) };
        let mut sizes: Vec<TreeSize> =
            asked.approvals.iter().map(|record| record.approval.predicate.anchor.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let anchor = |size| {
            let (_, path) = self.engine.consistency(size, &self.head)?;
            Ok(BundleAnchor { size, proof: path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect() })
        };
        sizes.into_iter().filter(|size| *size <= self.head.size).map(anchor).collect()
    }
}

fn leaves_of(event: &Event, promotion: PromotionId) -> Vec<EntryIndex> {
    match event {
        Event::AttestationsIssued(event) if event.promotion == promotion => {
            event.issued.iter().map(|issued| issued.leaf).collect()
        }
        _ => Vec::new(),
    }
}

/// A decision that a verifier runs again: the promotion's own, and every one that allowed the same release.
fn replayed(event: &Event, promotion: PromotionId) -> Option<&DecisionRecorded> {
    match event {
        Event::DecisionRecorded(event) if event.promotion == promotion || event.outcome == Outcome::Allow => {
            Some(event)
        }
        _ => None,
    }
}

/// Documents of decisions that are not run again are left out.
fn is_needed(event: &Event, promotion: PromotionId) -> bool {
    match event {
        Event::DecisionRecorded(_) => replayed(event, promotion).is_some(),
        Event::AttestationsIssued(event) => event.promotion == promotion,
        _ => true,
    }
}

/// Finds the promotion by which an artifact may run in an environment now.
///
/// # Errors
/// `LEDGER_DOUBTFUL`, `FROZEN` while it is frozen, `DIGEST_NOT_GRANTED` when nothing grants it there, `GRANT_SUPERSEDED` when a later grant replaced it.
pub fn find_grant(
    engine: &Engine,
    artifact: &Digest,
    service: &ServiceName,
    environment: &EnvName,
) -> Result<PromotionId, Fault> {
    let store = engine.store();
    let governance = engine.governance()?;
    environment::check(&governance.policy, environment)?;
    engine.integrity().check_ledger()?;
    let mut before = None;
    let mut replaced = None;
    // Newest first: the artifact's own stream names the releases that contain it.
    loop {
        let page = store.stream_page_newest(&StreamName::artifact(artifact), before, 64)?;
        let Some((oldest, _)) = page.last() else { break };
        before = Some(*oldest);
        for (_, index) in &page {
            let Event::ReleasePublished(event) = reader::entry(store, *index)?.event else { continue };
            if event.release.service != *service {
                continue;
            }
            let running = reader::running(store, environment, service)?;
            match running {
                Some(running) if running.release == event.release => {
                    let release = reader::release(store, &governance, &event.release)?;
                    if let Some(asked) = release.as_ref().and_then(|known| known.promotions.get(&running.promotion)) {
                        let now = engine.time();
                        governance.check_not_frozen(service, environment, asked, now).map_err(|error| {
                            Fault::from(error).hint("wait until it ends or is lifted; `lockgate freeze list` shows it")
                        })?;
                    }
                    return Ok(running.promotion);
                }
                Some(running) => {
                    let release = reader::release(store, &governance, &event.release)?;
                    if release.is_some_and(|release| release.ran_in(environment)) {
                        replaced = Some((event.release, running));
                    }
                }
                None => {}
            }
        }
    }
    match replaced {
        Some((release, running)) => Err(Fault::new(
            Kind::Denied,
            "GRANT_SUPERSEDED",
            format!("{release} was replaced in {environment} by {} ({})", running.release, running.promotion),
        )
        .hint(format!("to go back: `lockgate rollback {release} --to {environment} --reason ...`"))
        .replaced_by(running.promotion)),
        None => Err(not_granted(artifact, service, environment)),
    }
}

/// What is told about an artifact that nothing grants, or whose service the caller may not read.
pub fn not_granted(artifact: &Digest, service: &ServiceName, environment: &EnvName) -> Fault {
    Fault::new(Kind::Denied, "DIGEST_NOT_GRANTED", format!("nothing grants {artifact} of {service} in {environment}"))
        .hint(format!("`lockgate status {service}` shows what runs where"))
}
