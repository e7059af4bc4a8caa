//! Shapes that cosign wrote before it wrote bundles.
//!
//! `sigstore/cosign`: the blob bundle of versions before 2, and the signatures of an image, as
//! `cosign download signature` prints them. An image's signature is over a small payload ("simple signing") that names
//! the image by digest; the payload is what is verified, and then what it names is what is signed. Payload, certificate,
//! log entry and timestamp stand in one object, so that it can be verified from its own bytes, as a bundle can.
//!
//! Object and payload hold the fields that cosign writes, spelled so, and no others: whoever reads them in another way
//! reads the same. Certificates are printed with their parsed fields, of which `Raw` alone is read: a modulus is a number
//! that JSON readers refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use serde::Deserialize;
use serde::de::IgnoredAny;
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

/// One object that `cosign download signature` prints; `null` is as if a field were not there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Printed {
    base64_signature: String,
    payload: String,
    cert: Option<PrintedCertificate>,
    /// Roots and what leads to them are pinned.
    #[serde(rename = "Chain")]
    _chain: Option<IgnoredAny>,
    bundle: Option<Rekor>,
    #[serde(rename = "RFC3161Timestamp")]
    stamp: Option<PrintedStamp>,
}

/// The same, of which nothing is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Outline {
    #[serde(rename = "Base64Signature")]
    _signature: IgnoredAny,
    #[serde(rename = "Payload")]
    _payload: IgnoredAny,
    #[serde(rename = "Cert")]
    _cert: Option<IgnoredAny>,
    #[serde(rename = "Chain")]
    _chain: Option<IgnoredAny>,
    #[serde(rename = "Bundle")]
    _bundle: Option<IgnoredAny>,
    #[serde(rename = "RFC3161Timestamp")]
    _stamp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct PrintedCertificate {
    #[serde(rename = "Raw")]
    raw: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrintedStamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed: String,
}

/// A log's promise, as cosign writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Rekor {
    signed_entry_timestamp: String,
    payload: RekorPayload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RekorPayload {
    body: String,
    integrated_time: u64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// The payload of an image's signature.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Simple {
    critical: Critical,
    #[serde(rename = "optional")]
    _optional: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    /// Where the image was called what: a name binds nothing.
    #[serde(rename = "identity")]
    _identity: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

impl ImageSignature {
    /// Whether bytes are one object with the fields that `cosign download signature` prints, and no others.
    pub fn announced(bytes: &[u8], limits: &Limits) -> bool {
        bytes.len() <= limits.image_signature_bytes && json::typed::<Outline>(bytes).is_ok()
    }

    /// Reads one such object; nothing in it is verified.
    ///
    /// # Errors
    /// As [`Bundle::parse`], and [`Reason::Malformed`](crate::Reason::Malformed) for what is over its limits, and for a
    /// payload that names no image.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let too_long = |length: usize, most: usize, what: &str| match length <= most {
            true => Ok(()),
            false => Err(malformed(format!("{length} bytes are more than the {most} of {what}"))),
        };
        too_long(bytes.len(), limits.image_signature_bytes, "an image's signature")?;
        let printed: Printed = json::typed(bytes).map_err(|error| malformed(error.message))?;
        let (payload, signature) = (base64(&printed.payload)?, base64(&printed.base64_signature)?);
        too_long(payload.len(), limits.image_payload_bytes, "its payload")?;
        let Simple { critical, .. } = json::read_as(&payload, limits, Numbers::Any)
            .map_err(|error| malformed(format!("the payload: {}", error.message)))?;
        if !PAYLOAD_TYPES.contains(&critical.kind.as_str()) {
            let found = critical.kind.escape_debug();
            return Err(malformed(format!("the payload says that it is `{found}`, and not an image's signature")));
        }
        let parts = Parts {
            signature: &printed.base64_signature,
            digest: Some(Digest::of(&payload)),
            certificate: printed.cert.as_ref().map(|certificate| certificate.raw.as_str()),
            rekor: printed.bundle.as_ref(),
            stamp: printed.stamp.as_ref().map(|stamp| stamp.signed.as_str()),
        };
        let bundle = Bundle::parse(parts.bundle()?.to_string().as_bytes(), limits)?;
        Ok(Self { payload, image: critical.image.digest, signature, bundle })
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
    let rekor = value.get("rekorBundle").filter(|rekor| !rekor.is_null());
    let rekor = rekor.ok_or_else(|| malformed("the bundle of cosign has no `rekorBundle`, and so no log entry"))?;
    let rekor: Rekor = json::typed(rekor.to_string().as_bytes())
        .map_err(|error| malformed(format!("the log entry: {}", error.message)))?;
    let signature = text(value, "/base64Signature")?;
    Parts { signature, digest: None, certificate: certificate.as_deref(), rekor: Some(&rekor), stamp: None }.bundle()
}

/// What a signature of cosign's comes with; all but `rekor` in base64.
struct Parts<'a> {
    signature: &'a str,
    /// Of what is signed; where it is not known, the log entry says it.
    digest: Option<Digest>,
    /// In DER; without one the signer is a key that the verifier has to have.
    certificate: Option<&'a str>,
    /// The log's promise.
    rekor: Option<&'a Rekor>,
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
fn log_entry(rekor: &Rekor) -> Result<(Value, Option<Digest>), Refusal> {
    let promised = &rekor.payload;
    let body = base64(&promised.body)?;
    let entry = json::read(&body, &Limits::DEFAULT, Numbers::Any).map_err(|error| malformed(error.message))?;
    let digest_of = |hex: &str| Digest::from_hex(hex).map_err(|error| malformed(error.to_string()));
    let log = digest_of(&promised.log_id)?;
    let digest = entry.pointer("/spec/data/hash/value").and_then(Value::as_str).map(digest_of).transpose()?;
    let written = json!({
        "logIndex": promised.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(log.as_bytes()) },
        "kindVersion": { "kind": text(&entry, "/kind")?, "version": text(&entry, "/apiVersion")? },
        "integratedTime": promised.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": rekor.signed_entry_timestamp },
        "canonicalizedBody": promised.body,
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

    const KIND: &str = PAYLOAD_TYPES[0];

    fn payload(kind: &str) -> Value {
        let image = json!({ "docker-manifest-digest": Digest::of(b"image") });
        let critical =
            json!({ "type": kind, "image": image, "identity": { "docker-reference": "registry.example/web" } });
        json!({ "critical": critical, "optional": { "run": "1" } })
    }

    fn printed(payload: &str) -> Value {
        json!({ "Base64Signature": "AQID", "Payload": STANDARD.encode(payload), "Cert": null, "Bundle": null })
    }

    fn image(text: &str) -> Result<ImageSignature, Refusal> {
        assert!(ImageSignature::announced(text.as_bytes(), &Limits::DEFAULT), "{text}");
        ImageSignature::parse(text.as_bytes(), &Limits::DEFAULT)
    }

    #[test]
    fn an_image_signature_is_a_bundle_over_a_payload_that_names_the_image() {
        for kind in PAYLOAD_TYPES {
            let mut value = printed(&payload(kind).to_string());
            let read = image(&value.to_string()).unwrap();
            assert_eq!(read.image, Digest::of(b"image"));
            let digest = Some(Digest::of(&read.payload));
            assert_eq!(read.bundle.content(), &Content::Message { digest, signature: vec![1, 2, 3] });
            assert!(read.bundle.is_bare() && matches!(read.bundle.material(), Material::Key { .. }));
            value["Bundle"] = rekor();
            assert!(image(&value.to_string()).unwrap().bundle.is_promised());
            value["Cert"] = json!({ "Raw": "AQID", "Version": 3, "PublicKey": { "N": "modulus", "E": 65537 } });
            value["Chain"] = json!([{ "PublicKey": { "N": "modulus" } }]);
            value["RFC3161Timestamp"] = json!({ "SignedRFC3161Timestamp": "AQID" });
            // Go prints the modulus of an RSA key as a number.
            let text = value.to_string().replace("\"modulus\"", &"7".repeat(1234));
            let bundle = image(&text).unwrap().bundle;
            assert_eq!((bundle.material(), bundle.timestamps()), (&Material::Certificate(vec![1, 2, 3]), 1));
        }
    }

    #[test]
    fn what_names_no_image_is_no_image_signature() {
        let changed = |pointer: &str, name: &str, value: Option<Value>| {
            let mut payload = payload(KIND);
            let fields = payload.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            match value {
                Some(value) => fields.insert(name.to_owned(), value),
                None => fields.remove(name),
            };
            payload.to_string()
        };
        let twice = payload(KIND).to_string().replacen("\"image\":", "\"image\":{},\"image\":", 1);
        for bad in [
            "{}".to_owned(),
            "no JSON".to_owned(),
            twice,
            payload("a receipt").to_string(),
            // A list is no object, whatever stands where.
            format!("[{},null]", payload(KIND)["critical"]),
            json!({ "critical": [KIND, payload(KIND)["critical"]["image"]] }).to_string(),
            json!({ "critical": { "type": KIND, "image": [Digest::of(b"image")] } }).to_string(),
            changed("/critical", "type", None),
            changed("/critical/image", "docker-manifest-digest", None),
            // Who reads names in any case takes the last.
            changed("", "Critical", Some(json!({}))),
            changed("/critical", "Image", Some(json!({}))),
            changed("/critical/image", "Docker-manifest-digest", Some(json!("x"))),
            changed("", "optional", Some(json!("x".repeat(Limits::DEFAULT.image_payload_bytes)))),
        ] {
            assert!(image(&printed(&bad).to_string()).is_err(), "{bad}");
        }
        let mut unencoded = printed(&payload(KIND).to_string());
        unencoded["Base64Signature"] = json!("not base64!");
        assert!(image(&unencoded.to_string()).is_err());
    }

    #[test]
    fn only_what_cosign_prints_is_announced() {
        let good = printed(&payload(KIND).to_string());
        let announced = |value: &Value| ImageSignature::announced(value.to_string().as_bytes(), &Limits::DEFAULT);
        assert!(announced(&good));
        for more in ["payloadType", "mediaType", "verificationMaterial", "base64signature", "signatures"] {
            let mut value = good.clone();
            value[more] = json!("x");
            assert!(!announced(&value), "{more}");
        }
        for needed in ["Base64Signature", "Payload"] {
            let mut value = good.clone();
            value.as_object_mut().unwrap().remove(needed);
            assert!(!announced(&value), "{needed}");
        }
        let list = json!([good["Base64Signature"], good["Payload"], null, null, null, null]);
        assert!(!announced(&list), "{list}");
        let mut long = good;
        long["Chain"] = json!("x".repeat(Limits::DEFAULT.image_signature_bytes));
        assert!(!announced(&long) && ImageSignature::parse(long.to_string().as_bytes(), &Limits::DEFAULT).is_err());
    }
}
