//! Cookies: how pages carry a token that no script can read, and what a browser keeps folded or pinned.
//!
//! A request carries a token in the `Authorization` header or in the cookie, never in both, and a cookie counts only on
//! routes whose `Csrf` mode lets it. The cookie goes over plain HTTP only where the server was reached by a loopback
//! name.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use lockgate_api::routes::Csrf;
use lockgate_api::{Access, Route};
use lockgate_engine::{Fault, Kind, session};
use lockgate_model::Limits;

use crate::hosts::{Hosts, host_of};

/// The name of the session cookie over plain loopback.
pub const SESSION: &str = "lockgate_session";
/// Its name everywhere else: no browser takes a cookie of this name from another host of the same domain, so that
/// nobody can make somebody go on in a session of theirs (RFC 6265bis, section 4.1.3.2).
pub const HOST_SESSION: &str = "__Host-lockgate_session";
/// The name of the cookie that a sign-in through an identity provider is bound to, over plain loopback.
pub const FLOW: &str = "lockgate_oidc";
/// Its name everywhere else, as for the session: else another host of the domain could have somebody end a sign-in that
/// they did not begin.
pub const HOST_FLOW: &str = "__Host-lockgate_oidc";
/// The name of the cookie that says which lines of an inbox are snoozed, over plain loopback.
pub const SNOOZED: &str = "lockgate_snoozed";
/// Its name everywhere else, as for the session.
pub const HOST_SNOOZED: &str = "__Host-lockgate_snoozed";
/// The name of the cookie that says which services are pinned, over plain loopback.
pub const PINNED: &str = "lockgate_pinned";
/// Its name everywhere else, as for the session.
pub const HOST_PINNED: &str = "__Host-lockgate_pinned";
/// The longest token.
const TOKEN_MAX_BYTES: usize = 256;

/// The token of a request: from the header, or from the cookie where the route lets it.
///
/// # Errors
/// `TOKEN_INVALID` when there are both, or several cookies; `CSRF` when the route takes no cookie.
pub fn token(
    route: &Route,
    hosts: &Hosts,
    headers: &HeaderMap,
    bearer: Option<String>,
) -> Result<Option<String>, Fault> {
    let cookie = match value(headers, session_name(hosts, headers)) {
        // Nobody is authenticated here, and whoever holds a cookie that does not read has to be able to sign in anew.
        Err(_) if route.access == Access::Public && bearer.is_none() => return Ok(None),
        read => read?,
    };
    let Some(cookie) = cookie else { return Ok(bearer) };
    if bearer.is_some() {
        return Err(Fault::new(
            Kind::Unauthenticated,
            "TOKEN_INVALID",
            "the request carries a token in the authorization header and another in a cookie; send one",
        ));
    }
    match (route.access, route.csrf) {
        // Whoever signs in anew may still hold an old cookie; nobody is authenticated here.
        (Access::Public, _) => Ok(None),
        (_, Csrf::Safe | Csrf::CookieChecked) => Ok(Some(cookie)),
        (_, Csrf::BearerOnly) => Err(Fault::new(
            Kind::NotPermitted,
            "CSRF",
            "this route takes no cookie: send the token in the authorization header",
        )),
    }
}

/// The value of one cookie.
///
/// # Errors
/// `TOKEN_INVALID` when it stands twice or is too long: two readers could take two.
pub fn value(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    value_within(headers, name, TOKEN_MAX_BYTES)
}

/// What binds the browser to the sign-in that it began.
///
/// # Errors
/// As [`value`].
pub fn flow(hosts: &Hosts, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    value(headers, flow_name(hosts, headers))
}

/// What the browser says of its snoozed lines; nothing where it says that twice, at too great length, or not in text.
pub fn snoozed(hosts: &Hosts, headers: &HeaderMap) -> Option<String> {
    value_within(headers, snoozed_name(hosts, headers), Limits::DEFAULT.snooze_cookie_bytes).ok().flatten()
}

/// What the browser says of its pinned services; nothing where it does so in an odd way, as [`snoozed`].
pub fn pinned(hosts: &Hosts, headers: &HeaderMap) -> Option<String> {
    value_within(headers, pinned_name(hosts, headers), Limits::DEFAULT.pin_cookie_bytes).ok().flatten()
}

fn value_within(headers: &HeaderMap, name: &str, most_bytes: usize) -> Result<Option<String>, Fault> {
    let invalid =
        || Fault::new(Kind::Unauthenticated, "TOKEN_INVALID", format!("the cookie `{name}` is not one token"));
    let mut found = None;
    for line in headers.get_all(header::COOKIE) {
        // Another host of the same domain can set cookies here, in any bytes: only our own have to be text.
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let named = pair.trim_ascii().strip_prefix(name.as_bytes());
            let Some(value) = named.and_then(|rest| rest.strip_prefix(b"=")) else { continue };
            let value = std::str::from_utf8(value).ok().filter(|value| value.is_ascii()).ok_or_else(invalid)?;
            if value.is_empty() || value.len() > most_bytes || found.replace(value.to_owned()).is_some() {
                return Err(invalid());
            }
        }
    }
    Ok(found)
}

/// Whether the caller wants a cookie instead of a token: its own pages ask for it in a header that no form can send.
pub fn wanted(headers: &HeaderMap) -> bool {
    headers.get("lockgate-cookie").is_some_and(|value| value.as_bytes() == b"1")
}

/// Sets the session cookie in a reply.
///
/// # Errors
/// A bug, when the token has a character that no token has.
pub fn set_session(response: &mut Response, hosts: &Hosts, headers: &HeaderMap, token: &str) -> Result<(), Fault> {
    let secure = secure(hosts, headers);
    let (name, age) = (session_name(hosts, headers), session::ABSOLUTE.secs());
    append(response, &format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{secure}"))
}

/// Takes the session cookie back.
///
/// # Errors
/// Never: the text is fixed.
pub fn clear_session(response: &mut Response, hosts: &Hosts, headers: &HeaderMap) -> Result<(), Fault> {
    let (name, secure) = (session_name(hosts, headers), secure(hosts, headers));
    append(response, &format!("{name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0{secure}"))
}

/// Sets the cookie that binds a browser to the sign-in that it began, or takes it back where `value` is empty.
///
/// `Lax`, because the browser comes back from another site with it.
///
/// # Errors
/// A bug, when the value has a character that it never has.
pub fn set_flow(
    response: &mut Response,
    hosts: &Hosts,
    headers: &HeaderMap,
    value: &str,
    max_age_secs: u64,
) -> Result<(), Fault> {
    let (name, secure) = (flow_name(hosts, headers), secure(hosts, headers));
    append(response, &format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={max_age_secs}{secure}"))
}

/// Has the browser keep which lines are snoozed, for as long as one of them is; it forgets them where `value` is empty.
///
/// # Errors
/// A bug, when the value has a character that it never has.
pub fn set_snoozed(response: &mut Response, hosts: &Hosts, headers: &HeaderMap, value: &str) -> Result<(), Fault> {
    let (name, secure) = (snoozed_name(hosts, headers), secure(hosts, headers));
    let age = if value.is_empty() { 0 } else { Limits::DEFAULT.snooze_secs };
    append(response, &format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{secure}"))
}

/// Has the browser keep which services are pinned; it forgets them where `value` is empty.
///
/// # Errors
/// A bug, when the value has a character that it never has.
pub fn set_pinned(response: &mut Response, hosts: &Hosts, headers: &HeaderMap, value: &str) -> Result<(), Fault> {
    let (name, secure) = (pinned_name(hosts, headers), secure(hosts, headers));
    let age = if value.is_empty() { 0 } else { Limits::DEFAULT.pin_secs };
    append(response, &format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{secure}"))
}

fn is_plain(hosts: &Hosts, headers: &HeaderMap) -> bool {
    host_of(headers).is_some_and(|host| hosts.is_plain_loopback(host))
}

fn secure(hosts: &Hosts, headers: &HeaderMap) -> &'static str {
    if is_plain(hosts, headers) { "" } else { "; Secure" }
}

fn session_name(hosts: &Hosts, headers: &HeaderMap) -> &'static str {
    if is_plain(hosts, headers) { SESSION } else { HOST_SESSION }
}

fn flow_name(hosts: &Hosts, headers: &HeaderMap) -> &'static str {
    if is_plain(hosts, headers) { FLOW } else { HOST_FLOW }
}

fn snoozed_name(hosts: &Hosts, headers: &HeaderMap) -> &'static str {
    if is_plain(hosts, headers) { SNOOZED } else { HOST_SNOOZED }
}

fn pinned_name(hosts: &Hosts, headers: &HeaderMap) -> &'static str {
    if is_plain(hosts, headers) { PINNED } else { HOST_PINNED }
}

fn append(response: &mut Response, cookie: &str) -> Result<(), Fault> {
    let value = HeaderValue::from_str(cookie)
        .map_err(|_| Fault::new(Kind::Bug, "REPLY_INVALID", "a cookie has characters that it must not have"))?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::ROUTES;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn a_cookie_is_read_once_or_refused() {
        let check = |lines: &[&'static str], wanted: Result<Option<&str>, &str>| {
            let found = value(&headers(lines), SESSION).map_err(|fault| fault.code);
            assert_eq!(found.as_ref().map(Option::as_deref).map_err(|code| *code), wanted, "{lines:?}");
        };
        check(&[], Ok(None));
        check(&["theme=dark; lockgate_session=abc.def; x=y"], Ok(Some("abc.def")));
        check(&["xlockgate_session=abc", "lockgate_sessions=abc"], Ok(None));
        check(&["lockgate_session=a; lockgate_session=b"], Err("TOKEN_INVALID"));
        check(&["lockgate_session=a", "lockgate_session=b"], Err("TOKEN_INVALID"));
        check(&["lockgate_session="], Err("TOKEN_INVALID"));
        let bytes = |line: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            value(&headers, SESSION).map_err(|fault| fault.code)
        };
        // What another host of the domain has set is its own affair; our own cookie is text.
        assert_eq!(bytes(b"x=\xe9; lockgate_session=abc"), Ok(Some("abc".to_owned())));
        assert_eq!(bytes(b"lockgate_session=a\xe9"), Err("TOKEN_INVALID"));
    }

    #[test]
    fn a_request_carries_one_token_and_a_cookie_only_where_it_may() {
        let mut cookie = headers(&["lockgate_session=abc"]);
        cookie.insert(header::HOST, HeaderValue::from_static("localhost:7430"));
        let plain = Hosts::default();
        let route = |access, csrf| Route { access, csrf, ..ROUTES[0] };
        let check = |access, csrf, bearer: Option<&str>, wanted: Result<Option<&str>, &str>| {
            let found = token(&route(access, csrf), &plain, &cookie, bearer.map(str::to_owned));
            let found = found.map_err(|fault| fault.code);
            assert_eq!(found.as_ref().map(Option::as_deref).map_err(|code| *code), wanted, "{access:?} {csrf:?}");
        };
        check(Access::SignedIn, Csrf::Safe, None, Ok(Some("abc")));
        check(Access::SignedIn, Csrf::CookieChecked, None, Ok(Some("abc")));
        check(Access::SignedIn, Csrf::BearerOnly, None, Err("CSRF"));
        check(Access::Public, Csrf::BearerOnly, None, Ok(None));
        check(Access::SignedIn, Csrf::Safe, Some("xyz"), Err("TOKEN_INVALID"));
        let mut broken = cookie.clone();
        for line in ["lockgate_session=", "lockgate_session=a; lockgate_session=b"] {
            broken.insert(header::COOKIE, HeaderValue::from_static(line));
            let found = |access| token(&route(access, Csrf::Safe), &plain, &broken, None).map_err(|fault| fault.code);
            assert_eq!(found(Access::SignedIn), Err("TOKEN_INVALID"), "{line}");
            assert_eq!(found(Access::Public), Ok(None), "{line}");
        }
        let bearer_only = route(Access::SignedIn, Csrf::BearerOnly);
        let bearer = token(&bearer_only, &plain, &HeaderMap::new(), Some("xyz".to_owned()));
        assert_eq!(bearer.unwrap().as_deref(), Some("xyz"));
        // Elsewhere only the name counts that no other host of the domain can set.
        let checked = route(Access::SignedIn, Csrf::CookieChecked);
        cookie.insert(header::HOST, HeaderValue::from_static("lockgate.example"));
        assert_eq!(token(&checked, &plain, &cookie, None).unwrap(), None);
        cookie.insert(header::COOKIE, HeaderValue::from_static("lockgate_session=abc; __Host-lockgate_session=xyz"));
        assert_eq!(token(&checked, &plain, &cookie, None).unwrap().as_deref(), Some("xyz"));
    }

    #[test]
    fn what_is_snoozed_is_kept_as_the_session_is_and_what_is_odd_is_nothing() {
        let plain = Hosts::default();
        let read = |host: &'static str, cookies: &[String]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            for cookie in cookies {
                headers.append(header::COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
            }
            snoozed(&plain, &headers)
        };
        let named = |value: &str| format!("{SNOOZED}={value}");
        assert_eq!(read("localhost:7430", &[named("abc.P-3:1")]).as_deref(), Some("abc.P-3:1"));
        assert_eq!(read("lockgate.example", &[named("abc.P-3:1")]), None);
        assert_eq!(read("lockgate.example", &[format!("__Host-{}", named("abc"))]).as_deref(), Some("abc"));
        let most = Limits::DEFAULT.snooze_cookie_bytes;
        assert!(read("localhost", &[named(&"a".repeat(most))]).is_some());
        let odd = [
            vec![],
            vec![named("")],
            vec![named(&"a".repeat(most + 1))],
            vec![named("a"), named("b")],
            vec![format!("{}; {}", named("a"), named("a"))],
            vec![named("\u{fc}")],
            vec![format!("x{}", named("a"))],
        ];
        for cookies in odd {
            assert_eq!(read("localhost", &cookies), None, "{cookies:?}");
        }
        let set = |host: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            let mut response = Response::default();
            set_snoozed(&mut response, &plain, &headers, value).unwrap();
            response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned()
        };
        let kept = "; HttpOnly; SameSite=Strict; Path=/; Max-Age=";
        assert_eq!(set("localhost", "abc"), format!("lockgate_snoozed=abc{kept}604800"));
        assert_eq!(set("lockgate.example", "abc"), format!("__Host-lockgate_snoozed=abc{kept}604800; Secure"));
        assert_eq!(set("localhost", ""), format!("lockgate_snoozed={kept}0"));
    }

    #[test]
    fn a_sign_in_is_bound_by_a_cookie_that_no_other_host_of_the_domain_can_set() {
        let plain = Hosts::default();
        let mut headers = headers(&["lockgate_oidc=theirs; __Host-lockgate_oidc=own"]);
        let mut both = |host: &'static str| {
            headers.insert(header::HOST, HeaderValue::from_static(host));
            let mut response = Response::default();
            set_flow(&mut response, &plain, &headers, "abc", 600).unwrap();
            let set = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
            (flow(&plain, &headers).unwrap().unwrap(), set)
        };
        let kept = "; HttpOnly; SameSite=Lax; Path=/; Max-Age=600";
        let elsewhere = both("lockgate.example");
        assert_eq!(elsewhere, ("own".to_owned(), format!("__Host-lockgate_oidc=abc{kept}; Secure")));
        assert_eq!(both("localhost:7430"), ("theirs".to_owned(), format!("lockgate_oidc=abc{kept}")));
    }

    #[test]
    fn what_is_pinned_is_kept_in_a_cookie_of_its_own() {
        let plain = Hosts::default();
        let mut headers = headers(&["lockgate_snoozed=abc; lockgate_pinned=abc:shop/web"]);
        let mut set = |host: &'static str, value: &str| {
            headers.insert(header::HOST, HeaderValue::from_static(host));
            let mut response = Response::default();
            set_pinned(&mut response, &plain, &headers, value).unwrap();
            (pinned(&plain, &headers), response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned())
        };
        let kept = "; HttpOnly; SameSite=Strict; Path=/; Max-Age=";
        assert_eq!(
            set("localhost", "abc:pay/api"),
            (Some("abc:shop/web".to_owned()), format!("lockgate_pinned=abc:pay/api{kept}31536000"))
        );
        assert_eq!(set("lockgate.example", ""), (None, format!("__Host-lockgate_pinned={kept}0; Secure")));
    }

    #[test]
    fn only_plain_loopback_leaves_secure_out() {
        let set = |host: &'static str, hosts: &Hosts| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            let mut response = Response::default();
            set_session(&mut response, hosts, &headers, "abc.def").unwrap();
            response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned()
        };
        let plain = Hosts::default();
        let text = set("localhost:7430", &plain);
        for part in ["lockgate_session=abc.def; ", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("Secure"), "{text}");
        let text = set("lockgate.example", &plain);
        assert!(text.starts_with("__Host-lockgate_session=abc.def; ") && text.ends_with("; Secure"), "{text}");
        assert!(
            set("127.0.0.1:7430", &Hosts::new(&[], None, Some("https://localhost")).unwrap()).ends_with("; Secure")
        );
    }
}
