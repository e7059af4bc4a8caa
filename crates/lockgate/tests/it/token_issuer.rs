//! A token issuer on loopback: it publishes its keys as a real one does, and signs whatever a test asks for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
        let mut whole = json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid });
        merge(&mut whole, header);
        let signed = format!("{}.{}", part(&whole), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x })
    }
}

/// A token without a signature.
pub fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", part(&json!({ "alg": "none" })), part(claims))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
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

#[derive(Default)]
struct Served {
    keys: Vec<Value>,
    /// What the runner's own token service gives out.
    job: Option<String>,
    asked: Vec<String>,
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

    /// The key set that it publishes.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.signer.jwk()] })
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
    let reply = match path {
        "/.well-known/openid-configuration" => Some(json!({ "issuer": own, "jwks_uri": format!("{own}/keys") })),
        "/keys" => Some(json!({ "keys": served.keys })),
        path if path.starts_with("/job?") => served.job.as_ref().map(|token| json!({ "value": token })),
        _ => None,
    };
    let redirect = path.split_once("/redirect?to=").map(|(_, to)| format!("302 Found\r\nLocation: {to}"));
    let missing = || (redirect.unwrap_or_else(|| "404 Not Found".to_owned()), String::new());
    let (status, body) = reply.map_or_else(missing, |reply| ("200 OK".to_owned(), reply.to_string()));
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    // Whoever asked may have hung up.
    let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

/// Seconds since 1970 by this machine's clock, which is the server's too.
#[expect(clippy::disallowed_methods, reason = "tokens are made for the clock that the server reads")]
pub fn now_secs() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
