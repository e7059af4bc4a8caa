//! The rules change: a stricter policy set, tested, compared and judged on the whole history before it is active.

use lockgate_api::Exit;

use super::Story;
use crate::failure::Failure;
use crate::home::write_file;

/// The gate that is added.
const SOAK_GATE: &str = r#"[[gate]]
name = "soaked"
kind = "certified"
environments = ["production"]
description = "It has run in staging for an hour"
soak = "1h"
controls = ["SOC2 CC8.1"]
"#;

/// Its test, in which it objects; the tests that stand there already see it pass.
const SOAK_TEST: &str = r#"[[test]]
name = "five minutes in staging are not enough"
environment = "production"
expect = "pending"
gates = { soaked = "pending", certified = "pass", approvals = "pass" }
requester = "dana"
approvals = ["sam"]
people = { dana = ["developers"], sam = ["approvers"] }
certified = { staging = "5m" }
tests = { passed = 12 }
sbom = { components = 6 }
vulnerabilities = {}
"#;

impl Story<'_> {
    /// A policy set is written, tested, compared, judged and made the active one.
    pub(super) fn change_the_rules(&self) -> Result<(), Failure> {
        self.step(
            "Everything went up much too fast. These sets of rules come along, to begin with:",
            &["init", "--list"],
            Exit::Done,
            "regulated",
        )?;
        self.step("dana takes the one that is in force,", &["init", "rules"], Exit::Done, "files of the `starter`")?;
        let dir = self.dir.join("rules");
        write_file(&dir.join("gates").join("soaked.toml"), SOAK_GATE.as_bytes(), 0o644)?;
        write_file(&dir.join("tests").join("soaked.toml"), SOAK_TEST.as_bytes(), 0o644)?;
        let is_told = |line: &str| line.contains("soaked") || line.contains("0 failed") || line.contains("% of");
        self.brief_step(
            "and adds a gate, rules/gates/soaked.toml, with a test: an hour in staging.",
            &["policy", "test", "rules"],
            "0 failed",
            is_told,
        )?;
        self.step("It changes this:", &["policy", "diff", "active", "rules"], Exit::Done, "soaked")?;
        self.step(
            "And this is what it would have changed, on every decision that was ever made here:",
            &["policy", "backtest", "rules", "--report", "backtest.json"],
            Exit::Done,
            "allow -> pending",
        )?;
        self.step(
            "That is what is wanted. sam signs the set together with that report.",
            &[
                "policy",
                "activate",
                "rules",
                "--reason",
                "let it rest in staging",
                "--backtest",
                "backtest.json",
                "--yes",
                "--as",
                "sam",
            ],
            Exit::Done,
            "is active",
        )
    }

    /// Which releases hold a package and a vulnerability, and where they run.
    pub(super) fn find_what_runs(&self) -> Result<(), Failure> {
        self.step(
            "Where does this package run? The SBOMs say so.",
            &["where", "pkg:cargo/serde"],
            Exit::Done,
            "production since",
        )?;
        self.step(
            "And that vulnerability? It is in 1.1.0, which runs nowhere any more.",
            &["where", "cve:CVE-2099-10001"],
            Exit::Done,
            "lockgate/cli@1.1.0",
        )
    }
}
