//! Sigstore bundles 0.1 to 0.3: their shape, read strictly, before anything in them is believed.
//!
//! `sigstore/protobuf-specs`, `sigstore_bundle.proto`, in its JSON form. Reading finds what a bundle holds and refuses
//! what no verifier should have to guess about: two equal keys, two kinds of material, two signatures.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use lockgate_sign::dsse::Envelope;
use serde_json::{Map, Value};

use crate::outcome::{Reason, Refusal};

/// The media types that are read, oldest first.
pub const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
];
/// What every media type of a bundle starts with, known or not.
pub const MEDIA_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// The most log entries, and the most timestamps, of one bundle: the same as other clients allow.
const MOST_PROOFS: usize = 32;

/// The fields that say who signed, of which a bundle has one.
const KINDS: [&str; 3] = ["certificate", "x509CertificateChain", "publicKey"];

/// A bundle as read; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    text: String,
    media_type: String,
    material: Material,
    content: Content,
    entries: Vec<LogEntry>,
    timestamps: usize,
}

/// What proves who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// A certificate: the leaf, in DER.
    Certificate(Vec<u8>),
    /// A key that the verifier must have: an unauthenticated hint which.
    Key {
        /// The hint.
        hint: String,
    },
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A statement in a DSSE envelope with exactly one signature.
    Envelope(Envelope),
    /// The artifact's own bytes.
    Message {
        /// Their SHA-256, where the bundle says it.
        digest: Option<Digest>,
        /// The signature.
        signature: Vec<u8>,
    },
}

/// What one log entry brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// Whether it has an inclusion proof with a checkpoint.
    pub proof: bool,
    /// Whether it has a promise (signed entry timestamp).
    pub promise: bool,
}

impl Bundle {
    /// Whether a JSON value announces itself as a Sigstore bundle, of a known version or not: by its media type, or by
    /// what only bundles have. An envelope is an envelope, whatever stands in it besides.
    pub fn announces(value: &Value) -> bool {
        let has = |name: &str| value.get(name).is_some_and(|value| !value.is_null());
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        media_type.starts_with(MEDIA_TYPE_PREFIX) || (has("verificationMaterial") && !has("payloadType"))
    }

    /// Whether bytes announce themselves as a Sigstore bundle; what does not read as JSON, or is longer than any, does not.
    pub fn announced(bytes: &[u8], limits: &Limits) -> bool {
        bytes.len() <= limits.envelope_bytes
            && json::read(bytes, limits, Numbers::Any).is_ok_and(|value| Self::announces(&value))
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for what is not one, [`Reason::Unsupported`] for a version that is not known,
    /// [`Reason::SignatureMissing`] for one without a signature.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        // 1. One strict JSON document of a known version.
        if bytes.len() > limits.envelope_bytes {
            let most = limits.envelope_bytes;
            return Err(malformed(format!("{} bytes are more than the {most} of a bundle", bytes.len())));
        }
        let value = json::read(bytes, limits, Numbers::Any).map_err(|error| malformed(error.message))?;
        let root = value.as_object().ok_or_else(|| malformed("a bundle is a JSON object"))?;
        let media_type = text(root, "mediaType")?;
        if !MEDIA_TYPES.contains(&media_type) {
            let known = MEDIA_TYPES.join("`, `");
            let message = format!("the media type `{media_type}` is not read: it must be one of `{known}`");
            return Err(Refusal::new(Reason::Unsupported, message));
        }

        // 2. Exactly one kind of material, and not too many proofs. A field that is not known could be another spelling
        //    of one that is, and mean it to another reader; the JSON form of protocol buffers refuses such fields too.
        only(root, &["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"])?;
        let holder = object(root, "verificationMaterial")?;
        only(holder, &[KINDS.as_slice(), &["tlogEntries", "timestampVerificationData"]].concat())?;
        let material = material(holder)?;
        let entries = list(holder, "tlogEntries")?.iter().map(log_entry).collect::<Result<Vec<_>, _>>()?;
        let timestamps = match holder.get("timestampVerificationData").and_then(Value::as_object) {
            Some(data) => list(data, "rfc3161Timestamps")?.len(),
            None => 0,
        };
        if entries.len() > MOST_PROOFS || timestamps > MOST_PROOFS {
            return Err(malformed(format!("more than {MOST_PROOFS} log entries or timestamps")));
        }

        // 3. Exactly one signature.
        let content = content(root, limits)?;
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?.to_owned();
        Ok(Self { text, media_type: media_type.to_owned(), material, content, entries, timestamps })
    }

    /// The bundle as it was handed in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its media type, which names its version.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// What proves who signed.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// What was signed.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The envelope, where a statement was signed.
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// Whether there are log entries and every one of them has an inclusion proof.
    pub fn is_logged(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().all(|entry| entry.proof)
    }

    /// Whether there are log entries and every one of them has a proof or a promise.
    pub fn is_promised(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().all(|entry| entry.proof || entry.promise)
    }

    /// Whether nothing is there that could prove a log or a time: neither a log entry nor a timestamp.
    pub fn is_bare(&self) -> bool {
        self.entries.is_empty() && self.timestamps == 0
    }

    /// How many log entries there are.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How many RFC 3161 timestamps there are.
    pub fn timestamps(&self) -> usize {
        self.timestamps
    }
}

fn material(holder: &Map<String, Value>) -> Result<Material, Refusal> {
    let present: Vec<&str> = KINDS.into_iter().filter(|kind| present(holder, kind)).collect();
    match present.as_slice() {
        ["certificate"] => certificate(object(holder, "certificate")?),
        ["x509CertificateChain"] => {
            let chain = list(object(holder, "x509CertificateChain")?, "certificates")?;
            let leaf = chain.first().and_then(Value::as_object);
            certificate(leaf.ok_or_else(|| malformed("the certificate chain is empty"))?)
        }
        ["publicKey"] => {
            let key = object(holder, "publicKey")?;
            Ok(Material::Key { hint: key.get("hint").and_then(Value::as_str).unwrap_or_default().to_owned() })
        }
        [] => Err(malformed("neither a certificate nor a key hint says who signed")),
        _ => Err(malformed("more than one of `certificate`, `x509CertificateChain` and `publicKey`")),
    }
}

fn certificate(holder: &Map<String, Value>) -> Result<Material, Refusal> {
    let der = base64(text(holder, "rawBytes")?, "rawBytes")?;
    match der.is_empty() {
        true => Err(malformed("the certificate is empty")),
        false => Ok(Material::Certificate(der)),
    }
}

fn log_entry(entry: &Value) -> Result<LogEntry, Refusal> {
    let entry = entry.as_object().ok_or_else(|| malformed("a log entry is a JSON object"))?;
    Ok(LogEntry { proof: present(entry, "inclusionProof"), promise: present(entry, "inclusionPromise") })
}

fn content(root: &Map<String, Value>, limits: &Limits) -> Result<Content, Refusal> {
    match (present(root, "dsseEnvelope"), present(root, "messageSignature")) {
        (true, true) => Err(malformed("both a statement and a message signature")),
        (false, false) => Err(Refusal::new(Reason::SignatureMissing, "the bundle holds no signature")),
        (true, false) => {
            let inner = object(root, "dsseEnvelope")?;
            only(inner, &["payload", "payloadType", "signatures"])?;
            let bytes = Value::Object(inner.clone()).to_string();
            let envelope = Envelope::parse(bytes.as_bytes(), limits).map_err(|error| match error.code() {
                "NO_SIGNATURE" => Refusal::new(Reason::SignatureMissing, error),
                _ => malformed(error.to_string()),
            })?;
            match envelope.signatures.len() {
                1 => Ok(Content::Envelope(envelope)),
                more => Err(malformed(format!("{more} signatures in the envelope: a bundle holds exactly one"))),
            }
        }
        (false, true) => {
            let message = object(root, "messageSignature")?;
            only(message, &["messageDigest", "signature"])?;
            let signature = base64(text(message, "signature")?, "signature")?;
            if signature.is_empty() {
                return Err(Refusal::new(Reason::SignatureMissing, "the message signature is empty"));
            }
            Ok(Content::Message { digest: message_digest(message)?, signature })
        }
    }
}

/// The SHA-256 that a message signature names; other algorithms are left to the verifier.
fn message_digest(message: &Map<String, Value>) -> Result<Option<Digest>, Refusal> {
    let Some(digest) = message.get("messageDigest").and_then(Value::as_object) else { return Ok(None) };
    if digest.get("algorithm").and_then(Value::as_str) != Some("SHA2_256") {
        return Ok(None);
    }
    let bytes: [u8; 32] = base64(text(digest, "digest")?, "digest")?
        .try_into()
        .map_err(|_| malformed("the message digest is not 32 bytes long"))?;
    Ok(Some(Digest::from_bytes(bytes)))
}

fn malformed(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Malformed, detail)
}

fn present(holder: &Map<String, Value>, name: &str) -> bool {
    holder.get(name).is_some_and(|value| !value.is_null())
}

fn only(holder: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    match holder.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(malformed(format!("the field `{key}` is not one of a bundle's: {}", known.join(", ")))),
    }
}

fn object<'a>(holder: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, Refusal> {
    holder.get(name).and_then(Value::as_object).ok_or_else(|| malformed(format!("`{name}` must be an object")))
}

fn text<'a>(holder: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    holder.get(name).and_then(Value::as_str).ok_or_else(|| malformed(format!("`{name}` must be a string")))
}

fn list<'a>(holder: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], Refusal> {
    match holder.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(malformed(format!("`{name}` must be an array"))),
    }
}

/// Both alphabets, as the JSON form of protocol buffers allows.
fn base64(text: &str, name: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|_| malformed(format!("`{name}` is not padded base64")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bundle() -> Value {
        json!({
            "mediaType": MEDIA_TYPES[3],
            "verificationMaterial": {
                "certificate": { "rawBytes": "AQID" },
                "tlogEntries": [{ "inclusionProof": {}, "inclusionPromise": {} }],
            },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode([7u8; 32]) },
                "signature": "AQID",
            },
        })
    }

    fn parse(value: &Value) -> Result<Bundle, Reason> {
        Bundle::parse(value.to_string().as_bytes(), &Limits::DEFAULT).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn reads_every_known_version() {
        for media_type in MEDIA_TYPES {
            let mut value = bundle();
            value["mediaType"] = json!(media_type);
            let read = parse(&value).unwrap();
            assert_eq!(read.media_type(), media_type);
            assert!(read.is_logged() && read.is_promised() && read.envelope().is_none());
            assert_eq!(read.material(), &Material::Certificate(vec![1, 2, 3]));
        }
        let mut value = bundle();
        value["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json");
        assert_eq!(parse(&value), Err(Reason::Unsupported));
        assert!(Bundle::announces(&value));
        assert!(!Bundle::announces(&json!({"payload": ""})));
    }

    #[test]
    fn what_is_shaped_like_a_bundle_is_refused_by_its_media_type() {
        let mut value = bundle();
        value["mediaType"] = json!("application/x.other+json");
        assert!(Bundle::announces(&value));
        let refusal = Bundle::parse(value.to_string().as_bytes(), &Limits::DEFAULT).unwrap_err();
        assert_eq!(refusal.reason, Reason::Unsupported);
        assert!(refusal.detail.contains("`application/x.other+json`"), "{refusal}");
        value["mediaType"] = Value::Null;
        assert!(Bundle::announces(&value));
        assert_eq!(parse(&value), Err(Reason::Malformed));
        for other in [json!({"verificationMaterial": null}), json!({"verificationMaterial": {}, "payloadType": "x"})] {
            assert!(!Bundle::announces(&other), "{other}");
        }
    }

    #[test]
    fn doubtful_bundles_are_refused() {
        let check = |change: fn(&mut Value), expected: Reason| {
            let mut value = bundle();
            change(&mut value);
            assert_eq!(parse(&value), Err(expected), "{value}");
        };
        check(|v| v["verificationMaterial"]["publicKey"] = json!({"hint": "x"}), Reason::Malformed);
        check(|v| v["verificationMaterial"]["certificate"] = Value::Null, Reason::Malformed);
        check(|v| v["verificationMaterial"]["certificate"]["rawBytes"] = json!("?"), Reason::Malformed);
        check(|v| v["verificationMaterial"]["certificate"]["rawBytes"] = json!(""), Reason::Malformed);
        check(|v| v["verificationMaterial"]["tlogEntries"] = json!(vec![json!({}); 33]), Reason::Malformed);
        check(|v| v["verificationMaterial"]["tlogEntries"] = json!({}), Reason::Malformed);
        check(|v| v["messageSignature"] = Value::Null, Reason::SignatureMissing);
        check(|v| v["messageSignature"]["signature"] = json!(""), Reason::SignatureMissing);
        check(|v| v["messageSignature"]["messageDigest"]["digest"] = json!("AQ=="), Reason::Malformed);
        check(|v| v["dsseEnvelope"] = json!({}), Reason::Malformed);
        check(|v| v["dsse_envelope"] = json!({}), Reason::Malformed);
        check(|v| v["verificationMaterial"]["tlog_entries"] = json!([]), Reason::Malformed);
        let two = json!({"payload": "", "payloadType": "x", "signatures": [{"sig": "AQ=="}, {"sig": "AQ=="}]});
        let mut value = bundle();
        value["messageSignature"] = Value::Null;
        value["dsseEnvelope"] = two;
        assert_eq!(parse(&value), Err(Reason::Malformed));
        value["dsseEnvelope"]["signatures"] = json!([]);
        assert_eq!(parse(&value), Err(Reason::SignatureMissing));
        let twice = bundle().to_string().replacen('{', "{\"mediaType\":\"x\",", 1);
        assert_eq!(Bundle::parse(twice.as_bytes(), &Limits::DEFAULT).unwrap_err().reason, Reason::Malformed);
    }

    #[test]
    fn every_cut_is_refused() {
        let text = bundle().to_string();
        for end in 0..text.len() {
            assert!(Bundle::parse(&text.as_bytes()[..end], &Limits::DEFAULT).is_err(), "{end}");
        }
    }
}
