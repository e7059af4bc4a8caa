use super::change::{Backtest, DiffLine, FlipLine, MeaningLine, RightsLine, WouldBlockLine};
use super::checks::{CoverageLine, LintLine, TestLine};
use super::source::SourceFile;
use super::trial::Found;
use super::*;
use lockgate_api::wire::{ChangeRow, GateRow, WaiverRequest};
use lockgate_api::{Problem, ProblemKind};
use lockgate_model::facts::FeedKind;

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x>\u{202e}\u{1b}[2J";
const DAY: u64 = 86_400_000;
const NOW: UnixMillis = UnixMillis(100 * DAY);

fn h() -> String {
    HOSTILE.to_owned()
}

fn gate(name: &str, blocks: Blocks, warned: usize) -> GateLine {
    GateLine {
        name: name.to_owned(),
        kind: "tests".to_owned(),
        description: Some(h()),
        environments: vec!["production".to_owned()],
        services: vec![h()],
        blocks,
        controls: vec!["SOC2 CC8.1".to_owned(), h()],
        file: "gates/x.toml".to_owned(),
        line: 12,
        warned,
        waivable: name == "always",
    }
}

fn proposed() -> ProposedChange {
    ProposedChange {
        row: ChangeRow {
            change: "C-3".parse().unwrap(),
            event: "policy.activated".to_owned(),
            permission: "policy".to_owned(),
            subject: None,
            status: "open".to_owned(),
            missing: 1,
            signed_by: vec!["sam".parse().unwrap()],
            proposed_at: UnixMillis(NOW.0 - DAY),
            expires_at: UnixMillis(NOW.0 + DAY),
            outcome: None,
        },
        reason: h(),
        policy: Digest::of(b"next"),
        stale: false,
        meaning: vec![MeaningLine { sort: "gate", name: h(), change: "removed", fields: vec![h()] }],
        rights: vec![RightsLine { who: h(), gained: vec![h()], lost: vec![h()] }],
        lines: vec![DiffLine { file: h(), added: true, line: 5, text: h() }],
        more_lines: 7,
        backtest: Some(Backtest {
            digest: Digest::of(b"report"),
            decisions: 412,
            unchanged: 409,
            errors: 0,
            totals: vec![("allow to deny".to_owned(), 3)],
            would_block: vec![
                WouldBlockLine { gate: h(), decisions: 10, enforced_from: Some(UnixMillis(NOW.0 + DAY)) },
                WouldBlockLine { gate: h(), decisions: 7, enforced_from: None },
            ],
            flips: vec![FlipLine {
                promotion: "P-3".to_owned(),
                what: h(),
                before: "allow".to_owned(),
                after: "deny".to_owned(),
                gates: vec![h()],
            }],
            more: 2,
        }),
    }
}

fn waiver() -> WaiverRow {
    WaiverRow {
        waiver: 40,
        request: None,
        state: "open".to_owned(),
        void: None,
        asked: WaiverRequest {
            gate: "scan".parse().unwrap(),
            finding: h(),
            service: "shop/web".parse().unwrap(),
            environment: "production".parse().unwrap(),
            release: None,
            artifact: None,
            reason: h(),
            ticket: Some(h()),
            expires_at: UnixMillis(NOW.0 + DAY),
            asked_by: "dana".parse().unwrap(),
            signature: String::new(),
        },
        granted_by: Some("sam".parse().unwrap()),
        granted_at: Some(NOW),
        ended_by: None,
    }
}

fn view() -> PolicyView {
    PolicyView {
        active: Active {
            name: h(),
            description: h(),
            digest: Digest::of(b"active"),
            at: 17,
            time: UnixMillis(NOW.0 - DAY),
            by: vec!["sam".parse().unwrap(), "tess".parse().unwrap()],
            reason: Some(h()),
            expires_at: Some(UnixMillis(NOW.0 + 10 * DAY)),
        },
        environments: vec![EnvironmentLine {
            name: "production".parse().unwrap(),
            purpose: h(),
            risk: "high".to_owned(),
            owners: vec!["approvers".to_owned()],
            after: Vec::new(),
            grant_ttl: "90d".to_owned(),
            line: 4,
        }],
        gates: vec![
            gate("always", Blocks::Always, 0),
            gate("soon", Blocks::From(UnixMillis(NOW.0 + DAY)), 7),
            gate("begun", Blocks::From(UnixMillis(NOW.0 - DAY)), 0),
            gate("never", Blocks::Never, 1),
        ],
        warned_from: 17,
        sources: Sources {
            names: vec![("gates/x.toml".to_owned(), 1)],
            shown: vec![SourceFile { path: "gates/x.toml".to_owned(), text: h() }],
        },
        checks: Checks {
            tests: vec![TestLine {
                name: h(),
                file: "tests/a.toml".to_owned(),
                line: 1,
                passed: false,
                expected: h(),
                found: h(),
            }],
            coverage: vec![CoverageLine { gate: "scan".to_owned(), file: h(), line: 3, passes: 1, objects: 0 }],
            percent: 50,
            lints: vec![LintLine { code: h(), warning: true, file: h(), line: None, message: h(), hint: Some(h()) }],
        },
        changes: vec![proposed()],
        waivers: vec![waiver()],
        feeds: vec![FeedRow {
            feed: FeedKind::Kev,
            digest: Digest::of(b"kev"),
            date: UnixMillis(NOW.0 - 30 * DAY),
            rows: 1_200,
            index: 60,
            recorded_at: UnixMillis(NOW.0 - DAY),
            by: "sam".parse().unwrap(),
            newest: true,
        }],
        trial: Trial {
            release: "shop/web@1.4.2".to_owned(),
            environment: "production".to_owned(),
            found: Some(Ok(Found {
                outcome: "deny".to_owned(),
                would_block: 1,
                gates: vec![GateRow {
                    gate: "scan".to_owned(),
                    kind: "vulnerabilities".to_owned(),
                    outcome: "fail".to_owned(),
                    reason: "VULNERABILITY_FOUND".to_owned(),
                    file: "gates/x.toml".to_owned(),
                    line: 12,
                    needed: h(),
                    found: h(),
                    evidence: vec![Digest::of(b"scan")],
                    who: h(),
                    fix: h(),
                }],
            })),
        },
    }
}

fn is_clean(text: &str) {
    for bad in ["<script", "<img", "\u{202e}", "\u{1b}", " style=", " onclick=", "javascript:"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
}

#[test]
fn the_page_says_what_is_demanded_where_that_stands_and_what_is_proposed() {
    let rights = Rights { may: vec!["policy".to_owned(), "waive".to_owned()], ..Rights::default() };
    let text = content(&view(), &rights, &"tess".parse().unwrap(), NOW).into_string();
    for wanted in [
        "entry 17",
        "signed by sam, tess",
        "/policy?file=gates%2Fx.toml#gates-x-12",
        "would have blocked <strong>7</strong> promotions",
        "would have blocked <strong>1</strong> promotion",
        " only warns",
        " announced",
        "SOC2 CC8.1",
        "0 of 1",
        "50 %",
        "lockgate change sign C-3",
        "lockgate change reject C-3 --reason REASON",
        "412 decisions made again: 409 the same, <strong>3 allow to deny</strong>",
        "10 would be blocked by <strong>",
        "</strong> once it enforces, <time",
        "</strong>, which only warns",
        "7 more lines",
        " ends soon",
        "lockgate waive revoke 40",
        "data-sign=\"waiver-revoke\"",
        "data-sign=\"waiver-request\"",
        " old",
        "VULNERABILITY_FOUND",
        "lockgate promote shop/web@1.4.2 --to production --reason REASON",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(text.matches("would have blocked <strong>").count(), 2, "{text}");
    is_clean(&text);
}

#[test]
fn who_signed_or_may_not_sign_is_told_so() {
    let mut rights = Rights { may: vec!["policy".to_owned()], ..Rights::default() };
    let text = content(&view(), &rights, &"sam".parse().unwrap(), NOW).into_string();
    assert!(text.contains("You signed it") && !text.contains("lockgate change sign C-3"), "{text}");
    rights.may.clear();
    rights.others.insert("policy".to_owned(), "group owners".to_owned());
    let text = content(&view(), &rights, &"dana".parse().unwrap(), NOW).into_string();
    assert!(text.contains("group owners may") && !text.contains("lockgate change reject"), "{text}");
    // Whoever asked may revoke their waiver; who neither asked, granted nor may grant any, may not.
    assert!(text.contains("data-sign=\"waiver-revoke\""), "{text}");
    let eve = content(&view(), &rights, &"eve".parse().unwrap(), NOW).into_string();
    assert!(!eve.contains("data-sign=\"waiver-revoke\"") && eve.contains("Revoking it is not for you: dana"), "{eve}");
}

#[test]
fn what_cannot_be_explained_says_why_and_what_is_empty_how_to_fill_it() {
    let mut view = view();
    view.changes.clear();
    view.waivers.clear();
    view.feeds.clear();
    view.checks = Checks::default();
    let problem = Problem::new(ProblemKind::NotFound, "RELEASE_UNKNOWN", HOSTILE, Some(h()));
    view.trial = Trial { release: h(), environment: h(), found: Some(Err(problem)) };
    let text = content(&view, &Rights::default(), &"dana".parse().unwrap(), NOW).into_string();
    for wanted in [
        "RELEASE_UNKNOWN",
        "lockgate policy activate DIR",
        "lockgate waive request",
        "lockgate feed update",
        "lockgate policy test DIR",
        "nothing is doubtful",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("lockgate promote"), "{text}");
    is_clean(&text);
}
