//! Suspects: what rested on a key that turned out to be in someone else's hands.
//!
//! Nothing is taken back: an entry stays what it was when it was recorded. But whoever looks at it later is told. A
//! signature is void when a later entry said so, either of its key (`compromised_since`), or of the key that had
//! enrolled that key, and so on. A decision is suspect when it counted such a signature before that was known.

use serde::Serialize;

use lockgate_model::{EntryIndex, EnvName};
use lockgate_policy::{GateOutcome, Outcome};

use crate::delegation::Delegation;
use crate::governance::{Governance, Vouched, Vouching};
use crate::release::{DecisionRecord, PromotionState, ReleaseState};

/// An entry that rested on a void signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suspect {
    /// Where it is recorded.
    pub index: EntryIndex,
    /// As what, such as `approval.recorded`.
    pub event: &'static str,
    /// What it is about, in words.
    pub what: String,
    /// Why it is suspect, in words.
    pub why: String,
    /// The `key.revoked` entry that made it so.
    pub since: EntryIndex,
}

/// Whether any key was ever found compromised: if not, nothing is suspect.
pub fn is_possible(governance: &Governance) -> bool {
    let mut keys = governance.people().flat_map(|(_, person)| &person.keys);
    keys.any(|key| key.suspect.is_some() || key.is_compromised())
}

/// The enrolments, ends of keys, suspensions, policy sets, waivers and delegations that are suspect, in ledger order.
pub fn in_governance(governance: &Governance) -> Vec<Suspect> {
    governance.vouchings().iter().filter_map(|vouching| of_vouching(governance, vouching)).collect()
}

fn of_vouching(governance: &Governance, vouching: &Vouching) -> Option<Suspect> {
    if governance.stands(vouching) {
        return None;
    }
    // The void signature that was told last is the one that it fell by.
    let void = vouching.signed.iter().filter_map(|signed| {
        let since = governance.key(&signed.person, &signed.key)?.voided_by(vouching.index)?;
        Some((since, format!("{} signed it with {}, whose signature is void", signed.person, signed.key)))
    });
    let (since, why) = void.max_by_key(|(since, _)| *since)?;
    Some(Suspect { index: vouching.index, event: vouching.event, what: vouching.what.text(), why, since })
}

/// The approvals, decisions and grants of a release that are suspect, in ledger order.
pub fn in_release(governance: &Governance, release: &ReleaseState) -> Vec<Suspect> {
    if !is_possible(governance) {
        return Vec::new();
    }
    let doubtful = in_governance(governance);
    let mut found: Vec<Suspect> = Vec::new();
    for promotion in release.promotions.values() {
        found.extend(approvals(governance, release, promotion));
    }
    let mut decisions: Vec<(&PromotionState, &DecisionRecord)> = release
        .promotions
        .values()
        .flat_map(|asked| asked.decisions.iter().map(move |decision| (asked, decision)))
        .collect();
    decisions.sort_by_key(|(_, decision)| decision.index);
    let mut granted: Vec<(EnvName, Suspect)> = Vec::new();
    for (promotion, decision) in decisions.into_iter().filter(|(_, decision)| decision.event.outcome == Outcome::Allow)
    {
        let causes = approvals(governance, release, promotion)
            .into_iter()
            .chain(policy_in_force(governance, &doubtful, decision.index))
            .chain(delegations(governance, &doubtful, release, promotion))
            .chain(waivers(governance, &doubtful, release, promotion, decision))
            .chain(break_glass(governance, &doubtful, decision))
            .chain(elsewhere(&granted, &promotion.request.environment));
        // It counted what came before it, and did not know what came after it.
        let cause = causes.filter(|cause| cause.index < decision.index && decision.index < cause.since);
        let Some(cause) = cause.min_by_key(|cause| cause.since) else { continue };
        let what = format!("{} of {} into {}", promotion.request.promotion, release.name, decision.event.environment);
        let why = format!("it rested on entry {}: {}", cause.index, cause.why);
        let suspect = |index, event| Suspect { index, event, what: what.clone(), why: why.clone(), since: cause.since };
        found.push(suspect(decision.index, "decision.recorded"));
        if let Some(grant) = promotion.grant.as_ref().filter(|grant| grant.event.decision == decision.index) {
            found.push(suspect(grant.index, "grant.issued"));
            granted.push((grant.event.environment.clone(), suspect(grant.index, "grant.issued")));
        }
    }
    found.sort_by_key(|suspect| suspect.index);
    found
}

fn approvals(governance: &Governance, release: &ReleaseState, promotion: &PromotionState) -> Vec<Suspect> {
    let suspect = |record: &crate::release::ApprovalRecord| {
        let (person, key) = (&record.event.approver, &record.event.key);
        let since = governance.key(person, key)?.voided_by(record.index)?;
        Some(Suspect {
            index: record.index,
            event: "approval.recorded",
            what: format!("the approval of {} of {} by {person}", promotion.request.promotion, release.name),
            why: format!("{person} signed it with {key}, whose signature is void"),
            since,
        })
    };
    promotion.approvals.iter().filter_map(suspect).collect()
}

/// The policy set that was active at an index, if its activation is suspect.
fn policy_in_force(governance: &Governance, doubtful: &[Suspect], index: EntryIndex) -> Option<Suspect> {
    let activations = governance.vouchings().iter().filter(|one| matches!(one.what, Vouched::Policy { .. }));
    let active = activations.filter(|one| one.index < index).max_by_key(|one| one.index)?;
    doubtful.iter().find(|suspect| suspect.index == active.index).cloned()
}

/// The suspect waivers that a decision used.
fn waivers(
    governance: &Governance,
    doubtful: &[Suspect],
    release: &ReleaseState,
    promotion: &PromotionState,
    decision: &DecisionRecord,
) -> Vec<Suspect> {
    let used = |vouching: &&Vouching| match &vouching.what {
        Vouched::Waiver { gate, service, environment, .. } => {
            *service == release.name.service
                && *environment == promotion.request.environment
                && decision.event.gates.iter().any(|line| line.gate == *gate && line.outcome == GateOutcome::Waived)
        }
        _ => false,
    };
    let indices: Vec<EntryIndex> = governance.vouchings().iter().filter(used).map(|vouching| vouching.index).collect();
    doubtful.iter().filter(|suspect| indices.contains(&suspect.index)).cloned().collect()
}

/// The suspect break-glass under which a decision was made.
fn break_glass(governance: &Governance, doubtful: &[Suspect], decision: &DecisionRecord) -> Option<Suspect> {
    let under = decision.event.break_glass?;
    let of = |vouching: &&Vouching| matches!(vouching.what, Vouched::BreakGlass { opened, .. } if opened == under);
    let vouching = governance.vouchings().iter().find(of)?;
    doubtful.iter().find(|suspect| suspect.index == vouching.index).cloned()
}

/// The suspect delegations to those who approved while they lasted, whether or not these needed them.
fn delegations(
    governance: &Governance,
    doubtful: &[Suspect],
    release: &ReleaseState,
    promotion: &PromotionState,
) -> Vec<Suspect> {
    let aliases = governance.policy.aliases();
    let used = |lent: &&Delegation| {
        lent.covers(&release.name.service, &promotion.request.environment)
            && promotion.approvals.iter().any(|record| {
                record.is_open_approval_by(&record.event.approver)
                    && aliases.person(&record.event.approver) == aliases.person(&lent.event.to)
                    && lent.index < record.index
                    && record.time < lent.event.expires_at
                    && lent.ended.as_ref().is_none_or(|(at, _)| record.index < *at)
            })
    };
    let indices: Vec<EntryIndex> = governance.delegations().iter().filter(used).map(|lent| lent.index).collect();
    doubtful.iter().filter(|suspect| indices.contains(&suspect.index)).cloned().collect()
}

/// The suspect grants of the same release into other environments: what was certified there.
fn elsewhere(granted: &[(EnvName, Suspect)], environment: &EnvName) -> Vec<Suspect> {
    granted.iter().filter(|(other, _)| other != environment).map(|(_, suspect)| suspect.clone()).collect()
}
