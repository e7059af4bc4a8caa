//! Pages: files that are the same for everyone; what differs, their scripts fetch.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use lockgate_engine::{Fault, Kind};
use lockgate_model::PromotionId;
use lockgate_web::assets::{CONTENT_SECURITY_POLICY, pages};

use crate::call::Call;
use crate::reply;

const HTML: &str = "text/html; charset=utf-8";

/// A page, with what keeps it to its own files.
pub fn page(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = reply::typed(status, HTML, text);
    for (name, value) in [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "publickey-credentials-create=(self), publickey-credentials-get=(self)"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A refusal as a page; who is not signed in is sent to sign in, and back to the page `wanted`, where there is one.
pub fn refused(fault: &Fault, wanted: Option<&str>) -> Response {
    if let (Kind::Unauthenticated, Some(wanted)) = (fault.kind, wanted) {
        let encoded = wanted.bytes().fold(String::new(), |mut out, byte| {
            match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
                true => out.push(char::from(byte)),
                false => out.push_str(&format!("%{byte:02X}")),
            }
            out
        });
        if let Ok(there) = HeaderValue::from_str(&format!("/sign-in?next={encoded}")) {
            let mut response = page(StatusCode::SEE_OTHER, "");
            response.headers_mut().insert(header::LOCATION, there);
            return response;
        }
    }
    let problem = reply::problem_of(fault);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    page(status, lockgate_web::problem::page(&problem))
}

/// `GET /enrol`.
pub async fn enrol(_call: Call) -> Result<Response, Fault> {
    Ok(page(StatusCode::OK, pages::ENROL))
}

/// `GET /sign-in`.
pub async fn sign_in(_call: Call) -> Result<Response, Fault> {
    Ok(page(StatusCode::OK, pages::SIGN_IN))
}

/// `GET /approve/{id}`: the same page for every promotion, whether or not it exists.
pub async fn approve(call: Call) -> Result<Response, Fault> {
    let _: PromotionId = call.part("id")?;
    Ok(page(StatusCode::OK, pages::APPROVE))
}

#[cfg(test)]
mod tests {
    use super::super::assets::CODE_WORDS;
    use super::*;
    use lockgate_web::assets::{ASSETS, SCRIPT};
    use std::collections::BTreeSet;

    const PAGES: &[(&str, &str)] =
        &[("enrol.html", pages::ENROL), ("sign-in.html", pages::SIGN_IN), ("approve.html", pages::APPROVE)];

    /// What stands after each `"/assets/` or `'/assets/`.
    fn assets_in(text: &str) -> impl Iterator<Item = &str> {
        text.split("/assets/").skip(1).map(|rest| rest.split(['"', '\'']).next().unwrap())
    }

    #[test]
    fn what_pages_load_is_there_and_nothing_else_is() {
        let known: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.name).chain([CODE_WORDS]).collect();
        assert_eq!(known.len(), ASSETS.len() + 1);
        let shell = include_str!("../../../web/src/shell.rs");
        let texts = PAGES.iter().map(|(_, text)| *text).chain(ASSETS.iter().map(|asset| asset.text)).chain([shell]);
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
        for asset in ASSETS {
            for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(asset.content_type != SCRIPT || !asset.text.contains(bad), "{}: {bad}", asset.name);
            }
        }
    }

    #[test]
    fn whoever_is_not_signed_in_comes_back_to_the_page() {
        let fault = Fault::new(Kind::Unauthenticated, "SIGN_IN_NEEDED", "nobody is signed in");
        let response = refused(&fault, Some("/promotions/P-1?a=b&c=<d>"));
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()["location"], "/sign-in?next=/promotions/P-1%3Fa%3Db%26c%3D%3Cd%3E");
        assert_eq!(refused(&fault, None).status(), StatusCode::UNAUTHORIZED);
    }
}
