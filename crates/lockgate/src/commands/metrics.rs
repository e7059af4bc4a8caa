//! Metrics: how long promotions take, what they wait for, who approves, what fails.

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::wire::MetricsReply;

use crate::cli;
use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

/// `lockgate metrics`.
///
/// # Errors
/// When sign-in fails, or the server cannot be reached.
pub fn metrics(world: &World, options: &cli::Metrics) -> Outcome {
    let since = query_value(&options.since.to_string());
    let reply: MetricsReply = world.signed_in()?.get(&format!("/v1/metrics?since={since}"))?;
    world.terminal.show(&reply, || shown(&reply))?;
    if !reply.complete {
        world.terminal.say(format!(
            "note: counted from {} entries; there are more, and nothing is left out since {}",
            reply.entries, reply.covered_from
        ));
    }
    if reply.approvers.is_none() {
        world.terminal.say("note: who approves how much is for those with the permission `audit`");
    }
    Ok(Exit::Done)
}

fn shown(reply: &MetricsReply) -> String {
    if reply.promotions == 0 {
        return format!("no promotion was decided since {}", reply.since);
    }
    let mut parts = vec![environments(reply), waiting(reply), refusals(reply)];
    if let Some(approvers) = reply.approvers.as_ref().filter(|rows| !rows.is_empty()) {
        let rows = approvers
            .iter()
            .map(|row| vec![row.person.to_string(), row.approvals.to_string(), secs(row.median_review_secs)]);
        parts.push(table(&["approver", "approvals", "median review"], rows));
    }
    parts.push(format!("{} freezes, {} break-glass uses", reply.freezes, reply.break_glass));
    parts.join("\n\n")
}

fn environments(reply: &MetricsReply) -> String {
    let rows = reply.environments.iter().map(|row| {
        vec![
            row.environment.to_string(),
            row.grants.to_string(),
            secs(row.p50_secs),
            secs(row.p90_secs),
            row.rollbacks.to_string(),
            row.failed_percent.map_or_else(|| "-".to_owned(), |share| format!("{share} %")),
            secs(row.recovery_p50_secs),
        ]
    });
    table(&["environment", "grants", "p50", "p90", "rollbacks", "failed", "recovery p50"], rows)
}

fn waiting(reply: &MetricsReply) -> String {
    let rows =
        reply.waiting.iter().map(|row| vec![row.cause.clone(), secs(Some(row.secs)), row.promotions.to_string()]);
    table(&["waited for", "in all", "promotions"], rows)
}

fn refusals(reply: &MetricsReply) -> String {
    let counts = reply.refusals;
    let ended = [
        ("denied", counts.denied),
        ("rejected", counts.rejected),
        ("withdrawn", counts.withdrawn),
        ("expired", counts.expired),
        ("superseded", counts.superseded),
    ];
    let ended = ended.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]);
    let reasons = reply.reasons.iter().map(|row| vec![format!("  {}", row.code), row.promotions.to_string()]);
    table(&["not granted at once", "promotions"], ended.chain(reasons))
}

/// A time in the largest unit that keeps it above one.
fn secs(secs: Option<u64>) -> String {
    match secs {
        None => "-".to_owned(),
        Some(secs @ 0..120) => format!("{secs} s"),
        Some(secs @ 120..7_200) => format!("{} min", secs / 60),
        Some(secs @ 7_200..172_800) => format!("{} h", secs / 3_600),
        Some(secs) => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let check = |value: Option<u64>, wanted: &str| assert_eq!(secs(value), wanted);
        check(None, "-");
        check(Some(119), "119 s");
        check(Some(120), "2 min");
        check(Some(7_200), "2 h");
        check(Some(200_000), "2 d");
    }
}
