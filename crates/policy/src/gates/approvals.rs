//! The `approvals` gate: enough different people, who had no other part in the release, consent to this promotion.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{ApprovalFact, Claim, Facts, Origin, PersonFact, SubjectKind, Verdict};
use lockgate_model::{GroupName, PersonId, Span};
use lockgate_sign::quorum::{Signer, count_distinct_signers};
use serde::Deserialize;

use super::{Assessment, Context, GateKind, Problem};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::wording::{all_of, counted, few, one_of};

/// The most groups in `per_group`: all their subsets are looked at.
const PER_GROUP_MAX: usize = 6;

/// Demands approvals by people. What is missing makes the promotion wait; only a rejection ends it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsGate {
    /// How many different people have to approve; 1 where it is left out, and never 0.
    #[serde(default = "one")]
    pub count: u64,
    /// The groups that approvers come from; empty accepts everyone who may approve.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// How many people of their own these groups have to send.
    #[serde(default)]
    pub per_group: BTreeMap<GroupName, u64>,
    /// Who cannot approve because of another part in the release; all three where it is left out.
    #[serde(default = "every_part")]
    pub exclude: BTreeSet<Part>,
    /// How long ago an approval may have been given, besides its own expiry.
    #[serde(default)]
    pub max_age: Option<Span>,
}

/// A part in a release that somebody may have besides approving it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Asked for this promotion.
    Requester,
    /// Wrote or published the release.
    Author,
    /// Built it, or handed in evidence about it.
    Builder,
}

const fn one() -> u64 {
    1
}

fn every_part() -> BTreeSet<Part> {
    BTreeSet::from([Part::Requester, Part::Author, Part::Builder])
}

impl ApprovalsGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = Vec::new();
        for name in self.groups.iter().chain(self.per_group.keys()) {
            match policy.group(name) {
                None => {
                    let known = policy.groups().keys().map(GroupName::as_str);
                    problems.push(Problem::unknown("group", name.as_str(), "people.toml", known));
                }
                Some(group) if !group.permissions.contains(&Permission::Approve) => {
                    problems.push(Problem::new(format!(
                        "the group `{name}` may not approve: give it a role with the permission `approve`"
                    )));
                }
                Some(_) => {}
            }
        }
        if self.count == 0 || self.per_group.values().any(|count| *count == 0) {
            problems.push(Problem::new("a count of 0 demands nothing: write 1 or more"));
        }
        if self.per_group.len() > PER_GROUP_MAX {
            problems.push(Problem::new(format!("`per_group` names more than {PER_GROUP_MAX} groups")));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no approval would ever be young enough"));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let parts = Parts::of(ctx);
        if let Some(rejection) = ctx.facts.approvals.iter().find(|fact| rejects(fact, ctx)) {
            return self.rejected(ctx, &rejection.person);
        }
        let mut valid: Vec<&ApprovalFact> = Vec::new();
        let mut refused: Vec<String> = Vec::new();
        for fact in &ctx.facts.approvals {
            match self.objection(fact, ctx, &parts) {
                None => valid.push(fact),
                Some(objection) => refused.push(format!("{} does not count: {objection}", fact.person)),
            }
        }
        let found = found(&valid, &refused);
        let enough = distinct(valid.iter().copied()) >= self.wanted();
        let short = self.group_that_is_short(&valid, ctx);
        if enough && short.is_none() {
            return Assessment::passed(self.needed(), found);
        }
        let (reason, found) = match short {
            Some(group) if enough => (Reason::QuorumGroup, format!("{found}; group {group} is not represented enough")),
            _ => (Reason::QuorumNotMet, found),
        };
        Assessment {
            outcome: GateOutcome::Pending,
            reason,
            needed: self.needed(),
            found,
            evidence: Vec::new(),
            who: self.who(ctx, &parts, &valid),
            fix: format!("lockgate approve {}", ctx.facts.promotion.id),
        }
    }

    /// How many people it takes: the count, or the seats of all groups where that is more.
    fn wanted(&self) -> u64 {
        self.count.max(self.per_group.values().fold(0, |sum, count| sum.saturating_add(*count)))
    }

    fn needed(&self) -> String {
        let mut needed = counted(self.wanted(), "approval");
        let groups: Vec<&GroupName> = self.approving_groups().into_iter().collect();
        if !groups.is_empty() {
            needed.push_str(&format!(" by group{} {}", if groups.len() == 1 { "" } else { "s" }, one_of(&groups)));
        }
        if !self.per_group.is_empty() {
            let seats: Vec<String> =
                self.per_group.iter().map(|(group, count)| format!("{count} of {group}")).collect();
            needed.push_str(&format!(", at least {}", all_of(&seats)));
        }
        let parts: Vec<&str> = self.exclude.iter().map(|part| part.demanded()).collect();
        if !parts.is_empty() {
            needed.push_str(&format!(", not by who {}", one_of(&parts)));
        }
        needed
    }

    /// The groups that approvers come from; empty when everyone who may approve can.
    fn approving_groups(&self) -> BTreeSet<&GroupName> {
        match self.groups.is_empty() {
            true => BTreeSet::new(),
            false => self.groups.iter().chain(self.per_group.keys()).collect(),
        }
    }

    /// Why somebody cannot approve here at all.
    fn bar(&self, person: &PersonId, ctx: Context<'_>, parts: &Parts<'_>) -> Option<(Reason, String)> {
        let unsuitable = |why: String| Some((Reason::ApproverUnsuitable, why));
        let Some(enrolled) = ctx.facts.people.get(person) else { return unsuitable("not enrolled".to_owned()) };
        let groups = self.approving_groups();
        if enrolled.kind != SubjectKind::Person {
            Some((Reason::SodRobot, "a machine, and machines never approve".to_owned()))
        } else if let Some(part) = self.exclude.iter().find(|part| parts.has(**part, person)) {
            Some((part.reason(), part.had().to_owned()))
        } else if !groups.is_empty() && !enrolled.groups.iter().any(|group| groups.contains(group)) {
            let groups: Vec<&GroupName> = groups.into_iter().collect();
            unsuitable(format!("not in {}", one_of(&groups)))
        } else if !ctx.policy.permissions_of(&enrolled.groups).contains(&Permission::Approve) {
            unsuitable("has no role that permits to approve".to_owned())
        } else {
            None
        }
    }

    /// Why an approval does not count, if it does not.
    fn objection(&self, fact: &ApprovalFact, ctx: Context<'_>, parts: &Parts<'_>) -> Option<String> {
        if fact.verdict != Verdict::Approve {
            return Some("a rejection that is not valid".to_owned());
        }
        if let Some((_, bar)) = self.bar(&fact.person, ctx, parts) {
            return Some(bar);
        }
        let (binds, now) = (&fact.binds, ctx.facts.time);
        let runs = ctx.facts.running.as_ref().map(|running| running.manifest);
        let objection = if binds.promotion != ctx.facts.promotion.id {
            "given for another promotion"
        } else if binds.environment != ctx.facts.promotion.environment {
            "given for another environment"
        } else if binds.manifest != ctx.facts.release.manifest {
            "given for another manifest"
        } else if binds.policy != ctx.policy.digest() {
            "given under another policy set"
        } else if binds.replaces != runs {
            "given when the environment ran something else"
        } else if !fact.key_valid {
            "signed with a key that was not valid"
        } else if now >= fact.expires_at || self.max_age.is_some_and(|age| now >= fact.recorded_at.plus(age)) {
            "expired"
        } else {
            return None;
        };
        Some(objection.to_owned())
    }

    /// Finds a group that does not send enough people of its own.
    ///
    /// One person fills one seat, also when in several groups. By Hall's theorem all seats can be filled exactly when
    /// for every set of groups there are at least as many people in any of them as they have seats together.
    fn group_that_is_short(&self, valid: &[&ApprovalFact], ctx: Context<'_>) -> Option<&GroupName> {
        let seats: Vec<(&GroupName, u64)> =
            self.per_group.iter().map(|(group, count)| (group, *count)).take(PER_GROUP_MAX).collect();
        // Small sets first, so that a group that is short by itself is the one that is named.
        let mut subsets: Vec<u32> = (1..1u32 << seats.len()).collect();
        subsets.sort_by_key(|subset| subset.count_ones());
        for subset in subsets {
            let chosen: Vec<&(&GroupName, u64)> = seats
                .iter()
                .enumerate()
                .filter(|(bit, _)| subset & (1u32 << *bit) != 0)
                .map(|(_, seat)| seat)
                .collect();
            let wanted = chosen.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
            let of_these = |fact: &&ApprovalFact| {
                let groups =
                    ctx.facts.people.get(&fact.person).map(|person| person.groups.as_slice()).unwrap_or_default();
                chosen.iter().any(|(group, _)| groups.contains(group))
            };
            if distinct(valid.iter().copied().filter(of_these)) < wanted {
                return chosen.last().map(|(group, _)| *group);
            }
        }
        None
    }

    /// The people who could approve and have not.
    fn who(&self, ctx: Context<'_>, parts: &Parts<'_>, valid: &[&ApprovalFact]) -> String {
        let can = |(person, _): &(&PersonId, &PersonFact)| {
            self.bar(person, ctx, parts).is_none() && !valid.iter().any(|fact| fact.person == **person)
        };
        let names = few(ctx.facts.people.iter().filter(can).map(|(person, _)| person), " or ");
        let groups: Vec<&GroupName> = self.approving_groups().into_iter().collect();
        let of = match groups.is_empty() {
            true => ctx.groups_that_may(Permission::Approve),
            false => format!("group {}", one_of(&groups)),
        };
        match names.is_empty() {
            true => format!("nobody who is enrolled: it takes another person of {of}"),
            false => format!("{names} ({of})"),
        }
    }

    fn rejected(&self, ctx: Context<'_>, person: &PersonId) -> Assessment {
        Assessment {
            outcome: GateOutcome::Fail,
            reason: Reason::Rejected,
            needed: self.needed(),
            found: format!("{person} rejected this promotion"),
            evidence: Vec::new(),
            who: person.to_string(),
            fix: format!(
                "settle it with {person}, then: lockgate promote {} --to {}",
                ctx.release(),
                ctx.environment.name
            ),
        }
    }
}

/// Why an approval by somebody would count for no gate of a promotion, and how to say it; `None` where it could.
///
/// This is the gates' own rule, for those who ask before anything is signed. It is advice: whether an approval counts
/// is decided by [`decide`](crate::decide()), each time anew.
pub fn approver_objection(policy: &PolicySet, facts: &Facts, person: &PersonId) -> Option<(Reason, String)> {
    let environment = policy.environment(&facts.promotion.environment)?;
    let mut first = None;
    for gate in policy.gates_for(&environment.name, facts.release.service()) {
        let GateKind::Approvals(config) = &gate.kind else { continue };
        let ctx = Context { policy, gate, environment, facts };
        let bar = config.bar(person, ctx, &Parts::of(ctx))?;
        first = first.or(Some(bar));
    }
    let (reason, why) = first?;
    Some((reason, format!("an approval by `{person}` would not count: {why}")))
}

/// Whether a rejection ends this promotion.
///
/// It binds less than an approval: a later change of policy or target does not undo it, and neither does its expiry.
fn rejects(fact: &ApprovalFact, ctx: Context<'_>) -> bool {
    let may_reject = |person: &PersonFact| {
        person.kind == SubjectKind::Person && ctx.policy.permissions_of(&person.groups).contains(&Permission::Reject)
    };
    fact.verdict == Verdict::Reject
        && fact.binds.promotion == ctx.facts.promotion.id
        && fact.key_valid
        && ctx.facts.people.get(&fact.person).is_some_and(may_reject)
}

/// Counts people; see [`count_distinct_signers`], the only place where signatures are counted.
fn distinct<'a>(facts: impl Iterator<Item = &'a ApprovalFact>) -> u64 {
    let people = count_distinct_signers(facts.map(|fact| Signer { person: &fact.person, key: &fact.key }));
    u64::try_from(people).unwrap_or(u64::MAX)
}

fn found(valid: &[&ApprovalFact], refused: &[String]) -> String {
    let names: BTreeSet<&PersonId> = valid.iter().map(|fact| &fact.person).collect();
    let approved = match names.is_empty() {
        true => "no approval that counts".to_owned(),
        false => format!("approved by {}", few(names, ", ")),
    };
    match refused.is_empty() {
        true => approved,
        false => format!("{approved}; {}", few(refused, "; ")),
    }
}

impl Part {
    fn reason(self) -> Reason {
        match self {
            Self::Requester => Reason::SodSelf,
            Self::Author => Reason::SodAuthor,
            Self::Builder => Reason::SodBuilder,
        }
    }

    fn demanded(self) -> &'static str {
        match self {
            Self::Requester => "asked for it",
            Self::Author => "wrote it",
            Self::Builder => "built it",
        }
    }

    fn had(self) -> &'static str {
        match self {
            Self::Requester => "asked for this promotion",
            Self::Author => "wrote or published this release",
            Self::Builder => "built this release or handed in evidence about it",
        }
    }
}

/// Who had which part in the release.
struct Parts<'a> {
    requester: &'a PersonId,
    publisher: &'a PersonId,
    publisher_is_machine: bool,
    /// As provenance names them, in lower case, with the local part of mail addresses besides.
    ///
    /// Provenance that nobody trusts counts here too: to be named wrongly costs an approver, and not an approval.
    authors: BTreeSet<String>,
    handed_in: BTreeSet<&'a PersonId>,
}

impl<'a> Parts<'a> {
    fn of(ctx: Context<'a>) -> Self {
        let facts = ctx.facts;
        let publisher = &facts.release.published_by;
        let kind = facts.people.get(publisher).map(|person| person.kind);
        let mut authors = BTreeSet::new();
        let mut handed_in = BTreeSet::new();
        for fact in &facts.evidence {
            if let Claim::Provenance(provenance) = &fact.claim {
                for author in &provenance.authors {
                    let author = author.trim().to_lowercase();
                    let address = author.rsplit_once('<').map_or(author.as_str(), |(_, address)| address);
                    if let Some((local, _)) = address.split_once('@') {
                        authors.insert(local.to_owned());
                    }
                    authors.insert(author);
                }
            }
            if let Origin::OnBehalf { by } = &fact.origin {
                handed_in.insert(by);
            }
        }
        Self {
            requester: &facts.promotion.requester,
            publisher,
            publisher_is_machine: kind == Some(SubjectKind::Machine),
            authors,
            handed_in,
        }
    }

    fn has(&self, part: Part, person: &PersonId) -> bool {
        match part {
            Part::Requester => person == self.requester,
            Part::Author => person == self.publisher || self.authors.contains(person.as_str()),
            Part::Builder => (self.publisher_is_machine && person == self.publisher) || self.handed_in.contains(person),
        }
    }
}

#[cfg(test)]
#[path = "approvals_tests.rs"]
mod tests;
