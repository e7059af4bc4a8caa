//! Readers of who somebody is: passkeys, tokens and what their issuers publish, keys in files and agents, `gpgv`.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_engine::issuer::Discovery;
use lockgate_model::{Span, UnixMillis};
use lockgate_sign::jwks::{Jwk, Jwks};
use lockgate_sign::jwt::{self, Claims, Expected, MAX_LIFETIME};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::{SshPublicKey, SshSignature};
use lockgate_sign::ssh_signer::{AgentSigner, FileSigner, SshSigner as _};
use lockgate_sigstore::openpgp;

use super::Target;
use crate::failure::{Failure, Result};
use crate::fuzz::outcome::{NotRead, Outcome, of_text};
use crate::fuzz::samples::texts;
use crate::fuzz::story::Story;

/// What signatures are made for, and of what.
const NAMESPACE: &str = "fuzz@lockgate.dev";
const MESSAGE: &[u8] = b"a message";
/// Who issues tokens, and for whom.
const ISSUER: &str = "https://ci.example";
const AUDIENCE: &str = "lockgate";
/// When tokens are read, and how far the issuer's clock may be off.
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SKEW: Span = Span::from_secs(60);
/// What a token says that counts.
const CLAIMS: &str = "{\"aud\":\"lockgate\",\"exp\":1800000300,\"iat\":1799999990,\"iss\":\"https://ci.example\",\
                      \"jti\":\"one\",\"sub\":\"repo:acme/shop\"}";
/// What an agent answers: SSH_AGENT_IDENTITIES_ANSWER and SSH_AGENT_SIGN_RESPONSE.
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_RESPONSE: u8 = 14;

/// Every target.
///
/// # Errors
/// When a sample cannot be made.
pub fn targets(story: &Story) -> Result<Vec<Target>> {
    let mut all = vec![passkey_assertion(story)?, private_key()?, openpgp_status()];
    all.extend(agent()?);
    all.extend(tokens()?);
    Ok(all)
}

/// What a passkey signed, as SSHSIG carries it: read, and verified with the pinned key.
fn passkey_assertion(story: &Story) -> Result<Target> {
    let file = story.passkeys.first().ok_or_else(|| Failure::new("the story has no passkey"))?;
    let file = String::from_utf8_lossy(file).into_owned();
    let signed = |passkey: &SoftPasskey| passkey.sign(NAMESPACE, MESSAGE).map(|signature| signature.to_bytes());
    let plain = SoftPasskey::from_json(&file)?;
    let key: SshPublicKey = plain.public_key().clone();
    let elsewhere = SoftPasskey::from_json(&file)?.at("https://other.example".parse()?);
    let seeds = vec![
        signed(&plain)?,
        signed(&SoftPasskey::from_json(&file)?.synced())?,
        signed(&SoftPasskey::from_json(&file)?.without_user_verification())?,
        signed(&elsewhere)?,
    ];
    Ok(Target::new("passkey-assertion", seeds, move |input| {
        let signature = match SshSignature::from_bytes(input) {
            Ok(signature) => signature,
            Err(error) => return Outcome::refused(&error),
        };
        let verified = signature.verify_presence(MESSAGE, NAMESPACE, &key);
        let mut outcome = Outcome::of(&verified);
        if let Ok(presence) = verified {
            outcome.broken = if presence.as_ref().is_none_or(|presence| !presence.user_present) {
                Some("a passkey's signature counts, and nobody was there".to_owned())
            } else if presence != signature.presence() {
                Some("what was verified of the device is not what the signature says of it".to_owned())
            } else if signature.verify(b"another message", NAMESPACE, &key).is_ok() {
                Some("an assertion counts for another message".to_owned())
            } else if signature.verify(MESSAGE, "other@lockgate.dev", &key).is_ok() {
                Some("an assertion counts for another purpose".to_owned())
            } else {
                None
            };
        }
        outcome
    }))
}

/// A private key's file: what is read can sign, and verifies.
fn private_key() -> Result<Target> {
    let seeds = ["", "dana@laptop"].map(|comment| {
        FileSigner::ed25519_from_seed(&[5; 32], comment).map(|signer| signer.to_openssh_pem().as_bytes().to_vec())
    });
    let seeds = seeds.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Target::new("ssh-private-key", seeds, |input| {
        let read = |bytes: &[u8]| of_text(bytes, FileSigner::from_openssh_pem);
        let mut outcome =
            Outcome::again(input, read, |signer: &FileSigner| signer.to_openssh_pem().as_bytes().to_vec());
        if let Ok(signer) = read(input) {
            let verified = signer
                .sign(NAMESPACE, MESSAGE)
                .map(|signature| signature.verify(MESSAGE, NAMESPACE, signer.public_key()).is_ok());
            if verified != Ok(true) {
                outcome.broken = Some("a key that was read makes no signature that verifies".to_owned());
            }
        }
        outcome
    }))
}

/// What an agent answers.
fn agent() -> Result<Vec<Target>> {
    let file = FileSigner::ed25519_from_seed(&[5; 32], "")?;
    let key = file.public_key().clone();
    let blob = file.sign(NAMESPACE, MESSAGE)?.blob().to_vec();
    let listed = [listing(&[]), listing(std::slice::from_ref(&key)), listing(&[key.clone(), key.clone()])];
    let signer = AgentSigner::new("/nonexistent", key.clone());
    Ok(vec![
        Target::new("ssh-agent-keys", listed.to_vec(), |input| {
            Outcome::again(input, AgentSigner::read_keys, |keys: &Vec<SshPublicKey>| listing(keys))
        }),
        Target::new("ssh-agent-signature", vec![[vec![SIGN_RESPONSE], string(&blob)].concat()], move |input| {
            let read = signer.read_signature(NAMESPACE, MESSAGE, input);
            let mut outcome = Outcome::of(&read);
            if let Ok(signature) = &read
                && (signature.verify(MESSAGE, NAMESPACE, &key).is_err()
                    || signature.verify(b"another message", NAMESPACE, &key).is_ok())
            {
                outcome.broken = Some("an agent's answer counts for what its key did not sign".to_owned());
            }
            outcome
        }),
    ])
}

/// How an agent lists keys.
fn listing(keys: &[SshPublicKey]) -> Vec<u8> {
    let mut answer = vec![IDENTITIES_ANSWER];
    answer.extend(length(keys.len()));
    for key in keys {
        answer.extend(string(key.wire()));
        answer.extend(string(b"a comment"));
    }
    answer
}

/// A string of SSH's wire format.
fn string(content: &[u8]) -> Vec<u8> {
    [length(content.len()).as_slice(), content].concat()
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// What `gpgv` says.
fn openpgp_status() -> Target {
    let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123 Dana\n[GNUPG:] VALIDSIG ABCD 2026-01-01 1767225600 0 4 0 22 10 00 ABCD\n";
    let seeds = texts(&[
        good,
        "[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 0123 Dana\n",
        "[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 0123 22 10 00 1 9 -\n[GNUPG:] NO_PUBKEY 0123\n",
        "[GNUPG:] NODATA 1\n",
    ]);
    Target::new("openpgp-status", seeds, |input| {
        let text = String::from_utf8_lossy(input);
        let said = openpgp::outcome(&text, true);
        let Some(signed) = said.signed() else {
            return Outcome::refused(&NotRead(said.code().to_owned()));
        };
        let mut outcome = Outcome::accepted(signed);
        let named = |line: &str| line.starts_with("[GNUPG:] VALIDSIG ");
        outcome.broken = if openpgp::outcome(&text, false).signed().is_some() {
            Some("a signature counts though the program failed".to_owned())
        } else if openpgp::outcome(&format!("{text}\n[GNUPG:] BADSIG 0123 Dana\n"), true).signed().is_some() {
            Some("a signature counts beside a bad one".to_owned())
        } else if text.lines().filter(|line| named(line)).count() > 1 {
            Some("several signatures count as one".to_owned())
        } else {
            None
        };
        outcome
    })
}

/// Tokens: whole ones, claims that are signed for each input, and what issuers say of themselves.
fn tokens() -> Result<Vec<Target>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32])?;
    let public: &[u8] = pair.public_key().as_ref();
    let point = URL_SAFE_NO_PAD.encode(public);
    let set = format!("{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\",\"x\":\"{point}\"}}]}}");
    let keys = Jwks::from_bytes(set.as_bytes())?;
    let alg = keys.keys().first().map_or("EdDSA", Jwk::alg);
    let header = format!("{{\"alg\":\"{alg}\",\"kid\":\"ed\",\"typ\":\"JWT\"}}");
    let token = move |claims: &[u8]| {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(claims));
        let signature = pair.sign(signed.as_bytes());
        let bytes: &[u8] = signature.as_ref();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    let good = token(CLAIMS.as_bytes());
    let only = good.rsplit_once('.').map(|(signed, _)| signed.to_owned()).unwrap_or_default();
    let seeds = [texts(&[&good]), forged(&good)].concat();
    let known = keys.clone();
    let whole = Target::new("jwt-verify", seeds, move |input| {
        let Ok(text) = std::str::from_utf8(input) else { return Outcome::no_text() };
        let read = verified(text, &known, AUDIENCE);
        let mut outcome = Outcome::of(&read);
        if read.is_ok() && text.rsplit_once('.').is_none_or(|(signed, _)| signed != only) {
            outcome.broken = Some("a token counts that nobody signed".to_owned());
        }
        outcome
    });
    let lists = "{\"aud\":[\"lockgate\"],\"amr\":[\"otp\",\"pwd\"],\"exp\":1800000300,\"iat\":1799999990,\
                 \"iss\":\"https://ci.example\",\"nbf\":1800000000,\"sub\":\"dana\"}";
    let claims = Target::new("jwt-claims", texts(&[CLAIMS, lists]), move |input| {
        let token = token(input);
        let read = verified(&token, &keys, AUDIENCE);
        let mut outcome = Outcome::of(&read);
        if let Ok(claims) = &read {
            outcome.broken = objection(claims).map(str::to_owned).or_else(|| {
                let elsewhere = verified(&token, &keys, "another");
                elsewhere.is_ok().then(|| "a token counts for two audiences".to_owned())
            });
        }
        outcome
    });
    Ok(vec![whole, claims, discovery()])
}

/// A token that is changed in one of its parts each.
fn forged(good: &str) -> Vec<Vec<u8>> {
    let unsigned = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
    let mut parts = good.split('.');
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let signature = parts.next().unwrap_or_default();
    let other = URL_SAFE_NO_PAD.encode(CLAIMS.replace("shop", "till"));
    texts(&[
        &format!("{unsigned}.{claims}."),
        &format!("{header}.{other}.{signature}"),
        &format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
    ])
}

fn verified(token: &str, keys: &Jwks, audience: &str) -> std::result::Result<Claims, jwt::JwtError> {
    jwt::verify(token, keys, &Expected { issuer: ISSUER, audience, now: NOW, skew: SKEW })
}

/// What a token that counts must not say.
fn objection(claims: &Claims) -> Option<&'static str> {
    if claims.issuer() != Some(ISSUER) {
        return Some("a token of another issuer counts");
    }
    if claims.expires_at().plus(SKEW) <= NOW || claims.issued_at() > NOW.plus(SKEW) {
        return Some("a token counts outside of its time");
    }
    (claims.expires_at() > claims.issued_at().plus(MAX_LIFETIME)).then_some("a token lasts longer than any may")
}

fn discovery() -> Target {
    let seeds = texts(&[
        "{\"issuer\":\"https://ci.example\",\"jwks_uri\":\"https://keys.example/jwks\"}",
        "{\"issuer\":\"https://ci.example\",\"jwks_uri\":\"https://ci.example/k\",\"authorization_endpoint\":\
         \"https://ci.example/a\",\"token_endpoint\":\"https://ci.example/t\",\"scopes_supported\":[\"openid\"]}",
    ]);
    Target::new("oidc-discovery", seeds, |input| {
        let read = Discovery::read(ISSUER, input);
        let mut outcome = Outcome::of(&read);
        if let Ok(found) = &read {
            let places = [Some(&found.jwks_uri), found.authorization_endpoint.as_ref(), found.token_endpoint.as_ref()];
            outcome.broken = if Discovery::read("https://other.example", input).is_ok() {
                Some("a discovery document speaks for two issuers".to_owned())
            } else if places.into_iter().flatten().any(|place| !place.starts_with("https://")) {
                Some("a discovery document leads to where nobody proves who answers".to_owned())
            } else {
                None
            };
        }
        outcome
    })
}
