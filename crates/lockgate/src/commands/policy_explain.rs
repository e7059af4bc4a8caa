//! Policy explain: a promotion as a tree of gates.

use lockgate_api::wire::{GateRow, PromotionReply};
use lockgate_model::{Digest, PromotionId};
use serde_json::{Value, json};

use crate::commands::why::exit_of;
use crate::failure::Outcome;
use crate::terminal::printable;
use crate::world::{World, variable};

/// How wide a terminal is taken to be that does not say so.
const WIDTH: usize = 100;
/// The narrowest column of text.
const TEXT_MIN: usize = 20;

/// The groups of gates, in the order in which they matter: outcome, heading.
const GROUPS: [(&str, &str); 6] = [
    ("fail", "denied by"),
    ("pending", "waits for"),
    ("warn", "only warns"),
    ("overridden", "overridden by break-glass"),
    ("waived", "waived"),
    ("pass", "satisfied"),
];

/// `lockgate policy explain`. The exit code tells how the promotion stands, as with `lockgate why`.
///
/// # Errors
/// `PROMOTION_UNKNOWN`.
pub fn explain(world: &World, promotion: PromotionId, width: Option<u16>) -> Outcome {
    let reply: PromotionReply = world.signed_in()?.get(&format!("/v1/promotions/{promotion}"))?;
    let columns = variable("COLUMNS").and_then(|text| text.parse::<u16>().ok()).filter(|columns| *columns >= 40);
    let width = width.or(columns).map_or(WIDTH, usize::from);
    world.terminal.show(&as_json(&reply), || tree(&reply, width))?;
    Ok(exit_of(&reply))
}

fn in_group<'a>(reply: &'a PromotionReply, outcome: &str) -> Vec<&'a GateRow> {
    reply.gates.iter().filter(|gate| gate.outcome == outcome).collect()
}

fn as_json(reply: &PromotionReply) -> Value {
    let groups = GROUPS.iter().map(|(outcome, heading)| (*outcome, heading, in_group(reply, outcome)));
    let groups: Vec<Value> = groups
        .filter(|(_, _, gates)| !gates.is_empty())
        .map(|(outcome, heading, gates)| json!({ "outcome": outcome, "heading": heading, "gates": gates }))
        .collect();
    json!({
        "promotion": reply.promotion, "release": reply.release, "environment": reply.environment,
        "status": reply.status, "outcome": reply.outcome, "policy": reply.policy,
        "decided_at": reply.decided_at, "decision_index": reply.decision_index, "groups": groups,
    })
}

/// The tree as text, no line of which is wider than `width` where words allow.
fn tree(reply: &PromotionReply, width: usize) -> String {
    let mut text = format!(
        "{}  {} into {}: {}\n{} by the policy set {}\n",
        reply.promotion, reply.release, reply.environment, reply.status, reply.outcome, reply.policy
    );
    let groups: Vec<(&str, Vec<&GateRow>)> = GROUPS
        .iter()
        .map(|(outcome, heading)| (*heading, in_group(reply, outcome)))
        .filter(|(_, gates)| !gates.is_empty())
        .collect();
    for (at, (heading, gates)) in groups.iter().enumerate() {
        let last = at + 1 == groups.len();
        let (branch, below) = limbs(last);
        text.push_str(&format!("{branch}{heading} ({})\n", gates.len()));
        for (at, gate) in gates.iter().enumerate() {
            let (branch, inner) = limbs(at + 1 == gates.len());
            let head = format!("{} [{}] {} {}:{}", gate.gate, gate.kind, gate.reason, gate.file, gate.line);
            text.push_str(&format!("{below}{branch}{}\n", printable(&head)));
            text.push_str(&leaves(gate, &format!("{below}{inner}"), width));
        }
    }
    text
}

/// What stands before a branch, and before what hangs on it.
const fn limbs(last: bool) -> (&'static str, &'static str) {
    match last {
        true => ("└─ ", "   "),
        false => ("├─ ", "│  "),
    }
}

/// What a gate needed and found, with evidence, and, where it is not satisfied, who can do what.
fn leaves(gate: &GateRow, indent: &str, width: usize) -> String {
    let evidence = gate.evidence.iter().map(Digest::to_string).collect::<Vec<_>>().join("\n");
    let fields = [
        ("needed", gate.needed.as_str()),
        ("found", gate.found.as_str()),
        ("evidence", evidence.as_str()),
        ("who", gate.who.as_str()),
        ("do", gate.fix.as_str()),
    ];
    let there: Vec<(&str, &str)> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut text = String::new();
    for (at, (name, value)) in there.iter().enumerate() {
        let (branch, inner) = limbs(at + 1 == there.len());
        let room = width.saturating_sub(indent.chars().count() + 12).max(TEXT_MIN);
        for (row, line) in wrapped(&printable(value), room).iter().enumerate() {
            match row {
                0 => text.push_str(&format!("{indent}{branch}{name:<9}{line}\n")),
                _ => text.push_str(&format!("{indent}{inner}{:<9}{line}\n", "")),
            }
        }
    }
    text
}

/// Breaks a text at spaces into lines of at most `width` characters; a longer word stays whole, so that it can be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let fits = line.chars().count() + 1 + word.chars().count() <= width;
            match (line.is_empty(), fits) {
                (true, _) => line.push_str(word),
                (false, true) => {
                    line.push(' ');
                    line.push_str(word);
                }
                (false, false) => lines.push(std::mem::replace(&mut line, word.to_owned())),
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_long_words_stay_whole() {
        let check = |text: &str, width: usize, expected: &[&str]| {
            assert_eq!(wrapped(text, width), expected, "{text}");
        };
        check("one two three", 7, &["one two", "three"]);
        check("one", 20, &["one"]);
        check("a sha256:0123456789 b", 6, &["a", "sha256:0123456789", "b"]);
        check("one\ntwo", 20, &["one", "two"]);
    }

    #[test]
    fn gates_hang_below_their_group() {
        let gate = |name: &str, outcome: &str| {
            json!({
                "gate": name, "kind": "tests", "outcome": outcome, "reason": "X", "file": "gates/a.toml", "line": 3,
                "needed": "n", "found": "f", "evidence": [], "who": "", "fix": "",
            })
        };
        let reply: PromotionReply = serde_json::from_value(json!({
            "promotion": "P-3", "release": "shop/web@1.0.0", "manifest": Digest::of(b"m"), "artifacts": [],
            "environment": "production", "kind": "promotion", "requester": "dana", "reason": "r", "requested_at": 0,
            "expires_at": 1, "status": "denied", "outcome": "deny", "policy": Digest::of(b"p"), "decided_at": 0,
            "gates": [gate("a", "pass"), gate("b", "fail"), gate("c", "warn")], "approvals": [],
        }))
        .unwrap();
        let text = tree(&reply, 80);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "├─ denied by (1)",
            "│  └─ b [tests] X gates/a.toml:3",
            "│     ├─ needed   n",
            "│     └─ found    f",
            "├─ only warns (1)",
            "│  └─ c [tests] X gates/a.toml:3",
            "│     ├─ needed   n",
            "│     └─ found    f",
            "└─ satisfied (1)",
            "   └─ a [tests] X gates/a.toml:3",
            "      ├─ needed   n",
            "      └─ found    f",
        ];
        assert_eq!(lines, expected, "{text}");
        let shown = as_json(&reply);
        assert_eq!(shown["groups"].as_array().map(Vec::len), Some(3));
    }
}
