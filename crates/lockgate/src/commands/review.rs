//! Review: open the evidence before it is signed for, and take an approval back.

use lockgate_api::wire::{Acknowledged, TakeBackRequest, TakenBack};
use lockgate_api::{Client, Exit};
use lockgate_ledger::Verified;
use lockgate_ledger::bodies::{BodyMap, required};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::document_bytes;
use lockgate_ledger::withdrawal::{ApprovalWithdrawn, WITHDRAWAL_NAMESPACE, WithdrawalDocument, withdrawable};
use lockgate_model::facts::{EvidenceFact, Facts, Origin, SignatureClass};
use lockgate_model::text::visible;
use lockgate_model::{Digest, PersonId};

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::printable;
use crate::world::World;

/// How many characters of one piece of evidence are shown.
const SHOWN_CHARS: usize = 16 * 1024;

/// Shows the evidence piece by piece, and gives the digests of what was shown.
///
/// # Errors
/// When there is no terminal to ask on, or a body is missing.
pub fn open_evidence(world: &World, facts: &Facts, bodies: &BodyMap, yes: bool) -> Result<Vec<Digest>, Failure> {
    let mut opened = Vec::new();
    let count = facts.evidence.len();
    for (number, fact) in facts.evidence.iter().enumerate() {
        world.terminal.say(format!("evidence {} of {count}: {}", number + 1, visible(&heading(fact))));
        if !yes && !world.terminal.confirm("Open it?")? {
            continue;
        }
        let bytes = required(bodies, &fact.evidence).map_err(lockgate_ledger::ApplyError::from)?;
        world.terminal.say(excerpt(&bytes));
        opened.push(fact.evidence);
    }
    Ok(opened)
}

fn heading(fact: &EvidenceFact) -> String {
    let is_broken = fact.signature.as_ref().is_some_and(|proof| proof.class == SignatureClass::SignatureInvalid);
    let behind = match &fact.origin {
        Origin::Signed { signers } if signers.is_empty() && is_broken => "with an invalid signature".to_owned(),
        Origin::Signed { signers } if signers.is_empty() => "signed by nobody who is trusted".to_owned(),
        Origin::Signed { signers } => {
            let names: Vec<&str> = signers.iter().map(lockgate_model::SignerName::as_str).collect();
            format!("signed by {}", names.join(" and "))
        }
        Origin::OnBehalf { by } => format!("handed in unsigned by {by}"),
    };
    format!("{} {}, {behind}", fact.claim.kind(), fact.evidence)
}

/// The beginning of some bytes, as text that cannot steer a terminal.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str(&format!("\n... of {} bytes; `lockgate bundle extract` writes all of it", bytes.len()));
    }
    printable(&shown)
}

/// Takes the caller's own approvals of a promotion back.
///
/// # Errors
/// `APPROVAL_UNKNOWN` when there is none that counts, or what the key or the server refuses.
pub fn take_back(
    world: &World,
    options: &cli::Approve,
    client: &Client,
    verified: &Verified,
    person: &PersonId,
) -> Outcome {
    let promotion = verified.release.promotion(options.promotion)?;
    let event = ApprovalWithdrawn {
        promotion: options.promotion,
        release: verified.release.name.clone(),
        approver: person.clone(),
        approvals: withdrawable(promotion, person),
        reason: options.comment.clone().unwrap_or_default(),
        signature: String::new(),
    };
    if event.approvals.is_empty() {
        return Err(Failure::new(
            Exit::Conflict,
            "APPROVAL_UNKNOWN",
            format!("`{person}` has no approval of {} to take back", options.promotion),
        ));
    }
    let governance = verified.state.governance()?;
    let document = document_bytes(&WithdrawalDocument::new(governance.origin(), &event))?;
    world.terminal.say(format!(
        "You are about to take back {} of {}:\n{}  code        {}",
        if event.approvals.len() == 1 { "your approval" } else { "your approvals" },
        options.promotion,
        event.approvals.iter().map(|digest| format!("  approval    {digest}\n")).collect::<String>(),
        code_words(&Digest::of(&document))
    ));
    if !options.yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, person, options.key.as_deref())?;
    let request = TakeBackRequest {
        release: event.release,
        approvals: event.approvals,
        reason: event.reason,
        signature: sign(signer.as_ref(), WITHDRAWAL_NAMESPACE, &document)?,
    };
    let path = format!("/v1/promotions/{}/approvals/withdrawal", options.promotion);
    let reply: Acknowledged<TakenBack> = client.post(&path, &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!(
            "{person} took back the approval of {}: it is {}\n{}",
            reply.result.promotion,
            reply.result.status,
            logged_line(reply.logged.as_ref())
        )
    })?;
    Ok(Exit::Done)
}
