//! Promote and roll back: ask that a release be let into an environment.

use lockgate_ledger::entry::{CloseCause, PromotionRequested};
use lockgate_ledger::release::ReleaseState;
use lockgate_ledger::{Actor, Event, suspect};
use lockgate_model::facts::PromotionKind;
use lockgate_model::{EnvName, Limits, PersonId, PromotionId, ReleaseName, StreamName, UnixMillis};
use lockgate_policy::{Object, Permission};
use serde_json::{Value, json};

use crate::authorise::{check, permit, release_unknown};
use crate::engine::Inner;
use crate::environment;
use crate::evaluate::{Record, close, evaluate, status};
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;
use crate::staging::Staging;

/// The part of a grant's term, at its end, in which what runs can be asked for anew: one of so many.
const RENEWAL_SHARE: u64 = 4;

/// A request to let a release into an environment.
#[derive(Debug, Clone)]
pub struct Promote {
    /// What.
    pub release: ReleaseName,
    /// Where to; environments that come before it are passed on the way.
    pub environment: EnvName,
    /// Why.
    pub reason: String,
}

/// Asks for a promotion, and for those on the way that are still missing; stops where one is not allowed.
///
/// The value is `{"promotions": [{"promotion", "environment", "status", "repeated"}]}`, the last one being the answer.
///
/// # Errors
/// `REASON_MISSING` or `TEXT_TOO_LONG`; the rest comes with the receipt.
pub fn promote(by: PersonId, request: Promote) -> Result<Submission, Fault> {
    check_reason(&request.reason)?;
    Ok(Submission::new(move |staging, inner| {
        let policy = staging.governance()?.policy.clone();
        environment::check(&policy, &request.environment)?;
        // Whoever may not read the service is told nothing about it.
        let target = Object::Target(&request.release.service, &request.environment);
        let unknown = Some(release_unknown(&request.release));
        check(&staging.governance()?.clone(), &by, Permission::Request, target, unknown)?;
        let release = staging.release(&request.release)?;
        let mut path: Vec<EnvName> = policy
            .path_to(&request.environment)
            .into_iter()
            .filter(|environment| *environment != request.environment && !release.ran_in(environment))
            .collect();
        path.push(request.environment.clone());
        let mut done = Vec::new();
        for environment in path {
            let object = Object::Target(&request.release.service, &environment);
            permit(staging, &by, Permission::Request, object, None)?;
            let asked =
                ask(staging, inner, &by, &request.release, &environment, PromotionKind::Promotion, &request.reason)?;
            let granted = asked.get("status").and_then(Value::as_str) == Some("granted");
            done.push(asked);
            if !granted {
                break;
            }
        }
        Ok(json!({ "promotions": done }))
    }))
}

/// Asks for a rollback: a promotion of an earlier release that has run in the environment.
///
/// # Errors
/// `REASON_MISSING` or `TEXT_TOO_LONG`; the rest comes with the receipt.
pub fn rollback(by: PersonId, request: Promote) -> Result<Submission, Fault> {
    check_reason(&request.reason)?;
    Ok(Submission::new(move |staging, inner| {
        let policy = staging.governance()?.policy.clone();
        environment::check(&policy, &request.environment)?;
        let target = Object::Target(&request.release.service, &request.environment);
        permit(staging, &by, Permission::Rollback, target, Some(release_unknown(&request.release)))?;
        if !staging.release(&request.release)?.ran_in(&request.environment) {
            return Err(Fault::new(
                Kind::Denied,
                "ROLLBACK_NEVER_RAN",
                format!("{} has never been granted into {}", request.release, request.environment),
            )
            .hint(format!("`lockgate history --env {}` lists what has", request.environment)));
        }
        // Rollbacks pass freezes and windows that spare them, and the order of versions: no way forward is one.
        let running = staging.running(&request.environment, &request.release.service)?;
        if running.as_ref().is_some_and(|running| running.release == request.release) {
            return Err(Fault::new(
                Kind::Conflict,
                "ALREADY_RUNNING",
                format!("{} is what {} is granted to run already", request.release, request.environment),
            )
            .hint("a grant that ends is renewed by a promotion: `lockgate promote`"));
        }
        if let Some(newer) = running.filter(|running| running.release.version < request.release.version) {
            return Err(Fault::new(
                Kind::Denied,
                "ROLLBACK_FORWARD",
                format!("{} is newer than {}, which runs in {}", request.release, newer.release, request.environment),
            )
            .hint("what goes forward is promoted: `lockgate promote`"));
        }
        let asked =
            ask(staging, inner, &by, &request.release, &request.environment, PromotionKind::Rollback, &request.reason)?;
        Ok(json!({ "promotions": [asked] }))
    }))
}

fn check_reason(reason: &str) -> Result<(), Fault> {
    if reason.trim().is_empty() {
        return Err(Fault::invalid("REASON_MISSING", "a promotion needs a reason").hint("add --reason \"...\""));
    }
    match reason.len() <= Limits::DEFAULT.text_bytes {
        true => Ok(()),
        false => {
            Err(Fault::invalid("TEXT_TOO_LONG", format!("a reason has at most {} bytes", Limits::DEFAULT.text_bytes)))
        }
    }
}

fn ask(
    staging: &mut Staging<'_>,
    inner: &Inner,
    by: &PersonId,
    release: &ReleaseName,
    environment: &EnvName,
    kind: PromotionKind,
    reason: &str,
) -> Result<Value, Fault> {
    let state = staging.release(release)?;
    let mut open = state.open_promotion(environment).cloned();
    if let Some(other) = open.take_if(|open| open.request.kind != kind) {
        // Forward and back are different requests with different gates: the newer one stands.
        close(staging, &other, Actor::System, CloseCause::Superseded, "the opposite was asked for")?;
    }
    let (promotion, repeated) = match open {
        Some(open) => (open.request.promotion, true),
        None => (request(staging, by, release, environment, kind, reason)?, false),
    };
    evaluate(staging, inner, promotion, if repeated { Record::Changes } else { Record::Always })?;
    let status = status(staging, promotion)?;
    Ok(json!({ "promotion": promotion, "environment": environment, "status": status.as_str(), "repeated": repeated }))
}

/// What runs is granted anew where its grant ends soon, was a break-glass, or rests on a key that was not its owner's:
/// all gates are asked again. Otherwise asking for it is a slip.
fn check_renewable(staging: &Staging<'_>, release: &ReleaseState, environment: &EnvName) -> Result<(), Fault> {
    let Some(grant) = release.grants.iter().rev().find(|grant| grant.event.environment == *environment) else {
        return Ok(());
    };
    let ends = grant.event.not_after;
    let term = ends.since(grant.time).millis();
    let from = UnixMillis(ends.0.saturating_sub(term / RENEWAL_SHARE));
    let is_renewable = staging.time() >= from
        || release.is_past_gates(grant)
        || suspect::in_release(staging.governance()?, release).iter().any(|suspect| suspect.index == grant.index);
    match is_renewable {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::Conflict,
            "ALREADY_RUNNING",
            format!("{} is what {environment} is granted to run already, by {}", release.name, grant.event.promotion),
        )
        .hint(format!("its grant counts until {ends}; it can be asked for anew from {from} on"))),
    }
}

pub(crate) fn request(
    staging: &mut Staging<'_>,
    by: &PersonId,
    release: &ReleaseName,
    environment: &EnvName,
    kind: PromotionKind,
    reason: &str,
) -> Result<PromotionId, Fault> {
    let state = staging.release(release)?;
    let running = staging.running(environment, &release.service)?;
    if running.is_some_and(|running| running.manifest == state.manifest_digest) {
        check_renewable(staging, &state, environment)?;
    }
    let number = staging.head(&StreamName::promotions())?.map_or(1, |head| head.seq + 2);
    let promotion = PromotionId(number);
    let ttl = staging.governance()?.policy.settings().promotion_ttl;
    let event = PromotionRequested {
        promotion,
        release: release.clone(),
        manifest: state.manifest_digest,
        environment: environment.clone(),
        kind,
        reason: reason.to_owned(),
        expires_at: staging.time().plus(ttl),
    };
    staging.append(Actor::Subject { id: by.clone() }, &[], Event::PromotionRequested(event))?;
    lockgate_failpoint::point("promote.requested");
    Ok(promotion)
}
