//! SPDX 2.2 and 2.3 in JSON: what an artifact contains.
//!
//! The one package that the document describes is what it is about, and is not counted. A document that describes
//! several has no such root, and all of its packages count. Files and snippets are not packages.

use std::collections::BTreeSet;

use lockgate_model::Limits;
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::sbom::{self, Bom, Component};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Reads a whole document.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `SBOM_VERSION`, `TOO_MANY_COMPONENTS`, `DUPLICATE_KEY`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Bom, EvidenceError> {
    let root = Object::root(value)?;
    let version = match root.required_text("spdxVersion")? {
        "SPDX-2.2" => "2.2",
        "SPDX-2.3" => "2.3",
        other => {
            return Err(EvidenceError::new(
                "SBOM_VERSION",
                format!("`{}` is not read: write SPDX-2.3 or SPDX-2.2 in JSON", excerpt(other)),
            ));
        }
    };
    let described = described(&root)?;
    let subject = described.first().filter(|_| described.len() == 1);

    let mut bom = Bom::new("spdx", version);
    let mut ids: BTreeSet<String> = BTreeSet::new();
    let Some(packages) = root.list("packages")? else { return Ok(bom) };
    for package in packages.objects() {
        let package = package?;
        let id = package.required_text("SPDXID")?;
        if !ids.insert(id.to_owned()) {
            return Err(package.fault_at("SPDXID", &format!("is `{}`, like that of another package", excerpt(id))));
        }
        let (component, cpe) = component_of(&package)?;
        if subject.is_none_or(|subject| subject != id) {
            bom.add(component, cpe.as_deref(), limits)?;
        }
    }
    Ok(bom)
}

/// What the document says that it describes (SPDX 2.3, sections 6 and 11): `documentDescribes`, or relationships
/// from or to the document.
fn described(root: &Object<'_>) -> Result<BTreeSet<String>, EvidenceError> {
    let mut described = BTreeSet::new();
    if let Some(list) = root.list("documentDescribes")? {
        for id in list.texts() {
            described.insert(id?.to_owned());
        }
    }
    if let Some(relationships) = root.list("relationships")? {
        for relationship in relationships.objects() {
            let relationship = relationship?;
            let kind = relationship.required_text("relationshipType")?;
            let from = relationship.required_text("spdxElementId")?;
            let to = relationship.required_text("relatedSpdxElement")?;
            match kind {
                "DESCRIBES" if from == DOCUMENT => described.insert(to.to_owned()),
                "DESCRIBED_BY" if to == DOCUMENT => described.insert(from.to_owned()),
                _ => false,
            };
        }
    }
    Ok(described)
}

/// One package, and its CPE where it has one.
fn component_of(package: &Object<'_>) -> Result<(Component, Option<String>), EvidenceError> {
    let name = package.required_text("name")?.to_owned();
    let version = package.text_or_empty("versionInfo")?.filter(|version| !matches!(*version, "NOASSERTION" | "NONE"));
    let (mut purl, mut cpe) = (None, None);
    if let Some(references) = package.list("externalRefs")? {
        for reference in references.objects() {
            let reference = reference?;
            let kind = reference.required_text("referenceType")?;
            let locator = reference.required_text("referenceLocator")?;
            // The type may be written as a URI, such as `http://spdx.org/rdf/references/purl`.
            match kind.rsplit('/').next() {
                Some("purl") if purl.is_none() => purl = sbom::purl(locator),
                Some("cpe22Type" | "cpe23Type") if cpe.is_none() => cpe = sbom::cpe(locator).map(str::to_owned),
                _ => {}
            }
        }
    }
    Ok((Component { name, version: version.map(str::to_owned), purl }, cpe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::Completeness;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "spdxVersion": "SPDX-2.3",
            "SPDXID": "SPDXRef-DOCUMENT",
            "packages": [
                {"SPDXID": "SPDXRef-root", "name": "shop/web"},
                {"SPDXID": "SPDXRef-a", "name": "a", "versionInfo": "1", "externalRefs": [
                    {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:cargo/a@1"},
                ]},
                {"SPDXID": "SPDXRef-b", "name": "b", "versionInfo": "NOASSERTION", "externalRefs": [
                    {"referenceCategory": "SECURITY", "referenceType": "http://spdx.org/rdf/references/cpe23Type", "referenceLocator": "cpe:2.3:a:x:b:1"},
                ]},
                {"SPDXID": "SPDXRef-c", "name": "c", "versionInfo": "2"},
            ],
            "relationships": [
                {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root"},
                {"spdxElementId": "SPDXRef-root", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-a"},
            ],
        })
    }

    fn check(value: &Value, components: u64, without_version: u64, without_identifier: u64) {
        let claim = read(value, &Limits::DEFAULT).unwrap().claim();
        assert_eq!(
            (claim.components, claim.without_version, claim.without_identifier),
            (components, without_version, without_identifier)
        );
        assert_eq!(claim.completeness, Completeness::Unstated);
    }

    #[test]
    fn the_root_is_not_a_component() {
        check(&document(), 3, 1, 1);
        let mut value = document();
        value["relationships"] = json!([]);
        check(&value, 4, 2, 2);
        value["documentDescribes"] = json!(["SPDXRef-root"]);
        check(&value, 3, 1, 1);
        // Describing everything does not make everything disappear.
        value["documentDescribes"] = json!(["SPDXRef-root", "SPDXRef-a", "SPDXRef-b", "SPDXRef-c"]);
        check(&value, 4, 2, 2);
        let few = Limits { components_per_sbom: 3, ..Limits::DEFAULT };
        assert_eq!(read(&value, &few).unwrap_err().code, "TOO_MANY_COMPONENTS");
    }

    #[test]
    fn refuses_what_would_make_a_count_untrue() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = document();
            *value.pointer_mut(pointer).unwrap() = replacement;
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, code, "{pointer}");
        };
        check("/spdxVersion", json!("SPDX-2.1"), "SBOM_VERSION");
        check("/spdxVersion", json!("SPDX-3.0"), "SBOM_VERSION");
        check("/packages", json!({}), "EVIDENCE_MALFORMED");
        check("/packages", json!(null), "EVIDENCE_MALFORMED");
        check("/packages/1", json!({"SPDXID": "SPDXRef-a"}), "EVIDENCE_MALFORMED");
        check("/packages/1", json!({"name": "a"}), "EVIDENCE_MALFORMED");
        check("/packages/1/versionInfo", json!(1), "EVIDENCE_MALFORMED");
        check("/packages/1/SPDXID", json!("SPDXRef-b"), "EVIDENCE_MALFORMED");
        check("/packages/1/externalRefs", json!("pkg:cargo/a@1"), "EVIDENCE_MALFORMED");
        check("/relationships", json!("none"), "EVIDENCE_MALFORMED");
    }
}
