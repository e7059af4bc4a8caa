//! Gate changes: which gates come out otherwise for a release than they did for the one that runs in its target.
//!
//! Before is the decision by which that release was let in, as the ledger has it. After is what is decided on the facts
//! of now: a recorded decision may be older than the newest evidence. Gates that wait for people are left out, because
//! the approver's own signature is one of those that they wait for.

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{Running, Verdict};
use lockgate_model::{GateName, Limits, UnixMillis};
use lockgate_policy::{Decision, GateOutcome, GateResult, decide};

use crate::approval::ApprovalDocument;
use crate::bodies::{Bodies, BodyError, required};
use crate::entry::{ApprovalRecorded, GateLine};
use crate::facts::{ClaimCache, facts_for};
use crate::release::ReleaseState;
use crate::state::{ApplyError, State};

/// The kind of gates that wait for people.
const OF_PEOPLE: &str = "approvals";

/// The gates that come out otherwise, by what comes of them now. What no gate comes to is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateChanges {
    /// By which rules it was decided: [`Decision::ENGINE`] of that time, without a version of the time zone database.
    pub engine: String,
    /// Those that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<GateGroup>,
    /// Those that wait for time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<GateGroup>,
    /// Those that only warn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<GateGroup>,
    /// Those that were waived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<GateGroup>,
    /// Those that people let the release past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<GateGroup>,
    /// Those that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<GateGroup>,
    /// Those that were asked then, and are not asked now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<GateGroup>,
}

/// None comes out otherwise, by the rules of this version.
impl Default for GateChanges {
    fn default() -> Self {
        Self {
            engine: Decision::ENGINE.to_owned(),
            fail: None,
            pending: None,
            warn: None,
            waived: None,
            overridden: None,
            pass: None,
            removed: None,
        }
    }
}

/// Gates of which the same came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateGroup {
    /// How many.
    pub count: u64,
    /// The first of them, in the order of the policy set: at most [`Limits::gates_named`].
    pub names: Vec<GateName>,
}

impl GateGroup {
    fn of<'a>(gates: impl Iterator<Item = &'a GateName>) -> Option<Self> {
        let mut group = Self { count: 0, names: Vec::new() };
        for gate in gates {
            group.count += 1;
            if group.names.len() < Limits::DEFAULT.gates_named {
                group.names.push(gate.clone());
            }
        }
        (group.count > 0).then_some(group)
    }

    fn told(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(GateName::as_str).collect();
        let named = u64::try_from(self.names.len()).unwrap_or(u64::MAX);
        match self.count.saturating_sub(named) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

impl GateChanges {
    /// Compares the gates of a recorded decision with those of another.
    pub fn between(before: &[GateLine], after: &Decision) -> Self {
        let turned = |outcome: GateOutcome| {
            let is_new = |gate: &&GateResult| {
                let earlier = before.iter().find(|line| line.gate == gate.gate).map(|line| line.outcome);
                gate.outcome == outcome && earlier != Some(outcome) && gate.kind.as_str() != OF_PEOPLE
            };
            GateGroup::of(after.gates.iter().filter(is_new).map(|gate| &gate.gate))
        };
        let is_removed = |line: &&GateLine| !after.gates.iter().any(|gate| gate.gate == line.gate);
        Self {
            engine: after.engine.split('+').next().unwrap_or_default().to_owned(),
            fail: turned(GateOutcome::Fail),
            pending: turned(GateOutcome::Pending),
            warn: turned(GateOutcome::Warn),
            waived: turned(GateOutcome::Waived),
            overridden: turned(GateOutcome::Overridden),
            pass: turned(GateOutcome::Pass),
            removed: GateGroup::of(before.iter().filter(is_removed).map(|line| &line.gate)),
        }
    }

    /// Compares a decision with the one by which `other`, which runs in the same target, was let in; `None` where the
    /// ledger has no such decision.
    pub fn against(running: &Running, other: &ReleaseState, decision: &Decision) -> Option<Self> {
        // Nothing is decided on a promotion after its grant.
        let let_in = other.promotions.get(&running.promotion)?.decisions.last()?;
        Some(Self::between(&let_in.event.gates, decision))
    }

    /// One line for each thing that came of gates, for people; what keeps a release out comes first.
    pub fn lines(&self) -> Vec<String> {
        let groups = [
            ("newly failing", &self.fail),
            ("newly waiting", &self.pending),
            ("newly only warning", &self.warn),
            ("newly waived", &self.waived),
            ("newly overridden", &self.overridden),
            ("newly passing", &self.pass),
            ("no longer asked", &self.removed),
        ];
        let line = |(words, group): (&str, &Option<GateGroup>)| {
            group.as_ref().map(|group| format!("gates {words}: {}", group.told()))
        };
        let lines: Vec<String> = groups.into_iter().filter_map(line).collect();
        match lines.is_empty() {
            true => vec!["gates: none comes out otherwise".to_owned()],
            false => lines,
        }
    }
}

/// Checks what a recorded approval says of gates, on the state just before its entry: for auditors. The server compared
/// the same when it was handed in.
///
/// A document that says nothing of gates is not compared, as all were before they did, and neither is a rejection,
/// which names none. One that does not read is left to [`State::apply`].
///
/// Gates that were decided by another engine cannot be decided again by this one: then the value is the name of that
/// other engine, and nothing was compared.
///
/// # Errors
/// `APPROVAL_CHANGES`, or [`ApplyError`] when the facts cannot be gathered whole.
pub fn check(
    state: &State,
    event: &ApprovalRecorded,
    time: UnixMillis,
    bodies: &dyn Bodies,
    cache: &ClaimCache,
) -> Result<Option<String>, ApplyError> {
    let bytes = match required(bodies, &event.document) {
        Ok(bytes) => bytes,
        Err(error @ BodyError::Unreachable(..)) => return Err(error.into()),
        // Whoever folds the entry says so.
        Err(_) => return Ok(None),
    };
    let Ok(document) = ApprovalDocument::from_bytes(&bytes) else { return Ok(None) };
    let shown = document.predicate.changes.and_then(|changes| changes.gates);
    let Some(shown) = shown.filter(|_| event.verdict == Verdict::Approve) else { return Ok(None) };
    if shown.engine != Decision::ENGINE {
        return Ok(Some(shown.engine));
    }
    let facts = facts_for(state, event.promotion, time, bodies, cache)?;
    let found = match &facts.running {
        Some(running) => {
            let decision = decide(&state.governance()?.policy, &facts);
            GateChanges::against(running, state.release(&running.release)?, &decision)
        }
        None => None,
    };
    match found.as_ref() == Some(&shown) {
        true => Ok(None),
        false => Err(ApplyError::new(
            "APPROVAL_CHANGES",
            format!("`{}` signed that other gates change for {} than do", event.approver, event.promotion),
        )),
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::Digest;
    use lockgate_policy::{Outcome, Rule};

    use super::*;
    use GateOutcome::{Fail, Overridden, Pass, Pending, Waived, Warn};

    fn decision(gates: &[(&str, &str, GateOutcome)]) -> Decision {
        let gate = |(name, kind, outcome): &(&str, &str, GateOutcome)| GateResult {
            gate: name.parse().unwrap(),
            kind: (*kind).to_owned(),
            outcome: *outcome,
            reason: "A_REASON".to_owned(),
            rule: Rule { file: "gates/a.toml".to_owned(), line: 1 },
            needed: String::new(),
            found: String::new(),
            evidence: Vec::new(),
            who: String::new(),
            fix: String::new(),
            controls: Vec::new(),
            enforced_from: None,
        };
        Decision {
            schema: Decision::SCHEMA.to_owned(),
            engine: Decision::ENGINE.to_owned(),
            policy: Digest::of(b"policy"),
            promotion: "P-1".parse().unwrap(),
            release: "shop/web@1.0.0".parse().unwrap(),
            environment: "production".parse().unwrap(),
            outcome: Outcome::Pending,
            would_block: 0,
            break_glass: None,
            gates: gates.iter().map(gate).collect(),
        }
    }

    fn before(gates: &[(&str, GateOutcome)]) -> Vec<GateLine> {
        gates.iter().map(|(name, outcome)| GateLine { gate: name.parse().unwrap(), outcome: *outcome }).collect()
    }

    #[test]
    fn only_what_comes_out_otherwise_is_named() {
        let check = |old: &[(&str, GateOutcome)], new: &[(&str, &str, GateOutcome)], expected: &[&str]| {
            assert_eq!(GateChanges::between(&before(old), &decision(new)).lines(), expected);
        };
        check(&[("a", Pass)], &[("a", "tests", Pass)], &["gates: none comes out otherwise"]);
        check(&[("a", Pass)], &[("a", "tests", Fail)], &["gates newly failing: a"]);
        check(&[("a", Overridden)], &[("a", "tests", Pass)], &["gates newly passing: a"]);
        // A gate that is new, and one that is not asked any more.
        check(&[("a", Pass)], &[("b", "sbom", Warn)], &["gates newly only warning: b", "gates no longer asked: a"]);
        // What waits for people says nothing of the release; that nobody is asked any more does.
        check(&[("p", Pass)], &[("p", "approvals", Pending)], &["gates: none comes out otherwise"]);
        check(&[("p", Pass)], &[], &["gates no longer asked: p"]);
        check(
            &[("a", Warn), ("b", Pass), ("c", Pass), ("d", Fail)],
            &[("d", "sbom", Pass), ("c", "windows", Pending), ("b", "sbom", Waived), ("a", "tests", Fail)],
            &["gates newly failing: a", "gates newly waiting: c", "gates newly waived: b", "gates newly passing: d"],
        );
    }

    #[test]
    fn however_many_change_few_are_named() {
        let most = Limits::DEFAULT.gates_named;
        let told = |number: usize| {
            let names: Vec<String> = (0..number).map(|gate| format!("g{gate}")).collect();
            let gates: Vec<_> = names.iter().map(|name| (name.as_str(), "tests", Fail)).collect();
            let changes = GateChanges::between(&[], &decision(&gates));
            let failing = changes.fail.clone().unwrap();
            assert_eq!((failing.count, failing.names.len()), (number as u64, number.min(most)));
            changes.lines().join("\n")
        };
        assert!(!told(most).contains("more"), "{}", told(most));
        assert!(told(most + 3).ends_with(&format!("g{} and 3 more", most - 1)), "{}", told(most + 3));
    }

    #[test]
    fn it_reads_back_and_says_nothing_of_what_is_not_there() {
        let check = |changes: &GateChanges, expected: &str| {
            let bytes = lockgate_model::canonical::to_vec(changes).unwrap();
            assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
            let again: GateChanges = lockgate_model::canonical::from_slice(&bytes, &Limits::DEFAULT).unwrap();
            assert_eq!(again, *changes);
        };
        check(&GateChanges::default(), r#"{"engine":"lockgate-decide/1"}"#);
        let mut failing = decision(&[("a", "tests", Fail)]);
        let told = |decision: &Decision| GateChanges::between(&before(&[("a", Pass)]), decision);
        check(&told(&failing), r#"{"engine":"lockgate-decide/1","fail":{"count":1,"names":["a"]}}"#);
        // Which rules of time zones this machine has is no part of it; by which rules it was decided is.
        let plain = told(&failing);
        failing.engine = Decision::zoned_engine();
        assert_eq!(told(&failing), plain);
        failing.engine = "lockgate-decide/0".to_owned();
        check(&told(&failing), r#"{"engine":"lockgate-decide/0","fail":{"count":1,"names":["a"]}}"#);
        // Whoever names gates says who decided.
        assert!(lockgate_model::canonical::from_slice::<GateChanges>(b"{}", &Limits::DEFAULT).is_err());
    }
}
