//! Seen: the newest state of each ledger that this machine knows, and what is older or contradicts it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::ConsistencyReply;
use lockgate_api::{Client, Exit};
use lockgate_ledger::{ApplyError, TrustFile, Verified};
use lockgate_model::{Digest, EntryIndex, TreeSize};
use lockgate_sign::note::NoteError;
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::proof::verify_consistency;

use crate::commands::known;
use crate::failure::Failure;
use crate::home::{lock_directory_of, write_file};
use crate::rights;
use crate::serve::read_note;
use crate::world::World;

/// Fetches and verifies a bundle that is at least as new as what this machine has seen of the ledger, and remembers its
/// checkpoint. One that is older is fetched once more; what `fetch` gives is believed no further than it verified it.
///
/// # Errors
/// `ROLLBACK_DETECTED` where the second is older too, else as `fetch`, seen through [`refused`], [`remember`] and
/// [`known::check_continued`].
pub fn fetch_newest(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    fetch: impl Fn() -> Result<(Vec<u8>, Verified), Failure>,
) -> Result<(Vec<u8>, Verified), Failure> {
    // Read before anything is asked: what another command sees from here on may be newer than this answer.
    let seen = seen_of(world, trust)?;
    let fetch = || fetch().map_err(|refusal| refused(world, client, trust, refusal));
    let (mut bytes, mut verified) = fetch()?;
    let mut shown = checkpoint_of(&verified)?;
    if longer(&seen, &shown).is_some() {
        (bytes, verified) = fetch()?;
        shown = checkpoint_of(&verified)?;
    }
    if let Some(seen) = longer(&seen, &shown) {
        return Err(rolled_back(world, seen, shown.size));
    }
    let last = kept_in(&world.home.checkpoint(&shown.origin), trust, &shown.origin)?;
    known::check_continued(world, client, trust, last.as_ref(), &shown)?;
    remember(world, client, trust, &shown, &verified.checkpoint)?;
    Ok((bytes, verified))
}

/// What a command ends with that was refused: the alarm where [`check_not_set_back`] gives one, else the refusal.
///
/// A server that was set back does not know what it lost, and says only that there is no such thing.
pub fn refused(world: &World, client: &Client, trust: &TrustFile, refusal: Failure) -> Failure {
    match refusal.exit {
        Exit::Denied | Exit::NotPermitted | Exit::NotFound => {
            check_not_set_back(world, client, trust).err().unwrap_or(refusal)
        }
        _ => refusal,
    }
}

/// Whether [`hold_against_seen`] gives an alarm. A server that does not answer, or for no pinned log, is told by
/// whatever else it is asked; what is kept and does not read, by whatever needs it, and by [`check_kept`].
///
/// # Errors
/// `ROLLBACK_DETECTED`, `EQUIVOCATION`.
pub fn check_not_set_back(world: &World, client: &Client, trust: &TrustFile) -> Result<(), Failure> {
    match hold_against_seen(world, client, trust) {
        Err(failure) if failure.exit == Exit::Integrity => Err(failure),
        _ => Ok(()),
    }
}

/// Holds the server's newest signed checkpoint against what this machine has seen of the ledger. Nothing is remembered.
///
/// # Errors
/// `ROLLBACK_DETECTED` where it has fewer entries, `EQUIVOCATION` where it did not grow from what was seen; where no
/// pinned log signed it, or it cannot be had; as [`seen_of`].
pub fn hold_against_seen(world: &World, client: &Client, trust: &TrustFile) -> Result<(), Failure> {
    // Read before anything is asked, as in `fetch_newest`; and what is late once is asked for once more.
    let seen = seen_of(world, trust)?;
    let (mut shown, mut is_witnessed) = newest_of(client, trust)?;
    if longer(&seen, &shown).is_some() {
        (shown, is_witnessed) = newest_of(client, trust)?;
    }
    if let Some(seen) = longer(&seen, &shown) {
        return Err(rolled_back(world, seen, shown.size));
    }
    for seen in seen.iter().filter(|seen| seen.origin == shown.origin && seen.size > TreeSize(0)) {
        if seen.size == shown.size && seen.root != shown.root {
            let message = format!("the ledger shows another root for {} entries than it showed before", shown.size);
            return Err(equivocation(world, &shown.origin, message));
        }
        // Witnesses sign later: what they have not seen yet says nothing against a proof.
        if seen.size < shown.size && is_witnessed {
            continued(world, client, trust, seen, seen)?;
        }
    }
    Ok(())
}

/// The server's newest checkpoint, which a pinned log key signed, and whether the witnesses have signed it too.
fn newest_of(client: &Client, trust: &TrustFile) -> Result<(Checkpoint, bool), Failure> {
    let bytes = client.get_bytes("/checkpoint")?;
    let (signed, _) = trust.open_unwitnessed(&bytes).map_err(Failure::unproven)?;
    let is_witnessed = trust.check_witnesses(&signed).is_ok();
    Ok((signed.checkpoint, is_witnessed))
}

/// Checks that the ledger has an entry of this index already, and remembers the checkpoint that says so: what is signed
/// about an entry that is still to come could be kept for whatever comes there.
///
/// # Errors
/// `ENTRY_TO_COME`, and as [`remember`].
pub fn check_past(world: &World, client: &Client, index: EntryIndex) -> Result<(), Failure> {
    let trust = world.trust(None)?;
    let bytes = client.get_bytes("/checkpoint")?;
    let (signed, _) = trust.open_unwitnessed(&bytes).map_err(Failure::unproven)?;
    check_before(index, signed.checkpoint.size)?;
    remember(world, client, &trust, &signed.checkpoint, &String::from_utf8_lossy(&bytes))
}

fn check_before(index: EntryIndex, size: TreeSize) -> Result<(), Failure> {
    match index.0 < size.0 {
        true => Ok(()),
        false => {
            let message = format!("the server names entry {index}, and has signed {size} entries alone");
            Err(Failure::new(Exit::Integrity, "ENTRY_TO_COME", message)
                .hint("sign nothing for this server, and tell whoever is responsible for it"))
        }
    }
}

/// Checks that a bundle that was just made knows as much as this machine had seen before it was asked for.
///
/// # Errors
/// `ROLLBACK_DETECTED`.
pub fn check_newest(world: &World, seen: &[Checkpoint], verified: &Verified) -> Result<(), Failure> {
    let shown = checkpoint_of(verified)?;
    longer(seen, &shown).map_or(Ok(()), |seen| Err(rolled_back(world, seen, shown.size)))
}

/// The newest checkpoints that this machine has seen of each pinned log: from a server, and in bundles.
///
/// # Errors
/// What is kept and does not read.
pub fn seen_of(world: &World, trust: &TrustFile) -> Result<Vec<Checkpoint>, Failure> {
    Ok(files_of(world, trust)?.into_iter().map(|(seen, _)| seen).collect())
}

/// The same, each with the file that keeps it.
///
/// # Errors
/// As [`seen_of`].
pub fn files_of(world: &World, trust: &TrustFile) -> Result<Vec<(Checkpoint, PathBuf)>, Failure> {
    let mut seen = Vec::new();
    for log in trust.policy()?.logs() {
        let origin = log.vkey.name();
        let path = world.home.checkpoint(origin);
        seen.extend(kept_in(&path, trust, origin)?.map(|kept| (kept, path)));
        seen.extend(known::head(world, trust, origin)?);
    }
    Ok(seen)
}

/// The log's checkpoint that a file keeps, where a key that is pinned now signed it: a ledger of the same name with
/// another key is another ledger, and what was seen of it says nothing of this one.
///
/// # Errors
/// `CHECKPOINT_INVALID` where it does not parse, or a pinned key is said to have signed it and has not.
fn kept_in(path: &Path, trust: &TrustFile, origin: &str) -> Result<Option<Checkpoint>, Failure> {
    let Some((checkpoint, note)) = read_note(path)?.filter(|(kept, _)| kept.origin == origin) else { return Ok(None) };
    for log in trust.policy()?.logs().iter().filter(|log| log.vkey.name() == origin) {
        match note.verify_ed25519(&log.vkey) {
            Ok(()) => return Ok(Some(checkpoint)),
            Err(NoteError::NotSigned(_)) => {}
            Err(error) => {
                let error = ApplyError::new("CHECKPOINT_INVALID", format!("{}: {error}", path.display()));
                return Err(Failure::from(error).hint(
                    "keep a copy, find out what changed it, and compare the ledger's checkpoint over another channel \
                     before you remove it",
                ));
            }
        }
    }
    Ok(None)
}

/// Reads every kept checkpoint, as a verification does where something is pinned, and gives how many there are.
///
/// # Errors
/// `CHECKPOINT_INVALID`, or when one cannot be looked at: of the first one.
pub fn check_kept(world: &World, trust: Option<&TrustFile>) -> Result<usize, Failure> {
    let home = world.home.path();
    rights::check(home, &home.join("checkpoints"), rights::ENTER)?;
    let paths = world.home.checkpoints()?;
    for path in &paths {
        rights::check(home, path, rights::READ)?;
        let Some((checkpoint, _)) = read_note(path)? else { continue };
        // Under another name, nobody looks for it.
        if let Some(trust) = trust.filter(|_| *path == world.home.checkpoint(&checkpoint.origin)) {
            kept_in(path, trust, &checkpoint.origin)?;
        }
    }
    Ok(paths.len())
}

/// The checkpoint of a verified bundle.
///
/// # Errors
/// `LEDGER_EMPTY`, for what is no bundle.
pub fn checkpoint_of(verified: &Verified) -> Result<Checkpoint, Failure> {
    let origin = verified.state.governance()?.origin().to_owned();
    Ok(Checkpoint { origin, size: verified.checkpoint_size, root: verified.checkpoint_root })
}

/// What was seen of the same log with more entries than it is shown with now.
fn longer<'a>(seen: &'a [Checkpoint], shown: &Checkpoint) -> Option<&'a Checkpoint> {
    seen.iter().find(|seen| seen.origin == shown.origin && seen.size > shown.size)
}

/// Compares a verified checkpoint with the newest one that this machine has seen, and keeps the newer.
///
/// One that is smaller has to be a beginning of what was seen, and is no rollback by itself: another command may have
/// seen more since this one was fetched. Whoever needs what is newest fetches with [`fetch_newest`].
///
/// # Errors
/// `EQUIVOCATION` when the ledger did not grow from what was seen; what the network and the server say when they fail.
pub fn remember(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    now: &Checkpoint,
    text: &str,
) -> Result<(), Failure> {
    let path = world.home.checkpoint(&now.origin);
    let Some(seen) = kept_in(&path, trust, &now.origin)? else { return keep(&path, trust, now, text) };
    if seen.size == now.size && seen.root != now.root {
        let message = format!("the ledger shows another root for {} entries than it showed before", now.size);
        return Err(equivocation(world, &now.origin, message));
    }
    if seen.size == now.size || seen.size == TreeSize(0) {
        return keep(&path, trust, now, text);
    }
    if seen.size > now.size {
        return grew(world, client, trust, now, &seen);
    }
    grew(world, client, trust, &seen, now)?;
    keep(&path, trust, now, text)
}

/// Keeps a checkpoint, unless another command has kept a newer one meanwhile: what was seen never becomes less.
fn keep(path: &Path, trust: &TrustFile, now: &Checkpoint, text: &str) -> Result<(), Failure> {
    let _lock = lock_directory_of(path)?;
    match kept_in(path, trust, &now.origin)? {
        Some(kept) if kept.size > now.size => Ok(()),
        _ => write_file(path, text.as_bytes(), 0o600),
    }
}

/// Checks that one tree grew from the other: both grew into the server's newest.
///
/// # Errors
/// `EQUIVOCATION` for what is signed or proven wrongly, `ROLLBACK_DETECTED` where the server's newest is older than the
/// newer of them. A network or a server that fails contradicts nothing, and keeps its own failure.
pub fn grew(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<(), Failure> {
    for one in [old, new] {
        continued(world, client, trust, one, new)?;
    }
    Ok(())
}

/// Checks that one tree grew into the server's newest, which has at least as many entries as `least`.
fn continued(
    world: &World,
    client: &Client,
    trust: &TrustFile,
    one: &Checkpoint,
    least: &Checkpoint,
) -> Result<(), Failure> {
    let alarm = |message: String| equivocation(world, &one.origin, message);
    let reply: ConsistencyReply = client.get(&format!("/v1/consistency?from={}", one.size))?;
    let (signed, _) = trust.open_checkpoint(reply.checkpoint.as_bytes()).map_err(|error| alarm(error.to_string()))?;
    let newest = signed.checkpoint;
    // Asked after both were seen.
    if newest.size < least.size {
        return Err(rolled_back(world, least, newest.size));
    }
    let path = reply
        .proof
        .iter()
        .map(|text| {
            let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
            Some(Digest::from_bytes(bytes))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| alarm("the consistency proof is not base64 of 32-byte hashes".to_owned()))?;
    verify_consistency(one.size, newest.size, &path, &one.root, &newest.root).map_err(|error| {
        alarm(format!("the ledger did not grow from its first {} entries as they were seen: {error}", one.size))
    })
}

/// Two checkpoints contradict each other.
fn equivocation(world: &World, origin: &str, message: String) -> Failure {
    let kept = world.home.checkpoint(origin);
    Failure::new(Exit::Integrity, "EQUIVOCATION", message)
        .hint(format!("keep {} and what was shown: together they are the proof", kept.display()))
}

/// What is shown is signed, and older than what was seen.
fn rolled_back(world: &World, seen: &Checkpoint, shown: TreeSize) -> Failure {
    let kept = world.home.checkpoint(&seen.origin);
    let message =
        format!("this machine has seen {} entries of the ledger, but is shown a state of {shown} entries", seen.size);
    Failure::new(Exit::Integrity, "ROLLBACK_DETECTED", message).hint(format!(
        "ask over another network, in case somebody in between shows an older state; where the server itself has no \
         more, restore its newer data; keep {} as proof",
        kept.display()
    ))
}

/// Offline, a bundle's head can be held against the one that a server showed only where both have the same size. What was
/// verified of it is compared in [`known::check`].
///
/// # Errors
/// `EQUIVOCATION` when that has another root.
pub fn compare(world: &World, trust: &TrustFile, verified: &Verified) -> Result<(), Failure> {
    let shown = checkpoint_of(verified)?;
    let path = world.home.checkpoint(&shown.origin);
    let Some(seen) = kept_in(&path, trust, &shown.origin)? else { return Ok(()) };
    if seen.size == shown.size && seen.root != shown.root {
        let message = format!("the bundle has another root for {} entries than this machine has seen", seen.size);
        return Err(equivocation(world, &shown.origin, message));
    }
    if seen.size > shown.size {
        world.terminal.say(format!(
            "note: this machine has seen the ledger with {} entries; the bundle knows {}",
            seen.size, shown.size
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lockgate_sign::note::{NoteKeyKind, NoteSigner};

    use super::*;

    const ORIGIN: &str = "ledger.example";

    fn trust(log: &NoteSigner) -> TrustFile {
        TrustFile {
            schema: TrustFile::SCHEMA.to_owned(),
            tlog_policy: format!("log {}\nquorum none\n", log.vkey()),
            genesis: Digest::of(b"first"),
            root_keys: Vec::new(),
            attestation_key: String::new(),
        }
    }

    #[test]
    fn a_ledger_of_the_same_name_with_another_key_neither_alarms_nor_hides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints/ledger");
        let [own, other] = [1, 2].map(|seed| NoteSigner::from_seed(ORIGIN, NoteKeyKind::Ed25519, &[seed; 32]).unwrap());
        let seen = |log: &NoteSigner| kept_in(&path, &trust(log), ORIGIN).unwrap().map(|kept| kept.size.0);
        let sees = |log: &NoteSigner, size: u64| {
            let root = Digest::of(&size.to_be_bytes());
            let head = Checkpoint { origin: ORIGIN.to_owned(), size: TreeSize(size), root };
            keep(&path, &trust(log), &head, &head.sign(log).to_text()).unwrap();
        };
        assert_eq!((seen(&own), seen(&other)), (None, None));
        sees(&other, 200);
        assert_eq!((seen(&own), seen(&other)), (None, Some(200)));
        sees(&own, 100);
        assert_eq!((seen(&own), seen(&other)), (Some(100), None));
        sees(&own, 90);
        assert_eq!(seen(&own), Some(100), "what was seen never becomes less");
        assert!(kept_in(&path, &trust(&own), "another.example").unwrap().is_none());
        // What a pinned key is said to have signed, and has not, is damaged.
        let changed = fs::read_to_string(&path).unwrap().replacen("\n100\n", "\n10\n", 1);
        fs::write(&path, changed).unwrap();
        assert_eq!(kept_in(&path, &trust(&own), ORIGIN).unwrap_err().code, "CHECKPOINT_INVALID");
    }
}
