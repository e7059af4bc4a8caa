//! PyPI attestations: the index's own shape, turned into bundles.
//!
//! PEP 740, "Attestation objects". The signed bytes stay as they are; only the JSON around them is another.

use serde_json::{Value, json};

use crate::bundle::MEDIA_TYPES;
use crate::container::malformed;
use crate::outcome::{Reason, Refusal};

/// The version of attestation objects that is read.
const VERSION: u64 = 1;

/// The bundle that an attestation object stands for.
///
/// # Errors
/// [`Reason::Unsupported`] for another version, [`Reason::Malformed`] for a missing part.
pub(crate) fn bundle(attestation: &Value) -> Result<Value, Refusal> {
    let version = attestation.get("version").and_then(Value::as_u64);
    if version != Some(VERSION) {
        let detail = format!("a PyPI attestation of a version that is not read: this version reads {VERSION}");
        return Err(Refusal::new(Reason::Unsupported, detail));
    }
    let text = |pointer: &str| {
        attestation
            .pointer(pointer)
            .and_then(Value::as_str)
            .ok_or_else(|| malformed(format!("the PyPI attestation has no text at `{pointer}`")))
    };
    let entries = attestation
        .pointer("/verification_material/transparency_entries")
        .filter(|entries| entries.is_array())
        .ok_or_else(|| malformed("the PyPI attestation has no `transparency_entries`"))?;
    Ok(json!({
        "mediaType": MEDIA_TYPES[3],
        "verificationMaterial": {
            "certificate": { "rawBytes": text("/verification_material/certificate")? },
            "tlogEntries": entries,
        },
        "dsseEnvelope": {
            "payload": text("/envelope/statement")?,
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{ "sig": text("/envelope/signature")?, "keyid": "" }],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use lockgate_model::Limits;

    fn attestation() -> Value {
        json!({
            "version": 1,
            "verification_material": { "certificate": "AQID", "transparency_entries": [{ "inclusionProof": {} }] },
            "envelope": { "statement": "e30=", "signature": "AQID" },
        })
    }

    #[test]
    fn the_signed_bytes_stay() {
        let bundle = bundle(&attestation()).unwrap();
        let read = Bundle::parse(bundle.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!(read.envelope().unwrap().payload, b"{}");
        assert!(read.is_logged());
    }

    #[test]
    fn missing_parts_are_refused() {
        for pointer in ["/version", "/verification_material", "/envelope/statement", "/envelope/signature"] {
            let mut value = attestation();
            *value.pointer_mut(pointer).unwrap() = Value::Null;
            assert!(bundle(&value).is_err(), "{pointer}");
        }
    }
}
