//! The `change-ticket` gate: a ticket of a change-management system allows the change, now.

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, ChangeState, ChangeTicket, Claim, EvidenceFact};
use serde::Deserialize;

use super::coverage::{Demand, Shortfall};
use super::{Assessment, Context, Problem, signer_problems};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, one_of, shown};

/// Demands a ticket about every artifact; the newest one counts. What was approved elsewhere is no approval here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeTicketGate {
    /// Which systems are accepted; every one where it is left out.
    #[serde(default)]
    pub systems: Vec<String>,
    /// How far the ticket may have come; approved or being implemented where it is left out.
    #[serde(default = "allowed")]
    pub states: Vec<ChangeState>,
    /// How many people have to have approved it there; none where it is left out.
    #[serde(default)]
    pub approvers: u64,
    /// Whether the ticket has to say from when to when the change may be made.
    #[serde(default)]
    pub planned: bool,
    /// Whose signature it needs; empty accepts unsigned ones too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

fn allowed() -> Vec<ChangeState> {
    vec![ChangeState::Approved, ChangeState::Implementing]
}

impl ChangeTicketGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Change, policy);
        if self.states.is_empty() {
            problems.push(Problem::new("`states` is empty: no ticket would ever do"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Change,
            signed_by: &self.signed_by,
            noun: "change ticket",
            missing: Reason::ChangeMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let mut texts = Vec::new();
        let mut evidence = Vec::new();
        for artifact in &ctx.facts.release.artifacts {
            match self.check(ctx, artifact) {
                Ok((fact, text)) => {
                    texts.push(format!("{}: {text}", shown(&artifact.name)));
                    if !evidence.contains(&fact.evidence) {
                        evidence.push(fact.evidence);
                    }
                }
                Err(Shortfall { reason, text, evidence }) => {
                    let text = format!("{}: {text}", shown(&artifact.name));
                    return self.short(ctx, Shortfall { reason, text, evidence });
                }
            }
        }
        match texts.is_empty() {
            true => {
                let text = "a release without artifacts".to_owned();
                self.short(ctx, Shortfall { reason: Reason::NoArtifacts, text, evidence })
            }
            false => Assessment { evidence, ..Assessment::passed(self.needed(), few(texts, "; ")) },
        }
    }

    fn needed(&self) -> String {
        let states: Vec<&str> = self.states.iter().map(|state| state.as_str()).collect();
        let of = if self.systems.is_empty() { String::new() } else { format!(" of {}", one_of(&self.systems)) };
        let by = match self.approvers {
            0 => String::new(),
            count => format!(", approved there by {}", counted(count, "person")),
        };
        let planned = if self.planned { ", with the time it is planned for" } else { "" };
        format!("a change ticket{of} that is {}{by}{planned}{}", one_of(&states), self.demand().signed_by_text())
    }

    fn check<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Result<(&'a EvidenceFact, String), Shortfall> {
        let (fact, ticket) = self.demand().newest(ctx, artifact, |claim| match claim {
            Claim::Change(ticket) => Some(ticket),
            _ => None,
        })?;
        let named = format!("{} {} ({})", shown(&ticket.system), shown(&ticket.id), ticket.state.as_str());
        let short = |reason, text| Err(Shortfall { reason, text, evidence: vec![fact.evidence] });
        if !self.systems.is_empty() && !self.systems.contains(&ticket.system) {
            return short(Reason::ChangeNotApproved, format!("{named}, which is not of an accepted system"));
        }
        if !self.states.contains(&ticket.state) {
            return short(Reason::ChangeNotApproved, named);
        }
        let approvers = distinct(ticket);
        if approvers < self.approvers {
            return short(Reason::ChangeNotApproved, format!("{named}, approved by {}", counted(approvers, "person")));
        }
        let now = ctx.facts.time;
        match (ticket.opens_at, ticket.closes_at) {
            (None, _) | (_, None) if self.planned => {
                short(Reason::ChangeNotApproved, format!("{named}, without the time it is planned for"))
            }
            (Some(opens), _) if now < opens => short(Reason::ChangeNotOpen, format!("{named}, which opens {opens}")),
            (_, Some(closes)) if closes <= now => {
                short(Reason::ChangeOver, format!("{named}, whose time was over {closes}"))
            }
            _ => Ok((fact, named)),
        }
    }

    /// A ticket whose time has not come makes the promotion wait; everything else denies.
    fn short(&self, ctx: Context<'_>, shortfall: Shortfall) -> Assessment {
        let Shortfall { reason, text, evidence } = shortfall;
        let waits = reason == Reason::ChangeNotOpen;
        let fix = match reason {
            Reason::ChangeNotOpen => format!("wait until it opens, then: lockgate why {}", ctx.facts.promotion.id),
            Reason::NoArtifacts => ctx.push_next(""),
            _ => {
                let hand_in = self.demand().fix(ctx, reason, "--report ticket.json");
                format!("have the ticket approved and planned, then: {hand_in}")
            }
        };
        Assessment {
            outcome: if waits { GateOutcome::Pending } else { GateOutcome::Fail },
            reason,
            needed: self.needed(),
            found: text,
            evidence,
            who: if waits { "nobody: it takes time".to_owned() } else { ctx.groups_that_may(Permission::Attest) },
            fix,
        }
    }
}

/// How many different names approved a ticket, without regard to case.
fn distinct(ticket: &ChangeTicket) -> u64 {
    let names = ticket.approved_by.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
    u64::try_from(names.collect::<std::collections::BTreeSet<String>>().len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass, Pending};
    use crate::sample::{TIME, check, evidence, on_behalf};
    use lockgate_model::UnixMillis;

    fn ticket() -> ChangeTicket {
        ChangeTicket {
            system: "servicenow".to_owned(),
            id: "CHG0042".to_owned(),
            url: None,
            state: ChangeState::Approved,
            approved_by: vec!["ines".to_owned()],
            opens_at: None,
            closes_at: None,
        }
    }

    #[test]
    fn is_approved_and_open() {
        let row = |fields: &str, change: fn(&mut ChangeTicket), outcome, reason| {
            let mut ticket = ticket();
            change(&mut ticket);
            let fact = evidence(1, on_behalf("robot"), Claim::Change(ticket));
            check(
                &format!("kind = \"change-ticket\"\n{fields}\n"),
                |_, facts| facts.evidence = vec![fact],
                outcome,
                reason,
            )
        };
        let result = row("", |_| {}, Pass, Reason::Satisfied);
        assert_eq!(result.found, "app.tar.gz: servicenow CHG0042 (approved)");
        row("", |ticket| ticket.state = ChangeState::Requested, Fail, Reason::ChangeNotApproved);
        row("states = [\"requested\"]", |ticket| ticket.state = ChangeState::Requested, Pass, Reason::Satisfied);
        row("systems = [\"jira\"]", |_| {}, Fail, Reason::ChangeNotApproved);
        row("systems = [\"jira\", \"servicenow\"]", |_| {}, Pass, Reason::Satisfied);
        row("approvers = 2", |ticket| ticket.approved_by.push("INES".to_owned()), Fail, Reason::ChangeNotApproved);
        row("approvers = 2", |ticket| ticket.approved_by.push("sam".to_owned()), Pass, Reason::Satisfied);
        row("planned = true", |_| {}, Fail, Reason::ChangeNotApproved);
        row("", |ticket| ticket.opens_at = Some(TIME), Pass, Reason::Satisfied);
        row("", |ticket| ticket.opens_at = Some(UnixMillis(TIME.0 + 1)), Pending, Reason::ChangeNotOpen);
        row("", |ticket| ticket.closes_at = Some(UnixMillis(TIME.0 + 1)), Pass, Reason::Satisfied);
        row("", |ticket| ticket.closes_at = Some(TIME), Fail, Reason::ChangeOver);
        let gate = "kind = \"change-ticket\"\n";
        check(gate, |_, _| {}, Fail, Reason::ChangeMissing);
        check(gate, |_, facts| facts.release.artifacts.clear(), Fail, Reason::NoArtifacts);
    }
}
