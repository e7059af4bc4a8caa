//! CI trust in the governance state: who may sign it, what comes into being with it, and when it counts.

use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex};
use lockgate_policy::Permission;

use super::{Governance, Person, Signed, Vouched, Vouching, document_bytes};
use crate::ci_trust::{CI_TRUST_NAMESPACE, CiTrust, CiTrustEndDocument, CiTrusted, CiUntrusted, check, refused};
use crate::state::ApplyError;

impl Governance {
    /// The CI trusts that count, by the entry that recorded them.
    ///
    /// One whose signers' keys turned out to be in someone else's hands then does not count.
    pub fn ci_trusts(&self) -> impl Iterator<Item = (EntryIndex, &CiTrusted)> {
        let counts = move |index: EntryIndex, trust: &CiTrust| {
            let good: Vec<Signed> =
                trust.signed.iter().filter(|signed| self.counted_at(signed, index)).cloned().collect();
            Self::count(&good) >= trust.quorum
        };
        let counting = self.ci.active.iter().filter(move |(index, trust)| counts(**index, trust));
        counting.map(|(index, trust)| (*index, &trust.event))
    }

    /// The CI trust that this entry recorded, if it counts.
    pub fn ci_trust(&self, index: EntryIndex) -> Option<&CiTrusted> {
        self.ci_trusts().find(|(at, _)| *at == index).map(|(_, trust)| trust)
    }

    /// Applies `ci.trusted`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn trust_ci(&mut self, event: &CiTrusted, index: EntryIndex) -> Result<(), ApplyError> {
        check(event)?;
        let ledger = self.origin().to_owned();
        let demand = event.demand(&ledger)?;
        let signed = self.verify_signers(&demand, index)?;
        let digest = Digest::of(&demand.document);
        self.ci.check_beside(event, &digest)?;
        self.check_machine(event)?;
        let quorum = self.check_quorum(&demand, &signed)?;
        self.settle(Some(&demand), index);
        if !self.people.contains_key(&event.machine) {
            let machine = Person {
                kind: SubjectKind::Machine,
                groups: event.groups.clone(),
                keys: Vec::new(),
                suspensions: Vec::new(),
                standing_at: index,
            };
            self.people.insert(event.machine.clone(), machine);
        }
        let what = Vouched::Ci { machine: event.machine.clone() };
        self.vouchings.push(Vouching { index, event: "ci.trusted", quorum, signed: signed.clone(), what });
        self.ci.signed.insert(digest);
        self.ci.active.insert(index, CiTrust { event: event.clone(), quorum, signed });
        Ok(())
    }

    /// Applies `ci.untrusted`. The machine stays known, because it did what it did; no token acts as it any more.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn untrust_ci(&mut self, event: &CiUntrusted, index: EntryIndex) -> Result<(), ApplyError> {
        self.check_signer(&event.by, Permission::Keys, None)?;
        let document = CiTrustEndDocument::new(self.origin(), event.trust, &event.reason, &event.by);
        let document = document_bytes(&document)?;
        let key = self.verify_signature(&event.by, &event.signature, CI_TRUST_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, None)?;
        match self.ci.active.remove(&event.trust) {
            Some(_) => Ok(()),
            None => Err(refused("CI_TRUST_UNKNOWN", format!("no trust of entry {} counts", event.trust))),
        }
    }

    /// A machine that is known keeps its groups; a new one gets groups that the policy set has.
    pub(super) fn check_machine(&self, event: &CiTrusted) -> Result<(), ApplyError> {
        let invalid = |what: &str| refused("CI_MACHINE_INVALID", format!("`{}` {what}", event.machine));
        match self.person(&event.machine) {
            Some(known) if known.kind != SubjectKind::Machine => Err(invalid("is a person, not a machine")),
            Some(known) if known.groups != event.groups => Err(invalid("is known already, with other groups")),
            Some(_) => Ok(()),
            None => {
                let known = self.policy.groups();
                match event.groups.iter().find(|group| !known.contains_key(*group)) {
                    Some(group) => Err(refused("GROUP_UNKNOWN", format!("the policy set has no group `{group}`"))),
                    None => Ok(()),
                }
            }
        }
    }
}
