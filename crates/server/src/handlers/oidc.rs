//! Sign-in through an identity provider, and the accounts that people bind to do so.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use lockgate_api::wire::{AccountReply, IdentityBinding, IdentityEnd, IdentityRow, OidcCode, SessionReply};
use lockgate_engine::session::{self, Method};
use lockgate_engine::{Fault, Kind, identity};
use lockgate_ledger::identity::{Identity, IdentityBound, IdentityUnbound};
use lockgate_model::{EntryIndex, PersonId};
use lockgate_policy::Permission;

use super::{heavy, write};
use crate::call::Call;
use crate::cookie;
use crate::front::Front;
use crate::hosts::host_of;
use crate::oidc::{Answer, FLOW_TTL, Oidc, Then};
use crate::reply;

fn provider(call: &Call) -> Result<Arc<Oidc>, Fault> {
    call.app.front.oidc.clone().ok_or_else(|| {
        Fault::not_found("OIDC_OFF", "this server has no identity provider")
            .hint("start it with --oidc-issuer and --oidc-client-id, or sign in with a key: `lockgate login NAME`")
    })
}

/// Where the browser reaches this server: as it was told, or under the loopback name of the request.
fn base(call: &Call, front: &Front) -> Result<String, Fault> {
    if let Some(url) = front.hosts.url() {
        return Ok(url.to_owned());
    }
    let host = host_of(&call.headers).filter(|host| front.hosts.is_plain_loopback(host));
    host.map(|host| format!("http://{host}")).ok_or_else(|| {
        Fault::new(Kind::Unavailable, "URL_UNKNOWN", "this server does not know where people reach it")
            .hint("start it with --url https://NAME")
    })
}

fn go(location: &str) -> Result<Response, Fault> {
    let mut response = reply::typed(StatusCode::FOUND, "text/plain; charset=utf-8", "");
    let value = HeaderValue::from_str(location)
        .map_err(|_| Fault::new(Kind::Bug, "REPLY_INVALID", "an address has characters that it must not have"))?;
    response.headers_mut().insert(header::LOCATION, value);
    Ok(response)
}

/// `GET /v1/oidc/start`: sends the browser to the identity provider.
pub async fn start(call: Call) -> Result<Response, Fault> {
    let oidc = provider(&call)?;
    let then = match (call.query::<u16>("cli_port")?, call.query.get("cli_challenge"), call.query.get("return")) {
        (Some(port), Some(challenge), None) => Then::command_line(port, challenge)?,
        (None, None, path) => Then::page(path.map_or("/", String::as_str))?,
        _ => return Err(Fault::invalid("RETURN_INVALID", "give `return`, or both `cli_port` and `cli_challenge`")),
    };
    let base = base(&call, &call.app.front)?;
    let engine = call.engine().clone();
    let started = heavy(move || oidc.start(&base, then, engine.inner().entropy(), engine.inner().now())).await?;
    let mut response = go(&started.location)?;
    cookie::set_flow(&mut response, &call.app.front.hosts, &call.headers, &started.cookie, FLOW_TTL.secs())?;
    Ok(response)
}

/// `GET /v1/oidc/callback`: where the identity provider sends the browser back to.
pub async fn callback(call: Call) -> Result<Response, Fault> {
    let oidc = provider(&call)?;
    let (query, kept) = (call.query.clone(), cookie::flow(&call.app.front.hosts, &call.headers)?);
    let (engine, asked) = (call.engine().clone(), oidc.clone());
    let (account, then) = heavy(move || {
        let text = |name: &str| query.get(name).map(String::as_str);
        let answer = Answer {
            state: text("state").unwrap_or_default(),
            code: text("code"),
            error: text("error"),
            issuer: text("iss"),
            cookie: kept.as_deref(),
        };
        asked.finish(&answer, engine.inner().now())
    })
    .await?;
    let (engine, app) = (call.engine().clone(), call.app.clone());
    let hosts = &app.front.hosts;
    let mut response = match then {
        Then::CommandLine { port, challenge } => {
            let code = oidc.hand_over(account, challenge, engine.inner().entropy(), engine.inner().now())?;
            go(&format!("http://127.0.0.1:{port}/?code={code}"))?
        }
        Then::Page { path } => {
            let signed_in = heavy(move || {
                session::sign_in_by_account(&engine, &account.issuer, &account.subject, account.amr, account.auth_time)
            })
            .await?;
            let mut response = onward(&path);
            cookie::set_session(&mut response, hosts, &call.headers, &signed_in.token)?;
            response
        }
    };
    cookie::set_flow(&mut response, hosts, &call.headers, "", 0)?;
    Ok(response)
}

/// A page that goes on by itself. A redirect would be a step of the provider's site, and browsers keep a strict cookie
/// back on such a step.
fn onward(path: &str) -> Response {
    // The path has no quotes, angle brackets or semicolons: `Then::page` lets none in.
    let path = path.replace('&', "&amp;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url={path}\">\
         <title>Lockgate</title><p>You are signed in. <a href=\"{path}\">Go on</a></p></html>"
    );
    reply::typed(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// `POST /v1/oidc/sessions`: a session for the command line that began a sign-in.
pub async fn session(call: Call) -> Result<Response, Fault> {
    let oidc = provider(&call)?;
    let request: OidcCode = call.body()?;
    let engine = call.engine().clone();
    let signed_in = heavy(move || {
        let account = oidc.redeem(&request.code, &request.verifier, engine.inner().now())?;
        session::sign_in_by_account(&engine, &account.issuer, &account.subject, account.amr, account.auth_time)
    })
    .await?;
    reply::json(&SessionReply { token: signed_in.token, person: signed_in.person, expires_at: signed_in.expires })
}

/// `POST /v1/oidc/accounts`: which account it was that someone signed in to, so that they can bind it.
pub async fn account(call: Call) -> Result<Response, Fault> {
    let oidc = provider(&call)?;
    let request: OidcCode = call.body()?;
    let now = call.engine().inner().now();
    let person = call.person()?;
    if call.caller.as_ref().is_none_or(|caller| caller.proof.method != Method::Key) {
        return Err(Fault::new(Kind::NotPermitted, "NOT_PERMITTED", "an account is bound while signed in with a key")
            .hint(format!("sign in with your key: `lockgate login {person}`")));
    }
    let account = oidc.redeem(&request.code, &request.verifier, now)?;
    oidc.remember(&person, &account, now)?;
    reply::json(&AccountReply { issuer: account.issuer, subject: account.subject })
}

/// `POST /v1/identities`: binds an account that the person has just signed in to.
pub async fn bind(call: Call) -> Result<Response, Fault> {
    let request: IdentityBinding = call.body()?;
    let person = call.person()?;
    provider(&call)?.check_proven(&person, &request.issuer, &request.subject, call.engine().inner().now())?;
    let event = IdentityBound {
        person: request.person,
        issuer: request.issuer,
        subject: request.subject,
        after: request.after.map(EntryIndex),
        signature: request.signature,
    };
    write(&call, identity::bind(&person, event)?).await
}

/// `POST /v1/identities/ends`: ends a binding.
pub async fn unbind(call: Call) -> Result<Response, Fault> {
    let request: IdentityEnd = call.body()?;
    super::governance::check_reason(&request.reason)?;
    let event = IdentityUnbound {
        person: request.person,
        issuer: request.issuer,
        subject: request.subject,
        reason: request.reason,
        by: request.by,
        signature: request.signature,
    };
    write(&call, identity::unbind(&call.person()?, event)?).await
}

/// `GET /v1/identities`: the accounts of whoever asks, or of someone else for those who manage keys.
pub async fn list(call: Call) -> Result<Response, Fault> {
    let person = whose(&call)?;
    let row = |identity: &Identity| IdentityRow {
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        key: identity.key.clone(),
        bound_at: identity.bound_at.0,
        unbound_at: identity.unbound_at.map(|index| index.0),
    };
    let governance = call.engine().governance()?;
    let rows: Vec<IdentityRow> = governance.identities_of(&person).map(row).collect();
    reply::json(&rows)
}

/// Whom a request is about: the caller, or someone else for those who manage keys.
///
/// # Errors
/// `NOT_PERMITTED`, `QUERY_INVALID`.
pub fn whose(call: &Call) -> Result<PersonId, Fault> {
    let caller = call.person()?;
    match call.query::<PersonId>("person")? {
        Some(named) if named != caller => {
            let governance = call.engine().governance()?;
            lockgate_engine::authorise::check(
                &governance,
                &caller,
                Permission::Keys,
                lockgate_policy::Object::Ledger,
                None,
            )?;
            Ok(named)
        }
        _ => Ok(caller),
    }
}
