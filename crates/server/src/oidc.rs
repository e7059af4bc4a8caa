//! Sign-in of people through an identity provider: OpenID Connect Core 1.0, section 3.1 (authorization code flow), with
//! PKCE (RFC 7636) and the issuer in the answer (RFC 9207).
//!
//! INVARIANT (a sign-in is finished where it began): a flow is found by its `state`, once, within ten minutes, and only
//! by the browser that holds the cookie it began with.
//!
//! INVARIANT (an account is what the provider signed): who someone is follows from `iss` and `sub` of a verified ID
//! token that carries this flow's nonce, and from nothing else: no e-mail address, no name, no user info.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lockgate_api::client::query_value;
use lockgate_engine::clock::Entropy;
use lockgate_engine::issuer::Issuers;
use lockgate_engine::outbound::Outbound;
use lockgate_engine::session::{ABSOLUTE, Amr};
use lockgate_engine::{Fault, Kind};
use lockgate_ledger::identity;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits, PersonId, Span, UnixMillis};
use lockgate_sign::jwt::{Claims, Expected, Unverified};
use serde_json::Value;

/// How long a sign-in may take, from its start to its end.
pub const FLOW_TTL: Span = Span::from_secs(600);
/// How long the command line may take to fetch what its browser brought back.
const CODE_TTL: Span = Span::from_secs(60);
/// How far the provider's clock may be off.
const SKEW: Span = Span::from_secs(30);
/// How many sign-ins may be open.
const OPEN_MAX: usize = 16 * 1024;
/// The longest return path.
const PATH_MAX_BYTES: usize = 512;

/// Which provider, and as whom this server speaks to it.
#[derive(Clone)]
pub struct Settings {
    /// The issuer, byte for byte as its tokens name it.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// What proves to it that this is this server; none for a public client.
    pub client_secret: Option<String>,
    /// Values of `amr` that stand for a second factor.
    pub mfa_amr: Vec<String>,
    /// Values of `acr` that stand for a second factor.
    pub mfa_acr: Vec<String>,
}

/// What happens when someone has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The browser gets a session, and goes to a page of this server.
    Page {
        /// Its path.
        path: String,
    },
    /// The command line on the browser's own machine gets a code, and proves that it began this.
    CommandLine {
        /// The loopback port on which it waits.
        port: u16,
        /// The S256 challenge (RFC 7636, section 4.2) of what it will show.
        challenge: String,
    },
}

impl Then {
    /// A page of this server: an absolute path and nothing that a browser could take for another site.
    ///
    /// # Errors
    /// `RETURN_INVALID`.
    pub fn page(path: &str) -> Result<Self, Fault> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.~-%?=&+:@,".contains(&byte);
        let own = path.starts_with('/') && !path.starts_with("//");
        match own && path.len() <= PATH_MAX_BYTES && path.bytes().all(plain) {
            true => Ok(Self::Page { path: path.to_owned() }),
            false => Err(Fault::invalid("RETURN_INVALID", "`return` is a path of this server, such as /promotions")),
        }
    }

    /// The command line that waits on a loopback port.
    ///
    /// # Errors
    /// `RETURN_INVALID`.
    pub fn command_line(port: u16, challenge: &str) -> Result<Self, Fault> {
        let decoded = URL_SAFE_NO_PAD.decode(challenge).unwrap_or_default();
        match port >= 1024 && decoded.len() == 32 {
            true => Ok(Self::CommandLine { port, challenge: challenge.to_owned() }),
            false => Err(Fault::invalid(
                "RETURN_INVALID",
                "a command line waits on a port from 1024 on, with the SHA-256 of what it will show",
            )),
        }
    }
}

/// A sign-in that has begun.
struct Flow {
    /// The hash of the cookie.
    binder: Digest,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    then: Then,
}

/// Whom a provider has vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
    /// How strongly they proved it there.
    pub amr: Amr,
    /// When; the beginning of time where the provider did not say.
    pub auth_time: UnixMillis,
}

/// What a browser does next to sign in.
#[derive(Debug)]
pub struct Started {
    /// Where it goes.
    pub location: String,
    /// The value of the cookie that it keeps until it comes back.
    pub cookie: String,
}

/// Values that count once, for a while.
struct Once<K, V>(Mutex<HashMap<K, (V, UnixMillis)>>);

impl<K: Eq + Hash, V> Once<K, V> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<K, (V, UnixMillis)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: K, value: V, now: UnixMillis, lasts: Span) -> Result<(), Fault> {
        let mut open = self.locked();
        if open.len() >= OPEN_MAX {
            open.retain(|_, (_, until)| *until > now);
        }
        if open.len() >= OPEN_MAX {
            return Err(Fault::new(Kind::Unavailable, "OVERLOADED", "too many sign-ins are open; try again later"));
        }
        open.insert(key, (value, now.plus(lasts)));
        Ok(())
    }

    fn take(&self, key: &K, now: UnixMillis) -> Option<V> {
        self.locked().remove(key).filter(|(_, until)| *until > now).map(|(value, _)| value)
    }

    fn holds(&self, key: &K, now: UnixMillis) -> bool {
        self.locked().get(key).is_some_and(|(_, until)| *until > now)
    }
}

/// One identity provider, and the sign-ins that are open with it.
pub struct Oidc {
    settings: Settings,
    issuers: Issuers,
    flows: Once<String, Flow>,
    /// By the hash of the code.
    codes: Once<Digest, (Account, String)>,
    /// Who has just signed in to which account, so that they can bind it.
    proven: Once<(PersonId, Digest), ()>,
}

/// A sign-in that failed: what is told, and what the operator sees.
fn failed(context: impl Into<String>) -> Fault {
    Fault {
        context: Some(context.into()),
        ..Fault::new(Kind::Unauthenticated, "OIDC_FAILED", "the sign-in through the identity provider failed")
            .hint("begin again; the server's log says what was wrong")
    }
}

impl Oidc {
    /// A provider that is asked through `outbound`.
    pub fn new(settings: Settings, outbound: Arc<dyn Outbound>) -> Self {
        let issuers = Issuers::default();
        issuers.connect(outbound);
        Self { settings, issuers, flows: Once::new(), codes: Once::new(), proven: Once::new() }
    }

    /// Begins a sign-in. `base` is where the browser reaches this server. Asks the provider: it may take a while.
    ///
    /// # Errors
    /// `ISSUER_UNREACHABLE`, `OVERLOADED`, `OIDC_FAILED` when the provider lets nobody sign in, `RANDOM_FAILED`.
    pub fn start(&self, base: &str, then: Then, entropy: &dyn Entropy, now: UnixMillis) -> Result<Started, Fault> {
        let discovery = self.issuers.discovery(&self.settings.issuer, now)?;
        let endpoint = discovery
            .authorization_endpoint
            .as_deref()
            .ok_or_else(|| failed("the provider has no authorization endpoint"))?;
        let (state, nonce, verifier, cookie) = (secret(entropy)?, secret(entropy)?, secret(entropy)?, secret(entropy)?);
        let redirect_uri = format!("{base}/v1/oidc/callback");
        // A provider that is asked for a maximal age has to say when the person proved who they are.
        let age = ABSOLUTE.secs().to_string();
        let challenge = s256(&verifier);
        let parameters = [
            ("response_type", "code"),
            ("client_id", self.settings.client_id.as_str()),
            ("redirect_uri", redirect_uri.as_str()),
            ("scope", "openid"),
            ("state", state.as_str()),
            ("nonce", nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("max_age", age.as_str()),
        ];
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", query_value(value))).collect();
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        let location = format!("{endpoint}{separator}{}", query.join("&"));
        let flow = Flow { binder: Digest::of(cookie.as_bytes()), nonce, verifier, redirect_uri, then };
        self.flows.put(state, flow, now, FLOW_TTL)?;
        Ok(Started { location, cookie })
    }

    /// Ends a sign-in with what the provider sent the browser back with. Asks the provider: it may take a while.
    ///
    /// # Errors
    /// `OIDC_FAILED`, the same for every cause; `ISSUER_UNREACHABLE`.
    pub fn finish(&self, answer: &Answer<'_>, now: UnixMillis) -> Result<(Account, Then), Fault> {
        // 1. The flow: once, in time, in the browser that began it.
        let flow = self
            .flows
            .take(&answer.state.to_owned(), now)
            .ok_or_else(|| failed("no sign-in with this state is open here"))?;
        if answer.cookie.map(|cookie| Digest::of(cookie.as_bytes())) != Some(flow.binder) {
            return Err(failed("the sign-in began in another browser"));
        }
        // 2. The provider: an answer that names another one is a mix-up.
        if answer.issuer.is_some_and(|issuer| issuer != self.settings.issuer) {
            return Err(failed("the answer is another issuer's"));
        }
        let code = match (answer.code, answer.error) {
            (Some(code), None) => code,
            (_, error) => return Err(failed(format!("the provider said: {}", error.unwrap_or("nothing")))),
        };
        // 3. The code, with the proof that this server began the flow.
        let token = self.exchange(code, &flow, now)?;
        // 4. The token: signature, issuer, audience, times.
        let claims = self.verify(&token, now)?;
        // 5. What makes it this flow's, and this client's.
        if claims.text("nonce") != Some(flow.nonce.as_str()) {
            return Err(failed("the ID token carries another nonce"));
        }
        if claims.get("azp").is_some() && claims.text("azp") != Some(self.settings.client_id.as_str()) {
            return Err(failed("the ID token was issued to another party"));
        }
        // 6. The account.
        Ok((self.account(&claims, now)?, flow.then))
    }

    fn exchange(&self, code: &str, flow: &Flow, now: UnixMillis) -> Result<String, Fault> {
        let discovery = self.issuers.discovery(&self.settings.issuer, now)?;
        let endpoint =
            discovery.token_endpoint.as_deref().ok_or_else(|| failed("the provider has no token endpoint"))?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", flow.redirect_uri.as_str()),
            ("code_verifier", flow.verifier.as_str()),
        ];
        // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        let authorization = self.settings.client_secret.as_ref().map(|secret| {
            let pair = format!("{}:{}", query_value(&self.settings.client_id), query_value(secret));
            format!("Basic {}", STANDARD.encode(pair))
        });
        if authorization.is_none() {
            form.push(("client_id", self.settings.client_id.as_str()));
        }
        let (status, body) = self
            .issuers
            .outbound()?
            .post_form(endpoint, &form, authorization.as_deref())
            .map_err(|error| failed(error.to_string()))?;
        let reply = json::read(&body, &Limits::DEFAULT, Numbers::Any).unwrap_or(Value::Null);
        let text = |name: &str| reply.get(name).and_then(Value::as_str);
        match (status, text("id_token")) {
            (200, Some(token)) => Ok(token.to_owned()),
            _ => {
                let error: String = text("error").unwrap_or("no ID token").chars().take(128).collect();
                Err(failed(format!("the token endpoint answered with status {status}: {error}")))
            }
        }
    }

    fn verify(&self, token: &str, now: UnixMillis) -> Result<Claims, Fault> {
        let unverified = Unverified::parse(token).map_err(|error| failed(error.to_string()))?;
        let keys = self.issuers.keys(&self.settings.issuer, None, unverified.kid(), now)?;
        let expected = Expected { issuer: &self.settings.issuer, audience: &self.settings.client_id, now, skew: SKEW };
        unverified.verify(&keys, &expected).map_err(|error| failed(error.to_string()))
    }

    fn account(&self, claims: &Claims, now: UnixMillis) -> Result<Account, Fault> {
        let subject = claims.subject().ok_or_else(|| failed("the ID token names nobody"))?;
        identity::check(&self.settings.issuer, subject).map_err(|error| failed(error.message))?;
        let auth_time = match claims.get("auth_time") {
            None => UnixMillis(0),
            Some(_) => claims
                .integer("auth_time")
                .map(|secs| UnixMillis(secs.saturating_mul(1000)))
                .ok_or_else(|| failed("`auth_time` is not a time"))?,
        };
        if auth_time != UnixMillis(0) && auth_time.plus(ABSOLUTE).plus(SKEW) <= now {
            return Err(failed("the person proved who they are longer ago than was asked for"));
        }
        let methods = claims.texts("amr").unwrap_or_default();
        let class = claims.text("acr");
        let strong = self.settings.mfa_amr.iter().any(|wanted| methods.contains(&wanted.as_str()))
            || self.settings.mfa_acr.iter().any(|wanted| class == Some(wanted.as_str()));
        let amr = if strong { Amr::MULTI_FACTOR } else { Amr::default() };
        Ok(Account { issuer: self.settings.issuer.clone(), subject: subject.to_owned(), amr, auth_time })
    }

    /// A code for the command line that began a flow.
    ///
    /// # Errors
    /// `OVERLOADED`, `RANDOM_FAILED`.
    pub fn hand_over(
        &self,
        account: Account,
        challenge: String,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Fault> {
        let code = secret(entropy)?;
        self.codes.put(Digest::of(code.as_bytes()), (account, challenge), now, CODE_TTL)?;
        Ok(code)
    }

    /// Whom a code stands for: once, within a minute, for who began the flow.
    ///
    /// # Errors
    /// `OIDC_FAILED`.
    pub fn redeem(&self, code: &str, verifier: &str, now: UnixMillis) -> Result<Account, Fault> {
        match self.codes.take(&Digest::of(code.as_bytes()), now) {
            Some((account, challenge)) if s256(verifier) == challenge => Ok(account),
            _ => Err(failed("the code is unknown, used, expired or somebody else's")),
        }
    }

    /// Remembers that someone has just signed in to an account, so that they can bind it.
    ///
    /// # Errors
    /// `OVERLOADED`.
    pub fn remember(&self, person: &PersonId, account: &Account, now: UnixMillis) -> Result<(), Fault> {
        let credential = identity::credential(&account.issuer, &account.subject);
        self.proven.put((person.clone(), credential), (), now, FLOW_TTL)
    }

    /// Whether someone has just signed in to an account.
    ///
    /// # Errors
    /// `IDENTITY_UNPROVEN`.
    pub fn check_proven(&self, person: &PersonId, issuer: &str, subject: &str, now: UnixMillis) -> Result<(), Fault> {
        match self.proven.holds(&(person.clone(), identity::credential(issuer, subject)), now) {
            true => Ok(()),
            false => Err(Fault::new(
                Kind::Denied,
                "IDENTITY_UNPROVEN",
                "whoever binds an account signs in to it first, within the last ten minutes",
            )
            .hint("`lockgate login NAME --bind-oidc` does both")),
        }
    }
}

/// What a browser came back with.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// `state`.
    pub state: &'a str,
    /// `code`.
    pub code: Option<&'a str>,
    /// `error`.
    pub error: Option<&'a str>,
    /// `iss` (RFC 9207).
    pub issuer: Option<&'a str>,
    /// The cookie of the flow.
    pub cookie: Option<&'a str>,
}

/// 256 random bits.
fn secret(entropy: &dyn Entropy) -> Result<String, Fault> {
    let mut bytes = [0u8; 32];
    entropy.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The S256 challenge of a verifier (RFC 7636, section 4.2).
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes())
}

#[cfg(test)]
#[path = "oidc_tests.rs"]
mod tests;
