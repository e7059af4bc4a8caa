//! Facts: what a decision may know, as one canonical document.
//!
//! Evidence readers make the claims, the ledger gathers them with the state, the policy decides on them and on
//! nothing else. The document is stored by digest, so that anyone can run the decision again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Digest, EntryIndex, EnvName, GateName, GroupName, PersonId, PromotionId, ReleaseName, ServiceName, SignerName,
    UnixMillis, Version,
};

mod analysis;
mod attested;
mod break_glass;
mod feeds;
mod findings;
mod freeze;
mod licences;
mod reports;
mod schema;
mod signature;
mod vex;

pub use analysis::{AnalysisLevel, AnalysisResult};
pub use attested::{
    Attributes, BuildDetails, Link, Publication, ReferencedDocument, References, ReleaseRecord, RuntimeTrace,
    SourceRecord, VerificationSummary,
};
pub use break_glass::BreakGlassFact;
pub use feeds::{FeedFact, FeedKind, FeedKindError, feed_names};
pub use findings::{Cvss, FindingSource, Kev, bare_purl, findings_of, merge, package_key};
pub use freeze::FreezeFact;
pub use licences::LicenceUse;
pub use reports::{
    Better, ChangeState, ChangeTicket, CheckOutcome, Configuration, Coverage, Divergence, Flag, Flags, Metric,
    NamedCheck, Performance, Rebuild, Secrets,
};
pub use schema::schema;
pub use signature::{ARTIFACT_SIGNATURE, SignatureClass, SignatureFact};
pub use vex::{Vex, VexStatement, VexStatus};

/// Everything that one decision may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Always [`Facts::SCHEMA`].
    pub schema: String,
    /// The ledger's time of the decision.
    pub time: UnixMillis,
    /// What is asked for.
    pub promotion: PromotionFacts,
    /// What is to be promoted.
    pub release: ReleaseFacts,
    /// Verified evidence about the release's artifacts, in ledger order.
    pub evidence: Vec<EvidenceFact>,
    /// What the target environment runs now, of the same service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Verified evidence about the artifacts of the release that runs, in ledger order; only where a gate compares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running_evidence: Vec<EvidenceFact>,
    /// The artifacts of the release that runs, in the manifest's order; only where a gate compares, and where there are
    /// several: one alone needs no telling apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running_artifacts: Vec<Artifact>,
    /// What the target runs of other services, by service; absent where no gate asks, so that nobody takes what was not
    /// gathered for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Vec<Running>>,
    /// Emergency freezes of this service and environment that have not been lifted, in ledger order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<FreezeFact>,
    /// The break-glass that counts for this promotion, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlassFact>,
    /// Where this very release has been allowed before, in ledger order.
    pub certified: Vec<Certified>,
    /// Approvals and rejections of this promotion, in ledger order.
    pub approvals: Vec<ApprovalFact>,
    /// Waivers that were granted for this service and environment, in ledger order.
    pub waivers: Vec<WaiverFact>,
    /// The newest snapshot of each feed that a gate asks, with its rows about what these facts name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<FeedFact>,
    /// Delegations in force for this service and environment, in ledger order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<DelegationFact>,
    /// Everyone enrolled, with their groups.
    pub people: BTreeMap<PersonId, PersonFact>,
}

impl Facts {
    /// The schema that this version of Lockgate writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/facts/v1";
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionFacts {
    /// The promotion's id.
    pub id: PromotionId,
    /// The target.
    pub environment: EnvName,
    /// Forward, or back to an earlier release.
    pub kind: PromotionKind,
    /// Who asked.
    pub requester: PersonId,
    /// Why, in the requester's words.
    pub reason: String,
    /// When it was asked, in ledger time.
    pub requested_at: UnixMillis,
}

/// Forward, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PromotionKind {
    /// A release rises.
    Promotion,
    /// An earlier release comes back.
    Rollback,
}

/// What is to be promoted: the release's manifest as published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFacts {
    /// `service@version`.
    pub name: ReleaseName,
    /// The digest of the manifest document.
    pub manifest: Digest,
    /// The artifacts, in the manifest's order.
    pub artifacts: Vec<Artifact>,
    /// Where the publisher says it was built from; evidence has to prove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The digest of the release notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Digest>,
    /// Who published it.
    pub published_by: PersonId,
    /// When, in ledger time.
    pub published_at: UnixMillis,
}

impl ReleaseFacts {
    /// The service.
    pub fn service(&self) -> &ServiceName {
        &self.name.service
    }
    /// The version.
    pub fn version(&self) -> &Version {
        &self.name.version
    }
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// What it is.
    pub digest: Digest,
    /// What people call it; never compared with what evidence says.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
}

/// A place in version control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The repository's URL.
    pub repository: String,
    /// The full commit id.
    pub commit: String,
}

/// One piece of verified evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceFact {
    /// The digest of the evidence as it was handed in: the envelope, or the report.
    pub evidence: Digest,
    /// Where the ledger recorded it.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub recorded_at: UnixMillis,
    /// Which of the release's artifacts it is about.
    pub artifacts: Vec<Digest>,
    /// Who stands behind it.
    pub origin: Origin,
    /// What it says.
    pub claim: Claim,
    /// What was found about the signature, where the evidence came as a Sigstore bundle, or is an envelope whose
    /// signature by a known key is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Box<SignatureFact>>,
}

/// Who stands behind a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// Signed by its maker; `signers` are those of the policy set whose signatures verified, possibly none.
    Signed {
        /// Names from the policy set; empty when no trusted key verified.
        signers: Vec<SignerName>,
    },
    /// An unsigned report that an authenticated identity handed in; never counts as the builder's own signature.
    OnBehalf {
        /// The identity.
        by: PersonId,
    },
}

/// What a piece of evidence says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Claim {
    /// How and from what the artifact was built (SLSA provenance).
    Provenance(Provenance),
    /// What the artifact contains.
    Sbom(Sbom),
    /// Which tests ran.
    Tests(Tests),
    /// Which known vulnerabilities it has.
    Vulnerabilities(Vulnerabilities),
    /// What static analysis found.
    StaticAnalysis(StaticAnalysis),
    /// Which known vulnerabilities matter to it, and which do not (VEX).
    Vex(Vex),
    /// How much of the source the tests ran.
    Coverage(Coverage),
    /// How fast and how large it is.
    Performance(Performance),
    /// Whether someone else built the same bytes.
    Rebuild(Rebuild),
    /// A ticket of a change-management system.
    Change(ChangeTicket),
    /// How one named check came out.
    Check(NamedCheck),
    /// Which secrets were found in the source.
    Secrets(Secrets),
    /// Which configuration it was made for.
    Configuration(Configuration),
    /// Which feature flags are on.
    Flags(Flags),
    /// What someone else verified before (SLSA VSA, in-toto SVR).
    Summary(VerificationSummary),
    /// Who wrote, reviewed and merged the source.
    Source(SourceRecord),
    /// Attributes of the artifact or its making (SCAI).
    Attributes(Attributes),
    /// That it is part of a published release.
    Release(ReleaseRecord),
    /// That a registry published it.
    Publication(Publication),
    /// One recorded step (in-toto link).
    Link(Link),
    /// Where documents about it lie.
    References(References),
    /// That a run was watched.
    RuntimeTrace(RuntimeTrace),
    /// A statement that no reader knows; kept, shown, and never counted.
    Unknown {
        /// The in-toto predicate type.
        predicate_type: String,
    },
    /// A statement or report of a known kind that could not be read; never counted.
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

impl Claim {
    /// The word that policies and people use for this kind of claim.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Provenance(_) => "provenance",
            Self::Sbom(_) => "sbom",
            Self::Tests(_) => "tests",
            Self::Vulnerabilities(_) => "vulnerabilities",
            Self::StaticAnalysis(_) => "static-analysis",
            Self::Vex(_) => "vex",
            Self::Coverage(_) => "coverage",
            Self::Performance(_) => "performance",
            Self::Rebuild(_) => "rebuild",
            Self::Change(_) => "change",
            Self::Check(_) => "check",
            Self::Secrets(_) => "secrets",
            Self::Configuration(_) => "configuration",
            Self::Flags(_) => "flags",
            Self::Summary(_) => "summary",
            Self::Source(_) => "source",
            Self::Attributes(_) => "attributes",
            Self::Release(_) => "release",
            Self::Publication(_) => "publication",
            Self::Link(_) => "link",
            Self::References(_) => "references",
            Self::RuntimeTrace(_) => "runtime-trace",
            Self::Unknown { .. } => "unknown",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// SLSA provenance, version 1 or 0.2 mapped to 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// `https://slsa.dev/provenance/v1` or `/v0.2`.
    pub predicate_type: String,
    /// `runDetails.builder.id`.
    pub builder_id: String,
    /// `buildDefinition.buildType`.
    pub build_type: String,
    /// The source repository's URL without `git+` and without `@ref`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_repository: Option<String>,
    /// The full ref, such as `refs/heads/main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<String>,
    /// The full commit id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_commit: Option<String>,
    /// Who wrote or triggered it, where the provenance says so.
    pub authors: Vec<String>,
    /// When the build ended, as the builder says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<UnixMillis>,
    /// How the build ran, where the provenance says more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Box<BuildDetails>>,
}

/// A software bill of materials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sbom {
    /// `cyclonedx` or `spdx`.
    pub format: String,
    /// Such as `1.6` or `2.3`.
    pub spec_version: String,
    /// How many components, nested ones included.
    pub components: u64,
    /// How many of them have no version.
    pub without_version: u64,
    /// How many of them have neither a package URL nor a CPE.
    pub without_identifier: u64,
    /// What the document itself says of its completeness.
    pub completeness: Completeness,
    /// How many of them have no version, or one that does not pin them: a range, `latest`, a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpinned: Option<u64>,
    /// The first 20 of these, by name and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpinned_names: Vec<String>,
    /// How many of them have no licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_licence: Option<u64>,
    /// The licences of the others, each SPDX expression once, in their order as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<LicenceUse>,
    /// What the document itself says of known vulnerabilities (CycloneDX `vulnerabilities[].analysis`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<VexStatement>,
}

/// What an SBOM says of its own completeness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Completeness {
    /// It says that it is complete.
    Complete,
    /// It says that something is missing.
    Incomplete,
    /// It does not say.
    #[default]
    Unstated,
}

/// A test run, recounted from its cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// `junit` or `test-result`.
    pub format: String,
    /// How many cases passed.
    pub passed: u64,
    /// How many failed or ended in an error.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// The first 20 that failed, by name.
    pub failed_names: Vec<String>,
    /// When the run happened, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<UnixMillis>,
}

impl Tests {
    /// How many cases there were.
    pub fn total(&self) -> u64 {
        self.passed.saturating_add(self.failed).saturating_add(self.skipped)
    }
}

/// A vulnerability scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vulnerabilities {
    /// Such as `trivy` or `grype`.
    pub scanner: String,
    /// Its version, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanner_version: Option<String>,
    /// When the scan happened, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<UnixMillis>,
    /// Every finding, in the report's order.
    pub findings: Vec<Finding>,
}

/// One known vulnerability in one package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Such as `CVE-2024-1234`.
    pub id: String,
    /// The package's name.
    pub package: String,
    /// The installed version.
    pub version: String,
    /// The first fixed version, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// How bad it is, as the scanner says.
    pub severity: Severity,
    /// When it was disclosed, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosed_at: Option<UnixMillis>,
    /// The package URL, where the report has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// Its other names, such as `GHSA-...`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Every fixed version, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed_versions: Vec<String>,
    /// That the report does not say whether there is a fix; false where it names one or says that there is none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fix_unknown: bool,
    /// Whose judgement the severity is, such as `nvd` or `debian`, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_source: Option<String>,
    /// Its highest CVSS score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss: Option<Cvss>,
    /// That it is known to be exploited, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kev: Option<Kev>,
    /// The probability that it will be exploited within 30 days (EPSS), in millionths, where the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epss_millionths: Option<u32>,
    /// What the report itself says of whether it matters (VEX).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vex: Option<VexStatus>,
    /// Where in the report it stands: a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Where it was read, once it was taken out of its report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<FindingSource>,
}

/// How bad a finding is; ordered, worst last.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No effect known.
    Negligible,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// The scanner does not know: treated as worse than medium.
    #[default]
    Unknown,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// Results of static analysis (SARIF 2.1.0), without suppressed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticAnalysis {
    /// The tools' names, in order.
    pub tools: Vec<String>,
    /// The tools of which a run did not come to its end, in order; none of them is in `tools`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<String>,
    /// Results of level `error`.
    pub errors: u64,
    /// Results of level `warning`.
    pub warnings: u64,
    /// Results of level `note`.
    pub notes: u64,
    /// Results that the report marks as suppressed.
    pub suppressed: u64,
    /// The counted results, errors first; at most [`StaticAnalysis::RESULTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<AnalysisResult>,
    /// How many counted results are not in `results`, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub results_left_out: u64,
}

impl StaticAnalysis {
    /// How many results are kept one by one; all are counted.
    pub const RESULTS: usize = 2000;
}

/// What an environment runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Which release.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Since when, in ledger time.
    pub since: UnixMillis,
    /// By which promotion.
    pub promotion: PromotionId,
}

/// An earlier grant of the same release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// Where.
    pub environment: EnvName,
    /// By which promotion.
    pub promotion: PromotionId,
    /// Since when, in ledger time.
    pub since: UnixMillis,
}

/// A person's signed consent or refusal, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalFact {
    /// Who.
    pub person: PersonId,
    /// With which key: its `SHA256:` fingerprint.
    pub key: String,
    /// Yes or no.
    pub verdict: Verdict,
    /// Where the ledger recorded it.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub recorded_at: UnixMillis,
    /// Until when it counts.
    pub expires_at: UnixMillis,
    /// What was signed for.
    pub binds: Binding,
    /// Whether the key is still good for approvals recorded at `index`.
    pub key_valid: bool,
    /// Whole seconds between opening the document and the recording of the approval, as the approver signed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_seconds: Option<u64>,
    /// Whether the approver took it back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withdrawn: bool,
    /// Whether the signed document describes evidence, or what runs, otherwise than the ledger does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub misdescribed: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// One person's approvals, lent to another for a while by a logged act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationFact {
    /// Who lends.
    pub from: PersonId,
    /// Who may approve instead.
    pub to: PersonId,
    /// In which of the lender's groups; empty means in all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// Until when, half open.
    pub expires_at: UnixMillis,
    /// Where the ledger recorded it.
    pub index: EntryIndex,
}

/// What an approval is for; all of it must still be true when it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The promotion.
    pub promotion: PromotionId,
    /// The release's manifest.
    pub manifest: Digest,
    /// The target.
    pub environment: EnvName,
    /// The policy set that was active.
    pub policy: Digest,
    /// The manifest of what ran in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Consent.
    Approve,
    /// Refusal: ends the promotion.
    Reject,
}

/// A signed, scoped, expiring exception to one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverFact {
    /// The gate it is for.
    pub gate: GateName,
    /// The finding it is for, such as a CVE; without one it is for nothing: no waiver is for a whole gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Who asked.
    pub asked_by: PersonId,
    /// Who granted; never the one who asked.
    pub granted_by: PersonId,
    /// Until when it counts.
    pub expires_at: UnixMillis,
    /// Where the ledger recorded it.
    pub index: EntryIndex,
    /// The only release it is for; every release of the service where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// The only artifact it is for; every artifact where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// When it was granted, in ledger time, where the policy set has rules about waivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<UnixMillis>,
}

/// Someone enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonFact {
    /// A person or a machine.
    pub kind: SubjectKind,
    /// The groups, as enrolled.
    pub groups: Vec<GroupName>,
    /// Whether a person has no key that counts, and so can sign nothing now.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keyless: bool,
}

/// Who can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A human being; may approve.
    Person,
    /// A CI identity or service; may push and request, and never approves.
    Machine,
}
