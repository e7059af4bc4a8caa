//! Streams in SQLite.

use lockgate_model::{EntryIndex, StreamName};
use lockgate_store::{Result, StoreError, StreamHead, StreamStore};
use rusqlite::{CachedStatement, OptionalExtension, Params};

use crate::LocalStore;
use crate::fault::{Fault, from_sql, to_bound, to_limit};

impl StreamStore for LocalStore {
    fn stream_head(&self, name: &StreamName) -> Result<Option<StreamHead>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT seq, idx FROM stream WHERE name = ?1")?;
            let row = select.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            row.map(|(seq, index)| stream_head(seq, index)).transpose()
        })
    }

    fn stream_page(&self, name: &StreamName, from_seq: u64, most: usize) -> Result<Vec<(u64, EntryIndex)>> {
        self.database.read(|connection| {
            let select = connection.prepare_cached(
                "SELECT seq, idx FROM stream_entry
                 WHERE stream_id = (SELECT id FROM stream WHERE name = ?1) AND seq >= ?2 ORDER BY seq LIMIT ?3",
            )?;
            page(select, (name.as_str(), to_bound(from_seq), to_limit(most)))
        })
    }

    fn stream_page_newest(
        &self,
        name: &StreamName,
        before_seq: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, EntryIndex)>> {
        self.database.read(|connection| {
            let select = connection.prepare_cached(
                "SELECT seq, idx FROM stream_entry
                 WHERE stream_id = (SELECT id FROM stream WHERE name = ?1) AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            )?;
            page(select, (name.as_str(), before_seq.map_or(i64::MAX, to_bound), to_limit(most)))
        })
    }

    fn stream_heads(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<(StreamName, StreamHead)>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT name, seq, idx FROM stream WHERE name >= ?1 AND name > ?2 ORDER BY name LIMIT ?3",
            )?;
            // No name is empty, so that every name comes after the empty one.
            let mut rows = select.query((prefix, after.unwrap_or(""), to_limit(most)))?;
            let mut heads = Vec::new();
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                if !name.starts_with(prefix) {
                    break;
                }
                let Ok(name) = name.parse::<StreamName>() else {
                    return Err(StoreError::Corrupt(format!("`{name}` is not a stream name")).into());
                };
                heads.push((name, stream_head(row.get(1)?, row.get(2)?)?));
            }
            Ok(heads)
        })
    }
}

fn stream_head(seq: i64, index: i64) -> Result<StreamHead, Fault> {
    Ok(StreamHead { seq: from_sql(seq)?, index: EntryIndex(from_sql(index)?) })
}

/// Reads rows of a number and an index.
fn page(mut select: CachedStatement<'_>, params: impl Params) -> Result<Vec<(u64, EntryIndex)>, Fault> {
    let mut rows = select.query(params)?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push((from_sql(row.get(0)?)?, EntryIndex(from_sql(row.get(1)?)?)));
    }
    Ok(page)
}
