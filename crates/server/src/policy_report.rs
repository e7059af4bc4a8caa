//! What was checked of the active policy set, and what its gates warned of.
//!
//! A policy set does not change, so that its tests are run once for each digest. What gates warned of is counted on
//! from where the last count ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_engine::authorise::may_read;
use lockgate_engine::{Engine, Fault};
use lockgate_ledger::entry::DecisionRecorded;
use lockgate_ledger::{Event, Governance, Leaf};
use lockgate_model::{Digest, EntryIndex, EnvName, GateName, Limits, PersonId, PromotionId, ServiceName};
use lockgate_policy::{GateOutcome, Lint, LintLevel, Object, PolicySet, coverage, lints, run_tests};
use lockgate_web::policy::checks::{Checks, CoverageLine, LintLine, TestLine};

/// How many entries are looked through for warnings, the newest.
const SCAN_MAX: u64 = 5_000;
/// How many of them are read at a time.
const PAGE: usize = 512;

/// What was checked, and what the active policy set's gates warned of.
#[derive(Debug, Clone)]
pub struct PolicyReport {
    /// Tests, coverage and lints.
    pub checks: Arc<Checks>,
    /// The entry from which on warnings are counted.
    pub warned_from: u64,
    /// For each gate: how many promotions it would have blocked while it only warned, of those that somebody may read.
    pub warned: BTreeMap<GateName, usize>,
}

/// The report on the active policy set.
#[derive(Debug, Default)]
pub struct PolicyReports(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    policy: Digest,
    checks: Arc<Checks>,
    warned: Warned,
}

/// The promotions that each gate would have blocked, with where they lead.
#[derive(Debug, Default)]
struct Warned {
    from: u64,
    next: u64,
    gates: BTreeMap<GateName, BTreeMap<PromotionId, (ServiceName, EnvName)>>,
}

impl PolicyReports {
    fn locked(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The report for somebody.
    ///
    /// # Errors
    /// What the store says.
    pub fn of(&self, engine: &Engine, person: &PersonId) -> Result<PolicyReport, Fault> {
        let governance = engine.governance()?;
        // Held while the tests run: of several who ask at once, one runs them.
        let mut known = self.locked();
        let mut current = match known.take().filter(|known| known.policy == governance.policy_digest) {
            Some(current) => current,
            None => Known {
                policy: governance.policy_digest,
                checks: Arc::new(checked(&governance.policy)),
                warned: Warned::default(),
            },
        };
        let counted = current.warned.advance(engine, &governance);
        let report = PolicyReport {
            checks: current.checks.clone(),
            warned_from: current.warned.from,
            warned: current.warned.for_reader(&governance, person),
        };
        *known = Some(current);
        counted.map(|()| report)
    }
}

impl Warned {
    /// Counts on to the end of the ledger, from the entry that made the policy set active at the earliest.
    fn advance(&mut self, engine: &Engine, governance: &Governance) -> Result<(), Fault> {
        let size = engine.published().head.size.0;
        let oldest = size.saturating_sub(SCAN_MAX).max(governance.policy_at.0);
        if self.next < oldest {
            *self = Self { from: oldest, next: oldest, gates: BTreeMap::new() };
        }
        while self.next < size {
            let leaves = engine.store().entries(EntryIndex(self.next), PAGE)?;
            if leaves.is_empty() {
                break;
            }
            for leaf in leaves {
                self.next += 1;
                if let Ok(Leaf::Entry(entry)) = Leaf::decode(&leaf, &Limits::DEFAULT)
                    && let Event::DecisionRecorded(event) = &entry.event
                    && event.policy == governance.policy_digest
                {
                    self.add(event);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, event: &DecisionRecorded) {
        for line in event.gates.iter().filter(|line| line.outcome == GateOutcome::Warn) {
            let place = (event.release.service.clone(), event.environment.clone());
            self.gates.entry(line.gate.clone()).or_default().insert(event.promotion, place);
        }
    }

    fn for_reader(&self, governance: &Governance, person: &PersonId) -> BTreeMap<GateName, usize> {
        let readable = |(service, environment): &&(ServiceName, EnvName)| {
            may_read(governance, person, Object::Target(service, environment))
        };
        let count =
            |promotions: &BTreeMap<PromotionId, (ServiceName, EnvName)>| promotions.values().filter(readable).count();
        self.gates.iter().map(|(gate, promotions)| (gate.clone(), count(promotions))).collect()
    }
}

fn checked(policy: &PolicySet) -> Checks {
    let results = run_tests(policy);
    let seen = coverage(policy, &results);
    let test = |result: &lockgate_policy::TestResult| TestLine {
        name: result.name.clone(),
        file: result.file.clone(),
        line: result.line as u64,
        passed: result.passed,
        expected: result.expected.clone(),
        found: result.found.clone(),
    };
    let mut tests: Vec<TestLine> = results.iter().map(test).collect();
    tests.sort_by_key(|test| test.passed);
    let gate = |gate: &lockgate_policy::GateCoverage| CoverageLine {
        gate: gate.gate.to_string(),
        file: gate.rule.file.clone(),
        line: gate.rule.line as u64,
        passes: gate.passes.len(),
        objects: gate.objects.len(),
    };
    Checks {
        tests,
        coverage: seen.gates.iter().map(gate).collect(),
        percent: seen.percent(),
        lints: lints(policy, None).into_iter().map(lint_line).collect(),
    }
}

/// A lint, for the page.
pub fn lint_line(lint: Lint) -> LintLine {
    LintLine {
        code: lint.code.to_owned(),
        warning: lint.level == LintLevel::Warning,
        file: lint.file,
        line: lint.line.map(|line| line as u64),
        message: lint.message,
        hint: lint.hint,
    }
}
