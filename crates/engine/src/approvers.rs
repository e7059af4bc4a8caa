//! Approvers: how fast people approve, and whose requests.
//!
//! Each approval leaves two rows, and nothing is counted on the way in: a row is written once, so that two approvals of
//! one batch cannot lose each other. Counting is for whoever looks.

use std::collections::BTreeMap;

use lockgate_ledger::pace::{Burst, STAMP_SPAN, bursts};
use lockgate_model::{EntryIndex, PersonId, PromotionId, UnixMillis};

use crate::engine::Engine;
use crate::fault::Fault;
use crate::staging::Staging;

/// The projection of who approved whose requests: key `<requester>/<approver>/<P-n>`, value the time in milliseconds.
pub const PAIRS: &str = "approval-pair";
/// The projection of approvals in order of time: key `<approver>/<time>/<index>`, value
/// `<P-n> <seconds of review or -> <evidence opened> <evidence listed>`.
pub const PACE: &str = "approval-pace";

/// How many rows are counted at most; what is beyond is for an audit to find.
const ROWS_MAX: usize = 50_000;
/// How many rows are read at a time.
const PAGE: usize = 512;
/// How many rows around one approval are looked at.
const AROUND_MAX: usize = 512;
/// From how many requests on a pair can be said to approve always.
const ALWAYS_FROM: u64 = 3;
/// A review shorter than this, of evidence that was not opened, is hasty.
const HASTY_SECS: u64 = 10;

/// One approval, as it is remembered.
#[derive(Debug, Clone)]
pub struct Given {
    /// Who asked.
    pub requester: PersonId,
    /// Who approved.
    pub approver: PersonId,
    /// What.
    pub promotion: PromotionId,
    /// The entry.
    pub index: EntryIndex,
    /// How long the document was open, if it says so.
    pub review_seconds: Option<u64>,
    /// How many pieces of evidence were opened.
    pub opened: usize,
    /// Of how many.
    pub listed: usize,
}

/// Remembers an approval; forgotten again where the verb fails.
pub fn remember(staging: &mut Staging<'_>, given: &Given) {
    let time = staging.time().0;
    let pair = format!("{}/{}/{}", given.requester, given.approver, given.promotion);
    staging.project(PAIRS, pair, Some(time.to_string().into_bytes()));
    let review = given.review_seconds.map_or("-".to_owned(), |seconds| seconds.to_string());
    let value = format!("{} {review} {} {}", given.promotion, given.opened, given.listed);
    staging.project(PACE, pace_key(&given.approver, time, given.index.0), Some(value.into_bytes()));
}

fn pace_key(approver: &PersonId, time: u64, index: u64) -> String {
    format!("{approver}/{time:020}/{index:020}")
}

/// How one person approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Who.
    pub approver: PersonId,
    /// How many approvals.
    pub approvals: u64,
    /// How many of them within seconds, without opening any evidence.
    pub hasty: u64,
    /// How many do not say when their document was opened.
    pub untimed: u64,
    /// Stretches in which they approved faster than anybody can read.
    pub bursts: Vec<Burst>,
}

/// Who approves whose requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Who asked.
    pub requester: PersonId,
    /// Who approved.
    pub approver: PersonId,
    /// How many of the requester's promotions this approver approved.
    pub approvals: u64,
    /// How many of the requester's promotions were approved by anybody.
    pub of: u64,
    /// Whether this approver approved all of them, and they are more than a few.
    pub always: bool,
    /// Whether it is so in both directions.
    pub mutual: bool,
    /// The newest, in ledger time.
    pub newest: UnixMillis,
}

/// Everyone who has approved, in order of name.
///
/// # Errors
/// What the store says.
pub fn paces(engine: &Engine) -> Result<Vec<Pace>, Fault> {
    let mut times: BTreeMap<PersonId, Vec<UnixMillis>> = BTreeMap::new();
    let mut found: BTreeMap<PersonId, Pace> = BTreeMap::new();
    for (key, value) in rows(engine, PACE)? {
        let Some((approver, time)) = parse_pace(&key) else { continue };
        let value = String::from_utf8_lossy(&value).into_owned();
        let mut fields = value.split(' ').skip(1);
        let review = fields.next().unwrap_or("-").parse::<u64>().ok();
        let opened = fields.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        times.entry(approver.clone()).or_default().push(time);
        let pace = found.entry(approver.clone()).or_insert_with(|| Pace {
            approver,
            approvals: 0,
            hasty: 0,
            untimed: 0,
            bursts: Vec::new(),
        });
        pace.approvals += 1;
        pace.untimed += u64::from(review.is_none());
        pace.hasty += u64::from(opened == 0 && review.is_some_and(|seconds| seconds < HASTY_SECS));
    }
    for pace in found.values_mut() {
        pace.bursts = times.get(&pace.approver).map(|times| bursts(times)).unwrap_or_default();
    }
    Ok(found.into_values().collect())
}

/// The approvals of each person since a moment: of each, how many seconds its document was open, if it says so.
///
/// # Errors
/// What the store says.
pub fn reviews_since(engine: &Engine, since: UnixMillis) -> Result<BTreeMap<PersonId, Vec<Option<u64>>>, Fault> {
    let mut found: BTreeMap<PersonId, Vec<Option<u64>>> = BTreeMap::new();
    for (key, value) in rows(engine, PACE)? {
        let Some((approver, time)) = parse_pace(&key) else { continue };
        if time < since {
            continue;
        }
        let value = String::from_utf8_lossy(&value).into_owned();
        found.entry(approver).or_default().push(value.split(' ').nth(1).and_then(|secs| secs.parse().ok()));
    }
    Ok(found)
}

/// Every pair, in order of requester and approver.
///
/// # Errors
/// What the store says.
pub fn pairs(engine: &Engine) -> Result<Vec<Pair>, Fault> {
    let mut counts: BTreeMap<(PersonId, PersonId), (u64, UnixMillis)> = BTreeMap::new();
    let mut promotions: BTreeMap<PersonId, std::collections::BTreeSet<PromotionId>> = BTreeMap::new();
    for (key, value) in rows(engine, PAIRS)? {
        let Some((requester, approver, promotion)) = parse_pair(&key) else { continue };
        let time = UnixMillis(String::from_utf8_lossy(&value).parse().unwrap_or(0));
        promotions.entry(requester.clone()).or_default().insert(promotion);
        let count = counts.entry((requester, approver)).or_insert((0, time));
        *count = (count.0 + 1, count.1.max(time));
    }
    let of = |requester: &PersonId| promotions.get(requester).map_or(0, |known| known.len() as u64);
    let always = |requester: &PersonId, approver: &PersonId| {
        let approvals = counts.get(&(requester.clone(), approver.clone())).map_or(0, |(count, _)| *count);
        approvals >= ALWAYS_FROM && approvals == of(requester)
    };
    let pair = |((requester, approver), (approvals, newest)): (&(PersonId, PersonId), &(u64, UnixMillis))| Pair {
        requester: requester.clone(),
        approver: approver.clone(),
        approvals: *approvals,
        of: of(requester),
        always: always(requester, approver),
        mutual: always(requester, approver) && always(approver, requester),
        newest: *newest,
    };
    Ok(counts.iter().map(pair).collect())
}

/// The burst that an approval of this moment belongs to, if it belongs to one.
///
/// # Errors
/// What the store says.
pub fn burst_at(engine: &Engine, approver: &PersonId, time: UnixMillis) -> Result<Option<Burst>, Fault> {
    let from = time.0.saturating_sub(STAMP_SPAN.millis());
    let until = time.0.saturating_add(STAMP_SPAN.millis());
    // Just before the first row of that moment: rows carry an index after the time.
    let after = format!("{approver}/{from:020}/");
    let page = engine.store().projections(PACE, Some(&after), AROUND_MAX)?;
    let near = page.iter().map_while(|(key, _)| {
        parse_pace(key).filter(|(who, when)| who == approver && when.0 <= until).map(|(_, when)| when)
    });
    let times: Vec<UnixMillis> = near.collect();
    Ok(bursts(&times).into_iter().find(|burst| burst.holds(time)))
}

fn rows(engine: &Engine, kind: &str) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    while found.len() < ROWS_MAX {
        let after = found.last().map(|(key, _)| key.clone());
        let page = engine.store().projections(kind, after.as_deref(), PAGE)?;
        let done = page.len() < PAGE;
        found.extend(page);
        if done {
            break;
        }
    }
    Ok(found)
}

fn parse_pace(key: &str) -> Option<(PersonId, UnixMillis)> {
    let mut parts = key.split('/');
    let approver = parts.next()?.parse().ok()?;
    let time = parts.next()?.parse().ok()?;
    Some((approver, UnixMillis(time)))
}

fn parse_pair(key: &str) -> Option<(PersonId, PersonId, PromotionId)> {
    let mut parts = key.split('/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_sort_by_time() {
        let sam: PersonId = "sam".parse().unwrap();
        let key = pace_key(&sam, 1_800_000_000_000, 7);
        assert_eq!(parse_pace(&key), Some((sam.clone(), UnixMillis(1_800_000_000_000))));
        assert!(pace_key(&sam, 999, 7) < pace_key(&sam, 1000, 1));
        assert!(parse_pace("sam").is_none() && parse_pace("Sam/1/1").is_none());
        let pair = parse_pair("dana/sam/P-3").unwrap();
        assert_eq!((pair.0.as_str(), pair.1.as_str(), pair.2), ("dana", "sam", PromotionId(3)));
        assert!(parse_pair("dana/sam").is_none());
    }
}
