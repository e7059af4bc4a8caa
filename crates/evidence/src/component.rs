//! Components: what a bill of materials lists one by one, in a report or in a signed statement.
//!
//! A claim keeps counts; whoever looks for a package, or compares two releases, needs the list. It is read in the same
//! pass as the claim, by the same reader and within the same limits, so that the two cannot disagree.

use std::io::Read;

use lockgate_model::Limits;
use lockgate_model::facts::{Claim, Sbom};

use crate::claim::claim_of;
use crate::error::EvidenceError;
use crate::report::{self, Format};
use crate::sbom::{Bom, Component};
use crate::statement::Statement;
use crate::stream::Source;
use crate::{cyclonedx, document, spdx};

/// Reads a report: what it claims, and every component where it is a bill of materials.
///
/// # Errors
/// As [`report::read`].
pub fn read_report(format: Format, bytes: &[u8], limits: &Limits) -> Result<(Claim, Vec<Component>), EvidenceError> {
    let source = || Source::Bytes(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let bom = match format {
        Format::CycloneDx => {
            document::check_size(bytes, limits)?;
            cyclonedx::read(source(), limits)?
        }
        Format::Spdx => {
            document::check_size(bytes, limits)?;
            spdx::read(source(), limits)?
        }
        _ => return Ok((report::read(format, bytes, limits)?, Vec::new())),
    };
    Ok((Claim::Sbom(bom.claim()), bom.into_components()))
}

/// Reads a report from a stream, which need not fit into memory: what it claims, and every component where it is a bill
/// of materials.
///
/// # Errors
/// As [`report::read_from`].
pub fn read_report_from(
    format: Format,
    from: &mut dyn Read,
    limits: &Limits,
) -> Result<(Claim, Vec<Component>), EvidenceError> {
    match format {
        Format::CycloneDx | Format::Spdx => {
            let bom = report::bom_from(format, from, limits)?;
            Ok((Claim::Sbom(bom.claim()), bom.into_components()))
        }
        _ => Ok((report::read_from(format, from, limits)?, Vec::new())),
    }
}

/// Reads a statement: what it claims, and every component where its predicate is a bill of materials.
///
/// Total, as [`claim_of`]: what cannot be read has no components.
pub fn read_statement(statement: &Statement, limits: &Limits) -> (Claim, Vec<Component>) {
    let claim = claim_of(statement, limits);
    let components = match &claim {
        Claim::Sbom(sbom) => of_predicate(sbom, statement, limits),
        _ => Vec::new(),
    };
    (claim, components)
}

/// The claim was read from the same predicate, so that reading it again cannot fail.
fn of_predicate(sbom: &Sbom, statement: &Statement, limits: &Limits) -> Vec<Component> {
    let bom = match sbom.format.as_str() {
        "cyclonedx" => cyclonedx::read(&statement.predicate, limits),
        _ => spdx::read(&statement.predicate, limits),
    };
    bom.map(Bom::into_components).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::StatementVersion;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
            {"type": "library", "name": "a", "version": "1", "purl": "pkg:npm/a@1", "licenses": [{"license": {"id": "MIT"}}]},
            {"type": "library", "name": "b"},
        ]})
    }

    fn spdx() -> Value {
        json!({"spdxVersion": "SPDX-2.3", "packages": [{"SPDXID": "SPDXRef-a", "name": "a", "versionInfo": "2"}]})
    }

    fn statement(predicate_type: &str, predicate: Value) -> Statement {
        Statement {
            version: StatementVersion::V1,
            subjects: Vec::new(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    #[test]
    fn the_list_and_the_claim_come_from_one_reading() {
        let check = |format: Format, value: &Value, names: &[&str]| {
            let bytes = value.to_string().into_bytes();
            let (claim, components) = read_report(format, &bytes, &Limits::DEFAULT).unwrap();
            assert_eq!(claim, report::read(format, &bytes, &Limits::DEFAULT).unwrap());
            let found: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
            assert_eq!(found, names);
            let marked = [b"\xef\xbb\xbf".as_slice(), &bytes].concat();
            assert_eq!(read_report(format, &marked, &Limits::DEFAULT).unwrap().1, components);
            for bytes in [&bytes, &marked] {
                let streamed = read_report_from(format, &mut bytes.as_slice(), &Limits::DEFAULT).unwrap();
                assert_eq!(streamed, (claim.clone(), components.clone()));
            }
        };
        check(Format::CycloneDx, &document(), &["a", "b"]);
        check(Format::Spdx, &spdx(), &["a"]);
        let junit = br#"<testsuite name="a"><testcase name="b"/></testsuite>"#;
        let (claim, components) = read_report(Format::Junit, junit, &Limits::DEFAULT).unwrap();
        assert_eq!((claim.kind(), components.len()), ("tests", 0));
        let (_, components) =
            read_report(Format::CycloneDx, document().to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        let first = components.first().unwrap();
        assert_eq!((first.purl.as_deref(), first.licence.as_deref()), (Some("pkg:npm/a@1"), Some("MIT")));
    }

    #[test]
    fn signed_bills_of_materials_are_listed_too() {
        let check = |predicate_type: &str, predicate: Value, kind: &str, count: usize| {
            let (claim, components) = read_statement(&statement(predicate_type, predicate), &Limits::DEFAULT);
            assert_eq!((claim.kind(), components.len()), (kind, count), "{predicate_type}");
        };
        check("https://cyclonedx.org/bom", document(), "sbom", 2);
        check("https://spdx.dev/Document", spdx(), "sbom", 1);
        check("https://cyclonedx.org/bom", json!({}), "malformed", 0);
        check("https://example.org/other", document(), "unknown", 0);
    }

    #[test]
    fn limits_hold_for_the_list() {
        let few = Limits { components_per_sbom: 1, ..Limits::DEFAULT };
        let bytes = document().to_string().into_bytes();
        assert_eq!(read_report(Format::CycloneDx, &bytes, &few).unwrap_err().code, "TOO_MANY_COMPONENTS");
        let small = Limits { evidence_bytes: 8, ..Limits::DEFAULT };
        assert_eq!(read_report(Format::CycloneDx, &bytes, &small).unwrap_err().code, "EVIDENCE_TOO_LARGE");
    }
}
