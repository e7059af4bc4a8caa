//! Set-up: the ledger's first entry, and the first owner.

use lockgate_ledger::entry::{LedgerCreated, PersonEnrolled, Sponsor};
use lockgate_ledger::{Actor, Event};
use lockgate_model::Digest;
use lockgate_model::digest::hex;
use serde_json::json;

use crate::clock::Entropy;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::sequencer::{Receipt, Submission};
use crate::where_index;

/// A fresh one-time code: 80 random bits as four groups of hex.
///
/// # Errors
/// When the generator fails.
pub fn fresh_code(entropy: &dyn Entropy) -> Result<String, Fault> {
    let mut bytes = [0u8; 10];
    entropy.fill(&mut bytes)?;
    let text = hex(&bytes);
    let groups: Vec<String> =
        text.as_bytes().chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}

/// Writes entry 0 of an empty ledger: its identity, its first policy set, and the digest of the one-time code.
///
/// # Errors
/// `LEDGER_EXISTS` when it is not empty, or what the policy set's loading refuses.
pub fn create(engine: &Engine, policy: Vec<u8>, setup_code: &str) -> Result<Receipt, Fault> {
    let code = Digest::of(setup_code.as_bytes());
    engine.run(Submission::new(move |staging, inner| {
        if staging.next_index().0 != 0 {
            return Err(Fault::new(Kind::Conflict, "LEDGER_EXISTS", "this ledger has entries already"));
        }
        where_index::begin(staging);
        let digest = staging.document(policy);
        let event = LedgerCreated {
            origin: inner.keys.log.vkey().name().to_owned(),
            log_key: inner.keys.log.vkey().to_string(),
            attestation_key: inner.keys.attestation.public().to_pem(),
            policy: digest,
            setup_code: code,
            software: concat!("lockgate ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        staging.append(Actor::System, &[], Event::LedgerCreated(event))?;
        Ok(json!({ "policy": digest }))
    }))
}

/// Enrols the first owner, who holds the one-time code.
///
/// # Errors
/// `SETUP_DONE` or `SETUP_CODE_WRONG` with the receipt; `NOT_PERMITTED` for another sponsor; `NAME_RESERVED`.
pub fn first_owner(event: PersonEnrolled) -> Result<Submission, Fault> {
    crate::ci::check_name(&event.person)?;
    match &event.sponsor {
        Sponsor::SetupCode { .. } => Ok(crate::people::append(event.person.clone(), Event::PersonEnrolled(event))),
        Sponsor::Countersigned { .. } => Err(Fault::new(
            Kind::NotPermitted,
            "NOT_PERMITTED",
            "set-up needs the one-time code from the server's console",
        )),
    }
}

/// Whether the first owner is still to come.
///
/// # Errors
/// `LEDGER_EMPTY`.
pub fn is_needed(engine: &Engine) -> Result<bool, Fault> {
    Ok(engine.governance()?.people().next().is_none())
}
