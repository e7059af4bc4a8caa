//! Quorum: how many people a change of governance takes, who they are, and what rests on their signatures.

use std::collections::BTreeSet;

use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, EnvName, GateName, PersonId, ReleaseName, ServiceName};
use lockgate_policy::Permission;
use lockgate_sign::quorum::{Signer, count_distinct_signers};

use super::{Governance, Key};
use crate::change::{COUNTERSIGNATURES_MAX, Demand};
use crate::state::ApplyError;

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The person who signed.
    pub(crate) person: PersonId,
    /// The `SHA256:` fingerprint of the key that they signed with.
    pub(crate) key: String,
}

/// Something that rests on signatures.
#[derive(Debug, Clone)]
pub(crate) struct Vouching {
    /// Ledger index of the entry that records it.
    pub(crate) index: EntryIndex,
    /// Name of that entry's event, such as `key.added`.
    pub(crate) event: &'static str,
    /// How many different people had to sign at that time.
    pub(crate) quorum: usize,
    /// The verified signatures under it.
    pub(crate) signed: Vec<Signed>,
    /// What rests on them.
    pub(crate) what: Vouched,
}

/// What rests on signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// A key's place in the directory.
    Key { person: PersonId, key: String },
    /// The end of a key.
    End { person: PersonId, key: String },
    /// Someone's standing.
    Standing { person: PersonId },
    /// An active policy set.
    Policy { policy: Digest },
    /// A waiver.
    Waiver { gate: GateName, finding: String, service: ServiceName, environment: EnvName },
    /// The trust in CI pipelines.
    Ci { machine: PersonId },
    /// A lent right to approve.
    Delegation { from: PersonId, to: PersonId },
    /// A break-glass, by the entry that opened it.
    BreakGlass { opened: EntryIndex, release: ReleaseName, environment: EnvName },
}

impl Vouched {
    /// What it is, in words.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Key { person, key } => format!("the key {key} of {person}"),
            Self::End { person, key } => format!("the end of the key {key} of {person}"),
            Self::Standing { person } => format!("the standing of {person}"),
            Self::Policy { policy } => format!("the policy set {policy}"),
            Self::Ci { machine } => format!("the trust in CI pipelines that act as {machine}"),
            Self::Delegation { from, to } => format!("the right to approve that {from} lent {to}"),
            Self::BreakGlass { opened, release, environment } => {
                format!("the break-glass of entry {opened} for {release} into {environment}")
            }
            Self::Waiver { gate, finding, service, environment } => {
                format!("the waiver of {finding} of gate {gate} for {service} in {environment}")
            }
        }
    }
}

impl Governance {
    /// How many different people have to sign a change: the policy set's `quorum`, but no more than there are people
    /// who may, without the one whom the change is about, and at least one ("two people where there are enough").
    ///
    /// The only place where this is decided; the policy set and the people are those before the change. Accounts that
    /// `aliases.toml` gives to one person are one.
    pub fn effective_quorum(&self, permission: Permission, subject: Option<&PersonId>) -> usize {
        if lockgate_failpoint::planted("policy-quorum-of-one") {
            return 1;
        }
        let able = self.people.iter().filter(|(id, person)| {
            person.kind == SubjectKind::Person && !self.is_subject(id, subject) && self.may(id, permission)
        });
        let able: BTreeSet<&PersonId> = able.map(|(id, _)| self.policy.aliases().person(id)).collect();
        let wanted = usize::try_from(self.policy.settings().governance.quorum).unwrap_or(usize::MAX);
        wanted.min(able.len()).max(1)
    }

    /// Whether a change is about the person behind an account.
    fn is_subject(&self, account: &PersonId, subject: Option<&PersonId>) -> bool {
        let aliases = self.policy.aliases();
        subject.is_some_and(|subject| aliases.person(subject) == aliases.person(account))
    }

    /// Counts the people who sign now, by person and not by account.
    pub(super) fn count_people(&self, signed: &[Signed]) -> usize {
        let aliases = self.policy.aliases();
        count_distinct_signers(
            signed.iter().map(|signed| Signer { person: aliases.person(&signed.person), key: &signed.key }),
        )
    }

    /// Counts the accounts among verified signers: what rested on them when they signed stays, whatever aliases are
    /// written later.
    pub(super) fn count(signed: &[Signed]) -> usize {
        count_distinct_signers(signed.iter().map(|signed| Signer { person: &signed.person, key: &signed.key }))
    }

    /// Verifies every signature of a change, and counts them; gives the quorum and who signed.
    pub(super) fn check_demand(
        &self,
        demand: &Demand<'_>,
        index: EntryIndex,
    ) -> Result<(usize, Vec<Signed>), ApplyError> {
        let signed = self.verify_signers(demand, index)?;
        Ok((self.check_quorum(demand, &signed)?, signed))
    }

    /// Verifies every signature of a change: by people who may, with keys that count, and not by the subject.
    pub(super) fn verify_signers(&self, demand: &Demand<'_>, index: EntryIndex) -> Result<Vec<Signed>, ApplyError> {
        if demand.more.len() > COUNTERSIGNATURES_MAX {
            return Err(ApplyError::new(
                "TOO_MANY_SIGNATURES",
                format!("a change carries at most {COUNTERSIGNATURES_MAX} further signatures"),
            ));
        }
        let mut signed = Vec::with_capacity(demand.more.len() + 1);
        signed.push(self.verify_signer(demand, demand.by, demand.signature, index)?);
        for more in demand.more {
            signed.push(self.verify_signer(demand, &more.by, &more.signature, index)?);
        }
        Ok(signed)
    }

    fn verify_signer(
        &self,
        demand: &Demand<'_>,
        by: &PersonId,
        signature: &str,
        index: EntryIndex,
    ) -> Result<Signed, ApplyError> {
        self.check_signer(by, demand.permission, demand.subject)?;
        let key = self.verify_signature(by, signature, demand.namespace, &demand.document, index)?;
        self.check_scope(by, &key, None)?;
        Ok(Signed { person: by.clone(), key })
    }

    /// Whether someone may sign a change at all.
    pub(super) fn check_signer(
        &self,
        by: &PersonId,
        permission: Permission,
        subject: Option<&PersonId>,
    ) -> Result<(), ApplyError> {
        // Whoever is suspended is told so, and not that a role is missing.
        if self.people.get(by).is_some_and(super::Person::is_suspended) {
            return Err(ApplyError::new("PERSON_SUSPENDED", format!("`{by}` is suspended")));
        }
        self.require(by, permission)?;
        if self.people.get(by).is_some_and(|person| person.kind == SubjectKind::Machine) {
            return Err(ApplyError::new(
                "SOD_ROBOT",
                format!("`{by}` is a machine; people sign changes of people, keys and policy"),
            ));
        }
        match self.is_subject(by, subject) {
            true => Err(ApplyError::new("SOD_SELF", format!("the change is about `{by}`; others have to sign it"))),
            false => Ok(()),
        }
    }

    /// Whether enough different people signed.
    pub(super) fn check_quorum(&self, demand: &Demand<'_>, signed: &[Signed]) -> Result<usize, ApplyError> {
        self.check_proposal(demand, signed)?;
        let needed = self.effective_quorum(demand.permission, demand.subject);
        let found = self.count_people(signed);
        match found >= needed {
            true => Ok(needed),
            false => Err(ApplyError::new(
                "QUORUM_GOVERNANCE",
                format!(
                    "this takes the signatures of {needed} different people with the permission `{}`, and has {found}",
                    demand.permission
                ),
            )),
        }
    }

    /// Remembers on whose signatures a key rests.
    pub(super) fn vouch_key(
        &mut self,
        event: &'static str,
        person: &PersonId,
        key: &Key,
        index: EntryIndex,
        quorum: usize,
        signed: Vec<Signed>,
    ) {
        let what = Vouched::Key { person: person.clone(), key: key.fingerprint.clone() };
        self.vouchings.push(Vouching { index, event, quorum, signed, what });
    }

    /// Whether something still rests on enough good signatures, as the keys are known now.
    pub(crate) fn stands(&self, vouching: &Vouching) -> bool {
        let good: Vec<Signed> =
            vouching.signed.iter().filter(|signed| self.counted_at(signed, vouching.index)).cloned().collect();
        Self::count(&good) >= vouching.quorum
    }

    /// Everything that rests on signatures, in ledger order.
    pub(crate) fn vouchings(&self) -> &[Vouching] {
        &self.vouchings
    }
}
