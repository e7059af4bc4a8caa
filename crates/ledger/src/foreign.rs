//! Foreign signatures: Sigstore bundles and cosign's image signatures handed in as evidence, verified again from their
//! bytes; and envelopes that name a known key which did not sign them.
//!
//! The trust roots are those of the policy set, so that the people who sign the policy set decide which instances
//! count, and a bundle says the same to the server, to an approver and to an auditor.

use lockgate_evidence::statement::Statement;
use lockgate_model::facts::{ARTIFACT_SIGNATURE, Claim, SignatureClass, SignatureFact};
use lockgate_model::{Digest, Limits, SignerName, Span, UnixMillis};
use lockgate_policy::{PolicySet, Proof, TrustedSigner};
use lockgate_sign::PublicKey;
use lockgate_sign::dsse::{Envelope, Signature, pae};
use lockgate_sigstore::outcome::{Level, Log, Signed};
use lockgate_sigstore::{
    Bundle, BundleVerifier, Content, Expected, ImageSignature, Material, OfflineVerifier, Outcome, Reason, Refusal,
    Subject, TrustRoot, is_signed_by,
};

use crate::facts::is_statement_type;

/// How much later than the ledger's time of the entry a signature may claim to be: clocks differ.
const CLOCK_TOLERANCE: Span = Span::from_secs(300);

/// What a bundle says and who signed it, before it is matched with a release.
#[derive(Debug, Clone)]
pub(crate) struct ForeignRead {
    /// Those of the policy set whose proof it carries.
    pub(crate) signers: Vec<SignerName>,
    /// What it is about.
    pub(crate) subjects: Vec<Digest>,
    /// What it says.
    pub(crate) claim: Claim,
    /// What was found about the signature.
    pub(crate) signature: SignatureFact,
}

/// What a bundle is about and says, unverified.
struct Said {
    subjects: Vec<Digest>,
    claim: Claim,
}

/// Reads a bundle and verifies it under every trust root of the policy set.
///
/// It is total: a bundle that does not verify, or that nobody trusted signed, still yields a fact that says why.
pub(crate) fn read_bundle(bytes: &[u8], policy: &PolicySet) -> ForeignRead {
    let bundle = match Bundle::parse(bytes, &Limits::DEFAULT) {
        Ok(bundle) => bundle,
        Err(refusal) => return ForeignRead::unreadable(refusal),
    };
    let Said { subjects, claim } = said(&bundle);
    // A bundle is verified for one of its subjects; that it is about the others too is part of what was signed.
    let Some(subject) = subjects.first().copied() else {
        let outcome = Outcome::refused(Reason::SignatureType, "the bundle names no artifact by SHA-256");
        return ForeignRead { signers: Vec::new(), subjects, claim, signature: outcome.to_fact(None) };
    };
    let (signers, signature) = signed(&bundle, Subject::Digest(subject), policy);
    ForeignRead { signers, subjects, claim, signature }
}

/// Reads an image's signature of cosign's older form, and verifies it over its payload as [`read_bundle`] does.
///
/// What the payload names is what the signer signed: nobody needs the image.
pub(crate) fn read_image(bytes: &[u8], policy: &PolicySet) -> ForeignRead {
    match ImageSignature::parse(bytes, &Limits::DEFAULT) {
        Err(refusal) => ForeignRead::unreadable(refusal),
        Ok(image) => {
            let (signers, signature) = signed(&image.bundle, Subject::Bytes(&image.payload), policy);
            let claim = Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() };
            ForeignRead { signers, subjects: vec![image.image], claim, signature }
        }
    }
}

impl ForeignRead {
    fn unreadable(refusal: Refusal) -> Self {
        let claim = Claim::Malformed { reason: refusal.detail.clone() };
        Self { signers: Vec::new(), subjects: Vec::new(), claim, signature: Outcome::from(refusal).to_fact(None) }
    }
}

fn signed(bundle: &Bundle, subject: Subject<'_>, policy: &PolicySet) -> (Vec<SignerName>, SignatureFact) {
    match bundle.material() {
        Material::Certificate(_) => keyless(bundle, subject, policy),
        Material::Key { .. } => keyed(bundle, subject, policy),
    }
}

/// What is left of the proof when the entry that recorded it is older than it: nothing.
pub(crate) fn not_ahead(signature: SignatureFact, recorded_at: UnixMillis) -> SignatureFact {
    match signature.signed_at {
        Some(signed_at) if signed_at > recorded_at.plus(CLOCK_TOLERANCE) => {
            let detail = "the signature claims to be later than its record";
            Outcome::refused(Reason::TimeAhead, detail).to_fact(signature.root)
        }
        _ => signature,
    }
}

/// What is wrong with an envelope that names a key of the policy set as its signer, where that key did not sign it.
///
/// A key id is a hint, and no reason to believe anything: it only tells a signature that was broken, or made up, from
/// one by somebody whom nobody knows here. `None` where every known key that it names did sign it.
pub fn broken(envelope: &Envelope, policy: &PolicySet) -> Option<SignatureFact> {
    let message = pae(&envelope.payload_type, &envelope.payload);
    policy.signers().iter().find_map(|signer| {
        let Proof::Key(key) = &signer.proof else { return None };
        let ids = key_ids(key);
        let named: Vec<&Signature> =
            envelope.signatures.iter().filter(|signature| ids.contains(&signature.keyid)).collect();
        let holds = named.iter().any(|signature| key.verify(&message, &signature.sig).is_ok());
        let is_broken = !named.is_empty() && !holds;
        is_broken.then(|| {
            let detail =
                format!("the signature that names the key of `{}` is not by it, or not over this", signer.name);
            Outcome::refused(Reason::SignatureInvalid, detail).to_fact(None)
        })
    })
}

/// The ids by which tools name a key in an envelope or a bundle; none of them is empty.
fn key_ids(key: &PublicKey) -> [String; 4] {
    [key.keyid_sigstore(), key.keyid_ssh(), key.keyid_securesystemslib(), Digest::of(key.spki_der()).hex()]
}

fn said(bundle: &Bundle) -> Said {
    let malformed = |reason: String| Said { subjects: Vec::new(), claim: Claim::Malformed { reason } };
    match bundle.content() {
        Content::Message { digest, .. } => Said {
            subjects: digest.iter().copied().collect(),
            claim: Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() },
        },
        Content::Envelope(envelope) if !is_statement_type(&envelope.payload_type) => {
            let found = envelope.payload_type.escape_debug();
            malformed(format!("the payload type `{found}` is not an in-toto statement"))
        }
        Content::Envelope(envelope) => match Statement::parse(&envelope.payload, &Limits::DEFAULT) {
            Err(error) => malformed(error.message),
            Ok(statement) => Said {
                subjects: statement.subjects.iter().filter_map(|subject| subject.sha256).collect(),
                claim: lockgate_evidence::claim_of(&statement, &Limits::DEFAULT),
            },
        },
    }
}

/// The best outcome over all roots, and the identities that it satisfies under its root.
fn keyless(bundle: &Bundle, subject: Subject<'_>, policy: &PolicySet) -> (Vec<SignerName>, SignatureFact) {
    let mut signers = Vec::new();
    let mut best: Option<(Outcome, Digest)> = None;
    for root in policy.roots().keys().copied() {
        let outcome = under(policy, root, |verifier| verifier.verify(bundle, subject, Expected::AnyIdentity));
        let fact = outcome.to_fact(Some(root));
        let by = |signer: &&TrustedSigner| match &signer.proof {
            Proof::Identity(identity) => identity.signed(&fact),
            Proof::Key(_) | Proof::Minisign(_) => false,
        };
        let candidates = policy.signers().iter().filter(|signer| signer.root == Some(root));
        signers.extend(candidates.filter(by).map(|signer| signer.name.clone()));
        if best.as_ref().is_none_or(|(other, _)| outcome.rank() > other.rank()) {
            best = Some((outcome, root));
        }
    }
    let fact = match best {
        Some((outcome, root)) => outcome.to_fact(Some(root)),
        None => Outcome::refused(Reason::TrustRootMissing, "the policy set pins no trust root").to_fact(None),
    };
    (signers, fact)
}

/// How near a bundle's signature comes to a pinned key; the nearest key is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// It neither names the key nor is by it.
    Strange,
    /// It names the key or is by it, and something else is missing.
    Meant,
    /// It names the key or is by it, and is broken; that somebody else did not sign either does not hide this.
    Broken,
    /// It is by the key.
    Proved,
}

/// The pinned keys that signed: those with a root by the whole bundle, the others by its signature alone.
///
/// Where none did, the bundle is broken only if it is about one of them, as an envelope is in [`broken`]; otherwise
/// somebody signed whom nobody knows here.
fn keyed(bundle: &Bundle, subject: Subject<'_>, policy: &PolicySet) -> (Vec<SignerName>, SignatureFact) {
    let mut signers = Vec::new();
    let mut best: Option<((Nearness, u8), Outcome, Option<Digest>)> = None;
    for signer in policy.signers() {
        let Proof::Key(key) = &signer.proof else { continue };
        let found = match signer.root {
            Some(root) => under(policy, root, |verifier| verifier.verify(bundle, subject, Expected::Key(key))),
            None => pinned(bundle, key, subject),
        };
        let counts = match signer.root {
            Some(_) => found.class() == SignatureClass::Verified,
            None => found.class().proves_signer(),
        };
        if counts {
            signers.push(signer.name.clone());
        }
        let (nearness, outcome) = told(found, bundle, key, subject);
        let weight = (nearness, outcome.rank());
        if best.as_ref().is_none_or(|(other, _, _)| weight > *other) {
            best = Some((weight, outcome, signer.root));
        }
    }
    let fact = match best {
        Some((_, outcome, root)) => outcome.to_fact(root),
        None => Outcome::refused(Reason::KeyUnknown, "the policy set pins no key").to_fact(None),
    };
    (signers, fact)
}

/// What is told of a bundle and one pinned key: that the signature is broken only where it is about this key.
///
/// Whose signature it is is asked of the signature itself: a log entry or a timestamp beside a broken one, which
/// verifiers look at first, does not make it one of another kind.
fn told(found: Outcome, bundle: &Bundle, key: &PublicKey, subject: Subject<'_>) -> (Nearness, Outcome) {
    if found.class().proves_signer() {
        return (Nearness::Proved, found);
    }
    let ids = key_ids(key);
    let is_named = named_keys(bundle).into_iter().any(|name| ids.contains(name));
    let is_by_it = is_signed_by(bundle, key, subject);
    let is_invalid = found.class() == SignatureClass::SignatureInvalid;
    let outcome = match (is_named, is_by_it) {
        (true, Some(false)) => Outcome::refused(Reason::SignatureInvalid, "the key that it names did not sign it"),
        (false, Some(false)) => Outcome::refused(Reason::KeyUnknown, "not signed by this key"),
        (false, None) if is_invalid => Outcome::refused(Reason::KeyUnknown, "nothing says that it is by this key"),
        _ => found,
    };
    let is_meant = is_named || is_by_it == Some(true);
    let nearness = match (is_meant, outcome.class()) {
        (false, _) => Nearness::Strange,
        (true, SignatureClass::SignatureInvalid) => Nearness::Broken,
        (true, _) => Nearness::Meant,
    };
    (nearness, outcome)
}

/// The ids by which a bundle names the key that signed it: its hint, and those of its envelope. Whoever made the bundle
/// wrote them, and nothing is believed for their sake.
fn named_keys(bundle: &Bundle) -> Vec<&String> {
    let hint = match bundle.material() {
        Material::Key { hint } => Some(hint),
        Material::Certificate(_) => None,
    };
    let signatures = bundle.envelope().into_iter().flat_map(|envelope| &envelope.signatures);
    hint.into_iter().chain(signatures.map(|signature| &signature.keyid)).collect()
}

/// A signature by a pinned key over what is at hand, a statement or a payload: the same as in an envelope without a bundle
/// around it.
fn pinned(bundle: &Bundle, key: &PublicKey, subject: Subject<'_>) -> Outcome {
    let is_by_it = match (bundle.content(), subject) {
        (Content::Envelope(envelope), _) => !envelope.verify(std::slice::from_ref(key)).is_empty(),
        (Content::Message { signature, .. }, Subject::Bytes(bytes)) => key.verify(bytes, signature).is_ok(),
        (Content::Message { .. }, Subject::Digest(_)) => {
            let detail = "a signature over an artifact itself needs a trust root: name one as the signer's `root`";
            return Outcome::refused(Reason::TrustRootMissing, detail);
        }
    };
    match is_by_it {
        false => Outcome::refused(Reason::KeyUnknown, "not signed by this key"),
        true => Outcome::proved(Signed {
            identity: None,
            key: Digest::of(key.spki_der()),
            level: Level::ManagedKey,
            time: None,
            log: Log::Absent,
        }),
    }
}

/// Verifies under one of the policy set's roots.
fn under(policy: &PolicySet, root: Digest, verify: impl FnOnce(&OfflineVerifier) -> Outcome) -> Outcome {
    let Some(text) = policy.roots().get(&root) else {
        return Outcome::refused(
            Reason::TrustRootMissing,
            format!("the policy set does not hold the trust root {root}"),
        );
    };
    let verifier = TrustRoot::parse(text.as_bytes(), &Limits::DEFAULT).and_then(|root| OfflineVerifier::new(&root));
    match verifier {
        Ok(verifier) => verify(&verifier),
        Err(refusal) => refusal.into(),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use lockgate_sign::attestation_key::AttestationKey;
    use lockgate_sigstore::Instance;
    use serde_json::{Value, json};

    use super::*;

    const TYPE: &str = "application/vnd.in-toto+json";
    const FILE: &[u8] = b"the artifact";

    fn policy_of(key: &AttestationKey, root: bool) -> PolicySet {
        let mut files = PolicySet::starter("starter").unwrap();
        let text = "{}";
        let rooted = if root { format!("root = \"{}\"\n", Digest::of(text.as_bytes())) } else { String::new() };
        let pem = key.public().to_pem();
        let key = format!("key = \"\"\"\n{pem}\"\"\"\n");
        let trust = format!("[[signer]]\nname = \"own\"\n{key}{rooted}signs = [\"provenance\"]\n");
        files.insert("trust.toml".to_owned(), trust);
        if root {
            files.insert("roots/own.json".to_owned(), text.to_owned());
        }
        PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    #[test]
    fn an_envelope_that_names_a_known_key_in_vain_is_broken() {
        let (own, other) = (AttestationKey::generate().unwrap(), AttestationKey::generate().unwrap());
        let sign = |key: &AttestationKey, keyid: &str| {
            Envelope::sign(TYPE, b"{}", key, &[keyid.to_owned()]).unwrap_or_else(|error| panic!("{error}"))
        };
        let changed = |envelope: Envelope| Envelope { payload: b"{ }".to_vec(), ..envelope };
        for policy in [policy_of(&own, false), policy_of(&own, true)] {
            let class = |envelope: &Envelope| broken(envelope, &policy).map(|fact| (fact.class, fact.code));
            let invalid = Some((SignatureClass::SignatureInvalid, "SIGNATURE_INVALID".to_owned()));
            for keyid in key_ids(own.public()) {
                assert_eq!(class(&sign(&own, &keyid)), None, "{keyid}");
                assert_eq!(class(&changed(sign(&own, &keyid))), invalid, "{keyid}");
                // Somebody else's signature under a known name is as broken.
                assert_eq!(class(&sign(&other, &keyid)), invalid, "{keyid}");
            }
            // Without a name, or under an unknown one, nobody can tell whose it was meant to be.
            let unknown = key_ids(other.public());
            for keyid in ["", "own", "nobody"].into_iter().chain(unknown.iter().map(String::as_str)) {
                assert_eq!(class(&changed(sign(&own, keyid))), None, "{keyid}");
            }
            let id = own.public().keyid_ssh();
            let signatures = [sign(&other, &id).signatures, sign(&own, &id).signatures].concat();
            let both = Envelope { signatures, ..sign(&own, "") };
            assert_eq!(class(&both), None, "one good signature is enough");
        }
    }

    /// A policy set with these keys, and whether each is pinned together with a trust root.
    fn policy_with(signers: &[(&str, &AttestationKey, bool)]) -> PolicySet {
        let mut files = PolicySet::starter("starter").unwrap();
        let root = Instance::PublicGood.root().unwrap();
        let mut trust = String::new();
        for (name, key, rooted) in signers {
            let pem = key.public().to_pem();
            let rooted = if *rooted { format!("root = \"{}\"\n", root.digest()) } else { String::new() };
            trust.push_str(&format!("[[signer]]\nname = \"{name}\"\nkey = \"\"\"\n{pem}\"\"\"\n{rooted}"));
            trust.push_str("signs = [\"signature\", \"provenance\"]\n");
        }
        files.insert("trust.toml".to_owned(), trust);
        files.insert("roots/public-good.json".to_owned(), root.text().to_owned());
        PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    /// cosign's statement over the artifact, with one signature.
    fn statement(key: &AttestationKey, keyid: &str) -> Envelope {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "app", "digest": { "sha256": Digest::of(FILE).hex() } }],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let payload = statement.to_string().into_bytes();
        Envelope::sign(TYPE, &payload, key, &[keyid.to_owned()]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same statement in another spelling, under the old signature.
    fn changed(envelope: Envelope) -> Envelope {
        Envelope { payload: [envelope.payload.as_slice(), b" "].concat(), ..envelope }
    }

    fn with_statement(hint: &str, envelope: &Envelope) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": { "publicKey": { "hint": hint } },
            "dsseEnvelope": serde_json::from_slice::<Value>(&envelope.to_json()).unwrap(),
        })
    }

    /// A signature over some bytes, in a bundle that is about the artifact.
    fn with_message(hint: &str, key: &AttestationKey, signed: &[u8]) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": { "publicKey": { "hint": hint } },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(Digest::of(FILE).as_bytes()) },
                "signature": STANDARD.encode(key.sign(signed).unwrap()),
            },
        })
    }

    fn found(bundle: &Value, policy: &PolicySet) -> (Vec<String>, &'static str, String) {
        let read = read_bundle(bundle.to_string().as_bytes(), policy);
        assert_eq!(read.subjects, [Digest::of(FILE)], "{bundle}");
        let signers = read.signers.iter().map(ToString::to_string).collect();
        (signers, read.signature.class.as_str(), read.signature.code)
    }

    fn refused(class: &'static str, code: &str) -> (Vec<String>, &'static str, String) {
        (Vec::new(), class, code.to_owned())
    }

    #[test]
    fn a_broken_signature_is_told_alike_in_an_envelope_and_in_a_bundle() {
        let [own, other, stranger] = [(); 3].map(|()| AttestationKey::generate().unwrap());
        let invalid = refused("signature-invalid", "SIGNATURE_INVALID");
        // Whatever other keys are pinned, before it or after it, with a root or without one.
        for (own_rooted, other_rooted) in [(false, false), (false, true), (true, false), (true, true)] {
            let (first, second) = (("own", &own, own_rooted), ("other", &other, other_rooted));
            for policy in [policy_with(&[first, second]), policy_with(&[second, first])] {
                for id in key_ids(own.public()) {
                    for envelope in [changed(statement(&own, &id)), statement(&stranger, &id)] {
                        let alone = broken(&envelope, &policy).map(|fact| (Vec::new(), fact.class.as_str(), fact.code));
                        assert_eq!(alone.as_ref(), Some(&invalid), "{id}");
                        assert_eq!(found(&with_statement("", &envelope), &policy), invalid, "{id}");
                    }
                    for envelope in [changed(statement(&own, "")), statement(&stranger, "")] {
                        assert_eq!(found(&with_statement(&id, &envelope), &policy), invalid, "{id}");
                    }
                    for bundle in [with_message(&id, &own, b"other bytes"), with_message(&id, &stranger, FILE)] {
                        assert_eq!(found(&bundle, &policy), invalid, "{id}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_stands_beside_a_broken_signature_does_not_make_it_another_kind() {
        let own = AttestationKey::generate().unwrap();
        let id = own.public().keyid_sigstore();
        for rooted in [false, true] {
            let policy = policy_with(&[("own", &own, rooted)]);
            let broken = [with_statement(&id, &changed(statement(&own, ""))), with_message(&id, &own, b"other bytes")];
            for mut bundle in broken {
                bundle["verificationMaterial"]["tlogEntries"] = json!([{ "inclusionProof": {} }]);
                assert_eq!(found(&bundle, &policy), refused("signature-invalid", "SIGNATURE_INVALID"), "{bundle}");
            }
        }
    }

    #[test]
    fn what_a_stranger_signed_is_not_broken() {
        let [own, other, stranger] = [(); 3].map(|()| AttestationKey::generate().unwrap());
        let unknown = refused("identity-mismatch", "SIGNING_KEY_UNKNOWN");
        for (own_rooted, other_rooted) in [(false, false), (false, true), (true, true)] {
            let policy = policy_with(&[("own", &own, own_rooted), ("other", &other, other_rooted)]);
            for id in ["", "own", stranger.public().keyid_sigstore().as_str()] {
                assert_eq!(found(&with_statement(id, &statement(&stranger, id)), &policy), unknown, "{id}");
                assert_eq!(found(&with_message(id, &stranger, FILE), &policy), unknown, "{id}");
                // Nobody can tell whose it was meant to be.
                assert_eq!(found(&with_statement(id, &changed(statement(&own, id))), &policy), unknown, "{id}");
            }
        }
    }

    #[test]
    fn a_good_signature_counts_under_whatever_name() {
        let [own, other] = [(); 2].map(|()| AttestationKey::generate().unwrap());
        let proved = |signers: &[&str]| {
            let signers: Vec<String> = signers.iter().map(ToString::to_string).collect();
            (signers, "without-log", "LOG_MISSING".to_owned())
        };
        for (own_rooted, signers) in [(false, vec!["own"]), (true, vec![])] {
            let policy = policy_with(&[("own", &own, own_rooted), ("other", &other, false)]);
            for id in ["", "nobody", other.public().keyid_ssh().as_str()] {
                assert_eq!(found(&with_statement(id, &statement(&own, id)), &policy), proved(&signers), "{id}");
            }
        }
        // Over the artifact itself it is proved under a root, and without one that is what is missing.
        let id = own.public().keyid_sigstore();
        let bundle = with_message(&id, &own, FILE);
        assert_eq!(found(&bundle, &policy_with(&[("own", &own, true), ("other", &other, false)])), proved(&[]));
        let rootless = policy_with(&[("own", &own, false), ("other", &other, true)]);
        assert_eq!(found(&bundle, &rootless), refused("untrusted-root", "TRUST_ROOT_MISSING"));
    }

    #[test]
    fn a_signature_from_the_future_proves_nothing() {
        let fact = |signed_at| SignatureFact {
            class: SignatureClass::Verified,
            code: "SIGNATURE_VERIFIED".to_owned(),
            root: None,
            identity: Some("https://ci.example/acme/shop".to_owned()),
            issuer: Some("https://token.ci.example".to_owned()),
            claims: std::collections::BTreeMap::new(),
            key: None,
            signed_at,
        };
        let now = UnixMillis(1_700_000_000_000);
        let check = |signed_at: Option<UnixMillis>, code: &str| {
            let found = not_ahead(fact(signed_at), now);
            assert_eq!((found.code.as_str(), found.identity.is_some()), (code, code == "SIGNATURE_VERIFIED"));
        };
        check(None, "SIGNATURE_VERIFIED");
        check(Some(now), "SIGNATURE_VERIFIED");
        check(Some(now.plus(CLOCK_TOLERANCE)), "SIGNATURE_VERIFIED");
        check(Some(UnixMillis(now.plus(CLOCK_TOLERANCE).0 + 1)), "TIME_AHEAD");
    }

    /// A signature over a payload that names an image, as `cosign download signature` prints one.
    fn of_image(key: &AttestationKey, signed: &str, shown: &str) -> Value {
        json!({ "Base64Signature": STANDARD.encode(key.sign(signed.as_bytes()).unwrap()), "Payload": STANDARD.encode(shown) })
    }

    #[test]
    fn an_image_signature_counts_for_the_image_that_its_payload_names() {
        let [own, other] = [(); 2].map(|()| AttestationKey::generate().unwrap());
        let image = Digest::of(b"a manifest");
        let payload = |image: Digest| {
            let critical =
                json!({ "type": "cosign container image signature", "image": { "docker-manifest-digest": image } });
            json!({ "critical": critical, "optional": null }).to_string()
        };
        let (good, another) = (payload(image), payload(Digest::of(b"another")));
        let read = |value: &Value, policy: &PolicySet| read_image(value.to_string().as_bytes(), policy);
        let found = |value: &Value, policy: &PolicySet| {
            let read = read(value, policy);
            assert_eq!(read.subjects, [image]);
            let signers = read.signers.iter().map(ToString::to_string).collect();
            (signers, read.signature.class.as_str(), read.signature.code)
        };
        let proved = |signers: &[&str]| {
            let signers: Vec<String> = signers.iter().map(ToString::to_string).collect();
            (signers, "without-log", "LOG_MISSING".to_owned())
        };
        let unknown = refused("identity-mismatch", "SIGNING_KEY_UNKNOWN");
        // A key that is pinned with a root counts where that root's log has the signature, and nowhere else.
        for (rooted, signers) in [(false, vec!["own"]), (true, vec![])] {
            let policy = policy_with(&[("own", &own, rooted)]);
            assert_eq!(found(&of_image(&own, &good, &good), &policy), proved(&signers));
            assert_eq!(found(&of_image(&own, &another, &good), &policy), unknown);
            assert_eq!(found(&of_image(&other, &good, &good), &policy), unknown);
            let unread = read(&of_image(&own, "{}", "{}"), &policy);
            assert!(matches!(unread.claim, Claim::Malformed { .. }), "{:?}", unread.claim);
            assert_eq!((unread.signers, unread.subjects), (Vec::new(), Vec::new()));
        }
    }
}
