//! SPDX 3.0 in JSON-LD: the packages of a document, their licences, and what is said of completeness.
//!
//! Read are `SpdxDocument`, `software_Sbom`, `software_Package`, relationships (`describes`, `contains`,
//! `hasConcludedLicense`, `hasDeclaredLicense`) and licence expressions, each as an element of `@graph`; every other
//! class is left out. Packages inside other elements are refused, because one reader would count them and another would
//! not. The context is not fetched: the names are those of the published one.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::Limits;
use lockgate_model::facts::Completeness;

use crate::budget::Budget;
use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::licence;
use crate::sbom::{self, Bom, Component};
use crate::stream::Shape;

/// `specVersion` of the versions that are read.
const VERSIONS: [&str; 2] = ["3.0.0", "3.0.1"];

/// What is kept of one element.
pub(crate) static ELEMENT: Shape = Shape::Fields(&[
    ("type", Shape::Whole),
    ("@type", Shape::Whole),
    ("spdxId", Shape::Whole),
    ("@id", Shape::Whole),
    ("specVersion", Shape::Whole),
    ("name", Shape::Whole),
    ("rootElement", Shape::Whole),
    ("software_packageVersion", Shape::Whole),
    ("software_packageUrl", Shape::Whole),
    (
        "externalIdentifier",
        Shape::Each(&Shape::Fields(&[("externalIdentifierType", Shape::Whole), ("identifier", Shape::Whole)])),
    ),
    ("simplelicensing_licenseExpression", Shape::Whole),
    ("relationshipType", Shape::Whole),
    ("from", Shape::Whole),
    ("to", Shape::Whole),
    ("completeness", Shape::Whole),
]);

/// The elements so far.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    versions: BTreeSet<String>,
    packages: Vec<Package>,
    /// The ids of the packages.
    ids: BTreeSet<String>,
    /// What documents and bills of materials have as their roots, by their ids.
    documents: BTreeMap<String, Vec<String>>,
    boms: BTreeMap<String, Vec<String>>,
    /// What documents describe by relationship.
    described: Vec<(String, String)>,
    licences: BTreeMap<String, String>,
    concluded: BTreeMap<String, Vec<String>>,
    declared: BTreeMap<String, Vec<String>>,
    /// From whom something is contained, and how completely that is told.
    contained: Vec<(String, Completeness)>,
}

#[derive(Debug)]
struct Package {
    id: String,
    component: Component,
    cpe: Option<String>,
}

impl Graph {
    /// Adds one element.
    ///
    /// # Errors
    /// `EVIDENCE_MALFORMED`, `TOO_MANY_COMPONENTS`, `DUPLICATE_KEY`.
    pub(crate) fn add(&mut self, element: &Object<'_>, limits: &Limits) -> Result<(), EvidenceError> {
        let class = match element.text("type")? {
            Some(class) => class,
            None => element.required_text("@type")?,
        };
        match class {
            "CreationInfo" => {
                self.versions.insert(element.required_text("specVersion")?.to_owned());
            }
            "SpdxDocument" => {
                self.documents.insert(id_of(element)?, references(element, "rootElement")?);
            }
            "software_Sbom" | "Bom" => {
                self.boms.insert(id_of(element)?, references(element, "rootElement")?);
            }
            "software_Package" => self.add_package(element, limits)?,
            "Relationship" | "LifecycleScopedRelationship" => self.add_relationship(element)?,
            "simplelicensing_LicenseExpression" => {
                let expression = element.required_text("simplelicensing_licenseExpression")?;
                self.licences.insert(id_of(element)?, expression.to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn add_package(&mut self, element: &Object<'_>, limits: &Limits) -> Result<(), EvidenceError> {
        sbom::check_count(self.packages.len().saturating_sub(1), limits)?;
        let id = id_of(element)?;
        if !self.ids.insert(id.clone()) {
            return Err(element.fault_at("spdxId", &format!("is `{}`, like that of another package", excerpt(&id))));
        }
        let mut purl = element.text("software_packageUrl")?.and_then(sbom::purl);
        let mut cpe = None;
        if let Some(identifiers) = element.list("externalIdentifier")? {
            for identifier in identifiers.objects() {
                let identifier = identifier?;
                let text = identifier.required_text("identifier")?;
                match identifier.required_text("externalIdentifierType")? {
                    "packageUrl" if purl.is_none() => purl = sbom::purl(text),
                    "cpe22" | "cpe23" if cpe.is_none() => cpe = sbom::cpe(text).map(str::to_owned),
                    _ => {}
                }
            }
        }
        let component = Component {
            name: element.required_text("name")?.to_owned(),
            version: element.text_or_empty("software_packageVersion")?.map(str::to_owned),
            purl,
            licence: None,
        };
        self.packages.push(Package { id, component, cpe });
        Ok(())
    }

    fn add_relationship(&mut self, element: &Object<'_>) -> Result<(), EvidenceError> {
        let kind = element.required_text("relationshipType")?;
        let from = references(element, "from")?;
        let [from] = from.as_slice() else { return Err(element.fault_at("from", "must be one element")) };
        let to = references(element, "to")?;
        let completeness = match element.text("completeness")? {
            Some("complete") => Completeness::Complete,
            Some("incomplete") => Completeness::Incomplete,
            None | Some("noAssertion") => Completeness::Unstated,
            Some(other) => {
                let message = format!("is `{}`, which is no completeness", excerpt(other));
                return Err(element.fault_at("completeness", &message));
            }
        };
        match kind {
            "describes" => self.described.extend(to.into_iter().map(|to| (from.clone(), to))),
            "contains" => self.contained.push((from.clone(), completeness)),
            "hasConcludedLicense" => self.concluded.entry(from.clone()).or_default().extend(to),
            "hasDeclaredLicense" => self.declared.entry(from.clone()).or_default().extend(to),
            _ => {}
        }
        Ok(())
    }

    /// The bill of materials.
    ///
    /// # Errors
    /// `SBOM_VERSION`, `EVIDENCE_MALFORMED`, `TOO_MANY_COMPONENTS`.
    pub(crate) fn into_bom(mut self, root: &Object<'_>, limits: &Limits) -> Result<Bom, EvidenceError> {
        check_context(root)?;
        let mut versions = self.versions.iter();
        let version = match (versions.next(), versions.next()) {
            (Some(version), None) if VERSIONS.contains(&version.as_str()) => version.clone(),
            (Some(version), None) => {
                return Err(EvidenceError::new(
                    "SBOM_VERSION",
                    format!("SPDX `{}` is not read: write one of {}", excerpt(version), VERSIONS.join(", ")),
                ));
            }
            _ => return Err(root.fault_at("@graph", "must have `CreationInfo` of one `specVersion`")),
        };
        let subject = self.subject();
        let mut bom = Bom::new("spdx", &version);
        bom.set_completeness(self.completeness(subject.as_deref()));
        let mut budget = Budget::new(limits);
        for Package { id, mut component, cpe } in std::mem::take(&mut self.packages) {
            if subject.as_ref() != Some(&id) {
                component.licence = match self.licence(&self.concluded, &id, &mut budget)? {
                    Some(concluded) => Some(concluded),
                    None => self.licence(&self.declared, &id, &mut budget)?,
                };
                bom.add(component, cpe.as_deref(), limits)?;
            }
        }
        Ok(bom)
    }

    /// The one package that the documents describe, directly or through a bill of materials.
    fn subject(&self) -> Option<String> {
        let named = self.described.iter().filter(|(from, _)| self.documents.contains_key(from)).map(|(_, to)| to);
        let roots: BTreeSet<&String> = self.documents.values().flatten().chain(named).collect();
        let inner = roots.iter().filter_map(|root| self.boms.get(*root)).flatten();
        let packages: BTreeSet<&String> =
            roots.iter().copied().chain(inner).filter(|id| self.ids.contains(*id)).collect();
        let mut packages = packages.into_iter();
        match (packages.next(), packages.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }

    /// Anything incomplete makes the whole incomplete; complete is what the subject is said to contain completely.
    fn completeness(&self, subject: Option<&str>) -> Completeness {
        let of = |wanted: Completeness| self.contained.iter().filter(move |(_, told)| *told == wanted);
        let from_subject = |from: &String| subject == Some(from.as_str());
        if of(Completeness::Incomplete).next().is_some() {
            Completeness::Incomplete
        } else if of(Completeness::Complete).any(|(from, _)| from_subject(from))
            && !of(Completeness::Unstated).any(|(from, _)| from_subject(from))
        {
            Completeness::Complete
        } else {
            Completeness::Unstated
        }
    }

    /// The licences that relationships give a package: expressions of the graph, and listed licences by their IRI.
    ///
    /// # Errors
    /// `EVIDENCE_TOO_LARGE`.
    fn licence(
        &self,
        relationships: &BTreeMap<String, Vec<String>>,
        package: &str,
        budget: &mut Budget,
    ) -> Result<Option<String>, EvidenceError> {
        let ids = relationships.get(package).map(Vec::as_slice).unwrap_or_default();
        let copied = ids.iter().filter_map(|id| self.licences.get(id)).map(String::len);
        budget.take(copied.fold(0, usize::saturating_add))?;
        let texts = ids.iter().filter_map(|id| {
            if let Some(expression) = self.licences.get(id) {
                return Some(expression.clone());
            }
            let name = id.rsplit(['/', '#', ':']).next().unwrap_or(id);
            let is_listed = id.starts_with("https://spdx.org/licenses/") || id.starts_with("http://spdx.org/licenses/");
            let is_none = matches!(
                name,
                "NoneLicense" | "NoAssertionLicense" | "NoneElement" | "NoAssertionElement" | "NONE" | "NOASSERTION"
            ) || name.ends_with("_NoneLicense")
                || name.ends_with("_NoAssertionLicense");
            match (is_none, is_listed) {
                (true, _) => None,
                (false, true) => Some(name.to_owned()),
                // A licence that is an element of its own, with its text: it has at least a name.
                (false, false) => Some(licence::named(name)),
            }
        });
        let texts: Vec<String> = texts.collect();
        Ok(licence::all_of(texts.iter().map(String::as_str)))
    }
}

fn check_context(root: &Object<'_>) -> Result<(), EvidenceError> {
    let context = root.required_text("@context")?;
    match context.starts_with("https://spdx.org/rdf/3.0.") && context.ends_with("/spdx-context.jsonld") {
        true => Ok(()),
        false => Err(EvidenceError::new(
            "SBOM_VERSION",
            format!("the context `{}` is not that of SPDX 3.0.0 or 3.0.1", excerpt(context)),
        )),
    }
}

fn id_of(element: &Object<'_>) -> Result<String, EvidenceError> {
    match element.text("spdxId")? {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => Ok(element.required_text("@id")?.to_owned()),
    }
}

/// The ids in a field: one text, or a list of texts, or elements in their place, which must not be packages.
fn references(element: &Object<'_>, key: &'static str) -> Result<Vec<String>, EvidenceError> {
    let one = |value: &serde_json::Value| match value {
        serde_json::Value::String(id) => Ok(id.clone()),
        serde_json::Value::Object(inner) => {
            let class = inner.get("type").or_else(|| inner.get("@type")).and_then(serde_json::Value::as_str);
            if class == Some("software_Package") {
                return Err(element.fault_at(key, "holds a package: write every package as an element of `@graph`"));
            }
            let id = inner.get("spdxId").or_else(|| inner.get("@id")).and_then(serde_json::Value::as_str);
            id.map(str::to_owned).ok_or_else(|| element.fault_at(key, "holds an element without an id"))
        }
        _ => Err(element.fault_at(key, "must be the id of an element")),
    };
    match element.value(key)? {
        None => Ok(Vec::new()),
        Some(serde_json::Value::Array(items)) => items.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdx;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({
            "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
            "@graph": [
                {"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1", "created": "2026-11-20T10:00:00Z"},
                {"type": "SpdxDocument", "spdxId": "urn:doc", "rootElement": ["urn:sbom"]},
                {"type": "software_Sbom", "spdxId": "urn:sbom", "rootElement": ["urn:app"]},
                {"type": "software_Package", "spdxId": "urn:app", "name": "app"},
                {"type": "software_Package", "spdxId": "urn:a", "name": "a", "software_packageVersion": "1", "software_packageUrl": "pkg:cargo/a@1"},
                {"type": "software_Package", "spdxId": "urn:b", "name": "b", "externalIdentifier": [
                    {"type": "ExternalIdentifier", "externalIdentifierType": "cpe23", "identifier": "cpe:2.3:a:x:b:1"},
                ]},
                {"type": "software_File", "spdxId": "urn:f", "name": "f"},
                {"type": "simplelicensing_LicenseExpression", "spdxId": "urn:l", "simplelicensing_licenseExpression": "MIT OR ISC"},
                {"type": "Relationship", "spdxId": "urn:r1", "from": "urn:a", "to": ["urn:l"], "relationshipType": "hasDeclaredLicense"},
                {"type": "Relationship", "spdxId": "urn:r2", "from": "urn:b", "to": ["https://spdx.org/licenses/BSD-3-Clause"], "relationshipType": "hasConcludedLicense"},
                {"type": "Relationship", "spdxId": "urn:r3", "from": "urn:app", "to": ["urn:a", "urn:b"], "relationshipType": "contains", "completeness": "complete"},
            ],
        })
    }

    #[test]
    fn packages_and_their_licences() {
        let claim = spdx::read(&document(), &Limits::DEFAULT).unwrap().claim();
        assert_eq!((claim.format.as_str(), claim.spec_version.as_str()), ("spdx", "3.0.1"));
        assert_eq!((claim.components, claim.without_version, claim.without_identifier), (2, 1, 0));
        assert_eq!(claim.completeness, Completeness::Complete);
        let expressions: Vec<&str> = claim.licences.iter().map(|one| one.expression.as_str()).collect();
        assert_eq!(expressions, ["BSD-3-Clause", "MIT OR ISC"]);
        let mut value = document();
        value["@graph"][1]["rootElement"] = json!([]);
        assert_eq!(spdx::read(&value, &Limits::DEFAULT).unwrap().claim().components, 3);
        // One expression of the graph, said for each package.
        let few = Limits { claim_bytes: 5, ..Limits::DEFAULT };
        assert_eq!(spdx::read(&document(), &few).unwrap_err().code, "EVIDENCE_TOO_LARGE");
        let mut value = document();
        value["@graph"][10]["completeness"] = json!("incomplete");
        assert_eq!(spdx::read(&value, &Limits::DEFAULT).unwrap().claim().completeness, Completeness::Incomplete);
    }

    #[test]
    fn refuses_other_versions_and_hidden_packages() {
        let check = |pointer: &str, replacement: Value, expected: &str| {
            let mut value = document();
            *value.pointer_mut(pointer).unwrap() = replacement.clone();
            assert_eq!(spdx::read(&value, &Limits::DEFAULT).unwrap_err().code, expected, "{pointer} {replacement}");
        };
        check("/@context", json!("https://spdx.org/rdf/3.1/spdx-context.jsonld"), "SBOM_VERSION");
        check("/@context", json!("https://evil.example/spdx-context.jsonld"), "SBOM_VERSION");
        check("/@graph", json!({}), "EVIDENCE_MALFORMED");
        check("/@graph", json!([]), "EVIDENCE_MALFORMED");
        check("/@graph/0/specVersion", json!("3.1.0"), "SBOM_VERSION");
        check("/@graph/4", json!("urn:a"), "EVIDENCE_MALFORMED");
        check("/@graph/4/spdxId", json!("urn:b"), "EVIDENCE_MALFORMED");
        check("/@graph/4/name", json!(null), "EVIDENCE_MALFORMED");
        check("/@graph/8/from", json!(["urn:a", "urn:b"]), "EVIDENCE_MALFORMED");
        check(
            "/@graph/10/to",
            json!([{"type": "software_Package", "spdxId": "urn:z", "name": "z"}]),
            "EVIDENCE_MALFORMED",
        );
        check("/@graph/10/completeness", json!("very"), "EVIDENCE_MALFORMED");
        let few = Limits { components_per_sbom: 1, ..Limits::DEFAULT };
        assert_eq!(spdx::read(&document(), &few).unwrap_err().code, "TOO_MANY_COMPONENTS");
    }
}
