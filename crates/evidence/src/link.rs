//! in-toto links (`spec/predicates/link.md`, 0.3), references (`reference.md`, 0.1) and runtime traces
//! (`runtime-trace.md`, 0.1 and 0.2): records of a step, of documents kept elsewhere, and of a watched run.

use lockgate_model::Limits;
use lockgate_model::facts::{Link, ReferencedDocument, References, RuntimeTrace};
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;
use crate::summary::sha256_of;
use crate::test_result::shown;

/// How many words of a command are kept.
const WORDS: usize = 64;

/// Reads a link.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
pub(crate) fn link(predicate: &Value) -> Result<Link, EvidenceError> {
    let root = Object::root(predicate)?;
    let mut command = Vec::new();
    if let Some(words) = root.list_or_null("command")? {
        for word in words.texts() {
            let word = word?;
            if command.len() < WORDS {
                command.push(shown(word));
            }
        }
    }
    let mut materials = 0;
    if let Some(list) = root.list_or_null("materials")? {
        for material in list.objects() {
            material?;
            materials += 1;
        }
    }
    let byproducts = root.object_or_null("byproducts")?;
    let exit_code = match byproducts {
        Some(byproducts) => byproducts.value("return-value")?.and_then(Value::as_u64),
        None => None,
    };
    Ok(Link { name: root.required_label("name")?.to_owned(), command, materials, exit_code })
}

/// Reads references; they are never fetched.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`, `TOO_MANY_FINDINGS`.
pub(crate) fn references(predicate: &Value, limits: &Limits) -> Result<References, EvidenceError> {
    let root = Object::root(predicate)?;
    let list = root.required_list("references")?;
    if list.is_empty() {
        return Err(root.fault_at("references", "is empty: nothing is referred to"));
    }
    if list.len() > limits.statement_subjects {
        return Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} references in one statement", limits.statement_subjects),
        ));
    }
    let mut documents = Vec::new();
    for item in list.objects() {
        let item = item?;
        documents.push(ReferencedDocument {
            location: item.required_label("downloadLocation")?.to_owned(),
            media_type: item.required_label("mediaType")?.to_owned(),
            digest: sha256_of(&item)?,
        });
    }
    Ok(References { attester: root.required_object("attester")?.required_label("id")?.to_owned(), documents })
}

/// Reads a runtime trace; of the log, only how much of it there is.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `DUPLICATE_KEY`.
pub(crate) fn runtime_trace(predicate: &Value) -> Result<RuntimeTrace, EvidenceError> {
    let root = Object::root(predicate)?;
    let process = root.required_object("monitoredProcess")?;
    process.required_text("hostID")?;
    process.required_text("type")?;
    let log = root.required_object("monitorLog")?;
    let count = |key: &'static str| -> Result<Option<u64>, EvidenceError> {
        Ok(log.list_or_null(key)?.and_then(|list| u64::try_from(list.len()).ok()))
    };
    let (processes, network, files) = (count("process")?, count("network")?, count("fileAccess")?);
    if processes.is_none() && network.is_none() && files.is_none() {
        return Err(log.fault("has none of `process`, `network` and `fileAccess`: nothing was watched"));
    }
    let finished_at = match root.object_or_null("metadata")? {
        Some(metadata) => metadata.end_of("buildStartedOn", "buildFinishedOn")?,
        None => None,
    };
    Ok(RuntimeTrace {
        monitor: root.required_object("monitor")?.required_label("type")?.to_owned(),
        watched: process.required_label("event")?.to_owned(),
        processes,
        network,
        files,
        finished_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Digest;
    use serde_json::json;

    #[test]
    fn reads_a_step() {
        let claim = link(&json!({
            "name": "build", "command": ["make", "all"], "materials": [{"uri": "a"}],
            "byproducts": {"return-value": 0, "stdout": "ok"}, "environment": null,
        }))
        .unwrap();
        assert_eq!((claim.command.len(), claim.materials, claim.exit_code), (2, 1, Some(0)));
        assert_eq!(link(&json!({"name": "build", "command": null})).unwrap().exit_code, None);
        for bad in [
            json!({}),
            json!({"name": ""}),
            json!({"name": "a", "command": "make"}),
            json!({"name": "a", "materials": ["x"]}),
        ] {
            assert_eq!(link(&bad).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
    }

    #[test]
    fn reads_references() {
        let document = json!({"downloadLocation": "https://a.example/sbom", "mediaType": "application/json", "digest": {"sha256": Digest::of(b"a").hex()}});
        let claim =
            references(&json!({"attester": {"id": "https://ci.example"}, "references": [document]}), &Limits::DEFAULT)
                .unwrap();
        assert_eq!(claim.documents[0].digest, Some(Digest::of(b"a")));
        for bad in [
            json!({"attester": {"id": "a"}}),
            json!({"attester": {"id": "a"}, "references": []}),
            json!({"attester": {}, "references": [document]}),
            json!({"attester": {"id": "a"}, "references": [{"mediaType": "application/json"}]}),
        ] {
            assert_eq!(references(&bad, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
    }

    #[test]
    fn what_was_not_watched_is_not_counted() {
        let with = |log: Value| {
            json!({
                "monitor": {"type": "https://monitor.example"},
                "monitoredProcess": {"hostID": "https://ci.example", "type": "https://ci.example/build", "event": "run 7"},
                "monitorLog": log, "metadata": {"buildStartedOn": "2026-11-20T10:00:00Z", "buildFinishedOn": "2026-11-20T10:05:00Z"},
            })
        };
        let claim = runtime_trace(&with(json!({"network": [], "process": [{}, {}]}))).unwrap();
        assert_eq!((claim.processes, claim.network, claim.files), (Some(2), Some(0), None));
        assert!(claim.finished_at.is_some());
        for bad in [json!({}), json!({"network": null}), json!({"network": {}}), json!(null)] {
            assert_eq!(runtime_trace(&with(bad.clone())).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
    }
}
