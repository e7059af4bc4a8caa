//! Break glass: record that people let a release past the gates, decide under it, and record its review.

use lockgate_ledger::break_glass::{BreakGlass, BreakGlassOpened, BreakGlassReviewed, BreakGlassSigned, is_used};
use lockgate_ledger::{Actor, Event};
use lockgate_model::facts::PromotionKind;
use lockgate_model::{EntryIndex, PersonId};
use lockgate_policy::{Object, Permission};
use serde_json::{Value, json};

use crate::authorise::{may_read, permit, release_unknown, remember};
use crate::engine::{Engine, Inner};
use crate::environment;
use crate::evaluate::{Record, evaluate, status};
use crate::fault::{Fault, Kind};
use crate::freeze::not_you;
use crate::promote::request;
use crate::reader;
use crate::sequencer::Submission;
use crate::staging::Staging;
use crate::where_index;

/// Opens a break-glass, signed by whoever is signed in; asks for the promotion where nobody has, and decides under it
/// where one person is enough.
///
/// The value is `{"event", "index", "needed", "signed", "promotion", "status"}`; the last two are there once it took
/// effect.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn open(by: &PersonId, event: BreakGlassOpened) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    Ok(Submission::new(move |staging, inner| {
        environment::check(&staging.governance()?.policy, &event.environment)?;
        let target = Object::Target(&event.release.service, &event.environment);
        permit(staging, &event.by, Permission::BreakGlass, target, Some(release_unknown(&event.release)))?;
        let release = staging.release(&event.release)?;
        if release.manifest_digest != event.manifest {
            return Err(Fault::new(
                Kind::Denied,
                "BREAK_GLASS_TARGET",
                format!("{} has another manifest than the one that was signed", event.release),
            ));
        }
        let (by, event) = (event.by.clone(), Event::BreakGlassOpened(event));
        let index = staging
            .append(Actor::Subject { id: by.clone() }, &[], event.clone())
            .map_err(|fault| naming_reviewer(fault, &["BREAK_GLASS_UNREVIEWED"]))?;
        where_index::remember_exception(staging, &event, index)?;
        outcome(staging, inner, &by, index, "break-glass.opened", index)
    }))
}

/// Signs a break-glass that somebody else opened, and decides under it once enough people have.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn sign(by: &PersonId, event: BreakGlassSigned) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    Ok(Submission::new(move |staging, inner| {
        let (by, opened, event) = (event.by.clone(), event.break_glass, Event::BreakGlassSigned(event));
        remember(staging, &by, Permission::BreakGlass);
        let index = staging.append(Actor::Subject { id: by.clone() }, &[], event.clone())?;
        where_index::remember_exception(staging, &event, index)?;
        outcome(staging, inner, &by, opened, "break-glass.signed", index)
    }))
}

/// Records a review, which ends the alarm.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in; the rest comes with the receipt.
pub fn review(by: &PersonId, event: BreakGlassReviewed) -> Result<Submission, Fault> {
    if event.by != *by {
        return Err(not_you(&event.by, by));
    }
    Ok(Submission::new(move |staging, _| {
        let index = staging
            .append(Actor::Subject { id: event.by.clone() }, &[], Event::BreakGlassReviewed(event))
            .map_err(|fault| naming_reviewer(fault, &["SOD_SELF", "NOT_PERMITTED"]))?;
        Ok(json!({ "event": "break-glass.reviewed", "index": index }))
    }))
}

/// Says who can end the alarm, with faults of these codes: where one person is alone, nobody can yet.
fn naming_reviewer(fault: Fault, codes: &[&str]) -> Fault {
    match codes.contains(&fault.code) {
        true => fault.hint(
            "`lockgate break-glass review` takes somebody who did not sign it, with the permission `audit`, or \
             `break-glass` for its target; where there is nobody, let one in: `lockgate key enrol`, then \
             `lockgate invite`",
        ),
        false => fault,
    }
}

/// What became of a break-glass by one more signature.
fn outcome(
    staging: &mut Staging<'_>,
    inner: &Inner,
    by: &PersonId,
    opened: EntryIndex,
    name: &str,
    index: EntryIndex,
) -> Result<Value, Fault> {
    let known = staging.governance()?.break_glass(opened)?.clone();
    let mut value = json!({
        "event": name, "index": index, "break_glass": opened,
        "needed": known.needed, "signed": known.signatures.len(),
    });
    if known.effective.is_none() {
        return Ok(value);
    }
    let event = &known.event;
    let release = staging.release(&event.release)?;
    let promotion = match release.open_promotion(&event.environment) {
        Some(open) => open.request.promotion,
        None => {
            let kind = PromotionKind::Promotion;
            request(staging, by, &event.release, &event.environment, kind, &event.reason)?
        }
    };
    evaluate(staging, inner, promotion, Record::Always)?;
    let status = status(staging, promotion)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("promotion".to_owned(), json!(promotion));
        object.insert("status".to_owned(), json!(status.as_str()));
    }
    Ok(value)
}

/// One break-glass with how it stands.
#[derive(Debug, Clone)]
pub struct BreakGlassView {
    /// What was opened and signed.
    pub opened: BreakGlass,
    /// `open`, `over`, `unreviewed` or `reviewed`.
    pub state: &'static str,
    /// Whether something was granted under it.
    pub used: bool,
}

/// Every break-glass that somebody may read about, newest first.
///
/// # Errors
/// What the store says.
pub fn list(engine: &Engine, principal: &PersonId) -> Result<Vec<BreakGlassView>, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let mut views = Vec::new();
    for opened in governance.break_glasses().iter().rev() {
        let target = Object::Target(&opened.event.release.service, &opened.event.environment);
        if !may_read(&governance, principal, target) {
            continue;
        }
        let release = reader::release(engine.store(), &governance, &opened.event.release)?;
        let used = release.is_some_and(|release| is_used(&release, opened.index));
        let state = match (opened.effective, governance.review_of(opened)) {
            (Some(_), Some(_)) => "reviewed",
            (Some(_), None) => "unreviewed",
            (None, _) if now < opened.event.expires_at => "open",
            (None, _) => "over",
        };
        views.push(BreakGlassView { opened: opened.clone(), state, used });
    }
    Ok(views)
}
