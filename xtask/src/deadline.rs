//! Deadlines: waiting for a condition, never for time alone.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// Asks `ready` every `step` until it gives a value; `what` names the thing waited for.
///
/// # Errors
/// What `ready` returns, or that the limit has passed.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    step: Duration,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    // Nothing is ever sent: the channel only measures the step, and `_held` keeps it open.
    let (_held, steps) = mpsc::channel::<()>();
    let started = Instant::now();
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if started.elapsed() >= limit {
            return Err(Failure::new(format!("{what} did not come within {} s", limit.as_secs())));
        }
        let _ = steps.recv_timeout(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_again_until_the_limit() {
        let mut asked = 0;
        let step = Duration::from_millis(1);
        let value = wait_until("three", Duration::from_secs(60), step, || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(value.unwrap(), 3);
        let never = wait_until("never", Duration::ZERO, step, || Ok(None::<()>));
        assert_eq!(never.unwrap_err().to_string(), "never did not come within 0 s");
    }
}
