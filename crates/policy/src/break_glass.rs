//! Break-glass: which gates it can let a release past, and for how long, in the table `[break-glass]`.
//!
//! It never changes what was found: an overridden gate keeps its reason and its finding, and says beside them that it
//! was overridden, by which entry. What says that there is nothing to decide on, or that an artifact is not what was
//! signed, cannot be overridden at all (`docs/adr/0013-break-glass.md`).

use lockgate_model::facts::{BreakGlassFact, EvidenceFact, Facts, SignatureClass};
use lockgate_model::{EntryIndex, Span};
use serde::Deserialize;

use crate::decision::{GateOutcome, GateResult};
use crate::explain::Reason;
use crate::gates::SignatureGate;

/// The longest time that a policy set may give a break-glass.
const LONGEST: Span = Span::from_secs(24 * 3600);

/// The reasons that no break-glass gets past: nothing to decide on, nothing to bind to, or a person's own no.
const NEVER: &[Reason] = &[
    Reason::FactsUnknown,
    Reason::EnvironmentUnknown,
    Reason::NoGates,
    Reason::PolicyExpired,
    Reason::NoArtifacts,
    Reason::Rejected,
];

/// What `policy.toml` says of break-glass; who may is for the permission `break-glass`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakGlassRules {
    /// The longest that one may last, at most a day.
    pub max: Span,
}

impl Default for BreakGlassRules {
    fn default() -> Self {
        Self { max: Span::from_secs(4 * 3600) }
    }
}

impl BreakGlassRules {
    /// Whether the time cannot be meant: none, or more than a day.
    pub(crate) fn is_out_of_range(&self) -> bool {
        self.max.is_zero() || self.max > LONGEST
    }
}

/// Marks what a break-glass in the facts lets past, and gives its entry; `None` where none counts.
///
/// A break-glass that counts is named also where every gate was satisfied: it is never used in silence.
pub(crate) fn apply(facts: &Facts, results: &mut [GateResult]) -> Option<EntryIndex> {
    let opened = facts.break_glass.as_ref().filter(|opened| counts(opened, facts))?;
    for result in results.iter_mut().filter(|result| is_overridable(result, facts)) {
        result.outcome = GateOutcome::Overridden;
        result.found.push_str(&format!("; overridden by the break-glass of entry {}", opened.index));
    }
    Some(opened.index)
}

fn counts(opened: &BreakGlassFact, facts: &Facts) -> bool {
    facts.schema == Facts::SCHEMA && opened.opens(&facts.release.manifest, &facts.promotion.environment, facts.time)
}

/// Whether a result stops the promotion, and may be let past.
fn is_overridable(result: &GateResult, facts: &Facts) -> bool {
    let stops = matches!(result.outcome, GateOutcome::Fail | GateOutcome::Pending);
    let never = NEVER.iter().any(|reason| reason.as_str() == result.reason);
    stops && !never && !is_forged(result, facts)
}

/// Whether the gate asks for the signature of the artifact itself, and found one that is broken.
///
/// Of other evidence this is not asked. What is broken counts nowhere, so that nobody believes it when the release goes
/// past: that is the same as if nothing had been handed in, which can be let past. To refuse would stop nobody who made
/// it up, because leaving it away does as well; and everybody who may hand in evidence, which cannot be taken back,
/// could keep a release from break-glass for good.
fn is_forged(result: &GateResult, facts: &Facts) -> bool {
    let is_broken = |evidence: &EvidenceFact| {
        evidence.signature.as_ref().is_some_and(|signature| signature.class == SignatureClass::SignatureInvalid)
    };
    let mut shown = facts.evidence.iter().filter(|evidence| result.evidence.contains(&evidence.evidence));
    result.kind == SignatureGate::KIND && shown.any(is_broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decide;
    use crate::decision::Outcome;
    use crate::sample::{evidence, facts, gate, policy, sbom, signed};
    use lockgate_model::facts::{ARTIFACT_SIGNATURE, Claim, FreezeFact, SignatureFact};
    use lockgate_model::{Digest, UnixMillis};

    fn opened(facts: &Facts) -> BreakGlassFact {
        BreakGlassFact {
            index: EntryIndex(9),
            manifest: facts.release.manifest,
            environment: facts.promotion.environment.clone(),
            reason: "payments are down".to_owned(),
            ticket: "INC-1".to_owned(),
            signed_by: vec!["sam".parse().unwrap(), "ines".parse().unwrap()],
            since: facts.time,
            expires_at: UnixMillis(facts.time.0 + 1),
        }
    }

    #[test]
    fn four_hours_unless_the_set_says_otherwise_and_never_more_than_a_day() {
        let read = |text: &str| toml::from_str::<BreakGlassRules>(text);
        assert_eq!(read("").unwrap().max, Span::from_secs(4 * 3600));
        for (text, wrong) in
            [("max = \"0s\"", true), ("max = \"1h\"", false), ("max = \"24h\"", false), ("max = \"25h\"", true)]
        {
            assert_eq!(read(text).unwrap().is_out_of_range(), wrong, "{text}");
        }
        assert!(read("maximum = \"1h\"").is_err());
    }

    #[test]
    fn lets_past_what_fails_and_keeps_what_was_found() {
        let policy = policy(&gate("kind = \"tests\"\n"));
        let mut facts = facts();
        let before = decide(&policy, &facts);
        assert_eq!((before.outcome, before.break_glass), (Outcome::Deny, None));
        facts.break_glass = Some(opened(&facts));
        facts.freezes = vec![FreezeFact {
            index: EntryIndex(5),
            service: None,
            environment: None,
            by: "sam".parse().unwrap(),
            reason: "incident".to_owned(),
            since: facts.time,
            until: None,
            spares_rollbacks: false,
        }];
        let after = decide(&policy, &facts);
        assert_eq!((after.outcome, after.break_glass), (Outcome::Allow, Some(EntryIndex(9))), "{after:#?}");
        assert!(after.gates.iter().all(|gate| gate.outcome == GateOutcome::Overridden), "{after:#?}");
        let codes: Vec<&str> = after.gates.iter().map(|gate| gate.reason.as_str()).collect();
        assert_eq!(codes, ["FROZEN", "TESTS_MISSING"]);
        let told = |gate: &GateResult| gate.found.ends_with("overridden by the break-glass of entry 9");
        assert!(after.gates.iter().all(told), "{after:#?}");
    }

    #[test]
    fn is_for_one_manifest_one_environment_and_a_while() {
        let policy = policy(&gate("kind = \"tests\"\n"));
        let check = |change: fn(&mut BreakGlassFact)| {
            let mut facts = facts();
            let mut fact = opened(&facts);
            change(&mut fact);
            facts.break_glass = Some(fact);
            let decision = decide(&policy, &facts);
            assert_eq!((decision.outcome, decision.break_glass), (Outcome::Deny, None), "{decision:#?}");
        };
        check(|fact| fact.manifest = Digest::of(b"another"));
        check(|fact| fact.environment = "staging".parse().unwrap());
        check(|fact| fact.expires_at = fact.since);
        check(|fact| fact.since = UnixMillis(fact.since.0 + 1));
        check(|fact| fact.signed_by.clear());
    }

    /// Evidence whose signature ended so, by whom it names; a signature of the artifact where nothing else is claimed.
    fn ended(index: u64, claim: Option<Claim>, signers: &[&str], class: SignatureClass) -> EvidenceFact {
        let signature = SignatureFact {
            class,
            code: "CODE".to_owned(),
            root: None,
            identity: None,
            issuer: None,
            claims: std::collections::BTreeMap::new(),
            key: None,
            signed_at: None,
        };
        let claim = claim.unwrap_or_else(|| Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() });
        EvidenceFact { signature: Some(Box::new(signature)), ..evidence(index, signed(signers), claim) }
    }

    #[test]
    fn a_made_up_signature_beside_other_evidence_stops_no_break_glass() {
        let made_up = |claim| ended(1, Some(claim), &[], SignatureClass::SignatureInvalid);
        let check = |fields: &str, claim: Claim| {
            let policy = policy(&gate(fields));
            let mut facts = facts();
            facts.evidence = vec![made_up(claim)];
            let before = decide(&policy, &facts);
            assert_eq!(before.gates.iter().map(|gate| gate.evidence.len()).sum::<usize>(), 1, "{before:#?}");
            facts.break_glass = Some(opened(&facts));
            let after = decide(&policy, &facts);
            assert_eq!((before.outcome, after.outcome), (Outcome::Deny, Outcome::Allow), "{after:#?}");
            let code = "EVIDENCE_SIGNATURE_INVALID";
            let told = |gate: &GateResult| gate.reason == code && gate.found.contains("is invalid (CODE)");
            assert!(after.gates.iter().all(told), "{after:#?}");
        };
        check("kind = \"sbom\"\n", Claim::Sbom(sbom()));
        check("kind = \"tests\"\n", Claim::Tests(crate::sample::tests()));
    }

    #[test]
    fn a_broken_signature_of_an_artifact_stops_break_glass() {
        use SignatureClass::{IdentityMismatch, SignatureInvalid, Unsigned, UntrustedRoot, Verified, WithoutTime};
        let policy = policy(&gate("kind = \"signature\"\nsigned_by = [\"ci\"]\n"));
        let check = |evidence: Vec<EvidenceFact>, outcome: Outcome, gate: GateOutcome| {
            let mut facts = facts();
            facts.evidence = evidence;
            facts.break_glass = Some(opened(&facts));
            let decision = decide(&policy, &facts);
            let gates: Vec<GateOutcome> = decision.gates.iter().map(|gate| gate.outcome).collect();
            assert_eq!((decision.outcome, gates.as_slice()), (outcome, [gate].as_slice()), "{decision:#?}");
        };
        let (fail, overridden) = ((Outcome::Deny, GateOutcome::Fail), (Outcome::Allow, GateOutcome::Overridden));
        let broken = || ended(1, None, &[], SignatureInvalid);
        check(vec![broken()], fail.0, fail.1);
        // Also where another signature comes nearer, and gives the reason.
        check(vec![broken(), ended(2, None, &[], IdentityMismatch)], fail.0, fail.1);
        check(vec![], overridden.0, overridden.1);
        for class in [IdentityMismatch, UntrustedRoot, WithoutTime, Unsigned] {
            check(vec![ended(2, None, &[], class)], overridden.0, overridden.1);
        }
        // What is broken says something else about the artifact, or there is a good signature beside it.
        let sbom = ended(1, Some(Claim::Sbom(sbom())), &[], SignatureInvalid);
        check(vec![sbom], overridden.0, overridden.1);
        check(vec![broken(), ended(2, None, &["ci"], Verified)], Outcome::Allow, GateOutcome::Pass);
    }

    #[test]
    fn some_things_are_never_let_past() {
        let policy = policy(&gate("kind = \"tests\"\n"));
        let check = |change: fn(&mut Facts), code: &str| {
            let mut facts = facts();
            change(&mut facts);
            facts.break_glass = Some(opened(&facts));
            let decision = decide(&policy, &facts);
            assert_eq!(decision.outcome, Outcome::Deny, "{decision:#?}");
            assert!(
                decision.gates.iter().any(|gate| gate.outcome == GateOutcome::Fail && gate.reason == code),
                "{code}"
            );
        };
        check(|facts| facts.promotion.environment = "moon".parse().unwrap(), "ENVIRONMENT_UNKNOWN");
        check(|facts| facts.release.artifacts.clear(), "NO_ARTIFACTS");
        check(|facts| facts.schema = "https://lockgate.dev/facts/v9".to_owned(), "FACTS_UNKNOWN");
    }
}
