//! Promotions, gates, approvals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{ArtifactRef, FeedUsedRow, RunningCell, SuspectRow};
use lockgate_model::facts::{PromotionKind, Verdict};
use lockgate_model::{Digest, EnvName, PersonId, PromotionId, ReleaseName, UnixMillis};

/// `POST /v1/promotions` and `POST /v1/rollbacks`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The target.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// Why.
    pub reason: String,
}

/// The promotions that a request led to; the last is the answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promoted {
    /// In order.
    pub promotions: Vec<PromotedRow>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotedRow {
    /// Its id.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Its target.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// `granted`, `pending`, `denied`, ...
    pub status: String,
    /// Whether it had been asked for before.
    pub repeated: bool,
}

/// `GET /v1/promotions/{id}`: every gate at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionReply {
    /// Its id.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// What.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Its manifest.
    #[schemars(with = "String")]
    pub manifest: Digest,
    /// Its artifacts.
    pub artifacts: Vec<ArtifactRef>,
    /// Where to.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// `promotion` or `rollback`.
    #[schemars(with = "String")]
    pub kind: PromotionKind,
    /// Who asked.
    #[schemars(with = "String")]
    pub requester: PersonId,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "u64")]
    pub requested_at: UnixMillis,
    /// Until when it stays open.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// `pending`, `denied`, `granted`, `rejected`, `withdrawn`, `expired`, `superseded`.
    pub status: String,
    /// Why it ended, if it ended without a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// What runs in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningCell>,
    /// What ran there when it was granted: what it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<RunningCell>,
    /// `allow`, `deny` or `pending`.
    pub outcome: String,
    /// The policy set that decided.
    #[schemars(with = "String")]
    pub policy: Digest,
    /// When.
    #[schemars(with = "u64")]
    pub decided_at: UnixMillis,
    /// Where that decision is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_index: Option<u64>,
    /// The snapshots of feeds that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<FeedUsedRow>,
    /// Every gate.
    pub gates: Vec<GateRow>,
    /// Who stands behind the evidence that the gates saw, in ledger order; what cannot be read again is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<EvidenceSource>,
    /// Approvals and rejections.
    pub approvals: Vec<ApprovalRow>,
    /// Who approved the service into the environment the last times that it was granted there, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_before: Vec<PastApprovalRow>,
    /// What about the release is new to its service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firsts: Vec<FirstRow>,
    /// Until when the grant lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub granted_until: Option<UnixMillis>,
    /// Approvals and decisions of it that rested on a key which was found compromised later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<SuspectRow>,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRow {
    /// The gate.
    pub gate: String,
    /// Its kind.
    pub kind: String,
    /// `pass`, `waived`, `warn`, `overridden`, `pending` or `fail`.
    pub outcome: String,
    /// A stable reason code.
    pub reason: String,
    /// The file of the policy set.
    pub file: String,
    /// The line.
    pub line: u64,
    /// What it demands.
    pub needed: String,
    /// What there is.
    pub found: String,
    /// The evidence it looked at.
    #[schemars(with = "Vec<String>")]
    pub evidence: Vec<Digest>,
    /// Who can do something about it.
    pub who: String,
    /// What to do.
    pub fix: String,
}

/// Who stands behind one piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceSource {
    /// The evidence.
    #[schemars(with = "String")]
    pub evidence: Digest,
    /// The entry that recorded it.
    pub index: u64,
    /// What it says, by sort: `provenance`, `sbom`, `tests`.
    pub claim: String,
    /// The signers of the policy set whose signatures verified, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    /// Who handed it in, where it is a report that its maker did not sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub by: Option<PersonId>,
    /// How the verification of its signature ended, where it came as a Sigstore bundle: `verified`, `without-log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Who signed, as the certificate says; only where that is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Who vouches for that identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The builder that it names, where it is provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// The source commit that it names, where it is provenance that names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// One approval of an earlier promotion, which was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastApprovalRow {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Of which release.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// By which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// When.
    #[schemars(with = "u64")]
    pub recorded_at: UnixMillis,
    /// Where it is recorded.
    pub index: u64,
}

/// What about a release is new to its service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FirstRow {
    /// The service had no release before it.
    Release {},
    /// None of so many releases before it, the newest ones, was published by the same person or machine.
    Publisher {
        /// Who published it.
        #[schemars(with = "String")]
        by: PersonId,
        /// How many releases were looked at.
        among: u64,
    },
    /// No other release of the service names this builder in its provenance.
    Builder {
        /// As its provenance names it.
        builder: String,
    },
}

/// One approval or rejection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRow {
    /// Who.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `approve` or `reject`.
    #[schemars(with = "String")]
    pub verdict: Verdict,
    /// With which key.
    pub key: String,
    /// The digest of the approval document, by which it is taken back.
    #[schemars(with = "String")]
    pub document: Digest,
    /// Where it is recorded.
    pub index: u64,
    /// When.
    #[schemars(with = "u64")]
    pub recorded_at: UnixMillis,
    /// Until when it counts.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// For how many seconds the approver had the document open, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_seconds: Option<u64>,
    /// How many pieces of evidence they opened.
    #[serde(default)]
    pub evidence_opened: u64,
    /// Of how many.
    #[serde(default)]
    pub evidence_listed: u64,
    /// What they wrote to it, which they signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether they took it back.
    #[serde(default)]
    pub withdrawn: bool,
    /// How many approvals they gave around it, where that is faster than anybody can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubber_stamp: Option<u64>,
}

/// `POST /v1/promotions/{id}/approvals`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// The exact canonical document that was signed.
    pub document: String,
    /// The signature (SSHSIG, armored).
    pub signature: String,
}

/// A recorded approval.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// `approve` or `reject`.
    #[schemars(with = "String")]
    pub verdict: Verdict,
    /// Where the promotion stands now.
    pub status: String,
    /// The digest of the document.
    #[schemars(with = "String")]
    pub document: Digest,
}

/// `POST /v1/promotions/{id}/withdrawal`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawRequest {
    /// Why; may be empty.
    pub reason: String,
}

/// A withdrawn promotion.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// Which.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Its status.
    pub status: String,
}

/// `GET /v1/grants`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantReply {
    /// The promotion by which the artifact may run there.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
}
