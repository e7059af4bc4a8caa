use super::*;
use lockgate_engine::clock::EntropyError;
use lockgate_engine::outbound::OutboundError;
use lockgate_sign::attestation_key::AttestationKey;
use serde_json::json;
use std::sync::atomic::{AtomicU8, Ordering};

const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "lockgate";
const BASE: &str = "https://lockgate.example";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
        Ok(())
    }
}

/// A provider that lets everyone in; what its next token says can be changed.
struct Provider {
    key: AttestationKey,
    challenge: Mutex<String>,
    claims: Mutex<Value>,
    secret_seen: Mutex<Option<String>>,
}

/// A DER signature's two numbers at full width (RFC 7518, section 3.4).
fn fixed(der: &[u8]) -> Vec<u8> {
    let number = |at: usize| {
        let length = usize::from(der[at + 1]);
        let bytes: Vec<u8> = der[at + 2..at + 2 + length].iter().copied().skip_while(|byte| *byte == 0).collect();
        let padding = vec![0; 32 - bytes.len()];
        (at + 2 + length, [padding, bytes].concat())
    };
    let (next, r) = number(2);
    let (_, s) = number(next);
    [r, s].concat()
}

impl Provider {
    fn new() -> Arc<Self> {
        let claims = json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "248289761001", "iat": NOW.secs(), "exp": NOW.secs() + 300,
            "auth_time": NOW.secs() - 5, "email": "sam@example.com",
        });
        Arc::new(Self {
            key: AttestationKey::generate().unwrap(),
            challenge: Mutex::default(),
            claims: Mutex::new(claims),
            secret_seen: Mutex::default(),
        })
    }

    fn says(&self, name: &str, value: Value) {
        self.claims.lock().unwrap()[name] = value;
    }

    fn token(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "ES256", "kid": "1", "typ": "JWT" });
        let signed = format!("{}.{}", part(&header), part(&self.claims.lock().unwrap()));
        let signature = fixed(&self.key.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Outbound for Provider {
    fn get(&self, url: &str) -> Result<Vec<u8>, OutboundError> {
        let spki = self.key.public().spki_der();
        let point = &spki[spki.len() - 64..];
        let document = match url {
            "https://idp.example/.well-known/openid-configuration" => json!({
                "issuer": ISSUER, "jwks_uri": "https://idp.example/jwks",
                "authorization_endpoint": "https://idp.example/authorize", "token_endpoint": "https://idp.example/token",
            }),
            "https://idp.example/jwks" => json!({ "keys": [{
                "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig",
                "x": URL_SAFE_NO_PAD.encode(&point[..32]), "y": URL_SAFE_NO_PAD.encode(&point[32..]),
            }] }),
            other => panic!("{other} was asked"),
        };
        Ok(document.to_string().into_bytes())
    }

    fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<(u16, Vec<u8>), OutboundError> {
        assert_eq!(url, "https://idp.example/token");
        *self.secret_seen.lock().unwrap() = authorization.map(str::to_owned);
        let field = |name: &str| form.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).unwrap();
        assert_eq!(
            (field("grant_type"), field("redirect_uri")),
            ("authorization_code", "https://lockgate.example/v1/oidc/callback")
        );
        match field("code") == "good" && s256(field("code_verifier")) == *self.challenge.lock().unwrap() {
            true => Ok((200, json!({ "id_token": self.token(), "token_type": "Bearer" }).to_string().into_bytes())),
            false => Ok((400, br#"{"error":"invalid_grant"}"#.to_vec())),
        }
    }
}

fn settings() -> Settings {
    Settings {
        issuer: ISSUER.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Some("s:cret".to_owned()),
        mfa_amr: vec!["mfa".to_owned()],
        mfa_acr: vec!["urn:gold".to_owned()],
    }
}

fn parameter(location: &str, name: &str) -> String {
    let prefix = format!("{name}=");
    location.split(['?', '&']).find_map(|pair| pair.strip_prefix(&prefix)).unwrap().to_owned()
}

/// One sign-in that has begun.
struct Round {
    provider: Arc<Provider>,
    oidc: Oidc,
    state: String,
    cookie: String,
}

impl Round {
    fn begin() -> Self {
        let provider = Provider::new();
        let oidc = Oidc::new(settings(), provider.clone());
        let entropy = Counting(AtomicU8::new(1));
        let started = oidc.start(BASE, Then::page("/").unwrap(), &entropy, NOW).unwrap();
        assert!(started.location.starts_with("https://idp.example/authorize?response_type=code&"));
        assert_eq!(parameter(&started.location, "code_challenge_method"), "S256");
        *provider.challenge.lock().unwrap() = parameter(&started.location, "code_challenge");
        provider.says("nonce", json!(parameter(&started.location, "nonce")));
        Self { provider, oidc, state: parameter(&started.location, "state"), cookie: started.cookie }
    }

    fn end(&self, change: impl Fn(&mut Answer<'_>), at: UnixMillis) -> Result<Account, Fault> {
        let mut answer =
            Answer { state: &self.state, code: Some("good"), error: None, issuer: None, cookie: Some(&self.cookie) };
        change(&mut answer);
        self.oidc.finish(&answer, at).map(|(account, _)| account)
    }
}

#[test]
fn a_whole_flow_gives_the_account_once() {
    let round = Round::begin();
    let account = round.end(|_| (), NOW).unwrap();
    assert_eq!((account.issuer.as_str(), account.subject.as_str()), (ISSUER, "248289761001"));
    assert_eq!(account.auth_time, UnixMillis(NOW.0 - 5000));
    assert!(!account.amr.is_multi_factor());
    assert_eq!(round.provider.secret_seen.lock().unwrap().as_deref(), Some("Basic bG9ja2dhdGU6cyUzQWNyZXQ="));
    assert_eq!(round.end(|_| (), NOW).unwrap_err().code, "OIDC_FAILED", "the state is spent");
}

#[test]
fn what_is_not_this_flow_is_refused() {
    let refused = |change: fn(&mut Answer<'_>), at: UnixMillis| {
        let error = Round::begin().end(change, at).unwrap_err();
        assert_eq!((error.code, error.kind), ("OIDC_FAILED", Kind::Unauthenticated));
        error.context.unwrap()
    };
    assert!(refused(|answer| answer.state = "other", NOW).contains("state"));
    assert!(refused(|answer| answer.cookie = None, NOW).contains("browser"));
    assert!(refused(|answer| answer.cookie = Some("other"), NOW).contains("browser"));
    assert!(refused(|answer| answer.issuer = Some("https://idp.example/"), NOW).contains("issuer"));
    assert!(refused(|answer| answer.code = Some("other"), NOW).contains("invalid_grant"));
    assert!(refused(|answer| answer.error = Some("access_denied"), NOW).contains("access_denied"));
    assert!(refused(|answer| answer.code = None, NOW).contains("nothing"));
    assert!(refused(|_| (), NOW.plus(FLOW_TTL)).contains("state"));
    assert!(Round::begin().end(|answer| answer.issuer = Some(ISSUER), NOW).is_ok());
}

#[test]
fn a_token_is_believed_only_as_far_as_it_is_for_this_flow() {
    let check = |name: &str, value: Value, wanted: Result<bool, ()>| {
        let round = Round::begin();
        round.provider.says(name, value.clone());
        let found = round.end(|_| (), NOW).map(|account| account.amr.is_multi_factor()).map_err(|_| ());
        assert_eq!(found, wanted, "{name} = {value}");
    };
    check("nonce", json!("another"), Err(()));
    check("nonce", Value::Null, Err(()));
    check("aud", json!("another"), Err(()));
    check("aud", json!([CLIENT, "another"]), Err(()));
    check("iss", json!("https://evil.example"), Err(()));
    check("azp", json!("another"), Err(()));
    check("azp", json!(CLIENT), Ok(false));
    check("sub", json!(""), Err(()));
    check("sub", json!(7), Err(()));
    check("exp", json!(NOW.secs() - 31), Err(()));
    check("auth_time", json!(NOW.secs() - 13 * 3600), Err(()));
    check("auth_time", json!("now"), Err(()));
    check("amr", json!(["pwd", "mfa"]), Ok(true));
    check("amr", json!(["pwd"]), Ok(false));
    check("amr", json!("mfa"), Ok(false));
    check("acr", json!("urn:gold"), Ok(true));
    check("acr", json!(["urn:gold"]), Ok(false));
}

#[test]
fn a_provider_that_does_not_say_when_makes_no_fresh_sign_in() {
    let round = Round::begin();
    round.provider.claims.lock().unwrap().as_object_mut().unwrap().remove("auth_time");
    assert_eq!(round.end(|_| (), NOW).unwrap().auth_time, UnixMillis(0));
}

#[test]
fn a_code_for_the_command_line_is_its_own_and_is_used_once() {
    let round = Round::begin();
    let entropy = Counting(AtomicU8::new(100));
    let account = round.end(|_| (), NOW).unwrap();
    let code = || round.oidc.hand_over(account.clone(), s256("verifier"), &entropy, NOW).unwrap();
    let one = code();
    assert_eq!(round.oidc.redeem(&one, "verifier", NOW).unwrap(), account);
    assert!(round.oidc.redeem(&one, "verifier", NOW).is_err(), "twice");
    let two = code();
    assert!(round.oidc.redeem(&two, "another", NOW).is_err());
    assert!(round.oidc.redeem(&two, "verifier", NOW).is_err(), "a wrong try spends it");
    assert!(round.oidc.redeem(&code(), "verifier", NOW.plus(CODE_TTL)).is_err(), "too late");
}

#[test]
fn an_account_is_bound_by_who_signed_in_to_it() {
    let round = Round::begin();
    let account = round.end(|_| (), NOW).unwrap();
    let (sam, dana): (PersonId, PersonId) = ("sam".parse().unwrap(), "dana".parse().unwrap());
    round.oidc.remember(&sam, &account, NOW).unwrap();
    let proven =
        |person: &PersonId, subject: &str, at: UnixMillis| round.oidc.check_proven(person, ISSUER, subject, at).is_ok();
    assert!(proven(&sam, "248289761001", NOW));
    assert!(!proven(&dana, "248289761001", NOW) && !proven(&sam, "248289761002", NOW));
    assert!(!proven(&sam, "248289761001", NOW.plus(FLOW_TTL)));
}

#[test]
fn only_own_pages_and_own_ports_are_gone_back_to() {
    for path in ["/", "/promotions/P-3?tab=why", "/a/b%20c"] {
        assert_eq!(Then::page(path).unwrap(), Then::Page { path: path.to_owned() });
    }
    let long = format!("/{}", "a".repeat(512));
    for path in [
        "",
        "promotions",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a b",
        "/\"",
        "/a;b",
        "/\u{e4}",
        &long,
    ] {
        assert_eq!(Then::page(path).unwrap_err().code, "RETURN_INVALID", "{path}");
    }
    let challenge = s256("verifier");
    assert!(Then::command_line(40_000, &challenge).is_ok());
    assert!(Then::command_line(80, &challenge).is_err() && Then::command_line(40_000, "short").is_err());
}
