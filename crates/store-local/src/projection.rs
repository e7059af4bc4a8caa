//! Projections and replies in SQLite.

use lockgate_model::{Digest, UnixMillis};
use lockgate_store::{ProjectionStore, Reply, Result};
use rusqlite::OptionalExtension;

use crate::LocalStore;
use crate::database::Flush;
use crate::fault::{from_sql, to_bound, to_limit};

impl ProjectionStore for LocalStore {
    fn projection(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT value FROM projection WHERE kind = ?1 AND key = ?2")?;
            Ok(select.query_row((kind, key), |row| row.get(0)).optional()?)
        })
    }

    fn projections(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<(String, Vec<u8>)>> {
        self.database.read(|connection| {
            // A key may be empty, so that `no key yet` needs a query of its own.
            let sql = match after {
                Some(_) => "SELECT key, value FROM projection WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                None => "SELECT key, value FROM projection WHERE kind = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
            };
            let mut select = connection.prepare_cached(sql)?;
            let mut rows = select.query((kind, after.unwrap_or(""), to_limit(most)))?;
            let mut page = Vec::new();
            while let Some(row) = rows.next()? {
                page.push((row.get(0)?, row.get(1)?));
            }
            Ok(page)
        })
    }

    fn reply(&self, key: &str) -> Result<Option<Reply>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT request, body, at FROM reply WHERE key = ?1")?;
            let mut rows = select.query([key])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(Reply {
                key: key.to_owned(),
                request: Digest::from_bytes(row.get(0)?),
                body: row.get(1)?,
                at: UnixMillis(from_sql(row.get(2)?)?),
            }))
        })
    }

    fn replies_expire(&self, before: UnixMillis) -> Result<u64> {
        self.database.write(Flush::Now, |connection| {
            let removed =
                connection.prepare_cached("DELETE FROM reply WHERE at < ?1")?.execute([to_bound(before.0)])?;
            Ok(removed as u64)
        })
    }
}
