//! The content of a database: everything that a reader could get out of it, as one digest a table.

use std::collections::BTreeMap;
use std::path::Path;

use lockgate_model::{Digest, EntryIndex, Hasher};
use lockgate_store::LedgerStore as _;
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::leaf_hash;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::failure::{During as _, Failure, Result};

/// How many entries are read at a time.
const PAGE: usize = 512;

/// What a database file holds: a digest of each table's rows, and of the schema.
///
/// Two files with the same content give the same answer to every query: tables and indexes agree, and so do the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(BTreeMap<String, Digest>);

impl Content {
    /// Reads a file that no process has open, and whose write-ahead log is empty.
    ///
    /// # Errors
    /// When SQLite finds anything wrong with it.
    pub fn read(file: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{}?immutable=1", file.display()), flags)?;
        // Only this compares every index with its table.
        let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Failure::new(found));
        }
        let mut content = BTreeMap::new();
        content.insert("schema".to_owned(), rows(&connection, "SELECT type, name, tbl_name, sql FROM sqlite_master")?);
        for (name, pragma) in [("version", "PRAGMA user_version"), ("application", "PRAGMA application_id")] {
            content.insert(name.to_owned(), rows(&connection, pragma)?);
        }
        let names = "SELECT name FROM sqlite_master WHERE type = 'table'";
        let mut select = connection.prepare(names)?;
        let tables = select.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        for table in tables {
            let all = rows(&connection, &format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
            content.insert(format!("table {table}"), all);
        }
        Ok(Self(content))
    }

    /// What differs between two files.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }
}

/// The digest of all rows of a query, in the order in which they come.
fn rows(connection: &Connection, query: &str) -> Result<Digest> {
    let mut select = connection.prepare(query)?;
    let columns = select.column_count();
    let mut rows = select.query([])?;
    let mut hasher = Hasher::new();
    let mut add = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => add(0, &[]),
                ValueRef::Integer(number) => add(1, &number.to_be_bytes()),
                ValueRef::Real(number) => add(2, &number.to_be_bytes()),
                ValueRef::Text(text) => add(3, text),
                ValueRef::Blob(bytes) => add(4, bytes),
            }
        }
    }
    Ok(hasher.finish())
}

/// The leaf hashes of all entries of a data directory, computed from their bytes.
///
/// # Errors
/// When the store cannot be opened or read.
pub fn leaves(data: &Path) -> Result<Vec<Digest>> {
    let store =
        LocalStore::open_read_only(data, Options { readers: 1, ..Options::default() }).during("open the store")?;
    let size = store.head().during("read the ledger's head")?.size.0;
    let mut leaves: Vec<Digest> = Vec::new();
    while (leaves.len() as u64) < size {
        let first = EntryIndex(leaves.len() as u64);
        let page = store.entries(first, PAGE).during("read entries")?;
        if page.is_empty() {
            return Err(Failure::new(format!("the ledger of {size} entries ends at {first}")));
        }
        leaves.extend(page.iter().map(|bytes| leaf_hash(bytes)));
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_changed_row_is_seen_and_an_untouched_file_is_the_same() {
        let scratch = Scratch::new("database-test").unwrap();
        let file = scratch.path().join("one.db");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("CREATE TABLE t (a TEXT UNIQUE, b BLOB); INSERT INTO t VALUES ('x', x'00')").unwrap();
        let before = Content::read(&file).unwrap();
        assert_eq!(before, Content::read(&file).unwrap());
        connection.execute_batch("UPDATE t SET b = x'01'").unwrap();
        assert_eq!(before.differences(&Content::read(&file).unwrap()), ["table t"]);
        connection.execute_batch("CREATE INDEX more ON t (b)").unwrap();
        assert_eq!(before.differences(&Content::read(&file).unwrap()), ["schema", "table t"]);
    }
}
