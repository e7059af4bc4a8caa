//! Configurations (`https://lockgate.dev/configuration/v1`): a name and the digest of the bytes.

use lockgate_model::facts::Configuration;
use serde_json::Value;

use crate::error::EvidenceError;
use crate::own;

/// Reads a document.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`.
pub(crate) fn read(value: &Value) -> Result<Configuration, EvidenceError> {
    let root = own::open(value, own::CONFIGURATION, &["name", "digest", "environment"])?;
    Ok(Configuration {
        name: root.required_label("name")?.to_owned(),
        digest: root.required_digest("digest")?,
        environment: root.label("environment")?.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Digest;
    use serde_json::json;

    #[test]
    fn reads_a_digest_and_nothing_less() {
        let digest = Digest::of(b"replicas: 3");
        let claim = read(&json!({"name": "values", "digest": digest.to_string()})).unwrap();
        assert_eq!((claim.name.as_str(), claim.digest, claim.environment), ("values", digest, None));
        for bad in [
            json!({"name": "values"}),
            json!({"digest": digest.to_string()}),
            json!({"name": "values", "digest": digest.hex()}),
            json!({"name": "values", "digest": digest.to_string(), "env": "production"}),
            json!({"name": "values", "digest": null}),
        ] {
            assert_eq!(read(&bad).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
    }
}
