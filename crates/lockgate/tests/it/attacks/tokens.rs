//! The target `ci-token`: tokens of a real issuer on loopback, changed, and handed to the library, the server and the
//! command line; and what a good one is refused.

use std::collections::BTreeMap;
use std::net::TcpListener;

use lockgate_engine::ci::SKEW;
use lockgate_model::{Digest, UnixMillis};
use lockgate_sign::jwks::Jwks;
use lockgate_sign::jwt::{Expected, verify};
use serde_json::{Value, json};

use super::{Case, Tried};
use crate::ci_identity::{exchange, trust};
use crate::instance::{Instance, Ran, Reply, artifact, text};
use crate::token_issuer::{Signer, TokenIssuer, merge, now_secs, unsigned};

/// Answers that need something that only the server has: what was used before, which pipelines are trusted.
const SERVERS_OWN: [&str; 2] = ["TOKEN_REPLAYED", "ISSUER_UNREACHABLE"];

/// A server that trusts pipelines of `octo/web` for `shop/web`, and a project `shop/api` that they have no part in.
pub struct Tokens {
    lockgate: Instance,
    issuer: TokenIssuer,
    /// Trusted too, but its keys are where nobody listens.
    gone: TokenIssuer,
    /// Trusted too, each with its keys at the address that some input names.
    elsewhere: BTreeMap<String, TokenIssuer>,
    trap: TcpListener,
    trap_url: String,
    /// The promotion of `shop/api`.
    promotion: String,
    entries: u64,
}

impl Tokens {
    /// Starts all of it, with an issuer for every address of keys that these cases name.
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
        let (elsewhere, entries) = (BTreeMap::new(), 0);
        let mut tokens = Self { lockgate, issuer, gone, elsewhere, trap, trap_url, promotion, entries };
        for keys in cases.iter().flat_map(|case| &case.inputs).filter_map(|input| input["keys"].as_str()) {
            let issuer = TokenIssuer::start();
            trust(&tokens.lockgate, &issuer, &["--jwks-url", &text(&tokens.filled(&json!(keys)))]).exits(0);
            tokens.elsewhere.insert(keys.to_owned(), issuer);
        }
        tokens.entries = tokens.lockgate.entries();
        tokens
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

    /// The token of an input: `header` and `claims` change a good one, `signer` is `other`, `gone`, `none` or `session`,
    /// and `keys` names the issuer whose keys are said to be there.
    fn token(&self, input: &Value) -> String {
        let issuer = match (input["keys"].as_str(), input["signer"].as_str()) {
            (Some(keys), _) => &self.elsewhere[keys],
            (None, Some("gone")) => &self.gone,
            (None, _) => &self.issuer,
        };
        let mut claims = issuer.claims();
        merge(&mut claims, &self.filled(&input["claims"]));
        let header = self.filled(&input["header"]);
        let token = match input["signer"].as_str() {
            None | Some("gone") => issuer.signer.token(&header, &claims),
            Some("other") => Signer::new("k1").token(&header, &claims),
            Some("none") => unsigned(&claims),
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

    /// `lockgate login --ci`, where that is what the input is about. It trims what a variable holds.
    fn on_the_command_line(&self, input: &Value) -> Option<Ran> {
        let trimmed = input["suffix"].as_str().is_some_and(|suffix| suffix.trim() != suffix);
        if trimmed || !input["use"].is_null() || !input["request"].is_null() {
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

    /// The verifier of tokens by itself, and then the trusted ids, compared one by one.
    fn in_the_library(&self, input: &Value, code: &str) -> Option<String> {
        let of_server = SERVERS_OWN.contains(&code)
            || ["use", "request"].iter().any(|key| !input[key].is_null())
            || input["signer"] == "session"
            || input["claims"].as_object().is_some_and(|claims| claims.contains_key("jti"));
        if of_server {
            return None;
        }
        let keys = Jwks::from_bytes(self.issuer.jwks().to_string().as_bytes()).unwrap();
        let now = UnixMillis(u64::try_from(now_secs()).unwrap() * 1000);
        let expected = Expected { issuer: &self.issuer.url, audience: "lockgate-test", now, skew: SKEW };
        Some(match verify(&self.token(input), &keys, &expected) {
            Err(error) => error.code().to_owned(),
            Ok(claims) if claims.is("repository_id", "456") && claims.is("repository_owner_id", "123") => {
                "ACCEPTED".to_owned()
            }
            Ok(_) => "SUBJECT_ID_MISMATCH".to_owned(),
        })
    }

    /// `$ISSUER` and `$TRAP` stand for addresses, `$PORT` and `$TRAPPORT` for their ports, `$PROMOTION`, `$BLOB` and `$EVIDENCE` for what belongs to `shop/api`,
    /// and `{"in": seconds}` for a moment.
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
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            other => other.clone(),
        }
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
