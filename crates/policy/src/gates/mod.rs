//! Gate kinds: the built-in demands, one module each.
//!
//! Every kind has a configuration that refuses unknown fields, says at load what can never work, and evaluates to
//! one assessment. What a gate cannot find, read or believe does not satisfy it.

mod ballot;
mod coverage;
mod ending;
mod feeds;
mod mistyped;
mod waivers;

pub mod analysis;
pub mod approvals;
pub mod capacity;
pub mod certified;
pub mod change_ticket;
pub mod checks;
pub mod configuration;
pub mod feature_flags;
pub mod freshness;
pub mod licences;
pub mod performance;
pub mod provenance;
pub mod rego;
pub mod release_notes;
pub mod remedy;
pub mod reproducible;
pub mod risk;
pub mod sbom;
pub mod secrets;
pub mod signature;
pub mod source_review;
pub mod test_coverage;
pub mod tests;
pub mod version;
pub mod vulnerabilities;
pub mod windows;

use lockgate_model::facts::{EvidenceFact, Facts, FeedKind, Origin};
use lockgate_model::{Digest, GroupName, PersonId, ReleaseName, SignerName, Span, UnixMillis};
use toml::Spanned;
use toml::de::DeValue;

use crate::access::{Object, allows, object_of};
use crate::decision::{GateOutcome, GateResult};
use crate::environment::Environment;
use crate::error::PolicyError;
use crate::explain::Reason;
use crate::gate::Gate;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::rego::Answers;
use crate::source::SourceFile;
use crate::suggestion::did_you_mean;
use crate::trust::EvidenceKind;
use crate::wording;

pub use analysis::AnalysisGate;
pub use approvals::ApprovalsGate;
pub use capacity::CapacityGate;
pub use certified::CertifiedGate;
pub use change_ticket::ChangeTicketGate;
pub use checks::ChecksGate;
pub use configuration::ConfigurationGate;
pub use feature_flags::FeatureFlagsGate;
pub use freshness::FreshnessGate;
pub use licences::LicencesGate;
pub use performance::PerformanceGate;
pub use provenance::ProvenanceGate;
pub use rego::RegoGate;
pub use release_notes::ReleaseNotesGate;
pub use reproducible::ReproducibleGate;
pub use sbom::SbomGate;
pub use secrets::SecretsGate;
pub use signature::SignatureGate;
pub use source_review::SourceGate;
pub use test_coverage::TestCoverageGate;
pub use tests::TestsGate;
pub use version::VersionGate;
pub use vulnerabilities::VulnerabilitiesGate;
pub use windows::{Stretch, WindowState, WindowsGate};

/// How far ahead of the ledger the clock of a tool may be before its times are not believed.
const CLOCK_TOLERANCE: Span = Span::from_secs(300);

/// What a gate demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateKind {
    /// Signed provenance from an accepted builder and source.
    Provenance(ProvenanceGate),
    /// A bill of materials.
    Sbom(SbomGate),
    /// Passed tests.
    Tests(TestsGate),
    /// A scan without findings that matter.
    Vulnerabilities(VulnerabilitiesGate),
    /// An earlier grant of the same release elsewhere.
    Certified(CertifiedGate),
    /// A version that rises.
    Version(VersionGate),
    /// Release notes.
    ReleaseNotes(ReleaseNotesGate),
    /// Approvals by people.
    Approvals(ApprovalsGate),
    /// A reviewed commit on a protected branch.
    Source(SourceGate),
    /// The same bytes from independent builders.
    Reproducible(ReproducibleGate),
    /// Licences that are accepted.
    Licences(LicencesGate),
    /// Static or dynamic analysis without results that matter.
    Analysis(AnalysisGate),
    /// No secrets.
    Secrets(SecretsGate),
    /// Tests that run enough of the source.
    Coverage(TestCoverageGate),
    /// Performance within a budget.
    Performance(PerformanceGate),
    /// Named checks that passed.
    Checks(ChecksGate),
    /// A ticket of a change-management system.
    ChangeTicket(ChangeTicketGate),
    /// A known configuration.
    Configuration(ConfigurationGate),
    /// Feature flags that stand as they should.
    FeatureFlags(FeatureFlagsGate),
    /// A time at which something may be let in.
    Windows(WindowsGate),
    /// One promotion at a time.
    Capacity(CapacityGate),
    /// Evidence that is young enough.
    Freshness(FreshnessGate),
    /// Artifacts that somebody who is known signed.
    Signature(SignatureGate),
    /// A rule of a module that finds nothing to deny.
    Rego(RegoGate),
}

impl GateKind {
    /// The words for `kind`.
    pub const NAMES: &'static [&'static str] = &[
        "provenance",
        "sbom",
        "tests",
        "vulnerabilities",
        "certified",
        "version",
        "release-notes",
        "approvals",
        "source",
        "reproducible",
        "licences",
        "analysis",
        "secrets",
        "coverage",
        "performance",
        "checks",
        "change-ticket",
        "configuration",
        "feature-flags",
        "windows",
        "capacity",
        "freshness",
        "signature",
        "rego",
    ];

    /// The word that policies use.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Provenance(_) => "provenance",
            Self::Sbom(_) => "sbom",
            Self::Tests(_) => "tests",
            Self::Vulnerabilities(_) => "vulnerabilities",
            Self::Certified(_) => "certified",
            Self::Version(_) => "version",
            Self::ReleaseNotes(_) => "release-notes",
            Self::Approvals(_) => "approvals",
            Self::Source(_) => "source",
            Self::Reproducible(_) => "reproducible",
            Self::Licences(_) => "licences",
            Self::Analysis(_) => "analysis",
            Self::Secrets(_) => "secrets",
            Self::Coverage(_) => "coverage",
            Self::Performance(_) => "performance",
            Self::Checks(_) => "checks",
            Self::ChangeTicket(_) => "change-ticket",
            Self::Configuration(_) => "configuration",
            Self::FeatureFlags(_) => "feature-flags",
            Self::Windows(_) => "windows",
            Self::Capacity(_) => "capacity",
            Self::Freshness(_) => "freshness",
            Self::Signature(_) => SignatureGate::KIND,
            Self::Rego(_) => "rego",
        }
    }

    /// Whether modules answer for it.
    pub(crate) const fn is_custom(&self) -> bool {
        matches!(self, Self::Rego(_))
    }

    /// Whether it looks at the clocks of a time zone, which another version of the database may set otherwise.
    pub(crate) fn looks_at_clocks(&self) -> bool {
        matches!(self, Self::Windows(config) if !config.time_zone.is_utc())
    }

    /// Whether it compares with the evidence of what runs.
    pub(crate) fn compares_with_running(&self) -> bool {
        match self {
            Self::Analysis(config) => config.new_only,
            Self::Coverage(config) => config.compares(),
            Self::Performance(config) => config.compares(),
            Self::Configuration(config) => config.unchanged,
            Self::Rego(config) => config.with_running_evidence,
            _ => false,
        }
    }

    /// Whether waivers except single things from it: a finding, a result, a licence, a name, a difference. Of every other
    /// kind nothing can be waived, and no kind as a whole.
    pub const fn can_be_waived(&self) -> bool {
        matches!(
            self,
            Self::Vulnerabilities(_)
                | Self::Analysis(_)
                | Self::Licences(_)
                | Self::Configuration(_)
                | Self::Reproducible(_)
        )
    }

    /// The feeds that it may ask; `waivers_end` says that the policy set ends waivers by the KEV catalogue.
    pub(crate) fn feeds(&self, waivers_end: bool) -> Vec<FeedKind> {
        match self {
            Self::Vulnerabilities(config) => config.feeds(waivers_end),
            _ => Vec::new(),
        }
    }

    /// Whether waivers of it end once what they are for is known to be exploited; `waivers_end` says that the policy set
    /// wants that of every gate.
    pub(crate) fn ends_waivers_with_kev(&self, waivers_end: bool) -> bool {
        match self {
            Self::Vulnerabilities(config) => waivers_end || config.waivers_end_with_kev,
            _ => waivers_end,
        }
    }

    /// For how long back it asks for what other services were let into the same environment.
    pub(crate) fn neighbours_since(&self) -> Option<Span> {
        match self {
            Self::Capacity(config) if config.all_services => Some(config.settle),
            Self::Rego(config) => config.with_neighbours,
            _ => None,
        }
    }

    /// Reads the fields that belong to one kind; `shared` are those that every gate has.
    pub(crate) fn read<'a>(
        source: SourceFile<'a>,
        kind: &Spanned<String>,
        fields: Spanned<DeValue<'a>>,
        shared: &[&str],
    ) -> Result<Self, Vec<PolicyError>> {
        match kind.get_ref().as_str() {
            "provenance" => source.read_value(fields, shared).map(Self::Provenance),
            "sbom" => source.read_value(fields, shared).map(Self::Sbom),
            "tests" => source.read_value(fields, shared).map(Self::Tests),
            "vulnerabilities" => source.read_value(fields, shared).map(Self::Vulnerabilities),
            "certified" => source.read_value(fields, shared).map(Self::Certified),
            "version" => source.read_value(fields, shared).map(Self::Version),
            "release-notes" => source.read_value(fields, shared).map(Self::ReleaseNotes),
            "approvals" => source.read_value(fields, shared).map(Self::Approvals),
            "source" => source.read_value(fields, shared).map(Self::Source),
            "reproducible" => source.read_value(fields, shared).map(Self::Reproducible),
            "licences" => source.read_value(fields, shared).map(Self::Licences),
            "analysis" => source.read_value(fields, shared).map(Self::Analysis),
            "secrets" => source.read_value(fields, shared).map(Self::Secrets),
            "coverage" => source.read_value(fields, shared).map(Self::Coverage),
            "performance" => source.read_value(fields, shared).map(Self::Performance),
            "checks" => source.read_value(fields, shared).map(Self::Checks),
            "change-ticket" => source.read_value(fields, shared).map(Self::ChangeTicket),
            "configuration" => source.read_value(fields, shared).map(Self::Configuration),
            "feature-flags" => source.read_value(fields, shared).map(Self::FeatureFlags),
            "windows" => source.read_value(fields, shared).map(Self::Windows),
            "capacity" => source.read_value(fields, shared).map(Self::Capacity),
            "freshness" => source.read_value(fields, shared).map(Self::Freshness),
            "signature" => source.read_value(fields, shared).map(Self::Signature),
            "rego" => source.read_value(fields, shared).map(Self::Rego),
            other => {
                let message =
                    format!("unknown kind `{}`: use one of {}", wording::shown(other), Self::NAMES.join(", "));
                let hint = did_you_mean(other, Self::NAMES.iter().copied());
                Err(vec![source.error(Some(source.line(&kind.span())), message, hint)])
            }
        }
    }

    /// What can never work in this policy set.
    pub(crate) fn problems(&self, gate: &Gate, policy: &PolicySet) -> Vec<Problem> {
        match self {
            Self::Provenance(config) => config.problems(policy),
            Self::Sbom(config) => config.problems(policy),
            Self::Tests(config) => config.problems(policy),
            Self::Vulnerabilities(config) => config.problems(policy),
            Self::Certified(config) => config.problems(gate, policy),
            Self::Version(config) => config.problems(),
            Self::ReleaseNotes(_) => Vec::new(),
            Self::Approvals(config) => config.problems(policy),
            Self::Source(config) => config.problems(policy),
            Self::Reproducible(config) => config.problems(policy),
            Self::Licences(config) => config.problems(policy),
            Self::Analysis(config) => config.problems(policy),
            Self::Secrets(config) => config.problems(policy),
            Self::Coverage(config) => config.problems(policy),
            Self::Performance(config) => config.problems(policy),
            Self::Checks(config) => config.problems(policy),
            Self::ChangeTicket(config) => config.problems(policy),
            Self::Configuration(config) => config.problems(policy),
            Self::FeatureFlags(config) => config.problems(policy),
            Self::Windows(config) => config.problems(),
            Self::Capacity(config) => config.problems(),
            Self::Freshness(config) => config.problems(),
            Self::Signature(config) => config.problems(policy),
            Self::Rego(config) => config.problems(policy),
        }
    }

    /// Evaluates the demand on facts.
    pub(crate) fn assess(&self, ctx: Context<'_>) -> Assessment {
        match self {
            Self::Provenance(config) => config.assess(ctx),
            Self::Sbom(config) => config.assess(ctx),
            Self::Tests(config) => config.assess(ctx),
            Self::Vulnerabilities(config) => config.assess(ctx),
            Self::Certified(config) => config.assess(ctx),
            Self::Version(config) => config.assess(ctx),
            Self::ReleaseNotes(config) => config.assess(ctx),
            Self::Approvals(config) => config.assess(ctx),
            Self::Source(config) => config.assess(ctx),
            Self::Reproducible(config) => config.assess(ctx),
            Self::Licences(config) => config.assess(ctx),
            Self::Analysis(config) => config.assess(ctx),
            Self::Secrets(config) => config.assess(ctx),
            Self::Coverage(config) => config.assess(ctx),
            Self::Performance(config) => config.assess(ctx),
            Self::Checks(config) => config.assess(ctx),
            Self::ChangeTicket(config) => config.assess(ctx),
            Self::Configuration(config) => config.assess(ctx),
            Self::FeatureFlags(config) => config.assess(ctx),
            Self::Windows(config) => config.assess(ctx),
            Self::Capacity(config) => config.assess(ctx),
            Self::Freshness(config) => config.assess(ctx),
            Self::Signature(config) => config.assess(ctx),
            Self::Rego(config) => config.assess(ctx),
        }
    }
}

/// Something in a gate's configuration that can never work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// A name that is not defined where it should be, with the nearest that is.
    pub(crate) fn unknown<'a>(what: &str, name: &str, file: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { message: format!("no {what} `{name}` in {file}"), hint: did_you_mean(name, known) }
    }
}

/// Finds signers that `trust.toml` does not define, or does not believe about this kind of evidence.
fn signer_problems(signers: &[SignerName], kind: EvidenceKind, policy: &PolicySet) -> Vec<Problem> {
    let problem = |name: &SignerName| match policy.signer(name) {
        None => {
            let known = policy.signers().iter().map(|signer| signer.name.as_str());
            Some(Problem::unknown("signer", name.as_str(), "trust.toml", known))
        }
        Some(signer) if !signer.signs.contains(&kind) => {
            Some(Problem::new(format!("the signer `{name}` is not trusted for {kind}: add \"{kind}\" to its `signs`")))
        }
        Some(_) => None,
    };
    signers.iter().filter_map(problem).collect()
}

/// What one gate is evaluated on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) policy: &'a PolicySet,
    pub(crate) gate: &'a Gate,
    pub(crate) environment: &'a Environment,
    pub(crate) facts: &'a Facts,
    /// The answers of modules where all gates are evaluated together; a gate without them asks for itself.
    pub(crate) answers: Option<&'a Answers>,
}

/// Whether a piece of evidence counts, by who stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Counts,
    Unsigned,
    Untrusted,
}

impl<'a> Context<'a> {
    /// What is to be promoted.
    fn release(self) -> &'a ReleaseName {
        &self.facts.release.name
    }

    /// The evidence about one artifact; digests are compared, and names never.
    fn about(self, artifact: Digest) -> impl Iterator<Item = &'a EvidenceFact> {
        self.facts.evidence.iter().filter(move |fact| fact.artifacts.contains(&artifact))
    }

    /// Whether evidence of a kind counts, when the gate wants the signature of one of `signed_by`, or of nobody.
    ///
    /// Signed evidence needs a signer that `trust.toml` believes about this kind even when the gate names none:
    /// a signature by an unknown key is no better than a forged one.
    fn standing(self, fact: &EvidenceFact, kind: EvidenceKind, signed_by: &[SignerName]) -> Standing {
        let Origin::Signed { signers } = &fact.origin else {
            return if signed_by.is_empty() { Standing::Counts } else { Standing::Unsigned };
        };
        let accepted = |name: &SignerName| {
            (signed_by.is_empty() || signed_by.contains(name))
                && self.policy.signer(name).is_some_and(|signer| signer.signs.contains(&kind))
        };
        if signers.iter().any(accepted) { Standing::Counts } else { Standing::Untrusted }
    }

    /// What a permission is asked about here.
    fn object(self, permission: Permission) -> Object<'a> {
        object_of(permission, &self.facts.release.name.service, &self.facts.promotion.environment)
    }

    /// Whether somebody with these groups may do something to this service in this environment.
    fn may(self, person: &PersonId, groups: &[GroupName], permission: Permission) -> bool {
        allows(self.policy, person, groups, permission, self.object(permission)).is_ok()
    }

    /// Says which groups may do something.
    fn groups_that_may(self, permission: Permission) -> String {
        self.policy.holders_text(permission, self.object(permission))
    }

    /// The command that hands in more evidence about the release.
    fn attest(self, arguments: &str) -> String {
        format!("lockgate attest {} {arguments}", self.release())
    }

    /// The command that hands in more evidence about the release that runs.
    fn attest_running(self, arguments: &str) -> String {
        match &self.facts.running {
            Some(running) => format!("lockgate attest {} {arguments}", running.release),
            None => self.attest(arguments),
        }
    }

    /// The command that hands in a report about the release that runs.
    fn attest_running_report(self, file: &str) -> String {
        self.attest_running(&format!("--report {file}"))
    }

    /// The command that publishes another version of the service.
    fn push_next(self, arguments: &str) -> String {
        let service = &self.release().service;
        format!("lockgate push <file> --service {service} --version <next>{arguments}")
    }
}

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assessment {
    pub(crate) outcome: GateOutcome,
    pub(crate) reason: Reason,
    pub(crate) needed: String,
    pub(crate) found: String,
    pub(crate) evidence: Vec<Digest>,
    pub(crate) who: String,
    pub(crate) fix: String,
}

impl Assessment {
    fn passed(needed: String, found: String) -> Self {
        Self {
            outcome: GateOutcome::Pass,
            reason: Reason::Satisfied,
            needed,
            found,
            evidence: Vec::new(),
            who: String::new(),
            fix: String::new(),
        }
    }

    /// The result as a decision carries it.
    pub(crate) fn into_result(self, gate: &Gate) -> GateResult {
        GateResult {
            gate: gate.name.clone(),
            kind: gate.kind.name().to_owned(),
            outcome: self.outcome,
            reason: self.reason.as_str().to_owned(),
            rule: gate.rule.clone(),
            needed: self.needed,
            found: self.found,
            evidence: self.evidence,
            who: self.who,
            fix: self.fix,
            controls: Vec::new(),
            enforced_from: None,
        }
    }
}

/// Whether a moment that a tool claims lies after the recording of its evidence, beyond what clocks may differ by.
///
/// It is compared with the recording and not with the decision, or a claim from the future would become good by waiting.
fn is_from_future(claimed: Option<UnixMillis>, fact: &EvidenceFact, now: UnixMillis) -> bool {
    claimed.is_some_and(|moment| moment > fact.recorded_at.min(now).plus(CLOCK_TOLERANCE))
}

/// Whether evidence is younger than `max_age`: its own time where it has one, otherwise when it was recorded.
///
/// The interval is half open: evidence is fresh up to, and not at, the moment when it reaches that age.
fn is_fresh(claimed: Option<UnixMillis>, fact: &EvidenceFact, max_age: Option<Span>, now: UnixMillis) -> bool {
    max_age.is_none_or(|max_age| now < claimed.unwrap_or(fact.recorded_at).plus(max_age))
}

#[cfg(test)]
mod kind_tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_that_reads_back() {
        let fields = |kind: &str| match kind {
            "provenance" => "signers = [\"ci\"]\nsource_repositories = [\"https://git.example/shop/web\"]\n",
            "vulnerabilities" => "block = [\"critical\"]\n",
            "source" | "reproducible" | "signature" => "signed_by = [\"ci\"]\n",
            "checks" | "configuration" => "names = [\"a\"]\n",
            "capacity" => "settle = \"10m\"\n",
            "freshness" => "max_age = { sbom = \"30d\" }\n",
            "rego" => "module = \"rego/a.rego\"\n",
            _ => "",
        };
        for name in GateKind::NAMES {
            let text = format!("[[gate]]\nname = \"g\"\nkind = \"{name}\"\nenvironments = [\"dev\"]\n{}", fields(name));
            let gates = Gate::read_file(SourceFile { path: "gates/a.toml", text: &text }).unwrap();
            assert_eq!(gates.first().unwrap().kind.name(), *name);
        }
    }
}
