//! Entries: what a policy test may say, in a few words each.

use std::collections::BTreeMap;

use lockgate_model::facts::{ChangeState, CheckOutcome, Claim, Severity, SignatureClass};
use lockgate_model::{EnvName, GateName, GroupName, PersonId, ServiceName, SignerName, Span, Version};
use serde::Deserialize;

use crate::decision::{GateOutcome, Outcome};
use crate::moment::Moment;
use crate::share::Share;
use crate::wording::shown;

/// One `[[test]]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestEntry {
    pub(super) name: String,
    pub(super) environment: EnvName,
    #[serde(default = "default_service")]
    pub(super) service: String,
    #[serde(default = "default_version")]
    pub(super) version: String,
    pub(super) expect: Outcome,
    #[serde(default)]
    pub(super) gates: BTreeMap<GateName, GateOutcome>,
    #[serde(default)]
    pub(super) explain: Option<String>,
    /// When it is decided; 2026-01-01T00:00:00Z where it is left out.
    #[serde(default)]
    pub(super) at: Option<Moment>,
    #[serde(default = "default_requester")]
    pub(super) requester: String,
    #[serde(default)]
    pub(super) publisher: Option<PersonId>,
    #[serde(default)]
    pub(super) rollback: bool,
    #[serde(default)]
    pub(super) running: Option<Version>,
    /// How long ago what runs was let in; long ago where it is left out.
    #[serde(default)]
    pub(super) running_for: Option<Span>,
    /// The names of its artifacts, where evidence is about some of them; they are not told apart where it is left out.
    #[serde(default)]
    pub(super) running_artifacts: Vec<String>,
    /// What other services run there, and how long ago each was let in.
    #[serde(default)]
    pub(super) neighbours: BTreeMap<ServiceName, Span>,
    /// An emergency freeze of everything.
    #[serde(default)]
    pub(super) freeze: Option<FreezeEntry>,
    #[serde(default)]
    pub(super) approvals: Vec<PersonId>,
    #[serde(default)]
    pub(super) rejections: Vec<PersonId>,
    /// How long ago it was asked for.
    #[serde(default)]
    pub(super) requested: Option<Span>,
    /// How long the approvers had the document open.
    #[serde(default)]
    pub(super) reviewed: Option<Span>,
    /// Who may approve instead of whom.
    #[serde(default)]
    pub(super) delegations: BTreeMap<PersonId, PersonId>,
    #[serde(default)]
    pub(super) people: BTreeMap<PersonId, Vec<GroupName>>,
    #[serde(default)]
    pub(super) waivers: Vec<WaiverEntry>,
    #[serde(default)]
    pub(super) notes: bool,
    #[serde(default)]
    pub(super) certified: BTreeMap<EnvName, Span>,
    #[serde(default)]
    pub(super) provenance: Option<ProvenanceEntry>,
    #[serde(default)]
    pub(super) source: Option<SourceEntry>,
    #[serde(default)]
    pub(super) rebuilds: Vec<RebuildEntry>,
    #[serde(default)]
    pub(super) sbom: Option<SbomEntry>,
    #[serde(default)]
    pub(super) tests: Option<TestsEntry>,
    #[serde(default)]
    pub(super) coverage: Option<CoverageEntry>,
    #[serde(default)]
    pub(super) performance: Option<PerformanceEntry>,
    #[serde(default)]
    pub(super) vulnerabilities: Option<VulnerabilitiesEntry>,
    #[serde(default)]
    pub(super) vex: Option<VexEntry>,
    #[serde(default)]
    pub(super) analysis: Option<AnalysisEntry>,
    #[serde(default)]
    pub(super) secrets: Option<SecretsEntry>,
    #[serde(default)]
    pub(super) checks: BTreeMap<String, CheckOutcome>,
    #[serde(default)]
    pub(super) change: Option<ChangeEntry>,
    /// Configurations for this environment, each with its text.
    #[serde(default)]
    pub(super) configuration: BTreeMap<String, String>,
    /// The same of what runs.
    #[serde(default)]
    pub(super) configuration_before: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) flags: BTreeMap<String, bool>,
    #[serde(default)]
    pub(super) signature: Option<SignatureEntry>,
    /// Anything else, as facts carry it.
    #[serde(default)]
    pub(super) claims: Vec<ClaimEntry>,
}

/// An emergency freeze of everything, ordered a minute ago.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FreezeEntry {
    pub(super) by: PersonId,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) spares_rollbacks: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaiverEntry {
    pub(super) gate: GateName,
    pub(super) finding: String,
    pub(super) asked_by: PersonId,
    pub(super) granted_by: PersonId,
    /// How long it still counts; `0s` is a waiver that has ended.
    #[serde(default = "a_day")]
    pub(super) left: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProvenanceEntry {
    pub(super) builder: String,
    #[serde(default)]
    pub(super) repository: Option<String>,
    #[serde(default, rename = "ref")]
    pub(super) source_ref: Option<String>,
    #[serde(default)]
    pub(super) protected: Option<bool>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
    #[serde(default)]
    pub(super) authors: Vec<String>,
    #[serde(default)]
    pub(super) age: Option<Span>,
}

/// A source record of the commit that every provenance of a policy test names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceEntry {
    #[serde(default)]
    pub(super) repository: Option<String>,
    #[serde(default, rename = "ref")]
    pub(super) source_ref: Option<String>,
    #[serde(default)]
    pub(super) protected: Option<bool>,
    #[serde(default)]
    pub(super) authors: Vec<String>,
    #[serde(default)]
    pub(super) reviewers: Vec<String>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RebuildEntry {
    pub(super) builder: String,
    /// Where its bytes differ, each difference explained; nowhere where it is left out.
    #[serde(default)]
    pub(super) differs: Vec<String>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SbomEntry {
    #[serde(default)]
    pub(super) components: u64,
    #[serde(default)]
    pub(super) without_version: u64,
    #[serde(default)]
    pub(super) without_identifier: u64,
    #[serde(default)]
    pub(super) unpinned: u64,
    /// The licence expressions of all components; nobody has said any where it is left out.
    #[serde(default)]
    pub(super) licences: Vec<String>,
    #[serde(default)]
    pub(super) incomplete: bool,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestsEntry {
    #[serde(default)]
    pub(super) passed: u64,
    #[serde(default)]
    pub(super) failed: u64,
    #[serde(default)]
    pub(super) skipped: u64,
    #[serde(default)]
    pub(super) age: Option<Span>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoverageEntry {
    pub(super) lines: Share,
    #[serde(default)]
    pub(super) branches: Option<Share>,
    /// The lines of what runs.
    #[serde(default)]
    pub(super) before: Option<Share>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PerformanceEntry {
    #[serde(default)]
    pub(super) metrics: BTreeMap<String, MetricEntry>,
    /// Thresholds of the tool's own that were missed.
    #[serde(default)]
    pub(super) missed: Vec<String>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricEntry {
    pub(super) value: u64,
    pub(super) unit: String,
    /// The value of what runs.
    #[serde(default)]
    pub(super) before: Option<u64>,
    #[serde(default)]
    pub(super) higher_is_better: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VulnerabilitiesEntry {
    #[serde(default)]
    pub(super) critical: u64,
    #[serde(default)]
    pub(super) high: u64,
    #[serde(default)]
    pub(super) medium: u64,
    #[serde(default)]
    pub(super) low: u64,
    #[serde(default)]
    pub(super) unknown: u64,
    #[serde(default)]
    pub(super) fixed: bool,
    #[serde(default)]
    pub(super) disclosed: Option<Span>,
    /// Whether all of them are known to be exploited.
    #[serde(default)]
    pub(super) kev: bool,
    /// How likely each of them is to be exploited.
    #[serde(default)]
    pub(super) epss: Option<Share>,
    #[serde(default)]
    pub(super) age: Option<Span>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VexEntry {
    /// What does not matter, such as `TEST-HIGH-1`, the first finding of high severity.
    pub(super) not_affected: Vec<String>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnalysisEntry {
    #[serde(default = "default_tool")]
    pub(super) tool: String,
    #[serde(default)]
    pub(super) errors: u64,
    #[serde(default)]
    pub(super) warnings: u64,
    #[serde(default)]
    pub(super) notes: u64,
    /// How many of the errors, the first ones, what runs has too.
    #[serde(default)]
    pub(super) errors_before: Option<u64>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretsEntry {
    #[serde(default)]
    pub(super) found: u64,
    #[serde(default)]
    pub(super) verified: Option<u64>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeEntry {
    #[serde(default = "default_system")]
    pub(super) system: String,
    pub(super) state: ChangeState,
    #[serde(default)]
    pub(super) approvers: Vec<String>,
    #[serde(default)]
    pub(super) opens: Option<Moment>,
    #[serde(default)]
    pub(super) closes: Option<Moment>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

/// A signature over the artifact itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureEntry {
    /// Whose it is; nobody's who is known where it is left out.
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
    /// How its verification ended; as verified where it is left out.
    #[serde(default = "verified")]
    pub(super) class: SignatureClass,
    /// How long ago it was made.
    #[serde(default)]
    pub(super) age: Option<Span>,
}

/// A claim as facts carry it, about the release or about what runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimEntry {
    pub(super) claim: Claim,
    #[serde(default)]
    pub(super) of_running: bool,
    /// Which of `running_artifacts` it is about; all where it is left out.
    #[serde(default)]
    pub(super) artifact: Option<String>,
    #[serde(default)]
    pub(super) age: Option<Span>,
    #[serde(default)]
    pub(super) signer: Option<SignerName>,
}

fn default_service() -> String {
    "shop/web".to_owned()
}

fn default_version() -> String {
    "1.4.2".to_owned()
}

fn default_requester() -> String {
    "dana".to_owned()
}

fn default_tool() -> String {
    "analyser".to_owned()
}

fn default_system() -> String {
    "servicenow".to_owned()
}

const fn verified() -> SignatureClass {
    SignatureClass::Verified
}

const fn a_day() -> Span {
    Span::from_secs(86_400)
}

impl TestEntry {
    /// Everyone who is named as a signer.
    pub(super) fn signers(&self) -> impl Iterator<Item = &SignerName> {
        let single = [
            self.provenance.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.source.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.sbom.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.tests.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.coverage.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.performance.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.vulnerabilities.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.vex.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.analysis.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.secrets.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.change.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.signature.as_ref().and_then(|entry| entry.signer.as_ref()),
        ];
        let rebuilds = self.rebuilds.iter().filter_map(|entry| entry.signer.as_ref());
        let claims = self.claims.iter().filter_map(|entry| entry.signer.as_ref());
        single.into_iter().flatten().chain(rebuilds).chain(claims)
    }

    /// Everyone who acts, and so has to be one of `people`.
    pub(super) fn actors(&self) -> impl Iterator<Item = &PersonId> {
        let delegates = self.delegations.iter().flat_map(|(to, from)| [to, from]);
        let waivers = self.waivers.iter().flat_map(|waiver| [&waiver.asked_by, &waiver.granted_by]);
        self.approvals.iter().chain(&self.rejections).chain(delegates).chain(waivers)
    }

    /// Says what is more than a test may ask for, where something is.
    pub(super) fn excess(&self) -> Option<String> {
        let severe = self.vulnerabilities.iter().flat_map(VulnerabilitiesEntry::by_severity).map(|(_, count)| count);
        let results = self.analysis.iter().map(|entry| entry.errors);
        if severe.max() > Some(FINDINGS_MAX) || results.max() > Some(FINDINGS_MAX) {
            return Some(format!("more than {FINDINGS_MAX} findings of one severity"));
        }
        let about = self.claims.iter().filter_map(|claim| Some((claim.of_running, claim.artifact.as_ref()?)));
        let mut unknown = about.filter(|(of_running, name)| !of_running || !self.running_artifacts.contains(name));
        unknown.next().map(|(_, name)| {
            format!("a claim about `{}`, which is none of `running_artifacts` with `of_running`", shown(name))
        })
    }
}

/// The most findings of one severity that a test can ask for.
const FINDINGS_MAX: u64 = 1000;

impl VulnerabilitiesEntry {
    /// How many findings there are of each severity.
    pub(super) fn by_severity(&self) -> [(Severity, u64); 5] {
        [
            (Severity::Critical, self.critical),
            (Severity::High, self.high),
            (Severity::Medium, self.medium),
            (Severity::Low, self.low),
            (Severity::Unknown, self.unknown),
        ]
    }
}
