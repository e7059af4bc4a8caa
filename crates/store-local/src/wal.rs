//! The write-ahead log as it lies on the disk, read before SQLite reads it: where its last whole transaction ends, and
//! whether anything stands behind that.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html>, section 4: a header, then frames of one page each.
//! Each frame carries the salts of the header, and a checksum over all before it. SQLite takes the frames up to the
//! last one that ends a transaction and stands before the first broken one, and says nothing of those behind.

use std::io::{self, ErrorKind, Read};
use std::ops::RangeInclusive;

/// Bytes of the header of a log.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes of the header of a frame.
const FRAME_HEADER_BYTES: usize = 24;
/// The first word of a log. Its last bit says in which order the bytes of a word are summed up.
const MAGIC: u32 = 0x377f_0682;
/// How large a page can be.
const PAGE_BYTES: RangeInclusive<usize> = 512..=65_536;

/// What a log draws anew each time that it begins at its first frame; frames with other salts are left from before.
pub(crate) type Salts = [u8; 8];

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// Not even a header.
    Empty,
    /// A header that is broken: SQLite takes nothing.
    Headless,
    /// A whole header, and frames.
    Frames(Extent),
}

/// How far a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The salts of its header.
    pub(crate) salts: Salts,
    /// Frames up to the end of the last whole transaction: what SQLite takes.
    pub(crate) whole: u64,
    /// Frames behind that end with the same salts: of a transaction that was not finished, or behind a broken frame.
    pub(crate) behind: u64,
}

/// Reads a log to its end, one frame at a time.
///
/// # Errors
/// Those of reading; a log that ends within a frame is none.
pub(crate) fn read(log: &mut impl Read) -> io::Result<Log> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(Log::Empty);
    }
    let Some((page_bytes, mut sum)) = begin(&header) else {
        return Ok(Log::Headless);
    };
    let salts = salts_of(&header);
    let (mut frames, mut whole, mut behind, mut is_broken) = (0, 0, 0, false);
    let mut page = vec![0; page_bytes];
    let mut head = [0; FRAME_HEADER_BYTES];
    while fill(log, &mut head)? && fill(log, &mut page)? {
        frames += 1;
        let is_of_this = salts_at(&head, 8) == salts;
        if !is_broken {
            sum.add(head.get(..8).unwrap_or_default());
            sum.add(&page);
            // No page has the number 0.
            is_broken = !is_of_this || word(&head, 0) == 0 || !sum.is_at(&head, 16);
        }
        // The size of the database after the transaction; 0 in a frame that does not end one.
        let ends = word(&head, 4) != 0;
        match (is_broken, ends) {
            (false, true) => (whole, behind) = (frames, 0),
            (false, false) => behind += 1,
            (true, _) => behind += u64::from(is_of_this),
        }
    }
    Ok(Log::Frames(Extent { salts, whole, behind }))
}

/// The salts of a header.
pub(crate) fn salts_of(header: &[u8; HEADER_BYTES]) -> Salts {
    salts_at(header, 16)
}

/// The size of the pages, and the checksum that the first frame goes on with; `None` for a header that is not whole.
fn begin(header: &[u8; HEADER_BYTES]) -> Option<(usize, Sum)> {
    let magic = word(header, 0);
    let page_bytes = usize::try_from(word(header, 8)).ok()?;
    let mut sum = Sum { one: 0, two: 0, is_big_endian: magic & 1 == 1 };
    sum.add(header.get(..24)?);
    let is_known = magic & !1 == MAGIC && page_bytes.is_power_of_two() && PAGE_BYTES.contains(&page_bytes);
    (is_known && sum.is_at(header, 24)).then_some((page_bytes, sum))
}

/// Fills a buffer; `false` where the end comes before.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_be_bytes(*word))
}

fn salts_at(bytes: &[u8], at: usize) -> Salts {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

/// The checksum of a log, section 4.2: two sums over pairs of words, each of which takes in the other.
#[derive(Debug, Clone, Copy)]
struct Sum {
    one: u32,
    two: u32,
    is_big_endian: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<8>().0 {
            let (first, second) = ([*a, *b, *c, *d], [*e, *f, *g, *h]);
            let (first, second) = match self.is_big_endian {
                true => (u32::from_be_bytes(first), u32::from_be_bytes(second)),
                false => (u32::from_le_bytes(first), u32::from_le_bytes(second)),
            };
            self.one = self.one.wrapping_add(first).wrapping_add(self.two);
            self.two = self.two.wrapping_add(second).wrapping_add(self.one);
        }
    }

    /// Whether it is what stands there.
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        (self.one, self.two) == (word(bytes, at), word(bytes, at.saturating_add(4)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    const PAGE: usize = 1024;
    const FRAME: usize = FRAME_HEADER_BYTES + PAGE;

    /// A database whose log holds some transactions, each of a few frames.
    fn sample() -> (TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("a.db")).unwrap();
        connection.execute_batch(&format!("PRAGMA page_size = {PAGE}")).unwrap();
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a BLOB)").unwrap();
        for _ in 0..5 {
            insert(&connection);
        }
        (dir, connection)
    }

    fn insert(connection: &Connection) {
        connection.execute("INSERT INTO t VALUES (randomblob(3000))", []).unwrap();
    }

    fn bytes(dir: &TempDir) -> Vec<u8> {
        fs::read(dir.path().join("a.db-wal")).unwrap()
    }

    fn extent(mut log: &[u8]) -> Extent {
        match read(&mut log).unwrap() {
            Log::Frames(extent) => extent,
            other => panic!("{other:?}"),
        }
    }

    fn turned(log: &[u8], place: usize) -> Vec<u8> {
        let mut log = log.to_vec();
        log[place] ^= 4;
        log
    }

    /// How many frames there are up to the end of each transaction.
    fn ends(log: &[u8]) -> Vec<u64> {
        let ends_one = |frame: &[u8]| frame[4..8] != [0; 4];
        (1..)
            .zip(log[HEADER_BYTES..].chunks_exact(FRAME))
            .filter(|(_, frame)| ends_one(frame))
            .map(|(n, _)| n)
            .collect()
    }

    #[test]
    fn an_untouched_log_is_whole() {
        let (dir, _connection) = sample();
        let log = bytes(&dir);
        let frames = ((log.len() - HEADER_BYTES) / FRAME) as u64;
        let salts = log[16..24].try_into().unwrap();
        assert_eq!(extent(&log), Extent { salts, whole: frames, behind: 0 });
        assert_eq!(ends(&log).len(), 6);
        assert_eq!(ends(&log).last(), Some(&frames));
    }

    #[test]
    fn a_turned_bit_ends_the_log_before_its_transaction() {
        let (dir, _connection) = sample();
        let log = bytes(&dir);
        let (ends, frames) = (ends(&log), ((log.len() - HEADER_BYTES) / FRAME) as u64);
        for frame in 1..=frames {
            let start = HEADER_BYTES + (frame as usize - 1) * FRAME;
            // Its number, whether it ends a transaction, salts, checksum, and page.
            for within in [3, 7, 8, 15, 16, 23, 24, FRAME - 1] {
                let found = extent(&turned(&log, start + within));
                let whole = ends.iter().copied().filter(|end| *end < frame).max().unwrap_or(0);
                // Without its salts it does not say any more that it is of this log.
                let unsalted = u64::from((8..16).contains(&within));
                assert_eq!((found.whole, found.behind), (whole, frames - whole - unsalted), "{frame} {within}");
            }
        }
    }

    #[test]
    fn a_broken_header_leaves_the_salts_of_the_first_frame() {
        let (dir, _connection) = sample();
        let log = bytes(&dir);
        for place in 0..HEADER_BYTES {
            let read = read(&mut turned(&log, place).as_slice()).unwrap();
            assert_eq!(read, Log::Headless, "{place}");
        }
    }

    #[test]
    fn a_tail_that_is_cut_off_ends_the_log_before_its_transaction() {
        let (dir, _connection) = sample();
        let log = bytes(&dir);
        let ends = ends(&log);
        for last in [1, PAGE, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME] {
            let cut = &log[..log.len() - last];
            let frames = ((cut.len() - HEADER_BYTES) / FRAME) as u64;
            let whole = ends.iter().copied().filter(|end| *end <= frames).max().unwrap();
            assert_eq!((extent(cut).whole, extent(cut).behind), (whole, frames - whole), "{last}");
        }
    }

    #[test]
    fn what_is_left_of_an_earlier_log_does_not_count() {
        let (dir, connection) = sample();
        let before = bytes(&dir);
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        assert_eq!(bytes(&dir), before);
        insert(&connection);
        let log = bytes(&dir);
        assert_eq!(log.len(), before.len());
        let found = extent(&log);
        assert!(found.whole < extent(&before).whole && found.whole > 0);
        assert_eq!(found.behind, 0);
        assert_ne!(found.salts, extent(&before).salts);
    }

    #[test]
    fn what_is_no_log_is_empty_or_headless() {
        let read = |mut bytes: &[u8]| read(&mut bytes).unwrap();
        assert_eq!(read(&[]), Log::Empty);
        assert_eq!(read(&[7; HEADER_BYTES - 1]), Log::Empty);
        assert_eq!(read(&[7; HEADER_BYTES]), Log::Headless);
        assert_eq!(read(&[7; 5000]), Log::Headless);
        assert_eq!(read(&[0; 5000]), Log::Headless);
    }
}
