//! Scene: what is attacked, and the tools of somebody who has the server: its disk, and the key that signs the log, but no
//! person's key.
//!
//! What such a person signs with the log's real key about a history that never was stays in memory and is never written
//! down, not even where copies are kept: whoever found it could say that the log lies.

use std::collections::BTreeSet;
use std::fmt::Display;

use lockgate_api::Exit;
use lockgate_ledger::entry::{Actor, Entry, Event, Leaf, Position, SCHEMA};
use lockgate_ledger::{Link, TrustFile};
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, StreamName, TreeSize, UnixMillis};
use lockgate_sign::note::NoteSigner;
use lockgate_sign::ssh_signer::FileSigner;
use lockgate_store::{Head, LedgerStore as _, NewEntry, StreamStore as _, TileWrite};
use lockgate_store_local::practice::PracticeCopy;
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tree::Tree;

use super::attack::{Halt, Made, Shown};
use super::memory::Memory;
use super::proof::Proof;
use super::survey::Survey;
use crate::failure::Failure;

/// Leaf hashes in a full tile.
const TILE_HASHES: u64 = 256;
/// How many leaves are looked through for an entry: leaves of attestations come a few in a row.
const LEAVES: usize = 64;

/// What is attacked: a sound copy, and what is known of it.
pub struct Subject {
    /// The copy that all others are made of.
    pub base: PracticeCopy,
    /// What it has.
    pub survey: Survey,
    /// Its head.
    pub head: Head,
    /// The ledger's name.
    pub origin: String,
    /// What verifiers pin.
    pub trust: TrustFile,
    /// What this home remembers.
    pub memory: Memory,
    /// How many entries the stored checkpoint counts.
    pub signed: TreeSize,
    /// The artifacts that were found to be what their names say; each copy has the very same files.
    pub hashed: BTreeSet<Digest>,
    /// The log's own key, or why it is not here.
    pub log: Result<NoteSigner, Halt>,
    /// Another key of the log's name.
    pub foreign: NoteSigner,
    /// A key that nobody enrolled.
    pub own: FileSigner,
    /// Somebody who may activate a policy set.
    pub owner: Option<PersonId>,
    /// A bundle that verifies, or why there is none.
    pub proof: Result<Proof, Halt>,
}

/// One attack's copy.
pub struct Scene<'a> {
    /// What is attacked.
    pub subject: &'a Subject,
    /// The copy.
    pub copy: PracticeCopy,
}

/// How copies are opened to be read.
pub fn reading() -> Options {
    Options { readers: 1, ..Options::default() }
}

/// What stood in the way of an attack.
pub fn failed(error: impl Display) -> Halt {
    Halt::Failed(Failure::new(Exit::Failed, "DRILL_FAILED", format!("the attack could not be made: {error}")))
}

impl Scene<'_> {
    /// The copy, to be read.
    ///
    /// # Errors
    /// What the store says.
    pub fn store(&self) -> Result<LocalStore, Halt> {
        Ok(LocalStore::open_read_only(self.copy.dir(), reading())?)
    }

    /// An entry that the survey found; without one, there is nothing to attack.
    ///
    /// # Errors
    /// `Skipped` with `missing`, or as [`Self::entry`].
    pub fn found(&self, at: Option<EntryIndex>, missing: &str) -> Result<(EntryIndex, Entry), Halt> {
        let index = at.ok_or_else(|| Halt::Skipped(missing.to_owned()))?;
        Ok((index, self.entry(index)?))
    }

    /// An entry.
    ///
    /// # Errors
    /// When it cannot be read, or is an attestation's leaf.
    pub fn entry(&self, index: EntryIndex) -> Result<Entry, Halt> {
        let bytes = self.store()?.entry(index)?.ok_or_else(|| failed(format!("entry {index} is missing")))?;
        match Leaf::decode(&bytes, &Limits::DEFAULT).map_err(failed)? {
            Leaf::Entry(entry) => Ok(*entry),
            Leaf::HashedRekord => Err(failed(format!("leaf {index} is an attestation's"))),
        }
    }

    /// The newest entry.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn newest(&self) -> Result<(EntryIndex, Entry), Halt> {
        let index = EntryIndex(self.subject.head.size.0.saturating_sub(1));
        Ok((index, self.entry(index)?))
    }

    /// When the first entry was written that stands at `from` or a few leaves later.
    ///
    /// # Errors
    /// What the store says, or when a leaf does not read.
    pub fn time_from(&self, from: u64) -> Result<Option<UnixMillis>, Halt> {
        for bytes in self.store()?.entries(EntryIndex(from), LEAVES)? {
            if let Leaf::Entry(entry) = Leaf::decode(&bytes, &Limits::DEFAULT).map_err(failed)? {
                return Ok(Some(entry.time));
            }
        }
        Ok(None)
    }

    /// The leaves from `from` on.
    ///
    /// # Errors
    /// What the store says.
    pub fn tail(&self, from: u64) -> Result<Vec<Vec<u8>>, Halt> {
        Ok(self.store()?.entries(EntryIndex(from), usize::MAX)?)
    }

    /// Puts another entry in the place of one, and makes tree and head fit.
    ///
    /// # Errors
    /// When the copy cannot be read or written; not because of what the entry says.
    pub fn replace(&self, index: EntryIndex, entry: &Entry) -> Result<Head, Halt> {
        let bytes = entry.to_leaf(&Limits::DEFAULT).map_err(failed)?;
        let store = self.store()?;
        let mut tree = tree_at(&store, index.0)?;
        tree.append(leaf_hash(&bytes));
        append_rest(&mut tree, &store, index.0.saturating_add(1), self.subject.head.size.0)?;
        drop(store);
        let damage = self.copy.damage()?;
        damage.entry_edit(index, &bytes)?;
        let (tiles, head) = edge(&mut tree);
        damage.tree_from(index, &tiles, &head)?;
        Ok(head)
    }

    /// Puts leaves in the place of all from `from` on, and makes streams, tree and head fit.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn rewrite(&self, from: u64, leaves: &[Vec<u8>]) -> Result<Head, Halt> {
        let store = self.store()?;
        let mut tree = tree_at(&store, from)?;
        drop(store);
        let entries: Vec<NewEntry> = leaves.iter().map(|bytes| new_entry(bytes)).collect();
        entries.iter().for_each(|entry| tree.append(entry.leaf_hash));
        let damage = self.copy.damage()?;
        damage.entries_from(EntryIndex(from), &entries)?;
        let (tiles, head) = edge(&mut tree);
        damage.tree_from(EntryIndex(from), &tiles, &head)?;
        Ok(head)
    }

    /// Adds an entry at the end with every link in its place. Nobody is asked: what the server would refuse to append is
    /// written all the same.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn append(&self, actor: Actor, event: Event) -> Result<Head, Halt> {
        let time = self.newest()?.1.time;
        let store = self.store()?;
        let mut streams = Vec::new();
        for stream in event.streams(&actor) {
            let head = store.stream_head(&stream)?;
            let (seq, prev) = head.map_or((0, None), |head| (head.seq.saturating_add(1), Some(head.index)));
            streams.push(Link { stream, seq, prev });
        }
        let governance = store.stream_head(&StreamName::governance())?;
        let governance = governance.map(|head| Position { seq: head.seq, index: head.index });
        drop(store);
        let entry = Entry { schema: SCHEMA.to_owned(), time, actor, governance, streams, event };
        let bytes = entry.to_leaf(&Limits::DEFAULT).map_err(failed)?;
        self.rewrite(self.subject.head.size.0, &[bytes])
    }

    /// The log's own key; without it, the attack is somebody else's.
    ///
    /// # Errors
    /// `Lacking` without it.
    pub fn signer(&self) -> Result<&NoteSigner, Halt> {
        self.subject.log.as_ref().map_err(Clone::clone)
    }

    /// A checkpoint of any head, signed by any key.
    pub fn checkpoint(&self, head: &Head, signer: &NoteSigner) -> String {
        Checkpoint { origin: self.subject.origin.clone(), size: head.size, root: head.root }.sign(signer).to_text()
    }

    /// The copy under a checkpoint of this head that the log's own key signed, to an auditor who has kept nothing but the
    /// trust file.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn sealed(&self, head: &Head, did: String) -> Result<Made, Halt> {
        let checkpoint = Some(self.checkpoint(head, self.signer()?).into_bytes());
        Ok(Made { did, shown: Shown::Ledger { checkpoint, kept: false, artifact: None } })
    }
}

/// The tree as it was when the ledger had `size` entries.
fn tree_at(store: &LocalStore, size: u64) -> Result<Tree, Halt> {
    Tree::restore(TreeSize(size), |level, index, _| store.tile(level, index)).map_err(failed)
}

/// Appends the leaf hashes of the entries from `first` up to `size`.
fn append_rest(tree: &mut Tree, store: &LocalStore, first: u64, size: u64) -> Result<(), Halt> {
    let mut at = first;
    while at < size {
        let short = || failed(format!("the tile with the hash of entry {at} is not whole"));
        let tile = store.tile(0, at / TILE_HASHES)?.ok_or_else(short)?;
        let before = usize::try_from(at % TILE_HASHES).map_err(failed)?;
        let most = usize::try_from(size.saturating_sub(at)).map_err(failed)?;
        let hashes: Vec<&[u8]> = tile.chunks_exact(32).skip(before).take(most).collect();
        if hashes.is_empty() {
            return Err(short());
        }
        for hash in &hashes {
            tree.append(Digest::from_bytes(<[u8; 32]>::try_from(*hash).map_err(failed)?));
        }
        at = at.saturating_add(hashes.len() as u64);
    }
    Ok(())
}

/// The tiles that changed, and the head.
fn edge(tree: &mut Tree) -> (Vec<TileWrite>, Head) {
    let tile =
        |tile: lockgate_tlog::tree::TileWrite| TileWrite { level: tile.level, index: tile.index, hashes: tile.hashes };
    (tree.take_tiles().into_iter().map(tile).collect(), Head { size: tree.size(), root: tree.root() })
}

/// A leaf as it is stored; its streams are those that it names itself.
fn new_entry(bytes: &[u8]) -> NewEntry {
    let streams = match Leaf::decode(bytes, &Limits::DEFAULT) {
        Ok(Leaf::Entry(entry)) => entry.streams.into_iter().map(|link| (link.stream, link.seq)).collect(),
        _ => Vec::new(),
    };
    NewEntry { bytes: bytes.to_vec(), leaf_hash: leaf_hash(bytes), streams }
}
