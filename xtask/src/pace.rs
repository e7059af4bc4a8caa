//! Pace: when it is time again to say how far a long run is.

use std::time::{Duration, Instant};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(10);

/// When it was said last.
#[derive(Debug)]
pub struct Pace(Instant);

impl Pace {
    /// Begins now; nothing has to be said yet.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Whether it is time to say it again; then the time begins anew.
    pub fn is_due(&mut self) -> bool {
        let is_due = self.0.elapsed() >= EVERY;
        if is_due {
            self.0 = Instant::now();
        }
        is_due
    }
}
