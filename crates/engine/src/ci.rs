//! CI identity: a pipeline's own token, exchanged for one of a quarter of an hour that is good for its services alone.
//!
//! INVARIANT (a pipeline's token is good once): before a token is exchanged, its `jti` is written down, durably, until
//! the token has ended by itself. A restart forgets every session that came of one, and none of these marks.
//!
//! INVARIANT (a pipeline is scoped): what it may do is the least of what its machine's roles permit, what pipelines may
//! do at all ([`ROUTES`]), and the services of its trust, looked up in the governance state of each request.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_ledger::Event;
use lockgate_ledger::ci_trust::{CiTrusted, CiUntrusted};
use lockgate_model::{Digest, EntryIndex, Hasher, PersonId, PromotionId, ServiceName, Span, UnixMillis};
use lockgate_sign::jwks::Jwks;
use lockgate_sign::jwt::{Claims, Expected, JwtError, Unverified, verify};
use lockgate_store::{Session, StoreError};

use crate::authorise::{BLOB_OF, promotion_unknown};
use crate::change;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::issuer::Issuers;
use crate::people::{append, not_you};
use crate::reader;
use crate::sequencer::Submission;
use crate::session::{Amr, Method, Proof};

/// How far an issuer's clock may be off.
pub const SKEW: Span = Span::from_secs(30);
/// How long an exchanged token counts.
pub const TTL: Span = Span::from_secs(900);
/// The routes that an exchanged token opens, by name: what a pipeline needs to push and to ask, and, where its machine
/// has the permission `feeds`, to record what the world knows. `approve` is refused by a reason of its own.
pub const ROUTES: [&str; 11] = [
    "whoami",
    "sign-out",
    "blob-put",
    "blob-head",
    "publish",
    "attest",
    "promote",
    "why",
    "bundle",
    "grant",
    "feed-update",
];

/// How every exchanged token begins, so that it is never looked for among the sessions of people.
const PREFIX: &str = "lgci_";
/// How many exchanged tokens may be in use.
const SESSIONS_MAX: usize = 16_384;
/// The longest `jti`, in bytes.
const TOKEN_ID_MAX_BYTES: usize = 512;
/// How many refusals of one issuer's tokens in an hour are an alert.
const ALERT_AT: u32 = 3;
/// Whose the marks of used tokens are in the session store; they are no session, see [`mark_of`]. Nobody has this name,
/// see [`check_name`].
const MARKS: &str = "ci-token";

/// What an exchanged token stands for.
#[derive(Debug, Clone)]
struct CiSession {
    machine: PersonId,
    trust: EntryIndex,
    began: UnixMillis,
    expires: UnixMillis,
}

/// Exchanged tokens that count, by their hash, and how many tokens of each issuer were refused this hour.
#[derive(Debug, Default)]
pub struct CiSessions {
    known: Mutex<HashMap<Digest, CiSession>>,
    refused: Mutex<HashMap<String, (u64, u32)>>,
}

impl CiSessions {
    fn locked(&self) -> MutexGuard<'_, HashMap<Digest, CiSession>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refused token of a trusted issuer; `true` when that is worth an alert.
    fn count(&self, issuer: &str, now: UnixMillis) -> bool {
        let hour = now.secs() / 3600;
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, (at, _)| *at == hour);
        let (_, count) = refused.entry(issuer.to_owned()).or_insert((hour, 0));
        *count = count.saturating_add(1);
        *count == ALERT_AT
    }
}

/// A fresh token for a pipeline.
#[derive(Clone)]
pub struct Exchanged {
    /// The secret; shown once, kept only as a hash.
    pub token: String,
    /// Whom the pipeline acts as.
    pub machine: PersonId,
    /// Which services it may act on.
    pub services: Vec<ServiceName>,
    /// When it ends, in milliseconds.
    pub expires: UnixMillis,
}

/// Who calls with an exchanged token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiCaller {
    /// The machine.
    pub machine: PersonId,
    /// When the token was exchanged.
    pub began: UnixMillis,
    /// What the token is good for.
    pub scope: Scope,
}

impl CiCaller {
    /// What the session rests on, in the words of sessions: a token of an issuer, and no key.
    pub fn proof(&self) -> Proof {
        let credential = Digest::of(format!("ci-trust:{}", self.scope.trust).as_bytes());
        Proof { method: Method::Oidc, amr: Amr::default(), auth_time: self.began, credential }
    }
}

/// What a scoped session is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The trust that it comes of.
    pub trust: EntryIndex,
    /// The services.
    pub services: Vec<ServiceName>,
}

/// Whether a session reaches a service; one without a scope reaches as far as its roles.
pub fn scope_allows(scope: Option<&Scope>, service: &ServiceName) -> bool {
    scope.is_none_or(|scope| scope.services.contains(service))
}

impl Scope {
    /// Whether a route may be called at all.
    ///
    /// # Errors
    /// `SOD_ROBOT` for approvals, `TOKEN_SCOPE` for everything else that pipelines do not do.
    pub fn check_route(&self, name: &str) -> Result<(), Fault> {
        if name == "approve" {
            return Err(Fault::new(Kind::Denied, "SOD_ROBOT", "a pipeline pushes and asks; people approve"));
        }
        match ROUTES.contains(&name) {
            true => Ok(()),
            false => Err(Fault::new(
                Kind::NotPermitted,
                "TOKEN_SCOPE",
                "a pipeline's token is for pushing, handing in evidence, asking, and reading what came of it",
            )),
        }
    }

    /// Whether something may be done about a service. The answer is the same whether or not the service exists.
    ///
    /// # Errors
    /// `TOKEN_SCOPE`.
    pub fn check_service(&self, service: &ServiceName) -> Result<(), Fault> {
        match scope_allows(Some(self), service) {
            true => Ok(()),
            false => {
                let services: Vec<&str> = self.services.iter().map(ServiceName::as_str).collect();
                Err(Fault::new(
                    Kind::NotPermitted,
                    "TOKEN_SCOPE",
                    format!("this pipeline's token is not for `{service}`"),
                )
                .hint(format!("it is for {}; `lockgate ci trust list` shows every trust", services.join(", "))))
            }
        }
    }

    /// Whether a promotion may be read: one of another service does not exist for this token.
    ///
    /// # Errors
    /// `PROMOTION_UNKNOWN`.
    pub fn check_promotion(&self, engine: &Engine, promotion: PromotionId) -> Result<(), Fault> {
        let release = reader::release_of(engine.store(), promotion)?;
        match scope_allows(Some(self), &release.service) {
            true => Ok(()),
            false => Err(promotion_unknown(promotion)),
        }
    }

    /// Whether bytes belong to a service of this token. A digest is no secret, so knowing one gives no right to the bytes
    /// of other services, whatever the machine's roles let it read (attacks of `tests/attacks`).
    ///
    /// # Errors
    /// What the store says.
    pub fn holds_blob(&self, engine: &Engine, digest: &Digest) -> Result<bool, Fault> {
        let prefix = format!("{digest}/");
        let rows = reader::projections_under(engine.store(), BLOB_OF, &prefix)?;
        let ours = |(key, _): &(String, Vec<u8>)| {
            let service = key.strip_prefix(&prefix).and_then(|name| name.parse::<ServiceName>().ok());
            service.is_some_and(|service| self.services.contains(&service))
        };
        Ok(rows.iter().any(ours))
    }
}

/// Checks that a name is not the one under which used tokens are marked: ending the sessions of somebody who had it
/// would forget the marks, and with them which tokens were used.
///
/// # Errors
/// `NAME_RESERVED`.
pub(crate) fn check_name(name: &PersonId) -> Result<(), Fault> {
    match name.as_str() == MARKS {
        false => Ok(()),
        true => Err(Fault::invalid("NAME_RESERVED", format!("`{MARKS}` is a name that the server uses itself"))
            .hint("choose another name")),
    }
}

/// Trusts pipelines, or proposes it where the quorum of the policy set takes more signatures.
///
/// # Errors
/// `NOT_PERMITTED` when the signer is not who is signed in, `NAME_RESERVED`; the rest comes with the receipt.
pub fn trust(by: &PersonId, event: CiTrusted) -> Result<Submission, Fault> {
    check_name(&event.machine)?;
    match event.by == *by {
        true => Ok(change::submit(by.clone(), Event::CiTrusted(event), Vec::new())),
        false => Err(not_you(&event.by, by)),
    }
}

/// Ends a trust; tokens that came of it count no more from then on.
///
/// # Errors
/// As [`trust`].
pub fn untrust(by: &PersonId, event: CiUntrusted) -> Result<Submission, Fault> {
    match event.by == *by {
        true => Ok(append(by.clone(), Event::CiUntrusted(event))),
        false => Err(not_you(&event.by, by)),
    }
}

/// Exchanges a pipeline's token.
///
/// # Errors
/// `TOKEN_MALFORMED`, `TOKEN_KEY_UNTRUSTED`, `TOKEN_ISSUER`, `TOKEN_AUDIENCE`, `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`,
/// `TOKEN_LIFETIME` or `TOKEN_REPLAYED`; `SUBJECT_ID_MISMATCH` when it is a good token of a pipeline that nobody
/// trusts; `ISSUER_UNREACHABLE`.
pub fn exchange(engine: &Engine, issuers: &Issuers, token: &str) -> Result<Exchanged, Fault> {
    if is_own(token) {
        return Err(Fault::new(Kind::Unauthenticated, "TOKEN_AUDIENCE", "this is a token of this server itself")
            .hint("hand in the token that the CI system issued to the job"));
    }
    let now = engine.inner().clock.now();
    let unverified = Unverified::parse(token).map_err(refusal)?;
    let issuer = unverified.issuer().unwrap_or_default().to_owned();
    let governance = engine.governance()?;
    let trusts: Vec<(EntryIndex, CiTrusted)> = governance
        .ci_trusts()
        .filter(|(_, trust)| trust.issuer == issuer)
        .map(|(index, trust)| (index, trust.clone()))
        .collect();
    let Some((_, first)) = trusts.first() else { return Err(refusal(JwtError::Issuer)) };
    let keys = issuers.keys(&issuer, first.jwks_url.as_deref(), unverified.kid(), now)?;
    let result = admit(engine, token, &trusts, &keys, now);
    if let Err(fault) = &result
        && engine.inner().ci.count(&issuer, now)
    {
        tracing::warn!(event = "ci.alert", %issuer, code = fault.code, "several tokens of this issuer were refused");
    }
    result
}

fn admit(
    engine: &Engine,
    token: &str,
    trusts: &[(EntryIndex, CiTrusted)],
    keys: &Jwks,
    now: UnixMillis,
) -> Result<Exchanged, Fault> {
    let (audience, claims) = verified(token, trusts, keys, now)?;
    let (trust, trusted) = chosen(trusts, &audience, &claims).ok_or_else(|| {
        tracing::warn!(event = "ci.alert", issuer = claims.issuer(), subject = claims.subject(), "no such pipeline");
        Fault::new(Kind::Denied, "SUBJECT_ID_MISMATCH", "no pipeline with these ids is trusted here")
            .hint("names are not enough: `lockgate ci trust list` shows which ids are trusted for which services")
    })?;
    let governance = engine.governance()?;
    if governance.person(&trusted.machine).is_none_or(|machine| machine.is_suspended()) {
        return Err(Fault::new(Kind::Denied, "PERSON_SUSPENDED", format!("`{}` is suspended", trusted.machine)));
    }
    // From here on this token is spent, whatever happens.
    spend(engine, &claims, now)?;
    open(engine, trust, trusted, now)
}

/// Verifies the token for the audience that it has among those of its issuer's trusts.
fn verified(
    token: &str,
    trusts: &[(EntryIndex, CiTrusted)],
    keys: &Jwks,
    now: UnixMillis,
) -> Result<(String, Claims), Fault> {
    let audiences: BTreeSet<&str> = trusts.iter().map(|(_, trust)| trust.audience.as_str()).collect();
    let mut outcome = JwtError::Issuer;
    for audience in audiences {
        let issuer = trusts.first().map(|(_, trust)| trust.issuer.as_str()).unwrap_or_default();
        match verify(token, keys, &Expected { issuer, audience, now, skew: SKEW }) {
            Ok(claims) => return Ok((audience.to_owned(), claims)),
            Err(error @ JwtError::Audience(_)) => outcome = error,
            Err(error) => return Err(refusal(error)),
        }
    }
    Err(refusal(outcome))
}

/// The trust that fits with the most claims; of equals, the earliest.
fn chosen<'a>(
    trusts: &'a [(EntryIndex, CiTrusted)],
    audience: &str,
    claims: &Claims,
) -> Option<(EntryIndex, &'a CiTrusted)> {
    let fits = |trust: &CiTrusted| {
        trust.audience == audience && trust.claims.iter().all(|(name, wanted)| claims.is(name, wanted))
    };
    let fitting = trusts.iter().filter(|(_, trust)| fits(trust));
    fitting.max_by_key(|(index, trust)| (trust.claims.len(), Reverse(*index))).map(|(index, trust)| (*index, trust))
}

/// Writes down that a token was used, once and for as long as it could be used again.
fn spend(engine: &Engine, claims: &Claims, now: UnixMillis) -> Result<(), Fault> {
    let id = claims.token_id().filter(|id| !id.is_empty() && id.len() <= TOKEN_ID_MAX_BYTES);
    let id =
        id.ok_or_else(|| refusal(JwtError::Malformed("it has no `jti`, so that it could be used twice".into())))?;
    let subject: PersonId =
        MARKS.parse().map_err(|_| Fault::new(Kind::Bug, "NAME_INVALID", format!("`{MARKS}` is not a name")))?;
    let mark = Session {
        token_hash: mark_of(claims.issuer().unwrap_or_default(), id),
        subject,
        created: now,
        last_used: now,
        expires: claims.expires_at().plus(SKEW).plus(SKEW),
    };
    match engine.store().session_insert(&mark) {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict { .. }) => {
            Err(Fault::new(Kind::Unauthenticated, "TOKEN_REPLAYED", "this token was exchanged before")
                .hint("a job's token is good once; ask the CI system for another"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the mark of a used token stands in the session store.
///
/// It is the hash of bytes that begin with `ff`. A session is found by the hash of a text, and no text has that byte,
/// so that a mark is never anybody's session.
fn mark_of(issuer: &str, id: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0xff]);
    for part in [issuer, id] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

fn open(engine: &Engine, trust: EntryIndex, trusted: &CiTrusted, now: UnixMillis) -> Result<Exchanged, Fault> {
    let mut bytes = [0u8; 32];
    engine.inner().entropy.fill(&mut bytes)?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let expires = now.plus(TTL);
    let session = CiSession { machine: trusted.machine.clone(), trust, began: now, expires };
    let mut known = engine.inner().ci.locked();
    if known.len() >= SESSIONS_MAX {
        known.retain(|_, session| session.expires > now);
    }
    if known.len() >= SESSIONS_MAX {
        return Err(Fault::new(Kind::Unavailable, "OVERLOADED", "too many pipelines are signed in; try again later"));
    }
    known.insert(Digest::of(token.as_bytes()), session);
    Ok(Exchanged { token, machine: trusted.machine.clone(), services: trusted.services.clone(), expires })
}

/// Who calls with this token, when it is one that was exchanged here; nothing for tokens of people.
///
/// # Errors
/// `TOKEN_UNKNOWN` (also after a restart), `TOKEN_EXPIRED`, or `CI_TRUST_ENDED`.
pub fn caller(engine: &Engine, token: &str) -> Result<Option<CiCaller>, Fault> {
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    let ended = |code: &'static str, message: &str| {
        Fault::new(Kind::Unauthenticated, code, message).hint("exchange a new token: `lockgate login --ci`")
    };
    let hash = Digest::of(token.as_bytes());
    let session = engine.inner().ci.locked().get(&hash).cloned();
    let session = session.ok_or_else(|| ended("TOKEN_UNKNOWN", "this token is not known here, or was forgotten"))?;
    if session.expires <= engine.inner().clock.now() {
        engine.inner().ci.locked().remove(&hash);
        return Err(ended("TOKEN_EXPIRED", "the token has ended"));
    }
    match engine.governance()?.ci_trust(session.trust) {
        Some(trust) if trust.machine == session.machine => Ok(Some(CiCaller {
            machine: session.machine,
            began: session.began,
            scope: Scope { trust: session.trust, services: trust.services.clone() },
        })),
        _ => Err(ended("CI_TRUST_ENDED", "the trust that this token came of counts no more")),
    }
}

/// Ends every exchanged token of a machine, and counts them.
pub fn sign_out_everywhere(engine: &Engine, machine: &PersonId) -> usize {
    let mut known = engine.inner().ci.locked();
    let before = known.len();
    known.retain(|_, session| session.machine != *machine);
    before.saturating_sub(known.len())
}

/// Ends an exchanged token; `false` when it is none.
pub fn sign_out(engine: &Engine, token: &str) -> bool {
    token.starts_with(PREFIX) && {
        engine.inner().ci.locked().remove(&Digest::of(token.as_bytes()));
        true
    }
}

/// Whether a text looks like a token that this server makes: a secret of 32 bytes, maybe with more behind it.
fn is_own(token: &str) -> bool {
    let secret = token.split('.').next().unwrap_or_default();
    let secret = secret.strip_prefix(PREFIX).unwrap_or(secret);
    token.matches('.').count() < 2 && URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == 32)
}

fn refusal(error: JwtError) -> Fault {
    let hint = match &error {
        JwtError::Malformed(_) => "hand in the token as the CI system issued it",
        JwtError::KeyUntrusted(_) | JwtError::KeyUnknown => {
            "only keys that the trusted issuer publishes count; nothing in a token names others"
        }
        JwtError::Issuer => "`lockgate ci trust list` shows the issuers; they are compared byte for byte",
        JwtError::Audience(_) | JwtError::Type => "ask the CI system for a token with exactly the trusted audience",
        JwtError::Expired | JwtError::NotYetValid | JwtError::Lifetime => {
            "ask the CI system for a new token just before it is needed"
        }
    };
    Fault::new(Kind::Unauthenticated, error.code(), error.to_string()).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_nobodys_session() {
        assert_ne!(mark_of("https://a", "bc"), mark_of("https://ab", "c"));
        assert_eq!(mark_of("https://a", "b"), mark_of("https://a", "b"));
    }

    #[test]
    fn a_scope_is_its_services_and_a_few_routes() {
        let scope = Scope { trust: EntryIndex(7), services: vec!["shop/web".parse().unwrap()] };
        assert!(scope.check_service(&"shop/web".parse().unwrap()).is_ok());
        for other in ["shop/api", "shop", "shop/web/x"] {
            assert_eq!(scope.check_service(&other.parse().unwrap()).unwrap_err().code, "TOKEN_SCOPE");
        }
        assert!(scope_allows(None, &"shop/api".parse().unwrap()));
        assert!(scope.check_route("publish").is_ok());
        assert_eq!(scope.check_route("approve").unwrap_err().code, "SOD_ROBOT");
        for route in ["enrol", "key-add", "policy-activate", "waive", "rollback", "withdraw", "events", "people"] {
            assert_eq!(scope.check_route(route).unwrap_err().code, "TOKEN_SCOPE", "{route}");
        }
    }

    #[test]
    fn our_own_tokens_are_told_apart() {
        let secret = URL_SAFE_NO_PAD.encode([7u8; 32]);
        assert!(is_own(&secret) && is_own(&format!("{secret}.AQID")) && is_own(&format!("{PREFIX}{secret}")));
        assert!(!is_own("") && !is_own("a.b.c") && !is_own(&format!("{secret}.{secret}.{secret}")));
    }

    #[test]
    fn refusals_are_counted_by_the_hour() {
        let sessions = CiSessions::default();
        let count = |secs: u64| sessions.count("https://a", UnixMillis(secs * 1000));
        assert_eq!([count(3600), count(3601), count(3602), count(3603)], [false, false, true, false]);
        assert_eq!([count(7200), count(7201), count(7202)], [false, false, true]);
    }
}
