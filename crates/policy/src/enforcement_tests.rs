//! Tests of what stands above single gates: freezes, gates that only warn, and policy sets that end.

use lockgate_model::facts::{Facts, FreezeFact, PromotionKind};
use lockgate_model::{EntryIndex, UnixMillis};

use crate::sample::{TIME, evidence, facts, files, gate, on_behalf, policy, tests};
use crate::{Decision, GateOutcome, Outcome, PolicySet, decide};
use lockgate_model::facts::Claim;

const TESTS: &str = "kind = \"tests\"\n";

/// Facts that satisfy a `tests` gate.
fn good() -> Facts {
    let mut facts = facts();
    facts.evidence = vec![evidence(1, on_behalf("robot"), Claim::Tests(tests()))];
    facts
}

fn freeze() -> FreezeFact {
    FreezeFact {
        index: EntryIndex(40),
        service: None,
        environment: None,
        by: "sam".parse().unwrap(),
        reason: "database incident".to_owned(),
        since: UnixMillis(TIME.0 - 1),
        until: None,
        spares_rollbacks: false,
    }
}

/// nothing in a policy set says that a freeze stops, and nothing can say that it does not.
#[test]
fn a_freeze_stops_whatever_the_gates_say() {
    let set = policy(&gate(TESTS));
    let check = |change: fn(&mut FreezeFact), kind: PromotionKind, stopped: bool| {
        let mut facts = good();
        facts.promotion.kind = kind;
        let mut freeze = freeze();
        change(&mut freeze);
        facts.freezes = vec![freeze];
        let decision = decide(&set, &facts);
        assert_eq!(decision.outcome, if stopped { Outcome::Deny } else { Outcome::Allow }, "{decision:#?}");
        if stopped {
            let frozen = &decision.gates[0];
            assert_eq!((frozen.kind.as_str(), frozen.reason.as_str()), ("freeze", "FROZEN"));
            assert!(frozen.found.contains("database incident") && frozen.found.contains("entry 40"), "{frozen:#?}");
        }
    };
    use PromotionKind::{Promotion, Rollback};
    check(|_| {}, Promotion, true);
    check(|_| {}, Rollback, true);
    check(|freeze| freeze.spares_rollbacks = true, Promotion, true);
    check(|freeze| freeze.spares_rollbacks = true, Rollback, false);
    check(|freeze| freeze.service = Some("shop/web".parse().unwrap()), Promotion, true);
    check(|freeze| freeze.service = Some("shop/api".parse().unwrap()), Promotion, false);
    check(|freeze| freeze.environment = Some("production".parse().unwrap()), Promotion, true);
    check(|freeze| freeze.environment = Some("dev".parse().unwrap()), Promotion, false);
    check(|freeze| freeze.until = Some(UnixMillis(TIME.0 + 1)), Promotion, true);
    check(|freeze| freeze.until = Some(TIME), Promotion, false);
    check(|freeze| freeze.since = UnixMillis(TIME.0 + 1), Promotion, false);
}

#[test]
fn gates_that_only_warn_let_through_and_are_counted() {
    let check = |fields: &str, outcome: Outcome, gate_outcome: GateOutcome, would_block: u64| {
        let set = policy(&gate(&format!("{TESTS}{fields}\n")));
        let decision = decide(&set, &facts());
        let found = (decision.outcome, decision.gates[0].outcome, decision.would_block);
        assert_eq!(found, (outcome, gate_outcome, would_block), "{fields}");
        decision
    };
    check("", Outcome::Deny, GateOutcome::Fail, 0);
    let warned = check("mode = \"warn\"", Outcome::Allow, GateOutcome::Warn, 1);
    assert_eq!(warned.gates[0].reason, "TESTS_MISSING");
    assert!(warned.gates[0].found.ends_with("; only warns"), "{warned:#?}");
    // The samples are decided at 2026-01-01T00:00:00Z.
    let announced = check("enforce_from = \"2026-01-02\"", Outcome::Allow, GateOutcome::Warn, 1);
    assert!(announced.gates[0].found.ends_with("; only warns until 2026-01-02T00:00:00Z"), "{announced:#?}");
    assert_eq!(announced.gates[0].enforced_from, Some("2026-01-02T00:00:00Z".parse().unwrap()));
    let enforced = check("enforce_from = \"2026-01-01\"", Outcome::Deny, GateOutcome::Fail, 0);
    assert_eq!(enforced.gates[0].enforced_from, None);
    let controls = check("controls = [\"SOC2 CC8.1\", \"CM-3\"]", Outcome::Deny, GateOutcome::Fail, 0);
    assert_eq!(controls.gates[0].controls, ["SOC2 CC8.1", "CM-3"]);
}

#[test]
fn a_gate_that_passes_does_not_warn() {
    let set = policy(&gate(&format!("{TESTS}mode = \"warn\"\n")));
    let decision = decide(&set, &good());
    assert_eq!((decision.gates[0].outcome, decision.would_block), (GateOutcome::Pass, 0));
}

#[test]
fn a_policy_set_that_has_ended_denies_and_warns_before() {
    let check = |expires: &str, outcome: Outcome, reason: Option<&str>| {
        let mut files = files(&gate(TESTS));
        files.entry("policy.toml".to_owned()).or_default().push_str(expires);
        let set = PolicySet::from_files(files).unwrap();
        let Decision { outcome: found, gates, would_block, .. } = decide(&set, &good());
        assert_eq!((found, would_block), (outcome, 0), "{expires}");
        let own = gates.iter().find(|gate| gate.gate.as_str() == "policy");
        assert_eq!(own.map(|gate| gate.reason.as_str()), reason, "{expires}");
        if let Some(own) = own {
            assert!(own.rule.file == "policy.toml" && own.rule.line > 1, "{own:#?}");
        }
    };
    check("", Outcome::Allow, None);
    check("expires_at = \"2026-01-01\"\n", Outcome::Deny, Some("POLICY_EXPIRED"));
    check("expires_at = \"2026-01-31\"\n", Outcome::Allow, Some("POLICY_EXPIRES_SOON"));
    check("expires_at = \"2026-02-01\"\n", Outcome::Allow, None);
    check("expires_at = \"2026-01-31\"\nexpiry_warning = \"1d\"\n", Outcome::Allow, None);
}
