//! The published schema of facts: what whoever writes rules about them can rely on.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Facts;

/// The JSON Schema (draft 2020-12) of [`Facts`], named by [`Facts::SCHEMA`].
///
/// Fields are only ever added to a version, and never to the required ones. Says nothing about canonical form, nor
/// about what a text has to look like: the types say that when facts are read.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Facts>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), Value::from(Facts::SCHEMA));
    }
    if let Some(name) = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut) {
        name.insert("const".to_owned(), Value::from(Facts::SCHEMA));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_its_version_and_every_kind_of_claim() {
        let schema = schema();
        assert_eq!(schema["$id"], Facts::SCHEMA);
        assert_eq!(schema["properties"]["schema"]["const"], Facts::SCHEMA);
        assert_eq!(schema["additionalProperties"], false);
        let claim = &schema["$defs"]["Claim"]["oneOf"];
        let kinds: Vec<&str> =
            claim.as_array().unwrap().iter().map(|one| one["properties"]["kind"]["const"].as_str().unwrap()).collect();
        for kind in ["provenance", "sbom", "tests", "vulnerabilities", "static-analysis", "unknown", "malformed"] {
            assert!(kinds.contains(&kind), "{kind} of {kinds:?}");
        }
    }
}
