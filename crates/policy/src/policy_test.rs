//! Policy tests: examples that stand beside the gates, and say what has to come of them.
//!
//! A test describes one release and what is known about it in a few words; they become facts, and the same
//! [`decide()`] answers as for a real promotion.

use std::collections::BTreeMap;

use lockgate_model::facts::{
    ApprovalFact, Artifact, Binding, Certified, Claim, Completeness, DelegationFact, EvidenceFact, Facts, Finding,
    Origin, PersonFact, PromotionFacts, PromotionKind, Provenance, ReleaseFacts, Running, Sbom, Severity, SubjectKind,
    Tests, Verdict, Vulnerabilities,
};
use lockgate_model::{
    Digest, EntryIndex, EnvName, GateName, GroupName, PersonId, PromotionId, ReleaseName, SignerName, Span, UnixMillis,
    Version,
};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use crate::decide::decide;
use crate::decision::{Decision, GateOutcome, Outcome, Rule};
use crate::error::PolicyError;
use crate::gates::Problem;
use crate::policy_set::PolicySet;
use crate::source::{SourceFile, TableEntry};

/// The time of every policy test: 2026-01-01T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

/// The most findings of one severity that a test can ask for.
const FINDINGS_MAX: u64 = 1000;

/// One example, with the outcome that is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTest {
    /// What it shows.
    pub name: String,
    /// Where it is written.
    pub rule: Rule,
    /// The outcome of the decision that is expected.
    pub expect: Outcome,
    /// The outcomes of single gates that are expected besides.
    pub gates: BTreeMap<GateName, GateOutcome>,
    example: Example,
}

/// What came of one policy test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// The file that it is written in.
    pub file: String,
    /// The line that it starts on, from 1.
    pub line: usize,
    /// Whether everything came out as expected.
    pub passed: bool,
    /// What was expected, such as `deny, tests fail`.
    pub expected: String,
    /// What came out, in the same form.
    pub found: String,
    /// Every gate with its outcome, reason and finding, a line each.
    pub detail: String,
}

/// Runs all tests of a policy set, in the order of file and line.
pub fn run_tests(policy: &PolicySet) -> Vec<TestResult> {
    policy.tests().iter().map(|test| test.run(policy)).collect()
}

/// What a test says about the release and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Example {
    environment: EnvName,
    release: ReleaseName,
    requester: PersonId,
    publisher: PersonId,
    kind: PromotionKind,
    running: Option<Version>,
    approvals: Vec<PersonId>,
    rejections: Vec<PersonId>,
    requested: Option<Span>,
    reviewed: Option<Span>,
    delegations: BTreeMap<PersonId, PersonId>,
    people: BTreeMap<PersonId, Vec<GroupName>>,
    notes: bool,
    certified: BTreeMap<EnvName, Span>,
    tests: Option<TestsEntry>,
    sbom: Option<SbomEntry>,
    vulnerabilities: Option<VulnerabilitiesEntry>,
    provenance: Option<ProvenanceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestEntry {
    name: String,
    environment: EnvName,
    #[serde(default = "default_service")]
    service: String,
    #[serde(default = "default_version")]
    version: String,
    expect: Outcome,
    #[serde(default)]
    gates: BTreeMap<GateName, GateOutcome>,
    #[serde(default = "default_requester")]
    requester: String,
    #[serde(default)]
    publisher: Option<PersonId>,
    #[serde(default)]
    rollback: bool,
    #[serde(default)]
    running: Option<Version>,
    #[serde(default)]
    approvals: Vec<PersonId>,
    #[serde(default)]
    rejections: Vec<PersonId>,
    /// How long ago it was asked for.
    #[serde(default)]
    requested: Option<Span>,
    /// How long the approvers had the document open.
    #[serde(default)]
    reviewed: Option<Span>,
    /// Who may approve instead of whom.
    #[serde(default)]
    delegations: BTreeMap<PersonId, PersonId>,
    #[serde(default)]
    people: BTreeMap<PersonId, Vec<GroupName>>,
    #[serde(default)]
    notes: bool,
    #[serde(default)]
    certified: BTreeMap<EnvName, Span>,
    #[serde(default)]
    tests: Option<TestsEntry>,
    #[serde(default)]
    sbom: Option<SbomEntry>,
    #[serde(default)]
    vulnerabilities: Option<VulnerabilitiesEntry>,
    #[serde(default)]
    provenance: Option<ProvenanceEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestsEntry {
    #[serde(default)]
    passed: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    age: Option<Span>,
    #[serde(default)]
    signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SbomEntry {
    #[serde(default)]
    components: u64,
    #[serde(default)]
    without_version: u64,
    #[serde(default)]
    without_identifier: u64,
    #[serde(default)]
    incomplete: bool,
    #[serde(default)]
    signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct VulnerabilitiesEntry {
    #[serde(default)]
    critical: u64,
    #[serde(default)]
    high: u64,
    #[serde(default)]
    medium: u64,
    #[serde(default)]
    low: u64,
    #[serde(default)]
    unknown: u64,
    #[serde(default)]
    fixed: bool,
    #[serde(default)]
    disclosed: Option<Span>,
    #[serde(default)]
    age: Option<Span>,
    #[serde(default)]
    signer: Option<SignerName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvenanceEntry {
    builder: String,
    #[serde(default)]
    repository: Option<String>,
    #[serde(default, rename = "ref")]
    source_ref: Option<String>,
    #[serde(default)]
    signer: Option<SignerName>,
    #[serde(default)]
    authors: Vec<String>,
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

impl PolicyTest {
    /// Reads the tests of one file, in the order in which they are written.
    pub(crate) fn read_file(source: SourceFile<'_>) -> Result<Vec<Self>, Vec<PolicyError>> {
        let mut tests = Vec::new();
        let mut errors = Vec::new();
        for entry in source.tables("test")? {
            match read_test(source, entry) {
                Ok(test) => tests.push(test),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(tests) } else { Err(errors) }
    }

    /// Names in a test that the policy set does not define.
    pub(crate) fn problems(&self, policy: &PolicySet) -> Vec<PolicyError> {
        let mut problems = Vec::new();
        let example = &self.example;
        for name in std::iter::once(&example.environment).chain(example.certified.keys()) {
            if policy.environment(name).is_none() {
                let known = policy.environments().iter().map(|environment| environment.name.as_str());
                problems.push(Problem::unknown("environment", name.as_str(), "environments.toml", known));
            }
        }
        for name in self.gates.keys().filter(|name| !policy.gates().iter().any(|gate| gate.name == **name)) {
            let known = policy.gates().iter().map(|gate| gate.name.as_str());
            problems.push(Problem::unknown("gate", name.as_str(), "gates/", known));
        }
        for name in example.people.values().flatten().filter(|name| policy.group(name).is_none()) {
            let known = policy.groups().keys().map(GroupName::as_str);
            problems.push(Problem::unknown("group", name.as_str(), "people.toml", known));
        }
        for name in example.signers().filter(|name| policy.signer(name).is_none()) {
            let known = policy.signers().iter().map(|signer| signer.name.as_str());
            problems.push(Problem::unknown("signer", name.as_str(), "trust.toml", known));
        }
        let delegates = example.delegations.iter().flat_map(|(to, from)| [to, from]);
        for name in example.approvals.iter().chain(&example.rejections).chain(delegates) {
            if !example.people.contains_key(name) {
                let known = example.people.keys().map(PersonId::as_str);
                problems.push(Problem::unknown("person", name.as_str(), "`people` of this test", known));
            }
        }
        let error = |problem: Problem| PolicyError {
            file: self.rule.file.clone(),
            line: Some(self.rule.line),
            message: format!("test `{}`: {}", self.name, problem.message),
            hint: problem.hint,
        };
        problems.into_iter().map(error).collect()
    }

    fn run(&self, policy: &PolicySet) -> TestResult {
        let decision = decide(policy, &self.example.facts(policy));
        let found_gates: Vec<(&GateName, Option<GateOutcome>)> =
            self.gates.keys().map(|name| (name, outcome_of(&decision, name))).collect();
        let as_expected = self.gates.iter().all(|(name, expected)| outcome_of(&decision, name) == Some(*expected));
        let line = |gate: &crate::GateResult| format!("{} {} {}: {}", gate.gate, gate.outcome, gate.reason, gate.found);
        TestResult {
            name: self.name.clone(),
            file: self.rule.file.clone(),
            line: self.rule.line,
            passed: decision.outcome == self.expect && as_expected,
            expected: worded(self.expect, self.gates.iter().map(|(name, outcome)| (name, Some(*outcome)))),
            found: worded(decision.outcome, found_gates),
            detail: decision.gates.iter().map(line).collect::<Vec<_>>().join("\n"),
        }
    }
}

fn outcome_of(decision: &Decision, name: &GateName) -> Option<GateOutcome> {
    decision.gates.iter().find(|gate| gate.gate == *name).map(|gate| gate.outcome)
}

fn worded<'a>(outcome: Outcome, gates: impl IntoIterator<Item = (&'a GateName, Option<GateOutcome>)>) -> String {
    let gates = gates.into_iter().map(|(name, outcome)| match outcome {
        Some(outcome) => format!(", {name} {outcome}"),
        None => format!(", {name} does not apply"),
    });
    std::iter::once(outcome.to_string()).chain(gates).collect()
}

fn read_test<'a>(source: SourceFile<'a>, entry: TableEntry<'a>) -> Result<PolicyTest, PolicyError> {
    let TableEntry { line, span, table } = entry;
    let entry: TestEntry = source.read_value(Spanned::new(span, DeValue::Table(table)), &[])?;
    let wrong = |message: String| source.error(Some(line), message, None);
    let release = format!("{}@{}", entry.service, entry.version);
    let release = release.parse::<ReleaseName>().map_err(|error| wrong(error.to_string()))?;
    let requester = entry.requester.parse::<PersonId>().map_err(|error| wrong(error.to_string()))?;
    let too_many = |scan: &VulnerabilitiesEntry| scan.by_severity().iter().any(|(_, count)| *count > FINDINGS_MAX);
    if entry.vulnerabilities.as_ref().is_some_and(too_many) {
        return Err(wrong(format!("more than {FINDINGS_MAX} findings of one severity")));
    }
    let example = Example {
        environment: entry.environment,
        release,
        publisher: entry.publisher.unwrap_or_else(|| requester.clone()),
        requester,
        kind: if entry.rollback { PromotionKind::Rollback } else { PromotionKind::Promotion },
        running: entry.running,
        approvals: entry.approvals,
        rejections: entry.rejections,
        requested: entry.requested,
        reviewed: entry.reviewed,
        delegations: entry.delegations,
        people: entry.people,
        notes: entry.notes,
        certified: entry.certified,
        tests: entry.tests,
        sbom: entry.sbom,
        vulnerabilities: entry.vulnerabilities,
        provenance: entry.provenance,
    };
    let rule = Rule { file: source.path.to_owned(), line };
    Ok(PolicyTest { name: entry.name, rule, expect: entry.expect, gates: entry.gates, example })
}

impl Example {
    fn signers(&self) -> impl Iterator<Item = &SignerName> {
        let signers = [
            self.tests.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.sbom.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.vulnerabilities.as_ref().and_then(|entry| entry.signer.as_ref()),
            self.provenance.as_ref().and_then(|entry| entry.signer.as_ref()),
        ];
        signers.into_iter().flatten()
    }

    /// Makes the facts that the example describes.
    fn facts(&self, policy: &PolicySet) -> Facts {
        let manifest = Digest::of(self.release.to_string().as_bytes());
        let running = self.running.as_ref().map(|version| self.running(version));
        let replaces = running.as_ref().map(|running| running.manifest);
        let binds = Binding {
            promotion: PROMOTION,
            manifest,
            environment: self.environment.clone(),
            policy: policy.digest(),
            replaces,
        };
        let verdicts = self.approvals.iter().map(|person| (person, Verdict::Approve));
        let verdicts = verdicts.chain(self.rejections.iter().map(|person| (person, Verdict::Reject)));
        let expires_at = NOW.plus(policy.settings().approval_ttl);
        Facts {
            schema: Facts::SCHEMA.to_owned(),
            time: NOW,
            promotion: PromotionFacts {
                id: PROMOTION,
                environment: self.environment.clone(),
                kind: self.kind,
                requester: self.requester.clone(),
                reason: "policy test".to_owned(),
                requested_at: self.requested.map_or(NOW, ago),
            },
            release: ReleaseFacts {
                name: self.release.clone(),
                manifest,
                artifacts: vec![Artifact { digest: artifact(), name: "artifact".to_owned(), size_bytes: 1 }],
                source: None,
                notes: self.notes.then(|| Digest::of(b"release notes of a policy test")),
                published_by: self.publisher.clone(),
                published_at: NOW,
            },
            evidence: self.evidence(),
            running,
            certified: self.certified.iter().map(|(environment, age)| certified(environment, *age)).collect(),
            approvals: verdicts
                .map(|(person, verdict)| ApprovalFact {
                    review_seconds: self.reviewed.map(Span::secs),
                    ..approval(person, verdict, &binds, expires_at)
                })
                .collect(),
            waivers: Vec::new(),
            delegations: self.delegations.iter().map(|(to, from)| delegation(to, from)).collect(),
            people: self.people.iter().map(|(person, groups)| (person.clone(), enrolled(groups))).collect(),
        }
    }

    fn running(&self, version: &Version) -> Running {
        let release = ReleaseName { service: self.release.service.clone(), version: version.clone() };
        let manifest = Digest::of(release.to_string().as_bytes());
        Running { release, manifest, since: UnixMillis(0), promotion: EARLIER }
    }

    fn evidence(&self) -> Vec<EvidenceFact> {
        let claims = [
            self.provenance.as_ref().map(|entry| (entry.claim(), &entry.signer)),
            self.sbom.as_ref().map(|entry| (entry.claim(), &entry.signer)),
            self.tests.as_ref().map(|entry| (entry.claim(), &entry.signer)),
            self.vulnerabilities.as_ref().map(|entry| (entry.claim(), &entry.signer)),
        ];
        let numbered = (1u64..).zip(claims.into_iter().flatten());
        numbered
            .map(|(index, (claim, signer))| EvidenceFact {
                evidence: Digest::of(claim.kind().as_bytes()),
                index: EntryIndex(index),
                recorded_at: NOW,
                artifacts: vec![artifact()],
                origin: match signer {
                    Some(signer) => Origin::Signed { signers: vec![signer.clone()] },
                    None => Origin::OnBehalf { by: self.publisher.clone() },
                },
                claim,
            })
            .collect()
    }
}

const PROMOTION: PromotionId = PromotionId(2);
const EARLIER: PromotionId = PromotionId(1);

fn artifact() -> Digest {
    Digest::of(b"artifact of a policy test")
}

fn ago(age: Span) -> UnixMillis {
    UnixMillis(NOW.0.saturating_sub(age.millis()))
}

fn certified(environment: &EnvName, age: Span) -> Certified {
    Certified { environment: environment.clone(), promotion: EARLIER, since: ago(age) }
}

fn enrolled(groups: &[GroupName]) -> PersonFact {
    PersonFact { kind: SubjectKind::Person, groups: groups.to_vec(), keyless: false }
}

fn approval(person: &PersonId, verdict: Verdict, binds: &Binding, expires_at: UnixMillis) -> ApprovalFact {
    ApprovalFact {
        person: person.clone(),
        key: format!("SHA256:{person}"),
        verdict,
        index: EntryIndex(100),
        recorded_at: NOW,
        expires_at,
        binds: binds.clone(),
        key_valid: true,
        review_seconds: None,
        withdrawn: false,
        misdescribed: false,
    }
}

/// A delegation from before the approvals, of all groups, for another day.
fn delegation(to: &PersonId, from: &PersonId) -> DelegationFact {
    DelegationFact {
        from: from.clone(),
        to: to.clone(),
        groups: Vec::new(),
        expires_at: NOW.plus(Span::from_secs(86_400)),
        index: EntryIndex(99),
    }
}

impl TestsEntry {
    fn claim(&self) -> Claim {
        Claim::Tests(Tests {
            format: "junit".to_owned(),
            passed: self.passed,
            failed: self.failed,
            skipped: 0,
            failed_names: Vec::new(),
            finished_at: self.age.map(ago),
        })
    }
}

impl SbomEntry {
    fn claim(&self) -> Claim {
        Claim::Sbom(Sbom {
            format: "cyclonedx".to_owned(),
            spec_version: "1.6".to_owned(),
            components: self.components,
            without_version: self.without_version,
            without_identifier: self.without_identifier,
            completeness: if self.incomplete { Completeness::Incomplete } else { Completeness::Unstated },
        })
    }
}

impl ProvenanceEntry {
    fn claim(&self) -> Claim {
        Claim::Provenance(Provenance {
            predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
            builder_id: self.builder.clone(),
            build_type: "https://lockgate.dev/policy-test".to_owned(),
            source_repository: self.repository.clone(),
            source_ref: self.source_ref.clone(),
            source_commit: None,
            authors: self.authors.clone(),
            finished_at: None,
        })
    }
}

impl VulnerabilitiesEntry {
    fn by_severity(&self) -> [(Severity, u64); 5] {
        [
            (Severity::Critical, self.critical),
            (Severity::High, self.high),
            (Severity::Medium, self.medium),
            (Severity::Low, self.low),
            (Severity::Unknown, self.unknown),
        ]
    }

    fn claim(&self) -> Claim {
        let findings = self
            .by_severity()
            .into_iter()
            .flat_map(|(severity, count)| (1..=count).map(move |number| self.finding(severity, number)));
        Claim::Vulnerabilities(Vulnerabilities {
            scanner: "policy-test".to_owned(),
            scanner_version: None,
            scanned_at: self.age.map(ago),
            findings: findings.collect(),
        })
    }

    fn finding(&self, severity: Severity, number: u64) -> Finding {
        Finding {
            id: format!("TEST-{severity:?}-{number}").to_uppercase(),
            package: "example".to_owned(),
            version: "1.0.0".to_owned(),
            fixed: self.fixed.then(|| "1.0.1".to_owned()),
            severity,
            disclosed_at: self.disclosed.map(ago),
            purl: None,
        }
    }
}

#[cfg(test)]
mod checks {
    use super::*;
    use crate::sample::{files, gate, policy};

    fn with(test: &str) -> Result<PolicySet, Vec<PolicyError>> {
        let mut files = files(&gate("kind = \"tests\"\nmax_age = \"1h\"\n"));
        files.insert("tests/a.toml".to_owned(), test.to_owned());
        PolicySet::from_files(files)
    }

    #[test]
    fn results_say_what_was_expected_and_found() {
        let set = with(concat!(
            "[[test]]\nname = \"fresh\"\nenvironment = \"production\"\nexpect = \"allow\"\n",
            "tests = { passed = 12, age = \"59m\" }\ngates = { g = \"pass\" }\n",
            "[[test]]\nname = \"stale\"\nenvironment = \"production\"\nexpect = \"allow\"\n",
            "tests = { passed = 12, age = \"1h\" }\ngates = { g = \"pass\" }\n",
            "[[test]]\nname = \"other reason\"\nenvironment = \"dev\"\nexpect = \"deny\"\ngates = { g = \"fail\" }\n",
        ))
        .unwrap();
        let results = run_tests(&set);
        let passed: Vec<bool> = results.iter().map(|result| result.passed).collect();
        assert_eq!(passed, [true, false, false], "{results:#?}");
        let stale = &results[1];
        assert_eq!((stale.file.as_str(), stale.line), ("tests/a.toml", 7));
        assert_eq!((stale.expected.as_str(), stale.found.as_str()), ("allow, g pass", "deny, g fail"));
        assert!(stale.detail.starts_with("g fail TESTS_STALE: "), "{}", stale.detail);
        assert_eq!(results[2].found, "deny, g does not apply");
    }

    #[test]
    fn mistakes_in_tests_are_refused() {
        let check = |fields: &str, part: &str, hint: Option<&str>| {
            let test = format!("[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"deny\"\n{fields}\n");
            let errors = with(&test).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
            assert_eq!(errors[0].hint.as_deref(), hint, "{errors:?}");
            assert!(errors[0].file == "tests/a.toml" && errors[0].line.is_some(), "{errors:?}");
        };
        check("sbon = { components = 1 }", "unknown field", Some("did you mean `sbom`?"));
        check("tests = { passd = 1 }", "unknown field", Some("did you mean `passed`?"));
        check("gates = { h = \"pass\" }", "no gate `h`", Some("did you mean `g`?"));
        check("certified = { stagin = \"1d\" }", "no environment `stagin`", Some("did you mean `staging`?"));
        check("people = { sam = [\"approver\"] }", "no group `approver`", Some("did you mean `approvers`?"));
        check("approvals = [\"sam\"]", "no person `sam`", None);
        check("provenance = { builder = \"b\", signer = \"cl\" }", "no signer `cl`", Some("did you mean `ci`?"));
        check("version = \"1.4\"", "is not a version", None);
        check("requester = \"Dana\"", "is not a person", None);
        check("vulnerabilities = { critical = 1001 }", "more than 1000", None);
    }

    #[test]
    fn a_policy_set_without_tests_has_no_results() {
        assert!(run_tests(&policy(&gate("kind = \"tests\"\n"))).is_empty());
    }
}
