//! Snoozes: which lines of somebody's inbox their browser keeps folded, and until when.
//!
//! A matter of view alone: it stands in a cookie of the browser and never in the ledger, a folded line is still on the
//! page and still counted, and nothing that decides reads it. Only promotions and changes can be snoozed. Alarms, such as
//! freezes and break-glass without a review, have no [`Subject`], and so no way into a cookie.
//!
//! The cookie's value is whose it is, and then pairs: `<16 hex digits>.P-6:1764000000.C-2:1764000000`, each a subject and
//! the second since 1970 in which it wakes. A cookie with anything odd in it counts as none, so that everything shows.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use lockgate_api::wire::{InboxReply, SnoozeTime};
use lockgate_model::{ChangeId, Digest, Limits, PersonId, PromotionId, Span, UnixMillis};

/// How much of the hash says whose a cookie is: enough to tell apart those who share a browser or a host.
const OWNER_DIGITS: usize = 16;
const DAY: Span = Span::from_secs(86_400);
const WEEK: Span = Span::from_secs(7 * 86_400);

/// What a line of an inbox is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A promotion that waits for an approval.
    Promotion(PromotionId),
    /// A change that waits for a signature.
    Change(ChangeId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promotion(id) => id.fmt(f),
            Self::Change(id) => id.fmt(f),
        }
    }
}

/// Why a text is not what a line of an inbox is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectError(String);

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be snoozed: only a promotion such as P-3 or a change such as C-3 can", self.0)
    }
}

impl FromStr for Subject {
    type Err = SubjectError;
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let promotion = text.parse().map(Self::Promotion);
        promotion.or_else(|_| text.parse().map(Self::Change)).map_err(|_| SubjectError(text.chars().take(64).collect()))
    }
}

/// What one browser keeps folded for one person in one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snoozes {
    owner: String,
    /// When each wakes, in seconds since 1970; never more than `Limits::snoozed_lines`.
    until: BTreeMap<Subject, u64>,
}

impl Snoozes {
    /// Reads a cookie's value at a moment. Whatever is not exactly what [`Snoozes::value`] writes for this person and
    /// ledger is read as nothing; pairs whose time has passed are left out.
    pub fn read(value: Option<&str>, ledger: &str, person: &PersonId, now: UnixMillis) -> Self {
        let owner = owner_of(ledger, person);
        let mut until = value.and_then(|value| pairs(value, &owner, now)).unwrap_or_default();
        until.retain(|_, until| *until > now.secs());
        Self { owner, until }
    }

    /// The cookie's value; empty when nothing is snoozed.
    pub fn value(&self) -> String {
        match self.until.is_empty() {
            true => String::new(),
            false => {
                self.until.iter().fold(self.owner.clone(), |out, (subject, until)| format!("{out}.{subject}:{until}"))
            }
        }
    }

    /// Snoozes a line that ends at `ends` by itself: for as long as asked, and not past that end.
    ///
    /// Where there are as many as there may be, the one that would wake first wakes at once.
    pub fn snooze(&mut self, subject: Subject, lasts: SnoozeTime, ends: UnixMillis, now: UnixMillis) {
        let lasts = match lasts {
            SnoozeTime::Day => DAY,
            SnoozeTime::Week => WEEK,
        };
        self.until.remove(&subject);
        while self.until.len() >= Limits::DEFAULT.snoozed_lines {
            let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(subject, _)| *subject) else {
                break;
            };
            self.until.remove(&first);
        }
        self.until.insert(subject, now.plus(lasts).min(ends).secs().min(latest(now)));
    }

    /// Shows a line again.
    pub fn wake(&mut self, subject: Subject) {
        self.until.remove(&subject);
    }

    /// Which lines of an inbox are folded, and until when: those that are in it, and end no earlier than their snooze.
    pub fn folded(&self, inbox: &InboxReply) -> BTreeMap<String, UnixMillis> {
        let promotions = inbox.promotions.iter().map(|one| (Subject::Promotion(one.promotion), one.expires_at));
        let changes = inbox.changes.iter().map(|one| (Subject::Change(one.change), one.expires_at));
        let folded = |(subject, ends): (Subject, UnixMillis)| {
            let until = *self.until.get(&subject)?;
            (until <= ends.secs()).then(|| (subject.to_string(), UnixMillis(until.saturating_mul(1000))))
        };
        promotions.chain(changes).filter_map(folded).collect()
    }
}

/// How a cookie says whose it is: for one person in one ledger.
pub fn owner_of(ledger: &str, person: &PersonId) -> String {
    Digest::of(format!("{ledger}\n{person}").as_bytes()).hex().chars().take(OWNER_DIGITS).collect()
}

/// The latest second in which anything that is snoozed now wakes.
fn latest(now: UnixMillis) -> u64 {
    now.secs().saturating_add(Limits::DEFAULT.snooze_secs)
}

/// The pairs of a value, all of them or none.
fn pairs(value: &str, owner: &str, now: UnixMillis) -> Option<BTreeMap<Subject, u64>> {
    let limits = &Limits::DEFAULT;
    if value.len() > limits.snooze_cookie_bytes {
        return None;
    }
    let mut parts = value.split('.');
    if parts.next() != Some(owner) {
        return None;
    }
    let mut found = BTreeMap::new();
    for part in parts {
        let (subject, until) = part.split_once(':')?;
        let (subject, seconds): (Subject, u64) = (subject.parse().ok()?, until.parse().ok()?);
        // One spelling a number, and no time that was never given.
        if seconds.to_string() != until || seconds > latest(now) {
            return None;
        }
        if found.insert(subject, seconds).is_some() || found.len() > limits.snoozed_lines {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_api::wire::{ChangeRow, InboxPromotion};
    use lockgate_model::facts::PromotionKind;

    const LEDGER: &str = "log1.lockgate.example";
    const NOW: UnixMillis = UnixMillis(1_700_000_000_500);
    const NOW_SECS: u64 = 1_700_000_000;
    const NEVER: UnixMillis = UnixMillis(9_000_000_000_000);

    fn sam() -> PersonId {
        "sam".parse().unwrap()
    }

    fn read(value: &str) -> Snoozes {
        Snoozes::read(Some(value), LEDGER, &sam(), NOW)
    }

    fn owner() -> String {
        read("").owner
    }

    fn subject(text: &str) -> Subject {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut snoozes = read("");
        assert_eq!(snoozes.value(), "");
        snoozes.snooze(subject("P-6"), SnoozeTime::Day, NEVER, NOW);
        snoozes.snooze(subject("C-2"), SnoozeTime::Week, NEVER, NOW);
        let value = format!("{}.P-6:{}.C-2:{}", owner(), NOW_SECS + 86_400, NOW_SECS + 604_800);
        assert_eq!(snoozes.value(), value);
        assert_eq!(read(&value), snoozes);
        snoozes.wake(subject("P-6"));
        assert_eq!(snoozes.value(), format!("{}.C-2:{}", owner(), NOW_SECS + 604_800));
        // A day later the first is awake, and a week later both are.
        let later =
            |secs: u64| Snoozes::read(Some(&value), LEDGER, &sam(), UnixMillis(NOW.0 + secs * 1000)).until.len();
        assert_eq!((later(86_399), later(86_400), later(604_800)), (2, 1, 0));
    }

    #[test]
    fn a_value_with_anything_odd_in_it_is_none() {
        let (owner, soon) = (owner(), NOW_SECS + 60);
        let good = format!("{owner}.P-6:{soon}");
        assert_eq!(read(&good).until.len(), 1);
        let many = |count: usize| (1..=count).fold(owner.clone(), |out, number| format!("{out}.P-{number}:{soon}"));
        assert_eq!(read(&many(20)).until.len(), 20);
        let odd = [
            many(21),
            many(200),
            format!("{good}.C-2:{}", NOW_SECS + 604_801),
            format!("{good}.C-2:{}", u64::MAX),
            format!("{good}.C-2:18446744073709551616"),
            format!("{good}.C-2:0{soon}"),
            format!("{good}.C-2:+{soon}"),
            format!("{good}.C-2:-1"),
            format!("{good}.C-2:"),
            format!("{good}.C-2"),
            format!("{good}.C-2:{soon}:{soon}"),
            format!("{good}.C-02:{soon}"),
            format!("{good}.P-0:{soon}"),
            format!("{good}.P-6:{soon}"),
            format!("{good}.F-1:{soon}"),
            format!("{good}.break-glass:{soon}"),
            format!("{good}.<script>:{soon}"),
            format!("{good}."),
            format!("{good} "),
            format!(".P-6:{soon}"),
            format!("P-6:{soon}"),
            format!("{}.P-6:{soon}", "0".repeat(16)),
            format!("{}.P-6:{soon}", owner.to_uppercase().replace('0', "o")),
            "a".repeat(1_000_000),
            "%00".to_owned(),
            "\u{202e}".to_owned(),
        ];
        for value in odd {
            assert_eq!(read(&value).until, BTreeMap::new(), "{value:.200}");
        }
    }

    #[test]
    fn a_value_is_one_persons_in_one_ledger() {
        let value = format!("{}.P-6:{}", owner(), NOW_SECS + 60);
        let count =
            |ledger: &str, person: &str| Snoozes::read(Some(&value), ledger, &person.parse().unwrap(), NOW).until.len();
        assert_eq!((count(LEDGER, "sam"), count(LEDGER, "dana"), count("log2.lockgate.example", "sam")), (1, 0, 0));
    }

    #[test]
    fn nothing_is_snoozed_past_its_own_end() {
        let mut snoozes = read("");
        let ends = UnixMillis(NOW.0 + 3_600_000);
        snoozes.snooze(subject("P-6"), SnoozeTime::Week, ends, NOW);
        assert_eq!(snoozes.until.get(&subject("P-6")), Some(&(NOW_SECS + 3600)));

        // Nor by who writes the cookie themselves.
        let inbox = |ends: UnixMillis| InboxReply {
            promotions: vec![InboxPromotion {
                promotion: "P-6".parse().unwrap(),
                release: "shop/web@1.4.2".parse().unwrap(),
                environment: "production".parse().unwrap(),
                kind: PromotionKind::Promotion,
                requester: "dana".parse().unwrap(),
                reason: "weekly release".to_owned(),
                requested_at: UnixMillis(0),
                expires_at: ends,
                missing: Vec::new(),
                lent: Vec::new(),
            }],
            changes: vec![ChangeRow {
                change: "C-2".parse().unwrap(),
                event: "policy.activated".to_owned(),
                permission: "policy".to_owned(),
                subject: None,
                status: "open".to_owned(),
                missing: 1,
                signed_by: Vec::new(),
                proposed_at: UnixMillis(0),
                expires_at: ends,
                outcome: None,
            }],
            waivers: Vec::new(),
            break_glass: Vec::new(),
            suspects: Vec::new(),
            delegations: Vec::new(),
            next: None,
        };
        let wakes = NOW_SECS + 7200;
        let written = read(&format!("{}.P-6:{wakes}.C-2:{wakes}.C-9:{wakes}", owner()));
        let folded = written.folded(&inbox(UnixMillis(wakes * 1000)));
        let all: Vec<(&str, u64)> = folded.iter().map(|(subject, until)| (subject.as_str(), until.0)).collect();
        assert_eq!(all, [("C-2", wakes * 1000), ("P-6", wakes * 1000)]);
        assert_eq!(written.folded(&inbox(UnixMillis(wakes * 1000 - 1))), BTreeMap::new());
    }

    #[test]
    fn one_too_many_wakes_the_one_that_would_wake_first() {
        let mut snoozes = read("");
        let number = |number: usize| subject(&format!("P-{number}"));
        for one in 1..=20_usize {
            let lasts = if one == 7 { SnoozeTime::Day } else { SnoozeTime::Week };
            snoozes.snooze(number(one), lasts, NEVER, NOW);
        }
        // Snoozing what is snoozed takes no room.
        snoozes.snooze(number(20), SnoozeTime::Week, NEVER, NOW);
        assert_eq!((snoozes.until.len(), snoozes.until.contains_key(&number(7))), (20, true));
        snoozes.snooze(number(21), SnoozeTime::Day, NEVER, NOW);
        assert_eq!((snoozes.until.len(), snoozes.until.contains_key(&number(7))), (20, false));
        assert!(snoozes.until.contains_key(&number(21)) && snoozes.value().len() < Limits::DEFAULT.snooze_cookie_bytes);
        assert_eq!(read(&snoozes.value()), snoozes);
    }
}
