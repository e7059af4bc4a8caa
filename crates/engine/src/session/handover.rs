//! Hand-overs: one-time codes by which a session that a key opened on the command line goes on in a browser.
//!
//! A code is 256 random bits, kept in memory alone and only as a hash, good once and for a minute. What it opens is
//! worth no more than the session that it was made in: the same proof and time of sign-in, the same absolute end, and
//! nothing at all once that session has ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_model::{Digest, PersonId, Span, UnixMillis};

use super::{Proof, SignedIn, check_standing, next_index, open_until, sweep};
use crate::engine::Engine;
use crate::fault::{Fault, Kind};

/// How long a code can be claimed.
pub const TTL: Span = Span::from_secs(60);
/// How many codes may wait at the same time.
const WAITING_MAX: usize = 4096;

/// A session that waits to be claimed by a browser.
#[derive(Debug, Clone)]
struct Waiting {
    person: PersonId,
    proof: Proof,
    /// The hash of the token that it was made with.
    session: Digest,
    /// When that session ends at the latest.
    expires: UnixMillis,
    /// Until when the code can be claimed.
    until: UnixMillis,
}

/// Every code that can be claimed, by its hash.
#[derive(Debug, Default)]
pub struct Handovers(Mutex<HashMap<Digest, Waiting>>);

/// A new code.
pub struct Handover {
    /// The secret; shown once.
    pub code: String,
    /// Until when it can be claimed.
    pub until: UnixMillis,
}

/// Whose session a code hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Whose.
    pub person: PersonId,
    /// When that session ends at the latest.
    pub expires: UnixMillis,
}

impl Handovers {
    fn locked(&self) -> MutexGuard<'_, HashMap<Digest, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one; a session has one code at a time, so that nobody takes the place of others.
    fn insert(&self, code: Digest, waiting: Waiting, now: UnixMillis) -> Result<(), Fault> {
        let mut all = self.locked();
        all.retain(|_, other| other.until > now && other.session != waiting.session);
        if all.len() >= WAITING_MAX {
            return Err(Fault::new(Kind::Unavailable, "OVERLOADED", "too many sessions wait for their browsers")
                .hint("try again in a minute"));
        }
        all.insert(code, waiting);
        Ok(())
    }

    fn find(&self, code: &Digest, now: UnixMillis) -> Option<Waiting> {
        self.locked().get(code).filter(|waiting| waiting.until > now).cloned()
    }

    /// Takes one out, so that of two claims at the same moment one counts; another person's stays.
    fn take(&self, code: &Digest, person: &PersonId, now: UnixMillis) -> Option<Waiting> {
        let mut all = self.locked();
        match all.get(code).is_some_and(|waiting| waiting.until > now && waiting.person == *person) {
            true => all.remove(code),
            false => None,
        }
    }
}

/// One answer for every cause: unknown, used, late, another person's, or of a session that has ended.
fn invalid() -> Fault {
    Fault::new(
        Kind::Unauthenticated,
        "HANDOVER_INVALID",
        "this link opens nothing: it was used, is older than a minute, or its session has ended",
    )
    .hint("get another: `lockgate dashboard`")
}

/// Makes a code for the session of a token.
///
/// # Errors
/// `TOKEN_UNKNOWN` for tokens that are no session of a person, `OVERLOADED`, `RANDOM_FAILED`, or what the store says.
pub fn make(engine: &Engine, handovers: &Handovers, token: &str) -> Result<Handover, Fault> {
    let hash = engine.inner().token_hash(token);
    let now = engine.inner().clock.now();
    let held = engine.inner().sessions.find(engine.store(), &hash, token)?.ok_or_else(|| {
        Fault::new(Kind::Unauthenticated, "TOKEN_UNKNOWN", "this token is no session that a browser could go on in")
            .hint("sign in again: `lockgate login NAME`")
    })?;
    let mut bytes = [0u8; 32];
    engine.inner().entropy.fill(&mut bytes)?;
    let code = URL_SAFE_NO_PAD.encode(bytes);
    let until = now.plus(TTL).min(held.session.expires);
    let waiting = Waiting {
        person: held.session.subject,
        proof: held.proof,
        session: hash,
        expires: held.session.expires,
        until,
    };
    handovers.insert(Digest::of(code.as_bytes()), waiting, now)?;
    Ok(Handover { code, until })
}

/// Whose session a code hands over; the code stays good.
///
/// # Errors
/// `HANDOVER_INVALID`.
pub fn look(engine: &Engine, handovers: &Handovers, code: &str) -> Result<Offered, Fault> {
    let waiting = handovers.find(&Digest::of(code.as_bytes()), engine.inner().clock.now()).ok_or_else(invalid)?;
    Ok(Offered { person: waiting.person, expires: waiting.expires })
}

/// Claims a code for the person whom the browser showed: opens a further session with the proof of the first.
///
/// # Errors
/// `HANDOVER_INVALID`, the same for every cause; what the store says.
pub fn claim(engine: &Engine, handovers: &Handovers, code: &str, person: &PersonId) -> Result<SignedIn, Fault> {
    let now = engine.inner().clock.now();
    let waiting = handovers.take(&Digest::of(code.as_bytes()), person, now).ok_or_else(invalid)?;
    // What was lost before this moment must not be found again by way of a browser.
    sweep(engine)?;
    if waiting.expires <= now || !engine.inner().sessions.is_there(engine.store(), &waiting.session)? {
        return Err(invalid());
    }
    check_standing(&*engine.governance()?, &waiting.person, &waiting.proof, next_index(engine), now)
        .map_err(|error| Fault { context: Some(error.message), ..invalid() })?;
    open_until(engine, waiting.person, waiting.proof, waiting.expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Amr, Method};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn waiting(person: &str, session: &[u8]) -> Waiting {
        let proof =
            Proof { method: Method::Key, amr: Amr::SOFTWARE_KEY, auth_time: NOW, credential: Digest::of(b"key") };
        Waiting {
            person: person.parse().unwrap(),
            proof,
            session: Digest::of(session),
            expires: NOW.plus(Span::from_secs(3600)),
            until: NOW.plus(TTL),
        }
    }

    #[test]
    fn a_code_is_claimed_once_in_time_for_whom_it_is() {
        let handovers = Handovers::default();
        let (code, sam) = (Digest::of(b"code"), "sam".parse().unwrap());
        handovers.insert(code, waiting("sam", b"one"), NOW).unwrap();
        assert!(handovers.take(&Digest::of(b"other"), &sam, NOW).is_none());
        assert!(handovers.take(&code, &"dana".parse().unwrap(), NOW).is_none());
        assert!(handovers.take(&code, &sam, NOW.plus(TTL)).is_none(), "late");
        assert_eq!(handovers.find(&code, NOW).unwrap().person, sam);
        assert!(handovers.take(&code, &sam, NOW).is_some());
        assert!(handovers.take(&code, &sam, NOW).is_none(), "twice");
    }

    #[test]
    fn a_session_has_one_code_at_a_time_and_old_ones_leave() {
        let handovers = Handovers::default();
        for code in [b"first", b"other"] {
            handovers.insert(Digest::of(code), waiting("sam", b"one"), NOW).unwrap();
        }
        assert!(handovers.find(&Digest::of(b"first"), NOW).is_none());
        let mut late = waiting("dana", b"two");
        late.until = NOW.plus(TTL).plus(TTL);
        handovers.insert(Digest::of(b"later"), late, NOW.plus(TTL)).unwrap();
        assert_eq!(handovers.locked().len(), 1);
    }
}
