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

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(exit, "FILE_FAILED", format!("{}: {error}", path.display()))
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
            StoreError::Schema { .. } => Self::new(Exit::Failed, "STORE_SCHEMA", error.to_string()),
            StoreError::NotFound(_) => Self::new(Exit::NotFound, "STORE_MISSING", error.to_string()),
            _ => Fault::from(error).into(),
        }
    }
}
