//! Passkeys: enrolled and used through the program, with a software passkey in the place of browser and device.

use std::fs;
use std::process::{Command, Stdio};

use lockgate_ledger::approval::NAMESPACE;
use lockgate_sign::passkey::SoftPasskey;

use crate::instance::{Instance, skipped};

/// What is made of a fresh passkey.
type Change = fn(SoftPasskey) -> SoftPasskey;

/// Nothing.
const AS_IT_IS: Change = |passkey| passkey;

/// Writes a software passkey for `http://localhost:7070`, and gives the name of its file.
fn passkey(lockgate: &Instance, name: &str, change: Change) -> String {
    let passkey = change(SoftPasskey::generate(&"http://localhost:7070".parse().unwrap()).unwrap());
    let file = format!("{name}{}", SoftPasskey::FILE_SUFFIX);
    lockgate.write(&file, passkey.to_json().unwrap());
    file
}

/// Changes a text in a file of the working directory.
fn edit(lockgate: &Instance, file: &str, from: &str, to: &str) {
    let before = fs::read_to_string(lockgate.file(file)).unwrap();
    assert_eq!(before.matches(from).count(), 1, "{from} in {before}");
    lockgate.write(file, before.replace(from, to));
}

fn add(key: &str) -> [&str; 7] {
    ["key", "add", "sam", "--key", key, "--as", "sam"]
}

fn approve(key: &str) -> [&str; 7] {
    ["approve", "P-3", "--as", "sam", "--key", key, "--yes"]
}

#[test]
fn a_passkey_approves_and_openssh_agrees() {
    let lockgate = Instance::pending();
    let key = passkey(&lockgate, "sam", AS_IT_IS);
    lockgate.run(&add(&key)).exits(0);
    lockgate.run(&approve(&key)).exits(0).says("it is granted");
    lockgate.verify("1.4.2", &[]).exits(0);
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    lockgate.run(&["bundle", "extract", "p3.lockgate", "--to", "parts"]).exits(0);

    if Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).stdout(Stdio::null()).status().is_err() {
        return skipped("a passkey's approval with ssh-keygen, which is not installed");
    }
    let parts = lockgate.file("parts");
    assert!(
        fs::read_to_string(parts.join("allowed_signers")).unwrap().contains(" sk-ecdsa-sha2-nistp256@openssh.com ")
    );
    let verifies = |person: &str, namespace: &str, document: &str| {
        Command::new("ssh-keygen")
            .args(["-Y", "verify", "-f", "allowed_signers", "-I", person, "-n", namespace])
            .args(["-s", "approvals/0.json.sig"])
            .current_dir(&parts)
            .stdin(fs::File::open(parts.join(document)).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    assert!(verifies("sam", NAMESPACE, "approvals/0.json"));
    assert!(!verifies("dana", NAMESPACE, "approvals/0.json"));
    assert!(!verifies("sam", "sign-in.v1@lockgate.dev", "approvals/0.json"));
    assert!(!verifies("sam", NAMESPACE, "trust.json"));
}

#[test]
fn a_passkey_used_wrongly_approves_nothing() {
    let lockgate = Instance::pending();
    let key = passkey(&lockgate, "sam", AS_IT_IS);
    lockgate.run(&add(&key)).exits(0);
    let good = fs::read_to_string(lockgate.file(&key)).unwrap();
    for (from, to, code) in [
        ("\"user_verified\": true", "\"user_verified\": false", "WEBAUTHN_UV"),
        ("\"http://localhost:7070\"", "\"https://evil.example\"", "WEBAUTHN_ORIGIN"),
    ] {
        edit(&lockgate, &key, from, to);
        lockgate.run(&approve(&key)).refused(3, code);
        lockgate.write(&key, &good);
    }
    assert_eq!(lockgate.status_of("P-3"), "pending");
    let unverified = passkey(&lockgate, "unverified", SoftPasskey::without_user_verification);
    lockgate.run(&add(&unverified)).refused(3, "WEBAUTHN_UV");
    lockgate.write("none.passkey.json", "{}");
    lockgate.run(&add("none.passkey.json")).refused(2, "KEY_INVALID");
    lockgate.run(&approve(&key)).exits(0).says("it is granted");
}

#[test]
fn the_policy_set_says_which_passkeys_count() {
    let check = |change: &str, outcomes: [(&str, Change); 3]| {
        let lockgate = Instance::new();
        lockgate.policy("own", &[("policy.toml", "user_verification = true", change)]);
        lockgate.start(&["--demo", "--policy", "own"]).exits(0);
        for (number, (code, change)) in outcomes.into_iter().enumerate() {
            let key = passkey(&lockgate, &format!("key{number}"), change);
            match code {
                "OK" => lockgate.run(&add(&key)).exits(0),
                code => lockgate.run(&add(&key)).refused(3, code),
            };
        }
    };
    let unverified: Change = SoftPasskey::without_user_verification;
    let synced: Change = SoftPasskey::synced;
    let both: Change = |passkey| passkey.synced().without_user_verification();
    check("user_verification = false", [("OK", unverified), ("OK", synced), ("WEBAUTHN_UV", both)]);
    check("synced = false", [("WEBAUTHN_UV", unverified), ("WEBAUTHN_SYNCED", synced), ("OK", AS_IT_IS)]);
    let elsewhere = "origins = [\"http://localhost\", \"https://lockgate.example\"]";
    check(elsewhere, [("WEBAUTHN_ORIGIN", AS_IT_IS), ("WEBAUTHN_ORIGIN", synced), ("WEBAUTHN_ORIGIN", both)]);
}
