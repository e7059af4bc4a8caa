//! Claims: what the entries of a policy test say, as facts carry it.

use std::collections::BTreeMap;

use lockgate_model::facts::{
    AnalysisLevel, AnalysisResult, Better, BuildDetails, ChangeTicket, Claim, Completeness, Configuration, Coverage,
    Divergence, Finding, Flag, Flags, Kev, LicenceUse, Metric, Performance, Provenance, Rebuild, Sbom, Secrets,
    Severity, SignatureClass, SignatureFact, SourceRecord, StaticAnalysis, Tests, Vex, VexStatement, VexStatus,
    Vulnerabilities,
};
use lockgate_model::{Digest, EnvName, SignerName, Span, UnixMillis};

use super::entry::{
    AnalysisEntry, ChangeEntry, CoverageEntry, PerformanceEntry, ProvenanceEntry, RebuildEntry, SbomEntry,
    SecretsEntry, SignatureEntry, SourceEntry, TestsEntry, VexEntry, VulnerabilitiesEntry,
};
use crate::policy_set::PolicySet;
use crate::share::Share;

/// The commit that everything in a policy test is built from.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A moment some time before another.
pub(super) fn ago(now: UnixMillis, age: Span) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(age.millis()))
}

impl ProvenanceEntry {
    pub(super) fn claim(&self, now: UnixMillis) -> Claim {
        let build = self
            .protected
            .map(|protected| Box::new(BuildDetails { ref_protected: Some(protected), ..BuildDetails::default() }));
        Claim::Provenance(Provenance {
            predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
            builder_id: self.builder.clone(),
            build_type: "https://lockgate.dev/policy-test".to_owned(),
            source_repository: self.repository.clone(),
            source_ref: self.source_ref.clone(),
            source_commit: Some(COMMIT.to_owned()),
            authors: self.authors.clone(),
            finished_at: self.age.map(|age| ago(now, age)),
            build,
        })
    }
}

impl SourceEntry {
    pub(super) fn claim(&self) -> Claim {
        Claim::Source(SourceRecord {
            format: "lockgate-review".to_owned(),
            repository: self.repository.clone(),
            source_ref: self.source_ref.clone(),
            commits: vec![COMMIT.to_owned()],
            authors: self.authors.clone(),
            reviewers: self.reviewers.clone(),
            ref_protected: self.protected,
            controls: Vec::new(),
            created_at: None,
        })
    }
}

impl RebuildEntry {
    pub(super) fn claim(&self, artifact: Digest) -> Claim {
        let difference = |path: &String| Divergence {
            path: path.clone(),
            explanation: Some(Digest::of(b"explanation of a policy test")),
        };
        Claim::Rebuild(Rebuild {
            artifact,
            builder: self.builder.clone(),
            reproduced: self.differs.is_empty(),
            rebuilt: None,
            divergences: self.differs.iter().map(difference).collect(),
            source_commit: Some(COMMIT.to_owned()),
            rebuilt_at: None,
        })
    }
}

impl SbomEntry {
    pub(super) fn claim(&self) -> Claim {
        let used = |expression: &String| LicenceUse {
            expression: expression.clone(),
            components: 1,
            names: vec!["example 1.0.0".to_owned()],
        };
        Claim::Sbom(Sbom {
            format: "cyclonedx".to_owned(),
            spec_version: "1.6".to_owned(),
            components: self.components,
            without_version: self.without_version,
            without_identifier: self.without_identifier,
            completeness: if self.incomplete { Completeness::Incomplete } else { Completeness::Unstated },
            unpinned: Some(self.unpinned),
            without_licence: if self.licences.is_empty() { None } else { Some(0) },
            licences: self.licences.iter().map(used).collect(),
            ..Sbom::default()
        })
    }
}

impl TestsEntry {
    pub(super) fn claim(&self, now: UnixMillis) -> Claim {
        Claim::Tests(Tests {
            format: "junit".to_owned(),
            passed: self.passed,
            failed: self.failed,
            skipped: self.skipped,
            failed_names: Vec::new(),
            finished_at: self.age.map(|age| ago(now, age)),
        })
    }
}

impl CoverageEntry {
    pub(super) fn claim(&self) -> Claim {
        covered(self.lines, self.branches)
    }

    /// The same of what runs, where the test says it.
    pub(super) fn before(&self) -> Option<Claim> {
        self.before.map(|lines| covered(lines, None))
    }
}

fn covered(lines: Share, branches: Option<Share>) -> Claim {
    Claim::Coverage(Coverage {
        format: "lcov".to_owned(),
        files: 1,
        lines_covered: lines.basis_points(),
        lines_valid: 10_000,
        line_basis_points: Some(lines.basis_points()),
        branches_covered: branches.map_or(0, Share::basis_points),
        branches_valid: if branches.is_some() { 10_000 } else { 0 },
        branch_basis_points: branches.map(Share::basis_points),
        stated_basis_points: None,
        measured_at: None,
    })
}

impl PerformanceEntry {
    pub(super) fn claim(&self) -> Claim {
        let metrics = self.metrics.iter().map(|(name, entry)| Metric {
            name: name.clone(),
            unit: entry.unit.clone(),
            value: entry.value,
            better: if entry.higher_is_better { Better::Higher } else { Better::Lower },
        });
        measured(metrics.collect(), self.missed.clone())
    }

    /// The same of what runs, where the test says it of any metric.
    pub(super) fn before(&self) -> Option<Claim> {
        let metrics: Vec<Metric> = self
            .metrics
            .iter()
            .filter_map(|(name, entry)| {
                Some(Metric {
                    name: name.clone(),
                    unit: entry.unit.clone(),
                    value: entry.before?,
                    better: if entry.higher_is_better { Better::Higher } else { Better::Lower },
                })
            })
            .collect();
        if metrics.is_empty() { None } else { Some(measured(metrics, Vec::new())) }
    }
}

fn measured(metrics: Vec<Metric>, missed_thresholds: Vec<String>) -> Claim {
    Claim::Performance(Performance {
        format: "lockgate".to_owned(),
        tool: None,
        metrics,
        missed_thresholds,
        measured_at: None,
    })
}

impl VulnerabilitiesEntry {
    pub(super) fn claim(&self, now: UnixMillis) -> Claim {
        let findings = self
            .by_severity()
            .into_iter()
            .flat_map(|(severity, count)| (1..=count).map(move |number| self.finding(severity, number, now)));
        Claim::Vulnerabilities(Vulnerabilities {
            scanner: "policy-test".to_owned(),
            scanner_version: None,
            scanned_at: self.age.map(|age| ago(now, age)),
            findings: findings.collect(),
        })
    }

    fn finding(&self, severity: Severity, number: u64, now: UnixMillis) -> Finding {
        Finding {
            id: format!("TEST-{severity:?}-{number}").to_uppercase(),
            package: "example".to_owned(),
            version: "1.0.0".to_owned(),
            fixed: self.fixed.then(|| "1.0.1".to_owned()),
            severity,
            disclosed_at: self.disclosed.map(|age| ago(now, age)),
            kev: self.kev.then_some(Kev { added_at: None, due_at: None, ransomware: false }),
            epss_millionths: self.epss.and_then(|share| u32::try_from(share.millionths()).ok()),
            ..Finding::default()
        }
    }
}

impl VexEntry {
    pub(super) fn claim(&self) -> Claim {
        let statement = |id: &String| VexStatement {
            vulnerability: id.clone(),
            aliases: Vec::new(),
            products: Vec::new(),
            subcomponents: Vec::new(),
            status: VexStatus::NotAffected,
            justification: None,
            text: None,
            stated_at: None,
            pointer: String::new(),
        };
        Claim::Vex(Vex {
            format: "openvex".to_owned(),
            spec_version: "0.2.0".to_owned(),
            statements: self.not_affected.iter().map(statement).collect(),
            ..Vex::default()
        })
    }
}

impl AnalysisEntry {
    pub(super) fn claim(&self) -> Claim {
        analysed(&self.tool, self.errors, self.warnings, self.notes)
    }

    /// The same of what runs, where the test says it.
    pub(super) fn before(&self) -> Option<Claim> {
        self.errors_before.map(|errors| analysed(&self.tool, errors.min(self.errors), 0, 0))
    }
}

fn analysed(tool: &str, errors: u64, warnings: u64, notes: u64) -> Claim {
    let result = |number: u64| AnalysisResult {
        tool: tool.to_owned(),
        rule: Some("example".to_owned()),
        level: AnalysisLevel::Error,
        fingerprint: format!("{number:032x}"),
        file: None,
        pointer: String::new(),
    };
    Claim::StaticAnalysis(StaticAnalysis {
        tools: vec![tool.to_owned()],
        errors,
        warnings,
        notes,
        results: (1..=errors).map(result).collect(),
        ..StaticAnalysis::default()
    })
}

impl SecretsEntry {
    pub(super) fn claim(&self) -> Claim {
        Claim::Secrets(Secrets {
            tool: "gitleaks".to_owned(),
            found: self.found,
            verified: self.verified,
            places: Vec::new(),
        })
    }
}

impl ChangeEntry {
    pub(super) fn claim(&self) -> Claim {
        Claim::Change(ChangeTicket {
            system: self.system.clone(),
            id: "CHG0001".to_owned(),
            url: None,
            state: self.state,
            approved_by: self.approvers.clone(),
            opens_at: self.opens.map(|moment| moment.0),
            closes_at: self.closes.map(|moment| moment.0),
        })
    }
}

impl SignatureEntry {
    /// Who is proved to have signed; nobody where the class proves nobody.
    pub(super) fn proven(&self) -> Vec<SignerName> {
        self.signer.iter().filter(|_| self.class.proves_signer()).cloned().collect()
    }

    /// What verification found, under the trust root of the signer.
    pub(super) fn proof(&self, policy: &PolicySet, now: UnixMillis) -> SignatureFact {
        let code = match self.class {
            SignatureClass::Verified => "SIGNATURE_VERIFIED",
            SignatureClass::WithoutLog => "LOG_MISSING",
            SignatureClass::WithoutTime => "TIME_MISSING",
            SignatureClass::SignatureInvalid => "SIGNATURE_INVALID",
            SignatureClass::IdentityMismatch => "SIGNER_MISMATCH",
            SignatureClass::UntrustedRoot => "CHAIN_UNTRUSTED",
            SignatureClass::Malformed => "SIGNATURE_MALFORMED",
            SignatureClass::Unsupported => "SIGNATURE_UNSUPPORTED",
            SignatureClass::Unsigned => "SIGNATURE_MISSING",
        };
        let made = self.age.map_or(now, |age| ago(now, age));
        SignatureFact {
            class: self.class,
            code: code.to_owned(),
            root: self.signer.as_ref().and_then(|name| policy.signer(name)).and_then(|signer| signer.root),
            identity: None,
            issuer: None,
            claims: BTreeMap::new(),
            key: None,
            signed_at: self.class.proves_signer().then_some(made),
        }
    }
}

/// A configuration for one environment, by its text.
pub(super) fn configuration(name: &str, text: &str, environment: &EnvName) -> Claim {
    Claim::Configuration(Configuration {
        name: name.to_owned(),
        digest: Digest::of(text.as_bytes()),
        environment: Some(environment.to_string()),
    })
}

/// The state of some feature flags.
pub(super) fn flags(states: &BTreeMap<String, bool>) -> Claim {
    let flag =
        |(name, enabled): (&String, &bool)| Flag { name: name.clone(), enabled: *enabled, rollout_basis_points: None };
    Claim::Flags(Flags { system: None, environment: None, flags: states.iter().map(flag).collect(), taken_at: None })
}
