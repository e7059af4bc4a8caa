//! Input that has to be refused: each with its exit code and its reason, and with nothing written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use lockgate_sign::AttestationKey;
use lockgate_sign::dsse::Envelope;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::{Value, json};

use crate::consent::{approval, for_another_purpose};
use crate::instance::{Instance, copy_dir};

const PUSH: [&str; 6] = ["push", "app.tar.gz", "--service", "shop/api", "--version", "1.0.0"];
/// A request that is right but for its environment.
const WAIVE: [&str; 12] = [
    "waive",
    "request",
    "--gate",
    "vulnerabilities",
    "--finding",
    "CVE-2026-1",
    "--release",
    "shop/web@1.4.2",
    "--env",
    "moon",
    "--reason",
    "x",
];
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
        (&["--digest", ZEROS], 3, "DIGEST_MISMATCH"),
    ];
    let entries = lockgate.entries();
    for (evidence, exit, reason) in cases {
        lockgate.run(&[&PUSH[..], *evidence].concat()).refused(*exit, reason);
    }
    // Of several files it is said which one is meant.
    let named: [(&[&str], &str, &str); 4] = [
        (&["--tests", "junit.xml", "--sbom", "cut-sbom.json"], "JSON_INVALID", "cut-sbom.json: "),
        (&["--scan", "trivy.json", "--sbom", "junit.xml"], "EVIDENCE_KIND", "junit.xml: "),
        (&["--tests", "junit.xml", "--report", "app.tar.gz"], "EVIDENCE_UNKNOWN", "app.tar.gz: "),
        (&["--sbom", "sbom.cdx.json", "--provenance", "provenance-v1.json"], "UNSIGNED", "provenance-v1.json: "),
    ];
    for (evidence, reason, words) in named {
        lockgate.run(&[&PUSH[..], evidence].concat()).refused(2, reason).says(words);
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
        (&["delegate", "add", "dana", "--env", "moon", "--reason", "x", "-y", "--as", "sam"], 6, "ENVIRONMENT_UNKNOWN"),
        (&WAIVE, 6, "ENVIRONMENT_UNKNOWN"),
        (&["key", "generate", "junit.xml"], 7, "FILE_EXISTS"),
        (&["whoami", "--as", "nobody"], 2, "KEY_MISSING"),
        (&["status", "--server", "http://127.0.0.1:9"], 8, "SERVER_UNREACHABLE"),
    ];
    for (arguments, exit, reason) in cases {
        lockgate.run(arguments).refused(*exit, reason);
    }
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
}

/// What has ended does not end again.
#[test]
fn a_key_ends_once() {
    let lockgate = Instance::demo();
    lockgate.run(&["key", "generate", "second"]).exits(0);
    lockgate.run(&["key", "add", "dana", "--key", "second", "--as", "dana"]).exits(0);
    let key = FileSigner::load(&lockgate.file("second")).unwrap().public_key().fingerprint();
    let retire = ["key", "retire", "dana", "--fingerprint", &key, "--reason", "x", "--yes", "--as", "sam"];
    lockgate.run(&retire).exits(0);
    let entries = lockgate.entries();
    lockgate.run(&retire).refused(3, "KEY_REVOKED").says("has ended already");
    assert_eq!(lockgate.entries(), entries);
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

/// Who works with somebody else's ledger keeps what they pinned, and is not told to begin another one.
#[test]
fn no_ledger_begins_where_another_one_is_worked_with() {
    let (alice, bob) = (Instance::demo(), Instance::new());
    let url = alice.url();
    bob.run(&["key", "generate", "bob.key"]).exits(0);
    bob.run(&["key", "enrol", "bob", "--group", "approvers", "--key", "bob.key", "--server", &url]).exits(0);
    let own: [&str; 4] = ["--name", "bob", "--key", "bob.key"];
    bob.start(&own).refused(7, "HOME_TAKEN").says(&url);
    bob.run(&["trust", "pin", "--yes"]).exits(0);
    let files = || ["context.toml", "trust.json"].map(|name| fs::read(bob.home().join(name)).unwrap());
    let before = files();
    alice.stop();
    let down = bob.run(&["status"]).refused(8, "SERVER_UNREACHABLE").says("ask who runs it").says("--bundle FILE");
    assert!(!down.stderr.contains("lockgate up"), "{down}");
    alice.run(&["status"]).refused(8, "SERVER_UNREACHABLE").says("`lockgate up` starts it again");
    for arguments in [&own[..], &["--demo"]] {
        bob.start(arguments).refused(7, "HOME_TAKEN").says("lockgate --home DIR up");
    }
    assert!(files() == before, "what was pinned is pinned");
    assert!(["keys", "data"].iter().all(|name| !bob.home().join(name).exists()), "nothing was begun");
}

#[test]
fn another_ledger_is_pinned_by_name_alone() {
    let (alice, other, bob) = (Instance::demo(), Instance::demo(), Instance::new());
    let pin = |of: &Instance, more: &[&str]| {
        let url = of.url();
        bob.run(&[&["trust", "pin", "--yes", "--server", &url][..], more].concat())
    };
    let origin = |of: &Instance| of.trust().policy().unwrap().logs()[0].vkey.name().to_owned();
    for _ in 0..2 {
        pin(&alice, &[]).exits(0);
    }
    let refused = pin(&other, &[]).refused(3, "TRUST_PINNED").says("--replace");
    refused.says(&origin(&alice)).says(&origin(&other));
    assert_eq!(bob.trust(), alice.trust());
    pin(&other, &["--replace"]).exits(0).says(&origin(&alice));
    assert_eq!(bob.trust(), other.trust());
}

/// A pin that anybody may change pins nothing: that is told when it is made, and by `doctor` with the way out.
#[test]
fn a_pin_in_a_home_that_anybody_may_change_is_told() {
    let (alice, bob) = (Instance::demo(), Instance::new());
    let url = alice.url();
    let pin = || bob.run(&["trust", "pin", "--yes", "--server", &url]).exits(0);
    let open = |mode: u32| fs::set_permissions(bob.home(), Permissions::from_mode(mode)).unwrap();
    fs::create_dir(bob.home()).unwrap();
    open(0o755);
    let quiet = pin();
    assert!(!quiet.stderr.contains("note: "), "{quiet}");
    open(0o777);
    let fix = format!("chmod o-w {}", bob.home().display());
    pin().says("nothing believes this file").says(&fix);
    let doctor = bob.run(&["doctor"]).refused(1, "DOCTOR_FAILED").says("TRUST_WRITABLE").says(&fix);
    assert!(!doctor.stdout.contains("lockgate trust pin"), "{doctor}");
    open(0o755);
    bob.run(&["doctor"]).exits(0);
    fs::write(bob.home().join("trust.json"), "{}").unwrap();
    bob.run(&["doctor"]).refused(1, "DOCTOR_FAILED").says("TRUST_INVALID");
}

/// A ledger is begun once: whatever can be known to be wrong is refused while there is none.
#[test]
fn what_up_refuses_leaves_no_ledger_behind() {
    let lockgate = Instance::new();
    lockgate.run(&["key", "generate", "own.key"]).exits(0);
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let held = (held.local_addr().unwrap().to_string(), held);
    let own: [&str; 4] = ["--name", "alice", "--key", "own.key"];
    let cases: &[(&[&str], &[&str], i32, &str)] = &[
        (&[], &[], 2, "NAME_INVALID"),
        (&["--name", "alice"], &[], 2, "KEY_MISSING"),
        (&["--name", "alice", "--key", "absent"], &[], 2, "KEY_INVALID"),
        (&own, &["--policy", "nowhere"], 6, "POLICY_MISSING"),
        (&own, &["--policy", "regulated"], 4, "MFA_REQUIRED"),
        (&own, &["--policy", "high-assurance"], 4, "MFA_REQUIRED"),
        (&own, &["--listen", "nowhere"], 2, "ADDRESS_INVALID"),
        (&own, &["--listen", &held.0], 7, "PORT_TAKEN"),
        (&["--demo"], &["--listen", &held.0], 7, "PORT_TAKEN"),
    ];
    for (who, how, exit, reason) in cases {
        lockgate.run(&[&["up", "--detach"][..], *who, *how].concat()).refused(*exit, reason);
        assert!(!lockgate.home().exists(), "{reason}: something was written");
    }
    lockgate.run(&["up", "--detach"]).refused(2, "NAME_INVALID").says("no user name is known here").says("--name NAME");
    // The next one begins what it names, and says who owns it.
    let up = lockgate.start(&[&own[..], &["--policy", "minimal"]].concat()).exits(0);
    up.says("owner      alice").says("on this machine alone");
    lockgate.run(&["policy", "show"]).exits(0).says("minimal");
    lockgate.stop();
    lockgate.start(&["--demo"]).refused(7, "LEDGER_EXISTS");
    let up = lockgate.start(&["--name", "zoe", "--policy", "strict"]).exits(0);
    let up = up.says("owner      alice").says("ignored: --policy, --name");
    assert!(!up.stdout.contains("zoe") && !up.stdout.contains("dana"), "{up}");
}

#[test]
fn a_demo_tells_its_own_people_whatever_it_is_told() {
    let lockgate = Instance::demo();
    lockgate.stop();
    let up = lockgate.start(&["--name", "alice"]).exits(0).says("dana (developer)");
    assert!(!up.stdout.contains("owner      "), "{up}");
}

#[test]
fn doctor_fails_without_its_server_and_looks_at_the_data() {
    let lockgate = Instance::demo();
    let well = lockgate.run(&["doctor"]).exits(0);
    assert!(!well.stdout.contains("not looked at"), "{well}");
    lockgate.stop();
    let down = lockgate.run(&["doctor"]).refused(8, "DOCTOR_FAILED").says("not looked at: no server");
    let is_row = |line: &str, state: &str, name: &str| {
        let mut words = line.split_whitespace();
        (words.next(), words.next()) == (Some(state), Some(name))
    };
    let rows = |ran: &crate::instance::Ran, state: &str, name: &str| {
        assert!(ran.stdout.lines().any(|line| is_row(line, state, name)), "{state} {name}: {ran}");
    };
    rows(&down, "ok", "store");
    let down = down.says("not verified, which `lockgate audit` does").says("`lockgate up` starts it again");
    rows(&down, "FAIL", "server");
    assert!(!down.stdout.contains("lockgate login"), "{down}");
    lockgate.tampered();
    fs::write(lockgate.home().join("data/ledger.db"), vec![b'x'; 64 * 1024]).unwrap();
    let damaged = lockgate.run(&["doctor"]).refused(9, "DOCTOR_FAILED").says("STORE_CORRUPT");
    rows(&damaged, "FAIL", "store");
    assert!(!damaged.stdout.contains("starts it again"), "{damaged}");
    fs::remove_dir_all(lockgate.home().join("data")).unwrap();
    lockgate.run(&["doctor"]).refused(9, "DOCTOR_FAILED").says("LEDGER_MISSING");
}

/// What a verification will refuse tomorrow, `doctor` tells today.
#[test]
fn doctor_reads_what_was_seen_and_verified() {
    let lockgate = Instance::granted();
    lockgate.verify("1.4.2", &[]).exits(0);
    lockgate.run(&["doctor"]).exits(0).says("memory").says("what was verified of 1 ledger(s)");
    for (directory, code) in [("known", "KNOWN_INVALID"), ("checkpoints", "CHECKPOINT_INVALID")] {
        let file = fs::read_dir(lockgate.home().join(directory)).unwrap().next().unwrap().unwrap().path();
        let kept = fs::read(&file).unwrap();
        fs::write(&file, "x").unwrap();
        let doctor = lockgate.run(&["doctor"]);
        assert!(doctor.code != 0, "{doctor}");
        doctor.says("DOCTOR_FAILED").says(code).says("compare the ledger's checkpoint over another channel");
        fs::write(&file, kept).unwrap();
    }
    lockgate.run(&["doctor"]).exits(0);
}

/// Nothing of another ledger's server could be compared with what was seen here.
#[test]
fn doctor_says_where_the_server_has_no_pinned_log() {
    let (lockgate, other) = (Instance::demo(), Instance::demo());
    lockgate.run(&["doctor", "--server", &other.url()]).says("LOG_KEY_UNKNOWN").says("of the pinned ledger");
}

/// Whoever copies a home in use does not come by its server, nor begin a second one with its keys.
#[test]
fn a_copy_of_a_home_leaves_the_server_of_the_other_alone() {
    let lockgate = Instance::demo();
    let original = fs::canonicalize(lockgate.home()).unwrap();
    let copy = lockgate.file("copy");
    copy_dir(lockgate.home(), &copy);
    for command in [&["up", "--detach", "--listen", "127.0.0.1:0"][..], &["down"]] {
        let ran = lockgate.run(&[&["--home", copy.to_str().unwrap()][..], command].concat());
        ran.refused(7, "HOME_COPIED").says(&format!("is a copy of {}", original.display()));
    }
    lockgate.run(&["status"]).exits(0);
}

#[test]
fn what_is_missing_first_is_said_first() {
    let fresh = Instance::new();
    for arguments in [&["status"][..], &["whoami"], &["inbox"], &["policy", "show"]] {
        fresh.run(arguments).refused(2, "SERVER_UNKNOWN").says("lockgate login --server URL NAME");
    }
    fresh.run(&["doctor"]).exits(0).says("no server is known here").says("not looked at: no server");
    let lockgate = Instance::pending();
    let unknown = lockgate.run(&["whoami", "--as", "smith"]).refused(2, "KEY_MISSING");
    unknown.says("`smith` is not known here").says("ci, dana, sam");
    lockgate.run(&["reject", "P-3", "--as", "sam", "--yes", "--comment", "not on a Friday"]).exits(0);
    lockgate.run(&["why", "P-3"]).exits(3).says("rejected by sam: not on a Friday");
}
