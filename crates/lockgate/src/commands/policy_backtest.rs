//! Policy backtest: the whole history decided again under a proposed policy set, on this machine.
//!
//! Entries and bodies come from the server's tiles and blobs, or from a data directory. Neither is believed: the
//! entries have to have the root of a checkpoint that a pinned key signed, every signature is verified on the way, and
//! bodies are hashed. The same is done again with a report that somebody is about to sign.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use lockgate_api::{Client, ClientError, Exit, ProblemKind};
use lockgate_engine::audit::StoreSource;
use lockgate_ledger::backtest::{
    BACKTEST_MAX_BYTES, BacktestReport, Backtested, Flip, FlippedGate, History, Since, WouldBlock,
    backtest as decide_again,
};
use lockgate_ledger::bodies::{Bodies, BodyError};
use lockgate_ledger::{ApplyError, Leaf, TrustFile};
use lockgate_model::text::visible;
use lockgate_model::{Digest, EntryIndex, Limits, Span, TreeSize};
use lockgate_policy::PolicySet;
use lockgate_store::LedgerStore as _;
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::tile::{EntryBundleId, TILE_WIDTH, decode_bundle, width_at};
use serde_json::json;

use crate::cli::{self, SinceArg};
use crate::commands::policy::read_policy;
use crate::commands::seen::grew;
use crate::failure::{Failure, Outcome};
use crate::home::write_file;
use crate::rights;
use crate::world::World;

/// The most flips that are printed; the report has them all.
const SHOWN_MAX: usize = 50;
/// How long what a report leaves out may have happened before it is signed.
const BACKTEST_AGE: Span = Span::from_secs(7 * 86_400);
/// The most flips that are shown to whoever signs a change.
const SUMMARY_MAX: usize = 10;
/// What keeps a report from being made again and says nothing against it: bytes that cannot be had, such as of services
/// that the signer may not read.
const UNREAD: [&str; 5] = ["BODY_MISSING", "BODY_UNREADABLE", "ENTRY_MISSING", "ENTRY_UNREADABLE", "STORE_FAILED"];

/// `lockgate policy backtest`: exit 0 also where decisions flip, because that may be what is wanted.
///
/// # Errors
/// What does not load, cannot be read, or does not verify.
pub fn backtest(world: &World, options: &cli::Backtest) -> Outcome {
    let proposed = Arc::new(read_policy(&options.dir)?);
    let since = match options.since {
        None => Since::Start,
        Some(SinceArg::Entry(index)) => Since::Entry(index),
        Some(SinceArg::Ago(span)) => {
            Since::Time(lockgate_model::UnixMillis(world.now().0.saturating_sub(span.millis())))
        }
    };
    let trust = match (&options.trust, &options.data, world.home.trust().exists()) {
        // A data directory can be read without anything pinned, as by `audit`; a server cannot.
        (None, Some(_), false) => None,
        (named, ..) => Some(world.trust(named.as_deref())?),
    };
    let done = match (&options.data, &trust) {
        (Some(data), _) => of_data(world, data, &proposed, since)?,
        (None, Some(trust)) => of_server(world, trust, &proposed, since)?,
        (None, None) => return Err(Failure::usage("TRUST_MISSING", "nothing is pinned to verify the ledger with")),
    };
    if let Some(trust) = &trust {
        trust.check_governance(&done.governance, done.genesis)?;
    }
    let report = &done.report;
    if report.first_entry.0 >= report.tree_size.0 {
        let message = format!("the ledger has {} entries, and none from there on", report.tree_size);
        return Err(Failure::usage("BACKTEST_EMPTY", message)
            .hint("name an earlier entry or a longer time with --since, or leave it out to look at all of it"));
    }
    if let Some(error) = report.errors.iter().find(|error| UNREAD.contains(&error.code.as_str())) {
        let message = format!("what decision {} rests on cannot be read: {}", error.entry, error.message);
        return Err(Failure::new(Exit::Unavailable, "BODY_UNREADABLE", message)
            .hint("nobody could make this report again; try again, or use --data DIR on the server's machine"));
    }
    let bytes = report.to_bytes()?;
    let digest = Digest::of(&bytes);
    if let Some(path) = &options.report {
        write_file(path, &bytes, 0o644)?;
        world.terminal.say(format!("the report {digest} is in {}", path.display()));
        if bytes.len() > BACKTEST_MAX_BYTES {
            world.terminal.say(format!(
                "warning: it has {} bytes, and a change of policy carries at most {BACKTEST_MAX_BYTES}: look at less \
                 with --since",
                bytes.len()
            ));
        }
    }
    world.terminal.show(&json!({ "digest": digest, "report": report }), || text(report, digest))?;
    Ok(Exit::Done)
}

fn of_data(world: &World, data: &Path, proposed: &Arc<PolicySet>, since: Since) -> Result<Backtested, Failure> {
    rights::check_store(world.home.path(), data)?;
    let store = LocalStore::open_read_only(data, Options::default())?;
    let bar = world.terminal.progress("deciding again", store.head()?.size.0, false);
    let done = decide_again(&StoreSource(&store), proposed, since, |read, _| bar.set_position(read));
    bar.finish_and_clear();
    Ok(done?)
}

fn of_server(world: &World, trust: &TrustFile, proposed: &Arc<PolicySet>, since: Since) -> Result<Backtested, Failure> {
    let client = world.signed_in()?;
    let source = ServerSource::of(&client, trust)?;
    let bar = world.terminal.progress("deciding again", source.newest.size.0, false);
    let done = decide_again(&source, proposed, since, |read, _| bar.set_position(read));
    bar.finish_and_clear();
    done.map_err(|error: ApplyError| match error.code {
        "BODY_MISSING" => Failure::from(error)
            .hint("whoever runs a backtest over the server has to be allowed to read every service; or use --data DIR"),
        _ => error.into(),
    })
}

/// What a report says, for whoever is about to sign the change that carries it: it is made again here first, and where
/// that cannot be done, the last line says why.
///
/// # Errors
/// `BACKTEST_DIFFERS` where something else comes out, or what does not verify.
pub fn checked_summary(
    world: &World,
    client: &Client,
    report: &BacktestReport,
    proposed: &PolicySet,
) -> Result<String, Failure> {
    let not_made = |why: &str| format!("{}not made again here: {}\n", summary_of(report), visible(why));
    if !world.home.trust().exists() {
        return Ok(not_made("nothing is pinned to verify the ledger with"));
    }
    let trust = world.trust(None)?;
    let source = match ServerSource::of(client, &trust) {
        // What the witnesses have not seen yet says nothing against the report either.
        Err(failure) if failure.code == "WITNESS_QUORUM" => return Ok(not_made(&failure.message)),
        opened => opened?,
    };
    let bar = world.terminal.progress("deciding again", report.tree_size.0, false);
    let made = report.made_again(&source, &Arc::new(proposed.clone()), |read, _| bar.set_position(read));
    bar.finish_and_clear();
    let done = match made {
        Ok(Some(done)) => done,
        Ok(None) => {
            let why = format!("`{}` made the backtest, which this version cannot make again", report.engine);
            return Err(Failure::new(Exit::Conflict, "BACKTEST_STALE", why)
                .hint("nothing was signed; ask for a new change with a backtest of this version"));
        }
        Err(error) if UNREAD.contains(&error.code) => {
            return Ok(not_made(&format!("it takes bytes that cannot be read from here: {}", error.message)));
        }
        Err(error) if error.code == "BACKTEST_DIFFERS" => {
            return Err(Failure::from(error).hint("nothing was signed; ask whoever made the report"));
        }
        Err(error) => return Err(error.into()),
    };
    // These entries are the beginning of the pinned ledger.
    trust.check_governance(&done.governance, done.genesis)?;
    let origin = report.ledger.clone();
    grew(world, client, &trust, &Checkpoint { origin, size: report.tree_size, root: report.root }, &source.newest)?;
    check_recent(world, report, &source)?;
    let (first, all) = (report.tree_size, source.newest.size);
    Ok(format!("{}made again here, from the first {first} of {all} entries\n", summary_of(&done.report)))
}

/// Whether a report leaves out no more than what happened lately: one of long ago is of another history.
fn check_recent(world: &World, report: &BacktestReport, source: &ServerSource<'_>) -> Result<(), Failure> {
    if report.tree_size >= source.newest.size {
        return Ok(());
    }
    let leaves = source
        .page(EntryIndex(report.tree_size.0), usize::from(TILE_WIDTH))
        .map_err(|why| Failure::new(Exit::Unavailable, "ENTRY_UNREADABLE", why))?;
    let left_out = leaves.iter().find_map(|leaf| match Leaf::decode(leaf, &Limits::DEFAULT) {
        Ok(Leaf::Entry(entry)) => Some(entry.time),
        _ => None,
    });
    match left_out.filter(|time| world.now().since(*time) > BACKTEST_AGE) {
        None => Ok(()),
        Some(time) => {
            let why = format!("the backtest leaves out what happened since {time}");
            Err(Failure::new(Exit::Conflict, "BACKTEST_STALE", why)
                .hint("nothing was signed; ask for a new change, with a backtest of today"))
        }
    }
}

/// A server's tiles and blobs, up to a checkpoint that has been verified.
struct ServerSource<'a> {
    client: &'a Client,
    newest: Checkpoint,
}

impl<'a> ServerSource<'a> {
    fn of(client: &'a Client, trust: &TrustFile) -> Result<Self, Failure> {
        let (signed, _) = trust.open_checkpoint(&client.get_bytes("/checkpoint")?)?;
        Ok(Self { client, newest: signed.checkpoint })
    }
}

impl Bodies for ServerSource<'_> {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        let bytes = match self.client.blob(digest) {
            Ok(bytes) => bytes,
            Err(error) if error.code() == "BLOB_UNKNOWN" => return Ok(None),
            // The server has found its own bytes damaged: another time it says the same.
            Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::Integrity => {
                return Err(BodyError::Unreadable(*digest, problem.detail));
            }
            Err(error) => return Err(BodyError::Unreachable(*digest, error.to_string())),
        };
        let found = Digest::of(&bytes);
        match found == *digest {
            true => Ok(Some(Cow::Owned(bytes))),
            false => Err(BodyError::DigestMismatch { expected: *digest, found }),
        }
    }
}

impl History for ServerSource<'_> {
    fn size_and_root(&self) -> Result<(TreeSize, Digest), String> {
        Ok((self.newest.size, self.newest.root))
    }

    fn page(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>, String> {
        let width = u64::from(TILE_WIDTH);
        let (index, skip) = (first.0 / width, first.0 % width);
        let there = width_at(self.newest.size, 0, index).ok_or_else(|| format!("no tile holds entry {first}"))?;
        let id = EntryBundleId::new(index, there).map_err(|error| error.to_string())?;
        let bytes = self.client.get_bytes(&format!("/{}", id.path())).map_err(|error| error.to_string())?;
        let entries = decode_bundle(&bytes, &Limits::DEFAULT).map_err(|error| error.to_string())?;
        Ok(entries.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(most).collect())
    }
}

fn text(report: &BacktestReport, digest: Digest) -> String {
    let mut text = format!(
        "{} decided again, as if {} had been active\n{}\n",
        decisions(report.decisions),
        report.proposed,
        counts(report)
    );
    text.push_str(&would_block(report, SHOWN_MAX));
    for flip in report.flips.iter().take(SHOWN_MAX) {
        text.push_str(&format!("\n{}\n", headline(flip)));
        for gate in &flip.gates {
            text.push_str(&format!("    {}\n", gate_line(gate)));
        }
    }
    let more = report.flips.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        text.push_str(&format!("\nand {more} more flips; `--report FILE` has them all\n"));
    }
    for error in report.errors.iter().take(SHOWN_MAX) {
        text.push_str(&format!(
            "\n! entry {} {} {} into {} ({}): {} {}\n",
            error.entry, error.promotion, error.release, error.environment, error.before, error.code, error.message
        ));
    }
    text.push_str(&format!("\n  base      {}\n  report    {digest}\n", report.base));
    text
}

fn decisions(count: u64) -> String {
    match count {
        1 => "1 decision".to_owned(),
        count => format!("{count} decisions"),
    }
}

fn counts(report: &BacktestReport) -> String {
    let mut parts = vec![format!("{} unchanged", report.unchanged), format!("{} flips", report.flips.len())];
    parts.extend(report.totals.iter().map(|(kind, count)| format!("{count} from {kind}")));
    parts.push(format!("{} errors", report.errors.len()));
    format!("{}; entries {} to {}", parts.join(", "), report.first_entry, report.tree_size)
}

/// What gates would have blocked that only warn: a line for each of the first `most` of them.
fn would_block(report: &BacktestReport, most: usize) -> String {
    let rows = report.would_block.as_deref().unwrap_or_default();
    let line = |row: &WouldBlock| match row.enforced_from {
        Some(start) => format!("{} would be blocked by `{}` once it enforces, {start}\n", row.decisions, row.gate),
        None => format!("{} would be blocked by `{}`, which only warns\n", row.decisions, row.gate),
    };
    let mut text: String = rows.iter().take(most).map(line).collect();
    let more = rows.len().saturating_sub(most);
    if more > 0 {
        text.push_str(&format!("and {more} more gates only warn\n"));
    }
    text
}

fn headline(flip: &Flip) -> String {
    format!(
        "{} -> {}  {} {} into {} (entry {}, {})",
        flip.before, flip.after, flip.promotion, flip.release, flip.environment, flip.entry, flip.time
    )
}

fn gate_line(gate: &FlippedGate) -> String {
    let word = |outcome: Option<lockgate_policy::GateOutcome>| outcome.map_or("not there", |outcome| outcome.as_str());
    let reason = gate.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    let place = gate.rule.as_ref().map(|rule| format!("  {rule}")).unwrap_or_default();
    format!("{}: {} -> {}{reason}{place}", gate.gate, word(gate.before), word(gate.after))
}

/// A report in a few lines, for whoever signs the change that carries it.
pub fn summary_of(report: &BacktestReport) -> String {
    let mut text = format!("{} decided again: {}\n", decisions(report.decisions), counts(report));
    text.push_str(&would_block(report, SUMMARY_MAX));
    for flip in report.flips.iter().take(SUMMARY_MAX) {
        let gates: Vec<String> = flip.gates.iter().map(|gate| gate.gate.to_string()).collect();
        text.push_str(&format!("{} by {}\n", headline(flip), gates.join(", ")));
    }
    let more = report.flips.len().saturating_sub(SUMMARY_MAX);
    if more > 0 {
        text.push_str(&format!("and {more} more flips\n"));
    }
    text
}
