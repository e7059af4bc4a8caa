//! Freezes, break-glass and windows: what holds everything up, what was let past the gates, and when gates open.

pub mod calendar;

use lockgate_api::wire::{BreakGlassRow, FreezeRow};
use lockgate_model::{EnvName, PersonId, UnixMillis};
use maud::{Markup, html};

use self::calendar::Calendar;
use crate::Rights;
use crate::action::{reason, refused};
use crate::policy::source::place;
use crate::signing::{self, Span, hidden, lasts, line};
use crate::wording::{ago, command, digest, exact, outcome, until, visible};

/// How long a freeze can last.
const FREEZES: [Span; 5] =
    [("", "until it is lifted"), ("1h", "1 hour"), ("4h", "4 hours"), ("24h", "1 day"), ("7d", "7 days")];
/// How long a break-glass can last; the policy set may allow less.
const GLASSES: [Span; 5] =
    [("1h", "1 hour"), ("2h", "2 hours"), ("4h", "4 hours"), ("12h", "12 hours"), ("24h", "1 day")];

/// What is shown, as the address has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whether what is over is shown too.
    pub all: bool,
    /// How many freezes are passed over, the newest first.
    pub freezes_from: usize,
    /// How many break-glasses are passed over, the newest first.
    pub glass_from: usize,
}

impl Filter {
    fn address(self) -> String {
        let mut pairs = Vec::new();
        if self.all {
            pairs.push("all=1".to_owned());
        }
        for (name, from) in [("freezes", self.freezes_from), ("glass", self.glass_from)] {
            if from > 0 {
                pairs.push(format!("{name}={from}"));
            }
        }
        match pairs.is_empty() {
            true => "/freeze".to_owned(),
            false => format!("/freeze?{}", pairs.join("&")),
        }
    }
}

/// One `windows` gate of the active policy set in one environment.
#[derive(Debug, Clone)]
pub struct WindowLine {
    /// The environment.
    pub environment: EnvName,
    /// The gate.
    pub gate: String,
    /// The file of the policy set that it is written in.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// For which services, as patterns; empty stands for all.
    pub services: Vec<String>,
    /// Whether it is open now.
    pub open: bool,
    /// Whether it only warns now.
    pub warns_only: bool,
    /// Whether rollbacks are let in at any time.
    pub spares_rollbacks: bool,
    /// Why, where a window says so.
    pub reason: Option<String>,
    /// When that changes, with the time by the clocks of its zone where those differ.
    pub changes: Option<(UnixMillis, Option<String>)>,
    /// When it changes back.
    pub changes_back: Option<(UnixMillis, Option<String>)>,
}

/// What the page shows: one page of each list.
#[derive(Debug, Clone)]
pub struct FreezeView {
    /// Freezes, newest first.
    pub freezes: Vec<FreezeRow>,
    /// How many freezes the next page passes over, if there is one.
    pub more_freezes: Option<usize>,
    /// Break-glasses, newest first.
    pub break_glass: Vec<BreakGlassRow>,
    /// How many the next page of them passes over, if there is one.
    pub more_glass: Option<usize>,
    /// Every `windows` gate in every environment, in order.
    pub windows: Vec<WindowLine>,
    /// What those gates allow and deny in the next weeks.
    pub calendar: Calendar,
    /// The environments of the active policy set, in order.
    pub environments: Vec<EnvName>,
}

/// The page's content.
pub fn content(view: &FreezeView, filter: Filter, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        h1 { "Freeze and break-glass" }
        (banner(view, now))
        form.filters method="get" action="/freeze" {
            div {
                label.choice for="filter-all" {
                    input id="filter-all" type="checkbox" name="all" value="1" checked[filter.all]; " also what is over"
                }
            }
            button type="submit" { "Filter" }
        }
        (freezes(view, filter, rights, now))
        (break_glasses(view, filter, rights, person, now))
        (windows(&view.windows, now))
        (calendar::calendar(&view.calendar))
    }
}

fn banner(view: &FreezeView, now: UnixMillis) -> Markup {
    let open: Vec<&FreezeRow> = view.freezes.iter().filter(|row| row.open).collect();
    let unreviewed = view.break_glass.iter().filter(|row| row.state == "unreviewed").count();
    html! {
        @if open.is_empty() && unreviewed == 0 {
            p { span.state.good { span.icon aria-hidden="true" { "✓" } " Nothing on this page is frozen or waits for a review." } }
        }
        @for row in &open {
            div.problem role="alert" id={ "banner-" (row.freeze) } {
                p { strong { "Frozen: " (visible(&row.what)) } }
                // What counts on is not read out again each time that it changes.
                p aria-live="off" {
                    "by " strong { (row.by.as_str()) } " " (ago(row.since, now)) ": " (visible(&row.reason))
                }
                p aria-live="off" {
                    @match row.until {
                        Some(end) => { "It ends " (until(end, now)) ", at " (exact(end)) ". " },
                        None => { "It lasts until somebody lifts it. " },
                    }
                    @if row.spares_rollbacks { "Rollbacks are let through." } @else { "Rollbacks are stopped too." }
                }
            }
        }
        @if unreviewed > 0 {
            div.problem role="alert" {
                p { strong { (unreviewed) " break-glass without a review" } }
                p { "It blocks the next one. Somebody who did not sign it reviews it." }
            }
        }
    }
}

fn freezes(view: &FreezeView, filter: Filter, rights: &Rights, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="freezes-title" {
            h2 id="freezes-title" { "Freezes" }
            @if view.freezes.is_empty() {
                div.empty {
                    p { @if filter.all { "There is none." } @else { "None is in force." } }
                    pre { code { "lockgate freeze --env ENVIRONMENT --reason REASON" } }
                }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th.number scope="col" { "Entry" } th scope="col" { "Stops" } th scope="col" { "State" }
                        th scope="col" { "Ordered" } th scope="col" { "Until" } th scope="col" { "Lift it" }
                    } }
                    tbody { @for row in &view.freezes { (freeze(row, rights, now)) } }
                } }
            }
            (further(view.more_freezes.map(|from| Filter { freezes_from: from, ..filter }), "More freezes"))
            h3 { "Freeze" }
            (order(&view.environments, rights))
            (command("cli-freeze-all", "lockgate freeze --reason REASON"))
            (command("cli-freeze", "lockgate freeze --service SERVICE --env ENVIRONMENT --until 2h --spare-rollbacks --reason REASON"))
            (command("cli-freezes", "lockgate freeze list --all"))
        }
    }
}

fn order(environments: &[EnvName], rights: &Rights) -> Markup {
    let fields = html! {
        (line("freeze-service", "service", "Service; left empty, every service", false))
        (environment("freeze-environment", environments, true))
        (lasts("freeze-lasts", "Until", &FREEZES))
        label.choice for="freeze-rollbacks" {
            input id="freeze-rollbacks" type="checkbox" name="rollbacks" value="yes"; " let rollbacks through"
        }
        (reason("freeze-reason"))
    };
    html! {
        @if rights.may("freeze") {
            (signing::form("freeze", "freeze", "Freeze", &fields))
        } @else {
            (refused("Freeze", rights, "freeze"))
        }
    }
}

/// A labelled choice of an environment, or of all.
fn environment(id: &str, environments: &[EnvName], all: bool) -> Markup {
    html! {
        label for=(id) { "Environment" }
        select id=(id) name="environment" {
            @if all { option value="" { "every environment" } }
            @for one in environments { option value=(one.as_str()) { (one.as_str()) } }
        }
    }
}

fn further(next: Option<Filter>, label: &str) -> Markup {
    html! { @if let Some(next) = next { p { a.more rel="next" href=(next.address()) { (label) } } } }
}

fn freeze(row: &FreezeRow, rights: &Rights, now: UnixMillis) -> Markup {
    html! {
        tr id={ "freeze-" (row.freeze) } data-row {
            th.number scope="row" { a href={ "/timeline?before=" (row.freeze.saturating_add(1)) } { (row.freeze) } }
            td { (visible(&row.what)) @if row.spares_rollbacks { " " span.quiet { "not rollbacks" } } }
            td {
                @if row.open {
                    span.state.bad { span.icon aria-hidden="true" { "■" } " frozen" }
                } @else if let Some(by) = &row.lifted_by {
                    span.state.plain { span.icon aria-hidden="true" { "·" } " lifted" } " by " (by.as_str())
                } @else {
                    span.state.plain { span.icon aria-hidden="true" { "·" } " over" }
                }
            }
            td { (ago(row.since, now)) " by " (row.by.as_str()) ": " (visible(&row.reason)) }
            td {
                @match row.until {
                    Some(end) => { @if row.open { (until(end, now)) ", " } (exact(end)) },
                    None => { "it is lifted" },
                }
            }
            td {
                @if row.open {
                    @if rights.may("freeze") {
                        (lift(row.freeze))
                        (command(&format!("cli-unfreeze-{}", row.freeze), &format!("lockgate unfreeze {} --reason REASON", row.freeze)))
                    } @else {
                        span.quiet { "not you: " (visible(&rights.who("freeze"))) }
                    }
                }
            }
        }
    }
}

fn lift(entry: u64) -> Markup {
    let fields = html! {
        (hidden("freeze", &entry.to_string()))
        (reason(&format!("unfreeze-reason-{entry}")))
    };
    signing::form("unfreeze", &format!("unfreeze-{entry}"), "Lift it", &fields)
}

fn break_glasses(view: &FreezeView, filter: Filter, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="glass-title" {
            h2 id="glass-title" { "Break-glass" }
            p.quiet {
                "It lets one release into one environment past its gates, once, in an emergency. The ledger says so for \
                 ever, and somebody else reviews it."
            }
            @if view.break_glass.is_empty() {
                div.empty {
                    p { @if filter.all { "There is none." } @else { "None is open, and none waits for a review." } }
                    pre { code { "lockgate break-glass SERVICE@VERSION ENVIRONMENT --reason REASON --ticket TICKET" } }
                }
            } @else {
                ul.inbox { @for row in &view.break_glass { (break_glass(row, rights, person, now)) } }
            }
            (further(view.more_glass.map(|from| Filter { glass_from: from, ..filter }), "More break-glasses"))
            h3 { "Break glass" }
            (break_it(&view.environments, rights))
            (command("cli-glass", "lockgate break-glass SERVICE@VERSION ENVIRONMENT --reason REASON --ticket TICKET --expires 4h"))
            (command("cli-glasses", "lockgate break-glass list --all"))
        }
    }
}

fn break_it(environments: &[EnvName], rights: &Rights) -> Markup {
    let fields = html! {
        p.quiet { "It takes your signature, and those of as many more people as the policy set says." }
        (line("glass-release", "release", "Release, as SERVICE@VERSION", true))
        (environment("glass-environment", environments, false))
        (lasts("glass-lasts", "For how long", &GLASSES))
        (line("glass-ticket", "ticket", "Ticket or incident", true))
        (reason("glass-reason"))
    };
    html! {
        @if rights.may("break-glass") {
            (signing::form("break-glass", "glass", "Break glass", &fields))
        } @else {
            (refused("Break glass", rights, "break-glass"))
        }
    }
}

fn state(row: &BreakGlassRow) -> Markup {
    let (icon, class, word) = match row.state.as_str() {
        "open" => ("…", "wait", "waits for signatures"),
        "unreviewed" => ("!", "bad", "not reviewed"),
        "reviewed" => ("✓", "good", "reviewed"),
        _ => ("·", "plain", "over"),
    };
    html! { span class={ "state " (class) } { span.icon aria-hidden="true" { (icon) } " " (word) } }
}

fn break_glass(row: &BreakGlassRow, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let index = row.break_glass;
    let signers: Vec<&str> = row.signed_by.iter().map(PersonId::as_str).collect();
    html! {
        li id={ "glass-" (index) } data-row {
            p.line {
                (state(row)) " "
                a href={ "/releases/" (row.release) } { strong { (row.release) } } " into " strong { (row.environment.as_str()) }
                " " span.quiet { "manifest " (digest(&row.manifest)) }
            }
            p { (visible(&row.reason)) " " span.quiet { "ticket " (visible(&row.ticket)) } }
            p {
                a href={ "/timeline?before=" (index.saturating_add(1)) } { "entry " (index) } ", opened " (ago(row.opened_at, now))
                ", ends " (until(row.expires_at, now)) " at " (exact(row.expires_at))
            }
            p {
                "signed by " (signers.join(", ")) ", " (signers.len()) " of " (row.needed) "; "
                @if row.used { (outcome("granted")) " under it" } @else { "nothing was granted under it" }
            }
            @if let Some(by) = &row.reviewed_by {
                p { "reviewed by " strong { (by.as_str()) } ": " (visible(row.finding.as_deref().unwrap_or_default())) }
            }
            (next_step(row, rights, person))
        }
    }
}

/// What is to be done with it, for whom that is; otherwise who may.
fn next_step(row: &BreakGlassRow, rights: &Rights, person: &PersonId) -> Markup {
    let index = row.break_glass;
    let signed = row.signed_by.contains(person);
    let reviews = rights.may("break-glass") || rights.may("audit");
    html! {
        @match row.state.as_str() {
            "open" if signed => { p.quiet { "You signed it; somebody else signs too." } },
            "open" if rights.may("break-glass") => {
                (countersign(index))
                (command(&format!("cli-glass-sign-{index}"), &format!("lockgate break-glass sign {index}")))
            },
            "open" => { p.quiet { "not you: " (visible(&rights.who("break-glass"))) " sign it" } },
            "unreviewed" if signed => { p.quiet { "You signed it; somebody else reviews it." } },
            "unreviewed" if reviews => {
                (review(index))
                (command(&format!("cli-glass-review-{index}"), &format!("lockgate break-glass review {index} --finding FINDING")))
            },
            "unreviewed" => { p.quiet { "not you: " (visible(&rights.who("audit"))) " review it" } },
            _ => {},
        }
    }
}

fn countersign(entry: u64) -> Markup {
    let fields = html! { (hidden("break_glass", &entry.to_string())) };
    signing::form("break-glass-sign", &format!("glass-sign-{entry}"), "Sign it too", &fields)
}

fn review(entry: u64) -> Markup {
    let id = format!("glass-finding-{entry}");
    let fields = html! {
        (hidden("break_glass", &entry.to_string()))
        label for=(id) { "What the review found" }
        textarea id=(id) name="finding" rows="2" maxlength="2048" required {}
    };
    signing::form("break-glass-review", &format!("glass-review-{entry}"), "Review it", &fields)
}

fn windows(windows: &[WindowLine], now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="windows-title" {
            h2 id="windows-title" { "Windows" }
            @if windows.is_empty() {
                div.empty {
                    p { "No gate of the active policy set opens and closes by the clock. One would read:" }
                    pre { code {
                        "[[gate]]\nname = \"hours\"\nkind = \"windows\"\nenvironments = [\"production\"]\n\n[[gate.deny]]\n\
                         start = \"2026-12-20T18:00\"\nend = \"2027-01-02T06:00\"\nreason = \"holidays\""
                    } }
                }
            } @else {
                div.scroll { table {
                    caption.quiet { "When the gates of the active policy set let anything in" }
                    thead { tr {
                        th scope="col" { "Environment" } th scope="col" { "Gate" } th scope="col" { "Now" }
                        th scope="col" { "Next" } th scope="col" { "Then" }
                    } }
                    tbody { @for (at, line) in windows.iter().enumerate() { (window(at, line, now)) } }
                } }
            }
        }
    }
}

fn window(at: usize, line: &WindowLine, now: UnixMillis) -> Markup {
    let moment = |word: &str, change: &Option<(UnixMillis, Option<String>)>| {
        html! {
            @if let Some((time, local)) = change {
                (word) " " (until(*time, now)) ", " (exact(*time))
                @if let Some(local) = local { br; span.quiet { (visible(local)) } }
            }
        }
    };
    let (next, back) = if line.open { ("closes", "opens") } else { ("opens", "closes") };
    html! {
        tr id={ "window-" (at) } data-row {
            th scope="row" { (line.environment.as_str()) }
            td {
                (visible(&line.gate)) " " (place(&line.file, line.line))
                @if !line.services.is_empty() { " " span.quiet { "for " (visible(&line.services.join(", "))) } }
            }
            td {
                @if line.open {
                    span.state.good { span.icon aria-hidden="true" { "✓" } " open" }
                } @else {
                    span.state.bad { span.icon aria-hidden="true" { "■" } " closed" }
                }
                @if let Some(reason) = &line.reason { " " (visible(reason)) }
                @if line.warns_only { " " span.quiet { "it only warns" } }
                @if line.spares_rollbacks && !line.open { " " span.quiet { "rollbacks go through" } }
            }
            td { @if line.changes.is_some() { (moment(next, &line.changes)) } @else { span.quiet { "no change in sight" } } }
            td { (moment(back, &line.changes_back)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Digest;

    const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\u{1b}[2J";

    fn view() -> FreezeView {
        let glass = |index: u64, state: &str| BreakGlassRow {
            break_glass: index,
            release: "shop/web@1.4.2".parse().unwrap(),
            manifest: Digest::of(b"manifest"),
            environment: "production".parse().unwrap(),
            reason: HOSTILE.to_owned(),
            ticket: HOSTILE.to_owned(),
            opened_at: UnixMillis(0),
            expires_at: UnixMillis(7_200_000),
            signed_by: vec!["sam".parse().unwrap()],
            needed: 2,
            state: state.to_owned(),
            used: state == "unreviewed",
            reviewed_by: None,
            finding: None,
        };
        FreezeView {
            freezes: vec![FreezeRow {
                freeze: 7,
                service: None,
                environment: None,
                what: "everything".to_owned(),
                by: "sam".parse().unwrap(),
                reason: HOSTILE.to_owned(),
                since: UnixMillis(0),
                until: Some(UnixMillis(7_200_000)),
                spares_rollbacks: false,
                open: true,
                lifted_by: None,
            }],
            more_freezes: Some(50),
            break_glass: vec![glass(9, "open"), glass(8, "unreviewed")],
            more_glass: None,
            windows: vec![WindowLine {
                environment: "production".parse().unwrap(),
                gate: "hours".to_owned(),
                file: "gates/hours.toml".to_owned(),
                line: 3,
                services: vec![HOSTILE.to_owned()],
                open: false,
                warns_only: false,
                spares_rollbacks: true,
                reason: Some(HOSTILE.to_owned()),
                changes: Some((UnixMillis(7_200_000), Some("1970-01-01T03:00:00 Europe/Berlin".to_owned()))),
                changes_back: None,
            }],
            calendar: calendar::tests::calendar(),
            environments: vec!["dev".parse().unwrap(), "production".parse().unwrap()],
        }
    }

    fn rights(may: &[&str]) -> Rights {
        let mut rights = Rights { may: may.iter().map(|one| (*one).to_owned()).collect(), ..Rights::default() };
        rights.others.insert("freeze".to_owned(), "group owners".to_owned());
        rights.others.insert("audit".to_owned(), "group auditors".to_owned());
        rights
    }

    #[test]
    fn a_freeze_says_who_why_and_until_when_and_stays_text() {
        let filter = Filter { all: true, ..Filter::default() };
        let person: PersonId = "dana".parse().unwrap();
        let text =
            content(&view(), filter, &rights(&["freeze", "break-glass"]), &person, UnixMillis(3_600_000)).into_string();
        for wanted in [
            "Frozen: everything",
            "in 1 h",
            "1970-01-01 02:00:00 UTC",
            "lockgate unfreeze 7 --reason REASON",
            "/freeze?all=1&amp;freezes=50",
            "lockgate break-glass sign 9",
            "lockgate break-glass review 8 --finding FINDING",
            "1 break-glass without a review",
            "rollbacks go through",
            "/policy?file=gates%2Fhours.toml#gates-hours-3",
            "1970-01-01T03:00:00 Europe/Berlin",
            "The next four weeks",
            "data-sign=\"freeze\"",
            "data-sign=\"unfreeze\"",
            "data-sign=\"break-glass\"",
            "data-sign=\"break-glass-sign\"",
            "data-sign=\"break-glass-review\"",
            "<option value=\"production\">",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        for bad in ["<script", "\u{202e}", "\u{1b}", " style=", " onclick="] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
    }

    #[test]
    fn who_may_not_sees_who_may_and_signers_do_not_review() {
        let now = UnixMillis(3_600_000);
        let text = content(&view(), Filter::default(), &rights(&[]), &"dana".parse().unwrap(), now).into_string();
        assert!(!text.contains("lockgate unfreeze") && !text.contains("break-glass review"), "{text}");
        assert!(
            !text.contains("data-sign") && text.contains("<button type=\"button\" disabled>Freeze</button>"),
            "{text}"
        );
        assert!(text.contains("group owners may") && text.contains("group auditors may"), "{text}");
        let sam = content(&view(), Filter::default(), &rights(&["audit"]), &"sam".parse().unwrap(), now).into_string();
        assert!(
            sam.contains("You signed it; somebody else reviews it.") && !sam.contains("break-glass review 8"),
            "{sam}"
        );
    }

    #[test]
    fn what_is_empty_shows_the_command_that_fills_it() {
        let view = FreezeView {
            freezes: Vec::new(),
            more_freezes: None,
            break_glass: Vec::new(),
            more_glass: None,
            windows: Vec::new(),
            calendar: Calendar { from: UnixMillis(0), to: UnixMillis(1), lanes: Vec::new(), more_gates: 0 },
            environments: Vec::new(),
        };
        let person: PersonId = "dana".parse().unwrap();
        let text = content(&view, Filter::default(), &rights(&[]), &person, UnixMillis(0)).into_string();
        for wanted in ["None is in force.", "lockgate freeze --env", "kind = \"windows\"", "Nothing on this page"] {
            assert!(text.replace("&quot;", "\"").contains(wanted), "{wanted}: {text}");
        }
    }
}
