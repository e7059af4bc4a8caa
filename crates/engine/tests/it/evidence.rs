//! Evidence that is too large to be held in memory: the same outcome, and nothing is believed of what was changed.

use lockgate_engine::attest::{Checked, Evidence, Form, attest, check};
use lockgate_engine::bodies::Upload;
use lockgate_engine::where_index::{WHERE, rebuild};
use lockgate_engine::{Fault, Kind};
use lockgate_evidence::Format;
use lockgate_model::Digest;
use lockgate_model::facts::{Claim, Facts};
use lockgate_sign::attestation_key::AttestationKey;
use lockgate_sign::dsse::Envelope;
use lockgate_store::memory::Spoil;
use lockgate_store::{BlobStore, ProjectionStore as _};

use crate::world::{JUNIT, World, person};

/// A log of static analysis with so many errors, of about 4 KiB each.
fn log(errors: usize) -> String {
    let text = "x".repeat(4096);
    let result = |number| {
        format!(
            r#"{{"level":"error","message":{{"text":"{number}"}},"codeFlows":[{{"message":{{"text":"{text}"}}}}]}}"#
        )
    };
    let results: Vec<String> = (0..errors).map(result).collect();
    format!(
        r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"lint"}}}},"results":[{}]}}]}}"#,
        results.join(",")
    )
}

fn stored(world: &World, bytes: &[u8]) -> Digest {
    let mut staged = world.store.stage().unwrap();
    staged.write(bytes).unwrap();
    staged.commit(None).unwrap().0
}

fn checked(world: &World, digest: Digest, format: Option<Format>, expect: &str) -> Result<Checked, Fault> {
    let form = Form::Report(format);
    check(world.engine(), Evidence { upload: Upload::Stored(digest), form, expect: Some(expect.to_owned()) })
}

#[test]
fn a_large_report_is_read_as_it_comes_and_says_all_of_it() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    let digest = stored(&world, log(600).as_bytes());
    let told = checked(&world, digest, None, "static-analysis").unwrap();
    checked(&world, digest, Some(Format::Sarif), "static-analysis").unwrap();
    let submission = attest(world.engine(), person("ci"), "shop/web@1.0.0".parse().unwrap(), vec![told]).unwrap();
    world.engine().run(submission).unwrap();
    // Gathered from the store, and not from what was remembered.
    world.reopen().unwrap();
    let (id, _) = world.promote("shop/web@1.0.0", "dev").unwrap();
    let facts: Facts = serde_json::from_slice(&lockgate_engine::facts::facts(world.engine(), id).unwrap()).unwrap();
    let fact = facts.evidence.iter().find(|fact| fact.evidence == digest).unwrap();
    let Claim::StaticAnalysis(analysis) = &fact.claim else { panic!("{:?}", fact.claim.kind()) };
    assert_eq!((analysis.errors, analysis.results.len()), (600, 600));
}

#[test]
fn a_large_report_is_refused_as_a_small_one_is() {
    let world = World::starter();
    let check = |bytes: &[u8], format: Option<Format>, expect: &str, code: &str| {
        let refused = checked(&world, stored(&world, bytes), format, expect).unwrap_err();
        assert_eq!(refused.code, code, "{refused:?}");
    };
    let whole = log(600);
    check(whole.as_bytes(), None, "sbom", "EVIDENCE_KIND");
    check(whole.as_bytes(), Some(Format::Trivy), "vulnerabilities", "EVIDENCE_MALFORMED");
    check(&whole.as_bytes()[..whole.len() - 1], Some(Format::Sarif), "static-analysis", "EVIDENCE_MALFORMED");
    check(whole.replacen("2.1.0", "2.0.0", 1).as_bytes(), None, "static-analysis", "SARIF_VERSION");
    let twice = whole.replacen('{', "{\"runs\":[],", 1);
    check(twice.as_bytes(), Some(Format::Sarif), "static-analysis", "DUPLICATE_KEY");
    check(" ".repeat(2 << 20).as_bytes(), None, "tests", "EVIDENCE_UNKNOWN");
    let unknown = checked(&world, Digest::of(b"nothing"), None, "tests").unwrap_err();
    assert_eq!(unknown.code, "BLOB_UNKNOWN");
    // What is not read as it comes is read whole, however large it is.
    let padded = format!("{JUNIT}{}", " ".repeat(2 << 20));
    checked(&world, stored(&world, padded.as_bytes()), None, "tests").unwrap();
}

#[test]
fn a_changed_bit_is_an_alarm_and_not_another_claim() {
    let mut world = World::starter();
    world.push("shop/web@1.0.0");
    let digest = stored(&world, log(600).as_bytes());
    let told = checked(&world, digest, None, "static-analysis").unwrap();
    let submission = attest(world.engine(), person("ci"), "shop/web@1.0.0".parse().unwrap(), vec![told]).unwrap();
    world.engine().run(submission).unwrap();
    // The first byte: as a report it is malformed from there on, and nobody would read as far as the last.
    assert!(world.store.blob_flip_bit(&digest, 0));
    world.damaged();
    world.reopen().unwrap();
    let refused = world.promote("shop/web@1.0.0", "dev").unwrap_err();
    assert_eq!(refused.code, "BODY_UNREADABLE", "{refused:?}");
    let refused = checked(&world, digest, None, "static-analysis").unwrap_err();
    assert_eq!(refused.code, "BODY_UNREADABLE", "{refused:?}");
}

/// What the machine says of its files is for the operator, and a store that fails holds nothing less.
#[test]
fn a_store_that_fails_is_not_told_as_one_that_lacks_the_bytes() {
    let world = World::starter();
    let digest = stored(&world, JUNIT.as_bytes());
    world.store.spoil(Spoil::DocumentFails(digest));
    let refused = checked(&world, digest, None, "tests").unwrap_err();
    assert_eq!((refused.kind, refused.code), (Kind::Unavailable, "STORE_FAILED"));
    let kept = refused.context.unwrap();
    assert!(kept.contains("on purpose") && !refused.message.contains("on purpose"), "{}", refused.message);
    world.store.spoil(Spoil::Nothing);
    checked(&world, digest, None, "tests").unwrap();
}

#[test]
fn a_signature_over_an_artifact_is_told_as_one() {
    let world = World::starter();
    world.push("shop/web@1.0.0");
    let artifact = Digest::of(b"the bytes of shop/web@1.0.0").to_string();
    let hand_in = |predicate_type: &str| {
        let hex = artifact.strip_prefix("sha256:").unwrap();
        let statement = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "app", "digest": { "sha256": hex } }],
            "predicateType": predicate_type,
            "predicate": {},
        });
        let key = AttestationKey::generate().unwrap();
        let payload = statement.to_string();
        let envelope = Envelope::sign("application/vnd.in-toto+json", payload.as_bytes(), &key, &[]).unwrap();
        let upload = Upload::Inline(envelope.to_json());
        let checked = check(world.engine(), Evidence { upload, form: Form::Envelope, expect: None }).unwrap();
        let submission = attest(world.engine(), person("ci"), "shop/web@1.0.0".parse().unwrap(), vec![checked]);
        let receipt = world.engine().run(submission.unwrap()).unwrap();
        let told = &receipt.value["evidence"][0];
        // Nobody knows the key, and that is told at once.
        assert_eq!(told["signature"]["class"], "identity-mismatch", "{told}");
        assert_eq!(told["signature"]["signers"], serde_json::json!([]), "{told}");
        told["kind"].as_str().unwrap().to_owned()
    };
    assert_eq!(hand_in("https://sigstore.dev/cosign/sign/v1"), "signature");
    assert_eq!(hand_in("https://sigstore.dev/cosign/sign/v2"), "unknown");
    // Made again from the ledger, the index of what is where says the same.
    let rows = || world.store.projections(WHERE, None, 10_000).unwrap();
    let before = rows();
    assert!(before.iter().any(|(_, value)| value.starts_with(b"signature\t")), "{before:?}");
    rebuild(&world.store, &world.engine().governance().unwrap()).unwrap();
    assert_eq!(rows(), before);
}
