//! Inbox: what waits for one's own approval or signature.

use std::collections::BTreeSet;

use lockgate_api::Exit;
use lockgate_api::wire::{BreakGlassRow, InboxReply};
use lockgate_model::PersonId;

use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

/// How many characters of somebody's words a table shows; `--output json` has all of them.
const SHOWN_CHARS: usize = 60;

/// `lockgate inbox`.
///
/// # Errors
/// When sign-in fails, or the server cannot be reached.
pub fn inbox(world: &World) -> Outcome {
    let client = world.signed_in()?;
    let mut inbox: InboxReply = client.get("/v1/inbox")?;
    while let Some(next) = inbox.next.take() {
        let more: InboxReply = client.get(&format!("/v1/inbox?after={next}"))?;
        inbox.promotions.extend(more.promotions);
        inbox.next = more.next;
    }
    world.terminal.show(&inbox, || {
        let rows = rows(&inbox);
        let mut text = match rows.is_empty() {
            true => "nothing waits for you".to_owned(),
            false => table(&["", "what", "from whom, why", "missing", "ends", "next"], rows),
        };
        if !inbox.suspects.is_empty() {
            text.push_str(&format!("\n{} entries are suspect: see `lockgate history`", inbox.suspects.len()));
        }
        text
    })?;
    Ok(Exit::Done)
}

/// One row for each thing that waits: break-glasses, promotions, changes, waivers.
fn rows(inbox: &InboxReply) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = inbox.break_glass.iter().map(break_glass).collect();
    for one in &inbox.promotions {
        // Whose right it is by is never cut off, and each lender is told once, however much of theirs overlaps.
        let lenders: BTreeSet<&PersonId> = one.lent.iter().map(|lent| &lent.from).collect();
        let lent = lenders.iter().map(|lender| format!(" (your approval counts by delegation from {lender})"));
        rows.push(vec![
            one.promotion.to_string(),
            format!("{} into {}", one.release, one.environment),
            format!("{}: {}{}", one.requester, cut(&one.reason), lent.collect::<String>()),
            cut(&one.missing.join("; ")),
            one.expires_at.rfc3339_secs(),
            format!("lockgate approve {}", one.promotion),
        ]);
    }
    for one in &inbox.changes {
        rows.push(vec![
            one.change.to_string(),
            one.event.clone(),
            one.signed_by.first().map(ToString::to_string).unwrap_or_default(),
            format!("{} more to sign", one.missing),
            one.expires_at.rfc3339_secs(),
            format!("lockgate change sign {}", one.change),
        ]);
    }
    for one in &inbox.waivers {
        let asked = &one.asked;
        let what = format!("{} of {} for {} in {}", cut(&asked.finding), asked.gate, asked.service, asked.environment);
        rows.push(vec![
            format!("entry {}", one.waiver),
            format!("waive {what}"),
            format!("{}: {}", asked.asked_by, cut(&asked.reason)),
            "another person's grant".to_owned(),
            asked.expires_at.rfc3339_secs(),
            format!("lockgate waive grant {}", one.waiver),
        ]);
    }
    rows
}

/// What waits for a signature, or for a review.
fn break_glass(one: &BreakGlassRow) -> Vec<String> {
    let index = one.break_glass;
    let signers: Vec<&str> = one.signed_by.iter().map(PersonId::as_str).collect();
    let (missing, ends, next) = match one.state.as_str() {
        "unreviewed" => (
            "a review by who did not sign it".to_owned(),
            "once reviewed".to_owned(),
            format!("lockgate break-glass review {index} --finding \"...\""),
        ),
        _ => (
            format!("signatures: {} of {}", signers.len(), one.needed),
            one.expires_at.rfc3339_secs(),
            format!("lockgate break-glass sign {index}"),
        ),
    };
    let what = format!("break-glass for {} into {}", one.release, one.environment);
    vec![format!("entry {index}"), what, format!("{}: {}", signers.join(", "), cut(&one.reason)), missing, ends, next]
}

/// The beginning of a text that is too long for a table, on one line.
fn cut(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.char_indices().nth(SHOWN_CHARS).and_then(|(at, _)| line.get(..at)) {
        Some(beginning) => format!("{}...", beginning.trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use lockgate_api::wire::{InboxPromotion, LentBy};
    use lockgate_model::UnixMillis;
    use lockgate_model::facts::PromotionKind;

    use super::*;

    fn promotion() -> InboxPromotion {
        InboxPromotion {
            promotion: "P-3".parse().unwrap(),
            release: "shop/web@1.4.2".parse().unwrap(),
            environment: "production".parse().unwrap(),
            kind: PromotionKind::Promotion,
            requester: "dana".parse().unwrap(),
            reason: "é ".repeat(400),
            requested_at: UnixMillis(0),
            expires_at: UnixMillis(1),
            missing: vec!["2 approvals by group approvers, not by who asked for it".to_owned(); 12],
            lent: Vec::new(),
        }
    }

    fn inbox(promotion: InboxPromotion) -> InboxReply {
        InboxReply {
            promotions: vec![promotion],
            changes: Vec::new(),
            waivers: Vec::new(),
            break_glass: Vec::new(),
            suspects: Vec::new(),
            delegations: Vec::new(),
            next: None,
        }
    }

    #[test]
    fn a_lender_is_told_once_however_much_of_theirs_overlaps() {
        let by =
            |delegation: u64, from: &str| LentBy { delegation, from: from.parse().unwrap(), expires_at: UnixMillis(1) };
        let lent = vec![by(7, "sam"), by(8, "kim"), by(9, "sam")];
        let rows = rows(&inbox(InboxPromotion { lent, ..promotion() }));
        let why = &rows[0][2];
        assert_eq!((why.matches("from sam)").count(), why.matches("from kim)").count()), (1, 1), "{why}");
    }

    #[test]
    fn long_words_do_not_make_a_row_wide() {
        let text = table(&["", "what", "from whom, why", "missing", "ends", "next"], rows(&inbox(promotion())));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest < 240, "{widest}: {text}");
        assert!(text.contains("...") && text.contains("lockgate approve P-3"), "{text}");
        assert_eq!(cut("a\nb"), "a b");
        assert_eq!(cut(&"x".repeat(SHOWN_CHARS)), "x".repeat(SHOWN_CHARS));
    }
}
