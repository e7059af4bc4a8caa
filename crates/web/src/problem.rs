//! A refusal, as a page.

use lockgate_api::{Problem, ProblemKind};
use maud::{DOCTYPE, html};

use crate::wording::visible;

/// The page for a refusal: what, by which reason code, and what to do next.
pub fn page(problem: &Problem) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (problem.code) " · Lockgate" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/page.css";
            }
            body {
                main {
                    h1 { (title(problem.kind)) }
                    div.problem {
                        p { strong { "Refused" } " " code { (problem.code) } }
                        p { (visible(&problem.detail)) }
                        @if let Some(hint) = &problem.hint { p { (visible(hint)) } }
                    }
                    p.quiet { code { "lockgate explain " (problem.code) } " says more. " a href="/" { "To the pipeline" } }
                }
            }
        }
    };
    page.into_string()
}

/// What is missing: a thing, or the right to it.
fn title(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::NotPermitted => "That is not open to you",
        _ => "That is not here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_what_is_not_there_from_what_is_not_permitted() {
        let check = |kind: ProblemKind, wanted: &str| {
            let text = page(&Problem::new(kind, "CODE", "<script>\u{202e}", None));
            assert!(text.contains(&format!("<h1>{wanted}</h1>")), "{text}");
            assert!(!text.contains("<script>") && !text.contains('\u{202e}'), "{text}");
        };
        check(ProblemKind::NotFound, "That is not here");
        check(ProblemKind::NotPermitted, "That is not open to you");
    }
}
