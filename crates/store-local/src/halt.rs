//! The halt: once a commit or a flush has failed, no part of the store writes any more, and the process is told to stop.
//!
//! A flush that is tried again after it has failed may succeed without having written anything, of a file as of a
//! directory (see the module `suspect`). So whatever fails, rows or blobs, stops both.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use lockgate_store::{Result, StoreError};

use crate::suspect;

/// Is told why nothing may be written any more.
pub(crate) type Alarm = Box<dyn Fn(&str) + Send + Sync>;

/// Whether a store may still write. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Halt(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    halted: AtomicBool,
    alarm: OnceLock<Alarm>,
}

impl Halt {
    /// For the store in `dir`: nothing has failed yet.
    pub(crate) fn new(dir: &Path) -> Self {
        Self(Arc::new(Shared { dir: dir.to_owned(), halted: AtomicBool::new(false), alarm: OnceLock::new() }))
    }

    /// Names who is told; the first one stays.
    pub(crate) fn tell(&self, alarm: Alarm) {
        // Whoever comes second is not needed: the process stops for the first.
        let _ = self.0.alarm.set(alarm);
    }

    /// Whether something has failed.
    pub(crate) fn is_halted(&self) -> bool {
        self.0.halted.load(Ordering::SeqCst)
    }

    /// Refuses to write once something has failed.
    ///
    /// # Errors
    /// `Fatal`.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_halted() {
            true => Err(StoreError::Fatal("an earlier write failed, and nothing is written after it".to_owned())),
            false => Ok(()),
        }
    }

    /// Notes that nothing may be written any more, on disk too when the device failed; tells, and gives the error back.
    pub(crate) fn halt(&self, error: StoreError, device_failed: bool) -> StoreError {
        self.0.halted.store(true, Ordering::SeqCst);
        if device_failed {
            suspect::set(&self.0.dir);
        }
        if let Some(alarm) = self.0.alarm.get() {
            alarm(&error.to_string());
        }
        error
    }

    /// The same for an error of a file operation, where it is that of a flush.
    pub(crate) fn after(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Fatal(_) => self.halt(error, true),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_failed_flush_halts_marks_and_tells_and_a_full_disk_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let halt = Halt::new(dir.path());
        let hears = told.clone();
        halt.tell(Box::new(move |reason| hears.lock().unwrap().push(reason.to_owned())));
        halt.after(StoreError::Full("no room".to_owned()));
        assert!(halt.check().is_ok() && !suspect::path(dir.path()).exists() && told.lock().unwrap().is_empty());
        let shared = halt.clone();
        shared.after(StoreError::Fatal("cannot flush".to_owned()));
        assert!(matches!(halt.check(), Err(StoreError::Fatal(_))));
        assert!(suspect::path(dir.path()).exists());
        assert!(told.lock().unwrap().iter().any(|reason| reason.contains("cannot flush")));
    }
}
