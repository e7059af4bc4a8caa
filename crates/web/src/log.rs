//! The log: its newest checkpoint, what this browser saw of it before, and files verified without leaving the browser.

use lockgate_model::UnixMillis;
use maud::{Markup, html};

use crate::wording::{ago, command, visible};

/// What the server knows of its own log.
#[derive(Debug, Clone)]
pub struct LogView {
    /// The ledger's origin.
    pub origin: String,
    /// The log key, as a note verifier key.
    pub log_key: String,
    /// How many entries the newest checkpoint covers.
    pub entries: u64,
    /// The ledger's time at that checkpoint.
    pub time: UnixMillis,
    /// The newest signed checkpoint, verbatim.
    pub checkpoint: String,
    /// How many entries were added in the last 24 hours.
    pub last_day: u64,
    /// How many entries were added in the last seven days.
    pub last_week: u64,
}

/// The page's content. What stands in `data-own` belongs to `log.js`: updates leave it alone.
pub fn content(log: &LogView, now: UnixMillis) -> Markup {
    html! {
        h1 { "Log" }
        p { "Everything that happened here is an entry of one append-only log, which anyone can check." }
        div.columns data-own="log" {
            section aria-labelledby="verify-title" { (verify()) }
            section aria-labelledby="checkpoint-title" {
                h2 id="checkpoint-title" { "Newest checkpoint" }
                div id="log-facts" data-live { (facts(log, now)) }
                h2 { "What this browser saw" }
                p id="seen" role="status" { "Not checked yet: this takes a script." }
                p.quiet {
                    "This browser keeps the last checkpoint that it verified, and demands a proof that the log only grew \
                     since then."
                }
                h2 { "With the command line" }
                (command("cli-audit", "lockgate audit"))
                (command("cli-verify", "lockgate verify FILE --service SERVICE --env ENVIRONMENT --bundle BUNDLE"))
                (command("cli-view", "lockgate bundle view BUNDLE --out viewer.html"))
            }
        }
    }
}

fn facts(log: &LogView, now: UnixMillis) -> Markup {
    html! {
        dl.facts {
            dt { "Ledger" } dd { code { (visible(&log.origin)) } }
            dt { "Size" } dd { (log.entries) " entries" }
            dt { "Signed" } dd { (ago(log.time, now)) ", right after the newest entry" }
            dt { "Witnesses" }
            dd {
                "none: this server asks no witness to cosign. That everybody is shown the same log is known from what "
                "browsers, bundles and audits saw of it before."
            }
            dt { "Growth" } dd { (log.last_day) " in the last 24 hours, " (log.last_week) " in the last 7 days" }
            dt { "Log key" } dd { code { (visible(&log.log_key)) } }
        }
        pre.note { code id="checkpoint" { (lines(&log.checkpoint)) } }
        p {
            button.plain type="button" data-copies="checkpoint" { "Copy" } " "
            a href="/checkpoint" { "As a file" }
        }
    }
}

/// A signed note has lines that mean something; everything else is shown as on other pages.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

fn verify() -> Markup {
    html! {
        h2 id="verify-title" { "Verify a file" }
        p {
            "Choose or drop a bundle, the artifact that it is about, or both. They are hashed and verified in this browser; \
             nothing is uploaded."
        }
        div.drop id="drop" {
            label for="files" { "Bundle, artifact or both" }
            input id="files" type="file" multiple;
            p.quiet { "or drop them here" }
        }
        div.fields {
            p {
                label for="service" { "What it is supposed to be" }
                input id="service" type="text" maxlength="128" placeholder="service; empty for what the bundle says";
            }
            p {
                label for="environment" { "Where it is supposed to run" }
                input id="environment" type="text" maxlength="128" placeholder="environment; empty for what the bundle says";
            }
        }
        h3 { "What to trust" }
        p {
            label for="trust-file" { "Your trust file" }
            input id="trust-file" type="file" accept=".json,application/json";
        }
        p {
            label.choice { input id="remember" type="checkbox"; " remember it in this browser" } " "
            button.plain id="forget" type="button" hidden { "Forget it" }
        }
        p id="trust-state" role="status" {}
        section.verdict id="result" aria-labelledby="verdict" tabindex="-1" hidden {
            h2 id="verdict" {}
            p id="verdict-text" {}
            ul.checks id="checks" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text_and_the_checkpoint_keeps_its_lines() {
        let log = LogView {
            origin: "<script>alert(1)</script>".to_owned(),
            log_key: "log1.example+\u{202e}".to_owned(),
            entries: 3,
            time: UnixMillis(0),
            checkpoint: "log1.example\n3\nroot=\n\n\u{2014} log1.example sig\n".to_owned(),
            last_day: 1,
            last_week: 2,
        };
        let page = content(&log, UnixMillis(60_000)).into_string();
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        assert!(page.contains("log1.example\n3\nroot=\n\n\u{2014} log1.example sig\n"), "{page}");
        assert!(page.contains(">1 min ago</time>, right after") && page.contains("asks no witness"), "{page}");
        assert!(page.contains("1 in the last 24 hours, 2 in the last 7 days"), "{page}");
    }
}
