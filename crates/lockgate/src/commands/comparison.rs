//! Comparison: what changes against what runs in the target, from data that was verified here.

use lockgate_api::{Client, Exit};
use lockgate_ledger::bodies::BodyMap;
use lockgate_ledger::contents::Contents;
use lockgate_ledger::gate_changes::GateChanges;
use lockgate_ledger::release_diff::{ChangeSummary, compare};
use lockgate_ledger::{Bundle, TrustFile, Verified, bundle};
use lockgate_policy::Decision;
use lockgate_tlog::checkpoint::Checkpoint;

use crate::commands::seen::remember;
use crate::failure::Failure;
use crate::world::World;

/// Counts what changes, and names the gates that `decision`, made here, comes to otherwise; `None` where nothing runs in
/// the target, or where the server does not hand out the proof of what runs. What it does hand out must verify.
///
/// # Errors
/// What does not verify here.
pub fn against_running(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    verified: &Verified,
    bodies: &BodyMap,
    decision: &Decision,
) -> Result<Option<ChangeSummary>, Failure> {
    let asked = verified.release.promotion(verified.promotion)?;
    let service = &verified.release.name.service;
    let Some(running) = verified.state.running(&asked.request.environment, service) else { return Ok(None) };
    let bytes = match client.get_bytes(&format!("/v1/promotions/{}/bundle", running.promotion)) {
        Ok(bytes) => bytes,
        Err(error) => {
            world.terminal.say(format!("note: not compared with {}, which runs there: {error}", running.release));
            return Ok(None);
        }
    };
    let other = bundle::open(&bytes, trust, &mut Vec::new()).map_err(Failure::unproven)?;
    let same = other.release.name == running.release && other.release.manifest_digest == running.manifest;
    if !same || other.checkpoint_size < verified.checkpoint_size {
        let message = "the server sent the proof of another release than the one that runs there";
        return Err(Failure::new(Exit::Integrity, "BUNDLE_MISMATCH", message));
    }
    let seen = Checkpoint {
        origin: other.state.governance()?.origin().to_owned(),
        size: other.checkpoint_size,
        root: other.checkpoint_root,
    };
    remember(world, client, trust, &seen, &other.checkpoint)?;
    let others = Bundle::from_bytes(&bytes)?.decode_bodies()?;
    // Both as the ledger had them that the document will name.
    let known = verified.checkpoint_size;
    let from = Contents::read(&other.release, known, &others)?;
    let to = Contents::read(&verified.release, known, bodies)?;
    let gates = GateChanges::against(running, &other.release, decision);
    Ok(Some(compare(&from, &to).summary().with_gates(gates)))
}
