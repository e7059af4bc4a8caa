//! Interruption: Ctrl-C, or a `kill`, ends the story where it is; its server and its directory go with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lockgate_api::Exit;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Whether somebody wants the story to end.
pub struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Listens from now on: SIGINT and SIGTERM are remembered, and do not end this process any more.
    ///
    /// # Errors
    /// `RUNTIME_FAILED` when the system lets nobody listen.
    pub fn watch() -> Result<Self, Failure> {
        let fail = |error: std::io::Error| Failure::new(Exit::Failed, "RUNTIME_FAILED", error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let (mut interrupt, mut terminate) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(fail)?, signal(SignalKind::terminate()).map_err(fail)?)
        };
        let told = Arc::new(AtomicBool::new(false));
        let heard = told.clone();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            heard.store(true, Ordering::Relaxed);
        });
        Ok(Self(told))
    }

    /// Whether the story goes on.
    ///
    /// # Errors
    /// `DEMO_FAILED` once it was interrupted.
    pub fn check(&self) -> Result<(), Failure> {
        match self.0.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Failure::new(
                Exit::Failed,
                "DEMO_FAILED",
                "it was interrupted; its server has stopped, and its directory is gone",
            )),
        }
    }
}
