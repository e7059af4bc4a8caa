//! Mistyped evidence: a statement whose predicate type comes near to one that is read, and is none.
//!
//! Predicate types are compared exactly, so that such a statement never counts. It is told apart from evidence that
//! nobody handed in because the next step is another one: the statement is there, and has to name its type as it is
//! read.

use lockgate_model::facts::{Artifact, Claim};

use super::Context;
use super::coverage::Shortfall;
use crate::explain::Reason;
use crate::trust::EvidenceKind;
use crate::wording::{few, shown};

/// How the predicate types of a kind begin, in lower case and without a scheme; none for what only reports say.
const fn stems(kind: EvidenceKind) -> &'static [&'static str] {
    match kind {
        EvidenceKind::Provenance => &["slsa.dev/provenance"],
        EvidenceKind::Sbom => &["cyclonedx.org/bom", "spdx.dev/document"],
        EvidenceKind::Tests => &["in-toto.io/attestation/test-result"],
        EvidenceKind::Vulnerabilities => &["in-toto.io/attestation/vuln", "cosign.sigstore.dev/attestation/vuln"],
        EvidenceKind::StaticAnalysis => &["docs.oasis-open.org/sarif"],
        EvidenceKind::Vex => &["openvex.dev/ns", "docs.oasis-open.org/csaf"],
        EvidenceKind::Performance => &["lockgate.dev/performance"],
        EvidenceKind::Rebuild => &["lockgate.dev/rebuild"],
        EvidenceKind::Change => &["lockgate.dev/change"],
        EvidenceKind::Check => &["lockgate.dev/check"],
        EvidenceKind::Configuration => &["lockgate.dev/configuration"],
        EvidenceKind::Flags => &["lockgate.dev/flags"],
        EvidenceKind::Summary => &["slsa.dev/verification_summary", "in-toto.io/attestation/svr"],
        EvidenceKind::Source => &["lockgate.dev/review", "gittuf.dev/reference-authorization"],
        EvidenceKind::Signature => &["lockgate.dev/artifact-signature", "sigstore.dev/cosign/sign"],
        EvidenceKind::Coverage | EvidenceKind::Secrets => &[],
    }
}

/// Whether a predicate type differs from one of this kind in scheme, case, version or ending alone.
fn is_near(kind: EvidenceKind, predicate_type: &str) -> bool {
    let lower = predicate_type.trim().to_ascii_lowercase();
    let bare = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    stems(kind).iter().any(|stem| bare.starts_with(stem))
}

/// The shortfall of an artifact that has only mistyped evidence of a kind; `None` where it has none of that either.
pub(super) fn mistyped(ctx: Context<'_>, artifact: &Artifact, kind: EvidenceKind, noun: &str) -> Option<Shortfall> {
    let near = ctx.about(artifact.digest).filter_map(|fact| match &fact.claim {
        Claim::Unknown { predicate_type } if is_near(kind, predicate_type) => Some((fact.evidence, predicate_type)),
        _ => None,
    });
    let (evidence, types): (Vec<_>, Vec<_>) = near.unzip();
    if evidence.is_empty() {
        return None;
    }
    let types = few(types.into_iter().map(|name| format!("`{}`", shown(name))), ", ");
    let text = format!("{noun} under a predicate type that is not read: {types}");
    Some(Shortfall { reason: Reason::EvidenceType, text, evidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_another_spelling_and_not_another_thing() {
        let check = |kind: EvidenceKind, predicate_type: &str, expected: bool| {
            assert_eq!(is_near(kind, predicate_type), expected, "{kind} {predicate_type}");
        };
        for other in ["https://slsa.dev/provenance/v9", "http://SLSA.dev/Provenance/v1", " slsa.dev/provenance/v1/"] {
            check(EvidenceKind::Provenance, other, true);
            check(EvidenceKind::Sbom, other, false);
        }
        check(EvidenceKind::Sbom, "https://cyclonedx.org/BOM", true);
        check(EvidenceKind::Change, "https://lockgate.dev/change/v2", true);
        check(EvidenceKind::Provenance, "https://example.org/slsa.dev/provenance/v1", false);
        check(EvidenceKind::Provenance, "", false);
        check(EvidenceKind::Coverage, "https://lockgate.dev/coverage/v1", false);
    }
}
