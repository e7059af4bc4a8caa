//! A second verifier, in Python, written from `docs/formats.md` alone, against the kernel: the same answer for what the
//! program makes, for every forgery, for mutants, for passkeys and for the public vectors.
//!
//! It runs no gate and reads no evidence, and says so; what the kernel refuses for that alone, it may accept.

mod parts;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::{Digest, UnixMillis};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::SshSigner as _;
use serde_json::{Value, json};

use crate::browser_verifier::emergency::eventful;
use crate::browser_verifier::mutants::Mutants;
use crate::browser_verifier::{MUTANTS, Question, difference, files, superseded, vectors};
use crate::forgery::FORGERIES;
use crate::forgery::forger::Forger;
use crate::instance::{Instance, Ran, artifact_name, skipped, text, variable};
use crate::outside::outside;

/// Why the kernel may refuse what Python accepts, or refuses for another reason: it runs the gates and reads the
/// evidence and the feeds, and it loads the policy set whole. Nothing else may differ.
const READ_BY_THE_KERNEL: [&str; 6] =
    ["REPLAY_FACTS", "REPLAY_DECISION", "POLICY_INVALID", "REVIEW_STALE", "FEED_MISMATCH", "FEED_MALFORMED"];

/// The verifier in Python, in one process that answers one question a line.
struct Stranger {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// How many answers were other than the kernel's, and let pass for what the kernel alone reads.
    excused: usize,
}

impl Stranger {
    /// Starts it, or says that it is skipped.
    fn start() -> Option<Self> {
        let mut process = python()?.arg("batch").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Some(Self { process, questions, answers: BufReader::new(answers), excused: 0 })
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no answer to {question:.200}: {error}"))
    }

    /// Says what the next edits are about, and asks about it as it is: the reason code, or nothing where it accepts.
    fn pose(&mut self, question: &Question, good: &[u8]) -> Option<String> {
        let Question { trust, artifact, service, environment, now } = question;
        let answer = self.ask(&json!({
            "good": STANDARD.encode(good), "trust": serde_json::to_string(trust).unwrap(), "artifact": artifact,
            "service": service, "environment": environment, "now": now,
        }));
        answer[0].as_str().map(str::to_owned)
    }

    /// Asks both verifiers about one changed bundle; gives what must not differ and does, and keeps the file.
    fn disagreement(&mut self, question: &Question, good: &[u8], what: &str, bytes: &[u8]) -> Option<String> {
        let answer = self.ask(&json!({ "edit": difference(good, bytes) }));
        let (kernel, stranger) = (question.kernel(bytes), answer[0].as_str());
        if kernel == stranger {
            return None;
        }
        if kernel.is_some_and(|code| READ_BY_THE_KERNEL.contains(&code)) {
            self.excused += 1;
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-verifier");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}.lockgate", Digest::of(bytes).hex()));
        fs::write(&file, bytes).unwrap();
        let kept = file.display();
        Some(format!("{what}: the kernel says {kernel:?}, Python {stranger:?}: {} ({kept})", answer[1]))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A place in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The verifier, ready for its arguments.
fn python() -> Option<Command> {
    script("lockgate_verify.py")
}

/// A script of the verifier's folder, ready for its arguments.
fn script(name: &str) -> Option<Command> {
    let python = variable("LOCKGATE_PYTHON").unwrap_or_else(|| "python3".to_owned());
    let needs = "import cryptography, tomllib";
    let module = Command::new(&python).args(["-c", needs]).stderr(Stdio::null()).status();
    if !module.is_ok_and(|status| status.success()) {
        skipped("bundles with Python, which is older than 3.11 or has no module `cryptography` here");
        return None;
    }
    let mut command = Command::new(&python);
    command.arg("-B").arg(outside("verifier").join(name));
    Some(command)
}

/// Runs a script of the verifier's folder on a folder; it says that every answer is the expected one.
#[track_caller]
fn passes(name: &str, folder: &Path) {
    let Some(mut script) = script(name) else { return };
    let output = script.arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Asks the same of Python that a person asked of `lockgate verify`, where that was about a bundle and the pinned trust
/// file and nothing else: the answers are the same.
#[track_caller]
pub fn agrees_with(lockgate: &Instance, arguments: &[&str], ran: &Ran) {
    let &["verify", file, "--service", service, "--env", environment, "--bundle", bundle] = arguments else { return };
    let reason = ran.stderr.split("error[").nth(1).and_then(|rest| rest.split(']').next());
    let comparable = match (ran.code, reason) {
        (0, _) => true,
        (2, Some(code)) => code == "TRUST_MISSING" || code == "TRUST_INVALID",
        (3, Some(code)) => !READ_BY_THE_KERNEL.contains(&code),
        _ => false,
    };
    if !comparable {
        return;
    }
    let Some(mut process) = python() else { return };
    process.args(["bundle", bundle, "--trust"]).arg(lockgate.home().join("trust.json"));
    process.args(["--service", service, "--env", environment, "--file", file]).current_dir(lockgate.file("."));
    let output = process.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(ran.code), "Python says otherwise: {said}\n{ran}");
    if let Some(code) = reason {
        assert!(said.contains(&format!("\n{code}: ")), "Python says otherwise: {said}\n{ran}");
    }
}

#[track_caller]
fn assert_none(wrong: &[String], of: usize) {
    let first: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {of} answers differ:\n{}", wrong.len(), first.join("\n"));
}

#[test]
fn the_stranger_agrees_on_every_forgery() {
    let Some(mut stranger) = Stranger::start() else { return };
    let forger = Forger::new();
    let question = Question::of(&forger);
    let good = forger.bundle(&forger.history()).to_bytes().unwrap();
    assert_eq!((question.kernel(&good), stranger.pose(&question, &good)), (None, None));
    let mut wrong = Vec::new();
    for (what, code, forge) in FORGERIES {
        let forged = forge(&forger).to_bytes().unwrap();
        wrong.extend(stranger.disagreement(&question, &good, what, &forged));
        let answer = stranger.ask(&json!({ "edit": difference(&good, &forged) }));
        assert!(answer[0].is_string() || READ_BY_THE_KERNEL.contains(&code), "{what} is accepted");
    }
    assert_none(&wrong, FORGERIES.len());
    // Another question about the same bundle.
    let changes: [fn(&mut Question); 8] = [
        |question| question.artifact = Digest::of(b"another file"),
        |question| question.service = "shop/api".parse().unwrap(),
        |question| question.environment = "staging".parse().unwrap(),
        |question| question.now = UnixMillis(0),
        |question| question.now = UnixMillis(9_007_199_254_740_991),
        |question| question.trust.genesis = Digest::of(b"another"),
        |question| question.trust.attestation_key.clear(),
        |question| question.trust.tlog_policy = question.trust.tlog_policy.replace("none", "some"),
    ];
    for change in changes {
        let mut asked = Question::of(&forger);
        change(&mut asked);
        let kernel = asked.kernel(&good).map(str::to_owned);
        assert!(kernel.is_some());
        assert_eq!(stranger.pose(&asked, &good), kernel);
    }
}

/// A list in the place of an object says the same to a reader that goes by position: nobody may be one.
#[test]
fn a_list_is_no_object() {
    let Some(mut stranger) = Stranger::start() else { return };
    let forger = Forger::new();
    let question = Question::of(&forger);
    let good = forger.bundle(&forger.history()).to_bytes().unwrap();
    assert_eq!(stranger.pose(&question, &good), None);
    let value: Value = serde_json::from_slice(&good).unwrap();
    let fields = |value: &Value, names: &[&str]| -> Value { names.iter().map(|name| value[*name].clone()).collect() };
    let mut wrong = Vec::new();
    let whole = fields(&value, &["schema", "promotion", "checkpoint", "entries", "anchors", "bodies"]);
    let (mut entry, mut anchor) = (value.clone(), value.clone());
    entry["entries"][0] = fields(&value["entries"][0], &["index", "leaf", "proof"]);
    anchor["anchors"][0] = fields(&value["anchors"][0], &["size", "proof"]);
    for (what, other) in [("the bundle", whole), ("an entry", entry), ("an anchor", anchor)] {
        let bytes = serde_json::to_vec(&other).unwrap();
        assert_eq!(question.kernel(&bytes), Some("BUNDLE_INVALID"), "{what} as a list");
        wrong.extend(stranger.disagreement(&question, &good, what, &bytes));
    }
    // The leaf of an attestation, under a checkpoint that the log's own key signs.
    let mut history = forger.history();
    let at = (0..history.leaves.len()).find(|at| history.entry(*at)["kind"] == "hashedrekord").unwrap();
    history.edit(at, |leaf| {
        let data = &mut leaf["spec"]["hashedRekordV002"]["data"];
        *data = json!([data["algorithm"], data["digest"]]);
    });
    let bytes = forger.bundle(&history).to_bytes().unwrap();
    assert_eq!(question.kernel(&bytes), Some("ENTRY_INVALID"));
    wrong.extend(stranger.disagreement(&question, &good, "a leaf", &bytes));
    // The name of the engine stands in the entry and in the decision.
    let bytes = forger
        .edited("decision.recorded", |entry| entry["event"]["body"]["engine"] = json!("lockgate-decide/9"))
        .to_bytes()
        .unwrap();
    assert_eq!(question.kernel(&bytes), Some("REPLAY_DECISION"));
    let answer = stranger.ask(&json!({ "edit": difference(&good, &bytes) }));
    assert_eq!(text(&answer[0]), "REPLAY_DECISION");
    assert_none(&wrong, 4);
}

#[test]
fn the_stranger_agrees_on_mutants() {
    agree_on_mutants(&Instance::granted());
}

#[test]
fn the_stranger_agrees_on_mutants_of_an_emergency() {
    agree_on_mutants(&eventful());
}

/// How many mutants there are of each kind.
fn how_many() -> usize {
    variable("LOCKGATE_MUTANTS").map_or(MUTANTS, |count| count.parse().unwrap())
}

/// Both verifiers say the same of mutants of what a server has, which they accept as it is.
#[track_caller]
fn agree_on_mutants(lockgate: &Instance) {
    let Some(mut stranger) = Stranger::start() else { return };
    let most = how_many();
    let forger = Forger::break_in(lockgate);
    let question = Question::of(&forger);
    let good = forger.bundle(&forger.history()).to_bytes().unwrap();
    assert_eq!((question.kernel(&good), stranger.pose(&question, &good)), (None, None));
    let mut mutants = Mutants::new(&forger, &good);
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for number in 0..most {
        let (what, bytes) = mutants.make(number);
        refused += usize::from(question.kernel(&bytes).is_some());
        wrong.extend(stranger.disagreement(&question, &good, &what, &bytes));
    }
    let excused = stranger.excused;
    eprintln!("{most} mutants, {refused} refused, {excused} of them for what Python does not read");
    // The others change what a bundle holds and nobody needs, such as an entry that no decision relied on.
    assert!(refused * 10 > most * 9, "most mutants are refused: {refused} of {most}");
    assert!(excused * 20 < most, "too few answers are compared: {excused} of {most} are let pass");
    assert_none(&wrong, most);
}

#[test]
fn the_stranger_refuses_a_grant_beside_the_one_that_replaced_it() {
    let Some(mut stranger) = Stranger::start() else { return };
    let (_lockgate, question, before, after) = superseded();
    assert_eq!((question.kernel(&before), stranger.pose(&question, &before)), (None, None));
    let answer = stranger.ask(&json!({ "edit": difference(&before, &after) }));
    assert_eq!((question.kernel(&after), text(&answer[0])), (Some("GRANT_SUPERSEDED"), "GRANT_SUPERSEDED".to_owned()));
}

/// A passkey's signature, which no file-based key makes.
#[test]
fn the_stranger_reads_passkeys() {
    let Some(mut stranger) = Stranger::start() else { return };
    let passkey = SoftPasskey::generate(&"https://lockgate.example:8443".parse().unwrap()).unwrap();
    let armored = passkey.sign("ns", b"message").unwrap().to_armored();
    let key = passkey.public_key().to_string();
    let mut check = |message: &str, namespace: &str, expected: Option<&str>| {
        let asked = json!({ "armored": armored, "key": key, "namespace": namespace, "message": message });
        let answer = stranger.ask(&json!({ "sshsig": asked }));
        assert_eq!(answer[0].as_str(), expected, "{message} {namespace}: {answer}");
    };
    check("message", "ns", None);
    check("messagf", "ns", Some("WEBAUTHN_CHALLENGE"));
    check("message", "other", Some("SIGNATURE_INVALID"));
}

#[test]
fn the_stranger_passes_the_public_vectors() {
    let Some(folder) = vectors() else { return };
    passes("vectors.py", &folder);
}

/// What has to be refused is refused, and every control is accepted.
#[test]
fn the_stranger_withstands_the_attacks() {
    passes("corpus.py", &repository("tests/attacks"));
}

/// What is no text, no question or too large is refused with its code, and a batch goes on with the next line.
#[test]
fn the_stranger_refuses_what_is_no_input() {
    passes("refusals.py", &repository("tests/attacks"));
}

/// The same of the browser's verifier, in Node.
#[test]
fn the_browsers_verifier_withstands_the_attacks() {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return skipped("the browser's verifier against the attacks: there is no Node");
    }
    let output = Command::new("node")
        .arg(outside("verifier/corpus.mjs"))
        .args([repository("crates/web/assets/verifier.js"), repository("tests/attacks")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Whoever writes a verifier from the text alone finds each code in it.
#[test]
fn every_code_of_the_stranger_is_in_the_formats() {
    let formats = fs::read_to_string(repository("docs/formats.md")).unwrap();
    let is_code = |word: &str| {
        let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains('_') && word.chars().all(known)
    };
    let (mut count, mut missing) = (0, Vec::new());
    for path in files(&outside("verifier")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The corpus names errors that are no verifier's answers.
        if !name.ends_with(".py") || name == "corpus.py" {
            continue;
        }
        for word in fs::read_to_string(&path).unwrap().split('"').filter(|word| is_code(word)) {
            count += 1;
            if !formats.contains(&format!("`{word}`")) {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(count > 100 && missing.is_empty(), "{missing:?} of {count}");
}

/// Files that prove one thing each, without a bundle around them.
#[test]
fn the_stranger_verifies_proof_files() {
    if python().is_none() {
        return;
    }
    let lockgate = Instance::granted();
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    lockgate.run(&["bundle", "extract", "p3.lockgate", "--to", "parts"]).exits(0);
    let trust = lockgate.home().join("trust.json");
    let run = |arguments: &[&str]| {
        let mut process = python().unwrap();
        process.args(arguments).arg("--trust").arg(&trust).current_dir(lockgate.file("."));
        let output = process.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let proof = |proof: &str, leaf: &str| run(&["proof", proof, "--leaf", leaf]);
    let (code, said) = proof("parts/entries/0.tlog-proof", "parts/entries/0.json");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("are entry 0 of the ") && said.ends_with("VERIFIED\n"), "{said}");
    let (code, said) = proof("parts/entries/1.tlog-proof", "parts/entries/0.json");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("\nINCLUSION_PROOF: "), "{said}");
    let (code, said) = proof("parts/entries/0.json", "parts/entries/0.json");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("\nPROOF_INVALID: "), "{said}");
    assert_eq!(proof("missing", "parts/entries/0.json").0, 6);

    lockgate.push("1.5.0", "trivy.json").exits(0);
    let size = fs::read_to_string(lockgate.file("parts/checkpoint")).unwrap().lines().nth(1).unwrap().to_owned();
    let reply = lockgate.get(&format!("/v1/consistency?from={size}"), None).json();
    lockgate.write("newer", text(&reply["checkpoint"]));
    lockgate.write("path.json", reply["proof"].to_string());
    let (code, said) = run(&["consistency", "parts/checkpoint", "newer", "path.json"]);
    assert_eq!(code, 0, "{said}");
    lockgate.write("reply.json", reply.to_string());
    let (code, said) = run(&["consistency", "parts/checkpoint", "newer", "reply.json"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(&["consistency", "newer", "parts/checkpoint", "path.json"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("\nCONSISTENCY_PROOF: "), "{said}");
}

/// As a person runs it: what it prints, and the exit codes of `lockgate verify`.
#[test]
fn the_stranger_has_a_command_line() {
    if python().is_none() {
        return;
    }
    let lockgate = Instance::granted();
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    let (trust, file) = (lockgate.home().join("trust.json"), artifact_name("1.4.2"));
    let run = |command: &str, bundle: &str, more: &[&str]| {
        let mut process = python().unwrap();
        process.args([command, bundle, "--trust"]).arg(&trust).args(more).current_dir(lockgate.file("."));
        let output = process.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let question = |environment| ["--service", "shop/web", "--env", environment, "--file", file.as_str()];
    let (code, said) = run("bundle", "p3.lockgate", &question("production"));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("no gate was run again") && said.ends_with("VERIFIED\n"), "{said}");
    let (code, said) = run("bundle", "p3.lockgate", &question("staging"));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("ENVIRONMENT_MISMATCH: "), "{said}");
    let (code, said) = run("attestation", "p3.lockgate", &[]);
    assert_eq!((code, said.matches("logged as entry").count()), (0, 2), "{said}");
    lockgate.write("vsa.json", r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#);
    let (code, said) = run("attestation", "vsa.json", &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("BUNDLE_INVALID: ") && said.contains("wanted is a Lockgate bundle"), "{said}");
    let unusable = python().unwrap().args(["approval", "a", "b", "--key", "nothing.pub"]).output().unwrap();
    assert_eq!(unusable.status.code(), Some(2));
    let mut bundle: Value = serde_json::from_slice(&fs::read(lockgate.file("p3.lockgate")).unwrap()).unwrap();
    lockgate.write("checkpoint", text(&bundle["checkpoint"]));
    assert_eq!(run("checkpoint", "checkpoint", &[]).0, 0);
    lockgate.write("checkpoint", text(&bundle["checkpoint"]).replacen('\n', "\n1", 1));
    assert_eq!(run("checkpoint", "checkpoint", &[]).0, 3);
    bundle["anchors"] = json!([]);
    lockgate.write("changed.lockgate", bundle.to_string());
    let (code, said) = run("bundle", "changed.lockgate", &question("production"));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("ANCHOR_UNPROVEN: "), "{said}");
    assert_eq!(run("bundle", "missing.lockgate", &question("production")).0, 6);
}
