//! Freeze: record that somebody stopped a service, an environment or everything, or lifted that.

use lockgate_ledger::freeze::{FreezeLifted, FreezeOrdered, freeze_object};
use lockgate_ledger::{Actor, Event};
use lockgate_model::{PersonId, PromotionId, StreamName};
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::authorise::{may_read, permit, remember};
use crate::engine::Inner;
use crate::evaluate::{Record, evaluate};
use crate::fault::{Fault, Kind};
use crate::reader;
use crate::sequencer::Submission;
use crate::staging::{OPEN_PROMOTIONS, Staging};

/// How many open promotions are decided again at once when a freeze is lifted; the scheduler takes the others.
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

/// Lifts a freeze, and decides again on what it may have stopped.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn lift(by: &PersonId, event: FreezeLifted) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    Ok(Submission::new(move |staging, inner| {
        remember(staging, &event.by, Permission::Freeze);
        let index = staging.append(Actor::Subject { id: event.by.clone() }, &[], Event::FreezeLifted(event))?;
        lockgate_failpoint::point("freeze.lifted");
        decide_again(staging, inner)?;
        Ok(json!({ "event": "freeze.lifted", "index": index }))
    }))
}

fn decide_again(staging: &mut Staging<'_>, inner: &Inner) -> Result<(), Fault> {
    let open: Vec<PromotionId> = reader::projections_under(staging.store(), OPEN_PROMOTIONS, "")?
        .iter()
        .filter_map(|(key, value)| reader::open_promotion(key, value))
        .map(|(promotion, _)| promotion)
        .take(DECIDED_AT_ONCE)
        .collect();
    for promotion in open {
        evaluate(staging, inner, promotion, Record::Changes)?;
    }
    Ok(())
}

pub(crate) fn not_you(named: &PersonId, by: &PersonId) -> Fault {
    Fault::new(Kind::NotPermitted, "NOT_PERMITTED", format!("this was signed by `{named}`, but `{by}` is signed in"))
}
