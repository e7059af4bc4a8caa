use std::collections::BTreeMap;

use super::*;
use lockgate_api::wire::CiIssuer;
use lockgate_model::facts::SubjectKind;

const HOSTILE: &str = "\"><script>alert(1)</script>\u{202e}\u{1b}[2J";
const NOW: UnixMillis = UnixMillis(1_000 * DAY_MILLIS);

fn key(fingerprint: &str, ended: Option<&str>, expires_in_days: Option<u64>) -> KeyRow {
    KeyRow {
        fingerprint: fingerprint.to_owned(),
        key: "ssh-ed25519 AAAA".to_owned(),
        enrolled_at: 3,
        invalid_from: None,
        ended: ended.map(str::to_owned),
        ended_at: ended.map(|_| 9),
        expires_at: expires_in_days.map(|days| UnixMillis(NOW.0 + days * DAY_MILLIS)),
        environments: Vec::new(),
    }
}

fn person(name: &str, keys: Vec<KeyRow>, suspended_at: Option<u64>) -> PersonRow {
    PersonRow {
        person: name.parse().unwrap(),
        subject: SubjectKind::Person,
        groups: vec!["developers".parse().unwrap()],
        keys,
        suspended_at,
        standing_at: 3,
    }
}

fn trust() -> CiTrustRow {
    CiTrustRow {
        trust: 12,
        provider: CiIssuer::Github,
        machine: "ci".parse().unwrap(),
        issuer: HOSTILE.to_owned(),
        audience: "log.example".to_owned(),
        claims: BTreeMap::from([("repository_id".to_owned(), HOSTILE.to_owned())]),
        services: vec!["shop/web".parse().unwrap()],
        jwks_url: None,
        by: "sam".parse().unwrap(),
    }
}

fn lines() -> Vec<KeyLine> {
    let dana = person(
        "dana",
        vec![
            key("SHA256:good", None, None),
            key("SHA256:month", None, Some(30)),
            key("SHA256:fortnight", None, Some(14)),
            key("SHA256:days", None, Some(3)),
            key("SHA256:over", None, Some(0)),
            key("SHA256:later", None, Some(31)),
            key("SHA256:old", Some("retired"), None),
            key("SHA256:stolen", Some("compromised"), None),
            key("SHA256:doubtful", Some("suspect"), None),
        ],
        None,
    );
    let sam = person("sam", vec![key("SHA256:sam", None, Some(3))], Some(20));
    let passkeys = BTreeSet::from(["SHA256:good".to_owned()]);
    let mut lines = people_lines(&[dana, sam], &passkeys, NOW);
    lines.extend(trust_lines(&[trust()]));
    lines
}

fn view(lines: Vec<KeyLine>) -> KeysView {
    KeysView {
        fitting: lines.len(),
        warnings: warnings(&lines),
        lines,
        next: Some(50),
        delegations: vec![DelegationRow {
            delegation: 31,
            from: "sam".parse().unwrap(),
            to: "tess".parse().unwrap(),
            groups: Vec::new(),
            environments: vec!["production".parse().unwrap()],
            services: Vec::new(),
            granted_at: UnixMillis(NOW.0 - DAY_MILLIS),
            expires_at: UnixMillis(NOW.0 + DAY_MILLIS),
            reason: HOSTILE.to_owned(),
            open: true,
            ended_by: None,
        }],
        more_delegations: 0,
        sessions: vec![SessionRow {
            id: "0123456789abcdef".to_owned(),
            current: true,
            method: "key".to_owned(),
            amr: vec!["swk".to_owned()],
            credential: HOSTILE.to_owned(),
            auth_time: NOW,
            created: NOW,
            last_used: NOW,
            expires_at: UnixMillis(NOW.0 + DAY_MILLIS),
            stored: true,
        }],
        review: None,
    }
}

#[test]
fn each_key_has_the_state_that_the_ledger_gives_it() {
    let state = |id: &str| lines().into_iter().find(|line| line.id == id).unwrap().state;
    for (id, expected) in [
        ("SHA256:good", KeyState::Good),
        ("SHA256:later", KeyState::Good),
        ("SHA256:month", KeyState::Expiring(30)),
        ("SHA256:fortnight", KeyState::Expiring(14)),
        ("SHA256:days", KeyState::Expiring(3)),
        ("SHA256:over", KeyState::Expired),
        ("SHA256:old", KeyState::Retired),
        ("SHA256:stolen", KeyState::Compromised),
        ("SHA256:doubtful", KeyState::Suspect),
        ("SHA256:sam", KeyState::Suspended),
    ] {
        assert_eq!(state(id), expected, "{id}");
    }
    assert_eq!(warnings(&lines()), [1, 1, 1, 1]);
}

#[test]
fn filters_keep_what_they_say() {
    let kept = |text: &str, state: &str| {
        let filter = Filter { text: text.to_owned(), state: state.to_owned(), from: 0 };
        lines().iter().filter(|line| filter.keeps(line)).map(|line| line.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept("", "retired"), ["SHA256:old"]);
    assert_eq!(kept("PASSKEY", ""), ["SHA256:good"]);
    assert_eq!(kept("sam", ""), ["SHA256:sam"]);
    assert_eq!(kept("shop/web", "good").len(), 1);
    assert_eq!(kept("dana", "good").len(), 5);
    assert!(kept("nobody", "").is_empty() && kept("", "other").is_empty());
}

#[test]
fn commands_are_for_owners_and_those_who_manage_keys_and_nothing_becomes_markup() {
    let filter = Filter { text: HOSTILE.to_owned(), state: "good".to_owned(), from: 0 };
    let mut rights = Rights::default();
    rights.others.insert("keys".to_owned(), "group <b>owners</b>".to_owned());
    let text = content(&view(lines()), &filter, &rights, &"dana".parse().unwrap(), NOW).into_string();
    for wanted in [
        "lockgate key rotate --key FILE",
        "lockgate key compromised dana --fingerprint SHA256:good --since INDEX --reason REASON",
        "not you: sam, tess, and group &lt;b&gt;owners&lt;/b&gt; may",
        "ends within 14 days",
        "owner suspended",
        r#"data-act="/v1/sessions/0123456789abcdef" data-method="DELETE""#,
        r#"data-act="/v1/sessions/all""#,
        "&amp;state=good&amp;from=50",
        "nobody has reviewed",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("lockgate key retire sam") && !text.contains("ci trust remove"), "{text}");
    // Each of dana's six keys that count can be ended by her; nobody else's, and nobody is signed out or suspended.
    assert_eq!(text.matches("data-sign=\"key-retire\"").count(), 6, "{text}");
    assert_eq!(text.matches("data-sign=\"key-compromised\"").count(), 6, "{text}");
    for act in ["ci-trust", "ci-untrust", "delegation-end"] {
        assert!(!text.contains(&format!("data-sign=\"{act}\"")), "{act}: {text}");
    }
    assert!(text.contains("disabled>Trust a pipeline</button>"), "{text}");
    assert!(text.contains("<p class=\"quiet\">not you: group &lt;b&gt;owners&lt;/b&gt; may</p>"), "{text}");
    assert!(!text.contains("data-sign=\"suspend\"") && !text.contains("/v1/sessions/all?person="), "{text}");
    assert!(text.contains("disabled>Suspend</button>") && text.contains("disabled>Reinstate</button>"), "{text}");
    for bad in ["<script", "<b>", "\u{202e}", "\u{1b}", " style=", " onclick="] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    let keeper = Rights { may: vec!["keys".to_owned()], ..Rights::default() };
    let text = content(&view(lines()), &Filter::default(), &keeper, &"tess".parse().unwrap(), NOW).into_string();
    assert!(text.contains("lockgate key retire sam") && text.contains("lockgate ci trust remove 12"), "{text}");
    assert!(text.contains("lockgate delegate end 31") && text.contains("data-sign=\"delegation-end\""), "{text}");
    assert!(text.contains("data-sign=\"ci-trust\"") && text.contains("id=\"ci-untrust-12\""), "{text}");
    for wanted in
        ["data-sign=\"suspend\"", "data-sign=\"reinstate\"", "/v1/sessions/all?person=sam", "--all --person ci"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // Sam's key, and dana's six.
    assert_eq!(text.matches("data-sign=\"key-retire\"").count(), 7, "{text}");
}

/// A form that was begun is kept by the id of its row, so that no other key may ever have that id.
#[test]
fn the_ids_of_a_key_are_its_own_wherever_it_stands() {
    let ids = |lines: Vec<KeyLine>, from: usize| {
        let filter = Filter { from, ..Filter::default() };
        let text = content(&view(lines), &filter, &Rights::default(), &"dana".parse().unwrap(), NOW).into_string();
        let rows = text.split("<tr id=\"key-").skip(1);
        let row = |row: &str| {
            let code = row.split("<p><code>").nth(1).unwrap().split("</code>").next().unwrap();
            (code.to_owned(), row.split('"').next().unwrap().to_owned())
        };
        rows.map(row).collect::<Vec<_>>()
    };
    let first = ids(lines(), 0);
    assert_eq!(first.len(), lines().len());
    let names: BTreeSet<&String> = first.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), first.len(), "{first:?}");
    let mut turned = ids(lines().into_iter().rev().collect(), 50);
    turned.reverse();
    assert_eq!(turned, first);
    assert_eq!(ids(lines().into_iter().skip(3).collect(), 0), first[3..]);
}

#[test]
fn what_is_empty_shows_the_command_that_fills_it() {
    let mut view = view(Vec::new());
    view.delegations.clear();
    view.sessions.clear();
    let text = content(&view, &Filter::default(), &Rights::default(), &"dana".parse().unwrap(), NOW).into_string();
    for wanted in ["lockgate key enrol NAME", "lockgate delegate add", "lockgate login", "lockgate access review"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}
