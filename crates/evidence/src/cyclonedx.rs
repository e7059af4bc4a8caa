//! CycloneDX 1.4 to 1.7 in JSON (ECMA-424): what an artifact contains.
//!
//! `metadata.component` is what the document is about and is not counted; components are, at any depth. What would
//! make a count or an identity untrue is refused; what Lockgate does not use (hashes, licences, patches, the serial
//! number) is not looked at.

use std::collections::BTreeSet;

use lockgate_model::Limits;
use lockgate_model::facts::Completeness;
use serde_json::Value;

use crate::document::{List, Object};
use crate::error::{EvidenceError, excerpt};
use crate::sbom::{self, Bom, Component};

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

/// Reads a whole document.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `SBOM_VERSION`, `TOO_MANY_COMPONENTS`, `DUPLICATE_KEY`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Bom, EvidenceError> {
    let root = Object::root(value)?;
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

    let mut walk = Walk { limits, bom: Bom::new("cyclonedx", version), refs: BTreeSet::new() };
    if let Some(components) = root.list("components")? {
        walk.add_all(&components)?;
    }
    let completeness = completeness(&root, &walk)?;
    walk.bom.set_completeness(completeness);
    Ok(walk.bom)
}

/// The components found so far, and their references.
struct Walk<'l> {
    limits: &'l Limits,
    bom: Bom,
    refs: BTreeSet<String>,
}

impl Walk<'_> {
    /// Depth is bounded by `limits.json_depth`, because the document has been parsed within it.
    fn add_all(&mut self, components: &List<'_>) -> Result<(), EvidenceError> {
        for component in components.objects() {
            let component = component?;
            self.add(&component)?;
            if let Some(nested) = component.list("components")? {
                self.add_all(&nested)?;
            }
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
            if !self.refs.insert(reference.to_owned()) {
                return Err(component
                    .fault_at("bom-ref", &format!("is `{}`, like that of another component", excerpt(reference))));
            }
        }
        let purl = component.text("purl")?.and_then(sbom::purl);
        let cpe = component.text("cpe")?.and_then(sbom::cpe);
        self.bom.add(Component { name, version, purl }, cpe, self.limits)
    }
}

/// What `compositions` say of the whole. Anything incomplete makes it incomplete, anything unknown leaves it unstated,
/// and `complete` counts only when it covers the whole document: it names nothing in particular, or the document's own
/// component, or every single component.
fn completeness(root: &Object<'_>, walk: &Walk<'_>) -> Result<Completeness, EvidenceError> {
    let Some(compositions) = root.list("compositions")? else { return Ok(Completeness::Unstated) };
    let subject = subject_ref(root)?;
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
    whole |= subject.is_some_and(|subject| named.contains(&subject));
    whole |= !walk.refs.is_empty() && walk.refs.len() == walk.bom.len() && walk.refs.is_subset(&named);
    Ok(match (incomplete, unknown, whole) {
        (true, _, _) => Completeness::Incomplete,
        (false, false, true) => Completeness::Complete,
        _ => Completeness::Unstated,
    })
}

/// The `bom-ref` of `metadata.component`.
fn subject_ref(root: &Object<'_>) -> Result<Option<String>, EvidenceError> {
    let Some(metadata) = root.object("metadata")? else { return Ok(None) };
    let Some(subject) = metadata.object("component")? else { return Ok(None) };
    Ok(subject.text("bom-ref")?.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::Sbom;
    use serde_json::json;

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
}
