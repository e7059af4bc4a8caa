//! Uploads: who has sent which bytes, for those who may not read everything.
//!
//! Whoever knows a digest does not thereby know the bytes: a release can only be made of what its publisher has sent, or
//! may read (attack A-39 of `tests/attacks`). What is forgotten here, after a restart too, is sent again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use lockgate_model::{Digest, EntryIndex, PersonId};

/// How many uploads are remembered.
const REMEMBERED: usize = 65_536;

/// Who has sent which bytes. Pipelines of different CI trusts may act as one machine, and have sent what they sent each
/// for itself: `trust` is the one that a session is scoped by.
#[derive(Debug, Default)]
pub struct Uploads(Mutex<HashSet<(PersonId, Option<EntryIndex>, Digest)>>);

impl Uploads {
    /// Remembers that somebody has sent these bytes.
    pub fn remember(&self, person: &PersonId, trust: Option<EntryIndex>, digest: Digest) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert((person.clone(), trust, digest));
    }

    /// Whether somebody has sent these bytes, as far as is remembered.
    pub fn has(&self, person: &PersonId, trust: Option<EntryIndex>, digest: Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(person.clone(), trust, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_its_senders_own() {
        let (dana, sam): (PersonId, PersonId) = ("dana".parse().unwrap(), "sam".parse().unwrap());
        let uploads = Uploads::default();
        uploads.remember(&dana, None, Digest::of(b"a"));
        let known = |person, bytes: &[u8]| uploads.has(person, None, Digest::of(bytes));
        assert_eq!((known(&dana, b"a"), known(&sam, b"a"), known(&dana, b"b")), (true, false, false));
        let (ci, one, other) = ("ci".parse().unwrap(), Some(EntryIndex(7)), Some(EntryIndex(8)));
        uploads.remember(&ci, one, Digest::of(b"a"));
        let known = |trust| uploads.has(&ci, trust, Digest::of(b"a"));
        assert_eq!((known(one), known(other), known(None)), (true, false, false));
    }
}
