//! The `tests` gate: tests ran on every artifact, recently enough, and passed.

use lockgate_model::facts::{Artifact, Claim, Tests};
use lockgate_model::{Digest, SignerName, Span};
use serde::Deserialize;

use super::coverage::{Counted, Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{age, counted, few, shown};

/// Demands a test run about every artifact; the newest one counts, so that a repaired run replaces a failed one. Reports
/// that were handed in together are one run.
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
        let young = self.max_age.map(|age| format!(", not older than {age}")).unwrap_or_default();
        let needed =
            format!("at least {passed}, at most {} failed{young}{}", self.max_failed, self.demand().signed_by_text());
        let who = || ctx.groups_that_may(Permission::Attest);
        Assessment::of_coverage(result, needed, who, |reason| self.fix(ctx, reason))
    }

    fn fix(&self, ctx: Context<'_>, reason: Reason) -> String {
        const REPORT: &str = "--tests junit.xml";
        let again = |step: &str| self.demand().anew(ctx, step, REPORT);
        match reason {
            Reason::TestsFailed => {
                let results = if self.signed_by.is_empty() { format!(" {REPORT}") } else { String::new() };
                let (next, rerun) = (ctx.push_next(&results), again("run the tests again"));
                format!("repair what fails, then: {next}\nor, if the run was at fault, {rerun}")
            }
            Reason::TestsTooFew => again("run all of the tests"),
            Reason::TestsStale => again("run the tests again"),
            _ => self.demand().fix(ctx, reason, REPORT),
        }
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let runs = self.demand().newest_together(ctx, artifact, |claim| match claim {
            Claim::Tests(tests) => Some(tests),
            _ => None,
        })?;
        let now = ctx.facts.time;
        let evidence: Vec<Digest> = runs.iter().map(|(fact, _)| fact.evidence).collect();
        let finished = |(fact, tests): &Counted<'_, Tests>| tests.finished_at.unwrap_or(fact.recorded_at);
        if let Some(run) = runs.iter().find(|(fact, tests)| is_from_future(tests.finished_at, fact, now)) {
            let text = format!("a run that says it ended at {}, after it was recorded", finished(run));
            return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
        }
        let total = Total::of(&runs);
        if total.failed > self.max_failed {
            let text = format!("{}{}", total.worded(), failed_names(&runs));
            return Err(Shortfall { reason: Reason::TestsFailed, text, evidence });
        }
        if total.passed < self.min_passed {
            return Err(Shortfall { reason: Reason::TestsTooFew, text: total.worded(), evidence });
        }
        if let Some(run) = runs.iter().find(|(fact, tests)| !is_fresh(tests.finished_at, fact, self.max_age, now)) {
            let finished = finished(run);
            let text = format!("a run of {finished}, {} old", age(now.since(finished)));
            return Err(Shortfall { reason: Reason::TestsStale, text, evidence });
        }
        Ok(Covered { text: total.worded(), evidence, waived: false })
    }
}

/// What the reports of one run say together.
#[derive(Debug, Default)]
struct Total {
    reports: u64,
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Total {
    fn of(runs: &[Counted<'_, Tests>]) -> Self {
        runs.iter().fold(Self::default(), |sum, (_, tests)| Self {
            reports: sum.reports.saturating_add(1),
            passed: sum.passed.saturating_add(tests.passed),
            failed: sum.failed.saturating_add(tests.failed),
            skipped: sum.skipped.saturating_add(tests.skipped),
        })
    }

    fn worded(&self) -> String {
        let of = match self.reports {
            0 | 1 => String::new(),
            reports => format!(" in {}", counted(reports, "report")),
        };
        format!("{} passed, {} failed, {} skipped{of}", self.passed, self.failed, self.skipped)
    }
}

fn failed_names(runs: &[Counted<'_, Tests>]) -> String {
    let names = few(runs.iter().flat_map(|(_, tests)| &tests.failed_names).map(|name| shown(name)), ", ");
    if names.is_empty() { String::new() } else { format!(" ({names})") }
}

#[cfg(test)]
mod checks {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, on_behalf, signed, tests};
    use lockgate_model::UnixMillis;
    use lockgate_model::facts::EvidenceFact;

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
        // Each is handed in by itself, a second after the one before.
        let run = |index: u64, claim| EvidenceFact {
            recorded_at: before(60 - index),
            ..evidence(index, on_behalf("robot"), Claim::Tests(claim))
        };
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
    fn reports_that_were_handed_in_together_are_one_run() {
        let of = |passed, failed, names: &[&str]| Tests {
            passed,
            failed,
            failed_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..tests()
        };
        let at = |index, secs, claim| EvidenceFact {
            recorded_at: before(secs),
            ..evidence(index, on_behalf("robot"), Claim::Tests(claim))
        };
        let row = |gate: &str, facts: Vec<EvidenceFact>, outcome, reason| {
            check(&format!("kind = \"tests\"\n{gate}\n"), |_, known| known.evidence = facts, outcome, reason)
        };
        // A report that fails is hidden by no other one beside it, in whatever order they come.
        for [first, second] in [[0, 1], [1, 0]] {
            let facts = vec![at(1, 9, of(3, first, &["cart"])), at(2, 9, of(4, second, &["till"]))];
            let result = row("", facts, Fail, Reason::TestsFailed);
            assert_eq!(result.found, "app.tar.gz: 7 passed, 1 failed, 0 skipped in 2 reports (cart, till)");
            assert_eq!(result.evidence.len(), 2);
        }
        let parts = || vec![at(1, 9, of(3, 0, &[])), at(2, 9, of(4, 0, &[]))];
        let result = row("min_passed = 7", parts(), Pass, Reason::Satisfied);
        assert_eq!(result.found, "app.tar.gz: 7 passed, 0 failed, 0 skipped in 2 reports");
        row("min_passed = 8", parts(), Fail, Reason::TestsTooFew);
        // What was handed in later replaces all of it.
        let replaced = vec![at(1, 9, of(3, 1, &[])), at(2, 9, of(4, 1, &[])), at(3, 8, of(1, 0, &[]))];
        row("", replaced, Pass, Reason::Satisfied);
        let later = vec![at(1, 9, of(9, 0, &[])), at(2, 8, of(1, 0, &[]))];
        row("min_passed = 9", later, Fail, Reason::TestsTooFew);
        // One part that is old makes the run old.
        let old = Tests { finished_at: Some(before(7200)), ..of(3, 0, &[]) };
        row("max_age = \"1h\"", vec![at(1, 9, old), at(2, 9, of(4, 0, &[]))], Fail, Reason::TestsStale);
    }

    #[test]
    fn says_what_mends_a_run_whoever_signed_it() {
        let failed = || Tests { failed: 1, ..tests() };
        let run = |claim| evidence(1, signed(&["ci"]), Claim::Tests(claim));
        let fix = |gate: &str, fact: EvidenceFact, reason| {
            check(&format!("kind = \"tests\"\n{gate}\n"), |_, known| known.evidence = vec![fact], Fail, reason).fix
        };
        let plain = "lockgate attest shop/web@1.4.2 --tests junit.xml";
        let repair = "repair what fails, then: lockgate push <file> --service shop/web --version <next>";
        let rerun = "or, if the run was at fault, run the tests again, ";
        let expected = format!("{repair} --tests junit.xml\n{rerun}then: {plain}");
        assert_eq!(fix("", run(failed()), Reason::TestsFailed), expected);
        let by_ci = "have that signed by ci, then: lockgate attest shop/web@1.4.2 --attestation tests.dsse.json";
        let signed_by = "signed_by = [\"ci\"]";
        assert_eq!(fix(signed_by, run(failed()), Reason::TestsFailed), format!("{repair}\n{rerun}{by_ci}"));
        let few = fix(&format!("{signed_by}\nmin_passed = 99"), run(tests()), Reason::TestsTooFew);
        assert_eq!(few, format!("run all of the tests, {by_ci}"));
        let old = EvidenceFact { recorded_at: before(108_097), ..run(tests()) };
        let stale = fix(&format!("{signed_by}\nmax_age = \"1h\""), old.clone(), Reason::TestsStale);
        assert_eq!(stale, format!("run the tests again, {by_ci}"));
        let gate = "kind = \"tests\"\nmax_age = \"1h\"\n";
        let result = check(gate, |_, known| known.evidence = vec![old], Fail, Reason::TestsStale);
        assert!(result.found.ends_with(", 30 hours old"), "{}", result.found);
        let early = Tests { finished_at: Some(UnixMillis(u64::MAX)), ..tests() };
        let clock = fix(signed_by, run(early), Reason::EvidenceFromFuture);
        assert_eq!(clock, format!("set the clock of the machine that made it, and make it anew, {by_ci}"));
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
