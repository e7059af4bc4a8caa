//! Small documents of Lockgate's own, for what no common format says.
//!
//! Each is one JSON object that names its `schema`; as the predicate of a statement it may leave that out, because the
//! predicate type says it. A field that the schema does not have is refused: nobody would read it.

use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};

/// Performance results.
pub(crate) const PERFORMANCE: &str = "https://lockgate.dev/performance/v1";
/// Results of a rebuild.
pub(crate) const REBUILD: &str = "https://lockgate.dev/rebuild/v1";
/// A change ticket.
pub(crate) const CHANGE: &str = "https://lockgate.dev/change/v1";
/// A named check.
pub(crate) const CHECK: &str = "https://lockgate.dev/check/v1";
/// A configuration's digest.
pub(crate) const CONFIGURATION: &str = "https://lockgate.dev/configuration/v1";
/// The state of feature flags.
pub(crate) const FLAGS: &str = "https://lockgate.dev/flags/v1";
/// A review of source.
pub(crate) const REVIEW: &str = "https://lockgate.dev/review/v1";

/// Opens a document: the schema, where it is named, and no field but those in `fields`.
///
/// # Errors
/// `REPORT_VERSION` for another schema, `EVIDENCE_MALFORMED` for another shape.
pub(crate) fn open<'a>(value: &'a Value, schema: &str, fields: &[&str]) -> Result<Object<'a>, EvidenceError> {
    let root = Object::root(value)?;
    if let Some(named) = root.text("schema")?
        && named != schema
    {
        return Err(EvidenceError::new(
            "REPORT_VERSION",
            format!("the schema `{}` is not read here: write `{schema}`", excerpt(named)),
        ));
    }
    let known: Vec<&str> = std::iter::once("schema").chain(fields.iter().copied()).collect();
    root.closed(&known)
}

/// Whether a schema is another version of one of these.
pub(crate) fn is_version_of(named: &str, schema: &str) -> bool {
    match (named.rsplit_once('/'), schema.rsplit_once('/')) {
        (Some((named, _)), Some((schema, _))) => named == schema,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_schema_may_be_left_out_but_not_be_another() {
        assert!(open(&json!({}), CHECK, &[]).is_ok());
        assert!(open(&json!({"schema": CHECK}), CHECK, &[]).is_ok());
        assert_eq!(open(&json!({"schema": FLAGS}), CHECK, &[]).err().unwrap().code, "REPORT_VERSION");
        assert_eq!(open(&json!({"schema": 1}), CHECK, &[]).err().unwrap().code, "EVIDENCE_MALFORMED");
        assert_eq!(open(&json!({"nmae": "a"}), CHECK, &["name"]).err().unwrap().code, "EVIDENCE_MALFORMED");
        assert_eq!(open(&json!([]), CHECK, &[]).err().unwrap().code, "EVIDENCE_MALFORMED");
    }

    #[test]
    fn versions_of_one_schema() {
        assert!(is_version_of("https://lockgate.dev/check/v2", CHECK));
        assert!(!is_version_of("https://lockgate.dev/checks/v1", CHECK));
        assert!(!is_version_of("check", CHECK));
    }
}
