//! Trust: what verifiers and other tools pin.

use std::collections::BTreeSet;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_ledger::{TrustFile, sigstore};
use lockgate_model::{Limits, UnixMillis};
use lockgate_sign::ssh::SshPublicKey;
use serde_json::json;

use crate::cli;
use crate::commands::key_life::allowed_signers;
use crate::custody;
use crate::failure::{Failure, Outcome};
use crate::home::{TRUST_FILE, read_file, write_file};
use crate::world::World;

/// `lockgate trust`.
///
/// # Errors
/// What cannot be fetched, read or written.
pub fn trust(world: &World, options: &cli::Trust) -> Outcome {
    match options {
        cli::Trust::Export { to } => export(world, to),
        cli::Trust::Pin { file, replace, yes } => pin(world, file.as_deref(), *replace, *yes),
    }
}

fn export(world: &World, to: &Path) -> Outcome {
    let trust = world.trust(None)?;
    let people: Vec<lockgate_api::wire::PersonRow> = world.signed_in()?.get("/v1/people")?;
    write_pins(to, &trust)?;
    let signers: String = allowed_signers(&people).into_iter().map(|line| format!("{line}\n")).collect();
    write_file(&to.join("allowed_signers"), signers.as_bytes(), 0o644)?;
    let told =
        format!("trust.json, trusted_root.json, lockgate.pub, allowed_signers and tlog-policy are in {}", to.display());
    world.terminal.done(&json!({ "dir": to.display().to_string() }), told)?;
    Ok(Exit::Done)
}

/// Writes what other tools pin, but for the people.
///
/// # Errors
/// When a file cannot be written.
pub fn write_pins(to: &Path, trust: &TrustFile) -> Result<(), Failure> {
    let json = |value: &serde_json::Value| {
        serde_json::to_vec_pretty(value).map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))
    };
    let policy = trust.policy()?;
    let log = policy.logs().first().ok_or_else(|| Failure::usage("TRUST_INVALID", "the trust file names no log"))?;
    // Keys count by ledger order, not by clocks; clients that ask for a start get the earliest.
    let root = sigstore::trusted_root(&log.vkey, UnixMillis(0));
    write_file(&to.join("trusted_root.json"), &json(&root)?, 0o644)?;
    write_file(&to.join("lockgate.pub"), trust.attestation_key.as_bytes(), 0o644)?;
    write_file(&to.join("tlog-policy"), trust.tlog_policy.as_bytes(), 0o644)?;
    let own = serde_json::to_vec_pretty(trust)
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    write_file(&to.join(TRUST_FILE), &own, 0o644)
}

/// What is pinned here, if anything is.
///
/// # Errors
/// When there is a file that does not read: what it pinned cannot be compared.
fn pinned(world: &World) -> Result<Option<TrustFile>, Failure> {
    let file = world.home.trust();
    if !file.exists() {
        return Ok(None);
    }
    Ok(Some(TrustFile::from_bytes(&read_file(&file, Limits::DEFAULT.note_bytes as u64)?)?))
}

fn described(trust: &TrustFile) -> String {
    let log = trust.tlog_policy.trim().replace('\n', "\n  ");
    format!("  {log}\n  genesis    {}\n  root keys  {}", trust.genesis, root_keys(trust))
}

/// The origins and root keys, in one line.
fn named(trust: &TrustFile) -> Result<String, Failure> {
    let policy = trust.policy()?;
    let origins: Vec<&str> = policy.logs().iter().map(|log| log.vkey.name()).collect();
    Ok(format!("{} with root keys {}", origins.join(", "), root_keys(trust)))
}

fn root_keys(trust: &TrustFile) -> String {
    let keys: Vec<String> = trust.root_keys.iter().map(SshPublicKey::fingerprint).collect();
    keys.join(", ")
}

/// Whether two trust files are about two ledgers, or one asks for other witnesses than the other.
fn is_another(pinned: &TrustFile, stated: &TrustFile) -> Result<bool, Failure> {
    let is_witnessed = !pinned.policy()?.witnesses().is_empty();
    let logs = |trust: &TrustFile| -> Result<BTreeSet<String>, Failure> {
        Ok(trust.policy()?.logs().iter().map(|log| log.vkey.to_string()).collect())
    };
    Ok(pinned.genesis != stated.genesis
        || pinned.root_keys != stated.root_keys
        || logs(pinned)? != logs(stated)?
        || (is_witnessed && pinned.tlog_policy != stated.tlog_policy))
}

fn pin(world: &World, file: Option<&Path>, replace: bool, yes: bool) -> Outcome {
    let trust = match file {
        Some(path) => {
            TrustFile::from_bytes(&read_file(&world.trust_path(Some(path)), Limits::DEFAULT.note_bytes as u64)?)?
        }
        None => world.client()?.get::<TrustFile>("/v1/trust")?,
    };
    // What does not read is replaced only where that is asked for.
    let before = match pinned(world) {
        Err(_) if replace => None,
        before => before?.filter(|before| *before != trust),
    };
    if let Some(before) = &before {
        world.terminal.say(format!("Pinned here now:\n{}", described(before)));
    }
    if let Some(before) = &before
        && is_another(before, &trust)?
        && !replace
    {
        return Err(Failure::new(
            Exit::Denied,
            "TRUST_PINNED",
            format!(
                "another ledger, or other witnesses, are pinned here; nothing was changed\n  pinned  {}\n  stated  {}",
                named(before)?,
                named(&trust)?
            ),
        )
        .hint(
            "find out over another channel why it is another; `lockgate --home DIR trust pin` pins it beside this one, \
             --replace in its place",
        ));
    }
    world.terminal.say(format!("You are about to trust:\n{}", described(&trust)));
    if !yes && !world.terminal.confirm("Did you compare this over another channel, and trust it?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was pinned"));
    }
    let bytes = serde_json::to_vec_pretty(&trust)
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    write_file(&world.home.trust(), &bytes, 0o644)?;
    let file = world.home.trust();
    tell_custody(world, &file);
    world.terminal.done(
        &json!({ "file": file.display().to_string(), "trust": trust }),
        format!("pinned in {}", file.display()),
    )?;
    Ok(Exit::Done)
}

/// Says who else could write a trust file that was just written.
pub fn tell_custody(world: &World, file: &Path) {
    match custody::check(file) {
        Ok(None) => {}
        Ok(Some(remark)) => world.terminal.say(format!("note: {remark}")),
        Err(failure) => {
            let next = failure.hint.map_or(String::new(), |hint| format!("\n  next  {hint}"));
            world.terminal.say(format!("note: nothing believes this file as it lies: {}{next}", failure.message));
        }
    }
}
