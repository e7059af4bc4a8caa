//! Survey: what a ledger has that can be attacked. Places alone are kept, so that it is as small for a large ledger.

use std::collections::VecDeque;

use lockgate_ledger::{Entry, Event};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex};
use lockgate_policy::Outcome;

/// How many of the newest grants are kept: the newest may be of a release that a verifier no longer accepts by itself.
const GRANTS: usize = 16;
/// How many of the newest requests are kept: one of them is not the one that was approved last.
const REQUESTS: usize = 2;

/// The newest entry of each kind that an attack is about.
#[derive(Debug, Default)]
pub struct Survey {
    /// An approval or a rejection.
    pub approval: Option<EntryIndex>,
    /// A decision.
    pub decision: Option<EntryIndex>,
    /// A decision that says no.
    pub deny: Option<EntryIndex>,
    /// The enrolment of a person.
    pub enrolled: Option<EntryIndex>,
    /// The publication of a release.
    pub published: Option<EntryIndex>,
    /// What made the active policy set active, and the set.
    pub policy: Option<(EntryIndex, Digest)>,
    /// Requests for promotions, the oldest first.
    pub requests: VecDeque<EntryIndex>,
    /// Grants, the oldest first.
    pub grants: VecDeque<EntryIndex>,
}

impl Survey {
    /// Looks at the next entry of the ledger.
    pub fn see(&mut self, index: EntryIndex, entry: &Entry) {
        match &entry.event {
            Event::LedgerCreated(event) => self.policy = Some((index, event.policy)),
            Event::PolicyActivated(event) => self.policy = Some((index, event.policy)),
            Event::PersonEnrolled(event) if event.subject == SubjectKind::Person => {
                self.enrolled = Some(index);
            }
            Event::ReleasePublished(_) => self.published = Some(index),
            Event::PromotionRequested(_) => keep(&mut self.requests, index, REQUESTS),
            Event::ApprovalRecorded(_) => self.approval = Some(index),
            Event::DecisionRecorded(event) => {
                self.decision = Some(index);
                if event.outcome == Outcome::Deny {
                    self.deny = Some(index);
                }
            }
            Event::GrantIssued(_) => keep(&mut self.grants, index, GRANTS),
            _ => {}
        }
    }
}

fn keep(places: &mut VecDeque<EntryIndex>, index: EntryIndex, most: usize) {
    if places.len() >= most {
        places.pop_front();
    }
    places.push_back(index);
}
