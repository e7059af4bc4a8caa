//! Control: whether the copy that nobody touched is sound, and what it has.

use std::collections::BTreeSet;

use lockgate_api::Exit;
use lockgate_engine::reader;
use lockgate_ledger::audit::{Anchor, Problem, audit_with};
use lockgate_ledger::drill::{DrillAttack, DrillOutcome};
use lockgate_ledger::{ApplyError, Governance, TrustFile};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, Limits, TreeSize};
use lockgate_policy::Permission;
use lockgate_sign::note::{Note, NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::FileSigner;
use lockgate_store::{Head, LedgerStore as _};
use lockgate_store_local::LocalStore;
use lockgate_store_local::practice::PracticeCopy;
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;

use super::attack::{Attack, Halt};
use super::check::{Found, Source, found};
use super::memory::Memory;
use super::proof::{self, Proof};
use super::scene::{Subject, reading};
use super::skipped;
use super::survey::Survey;
use super::workshop::Workshop;
use crate::cli;
use crate::failure::Failure;
use crate::home::Home;
use crate::serve::log_seed;
use crate::terminal::counted;
use crate::world::World;

/// The seed of a log key that is not the log's: it may be as well known as it likes.
const FOREIGN_SEED: [u8; 32] = [0x5a; 32];

/// What the control came to.
pub enum Control {
    /// The copy is sound, and can be attacked.
    Sound(Box<Subject>),
    /// It is not: whatever noticed an attack on it could have noticed something else.
    Unsound(Unsound),
}

/// How the control is named in the report.
pub const CONTROL: &str = "control";

/// A copy that was not sound before anything was attacked.
pub struct Unsound {
    /// The ledger's name, as far as the copy says it.
    origin: String,
    head: Head,
    found: Found,
    /// How many problems there are.
    count: usize,
}

impl Control {
    /// The ledger's name, and the head of the copy.
    pub fn ledger(&self) -> (&str, Head) {
        match self {
            Self::Sound(subject) => (subject.origin.as_str(), subject.head),
            Self::Unsound(unsound) => (unsound.origin.as_str(), unsound.head),
        }
    }
}

impl Unsound {
    /// The control stands in the report as an attack that could not be made, and all others as skipped.
    pub fn rows(&self, chosen: &[Attack]) -> Vec<DrillAttack> {
        let control = DrillAttack {
            name: CONTROL.to_owned(),
            did: "nothing was attacked: the copy was not sound before".to_owned(),
            outcome: DrillOutcome::Failed,
            wanted: Vec::new(),
            lacks: None,
            check: Some("audit".to_owned()),
            code: Some(self.found.code.clone()),
            also: self.found.also.clone(),
            message: Some(self.found.message.clone()),
            took_ms: None,
        };
        let skip = |attack: &Attack| {
            skipped(attack, "the copy was not sound before".to_owned(), Some("a sound copy".to_owned()))
        };
        std::iter::once(control).chain(chosen.iter().map(skip)).collect()
    }

    /// What the drill ends with.
    pub fn failure(&self) -> Failure {
        let Found { code, message, .. } = &self.found;
        let count = self.count;
        let problems = counted(count as u64, "problem", "problems");
        let message =
            format!("the copy is not sound before anything was attacked: {problems}, the first is {code}: {message}");
        Failure::new(Exit::Integrity, "DRILL_UNSOUND", message).hint("`lockgate audit` names them all")
    }
}

/// Copies the data into the workshop, looks whether the copy is sound, and what it has.
///
/// # Errors
/// `DRILL_NOTHING` for an empty ledger; when there is no ledger to copy, or no room.
pub fn control(world: &World, options: &cli::Drill, workshop: &Workshop) -> Result<Control, Failure> {
    let failed = |error| workshop.failure(error);
    let data = options.data.clone().unwrap_or_else(|| world.home.data());
    let pinned = match (&options.trust, world.home.trust().exists()) {
        (None, false) => None,
        (named, _) => Some(world.trust(named.as_deref())?),
    };
    let memory = Memory::read(world, pinned.as_ref(), &data)?;
    let base = PracticeCopy::take(&data, &workshop.dir.join("sound")).map_err(failed)?;
    let store = LocalStore::open_read_only(base.dir(), reading()).map_err(failed)?;
    let head = store.head().map_err(failed)?;
    if head.size == TreeSize(0) {
        return Err(Failure::new(Exit::Failed, "DRILL_NOTHING", "there is nothing to attack: the ledger is empty"));
    }
    let audited = audited(world, &store, &head, pinned.as_ref(), memory.anchors.clone());
    if let Some(found) = found(&audited.problems, &[]) {
        let (origin, count) = (origin_of(&store), audited.problems.len());
        return Ok(Control::Unsound(Unsound { origin, head, found, count }));
    }
    let governance = reader::governance(&store)?
        .ok_or_else(|| ApplyError::new("LEDGER_EMPTY", "the ledger has no first entry".to_owned()))?;
    let trust = match pinned {
        Some(trust) => trust,
        None => stated(&store, &governance)?,
    };
    let origin = governance.origin().to_owned();
    let signed = checkpoint_of(&store).map_or(head.size, |checkpoint| checkpoint.size);
    drop(store);
    let keyless = |error: String| Failure::new(Exit::Failed, "DRILL_FAILED", format!("no key could be made: {error}"));
    let foreign = NoteSigner::from_seed(&origin, NoteKeyKind::Ed25519, &FOREIGN_SEED);
    let owner = governance
        .people()
        .find(|(id, person)| person.kind == SubjectKind::Person && governance.may(id, Permission::Policy));
    Ok(Control::Sound(Box::new(Subject {
        log: log_key(&world.home, &governance, memory.is_home),
        foreign: foreign.map_err(|error| keyless(error.to_string()))?,
        own: FileSigner::generate_ed25519("drill").map_err(|error| keyless(error.to_string()))?,
        owner: owner.map(|(id, _)| id.clone()),
        proof: proof_of(&base, workshop, &world.home, &memory, &trust, &audited.survey),
        base,
        survey: audited.survey,
        head,
        origin,
        trust,
        memory,
        signed,
        hashed: audited.hashed,
    })))
}

/// What an audit of the copy gave.
struct Audited {
    survey: Survey,
    /// The artifacts that are what their names say.
    hashed: BTreeSet<Digest>,
    problems: Vec<Problem>,
}

/// Audits the copy as `lockgate audit` does, and looks at each entry on the way.
fn audited(
    world: &World,
    store: &LocalStore,
    head: &Head,
    trust: Option<&TrustFile>,
    remembered: Vec<Anchor>,
) -> Audited {
    let source = Source::new(store);
    let mut survey = Survey::default();
    let bar = world.terminal.progress("auditing", head.size.0, false);
    let report = audit_with(&source, trust, remembered, |done, _| bar.set_position(done), &mut |index, entry, _| {
        survey.see(index, entry);
    });
    bar.finish_and_clear();
    Audited { survey, hashed: source.into_hashed(), problems: report.problems }
}

/// The stored checkpoint, as it says it itself.
fn checkpoint_of(store: &LocalStore) -> Option<Checkpoint> {
    let bytes = store.checkpoint().ok().flatten()?;
    let note = Note::parse(&bytes, &Limits::DEFAULT).ok()?;
    Checkpoint::parse_body(&note.text).ok()
}

/// The name of a ledger that is not sound: as its first entry or its checkpoint says it, or none.
fn origin_of(store: &LocalStore) -> String {
    let stated = reader::governance(store).ok().flatten().map(|governance| governance.origin().to_owned());
    stated.or_else(|| checkpoint_of(store).map(|checkpoint| checkpoint.origin)).unwrap_or_default()
}

/// A bundle of a grant, made on a copy of its own.
fn proof_of(
    base: &PracticeCopy,
    workshop: &Workshop,
    home: &Home,
    memory: &Memory,
    trust: &TrustFile,
    survey: &Survey,
) -> Result<Proof, Halt> {
    let served = base.again(&workshop.dir.join("served"))?;
    proof::find(&served, home, memory.is_home, trust, survey)
}

/// What this ledger states itself, where nothing is pinned: what a verifier would have pinned before the attacks.
fn stated(store: &LocalStore, governance: &Governance) -> Result<TrustFile, Failure> {
    let first = store.entry(EntryIndex(0))?;
    let first = first.ok_or_else(|| ApplyError::new("LEDGER_EMPTY", "the ledger has no first entry".to_owned()))?;
    Ok(TrustFile::of(governance, leaf_hash(&first))?)
}

/// The log's own key, where this home has it.
fn log_key(home: &Home, governance: &Governance, is_home: bool) -> Result<NoteSigner, Halt> {
    let keyless = |why: String| Halt::keyless(&why, is_home);
    let (origin, seed) = log_seed(home).map_err(|failure| keyless(failure.message))?;
    let signer = NoteSigner::from_seed(&origin, NoteKeyKind::Ed25519, &seed);
    let signer = signer.map_err(|error| keyless(error.to_string()))?;
    match signer.vkey().to_string() == governance.identity.log_key {
        true => Ok(signer),
        false => Err(keyless("`keys/log.key` is another log's".to_owned())),
    }
}
