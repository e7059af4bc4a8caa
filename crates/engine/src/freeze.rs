//! Freeze: record that somebody stopped a service, an environment or everything, or lifted that.

use lockgate_ledger::freeze::{FreezeLifted, FreezeOrdered, freeze_object};
use lockgate_ledger::{Actor, Event};
use lockgate_model::{EntryIndex, PersonId, PromotionId, StreamName};
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::authorise::{may_read, permit, remember};
use crate::environment;
use crate::fault::{Fault, Kind};
use crate::reader;
use crate::sequencer::Submission;
use crate::staging::{OPEN_PROMOTIONS, Staging};

/// How many open promotions that a freeze may have stopped are decided again at once when it is lifted; the scheduler
/// takes the others.
const DECIDED_AT_ONCE: usize = 64;

/// Orders a freeze, signed by whoever is signed in. It is in force with this entry: every decision and every look at a
/// grant after it knows it.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn order(by: &PersonId, event: FreezeOrdered) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    Ok(Submission::new(move |staging, _| {
        if let Some(name) = &event.environment {
            environment::check(&staging.governance()?.policy, name)?;
        }
        let object = freeze_object(event.service.as_ref(), event.environment.as_ref());
        permit(staging, &event.by, Permission::Freeze, object, None)?;
        if let Some(service) = &event.service {
            let known = staging.head(&StreamName::service(service))?.is_some();
            let governance = staging.governance()?.clone();
            // A slip of the pen would freeze nothing, and look as if it did.
            if !known || !may_read(&governance, &event.by, Object::Service(service)) {
                return Err(Fault::not_found("SERVICE_UNKNOWN", format!("no release of `{service}` is published"))
                    .hint("`lockgate status` lists the services"));
            }
        }
        let index = staging.append(Actor::Subject { id: event.by.clone() }, &[], Event::FreezeOrdered(event))?;
        lockgate_failpoint::point("freeze.ordered");
        Ok(json!({ "event": "freeze.ordered", "index": index }))
    }))
}

/// Lifts a freeze, and decides again on what it may have stopped. A promotion that cannot be decided, because a body of
/// its release is damaged, holds up itself and not the lift.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn lift(by: &PersonId, event: FreezeLifted) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    let lifted = event.freeze;
    let submission = Submission::new(move |staging, _| {
        remember(staging, &event.by, Permission::Freeze);
        let index = staging.append(Actor::Subject { id: event.by.clone() }, &[], Event::FreezeLifted(event))?;
        lockgate_failpoint::point("freeze.lifted");
        Ok(json!({ "event": "freeze.lifted", "index": index }))
    });
    Ok(submission.deciding(move |staging| stopped_by(staging, lifted)))
}

/// The open promotions that a freeze may have stopped.
fn stopped_by(staging: &Staging<'_>, freeze: EntryIndex) -> Result<Vec<PromotionId>, Fault> {
    let Some(known) = staging.governance()?.freezes().iter().find(|known| known.index == freeze) else {
        return Ok(Vec::new());
    };
    let (service, environment) = (known.event.service.as_ref(), known.event.environment.as_ref());
    // A key begins with its environment.
    let prefix = environment.map(|environment| format!("{environment}/")).unwrap_or_default();
    let open = reader::projections_under(staging.store(), OPEN_PROMOTIONS, &prefix)?;
    let stopped = open
        .iter()
        .filter_map(|(key, value)| reader::open_promotion(key, value))
        .filter(|(_, release)| service.is_none_or(|service| release.service == *service))
        .map(|(promotion, _)| promotion);
    Ok(stopped.take(DECIDED_AT_ONCE).collect())
}

pub(crate) fn not_you(named: &PersonId, by: &PersonId) -> Fault {
    Fault::new(Kind::NotPermitted, "NOT_PERMITTED", format!("this was signed by `{named}`, but `{by}` is signed in"))
}
