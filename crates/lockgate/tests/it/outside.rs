//! Other people's tools, unmodified, on what `bundle extract` writes.
//!
//! OpenSSH verifies the approval; a Python script that shares no code with Lockgate verifies the checkpoint and the
//! inclusion proofs; the Sigstore project's own verifier verifies the attestations. Each also refuses a changed byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::approval::NAMESPACE;
use serde_json::Value;

use crate::instance::{Instance, skipped, text, variable};

/// An instance with the parts of `P-3`'s bundle in `parts`.
fn extracted() -> (Instance, PathBuf) {
    let lockgate = Instance::granted();
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    lockgate.run(&["bundle", "extract", "p3.lockgate", "--to", "parts"]).exits(0).says("VERIFY.md");
    let parts = lockgate.file("parts");
    (lockgate, parts)
}

/// What lies beside the tests of other people's tools.
pub fn outside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/outside").join(path)
}

fn flipped(path: &Path, at: usize) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    bytes
}

#[test]
fn openssh_verifies_an_approval() {
    if Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).stdout(Stdio::null()).status().is_err() {
        return skipped("approvals with ssh-keygen, which is not installed");
    }
    let (_lockgate, parts) = extracted();
    let verify = |person: &str, namespace: &str, document: &Path| {
        let output = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-f", "allowed_signers", "-I", person, "-n", namespace])
            .args(["-s", "approvals/0.json.sig"])
            .current_dir(&parts)
            .stdin(fs::File::open(document).unwrap())
            .output()
            .unwrap();
        output.status.success()
    };
    let document = parts.join("approvals/0.json");
    assert!(verify("sam", NAMESPACE, &document));
    assert!(!verify("dana", NAMESPACE, &document), "another person's signature");
    assert!(!verify("sam", "sign-in.v1@lockgate.dev", &document), "a signature for another purpose");
    let changed = parts.join("changed.json");
    let middle = fs::read(&document).unwrap().len() / 2;
    fs::write(&changed, flipped(&document, middle)).unwrap();
    assert!(!verify("sam", NAMESPACE, &changed), "a changed document");
}

#[test]
fn a_stranger_in_python_verifies_the_log() {
    let python = variable("LOCKGATE_PYTHON").unwrap_or_else(|| "python3".to_owned());
    let module = Command::new(&python).args(["-c", "import cryptography"]).stderr(Stdio::null()).status();
    if !module.is_ok_and(|status| status.success()) {
        return skipped("the log with Python, which has no module `cryptography` here");
    }
    let (lockgate, parts) = extracted();
    let policy = fs::read_to_string(parts.join("tlog-policy")).unwrap();
    let vkey = policy.lines().find_map(|line| line.strip_prefix("log ")?.split(' ').next()).unwrap();
    let script = |command: &str, files: &[&Path]| {
        let status = Command::new(&python)
            .arg(outside("verify.py"))
            .args([command, "--vkey", vkey])
            .args(files)
            .current_dir(&parts)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        status.code().unwrap()
    };
    let checkpoint = parts.join("checkpoint");
    assert_eq!(script("checkpoint", &[&checkpoint]), 0);
    let changed = parts.join("changed");
    for at in [3, 70, fs::read(&checkpoint).unwrap().len() - 10] {
        fs::write(&changed, flipped(&checkpoint, at)).unwrap();
        assert_eq!(script("checkpoint", &[&changed]), 1, "byte {at} of the checkpoint");
    }

    let mut proofs = 0;
    for entry in fs::read_dir(parts.join("entries")).unwrap() {
        let leaf = entry.unwrap().path();
        if leaf.extension().is_some_and(|extension| extension == "json") {
            let proof = leaf.with_extension("tlog-proof");
            assert_eq!(script("proof", &[Path::new("--leaf"), &leaf, &proof]), 0, "{}", leaf.display());
            proofs += 1;
        }
    }
    assert!(proofs > 10, "{proofs} entries");
    let (leaf, proof) = (parts.join("entries/0.json"), parts.join("entries/0.tlog-proof"));
    fs::write(&changed, flipped(&leaf, 40)).unwrap();
    assert_eq!(script("proof", &[Path::new("--leaf"), &changed, &proof]), 1, "a changed entry");
    let other = parts.join("entries/1.tlog-proof");
    assert_eq!(script("proof", &[Path::new("--leaf"), &leaf, &other]), 1, "the proof of another entry");

    // And the ledger that is there now continues the one of the bundle.
    lockgate.push("1.5.0", "trivy.json").exits(0);
    let size = fs::read_to_string(&checkpoint).unwrap().lines().nth(1).unwrap().to_owned();
    let reply = lockgate.get(&format!("/v1/consistency?from={size}"), None).json();
    let (new, path) = (parts.join("new"), parts.join("path.json"));
    fs::write(&new, text(&reply["checkpoint"])).unwrap();
    fs::write(&path, reply["proof"].to_string()).unwrap();
    assert_eq!(script("consistency", &[&checkpoint, &new, &path]), 0);
    assert_eq!(script("consistency", &[&new, &checkpoint, &path]), 1, "a ledger that shrinks");
}

#[test]
fn sigstore_verifies_the_attestations() {
    let folder = outside("sigstore");
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !folder.join("node_modules").is_dir() || node.is_err() {
        return skipped("attestations with Sigstore's verifier: `npm ci` was not run in tests/outside/sigstore");
    }
    let (_lockgate, parts) = extracted();
    let verify = |bundle: &str| {
        let output = Command::new("node")
            .arg(folder.join("verify.mjs"))
            .args([bundle, "trusted_root.json", "lockgate.pub"])
            .current_dir(&parts)
            .output()
            .unwrap();
        output.status.code().unwrap()
    };
    for name in ["vsa", "promotion"] {
        let bundle = format!("{name}.sigstore.json");
        assert_eq!(verify(&bundle), 0, "{name}");
        for pointer in CHANGES {
            let mut document: Value = serde_json::from_slice(&fs::read(parts.join(&bundle)).unwrap()).unwrap();
            let place = document.pointer_mut(pointer).unwrap_or_else(|| panic!("{name} has no {pointer}"));
            let mut bytes = STANDARD.decode(text(place)).unwrap();
            bytes[8] ^= 1;
            *place = STANDARD.encode(bytes).into();
            fs::write(parts.join("changed.json"), document.to_string()).unwrap();
            assert_eq!(verify("changed.json"), 1, "{name}: a changed byte at {pointer}");
        }
    }
}

/// Where a byte is changed: a proof hash, what was logged, the signed payload, and its signature.
const CHANGES: [&str; 4] = [
    "/verificationMaterial/tlogEntries/0/inclusionProof/hashes/0",
    "/verificationMaterial/tlogEntries/0/canonicalizedBody",
    "/dsseEnvelope/payload",
    "/dsseEnvelope/signatures/0/sig",
];
