//! Dispatch: the one way from a request to a handler.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http_body_util::{BodyExt as _, Limited};
use lockgate_api::routes::{BodyLimit, Rate};
use lockgate_api::{Access, ROUTES, Route};
use lockgate_engine::integrity::Log;
use lockgate_engine::session::{self, Caller};
use lockgate_engine::{Fault, Kind, authorise};
use lockgate_model::{Limits, PersonId, json};
use lockgate_policy::{Object, Permission};

use crate::app::App;
use crate::call::Call;
use crate::compression;
use crate::cookie;
use crate::csrf;
use crate::demand;
use crate::guard;
use crate::handlers::{self, Handler};
use crate::query;
use crate::records::Stranger;
use crate::reply;
use crate::witness::{Witness, kept, object_of};

/// How often an open stream asks whether its session still counts.
const RECHECK: Duration = Duration::from_secs(2);
/// How long a client may take to send a JSON body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The router: every row of the table with its handler.
///
/// # Errors
/// When a row has no handler, or a method that is not known: then nothing is served.
pub fn router(app: Arc<App>) -> Result<Router, String> {
    let mut router = Router::new();
    for route in ROUTES {
        let handler =
            handlers::by_name(route.name).ok_or_else(|| format!("the route `{}` has no handler", route.name))?;
        let method = Method::from_bytes(route.method.as_bytes()).map_err(|error| error.to_string())?;
        let filter = MethodFilter::try_from(method).map_err(|error| error.to_string())?;
        let app = app.clone();
        let serve = move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
            // A part that is not UTF-8 is refused where everything else is, so that it is recorded.
            let path = params
                .map(|params| params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
                .map_err(|_| Fault::invalid("PATH_INVALID", "the path is not UTF-8"));
            dispatch(app, route, handler, path, request)
        };
        router = router.route(route.path, on(filter, serve));
    }
    let (here, there) = (app.clone(), app);
    let unknown = move |request: Request| {
        let problem =
            reply::problem(&Fault::not_found("ROUTE_UNKNOWN", "there is nothing here").hint("see /openapi.json"));
        no_route(here, request, problem, "ROUTE_UNKNOWN")
    };
    let method = move |request: Request| no_route(there, request, reply::method_unknown(), "METHOD_UNKNOWN");
    let router = router.fallback(unknown).method_not_allowed_fallback(method);
    Ok(router.layer(axum::middleware::from_fn(guard::harden)))
}

fn address_of(request: &Request) -> IpAddr {
    request.extensions().get::<IpAddr>().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Answers what no route is for; that is recorded and limited like everything else.
async fn no_route(app: Arc<App>, request: Request, problem: Response, code: &'static str) -> Response {
    let address = address_of(&request);
    // Without the query, and without what is no word of a path: nobody should keep that.
    let object = format!("{} {}", kept(request.method().as_str()), kept(request.uri().path()));
    drop(request);
    let witness = match Witness::begin(&app, address, "unknown", &object, Stranger::Answered).await {
        Ok(witness) => witness,
        Err(fault) => return reply::problem(&fault),
    };
    let now = app.engine.inner().now();
    let (problem, code) = match app.rates.anonymous(address, Rate::Read, now) {
        Ok(()) => (problem, code),
        Err(fault) if !app.rates.is_news(address, now) => {
            witness.forget();
            return reply::problem(&fault);
        }
        Err(fault) => (reply::problem(&fault), fault.code),
    };
    witness.answered(problem.status().as_u16(), Some(code));
    problem
}

async fn dispatch(
    app: Arc<App>,
    route: &'static Route,
    handler: Handler,
    path: Result<BTreeMap<String, String>, Fault>,
    request: Request,
) -> Response {
    let address = address_of(&request);
    let object = path.as_ref().map(object_of).unwrap_or_default();
    let wanted = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let coding = compression::of_reply(route, request.headers());
    let mut witness = match Witness::begin(&app, address, route.event, &object, Stranger::at(route)).await {
        Ok(witness) => witness,
        Err(fault) => {
            tracing::warn!(event = route.event, code = fault.code, %address, "not recorded and so not done");
            return reply::problem(&fault);
        }
    };
    let admitted = match path {
        Ok(path) => admit(app.clone(), route, path, address, request, &mut witness).await,
        Err(fault) => Err(fault),
    };
    let (result, person) = match admitted {
        Ok(call) => {
            let person = call.person.clone();
            (handler(call).await, person)
        }
        // INVARIANT (a flood leaves few traces): who is told to wait, and does not, is recorded once a second.
        Err(fault) if fault.kind == Kind::RateLimited && !app.rates.is_news(address, app.engine.inner().now()) => {
            witness.forget();
            return reply::problem(&fault);
        }
        Err(fault) => (Err(fault), None),
    };
    if let Err(fault) = &result {
        app.engine.integrity().note(log_of(route), fault);
    }
    let result = slow_down(&app, route, &witness, address, result);
    let code = result.as_ref().err().map(|fault| fault.code);
    let response = result.unwrap_or_else(|fault| {
        if let Some(context) = &fault.context {
            // Quoted: it may repeat what a caller sent, line breaks too.
            tracing::warn!(event = route.event, code = fault.code, ?context, "refused");
        }
        tracing::info!(event = route.event, code = fault.code, %address, "refused");
        match route.is_page() {
            // Whoever is refused at a page for everyone, such as the one to sign in on, would be sent there again.
            true => handlers::pages::refused(&fault, (route.access != Access::Public).then_some(wanted.as_str())),
            false => reply::problem(&fault),
        }
    });
    let response = compression::apply(coding, response).await;
    let person = person.as_ref().map(PersonId::as_str).unwrap_or("-");
    tracing::debug!(event = route.event, person, %address, status = response.status().as_u16(), "served");
    witness.answered(response.status().as_u16(), code);
    response
}

/// Which log a route reads.
fn log_of(route: &Route) -> Log {
    match route.name {
        "access-log" | "access-checkpoint" | "access-entries" | "page-access-log" => Log::Access,
        _ => Log::Ledger,
    }
}

/// Wrong sign-ins are told to wait, longer each time; a right one never is, whatever came before it.
fn slow_down(
    app: &App,
    route: &Route,
    witness: &Witness,
    address: IpAddr,
    result: Result<Response, Fault>,
) -> Result<Response, Fault> {
    if route.rate != Rate::SignIn || witness.name().is_empty() {
        return result;
    }
    match result {
        Err(fault) if fault.kind == Kind::Unauthenticated => {
            Err(app.rates.sign_in_failed(address, witness.name(), app.engine.inner().now()).unwrap_or(fault))
        }
        Ok(response) => {
            // Asking for a challenge proves nothing.
            if route.event.starts_with("sign-in") && !route.event.ends_with("challenge") {
                app.rates.sign_in_succeeded(address, witness.name());
            }
            Ok(response)
        }
        Err(fault) => Err(fault),
    }
}

/// Finds out who calls and whether they may, and takes in the body within its limit.
async fn admit(
    app: Arc<App>,
    route: &'static Route,
    path: BTreeMap<String, String>,
    address: IpAddr,
    request: Request,
    witness: &mut Witness,
) -> Result<Call, Fault> {
    let (parts, body) = request.into_parts();
    let now = app.engine.inner().now();
    let reached = app.front.hosts.check(&parts.headers, &parts.uri);
    let known = match reached {
        Ok(()) => known(&app, route, &parts.headers, witness).await,
        Err(fault) => Err(fault),
    };
    // Whoever is signed in is limited as themselves; everyone else, with a wrong token too, by their address.
    match &known {
        Ok((_, Some(caller))) => app.rates.signed_in(&caller.person, route.rate, now)?,
        Ok((_, None)) | Err(_) => app.rates.anonymous(address, route.rate, now)?,
    }
    let (token, caller) = known?;
    csrf::check(route, &parts.headers)?;
    let person = caller.as_ref().map(|caller| caller.person.clone());
    if let Some(scope) = caller.as_ref().and_then(|caller| caller.scope.as_ref()) {
        scope.check_route(route.name)?;
    }
    if let Some(person) = &person {
        check_access(&app, route, person)?;
    }
    if let Some(caller) = &caller {
        demand::check_factors(&app.engine, route, caller)?;
    }
    let query = query::parse(parts.uri.query().unwrap_or_default())?;
    let limits = &Limits::DEFAULT;
    let (json, stream) = match route.body {
        BodyLimit::None => (Bytes::new(), None),
        BodyLimit::Json => (read(body, &parts.headers, limits.json_body_bytes).await?, None),
        BodyLimit::LargeJson => (read(body, &parts.headers, limits.json_body_bytes * 4).await?, None),
        BodyLimit::Blob => {
            check_length(&parts.headers, limits.artifact_bytes)?;
            (Bytes::new(), Some(body))
        }
    };
    if route.rate == Rate::SignIn
        && let Some(name) = named(&json)
    {
        witness.saw_name(&name);
    }
    if let Some(caller) = &caller {
        demand::check_step_up(&app.engine, route, caller, &json)?;
    }
    Ok(Call { app, route, person, caller, token, path, query, headers: parts.headers, json, stream })
}

/// Who calls, where the route asks for it, and the token. Headers in which a proxy might name somebody are not read.
async fn known(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
    witness: &mut Witness,
) -> Result<(Option<String>, Option<Caller>), Fault> {
    let token = cookie::token(route, &app.front.hosts, headers, bearer(headers)?)?;
    if let Some(token) = &token {
        witness.saw_token(token);
    }
    if route.access == Access::Public {
        return Ok((token, None));
    }
    let caller = authenticate(app, token.as_deref()).await?;
    witness.saw_person(&caller.person);
    Ok((token, Some(caller)))
}

/// The name that the body of a sign-in gives; whether it is a person's is the handler's question.
fn named(json: &[u8]) -> Option<String> {
    let body = json::read(json, &Limits::DEFAULT, json::Numbers::Integers).ok()?;
    let name = body.get("person")?.as_str()?;
    name.parse::<PersonId>().ok().map(|name| name.as_str().to_owned())
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let invalid =
        || Fault::new(Kind::Unauthenticated, "TOKEN_INVALID", "the authorization header is not `Bearer TOKEN`");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid());
    }
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    if token.is_some_and(|token| token.starts_with("eyJ") && token.matches('.').count() == 2) {
        return Err(Fault::new(
            Kind::Unauthenticated,
            "TOKEN_AUDIENCE",
            "this is a token of another issuer, which opens nothing here by itself",
        )
        .hint("exchange it first: `lockgate login --ci`"));
    }
    let token = token.filter(|token| token.len() <= 256);
    token.map(|token| Some(token.to_owned())).ok_or_else(invalid)
}

async fn authenticate(app: &App, token: Option<&str>) -> Result<Caller, Fault> {
    let token = token.ok_or_else(|| {
        Fault::new(Kind::Unauthenticated, "SIGN_IN_NEEDED", "nobody is signed in")
            .hint("sign in: `lockgate login NAME`")
    })?;
    let (caller, unsaved) = session::caller_unsaved(&app.engine, token);
    if let Some(unsaved) = unsaved {
        let (engine, has_ended) = (app.engine.clone(), unsaved.has_ended());
        // On another thread: a flush must not hold up this one.
        let saved = tokio::task::spawn_blocking(move || unsaved.save(&engine));
        // What was used last may be told later. What has ended must not come back with a restart after this answer.
        if has_ended && let Err(error) = saved.await {
            tracing::error!(%error, "ended sessions were not removed from the store");
        }
    }
    caller
}

/// Whether the caller holds the route's permission at all, or one of them where it names several.
fn check_access(app: &App, route: &Route, person: &PersonId) -> Result<(), Fault> {
    match route.access {
        Access::Public | Access::SignedIn => Ok(()),
        Access::Permission(name) => check_permission(app, person, name),
        Access::AnyOf(names) => {
            let mut refused = None;
            for name in names {
                match check_permission(app, person, name) {
                    Ok(()) => return Ok(()),
                    Err(fault) => refused = refused.or(Some(fault)),
                }
            }
            // None names no permission: then nobody may.
            Err(refused.unwrap_or_else(|| Fault::new(Kind::Bug, "PERMISSION_UNKNOWN", "the route names no permission")))
        }
    }
}

/// Whether somebody holds a permission anywhere.
fn check_permission(app: &App, person: &PersonId, name: &'static str) -> Result<(), Fault> {
    let permission: Permission = name
        .parse()
        .map_err(|_| Fault::new(Kind::Bug, "PERMISSION_UNKNOWN", format!("`{name}` is not a permission")))?;
    // Held anywhere: each verb and each read asks again, with the service and the environment that it is about.
    let governance = app.engine.governance()?;
    authorise::check(&governance, person, permission, Object::Anywhere, None)
}

/// Completes as soon as a token would not be let in any more: its session ended, or its person lost the permission.
///
/// A change of governance is an entry, which wakes this at once; the rest is looked at every other second.
pub async fn ended(app: Arc<App>, route: &'static Route, token: String) {
    let mut size = app.size.clone();
    loop {
        size.borrow_and_update();
        let permitted = |person: &PersonId| check_access(&app, route, person).is_ok();
        if !session::look(&app.engine, &token).is_ok_and(|caller| permitted(&caller.person)) {
            return;
        }
        tokio::select! {
            changed = size.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RECHECK) => {}
        }
    }
}

fn check_length(headers: &HeaderMap, most: u64) -> Result<(), Fault> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(()) };
    let length: u64 = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Fault::invalid("LENGTH_INVALID", "the content length is not a number"))?;
    match length <= most {
        true => Ok(()),
        false => Err(Fault::new(Kind::TooLarge, "TOO_LARGE", format!("{length} bytes are over the limit of {most}"))),
    }
}

async fn read(body: Body, headers: &HeaderMap, most: usize) -> Result<Bytes, Fault> {
    check_length(headers, most as u64)?;
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect())
        .await
        .map_err(|_| Fault::invalid("BODY_TIMEOUT", "the body took too long"))?;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() => {
            Err(Fault::new(Kind::TooLarge, "TOO_LARGE", format!("the body is over the limit of {most} bytes")))
        }
        Err(error) => Err(Fault::invalid("BODY_BROKEN", format!("the body ended early: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_handler_and_every_permission_exists() {
        for route in ROUTES {
            assert!(handlers::by_name(route.name).is_some(), "{}", route.name);
            let names = match route.access {
                Access::Public | Access::SignedIn => Vec::new(),
                Access::Permission(name) => vec![name],
                Access::AnyOf(names) => names.to_vec(),
            };
            assert!(names.iter().all(|name| name.parse::<Permission>().is_ok()), "{names:?}");
            assert!(!names.is_empty() || !matches!(route.access, Access::AnyOf(_)), "{}", route.name);
        }
    }
}
