//! Hand-overs: a session of the command line goes on in a browser.

use axum::response::Response;
use lockgate_api::wire::{HandoverClaim, HandoverClaimed, HandoverReply, HandoverRequest};
use lockgate_engine::Fault;
use lockgate_engine::session::handover;

use super::heavy;
use crate::call::Call;
use crate::cookie;
use crate::reply;

/// `POST /v1/handovers`.
pub async fn make(call: Call) -> Result<Response, Fault> {
    let HandoverRequest {} = call.body()?;
    let (app, token) = (call.app.clone(), call.token.clone().unwrap_or_default());
    let made = heavy(move || handover::make(&app.engine, &app.handovers, &token)).await?;
    reply::json(&HandoverReply { code: made.code, expires_at: made.until })
}

/// `POST /v1/handovers/claims`: without a name says whose session it is; with that name opens it in this browser.
///
/// INVARIANT (nobody becomes somebody unasked): the page shows the name and asks before it sends it, so that a link
/// with the code of somebody else's session signs nobody in behind their back.
pub async fn claim(call: Call) -> Result<Response, Fault> {
    let HandoverClaim { code, person } = call.body()?;
    let app = call.app.clone();
    let Some(person) = person else {
        let offered = handover::look(&app.engine, &app.handovers, &code)?;
        let claimed = HandoverClaimed { person: offered.person, signed_in: false, expires_at: offered.expires };
        return reply::json(&claimed);
    };
    let signed_in = heavy(move || handover::claim(&app.engine, &app.handovers, &code, &person)).await?;
    let claimed = HandoverClaimed { person: signed_in.person, signed_in: true, expires_at: signed_in.expires };
    let mut response = reply::json(&claimed)?;
    cookie::set_session(&mut response, &call.app.front.hosts, &call.headers, &signed_in.token)?;
    Ok(response)
}
