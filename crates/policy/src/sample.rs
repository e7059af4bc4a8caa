//! A small policy set and facts for the tests of this crate. The private halves of the keys were never kept.

use std::collections::BTreeMap;

use lockgate_model::facts::{
    ApprovalFact, Artifact, Binding, Certified, Claim, Completeness, EvidenceFact, Facts, FeedFact, FeedKind, Finding,
    Origin, PersonFact, PromotionFacts, PromotionKind, Provenance, ReleaseFacts, Running, Sbom, Severity, SubjectKind,
    Tests, Verdict, Vulnerabilities, WaiverFact,
};
use lockgate_model::{Digest, EntryIndex, PromotionId, UnixMillis};

use crate::{Decision, GateOutcome, GateResult, PolicySet, Reason, decide};

/// 2026-01-01T00:00:00Z, the time of every decision here.
pub(crate) const TIME: UnixMillis = UnixMillis(1_767_225_600_000);

pub(crate) const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgG1O8YT9yjEroAfrGFqtWGp9/tIN\n\
Fh1/bBhq6p0KCJjLdKosqSwqn6i2Me9ONmltFkVi/PlR18vgo0AeJ9jO2g==\n\
-----END PUBLIC KEY-----\n";

pub(crate) const OTHER_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmijPYYQpAf+gnFWB02j1EYCRSbXe\n\
u2P7uOlH9CW9sMvGpSYYEvN+m5wkkBlqP/IK+Xpz1P768LOUwiprKhUQtA==\n\
-----END PUBLIC KEY-----\n";

/// A public key of minisign.
pub(crate) const MINISIGN: &str = "RWR+fJKKzS7AO4wbeZEZrqq+FA4aBJiC8tXU0KDIX8qrZbS0X+kBHVGi";

const POLICY: &str = r#"
name = "sample"
description = "for tests"
verifier_id = "https://lockgate.example/verifier/v1"
resource_uri = "https://lockgate.example/{environment}/{service}"
approval_ttl = "72h"
promotion_ttl = "30d"
"#;

const ENVIRONMENTS: &str = r#"
[environment.dev]
purpose = "try"
owners = ["developers"]
risk = "low"
grant_ttl = "90d"

[environment.staging]
purpose = "rehearse"
owners = ["developers"]
risk = "medium"
after = ["dev"]
grant_ttl = "90d"

[environment.production]
purpose = "serve"
owners = ["owners"]
risk = "high"
after = ["staging"]
grant_ttl = "90d"
"#;

const PEOPLE: &str = r#"
[role.developer]
permissions = ["read", "push", "attest", "request", "withdraw", "rollback"]
[role.approver]
permissions = ["read", "approve", "reject", "waive"]
[role.ci]
permissions = ["read", "push", "attest", "request"]
[role.owner]
permissions = ["read", "audit", "keys", "policy"]

[group.developers]
roles = ["developer"]
[group.approvers]
roles = ["approver"]
[group.security]
roles = ["approver"]
[group.ci]
roles = ["ci"]
[group.owners]
roles = ["owner"]
"#;

/// The files of a policy set with these gates in `gates/test.toml`.
pub(crate) fn files(gates: &str) -> BTreeMap<String, String> {
    let trust = format!(
        "[[signer]]\nname = \"ci\"\nkey = \"\"\"\n{PEM}\"\"\"\nslsa_level = 2\n\
         signs = [\"provenance\", \"tests\", \"rebuild\", \"source\", \"summary\", \"signature\"]\n\
         [[signer]]\nname = \"scanner\"\nkey = \"\"\"\n{OTHER_PEM}\"\"\"\n\
         signs = [\"sbom\", \"vulnerabilities\", \"vex\", \"rebuild\"]\n"
    );
    let files = [
        ("policy.toml", POLICY.to_owned()),
        ("environments.toml", ENVIRONMENTS.to_owned()),
        ("people.toml", PEOPLE.to_owned()),
        ("trust.toml", trust),
        ("gates/test.toml", gates.to_owned()),
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect()
}

/// A policy set with these gates, or the test fails.
pub(crate) fn policy(gates: &str) -> PolicySet {
    PolicySet::from_files(files(gates)).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// The fields of one gate, called `g`, for production.
pub(crate) fn gate(fields: &str) -> String {
    format!("[[gate]]\nname = \"g\"\nenvironments = [\"production\"]\n{fields}")
}

/// Facts about `shop/web@1.4.2`, asked by dana for production, without any evidence.
pub(crate) fn facts() -> Facts {
    let person = |name: &str, kind, groups: &[&str]| {
        let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
        (name.parse().unwrap(), PersonFact { kind, groups, keyless: false })
    };
    Facts {
        schema: Facts::SCHEMA.to_owned(),
        time: TIME,
        promotion: PromotionFacts {
            id: PromotionId(3),
            environment: "production".parse().unwrap(),
            kind: PromotionKind::Promotion,
            requester: "dana".parse().unwrap(),
            reason: "weekly release".to_owned(),
            requested_at: TIME,
        },
        release: ReleaseFacts {
            name: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            artifacts: vec![Artifact { digest: Digest::of(b"app"), name: "app.tar.gz".to_owned(), size_bytes: 3 }],
            source: None,
            notes: None,
            published_by: "robot".parse().unwrap(),
            published_at: TIME,
        },
        evidence: vec![],
        running: None,
        running_evidence: vec![],
        running_artifacts: vec![],
        neighbours: None,
        freezes: vec![],
        break_glass: None,
        certified: vec![],
        approvals: vec![],
        waivers: vec![],
        feeds: FeedKind::ALL.iter().map(|kind| feed(*kind)).collect(),
        delegations: vec![],
        people: BTreeMap::from([
            person("dana", SubjectKind::Person, &["developers"]),
            person("kim", SubjectKind::Person, &["developers"]),
            person("sam", SubjectKind::Person, &["approvers"]),
            person("ines", SubjectKind::Person, &["approvers", "security"]),
            person("pat", SubjectKind::Person, &["security"]),
            person("robot", SubjectKind::Machine, &["ci", "approvers"]),
        ]),
    }
}

pub(crate) fn other_artifact() -> Artifact {
    Artifact { digest: Digest::of(b"other"), name: "other.tar.gz".to_owned(), size_bytes: 5 }
}

pub(crate) fn evidence(index: u64, origin: Origin, claim: Claim) -> EvidenceFact {
    EvidenceFact {
        evidence: Digest::of(&index.to_be_bytes()),
        index: EntryIndex(index),
        recorded_at: TIME,
        artifacts: vec![Digest::of(b"app")],
        origin,
        claim,
        signature: None,
    }
}

pub(crate) fn signed(signers: &[&str]) -> Origin {
    Origin::Signed { signers: signers.iter().map(|name| name.parse().unwrap()).collect() }
}

pub(crate) fn on_behalf(by: &str) -> Origin {
    Origin::OnBehalf { by: by.parse().unwrap() }
}

pub(crate) fn provenance() -> Provenance {
    Provenance {
        predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
        builder_id: "https://ci.example/builder@v1".to_owned(),
        build_type: "https://ci.example/build/v1".to_owned(),
        source_repository: Some("https://git.example/shop/good".to_owned()),
        source_ref: Some("refs/heads/main".to_owned()),
        source_commit: None,
        authors: vec![],
        finished_at: None,
        build: None,
    }
}

pub(crate) fn sbom() -> Sbom {
    Sbom {
        format: "cyclonedx".to_owned(),
        spec_version: "1.6".to_owned(),
        components: 6,
        without_version: 0,
        without_identifier: 0,
        completeness: Completeness::Unstated,
        ..Sbom::default()
    }
}

pub(crate) fn tests() -> Tests {
    Tests { format: "junit".to_owned(), passed: 12, failed: 0, skipped: 0, failed_names: vec![], finished_at: None }
}

pub(crate) fn scan(scanner: &str, findings: Vec<Finding>) -> Vulnerabilities {
    Vulnerabilities { scanner: scanner.to_owned(), scanner_version: None, scanned_at: None, findings }
}

pub(crate) fn finding(id: &str, severity: Severity) -> Finding {
    Finding {
        id: id.to_owned(),
        package: "example".to_owned(),
        version: "2.0.0".to_owned(),
        fixed: None,
        severity,
        ..Finding::default()
    }
}

/// A waiver that dana asked for and sam granted, for another hour.
pub(crate) fn waiver(gate: &str, finding: &str) -> WaiverFact {
    WaiverFact {
        gate: gate.parse().unwrap(),
        finding: Some(finding.to_owned()),
        asked_by: "dana".parse().unwrap(),
        granted_by: "sam".parse().unwrap(),
        expires_at: UnixMillis(TIME.0 + 3_600_000),
        index: EntryIndex(7),
        release: None,
        artifact: None,
        granted_at: None,
    }
}

/// A snapshot of this very moment that says nothing.
pub(crate) fn feed(kind: FeedKind) -> FeedFact {
    FeedFact {
        feed: kind,
        digest: Digest::of(kind.as_str().as_bytes()),
        index: EntryIndex(6),
        date: TIME,
        kev: BTreeMap::new(),
        epss_millionths: BTreeMap::new(),
    }
}

pub(crate) fn certified(environment: &str, since: u64) -> Certified {
    Certified { environment: environment.parse().unwrap(), promotion: PromotionId(2), since: UnixMillis(since) }
}

pub(crate) fn running(version: &str) -> Running {
    Running {
        release: format!("shop/web@{version}").parse().unwrap(),
        manifest: Digest::of(version.as_bytes()),
        since: UnixMillis(TIME.0 - 1000),
        promotion: PromotionId(1),
    }
}

/// An approval of exactly these facts under this policy set, with a key of the person's own, for another hour.
pub(crate) fn approval(policy: &PolicySet, facts: &Facts, person: &str) -> ApprovalFact {
    ApprovalFact {
        person: person.parse().unwrap(),
        key: format!("SHA256:{person}"),
        verdict: Verdict::Approve,
        index: EntryIndex(9),
        recorded_at: TIME,
        expires_at: UnixMillis(TIME.0 + 3_600_000),
        binds: Binding {
            promotion: facts.promotion.id,
            manifest: facts.release.manifest,
            environment: facts.promotion.environment.clone(),
            policy: policy.digest(),
            replaces: facts.running.as_ref().map(|running| running.manifest),
        },
        key_valid: true,
        review_seconds: None,
        withdrawn: false,
        misdescribed: false,
    }
}

/// Decides on the changed sample facts with one gate, compares its outcome and reason, and gives back its result.
pub(crate) fn check(
    fields: &str,
    change: impl FnOnce(&PolicySet, &mut Facts),
    outcome: GateOutcome,
    reason: Reason,
) -> GateResult {
    let policy = policy(&gate(fields));
    let mut facts = facts();
    change(&policy, &mut facts);
    let Decision { gates, .. } = decide(&policy, &facts);
    let [result] = <[GateResult; 1]>::try_from(gates).unwrap();
    assert_eq!((result.outcome, result.reason.as_str()), (outcome, reason.as_str()), "{fields}\n{result:#?}");
    assert!(!result.needed.is_empty() && !result.found.is_empty(), "{result:#?}");
    let settled = matches!(outcome, GateOutcome::Pass | GateOutcome::Waived);
    assert_eq!((result.who.is_empty(), result.fix.is_empty()), (settled, settled), "{result:#?}");
    result
}
