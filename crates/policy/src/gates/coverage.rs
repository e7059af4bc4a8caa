//! Coverage: a gate about evidence has to be satisfied for every artifact of the release.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{Artifact, Claim, EvidenceFact, Facts, SignatureFact};
use lockgate_model::{Digest, ReleaseName, SignerName, UnixMillis};

use super::ending::{self, next_step};
use super::mistyped::mistyped;
use super::{Assessment, Context, Standing};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::trust::EvidenceKind;
use crate::wording::{few, one_of, shown};

/// What satisfies a gate for one artifact, or for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) text: String,
    pub(super) evidence: Vec<Digest>,
    /// Whether it does so only through waivers.
    pub(super) waived: bool,
}

/// Why a gate is not satisfied for one artifact, or for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shortfall {
    pub(super) reason: Reason,
    pub(super) text: String,
    pub(super) evidence: Vec<Digest>,
}

/// The evidence that a gate wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) kind: EvidenceKind,
    /// Whose signature it wants; empty when unsigned reports count too.
    pub(super) signed_by: &'a [SignerName],
    /// What the evidence is called in a sentence, such as `test results`.
    pub(super) noun: &'static str,
    /// The reason when there is none.
    pub(super) missing: Reason,
}

impl Demand<'_> {
    /// The end of a sentence about what is needed.
    pub(super) fn signed_by_text(&self) -> String {
        match self.signed_by {
            [] => String::new(),
            names => format!(", signed by {}", one_of(names)),
        }
    }

    /// What mends that no such evidence counts. `arguments` hand in a plain report, which is no help where the gate wants
    /// a signature. Evidence that counts and says the wrong thing has to be made anew, whoever signed it.
    pub(super) fn fix(&self, ctx: Context<'_>, reason: Reason, arguments: &str) -> String {
        let signed = self.signed_in(ctx);
        let signers = match self.signed_by {
            [] => "a signer of trust.toml".to_owned(),
            names => one_of(names),
        };
        match (reason, self.signed_by) {
            (Reason::NoArtifacts, _) => ctx.push_next(""),
            (Reason::EvidenceType, _) => {
                format!("sign it again under a predicate type that docs/evidence.md lists, then: {signed}")
            }
            (Reason::EvidenceFromFuture, _) => {
                self.anew(ctx, "set the clock of the machine that made it, and make it anew", arguments)
            }
            (reason, names) => match next_step(ctx, reason, &signers, &signed) {
                Some(again) if names.is_empty() => format!("{}\nor {again}", ctx.attest(arguments)),
                Some(again) => again,
                None if names.is_empty() => ctx.attest(arguments),
                None if reason == self.missing || reason == Reason::EvidenceUnsigned => {
                    format!("have it signed by {signers}, then: {signed}")
                }
                None => self.anew(ctx, "make it anew", arguments),
            },
        }
    }

    /// What mends evidence that counts and says the wrong thing: `step` is what to do, and the new evidence is handed
    /// in as the gate wants it.
    pub(super) fn anew(&self, ctx: Context<'_>, step: &str, arguments: &str) -> String {
        match self.signed_by {
            [] => format!("{step}, then: {}", ctx.attest(arguments)),
            names => format!("{step}, have that signed by {}, then: {}", one_of(names), self.signed_in(ctx)),
        }
    }

    /// The command that hands it in signed.
    fn signed_in(&self, ctx: Context<'_>) -> String {
        ctx.attest(&format!("--attestation {}.dsse.json", self.kind))
    }

    /// The claims about one artifact that count, in ledger order and never empty, or why none does.
    pub(super) fn counted<'a, T: 'a>(
        &self,
        ctx: Context<'a>,
        artifact: &Artifact,
        pick: impl Fn(&'a Claim) -> Option<&'a T>,
    ) -> Result<Vec<(&'a EvidenceFact, &'a T)>, Shortfall> {
        let mut counted = Vec::new();
        let mut unsigned = Vec::new();
        let mut untrusted = Vec::new();
        let mut others = BTreeSet::new();
        for fact in ctx.about(artifact.digest) {
            let Some(claim) = pick(&fact.claim) else {
                others.insert(fact.claim.kind());
                continue;
            };
            match ctx.standing(fact, self.kind, self.signed_by) {
                Standing::Counts => counted.push((fact, claim)),
                Standing::Unsigned => unsigned.push(fact.evidence),
                Standing::Untrusted => untrusted.push(fact),
            }
        }
        let noun = self.noun;
        if !counted.is_empty() {
            Ok(counted)
        } else if !untrusted.is_empty() {
            Err(ending::shortfall(ctx, self.kind, self.signed_by, noun, &untrusted))
        } else if !unsigned.is_empty() {
            let text = format!("unsigned {noun}, handed in on behalf of its maker");
            Err(Shortfall { reason: Reason::EvidenceUnsigned, text, evidence: unsigned })
        } else if let Some(shortfall) = mistyped(ctx, artifact, self.kind, noun) {
            Err(shortfall)
        } else {
            let text = match others.is_empty() {
                true => format!("no {noun}, and no other evidence"),
                false => format!("no {noun}, only {}", few(others, ", ")),
            };
            Err(Shortfall { reason: self.missing, text, evidence: Vec::new() })
        }
    }

    /// The newest claim about one artifact that counts, by its place in the ledger, or why none does.
    pub(super) fn newest<'a, T: 'a>(
        &self,
        ctx: Context<'a>,
        artifact: &Artifact,
        pick: impl Fn(&'a Claim) -> Option<&'a T>,
    ) -> Result<(&'a EvidenceFact, &'a T), Shortfall> {
        let counted = self.counted(ctx, artifact, pick)?;
        let missing = || Shortfall { reason: self.missing, text: format!("no {}", self.noun), evidence: Vec::new() };
        counted.into_iter().max_by_key(|(fact, _)| fact.index).ok_or_else(missing)
    }

    /// The newest claims about one artifact that count, in ledger order and never empty, or why none does; see
    /// [`together`].
    pub(super) fn newest_together<'a, T: 'a>(
        &self,
        ctx: Context<'a>,
        artifact: &Artifact,
        pick: impl Fn(&'a Claim) -> Option<&'a T>,
    ) -> Result<Vec<Counted<'a, T>>, Shortfall> {
        Ok(together(self.counted(ctx, artifact, pick)?))
    }
}

/// One claim with its evidence.
pub(super) type Counted<'a, T> = (&'a EvidenceFact, &'a T);

/// Of several claims the newest one, by its place in the ledger, with all that were recorded at its time; in ledger
/// order.
///
/// What is handed in by one request is recorded at one time and belongs together: no file of it replaces another one.
pub(super) fn together<T>(mut claims: Vec<Counted<'_, T>>) -> Vec<Counted<'_, T>> {
    claims.sort_by_key(|(fact, _)| fact.index);
    let newest: Option<UnixMillis> = claims.last().map(|(fact, _)| fact.recorded_at);
    claims.retain(|(fact, _)| Some(fact.recorded_at) == newest);
    claims
}

/// The same of each kind of claim by itself, such as of each tool: in the order of the keys, and then of the ledger.
pub(super) fn together_by<'a, T, K: Ord>(claims: Vec<Counted<'a, T>>, key: impl Fn(&'a T) -> K) -> Vec<Counted<'a, T>> {
    let mut of_each: BTreeMap<K, Vec<Counted<'a, T>>> = BTreeMap::new();
    for (fact, claim) in claims {
        of_each.entry(key(claim)).or_default().push((fact, claim));
    }
    of_each.into_values().flat_map(together).collect()
}

impl Demand<'_> {
    /// The claims about what an artifact is compared with that count, in ledger order; `None` where nothing runs to
    /// compare with. See [`Counterpart`].
    ///
    /// Where something runs and nothing is known about it, there is nothing to compare with either, and that is a
    /// shortfall: what nobody reported is not better than anything.
    pub(super) fn baseline<'a, T: 'a>(
        &self,
        ctx: Context<'a>,
        artifact: &Artifact,
        pick: impl Fn(&'a Claim) -> Option<&'a T>,
    ) -> Result<Option<Vec<Counted<'a, T>>>, Shortfall> {
        let Some(running) = &ctx.facts.running else { return Ok(None) };
        let counterpart = Counterpart::of(artifact, ctx.facts);
        let counted: Vec<Counted<'a, T>> = ctx
            .facts
            .running_evidence
            .iter()
            .filter(|fact| counterpart.is_meant_by(fact))
            .filter(|fact| ctx.standing(fact, self.kind, self.signed_by) == Standing::Counts)
            .filter_map(|fact| Some((fact, pick(&fact.claim)?)))
            .collect();
        if !counted.is_empty() {
            return Ok(Some(counted));
        }
        let missing = match counterpart {
            Counterpart::Release => format!("no {} about {}", self.noun, running.release),
            Counterpart::Artifact(one) => format!("no {} about {} of {}", self.noun, shown(&one.name), running.release),
        };
        let text = format!("{missing}, which runs now, to compare with");
        Err(Shortfall { reason: Reason::BaselineMissing, text, evidence: Vec::new() })
    }
}

/// What of the release that runs an artifact is compared with.
///
/// That of its name, or the only one where there is one alone; the versions that names carry make no difference. Where
/// none has that name, or several do, all of them: an artifact gets no easier way in by a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counterpart<'a> {
    /// All that is known about the release.
    Release,
    /// One artifact.
    Artifact(&'a Artifact),
}

impl<'a> Counterpart<'a> {
    fn of(artifact: &Artifact, facts: &'a Facts) -> Self {
        match facts.running_artifacts.as_slice() {
            [] => Self::Release,
            [only] => Self::Artifact(only),
            several => {
                let ours = unversioned(&artifact.name, &facts.release.name);
                let is_namesake = |one: &&Artifact| {
                    facts.running.as_ref().is_some_and(|running| unversioned(&one.name, &running.release) == ours)
                };
                let mut namesakes = several.iter().filter(is_namesake);
                match (namesakes.next(), namesakes.next()) {
                    (Some(one), None) => Self::Artifact(one),
                    _ => Self::Release,
                }
            }
        }
    }

    fn is_meant_by(self, fact: &EvidenceFact) -> bool {
        match self {
            Self::Release => true,
            Self::Artifact(one) => fact.artifacts.contains(&one.digest),
        }
    }
}

/// A name without the version of its release: `web.tgz` of 1.4.2 and `web-1.4.2.tgz` stay apart.
fn unversioned(name: &str, release: &ReleaseName) -> String {
    name.replace(&release.version.to_string(), "*")
}

/// What was found about the signatures of evidence that nobody trusted signed: how their verification ended, and for
/// whom or why, such as ` (untrusted-root: TRUST_ROOT_MISSING)`. Empty where no bundle came with it.
pub(super) fn proofs_text<'a>(facts: impl IntoIterator<Item = &'a EvidenceFact>) -> String {
    let one = |proof: &SignatureFact| {
        let class = proof.class.as_str();
        match (&proof.identity, &proof.key) {
            (Some(identity), _) => format!("{class}: {}", shown(identity)),
            (None, Some(key)) => format!("{class}: the key {key}"),
            (None, None) => format!("{class}: {}", shown(&proof.code)),
        }
    };
    let found: BTreeSet<String> = facts.into_iter().filter_map(|fact| fact.signature.as_deref()).map(one).collect();
    if found.is_empty() { String::new() } else { format!(" ({})", few(found, "; ")) }
}

/// Checks every artifact of the release. One shortfall is enough to fall short; no artifact at all is one too.
pub(super) fn every_artifact<'a>(
    ctx: Context<'a>,
    check: impl Fn(&'a Artifact) -> Result<Covered, Shortfall>,
) -> Result<Covered, Shortfall> {
    these_artifacts(ctx, &ctx.facts.release.artifacts.iter().collect::<Vec<_>>(), check)
}

/// The same of some artifacts of the release; none at all is a shortfall here, too.
pub(super) fn these_artifacts<'a>(
    ctx: Context<'a>,
    artifacts: &[&'a Artifact],
    check: impl Fn(&'a Artifact) -> Result<Covered, Shortfall>,
) -> Result<Covered, Shortfall> {
    let mut covered = Vec::new();
    let mut short = Vec::new();
    for artifact in artifacts.iter().copied() {
        match check(artifact) {
            Ok(one) => covered.push((artifact, one)),
            Err(one) => short.push((artifact, one)),
        }
    }
    if let Some((_, first)) = short.first() {
        let reason = first.reason;
        let text = few(short.iter().map(|(artifact, one)| format!("{}: {}", shown(&artifact.name), one.text)), "; ");
        let evidence = distinct(short.iter().flat_map(|(_, one)| &one.evidence));
        return Err(Shortfall { reason, text: with_unreadable(ctx, text), evidence });
    }
    if covered.is_empty() {
        let text = "a release without artifacts".to_owned();
        return Err(Shortfall { reason: Reason::NoArtifacts, text, evidence: Vec::new() });
    }
    let text = few(covered.iter().map(|(artifact, one)| format!("{}: {}", shown(&artifact.name), one.text)), "; ");
    let evidence = distinct(covered.iter().flat_map(|(_, one)| &one.evidence));
    let waived = covered.iter().any(|(_, one)| one.waived);
    Ok(Covered { text: with_unreadable(ctx, text), evidence, waived })
}

fn distinct<'a>(digests: impl Iterator<Item = &'a Digest>) -> Vec<Digest> {
    let mut seen = BTreeSet::new();
    digests.copied().filter(|digest| seen.insert(*digest)).collect()
}

/// Adds what could not be read, because it may be the very evidence that is missed.
fn with_unreadable(ctx: Context<'_>, text: String) -> String {
    let unreadable = |fact: &EvidenceFact| match &fact.claim {
        Claim::Malformed { reason } => Some(format!("{} could not be read: {}", fact.evidence.short(), shown(reason))),
        _ => None,
    };
    let notes = few(ctx.facts.evidence.iter().filter_map(unreadable), "; ");
    if notes.is_empty() { text } else { format!("{text}; {notes}") }
}

impl Assessment {
    /// An assessment from what every artifact has or misses; `who` and `fix` are asked only on a shortfall.
    pub(super) fn of_coverage(
        result: Result<Covered, Shortfall>,
        needed: String,
        who: impl FnOnce() -> String,
        fix: impl FnOnce(Reason) -> String,
    ) -> Self {
        match result {
            Ok(Covered { text, evidence, waived: false }) => Self { evidence, ..Self::passed(needed, text) },
            Ok(Covered { text, evidence, waived: true }) => {
                Self { outcome: GateOutcome::Waived, reason: Reason::Waived, evidence, ..Self::passed(needed, text) }
            }
            Err(Shortfall { reason, text, evidence }) => {
                Self { outcome: GateOutcome::Fail, reason, needed, found: text, evidence, who: who(), fix: fix(reason) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::PolicySet;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::decision::GateResult;
    use crate::sample::{check, evidence, on_behalf, running};

    /// Compares `app.tar.gz`, of which `ours` is known, with artifacts of what runs, each with what is known of it.
    fn compare(gate: &str, ours: &Value, theirs: &[(&str, Option<&Value>)], reason: Reason) -> GateResult {
        let known = |index: u64, artifact: Digest, claim: &Value| EvidenceFact {
            artifacts: vec![artifact],
            ..evidence(index, on_behalf("robot"), serde_json::from_value(claim.clone()).unwrap())
        };
        let change = |_: &PolicySet, facts: &mut Facts| {
            facts.evidence = vec![known(9, facts.release.artifacts[0].digest, ours)];
            facts.running = Some(running("1.4.1"));
            for (index, (name, claim)) in (1u64..).zip(theirs) {
                let digest = Digest::of(&index.to_be_bytes());
                facts.running_artifacts.push(Artifact { digest, name: (*name).to_owned(), size_bytes: 1 });
                facts.running_evidence.extend(claim.map(|claim| known(index, digest, claim)));
            }
        };
        check(gate, change, if reason == Reason::Satisfied { Pass } else { Fail }, reason)
    }

    fn configuration(text: &str) -> Value {
        json!({ "kind": "configuration", "name": "app", "digest": Digest::of(text.as_bytes()) })
    }

    #[test]
    fn versions_in_names_make_no_difference() {
        let release = |text: &str| text.parse::<ReleaseName>().unwrap();
        let same = |old: &str, new: &str| {
            unversioned(old, &release("shop/web@1.4.1")) == unversioned(new, &release("shop/web@1.4.2"))
        };
        assert!(same("web-1.4.1.tgz", "web-1.4.2.tgz") && same("web.tgz", "web.tgz"));
        assert!(!same("web-1.4.1.tgz", "worker-1.4.2.tgz") && !same("web-1.4.1.tgz", "web.tgz"));
        assert!(!same("web-1.4.2.tgz", "web-1.4.2.tgz"), "another version than its release's is a part of the name");
    }

    #[test]
    fn an_artifact_is_compared_with_that_of_its_name_or_the_only_one() {
        let gate = "kind = \"configuration\"\nnames = [\"app\"]\nunchanged = true\n";
        let (same, other) = (configuration("a"), configuration("b"));
        let row = |theirs: &[(&str, Option<&Value>)], reason| compare(gate, &same, theirs, reason);
        let (same, other) = (Some(&same), Some(&other));
        let (changed, missing) = (Reason::ConfigurationChanged, Reason::BaselineMissing);
        row(&[("app.tar.gz", same), ("worker", other)], Reason::Satisfied);
        row(&[("worker", same), ("app.tar.gz", other)], changed);
        row(&[("worker", same)], Reason::Satisfied);
        row(&[("worker", other)], changed);
        // Where it is not known which one, or nothing is known of that one, nothing else is taken for it.
        let result = row(&[("app.tar.gz", None), ("worker", same)], missing);
        let about = "app.tar.gz: no configuration about app.tar.gz of shop/web@1.4.1, which runs now, to compare with";
        assert_eq!(result.found, about);
        assert!(result.fix.starts_with("lockgate attest shop/web@1.4.1 "), "{}", result.fix);
        // A name that nothing there has, or several have, is compared with all: it is no easier way in.
        for theirs in [["web", "worker"], ["app.tar.gz", "app.tar.gz"]] {
            row(&theirs.map(|name| (name, same)), Reason::Satisfied);
            row(&theirs.map(|name| (name, other)), changed);
            row(&theirs.map(|name| (name, None)), missing);
        }
    }

    #[test]
    fn every_kind_that_compares_looks_at_that_artifact_alone() {
        let speed = |value: u64| {
            let metric = json!({ "name": "p95", "unit": "us", "value": value, "better": "lower" });
            json!({ "kind": "performance", "format": "k6", "metrics": [metric], "missed_thresholds": [] })
        };
        let lines = |share: u64| {
            json!({
                "kind": "coverage", "format": "lcov", "files": 1, "lines_covered": share, "lines_valid": 10_000,
                "line_basis_points": share, "branches_covered": 0, "branches_valid": 0,
            })
        };
        let errors = |fingerprints: &[&str]| {
            let result =
                |print: &&str| json!({ "tool": "gosec", "level": "error", "fingerprint": print, "pointer": "" });
            json!({
                "kind": "static-analysis", "tools": ["gosec"], "errors": fingerprints.len(), "warnings": 0, "notes": 0,
                "suppressed": 0, "results": fingerprints.iter().map(result).collect::<Vec<_>>(),
            })
        };
        let row = |gate: &str, ours: &Value, better: &Value, reason| {
            let gate = format!("{gate}\n");
            compare(&gate, ours, &[("app.tar.gz", Some(ours)), ("worker", Some(better))], Reason::Satisfied);
            compare(&gate, ours, &[("app.tar.gz", Some(better)), ("worker", Some(ours))], reason);
        };
        let budget = "kind = \"performance\"\nbudget = { p95 = { unit = \"us\", max_worse = \"10%\" } }";
        row(budget, &speed(100), &speed(50), Reason::PerformanceWorse);
        row("kind = \"coverage\"\nmax_drop = \"1%\"", &lines(8000), &lines(9000), Reason::CoverageDropped);
        row("kind = \"analysis\"\nnew_only = true", &errors(&["f1"]), &errors(&[]), Reason::AnalysisFindings);
        let unchanged = "kind = \"configuration\"\nnames = [\"app\"]\nunchanged = true";
        row(unchanged, &configuration("a"), &configuration("b"), Reason::ConfigurationChanged);
    }
}
