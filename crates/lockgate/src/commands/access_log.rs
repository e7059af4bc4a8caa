//! The access log: listing it, taking it along, verifying what was taken along.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lockgate_api::client::query_value;
use lockgate_api::wire::{AccessItem, AccessLogReply};
use lockgate_api::{Client, Exit};
use lockgate_ledger::TrustFile;
use lockgate_ledger::access_log::{AccessReport, Walk, verifier_of};
use lockgate_ledger::audit::Problem;
use lockgate_model::Limits;
use lockgate_model::text::visible;
use lockgate_sign::note::VerifierKey;
use lockgate_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use serde_json::json;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::terminal::table;
use crate::world::World;

/// How many pages of the server's are asked for at most: each looks at up to 10,000 entries.
const PAGES: usize = 200;

/// `lockgate access log`.
///
/// # Errors
/// When the server cannot be reached, or the caller is no auditor.
pub fn log(world: &World, options: &cli::AccessLog) -> Outcome {
    let client = world.signed_in()?;
    let mut query = String::new();
    let texts = [
        ("person", options.principal.clone()),
        ("action", options.action.clone()),
        ("outcome", options.outcome.map(|outcome| outcome.to_string())),
        ("since", options.since.map(|time| time.to_string())),
        ("until", options.until.map(|time| time.to_string())),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", query_value(&value)));
        }
    }
    let mut reply = AccessLogReply { items: Vec::new(), next: options.before, entries: 0 };
    for _ in 0..PAGES {
        let left = options.limit.saturating_sub(reply.items.len()).max(1);
        let before = reply.next.map(|next| format!("&before={next}")).unwrap_or_default();
        let page: AccessLogReply = client.get(&format!("/v1/access?limit={left}{query}{before}"))?;
        reply.items.extend(page.items);
        (reply.next, reply.entries) = (page.next, page.entries);
        if reply.next.is_none() || reply.items.len() >= options.limit {
            break;
        }
    }
    world.terminal.show(&reply, || shown(&reply))?;
    Ok(Exit::Done)
}

fn shown(reply: &AccessLogReply) -> String {
    let row = |item: &AccessItem| {
        vec![
            item.index.to_string(),
            item.time.to_string(),
            item.principal.clone(),
            item.address.clone(),
            item.action.clone(),
            item.object.clone(),
            item.outcome.clone(),
            item.code.clone().unwrap_or_else(|| item.status.to_string()),
        ]
    };
    let header = ["entry", "time", "who", "from", "what", "about", "outcome", "status"];
    let mut text = table(&header, reply.items.iter().map(row));
    if let Some(next) = reply.next {
        text.push_str(&format!("\n  older      --before {next}"));
    }
    text
}

/// `lockgate access export`: the whole log, verified on the way.
///
/// # Errors
/// `FILE_EXISTS`; `ACCESS_LOG_UNSOUND` when what the server sends is not what it signed.
pub fn export(world: &World, file: &Path) -> Outcome {
    let client = world.signed_in()?;
    let trust = world.trust(None)?;
    let note = client.get_bytes("/v1/access/checkpoint")?;
    let checkpoint = open_checkpoint(&trust, &note)?;
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let out = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::exists(file),
        _ => Failure::file(file, &error),
    })?;
    let fetched = fetch(world, &client, &checkpoint, file, out).and_then(|walk| judge(walk, &checkpoint));
    let report = fetched.and_then(|report| match report.problems.first() {
        None => write_file(&beside(file), &note, 0o600).map(|()| report),
        Some(problem) => Err(unsound(problem, report.problems.len())),
    });
    let report = match report {
        Ok(report) => report,
        Err(failure) => {
            // Half an export must not be taken for a whole one.
            let _ = fs::remove_file(file);
            return Err(failure);
        }
    };
    told(world, file, &report)
}

/// `lockgate access verify`: exit 0 when the file is the whole log that its checkpoint signs, 9 when it is not.
///
/// # Errors
/// When a file cannot be read, or `ACCESS_LOG_UNSOUND`.
pub fn verify(world: &World, file: &Path, trust: Option<&Path>) -> Outcome {
    let trust = world.trust(trust)?;
    let checkpoint = open_checkpoint(&trust, &read_file(&beside(file), Limits::DEFAULT.note_bytes as u64)?)?;
    let failed = |error: std::io::Error| Failure::file(file, &error);
    let mut reader = BufReader::new(File::open(file).map_err(failed)?);
    let mut walk = Walk::default();
    // One byte more than an entry may have, for its line break.
    let most = Limits::DEFAULT.entry_bytes as u64 + 1;
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(most).read_until(b'\n', &mut line).map_err(failed)?;
        match line.split_last() {
            None => break,
            Some((b'\n', entry)) => walk.entry(entry),
            // A line that is too long, or cut off, is no entry: the walk says so.
            Some(_) => walk.entry(&line),
        }
    }
    let report = judge(walk, &checkpoint)?;
    match report.problems.first() {
        None => told(world, file, &report),
        Some(problem) => {
            world.terminal.show(&report, || lines(&report.problems))?;
            Err(unsound(problem, report.problems.len()))
        }
    }
}

/// Fetches the entries that the checkpoint counts into the file.
fn fetch(world: &World, client: &Client, checkpoint: &Checkpoint, file: &Path, out: File) -> Result<Walk, Failure> {
    let failed = |error: std::io::Error| Failure::file(file, &error);
    let mut out = BufWriter::new(out);
    let mut walk = Walk::default();
    let mut next = 0u64;
    let bar = world.terminal.progress("exporting", checkpoint.size.0, false);
    while next < checkpoint.size.0 {
        let page = client.get_bytes(&format!("/v1/access/entries?from={next}"))?;
        let before = next;
        for line in page.split_inclusive(|byte| *byte == b'\n') {
            let Some(entry) = line.strip_suffix(b"\n").filter(|_| next < checkpoint.size.0) else { break };
            walk.entry(entry);
            out.write_all(line).map_err(failed)?;
            next += 1;
        }
        if next == before {
            break;
        }
        bar.set_position(next);
    }
    bar.finish_and_clear();
    let out = out.into_inner().map_err(|error| failed(error.into_error()))?;
    out.sync_all().map_err(failed)?;
    Ok(walk)
}

/// Compares what was read with what was signed.
fn judge(walk: Walk, checkpoint: &Checkpoint) -> Result<AccessReport, Failure> {
    let root = walk.root();
    let mut report = walk.finish();
    report.signed = true;
    let mut problem = |code: &'static str, message: String| {
        report.problems.push(Problem { code, index: None, message });
    };
    if report.entries != checkpoint.size.0 {
        problem(
            "ENTRY_MISSING",
            format!("the checkpoint counts {} entries, and here are {}", checkpoint.size, report.entries),
        );
    } else if root != checkpoint.root {
        problem("ROOT_MISMATCH", "the entries are not those that the checkpoint signs".to_owned());
    }
    Ok(report)
}

fn told(world: &World, file: &Path, report: &AccessReport) -> Outcome {
    let counts = json!({
        "file": file.display().to_string(), "entries": report.entries, "root": report.root,
        "allowed": report.allowed, "refused": report.refused, "failed": report.failed,
    });
    world.terminal.show(&counts, || {
        format!(
            "{} holds the access log, as signed\n  entries    {}: {} allowed, {} refused, {} failed\n  checkpoint {}",
            file.display(),
            report.entries,
            report.allowed,
            report.refused,
            report.failed,
            beside(file).display()
        )
    })?;
    Ok(Exit::Done)
}

fn lines(problems: &[Problem]) -> String {
    let line = |problem: &Problem| format!("  x {} {}\n", problem.code, visible(&problem.message));
    problems.iter().map(line).collect()
}

fn unsound(problem: &Problem, count: usize) -> Failure {
    Failure::new(
        Exit::Integrity,
        "ACCESS_LOG_UNSOUND",
        format!("the access log is not what was signed: {}: {} ({count} problems)", problem.code, problem.message),
    )
    .hint("keep it as it is, and run `lockgate audit` where the server's data is")
}

/// Where the checkpoint of an export lies.
fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".checkpoint");
    PathBuf::from(name)
}

/// Opens a checkpoint of the access log: signed by a pinned log key under the access log's name.
///
/// # Errors
/// `LOG_KEY_UNKNOWN` or `CHECKPOINT_INVALID`.
fn open_checkpoint(trust: &TrustFile, bytes: &[u8]) -> Result<Checkpoint, Failure> {
    let mut last = Failure::new(Exit::Integrity, "LOG_KEY_UNKNOWN", "the trust file pins no log key");
    for key in pinned_keys(trust)? {
        match SignedCheckpoint::open(bytes, &key, &Limits::DEFAULT) {
            Ok(signed) => return Ok(signed.checkpoint),
            Err(error) => last = Failure::new(Exit::Integrity, "CHECKPOINT_INVALID", error.to_string()),
        }
    }
    Err(last)
}

/// The keys that may sign access logs: the pinned log keys under the access logs' names.
///
/// # Errors
/// `TRUST_INVALID`.
pub fn pinned_keys(trust: &TrustFile) -> Result<Vec<VerifierKey>, Failure> {
    let policy = trust.policy()?;
    Ok(policy.logs().iter().filter_map(|log| verifier_of(&log.vkey).ok()).collect())
}
