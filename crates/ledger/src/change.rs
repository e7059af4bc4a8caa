//! Changes of governance: what takes the signatures of several people before it has effect.
//!
//! A change is an ordinary governance event (an enrolment, the end of a key, a recovery, a suspension, another policy
//! set). Who has to sign it follows from the event alone: [`Event::demand`] gives the document, rebuilt from the
//! event's own fields, and the signatures under it. The ledger counts them when the event is applied; while some are
//! missing, a [`ChangeProposed`] entry holds the event as a draft and [`ChangeSigned`] entries gather the rest.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{ChangeId, Digest, EntryIndex, EnvName, GroupName, Limits, PersonId, Span, UnixMillis, canonical};
use lockgate_policy::Permission;
use lockgate_sign::ssh::SshPublicKey;

use crate::code_words::code_words;
use crate::entry::{Event, KeyRevoked, PersonEnrolled, PolicyActivated, Sponsor};
use crate::governance::{
    ActivationDocument, ENROLMENT_NAMESPACE, EnrolmentDocument, POLICY_NAMESPACE, RevocationDocument, document_bytes,
};
use crate::state::ApplyError;
use lockgate_model::text::visible;

/// How long a proposal may gather signatures.
pub const CHANGE_TTL: Span = Span::from_secs(72 * 3600);
/// The most further signatures that one change carries.
pub const COUNTERSIGNATURES_MAX: usize = 16;
/// The SSHSIG namespace of rejections of proposed changes.
pub const REJECTION_NAMESPACE: &str = "change-rejection.v1@lockgate.dev";

/// One further signature over the document of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersignature {
    /// Who.
    pub by: PersonId,
    /// Their signature over the same document (SSHSIG, armored).
    pub signature: String,
}

/// Body of `key.rotated`: a new key takes the place of an old one, and both say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotated {
    /// Whose.
    pub person: PersonId,
    /// The new key.
    pub key: SshPublicKey,
    /// The new key's own signature over the rotation document.
    pub proof: String,
    /// The `SHA256:` fingerprint of the key that ends.
    pub replaces: String,
    /// That key's signature over the same document.
    pub signature: String,
    /// From when on, in ledger time, the new key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the new key approves for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvName>,
}

/// Body of `key.recovered`: someone who lost their keys has a new one; all earlier keys end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecovered {
    /// Whose.
    pub person: PersonId,
    /// The new key.
    pub key: SshPublicKey,
    /// The new key's own signature over the recovery document.
    pub proof: String,
    /// Why.
    pub reason: String,
    /// Someone else who may manage keys.
    pub by: PersonId,
    /// Their signature over the same document.
    pub signature: String,
    /// Further signatures, up to the quorum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned: Vec<Countersignature>,
    /// From when on, in ledger time, the new key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the new key approves for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvName>,
}

/// Body of `person.suspended` and `person.reinstated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingChanged {
    /// Who.
    pub person: PersonId,
    /// The entry that changed their standing last: the signatures are good for this change alone.
    pub previous_at: EntryIndex,
    /// Why.
    pub reason: String,
    /// Someone else who may manage keys.
    pub by: PersonId,
    /// Their signature over the standing document.
    pub signature: String,
    /// Further signatures, up to the quorum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned: Vec<Countersignature>,
}

/// Body of `change.proposed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeProposed {
    /// The id: the n-th proposal of the ledger.
    pub change: ChangeId,
    /// The digest of the draft: the event with its first signature, as canonical JSON.
    pub draft: Digest,
    /// The digest of the document that everyone signs.
    pub document: Digest,
    /// Who proposes.
    pub by: PersonId,
    /// Their signature over the document, the same as in the draft.
    pub signature: String,
    /// Until when signatures are gathered: [`CHANGE_TTL`] after the entry's time.
    pub expires_at: UnixMillis,
}

/// Body of `change.signed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeSigned {
    /// Which proposal.
    pub change: ChangeId,
    /// Who.
    pub by: PersonId,
    /// Their signature over the document.
    pub signature: String,
}

/// Body of `change.rejected`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRejected {
    /// Which proposal.
    pub change: ChangeId,
    /// Why.
    pub reason: String,
    /// Someone who could have signed it.
    pub by: PersonId,
    /// Their signature over the rejection document.
    pub signature: String,
}

/// What both keys sign for a rotation.
#[derive(Debug, Serialize)]
struct RotationDocument<'a> {
    schema: &'static str,
    ledger: &'a str,
    person: &'a PersonId,
    key: &'a SshPublicKey,
    replaces: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "none_listed")]
    environments: &'a [EnvName],
}

/// What the new key and the owners sign for a recovery.
#[derive(Debug, Serialize)]
struct RecoveryDocument<'a> {
    schema: &'static str,
    ledger: &'a str,
    person: &'a PersonId,
    key: &'a SshPublicKey,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "none_listed")]
    environments: &'a [EnvName],
}

/// What is signed to suspend or reinstate someone.
#[derive(Debug, Serialize)]
struct StandingDocument<'a> {
    schema: &'static str,
    ledger: &'a str,
    person: &'a PersonId,
    suspended: bool,
    previous_at: EntryIndex,
    reason: &'a str,
}

/// What is signed to reject a proposed change.
#[derive(Debug, Serialize)]
struct RejectionDocument<'a> {
    schema: &'static str,
    ledger: &'a str,
    change: ChangeId,
    document: Digest,
    reason: &'a str,
}

/// Whether a list of environments is left out of a document, as it is where a key has no scope.
pub(crate) fn none_listed(environments: &&[EnvName]) -> bool {
    environments.is_empty()
}

/// The bytes that old and new key sign for a rotation.
///
/// # Errors
/// `DOCUMENT_INVALID`.
pub fn rotation_bytes(
    ledger: &str,
    person: &PersonId,
    key: &SshPublicKey,
    replaces: &str,
    expires_at: Option<UnixMillis>,
    environments: &[EnvName],
) -> Result<Vec<u8>, ApplyError> {
    let schema = "https://lockgate.dev/rotation/v1";
    document_bytes(&RotationDocument { schema, ledger, person, key, replaces, expires_at, environments })
}

/// The bytes that the new key and the owners sign for a recovery.
///
/// # Errors
/// `DOCUMENT_INVALID`.
pub fn recovery_bytes(
    ledger: &str,
    person: &PersonId,
    key: &SshPublicKey,
    reason: &str,
    expires_at: Option<UnixMillis>,
    environments: &[EnvName],
) -> Result<Vec<u8>, ApplyError> {
    let schema = "https://lockgate.dev/recovery/v1";
    document_bytes(&RecoveryDocument { schema, ledger, person, key, reason, expires_at, environments })
}

/// The bytes that are signed to suspend someone, or to reinstate them.
///
/// # Errors
/// `DOCUMENT_INVALID`.
pub fn standing_bytes(
    ledger: &str,
    person: &PersonId,
    suspended: bool,
    previous_at: EntryIndex,
    reason: &str,
) -> Result<Vec<u8>, ApplyError> {
    let schema = "https://lockgate.dev/standing/v1";
    document_bytes(&StandingDocument { schema, ledger, person, suspended, previous_at, reason })
}

/// The bytes that are signed to reject a proposed change.
///
/// # Errors
/// `DOCUMENT_INVALID`.
pub fn rejection_bytes(ledger: &str, change: ChangeId, document: Digest, reason: &str) -> Result<Vec<u8>, ApplyError> {
    let schema = "https://lockgate.dev/change-rejection/v1";
    document_bytes(&RejectionDocument { schema, ledger, change, document, reason })
}

/// Whose signatures a change needs, over what, and those it has.
#[derive(Debug, Clone)]
pub struct Demand<'a> {
    /// What every signer has to be permitted.
    pub permission: Permission,
    /// Whose keys or standing the change is about; they do not count.
    pub subject: Option<&'a PersonId>,
    /// The SSHSIG namespace.
    pub namespace: &'static str,
    /// The exact bytes that everyone signs.
    pub document: Vec<u8>,
    /// The first signer.
    pub by: &'a PersonId,
    /// Their signature.
    pub signature: &'a str,
    /// The further signatures.
    pub more: &'a [Countersignature],
}

impl PersonEnrolled {
    /// The document that the new key and everyone who vouches signs.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn document(&self, ledger: &str) -> Result<Vec<u8>, ApplyError> {
        let document = EnrolmentDocument::new(ledger, &self.person, self.subject, &self.groups, &self.key);
        document_bytes(&document.limited(self.expires_at, &self.environments))
    }

    /// Whose signatures it needs; `None` for the first owner.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str) -> Result<Option<Demand<'_>>, ApplyError> {
        let Sponsor::Countersigned { by, signature } = &self.sponsor else { return Ok(None) };
        Ok(Some(Demand {
            permission: Permission::Keys,
            subject: None,
            namespace: ENROLMENT_NAMESPACE,
            document: self.document(ledger)?,
            by,
            signature,
            more: &self.countersigned,
        }))
    }
}

impl KeyRevoked {
    /// The document that is signed.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn document(&self, ledger: &str) -> Result<Vec<u8>, ApplyError> {
        document_bytes(&RevocationDocument {
            schema: "https://lockgate.dev/revocation/v1",
            ledger,
            person: &self.person,
            key: &self.key,
            compromised_since: self.compromised_since,
            reason: &self.reason,
        })
    }

    /// Whose signatures it needs; `None` where people end a key of their own, which nobody else has to agree to.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str) -> Result<Option<Demand<'_>>, ApplyError> {
        if self.by == self.person {
            return Ok(None);
        }
        Ok(Some(Demand {
            permission: Permission::Keys,
            subject: Some(&self.person),
            namespace: ENROLMENT_NAMESPACE,
            document: self.document(ledger)?,
            by: &self.by,
            signature: &self.signature,
            more: &self.countersigned,
        }))
    }
}

impl KeyRotated {
    /// The document that both keys sign.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn document(&self, ledger: &str) -> Result<Vec<u8>, ApplyError> {
        rotation_bytes(ledger, &self.person, &self.key, &self.replaces, self.expires_at, &self.environments)
    }
}

impl KeyRecovered {
    /// Whose signatures it needs.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str) -> Result<Demand<'_>, ApplyError> {
        let document =
            recovery_bytes(ledger, &self.person, &self.key, &self.reason, self.expires_at, &self.environments)?;
        Ok(Demand {
            permission: Permission::Keys,
            subject: Some(&self.person),
            namespace: ENROLMENT_NAMESPACE,
            document,
            by: &self.by,
            signature: &self.signature,
            more: &self.countersigned,
        })
    }
}

impl StandingChanged {
    /// Whose signatures it needs, to suspend or to reinstate.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str, suspended: bool) -> Result<Demand<'_>, ApplyError> {
        Ok(Demand {
            permission: Permission::Keys,
            subject: Some(&self.person),
            namespace: ENROLMENT_NAMESPACE,
            document: standing_bytes(ledger, &self.person, suspended, self.previous_at, &self.reason)?,
            by: &self.by,
            signature: &self.signature,
            more: &self.countersigned,
        })
    }
}

impl PolicyActivated {
    /// Whose signatures it needs.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str) -> Result<Demand<'_>, ApplyError> {
        let document = document_bytes(&ActivationDocument {
            schema: "https://lockgate.dev/policy-activation/v1",
            ledger,
            policy: self.policy,
            previous: self.previous,
            previous_at: self.previous_at,
            reason: &self.reason,
            backtest: self.backtest,
        })?;
        Ok(Demand {
            permission: Permission::Policy,
            subject: None,
            namespace: POLICY_NAMESPACE,
            document,
            by: &self.by,
            signature: &self.signature,
            more: &self.countersigned,
        })
    }
}

impl Event {
    /// Whose signatures the event needs, if several people may have to sign it.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str) -> Result<Option<Demand<'_>>, ApplyError> {
        match self {
            Self::PersonEnrolled(event) => event.demand(ledger),
            Self::KeyRevoked(event) => event.demand(ledger),
            Self::KeyRecovered(event) => event.demand(ledger).map(Some),
            Self::PersonSuspended(event) => event.demand(ledger, true).map(Some),
            Self::PersonReinstated(event) => event.demand(ledger, false).map(Some),
            Self::PolicyActivated(event) => event.demand(ledger).map(Some),
            Self::CiTrusted(event) => event.demand(ledger).map(Some),
            _ => Ok(None),
        }
    }

    /// The same event with further signatures; an event that takes none stays as it is.
    #[must_use]
    pub fn countersigned(mut self, more: Vec<Countersignature>) -> Self {
        match &mut self {
            Self::PersonEnrolled(event) => event.countersigned = more,
            Self::KeyRevoked(event) => event.countersigned = more,
            Self::KeyRecovered(event) => event.countersigned = more,
            Self::PersonSuspended(event) | Self::PersonReinstated(event) => event.countersigned = more,
            Self::PolicyActivated(event) => event.countersigned = more,
            Self::CiTrusted(event) => event.countersigned = more,
            _ => {}
        }
        self
    }

    /// When the key that the event enrols ends by itself, where it does.
    pub fn key_end(&self) -> Option<UnixMillis> {
        match self {
            Self::PersonEnrolled(event) => event.expires_at,
            Self::KeyAdded(event) => event.expires_at,
            Self::KeyRotated(event) => event.expires_at,
            Self::KeyRecovered(event) => event.expires_at,
            _ => None,
        }
    }

    /// Whose sessions end once the event has happened: someone whose key ended, or who was suspended.
    pub fn ends_sessions_of(&self) -> Option<&PersonId> {
        match self {
            Self::KeyRevoked(event) => Some(&event.person),
            Self::KeyRotated(event) => Some(&event.person),
            Self::KeyRecovered(event) => Some(&event.person),
            Self::PersonSuspended(event) => Some(&event.person),
            _ => None,
        }
    }
}

/// The canonical bytes of a draft.
///
/// # Errors
/// `CHANGE_INVALID`.
pub fn draft_bytes(event: &Event) -> Result<Vec<u8>, ApplyError> {
    canonical::to_vec(event).map_err(|error| ApplyError::new("CHANGE_INVALID", error.to_string()))
}

/// Reads a draft; any other spelling of the same event is refused.
///
/// # Errors
/// `CHANGE_INVALID`.
pub fn read_draft(bytes: &[u8]) -> Result<Event, ApplyError> {
    let invalid =
        |why: String| ApplyError::new("CHANGE_INVALID", format!("the draft of the change does not read: {why}"));
    let event: Event = canonical::from_slice(bytes, &Limits::DEFAULT).map_err(|error| invalid(error.to_string()))?;
    match draft_bytes(&event)? == bytes {
        true => Ok(event),
        false => Err(invalid("it says more than an event does".to_owned())),
    }
}

/// Shows a change as the text that people read before they sign it; `document` are the bytes that they sign.
///
/// One function for CLI and pages. Control characters and text direction marks in texts are shown as escapes.
pub fn render(event: &Event, document: &[u8]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    let list = |groups: &[GroupName]| groups.iter().map(GroupName::as_str).collect::<Vec<_>>().join(", ");
    match event {
        Event::PersonEnrolled(event) => {
            let kind = if event.subject == SubjectKind::Machine { "machine" } else { "person" };
            line("change", format!("ENROL {} AS A {}", event.person, kind.to_uppercase()));
            line("groups", list(&event.groups));
            line("key", event.key.fingerprint());
            limits(&mut line, event.expires_at, &event.environments);
        }
        Event::KeyRevoked(event) => {
            line("change", format!("END A KEY OF {}", event.person));
            line("key", visible(&event.key));
            match event.compromised_since {
                Some(since) => {
                    line("compromised", format!("since entry {since}: what it signed from there on is void"))
                }
                None => line("compromised", "no: what it signed before stays valid".to_owned()),
            }
            line("reason", visible(&event.reason));
        }
        Event::KeyRecovered(event) => {
            line("change", format!("GIVE {} A NEW KEY AND END ALL EARLIER ONES", event.person));
            line("key", event.key.fingerprint());
            limits(&mut line, event.expires_at, &event.environments);
            line("reason", visible(&event.reason));
        }
        Event::PersonSuspended(event) => {
            line("change", format!("SUSPEND {}", event.person));
            line("reason", visible(&event.reason));
        }
        Event::PersonReinstated(event) => {
            line("change", format!("REINSTATE {}", event.person));
            line("reason", visible(&event.reason));
        }
        Event::PolicyActivated(event) => {
            line("change", "ACTIVATE A POLICY SET".to_owned());
            line("policy", event.policy.to_string());
            line("replaces", format!("{} of entry {}", event.previous, event.previous_at));
            if let Some(backtest) = event.backtest {
                line("backtest", backtest.to_string());
            }
            line("reason", visible(&event.reason));
        }
        Event::CiTrusted(event) => {
            line("change", format!("LET CI PIPELINES ACT AS {}", event.machine));
            line("issuer", visible(&event.issuer));
            // Whoever holds these keys makes tokens of that issuer.
            if let Some(url) = &event.jwks_url {
                line("keys from", visible(url));
            }
            line("audience", visible(&event.audience));
            for (name, value) in &event.claims {
                line("claim", format!("{} = {}", visible(name), visible(value)));
            }
            let services: Vec<&str> = event.services.iter().map(lockgate_model::ServiceName::as_str).collect();
            line("services", services.join(", "));
            line("groups", list(&event.groups));
        }
        other => line("change", other.name().to_owned()),
    }
    line("code", code_words(&Digest::of(document)));
    text
}

fn limits(line: &mut impl FnMut(&str, String), expires_at: Option<UnixMillis>, environments: &[EnvName]) {
    if let Some(end) = expires_at {
        line("expires", end.to_string());
    }
    if !environments.is_empty() {
        line("only for", environments.iter().map(EnvName::as_str).collect::<Vec<_>>().join(", "));
    }
}
