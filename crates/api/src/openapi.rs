//! The OpenAPI 3.1 document, made from the route table and the wire types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::problem::Problem;
use crate::routes::{Access, BodyLimit, ROUTES, Route};
use crate::wire;

/// The document.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*", "{");
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(operations) = operations.as_object_mut() {
            operations.insert(route.method.to_lowercase(), operation(route, &mut generator));
        }
    }
    let problem = generator.subschema_for::<Problem>();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lockgate",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Promote artifacts with proof",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "What is wrong, with a stable reason code",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "responses": {
            "200": { "description": "Done", "content": reply(route, generator) },
            "default": { "$ref": "#/components/responses/Problem" },
        },
        "x-lockgate-access-event": route.event,
    });
    let Some(object) = operation.as_object_mut() else { return operation };
    match route.access {
        Access::Public => {}
        Access::SignedIn => {
            object.insert("security".to_owned(), json!([{ "token": [] }]));
        }
        Access::Permission(permission) => {
            object.insert("security".to_owned(), json!([{ "token": [permission] }]));
        }
        Access::AnyOf(permissions) => {
            let each: Vec<Value> = permissions.iter().map(|permission| json!({ "token": [permission] })).collect();
            object.insert("security".to_owned(), Value::Array(each));
        }
    }
    let parameters = parameters(route);
    if !parameters.is_empty() {
        object.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(body) = request(route, generator) {
        object.insert("requestBody".to_owned(), json!({ "required": true, "content": body }));
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(query(route).iter().map(
        |(name, required)| json!({ "name": name, "in": "query", "required": required, "schema": { "type": "string" } }),
    ));
    if matches!(route.body, BodyLimit::Json | BodyLimit::LargeJson) && route.access != Access::Public {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key and request give the same reply", "schema": { "type": "string", "maxLength": 128 },
        }));
    }
    parameters
}

/// What may stand in the query, and whether it has to.
fn query(route: &Route) -> &'static [(&'static str, bool)] {
    match route.name {
        "grant" => &[("artifact", true), ("service", true), ("environment", true)],
        "status" => &[("after", false), ("service", false), ("limit", false)],
        "suspects" => &[("since", false)],
        "history" => &[
            ("stream", false),
            ("artifact", false),
            ("service", false),
            ("person", false),
            ("environment", false),
            ("event", false),
            ("text", false),
            ("since", false),
            ("until", false),
            ("outcome", false),
            ("policy", false),
            ("build", false),
            ("before", false),
            ("limit", false),
        ],
        "page-timeline" => &[
            ("stream", false),
            ("artifact", false),
            ("service", false),
            ("person", false),
            ("environment", false),
            ("event", false),
            ("text", false),
            ("since", false),
            ("until", false),
            ("outcome", false),
            ("policy", false),
            ("build", false),
            ("before", false),
        ],
        "matrix" => &[
            ("q", false),
            ("environment", false),
            ("state", false),
            ("days", false),
            ("releases", false),
            ("after", false),
            ("limit", false),
        ],
        "page-pipeline" => &[
            ("q", false),
            ("environment", false),
            ("state", false),
            ("days", false),
            ("releases", false),
            ("dense", false),
            ("view", false),
            ("after", false),
        ],
        "drift" => &[
            ("q", false),
            ("environment", false),
            ("state", false),
            ("days", false),
            ("after", false),
            ("limit", false),
        ],
        "page-drift" => &[("q", false), ("environment", false), ("state", false), ("days", false), ("after", false)],
        "page-changes" => &[("state", false)],
        "page-evidence" => &[("q", false)],
        "metrics" | "page-metrics" => &[("since", false)],
        "page-diff" => &[("from", true), ("to", true), ("environment", false)],
        "inbox" | "page-inbox" => &[("after", false)],
        "service" | "page-service" => &[("before", false)],
        "diff" => &[("from", true), ("to", true), ("environment", false)],
        "where" => &[("query", true), ("at", false), ("environment", false), ("limit", false)],
        "consistency" => &[("from", true)],
        "access-who" => &[("service", false), ("environment", false)],
        "events" => &[("from", false)],
        "sessions" | "session-end" | "identities" => &[("person", false)],
        "oidc-start" => &[("return", false), ("cli_port", false), ("cli_challenge", false)],
        "oidc-callback" => &[("state", true), ("code", false), ("error", false), ("iss", false)],
        "approval-document" => &[("verdict", false), ("comment", false), ("opened", false), ("evidence", false)],
        "access-log" => &[
            ("person", false),
            ("action", false),
            ("outcome", false),
            ("since", false),
            ("until", false),
            ("before", false),
            ("limit", false),
        ],
        "access-entries" => &[("from", true), ("limit", false)],
        _ => &[],
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({ "application/json": { "schema": generator.subschema_for::<T>() } })
}

fn request(route: &Route, generator: &mut SchemaGenerator) -> Option<Value> {
    Some(match route.name {
        "setup" | "enrol" => schema::<wire::Enrolment>(generator),
        "challenge" => schema::<wire::ChallengeRequest>(generator),
        "sign-in" => schema::<wire::SessionRequest>(generator),
        "handover" => schema::<wire::HandoverRequest>(generator),
        "handover-claim" => schema::<wire::HandoverClaim>(generator),
        "oidc-session" | "oidc-account" => schema::<wire::OidcCode>(generator),
        "identity-bind" => schema::<wire::IdentityBinding>(generator),
        "identity-unbind" => schema::<wire::IdentityEnd>(generator),
        "key-add" => schema::<wire::NewKey>(generator),
        "passkey-document" => schema::<wire::PasskeyOffer>(generator),
        "passkey-hand-in" => schema::<wire::PasskeyRequest>(generator),
        "key-revoke" => schema::<wire::Revocation>(generator),
        "key-rotate" => schema::<wire::Rotation>(generator),
        "key-recover" => schema::<wire::Recovery>(generator),
        "suspend" | "reinstate" => schema::<wire::Standing>(generator),
        "change-sign" => schema::<wire::ChangeSignatureRequest>(generator),
        "change-reject" => schema::<wire::ChangeRejectionRequest>(generator),
        "policy-activate" => schema::<wire::Activation>(generator),
        "ci-token" => schema::<wire::CiTokenRequest>(generator),
        "ci-trust" => schema::<wire::CiTrustRequest>(generator),
        "ci-untrust" => schema::<wire::CiTrustEnd>(generator),
        "waive" => schema::<wire::Waiver>(generator),
        "access-review-sign" => schema::<wire::ReviewRequest>(generator),
        "drill-record" => schema::<wire::DrillRequest>(generator),
        "publish" => schema::<wire::PublishRequest>(generator),
        "attest" => schema::<wire::AttestRequest>(generator),
        "promote" | "rollback" => schema::<wire::PromoteRequest>(generator),
        "approve" => schema::<wire::ApprovalRequest>(generator),
        "approval-withdraw" => schema::<wire::TakeBackRequest>(generator),
        "delegate" => schema::<wire::NewDelegation>(generator),
        "delegation-end" => schema::<wire::EndDelegation>(generator),
        "freeze" => schema::<wire::NewFreeze>(generator),
        "freeze-lift" => schema::<wire::FreezeLift>(generator),
        "break-glass" => schema::<wire::NewBreakGlass>(generator),
        "break-glass-sign" => schema::<wire::BreakGlassCountersignature>(generator),
        "break-glass-review" => schema::<wire::BreakGlassReviewRequest>(generator),
        "withdraw" => schema::<wire::WithdrawRequest>(generator),
        "waiver-request" => schema::<wire::WaiverRequest>(generator),
        "snooze" => schema::<wire::SnoozeRequest>(generator),
        "pin" => schema::<wire::PinRequest>(generator),
        "waiver-revoke" => schema::<wire::WaiverEnd>(generator),
        "blob-put" | "feed-update" => json!({ "application/octet-stream": {} }),
        _ => return None,
    })
}

fn reply(route: &Route, generator: &mut SchemaGenerator) -> Value {
    match route.name {
        name if name.starts_with("page-") => json!({ "text/html": {} }),
        "history-csv" => json!({ "text/csv": {} }),
        "asset" => json!({ "text/javascript": {}, "text/css": {}, "image/svg+xml": {} }),
        "passkey-document" | "approval-document" => schema::<wire::SignableDocument>(generator),
        "passkey-hand-in" => schema::<wire::PasskeyCode>(generator),
        "passkey-waiting" => schema::<wire::PasskeyWaiting>(generator),
        "passkey-keys" => schema::<wire::PasskeyKeys>(generator),
        "checkpoint" | "access-checkpoint" => json!({ "text/plain": {} }),
        "access-entries" => json!({ "application/jsonl": {} }),
        "access-log" => schema::<wire::AccessLogReply>(generator),
        "tile" | "blob-get" => json!({ "application/octet-stream": {} }),
        "events" => json!({ "text/event-stream": {} }),
        "server" => schema::<wire::ServerInfo>(generator),
        "consistency" => schema::<wire::ConsistencyReply>(generator),
        "challenge" => schema::<wire::Challenge>(generator),
        "sign-in" | "oidc-session" => schema::<wire::SessionReply>(generator),
        "handover" => schema::<wire::HandoverReply>(generator),
        "handover-claim" => schema::<wire::HandoverClaimed>(generator),
        "inbox" => schema::<wire::InboxReply>(generator),
        "matrix" => schema::<wire::MatrixReply>(generator),
        "drift" => schema::<wire::DriftReply>(generator),
        "metrics" => schema::<wire::MetricsReply>(generator),
        "service" => schema::<wire::ServiceReply>(generator),
        "release" => schema::<wire::ReleaseReply>(generator),
        "sessions" => schema::<Vec<wire::SessionRow>>(generator),
        "session-end" => schema::<wire::EndedSessions>(generator),
        "oidc-account" => schema::<wire::AccountReply>(generator),
        "identities" => schema::<Vec<wire::IdentityRow>>(generator),
        "identity-bind" | "identity-unbind" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "ci-token" => schema::<wire::CiTokenReply>(generator),
        "ci-trusts" => schema::<Vec<wire::CiTrustRow>>(generator),
        "whoami" => schema::<wire::Whoami>(generator),
        "people" => schema::<Vec<wire::PersonRow>>(generator),
        "suspects" => schema::<Vec<wire::SuspectRow>>(generator),
        "changes" => schema::<Vec<wire::ChangeRow>>(generator),
        "change" => schema::<wire::ChangeReply>(generator),
        "key-rotate" | "key-recover" | "suspend" | "reinstate" | "change-sign" | "change-reject" => {
            schema::<wire::Acknowledged<wire::Changed>>(generator)
        }
        "access-of" => schema::<wire::AccessReply>(generator),
        "access-who" => schema::<wire::HoldersReply>(generator),
        "access-review" => schema::<wire::ReviewReply>(generator),
        "access-review-sign" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "drill-record" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "ci-trust" | "ci-untrust" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "setup" | "enrol" | "key-add" | "key-revoke" | "policy-activate" | "waive" => {
            schema::<wire::Acknowledged<wire::Changed>>(generator)
        }
        "waivers" => schema::<Vec<wire::WaiverRow>>(generator),
        "waiver-request" | "waiver-revoke" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "feeds" => schema::<Vec<wire::FeedRow>>(generator),
        "feed-update" => schema::<wire::Acknowledged<wire::FeedReply>>(generator),
        "blob-put" => schema::<wire::Stored>(generator),
        "publish" => schema::<wire::Acknowledged<wire::Published>>(generator),
        "attest" => schema::<wire::Acknowledged<wire::Attested>>(generator),
        "promote" | "rollback" => schema::<wire::Acknowledged<wire::Promoted>>(generator),
        "why" => schema::<wire::PromotionReply>(generator),
        "approve" => schema::<wire::Acknowledged<wire::Approved>>(generator),
        "approval-withdraw" => schema::<wire::Acknowledged<wire::TakenBack>>(generator),
        "delegate" | "delegation-end" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "delegations" => schema::<Vec<wire::DelegationRow>>(generator),
        "freeze" | "freeze-lift" | "break-glass-review" => schema::<wire::Acknowledged<wire::Changed>>(generator),
        "freezes" => schema::<Vec<wire::FreezeRow>>(generator),
        "break-glass" | "break-glass-sign" => schema::<wire::Acknowledged<wire::BreakGlassReply>>(generator),
        "break-glasses" => schema::<Vec<wire::BreakGlassRow>>(generator),
        "approvers" => schema::<wire::ApproversReply>(generator),
        "withdraw" => schema::<wire::Acknowledged<wire::Withdrawn>>(generator),
        "grant" => schema::<wire::GrantReply>(generator),
        "status" => schema::<wire::StatusReply>(generator),
        "history" => schema::<wire::HistoryReply>(generator),
        "diff" => schema::<wire::DiffReply>(generator),
        "where" => schema::<wire::WhereReply>(generator),
        _ => json!({ "application/json": {} }),
    }
}
