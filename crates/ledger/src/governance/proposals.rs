//! Proposed changes: signatures that are gathered one after the other.

use lockgate_model::{ChangeId, Digest, EntryIndex, PersonId, UnixMillis};
use lockgate_policy::Permission;
use lockgate_sign::ssh::SshPublicKey;

use super::{Governance, Signed};
use crate::bodies::{Bodies, required};
use crate::change::{
    CHANGE_TTL, COUNTERSIGNATURES_MAX, ChangeProposed, ChangeRejected, ChangeSigned, Demand, REJECTION_NAMESPACE,
    read_draft, rejection_bytes,
};
use crate::entry::Event;
use crate::state::ApplyError;

/// A proposed change.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its id.
    pub id: ChangeId,
    /// Where it was proposed.
    pub proposed_at: EntryIndex,
    /// When, in ledger time.
    pub proposed_time: UnixMillis,
    /// What sort of event it would be.
    pub event: &'static str,
    /// The digest of the event as a draft, with the first signature.
    pub draft: Digest,
    /// The digest of the document that everyone signs.
    pub document: Digest,
    /// What every signer has to be permitted.
    pub permission: Permission,
    /// Whose keys or standing it is about.
    pub subject: Option<PersonId>,
    /// Until when signatures are gathered.
    pub expires_at: UnixMillis,
    /// The signatures, the proposer's first.
    pub signatures: Vec<ChangeSignature>,
    /// Where it stands, apart from time.
    pub status: ChangeStatus,
    /// The SSHSIG namespace of its signatures.
    namespace: &'static str,
    /// The bytes that everyone signs; forgotten when it is closed.
    bytes: Vec<u8>,
}

/// A signature under a proposed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSignature {
    /// Who.
    pub by: PersonId,
    /// With which key: its fingerprint.
    pub key: String,
    /// The signature (SSHSIG, armored).
    pub signature: String,
}

/// Where a proposed change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeStatus {
    /// It gathers signatures, until its time is up.
    Open,
    /// It has happened.
    Applied {
        /// The entry of the event itself.
        at: EntryIndex,
    },
    /// Somebody rejected it.
    Rejected {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
}

impl Change {
    /// The word for where it stands at a moment of ledger time: `open`, `applied`, `rejected` or `expired`.
    pub fn status_at(&self, time: UnixMillis) -> &'static str {
        match &self.status {
            ChangeStatus::Applied { .. } => "applied",
            ChangeStatus::Rejected { .. } => "rejected",
            ChangeStatus::Open if self.expires_at <= time => "expired",
            ChangeStatus::Open => "open",
        }
    }

    fn check_open(&self, time: UnixMillis) -> Result<(), ApplyError> {
        match self.status_at(time) {
            "open" => Ok(()),
            "expired" => Err(ApplyError::new(
                "CHANGE_EXPIRED",
                format!("{} ended at {} without enough signatures; propose it anew", self.id, self.expires_at),
            )),
            other => Err(ApplyError::new("CHANGE_CLOSED", format!("{} is {other} already", self.id))),
        }
    }
}

impl Governance {
    /// Every proposed change, oldest first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// One proposed change.
    ///
    /// # Errors
    /// `CHANGE_UNKNOWN`.
    pub fn change(&self, id: ChangeId) -> Result<&Change, ApplyError> {
        let found = self.changes.iter().find(|change| change.id == id);
        found.ok_or_else(|| ApplyError::new("CHANGE_UNKNOWN", format!("{id} is not a change of this ledger")))
    }

    /// The id that the next proposal gets.
    pub fn next_change(&self) -> ChangeId {
        ChangeId(self.changes.len() as u64 + 1)
    }

    /// The change that gathers signatures under a document at a moment of ledger time.
    pub fn open_change(&self, document: &Digest, time: UnixMillis) -> Option<&Change> {
        self.changes.iter().rev().find(|change| change.document == *document && change.status_at(time) == "open")
    }

    /// How many more people have to sign a change, as the policy set and the people are now.
    pub fn missing_signatures(&self, change: &Change) -> usize {
        let signed: Vec<Signed> = change.signatures.iter().map(signed).collect();
        self.effective_quorum(change.permission, change.subject.as_ref()).saturating_sub(self.count_people(&signed))
    }

    /// Whether someone could sign a change now: they may, it is not about them, and they have not signed it yet.
    pub fn could_sign(&self, by: &PersonId, change: &Change) -> bool {
        let aliases = self.policy.aliases();
        let signed = change.signatures.iter().any(|one| aliases.person(&one.by) == aliases.person(by));
        !signed && self.check_signer(by, change.permission, change.subject.as_ref()).is_ok()
    }

    /// Whether a proposed change can only fail, however many sign it: what its `draft` rests on has changed since.
    pub fn is_stale(&self, change: &Change, draft: &Event) -> bool {
        let bound = |key: &SshPublicKey| self.refuse_bound_key(key).is_err();
        match draft {
            Event::PolicyActivated(event) => {
                event.previous != self.policy_digest || event.previous_at != self.policy_at
            }
            Event::PersonSuspended(event) | Event::PersonReinstated(event) => {
                self.person(&event.person).is_none_or(|person| person.standing_at != event.previous_at)
            }
            Event::PersonEnrolled(event) => self.person(&event.person).is_some() || bound(&event.key),
            Event::KeyRecovered(event) => bound(&event.key),
            Event::CiTrusted(event) => {
                self.check_machine(event).is_err() || self.ci.check_beside(event, &change.document).is_err()
            }
            _ => false,
        }
    }

    /// Applies `change.proposed`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn propose(
        &mut self,
        event: &ChangeProposed,
        index: EntryIndex,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        let invalid = |message: &str| ApplyError::new("CHANGE_INVALID", message.to_owned());
        if event.change != self.next_change() {
            return Err(ApplyError::new("CHANGE_NUMBER", format!("{} is not the next number", event.change)));
        }
        if event.expires_at != self.time.plus(CHANGE_TTL) {
            return Err(invalid("a proposal gathers signatures for exactly 72 hours"));
        }
        let draft = read_draft(&required(bodies, &event.draft)?)?;
        let demand = draft.demand(self.origin())?.ok_or_else(|| invalid("the draft needs nobody else's signature"))?;
        let same = *demand.by == event.by && demand.signature == event.signature && demand.more.is_empty();
        if !same || Digest::of(&demand.document) != event.document {
            return Err(invalid("the draft is not what the proposal says"));
        }
        let signed = self.verify_signers(&demand, index)?;
        self.check_unspent(&event.document, &signed)?;
        if let Some(open) = self.open_change(&event.document, self.time) {
            return Err(ApplyError::new("CHANGE_OPEN", format!("{} proposes the same and is open", open.id)));
        }
        let signatures = signed.into_iter().map(|signed| ChangeSignature {
            by: signed.person,
            key: signed.key,
            signature: event.signature.clone(),
        });
        let change = Change {
            id: event.change,
            proposed_at: index,
            proposed_time: self.time,
            event: draft.name(),
            draft: event.draft,
            document: event.document,
            permission: demand.permission,
            subject: demand.subject.cloned(),
            expires_at: event.expires_at,
            signatures: signatures.collect(),
            status: ChangeStatus::Open,
            namespace: demand.namespace,
            bytes: demand.document,
        };
        self.changes.push(change);
        Ok(())
    }

    /// Applies `change.signed`; whether it was the last signature shows when the event itself is applied.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn sign_change(&mut self, event: &ChangeSigned, index: EntryIndex) -> Result<(), ApplyError> {
        let change = self.change(event.change)?;
        change.check_open(self.time)?;
        if change.signatures.iter().any(|signature| signature.by == event.by) {
            return Err(ApplyError::new(
                "CHANGE_SIGNED",
                format!("`{}` has signed {} already", event.by, event.change),
            ));
        }
        if change.signatures.len() > COUNTERSIGNATURES_MAX {
            return Err(ApplyError::new(
                "TOO_MANY_SIGNATURES",
                format!("a change carries at most {COUNTERSIGNATURES_MAX} further signatures"),
            ));
        }
        self.check_signer(&event.by, change.permission, change.subject.as_ref())?;
        let key = self.verify_signature(&event.by, &event.signature, change.namespace, &change.bytes, index)?;
        self.check_scope(&event.by, &key, None)?;
        let signed = [Signed { person: event.by.clone(), key: key.clone() }];
        self.check_unspent(&change.document, &signed)?;
        let signature = ChangeSignature { by: event.by.clone(), key, signature: event.signature.clone() };
        self.change_mut(event.change)?.signatures.push(signature);
        Ok(())
    }

    /// Applies `change.rejected`: one person who could sign is enough, and it is over.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn reject_change(&mut self, event: &ChangeRejected, index: EntryIndex) -> Result<(), ApplyError> {
        let change = self.change(event.change)?;
        change.check_open(self.time)?;
        self.check_signer(&event.by, change.permission, change.subject.as_ref())?;
        let document = rejection_bytes(self.origin(), event.change, change.document, &event.reason)?;
        let key = self.verify_signature(&event.by, &event.signature, REJECTION_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, None)?;
        let change = self.change_mut(event.change)?;
        change.status = ChangeStatus::Rejected { by: event.by.clone(), reason: event.reason.clone() };
        change.bytes.clear();
        Ok(())
    }

    /// Where several people signed a document that was proposed, its newest proposal decides: it has to be open, and
    /// theirs to have been signed. So a rejection cannot be got around by handing the gathered signatures in again.
    pub(super) fn check_proposal(&self, demand: &Demand<'_>, signed: &[Signed]) -> Result<(), ApplyError> {
        let document = Digest::of(&demand.document);
        self.check_unspent(&document, signed)?;
        let newest = self.changes.iter().rev().find(|change| change.document == document);
        let Some(change) = newest.filter(|_| !demand.more.is_empty()) else { return Ok(()) };
        change.check_open(self.time)?;
        let gathered =
            |one: &Signed| change.signatures.iter().any(|known| known.by == one.person && known.key == one.key);
        match signed.iter().find(|one| !gathered(one)) {
            None => Ok(()),
            Some(one) => Err(ApplyError::new(
                "CHANGE_UNSIGNED",
                format!("`{}` has not signed {}, which proposes this", one.person, change.id),
            )),
        }
    }

    /// What somebody signed under a proposal that was rejected is spent: it counts under no other proposal of the same
    /// document, and not by itself. Most keys make the same signature of the same bytes each time, so that nobody could
    /// tell consent that was given anew from the old one.
    fn check_unspent(&self, document: &Digest, signed: &[Signed]) -> Result<(), ApplyError> {
        let rejected =
            |change: &&Change| change.document == *document && matches!(change.status, ChangeStatus::Rejected { .. });
        for change in self.changes.iter().filter(rejected) {
            let spent = |one: &&Signed| change.signatures.iter().any(|old| old.by == one.person && old.key == one.key);
            if let Some(one) = signed.iter().find(spent) {
                return Err(ApplyError::new(
                    "CHANGE_CLOSED",
                    format!(
                        "{} was rejected, and with it what `{}` signed; propose something else, with another reason or \
                         another end of the key",
                        change.id, one.person
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Closes the proposals of what has happened now.
    pub(super) fn settle(&mut self, demand: Option<&Demand<'_>>, index: EntryIndex) {
        let Some(document) = demand.map(|demand| Digest::of(&demand.document)) else { return };
        let time = self.time;
        let open = |change: &&mut Change| change.document == document && change.status_at(time) == "open";
        for change in self.changes.iter_mut().filter(open) {
            change.status = ChangeStatus::Applied { at: index };
            change.bytes.clear();
        }
    }

    fn change_mut(&mut self, id: ChangeId) -> Result<&mut Change, ApplyError> {
        let found = self.changes.iter_mut().find(|change| change.id == id);
        found.ok_or_else(|| ApplyError::new("CHANGE_UNKNOWN", format!("{id} is not a change of this ledger")))
    }
}

fn signed(signature: &ChangeSignature) -> Signed {
    Signed { person: signature.by.clone(), key: signature.key.clone() }
}
