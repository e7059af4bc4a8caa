//! Lints: what a policy set may say, and probably does not mean. They are shown by `policy check` and refuse nothing
//! by themselves; with `--strict`, warnings do.

mod holes;
mod unsatisfiable;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lockgate_model::{PersonId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::access::Object;
use crate::binding::Binding;
use crate::environment::Environment;
use crate::gate::{Enforcement, Gate};
use crate::gates::GateKind;
use crate::pattern::Pattern;
use crate::people::Group;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::policy_test::run_tests;
use crate::settings::Settings;
use crate::test_coverage::coverage;
use crate::trust::TrustedSigner;
use crate::trusted_identity::Proof;
use crate::wording::all_of;

/// The most parts of a service's name.
const SERVICE_PARTS_MAX: usize = 4;
/// Refs of branches, for whether a pattern is about them.
const BRANCHES: [&str; 3] = ["refs/heads/main", "refs/heads/1/head", "refs/heads/1/merge"];
/// Refs of changes that somebody proposes, under names that forges give.
const PROPOSALS: [&str; 3] = ["refs/pull/1/head", "refs/pull/1/merge", "refs/merge-requests/1/head"];

/// How much a lint matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LintLevel {
    /// Worth knowing.
    Note,
    /// Probably a mistake.
    Warning,
}

impl LintLevel {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for LintLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that a policy set probably does not mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// A stable code of [`LINTS`].
    pub code: &'static str,
    /// How much it matters.
    pub level: LintLevel,
    /// The file, relative to the policy set's directory.
    pub file: String,
    /// The line, from 1, where one can be named.
    pub line: Option<usize>,
    /// What it says, and why that is doubtful.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {} [{}]", self.file, self.message, self.code),
            None => write!(f, "{}: {} [{}]", self.file, self.message, self.code),
        }
    }
}

macro_rules! lints {
    ($($name:ident = $code:literal, $level:ident: $text:literal;)*) => {
        $(const $name: (&str, LintLevel) = ($code, LintLevel::$level);)*
        /// Every code with its explanation.
        pub const LINTS: &[(&str, &str)] = &[$(($code, $text),)*];
    };
}

lints! {
    APPROVES_EVERYTHING = "LINT_APPROVES_EVERYTHING", Note: "A role approves for every service in every environment. Bind it in `[[bindings]]` with `services` or `environments` once there are several teams.";
    IDENTITY_MATCHES_ALL = "LINT_IDENTITY_MATCHES_ALL", Warning: "A binding is for `*`: everyone who is enrolled, now or later, machines too, holds the role. Name the people, or bind a group.";
    IDENTITY_BROAD = "LINT_IDENTITY_BROAD", Warning: "A trusted identity is everything of one owner: every repository and every workflow, also one that anybody there adds tomorrow. Name the repository and the workflow, or demand claims.";
    PERSON_UNKNOWN = "LINT_PERSON_UNKNOWN", Warning: "A binding names somebody who is not enrolled: whoever is enrolled under that name later holds the role at once. Enrol them, or take the name out.";
    ROLE_UNUSED = "LINT_ROLE_UNUSED", Note: "Nobody holds the role. Bind it, give it to a group, or remove it.";
    GATE_UNREACHABLE = "LINT_GATE_UNREACHABLE", Warning: "No service can have a name that the gate's `services` match, so it never applies. Write names in lower case, in up to four parts joined by `/`.";
    GATE_UNSATISFIABLE = "LINT_GATE_UNSATISFIABLE", Warning: "Nothing can pass the gate, or nothing from some moment on: what it demands cannot be there (a signature on reports that no signed statement carries, more people than are enrolled), comes too late (`not_before` after the last approval has ended), leads back to where the release stands (`certified_in`), or is denied at all times (windows without a gap). The message says which. Change what the hint names.";
    WINDOW_ENDS = "LINT_WINDOW_ENDS", Warning: "No window in which the gate lets something in comes again, so that it closes for good at the end of the last one, and denies everything from then on. Give a window a `repeat`, or name the times that are denied instead.";
    SIGNATURE_PARTIAL = "LINT_SIGNATURE_PARTIAL", Note: "The gate asks for the signatures of some artifacts alone, by their names, and whoever publishes a release gives its artifacts their names: what is published under another name needs no signature. Leave `artifacts` out where every artifact can be signed.";
    REFS_BROAD = "LINT_REFS_BROAD", Warning: "A pattern over refs matches branches and pull requests alike, so that what anybody proposes counts as merged. Name branches and tags, such as `refs/heads/main` or `refs/tags/v*`.";
    SEVERITY_GAP = "LINT_SEVERITY_GAP", Warning: "The gate blocks a severity and lets a worse one through: `block` names each severity by itself, not the least one. Add the worse ones, here or in another gate about vulnerabilities that applies wherever this one does.";
    GATE_REDUNDANT = "LINT_GATE_REDUNDANT", Note: "Another gate demands the same wherever this one applies. Remove one of both.";
    GATE_NEVER_ENFORCED = "LINT_GATE_NEVER_ENFORCED", Warning: "The gate begins to block on a day on which the policy set is over already. Move `enforce_from` or `expires_at`.";
    ENVIRONMENT_UNREACHABLE = "LINT_ENVIRONMENT_UNREACHABLE", Warning: "Nobody holds a role that may ask for a promotion into the environment, so its gates are never asked. Give somebody a role with the permission `request` there.";
    ENVIRONMENT_WITHOUT_GATES = "LINT_ENVIRONMENT_WITHOUT_GATES", Warning: "No gate applies in the environment, so everything is denied there: an environment that demands nothing lets nothing in. Add a gate for it under `gates/`, or remove the environment.";
    ENVIRONMENT_ONLY_WARNS = "LINT_ENVIRONMENT_ONLY_WARNS", Warning: "Every gate of the environment only warns, so everything is let in. Let at least one gate block.";
    DENY_IF_EVIDENCE = "LINT_DENY_IF_EVIDENCE", Warning: "The gate objects to what a test hands in, and passes as soon as nothing is handed in, or nothing of one kind. Whoever wants it to pass keeps that back. Let it demand the evidence first (a Rego gate by `needs`), and then look into it.";
    TESTS_MISSING = "LINT_TESTS_MISSING", Note: "The policy set has no tests, so nothing shows what it lets in and what it denies. Put some beside it, in `tests/*.toml`.";
    GATE_UNTESTED = "LINT_GATE_UNTESTED", Note: "No test shows the gate objecting, so a mistake in it would go unseen. `lockgate policy test` prints what is covered.";
    EXPIRED = "LINT_POLICY_EXPIRED", Warning: "The policy set is over: where it is active, everything is denied. Move `expires_at`.";
    EXPIRES_SOON = "LINT_POLICY_EXPIRES_SOON", Note: "The policy set is over soon, and everything is denied from then on. Review it, and move `expires_at`.";
}

/// Every lint of a policy set, in the order of files and lines. Whether those whom it names are enrolled, and as many as
/// it wants approvals of, is only asked where `people`, all who are enrolled, are given.
pub fn lints(policy: &PolicySet, people: Option<&BTreeSet<PersonId>>) -> Vec<Lint> {
    let files = files(policy);
    let mut lints: Vec<Lint> = policy.bindings().iter().flat_map(|binding| of_binding(binding, people)).collect();
    lints.extend(of_roles(policy, &files));
    lints.extend(of_signers(policy, &files));
    lints.extend(of_environments(policy));
    for (at, gate) in policy.gates().iter().enumerate() {
        lints.extend(of_gate(policy, gate, at));
        lints.extend(unsatisfiable::of_gate(policy, gate, people));
    }
    lints.extend(of_tests(policy));
    lints.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    lints
}

/// Whether a policy set is over at a moment, or will be soon.
pub fn expiry_lint(policy: &PolicySet, now: UnixMillis) -> Option<Lint> {
    let settings = policy.settings();
    let end = settings.expires_at?;
    let name = &settings.name;
    let (kind, message) = match now < end {
        false => (EXPIRED, format!("the policy set `{name}` ended at {end}: everything is denied")),
        true if end.0.saturating_sub(settings.expiry_warning.millis()) <= now.0 => {
            (EXPIRES_SOON, format!("the policy set `{name}` ends at {end}, and everything is denied from then on"))
        }
        true => return None,
    };
    let hint = "review it, move `expires_at`, then: lockgate policy activate <dir> --reason \"...\"";
    Some(lint(kind, Settings::FILE, Some(policy.expiry_line()), message, hint))
}

fn lint(
    (code, level): (&'static str, LintLevel),
    file: &str,
    line: Option<usize>,
    message: String,
    hint: &str,
) -> Lint {
    Lint { code, level, file: file.to_owned(), line, message, hint: Some(hint.to_owned()) }
}

fn at_gate(kind: (&'static str, LintLevel), gate: &Gate, message: &str, hint: &str) -> Lint {
    let message = format!("gate `{}` {message}", gate.name);
    lint(kind, &gate.rule.file, Some(gate.rule.line), message, hint)
}

/// The files of a policy set, by path.
pub(crate) fn files(policy: &PolicySet) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Document {
        files: BTreeMap<String, String>,
    }
    // INVARIANT (a policy set has a document): it was made from exactly these files.
    serde_json::from_slice::<Document>(&policy.document()).map(|document| document.files).unwrap_or_default()
}

/// The first line, from 1, of a file that begins with one of these texts.
fn line_with(files: &BTreeMap<String, String>, file: &str, starts: &[String]) -> Option<usize> {
    let begins = |line: &str| starts.iter().any(|start| line.trim_start().starts_with(start.as_str()));
    files.get(file)?.lines().position(begins).map(|at| at + 1)
}

fn of_binding(binding: &Binding, people: Option<&BTreeSet<PersonId>>) -> Vec<Lint> {
    let at = |kind, message: String, hint: &str| lint(kind, &binding.rule.file, Some(binding.rule.line), message, hint);
    let mut lints = Vec::new();
    let every = |patterns: &Option<Vec<Pattern>>| {
        patterns.as_ref().is_none_or(|patterns| patterns.iter().any(Pattern::is_everything))
    };
    let role = &binding.role;
    if binding.permissions.contains(&Permission::Approve) && every(&binding.services) && every(&binding.environments) {
        let message = format!("the role `{role}` approves everything: every service, into every environment");
        let hint = "once there are several teams, name `services` or `environments` in `[[bindings]]`";
        lints.push(at(APPROVES_EVERYTHING, message, hint));
    }
    for pattern in &binding.people {
        if pattern.is_everything() {
            let message = format!("everyone who is enrolled holds the role `{role}`: `{pattern}` matches every name");
            lints.push(at(IDENTITY_MATCHES_ALL, message, "name the people, or bind a group"));
        }
        let nobody = people.is_some_and(|people| !people.iter().any(|person| pattern.matches(person.as_str())));
        if nobody {
            let message = format!("nobody who is enrolled is called `{pattern}`");
            let hint = "whoever is enrolled under that name later would hold the role at once";
            lints.push(at(PERSON_UNKNOWN, message, hint));
        }
    }
    lints
}

fn of_roles(policy: &PolicySet, files: &BTreeMap<String, String>) -> Vec<Lint> {
    let bound = |role: &lockgate_model::RoleName| policy.bindings().iter().any(|binding| binding.role == *role);
    let unused = policy.roles().filter(|role| !bound(role));
    unused
        .map(|role| {
            let line = line_with(files, Group::FILE, &[format!("[role.{role}]"), format!("[role.\"{role}\"]")]);
            let hint = "bind it in `[[bindings]]`, give it to a group, or remove it";
            lint(ROLE_UNUSED, Group::FILE, line, format!("nobody holds the role `{role}`"), hint)
        })
        .collect()
}

fn of_signers(policy: &PolicySet, files: &BTreeMap<String, String>) -> Vec<Lint> {
    let broad = |signer: &&TrustedSigner| matches!(&signer.proof, Proof::Identity(identity) if identity.is_broad());
    policy
        .signers()
        .iter()
        .filter(broad)
        .map(|signer| {
            let name = &signer.name;
            let line = line_with(files, TrustedSigner::FILE, &[format!("name = \"{name}\"")]);
            let message = format!("`{name}` is every pipeline of one owner, also those of other repositories");
            let hint = "name the repository and the workflow in `identity`, or demand `claims`";
            lint(IDENTITY_BROAD, TrustedSigner::FILE, line, message, hint)
        })
        .collect()
}

fn of_environments(policy: &PolicySet) -> Vec<Lint> {
    let mut lints = Vec::new();
    for environment in policy.environments() {
        let name = &environment.name;
        let mut at = |kind, message: String, hint: &str| {
            lints.push(lint(kind, Environment::FILE, Some(environment.line), message, hint));
        };
        let mut gates = policy.gates().iter().filter(|gate| gate.environments.contains(name)).peekable();
        if gates.peek().is_none() {
            let message = format!("no gate applies in `{name}`: everything is denied there");
            at(ENVIRONMENT_WITHOUT_GATES, message, "add a gate for it under gates/, or remove the environment");
        } else if gates.all(|gate| gate.enforcement == Enforcement::Never) {
            let message = format!("every gate of `{name}` only warns: everything is let in");
            at(ENVIRONMENT_ONLY_WARNS, message, "let at least one gate block");
        }
        let asks = |binding: &Binding| {
            let here = |patterns: &Vec<Pattern>| patterns.iter().any(|pattern| pattern.matches(name.as_str()));
            binding.covers(Permission::Request, Object::Anywhere) && binding.environments.as_ref().is_none_or(here)
        };
        if !policy.bindings().iter().any(asks) {
            let message = format!("nobody may ask for a promotion into `{name}`");
            at(ENVIRONMENT_UNREACHABLE, message, "give somebody a role with the permission `request` there");
        }
    }
    lints
}

fn of_gate(policy: &PolicySet, gate: &Gate, at: usize) -> Vec<Lint> {
    let mut lints = Vec::new();
    if gate.services.as_ref().is_some_and(|patterns| !patterns.iter().any(can_name_service)) {
        let message = "never applies: no service can have a name that its `services` match";
        let hint = "write names in lower case, in up to four parts joined by `/`";
        lints.push(at_gate(GATE_UNREACHABLE, gate, message, hint));
    }
    if let GateKind::Signature(config) = &gate.kind
        && !config.artifacts.is_empty()
    {
        let message = "asks for signatures by the names of artifacts: what is published under another name needs none";
        lints.push(at_gate(
            SIGNATURE_PARTIAL,
            gate,
            message,
            "leave `artifacts` out where every artifact can be signed",
        ));
    }
    lints.extend(broad_refs(gate));
    lints.extend(severity_gap(policy, gate));
    let end = policy.settings().expires_at;
    if let (Enforcement::From(start), Some(end)) = (gate.enforcement, end)
        && start >= end
    {
        let message = format!("blocks from {start} on, and the policy set is over at {end}");
        lints.push(at_gate(GATE_NEVER_ENFORCED, gate, &message, "move `enforce_from` or `expires_at`"));
    }
    // Of two gates that say the same, the later one is told.
    let others = policy.gates().iter().enumerate();
    let twin = others
        .filter(|(other, _)| *other != at)
        .find(|(other, twin)| says_as_much(twin, gate) && (*other < at || !says_as_much(gate, twin)));
    if let Some((_, twin)) = twin {
        let message = format!("demands nothing that `{}` ({}) does not demand", twin.name, twin.rule);
        lints.push(at_gate(GATE_REDUNDANT, gate, &message, "remove one of both"));
    }
    lints
}

/// The patterns of a gate that are about branches, and let through what is only proposed as well.
fn broad_refs(gate: &Gate) -> Vec<Lint> {
    let refs = match &gate.kind {
        GateKind::Provenance(config) => config.source_refs.as_slice(),
        GateKind::Source(config) => config.refs.as_slice(),
        _ => &[],
    };
    let is_about = |pattern: &Pattern, refs: &[&str]| refs.iter().any(|one| pattern.matches(one));
    let broad = refs.iter().filter(|pattern| is_about(pattern, &BRANCHES) && is_about(pattern, &PROPOSALS));
    let hint = "name branches and tags, such as `refs/heads/main` or `refs/tags/v*`";
    let told = |pattern: &Pattern| format!("accepts pull requests as it does branches: `{pattern}` matches both");
    broad.map(|pattern| at_gate(REFS_BROAD, gate, &told(pattern), hint)).collect()
}

/// That a gate blocks a severity, and neither it nor another that applies wherever it does blocks a worse one.
fn severity_gap(policy: &PolicySet, gate: &Gate) -> Option<Lint> {
    let GateKind::Vulnerabilities(config) = &gate.kind else { return None };
    let passed = config.passed_over(|severity| {
        let blocks = |other: &Gate| matches!(&other.kind, GateKind::Vulnerabilities(one) if one.is_blocked(severity));
        policy.gates().iter().any(|other| applies_as_much(other, gate) && blocks(other))
    });
    let message = format!("lets {} through, and blocks what is less bad", all_of(&passed));
    (!passed.is_empty()).then(|| at_gate(SEVERITY_GAP, gate, &message, "add it to `block`"))
}

/// Whether one gate demands the same as another wherever that one applies, and blocks as much.
fn says_as_much(one: &Gate, other: &Gate) -> bool {
    one.kind == other.kind && applies_as_much(one, other)
}

/// Whether one gate applies wherever another does, and blocks as much.
fn applies_as_much(one: &Gate, other: &Gate) -> bool {
    let blocks = one.enforcement == Enforcement::Always || one.enforcement == other.enforcement;
    let services = one.services.is_none() || one.services == other.services;
    blocks && services && other.environments.iter().all(|environment| one.environments.contains(environment))
}

/// Whether a service can have a name that a pattern matches (`a-z 0-9 . _ -`, in up to four parts).
fn can_name_service(pattern: &Pattern) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-' | b'*');
    let part = |part: &str| part.bytes().all(plain) && !part.starts_with(['.', '_', '-']) && !part.ends_with('.');
    pattern.as_str().split('/').count() <= SERVICE_PARTS_MAX && pattern.as_str().split('/').all(part)
}

/// What the policy set's own tests show of its gates.
fn of_tests(policy: &PolicySet) -> Vec<Lint> {
    if policy.tests().is_empty() {
        let message = "the policy set has no tests".to_owned();
        return vec![lint(TESTS_MISSING, "tests/", None, message, "put some beside it, in tests/*.toml")];
    }
    let mut lints = Vec::new();
    let results = run_tests(policy);
    let covered = coverage(policy, &results);
    let holes = holes::holes(policy, &results);
    for (gate, seen) in policy.gates().iter().zip(&covered.gates) {
        if seen.objects.is_empty() {
            let hint = "add a test in which it fails, waits or warns, and name it in `gates`";
            lints.push(at_gate(GATE_UNTESTED, gate, "is not seen objecting by any test", hint));
        }
        if let Some(hole) = holes.get(&gate.name) {
            let hint = "demand that the evidence is there before looking into it: a Rego gate does so by `needs`";
            lints.push(at_gate(DENY_IF_EVIDENCE, gate, &hole.message(), hint));
        }
    }
    lints
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
