//! Pace: how fast the other end of an upload or a download has to be, so that nobody holds a place by being slow.

use std::future::Future;
use std::time::Duration;

use lockgate_model::Limits;
use tokio::time::{Instant, timeout};

/// Over how long a pace is measured.
const WINDOW: Duration = Duration::from_secs(60);

/// How one transfer gets on. Only the time in which the other end is waited for counts, and not that of our own disk.
#[derive(Debug)]
pub struct Pace {
    least_bytes: u64,
    window: Duration,
    waited: Duration,
    moved_bytes: u64,
}

/// Why a transfer is given up: the other end was waited for a whole window, and moved too little in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

impl Pace {
    /// The pace that a server asks for.
    pub fn new(limits: &Limits) -> Self {
        Self::of(limits.transfer_bytes_per_minute, WINDOW)
    }

    /// At least so many bytes in each window.
    pub fn of(least_bytes: u64, window: Duration) -> Self {
        Self { least_bytes, window, waited: Duration::ZERO, moved_bytes: 0 }
    }

    /// Waits for the other end, for what is left of the window.
    ///
    /// # Errors
    /// [`TooSlow`] when nothing is left.
    pub async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Result<T, TooSlow> {
        let begun = Instant::now();
        let done = timeout(self.left(), step).await.map_err(|_| TooSlow)?;
        self.waited(begun.elapsed());
        Ok(done)
    }

    /// Counts time in which the other end was waited for.
    pub fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Counts bytes; with enough of them a new window begins.
    pub fn moved(&mut self, bytes: usize) {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes as u64);
        if self.moved_bytes >= self.least_bytes {
            self.moved_bytes = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// What is left of the window.
    pub fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dripping_does_not_begin_a_new_window_and_enough_does() {
        let mut pace = Pace::of(1000, WINDOW);
        for _ in 0..6 {
            pace.moved(1);
            pace.waited += Duration::from_secs(10);
        }
        assert_eq!(pace.left(), Duration::ZERO);
        pace.moved(993);
        assert_eq!(pace.left(), Duration::ZERO, "999 of 1000 bytes");
        pace.moved(1);
        assert_eq!(pace.left(), WINDOW);
    }

    #[test]
    fn waiting_ends_with_the_window() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut pace = Pace::of(10, Duration::from_millis(20));
            assert_eq!(pace.wait(async { 7 }).await, Ok(7));
            assert_eq!(pace.wait(std::future::pending::<()>()).await, Err(TooSlow));
        });
    }
}
