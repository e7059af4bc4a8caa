//! SLSA verification summaries (VSA v1) for outcomes.

use serde_json::{Value, json};

use lockgate_policy::{Outcome, PolicySet};

use crate::attestation::Subjects;
use crate::entry::DecisionRecorded;
use lockgate_model::{Digest, UnixMillis};

/// The in-toto predicate type of a VSA (SLSA 1.2, verification summary).
pub const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";

/// The predicate for a decision.
///
/// Levels never start with `SLSA_` unless provenance proves one: `slsa-verifier` refuses a VSA whose `SLSA_` levels it
/// cannot parse, and nothing is claimed here that the policy did not check.
pub fn predicate(
    event: &DecisionRecorded,
    policy: &PolicySet,
    origin: &str,
    time: UnixMillis,
    evidence: &[Digest],
) -> Value {
    let settings = policy.settings();
    let (result, levels) = match event.outcome {
        // Gates that people went past did not pass, and no VSA says so.
        Outcome::Allow if event.break_glass.is_some() => ("FAILED", Vec::new()),
        Outcome::Allow => ("PASSED", vec![promoted_level(event.environment.as_str())]),
        Outcome::Deny | Outcome::Pending => ("FAILED", Vec::new()),
    };
    let attestation = |digest: &Digest| {
        json!({
            "uri": format!("https://{origin}/v1/blobs/{digest}"),
            "digest": { "sha256": digest.hex() },
        })
    };
    json!({
        "verifier": { "id": settings.verifier_id, "version": { "lockgate": env!("CARGO_PKG_VERSION") } },
        "timeVerified": time.rfc3339_secs(),
        "resourceUri": settings.resource_for(&event.release.service, &event.environment),
        "policy": { "uri": format!("https://{origin}/v1/blobs/{}", event.policy), "digest": { "sha256": event.policy.hex() } },
        "inputAttestations": evidence.iter().map(attestation).collect::<Vec<_>>(),
        "verificationResult": result,
        "verifiedLevels": levels,
        "slsaVersion": "1.2",
    })
}

/// The level that says in which environment a release was allowed, such as `LOCKGATE_PROMOTED_PRODUCTION`.
pub fn promoted_level(environment: &str) -> String {
    let upper: String =
        environment.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("LOCKGATE_PROMOTED_{upper}")
}

/// The whole statement.
pub fn statement(subjects: &Subjects, predicate: Value) -> Value {
    crate::attestation::statement(subjects, PREDICATE_TYPE, predicate)
}
