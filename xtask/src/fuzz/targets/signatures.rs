//! Readers of keys and signatures: DSSE, tokens, SSH, passkeys, Sigstore, minisign.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lockgate_model::{Digest, Limits};
use lockgate_sign::dsse::{Envelope, pae};
use lockgate_sign::jwks::Jwks;
use lockgate_sign::jwt::Unverified;
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::{RpId, SshPublicKey, SshSignature, WebOrigin};
use lockgate_sign::{AttestationKey, PublicKey};
use lockgate_sigstore::minisign::{MinisignKey, MinisignSignature};
use lockgate_sigstore::{
    Bundle, BundleVerifier as _, CertificateFacts, Expected, Instance, Material, OfflineVerifier, Subject, TrustRoot,
    split,
};

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::{Outcome, of_text};
use crate::fuzz::samples::{Samples, folder, texts, vectors};
use crate::fuzz::story::Story;

/// Where made bundles, keys and roots are.
const SIGSTORE: &str = "tests/attacks/base/sigstore";

/// Every target.
///
/// # Errors
/// When a sample cannot be read or made.
pub fn targets(samples: &Samples, story: &Story) -> Result<Vec<Target>> {
    let mut all = keys(story)?;
    all.extend(envelopes(samples, story)?);
    all.extend(sigstore()?);
    Ok(all)
}

fn keys(story: &Story) -> Result<Vec<Target>> {
    let key = AttestationKey::generate()?;
    let pem = [folder(SIGSTORE, ".pem")?, vec![key.public().to_pem().into_bytes()]].concat();
    let line = story.keys.first().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default();
    let wire = line.parse::<SshPublicKey>()?.wire().to_vec();
    let armored = String::from_utf8_lossy(&story.signatures.concat()).into_owned();
    let binary = SshSignature::parse_armored(&armored)?.to_bytes();
    let origin: WebOrigin = "https://lockgate.example".parse()?;
    let passkey = SoftPasskey::generate(&origin)?.to_json()?.into_bytes();
    Ok(vec![
        Target::new("key-pem", pem, |input| {
            text(input, |text| Outcome::again(text.as_bytes(), |bytes| of_text(bytes, PublicKey::from_pem), to_pem))
        }),
        Target::new("key-spki", vec![key.public().spki_der().to_vec()], |input| {
            Outcome::again(input, PublicKey::from_spki_der, |key| key.spki_der().to_vec())
        }),
        Target::new("ssh-key", story.keys.clone(), Outcome::text::<SshPublicKey>),
        Target::new("ssh-key-wire", vec![wire], |input| {
            Outcome::again(input, SshPublicKey::from_wire, |key| key.wire().to_vec())
        }),
        Target::new("sshsig-armored", story.signatures.clone(), |input| {
            text(input, |text| Outcome::of(&SshSignature::parse_armored(text)))
        }),
        Target::new("sshsig", vec![binary], |input| {
            Outcome::again(input, SshSignature::from_bytes, SshSignature::to_bytes)
        }),
        Target::new("rp-id", texts(&["lockgate.example", "localhost"]), Outcome::text::<RpId>),
        Target::new(
            "web-origin",
            texts(&["https://lockgate.example", "http://localhost:7430"]),
            Outcome::text::<WebOrigin>,
        ),
        Target::new("passkey-file", vec![passkey], |input| {
            text(input, |text| Outcome::of(&SoftPasskey::from_json(text).map(|passkey| passkey.origin().clone())))
        }),
    ])
}

fn to_pem(key: &PublicKey) -> Vec<u8> {
    key.to_pem().into_bytes()
}

fn text(input: &[u8], read: impl Fn(&str) -> Outcome) -> Outcome {
    match std::str::from_utf8(input) {
        Ok(text) => read(text),
        Err(_) => Outcome::no_text(),
    }
}

fn envelopes(samples: &Samples, story: &Story) -> Result<Vec<Target>> {
    let key = AttestationKey::generate()?;
    let signed = Envelope::sign("application/vnd.in-toto+json", b"{}", &key, &[])?.to_json();
    let dsse = [vec![signed], samples.attacks(&["envelope"]), story.bodies_with("payloadType")].concat();
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = |header: &str, claims: &str| format!("{}.{}.{}", part(header), part(claims), part("signature"));
    let claims =
        "{\"aud\":\"lockgate\",\"exp\":1800000300,\"iat\":1800000000,\"iss\":\"https://ci.example\",\"sub\":\"a\"}";
    let tokens = [
        token("{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWT\"}", claims),
        token("{\"alg\":\"RS256\"}", "{\"aud\":[\"a\",\"b\"],\"iss\":\"x\"}"),
        token("{\"alg\":\"none\"}", "{}"),
    ];
    let point = URL_SAFE_NO_PAD.encode([9u8; 32]);
    let modulus = URL_SAFE_NO_PAD.encode([0xc5u8; 256]);
    let sets = [
        format!("{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\",\"x\":\"{point}\"}}]}}"),
        format!("{{\"keys\":[{{\"kty\":\"RSA\",\"kid\":\"r\",\"use\":\"sig\",\"n\":\"{modulus}\",\"e\":\"AQAB\"}}]}}"),
    ];
    Ok(vec![
        Target::new("dsse", dsse, |input| {
            let read = |bytes: &[u8]| Envelope::parse(bytes, &Limits::DEFAULT);
            let mut outcome = Outcome::again(input, read, Envelope::to_json);
            if let Ok(envelope) = read(input)
                && !pae(&envelope.payload_type, &envelope.payload).ends_with(&envelope.payload)
            {
                outcome.broken = Some("what is signed does not end with the payload".to_owned());
            }
            outcome
        }),
        Target::new("jwt", tokens.map(String::into_bytes).to_vec(), |input| {
            text(input, |text| Outcome::of(&Unverified::parse(text)))
        }),
        Target::new("jwks", sets.map(String::into_bytes).to_vec(), |input| Outcome::of(&Jwks::from_bytes(input))),
    ])
}

fn sigstore() -> Result<Vec<Target>> {
    let made = folder(SIGSTORE, ".json")?;
    let bundles = [made.clone(), vectors("sigstore-conformance")?].concat();
    let images = folder("crates/sigstore/testdata", ".json")?;
    let roots = Instance::ALL.map(|instance| instance.root().map(|root| root.text().as_bytes().to_vec()));
    let roots = roots.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    let trusted = made.iter().find_map(|bytes| TrustRoot::parse(bytes, &Limits::DEFAULT).ok());
    let certificates =
        bundles.iter().filter_map(|bytes| match Bundle::parse(bytes, &Limits::DEFAULT).ok()?.material() {
            Material::Certificate(der) => Some(der.clone()),
            Material::Key { .. } => None,
        });
    let certificates: Vec<Vec<u8>> = certificates.collect();
    let line = STANDARD.encode([b"Ed".as_slice(), &[1; 8], &[9; 32]].concat());
    let key = format!("untrusted comment: minisign public key\n{line}\n");
    let (signed, global) =
        (STANDARD.encode([b"ED".as_slice(), &[1; 8], &[2; 64]].concat()), STANDARD.encode([3u8; 64]));
    let signature = format!("untrusted comment: x\n{signed}\ntrusted comment: v1\n{global}\n");
    let mut all = vec![
        Target::new("sigstore-bundle", bundles.clone(), |input| Outcome::of(&Bundle::parse(input, &Limits::DEFAULT))),
        Target::new("sigstore-container", [bundles.clone(), images].concat(), |input| {
            Outcome::of(&split(input, &Limits::DEFAULT))
        }),
        Target::new("sigstore-root", [roots, made].concat(), |input| {
            Outcome::of(&TrustRoot::parse_all(input, &Limits::DEFAULT))
        }),
        Target::new("sigstore-certificate", certificates, |input| Outcome::of(&CertificateFacts::parse(input))),
        Target::new("minisign-key", texts(&[&key]), |input| text(input, |text| Outcome::of(&MinisignKey::parse(text)))),
        Target::new("minisign-signature", texts(&[&signature]), |input| {
            text(input, |text| Outcome::of(&MinisignSignature::parse(text)))
        }),
    ];
    if let Some(root) = trusted {
        all.push(Target::new("sigstore-verify", bundles, move |input| verify(&root, input)));
    }
    Ok(all)
}

/// Verifies a bundle under a root of ours, as if it were about bytes that nobody signed.
fn verify(root: &TrustRoot, input: &[u8]) -> Outcome {
    let bundle = Bundle::parse(input, &Limits::DEFAULT);
    let mut outcome = Outcome::of(&bundle);
    if let (Ok(bundle), Ok(verifier)) = (bundle, OfflineVerifier::new(root)) {
        let verified =
            verifier.verify(&bundle, Subject::Digest(Digest::of(b"nobody signed this")), Expected::AnyIdentity);
        if verified.class().proves_signer() {
            outcome.broken = Some("a bundle is verified for bytes that it is not about".to_owned());
        }
        outcome.shape = verified.code().to_owned();
    }
    outcome
}
