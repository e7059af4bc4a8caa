//! Every refusal of a passkey's signature, by signing something else with a software passkey.

use super::*;
use crate::attestation_key::AttestationKey;
use crate::ssh::presence::{ATTESTED, EXTENSIONS};
use crate::ssh::{SshKeyError, SshKeyKind, SshSigError, WebauthnError};
use crate::ssh_signer::FileSigner;

const NAMESPACE: &str = "promotion-approval.v1@lockgate.dev";
const MESSAGE: &[u8] = b"{\"promotion\":\"P-3\"}";
const GOOD_FLAGS: u8 = USER_PRESENT | USER_VERIFIED;

fn origin(text: &str) -> WebOrigin {
    text.parse().unwrap()
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        put_string(&mut out, part);
    }
    out
}

fn passkey() -> SoftPasskey {
    SoftPasskey::generate(&origin("https://lockgate.example")).unwrap()
}

fn client_data(key: &SoftPasskey) -> String {
    key.client_data(&signed_data(NAMESPACE, HASH, MESSAGE))
}

fn verify(key: &SoftPasskey, blob: Vec<u8>) -> Result<(), SshSigError> {
    let signature = SshSignature::new(key.public.clone(), NAMESPACE, HASH, blob);
    // What is refused is refused in the form that is stored, too.
    let signature = SshSignature::parse_armored(&signature.to_armored()).unwrap();
    signature.verify(MESSAGE, NAMESPACE, &key.public)
}

fn code(outcome: Result<(), SshSigError>) -> &'static str {
    match outcome {
        Ok(()) => "OK",
        Err(error) => error.code(),
    }
}

#[test]
fn signs_what_its_public_key_verifies() {
    for at in ["https://lockgate.example", "https://lockgate.example:8443", "http://localhost:7070"] {
        let key = SoftPasskey::generate(&origin(at)).unwrap();
        assert!(key.public_key().is_passkey() && key.public_key().is_security_key());
        assert_eq!(key.public_key().rp_id().as_ref(), Some(origin(at).host()));
        assert_eq!(key.public_key().to_string().parse::<SshPublicKey>().unwrap(), *key.public_key());
        // Several times, because now and then r or s has a leading zero or its highest bit set.
        for _ in 0..8 {
            let signature = key.sign(NAMESPACE, MESSAGE).unwrap();
            let presence = signature.verify_presence(MESSAGE, NAMESPACE, key.public_key()).unwrap().unwrap();
            assert_eq!(signature.presence(), Some(presence.clone()));
            assert_eq!(presence.origin, Some(origin(at)));
            assert!(presence.is_passkey() && presence.user_present && presence.user_verified);
            assert!(!presence.backup_eligible && !presence.backed_up && presence.counter == 0);
        }
    }
    assert_eq!(passkey().sign("", MESSAGE), Err(SignerError::NoNamespace));
}

#[test]
fn says_what_the_device_says() {
    let presence = |key: &SoftPasskey| {
        let signature = key.sign(NAMESPACE, MESSAGE).unwrap();
        signature.verify_presence(MESSAGE, NAMESPACE, key.public_key()).unwrap().unwrap()
    };
    let unverified = presence(&passkey().without_user_verification());
    assert!(unverified.user_present && !unverified.user_verified);
    let synced = presence(&passkey().synced());
    assert!(synced.user_verified && synced.backup_eligible && synced.backed_up);
    let key = passkey();
    let blob = key.blob(GOOD_FLAGS, 7, client_data(&key).as_bytes(), b"").unwrap();
    let counted = SshSignature::new(key.public.clone(), NAMESPACE, HASH, blob);
    assert_eq!(counted.verify_presence(MESSAGE, NAMESPACE, &key.public).unwrap().unwrap().counter, 7);
    let file = FileSigner::ed25519_from_seed(&[7; 32], "").unwrap();
    let plain = file.sign(NAMESPACE, MESSAGE).unwrap();
    assert_eq!(plain.verify_presence(MESSAGE, NAMESPACE, file.public_key()), Ok(None));
    assert_eq!(plain.presence(), None);
}

#[test]
fn a_signature_is_for_one_message_one_purpose_and_one_key() {
    let key = passkey();
    let signature = key.sign(NAMESPACE, MESSAGE).unwrap();
    assert_eq!(code(signature.verify(b"other", NAMESPACE, &key.public)), "WEBAUTHN_CHALLENGE");
    let other = signature.verify(MESSAGE, "waiver.v1@lockgate.dev", &key.public);
    assert!(matches!(other, Err(SshSigError::OtherNamespace { .. })));
    let renamed = SshSignature::new(key.public.clone(), "waiver.v1@lockgate.dev", HASH, signature.blob().to_vec());
    assert_eq!(code(renamed.verify(MESSAGE, "waiver.v1@lockgate.dev", &key.public)), "WEBAUTHN_CHALLENGE");
    let stranger = passkey();
    let other = signature.verify(MESSAGE, NAMESPACE, &stranger.public);
    assert!(matches!(other, Err(SshSigError::OtherKey { .. })));
    assert_eq!(verify(&stranger, signature.blob().to_vec()), Err(SshSigError::Invalid));
}

#[test]
fn refuses_flags_that_are_not_those_of_an_assertion() {
    let key = passkey();
    let data = client_data(&key);
    let check = |flags: u8, extensions: &[u8], expected: &str| {
        let blob = key.blob(flags, 0, data.as_bytes(), extensions).unwrap();
        assert_eq!(code(verify(&key, blob)), expected, "{flags:#04x} {extensions:?}");
    };
    check(USER_PRESENT, b"", "OK");
    check(GOOD_FLAGS | BACKUP_ELIGIBLE, b"", "OK");
    check(GOOD_FLAGS | BACKUP_ELIGIBLE | BACKED_UP, b"", "OK");
    check(GOOD_FLAGS | EXTENSIONS, b"\xa0", "OK");
    check(0, b"", "WEBAUTHN_FLAGS");
    check(USER_VERIFIED, b"", "WEBAUTHN_FLAGS");
    check(GOOD_FLAGS | ATTESTED, b"", "WEBAUTHN_FLAGS");
    check(GOOD_FLAGS | ATTESTED | EXTENSIONS, b"\xa0", "WEBAUTHN_FLAGS");
    check(GOOD_FLAGS | EXTENSIONS, b"", "WEBAUTHN_FLAGS");
    check(GOOD_FLAGS, b"\xa0", "WEBAUTHN_FLAGS");
    check(GOOD_FLAGS | BACKED_UP, b"", "WEBAUTHN_FLAGS");
}

#[test]
fn refuses_origins_of_others() {
    let check = |at: &str, expected: &str| {
        let key = passkey().at(origin(at));
        let signature = key.sign(NAMESPACE, MESSAGE).unwrap();
        assert_eq!(code(signature.verify(MESSAGE, NAMESPACE, key.public_key())), expected, "{at}");
    };
    check("https://lockgate.example", "OK");
    check("https://lockgate.example:8443", "OK");
    check("https://evil.example", "WEBAUTHN_ORIGIN");
    check("https://sub.lockgate.example", "WEBAUTHN_ORIGIN");
    check("https://example", "WEBAUTHN_ORIGIN");
    check("https://lockgate.example.evil.example", "WEBAUTHN_ORIGIN");
    check("http://localhost", "WEBAUTHN_ORIGIN");
}

/// Replaces the origin in the blob and in the client data by one that has no [`WebOrigin`], and signs that.
fn at_any(key: &SoftPasskey, text: &str) -> Vec<u8> {
    let data = client_data(key).replace(&key.origin.to_string(), text);
    let blob = key.blob(GOOD_FLAGS, 0, data.as_bytes(), b"").unwrap();
    let mut old = Vec::new();
    put_string(&mut old, key.origin.to_string().as_bytes());
    let at = blob.windows(old.len()).position(|window| window == old).unwrap();
    let mut edited = blob[..at].to_vec();
    put_string(&mut edited, text.as_bytes());
    edited.extend_from_slice(&blob[at + old.len()..]);
    edited
}

#[test]
fn refuses_texts_that_are_not_origins() {
    let key = passkey();
    assert_eq!(verify(&key, at_any(&key, "https://lockgate.example")), Ok(()));
    for bad in [
        "http://lockgate.example",
        "HTTPS://lockgate.example",
        "https://lockgate.example/",
        "https://lockgate.example:443",
        "https://lockgate.example@evil.example",
        "https://lockgate.example\",\"x\":\"",
        "lockgate.example",
        "null",
        "",
        "android:apk-key-hash:AAAA",
    ] {
        assert_eq!(code(verify(&key, at_any(&key, bad))), "WEBAUTHN_ORIGIN", "{bad}");
    }
    // A key whose application is no host name at all.
    let wire = strings(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", key.pair.public_key().as_ref(), b""]);
    let nameless = SshPublicKey::from_wire(&wire).unwrap();
    assert!(nameless.is_passkey() && nameless.rp_id().is_none());
    let blob = key.sign(NAMESPACE, MESSAGE).unwrap().blob().to_vec();
    let signature = SshSignature::new(nameless.clone(), NAMESPACE, HASH, blob);
    assert_eq!(code(signature.verify(MESSAGE, NAMESPACE, &nameless)), "WEBAUTHN_ORIGIN");
}

#[test]
fn refuses_client_data_that_say_something_else() {
    let key = passkey();
    let good = client_data(&key);
    let check = |data: String, expected: &str| {
        let blob = key.blob(GOOD_FLAGS, 0, data.as_bytes(), b"").unwrap();
        assert_eq!(code(verify(&key, blob)), expected, "{data}");
    };
    let edit = |from: &str, to: &str, expected: &str| {
        assert!(good.contains(from), "{from}");
        check(good.replace(from, to), expected);
    };
    check(good.clone(), "OK");
    edit(",\"crossOrigin\":false", "", "OK");
    edit("\"crossOrigin\":false", "\"crossOrigin\":false,\"other_keys\":{\"a\":[15]}", "OK");
    edit("webauthn.get", "webauthn.create", "WEBAUTHN_TYPE");
    edit("webauthn.get", "payment.get", "WEBAUTHN_TYPE");
    edit("\"type\":\"webauthn.get\",", "", "WEBAUTHN_TYPE");
    edit("\"webauthn.get\"", "1", "WEBAUTHN_TYPE");
    edit("\"challenge\":\"", "\"challenge\":\"A", "WEBAUTHN_CHALLENGE");
    edit("\",\"origin\"", "=\",\"origin\"", "WEBAUTHN_CHALLENGE");
    edit("https://lockgate.example", "https://evil.example", "WEBAUTHN_ORIGIN");
    edit("https://lockgate.example", "https://lockgate.example:8443", "WEBAUTHN_ORIGIN");
    edit(",\"origin\":\"https://lockgate.example\"", "", "WEBAUTHN_ORIGIN");
    edit("\"crossOrigin\":false", "\"crossOrigin\":true", "WEBAUTHN_CROSS_ORIGIN");
    edit("\"crossOrigin\":false", "\"crossOrigin\":null", "WEBAUTHN_CROSS_ORIGIN");
    edit("\"crossOrigin\":false", "\"crossOrigin\":\"false\"", "WEBAUTHN_CROSS_ORIGIN");
    edit("\"crossOrigin\":false", "\"topOrigin\":\"https://lockgate.example\"", "WEBAUTHN_CROSS_ORIGIN");
    edit(
        "\"crossOrigin\":false",
        "\"crossOrigin\":true,\"topOrigin\":\"https://evil.example\"",
        "WEBAUTHN_CROSS_ORIGIN",
    );

    // Spellings that two readers could read differently, or that `ssh-keygen` would refuse.
    let malformed = "WEBAUTHN_CLIENT_DATA";
    edit("\"crossOrigin\":false", "\"crossOrigin\":true,\"crossOrigin\":false", malformed);
    edit("\"crossOrigin\":false", "\"type\":\"webauthn.get\"", malformed);
    edit("\"crossOrigin\":false", "\"\\u006frigin\":\"https://evil.example\"", malformed);
    edit("{\"type\"", "{ \"type\"", malformed);
    edit("\"type\":", "\"type\": ", malformed);
    edit("webauthn.get", "webauthn\\u002eget", malformed);
    edit("https://lockgate.example", "https:\\/\\/lockgate.example", malformed);
    edit("{\"type\"", "{\"crossOrigin2\":false,\"type\"", malformed);
    edit("false}", "false} ", "OK");
    edit("false}", "false,\"more\":-1}", "OK");
    for number in ["1e400", "1e2", "-0", "0.5", "9007199254740992", "NaN"] {
        edit("false}", &format!("false,\"more\":{number}}}"), malformed);
    }
    edit("false}", "false}{}", malformed);
    edit("false}", "false", malformed);
    check(format!("[{good}]"), malformed);
    check(format!("\u{feff}{good}"), malformed);
    check(String::new(), malformed);
    check("1".to_owned(), malformed);
}

#[test]
fn refuses_every_changed_or_cut_blob() {
    let key = passkey();
    let data = client_data(&key);
    let good = key.blob(GOOD_FLAGS | EXTENSIONS, 5, data.as_bytes(), b"\xa0").unwrap();
    assert_eq!(verify(&key, good.clone()), Ok(()));
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x01;
        assert!(verify(&key, changed).is_err(), "{at}");
        assert!(verify(&key, good[..at].to_vec()).is_err(), "{at}");
    }
    assert_eq!(verify(&key, [good.as_slice(), &[0]].concat()), Err(SshSigError::Damaged));
}

#[test]
fn refuses_numbers_that_are_not_in_their_shortest_form() {
    let key = passkey();
    let good = key.sign(NAMESPACE, MESSAGE).unwrap().blob().to_vec();
    let numbers = {
        let mut reader = crate::ssh::wire::Reader::new(&good);
        reader.string().unwrap();
        reader.string().unwrap().to_vec()
    };
    let mut reader = crate::ssh::wire::Reader::new(&numbers);
    let (r, s) = (reader.string().unwrap().to_vec(), reader.string().unwrap().to_vec());
    let with = |r: &[u8], s: &[u8], more: &[u8]| {
        let changed = [&strings(&[r, s])[..], more].concat();
        let mut blob = strings(&[SIGNATURE_TYPE.as_bytes(), &changed]);
        blob.extend_from_slice(&good[blob_rest(&numbers)..]);
        verify(&key, blob)
    };
    assert_eq!(with(&r, &s, b""), Ok(()));
    let padded = |number: &[u8]| [&[0u8][..], number].concat();
    assert_eq!(with(&padded(&r), &s, b""), Err(SshSigError::Damaged));
    assert_eq!(with(&r, &padded(&s), b""), Err(SshSigError::Damaged));
    assert_eq!(with(&r, &s, b"\0"), Err(SshSigError::Damaged));
    assert_eq!(with(b"", &s, b""), Err(SshSigError::Damaged));
    assert_eq!(with(&r, &[0], b""), Err(SshSigError::Damaged));
    assert_eq!(with(&r, &[0x80, 1], b""), Err(SshSigError::Damaged));
}

/// Where the flags begin in a blob with these numbers.
fn blob_rest(numbers: &[u8]) -> usize {
    4 + SIGNATURE_TYPE.len() + 4 + numbers.len()
}

#[test]
fn a_passkey_signs_in_browsers_only_and_a_security_key_through_ssh_only() {
    let key = passkey();
    let signed = signed_data(NAMESPACE, HASH, MESSAGE);
    let plain_blob = |application: &[u8]| {
        let digests = (Digest::of(application), Digest::of(&signed));
        let flags = [GOOD_FLAGS, 0, 0, 0, 1];
        let message = [digests.0.as_bytes().as_slice(), &flags, digests.1.as_bytes()].concat();
        let signature = key.pair.sign(&SystemRandom::new(), &message).unwrap();
        let numbers = ecdsa_numbers(signature.as_ref()).unwrap();
        let mut blob = strings(&[SshKeyKind::SkEcdsaP256.name().as_bytes(), &numbers]);
        blob.extend_from_slice(&flags);
        blob
    };
    let refused = WebauthnError::NotPasskey(SshKeyKind::SkEcdsaP256.name().to_owned());
    assert_eq!(verify(&key, plain_blob(b"lockgate.example")), Err(refused.into()));

    // The same key as OpenSSH's own security key.
    let wire = strings(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", key.pair.public_key().as_ref(), b"ssh:"]);
    let security_key = SshPublicKey::from_wire(&wire).unwrap();
    assert!(!security_key.is_passkey() && security_key.rp_id().is_none());
    assert_eq!(security_key.material(), key.public.material());
    let plain = SshSignature::new(security_key.clone(), NAMESPACE, HASH, plain_blob(b"ssh:"));
    let presence = plain.verify_presence(MESSAGE, NAMESPACE, &security_key).unwrap().unwrap();
    assert!(presence.user_verified && !presence.is_passkey() && presence.counter == 1);
    assert_eq!(plain.presence(), Some(presence));
    let blob = key.sign(NAMESPACE, MESSAGE).unwrap().blob().to_vec();
    let borrowed = SshSignature::new(security_key.clone(), NAMESPACE, HASH, blob.clone());
    assert_eq!(code(borrowed.verify(MESSAGE, NAMESPACE, &security_key)), "WEBAUTHN_ORIGIN");

    // A key of another kind makes no such signature at all.
    let file = FileSigner::ed25519_from_seed(&[7; 32], "").unwrap();
    let other = SshSignature::new(file.public_key().clone(), NAMESPACE, HASH, blob);
    let refused = other.verify(MESSAGE, NAMESPACE, file.public_key());
    assert!(matches!(refused, Err(SshSigError::WrongType { .. })), "{refused:?}");
}

#[test]
fn a_registration_makes_the_same_key_from_point_and_from_spki() {
    let key = passkey();
    let attestation = AttestationKey::from_pkcs8(key.to_pkcs8()).unwrap();
    let spki = attestation.public().spki_der();
    assert_eq!(SshPublicKey::passkey_from_spki(&key.rp_id, spki).unwrap(), key.public);
    let point = key.pair.public_key().as_ref();
    assert_eq!(SshPublicKey::passkey_from_point(&key.rp_id, point).unwrap(), key.public);
    let other: RpId = "other.example".parse().unwrap();
    let elsewhere = SshPublicKey::passkey_from_spki(&other, spki).unwrap();
    assert_ne!(elsewhere, key.public);
    assert_eq!(elsewhere.material(), key.public.material());

    let refused = |der: &[u8]| SshPublicKey::passkey_from_spki(&key.rp_id, der) == Err(SshKeyError::NotEs256);
    assert!(refused(b"") && refused(&spki[1..]) && refused(&[spki, &[0]].concat()));
    let mut off_curve = spki.to_vec();
    *off_curve.last_mut().unwrap() ^= 1;
    assert!(refused(&off_curve));
    let ed25519: Vec<u8> =
        [&[0x30u8, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &[3; 32]].concat();
    assert!(refused(&ed25519));
    assert!(SshPublicKey::passkey_from_point(&key.rp_id, &point[1..]).is_err());
}

#[test]
fn a_file_round_trips_and_is_strict() {
    let key = passkey();
    let text = key.to_json().unwrap();
    let again = SoftPasskey::from_json(&text).unwrap();
    assert_eq!(again.public_key(), key.public_key());
    assert_eq!(again.origin(), key.origin());
    let signature = again.sign(NAMESPACE, MESSAGE).unwrap();
    assert_eq!(signature.verify(MESSAGE, NAMESPACE, key.public_key()), Ok(()));
    assert_eq!(format!("{key:?}"), format!("SoftPasskey(lockgate.example, {})", key.public_key().fingerprint()));

    for (text, flags) in [
        (key.to_json().unwrap(), GOOD_FLAGS),
        (passkey().without_user_verification().to_json().unwrap(), USER_PRESENT),
        (passkey().synced().to_json().unwrap(), GOOD_FLAGS | BACKUP_ELIGIBLE | BACKED_UP),
    ] {
        assert_eq!(SoftPasskey::from_json(&text).unwrap().flags, flags);
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("sam{}", SoftPasskey::FILE_SUFFIX));
    std::fs::write(&path, &text).unwrap();
    assert_eq!(SoftPasskey::load(&path).unwrap().public_key(), key.public_key());
    let missing = SoftPasskey::load(&folder.path().join("gone")).unwrap_err();
    assert!(matches!(missing, SignerError::Unreadable { .. }));

    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        SoftPasskey::from_json(&text.replace(from, to)).unwrap_err()
    };
    assert!(matches!(refused("soft-passkey/v1", "soft-passkey/v2"), SignerError::NotPasskey { .. }));
    assert!(matches!(refused("\"note\"", "\"more\": 1, \"note\""), SignerError::NotPasskey { .. }));
    assert!(matches!(refused("https://lockgate", "http://lockgate"), SignerError::NotPasskey { .. }));
    assert!(matches!(refused("\"pkcs8\": \"", "\"pkcs8\": \"!"), SignerError::NotPasskey { .. }));
    assert!(matches!(refused("\"pkcs8\": \"", "\"pkcs8\": \"AAAA"), SignerError::Damaged(_)));
    assert!(matches!(SoftPasskey::from_json("").unwrap_err(), SignerError::NotPasskey { .. }));
}
