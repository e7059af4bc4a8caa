//! Rebuilds (`https://lockgate.dev/rebuild/v1`): whether someone else built the same bytes.

use lockgate_model::Limits;
use lockgate_model::facts::{Divergence, Rebuild};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::own;
use crate::provenance::is_commit;

const FIELDS: [&str; 7] =
    ["artifact", "builder", "reproduced", "rebuilt", "divergences", "source_commit", "rebuilt_at"];

/// Reads a document; what it says of itself has to agree.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Rebuild, EvidenceError> {
    let root = own::open(value, own::REBUILD, &FIELDS)?;
    let artifact = root.required_digest("artifact")?;
    let Some(reproduced) = root.flag("reproduced")? else { return Err(root.fault("has no `reproduced`")) };
    let rebuilt = root.digest("rebuilt")?;
    let divergences = divergences(&root, limits)?;
    if rebuilt.is_some_and(|rebuilt| (rebuilt == artifact) != reproduced) {
        return Err(root.fault_at("rebuilt", "contradicts `reproduced`: bytes are the same exactly when digests are"));
    }
    if reproduced && !divergences.is_empty() {
        return Err(root.fault_at("divergences", "contradicts `reproduced`: what is the same differs nowhere"));
    }
    let source_commit = root.text("source_commit")?;
    if let Some(id) = source_commit.filter(|id| !is_commit(id)) {
        let id = excerpt(id);
        return Err(root.fault_at("source_commit", &format!("is `{id}`: a full lower-case commit id is needed")));
    }
    Ok(Rebuild {
        artifact,
        builder: root.required_label("builder")?.to_owned(),
        reproduced,
        rebuilt,
        divergences,
        source_commit: source_commit.map(str::to_owned),
        rebuilt_at: root.moment("rebuilt_at")?,
    })
}

fn divergences(root: &Object<'_>, limits: &Limits) -> Result<Vec<Divergence>, EvidenceError> {
    let Some(list) = root.list("divergences")? else { return Ok(Vec::new()) };
    if list.len() > limits.findings_per_report {
        return Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} divergences in one report", limits.findings_per_report),
        ));
    }
    let mut divergences = Vec::new();
    for item in list.objects() {
        let item = item?;
        item.only(&["path", "explanation"])?;
        divergences.push(Divergence {
            path: item.required_label("path")?.to_owned(),
            explanation: item.digest("explanation")?,
        });
    }
    Ok(divergences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Digest;
    use serde_json::json;

    fn sample(reproduced: bool) -> Value {
        json!({"artifact": Digest::of(b"a").to_string(), "builder": "https://rebuild.example/b1", "reproduced": reproduced})
    }

    #[test]
    fn reads_what_came_out() {
        let claim = read(&sample(true), &Limits::DEFAULT).unwrap();
        assert!(claim.reproduced && claim.divergences.is_empty() && claim.artifact == Digest::of(b"a"));
        let mut value = sample(false);
        value["rebuilt"] = json!(Digest::of(b"b").to_string());
        value["divergences"] =
            json!([{"path": "bin/a"}, {"path": "build-id", "explanation": Digest::of(b"why").to_string()}]);
        let claim = read(&value, &Limits::DEFAULT).unwrap();
        assert_eq!(claim.divergences.iter().filter(|divergence| divergence.explanation.is_none()).count(), 1);
    }

    #[test]
    fn contradictions_are_refused() {
        let check = |reproduced: bool, key: &str, value: Value, code: &str| {
            let mut document = sample(reproduced);
            document[key] = value;
            assert_eq!(read(&document, &Limits::DEFAULT).unwrap_err().code, code, "{document}");
        };
        check(true, "rebuilt", json!(Digest::of(b"b").to_string()), "EVIDENCE_MALFORMED");
        check(false, "rebuilt", json!(Digest::of(b"a").to_string()), "EVIDENCE_MALFORMED");
        check(true, "divergences", json!([{"path": "a"}]), "EVIDENCE_MALFORMED");
        check(true, "artifact", json!("sha256:00"), "EVIDENCE_MALFORMED");
        check(true, "artifact", json!(Digest::of(b"a").hex()), "EVIDENCE_MALFORMED");
        check(true, "reproduced", json!("true"), "EVIDENCE_MALFORMED");
        check(true, "reproduced", json!(null), "EVIDENCE_MALFORMED");
        check(true, "builder", json!(""), "EVIDENCE_MALFORMED");
        check(true, "source_commit", json!("main"), "EVIDENCE_MALFORMED");
        check(true, "reproducible", json!(true), "EVIDENCE_MALFORMED");
        check(false, "divergences", json!([{"path": "a", "explanation": "because"}]), "EVIDENCE_MALFORMED");
        check(true, "rebuilt_at", json!("now"), "EVIDENCE_TIME");
        check(true, "schema", json!("https://lockgate.dev/rebuild/v0"), "REPORT_VERSION");
    }
}
