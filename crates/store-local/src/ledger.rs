//! The ledger in SQLite.

use std::collections::BTreeMap;

use lockgate_model::{Digest, EntryIndex, Limits, TreeSize};
use lockgate_store::ledger::StreamRun;
use lockgate_store::{Batch, Head, LedgerStore, Reply, Result, StoreError};
use rusqlite::{Connection, OptionalExtension};

use crate::LocalStore;
use crate::database::Flush;
use crate::fault::{Fault, from_sql, to_bound, to_limit, to_sql};
use crate::seal;

impl LedgerStore for LocalStore {
    fn head(&self) -> Result<Head> {
        self.database.read(head)
    }

    fn commit(&self, batch: &Batch) -> Result<()> {
        batch.check(&Limits::DEFAULT)?;
        let runs = batch.stream_runs()?;
        self.database.write(Flush::Now, |connection| {
            let found = head(connection)?;
            batch.check_head(&found)?;
            lockgate_failpoint::point("commit.begun");
            let streams = streams_extend(connection, &runs)?;
            entries_insert(connection, batch, &streams)?;
            lockgate_failpoint::point("commit.entries-inserted");
            tiles_put(connection, batch)?;
            lockgate_failpoint::point("commit.tiles-put");
            documents_insert(connection, batch)?;
            replies_insert(connection, &batch.replies)?;
            projections_put(connection, batch)?;
            lockgate_failpoint::point("commit.rows-written");
            match lockgate_failpoint::planted("commit-in-two-steps") {
                true => Ok(()),
                false => head_update(connection, batch),
            }
        })?;
        lockgate_failpoint::point("commit.written");
        match lockgate_failpoint::planted("commit-in-two-steps") {
            true => self.database.write(Flush::Now, |connection| head_update(connection, batch)),
            false => Ok(()),
        }
    }

    fn entry(&self, index: EntryIndex) -> Result<Option<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT bytes FROM entry WHERE idx = ?1")?;
            Ok(select.query_row([to_bound(index.0)], |row| row.get(0)).optional()?)
        })
    }

    fn entries(&self, first: EntryIndex, most: usize) -> Result<Vec<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT idx, bytes FROM entry WHERE idx >= ?1 ORDER BY idx LIMIT ?2")?;
            let mut rows = select.query([to_bound(first.0), to_limit(most)])?;
            let mut entries = Vec::new();
            let mut expected = first.0;
            while let Some(row) = rows.next()? {
                let index = from_sql(row.get(0)?)?;
                if index != expected {
                    return Err(StoreError::Corrupt(format!("entry {expected} is missing")).into());
                }
                entries.push(row.get(1)?);
                expected += 1;
            }
            Ok(entries)
        })
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT hashes FROM tile WHERE level = ?1 AND idx = ?2")?;
            Ok(select.query_row([i64::from(level), to_bound(index)], |row| row.get(0)).optional()?)
        })
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT note FROM checkpoint WHERE one = 1")?;
            Ok(select.query_row([], |row| row.get(0)).optional()?)
        })
    }

    fn checkpoint_put(&self, note: &[u8]) -> Result<()> {
        self.database.write(Flush::Later, |connection| {
            let sql = "INSERT INTO checkpoint (one, note) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET note = excluded.note";
            connection.prepare_cached(sql)?.execute([note])?;
            Ok(())
        })
    }

    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.database.read(|connection| {
            let mut select = connection.prepare_cached("SELECT bytes FROM document WHERE digest = ?1")?;
            Ok(select.query_row([digest.as_bytes()], |row| row.get(0)).optional()?)
        })
    }
}

fn head(connection: &Connection) -> Result<Head, Fault> {
    let mut select = connection.prepare_cached("SELECT size, root FROM head WHERE one = 1")?;
    let row = select.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)));
    let Some((size, root)) = row.optional()? else {
        return Err(StoreError::Corrupt("the head is missing".to_owned()).into());
    };
    Ok(Head { size: TreeSize(from_sql(size)?), root: Digest::from_bytes(root) })
}

/// Moves the head of each stream, and returns the row ids of the streams.
fn streams_extend<'a>(
    connection: &Connection,
    runs: &BTreeMap<&'a str, StreamRun>,
) -> Result<BTreeMap<&'a str, i64>, Fault> {
    let mut select = connection.prepare_cached("SELECT id, seq FROM stream WHERE name = ?1")?;
    let mut insert = connection.prepare_cached("INSERT INTO stream (name, seq, idx) VALUES (?1, ?2, ?3)")?;
    let mut update = connection.prepare_cached("UPDATE stream SET seq = ?2, idx = ?3 WHERE id = ?1")?;
    let mut ids = BTreeMap::new();
    for (name, run) in runs {
        let held = select.query_row([name], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        let newest = held.map(|(_, seq)| from_sql(seq)).transpose()?;
        run.check_follows(name, newest)?;
        let (seq, index) = (to_sql(run.last_seq)?, to_sql(run.last_index.0)?);
        let id = match held {
            Some((id, _)) => {
                update.execute((id, seq, index))?;
                id
            }
            None => insert.insert((name, seq, index))?,
        };
        ids.insert(*name, id);
    }
    Ok(ids)
}

fn entries_insert(connection: &Connection, batch: &Batch, streams: &BTreeMap<&str, i64>) -> Result<(), Fault> {
    let mut entry_insert = connection.prepare_cached("INSERT INTO entry (idx, bytes) VALUES (?1, ?2)")?;
    let mut stream_insert =
        connection.prepare_cached("INSERT INTO stream_entry (stream_id, seq, idx) VALUES (?1, ?2, ?3)")?;
    for (index, entry) in (batch.first.0..).zip(&batch.entries) {
        let index = to_sql(index)?;
        entry_insert.execute((index, entry.bytes.as_slice()))?;
        for (name, seq) in &entry.streams {
            let Some(id) = streams.get(name.as_str()) else {
                return Err(StoreError::Contract(format!("stream `{name}` has no row")).into());
            };
            stream_insert.execute([*id, to_sql(*seq)?, index])?;
        }
    }
    Ok(())
}

fn tiles_put(connection: &Connection, batch: &Batch) -> Result<(), Fault> {
    let mut put = connection.prepare_cached(
        "INSERT INTO tile (level, idx, hashes) VALUES (?1, ?2, ?3)
         ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes",
    )?;
    for tile in &batch.tiles {
        put.execute((i64::from(tile.level), to_sql(tile.index)?, tile.hashes.as_slice()))?;
    }
    Ok(())
}

fn documents_insert(connection: &Connection, batch: &Batch) -> Result<(), Fault> {
    let mut insert = connection
        .prepare_cached("INSERT INTO document (digest, bytes) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING")?;
    for (digest, bytes) in &batch.documents {
        insert.execute((digest.as_bytes(), bytes.as_slice()))?;
    }
    Ok(())
}

fn replies_insert(connection: &Connection, replies: &[Reply]) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO reply (key, request, body, at, seal) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key) DO NOTHING",
    )?;
    for reply in replies {
        let at = to_sql(reply.at.0)?;
        let columns: [&[u8]; 4] = [reply.key.as_bytes(), reply.request.as_bytes(), &reply.body, &at.to_be_bytes()];
        let seal = seal::of("reply", &columns);
        let row = (reply.key.as_str(), reply.request.as_bytes(), reply.body.as_slice(), at, seal);
        if insert.execute(row)? == 0 {
            return Err(reply.conflict().into());
        }
    }
    Ok(())
}

fn projections_put(connection: &Connection, batch: &Batch) -> Result<(), Fault> {
    let mut put = connection.prepare_cached(
        "INSERT INTO projection (kind, key, value, seal) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, seal = excluded.seal",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM projection WHERE kind = ?1 AND key = ?2")?;
    for row in &batch.projections {
        match &row.value {
            Some(value) => {
                let seal = seal::of("projection", &[row.kind.as_bytes(), row.key.as_bytes(), value]);
                put.execute((row.kind, row.key.as_str(), value.as_slice(), seal))?
            }
            None => delete.execute((row.kind, row.key.as_str()))?,
        };
    }
    Ok(())
}

fn head_update(connection: &Connection, batch: &Batch) -> Result<(), Fault> {
    let size = to_sql(batch.size_after().0)?;
    let mut update = connection.prepare_cached("UPDATE head SET size = ?1, root = ?2 WHERE one = 1")?;
    update.execute((size, batch.root.as_bytes()))?;
    Ok(())
}
