//! Withdraw: the requester takes a promotion back.

use lockgate_ledger::Actor;
use lockgate_ledger::entry::CloseCause;
use lockgate_model::{PersonId, PromotionId};
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::authorise::{hide_promotion, permit};
use crate::evaluate::close;
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Ends an open promotion, for its requester alone.
pub fn withdraw(by: PersonId, promotion: PromotionId, reason: String) -> Submission {
    Submission::new(move |staging, _| {
        let release = staging.release_of(promotion)?;
        let asked = release.promotion(promotion)?.clone();
        let (service, environment) = (&release.name.service, &asked.request.environment);
        hide_promotion(&staging.governance()?.clone(), &by, Permission::Withdraw, (service, environment), promotion)?;
        permit(staging, &by, Permission::Withdraw, Object::Target(service, environment), None)?;
        if asked.requester != by {
            return Err(Fault::new(
                Kind::NotPermitted,
                "NOT_PERMITTED",
                format!("{promotion} was asked for by `{}`; only they can withdraw it", asked.requester),
            ));
        }
        let reason = if reason.trim().is_empty() { format!("withdrawn by {by}") } else { reason };
        close(staging, &asked, Actor::Subject { id: by }, CloseCause::Withdrawn, &reason)?;
        Ok(json!({ "promotion": promotion, "status": "withdrawn" }))
    })
}
