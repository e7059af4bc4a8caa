//! The arena: what the writers know of the server they write to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockgate_api::ClientError;
use lockgate_api::problem::ProblemKind;

use crate::caller::Recovery;
use crate::failure::{Failure, Result};

/// What a writer says that was stopped at once.
pub const ABANDONED: &str = "the run was abandoned";
/// How long a writer waits for a server that is being started again.
const UP_LIMIT: Duration = Duration::from_secs(400);
/// How long a writer waits before it repeats a request that failed although the server is up.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the server is up, and whether the run goes on.
///
/// INVARIANT (down before dead): `up` is false before the server is killed, so a request that fails because of the
/// kill is repeated only after the restart.
#[derive(Debug)]
pub struct Arena {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    up: bool,
    run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Open,
    Finishing,
    Abandoned,
}

impl Default for Arena {
    fn default() -> Self {
        Self { state: Mutex::new(State { up: true, run: Run::Open }), changed: Condvar::new() }
    }
}

impl Arena {
    /// Says whether the server is up.
    pub fn set_up(&self, up: bool) {
        self.lock().up = up;
        self.changed.notify_all();
    }

    /// Lets every writer end what it has begun, and then stop.
    pub fn finish(&self) {
        self.lock().run = Run::Finishing;
        self.changed.notify_all();
    }

    /// Stops every writer at once: the server will not come back.
    pub fn abandon(&self) {
        self.lock().run = Run::Abandoned;
        self.changed.notify_all();
    }

    /// Whether something new may be begun.
    pub fn is_open(&self) -> bool {
        self.lock().run == Run::Open
    }

    /// Waits until a failed request may be repeated.
    ///
    /// # Errors
    /// When the run was abandoned, or the server stays away.
    pub fn wait_to_repeat(&self) -> Result<()> {
        let waits = |state: &mut State| !state.up && state.run != Run::Abandoned;
        let (state, _) =
            self.changed.wait_timeout_while(self.lock(), UP_LIMIT, waits).unwrap_or_else(PoisonError::into_inner);
        match (state.run, state.up) {
            (Run::Abandoned, _) => return Err(Failure::new(ABANDONED)),
            (_, false) => return Err(Failure::new("the server did not come back")),
            (_, true) => {}
        }
        // A request can also fail beside a kill, for instance on a connection of the server before; not at once again.
        let paused = self.changed.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner);
        match paused.0.run {
            Run::Abandoned => Err(Failure::new(ABANDONED)),
            Run::Open | Run::Finishing => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recovery for &Arena {
    fn request_failed(&mut self, error: &ClientError) -> Result<()> {
        match error {
            ClientError::Problem(problem) if problem.kind != ProblemKind::Unavailable => {
                Err(Failure::new(format!("refused with {}: {}", problem.code, problem.detail)))
            }
            ClientError::Problem(_) | ClientError::Unreachable { .. } | ClientError::Protocol(_) => {
                self.wait_to_repeat()
            }
        }
    }

    fn sign_in_failed(&mut self, _: &ClientError) -> Result<()> {
        // A challenge does not outlive the server that made it, so a refusal can come from a restart.
        self.wait_to_repeat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_run_lets_nobody_wait() {
        let arena = Arena::default();
        assert!(arena.is_open() && arena.wait_to_repeat().is_ok());
        arena.set_up(false);
        arena.abandon();
        assert!(!arena.is_open());
        assert_eq!(arena.wait_to_repeat().unwrap_err().to_string(), ABANDONED);
    }

    #[test]
    fn a_writer_waits_until_the_server_is_up_again() {
        let arena = Arena::default();
        arena.set_up(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| arena.wait_to_repeat());
            arena.set_up(true);
            assert!(waiting.join().unwrap().is_ok());
        });
    }
}
