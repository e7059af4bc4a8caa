//! Take back: a person withdraws their own approval, as long as nothing was granted on it.

use lockgate_ledger::withdrawal::ApprovalWithdrawn;
use lockgate_ledger::{Actor, Event};
use lockgate_model::{PersonId, PromotionId};
use lockgate_policy::Permission;
use lockgate_sign::ssh::SshSignature;
use serde_json::json;

use crate::authorise::hide_promotion;
use crate::evaluate::{Record, evaluate, status};
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;

/// Records the withdrawal of approvals, and decides again in the same batch: whichever is logged first, the withdrawal
/// or the grant, wins.
///
/// The value is `{"promotion", "approvals", "status"}`.
///
/// # Errors
/// `APPROVAL_TARGET` or `SIGNATURE_MALFORMED`; the rest comes with the receipt.
pub fn take_back(by: &PersonId, promotion: PromotionId, event: ApprovalWithdrawn) -> Result<Submission, Fault> {
    if event.approver != *by || event.promotion != promotion {
        return Err(Fault::new(
            Kind::Denied,
            "APPROVAL_TARGET",
            format!("this takes back an approval of {} by `{}`", event.promotion, event.approver),
        ));
    }
    let signature = SshSignature::parse_armored(&event.signature)
        .map_err(|error| Fault::invalid("SIGNATURE_MALFORMED", format!("the signature does not parse: {error}")))?;
    let key = signature.public_key().fingerprint();
    Ok(Submission::new(move |staging, inner| {
        let release = staging.release_of(promotion)?;
        let governance = staging.governance()?.clone();
        let asked = release.promotion(promotion)?;
        // What one may not read does not exist; whoever has approved it knows that it does.
        if !asked.approvals.iter().any(|record| record.event.approver == event.approver) {
            let target = (&release.name.service, &asked.request.environment);
            hide_promotion(&governance, &event.approver, Permission::Approve, target, promotion)?;
        }
        if release.name != event.release {
            return Err(Fault::new(
                Kind::Denied,
                "APPROVAL_TARGET",
                format!("{promotion} is about {}, not {}", release.name, event.release),
            ));
        }
        governance.check_counts(&event.approver, &key, staging.next_index(), staging.time())?;
        let approvals = event.approvals.clone();
        staging.append(Actor::Subject { id: event.approver.clone() }, &[], Event::ApprovalWithdrawn(event))?;
        evaluate(staging, inner, promotion, Record::Changes)?;
        let status = status(staging, promotion)?;
        Ok(json!({ "promotion": promotion, "approvals": approvals, "status": status.as_str() }))
    }))
}
