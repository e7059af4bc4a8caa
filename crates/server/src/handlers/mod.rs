//! Handlers, by the name of their route.

mod access_log;
mod assets;
mod blobs;
mod bundle;
mod changes;
mod ci;
mod dashboard;
mod delegations;
mod drift;
mod drills;
mod emergency;
mod feeds;
mod governance;
mod handover;
mod history;
mod inbox;
mod log;
mod matrix;
mod metrics;
mod oidc;
pub mod pages;
mod passkeys;
mod promotions;
mod reading;
mod releases;
mod rights;
mod services;
mod sign_in;
mod waivers;
mod whereabouts;
mod whole;

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use lockgate_engine::{Engine, Fault, Kind, Receipt, Submission};
use std::sync::Arc;
use tokio::task::JoinHandle;

use crate::call::Call;
use crate::reply;

/// What a handler gives.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send>>;
/// A handler.
pub type Handler = fn(Call) -> Answer;

macro_rules! handlers {
    ($($route:literal => $handler:path),* $(,)?) => {
        /// Every handler, by the name of its route.
        const HANDLERS: &[(&str, Handler)] = &[$(($route, (|call| Box::pin($handler(call))) as Handler)),*];
    };
}

handlers! {
    "health" => reading::health,
    "ready" => reading::ready,
    "openapi" => reading::openapi,
    "server" => reading::server,
    "status" => reading::status,
    "inbox" => inbox::inbox,
    "snooze" => inbox::snooze,
    "wake" => inbox::wake,
    "matrix" => matrix::matrix,
    "pin" => matrix::pin,
    "drift" => drift::drift,
    "metrics" => metrics::metrics,
    "service" => services::service,
    "release" => services::release,
    "history" => history::history,
    "history-csv" => history::export,
    "diff" => reading::diff,
    "where" => whereabouts::find,
    "checkpoint" => log::checkpoint,
    "tile" => log::tile,
    "trust" => log::trust,
    "consistency" => log::consistency,
    "events" => log::events,
    "access-log" => access_log::list,
    "access-checkpoint" => access_log::checkpoint,
    "access-entries" => access_log::entries,
    "page-pipeline" => dashboard::pipeline,
    "page-promotion" => dashboard::promotion,
    "page-inbox" => dashboard::inbox,
    "page-service" => dashboard::service,
    "page-release" => dashboard::release,
    "page-evidence" => dashboard::evidence,
    "page-diff" => dashboard::diff,
    "page-timeline" => dashboard::timeline,
    "page-log" => dashboard::log,
    "page-keys" => dashboard::keys,
    "page-access" => dashboard::access,
    "page-access-review" => dashboard::access_review,
    "page-access-log" => dashboard::access_log,
    "page-policy" => dashboard::policy,
    "page-freeze" => dashboard::freeze,
    "page-metrics" => dashboard::metrics,
    "page-drift" => dashboard::drift,
    "page-changes" => dashboard::changes,
    "page-change" => dashboard::change,
    "page-enrol" => pages::enrol,
    "page-sign-in" => pages::sign_in,
    "page-approve" => pages::approve,
    "asset" => assets::get,
    "passkey-document" => passkeys::document,
    "passkey-hand-in" => passkeys::hand_in,
    "passkey-waiting" => passkeys::waiting,
    "passkey-keys" => passkeys::keys,
    "approval-document" => passkeys::approval_document,
    "setup" => governance::setup,
    "people" => governance::people,
    "access-of" => rights::of_person,
    "access-who" => rights::holders,
    "access-review" => rights::review,
    "access-review-sign" => rights::review_sign,
    "enrol" => governance::enrol,
    "key-add" => governance::key_add,
    "key-revoke" => governance::key_revoke,
    "key-rotate" => changes::rotate,
    "key-recover" => changes::recover,
    "suspend" => changes::suspend,
    "reinstate" => changes::reinstate,
    "suspects" => changes::suspects,
    "changes" => changes::list,
    "change" => changes::show,
    "change-sign" => changes::sign,
    "change-reject" => changes::reject,
    "policy" => governance::policy,
    "policy-activate" => governance::policy_activate,
    "waive" => governance::waive,
    "waivers" => waivers::list,
    "waiver-request" => waivers::request,
    "waiver-revoke" => waivers::revoke,
    "drill-record" => drills::record,
    "feeds" => feeds::list,
    "feed-update" => feeds::update,
    "ci-token" => ci::exchange,
    "ci-trusts" => ci::trusts,
    "ci-trust" => ci::trust,
    "ci-untrust" => ci::untrust,
    "challenge" => sign_in::challenge,
    "sign-in" => sign_in::sign_in,
    "sign-out" => sign_in::sign_out,
    "sessions" => sign_in::sessions,
    "session-end" => sign_in::session_end,
    "handover" => handover::make,
    "handover-claim" => handover::claim,
    "oidc-start" => oidc::start,
    "oidc-callback" => oidc::callback,
    "oidc-session" => oidc::session,
    "oidc-account" => oidc::account,
    "identities" => oidc::list,
    "identity-bind" => oidc::bind,
    "identity-unbind" => oidc::unbind,
    "whoami" => sign_in::whoami,
    "blob-put" => blobs::put,
    "blob-get" => blobs::get,
    "blob-head" => blobs::head,
    "publish" => releases::publish,
    "attest" => releases::attest,
    "promote" => promotions::promote,
    "rollback" => promotions::rollback,
    "why" => promotions::why,
    "facts" => promotions::facts,
    "bundle" => bundle::get,
    "approve" => promotions::approve,
    "approval-withdraw" => delegations::withdraw_approval,
    "delegations" => delegations::list,
    "delegate" => delegations::grant,
    "delegation-end" => delegations::end,
    "approvers" => delegations::approvers_list,
    "freezes" => emergency::freezes,
    "freeze" => emergency::order,
    "freeze-lift" => emergency::lift,
    "break-glasses" => emergency::break_glasses,
    "break-glass" => emergency::open,
    "break-glass-sign" => emergency::sign,
    "break-glass-review" => emergency::review,
    "withdraw" => promotions::withdraw,
    "grant" => promotions::grant,
}

/// The handler of a route.
pub fn by_name(name: &str) -> Option<Handler> {
    HANDLERS.iter().find(|(route, _)| *route == name).map(|(_, handler)| *handler)
}

/// Runs what may take long or read much away from the network threads.
async fn heavy<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Waits for a task. It goes on to its end also where its caller has gone away and nobody waits for it.
async fn joined<T>(task: JoinHandle<Result<T, Fault>>) -> Result<T, Fault> {
    task.await.unwrap_or_else(|error| {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lockgate_api::ROUTES;

    use super::*;

    #[test]
    fn each_handler_stands_once_and_serves_a_route() {
        let names: BTreeSet<_> = HANDLERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), HANDLERS.len());
        assert_eq!(names, ROUTES.iter().map(|route| route.name).collect());
    }
}
