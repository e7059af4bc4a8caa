//! Approvers: how fast people approve, and whose requests.

use lockgate_api::Exit;
use lockgate_api::wire::ApproversReply;

use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

/// `lockgate status --approvers`.
///
/// # Errors
/// When the server cannot be reached, or whoever asks may not audit.
pub fn approvers(world: &World) -> Outcome {
    let reply: ApproversReply = world.signed_in()?.get("/v1/approvers")?;
    world.terminal.show(&reply, || shown(&reply))?;
    Ok(Exit::Done)
}

fn shown(reply: &ApproversReply) -> String {
    if reply.approvers.is_empty() {
        return "nobody has approved anything yet".to_owned();
    }
    let rows = reply.approvers.iter().map(|row| {
        let flag = if row.rubber_stamps > 0 { "RUBBER STAMP" } else { "" };
        vec![
            row.person.to_string(),
            row.approvals.to_string(),
            row.hasty.to_string(),
            row.untimed.to_string(),
            flag.to_owned(),
        ]
    });
    let mut text = table(&["approver", "approvals", "in seconds", "untimed", ""], rows);
    let rows = reply.pairs.iter().map(|row| {
        let flag = match (row.mutual, row.always) {
            (true, _) => "ALWAYS EACH OTHER",
            (false, true) => "always",
            (false, false) => "",
        };
        vec![
            row.requester.to_string(),
            row.approver.to_string(),
            format!("{} of {}", row.approvals, row.of),
            row.newest.to_string(),
            flag.to_owned(),
        ]
    });
    text.push_str("\n\n");
    text.push_str(&table(&["asked by", "approved by", "how many", "newest", ""], rows));
    text
}
