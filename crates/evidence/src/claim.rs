//! What a statement says, by its exact predicate type.

use lockgate_model::Limits;
use lockgate_model::facts::Claim;

use crate::error::EvidenceError;
use crate::statement::Statement;
use crate::{attested, csaf, cyclonedx, openvex, provenance, sarif, spdx, test_result, vulns};

/// A kind of predicate that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Predicate {
    ProvenanceV1,
    ProvenanceV02,
    CycloneDx,
    Spdx,
    OpenVex,
    Csaf,
    Sarif,
    TestResult,
    Vulns,
    CosignVuln,
}

impl Predicate {
    /// Compares exactly: case, version and a trailing slash all matter, or a signature over one kind of statement
    /// would count for another.
    fn of(predicate_type: &str) -> Option<Self> {
        match predicate_type {
            provenance::V1 => Some(Self::ProvenanceV1),
            provenance::V02 => Some(Self::ProvenanceV02),
            "https://cyclonedx.org/bom"
            | "https://cyclonedx.org/bom/v1.4"
            | "https://cyclonedx.org/bom/v1.5"
            | "https://cyclonedx.org/bom/v1.6"
            | "https://cyclonedx.org/bom/v1.7" => Some(Self::CycloneDx),
            "https://spdx.dev/Document"
            | "https://spdx.dev/Document/v2.2"
            | "https://spdx.dev/Document/v2.3"
            | "https://spdx.dev/Document/v3" => Some(Self::Spdx),
            openvex::CONTEXT | openvex::NAMESPACE => Some(Self::OpenVex),
            csaf::SCHEMA => Some(Self::Csaf),
            sarif::SCHEMA | sarif::SCHEMA_ERRATA => Some(Self::Sarif),
            "https://in-toto.io/attestation/test-result/v0.1" => Some(Self::TestResult),
            "https://in-toto.io/attestation/vulns/v0.1" | "https://in-toto.io/attestation/vulns/v0.2" => {
                Some(Self::Vulns)
            }
            "https://cosign.sigstore.dev/attestation/vuln/v1" => Some(Self::CosignVuln),
            _ => None,
        }
    }
}

/// Reads what a statement says.
///
/// Total: a type that no reader knows gives [`Claim::Unknown`], and a known one whose predicate cannot be read gives
/// [`Claim::Malformed`] with the reason. Neither ever counts for anything.
pub fn claim_of(statement: &Statement, limits: &Limits) -> Claim {
    let result = match Predicate::of(&statement.predicate_type) {
        Some(predicate) => Some(read(predicate, statement, limits)),
        None => attested::read(statement, limits),
    };
    match result {
        None => Claim::Unknown { predicate_type: statement.predicate_type.clone() },
        Some(Ok(claim)) => claim,
        Some(Err(error)) => Claim::Malformed { reason: error.message },
    }
}

fn read(predicate: Predicate, statement: &Statement, limits: &Limits) -> Result<Claim, EvidenceError> {
    let value = &statement.predicate;
    match predicate {
        Predicate::ProvenanceV1 => provenance::v1(value).map(Claim::Provenance),
        Predicate::ProvenanceV02 => provenance::v02(value).map(Claim::Provenance),
        // A document without components, but with vulnerabilities, is written to say something of these.
        Predicate::CycloneDx if value.get("vulnerabilities").is_some() && value.get("components").is_none() => {
            cyclonedx::read_vex(value, limits).map(Claim::Vex)
        }
        Predicate::CycloneDx => cyclonedx::read(value, limits).map(|bom| Claim::Sbom(bom.claim())),
        Predicate::OpenVex => openvex::read(value, limits).map(Claim::Vex),
        Predicate::Csaf => csaf::read(value, limits).map(Claim::Vex),
        Predicate::Sarif => sarif::read(value, limits).map(Claim::StaticAnalysis),
        Predicate::Spdx => spdx::read(value, limits).map(|bom| Claim::Sbom(bom.claim())),
        Predicate::TestResult => test_result::read(value, limits).map(Claim::Tests),
        Predicate::Vulns => vulns::in_toto(value, limits).map(Claim::Vulnerabilities),
        Predicate::CosignVuln => vulns::cosign(value, limits).map(Claim::Vulnerabilities),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::StatementVersion;
    use serde_json::{Value, json};

    fn claim(predicate_type: &str, predicate: Value) -> Claim {
        let statement = Statement {
            version: StatementVersion::V1,
            subjects: Vec::new(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        };
        claim_of(&statement, &Limits::DEFAULT)
    }

    #[test]
    fn the_type_decides_exactly() {
        let bom = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []});
        for known in ["https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.6"] {
            assert_eq!(claim(known, bom.clone()).kind(), "sbom", "{known}");
        }
        for other in [
            "",
            "https://cyclonedx.org/bom/",
            "https://CycloneDX.org/bom",
            "https://cyclonedx.org/BOM",
            "https://cyclonedx.org/bom/v1.60",
            "https://cyclonedx.org/bom/v1.3",
            "http://cyclonedx.org/bom",
            " https://cyclonedx.org/bom",
        ] {
            assert_eq!(claim(other, bom.clone()), Claim::Unknown { predicate_type: other.to_owned() });
        }
    }

    #[test]
    fn reports_with_a_published_schema_may_be_signed() {
        let vex = json!({
            "@context": openvex::CONTEXT, "author": "sam", "timestamp": "2026-11-20T10:00:00Z",
            "statements": [{"vulnerability": {"name": "CVE-2026-1"}, "status": "fixed"}],
        });
        for known in [openvex::CONTEXT, openvex::NAMESPACE] {
            assert_eq!(claim(known, vex.clone()).kind(), "vex", "{known}");
        }
        let log = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint"}}, "results": []}]});
        for known in [sarif::SCHEMA, sarif::SCHEMA_ERRATA] {
            assert_eq!(claim(known, log.clone()).kind(), "static-analysis", "{known}");
        }
        let advisory = json!({
            "document": {
                "category": "csaf_vex", "csaf_version": "2.0", "publisher": {"name": "Shop"},
                "tracking": {"id": "1", "current_release_date": "2026-11-20T10:00:00Z"},
            },
            "product_tree": {"full_product_names": [{"product_id": "a"}]},
            "vulnerabilities": [{"cve": "CVE-2026-1", "product_status": {"fixed": ["a"]}}],
        });
        assert_eq!(claim(csaf::SCHEMA, advisory).kind(), "vex");
    }

    #[test]
    fn cyclonedx_that_lists_no_components_is_vex() {
        let vulnerabilities =
            json!([{"id": "CVE-2026-1", "analysis": {"state": "in_triage"}, "affects": [{"ref": "a"}]}]);
        let mut document = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": vulnerabilities});
        assert_eq!(claim("https://cyclonedx.org/bom", document.clone()).kind(), "vex");
        document["components"] = json!([]);
        let Claim::Sbom(sbom) = claim("https://cyclonedx.org/bom", document) else { panic!("not an SBOM") };
        assert_eq!(sbom.vex.len(), 1);
    }

    #[test]
    fn a_known_type_with_another_predicate_is_malformed() {
        let empty = json!({"bomFormat": "CycloneDX", "specVersion": "1.6"});
        for known in [
            "https://slsa.dev/provenance/v1",
            "https://slsa.dev/provenance/v0.2",
            "https://cyclonedx.org/bom",
            "https://spdx.dev/Document",
            "https://spdx.dev/Document/v3",
            "https://openvex.dev/ns/v0.2.0",
            "https://openvex.dev/ns",
            csaf::SCHEMA,
            sarif::SCHEMA,
            sarif::SCHEMA_ERRATA,
            "https://in-toto.io/attestation/test-result/v0.1",
            "https://in-toto.io/attestation/vulns/v0.1",
            "https://in-toto.io/attestation/vulns/v0.2",
            "https://cosign.sigstore.dev/attestation/vuln/v1",
        ] {
            for predicate in [Value::Null, json!({}), json!([]), json!("text"), json!(1)] {
                assert_eq!(claim(known, predicate.clone()).kind(), "malformed", "{known} {predicate}");
            }
            let right = known == "https://cyclonedx.org/bom";
            assert_eq!(claim(known, empty.clone()).kind() == "malformed", !right, "{known}");
        }
    }
}
