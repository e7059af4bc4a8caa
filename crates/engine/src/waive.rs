//! Waive: a signed, scoped, expiring exception to one finding of one gate, by two people; asked for, granted, ended.

use std::collections::BTreeSet;

use lockgate_ledger::entry::WaiverGranted;
use lockgate_ledger::governance::Governance;
use lockgate_ledger::waiver::{Waiver, WaiverRequested, WaiverRevoked};
use lockgate_ledger::{Actor, Event};
use lockgate_model::{EntryIndex, EnvName, GateName, PersonId, PromotionId, ServiceName};
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::authorise::{may_read, permit};
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::environment;
use crate::fault::{Fault, Kind};
use crate::recordable;
use crate::sequencer::Submission;
use crate::staging::Staging;
use crate::where_index;

/// Records a request for a waiver; nothing is excepted by it.
///
/// # Errors
/// `NOT_PERMITTED` when who asks is not who is signed in; the rest comes with the receipt.
pub fn request(by: &PersonId, event: WaiverRequested) -> Result<Submission, Fault> {
    check_own(by, &event.asked_by)?;
    Ok(Submission::new(move |staging, _| {
        check_gate(staging, &event.gate)?;
        check_finding(&event.finding)?;
        environment::check(&staging.governance()?.policy, &event.environment)?;
        let actor = Actor::Subject { id: event.asked_by.clone() };
        let event = Event::WaiverRequested(event);
        recordable::check(staging, &event)?;
        let index = staging.append(actor, &[], event)?;
        lockgate_failpoint::point("waive.requested");
        Ok(json!({ "event": "waiver.requested", "index": index }))
    }))
}

/// Records a waiver and decides again on the promotions that it may concern. One that cannot be decided, because a body
/// of its release is damaged, holds up itself and not the waiver.
///
/// # Errors
/// `NOT_PERMITTED` when the grantor is not who is signed in.
pub fn waive(by: &PersonId, event: WaiverGranted) -> Result<Submission, Fault> {
    check_own(by, &event.granted_by)?;
    let (service, environment) = (event.service.clone(), event.environment.clone());
    let submission = Submission::new(move |staging, _| {
        check_gate(staging, &event.gate)?;
        check_finding(&event.finding)?;
        environment::check(&staging.governance()?.policy, &event.environment)?;
        let target = Object::Target(&event.service, &event.environment);
        permit(staging, &event.granted_by, Permission::Waive, target, None)?;
        let actor = Actor::Subject { id: event.granted_by.clone() };
        let event = Event::WaiverGranted(event);
        let index = staging.append(actor, &[], event.clone())?;
        lockgate_failpoint::point("waive.granted");
        where_index::remember_exception(staging, &event, index)?;
        Ok(json!({ "event": "waiver.granted", "index": index }))
    });
    Ok(submission.deciding(move |staging| concerned(staging, &service, &environment)))
}

/// Ends a waiver, or a request for one, and decides again on the promotions that it may concern. Grants that were given
/// while it counted stay.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn revoke(by: &PersonId, event: WaiverRevoked) -> Result<Submission, Fault> {
    check_own(by, &event.by)?;
    let ended = event.waiver;
    let submission = Submission::new(move |staging, _| {
        place(staging, event.waiver)?;
        let actor = Actor::Subject { id: event.by.clone() };
        let index = staging.append(actor, &[], Event::WaiverRevoked(event))?;
        Ok(json!({ "event": "waiver.revoked", "index": index }))
    });
    Ok(submission.deciding(move |staging| {
        let (service, environment) = place(staging, ended)?;
        concerned(staging, &service, &environment)
    }))
}

/// Every waiver and request that somebody may read, newest first, each with the reason code why it does not count although
/// it was granted and has not ended: whoever granted it is suspended, the policy set allows it no longer, or its
/// vulnerability is exploited. A request that waits is judged as if it were granted now. A snapshot of the KEV catalogue
/// that is damaged hides no waiver.
///
/// # Errors
/// `LEDGER_EMPTY`; `STORE_FAILED` where that snapshot cannot be had now.
pub fn waivers_for(engine: &Engine, principal: &PersonId) -> Result<Vec<(Waiver, Option<&'static str>)>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let granted_at = |known: &Waiver| match &known.granted {
        Some(granted) => Some(granted.time),
        None => known.is_waiting(now).then_some(now),
    };
    let readable = |known: &&Waiver| is_readable(&governance, principal, known);
    let known: Vec<Waiver> = governance.waivers().iter().rev().filter(readable).cloned().collect();
    let name = |known: &Waiver| known.asked.finding.to_ascii_uppercase();
    let names = known.iter().filter(|known| granted_at(known).is_some()).map(name).collect();
    let exploited = match governance.exploited(&names, &StoreBodies(engine.store()), &engine.inner().claims) {
        Ok(exploited) => exploited,
        Err(error) if error.code == "STORE_FAILED" => return Err(error.into()),
        Err(error) => {
            tracing::warn!(code = error.code, "the newest snapshot of the KEV catalogue cannot be read");
            BTreeSet::new()
        }
    };
    let is_suspended = |by: &PersonId| governance.person(by).is_some_and(|person| person.is_suspended());
    let told = |known: Waiver| {
        let suspended = known.granted.as_ref().is_some_and(|granted| is_suspended(&granted.by));
        let void = suspended.then_some("PERSON_SUSPENDED").or_else(|| {
            let granted_at = granted_at(&known)?;
            let (asked, exploited) = (&known.asked, exploited.contains(&name(&known)));
            governance.policy.waiver_void(&asked.gate, granted_at, asked.expires_at, exploited)
        });
        (known, void)
    };
    Ok(known.into_iter().map(told).collect())
}

fn is_readable(governance: &Governance, principal: &PersonId, known: &Waiver) -> bool {
    may_read(governance, principal, Object::Target(&known.asked.service, &known.asked.environment))
}

/// What a waiver or a request is about.
fn place(staging: &Staging<'_>, waiver: EntryIndex) -> Result<(ServiceName, EnvName), Fault> {
    let known = staging.governance()?.waiver(waiver).ok_or_else(|| {
        let text = format!("entry {waiver} neither grants a waiver nor asks for one");
        Fault::not_found("WAIVER_UNKNOWN", text).hint("`lockgate waive list` shows them")
    })?;
    Ok((known.asked.service.clone(), known.asked.environment.clone()))
}

fn check_own(by: &PersonId, named: &PersonId) -> Result<(), Fault> {
    match by == named {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            format!("this was signed by `{named}`, but `{by}` is signed in"),
        )),
    }
}

fn check_gate(staging: &Staging<'_>, gate: &GateName) -> Result<(), Fault> {
    match staging.governance()?.policy.gates().iter().any(|known| known.name == *gate) {
        true => Ok(()),
        false => Err(Fault::not_found("GATE_UNKNOWN", format!("the policy set has no gate `{gate}`"))),
    }
}

/// A finding is one, by its name: nothing stands for several, and a waiver of `*` would never except anything.
fn check_finding(finding: &str) -> Result<(), Fault> {
    if !finding.contains('*') || finding.trim().chars().any(|character| character != '*') {
        return Ok(());
    }
    Err(Fault::invalid("WAIVER_SCOPE", format!("`{finding}` is no finding: a waiver is for one, by its name"))
        .hint("name it as `lockgate why` does, such as CVE-2026-1; none is for a whole gate"))
}

/// The open promotions that a waiver may concern.
fn concerned(staging: &Staging<'_>, service: &ServiceName, environment: &EnvName) -> Result<Vec<PromotionId>, Fault> {
    let open = staging.open_promotions(environment, service)?;
    Ok(open.into_iter().map(|(promotion, _)| promotion).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_is_for_a_finding_that_has_a_name() {
        for none in ["*", " * ", "**"] {
            assert_eq!(check_finding(none).unwrap_err().code, "WAIVER_SCOPE", "{none}");
        }
        // A path may hold one. What is empty is refused by the ledger.
        for some in ["CVE-2026-1", "lib/*.so", "MIT OR Apache-2.0", ""] {
            assert!(check_finding(some).is_ok(), "{some}");
        }
    }
}
