//! Precedent: what went before a promotion: who approved the service into the environment the last times, and what
//! about the release is new to the service.
//!
//! For people who look at a promotion; no decision rests on it. It is read from the newest entries of a few streams and
//! from the index of what is where, and never from a service's whole history.

use std::collections::BTreeSet;

use lockgate_ledger::Event;
use lockgate_ledger::release::{PromotionState, ReleaseState};
use lockgate_model::facts::{Claim, EvidenceFact, Verdict};
use lockgate_model::{Digest, EntryIndex, PersonId, PromotionId, ReleaseName, StreamName, UnixMillis};
use lockgate_store::Store;

use crate::fault::Fault;
use crate::reader;
use crate::where_index::{WHERE, builder_term};

/// How many grants into the environment are looked at.
const GRANTS: usize = 5;
/// How many entries of one promotion are looked at, the newest ones.
const ENTRIES_MAX: usize = 256;
/// Among how many releases before it a release's publisher is looked for.
const RELEASES_MAX: usize = 100;
/// Sorts after whatever a row's key goes on with.
const LAST: char = '\u{10ffff}';

/// What went before a promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precedent {
    /// Who approved the service into the environment the last times that it was granted there, newest first.
    pub approvals: Vec<PastApproval>,
    /// What about the release is new to the service.
    pub firsts: Vec<First>,
}

/// An approval that counted towards an earlier grant, or would have: it was not taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastApproval {
    /// Who.
    pub person: PersonId,
    /// Of which release.
    pub release: ReleaseName,
    /// By which promotion.
    pub promotion: PromotionId,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// Where it is recorded.
    pub index: EntryIndex,
}

/// What about a release is new to its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// The service had no release before it.
    Release,
    /// None of so many releases before it was published by the same person or machine.
    Publisher {
        /// Who published it.
        by: PersonId,
        /// Among how many releases they were looked for, the newest ones.
        among: usize,
    },
    /// No other release of the service names this builder in its provenance.
    Builder {
        /// As its provenance names it.
        builder: String,
    },
}

/// What went before a promotion of a release, of which this evidence is known.
///
/// # Errors
/// What the store says.
pub fn precedent(
    store: &dyn Store,
    release: &ReleaseState,
    asked: &PromotionState,
    evidence: &[EvidenceFact],
) -> Result<Precedent, Fault> {
    Ok(Precedent { approvals: approvals(store, asked)?, firsts: firsts(store, release, evidence)? })
}

fn approvals(store: &dyn Store, asked: &PromotionState) -> Result<Vec<PastApproval>, Fault> {
    let request = &asked.request;
    let running = StreamName::running(&request.environment, &request.release.service);
    let own = match &asked.grant {
        Some(grant) => reader::entry(store, grant.index)?.link(&running).map(|link| link.seq),
        None => None,
    };
    let mut found = Vec::new();
    for (_, index) in store.stream_page_newest(&running, own, GRANTS)? {
        if let Event::GrantIssued(grant) = reader::entry(store, index)?.event {
            found.extend(approvals_of(store, grant.promotion)?);
        }
    }
    Ok(found)
}

/// The newest approval of each person that was not taken back, newest first.
fn approvals_of(store: &dyn Store, promotion: PromotionId) -> Result<Vec<PastApproval>, Fault> {
    let mut given = Given::default();
    for (_, index) in store.stream_page_newest(&StreamName::promotion(promotion), None, ENTRIES_MAX)? {
        let entry = reader::entry(store, index)?;
        given.meet(index, entry.time, entry.event);
    }
    Ok(given.approvals)
}

/// The approvals of one promotion, collected from its newest entry backwards.
#[derive(Default)]
struct Given {
    /// Newest first.
    approvals: Vec<PastApproval>,
    taken_back: BTreeSet<(PersonId, Digest)>,
    seen: BTreeSet<PersonId>,
}

impl Given {
    /// Takes in the next older entry: what was taken back is met before what it takes back.
    fn meet(&mut self, index: EntryIndex, time: UnixMillis, event: Event) {
        match event {
            Event::ApprovalWithdrawn(event) => {
                let of = |document: Digest| (event.approver.clone(), document);
                self.taken_back.extend(event.approvals.iter().copied().map(of));
            }
            Event::ApprovalRecorded(event) if event.verdict == Verdict::Approve => {
                let counts = !self.taken_back.contains(&(event.approver.clone(), event.document));
                if counts && self.seen.insert(event.approver.clone()) {
                    let (person, release, promotion) = (event.approver, event.release, event.promotion);
                    self.approvals.push(PastApproval { person, release, promotion, time, index });
                }
            }
            _ => {}
        }
    }
}

fn firsts(store: &dyn Store, release: &ReleaseState, evidence: &[EvidenceFact]) -> Result<Vec<First>, Fault> {
    let service = StreamName::service(&release.name.service);
    let published = reader::entry(store, release.published_index)?;
    let Some(link) = published.link(&service) else { return Ok(Vec::new()) };
    if link.seq == 0 {
        return Ok(vec![First::Release]);
    }
    let before = store.stream_page_newest(&service, Some(link.seq), RELEASES_MAX)?;
    let mut firsts = Vec::new();
    if !is_publisher_of_any(store, &release.published_by, &before)? {
        firsts.push(First::Publisher { by: release.published_by.clone(), among: before.len() });
    }
    let builder = |fact: &EvidenceFact| match &fact.claim {
        Claim::Provenance(provenance) => Some(provenance.builder_id.clone()),
        _ => None,
    };
    for builder in evidence.iter().filter_map(builder).collect::<BTreeSet<String>>() {
        if !has_built_another(store, &builder, &release.name)? {
            firsts.push(First::Builder { builder });
        }
    }
    Ok(firsts)
}

fn is_publisher_of_any(store: &dyn Store, publisher: &PersonId, releases: &[(u64, EntryIndex)]) -> Result<bool, Fault> {
    for (_, index) in releases {
        if reader::entry(store, *index)?.actor.person() == Some(publisher) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the index has a row of this builder for another release of the service. The rows of one release stand
/// together, so that the first row, and the one after those of this release, tell it.
fn has_built_another(store: &dyn Store, builder: &str, release: &ReleaseName) -> Result<bool, Fault> {
    let any = format!("{}\t{}@", builder_term(builder), release.service);
    let own = format!("{}\t{release}\t", builder_term(builder));
    for after in [any.clone(), format!("{own}{LAST}")] {
        let row = store.projections(WHERE, Some(&after), 1)?;
        if row.first().is_some_and(|(key, _)| key.starts_with(&any) && !key.starts_with(&own)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_ledger::entry::ApprovalRecorded;
    use lockgate_ledger::withdrawal::ApprovalWithdrawn;
    use lockgate_store::{Batch, LedgerStore, MemoryStore, Projection};

    #[test]
    fn what_was_taken_back_later_is_no_approval() {
        let (promotion, release) = (PromotionId(3), "shop/web@1.4.2".parse::<ReleaseName>().unwrap());
        let approved = |who: &str, document: &[u8]| {
            Event::ApprovalRecorded(ApprovalRecorded {
                promotion,
                release: release.clone(),
                verdict: Verdict::Approve,
                approver: who.parse().unwrap(),
                key: "SHA256:x".to_owned(),
                document: Digest::of(document),
                signature: String::new(),
            })
        };
        let withdrew = |who: &str, document: &[u8]| {
            Event::ApprovalWithdrawn(ApprovalWithdrawn {
                promotion,
                release: release.clone(),
                approver: who.parse().unwrap(),
                approvals: vec![Digest::of(document)],
                reason: String::new(),
                signature: String::new(),
            })
        };
        // In ledger order; met from the end.
        let check = |events: Vec<Event>, wanted: &[(&str, u64)]| {
            let mut given = Given::default();
            for (index, event) in (0..).zip(events).collect::<Vec<_>>().into_iter().rev() {
                given.meet(EntryIndex(index), UnixMillis(index), event);
            }
            let found: Vec<(&str, u64)> =
                given.approvals.iter().map(|one| (one.person.as_str(), one.index.0)).collect();
            assert_eq!(found, wanted);
        };
        check(vec![approved("sam", b"1"), approved("kim", b"2")], &[("kim", 1), ("sam", 0)]);
        check(vec![approved("sam", b"1"), withdrew("sam", b"1"), approved("kim", b"2")], &[("kim", 2)]);
        // Given again after it was taken back, also in the same words.
        check(vec![approved("sam", b"1"), withdrew("sam", b"1"), approved("sam", b"1")], &[("sam", 2)]);
        // Nobody takes back what somebody else said, and of two only the one that they name.
        check(vec![approved("sam", b"1"), withdrew("kim", b"1")], &[("sam", 0)]);
        check(vec![approved("sam", b"1"), approved("sam", b"2"), withdrew("sam", b"2")], &[("sam", 0)]);
    }

    #[test]
    fn a_builder_is_new_until_it_built_another_release_of_the_service() {
        let check = |others: &[&str], wanted: bool| {
            let store = MemoryStore::default();
            let key = |release: &str| format!("{}\t{release}\tsha256:00", builder_term("https://builder.example"));
            let keys = others.iter().map(|release| key(release)).chain([key("shop/web@1.4.2")]);
            let row = |key: String| Projection { kind: WHERE, key, value: Some(b"provenance\tbuilt it".to_vec()) };
            store.commit(&Batch::of_projections(&store.head().unwrap(), keys.map(row).collect())).unwrap();
            let release: ReleaseName = "shop/web@1.4.2".parse().unwrap();
            assert_eq!(has_built_another(&store, "https://builder.example", &release).unwrap(), wanted, "{others:?}");
        };
        check(&[], false);
        check(&["shop/web@1.4.1"], true);
        check(&["shop/web@1.5.0"], true);
        check(&["shop/web@1.4.20"], true);
        check(&["shop/api@1.4.1", "shop/website@1.0.0", "shop/zeta@2.0.0"], false);
    }
}
