//! Drills: what came of attacks on a copy of the data.

use axum::response::Response;
use lockgate_api::wire::DrillRequest;
use lockgate_engine::{Fault, drills};

use super::write;
use crate::call::Call;

/// `POST /v1/drills`.
pub async fn record(call: Call) -> Result<Response, Fault> {
    let request: DrillRequest = call.body()?;
    let submission = drills::record(call.engine(), call.person()?, request.report.into_bytes())?;
    write(&call, submission).await
}
