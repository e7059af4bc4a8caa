//! Keys and signers: whose word counts for what, until when, and since when it does not.

use std::collections::BTreeSet;

use lockgate_api::client::query_value;
use lockgate_api::wire::{CiTrustRow, DelegationRow, KeyRow, PersonRow, ReviewMade, SessionRow};
use lockgate_model::{Digest, PersonId, UnixMillis};
use maud::{Markup, html};

use crate::Rights;
use crate::access::review::{REVIEW_DAYS, last_review};
use crate::access::{Tab, tabs};
use crate::action::{problem, reason, refused};
use crate::signing::{self, hidden, line};
use crate::wording::{ago, command, exact, plural, until, visible};
use crate::{ci_trusts, delegations};

/// How many days before its end a key is told of, for the first, second and last time.
const WARN_DAYS: [u64; 3] = [30, 14, 3];
const DAY_MILLIS: u64 = 86_400_000;
/// How many hex digits of a digest tell the lines of one page apart.
const NAME_DIGITS: usize = 32;

/// The states that can be chosen: their words in the address, and what the page calls them.
pub const STATES: [(&str, &str); 7] = [
    ("good", "good"),
    ("expiring", "ends soon"),
    ("expired", "over"),
    ("retired", "retired"),
    ("compromised", "compromised"),
    ("suspect", "suspect"),
    ("suspended", "suspended"),
];

/// What is filtered by, as the address has it; what is empty filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Words that an owner, a kind, a scope or an id contains.
    pub text: String,
    /// One of [`STATES`].
    pub state: String,
    /// How many are passed over.
    pub from: usize,
}

impl Filter {
    /// Whether a line is what was asked for.
    pub fn keeps(&self, line: &KeyLine) -> bool {
        let text = self.text.trim().to_lowercase();
        let says = |part: &String| part.to_lowercase().contains(&text);
        let fits =
            self.state.is_empty() || line.state.word() == self.state || (self.state == "good" && line.state.counts());
        fits && [&line.owner, &line.kind, &line.scope, &line.id].into_iter().any(says)
    }

    fn address(&self, from: usize) -> String {
        let mut pairs = Vec::new();
        for (name, value) in [("q", &self.text), ("state", &self.state)] {
            if !value.is_empty() {
                pairs.push(format!("{name}={}", query_value(value)));
            }
        }
        if from > 0 {
            pairs.push(format!("from={from}"));
        }
        format!("/keys?{}", pairs.join("&"))
    }

    fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && self.state.is_empty()
    }
}

/// Whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It counts.
    Good,
    /// It counts, and ends within so many days.
    Expiring(u64),
    /// Its time is over.
    Expired,
    /// It was given up; what it signed before stays valid.
    Retired,
    /// It was in someone else's hands.
    Compromised,
    /// What enrolled it turned out to be void.
    Suspect,
    /// Its owner is suspended.
    Suspended,
}

impl KeyState {
    /// The word that the address has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expiring(_) => "expiring",
            Self::Expired => "expired",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
            Self::Suspect => "suspect",
            Self::Suspended => "suspended",
        }
    }

    fn counts(self) -> bool {
        matches!(self, Self::Good | Self::Expiring(_))
    }

    fn markup(self) -> Markup {
        let (icon, class, word) = match self {
            Self::Good => ("✓", "good", "good".to_owned()),
            Self::Expiring(days) if days <= 3 => ("!!!", "bad", "ends within 3 days".to_owned()),
            Self::Expiring(days) => (if days <= 14 { "!!" } else { "!" }, "warn", format!("ends within {days} days")),
            Self::Expired => ("✗", "bad", "over".to_owned()),
            Self::Retired => ("·", "plain", "retired".to_owned()),
            Self::Compromised => ("✗", "bad", "compromised".to_owned()),
            Self::Suspect => ("?", "bad", "suspect".to_owned()),
            Self::Suspended => ("■", "warn", "owner suspended".to_owned()),
        };
        html! { span class={ "state " (class) } { span.icon aria-hidden="true" { (icon) } " " (word) } }
    }

    /// How an end in time stands at a moment.
    fn of_end(expires_at: Option<UnixMillis>, now: UnixMillis) -> Self {
        let Some(end) = expires_at else { return Self::Good };
        if end <= now {
            return Self::Expired;
        }
        let left = end.0.saturating_sub(now.0);
        let within = WARN_DAYS.into_iter().rev().find(|days| left <= days.saturating_mul(DAY_MILLIS));
        within.map_or(Self::Good, Self::Expiring)
    }
}

/// What a signature made on the page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Nothing: it has ended, or ends elsewhere.
    Nothing,
    /// The key, for its owner and whoever manages keys.
    Key,
    /// The CI trust of this entry, for whoever manages keys.
    Trust(u64),
}

/// One key, passkey, trust or signer.
#[derive(Debug, Clone)]
pub struct KeyLine {
    /// Its fingerprint, or what else it is known by.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Whose, where that is a person or machine of the ledger.
    pub person: Option<PersonId>,
    /// What it is, such as `ssh-ed25519`, `passkey` or `CI trust`.
    pub kind: String,
    /// Groups, services, environments or kinds of evidence that it is for.
    pub scope: String,
    /// The entry that brought it in.
    pub enrolled_at: Option<u64>,
    /// Who vouched for it there, in words; empty where nobody looked.
    pub enrolled_by: String,
    /// When it ends by itself.
    pub expires_at: Option<UnixMillis>,
    /// What its owner did last in the ledger: the entry, and when.
    pub used: Option<(u64, UnixMillis)>,
    /// Whether it counts.
    pub state: KeyState,
    /// The entry that ended it.
    pub ended_at: Option<u64>,
    /// What a signature made here ends.
    pub ends: Ends,
    /// What ends it or changes it, as commands.
    pub commands: Vec<String>,
}

/// Everyone's keys, in order of name; `passkeys` are the fingerprints of those that are one.
pub fn people_lines(people: &[PersonRow], passkeys: &BTreeSet<String>, now: UnixMillis) -> Vec<KeyLine> {
    let mut lines = Vec::new();
    for person in people {
        lines.extend(person.keys.iter().map(|key| key_line(person, key, passkeys.contains(&key.fingerprint), now)));
    }
    lines
}

fn key_line(person: &PersonRow, key: &KeyRow, passkey: bool, now: UnixMillis) -> KeyLine {
    let algorithm = key.key.split_whitespace().next().unwrap_or_default();
    let groups: Vec<&str> = person.groups.iter().map(|group| group.as_str()).collect();
    let mut scope = groups.join(", ");
    if !key.environments.is_empty() {
        let environments: Vec<&str> = key.environments.iter().map(|environment| environment.as_str()).collect();
        scope.push_str(&format!("; only for {}", environments.join(", ")));
    }
    let state = match key.ended.as_deref() {
        Some("compromised") => KeyState::Compromised,
        Some("suspect") => KeyState::Suspect,
        Some(_) => KeyState::Retired,
        None if person.suspended_at.is_some() => KeyState::Suspended,
        None => KeyState::of_end(key.expires_at, now),
    };
    let (name, fingerprint) = (person.person.as_str(), key.fingerprint.as_str());
    let commands = match key.ended {
        Some(_) => Vec::new(),
        None => vec![
            "lockgate key rotate --key FILE".to_owned(),
            format!("lockgate key retire {name} --fingerprint {fingerprint} --reason REASON"),
            format!("lockgate key compromised {name} --fingerprint {fingerprint} --since INDEX --reason REASON"),
        ],
    };
    KeyLine {
        id: fingerprint.to_owned(),
        owner: name.to_owned(),
        person: Some(person.person.clone()),
        kind: if passkey { format!("passkey, {algorithm}") } else { algorithm.to_owned() },
        scope,
        enrolled_at: Some(key.enrolled_at),
        enrolled_by: String::new(),
        expires_at: key.expires_at,
        used: None,
        state,
        ended_at: key.ended_at,
        ends: if key.ended.is_none() { Ends::Key } else { Ends::Nothing },
        commands,
    }
}

/// The pipelines that may act as machines, in ledger order.
pub fn trust_lines(trusts: &[CiTrustRow]) -> Vec<KeyLine> {
    let line = |trust: &CiTrustRow| {
        let claims: Vec<String> = trust.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let services: Vec<&str> = trust.services.iter().map(|service| service.as_str()).collect();
        KeyLine {
            id: format!("{} {}", trust.issuer, claims.join(" ")),
            owner: trust.machine.as_str().to_owned(),
            person: Some(trust.machine.clone()),
            kind: "CI trust".to_owned(),
            scope: services.join(", "),
            enrolled_at: Some(trust.trust),
            enrolled_by: trust.by.as_str().to_owned(),
            expires_at: None,
            used: None,
            state: KeyState::Good,
            ended_at: None,
            ends: Ends::Trust(trust.trust),
            commands: vec![format!("lockgate ci trust remove {} --reason REASON", trust.trust)],
        }
    };
    trusts.iter().map(line).collect()
}

/// What the page shows beside its filter.
#[derive(Debug, Clone)]
pub struct KeysView {
    /// One page of what fits.
    pub lines: Vec<KeyLine>,
    /// How many fit.
    pub fitting: usize,
    /// How many there are of each state that the page warns of, of all keys: within 30, 14 and 3 days, and over.
    pub warnings: [usize; 4],
    /// How many the next page passes over, if there is one.
    pub next: Option<usize>,
    /// The delegations in force, newest first.
    pub delegations: Vec<DelegationRow>,
    /// How many more are in force than are listed.
    pub more_delegations: usize,
    /// The person's own sessions.
    pub sessions: Vec<SessionRow>,
    /// The newest access review.
    pub review: Option<ReviewMade>,
}

/// Counts what ends soon or has ended by itself: within 30, 14 and 3 days, each apart, and over.
pub fn warnings(lines: &[KeyLine]) -> [usize; 4] {
    let count = |wanted: KeyState| lines.iter().filter(|line| line.state == wanted).count();
    [
        count(KeyState::Expiring(30)),
        count(KeyState::Expiring(14)),
        count(KeyState::Expiring(3)),
        count(KeyState::Expired),
    ]
}

/// The page's content.
pub fn content(view: &KeysView, filter: &Filter, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        (tabs(Tab::Keys, rights))
        h1 { "Keys and signers" }
        (ending(view.warnings))
        (form(filter))
        (table(view, filter, rights, person, now))
        (enrol(rights))
        (standing(rights))
        (ci_trusts::section(rights))
        (lent(view, rights, person, now))
        (sessions(&view.sessions, now))
        (review(view.review.as_ref(), rights, now))
    }
}

fn ending([month, fortnight, days, over]: [usize; 4]) -> Markup {
    html! {
        @if month + fortnight + days > 0 {
            div.problem role="status" {
                p { strong { "Keys end soon. " } a href="/keys?state=expiring" { "Show them" } }
                ul {
                    @for (count, state) in [(days, 3), (fortnight, 14), (month, 30)] {
                        @if count > 0 { li { (count) " " (KeyState::Expiring(state).markup()) } }
                    }
                }
                (command("cli-rotate", "lockgate key rotate --key FILE --expires 365d"))
            }
        }
        @if over > 0 { p.quiet { a href="/keys?state=expired" { (over) " ended by themselves" } "." } }
    }
}

fn form(filter: &Filter) -> Markup {
    html! {
        form.filters method="get" action="/keys" role="search" {
            div {
                label for="filter-q" { "Owner, kind, scope or fingerprint" }
                input id="filter-q" name="q" type="search" value=(visible(&filter.text)) maxlength="128" autocomplete="off";
            }
            div {
                label for="filter-state" { "State" }
                select id="filter-state" name="state" {
                    option value="" { "any" }
                    @for (word, name) in STATES { option value=(word) selected[filter.state == word] { (name) } }
                }
            }
            button type="submit" { "Filter" }
            @if !filter.is_empty() { a href="/keys" { "Clear" } }
        }
    }
}

fn table(view: &KeysView, filter: &Filter, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        @if view.lines.is_empty() {
            div.empty {
                p { "No key fits. " @if !filter.is_empty() { a href="/keys" { "Show all" } } }
                pre { code { "lockgate key enrol NAME --group GROUP" } }
            }
        } @else {
            div.scroll { table.timeline {
                caption.quiet { (view.fitting) " " (plural(view.fitting as u64, "key or signer", "keys and signers")) }
                thead { tr {
                    th scope="col" { "Owner" } th scope="col" { "Kind" } th scope="col" { "For" } th scope="col" { "State" }
                    th scope="col" { "Enrolled" } th scope="col" { "Ends" }
                    th scope="col" title="The newest entry of its owner that took a permission" { "Owner last acted" }
                } }
                tbody {
                    @for line in &view.lines { (row(line, rights, person, now)) }
                }
            } }
            @if let Some(next) = view.next { p { a.more rel="next" href=(filter.address(next)) { "More keys" } } }
            @if filter.from > 0 { p { a href=(filter.address(0)) { "Back to the first" } } }
        }
    }
}

/// What the ids of a line's parts end with: they belong to the key and not to its place, so that a form that was begun
/// stays with the key that it is about when others come before it.
fn name_of(line: &KeyLine) -> String {
    let entry = line.enrolled_at.map(|entry| entry.to_string()).unwrap_or_default();
    let parts = [line.kind.as_str(), line.id.as_str(), line.owner.as_str(), entry.as_str()];
    let digest = Digest::of(parts.join("\n").as_bytes());
    digest.hex().chars().take(NAME_DIGITS).collect()
}

fn row(line: &KeyLine, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let name = name_of(line);
    html! {
        tr id={ "key-" (name) } data-row {
            th scope="row" {
                (visible(&line.owner))
                details id={ "key-more-" (name) } {
                    summary.quiet { code { (short(&line.id)) } }
                    p { code { (visible(&line.id)) } }
                    (commands(&name, line, rights, person))
                }
            }
            td { (visible(&line.kind)) }
            td { (visible(&line.scope)) }
            td {
                (line.state.markup())
                @if let Some(entry) = line.ended_at { " " (entry_link(entry)) }
            }
            td {
                @match line.enrolled_at {
                    Some(entry) => {
                        (entry_link(entry)) @if !line.enrolled_by.is_empty() { " by " (visible(&line.enrolled_by)) }
                    },
                    None => { span.quiet { (visible(&line.enrolled_by)) } },
                }
            }
            td { @match line.expires_at { Some(end) => { (exact(end)) }, None => { span.quiet { "never" } }, } }
            td {
                @match line.used {
                    Some((entry, time)) => { (ago(time, now)) ", " (entry_link(entry)) },
                    None if line.person.is_some() => { span.quiet { "never" } },
                    None => { span.quiet { "—" } },
                }
            }
        }
    }
}

fn entry_link(entry: u64) -> Markup {
    html! { a href={ "/timeline?before=" (entry.saturating_add(1)) } { "entry " (entry) } }
}

/// The beginning of an id that may be long.
fn short(id: &str) -> String {
    let short: String = visible(id).chars().take(24).collect();
    if short.len() < id.len() { format!("{short}…") } else { short }
}

fn commands(name: &str, line: &KeyLine, rights: &Rights, person: &PersonId) -> Markup {
    // A machine ends no trust of its own.
    let trust = matches!(line.ends, Ends::Trust(_));
    let own = !trust && line.person.as_ref() == Some(person);
    // What is nobody's key ends by no command of its own: what is shown reads, or asks for its permission itself.
    let free = line.person.is_none();
    html! {
        @if line.commands.is_empty() {
            p.quiet { "Nothing is to be done with it." }
        } @else if own || free || rights.may("keys") {
            @match (line.ends, &line.person) {
                (Ends::Key, Some(owner)) => { (end(name, owner, &line.id)) },
                (Ends::Trust(entry), _) => { (ci_trusts::end(entry)) },
                _ => {},
            }
            @for (number, text) in line.commands.iter().enumerate() {
                // Only its owner can put a new key in the place of an own one.
                @if own || !text.starts_with("lockgate key rotate") { (command(&format!("cli-key-{name}-{number}"), &visible(text))) }
            }
        } @else if trust {
            p.quiet { "not you: " (visible(&rights.who("keys"))) }
        } @else {
            p.quiet { "not you: " (visible(&line.owner)) ", and " (visible(&rights.who("keys"))) }
        }
        @if let Some(owner) = line.person.as_ref().filter(|_| !own && rights.may("keys")) { (sign_out(name, owner)) }
    }
}

/// Ends a key: given up, or found in someone else's hands.
fn end(name: &str, owner: &PersonId, fingerprint: &str) -> Markup {
    let whose = html! { (hidden("person", owner.as_str())) (hidden("key", fingerprint)) };
    let retire = html! { (whose) (reason(&format!("retire-reason-{name}"))) };
    let compromised = html! {
        (whose)
        label for={ "since-" (name) } { "Since which entry; what it signed there or later is void" }
        input id={ "since-" (name) } name="since" type="number" min="0" required;
        (reason(&format!("compromised-reason-{name}")))
    };
    html! {
        (signing::form("key-retire", &format!("retire-{name}"), "Retire it", &retire))
        (signing::form("key-compromised", &format!("compromised-{name}"), "It was in someone else's hands", &compromised))
    }
}

/// Ends the sessions of somebody else.
fn sign_out(name: &str, owner: &PersonId) -> Markup {
    html! {
        form.act data-act={ "/v1/sessions/all?person=" (query_value(owner.as_str())) } data-method="DELETE" method="post" {
            button.plain id={ "sign-out-" (name) } type="submit" { "End all sessions of " (owner.as_str()) }
            (problem())
        }
        (command(&format!("cli-sign-out-{name}"), &format!("lockgate session end --all --person {owner}")))
    }
}

/// Suspends people, and reinstates them.
fn standing(rights: &Rights) -> Markup {
    let fields = |id: &str| {
        html! { (line(&format!("{id}-person"), "person", "Whom", true)) (reason(&format!("{id}-reason"))) }
    };
    html! {
        section aria-labelledby="standing-title" {
            h2 id="standing-title" { "Suspend and reinstate" }
            p { "Suspending somebody ends their sessions, and nothing that they sign counts until they are reinstated." }
            @if rights.may("keys") {
                (signing::form("suspend", "suspend", "Suspend", &fields("suspend")))
                (command("cli-suspend", "lockgate key suspend NAME --reason REASON"))
                (signing::form("reinstate", "reinstate", "Reinstate", &fields("reinstate")))
                (command("cli-reinstate", "lockgate key reinstate NAME --reason REASON"))
            } @else {
                (refused("Suspend", rights, "keys"))
                (refused("Reinstate", rights, "keys"))
            }
        }
    }
}

fn enrol(rights: &Rights) -> Markup {
    html! {
        section aria-labelledby="enrol-title" {
            h2 id="enrol-title" { "Enrol, replace, end" }
            p { "A passkey is made on the page " a href="/enrol" { "/enrol" } "; SSH keys on the command line:" }
            (command("cli-enrol", "lockgate key enrol NAME --group GROUP"))
            (command("cli-add", "lockgate key add NAME --key FILE"))
            (command("cli-replace", "lockgate key rotate --key FILE"))
            (command("cli-recover", "lockgate key recover NAME --key FILE --reason REASON"))
            @if rights.may("keys") {
                (command("cli-invite", "lockgate invite NAME.enrolment.json"))
            } @else {
                p.quiet { "Vouching for people is not for you: " (visible(&rights.who("keys"))) " (" code { "keys" } ")." }
            }
            (command("cli-list", "lockgate key list"))
        }
    }
}

fn lent(view: &KeysView, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="delegations-title" {
            h2 id="delegations-title" { "Delegations" }
            @if view.delegations.is_empty() {
                div.empty {
                    p { "Nobody approves in anybody's place." }
                    (command("cli-none-delegations", "lockgate delegate add NAME --for 7d --reason REASON"))
                }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th.number scope="col" { "Entry" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "For" }
                        th scope="col" { "Ends" } th scope="col" { "End it" }
                    } }
                    tbody { @for one in &view.delegations { (delegation(one, rights, person, now)) } }
                } }
            }
            @if view.more_delegations > 0 { p.quiet { (view.more_delegations) " more:" } }
            p { a href="/inbox#delegations-title" { "Lend your right to approve" } }
            (command("cli-delegations", "lockgate delegate list --all"))
        }
    }
}

fn delegation(one: &DelegationRow, rights: &Rights, person: &PersonId, now: UnixMillis) -> Markup {
    let groups: Vec<&str> = one.groups.iter().map(|name| name.as_str()).collect();
    let environments: Vec<&str> = one.environments.iter().map(|name| name.as_str()).collect();
    let services: Vec<&str> = one.services.iter().map(|name| name.as_str()).collect();
    html! {
        tr id={ "delegation-" (one.delegation) } data-row {
            th.number scope="row" { (entry_link(one.delegation)) }
            td { (one.from.as_str()) " " span.quiet { (ago(one.granted_at, now)) ": " (visible(&one.reason)) } }
            td { (one.to.as_str()) }
            td {
                (all_or(&groups, "all groups")) "; " (all_or(&services, "all services")) "; "
                (all_or(&environments, "all environments"))
            }
            td { (until(one.expires_at, now)) }
            td { (delegations::end(one, rights, person)) }
        }
    }
}

fn all_or(names: &[&str], all: &str) -> String {
    if names.is_empty() { all.to_owned() } else { names.join(", ") }
}

fn sessions(sessions: &[SessionRow], now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="sessions-title" {
            h2 id="sessions-title" { "Your sessions" }
            @if sessions.is_empty() {
                div.empty { p { "None was used since the server started." } (command("cli-none-sessions", "lockgate login")) }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Session" } th scope="col" { "By" } th scope="col" { "Began" }
                        th scope="col" { "Last used" } th scope="col" { "Ends" } th scope="col" { "End it" }
                    } }
                    tbody { @for one in sessions { (session(one, now)) } }
                } }
                form.act data-act="/v1/sessions/all" data-method="DELETE" method="post" {
                    p { "Every session of yours, this one included:" }
                    button.plain id="end-all" type="submit" { "End all" }
                    (problem())
                }
            }
            (command("cli-sessions", "lockgate session list"))
        }
    }
}

fn session(one: &SessionRow, now: UnixMillis) -> Markup {
    html! {
        tr id={ "session-" (visible(&one.id)) } data-row {
            th scope="row" {
                code { (visible(&one.id)) }
                @if one.current { " " span.state.good { span.icon aria-hidden="true" { "●" } " this one" } }
            }
            td { (visible(&one.method)) " " span.quiet { (visible(&one.amr.join(", "))) } " " code { (short(&one.credential)) } }
            td { (ago(one.created, now)) }
            td { (ago(one.last_used, now)) }
            td { (until(one.expires_at, now)) @if !one.stored { " " span.quiet { "or when the server starts again" } } }
            td {
                form.act data-act={ "/v1/sessions/" (query_value(&one.id)) } data-method="DELETE" method="post" {
                    button.plain type="submit" aria-label={ "End the session " (visible(&one.id)) } { "End" }
                    (problem())
                }
            }
        }
    }
}

fn review(review: Option<&ReviewMade>, rights: &Rights, now: UnixMillis) -> Markup {
    html! {
        section aria-labelledby="review-title" {
            h2 id="review-title" { "Access review" }
            (last_review(review, now))
            p {
                a href="/access/review" { "See who may do what" } ", and which permissions have lain idle for "
                (REVIEW_DAYS) " days."
            }
            @if rights.may("audit") || rights.may("keys") {
                (command("cli-review", "lockgate access review --sign"))
            } @else {
                p.quiet { "Signing one is not for you: " (visible(&rights.who("audit"))) " (" code { "audit" } ")." }
                (command("cli-review", "lockgate access review"))
            }
        }
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
