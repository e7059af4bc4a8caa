//! Decisions: 20 gates on 500 findings, in this process, from the facts document on.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use lockgate_model::facts::{
    Artifact, Certified, Claim, Completeness, EvidenceFact, Facts, Finding, Origin, PersonFact, PromotionFacts,
    PromotionKind, ReleaseFacts, Sbom, Severity, SubjectKind, Tests, Vulnerabilities,
};
use lockgate_model::{Digest, EntryIndex, GroupName, PersonId, PromotionId, UnixMillis, canonical};
use lockgate_policy::{PolicySet, decide};
use serde_json::Value;

use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};

/// How many findings the scan has.
pub const FINDINGS: u64 = 500;
/// How many gates the policy set has for production.
const GATES: usize = 20;
/// How many gates of each kind there are, with the fields of the kind.
const KINDS: [(&str, usize, &str); 6] = [
    ("vulnerabilities", 10, "block = [\"critical\", \"high\"]\nfix_available_only = true\n"),
    ("tests", 4, "min_passed = 1\n"),
    ("sbom", 3, "min_components = 1\n"),
    ("certified", 1, ""),
    ("version", 1, ""),
    ("approvals", 1, "count = 1\ngroups = [\"approvers\"]\n"),
];
/// 2026-01-01T00:00:00Z.
const TIME: UnixMillis = UnixMillis(1_767_225_600_000);

/// Times reading the facts and deciding, beside only reading them as JSON.
///
/// # Errors
/// When the policy set or the facts do not load.
pub fn measure(runs: usize) -> Result<Row> {
    let policy = policy()?;
    let bytes = canonical::to_vec(&facts()?)?;
    let (mut parsed, mut decided, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let started = Instant::now();
        black_box(serde_json::from_slice::<Value>(black_box(&bytes))?);
        parsed.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        let facts: Facts = serde_json::from_slice(black_box(&bytes))?;
        let read = Instant::now();
        let decision = black_box(decide(&policy, &facts));
        decided.push(started.elapsed().as_secs_f64() * 1e6);
        alone.push(read.elapsed().as_secs_f64() * 1e6);
        if decision.gates.len() != GATES {
            return Err(Failure::new(format!("{} gates were decided, not {GATES}", decision.gates.len())));
        }
    }
    let what = format!(
        "`decide`, {GATES} gates, {FINDINGS} findings (with reading the {} KiB of facts: {:.0} µs; those bytes as JSON alone: {:.0} µs)",
        bytes.len() / 1024,
        median(&decided),
        median(&parsed)
    );
    let alone = median(&alone);
    Ok(Row::at_most(&what, alone, alone, 1000.0, "1,000 µs", "µs"))
}

/// The policy set with those gates.
///
/// # Errors
/// When it does not load.
pub fn policy() -> Result<PolicySet> {
    read(files(&KINDS)?)
}

/// The files of a policy set with so many gates of each kind, for production, and with the fields of the kind.
///
/// # Errors
/// When there is no starter policy set to begin with.
pub fn files(kinds: &[(&str, usize, &str)]) -> Result<BTreeMap<String, String>> {
    let mut files = PolicySet::starter("starter").ok_or_else(|| Failure::new("there is no starter policy set"))?;
    files.retain(|path, _| !path.contains('/'));
    let mut gates = String::new();
    for (kind, count, fields) in kinds {
        for number in 0..*count {
            gates.push_str(&format!(
                "[[gate]]\nname = \"{kind}-{number}\"\nkind = \"{kind}\"\nenvironments = [\"production\"]\n{fields}\n"
            ));
        }
    }
    if !gates.is_empty() {
        files.insert("gates/bench.toml".to_owned(), gates);
    }
    Ok(files)
}

/// Reads a policy set.
///
/// # Errors
/// Every mistake in it.
pub fn read(files: BTreeMap<String, String>) -> Result<PolicySet> {
    PolicySet::from_files(files).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(errors.join("\n"))
    })
}

/// Facts with a scan of so many findings; the names of its packages repeat.
///
/// # Errors
/// Never: every name in them is one.
pub fn facts() -> Result<Facts> {
    let artifact = Digest::of(b"app");
    let person = |groups: &[&str], kind| -> Result<PersonFact> {
        let groups = groups.iter().map(|group| group.parse::<GroupName>().during("a group")).collect::<Result<_>>()?;
        Ok(PersonFact { kind, groups, keyless: false })
    };
    let people: BTreeMap<PersonId, PersonFact> = BTreeMap::from([
        ("dana".parse()?, person(&["developers"], SubjectKind::Person)?),
        ("sam".parse()?, person(&["owners", "approvers"], SubjectKind::Person)?),
        ("ci".parse()?, person(&["ci"], SubjectKind::Machine)?),
    ]);
    Ok(Facts {
        schema: Facts::SCHEMA.to_owned(),
        time: TIME,
        promotion: PromotionFacts {
            id: PromotionId(3),
            environment: "production".parse()?,
            kind: PromotionKind::Promotion,
            requester: "dana".parse()?,
            reason: "weekly release".to_owned(),
            requested_at: TIME,
        },
        release: ReleaseFacts {
            name: "shop/web@1.4.2".parse()?,
            manifest: Digest::of(b"manifest"),
            artifacts: vec![Artifact { digest: artifact, name: "app.tar.gz".to_owned(), size_bytes: 3 }],
            source: None,
            notes: None,
            published_by: "ci".parse()?,
            published_at: TIME,
        },
        evidence: evidence(artifact)?,
        running: None,
        running_evidence: Vec::new(),
        running_artifacts: Vec::new(),
        neighbours: None,
        freezes: Vec::new(),
        break_glass: None,
        certified: vec![Certified { environment: "staging".parse()?, promotion: PromotionId(2), since: TIME }],
        approvals: Vec::new(),
        waivers: Vec::new(),
        feeds: Vec::new(),
        delegations: Vec::new(),
        people,
    })
}

fn evidence(artifact: Digest) -> Result<Vec<EvidenceFact>> {
    let tests = Tests {
        format: "junit".to_owned(),
        passed: 12,
        failed: 0,
        skipped: 0,
        failed_names: Vec::new(),
        finished_at: None,
    };
    let sbom = Sbom {
        format: "cyclonedx".to_owned(),
        spec_version: "1.6".to_owned(),
        components: 200,
        without_version: 0,
        without_identifier: 0,
        completeness: Completeness::Unstated,
        ..Sbom::default()
    };
    let scan = Vulnerabilities {
        scanner: "trivy".to_owned(),
        scanner_version: Some("0.60.0".to_owned()),
        scanned_at: None,
        findings: (0..FINDINGS).map(finding).collect(),
    };
    let claims = [Claim::Tests(tests), Claim::Sbom(sbom), Claim::Vulnerabilities(scan)];
    let fact = |(index, claim): (u64, Claim)| -> Result<EvidenceFact> {
        Ok(EvidenceFact {
            evidence: Digest::of(&index.to_be_bytes()),
            index: EntryIndex(index),
            recorded_at: TIME,
            artifacts: vec![artifact],
            origin: Origin::OnBehalf { by: "ci".parse()? },
            claim,
            signature: None,
        })
    };
    (10..).zip(claims).map(fact).collect()
}

/// One finding; every fiftieth is bad enough to block.
fn finding(number: u64) -> Finding {
    let severity = match number % 50 {
        0 => Severity::High,
        rest if rest.is_multiple_of(3) => Severity::Low,
        _ => Severity::Medium,
    };
    Finding {
        id: format!("CVE-2025-{}", 10_000 + number),
        package: format!("library-{}", number % 120),
        version: "1.2.3".to_owned(),
        fixed: Some("1.2.4".to_owned()),
        severity,
        disclosed_at: None,
        purl: Some(format!("pkg:deb/debian/library-{}@1.2.3", number % 120)),
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_policy::Outcome;

    #[test]
    fn the_policy_set_has_all_gates_and_the_findings_deny() {
        assert_eq!(KINDS.iter().map(|(_, count, _)| count).sum::<usize>(), GATES);
        let decision = decide(&policy().unwrap(), &facts().unwrap());
        assert_eq!((decision.gates.len(), decision.outcome), (GATES, Outcome::Deny));
        let failed = decision.gates.iter().filter(|gate| gate.reason == "VULNERABILITIES_FOUND").count();
        assert_eq!(failed, 10);
    }
}
