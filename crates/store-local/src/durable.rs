//! How far the write-ahead log is known to be on the disk: a note beside it, and a comparison of both.
//!
//! Of a log with a broken frame SQLite takes what stands before that, and drops the rest without a word. After a power
//! cut that is right: what was broken had not been flushed, and so not been acknowledged. Where a bit has turned in
//! what had been flushed it loses entries, and the next write would give their numbers to others. The log alone does
//! not tell these apart: transactions that are flushed later (`Flush::Later`) stand behind one another without a flush
//! between them, and the disk may keep any of them. So what a flush has covered is noted.
//!
//! INVARIANT (the note is true): it is written after a flush of the log has succeeded, and says no more than that
//! covered. Itself it is never flushed: after a power cut it may be old, torn or missing, and then it says less, or
//! nothing. What a killed process noted is there as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::Digest;
use lockgate_store::{Result, StoreError};
use rusqlite::Connection;

use crate::fault;
use crate::wal::{self, HEADER_BYTES, Log, Salts};

/// What a note begins with.
const MAGIC: [u8; 8] = *b"LGDURBL1";
/// Bytes of a note: fewer than a sector has, so that it is written as a whole.
const NOTE_BYTES: usize = 32;
/// How much of a log is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

fn note_path(dir: &Path) -> PathBuf {
    dir.join("DURABLE")
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("ledger.db-wal")
}

/// A place in a log: behind so many frames of the one with these salts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    salts: Salts,
    frames: u64,
}

impl Position {
    /// `magic || salts || frames || the first bytes of the SHA-256 of what stands before`.
    fn to_bytes(self) -> Vec<u8> {
        let body = [MAGIC, self.salts, self.frames.to_be_bytes()].concat();
        let check = Digest::of(&body);
        body.iter().chain(check.as_bytes()).take(NOTE_BYTES).copied().collect()
    }

    /// Reads a note; `None` for one that is not whole.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (salts, rest) = rest.split_first_chunk()?;
        let (frames, _) = rest.split_first_chunk()?;
        let note = Self { salts: *salts, frames: u64::from_be_bytes(*frames) };
        (note.to_bytes() == bytes).then_some(note)
    }
}

/// The note of a store that is open for writing.
#[derive(Debug)]
pub(crate) struct Note {
    /// `None` where it could not be made.
    file: Option<File>,
    log: PathBuf,
    /// Where the log ended after the transaction before; `None` where that is not known.
    last: Option<Position>,
}

impl Note {
    /// Makes the note where it is missing, with all the room that it will take. The caller holds the lock of `dir`.
    pub(crate) fn open(dir: &Path, connection: &Connection) -> Self {
        let path = note_path(dir);
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            if file.metadata()?.len() < NOTE_BYTES as u64 {
                file.write_all_at(&[0; NOTE_BYTES], 0)?;
            }
            Ok(file)
        };
        let file = match open() {
            Ok(file) => Some(file),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "what is flushed cannot be noted: damage to the log may pass");
                None
            }
        };
        let mut note = Self { file, log: log_path(dir), last: None };
        note.last = note.position(connection);
        note
    }

    /// Notes where the log ends, after a transaction that was flushed; remembers it after one that was not.
    pub(crate) fn committed(&mut self, connection: &Connection, is_flushed: bool) {
        let now = self.position(connection);
        // A transaction that changes nothing writes no frame, and then SQLite flushes none of those before it either.
        let has_written = self.last.is_some() && self.last != now;
        self.last = now;
        let (true, true, Some(now), Some(file)) = (is_flushed, has_written, now, &self.file) else { return };
        // Where this fails the note before it stays, or none: both are true, and a disk that fails is told of
        // elsewhere.
        let _ = file.write_all_at(&now.to_bytes(), 0);
    }

    /// Where the log ends by what SQLite holds in memory.
    fn position(&self, connection: &Connection) -> Option<Position> {
        // It copies nothing, and counts.
        let count = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1));
        let frames = count.ok().and_then(|count| u64::try_from(count).ok())?;
        if frames == 0 {
            return Some(Position { salts: Salts::default(), frames });
        }
        let mut header = [0; HEADER_BYTES];
        File::open(&self.log).and_then(|mut log| log.read_exact(&mut header)).ok()?;
        Some(Position { salts: wal::salts_of(&header), frames })
    }
}

/// What a look at a log gives.
enum Found {
    /// How many frames SQLite will drop; nobody knows of a flush that covered them.
    Dropped(u64),
    /// The end that SQLite will take the log to have, and how many frames had been flushed.
    Damaged(Position, u64),
}

/// Compares the log with the note, before SQLite takes in what it finds; says how many frames it will drop of which no
/// flush is known. It can be called beside a server that writes.
///
/// # Errors
/// `Corrupt` when the log ends before what had been flushed; `Io`, `ReadOnly` when it cannot be read.
pub(crate) fn check(dir: &Path) -> Result<u64> {
    let (end, flushed) = match look(dir)? {
        Found::Dropped(frames) => return Ok(frames),
        Found::Damaged(end, flushed) => (end, flushed),
    };
    // A server may have begun the log anew while it was read, or have written what was read. Damage stays.
    match look(dir)? {
        Found::Damaged(again, _) if again == end => Err(StoreError::Corrupt(format!(
            "of the write-ahead log `{}` {} frames are whole, and {flushed} had been flushed: what was acknowledged last \
             would be lost",
            log_path(dir).display(),
            end.frames
        ))),
        Found::Damaged(..) | Found::Dropped(_) => Ok(0),
    }
}

fn look(dir: &Path) -> Result<Found> {
    // The note first: what it says was in the log before.
    let note = fs::read(note_path(dir)).ok().and_then(|bytes| Position::from_bytes(&bytes));
    let path = log_path(dir);
    let failed = |error: io::Error| fault::file("read", &path, &error);
    match fs::metadata(&path) {
        Ok(facts) if facts.is_file() => {}
        // SQLite says what it thinks of a log that is no file.
        Ok(_) => return Ok(Found::Dropped(0)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Dropped(0)),
        Err(error) => return Err(failed(error)),
    }
    let file = File::open(&path).map_err(failed)?;
    let log = wal::read(&mut BufReader::with_capacity(BUFFER_BYTES, file)).map_err(failed)?;
    Ok(match (log, note) {
        // Its first block may be gone as a whole, with the salts of the first frame.
        (Log::Headless, Some(note)) if note.frames > 0 && holds(&path, note.salts).map_err(failed)? => {
            Found::Damaged(Position { salts: note.salts, frames: 0 }, note.frames)
        }
        (Log::Frames(extent), Some(note)) if extent.salts == note.salts && extent.whole < note.frames => {
            Found::Damaged(Position { salts: extent.salts, frames: extent.whole }, note.frames)
        }
        (Log::Frames(extent), _) => Found::Dropped(extent.behind),
        (Log::Empty | Log::Headless, _) => Found::Dropped(0),
    })
}

/// Whether these salts stand anywhere in a file.
fn holds(path: &Path, salts: Salts) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut kept = 0;
    loop {
        let count = file.read(buffer.get_mut(kept..).unwrap_or_default())?;
        let filled = kept + count;
        let bytes = buffer.get(..filled).unwrap_or_default();
        if bytes.windows(salts.len()).any(|window| window == salts) {
            return Ok(true);
        }
        if count == 0 {
            return Ok(false);
        }
        // They may begin at the end of one piece.
        kept = filled.min(salts.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A database as a store opens it, and its note.
    fn begin(dir: &Path) -> (Connection, Note) {
        let connection = Connection::open(dir.join("ledger.db")).unwrap();
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0").unwrap();
        connection.execute_batch("CREATE TABLE IF NOT EXISTS t (a BLOB)").unwrap();
        let note = Note::open(dir, &connection);
        (connection, note)
    }

    fn insert(connection: &Connection) {
        connection.execute("INSERT INTO t VALUES (randomblob(9000))", []).unwrap();
    }

    /// What a killed process leaves.
    fn killed(dir: &TempDir) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["ledger.db", "ledger.db-wal", "DURABLE"] {
            fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }

    fn turn(dir: &TempDir, place: usize) {
        let mut log = fs::read(log_path(dir.path())).unwrap();
        log[place] ^= 1;
        fs::write(log_path(dir.path()), log).unwrap();
    }

    fn noted(dir: &TempDir) -> Option<u64> {
        Position::from_bytes(&fs::read(note_path(dir.path())).unwrap()).map(|note| note.frames)
    }

    #[test]
    fn a_note_reads_as_it_was_written_and_a_changed_one_is_none() {
        let note = Position { salts: [7; 8], frames: 58 };
        let bytes = note.to_bytes();
        assert_eq!(bytes.len(), NOTE_BYTES);
        assert_eq!(Position::from_bytes(&bytes), Some(note));
        for place in 0..NOTE_BYTES {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(Position::from_bytes(&changed), None, "{place}");
        }
        assert_eq!(Position::from_bytes(&bytes[..NOTE_BYTES - 1]), None);
        assert_eq!(Position::from_bytes(&[0; NOTE_BYTES]), None);
        assert_eq!(Position::from_bytes(&[]), None);
    }

    #[test]
    fn damage_to_what_was_flushed_is_told_from_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let (connection, mut note) = begin(dir.path());
        assert_eq!(noted(&dir), None);
        insert(&connection);
        note.committed(&connection, true);
        let flushed = fs::metadata(log_path(dir.path())).unwrap().len() as usize;
        let frames = noted(&dir).unwrap();
        insert(&connection);
        note.committed(&connection, false);
        insert(&connection);
        note.committed(&connection, false);
        assert_eq!(noted(&dir), Some(frames), "a flush is to come");
        assert_eq!(check(killed(&dir).path()).unwrap(), 0);
        let length = fs::metadata(log_path(dir.path())).unwrap().len() as usize;
        for place in [0, 17, 31, 33, 41, 50, 60, flushed - 1] {
            let killed = killed(&dir);
            turn(&killed, place);
            let error = check(killed.path()).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt(_)), "{place}: {error}");
        }
        let killed_again = killed(&dir);
        let mut log = fs::read(log_path(killed_again.path())).unwrap();
        log[..4096].fill(0);
        fs::write(log_path(killed_again.path()), log).unwrap();
        let error = check(killed_again.path()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "a lost block: {error}");
        // Two transactions stand behind this one, and a power cut may do just that.
        for place in [flushed, flushed + 30, length - 1] {
            let killed = killed(&dir);
            turn(&killed, place);
            assert!(check(killed.path()).unwrap() > 0, "{place}");
        }
        let unnoted = killed(&dir);
        turn(&unnoted, 60);
        fs::remove_file(note_path(unnoted.path())).unwrap();
        assert!(check(unnoted.path()).unwrap() > 0);
    }

    #[test]
    fn a_transaction_that_writes_nothing_flushes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (connection, mut note) = begin(dir.path());
        insert(&connection);
        note.committed(&connection, false);
        connection.execute("DELETE FROM t WHERE a = x'00'", []).unwrap();
        note.committed(&connection, true);
        assert_eq!(noted(&dir), None);
        insert(&connection);
        note.committed(&connection, true);
        assert!(noted(&dir).is_some());
    }

    #[test]
    fn a_log_that_began_anew_or_is_gone_is_not_compared() {
        let dir = tempfile::tempdir().unwrap();
        let (connection, mut note) = begin(dir.path());
        for _ in 0..3 {
            insert(&connection);
            note.committed(&connection, true);
        }
        let before = noted(&dir).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        insert(&connection);
        // The process is killed before it notes where the new log ends.
        assert_eq!((noted(&dir), check(killed(&dir).path()).unwrap()), (Some(before), 0));
        note.committed(&connection, true);
        assert!(noted(&dir).unwrap() < before);
        let emptied = killed(&dir);
        fs::write(log_path(emptied.path()), "").unwrap();
        assert_eq!(check(emptied.path()).unwrap(), 0);
        fs::remove_file(log_path(emptied.path())).unwrap();
        assert_eq!(check(emptied.path()).unwrap(), 0);
    }
}
