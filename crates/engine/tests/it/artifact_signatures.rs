//! Signatures of artifacts as evidence: the signer's own words name the artifact, and a gate asks for a pinned key.
//!
//! Those of minisign were made with its version 0.11, by keys that nobody kept, over what [`World`] publishes as
//! `shop/web@1.0.0`; those of images are made here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_engine::Fault;
use lockgate_engine::attest::{Checked, Evidence, Form, attest, check};
use lockgate_engine::bodies::Upload;
use lockgate_model::facts::{EvidenceFact, Facts, Origin, SignatureClass};
use lockgate_sign::attestation_key::AttestationKey;
use serde_json::json;

use crate::world::{World, person};

const RELEASE: &str = "shop/web@1.0.0";
const KEY: &str = "RWR+fJKKzS7AO4wbeZEZrqq+FA4aBJiC8tXU0KDIX8qrZbS0X+kBHVGi";

/// By the pinned key.
const GOOD: &str = "untrusted comment: signature from minisign secret key\n\
RUR+fJKKzS7AOz3E3K1At5QvBmB9fmXLXe2KGRLaJll62YNvCIks3/RcHvMmA2Zk/8E8qzHX1vapsi0c2BVN2Yqf5gkkoyMQQgY=\n\
trusted comment: sha256:ec84a949f988636db7e38e587a1e29afa3c9397d4737e045a53d8571862d1a13\n\
ZOnTgF97BZsJ/cV0JFI+tTS+ZaWDC2bfCsiFgjw7scusI7410g6QN1ekYtpK6KjfA20htm9OjU2WzIFWOIWqDQ==\n";

/// By the pinned key, of the old form, which signs the file itself and not its hash.
const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
RWR+fJKKzS7AO3t3PkfK8Qz2k2zy7Z4U3jTSZgHC3RK6rdnMOkqztJSygk0oUnRuwyWIC01uzjNcGFDh4f2TnuiLItushpZeIgQ=\n\
trusted comment: sha256:ec84a949f988636db7e38e587a1e29afa3c9397d4737e045a53d8571862d1a13\n\
PSRC8SzmzfO8xOXDXiamgn+34rts58E0LRdtqcydkq1VUVVMqtFglJu++EPhfQDI+co543go79kVxfJUi8T4Dw==\n";

/// By another key.
const STRANGER: &str = "untrusted comment: signature from minisign secret key\n\
RUTupjzS65CUPg5A37Cc9hPn9HQxbwDVrs9vuNyaHtVweRUFijHERPv/ePi/sM9trszl9GooYz58efkwTz084qXUs8mDTwp0PQI=\n\
trusted comment: sha256:ec84a949f988636db7e38e587a1e29afa3c9397d4737e045a53d8571862d1a13\n\
vPFQq0F6HpiZ8jwFMthod6kpnFsLIeva41/MTLEoK3BvesMGWZkJX0Zb+Iq8hMbSnW6QEiISCJC6zmjoanpdDQ==\n";

/// By the pinned key, with the comment that minisign writes by itself.
const UNNAMED: &str = "untrusted comment: signature from minisign secret key\n\
RUR+fJKKzS7AOz3E3K1At5QvBmB9fmXLXe2KGRLaJll62YNvCIks3/RcHvMmA2Zk/8E8qzHX1vapsi0c2BVN2Yqf5gkkoyMQQgY=\n\
trusted comment: timestamp:1795307831	file:eng	hashed\n\
T4qvttxPn+JInBuSAVGu3DeRcY7xshIjpIXAqtKLEf2hvVgBFjBHuju22A4wGXLREDnBXzljbmW5MflScmhxDQ==\n";

/// What the signatures are of.
const ARTIFACT: &str = "sha256:ec84a949f988636db7e38e587a1e29afa3c9397d4737e045a53d8571862d1a13";

/// The starter policy set with a gate for `dev` that asks for the key.
fn world() -> World {
    world_with(&format!("minisign = \"{KEY}\""))
}

/// The same for another key, as `trust.toml` pins it.
fn world_with(pinned: &str) -> World {
    World::new(|path, text| match path {
        "trust.toml" => {
            format!("{text}\n[[signer]]\nname = \"boxes\"\n{pinned}\nsigns = [\"signature\"]\n")
        }
        "gates/evidence.toml" => format!(
            "{text}\n[[gate]]\nname = \"signed\"\nkind = \"signature\"\nenvironments = [\"dev\"]\n\
             signed_by = [\"boxes\"]\n"
        ),
        _ => text.to_owned(),
    })
}

fn checked(world: &World, text: &str) -> Result<Checked, Fault> {
    let upload = Upload::Inline(text.as_bytes().to_vec());
    check(world.engine(), Evidence { upload, form: Form::Envelope, expect: Some("signature".to_owned()) })
}

fn hand_in(world: &World, release: &str, text: &str) -> Result<(), Fault> {
    let checked = checked(world, text)?;
    let submission = attest(world.engine(), person("ci"), release.parse().unwrap(), vec![checked])?;
    world.engine().run(submission).map(drop)
}

/// What the gate says after these signatures, and what is known of the last.
fn judged(signatures: &[&str]) -> (String, String, EvidenceFact) {
    judged_in(world(), signatures)
}

fn judged_in(mut world: World, signatures: &[&str]) -> (String, String, EvidenceFact) {
    world.push(RELEASE);
    for text in signatures {
        hand_in(&world, RELEASE, text).unwrap();
    }
    // Read again from the store; when the world ends, it is audited and every decision replayed.
    world.reopen().unwrap();
    let (id, _) = world.promote(RELEASE, "dev").unwrap();
    let facts: Facts = serde_json::from_slice(&lockgate_engine::facts::facts(world.engine(), id).unwrap()).unwrap();
    let view = lockgate_engine::why::why(world.engine(), id).unwrap();
    let gate = view.decision.gates.into_iter().find(|gate| gate.gate.as_str() == "signed").unwrap();
    (gate.reason, gate.found, facts.evidence.last().unwrap().clone())
}

#[test]
fn a_signature_by_a_pinned_key_satisfies_the_gate() {
    for text in [GOOD, LEGACY] {
        let (reason, found, fact) = judged(&[text]);
        assert_eq!(reason, "SATISFIED", "{found}");
        assert!(found.starts_with("app: signed by boxes (without-log: the key sha256:"), "{found}");
        assert_eq!(fact.origin, Origin::Signed { signers: vec!["boxes".parse().unwrap()] });
        assert_eq!(fact.artifacts.len(), 1);
        let proof = fact.signature.unwrap();
        assert_eq!((proof.class, proof.signed_at), (SignatureClass::WithoutLog, None));
    }
}

#[test]
fn what_else_is_signed_is_told_apart() {
    let check = |signatures: &[&str], reason: &str, code: &str| {
        let (found, text, fact) = judged(signatures);
        assert_eq!((found.as_str(), fact.signature.unwrap().code.as_str()), (reason, code), "{text}");
    };
    check(&[STRANGER], "SIGNER_UNTRUSTED", "SIGNING_KEY_UNKNOWN");
    check(&[&GOOD.replace("Zk/8E8qzHX", "Zk/8E9qzHX")], "ARTIFACT_SIGNATURE_INVALID", "SIGNATURE_INVALID");
    check(&[&GOOD.replace("2d1a13\n", "2d1a13 and more\n")], "ARTIFACT_SIGNATURE_INVALID", "SIGNATURE_INVALID");
    // Another signature by the same key, under a comment that it was not signed with.
    let line = |text: &'static str, at: usize| text.lines().nth(at).unwrap();
    let mixed = GOOD.replace(line(GOOD, 3), line(UNNAMED, 3));
    check(&[&mixed], "ARTIFACT_SIGNATURE_INVALID", "SIGNATURE_INVALID");
    // One that counts is enough.
    check(&[GOOD, STRANGER], "SATISFIED", "SIGNING_KEY_UNKNOWN");
}

#[test]
fn what_cannot_be_bound_is_refused_when_it_is_handed_in() {
    let world = world();
    world.push("shop/web@1.1.0");
    let check = |text: &str, code: &str| {
        let refused = hand_in(&world, "shop/web@1.1.0", text).unwrap_err();
        assert_eq!(refused.code, code, "{refused:?}");
    };
    check(GOOD, "SUBJECT_MISMATCH");
    check(UNNAMED, "SUBJECT_MISSING");
    check(&GOOD.replace("RUR+", "RUR"), "SIGNATURE_MALFORMED");
    check(&GOOD.replace("RUR+", "RVR+"), "SIGNATURE_UNSUPPORTED");
    check("-----BEGIN PGP SIGNATURE-----\n\niHUE\n-----END PGP SIGNATURE-----\n", "SIGNATURE_UNSUPPORTED");
}

/// A signature over a payload that names an image, as `cosign download signature` prints one.
fn of_image(key: &AttestationKey, image: &str) -> String {
    let critical = json!({
        "type": "cosign container image signature",
        "image": { "docker-manifest-digest": image },
        "identity": { "docker-reference": "registry.example/shop/web" },
    });
    let payload = json!({ "critical": critical, "optional": null }).to_string();
    let signature = STANDARD.encode(key.sign(payload.as_bytes()).unwrap());
    json!({ "Base64Signature": signature, "Payload": STANDARD.encode(payload), "Cert": null }).to_string()
}

#[test]
fn a_signature_of_an_image_by_a_pinned_key_satisfies_the_gate() {
    let [key, other] = [(); 2].map(|()| AttestationKey::generate().unwrap());
    let world = || world_with(&format!("key = \"\"\"\n{}\"\"\"", key.public().to_pem()));
    let (reason, found, fact) = judged_in(world(), &[&of_image(&other, ARTIFACT), &of_image(&key, ARTIFACT)]);
    assert_eq!(reason, "SATISFIED", "{found}");
    assert_eq!(fact.origin, Origin::Signed { signers: vec!["boxes".parse().unwrap()] });
    assert_eq!(fact.artifacts, [ARTIFACT.parse().unwrap()]);
    assert_eq!(fact.signature.unwrap().class, SignatureClass::WithoutLog);
    let (reason, found, fact) = judged_in(world(), &[&of_image(&other, ARTIFACT)]);
    assert_eq!((reason.as_str(), fact.signature.unwrap().code.as_str()), ("SIGNER_UNTRUSTED", "SIGNING_KEY_UNKNOWN"));
    assert!(found.contains("app"), "{found}");

    let world = world();
    world.push(RELEASE);
    let check = |text: &str, code: &str| assert_eq!(hand_in(&world, RELEASE, text).unwrap_err().code, code, "{text}");
    check(&of_image(&key, &ARTIFACT.replace("ec84", "ec85")), "SUBJECT_MISMATCH");
    check(&of_image(&key, "sha256:ec84"), "SIGNATURE_MALFORMED");
    check(&of_image(&key, ARTIFACT).replace("Payload\":\"", "Payload\":\"!"), "SIGNATURE_MALFORMED");
}
