//! Who may do what, where and why: scopes of roles, what they hide, and the signed review.

use lockgate_model::Digest;
use serde_json::Value;

use crate::instance::{Instance, artifact, artifact_name, text};

/// Developers see and ask for `shop/*` alone.
const SCOPED: (&str, &str, &str) = (
    "people.toml",
    "roles = [\"developer\"]",
    "roles = []\n\n[[bindings]]\nrole = \"developer\"\ngroups = [\"developers\"]\nservices = [\"shop/*\"]",
);

fn scoped() -> Instance {
    let lockgate = Instance::new();
    lockgate.policy("scoped", &[SCOPED]);
    lockgate.start(&["--demo", "--policy", "scoped"]).exits(0);
    lockgate
}

/// Publishes `bank/api@1.0.0` and lets it into dev, as `ci`.
fn bank(lockgate: &Instance) {
    let file = artifact_name("bank");
    lockgate.write(&file, artifact("bank"));
    let push = ["push", &file, "--service", "bank/api", "--version", "1.0.0", "--as", "ci"];
    lockgate.run(&[&push[..], &["--tests", "junit.xml", "--sbom", "sbom.cdx.json"]].concat()).exits(0);
    let promote = ["promote", "bank/api@1.0.0", "--to", "dev", "--reason", "first", "--as", "ci"];
    lockgate.run(&promote);
}

#[test]
fn access_says_what_where_and_why() {
    let lockgate = scoped();
    let shown = lockgate.json(&["access", "show", "dana"], 0);
    let rights = shown["rights"].as_array().unwrap();
    let push = rights.iter().find(|right| right["permission"] == "push").unwrap();
    assert_eq!(push["services"], serde_json::json!(["shop/*"]));
    assert_eq!(
        (text(&push["because"]["role"]), text(&push["because"]["group"])),
        ("developer".into(), "developers".into())
    );
    let (file, line) = (text(&push["because"]["file"]), push["because"]["line"].as_u64().unwrap());
    let written = std::fs::read_to_string(lockgate.file("scoped").join(&file)).unwrap();
    let at = usize::try_from(line).unwrap() - 1;
    assert_eq!(written.lines().nth(at), Some("[[bindings]]"), "{file}:{line}");
    lockgate.run(&["access", "show"]).exits(0).says("shop/*").says("never");
    lockgate.run(&["access", "show", "nobody"]).refused(6, "PERSON_UNKNOWN");
    lockgate.run(&["access", "who", "approve", "--service", "shop/web", "--env", "production"]).says("sam");
    let who = lockgate.json(&["access", "who", "push", "--service", "bank/api"], 0);
    let names: Vec<String> = who["holders"].as_array().unwrap().iter().map(|row| text(&row["person"])).collect();
    assert_eq!(names, ["ci"]);
    lockgate.run(&["access", "who", "approve", "--service", "shop/web"]).refused(2, "QUERY_INVALID");
    lockgate.run(&["access", "who", "fly"]).exits(2);
    lockgate.run(&["whoami"]).exits(0).says("push");
}

#[test]
fn another_services_things_do_not_exist() {
    let lockgate = scoped();
    bank(&lockgate);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    let (dana, sam) = (lockgate.token("dana"), lockgate.token("sam"));
    let same = |hidden: &str, missing: &str, from: &str, to: &str| {
        let (hidden, missing) = (lockgate.get(hidden, Some(&dana)), lockgate.get(missing, Some(&dana)));
        let told = String::from_utf8(hidden.body.clone()).unwrap().replace(from, to);
        assert_eq!((hidden.status, told), (missing.status, String::from_utf8(missing.body.clone()).unwrap()));
        assert!(matches!(hidden.status, 403 | 404), "{hidden:?}");
    };
    same("/v1/promotions/P-1", "/v1/promotions/P-99", "P-1", "P-99");
    same("/v1/promotions/P-1/bundle", "/v1/promotions/P-99/bundle", "P-1", "P-99");
    let diff = |version: &str| format!("/v1/diff?from=bank/api@{version}&to=bank/api@{version}");
    same(&diff("1.0.0"), &diff("9.9.9"), "1.0.0", "9.9.9");
    let (here, nowhere) = (Digest::of(&artifact("bank")), Digest::of(b"nowhere"));
    same(&format!("/v1/blobs/{here}"), &format!("/v1/blobs/{nowhere}"), &here.to_string(), &nowhere.to_string());
    let grant = |artifact: Digest| format!("/v1/grants?artifact={artifact}&service=bank/api&environment=dev");
    same(&grant(here), &grant(nowhere), &here.to_string(), &nowhere.to_string());
    assert_eq!(lockgate.http("HEAD", &format!("/v1/blobs/{here}"), Some(&dana), &[], b"").status, 404);
    for path in ["/v1/promotions/P-1".to_owned(), diff("1.0.0"), format!("/v1/blobs/{here}")] {
        assert_eq!(lockgate.get(&path, Some(&sam)).status, 200, "{path}");
    }

    // Writing is refused in the same words for what is there and what is not.
    let entries = lockgate.entries();
    for version in ["1.0.0", "9.9.9"] {
        let release = format!("bank/api@{version}");
        let promote = ["promote", &release, "--to", "dev", "--reason", "mine", "--as", "dana"];
        lockgate.run(&promote).refused(6, "RELEASE_UNKNOWN");
        lockgate.run(&["attest", &release, "--tests", "junit.xml", "--as", "dana"]).refused(6, "RELEASE_UNKNOWN");
    }
    lockgate.run(&["withdraw", "P-1", "--as", "dana"]).refused(6, "PROMOTION_UNKNOWN");
    let file = artifact_name("1.4.2");
    let push = ["push", &file, "--service", "bank/api", "--version", "2.0.0", "--as", "dana"];
    lockgate.run(&push).refused(4, "NOT_PERMITTED");
    // Nor does knowing a digest make the bytes one's own.
    let mount = serde_json::json!({
        "release": "shop/web@6.6.6",
        "artifacts": [{ "digest": here, "name": "app", "size_bytes": artifact("bank").len() }],
    });
    lockgate.post("/v1/releases", Some(&dana), &mount).refused(404, "BLOB_UNKNOWN");
    assert_eq!(lockgate.entries(), entries);

    let status = lockgate.json(&["status", "--as", "dana"], 0);
    assert!(!status.to_string().contains("bank"), "{status}");
    for stream in ["", "&stream=environment:dev", "&stream=service:bank%2Fapi", "&stream=person:ci"] {
        let page = lockgate.get(&format!("/v1/history?limit=100{stream}"), Some(&dana)).json();
        let names = |item: &Value| item["entry"]["event"].to_string().contains("bank/api");
        assert!(!page["items"].as_array().unwrap().iter().any(names), "{stream}: {page}");
    }
    assert!(lockgate.json(&["status", "--as", "sam"], 0).to_string().contains("bank/api"));
}

#[test]
fn a_review_is_shown_signed_and_logged() {
    let lockgate = Instance::pending();
    lockgate.run(&["doctor"]).exits(0).says("nobody has reviewed who may do what");
    lockgate.run(&["access", "review", "--as", "sam"]).exits(0).says("there was none yet").says("approve");
    let review = lockgate.json(&["access", "review", "--as", "sam"], 0);
    let rows = review["rows"].as_array().unwrap();
    let request = rows.iter().find(|row| row["person"] == "dana" && row["permission"] == "request").unwrap();
    assert!(request["last_used"].is_u64() && request["unused"] == false, "{request}");
    let rollback = rows.iter().find(|row| row["person"] == "dana" && row["permission"] == "rollback").unwrap();
    assert!(rollback["last_used"].is_null(), "{rollback}");

    lockgate.run(&["access", "review", "--sign", "--yes", "--as", "dana"]).refused(4, "NOT_PERMITTED");
    lockgate.run(&["access", "review", "--sign", "--as", "sam"]).refused(2, "CONFIRMATION_NEEDED");
    let entries = lockgate.entries();
    lockgate.run(&["access", "review", "--sign", "--yes", "--as", "sam"]).exits(0).says("is logged").says("code");
    assert_eq!(lockgate.entries(), entries + 1);
    lockgate.run(&["history", "--governance"]).exits(0).says("access.reviewed").says("sam reviewed who may do what");
    lockgate.run(&["doctor"]).exits(0).says("last reviewed");
    // What was decided before and after still verifies, with the review on the way.
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0);
}

/// Holds pages against what they say and what they do not.
#[track_caller]
fn page(lockgate: &Instance, path: &str, token: &str, there: &[&str], absent: &[&str]) {
    let reply = lockgate.get(path, Some(token));
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(reply.status, 200, "{path}: {body}");
    for (texts, wanted) in [(there, true), (absent, false)] {
        for text in texts {
            assert_eq!(body.contains(text), wanted, "{path}: {text}: {body}");
        }
    }
}

#[test]
fn pages_say_who_may_do_what_and_why() {
    let lockgate = Instance::pending();
    let (dana, sam) = (lockgate.token("dana"), lockgate.token("sam"));
    let own =
        ["What dana may do", "role <strong>developer</strong> through group developers", "/policy?file=people.toml#"];
    page(&lockgate, "/access", &dana, &own, &["What sam may do", "href=\"/access/log\""]);
    page(&lockgate, "/access", &sam, &["What sam may do", "href=\"/access/log\""], &["who-title"]);
    let asked = "permission=approve&service=shop/web&environment=production";
    let who = ["Who may approve for shop/web in production", "id=\"holder-sam\""];
    page(&lockgate, &format!("/access?{asked}"), &dana, &who, &["id=\"answer\"", "id=\"holder-dana\""]);
    page(&lockgate, &format!("/access?person=sam&{asked}"), &dana, &["sam may</span>"], &["sam may not"]);
    page(&lockgate, &format!("/access?person=dana&{asked}"), &dana, &["dana may not</span>"], &["dana may</span>"]);
    for (query, code) in [
        ("person=nobody", "PERSON_UNKNOWN"),
        ("permission=fly", "QUERY_INVALID"),
        ("permission=approve&service=shop/web", "QUERY_INVALID"),
    ] {
        page(&lockgate, &format!("/access?{query}"), &dana, &[code], &[]);
    }

    let signs = "data-sign=\"access-review\"";
    let refused = ["nobody has reviewed", "disabled>Sign the review</button>", "rollback"];
    page(&lockgate, "/access/review", &dana, &refused, &[signs]);
    page(&lockgate, "/access/review", &sam, &[signs], &["disabled>Sign the review</button>"]);
    page(&lockgate, "/access/review?idle=1", &sam, &["No permission fits"], &[]);
    page(&lockgate, "/access/review?q=dana", &sam, &["/access?person=dana"], &["/access?person=ci"]);
    lockgate.run(&["access", "review", "--sign", "--yes", "--as", "sam"]).exits(0);
    for path in ["/access/review", "/keys"] {
        page(&lockgate, path, &dana, &["by <strong>sam</strong>"], &["nobody has reviewed"]);
    }

    // Whoever may not read everything is not shown a review.
    let scoped = scoped();
    let dana = scoped.token("dana");
    page(&scoped, "/access/review", &dana, &["NOT_PERMITTED", "nobody has reviewed"], &["<table", "data-sign"]);
    page(&scoped, "/access", &dana, &["<code>shop/*</code>"], &[]);
}

#[test]
fn the_access_log_is_a_page_for_auditors() {
    let lockgate = Instance::pending();
    let (dana, sam) = (lockgate.token("dana"), lockgate.token("sam"));
    let reply = lockgate.get("/access/log", Some(&dana));
    let told = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(reply.status == 403 && told.contains("<code>NOT_PERMITTED</code>"), "{told}");
    let tried = ["page.access-log</code>", "NOT_PERMITTED", "href=\"/access?person=dana\"", "Access log"];
    let query = "person=dana&action=page.access-log&outcome=refused";
    page(&lockgate, &format!("/access/log?{query}"), &sam, &tried, &["person=sam", "</span> allowed"]);
    page(&lockgate, "/access/log?person=-", &sam, &["nobody signed in"], &["href=\"/access?person="]);
    page(&lockgate, "/access/log?before=1", &sam, &["id=\"access-0\"", "Back to the newest"], &["id=\"access-1\""]);
    let never = "/access/log?since=2001-01-01&until=2001-01-01&outcome=";
    page(&lockgate, never, &sam, &["Nothing that was looked at fits"], &["id=\"access-0\""]);
    for query in ["outcome=maybe", "since=yesterday", "before=x"] {
        assert_eq!(lockgate.get(&format!("/access/log?{query}"), Some(&sam)).status, 400, "{query}");
    }
}

#[test]
fn policy_check_notes_what_is_probably_not_meant() {
    let lockgate = Instance::demo();
    let bound = "roles = [\"developer\"]\n\n[[bindings]]\nrole = \"deployer\"\npeople = [\"kim\", \"dana\"]";
    lockgate.policy("noted", &[("people.toml", "roles = [\"developer\"]", bound)]);
    lockgate.run(&["policy", "check", "noted"]).exits(0).says("approves everything");
    let noted = lockgate
        .run(&["policy", "check", "noted", "--enrolled"])
        .exits(0)
        .says("nobody who is enrolled is called `kim`");
    assert!(!noted.stderr.contains("`dana`"), "{noted}");
    lockgate.run(&["policy", "show", "noted"]).exits(0).says("kim, dana: deployer for every service");
    let wrong = [
        bound.replace("\"kim\"", "\"*\"").replace("\"deployer\"", "\"approver\""),
        bound.replace("\"deployer\"", "\"deploier\""),
        format!("{}\nservices = [\"shop/*\"]", bound.replace("\"deployer\"", "\"owner\"")),
        format!("{bound}\nenvironments = [\"prodution\"]"),
    ];
    for (number, wrong) in wrong.iter().enumerate() {
        let dir = format!("wrong{number}");
        lockgate.policy(&dir, &[("people.toml", "roles = [\"developer\"]", wrong)]);
        lockgate.run(&["policy", "check", &dir]).refused(2, "POLICY_INVALID").says("people.toml:");
    }
}
