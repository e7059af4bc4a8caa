//! Sessions: signing in, and what a session is worth. A session can read and request; it can never approve.
//!
//! INVARIANT (a session is worth what opened it): every request looks again, in the governance state of that moment,
//! whether the key or bound identity that opened the session still counts, and whether its person still may what they
//! might. There is no list of revoked sessions that could be late.

mod cache;
pub mod handover;
pub mod proof;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_ledger::{ApplyError, Governance, identity};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, PersonId, RoleName, Span, UnixMillis};
use lockgate_policy::effective;
use lockgate_sign::ssh::SshSignature;
use lockgate_store::Session;
use serde::Serialize;

use crate::ci::{self, Scope};
use crate::engine::Engine;
use crate::fault::{Fault, Kind};

pub use cache::SessionCache;
use cache::{Held, Untold};
pub use proof::{Amr, Method, Proof};

pub use crate::challenge::Challenges;

/// The SSHSIG namespace of sign-in challenges.
pub const NAMESPACE: &str = "sign-in.v1@lockgate.dev";
/// What challenges to sign in with a key are made for.
const PURPOSE: &str = "ssh";
/// How long a session may be idle.
pub const IDLE: Span = Span::from_secs(30 * 60);
/// How long a session may last.
pub const ABSOLUTE: Span = Span::from_secs(12 * 3600);

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

/// A new session.
#[derive(Clone)]
pub struct SignedIn {
    /// The secret; shown once, stored only as a hash.
    pub token: String,
    /// The person or machine that has signed in.
    pub person: PersonId,
    /// When the session ends at the latest, in milliseconds; unused it ends earlier, after [`IDLE`].
    pub expires: UnixMillis,
}

/// Who calls, and what their session rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person or machine that calls.
    pub person: PersonId,
    /// How they proved it.
    pub proof: Proof,
    /// Which session: the first digits of the hash of its token, which is no secret.
    pub session: String,
    /// What the session is good for, where that is less than what its person or machine may do.
    pub scope: Option<Scope>,
}

/// One session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The first digits of the hash of its token, as in [`Caller::session`].
    pub id: String,
    /// How it began.
    pub proof: Proof,
    /// When it began.
    pub created: UnixMillis,
    /// When it was last used, give or take a minute.
    pub last_used: UnixMillis,
    /// When it ends at the latest.
    pub expires: UnixMillis,
    /// Whether it would survive a restart of the server.
    pub stored: bool,
}

/// Makes a challenge. It is made for unknown names too, so that an answer does not tell who is enrolled.
///
/// # Errors
/// `RANDOM_FAILED`.
pub fn challenge(engine: &Engine, challenges: &Challenges, person: PersonId) -> Result<String, Fault> {
    challenges.issue(&*engine.inner().entropy, engine.inner().clock.now(), PURPOSE, person.as_str())
}

/// A sign-in that failed: one answer for every cause, so that nothing is told about who is enrolled.
pub(crate) fn failed(context: impl Into<String>) -> Fault {
    Fault {
        context: Some(context.into()),
        ..Fault::new(
            Kind::Unauthenticated,
            "SIGN_IN_FAILED",
            "sign-in failed: the name, the key or the challenge does not fit",
        )
        .hint("sign in with a key that is enrolled for that name: `lockgate login NAME`")
    }
}

/// Answers a challenge with a signature by an enrolled key: SSH key, security key or passkey.
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
    let now = engine.inner().clock.now();
    let spent = || failed("the challenge is unknown, used, expired or another person's");
    if !challenges.is_open(challenge, PURPOSE, person.as_str(), now) {
        return Err(spent());
    }
    let governance = engine.governance()?;
    let document = ChallengeDocument::new(governance.origin(), person, challenge);
    let document = lockgate_ledger::governance::document_bytes(&document)?;
    // Sign-in asks whether the key is good now: after every entry so far.
    governance
        .verify_signature(person, signature, NAMESPACE, &document, next_index(engine))
        .map_err(|error| failed(error.message))?;
    let signature = SshSignature::parse_armored(signature).map_err(|error| failed(error.to_string()))?;
    let fingerprint = signature.public_key().fingerprint();
    governance.check_counts(person, &fingerprint, next_index(engine), now).map_err(|error| failed(error.message))?;
    if !challenges.answer(challenge, PURPOSE, person.as_str(), now) {
        return Err(spent());
    }
    let credential = Digest::of(signature.public_key().wire());
    let proof = Proof { method: Method::Key, amr: strength(&signature), auth_time: now, credential };
    open(engine, person.clone(), proof)
}

/// Opens a session for whoever an account of an identity provider is bound to. Its token was verified by the caller.
///
/// INVARIANT (accounts are compared whole): the person is found by issuer and subject, and by nothing else that a
/// token says.
///
/// # Errors
/// `IDENTITY_UNBOUND` when it is bound to nobody who counts.
pub fn sign_in_by_account(
    engine: &Engine,
    issuer: &str,
    subject: &str,
    amr: Amr,
    auth_time: UnixMillis,
) -> Result<SignedIn, Fault> {
    let now = engine.inner().clock.now();
    let credential = identity::credential(issuer, subject);
    let governance = engine.governance()?;
    let person = governance.identity_owner(&credential, now).cloned().ok_or_else(|| {
        Fault::new(Kind::Unauthenticated, "IDENTITY_UNBOUND", "this account is bound to nobody here")
            .hint("bind it once, signed with your own key: `lockgate login NAME --bind-oidc`")
    })?;
    let proof = Proof { method: Method::Oidc, amr, auth_time: auth_time.min(now), credential };
    open(engine, person, proof)
}

/// How strong a verified signature is: what a security key or passkey says beside it is signed too.
fn strength(signature: &SshSignature) -> Amr {
    match signature.presence() {
        None => Amr::SOFTWARE_KEY,
        Some(presence) if presence.user_verified => Amr::HARDWARE_KEY.and(Amr::USER_VERIFIED),
        Some(_) => Amr::HARDWARE_KEY,
    }
}

/// Opens a session for someone who has proven who they are.
///
/// # Errors
/// What the store says, except that it is full: then the session lives in memory.
pub(crate) fn open(engine: &Engine, person: PersonId, proof: Proof) -> Result<SignedIn, Fault> {
    let expires = engine.inner().clock.now().plus(ABSOLUTE);
    open_until(engine, person, proof, expires)
}

/// Opens a session as [`open`] does, which ends at `expires` at the latest.
fn open_until(engine: &Engine, person: PersonId, proof: Proof, expires: UnixMillis) -> Result<SignedIn, Fault> {
    let mut bytes = [0u8; 32];
    engine.inner().entropy.fill(&mut bytes)?;
    let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(bytes), proof.encode());
    let now = engine.inner().clock.now();
    let session = Session {
        token_hash: engine.inner().token_hash(&token),
        subject: person.clone(),
        created: now,
        last_used: now,
        expires,
    };
    // What was lost before this moment must not end what begins now.
    sweep(engine)?;
    engine.inner().sessions.insert(engine.store(), session, proof)?;
    lockgate_failpoint::point("session.opened");
    Ok(SignedIn { token, person, expires })
}

/// Who a token belongs to; notes that it was used.
///
/// # Errors
/// As [`caller`].
pub fn authenticate(engine: &Engine, token: &str) -> Result<PersonId, Fault> {
    caller(engine, token).map(|caller| caller.person)
}

/// Who a token belongs to and how they proved it; notes that it was used.
///
/// # Errors
/// `TOKEN_UNKNOWN`, `TOKEN_EXPIRED`, or `KEY_REVOKED` when what opened the session counts no more.
pub fn caller(engine: &Engine, token: &str) -> Result<Caller, Fault> {
    let (caller, unsaved) = caller_unsaved(engine, token);
    if let Some(unsaved) = unsaved {
        unsaved.save(engine);
    }
    caller
}

/// As [`caller`], without waiting for the store where something has to be written: a thread that must not wait for a disk
/// hands that to another.
pub fn caller_unsaved(engine: &Engine, token: &str) -> (Result<Caller, Fault>, Option<Unsaved>) {
    let caller = look(engine, token);
    let used = caller.is_ok().then(|| engine.inner().token_hash(token));
    let unsaved = engine.inner().sessions.note(used, engine.inner().clock.now()).map(Unsaved);
    (caller, unsaved)
}

/// What the store has still to be told of sessions: that one was used, or that some have ended. Until then, what is in
/// memory counts. Where it is never saved, a restart may end a session early, and [`tidy`] makes up for the rest.
// A wrapper, because `cache` is private, and what it has is not for other crates.
#[derive(Debug)]
#[must_use]
pub struct Unsaved(Untold);

impl Unsaved {
    /// Whether sessions have ended, which a restart must not bring back.
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Tells the store; waits for it. Failures are logged.
    pub fn save(self, engine: &Engine) {
        engine.inner().sessions.tell(engine.store(), self.0);
    }
}

/// Who a token belongs to, as by [`caller`], without noting that it was used: for streams that are open, which nobody
/// uses by leaving them open.
///
/// # Errors
/// As [`caller`].
pub fn look(engine: &Engine, token: &str) -> Result<Caller, Fault> {
    let hash = engine.inner().token_hash(token);
    let now = engine.inner().clock.now();
    if let Some(pipeline) = ci::caller(engine, token)? {
        let (proof, scope) = (pipeline.proof(), Some(pipeline.scope));
        return Ok(Caller { person: pipeline.machine, proof, session: id_of(&hash), scope });
    }
    sweep(engine)?;
    let unknown = || {
        Fault::new(Kind::Unauthenticated, "TOKEN_UNKNOWN", "this token is not known here, or its session was ended")
            .hint("sign in again: `lockgate login NAME`")
    };
    let held = engine.inner().sessions.find(engine.store(), &hash, token)?.ok_or_else(unknown)?;
    if held.session.expires <= now || held.session.last_used.plus(IDLE) <= now {
        // For good: a clock that is set back later, or that another start begins with, does not bring it back.
        engine.inner().sessions.expire(&hash, now.plus(ABSOLUTE));
        return Err(Fault::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the session has ended")
            .hint("sign in again: `lockgate login NAME`"));
    }
    let (person, proof) = (&held.session.subject, &held.proof);
    check_standing(&*engine.governance()?, person, proof, next_index(engine), now).map_err(|error| {
        // Whoever asks is told, because they hold the token: it is about themselves.
        Fault::new(Kind::Unauthenticated, error.code, error.message)
            .hint("sign in with a key that counts: `lockgate login NAME --key FILE`")
    })?;
    Ok(Caller { person: held.session.subject, proof: held.proof, session: id_of(&hash), scope: None })
}

/// Checks that what opened a session still counts.
fn check_standing(
    governance: &Governance,
    person: &PersonId,
    proof: &Proof,
    next: EntryIndex,
    now: UnixMillis,
) -> Result<(), ApplyError> {
    match proof.method {
        Method::Key if lockgate_failpoint::planted("session-outlives-key") => Ok(()),
        Method::Key => governance.check_counts(person, &proof.fingerprint(), next, now),
        Method::Oidc if governance.identity_owner(&proof.credential, now) == Some(person) => Ok(()),
        Method::Oidc => Err(ApplyError::new(
            "KEY_REVOKED",
            "the account that opened this session is bound to nobody who counts any more".to_owned(),
        )),
    }
}

fn next_index(engine: &Engine) -> EntryIndex {
    EntryIndex(engine.published().head.size.0)
}

fn sweep(engine: &Engine) -> Result<(), Fault> {
    engine.inner().sessions.sweep(|| engine.governance(), engine.inner().clock.now())
}

fn id_of(hash: &Digest) -> String {
    hash.hex().chars().take(16).collect()
}

/// Whether the active policy set demands a second factor of this person, and their session has none.
///
/// # Errors
/// `MFA_REQUIRED`.
pub fn check_factors(governance: &Governance, caller: &Caller) -> Result<(), Fault> {
    let Some(person) = governance.person(&caller.person) else { return Ok(()) };
    // A machine has no second factor; its own token is short-lived and scoped instead.
    if person.kind == SubjectKind::Machine || caller.proof.amr.is_multi_factor() {
        return Ok(());
    }
    let held = effective(&governance.policy, &caller.person, &person.groups);
    let roles: Vec<RoleName> = held.into_iter().map(|effective| effective.because.role).collect();
    match governance.policy.settings().sign_in.mfa.is_for(&roles) {
        false => Ok(()),
        true => Err(Fault::new(
            Kind::Unauthenticated,
            "MFA_REQUIRED",
            "the policy set demands a second factor of you for anything beyond reading",
        )
        .hint(
            "sign in with a passkey or a security key that asks for a PIN or fingerprint, or through your identity \
             provider with a second factor",
        )),
    }
}

/// The sessions of someone that were used since the server started, newest first.
///
/// A session that nobody has used since then is not listed; [`sign_out_everywhere`] ends it too.
pub fn list(engine: &Engine, person: &PersonId) -> Vec<SessionView> {
    let now = engine.inner().clock.now();
    let view = |held: Held| SessionView {
        id: id_of(&held.session.token_hash),
        proof: held.proof,
        created: held.session.created,
        last_used: held.session.last_used,
        expires: held.session.expires.min(held.session.last_used.plus(IDLE)),
        stored: held.stored,
    };
    let mut views: Vec<SessionView> = engine.inner().sessions.of(person).into_iter().map(view).collect();
    views.retain(|view| view.expires > now);
    views.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    views
}

/// Ends one session of someone, by the id that [`list`] gives.
///
/// # Errors
/// `SESSION_UNKNOWN`, or what the store says.
pub fn end(engine: &Engine, person: &PersonId, id: &str) -> Result<(), Fault> {
    let cache = &engine.inner().sessions;
    let held = cache.of(person).into_iter().find(|held| id_of(&held.session.token_hash) == id).ok_or_else(|| {
        Fault::not_found("SESSION_UNKNOWN", format!("`{person}` has no session `{id}` that was used lately"))
            .hint("`lockgate session list` lists them; `lockgate session end --all` ends every one")
    })?;
    cache.end(engine.store(), &held.session.token_hash, held.session.expires)
}

/// Ends every session of a person, those that nobody has used since the server started included; counts the others.
///
/// # Errors
/// `NAME_RESERVED`, or what the store says, except that it is full: then the sessions have ended all the same.
pub fn sign_out_everywhere(engine: &Engine, person: &PersonId) -> Result<usize, Fault> {
    ci::check_name(person)?;
    let exchanged = ci::sign_out_everywhere(engine, person);
    let ended = engine.inner().sessions.end_all(engine.store(), person, engine.inner().clock.now())?;
    Ok(ended.saturating_add(exchanged))
}

/// Ends a session.
///
/// # Errors
/// What the store says, except that it is full: then the session has ended all the same.
pub fn sign_out(engine: &Engine, token: &str) -> Result<(), Fault> {
    if ci::sign_out(engine, token) {
        return Ok(());
    }
    let now = engine.inner().clock.now();
    engine.inner().sessions.end(engine.store(), &engine.inner().token_hash(token), now.plus(ABSOLUTE))
}

/// Ends what governance took away and what has expired, here and in the store.
///
/// # Errors
/// What the store says.
pub fn tidy(engine: &Engine) -> Result<(), Fault> {
    // Before entry 0 nobody has a session.
    if engine.published().governance.is_some() {
        sweep(engine)?;
    }
    let now = engine.inner().clock.now();
    engine.inner().sessions.tidy(engine.store(), now)?;
    engine.store().sessions_expire(now)?;
    Ok(())
}
