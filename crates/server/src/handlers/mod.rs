//! Handlers, by the name of their route.

mod blobs;
mod governance;
mod log;
mod promotions;
mod reading;
mod releases;
mod sign_in;

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use lockgate_engine::{Engine, Fault, Kind, Receipt, Submission};
use std::sync::Arc;

use crate::call::Call;
use crate::reply;

/// What a handler gives.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send>>;
/// A handler.
pub type Handler = fn(Call) -> Answer;

macro_rules! table {
    ($name:expr; $($route:literal => $handler:path),* $(,)?) => {
        match $name {
            $($route => Some((|call| Box::pin($handler(call))) as Handler),)*
            _ => None,
        }
    };
}

/// The handler of a route.
pub fn by_name(name: &str) -> Option<Handler> {
    table!(name;
        "home" => reading::home,
        "health" => reading::health,
        "openapi" => reading::openapi,
        "server" => reading::server,
        "status" => reading::status,
        "history" => reading::history,
        "diff" => reading::diff,
        "checkpoint" => log::checkpoint,
        "tile" => log::tile,
        "trust" => log::trust,
        "consistency" => log::consistency,
        "events" => log::events,
        "setup" => governance::setup,
        "people" => governance::people,
        "enrol" => governance::enrol,
        "key-add" => governance::key_add,
        "key-revoke" => governance::key_revoke,
        "policy" => governance::policy,
        "policy-activate" => governance::policy_activate,
        "waive" => governance::waive,
        "challenge" => sign_in::challenge,
        "sign-in" => sign_in::sign_in,
        "sign-out" => sign_in::sign_out,
        "whoami" => sign_in::whoami,
        "blob-put" => blobs::put,
        "blob-get" => blobs::get,
        "blob-head" => blobs::head,
        "publish" => releases::publish,
        "attest" => releases::attest,
        "promote" => promotions::promote,
        "rollback" => promotions::rollback,
        "why" => promotions::why,
        "bundle" => promotions::bundle,
        "approve" => promotions::approve,
        "withdraw" => promotions::withdraw,
        "grant" => promotions::grant,
    )
}

/// Runs what may take long or read much away from the network threads.
async fn heavy<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Fault {
            context: Some(error.to_string()),
            ..Fault::new(Kind::Bug, "TASK_FAILED", "the request failed inside the server")
        })
    })
}

/// Hands a write to the sequencer and waits until it is durable and covered by a signed checkpoint.
async fn submit(engine: &Arc<Engine>, submission: Submission) -> Result<Receipt, Fault> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    engine.submit(
        submission,
        Box::new(move |result| {
            // A caller that went away is told nothing; what was written stays.
            let _ = sender.send(result);
        }),
    );
    receiver.await.unwrap_or_else(|_| Err(Fault::new(Kind::Unavailable, "STOPPING", "the server is stopping")))
}

/// A write and its reply. What it needs of the call is taken before the first wait.
fn write(call: &Call, submission: Submission) -> impl Future<Output = Result<Response, Fault>> + Send + use<> {
    let (engine, key) = (call.engine().clone(), call.idempotency());
    async move {
        let receipt = submit(&engine, submission.keyed(key?)).await?;
        reply::acknowledged(&engine, receipt)
    }
}
