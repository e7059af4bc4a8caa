//! What someone else verified: SLSA verification summaries, of artifacts and of source, and in-toto's Simple
//! Verification Results.
//!
//! SLSA `spec/verification_summary.md` (1.0 to 1.2), in-toto `spec/predicates/svr.md` (0.2). Which verifier is trusted
//! for which levels is the policy's question.

use lockgate_model::Digest;
use lockgate_model::facts::VerificationSummary;
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::statement::Subject;

/// A SLSA verification summary.
pub(crate) const VSA: &str = "https://slsa.dev/verification_summary/v1";
/// A Simple Verification Result.
pub(crate) const SVR: &str = "https://in-toto.io/attestation/svr/v0.2";

/// Reads a SLSA verification summary; one that failed has no levels, whatever it lists.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `DUPLICATE_KEY`.
pub(crate) fn vsa(predicate: &Value, subjects: &[Subject]) -> Result<VerificationSummary, EvidenceError> {
    let root = Object::root(predicate)?;
    let passed = match root.required_text("verificationResult")? {
        "PASSED" => true,
        "FAILED" => false,
        other => {
            let other = excerpt(other);
            return Err(root.fault_at("verificationResult", &format!("is `{other}`, not PASSED or FAILED")));
        }
    };
    root.required_list("verifiedLevels")?;
    let levels = root.labels("verifiedLevels")?;
    if passed && levels.iter().any(|level| level == "FAILED") {
        return Err(root.fault_at("verifiedLevels", "holds FAILED, which contradicts `verificationResult`"));
    }
    let policy = root.required_object("policy")?;
    Ok(VerificationSummary {
        format: "vsa".to_owned(),
        verifier: root.required_object("verifier")?.required_label("id")?.to_owned(),
        passed,
        levels: if passed { levels } else { Vec::new() },
        resource_uri: Some(root.required_label("resourceUri")?.to_owned()),
        policy_uri: Some(policy.required_label("uri")?.to_owned()),
        policy_digest: sha256_of(&policy)?,
        inputs: inputs(&root)?,
        commits: subjects.iter().filter_map(|subject| subject.git_commit.clone()).collect(),
        refs: subjects.iter().flat_map(|subject| subject.source_refs.iter().cloned()).collect(),
        verified_at: root.moment("timeVerified")?,
    })
}

/// Reads a Simple Verification Result; it lists only what passed.
///
/// # Errors
/// As [`vsa`].
pub(crate) fn svr(predicate: &Value, subjects: &[Subject]) -> Result<VerificationSummary, EvidenceError> {
    let root = Object::root(predicate)?;
    let verifier = root.required_object("verifier")?;
    let policies = verifier.required_list("policies")?;
    let (mut policy_uri, mut policy_digest) = (None, None);
    for policy in policies.objects() {
        let policy = policy?;
        // Of several policies none is named: a gate that asks for one then finds none.
        if policies.len() == 1 {
            policy_uri = policy.label("uri")?.map(str::to_owned);
            policy_digest = sha256_of(&policy)?;
        }
    }
    root.required_list("properties")?;
    let Some(verified_at) = root.moment("timeCreated")? else { return Err(root.fault("has no `timeCreated`")) };
    Ok(VerificationSummary {
        format: "svr".to_owned(),
        verifier: verifier.required_label("id")?.to_owned(),
        passed: true,
        levels: root.labels("properties")?,
        resource_uri: None,
        policy_uri,
        policy_digest,
        inputs: 0,
        commits: subjects.iter().filter_map(|subject| subject.git_commit.clone()).collect(),
        refs: subjects.iter().flat_map(|subject| subject.source_refs.iter().cloned()).collect(),
        verified_at: Some(verified_at),
    })
}

/// How many attestations it relies on; each of them has to be named by digest.
fn inputs(root: &Object<'_>) -> Result<u64, EvidenceError> {
    let mut count = 0;
    if let Some(list) = root.list_or_null("inputAttestations")? {
        for input in list.objects() {
            let input = input?;
            if input.object("digest")?.is_none_or(|digest| digest.fields().is_empty()) {
                return Err(input.fault("has no `digest`: an input is named by its digest"));
            }
            count += 1;
        }
    }
    Ok(count)
}

/// The SHA-256 of a resource descriptor.
pub(crate) fn sha256_of(descriptor: &Object<'_>) -> Result<Option<Digest>, EvidenceError> {
    let Some(digests) = descriptor.object_or_null("digest")? else { return Ok(None) };
    let Some(hex) = digests.text("sha256")? else { return Ok(None) };
    match Digest::from_hex(hex) {
        Ok(digest) => Ok(Some(digest)),
        Err(_) => Err(digests.fault_at("sha256", "must be 64 lower-case hex digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn summary() -> Value {
        json!({
            "verifier": {"id": "https://verify.example/v1", "version": {"tool": "1"}},
            "timeVerified": "2026-11-20T10:00:00Z",
            "resourceUri": "git+https://git.example/shop/web",
            "policy": {"uri": "https://policy.example/p", "digest": {"sha256": Digest::of(b"p").hex()}},
            "inputAttestations": [{"digest": {"sha256": Digest::of(b"a").hex()}}],
            "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_SOURCE_LEVEL_3", "ORG_SOURCE_REVIEWED"],
            "slsaVersion": "1.2",
        })
    }

    fn commit() -> Subject {
        let refs = vec!["refs/heads/main".to_owned()];
        let others = vec!["gitCommit".to_owned()];
        Subject { name: None, sha256: None, others, git_commit: Some("a".repeat(40)), source_refs: refs }
    }

    #[test]
    fn reads_summaries_of_source() {
        let claim = vsa(&summary(), &[commit()]).unwrap();
        assert!(claim.passed);
        assert_eq!(claim.levels, ["SLSA_SOURCE_LEVEL_3", "ORG_SOURCE_REVIEWED"]);
        assert_eq!((claim.commits, claim.refs), (vec!["a".repeat(40)], vec!["refs/heads/main".to_owned()]));
        assert_eq!((claim.policy_digest, claim.inputs), (Some(Digest::of(b"p")), 1));
        let mut failed = summary();
        failed["verificationResult"] = json!("FAILED");
        let claim = vsa(&failed, &[]).unwrap();
        assert!(!claim.passed && claim.levels.is_empty());
    }

    #[test]
    fn refuses_what_is_missing_or_contradicts() {
        let check = |pointer: &str, bad: Value, code: &str| {
            let mut value = summary();
            *value.pointer_mut(pointer).unwrap() = bad.clone();
            assert_eq!(vsa(&value, &[]).unwrap_err().code, code, "{pointer} {bad}");
        };
        check("/verifier", json!({}), "EVIDENCE_MALFORMED");
        check("/verifier", json!(null), "EVIDENCE_MALFORMED");
        check("/resourceUri", json!(""), "EVIDENCE_MALFORMED");
        check("/policy", json!({"digest": {}}), "EVIDENCE_MALFORMED");
        check("/policy/digest/sha256", json!("00"), "EVIDENCE_MALFORMED");
        check("/inputAttestations/0", json!({"uri": "https://a.example"}), "EVIDENCE_MALFORMED");
        check("/verificationResult", json!("passed"), "EVIDENCE_MALFORMED");
        check("/verificationResult", json!(true), "EVIDENCE_MALFORMED");
        check("/verifiedLevels", json!("SLSA_BUILD_LEVEL_3"), "EVIDENCE_MALFORMED");
        check("/verifiedLevels", json!(["FAILED"]), "EVIDENCE_MALFORMED");
        check("/verifiedLevels", json!([1]), "EVIDENCE_MALFORMED");
        check("/timeVerified", json!("today"), "EVIDENCE_TIME");
        let mut value = summary();
        value.as_object_mut().unwrap().remove("verifiedLevels");
        assert_eq!(vsa(&value, &[]).unwrap_err().code, "EVIDENCE_MALFORMED");
    }

    #[test]
    fn reads_simple_results() {
        let sample = json!({
            "verifier": {"id": "https://verify.example", "policies": [{"uri": "https://policy.example/p"}]},
            "timeCreated": "2026-11-20T10:00:00Z", "properties": ["NO_KNOWN_EXPLOITED"],
        });
        let claim = svr(&sample, &[]).unwrap();
        assert_eq!((claim.levels.as_slice(), claim.passed), (["NO_KNOWN_EXPLOITED".to_owned()].as_slice(), true));
        assert_eq!(claim.policy_uri.as_deref(), Some("https://policy.example/p"));
        for (pointer, bad) in
            [("/verifier/policies", json!(null)), ("/verifier/id", json!(1)), ("/properties", json!({}))]
        {
            let mut value = sample.clone();
            *value.pointer_mut(pointer).unwrap() = bad;
            assert_eq!(svr(&value, &[]).unwrap_err().code, "EVIDENCE_MALFORMED", "{value}");
        }
        let mut value = sample;
        value.as_object_mut().unwrap().remove("timeCreated");
        assert_eq!(svr(&value, &[]).unwrap_err().code, "EVIDENCE_MALFORMED");
    }
}
