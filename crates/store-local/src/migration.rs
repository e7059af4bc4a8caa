//! Schema versions: numbered SQL files, applied in order and never edited later.

use lockgate_store::{Result, StoreError};
use rusqlite::{Connection, TransactionBehavior};

use crate::fault::Fault;

/// The migrations; the n-th one, from 1, makes schema n.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001_ledger.sql")];

/// The newest schema that this version knows.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Reads the schema version; 0 for a new database.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    let read = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    Ok(read.map_err(Fault::from)?)
}

/// Refuses a schema that this version does not know.
///
/// # Errors
/// `Schema`.
pub(crate) fn check_known(found: i64) -> Result<()> {
    match (0..=KNOWN).contains(&found) {
        true => Ok(()),
        false => Err(StoreError::Schema {
            found,
            known: KNOWN,
            hint: "use the version of lockgate that wrote it, or a newer one",
        }),
    }
}

/// Refuses any schema but the newest, for a reader, who cannot migrate.
///
/// # Errors
/// `Schema`.
pub(crate) fn check_newest(found: i64) -> Result<()> {
    check_known(found)?;
    match found == KNOWN {
        true => Ok(()),
        false => Err(StoreError::Schema {
            found,
            known: KNOWN,
            hint: "start the server once, so that it migrates the store",
        }),
    }
}

/// Brings the schema to the newest version, each step in a transaction of its own.
///
/// # Errors
/// `Schema` for an unknown version; `Full`, `ReadOnly`, `Io`, `Corrupt`.
pub(crate) fn apply(connection: &mut Connection) -> Result<()> {
    let found = version(connection)?;
    check_known(found)?;
    for (number, sql) in (1i64..).zip(MIGRATIONS) {
        if number > found {
            step(connection, number, sql)?;
        }
    }
    Ok(())
}

fn step(connection: &mut Connection, number: i64, sql: &str) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.execute_batch(&format!("PRAGMA user_version = {number}"))?;
    // Crash before this: the old schema. After: the new one.
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrates_once_and_refuses_what_it_does_not_know() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(check_newest(version(&connection).unwrap()).is_err());
        for _ in 0..2 {
            apply(&mut connection).unwrap();
            assert_eq!(version(&connection).unwrap(), KNOWN);
        }
        check_newest(KNOWN).unwrap();
        connection.execute_batch("PRAGMA user_version = 99").unwrap();
        let error = apply(&mut connection).unwrap_err();
        assert!(matches!(error, StoreError::Schema { found: 99, known: KNOWN, .. }), "{error}");
        assert!(check_known(-1).is_err());
    }
}
