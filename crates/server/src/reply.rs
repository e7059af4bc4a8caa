//! Replies: JSON, proofs, problems.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::Logged;
use lockgate_api::{Problem, ProblemKind};
use lockgate_engine::{Engine, Fault, Kind, Receipt};
use serde::Serialize;
use serde_json::Value;

/// Maps an engine's fault to the wire's kind: exhaustive, without a wildcard arm.
pub fn problem_kind(kind: Kind) -> ProblemKind {
    match kind {
        Kind::Invalid => ProblemKind::Invalid,
        Kind::TooLarge => ProblemKind::TooLarge,
        Kind::Unauthenticated => ProblemKind::Unauthenticated,
        Kind::NotPermitted => ProblemKind::NotPermitted,
        Kind::Denied => ProblemKind::Denied,
        Kind::NotFound => ProblemKind::NotFound,
        Kind::Conflict => ProblemKind::Conflict,
        Kind::Misdirected => ProblemKind::Misdirected,
        Kind::RateLimited => ProblemKind::RateLimited,
        Kind::Unavailable => ProblemKind::Unavailable,
        Kind::Integrity => ProblemKind::Integrity,
        Kind::Bug => ProblemKind::Bug,
    }
}

/// A response with a content type.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON reply.
///
/// # Errors
/// A bug, when the value does not serialise.
pub fn json<T: Serialize>(value: &T) -> Result<Response, Fault> {
    let bytes = serde_json::to_vec(value).map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok(typed(StatusCode::OK, "application/json", bytes))
}

/// The problem body for a method that a path does not have.
pub fn method_unknown() -> Response {
    let mut problem = Problem::new(ProblemKind::Invalid, "METHOD_UNKNOWN", "this path has other methods", None);
    problem.status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    let bytes = serde_json::to_vec(&problem).unwrap_or_default();
    typed(StatusCode::METHOD_NOT_ALLOWED, "application/problem+json", bytes)
}

/// A fault as the reason why nothing should be sent here: whoever balances load reads the status alone.
pub fn not_ready(fault: &Fault) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = Problem { status: status.as_u16(), ..problem_of(fault) };
    typed(status, "application/problem+json", serde_json::to_vec(&problem).unwrap_or_default())
}

/// What the outside is told of a fault; its context stays in the server's log.
pub fn problem_of(fault: &Fault) -> Problem {
    Problem {
        replaced_by: fault.replaced_by.as_deref().copied(),
        ..Problem::new(problem_kind(fault.kind), fault.code, fault.message.clone(), fault.hint.clone())
    }
}

/// A fault as a problem body.
pub fn problem(fault: &Fault) -> Response {
    let problem = problem_of(fault);
    let bytes = serde_json::to_vec(&problem).unwrap_or_default();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = typed(status, "application/problem+json", bytes);
    if matches!(fault.kind, Kind::Unavailable | Kind::RateLimited) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(fault.retry_after_secs.unwrap_or(1)));
    }
    response
}

/// The reply to a write: the result, the index, the inclusion proof and the signed checkpoint.
///
/// # Errors
/// `PROOF_FAILED`.
pub fn acknowledged(engine: &Engine, receipt: Receipt) -> Result<Response, Fault> {
    lockgate_failpoint::point("reply.begun");
    let mut reply = serde_json::Map::new();
    reply.insert("result".to_owned(), receipt.value.clone());
    if let Some(logged) = logged(engine, &receipt)? {
        let logged =
            serde_json::to_value(logged).map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
        reply.insert("logged".to_owned(), logged);
    }
    lockgate_failpoint::point("reply.made");
    json(&Value::Object(reply))
}

fn logged(engine: &Engine, receipt: &Receipt) -> Result<Option<Logged>, Fault> {
    let (Some(index), Some(leaf)) = (receipt.index, receipt.leaf) else { return Ok(None) };
    let path = engine.inclusion(index, &leaf, &receipt.head)?;
    Ok(Some(Logged {
        index: index.0,
        leaf,
        proof: path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect(),
        checkpoint: receipt.head.checkpoint.clone(),
        repeated: receipt.repeated,
    }))
}
