//! Property: the same policy set and facts give the same bytes, however the facts are ordered when they are handed over.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{
    ARTIFACT_SIGNATURE, AnalysisLevel, AnalysisResult, Better, BuildDetails, ChangeState, ChangeTicket, CheckOutcome,
    Claim, Configuration, Coverage, Divergence, EvidenceFact, Facts, Finding, Flag, Flags, Kev, LicenceUse, Metric,
    NamedCheck, Origin, Performance, PromotionKind, Provenance, Rebuild, Sbom, Secrets, Severity, SignatureClass,
    SignatureFact, SourceRecord, StaticAnalysis, Tests, Vex, VexStatement, VexStatus,
};
use lockgate_model::{Digest, EntryIndex, Limits, UnixMillis, canonical};

use crate::sample::{
    TIME, approval, certified, evidence, facts, finding, gate, on_behalf, other_artifact, policy, provenance, running,
    sbom, scan, signed, tests, waiver,
};
use crate::{Decision, GateKind, Outcome, PolicySet, decide};

/// How many facts are decided on.
const ROUNDS: u64 = 10_000;
/// The digest of all their decisions' digests: the same in every build, debug and release. It changes with the gates and
/// their words, and has to be looked at then.
const TOGETHER: &str = "sha256:bf060a852a04a816210a8d1c118021ff316e766551e6b2c0a5fd15a4a2e4db6d";

const COMMIT: &str = "3f786850e387550fdab836ed7e6dc881de23001b";

/// Gates of every kind, by kind; windows open and close often.
const GATES: &[(&str, &str)] = &[
    (
        "provenance",
        "signers = [\"ci\"]\nbuilder_ids = [\"https://ci.example/builder@v1\"]\nprotected_ref = true\nslsa_level = 2\n\
         source_repositories = [\"https://git.example/shop/good\"]\nsource_refs = [\"refs/heads/main\"]\n",
    ),
    ("sbom", "complete = true\npinned = true\n"),
    ("tests", "max_failed = 1\nmax_age = \"1h\"\n"),
    (
        "vulnerabilities",
        "block = [\"critical\", \"high\"]\nleeway = { high = \"7d\" }\nkev = true\nepss = \"10%\"\n\
         vex_signed_by = [\"scanner\"]\nwaivers_end_with_kev = true\n\
         remedies = [\"patch\", \"upgrade\", \"replace\", \"vex\", \"waiver\"]\n",
    ),
    ("certified", "soak = \"1h\"\n"),
    ("version", ""),
    ("release-notes", ""),
    (
        "approvals",
        "groups = [\"approvers\"]\n[gate.risk]\nfactors = { waivers = 1, severe-findings = 2, rollback = 1 }\n\
         raise = [{ from = 2, approvals = 2 }]\n",
    ),
    ("source", "signed_by = [\"ci\"]\nreviewers = 1\n"),
    ("reproducible", "signed_by = [\"ci\", \"scanner\"]\n"),
    ("licences", "allow = [\"MIT\", \"Apache-2.0\"]\n"),
    ("analysis", "new_only = true\nmax_warnings = 1\n"),
    ("secrets", ""),
    ("coverage", "min_lines = \"50%\"\nmax_drop = \"5%\"\n"),
    ("performance", "budget = { p95 = { unit = \"us\", max = 500, max_worse = \"5%\" } }\n"),
    ("checks", "names = [\"accessibility\", \"compatibility\"]\nmax_age = \"1d\"\n"),
    ("change-ticket", "approvers = 1\n"),
    ("configuration", "names = [\"app\"]\nunchanged = true\n"),
    ("feature-flags", "on = [\"checkout\"]\n"),
    (
        "windows",
        "time_zone = \"Europe/Berlin\"\n[[gate.allow]]\nstart = \"2025-01-01T01:00\"\nend = \"2025-01-01T19:00\"\n\
         repeat = \"FREQ=DAILY\"\nreason = \"day\"\n[[gate.deny]]\nstart = \"2025-01-04T00:00\"\n\
         end = \"2025-01-06T00:00\"\nrepeat = \"FREQ=WEEKLY\"\nreason = \"weekend\"\n",
    ),
    ("capacity", "settle = \"10m\"\nall_services = true\n"),
    ("freshness", "max_age = { sbom = \"2h\", tests = \"1h\" }\n"),
    ("signature", "signed_by = [\"ci\"]\n"),
];

/// Numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.below(items.len() as u64) as usize;
        &items[at]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let at = self.below(end as u64 + 1) as usize;
            items.swap(at, end);
        }
    }
}

/// Small policy sets that hold all kinds together, a few gates each.
fn policy_sets() -> Vec<PolicySet> {
    let text = |(kind, fields): &(&str, &str)| {
        gate(&format!("kind = \"{kind}\"\n{fields}")).replace("\"g\"", &format!("\"{kind}\""))
    };
    GATES.chunks(6).map(|gates| policy(&gates.iter().map(text).collect::<String>())).collect()
}

fn random_findings(dice: &mut Dice) -> Vec<Finding> {
    use Severity::{Critical, High, Low, Medium, Unknown};
    (0..dice.below(4))
        .map(|_| Finding {
            fixed: dice.coin().then(|| "2.0.1".to_owned()),
            disclosed_at: dice.coin().then(|| UnixMillis(TIME.0 - dice.below(1_000_000_000))),
            aliases: if dice.coin() { vec![format!("GHSA-{}", dice.below(3))] } else { vec![] },
            kev: (dice.below(4) == 0).then_some(Kev { added_at: None, due_at: None, ransomware: false }),
            epss_millionths: dice.coin().then(|| dice.below(200_000) as u32),
            ..finding(&format!("CVE-{}", dice.below(3)), *dice.pick(&[Low, Medium, Unknown, High, Critical]))
        })
        .collect()
}

fn random_vex(dice: &mut Dice) -> Claim {
    let statement = VexStatement {
        vulnerability: format!("CVE-{}", dice.below(3)),
        aliases: vec![],
        products: vec![],
        subcomponents: vec![],
        status: *dice.pick(&[VexStatus::NotAffected, VexStatus::Fixed, VexStatus::Affected]),
        justification: None,
        text: None,
        stated_at: dice.coin().then_some(TIME),
        pointer: String::new(),
    };
    Claim::Vex(Vex { format: "openvex".to_owned(), statements: vec![statement], ..Vex::default() })
}

fn random_analysis(dice: &mut Dice) -> Claim {
    let results: Vec<AnalysisResult> = (0..dice.below(3))
        .map(|_| AnalysisResult {
            tool: "zap".to_owned(),
            rule: None,
            level: AnalysisLevel::Error,
            fingerprint: format!("f{}", dice.below(3)),
            file: None,
            pointer: String::new(),
        })
        .collect();
    let errors = results.len() as u64;
    Claim::StaticAnalysis(StaticAnalysis {
        tools: vec![(*dice.pick(&["zap", "semgrep"])).to_owned()],
        errors,
        warnings: dice.below(3),
        results,
        ..StaticAnalysis::default()
    })
}

fn random_coverage(dice: &mut Dice) -> Claim {
    let lines = dice.below(10_001);
    Claim::Coverage(Coverage {
        format: "lcov".to_owned(),
        files: 1,
        lines_covered: lines,
        lines_valid: 10_000,
        line_basis_points: Some(lines),
        branches_covered: 0,
        branches_valid: 0,
        branch_basis_points: None,
        stated_basis_points: None,
        measured_at: None,
    })
}

fn random_performance(dice: &mut Dice) -> Claim {
    let metric =
        Metric { name: "p95".to_owned(), unit: "us".to_owned(), value: dice.below(700), better: Better::Lower };
    Claim::Performance(Performance {
        format: "k6".to_owned(),
        tool: None,
        metrics: vec![metric],
        missed_thresholds: if dice.below(5) == 0 { vec!["p(95)<500".to_owned()] } else { vec![] },
        measured_at: None,
    })
}

fn random_rebuild(dice: &mut Dice) -> Claim {
    let reproduced = dice.coin();
    let divergence = Divergence { path: "a.class".to_owned(), explanation: dice.coin().then(|| Digest::of(b"why")) };
    Claim::Rebuild(Rebuild {
        artifact: Digest::of(b"app"),
        builder: (*dice.pick(&["https://one.example", "https://two.example"])).to_owned(),
        reproduced,
        rebuilt: None,
        divergences: if reproduced { vec![] } else { vec![divergence] },
        source_commit: None,
        rebuilt_at: None,
    })
}

fn random_source(dice: &mut Dice) -> Claim {
    Claim::Source(SourceRecord {
        format: "lockgate-review".to_owned(),
        repository: Some("https://git.example/shop/good".to_owned()),
        source_ref: Some("refs/heads/main".to_owned()),
        commits: vec![COMMIT.to_owned()],
        authors: vec!["dana".to_owned()],
        reviewers: vec![(*dice.pick(&["dana", "sam"])).to_owned()],
        ref_protected: Some(dice.coin()),
        controls: vec![],
        created_at: None,
    })
}

fn random_claim(dice: &mut Dice) -> Claim {
    match dice.below(19) {
        0 => Claim::Provenance(Provenance {
            source_commit: Some(COMMIT.to_owned()),
            builder_id: (*dice.pick(&["https://ci.example/builder@v1", "https://one.example"])).to_owned(),
            build: Some(Box::new(BuildDetails { ref_protected: Some(dice.coin()), ..BuildDetails::default() })),
            ..provenance()
        }),
        1 => {
            let expression = (*dice.pick(&["MIT", "MIT AND GPL-3.0-only", "NOASSERTION"])).to_owned();
            let licences = vec![LicenceUse { expression, components: 6, names: vec![] }];
            Claim::Sbom(Sbom { unpinned: Some(dice.below(2)), without_licence: Some(0), licences, ..sbom() })
        }
        2 => Claim::Tests(Tests { failed: dice.below(3), finished_at: dice.coin().then_some(TIME), ..tests() }),
        3 | 4 => Claim::Vulnerabilities(scan(dice.pick::<&str>(&["trivy", "grype"]), random_findings(dice))),
        5 => random_vex(dice),
        6 => random_source(dice),
        7 => random_rebuild(dice),
        8 => random_analysis(dice),
        9 => Claim::Secrets(Secrets {
            tool: "gitleaks".to_owned(),
            found: dice.below(2),
            verified: None,
            places: vec![],
        }),
        10 => random_coverage(dice),
        11 => random_performance(dice),
        12 | 13 => Claim::Check(NamedCheck {
            name: (*dice.pick(&["accessibility", "compatibility"])).to_owned(),
            outcome: *dice.pick(&[CheckOutcome::Pass, CheckOutcome::Fail]),
            detail: None,
            tool: None,
            tool_version: None,
            checked_at: None,
        }),
        14 => Claim::Change(ChangeTicket {
            system: "jira".to_owned(),
            id: "CHG-1".to_owned(),
            url: None,
            state: *dice.pick(&[ChangeState::Approved, ChangeState::Requested]),
            approved_by: vec!["ines".to_owned()],
            opens_at: None,
            closes_at: None,
        }),
        15 => Claim::Configuration(Configuration {
            name: "app".to_owned(),
            digest: Digest::of(&[dice.below(2) as u8]),
            environment: None,
        }),
        16 => {
            let flag = Flag { name: "checkout".to_owned(), enabled: dice.coin(), rollout_basis_points: None };
            Claim::Flags(Flags { system: None, environment: None, flags: vec![flag], taken_at: None })
        }
        17 => Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() },
        _ => Claim::Malformed { reason: format!("broken at {}", dice.below(9)) },
    }
}

fn random_proof(dice: &mut Dice) -> SignatureFact {
    use SignatureClass::{SignatureInvalid, UntrustedRoot, Verified, WithoutLog};
    SignatureFact {
        class: *dice.pick(&[Verified, WithoutLog, SignatureInvalid, UntrustedRoot]),
        code: "CODE".to_owned(),
        root: None,
        identity: None,
        issuer: None,
        claims: BTreeMap::new(),
        key: None,
        signed_at: None,
    }
}

fn random_evidence(dice: &mut Dice, count: u64) -> Vec<EvidenceFact> {
    (1..=count)
        .map(|index| {
            let origin: Origin = match dice.below(5) {
                0 => on_behalf("robot"),
                1 => signed(&[]),
                2 => signed(&["scanner"]),
                3 => signed(&["ci", "scanner"]),
                _ => on_behalf("dana"),
            };
            let mut fact = evidence(index, origin, random_claim(dice));
            fact.recorded_at = UnixMillis(TIME.0 - dice.below(10_000_000));
            if dice.below(3) == 0 && matches!(fact.origin, Origin::Signed { .. }) {
                fact.signature = Some(Box::new(random_proof(dice)));
            }
            if dice.below(6) == 0 {
                fact.artifacts.push(other_artifact().digest);
            }
            fact
        })
        .collect()
}

fn random_facts(dice: &mut Dice, policy: &PolicySet) -> Facts {
    let mut facts = facts();
    facts.time = UnixMillis(TIME.0 + dice.below(2_000_000_000));
    if dice.below(4) == 0 {
        facts.promotion.kind = PromotionKind::Rollback;
    }
    if dice.below(6) == 0 {
        facts.release.artifacts.push(other_artifact());
    }
    facts.release.notes = dice.coin().then(|| Digest::of(b"notes"));
    let count = dice.below(24);
    facts.evidence = random_evidence(dice, count);
    if dice.coin() {
        facts.running = Some(running(dice.pick::<&str>(&["1.4.1", "1.5.0"])));
        facts.running_evidence = random_evidence(dice, count / 2);
    }
    facts.neighbours = dice.coin().then(Vec::new);
    if dice.coin() {
        facts.certified = vec![certified("staging", TIME.0 - dice.below(10_000_000))];
    }
    for (index, finding) in (50u64..).zip(["CVE-0", "CVE-1", "f1", "a.class", "app"]) {
        if dice.below(3) == 0 {
            let mut waiver = waiver(dice.pick(GATES).0, finding);
            waiver.index = EntryIndex(index);
            facts.waivers.push(waiver);
        }
    }
    for (index, person) in (70u64..).zip(["sam", "ines", "dana"]) {
        if dice.coin() {
            let mut approval = approval(policy, &facts, person);
            approval.index = EntryIndex(index);
            facts.approvals.push(approval);
        }
    }
    facts
}

/// The same facts, handed over in another order.
fn permuted(dice: &mut Dice, facts: &Facts) -> Facts {
    let mut turned = facts.clone();
    dice.shuffle(&mut turned.evidence);
    dice.shuffle(&mut turned.running_evidence);
    dice.shuffle(&mut turned.waivers);
    dice.shuffle(&mut turned.approvals);
    turned
}

#[test]
fn every_kind_of_gate_takes_part() {
    let kinds: Vec<&str> = GATES.iter().map(|(kind, _)| *kind).collect();
    let missing: Vec<&&str> = GateKind::NAMES.iter().filter(|name| !kinds.contains(name)).collect();
    // Gates in Rego have a property test of their own, because they take longer.
    assert!(missing.iter().all(|name| **name == "rego"), "{missing:?}");
}

#[test]
fn random_facts_decide_identically_twice_and_permuted() {
    let sets = policy_sets();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut reasons: BTreeSet<String> = BTreeSet::new();
    let mut outcomes = [0u64; 3];
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let set = dice.pick(&sets);
        let facts = random_facts(&mut dice, set);
        let decision = decide(set, &facts);
        let bytes = decision.to_bytes();
        assert_eq!(decide(set, &facts).to_bytes(), bytes, "round {round}: twice");
        let turned = permuted(&mut dice, &facts);
        assert_eq!(decide(set, &turned).to_bytes(), bytes, "round {round}: permuted");
        if round % 100 == 0 {
            // As after a replay: facts and decision read back from their bytes.
            let stored = canonical::to_vec(&facts).unwrap();
            let again: Facts = canonical::from_slice(&stored, &Limits::DEFAULT).unwrap();
            assert_eq!(decide(set, &again).to_bytes(), bytes, "round {round}: read back");
            assert_eq!(canonical::from_slice::<Decision>(&bytes, &Limits::DEFAULT).unwrap(), decision);
        }
        outcomes[match decision.outcome {
            Outcome::Allow => 0,
            Outcome::Deny => 1,
            Outcome::Pending => 2,
        }] += 1;
        reasons.extend(decision.gates.into_iter().map(|gate| gate.reason));
        all.extend_from_slice(Digest::of(&bytes).to_string().as_bytes());
    }
    // The facts are not all alike, or the test would prove little.
    assert!(reasons.len() >= 30, "{reasons:?}");
    assert!(outcomes[1] > 0, "{outcomes:?}");
    eprintln!("{ROUNDS} facts, {} reasons, {outcomes:?}", reasons.len());
    assert_eq!(Digest::of(&all).to_string(), TOGETHER);
}
