//! The `tests` gate: tests ran on every artifact, recently enough, and passed.

use lockgate_model::facts::{Artifact, Claim, Tests};
use lockgate_model::{SignerName, Span};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, shown};

/// Demands a test run about every artifact; the newest one counts, so that a repaired run replaces a failed one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestsGate {
    /// How many tests have to pass at least; 1 where it is left out, and never 0.
    #[serde(default = "one")]
    pub min_passed: u64,
    /// How many may fail; none where it is left out.
    #[serde(default)]
    pub max_failed: u64,
    /// How old the run may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

const fn one() -> u64 {
    1
}

impl TestsGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Tests, policy);
        if self.min_passed == 0 {
            problems.push(Problem::new("`min_passed` is 0: an empty report would pass"));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no run would ever be young enough"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Tests,
            signed_by: &self.signed_by,
            noun: "test results",
            missing: Reason::TestsMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        let passed = counted(self.min_passed, "passed test");
        let age = self.max_age.map(|age| format!(", not older than {age}")).unwrap_or_default();
        let needed =
            format!("at least {passed}, at most {} failed{age}{}", self.max_failed, self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| self.demand().fix(ctx, reason, "--tests junit.xml"))
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let (fact, tests) = self.demand().newest(ctx, artifact, |claim| match claim {
            Claim::Tests(tests) => Some(tests),
            _ => None,
        })?;
        let now = ctx.facts.time;
        let shortfall = |reason, text| Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
        let finished = tests.finished_at.unwrap_or(fact.recorded_at);
        if is_from_future(tests.finished_at, fact, now) {
            return shortfall(
                Reason::EvidenceFromFuture,
                format!("a run that says it ended at {finished}, after it was recorded"),
            );
        }
        if tests.failed > self.max_failed {
            return shortfall(Reason::TestsFailed, format!("{}{}", counts(tests), failed_names(tests)));
        }
        if tests.passed < self.min_passed {
            return shortfall(Reason::TestsTooFew, counts(tests));
        }
        if !is_fresh(tests.finished_at, fact, self.max_age, now) {
            return shortfall(Reason::TestsStale, format!("a run of {finished}, {} old", now.since(finished)));
        }
        Ok(Covered { text: counts(tests), evidence: vec![fact.evidence], waived: false })
    }
}

fn counts(tests: &Tests) -> String {
    format!("{} passed, {} failed, {} skipped", tests.passed, tests.failed, tests.skipped)
}

fn failed_names(tests: &Tests) -> String {
    match tests.failed_names.is_empty() {
        true => String::new(),
        false => format!(" ({})", few(tests.failed_names.iter().map(|name| shown(name)), ", ")),
    }
}

#[cfg(test)]
mod checks {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf, signed, tests};
    use lockgate_model::UnixMillis;

    fn before(secs: u64) -> UnixMillis {
        UnixMillis(TIME.0 - secs * 1000)
    }

    #[test]
    fn counts_and_ages() {
        let row = |gate: &str, change: fn(&mut Tests), outcome, reason| {
            let mut claim = tests();
            change(&mut claim);
            let gate = format!("kind = \"tests\"\n{gate}\n");
            let mut fact = evidence(1, on_behalf("robot"), Claim::Tests(claim));
            fact.recorded_at = before(3600);
            check(&gate, |_, facts| facts.evidence = vec![fact], outcome, reason)
        };
        row("", |_| {}, Pass, Reason::Satisfied);
        row("min_passed = 12", |_| {}, Pass, Reason::Satisfied);
        row("min_passed = 13", |_| {}, Fail, Reason::TestsTooFew);
        row("", |tests| tests.passed = 0, Fail, Reason::TestsTooFew);
        row("max_failed = 1", |tests| tests.failed = 1, Pass, Reason::Satisfied);
        let result = row(
            "",
            |tests| {
                tests.failed = 1;
                tests.failed_names = vec!["cart::empties\n".to_owned()];
            },
            Fail,
            Reason::TestsFailed,
        );
        assert_eq!(result.found, "app.tar.gz: 12 passed, 1 failed, 0 skipped (cart::empties\u{fffd})");
        // The ledger recorded it an hour ago; the interval is half open.
        row("max_age = \"3601s\"", |_| {}, Pass, Reason::Satisfied);
        row("max_age = \"1h\"", |_| {}, Fail, Reason::TestsStale);
        // The report's own time goes before the time of recording.
        row("max_age = \"2h\"", |tests| tests.finished_at = Some(before(7200)), Fail, Reason::TestsStale);
        row("max_age = \"2h\"", |tests| tests.finished_at = Some(before(7199)), Pass, Reason::Satisfied);
        // A clock may be five minutes ahead of the ledger, and waiting does not make a later one good.
        row("", |tests| tests.finished_at = Some(before(3300)), Pass, Reason::Satisfied);
        row("", |tests| tests.finished_at = Some(before(3299)), Fail, Reason::EvidenceFromFuture);
        row("", |tests| tests.finished_at = Some(UnixMillis(TIME.0 + 301_000)), Fail, Reason::EvidenceFromFuture);
        row("", |tests| tests.finished_at = Some(UnixMillis(u64::MAX)), Fail, Reason::EvidenceFromFuture);
    }

    #[test]
    fn a_repaired_run_replaces_a_failed_one() {
        let failed = || Tests { failed: 1, ..tests() };
        let run = |index, claim| evidence(index, on_behalf("robot"), Claim::Tests(claim));
        let gate = "kind = \"tests\"\n";
        check(gate, |_, facts| facts.evidence = vec![run(1, failed()), run(2, tests())], Pass, Reason::Satisfied);
        check(gate, |_, facts| facts.evidence = vec![run(1, tests()), run(2, failed())], Fail, Reason::TestsFailed);
        let result = check(gate, |_, facts| facts.evidence.clear(), Fail, Reason::TestsMissing);
        assert_eq!(result.fix, "lockgate attest shop/web@1.4.2 --tests junit.xml");
        assert_eq!(result.found, "app.tar.gz: no test results, and no other evidence");
        let gate = "kind = \"tests\"\nsigned_by = [\"ci\"]\n";
        let fact = evidence(1, signed(&["ci"]), Claim::Tests(tests()));
        check(gate, |_, facts| facts.evidence = vec![fact], Pass, Reason::Satisfied);
        // What the fix hands in is what the gate asks for: a report on its own would be refused again.
        let by_ci = "have it signed by ci, then: lockgate attest shop/web@1.4.2 --attestation tests.dsse.json";
        let result = check(gate, |_, facts| facts.evidence = vec![run(1, tests())], Fail, Reason::EvidenceUnsigned);
        assert_eq!(result.fix, by_ci);
        let result = check(gate, |_, facts| facts.evidence.clear(), Fail, Reason::TestsMissing);
        assert_eq!(result.fix, by_ci);
        let forged = evidence(1, signed(&[]), Claim::Tests(tests()));
        let result =
            check("kind = \"tests\"\n", |_, facts| facts.evidence = vec![forged], Fail, Reason::SignerUntrusted);
        assert!(result.fix.starts_with("lockgate attest shop/web@1.4.2 --tests junit.xml\nor "), "{}", result.fix);
    }

    #[test]
    fn a_statement_of_another_type_is_told_from_none() {
        let of = |predicate_type: &str| {
            let claim = Claim::Unknown { predicate_type: predicate_type.to_owned() };
            evidence(1, signed(&["ci"]), claim)
        };
        let gate = "kind = \"tests\"\n";
        let near = of("https://in-toto.io/attestation/test-result/v9");
        let result = check(gate, |_, facts| facts.evidence = vec![near], Fail, Reason::EvidenceType);
        let found = "app.tar.gz: test results under a predicate type that is not read: \
                     `https://in-toto.io/attestation/test-result/v9`";
        assert_eq!(result.found, found);
        assert!(result.fix.starts_with("sign it again under a predicate type "), "{}", result.fix);
        let far = of("https://example.org/tests/v1");
        check(gate, |_, facts| facts.evidence = vec![far], Fail, Reason::TestsMissing);
        // What counts is not kept from counting by what does not.
        let both = vec![
            of("https://in-toto.io/attestation/test-result/v9"),
            evidence(2, on_behalf("robot"), Claim::Tests(tests())),
        ];
        check(gate, |_, facts| facts.evidence = both, Pass, Reason::Satisfied);
    }
}
