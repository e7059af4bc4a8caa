//! Control: the copy that nobody touched is sound, and this is what it has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lockgate_api::Exit;
use lockgate_engine::reader;
use lockgate_ledger::audit::{Anchor, audit_with};
use lockgate_ledger::{ApplyError, Governance, TrustFile};
use lockgate_model::{Digest, EntryIndex, TreeSize};
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::FileSigner;
use lockgate_store::LedgerStore as _;
use lockgate_store_local::LocalStore;
use lockgate_store_local::practice::PracticeCopy;
use lockgate_tlog::hash::leaf_hash;

use super::check::Source;
use super::proof;
use super::scene::{Subject, reading};
use super::survey::Survey;
use crate::cli;
use crate::commands::audit::anchors;
use crate::failure::Failure;
use crate::home::{Home, write_file};
use crate::serve::{log_seed, read_checkpoint};
use crate::world::World;

/// The seed of a log key that is not the log's: it may be as well known as it likes.
const FOREIGN_SEED: [u8; 32] = [0x5a; 32];

/// Copies the data into `dir`, finds the copy sound, and looks what it has.
///
/// # Errors
/// `DRILL_NOTHING` for an empty ledger, `DRILL_UNSOUND`; when there is no ledger to copy, or no room.
pub fn subject(world: &World, options: &cli::Drill, dir: &Path) -> Result<Subject, Failure> {
    let data = options.data.clone().unwrap_or_else(|| world.home.data());
    let pinned = match (&options.trust, world.home.trust().exists()) {
        (None, false) => None,
        (named, _) => Some(world.trust(named.as_deref())?),
    };
    // Read before the copy is made: a server that runs remembers more from moment to moment.
    let remembered = anchors(world, &[])?;
    let base = PracticeCopy::take(&data, &dir.join("sound"))?;
    let store = LocalStore::open_read_only(base.dir(), reading())?;
    let head = store.head()?;
    if head.size == TreeSize(0) {
        return Err(Failure::new(Exit::Failed, "DRILL_NOTHING", "there is nothing to attack: the ledger is empty"));
    }
    let (survey, hashed) = audited(world, &store, pinned.as_ref(), remembered)?;
    let governance = reader::governance(&store)?
        .ok_or_else(|| ApplyError::new("LEDGER_EMPTY", "the ledger has no first entry".to_owned()))?;
    let trust = match pinned {
        Some(trust) => trust,
        None => stated(&store, &governance)?,
    };
    let origin = governance.origin().to_owned();
    let mark = remember(&store, dir)?;
    drop(store);
    let served = base.again(&dir.join("served"))?;
    let keyless = |error: String| Failure::new(Exit::Failed, "DRILL_FAILED", format!("no key could be made: {error}"));
    let foreign = NoteSigner::from_seed(&origin, NoteKeyKind::Ed25519, &FOREIGN_SEED);
    Ok(Subject {
        kept: Anchor { source: "a checkpoint from before".to_owned(), size: head.size, root: head.root },
        log: log_key(&world.home, &governance),
        foreign: foreign.map_err(|error| keyless(error.to_string()))?,
        own: FileSigner::generate_ed25519("drill").map_err(|error| keyless(error.to_string()))?,
        proof: proof::find(&served, &world.home, &trust, &survey),
        base,
        survey,
        head,
        origin,
        trust,
        mark,
        hashed,
    })
}

/// Audits the copy as `lockgate audit` does, and looks at each entry on the way; gives the artifacts that were hashed, too.
fn audited(
    world: &World,
    store: &LocalStore,
    trust: Option<&TrustFile>,
    remembered: Vec<Anchor>,
) -> Result<(Survey, BTreeSet<Digest>), Failure> {
    let source = Source::new(store);
    let mut survey = Survey::default();
    let bar = world.terminal.progress("auditing", store.head()?.size.0, false);
    let report = audit_with(&source, trust, remembered, |done, _| bar.set_position(done), &mut |index, entry, _| {
        survey.see(index, entry);
    });
    bar.finish_and_clear();
    match report.problems.first() {
        None => Ok((survey, source.into_hashed())),
        Some(first) => {
            let count = report.problems.len();
            let message = format!(
                "the copy is not sound before anything was attacked: {count} problems, the first is {}: {}",
                first.code, first.message
            );
            Err(Failure::new(Exit::Integrity, "DRILL_UNSOUND", message).hint("`lockgate audit` names them all"))
        }
    }
}

/// What this ledger states itself, where nothing is pinned: what a verifier would have pinned before the attacks.
fn stated(store: &LocalStore, governance: &Governance) -> Result<TrustFile, Failure> {
    let first = store.entry(EntryIndex(0))?;
    let first = first.ok_or_else(|| ApplyError::new("LEDGER_EMPTY", "the ledger has no first entry".to_owned()))?;
    Ok(TrustFile::of(governance, leaf_hash(&first))?)
}

/// The log's own key, where this home has it.
fn log_key(home: &Home, governance: &Governance) -> Option<NoteSigner> {
    let (origin, seed) = log_seed(home).ok()?;
    let signer = NoteSigner::from_seed(&origin, NoteKeyKind::Ed25519, &seed).ok()?;
    (signer.vkey().to_string() == governance.identity.log_key).then_some(signer)
}

/// Writes the stored checkpoint into a file, as a server does to remember what it has signed.
fn remember(store: &LocalStore, dir: &Path) -> Result<Option<(PathBuf, TreeSize)>, Failure> {
    let Some(note) = store.checkpoint()? else { return Ok(None) };
    let path = dir.join("high-water");
    write_file(&path, &note, 0o600)?;
    Ok(read_checkpoint(&path)?.map(|checkpoint| (path, checkpoint.size)))
}
