//! The shell: what every page of the dashboard has around its content.

use std::fmt;

use lockgate_model::{PersonId, UnixMillis};
use maud::{DOCTYPE, Markup, html};

use crate::signing;
use crate::wording::{ago, until, visible};

/// The parts of the dashboard, in the order of its menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What runs where.
    Pipeline,
    /// What waits for the person.
    Inbox,
    /// What was reported to run, compared with what is granted.
    Drift,
    /// What happened.
    Timeline,
    /// The transparency log.
    Log,
    /// Keys and signers.
    Keys,
    /// The policy set.
    Policy,
    /// Figures.
    Metrics,
    /// Freezes and break-glass.
    Emergency,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pipeline,
        Self::Inbox,
        Self::Drift,
        Self::Timeline,
        Self::Log,
        Self::Keys,
        Self::Policy,
        Self::Metrics,
        Self::Emergency,
    ];

    /// What the menu calls it, its address, and the letter after `g` that goes there.
    pub fn link(self) -> (&'static str, &'static str, char) {
        match self {
            Self::Pipeline => ("Pipeline", "/", 'p'),
            Self::Inbox => ("Needs you", "/inbox", 'i'),
            Self::Drift => ("Drift", "/drift", 'd'),
            Self::Timeline => ("Timeline", "/timeline", 't'),
            Self::Log => ("Log", "/log", 'l'),
            Self::Keys => ("Keys", "/keys", 'k'),
            Self::Policy => ("Policy", "/policy", 'o'),
            Self::Metrics => ("Metrics", "/metrics", 'm'),
            Self::Emergency => ("Freeze", "/freeze", 'f'),
        }
    }
}

/// What holds something up, or what somebody has to look at; shown on every page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is, in words.
    pub text: String,
    /// When it ends by itself, where it does.
    pub ends: Option<UnixMillis>,
}

/// How many things wait for somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// As far as they were counted.
    pub count: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, if self.more { "+" } else { "" })
    }
}

/// What is around the content.
#[derive(Debug, Clone)]
pub struct Shell {
    /// Who looks at it.
    pub person: PersonId,
    /// The ledger's origin.
    pub origin: String,
    /// How many entries the ledger had when the page was made: updates resume from there.
    pub entries: u64,
    /// The ledger's time at the newest of them, after which the checkpoint that covers it was signed.
    pub signed: UnixMillis,
    /// Whether this is a demo instance.
    pub demo: bool,
    /// The server's time.
    pub now: UnixMillis,
    /// How many things wait for this person.
    pub waiting: Waiting,
    /// What holds everything up at the moment, such as a freeze; shown on every page.
    pub alarms: Vec<Alarm>,
}

impl Shell {
    /// A whole page.
    pub fn page(&self, section: Option<Section>, title: &str, content: &Markup) -> String {
        let title = visible(title);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · Lockgate" }
                    link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/assets/dashboard.css";
                    script type="module" src="/assets/dashboard.js" {}
                }
                body data-entries=(self.entries) data-now=(self.now.0) {
                    a.skip href="#content" { "Skip to the content" }
                    (self.head(section))
                    @if self.demo {
                        aside.banner aria-label="Demo" { strong { "Demo." } " The keys of this instance mean nothing." }
                    }
                    div id="alarms" role="status" {
                        @for alarm in &self.alarms {
                            (self.alarm(alarm))
                        }
                    }
                    div role="alert" {
                        p.banner.alarm id="signed-out" hidden {
                            span.icon aria-hidden="true" { "!" }
                            " You are signed out, so that this page stands still. "
                            a href="/sign-in" { "Sign in" }
                        }
                    }
                    main id="content" tabindex="-1" { (content) }
                    (self.foot())
                    (signing::dialog())
                }
            }
        };
        page.into_string()
    }

    /// One alarm. What counts down is not read out again each time that it changes.
    fn alarm(&self, alarm: &Alarm) -> Markup {
        html! {
            p.banner.alarm {
                span.icon aria-hidden="true" { "!" } " " (visible(&alarm.text))
                @if let Some(end) = alarm.ends { " " span aria-live="off" { "(ends " (until(end, self.now)) ")" } }
            }
        }
    }

    fn head(&self, section: Option<Section>) -> Markup {
        html! {
            header.top {
                a.brand href="/" { img src="/assets/icon.svg" alt="" width="24" height="24"; "Lockgate" }
                nav aria-label="Main" {
                    ul {
                        @for one in Section::ALL {
                            @let (name, address, letter) = one.link();
                            li {
                                a href=(address) data-go=(letter) aria-current=[(section == Some(one)).then_some("page")] {
                                    (name)
                                    @if one == Section::Inbox && self.waiting != Waiting::default() {
                                        " " span.count { (self.waiting.to_string()) }
                                    }
                                }
                            }
                        }
                    }
                }
                p.who {
                    span id="live" class="live" role="status" { "live" }
                    span.person { (self.person.as_str()) }
                    button.plain id="sign-out" type="button" { "Sign out" }
                }
            }
        }
    }

    fn foot(&self) -> Markup {
        html! {
            footer {
                p {
                    "Ledger " code { (visible(&self.origin)) } ", "
                    a href="/log" { span id="entries" { (self.entries) } " entries" }
                    ", signed " (ago(self.signed, self.now)) ", cosigned by no witness. "
                    span.keys { "Press " kbd { "?" } " for the keys." }
                }
                dialog id="keys-help" aria-labelledby="keys-title" {
                    h2 id="keys-title" { "Keys" }
                    dl {
                        dt { kbd { "/" } } dd { "search" }
                        dt { kbd { "j" } " " kbd { "k" } } dd { "next and previous row" }
                        dt { kbd { "Enter" } } dd { "open the row" }
                        @for one in Section::ALL {
                            @let (name, _, letter) = one.link();
                            dt { kbd { "g" } " " kbd { (letter) } } dd { (name) }
                        }
                        dt { kbd { "?" } } dd { "this list" }
                    }
                    form method="dialog" { button { "Close" } }
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn shell() -> Shell {
        Shell {
            person: "sam".parse().unwrap(),
            origin: "log1.example".to_owned(),
            entries: 12,
            signed: UnixMillis(1_700_000_000_000 - 180_000),
            demo: false,
            now: UnixMillis(1_700_000_000_000),
            waiting: Waiting { count: 2, more: false },
            alarms: Vec::new(),
        }
    }

    #[test]
    fn pages_have_no_inline_script_or_style_and_hostile_text_stays_text() {
        let mut shell = shell();
        shell.alarms.push(Alarm { text: "<img src=x onerror=alert(1)>\u{202e}".to_owned(), ends: None });
        let page = shell.page(Some(Section::Inbox), "<script>alert(1)</script>", &html! { p { "hello" } });
        for bad in ["<script>", "<style", " style=", " onclick=", "<img src=x", "javascript:", "https://", "\u{202e}"] {
            assert!(!page.contains(bad), "{bad} in {page}");
        }
        assert!(page.contains(r#"href="/inbox" data-go="i" aria-current="page""#), "{page}");
    }

    #[test]
    fn what_waits_is_counted_and_more_than_was_counted_is_said() {
        let check = |count: u64, more: bool, wanted: Option<&str>| {
            let page = Shell { waiting: Waiting { count, more }, ..shell() }.page(None, "title", &html! {});
            let found = page.split_once("class=\"count\">").and_then(|(_, rest)| rest.split('<').next());
            assert_eq!(found, wanted, "{count} {more}");
        };
        check(0, false, None);
        check(2, false, Some("2"));
        check(50, true, Some("50+"));
        // None of the first promotions was for this person; nobody looked at the rest.
        check(0, true, Some("0+"));
    }

    #[test]
    fn every_page_says_how_old_the_checkpoint_is_and_counts_alarms_down() {
        let mut shell = shell();
        let ends = UnixMillis(shell.now.0 + 7_500_000);
        shell.alarms.push(Alarm { text: "everything is frozen".to_owned(), ends: Some(ends) });
        let page = shell.page(None, "title", &html! {});
        for wanted in [
            "data-now=\"1700000000000\"",
            ">3 min ago</time>, cosigned by no witness",
            "everything is frozen <span aria-live=\"off\">(ends <time",
            ">in 2 h 5 min</time>)",
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
    }

    #[test]
    fn each_section_has_a_letter_of_its_own() {
        let letters: std::collections::BTreeSet<char> = Section::ALL.iter().map(|one| one.link().2).collect();
        assert_eq!(letters.len(), Section::ALL.len());
    }
}
