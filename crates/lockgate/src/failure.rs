//! Failures: how a command ends when it does not end well.

use lockgate_api::{ClientError, Exit};
use lockgate_engine::Fault;
use lockgate_ledger::ApplyError;
use lockgate_store::StoreError;

/// A failure with its exit code, a stable reason code and what to do next.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// A stable reason code.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// What a command gives.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into(), hint: None }
    }

    /// An unacceptable command line or input.
    pub fn usage(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// A proof that does not hold: nothing that it says counts.
    pub fn unproven(error: ApplyError) -> Self {
        Self::new(Exit::Denied, error.code, error.message)
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let (exit, hint) = match error.kind() {
            ErrorKind::NotFound => (Exit::NotFound, "check the name; it is looked for from the directory you are in"),
            ErrorKind::IsADirectory => (Exit::Usage, "name a file, not a directory"),
            ErrorKind::NotADirectory => (Exit::Usage, "a part of the path is a file, not a directory"),
            ErrorKind::PermissionDenied => (Exit::Usage, "look at who may read and write it with `ls -l`"),
            ErrorKind::AlreadyExists => (Exit::Conflict, "choose another name, or move what is there out of the way"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Exit::Unavailable, "make room, and try again"),
            ErrorKind::ReadOnlyFilesystem => (Exit::Unavailable, "choose a place that can be written"),
            _ => (Exit::Failed, "`lockgate doctor` checks this installation"),
        };
        Self::new(exit, "FILE_FAILED", format!("{}: {error}", path.display())).hint(hint)
    }

    /// A file that is there already and is not written over.
    pub fn exists(path: &std::path::Path) -> Self {
        Self::new(Exit::Conflict, "FILE_EXISTS", format!("{} exists already", path.display()))
            .hint("choose another name, or move what is there out of the way")
    }

    /// With what to do next, where nothing better is said yet.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: self.hint.or_else(|| Some(hint.into())), ..self }
    }

    /// What programs get as `error`.
    pub fn to_json(&self) -> serde_json::Value {
        let Self { exit, code, message, hint } = self;
        serde_json::json!({ "code": code, "message": message, "hint": hint, "exit": exit.code() })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self {
            exit: error.exit(),
            code: error.code().to_owned(),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let kind = lockgate_server::problem_kind(fault.kind);
        let message = match &fault.context {
            Some(context) => format!("{} ({context})", fault.message),
            None => fault.message.clone(),
        };
        Self { exit: kind.into(), code: fault.code.to_owned(), message, hint: fault.hint }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Fault::from(error).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Locked(_) => Self::new(Exit::Conflict, "STORE_LOCKED", error.to_string())
                .hint("another server uses this data directory; stop it, or choose another with --home"),
            StoreError::Practice(_) => Self::new(Exit::Conflict, "STORE_PRACTICE", error.to_string())
                .hint("run the server on its own data directory, or on a backup"),
            StoreError::Fatal(_) => Self::new(Exit::Unavailable, "STORE_FAILED", error.to_string()).hint(
                "see that the disk has room and is well; a server starts again after a restart of the host, or after \
                 `lockgate doctor --recheck`",
            ),
            StoreError::Schema { .. } => Self::new(Exit::Failed, "STORE_SCHEMA", error.to_string()),
            StoreError::NotFound(_) => Self::new(Exit::NotFound, "STORE_MISSING", error.to_string()),
            _ => Fault::from(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::*;

    #[test]
    fn files_that_cannot_be_read_are_one_thing_everywhere_and_say_what_to_do() {
        let check = |kind: ErrorKind, exit: Exit| {
            let failure = Failure::file(Path::new("x"), &kind.into());
            assert_eq!((failure.exit, failure.code.as_str()), (exit, "FILE_FAILED"), "{kind}");
            assert!(failure.hint.is_some(), "{kind}");
        };
        check(ErrorKind::NotFound, Exit::NotFound);
        check(ErrorKind::IsADirectory, Exit::Usage);
        check(ErrorKind::PermissionDenied, Exit::Usage);
        check(ErrorKind::StorageFull, Exit::Unavailable);
        check(ErrorKind::Other, Exit::Failed);
    }

    #[test]
    fn a_hint_that_is_there_is_kept() {
        let plain = Failure::usage("A_CODE", "x");
        assert_eq!(plain.clone().or_hint("new").hint.as_deref(), Some("new"));
        assert_eq!(plain.hint("old").or_hint("new").hint.as_deref(), Some("old"));
    }
}
