//! Shapes that cosign wrote before it wrote bundles.
//!
//! `sigstore/cosign`: the blob bundle of versions before 2, and the signatures of an image, as
//! `cosign download signature` prints them. An image's signature is over a small payload ("simple signing") that names
//! the image by digest; the payload is what is verified, and then what it names is what is signed. Payload, certificate,
//! log entry and timestamp stand in one object, so that it can be verified from its own bytes, as a bundle can.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use serde_json::{Map, Value, json};

use crate::bundle::{Bundle, MEDIA_TYPES};
use crate::container::malformed;
use crate::outcome::Refusal;

/// What a payload says that it is: a key that signs images signs other JSON as well.
const PAYLOAD_TYPES: [&str; 2] = ["cosign container image signature", "https://sigstore.dev/cosign/sign/v1"];

/// A signature over a payload that names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSignature {
    /// The signed payload.
    pub payload: Vec<u8>,
    /// The digest of the image's manifest, as the payload names it.
    pub image: Digest,
    /// The signature over the payload; for ECDSA in ASN.1 DER.
    pub signature: Vec<u8>,
    /// The bundle over the payload that signature, certificate, log entry and timestamp make.
    pub bundle: Bundle,
}

impl ImageSignature {
    /// Whether a JSON value is one object that `cosign download signature` prints.
    pub fn announces(value: &Value) -> bool {
        ["Base64Signature", "Payload"].iter().all(|name| value.get(name).is_some_and(|value| !value.is_null()))
    }

    /// Whether bytes are one such object; what does not read as JSON is none.
    pub fn announced(bytes: &[u8], limits: &Limits) -> bool {
        json::read(bytes, limits, Numbers::Any).is_ok_and(|value| Self::announces(&value))
    }

    /// Reads one such object from its bytes; nothing in it is verified.
    ///
    /// # Errors
    /// As [`Bundle::parse`], and [`Reason::Malformed`](crate::Reason::Malformed) for a payload that names no image.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let value = json::read(bytes, limits, Numbers::Any).map_err(|error| malformed(error.message))?;
        Self::of(&value, limits)
    }

    /// Reads one such object.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn of(value: &Value, limits: &Limits) -> Result<Self, Refusal> {
        let payload = base64(text(value, "/Payload")?)?;
        let signature = base64(text(value, "/Base64Signature")?)?;
        let named = json::read(&payload, limits, Numbers::Any).map_err(|error| malformed(error.message))?;
        let announced = text(&named, "/critical/type")?;
        if !PAYLOAD_TYPES.contains(&announced) {
            return Err(malformed(format!("the payload says that it is `{announced}`, and not an image's signature")));
        }
        let image: Digest = text(&named, "/critical/image/docker-manifest-digest")?
            .parse()
            .map_err(|error: lockgate_model::DigestError| malformed(error.to_string()))?;
        // The certificate is printed with all its parsed fields; `Raw` is the certificate itself.
        let certificate = match value.get("Cert") {
            Some(Value::Object(_)) => Some(text(value, "/Cert/Raw")?.to_owned()),
            Some(Value::String(pem)) if !pem.is_empty() => Some(STANDARD.encode(certificate_der(pem)?)),
            _ => None,
        };
        let stamp = match value.get("RFC3161Timestamp") {
            Some(Value::Object(_)) => Some(text(value, "/RFC3161Timestamp/SignedRFC3161Timestamp")?),
            _ => None,
        };
        let parts = Parts {
            signature: &STANDARD.encode(&signature),
            digest: Some(Digest::of(&payload)),
            certificate: certificate.as_deref(),
            rekor: value.get("Bundle").filter(|rekor| rekor.is_object()),
            stamp,
        };
        let bundle = Bundle::parse(parts.bundle()?.to_string().as_bytes(), limits)?;
        Ok(Self { payload, image, signature, bundle })
    }
}

/// The bundle that a blob bundle of cosign stands for: a message signature with a promise of the log.
///
/// # Errors
/// [`Reason::Malformed`](crate::Reason::Malformed).
pub(crate) fn blob_bundle(value: &Value) -> Result<Value, Refusal> {
    let certificate = match value.get("cert").and_then(Value::as_str) {
        Some("") | None => None,
        Some(cert) => Some(STANDARD.encode(certificate_der(cert)?)),
    };
    let rekor = value.get("rekorBundle").filter(|rekor| rekor.is_object());
    if rekor.is_none() {
        return Err(malformed("the bundle of cosign has no `rekorBundle`, and so no log entry"));
    }
    let signature = text(value, "/base64Signature")?;
    Parts { signature, digest: None, certificate: certificate.as_deref(), rekor, stamp: None }.bundle()
}

/// What a signature of cosign's comes with; all but `rekor` in base64.
struct Parts<'a> {
    signature: &'a str,
    /// Of what is signed; where it is not known, the log entry says it.
    digest: Option<Digest>,
    /// In DER; without one the signer is a key that the verifier has to have.
    certificate: Option<&'a str>,
    /// The log's promise.
    rekor: Option<&'a Value>,
    /// A timestamp of RFC 3161.
    stamp: Option<&'a str>,
}

impl Parts<'_> {
    /// The bundle that they make.
    ///
    /// # Errors
    /// [`Reason::Malformed`](crate::Reason::Malformed).
    fn bundle(&self) -> Result<Value, Refusal> {
        let entry = self.rekor.map(log_entry).transpose()?;
        let (entries, logged) = entry.map_or((Vec::new(), None), |(entry, digest)| (vec![entry], digest));
        let mut message = Map::new();
        message.insert("signature".to_owned(), json!(self.signature));
        if let Some(digest) = self.digest.or(logged) {
            let digest = json!({ "algorithm": "SHA2_256", "digest": STANDARD.encode(digest.as_bytes()) });
            message.insert("messageDigest".to_owned(), digest);
        }
        let mut material = Map::new();
        material.insert("tlogEntries".to_owned(), Value::Array(entries));
        if let Some(stamp) = self.stamp {
            let stamps = json!({ "rfc3161Timestamps": [{ "signedTimestamp": stamp }] });
            material.insert("timestampVerificationData".to_owned(), stamps);
        }
        match self.certificate {
            Some(der) => {
                let chain = json!({ "certificates": [{ "rawBytes": der }] });
                material.insert("x509CertificateChain".to_owned(), chain)
            }
            None => material.insert("publicKey".to_owned(), json!({ "hint": "" })),
        };
        Ok(json!({ "mediaType": MEDIA_TYPES[0], "verificationMaterial": material, "messageSignature": message }))
    }
}

/// A log entry as bundles write it, and the digest that it is about.
fn log_entry(rekor: &Value) -> Result<(Value, Option<Digest>), Refusal> {
    let body = text(rekor, "/Payload/body")?;
    let entry = json::read(&base64(body)?, &Limits::DEFAULT, Numbers::Any).map_err(|error| malformed(error.message))?;
    let number = |pointer: &str| {
        rekor
            .pointer(pointer)
            .and_then(Value::as_u64)
            .map(|number| number.to_string())
            .ok_or_else(|| malformed(format!("the log entry has no number at `{pointer}`")))
    };
    let digest_of = |hex: &str| Digest::from_hex(hex).map_err(|error| malformed(error.to_string()));
    let log = digest_of(text(rekor, "/Payload/logID")?)?;
    let digest = entry.pointer("/spec/data/hash/value").and_then(Value::as_str).map(digest_of).transpose()?;
    let written = json!({
        "logIndex": number("/Payload/logIndex")?,
        "logId": { "keyId": STANDARD.encode(log.as_bytes()) },
        "kindVersion": { "kind": text(&entry, "/kind")?, "version": text(&entry, "/apiVersion")? },
        "integratedTime": number("/Payload/integratedTime")?,
        "inclusionPromise": { "signedEntryTimestamp": text(rekor, "/SignedEntryTimestamp")? },
        "canonicalizedBody": body,
    });
    Ok((written, digest))
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

    fn image_signature(kind: &str) -> Value {
        let critical =
            json!({ "type": kind, "image": { "docker-manifest-digest": Digest::of(b"image") }, "identity": {} });
        let payload = json!({ "critical": critical, "optional": null }).to_string();
        json!({ "Base64Signature": "AQID", "Payload": STANDARD.encode(payload) })
    }

    fn image(value: &Value) -> Result<ImageSignature, Refusal> {
        assert!(ImageSignature::announces(value));
        ImageSignature::parse(value.to_string().as_bytes(), &Limits::DEFAULT)
    }

    #[test]
    fn an_image_signature_is_a_bundle_over_a_payload_that_names_the_image() {
        for kind in PAYLOAD_TYPES {
            let mut value = image_signature(kind);
            let read = image(&value).unwrap();
            assert_eq!(read.image, Digest::of(b"image"));
            let digest = Some(Digest::of(&read.payload));
            assert_eq!(read.bundle.content(), &Content::Message { digest, signature: vec![1, 2, 3] });
            assert!(read.bundle.is_bare() && matches!(read.bundle.material(), Material::Key { .. }));
            value["Bundle"] = rekor();
            assert!(image(&value).unwrap().bundle.is_promised());
            value["Cert"] = json!({ "Raw": "AQID", "Version": 3 });
            value["RFC3161Timestamp"] = json!({ "SignedRFC3161Timestamp": "AQID" });
            let bundle = image(&value).unwrap().bundle;
            assert_eq!((bundle.material(), bundle.timestamps()), (&Material::Certificate(vec![1, 2, 3]), 1));
        }
    }

    #[test]
    fn what_names_no_image_is_no_image_signature() {
        let payload = |payload: &str| {
            let mut value = image_signature(PAYLOAD_TYPES[0]);
            value["Payload"] = json!(STANDARD.encode(payload));
            value
        };
        let untyped = json!({ "critical": { "image": { "docker-manifest-digest": Digest::of(b"image") } } });
        let unnamed = json!({ "critical": { "type": PAYLOAD_TYPES[0], "image": {} } });
        for bad in [
            payload("{}"),
            payload("no JSON"),
            payload(&untyped.to_string()),
            payload(&unnamed.to_string()),
            image_signature("a receipt"),
            json!({ "Base64Signature": "not base64!", "Payload": "e30=" }),
        ] {
            assert!(image(&bad).is_err(), "{bad}");
        }
    }
}
