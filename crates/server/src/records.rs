//! Places for records that the access log has not written yet, and what becomes of a request when there is none.
//!
//! While the access log cannot be written, as on a full disk, records wait, and each holds a place. Nothing that takes
//! a sign-in, and nothing that may change anything, is done without one. Whoever is not signed in could take all of them
//! by asking; so such records get half of the places at most, and none where the request read what is public, with a
//! token or without, and there is no place at all. What they did then is only counted, and the count becomes one record
//! once there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lockgate_api::routes::Rate;
use lockgate_api::{Access, Route};
use lockgate_engine::access_log::Place;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for a place.
const WAIT: Duration = Duration::from_secs(5);

/// What a request comes to when nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// It is answered, and changes nothing.
    Answered,
    /// It is refused.
    Refused,
    /// It may open a session, or leave something behind.
    LetIn,
}

impl Stranger {
    /// What requests to a route come to.
    pub fn at(route: &Route) -> Self {
        match (route.access, route.rate) {
            (Access::Public, Rate::Read) => Self::Answered,
            // Asking for a challenge stores nothing and proves nothing.
            (Access::Public, _) if route.event.ends_with("challenge") => Self::Answered,
            (Access::Public, _) => Self::LetIn,
            _ => Self::Refused,
        }
    }
}

/// What a request on its way holds.
#[derive(Debug)]
pub enum Held {
    /// A place for its record.
    Place(OwnedSemaphorePermit),
    /// None: it will only be counted.
    Nothing,
}

/// The places.
#[derive(Debug)]
pub struct Records {
    all: Arc<Semaphore>,
    /// How many of them records of strangers may still take.
    strangers: Arc<Semaphore>,
    /// How many requests were only counted.
    counted: AtomicU64,
}

impl Records {
    /// So many places; half of them for strangers.
    pub fn new(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            strangers: Arc::new(Semaphore::new(most / 2)),
            counted: AtomicU64::new(0),
        }
    }

    /// Takes a place before anything is done. What is answered to everybody does not wait for one.
    ///
    /// `None` when there is none within five seconds.
    pub async fn hold(&self, stranger: Stranger) -> Option<Held> {
        self.hold_within(stranger, WAIT).await
    }

    async fn hold_within(&self, stranger: Stranger, wait: Duration) -> Option<Held> {
        if let Ok(place) = self.all.clone().try_acquire_owned() {
            return Some(Held::Place(place));
        }
        if stranger == Stranger::Answered {
            return Some(Held::Nothing);
        }
        let place = tokio::time::timeout(wait, self.all.clone().acquire_owned()).await.ok()?;
        place.ok().map(Held::Place)
    }

    /// What a record keeps until it is durable; `None` when the request is only counted. `may_count` says that it may
    /// be: nobody is signed in, and nothing was changed.
    pub fn keep(&self, held: Held, may_count: bool) -> Option<Place> {
        let place: Option<Place> = match (held, may_count) {
            (Held::Nothing, _) => None,
            (Held::Place(place), false) => Some(Box::new(place)),
            (Held::Place(place), true) => match self.strangers.clone().try_acquire_owned() {
                Ok(own) => Some(Box::new((place, own))),
                Err(_) => None,
            },
        };
        if place.is_none() && self.counted.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "the access log is behind: requests of nobody signed in are only counted; is the disk full?"
            );
        }
        place
    }

    /// How many requests were only counted, and a place for a record that says so; `None` while there is no room for
    /// one, and when there were none. They are not counted again.
    pub fn take_counted(&self) -> Option<(u64, Place)> {
        if self.counted.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let place = self.all.clone().try_acquire_owned().ok()?;
        let own = self.strangers.clone().try_acquire_owned().ok()?;
        match self.counted.swap(0, Ordering::Relaxed) {
            0 => None,
            count => Some((count, Box::new((place, own)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_api::ROUTES;

    use super::*;

    const NOW: Duration = Duration::from_millis(10);

    fn at(name: &str) -> Stranger {
        Stranger::at(ROUTES.iter().find(|route| route.name == name).unwrap())
    }

    /// A record that waits, as those of a log that cannot be written do.
    async fn waiting(records: &Records, stranger: Stranger, may_count: bool) -> Option<Place> {
        records.keep(records.hold_within(stranger, NOW).await?, may_count)
    }

    #[test]
    fn what_everybody_may_read_is_answered_and_a_sign_in_lets_in() {
        for name in ["health", "ready", "checkpoint", "tile", "consistency", "asset", "challenge"] {
            assert_eq!(at(name), Stranger::Answered, "{name}");
        }
        for name in ["sign-in", "setup", "passkey-hand-in", "ci-token"] {
            assert_eq!(at(name), Stranger::LetIn, "{name}");
        }
        assert_eq!(at("page-pipeline"), Stranger::Refused);
        assert_eq!(at("handover"), Stranger::Refused);
    }

    #[tokio::test]
    async fn strangers_keep_no_place_from_who_is_signed_in() {
        let records = Records::new(8);
        let mut log = Vec::new();
        for _ in 0..100 {
            log.extend(waiting(&records, Stranger::Refused, true).await);
        }
        assert_eq!(log.len(), 4, "half of them");
        assert!(records.take_counted().is_none(), "there is no room for the count either");
        for _ in 0..4 {
            log.push(waiting(&records, Stranger::Refused, false).await.unwrap());
        }
        assert_eq!(log.len(), 8);
        for _ in 0..10 {
            assert!(matches!(records.hold(Stranger::Answered).await, Some(Held::Nothing)), "public reads go on");
            assert!(waiting(&records, Stranger::Answered, true).await.is_none());
        }
        // The log is written.
        log.clear();
        let (count, place) = records.take_counted().unwrap();
        assert_eq!(count, 96 + 10);
        assert!(records.take_counted().is_none(), "it is told once");
        drop(place);
        assert!(waiting(&records, Stranger::Answered, true).await.is_some());
    }

    #[tokio::test]
    async fn what_may_change_something_is_not_done_without_a_place() {
        let records = Records::new(2);
        let log = [waiting(&records, Stranger::LetIn, false).await, waiting(&records, Stranger::LetIn, false).await];
        assert!(log.iter().all(Option::is_some));
        assert!(records.hold_within(Stranger::LetIn, NOW).await.is_none());
        assert!(records.hold_within(Stranger::Refused, NOW).await.is_none());
        assert!(records.take_counted().is_none());
        drop(log);
        assert!(records.hold_within(Stranger::LetIn, NOW).await.is_some());
    }
}
