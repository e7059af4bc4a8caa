//! Approve and reject: see exactly what is signed, and sign it with your own key.

use lockgate_api::wire::{Acknowledged, ApprovalRequest, Approved, PromotionReply};
use lockgate_api::{Client, Exit};
use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::approval_text::approval_text;
use lockgate_ledger::{Bundle, ClaimCache, bundle, facts_for};
use lockgate_model::facts::{Facts, Verdict};
use lockgate_model::{Digest, PersonId};
use lockgate_policy::{Decision, GateOutcome, decide};

use crate::cli;
use crate::commands::comparison::against_running;
use crate::commands::review::{open_evidence, take_back};
use crate::commands::seen::fetch_newest;
use crate::commands::why::{next, outcome_exit, standing};
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
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
        let verified = bundle::open(&bytes, &trust, &mut Vec::new()).map_err(Failure::unproven)?;
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
    let already = approved_already(&facts, &person, &decision.policy);
    world.acknowledged(&reply, || {
        let told = told(&client, &person, &reply.result, already);
        format!("{told}{}", logged_line(reply.logged.as_ref()))
    })?;
    match verdict {
        Verdict::Approve => Ok(outcome_exit(&reply.result.status)),
        Verdict::Reject => Ok(Exit::Done),
    }
}

/// What has become of it, and, where an approval did not end in a grant, of what else it waits.
fn told(client: &Client, person: &PersonId, result: &Approved, already: bool) -> String {
    let (promotion, status) = (result.promotion, &result.status);
    let head = match (result.verdict, already) {
        (Verdict::Approve, false) => format!("{person} approved {promotion}: it is {status}\n"),
        (Verdict::Approve, true) => {
            format!("{person} had already approved {promotion}, and signed once more: it is {status}\n")
        }
        (Verdict::Reject, _) => format!("{person} rejected {promotion}: it is {status}\n"),
    };
    let rest = match (result.verdict, status.as_str()) {
        // It is recorded, also where what keeps it from its environment cannot be read.
        (Verdict::Approve, "pending" | "denied") => client
            .get::<PromotionReply>(&format!("/v1/promotions/{promotion}"))
            .map_or_else(|_| next(promotion), |explained| standing(&explained)),
        _ => String::new(),
    };
    format!("{head}{rest}")
}

/// Whether an approval of theirs stood already, which one more does not add to.
fn approved_already(facts: &Facts, person: &PersonId, policy: &Digest) -> bool {
    let replaces = facts.running.as_ref().map(|running| running.manifest);
    facts.approvals.iter().any(|fact| {
        fact.person == *person
            && fact.verdict == Verdict::Approve
            && fact.key_valid
            && !fact.withdrawn
            && !fact.misdescribed
            && fact.binds.policy == *policy
            && fact.binds.replaces == replaces
            && fact.expires_at > facts.time
    })
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
