//! Pages: files that are the same for everyone; what differs, their scripts fetch.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use lockgate_engine::{Fault, Kind};
use lockgate_ledger::code_words::WORDS;
use lockgate_model::PromotionId;

use crate::call::Call;
use crate::reply;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// What a page may load and do: its own scripts, styles and icon, requests to this server, and nothing else. Text can
/// become markup nowhere (Trusted Types), and no other site can show a page inside its own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";

/// Every file that pages load, beside the word list, which is made from the code.
const ASSETS: &[(&str, &str, &str)] = &[
    ("approve.js", SCRIPT, include_str!("../../assets/approve.js")),
    ("enrol.js", SCRIPT, include_str!("../../assets/enrol.js")),
    ("icon.svg", IMAGE, include_str!("../../assets/icon.svg")),
    ("page.css", STYLE, include_str!("../../assets/page.css")),
    ("page.js", SCRIPT, include_str!("../../assets/page.js")),
    ("passkey.js", SCRIPT, include_str!("../../assets/passkey.js")),
    ("session.js", SCRIPT, include_str!("../../assets/session.js")),
    ("sign-in.js", SCRIPT, include_str!("../../assets/sign-in.js")),
    ("sshsig.js", SCRIPT, include_str!("../../assets/sshsig.js")),
    ("words.js", SCRIPT, include_str!("../../assets/words.js")),
];
const CODE_WORDS: &str = "code-words.js";

fn page(text: &'static str) -> Response {
    let mut response = reply::typed(StatusCode::OK, HTML, text);
    protect(response.headers_mut());
    response
}

fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "publickey-credentials-create=(self), publickey-credentials-get=(self)"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// `GET /enrol`.
pub async fn enrol(_call: Call) -> Result<Response, Fault> {
    Ok(page(include_str!("../../assets/enrol.html")))
}

/// `GET /sign-in`.
pub async fn sign_in(_call: Call) -> Result<Response, Fault> {
    Ok(page(include_str!("../../assets/sign-in.html")))
}

/// `GET /approve/{id}`: the same page for every promotion, whether or not it exists.
pub async fn approve(call: Call) -> Result<Response, Fault> {
    let _: PromotionId = call.part("id")?;
    Ok(page(include_str!("../../assets/approve.html")))
}

/// `GET /assets/{name}`.
pub async fn asset(call: Call) -> Result<Response, Fault> {
    let name = call.path.get("name").map(String::as_str).unwrap_or_default();
    if name == CODE_WORDS {
        return Ok(reply::typed(StatusCode::OK, SCRIPT, code_words()?));
    }
    let &(_, content_type, text) = ASSETS
        .iter()
        .find(|(known, ..)| *known == name)
        .ok_or_else(|| Fault::not_found("ROUTE_UNKNOWN", "there is nothing here"))?;
    Ok(reply::typed(StatusCode::OK, content_type, text))
}

/// The word list as a module, from the same list that the server and the command line use.
fn code_words() -> Result<String, Fault> {
    let words = serde_json::to_string(&WORDS.as_slice())
        .map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok(format!("// The code words, one for each byte.\nexport const WORDS = {words};\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PAGES: &[(&str, &str)] = &[
        ("enrol.html", include_str!("../../assets/enrol.html")),
        ("sign-in.html", include_str!("../../assets/sign-in.html")),
        ("approve.html", include_str!("../../assets/approve.html")),
    ];

    /// What stands after each `"/assets/` or `'/assets/`.
    fn assets_in(text: &str) -> impl Iterator<Item = &str> {
        text.split("/assets/").skip(1).map(|rest| rest.split(['"', '\'']).next().unwrap())
    }

    #[test]
    fn what_pages_load_is_there_and_nothing_else_is() {
        let known: BTreeSet<&str> = ASSETS.iter().map(|(name, ..)| *name).chain([CODE_WORDS]).collect();
        assert_eq!(known.len(), ASSETS.len() + 1);
        let texts = PAGES.iter().map(|(_, text)| *text).chain(ASSETS.iter().map(|(.., text)| *text));
        let loaded: BTreeSet<&str> = texts.flat_map(assets_in).collect();
        assert_eq!(loaded, known);
    }

    #[test]
    fn pages_have_no_inline_script_or_style_and_no_other_host() {
        for (name, text) in PAGES {
            assert_eq!(text.matches("<script").count(), text.matches("<script type=\"module\" src=\"/assets/").count());
            for bad in ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"] {
                assert!(!text.contains(bad), "{name}: {bad}");
            }
            assert!(text.contains("<html lang=\"en\">") && text.contains("name=\"viewport\""), "{name}");
        }
    }

    #[test]
    fn scripts_never_make_markup_of_text() {
        for (name, content_type, text) in ASSETS {
            for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(*content_type != SCRIPT || !text.contains(bad), "{name}: {bad}");
            }
        }
    }

    #[test]
    fn the_word_list_is_the_ledgers() {
        let text = code_words().unwrap();
        let list = text.split_once("WORDS = ").unwrap().1.trim_end().trim_end_matches(';');
        let words: Vec<String> = serde_json::from_str(list).unwrap();
        assert_eq!(words, WORDS);
    }
}
