//! Why: every gate of a promotion.

use lockgate_api::Exit;
use lockgate_api::wire::{ApprovalRow, GateRow, PromotionReply, RunningCell};
use lockgate_model::facts::Verdict;
use lockgate_model::text::visible;
use lockgate_model::{Digest, PromotionId};

use crate::cli;
use crate::failure::Outcome;
use crate::terminal::printable;
use crate::world::World;

/// How many gates that only warn are named.
const WARNED_LISTED: usize = 5;

/// `lockgate why`.
///
/// # Errors
/// `PROMOTION_UNKNOWN`. The exit code tells how the promotion stands.
pub fn why(world: &World, options: &cli::Why) -> Outcome {
    let client = world.signed_in()?;
    let reply: PromotionReply = client.get(&format!("/v1/promotions/{}", options.promotion))?;
    world.terminal.show(&reply, || explained(&reply))?;
    Ok(exit_of(&reply))
}

/// How what a promotion is told to be ends a command: an open one by how the decision would come out now.
pub fn exit_of(reply: &PromotionReply) -> Exit {
    match (reply.status.as_str(), reply.outcome.as_str()) {
        ("pending" | "denied", "deny") => Exit::Denied,
        // Allowed now, and granted as soon as it is decided again.
        ("pending" | "denied", _) => Exit::Pending,
        (status, _) => outcome_exit(status),
    }
}

/// How a promotion's status ends a command.
pub fn outcome_exit(status: &str) -> Exit {
    match status {
        "granted" => Exit::Done,
        "pending" => Exit::Pending,
        _ => Exit::Denied,
    }
}

fn explained(reply: &PromotionReply) -> String {
    let mut text = format!("{}  {} into {}: {}\n", reply.promotion, reply.release, reply.environment, reply.status);
    // Every value is one line: what somebody wrote as a reason looks like no other field.
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<11} {}\n", visible(&value)));
    line("asked by", format!("{} at {}: {}", reply.requester, reply.requested_at, reply.reason));
    for (name, value) in place(reply) {
        line(name, value);
    }
    for artifact in &reply.artifacts {
        line("artifact", format!("{} {}", artifact.digest, artifact.name));
    }
    line("policy", reply.policy.to_string());
    match reply.decision_index {
        Some(index) => line("decision", format!("{} at entry {index}, {}", reply.outcome, reply.decided_at)),
        None => line("decision", format!("{} as of now, {}; not recorded", reply.outcome, reply.decided_at)),
    }
    // Of an open promotion the gates are those of this moment, while the entry is of another.
    if reply.decision_index.is_some() && matches!(reply.status.as_str(), "pending" | "denied") {
        line("evaluated", "again just now, with the same outcome; that is not recorded".to_owned());
    }
    for used in &reply.feeds {
        line("feed", format!("{} of {}, {}", used.feed, used.date, used.digest));
    }
    if let Some(warned) = warned(&reply.gates) {
        line("warns", warned);
    }
    if let Some(until) = reply.granted_until {
        line("granted", format!("until {until}"));
    }
    if let Some(closed) = &reply.closed {
        line("ended", ended(reply, closed));
    }
    for approval in &reply.approvals {
        let verb = if approval.verdict == Verdict::Approve { "approved" } else { "rejected" };
        line(verb, format!("by {} with {} at entry {}", approval.person, approval.key, approval.index));
        line("", review_text(approval));
        if let Some(comment) = &approval.comment {
            line("", format!("saying: {comment}"));
        }
        if let Some(count) = approval.rubber_stamp {
            line("", format!("RUBBER STAMP: one of {count} approvals that {} gave within seconds", approval.person));
        }
    }
    for suspect in &reply.suspects {
        line("suspect", format!("entry {}, since entry {}: {}", suspect.index, suspect.since, suspect.why));
    }
    for gate in &reply.gates {
        text.push('\n');
        text.push_str(&gate_text(gate, &reply.outcome));
    }
    text
}

/// What it replaces, what it replaced, or what has replaced it; what runs now where it never ran.
fn place(reply: &PromotionReply) -> Vec<(&'static str, String)> {
    let is_open = matches!(reply.status.as_str(), "pending" | "denied");
    let other = |running: &RunningCell| format!("{} ({}) since {}", running.release, running.promotion, running.since);
    let mut lines = Vec::new();
    match &reply.running {
        Some(running) if running.promotion == reply.promotion => {
            lines.push(("runs", format!("since {}", running.since)))
        }
        Some(running) if is_open => lines.push(("replaces", format!("{} since {}", running.release, running.since))),
        None if is_open => lines.push(("replaces", "nothing".to_owned())),
        Some(running) if reply.status == "granted" => lines.push(("replaced by", other(running))),
        Some(running) => lines.push(("runs there", other(running))),
        None => {}
    }
    // What a granted promotion replaced does not run any more.
    lines.extend(reply.replaced.as_ref().map(|replaced| ("replaced", other(replaced))));
    lines
}

/// How it ended without a grant. Of a rejection the ledger keeps the comment as the reason, which alone reads as if it had
/// happened by itself.
fn ended(reply: &PromotionReply, closed: &str) -> String {
    let by = reply.approvals.iter().rfind(|row| row.verdict == Verdict::Reject && !row.withdrawn);
    match by.filter(|_| reply.status == "rejected") {
        None => closed.to_owned(),
        Some(row) => match &row.comment {
            None => format!("rejected by {}", row.person),
            Some(comment) => format!("rejected by {}: {comment}", row.person),
        },
    }
}

/// How the approver looked at it, in one line.
fn review_text(approval: &ApprovalRow) -> String {
    let opened = match approval.evidence_listed {
        0 => "there was no evidence to open".to_owned(),
        1 => format!("{} of 1 piece of evidence opened", approval.evidence_opened),
        listed => format!("{} of {listed} pieces of evidence opened", approval.evidence_opened),
    };
    let reviewed = match approval.review_seconds {
        Some(seconds) => format!("reviewed for {seconds} s"),
        None => "does not say for how long it was reviewed".to_owned(),
    };
    match approval.withdrawn {
        true => format!("withdrawn; {reviewed}, {opened}"),
        false => format!("{reviewed}, {opened}"),
    }
}

/// One gate of a promotion that comes out as `outcome`.
fn gate_text(gate: &GateRow, outcome: &str) -> String {
    let mark = match gate.outcome.as_str() {
        "pass" => "+",
        "fail" => "x",
        "waived" => "~",
        "overridden" => "!",
        _ => ".",
    };
    let head = format!("{} {} ({}:{})", gate.outcome, gate.gate, gate.file, gate.line);
    let mut text = format!("{mark} {}\n", visible(&head));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("    {name:<9} {}\n", value.replace('\n', "\n              ")));
        }
    };
    line("needed", &visible(&gate.needed));
    line("found", &visible(&gate.found));
    line("evidence", &gate.evidence.iter().map(Digest::to_string).collect::<Vec<_>>().join("\n"));
    if !matches!(gate.outcome.as_str(), "pass") {
        line("reason", &visible(&gate.reason));
        line("who", &visible(&gate.who));
        // An approval lets nothing in that another gate keeps out.
        let comes_first = outcome == "deny" && gate.outcome == "pending" && gate.kind == "approvals";
        // Two ways are two lines, and never as far left as a field.
        line("do", &if comes_first { "first what the failed gates say".to_owned() } else { printable(&gate.fix) });
    }
    text
}

/// Which gates would block if they did not only warn; `None` where none would.
fn warned(gates: &[GateRow]) -> Option<String> {
    let names: Vec<&str> = gates.iter().filter(|gate| gate.outcome == "warn").map(|gate| gate.gate.as_str()).collect();
    let listed: Vec<&str> = names.iter().copied().take(WARNED_LISTED).collect();
    let more = match names.len().saturating_sub(WARNED_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.len() {
        0 => None,
        1 => Some(format!("1 gate would block, and only warns: {}", listed.join(", "))),
        number => Some(format!("{number} gates would block, and only warn: {}{more}", listed.join(", "))),
    }
}

/// The gates that keep a promotion from its environment, in short, and how many only warn.
pub fn blocking(reply: &PromotionReply) -> String {
    let blocked = reply.gates.iter().filter(|gate| matches!(gate.outcome.as_str(), "fail" | "pending"));
    let mut text: String = blocked.map(|gate| gate_text(gate, &reply.outcome)).collect();
    if let Some(warned) = warned(&reply.gates) {
        text.push_str(&format!("  warns      {}\n", visible(&warned)));
    }
    if !text.is_empty() {
        text.push_str(&format!("  more       lockgate why {}\n", reply.promotion));
    }
    text
}

/// Which gates still object or wait after an approval, in a line each, and where the whole of it is.
pub fn standing(reply: &PromotionReply) -> String {
    let of = |outcome: &str| -> Vec<String> {
        let gates = reply.gates.iter().filter(|gate| gate.outcome == outcome);
        gates.map(|gate| visible(&format!("{} ({})", gate.gate, gate.reason))).collect()
    };
    let mut text = String::new();
    for (name, gates) in [("denied by", of("fail")), ("waits for", of("pending"))] {
        if !gates.is_empty() {
            text.push_str(&format!("  {name:<10} {}\n", gates.join(", ")));
        }
    }
    text.push_str(&next(reply.promotion));
    text
}

/// Where a promotion that is not granted is explained.
pub fn next(promotion: PromotionId) -> String {
    format!("  next       lockgate why {promotion}\n")
}

#[cfg(test)]
mod tests {
    use lockgate_model::UnixMillis;
    use serde_json::json;

    use super::*;

    fn reply(status: &str, index: Option<u64>, gates: &[(&str, &str)]) -> PromotionReply {
        let gate = |(name, outcome): &(&str, &str)| {
            json!({
                "gate": name, "kind": "tests", "outcome": outcome, "reason": "X", "file": "gates/a.toml", "line": 3,
                "needed": "n", "found": "f", "evidence": [], "who": "", "fix": "",
            })
        };
        let mut reply = json!({
            "promotion": "P-3", "release": "shop/web@1.0.0", "manifest": Digest::of(b"m"), "artifacts": [],
            "environment": "production", "kind": "promotion", "requester": "dana", "reason": "r", "requested_at": 0,
            "expires_at": 1, "status": status, "outcome": "deny", "policy": Digest::of(b"p"), "decided_at": 0,
            "gates": gates.iter().map(gate).collect::<Vec<_>>(), "approvals": [],
        });
        if let Some(index) = index {
            reply["decision_index"] = json!(index);
        }
        serde_json::from_value(reply).unwrap()
    }

    #[test]
    fn what_was_looked_at_again_is_told_apart_from_what_is_recorded() {
        let check = |status: &str, index: Option<u64>, wanted: &[&str]| {
            let text = explained(&reply(status, index, &[]));
            let told = |line: &&str| ["  decision ", "  evaluated "].iter().any(|name| line.starts_with(*name));
            let lines: Vec<&str> = text.lines().filter(told).collect();
            assert_eq!(lines, wanted, "{text}");
        };
        let recorded = "  decision    deny at entry 276, 1970-01-01T00:00:00Z";
        let again = "  evaluated   again just now, with the same outcome; that is not recorded";
        check("denied", Some(276), &[recorded, again]);
        check("granted", Some(276), &[recorded]);
        check("denied", None, &["  decision    deny as of now, 1970-01-01T00:00:00Z; not recorded"]);
    }

    #[test]
    fn what_runs_there_is_said_as_what_it_is_to_the_promotion() {
        let cell = |promotion: &str, version: &str| RunningCell {
            release: format!("shop/web@{version}").parse().unwrap(),
            since: UnixMillis(0),
            promotion: promotion.parse().unwrap(),
        };
        let (before, own, later) = (cell("P-2", "0.9.0"), cell("P-3", "1.0.0"), cell("P-6", "1.4.3"));
        let check = |status: &str, running: Option<&RunningCell>, replaced: Option<&RunningCell>, wanted: &[&str]| {
            let base = reply(status, Some(276), &[]);
            let reply = PromotionReply { running: running.cloned(), replaced: replaced.cloned(), ..base };
            let text = explained(&reply);
            let told = |line: &&str| ["  runs", "  replace"].iter().any(|name| line.starts_with(*name));
            assert_eq!(text.lines().filter(told).collect::<Vec<_>>(), wanted, "{status}");
        };
        let time = "1970-01-01T00:00:00Z";
        let replaced = format!("  replaced    shop/web@0.9.0 (P-2) since {time}");
        let by = format!("  replaced by shop/web@1.4.3 (P-6) since {time}");
        check("pending", None, None, &["  replaces    nothing"]);
        check("denied", Some(&before), None, &[&format!("  replaces    shop/web@0.9.0 since {time}")]);
        check("granted", Some(&own), None, &[&format!("  runs        since {time}")]);
        check("granted", Some(&own), Some(&before), &[&format!("  runs        since {time}"), &replaced]);
        check("granted", Some(&later), Some(&before), &[&by, &replaced]);
        check("rejected", Some(&later), None, &[&format!("  runs there  shop/web@1.4.3 (P-6) since {time}")]);
        check("rejected", None, None, &[]);
    }

    #[test]
    fn an_approval_is_asked_for_where_nothing_else_objects() {
        let check = |outcome: &str, wanted: &str| {
            let mut reply = reply("denied", None, &[("tests", "fail"), ("people", "pending")]);
            reply.outcome = outcome.to_owned();
            for gate in &mut reply.gates {
                if gate.gate == "people" {
                    (gate.kind, gate.fix) = ("approvals".to_owned(), "lockgate approve P-3".to_owned());
                }
            }
            for text in [explained(&reply), blocking(&reply)] {
                let told: Vec<&str> = text.lines().filter(|line| line.starts_with("    do ")).collect();
                assert_eq!(told, [format!("    do        {wanted}")], "{text}");
            }
        };
        check("pending", "lockgate approve P-3");
        check("deny", "first what the failed gates say");
    }

    #[test]
    fn gates_that_object_or_wait_are_named() {
        let gates = [("a", "fail"), ("b", "pending"), ("c", "pass"), ("d", "fail"), ("e", "warn")];
        let wanted = "  denied by  a (X), d (X)\n  waits for  b (X)\n  next       lockgate why P-3\n";
        assert_eq!(standing(&reply("denied", None, &gates)), wanted);
        assert_eq!(standing(&reply("pending", None, &[("c", "pass")])), "  next       lockgate why P-3\n");
    }

    #[test]
    fn gates_that_only_warn_are_counted() {
        let check = |outcomes: &[&str], expected: Option<&str>| {
            let gate = |(at, outcome): (usize, &&str)| GateRow {
                gate: format!("g{at}"),
                kind: "tests".to_owned(),
                outcome: (*outcome).to_owned(),
                reason: "TESTS_MISSING".to_owned(),
                file: "gates/a.toml".to_owned(),
                line: 1,
                needed: "tests".to_owned(),
                found: "none".to_owned(),
                evidence: Vec::new(),
                who: String::new(),
                fix: String::new(),
            };
            let gates: Vec<GateRow> = outcomes.iter().enumerate().map(gate).collect();
            assert_eq!(warned(&gates).as_deref(), expected);
        };
        check(&["pass", "fail", "pending", "waived"], None);
        check(&["pass", "warn"], Some("1 gate would block, and only warns: g1"));
        check(&["warn", "fail", "warn"], Some("2 gates would block, and only warn: g0, g2"));
        check(&["warn"; 7], Some("7 gates would block, and only warn: g0, g1, g2, g3, g4 and 2 more"));
    }
}
