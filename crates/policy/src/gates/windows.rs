//! The `windows` gate: only at certain times, and not at others. A denied time wins over an allowed one.

use lockgate_model::UnixMillis;
use lockgate_model::facts::PromotionKind;
use serde::Deserialize;

use super::{Assessment, Context, Problem};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;
use crate::time_zone::Zone;
use crate::window::{Effect, Interval, Window};
use crate::wording::shown;

/// The most windows of one gate.
const WINDOWS_MAX: usize = 100;
/// How many windows may follow on each other before the search for an end is given up.
const STEPS_MAX: usize = 1000;

/// Demands a time inside one of `allow`, where there are any, and outside all of `deny`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowsGate {
    /// By whose clocks the windows are written; UTC where it is left out.
    #[serde(default = "Zone::utc")]
    pub time_zone: Zone,
    /// When something may be let in; at any time where there are none.
    #[serde(default)]
    pub allow: Vec<Window>,
    /// When nothing may be let in, also where `allow` says otherwise.
    #[serde(default)]
    pub deny: Vec<Window>,
    /// Whether rollbacks are let in at any time.
    #[serde(default)]
    pub spare_rollbacks: bool,
}

/// How a moment stands with a gate of windows, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowState {
    /// Whether something may be let in then.
    pub open: bool,
    /// Why, in the policy author's words, where a window says so.
    pub reason: Option<String>,
    /// When it changes next; nothing where it never does, or not for a very long time.
    pub changes_at: Option<UnixMillis>,
    /// When it changes back after that.
    pub changes_back_at: Option<UnixMillis>,
}

/// One stretch of time of one window, for a calendar. Where stretches overlap, one that denies wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Whether it lets something in; otherwise it lets nothing in.
    pub allows: bool,
    /// Its first moment.
    pub start: UnixMillis,
    /// The first moment after it.
    pub end: UnixMillis,
    /// Why, in the policy author's words.
    pub reason: String,
}

/// How a moment stands.
enum Standing<'a> {
    Denied(&'a Window, Interval),
    Outside,
    Open(Option<&'a Window>),
}

/// When it opens or closes next, as far as the search goes.
#[derive(Debug, Clone, Copy)]
enum Change {
    At(UnixMillis),
    /// Where the search ended: then, later, or never.
    NotBefore(UnixMillis),
    Never,
}

impl Change {
    fn known(self) -> Option<UnixMillis> {
        match self {
            Self::At(moment) => Some(moment),
            Self::NotBefore(_) | Self::Never => None,
        }
    }
}

impl WindowsGate {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let all = || self.allow.iter().chain(&self.deny);
        let mut problems: Vec<Problem> = all().filter_map(Window::problem).map(Problem::new).collect();
        if all().next().is_none() {
            problems.push(Problem::new("demands nothing: write at least one `[[gate.allow]]` or `[[gate.deny]]`"));
        }
        if all().count() > WINDOWS_MAX {
            problems.push(Problem::new(format!("has more than {WINDOWS_MAX} windows")));
        }
        problems
    }

    /// How a moment stands, and when that changes.
    pub fn state_at(&self, now: UnixMillis) -> WindowState {
        let (open, reason) = match self.standing(now) {
            Standing::Open(window) => (true, window.map(|window| window.reason.clone())),
            Standing::Denied(window, _) => (false, Some(window.reason.clone())),
            Standing::Outside => (false, None),
        };
        let change = |open: bool, from: UnixMillis| {
            let change = if open { self.next_close(from) } else { self.next_open(from) };
            change.known()
        };
        let changes_at = change(open, now);
        let changes_back_at = changes_at.and_then(|at| change(!open, at));
        WindowState { open, reason, changes_at, changes_back_at }
    }

    /// The first `most` stretches of its windows that touch the time from `from` until before `to`, in order.
    pub fn stretches(&self, from: UnixMillis, to: UnixMillis, most: usize) -> Vec<Stretch> {
        let windows = self.allow.iter().map(|window| (Effect::Allows, window));
        let windows = windows.chain(self.deny.iter().map(|window| (Effect::Denies, window)));
        let mut found: Vec<(Interval, bool, &Window)> = Vec::new();
        for (effect, window) in windows {
            let intervals = window.between(&self.time_zone, effect, from, to).into_iter();
            found.extend(intervals.map(|interval| (interval, effect == Effect::Allows, window)));
        }
        found.sort_by_key(|(interval, allows, _)| (interval.start, interval.end, *allows));
        found.truncate(most);
        let mut stretches = Vec::new();
        for (interval, allows, window) in found {
            let reason = window.reason.clone();
            stretches.push(Stretch { allows, start: interval.start, end: interval.end, reason });
        }
        stretches
    }

    /// A moment by the clocks of its zone, with the zone's name; nothing where that is UTC.
    pub fn local(&self, moment: UnixMillis) -> Option<String> {
        let local = self.time_zone.local(moment).filter(|_| !self.time_zone.is_utc())?;
        Some(format!("{local} {}", self.time_zone.name()))
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let now = ctx.facts.time;
        let needed = self.needed();
        if is_spared(self.spare_rollbacks, ctx) {
            return Assessment::passed(needed, SPARED.to_owned());
        }
        let found = match self.standing(now) {
            Standing::Open(window) => {
                let why = window.map(|window| format!(" ({})", shown(&window.reason))).unwrap_or_default();
                let until = match self.next_close(now) {
                    Change::At(close) => format!(" until {}", self.time_zone.shown(close)),
                    Change::NotBefore(moment) => format!(" at least until {}", self.time_zone.shown(moment)),
                    Change::Never => ", with no end in sight".to_owned(),
                };
                return Assessment::passed(needed, format!("open{until}{why}"));
            }
            Standing::Denied(window, Interval { start, end }) => format!(
                "closed since {} until {}: {}",
                self.time_zone.shown(start),
                self.time_zone.shown(end),
                shown(&window.reason)
            ),
            Standing::Outside => "outside every window that is allowed".to_owned(),
        };
        match self.next_open(now) {
            Change::At(open) => {
                let close = match self.next_close(open) {
                    Change::At(close) => format!(", and closes again {}", self.time_zone.shown(close)),
                    Change::NotBefore(_) | Change::Never => String::new(),
                };
                closed(ctx, needed, format!("{found}; opens {}{close}", self.time_zone.shown(open)), open)
            }
            Change::NotBefore(moment) => {
                let found = format!("{found}; opens not before {}", self.time_zone.shown(moment));
                closed(ctx, needed, found, moment)
            }
            Change::Never => Assessment {
                outcome: GateOutcome::Fail,
                reason: Reason::WindowClosed,
                needed,
                found: format!("{found}; it never opens again"),
                evidence: Vec::new(),
                who: ctx.groups_that_may(Permission::Policy),
                fix: format!(
                    "change the windows at {}, then: lockgate policy activate <dir> --reason \"...\"",
                    ctx.gate.rule
                ),
            },
        }
    }

    fn needed(&self) -> String {
        let zone = &self.time_zone;
        match (self.allow.len(), self.deny.len()) {
            (0, _) => format!("a time when no window of {zone} denies it"),
            (_, 0) => format!("a time in a window of {zone} that allows it"),
            _ => format!("a time in a window of {zone} that allows it, and in none that denies it"),
        }
    }

    fn standing(&self, now: UnixMillis) -> Standing<'_> {
        let covering = |window: &'_ Window, effect: Effect| window.covering(&self.time_zone, effect, now);
        let denied = self.deny.iter().filter_map(|window| Some((window, covering(window, Effect::Denies)?)));
        if let Some((window, interval)) = denied.max_by_key(|(_, interval)| interval.end) {
            return Standing::Denied(window, interval);
        }
        match self.allow.iter().find(|window| covering(window, Effect::Allows).is_some()) {
            Some(window) => Standing::Open(Some(window)),
            None if self.allow.is_empty() => Standing::Open(None),
            None => Standing::Outside,
        }
    }

    /// The first moment that is open, from a closed one on.
    fn next_open(&self, from: UnixMillis) -> Change {
        let mut moment = from;
        for _ in 0..STEPS_MAX {
            match self.standing(moment) {
                Standing::Open(_) => return Change::At(moment),
                Standing::Denied(_, interval) => moment = interval.end,
                Standing::Outside => match self.next_start(&self.allow, Effect::Allows, moment) {
                    Some(start) => moment = start,
                    None => return Change::Never,
                },
            }
        }
        Change::NotBefore(moment)
    }

    /// The first moment that is closed, from an open one on.
    fn next_close(&self, from: UnixMillis) -> Change {
        let denied = self.next_start(&self.deny, Effect::Denies, from);
        if self.allow.is_empty() {
            return denied.map_or(Change::Never, Change::At);
        }
        let mut moment = from;
        for _ in 0..STEPS_MAX {
            let allowing = self.allow.iter();
            let allowing = allowing.filter_map(|window| window.covering(&self.time_zone, Effect::Allows, moment));
            let last = allowing.map(|interval| interval.end).max();
            match (last, denied) {
                (None, _) => return Change::At(moment),
                (Some(last), Some(denied)) if denied <= last => return Change::At(denied),
                (Some(last), _) => moment = last,
            }
        }
        Change::NotBefore(moment)
    }

    /// When one of some windows starts next after a moment.
    fn next_start(&self, windows: &[Window], effect: Effect, from: UnixMillis) -> Option<UnixMillis> {
        let next = |window: &Window| window.next_after(&self.time_zone, effect, from);
        windows.iter().filter_map(next).map(|interval| interval.start).min()
    }
}

/// What a gate finds that spares rollbacks, and is asked about one.
pub(super) const SPARED: &str = "a rollback, which comes at any time";

/// Whether a gate lets this promotion in at any time, as a rollback.
pub(super) fn is_spared(spare_rollbacks: bool, ctx: Context<'_>) -> bool {
    spare_rollbacks && ctx.facts.promotion.kind == PromotionKind::Rollback
}

fn closed(ctx: Context<'_>, needed: String, found: String, wait_until: UnixMillis) -> Assessment {
    Assessment {
        outcome: GateOutcome::Pending,
        reason: Reason::WindowClosed,
        needed,
        found,
        evidence: Vec::new(),
        who: "nobody: it takes time".to_owned(),
        fix: format!("wait until {wait_until}, then: lockgate why {}", ctx.facts.promotion.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicySet;
    use crate::decision::GateOutcome::{Fail, Pass, Pending};
    use crate::decision::GateResult;
    use crate::sample::check;
    use lockgate_model::facts::Facts;

    const GATE: &str = r#"
kind = "windows"
time_zone = "Europe/Berlin"
spare_rollbacks = true
[[gate.allow]]
start = "2026-01-05T09:00"
end = "2026-01-05T16:00"
repeat = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH"
reason = "people are there"
[[gate.deny]]
start = "2026-12-21T00:00"
end = "2027-01-04T00:00"
repeat = "FREQ=YEARLY"
reason = "the Christmas freeze"
"#;

    fn row(gate: &str, time: &str, kind: PromotionKind, outcome: GateOutcome) -> GateResult {
        let reason = if outcome == Pass { Reason::Satisfied } else { Reason::WindowClosed };
        let time = time.parse().unwrap();
        let change = |_: &PolicySet, facts: &mut Facts| {
            facts.time = time;
            facts.promotion.kind = kind;
        };
        check(gate, change, outcome, reason)
    }

    #[test]
    fn opens_and_closes_by_the_clocks_of_its_zone() {
        use PromotionKind::{Promotion, Rollback};
        let at = |time: &str, outcome| row(GATE, time, Promotion, outcome).found;
        // Winter: UTC+1; summer: UTC+2.
        assert!(
            at("2026-02-02T07:59:59.999Z", Pending)
                .contains("opens 2026-02-02T08:00:00Z (2026-02-02T09:00:00 Europe/Berlin)")
        );
        assert!(at("2026-02-02T08:00:00Z", Pass).starts_with("open until 2026-02-02T15:00:00Z"));
        assert!(at("2026-02-02T15:00:00Z", Pending).contains("opens 2026-02-03T08:00:00Z"));
        assert!(at("2026-07-06T07:00:00Z", Pass).contains("people are there"));
        let friday = at("2026-02-06T10:00:00Z", Pending);
        assert!(
            friday.contains("opens 2026-02-09T08:00:00Z") && friday.contains("closes again 2026-02-09T15:00:00Z"),
            "{friday}"
        );
        // A denied time wins, every year, and says what comes after it.
        let frozen = at("2027-12-22T10:00:00Z", Pending);
        assert!(frozen.contains("the Christmas freeze") && frozen.contains("opens 2028-01-04T08:00:00Z"), "{frozen}");
        // An open window ends where a denied one starts.
        assert!(at("2026-12-17T10:00:00Z", Pass).starts_with("open until 2026-12-17T15:00:00Z"));
        row(GATE, "2026-12-24T10:00:00Z", Rollback, Pass);
    }

    #[test]
    fn people_are_told_when_it_opens_and_closes_next() {
        let set = crate::sample::policy(&crate::sample::gate(GATE));
        let crate::GateKind::Windows(gate) = &set.gates()[0].kind else { panic!("no windows") };
        let check = |at: &str, open: bool, changes: &str, back: &str| {
            let state = gate.state_at(at.parse().unwrap());
            let shown = |moment: Option<UnixMillis>| moment.map(|moment| moment.to_string()).unwrap_or_default();
            assert_eq!(state.open, open, "{at}");
            assert_eq!((shown(state.changes_at), shown(state.changes_back_at)), (changes.to_owned(), back.to_owned()));
        };
        check("2026-02-02T08:00:00Z", true, "2026-02-02T15:00:00Z", "2026-02-03T08:00:00Z");
        check("2026-02-06T10:00:00Z", false, "2026-02-09T08:00:00Z", "2026-02-09T15:00:00Z");
        let frozen = gate.state_at("2027-12-22T10:00:00Z".parse().unwrap());
        assert_eq!((frozen.open, frozen.reason.as_deref()), (false, Some("the Christmas freeze")));
        let local = gate.local("2026-02-02T08:00:00Z".parse().unwrap());
        assert_eq!(local.as_deref(), Some("2026-02-02T09:00:00 Europe/Berlin"));
    }

    #[test]
    fn a_calendar_has_what_is_allowed_and_what_is_denied_in_order() {
        let set = crate::sample::policy(&crate::sample::gate(GATE));
        let crate::GateKind::Windows(gate) = &set.gates()[0].kind else { panic!("no windows") };
        let shown = |most: usize| {
            let (from, to) = ("2026-12-16T12:00:00Z".parse().unwrap(), "2026-12-22T09:00:00Z".parse().unwrap());
            let stretches = gate.stretches(from, to, most);
            let line = |one: &Stretch| format!("{} {} {} {}", one.allows, one.start, one.end, one.reason);
            stretches.iter().map(line).collect::<Vec<_>>()
        };
        let all = [
            "true 2026-12-16T08:00:00Z 2026-12-16T15:00:00Z people are there",
            "true 2026-12-17T08:00:00Z 2026-12-17T15:00:00Z people are there",
            "false 2026-12-20T23:00:00Z 2027-01-03T23:00:00Z the Christmas freeze",
            "true 2026-12-21T08:00:00Z 2026-12-21T15:00:00Z people are there",
            "true 2026-12-22T08:00:00Z 2026-12-22T15:00:00Z people are there",
        ];
        assert_eq!(shown(10), all);
        assert_eq!(shown(3), all[..3]);
    }

    #[test]
    fn denied_times_alone_leave_the_rest_open() {
        let gate = "kind = \"windows\"\n[[gate.deny]]\nstart = \"2026-06-05T00:00\"\nend = \"2026-06-06T00:00\"\nreason = \"audit\"\n";
        let at = |time: &str, outcome| row(gate, time, PromotionKind::Promotion, outcome).found;
        assert_eq!(at("2026-06-04T23:59:59.999Z", Pass), "open until 2026-06-05T00:00:00Z");
        assert!(at("2026-06-05T00:00:00Z", Pending).contains("opens 2026-06-06T00:00:00Z"));
        assert_eq!(at("2026-06-06T00:00:00Z", Pass), "open, with no end in sight");
        let gate = "kind = \"windows\"\n[[gate.allow]]\nstart = \"2026-06-05T00:00\"\nend = \"2026-06-06T00:00\"\nreason = \"launch\"\n";
        let result = row(gate, "2026-06-06T00:00:00Z", PromotionKind::Promotion, Fail);
        assert!(result.found.ends_with("it never opens again"), "{}", result.found);
    }

    #[test]
    fn where_the_search_ends_nothing_is_sure() {
        let gate = |side: &str, repeat: &str| {
            format!(
                "kind = \"windows\"\n[[gate.{side}]]\nstart = \"2026-01-01T00:00\"\nend = \"2026-01-02T00:00\"\n\
                 repeat = \"{repeat}\"\nreason = \"all day\"\n"
            )
        };
        let check = |side: &str, repeat: &str, outcome: GateOutcome, expected: &str| {
            let found = row(&gate(side, repeat), "2026-01-01T10:00:00Z", PromotionKind::Promotion, outcome).found;
            assert!(found.contains(expected), "{side} {repeat}: {found}");
        };
        check("deny", "FREQ=DAILY;COUNT=3", Pending, "; opens 2026-01-04T00:00:00Z");
        check("deny", "FREQ=DAILY;COUNT=2000", Pending, "; opens not before 2028-09-27T00:00:00Z");
        check("deny", "FREQ=DAILY", Pending, "; opens not before 2028-09-27T00:00:00Z");
        check("allow", "FREQ=DAILY;COUNT=3", Pass, "open until 2026-01-04T00:00:00Z (all day)");
        check("allow", "FREQ=DAILY", Pass, "open at least until 2028-09-27T00:00:00Z (all day)");
        // Pages name no moment that nobody knows.
        for side in ["allow", "deny"] {
            let set = crate::sample::policy(&crate::sample::gate(&gate(side, "FREQ=DAILY")));
            let crate::GateKind::Windows(gate) = &set.gates()[0].kind else { panic!("no windows") };
            let state = gate.state_at(crate::sample::TIME);
            assert_eq!((state.changes_at, state.changes_back_at), (None, None), "{side}");
        }
    }

    /// A-55: at the minute when clocks skip an hour, or show it twice.
    #[test]
    fn no_change_of_the_clocks_opens_what_is_denied() {
        let check = |start: &str, end: &str, time: &str, outcome: GateOutcome| {
            let gate = format!(
                "kind = \"windows\"\ntime_zone = \"Europe/Berlin\"\n[[gate.deny]]\nstart = \"2026-01-01T{start}\"\n\
                 end = \"2026-01-01T{end}\"\nrepeat = \"FREQ=DAILY\"\nreason = \"backup\"\n"
            );
            row(&gate, time, PromotionKind::Promotion, outcome);
        };
        check("02:30", "03:30", "2026-03-29T00:59:59.999Z", Pass);
        check("02:30", "03:30", "2026-03-29T01:00:00Z", Pending);
        check("02:30", "03:30", "2026-03-29T01:15:00Z", Pending);
        check("02:30", "03:30", "2026-03-29T01:30:00Z", Pass);
        check("01:30", "02:30", "2026-10-25T00:15:00Z", Pending);
        check("01:30", "02:30", "2026-10-25T01:15:00Z", Pending);
        check("01:30", "02:30", "2026-10-25T01:30:00Z", Pass);
    }

    #[test]
    fn the_database_of_time_zones_is_named_where_it_was_looked_at() {
        let engine = |fields: &str| {
            let policy = crate::sample::policy(&crate::sample::gate(fields));
            crate::decide(&policy, &crate::sample::facts()).engine
        };
        let utc = GATE.replace("Europe/Berlin", "UTC");
        assert_eq!(engine(GATE), crate::Decision::zoned_engine());
        assert_eq!(engine(&utc), crate::Decision::ENGINE);
        assert_eq!(engine("kind = \"tests\"\n"), crate::Decision::ENGINE);
    }

    #[test]
    fn hostile_times_and_windows_do_not_pass() {
        let change = |_: &PolicySet, facts: &mut Facts| facts.time = UnixMillis(u64::MAX);
        check(GATE, change, Fail, Reason::WindowClosed);
        let refused = |gate: &str, part: &str| {
            let files = crate::sample::files(&crate::sample::gate(gate));
            let errors = PolicySet::from_files(files).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
        };
        refused("kind = \"windows\"\n", "demands nothing");
        refused(&GATE.replace("Europe/Berlin", "Europe/Bonn"), "not a time zone");
        refused(&GATE.replace("BYDAY=MO,", "BYDAY="), "no day of its own");
        refused(&GATE.replace("FREQ=YEARLY", "FREQ=MINUTELY"), "DAILY, WEEKLY");
        refused(&GATE.replace("16:00", "08:00"), "ends before it starts");
    }
}
