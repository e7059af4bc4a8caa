//! CI identity: jobs exchange the tokens of a real issuer on loopback for tokens that are good for their services alone.

use std::net::TcpListener;

use lockgate_model::Digest;
use serde_json::json;

use crate::instance::{Instance, Ran, Reply, text};
use crate::token_issuer::{Signer, TokenIssuer};

/// What `octo/web` of the issuer may act on.
pub fn trust(lockgate: &Instance, issuer: &TokenIssuer, more: &[&str]) -> Ran {
    trust_of(lockgate, issuer, &["github", "--owner-id", "123", "--repository-id", "456"], more)
}

/// What pipelines of the issuer may act on that are named in this way.
pub fn trust_of(lockgate: &Instance, issuer: &TokenIssuer, named: &[&str], more: &[&str]) -> Ran {
    let rest = ["--issuer", &issuer.url, "--audience", "lockgate-test", "--machine", "web-ci", "--yes"];
    let whose = ["--service", "shop/web", "--as", "sam"];
    lockgate.run(&[&["ci", "trust", "add"][..], named, &rest, &whose, more].concat())
}

fn trusted() -> (Instance, TokenIssuer) {
    let (lockgate, issuer) = (Instance::demo(), TokenIssuer::start());
    trust(&lockgate, &issuer, &[]).exits(0).says("may act as web-ci on shop/web");
    (lockgate, issuer)
}

/// Hands a job's token to the server.
pub fn exchange(lockgate: &Instance, token: &str) -> Reply {
    lockgate.post("/v1/ci/tokens", None, &json!({ "token": token }))
}

#[track_caller]
fn access(lockgate: &Instance, issuer: &TokenIssuer) -> String {
    let reply = exchange(lockgate, &issuer.token(&json!({})));
    assert_eq!(reply.status, 200, "{reply:?}");
    text(&reply.json()["access_token"])
}

/// Sends an artifact and publishes it, with nothing but HTTP.
fn publish(lockgate: &Instance, token: &str, release: &str) -> Reply {
    let bytes = release.as_bytes();
    assert_eq!(lockgate.http("PUT", "/v1/blobs", Some(token), &[], bytes).status, 200);
    let artifact = json!({ "digest": Digest::of(bytes), "name": "app", "size_bytes": bytes.len() });
    lockgate.post("/v1/releases", Some(token), &json!({ "release": release, "artifacts": [artifact] }))
}

#[test]
fn a_job_pushes_and_asks_for_its_service() {
    let (lockgate, issuer) = trusted();
    let reply = exchange(&lockgate, &issuer.token(&json!({}))).json();
    assert_eq!((&reply["machine"], &reply["services"]), (&json!("web-ci"), &json!(["shop/web"])));
    assert_eq!(reply["expires_in"], 900);
    let token = text(&reply["access_token"]);
    let me = lockgate.get("/v1/whoami", Some(&token)).json();
    assert_eq!((&me["person"], &me["subject"]), (&json!("web-ci"), &json!("machine")));
    assert_eq!(publish(&lockgate, &token, "shop/web@2.0.0").status, 200);
    let ask = json!({ "release": "shop/web@2.0.0", "environment": "production", "reason": "weekly" });
    let asked = lockgate.post("/v1/promotions", Some(&token), &ask);
    assert_eq!(asked.status, 200, "{asked:?}");
    let promotion = text(&asked.json()["result"]["promotions"][0]["promotion"]);
    assert_eq!(lockgate.get(&format!("/v1/promotions/{promotion}"), Some(&token)).status, 200);
    // It never approves, whatever its roles are, and governs nothing.
    let approvals = format!("/v1/promotions/{promotion}/approvals");
    lockgate.post(&approvals, Some(&token), &json!({ "document": "{}", "signature": "" })).refused(403, "SOD_ROBOT");
    for path in ["/v1/people", "/v1/policy", "/v1/keys/revocations", "/v1/ci/trusts", "/v1/waivers", "/v1/rollbacks"] {
        lockgate.post(path, Some(&token), &json!({})).refused(403, "TOKEN_SCOPE");
    }
    for path in ["/v1/people", "/v1/history", "/v1/status", "/v1/events"] {
        lockgate.get(path, Some(&token)).refused(403, "TOKEN_SCOPE");
    }
    // A token that ends itself is spent; so are all of a machine, when somebody ends its sessions.
    assert_eq!(lockgate.http("DELETE", "/v1/sessions", Some(&token), &[], b"").status, 200);
    lockgate.get("/v1/whoami", Some(&token)).refused(401, "TOKEN_UNKNOWN");
    let other = access(&lockgate, &issuer);
    lockgate.run(&["session", "end", "--all", "--person", "web-ci", "--as", "sam"]).exits(0);
    lockgate.get("/v1/whoami", Some(&other)).refused(401, "TOKEN_UNKNOWN");
}

#[test]
fn the_command_line_signs_a_job_in() {
    let (lockgate, issuer) = trusted();
    let login = |variables: &[(&str, &str)]| {
        let output = lockgate.command().args(["login", "--ci"]).envs(variables.iter().copied()).output().unwrap();
        Ran::of(&["login", "--ci"], &output)
    };
    login(&[]).refused(2, "CI_TOKEN_MISSING");
    // As GitLab and others hand it in.
    let token = issuer.token(&json!({}));
    login(&[("LOCKGATE_ID_TOKEN", &token)]).exits(0).says("as web-ci for shop/web");
    login(&[("LOCKGATE_ID_TOKEN", &token)]).refused(4, "TOKEN_REPLAYED");
    lockgate.push("2.0.0", "trivy.json").exits(0);
    let history = lockgate.run(&["history", "--person", "web-ci", "--as", "dana"]).exits(0);
    assert!(history.stdout.contains("shop/web@2.0.0 was published"), "{history}");
    let attest = ["attest", "shop/web@2.0.0", "--scan", "trivy-critical.json"];
    lockgate.run(&attest).exits(0);
    let promote = ["promote", "shop/web@2.0.0", "--to", "production", "--reason", "weekly", "--as", "web-ci"];
    assert_ne!(lockgate.run(&promote).code, 4);
    // As GitHub's runners offer it: asked for with the audience of the ledger, and the runner's own secret.
    issuer.gives_out(issuer.token(&json!({})));
    let url = format!("{}/job?api-version=2.0", issuer.url);
    let runner = [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-secret")];
    login(&runner).exits(0).says("as web-ci");
    let ledger = text(&lockgate.get("/v1/server", None).json()["origin"]);
    let wanted = format!("GET /job?api-version=2.0&audience={ledger} Bearer runner-secret");
    assert!(issuer.asked().contains(&wanted), "{:?}", issuer.asked());
    // Where nothing is pinned, a server does not say for whom the token is to be.
    let elsewhere = lockgate.file("elsewhere");
    let away = |more: &[&str]| {
        let (home, server) = (elsewhere.display().to_string(), lockgate.url());
        let login = [&["--home", home.as_str(), "login", "--ci", "--server", server.as_str()], more].concat();
        issuer.gives_out(issuer.token(&json!({})));
        let output = lockgate.command().args(&login).envs(runner.iter().copied()).output().unwrap();
        Ran::of(&login, &output)
    };
    away(&[]).refused(2, "TRUST_MISSING").says("--audience");
    away(&["--audience", &ledger]).exits(0).says("as web-ci");
    let plain = [("ACTIONS_ID_TOKEN_REQUEST_URL", "http://ci.example/"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")];
    login(&plain).refused(8, "CI_TOKEN_MISSING").says("no `https` address");
}

/// whatever a token of one project does about another's service, it is told the same as where there is none.
#[test]
fn a_token_of_one_project_is_nothing_to_another() {
    let (lockgate, issuer) = trusted();
    let dana = lockgate.token("dana");
    assert_eq!(publish(&lockgate, &dana, "shop/api@1.0.0").status, 200);
    let ask = json!({ "release": "shop/api@1.0.0", "environment": "production", "reason": "weekly" });
    let asked = lockgate.post("/v1/promotions", Some(&dana), &ask).json();
    let promotion = text(&asked["result"]["promotions"][0]["promotion"]);
    let token = access(&lockgate, &issuer);
    let entries = lockgate.entries();
    // Whoever knows a digest of another service gets nothing for it, although the machine may read there.
    let known = Digest::of(b"shop/api@1.0.0");
    assert_eq!(lockgate.http("HEAD", &format!("/v1/blobs/{known}"), Some(&token), &[], b"").status, 404);
    let artifact = json!({ "digest": known, "name": "app", "size_bytes": 14 });
    let taken = json!({ "release": "shop/web@9.0.0", "artifacts": [artifact] });
    lockgate.post("/v1/releases", Some(&token), &taken).refused(404, "BLOB_UNKNOWN");
    for release in ["shop/api@1.0.0", "shop/nothing@1.0.0"] {
        publish(&lockgate, &token, release).refused(403, "TOKEN_SCOPE");
        let evidence = json!({ "release": release, "evidence": [] });
        lockgate.post("/v1/evidence", Some(&token), &evidence).refused(403, "TOKEN_SCOPE");
        let ask = json!({ "release": release, "environment": "production", "reason": "mine now" });
        lockgate.post("/v1/promotions", Some(&token), &ask).refused(403, "TOKEN_SCOPE");
    }
    for promotion in [promotion.as_str(), "P-999"] {
        for path in ["", "/bundle"] {
            let path = format!("/v1/promotions/{promotion}{path}");
            lockgate.get(&path, Some(&token)).refused(404, "PROMOTION_UNKNOWN");
        }
    }
    let grant = format!("/v1/grants?artifact={}&service=shop/api&environment=production", Digest::of(b"x"));
    lockgate.get(&grant, Some(&token)).refused(403, "TOKEN_SCOPE");
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn a_used_token_stays_used_and_a_session_ends_with_the_server() {
    let (lockgate, issuer) = trusted();
    let token = issuer.token(&json!({}));
    let session = text(&exchange(&lockgate, &token).json()["access_token"]);
    exchange(&lockgate, &token).refused(401, "TOKEN_REPLAYED");
    // That it was used is written down under a name whose sessions nobody can end.
    let sam = lockgate.token("sam");
    let end = "/v1/sessions/all?person=ci-token";
    lockgate.http("DELETE", end, Some(&sam), &[], b"").refused(400, "NAME_RESERVED");
    exchange(&lockgate, &token).refused(401, "TOKEN_REPLAYED");
    lockgate.kill();
    lockgate.start(&[]).exits(0);
    exchange(&lockgate, &token).refused(401, "TOKEN_REPLAYED");
    lockgate.get("/v1/whoami", Some(&session)).refused(401, "TOKEN_UNKNOWN");
    assert_eq!(lockgate.get("/v1/whoami", Some(&access(&lockgate, &issuer))).status, 200);
}

#[test]
fn keys_rotate_and_are_kept() {
    let (lockgate, mut issuer) = trusted();
    for _ in 0..3 {
        access(&lockgate, &issuer);
    }
    assert_eq!(issuer.asked(), ["GET /.well-known/openid-configuration", "GET /keys"]);
    let old = issuer.rotate("k2");
    access(&lockgate, &issuer);
    assert_eq!(issuer.asked().len(), 3, "an unknown key id asks for the keys again, and for nothing else");
    let stale = old.token(&json!({}), &issuer.claims());
    exchange(&lockgate, &stale).refused(401, "TOKEN_KEY_UNTRUSTED");
    for number in 0..10 {
        let made_up = Signer::new(&format!("made-up-{number}")).token(&json!({}), &issuer.claims());
        exchange(&lockgate, &made_up).refused(401, "TOKEN_KEY_UNTRUSTED");
    }
    assert_eq!(issuer.asked().len(), 3, "made-up key ids ask for nothing within a minute");
}

#[test]
fn a_trust_is_signed_listed_and_ends_at_once() {
    let (lockgate, issuer) = trusted();
    let rows = lockgate.json(&["ci", "trust", "list"], 0);
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["claims"], json!({ "repository_id": "456", "repository_owner_id": "123" }));
    trust(&lockgate, &issuer, &[]).refused(7, "CI_TRUST_EXISTS");
    trust(&lockgate, &issuer, &["--environment", "production", "--group", "owners"]).refused(2, "CI_MACHINE_INVALID");
    // A narrower trust of the same machine is another one.
    trust(&lockgate, &issuer, &["--environment", "production", "--service", "shop/api"]).exits(0);
    let narrow = exchange(&lockgate, &issuer.token(&json!({ "environment": "production" }))).json();
    assert_eq!(narrow["services"], json!(["shop/api", "shop/web"]));
    let session = access(&lockgate, &issuer);
    let trust = rows[0]["trust"].as_u64().unwrap().to_string();
    let remove = |by: &str| lockgate.run(&["ci", "trust", "remove", &trust, "--reason", "moved", "--as", by]);
    remove("dana").refused(4, "NOT_PERMITTED");
    remove("sam").exits(0);
    lockgate.get("/v1/whoami", Some(&session)).refused(401, "CI_TRUST_ENDED");
    exchange(&lockgate, &issuer.token(&json!({}))).refused(403, "SUBJECT_ID_MISMATCH");
    remove("sam").refused(6, "CI_TRUST_UNKNOWN");
}

#[test]
fn nobody_trusts_pipelines_by_name_or_without_the_right() {
    let lockgate = Instance::demo();
    let entries = lockgate.entries();
    let add = |by: &str, more: &[&str]| {
        let rest = ["--service", "shop/web", "--machine", "web-ci", "--yes", "--as", by];
        lockgate.run(&[&["ci", "trust", "add"][..], more, &rest].concat())
    };
    let github = ["github", "--owner-id", "123", "--repository-id", "456"];
    add("dana", &github).refused(4, "NOT_PERMITTED");
    let issuer = "https://token.actions.githubusercontent.com";
    add("sam", &["oidc", "--issuer", issuer, "--claim", "repository=octo/web"]).refused(2, "CI_TRUST_IDS");
    add("sam", &["oidc", "--issuer", "http://ci.example", "--claim", "a=b"]).refused(2, "CI_TRUST_INVALID");
    add("sam", &["oidc", "--issuer", "https://ci.example", "--claim", "a=b", "--claim", "a=c"])
        .refused(2, "CI_TRUST_INVALID");
    // A person's name is no machine's.
    let person = ["--machine", "dana", "--service", "shop/web", "--yes", "--as", "sam"];
    lockgate.run(&[&["ci", "trust", "add"][..], &github, &person].concat()).refused(2, "CI_MACHINE_INVALID");
    let reserved = ["--machine", "ci-token", "--service", "shop/web", "--yes", "--as", "sam"];
    lockgate.run(&[&["ci", "trust", "add"][..], &github, &reserved].concat()).refused(2, "NAME_RESERVED");
    assert_eq!(lockgate.entries(), entries);
}

#[test]
fn without_its_issuer_a_token_cannot_be_verified() {
    let (lockgate, issuer) = (Instance::demo(), TokenIssuer::start());
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keys = format!("http://{closed}/keys");
    // Whoever signs sees where the keys come from.
    trust(&lockgate, &issuer, &["--jwks-url", &keys]).exits(0).says(&format!("keys from   {keys}"));
    exchange(&lockgate, &issuer.token(&json!({}))).refused(503, "ISSUER_UNREACHABLE");
    assert!(issuer.asked().is_empty(), "its keys are pinned to another address");
}
