//! Projections and replies in SQLite.

use lockgate_model::{Digest, UnixMillis};
use lockgate_store::{ProjectionStore, Reply, Result};

use crate::LocalStore;
use crate::database::Flush;
use crate::fault::{from_sql, to_bound, to_limit};
use crate::seal;

impl ProjectionStore for LocalStore {
    fn projection(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT value, seal FROM projection WHERE kind = ?1 AND key = ?2")?;
            let mut rows = select.query((kind, key))?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let value: Vec<u8> = row.get(0)?;
            seal::check(row.get(1)?, "projection", &[kind.as_bytes(), key.as_bytes(), &value])?;
            Ok(Some(value))
        })
    }

    fn projections(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<(String, Vec<u8>)>> {
        self.database.read(|connection| {
            // A key may be empty, so that `no key yet` needs a query of its own.
            let sql = match after {
                Some(_) => "SELECT key, value, seal FROM projection WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                None => "SELECT key, value, seal FROM projection WHERE kind = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
            };
            let mut select = connection.prepare_cached(sql)?;
            let mut rows = select.query((kind, after.unwrap_or(""), to_limit(most)))?;
            let mut page = Vec::new();
            while let Some(row) = rows.next()? {
                let (key, value): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
                seal::check(row.get(2)?, "projection", &[kind.as_bytes(), key.as_bytes(), &value])?;
                page.push((key, value));
            }
            Ok(page)
        })
    }

    fn reply(&self, key: &str) -> Result<Option<Reply>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT request, body, at, seal FROM reply WHERE key = ?1")?;
            let mut rows = select.query([key])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let (request, body, at): ([u8; 32], Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            seal::check(row.get(3)?, "reply", &[key.as_bytes(), &request, &body, &at.to_be_bytes()])?;
            Ok(Some(Reply {
                key: key.to_owned(),
                request: Digest::from_bytes(request),
                body,
                at: UnixMillis(from_sql(at)?),
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
