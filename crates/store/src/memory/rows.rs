//! Ledger, streams, projections and sessions of the memory store.

use std::ops::Bound;

use lockgate_model::{Digest, EntryIndex, PersonId, StreamName, UnixMillis};

use super::{MemoryStore, Spoil};
use crate::{
    Batch, Head, LedgerStore, ProjectionStore, Reply, Result, Session, SessionStore, StoreError, StreamHead,
    StreamStore,
};

/// A number as a position; beyond every position when it does not fit.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The same with another first byte.
fn flipped(bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
    bytes.map(|mut bytes| {
        bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        bytes
    })
}

impl LedgerStore for MemoryStore {
    fn head(&self) -> Result<Head> {
        Ok(self.read(|state| state.head()))
    }

    fn commit(&self, batch: &Batch) -> Result<()> {
        self.write(|state| {
            state.check(batch)?;
            state.apply(batch);
            Ok(())
        })
    }

    fn entry(&self, index: EntryIndex) -> Result<Option<Vec<u8>>> {
        Ok(self.read_spoilt(|state, spoil| {
            let entry = state.entries.get(place(index.0)).cloned();
            if spoil == Spoil::EntryChanged(index) { flipped(entry) } else { entry }
        }))
    }

    fn entries(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>> {
        Ok(self.read_spoilt(|state, spoil| {
            let page = state.entries.iter().skip(place(first.0)).take(most).zip(first.0..);
            let read = |(entry, index): (&Vec<u8>, u64)| match spoil {
                Spoil::EntryChanged(spoilt) if spoilt.0 == index => flipped(Some(entry.clone())),
                _ => Some(entry.clone()),
            };
            page.filter_map(read).collect()
        }))
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        self.read_spoilt(|state, spoil| {
            let tile = state.tiles.get(&(level, index)).cloned();
            match spoil {
                Spoil::TilesFail => Err(StoreError::Io("tiles cannot be read, on purpose".to_owned())),
                Spoil::TileChanged if (level, index) == (0, 0) => Ok(flipped(tile)),
                _ => Ok(tile),
            }
        })
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read(|state| state.checkpoint.clone()))
    }

    fn checkpoint_put(&self, note: &[u8]) -> Result<()> {
        self.write(|state| {
            state.checkpoint = Some(note.to_vec());
            Ok(())
        })
    }

    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.read_spoilt(|state, spoil| {
            if spoil == Spoil::DocumentFails(*digest) {
                return Err(StoreError::Io("a document cannot be read, on purpose".to_owned()));
            }
            let known = state.documents.get(digest).cloned();
            Ok(known.filter(|_| spoil != Spoil::DocumentLost(*digest)))
        })
    }
}

/// The newest entry of a stream, given all of them.
fn newest(entries: &[EntryIndex]) -> Option<StreamHead> {
    let seq = (entries.len() as u64).checked_sub(1)?;
    entries.last().map(|index| StreamHead { seq, index: *index })
}

impl StreamStore for MemoryStore {
    fn stream_head(&self, name: &StreamName) -> Result<Option<StreamHead>> {
        Ok(self.read(|state| state.streams.get(name.as_str()).and_then(|entries| newest(entries))))
    }

    fn stream_page(&self, name: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>> {
        Ok(self.read(|state| {
            let entries = state.streams.get(name.as_str()).into_iter().flatten().copied();
            (0u64..).zip(entries).skip(place(from_seq)).take(most).collect()
        }))
    }

    fn stream_page_newest(
        &self,
        name: &StreamName,
        before_seq: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, EntryIndex)>> {
        Ok(self.read(|state| {
            let entries = state.streams.get(name.as_str()).into_iter().flatten().copied();
            let until = before_seq.map_or(usize::MAX, place);
            let mut page: Vec<(u64, EntryIndex)> = (0u64..).zip(entries).take(until).collect();
            page.reverse();
            page.truncate(most);
            page
        }))
    }

    fn stream_heads(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<(StreamName, StreamHead)>> {
        self.read(|state| {
            state
                .streams
                .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(prefix))
                .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
                .filter_map(|(name, entries)| newest(entries).map(|head| (name, head)))
                .take(most)
                .map(|(text, head)| match text.parse::<StreamName>() {
                    Ok(name) => Ok((name, head)),
                    Err(_) => Err(StoreError::Corrupt(format!("`{text}` is not a stream name"))),
                })
                .collect()
        })
    }
}

impl ProjectionStore for MemoryStore {
    fn projection(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read(|state| state.projections.get(kind).and_then(|rows| rows.get(key)).cloned()))
    }

    fn projections(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(self.read(|state| {
            let rows = state.projections.get(kind).into_iter().flatten();
            rows.filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
                .take(most)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        }))
    }

    fn reply(&self, key: &str) -> Result<Option<Reply>> {
        Ok(self.read(|state| state.replies.get(key).cloned()))
    }

    fn replies_expire(&self, before: UnixMillis) -> Result<u64> {
        self.write(|state| {
            let had = state.replies.len();
            state.replies.retain(|_, reply| reply.at >= before);
            Ok((had - state.replies.len()) as u64)
        })
    }
}

impl SessionStore for MemoryStore {
    fn session_insert(&self, session: &Session) -> Result<()> {
        self.write(|state| {
            if state.sessions.contains_key(&session.token_hash) {
                return Err(StoreError::Conflict {
                    expected: "no session for this token".to_owned(),
                    found: "a session for this token".to_owned(),
                });
            }
            state.sessions.insert(session.token_hash, session.clone());
            Ok(())
        })
    }

    fn session_by_hash(&self, token_hash: &Digest) -> Result<Option<Session>> {
        Ok(self.read(|state| state.sessions.get(token_hash).cloned()))
    }

    fn session_touch(&self, token_hash: &Digest, last_used: UnixMillis) -> Result<bool> {
        self.write(|state| {
            let Some(session) = state.sessions.get_mut(token_hash) else { return Ok(false) };
            session.last_used = session.last_used.max(last_used);
            Ok(true)
        })
    }

    fn session_remove(&self, token_hash: &Digest) -> Result<bool> {
        self.write(|state| Ok(state.sessions.remove(token_hash).is_some()))
    }

    fn sessions_remove_for(&self, subject: &PersonId) -> Result<u64> {
        self.write(|state| {
            let had = state.sessions.len();
            state.sessions.retain(|_, session| session.subject != *subject);
            Ok((had - state.sessions.len()) as u64)
        })
    }

    fn sessions_expire(&self, before: UnixMillis) -> Result<u64> {
        self.write(|state| {
            let had = state.sessions.len();
            state.sessions.retain(|_, session| session.expires >= before);
            Ok((had - state.sessions.len()) as u64)
        })
    }
}
