//! Seals: a hash in each row that no entry proves, so that damage to it is noticed.
//!
//! Entries, tiles, streams and documents are compared with the tree or with their own names whenever they are read or
//! audited. Replies, projections and sessions are not in the tree. A seal guards them against a disk that changes what it
//! holds; it has no key, so whoever can write to the database can seal again, and no decision rests on such a row.

use lockgate_model::Hasher;
use lockgate_store::StoreError;
use rusqlite::Connection;

use crate::fault::Fault;

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
        Some(found) if found != of(table, columns) => Err(StoreError::Corrupt(format!(
            "a row of the table `{table}` is not what was written; stop the server and restore a backup"
        ))),
        _ => Ok(()),
    }
}

/// Compares every row with its seal.
///
/// # Errors
/// `Corrupt`, `Io`.
pub(crate) fn check_all(connection: &Connection) -> Result<(), Fault> {
    let mut select = connection.prepare("SELECT key, request, body, at, seal FROM reply")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key, request, body): (String, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let at: i64 = row.get(3)?;
        check(row.get(4)?, "reply", &[key.as_bytes(), &request, &body, &at.to_be_bytes()])?;
    }
    let mut select = connection.prepare("SELECT kind, key, value, seal FROM projection")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, key, value): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        check(row.get(3)?, "projection", &[kind.as_bytes(), key.as_bytes(), &value])?;
    }
    let mut select =
        connection.prepare("SELECT token_hash, subject, created, last_used, expires, seal FROM session")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (token_hash, subject): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
        let times: (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        check(
            row.get(5)?,
            "session",
            &[&token_hash, subject.as_bytes(), &times.0.to_be_bytes(), &times.1.to_be_bytes(), &times.2.to_be_bytes()],
        )?;
    }
    Ok(())
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
