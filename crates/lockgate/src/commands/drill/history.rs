//! Attacks on what the entries say: approvals, decisions, grants, keys and rules.
//!
//! All but the first are thorough: tree, tiles, streams and head fit, and the log's real key signs them. The auditor has
//! kept nothing but the trust file, so that the signatures of people, and the decisions made again, have to notice.

use lockgate_engine::audit::StoreSource;
use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::bodies::required;
use lockgate_ledger::entry::{Actor, Event, PolicyActivated};
use lockgate_ledger::governance::{
    ActivationDocument, ENROLMENT_NAMESPACE, EnrolmentDocument, POLICY_NAMESPACE, document_bytes,
};
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, EntryIndex, Limits, Span, UnixMillis};
use lockgate_policy::{GateOutcome, Outcome, PolicySet};
use lockgate_sign::ssh_signer::SshSigner as _;

use super::attack::{Halt, Made, Shown};
use super::scene::{Scene, failed};
use crate::keyring::sign;
use crate::serve::first_policy;

const NO_APPROVAL: &str = "nobody has approved or rejected anything in this ledger yet";
const NO_DECISION: &str = "nothing was decided in this ledger yet";
const NO_PERSON: &str = "nobody is enrolled in this ledger yet";
const NO_OWNER: &str = "nobody in this ledger may activate a policy set";
/// Starter policy sets: the first that is not the active one is put in its place.
const POLICIES: [&str; 2] = ["minimal", "starter"];
const DECADE: Span = Span::from_secs(10 * 365 * 86_400);

/// The row alone: neither hashes nor head are touched.
pub fn approval_edited(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (index, mut entry) = scene.found(scene.subject.survey.approval, NO_APPROVAL)?;
    if let Event::ApprovalRecorded(event) = &mut entry.event {
        event.verdict = match event.verdict {
            Verdict::Approve => Verdict::Reject,
            Verdict::Reject => Verdict::Approve,
        };
    }
    let bytes = entry.to_leaf(&Limits::DEFAULT).map_err(failed)?;
    scene.copy.damage()?.entry_edit(index, &bytes)?;
    Ok(Made::copy(format!("the verdict in the row of entry {index} was turned round")))
}

pub fn approval_forged(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (index, mut entry) = scene.found(scene.subject.survey.approval, NO_APPROVAL)?;
    let own = &scene.subject.own;
    if let Event::ApprovalRecorded(event) = &mut entry.event {
        let store = scene.store()?;
        let document = required(&StoreSource(&store), &event.document)?.into_owned();
        event.signature = sign(own, NAMESPACE, &document)?;
        event.key = own.public_key().fingerprint();
    }
    let head = scene.replace(index, &entry)?;
    scene.sealed(&head, format!("the approval of entry {index} was signed again, with a key that nobody enrolled"))
}

pub fn approval_replayed(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (index, entry) = scene.found(scene.subject.survey.approval, NO_APPROVAL)?;
    let Event::ApprovalRecorded(mut event) = entry.event else { return Err(failed("the survey is wrong")) };
    let mut other = None;
    for asked in &scene.subject.survey.requests {
        if let Event::PromotionRequested(request) = scene.entry(*asked)?.event
            && request.promotion != event.promotion
        {
            other = Some(request);
        }
    }
    let other = other.ok_or_else(|| Halt::Skipped("there is no other promotion in this ledger yet".to_owned()))?;
    event.promotion = other.promotion;
    event.release = other.release;
    let actor = Actor::Subject { id: event.approver.clone() };
    let did = format!("what was signed in entry {index} was recorded for {} as well", event.promotion);
    let head = scene.append(actor, Event::ApprovalRecorded(event))?;
    scene.sealed(&head, did)
}

pub fn decision_edited(scene: &Scene<'_>) -> Result<Made, Halt> {
    let survey = &scene.subject.survey;
    let (index, mut entry) = scene.found(survey.deny.or(survey.decision), NO_DECISION)?;
    let mut now = Outcome::Allow;
    if let Event::DecisionRecorded(event) = &mut entry.event {
        if event.outcome == Outcome::Allow {
            now = Outcome::Deny;
        }
        let outcome = if now == Outcome::Allow { GateOutcome::Pass } else { GateOutcome::Fail };
        event.gates.iter_mut().for_each(|line| line.outcome = outcome);
        event.outcome = now;
    }
    let head = scene.replace(index, &entry)?;
    scene.sealed(&head, format!("the decision of entry {index} says {} now", now.as_str()))
}

pub fn deny_dropped(scene: &Scene<'_>) -> Result<Made, Halt> {
    let deny = scene.subject.survey.deny;
    let (index, _) = scene.found(deny, "nothing was denied in this ledger yet")?;
    let mut leaves = scene.tail(index.0)?;
    leaves.remove(0);
    let head = scene.rewrite(index.0, &leaves)?;
    scene.sealed(&head, format!("the denial of entry {index} was taken out, and what came after it moved up"))
}

pub fn grant_stretched(scene: &Scene<'_>) -> Result<Made, Halt> {
    let newest = scene.subject.survey.grants.back().copied();
    let (index, mut entry) = scene.found(newest, "nothing was granted in this ledger yet")?;
    if let Event::GrantIssued(event) = &mut entry.event {
        event.not_after = event.not_after.plus(DECADE);
    }
    let head = scene.replace(index, &entry)?;
    scene.sealed(&head, format!("the grant of entry {index} ends ten years later"))
}

/// The key proves itself; it is whoever vouched that did not sign it.
pub fn key_swapped(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (index, mut entry) = scene.found(scene.subject.survey.enrolled, NO_PERSON)?;
    let mut did = String::new();
    if let Event::PersonEnrolled(event) = &mut entry.event {
        event.key = scene.subject.own.public_key().clone();
        let origin = &scene.subject.origin;
        let document = EnrolmentDocument::new(origin, &event.person, event.subject, &event.groups, &event.key)
            .limited(event.expires_at, &event.environments);
        event.proof = sign(&scene.subject.own, ENROLMENT_NAMESPACE, &document_bytes(&document)?)?;
        did = format!("the key with which `{}` was enrolled in entry {index} is another one now", event.person);
    }
    let head = scene.replace(index, &entry)?;
    scene.sealed(&head, did)
}

/// A policy set that is not the active one.
pub fn other_policy(active: Option<Digest>) -> Result<PolicySet, Halt> {
    let mut others = Vec::new();
    for name in POLICIES {
        others.push(first_policy(name)?);
    }
    let mut others = others.into_iter().filter(|set| Some(set.digest()) != active);
    others.next().ok_or_else(|| failed("every policy set is the active one"))
}

pub fn policy_swapped(scene: &Scene<'_>) -> Result<Made, Halt> {
    let mut first = scene.entry(EntryIndex(0))?;
    if let Event::LedgerCreated(event) = &mut first.event {
        let other = other_policy(Some(event.policy))?;
        event.policy = other.digest();
        scene.copy.damage()?.document_put(&other.digest(), &other.document())?;
    }
    let head = scene.replace(EntryIndex(0), &first)?;
    scene.sealed(&head, "the ledger begins with another policy set, which decided everything else".to_owned())
}

pub fn policy_activated(scene: &Scene<'_>) -> Result<Made, Halt> {
    let subject = scene.subject;
    let (previous_at, previous) = subject.survey.policy.ok_or_else(|| failed("the ledger has no policy set"))?;
    let by = subject.owner.clone().ok_or_else(|| Halt::Skipped(NO_OWNER.to_owned()))?;
    let other = other_policy(Some(previous))?;
    let (policy, reason) = (other.digest(), "lighter gates");
    scene.copy.damage()?.document_put(&policy, &other.document())?;
    let document = ActivationDocument {
        schema: "https://lockgate.dev/policy-activation/v1",
        ledger: &subject.origin,
        policy,
        previous,
        previous_at,
        reason,
        backtest: None,
    };
    let event = PolicyActivated {
        policy,
        previous,
        previous_at,
        reason: reason.to_owned(),
        by: by.clone(),
        signature: sign(&subject.own, POLICY_NAMESPACE, &document_bytes(&document)?)?,
        countersigned: Vec::new(),
        backtest: None,
    };
    let head = scene.append(Actor::Subject { id: by.clone() }, Event::PolicyActivated(event))?;
    scene.sealed(&head, format!("another policy set became active in the name of `{by}`"))
}

pub fn time_turned_back(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (index, mut entry) = scene.newest()?;
    if index == EntryIndex(0) {
        return Err(Halt::Skipped("the ledger has only one entry yet".to_owned()));
    }
    entry.time = UnixMillis(1);
    let head = scene.replace(index, &entry)?;
    scene.sealed(&head, format!("entry {index} is of the first of January 1970"))
}

/// Nobody needs the log's own key for this: the other one takes its place.
pub fn log_key_swapped(scene: &Scene<'_>) -> Result<Made, Halt> {
    let mut first = scene.entry(EntryIndex(0))?;
    if let Event::LedgerCreated(event) = &mut first.event {
        event.log_key = scene.subject.foreign.vkey().to_string();
    }
    let head = scene.replace(EntryIndex(0), &first)?;
    let checkpoint = Some(scene.checkpoint(&head, &scene.subject.foreign).into_bytes());
    let did = "the first entry names another log key, and that key signed the head".to_owned();
    Ok(Made { did, shown: Shown::Ledger { checkpoint, kept: false, artifact: None } })
}
