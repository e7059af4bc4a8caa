//! What people do with a policy set before it is active: check, test, compare, explain, and judge it on the history.

use std::fs;
use std::path::PathBuf;

use lockgate_ledger::entry::PolicyActivated;
use lockgate_ledger::governance::POLICY_NAMESPACE;
use lockgate_model::{Digest, EntryIndex, canonical};
use lockgate_policy::PolicySet;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::{Value, json};

use crate::instance::{Instance, text};

const QUORUM: &str = "[governance]\nquorum = 2\n";
const STRICTER: (&str, &str, &str) = ("gates/approvals.toml", "at_least = 1", "at_least = 2");
/// A gate that nothing meets, and that does not block yet.
const ANNOUNCED: &str = "[[gate]]\nname = \"announced\"\nkind = \"tests\"\nenvironments = [\"production\"]\n\
                         min_passed = 1000\nenforce_from = \"2099-01-01\"\n";
const SHORTER: (&str, &str, &str) = ("policy.toml", "approval_ttl = \"72h\"", "approval_ttl = \"24h\"");

/// A gate that never applies.
const UNREACHABLE: &str =
    "[[gate]]\nname = \"extra\"\nkind = \"release-notes\"\nenvironments = [\"production\"]\nservices = [\"Shop/*\"]\n";

#[test]
fn tests_cover_gates_on_both_sides_or_say_which_not() {
    let lockgate = Instance::new();
    lockgate.run(&["init", "set"]).exits(0);
    lockgate.run(&["policy", "test", "set", "--min-coverage", "0"]).exits(0).says("of the gates' sides are covered");
    lockgate.write("set/gates/extra.toml", UNREACHABLE);
    lockgate.run(&["policy", "test", "set"]).exits(0);
    let low = lockgate.run(&["policy", "test", "set", "--min-coverage", "100"]);
    low.refused(1, "POLICY_COVERAGE_LOW").says("never");
    let shown = lockgate.json(&["policy", "test", "set"], 0);
    let gates = shown["coverage"]["gates"].as_array().unwrap();
    let extra = gates.iter().find(|gate| gate["gate"] == "extra").unwrap();
    assert_eq!(extra["passes"].as_array().map(Vec::len), Some(0), "{extra}");
    assert!(shown["coverage"]["percent"].as_u64().unwrap() < 100, "{shown}");
    lockgate.run(&["policy", "test", "set", "--min-coverage", "101"]).exits(2);
}

/// What looks like a part of a policy set is one, or is refused: a gate that is left out would stop nobody.
#[test]
fn no_part_of_a_policy_set_is_left_out() {
    let lockgate = Instance::new();
    lockgate.run(&["init", "set"]).exits(0);
    let check = || lockgate.json(&["policy", "check", "set"], 0)["digest"].clone();
    let before = check();
    lockgate.write("extra.toml", UNREACHABLE);
    let extra = lockgate.file("set/gates/extra.toml");
    std::os::unix::fs::symlink(lockgate.file("extra.toml"), &extra).unwrap();
    let linked = check();
    assert_ne!(linked, before);
    fs::remove_file(&extra).unwrap();
    lockgate.write("set/gates/extra.toml", UNREACHABLE);
    assert_eq!(check(), linked);
    fs::remove_file(&extra).unwrap();
    let refused = |told: &str| lockgate.run(&["policy", "check", "set"]).refused(2, "POLICY_INVALID").says(told);
    fs::create_dir(&extra).unwrap();
    refused("folder within a folder");
    fs::remove_dir(&extra).unwrap();
    lockgate.write("set/gates/extra.TOML", UNREACHABLE);
    refused("capitals");
    fs::remove_file(lockgate.file("set/gates/extra.TOML")).unwrap();
    std::os::unix::fs::symlink(lockgate.file("nowhere"), &extra).unwrap();
    lockgate.run(&["policy", "check", "set"]).refused(6, "FILE_FAILED");
    fs::remove_file(&extra).unwrap();
    assert_eq!(check(), before);
}

#[test]
fn explanations_are_kept_and_compared() {
    let lockgate = Instance::new();
    lockgate.run(&["init", "set"]).exits(0);
    lockgate.run(&["policy", "test", "set", "--update"]).exits(0).says("wrote");
    lockgate.run(&["policy", "test", "set"]).exits(0);
    let kept: Vec<PathBuf> = fs::read_dir(lockgate.file("set/tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".explain.txt"))
        .collect();
    let first = kept.first().unwrap();
    let before = fs::read_to_string(first).unwrap();
    fs::write(first, before.replace("needed", "wanted")).unwrap();
    let differs = lockgate.run(&["policy", "test", "set"]);
    differs.refused(3, "POLICY_SNAPSHOT_DIFFERS").says("wanted").says("needed");
    lockgate.run(&["policy", "test", "set", "--update"]).exits(0);
    assert_eq!(fs::read_to_string(first).unwrap(), before);
}

#[test]
fn what_is_probably_not_meant_is_told_and_strict_refuses_it() {
    let lockgate = Instance::new();
    lockgate.run(&["init", "set"]).exits(0);
    lockgate.run(&["policy", "check", "set", "--strict"]).exits(0);
    lockgate.write("set/gates/extra.toml", UNREACHABLE);
    lockgate.run(&["policy", "check", "set"]).exits(0).says("gates/extra.toml:1").says("LINT_GATE_UNREACHABLE");
    lockgate.run(&["policy", "check", "set", "--strict"]).refused(1, "POLICY_DOUBTFUL");
    let shown = lockgate.json(&["policy", "check", "set"], 0);
    let lints = shown["lints"].as_array().unwrap();
    let lint = lints.iter().find(|lint| lint["code"] == "LINT_GATE_UNREACHABLE").unwrap();
    assert_eq!(
        (text(&lint["level"]), text(&lint["file"]), lint["line"].as_u64()),
        ("warning".to_owned(), "gates/extra.toml".to_owned(), Some(1))
    );
    lockgate.run(&["explain", "LINT_GATE_UNREACHABLE"]).exits(0);
    // A mistyped field is refused, with the one that was probably meant.
    lockgate.write("set/gates/extra.toml", UNREACHABLE.replace("services", "servises"));
    lockgate.run(&["policy", "check", "set"]).refused(2, "POLICY_INVALID").says("did you mean `services`?");
}

#[test]
fn two_sets_are_compared_by_meaning() {
    let lockgate = Instance::demo();
    lockgate.policy("second", &[SHORTER]);
    let differs = "approval_ttl: \"72h\" -> \"24h\"";
    lockgate.run(&["policy", "diff", "starter", "second"]).exits(0).says(differs);
    lockgate.run(&["policy", "diff", "active", "second"]).exits(0).says(differs);
    let active = text(&lockgate.get("/v1/server", None).json()["policy"]);
    lockgate.run(&["policy", "diff", &active, "second"]).exits(0).says(differs);
    let shown = lockgate.json(&["policy", "diff", "active", "second"], 0);
    assert_eq!((text(&shown["from"]), shown["gates"].as_array().map(Vec::len)), (active, Some(0)));
    assert!(!shown["tests"].as_array().unwrap().is_empty(), "{shown}");
    lockgate.run(&["policy", "diff", "active", "starter"]).exits(0).says("the same policy set");
    lockgate.run(&["policy", "diff", "active", "nowhere"]).refused(6, "POLICY_UNKNOWN");
    let unknown = format!("sha256:{}", "0".repeat(64));
    lockgate.run(&["policy", "diff", &unknown, "active"]).refused(6, "POLICY_UNKNOWN");
}

#[test]
fn a_promotion_is_explained_as_a_tree() {
    let lockgate = Instance::pending();
    let shown = lockgate.run(&["policy", "explain", "P-3"]).exits(5);
    let shown = shown.says("waits for (1)").says("satisfied (").says("├─ needed");
    assert!(shown.stdout.contains("approvals"), "{shown}");
    let narrow = lockgate.run(&["policy", "explain", "P-3", "--width", "60"]).exits(5);
    assert!(narrow.stdout.lines().count() > shown.stdout.lines().count(), "{narrow}");
    let json = lockgate.json(&["policy", "explain", "P-3"], 5);
    assert_eq!(text(&json["groups"][0]["outcome"]), "pending");
    lockgate.run(&["policy", "explain", "P-99"]).refused(6, "PROMOTION_UNKNOWN");
}

#[test]
fn the_history_is_decided_again() {
    let lockgate = Instance::granted();
    // The active set decides as it did.
    lockgate.run(&["init", "same"]).exits(0);
    let same = lockgate.json(&["policy", "backtest", "same"], 0);
    let report = &same["report"];
    assert_eq!(report["base"], report["proposed"]);
    assert_eq!(
        (report["decisions"].as_u64(), report["flips"].as_array().map(Vec::len)),
        (report["unchanged"].as_u64(), Some(0))
    );
    assert!(report["decisions"].as_u64().unwrap() >= 4, "{report}");
    // One that takes two approvals would not have let it in.
    lockgate.policy("stricter", &[STRICTER]);
    let ran = lockgate.run(&["policy", "backtest", "stricter", "--report", "report.json"]).exits(0);
    let ran = ran.says("allow -> pending").says("approvals: pass -> pending");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(lockgate.file("report.json")).unwrap()).unwrap();
    assert_eq!(report["totals"]["allow to pending"].as_u64(), Some(1), "{ran}");
    // From an entry on, and from a moment on.
    let entries = lockgate.entries().to_string();
    let beyond = lockgate.run(&["policy", "backtest", "stricter", "--since", &entries, "--report", "none.json"]);
    beyond.refused(2, "BACKTEST_EMPTY");
    assert!(!lockgate.file("none.json").exists(), "nothing was looked at, and nothing is written");
    let all = lockgate.json(&["policy", "backtest", "stricter", "--since", "30d"], 0);
    assert_eq!(all["report"]["decisions"], report["decisions"]);
    lockgate.run(&["policy", "backtest", "stricter", "--since", "yesterday"]).exits(2);
    // An environment that is gone is told as such.
    lockgate.stop();
    let data = lockgate.home().join("data");
    let offline = lockgate.json(&["policy", "backtest", "stricter", "--data", &data.to_string_lossy()], 0);
    assert_eq!(offline["report"], report);
}

#[test]
fn a_policy_set_can_demand_a_backtest_of_the_next_one() {
    let lockgate = Instance::granted();
    let demanded = format!("{QUORUM}backtest = true\n");
    lockgate.policy("demanding", &[("policy.toml", QUORUM, &demanded)]);
    let activate = |set: &str, more: &[&str]| {
        lockgate.run(&[&["policy", "activate", set, "--reason", "a test", "--yes", "--as", "sam"][..], more].concat())
    };
    activate("demanding", &[]).exits(0).says("is active");
    lockgate.policy("next", &[("policy.toml", QUORUM, &demanded), SHORTER]);
    activate("next", &[]).refused(3, "BACKTEST_MISSING");
    lockgate.run(&["policy", "backtest", "next", "--report", "next.json"]).exits(0);
    lockgate.policy("other", &[SHORTER]);
    activate("other", &["--backtest", "next.json"]).refused(7, "BACKTEST_STALE");
    lockgate.write("spaced.json", [b" ".to_vec(), fs::read(lockgate.file("next.json")).unwrap()].concat());
    activate("next", &["--backtest", "spaced.json"]).refused(2, "BACKTEST_INVALID");
    lockgate.write("forged.json", forged(&lockgate, "next.json"));
    activate("next", &["--backtest", "forged.json"]).refused(9, "BACKTEST_DIFFERS");
    lockgate.run(&["policy", "backtest", "next", "--report", "part.json", "--since", "5"]).exits(0);
    activate("next", &["--backtest", "part.json"]).refused(3, "BACKTEST_MISSING");
    activate("next", &["--backtest", "next.json"]).exits(0).says("made again here").says("is active");
    // The same report is good for this change alone.
    activate("next", &["--backtest", "next.json"]).refused(7, "BACKTEST_STALE");
    lockgate.run(&["explain", "BACKTEST_STALE"]).exits(0);
}

/// A report that reads, in which nothing was decided.
fn forged(lockgate: &Instance, report: &str) -> Vec<u8> {
    let mut forged: Value = serde_json::from_slice(&fs::read(lockgate.file(report)).unwrap()).unwrap();
    for (field, value) in [("decisions", json!(0)), ("unchanged", json!(0)), ("totals", json!({}))] {
        forged[field] = value;
    }
    for field in ["flips", "errors", "would_block"] {
        forged[field] = json!([]);
    }
    canonical::to_vec(&forged).unwrap()
}

/// A ledger with a grant whose changes of policy take sam and kim.
fn two_owners() -> Instance {
    let lockgate = Instance::granted();
    lockgate.run(&["key", "generate", "kim.key"]).exits(0);
    lockgate.run(&["key", "enrol", "kim", "--group", "owners", "--key", "kim.key", "--file", "kim.json"]).exits(0);
    lockgate.run(&["invite", "kim.json", "--as", "sam", "--yes"]).exits(0);
    lockgate
}

#[test]
fn who_signs_a_change_of_policy_sees_its_backtest() {
    let lockgate = two_owners();
    lockgate.policy("stricter", &[STRICTER]);
    lockgate.write("stricter/gates/announced.toml", ANNOUNCED);
    let blocked = "would be blocked by `announced` once it enforces, 2099-01-01";
    lockgate.run(&["policy", "backtest", "stricter", "--report", "report.json"]).exits(0).says(blocked);
    let activate =
        ["policy", "activate", "stricter", "--reason", "more", "--backtest", "report.json", "--yes", "--as", "sam"];
    lockgate.run(&activate).exits(5).says("lockgate change sign C-1").says("made again here");
    let shown = lockgate.run(&["change", "show", "C-1", "--as", "kim"]).exits(0);
    shown.says("backtest").says("decided again").says("allow -> pending").says("by approvals").says(blocked);
    let signed = lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).exits(0);
    signed.says(blocked).says("made again here");
}

#[test]
fn who_has_nothing_to_verify_with_is_told_that_a_backtest_was_not_made_again() {
    let lockgate = two_owners();
    lockgate.policy("stricter", &[STRICTER]);
    lockgate.run(&["policy", "backtest", "stricter", "--report", "report.json"]).exits(0);
    fs::rename(lockgate.home().join("trust.json"), lockgate.file("trust.json")).unwrap();
    let activate =
        ["policy", "activate", "stricter", "--reason", "more", "--backtest", "report.json", "--yes", "--as", "sam"];
    lockgate.run(&activate).exits(5).says("not made again here: nothing is pinned");
    fs::rename(lockgate.file("trust.json"), lockgate.home().join("trust.json")).unwrap();
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).exits(0).says("made again here, from");
}

/// What sam signs by hand is proposed as it is; kim's command makes the report again, and signs nothing.
#[test]
fn nobody_signs_a_backtest_that_says_something_else() {
    let lockgate = two_owners();
    lockgate.policy("stricter", &[STRICTER]);
    lockgate.run(&["policy", "backtest", "stricter", "--report", "report.json"]).exits(0);
    let forged = forged(&lockgate, "report.json");
    let mut files = PolicySet::starter("starter").unwrap();
    files.retain(|path, _| !path.starts_with("tests/"));
    let (path, from, to) = STRICTER;
    let approvals = files.get_mut(path).unwrap();
    *approvals = approvals.replace(from, to);
    let set = PolicySet::from_files(files).unwrap();
    let info = lockgate.get("/v1/server", None).json();
    let event = PolicyActivated {
        policy: set.digest(),
        previous: text(&info["policy"]).parse().unwrap(),
        previous_at: EntryIndex(info["policy_at"].as_u64().unwrap()),
        reason: "more".to_owned(),
        by: "sam".parse().unwrap(),
        signature: String::new(),
        countersigned: Vec::new(),
        backtest: Some(Digest::of(&forged)),
    };
    let document = event.demand(&text(&info["origin"])).unwrap().document;
    let signature = FileSigner::load(&lockgate.key("sam")).unwrap().sign(POLICY_NAMESPACE, &document).unwrap();
    let body = json!({
        "document": String::from_utf8(set.document()).unwrap(),
        "previous": info["policy"],
        "previous_at": info["policy_at"],
        "reason": "more",
        "by": "sam",
        "signature": signature.to_armored(),
        "backtest": String::from_utf8(forged).unwrap(),
    });
    let reply = lockgate.post("/v1/policy", Some(&lockgate.token("sam")), &body);
    assert!(reply.status < 300, "{reply:?}");
    lockgate.run(&["change", "show", "C-1", "--as", "kim"]).exits(0).says("0 decisions decided again");
    lockgate.run(&["change", "sign", "C-1", "--as", "kim", "--yes"]).refused(9, "BACKTEST_DIFFERS");
    lockgate.run(&["change", "list", "--as", "kim"]).exits(0).says("needs you: lockgate change sign C-1");
}

#[test]
fn a_tab_that_indents_is_shown_as_spaces_before_a_signature() {
    let lockgate = Instance::demo();
    let indented = format!("\t{}", SHORTER.2);
    lockgate.policy("indented", &[(SHORTER.0, SHORTER.1, indented.as_str())]);
    let activate = ["policy", "activate", "indented", "--reason", "a test", "--yes", "--as", "sam"];
    let shown = lockgate.run(&activate).exits(0).says(&format!("      {}\n", SHORTER.2));
    assert!(!shown.stderr.contains("u{9}"), "{shown}");
}

#[test]
fn an_expired_policy_set_denies_everything_and_can_be_replaced() {
    let lockgate = Instance::demo();
    let ended = "promotion_ttl = \"30d\"\nexpires_at = \"2020-01-01\"";
    lockgate.policy("ended", &[("policy.toml", "promotion_ttl = \"30d\"", ended)]);
    lockgate.run(&["policy", "check", "ended"]).exits(0).says("LINT_POLICY_EXPIRED");
    lockgate.run(&["policy", "activate", "ended", "--reason", "a test", "--yes", "--as", "sam"]).exits(0);
    // Signed at once by the one owner there is, it was proposed to nobody.
    lockgate.run(&["change", "list", "--as", "sam"]).exits(0).says("no change waits, and none was proposed to others");
    lockgate.run(&["status"]).exits(0).says("ended at 2020-01-01");
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.run(&["promote", "shop/web@1.4.2", "--to", "dev", "--reason", "a test"]).exits(3).says("POLICY_EXPIRED");
    lockgate.policy("back", &[]);
    lockgate.run(&["policy", "activate", "back", "--reason", "in force again", "--yes", "--as", "sam"]).exits(0);
    lockgate.run(&["status"]).exits(0);
}

#[test]
fn every_starter_set_that_is_listed_can_be_written_and_passes_its_tests() {
    let lockgate = Instance::new();
    let listed = lockgate.json(&["init", "--list"], 0);
    let names: Vec<String> = listed.as_array().unwrap().iter().map(|row| text(&row["name"])).collect();
    assert!(names.iter().any(|name| name == "regulated") && names.len() >= 6, "{names:?}");
    for name in &names {
        lockgate.run(&["init", name, "--starter", name]).exits(0);
        lockgate.run(&["policy", "test", name]).exits(0).says(" 0 failed");
    }
    assert!(!lockgate.file("policy").exists(), "a list writes nothing");
    lockgate.run(&["init", "none", "--starter", "nothing"]).refused(2, "STARTER_UNKNOWN").says("regulated");
}

#[test]
fn a_server_that_refuses_its_policy_set_says_every_line() {
    let lockgate = Instance::new();
    lockgate.policy("typo", &[("gates/approvals.toml", "count = 2", "cuont = 2")]);
    let refused = lockgate.start(&["--demo", "--policy", "typo"]).refused(2, "POLICY_INVALID");
    refused.says("gates/approvals.toml:").says("did you mean `count`?");
}

#[test]
fn a_demo_that_its_owner_could_not_go_on_with_is_refused_before_anything_is_there() {
    for name in ["high-assurance", "regulated"] {
        let lockgate = Instance::new();
        let refused = lockgate.start(&["--demo", "--policy", name]).refused(2, "DEMO_ONE_FACTOR");
        refused.says(&format!("lockgate init my-policy --starter {name}"));
        assert!(!lockgate.file("home").exists(), "nothing is created");
        lockgate.run(&["serve", "--demo", "--listen", "127.0.0.1:0", "--policy", name]).refused(2, "DEMO_ONE_FACTOR");
        // What the next step says works.
        lockgate.run(&["init", "my-policy", "--starter", name]).exits(0);
        let file = lockgate.file("my-policy").join("policy.toml");
        let text = fs::read_to_string(&file).unwrap();
        let open: Vec<&str> =
            text.lines().map(|line| if line.starts_with("mfa = ") { "mfa = false" } else { line }).collect();
        fs::write(&file, open.join("\n")).unwrap();
        lockgate.start(&["--demo", "--policy", "my-policy"]).exits(0);
        lockgate.run(&["whoami", "--as", "dana"]).exits(0);
    }
}

#[test]
fn every_mistake_of_every_file_is_said_at_once() {
    let lockgate = Instance::new();
    let changes = [
        ("policy.toml", "approval_ttl = ", "aproval_ttl = "),
        ("policy.toml", "promotion_ttl = \"", "promotion_ttl = \"a while "),
        ("gates/approvals.toml", "count = 2", "cuont = 2\nwindow = 3"),
    ];
    lockgate.policy("wrong", &changes);
    let refused = lockgate.run(&["policy", "check", "wrong"]).refused(2, "POLICY_INVALID");
    refused.says("did you mean `approval_ttl`?").says("did you mean `count`?").says("a while ");
}

#[test]
fn the_set_that_init_wrote_is_named_where_it_is_meant() {
    let lockgate = Instance::new();
    lockgate.run(&["init"]).exits(0);
    for command in ["test", "check"] {
        let missed = lockgate.run(&["policy", command]).refused(6, "POLICY_MISSING");
        missed.says(&format!("did you mean `lockgate policy {command} policy`?"));
        lockgate.run(&["policy", command, "policy"]).exits(0);
    }
    // A path in a command that is told is one word of it.
    let told = lockgate.run(&["init", "my sets/policy"]).exits(0);
    told.says("`lockgate policy test 'my sets/policy'` and `lockgate up --policy 'my sets/policy'`");
    let missed = lockgate.run(&["policy", "test", "my sets"]).refused(6, "POLICY_MISSING");
    missed.says("did you mean `lockgate policy test 'my sets/policy'`?");
}
