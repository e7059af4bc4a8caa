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
    /// How its gates did.
    pub state: ControlState,
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
    /// The break-glass by which people let it past the gates in an emergency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<ControlBreakGlass>,
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

/// One break-glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControlBreakGlass {
    /// Where it was opened.
    pub entry: EntryIndex,
    /// The ticket or incident.
    pub ticket: String,
    /// Who signed it, in ledger order.
    pub signed_by: Vec<PersonId>,
    /// Who reviewed it since.
    pub reviewed_by: Vec<PersonId>,
}

/// How the gates of a control did, where a release was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlState {
    /// Each of them passed, every time.
    Satisfied,
    /// Each passed or was waived, and one was waived.
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

impl ControlState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Satisfied => "satisfied",
            Self::Waived => "waived",
            Self::NotSatisfied => "not-satisfied",
            Self::NotAssessed => "not-assessed",
        }
    }

    /// How gates did. What was denied or waits is no fault: a gate that denies does its work.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a ControlLine>) -> Self {
        let mut state = Self::NotAssessed;
        for line in lines.into_iter().filter(|line| line.decided == Outcome::Allow) {
            match (line.outcome, line.suspect) {
                (GateOutcome::Pass, false) if state == Self::NotAssessed => state = Self::Satisfied,
                (GateOutcome::Pass, false) => {}
                (GateOutcome::Waived, false) => state = Self::Waived,
                _ => return Self::NotSatisfied,
            }
        }
        state
    }
}

impl ControlReport {
    /// How many decisions came under a control.
    pub fn decisions_under_controls(&self) -> usize {
        let lines = self.controls.iter().flat_map(|section| &section.lines);
        lines.map(|line| line.entry).collect::<BTreeSet<_>>().len()
    }
}

impl ControlSection {
    /// A control with what its gates came to.
    pub fn new(control: String, gates_now: Vec<GateName>, lines: Vec<ControlLine>) -> Self {
        Self { control, state: ControlState::of(&lines), gates_now, lines }
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
    opened: BTreeMap<EntryIndex, ControlBreakGlass>,
}

impl Controls {
    /// Gathers decisions from a moment on, or all.
    pub fn new(since: Option<UnixMillis>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Is told an entry, with the decision that was run again for it.
    pub fn observe(&mut self, index: EntryIndex, entry: &Entry, decided: Option<&Deliberation>) {
        self.until = Some(entry.time);
        self.observe_break_glass(index, &entry.event);
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
                let mut line = line(index, entry.time, event, decided, gate);
                line.break_glass = event.break_glass.and_then(|opened| self.opened.get(&opened)).cloned();
                self.lines.entry(control.clone()).or_default().push(line);
            }
        }
    }

    fn observe_break_glass(&mut self, index: EntryIndex, event: &Event) {
        let (opened, by, is_review) = match event {
            Event::BreakGlassOpened(event) => {
                let (ticket, signed_by) = (event.ticket.clone(), vec![event.by.clone()]);
                let opened = ControlBreakGlass { entry: index, ticket, signed_by, reviewed_by: Vec::new() };
                self.opened.insert(index, opened);
                return;
            }
            Event::BreakGlassSigned(event) => (event.break_glass, &event.by, false),
            Event::BreakGlassReviewed(event) => (event.break_glass, &event.by, true),
            _ => return,
        };
        if let Some(opened) = self.opened.get_mut(&opened) {
            let people = if is_review { &mut opened.reviewed_by } else { &mut opened.signed_by };
            people.push(by.clone());
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
                // With what was signed and reviewed since.
                if let Some(opened) = line.break_glass.as_ref().and_then(|broken| self.opened.get(&broken.entry)) {
                    line.break_glass = Some(opened.clone());
                }
                line.suspect = doubtful.contains(&line.entry)
                    || line.approvers.iter().any(|approval| doubtful.contains(&approval.entry));
            }
            let gates_now = now.get(&control).cloned().unwrap_or_default();
            ControlSection::new(control, gates_now, lines)
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
        break_glass: None,
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
            break_glass: None,
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
            let lines: Vec<ControlLine> =
                lines.iter().map(|(decided, outcome, suspect)| one(*decided, *outcome, *suspect)).collect();
            assert_eq!(ControlState::of(&lines), expected, "{lines:?}");
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
