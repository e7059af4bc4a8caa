//! Shapes that cosign wrote before it wrote bundles.
//!
//! `sigstore/cosign`: the blob bundle of versions before 2, and the signatures of an image, as
//! `cosign download signature` prints them. An image's signature is over a small payload ("simple signing") that names
//! the image by digest; the payload is what is verified, and then what it names is what is signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use serde_json::{Value, json};

use crate::bundle::MEDIA_TYPES;
use crate::container::malformed;
use crate::outcome::Refusal;

/// A signature over a payload that names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSignature {
    /// The signed payload.
    pub payload: Vec<u8>,
    /// The digest of the image's manifest, as the payload names it.
    pub image: Digest,
    /// The signature over the payload; for ECDSA in ASN.1 DER.
    pub signature: Vec<u8>,
    /// The bundle that certificate and log entry make, for a signature without a key; over the payload.
    pub bundle: Option<Vec<u8>>,
}

impl ImageSignature {
    /// Reads one object that `cosign download signature` prints.
    ///
    /// # Errors
    /// [`Reason::Malformed`](crate::Reason::Malformed).
    pub(crate) fn parse(value: &Value) -> Result<Self, Refusal> {
        let payload = base64(text(value, "/Payload")?)?;
        let signature = base64(text(value, "/Base64Signature")?)?;
        let named = json::read(&payload, &Limits::DEFAULT, Numbers::Any).map_err(|error| malformed(error.message))?;
        let image: Digest = text(&named, "/critical/image/docker-manifest-digest")?
            .parse()
            .map_err(|error: lockgate_model::DigestError| malformed(error.to_string()))?;
        // The certificate is printed with all its parsed fields; `Raw` is the certificate itself.
        let certificate = match value.get("Cert") {
            Some(Value::Object(_)) => Some(text(value, "/Cert/Raw")?.to_owned()),
            Some(Value::String(pem)) if !pem.is_empty() => Some(STANDARD.encode(certificate_der(pem)?)),
            _ => None,
        };
        let bundle = match (certificate, value.get("Bundle")) {
            (Some(certificate), Some(rekor @ Value::Object(_))) => {
                let encoded = STANDARD.encode(&signature);
                Some(bundle_of(&encoded, Some(&certificate), rekor)?.to_string().into_bytes())
            }
            _ => None,
        };
        Ok(Self { payload, image, signature, bundle })
    }
}

/// The bundle that a blob bundle of cosign stands for: a message signature with a promise of the log.
///
/// # Errors
/// [`Reason::Malformed`](crate::Reason::Malformed).
pub(crate) fn blob_bundle(value: &Value) -> Result<Value, Refusal> {
    let signature = text(value, "/base64Signature")?;
    let certificate = match value.get("cert").and_then(Value::as_str) {
        Some("") | None => None,
        Some(cert) => Some(STANDARD.encode(certificate_der(cert)?)),
    };
    let rekor = value.get("rekorBundle").filter(|rekor| rekor.is_object());
    let rekor = rekor.ok_or_else(|| malformed("the bundle of cosign has no `rekorBundle`, and so no log entry"))?;
    bundle_of(signature, certificate.as_deref(), rekor)
}

/// `certificate` in base64 of DER; without one the signer is a key that the verifier has to have.
fn bundle_of(signature: &str, certificate: Option<&str>, rekor: &Value) -> Result<Value, Refusal> {
    let body = text(rekor, "/Payload/body")?;
    let entry = json::read(&base64(body)?, &Limits::DEFAULT, Numbers::Any).map_err(|error| malformed(error.message))?;
    let number = |pointer: &str| {
        rekor
            .pointer(pointer)
            .and_then(Value::as_u64)
            .map(|number| number.to_string())
            .ok_or_else(|| malformed(format!("the log entry has no number at `{pointer}`")))
    };
    let log: Digest = Digest::from_hex(text(rekor, "/Payload/logID")?).map_err(|error| malformed(error.to_string()))?;
    let mut message = json!({ "signature": signature });
    if let Some(hex) = entry.pointer("/spec/data/hash/value").and_then(Value::as_str) {
        let digest = Digest::from_hex(hex).map_err(|error| malformed(error.to_string()))?;
        let digest = json!({ "algorithm": "SHA2_256", "digest": STANDARD.encode(digest.as_bytes()) });
        if let Some(message) = message.as_object_mut() {
            message.insert("messageDigest".to_owned(), digest);
        }
    }
    let mut material = json!({
        "tlogEntries": [{
            "logIndex": number("/Payload/logIndex")?,
            "logId": { "keyId": STANDARD.encode(log.as_bytes()) },
            "kindVersion": { "kind": text(&entry, "/kind")?, "version": text(&entry, "/apiVersion")? },
            "integratedTime": number("/Payload/integratedTime")?,
            "inclusionPromise": { "signedEntryTimestamp": text(rekor, "/SignedEntryTimestamp")? },
            "canonicalizedBody": body,
        }],
    });
    if let Some(material) = material.as_object_mut() {
        match certificate {
            Some(der) => {
                let chain = json!({ "certificates": [{ "rawBytes": der }] });
                material.insert("x509CertificateChain".to_owned(), chain)
            }
            None => material.insert("publicKey".to_owned(), json!({ "hint": "" })),
        };
    }
    Ok(json!({ "mediaType": MEDIA_TYPES[0], "verificationMaterial": material, "messageSignature": message }))
}

/// A certificate as cosign writes it: in PEM, or base64 around the PEM.
fn certificate_der(text: &str) -> Result<Vec<u8>, Refusal> {
    let unreadable = || malformed("the certificate is not one PEM block `CERTIFICATE`");
    let pem = match text.contains("-----BEGIN") {
        true => text.to_owned(),
        false => String::from_utf8(base64(text.trim())?).map_err(|_| unreadable())?,
    };
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----").ok_or_else(unreadable)?;
    let (block, _) = rest.split_once("-----END CERTIFICATE-----").ok_or_else(unreadable)?;
    let digits: String = block.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64(&digits)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, Refusal> {
    let missing = || malformed(format!("there is no text at `{pointer}`"));
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(missing)
}

fn base64(text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|error| malformed(format!("not padded base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Bundle, Content, Material};

    fn rekor() -> Value {
        let body = json!({
            "apiVersion": "0.0.1", "kind": "hashedrekord",
            "spec": { "data": { "hash": { "algorithm": "sha256", "value": Digest::of(b"a").hex() } } },
        });
        json!({
            "SignedEntryTimestamp": "AQID",
            "Payload": {
                "body": STANDARD.encode(body.to_string()), "integratedTime": 1_700_000_000, "logIndex": 7,
                "logID": Digest::of(b"log").hex(),
            },
        })
    }

    fn pem() -> String {
        "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n".to_owned()
    }

    fn read(value: &Value) -> Bundle {
        Bundle::parse(value.to_string().as_bytes(), &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn a_blob_bundle_is_promised_and_not_proved() {
        for cert in [pem(), STANDARD.encode(pem())] {
            let value = json!({ "base64Signature": "AQID", "cert": cert, "rekorBundle": rekor() });
            let bundle = read(&blob_bundle(&value).unwrap());
            assert_eq!(bundle.material(), &Material::Certificate(vec![1, 2, 3]));
            assert!(bundle.is_promised() && !bundle.is_logged());
            let expected = Content::Message { digest: Some(Digest::of(b"a")), signature: vec![1, 2, 3] };
            assert_eq!(bundle.content(), &expected);
        }
        let keyed = json!({ "base64Signature": "AQID", "rekorBundle": rekor() });
        assert!(matches!(read(&blob_bundle(&keyed).unwrap()).material(), Material::Key { .. }));
        assert!(blob_bundle(&json!({ "base64Signature": "AQID" })).is_err());
        assert!(blob_bundle(&json!({ "base64Signature": "AQID", "cert": "x", "rekorBundle": rekor() })).is_err());
    }

    #[test]
    fn an_image_signature_names_the_image() {
        let image = Digest::of(b"image");
        let payload = json!({ "critical": { "image": { "docker-manifest-digest": image } } }).to_string();
        let value = json!({
            "Base64Signature": "AQID", "Payload": STANDARD.encode(&payload), "Cert": { "Raw": "AQID" }, "Bundle": rekor(),
        });
        let signature = ImageSignature::parse(&value).unwrap();
        assert_eq!((signature.image, signature.payload), (image, payload.into_bytes()));
        assert!(signature.bundle.is_some());
        let mut bad = value.clone();
        bad["Payload"] = json!(STANDARD.encode("{}"));
        assert!(ImageSignature::parse(&bad).is_err());
    }
}
