//! Bundles with neither a log entry nor a timestamp: what is proved by a pinned key, and what never is. And the words for
//! certificates that were not valid.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::facts::SignatureClass;
use lockgate_sign::AttestationKey;
use serde_json::json;

use super::*;
use crate::bundle::MEDIA_TYPES;
use crate::cosign::ImageSignature;
use crate::root::Instance;

const FILE: &[u8] = b"the artifact";

fn bundle(media_type: &str, content: (&str, Value)) -> Value {
    let mut bundle = json!({ "mediaType": media_type, "verificationMaterial": { "publicKey": { "hint": "ours" } } });
    bundle[content.0] = content.1;
    bundle
}

fn message(key: &AttestationKey, file: &[u8]) -> (&'static str, Value) {
    let digest = json!({ "algorithm": "SHA2_256", "digest": STANDARD.encode(Digest::of(file).as_bytes()) });
    let signature = STANDARD.encode(key.sign(file).unwrap());
    ("messageSignature", json!({ "messageDigest": digest, "signature": signature }))
}

fn statement(key: &AttestationKey, file: &[u8]) -> (&'static str, Value) {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "app", "digest": { "sha256": Digest::of(file).hex() } }],
        "predicateType": "https://example.org/x",
        "predicate": {},
    });
    let payload = statement.to_string().into_bytes();
    let envelope = Envelope::sign("application/vnd.in-toto+json", &payload, key, &[String::new()]).unwrap();
    ("dsseEnvelope", serde_json::from_slice(&envelope.to_json()).unwrap())
}

fn outcome(bundle: &Value, subject: Subject<'_>, key: &AttestationKey) -> (SignatureClass, &'static str) {
    let verifier = OfflineVerifier::new(&Instance::PublicGood.root().unwrap()).unwrap();
    let read = Bundle::parse(bundle.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    assert!(read.is_bare());
    let outcome = verifier.verify(&read, subject, Expected::Key(key.public()));
    (outcome.class(), outcome.code())
}

#[test]
fn a_pinned_key_is_proved_without_a_log() {
    let (key, other) = (AttestationKey::generate().unwrap(), AttestationKey::generate().unwrap());
    let (good, forged) = ((SignatureClass::WithoutLog, "LOG_MISSING"), "SIGNATURE_INVALID");
    let digest = Digest::of(FILE);
    for media_type in MEDIA_TYPES {
        for content in [message(&key, FILE), statement(&key, FILE)] {
            let bundle = bundle(media_type, content);
            for subject in [Subject::Bytes(FILE), Subject::Digest(digest)] {
                assert_eq!(outcome(&bundle, subject, &key), good, "{bundle}");
                assert_eq!(outcome(&bundle, subject, &other), (SignatureClass::SignatureInvalid, forged), "{bundle}");
            }
            for subject in [Subject::Bytes(b"other"), Subject::Digest(Digest::of(b"other"))] {
                assert_eq!(outcome(&bundle, subject, &key).1, "ARTIFACT_MISMATCH", "{bundle}");
            }
        }
    }
}

#[test]
fn whose_signature_it_is_does_not_depend_on_what_stands_beside_it() {
    let (key, other) = (AttestationKey::generate().unwrap(), AttestationKey::generate().unwrap());
    for content in [message(&key, FILE), statement(&key, FILE)] {
        let mut bundle = bundle(MEDIA_TYPES[3], content);
        for entries in [json!([]), json!([{ "inclusionProof": {} }])] {
            bundle["verificationMaterial"]["tlogEntries"] = entries;
            let read = Bundle::parse(bundle.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
            assert_eq!(is_signed_by(&read, key.public(), Subject::Digest(Digest::of(FILE))), Some(true), "{bundle}");
            assert_eq!(is_signed_by(&read, other.public(), Subject::Digest(Digest::of(FILE))), Some(false), "{bundle}");
        }
    }
}

#[test]
fn what_a_bundle_says_of_its_digest_proves_nothing() {
    let key = AttestationKey::generate().unwrap();
    let mut lying = bundle(MEDIA_TYPES[3], message(&key, b"other"));
    lying["messageSignature"]["messageDigest"]["digest"] = json!(STANDARD.encode(Digest::of(FILE).as_bytes()));
    for subject in [Subject::Bytes(FILE), Subject::Digest(Digest::of(FILE))] {
        assert_eq!(outcome(&lying, subject, &key).1, "SIGNATURE_INVALID");
    }
    let mut silent = bundle(MEDIA_TYPES[3], message(&key, b"other"));
    silent["messageSignature"]["messageDigest"] = Value::Null;
    assert_eq!(outcome(&silent, Subject::Bytes(FILE), &key).1, "SIGNATURE_INVALID");
}

#[test]
fn a_bundle_by_a_key_needs_the_key() {
    let key = AttestationKey::generate().unwrap();
    let bundle = bundle(MEDIA_TYPES[3], message(&key, FILE)).to_string();
    let read = Bundle::parse(bundle.as_bytes(), &Limits::DEFAULT).unwrap();
    let verifier = OfflineVerifier::new(&Instance::PublicGood.root().unwrap()).unwrap();
    let outcome = verifier.verify(&read, Subject::Bytes(FILE), Expected::AnyIdentity);
    assert_eq!(outcome.code(), "SIGNATURE_TYPE");
    assert!(outcome.refusal().unwrap().detail.ends_with("signed with a key, and none was given to verify it with"));
}

#[test]
fn a_certificate_that_was_not_valid_is_told_in_words() {
    let check = |error: Error, reason: Reason, words: &str| {
        let found = refusal(&error);
        assert_eq!((found.reason, found.detail.as_str()), (reason, words));
    };
    let chain = |detail: &str| Error::Certificate(CertificateError::ChainInvalid(detail.to_owned()));
    check(
        chain("failed: CertNotValidYet { time: UnixTime(1675209600), not_before: UnixTime(1893456000) }"),
        Reason::CertificateExpired,
        "a certificate of the chain is not valid yet: it was used at 2023-02-01T00:00:00Z, and is valid from \
         2030-01-01T00:00:00Z",
    );
    check(
        chain("failed: CertExpired { time: UnixTime(1675296000), not_after: UnixTime(1675210200) }"),
        Reason::CertificateExpired,
        "a certificate of the chain has expired: it was used at 2023-02-02T00:00:00Z, and was valid until \
         2023-02-01T00:10:00Z",
    );
    let stamp = "failed: CertExpired { time: UnixTime(1675296000), not_after: UnixTime(1675210200) }".to_owned();
    check(
        Error::Timestamp(TimestampError::Invalid(stamp)),
        Reason::TimeInvalid,
        "a certificate of the timestamp's authority has expired: it was used at 2023-02-02T00:00:00Z, and was valid \
         until 2023-02-01T00:10:00Z",
    );
    // What reads otherwise is told as the library does.
    for detail in ["failed: UnknownIssuer", "failed: CertExpired { time: soon }", "failed: CertNotValidYet"] {
        let found = refusal(&chain(detail));
        assert!(found.detail.ends_with(detail), "{found}");
    }
}

/// A signature that the public instance vouches for; see `testdata/README.md`.
const IMAGE: &[u8] = include_bytes!("../testdata/image-signature.json");

#[test]
fn an_image_signature_of_the_public_instance_is_proved_by_its_payload() {
    let read = ImageSignature::parse(IMAGE, &Limits::DEFAULT).unwrap();
    let verifier = OfflineVerifier::new(&Instance::PublicGood.root().unwrap()).unwrap();
    let verify = |payload: &[u8]| {
        let outcome = verifier.verify(&read.bundle, Subject::Bytes(payload), Expected::AnyIdentity);
        (outcome.class(), outcome.code(), outcome.to_fact(None).identity)
    };
    let signer = "https://github.com/capnspacehook/pie-loader/.github/workflows/release.yaml@refs/heads/master";
    assert_eq!(verify(&read.payload), (SignatureClass::WithoutLog, "LOG_PROMISED", Some(signer.to_owned())));
    let mut changed = read.payload.clone();
    changed.push(b' ');
    assert_eq!(verify(&changed), (SignatureClass::SignatureInvalid, "ARTIFACT_MISMATCH", None));
}

#[test]
fn what_was_changed_beside_an_image_signature_is_seen() {
    let verifier = OfflineVerifier::new(&Instance::PublicGood.root().unwrap()).unwrap();
    let code = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(IMAGE).unwrap();
        change(&mut value);
        match ImageSignature::parse(value.to_string().as_bytes(), &Limits::DEFAULT) {
            Err(refusal) => refusal.reason.code(),
            Ok(read) => verifier.verify(&read.bundle, Subject::Bytes(&read.payload), Expected::AnyIdentity).code(),
        }
    };
    assert_eq!(code(&|_| {}), "LOG_PROMISED");
    assert_eq!(code(&|value| value["Bundle"] = Value::Null), "TIME_MISSING");
    assert_eq!(code(&|value| value["Cert"] = Value::Null), "SIGNATURE_TYPE");
    assert_eq!(code(&|value| value["Cert"]["Raw"] = json!("AQID")), "SIGNATURE_MALFORMED");
    assert_eq!(code(&|value| value["Bundle"]["Payload"]["integratedTime"] = json!(1_677_112_709)), "LOG_INVALID");
    assert_eq!(code(&|value| value["Bundle"]["SignedEntryTimestamp"] = json!("AQID")), "LOG_INVALID");
}
