//! Rates: how many requests one person, one machine or one address may make.
//!
//! Each has a bucket of tokens that fills at a steady rate. What is limited is the caller, never the one who is named:
//! wrong sign-ins for a name are told to slow down, and a right one is always let in, so that nobody can lock a person
//! out by guessing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lockgate_api::routes::Rate;
use lockgate_engine::{Fault, Kind};
use lockgate_model::{PersonId, UnixMillis};

/// How many buckets one half of the table holds: the table forgets who has not been seen for longest.
const HALF: usize = 32_768;
/// What one request costs, in millionths of a token.
const COST: u64 = 1_000_000;
/// How many wrong sign-ins in a row are answered without being told to wait.
const FREE_FAILURES: u32 = 16;
/// How many milliseconds go by between two refusals for want of tokens that are recorded, for one address.
const NEWS_MILLIS: u64 = 1000;
/// The longest wait that a wrong sign-in is told.
const WAIT_MAX_SECS: u64 = 60;

/// One limit: a steady rate, and how much may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Requests in a second, in the long run.
    pub per_second: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Reads of one person or machine.
    pub read: Limit,
    /// Writes of one person or machine.
    pub write: Limit,
    /// Requests of one address that nobody signed in makes.
    pub anonymous: Limit,
    /// Sign-in and set-up requests of one address.
    pub sign_in: Limit,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            read: Limit { per_second: 20_000, burst: 40_000 },
            write: Limit { per_second: 20_000, burst: 40_000 },
            anonymous: Limit { per_second: 200, burst: 400 },
            sign_in: Limit { per_second: 4, burst: 240 },
        }
    }
}

/// Who is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Reader(PersonId),
    Writer(PersonId),
    Anonymous(IpAddr),
    SignIn(IpAddr),
}

/// A bucket of tokens.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Millionths of tokens.
    left: u64,
    at: UnixMillis,
}

/// A bounded map in two halves: when the young half is full it becomes the old one, and the old one is forgotten.
#[derive(Debug)]
struct Halves<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Halves<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + std::hash::Hash, V> Halves<K, V> {
    /// The value of a key, moved to the young half; `fresh` when it was forgotten or never there.
    fn get(&mut self, key: K, fresh: V) -> &mut V {
        let kept = self.old.remove(&key);
        if !self.young.contains_key(&key) && self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(key).or_insert(kept.unwrap_or(fresh))
    }

    fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// Everyone's buckets.
#[derive(Debug, Default)]
pub struct RateTable {
    rates: Rates,
    buckets: Mutex<Halves<Who, Bucket>>,
    /// Wrong sign-ins in a row, by address and name.
    failures: Mutex<Halves<(IpAddr, String), (u32, UnixMillis)>>,
    /// When a refusal for want of tokens was last recorded, by address.
    news: Mutex<Halves<IpAddr, UnixMillis>>,
}

impl RateTable {
    /// An empty table.
    pub fn new(rates: Rates) -> Self {
        Self { rates, ..Self::default() }
    }

    /// Takes a token of somebody who is signed in.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the seconds after which the next token is there.
    pub fn signed_in(&self, person: &PersonId, rate: Rate, now: UnixMillis) -> Result<(), Fault> {
        match rate {
            Rate::Read => self.take(Who::Reader(person.clone()), self.rates.read, now),
            Rate::Write | Rate::SignIn => self.take(Who::Writer(person.clone()), self.rates.write, now),
        }
    }

    /// Takes a token of an address, for a request without a session that counts.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the seconds after which the next token is there.
    pub fn anonymous(&self, address: IpAddr, rate: Rate, now: UnixMillis) -> Result<(), Fault> {
        match rate {
            Rate::SignIn => self.take(Who::SignIn(network(address)), self.rates.sign_in, now),
            Rate::Read | Rate::Write => self.take(Who::Anonymous(network(address)), self.rates.anonymous, now),
        }
    }

    /// Counts a wrong sign-in for a name from an address; after some in a row, the fault that tells to wait, longer each
    /// time. Neither other addresses nor a right answer are affected.
    pub fn sign_in_failed(&self, address: IpAddr, name: &str, now: UnixMillis) -> Option<Fault> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, at) = failures.get((network(address), name.to_owned()), (0, now));
        // Somebody who waited ten of the longest waits begins anew.
        if now.since(*at).secs() >= WAIT_MAX_SECS * 10 {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *at = now;
        let over = count.checked_sub(FREE_FAILURES + 1)?;
        let wait = 1u64.checked_shl(over).filter(|wait| *wait < WAIT_MAX_SECS).unwrap_or(WAIT_MAX_SECS);
        Some(limited("too many wrong sign-ins for this name from this address", wait))
    }

    /// Forgets the wrong sign-ins for a name from an address: a right one came.
    pub fn sign_in_succeeded(&self, address: IpAddr, name: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&(network(address), name.to_owned()));
    }

    /// Whether a refusal for want of tokens is to be recorded: one a second for each address. Whoever goes on in spite
    /// of being refused must not fill the disk with that.
    pub fn is_news(&self, address: IpAddr, now: UnixMillis) -> bool {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let last = news.get(network(address), UnixMillis(0));
        let passed = now.0.abs_diff(last.0) >= NEWS_MILLIS;
        if passed {
            *last = now;
        }
        passed
    }

    fn take(&self, who: Who, limit: Limit, now: UnixMillis) -> Result<(), Fault> {
        let most = u64::from(limit.burst.max(1)) * COST;
        let per_milli = u64::from(limit.per_second.max(1)) * (COST / 1000);
        let mut buckets = self.locked();
        let bucket = buckets.get(who, Bucket { left: most, at: now });
        let passed = now.0.saturating_sub(bucket.at.0);
        bucket.left = bucket.left.saturating_add(passed.saturating_mul(per_milli)).min(most);
        bucket.at = now;
        match bucket.left.checked_sub(COST) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => {
                let missing = COST - bucket.left;
                let secs = missing.div_ceil(per_milli.saturating_mul(1000)).max(1);
                Err(limited("too many requests from here", secs))
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Halves<Who, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limited(what: &str, secs: u64) -> Fault {
    Fault {
        retry_after_secs: Some(secs),
        ..Fault::new(Kind::RateLimited, "RATE_LIMITED", format!("{what}; wait {secs} s"))
    }
    .hint("send it again after that time; what was asked for was not done")
}

/// What counts as one address: whoever has one IPv6 address usually has all of its /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => match long.to_ipv4_mapped() {
            Some(short) => IpAddr::V4(short),
            None => IpAddr::V6(Ipv6Addr::from_bits(long.to_bits() & !u128::from(u64::MAX))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn table(per_second: u32, burst: u32) -> RateTable {
        let limit = Limit { per_second, burst };
        RateTable::new(Rates { read: limit, write: limit, anonymous: limit, sign_in: limit })
    }

    fn later(millis: u64) -> UnixMillis {
        UnixMillis(NOW.0 + millis)
    }

    /// How many requests in a row are let through at a moment.
    fn through(table: &RateTable, address: &str, now: UnixMillis) -> usize {
        let address: IpAddr = address.parse().unwrap();
        (0..100).take_while(|_| table.anonymous(address, Rate::Read, now).is_ok()).count()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let table = table(10, 5);
        assert_eq!(through(&table, "192.0.2.1", NOW), 5);
        let fault = table.anonymous("192.0.2.1".parse().unwrap(), Rate::Read, NOW).unwrap_err();
        assert_eq!((fault.code, fault.kind, fault.retry_after_secs), ("RATE_LIMITED", Kind::RateLimited, Some(1)));
        assert_eq!(through(&table, "192.0.2.1", later(99)), 0);
        assert_eq!(through(&table, "192.0.2.1", later(100)), 1);
        assert_eq!(through(&table, "192.0.2.1", later(60_000)), 5, "never more than the burst");
        assert_eq!(through(&table, "192.0.2.1", NOW), 0, "a clock that goes back gives nothing");
        assert_eq!(through(&table, "192.0.2.1", later(200)), 2);
    }

    #[test]
    fn each_caller_and_class_has_a_bucket_of_its_own() {
        let table = table(1, 2);
        assert_eq!(through(&table, "192.0.2.1", NOW), 2);
        assert_eq!(through(&table, "192.0.2.2", NOW), 2);
        assert_eq!(through(&table, "::ffff:192.0.2.2", NOW), 0, "the same address, written otherwise");
        assert_eq!(through(&table, "2001:db8::1", NOW), 2);
        assert_eq!(through(&table, "2001:db8::ffff", NOW), 0, "the same network");
        assert_eq!(through(&table, "2001:db8:0:1::1", NOW), 2);
        let (sam, dana): (PersonId, PersonId) = ("sam".parse().unwrap(), "dana".parse().unwrap());
        for (person, rate) in [(&sam, Rate::Read), (&sam, Rate::Write), (&dana, Rate::Write)] {
            assert!(table.signed_in(person, rate, NOW).is_ok());
            assert!(table.signed_in(person, rate, NOW).is_ok());
            assert!(table.signed_in(person, rate, NOW).is_err());
        }
        assert!(table.anonymous("192.0.2.1".parse().unwrap(), Rate::SignIn, NOW).is_ok());
    }

    #[test]
    fn the_table_is_bounded() {
        let table = table(1, 1);
        for number in 0..(3 * HALF as u32) {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            table.anonymous(address, Rate::Read, NOW).unwrap();
        }
        let buckets = table.locked();
        assert!(buckets.young.len() + buckets.old.len() <= 2 * HALF);
    }

    #[test]
    fn one_refusal_a_second_is_news() {
        let table = RateTable::default();
        let news = |address: &str, millis: u64| table.is_news(address.parse().unwrap(), later(millis));
        assert_eq!([0, 1, 999, 1000, 1001].map(|millis| news("192.0.2.1", millis)), [true, false, false, true, false]);
        assert!(news("192.0.2.2", 1) && news("2001:db8::1", 1));
        assert!(!news("2001:db8::2", 2), "the same network");
        // A clock that is put back silences nobody for long.
        assert!(table.is_news("192.0.2.1".parse().unwrap(), UnixMillis(NOW.0 - 3_600_000)));
    }

    #[test]
    fn guessing_is_slowed_and_nobody_is_locked_out() {
        let table = RateTable::default();
        let waits: Vec<Option<u64>> = (0..30)
            .map(|_| table.sign_in_failed(HERE, "sam", NOW).map(|fault| fault.retry_after_secs.unwrap()))
            .collect();
        assert!(waits[..16].iter().all(Option::is_none), "{waits:?}");
        assert_eq!(waits[16..23], [1, 2, 4, 8, 16, 32, 60].map(Some));
        assert_eq!(waits[29], Some(60));
        // Another address and another name are free; a right answer makes free again.
        assert!(table.sign_in_failed("192.0.2.1".parse().unwrap(), "sam", NOW).is_none());
        assert!(table.sign_in_failed(HERE, "dana", NOW).is_none());
        table.sign_in_succeeded(HERE, "sam");
        assert!(table.sign_in_failed(HERE, "sam", NOW).is_none());
    }
}
