//! Sessions: signing in with an SSH key. A session can read and request; it can never approve.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_model::digest::hex;
use lockgate_model::{Digest, EntryIndex, PersonId, Span, UnixMillis};
use lockgate_store::Session;
use serde::Serialize;

use crate::engine::Engine;
use crate::fault::{Fault, Kind};

/// The SSHSIG namespace of sign-in challenges.
pub const NAMESPACE: &str = "sign-in.v1@lockgate.dev";
/// How long a challenge may be answered.
const CHALLENGE_TTL: Span = Span::from_secs(120);
/// How long a session may be idle.
pub const IDLE: Span = Span::from_secs(30 * 60);
/// How long a session may last.
pub const ABSOLUTE: Span = Span::from_secs(12 * 3600);
/// How many sessions are kept in memory.
const SESSIONS_CACHED: usize = 4096;
/// How many challenges may be open.
const CHALLENGES_MAX: usize = 4096;

/// What is signed to sign in.
#[derive(Debug, Serialize)]
pub struct ChallengeDocument<'a> {
    /// Always `https://lockgate.dev/sign-in/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// Who signs in.
    pub person: &'a PersonId,
    /// The server's random challenge.
    pub challenge: &'a str,
}

impl<'a> ChallengeDocument<'a> {
    /// The document for these fields.
    pub fn new(ledger: &'a str, person: &'a PersonId, challenge: &'a str) -> Self {
        Self { schema: "https://lockgate.dev/sign-in/v1", ledger, person, challenge }
    }
}

/// Open challenges; each is answered once, by the person it was made for.
#[derive(Debug, Default)]
pub struct Challenges(Mutex<HashMap<String, (PersonId, UnixMillis)>>);

/// Sessions in memory: a request costs no read. Each is also stored, so that a restart ends nobody's session.
#[derive(Debug, Default)]
pub struct SessionCache(Mutex<HashMap<Digest, Session>>);

impl SessionCache {
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, engine: &Engine, hash: &Digest) -> Result<Option<Session>, Fault> {
        // Held while the store is read: a sign-out in between cannot be undone by what was read before it.
        let mut known = self.locked();
        if let Some(session) = known.get(hash) {
            return Ok(Some(session.clone()));
        }
        let Some(session) = engine.store().session_by_hash(hash)? else { return Ok(None) };
        if known.len() >= SESSIONS_CACHED {
            known.clear();
        }
        known.insert(session.token_hash, session.clone());
        Ok(Some(session))
    }

    fn touch(&self, hash: &Digest, now: UnixMillis) {
        if let Some(session) = self.locked().get_mut(hash) {
            session.last_used = now;
        }
    }
}

/// A new session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The secret; shown once, stored only as a hash.
    pub token: String,
    /// Whose.
    pub person: PersonId,
    /// Until when at the latest.
    pub expires: UnixMillis,
}

/// Makes a challenge. It is made for unknown names too, so that an answer does not tell who is enrolled.
///
/// # Errors
/// `OVERLOADED` when too many are open, or when the generator fails.
pub fn challenge(engine: &Engine, challenges: &Challenges, person: PersonId) -> Result<String, Fault> {
    let mut bytes = [0u8; 32];
    engine.inner().entropy.fill(&mut bytes)?;
    let text = hex(&bytes);
    let now = engine.inner().clock.now();
    let mut open = challenges.0.lock().unwrap_or_else(PoisonError::into_inner);
    if open.len() >= CHALLENGES_MAX {
        open.retain(|_, (_, until)| *until > now);
    }
    if open.len() >= CHALLENGES_MAX {
        return Err(Fault::new(
            Kind::Unavailable,
            "OVERLOADED",
            "too many sign-ins are open; try again in two minutes",
        ));
    }
    open.insert(text.clone(), (person, now.plus(CHALLENGE_TTL)));
    Ok(text)
}

/// Answers a challenge with a signature by an enrolled key.
///
/// # Errors
/// `SIGN_IN_FAILED`, the same for every cause, so that nothing is told about who is enrolled.
pub fn sign_in(
    engine: &Engine,
    challenges: &Challenges,
    person: &PersonId,
    challenge: &str,
    signature: &str,
) -> Result<SignedIn, Fault> {
    let failed = |context: &str| Fault {
        context: Some(context.to_owned()),
        ..Fault::new(
            Kind::Unauthenticated,
            "SIGN_IN_FAILED",
            "sign-in failed: the name, the key or the challenge does not fit",
        )
        .hint("sign in with a key that is enrolled for that name: `lockgate login NAME`")
    };
    let now = engine.inner().clock.now();
    let known = challenges.0.lock().unwrap_or_else(PoisonError::into_inner).remove(challenge);
    match known {
        Some((named, until)) if named == *person && until > now => {}
        _ => return Err(failed("the challenge is unknown, used, expired or another person's")),
    }
    let governance = engine.governance()?;
    let document = ChallengeDocument::new(governance.origin(), person, challenge);
    let document = lockgate_ledger::governance::document_bytes(&document)?;
    // Sign-in asks whether the key is good now: after every entry so far.
    let next = EntryIndex(engine.published().head.size.0);
    governance
        .verify_signature(person, signature, NAMESPACE, &document, next)
        .map_err(|error| failed(&error.message))?;
    let mut bytes = [0u8; 32];
    engine.inner().entropy.fill(&mut bytes)?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let expires = now.plus(ABSOLUTE);
    let session = Session {
        token_hash: Digest::of(token.as_bytes()),
        subject: person.clone(),
        created: now,
        last_used: now,
        expires,
    };
    engine.store().session_insert(&session)?;
    Ok(SignedIn { token, person: person.clone(), expires })
}

/// Who a token belongs to.
///
/// # Errors
/// `TOKEN_UNKNOWN` or `TOKEN_EXPIRED`.
pub fn authenticate(engine: &Engine, token: &str) -> Result<PersonId, Fault> {
    let hash = Digest::of(token.as_bytes());
    let now = engine.inner().clock.now();
    let cache = &engine.inner().sessions;
    let session = cache.find(engine, &hash)?.ok_or_else(|| {
        Fault::new(Kind::Unauthenticated, "TOKEN_UNKNOWN", "this token is not known here")
            .hint("sign in again: `lockgate login NAME`")
    })?;
    if session.expires <= now || session.last_used.plus(IDLE) <= now {
        return Err(Fault::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the session has ended")
            .hint("sign in again: `lockgate login NAME`"));
    }
    // Written at most once a minute: a read must not cost a write.
    if now.since(session.last_used).secs() >= 60 {
        engine.store().session_touch(&hash, now)?;
        cache.touch(&hash, now);
    }
    match engine.governance()?.person(&session.subject) {
        Some(person) if person.keys.iter().any(|key| key.invalid_from.is_none()) => Ok(session.subject),
        _ => Err(Fault::new(Kind::Unauthenticated, "KEY_REVOKED", "no key of this person counts any more")),
    }
}

/// Ends every session of a person: after one of their keys was revoked, whoever signed in with it is out.
///
/// # Errors
/// What the store says.
pub fn sign_out_everywhere(engine: &Engine, person: &PersonId) -> Result<(), Fault> {
    let mut known = engine.inner().sessions.locked();
    engine.store().sessions_remove_for(person)?;
    known.retain(|_, session| session.subject != *person);
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// What the store says.
pub fn sign_out(engine: &Engine, token: &str) -> Result<(), Fault> {
    let hash = Digest::of(token.as_bytes());
    let mut known = engine.inner().sessions.locked();
    engine.store().session_remove(&hash)?;
    known.remove(&hash);
    Ok(())
}
