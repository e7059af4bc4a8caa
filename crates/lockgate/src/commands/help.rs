//! Explain, completions, man pages, reference.

use std::path::Path;

use clap::CommandFactory;
use lockgate_api::Exit;
use serde_json::json;

use crate::cli::{self, Cli};
use crate::commands::explanations::EXPLANATIONS;
use crate::commands::signature;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::terminal::table;
use crate::world::World;

/// `lockgate explain`.
///
/// # Errors
/// `REASON_UNKNOWN`.
pub fn explain(world: &World, options: &cli::Explain) -> Outcome {
    if options.code == "exit-codes" {
        let codes: Vec<_> =
            Exit::ALL.iter().map(|exit| json!({ "code": exit.code(), "meaning": exit.meaning() })).collect();
        let rows = Exit::ALL.iter().map(|exit| vec![exit.code().to_string(), exit.meaning().to_owned()]);
        world.terminal.show(&codes, || table(&["code", "meaning"], rows))?;
        return Ok(Exit::Done);
    }
    let known = lockgate_policy::explain::REASONS
        .iter()
        .chain(REASONS)
        .chain(EXPLANATIONS)
        .chain(lockgate_policy::LINTS)
        .chain(signature::REASONS)
        .find(|(code, _)| code.eq_ignore_ascii_case(&options.code));
    match known {
        Some((code, text)) => {
            world.terminal.show(&json!({ "code": code, "text": text }), || format!("{code}\n{text}"))?;
            Ok(Exit::Done)
        }
        None => Err(Failure::new(Exit::NotFound, "REASON_UNKNOWN", format!("`{}` has no page", options.code))
            .hint("codes stand in brackets behind `error`, and behind `reason` in `lockgate why`")),
    }
}

/// Reason codes that commands and the server give, beside those of the gates.
pub const REASONS: &[(&str, &str)] = &[
    (
        "DEMO_ONE_FACTOR",
        "The policy set demands a second factor of owners or approvers, and whoever begins a demo has a key in a plain file, which is one factor, so that nobody else could be enrolled. Nothing was created. Write the set into a directory with `lockgate init DIR --starter NAME`, set `mfa = false` in its policy.toml, and start the demo with `--policy DIR`; or leave `--demo` out, and sign in with a security key, a passkey or an identity provider.",
    ),
    (
        "DIGEST_NOT_GRANTED",
        "Nothing lets these bytes run in that environment. Either the file was changed after it was promoted, or it was never promoted there. Compare its digest with `lockgate status` and `lockgate history --artifact DIGEST`.",
    ),
    (
        "APPROVAL_CHANGES",
        "The counts in the signed document, of what changes against what runs in the target, are not those that the two releases have with the evidence of that time, or the gates that it names are not those that came out otherwise. Open the promotion again and sign what is shown; if an audit says it, somebody signed a document that another tool made.",
    ),
    (
        "APPROVAL_ENGINE",
        "Approvals name gates that come out otherwise, as another version of Lockgate decided them. It is a remark of the audit: this version cannot decide by those rules, so that it did not compare them. Everything else about these approvals was checked; an audit by the version of that time checks these too.",
    ),
    (
        "TOO_MANY_OPEN",
        "Somebody has as many keys, requests or delegations open as one may: every proof carries them. End one that is not needed.",
    ),
    (
        "ATTESTATION_MISSING",
        "A decision that allows or denies comes with two attestations, and this one has none. Something else has written to the store: keep a copy, and find out what.",
    ),
    (
        "HOME_TAKEN",
        "This home works with a ledger that is not its own, and `lockgate up` would begin another one, or put its own address and trust file in the place of what is pinned. Nothing was changed. Begin a ledger of your own in another home: `lockgate --home DIR up`, or LOCKGATE_HOME. If the other ledger is gone for good, move context.toml and trust.json away.",
    ),
    (
        "TRUST_PINNED",
        "Another ledger is pinned here already, with another beginning, log key or first owner. Nothing was changed. Find out over another channel why; pin it in another home with `lockgate --home DIR trust pin`, or in its place with `--replace`.",
    ),
    (
        "NOTHING_TO_LEND",
        "Whoever lends the right to approve has to have it. `lockgate access show NAME` lists what somebody may do, and by which role.",
    ),
    (
        "NOTHING_RUNS",
        "The service has never been let into that environment, so that there is nothing to compare. `lockgate status` shows what runs where.",
    ),
    (
        "CONTROL_UNKNOWN",
        "No gate of the active policy set, and none of a decision, answers to that control. Gates name theirs with `controls` in gates/*.toml; `lockgate audit export` without `--control` lists all.",
    ),
    (
        "GRANT_SUPERSEDED",
        "These bytes were granted there, but a later grant of the same service replaced them. To go back, ask for a rollback: it is a decision of its own.",
    ),
    ("GRANT_EXPIRED", "The grant has ended. Promote the release again; the gates are evaluated on today's facts."),
    (
        "BREAK_GLASS_UNREVIEWED",
        "A break-glass took effect and nobody has reviewed it; there is no next one before. Somebody who did not sign it runs `lockgate break-glass review INDEX --finding \"...\"`.",
    ),
    (
        "BREAK_GLASS_EXPIRY",
        "A break-glass ends, at the latest after what `max` of `[break-glass]` in the policy set says. Ask for less time.",
    ),
    (
        "BREAK_GLASS_OVER",
        "Enough people have signed that break-glass, or its time is over. `lockgate break-glass list` says which; open another one if it is still needed.",
    ),
    ("BREAK_GLASS_TICKET", "A break-glass names the ticket or incident that it is for: add `--ticket`."),
    (
        "BREAK_GLASS_TARGET",
        "The manifest that was signed is not that of the release. Nothing was recorded; look at who handed it in.",
    ),
    ("FREEZE_OVER", "Somebody has lifted that freeze already. `lockgate freeze list` shows those in force."),
    (
        "WAIVER_GATE",
        "Nothing of this gate can be waived. Waivers are for single findings of vulnerability and analysis gates, licences, configurations and differences between builds; approvals, provenance, freezes and the like have none.",
    ),
    (
        "WAIVER_SCOPE",
        "A waiver is for one finding of one gate that applies there, and, unless the policy set says `service_wide = true`, for one release or artifact: add `--release` or `--artifact`.",
    ),
    (
        "WAIVER_REQUEST",
        "The policy set wants waivers to be asked for in the ledger. Whoever asks runs `lockgate waive request` without `--file`; another person grants the entry that it names.",
    ),
    ("WAIVER_TICKET", "The policy set wants a waiver to name the ticket that follows it up: add `--ticket`."),
    ("WAIVER_EXPIRY", "A waiver ends within 90 days, and not in the past. Ask for a shorter time with `--for`."),
    (
        "WAIVER_OVER",
        "That waiver or request is over: granted, revoked or past its end. `lockgate waive list --all` shows it; ask anew.",
    ),
    ("WAIVER_REPLAYED", "This very waiver was asked for or revoked before. Ask anew: the new request has another end."),
    (
        "WAIVER_MISMATCH",
        "What was granted is not what was asked for. Nothing was recorded; grant the entry as `lockgate waive list` shows it.",
    ),
    (
        "FEED_OLDER",
        "A newer snapshot of the feed is recorded already, and decisions never go back to an older one. Fetch the newest.",
    ),
    ("FEED_KNOWN", "This very snapshot is the newest one already; there is nothing to do."),
    (
        "FEED_FUTURE",
        "The snapshot says that it is of a later day than the ledger's. Look at the server's clock, and at where the file comes from.",
    ),
    (
        "FEED_MALFORMED",
        "The file is no snapshot of that feed, or was cut short: KEV is `known_exploited_vulnerabilities.json` of CISA, EPSS the decompressed CSV of FIRST. Nothing was recorded; fetch it again.",
    ),
    (
        "FEED_MISMATCH",
        "The bytes of a recorded snapshot say otherwise than the entry that recorded it. Run `lockgate audit`, and look at who recorded it.",
    ),
    ("NOT_GRANTED", "The promotion was denied, or is still pending. `lockgate why P-N` names every gate."),
    (
        "DIGEST_MISMATCH",
        "Bytes are not what their name says. On an upload: send the file again. On a read: the store is damaged; run `lockgate audit` and restore the blob from a copy.",
    ),
    (
        "INCLUSION_PROOF",
        "An entry is not proven to be in the ledger that the checkpoint signs. The bundle, or the receipt of a write, was changed or made up. Keep it, and run `lockgate audit` where the data is.",
    ),
    (
        "CHECKPOINT_INVALID",
        "The checkpoint is not signed by the pinned log key. The bundle was changed, or comes from another ledger.",
    ),
    (
        "LOG_KEY_UNKNOWN",
        "The log is not one that your trust file pins. Compare the trust file over another channel; never take a new key from the server that it is to check.",
    ),
    (
        "GENESIS_MISMATCH",
        "The ledger begins with another entry than the pinned one: it is another ledger, even if the key is the same.",
    ),
    ("ROOT_KEY_UNKNOWN", "The first owner's key is not the pinned one. Whoever made this ledger is not who you trust."),
    (
        "BUNDLE_INCOMPLETE",
        "Entries were left out of a chain that the decision rests on. Get the bundle again from the server or another copy.",
    ),
    ("BUNDLE_INVALID", "The file is not a bundle of this version, or it is damaged."),
    (
        "GOVERNANCE_GAP",
        "An entry names a newer governance entry than the bundle holds: a revocation, an enrolment or a policy change was left out, or made up. Get the bundle again from another source.",
    ),
    (
        "ANCHOR_UNPROVEN",
        "The ledger that an approver verified before signing is not proven to be the beginning of this one. The history before the approval was rewritten, or the bundle lacks the proof.",
    ),
    ("GENESIS_MISSING", "The bundle does not start with the ledger's first entry."),
    ("DECISION_MISSING", "There is no decision on that promotion."),
    ("GRANT_UNFOUNDED", "A grant is longer than the policy set allows, or no decision allows what it grants."),
    ("WITNESS_QUORUM", "The trust file demands cosignatures of witnesses that the checkpoint does not carry."),
    (
        "ENTRY_CHANGED",
        "A row of the database is not what the tree was made of. Stop the server, run `lockgate audit`, and restore the database from a copy.",
    ),
    (
        "HISTORY_CHANGED",
        "The entries before a kept checkpoint, or before what an approver saw, are others now. Keep both; together they are the proof.",
    ),
    (
        "STREAM_BROKEN",
        "An entry does not follow the one before it in its chain: an entry was removed, inserted or moved.",
    ),
    ("ROOT_MISMATCH", "The entries do not have the root that the database says."),
    (
        "LEDGER_MISSING",
        "The server's keys have begun a ledger before, but its data is gone. A ledger is never begun twice with one key: restore the data directory.",
    ),
    ("SERVICE_MISMATCH", "The bundle is about another service than the one that was asked for."),
    ("ENVIRONMENT_MISMATCH", "The grant is for another environment than the one that was asked for."),
    ("CLOCK_BEHIND", "The grant is later than this machine's clock. Set the clock, or find out who set it back."),
    (
        "REPLAY_FACTS",
        "The facts come out differently from the ledger's entries and evidence than when the decision was made. The bundle was changed, or the decision was not made from what it names.",
    ),
    ("REPLAY_DECISION", "The decision comes out differently on the same facts and policy set."),
    (
        "ROLLBACK_DETECTED",
        "This machine has seen a longer ledger than is shown now. Entries were taken back, as by a restored backup, or somebody between here and the server shows an older state. Ask over another network; where the server itself has no more, restore the newer data. Keep both checkpoints as proof.",
    ),
    (
        "EQUIVOCATION",
        "Two checkpoints of one ledger contradict each other. Keep both: together they prove that the log's owner showed different histories.",
    ),
    (
        "LEDGER_ROLLED_BACK",
        "The data directory is older than what this server has signed. Serving it would fork history. Restore the newer data directory.",
    ),
    ("LEDGER_UNKNOWN", "The server speaks for another ledger than the one pinned here. Nothing was signed for it."),
    ("STORE_LOCKED", "Another process uses this data directory. Two writers of one ledger would fork it."),
    ("PORT_TAKEN", "Something else listens on that address. Choose another with --listen."),
    (
        "TRUST_MISSING",
        "A verifier needs a trust file from a channel that it trusts; the server's own word is not enough.",
    ),
    (
        "TRUST_WRITABLE",
        "Everybody on this machine may write the trust file, so that anyone could decide what is believed. Compare it over another channel, then take the right away with `chmod o-w`.",
    ),
    (
        "RELEASE_EXISTS",
        "That version is published with other content. The same version never names other bytes: publish a new version.",
    ),
    (
        "SUBJECT_ID_MISMATCH",
        "The token is a good one of a pipeline that nobody trusts here. Pipelines are known by numeric ids; a name that was given to another project has another id. `lockgate ci trust list` shows what is trusted.",
    ),
    (
        "TOKEN_MALFORMED",
        "Not a signed JWT in the one strict form that is read, or a claim that has to be there is not.",
    ),
    (
        "TOKEN_KEY_UNTRUSTED",
        "No key that the trusted issuer publishes signed the token, or it brings a key or an address along, or it is not signed. Nothing in a token decides which key verifies it.",
    ),
    (
        "TOKEN_ISSUER",
        "No trust names that issuer. Issuers are compared byte for byte: a slash at the end is another one.",
    ),
    ("TOKEN_AUDIENCE", "The token was made for another server or another use."),
    (
        "TOKEN_EXPIRED",
        "The token or session has ended. Sign in again; in a CI job, ask for a new token just before it is needed.",
    ),
    ("TOKEN_NOT_YET_VALID", "The token begins more than 30 seconds from now: one of the two clocks is wrong."),
    ("TOKEN_LIFETIME", "The token counts for longer than 24 hours; configure the issuer to make shorter ones."),
    ("TOKEN_REPLAYED", "A CI job's token is exchanged once. Ask the CI system for another."),
    ("TOKEN_SCOPE", "A pipeline's token is for the services of its trust, and for pushing, asking and reading there."),
    ("CI_TRUST_ENDED", "The trust that this token came of was removed, or one of its signatures counts no more."),
    (
        "CI_TRUST_IDS",
        "A trust of GitHub or GitLab names the numeric ids of owner and repository, because names can be given to others.",
    ),
    (
        "CI_TOKEN_MISSING",
        "The job has no token of its CI system: it has to be allowed to ask for one, or be given one.",
    ),
    (
        "ISSUER_UNREACHABLE",
        "The issuer's keys could not be fetched, so its tokens cannot be verified now. Try again in a moment.",
    ),
    ("SUBJECT_MISMATCH", "The evidence is about other artifacts. Evidence binds by digest; a name never matches."),
    (
        "UNSIGNED",
        "Where a signature is due, a bare statement is refused. Hand in the DSSE envelope that the builder signed.",
    ),
    ("EVIDENCE_KIND", "The file is evidence of another kind than the option says."),
    (
        "DUPLICATE_KEY",
        "A JSON document has one key twice, so that two readers could see two documents. It is refused whole.",
    ),
    (
        "APPROVAL_TARGET",
        "The signed document is for another promotion, environment, person or ledger than the one it was handed in for.",
    ),
    (
        "APPROVAL_STALE",
        "What runs in the target, the policy set, what is listed in the document, or which gates come out otherwise than for what runs there, has changed since the document was shown. Look again and sign again.",
    ),
    ("APPROVAL_EXPIRED", "The approval's end is past, or later than the policy set allows."),
    ("APPROVAL_REPLAYED", "This very approval is recorded already."),
    (
        "NOT_PERMITTED",
        "No role with that permission is bound to you for that service and environment. `lockgate access show` lists what you may do and why; `lockgate access who PERMISSION` names those who may.",
    ),
    (
        "REVIEW_STALE",
        "People, roles or bindings have changed since the access review was shown. Look again and sign again.",
    ),
    ("REVIEW_TARGET", "The access review is of another ledger, or of one that is longer than this."),
    ("KEY_REVOKED", "The key's signatures do not count any more, or did not at that point of the ledger."),
    (
        "KEY_EXPIRED",
        "The key was enrolled with an end, and ledger time has passed it. Rotate a key before its end; afterwards have it recovered with `lockgate key recover`.",
    ),
    (
        "KEY_SCOPE",
        "The key was enrolled for some environments alone, and signs for nothing else: not for other environments, and not for changes of people, keys and policy.",
    ),
    (
        "SUSPECT_KEY",
        "The decision counted a signature by a key that was found compromised later, or by a key that such a key had enrolled. The bundle is genuine, but what it proves is in doubt. Look at what happened, and promote again; `lockgate why P-N` names the signatures.",
    ),
    (
        "PERSON_SUSPENDED",
        "The person is suspended: what they sign and their sessions do not count until somebody who may manage keys reinstates them.",
    ),
    (
        "QUORUM_GOVERNANCE",
        "A change of people, keys or policy does not carry the signatures of as many different people as the active policy set asks for. Propose it with one signature; the others sign it with `lockgate change sign C-N`.",
    ),
    (
        "BACKTEST_MISSING",
        "The active policy set has `[governance] backtest = true`: a change of policy carries the report of a backtest of the whole history, whose digest everyone signs. Run `lockgate policy backtest DIR --report FILE` without `--since`, then activate with `--backtest FILE`.",
    ),
    (
        "BACKTEST_DIFFERS",
        "The report of a backtest was made again from the same entries, and something else came out: it does not say what the policy set would have decided. Sign nothing, and ask who made it; a report that `lockgate policy backtest` wrote comes out the same everywhere. If an audit says it, the change was made with that report, and whoever signed it was shown something untrue.",
    ),
    (
        "BACKTEST_EMPTY",
        "Nothing was decided again, because the ledger has no entry from there on. Name an earlier entry or a longer time with `--since`, or leave it out to look at the whole history.",
    ),
    (
        "BACKTEST_ENGINE",
        "Another version of Lockgate made the backtest of a policy set. It is a remark of the audit: this version cannot decide by those rules, so that it did not make the report again. An audit by the version of that time does.",
    ),
    (
        "BACKTEST_STALE",
        "The backtest is of another policy set, or from before another one became active. Run it again on exactly the files that are to be activated.",
    ),
    (
        "BACKTEST_INVALID",
        "The file is not a backtest of this version as it was written: its digest is signed, so every byte counts.",
    ),
    (
        "BACKTEST_TOO_LARGE",
        "A change of policy carries a backtest of at most 3 MiB, which is some ten thousand decisions that come out differently. Look at less of the history with `--since`; whoever signs sees from where on. Where the active policy set demands all of it, change the set in smaller steps.",
    ),
    (
        "POLICY_DOUBTFUL",
        "The policy set loads, and says what it probably does not mean. Each warning has a code that `lockgate explain` explains.",
    ),
    (
        "POLICY_COVERAGE_LOW",
        "Too few gates are seen on both sides by the policy set's tests: passing, and objecting. Add tests that name the gates that are listed.",
    ),
    (
        "POLICY_SNAPSHOT_DIFFERS",
        "What the tests explain is not what `tests/*.explain.txt` holds. Look at each line; if all are meant, write them anew with `lockgate policy test --update`.",
    ),
    (
        "POLICY_UNKNOWN",
        "No policy set is known by that name: write a directory, `active`, the digest of a set in the ledger, or a starter set.",
    ),
    ("CHANGE_UNKNOWN", "No change of that number was ever proposed. `lockgate change list` lists them."),
    ("CHANGE_CLOSED", "The change has happened, or was rejected. `lockgate change show C-N` says which."),
    ("CHANGE_EXPIRED", "The change did not gather enough signatures within 72 hours. Propose it anew."),
    ("CHANGE_OPEN", "The same change is proposed already and gathers signatures: sign that one."),
    ("CHANGE_SIGNED", "You have signed the change already; it takes other people."),
    (
        "CHANGE_UNSIGNED",
        "The document was proposed, and somebody whose signature is handed in has not signed the newest proposal of it. Signatures of a proposal that was rejected or has expired do not carry over.",
    ),
    (
        "CHANGE_INVALID",
        "A proposal does not say what its draft does, or the draft is no change that several people sign.",
    ),
    (
        "CHANGE_MISMATCH",
        "What the server shows of a change is not what would be signed. Nothing was signed; look at the ledger with `lockgate audit`.",
    ),
    (
        "STANDING_STALE",
        "The person was suspended or reinstated since this was signed. Look again with `lockgate key list`, and sign again.",
    ),
    ("STANDING_SAME", "There is nothing to change about the person's standing."),
    (
        "REVOCATION_UNDERCUT",
        "The key that signs the revocation was itself enrolled by the key that it ends, at or after the entry that it names. Name a later entry, or let someone sign for whom that key did not vouch.",
    ),
    ("KEY_LIMITS", "A passkey that was made in a browser has signed its own enrolment without an end or a scope."),
    ("KEY_UNKNOWN", "The key is not enrolled for that person."),
    ("KEY_ALREADY_BOUND", "One key belongs to one person."),
    (
        "PASSKEY_UNKNOWN",
        "No passkey waits under that code: codes last ten minutes and end with the server. Make another on the page `/enrol`.",
    ),
    (
        "PASSKEY_MISMATCH",
        "The passkey that waits under that code is for another name, other groups, or not what the command is for.",
    ),
    ("SIGNATURE_INVALID", "The signature is not over these bytes, for this purpose, by that key."),
    (
        "WEBAUTHN_CHALLENGE",
        "The passkey signed another challenge: the document was changed, or the signature is another's.",
    ),
    (
        "WEBAUTHN_CLIENT_DATA",
        "What the browser says that it asked for is not written as browsers write it, so two readers could read it differently.",
    ),
    (
        "WEBAUTHN_CROSS_ORIGIN",
        "The passkey was used on a page inside another site's page. Open Lockgate itself, and sign again.",
    ),
    (
        "WEBAUTHN_FLAGS",
        "The passkey's device did not say that somebody confirmed the signature, or says more than belongs in one.",
    ),
    (
        "WEBAUTHN_ORIGIN",
        "The passkey was used at an origin that is not of its RP id, or that `[passkeys] origins` of the policy set does not list.",
    ),
    ("WEBAUTHN_SYNCED", "The passkey is copied to other devices, and the policy set has `[passkeys] synced = false`."),
    (
        "WEBAUTHN_TYPE",
        "A passkey makes WebAuthn assertions and nothing else; neither registrations nor SSH signatures by it count.",
    ),
    (
        "WEBAUTHN_UV",
        "The policy set wants the device to check by PIN or biometrics who uses a passkey, and always of a synced one.",
    ),
    ("PROMOTION_CLOSED", "The promotion has ended; nothing can be added to it. Ask again with `lockgate promote`."),
    (
        "HANDOVER_INVALID",
        "The link from `lockgate dashboard` was used, is older than a minute, names another person, or the session that it was made in has ended. Get another.",
    ),
    ("SERVICE_UNKNOWN", "No release of that service is published, or it is one that you may not read."),
    ("IDEMPOTENCY_MISMATCH", "An idempotency key stands for one request. Use a new key for a new request."),
    (
        "DISK_FULL",
        "The server's disk is full, or that of the directory in which a drill makes its copies; the message says so. Nothing was acknowledged and nothing is half-written; make room and try again.",
    ),
    (
        "SERVER_UNREACHABLE",
        "The server did not answer. Verification of a bundle works without it: `lockgate verify FILE --bundle B ...`.",
    ),
    (
        "DRILL_MISSED",
        "An attack on a copy of the data went unnoticed, or was noticed only for another reason than the one that it was made for: the report says which. Do not rely on that check before you know why; `lockgate drill --only NAME --keep DIR` makes the same copy again, to look at. Where an older state came back unnoticed, this home does not remember enough: start its server, which keeps `high-water`.",
    ),
    (
        "DRILL_UNSOUND",
        "The copy is not sound before anything was attacked, so that a drill would prove nothing, and none was made. What `lockgate audit` says about the data comes first.",
    ),
    (
        "DRILL_NOTHING",
        "No attack was made: the ledger has nothing yet that could be attacked in the ways that were chosen. Each row says why it was skipped.",
    ),
    (
        "DRILL_SKIPPED",
        "Attacks were not made, because something is missing that should be there: the server's own keys, or what its home remembers. The report says of each what to do; run the drill where the server runs, with its home. `--allow-skips NUMBER` accepts so many, `--only NAME` makes some attacks alone.",
    ),
    ("DRILL_UNKNOWN", "There is no attack of that name. `lockgate drill --list` names them all."),
    (
        "DRILL_INVALID",
        "A report of a drill does not read, its numbers do not fit each other, or it is about another ledger than the server's. `lockgate drill` makes the report, and records it at the server of the home.",
    ),
    (
        "DRILL_FAILED",
        "An attack could not be made on a copy, or the copy not be looked at, so that it was neither caught nor missed. The report says what stood in the way, and what came of the others; the data itself was not touched.",
    ),
    (
        "AUDIT_FAILED",
        "The ledger contradicts itself, its signatures or what was kept of it. Each problem is listed with its entry.",
    ),
];

/// `lockgate completions`.
///
/// # Errors
/// When standard output is closed.
pub fn completions(world: &World, shell: clap_complete::Shell) -> Outcome {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lockgate", &mut bytes);
    world.terminal.bytes(&bytes)?;
    Ok(Exit::Done)
}

/// `lockgate man`.
///
/// # Errors
/// When a page cannot be written.
pub fn man(world: &World, dir: &Path) -> Outcome {
    let mut count = 0;
    pages(&Cli::command(), "lockgate", dir, &mut count)?;
    world.terminal.done(
        &json!({ "pages": count, "dir": dir.display().to_string() }),
        format!("{count} man pages are in {}", dir.display()),
    )?;
    Ok(Exit::Done)
}

fn pages(command: &clap::Command, name: &str, dir: &Path, count: &mut usize) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut bytes)
        .map_err(|error| Failure::file(dir, &error))?;
    write_file(&dir.join(format!("{name}.1")), &bytes, 0o644)?;
    *count += 1;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(sub, &format!("{name}-{}", sub.get_name()), dir, count)?;
    }
    Ok(())
}

/// `lockgate help-all`: every command in one Markdown page.
///
/// # Errors
/// When standard output is closed.
pub fn reference(world: &World) -> Outcome {
    let mut text = String::from("# Command reference\n\nMade from the program itself by `cargo xtask codegen`.\n");
    describe(&mut Cli::command(), "lockgate", &mut text);
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        text.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    text.push_str("\n## Reason codes of commands and server\n\n| code | meaning |\n|---|---|\n");
    let mut reasons: Vec<_> =
        REASONS.iter().chain(EXPLANATIONS).chain(signature::REASONS).chain(lockgate_policy::LINTS).collect();
    reasons.sort();
    for (code, meaning) in reasons {
        text.push_str(&format!("| `{code}` | {meaning} |\n"));
    }
    world.terminal.bytes(text.as_bytes())?;
    Ok(Exit::Done)
}

fn describe(command: &mut clap::Command, name: &str, text: &mut String) {
    let help = command.clone().bin_name(name.to_owned()).term_width(100).render_long_help();
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help.to_string().trim()));
    let subs: Vec<clap::Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    for mut sub in subs {
        let sub_name = format!("{name} {}", sub.get_name());
        describe(&mut sub, &sub_name, text);
    }
}
