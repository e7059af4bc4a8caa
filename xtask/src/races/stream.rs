//! Streams: readers of the event stream who hang up at random, and go on behind the last entry that they have read.
//!
//! However often somebody hangs up, what they read has to be the ledger: every entry once, in its order, byte for byte.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lockgate_api::Client;
use lockgate_ledger::Leaf;
use lockgate_model::{Digest, EntryIndex, Limits};
use lockgate_store::LedgerStore as _;
use lockgate_store_local::{LocalStore, Options};

use crate::failure::{During as _, Failure, Result};
use crate::random::Random;

/// After how many lines somebody hangs up at the latest; an event has four.
const LINES: u64 = 800;
/// How many entries are read from the store at a time.
const PAGE: usize = 1024;

/// An entry and the digest of its text.
pub type Known = (u64, Digest);

/// What one reader got.
#[derive(Debug, Default)]
pub struct Reading {
    /// The entries, in the order in which they came.
    pub entries: Vec<Known>,
    /// How often it connected.
    pub connections: u64,
    /// Where it goes on.
    next: u64,
}

/// An event, as far as its lines have come.
#[derive(Debug, Default)]
struct Event {
    id: Option<u64>,
    name: String,
    data: String,
}

/// Reads from the beginning until the ledger's first `until` entries have been told of, over as many connections as it takes.
///
/// # Errors
/// When something comes twice or out of order, or the server does not answer.
pub fn follow(client: &Client, random: &mut Random, until: &AtomicU64) -> Result<Reading> {
    let mut reading = Reading::default();
    while reading.next < until.load(Ordering::SeqCst) {
        let stream = client
            .get_stream(&format!("/v1/events?from={}", reading.next))
            .during(format!("read the events from {} on", reading.next))?;
        reading.connections += 1;
        let most = usize::try_from(random.between(1, LINES))?;
        reading.read(BufReader::new(stream).lines().take(most), until)?;
    }
    Ok(reading)
}

impl Reading {
    /// Reads lines until there are no more, or enough is known; what is left of an event is forgotten.
    fn read(&mut self, lines: impl Iterator<Item = io::Result<String>>, until: &AtomicU64) -> Result<()> {
        let mut event = Event::default();
        for line in lines {
            // A connection that breaks off is one more that ends.
            let Ok(line) = line else { return Ok(()) };
            if line.is_empty() {
                self.take(&std::mem::take(&mut event))?;
                if self.next >= until.load(Ordering::SeqCst) {
                    return Ok(());
                }
            } else if let Some(id) = line.strip_prefix("id: ") {
                event.id = Some(id.parse::<u64>().during(format!("the event id `{id}`"))?);
            } else if let Some(name) = line.strip_prefix("event: ") {
                name.clone_into(&mut event.name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                data.clone_into(&mut event.data);
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<()> {
        let Some(index) = event.id else { return Ok(()) };
        let behind = |what: &str| Err(Failure::new(format!("{what} {index} comes behind entry {}", self.next)));
        if event.name == "size" {
            let size = event.data.parse::<u64>().during(format!("the size `{}`", event.data))?;
            if size < self.next || size != index + 1 {
                return behind("a size with the id");
            }
            self.next = size;
            return Ok(());
        }
        if index < self.next {
            return behind("entry");
        }
        self.entries.push((index, Digest::of(event.data.as_bytes())));
        self.next = index + 1;
        Ok(())
    }

    /// Compares what was read with what there is.
    ///
    /// # Errors
    /// The first entry that is missing, or is another.
    pub fn compare(&self, ledger: &[Known]) -> Result<()> {
        let differs = self.entries.iter().zip(ledger).find(|(read, written)| read != written);
        match differs {
            Some(((read, _), (written, _))) if read == written => {
                Err(Failure::new(format!("entry {read} reads otherwise than it is written")))
            }
            Some(((read, _), (written, _))) => {
                Err(Failure::new(format!("entry {read} came where entry {written} belongs")))
            }
            None if self.entries.len() != ledger.len() => {
                Err(Failure::new(format!("{} entries came of {}", self.entries.len(), ledger.len())))
            }
            None => Ok(()),
        }
    }
}

/// How many entries the ledger has, as its checkpoint says.
///
/// # Errors
/// When there is none that can be read.
pub fn size_of(client: &Client) -> Result<u64> {
    let note = client.get_bytes("/checkpoint").during("read the checkpoint")?;
    let text = String::from_utf8_lossy(&note);
    let size = text.lines().nth(1).ok_or_else(|| Failure::new("the checkpoint has no second line"))?;
    size.parse::<u64>().during("the checkpoint's size")
}

/// Every entry of a stopped instance that is an event; leaves of attestations are none.
///
/// # Errors
/// When the ledger cannot be read.
pub fn written(home: &Path) -> Result<Vec<Known>> {
    let store = LocalStore::open_read_only(&home.join("data"), Options::default()).during("open the store")?;
    let size = store.head().during("read the ledger's head")?.size.0;
    let (mut all, mut next) = (Vec::new(), 0);
    while next < size {
        let page = store.entries(EntryIndex(next), PAGE).during("read entries")?;
        if page.is_empty() {
            return Err(Failure::new(format!("the ledger of {size} entries ends at {next}")));
        }
        for leaf in &page {
            if let Leaf::Entry(_) = Leaf::decode(leaf, &Limits::DEFAULT).during("decode an entry")? {
                all.push((next, Digest::of(leaf)));
            }
            next += 1;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reading: &mut Reading, text: &str) -> Result<()> {
        reading.read(text.lines().map(|line| Ok(line.to_owned())), &AtomicU64::new(u64::MAX))
    }

    fn entry(index: u64) -> String {
        format!("id: {index}\nevent: key.added\ndata: {{\"n\":{index}}}\n\n")
    }

    fn ledger(indices: &[u64]) -> Vec<Known> {
        indices.iter().map(|index| (*index, Digest::of(format!("{{\"n\":{index}}}").as_bytes()))).collect()
    }

    #[test]
    fn what_is_cut_off_is_read_again() {
        let mut reading = Reading::default();
        read(&mut reading, &format!("{}{}id: 2\nevent: key.added\ndata: {{\"n\"", entry(0), entry(1))).unwrap();
        assert_eq!((reading.next, reading.compare(&ledger(&[0, 1])).is_ok()), (2, true));
        // Entry 3 is no event, and the stream says how far it has come.
        read(&mut reading, &format!(": nothing yet\n\n{}id: 3\nevent: size\ndata: 4\n\n{}", entry(2), entry(4)))
            .unwrap();
        assert!(reading.compare(&ledger(&[0, 1, 2, 4])).is_ok());
    }

    #[test]
    fn gaps_repetitions_and_disorder_are_told() {
        let told = |text: &str, indices: &[u64]| {
            let mut reading = Reading::default();
            let error = read(&mut reading, text).and_then(|()| reading.compare(&ledger(indices)));
            error.unwrap_err().to_string()
        };
        let all = [entry(0), entry(1), entry(2)].concat();
        assert_eq!(told(&[entry(0), entry(2)].concat(), &[0, 1, 2]), "entry 2 came where entry 1 belongs");
        assert_eq!(told(&all, &[0, 1, 2, 3]), "3 entries came of 4");
        assert_eq!(told(&[entry(0), entry(0)].concat(), &[0]), "entry 0 comes behind entry 1");
        assert_eq!(told(&[entry(1), entry(0)].concat(), &[0, 1]), "entry 0 comes behind entry 2");
        assert_eq!(told(&all.replace("{\"n\":1}", "{}"), &[0, 1, 2]), "entry 1 reads otherwise than it is written");
        let size = "id: 3\nevent: size\ndata: 4\n\n";
        assert_eq!(told(&[size, &entry(1)].concat(), &[1]), "entry 1 comes behind entry 4");
        assert_eq!(told(&size.replace('4', "5"), &[]), "a size with the id 3 comes behind entry 0");
    }
}
