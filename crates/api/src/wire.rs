//! Requests and replies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockgate_model::facts::{PromotionKind, SubjectKind, Verdict};
use lockgate_model::{Digest, EnvName, GroupName, PersonId, PromotionId, ReleaseName, ServiceName, UnixMillis};

/// What an acknowledged write carries: the entry is durable, and this proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logged {
    /// The index of the first entry that the request appended.
    pub index: u64,
    /// Its RFC 6962 leaf hash.
    #[schemars(with = "String")]
    pub leaf: Digest,
    /// The inclusion path, leaf side first, base64.
    pub proof: Vec<String>,
    /// The signed checkpoint that the path leads to.
    pub checkpoint: String,
    /// Whether this repeats the reply to an earlier, equal request.
    pub repeated: bool,
}

/// A reply to a write.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged<T> {
    /// The result.
    pub result: T,
    /// The proof; absent when nothing had to be appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<Logged>,
}

/// `GET /v1/server`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerInfo {
    /// The software's version.
    pub version: String,
    /// The ledger's origin.
    pub origin: String,
    /// The log key as a note verifier key.
    pub log_key: String,
    /// How many entries the ledger has.
    pub entries: u64,
    /// Whether the first owner is still to be enrolled.
    pub setup_needed: bool,
    /// Whether this is a demo instance, whose keys mean nothing.
    pub demo: bool,
}

/// An enrolment with its signatures: `POST /v1/setup` and `POST /v1/people`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The name.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups of the policy set.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// The public key, as one OpenSSH line.
    pub key: String,
    /// The new key's own signature over the enrolment document (SSHSIG, armored).
    pub proof: String,
    /// Set-up only: the one-time code from the server's console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Otherwise: who vouches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub by: Option<PersonId>,
    /// Otherwise: their signature over the same document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// `POST /v1/keys`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The further public key, as one OpenSSH line.
    pub key: String,
    /// Its own signature over the enrolment document.
    pub proof: String,
    /// Who vouches.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the same document.
    pub signature: String,
}

/// `POST /v1/keys/revocations`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Whose key.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Its `SHA256:` fingerprint.
    pub key: String,
    /// Signatures recorded at this index or later do not count; absent means from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_since: Option<u64>,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the revocation document.
    pub signature: String,
}

/// `POST /v1/policy`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The policy set's canonical document.
    pub document: String,
    /// The digest of the set that it replaces.
    #[schemars(with = "String")]
    pub previous: Digest,
    /// Why.
    pub reason: String,
    /// Who signs.
    #[schemars(with = "String")]
    pub by: PersonId,
    /// Their signature over the activation document.
    pub signature: String,
}

/// `POST /v1/waivers`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The gate.
    pub gate: String,
    /// The finding, such as a CVE.
    pub finding: String,
    /// The service.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// The environment.
    #[schemars(with = "String")]
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
    /// Who asks.
    #[schemars(with = "String")]
    pub asked_by: PersonId,
    /// Their signature over the waiver document.
    pub asked_signature: String,
    /// Who grants.
    #[schemars(with = "String")]
    pub granted_by: PersonId,
    /// Their signature over the same document.
    pub granted_signature: String,
}

/// The result of a governance change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The event's name.
    pub event: String,
    /// Its ledger index.
    pub index: u64,
}

/// `POST /v1/challenges`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who wants to sign in.
    #[schemars(with = "String")]
    pub person: PersonId,
}

/// The server's challenge.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The ledger's origin.
    pub ledger: String,
    /// Random; answered once, within two minutes.
    pub challenge: String,
}

/// `POST /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// Who signs in.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// The challenge.
    pub challenge: String,
    /// The signature over the sign-in document (SSHSIG, armored).
    pub signature: String,
}

/// A new session.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionReply {
    /// The bearer token; shown once.
    pub token: String,
    /// Whose.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// Until when at the latest.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
}

/// `GET /v1/whoami`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {
    /// Who is signed in.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// What they may do.
    pub permissions: Vec<String>,
}

/// `GET /v1/people`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonRow {
    /// The name.
    #[schemars(with = "String")]
    pub person: PersonId,
    /// `person` or `machine`.
    #[schemars(with = "String")]
    pub subject: SubjectKind,
    /// Groups.
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
    /// Keys, ended ones included.
    pub keys: Vec<KeyRow>,
}

/// One key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRow {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The public key, as one OpenSSH line.
    pub key: String,
    /// The entry that enrolled it.
    pub enrolled_at: u64,
    /// From which index on it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_from: Option<u64>,
}

/// The reply to `PUT /v1/blobs`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// What the server hashed while it stored.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// How many bytes.
    pub size_bytes: u64,
}

/// An artifact of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    /// What it is.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// What people call it.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
}

/// Bytes of a request: inside it, or sent before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// Base64.
    Inline(String),
    /// The digest of a blob.
    Stored(#[schemars(with = "String")] Digest),
}

/// A piece of evidence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBody {
    /// Its bytes.
    pub body: Body,
    /// `true` for a DSSE envelope, `false` for an unsigned report.
    pub signed: bool,
    /// The report's format; found from its content when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What the caller says it is, such as `sbom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// Where a release was built from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRef {
    /// The repository's URL.
    pub repository: String,
    /// The full commit id.
    pub commit: String,
}

/// `POST /v1/releases`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Artifacts, sent before.
    pub artifacts: Vec<ArtifactRef>,
    /// Where it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRef>,
    /// Release notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Body>,
    /// Evidence.
    #[serde(default)]
    pub evidence: Vec<EvidenceBody>,
}

/// `POST /v1/evidence`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestRequest {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Evidence.
    pub evidence: Vec<EvidenceBody>,
}

/// Recorded evidence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRow {
    /// Such as `sbom`.
    pub kind: String,
    /// Its digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Whether it had been recorded before.
    pub repeated: bool,
}

/// A published release.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The digest of its manifest.
    #[schemars(with = "String")]
    pub manifest: Digest,
    /// Whether it had been published before, the same.
    pub repeated: bool,
    /// Its evidence.
    pub evidence: Vec<EvidenceRow>,
}

/// Evidence that was handed in for a release.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// `service@version`.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// The evidence.
    pub evidence: Vec<EvidenceRow>,
}

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
    /// Every gate.
    pub gates: Vec<GateRow>,
    /// Approvals and rejections.
    pub approvals: Vec<ApprovalRow>,
    /// Until when the grant lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub granted_until: Option<UnixMillis>,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRow {
    /// The gate.
    pub gate: String,
    /// Its kind.
    pub kind: String,
    /// `pass`, `fail`, `pending` or `waived`.
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
    /// Where it is recorded.
    pub index: u64,
    /// When.
    #[schemars(with = "u64")]
    pub recorded_at: UnixMillis,
    /// Until when it counts.
    #[schemars(with = "u64")]
    pub expires_at: UnixMillis,
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
    /// Why.
    #[serde(default)]
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

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusReply {
    /// The environments, in policy order.
    #[schemars(with = "Vec<String>")]
    pub environments: Vec<EnvName>,
    /// The services of this page.
    pub services: Vec<ServiceRow>,
    /// Ask for the next page with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<ServiceName>,
    /// Open promotions.
    pub open: Vec<OpenRow>,
    /// How many entries the ledger has.
    pub entries: u64,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRow {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// What runs, in the order of the environments.
    pub running: Vec<Option<RunningCell>>,
}

/// What runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunningCell {
    /// Which release.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Since when.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// By which promotion.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
}

/// An open promotion.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRow {
    /// Which.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
    /// Of what.
    #[schemars(with = "String")]
    pub release: ReleaseName,
    /// Into where.
    #[schemars(with = "String")]
    pub environment: EnvName,
}

/// `GET /v1/history`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryReply {
    /// The entries of this page.
    pub items: Vec<HistoryItem>,
    /// Ask for the next page with `before` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryItem {
    /// Where.
    pub index: u64,
    /// When.
    #[schemars(with = "u64")]
    pub time: UnixMillis,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// In words.
    pub summary: String,
    /// The entry itself.
    pub entry: serde_json::Value,
}

/// `GET /v1/diff`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffReply {
    /// From.
    #[schemars(with = "String")]
    pub from: ReleaseName,
    /// To.
    #[schemars(with = "String")]
    pub to: ReleaseName,
    /// Source commits.
    pub commits: (Option<String>, Option<String>),
    /// Artifacts that are gone.
    pub artifacts_removed: Vec<ArtifactRef>,
    /// Artifacts that are new.
    pub artifacts_added: Vec<ArtifactRef>,
    /// Whether each side has an SBOM.
    pub sboms: (bool, bool),
    /// Components that differ.
    pub components: Vec<ComponentRow>,
}

/// One component that differs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentRow {
    /// Its name.
    pub name: String,
    /// The version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The version after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// `GET /v1/grants`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantReply {
    /// The promotion by which the artifact may run there.
    #[schemars(with = "String")]
    pub promotion: PromotionId,
}

/// `GET /v1/consistency`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyReply {
    /// The smaller size.
    pub from: u64,
    /// The consistency path, base64.
    pub proof: Vec<String>,
    /// The newest checkpoint.
    pub checkpoint: String,
}
