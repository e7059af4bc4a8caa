//! Sign-in: challenge, session, whoami.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{Challenge, ChallengeRequest, SessionReply, SessionRequest, Whoami};
use lockgate_engine::{Fault, Kind, session};

use super::heavy;
use crate::call::Call;
use crate::reply;

/// `POST /v1/challenges`.
pub async fn challenge(call: Call) -> Result<Response, Fault> {
    let request: ChallengeRequest = call.body()?;
    let challenge = session::challenge(call.engine(), &call.app.challenges, request.person)?;
    reply::json(&Challenge { ledger: call.engine().governance()?.origin().to_owned(), challenge })
}

/// `POST /v1/sessions`.
pub async fn sign_in(call: Call) -> Result<Response, Fault> {
    let request: SessionRequest = call.body()?;
    let app = call.app.clone();
    let signed_in = heavy(move || {
        session::sign_in(&app.engine, &app.challenges, &request.person, &request.challenge, &request.signature)
    })
    .await?;
    reply::json(&SessionReply { token: signed_in.token, person: signed_in.person, expires_at: signed_in.expires })
}

/// `DELETE /v1/sessions`.
pub async fn sign_out(call: Call) -> Result<Response, Fault> {
    let engine = call.engine().clone();
    let token = call.token.clone().unwrap_or_default();
    heavy(move || session::sign_out(&engine, &token)).await?;
    Ok(reply::typed(StatusCode::OK, "application/json", "{}"))
}

/// `GET /v1/whoami`.
pub async fn whoami(call: Call) -> Result<Response, Fault> {
    let person = call.person()?;
    let governance = call.engine().governance()?;
    let record = governance
        .person(&person)
        .ok_or_else(|| Fault::new(Kind::Unauthenticated, "PERSON_UNKNOWN", format!("`{person}` is not enrolled")))?;
    let permissions = governance.policy.permissions_of(&record.groups);
    reply::json(&Whoami {
        subject: record.kind,
        groups: record.groups.clone(),
        permissions: permissions.iter().map(|permission| permission.as_str().to_owned()).collect(),
        person,
    })
}
