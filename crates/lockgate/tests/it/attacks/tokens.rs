//! The target `ci-token`: tokens of a real issuer on loopback, changed, and handed to the library, the server and the
//! command line; and what a good one is refused.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use lockgate_engine::ci::SKEW;
use lockgate_model::{Digest, UnixMillis};
use lockgate_sign::jwks::Jwks;
use lockgate_sign::jwt::{Expected, verify};
use serde_json::{Value, json};

use super::{Case, Tried, text as long_text};
use crate::ci_identity::{exchange, trust, trust_of};
use crate::instance::{Instance, Ran, Reply, artifact, text};
use crate::token_issuer::{Said, Signer, TokenIssuer, merge, now_secs, unsigned, with_code};

/// Answers that need something that only the server has: what was used before, which pipelines are trusted.
const SERVERS_OWN: [&str; 2] = ["TOKEN_REPLAYED", "ISSUER_UNREACHABLE"];
/// The pipelines that count of an issuer of which an input says nothing else.
const PIPELINE: &str = "github --owner-id 123 --repository-id 456";

/// A server that trusts pipelines of `octo/web` for `shop/web`, and a project `shop/api` that they have no part in.
pub struct Tokens {
    lockgate: Instance,
    issuer: TokenIssuer,
    /// Trusted too, but its keys are where nobody listens.
    gone: TokenIssuer,
    /// Trusted too, each with its keys at the address that some input names, or as some input describes it.
    own: BTreeMap<String, TokenIssuer>,
    /// Every trust, as it is listed.
    trusts: Value,
    trap: TcpListener,
    trap_url: String,
    /// The promotion of `shop/api`.
    promotion: String,
    entries: u64,
}

impl Tokens {
    /// Starts all of it, with the issuers that these cases name and describe.
    pub fn new(cases: &[Case]) -> Self {
        let (lockgate, issuer, gone) = (Instance::demo(), TokenIssuer::start(), TokenIssuer::start());
        trust(&lockgate, &issuer, &[]).exits(0);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        trust(&lockgate, &gone, &["--jwks-url", &format!("http://{closed}/keys")]).exits(0);
        lockgate.push("2.0.0", "trivy.json").exits(0);
        lockgate.write("foreign", artifact("foreign"));
        let push = ["push", "foreign", "--service", "shop/api", "--version", "1.0.0", "--scan", "trivy-critical.json"];
        lockgate.run(&push).exits(0);
        let promote = ["promote", "shop/api@1.0.0", "--to", "production", "--reason", "weekly", "--output", "json"];
        let asked = lockgate.run(&promote);
        let promotion = text(&asked.json()["promotions"][0]["promotion"]);
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let trap_url = format!("http://{}/keys", trap.local_addr().unwrap());
        let (own, trusts, entries) = (BTreeMap::new(), Value::Null, 0);
        let mut tokens = Self { lockgate, issuer, gone, own, trusts, trap, trap_url, promotion, entries };
        for input in cases.iter().flat_map(|case| case.inputs.iter().chain(&case.control)) {
            tokens.prepare(input);
        }
        tokens.trusts = tokens.lockgate.json(&["ci", "trust", "list"], 0);
        tokens.entries = tokens.lockgate.entries();
        tokens
    }

    /// Starts and trusts the issuer that an input has of its own, if it has one.
    fn prepare(&mut self, input: &Value) {
        let Some(name) = name_of(input).filter(|name| !self.own.contains_key(name)) else { return };
        let issuer = TokenIssuer::start();
        let described = &input["issuer"];
        for (path, said) in described["says"].as_object().into_iter().flatten() {
            issuer.says(path, self.said(&issuer, said));
        }
        let keys = self.filled(&input["keys"]);
        let more: Vec<&str> = keys.as_str().map_or_else(Vec::new, |keys| vec!["--jwks-url", keys]);
        let named: Vec<&str> = described["trust"].as_str().unwrap_or(PIPELINE).split_whitespace().collect();
        trust_of(&self.lockgate, &issuer, &named, &more).exits(0);
        self.own.insert(name, issuer);
    }

    /// What an issuer answers at a path: `nothing`, `trickle` or `endless`, `{"to": address}`, or `{"body": bytes}`, in
    /// which `$OWN` is its address, `$JWK` its key and `$X` the bytes of that.
    fn said(&self, issuer: &TokenIssuer, said: &Value) -> Said {
        let own = |given: &str| {
            let given = given.replace("$OWN", &issuer.url).replace("$JWK", &issuer.signer.jwk().to_string());
            text(&self.filled(&Value::String(given.replace("$X", &issuer.signer.x()))))
        };
        match said.as_str() {
            Some("nothing") => Said::Nothing,
            Some("trickle") => Said::Endless(1, Duration::from_millis(100)),
            Some("endless") => Said::Endless(4096, Duration::ZERO),
            Some(other) => panic!("`{other}` is no answer"),
            None if said["to"].is_string() => Said::Redirect(own(&text(&said["to"]))),
            None => Said::Body(own(&long_text(&said["body"]))),
        }
    }

    /// Whose token an input is: an issuer's of its own, the one whose keys are gone, else the usual one's.
    fn issuer_of(&self, input: &Value) -> &TokenIssuer {
        match (name_of(input), input["signer"].as_str()) {
            (Some(name), _) => &self.own[&name],
            (None, Some("gone")) => &self.gone,
            (None, _) => &self.issuer,
        }
    }

    /// Tries every input of a case through each door that it fits.
    pub fn against(&self, case: &Case) -> Tried {
        let code = &case.expect.as_ref().unwrap().code;
        let mut tried = Tried::default();
        for (number, input) in case.inputs.iter().enumerate() {
            let label = format!("{}, input {number}", case.label());
            tried.inputs += 1;
            tried.doors.insert("http");
            let reply = self.over_http(input);
            if reply.status != status_of(code) || reply.code() != *code {
                tried.wrong.push(format!("{label}: wanted {code}, got {reply:?}"));
            }
            if let Some(ran) = self.on_the_command_line(input) {
                tried.doors.insert("cli");
                if ran.code != exit_of(code) || !ran.stderr.contains(&format!("error[{code}]: ")) {
                    tried.wrong.push(format!("{label}, command line: wanted {code}: {ran}"));
                }
            }
            if let Some(found) = self.in_the_library(input, code) {
                tried.doors.insert("library");
                if found != *code {
                    tried.wrong.push(format!("{label}, library: wanted {code}, got {found}"));
                }
            }
        }
        let control = self.over_http(case.control.as_ref().unwrap());
        if control.status != 200 {
            tried.wrong.push(format!("{}, control: {control:?}", case.label()));
        }
        tried
    }

    /// What must be so after all of it.
    pub fn aftermath(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.trap.accept().is_ok() {
            wrong.push("something in a token, or in an issuer's answer, caused a request".to_owned());
        }
        if self.lockgate.entries() != self.entries {
            wrong.push("a refused token wrote something".to_owned());
        }
        wrong
    }

    /// The token of an input: `header` and `claims` change a good one, `header_first` and `claims_first` are written
    /// before what is there, and `signer` says who signs it, and with what.
    fn token(&self, input: &Value) -> String {
        let issuer = self.issuer_of(input);
        let changed = |mut whole: Value, part: &str| {
            merge(&mut whole, &self.filled(&input[part]));
            let first = self.filled(&input[format!("{part}_first").as_str()]);
            match first.as_str() {
                Some(first) => whole.to_string().replacen('{', &format!("{{{first},"), 1),
                None => whole.to_string(),
            }
        };
        let claims = changed(issuer.claims(), "claims");
        let by = |signer: &Signer| signer.sign(&changed(signer.header(), "header"), &claims);
        let token = match input["signer"].as_str() {
            None | Some("gone") => by(&issuer.signer),
            Some("other") => by(&Signer::new("k1")),
            Some("neighbour") => by(&self.gone.signer),
            Some("public") => {
                let secret = issuer.signer.secret(&text(&input["secret"]));
                with_code(&secret, &changed(issuer.signer.header(), "header"), &claims)
            }
            Some("made-up") => {
                let header = changed(issuer.signer.header(), "header");
                format!("{}{}", unsigned(&header, &claims), text(&input["signature"]))
            }
            Some("none") => unsigned(&changed(json!({ "alg": "none" }), "header"), &claims),
            Some("session") => self.lockgate.token("dana"),
            Some(other) => panic!("`{other}` signs nothing"),
        };
        format!("{token}{}", input["suffix"].as_str().unwrap_or_default())
    }

    fn over_http(&self, input: &Value) -> Reply {
        let token = self.token(input);
        if input["use"] == "bearer" {
            return self.lockgate.get("/v1/whoami", Some(&token));
        }
        let first = exchange(&self.lockgate, &token);
        if let Some(request) = self.filled(&input["request"]).as_str() {
            let own = text(&first.json()["access_token"]);
            let (method, path) = request.split_once(' ').unwrap();
            let body = self.filled(&input["body"]);
            let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
            return self.lockgate.http(method, path, Some(&own), &[], &body);
        }
        match input["twice"] == true {
            true => exchange(&self.lockgate, &token),
            false => first,
        }
    }

    /// `lockgate login --ci`, where that is what the input is about: it trims what a variable holds, and asks no issuer.
    fn on_the_command_line(&self, input: &Value) -> Option<Ran> {
        let trimmed = input["suffix"].as_str().is_some_and(|suffix| suffix.trim() != suffix);
        if trimmed || ["use", "request", "issuer"].iter().any(|key| !input[key].is_null()) {
            return None;
        }
        let token = self.token(input);
        let login = ["login", "--ci"];
        let run = || {
            let output = self.lockgate.command().args(login).env("LOCKGATE_ID_TOKEN", &token).output().unwrap();
            Ran::of(&login, &output)
        };
        let first = run();
        Some(if input["twice"] == true { run() } else { first })
    }

    /// The verifier of tokens by itself, and then the trusted claims, compared one by one.
    fn in_the_library(&self, input: &Value, code: &str) -> Option<String> {
        let of_server = SERVERS_OWN.contains(&code)
            || ["use", "request"].iter().any(|key| !input[key].is_null())
            || input["signer"] == "session"
            || input["claims"].as_object().is_some_and(|claims| claims.contains_key("jti"));
        if of_server {
            return None;
        }
        let issuer = self.issuer_of(input);
        let keys = Jwks::from_bytes(issuer.jwks().as_bytes()).unwrap();
        let now = UnixMillis(u64::try_from(now_secs()).unwrap() * 1000);
        let expected = Expected { issuer: &issuer.url, audience: "lockgate-test", now, skew: SKEW };
        Some(match verify(&self.token(input), &keys, &expected) {
            Err(error) => error.code().to_owned(),
            Ok(claims) if self.demanded(issuer).iter().all(|(name, wanted)| claims.is(name, wanted)) => {
                "ACCEPTED".to_owned()
            }
            Ok(_) => "SUBJECT_ID_MISMATCH".to_owned(),
        })
    }

    /// What the claims of an issuer's tokens have to be.
    fn demanded(&self, issuer: &TokenIssuer) -> BTreeMap<String, String> {
        let row = self.trusts.as_array().unwrap().iter().find(|row| row["issuer"] == issuer.url.as_str()).unwrap();
        serde_json::from_value(row["claims"].clone()).unwrap()
    }

    /// `$ISSUER` and `$TRAP` stand for addresses, `$PORT` and `$TRAPPORT` for their ports, `$PROMOTION`, `$BLOB` and `$EVIDENCE` for what belongs to `shop/api`,
    /// `{"in": seconds}` for a moment, and `{"parts": [...]}` for a long text.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let port = self.issuer.url.rsplit(':').next().unwrap();
                let evidence = std::fs::read(self.lockgate.file("trivy-critical.json")).unwrap();
                let filled = text
                    .replace("$ISSUER", &self.issuer.url)
                    .replace("$PORT", port)
                    .replace("$TRAPPORT", &self.trap.local_addr().unwrap().port().to_string())
                    .replace("$TRAP", &self.trap_url)
                    .replace("$PROMOTION", &self.promotion)
                    .replace("$BLOB", &Digest::of(&artifact("foreign")).to_string())
                    .replace("$EVIDENCE", &Digest::of(&evidence).to_string());
                Value::String(filled)
            }
            Value::Object(fields) if fields.len() == 1 && fields.contains_key("in") => {
                json!(now_secs() + fields["in"].as_i64().unwrap())
            }
            Value::Object(fields) if fields.len() == 1 && fields.contains_key("parts") => json!(long_text(value)),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            other => other.clone(),
        }
    }
}

/// Under which name an input's own issuer stands; most inputs have none.
fn name_of(input: &Value) -> Option<String> {
    match &input["issuer"] {
        Value::Null => input["keys"].as_str().map(str::to_owned),
        described => Some(described.to_string()),
    }
}

/// The status of a reason.
fn status_of(code: &str) -> u16 {
    match code {
        "SUBJECT_ID_MISMATCH" | "TOKEN_SCOPE" | "SOD_ROBOT" => 403,
        "PROMOTION_UNKNOWN" | "BLOB_UNKNOWN" => 404,
        "ISSUER_UNREACHABLE" => 503,
        _ => 401,
    }
}

/// The exit code of a reason.
fn exit_of(code: &str) -> i32 {
    match code {
        "SUBJECT_ID_MISMATCH" => 3,
        "ISSUER_UNREACHABLE" => 8,
        _ => 4,
    }
}
