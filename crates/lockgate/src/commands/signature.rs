//! Signatures of other tools: verify one, and write the trust roots that policy sets pin.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::Exit;
use lockgate_evidence::statement::Statement;
use lockgate_model::text::visible;
use lockgate_model::{Digest, Hasher, Limits};
use lockgate_sign::PublicKey;
use lockgate_sign::dsse::Envelope;
use lockgate_sigstore::minisign::{MinisignKey, MinisignSignature};
use lockgate_sigstore::outcome::{Level, Log, Signed};
use lockgate_sigstore::{
    Bundle, BundleVerifier, Expected, Instance, Item, Material, OfflineVerifier, Outcome, Reason, Refusal, Subject,
    TrustRoot, split,
};
use serde_json::{Value, json};

use crate::cli::{self, SignatureVerify};
use crate::commands::gpgv;
use crate::failure::{Failure, Outcome as Ended};
use crate::home::{read_file, write_file};
use crate::world::World;

/// The largest signature file.
pub const BUNDLE_BYTES: u64 = 64 * 1024 * 1024;
/// How much of a file is hashed at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// What is shown as expected where no signer was asked for.
const ANYONE: &str = "anyone";
/// What is said of a file without a signature in it.
pub const EMPTY: &str = "the file of the signature is empty";
/// The largest trust root or key file.
pub const ROOT_BYTES: u64 = lockgate_sigstore::root::ROOT_BYTES;

/// The reason codes of signatures that no other part gives.
pub const REASONS: &[(&str, &str)] = &[
    ("SIGNATURE_VERIFIED", "Signature, signer, log and time are proved. Nothing is left to do."),
    (
        "LOG_MISSING",
        "The signature is good, but no transparency log proves that it was made in the open. A signer with `log = \"optional\"` in `trust.toml` accepts that; `lockgate signature verify` does with --without-log.",
    ),
    (
        "LOG_PROMISED",
        "The signature is good, and the log only promised to include it: bundles of version 0.1 may hold no proof. Sign again with a newer tool, or accept it as with `LOG_MISSING`.",
    ),
    (
        "SIGNATURE_MISSING",
        "There is no signature. Sign in the build, and hand in the bundle that the signing tool wrote.",
    ),
    (
        "SIGNATURE_TYPE",
        "There is a signature, of another kind than was asked for: a key where an identity was expected, or the other way round. Hand in the kind that was asked for, or ask for the other one: `--key`, or `--identity` with `--issuer`.",
    ),
    (
        "SIGNER_MISMATCH",
        "The signature is good, and by someone else than expected. Look at who signed; if that is right, name the identity and its issuer.",
    ),
    (
        "CERTIFICATE_EXPIRED",
        "The certificate or key was not valid when the signature was made. Sign again; renewing the certificate does not mend what was signed.",
    ),
    (
        "TIME_MISSING",
        "Nothing proves when it was signed, and a short-lived certificate needs that. Sign with a log or a timestamp.",
    ),
    (
        "TIME_INVALID",
        "A timestamp does not belong to this signature, or its authority was not valid at that time. Sign again.",
    ),
    ("TIME_AHEAD", "The signature claims to be later than its record in the ledger. Check the clocks."),
    ("ARTIFACT_MISMATCH", "The signature is about other bytes. Hand in the one of this artifact."),
    (
        "LOG_INVALID",
        "The log entry, its proof or its checkpoint does not hold for this signature. Sign again, and find out who changed it.",
    ),
    (
        "LOG_UNKNOWN",
        "The log is none of the trust root's. The bundle comes from another instance, or the root is old. Renew the root if the log is new; else pin the root of the instance that signed.",
    ),
    (
        "CHAIN_UNTRUSTED",
        "The certificate, or a timestamp, does not lead to an authority of the trust root. Pin the root of the instance that signed.",
    ),
    ("TRUST_ROOT_INVALID", "The trust root cannot be used. Get it again from its owner, and compare its digest."),
    (
        "TRUST_ROOT_MISSING",
        "No trust root is pinned. `lockgate signature root public-good --to policy/roots/public-good.json` writes one.",
    ),
    (
        "SIGNATURE_MALFORMED",
        "The signature does not read. Hand in the file as the signing tool wrote it; with your own key, sign anew.",
    ),
    (
        "SIGNATURE_UNSUPPORTED",
        "The signature is well formed, and of a kind that is not verified. Sign with ECDSA P-256 into a bundle of version 0.3, with a certificate that names its issuer; those of GitHub's release attestations name none.",
    ),
    ("SIGNING_KEY_REVOKED", "The owner of the key revoked it. Sign again with another."),
    (
        "SIGNING_KEY_UNKNOWN",
        "None of the keys that were given made the signature. Name the one that did, after checking whose it is.",
    ),
    (
        "HELPER_MISSING",
        "OpenPGP signatures are verified by `gpgv`, which is not on this machine. Install the package of that name.",
    ),
];

/// `lockgate signature`.
///
/// # Errors
/// What cannot be read, and a signature that does not count, with its reason code.
pub fn signature(world: &World, options: &cli::Signature) -> Ended {
    match options {
        cli::Signature::Verify(options) => verify(world, options),
        cli::Signature::Root { instance, to } => root(world, instance, to.as_deref()),
    }
}

fn root(world: &World, name: &str, to: Option<&Path>) -> Ended {
    let instance = Instance::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = Instance::ALL.into_iter().map(Instance::as_str).collect();
        Failure::usage("TRUST_ROOT_UNKNOWN", format!("`{}` is none of {}", visible(name), known.join(", ")))
    })?;
    let root = instance.root().map_err(|refusal| refused(&refusal.into()))?;
    match to {
        Some(path) => {
            write_file(path, root.text().as_bytes(), 0o644)?;
            world.terminal.say(format!("the trust root of {} is in {}", instance.as_str(), path.display()));
            let shown = json!({ "instance": instance.as_str(), "digest": root.digest() });
            world.terminal.show(&shown, || root.digest().to_string())?;
        }
        None => {
            world.terminal.bytes(root.text().as_bytes())?;
            world.terminal.say(format!("its digest is {}", root.digest()));
        }
    }
    Ok(Exit::Done)
}

/// A signature with what it needs no log for: a detached one by a key that was given.
struct Found {
    what: &'static str,
    outcome: Outcome,
    detached: bool,
}

fn verify(world: &World, options: &SignatureVerify) -> Ended {
    let found = find(options)?;
    let counts = |found: &&Found| match found.outcome {
        Outcome::Verified(_) => true,
        Outcome::WithoutLog(_) => found.detached || options.without_log,
        _ => false,
    };
    let shown: Vec<Value> = found.iter().map(|found| as_json(found, options)).collect();
    if let Some(good) = found.iter().find(counts) {
        world.terminal.show(&shown, || as_text(good))?;
        if expected(options) == ANYONE {
            world.terminal.say(
                "note: nobody was asked for, so anyone's signature would do: name who has to have signed with --identity \
                 and --issuer",
            );
        }
        return Ok(Exit::Done);
    }
    let best = found.iter().max_by_key(|found| found.outcome.rank());
    let best = best.ok_or_else(|| Failure::new(Exit::Denied, "SIGNATURE_MISSING", "there is no signature"))?;
    Err(match &best.outcome {
        Outcome::WithoutLog(_) => {
            Failure::new(Exit::Denied, best.outcome.code(), "the signature is good, and no log proves it")
                .hint("accept that with --without-log, or sign with a log")
        }
        other => {
            let failure = refused(other);
            match other.refusal() {
                Some(refusal) => failure.hint(next_step(refusal.reason, options)),
                None => failure,
            }
        }
    })
}

/// Who has to have signed, as the word for it: nobody is asked for by default.
fn expected(options: &SignatureVerify) -> &'static str {
    match options {
        SignatureVerify { keyring: Some(_), .. } => "keyring",
        SignatureVerify { key: Some(_), .. } => "key",
        SignatureVerify { identity: Some(_), .. } => "identity",
        _ => ANYONE,
    }
}

/// What to do next at the command line, where the signer is named by options and not by a policy set.
fn next_step(reason: Reason, options: &SignatureVerify) -> &'static str {
    match (reason, expected(options)) {
        (Reason::SignerMismatch, _) => {
            "check who signed; if it is the right one, name it with --identity, and who vouches for it with --issuer"
        }
        (Reason::SignatureType, "key") => {
            "leave out --key, and name who has to have signed with --identity and --issuer"
        }
        (Reason::SignatureType, "identity") => {
            "add --key FILE with the public key that belongs to the signature, in place of --identity and --issuer"
        }
        (Reason::SignatureType | Reason::KeyUnknown, ANYONE) => {
            "add --key FILE with the public key that belongs to the signature, after checking whose it is"
        }
        (other, _) => other.next_step(),
    }
}

/// The failure that a refusal ends a command with.
pub fn refused(outcome: &Outcome) -> Failure {
    match outcome.refusal() {
        Some(refusal) => {
            Failure::new(Exit::Denied, outcome.code(), refusal.detail.clone()).hint(refusal.reason.next_step())
        }
        None => Failure::new(Exit::Denied, outcome.code(), "the signature is good, and no log proves it"),
    }
}

fn find(options: &SignatureVerify) -> Result<Vec<Found>, Failure> {
    let file = options.file.as_deref();
    let detached = |what, outcome| vec![Found { what, outcome, detached: true }];
    if let Some(keyring) = &options.keyring {
        let file = file.ok_or_else(needs_file)?;
        return Ok(detached("openpgp", gpgv::verify(keyring, &options.signature, file)?));
    }
    let bytes = read_file(&options.signature, BUNDLE_BYTES)?;
    if bytes.trim_ascii().is_empty() {
        return Ok(detached("nothing", Outcome::refused(Reason::SignatureMissing, EMPTY)));
    }
    if is_openpgp(&bytes, options) {
        return Err(Failure::usage(
            "KEY_MISSING",
            "an OpenPGP signature needs the keyring of those who may have made it",
        )
        .hint("add --keyring FILE, as `gpg --export` writes it"));
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    if MinisignSignature::announced(text) {
        return Ok(detached("minisign", minisign(options, text)?));
    }
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    if let (false, Some(key)) = (looks_like_json, &options.key) {
        return Ok(detached("signature", raw(options, &read_key(key)?, &bytes)?));
    }
    let items = match split(&bytes, &Limits::DEFAULT) {
        Ok(items) => items,
        Err(refusal) => return Ok(vec![Found { what: "unknown", outcome: refusal.into(), detached: false }]),
    };
    let digest = match (options.digest, file) {
        (Some(digest), _) => digest,
        (None, Some(path)) => hash(path)?,
        (None, None) => return Err(needs_file()),
    };
    let key = options.key.as_deref().map(read_key).transpose()?;
    let roots = roots(&options.trust_root)?;
    Ok(items.iter().map(|item| examine(item, digest, options, key.as_ref(), &roots)).collect())
}

/// Whether a file is an OpenPGP signature: in armour, or as a packet of that type (RFC 9580, sections 4.2 and 5), which a
/// raw signature by a key that was given may look like by chance.
fn is_openpgp(bytes: &[u8], options: &SignatureVerify) -> bool {
    let is_packet = matches!(bytes.first(), Some(0x88..=0x8b | 0xc2));
    bytes.trim_ascii_start().starts_with(b"-----BEGIN PGP SIGNATURE-----") || (is_packet && options.key.is_none())
}

fn examine(
    item: &Item,
    digest: Digest,
    options: &SignatureVerify,
    key: Option<&PublicKey>,
    roots: &[TrustRoot],
) -> Found {
    let expected = match (key, &options.identity, &options.issuer) {
        (Some(key), _, _) => Expected::Key(key),
        (None, Some(name), Some(issuer)) => Expected::Identity { name, issuer },
        _ => Expected::AnyIdentity,
    };
    let bundle = |bytes: &[u8], subject| match Bundle::parse(bytes, &Limits::DEFAULT) {
        Ok(bundle) => comparable(best(&bundle, subject, expected, roots), &bundle),
        Err(refusal) => refusal.into(),
    };
    let found = |what, outcome, detached| Found { what, outcome, detached };
    match item {
        Item::Bundle(bytes) => found("bundle", bundle(bytes, Subject::Digest(digest)), false),
        Item::Envelope(bytes) => found("envelope", envelope(bytes, digest, key).unwrap_or_else(Outcome::from), true),
        Item::Image(_, signature) if signature.image != digest => {
            let detail = format!("the signature is about the image {}", signature.image);
            found("image", Outcome::refused(Reason::ArtifactMismatch, detail), false)
        }
        Item::Image(_, signature) => match (signature.bundle.material(), key) {
            (_, Some(key)) => found("image", by_key(key, &signature.payload, &signature.signature), true),
            (Material::Certificate(_), None) => {
                let subject = Subject::Bytes(&signature.payload);
                found("image", best(&signature.bundle, subject, expected, roots), false)
            }
            (Material::Key { .. }, None) => {
                let detail = "the signature carries no certificate, and no key was given";
                found("image", Outcome::refused(Reason::KeyUnknown, detail), false)
            }
        },
    }
}

/// The best outcome over several roots, as GitHub's file of roots holds them.
fn best(bundle: &Bundle, subject: Subject<'_>, expected: Expected<'_>, roots: &[TrustRoot]) -> Outcome {
    let under = |root: &TrustRoot| match OfflineVerifier::new(root) {
        Ok(verifier) => verifier.verify(bundle, subject, expected),
        Err(refusal) => refusal.into(),
    };
    let missing = || Outcome::refused(Reason::TrustRootMissing, "there is no trust root");
    roots.iter().map(under).max_by_key(Outcome::rank).unwrap_or_else(missing)
}

fn envelope(bytes: &[u8], digest: Digest, key: Option<&PublicKey>) -> Result<Outcome, Refusal> {
    let envelope = Envelope::parse(bytes, &Limits::DEFAULT).map_err(|error| Refusal::new(Reason::Malformed, error))?;
    let statement = Statement::parse(&envelope.payload, &Limits::DEFAULT)
        .map_err(|error| Refusal::new(Reason::Malformed, error.message))?;
    let key = key.ok_or_else(|| Refusal::new(Reason::KeyUnknown, "an envelope needs the key that signed it: --key"))?;
    if envelope.verify(std::slice::from_ref(key)).is_empty() {
        return Err(Refusal::new(Reason::SignatureInvalid, "this key did not sign the envelope"));
    }
    match statement.about(&[digest]).is_empty() {
        true => {
            let detail =
                statement.without_sha256().unwrap_or_else(|| "the statement is about other artifacts".to_owned());
            Err(Refusal::new(Reason::ArtifactMismatch, detail))
        }
        false => Ok(signed_by(key)),
    }
}

/// The same outcome; a statement that is about nothing with a SHA-256 is not said to be about something else.
fn comparable(outcome: Outcome, bundle: &Bundle) -> Outcome {
    if outcome.refusal().is_none_or(|refusal| refusal.reason != Reason::ArtifactMismatch) {
        return outcome;
    }
    let statement = bundle.envelope().and_then(|found| Statement::parse(&found.payload, &Limits::DEFAULT).ok());
    match statement.and_then(|statement| statement.without_sha256()) {
        Some(detail) => Outcome::refused(Reason::ArtifactMismatch, detail),
        None => outcome,
    }
}

fn by_key(key: &PublicKey, message: &[u8], signature: &[u8]) -> Outcome {
    match key.verify(message, signature) {
        Ok(()) => signed_by(key),
        Err(error) => Outcome::refused(Reason::SignatureInvalid, error),
    }
}

fn signed_by(key: &PublicKey) -> Outcome {
    let key = Digest::of(key.spki_der());
    Outcome::proved(Signed { identity: None, key, level: Level::ManagedKey, time: None, log: Log::Absent })
}

/// A signature over the file itself: in base64, as `cosign sign-blob --output-signature` writes it, or as it is, as
/// `openssl dgst -sign` does, which is no text.
fn raw(options: &SignatureVerify, key: &PublicKey, bytes: &[u8]) -> Result<Outcome, Failure> {
    let decoded = match std::str::from_utf8(bytes) {
        Ok(text) => STANDARD.decode(text.trim()).ok(),
        Err(_) => Some(bytes.to_vec()),
    };
    let Some(signature) = decoded else {
        return Ok(Outcome::refused(Reason::Malformed, "neither JSON nor base64: no signature that is read here"));
    };
    let file = options.file.as_deref().ok_or_else(needs_file)?;
    Ok(by_key(key, &read_file(file, Limits::DEFAULT.evidence_bytes)?, &signature))
}

fn minisign(options: &SignatureVerify, text: &str) -> Result<Outcome, Failure> {
    let path = options.key.as_deref().ok_or_else(|| {
        Failure::usage("KEY_MISSING", "a minisign signature needs the public key that made it").hint("add --key FILE")
    })?;
    let path_text = String::from_utf8(read_file(path, ROOT_BYTES)?).unwrap_or_default();
    let file = options.file.as_deref().ok_or_else(needs_file)?;
    let key = MinisignKey::parse(&path_text).map_err(|error| Refusal::new(Reason::Malformed, error));
    let read = key.and_then(|key| MinisignSignature::parse(text).map(|read| (key, read)));
    match read {
        Err(refusal) => Ok(refusal.into()),
        Ok((key, signature)) => {
            let fail = |error: std::io::Error| Failure::file(file, &error);
            let mut content = File::open(file).map_err(fail)?;
            signature.verify(&key, &mut content).map_err(fail)
        }
    }
}

fn needs_file() -> Failure {
    Failure::usage("FILE_MISSING", "this kind of signature is over the file itself, and a digest is not enough")
}

fn hash(path: &Path) -> Result<Digest, Failure> {
    let fail = |error: std::io::Error| Failure::file(path, &error);
    let mut file = File::open(path).map_err(fail)?;
    let mut hasher = Hasher::new();
    let mut block = vec![0u8; BLOCK_BYTES];
    loop {
        let length = file.read(&mut block).map_err(fail)?;
        match block.get(..length) {
            Some([]) | None => return Ok(hasher.finish()),
            Some(bytes) => hasher.update(bytes),
        }
    }
}

fn roots(name: &str) -> Result<Vec<TrustRoot>, Failure> {
    let roots = match Instance::by_name(name) {
        Some(instance) => instance.root().map(|root| vec![root]),
        None => TrustRoot::parse_all(&read_file(Path::new(name), ROOT_BYTES)?, &Limits::DEFAULT),
    };
    roots.map_err(|refusal| refused(&refusal.into()))
}

fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    let text = String::from_utf8(read_file(path, ROOT_BYTES)?).unwrap_or_default();
    PublicKey::from_pem(&text).map_err(|error| Failure::usage("KEY_INVALID", error.to_string()))
}

fn as_json(found: &Found, options: &SignatureVerify) -> Value {
    let fact = found.outcome.to_fact(None);
    let signed = found.outcome.signed();
    json!({
        "what": found.what,
        "expected": expected(options),
        "class": fact.class,
        "code": fact.code,
        "identity": fact.identity,
        "issuer": fact.issuer,
        "claims": fact.claims,
        "key": fact.key,
        "level": signed.map(|signed| signed.level.as_str()),
        "time": fact.signed_at.map(|time| time.to_string()),
        "log": signed.map(|signed| signed.log.as_str()),
        "detail": found.outcome.refusal().map(|refusal| refusal.detail.clone()),
        "next": found.outcome.refusal().map(|refusal| next_step(refusal.reason, options)),
    })
}

fn as_text(found: &Found) -> String {
    let mut text = format!("{} ({})\n", found.outcome.class().as_str(), found.what);
    let Some(signed) = found.outcome.signed() else { return text };
    if let Some(identity) = &signed.identity {
        text.push_str(&format!("  identity  {}\n  issuer    {}\n", visible(&identity.name), visible(&identity.issuer)));
        for (claim, value) in &identity.claims {
            text.push_str(&format!("  {claim}  {}\n", visible(value)));
        }
    }
    text.push_str(&format!("  key       {}\n  level     {}\n", signed.key, signed.level.as_str()));
    let time = signed.time.map_or("not proved".to_owned(), |time| time.to_string());
    text.push_str(&format!("  time      {time}\n  log       {}\n", signed.log.as_str()));
    text
}
