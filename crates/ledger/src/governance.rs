//! Governance: the ledger's identity, people, keys, the active policy set and waivers.
//!
//! INVARIANT (governance is countersigned): every change after the first owner carries a signature by a key that
//! was enrolled before it, made by someone whom the policy set of that moment gives the right. Whoever can write to
//! the server's disk can therefore not enrol an approver.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use lockgate_model::facts::{PersonFact, SubjectKind, WaiverFact};
use lockgate_model::{Digest, EntryIndex, EnvName, GateName, GroupName, PersonId, ServiceName, UnixMillis, canonical};
use lockgate_policy::{Permission, PolicySet};
use lockgate_sign::ssh::{SshPublicKey, SshSignature};

use crate::bodies::{Bodies, required};
use crate::entry::{KeyAdded, KeyRevoked, LedgerCreated, PersonEnrolled, PolicyActivated, Sponsor, WaiverGranted};
use crate::state::ApplyError;

/// The SSHSIG namespace of enrolments, further keys and revocations.
pub const ENROLMENT_NAMESPACE: &str = "key-enrolment.v1@lockgate.dev";
/// The SSHSIG namespace of policy activations.
pub const POLICY_NAMESPACE: &str = "policy-approval.v1@lockgate.dev";
/// The SSHSIG namespace of waivers.
pub const WAIVER_NAMESPACE: &str = "waiver.v1@lockgate.dev";

/// The longest that a waiver may last (`security.md` A-85).
pub const WAIVER_MAX_DAYS: u64 = 90;

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
    waivers: Vec<Waiver>,
}

#[derive(Debug, Clone)]
struct Waiver {
    fact: WaiverFact,
    service: ServiceName,
    environment: EnvName,
}

/// Someone enrolled.
#[derive(Debug, Clone)]
pub struct Person {
    /// A person or a machine.
    pub kind: SubjectKind,
    /// The groups, as enrolled.
    pub groups: Vec<GroupName>,
    /// Every key ever enrolled, in order.
    pub keys: Vec<Key>,
}

/// A key in the directory.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key.
    pub public: SshPublicKey,
    /// Its `SHA256:` fingerprint.
    pub fingerprint: String,
    /// The entry that enrolled it.
    pub enrolled_at: EntryIndex,
    /// From which index on its signatures do not count; absent while it is good.
    pub invalid_from: Option<EntryIndex>,
}

impl Key {
    /// Whether a signature that the ledger recorded at `index` counts: decided by ledger order, not by clocks.
    pub fn valid_at(&self, index: EntryIndex) -> bool {
        self.enrolled_at < index && self.invalid_from.is_none_or(|from| index < from)
    }
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
        Self { schema: "https://lockgate.dev/enrolment/v1", ledger, person, subject, groups, key }
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
    /// Why.
    pub reason: &'a str,
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
            waivers: Vec::new(),
        })
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
        let fact = |person: &Person| PersonFact { kind: person.kind, groups: person.groups.clone() };
        self.people.iter().map(|(id, person)| (id.clone(), fact(person))).collect()
    }

    /// The waivers that were granted for this service and environment, expired ones included.
    pub fn waivers_for(&self, service: &ServiceName, environment: &EnvName) -> Vec<WaiverFact> {
        let fits = |waiver: &&Waiver| waiver.service == *service && waiver.environment == *environment;
        self.waivers.iter().filter(fits).map(|waiver| waiver.fact.clone()).collect()
    }

    /// Whether the active policy set gives this person the permission.
    pub fn may(&self, id: &PersonId, permission: Permission) -> bool {
        self.people.get(id).is_some_and(|person| self.policy.permissions_of(&person.groups).contains(&permission))
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
    /// `PERSON_UNKNOWN`, `SIGNATURE_MALFORMED`, `KEY_UNKNOWN`, `KEY_REVOKED` or `SIGNATURE_INVALID`: a bad signature
    /// is never reported as an unknown key.
    pub fn verify_signature(
        &self,
        person: &PersonId,
        armored: &str,
        namespace: &str,
        message: &[u8],
        index: EntryIndex,
    ) -> Result<String, ApplyError> {
        let key = self.verify_made(person, armored, namespace, message)?;
        match key.valid_at(index) {
            true => Ok(key.fingerprint.clone()),
            false => Err(ApplyError::new(
                "KEY_REVOKED",
                format!("the key {} of `{person}` does not count any more", key.fingerprint),
            )),
        }
    }

    /// Verifies that a person's enrolled key made this signature, whether or not the key still counts.
    ///
    /// # Errors
    /// As [`Self::verify_signature`], without `KEY_REVOKED`.
    pub fn verify_made(
        &self,
        person: &PersonId,
        armored: &str,
        namespace: &str,
        message: &[u8],
    ) -> Result<&Key, ApplyError> {
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
        signature.verify(message, namespace, &key.public).map_err(|error| {
            ApplyError::new("SIGNATURE_INVALID", format!("the signature by `{person}` does not verify: {error}"))
        })?;
        Ok(key)
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
        match self.owner_of_key(&key.fingerprint()) {
            None => Ok(()),
            Some(owner) => Err(ApplyError::new(
                "KEY_ALREADY_BOUND",
                format!("the key {} belongs to `{owner}`; one key belongs to one person", key.fingerprint()),
            )),
        }
    }

    fn prove_possession(key: &SshPublicKey, proof: &str, document: &[u8]) -> Result<(), ApplyError> {
        let signature = SshSignature::parse_armored(proof)
            .map_err(|error| ApplyError::new("SIGNATURE_MALFORMED", error.to_string()))?;
        signature.verify(document, ENROLMENT_NAMESPACE, key).map_err(|error| {
            ApplyError::new("SIGNATURE_INVALID", format!("the new key's own signature does not verify: {error}"))
        })
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
        let document = EnrolmentDocument::new(self.origin(), &event.person, event.subject, &event.groups, &event.key);
        let document = document_bytes(&document)?;
        Self::prove_possession(&event.key, &event.proof, &document)?;
        match &event.sponsor {
            Sponsor::SetupCode { code } => {
                if !self.people.is_empty() {
                    return Err(ApplyError::new(
                        "SETUP_DONE",
                        "the one-time code enrols the first owner only".to_owned(),
                    ));
                }
                if Digest::of(code.as_bytes()) != self.identity.setup_code {
                    return Err(ApplyError::new(
                        "SETUP_CODE_WRONG",
                        "this is not the one-time code of this ledger".to_owned(),
                    ));
                }
            }
            Sponsor::Countersigned { by, signature } => {
                self.require(by, Permission::Keys)?;
                self.verify_signature(by, signature, ENROLMENT_NAMESPACE, &document, index)?;
            }
        }
        let key = Key {
            fingerprint: event.key.fingerprint(),
            public: event.key.clone(),
            enrolled_at: index,
            invalid_from: None,
        };
        let person = Person { kind: event.subject, groups: event.groups.clone(), keys: vec![key] };
        self.people.insert(event.person.clone(), person);
        Ok(())
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
        let document = document_bytes(&document)?;
        Self::prove_possession(&event.key, &event.proof, &document)?;
        if event.by != event.person {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                "a further key is vouched for by the same person's earlier key, and by nobody else".to_owned(),
            ));
        }
        self.verify_signature(&event.by, &event.signature, ENROLMENT_NAMESPACE, &document, index)?;
        let key = Key {
            fingerprint: event.key.fingerprint(),
            public: event.key.clone(),
            enrolled_at: index,
            invalid_from: None,
        };
        if let Some(person) = self.people.get_mut(&event.person) {
            person.keys.push(key);
        }
        Ok(())
    }

    /// Applies `key.revoked`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn revoke_key(&mut self, event: &KeyRevoked, index: EntryIndex) -> Result<(), ApplyError> {
        if event.by != event.person {
            self.require(&event.by, Permission::Keys)?;
        }
        let document = RevocationDocument {
            schema: "https://lockgate.dev/revocation/v1",
            ledger: self.origin(),
            person: &event.person,
            key: &event.key,
            compromised_since: event.compromised_since,
            reason: &event.reason,
        };
        self.verify_signature(&event.by, &event.signature, ENROLMENT_NAMESPACE, &document_bytes(&document)?, index)?;
        let key = self
            .people
            .get_mut(&event.person)
            .and_then(|person| person.keys.iter_mut().find(|key| key.fingerprint == event.key))
            .ok_or_else(|| ApplyError::new("KEY_UNKNOWN", format!("`{}` has no key {}", event.person, event.key)))?;
        let from = event.compromised_since.unwrap_or(index).min(index);
        key.invalid_from = Some(key.invalid_from.map_or(from, |earlier| earlier.min(from)));
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
        self.require(&event.by, Permission::Policy)?;
        let document = ActivationDocument {
            schema: "https://lockgate.dev/policy-activation/v1",
            ledger: self.origin(),
            policy: event.policy,
            previous: event.previous,
            previous_at: event.previous_at,
            reason: &event.reason,
        };
        self.verify_signature(&event.by, &event.signature, POLICY_NAMESPACE, &document_bytes(&document)?, index)?;
        self.policy = policy_set(&event.policy, bodies)?;
        self.policy_digest = event.policy;
        self.policy_at = index;
        Ok(())
    }

    /// Applies `waiver.granted`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn waive(&mut self, event: &WaiverGranted, index: EntryIndex, time: UnixMillis) -> Result<(), ApplyError> {
        if event.asked_by == event.granted_by {
            return Err(ApplyError::new(
                "SOD_SELF",
                "a waiver is asked for by one person and granted by another".to_owned(),
            ));
        }
        if event.expires_at <= time || event.expires_at.since(time).days() > WAIVER_MAX_DAYS {
            return Err(ApplyError::new(
                "WAIVER_EXPIRY",
                format!("a waiver ends within {WAIVER_MAX_DAYS} days, and not in the past"),
            ));
        }
        if event.finding.is_empty() || event.reason.trim().is_empty() {
            return Err(ApplyError::new("WAIVER_SCOPE", "a waiver names one finding and a reason".to_owned()));
        }
        self.require(&event.granted_by, Permission::Waive)?;
        for person in [&event.asked_by, &event.granted_by] {
            if self.people.get(person).is_some_and(|person| person.kind == SubjectKind::Machine) {
                return Err(ApplyError::new("SOD_ROBOT", format!("`{person}` is a machine; people sign waivers")));
            }
        }
        let document = WaiverDocument {
            schema: "https://lockgate.dev/waiver/v1",
            ledger: self.origin(),
            gate: &event.gate,
            finding: &event.finding,
            service: &event.service,
            environment: &event.environment,
            reason: &event.reason,
            expires_at: event.expires_at,
            asked_by: &event.asked_by,
        };
        let document = document_bytes(&document)?;
        self.verify_signature(&event.asked_by, &event.asked_signature, WAIVER_NAMESPACE, &document, index)?;
        self.verify_signature(&event.granted_by, &event.granted_signature, WAIVER_NAMESPACE, &document, index)?;
        let fact = WaiverFact {
            gate: event.gate.clone(),
            finding: Some(event.finding.clone()),
            asked_by: event.asked_by.clone(),
            granted_by: event.granted_by.clone(),
            expires_at: event.expires_at,
            index,
        };
        self.waivers.push(Waiver { fact, service: event.service.clone(), environment: event.environment.clone() });
        Ok(())
    }
}
