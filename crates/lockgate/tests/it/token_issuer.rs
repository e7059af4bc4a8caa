//! A token issuer on loopback: it publishes its keys as a real one does, and signs whatever a test asks for.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_sign::public_key::PublicKey;
use serde_json::{Value, json};

/// A key with its id.
pub struct Signer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// A fresh key.
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: Ed25519KeyPair::generate().unwrap() }
    }

    /// Signs a token whose header has these changes.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let mut whole = self.header();
        merge(&mut whole, header);
        self.sign(&whole.to_string(), &claims.to_string())
    }

    /// The header of its tokens.
    pub fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid })
    }

    /// Signs a token of these two parts, however they read.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = joined(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    /// What everybody knows of it, taken for a secret: `raw` bytes, `x` as published, or `pem`; else the text itself.
    pub fn secret(&self, form: &str) -> Vec<u8> {
        let public = self.pair.public_key().as_ref();
        match form {
            "raw" => public.to_vec(),
            "x" => self.x().into_bytes(),
            "pem" => PublicKey::from_ed25519(public.try_into().unwrap()).to_pem().into_bytes(),
            other => other.as_bytes().to_vec(),
        }
    }

    /// The public key, as it stands in a key set.
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// The key, as it is published.
    pub fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": self.x() })
    }
}

/// A token without a signature.
pub fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.", joined(header, claims))
}

/// A token with a code of HMAC-SHA-256 in place of a signature.
pub fn with_code(secret: &[u8], header: &str, claims: &str) -> String {
    let signed = joined(header, claims);
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code.as_ref()))
}

fn joined(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// Sets members, and removes those that are `null`.
pub fn merge(value: &mut Value, changes: &Value) {
    for (name, change) in changes.as_object().into_iter().flatten() {
        let object = value.as_object_mut().unwrap();
        match change {
            Value::Null => drop(object.remove(name)),
            change => drop(object.insert(name.clone(), change.clone())),
        }
    }
}

/// What is answered to whoever asks.
#[derive(Clone)]
pub enum Said {
    /// This document.
    Body(String),
    /// That it is elsewhere.
    Redirect(String),
    /// That there is no such thing.
    Missing,
    /// Nothing, until whoever asked hangs up.
    Nothing,
    /// Spaces without an end: so many at a time, and so long between.
    Endless(usize, Duration),
}

#[derive(Default)]
struct Served {
    keys: Vec<Value>,
    /// What the runner's own token service gives out.
    job: Option<String>,
    /// What is answered at a path in place of the usual.
    said: BTreeMap<String, Said>,
    asked: Vec<String>,
}

impl Served {
    fn answer(&self, own: &str, path: &str) -> Said {
        if let Some(said) = self.said.get(path) {
            return said.clone();
        }
        let found = match path {
            "/.well-known/openid-configuration" => Some(json!({ "issuer": own, "jwks_uri": format!("{own}/keys") })),
            "/keys" => Some(json!({ "keys": self.keys })),
            path if path.starts_with("/job?") => self.job.as_ref().map(|token| json!({ "value": token })),
            _ => None,
        };
        match (found, path.split_once("/redirect?to=")) {
            (Some(body), _) => Said::Body(body.to_string()),
            (None, Some((_, to))) => Said::Redirect(to.to_owned()),
            (None, None) => Said::Missing,
        }
    }
}

/// The issuer.
pub struct TokenIssuer {
    /// Its address, as in `iss`.
    pub url: String,
    /// The key that it publishes.
    pub signer: Signer,
    served: Arc<Mutex<Served>>,
    tokens: AtomicU64,
}

impl TokenIssuer {
    /// Listens on a port that the system chooses, for as long as the test runs.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new("k1");
        let served = Arc::new(Mutex::new(Served { keys: vec![signer.jwk()], ..Served::default() }));
        let (own, answers) = (url.clone(), served.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&own, &answers, stream.unwrap());
            }
        });
        Self { url, signer, served, tokens: AtomicU64::new(0) }
    }

    /// From now on another key signs, and it alone is published; gives the old one.
    pub fn rotate(&mut self, kid: &str) -> Signer {
        let old = std::mem::replace(&mut self.signer, Signer::new(kid));
        self.served.lock().unwrap().keys = vec![self.signer.jwk()];
        old
    }

    /// What the runner's own token service gives out from now on.
    pub fn gives_out(&self, token: String) {
        self.served.lock().unwrap().job = Some(token);
    }

    /// What is answered at a path from now on.
    pub fn says(&self, path: &str, said: Said) {
        self.served.lock().unwrap().said.insert(path.to_owned(), said);
    }

    /// The key set that it publishes.
    pub fn jwks(&self) -> String {
        match self.served.lock().unwrap().answer(&self.url, "/keys") {
            Said::Body(body) => body,
            _ => panic!("{} publishes no keys", self.url),
        }
    }

    /// Every request, as `METHOD PATH authorization`.
    pub fn asked(&self) -> Vec<String> {
        self.served.lock().unwrap().asked.clone()
    }

    /// The claims of a job of `octo/web`, with an id of its own.
    pub fn claims(&self) -> Value {
        let now = now_secs();
        json!({
            "iss": self.url,
            "aud": "lockgate-test",
            "jti": format!("job-{}", self.tokens.fetch_add(1, Ordering::SeqCst)),
            "sub": "repo:octo/web:ref:refs/heads/main",
            "iat": now - 5,
            "nbf": now - 5,
            "exp": now + 300,
            "repository": "octo/web",
            "repository_owner": "octo",
            "repository_id": "456",
            "repository_owner_id": "123",
            "ref": "refs/heads/main",
        })
    }

    /// A good token of a job, with these changes of its claims.
    pub fn token(&self, changes: &Value) -> String {
        let mut claims = self.claims();
        merge(&mut claims, changes);
        self.signer.token(&json!({}), &claims)
    }
}

fn serve(own: &str, served: &Mutex<Served>, mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let secret = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut served = served.lock().unwrap();
    served.asked.push(format!("{method} {path} {}", secret.unwrap_or_default()).trim_end().to_owned());
    let said = served.answer(own, path);
    drop(served);
    // Whoever asked may have hung up.
    let _ = say(&mut stream, said);
}

fn say(stream: &mut TcpStream, said: Said) -> std::io::Result<()> {
    let (status, more, body) = match said {
        Said::Body(body) => ("200 OK", String::new(), body),
        Said::Redirect(to) => ("302 Found", format!("Location: {to}\r\n"), String::new()),
        Said::Missing => ("404 Not Found", String::new(), String::new()),
        Said::Nothing => return stream.read_exact(&mut [0]),
        Said::Endless(bytes, pause) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&vec![b' '; bytes])?;
                std::thread::park_timeout(pause);
            }
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Connection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// Seconds since 1970 by this machine's clock, which is the server's too.
#[expect(clippy::disallowed_methods, reason = "tokens are made for the clock that the server reads")]
pub fn now_secs() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
