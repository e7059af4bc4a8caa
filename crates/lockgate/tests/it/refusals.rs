//! Input that has to be refused: each with its exit code and its reason, and with nothing written.

use std::fs;

use lockgate_sign::AttestationKey;
use lockgate_sign::dsse::Envelope;
use serde_json::{Value, json};

use crate::consent::{approval, for_another_purpose};
use crate::instance::Instance;

const PUSH: [&str; 6] = ["push", "app.tar.gz", "--service", "shop/api", "--version", "1.0.0"];
const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const SHOUTED: &str = "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";

/// An instance with a good artifact and many bad reports in its working directory.
fn with_bad_reports() -> Instance {
    let lockgate = Instance::demo();
    let read = |name: &str| fs::read_to_string(lockgate.file(name)).unwrap();
    let (junit, sbom, trivy) = (read("junit.xml"), read("sbom.cdx.json"), read("trivy.json"));
    lockgate.write("app.tar.gz", "the bytes of an artifact");
    lockgate.write("empty", "");
    lockgate.write("cut.xml", &junit[..junit.len() / 2]);
    lockgate.write("cut-sbom.json", &sbom[..sbom.len() / 2]);
    lockgate.write("cut-scan.json", &trivy[..trivy.len() / 2]);
    lockgate.write("twice.json", once(&sbom, "\"name\": \"acme-yaml\",", "\"name\": \"acme-yaml\", \"name\": \"x\","));
    let deep = format!("\"version\": 1, \"x\": {}{},", "[".repeat(100), "]".repeat(100));
    lockgate.write("deep.json", once(&sbom, "\"version\": 1,", &deep));
    let deep = format!("{}{}<testcase", "<a>".repeat(5000), "</a>".repeat(5000));
    lockgate.write("deep.xml", junit.replacen("<testcase", &deep, 1));
    let at = sbom.find("acme-yaml").unwrap();
    lockgate.write("latin1.json", [&sbom.as_bytes()[..at], b"\xff", &sbom.as_bytes()[at..]].concat());
    lockgate
}

fn once(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn bad_files_are_refused() {
    let lockgate = with_bad_reports();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--tests", "empty"], 2, "FILE_EMPTY"),
        (&["--notes", "empty"], 2, "FILE_EMPTY"),
        (&["--tests", "cut.xml"], 2, "EVIDENCE_MALFORMED"),
        (&["--sbom", "cut-sbom.json"], 2, "JSON_INVALID"),
        (&["--scan", "cut-scan.json"], 2, "JSON_INVALID"),
        (&["--sbom", "twice.json"], 2, "DUPLICATE_KEY"),
        (&["--sbom", "deep.json"], 2, "JSON_TOO_DEEP"),
        (&["--tests", "deep.xml"], 2, "XML_TOO_DEEP"),
        (&["--sbom", "latin1.json"], 2, "EVIDENCE_MALFORMED"),
        (&["--sbom", "junit.xml"], 2, "EVIDENCE_KIND"),
        (&["--tests", "sbom.cdx.json"], 2, "EVIDENCE_KIND"),
        (&["--scan", "sbom.cdx.json"], 2, "EVIDENCE_KIND"),
        (&["--sarif", "trivy.json"], 2, "EVIDENCE_KIND"),
        (&["--provenance", "provenance-v1.json"], 2, "UNSIGNED"),
        (&["--attestation", "provenance-v1.json"], 2, "UNSIGNED"),
        (&["--provenance", "sbom.cdx.json"], 2, "ENVELOPE_FIELD"),
        (&["--attestation", "junit.xml"], 2, "JSON_INVALID"),
        (&["--tests", "absent.xml"], 6, "FILE_FAILED"),
        (&["--digest", ZEROS], 2, "DIGEST_MISMATCH"),
    ];
    let entries = lockgate.entries();
    for (evidence, exit, reason) in cases {
        lockgate.run(&[&PUSH[..], *evidence].concat()).refused(*exit, reason);
    }
    let files: [(&str, i32, &str); 3] =
        [("empty", 2, "FILE_EMPTY"), ("absent", 6, "FILE_FAILED"), (".", 2, "FILE_INVALID")];
    for (file, exit, reason) in files {
        let push = ["push", file, "--service", "shop/api", "--version", "1.0.0", "--tests", "junit.xml"];
        lockgate.run(&push).refused(exit, reason);
    }
    lockgate.run(&[&PUSH[..], &["--digest", SHOUTED]].concat()).exits(2).says("64 lower-case hex digits");
    assert_eq!(lockgate.entries(), entries, "something that was refused was written");
    assert_eq!(lockgate.json(&["status"], 0)["services"], json!([]));
    assert_eq!(lockgate.staged(), 0);
}

#[test]
fn bad_names_are_refused_before_anything_is_sent() {
    let lockgate = Instance::pending();
    let entries = lockgate.entries();
    let cases: &[&[&str]] = &[
        &["push", "junit.xml", "--service", "Shop/Web", "--version", "1.0.0"],
        &["push", "junit.xml", "--service", "../etc", "--version", "1.0.0"],
        &["push", "junit.xml", "--service", "shop/web", "--version", "1.0"],
        &["push", "junit.xml", "--service", "shop/web", "--version", "v1.0.0"],
        &["promote", "shop/web", "--to", "production", "--reason", "x"],
        &["promote", "shop/web@1.4.2", "--reason", "x"],
        &["promote", "shop/web@1.4.2", "--to", "production"],
        &["why", "3"],
        &["why", "P-03"],
        &["approve", "P-0", "--yes"],
        &["verify", "junit.xml", "--service", "shop/web"],
        &["history", "--limit", "-1"],
        &["no-such-command"],
        &[],
    ];
    for arguments in cases {
        let ran = lockgate.run(arguments).exits(2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran}");
    }
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn what_does_not_exist_is_said_so() {
    let lockgate = Instance::pending();
    let entries = lockgate.entries();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["promote", "shop/web@1.4.2", "--to", "moon", "--reason", "x"], 6, "ENVIRONMENT_UNKNOWN"),
        (&["promote", "shop/web@9.9.9", "--to", "dev", "--reason", "x"], 6, "RELEASE_UNKNOWN"),
        (&["promote", "shop/web@1.4.2", "--to", "dev", "--reason", " "], 2, "REASON_MISSING"),
        (&["promote", "shop/web@1.4.2", "--to", "dev", "--reason", "x", "--as", "sam"], 4, "NOT_PERMITTED"),
        (&["why", "P-99"], 6, "PROMOTION_UNKNOWN"),
        (&["approve", "P-99", "--as", "sam", "--yes"], 6, "PROMOTION_UNKNOWN"),
        (&["approve", "P-3", "--as", "ci", "--yes"], 3, "SOD_ROBOT"),
        (&["approve", "P-3", "--as", "dana", "--yes"], 3, "SOD_SELF"),
        (&["attest", "shop/web@1.4.2"], 2, "EVIDENCE_MISSING"),
        (&["attest", "shop/web@9.9.9", "--tests", "junit.xml"], 6, "RELEASE_UNKNOWN"),
        (&["verify", "junit.xml", "--service", "shop/web", "--env", "production"], 3, "DIGEST_NOT_GRANTED"),
        (&["verify", "junit.xml", "--service", "shop/web", "--env", "moon"], 6, "ENVIRONMENT_UNKNOWN"),
        (&["verify", "absent", "--service", "shop/web", "--env", "production"], 6, "FILE_FAILED"),
        (&["key", "generate", "junit.xml"], 7, "FILE_EXISTS"),
        (&["whoami", "--as", "nobody"], 2, "KEY_MISSING"),
        (&["status", "--server", "http://127.0.0.1:9"], 8, "SERVER_UNREACHABLE"),
    ];
    for (arguments, exit, reason) in cases {
        lockgate.run(arguments).refused(*exit, reason);
    }
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
}

#[test]
fn one_version_never_names_other_bytes() {
    let lockgate = Instance::pending();
    let entries = lockgate.entries();
    lockgate.push("1.4.2", "trivy.json").exits(0).says("was published already, the same").says("nothing new");
    let push = ["push", "junit.xml", "--service", "shop/web", "--version", "1.4.2"];
    lockgate.run(&push).refused(7, "RELEASE_EXISTS");
    assert_eq!(lockgate.entries(), entries);
}

/// Provenance binds by digest: signed or not, by whom ever, it is about its subjects and nothing else.
#[test]
fn provenance_of_another_artifact_is_refused() {
    let lockgate = Instance::pending();
    let key = AttestationKey::generate().unwrap();
    let statement = fs::read(lockgate.file("provenance-v1.json")).unwrap();
    let envelope = |payload_type: &str| Envelope::sign(payload_type, &statement, &key, &[]).unwrap().to_json();
    lockgate.write("other.dsse.json", envelope("application/vnd.in-toto+json"));
    lockgate.write("type.dsse.json", envelope("application/json"));
    let entries = lockgate.entries();
    let attest = |flag: &str, file: &str| lockgate.run(&["attest", "shop/web@1.4.2", flag, file]);
    attest("--provenance", "other.dsse.json").refused(3, "SUBJECT_MISMATCH");
    attest("--provenance", "type.dsse.json").refused(2, "PAYLOAD_TYPE");
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn approvals_that_do_not_fit_are_refused() {
    let lockgate = Instance::new();
    lockgate.policy("two", &[("gates/approvals.toml", "at_least = 1", "at_least = 2")]);
    lockgate.start(&["--demo", "--policy", "two"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5).says("P-6");
    let (sam, own) = (lockgate.token("sam"), lockgate.key("sam"));
    let post = |promotion: &str, token: &str, body: &Value| {
        lockgate.post(&format!("/v1/promotions/{promotion}/approvals"), Some(token), body)
    };
    let entries = lockgate.entries();

    // Made for P-6, handed in for P-3, and the other way round in the document.
    let good = approval(&lockgate, "P-6", "sam", &own, |_| ());
    post("P-3", &sam, &good).refused(403, "APPROVAL_TARGET");
    let other = approval(&lockgate, "P-3", "sam", &own, |document| document.environment = "staging".parse().unwrap());
    post("P-3", &sam, &other).refused(403, "APPROVAL_TARGET");
    let other =
        approval(&lockgate, "P-3", "sam", &own, |document| document.release = "shop/web@1.5.0".parse().unwrap());
    post("P-3", &sam, &other).refused(403, "APPROVAL_TARGET");
    let other = approval(&lockgate, "P-3", "sam", &own, |document| document.reason = "something harmless".to_owned());
    post("P-3", &sam, &other).refused(403, "APPROVAL_TARGET");
    let other = approval(&lockgate, "P-3", "sam", &own, |document| document.manifest = ZEROS.parse().unwrap());
    post("P-3", &sam, &other).refused(403, "APPROVAL_DIGEST");
    let other = approval(&lockgate, "P-3", "sam", &own, |document| document.policy = ZEROS.parse().unwrap());
    post("P-3", &sam, &other).refused(409, "APPROVAL_STALE");
    let other = approval(&lockgate, "P-3", "sam", &own, |document| {
        document.expires_at = document.expires_at.plus(lockgate_model::Span::from_secs(365 * 86_400));
    });
    post("P-3", &sam, &other).refused(403, "APPROVAL_EXPIRED");

    // By another's key, for another purpose, through another's session, without any session.
    let forged = approval(&lockgate, "P-6", "sam", &lockgate.key("dana"), |_| ());
    post("P-6", &sam, &forged).refused(403, "KEY_UNKNOWN");
    post("P-6", &sam, &for_another_purpose(&lockgate, "P-6", "sam", &own)).refused(403, "SIGNATURE_INVALID");
    post("P-6", &lockgate.token("dana"), &good).refused(403, "APPROVAL_TARGET");
    post("P-6", "not-a-token", &good).refused(401, "TOKEN_UNKNOWN");
    post("P-6", &sam, &json!({ "document": "{}", "signature": "" })).refused(400, "DOCUMENT_INVALID");
    assert_eq!(lockgate.entries(), entries, "something that was refused was written");

    // The very same approval counts once.
    let reply = post("P-6", &sam, &good);
    assert_eq!((reply.status, reply.json()["result"]["status"].clone()), (200, json!("pending")));
    let entries = lockgate.entries();
    post("P-6", &sam, &good).refused(409, "APPROVAL_REPLAYED");
    assert_eq!(lockgate.entries(), entries);
    assert_eq!(lockgate.status_of("P-3"), "pending");
}

#[test]
fn bad_requests_are_refused() {
    let lockgate = Instance::pending();
    let dana = lockgate.token("dana");
    let promote = |body: &[u8]| lockgate.http("POST", "/v1/promotions", Some(&dana), &[], body);
    let deep = "[".repeat(100_000);
    let cases: [(&[u8], u16, &str); 9] = [
        (b"", 400, "JSON_INVALID"),
        (b"{", 400, "JSON_INVALID"),
        (b"{}", 400, "JSON_FIELD"),
        (b"\xff\xfe{}", 400, "JSON_INVALID"),
        (deep.as_bytes(), 400, "JSON_TOO_DEEP"),
        (br#"{"release":"shop/web@1.4.2","release":"shop/web@1.4.3"}"#, 400, "DUPLICATE_KEY"),
        (br#"{"release":"shop/web@1.4.2","environment":"dev","reason":"x","force":true}"#, 400, "JSON_FIELD"),
        (br#"{"release":"shop/web@1.4.2","environment":"dev","reason":1.5}"#, 400, "JSON_NUMBER"),
        (br#"{"release":"../../etc@1.0.0","environment":"dev","reason":"x"}"#, 400, "JSON_FIELD"),
    ];
    let entries = lockgate.entries();
    for (body, status, code) in cases {
        promote(body).refused(status, code);
    }
    promote(&vec![b' '; 2 * 1024 * 1024]).refused(413, "TOO_LARGE");
    for digest in [ZEROS, SHOUTED] {
        let code = if digest == ZEROS { "DIGEST_MISMATCH" } else { "DIGEST_INVALID" };
        let ci = lockgate.token("ci");
        lockgate.http("PUT", "/v1/blobs", Some(&ci), &[("Lockgate-Digest", digest)], b"abc").refused(400, code);
    }
    assert_eq!(lockgate.entries(), entries);
    assert_eq!(lockgate.staged(), 0);
}

/// The command line refuses an empty artifact; so does the server, whoever asks.
#[test]
fn nothing_is_no_artifact() {
    let lockgate = Instance::demo();
    let ci = lockgate.token("ci");
    let entries = lockgate.entries();
    let stored = lockgate.http("PUT", "/v1/blobs", Some(&ci), &[], b"");
    let digest = lockgate_model::Digest::of(b"").to_string();
    let release = json!({
        "release": "shop/web@1.0.0",
        "artifacts": [{ "digest": digest, "name": "nothing", "size_bytes": 0 }],
    });
    let published = lockgate.post("/v1/releases", Some(&ci), &release);
    assert!(stored.status >= 400 || published.status >= 400, "{stored:?} {published:?}");
    assert_eq!(lockgate.entries(), entries);
}
