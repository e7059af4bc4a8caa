//! CycloneDX 1.4 to 1.7 in JSON (ECMA-424): what an artifact contains, and what is said of its vulnerabilities.
//!
//! `metadata.component` is what the document is about and is not counted; components are, at any depth, those inside it
//! among them. What would make a count, a licence or an identity untrue is refused; what Lockgate does not use (hashes,
//! patches, services) is not looked at. Vulnerabilities count only as VEX: with an `analysis`, and about something that
//! they name.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::Limits;
use lockgate_model::facts::{Completeness, Vex};

use crate::cyclonedx_vex::{self, Place, Vulnerability};
use crate::document::{List, Object};
use crate::error::{EvidenceError, excerpt};
use crate::licence;
use crate::sbom::{self, Bom, Component};
use crate::stream::{self, Document, Shape, Source};

const SPEC_VERSIONS: [&str; 4] = ["1.4", "1.5", "1.6", "1.7"];

/// `component.type` of the 1.7 schema; the older ones are subsets of it.
const TYPES: [&str; 13] = [
    "application",
    "framework",
    "library",
    "container",
    "platform",
    "operating-system",
    "device",
    "device-driver",
    "firmware",
    "file",
    "machine-learning-model",
    "data",
    "cryptographic-asset",
];

/// `composition.aggregate` of the 1.7 schema, without `complete`.
const INCOMPLETE: [&str; 7] = [
    "incomplete",
    "incomplete_first_party_only",
    "incomplete_first_party_proprietary_only",
    "incomplete_first_party_opensource_only",
    "incomplete_third_party_only",
    "incomplete_third_party_proprietary_only",
    "incomplete_third_party_opensource_only",
];

static DOCUMENT: Shape = Shape::Fields(&[
    ("bomFormat", Shape::Whole),
    ("specVersion", Shape::Whole),
    ("serialNumber", Shape::Whole),
    (
        "metadata",
        Shape::Fields(&[
            ("timestamp", Shape::Whole),
            ("authors", Shape::Each(&Shape::Fields(&[("name", Shape::Whole), ("email", Shape::Whole)]))),
            (
                "component",
                Shape::Fields(&[
                    ("bom-ref", Shape::Whole),
                    ("purl", Shape::Whole),
                    ("components", Shape::Stream("component", &COMPONENT)),
                ]),
            ),
        ]),
    ),
    ("components", Shape::Stream("component", &COMPONENT)),
    ("compositions", Shape::Whole),
    ("vulnerabilities", Shape::Stream("vulnerability", &cyclonedx_vex::VULNERABILITY)),
]);

static COMPONENT: Shape = Shape::Fields(&[
    ("type", Shape::Whole),
    ("name", Shape::Whole),
    ("group", Shape::Whole),
    ("version", Shape::Whole),
    ("versionRange", Shape::Whole),
    ("isExternal", Shape::Whole),
    ("bom-ref", Shape::Whole),
    ("purl", Shape::Whole),
    ("cpe", Shape::Whole),
    ("licenses", Shape::Each(&LICENCE)),
    ("components", Shape::Each(&COMPONENT)),
]);

static LICENCE: Shape = Shape::Fields(&[
    ("expression", Shape::Whole),
    ("acknowledgement", Shape::Whole),
    ("license", Shape::Fields(&[("id", Shape::Whole), ("name", Shape::Whole), ("acknowledgement", Shape::Whole)])),
]);

/// Reads a whole document.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `SBOM_VERSION`, `TOO_MANY_COMPONENTS`, `TOO_MANY_FINDINGS`, `EVIDENCE_TIME`, `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Bom, EvidenceError> {
    let (document, mut walk) = walk(source.into(), limits)?;
    let root = Object::root(&document.value)?;
    let completeness = completeness(&root, &walk)?;
    walk.bom.set_completeness(completeness);
    let vex = cyclonedx_vex::statements(&root, &walk.place(), &walk.vulnerabilities, limits)?;
    walk.bom.set_vex(vex);
    Ok(walk.bom)
}

/// Reads what a document says of known vulnerabilities, as VEX.
///
/// # Errors
/// As [`read`], and `EVIDENCE_MALFORMED` when no vulnerability in it has an analysis of something that it names.
pub(crate) fn read_vex<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Vex, EvidenceError> {
    let (document, walk) = walk(source.into(), limits)?;
    let root = Object::root(&document.value)?;
    cyclonedx_vex::document(&root, &walk.place(), &walk.vulnerabilities, limits)
}

fn walk<'l>(source: Source<'_>, limits: &'l Limits) -> Result<(Document, Walk<'l>), EvidenceError> {
    let mut walk = Walk {
        limits,
        bom: Bom::new("cyclonedx", ""),
        refs: BTreeMap::new(),
        subject: None,
        vulnerabilities: Vec::new(),
    };
    let document = stream::read(source, &DOCUMENT, limits, &mut |item| {
        let object = Object::part(&item.value, item.pointer)?;
        match item.list {
            "component" => walk.add_with_nested(&object),
            _ => walk.add_vulnerability(&object),
        }
    })?;
    let root = Object::root(&document.value)?;
    let format = root.required_text("bomFormat")?;
    if format != "CycloneDX" {
        return Err(root.fault_at("bomFormat", &format!("is `{}`, not `CycloneDX`", excerpt(format))));
    }
    let version = root.required_text("specVersion")?;
    if !SPEC_VERSIONS.contains(&version) {
        return Err(EvidenceError::new(
            "SBOM_VERSION",
            format!("CycloneDX `{}` is not read: write one of {}", excerpt(version), SPEC_VERSIONS.join(", ")),
        ));
    }
    walk.bom.set_spec_version(version);
    root.list("components")?;
    root.list("vulnerabilities")?;
    document.check_items()?;
    walk.subject = subject_ref(&root)?;
    Ok((document, walk))
}

/// The components found so far, their references, and the vulnerabilities.
struct Walk<'l> {
    limits: &'l Limits,
    bom: Bom,
    /// By `bom-ref`: which component it is.
    refs: BTreeMap<String, usize>,
    /// The `bom-ref` of what the document is about.
    subject: Option<String>,
    vulnerabilities: Vec<Vulnerability>,
}

impl Walk<'_> {
    /// Depth is bounded by `limits.json_depth`, because the document has been parsed within it.
    fn add_with_nested(&mut self, component: &Object<'_>) -> Result<(), EvidenceError> {
        self.add(component)?;
        match component.list("components")? {
            Some(nested) => self.add_all(&nested),
            None => Ok(()),
        }
    }

    fn add_all(&mut self, components: &List<'_>) -> Result<(), EvidenceError> {
        for component in components.objects() {
            self.add_with_nested(&component?)?;
        }
        Ok(())
    }

    fn add(&mut self, component: &Object<'_>) -> Result<(), EvidenceError> {
        let kind = component.required_text("type")?;
        if !TYPES.contains(&kind) {
            return Err(component.fault_at("type", &format!("is `{}`, which is no component type", excerpt(kind))));
        }
        let name = component.required_text("name")?;
        let name = match component.text_or_empty("group")? {
            Some(group) => format!("{group}/{name}"),
            None => name.to_owned(),
        };
        let version = component.text_or_empty("version")?.map(str::to_owned);
        if component.text("versionRange")?.is_some()
            && (version.is_some() || component.flag("isExternal")? != Some(true))
        {
            return Err(component.fault_at("versionRange", "is only for an external component without a `version`"));
        }
        if let Some(reference) = component.text("bom-ref")? {
            if reference.is_empty() {
                return Err(component.fault_at("bom-ref", "must not be empty"));
            }
            if self.refs.insert(reference.to_owned(), self.bom.len()).is_some() {
                return Err(component
                    .fault_at("bom-ref", &format!("is `{}`, like that of another component", excerpt(reference))));
            }
        }
        let purl = component.text("purl")?.and_then(sbom::purl);
        let cpe = component.text("cpe")?.and_then(sbom::cpe);
        let licence = licence_of(component)?;
        self.bom.add(Component { name, version, purl, licence }, cpe, self.limits)
    }

    fn add_vulnerability(&mut self, vulnerability: &Object<'_>) -> Result<(), EvidenceError> {
        if self.vulnerabilities.len() >= self.limits.findings_per_report {
            let message = format!("more than {} vulnerabilities in one document", self.limits.findings_per_report);
            return Err(EvidenceError::new("TOO_MANY_FINDINGS", message));
        }
        self.vulnerabilities.extend(Vulnerability::of(vulnerability)?);
        Ok(())
    }

    /// What the references of this document stand for.
    fn place(&self) -> Place<'_> {
        let purl_of = |at: &usize| self.bom.component(*at).and_then(|component| component.purl.as_deref());
        Place {
            subject: self.subject.as_deref(),
            purls: self.refs.iter().map(|(reference, at)| (reference.as_str(), purl_of(at))).collect(),
        }
    }
}

/// The licences of a component, as one expression. Of concluded and declared ones the concluded count. Where CycloneDX
/// has one of two fields, both of them are refused: one would hide the other.
fn licence_of(component: &Object<'_>) -> Result<Option<String>, EvidenceError> {
    let Some(licences) = component.list_or_null("licenses")? else { return Ok(None) };
    let (mut all, mut concluded) = (Vec::new(), Vec::new());
    for choice in licences.objects() {
        let choice = choice?;
        let (text, acknowledgement) = match choice.object("license")? {
            Some(_) if choice.text_or_empty("expression")?.is_some() => {
                return Err(choice.fault("has both a `license` and an `expression`: write one of them"));
            }
            Some(licence) => {
                let text = match (licence.text_or_empty("id")?, licence.text_or_empty("name")?) {
                    (Some(_), Some(_)) => {
                        return Err(licence.fault("has both an `id` and a `name`: write one of them"));
                    }
                    (id, name) => id.or(name).map(str::to_owned),
                };
                (text, licence.text("acknowledgement")?.map(str::to_owned))
            }
            None => (
                choice.text_or_empty("expression")?.map(str::to_owned),
                choice.text("acknowledgement")?.map(str::to_owned),
            ),
        };
        let Some(text) = text else { continue };
        if acknowledgement.as_deref() == Some("concluded") {
            concluded.push(text.clone());
        }
        all.push(text);
    }
    let counted = if concluded.is_empty() { all } else { concluded };
    Ok(licence::all_of(counted.iter().map(String::as_str)))
}

/// What `compositions` say of the whole. Anything incomplete makes it incomplete, anything unknown leaves it unstated,
/// and `complete` counts only when it covers the whole document: it names nothing in particular, or the document's own
/// component, or every single component.
fn completeness(root: &Object<'_>, walk: &Walk<'_>) -> Result<Completeness, EvidenceError> {
    let Some(compositions) = root.list("compositions")? else { return Ok(Completeness::Unstated) };
    let (mut incomplete, mut unknown, mut whole) = (false, false, false);
    let mut named: BTreeSet<String> = BTreeSet::new();
    for composition in compositions.objects() {
        let composition = composition?;
        match composition.required_text("aggregate")? {
            "complete" => {
                let mut names_something = false;
                for key in ["assemblies", "dependencies", "vulnerabilities"] {
                    let Some(list) = composition.list(key)? else { continue };
                    names_something |= !list.is_empty();
                    if key != "vulnerabilities" {
                        for reference in list.texts() {
                            named.insert(reference?.to_owned());
                        }
                    }
                }
                whole |= !names_something;
            }
            "unknown" | "not_specified" => unknown = true,
            aggregate if INCOMPLETE.contains(&aggregate) => incomplete = true,
            other => {
                return Err(
                    composition.fault_at("aggregate", &format!("is `{}`, which is no aggregate type", excerpt(other)))
                );
            }
        }
    }
    whole |= walk.subject.as_ref().is_some_and(|subject| named.contains(subject));
    whole |= !walk.refs.is_empty()
        && walk.refs.len() == walk.bom.len()
        && walk.refs.keys().all(|reference| named.contains(reference));
    Ok(match (incomplete, unknown, whole) {
        (true, _, _) => Completeness::Incomplete,
        (false, false, true) => Completeness::Complete,
        _ => Completeness::Unstated,
    })
}

/// The `bom-ref` of `metadata.component`; its components have been handed out.
fn subject_ref(root: &Object<'_>) -> Result<Option<String>, EvidenceError> {
    let Some(metadata) = root.object("metadata")? else { return Ok(None) };
    let Some(subject) = metadata.object("component")? else { return Ok(None) };
    subject.list("components")?;
    Ok(subject.text("bom-ref")?.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::Sbom;
    use serde_json::{Value, json};

    fn claim(value: &Value) -> Result<Sbom, &'static str> {
        read(value, &Limits::DEFAULT).map(|bom| bom.claim()).map_err(|error| error.code)
    }

    fn with(components: Value) -> Value {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})
    }

    #[test]
    fn counts_at_any_depth_but_not_the_subject() {
        let mut value = with(json!([
            {"type": "library", "name": "a", "version": "1", "purl": "pkg:cargo/a@1", "components": [
                {"type": "library", "name": "b", "version": "", "components": [{"type": "file", "name": "c", "cpe": "cpe:2.3:a:x:c:1"}]},
            ]},
            {"type": "library", "group": "@s", "name": "d", "version": "2", "purl": "none"},
        ]));
        value["metadata"] = json!({"component": {"type": "application", "name": "shop/web", "bom-ref": "root"}});
        let read_claim = claim(&value).unwrap();
        assert_eq!((read_claim.components, read_claim.without_version, read_claim.without_identifier), (4, 2, 2));
        let listed = read(&value, &Limits::DEFAULT).unwrap().into_components();
        let names: Vec<&str> = listed.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "@s/d"]);
        let few = Limits { components_per_sbom: 3, ..Limits::DEFAULT };
        assert_eq!(read(&value, &few).unwrap_err().code, "TOO_MANY_COMPONENTS");
        assert_eq!(claim(&json!({"bomFormat": "CycloneDX", "specVersion": "1.4"})).unwrap().components, 0);
        // What stands inside the subject is in the artifact.
        value["metadata"]["component"]["components"] = json!([
            {"type": "library", "name": "e", "licenses": [{"license": {"id": "GPL-3.0-only"}}], "components": [{"type": "file", "name": "f"}]},
        ]);
        let read_claim = claim(&value).unwrap();
        assert_eq!((read_claim.components, read_claim.licences.len()), (6, 1));
        let bad = |components: Value| {
            let mut value = value.clone();
            value["metadata"]["component"]["components"] = components.clone();
            assert_eq!(claim(&value), Err("EVIDENCE_MALFORMED"), "{components}");
        };
        bad(json!({}));
        bad(json!(null));
        bad(json!([{"type": "library"}]));
        bad(json!([{"type": "file", "name": "e", "bom-ref": "x"}, {"type": "file", "name": "f", "bom-ref": "x"}]));
    }

    #[test]
    fn refuses_what_would_make_a_count_untrue() {
        let good = json!({"type": "library", "name": "a", "version": "1"});
        assert!(claim(&with(json!([good]))).is_ok());
        for bad in [
            json!(null),
            json!({}),
            json!("a"),
            json!([null]),
            json!(["a"]),
            json!([[]]),
            json!([{"type": "library"}]),
            json!([{"name": "a"}]),
            json!([{"type": "library", "name": ""}]),
            json!([{"type": "library", "name": null}]),
            json!([{"type": "foo", "name": "a"}]),
            json!([{"type": "library", "name": "a", "version": 1}]),
            json!([{"type": "library", "name": "a", "version": null}]),
            json!([{"type": "library", "name": "a", "purl": ["pkg:cargo/a"]}]),
            json!([{"type": "library", "name": "a", "cpe": {}}]),
            json!([{"type": "library", "name": "a", "components": {}}]),
            json!([{"type": "library", "name": "a", "components": [{"type": "library"}]}]),
            json!([{"type": "library", "name": "a", "bom-ref": ""}]),
            json!([{"type": "library", "name": "a", "bom-ref": "x"}, {"type": "library", "name": "b", "bom-ref": "x"}]),
            json!([{"type": "library", "name": "a", "isExternal": false, "versionRange": "vers:npm/1"}]),
            json!([{"type": "library", "name": "a", "isExternal": true, "version": "1", "versionRange": "vers:npm/1"}]),
        ] {
            assert_eq!(claim(&with(bad.clone())), Err("EVIDENCE_MALFORMED"), "{bad}");
        }
        assert_eq!(claim(&json!({"bomFormat": "Cyclone", "specVersion": "1.6"})), Err("EVIDENCE_MALFORMED"));
        for version in ["1.3", "1.8", "2.0", "v1.6"] {
            assert_eq!(claim(&json!({"bomFormat": "CycloneDX", "specVersion": version})), Err("SBOM_VERSION"));
        }
        assert_eq!(claim(&json!({"bomFormat": "CycloneDX", "specVersion": 1.6})), Err("EVIDENCE_MALFORMED"));
        assert_eq!(
            claim(&json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "Components": []})),
            Err("DUPLICATE_KEY")
        );
    }

    #[test]
    fn completeness_is_what_covers_the_whole() {
        let check = |compositions: Value, expected: Completeness| {
            let mut value = with(json!([
                {"type": "library", "name": "a", "bom-ref": "a"},
                {"type": "library", "name": "b", "bom-ref": "b"},
            ]));
            value["metadata"] = json!({"component": {"type": "application", "name": "x", "bom-ref": "root"}});
            value["compositions"] = compositions.clone();
            assert_eq!(claim(&value).unwrap().completeness, expected, "{compositions}");
        };
        check(json!([]), Completeness::Unstated);
        check(json!([{"aggregate": "complete"}]), Completeness::Complete);
        check(json!([{"aggregate": "complete", "assemblies": ["root"]}]), Completeness::Complete);
        check(json!([{"aggregate": "complete", "dependencies": ["root"]}]), Completeness::Complete);
        check(json!([{"aggregate": "complete", "assemblies": ["a", "b"]}]), Completeness::Complete);
        check(json!([{"aggregate": "complete", "assemblies": ["a"]}]), Completeness::Unstated);
        check(json!([{"aggregate": "complete", "vulnerabilities": ["v"]}]), Completeness::Unstated);
        check(json!([{"aggregate": "complete"}, {"aggregate": "unknown"}]), Completeness::Unstated);
        check(json!([{"aggregate": "not_specified"}]), Completeness::Unstated);
        check(json!([{"aggregate": "complete"}, {"aggregate": "incomplete"}]), Completeness::Incomplete);
        check(json!([{"aggregate": "incomplete_third_party_only", "assemblies": ["a"]}]), Completeness::Incomplete);
        for bad in [
            json!({}),
            json!([{}]),
            json!([{"aggregate": "Complete"}]),
            json!([{"aggregate": "complete", "assemblies": [1]}]),
        ] {
            let mut value = with(json!([]));
            value["compositions"] = bad.clone();
            assert_eq!(claim(&value), Err("EVIDENCE_MALFORMED"), "{bad}");
        }
    }

    #[test]
    fn licences_and_versions_are_told() {
        let claim = claim(&with(json!([
            {"type": "library", "name": "a", "version": "1", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "Own licence"}}]},
            {"type": "library", "name": "b", "version": "^2", "licenses": [{"expression": "MIT OR ISC"}]},
            {"type": "library", "name": "c", "licenses": []},
            {"type": "library", "name": "d", "version": "1", "licenses": [
                {"license": {"id": "GPL-3.0-only", "acknowledgement": "declared"}},
                {"license": {"id": "ISC", "acknowledgement": "concluded"}},
            ]},
        ])))
        .unwrap();
        let expressions: Vec<&str> = claim.licences.iter().map(|one| one.expression.as_str()).collect();
        assert_eq!(expressions, ["ISC", "MIT AND LicenseRef-Own-licence", "MIT OR ISC"]);
        assert_eq!((claim.without_licence, claim.unpinned, claim.without_version), (Some(1), Some(2), 1));
        assert_eq!(claim.unpinned_names, ["b ^2", "c"]);
        for (bad, at) in [
            (json!("MIT"), "/components/0/licenses"),
            (json!(["MIT"]), "/components/0/licenses/0"),
            (json!([{"license": "MIT"}]), "/components/0/licenses/0/license"),
            (json!([{"license": {"id": 1}}]), "/components/0/licenses/0/license/id"),
            (json!([{"license": {"id": "MIT"}, "expression": "GPL-3.0-only"}]), "/components/0/licenses/0"),
            (json!([{"license": {"id": "MIT", "name": "GPL-3.0-only"}}]), "/components/0/licenses/0/license"),
        ] {
            let value = with(json!([{"type": "library", "name": "a", "licenses": bad}]));
            let error = super::read(&value, &Limits::DEFAULT).unwrap_err();
            assert_eq!(error.code, "EVIDENCE_MALFORMED", "{bad}");
            assert!(error.message.starts_with(&format!("`{at}` ")), "{bad}: {}", error.message);
        }
    }
}
