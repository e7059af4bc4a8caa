//! Keys and signers.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::authorise::last_uses;
use lockgate_engine::{Engine, Fault, reader};
use lockgate_ledger::change::Countersignature;
use lockgate_ledger::entry::Sponsor;
use lockgate_ledger::{Event, Governance};
use lockgate_model::{EntryIndex, PersonId, UnixMillis};
use lockgate_policy::{Proof, TrustedSigner};
use lockgate_sign::{Algorithm, PublicKey};
use lockgate_web::Section;
use lockgate_web::keys::{self as keys_page, Ends, Filter, KeyLine, KeyState, KeysView};

use super::{rights_anywhere, shell};
use crate::call::Call;
use crate::handlers::ci::trusts_reply;
use crate::handlers::delegations::delegations_reply;
use crate::handlers::governance::people_reply;
use crate::handlers::heavy;
use crate::handlers::pages::page;
use crate::handlers::rights::last_review;
use crate::handlers::sign_in::sessions_reply;

/// How many keys one page shows.
const KEYS: usize = 50;
/// How many delegations it shows.
const DELEGATIONS: usize = 50;

/// `GET /keys`.
pub async fn keys(call: Call) -> Result<Response, Fault> {
    let person: PersonId = call.person()?;
    let filter = Filter {
        text: call.query.get("q").cloned().unwrap_or_default(),
        state: call.query.get("state").cloned().unwrap_or_default(),
        from: call.query("from")?.unwrap_or(0),
    };
    let session = call.caller.as_ref().map(|caller| caller.session.clone());
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let rights = rights_anywhere(&app.engine, &person)?;
        let view = view(&app.engine, &person, session.as_deref(), &filter, shell.now)?;
        let content = keys_page::content(&view, &filter, &rights, &person, shell.now);
        Ok(shell.page(Some(Section::Keys), "Keys and signers", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

fn view(
    engine: &Engine,
    person: &PersonId,
    session: Option<&str>,
    filter: &Filter,
    now: UnixMillis,
) -> Result<KeysView, Fault> {
    let all = lines(engine, person, now)?;
    let warnings = keys_page::warnings(&all);
    let fitting: Vec<KeyLine> = all.into_iter().filter(|line| filter.keeps(line)).collect();
    let (count, next) = (fitting.len(), filter.from.saturating_add(KEYS));
    let mut lines: Vec<KeyLine> = fitting.into_iter().skip(filter.from).take(KEYS).collect();
    complete(engine, &mut lines)?;
    let mut delegations = delegations_reply(engine, person)?;
    delegations.retain(|one| one.open);
    let more_delegations = delegations.len().saturating_sub(DELEGATIONS);
    delegations.truncate(DELEGATIONS);
    Ok(KeysView {
        lines,
        fitting: count,
        warnings,
        next: (count > next).then_some(next),
        delegations,
        more_delegations,
        sessions: sessions_reply(engine, person, session),
        review: last_review(engine)?,
    })
}

/// Everything whose word counts for something: keys, trusts, the policy set's signers, the ledger's own keys.
fn lines(engine: &Engine, person: &PersonId, now: UnixMillis) -> Result<Vec<KeyLine>, Fault> {
    let governance = engine.governance()?;
    let keys = governance.people().flat_map(|(_, person)| &person.keys);
    let passkeys: BTreeSet<String> =
        keys.filter(|key| key.public.is_passkey()).map(|key| key.fingerprint.clone()).collect();
    let mut lines = keys_page::people_lines(&people_reply(engine)?, &passkeys, now);
    lines.extend(keys_page::trust_lines(&trusts_reply(engine, person)?));
    lines.extend(governance.policy.signers().iter().map(|signer| signer_line(signer, governance.policy_at)));
    lines.extend(ledger_lines(&governance));
    Ok(lines)
}

/// Adds who vouched and what the owner did last: only for what is shown.
fn complete(engine: &Engine, lines: &mut [KeyLine]) -> Result<(), Fault> {
    let mut uses: BTreeMap<PersonId, Option<(u64, UnixMillis)>> = BTreeMap::new();
    for line in lines {
        if let Some(owner) = &line.person {
            line.used = match uses.get(owner) {
                Some(known) => *known,
                None => {
                    let all = last_uses(engine.store(), owner)?;
                    let newest = all.into_iter().map(|(_, index, time)| (index.0, time)).max();
                    uses.insert(owner.clone(), newest);
                    newest
                }
            };
        }
        if let Some(at) = line.enrolled_at.filter(|_| line.enrolled_by.is_empty()) {
            line.enrolled_by = vouched_by(&reader::entry(engine.store(), EntryIndex(at))?.event);
        }
    }
    Ok(())
}

/// Who vouched for a key, by the entry that brought it in.
fn vouched_by(event: &Event) -> String {
    let all = |by: &PersonId, more: &[Countersignature]| {
        let names: Vec<&str> =
            std::iter::once(by).chain(more.iter().map(|one| &one.by)).map(PersonId::as_str).collect();
        names.join(", ")
    };
    match event {
        Event::PersonEnrolled(event) => match &event.sponsor {
            Sponsor::SetupCode { .. } => "the one-time code".to_owned(),
            Sponsor::Countersigned { by, .. } => all(by, &event.countersigned),
        },
        Event::KeyAdded(event) => format!("{}, with an earlier key", event.by),
        Event::KeyRotated(event) => format!("{}, with the key before it", event.person),
        Event::KeyRecovered(event) => all(&event.by, &event.countersigned),
        _ => String::new(),
    }
}

fn signer_line(signer: &TrustedSigner, policy_at: EntryIndex) -> KeyLine {
    let (id, kind) = match &signer.proof {
        Proof::Key(key) => (key.keyid_ssh(), format!("trusted signer, {}", algorithm(key.algorithm()))),
        Proof::Minisign(key) => (key.id_text(), "trusted signer, minisign".to_owned()),
        Proof::Identity(identity) => (identity.described(), "trusted identity".to_owned()),
    };
    let mut scope: Vec<String> = signer.signs.iter().map(|kind| kind.as_str().to_owned()).collect();
    scope.extend(signer.builder_ids.iter().map(|builder| format!("builder {builder}")));
    KeyLine {
        id,
        owner: signer.name.to_string(),
        person: None,
        kind,
        scope: scope.join(", "),
        enrolled_at: Some(policy_at.0),
        enrolled_by: "the active policy set, in trust.toml".to_owned(),
        expires_at: None,
        used: None,
        state: KeyState::Good,
        ended_at: None,
        ends: Ends::Nothing,
        commands: vec!["lockgate policy activate DIR --reason REASON".to_owned()],
    }
}

/// The keys of the ledger itself.
fn ledger_lines(governance: &Governance) -> Vec<KeyLine> {
    let identity = &governance.identity;
    let line = |id: String, kind: String, scope: &str, command: &str| KeyLine {
        id,
        owner: identity.origin.clone(),
        person: None,
        kind,
        scope: scope.to_owned(),
        enrolled_at: Some(0),
        enrolled_by: "the ledger's creation".to_owned(),
        expires_at: None,
        used: None,
        state: KeyState::Good,
        ended_at: None,
        ends: Ends::Nothing,
        commands: vec![command.to_owned()],
    };
    let attestation = PublicKey::from_pem(&identity.attestation_key);
    let (id, algorithm) = match &attestation {
        Ok(key) => (key.keyid_ssh(), algorithm(key.algorithm())),
        Err(_) => (identity.attestation_key.clone(), "unknown"),
    };
    let export = "lockgate trust export --to DIR";
    vec![
        line(identity.log_key.clone(), "log key, ed25519".to_owned(), "checkpoints of the ledger", export),
        line(id, format!("attestation key, {algorithm}"), "what the ledger attests of decisions", export),
    ]
}

const fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::EcdsaP256Sha256 => "ecdsa-p256",
        Algorithm::EcdsaP384Sha384 => "ecdsa-p384",
        Algorithm::Ed25519 => "ed25519",
        Algorithm::RsaPkcs1Sha256 => "rsa-pkcs1",
        Algorithm::RsaPssSha256 => "rsa-pss",
    }
}
