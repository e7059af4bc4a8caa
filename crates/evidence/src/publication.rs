//! Publishing: in-toto's release predicate, npm's publish attestation, and PyPI's.
//!
//! in-toto `spec/predicates/release.md` (0.1 and 0.2), npm `specs/publish/v0.1`, PEP 740.

use lockgate_model::facts::{Publication, ReleaseRecord};
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;
use crate::statement::Subject;

/// npm's publish attestation.
pub(crate) const NPM: &str = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1";
/// PyPI's publish attestation.
pub(crate) const PYPI: &str = "https://docs.pypi.org/attestations/publish/v1";

/// Reads a release predicate; the package URL has to say which version.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
pub(crate) fn release(predicate: &Value) -> Result<ReleaseRecord, EvidenceError> {
    let root = Object::root(predicate)?;
    let purl = root.required_label("purl")?;
    if !has_version(purl) {
        return Err(root.fault_at("purl", "must be a package URL with a version, such as `pkg:npm/cart@1.4.2`"));
    }
    let package_id = match root.label("packageId")? {
        Some(id) => Some(id),
        None => root.label("releaseId")?,
    };
    Ok(ReleaseRecord { purl: purl.to_owned(), package_id: package_id.map(str::to_owned) })
}

/// Whether a package URL has a version: what stands after the last `@` of the path.
fn has_version(purl: &str) -> bool {
    let path = purl.split(['?', '#']).next().unwrap_or_default();
    let last = path.strip_prefix("pkg:").and_then(|path| path.rsplit_once('/')).map(|(_, last)| last);
    last.and_then(|last| last.split_once('@')).is_some_and(|(name, version)| !name.is_empty() && !version.is_empty())
}

/// Reads npm's predicate.
///
/// # Errors
/// As [`release`].
pub(crate) fn npm(predicate: &Value) -> Result<Publication, EvidenceError> {
    let root = Object::root(predicate)?;
    Ok(Publication {
        format: "npm".to_owned(),
        registry: Some(root.required_label("registry")?.to_owned()),
        name: root.required_label("name")?.to_owned(),
        version: Some(root.required_label("version")?.to_owned()),
    })
}

/// Reads PyPI's statement, which has no predicate: everything is in its one subject.
///
/// # Errors
/// As [`release`].
pub(crate) fn pypi(predicate: &Value, subjects: &[Subject]) -> Result<Publication, EvidenceError> {
    let is_empty = predicate.is_null() || predicate.as_object().is_some_and(|fields| fields.is_empty());
    if !is_empty {
        return Err(EvidenceError::malformed("a publish attestation of PyPI has no predicate, and this one has"));
    }
    match subjects {
        [Subject { name: Some(name), .. }] if !name.is_empty() => {
            Ok(Publication { format: "pypi".to_owned(), registry: None, name: name.clone(), version: None })
        }
        _ => {
            Err(EvidenceError::malformed("a publish attestation of PyPI names exactly one file, and this one does not"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_release_has_a_version() {
        for good in
            ["pkg:npm/cart@1.4.2", "pkg:npm/@shop/cart@1.4.2", "pkg:oci/web@sha256%3Aab?repository_url=r.example/web"]
        {
            assert_eq!(release(&json!({"purl": good})).unwrap().purl, good);
        }
        for bad in ["pkg:npm/cart", "pkg:npm/@shop/cart", "npm/cart@1", "pkg:npm/cart@", "pkg:npm/cart?v=@1", ""] {
            assert_eq!(release(&json!({"purl": bad})).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
        for key in ["packageId", "releaseId"] {
            let read = release(&json!({"purl": "pkg:npm/cart@1", key: "7"})).unwrap();
            assert_eq!(read.package_id.as_deref(), Some("7"));
        }
    }

    #[test]
    fn registries_name_what_they_published() {
        let claim = npm(&json!({"name": "cart", "version": "1.4.2", "registry": "https://registry.example"})).unwrap();
        assert_eq!((claim.name.as_str(), claim.version.as_deref()), ("cart", Some("1.4.2")));
        for bad in [json!({}), json!(null), json!({"name": "cart", "version": 1, "registry": "r"})] {
            assert_eq!(npm(&bad).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
        let subject = |name: Option<&str>| Subject {
            name: name.map(str::to_owned),
            sha256: None,
            others: vec!["sha512".to_owned()],
            git_commit: None,
            source_refs: Vec::new(),
        };
        let file = subject(Some("cart-1.4.2.tar.gz"));
        assert_eq!(pypi(&Value::Null, std::slice::from_ref(&file)).unwrap().name, "cart-1.4.2.tar.gz");
        assert!(pypi(&json!({}), std::slice::from_ref(&file)).is_ok());
        for (predicate, subjects) in [
            (json!({"a": 1}), vec![file.clone()]),
            (json!([]), vec![file.clone()]),
            (Value::Null, vec![]),
            (Value::Null, vec![subject(None)]),
            (Value::Null, vec![file.clone(), file]),
        ] {
            assert_eq!(pypi(&predicate, &subjects).unwrap_err().code, "EVIDENCE_MALFORMED", "{predicate}");
        }
    }
}
