//! Sessions in memory: a request costs no read, and a full disk neither keeps anybody out nor keeps a session alive.
//!
//! Each session is also stored, so that a restart ends nobody's session. Where the store is full or read-only, a new
//! session lives in memory alone and ends with the process, and an ended one is remembered here until the store could
//! forget it.
//!
//! What ends or uses a session changes memory first and the store afterwards, without the lock that every request takes:
//! a store may wait for its disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_ledger::Governance;
use lockgate_model::{Digest, PersonId, UnixMillis};
use lockgate_policy::effective;
use lockgate_store::{Session, Store, StoreError};

use super::proof::Proof;
use crate::fault::Fault;

/// How many sessions are kept in memory.
const SESSIONS_CACHED: usize = 4096;

/// A session with how it began.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) session: Session,
    pub(super) proof: Proof,
    /// Whether it would survive a restart.
    pub(super) stored: bool,
}

/// What is to be forgotten by the store as soon as it can.
#[derive(Debug, Default)]
struct Ended {
    /// Single sessions, by the hash of their token, until they would have expired anyway.
    tokens: HashMap<Digest, UnixMillis>,
    /// All sessions of someone that began no later than this.
    people: BTreeMap<PersonId, UnixMillis>,
}

#[derive(Debug, Default)]
struct Inside {
    known: HashMap<Digest, Held>,
    ended: Ended,
    /// The governance state whose losses have ended their sessions.
    swept: Option<Arc<Governance>>,
    /// Whether a sweep or the time has ended sessions since the store was last told.
    untold: bool,
}

/// Sessions in memory.
#[derive(Debug, Default)]
pub struct SessionCache {
    inside: Mutex<Inside>,
    /// Held by whoever adds rows to the store or takes them away, and taken before `inside`: what begins meanwhile is
    /// then not lost, and what ends meanwhile not brought back.
    rows: Mutex<()>,
}

/// What the store has still to be told of sessions; until then, what is in memory counts.
#[derive(Debug)]
#[must_use]
pub(super) struct Untold {
    /// A session that was used, and when.
    used: Option<(Digest, UnixMillis)>,
    /// Whether a sweep or the time has ended sessions.
    ended: bool,
}

impl Untold {
    /// Whether a sweep or the time has ended sessions.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }
}

/// Whether an error means that nothing can be written now, and nothing worse.
fn cannot_write(error: &StoreError) -> bool {
    matches!(error, StoreError::Full(_) | StoreError::ReadOnly(_))
}

/// The row of a session. One that is not what was written is dropped, and whoever it was signs in again: nobody is kept
/// in, or out for good, by a damaged row.
fn stored(store: &dyn Store, hash: &Digest) -> Result<Option<Session>, Fault> {
    match store.session_by_hash(hash) {
        Err(StoreError::Corrupt(reason)) => {
            tracing::warn!(%reason, "a session is damaged, and ends");
            if let Err(error) = store.session_remove(hash) {
                // It counts no more in any case.
                tracing::warn!(%error, "a damaged session could not be removed");
            }
            Ok(None)
        }
        read => Ok(read?),
    }
}

impl SessionCache {
    fn locked(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, ()> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a new session. On a full or read-only disk it lives in memory alone.
    pub(super) fn insert(&self, store: &dyn Store, session: Session, proof: Proof) -> Result<(), Fault> {
        let _rows = self.rows();
        let stored = match store.session_insert(&session) {
            Ok(()) => true,
            Err(error) if cannot_write(&error) => {
                tracing::warn!(%error, "a session is kept in memory alone, and ends when the server does");
                false
            }
            Err(error) => return Err(error.into()),
        };
        let mut inside = self.locked();
        inside.make_room();
        inside.known.insert(session.token_hash, Held { session, proof, stored });
        Ok(())
    }

    /// Finds a session that has not been ended.
    pub(super) fn find(&self, store: &dyn Store, hash: &Digest, token: &str) -> Result<Option<Held>, Fault> {
        // Held while the store is read: a sign-out in between cannot be undone by what was read before it.
        let mut inside = self.locked();
        if let Some(held) = inside.known.get(hash) {
            return Ok(Some(held.clone()));
        }
        if inside.ended.tokens.contains_key(hash) {
            return Ok(None);
        }
        let Some(session) = stored(store, hash)? else { return Ok(None) };
        if inside.ended.people.get(&session.subject).is_some_and(|until| session.created <= *until) {
            return Ok(None);
        }
        // One that an earlier version began says nothing of how: it cannot be checked, so it counts no more.
        let Some(proof) = Proof::of_token(token) else { return Ok(None) };
        inside.make_room();
        let held = Held { session, proof, stored: true };
        inside.known.insert(*hash, held.clone());
        Ok(Some(held))
    }

    /// Whether a session has not been ended, for who knows the hash of its token alone.
    pub(super) fn is_there(&self, store: &dyn Store, hash: &Digest) -> Result<bool, Fault> {
        let inside = self.locked();
        if inside.known.contains_key(hash) {
            return Ok(true);
        }
        if inside.ended.tokens.contains_key(hash) {
            return Ok(false);
        }
        let Some(session) = stored(store, hash)? else { return Ok(false) };
        Ok(inside.ended.people.get(&session.subject).is_none_or(|until| session.created > *until))
    }

    /// Notes that a session was used, if one was, and gives what the store has to be told by [`Self::tell`].
    pub(super) fn note(&self, used: Option<Digest>, now: UnixMillis) -> Option<Untold> {
        let mut inside = self.locked();
        let used = used.filter(|hash| inside.touch(hash, now)).map(|hash| (hash, now));
        let ended = std::mem::take(&mut inside.untold);
        (used.is_some() || ended).then_some(Untold { used, ended })
    }

    /// Tells the store what it has not been told; it may wait for its disk meanwhile. Failures are logged: what is in
    /// memory counts, and [`Self::tidy`] tells the store again what it has to forget.
    pub(super) fn tell(&self, store: &dyn Store, untold: Untold) {
        if let Some((hash, now)) = untold.used
            && let Err(error) = store.session_touch(&hash, now)
        {
            // After a restart the session may end early.
            tracing::warn!(%error, "the last use of a session could not be stored");
        }
        if untold.ended
            && let Err(error) = self.settle(store)
        {
            tracing::warn!(%error, "ended sessions could not be removed from the store; it is tried again");
        }
    }

    /// The sessions of someone that were used since the server started.
    pub(super) fn of(&self, person: &PersonId) -> Vec<Held> {
        let inside = self.locked();
        inside.known.values().filter(|held| held.session.subject == *person).cloned().collect()
    }

    /// Ends one session. A disk that cannot be written delays only how soon the store forgets it.
    pub(super) fn end(&self, store: &dyn Store, hash: &Digest, until: UnixMillis) -> Result<(), Fault> {
        let mut inside = self.locked();
        inside.known.remove(hash);
        inside.ended.tokens.insert(*hash, until);
        drop(inside);
        let _rows = self.rows();
        match store.session_remove(hash) {
            Ok(_) => {
                self.locked().ended.tokens.remove(hash);
                Ok(())
            }
            Err(error) if cannot_write(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends one session that has expired, in memory alone, so that no request waits for a disk: [`Self::note`] and
    /// [`Self::tidy`] see to the store.
    pub(super) fn expire(&self, hash: &Digest, until: UnixMillis) {
        let mut inside = self.locked();
        inside.known.remove(hash);
        inside.ended.tokens.insert(*hash, until);
        inside.untold = true;
    }

    /// Ends every session of someone, and counts those that were in memory.
    pub(super) fn end_all(&self, store: &dyn Store, person: &PersonId, now: UnixMillis) -> Result<usize, Fault> {
        let ended = self.locked().end_all(person, now);
        let rows = self.rows();
        match self.forget(store, person, &rows) {
            Ok(()) => Ok(ended),
            Err(error) if cannot_write(&error) => Ok(ended),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the sessions of everyone who lost a permission, or is not there any more, since the last look. In memory
    /// alone, so that no request waits for a disk: [`Self::note`] and [`Self::tidy`] see to the store.
    ///
    /// INVARIANT (a loss ends sessions at once): this runs before a session is believed. `newest` is read under the
    /// lock, so that whoever comes late does not take an older state for a newer one, and end what has begun since.
    ///
    /// # Errors
    /// That of `newest`.
    pub(super) fn sweep(
        &self,
        newest: impl FnOnce() -> Result<Arc<Governance>, Fault>,
        now: UnixMillis,
    ) -> Result<(), Fault> {
        let mut inside = self.locked();
        let governance = newest()?;
        let Some(before) = inside.swept.replace(governance.clone()) else { return Ok(()) };
        if Arc::ptr_eq(&before, &governance) {
            return Ok(());
        }
        for person in before.people().map(|(id, _)| id).filter(|id| lost_something(id, &before, &governance)) {
            inside.end_all(person, now);
            inside.untold = true;
        }
        Ok(())
    }

    /// Forgets what has expired, and lets the store forget what it could not before.
    pub(super) fn tidy(&self, store: &dyn Store, now: UnixMillis) -> Result<(), Fault> {
        let mut inside = self.locked();
        inside.known.retain(|_, held| held.session.expires > now);
        inside.ended.tokens.retain(|_, until| *until > now);
        drop(inside);
        Ok(self.settle(store)?)
    }

    /// Lets the store forget what has ended and is still there.
    fn settle(&self, store: &dyn Store) -> Result<(), StoreError> {
        let rows = self.rows();
        let hashes: Vec<Digest> = self.locked().ended.tokens.keys().copied().collect();
        for hash in hashes {
            store.session_remove(&hash)?;
            self.locked().ended.tokens.remove(&hash);
        }
        let people: Vec<PersonId> = self.locked().ended.people.keys().cloned().collect();
        for person in people {
            self.forget(store, &person, &rows)?;
        }
        Ok(())
    }

    /// Removes the rows of someone whose sessions have ended in memory; `_rows` is held, so that none is added meanwhile.
    fn forget(&self, store: &dyn Store, person: &PersonId, _rows: &MutexGuard<'_, ()>) -> Result<(), StoreError> {
        store.sessions_remove_for(person)?;
        let mut inside = self.locked();
        inside.ended.people.remove(person);
        // A session that began since is in memory, and is stored again. One that is ended while that is done is marked as
        // ended anew, and its row goes when that is told.
        let of_person = inside.known.values().filter(|held| held.session.subject == *person && held.stored);
        let began: Vec<Session> = of_person.map(|held| held.session.clone()).collect();
        drop(inside);
        for session in began {
            if let Err(error) = store.session_insert(&session) {
                tracing::warn!(%error, "a session is kept in memory alone, and ends when the server does");
                if let Some(held) = self.locked().known.get_mut(&session.token_hash) {
                    held.stored = false;
                }
            }
        }
        Ok(())
    }
}

/// Whether somebody had a permission somewhere that they do not have there any more. One whose scope was written anew
/// counts as lost: comparing patterns by what they could match is not worth a session.
fn lost_something(id: &PersonId, before: &Governance, now: &Governance) -> bool {
    let held = |governance: &Governance| {
        let person = governance.person(id).filter(|person| !person.is_suspended());
        person.map(|person| effective(&governance.policy, id, &person.groups)).unwrap_or_default()
    };
    let now = held(now);
    held(before).iter().any(|had| {
        !now.iter().any(|has| {
            has.permission == had.permission
                && (has.services.is_none() || has.services == had.services)
                && (has.environments.is_none() || has.environments == had.environments)
        })
    })
}

impl Inside {
    /// Notes that a session was used, once a minute for each, because a read must not cost a write; `true` where the
    /// store has to be told.
    fn touch(&mut self, hash: &Digest, now: UnixMillis) -> bool {
        let Some(held) = self.known.get_mut(hash) else { return false };
        if now.since(held.session.last_used).secs() < 60 {
            return false;
        }
        held.session.last_used = now;
        held.stored
    }

    /// Ends every session of someone, and counts those that were in memory.
    fn end_all(&mut self, person: &PersonId, now: UnixMillis) -> usize {
        let had = self.known.len();
        self.known.retain(|_, held| held.session.subject != *person);
        self.ended.people.insert(person.clone(), now);
        had - self.known.len()
    }

    /// Lets go of the longest unused session when there are too many; one that is stored is read again when it is used.
    fn make_room(&mut self) {
        if self.known.len() < SESSIONS_CACHED {
            return;
        }
        let oldest = |stored: bool| {
            let of_kind = self.known.values().filter(move |held| held.stored == stored);
            of_kind.min_by_key(|held| held.session.last_used).map(|held| held.session.token_hash)
        };
        if let Some(hash) = oldest(true).or_else(|| oldest(false)) {
            self.known.remove(&hash);
        }
    }
}
