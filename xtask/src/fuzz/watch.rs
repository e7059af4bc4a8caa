//! Watch: what each thread reads at the moment, for an input that never comes to an end.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After what time nobody waits any more.
const LOST: Duration = Duration::from_secs(60);

/// What one thread reads.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Option<Reading>>);

/// An input on its way.
#[derive(Debug, Clone)]
pub struct Reading {
    /// By which target.
    pub target: String,
    /// The input.
    pub input: Vec<u8>,
    since: Instant,
}

impl Watch {
    /// A reader begins.
    pub fn begin(&self, target: &str, input: &[u8]) {
        self.set(Some(Reading { target: target.to_owned(), input: input.to_vec(), since: Instant::now() }));
    }

    /// It has ended.
    pub fn end(&self) {
        self.set(None);
    }

    fn set(&self, reading: Option<Reading>) {
        if let Ok(mut now) = self.0.lock() {
            *now = reading;
        }
    }

    /// The input that has been read for so long that it will not end.
    pub fn lost(&self) -> Option<Reading> {
        let now = self.0.lock().ok()?;
        now.as_ref().filter(|reading| reading.since.elapsed() > LOST).cloned()
    }
}
