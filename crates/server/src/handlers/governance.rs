//! Governance: set-up, people, keys, policy, waivers.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::{Activation, Enrolment, KeyRow, NewKey, PersonRow, Revocation, Waiver};
use lockgate_engine::{Engine, Fault, people, policy as policies, setup as setups, waive as waivers};
use lockgate_ledger::entry::{KeyAdded, KeyRevoked, PersonEnrolled, PolicyActivated, Sponsor, WaiverGranted};
use lockgate_model::{Digest, EntryIndex, Limits};
use lockgate_sign::ssh::SshPublicKey;

use super::changes::change;
use super::{heavy, write};
use crate::call::Call;
use crate::reply;

pub(super) fn key(text: &str) -> Result<SshPublicKey, Fault> {
    text.parse().map_err(|error| Fault::invalid("KEY_INVALID", format!("the key does not parse: {error}")))
}

pub(super) fn check_reason(reason: &str) -> Result<(), Fault> {
    match !reason.trim().is_empty() && reason.len() <= Limits::DEFAULT.text_bytes {
        true => Ok(()),
        false => Err(Fault::invalid(
            "REASON_MISSING",
            format!("a reason is needed, of at most {} bytes", Limits::DEFAULT.text_bytes),
        )),
    }
}

fn enrolment(request: Enrolment) -> Result<PersonEnrolled, Fault> {
    let sponsor = match (request.code, request.by, request.signature) {
        (Some(code), None, None) => Sponsor::SetupCode { code },
        (None, Some(by), Some(signature)) => Sponsor::Countersigned { by, signature },
        _ => {
            return Err(Fault::invalid(
                "SPONSOR_INVALID",
                "an enrolment has either a one-time code, or a sponsor with a signature",
            ));
        }
    };
    Ok(PersonEnrolled {
        person: request.person,
        subject: request.subject,
        groups: request.groups,
        key: key(&request.key)?,
        proof: request.proof,
        sponsor,
        countersigned: Vec::new(),
        expires_at: request.expires_at,
        environments: request.environments,
    })
}

/// `POST /v1/setup`.
pub async fn setup(call: Call) -> Result<Response, Fault> {
    let event = enrolment(call.body()?)?;
    write(&call, setups::first_owner(event)?).await
}

/// `GET /v1/people`.
pub async fn people(call: Call) -> Result<Response, Fault> {
    reply::json(&people_reply(call.engine())?)
}

/// Everyone enrolled, with their keys: what the API gives, and what the page shows.
pub fn people_reply(engine: &Engine) -> Result<Vec<PersonRow>, Fault> {
    let governance = engine.governance()?;
    let row = |key: &lockgate_ledger::governance::Key| KeyRow {
        fingerprint: key.fingerprint.clone(),
        key: key.public.to_string(),
        enrolled_at: key.enrolled_at.0,
        invalid_from: key.suspect.map(|_| key.enrolled_at).or(key.invalid_from).map(|index| index.0),
        ended: match (key.suspect, key.ended) {
            (Some(_), _) => Some("suspect".to_owned()),
            (None, ended) => ended.map(|ended| ended.cause.as_str().to_owned()),
        },
        ended_at: key.suspect.or(key.ended.map(|ended| ended.at)).map(|index| index.0),
        expires_at: key.expires_at,
        environments: key.environments.clone(),
    };
    let rows = governance
        .people()
        .map(|(id, person)| PersonRow {
            person: id.clone(),
            subject: person.kind,
            groups: person.groups.clone(),
            keys: person.keys.iter().map(row).collect(),
            suspended_at: person.suspensions.last().filter(|_| person.is_suspended()).map(|last| last.from.0),
            standing_at: person.standing_at.0,
        })
        .collect();
    Ok(rows)
}

/// `POST /v1/people`.
pub async fn enrol(call: Call) -> Result<Response, Fault> {
    let event = enrolment(call.body()?)?;
    change(&call, people::enrol(&call.person()?, event)?).await
}

/// `POST /v1/keys`.
pub async fn key_add(call: Call) -> Result<Response, Fault> {
    let request: NewKey = call.body()?;
    let event = KeyAdded {
        person: request.person,
        key: key(&request.key)?,
        proof: request.proof,
        by: request.by,
        signature: request.signature,
        expires_at: request.expires_at,
        environments: request.environments,
    };
    write(&call, people::add_key(&call.person()?, event)?).await
}

/// `POST /v1/keys/revocations`.
pub async fn key_revoke(call: Call) -> Result<Response, Fault> {
    let request: Revocation = call.body()?;
    check_reason(&request.reason)?;
    let event = KeyRevoked {
        person: request.person,
        key: request.key,
        compromised_since: request.compromised_since.map(EntryIndex),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
        countersigned: Vec::new(),
    };
    change(&call, people::revoke_key(&call.person()?, event)?).await
}

/// `GET /v1/policy`.
pub async fn policy(call: Call) -> Result<Response, Fault> {
    let document = call.engine().governance()?.policy.document();
    Ok(reply::typed(StatusCode::OK, "application/json", document))
}

/// `POST /v1/policy`.
pub async fn policy_activate(call: Call) -> Result<Response, Fault> {
    let request: Activation = call.body()?;
    check_reason(&request.reason)?;
    let document = request.document.into_bytes();
    let backtest = request.backtest.map(String::into_bytes);
    let event = PolicyActivated {
        policy: Digest::of(&document),
        previous: request.previous,
        previous_at: EntryIndex(request.previous_at),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
        countersigned: Vec::new(),
        backtest: backtest.as_deref().map(Digest::of),
    };
    let person = call.person()?;
    let submission = heavy(move || policies::activate_with(&person, document, backtest, event)).await?;
    change(&call, submission).await
}

/// `POST /v1/waivers`.
pub async fn waive(call: Call) -> Result<Response, Fault> {
    let request: Waiver = call.body()?;
    check_reason(&request.reason)?;
    let gate = request
        .gate
        .parse()
        .map_err(|error: lockgate_model::NameError| Fault::invalid("NAME_INVALID", error.to_string()))?;
    let event = WaiverGranted {
        gate,
        finding: request.finding,
        service: request.service,
        environment: request.environment,
        reason: request.reason,
        expires_at: request.expires_at,
        asked_by: request.asked_by,
        asked_signature: request.asked_signature,
        granted_by: request.granted_by,
        granted_signature: request.granted_signature,
        request: request.request.map(EntryIndex),
        release: request.release,
        artifact: request.artifact,
        ticket: request.ticket,
    };
    write(&call, waivers::waive(&call.person()?, event)?).await
}
