//! Hashing a blob while it is written: on the calling thread while it is small, on a thread of its own once it is large.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use lockgate_model::{Digest, Hasher};
use lockgate_store::{Result, StoreError};

/// From how many bytes on a blob is hashed on a thread of its own.
const BESIDE_FROM_BYTES: u64 = 1024 * 1024;

/// How many pieces may wait for the hashing thread.
const PIECES_WAITING: usize = 4;

/// The hash of the pieces so far.
pub(crate) enum Hashing {
    /// On the calling thread.
    Here { hasher: Hasher, bytes: u64 },
    /// On a thread of its own.
    Beside(Beside),
    /// Finished, or given up after an error.
    Ended,
}

/// A hashing thread. Dropping its sending end ends it.
pub(crate) struct Beside {
    to: SyncSender<Arc<Vec<u8>>>,
    back: Receiver<Arc<Vec<u8>>>,
    thread: JoinHandle<Hasher>,
}

impl Hashing {
    pub(crate) fn new() -> Self {
        Self::Here { hasher: Hasher::new(), bytes: 0 }
    }

    /// Adds a piece. Returns before the piece is hashed when a thread does that.
    ///
    /// # Errors
    /// `Io` when no thread can be started or it has stopped.
    pub(crate) fn update(&mut self, piece: &Arc<Vec<u8>>) -> Result<()> {
        if let Self::Here { bytes, .. } = self
            && *bytes >= BESIDE_FROM_BYTES
        {
            self.move_beside()?;
        }
        match self {
            Self::Here { hasher, bytes } => {
                hasher.update(piece);
                *bytes = bytes.saturating_add(piece.len() as u64);
                Ok(())
            }
            Self::Beside(beside) => beside.to.send(Arc::clone(piece)).map_err(|_| stopped()),
            Self::Ended => Err(stopped()),
        }
    }

    /// A buffer to fill next: one that the hashing thread has given back, or `piece` itself, or a new one.
    pub(crate) fn recycle(&self, piece: Arc<Vec<u8>>) -> Vec<u8> {
        let free = match self {
            Self::Beside(beside) => {
                // The writer is done with the piece; the hashing thread may still read it, and sends it back later.
                drop(piece);
                beside.back.try_recv().ok()
            }
            Self::Here { .. } | Self::Ended => Some(piece),
        };
        let mut buffer = free.and_then(|free| Arc::try_unwrap(free).ok()).unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Ends the hash.
    ///
    /// # Errors
    /// `Io` when the hashing thread has stopped.
    pub(crate) fn finish(self) -> Result<Digest> {
        match self {
            Self::Here { hasher, .. } => Ok(hasher.finish()),
            Self::Beside(Beside { to, back: _back, thread }) => {
                drop(to);
                Ok(thread.join().map_err(|_| stopped())?.finish())
            }
            Self::Ended => Err(stopped()),
        }
    }

    fn move_beside(&mut self) -> Result<()> {
        let Self::Here { hasher, .. } = std::mem::replace(self, Self::Ended) else { return Err(stopped()) };
        let (to, pieces) = sync_channel(PIECES_WAITING);
        let (give_back, back) = channel();
        let spawned =
            thread::Builder::new().name("blob-hash".to_owned()).spawn(move || hash(hasher, &pieces, &give_back));
        let thread = spawned.map_err(|error| StoreError::Io(format!("cannot start a hashing thread: {error}")))?;
        *self = Self::Beside(Beside { to, back, thread });
        Ok(())
    }
}

/// Hashes pieces until the sender is gone.
fn hash(mut hasher: Hasher, pieces: &Receiver<Arc<Vec<u8>>>, give_back: &Sender<Arc<Vec<u8>>>) -> Hasher {
    while let Ok(piece) = pieces.recv() {
        hasher.update(&piece);
        // The writer may have given up; then nobody wants the buffer.
        let _ = give_back.send(piece);
    }
    hasher
}

fn stopped() -> StoreError {
    StoreError::Io("the hashing of a blob has stopped: send the blob again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: usize, size: usize) {
        let mut hashing = Hashing::new();
        let mut expected = Hasher::new();
        let mut buffer = Vec::new();
        for number in 0..pieces {
            buffer.resize(size, number as u8);
            expected.update(&buffer);
            let piece = Arc::new(buffer);
            hashing.update(&piece).unwrap();
            buffer = hashing.recycle(piece);
            assert!(buffer.is_empty());
        }
        assert_eq!(matches!(hashing, Hashing::Beside(_)), pieces * size > BESIDE_FROM_BYTES as usize);
        assert_eq!(hashing.finish().unwrap(), expected.finish());
    }

    #[test]
    fn hashes_the_same_on_either_thread() {
        check(0, 0);
        check(3, 1000);
        check(4, 262_144);
        check(5, 262_144);
        check(100, 100_000);
    }

    #[test]
    fn giving_up_ends_the_thread() {
        let mut hashing = Hashing::new();
        for _ in 0..3 {
            hashing.update(&Arc::new(vec![0; 1024 * 1024])).unwrap();
        }
        let Hashing::Beside(Beside { to, back, thread }) = hashing else { panic!("the blob is large") };
        drop(back);
        drop(to);
        thread.join().unwrap();
    }
}
