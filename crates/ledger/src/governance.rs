//! Governance: the ledger's identity, people, keys, the active policy set and waivers.
//!
//! INVARIANT (governance is countersigned): every change after the first owner carries a signature by a key that
//! was enrolled before it, made by someone whom the policy set of that moment gives the right. Whoever can write to
//! the server's disk can therefore not enrol an approver.
//!
//! INVARIANT (two people where there are enough): such a change carries as many signatures by different people as
//! [`Governance::effective_quorum`] says. Only what people do to their own keys needs nobody else.

mod ci;
mod keys;
mod lifecycle;
mod proposals;
mod quorum;
mod rights;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use lockgate_model::facts::{PersonFact, SubjectKind};
use lockgate_model::{
    Digest, EntryIndex, EnvName, GateName, GroupName, PersonId, ReleaseName, ServiceName, UnixMillis, canonical,
};
use lockgate_policy::{Object, Permission, PolicySet};
use lockgate_sign::ssh::{Presence, SshPublicKey, SshSignature};

use crate::access_review::LastReview;
use crate::bodies::{Bodies, required};
use crate::break_glass::BreakGlasses;
use crate::change::none_listed;
use crate::ci_trust::CiTrusts;
use crate::delegation::Delegations;
use crate::entry::{KeyAdded, LedgerCreated, PersonEnrolled, PolicyActivated, Sponsor};
use crate::feed::Feeds;
use crate::freeze::Freezes;
use crate::identity::Identities;
use crate::passkey::check_passkey;
use crate::state::ApplyError;
use crate::waiver::Waivers;

pub use keys::{Ended, Key, KeyEnd, Person, Suspension};
pub use proposals::{Change, ChangeSignature, ChangeStatus};
pub(crate) use quorum::{Signed, Vouched, Vouching};
pub use rights::VerdictRight;

/// The SSHSIG namespace of enrolments, further keys and revocations.
pub const ENROLMENT_NAMESPACE: &str = "key-enrolment.v1@lockgate.dev";
/// The SSHSIG namespace of policy activations.
pub const POLICY_NAMESPACE: &str = "policy-approval.v1@lockgate.dev";
/// The SSHSIG namespace of waivers.
pub const WAIVER_NAMESPACE: &str = "waiver.v1@lockgate.dev";

/// The governance state at one point of the ledger.
#[derive(Debug, Clone)]
pub struct Governance {
    /// The ledger's origin, log key and attestation key.
    pub identity: LedgerCreated,
    /// The active policy set.
    pub policy: Arc<PolicySet>,
    /// Its digest.
    pub policy_digest: Digest,
    /// The entry that made it active.
    pub policy_at: EntryIndex,
    people: BTreeMap<PersonId, Person>,
    ci: CiTrusts,
    /// What people excepted from gates, and asked to.
    pub(crate) waivers: Waivers,
    /// Snapshots of feeds.
    pub(crate) feeds: Feeds,
    /// What people lent each other.
    pub(crate) delegations: Delegations,
    /// What people stopped.
    pub(crate) freezes: Freezes,
    /// What people let past the gates.
    pub(crate) break_glasses: BreakGlasses,
    /// The newest access review.
    pub(crate) last_review: Option<LastReview>,
    /// Accounts of identity providers, and whose they are.
    pub(crate) identities: Identities,
    /// The ledger time of the newest governance entry.
    time: UnixMillis,
    /// What rests on whose signatures, in ledger order.
    vouchings: Vec<Vouching>,
    /// Every proposed change, `C-1` first.
    changes: Vec<Change>,
}

/// What the new key and its sponsor sign.
#[derive(Debug, Serialize)]
pub struct EnrolmentDocument<'a> {
    /// Always `https://lockgate.dev/enrolment/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The name.
    pub person: &'a PersonId,
    /// A person or a machine.
    pub subject: SubjectKind,
    /// The groups.
    pub groups: &'a [GroupName],
    /// The key.
    pub key: &'a SshPublicKey,
    /// From when on the key's signatures do not count; absent where they have no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the key approves for; absent where that is all.
    #[serde(skip_serializing_if = "none_listed")]
    pub environments: &'a [EnvName],
}

impl<'a> EnrolmentDocument<'a> {
    /// The document for these fields.
    pub fn new(
        ledger: &'a str,
        person: &'a PersonId,
        subject: SubjectKind,
        groups: &'a [GroupName],
        key: &'a SshPublicKey,
    ) -> Self {
        let schema = "https://lockgate.dev/enrolment/v1";
        Self { schema, ledger, person, subject, groups, key, expires_at: None, environments: &[] }
    }

    /// The same for a key that ends by itself, or approves for some environments alone.
    #[must_use]
    pub fn limited(self, expires_at: Option<UnixMillis>, environments: &'a [EnvName]) -> Self {
        Self { expires_at, environments, ..self }
    }
}

/// What is signed to end a key.
#[derive(Debug, Serialize)]
pub struct RevocationDocument<'a> {
    /// Always `https://lockgate.dev/revocation/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// Whose key.
    pub person: &'a PersonId,
    /// Its fingerprint.
    pub key: &'a str,
    /// Since when its signatures do not count.
    pub compromised_since: Option<EntryIndex>,
    /// Why.
    pub reason: &'a str,
}

/// What is signed to activate a policy set.
#[derive(Debug, Serialize)]
pub struct ActivationDocument<'a> {
    /// Always `https://lockgate.dev/policy-activation/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The new set.
    pub policy: Digest,
    /// The set it replaces.
    pub previous: Digest,
    /// The entry that had made that one active: the signature is good for this change alone.
    pub previous_at: EntryIndex,
    /// Why.
    pub reason: &'a str,
    /// The digest of the backtest of the new set; absent where none is attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backtest: Option<Digest>,
}

/// What both people sign for a waiver.
#[derive(Debug, Serialize)]
pub struct WaiverDocument<'a> {
    /// Always `https://lockgate.dev/waiver/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The gate.
    pub gate: &'a GateName,
    /// The finding.
    pub finding: &'a str,
    /// The service.
    pub service: &'a ServiceName,
    /// The environment.
    pub environment: &'a EnvName,
    /// The only release; absent where it is for every release of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<&'a ReleaseName>,
    /// The only artifact; absent where it is for every artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// Why.
    pub reason: &'a str,
    /// Where it is followed up; absent where nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<&'a str>,
    /// Until when.
    pub expires_at: UnixMillis,
    /// Who asks.
    pub asked_by: &'a PersonId,
}

/// The canonical bytes of a governance document, as they are signed.
///
/// # Errors
/// When the document has no canonical form.
pub fn document_bytes<T: Serialize>(document: &T) -> Result<Vec<u8>, ApplyError> {
    canonical::to_vec(document).map_err(|error| ApplyError::new("DOCUMENT_INVALID", error.to_string()))
}

fn policy_set(digest: &Digest, bodies: &dyn Bodies) -> Result<Arc<PolicySet>, ApplyError> {
    let bytes = required(bodies, digest)?;
    PolicySet::from_document(&bytes).map(Arc::new).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        ApplyError::new("POLICY_INVALID", format!("the policy set {digest} does not load: {first}"))
    })
}

impl Governance {
    /// Starts from entry 0.
    ///
    /// # Errors
    /// [`ApplyError`] when the policy set's body is missing or does not load.
    pub fn create(event: &LedgerCreated, bodies: &dyn Bodies) -> Result<Self, ApplyError> {
        Ok(Self {
            identity: event.clone(),
            policy: policy_set(&event.policy, bodies)?,
            policy_digest: event.policy,
            policy_at: EntryIndex(0),
            people: BTreeMap::new(),
            ci: CiTrusts::default(),
            waivers: Waivers::default(),
            feeds: Feeds::default(),
            delegations: Delegations::default(),
            freezes: Freezes::default(),
            break_glasses: BreakGlasses::default(),
            last_review: None,
            identities: Identities::default(),
            time: UnixMillis(0),
            vouchings: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// Takes the ledger time of the governance entry that is applied next: keys may have an end in time. Gives the time
    /// before it.
    pub(crate) fn advance(&mut self, time: UnixMillis) -> UnixMillis {
        let before = self.time;
        self.time = before.max(time);
        before
    }

    /// Takes the time back to what it was, where the entry was refused.
    pub(crate) fn turn_back(&mut self, time: UnixMillis) {
        self.time = time;
    }

    /// The ledger's origin.
    pub fn origin(&self) -> &str {
        &self.identity.origin
    }

    /// Everyone enrolled, in order of name.
    pub fn people(&self) -> impl Iterator<Item = (&PersonId, &Person)> {
        self.people.iter()
    }

    /// One person or machine.
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.get(id)
    }

    /// Everyone enrolled, as facts.
    pub fn people_facts(&self) -> BTreeMap<PersonId, PersonFact> {
        // Whoever is suspended belongs nowhere until reinstated.
        let groups = |person: &Person| if person.is_suspended() { Vec::new() } else { person.groups.clone() };
        let fact = |person: &Person| PersonFact { kind: person.kind, groups: groups(person), keyless: false };
        self.people.iter().map(|(id, person)| (id.clone(), fact(person))).collect()
    }

    /// Whether the active policy set gives this person the permission everywhere; whoever is suspended has none.
    pub fn may(&self, id: &PersonId, permission: Permission) -> bool {
        self.allows(id, permission, Object::Ledger).is_ok()
    }

    /// Remembers on whose signature a lent right rests.
    pub(crate) fn vouch_delegation(&mut self, from: &PersonId, to: &PersonId, key: &str, index: EntryIndex) {
        let signed = vec![Signed { person: from.clone(), key: key.to_owned() }];
        let what = Vouched::Delegation { from: from.clone(), to: to.clone() };
        self.vouchings.push(Vouching { index, event: "delegation.granted", quorum: 1, signed, what });
    }

    /// Remembers on whose signatures a waiver rests.
    pub(crate) fn vouch_waiver(&mut self, index: EntryIndex, signed: Vec<Signed>, what: Vouched) {
        self.vouchings.push(Vouching { index, event: "waiver.granted", quorum: 2, signed, what });
    }

    /// Remembers on whose signatures a break-glass rests, at the entry by which it took effect.
    pub(crate) fn vouch_break_glass(&mut self, index: EntryIndex, quorum: usize, signed: Vec<Signed>, what: Vouched) {
        self.vouchings.push(Vouching { index, event: "break-glass.opened", quorum, signed, what });
    }

    /// Finds a person's key by fingerprint.
    pub fn key(&self, person: &PersonId, fingerprint: &str) -> Option<&Key> {
        self.people.get(person)?.keys.iter().find(|key| key.fingerprint == fingerprint)
    }

    /// Finds whose key this is, whoever it is.
    pub fn owner_of_key(&self, fingerprint: &str) -> Option<&PersonId> {
        let holds = |person: &Person| person.keys.iter().any(|key| key.fingerprint == fingerprint);
        self.people.iter().find(|(_, person)| holds(person)).map(|(id, _)| id)
    }

    /// Verifies a person's signature, recorded at `index`, over `message`.
    ///
    /// # Errors
    /// `PERSON_UNKNOWN`, `SIGNATURE_MALFORMED`, `KEY_UNKNOWN`, `SIGNATURE_INVALID`, `PERSON_SUSPENDED`, `KEY_REVOKED`
    /// or `KEY_EXPIRED`: a bad signature is never reported as an unknown key. A passkey's signature that is bad, or that
    /// the policy set does not count, has a code that begins with `WEBAUTHN_`.
    pub fn verify_signature(
        &self,
        person: &PersonId,
        armored: &str,
        namespace: &str,
        message: &[u8],
        index: EntryIndex,
    ) -> Result<String, ApplyError> {
        let fingerprint = self.verify_made(person, armored, namespace, message)?.fingerprint.clone();
        self.check_counts(person, &fingerprint, index, self.time)?;
        Ok(fingerprint)
    }

    /// Verifies that a person's enrolled key made this signature, whether or not the key still counts.
    ///
    /// # Errors
    /// As [`Self::verify_signature`], without `PERSON_SUSPENDED`, `KEY_REVOKED` and `KEY_EXPIRED`.
    pub fn verify_made(
        &self,
        person: &PersonId,
        armored: &str,
        namespace: &str,
        message: &[u8],
    ) -> Result<&Key, ApplyError> {
        let (key, presence) = self.verify_key(person, armored, namespace, message)?;
        check_passkey(&self.policy.settings().passkeys, presence.as_ref())?;
        Ok(key)
    }

    /// Verifies as [`Self::verify_made`] does, without asking whether the policy set counts the passkey that signed:
    /// for entries that may be older than the policy set. [`Self::check_device`] asks it.
    ///
    /// # Errors
    /// As [`Self::verify_made`], without those of the policy set's own rules.
    pub(crate) fn verify_key(
        &self,
        person: &PersonId,
        armored: &str,
        namespace: &str,
        message: &[u8],
    ) -> Result<(&Key, Option<Presence>), ApplyError> {
        let signature = SshSignature::parse_armored(armored)
            .map_err(|error| ApplyError::new("SIGNATURE_MALFORMED", error.to_string()))?;
        let record = self
            .people
            .get(person)
            .ok_or_else(|| ApplyError::new("PERSON_UNKNOWN", format!("`{person}` is not enrolled")))?;
        let fingerprint = signature.public_key().fingerprint();
        let key = record.keys.iter().find(|key| key.fingerprint == fingerprint).ok_or_else(|| {
            ApplyError::new("KEY_UNKNOWN", format!("the key {fingerprint} is not enrolled for `{person}`"))
        })?;
        let presence = signature.verify_presence(message, namespace, &key.public).map_err(|error| {
            ApplyError::new(error.code(), format!("the signature by `{person}` does not verify: {error}"))
        })?;
        Ok((key, presence))
    }

    /// Whether the policy set counts the device that made a signature, which has been verified already.
    ///
    /// # Errors
    /// `SIGNATURE_MALFORMED`, `WEBAUTHN_ORIGIN`, `WEBAUTHN_SYNCED` or `WEBAUTHN_UV`.
    pub(crate) fn check_device(&self, armored: &str) -> Result<(), ApplyError> {
        let signature = SshSignature::parse_armored(armored)
            .map_err(|error| ApplyError::new("SIGNATURE_MALFORMED", error.to_string()))?;
        check_passkey(&self.policy.settings().passkeys, signature.presence().as_ref())
    }

    fn require(&self, person: &PersonId, permission: Permission) -> Result<(), ApplyError> {
        match self.may(person, permission) {
            true => Ok(()),
            false => Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{person}` has no role with the permission `{}`", permission.as_str()),
            )),
        }
    }

    fn refuse_bound_key(&self, key: &SshPublicKey) -> Result<(), ApplyError> {
        let material = key.material();
        let holds = |person: &Person| person.keys.iter().any(|known| known.public.material() == material);
        match self.people.iter().find(|(_, person)| holds(person)) {
            None => Ok(()),
            Some((owner, _)) => Err(ApplyError::new(
                "KEY_ALREADY_BOUND",
                format!("the key {} belongs to `{owner}`; one key belongs to one person", key.fingerprint()),
            )),
        }
    }

    fn prove_possession(&self, key: &SshPublicKey, proof: &str, document: &[u8]) -> Result<(), ApplyError> {
        let signature = SshSignature::parse_armored(proof)
            .map_err(|error| ApplyError::new("SIGNATURE_MALFORMED", error.to_string()))?;
        let presence = signature.verify_presence(document, ENROLMENT_NAMESPACE, key).map_err(|error| {
            ApplyError::new(error.code(), format!("the new key's own signature does not verify: {error}"))
        })?;
        check_passkey(&self.policy.settings().passkeys, presence.as_ref())
    }

    /// Applies `person.enrolled`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn enrol(&mut self, event: &PersonEnrolled, index: EntryIndex) -> Result<(), ApplyError> {
        if self.people.contains_key(&event.person) {
            return Err(ApplyError::new("PERSON_EXISTS", format!("`{}` is enrolled already", event.person)));
        }
        self.refuse_bound_key(&event.key)?;
        let known = self.policy.groups();
        if let Some(group) = event.groups.iter().find(|group| !known.contains_key(*group)) {
            return Err(ApplyError::new("GROUP_UNKNOWN", format!("the policy set has no group `{group}`")));
        }
        self.prove_possession(&event.key, &event.proof, &event.document(self.origin())?)?;
        let demand = event.demand(self.origin())?;
        let vouching = match &event.sponsor {
            Sponsor::SetupCode { code } => {
                self.check_setup(event, code)?;
                None
            }
            Sponsor::Countersigned { .. } => {
                demand.as_ref().map(|demand| self.check_demand(demand, index)).transpose()?
            }
        };
        self.settle(demand.as_ref(), index);
        self.insert_person(event, index, vouching);
        Ok(())
    }

    /// The first owner needs the one-time code, and no signature but their own.
    fn check_setup(&self, event: &PersonEnrolled, code: &str) -> Result<(), ApplyError> {
        if !self.people.is_empty() {
            return Err(ApplyError::new("SETUP_DONE", "the one-time code enrols the first owner only".to_owned()));
        }
        if Digest::of(code.as_bytes()) != self.identity.setup_code {
            return Err(ApplyError::new("SETUP_CODE_WRONG", "this is not the one-time code of this ledger".to_owned()));
        }
        match event.countersigned.is_empty() {
            true => Ok(()),
            false => {
                Err(ApplyError::new("SPONSOR_INVALID", "nobody countersigns the first owner's enrolment".to_owned()))
            }
        }
    }

    /// Applies `key.added`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn add_key(&mut self, event: &KeyAdded, index: EntryIndex) -> Result<(), ApplyError> {
        self.refuse_bound_key(&event.key)?;
        let Some(person) = self.people.get(&event.person) else {
            return Err(ApplyError::new("PERSON_UNKNOWN", format!("`{}` is not enrolled", event.person)));
        };
        let document = EnrolmentDocument::new(self.origin(), &event.person, person.kind, &person.groups, &event.key);
        let document = document_bytes(&document.limited(event.expires_at, &event.environments))?;
        self.prove_possession(&event.key, &event.proof, &document)?;
        if event.by != event.person {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                "a further key is vouched for by the same person's earlier key, and by nobody else".to_owned(),
            ));
        }
        let by = self.verify_signature(&event.by, &event.signature, ENROLMENT_NAMESPACE, &document, index)?;
        self.check_within(&event.by, &by, &event.environments)?;
        let key = Key::new(&event.key, index).limited(event.expires_at, &event.environments);
        self.vouch_key("key.added", &event.person, &key, index, 1, vec![Signed { person: event.by.clone(), key: by }]);
        if let Some(person) = self.people.get_mut(&event.person) {
            person.keys.push(key);
        }
        Ok(())
    }

    /// Applies `policy.activated`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn activate(
        &mut self,
        event: &PolicyActivated,
        index: EntryIndex,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        if event.previous != self.policy_digest || event.previous_at != self.policy_at {
            return Err(ApplyError::new(
                "POLICY_STALE",
                "another policy set has become active since this was signed".to_owned(),
            ));
        }
        let demand = event.demand(self.origin())?;
        let signed = self.verify_signers(&demand, index)?;
        let policy = policy_set(&event.policy, bodies)?;
        self.check_backtest(event, index, bodies)?;
        let quorum = self.check_quorum(&demand, &signed)?;
        self.settle(Some(&demand), index);
        let what = Vouched::Policy { policy: event.policy };
        self.vouchings.push(Vouching { index, event: "policy.activated", quorum, signed, what });
        self.policy = policy;
        self.policy_digest = event.policy;
        self.policy_at = index;
        Ok(())
    }
}
