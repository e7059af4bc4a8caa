//! Reading a file and hashing it on a thread of its own, while what was read before is being sent.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use lockgate_model::{Digest, Hasher};

/// How much is read at a time, in bytes.
const BLOCK: usize = 256 * 1024;
/// How many blocks may wait to be sent.
const WAITING: usize = 4;

/// A reader whose bytes have been hashed before they come out.
pub struct HashedRead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    back: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
    sent: u64,
    thread: JoinHandle<Hasher>,
}

impl HashedRead {
    /// Starts to read ahead.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(from: impl Read + Send + 'static) -> io::Result<Self> {
        let (to, blocks) = sync_channel(WAITING);
        let (back, free) = channel();
        let thread = thread::Builder::new().name("hash".to_owned()).spawn(move || read_ahead(from, &to, &free))?;
        Ok(Self { blocks, back, block: Vec::new(), at: 0, sent: 0, thread })
    }

    /// The digest of all that was read, and how many bytes came out.
    pub fn finish(self) -> (Digest, u64) {
        let Self { blocks, thread, sent, .. } = self;
        // Ends a thread that still waits to hand a block over; the count then tells that not all was sent.
        drop(blocks);
        (thread.join().map(Hasher::finish).unwrap_or_else(|_| Digest::of(b"")), sent)
    }
}

fn read_ahead(mut from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>, free: &Receiver<Vec<u8>>) -> Hasher {
    let mut hasher = Hasher::new();
    loop {
        let mut block = free.try_recv().unwrap_or_default();
        block.clear();
        let read = from.by_ref().take(BLOCK as u64).read_to_end(&mut block);
        hasher.update(&block);
        let done = read.as_ref().map_or(true, |count| *count == 0);
        if to.send(read.map(|_| block)).is_err() || done {
            return hasher;
        }
    }
}

impl Read for HashedRead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            // The sender ends after an empty block: the end of the file.
            let Ok(next) = self.blocks.recv() else { return Ok(0) };
            // The reading thread may have ended; then nobody wants the buffer.
            let _ = self.back.send(std::mem::replace(&mut self.block, next?));
            self.at = 0;
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let count = rest.read(into)?;
        self.at += count;
        self.sent += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size: usize) {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let mut reader = HashedRead::start(io::Cursor::new(bytes.clone())).unwrap();
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        assert_eq!(out, bytes);
        assert_eq!(reader.finish(), (Digest::of(&bytes), size as u64));
    }

    #[test]
    fn what_comes_out_is_what_went_in_and_what_was_hashed() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 7 * BLOCK + 3] {
            check(size);
        }
    }

    #[test]
    fn a_reader_that_fails_fails_here() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut reader = HashedRead::start(Broken).unwrap();
        assert!(reader.read(&mut [0; 8]).is_err());
    }

    #[test]
    fn giving_up_half_way_ends_the_thread() {
        let mut reader = HashedRead::start(io::repeat(7)).unwrap();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 8);
        assert_eq!(reader.finish().1, 8);
    }
}
