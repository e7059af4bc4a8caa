//! Inbox: what waits for one's own approval or signature.

use lockgate_api::Exit;
use lockgate_api::wire::InboxReply;

use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

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
        let mut rows = Vec::new();
        for one in &inbox.promotions {
            let lent = one.lent.iter().map(|lent| format!(" (your approval counts by delegation from {})", lent.from));
            rows.push(vec![
                one.promotion.to_string(),
                format!("{} into {}", one.release, one.environment),
                format!("{}: {}{}", one.requester, one.reason, lent.collect::<String>()),
                one.missing.join("; "),
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
            rows.push(vec![
                format!("entry {}", one.waiver),
                format!("waive {} of {} for {} in {}", asked.finding, asked.gate, asked.service, asked.environment),
                format!("{}: {}", asked.asked_by, asked.reason),
                "another person's grant".to_owned(),
                asked.expires_at.rfc3339_secs(),
                format!("lockgate waive grant {}", one.waiver),
            ]);
        }
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
