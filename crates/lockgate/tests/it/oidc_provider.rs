//! A small OpenID provider that tests run: a real code flow over loopback HTTP, with discovery, PKCE, single-use codes, a
//! client secret, and ID tokens signed with ES256. It has one user, who is always signed in.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lockgate_model::Digest;
use serde_json::{Value, json};

use crate::token_issuer::{merge, unsigned, with_code};

/// What the provider calls the server.
pub const CLIENT: &str = "lockgate-test";
/// What the server proves that with.
pub const SECRET: &str = "s3cret:with/odd characters";

/// A provider that runs until the test ends.
pub struct Provider {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    key: EcdsaKeyPair,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Codes that have not been used, with what they were asked for with.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    /// How many codes were made.
    made: usize,
    /// What the next tokens say besides what they have to.
    claims: BTreeMap<String, Value>,
    /// The same of their headers.
    header: Value,
    /// Who signs them, where that is not the provider: `other`, `none`, or `secret` for the secret of the client.
    signer: String,
    /// A code is good for whoever brings it.
    lax: bool,
}

#[expect(clippy::disallowed_methods, reason = "a provider has a clock of its own")]
fn now_secs() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

impl Provider {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inner = Arc::new(Inner {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key: new_key(),
            state: Mutex::default(),
        });
        let serving = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.serve(stream);
            }
        });
        Self { inner }
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        self.inner.issuer.clone()
    }

    /// Sets a claim of the tokens that it makes from now on; `null` leaves one out.
    pub fn says(&self, name: &str, value: Value) {
        self.inner.state.lock().unwrap().claims.insert(name.to_owned(), value);
    }

    /// Changes its tokens from now on: their headers, their claims, and who signs them. Where it is lax, it asks nobody
    /// who brings a code for the proof of having asked for it.
    pub fn differs(&self, header: &Value, claims: &Value, signer: &str, lax: bool) {
        let mut state = self.inner.state.lock().unwrap();
        let pairs = claims.as_object().into_iter().flatten();
        state.claims = pairs.map(|(name, value)| (name.clone(), value.clone())).collect();
        state.header = header.clone();
        state.signer = signer.to_owned();
        state.lax = lax;
    }

    /// Lets its tokens say of a claim what they have to again.
    pub fn forget(&self, name: &str) {
        self.inner.state.lock().unwrap().claims.remove(name);
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            match name.to_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "authorization" => authorization = value.trim().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let target = first.split(' ').nth(1).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (status, more, content) = match (first.split(' ').next().unwrap(), path) {
            ("GET", "/.well-known/openid-configuration") => (200, String::new(), self.discovery()),
            ("GET", "/jwks") => (200, String::new(), self.keys()),
            ("GET", "/authorize") => match self.authorize(&form(query)) {
                Ok(location) => (302, format!("Location: {location}\r\n"), json!({})),
                Err(error) => (400, String::new(), json!({ "error": error })),
            },
            ("POST", "/token") => match self.token(&form(&String::from_utf8(body).unwrap()), &authorization) {
                Ok(token) => {
                    (200, String::new(), json!({ "id_token": token, "access_token": "x", "token_type": "Bearer" }))
                }
                Err(error) => (400, String::new(), json!({ "error": error })),
            },
            _ => (404, String::new(), json!({})),
        };
        let content = content.to_string();
        let reply = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{content}",
            content.len()
        );
        // Whoever went away does not read it.
        let _ = stream.write_all(reply.as_bytes());
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "jwks_uri": at("/jwks"), "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"), "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"], "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    fn keys(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "kid": "idp-1", "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        }] })
    }

    /// The authorization endpoint (OpenID Connect Core 1.0, section 3.1.2).
    fn authorize(&self, asked: &BTreeMap<String, String>) -> Result<String, &'static str> {
        let field = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        if field("response_type") != "code" || field("scope") != "openid" || field("client_id") != CLIENT {
            return Err("invalid_request");
        }
        if field("code_challenge_method") != "S256" || field("code_challenge").len() != 43 {
            return Err("invalid_request");
        }
        if field("state").len() < 32
            || field("nonce").len() < 32
            || !field("redirect_uri").ends_with("/v1/oidc/callback")
        {
            return Err("invalid_request");
        }
        let mut state = self.state.lock().unwrap();
        state.made += 1;
        let code = format!("code-{}", state.made);
        state.codes.insert(code.clone(), asked.clone());
        let issuer = self.issuer.replace(':', "%3A").replace('/', "%2F");
        Ok(format!("{}?code={code}&state={}&iss={issuer}", field("redirect_uri"), field("state")))
    }

    /// The token endpoint (section 3.1.3), with PKCE (RFC 7636, section 4.6).
    fn token(&self, asked: &BTreeMap<String, String>, authorization: &str) -> Result<String, &'static str> {
        let field = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        // RFC 6749, section 2.3.1: name and secret are form-encoded before they are joined.
        let secret = SECRET.replace(':', "%3A").replace('/', "%2F").replace(' ', "%20");
        if authorization != format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{secret}"))) {
            return Err("invalid_client");
        }
        let mut state = self.state.lock().unwrap();
        let begun = state.codes.remove(field("code")).ok_or("invalid_grant")?;
        let verifier = field("code_verifier");
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
        let fits = challenge == begun["code_challenge"] && field("redirect_uri") == begun["redirect_uri"];
        if field("grant_type") != "authorization_code" || verifier.len() < 43 || !(fits || state.lax) {
            return Err("invalid_grant");
        }
        let mut claims = json!({
            "iss": self.issuer, "sub": "user-1", "aud": CLIENT, "iat": now_secs(), "exp": now_secs() + 300,
            "auth_time": now_secs(), "nonce": begun["nonce"], "email": "sam@example.com",
        });
        for (name, value) in &state.claims {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let mut header = json!({ "alg": "ES256", "kid": "idp-1", "typ": "JWT" });
        merge(&mut header, &state.header);
        let (header, claims) = (header.to_string(), claims.to_string());
        Ok(match state.signer.as_str() {
            "" => signed(&self.key, &header, &claims),
            "other" => signed(&new_key(), &header, &claims),
            "none" => unsigned(&header, &claims),
            "secret" => with_code(SECRET.as_bytes(), &header, &claims),
            other => panic!("`{other}` signs nothing"),
        })
    }
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn signed(key: &EcdsaKeyPair, header: &str, claims: &str) -> String {
    let start = unsigned(header, claims);
    let signature = key.sign(&SystemRandom::new(), start.trim_end_matches('.').as_bytes()).unwrap();
    format!("{start}{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Reads a query or a form.
fn form(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                b'+' => b' ',
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}
