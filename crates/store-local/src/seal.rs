//! Seals: a hash in each row that no entry proves, so that damage to it is noticed.
//!
//! Entries, tiles, streams and documents are compared with the tree or with their own names whenever they are read or
//! audited. Replies, projections and sessions are not in the tree. A seal guards them against a disk that changes what it
//! holds; it has no key, so whoever can write to the database can seal again, and no decision rests on such a row.

use lockgate_model::Hasher;
use lockgate_store::StoreError;
use lockgate_store::projection::DAMAGED;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};

use crate::fault::{self, Fault};

/// The seal of a row: SHA-256 over the name of its table and its columns, each after its length.
pub(crate) fn of(table: &str, columns: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    for part in std::iter::once(table.as_bytes()).chain(columns.iter().copied()) {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    *hasher.finish().as_bytes()
}

/// Compares a row with the seal that was found in it; a row of an earlier version has none.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn check(found: Option<[u8; 32]>, table: &str, columns: &[&[u8]]) -> Result<(), StoreError> {
    match found {
        Some(found) if found != of(table, columns) => Err(fault::damaged(&format!("a row of the table `{table}`"))),
        _ => Ok(()),
    }
}

/// How many rows were taken out of a database when it was opened, because they were not what was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Sessions: whoever had one signs in again.
    pub sessions: u64,
    /// Projections: [`lockgate_store::projection::DAMAGED`] says that they have to be made again.
    pub projections: u64,
}

impl Mended {
    /// Whether nothing was damaged.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Compares every row with its seal, and takes out sessions and projections that are not what was written. The caller
/// keeps that, or gives it up, with the transaction that this runs in.
///
/// A damaged reply is refused: without it a repeated request would be done twice.
///
/// # Errors
/// `Corrupt`, `Full`, `ReadOnly`, `Io`.
pub(crate) fn mend(connection: &Connection) -> Result<Mended, Fault> {
    check_replies(connection)?;
    let sessions = damaged_sessions(connection)?;
    if !sessions.is_empty() {
        // Their indexes may name the values as they were, and then no row could be removed.
        connection.execute_batch("REINDEX session")?;
    }
    for row in &sessions {
        connection.execute("DELETE FROM session WHERE rowid = ?1", [row])?;
    }
    let projections = damaged_projections(connection)?;
    for (kind, key) in &projections {
        let [kind, key] = [kind, key].map(|text| ToSqlOutput::Borrowed(ValueRef::Text(text)));
        connection.execute("DELETE FROM projection WHERE kind = ?1 AND key = ?2", (kind, key))?;
    }
    if !projections.is_empty() {
        let (kind, key) = DAMAGED;
        let value: &[u8] = b"";
        let seal = of("projection", &[kind.as_bytes(), key.as_bytes(), value]);
        let sql = "INSERT OR REPLACE INTO projection (kind, key, value, seal) VALUES (?1, ?2, ?3, ?4)";
        connection.execute(sql, (kind, key, value, seal))?;
    }
    Ok(Mended { sessions: sessions.len() as u64, projections: projections.len() as u64 })
}

fn check_replies(connection: &Connection) -> Result<(), Fault> {
    let mut select = connection.prepare("SELECT key, request, body, at, seal FROM reply")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key, request, body): (String, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let at: i64 = row.get(3)?;
        check(row.get(4)?, "reply", &[key.as_bytes(), &request, &body, &at.to_be_bytes()])?;
    }
    Ok(())
}

/// The row ids of sessions that are not what was written.
fn damaged_sessions(connection: &Connection) -> Result<Vec<i64>, Fault> {
    let mut select =
        connection.prepare("SELECT token_hash, subject, created, last_used, expires, seal, rowid FROM session")?;
    let mut rows = select.query([])?;
    let mut damaged = Vec::new();
    while let Some(row) = rows.next()? {
        if !is_sealed(row, "session", 5)? {
            damaged.push(row.get(6)?);
        }
    }
    Ok(damaged)
}

/// The kind and the key of a projection, as they stand there.
type ProjectionName = (Vec<u8>, Vec<u8>);

/// The names of projections that are not what was written.
fn damaged_projections(connection: &Connection) -> Result<Vec<ProjectionName>, Fault> {
    let mut select = connection.prepare("SELECT kind, key, value, seal FROM projection")?;
    let mut rows = select.query([])?;
    let mut damaged = Vec::new();
    while let Some(row) = rows.next()? {
        if !is_sealed(row, "projection", 3)? {
            damaged.push((bytes_of(row, 0)?, bytes_of(row, 1)?));
        }
    }
    Ok(damaged)
}

/// Whether the first `columns` of a row are what the seal behind them says. A row of an earlier version has no seal.
fn is_sealed(row: &Row<'_>, table: &str, columns: usize) -> rusqlite::Result<bool> {
    let ValueRef::Blob(seal) = row.get_ref(columns)? else {
        return Ok(row.get_ref(columns)? == ValueRef::Null);
    };
    let values = (0..columns).map(|column| bytes_of(row, column)).collect::<rusqlite::Result<Vec<_>>>()?;
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    Ok(seal == of(table, &values).as_slice())
}

/// The bytes of a value as they were sealed, also of a text that is none any more.
fn bytes_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        ValueRef::Integer(number) => number.to_be_bytes().to_vec(),
        // No column of these tables holds one.
        ValueRef::Null | ValueRef::Real(_) => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_binds_table_columns_and_borders() {
        let seal = of("reply", &[b"ab", b"c"]);
        assert!(check(Some(seal), "reply", &[b"ab", b"c"]).is_ok());
        assert!(check(None, "reply", &[b"anything"]).is_ok(), "an earlier version sealed nothing");
        let others: [(&str, [&[u8]; 2]); 3] =
            [("session", [b"ab", b"c"]), ("reply", [b"a", b"bc"]), ("reply", [b"ab", b"d"])];
        for (table, columns) in others {
            assert!(matches!(check(Some(seal), table, &columns), Err(StoreError::Corrupt(_))), "{table} {columns:?}");
        }
    }
}
