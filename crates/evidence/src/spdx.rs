//! SPDX 2.2 and 2.3 in JSON, and 3.0 in JSON-LD: what an artifact contains.
//!
//! The one package that the document describes is what it is about, and is not counted. A document that describes
//! several has no such root, and all of its packages count. Files and snippets are not packages.

use std::collections::BTreeSet;

use lockgate_model::Limits;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::sbom::{self, Bom, Component};
use crate::stream::{self, Shape, Source};
use crate::{licence, spdx3};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

static SHAPE: Shape = Shape::Fields(&[
    ("spdxVersion", Shape::Whole),
    ("documentDescribes", Shape::Whole),
    ("packages", Shape::Stream("package", &PACKAGE)),
    ("relationships", Shape::Stream("relationship", &RELATIONSHIP)),
    ("@context", Shape::Whole),
    ("@graph", Shape::Stream("element", &spdx3::ELEMENT)),
]);

static PACKAGE: Shape = Shape::Fields(&[
    ("SPDXID", Shape::Whole),
    ("name", Shape::Whole),
    ("versionInfo", Shape::Whole),
    ("licenseConcluded", Shape::Whole),
    ("licenseDeclared", Shape::Whole),
    (
        "externalRefs",
        Shape::Each(&Shape::Fields(&[("referenceType", Shape::Whole), ("referenceLocator", Shape::Whole)])),
    ),
]);

static RELATIONSHIP: Shape = Shape::Fields(&[
    ("relationshipType", Shape::Whole),
    ("spdxElementId", Shape::Whole),
    ("relatedSpdxElement", Shape::Whole),
]);

/// One package, and its CPE where it has one.
type Identified = (Component, Option<String>);

/// Reads a whole document.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `SBOM_VERSION`, `TOO_MANY_COMPONENTS`, `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Bom, EvidenceError> {
    let mut packages: Vec<(String, Identified)> = Vec::new();
    let mut ids: BTreeSet<String> = BTreeSet::new();
    let mut described: BTreeSet<String> = BTreeSet::new();
    let mut graph = spdx3::Graph::default();
    let document = stream::read(source.into(), &SHAPE, limits, &mut |item| {
        let object = Object::part(&item.value, item.pointer)?;
        match item.list {
            "package" => {
                let id = object.required_text("SPDXID")?;
                if !ids.insert(id.to_owned()) {
                    let message = format!("is `{}`, like that of another package", excerpt(id));
                    return Err(object.fault_at("SPDXID", &message));
                }
                sbom::check_count(packages.len().saturating_sub(1), limits)?;
                packages.push((id.to_owned(), component_of(&object)?));
            }
            "relationship" => described.extend(described_by(&object)?),
            _ => graph.add(&object, limits)?,
        }
        Ok(())
    })?;
    let root = Object::root(&document.value)?;
    if root.value("spdxVersion")?.is_none() && root.value("@graph")?.is_some() {
        root.list("@graph")?;
        document.check_items()?;
        return graph.into_bom(&root, limits);
    }
    let version = match root.required_text("spdxVersion")? {
        "SPDX-2.2" => "2.2",
        "SPDX-2.3" => "2.3",
        other => {
            return Err(EvidenceError::new(
                "SBOM_VERSION",
                format!("`{}` is not read: write SPDX-2.3 or SPDX-2.2 in JSON, or SPDX 3.0 in JSON-LD", excerpt(other)),
            ));
        }
    };
    root.list("packages")?;
    root.list("relationships")?;
    if root.value("@graph")?.is_some() {
        return Err(root.fault_at("@graph", "does not belong into a document of SPDX 2"));
    }
    document.check_items()?;
    if let Some(list) = root.list("documentDescribes")? {
        for id in list.texts() {
            described.insert(id?.to_owned());
        }
    }
    let subject = described.first().filter(|_| described.len() == 1);

    let mut bom = Bom::new("spdx", version);
    for (id, (component, cpe)) in packages {
        if subject.is_none_or(|subject| *subject != id) {
            bom.add(component, cpe.as_deref(), limits)?;
        }
    }
    Ok(bom)
}

/// What a relationship says that the document describes (SPDX 2.3, sections 6 and 11).
fn described_by(relationship: &Object<'_>) -> Result<Option<String>, EvidenceError> {
    let kind = relationship.required_text("relationshipType")?;
    let from = relationship.required_text("spdxElementId")?;
    let to = relationship.required_text("relatedSpdxElement")?;
    Ok(match kind {
        "DESCRIBES" if from == DOCUMENT => Some(to.to_owned()),
        "DESCRIBED_BY" if to == DOCUMENT => Some(from.to_owned()),
        _ => None,
    })
}

/// One package, and its CPE where it has one.
fn component_of(package: &Object<'_>) -> Result<Identified, EvidenceError> {
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
    // What was found out counts before what the authors declare.
    let (concluded, declared) = (package.text("licenseConcluded")?, package.text("licenseDeclared")?);
    let licence = licence::all_of(concluded).or_else(|| licence::all_of(declared));
    Ok((Component { name, version: version.map(str::to_owned), purl, licence }, cpe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::Completeness;
    use serde_json::{Value, json};

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
                {"SPDXID": "SPDXRef-c", "name": "c", "versionInfo": "2", "licenseConcluded": "NOASSERTION", "licenseDeclared": "MIT OR ISC"},
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
    fn licences_are_concluded_or_declared() {
        let mut value = document();
        let licences = |value: &Value| {
            let claim = read(value, &Limits::DEFAULT).unwrap().claim();
            let expressions: Vec<String> = claim.licences.into_iter().map(|one| one.expression).collect();
            (expressions, claim.without_licence)
        };
        assert_eq!(licences(&value), (vec!["MIT OR ISC".to_owned()], Some(2)));
        value["packages"][3]["licenseConcluded"] = json!("MIT");
        assert_eq!(licences(&value), (vec!["MIT".to_owned()], Some(2)));
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
