//! The story of the first ten minutes, as the README tells it, and the same with two people of one's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::{Digest, EntryIndex};
use lockgate_tlog::proof::{hash_from_slice, verify_inclusion};
use serde_json::{Value, json};

use crate::instance::{Instance, Ran, artifact, artifact_name, text, until};

const PUSH: [&str; 12] = [
    "push",
    "app.tar.gz",
    "--service",
    "shop/web",
    "--version",
    "1.4.2",
    "--tests",
    "junit.xml",
    "--sbom",
    "sbom.cdx.json",
    "--scan",
    "trivy.json",
];
const PROMOTE: [&str; 6] = ["promote", "shop/web@1.4.2", "--to", "production", "--reason", "weekly release"];
const VERIFY: [&str; 6] = ["verify", "app.tar.gz", "--service", "shop/web", "--env", "production"];

#[test]
fn the_first_ten_minutes() {
    let lockgate = Instance::new();
    let app = artifact("1.4.2");
    lockgate.write("app.tar.gz", &app);
    let up = lockgate.start(&["--demo"]).exits(0).says("lockgate is up").says("dana").says("sam");
    assert!(up.stdout.contains(&lockgate.url()) && up.stdout.contains("lockgate push app.tar.gz"), "{up}");

    lockgate.run(&PUSH).exits(0).says("shop/web@1.4.2 is published").says(&Digest::of(&app).to_string());
    let promote = lockgate.run(&PROMOTE).exits(5).says("P-3 shop/web@1.4.2 into production: pending");
    for words in ["P-1 shop/web@1.4.2 into dev: granted", "P-2 shop/web@1.4.2 into staging: granted"] {
        assert!(promote.stdout.contains(words), "{promote}");
    }
    promote.says("1 approval by group approvers, not by who asked for it").says("sam (group approvers)");

    let why = lockgate.run(&["why", "P-3"]).exits(5);
    for gate in ["approvals", "tests", "sbom", "vulnerabilities", "certified", "version"] {
        assert!(why.stdout.lines().any(|line| line.split(' ').nth(2) == Some(gate)), "no gate {gate}: {why}");
    }
    why.says("12 passed, 0 failed").says("lockgate approve P-3");

    // Nothing is signed without a yes, and there is no terminal to give one on.
    lockgate.run(&["approve", "P-3", "--as", "sam"]).refused(2, "CONFIRMATION_NEEDED");
    let approve = lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0).says("P-3: it is granted");
    for shown in ["APPROVE P-3", "shop/web@1.4.2", "production", "weekly release", "dana", "sam"] {
        assert!(approve.stderr.contains(shown), "the signer is not shown `{shown}`: {approve}");
    }
    assert_eq!(code_words(&approve).len(), 6, "{approve}");

    lockgate.run(&VERIFY).exits(0).says("VERIFIED  app.tar.gz").says("sam signed with SHA256:");
    lockgate.write("app.tar.gz", [app.as_slice(), b"x"].concat());
    let tampered = lockgate.run(&VERIFY).refused(3, "DIGEST_NOT_GRANTED").says("NOT VERIFIED");
    assert!(!tampered.stdout.lines().any(|line| line.starts_with("VERIFIED")), "{tampered}");

    lockgate.run(&["audit"]).exits(0).says("is sound").says("as pinned in the trust file");
    lockgate.stop();
    lockgate.run(&["down"]).refused(6, "SERVER_UNKNOWN");
    lockgate.run(&["audit"]).exits(0).says("is sound");
}

fn code_words(ran: &Ran) -> Vec<&str> {
    let line = ran.stderr.lines().find_map(|line| line.trim().strip_prefix("code ")).unwrap_or_default();
    line.split_whitespace().collect()
}

#[test]
fn the_same_for_programs() {
    let lockgate = Instance::demo();
    lockgate.write("app.tar.gz", artifact("1.4.2"));
    let digest = Digest::of(&artifact("1.4.2")).to_string();

    let pushed = lockgate.json(&PUSH, 0);
    assert_eq!(pushed["result"]["release"], "shop/web@1.4.2");
    let kinds: Vec<String> = items(&pushed["result"]["evidence"]).iter().map(|row| text(&row["kind"])).collect();
    assert_eq!(kinds, ["tests", "sbom", "vulnerabilities"]);
    check_proof(&lockgate, &pushed["logged"]);

    let promoted = lockgate.json(&PROMOTE, 5);
    let row = |row: &Value| (text(&row["promotion"]), text(&row["environment"]), text(&row["status"]));
    let rows: Vec<(String, String, String)> = items(&promoted["promotions"]).iter().map(row).collect();
    let wanted = [("P-1", "dev", "granted"), ("P-2", "staging", "granted"), ("P-3", "production", "pending")];
    assert_eq!(
        rows,
        wanted.map(|(id, environment, status)| (id.to_owned(), environment.to_owned(), status.to_owned()))
    );
    assert_eq!(
        (&promoted["why"]["outcome"], &promoted["why"]["artifacts"][0]["digest"]),
        (&json!("pending"), &json!(digest))
    );
    check_proof(&lockgate, &promoted["logged"]);

    let approved = lockgate.json(&["approve", "P-3", "--as", "sam", "--yes"], 0);
    assert_eq!((&approved["result"]["status"], &approved["result"]["verdict"]), (&json!("granted"), &json!("approve")));
    check_proof(&lockgate, &approved["logged"]);

    let verified = lockgate.json(&VERIFY, 0);
    assert_eq!((&verified["verified"], &verified["offline"]), (&json!(true), &json!(false)));
    assert_eq!((&verified["promotion"], &verified["artifact"]), (&json!("P-3"), &json!(digest)));
    let refused = lockgate.json(&[&["verify", "junit.xml"][..], &VERIFY[2..]].concat(), 3);
    assert_eq!(refused["error"]["code"], "DIGEST_NOT_GRANTED");
    assert_eq!(refused["error"]["exit"], 3);
    assert_eq!((&refused["verified"], &refused["checks"]), (&json!(false), &json!([])));
    assert_eq!((&refused["service"], &refused["environment"]), (&json!("shop/web"), &json!("production")));
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    let refused = lockgate.json(&[&["verify", "junit.xml", "--bundle", "p3.lockgate"][..], &VERIFY[2..]].concat(), 3);
    assert_eq!((&refused["verified"], &refused["error"]["code"]), (&json!(false), &json!("DIGEST_NOT_GRANTED")));
    assert_eq!(refused["checks"][0]["name"], "checkpoint");
    assert!(text(&refused["artifact"]).starts_with("sha256:") && refused["artifact"] != json!(digest), "{refused}");

    let status = lockgate.json(&["status"], 0);
    assert_eq!(status["environments"], json!(["dev", "staging", "production"]));
    let running: Vec<&Value> = items(&status["services"][0]["running"]).iter().map(|cell| &cell["promotion"]).collect();
    assert_eq!(running, ["P-1", "P-2", "P-3"]);
    assert_eq!(items(&status["open"]).len(), 0);

    let audit = lockgate.json(&["audit"], 0);
    assert_eq!(
        (&audit["problems"], &audit["decisions_replayed"], &audit["pinned"]),
        (&json!([]), &json!(4), &json!(true))
    );
    let me = lockgate.json(&["whoami", "--as", "ci"], 0);
    assert_eq!(
        (&me["subject"], &me["permissions"]),
        (&json!("machine"), &json!(["read", "push", "attest", "request"]))
    );
}

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

/// What a reply says about its own entry is proven under the pinned log key.
#[track_caller]
fn check_proof(lockgate: &Instance, logged: &Value) {
    let (signed, _) = lockgate.trust().open_checkpoint(text(&logged["checkpoint"]).as_bytes()).unwrap();
    let hash = |hash: &Value| hash_from_slice(&STANDARD.decode(text(hash)).unwrap()).unwrap();
    let path: Vec<Digest> = items(&logged["proof"]).iter().map(hash).collect();
    let leaf: Digest = text(&logged["leaf"]).parse().unwrap();
    let index = EntryIndex(logged["index"].as_u64().unwrap());
    let root = signed.checkpoint.root;
    verify_inclusion(index, signed.checkpoint.size, &leaf, &path, &root).unwrap();
    let other = EntryIndex(index.0 ^ 1);
    assert!(verify_inclusion(other, signed.checkpoint.size, &leaf, &path, &root).is_err());
}

#[test]
fn two_people_in_twelve_commands() {
    let (alice, bob) = (Instance::new(), Instance::new());
    let count = std::cell::Cell::new(0);
    let run = |who: &Instance, arguments: &[&str]| {
        count.set(count.get() + 1);
        who.run(arguments)
    };
    alice.write("app.tar.gz", artifact("1.4.2"));
    run(&alice, &["key", "generate", "alice.key"]).exits(0);
    count.set(count.get() + 1);
    alice.start(&["--name", "alice", "--key", "alice.key"]).exits(0).says("owner      alice");
    let url = alice.url();

    // bob is on a machine of his own, and shares nothing with alice but the address and a file.
    run(&bob, &["key", "generate", "bob.key"]).exits(0);
    let enrol = ["key", "enrol", "bob", "--group", "approvers", "--key", "bob.key", "--file", "bob.json"];
    let enrol = run(&bob, &[&enrol[..], &["--server", &url]].concat()).exits(0);
    let request = bob.file("bob.json").display().to_string();
    let invite = run(&alice, &["invite", &request, "--yes"]).exits(0).says("bob is enrolled");
    assert_eq!(code_words(&invite), code_words(&enrol), "both compare the same words");
    assert_eq!(code_words(&invite).len(), 6, "{invite}");

    run(&alice, &PUSH).exits(0);
    run(&alice, &PROMOTE).exits(5).says("bob (group approvers)");
    // Without a pinned trust file, nothing that a server says is signed.
    bob.run(&["approve", "P-3", "--yes", "--server", &url]).refused(2, "TRUST_MISSING");
    alice.run(&["approve", "P-3", "--yes"]).refused(3, "SOD_SELF");
    run(&bob, &["trust", "pin", "--yes", "--server", &url]).exits(0);
    assert_eq!(bob.trust(), alice.trust());
    run(&bob, &["approve", "P-3", "--yes", "--server", &url]).exits(0).says("it is granted");

    run(&alice, &VERIFY).exits(0).says("bob signed with SHA256:");
    run(&alice, &["audit"]).exits(0);
    count.set(count.get() + 1);
    alice.stop();
    assert!(count.get() <= 12, "it took {} commands", count.get());
}

#[test]
fn a_restart_changes_nothing() {
    let lockgate = Instance::granted();
    let looks: [&[&str]; 4] = [&["status"], &["why", "P-3"], &["history", "--limit", "100"], &["key", "list"]];
    let look = || looks.map(|arguments| lockgate.json(arguments, 0));
    let token = lockgate.token("dana");
    let (before, entries) = (look(), lockgate.entries());
    for kill in [false, true] {
        match kill {
            true => lockgate.kill(),
            false => lockgate.stop(),
        }
        lockgate.run(&["status", "--as", "dana"]).refused(8, "SERVER_UNREACHABLE");
        // Whoever is there already is not enrolled again, whatever `up` is told.
        lockgate.start(&["--name", "zoe"]).exits(0);
        assert_eq!(look(), before, "killed: {kill}");
        assert_eq!(lockgate.entries(), entries);
        assert_eq!(lockgate.get("/v1/whoami", Some(&token)).status, 200, "a session outlives a restart");
        lockgate.verify("1.4.2", &[]).exits(0);
    }
    lockgate.run(&["up", "--detach", "--listen", "127.0.0.1:0"]).refused(7, "SERVER_RUNNING");
}

#[test]
fn the_demo_tells_itself() {
    let lockgate = Instance::new();
    lockgate.run(&["demo"]).exits(0).says("Every step came out as told.");
    let left = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("lockgate-demo-");
    let work = lockgate.file("");
    assert!(!std::fs::read_dir(work).unwrap().any(|entry| left(entry.unwrap())), "the demo leaves its directory");
    assert!(!lockgate.home().exists(), "the demo touches the home");
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    let lockgate = Instance::new();
    let silent = std::process::Stdio::null;
    let mut demo = lockgate.command().arg("demo").stdout(silent()).stderr(silent()).spawn().unwrap();
    let directory = || {
        let mut entries = std::fs::read_dir(lockgate.file("")).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.to_string_lossy().contains("lockgate-demo-"))
    };
    let server = || -> Option<String> {
        let running: Value =
            serde_json::from_slice(&std::fs::read(directory()?.join("home/server.json")).ok()?).ok()?;
        Some(text(&running["url"]).trim_start_matches("http://").to_owned())
    };
    until("the demo's server runs", || server().is_some());
    let address = server().unwrap();
    let ended = std::process::Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    assert_eq!(directory(), None, "the directory of a demo holds private keys");
    assert!(std::net::TcpStream::connect(&address).is_err(), "its server runs on at {address}");
}

#[test]
fn the_small_commands_work() {
    let lockgate = Instance::granted();
    lockgate.run(&["doctor"]).exits(0).says("sign-in").says("server");
    lockgate.run(&["explain", "SOD_SELF"]).exits(0).says("SOD_SELF");
    lockgate.run(&["explain", "NO_SUCH_CODE"]).refused(6, "REASON_UNKNOWN");
    let codes = lockgate.run(&["explain", "exit-codes"]).exits(0);
    let shown: Vec<&str> = codes.stdout.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(shown, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "70"]);
    lockgate.run(&["completions", "bash"]).exits(0).says("_lockgate");
    lockgate.run(&["metrics", "--since", "0d"]).refused(2, "QUERY_INVALID").says("1s at least");
    lockgate.run(&["audit", "export", "--format", "csv"]).exits(0).says("answers to a control");
    lockgate.run(&["man", "man"]).exits(0);
    assert!(lockgate.file("man/lockgate.1").exists());
    lockgate.run(&["policy", "show"]).exits(0).says("approvers");
    lockgate.run(&["key", "list"]).exits(0).says("machine");
    let bundle = ["bundle", "get", "P-3", "--file", "-"];
    assert_eq!(lockgate.run(&bundle).exits(0).json()["promotion"], "P-3");
    lockgate.run(&["logout", "--as", "dana"]).exits(0);
    lockgate.run(&["login", "sam"]).exits(0);
    lockgate.run(&["whoami"]).exits(0).says("sam at http://127.0.0.1:");
    let own = artifact_name("1.4.2");
    lockgate.run(&["init", "."]).refused(7, "DIRECTORY_NOT_EMPTY").says("name a directory that is empty");
    assert!(lockgate.file(&own).exists());
}
