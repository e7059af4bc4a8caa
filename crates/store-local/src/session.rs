//! Sessions in SQLite.

use lockgate_model::{Digest, PersonId, UnixMillis};
use lockgate_store::{Result, Session, SessionStore, StoreError};

use crate::LocalStore;
use crate::database::Flush;
use crate::fault::{from_sql, to_bound, to_sql};

impl SessionStore for LocalStore {
    fn session_insert(&self, session: &Session) -> Result<()> {
        self.database.write(Flush::Now, |connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO session (token_hash, subject, created, last_used, expires) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (token_hash) DO NOTHING",
            )?;
            let inserted = insert.execute((
                session.token_hash.as_bytes(),
                session.subject.as_str(),
                to_sql(session.created.0)?,
                to_sql(session.last_used.0)?,
                to_sql(session.expires.0)?,
            ))?;
            match inserted {
                0 => Err(StoreError::Conflict {
                    expected: "no session for this token".to_owned(),
                    found: "a session for this token".to_owned(),
                }
                .into()),
                _ => Ok(()),
            }
        })
    }

    fn session_by_hash(&self, token_hash: &Digest) -> Result<Option<Session>> {
        self.database.read(|connection| {
            let mut select = connection
                .prepare_cached("SELECT subject, created, last_used, expires FROM session WHERE token_hash = ?1")?;
            let mut rows = select.query([token_hash.as_bytes()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let subject: String = row.get(0)?;
            let Ok(subject) = subject.parse::<PersonId>() else {
                return Err(StoreError::Corrupt(format!("`{subject}` is not a person or machine")).into());
            };
            Ok(Some(Session {
                token_hash: *token_hash,
                subject,
                created: UnixMillis(from_sql(row.get(1)?)?),
                last_used: UnixMillis(from_sql(row.get(2)?)?),
                expires: UnixMillis(from_sql(row.get(3)?)?),
            }))
        })
    }

    fn session_touch(&self, token_hash: &Digest, last_used: UnixMillis) -> Result<bool> {
        self.database.write(Flush::Later, |connection| {
            let sql = "UPDATE session SET last_used = max(last_used, ?2) WHERE token_hash = ?1";
            let touched = connection.prepare_cached(sql)?.execute((token_hash.as_bytes(), to_sql(last_used.0)?))?;
            Ok(touched > 0)
        })
    }

    fn session_remove(&self, token_hash: &Digest) -> Result<bool> {
        self.database.write(Flush::Now, |connection| {
            let sql = "DELETE FROM session WHERE token_hash = ?1";
            Ok(connection.prepare_cached(sql)?.execute([token_hash.as_bytes()])? > 0)
        })
    }

    fn sessions_remove_for(&self, subject: &PersonId) -> Result<u64> {
        self.database.write(Flush::Now, |connection| {
            let sql = "DELETE FROM session WHERE subject = ?1";
            Ok(connection.prepare_cached(sql)?.execute([subject.as_str()])? as u64)
        })
    }

    fn sessions_expire(&self, before: UnixMillis) -> Result<u64> {
        self.database.write(Flush::Now, |connection| {
            let sql = "DELETE FROM session WHERE expires < ?1";
            Ok(connection.prepare_cached(sql)?.execute([to_bound(before.0)])? as u64)
        })
    }
}
