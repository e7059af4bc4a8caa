//! Events of a promotion, from the request to the grant.

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{PromotionKind, Verdict};
use lockgate_model::{
    Digest, EntryIndex, EnvName, GateName, PersonId, PromotionId, ReleaseName, StreamName, UnixMillis,
};
use lockgate_policy::{GateOutcome, Outcome};

use crate::feed::FeedUsed;

/// Body of `promotion.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotionRequested {
    /// The id: the n-th request of the ledger.
    pub promotion: PromotionId,
    /// What is to be let in.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Where to.
    pub environment: EnvName,
    /// Forward or back.
    pub kind: PromotionKind,
    /// Why.
    pub reason: String,
    /// Until when it stays open.
    pub expires_at: UnixMillis,
}

/// Body of `approval.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRecorded {
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of which release.
    pub release: ReleaseName,
    /// Yes or no, as in the document.
    pub verdict: Verdict,
    /// Who, as in the document.
    pub approver: PersonId,
    /// With which key: its `SHA256:` fingerprint.
    pub key: String,
    /// The digest of the document that was signed.
    pub document: Digest,
    /// The signature (SSHSIG, armored).
    pub signature: String,
}

/// Body of `promotion.closed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotionClosed {
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of which release.
    pub release: ReleaseName,
    /// Why it ended.
    pub cause: CloseCause,
    /// In words.
    pub reason: String,
}

/// Why a promotion ended without a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseCause {
    /// An approver said no.
    Rejected,
    /// The requester took it back.
    Withdrawn,
    /// Its time ran out.
    Expired,
    /// Another promotion of the same service into the same environment was granted first.
    Superseded,
}

/// Body of `decision.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecorded {
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of which release.
    pub release: ReleaseName,
    /// Into which environment.
    pub environment: EnvName,
    /// The outcome.
    pub outcome: Outcome,
    /// The digest of the decision document.
    pub decision: Digest,
    /// The digest of the facts document.
    pub facts: Digest,
    /// The policy set that decided.
    pub policy: Digest,
    /// The deciding engine's name and version.
    pub engine: String,
    /// The entry of the break-glass under which it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<EntryIndex>,
    /// The snapshots of feeds that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<FeedUsed>,
    /// The outcome of each gate.
    pub gates: Vec<GateLine>,
    /// The head of each stream that the facts were taken from.
    pub relied_on: Vec<StreamPosition>,
}

/// One gate's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateLine {
    /// The gate.
    pub gate: GateName,
    /// Its outcome.
    pub outcome: GateOutcome,
}

/// The newest entry of a stream at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamPosition {
    /// Which stream.
    pub stream: StreamName,
    /// Its newest position.
    pub seq: u64,
    /// The ledger index of that entry.
    pub index: EntryIndex,
}

/// Body of `attestations.issued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationsIssued {
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of which release.
    pub release: ReleaseName,
    /// The `decision.recorded` entry they are about.
    pub decision: EntryIndex,
    /// What was signed.
    pub issued: Vec<Issued>,
}

/// One attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issued {
    /// The in-toto predicate type.
    pub predicate_type: String,
    /// The digest of the DSSE envelope.
    pub envelope: Digest,
    /// The `hashedrekord` leaf that makes it provable.
    pub leaf: EntryIndex,
}

/// Body of `grant.issued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantIssued {
    /// By which promotion.
    pub promotion: PromotionId,
    /// What may run.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Where.
    pub environment: EnvName,
    /// The `decision.recorded` entry that allowed it.
    pub decision: EntryIndex,
    /// Until when.
    pub not_after: UnixMillis,
}
