//! Entries: what the ledger holds, one canonical JSON document a leaf.
//!
//! Two shapes of leaf exist. A Lockgate [`Entry`] records one event and its place in every stream that it belongs
//! to. A `hashedrekord` leaf (Rekor v2, 0.0.2) makes an attestation that Lockgate issued provable to Sigstore clients;
//! an `attestations.issued` entry names it.

use serde::{Deserialize, Serialize};

use lockgate_model::canonical::{self, CanonicalError};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{
    Digest, EntryIndex, EnvName, GateName, GroupName, Limits, PersonId, ReleaseName, ServiceName, StreamName,
    UnixMillis,
};
use lockgate_sign::ssh::SshPublicKey;

use crate::access_review::AccessReviewed;
use crate::change::{
    ChangeProposed, ChangeRejected, ChangeSigned, Countersignature, KeyRecovered, KeyRotated, StandingChanged,
};
use crate::identity::{IdentityBound, IdentityUnbound};

use crate::break_glass::{BreakGlassOpened, BreakGlassReviewed, BreakGlassSigned};
use crate::ci_trust::{CiTrusted, CiUntrusted};
use crate::delegation::{DelegationEnded, DelegationGranted};
use crate::drill::DrillRecorded;
use crate::feed::FeedRecorded;
use crate::freeze::{FreezeLifted, FreezeOrdered};
use crate::waiver::{WaiverRequested, WaiverRevoked};
use crate::withdrawal::ApprovalWithdrawn;

mod promotion;

pub use promotion::{
    ApprovalRecorded, AttestationsIssued, CloseCause, DecisionRecorded, GateLine, GrantIssued, Issued, PromotionClosed,
    PromotionRequested, StreamPosition,
};

/// The schema that every entry of this version names.
pub const SCHEMA: &str = "https://lockgate.dev/entry/v1";

/// One event, as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The ledger's time: assigned by the sequencer, never decreasing.
    pub time: UnixMillis,
    /// Who acted.
    pub actor: Actor,
    /// The newest entry of the governance stream before this one; absent in entry 0.
    ///
    /// INVARIANT (governance cannot be left out): every entry names it, so whoever shows a later entry shows whether
    /// a revocation or another policy set came before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governance: Option<Position>,
    /// The entry's place in each stream that it belongs to.
    pub streams: Vec<Link>,
    /// What happened.
    pub event: Event,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", from = "ActorRead")]
pub enum Actor {
    /// An enrolled person or machine.
    Subject {
        /// Its name.
        id: PersonId,
    },
    /// Lockgate itself: decisions, expiry.
    System,
}

/// An [`Actor`] as it is read. A variant without fields would take any for its own: here it has braces, and takes none.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum ActorRead {
    Subject { id: PersonId },
    System {},
}

impl From<ActorRead> for Actor {
    fn from(read: ActorRead) -> Self {
        match read {
            ActorRead::Subject { id } => Self::Subject { id },
            ActorRead::System {} => Self::System,
        }
    }
}

impl Actor {
    /// The person or machine, if it was one.
    pub fn person(&self) -> Option<&PersonId> {
        match self {
            Self::Subject { id } => Some(id),
            Self::System => None,
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subject { id } => id.fmt(f),
            Self::System => f.write_str("lockgate"),
        }
    }
}

/// The newest entry of a stream that is named elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The position in the stream, from 0.
    pub seq: u64,
    /// The ledger index of that entry.
    pub index: EntryIndex,
}

/// A place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The stream's name.
    pub stream: StreamName,
    /// The position in it, from 0.
    pub seq: u64,
    /// The ledger index of the stream's previous entry; absent at position 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<EntryIndex>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body", deny_unknown_fields)]
pub enum Event {
    /// Entry 0: the ledger's own identity and first policy set.
    #[serde(rename = "ledger.created")]
    LedgerCreated(LedgerCreated),
    /// A person or machine was enrolled with a first key.
    #[serde(rename = "person.enrolled")]
    PersonEnrolled(PersonEnrolled),
    /// A person added a further key.
    #[serde(rename = "key.added")]
    KeyAdded(KeyAdded),
    /// A key stopped counting.
    #[serde(rename = "key.revoked")]
    KeyRevoked(KeyRevoked),
    /// A new key took the place of an old one.
    #[serde(rename = "key.rotated")]
    KeyRotated(KeyRotated),
    /// Someone who lost their keys has a new one.
    #[serde(rename = "key.recovered")]
    KeyRecovered(KeyRecovered),
    /// Someone's signatures and sessions stopped counting.
    #[serde(rename = "person.suspended")]
    PersonSuspended(StandingChanged),
    /// They count again.
    #[serde(rename = "person.reinstated")]
    PersonReinstated(StandingChanged),
    /// A person bound an account of an identity provider to sign in with.
    #[serde(rename = "identity.bound")]
    IdentityBound(IdentityBound),
    /// It opens nothing any more.
    #[serde(rename = "identity.unbound")]
    IdentityUnbound(IdentityUnbound),
    /// A change that several people have to sign was proposed.
    #[serde(rename = "change.proposed")]
    ChangeProposed(ChangeProposed),
    /// Someone signed a proposed change.
    #[serde(rename = "change.signed")]
    ChangeSigned(ChangeSigned),
    /// Someone rejected a proposed change, which ends it.
    #[serde(rename = "change.rejected")]
    ChangeRejected(ChangeRejected),
    /// Another policy set became active.
    #[serde(rename = "policy.activated")]
    PolicyActivated(PolicyActivated),
    /// Somebody asked for an exception to one gate.
    #[serde(rename = "waiver.requested")]
    WaiverRequested(WaiverRequested),
    /// An exception to one gate was granted.
    #[serde(rename = "waiver.granted")]
    WaiverGranted(WaiverGranted),
    /// An exception, or a request for one, ended before its time.
    #[serde(rename = "waiver.revoked")]
    WaiverRevoked(WaiverRevoked),
    /// A snapshot of a feed of vulnerabilities was recorded.
    #[serde(rename = "feed.recorded")]
    FeedRecorded(FeedRecorded),
    /// Pipelines of a CI issuer may act as a machine.
    #[serde(rename = "ci.trusted")]
    CiTrusted(CiTrusted),
    /// They may no more.
    #[serde(rename = "ci.untrusted")]
    CiUntrusted(CiUntrusted),
    /// Someone reviewed who may do what.
    #[serde(rename = "access.reviewed")]
    AccessReviewed(AccessReviewed),
    /// Someone attacked a copy of the ledger on purpose, to see what is noticed.
    #[serde(rename = "drill.recorded")]
    DrillRecorded(DrillRecorded),
    /// A person lent another the right to approve, for a while.
    #[serde(rename = "delegation.granted")]
    DelegationGranted(DelegationGranted),
    /// A delegation ended before its time.
    #[serde(rename = "delegation.ended")]
    DelegationEnded(DelegationEnded),
    /// Somebody stopped a service, an environment or everything.
    #[serde(rename = "freeze.ordered")]
    FreezeOrdered(FreezeOrdered),
    /// A freeze ended before its time.
    #[serde(rename = "freeze.lifted")]
    FreezeLifted(FreezeLifted),
    /// Somebody asked to let a release past the gates in an emergency.
    #[serde(rename = "break-glass.opened")]
    BreakGlassOpened(BreakGlassOpened),
    /// Somebody else signed that too.
    #[serde(rename = "break-glass.signed")]
    BreakGlassSigned(BreakGlassSigned),
    /// Somebody who had not signed it looked at it afterwards.
    #[serde(rename = "break-glass.reviewed")]
    BreakGlassReviewed(BreakGlassReviewed),
    /// A release was published.
    #[serde(rename = "release.published")]
    ReleasePublished(ReleasePublished),
    /// Evidence about a release was recorded.
    #[serde(rename = "evidence.recorded")]
    EvidenceRecorded(EvidenceRecorded),
    /// A promotion or rollback was asked for.
    #[serde(rename = "promotion.requested")]
    PromotionRequested(PromotionRequested),
    /// A person approved or rejected.
    #[serde(rename = "approval.recorded")]
    ApprovalRecorded(ApprovalRecorded),
    /// A person took their approval back.
    #[serde(rename = "approval.withdrawn")]
    ApprovalWithdrawn(ApprovalWithdrawn),
    /// A promotion ended without a grant.
    #[serde(rename = "promotion.closed")]
    PromotionClosed(PromotionClosed),
    /// The policy was evaluated with a new outcome.
    #[serde(rename = "decision.recorded")]
    DecisionRecorded(DecisionRecorded),
    /// Attestations of a decision were signed.
    #[serde(rename = "attestations.issued")]
    AttestationsIssued(AttestationsIssued),
    /// A release may run in an environment.
    #[serde(rename = "grant.issued")]
    GrantIssued(GrantIssued),
}

impl Event {
    /// The type's name as it stands in the entry.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LedgerCreated(_) => "ledger.created",
            Self::PersonEnrolled(_) => "person.enrolled",
            Self::KeyAdded(_) => "key.added",
            Self::KeyRevoked(_) => "key.revoked",
            Self::KeyRotated(_) => "key.rotated",
            Self::KeyRecovered(_) => "key.recovered",
            Self::PersonSuspended(_) => "person.suspended",
            Self::PersonReinstated(_) => "person.reinstated",
            Self::IdentityBound(_) => "identity.bound",
            Self::IdentityUnbound(_) => "identity.unbound",
            Self::ChangeProposed(_) => "change.proposed",
            Self::ChangeSigned(_) => "change.signed",
            Self::ChangeRejected(_) => "change.rejected",
            Self::PolicyActivated(_) => "policy.activated",
            Self::WaiverRequested(_) => "waiver.requested",
            Self::WaiverGranted(_) => "waiver.granted",
            Self::WaiverRevoked(_) => "waiver.revoked",
            Self::FeedRecorded(_) => "feed.recorded",
            Self::CiTrusted(_) => "ci.trusted",
            Self::CiUntrusted(_) => "ci.untrusted",
            Self::AccessReviewed(_) => "access.reviewed",
            Self::DrillRecorded(_) => "drill.recorded",
            Self::DelegationGranted(_) => "delegation.granted",
            Self::DelegationEnded(_) => "delegation.ended",
            Self::FreezeOrdered(_) => "freeze.ordered",
            Self::FreezeLifted(_) => "freeze.lifted",
            Self::BreakGlassOpened(_) => "break-glass.opened",
            Self::BreakGlassSigned(_) => "break-glass.signed",
            Self::BreakGlassReviewed(_) => "break-glass.reviewed",
            Self::ReleasePublished(_) => "release.published",
            Self::EvidenceRecorded(_) => "evidence.recorded",
            Self::PromotionRequested(_) => "promotion.requested",
            Self::ApprovalRecorded(_) => "approval.recorded",
            Self::ApprovalWithdrawn(_) => "approval.withdrawn",
            Self::PromotionClosed(_) => "promotion.closed",
            Self::DecisionRecorded(_) => "decision.recorded",
            Self::AttestationsIssued(_) => "attestations.issued",
            Self::GrantIssued(_) => "grant.issued",
        }
    }
}

impl Event {
    /// The release that the event is about, if it is about one.
    pub fn release(&self) -> Option<&ReleaseName> {
        match self {
            Self::ReleasePublished(event) => Some(&event.release),
            Self::EvidenceRecorded(event) => Some(&event.release),
            Self::PromotionRequested(event) => Some(&event.release),
            Self::ApprovalRecorded(event) => Some(&event.release),
            Self::ApprovalWithdrawn(event) => Some(&event.release),
            Self::PromotionClosed(event) => Some(&event.release),
            Self::DecisionRecorded(event) => Some(&event.release),
            Self::AttestationsIssued(event) => Some(&event.release),
            Self::GrantIssued(event) => Some(&event.release),
            Self::LedgerCreated(_)
            | Self::PersonEnrolled(_)
            | Self::KeyAdded(_)
            | Self::KeyRevoked(_)
            | Self::KeyRotated(_)
            | Self::KeyRecovered(_)
            | Self::PersonSuspended(_)
            | Self::PersonReinstated(_)
            | Self::IdentityBound(_)
            | Self::IdentityUnbound(_)
            | Self::ChangeProposed(_)
            | Self::ChangeSigned(_)
            | Self::ChangeRejected(_)
            | Self::PolicyActivated(_)
            | Self::WaiverRequested(_)
            | Self::WaiverGranted(_)
            | Self::WaiverRevoked(_)
            | Self::FeedRecorded(_)
            | Self::AccessReviewed(_)
            | Self::DrillRecorded(_)
            | Self::CiTrusted(_)
            | Self::CiUntrusted(_)
            | Self::DelegationGranted(_)
            | Self::DelegationEnded(_)
            | Self::FreezeOrdered(_)
            | Self::FreezeLifted(_)
            | Self::BreakGlassOpened(_)
            | Self::BreakGlassSigned(_)
            | Self::BreakGlassReviewed(_) => None,
        }
    }
}

/// Body of `ledger.created`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerCreated {
    /// The log's origin: one bare DNS-shaped name per epoch.
    pub origin: String,
    /// The log key as a note verifier key (C2SP signed-note).
    pub log_key: String,
    /// The attestation key, PEM (P-256).
    pub attestation_key: String,
    /// The first active policy set.
    pub policy: Digest,
    /// The digest of the one-time code that enrols the first owner.
    pub setup_code: Digest,
    /// The software that created it.
    pub software: String,
}

/// Body of `person.enrolled`. The document that both signatures cover is rebuilt from these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonEnrolled {
    /// The name.
    pub person: PersonId,
    /// A person or a machine.
    pub subject: SubjectKind,
    /// The groups, from the policy set.
    pub groups: Vec<GroupName>,
    /// The first key.
    pub key: SshPublicKey,
    /// The new key's own signature (SSHSIG, armored): whoever enrols holds it.
    pub proof: String,
    /// Who vouches.
    pub sponsor: Sponsor,
    /// Further signatures over the same document, up to the quorum of the policy set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned: Vec<Countersignature>,
    /// From when on, in ledger time, the key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the key approves for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvName>,
}

/// Who vouches for an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sponsor {
    /// Only for the very first owner: the code that was printed on the server's console.
    SetupCode {
        /// The code itself; entry 0 carries its digest.
        code: String,
    },
    /// Someone who may manage keys.
    Countersigned {
        /// The person who vouches.
        by: PersonId,
        /// Their signature over the same document (SSHSIG, armored).
        signature: String,
    },
}

/// Body of `key.added`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyAdded {
    /// The person whose key it is.
    pub person: PersonId,
    /// The further key.
    pub key: SshPublicKey,
    /// The further key's own signature.
    pub proof: String,
    /// Who vouches: the same person, with an earlier key.
    pub by: PersonId,
    /// Their signature over the same document.
    pub signature: String,
    /// From when on, in ledger time, the key's signatures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// The environments that the key approves for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvName>,
}

/// Body of `key.revoked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRevoked {
    /// The person whose key ends.
    pub person: PersonId,
    /// The key's `SHA256:` fingerprint.
    pub key: String,
    /// Signatures at this index or later do not count; absent means from this entry on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_since: Option<EntryIndex>,
    /// Why.
    pub reason: String,
    /// The person themselves, or someone who may manage keys.
    pub by: PersonId,
    /// Their signature over the revocation document.
    pub signature: String,
    /// Further signatures, up to the quorum of the policy set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned: Vec<Countersignature>,
}

/// Body of `policy.activated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyActivated {
    /// The new active policy set.
    pub policy: Digest,
    /// The one it replaces.
    pub previous: Digest,
    /// The entry that had made that one active: a signature cannot be used again after the sets changed back.
    pub previous_at: EntryIndex,
    /// Why.
    pub reason: String,
    /// Someone who may change policy.
    pub by: PersonId,
    /// Their signature over the activation document.
    pub signature: String,
    /// Further signatures, up to the quorum of the policy set that is active until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned: Vec<Countersignature>,
    /// The digest of the backtest of the new policy set, where one was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backtest: Option<Digest>,
}

/// Body of `waiver.granted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverGranted {
    /// The gate it is for.
    pub gate: GateName,
    /// The finding it is for, such as a CVE.
    pub finding: String,
    /// The service it is for.
    pub service: ServiceName,
    /// The environment it is for.
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// Until when it counts.
    pub expires_at: UnixMillis,
    /// Who asked for it.
    pub asked_by: PersonId,
    /// Their signature over the waiver document.
    pub asked_signature: String,
    /// Who granted it: another person.
    pub granted_by: PersonId,
    /// Their signature over the same document.
    pub granted_signature: String,
    /// The `waiver.requested` entry that asked for it; absent where the request was handed over outside of the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<EntryIndex>,
    /// The only release it is for; every release of the service where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// The only artifact it is for; every artifact where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// Where it is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// Body of `release.published`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasePublished {
    /// `service@version`.
    pub release: ReleaseName,
    /// The digest of the manifest document.
    pub manifest: Digest,
}

/// Body of `evidence.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRecorded {
    /// The release it was handed in for.
    pub release: ReleaseName,
    /// The digest of the bytes as handed in.
    pub evidence: Digest,
    /// Their length.
    pub size_bytes: u64,
    /// Their media type.
    pub media_type: String,
    /// Signed by its maker, or wrapped on behalf of who handed it in.
    pub form: EvidenceForm,
}

/// How evidence came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", from = "EvidenceFormRead")]
pub enum EvidenceForm {
    /// A DSSE envelope around an in-toto statement; it binds by its own subjects.
    Envelope,
    /// A Sigstore bundle: around a statement, which binds by its own subjects, or over one artifact itself.
    Sigstore,
    /// A signature of minisign over one artifact, which its trusted comment names.
    Minisign,
    /// A signature of cosign's older form over a payload that names one image by the digest of its manifest.
    ImageSignature,
    /// An unsigned report, wrapped into a statement that Lockgate signed on behalf of the entry's actor.
    Report {
        /// Its format: a `Format::as_str` of lockgate-evidence, such as `cyclonedx` or `junit`.
        format: String,
        /// The artifacts it was handed in for.
        artifacts: Vec<Digest>,
        /// The digest of the wrapping envelope.
        statement: Digest,
    },
}

impl EvidenceForm {
    /// The word for it in what is recorded and signed; of a report its format.
    pub fn word(&self) -> &str {
        match self {
            Self::Envelope => "envelope",
            Self::Sigstore => "sigstore",
            Self::Minisign => "minisign",
            Self::ImageSignature => "image-signature",
            Self::Report { format, .. } => format,
        }
    }

    /// What people call it; of a report its format.
    pub fn label(&self) -> &str {
        match self {
            Self::Envelope => "signed envelope",
            Self::Sigstore => "Sigstore bundle",
            Self::Minisign => "minisign signature",
            Self::ImageSignature => "image signature",
            Self::Report { format, .. } => format,
        }
    }
}

/// An [`EvidenceForm`] as it is read; see [`ActorRead`].
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum EvidenceFormRead {
    Envelope {},
    Sigstore {},
    Minisign {},
    ImageSignature {},
    Report { format: String, artifacts: Vec<Digest>, statement: Digest },
}

impl From<EvidenceFormRead> for EvidenceForm {
    fn from(read: EvidenceFormRead) -> Self {
        match read {
            EvidenceFormRead::Envelope {} => Self::Envelope,
            EvidenceFormRead::Sigstore {} => Self::Sigstore,
            EvidenceFormRead::Minisign {} => Self::Minisign,
            EvidenceFormRead::ImageSignature {} => Self::ImageSignature,
            EvidenceFormRead::Report { format, artifacts, statement } => Self::Report { format, artifacts, statement },
        }
    }
}

/// A leaf of the ledger, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// One of ours.
    Entry(Box<Entry>),
    /// A Rekor-v2-shaped leaf for an attestation that Lockgate issued.
    HashedRekord,
}

/// Why bytes are not a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Over the limit.
    #[error("an entry of {0} bytes is over the limit of {1}")]
    TooLarge(usize, usize),
    /// Not canonical JSON of a known shape.
    #[error("not an entry that this version knows: {0}")]
    Shape(#[from] CanonicalError),
    /// It writes what it does not say, such as a field that is empty.
    #[error("an entry in another spelling than the one that counts: it writes an empty field")]
    Spelling,
}

impl Entry {
    /// The canonical bytes, as hashed into the tree.
    ///
    /// # Errors
    /// [`LeafError::TooLarge`] over [`Limits::entry_bytes`].
    pub fn to_leaf(&self, limits: &Limits) -> Result<Vec<u8>, LeafError> {
        let bytes = canonical::to_vec(self)?;
        match bytes.len() <= limits.entry_bytes {
            true => Ok(bytes),
            false => Err(LeafError::TooLarge(bytes.len(), limits.entry_bytes)),
        }
    }

    /// The entry's place in `stream`, if it belongs to it.
    pub fn link(&self, stream: &StreamName) -> Option<&Link> {
        self.streams.iter().find(|link| link.stream == *stream)
    }
}

impl Leaf {
    /// Decodes a leaf; an unknown type or field is refused, because a verifier must not guess what it means.
    ///
    /// # Errors
    /// [`LeafError`].
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, LeafError> {
        if bytes.len() > limits.entry_bytes {
            return Err(LeafError::TooLarge(bytes.len(), limits.entry_bytes));
        }
        if bytes.starts_with(br#"{"apiVersion":"0.0.2","kind":"hashedrekord""#) {
            crate::sigstore::check_leaf(bytes, limits)?;
            return Ok(Self::HashedRekord);
        }
        let entry: Entry = canonical::from_slice(bytes, limits)?;
        // An optional field that is written though it says nothing would be a second spelling of one entry.
        match canonical::to_vec(&entry)? == bytes {
            true => Ok(Self::Entry(Box::new(entry))),
            false => Err(LeafError::Spelling),
        }
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
