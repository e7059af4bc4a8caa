//! Watch: what each thread reads at the moment, for an input that never comes to an end.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After what time nobody waits any more.
const LOST: Duration = Duration::from_secs(60);

/// What one thread reads; what it read before stays there until the next input, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Option<Reading>>);

/// An input on its way, or the last one.
#[derive(Debug, Clone)]
pub struct Reading {
    /// By which target.
    pub target: String,
    /// The input.
    pub input: Vec<u8>,
    /// Since when; absent when it has been read.
    since: Option<Instant>,
}

impl Watch {
    /// A reader begins.
    pub fn begin(&self, target: &str, input: &[u8]) {
        let Ok(mut now) = self.0.lock() else { return };
        let reading = now.get_or_insert_with(|| Reading { target: String::new(), input: Vec::new(), since: None });
        if reading.target != target {
            target.clone_into(&mut reading.target);
        }
        input.clone_into(&mut reading.input);
        reading.since = Some(Instant::now());
    }

    /// It has ended.
    pub fn end(&self) {
        if let Ok(mut now) = self.0.lock()
            && let Some(reading) = now.as_mut()
        {
            reading.since = None;
        }
    }

    /// The input that has been read for so long that it will not end.
    pub fn lost(&self) -> Option<Reading> {
        let now = self.0.lock().ok()?;
        let is_lost = |reading: &&Reading| reading.since.is_some_and(|since| since.elapsed() > LOST);
        now.as_ref().filter(is_lost).cloned()
    }
}
