//! Sign-in: challenge, session, whoami.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{
    Challenge, ChallengeRequest, EndedSessions, SessionReply, SessionRequest, SessionRow, Whoami,
};
use lockgate_engine::{Engine, Fault, Kind, session};
use lockgate_model::PersonId;
use lockgate_policy::{Object, Permission};

use super::heavy;
use super::oidc::whose;
use crate::call::Call;
use crate::cookie;
use crate::reply;

/// `POST /v1/challenges`.
pub async fn challenge(call: Call) -> Result<Response, Fault> {
    let request: ChallengeRequest = call.body()?;
    let challenge = session::challenge(call.engine(), &call.app.challenges, request.person)?;
    reply::json(&Challenge { ledger: call.engine().governance()?.origin().to_owned(), challenge })
}

/// `POST /v1/sessions`: a token, or a cookie and no token for pages that ask for one.
pub async fn sign_in(call: Call) -> Result<Response, Fault> {
    let request: SessionRequest = call.body()?;
    let app = call.app.clone();
    let signed_in = heavy(move || {
        session::sign_in(&app.engine, &app.challenges, &request.person, &request.challenge, &request.signature)
    })
    .await?;
    let mut body = SessionReply { token: signed_in.token, person: signed_in.person, expires_at: signed_in.expires };
    if !cookie::wanted(&call.headers) {
        return reply::json(&body);
    }
    // What no script can read does not stand in the reply either.
    let token = std::mem::take(&mut body.token);
    let mut response = reply::json(&body)?;
    cookie::set_session(&mut response, &call.app.front.hosts, &call.headers, &token)?;
    Ok(response)
}

/// `DELETE /v1/sessions`.
pub async fn sign_out(call: Call) -> Result<Response, Fault> {
    let engine = call.engine().clone();
    let token = call.token.clone().unwrap_or_default();
    heavy(move || session::sign_out(&engine, &token)).await?;
    let mut response = reply::typed(StatusCode::OK, "application/json", "{}");
    cookie::clear_session(&mut response, &call.app.front.hosts, &call.headers)?;
    Ok(response)
}

/// `GET /v1/sessions`: one's own, or someone else's for those who manage keys.
pub async fn sessions(call: Call) -> Result<Response, Fault> {
    let person = whose(&call)?;
    let current = call.caller.as_ref().map(|caller| caller.session.clone());
    reply::json(&sessions_reply(call.engine(), &person, current.as_deref()))
}

/// The sessions of somebody, of which one may be the one that asks: what the API gives, and what the page shows.
pub fn sessions_reply(engine: &Engine, person: &PersonId, current: Option<&str>) -> Vec<SessionRow> {
    let row = |view: session::SessionView| SessionRow {
        current: current == Some(view.id.as_str()),
        method: view.proof.method.as_str().to_owned(),
        amr: view.proof.amr.names().into_iter().map(str::to_owned).collect(),
        credential: view.proof.fingerprint(),
        auth_time: view.proof.auth_time,
        created: view.created,
        last_used: view.last_used,
        expires_at: view.expires,
        stored: view.stored,
        id: view.id,
    };
    session::list(engine, person).into_iter().map(row).collect()
}

/// `DELETE /v1/sessions/{id}`: one session, or `all` of them.
pub async fn session_end(call: Call) -> Result<Response, Fault> {
    let person = whose(&call)?;
    let id: String = call.part("id")?;
    let engine = call.engine().clone();
    let ended = heavy(move || match id.as_str() {
        "all" => session::sign_out_everywhere(&engine, &person),
        one => session::end(&engine, &person, one).map(|()| 1),
    })
    .await?;
    reply::json(&EndedSessions { ended: ended as u64 })
}

/// `GET /v1/whoami`.
pub async fn whoami(call: Call) -> Result<Response, Fault> {
    let person = call.person()?;
    let governance = call.engine().governance()?;
    let record = governance
        .person(&person)
        .ok_or_else(|| Fault::new(Kind::Unauthenticated, "PERSON_UNKNOWN", format!("`{person}` is not enrolled")))?;
    // Held in at least one place; `lockgate access show` says where.
    let held = |permission: &&Permission| governance.allows(&person, **permission, Object::Anywhere).is_ok();
    let permissions = Permission::ALL.iter().filter(held);
    reply::json(&Whoami {
        subject: record.kind,
        groups: record.groups.clone(),
        permissions: permissions.map(|permission| permission.as_str().to_owned()).collect(),
        person,
    })
}
