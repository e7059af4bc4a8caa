use lockgate_api::ProblemKind;

use super::*;

const HOSTILE: &str = "\"><script>alert(1)</script>\u{202e}\u{1b}[2J";
const NOW: UnixMillis = UnixMillis(3_600_000);

fn because_row(named: Option<&str>) -> BecauseRow {
    BecauseRow {
        role: "approver".parse().unwrap(),
        group: named.is_none().then(|| "approvers".parse().unwrap()),
        named: named.map(str::to_owned),
        file: "people.toml".to_owned(),
        line: 46,
    }
}

fn right(permission: &str, last_used: Option<u64>, hidden: bool) -> RightRow {
    RightRow {
        permission: permission.to_owned(),
        services: Some(vec!["shop/*".to_owned(), HOSTILE.to_owned()]),
        environments: None,
        because: because_row(None),
        last_used: last_used.map(UnixMillis),
        last_index: last_used.map(|_| 7),
        last_use_hidden: hidden,
    }
}

fn reply(rights: Vec<RightRow>, suspended: bool) -> AccessReply {
    AccessReply {
        person: "sam".parse().unwrap(),
        subject: SubjectKind::Person,
        groups: vec!["approvers".parse().unwrap()],
        suspended,
        rights,
    }
}

fn problem() -> Problem {
    Problem::new(ProblemKind::NotFound, "PERSON_UNKNOWN", HOSTILE, Some(HOSTILE.to_owned()))
}

fn view(of_person: Result<AccessReply, Problem>, holders: Option<Result<HoldersReply, Problem>>) -> AccessView {
    AccessView {
        person: "sam".to_owned(),
        of_person,
        holders,
        permissions: vec!["read".to_owned(), "approve".to_owned()],
        untraced: vec!["read".to_owned()],
        environments: vec!["dev".parse().unwrap(), "production".parse().unwrap()],
    }
}

fn holders_of(people: &[&str]) -> HoldersReply {
    let row = |person: &&str| HolderRow { person: person.parse().unwrap(), because: because_row(Some(HOSTILE)) };
    HoldersReply { permission: "approve".to_owned(), holders: people.iter().map(row).collect() }
}

fn auditor() -> Rights {
    Rights { may: vec!["audit".to_owned()], ..Rights::default() }
}

/// What a page says and what it does not; nothing on it is ever markup that somebody else wrote.
#[track_caller]
fn check(view: &AccessView, asked: &Asked, rights: &Rights, wanted: &[&str], unwanted: &[&str]) {
    let text = content(view, asked, rights, NOW).into_string();
    for one in wanted {
        assert!(text.contains(one), "{one}: {text}");
    }
    for one in unwanted.iter().chain(&["<script", "\u{202e}", "\u{1b}"]) {
        assert!(!text.contains(one), "{one}: {text}");
    }
}

#[test]
fn a_persons_permissions_say_where_why_and_when() {
    let rights = vec![right("read", None, false), right("approve", Some(0), false), right("reject", None, false)];
    let shown = view(Ok(reply(rights, false)), None);
    let wanted = [
        "What sam may do",
        "A person in approvers",
        "<code>shop/*</code>",
        "role <strong>approver</strong> through group approvers",
        "/policy?file=people.toml#people-46",
        "1 h ago",
        "/timeline?before=8",
        "href=\"/access?permission=approve\"",
        "Using it writes nothing",
        ">never<",
        "lockgate access show sam",
    ];
    check(&shown, &Asked::default(), &auditor(), &wanted, &["who-title", "where you may not read", "suspended"]);
    let hidden = view(Ok(reply(vec![right("approve", None, true)], false)), None);
    check(&hidden, &Asked::default(), &auditor(), &["where you may not read"], &[">never<"]);
    let nothing = view(Ok(reply(Vec::new(), false)), None);
    check(&nothing, &Asked::default(), &auditor(), &["No role is bound"], &["<table"]);
    let suspended = view(Ok(reply(Vec::new(), true)), None);
    check(&suspended, &Asked::default(), &auditor(), &["suspended", "may do nothing"], &["No role is bound"]);
}

#[test]
fn who_may_is_answered_for_the_one_who_was_asked_about() {
    let of = |people: &[&str]| view(Ok(reply(Vec::new(), false)), Some(Ok(holders_of(people))));
    let asked = |person: &str| Asked {
        person: person.to_owned(),
        permission: "approve".to_owned(),
        service: "shop/web".to_owned(),
        environment: "production".to_owned(),
    };
    let everywhere = [
        "Who may approve for shop/web in production",
        "<option value=\"approve\" selected>",
        "<option value=\"production\" selected>",
        "lockgate access who approve --service shop/web --env production",
        "/keys#delegations-title",
    ];
    check(&of(&["sam", "tess"]), &asked("sam"), &auditor(), &everywhere, &["sam may not"]);
    let wanted = ["id=\"answer\"", "sam may</span>", "href=\"/access?person=tess\"", "named as"];
    check(&of(&["sam", "tess"]), &asked("sam"), &auditor(), &wanted, &[]);
    check(&of(&["tess"]), &asked("sam"), &auditor(), &["sam may not</span>"], &["sam may</span>"]);
    check(&of(&["tess"]), &asked(""), &auditor(), &["holder-tess"], &["id=\"answer\""]);
    check(&of(&[]), &asked(HOSTILE), &auditor(), &["Nobody who is enrolled may."], &["<table"]);
}

#[test]
fn what_has_no_answer_says_why_in_its_place() {
    let shown = view(Err(problem()), Some(Err(problem())));
    let asked = Asked { person: HOSTILE.to_owned(), permission: HOSTILE.to_owned(), ..Asked::default() };
    check(&shown, &asked, &auditor(), &["PERSON_UNKNOWN", "role=\"alert\"", "href=\"/access\">Clear"], &["<table"]);
}

#[test]
fn the_tabs_say_who_may_read_the_access_log() {
    let links = tabs(Tab::Access, &auditor()).into_string();
    assert!(links.contains(r#"<a href="/access" aria-current="page">"#) && links.contains("/access/log"), "{links}");
    let mut others = Rights::default();
    others.others.insert("audit".to_owned(), "group auditors".to_owned());
    let links = tabs(Tab::Keys, &others).into_string();
    assert!(links.contains("Access log: not you: group auditors may") && !links.contains("/access/log"), "{links}");
}
