//! The target `passkey`: assertions as a browser and an authenticator would make them, with one thing wrong.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::passkey::check_passkey;
use lockgate_model::Digest;
use lockgate_policy::PasskeyRules;
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::{HashAlgorithm, SshSignature, signed_data};
use lockgate_sign::ssh_signer::SshSigner as _;
use serde_json::Value;

use super::{Answer, text};

/// Where the passkeys of these cases belong.
const ORIGIN: &str = "https://lockgate.example";
/// The message that has to be signed.
const MESSAGE: &str = "{\"promotion\":\"P-3\"}";
/// Client data as browsers write them.
const CLIENT: &str = r#"{"type":"webauthn.get","challenge":"$CHALLENGE","origin":"$ORIGIN","crossOrigin":false}"#;
/// User present, user verified.
const FLAGS: u64 = 5;

/// A fresh passkey with its private half.
fn passkey() -> (SoftPasskey, EcdsaKeyPair) {
    let passkey = SoftPasskey::generate(&ORIGIN.parse().unwrap()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, passkey.to_pkcs8()).unwrap();
    (passkey, pair)
}

/// The challenge for a message and a purpose.
fn challenge(namespace: &str, message: &str) -> String {
    URL_SAFE_NO_PAD.encode(signed_data(namespace, HashAlgorithm::Sha512, message.as_bytes()))
}

/// Makes an assertion as the input says, and has it verified as an approval's signature is.
pub fn verify(input: &Value) -> Result<(), Answer> {
    let (passkey, own) = passkey();
    let pair = if input["key"] == "other" { self::passkey().1 } else { own };
    let signature =
        SshSignature::new(passkey.public_key().clone(), NAMESPACE, HashAlgorithm::Sha512, blob(input, &pair));
    let refused = |code: &str, message: String| Answer::refused(code, message);
    // As it is stored.
    let signature = SshSignature::parse_armored(&signature.to_armored())
        .map_err(|error| refused(error.code(), error.to_string()))?;
    let presence = signature
        .verify_presence(MESSAGE.as_bytes(), NAMESPACE, passkey.public_key())
        .map_err(|error| refused(error.code(), error.to_string()))?;
    let rules = match &input["rules"] {
        Value::Null => PasskeyRules::default(),
        rules => serde_json::from_value(rules.clone()).unwrap(),
    };
    check_passkey(&rules, presence.as_ref()).map_err(|error| refused(error.code, error.message))
}

/// Type, signature, flags, counter, origin, client data and extensions (OpenSSH `PROTOCOL.u2f`).
fn blob(input: &Value, pair: &EcdsaKeyPair) -> Vec<u8> {
    let origin = input["origin"].as_str().unwrap_or(ORIGIN);
    let flags = u8::try_from(input["flags"].as_u64().unwrap_or(FLAGS)).unwrap();
    let extensions = input["extensions"].as_str().map(|text| STANDARD.decode(text).unwrap()).unwrap_or_default();
    let client = client_data(input, origin);
    let mut message = Digest::of(b"lockgate.example").as_bytes().to_vec();
    message.push(flags);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&extensions);
    message.extend_from_slice(Digest::of(client.as_bytes()).as_bytes());
    let mut numbers = pair.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec();
    match input["signature"].as_str() {
        None => {}
        Some("flip") => numbers[40] ^= 1,
        Some("empty") => numbers = vec![0; 64],
        Some(other) => panic!("`{other}` is no signature"),
    }
    let mut blob = string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com");
    blob.extend(string(&[mpint(&numbers[..32]), mpint(&numbers[32..])].concat()));
    blob.push(flags);
    blob.extend_from_slice(&[0; 4]);
    for part in [origin.as_bytes(), client.as_bytes(), &extensions] {
        blob.extend(string(part));
    }
    blob
}

fn client_data(input: &Value, origin: &str) -> String {
    let message = if input["message"].is_null() { MESSAGE.to_owned() } else { text(&input["message"]) };
    let namespace = input["namespace"].as_str().unwrap_or(NAMESPACE);
    let template = input["client"].as_str().unwrap_or(CLIENT);
    template
        .replace("$CHALLENGE", &challenge(namespace, &message))
        .replace("$OTHER", &challenge(NAMESPACE, "another message"))
        .replace("$ORIGIN", origin)
}

/// A string in SSH's wire format (RFC 4251, section 5).
fn string(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes(), content].concat()
}

/// A positive number in SSH's wire format.
fn mpint(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let mut content = number[start..].to_vec();
    if content.first().is_some_and(|byte| byte & 0x80 != 0) {
        content.insert(0, 0);
    }
    string(&content)
}
