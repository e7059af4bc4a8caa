use lockgate_api::ProblemKind;

use super::*;

const HOSTILE: &str = "\"><script>alert(1)</script>\u{202e}\u{1b}[2J";
const NOW: UnixMillis = UnixMillis(1_000 * DAY_MILLIS);

fn line(person: &str, permission: &str, idle: bool) -> ReviewLine {
    ReviewLine {
        person: person.to_owned(),
        permission: permission.to_owned(),
        services: Some(vec!["shop/*".to_owned()]),
        environments: None,
        role: "approver".to_owned(),
        file: "people.toml".to_owned(),
        line: 46,
        last_used: None,
        idle,
    }
}

fn view(lines: Vec<ReviewLine>) -> ReviewView {
    ReviewView {
        fitting: lines.len(),
        next: Some(100),
        people: 3,
        idle: lines.iter().filter(|line| line.idle).count(),
        lines,
        powerless: vec![("gone".to_owned(), true)],
        untraced: vec!["read".to_owned()],
        policy: Digest::of(b"policy"),
        entries: 41,
        shown: Digest::of(b"shown"),
    }
}

fn made(days_ago: u64) -> ReviewMade {
    ReviewMade {
        by: "sam".parse().unwrap(),
        time: UnixMillis(NOW.0 - days_ago * DAY_MILLIS),
        index: 7,
        review: Digest::of(b"review"),
    }
}

#[track_caller]
fn check(text: &Markup, wanted: &[&str], unwanted: &[&str]) {
    let text = text.clone().into_string();
    for one in wanted {
        assert!(text.contains(one), "{one}: {text}");
    }
    for one in unwanted.iter().chain(&["<script", "\u{202e}", "\u{1b}"]) {
        assert!(!text.contains(one), "{one}: {text}");
    }
}

fn page(view: ReviewView, filter: &Filter, rights: &Rights) -> Markup {
    content(&Ok(view), None, filter, rights, NOW)
}

fn with(permission: &str) -> Rights {
    let mut rights = Rights { may: vec![permission.to_owned()], ..Rights::default() };
    rights.others.insert("audit".to_owned(), "group auditors".to_owned());
    rights
}

#[test]
fn lines_say_who_may_what_and_what_lies_idle() {
    let lines = vec![line("dana", "rollback", true), line("sam", "read", false), line(HOSTILE, HOSTILE, false)];
    let filter = Filter { text: HOSTILE.to_owned(), idle: false, from: 100 };
    let wanted = [
        "nobody has reviewed",
        "3 people and machines are enrolled",
        "1 permission has lain idle",
        "id=\"line-100\"",
        "href=\"/access?person=dana\"",
        "<code>shop/*</code>",
        "/policy?file=people.toml#people-46",
        "</span> idle",
        "Using it writes nothing",
        "gone <span class=\"quiet\">suspended",
        "from=100\"",
        "Back to the first",
    ];
    check(&page(view(lines), &filter, &with("audit")), &wanted, &["Nothing has lain idle"]);
    let none = page(view(Vec::new()), &Filter { idle: true, ..Filter::default() }, &with("audit"));
    check(&none, &["No permission fits", "Nothing has lain idle", "<option value=\"1\" selected>"], &["<table"]);
}

#[test]
fn whoever_may_signs_what_the_page_shows_and_others_are_told_who_may() {
    let lines = || view(vec![line("dana", "push", false)]);
    let shown = format!("<input type=\"hidden\" name=\"shown\" value=\"{}\">", Digest::of(b"shown"));
    let signs = ["data-sign=\"access-review\"", shown.as_str(), "lockgate access review --sign"];
    for permission in ["audit", "keys"] {
        check(&page(lines(), &Filter::default(), &with(permission)), &signs, &["disabled"]);
    }
    let refused = ["disabled>Sign the review</button>", "group auditors may"];
    check(&page(lines(), &Filter::default(), &with("read")), &refused, &signs);
}

#[test]
fn the_last_review_stands_there_for_those_too_who_may_not_look() {
    let problem = Problem::new(ProblemKind::NotPermitted, "NOT_PERMITTED", HOSTILE, None);
    let text = content(&Err(problem), Some(&made(3)), &Filter::default(), &with("read"), NOW);
    check(&text, &["NOT_PERMITTED", "by <strong>sam</strong>", "3 d ago"], &["<table", "data-sign"]);
    check(&last_review(Some(&made(90)), NOW), &[" reviewed"], &["older than"]);
    check(&last_review(Some(&made(91)), NOW), &["older than 90 days", "/timeline?before=8"], &[" reviewed"]);
}

#[test]
fn a_filter_keeps_what_it_names_and_is_an_address() {
    let check = |text: &str, idle: bool, kept: [bool; 2], address: &str| {
        let filter = Filter { text: text.to_owned(), idle, from: 0 };
        let lines = [line("dana", "push", true), line("sam", "approve", false)];
        assert_eq!((lines.map(|line| filter.keeps(&line)), filter.address(0).as_str()), (kept, address), "{text}");
    };
    check("", false, [true, true], "/access/review?");
    check("SAM", false, [false, true], "/access/review?q=SAM");
    check("approver", false, [true, true], "/access/review?q=approver");
    check("", true, [true, false], "/access/review?idle=1");
    check("sam", true, [false, false], "/access/review?q=sam&idle=1");
}
