//! The `approvals` gate: enough different people, who had no other part in the release, consent to this promotion.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{ApprovalFact, DelegationFact, Facts, PersonFact, SubjectKind, Verdict};
use lockgate_model::{EntryIndex, GroupName, PersonId, Span, UnixMillis};
use serde::Deserialize;

use super::ballot::{Lender, PER_GROUP_MAX, Right, Vote, group_that_is_short, people};
use super::risk::RiskRule;
use super::{Assessment, Context, GateKind, Problem};
use crate::access::lends;
use crate::decision::GateOutcome;
use crate::duties::{Duties, Part};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::wording::{all_of, counted, few, one_of};

/// Demands approvals by people. What is missing makes the promotion wait; a rejection ends it, and so does a window
/// that closes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsGate {
    /// How many different people have to approve; 1 where it is left out, and never 0.
    #[serde(default = "one")]
    pub count: u64,
    /// How many are enough where fewer than `count` people could approve; `count` where it is left out.
    #[serde(default)]
    pub at_least: Option<u64>,
    /// The groups that approvers come from; empty accepts everyone who may approve.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// How many people of their own these groups have to send.
    #[serde(default)]
    pub per_group: BTreeMap<GroupName, u64>,
    /// People whose own approval is wanted, among the others.
    #[serde(default)]
    pub required: BTreeSet<PersonId>,
    /// Who cannot approve because of another part in the release; all four where it is left out.
    #[serde(default = "every_part")]
    pub exclude: BTreeSet<Part>,
    /// How long ago an approval may have been given, besides its own expiry.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// How long after the request approvals can be given.
    #[serde(default)]
    pub window: Option<Span>,
    /// How long after the request nothing is let in, approved or not.
    #[serde(default)]
    pub not_before: Option<Span>,
    /// How many seconds lie at least between opening the document and signing it.
    #[serde(default)]
    pub min_review_seconds: Option<u64>,
    /// What makes it take more people than `count`.
    #[serde(default)]
    pub risk: Option<RiskRule>,
}

/// How much longer than the policy set allows an approval may count: the approver's clock may be ahead by that.
const TTL_TOLERANCE: Span = Span::from_secs(300);

const fn one() -> u64 {
    1
}

fn every_part() -> BTreeSet<Part> {
    BTreeSet::from(Part::ALL)
}

/// Why an approval does not count.
struct Objection {
    why: String,
    /// Everything else about it is good.
    too_fast: bool,
}

/// What is still missing, most telling first.
enum Lack<'a> {
    Enough,
    Group(&'a GroupName),
    Required(Vec<&'a PersonId>),
    People,
    Review,
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
                Some(_) if !policy.group_may(name, Permission::Approve) => {
                    problems.push(Problem::new(format!(
                        "the group `{name}` may not approve: give it a role with the permission `approve`"
                    )));
                }
                Some(_) => {}
            }
        }
        let zero = |span: Option<Span>| span.is_some_and(Span::is_zero);
        let checks = [
            (
                self.count == 0 || self.at_least == Some(0) || self.per_group.values().any(|count| *count == 0),
                "a count of 0 demands nothing: write 1 or more",
            ),
            (self.at_least.is_some_and(|least| least > self.count), "`at_least` is more than `count`"),
            (zero(self.max_age), "`max_age` is zero: no approval would ever be young enough"),
            (zero(self.window), "`window` is zero: no approval could ever be given"),
            (zero(self.not_before), "`not_before` is zero, which demands nothing: leave it out"),
            (
                self.min_review_seconds == Some(0),
                "`min_review_seconds` is 0, which demands nothing: write 1 or more, or leave it out",
            ),
        ];
        problems.extend(checks.iter().filter(|(wrong, _)| *wrong).map(|(_, message)| Problem::new(*message)));
        problems.extend(self.risk.iter().flat_map(RiskRule::problems));
        if self.per_group.len() > PER_GROUP_MAX {
            problems.push(Problem::new(format!("`per_group` names more than {PER_GROUP_MAX} groups")));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let duties = Duties::of(ctx.policy, ctx.facts);
        let wanted = self.wanted(ctx, &Duties::certain(ctx.policy, ctx.facts));
        let needed = self.needed(ctx, wanted, &duties);
        if let Some(rejection) = ctx.facts.approvals.iter().find(|fact| rejects(fact, ctx)) {
            return rejected(ctx, needed, &rejection.person);
        }
        let mut votes: Vec<Vote<'_>> = Vec::new();
        let mut refused: Vec<String> = Vec::new();
        let mut too_fast = false;
        for fact in &ctx.facts.approvals {
            match self.judge(fact, ctx, &duties) {
                Ok(right) => votes.push(Vote { fact, right }),
                Err(objection) => {
                    too_fast |= objection.too_fast;
                    refused.push(format!("{} does not count: {}", fact.person, objection.why));
                }
            }
        }
        let found = found(&votes, &refused);
        match self.lack(&votes, wanted, too_fast, &duties) {
            Lack::Enough => self.waiting(ctx, needed, found),
            lack => self.lacking(ctx, &duties, &votes, lack, needed, found),
        }
    }

    /// There are enough approvals: then it is only a matter of time.
    fn waiting(&self, ctx: Context<'_>, needed: String, found: String) -> Assessment {
        let ready = self.not_before.map(|span| ctx.facts.promotion.requested_at.plus(span));
        match ready.filter(|ready| ctx.facts.time < *ready) {
            None => Assessment::passed(needed, found),
            Some(ready) => Assessment {
                outcome: GateOutcome::Pending,
                reason: Reason::Deferred,
                needed,
                found: format!("{found}; can pass at {ready}"),
                evidence: Vec::new(),
                who: "nobody: it takes time".to_owned(),
                fix: format!("wait until {ready}, then: lockgate why {}", ctx.facts.promotion.id),
            },
        }
    }

    fn lacking<'a>(
        &self,
        ctx: Context<'a>,
        duties: &Duties<'a>,
        votes: &[Vote<'a>],
        lack: Lack<'_>,
        needed: String,
        found: String,
    ) -> Assessment {
        if let Some(end) = self.window_end(ctx).filter(|end| ctx.facts.time >= *end) {
            return Assessment {
                outcome: GateOutcome::Fail,
                reason: Reason::ApprovalWindowOver,
                needed,
                found: format!("{found}; approvals could be given until {end}"),
                evidence: Vec::new(),
                who: ctx.groups_that_may(Permission::Request),
                fix: format!("lockgate promote {} --to {}", ctx.release(), ctx.environment.name),
            };
        }
        let others = || self.who(ctx, duties, votes);
        let (reason, found, who) = match lack {
            Lack::Group(group) => (
                Reason::QuorumGroup,
                format!("{found}; {}:{group}, group {group} is not represented enough", Reason::QuorumGroup),
                others(),
            ),
            Lack::Required(missing) => {
                let names = all_of(&missing);
                (Reason::ApproverRequired, format!("{found}; nothing yet by {names}"), names)
            }
            Lack::Review => (Reason::ApprovalTooFast, found, others()),
            Lack::People | Lack::Enough => (Reason::QuorumNotMet, found, others()),
        };
        let fix = format!("lockgate approve {}", ctx.facts.promotion.id);
        Assessment { outcome: GateOutcome::Pending, reason, needed, found, evidence: Vec::new(), who, fix }
    }

    fn lack<'a>(&'a self, votes: &[Vote<'_>], wanted: u64, too_fast: bool, duties: &Duties<'_>) -> Lack<'a> {
        if people(votes, None) < wanted {
            return if too_fast { Lack::Review } else { Lack::People };
        }
        if let Some(group) = group_that_is_short(votes, &self.per_group) {
            return Lack::Group(group);
        }
        let gave =
            |name: &PersonId| votes.iter().any(|vote| vote.right.own.is_some() && duties.same(&vote.fact.person, name));
        let missing: Vec<&PersonId> = self.required.iter().filter(|name| !gave(name)).collect();
        if missing.is_empty() { Lack::Enough } else { Lack::Required(missing) }
    }

    /// How many people it takes: the count, where as many could approve, or the seats of all groups where that is more.
    fn wanted(&self, ctx: Context<'_>, duties: &Duties<'_>) -> u64 {
        let raised = self.raised(ctx);
        let count = match self.at_least {
            None => raised,
            Some(least) => raised.min(self.eligible(ctx, duties).max(least)),
        };
        count.max(self.per_group.values().fold(0, |sum, count| sum.saturating_add(*count)))
    }

    /// The count, or what the risk raises it to.
    fn raised(&self, ctx: Context<'_>) -> u64 {
        self.risk.as_ref().map_or(self.count, |risk| self.count.max(risk.approvals(ctx)))
    }

    /// How many different people could approve by their own right: all but those who certainly could not.
    fn eligible(&self, ctx: Context<'_>, duties: &Duties<'_>) -> u64 {
        let can = |(account, known): &(&PersonId, &PersonFact)| {
            !known.keyless && self.bar(account, ctx, duties).is_none() && self.unsuitable(account, known, ctx).is_none()
        };
        let able: BTreeSet<&PersonId> =
            ctx.facts.people.iter().filter(can).map(|(account, _)| duties.person(account)).collect();
        u64::try_from(able.len()).unwrap_or(u64::MAX)
    }

    fn window_end(&self, ctx: Context<'_>) -> Option<UnixMillis> {
        self.window.map(|window| ctx.facts.promotion.requested_at.plus(window))
    }

    /// How long after the request the last approval ends that can be given, where `approval_ttl` is how long one lasts;
    /// none where one can be given at any time.
    pub(crate) fn counts_until(&self, approval_ttl: Span) -> Option<Span> {
        let longest = Span::from_secs(approval_ttl.secs().saturating_add(TTL_TOLERANCE.secs()));
        let lasts = self.max_age.map_or(longest, |age| age.min(longest));
        self.window.map(|window| Span::from_secs(window.secs().saturating_add(lasts.secs())))
    }

    fn needed(&self, ctx: Context<'_>, wanted: u64, duties: &Duties<'_>) -> String {
        let mut needed = counted(wanted, "approval");
        let groups: Vec<&GroupName> = self.approving_groups().into_iter().collect();
        if !groups.is_empty() {
            needed.push_str(&format!(" by group{} {}", if groups.len() == 1 { "" } else { "s" }, one_of(&groups)));
        }
        if !self.per_group.is_empty() {
            let seats: Vec<String> =
                self.per_group.iter().map(|(group, count)| format!("{count} of {group}")).collect();
            needed.push_str(&format!(", at least {}", all_of(&seats)));
        }
        if !self.required.is_empty() {
            let names: Vec<&PersonId> = self.required.iter().collect();
            needed.push_str(&format!(", with that of {}", all_of(&names)));
        }
        let parts: Vec<&str> =
            self.exclude.iter().filter(|part| duties.is_held(**part)).map(|part| part.demanded()).collect();
        if !parts.is_empty() {
            needed.push_str(&format!(", not by who {}", one_of(&parts)));
        }
        if let Some(seconds) = self.min_review_seconds {
            needed.push_str(&format!(", each reviewed for {} or more", counted(seconds, "second")));
        }
        let raised = self.raised(ctx);
        if wanted < raised {
            needed.push_str(&format!(" ({raised} where as many people could approve)"));
        }
        if let Some(risk) = &self.risk {
            needed.push_str(&format!(", {}", risk.worded(ctx)));
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

    /// Why somebody can never approve this, by any right.
    fn bar(&self, account: &PersonId, ctx: Context<'_>, duties: &Duties<'_>) -> Option<(Reason, String)> {
        let Some(enrolled) = ctx.facts.people.get(account) else {
            return Some((Reason::ApproverUnsuitable, "not enrolled".to_owned()));
        };
        if enrolled.kind != SubjectKind::Person {
            return Some((Reason::SodRobot, "a machine, and machines never approve".to_owned()));
        }
        let part = duties.part_of(account, &self.exclude)?;
        Some((part.reason(), part.had().to_owned()))
    }

    /// Why somebody's own groups do not let them approve this.
    fn unsuitable(&self, account: &PersonId, enrolled: &PersonFact, ctx: Context<'_>) -> Option<String> {
        let groups = self.approving_groups();
        if !groups.is_empty() && !enrolled.groups.iter().any(|group| groups.contains(group)) {
            let groups: Vec<&GroupName> = groups.into_iter().collect();
            return Some(format!("not in {}", one_of(&groups)));
        }
        match ctx.may(account, &enrolled.groups, Permission::Approve) {
            true => None,
            false => Some("has no role that permits to approve".to_owned()),
        }
    }

    /// By what right somebody may approve here, counting delegations from before `index` where one is given.
    fn right_of<'a>(
        &self,
        account: &'a PersonId,
        ctx: Context<'a>,
        duties: &Duties<'a>,
        index: Option<EntryIndex>,
    ) -> Result<Right<'a>, (Reason, String)> {
        if let Some(bar) = self.bar(account, ctx, duties) {
            return Err(bar);
        }
        let unknown = || (Reason::ApproverUnsuitable, "not enrolled".to_owned());
        let enrolled = ctx.facts.people.get(account).ok_or_else(unknown)?;
        let before = |lent: &&DelegationFact| index.is_none_or(|index| lent.index < index);
        let lenders: Vec<Lender<'a>> = ctx
            .facts
            .delegations
            .iter()
            .filter(before)
            .filter_map(|lent| self.lender(account, lent, ctx, duties))
            .collect();
        let person = ctx.policy.aliases().person(account);
        match self.unsuitable(account, enrolled, ctx) {
            None => Ok(Right { person, own: Some(enrolled.groups.as_slice()), lenders }),
            Some(why) if lenders.is_empty() => Err((Reason::ApproverUnsuitable, why)),
            Some(_) => Ok(Right { person, own: None, lenders }),
        }
    }

    /// What a delegation lends to somebody, if it lends anything that counts here: never the right of someone who had
    /// another part in the release, and never one's own.
    fn lender<'a>(
        &self,
        account: &PersonId,
        lent: &'a DelegationFact,
        ctx: Context<'a>,
        duties: &Duties<'_>,
    ) -> Option<Lender<'a>> {
        let mine = duties.same(&lent.to, account) && !duties.same(&lent.from, &lent.to);
        if !mine || ctx.facts.time >= lent.expires_at || self.bar(&lent.from, ctx, duties).is_some() {
            return None;
        }
        let from = ctx.facts.people.get(&lent.from)?;
        let groups: Vec<&'a GroupName> =
            from.groups.iter().filter(|group| lent.groups.is_empty() || lent.groups.contains(group)).collect();
        let wanted = self.approving_groups();
        let object = ctx.object(Permission::Approve);
        let fits = (wanted.is_empty() || groups.iter().any(|group| wanted.contains(*group)))
            && lends(ctx.policy, &lent.from, &from.groups, &lent.groups, Permission::Approve, object);
        fits.then(|| Lender { person: ctx.policy.aliases().person(&lent.from), groups })
    }

    /// By what right an approval counts, or why it does not.
    fn judge<'a>(&self, fact: &'a ApprovalFact, ctx: Context<'a>, duties: &Duties<'a>) -> Result<Right<'a>, Objection> {
        let refuse = |why: &str| Err(Objection { why: why.to_owned(), too_fast: false });
        if fact.verdict != Verdict::Approve {
            return refuse("a rejection that is not valid");
        }
        if fact.withdrawn {
            return refuse("withdrawn");
        }
        let right = self
            .right_of(&fact.person, ctx, duties, Some(fact.index))
            .map_err(|(_, why)| Objection { why, too_fast: false })?;
        let (binds, now) = (&fact.binds, ctx.facts.time);
        // Whoever handed it in was held to this already; the ledger's word for it is not taken.
        let latest = fact.recorded_at.plus(ctx.policy.settings().approval_ttl).plus(TTL_TOLERANCE);
        let until = fact.expires_at.min(latest);
        let runs = ctx.facts.running.as_ref().map(|running| running.manifest);
        if binds.promotion != ctx.facts.promotion.id {
            refuse("given for another promotion")
        } else if binds.environment != ctx.facts.promotion.environment
            && !lockgate_failpoint::planted("approval-unbound-environment")
        {
            refuse("given for another environment")
        } else if binds.manifest != ctx.facts.release.manifest {
            refuse("given for another manifest")
        } else if binds.policy != ctx.policy.digest() {
            refuse("given under another policy set")
        } else if binds.replaces != runs {
            refuse("given when the environment ran something else")
        } else if fact.misdescribed {
            refuse("what was shown is not what the ledger holds")
        } else if !fact.key_valid {
            refuse("signed with a key that was not valid")
        } else if now >= until || self.max_age.is_some_and(|age| now >= fact.recorded_at.plus(age)) {
            refuse("expired")
        } else if self.window_end(ctx).is_some_and(|end| fact.recorded_at >= end) {
            refuse("given after the window for approvals")
        } else if let Some(why) = self.haste(fact.review_seconds) {
            Err(Objection { why, too_fast: true })
        } else {
            Ok(right)
        }
    }

    /// Why a review was too short, if it was.
    fn haste(&self, review_seconds: Option<u64>) -> Option<String> {
        let least = self.min_review_seconds?;
        match review_seconds {
            Some(seconds) if seconds >= least => None,
            Some(seconds) => Some(format!("reviewed for {}, of at least {least}", counted(seconds, "second"))),
            None => Some(format!(
                "it does not say when its document was opened, and at least {} of review are wanted",
                counted(least, "second")
            )),
        }
    }

    /// The people who could approve and have not.
    fn who<'a>(&self, ctx: Context<'a>, duties: &Duties<'a>, votes: &[Vote<'a>]) -> String {
        let can = |(account, known): &(&'a PersonId, &'a PersonFact)| {
            !known.keyless
                && self.right_of(account, ctx, duties, None).is_ok()
                && !votes.iter().any(|vote| duties.same(&vote.fact.person, account))
        };
        let names = few(ctx.facts.people.iter().filter(can).map(|(account, _)| account), " or ");
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
}

/// The approval gates of a promotion, each with what it is evaluated on.
fn gates_of<'a>(policy: &'a PolicySet, facts: &'a Facts) -> Vec<(&'a ApprovalsGate, Context<'a>)> {
    let Some(environment) = policy.environment(&facts.promotion.environment) else { return Vec::new() };
    let gates = policy.gates_for(&environment.name, facts.release.service());
    let config = |gate: &'a crate::gate::Gate| match &gate.kind {
        GateKind::Approvals(config) => Some((config, Context { policy, gate, environment, facts, answers: None })),
        _ => None,
    };
    gates.into_iter().filter_map(config).collect()
}

/// Why an approval by somebody would count for no gate of a promotion, and how to say it; `None` where it could.
///
/// This is the gates' own rule, for those who ask before anything is signed. It is advice: whether an approval counts
/// is decided by [`decide`](crate::decide()), each time anew.
pub fn approver_objection(policy: &PolicySet, facts: &Facts, person: &PersonId) -> Option<(Reason, String)> {
    let duties = Duties::of(policy, facts);
    let mut first = None;
    for (config, ctx) in gates_of(policy, facts) {
        match config.right_of(person, ctx, &duties, None) {
            Ok(_) => return None,
            Err(objection) => first = first.or(Some(objection)),
        }
    }
    let (reason, why) = first?;
    Some((reason, format!("an approval by `{person}` would not count: {why}")))
}

/// Why an approval after this review would be too hasty for every approval gate of a promotion; `None` where it is not.
///
/// Advice, as [`approver_objection`].
pub fn review_objection(policy: &PolicySet, facts: &Facts, review_seconds: Option<u64>) -> Option<(Reason, String)> {
    let gates = gates_of(policy, facts);
    let hasty: Vec<String> = gates.iter().filter_map(|(config, _)| config.haste(review_seconds)).collect();
    let why = hasty.first().filter(|_| hasty.len() == gates.len())?;
    Some((Reason::ApprovalTooFast, format!("this approval would not count: {why}")))
}

/// Whether a rejection ends this promotion.
///
/// It binds less than an approval: a later change of policy or target does not undo it, and neither does its expiry.
fn rejects(fact: &ApprovalFact, ctx: Context<'_>) -> bool {
    let may_reject = |person: &PersonFact| {
        person.kind == SubjectKind::Person && ctx.may(&fact.person, &person.groups, Permission::Reject)
    };
    !lockgate_failpoint::planted("rejection-ignored")
        && fact.verdict == Verdict::Reject
        && fact.binds.promotion == ctx.facts.promotion.id
        && fact.key_valid
        && ctx.facts.people.get(&fact.person).is_some_and(may_reject)
}

fn rejected(ctx: Context<'_>, needed: String, person: &PersonId) -> Assessment {
    Assessment {
        outcome: GateOutcome::Fail,
        reason: Reason::Rejected,
        needed,
        found: format!("{person} rejected this promotion"),
        evidence: Vec::new(),
        who: person.to_string(),
        fix: format!("settle it with {person}, then: lockgate promote {} --to {}", ctx.release(), ctx.environment.name),
    }
}

fn found(votes: &[Vote<'_>], refused: &[String]) -> String {
    let names: BTreeSet<&PersonId> = votes.iter().map(|vote| &vote.fact.person).collect();
    let approved = match names.is_empty() {
        true => "no approval that counts".to_owned(),
        false => format!("approved by {}", few(names, ", ")),
    };
    match refused.is_empty() {
        true => approved,
        false => format!("{approved}; {}", few(refused, "; ")),
    }
}

#[cfg(test)]
#[path = "approvals_tests.rs"]
mod tests;
