//! Audit: the whole ledger, offline.

use lockgate_api::Exit;
use lockgate_engine::audit::StoreSource;
use lockgate_ledger::audit::{Anchor, Report, audit as examine};
use lockgate_store::LedgerStore;
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::proof::TileSource;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::serve::read_checkpoint;
use crate::world::World;

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

/// `lockgate audit`: exit 0 when nothing is wrong, 9 when anything is.
///
/// # Errors
/// When there is no ledger to read.
pub fn audit(world: &World, options: &cli::Audit) -> Outcome {
    let data = options.data.clone().unwrap_or_else(|| world.home.data());
    let store = LocalStore::open_read_only(&data, Options::default())?;
    let trust = match (&options.trust, world.home.trust().exists()) {
        (None, false) => None,
        (named, _) => Some(world.trust(named.as_deref())?),
    };
    let anchors = anchors(world, options)?;
    let total = store.head()?.size.0;
    let bar = world.terminal.progress("auditing", total, false);
    let report = examine(&StoreSource(&store), trust.as_ref(), anchors, |done, _| bar.set_position(done));
    bar.finish_and_clear();
    world.terminal.show(&report, || shown(&report, &data.display().to_string()))?;
    match report.problems.is_empty() {
        true => Ok(Exit::Done),
        false => {
            Err(Failure::new(Exit::Integrity, "AUDIT_FAILED", format!("{} problems were found", report.problems.len()))
                .hint("keep this directory as it is; compare it with a backup, a mirror or an older checkpoint"))
        }
    }
}

/// Everything that anyone here has kept: what the command names, what the server last signed, what this CLI has seen.
fn anchors(world: &World, options: &cli::Audit) -> Result<Vec<Anchor>, Failure> {
    let mut paths = options.checkpoint.clone();
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        return Err(Failure::new(Exit::NotFound, "FILE_FAILED", format!("{} does not exist", missing.display())));
    }
    paths.push(world.home.high_water());
    if let Ok(seen) = std::fs::read_dir(world.home.path().join("checkpoints")) {
        paths.extend(seen.flatten().map(|entry| entry.path()));
    }
    let mut anchors = Vec::new();
    for path in paths {
        if let Some(checkpoint) = read_checkpoint(&path)? {
            anchors.push(Anchor { source: path.display().to_string(), size: checkpoint.size, root: checkpoint.root });
        }
    }
    Ok(anchors)
}

fn shown(report: &Report, data: &str) -> String {
    let mut text = match report.problems.is_empty() {
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
    line("signatures", format!("{} verified", report.signatures));
    line("bodies", format!("{} read and hashed, and {} artifacts", report.bodies, report.artifacts));
    line("anchors", format!("{} kept checkpoints agree", report.anchors));
    line(
        "keys",
        if report.pinned {
            "as pinned in the trust file".to_owned()
        } else {
            "as the ledger states them; no trust file was pinned".to_owned()
        },
    );
    for problem in &report.problems {
        let place = problem.index.map_or(String::new(), |index| format!("entry {index}: "));
        text.push_str(&format!("  x {} {place}{}\n", problem.code, crate::terminal::printable(&problem.message)));
    }
    text
}
