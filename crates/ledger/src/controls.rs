//! Controls: what was decided under each control of the frameworks that gates answer to, for an auditor.
//!
//! Gathered while the ledger is audited, from decisions that were run again on the way; nothing else is believed. It
//! says what gates did, and not that a control is met as a whole: much of a control is outside of what gates see.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, EntryIndex, EnvName, GateName, PersonId, PromotionId, ReleaseName, UnixMillis};
use lockgate_policy::{GateOutcome, GateResult, Outcome, PolicySet};

use crate::entry::{DecisionRecorded, Entry, Event};
use crate::replay::Deliberation;
use crate::suspect::Suspect;

/// What was decided under every control.
#[derive(Debug, Clone, Serialize)]
pub struct ControlReport {
    /// Always [`ControlReport::SCHEMA`].
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: String,
    /// How many entries were audited.
    pub entries: u64,
    /// The root over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
    /// The active policy set.
    pub policy: Digest,
    /// From when on decisions were looked at; from the first one, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMillis>,
    /// The time of the newest entry.
    pub until: UnixMillis,
    /// How many decisions were looked at.
    pub decisions: u64,
    /// Each control, in order of name.
    pub controls: Vec<ControlSection>,
    /// Gates that decided something and answer to no control.
    pub gates_without_controls: Vec<GateName>,
}

/// One control.
#[derive(Debug, Clone, Serialize)]
pub struct ControlSection {
    /// Its name, in the policy author's words.
    pub control: String,
    /// The gates of the active policy set that answer to it.
    pub gates_now: Vec<GateName>,
    /// What each gate that answered to it came to, in ledger order.
    pub lines: Vec<ControlLine>,
}

/// What one gate came to in one decision.
#[derive(Debug, Clone, Serialize)]
pub struct ControlLine {
    /// Where the decision is recorded.
    pub entry: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// Which promotion.
    pub promotion: PromotionId,
    /// Of what.
    pub release: ReleaseName,
    /// Into where.
    pub environment: EnvName,
    /// What came of all gates together.
    pub decided: Outcome,
    /// Whether people let it past the gates in an emergency.
    pub break_glass: bool,
    /// The decision document.
    pub decision: Digest,
    /// The facts document.
    pub facts: Digest,
    /// The policy set that decided.
    pub policy: Digest,
    /// The gate.
    pub gate: GateName,
    /// What came of it.
    pub outcome: GateOutcome,
    /// Why, as a stable reason code.
    pub reason: String,
    /// What there was.
    pub found: String,
    /// The evidence that it looked at.
    pub evidence: Vec<Digest>,
    /// Who had approved by then.
    pub approvers: Vec<ControlApproval>,
    /// The waivers of this gate that were in force.
    pub waivers: Vec<ControlWaiver>,
    /// Whether it rested on a key that was found compromised later.
    pub suspect: bool,
}

/// One approval that was there.
#[derive(Debug, Clone, Serialize)]
pub struct ControlApproval {
    /// Who.
    pub person: PersonId,
    /// With which key.
    pub key: String,
    /// Where it is recorded.
    pub entry: EntryIndex,
}

/// One waiver that was in force.
#[derive(Debug, Clone, Serialize)]
pub struct ControlWaiver {
    /// For which finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Who asked.
    pub asked_by: PersonId,
    /// Who granted.
    pub granted_by: PersonId,
    /// Until when.
    pub expires_at: UnixMillis,
    /// Where it is recorded.
    pub entry: EntryIndex,
}

/// How the gates of a control did, where a release was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlState {
    /// Each of them passed, every time.
    Satisfied,
    /// Each passed or was waived by two people, and one was waived.
    Waived,
    /// A release was let in although one of them objected, or on an approval that counts no more.
    NotSatisfied,
    /// Nothing was let in under it.
    NotAssessed,
}

impl ControlReport {
    /// The schema that this version writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/control-report/v1";
}

impl ControlSection {
    /// How its gates did. What was denied or waits is no fault: a gate that denies does its work.
    pub fn state(&self) -> ControlState {
        let mut state = ControlState::NotAssessed;
        for line in self.lines.iter().filter(|line| line.decided == Outcome::Allow) {
            match (line.outcome, line.suspect) {
                (GateOutcome::Pass, false) if state == ControlState::NotAssessed => state = ControlState::Satisfied,
                (GateOutcome::Pass, false) => {}
                (GateOutcome::Waived, false) => state = ControlState::Waived,
                _ => return ControlState::NotSatisfied,
            }
        }
        state
    }
}

/// Gathers what was decided while a ledger is audited.
#[derive(Debug, Default)]
pub struct Controls {
    since: Option<UnixMillis>,
    until: Option<UnixMillis>,
    decisions: u64,
    lines: BTreeMap<String, Vec<ControlLine>>,
    without: BTreeSet<GateName>,
}

impl Controls {
    /// Gathers decisions from a moment on, or all.
    pub fn new(since: Option<UnixMillis>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Is told an entry, with the decision that was run again for it.
    pub fn observe(&mut self, index: EntryIndex, entry: &Entry, decided: Option<&Deliberation>) {
        self.until = Some(entry.time);
        let (Event::DecisionRecorded(event), Some(decided)) = (&entry.event, decided) else { return };
        if self.since.is_some_and(|since| entry.time < since) {
            return;
        }
        self.decisions += 1;
        for gate in &decided.decision.gates {
            if gate.controls.is_empty() {
                self.without.insert(gate.gate.clone());
            }
            for control in &gate.controls {
                let line = line(index, entry.time, event, decided, gate);
                self.lines.entry(control.clone()).or_default().push(line);
            }
        }
    }

    /// The report, with what the active policy set says of controls and what the audit found suspect.
    pub fn finish(
        mut self,
        ledger: &str,
        policy: &PolicySet,
        (entries, root): (u64, Option<Digest>),
        suspects: &[Suspect],
    ) -> ControlReport {
        let mut now: BTreeMap<String, Vec<GateName>> = BTreeMap::new();
        for gate in policy.gates() {
            for control in &gate.controls {
                now.entry(control.clone()).or_default().push(gate.name.clone());
                self.lines.entry(control.clone()).or_default();
            }
        }
        let doubtful: BTreeSet<EntryIndex> = suspects.iter().map(|suspect| suspect.index).collect();
        let section = |(control, mut lines): (String, Vec<ControlLine>)| {
            for line in &mut lines {
                line.suspect = doubtful.contains(&line.entry)
                    || line.approvers.iter().any(|approval| doubtful.contains(&approval.entry));
            }
            let gates_now = now.get(&control).cloned().unwrap_or_default();
            ControlSection { control, gates_now, lines }
        };
        ControlReport {
            schema: ControlReport::SCHEMA,
            ledger: ledger.to_owned(),
            entries,
            root,
            policy: policy.digest(),
            since: self.since,
            until: self.until.unwrap_or(UnixMillis(0)),
            decisions: self.decisions,
            controls: self.lines.into_iter().map(section).collect(),
            gates_without_controls: self.without.into_iter().collect(),
        }
    }
}

fn line(
    index: EntryIndex,
    time: UnixMillis,
    event: &DecisionRecorded,
    decided: &Deliberation,
    gate: &GateResult,
) -> ControlLine {
    let facts = &decided.facts;
    let approvals = facts.approvals.iter().filter(|fact| fact.verdict == Verdict::Approve && !fact.withdrawn);
    let waivers = facts.waivers.iter().filter(|fact| fact.gate == gate.gate && time < fact.expires_at);
    ControlLine {
        entry: index,
        time,
        promotion: event.promotion,
        release: event.release.clone(),
        environment: event.environment.clone(),
        decided: event.outcome,
        break_glass: event.break_glass.is_some(),
        decision: event.decision,
        facts: event.facts,
        policy: event.policy,
        gate: gate.gate.clone(),
        outcome: gate.outcome,
        reason: gate.reason.clone(),
        found: gate.found.clone(),
        evidence: gate.evidence.clone(),
        approvers: approvals
            .map(|fact| ControlApproval { person: fact.person.clone(), key: fact.key.clone(), entry: fact.index })
            .collect(),
        waivers: waivers
            .map(|fact| ControlWaiver {
                finding: fact.finding.clone(),
                asked_by: fact.asked_by.clone(),
                granted_by: fact.granted_by.clone(),
                expires_at: fact.expires_at,
                entry: fact.index,
            })
            .collect(),
        suspect: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(decided: Outcome, outcome: GateOutcome, suspect: bool) -> ControlLine {
        ControlLine {
            entry: EntryIndex(7),
            time: UnixMillis(0),
            promotion: PromotionId(1),
            release: "shop/web@1.0.0".parse().unwrap(),
            environment: "production".parse().unwrap(),
            decided,
            break_glass: false,
            decision: Digest::of(b"d"),
            facts: Digest::of(b"f"),
            policy: Digest::of(b"p"),
            gate: "tests".parse().unwrap(),
            outcome,
            reason: "SATISFIED".to_owned(),
            found: String::new(),
            evidence: Vec::new(),
            approvers: Vec::new(),
            waivers: Vec::new(),
            suspect,
        }
    }

    #[test]
    fn only_what_was_let_in_can_be_wrong() {
        use GateOutcome::{Fail, Pass, Waived, Warn};
        let check = |lines: &[(Outcome, GateOutcome, bool)], expected: ControlState| {
            let lines = lines.iter().map(|(decided, outcome, suspect)| one(*decided, *outcome, *suspect)).collect();
            let section = ControlSection { control: "c".to_owned(), gates_now: Vec::new(), lines };
            assert_eq!(section.state(), expected, "{section:?}");
        };
        check(&[], ControlState::NotAssessed);
        check(&[(Outcome::Deny, Fail, false)], ControlState::NotAssessed);
        check(&[(Outcome::Deny, Fail, false), (Outcome::Allow, Pass, false)], ControlState::Satisfied);
        check(&[(Outcome::Allow, Waived, false), (Outcome::Allow, Pass, false)], ControlState::Waived);
        check(&[(Outcome::Allow, Pass, false), (Outcome::Allow, Warn, false)], ControlState::NotSatisfied);
        check(&[(Outcome::Allow, Fail, false)], ControlState::NotSatisfied);
        check(&[(Outcome::Allow, Pass, true)], ControlState::NotSatisfied);
    }
}
