//! The stories: what is asked of the server in each play, as commands that its people would give.
//!
//! The first one passes every place. The second one is about people, keys, pipelines and emergencies: it is played only to
//! let the commit of each of its events fail, so that it does not make every other play longer.

/// What is asked in one play.
#[derive(Debug)]
pub struct Story {
    /// Whether it begins with an upload, a release, a report and a promotion over HTTP.
    pub over_http: bool,
    /// Its commands, in order.
    pub steps: &'static [Step],
}

/// What the server does every day.
pub static DAYS: Story = Story { over_http: true, steps: DAILY };
/// What is rare: who may do what, and what is done in an emergency.
pub static RARE: Story = Story { over_http: false, steps: GOVERNING };

/// What the part over HTTP leaves in the ledger.
const OVER_HTTP: [&str; 3] = ["release.published", "evidence.recorded", "promotion.requested"];

impl Story {
    /// The events that it asks for, each once.
    pub fn events(&self) -> Vec<&'static str> {
        let mut events = if self.over_http { OVER_HTTP.to_vec() } else { Vec::new() };
        for step in self.steps.iter().filter(|step| step.count > 0) {
            if !events.contains(&step.event) {
                events.push(step.event);
            }
        }
        events
    }
}

/// One command of the story.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The command; `@x` stands for the entry of the newest event `x`, and `@key` for the fingerprint of the extra key.
    pub arguments: &'static [&'static str],
    /// How it ends when it was acknowledged.
    pub exit: i32,
    /// The event that it leaves in the ledger.
    pub event: &'static str,
    /// How often; never where it only writes a file.
    pub count: usize,
}

const fn step(arguments: &'static [&'static str], exit: i32, event: &'static str, count: usize) -> Step {
    Step { arguments, exit, event, count }
}

/// A release with a finding that stops it.
const PUSH: Step = step(
    &[
        "push",
        "app-1.0.0",
        "--service",
        "shop/web",
        "--version",
        "1.0.0",
        "--tests",
        "junit.xml",
        "--sbom",
        "sbom.cdx.json",
        "--scan",
        "trivy-critical.json",
    ],
    0,
    "release.published",
    1,
);
/// Is asked for all the same: what is waived, or broken through, is this promotion.
const PROMOTE: Step =
    step(&["promote", "shop/web@1.0.0", "--to", "production", "--reason", "the first"], 3, "promotion.requested", 3);

/// `P-1` is the promotion that was asked for over HTTP before.
const DAILY: &[Step] = &[
    PUSH,
    PROMOTE,
    step(
        &[
            "waive",
            "request",
            "--gate",
            "vulnerabilities",
            "--finding",
            "CVE-2099-10001",
            "--release",
            "shop/web@1.0.0",
            "--env",
            "production",
            "--reason",
            "never called",
            "--for",
            "7d",
            "--as",
            "dana",
        ],
        0,
        "waiver.requested",
        1,
    ),
    step(&["waive", "grant", "@waiver.requested", "--as", "sam", "--yes"], 0, "waiver.granted", 1),
    step(&["approve", "P-4", "--as", "sam", "--yes"], 0, "approval.recorded", 1),
    step(&["freeze", "--env", "production", "--reason", "an incident", "--yes", "--as", "sam"], 0, "freeze.ordered", 1),
    step(&["unfreeze", "@freeze.ordered", "--reason", "it is over", "--yes", "--as", "sam"], 0, "freeze.lifted", 1),
    step(&["feed", "update", "--kind", "kev", "--file", "kev.json", "--as", "sam"], 0, "feed.recorded", 1),
    step(&["key", "add", "sam", "--key", "extra.key", "--as", "sam"], 0, "key.added", 1),
    step(
        &["key", "retire", "sam", "--fingerprint", "@key", "--reason", "done", "--yes", "--as", "sam"],
        0,
        "key.revoked",
        1,
    ),
    step(
        &[
            "push",
            "app-1.1.0",
            "--service",
            "shop/web",
            "--version",
            "1.1.0",
            "--tests",
            "junit.xml",
            "--sbom",
            "sbom.cdx.json",
            "--scan",
            "trivy.json",
        ],
        0,
        "release.published",
        1,
    ),
    step(&["promote", "shop/web@1.1.0", "--to", "production", "--reason", "the second"], 5, "promotion.requested", 3),
    step(&["reject", "P-7", "--as", "sam", "--yes"], 0, "approval.recorded", 1),
    step(
        &[
            "push",
            "app-1.2.0",
            "--service",
            "shop/web",
            "--version",
            "1.2.0",
            "--tests",
            "junit.xml",
            "--sbom",
            "sbom.cdx.json",
            "--scan",
            "trivy.json",
        ],
        0,
        "release.published",
        1,
    ),
    // It stays open, so that the scheduler has something to decide again.
    step(&["promote", "shop/web@1.2.0", "--to", "production", "--reason", "the third"], 5, "promotion.requested", 3),
    step(
        &["policy", "activate", "second", "--reason", "shorter waits", "--yes", "--as", "sam"],
        0,
        "policy.activated",
        1,
    ),
];

const GOVERNING: &[Step] = &[
    step(&["invite", "eve.json", "--yes", "--as", "sam"], 0, "person.enrolled", 1),
    step(&["invite", "ada.json", "--yes", "--as", "sam"], 0, "person.enrolled", 1),
    step(
        &[
            "ci",
            "trust",
            "add",
            "github",
            "--owner-id",
            "123",
            "--repository-id",
            "456",
            "--service",
            "shop/web",
            "--machine",
            "web-ci",
            "--yes",
            "--as",
            "sam",
        ],
        0,
        "ci.trusted",
        1,
    ),
    step(&["ci", "trust", "remove", "@ci.trusted", "--reason", "moved", "--as", "sam"], 0, "ci.untrusted", 1),
    step(
        &["delegate", "add", "dana", "--reason", "away", "--for", "2d", "--yes", "--as", "sam"],
        0,
        "delegation.granted",
        1,
    ),
    step(&["delegate", "end", "@delegation.granted", "--reason", "back", "--as", "sam"], 0, "delegation.ended", 1),
    step(&["access", "review", "--sign", "--yes", "--as", "sam"], 0, "access.reviewed", 1),
    PUSH,
    PROMOTE,
    step(
        &[
            "waive",
            "request",
            "--gate",
            "vulnerabilities",
            "--finding",
            "CVE-2099-10001",
            "--release",
            "shop/web@1.0.0",
            "--env",
            "production",
            "--reason",
            "maybe",
            "--for",
            "7d",
            "--as",
            "dana",
        ],
        0,
        "waiver.requested",
        1,
    ),
    step(&["waive", "revoke", "@waiver.requested", "--reason", "no", "--as", "sam"], 0, "waiver.revoked", 1),
    step(
        &[
            "break-glass",
            "shop/web@1.0.0",
            "production",
            "--reason",
            "payments are down",
            "--ticket",
            "INC-7",
            "--yes",
            "--as",
            "sam",
        ],
        5,
        "break-glass.opened",
        1,
    ),
    step(&["break-glass", "sign", "@break-glass.opened", "--yes", "--as", "eve"], 0, "break-glass.signed", 1),
    step(
        &[
            "break-glass",
            "review",
            "@break-glass.opened",
            "--finding",
            "a waiver would have done",
            "--yes",
            "--as",
            "ada",
        ],
        0,
        "break-glass.reviewed",
        1,
    ),
    step(&["invite", "kim.json", "--yes", "--as", "sam"], 0, "person.enrolled", 1),
    // With a second owner, what governs takes both.
    step(&["policy", "activate", "second", "--reason", "shorter", "--yes", "--as", "sam"], 5, "change.proposed", 1),
    step(&["change", "reject", "C-1", "--reason", "too short", "--as", "kim"], 0, "change.rejected", 1),
    step(&["key", "suspend", "dana", "--reason", "left", "--yes", "--as", "sam"], 5, "change.proposed", 1),
    step(&["change", "sign", "C-2", "--yes", "--as", "kim"], 0, "person.suspended", 1),
    step(&["key", "reinstate", "dana", "--reason", "back", "--yes", "--as", "kim"], 5, "change.proposed", 1),
    step(&["change", "sign", "C-3", "--yes", "--as", "sam"], 0, "person.reinstated", 1),
    step(&["key", "rotate", "--key", "kim2.key", "--as", "kim"], 0, "key.rotated", 1),
    step(&["key", "recover", "kim", "--key", "kim3.key", "--reason", "lost", "--file", "recovery.json"], 0, "", 0),
    step(&["invite", "recovery.json", "--yes", "--as", "sam"], 0, "key.recovered", 1),
    step(&["drill", "--only", "document-edited", "--record", "--as", "sam"], 0, "drill.recorded", 1),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workspace;

    /// Written with another event of the list, in the same commit.
    const BESIDE: [&str; 5] =
        ["attestations.issued", "change.signed", "decision.recorded", "grant.issued", "promotion.closed"];
    /// Written before any play, by the first start and by whoever sets the stage.
    const BEFORE: [&str; 1] = ["ledger.created"];
    /// Not told: no play takes an approval back, and accounts are bound through a browser and an identity provider.
    const UNTOLD: [&str; 3] = ["approval.withdrawn", "identity.bound", "identity.unbound"];

    /// Every event that a ledger can hold, as its source names them.
    fn known() -> BTreeSet<String> {
        let source = std::fs::read_to_string(workspace::root().join("crates/ledger/src/entry.rs")).unwrap();
        let (_, names) = source.split_once("pub fn name(&self) -> &'static str {").unwrap();
        let (names, _) = names.split_once("\n    }\n").unwrap();
        let quoted = names.lines().filter_map(|line| line.split_once("=> \"")?.1.split_once('"'));
        quoted.map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn every_event_is_told_or_it_is_said_why_not() {
        let told: Vec<&str> = [DAYS.events(), RARE.events()].concat();
        let all = told.into_iter().chain(BESIDE).chain(BEFORE).chain(UNTOLD);
        assert_eq!(all.map(ToOwned::to_owned).collect::<BTreeSet<_>>(), known());
        assert!(known().len() > 30);
    }
}
