//! The files of a policy set, line by line: each line has an address, so that a gate leads to where it is written.

use lockgate_api::client::query_value;
use maud::{Markup, html};

use crate::wording::visible;

/// One file.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its path, relative to the policy set's directory.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The files of the active policy set.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Every file with how many lines it has, in order of path.
    pub names: Vec<(String, usize)>,
    /// Those that are shown.
    pub shown: Vec<SourceFile>,
}

/// The id of a line: `gates-x-12` for line 12 of `gates/x.toml`.
pub fn anchor(file: &str, line: u64) -> String {
    let path = file.rsplit_once('.').map_or(file, |(path, _)| path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = path.chars().map(plain).collect();
    format!("{name}-{line}")
}

/// The address of a line.
pub fn line_link(file: &str, line: u64) -> String {
    format!("/policy?file={}#{}", query_value(file), anchor(file, line))
}

/// Where something is written, as a link to it.
pub fn place(file: &str, line: u64) -> Markup {
    html! { a href=(line_link(file, line)) { code { (visible(file)) ":" (line) } } }
}

/// The part of the page with the files.
pub fn section(sources: &Sources) -> Markup {
    html! {
        section aria-labelledby="source-title" {
            h2 id="source-title" { "Source" }
            ul {
                @for (path, lines) in &sources.names {
                    li { a href=(line_link(path, 1)) { code { (visible(path)) } } " " span.quiet { (lines) " lines" } }
                }
            }
            @for file in &sources.shown {
                h3 { code { (visible(&file.path)) } }
                ol.source {
                    @for (at, line) in (1_u64..).zip(file.text.lines()) {
                        li id=(anchor(&file.path, at)) { code { (visible(line)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_an_address_and_stays_text() {
        let check = |file: &str, line: u64, expected: &str| assert_eq!(anchor(file, line), expected);
        check("gates/x.toml", 12, "gates-x-12");
        check("policy.toml", 1, "policy-1");
        check("rego/deny_all.rego", 3, "rego-deny_all-3");
        check("\"><script>", 1, "---script--1");
        let long = "A".repeat(1_000_000);
        let text = format!("[[gate]]\n</li><script>alert(1)</script>\u{202e}\u{1b}[2J\n{long}\n");
        let sources = Sources {
            names: vec![("gates/x.toml".to_owned(), 3)],
            shown: vec![SourceFile { path: "gates/x.toml".to_owned(), text }],
        };
        let page = section(&sources).into_string();
        assert!(page.contains(r#"<li id="gates-x-2"><code>&lt;/li&gt;&lt;script&gt;"#), "{}", page.len());
        assert!(page.contains("/policy?file=gates%2Fx.toml#gates-x-1"));
        for bad in ["<script", "\u{202e}", "\u{1b}"] {
            assert!(!page.contains(bad), "{bad}");
        }
    }
}
