//! The browser's verifier against the kernel: the same answer, with the same reason code, for what the program makes,
//! for every forgery, for mutants and for the public vectors; and the pages that use it.

pub mod emergency;
pub mod mutants;
mod pages;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::TrustFile;
use lockgate_ledger::bundle::{self, Query};
use lockgate_model::{Digest, EnvName, ServiceName, UnixMillis};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::SshSigner as _;
use serde_json::{Value, json};

use self::mutants::Mutants;
use crate::browser::driver::Browser;
use crate::forgery::FORGERIES;
use crate::forgery::forger::Forger;
use crate::instance::{Instance, artifact, skipped, text, variable};

/// Why the kernel may refuse what the browser's verifier accepts, or refuses for another reason: it reads the evidence
/// and runs the policy set again, which the browser does not. Nothing else may differ.
const POLICY_RUN_AGAIN: [&str; 2] = ["REPLAY_FACTS", "REPLAY_DECISION"];
/// The kernel also loads the gates of a policy set, and compares the bindings that an access review shows.
const POLICY_READ_WHOLE: [&str; 2] = ["POLICY_INVALID", "REVIEW_STALE"];
/// How many mutants there are, unless `LOCKGATE_MUTANTS` says otherwise.
pub const MUTANTS: usize = 1_000;
/// How many mutants the browser gets at a time.
const BATCH: usize = 200;

/// What both verifiers are asked.
pub struct Question {
    /// What is pinned.
    pub trust: TrustFile,
    /// The file's digest.
    pub artifact: Digest,
    /// What the file is supposed to be.
    pub service: ServiceName,
    /// Where it is supposed to run.
    pub environment: EnvName,
    /// The verifier's clock.
    pub now: UnixMillis,
}

impl Question {
    /// Whether what the forger's server granted may run, at the moment of the grant.
    pub fn of(forger: &Forger) -> Self {
        let granted = forger.honest.entry(forger.honest.last("grant.issued"));
        Self {
            trust: forger.trust.clone(),
            artifact: forger.artifact,
            service: "shop/web".parse().unwrap(),
            environment: "production".parse().unwrap(),
            now: UnixMillis(granted["time"].as_u64().unwrap()),
        }
    }

    /// The kernel's answer: a reason code, or nothing where it accepts.
    pub fn kernel(&self, bytes: &[u8]) -> Option<&'static str> {
        let Self { artifact, service, environment, now, .. } = self;
        let query = Query { artifact: *artifact, service, environment, now: *now };
        bundle::verify(bytes, &self.trust, &query).err().map(|refusal| refusal.code)
    }

    /// Loads the browser's verifier into a page, with the question and the bundle that mutants are made of.
    fn pose(&self, browser: &mut Browser, site: &str, good: &[u8]) {
        browser.open(&format!("{site}/sign-in"));
        let query = json!({
            "artifactDigest": self.artifact, "service": self.service, "environment": self.environment, "now": self.now,
        });
        let trust = serde_json::to_string(&self.trust).unwrap();
        browser.evaluate(&format!(
            "import('/assets/verifier.js').then((verifier) => {{ \
             window.good = verifier.fromBase64({}); \
             window.ask = async ([start, end, insert]) => {{ \
             const more = verifier.fromBase64(insert); \
             const bytes = new Uint8Array(start + more.length + good.length - end); \
             bytes.set(good.subarray(0, start)); bytes.set(more, start); \
             bytes.set(good.subarray(end), start + more.length); \
             const answer = await verifier.verifyBundle(bytes, {}, {query}); \
             return answer.code === null || answer.ok ? [answer.code, ''] : [answer.code, answer.checks.at(-1).text]; }}; \
             return true; }})",
            json!(STANDARD.encode(good)),
            json!(trust),
        ));
    }
}

/// What has to be put in the place of which bytes of `good` to make `other`.
pub fn difference(good: &[u8], other: &[u8]) -> Value {
    let start = good.iter().zip(other).take_while(|(one, two)| one == two).count();
    let most = good.len().min(other.len()) - start;
    let tail = good.iter().rev().zip(other.iter().rev()).take(most).take_while(|(one, two)| one == two).count();
    json!([start, good.len() - tail, STANDARD.encode(&other[start..other.len() - tail])])
}

/// Asks both verifiers, and gives every answer that must not differ and does.
fn disagreements(browser: &mut Browser, question: &Question, good: &[u8], cases: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for batch in cases.chunks(BATCH) {
        let edits: Vec<Value> = batch.iter().map(|(_, bytes)| difference(good, bytes)).collect();
        let answers = browser.evaluate(&format!("Promise.all({}.map(ask))", Value::from(edits)));
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), batch.len());
        for ((what, bytes), answer) in batch.iter().zip(answers) {
            let (kernel, browsers) = (question.kernel(bytes), answer[0].as_str());
            let policy =
                kernel.is_some_and(|code| POLICY_RUN_AGAIN.contains(&code) || POLICY_READ_WHOLE.contains(&code));
            if kernel != browsers && !policy {
                wrong.push(format!("{what}: the kernel says {kernel:?}, the browser {browsers:?}: {}", answer[1]));
            }
        }
    }
    wrong
}

#[track_caller]
fn assert_none(wrong: &[String], of: usize) {
    let first: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {of} answers differ:\n{}", wrong.len(), first.join("\n"));
}

#[test]
fn the_browser_agrees_on_every_forgery() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Instance::demo();
    let forger = Forger::new();
    let question = Question::of(&forger);
    let good = forger.bundle(&forger.history()).to_bytes().unwrap();
    question.pose(&mut browser, &site.url(), &good);
    let mut cases = vec![("nothing forged".to_owned(), good.clone())];
    for (what, _, forge) in FORGERIES {
        cases.push((what.to_owned(), forge(&forger).to_bytes().unwrap()));
    }
    assert_eq!(question.kernel(&good), None);
    assert_none(&disagreements(&mut browser, &question, &good, &cases), cases.len());
    // Another question about the same bundle.
    let other = |change: fn(&mut Question)| {
        let mut other = Question::of(&forger);
        change(&mut other);
        other
    };
    for asked in [
        other(|question| question.artifact = Digest::of(b"another file")),
        other(|question| question.service = "shop/api".parse().unwrap()),
        other(|question| question.environment = "staging".parse().unwrap()),
        other(|question| question.now = UnixMillis(0)),
        other(|question| question.now = UnixMillis(9_007_199_254_740_991)),
        other(|question| question.trust.genesis = Digest::of(b"another")),
        other(|question| question.trust.attestation_key.clear()),
        other(|question| question.trust.tlog_policy = question.trust.tlog_policy.replace("none", "some")),
    ] {
        asked.pose(&mut browser, &site.url(), &good);
        let cases = [("another question".to_owned(), good.clone())];
        assert!(asked.kernel(&good).is_some());
        assert_none(&disagreements(&mut browser, &asked, &good, &cases), 1);
    }
}

#[test]
fn the_browser_agrees_on_mutants() {
    let Some(mut browser) = Browser::start() else { return };
    agree_on_mutants(&mut browser, &Forger::new());
}

/// Both verifiers say the same of mutants of what a forger took, which they accept as it is.
#[track_caller]
fn agree_on_mutants(browser: &mut Browser, forger: &Forger) {
    let most = variable("LOCKGATE_MUTANTS").map_or(MUTANTS, |count| count.parse().unwrap());
    let site = Instance::demo();
    let question = Question::of(forger);
    let good = forger.bundle(&forger.history()).to_bytes().unwrap();
    assert_eq!(question.kernel(&good), None);
    question.pose(browser, &site.url(), &good);
    let mut mutants = Mutants::new(forger, &good);
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for first in (0..most).step_by(BATCH) {
        let cases: Vec<_> = (first..most.min(first + BATCH)).map(|number| mutants.make(number)).collect();
        refused += cases.iter().filter(|(_, bytes)| question.kernel(bytes).is_some()).count();
        wrong.extend(disagreements(browser, &question, &good, &cases));
    }
    eprintln!("{most} mutants, {refused} refused");
    // The others change what a bundle holds and nobody needs, such as an entry that no decision relied on.
    assert!(refused * 10 > most * 9, "most mutants are refused: {refused} of {most}");
    assert_none(&wrong, most);
}

/// The program's own bundles: more people than one, keys that came and went, and two signatures where two are needed.
#[test]
fn the_browser_accepts_what_the_program_makes() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::pending();
    let kim = lockgate.enrol_approver("kim");
    let kim = kim.display().to_string();
    lockgate.policy("two", &[("policy.toml", "approval_ttl = \"72h\"", "approval_ttl = \"24h\"")]);
    lockgate.run(&["policy", "activate", "two", "--reason", "shorter", "--as", "sam", "--yes"]).exits(0);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]);
    lockgate.run(&["approve", "P-3", "--as", "kim", "--key", &kim, "--yes"]);
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    let good = fs::read(lockgate.file("p3.lockgate")).unwrap();
    let question = Question {
        trust: lockgate.trust(),
        artifact: Digest::of(&artifact("1.4.2")),
        service: "shop/web".parse().unwrap(),
        environment: "production".parse().unwrap(),
        now: bundle::open(&good, &lockgate.trust(), &mut Vec::new()).unwrap().state.time().unwrap(),
    };
    question.pose(&mut browser, &lockgate.url(), &good);
    let cases = [("the program's own".to_owned(), good.clone())];
    assert_none(&disagreements(&mut browser, &question, &good, &cases), 1);
}

/// What somebody asks about a release, the bundle of its grant while that was the newest one, and the same bundle from after
/// another release took its place.
pub fn superseded() -> (Instance, Question, Vec<u8>, Vec<u8>) {
    let lockgate = Instance::granted();
    let bundle = |file: &str| {
        lockgate.run(&["bundle", "get", "P-3", "--file", file]).exits(0);
        fs::read(lockgate.file(file)).unwrap()
    };
    let before = bundle("before.lockgate");
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.promote("1.5.0").exits(5);
    lockgate.run(&["approve", "P-6", "--as", "sam", "--yes"]).exits(0).says("it is granted");
    let after = bundle("after.lockgate");
    let question = Question {
        trust: lockgate.trust(),
        artifact: Digest::of(&artifact("1.4.2")),
        service: "shop/web".parse().unwrap(),
        environment: "production".parse().unwrap(),
        now: bundle::open(&after, &lockgate.trust(), &mut Vec::new()).unwrap().state.time().unwrap(),
    };
    (lockgate, question, before, after)
}

#[test]
fn the_browser_refuses_a_grant_beside_the_one_that_replaced_it() {
    let Some(mut browser) = Browser::start() else { return };
    let (lockgate, question, before, after) = superseded();
    question.pose(&mut browser, &lockgate.url(), &before);
    assert_eq!((question.kernel(&before), question.kernel(&after)), (None, Some("GRANT_SUPERSEDED")));
    assert_none(&disagreements(&mut browser, &question, &before, &[("superseded".to_owned(), after)]), 1);
}

/// A passkey's signature, which no file-based key makes.
#[test]
fn the_browser_reads_passkeys() {
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    browser.open(&format!("{}/sign-in", lockgate.url()));
    let passkey = SoftPasskey::generate(&"https://lockgate.example:8443".parse().unwrap()).unwrap();
    let armored = passkey.sign("ns", b"message").unwrap().to_armored();
    let key = passkey.public_key().to_string();
    let mut check = |message: &str, namespace: &str, expected: &str| {
        let answer = browser.evaluate(&format!(
            "import('/assets/verifier.js').then(({{ checkSignature }}) => checkSignature({}, {}, {}, {}))\
             .then((presence) => presence.origin, (error) => error.code)",
            json!(armored),
            json!(key),
            json!(namespace),
            json!(message),
        ));
        assert_eq!(text(&answer), expected, "{message} {namespace}");
    };
    check("message", "ns", "https://lockgate.example:8443");
    check("messagf", "ns", "WEBAUTHN_CHALLENGE");
    check("message", "other", "SIGNATURE_INVALID");
}

/// The folder of the public vectors, where it is here.
pub fn vectors() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = PathBuf::from(variable("LOCKGATE_VECTORS").unwrap_or_else(|| default.to_owned()));
    if !folder.is_dir() {
        skipped("the public vectors, which are not here");
        return None;
    }
    Some(folder)
}

/// Every file in a folder and in those inside it.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn the_browser_passes_the_public_vectors() {
    let Some(folder) = vectors() else { return };
    let Some(mut browser) = Browser::start() else { return };
    let lockgate = Instance::demo();
    browser.open(&format!("{}/sign-in", lockgate.url()));
    browser.evaluate(
        "import('/assets/verifier.js').then((verifier) => { window.v = verifier; \
         window.b = (text) => v.fromBase64(text ?? ''); \
         window.h = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16)); return true; })",
    );
    let (mut count, mut wrong) = (0, Vec::new());
    for kind in ["inclusion", "consistency"] {
        for path in files(&folder.join("rfc6962-merkle").join(kind)) {
            let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            // Numbers up to 2^64 - 1 go over as texts.
            let number = |name: &str| format!("BigInt('{}')", case[name]);
            let bytes = |name: &str| format!("b({})", case[name]);
            let path_of = format!("({} ?? []).map(b)", case["proof"]);
            let call = match kind {
                "inclusion" => format!(
                    "v.verifyInclusion({}, {}, {}, {path_of}, {})",
                    number("leafIdx"),
                    number("treeSize"),
                    bytes("leafHash"),
                    bytes("root")
                ),
                _ => format!(
                    "v.verifyConsistency({}, {}, {path_of}, {}, {})",
                    number("size1"),
                    number("size2"),
                    bytes("root1"),
                    bytes("root2")
                ),
            };
            count += 1;
            if browser.evaluate(&call) != json!(case["wantErr"] == json!(false)) {
                wrong.push(path.display().to_string());
            }
        }
    }
    for (file, curve, key) in
        [("ed25519_test.json", "ed25519", "pk"), ("ecdsa_secp256r1_sha256_p1363_test.json", "nistp256", "uncompressed")]
    {
        let set: Value = serde_json::from_slice(&fs::read(folder.join("wycheproof").join(file)).unwrap()).unwrap();
        for group in set["testGroups"].as_array().unwrap() {
            let answers = browser.evaluate(&format!(
                "Promise.all({}.map((test) => v.verifyRaw({{ curve: '{curve}', raw: h({}) }}, h(test.msg), h(test.sig))))",
                group["tests"], group["publicKey"][key]
            ));
            for (test, answer) in group["tests"].as_array().unwrap().iter().zip(answers.as_array().unwrap()) {
                count += 1;
                if *answer != json!(test["result"] == "valid") {
                    wrong.push(format!("{file} {}", test["tcId"]));
                }
            }
        }
    }
    eprintln!("{count} vectors");
    assert!(count > 0 && wrong.is_empty(), "{wrong:?}");
}
