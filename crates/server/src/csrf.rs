//! Requests that another site makes in somebody's browser are turned away.
//!
//! A browser says on its own where a request comes from: in `Origin`, and in `Sec-Fetch-Site` (Fetch Metadata). Programs
//! that are not browsers send neither, and hold no cookie that could be misused.

use axum::http::{HeaderMap, header};
use lockgate_api::Route;
use lockgate_api::routes::{BodyLimit, Csrf};
use lockgate_engine::{Fault, Kind};

/// Checks that a request which may change something does not come from another site.
///
/// # Errors
/// `CSRF`.
pub fn check(route: &Route, headers: &HeaderMap) -> Result<(), Fault> {
    match route.csrf {
        Csrf::Safe => Ok(()),
        Csrf::BearerOnly => not_foreign(headers),
        Csrf::CookieChecked => {
            // With a token in a header there is no cookie that a browser could have added.
            not_foreign(headers)?;
            let cookie = headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
            let readable = route.body == BodyLimit::None || is_json(headers);
            match cookie && !(is_own_script(headers) && readable) {
                true => Err(refused()),
                false => Ok(()),
            }
        }
    }
}

fn refused() -> Fault {
    Fault::new(Kind::NotPermitted, "CSRF", "this request comes from a page of another site, or does not say where from")
        .hint("use this server's own pages, or send a token in the authorization header")
}

/// Refuses what says that it comes from elsewhere.
fn not_foreign(headers: &HeaderMap) -> Result<(), Fault> {
    for value in headers.get_all("sec-fetch-site") {
        match value.as_bytes() {
            b"same-origin" | b"none" => {}
            _ => return Err(refused()),
        }
    }
    let host = headers.get(header::HOST).map(|host| host.as_bytes());
    for value in headers.get_all(header::ORIGIN) {
        let named = value.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host.as_bytes());
        match named.is_some() && named == host {
            true => {}
            false => return Err(refused()),
        }
    }
    Ok(())
}

/// Whether it carries the header that our own pages add: no form can send one, and no script of another site may.
fn is_own_script(headers: &HeaderMap) -> bool {
    headers.get("lockgate-csrf").is_some_and(|value| value.as_bytes() == b"1")
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};
    use lockgate_api::ROUTES;

    fn passes(csrf: Csrf, named: &[(&str, &str)]) -> bool {
        let route = Route { csrf, body: BodyLimit::Json, ..ROUTES[0] };
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("127.0.0.1:7430"));
        for (name, value) in named {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        check(&route, &headers).is_ok()
    }

    const OWN: (&str, &str) = ("origin", "http://127.0.0.1:7430");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
    const COOKIE: (&str, &str) = ("cookie", "session=x");
    const SCRIPT: (&str, &str) = ("lockgate-csrf", "1");
    const TOKEN: (&str, &str) = ("authorization", "Bearer x");

    #[test]
    fn other_sites_change_nothing() {
        let foreign: [&[(&str, &str)]; 7] = [
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:7431")],
            &[OWN, ("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), OWN],
            &[("origin", "127.0.0.1:7430")],
        ];
        for headers in foreign {
            assert!(passes(Csrf::Safe, headers), "{headers:?}");
            assert!(!passes(Csrf::BearerOnly, headers), "{headers:?}");
            assert!(!passes(Csrf::CookieChecked, headers), "{headers:?}");
        }
    }

    #[test]
    fn programs_and_own_pages_pass() {
        let own: [&[(&str, &str)]; 5] =
            [&[], &[TOKEN], &[OWN], &[("sec-fetch-site", "none")], &[("sec-fetch-site", "same-origin"), OWN]];
        for headers in own {
            assert!(passes(Csrf::BearerOnly, headers), "{headers:?}");
        }
        assert!(passes(Csrf::CookieChecked, &[COOKIE, OWN, JSON, SCRIPT]));
        assert!(passes(Csrf::CookieChecked, &[COOKIE, JSON, SCRIPT]));
        assert!(passes(Csrf::CookieChecked, &[TOKEN]));
        let bare: [&[(&str, &str)]; 5] = [
            &[COOKIE],
            &[COOKIE, OWN, JSON],
            &[COOKIE, OWN, SCRIPT],
            &[COOKIE, OWN, JSON, ("lockgate-csrf", "0")],
            &[COOKIE, OWN, SCRIPT, ("content-type", "text/plain")],
        ];
        for headers in bare {
            assert!(!passes(Csrf::CookieChecked, headers), "{headers:?}");
        }
    }
}
