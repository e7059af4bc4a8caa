//! The `freshness` gate: evidence is young enough, whatever it says.

use std::collections::BTreeMap;

use lockgate_model::facts::{Artifact, Claim, EvidenceFact};
use lockgate_model::{Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Covered, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, Standing, is_fresh, is_from_future};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::trust::EvidenceKind;
use crate::wording::{all_of, few};

/// Demands evidence of some kinds about every artifact that is not too old; the newest one of each kind counts. A check
/// that says what runs is none of the release, and a signature is as old as something proves, never as its record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessGate {
    /// How old evidence of each kind may be, by its own time or else by when it was recorded; signatures need a proved
    /// time.
    pub max_age: BTreeMap<EvidenceKind, Span>,
}

impl FreshnessGate {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.max_age.is_empty() {
            problems.push(Problem::new("`max_age` is empty: name at least one kind, such as { sbom = \"30d\" }"));
        }
        for (kind, _) in self.max_age.iter().filter(|(_, age)| age.is_zero()) {
            problems.push(Problem::new(format!("`max_age` of {kind} is zero: nothing would ever be young enough")));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let kinds = self.max_age.iter().map(|(kind, age)| format!("{kind} not older than {age}"));
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, few(kinds, ", "), who, |reason| match reason {
            Reason::NoArtifacts => ctx.push_next(""),
            _ => self.fix(ctx),
        })
    }

    /// Every kind is told that is not young enough; the reason is that of the first.
    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let mut evidence = Vec::new();
        let mut texts = Vec::new();
        let mut short: Option<Reason> = None;
        let mut missed = Vec::new();
        for (kind, age) in &self.max_age {
            match newest(ctx, artifact, *kind, *age) {
                Ok(one) => {
                    evidence.extend(one.evidence);
                    texts.push(one.text);
                }
                Err(one) => {
                    evidence.extend(one.evidence);
                    missed.push(one.text);
                    short = short.or(Some(one.reason));
                }
            }
        }
        match short {
            None => Ok(Covered { text: few(texts, ", "), evidence, waived: false }),
            Some(reason) => Err(Shortfall { reason, text: few(missed, ", "), evidence }),
        }
    }

    /// Names the kinds that are missed of any artifact, and the one command that hands them in.
    fn fix(&self, ctx: Context<'_>) -> String {
        let artifacts = &ctx.facts.release.artifacts;
        let is_short =
            |kind: EvidenceKind, age: Span| artifacts.iter().any(|artifact| newest(ctx, artifact, kind, age).is_err());
        let kinds: Vec<EvidenceKind> =
            self.max_age.iter().filter(|(kind, age)| is_short(**kind, **age)).map(|(kind, _)| *kind).collect();
        let files: Vec<&str> = kinds.iter().map(|kind| arguments(*kind)).collect();
        let again = match kinds.as_slice() {
            [EvidenceKind::Signature] => "sign this very artifact again with a timestamp or a log entry",
            kinds if kinds.contains(&EvidenceKind::Signature) => {
                "make it again from this very artifact, and sign that with a timestamp or a log entry"
            }
            _ => "make it again from this very artifact",
        };
        format!("{}: {again}, then: {}", all_of(&kinds), ctx.attest(&files.join(" ")))
    }
}

/// Whether a claim is evidence of a kind about the release: what runs where is not.
fn is_asked_for(kind: EvidenceKind, claim: &Claim) -> bool {
    let says_what_runs = matches!(claim, Claim::Check(check) if check.runs_in().is_some());
    kind.is_of(claim) && !says_what_runs
}

/// The newest evidence of a kind that counts, where it is young enough: by its place in the ledger, and signatures by
/// their proved time, because the same one can be handed in again.
fn newest(ctx: Context<'_>, artifact: &Artifact, kind: EvidenceKind, age: Span) -> Result<Covered, Shortfall> {
    let now = ctx.facts.time;
    let counts = ctx
        .about(artifact.digest)
        .filter(|fact| is_asked_for(kind, &fact.claim) && ctx.standing(fact, kind, &[]) == Standing::Counts);
    let proved = |fact: &EvidenceFact| own_time(fact).filter(|_| kind == EvidenceKind::Signature);
    let Some(fact) = counts.max_by_key(|fact| (proved(fact), fact.index)) else {
        let text = format!("no {kind} evidence that counts");
        return Err(Shortfall { reason: Reason::EvidenceAbsent, text, evidence: Vec::new() });
    };
    let evidence = vec![fact.evidence];
    let own = own_time(fact);
    if own.is_none() && kind == EvidenceKind::Signature {
        let text = format!("{kind} without a proved time (a timestamp or a log entry), which alone says how old it is");
        return Err(Shortfall { reason: Reason::SignatureUntimed, text, evidence });
    }
    let made = own.unwrap_or(fact.recorded_at);
    if is_from_future(own, fact, now) {
        let text = format!("{kind} that says it is of {made}, after it was recorded");
        return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
    }
    if !is_fresh(own, fact, Some(age), now) {
        let text = format!("{kind} of {made}, {} old", crate::wording::age(now.since(made)));
        return Err(Shortfall { reason: Reason::EvidenceStale, text, evidence });
    }
    Ok(Covered { text: format!("{kind} of {made}"), evidence, waived: false })
}

/// What hands evidence of a kind in, as an argument of `lockgate attest`.
const fn arguments(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Provenance => "--provenance provenance.dsse.json",
        EvidenceKind::Sbom => "--sbom sbom.json",
        EvidenceKind::Tests => "--tests junit.xml",
        EvidenceKind::Vulnerabilities => "--scan scan.json",
        EvidenceKind::StaticAnalysis => "--sarif report.sarif",
        EvidenceKind::Vex => "--report vex.json",
        EvidenceKind::Coverage => "--report coverage.xml",
        EvidenceKind::Performance => "--report performance.json",
        EvidenceKind::Rebuild => "--attestation rebuild.dsse.json",
        EvidenceKind::Change => "--report change.json",
        EvidenceKind::Check => "--report check.json",
        EvidenceKind::Secrets => "--report secrets.json",
        EvidenceKind::Configuration => "--report configuration.json",
        EvidenceKind::Flags => "--report flags.json",
        EvidenceKind::Summary => "--attestation summary.dsse.json",
        EvidenceKind::Source => "--attestation source.dsse.json",
        EvidenceKind::Signature => "--attestation artifact.sigstore.json",
    }
}

/// When a piece of evidence says that it was made; of a signature, what proves it.
fn own_time(fact: &EvidenceFact) -> Option<UnixMillis> {
    match &fact.claim {
        Claim::Provenance(claim) => claim.finished_at,
        Claim::Tests(claim) => claim.finished_at,
        Claim::Vulnerabilities(claim) => claim.scanned_at,
        Claim::Vex(claim) => claim.issued_at,
        Claim::Coverage(claim) => claim.measured_at,
        Claim::Performance(claim) => claim.measured_at,
        Claim::Rebuild(claim) => claim.rebuilt_at,
        Claim::Check(claim) => claim.checked_at,
        Claim::Flags(claim) => claim.taken_at,
        Claim::Summary(claim) => claim.verified_at,
        Claim::Source(claim) => claim.created_at,
        claim if EvidenceKind::Signature.is_of(claim) => fact.signature.as_ref().and_then(|proof| proof.signed_at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf, sbom, signed, tests};
    use lockgate_model::facts::{ARTIFACT_SIGNATURE, NamedCheck, SignatureClass, SignatureFact, Tests};

    const HOUR: u64 = 3_600_000;

    #[test]
    fn the_newest_of_each_kind_is_young_enough() {
        let row = |facts: Vec<EvidenceFact>, outcome, reason| {
            let gate = "kind = \"freshness\"\nmax_age = { sbom = \"2h\", tests = \"1h\" }\n";
            check(gate, |_, known| known.evidence = facts, outcome, reason)
        };
        let sbom = |ago: u64| EvidenceFact {
            recorded_at: UnixMillis(TIME.0 - ago),
            ..evidence(1, on_behalf("robot"), Claim::Sbom(sbom()))
        };
        let run = |ago: u64| {
            let finished_at = Some(UnixMillis(TIME.0 - ago));
            evidence(2, on_behalf("robot"), Claim::Tests(Tests { finished_at, ..tests() }))
        };
        row(vec![sbom(2 * HOUR - 1), run(HOUR - 1)], Pass, Reason::Satisfied);
        row(vec![sbom(2 * HOUR), run(0)], Fail, Reason::EvidenceStale);
        row(vec![sbom(0), run(HOUR)], Fail, Reason::EvidenceStale);
        let result = row(vec![sbom(0)], Fail, Reason::EvidenceAbsent);
        assert_eq!(result.found, "app.tar.gz: no tests evidence that counts");
        let command = "make it again from this very artifact, then: lockgate attest shop/web@1.4.2";
        assert_eq!(result.fix, format!("tests: {command} --tests junit.xml"));
        let result = row(vec![sbom(2 * HOUR)], Fail, Reason::EvidenceStale);
        assert!(result.found.ends_with("2 hours old, no tests evidence that counts"), "{}", result.found);
        assert_eq!(result.fix, format!("sbom and tests: {command} --sbom sbom.json --tests junit.xml"));
        // What nobody is believed about does not make anything fresh.
        let forged = EvidenceFact { origin: signed(&[]), ..run(0) };
        row(vec![sbom(0), forged], Fail, Reason::EvidenceAbsent);
    }

    /// A signature that was recorded so long ago, and is proved to be so old.
    fn signature(index: u64, recorded: u64, proved: Option<u64>) -> EvidenceFact {
        let claim = Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() };
        let proof = proved.map(|ago| SignatureFact {
            class: SignatureClass::Verified,
            code: "VERIFIED".to_owned(),
            root: None,
            identity: None,
            issuer: None,
            claims: BTreeMap::new(),
            key: None,
            signed_at: Some(UnixMillis(TIME.0 - ago)),
        });
        let recorded_at = UnixMillis(TIME.0 - recorded);
        EvidenceFact { recorded_at, signature: proof.map(Box::new), ..evidence(index, signed(&["ci"]), claim) }
    }

    #[test]
    fn a_signature_is_as_old_as_is_proved() {
        let row = |facts: Vec<EvidenceFact>, outcome, reason| {
            let gate = "kind = \"freshness\"\nmax_age = { signature = \"1h\" }\n";
            check(gate, |_, known| known.evidence = facts, outcome, reason)
        };
        row(vec![signature(1, 0, Some(HOUR - 1))], Pass, Reason::Satisfied);
        let result = row(vec![signature(1, 0, Some(HOUR))], Fail, Reason::EvidenceStale);
        let again = "signature: sign this very artifact again with a timestamp or a log entry, then: ";
        assert!(result.fix.starts_with(again), "{}", result.fix);
        // When it was handed in says nothing: the same one, in other white space, is handed in at any time.
        let result = row(vec![signature(1, 0, None)], Fail, Reason::SignatureUntimed);
        assert!(result.found.contains("without a proved time (a timestamp or a log entry)"), "{}", result.found);
        row(vec![signature(1, HOUR, Some(HOUR)), signature(2, 0, None)], Fail, Reason::EvidenceStale);
        row(vec![signature(1, 60, Some(60)), signature(2, 0, Some(HOUR))], Pass, Reason::Satisfied);
        row(vec![signature(1, 60, Some(60)), signature(2, 0, None)], Pass, Reason::Satisfied);
    }

    #[test]
    fn what_runs_somewhere_makes_no_release_fresh() {
        let named = |index: u64, name: &str| {
            let text = format!(r#"{{"name":"{name}","outcome":"pass"}}"#);
            let check: NamedCheck = serde_json::from_str(&text).unwrap();
            evidence(index, on_behalf("robot"), Claim::Check(check))
        };
        let row = |facts: Vec<EvidenceFact>, outcome, reason| {
            let gate = "kind = \"freshness\"\nmax_age = { check = \"1h\" }\n";
            check(gate, |_, known| known.evidence = facts, outcome, reason)
        };
        let old = EvidenceFact { recorded_at: UnixMillis(TIME.0 - HOUR), ..named(1, "accessibility") };
        row(vec![named(1, "accessibility")], Pass, Reason::Satisfied);
        row(vec![named(1, "runs-in-production")], Fail, Reason::EvidenceAbsent);
        row(vec![old, named(2, "runs-in-production")], Fail, Reason::EvidenceStale);
    }
}
