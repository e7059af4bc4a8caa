//! Audit: the whole ledger, offline.

use std::path::{Path, PathBuf};

use lockgate_api::Exit;
use lockgate_engine::audit::StoreSource;
use lockgate_engine::reader;
use lockgate_ledger::TrustFile;
use lockgate_ledger::access_log::{AccessReport, audit as examine_access, verifier_of};
use lockgate_ledger::audit::{Anchor, Observer, Problem, Report, audit_with};
use lockgate_model::text::visible;
use lockgate_sign::note::VerifierKey;
use lockgate_store::{LedgerStore, StoreError};
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::proof::TileSource;
use serde::Serialize;

use crate::access_log;
use crate::cli;
use crate::commands::access_log::pinned_keys;
use crate::commands::audit_export::export;
use crate::commands::seen::files_of;
use crate::failure::{Failure, Outcome};
use crate::rights;
use crate::serve::read_checkpoint;
use crate::terminal::counted;
use crate::world::World;

/// How many problems an export names.
const PROBLEMS_LISTED: usize = 5;

/// The tiles of a local store.
pub struct Tiles<'a>(pub &'a LocalStore);

impl TileSource for Tiles<'_> {
    type Error = String;
    fn tile(&self, level: u8, index: u64, _width: u16) -> Result<Vec<u8>, String> {
        self.0
            .tile(level, index)
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("tile {index} of level {level} is missing"))
    }
}

/// What is audited, and against what.
pub struct Scope<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// The trust file, where it is not the home's.
    pub trust: Option<&'a Path>,
    /// Checkpoints that someone kept.
    pub checkpoints: &'a [PathBuf],
}

/// What was found in both logs.
#[derive(Serialize)]
pub struct Audited {
    /// In the ledger.
    #[serde(flatten)]
    pub ledger: Report,
    /// Absent where there is no access log: in a data directory of an older version.
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessReport>,
    /// Whether there was a trust file to compare the ledger with.
    #[serde(skip)]
    trusted: bool,
}

impl Audited {
    fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.ledger.problems.iter().chain(self.access.iter().flat_map(|access| &access.problems))
    }
}

/// `lockgate audit`: exit 0 when nothing is wrong, 9 when anything is.
///
/// # Errors
/// When there is no ledger to read.
pub fn audit(world: &World, options: &cli::Audit) -> Outcome {
    if let Some(cli::AuditCommand::Export(options)) = &options.command {
        return export(world, options);
    }
    let data = options.data.clone().unwrap_or_else(|| world.home.data());
    let scope = Scope { data: &data, trust: options.trust.as_deref(), checkpoints: &options.checkpoint };
    let audited = examine_all(world, &scope, &mut |_, _, _| {})?;
    world.terminal.show(&audited, || shown(&audited, &data.display().to_string()))?;
    match alarm(&audited) {
        None => Ok(Exit::Done),
        Some(failure) => Err(failure),
    }
}

/// Audits both logs, and tells `observe` of every entry of the ledger.
///
/// # Errors
/// When there is no ledger to read.
pub fn examine_all(world: &World, scope: &Scope<'_>, observe: Observer<'_>) -> Result<Audited, Failure> {
    rights::check_store(world.home.path(), scope.data)?;
    let store = LocalStore::open_read_only(scope.data, Options::default()).map_err(unreadable)?;
    let trust = match (scope.trust, rights::is_there(world.home.path(), &world.home.trust())?) {
        (None, false) => None,
        (named, _) => Some(world.trust(named)?),
    };
    let anchors = anchors(world, trust.as_ref(), scope.checkpoints)?;
    let total = store.head().map_err(unreadable)?.size.0;
    let bar = world.terminal.progress("auditing", total, false);
    let report = audit_with(&StoreSource(&store), trust.as_ref(), anchors, |done, _| bar.set_position(done), observe);
    bar.finish_and_clear();
    let access = audit_access(world, scope.data, log_key(&store, trust.as_ref()))?;
    Ok(Audited { ledger: report, access, trusted: trust.is_some() })
}

/// The failure that an audit ends with, if anything is wrong.
pub fn alarm(audited: &Audited) -> Option<Failure> {
    let count = audited.problems().count();
    if count == 0 {
        return None;
    }
    // A backup is no attack; it cannot be told from one either.
    let hint = match audited.problems().all(|problem| problem.code == "ROLLBACK_DETECTED") {
        true => {
            "an older copy looks like this, such as a backup: where it is meant to be one, audit it with `--home` of a \
             new directory, which has seen nothing; where not, entries were taken back: keep this directory as it is"
        }
        false => {
            "keep a copy of this directory as it is, compare it with a backup, a mirror or an older checkpoint, and mend it \
             as docs/operations.md says under \"Damaged data\""
        }
    };
    Some(Failure::new(Exit::Integrity, "AUDIT_FAILED", counted_problems(audited)).hint(hint))
}

/// How many problems there are, and the first of them: one bad row is often the cause of all.
fn counted_problems(audited: &Audited) -> String {
    let first = audited.problems().next().map(told).unwrap_or_default();
    match audited.problems().count() {
        1 => format!("1 problem was found: {first}"),
        count => format!("{count} problems were found; the first is {first}, and others may follow from it"),
    }
}

/// A problem in a line.
fn told(problem: &Problem) -> String {
    let place = problem.index.map_or(String::new(), |index| format!("entry {index}: "));
    format!("{} {place}{}", problem.code, visible(&problem.message))
}

/// The first problems, as [`audit`] lists all of them.
pub fn first_problems(audited: &Audited) -> String {
    let line = |problem: &Problem| format!("  x {}", told(problem));
    audited.problems().take(PROBLEMS_LISTED).map(line).collect::<Vec<_>>().join("\n")
}

/// What cannot even be opened cannot be audited: another audit would say the same.
fn unreadable(error: StoreError) -> Failure {
    let failure = Failure::from(error);
    match failure.code.as_str() {
        "STORE_CORRUPT" => {
            failure.hint("keep this directory as it is, restore a backup beside it, and audit that with `--data`")
        }
        "STORE_MISSING" => {
            failure.hint("name it with `--data DIR`: an audit runs where the data is, or on a copy of it")
        }
        _ => failure,
    }
}

/// Audits the access log beside the ledger; `None` where there is none, and nobody here remembers one.
fn audit_access(world: &World, data: &Path, key: Option<VerifierKey>) -> Result<Option<AccessReport>, Failure> {
    let mark = world.home.access_high_water();
    let seen = read_checkpoint(&mark)?.map(|checkpoint| Anchor {
        source: mark.display().to_string(),
        size: checkpoint.size,
        root: checkpoint.root,
    });
    let directory = access_log::directory(data);
    if !rights::is_there(world.home.path(), &directory.join("ledger.db"))? {
        return Ok(seen.map(|seen| AccessReport {
            problems: vec![Problem {
                code: "ROLLBACK_DETECTED",
                index: None,
                message: format!("{} has seen an access log of {} entries, and there is none", seen.source, seen.size),
            }],
            ..AccessReport::default()
        }));
    }
    let store = LocalStore::open_read_only(&directory, access_log::options()).map_err(unreadable)?;
    Ok(Some(examine_access(&StoreSource(&store), key.as_ref(), seen.into_iter().collect())))
}

/// The key of the access log's checkpoints: that of the ledger, as pinned, or as it states it itself.
fn log_key(store: &LocalStore, trust: Option<&TrustFile>) -> Option<VerifierKey> {
    let governance = reader::governance(store).ok().flatten();
    let stated: Option<VerifierKey> = governance.and_then(|governance| governance.identity.log_key.parse().ok());
    let stated = stated.and_then(|key| verifier_of(&key).ok());
    let Some(trust) = trust else { return stated };
    let pinned = pinned_keys(trust).ok()?;
    // A ledger that states another key than the pinned one is told off elsewhere.
    stated.filter(|key| pinned.contains(key)).or_else(|| pinned.into_iter().next())
}

/// Everything that anyone here has kept: what the command names, what the server last signed, and what this CLI has seen
/// and verified, of the pinned ledger where one is pinned.
///
/// # Errors
/// When a named file is not there, or one does not read.
pub fn anchors(world: &World, trust: Option<&TrustFile>, checkpoints: &[PathBuf]) -> Result<Vec<Anchor>, Failure> {
    for path in checkpoints {
        std::fs::metadata(path).map_err(|error| Failure::file(path, &error))?;
    }
    let mut paths = checkpoints.to_vec();
    paths.push(world.home.high_water());
    let mut anchors = Vec::new();
    match trust {
        Some(trust) => anchors.extend(files_of(world, trust)?.iter().map(|(kept, path)| anchor(path, kept))),
        None => paths.extend(world.home.checkpoints()?),
    }
    for path in paths {
        anchors.extend(read_checkpoint(&path)?.map(|checkpoint| anchor(&path, &checkpoint)));
    }
    Ok(anchors)
}

fn anchor(path: &Path, kept: &Checkpoint) -> Anchor {
    Anchor { source: path.display().to_string(), size: kept.size, root: kept.root }
}

fn shown(audited: &Audited, data: &str) -> String {
    let report = &audited.ledger;
    let mut text = match audited.problems().next().is_none() {
        true => format!("the ledger in {data} is sound\n"),
        false => format!("the ledger in {data} is NOT SOUND\n"),
    };
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<11} {value}\n"));
    line(
        "entries",
        format!("{}, root {}", report.entries, report.root.map_or("-".to_owned(), |root| root.to_string())),
    );
    line(
        "decisions",
        format!("{} came out byte for byte again, {} of them allowed", report.decisions_replayed, report.allowed),
    );
    if report.backtests > 0 {
        line("backtests", format!("{} came out byte for byte again", report.backtests));
    }
    line("signatures", format!("{} verified", report.signatures));
    line("bodies", {
        let artifacts = counted(report.artifacts, "artifact", "artifacts");
        format!("{} read and hashed, and {artifacts}", report.bodies)
    });
    line("anchors", counted(report.anchors, "kept checkpoint agrees", "kept checkpoints agree"));
    line(
        "keys",
        match (report.pinned, report.entries, audited.trusted) {
            (true, _, _) => "as pinned in the trust file",
            (false, 0, _) => "nothing was compared: the ledger has no first entry",
            (false, _, true) => "NOT found to be those of the trust file",
            (false, _, false) => "as the ledger states them; no trust file was pinned",
        }
        .to_owned(),
    );
    if let Some(access) = &audited.access {
        let key = if access.signed { "signed by the log key" } else { "NOT verified with the log key" };
        line(
            "access log",
            format!(
                "{} entries: {} allowed, {} refused, {} failed; {key}",
                access.entries, access.allowed, access.refused, access.failed
            ),
        );
    }
    if !report.suspects.is_empty() {
        line("suspect", format!("{} entries rested on keys that were found compromised later", report.suspects.len()));
    }
    for suspect in &report.suspects {
        let what = visible(&format!("{}: {}", suspect.what, suspect.why));
        text.push_str(&format!("  ? SUSPECT_KEY entry {}, since entry {}: {what}\n", suspect.index, suspect.since));
    }
    for note in &report.notes {
        text.push_str(&format!("  ! {} {}\n", note.code, visible(&note.message)));
    }
    for problem in audited.problems() {
        text.push_str(&format!("  x {}\n", told(problem)));
    }
    text
}
