//! The story: what is asked of the server in each play, as commands that its people would give.

/// One command of the story.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The command; `@x` stands for the entry of the newest event `x`, and `@key` for the fingerprint of the extra key.
    pub arguments: &'static [&'static str],
    /// How it ends when it was acknowledged.
    pub exit: i32,
    /// The event that it leaves in the ledger.
    pub event: &'static str,
    /// How often.
    pub count: usize,
}

const fn step(arguments: &'static [&'static str], exit: i32, event: &'static str, count: usize) -> Step {
    Step { arguments, exit, event, count }
}

/// Every command, in order. `P-1` is the promotion that was asked for over HTTP before.
pub const STEPS: &[Step] = &[
    step(
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
    ),
    step(&["promote", "shop/web@1.0.0", "--to", "production", "--reason", "the first"], 3, "promotion.requested", 3),
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
