//! Approve and reject: see exactly what is signed, and sign it with your own key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::{Acknowledged, ApprovalRequest, Approved, ConsistencyReply};
use lockgate_api::{Client, Exit};
use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::approval_text::approval_text;
use lockgate_ledger::{Bundle, ClaimCache, TrustFile, Verified, bundle, facts_for};
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, TreeSize};
use lockgate_policy::{Decision, GateOutcome, decide};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::proof::verify_consistency;

use crate::cli;
use crate::commands::comparison::against_running;
use crate::commands::push::logged_line;
use crate::commands::review::{open_evidence, take_back};
use crate::commands::why::outcome_exit;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::keyring::sign;
use crate::serve::read_checkpoint;
use crate::world::World;

/// `lockgate approve`.
///
/// # Errors
/// What does not verify here, or what the server refuses.
pub fn approve(world: &World, options: &cli::Approve) -> Outcome {
    consent(world, options, Verdict::Approve)
}

/// `lockgate reject`.
///
/// # Errors
/// As [`approve`], or `REJECTION_FINAL`.
pub fn reject(world: &World, options: &cli::Reject) -> Outcome {
    let cli::Reject { promotion, comment, open, withdraw, yes, key } = options.clone();
    if withdraw {
        return Err(Failure::usage("REJECTION_FINAL", "a rejection has ended the promotion, and cannot be withdrawn")
            .hint("ask anew with `lockgate promote`"));
    }
    let options = cli::Approve { promotion, comment, open, withdraw: false, yes, key };
    consent(world, &options, Verdict::Reject)
}

/// The document is built here, from entries that were verified here against the pinned trust file; the server's
/// word for what is promoted is not taken.
fn consent(world: &World, options: &cli::Approve, verdict: Verdict) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let trust = world.trust(None)?;
    let (bytes, verified) = fetch_newest(world, &client, &trust, || {
        let bytes = client.get_bytes(&format!("/v1/promotions/{}/bundle", options.promotion))?;
        let verified = bundle::open(&bytes, &trust, &mut Vec::new())?;
        if verified.promotion != options.promotion {
            let message = "the server sent the proof of another promotion";
            return Err(Failure::new(Exit::Integrity, "BUNDLE_MISMATCH", message));
        }
        Ok((bytes, verified))
    })?;
    if options.withdraw {
        return take_back(world, options, &client, &verified, &person);
    }
    // From here on it is open, on this machine's clock; never before it was asked for.
    let opened_at = world.now().max(verified.release.promotion(options.promotion)?.requested_at);
    let ttl = verified.state.governance()?.policy.settings().approval_ttl;
    // What the evidence says is read here, from bytes that were hashed here.
    let bodies = Bundle::from_bytes(&bytes)?.decode_bodies()?;
    let now = verified.state.time().map_or(opened_at, |time| opened_at.max(time));
    let facts = facts_for(&verified.state, options.promotion, now, &bodies, &ClaimCache::default())?;
    let opened = match options.open {
        true => open_evidence(world, &facts, &bodies, options.yes)?,
        false => Vec::new(),
    };
    let document = document_for(
        &verified.state,
        options.promotion,
        Consent {
            approver: person.clone(),
            verdict,
            comment: options.comment.clone(),
            expires_at: world.now().plus(ttl),
            anchor: Anchor { size: verified.checkpoint_size, root: verified.checkpoint_root },
        },
    )?;
    let decision = decide(&verified.state.governance()?.policy, &facts);
    let changes = against_running(world, &client, &trust, &verified, &bodies, &decision)?;
    let document = document.described(&facts).comparing(changes).reviewed(opened_at, &opened);
    let bytes = document.to_bytes()?;
    if let Some(note) = beside_people(&decision) {
        world.terminal.say(note);
    }
    world.terminal.say(format!("You are about to sign:\n{}", approval_text(&document)));
    if !options.yes && !world.terminal.confirm("Sign this with your key?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &person, options.key.as_deref())?;
    let signature = sign(signer.as_ref(), NAMESPACE, &bytes)?;
    let document =
        String::from_utf8(bytes).map_err(|error| Failure::new(Exit::Bug, "DOCUMENT_INVALID", error.to_string()))?;
    let path = format!("/v1/promotions/{}/approvals", options.promotion);
    let reply: Acknowledged<Approved> =
        client.post(&path, &ApprovalRequest { document, signature }, Some(&world.random_hex()?))?;
    world.terminal.show(&reply, || {
        let verb = if verdict == Verdict::Approve { "approved" } else { "rejected" };
        format!(
            "{person} {verb} {}: it is {}\n{}",
            reply.result.promotion,
            reply.result.status,
            logged_line(reply.logged.as_ref())
        )
    })?;
    match verdict {
        Verdict::Approve => Ok(outcome_exit(&reply.result.status)),
        Verdict::Reject => Ok(Exit::Done),
    }
}

/// What gates other than those of people object to, as it comes out here on the same facts; `None` where they do not.
///
/// It is told beside the document and is no part of what is signed: what counts is decided after the approval, again.
fn beside_people(decision: &Decision) -> Option<String> {
    let of = |outcome: GateOutcome, words: &str| {
        let gates = decision.gates.iter().filter(|gate| gate.outcome == outcome && gate.kind != "approvals");
        let names: Vec<String> = gates.map(|gate| format!("{} ({})", gate.gate, gate.reason)).collect();
        (!names.is_empty()).then(|| format!("\n  {words} {}", names.join(", ")))
    };
    let lines = [
        of(GateOutcome::Fail, "denied by  "),
        of(GateOutcome::Pending, "waits for  "),
        of(GateOutcome::Warn, "only warns "),
    ];
    let lines: String = lines.into_iter().flatten().collect();
    (!lines.is_empty()).then(|| format!("note: an approval changes nothing about these gates{lines}"))
}

/// Fetches and verifies a bundle that is at least as new as what this machine has seen of the ledger, and remembers its
/// checkpoint. One that is older is fetched once more; what `fetch` gives is believed no further than it verified it.
///
/// # Errors
/// `ROLLBACK_DETECTED` where the second is older too, else as `fetch` and [`remember`].
pub fn fetch_newest(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    fetch: impl Fn() -> Result<(Vec<u8>, Verified), Failure>,
) -> Result<(Vec<u8>, Verified), Failure> {
    // Read before anything is asked: what another command sees from here on may be newer than this answer.
    let seen = seen_of(world, trust)?;
    let (mut bytes, mut verified) = fetch()?;
    let mut shown = checkpoint_of(&verified)?;
    if longer(&seen, &shown).is_some() {
        (bytes, verified) = fetch()?;
        shown = checkpoint_of(&verified)?;
    }
    if let Some(seen) = longer(&seen, &shown) {
        return Err(rolled_back(world, seen, shown.size));
    }
    remember(world, client, trust, &shown, &verified.checkpoint)?;
    Ok((bytes, verified))
}

/// The newest checkpoint that this machine has seen of each pinned log.
fn seen_of(world: &World, trust: &TrustFile) -> Result<Vec<Checkpoint>, Failure> {
    let mut seen = Vec::new();
    for log in trust.policy()?.logs() {
        seen.extend(read_checkpoint(&world.home.checkpoint(log.vkey.name()))?);
    }
    Ok(seen)
}

fn checkpoint_of(verified: &Verified) -> Result<Checkpoint, Failure> {
    let origin = verified.state.governance()?.origin().to_owned();
    Ok(Checkpoint { origin, size: verified.checkpoint_size, root: verified.checkpoint_root })
}

/// What was seen of the same log with more entries than it is shown with now.
fn longer<'a>(seen: &'a [Checkpoint], shown: &Checkpoint) -> Option<&'a Checkpoint> {
    seen.iter().find(|seen| seen.origin == shown.origin && seen.size > shown.size)
}

/// Compares a verified checkpoint with the newest one that this machine has seen, and keeps the newer.
///
/// One that is smaller has to be a beginning of what was seen, and is no rollback by itself: another command may have
/// seen more since this one was fetched. Whoever needs what is newest fetches with [`fetch_newest`].
///
/// # Errors
/// `EQUIVOCATION` when the ledger did not grow from what was seen; what the network and the server say when they fail.
pub fn remember(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    now: &Checkpoint,
    text: &str,
) -> Result<(), Failure> {
    let path = world.home.checkpoint(&now.origin);
    let Some(seen) = read_checkpoint(&path)? else {
        return write_file(&path, text.as_bytes(), 0o600);
    };
    if seen.size == now.size && seen.root != now.root {
        let message = format!("the ledger shows another root for {} entries than it showed before", now.size);
        return Err(equivocation(world, &now.origin, message));
    }
    if seen.size == now.size || seen.size == TreeSize(0) {
        return write_file(&path, text.as_bytes(), 0o600);
    }
    if seen.size > now.size {
        return grew(world, client, trust, now, &seen);
    }
    grew(world, client, trust, &seen, now)?;
    write_file(&path, text.as_bytes(), 0o600)
}

/// Checks that one tree grew from the other: both grew into the server's newest.
///
/// # Errors
/// `EQUIVOCATION` for what is signed or proven wrongly, `ROLLBACK_DETECTED` where the server's newest is older than one
/// of them. A network or a server that fails contradicts nothing, and keeps its own failure.
fn grew(world: &World, client: &Client, trust: &TrustFile, old: &Checkpoint, new: &Checkpoint) -> Result<(), Failure> {
    let alarm = |message: String| equivocation(world, &old.origin, message);
    for one in [old, new] {
        let reply: ConsistencyReply = client.get(&format!("/v1/consistency?from={}", one.size))?;
        let (signed, _) =
            trust.open_checkpoint(reply.checkpoint.as_bytes()).map_err(|error| alarm(error.to_string()))?;
        let newest = signed.checkpoint;
        if newest.size < one.size {
            return Err(rolled_back(world, one, newest.size));
        }
        let path = reply
            .proof
            .iter()
            .map(|text| {
                let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
                Some(Digest::from_bytes(bytes))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| alarm("the consistency proof is not base64 of 32-byte hashes".to_owned()))?;
        verify_consistency(one.size, newest.size, &path, &one.root, &newest.root).map_err(|error| {
            alarm(format!("the ledger did not grow from its first {} entries as they were seen: {error}", one.size))
        })?;
    }
    Ok(())
}

/// Two checkpoints contradict each other.
fn equivocation(world: &World, origin: &str, message: String) -> Failure {
    let kept = world.home.checkpoint(origin);
    Failure::new(Exit::Integrity, "EQUIVOCATION", message)
        .hint(format!("keep {} and what the server sends: together they are the proof", kept.display()))
}

/// What is shown is signed, and older than what was seen.
fn rolled_back(world: &World, seen: &Checkpoint, shown: TreeSize) -> Failure {
    let kept = world.home.checkpoint(&seen.origin);
    let message =
        format!("this machine has seen {} entries of the ledger, but is shown a state of {shown} entries", seen.size);
    Failure::new(Exit::Integrity, "ROLLBACK_DETECTED", message).hint(format!(
        "ask over another network, in case somebody in between shows an older state; where the server itself has no \
         more, restore its newer data; keep {} as proof",
        kept.display()
    ))
}

#[cfg(test)]
mod tests {
    use lockgate_policy::{GateResult, Outcome, Rule};

    use super::*;

    #[test]
    fn an_approver_is_told_what_else_objects() {
        let check = |gates: &[(&str, &str, GateOutcome)], expected: Option<&str>| {
            let gate = |(name, kind, outcome): &(&str, &str, GateOutcome)| GateResult {
                gate: name.parse().unwrap(),
                kind: (*kind).to_owned(),
                outcome: *outcome,
                reason: "A_REASON".to_owned(),
                rule: Rule { file: "gates/a.toml".to_owned(), line: 1 },
                needed: String::new(),
                found: String::new(),
                evidence: Vec::new(),
                who: String::new(),
                fix: String::new(),
                controls: Vec::new(),
                enforced_from: None,
            };
            let decision = Decision {
                schema: Decision::SCHEMA.to_owned(),
                engine: Decision::ENGINE.to_owned(),
                policy: Digest::of(b"policy"),
                promotion: "P-1".parse().unwrap(),
                release: "shop/web@1.0.0".parse().unwrap(),
                environment: "dev".parse().unwrap(),
                outcome: Outcome::Pending,
                would_block: 0,
                break_glass: None,
                gates: gates.iter().map(gate).collect(),
            };
            assert_eq!(beside_people(&decision).as_deref(), expected);
        };
        use GateOutcome::{Fail, Pass, Pending, Warn};
        check(&[("people", "approvals", Pending), ("tests", "tests", Pass)], None);
        let all = [("a", "tests", Fail), ("b", "windows", Pending), ("c", "sbom", Warn), ("d", "sbom", Warn)];
        let expected = "note: an approval changes nothing about these gates\n  denied by   a (A_REASON)\n  \
                        waits for   b (A_REASON)\n  only warns  c (A_REASON), d (A_REASON)";
        check(&all, Some(expected));
    }
}
