//! Places for what takes much memory, or a thread: few in all, and fewer a person, so that nobody keeps all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockgate_engine::{Fault, Kind};
use lockgate_model::PersonId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for a place.
const WAIT: Duration = Duration::from_secs(10);

/// Places that are taken and given back.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    /// How many of them one person may have.
    most_own: usize,
    /// Of everybody who has a place or waits for one.
    own: Mutex<HashMap<PersonId, Arc<Semaphore>>>,
}

/// A place; it is given back when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Places {
    /// So many places in all, and one a person.
    pub fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), most_own: 1, own: Mutex::default() }
    }

    /// The same with so many a person.
    #[must_use]
    pub fn with_own(self, most_own: usize) -> Self {
        Self { most_own, ..self }
    }

    /// A place, as soon as there is one for this person.
    ///
    /// # Errors
    /// `OVERLOADED`, with `why`, where there is none within ten seconds.
    pub async fn enter(&self, person: &PersonId, why: &str) -> Result<Place, Fault> {
        self.take(person, WAIT).await.ok_or_else(|| overloaded(why))
    }

    /// The same; `None` where there is none in time.
    pub async fn take(&self, person: &PersonId, wait: Duration) -> Option<Place> {
        let (own, all) = (self.own_of(person), self.all.clone());
        // One's own first: whoever waits for that is in nobody's way.
        let both = async {
            let own = own.acquire_owned().await.ok()?;
            Some(Place { _own: own, _all: all.acquire_owned().await.ok()? })
        };
        tokio::time::timeout(wait, both).await.ok().flatten()
    }

    fn own_of(&self, person: &PersonId) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain(|_, known| Arc::strong_count(known) > 1);
        own.entry(person.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.most_own))).clone()
    }
}

fn overloaded(why: &str) -> Fault {
    Fault::new(Kind::Unavailable, "OVERLOADED", why.to_owned()).hint("try again in a moment")
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;
    use crate::reply;

    #[test]
    fn whoever_finds_no_place_is_told_when_to_come_again() {
        assert_eq!(reply::problem(&overloaded("too many")).headers()[header::RETRY_AFTER], "1");
    }

    const NOW: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn nobody_keeps_all_places() {
        let (sam, dana, kim) = ("sam".parse().unwrap(), "dana".parse().unwrap(), "kim".parse().unwrap());
        let places = Places::new(2);
        let first = places.take(&sam, NOW).await.unwrap();
        assert!(places.take(&sam, NOW).await.is_none(), "one a person");
        let second = places.take(&dana, NOW).await.unwrap();
        assert!(places.take(&kim, NOW).await.is_none(), "two in all");
        drop(first);
        let third = places.take(&sam, NOW).await.unwrap();
        drop((second, third));
        drop(places.take(&kim, NOW).await.unwrap());
        drop(places.own_of(&sam));
        assert_eq!(places.own.lock().unwrap().len(), 1, "whoever has none is forgotten");
    }

    #[tokio::test]
    async fn somebody_may_have_more_than_one_and_still_not_all() {
        let (ci, dana) = ("ci".parse().unwrap(), "dana".parse().unwrap());
        let places = Places::new(3).with_own(2);
        let first = places.take(&ci, NOW).await.unwrap();
        let second = places.take(&ci, NOW).await.unwrap();
        assert!(places.take(&ci, NOW).await.is_none(), "two a person");
        let third = places.take(&dana, NOW).await.unwrap();
        assert!(places.take(&dana, NOW).await.is_none(), "three in all");
        drop(first);
        drop(places.take(&ci, NOW).await.unwrap());
        drop((second, third));
    }
}
