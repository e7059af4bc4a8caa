//! Who may do what, where and why; access reviews.

use axum::response::Response;
use lockgate_api::wire::{
    AccessReply, BecauseRow, HolderRow, HoldersReply, ReviewMade, ReviewReply, ReviewRequest, RightRow,
};
use lockgate_engine::{Engine, Fault, Kind, access};
use lockgate_model::{EnvName, PersonId, ServiceName};
use lockgate_policy::access::object_of;
use lockgate_policy::{Because, Effective, Holder, Object, Pattern, Permission, Reach};

use super::{heavy, write};
use crate::call::Call;
use crate::reply;

fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

fn because(because: Because) -> BecauseRow {
    let (group, named) = match because.holder {
        Holder::Group(group) => (Some(group), None),
        Holder::People(pattern) => (None, Some(pattern.as_str().to_owned())),
    };
    let line = because.rule.line as u64;
    BecauseRow { role: because.role, group, named, file: because.rule.file, line }
}

/// `GET /v1/people/{person}/access`.
pub async fn of_person(call: Call) -> Result<Response, Fault> {
    let person: PersonId = call.part("person")?;
    let (engine, reader) = (call.engine().clone(), call.person()?);
    let reply = heavy(move || access_reply(&engine, &reader, &person)).await?;
    reply::json(&reply)
}

/// What somebody may do, as far as a reader may know of it: what the API gives, and what the page shows.
pub fn access_reply(engine: &Engine, reader: &PersonId, person: &PersonId) -> Result<AccessReply, Fault> {
    let (found, hidden) = access::of_person(engine, person)?.for_reader(engine, reader)?;
    let governance = engine.governance()?;
    let record = governance
        .person(person)
        .ok_or_else(|| Fault::not_found("PERSON_UNKNOWN", format!("`{person}` is not enrolled")))?;
    let row = |right: Effective| {
        let used = found.uses.get(&right.permission);
        RightRow {
            permission: right.permission.as_str().to_owned(),
            services: right.services.as_deref().map(texts),
            environments: right.environments.as_deref().map(texts),
            because: because(right.because),
            last_used: used.map(|(_, time)| *time),
            last_index: used.map(|(index, _)| index.0),
            last_use_hidden: hidden.contains(&right.permission),
        }
    };
    Ok(AccessReply {
        subject: record.kind,
        groups: record.groups.clone(),
        suspended: record.is_suspended(),
        rights: found.rights.iter().cloned().map(row).collect(),
        person: person.clone(),
    })
}

/// `GET /v1/permissions/{permission}`.
pub async fn holders(call: Call) -> Result<Response, Fault> {
    let permission: Permission = call.part("permission")?;
    let service: Option<ServiceName> = call.query("service")?;
    let environment: Option<EnvName> = call.query("environment")?;
    reply::json(&holders_reply(call.engine(), permission, service.as_ref(), environment.as_ref())?)
}

/// Who has a permission: what the API gives, and what the page shows.
pub fn holders_reply(
    engine: &Engine,
    permission: Permission,
    service: Option<&ServiceName>,
    environment: Option<&EnvName>,
) -> Result<HoldersReply, Fault> {
    let object = match (service, environment, permission.reach()) {
        (None, None, _) => Object::Anywhere,
        (Some(service), Some(environment), _) => object_of(permission, service, environment),
        (Some(service), None, Reach::Service) => Object::Service(service),
        _ => {
            return Err(Fault::invalid(
                "QUERY_INVALID",
                format!("`{permission}` is asked about with `service` and `environment`, or with neither"),
            ));
        }
    };
    let found = access::who(engine, permission, object)?;
    let row =
        |(person, permit): (PersonId, lockgate_policy::Permit)| HolderRow { person, because: because(permit.because) };
    let holders = found.into_iter().map(row).collect();
    Ok(HoldersReply { permission: permission.as_str().to_owned(), holders })
}

/// `GET /v1/access-reviews`.
pub async fn review(call: Call) -> Result<Response, Fault> {
    let (engine, reader) = (call.engine().clone(), call.person()?);
    let reply = heavy(move || {
        let bytes = access::review_for(&engine, &reader)?.to_bytes()?;
        let document =
            String::from_utf8(bytes).map_err(|error| Fault::new(Kind::Bug, "DOCUMENT_INVALID", error.to_string()))?;
        Ok(ReviewReply { document, last: last_review(&engine)? })
    })
    .await?;
    reply::json(&reply)
}

/// The newest access review, if there was one: what the API gives, and what the page shows.
pub fn last_review(engine: &Engine) -> Result<Option<ReviewMade>, Fault> {
    let governance = engine.governance()?;
    Ok(governance.last_review().map(|last| ReviewMade {
        by: last.by.clone(),
        time: last.time,
        index: last.index.0,
        review: last.review,
    }))
}

/// `POST /v1/access-reviews`.
pub async fn review_sign(call: Call) -> Result<Response, Fault> {
    let request: ReviewRequest = call.body()?;
    let submission =
        access::record_review(&call.person()?, request.by, request.document.into_bytes(), request.signature)?;
    write(&call, submission).await
}
