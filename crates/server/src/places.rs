//! Places for what takes much memory: few in all, and one a person, so that nobody keeps all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockgate_model::PersonId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that are taken and given back.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
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
    /// So many places in all.
    pub fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), own: Mutex::default() }
    }

    /// A place, as soon as there is one for this person; `None` where there is none in time.
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
        own.entry(person.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
