//! SCAI attribute reports (in-toto `spec/predicates/scai.md`).

use lockgate_model::facts::Attributes;
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;

/// Reads a predicate; an attribute with conditions, or of something else than the subject, is kept apart.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
pub(crate) fn read(predicate: &Value) -> Result<Attributes, EvidenceError> {
    let root = Object::root(predicate)?;
    let list = root.required_list("attributes")?;
    if list.is_empty() {
        return Err(root.fault_at("attributes", "is empty: a report has at least one"));
    }
    let producer = match root.object_or_null("producer")? {
        Some(producer) => producer.text_or_empty("uri")?.or(producer.text_or_empty("name")?).map(str::to_owned),
        None => None,
    };
    let mut claim = Attributes { producer, attributes: Vec::new(), conditional: Vec::new(), with_evidence: 0 };
    for item in list.objects() {
        let item = item?;
        let attribute = item.required_label("attribute")?.to_owned();
        let bound = item.object_or_null("target")?.is_some()
            || item.object_or_null("conditions")?.is_some_and(|conditions| !conditions.fields().is_empty());
        match bound {
            true => claim.conditional.push(attribute),
            false => claim.attributes.push(attribute),
        }
        claim.with_evidence += u64::from(item.object_or_null("evidence")?.is_some());
    }
    Ok(claim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_keep_an_attribute_apart() {
        let claim = read(&json!({
            "attributes": [
                {"attribute": "REPRODUCIBLE", "evidence": {"uri": "https://a.example"}},
                {"attribute": "WITH_STACK_PROTECTION", "conditions": {"flags": "-fstack-protector"}},
                {"attribute": "ATTESTED", "target": {"name": "lib.so"}},
            ],
            "producer": {"uri": "https://ci.example", "name": "ci"},
        }))
        .unwrap();
        assert_eq!(claim.attributes, ["REPRODUCIBLE"]);
        assert_eq!(claim.conditional, ["WITH_STACK_PROTECTION", "ATTESTED"]);
        assert_eq!((claim.producer.as_deref(), claim.with_evidence), (Some("https://ci.example"), 1));
    }

    #[test]
    fn refuses_what_asserts_nothing() {
        for bad in [
            json!({}),
            json!({"attributes": []}),
            json!({"attributes": ["REPRODUCIBLE"]}),
            json!({"attributes": [{"attribute": ""}]}),
            json!({"attributes": [{"attribute": "A", "target": "lib.so"}]}),
            json!({"attributes": [{"attribute": "A"}], "producer": "ci"}),
        ] {
            assert_eq!(read(&bad).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
    }
}
