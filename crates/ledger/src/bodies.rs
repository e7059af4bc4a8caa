//! Bodies: the bytes that entries name by digest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use lockgate_model::Digest;

/// Where bodies (manifests, evidence, policy sets, facts, decisions, approval documents) come from.
///
/// The source is not trusted with content: what it returns has been hashed, or is hashed by [`BodyMap`].
pub trait Bodies {
    /// The bytes whose digest is `digest`, or `None` when the source does not have them.
    ///
    /// # Errors
    /// [`BodyError`] when the source has bytes under that name, but cannot read them or they hash to another digest.
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError>;

    /// The same bytes for reading once, from the first to the last, so that a large body need not fit into memory.
    ///
    /// What was read may be used only after the last byte has been read without an error: [`with_reader`] sees to that.
    ///
    /// # Errors
    /// As [`Bodies::body`]; the reader itself fails where the bytes are found to be others.
    fn body_reader(&self, digest: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
        Ok(self.body(digest)?.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read + '_>))
    }
}

/// Why a body cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The bytes under this name are others.
    #[error("the bytes stored as {expected} hash to {found}")]
    DigestMismatch {
        /// The name.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// What is there does not read, now or later.
    #[error("cannot read {0}: {1}")]
    Unreadable(Digest, String),
    /// The source failed; another time it may answer.
    #[error("cannot reach {0}: {1}")]
    Unreachable(Digest, String),
    /// Nothing is stored under this name.
    #[error("the body {0} is missing")]
    Missing(Digest),
}

impl BodyError {
    /// What a failed read says: a reader that has compared the bytes with their name says [`io::ErrorKind::InvalidData`].
    pub fn of_read(digest: &Digest, kind: io::ErrorKind, why: String) -> Self {
        match kind {
            io::ErrorKind::InvalidData => Self::Unreadable(*digest, why),
            _ => Self::Unreachable(*digest, why),
        }
    }
}

/// Reads a body that must be there.
///
/// # Errors
/// [`BodyError::Missing`] too.
pub fn required<'a>(bodies: &'a dyn Bodies, digest: &Digest) -> Result<Cow<'a, [u8]>, BodyError> {
    bodies.body(digest)?.ok_or(BodyError::Missing(*digest))
}

/// Hands a body that must be there to `read`, and reads what is left of it, so that all of it has been verified.
///
/// # Errors
/// [`BodyError::Missing`], and [`BodyError::Unreadable`] or [`BodyError::Unreachable`] when any part could not be read,
/// whatever `read` made of it.
pub fn with_reader<T>(
    bodies: &dyn Bodies,
    digest: &Digest,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> Result<T, BodyError> {
    let inner = bodies.body_reader(digest)?.ok_or(BodyError::Missing(*digest))?;
    let mut watched = Watched { inner, fault: None };
    let value = read(&mut watched);
    let rest = io::copy(&mut watched, &mut io::sink());
    match (watched.fault, rest) {
        (None, Ok(_)) => Ok(value),
        (Some((kind, why)), _) => Err(BodyError::of_read(digest, kind, why)),
        (None, Err(error)) => Err(BodyError::of_read(digest, error.kind(), error.to_string())),
    }
}

/// A reader that remembers that it failed: who reads through it may take the failure for a document that ends early.
struct Watched<'a> {
    inner: Box<dyn Read + 'a>,
    fault: Option<(io::ErrorKind, String)>,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into);
        if let Err(error) = &count
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.fault.get_or_insert_with(|| (error.kind(), error.to_string()));
        }
        count
    }
}

/// Bodies in memory, as a bundle carries them.
///
/// INVARIANT (a body is its digest): every value hashes to its key, because `insert` computes the key, and whoever calls
/// `insert_hashed` has.
#[derive(Debug, Clone, Default)]
pub struct BodyMap(BTreeMap<Digest, Vec<u8>>);

impl BodyMap {
    /// Adds bytes and returns their name.
    pub fn insert(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.insert_hashed(digest, bytes);
        digest
    }

    /// Adds bytes under a name that the caller has computed from them.
    pub(crate) fn insert_hashed(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.0.insert(digest, bytes);
    }

    /// Every body, in order of digest.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, &Vec<u8>)> {
        self.0.iter()
    }
}

impl Bodies for BodyMap {
    fn body(&self, digest: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
        Ok(self.0.get(digest).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields its parts one by one; what fails, fails once.
    struct Parts(Vec<Result<&'static [u8], io::ErrorKind>>);

    impl Read for Parts {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let mut part = self.0.remove(0)?;
            part.read(into)
        }
    }

    struct One(Vec<Result<&'static [u8], io::ErrorKind>>);

    impl Bodies for One {
        fn body(&self, _: &Digest) -> Result<Option<Cow<'_, [u8]>>, BodyError> {
            Ok(None)
        }
        fn body_reader(&self, _: &Digest) -> Result<Option<Box<dyn Read + '_>>, BodyError> {
            Ok(Some(Box::new(Parts(self.0.clone()))))
        }
    }

    #[test]
    fn what_was_read_counts_only_when_all_of_it_was() {
        let name = Digest::of(b"a boat");
        let first = |reader: &mut dyn Read| {
            let mut bytes = [0u8; 2];
            reader.read(&mut bytes).map(|count| count == 2).unwrap_or(false)
        };
        let check = |parts: Vec<Result<&'static [u8], io::ErrorKind>>, expected: Result<bool, BodyError>| {
            assert_eq!(with_reader(&One(parts), &name, first), expected);
        };
        check(vec![Ok(b"a "), Ok(b"boat")], Ok(true));
        check(vec![Ok(b"a")], Ok(false));
        // The last bytes are others than the name says: what was made of the first is not believed.
        check(
            vec![Ok(b"a "), Err(io::ErrorKind::InvalidData)],
            Err(BodyError::Unreadable(name, "invalid data".to_owned())),
        );
        // What failed while it was read does not count, though the rest could be read again.
        check(
            vec![Err(io::ErrorKind::TimedOut), Ok(b"boat")],
            Err(BodyError::Unreachable(name, "timed out".to_owned())),
        );
        check(vec![Ok(b"a "), Err(io::ErrorKind::Interrupted), Ok(b"boat")], Ok(true));
    }

    #[test]
    fn bodies_in_memory_are_read_as_they_are() {
        let mut bodies = BodyMap::default();
        let name = bodies.insert(b"a boat".to_vec());
        let text = |reader: &mut dyn Read| {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text).unwrap()
        };
        assert_eq!(with_reader(&bodies, &name, text).unwrap(), "a boat");
        let other = Digest::of(b"a goat");
        assert_eq!(with_reader(&bodies, &other, text), Err(BodyError::Missing(other)));
    }
}
