//! Gathered: what metrics are counted from, read once for each stretch of time and size of the ledger.
//!
//! Reading it takes up to a second or so on a long ledger. It is the same for everybody, and what somebody may read of it
//! is counted anew for each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_engine::metrics::{Gathered, gather};
use lockgate_engine::{Engine, Fault};
use lockgate_model::{Span, UnixMillis};

/// How long it is good whatever happens.
const FRESH: Span = Span::from_secs(10);
/// How long it is good while nothing happens.
const STALE: Span = Span::from_secs(300);
/// How many stretches of time are remembered.
const KNOWN_MAX: usize = 8;

#[derive(Debug)]
struct Known {
    size: u64,
    at: UnixMillis,
    gathered: Arc<Gathered>,
}

/// What was read before.
#[derive(Debug, Default)]
pub struct GatheredCache {
    known: Mutex<HashMap<Span, Known>>,
    /// One reads at a time: a crowd waits for the first and takes what it found.
    reading: Mutex<()>,
}

impl GatheredCache {
    /// What happened in the last stretch of time of this length.
    ///
    /// # Errors
    /// What the store says.
    pub fn of(&self, engine: &Engine, span: Span) -> Result<Arc<Gathered>, Fault> {
        if let Some(found) = self.find(engine, span) {
            return Ok(found);
        }
        let _turn = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.find(engine, span) {
            return Ok(found);
        }
        let (now, size) = (engine.inner().now(), engine.published().head.size.0);
        let since = UnixMillis(now.max(engine.published().time).0.saturating_sub(span.millis()));
        let gathered = Arc::new(gather(engine, since)?);
        let mut known = self.locked();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        // Stamped with when reading ended: it may take longer than it is fresh.
        let at = engine.inner().now().max(now);
        known.insert(span, Known { size, at, gathered: gathered.clone() });
        Ok(gathered)
    }

    fn find(&self, engine: &Engine, span: Span) -> Option<Arc<Gathered>> {
        let (now, size) = (engine.inner().now(), engine.published().head.size.0);
        self.locked().get(&span).filter(|known| known.is_good(size, now)).map(|known| known.gathered.clone())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Span, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_good(&self, size: u64, now: UnixMillis) -> bool {
        let age = now.since(self.at);
        // A clock that went back makes nothing fresh.
        now >= self.at && (age < FRESH || (size == self.size && age < STALE))
    }
}
