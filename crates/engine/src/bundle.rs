//! Bundle: gather what proves a decision, for use without the server.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::bodies::required;
use lockgate_ledger::bundle::{Bundle, BundleAnchor, BundleEntry, bodies_of};
use lockgate_ledger::entry::DecisionRecorded;
use lockgate_ledger::release::PromotionState;
use lockgate_ledger::{Entry, Event};
use lockgate_model::facts::FeedKind;
use lockgate_model::{Digest, EntryIndex, EnvName, PromotionId, ServiceName, StreamName, TreeSize, UnixMillis};
use lockgate_policy::Outcome;
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
    let head = engine.published().head.clone();
    let name = reader::release_of(store, promotion)?;
    let mut indices: BTreeSet<EntryIndex> = BTreeSet::new();
    indices.extend(reader::stream_indices(store, &StreamName::governance())?);
    indices.extend(reader::stream_indices(store, &StreamName::release(&name))?);
    // Entries that came after the head that will be signed for are left to the next bundle.
    indices.retain(|index| index.0 < head.size.0);
    let mut entries: BTreeMap<EntryIndex, Entry> = BTreeMap::new();
    for index in &indices {
        entries.insert(*index, reader::entry(store, *index)?);
    }
    let last = entries
        .values()
        .filter_map(|entry| match &entry.event {
            Event::DecisionRecorded(event) if event.promotion == promotion => Some(event),
            _ => None,
        })
        .next_back()
        .ok_or_else(|| Fault::not_found("DECISION_MISSING", format!("{promotion} has no decision yet")))?;
    let target = StreamName::running(&last.environment, &name.service);
    // What decisions compared with, and what an approver's would: the whole chain of the release that ran.
    let own = StreamName::release(&name);
    let mut compared: BTreeSet<StreamName> = entries
        .values()
        .filter_map(|entry| replayed(&entry.event, promotion))
        .flat_map(|event| &event.relied_on)
        .map(|position| position.stream.clone())
        .filter(|stream| stream.as_str().starts_with("release:") && *stream != own)
        .collect();
    let policy = engine.governance()?.policy.clone();
    if last.outcome != Outcome::Allow && policy.compares_with_running(&last.environment, &name.service) {
        let running = reader::running(store, &last.environment, &name.service)?;
        compared.extend(running.map(|running| StreamName::release(&running.release)).filter(|stream| *stream != own));
    }
    let mut compared_bodies = Vec::new();
    for stream in &compared {
        for index in reader::stream_indices(store, stream)?.into_iter().filter(|index| index.0 < head.size.0) {
            let entry = reader::entry(store, index)?;
            if matches!(entry.event, Event::ReleasePublished(_) | Event::EvidenceRecorded(_)) {
                compared_bodies.extend(entry.event.bodies());
            }
            indices.insert(index);
        }
    }
    if let Some(span) = policy.neighbours_since(&last.environment, &name.service)
        && last.outcome != Outcome::Allow
    {
        let now = engine.inner().now().max(engine.published().time);
        let since = UnixMillis(now.0.saturating_sub(span.millis()));
        let beside = reader::grants_since(store, &last.environment, since)?;
        indices.extend(beside.into_values().map(|(position, _)| position.index).filter(|index| index.0 < head.size.0));
    }
    for event in entries.values().filter_map(|entry| replayed(&entry.event, promotion)) {
        let ran = event.relied_on.iter().filter(|position| position.stream.as_str().starts_with("running:"));
        indices.extend(ran.map(|position| position.index));
    }
    // The newest grant of the target too: an approver has to see what runs there now. And the newest entry of all: it
    // names the governance head, so that no later revocation can be left out.
    indices.extend(reader::head(store, &target)?.map(|position| position.index).filter(|index| index.0 < head.size.0));
    indices.extend(head.size.0.checked_sub(1).map(EntryIndex));
    indices.extend(entries.values().flat_map(|entry| leaves_of(&entry.event, promotion)));
    let mut needed = bodies_of(entries.values().filter(|entry| is_needed(&entry.event, promotion)));
    // An approver decides with the newest snapshots that the active policy set asks, and these may be younger than the
    // last decision.
    let asked = engine.governance()?.policy.feeds_for(&last.environment, &name.service);
    let is_undecided = last.outcome != Outcome::Allow;
    let newest: BTreeMap<FeedKind, Digest> = entries
        .values()
        .filter_map(|entry| match &entry.event {
            Event::FeedRecorded(event) if is_undecided && asked.contains(&event.feed) => {
                Some((event.feed, event.digest))
            }
            _ => None,
        })
        .collect();
    needed.extend(newest.into_values());
    needed.extend(compared_bodies);
    // A chain is followed from its beginning: where the newest entry of all begins that of another release of the same
    // service, what the release is has to be there too.
    if let Some(newest) = head.size.0.checked_sub(1).map(EntryIndex)
        && !entries.contains_key(&newest)
    {
        let newest = reader::entry(store, newest)?;
        let begins = matches!(&newest.event, Event::ReleasePublished(_));
        if begins && newest.event.release().is_some_and(|release| release.service == name.service) {
            needed.extend(newest.event.bodies());
        }
    }
    let mut bodies = BTreeMap::new();
    for digest in needed {
        bodies.insert(digest, STANDARD.encode(required(&StoreBodies(store), &digest)?));
    }
    let mut proven = Vec::with_capacity(indices.len());
    for index in indices {
        let bytes = store.entry(index)?.ok_or_else(|| {
            Fault::new(Kind::Integrity, "ENTRY_MISSING", format!("entry {index} is missing"))
                .hint("run `lockgate audit`")
        })?;
        let path = engine.inclusion(index, &leaf_hash(&bytes), &head)?;
        let proof = path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        proven.push(BundleEntry { index, leaf: STANDARD.encode(&bytes), proof });
    }
    let release = reader::release(store, &engine.governance()?, &name)?;
    let anchors = match release.as_ref().and_then(|release| release.promotions.get(&promotion)) {
        Some(asked) => anchors(engine, &head, asked)?,
        None => Vec::new(),
    };
    let bundle = Bundle {
        schema: Bundle::SCHEMA.to_owned(),
        promotion,
        checkpoint: head.checkpoint.clone(),
        entries: proven,
        anchors,
        bodies,
    };
    Ok(bundle.to_bytes()?)
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

/// Proofs that the ledgers which the approvers saw grew into this one.
fn anchors(engine: &Engine, head: &TreeHead, asked: &PromotionState) -> Result<Vec<BundleAnchor>, Fault> {
    let mut sizes: Vec<TreeSize> = asked.approvals.iter().map(|record| record.approval.predicate.anchor.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let anchor = |size| {
        let (_, path) = engine.consistency(size, head)?;
        Ok(BundleAnchor { size, proof: path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect() })
    };
    sizes.into_iter().filter(|size| *size <= head.size).map(anchor).collect()
}

/// Finds the promotion by which an artifact may run in an environment now.
///
/// # Errors
/// `FROZEN` while it is frozen, `DIGEST_NOT_GRANTED` when nothing grants it there, `GRANT_SUPERSEDED` when a later grant replaced it.
pub fn find_grant(
    engine: &Engine,
    artifact: &Digest,
    service: &ServiceName,
    environment: &EnvName,
) -> Result<PromotionId, Fault> {
    let store = engine.store();
    let governance = engine.governance()?;
    environment::check(&governance.policy, environment)?;
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
                        let now = engine.inner().now().max(engine.published().time);
                        governance.check_not_frozen(service, environment, asked, now)?;
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
        .hint(format!("to go back: `lockgate rollback {release} --to {environment} --reason ...`"))),
        None => Err(not_granted(artifact, service, environment)),
    }
}

/// What is told about an artifact that nothing grants, or whose service the caller may not read.
pub fn not_granted(artifact: &Digest, service: &ServiceName, environment: &EnvName) -> Fault {
    Fault::new(Kind::Denied, "DIGEST_NOT_GRANTED", format!("nothing grants {artifact} of {service} in {environment}"))
        .hint(format!("`lockgate status {service}` shows what runs where"))
}
