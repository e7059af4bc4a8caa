//! Predicates beside provenance, bills of materials, tests and scans: which type is read by whom.

use lockgate_model::Limits;
use lockgate_model::facts::Claim;

use crate::error::EvidenceError;
use crate::statement::Statement;
use crate::{change, check, configuration, flags, link, own, performance, publication, rebuild, scai, source, summary};

/// Reads a statement; none when its type is not one of these. Types are compared exactly.
pub(crate) fn read(statement: &Statement, limits: &Limits) -> Option<Result<Claim, EvidenceError>> {
    let (value, subjects) = (&statement.predicate, statement.subjects.as_slice());
    Some(match statement.predicate_type.as_str() {
        summary::VSA => summary::vsa(value, subjects).map(Claim::Summary),
        summary::SVR => summary::svr(value, subjects).map(Claim::Summary),
        source::SLSA_SOURCE => source::slsa_source(value, subjects).map(Claim::Source),
        source::GITTUF => source::gittuf(value, subjects).map(Claim::Source),
        own::REVIEW => source::review(value, limits).map(Claim::Source),
        "https://in-toto.io/attestation/scai/v0.3"
        | "https://in-toto.io/attestation/scai/attribute-report/v0.3"
        | "https://in-toto.io/attestation/scai/attribute-report/v0.2" => scai::read(value).map(Claim::Attributes),
        "https://in-toto.io/attestation/release/v0.1" | "https://in-toto.io/attestation/release/v0.2" => {
            publication::release(value).map(Claim::Release)
        }
        publication::NPM => publication::npm(value).map(Claim::Publication),
        publication::PYPI => publication::pypi(value, subjects).map(Claim::Publication),
        "https://in-toto.io/attestation/link/v0.3" => link::link(value).map(Claim::Link),
        "https://in-toto.io/attestation/reference/v0.1" => link::references(value, limits).map(Claim::References),
        "https://in-toto.io/attestation/runtime-trace/v0.1" | "https://in-toto.io/attestation/runtime-trace/v0.2" => {
            link::runtime_trace(value).map(Claim::RuntimeTrace)
        }
        own::PERFORMANCE => performance::read(value, limits).map(Claim::Performance),
        own::REBUILD => rebuild::read(value, limits).map(Claim::Rebuild),
        own::CHANGE => change::read(value).map(Claim::Change),
        own::CHECK => check::read(value).map(Claim::Check),
        own::CONFIGURATION => configuration::read(value).map(Claim::Configuration),
        own::FLAGS => flags::read(value, limits).map(Claim::Flags),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::StatementVersion;
    use serde_json::{Value, json};

    const KNOWN: [&str; 22] = [
        summary::VSA,
        summary::SVR,
        source::SLSA_SOURCE,
        source::GITTUF,
        own::REVIEW,
        "https://in-toto.io/attestation/scai/v0.3",
        "https://in-toto.io/attestation/scai/attribute-report/v0.3",
        "https://in-toto.io/attestation/scai/attribute-report/v0.2",
        "https://in-toto.io/attestation/release/v0.1",
        "https://in-toto.io/attestation/release/v0.2",
        publication::NPM,
        publication::PYPI,
        "https://in-toto.io/attestation/link/v0.3",
        "https://in-toto.io/attestation/reference/v0.1",
        "https://in-toto.io/attestation/runtime-trace/v0.1",
        "https://in-toto.io/attestation/runtime-trace/v0.2",
        own::PERFORMANCE,
        own::REBUILD,
        own::CHANGE,
        own::CHECK,
        own::CONFIGURATION,
        own::FLAGS,
    ];

    fn of(predicate_type: &str, predicate: Value) -> Option<Result<Claim, &'static str>> {
        let statement = Statement {
            version: StatementVersion::V1,
            subjects: Vec::new(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        };
        read(&statement, &Limits::DEFAULT).map(|result| result.map_err(|error| error.code))
    }

    #[test]
    fn an_empty_predicate_says_nothing() {
        for known in KNOWN {
            for predicate in [Value::Null, json!({}), json!([]), json!("text"), json!(1)] {
                assert_eq!(of(known, predicate.clone()), Some(Err("EVIDENCE_MALFORMED")), "{known} {predicate}");
            }
        }
    }

    #[test]
    fn the_type_decides_exactly() {
        for known in KNOWN {
            for other in [format!("{known}/"), known.to_uppercase(), format!(" {known}"), format!("{known}0")] {
                assert_eq!(of(&other, json!({})), None, "{other}");
            }
        }
    }
}
