//! How errors of SQLite and of the file system become [`StoreError`]s.

use std::io;
use std::path::Path;

use lockgate_store::StoreError;
use rusqlite::{ErrorCode, ffi};

/// What can go wrong inside one database operation, so that `?` works for both kinds.
#[derive(Debug)]
pub(crate) enum Fault {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Sqlite(error) => sqlite(&error),
        }
    }
}

fn sqlite(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    if is_write_failure(error) {
        return StoreError::Fatal(text);
    }
    match (error, error.sqlite_error_code()) {
        (_, Some(ErrorCode::DiskFull)) => StoreError::Full(text),
        (_, Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied)) => StoreError::ReadOnly(text),
        (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => StoreError::Corrupt(text),
        (_, Some(ErrorCode::ConstraintViolation)) => StoreError::Contract(text),
        (
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..),
            _,
        ) => StoreError::Corrupt(text),
        _ => StoreError::Io(text),
    }
}

/// Whether the device or the kernel failed, in contrast to a full disk or a refused statement.
pub(crate) fn is_device_failure(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// Whether bytes that were handed to the kernel may never reach the disk: writing, flushing or cutting a file failed,
/// in contrast to reading it, and for another reason than a lack of room.
fn is_write_failure(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_extended_error_code(),
        Some(
            ffi::SQLITE_IOERR_WRITE
                | ffi::SQLITE_IOERR_FSYNC
                | ffi::SQLITE_IOERR_DIR_FSYNC
                | ffi::SQLITE_IOERR_TRUNCATE
        )
    )
}

/// Something stored that is not what was written.
pub(crate) fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is not what was written; stop the server and restore a backup"))
}

/// An operation on a file or directory that failed, other than a flush.
pub(crate) fn file(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let text = format!("cannot {what} `{}`: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(text),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::ReadOnly(text),
        _ => StoreError::Io(text),
    }
}

/// A flush that failed: what the kernel holds is unknown, so the process must stop.
pub(crate) fn flush(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Fatal(format!("cannot flush `{}`: {error}", path.display()))
}

/// A number that SQLite must hold.
///
/// # Errors
/// `Contract` above 2^63 - 1.
pub(crate) fn to_sql(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Contract(format!("{number} is larger than a database number")))
}

/// A number to search with: nothing stored is larger than the largest database number.
pub(crate) fn to_bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows to read at most.
pub(crate) fn to_limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// A number that SQLite held.
///
/// # Errors
/// `Corrupt` below zero.
pub(crate) fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("the database holds {number} where a count belongs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_never_reach_the_disk_is_fatal_and_a_failed_read_or_a_full_disk_is_not() {
        let of = |code: i32| sqlite(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_TRUNCATE] {
            assert!(of(code).is_fatal(), "{code}");
        }
        assert!(matches!(of(ffi::SQLITE_IOERR_READ), StoreError::Io(_)));
        assert!(matches!(of(ffi::SQLITE_FULL), StoreError::Full(_)));
        assert!(matches!(of(ffi::SQLITE_READONLY), StoreError::ReadOnly(_)));
    }
}
