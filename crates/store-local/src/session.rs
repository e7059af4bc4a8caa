//! Sessions in SQLite.

use lockgate_model::{Digest, PersonId, UnixMillis};
use lockgate_store::{Result, Session, SessionStore, StoreError};
use rusqlite::Connection;

use crate::database::Flush;
use crate::fault::{Fault, from_sql, to_bound, to_sql};
use crate::{LocalStore, seal};

impl SessionStore for LocalStore {
    fn session_insert(&self, session: &Session) -> Result<()> {
        self.database.write(Flush::Now, |connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO session (token_hash, subject, created, last_used, expires, seal)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (token_hash) DO NOTHING",
            )?;
            let inserted = insert.execute((
                session.token_hash.as_bytes(),
                session.subject.as_str(),
                to_sql(session.created.0)?,
                to_sql(session.last_used.0)?,
                to_sql(session.expires.0)?,
                seal_of(session)?,
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
        self.database.read(|connection| session(connection, token_hash))
    }

    fn session_touch(&self, token_hash: &Digest, last_used: UnixMillis) -> Result<bool> {
        self.database.write(Flush::Later, |connection| {
            let Some(mut session) = session(connection, token_hash)? else { return Ok(false) };
            session.last_used = session.last_used.max(last_used);
            let sql = "UPDATE session SET last_used = ?2, seal = ?3 WHERE token_hash = ?1";
            let row = (token_hash.as_bytes(), to_sql(session.last_used.0)?, seal_of(&session)?);
            Ok(connection.prepare_cached(sql)?.execute(row)? > 0)
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

/// Reads a session and compares it with its seal.
fn session(connection: &Connection, token_hash: &Digest) -> Result<Option<Session>, Fault> {
    let sql = "SELECT subject, created, last_used, expires, seal FROM session WHERE token_hash = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([token_hash.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let subject: String = row.get(0)?;
    let times: (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let [created, last_used, expires] = [times.0, times.1, times.2].map(i64::to_be_bytes);
    let columns: [&[u8]; 5] = [token_hash.as_bytes(), subject.as_bytes(), &created, &last_used, &expires];
    seal::check(row.get(4)?, "session", &columns)?;
    let Ok(subject) = subject.parse::<PersonId>() else {
        return Err(StoreError::Corrupt(format!("`{subject}` is not a person or machine")).into());
    };
    Ok(Some(Session {
        token_hash: *token_hash,
        subject,
        created: UnixMillis(from_sql(times.0)?),
        last_used: UnixMillis(from_sql(times.1)?),
        expires: UnixMillis(from_sql(times.2)?),
    }))
}

/// The seal of a session's row.
fn seal_of(session: &Session) -> Result<[u8; 32], StoreError> {
    let (created, last_used, expires) =
        (to_sql(session.created.0)?, to_sql(session.last_used.0)?, to_sql(session.expires.0)?);
    let [created, last_used, expires] = [created, last_used, expires].map(i64::to_be_bytes);
    let subject = session.subject.as_str().as_bytes();
    Ok(seal::of("session", &[session.token_hash.as_bytes(), subject, &created, &last_used, &expires]))
}
