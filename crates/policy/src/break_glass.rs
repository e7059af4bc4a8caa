//! Break-glass: which gates it can let a release past, and for how long, in the table `[break-glass]`.
//!
//! It never changes what was found: an overridden gate keeps its reason and its finding, and says beside them that it
//! was overridden, by which entry. What says that there is nothing to decide on, or that bytes are not what was signed,
//! cannot be overridden at all (`docs/adr/0013-break-glass.md`).

use lockgate_model::facts::{BreakGlassFact, Facts, SignatureClass};
use lockgate_model::{EntryIndex, Span};
use serde::Deserialize;

use crate::decision::{GateOutcome, GateResult};
use crate::explain::Reason;

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
    let forged = facts.evidence.iter().any(|evidence| {
        let invalid =
            evidence.signature.as_ref().is_some_and(|signature| signature.class == SignatureClass::SignatureInvalid);
        invalid && result.evidence.contains(&evidence.evidence)
    });
    stops && !never && !forged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decide;
    use crate::decision::Outcome;
    use crate::sample::{facts, gate, policy};
    use lockgate_model::facts::FreezeFact;
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
