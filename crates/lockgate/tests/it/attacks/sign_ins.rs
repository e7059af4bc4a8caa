//! The target `sign-in`: people sign in through a real OpenID provider on loopback, and its tokens, or what a browser
//! brings back from it, are changed on the way.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_model::Digest;
use serde_json::{Value, json};

use super::{Case, Tried};
use crate::instance::{Instance, Reply, text};
use crate::oidc_provider::Provider;
use crate::sign_in::{Browser, header, run_with_browser, with_provider};
use crate::token_issuer::now_secs;

/// What a command line shows at the end, of which it sent the hash at the start.
const VERIFIER: &str = "what-only-the-command-line-knows-that-began-this";

/// A server whose people sign in through a provider, where dana has bound an account.
pub struct SignIns {
    lockgate: Instance,
    provider: Provider,
    entries: u64,
}

impl SignIns {
    /// Starts all of it.
    pub fn new() -> Self {
        let (lockgate, provider) = with_provider(&[]);
        run_with_browser(&lockgate, &["login", "dana", "--bind-oidc"]).exits(0);
        let entries = lockgate.entries();
        Self { lockgate, provider, entries }
    }

    /// Tries every input of a case.
    pub fn against(&self, case: &Case) -> Tried {
        let code = &case.expect.as_ref().unwrap().code;
        let mut tried = Tried { doors: BTreeSet::from(["http"]), ..Tried::default() };
        for (number, input) in case.inputs.iter().enumerate() {
            tried.inputs += 1;
            let reply = self.attempt(input);
            if reply.status != status_of(code) || code_of(&reply) != *code || opens_a_session(&reply) {
                tried.wrong.push(format!("{}, input {number}: wanted {code}, got {reply:?}", case.label()));
            }
        }
        let control = self.attempt(case.control.as_ref().unwrap());
        if control.status != 200 || !opens_a_session(&control) {
            tried.wrong.push(format!("{}, control: {control:?}", case.label()));
        }
        tried
    }

    /// What must be so after all of it.
    pub fn aftermath(&self) -> Vec<String> {
        match self.lockgate.entries() == self.entries {
            true => Vec::new(),
            false => vec!["a sign-in wrote something".to_owned()],
        }
    }

    /// One sign-in, from its start to the first answer that is not as usual, or to its end.
    fn attempt(&self, input: &Value) -> Reply {
        let (claims, signer) = (self.filled(&input["claims"]), input["signer"].as_str().unwrap_or_default());
        self.provider.differs(&input["header"], &claims, signer, input["lax"] == true);
        let (mut own, mut other) = (Browser::default(), Browser::default());
        let back = match self.begin(&mut own, input) {
            Ok(back) => back,
            Err(refused) => return refused,
        };
        let mut address = back.clone();
        if input["browser"] == "other" || input["back"].to_string().contains('$') {
            // Somebody else signs in at the same time.
            let foreign = self.begin(&mut other, &Value::Null).unwrap();
            address = changed(&back, &input["back"], &foreign);
        } else if !input["back"].is_null() {
            address = changed(&back, &input["back"], "");
        }
        let browser = if input["browser"] == "other" { &mut other } else { &mut own };
        if input["browser"] == "none" {
            *browser = Browser::default();
        }
        let first = browser.send("GET", &address, &[], "");
        match (input["twice"] == true, &input["redeem"]) {
            (true, _) => browser.send("GET", &address, &[], ""),
            (false, redeem) if redeem.is_object() => self.redeem(&first, redeem),
            (false, _) => first,
        }
    }

    /// Goes to the provider and gives the address to which that sends the browser back, or what the server refused.
    fn begin(&self, browser: &mut Browser, input: &Value) -> Result<String, Reply> {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).as_bytes());
        let usual = match input["redeem"].is_object() {
            true => "cli_port=40000&cli_challenge=$CHALLENGE",
            false => "return=/",
        };
        let query = input["start"].as_str().unwrap_or(usual).replace("$CHALLENGE", &challenge);
        let sent = browser.send("GET", &format!("{}/v1/oidc/start?{query}", self.lockgate.url()), &[], "");
        let Some(provider) = header(&sent, "location").first().cloned() else { return Err(sent) };
        let asked = browser.send("GET", &provider, &[], "");
        Ok(header(&asked, "location").first().unwrap_or_else(|| panic!("{asked:?}")).clone())
    }

    /// Shows what the browser was sent to the command line with.
    fn redeem(&self, sent: &Reply, how: &Value) -> Reply {
        let address = header(sent, "location").first().unwrap_or_else(|| panic!("{sent:?}")).clone();
        assert!(address.starts_with("http://127.0.0.1:40000/?"), "{address}");
        let verifier = how["verifier"].as_str().unwrap_or(VERIFIER);
        let code = how["code"].as_str().map_or_else(|| parameter(&address, "code"), str::to_owned);
        let show = |verifier: &str| {
            self.lockgate.post("/v1/oidc/sessions", None, &json!({ "code": code, "verifier": verifier }))
        };
        let first = show(verifier);
        match how["twice"] == true {
            true => show(VERIFIER),
            false => first,
        }
    }

    /// `$ISSUER` stands for the provider, and `{"in": seconds}` for a moment.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(given) => Value::String(given.replace("$ISSUER", &self.provider.issuer())),
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

/// A parameter of an address, as it stands there.
fn parameter(address: &str, name: &str) -> String {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {address}")).to_owned()
}

/// An address with other parameters: `null` takes one away, a list gives several of the name, `$SAME` is what stood there,
/// and `$CODE` and `$STATE` are those of another sign-in.
fn changed(address: &str, changes: &Value, foreign: &str) -> String {
    let (start, query) = address.split_once('?').unwrap();
    let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
    for (name, change) in changes.as_object().into_iter().flatten() {
        let values: Vec<String> = match change {
            Value::Null => Vec::new(),
            Value::Array(values) => values.iter().map(text).collect(),
            one => vec![text(one)],
        };
        let before = pairs.iter().find_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('='));
        let before = before.unwrap_or_default().to_owned();
        pairs.retain(|pair| !pair.starts_with(&format!("{name}=")));
        for value in values {
            let value = match value.as_str() {
                "$CODE" => parameter(foreign, "code"),
                "$STATE" => parameter(foreign, "state"),
                "$SAME" => before.clone(),
                plain => plain.to_owned(),
            };
            pairs.push(format!("{name}={value}"));
        }
    }
    format!("{start}?{}", pairs.join("&"))
}

/// The reason code of a reply; empty where it has none.
fn code_of(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// Whether a reply gives a session away, in a cookie or in its body.
fn opens_a_session(reply: &Reply) -> bool {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let is_session =
        |cookie: &String| cookie.strip_prefix("lockgate_session=").is_some_and(|value| !value.starts_with(';'));
    body["token"].is_string() || header(reply, "set-cookie").iter().any(is_session)
}

/// The status of a reason.
fn status_of(code: &str) -> u16 {
    match code {
        "RETURN_INVALID" | "QUERY_INVALID" => 400,
        _ => 401,
    }
}
