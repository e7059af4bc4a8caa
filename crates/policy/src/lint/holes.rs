//! Holes: gates that a policy set's own tests show objecting to evidence, and passing once it is kept back.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::GateName;
use lockgate_model::facts::{EvidenceFact, Facts};

use crate::decide::decide;
use crate::decision::{Decision, GateOutcome};
use crate::gate::Gate;
use crate::policy_set::PolicySet;
use crate::policy_test::TestResult;
use crate::test_coverage::is_objection;
use crate::trust::EvidenceKind;

/// The kind of gates that look at who made evidence, and not at what it says.
const ABOUT_PEOPLE: &str = "approvals";
/// The words for claims that nobody can demand: a gate that objects to them asks for no evidence.
const UNREADABLE: [&str; 2] = ["malformed", "unknown"];

/// What a gate passes without, of what it objects to in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole<'a> {
    test: &'a str,
    /// The one kind of evidence; all of it where there is none.
    kind: Option<&'static str>,
}

impl Hole<'_> {
    /// What is wrong, after the gate's name.
    pub(super) fn message(&self) -> String {
        let test = self.test;
        match self.kind {
            None => format!("objects to the evidence of the test `{test}`, and passes when there is none"),
            Some(kind) => {
                format!("objects to the evidence of the test `{test}`, and passes when `{kind}` is kept back of it")
            }
        }
    }
}

/// The gates with a hole, each with the first that the tests show; `results` are those of all tests, in order.
///
/// Decides anew on each test with an objection: without any evidence, and without each kind that the test hands in.
pub(super) fn holes<'a>(policy: &'a PolicySet, results: &[TestResult]) -> BTreeMap<&'a GateName, Hole<'a>> {
    let mut holes: BTreeMap<&'a GateName, Hole<'a>> = BTreeMap::new();
    for (test, result) in policy.tests().iter().zip(results) {
        let objects = |gate: &&Gate| {
            gate.kind.name() != ABOUT_PEOPLE && outcome_of(&result.decision, gate).is_some_and(is_objection)
        };
        let objecting: Vec<&'a Gate> = policy.gates().iter().filter(objects).collect();
        if objecting.is_empty() {
            continue;
        }
        let facts = test.facts(policy);
        for kind in kept_back(&facts) {
            let sound: Vec<&'a Gate> =
                objecting.iter().copied().filter(|gate| !holes.contains_key(&gate.name)).collect();
            if sound.is_empty() {
                break;
            }
            let decision = decide(policy, &without(&facts, kind));
            for gate in sound {
                if outcome_of(&decision, gate) == Some(GateOutcome::Pass) {
                    holes.insert(&gate.name, Hole { test: &test.name, kind });
                }
            }
        }
    }
    holes
}

/// What somebody could keep back of some facts: all evidence, and each kind by itself where there are several.
fn kept_back(facts: &Facts) -> Vec<Option<&'static str>> {
    let words: BTreeSet<&'static str> = facts.evidence.iter().map(|fact| EvidenceKind::word_of(&fact.claim)).collect();
    let mut kinds: Vec<Option<&'static str>> = Vec::new();
    if !words.is_empty() {
        kinds.push(None);
    }
    if words.len() > 1 {
        kinds.extend(words.into_iter().filter(|word| !UNREADABLE.contains(word)).map(Some));
    }
    kinds
}

/// Facts without the evidence of one kind, or without any.
fn without(facts: &Facts, kind: Option<&'static str>) -> Facts {
    let stays = |fact: &&EvidenceFact| kind.is_some_and(|kind| EvidenceKind::word_of(&fact.claim) != kind);
    let evidence: Vec<EvidenceFact> = facts.evidence.iter().filter(stays).cloned().collect();
    Facts { evidence, ..facts.clone() }
}

fn outcome_of(decision: &Decision, gate: &Gate) -> Option<GateOutcome> {
    decision.gates.iter().find(|found| found.gate == gate.name).map(|found| found.outcome)
}
