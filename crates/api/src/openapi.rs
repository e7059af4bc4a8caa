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
    let query: &[(&str, bool)] = match route.name {
        "grant" => &[("artifact", true), ("service", true), ("environment", true)],
        "status" => &[("after", false), ("service", false), ("limit", false)],
        "history" => &[("stream", false), ("before", false), ("limit", false)],
        "diff" => &[("from", true), ("to", true)],
        "consistency" => &[("from", true)],
        "events" => &[("from", false)],
        _ => &[],
    };
    parameters.extend(query.iter().map(
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

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({ "application/json": { "schema": generator.subschema_for::<T>() } })
}

fn request(route: &Route, generator: &mut SchemaGenerator) -> Option<Value> {
    Some(match route.name {
        "setup" | "enrol" => schema::<wire::Enrolment>(generator),
        "challenge" => schema::<wire::ChallengeRequest>(generator),
        "sign-in" => schema::<wire::SessionRequest>(generator),
        "key-add" => schema::<wire::NewKey>(generator),
        "key-revoke" => schema::<wire::Revocation>(generator),
        "policy-activate" => schema::<wire::Activation>(generator),
        "waive" => schema::<wire::Waiver>(generator),
        "publish" => schema::<wire::PublishRequest>(generator),
        "attest" => schema::<wire::AttestRequest>(generator),
        "promote" | "rollback" => schema::<wire::PromoteRequest>(generator),
        "approve" => schema::<wire::ApprovalRequest>(generator),
        "withdraw" => schema::<wire::WithdrawRequest>(generator),
        "blob-put" => json!({ "application/octet-stream": {} }),
        _ => return None,
    })
}

fn reply(route: &Route, generator: &mut SchemaGenerator) -> Value {
    match route.name {
        "home" => json!({ "text/html": {} }),
        "checkpoint" => json!({ "text/plain": {} }),
        "tile" | "blob-get" => json!({ "application/octet-stream": {} }),
        "events" => json!({ "text/event-stream": {} }),
        "server" => schema::<wire::ServerInfo>(generator),
        "consistency" => schema::<wire::ConsistencyReply>(generator),
        "challenge" => schema::<wire::Challenge>(generator),
        "sign-in" => schema::<wire::SessionReply>(generator),
        "whoami" => schema::<wire::Whoami>(generator),
        "people" => schema::<Vec<wire::PersonRow>>(generator),
        "setup" | "enrol" | "key-add" | "key-revoke" | "policy-activate" | "waive" => {
            schema::<wire::Acknowledged<wire::Changed>>(generator)
        }
        "blob-put" => schema::<wire::Stored>(generator),
        "publish" => schema::<wire::Acknowledged<wire::Published>>(generator),
        "attest" => schema::<wire::Acknowledged<wire::Attested>>(generator),
        "promote" | "rollback" => schema::<wire::Acknowledged<wire::Promoted>>(generator),
        "why" => schema::<wire::PromotionReply>(generator),
        "approve" => schema::<wire::Acknowledged<wire::Approved>>(generator),
        "withdraw" => schema::<wire::Acknowledged<wire::Withdrawn>>(generator),
        "grant" => schema::<wire::GrantReply>(generator),
        "status" => schema::<wire::StatusReply>(generator),
        "history" => schema::<wire::HistoryReply>(generator),
        "diff" => schema::<wire::DiffReply>(generator),
        _ => json!({ "application/json": {} }),
    }
}
