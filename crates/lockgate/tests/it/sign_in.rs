//! Sign-in and sessions through the program: cookies and other sites, names that the server answers to, what ends a
//! session at once, and the whole code flow with a real OpenID provider.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::{Value, json};

use crate::instance::{Instance, Ran, Reply, text};
use crate::oidc_provider::{CLIENT, Provider, SECRET};

/// The values of a header of a reply.
pub fn header(reply: &Reply, name: &str) -> Vec<String> {
    let named = reply.head.lines().filter_map(|line| line.split_once(": "));
    named.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
}

/// As much of a browser as a sign-in needs: it follows redirects, and keeps the cookies of each host.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    /// One request; keeps the cookies that come with the reply.
    pub fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not http: {url}"));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        // Cookies know no ports.
        let jar = self.cookies.entry(host.split(':').next().unwrap().to_owned()).or_default();
        if !jar.is_empty() {
            let pairs: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.push_str(&format!("Cookie: {}\r\n", pairs.join("; ")));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let reply = Reply::read(&mut stream);
        for cookie in header(&reply, "set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => drop(jar.remove(name)),
                value => drop(jar.insert(name.to_owned(), value.to_owned())),
            }
        }
        reply
    }

    /// Opens a page, and goes wherever it is sent.
    pub fn open(&mut self, url: &str) -> Reply {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let reply = self.send("GET", &url, &[], "");
            match header(&reply, "location").first() {
                Some(next) => url = next.clone(),
                None => return reply,
            }
        }
        panic!("sent in circles: {url}")
    }
}

/// A demo whose server knows a provider.
pub fn with_provider(more: &[&str]) -> (Instance, Provider) {
    let provider = Provider::start();
    let lockgate = Instance::new();
    lockgate.write("secret", format!("{SECRET}\n"));
    let issuer = provider.issuer();
    let flags = ["--demo", "--oidc-issuer", &issuer, "--oidc-client-id", CLIENT, "--oidc-client-secret-file", "secret"];
    lockgate.start(&[&flags[..], more].concat()).exits(0);
    (lockgate, provider)
}

/// Runs a command that prints an address, opens that in a browser, and waits for its end.
pub fn run_with_browser(lockgate: &Instance, arguments: &[&str]) -> Ran {
    let mut child = lockgate.command().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut stderr = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(talk.read_line(&mut line).unwrap() > 0, "no address was printed: {stderr}");
        stderr.push_str(&line);
        if line.contains("/v1/oidc/start") {
            break line.trim().to_owned();
        }
    };
    let page = Browser::default().open(&address);
    assert_eq!(page.status, 200, "{page:?}");
    talk.read_to_string(&mut stderr).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let status = child.wait().unwrap();
    Ran::of(arguments, &Output { status, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() })
}

#[test]
fn people_sign_in_through_an_identity_provider_once_their_key_has_bound_it() {
    let (lockgate, provider) = with_provider(&[]);
    let issuer = provider.issuer();
    // An account is nobody's until a key has bound it: not even that of whoever has its e-mail address.
    run_with_browser(&lockgate, &["login", "--oidc"]).refused(4, "IDENTITY_UNBOUND");
    run_with_browser(&lockgate, &["login", "dana", "--bind-oidc"]).exits(0).says("is bound to dana");
    lockgate.run(&["history", "--governance", "--as", "sam"]).exits(0).says("dana bound an account");
    run_with_browser(&lockgate, &["login", "sam", "--bind-oidc"]).refused(7, "KEY_ALREADY_BOUND");

    run_with_browser(&lockgate, &["login", "--oidc"]).exits(0).says("as dana until");
    let sessions = lockgate.json(&["session", "list", "--as", "dana"], 0);
    let current = sessions.as_array().unwrap().iter().find(|row| row["current"] == true).unwrap();
    assert_eq!((current["method"].as_str(), current["amr"].as_array().unwrap().len()), (Some("oidc"), 0));
    // It can read and ask, and approves nothing.
    lockgate.run(&["status", "--as", "dana"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    run_with_browser(&lockgate, &["login", "sam", "--oidc"]).refused(4, "SIGN_IN_FAILED");

    let identities = lockgate.json(&["identity", "list", "--as", "dana"], 0);
    assert_eq!((&identities[0]["issuer"], &identities[0]["subject"]), (&json!(issuer), &json!("user-1")));
    lockgate.run(&["identity", "list", "--person", "dana", "--as", "ci"]).refused(4, "NOT_PERMITTED");
    let end = ["identity", "unbind", "--issuer", &issuer, "--subject", "user-1", "--reason", "left"];
    lockgate.run(&[&end[..], &["--person", "dana", "--as", "sam"]].concat()).exits(0).says("not bound to dana");
    run_with_browser(&lockgate, &["login", "--oidc"]).refused(4, "IDENTITY_UNBOUND");
    // Whoever binds it anew signs which end came before, and is shown it.
    let again = run_with_browser(&lockgate, &["login", "dana", "--bind-oidc"]).exits(0).says("is bound to dana");
    again.says("  again      after entry ").says(", which ended the last binding");
    run_with_browser(&lockgate, &["login", "--oidc"]).exits(0).says("as dana until");
    lockgate.run(&["audit"]).exits(0);
}

#[test]
fn an_account_that_nobody_signed_in_to_is_not_bound() {
    let (lockgate, provider) = with_provider(&[]);
    let dana = lockgate.token("dana");
    let body = json!({ "person": "dana", "issuer": provider.issuer(), "subject": "user-1", "signature": "x" });
    lockgate.post("/v1/identities", Some(&dana), &body).refused(403, "IDENTITY_UNPROVEN");
    let stolen = json!({ "code": "made-up", "verifier": "made-up" });
    lockgate.post("/v1/oidc/sessions", None, &stolen).refused(401, "OIDC_FAILED");
    lockgate.post("/v1/oidc/accounts", Some(&dana), &stolen).refused(401, "OIDC_FAILED");
}

#[test]
fn pages_get_a_cookie_from_the_provider_and_a_flow_belongs_to_its_browser() {
    let (lockgate, provider) = with_provider(&[]);
    run_with_browser(&lockgate, &["login", "dana", "--bind-oidc"]).exits(0);
    let url = lockgate.url();
    let start = format!("{url}/v1/oidc/start?return=/approve/P-3");
    let mut browser = Browser::default();
    let page = browser.open(&start);
    assert_eq!(page.status, 200, "{page:?}");
    let body = String::from_utf8_lossy(&page.body).into_owned();
    assert!(body.contains("url=/approve/P-3\"") && !body.contains("<script"), "{body}");
    let cookies = header(&page, "set-cookie");
    let session = cookies.iter().find(|cookie| cookie.starts_with("lockgate_session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Strict") && !session.contains("Secure"));
    let me = browser.send("GET", &format!("{url}/v1/whoami"), &[], "");
    assert_eq!(me.json()["person"], "dana");

    // What comes back in another browser, twice, or made up, opens nothing.
    let begin = |browser: &mut Browser| {
        let sent = browser.send("GET", &start, &[], "");
        assert_eq!(sent.status, 302, "{sent:?}");
        let at_provider = browser.send("GET", &header(&sent, "location")[0], &[], "");
        header(&at_provider, "location")[0].clone()
    };
    let back = begin(&mut Browser::default());
    Browser::default().send("GET", &back, &[], "").refused(401, "OIDC_FAILED");
    let mut own = Browser::default();
    let back = begin(&mut own);
    assert_eq!(own.send("GET", &back, &[], "").status, 200);
    own.send("GET", &back, &[], "").refused(401, "OIDC_FAILED");
    own.send("GET", &format!("{url}/v1/oidc/callback?state=made-up&code=code-1"), &[], "").refused(401, "OIDC_FAILED");
    let mut mixed_up = Browser::default();
    let back = begin(&mut mixed_up).replace("iss=", "iss=https%3A%2F%2Fevil.example&x=");
    mixed_up.send("GET", &back, &[], "").refused(401, "OIDC_FAILED");

    for path in ["//evil.example", "https://evil.example", "/%5Cevil.example", "/a%22b"] {
        let start = format!("{url}/v1/oidc/start?return={path}");
        Browser::default().send("GET", &start, &[], "").refused(400, "RETURN_INVALID");
    }
    // A token that is not for this flow, this server, this time or anyone opens nothing either.
    for (name, value) in [
        ("nonce", json!("another")),
        ("aud", json!("another")),
        ("azp", json!("another")),
        ("iss", json!("https://evil.example")),
        ("exp", json!(1)),
        ("sub", Value::Null),
    ] {
        provider.says(name, value);
        Browser::default().open(&start).refused(401, "OIDC_FAILED");
        provider.forget(name);
        assert_eq!(Browser::default().open(&start).status, 200, "without {name}");
    }
}

#[test]
fn a_second_factor_at_the_provider_counts_where_the_policy_asks_for_one() {
    let provider = Provider::start();
    let lockgate = Instance::new();
    lockgate.write("secret", SECRET);
    lockgate.policy("mfa", &[("policy.toml", "mfa = false", "mfa = [\"developer\"]")]);
    let issuer = provider.issuer();
    let flags = ["--demo", "--policy", "mfa", "--oidc-issuer", &issuer, "--oidc-client-id", CLIENT];
    lockgate.start(&[&flags[..], &["--oidc-client-secret-file", "secret"]].concat()).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    // A key in a file is one factor: enough to read, and for nothing else.
    lockgate.run(&["status", "--as", "dana"]).exits(0);
    lockgate.promote("1.4.2").refused(4, "MFA_REQUIRED");
    let dana = lockgate.token("dana");
    let body = json!({ "release": "shop/web@1.4.2", "environment": "dev", "reason": "weekly" });
    lockgate.post("/v1/promotions", Some(&dana), &body).refused(401, "MFA_REQUIRED");
    // Binding an account is beyond reading too, so it is what the second factor at the provider is worth that counts.
    run_with_browser(&lockgate, &["login", "dana", "--bind-oidc"]).refused(4, "MFA_REQUIRED");
    // sam is no developer.
    run_with_browser(&lockgate, &["login", "sam", "--bind-oidc"]).exits(0);
    provider.says("amr", json!(["pwd", "mfa"]));
    run_with_browser(&lockgate, &["login", "--oidc"]).exits(0).says("as sam until");
    let sessions = lockgate.json(&["session", "list", "--as", "sam"], 0);
    assert!(sessions.as_array().unwrap().iter().any(|row| row["amr"] == json!(["mfa"])), "{sessions}");
}

#[test]
fn a_page_signs_in_with_a_key_and_gets_a_cookie_that_no_other_site_can_use() {
    let lockgate = Instance::demo();
    let url = lockgate.url();
    let mut browser = Browser::default();
    let answer = lockgate.answer("dana", &lockgate.key("dana")).to_string();
    let signed_in = browser.send("POST", &format!("{url}/v1/sessions"), &[("Lockgate-Cookie", "1")], &answer);
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(signed_in.json()["token"], "", "what no script can read does not stand in the reply");
    let cookie = header(&signed_in, "set-cookie").remove(0);
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let whoami = format!("{url}/v1/whoami");
    assert_eq!(browser.send("GET", &whoami, &[], "").json()["person"], "dana");
    browser.send("GET", &whoami, &[("Authorization", "Bearer other")], "").refused(401, "TOKEN_INVALID");

    let body = json!({ "release": "shop/none@1.0.0", "environment": "dev", "reason": "x" }).to_string();
    let json = ("Content-Type", "application/json");
    let own = ("Lockgate-CSRF", "1");
    let mut post = |headers: &[(&str, &str)]| browser.send("POST", &format!("{url}/v1/promotions"), headers, &body);
    let foreign: [&[(&str, &str)]; 7] = [
        &[],
        &[json],
        &[own, ("Content-Type", "text/plain")],
        &[json, ("Lockgate-CSRF", "0")],
        &[json, own, ("Origin", "https://evil.example")],
        &[json, own, ("Origin", "null")],
        &[json, own, ("Sec-Fetch-Site", "same-site")],
    ];
    for headers in foreign {
        post(headers).refused(403, "CSRF");
    }
    let origin = ("Origin", url.as_str());
    let fetched = ("Sec-Fetch-Site", "same-origin");
    for headers in [&[json, own][..], &[json, own, origin, fetched]] {
        post(headers).refused(404, "RELEASE_UNKNOWN");
    }
    // A cookie opens nothing where only a token may.
    browser.send("POST", &format!("{url}/v1/releases"), &[json, own], "{}").refused(403, "CSRF");
    // Signing out takes it back.
    let out = browser.send("DELETE", &format!("{url}/v1/sessions"), &[own], "");
    assert_eq!(out.status, 200, "{out:?}");
    assert!(header(&out, "set-cookie")[0].contains("Max-Age=0"));
    browser.send("GET", &whoami, &[], "").refused(401, "SIGN_IN_NEEDED");
    let kept = ("Cookie", cookie.split(';').next().unwrap());
    Browser::default().send("GET", &whoami, &[kept], "").refused(401, "TOKEN_UNKNOWN");
}

#[test]
fn the_server_answers_to_its_own_names_alone() {
    let lockgate = Instance::new();
    lockgate.start(&["--demo", "--url", "https://lockgate.example", "--allow-host", "mirror.example"]).exits(0);
    let ask = |host: &str| lockgate.raw(format!("GET /healthz HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes());
    for host in ["localhost", "127.0.0.1:1", "[::1]", "lockgate.example", "Lockgate.Example:443", "mirror.example"] {
        assert_eq!(ask(&format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    for hosts in ["Host: evil.example\r\n", "Host: 192.0.2.1\r\n", "Host: localhost.evil.example\r\n", "Host: \r\n", ""]
    {
        let reply = ask(hosts);
        assert!(matches!(reply.status, 400 | 421), "{hosts}: {reply:?}");
    }
    ask("Host: evil.example\r\n").refused(421, "HOST_REFUSED");
    lockgate
        .raw(b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .refused(421, "HOST_REFUSED");
    // Over https, as the URL says, a cookie is secure under every name.
    let answer = lockgate.answer("dana", &lockgate.key("dana")).to_string();
    let reply = lockgate.http("POST", "/v1/sessions", None, &[("Lockgate-Cookie", "1")], answer.as_bytes());
    assert!(header(&reply, "set-cookie")[0].contains("; Secure"), "{reply:?}");
    let other = Instance::new();
    other.run(&["serve", "--url", "lockgate.example"]).refused(2, "HOST_INVALID");
    other.run(&["serve", "--oidc-issuer", "http://idp.example", "--oidc-client-id", "x"]).refused(2, "ISSUER_INVALID");
}

#[test]
fn every_reply_is_hardened() {
    let lockgate = Instance::demo();
    for (method, path) in
        [("GET", "/"), ("GET", "/v1/server"), ("GET", "/nothing"), ("PATCH", "/v1/people"), ("GET", "/v1/whoami")]
    {
        let reply = lockgate.http(method, path, None, &[], b"");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(header(&reply, name), [value], "{method} {path}: {name}");
        }
        assert!(header(&reply, "content-security-policy")[0].contains("frame-ancestors 'none'"), "{method} {path}");
        assert!(header(&reply, "access-control-allow-origin").is_empty(), "{method} {path}");
    }
}

#[test]
fn sessions_are_listed_and_ended_by_whom_they_belong_to() {
    let lockgate = Instance::demo();
    let (one, two) = (lockgate.token("dana"), lockgate.token("dana"));
    let rows = lockgate.get("/v1/sessions", Some(&one)).json();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 2, "{rows:?}");
    for row in rows {
        let shown = row.to_string();
        assert!(!shown.contains(&one) && !shown.contains(&two), "a token is shown: {shown}");
        assert_eq!((&row["method"], &row["amr"]), (&json!("key"), &json!(["swk"])));
    }
    let id = text(
        &lockgate
            .get("/v1/sessions", Some(&two))
            .json()
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["current"] == true)
            .unwrap()["id"],
    );
    let end = |path: &str, token: &str| lockgate.http("DELETE", path, Some(token), &[], b"");
    // Somebody else's is not there; and only who manages keys may even ask.
    end(&format!("/v1/sessions/{id}"), &lockgate.token("sam")).refused(404, "SESSION_UNKNOWN");
    end("/v1/sessions/all?person=sam", &one).refused(403, "NOT_PERMITTED");
    lockgate.get("/v1/sessions?person=sam", Some(&one)).refused(403, "NOT_PERMITTED");
    assert_eq!(end(&format!("/v1/sessions/{id}"), &one).status, 200);
    lockgate.get("/v1/whoami", Some(&two)).refused(401, "TOKEN_UNKNOWN");
    assert_eq!(lockgate.get("/v1/whoami", Some(&one)).status, 200);

    lockgate.run(&["session", "list", "--as", "dana"]).exits(0).says("this one");
    lockgate.run(&["session", "end", "--all", "--person", "dana", "--as", "sam"]).exits(0).says("ended");
    lockgate.get("/v1/whoami", Some(&one)).refused(401, "TOKEN_UNKNOWN");
    lockgate.run(&["session", "end", "nothing", "--as", "dana"]).refused(6, "SESSION_UNKNOWN");
    lockgate.run(&["logout", "--as", "dana"]).exits(0);
}

#[test]
fn what_takes_a_key_or_a_role_ends_sessions_and_open_streams_at_once() {
    let lockgate = Instance::demo();
    let eve_key = lockgate.enrol_approver("eve");
    let (eve, dana) = (lockgate.token_by("eve", &eve_key), lockgate.token("dana"));
    let open = |token: &str| {
        let mut stream = lockgate.connect();
        let head = format!("Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(format!("GET /v1/events HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // The head has come: the stream is open.
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    };
    let ends = |mut stream: TcpStream| {
        let since = Instant::now();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("the stream stays open: {error}"));
        assert!(rest.ends_with(b"0\r\n\r\n"), "it ends as it should");
        assert!(since.elapsed() < Duration::from_secs(5), "after {:?}", since.elapsed());
    };
    let (of_eve, of_dana) = (open(&eve), open(&dana));
    let fingerprint = FileSigner::load(&eve_key).unwrap().public_key().fingerprint();
    let end = ["key", "revoke", "eve", "--fingerprint", &fingerprint, "--reason", "lost", "--yes", "--as", "sam"];
    lockgate.run(&end).exits(0);
    assert_eq!(lockgate.get("/v1/whoami", Some(&eve)).status, 401);
    ends(of_eve);
    assert_eq!(lockgate.get("/v1/whoami", Some(&dana)).status, 200);

    // A policy set in which developers read no more.
    lockgate.policy(
        "less",
        &[(
            "people.toml",
            "permissions = [\"read\", \"push\", \"attest\", \"request\", \"withdraw\", \"rollback\"]",
            "permissions = [\"push\"]",
        )],
    );
    lockgate.run(&["policy", "activate", "less", "--reason", "a test", "--yes", "--as", "sam"]).exits(0);
    lockgate.get("/v1/whoami", Some(&dana)).refused(401, "TOKEN_UNKNOWN");
    ends(of_dana);
    // The command line signs in again, to what is left.
    lockgate.run(&["whoami", "--as", "dana"]).exits(0).says("push");
    lockgate.run(&["status", "--as", "dana"]).refused(4, "NOT_PERMITTED");
}

/// `step_up_age = "0s"`: a session alone is never enough for what changes who may do what.
#[test]
fn a_stolen_session_changes_nothing() {
    let lockgate = Instance::new();
    lockgate.policy("always", &[("policy.toml", "step_up_age = \"15m\"", "step_up_age = \"0s\"")]);
    lockgate.start(&["--demo", "--policy", "always"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    let sam = lockgate.token("sam");
    let entries = lockgate.entries();
    for path in [
        "/v1/promotions/P-3/approvals",
        "/v1/people",
        "/v1/keys",
        "/v1/keys/revocations",
        "/v1/people/suspensions",
        "/v1/policy",
        "/v1/waivers",
        "/v1/identities",
    ] {
        for body in [json!({}), json!({ "signature": "" }), json!({ "signature": "none", "granted_signature": "none" })]
        {
            lockgate.post(path, Some(&sam), &body).refused(401, "STEP_UP_REQUIRED");
        }
    }
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
    // Whoever holds the key does all of it.
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.enrol_approver("eve");
}

/// `lockgate dashboard`: what is handed over is the session of the command line, once, for a minute, and to whoever
/// says whose it is.
#[test]
fn a_session_is_handed_to_a_browser_once_and_ends_with_its_key() {
    let lockgate = Instance::demo();
    let url = lockgate.url();
    let claims = format!("{url}/v1/handovers/claims");
    let json = ("Content-Type", "application/json");
    let code_of = |person: &str| {
        let shown = lockgate.json(&["dashboard", "--print", "--as", person], 0);
        let address = text(&shown["url"]);
        assert_eq!((&shown["person"], &shown["opened"]), (&json!(person), &json!(false)), "{shown}");
        address.split_once("/sign-in#code=").unwrap_or_else(|| panic!("{address}")).1.to_owned()
    };
    let mut browser = Browser::default();
    let mut claim = |body: Value| browser.send("POST", &claims, &[json], &body.to_string());
    let code = code_of("sam");
    assert!(code.len() >= 43, "256 bits: {code}");
    // Whoever brings the code is told whose session it is; nothing is opened by that.
    let offered = claim(json!({ "code": code }));
    assert_eq!((offered.json()["person"].clone(), offered.json()["signed_in"].clone()), (json!("sam"), json!(false)));
    assert!(header(&offered, "set-cookie").is_empty(), "{offered:?}");
    claim(json!({ "code": code, "person": "dana" })).refused(401, "HANDOVER_INVALID");
    claim(json!({ "code": format!("{code}x"), "person": "sam" })).refused(401, "HANDOVER_INVALID");
    let taken = claim(json!({ "code": code, "person": "sam" }));
    assert_eq!(taken.status, 200, "{taken:?}");
    let cookie = header(&taken, "set-cookie").remove(0);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!String::from_utf8_lossy(&taken.body).contains("token"), "{taken:?}");
    claim(json!({ "code": code, "person": "sam" })).refused(401, "HANDOVER_INVALID");
    claim(json!({ "code": code })).refused(401, "HANDOVER_INVALID");

    // The same proof and the same end as the session that it came from.
    let whoami = format!("{url}/v1/whoami");
    assert_eq!(browser.send("GET", &whoami, &[], "").json()["person"], "sam");
    let rows = lockgate.get("/v1/sessions", Some(&lockgate.token("sam"))).json();
    let rows = rows.as_array().unwrap();
    let mut times: Vec<&Value> = rows.iter().map(|row| &row["auth_time"]).collect();
    times.sort_by_key(|time| time.as_u64());
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]), "no two sessions of one sign-in: {rows:?}");
    // A cookie hands nothing on, and a pipeline's or made-up token neither.
    let own = ("Lockgate-CSRF", "1");
    browser.send("POST", &format!("{url}/v1/handovers"), &[json, own], "{}").refused(403, "CSRF");
    lockgate.post("/v1/handovers", None, &json!({})).refused(401, "SIGN_IN_NEEDED");

    // A code of a session that has ended opens nothing, nor does the older of two.
    let token = lockgate.token("dana");
    let made = |token: &str| text(&lockgate.post("/v1/handovers", Some(token), &json!({})).json()["code"]);
    let (older, newer) = (made(&token), made(&token));
    let post = |code: &str| lockgate.post("/v1/handovers/claims", None, &json!({ "code": code, "person": "dana" }));
    post(&older).refused(401, "HANDOVER_INVALID");
    assert_eq!(lockgate.http("DELETE", "/v1/sessions", Some(&token), &[], b"").status, 200);
    post(&newer).refused(401, "HANDOVER_INVALID");
}
