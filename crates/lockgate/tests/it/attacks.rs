//! Attacks as data: every file of `tests/attacks`, with the answer that it must get.
//!
//! The format is described in `tests/attacks/README.md`. Here are the file itself and the targets that need the library
//! alone; `tokens`, `sign_ins` and `attack_stories` try the others against a server and the command line, and `table` runs
//! all.

mod passkeys;
mod sign_ins;
mod signatures;
mod table;
mod tokens;
mod witnesses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_evidence::report::{self, Format};
use lockgate_evidence::{Statement, claim_of};
use lockgate_ledger::backtest::BacktestReport;
use lockgate_ledger::facts::is_statement_type;
use lockgate_ledger::feed::Snapshot;
use lockgate_ledger::{ApprovalDocument, Bundle, TrustFile};
use lockgate_model::facts::{Claim, Facts, FeedKind};
use lockgate_model::text::visible;
use lockgate_model::{
    CanonicalError, Digest, EnvName, GroupName, Limits, PersonId, ReleaseName, ServiceName, canonical, json,
};
use lockgate_policy::{GateOutcome, LintLevel, PolicySet, approver_objection, decide, lints};
use lockgate_sign::dsse::Envelope;
use lockgate_sign::note::{NoteError, VerifierKey};
use lockgate_sign::public_key::PublicKey;
use lockgate_tlog::checkpoint::{CheckpointError, SignedCheckpoint};
use lockgate_tlog::policy_file::{TrustError, TrustPolicy};
use lockgate_tlog::proof::{ProofError, hash_from_slice, verify_consistency};
use lockgate_tlog::proof_file::{ProofFile, ProofFileError};
use serde::Deserialize;
use serde_json::Value;

const LIMITS: &Limits = &Limits::DEFAULT;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The attack.
    pub id: String,
    /// What the attacker does.
    pub name: String,
    property: String,
    target: String,
    /// Each of these must be refused as `expect` says.
    #[serde(default)]
    inputs: Vec<Value>,
    /// What differs only in not being an attack: it must be accepted, or the case shows nothing.
    #[serde(default)]
    control: Option<Value>,
    #[serde(default)]
    expect: Option<Expect>,
    /// Where a story starts, and what it does; only for the target `story`.
    #[serde(default)]
    pub stage: Option<String>,
    /// What happens, in order.
    #[serde(default)]
    pub steps: Vec<Value>,
}

impl Case {
    /// Its id and name, for whoever reads what went wrong.
    pub fn label(&self) -> String {
        format!("{} ({})", self.id, self.name)
    }
}

/// Through which doors something was tried, with how many inputs, and what came out otherwise than expected.
#[derive(Debug, Default)]
pub struct Tried {
    /// `library`, `cli`, `http` and `page`.
    pub doors: BTreeSet<&'static str>,
    /// How many inputs.
    pub inputs: usize,
    /// What was not as expected, in words.
    pub wrong: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    code: String,
    /// A part of the message that must be there.
    #[serde(default)]
    says: Option<String>,
    /// Characters that must not be in the message.
    #[serde(default)]
    never: String,
    /// The outcome of the gate, for `facts`.
    #[serde(default)]
    gate: Option<String>,
    /// The outcome of the whole decision, for `facts`.
    #[serde(default)]
    decision: Option<String>,
}

/// What a reader answered.
#[derive(Debug, Default)]
struct Answer {
    code: String,
    message: String,
    gate: Option<String>,
    decision: Option<String>,
}

impl Answer {
    fn accepted() -> Self {
        Self { code: "ACCEPTED".to_owned(), ..Self::default() }
    }

    fn refused(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), ..Self::default() }
    }

    fn of<T>(result: Result<T, Self>) -> Self {
        result.map_or_else(|refused| refused, |_| Self::accepted())
    }

    fn is(&self, expect: &Expect) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.code == expect.code
            && expect.says.as_ref().is_none_or(|part| self.message.contains(part.as_str()))
            && !self.message.contains(|c: char| expect.never.contains(c))
            && same(&expect.gate, &self.gate)
            && same(&expect.decision, &self.decision)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attacks")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let parse = |path: &PathBuf| {
        let case: Case =
            serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{}-", case.id)), "{name} holds {}", case.id);
        case
    };
    paths.iter().map(parse).collect()
}

/// Holds a case against the library.
fn against_library(case: &Case) -> Tried {
    let label = case.label();
    let mut tried = Tried { doors: BTreeSet::from(["library"]), ..Tried::default() };
    let expect = case.expect.as_ref().unwrap_or_else(|| panic!("{label}: nothing is expected"));
    assert!(!case.inputs.is_empty(), "{label}: no input");
    for (number, input) in case.inputs.iter().enumerate() {
        let answer = answer(&case.target, input);
        tried.inputs += 1;
        if !answer.is(expect) {
            tried.wrong.push(format!("{label}, input {number}: wanted {expect:?}, got {answer:?}"));
        }
    }
    if let Some(control) = &case.control {
        let answer = answer(&case.target, control);
        if answer.code != "ACCEPTED" {
            tried.wrong.push(format!("{label}, control: wanted ACCEPTED, got {answer:?}"));
        }
    }
    tried
}

#[test]
fn every_case_is_listed_in_the_readme() {
    let readme = read(&folder().join("README.md"));
    for case in cases() {
        assert!(readme.contains(&format!("| {} |", case.id)), "{} is missing in tests/attacks/README.md", case.id);
        let promise = case.property.strip_prefix('P').and_then(|number| number.parse::<u8>().ok());
        assert!(
            promise.is_some_and(|number| (1..=10).contains(&number)),
            "{}: `{}` is no promise",
            case.id,
            case.property
        );
    }
}

fn answer(target: &str, input: &Value) -> Answer {
    match target {
        "json" => Answer::of(
            json::read(&bytes(input), LIMITS, json::Numbers::Integers)
                .map_err(|error| Answer::refused(error.code, error.message)),
        ),
        "canonical" => Answer::of(
            canonical::from_slice::<Value>(&bytes(input), LIMITS)
                .map_err(|error| Answer::refused(canonical_code(&error), error)),
        ),
        "digest" => Answer::of(text(input).parse::<Digest>().map_err(|error| Answer::refused("DIGEST_INVALID", error))),
        "name" => Answer::of(name(input).map_err(|message| Answer::refused("NAME_INVALID", message))),
        "text" => Answer::refused("SHOWN", visible(&text(input))),
        "statement" => Answer::of(statement(input)),
        "envelope" => Answer::of(envelope(input)),
        "report" => Answer::of(evidence_report(input)),
        "approval" => Answer::of(
            ApprovalDocument::from_bytes(&bytes(input)).map_err(|error| Answer::refused(error.code, error.message)),
        ),
        "bundle" => {
            Answer::of(Bundle::from_bytes(&bytes(input)).map_err(|error| Answer::refused(error.code, error.message)))
        }
        "policy" => Answer::of(policy(&input["files"], input["gates"].as_str())),
        "policy-document" => Answer::of(policy_document(input)),
        "lint" => lint(input),
        "facts" => facts(input),
        "feed" => Answer::of(feed(input)),
        "backtest" => Answer::of(backtest(input)),
        "signature" => Answer::of(signatures::verify(input)),
        "minisign" => Answer::of(signatures::verify_minisign(input)),
        "image-signature" => Answer::of(signatures::verify_image(input)),
        "checkpoint" => Answer::of(checkpoint(&input["vkey"], &input["note"])),
        "proof" => Answer::of(proof(input)),
        "consistency" => Answer::of(consistency(input)),
        "trust" => Answer::of(trust(input)),
        "passkey" => Answer::of(passkeys::verify(input)),
        "witnesses" => Answer::of(witnesses::open(input)),
        other => panic!("`{other}` is not a target"),
    }
}

/// Bytes as text, as `{"base64": ...}`, or as `{"parts": [{"text": ..., "times": ...}]}`.
fn bytes(input: &Value) -> Vec<u8> {
    if let Some(text) = input.as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(text) = input["base64"].as_str() {
        return STANDARD.decode(text).unwrap();
    }
    let parts = input["parts"].as_array().unwrap_or_else(|| panic!("not bytes: {input}"));
    let part =
        |part: &Value| part["text"].as_str().unwrap().repeat(usize::try_from(part["times"].as_u64().unwrap()).unwrap());
    parts.iter().map(part).collect::<String>().into_bytes()
}

fn text(input: &Value) -> String {
    String::from_utf8(bytes(input)).unwrap()
}

fn name(input: &Value) -> Result<(), String> {
    let text = text(&input["text"]);
    match input["kind"].as_str().unwrap() {
        "service" => text.parse::<ServiceName>().map(drop).map_err(|error| error.to_string()),
        "environment" => text.parse::<EnvName>().map(drop).map_err(|error| error.to_string()),
        "person" => text.parse::<PersonId>().map(drop).map_err(|error| error.to_string()),
        "group" => text.parse::<GroupName>().map(drop).map_err(|error| error.to_string()),
        "release" => text.parse::<ReleaseName>().map(drop).map_err(|error| error.to_string()),
        other => panic!("`{other}` is no kind of name"),
    }
}

/// As evidence is handed in: parse, find our artifact among the subjects, read the claim, compare its kind.
fn statement(input: &Value) -> Result<(), Answer> {
    let statement = Statement::parse(&bytes(&input["statement"]), LIMITS)
        .map_err(|error| Answer::refused(error.code, error.message))?;
    if let Some(artifact) = input["artifact"].as_str()
        && statement.about(&[artifact.parse().unwrap()]).is_empty()
    {
        return Err(Answer::refused("SUBJECT_MISMATCH", "about other artifacts"));
    }
    let claim = claim_of(&statement, LIMITS);
    if let Claim::Malformed { reason } = &claim {
        return Err(Answer::refused("EVIDENCE_MALFORMED", reason));
    }
    match input["want"].as_str() {
        Some(want) if want != claim.kind() => Err(Answer::refused("EVIDENCE_KIND", claim.kind())),
        _ => Ok(()),
    }
}

fn envelope(input: &Value) -> Result<(), Answer> {
    let envelope =
        Envelope::parse(&bytes(&input["envelope"]), LIMITS).map_err(|error| Answer::refused(error.code(), &error))?;
    if let Some(pem) = input["key"].as_str()
        && envelope.verify(&[PublicKey::from_pem(pem).unwrap()]).is_empty()
    {
        return Err(Answer::refused("SIGNATURE_INVALID", "no signature by the given key"));
    }
    match is_statement_type(&envelope.payload_type) {
        true => Ok(()),
        false => Err(Answer::refused("PAYLOAD_TYPE", envelope.payload_type)),
    }
}

fn evidence_report(input: &Value) -> Result<(), Answer> {
    let bytes = bytes(&input["report"]);
    let format = match input["format"].as_str() {
        Some(name) => name.parse::<Format>().unwrap(),
        None => report::detect(&bytes).ok_or_else(|| Answer::refused("EVIDENCE_UNKNOWN", "no known format"))?,
    };
    report::read(format, &bytes, LIMITS).map(drop).map_err(|error| Answer::refused(error.code, error.message))
}

/// The base policy set with files laid over it; `null` takes a file away.
fn policy(files: &Value, gates: Option<&str>) -> Result<PolicySet, Answer> {
    let base = folder().join("base/policy");
    let paths = ["policy.toml", "environments.toml", "people.toml", "trust.toml", "gates/base.toml"];
    let mut set: BTreeMap<String, String> =
        paths.iter().map(|path| ((*path).to_owned(), read(&base.join(path)))).collect();
    for (path, over) in files.as_object().into_iter().flatten() {
        match over {
            Value::Null => set.remove(path),
            over => set.insert(path.clone(), text(over)),
        };
    }
    if let Some(gates) = gates {
        set.insert("gates/base.toml".to_owned(), gates.to_owned());
    }
    PolicySet::from_files(set).map_err(|errors| {
        let lines = errors.iter().map(|error| format!("{error} {}", error.hint.as_deref().unwrap_or_default()));
        Answer::refused("POLICY_INVALID", lines.collect::<Vec<_>>().join("\n"))
    })
}

/// The document of the base policy set, changed at pointers or taken as it is.
fn policy_document(input: &Value) -> Result<PolicySet, Answer> {
    let document = policy(&Value::Null, None)?.document();
    let bytes = match &input["document"] {
        Value::Null => {
            let mut document: Value = serde_json::from_slice(&document).unwrap();
            merge(&mut document, &input["merge"]);
            canonical::to_vec(&document).unwrap()
        }
        given => bytes(given),
    };
    PolicySet::from_document(&bytes).map_err(|errors| {
        Answer::refused("POLICY_INVALID", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// What `policy check --strict` would refuse first.
fn lint(input: &Value) -> Answer {
    let policy = match policy(&input["files"], input["gates"].as_str()) {
        Ok(policy) => policy,
        Err(refused) => return refused,
    };
    let people = input["people"].as_array();
    let people = people.map(|people| people.iter().map(|id| text(id).parse().unwrap()).collect::<BTreeSet<PersonId>>());
    match lints(&policy, people.as_ref()).iter().find(|lint| lint.level == LintLevel::Warning) {
        Some(lint) => Answer::refused(lint.code, lint),
        None => Answer::accepted(),
    }
}

fn feed(input: &Value) -> Result<(), Answer> {
    let kind: FeedKind = text(&input["kind"]).parse().unwrap();
    let read = Snapshot::read(kind, &bytes(&input["snapshot"]));
    read.map(drop).map_err(|error| Answer::refused(error.code, error.message))
}

/// The base report, changed by a JSON merge patch, or taken as it is; then held against the change that names it.
fn backtest(input: &Value) -> Result<(), Answer> {
    let refused = |error: lockgate_ledger::state::ApplyError| Answer::refused(error.code, error.message);
    let mut document: Value = serde_json::from_str(&read(&folder().join("base/backtest.json"))).unwrap();
    let of = |name: &str| match &input[name] {
        Value::Null => text(&document[name]),
        given => text(given),
    };
    let (ledger, proposed, base) = (of("ledger"), of("proposed").parse().unwrap(), of("base").parse().unwrap());
    merge(&mut document, &input["merge"]);
    let bytes = match &input["report"] {
        Value::Null => canonical::to_vec(&document).unwrap(),
        given => bytes(given),
    };
    BacktestReport::from_bytes(&bytes).and_then(|report| report.check(&ledger, proposed, base)).map_err(refused)
}

/// Decides on the base facts, changed by a JSON merge patch (RFC 7396); the gate in question is called `g`.
fn facts(input: &Value) -> Answer {
    let policy = match policy(&input["files"], input["gates"].as_str()) {
        Ok(policy) => policy,
        Err(refused) => return refused,
    };
    let mut document: Value = serde_json::from_str(&read(&folder().join("base/facts.json"))).unwrap();
    merge(&mut document, &input["merge"]);
    let document = document.to_string().replace("$POLICY", &policy.digest().to_string());
    let facts: Facts = serde_json::from_str(&document).unwrap_or_else(|error| panic!("{error}: {document}"));
    if let Some(person) = input["approver"].as_str() {
        return match approver_objection(&policy, &facts, &person.parse().unwrap()) {
            None => Answer::accepted(),
            Some((reason, why)) => Answer::refused(reason.as_str(), why),
        };
    }
    let decision = decide(&policy, &facts);
    // What the policy set itself says comes before what its gates say.
    let own = decision.gates.iter().find(|gate| gate.gate.as_str() == "policy" && gate.outcome == GateOutcome::Fail);
    let named = || decision.gates.iter().find(|gate| gate.gate.as_str() == "g").or(decision.gates.first());
    let gate = own.or_else(named).unwrap();
    let code = match gate.outcome {
        GateOutcome::Pass | GateOutcome::Waived | GateOutcome::Overridden => "ACCEPTED",
        GateOutcome::Fail | GateOutcome::Pending | GateOutcome::Warn => gate.reason.as_str(),
    };
    Answer {
        gate: Some(gate.outcome.as_str().to_owned()),
        decision: Some(decision.outcome.as_str().to_owned()),
        ..Answer::refused(code, &gate.found)
    }
}

fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    for (key, value) in patch {
        match value {
            Value::Null => {
                document.as_object_mut().unwrap().remove(key);
            }
            Value::Object(_) if document[key.as_str()].is_object() => merge(&mut document[key.as_str()], value),
            value => document[key.as_str()] = value.clone(),
        }
    }
}

fn checkpoint(vkey: &Value, note: &Value) -> Result<SignedCheckpoint, Answer> {
    let key: VerifierKey =
        vkey.as_str().unwrap().parse().map_err(|error: NoteError| Answer::refused(note_code(&error), error))?;
    SignedCheckpoint::open(&bytes(note), &key, LIMITS).map_err(|error| Answer::refused(checkpoint_code(&error), error))
}

fn proof(input: &Value) -> Result<(), Answer> {
    let refused = |error: ProofFileError| Answer::refused(proof_file_code(&error), error);
    let policy: TrustPolicy = format!("log {}\nquorum none\n", input["vkey"].as_str().unwrap()).parse().unwrap();
    let file = ProofFile::parse(&bytes(&input["proof"]), LIMITS).map_err(refused)?;
    file.verify(&bytes(&input["leaf"]), &policy, LIMITS).map(drop).map_err(refused)
}

/// A trust file: `merge` over the base, or `text` as it is.
fn trust(input: &Value) -> Result<TrustFile, Answer> {
    let bytes = match &input["text"] {
        Value::Null => {
            let mut document: Value = serde_json::from_str(&read(&folder().join("base/trust.json"))).unwrap();
            merge(&mut document, &input["merge"]);
            document.to_string().into_bytes()
        }
        given => bytes(given),
    };
    TrustFile::from_bytes(&bytes).map_err(|error| Answer::refused(error.code, error.message))
}

/// Two checkpoints of one log, and the proof that the newer one continues the older one.
fn consistency(input: &Value) -> Result<(), Answer> {
    let refused = |error: ProofError| Answer::refused(proof_code(&error), error);
    let old = checkpoint(&input["vkey"], &input["old"])?.checkpoint;
    let new = checkpoint(&input["vkey"], &input["new"])?.checkpoint;
    let hash = |hash: &Value| hash_from_slice(&STANDARD.decode(hash.as_str().unwrap()).unwrap());
    let path =
        input["path"].as_array().unwrap().iter().map(hash).collect::<Result<Vec<Digest>, _>>().map_err(refused)?;
    verify_consistency(old.size, new.size, &path, &old.root, &new.root).map_err(refused)
}

fn canonical_code(error: &CanonicalError) -> &'static str {
    match error {
        CanonicalError::Json(error) => error.code,
        CanonicalError::NotCanonical => "NOT_CANONICAL",
        CanonicalError::NoForm(_) => "NO_CANONICAL_FORM",
    }
}

fn note_code(error: &NoteError) -> &'static str {
    match error {
        NoteError::TooLarge { .. } => "NOTE_TOO_LARGE",
        NoteError::TooManySignatures { .. } => "NOTE_TOO_MANY_SIGNATURES",
        NoteError::Malformed(_) => "NOTE_MALFORMED",
        NoteError::BadName(_) => "NOTE_BAD_NAME",
        NoteError::BadVerifierKey { .. } => "NOTE_BAD_VERIFIER_KEY",
        NoteError::BadSeed => "NOTE_BAD_SEED",
        NoteError::WrongKind(_) => "NOTE_WRONG_KIND",
        NoteError::BadSignature(_) => "NOTE_BAD_SIGNATURE",
        NoteError::NotSigned(_) => "NOTE_NOT_SIGNED",
    }
}

fn checkpoint_code(error: &CheckpointError) -> &'static str {
    match error {
        CheckpointError::Note(error) => note_code(error),
        CheckpointError::NotThreeLines => "CHECKPOINT_NOT_THREE_LINES",
        CheckpointError::Extension => "CHECKPOINT_EXTENSION",
        CheckpointError::Origin => "CHECKPOINT_ORIGIN",
        CheckpointError::Size(_) => "CHECKPOINT_SIZE",
        CheckpointError::Root(_) => "CHECKPOINT_ROOT",
        CheckpointError::EmptyRoot => "CHECKPOINT_EMPTY_ROOT",
        CheckpointError::OtherLog { .. } => "CHECKPOINT_OTHER_LOG",
        CheckpointError::NotLogKey(_) => "CHECKPOINT_NOT_LOG_KEY",
    }
}

fn proof_code(error: &ProofError) -> &'static str {
    match error {
        ProofError::IndexOutOfRange { .. } => "PROOF_INDEX_OUT_OF_RANGE",
        ProofError::SizesOutOfOrder { .. } => "PROOF_SIZES_OUT_OF_ORDER",
        ProofError::HashLength(_) => "PROOF_HASH_LENGTH",
        ProofError::PathLength => "PROOF_PATH_LENGTH",
        ProofError::RootMismatch => "PROOF_ROOT_MISMATCH",
    }
}

fn proof_file_code(error: &ProofFileError) -> &'static str {
    match error {
        ProofFileError::TooLarge { .. } => "PROOF_TOO_LARGE",
        ProofFileError::TooManyHashes(_) => "PROOF_TOO_MANY_HASHES",
        ProofFileError::Form(_) => "PROOF_FORM",
        ProofFileError::Trust(error) => trust_code(error),
        ProofFileError::Proof(error) => proof_code(error),
    }
}

fn trust_code(error: &TrustError) -> &'static str {
    match error {
        TrustError::Checkpoint(error) => checkpoint_code(error),
        TrustError::UnknownLog(_) => "TRUST_UNKNOWN_LOG",
        TrustError::Cosignature(_) => "TRUST_COSIGNATURE",
        TrustError::QuorumNotMet { .. } => "TRUST_QUORUM_NOT_MET",
    }
}
