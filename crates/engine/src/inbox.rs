//! Inbox: what one person can decide now.
//!
//! Only what their own word would count for is listed: a promotion whose approval gate waits and would count them, a
//! change that lacks their signature, a waiver that they may grant, and a break-glass that they may sign or review.
//! Whether it counts in the end is decided when it is handed in, as always.

use lockgate_ledger::break_glass::BreakGlass;
use lockgate_ledger::release::PromotionState;
use lockgate_ledger::replay::deliberate;
use lockgate_ledger::waiver::Waiver;
use lockgate_ledger::{Governance, State};
use lockgate_model::facts::{DelegationFact, Facts, SubjectKind, Verdict};
use lockgate_model::{EntryIndex, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, UnixMillis};
use lockgate_policy::{GateOutcome, Object, Permission, approver_objection};

use crate::authorise::may_read;
use crate::bodies::StoreBodies;
use crate::change::{self, ChangeView};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;
use crate::staging::OPEN_PROMOTIONS;
use crate::why::slice;

/// The most promotions of one page.
pub const PAGE_MAX: usize = 50;
/// How many promotions are decided anew for one page at most.
const LOOK_MAX: usize = 200;
/// How many open promotions are considered at most; what is beyond waits until others are decided.
const OPEN_MAX: usize = 5_000;
/// How many rows are read at a time.
const ROWS: usize = 512;
/// How many changes are listed at most.
const CHANGES_MAX: usize = 200;
/// How many requests for waivers are listed at most.
const WAIVERS_MAX: usize = 200;
/// How many break-glasses are listed at most.
const BREAK_GLASSES_MAX: usize = 200;
/// The kind of gates that people decide.
const APPROVALS: &str = "approvals";

/// A promotion that waits for somebody's approval.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What.
    pub release: ReleaseName,
    /// The promotion.
    pub promotion: PromotionState,
    /// What is missing, approvals first.
    pub missing: Vec<String>,
    /// The delegations that it waits for this person by; none where it does by their own right.
    pub lent: Vec<DelegationFact>,
}

/// The promotions that somebody's approval would count for, oldest first, after number `after`; and the number that the
/// next page starts after, if there is one.
///
/// # Errors
/// What the store says.
pub fn promotions(
    engine: &Engine,
    person: &PersonId,
    after: Option<PromotionId>,
    most: usize,
) -> Result<(Vec<Waiting>, Option<PromotionId>), Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let candidates = candidates(engine, &governance, person, now)?;
    let mut rest = candidates.into_iter().filter(|id| after.is_none_or(|after| *id > after)).peekable();
    let (mut found, mut looked) = (Vec::new(), 0);
    while let Some(id) = rest.next() {
        looked += 1;
        found.extend(waiting(engine, person, id, now)?);
        if found.len() >= most.min(PAGE_MAX) || looked >= LOOK_MAX {
            return Ok((found, rest.peek().map(|_| id)));
        }
    }
    Ok((found, None))
}

/// One promotion, if somebody's approval would count for it.
///
/// # Errors
/// What the store says.
pub fn promotion(engine: &Engine, person: &PersonId, id: PromotionId) -> Result<Option<Waiting>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    match candidates(engine, &governance, person, now)?.binary_search(&id) {
        Ok(_) => waiting(engine, person, id, now),
        Err(_) => Ok(None),
    }
}

/// The changes that somebody's signature is missing under, newest first.
///
/// # Errors
/// What the store says.
pub fn changes(engine: &Engine, person: &PersonId) -> Result<Vec<ChangeView>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let open = governance.changes().iter().rev().filter(|change| change.status_at(now) == "open");
    open.filter(|one| governance.could_sign(person, one))
        .take(CHANGES_MAX)
        .map(|one| change::view(engine, one, false))
        .collect()
}

/// The requests for waivers that somebody could grant, newest first: those of others, where they have that right.
///
/// # Errors
/// What the store says.
pub fn waivers(engine: &Engine, person: &PersonId) -> Result<Vec<Waiver>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    if governance.person(person).is_none_or(|known| known.kind != SubjectKind::Person) {
        return Ok(Vec::new());
    }
    let aliases = governance.policy.aliases();
    let could_grant = |known: &&Waiver| {
        let asked = &known.asked;
        known.is_waiting(now)
            && aliases.person(&asked.asked_by) != aliases.person(person)
            && governance.may_for(person, Permission::Waive, &asked.service, &asked.environment)
    };
    Ok(governance.waivers().iter().rev().filter(could_grant).take(WAIVERS_MAX).cloned().collect())
}

/// The break-glasses that somebody could sign, or review, newest first, by the entries that opened them: those that they
/// may read about and have not signed. While one waits for its review, none can be signed.
///
/// # Errors
/// `LEDGER_EMPTY`.
pub fn break_glasses(engine: &Engine, person: &PersonId) -> Result<Vec<EntryIndex>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    if governance.person(person).is_none_or(|known| known.kind != SubjectKind::Person) {
        return Ok(Vec::new());
    }
    let aliases = governance.policy.aliases();
    let is_blocked = !governance.unreviewed().is_empty();
    let waits = |opened: &&BreakGlass| {
        let (service, environment) = (&opened.event.release.service, &opened.event.environment);
        let signed = opened.signatures.iter().any(|one| aliases.person(&one.by) == aliases.person(person));
        let may_sign = governance.may_for(person, Permission::BreakGlass, service, environment);
        let counts = match opened.effective {
            None => may_sign && !is_blocked && now < opened.event.expires_at,
            Some(_) => {
                governance.review_of(opened).is_none() && (may_sign || governance.may(person, Permission::Audit))
            }
        };
        counts && !signed && may_read(&governance, person, Object::Target(service, environment))
    };
    let waiting = governance.break_glasses().iter().rev().filter(waits);
    Ok(waiting.take(BREAK_GLASSES_MAX).map(|opened| opened.index).collect())
}

/// Whether somebody is a person who may approve for a target, by their own or a lent right: without that, nothing there
/// waits for them.
pub fn could_approve(
    governance: &Governance,
    person: &PersonId,
    service: &ServiceName,
    environment: &EnvName,
    now: UnixMillis,
) -> bool {
    governance.person(person).is_some_and(|known| known.kind == SubjectKind::Person)
        && (governance.may_for(person, Permission::Approve, service, environment)
            || governance.lends_approval(person, service, environment, now))
}

/// The open promotions whose target somebody may approve for, in order.
fn candidates(
    engine: &Engine,
    governance: &Governance,
    person: &PersonId,
    now: UnixMillis,
) -> Result<Vec<PromotionId>, Fault> {
    let mut found = Vec::new();
    if governance.person(person).is_none_or(|known| known.kind != SubjectKind::Person) {
        return Ok(found);
    }
    let (mut after, mut read): (Option<String>, usize) = (None, 0);
    loop {
        let rows = engine.store().projections(OPEN_PROMOTIONS, after.as_deref(), ROWS)?;
        for (key, value) in &rows {
            let Some((promotion, release)) = reader::open_promotion(key, value) else { continue };
            let Some(environment) = key.split('/').next().and_then(|name| name.parse::<EnvName>().ok()) else {
                continue;
            };
            if could_approve(governance, person, &release.service, &environment, now) {
                found.push(promotion);
            }
        }
        read += rows.len();
        after = rows.last().map(|(key, _)| key.clone());
        if rows.len() < ROWS || read >= OPEN_MAX {
            found.sort_unstable();
            return Ok(found);
        }
    }
}

/// One promotion, if it waits for this person; what it waits for is decided anew.
///
/// # Errors
/// What the store says.
pub fn waiting(engine: &Engine, person: &PersonId, id: PromotionId, now: UnixMillis) -> Result<Option<Waiting>, Fault> {
    let (state, release, asked) = slice(engine, id)?;
    if !asked.status().is_open() || asked.request.expires_at <= now || has_approved(&state, &asked, person, now)? {
        return Ok(None);
    }
    let thought = deliberate(&state, id, now, &StoreBodies(engine.store()), &engine.inner().claims)?;
    let gates = &thought.decision.gates;
    let waits = gates.iter().any(|gate| gate.kind == APPROVALS && gate.outcome == GateOutcome::Pending);
    if !waits || approver_objection(&state.governance()?.policy, &thought.facts, person).is_some() {
        return Ok(None);
    }
    let open = |gate: &&lockgate_policy::GateResult| matches!(gate.outcome, GateOutcome::Pending | GateOutcome::Fail);
    let mut missing: Vec<_> = gates.iter().filter(open).collect();
    missing.sort_by_key(|gate| gate.kind != APPROVALS);
    let missing = missing.iter().map(|gate| format!("{}: {}; {}", gate.gate, gate.needed, gate.found)).collect();
    let lent = lent(state.governance()?, &thought.facts, person);
    Ok(Some(Waiting { release: release.name.clone(), promotion: asked, missing, lent }))
}

/// The delegations that make somebody's approval count where their own right does not; each does so by itself.
fn lent(governance: &Governance, facts: &Facts, person: &PersonId) -> Vec<DelegationFact> {
    let aliases = governance.policy.aliases();
    let mine = |lent: &&DelegationFact| aliases.person(&lent.to) == aliases.person(person);
    let to_me: Vec<DelegationFact> = facts.delegations.iter().filter(mine).cloned().collect();
    if to_me.is_empty() {
        return to_me;
    }
    // The gates' own rule is asked, with no delegation and then with each alone.
    let counts_by = |delegations: Vec<DelegationFact>| {
        let facts = Facts { delegations, ..facts.clone() };
        approver_objection(&governance.policy, &facts, person).is_none()
    };
    match counts_by(Vec::new()) {
        true => Vec::new(),
        false => to_me.into_iter().filter(|one| counts_by(vec![one.clone()])).collect(),
    }
}

/// Whether the person has approved it, of what it is now.
fn has_approved(state: &State, asked: &PromotionState, person: &PersonId, now: UnixMillis) -> Result<bool, Fault> {
    let governance = state.governance()?;
    let aliases = governance.policy.aliases();
    let running = state.running(&asked.request.environment, &asked.request.release.service);
    let replaces = running.map(|running| running.manifest);
    Ok(asked.approvals.iter().any(|record| {
        let signed = &record.approval.predicate;
        record.event.verdict == Verdict::Approve
            && record.withdrawn.is_none()
            && aliases.person(&record.event.approver) == aliases.person(person)
            && signed.policy == governance.policy_digest
            && signed.replaces.as_ref().map(|replaced| replaced.manifest) == replaces
            && now < signed.expires_at
    }))
}
