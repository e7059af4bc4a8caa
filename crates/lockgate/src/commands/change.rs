//! Changes that several people sign: list, look at, sign, reject.
//!
//! What is signed is rebuilt here from the draft, for the ledger that is pinned here; the server's word for what a
//! change does is not taken.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_api::wire::{
    Acknowledged, ChangeRejectionRequest, ChangeReply, ChangeRow, ChangeSignatureRequest, Changed, ServerInfo, Whoami,
};
use lockgate_api::{Client, Exit};
use lockgate_ledger::Event;
use lockgate_ledger::backtest::BacktestReport;
use lockgate_ledger::change::{REJECTION_NAMESPACE, read_draft, rejection_bytes, render};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::entry::PolicyActivated;
use lockgate_model::text::visible;
use lockgate_model::{ChangeId, Digest, Limits, canonical};
use lockgate_policy::{LineChange, PolicySet, line_changes};
use serde_json::json;

use crate::cli;
use crate::commands::key_life::print_suspects;
use crate::commands::policy::invalid;
use crate::commands::policy_backtest::{checked_summary, summary_of};
use crate::failure::{Failure, Outcome};
use crate::keyring::sign as sign_with;
use crate::receipts::logged_line;
use crate::terminal::table;
use crate::world::World;

/// The most lines of a policy set's differences that are shown.
const LINES_MAX: usize = 200;
/// What there is where no change was proposed: what one person may do alone is done at once, and is no change here.
const NOTHING_PROPOSED: &str = "no change waits, and none was proposed to others";
/// Where all lines are of a policy set that is not proposed yet: there is no change to be shown.
const BEFORE_PROPOSED: &str = "`lockgate policy diff active DIR` tells all that changes";
/// What stands in the place of the differences where there is nothing to compare with.
const STALE: &str = "  differs     from a policy set that is not active any more: the change is stale\n";

/// `lockgate change`.
///
/// # Errors
/// What does not verify here, or what the server refuses.
pub fn change(world: &World, options: &cli::Change) -> Outcome {
    match options {
        cli::Change::List => list(world),
        cli::Change::Show { change } => show(world, *change),
        cli::Change::Sign { change, yes } => sign(world, *change, *yes),
        cli::Change::Reject { change, reason } => reject(world, *change, reason),
    }
}

/// Prints the reply to a change of governance: that it is done, or who else has to sign it. Then it is pending.
///
/// # Errors
/// As [`World::acknowledged`].
pub fn outcome(world: &World, reply: &Acknowledged<Changed>, done: impl FnOnce() -> String) -> Outcome {
    let result = &reply.result;
    let (Some(change), Some(missing)) = (result.change, result.missing) else {
        world.acknowledged(reply, || format!("{}\n{}", done(), logged_line(reply.logged.as_ref())))?;
        return Ok(Exit::Done);
    };
    world.acknowledged(reply, || {
        let verb = if result.event == "change.signed" { "signed" } else { "proposed" };
        let more = if missing == 1 { "1 more signature".to_owned() } else { format!("{missing} more signatures") };
        let until = result.expires_at.map(|end| format!(" until {end}")).unwrap_or_default();
        format!(
            "{change} is {verb}: it needs {more}: `lockgate change sign {change}`{until}\n{}",
            logged_line(reply.logged.as_ref())
        )
    })?;
    Ok(Exit::Pending)
}

/// Shows a change that is about to be signed as whoever signs it later sees it, and asks.
///
/// # Errors
/// `CONFIRMATION_NEEDED` where there is nobody to ask, `NOT_CONFIRMED` after a no.
pub fn confirm(world: &World, event: &Event, document: &[u8], origin: &str, yes: bool) -> Result<(), Failure> {
    confirm_with(world, event, document, &format!("  ledger      {origin}\n"), yes)
}

/// As [`confirm`], with lines of more than the event says.
///
/// # Errors
/// As [`confirm`].
pub fn confirm_with(world: &World, event: &Event, document: &[u8], more: &str, yes: bool) -> Result<(), Failure> {
    world.terminal.say(format!("You are about to sign:\n{}{}", render(event, document), more.trim_end()));
    match yes || world.terminal.confirm("Sign this with your key?")? {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed")),
    }
}

/// Whether an open change waits for this very person: they may sign it, it is not about them, and they have not.
pub fn needs(row: &ChangeRow, me: &Whoami) -> bool {
    row.status == "open"
        && row.missing > 0
        && me.permissions.contains(&row.permission)
        && row.subject.as_ref() != Some(&me.person)
        && !row.signed_by.contains(&me.person)
}

fn list(world: &World) -> Outcome {
    let client = world.signed_in()?;
    let (rows, me): (Vec<ChangeRow>, Whoami) = (client.get("/v1/changes")?, client.get("/v1/whoami")?);
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return NOTHING_PROPOSED.to_owned();
        }
        let row = |row: &ChangeRow| {
            let signed: Vec<&str> = row.signed_by.iter().map(lockgate_model::PersonId::as_str).collect();
            let next = match row.status.as_str() {
                "open" if needs(row, &me) => format!("needs you: lockgate change sign {}", row.change),
                "open" => format!("needs {} more", row.missing),
                "stale" => format!("lockgate change reject {} --reason stale", row.change),
                _ => visible(row.outcome.as_deref().unwrap_or_default()),
            };
            vec![
                row.change.to_string(),
                visible(&row.event),
                visible(&row.status),
                signed.join(", "),
                row.expires_at.to_string(),
                next,
            ]
        };
        table(&["change", "what", "state", "signed by", "until", ""], rows.iter().map(row))
    })?;
    Ok(Exit::Done)
}

/// What somebody reads a change for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To know what it is.
    Look,
    /// To sign it: what cannot be shown is not signed.
    Sign,
}

/// A change whose document was rebuilt here.
struct Rebuilt {
    reply: ChangeReply,
    event: Event,
    namespace: &'static str,
    document: Vec<u8>,
    origin: String,
}

impl Rebuilt {
    fn text(&self, world: &World, client: &Client, purpose: Purpose) -> Result<String, Failure> {
        let mut text = render(&self.event, &self.document);
        let signed: Vec<&str> = self.reply.row.signed_by.iter().map(lockgate_model::PersonId::as_str).collect();
        text.push_str(&format!("  signed by   {}\n  ledger      {}\n", signed.join(", "), self.origin));
        if let Event::PolicyActivated(event) = &self.event {
            let document = self.reply.policy.as_deref().unwrap_or_default();
            if Digest::of(document.as_bytes()) != event.policy {
                return Err(mismatch("the server sent another policy set than the one that is to be signed"));
            }
            let next = PolicySet::from_document(document.as_bytes()).map_err(|errors| invalid(&errors))?;
            let change = self.reply.row.change;
            let whole = format!("`lockgate --output json change show {change}` has the whole policy set");
            let differs = match (differences(client, event.previous, &next, &whole)?, purpose) {
                (Some(differs), _) => differs,
                (None, Purpose::Look) => STALE.to_owned(),
                (None, Purpose::Sign) => return Err(unsignable(&self.reply.row)),
            };
            if let Some(digest) = event.backtest {
                let report = backtest_of(client, digest, event, &self.origin)?;
                let summary = match purpose {
                    Purpose::Look => summary_of(&report),
                    Purpose::Sign => checked_summary(world, client, &report, &next)?,
                };
                text.push_str(&backtest_lines(&summary));
            }
            text.push_str(&differs);
        }
        Ok(text)
    }
}

/// Fetches a change and rebuilds its document from the draft.
fn rebuild(world: &World, client: &Client, id: ChangeId) -> Result<Rebuilt, Failure> {
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let reply: ChangeReply = client.get(&format!("/v1/changes/{id}"))?;
    let event = read_draft(reply.draft.as_bytes())?;
    let (namespace, document) = match event.demand(&info.origin)? {
        Some(demand) => (demand.namespace, demand.document),
        None => return Err(mismatch("the draft is no change that several people sign")),
    };
    if Digest::of(&document) != reply.document || reply.row.change != id {
        return Err(mismatch("the server names another document than the draft gives"));
    }
    Ok(Rebuilt { reply, event, namespace, document, origin: info.origin })
}

fn mismatch(message: &str) -> Failure {
    Failure::new(Exit::Integrity, "CHANGE_MISMATCH", message)
}

/// Why a policy set is not signed where the one that it replaces is not the active one: what changes cannot be shown.
fn unsignable(row: &ChangeRow) -> Failure {
    let change = row.change;
    let ended = |code: &str| {
        Failure::new(Exit::Conflict, code, format!("{change} is {} already", row.status))
            .hint(format!("nothing was signed; `lockgate change show {change}` says how it ended"))
    };
    match row.status.as_str() {
        "applied" | "rejected" => ended("CHANGE_CLOSED"),
        "expired" => ended("CHANGE_EXPIRED"),
        _ => stale(&format!("`lockgate change reject {change} --reason stale`, and propose it anew")),
    }
}

fn stale(next: &str) -> Failure {
    let message = "the active policy set is not the one that would be replaced, so that what changes cannot be shown";
    Failure::new(Exit::Conflict, "POLICY_STALE", message).hint(format!("nothing was signed; {next}"))
}

fn show(world: &World, id: ChangeId) -> Outcome {
    let client = world.signed_in()?;
    let rebuilt = rebuild(world, &client, id)?;
    let text = rebuilt.text(world, &client, Purpose::Look)?;
    let row = &rebuilt.reply.row;
    let mut shown = json!({
        "change": row, "event": rebuilt.event, "document": rebuilt.reply.document,
        "code": code_words(&rebuilt.reply.document),
    });
    if let (Some(policy), Some(fields)) = (&rebuilt.reply.policy, shown.as_object_mut()) {
        fields.insert("policy".to_owned(), json!(policy));
    }
    world.terminal.show(&shown, || {
        let state = match row.status.as_str() {
            "open" => format!("open until {}, needs {} more", row.expires_at, row.missing),
            other => visible(&format!("{other}: {}", row.outcome.as_deref().unwrap_or("its time ran out"))),
        };
        let next = match row.status.as_str() {
            "stale" => format!("\n  next        lockgate change reject {id} --reason stale"),
            _ => String::new(),
        };
        format!("{id}  {}\n{text}  state       {state}{next}", visible(&row.event))
    })?;
    Ok(Exit::Done)
}

fn sign(world: &World, id: ChangeId, yes: bool) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let rebuilt = rebuild(world, &client, id)?;
    world.terminal.say(format!("You are about to sign {id}:\n{}", rebuilt.text(world, &client, Purpose::Sign)?));
    if !yes && !world.terminal.confirm("Sign this with your key?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let signature = sign_with(signer.as_ref(), rebuilt.namespace, &rebuilt.document)?;
    let request = ChangeSignatureRequest { signature };
    let path = format!("/v1/changes/{id}/signatures");
    let reply: Acknowledged<Changed> = client.post(&path, &request, Some(&world.random_hex()?))?;
    let exit =
        outcome(world, &reply, || format!("{id} is done: {} in entry {}", reply.result.event, reply.result.index))?;
    if exit == Exit::Done && matches!(&rebuilt.event, Event::KeyRevoked(event) if event.compromised_since.is_some()) {
        print_suspects(world, &client, reply.result.index)?;
    }
    Ok(exit)
}

fn reject(world: &World, id: ChangeId, reason: &str) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let rebuilt = rebuild(world, &client, id)?;
    let document = rejection_bytes(&rebuilt.origin, id, rebuilt.reply.document, reason)?;
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let signature = sign_with(signer.as_ref(), REJECTION_NAMESPACE, &document)?;
    let request = ChangeRejectionRequest { reason: reason.to_owned(), signature };
    let path = format!("/v1/changes/{id}/rejection");
    let reply: Acknowledged<Changed> = client.post(&path, &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || format!("{id} is rejected\n{}", logged_line(reply.logged.as_ref())))?;
    Ok(Exit::Done)
}

/// The backtest of a policy set, which whoever signs the change signs too.
fn backtest_of(
    client: &Client,
    digest: Digest,
    event: &PolicyActivated,
    origin: &str,
) -> Result<BacktestReport, Failure> {
    let bytes = client.blob(&digest)?;
    if Digest::of(&bytes) != digest {
        return Err(mismatch("the server sent another backtest than the one that is to be signed"));
    }
    let report = BacktestReport::from_bytes(&bytes)?;
    report.check(origin, event.policy, event.previous)?;
    Ok(report)
}

/// What a backtest says, indented as what is shown before a signature.
pub fn backtest_lines(summary: &str) -> String {
    summary.lines().map(|line| format!("              {line}\n")).collect()
}

/// Which lines change by a policy set that is not proposed yet. The active set is compared by the digest that the
/// change would name.
///
/// # Errors
/// `POLICY_STALE` where another set is active, or when the active set cannot be fetched, or does not read.
pub fn policy_differences(client: &Client, previous: Digest, next: &PolicySet) -> Result<String, Failure> {
    differences(client, previous, next, BEFORE_PROPOSED)?
        .ok_or_else(|| stale("look at what is active with `lockgate policy show`, and try again"))
}

/// Which lines of the policy set change, `None` where the active set is not `previous`; `whole` says where all of them
/// are.
fn differences(client: &Client, previous: Digest, next: &PolicySet, whole: &str) -> Result<Option<String>, Failure> {
    let active = client.get_bytes("/v1/policy")?;
    if Digest::of(&active) != previous {
        return Ok(None);
    }
    let (before, after) = (files(&active)?, files(&next.document())?);
    let mut lines = Vec::new();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let empty = String::new();
        let (old, new) = (before.get(name).unwrap_or(&empty), after.get(name).unwrap_or(&empty));
        if old != new {
            lines.push(format!("  file        {}", visible(name)));
            lines.extend(marked(old, new, indented).into_iter().map(|line| format!("    {line}")));
        }
    }
    Ok(Some(shortened(lines, whole)))
}

/// So many lines as are shown, and where the others are.
fn shortened(mut lines: Vec<String>, whole: &str) -> String {
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("    and {more} more lines; {whole}"));
    }
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

/// The lines that one text has and the other has not, each with its number: first `-`, then `+`. A line that moved is
/// shown in both places, because under another heading it says something else.
pub fn line_differences(old: &str, new: &str) -> Vec<String> {
    marked(old, new, visible)
}

/// As [`line_differences`], with each line as `shown` gives it.
fn marked(old: &str, new: &str, shown: fn(&str) -> String) -> Vec<String> {
    let line = |change: LineChange| {
        let mark = if change.added { '+' } else { '-' };
        format!("{mark} {:>4}  {}", change.line, shown(&change.text))
    };
    line_changes(old, new).into_iter().map(line).collect()
}

/// A line of a policy file, with the tabs that indent it as four spaces each: only a tab that stands further on is
/// written out. The bytes that are signed keep theirs.
fn indented(line: &str) -> String {
    let rest = line.trim_start_matches([' ', '\t']);
    let indent = line.strip_suffix(rest).unwrap_or_default().replace('\t', "    ");
    format!("{indent}{}", visible(rest))
}

fn files(document: &[u8]) -> Result<BTreeMap<String, String>, Failure> {
    #[derive(serde::Deserialize)]
    struct Document {
        files: BTreeMap<String, String>,
    }
    let document: Document = canonical::from_slice(document, &Limits::DEFAULT)
        .map_err(|error| Failure::new(Exit::Integrity, "POLICY_INVALID", error.to_string()))?;
    Ok(document.files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, wanted: &[&str]) {
        assert_eq!(line_differences(old, new), wanted);
    }

    #[test]
    fn every_line_that_differs_is_shown() {
        check("a\nb\nc\n", "a\nb\nc\n", &[]);
        check("a\nb\nc\n", "a\nx\nc\n", &["-    2  b", "+    2  x"]);
        check("", "a\nb", &["+    1  a", "+    2  b"]);
        check("a\nb", "", &["-    1  a", "-    2  b"]);
        check("a\nb\nc\nd\ne", "a\nc\nd\nx\ne", &["-    2  b", "+    4  x"]);
        check("a\na", "a", &["-    2  a"]);
        check("a", "\u{1b}[2J", &["-    1  a", "+    1  \\u{1b}[2J"]);
    }

    #[test]
    fn tabs_that_indent_are_spaces() {
        let check = |line: &str, shown: &str| assert_eq!(indented(line), shown, "{line:?}");
        check("\t\tcount > 1", "        count > 1");
        check(" \tx", "     x");
        check("\t", "    ");
        check("", "");
        check("a\tb", "a\\u{9}b");
        check("\t\u{1b}[2J", "    \\u{1b}[2J");
        assert_eq!(marked("a\n", "\ta\n", indented), ["-    1  a", "+    1      a"]);
        // Where a line is compared, and not about to be signed, nothing is in the place of anything.
        assert_eq!(line_differences("a", "\ta"), ["-    1  a", "+    1  \\u{9}a"]);
    }

    /// Two gates swap how many approvals they take: no line is new, and no line is gone.
    #[test]
    fn lines_that_change_places_are_shown() {
        let old = "[dev]\ncount = 1\n\n[production]\ncount = 2\n";
        let new = "[dev]\ncount = 2\n\n[production]\ncount = 1\n";
        let lines = line_differences(old, new);
        assert!(lines.iter().any(|line| line.starts_with('-')) && lines.iter().any(|line| line.starts_with('+')));
        assert!(lines.contains(&"+    5  count = 1".to_owned()), "{lines:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_not_signed() {
        let check = |status: &str, code: &str| {
            let row = serde_json::json!({
                "change": "C-1", "event": "policy.activated", "status": status, "permission": "policy",
                "signed_by": ["sam"], "missing": 1, "proposed_at": 1, "expires_at": 7,
            });
            let failure = unsignable(&serde_json::from_value(row).unwrap());
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::Conflict, code), "{status}");
            assert!(failure.hint.unwrap().starts_with("nothing was signed; "), "{status}");
        };
        check("open", "POLICY_STALE");
        check("stale", "POLICY_STALE");
        check("applied", "CHANGE_CLOSED");
        check("rejected", "CHANGE_CLOSED");
        check("expired", "CHANGE_EXPIRED");
    }

    #[test]
    fn what_is_left_out_is_found_where_there_is_something() {
        let lines = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(shortened(lines(LINES_MAX), BEFORE_PROPOSED).lines().count(), LINES_MAX);
        let text = shortened(lines(LINES_MAX + 519), BEFORE_PROPOSED);
        let last = text.lines().last().unwrap();
        assert!(last.contains("and 519 more lines; `lockgate policy diff active DIR`"), "{last}");
        assert!(!text.contains("change show"), "nothing is proposed yet: {last}");
    }

    #[test]
    fn long_texts_are_shown_whole() {
        let text = |mark: &str| (0..2_100).map(|number| format!("{mark}{number}\n")).collect::<String>();
        let lines = line_differences(&text("a"), &text("b"));
        assert_eq!(lines.len(), 4_200);
    }
}
