//! `lockgate signature verify`: what it says of signatures that nobody asked for, that need an option more, or that are of
//! another kind.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::Digest;
use serde_json::{Value, json};

use crate::instance::{Instance, Ran, artifact};

/// Whom the certificate of the good bundle names, and who vouches for that.
const IDENTITY: &str = "https://git.example/shop/web/.ci/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.ci.example";
/// A key of openssl's, and what it signed with `openssl dgst -sha256 -sign`: the bytes `app`, and a statement like npm's.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIcfPQ7PiCL9CbGA5GQldlQOA+Vca\n\
    szHZwhtM2lSJqD64cua+eRdG6UvR5nWIdBOMK90iQ96nXTsarn2Xkc5PTw==\n\
    -----END PUBLIC KEY-----\n";
const APP_SIGNATURE: &str =
    "MEUCIQDVfGyDA9YR47tw4kbVKvuLTekBPS9KfvgXAUn3DZNkYAIgW4x3B0aAbhz0P++Tf4X0aupFFKtYozF9S+/7xMIHTP0=";
const STATEMENT: &str =
    r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha512":"00"}}],"predicateType":"x"}"#;
const STATEMENT_SIGNATURE: &str =
    "MEQCIDzx6kG+ToHXz88e5d4xdRPQS1YzAfATRXgOzLjs8wbrAiA5xo2/e5JT3NWKmJYSj7XXz1d/cAM2zOKQ+ShALJmPgw==";
const NOTE: &str = "note: nobody was asked for";

/// A working directory with the artifact `app`, and what was signed about it.
fn signed() -> Instance {
    let lockgate = Instance::new();
    lockgate.write("app", artifact("1.4.2"));
    for name in ["bundle.json", "key.json", "key.pem", "root.json", "signed-late.json", "signed-early.json"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attacks/base/sigstore").join(name);
        lockgate.write(name, fs::read(from).unwrap());
    }
    lockgate
}

fn verify(lockgate: &Instance, signature: &str, more: &[&str]) -> Ran {
    let verify = ["signature", "verify", "app", "--signature", signature, "--trust-root", "root.json"];
    lockgate.run(&[&verify[..], more].concat())
}

#[test]
fn a_signer_whom_nobody_asked_for_is_noted() {
    let lockgate = signed();
    let anyone = verify(&lockgate, "bundle.json", &[]).exits(0).says("verified (bundle)");
    assert!(anyone.stderr.contains(NOTE), "{anyone}");
    assert!(anyone.stderr.contains("--identity and --issuer"), "{anyone}");
    let asked: [(&str, &[&str], &str); 2] = [
        ("bundle.json", &["--identity", IDENTITY, "--issuer", ISSUER], "identity"),
        ("key.json", &["--key", "key.pem"], "key"),
    ];
    for (signature, more, expected) in asked {
        let ran = verify(&lockgate, signature, more).exits(0);
        assert!(!ran.stderr.contains(NOTE), "{ran}");
        let ran = verify(&lockgate, signature, &[more, &["--output", "json"]].concat()).exits(0);
        assert_eq!(ran.json()[0]["expected"], expected, "{ran}");
    }
    let ran = verify(&lockgate, "bundle.json", &["--output", "json"]).exits(0);
    assert_eq!(ran.json()[0]["expected"], "anyone", "{ran}");
    assert!(ran.stderr.contains(NOTE), "{ran}");
}

#[test]
fn what_is_missing_is_named_as_the_option_that_it_is() {
    let lockgate = signed();
    let by_key = verify(&lockgate, "key.json", &[]).refused(3, "SIGNATURE_TYPE");
    assert!(by_key.stderr.contains("add --key FILE"), "{by_key}");
    let asked = ["--identity", IDENTITY, "--issuer", ISSUER];
    let by_key = verify(&lockgate, "key.json", &asked).refused(3, "SIGNATURE_TYPE");
    assert!(by_key.stderr.contains("in place of --identity"), "{by_key}");
    let keyless = verify(&lockgate, "bundle.json", &["--key", "key.pem"]).refused(3, "SIGNATURE_TYPE");
    assert!(keyless.stderr.contains("leave out --key"), "{keyless}");
    let other = ["--identity", "dana@shop.example", "--issuer", ISSUER];
    let other = verify(&lockgate, "bundle.json", &other).refused(3, "SIGNER_MISMATCH");
    assert!(other.stderr.contains("name it with --identity"), "{other}");
    assert!(!other.stderr.contains("trust.toml"), "{other}");

    lockgate.write("app.asc", "-----BEGIN PGP SIGNATURE-----\n\niHUEABYKAB0=\n-----END PGP SIGNATURE-----\n");
    lockgate.write("app.sig", b"\x88\x75\x04\x00\x16");
    for signature in ["app.asc", "app.sig"] {
        let openpgp = verify(&lockgate, signature, &[]).refused(2, "KEY_MISSING");
        assert!(openpgp.stderr.contains("OpenPGP"), "{openpgp}");
        assert!(openpgp.stderr.contains("--keyring FILE"), "{openpgp}");
    }
}

#[test]
fn a_signature_over_the_file_is_read_as_text_and_as_bytes() {
    let lockgate = signed();
    lockgate.write("app", "app");
    lockgate.write("openssl.pem", KEY);
    let binary = STANDARD.decode(APP_SIGNATURE).unwrap();
    let key = ["--key", "openssl.pem"];
    lockgate.write("app.sig", &binary);
    lockgate.write("app.b64", format!("{APP_SIGNATURE}\n"));
    for signature in ["app.sig", "app.b64"] {
        verify(&lockgate, signature, &key).exits(0).says("managed-key");
    }
    let mut changed = binary.clone();
    *changed.last_mut().unwrap() ^= 1;
    lockgate.write("changed.sig", changed);
    verify(&lockgate, "changed.sig", &key).refused(3, "SIGNATURE_INVALID");
    lockgate.write("words.sig", "no signature");
    verify(&lockgate, "words.sig", &key).refused(3, "SIGNATURE_MALFORMED");
    lockgate.write("empty.sig", "");
    lockgate.write("blank.sig", "\n");
    let nothing: [(&str, &[&str]); 3] = [("empty.sig", &key), ("empty.sig", &[]), ("blank.sig", &key)];
    for (signature, more) in nothing {
        verify(&lockgate, signature, more).refused(3, "SIGNATURE_MISSING").says("is empty");
    }
}

#[test]
fn a_keyring_has_to_be_binary_and_a_signature_to_be_there() {
    let lockgate = signed();
    lockgate.write("app.sig", b"\x88\x75\x04\x00\x16");
    lockgate.write("keys.asc", "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEAAAA\n");
    let armoured = verify(&lockgate, "app.sig", &["--keyring", "keys.asc"]).refused(2, "KEY_INVALID");
    assert!(armoured.stderr.contains("without `-a`"), "{armoured}");
    lockgate.write("keys.gpg", b"\x98\x33\x04");
    lockgate.write("empty.sig", "");
    verify(&lockgate, "empty.sig", &["--keyring", "keys.gpg"]).refused(3, "SIGNATURE_MISSING").says("is empty");
}

#[test]
fn a_statement_that_names_no_sha256_is_told_as_such() {
    let lockgate = signed();
    lockgate.write("openssl.pem", KEY);
    let envelope = json!({
        "payload": STANDARD.encode(STATEMENT), "payloadType": "application/vnd.in-toto+json",
        "signatures": [{ "sig": STATEMENT_SIGNATURE }],
    });
    lockgate.write("npm.json", envelope.to_string());
    let ran = verify(&lockgate, "npm.json", &["--key", "openssl.pem"]).refused(3, "ARTIFACT_MISMATCH");
    ran.says("its subjects name no sha256 digest, only sha512: Lockgate compares SHA-256");
}

#[test]
fn times_are_told_in_words() {
    let lockgate = signed();
    let check = |signature: &str, words: &str| {
        let ran = verify(&lockgate, signature, &[]).refused(3, "CERTIFICATE_EXPIRED").says(words);
        assert!(!ran.stderr.contains("UnixTime"), "{ran}");
    };
    check(
        "signed-late.json",
        "has expired: it was used at 2025-06-01T12:11:00Z, and was valid until 2025-06-01T12:10:00Z",
    );
    check(
        "signed-early.json",
        "is not valid yet: it was used at 2025-06-01T11:59:00Z, and is valid from 2025-06-01T12:00:00Z",
    );
}

#[test]
fn what_is_shaped_like_a_bundle_is_refused_with_its_media_type() {
    let lockgate = signed();
    let mut bundle: Value = serde_json::from_slice(&fs::read(lockgate.file("bundle.json")).unwrap()).unwrap();
    bundle["mediaType"] = json!("application/x.other+json");
    lockgate.write("other.json", bundle.to_string());
    verify(&lockgate, "other.json", &[]).refused(3, "SIGNATURE_UNSUPPORTED").says("`application/x.other+json`");
    bundle.as_object_mut().unwrap().remove("mediaType");
    lockgate.write("none.json", bundle.to_string());
    verify(&lockgate, "none.json", &[]).refused(3, "SIGNATURE_MALFORMED").says("mediaType");
}

#[test]
fn an_image_signature_is_evidence_and_is_checked_by_its_payload() {
    let lockgate = signed();
    lockgate.start(&["--demo"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    let signature = |image: Digest| {
        let critical =
            json!({ "type": "cosign container image signature", "image": { "docker-manifest-digest": image } });
        let payload = json!({ "critical": critical }).to_string();
        json!({ "Base64Signature": "AQID", "Payload": STANDARD.encode(payload) }).to_string()
    };
    let image = Digest::of(&artifact("1.4.2"));
    let another = Digest::of(b"another image");
    lockgate.write("image.json", signature(image));
    lockgate.write("images.jsonl", format!("{}\n{}\n", signature(image), signature(another)));
    let attest = |file: &str| lockgate.run(&["attest", "shop/web@1.4.2", "--attestation", file, "--as", "ci"]);
    // What it is worth is told at once, and counts where a gate asks for it.
    attest("image.json").exits(0).says("SIGNING_KEY_UNKNOWN");
    let dana = lockgate.token("dana");
    let recorded = Digest::of(signature(image).as_bytes());
    let page = lockgate.get(&format!("/evidence/{recorded}"), Some(&dana)).body;
    let page = String::from_utf8(page).unwrap();
    for wanted in ["<dd>image signature</dd>", "<dt>Trusted signers</dt><dd>none that the active policy set knows</dd>"]
    {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    attest("images.jsonl").refused(3, "SUBJECT_MISMATCH");
    lockgate.write("not.json", signature(image).replace("\"AQID\"", "\"A\""));
    attest("not.json").refused(2, "SIGNATURE_MALFORMED").says("not.json");
    let check = |digest: Digest, reason: &str| {
        let digest = digest.to_string();
        let verify = ["signature", "verify", "--digest", digest.as_str(), "--signature", "image.json"];
        lockgate.run(&[&verify[..], &["--key", "key.pem"]].concat()).refused(3, reason);
        lockgate.run(&verify).exits(3);
    };
    check(image, "SIGNATURE_INVALID");
    check(another, "ARTIFACT_MISMATCH");
}
