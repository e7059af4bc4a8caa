//! Schema versions: numbered SQL files, applied in order and never edited later.

use std::collections::BTreeSet;

use lockgate_store::{Result, StoreError};
use rusqlite::{Connection, TransactionBehavior};

use crate::fault::Fault;

/// The migrations; the n-th one, from 1, makes schema n.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/0001_ledger.sql"),
    include_str!("../migrations/0002_seals.sql"),
    include_str!("../migrations/0003_entries.sql"),
];

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
/// `Schema` for an unknown version; `Full`, `ReadOnly`, `Io`, `Corrupt`; `Fatal` when a write or a flush fails.
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

/// Refuses a database with a table, an index or a guard that reads otherwise than the migrations make it. One that is
/// missing is not looked for here: whoever removes guards changes rows, and that is seen.
///
/// # Errors
/// `Corrupt`, `Io`.
pub(crate) fn check_shape(connection: &Connection) -> Result<()> {
    let fresh = Connection::open_in_memory().map_err(Fault::from)?;
    for sql in MIGRATIONS {
        fresh.execute_batch(sql).map_err(Fault::from)?;
    }
    if application(&fresh)? != application(connection)? {
        return Err(StoreError::Corrupt("the database says that it belongs to another program".to_owned()));
    }
    let known = shape(&fresh)?;
    match shape(connection)?.into_iter().find(|part| !known.contains(part)) {
        None => Ok(()),
        Some((_, name, _, _)) => {
            Err(StoreError::Corrupt(format!("the definition of `{name}` is not what was written")))
        }
    }
}

fn application(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.query_row("PRAGMA application_id", [], |row| row.get(0))?)
}

/// Type, name, table and text.
type Part = (String, String, String, Option<String>);

fn shape(connection: &Connection) -> Result<BTreeSet<Part>, Fault> {
    let mut select = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_master")?;
    let rows = select
        .query_map([], |row| -> rusqlite::Result<Part> { Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)) })?;
    Ok(rows.collect::<rusqlite::Result<BTreeSet<Part>>>()?)
}

fn step(connection: &mut Connection, number: i64, sql: &str) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.execute_batch(&format!("PRAGMA user_version = {number}"))?;
    lockgate_failpoint::point("migration.before-commit");
    // Crash before this: the old schema. After: the new one.
    transaction.commit()?;
    lockgate_failpoint::point("migration.committed");
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
        check_shape(&connection).unwrap();
        connection.execute_batch("DROP TRIGGER entry_stays").unwrap();
        check_shape(&connection).unwrap();
        connection
            .execute_batch("CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT raise(IGNORE); END;")
            .unwrap();
        assert!(matches!(check_shape(&connection), Err(StoreError::Corrupt(_))), "another guard of the same name");
        connection.execute_batch("PRAGMA user_version = 99").unwrap();
        let error = apply(&mut connection).unwrap_err();
        assert!(matches!(error, StoreError::Schema { found: 99, known: KNOWN, .. }), "{error}");
        assert!(check_known(-1).is_err());
    }
}
