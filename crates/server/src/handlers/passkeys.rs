//! Passkeys: what a page signs to enrol one, those that wait, and those that count.

use axum::response::Response;
use lockgate_api::wire::{
    Objection, PasskeyCode, PasskeyKeys, PasskeyOffer, PasskeyRequest, PasskeyWaiting, SignableDocument,
};
use lockgate_engine::{Fault, Kind, consent, passkeys};
use lockgate_ledger::approval;
use lockgate_ledger::approval_text::approval_text;
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::ENROLMENT_NAMESPACE;
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, GroupName, PersonId, PromotionId, UnixMillis};
use lockgate_sign::ssh::SshPublicKey;

use super::whole;
use crate::call::Call;
use crate::reply;

fn offer(person: PersonId, groups: Vec<GroupName>, key: &str) -> Result<passkeys::Offer, Fault> {
    let key: SshPublicKey =
        key.parse().map_err(|error| Fault::invalid("KEY_INVALID", format!("the key does not parse: {error}")))?;
    Ok(passkeys::Offer { person, groups, key })
}

fn text(bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|error| Fault::new(Kind::Bug, "DOCUMENT_INVALID", error.to_string()))
}

/// `POST /v1/passkeys/document`.
pub async fn document(call: Call) -> Result<Response, Fault> {
    let PasskeyOffer { person, groups, key } = call.body()?;
    let (bytes, _) = passkeys::document(call.engine(), &offer(person, groups, &key)?)?;
    let words = code_words(&Digest::of(&bytes));
    reply::json(&SignableDocument {
        document: text(bytes)?,
        text: None,
        words,
        namespace: ENROLMENT_NAMESPACE.to_owned(),
        objection: None,
    })
}

/// `POST /v1/passkeys`.
pub async fn hand_in(call: Call) -> Result<Response, Fault> {
    let PasskeyRequest { person, groups, key, proof } = call.body()?;
    let offer = offer(person, groups, &key)?;
    let (code, expires_at) = passkeys::hand_in(call.engine(), &call.app.passkeys, offer, proof)?;
    reply::json(&PasskeyCode { code, expires_at })
}

/// `GET /v1/passkeys/{code}`.
pub async fn waiting(call: Call) -> Result<Response, Fault> {
    let code: String = call.part("code")?;
    let waiting = call.app.passkeys.find(&code, call.engine().inner().now())?;
    reply::json(&PasskeyWaiting {
        person: waiting.person,
        groups: waiting.groups,
        further: waiting.further,
        key: waiting.key.to_string(),
        proof: waiting.proof,
        expires_at: waiting.until,
    })
}

/// `GET /v1/passkeys/keys/{person}`: the ledger that anyone can read holds the same.
pub async fn keys(call: Call) -> Result<Response, Fault> {
    let person: PersonId = call.part("person")?;
    let keys = passkeys::keys_of(call.engine(), &person)?;
    reply::json(&PasskeyKeys { keys: keys.iter().map(ToString::to_string).collect() })
}

/// The digests in the query value `evidence`, with commas between them.
fn evidence_opened(call: &Call) -> Result<Vec<Digest>, Fault> {
    let listed = call.query.get("evidence").map(String::as_str).unwrap_or_default();
    let digest = |text: &str| {
        text.parse::<Digest>().map_err(|error| Fault::invalid("QUERY_INVALID", format!("`evidence`: {error}")))
    };
    listed.split(',').filter(|text| !text.is_empty()).map(digest).collect()
}

/// `GET /v1/promotions/{id}/document`.
pub async fn approval_document(call: Call) -> Result<Response, Fault> {
    let promotion: PromotionId = call.part("id")?;
    let verdict = match call.query.get("verdict").map(String::as_str) {
        None | Some("approve") => Verdict::Approve,
        Some("reject") => Verdict::Reject,
        Some(_) => return Err(Fault::invalid("QUERY_INVALID", "`verdict` is `approve` or `reject`")),
    };
    let review = consent::Review {
        approver: call.person()?,
        verdict,
        comment: call.query.get("comment").filter(|comment| !comment.is_empty()).cloned(),
        opened_at: call.query::<u64>("opened")?.map(UnixMillis),
        evidence_opened: evidence_opened(&call)?,
    };
    let (engine, scope) = (call.engine().clone(), call.scope().cloned());
    let reply = whole::checked(&call, move || {
        let consent::Offer { document, objection } = consent::offer(&engine, promotion, review)?;
        scope.map_or(Ok(()), |scope| scope.check_promotion(&engine, promotion))?;
        let bytes = document.to_bytes()?;
        let digest = Digest::of(&bytes);
        Ok(SignableDocument {
            text: Some(approval_text(&document)),
            document: text(bytes)?,
            words: code_words(&digest),
            namespace: approval::NAMESPACE.to_owned(),
            objection: objection.map(|one| Objection { reason: one.code.to_owned(), message: one.message }),
        })
    })
    .await?;
    reply::json(&reply)
}
