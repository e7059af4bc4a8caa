//! Known: what this machine has verified of each ledger, so that nothing older passes for it afterwards.
//!
//! A bundle proves what was so at its own head, and nothing of what came later. Whoever hands one in chooses which: one
//! from before a release was replaced, before a freeze, or before a key was found compromised. What a machine has
//! verified once it keeps, in one file a ledger in `known` of its home, and holds every later bundle against it.
//!
//! An older head is no rollback by itself: bundles of many services are fetched at many moments, and each has to verify
//! with the server down. It is one where something that was verified here stands against the grant, and the bundle is too
//! old to say so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lockgate_api::{Client, Exit};
use lockgate_ledger::bundle::{self, Query};
use lockgate_ledger::{TrustFile, Verified};
use lockgate_model::facts::FreezeFact;
use lockgate_model::json::{self, Numbers};
use lockgate_model::text::argument;
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, ServiceName, StreamName, TreeSize, UnixMillis};
use lockgate_tlog::checkpoint::Checkpoint;
use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use crate::commands::seen::{checkpoint_of, grew};
use crate::failure::Failure;
use crate::home::{files_of, lock_directory_of, read_file, write_file};
use crate::rights::giving_back;
use crate::world::World;

/// The largest file that is read or written, in bytes. What bounds it is one row of at most 330 bytes a target, so that
/// a hundred thousand with the longest names have room, and one of some 600 bytes for each freeze in force. Time adds
/// nothing: a grant takes the place of the one before it, and freezes that are over or lifted are left out.
const KNOWN_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// One key a target; the bytes are limited.
const LIMITS: Limits = Limits { json_keys: 1_000_000, json_items: 10_000_000, ..Limits::DEFAULT };

/// How the directory of a file is held while the file is written.
type Lock = fn(&Path) -> Result<File, Failure>;

/// What this machine has verified of one ledger.
///
/// INVARIANT (what is known never becomes less): the head only grows, and so does the newest grant of each target; what
/// governance said is that of the largest head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Always [`Known::SCHEMA`].
    schema: String,
    /// The largest head that a verified bundle had, in entries.
    size: TreeSize,
    /// The root of that head.
    root: Digest,
    /// What the governance stream up to that head hashes to; absent where an earlier version wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    governance: Option<Digest>,
    /// Whether a server has proven that this head continues what was seen before; offline nobody can.
    is_proven: bool,
    /// The freezes that were in force at that head, without their reasons.
    freezes: Vec<FreezeFact>,
    /// The newest entry, up to that head, by which signatures of some key turned out to be void; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voided_at: Option<EntryIndex>,
    /// The newest grant of each target, by the stream of that target's grants.
    granted: BTreeMap<StreamName, Granted>,
}

/// The newest grant of a target that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Granted {
    /// The grant's entry.
    index: EntryIndex,
    /// The largest head at which nothing stood against it, in entries; absent where it was never asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stood_at: Option<TreeSize>,
}

/// A grant that a bundle proves, as of the bundle's own head.
struct Shown<'a> {
    service: &'a ServiceName,
    environment: &'a EnvName,
    granted: EntryIndex,
    size: TreeSize,
    is_rollback: bool,
    /// The verifier's own clock.
    now: UnixMillis,
}

/// Refuses a bundle that verified where this machine knows better, and remembers what it proves. `is_proven` says that a
/// server has proven that the bundle's head continues what was seen before.
///
/// Where there is no home, nothing is known and nothing is kept, which is told; a home that cannot be written is told
/// too, and takes away the memory alone, not the answer. Where something was kept, it has to be read and kept on.
///
/// # Errors
/// `ROLLBACK_DETECTED` where a later grant, a freeze or a compromised key stands against it that the bundle is too old to
/// know; `EQUIVOCATION` where another root was verified for the same size, or another governance for a smaller one;
/// `KNOWN_INVALID` where what is kept does not
/// read; `KNOWN_ACCESS`, `KNOWN_FULL` or `HOME_LOCKED` where it cannot be kept on.
pub fn check(
    world: &World,
    trust: &TrustFile,
    query: &Query<'_>,
    verified: &Verified,
    is_proven: bool,
) -> Result<(), Failure> {
    let head = checkpoint_of(verified)?;
    let path = path_of(world, trust, &head.origin);
    let kept = read(&path)?;
    if let Some(contradiction) = kept.as_ref().and_then(|kept| kept.contradiction(verified)) {
        return Err(Failure::new(Exit::Integrity, "EQUIVOCATION", contradiction)
            .hint(format!("keep {} and the bundle: together they are the proof", path.display())));
    }
    let Some(grant) = &verified.grant else { return Ok(()) };
    let shown = Shown {
        service: query.service,
        environment: query.environment,
        granted: grant.index,
        size: head.size,
        is_rollback: verified.release.promotion(verified.promotion)?.is_rollback(),
        now: query.now,
    };
    let objection = kept.as_ref().and_then(|kept| kept.objection(&shown));
    let proven = Known::of(verified, objection.is_none(), is_proven, query.now)?;
    let remembered = keep(world, &path, &proven, lock_directory_of);
    let Some(objection) = objection else { return remembered };
    tell(world, remembered);
    Err(Failure::new(
        Exit::Integrity,
        "ROLLBACK_DETECTED",
        format!("this machine has verified what the bundle of {} is too old to know: {objection}", verified.promotion),
    )
    .hint(
        "fetch the bundle anew; where that was not yours, find out who handed you an older one. To go back to an \
         older release, ask for a rollback: it is a grant of its own. To look at an older state on purpose, use \
         another --home",
    ))
}

/// Remembers what a bundle proves that was refused: a freeze that it tells of, for example. One that proves nothing under
/// the pinned trust leaves no trace.
pub fn keep_refused(world: &World, bytes: &[u8], trust: &TrustFile) {
    let Ok(verified) = bundle::open(bytes, trust, &mut Vec::new()) else { return };
    if let Ok(head) = checkpoint_of(&verified)
        && let Ok(known) = Known::of(&verified, false, false, world.now())
    {
        let path = path_of(world, trust, &head.origin);
        // What contradicts the one that is kept must not take its place.
        match read(&path).map(|kept| kept.and_then(|kept| kept.contradiction(&verified))) {
            Ok(None) => tell(world, keep(world, &path, &known, lock_directory_of)),
            Ok(Some(_)) => {}
            Err(failure) => tell(world, Err(failure)),
        }
    }
}

/// Checks that the ledger, as the server shows it, continues the largest head that was verified here, unless that is
/// proven of the head that was `seen` last: what is shown has to continue that one, too.
///
/// # Errors
/// As [`grew`], and `KNOWN_INVALID`.
pub fn check_continued(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    seen: Option<&Checkpoint>,
    now: &Checkpoint,
) -> Result<(), Failure> {
    let Some(known) = read(&path_of(world, trust, &now.origin))? else { return Ok(()) };
    let is_in_seen = known.is_proven && seen.is_some_and(|seen| seen.size >= known.size);
    // One of the same size is compared by `check`; a larger one has been refused.
    match !is_in_seen && known.size < now.size {
        true => grew(world, client, trust, &known.head(&now.origin), now),
        false => Ok(()),
    }
}

/// The largest head of a ledger that was verified here, if any was, and the file that keeps it.
///
/// # Errors
/// `KNOWN_INVALID`.
pub fn head(world: &World, trust: &TrustFile, origin: &str) -> Result<Option<(Checkpoint, PathBuf)>, Failure> {
    let path = path_of(world, trust, origin);
    Ok(read(&path)?.map(|known| (known.head(origin), path)))
}

/// Reads every file that keeps what was verified, as a verification does, and gives how many there are.
///
/// # Errors
/// `KNOWN_INVALID`, or `KNOWN_ACCESS` where one may not be read or nothing be kept on: of the first one.
pub fn check_kept(world: &World) -> Result<usize, Failure> {
    let directory = world.home.known_directory();
    let denied = |place: &Path, needed: Access| match access(place, needed).map_err(std::io::Error::from) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(barred(&directory.join("ledger"), &format!("{}: {error}", place.display())))
        }
        _ => Ok(()),
    };
    denied(&directory, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
    denied(&directory.with_extension("lock"), Access::WRITE_OK)?;
    let paths = files_of(&directory)?;
    for path in &paths {
        read(path)?;
    }
    Ok(paths.len())
}

/// Where it is kept: another ledger may have the same name, but has another first entry, and what is known says nothing of
/// it. The first entry names the log's key.
fn path_of(world: &World, trust: &TrustFile, origin: &str) -> PathBuf {
    world.home.known(origin, &trust.genesis)
}

impl Known {
    /// The schema that this version knows.
    const SCHEMA: &'static str = "https://lockgate.dev/known/v1";

    /// What a bundle proves. `stands` says that nothing stands against its own grant, `now` is this machine's clock.
    fn of(verified: &Verified, stands: bool, is_proven: bool, now: UnixMillis) -> Result<Self, Failure> {
        let governance = verified.state.governance()?;
        let own = verified.grant.as_ref().filter(|_| stands).map(|grant| grant.index);
        let mut granted = BTreeMap::new();
        for position in verified.state.heads().filter(|position| position.stream.as_str().starts_with("running:")) {
            let stood_at = (own == Some(position.index)).then_some(verified.checkpoint_size);
            granted.insert(position.stream.clone(), Granted { index: position.index, stood_at });
        }
        // A freeze is over when the ledger and this machine say so: neither clock alone ends it.
        let agreed = verified.state.time().map_or(UnixMillis(0), |time| time.min(now));
        let keys = governance.people().flat_map(|(_, person)| &person.keys);
        Ok(Self {
            schema: Self::SCHEMA.to_owned(),
            size: verified.checkpoint_size,
            root: verified.checkpoint_root,
            governance: Some(governance_of(verified, verified.checkpoint_size)),
            is_proven,
            freezes: in_force(governance.freezes_unlifted(), agreed),
            voided_at: keys.filter_map(|key| key.voided_at()).max(),
            granted,
        })
    }

    fn head(&self, origin: &str) -> Checkpoint {
        Checkpoint { origin: origin.to_owned(), size: self.size, root: self.root }
    }

    fn contradicts(&self, size: TreeSize, root: &Digest) -> bool {
        self.size == size && self.root != *root
    }

    /// How a bundle tells another history than the one that is known, in words. A bundle holds the governance stream whole:
    /// a longer one has what was verified of it before, and nothing between. Of other streams it proves no such thing.
    fn contradiction(&self, verified: &Verified) -> Option<String> {
        let size = verified.checkpoint_size;
        if self.contradicts(size, &verified.checkpoint_root) {
            return Some(format!("the bundle has another root for {size} entries than this machine has verified"));
        }
        let known = self.governance.filter(|_| size > self.size)?;
        (governance_of(verified, self.size) != known).then(|| {
            format!(
                "the bundle tells another history of people, keys, policy sets and freezes for the first {} entries than \
                 this machine has verified",
                self.size
            )
        })
    }

    /// What is known and stands against a grant, in words, where the bundle that proves the grant is too old to say so.
    fn objection(&self, shown: &Shown<'_>) -> Option<String> {
        let Shown { service, environment, .. } = shown;
        let newest = self.granted.get(&StreamName::running(environment, service));
        if let Some(newest) = newest.filter(|newest| newest.index > shown.granted) {
            return Some(format!(
                "entry {} granted {service} in {environment} anew, after this grant of entry {}",
                newest.index, shown.granted
            ));
        }
        let unknown = |index: EntryIndex, size: TreeSize| index.0 >= size.0;
        let stops = |fact: &&FreezeFact| {
            unknown(fact.index, shown.size)
                && !(fact.spares_rollbacks && shown.is_rollback)
                && fact.stops(service, environment, shown.now.max(fact.since))
        };
        if let Some(fact) = self.freezes.iter().find(stops) {
            return Some(format!("{} froze {service} in {environment} in entry {}", fact.by, fact.index));
        }
        // The same grant stood at a later head: then no key that was found compromised before that was one of its own.
        let stood_at = newest.filter(|newest| newest.index == shown.granted).and_then(|newest| newest.stood_at);
        let size = stood_at.map_or(shown.size, |stood_at| stood_at.max(shown.size));
        self.voided_at
            .filter(|index| unknown(*index, size))
            .map(|index| format!("entry {index} found a key compromised, and the grant was not verified after it"))
    }

    /// Both together.
    fn with(self, shown: Self) -> Self {
        let mut granted = self.granted;
        for (target, newer) in shown.granted {
            let kept = granted.entry(target).or_insert(newer);
            *kept = newer.max(*kept);
        }
        let voided_at = self.voided_at.max(shown.voided_at);
        match (shown.size, shown.is_proven) > (self.size, self.is_proven) {
            true => Self { granted, voided_at, ..shown },
            false => Self { granted, voided_at, ..self },
        }
    }
}

/// What the leaf hashes of the governance stream hash to together, for the first `size` entries of the ledger.
fn governance_of(verified: &Verified, size: TreeSize) -> Digest {
    let within = verified.governance_leaves.iter().take_while(|(index, _)| index.0 < size.0);
    let hashes: Vec<u8> = within.flat_map(|(_, hash)| *hash.as_bytes()).collect();
    Digest::of(&hashes)
}

/// The freezes that are not over, without their reasons, which nobody is told again.
fn in_force(freezes: Vec<FreezeFact>, now: UnixMillis) -> Vec<FreezeFact> {
    let lasting = freezes.into_iter().filter(|fact| fact.until.is_none_or(|until| now < until));
    lasting.map(|fact| FreezeFact { reason: String::new(), ..fact }).collect()
}

/// Keeps what was verified.
///
/// # Errors
/// `HOME_LOCKED`: whoever holds the lock may be about to write what stands against it. `KNOWN_ACCESS`, `KNOWN_FULL`:
/// what was verified would not be known afterwards, though what was verified before is.
fn keep(world: &World, path: &Path, shown: &Known, lock: Lock) -> Result<(), Failure> {
    let home = world.home.path();
    let kept = match home.is_dir() {
        true => keep_longer(path, shown, lock),
        false => Err(Failure::usage("HOME_MISSING", format!("there is no home directory {}", home.display()))),
    };
    match kept {
        Err(failure) if is_memory_alone(path, &failure) => {
            tell(world, Err(failure));
            Ok(())
        }
        Err(failure) if failure.code == "FILE_FAILED" && failure.exit == Exit::Usage => {
            Err(barred(path, &failure.message))
        }
        kept => kept,
    }
}

/// Whether a failure takes away the memory alone, and not the answer: of a disk that is full or read-only, and in a
/// home in which nothing was ever kept.
fn is_memory_alone(path: &Path, failure: &Failure) -> bool {
    match failure.code.as_str() {
        "HOME_MISSING" => true,
        "FILE_FAILED" => failure.exit == Exit::Unavailable || !path.parent().is_some_and(Path::exists),
        _ => false,
    }
}

/// That what is kept may not be read, or not be kept on, by the user who runs this.
fn barred(path: &Path, why: &str) -> Failure {
    let directory = path.parent().unwrap_or(path);
    let lock = directory.with_extension("lock");
    let change = giving_back(&[directory, &lock, path]);
    let message = format!("what this machine has verified may not be read or kept on by this user: {why}");
    Failure::new(Exit::Denied, "KNOWN_ACCESS", message).hint(format!(
        "find out what changed it, such as a command that root ran here, and give it back: as its owner or root, \
         `{change} {}`, and the same for {} where it is there; or verify as the user whose it is",
        argument(&directory.to_string_lossy()),
        argument(&lock.to_string_lossy()),
    ))
}

/// Tells that something is not remembered.
fn tell(world: &World, kept: Result<(), Failure>) {
    if let Err(failure) = kept {
        world.terminal.say(format!("note: what was verified is not remembered: {}", failure.message));
    }
}

fn keep_longer(path: &Path, shown: &Known, lock: Lock) -> Result<(), Failure> {
    // Mostly there is nothing new, and then nothing is locked or written.
    if together(path, shown)?.is_none() {
        return Ok(());
    }
    let _lock = lock(path)?;
    let Some(known) = together(path, shown)? else { return Ok(()) };
    write_file(path, &bytes_of(&known, path, KNOWN_BYTES_MAX)?, 0o600)
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink())
}

/// What is written, which has to be read again.
fn bytes_of(known: &Known, path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let bytes =
        serde_json::to_vec(known).map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    match bytes.len() as u64 <= most {
        true => Ok(bytes),
        false => {
            let message = format!("{} would have more than {most} bytes with what was verified", path.display());
            Err(Failure::new(Exit::Denied, "KNOWN_FULL", message)
                .hint("verify some of the services in another home, which has the trust file too: `--home DIR`"))
        }
    }
}

/// What is kept and what is shown, together, where that is more than what is kept; nothing of what contradicts it.
fn together(path: &Path, shown: &Known) -> Result<Option<Known>, Failure> {
    let Some(kept) = read(path)? else { return Ok(Some(shown.clone())) };
    if kept.contradicts(shown.size, &shown.root) {
        return Ok(None);
    }
    let known = kept.clone().with(shown.clone());
    Ok((known != kept).then_some(known))
}

fn read(path: &Path) -> Result<Option<Known>, Failure> {
    // What cannot be looked at is not taken for absent.
    match File::open(path) {
        Ok(_) => {}
        // A link to what is not there, such as a disk that is not mounted, is no absence.
        Err(error) if error.kind() == ErrorKind::NotFound && !is_link(path) && !path.parent().is_some_and(is_link) => {
            return Ok(None);
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(barred(path, &format!("{}: {error}", path.display())));
        }
        Err(error) => return Err(Failure::file(path, &error)),
    }
    let invalid = |why: String| {
        Failure::new(Exit::Denied, "KNOWN_INVALID", format!("{}: {why}", path.display())).hint(
            "keep a copy, find out what changed it, and compare the ledger's checkpoint over another channel before you \
             remove it",
        )
    };
    let bytes = read_file(path, KNOWN_BYTES_MAX).map_err(|failure| match failure.code.as_str() {
        "TOO_LARGE" => invalid(format!("it has more than {KNOWN_BYTES_MAX} bytes")),
        _ => failure,
    })?;
    let known: Known = json::read_as(&bytes, &LIMITS, Numbers::Integers).map_err(|error| invalid(error.to_string()))?;
    match known.schema == Known::SCHEMA {
        true => Ok(Some(known)),
        false => Err(invalid(format!("the schema `{}` is not known", known.schema.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cli::{Format, Global};
    use crate::home::Home;
    use crate::keyring::Keyring;
    use crate::terminal::Terminal;

    /// A world with this home.
    fn world(home: &Path) -> World {
        let home = Home::find(Some(home.to_owned()), None).unwrap();
        let global = Global { home: None, server: None, person: None, output: Format::Table, quiet: true, verbose: 0 };
        let terminal = Terminal { format: Format::Table, quiet: true, colour: false };
        let keyring = Keyring { home: home.clone(), agent: None, ssh_dir: None };
        World { global, home, terminal, keyring, user: None }
    }

    fn target() -> StreamName {
        "running:production/shop/web".parse().unwrap()
    }

    /// What was verified at 100 entries: the grant of entry 50.
    fn known() -> Known {
        Known {
            schema: Known::SCHEMA.to_owned(),
            size: TreeSize(100),
            root: Digest::of(b"100"),
            governance: None,
            is_proven: true,
            freezes: Vec::new(),
            voided_at: None,
            granted: BTreeMap::from([(target(), Granted { index: EntryIndex(50), stood_at: None })]),
        }
    }

    fn frozen(environment: &str, until: Option<u64>, spares_rollbacks: bool) -> FreezeFact {
        FreezeFact {
            index: EntryIndex(80),
            service: None,
            environment: Some(environment.parse().unwrap()),
            by: "sam".parse().unwrap(),
            reason: "incident".to_owned(),
            since: UnixMillis(2_000),
            until: until.map(UnixMillis),
            spares_rollbacks,
        }
    }

    fn objection(known: &Known, granted: u64, size: u64, is_rollback: bool) -> Option<String> {
        let (service, environment) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
        let (granted, size, now) = (EntryIndex(granted), TreeSize(size), UnixMillis(1_000));
        let shown = Shown { service: &service, environment: &environment, granted, size, is_rollback, now };
        known.objection(&shown)
    }

    #[test]
    fn a_grant_that_was_replaced_does_not_come_back_whatever_its_head() {
        let known = known();
        assert_eq!(objection(&known, 50, 60, false), None, "an older head alone is no rollback");
        assert_eq!(objection(&known, 120, 130, false), None);
        for size in [60, 100, 130] {
            assert!(objection(&known, 40, size, false).unwrap().contains("entry 50 granted"), "{size}");
        }
    }

    #[test]
    fn a_freeze_counts_for_what_is_older_than_it_and_for_its_target() {
        let freeze = |environment: &str, until: Option<u64>, spares_rollbacks: bool| Known {
            freezes: vec![frozen(environment, until, spares_rollbacks)],
            ..known()
        };
        // Its own clock may be behind that of the ledger: that the freeze is recorded is enough.
        assert!(objection(&freeze("production", None, false), 50, 80, false).unwrap().contains("in entry 80"));
        assert_eq!(objection(&freeze("production", None, false), 50, 81, false), None, "that bundle knew of it");
        assert_eq!(objection(&freeze("staging", None, false), 50, 60, false), None);
        assert_eq!(objection(&freeze("production", Some(1_500), false), 50, 60, false), None, "it is over");
        assert_eq!(objection(&freeze("production", None, true), 50, 60, true), None);
        assert!(objection(&freeze("production", None, true), 50, 60, false).is_some());
    }

    #[test]
    fn a_compromised_key_counts_until_the_same_grant_was_verified_after_it() {
        let stood_at = |size: Option<u64>| Known {
            voided_at: Some(EntryIndex(80)),
            granted: BTreeMap::from([(target(), Granted { index: EntryIndex(50), stood_at: size.map(TreeSize) })]),
            ..known()
        };
        assert!(objection(&stood_at(None), 50, 60, false).unwrap().contains("entry 80 found"));
        assert!(objection(&stood_at(Some(80)), 50, 60, false).is_some());
        assert_eq!(objection(&stood_at(Some(81)), 50, 60, false), None);
        assert_eq!(objection(&stood_at(None), 50, 81, false), None, "that bundle knew of it");
        assert!(objection(&stood_at(Some(100)), 60, 70, false).is_some(), "of another grant nothing is known");
    }

    #[test]
    fn a_link_to_what_is_not_there_is_no_absence() {
        let folder = tempfile::tempdir().unwrap();
        let (file, linked) = (folder.path().join("file"), folder.path().join("linked"));
        assert!(read(&file).unwrap().is_none());
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &linked).unwrap();
        assert_eq!(read(&linked).unwrap_err().code, "FILE_FAILED");
        assert_eq!(read(&linked.join("file")).unwrap_err().code, "FILE_FAILED");
    }

    #[test]
    fn what_is_known_never_becomes_less() {
        let other: StreamName = "running:dev/shop/web".parse().unwrap();
        let older = Known {
            size: TreeSize(60),
            root: Digest::of(b"60"),
            voided_at: Some(EntryIndex(59)),
            granted: BTreeMap::from([
                (target(), Granted { index: EntryIndex(40), stood_at: Some(TreeSize(60)) }),
                (other.clone(), Granted { index: EntryIndex(30), stood_at: None }),
            ]),
            ..known()
        };
        let both = known().with(older.clone());
        assert_eq!(both, older.with(known()));
        assert_eq!((both.size, both.voided_at), (TreeSize(100), Some(EntryIndex(59))));
        assert_eq!(both.granted[&target()], Granted { index: EntryIndex(50), stood_at: None });
        assert_eq!(both.granted[&other].index, EntryIndex(30));
        let offline = Known { is_proven: false, ..known() };
        assert!(offline.clone().with(known()).is_proven);
        assert!(known().with(offline).is_proven);
    }

    #[test]
    fn what_is_kept_reads_again_and_what_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known/ledger");
        assert_eq!(read(&path).unwrap(), None);
        keep_longer(&path, &known(), lock_directory_of).unwrap();
        assert_eq!(read(&path).unwrap(), Some(known()));
        // Another root of the same size is not kept in its place.
        keep_longer(&path, &Known { root: Digest::of(b"other"), ..known() }, lock_directory_of).unwrap();
        assert_eq!(read(&path).unwrap(), Some(known()));
        let text = fs::read_to_string(&path).unwrap();
        for damaged in ["", "{}", "[]", &text.replace("known/v1", "known/v2"), &text.replace("\"root\"", "\"roof\"")] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read(&path).unwrap_err().code, "KNOWN_INVALID", "{damaged}");
        }
    }

    #[test]
    fn the_first_file_that_does_not_read_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let world = world(folder.path());
        assert_eq!(check_kept(&world).unwrap(), 0);
        let directory = world.home.known_directory();
        keep_longer(&directory.join("a"), &known(), lock_directory_of).unwrap();
        fs::write(directory.join(".a.7.tmp"), "half of one").unwrap();
        assert_eq!(check_kept(&world).unwrap(), 1);
        fs::write(directory.join("b"), "{}").unwrap();
        fs::write(directory.join("c"), "").unwrap();
        let invalid = check_kept(&world).unwrap_err();
        assert!(invalid.code == "KNOWN_INVALID" && invalid.message.contains("known/b: "), "{invalid:?}");
        assert!(invalid.hint.is_some());
    }

    #[test]
    fn a_freeze_is_kept_until_it_is_over_and_its_reason_is_not() {
        let check = |now: u64, expected: &[Option<u64>]| {
            let freezes = [None, Some(3_000), Some(3_001)].map(|until| frozen("production", until, false));
            let kept = in_force(freezes.to_vec(), UnixMillis(now));
            let untils: Vec<_> = kept.iter().map(|fact| fact.until.map(|until| until.0)).collect();
            assert_eq!(untils, expected, "{now}");
            assert!(kept.iter().all(|fact| fact.reason.is_empty()), "{kept:?}");
        };
        check(0, &[None, Some(3_000), Some(3_001)]);
        check(2_999, &[None, Some(3_000), Some(3_001)]);
        check(3_000, &[None, Some(3_001)]);
        check(u64::MAX, &[None]);
    }

    #[test]
    fn a_hundred_thousand_targets_are_kept_and_no_more_is_written_than_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let longest = json::MAX_SAFE_INTEGER;
        let grant = Granted { index: EntryIndex(longest), stood_at: Some(TreeSize(longest)) };
        let target = |number: u32| {
            let name = format!("{number:a<128}");
            (StreamName::running(&name.parse().unwrap(), &name.parse().unwrap()), grant)
        };
        let known = Known { granted: (0..1_000).map(target).collect(), ..known() };
        let bytes = bytes_of(&known, &path, KNOWN_BYTES_MAX).unwrap();
        assert!(bytes.len() as u64 * 100 < KNOWN_BYTES_MAX, "{}", bytes.len());
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap().as_ref(), Some(&known));
        let full = bytes_of(&known, &path, bytes.len() as u64 - 1).unwrap_err();
        assert_eq!((full.code.as_str(), full.exit), ("KNOWN_FULL", Exit::Denied));
        File::create(&path).and_then(|file| file.set_len(KNOWN_BYTES_MAX + 1)).unwrap();
        let large = read(&path).unwrap_err();
        assert!(large.code == "KNOWN_INVALID" && large.hint.is_some(), "{large:?}");
    }

    #[test]
    fn what_another_command_holds_is_waited_for_and_then_nothing_is_verified() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known/ledger");
        let held: Lock = |_| Err(Failure::new(Exit::Unavailable, "HOME_LOCKED", "held"));
        let keep = |home: &Path, lock: Lock| keep(&world(home), &path, &known(), lock).map_err(|failure| failure.code);
        assert_eq!(keep(folder.path(), held), Err("HOME_LOCKED".to_owned()));
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(keep(folder.path(), lock_directory_of), Ok(()));
        assert_eq!(read(&path).unwrap(), Some(known()));
        // Where there is nothing new, nobody is waited for; and where there is no home, nothing is kept.
        assert_eq!(keep(folder.path(), held), Ok(()));
        assert_eq!(keep(&folder.path().join("none"), held), Ok(()));
    }

    #[test]
    fn what_was_kept_is_not_forgotten_where_this_user_may_not_keep_it_on() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("known");
        let path = directory.join("ledger");
        let denied: Lock = |path| Err(Failure::file(path, &ErrorKind::PermissionDenied.into()));
        let full: Lock = |path| Err(Failure::file(path, &ErrorKind::StorageFull.into()));
        let keep = |shown: &Known, lock: Lock| keep(&world(folder.path()), &path, shown, lock);
        // In a home in which nothing was kept, that it cannot be written is told.
        assert!(keep(&known(), denied).is_ok());
        assert!(keep(&known(), lock_directory_of).is_ok());
        let newer = Known { size: TreeSize(120), root: Digest::of(b"120"), ..known() };
        let barred = keep(&newer, denied).unwrap_err();
        assert_eq!((barred.code.as_str(), barred.exit), ("KNOWN_ACCESS", Exit::Denied));
        assert!(barred.hint.unwrap().contains(&format!("{}`", directory.display())));
        assert!(keep(&known(), denied).is_ok(), "there is nothing new to keep");
        assert!(keep(&newer, full).is_ok(), "a disk that is full is told");
        assert_eq!(read(&path).unwrap(), Some(known()));
        // What is no directory has no files that are absent.
        assert_eq!(read(&path.join("ledger")).unwrap_err().code, "FILE_FAILED");
        let set = |mode: u32| fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        set(0o000);
        if fs::read_dir(&directory).is_ok() {
            return eprintln!("not checked: root may read everything");
        }
        let unread = read(&path).unwrap_err();
        set(0o500);
        let unwritten = keep(&newer, lock_directory_of).unwrap_err();
        set(0o700);
        for failure in [unread, unwritten] {
            assert_eq!(failure.code, "KNOWN_ACCESS", "{failure:?}");
            assert!(failure.hint.unwrap().contains("chmod -R u+rwX"));
        }
        assert_eq!(read(&path).unwrap(), Some(known()));
    }
}
