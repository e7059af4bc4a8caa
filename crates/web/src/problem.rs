//! A refusal, as a page.

use lockgate_api::Problem;
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
                    h1 { "That is not here" }
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
