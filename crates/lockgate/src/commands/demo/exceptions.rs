//! What the rules let through for a while, and what stops everything at once: a waiver with its end, and a freeze.

use lockgate_api::Exit;
use lockgate_model::Span;
use serde::Deserialize;

use super::{SERVICE, Story, failed};
use crate::failure::Failure;

/// What the scan of 1.1.0 found.
const FINDING: &str = "CVE-2099-10001";
/// How long the end of a waiver may be late.
const PATIENCE: Span = Span::from_secs(600);
/// How long to wait between two looks.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// A row of `waive list`, as far as the story needs it.
#[derive(Deserialize)]
struct WaiverRow {
    request: Option<u64>,
    state: String,
}

/// A row of `freeze list`, as far as the story needs it.
#[derive(Deserialize)]
struct FreezeRow {
    freeze: u64,
}

impl Story<'_> {
    /// Lets 1.1.0 past its finding, by a waiver of so many seconds; gives the entry that asked for it.
    pub(super) fn waive_for_a_moment(&self, secs: u64) -> Result<u64, Failure> {
        let lasts = Span::from_secs(secs).to_string();
        let own = self.ask_to_waive("sam asks for a waiver of that one finding,", "sam", &lasts)?;
        self.step(
            "and may not grant himself what he asked for.",
            &["waive", "grant", &own.to_string(), "--as", "sam", "--yes"],
            Exit::Denied,
            "SOD_SELF",
        )?;
        let told = format!("dana asks for it: one finding of one gate, for one release. It lasts {secs} seconds.");
        let asked = self.ask_to_waive(&told, "dana", &lasts)?;
        self.step(
            "sam grants it. Both have signed the same document.",
            &["waive", "grant", &asked.to_string(), "--as", "sam", "--yes"],
            Exit::Done,
            "is waived until",
        )?;
        let promotion = self.open_promotion("1.1.0")?;
        self.step(
            "All other gates still count, so that it takes an approval, too.",
            &["approve", &promotion, "--as", "sam", "--yes"],
            Exit::Done,
            "granted",
        )?;
        Ok(asked)
    }

    fn ask_to_waive(&self, told: &str, who: &str, lasts: &str) -> Result<u64, Failure> {
        let release = format!("{SERVICE}@1.1.0");
        let start =
            ["waive", "request", "--gate", "vulnerabilities", "--finding", FINDING, "--release", release.as_str()];
        let more = ["--env", "production", "--reason", "the parser is never called", "--for", lasts, "--as", who];
        self.step(told, &[&start[..], &more[..]].concat(), Exit::Done, "asks to waive")?;
        let rows: Vec<WaiverRow> = self.json(&["waive", "list"])?;
        rows.first().and_then(|row| row.request).ok_or_else(|| failed("nothing asks for a waiver"))
    }

    /// Waits until the waiver is over, and tries to go back to what it let in.
    pub(super) fn outlive_the_waiver(&self, asked: u64) -> Result<(), Failure> {
        let deadline = self.world.now().plus(PATIENCE);
        while !self.is_over(asked)? {
            if self.world.now() > deadline {
                return Err(failed("the waiver did not end in time"));
            }
            std::thread::park_timeout(LOOK);
        }
        self.step(
            "Meanwhile the waiver has ended by itself, at the time that was signed. Nobody had to remember it.",
            &["waive", "list", "--all"],
            Exit::Done,
            "over",
        )?;
        self.step(
            "There is no way back to 1.1.0: the same gate objects again.",
            &["rollback", "lockgate/cli@1.1.0", "--to", "production", "--reason", "the new page is slow"],
            Exit::Denied,
            "VULNERABILITIES_FOUND",
        )
    }

    fn is_over(&self, asked: u64) -> Result<bool, Failure> {
        let rows: Vec<WaiverRow> = self.json(&["waive", "list", "--all"])?;
        Ok(rows.iter().any(|row| row.request == Some(asked) && row.state == "over"))
    }

    /// Freezes production and lifts that; gives a promotion that nobody has approved, and that somebody would like to
    /// see granted.
    pub(super) fn freeze_production(&self) -> Result<String, Failure> {
        self.step(
            "An incident. sam stops production, also for what was granted already.",
            &["freeze", "--env", "production", "--reason", "incident 7", "--as", "sam", "--yes"],
            Exit::Done,
            "FROZEN",
        )?;
        self.step(
            "What could be deployed a moment ago can not.",
            &["verify", "lockgate", "--service", SERVICE, "--env", "production"],
            Exit::Denied,
            "FROZEN",
        )?;
        self.step(
            "dana asks for 1.2.0 again, and is denied.",
            &["promote", "lockgate/cli@1.2.0", "--to", "production", "--reason", "it was not the cause"],
            Exit::Denied,
            "FROZEN",
        )?;
        let frozen: Vec<FreezeRow> = self.json(&["freeze", "list"])?;
        let entry = frozen.first().ok_or_else(|| failed("nothing is frozen"))?.freeze.to_string();
        self.step(
            "The incident is over.",
            &["unfreeze", &entry, "--reason", "found and mended", "--yes", "--as", "sam"],
            Exit::Done,
            "is lifted",
        )?;
        self.step(
            "What was granted may be deployed again,",
            &["verify", "lockgate", "--service", SERVICE, "--env", "production"],
            Exit::Done,
            "VERIFIED",
        )?;
        let promotion = self.open_promotion("1.2.0")?;
        self.step(
            "and what dana asked for was decided again by itself: it waits for somebody to agree.",
            &["why", &promotion],
            Exit::Pending,
            "QUORUM_NOT_MET",
        )?;
        Ok(promotion)
    }
}
