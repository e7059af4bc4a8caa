//! DSSE 1.0.2: signed envelopes around a payload of a named type (`secure-systems-lab/dsse`, protocol and envelope).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use lockgate_model::Limits;
use lockgate_model::json::{self, Numbers};
use serde_json::{Map, Value, json};

use crate::attestation_key::AttestationKey;
use crate::public_key::{PublicKey, SignatureError};

/// Why bytes are not an acceptable envelope, or one could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DsseError {
    code: &'static str,
    message: String,
}

impl DsseError {
    /// A stable reason code, such as `TOO_MANY_SIGNATURES`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A payload with the signatures over it; nothing is believed before [`Envelope::verify`].
///
/// INVARIANT (verified bytes are used bytes): `payload` is decoded once, and the bytes that signatures are checked
/// over are the bytes that the caller goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// What the bytes are; part of what is signed.
    pub payload_type: String,
    /// At least one signature, in the order of the envelope.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A hint for other tools, empty when there is none. It is not signed and never consulted here.
    pub keyid: String,
    /// The signature over [`pae`]; for ECDSA in ASN.1 DER.
    pub sig: Vec<u8>,
}

/// The pre-authentication encoding: the bytes that are signed (DSSE protocol, "Signature Definition").
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let payload_type = if lockgate_failpoint::planted("payload-type-unbound") { "" } else { payload_type };
    let mut out = Vec::with_capacity(body.len() + payload_type.len() + 48);
    out.extend_from_slice(format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

impl Envelope {
    /// Reads an envelope in JSON; both base64 alphabets are accepted, with padding, and unknown fields are ignored.
    ///
    /// # Errors
    /// [`DsseError`] with the codes of [`json::read`], `ENVELOPE_TOO_LARGE`, `ENVELOPE_FIELD` for a missing or
    /// misshapen field, `ENVELOPE_BASE64`, `NO_SIGNATURE`, or `TOO_MANY_SIGNATURES`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DsseError> {
        if bytes.len() > limits.envelope_bytes {
            let message = format!("the envelope has {} bytes, more than {}", bytes.len(), limits.envelope_bytes);
            return Err(DsseError::new("ENVELOPE_TOO_LARGE", message));
        }
        let value =
            json::read(bytes, limits, Numbers::Any).map_err(|error| DsseError::new(error.code, error.message))?;
        let envelope = value.as_object().ok_or_else(|| field("", "be a JSON object"))?;
        let payload = base64(text(envelope, "payload")?, "payload")?;
        let payload_type = text(envelope, "payloadType")?.to_owned();
        let items =
            envelope.get("signatures").and_then(Value::as_array).ok_or_else(|| field("signatures", "be an array"))?;
        if items.is_empty() {
            return Err(DsseError::new("NO_SIGNATURE", "the envelope holds no signature: sign it first"));
        }
        if items.len() > limits.envelope_signatures {
            let message =
                format!("the envelope holds {} signatures, more than {}", items.len(), limits.envelope_signatures);
            return Err(DsseError::new("TOO_MANY_SIGNATURES", message));
        }
        let signatures = items.iter().map(signature).collect::<Result<Vec<Signature>, DsseError>>()?;
        Ok(Self { payload, payload_type, signatures })
    }

    /// Writes the envelope as canonical JSON with standard base64: keys sorted, no white space.
    pub fn to_json(&self) -> Vec<u8> {
        let signatures: Vec<Value> = self
            .signatures
            .iter()
            .map(|signature| json!({"keyid": signature.keyid, "sig": STANDARD.encode(&signature.sig)}))
            .collect();
        // Keys are given in sorted order, and `serde_json` escapes strings as RFC 8785 does, so that the compact form
        // is the canonical one; a test holds it against `canonical::to_vec`.
        json!({
            "payload": STANDARD.encode(&self.payload),
            "payloadType": self.payload_type,
            "signatures": signatures,
        })
        .to_string()
        .into_bytes()
    }

    /// Signs a payload once and lists the signature under each of `keyids`, in their order; without any, under none.
    ///
    /// Some tools look only at the signature with their own spelling of the key's id, which is why there may be many.
    ///
    /// # Errors
    /// [`DsseError`] with code `SIGNING_FAILED` when the key cannot sign.
    pub fn sign(
        payload_type: &str,
        payload: &[u8],
        key: &AttestationKey,
        keyids: &[String],
    ) -> Result<Self, DsseError> {
        let sig = key
            .sign(&pae(payload_type, payload))
            .map_err(|error: SignatureError| DsseError::new("SIGNING_FAILED", error.to_string()))?;
        let signatures = match keyids {
            [] => vec![Signature { keyid: String::new(), sig }],
            _ => keyids.iter().map(|keyid| Signature { keyid: keyid.clone(), sig: sig.clone() }).collect(),
        };
        Ok(Self { payload: payload.to_vec(), payload_type: payload_type.to_owned(), signatures })
    }

    /// The indices, in rising order, of the keys that signed: each *unique* key with at least one valid signature.
    ///
    /// A key that stands in `keys` twice, also once for PKCS#1 and once for PSS, is reported at its first place only.
    /// Key ids are never consulted. It says nothing about whose keys they are.
    pub fn verify(&self, keys: &[PublicKey]) -> Vec<usize> {
        let message = pae(&self.payload_type, &self.payload);
        let mut accepted: Vec<(usize, &PublicKey)> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let known = accepted.iter().any(|(_, other)| other.spki_der() == key.spki_der());
            if !known && self.signatures.iter().any(|signature| key.verify(&message, &signature.sig).is_ok()) {
                accepted.push((index, key));
            }
        }
        accepted.into_iter().map(|(index, _)| index).collect()
    }
}

fn signature(item: &Value) -> Result<Signature, DsseError> {
    let object = item.as_object().ok_or_else(|| field("signatures", "hold objects"))?;
    let sig = base64(text(object, "sig")?, "sig")?;
    // Envelope specification: a key id that is not set equals an empty one.
    let keyid = match object.get("keyid") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(keyid)) => keyid.clone(),
        Some(_) => return Err(field("keyid", "be a string")),
    };
    Ok(Signature { keyid, sig })
}

fn text<'a>(object: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, DsseError> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| field(name, "be a string"))
}

fn base64(text: &str, name: &'static str) -> Result<Vec<u8>, DsseError> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).map_err(|error| {
        DsseError::new("ENVELOPE_BASE64", format!("`{name}` of the envelope is not padded base64: {error}"))
    })
}

fn field(name: &str, demand: &str) -> DsseError {
    let subject = match name {
        "" => "the envelope".to_owned(),
        _ => format!("`{name}` of the envelope"),
    };
    DsseError::new("ENVELOPE_FIELD", format!("{subject} must {demand}: hand in a DSSE envelope"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::canonical;
    use proptest::prelude::*;

    const TYPE: &str = "application/vnd.in-toto+json";

    #[test]
    fn the_protocols_own_example_verifies() {
        let pae = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(super::pae("\u{e9}", b""), "DSSEv1 2 \u{e9} 0 ".as_bytes());

        // The example's key, given there as decimal X and Y; its signature is r || s and not DER.
        let point = "0467cd390f77aa359cb08c2235f652270493a9ed832b0abcc01f70954c0390d238\
            0c782bd54e269125a44f4433aff1432ce94e12bca73aa67ac80cea12608ddf74";
        let point: Vec<u8> =
            (0..point.len()).step_by(2).map(|at| u8::from_str_radix(&point[at..at + 2], 16).unwrap()).collect();
        let key = PublicKey::from_p256_uncompressed(&point).unwrap();
        let text = br#"{"payload": "aGVsbG8gd29ybGQ=",
            "payloadType": "http://example.com/HelloWorld",
            "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
        let envelope = Envelope::parse(text, &Limits::DEFAULT).unwrap();
        assert_eq!(envelope.payload, b"hello world");
        assert_eq!(key.verify_p1363(&pae, &envelope.signatures[0].sig), Ok(()));
        assert_eq!(key.verify_p1363(b"x", &envelope.signatures[0].sig), Err(SignatureError::Invalid));
        assert_eq!(envelope.verify(std::slice::from_ref(&key)), Vec::<usize>::new());
    }

    #[test]
    fn counts_unique_keys_whatever_the_key_ids_say() {
        let key = AttestationKey::generate().unwrap();
        let other = AttestationKey::generate().unwrap();
        let keyids = [key.public().keyid_ssh(), key.public().keyid_securesystemslib()];
        let envelope = Envelope::sign(TYPE, b"{}", &key, &keyids).unwrap();
        assert_eq!(envelope.signatures.len(), 2);
        assert_eq!(envelope.signatures[0].sig, envelope.signatures[1].sig);

        let (key, other) = (key.public().clone(), other.public().clone());
        assert_eq!(envelope.verify(&[]), Vec::<usize>::new());
        assert_eq!(envelope.verify(std::slice::from_ref(&other)), Vec::<usize>::new());
        assert_eq!(envelope.verify(&[other.clone(), key.clone(), key.clone()]), vec![1]);

        let edit = |change: fn(&mut Envelope)| {
            let mut edited = envelope.clone();
            change(&mut edited);
            edited.verify(std::slice::from_ref(&key))
        };
        assert_eq!(edit(|envelope| envelope.signatures[0].keyid = "nonsense".to_owned()), vec![0]);
        assert_eq!(edit(|envelope| envelope.payload.push(b' ')), Vec::<usize>::new());
        assert_eq!(edit(|envelope| envelope.payload_type.push('x')), Vec::<usize>::new());
    }

    #[test]
    fn two_keys_of_which_both_signed() {
        let (first, second) = (AttestationKey::generate().unwrap(), AttestationKey::generate().unwrap());
        let mut envelope = Envelope::sign(TYPE, b"{}", &first, &[]).unwrap();
        assert_eq!(envelope.signatures[0].keyid, "");
        envelope.signatures.extend(Envelope::sign(TYPE, b"{}", &second, &[]).unwrap().signatures);
        let keys = [second.public().clone(), first.public().clone()];
        assert_eq!(envelope.verify(&keys), vec![0, 1]);
    }

    #[test]
    fn refuses_envelopes_that_two_readers_could_read_differently() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Envelope::parse(text.as_bytes(), &Limits::DEFAULT).unwrap_err().code, expected, "{text}");
        };
        check("[]", "ENVELOPE_FIELD");
        check(r#"{"payloadType":"t","signatures":[{"sig":"AA=="}]}"#, "ENVELOPE_FIELD");
        check(r#"{"payload":"","signatures":[{"sig":"AA=="}]}"#, "ENVELOPE_FIELD");
        check(r#"{"payload":"","payloadType":"t"}"#, "ENVELOPE_FIELD");
        check(r#"{"payload":"","payloadType":"t","signatures":[{}]}"#, "ENVELOPE_FIELD");
        check(r#"{"payload":"","payloadType":"t","signatures":[{"sig":"","keyid":1}]}"#, "ENVELOPE_FIELD");
        check(r#"{"payload":"","payloadType":"t","signatures":[]}"#, "NO_SIGNATURE");
        check(r#"{"payload":"","payload":"","payloadType":"t","signatures":[{"sig":"AA=="}]}"#, "DUPLICATE_KEY");
        for bad in ["AB==", "AA", "A A=", "+_==", "AA==\\n"] {
            check(
                &format!(r#"{{"payload":"{bad}","payloadType":"t","signatures":[{{"sig":""}}]}}"#),
                "ENVELOPE_BASE64",
            );
        }
    }

    #[test]
    fn accepts_both_alphabets_and_unknown_fields() {
        let parse = |payload: &str| {
            let text =
                format!(r#"{{"payload":"{payload}","payloadType":"t","signatures":[{{"sig":"","x":1.5}}],"y":{{}}}}"#);
            Envelope::parse(text.as_bytes(), &Limits::DEFAULT).unwrap().payload
        };
        assert_eq!(parse("+/8="), [0xfb, 0xff]);
        assert_eq!(parse("-_8="), [0xfb, 0xff]);
    }

    #[test]
    fn stops_at_the_limit_and_not_before() {
        let limits = Limits { envelope_signatures: 2, ..Limits::DEFAULT };
        let parse = |count: usize| {
            let signature = Signature { keyid: String::new(), sig: vec![1] };
            let envelope =
                Envelope { payload: vec![], payload_type: "t".to_owned(), signatures: vec![signature; count] };
            Envelope::parse(&envelope.to_json(), &limits)
        };
        assert!(parse(2).is_ok());
        assert_eq!(parse(3).unwrap_err().code, "TOO_MANY_SIGNATURES");
        let small = Limits { envelope_bytes: 10, ..Limits::DEFAULT };
        assert_eq!(Envelope::parse(&[b' '; 11], &small).unwrap_err().code, "ENVELOPE_TOO_LARGE");
    }

    proptest! {
        #[test]
        fn json_is_canonical_and_round_trips(
            payload in prop::collection::vec(any::<u8>(), 0..64),
            payload_type in ".{0,16}",
            signatures in prop::collection::vec((".{0,8}", prop::collection::vec(any::<u8>(), 0..80)), 1..4),
        ) {
            let signatures = signatures.into_iter().map(|(keyid, sig)| Signature { keyid, sig }).collect();
            let envelope = Envelope { payload, payload_type, signatures };
            let bytes = envelope.to_json();
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&canonical::to_vec(&value).unwrap(), &bytes);
            prop_assert_eq!(Envelope::parse(&bytes, &Limits::DEFAULT).unwrap(), envelope);
        }
    }
}
