//! The offline viewer: one HTML file that holds a bundle, a trust file and the verifier, and needs no network.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::Digest;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const VERIFIER: &str = include_str!("../assets/verifier.js");
const VIEWER: &str = include_str!("../assets/viewer.js");
const STYLE: &str = include_str!("../assets/viewer.css");

/// The page for a bundle and a trust file, both JSON.
///
/// It shows what the bundle says only where the bundle verifies. Its policy allows its own script and nothing else: no
/// request, no frame, no markup out of text.
pub fn page(bundle: &str, trust: &str) -> String {
    let script = format!("{VERIFIER}\n{VIEWER}");
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'",
        hash(&script),
        hash(STYLE)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Lockgate bundle" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (content())
                script type="application/json" id="bundle" { (data(bundle)) }
                script type="application/json" id="trust" { (data(trust)) }
                script type="module" { (PreEscaped(&script)) }
            }
        }
    };
    page.into_string()
}

fn content() -> Markup {
    html! {
        main {
            h1 id="title" { "Lockgate bundle" }
            p id="verdict" role="status" { "Not verified yet: this page needs a browser that runs its script." }
            p id="whose" {}
            p { label for="own" { "Your own trust file " } input id="own" type="file" accept=".json,application/json"; }
            section id="checks-part" hidden { h2 { "Checks" } table id="checks" {} }
            div id="content" hidden {
                section id="about-part" { h2 { "Promotion" } table id="about" {} }
                section id="suspects-part" { h2 { "Suspect" } table id="suspects" {} }
                section id="gates-part" { h2 { "Gates" } table id="gates" {} }
                section id="approvals-part" { h2 { "Approvals" } table id="approvals" {} }
                section id="evidence-part" { h2 { "Evidence" } table id="evidence" {} }
                section id="artifacts-part" { h2 { "Artifacts" } table id="artifacts" {} }
                h2 { "Checkpoint" }
                pre id="note" {}
            }
            h2 { "Trust file" }
            pre id="pinned" {}
            p.quiet {
                "What is checked here, and what is not, stands in the list of checks. "
                code { "lockgate verify" } " checks all of it, and runs the policy set again."
            }
        }
    }
}

/// JSON as it may stand in a script element: `<` only ever stands in its strings, where an escape means the same.
fn data(json: &str) -> PreEscaped<String> {
    PreEscaped(json.replace('<', "\\u003c"))
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Digest::of(text.as_bytes()).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_holds_ends_no_element_and_loads_nothing() {
        let page = page(r#"{"a":"</script><script>alert(1)</script><!--"}"#, "{}");
        assert_eq!(page.matches("<script").count(), 3, "{page}");
        assert_eq!(page.matches("</script>").count(), 3, "{page}");
        assert!(page.contains(r"\u003c/script>\u003cscript>alert(1)"), "{page}");
        for bad in [
            " src=",
            "@import",
            "fetch(",
            "XMLHttpRequest",
            "innerHTML",
            "import(",
            "WebSocket",
            "http-equiv=\"refresh\"",
        ] {
            assert!(!page.contains(bad), "{bad}");
        }
        for text in [VERIFIER, VIEWER, STYLE] {
            assert!(!text.contains("</script") && !text.contains("</style") && !text.contains("<!--"));
        }
    }
}
