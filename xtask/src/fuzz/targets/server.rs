//! Readers of the server that stand before every handler: queries, cookies, hosts; and keys of rows that it looks up.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use lockgate_api::client::query_value;
use lockgate_engine::history::{CameOut, DigestStart};
use lockgate_engine::{reader, staging};
use lockgate_model::{EnvName, Limits, PersonId, ServiceName, UnixMillis};
use lockgate_server::pins::Pins;
use lockgate_server::snooze::{Snoozes, owner_of};
use lockgate_server::{Hosts, cookie, hosts, query};

use super::Target;
use crate::failure::{Failure, Result};
use crate::fuzz::outcome::{NotRead, Outcome, of_text};
use crate::fuzz::samples::texts;

/// Whose cookies are read, in which ledger, and when.
const LEDGER: &str = "log.lockgate.example";
const PERSON: &str = "sam";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// The name that a server answers to besides those of loopback.
const NAME: &str = "lockgate.example";

/// Every target.
///
/// # Errors
/// When a sample cannot be made.
pub fn targets() -> Result<Vec<Target>> {
    let mut all = vec![
        Target::new("query", texts(&["a=1&b=x%2Fy+z", "environment=production&limit=20", ""]), |input| {
            Outcome::again(input, |bytes| of_text(bytes, query::parse), written)
        }),
        Target::new("history-outcome", texts(&["allow", "deny", "pending", "approve", "reject"]), |input| {
            Outcome::of(&of_text(input, |text| text.parse::<CameOut>()))
        }),
        Target::new("digest-start", texts(&["sha256:e3b0c442", "E3B0\u{2026}"]), |input| {
            Outcome::of(&of_text(input, |text| text.parse::<DigestStart>()))
        }),
        Target::new("row-open-promotion", texts(&["production/shop/web/P-3\nshop/web@1.4.2"]), open_promotion),
    ];
    all.extend(cookies()?);
    all.push(host()?);
    Ok(all)
}

/// A query with these names and values.
fn written(query: &BTreeMap<String, String>) -> Vec<u8> {
    let pairs = query.iter().map(|(name, value)| format!("{}={}", query_value(name), query_value(value)));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

fn cookies() -> Result<Vec<Target>> {
    let person: PersonId = PERSON.parse()?;
    let (owner, soon) = (owner_of(LEDGER, &person), NOW.secs() + 60);
    let snoozed = texts(&[&format!("{owner}.P-6:{soon}"), &format!("{owner}.C-2:{soon}.P-6:{}", soon + 86_400), ""]);
    let pinned = texts(&[&format!("{owner}:shop/web"), &format!("{owner}:shop/web:pay/api"), ""]);
    let sam = person.clone();
    Ok(vec![
        Target::new("cookies", texts(&["lockgate_session=abc; a=b", "a=b\nlockgate_session=abc"]), session_cookie),
        Target::new("cookie-snoozed", snoozed, move |input| {
            let read = |text: &str| Ok::<_, NotRead>(Snoozes::read(Some(text), LEDGER, &sam, NOW));
            Outcome::again(input, |bytes| of_text(bytes, read), |snoozes: &Snoozes| snoozes.value().into_bytes())
        }),
        Target::new("cookie-pinned", pinned, move |input| {
            let Ok(text) = std::str::from_utf8(input) else { return Outcome::no_text() };
            let pins = Pins::read(Some(text), LEDGER, &person);
            let mut outcome = Outcome::accepted(&pins);
            let value = pins.value();
            // What is not exactly as it is written is read as nothing.
            outcome.broken = if !value.is_empty() && value != text {
                Some("pins are read in another spelling than they are written in".to_owned())
            } else if value.len() > Limits::DEFAULT.pin_cookie_bytes {
                Some("more pins are read than a cookie may hold".to_owned())
            } else {
                None
            };
            outcome
        }),
    ])
}

/// The lines of a `Cookie` header, read for the session: held against a reading that splits them all at once.
fn session_cookie(input: &[u8]) -> Outcome {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(16) {
        match HeaderValue::from_bytes(line) {
            Ok(value) => {
                headers.append(header::COOKIE, value);
            }
            // No request has such a line.
            Err(error) => return Outcome::refused(&error),
        }
    }
    let read = cookie::value(&headers, cookie::SESSION);
    let mut outcome = Outcome::of(&read);
    let text = String::from_utf8_lossy(input);
    let pairs = text.split(['\n', ';']).filter_map(|pair| pair.trim_ascii().split_once('='));
    let values: Vec<&str> = pairs.filter(|(name, _)| *name == cookie::SESSION).map(|(_, value)| value).collect();
    let agrees = match &read {
        Ok(None) => values.is_empty() || input.iter().filter(|byte| **byte == b'\n').count() >= 16,
        Ok(Some(value)) => values.first() == Some(&value.as_str()),
        Err(_) => true,
    };
    if !agrees {
        outcome.broken = Some("the session is another one than that of the only cookie with its name".to_owned());
    }
    outcome
}

/// The `Host` of a request: a server that was told of no name answers to loopback alone, and one that was told of names
/// answers to these as well.
fn host() -> Result<Target> {
    let narrow = Hosts::default();
    let wide = Hosts::new(&[NAME.to_owned()], None, None).map_err(Failure::new)?;
    let seeds = texts(&["localhost:7430", "127.0.0.1", "[::1]:7430", "lockgate.example", "evil.example"]);
    Ok(Target::new("host-header", seeds, move |input| {
        let mut headers = HeaderMap::new();
        match HeaderValue::from_bytes(input) {
            Ok(value) => {
                headers.append(header::HOST, value);
            }
            Err(error) => return Outcome::refused(&error),
        }
        let uri = Uri::from_static("/v1/status");
        let (one, all) = (narrow.check(&headers, &uri), wide.check(&headers, &uri));
        let mut outcome = Outcome::of(&all);
        let named = hosts::host_of(&headers).unwrap_or_default();
        outcome.broken = if one.is_ok() && !narrow.is_plain_loopback(named) {
            Some(format!("`{}` is no name of this machine, and is answered to", named.escape_debug()))
        } else if one.is_ok() && all.is_err() {
            Some("a server that answers to more names refuses one of loopback".to_owned())
        } else if all.is_ok() && one.is_err() && !named.to_ascii_lowercase().starts_with(NAME) {
            Some(format!("`{}` is not the name of this server, and is answered to", named.escape_debug()))
        } else {
            None
        };
        outcome
    }))
}

/// A row of an open promotion: key and value, with a line feed between them here.
fn open_promotion(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Outcome::no_text() };
    let (key, value) = text.split_once('\n').unwrap_or((text, ""));
    let read = reader::open_promotion(key, value.as_bytes()).ok_or_else(|| NotRead("no such row".to_owned()));
    let mut outcome = Outcome::of(&read);
    // A key whose parts are names is written as it was read.
    if let Ok((promotion, _)) = &read
        && let Some((environment, rest)) = key.split_once('/')
        && let Some((service, _)) = rest.rsplit_once('/')
        && let (Ok(environment), Ok(service)) = (environment.parse::<EnvName>(), service.parse::<ServiceName>())
        && staging::open_key(&environment, &service, *promotion) != key
    {
        outcome.broken = Some("a row is found under another key than it is written under".to_owned());
    }
    outcome
}
