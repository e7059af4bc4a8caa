//! Limits: what this machine can do at most, without the product.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use rusqlite::Connection;

use super::Sizes;
use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Result};
use crate::random::Random;

/// How much is hashed or written at a time, in bytes.
const HASH_BLOCK: usize = 64 * 1024;
const WRITE_BLOCK: usize = 1024 * 1024;
const FLUSH_BLOCK: usize = 4096;
/// How long a signed message is, in bytes.
const MESSAGE: usize = 1024;
/// How long the body of a row is, in bytes.
const ROW: usize = 400;

/// The medians over rounds.
#[derive(Debug)]
pub struct Limits {
    /// SHA-256 on one core, MiB/s.
    pub sha256_mib: f64,
    /// Appends of 4 KiB with a flush each, per second.
    pub flushes: f64,
    /// One-row commits of SQLite with a flush each, per second.
    pub sqlite: f64,
    /// Ed25519 verifications on one core, per second.
    pub ed25519: f64,
    /// P-256 verifications on one core, per second.
    pub p256: f64,
}

impl Limits {
    /// Measures every limit in every round; the first round is thrown away.
    ///
    /// # Errors
    /// When the disk or the cryptographic library fails.
    pub fn measure(folder: &Path, sizes: &Sizes) -> Result<Self> {
        let mut rounds: [Vec<f64>; 5] = Default::default();
        for round in 0..=sizes.rounds {
            let window = sizes.limit_window;
            let figures = [
                sha256_mib(window)?,
                flushes(&folder.join("flushes"), window)?,
                sqlite(&folder.join("one-row.db"), window)?,
                ed25519(window)?,
                p256(window)?,
            ];
            for (samples, figure) in rounds.iter_mut().zip(figures) {
                if round > 0 {
                    samples.push(figure);
                }
            }
        }
        let [sha256_mib, flushes, sqlite, ed25519, p256] = rounds.map(|samples| median(&samples));
        Ok(Self { sha256_mib, flushes, sqlite, ed25519, p256 })
    }

    /// The limits as rows without goals.
    pub fn rows(&self) -> Vec<Row> {
        vec![
            Row::figure("limit: SHA-256, one core, 64 KiB blocks", self.sha256_mib, "MiB/s"),
            Row::figure("limit: append of 4 KiB and flush", self.flushes, "/s"),
            Row::figure("limit: SQLite, one row a commit, WAL, synchronous=FULL", self.sqlite, "commits/s"),
            Row::figure("limit: Ed25519 verification, one core, 1 KiB", self.ed25519, "/s"),
            Row::figure("limit: P-256 verification, one core, 1 KiB", self.p256, "/s"),
        ]
    }
}

/// SHA-256 on one core, MiB/s.
///
/// # Errors
/// Never; the type is that of every limit.
pub fn sha256_mib(window: Duration) -> Result<f64> {
    let block = Random::new(1).bytes(HASH_BLOCK);
    let blocks = per_second(window, || {
        black_box(digest::digest(&digest::SHA256, black_box(&block)));
        Ok(())
    })?;
    Ok(blocks * HASH_BLOCK as f64 / (1 << 20) as f64)
}

/// A new file of this size, written from start to end and flushed once, MiB/s. The file is removed.
///
/// # Errors
/// When the disk fails.
pub fn write_mib(path: &Path, bytes: u64) -> Result<f64> {
    let block = Random::new(2).bytes(WRITE_BLOCK);
    let started = Instant::now();
    let mut file = File::create_new(path).during("make the file of the write limit")?;
    for _ in 0..bytes / WRITE_BLOCK as u64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let seconds = started.elapsed().as_secs_f64();
    drop(file);
    fs::remove_file(path)?;
    Ok(bytes as f64 / (1 << 20) as f64 / seconds)
}

fn flushes(path: &Path, window: Duration) -> Result<f64> {
    let block = Random::new(3).bytes(FLUSH_BLOCK);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let rate = per_second(window, || {
        file.write_all(&block)?;
        Ok(file.sync_data()?)
    })?;
    fs::remove_file(path)?;
    Ok(rate)
}

fn sqlite(path: &Path, window: Duration) -> Result<f64> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, body BLOB NOT NULL, hash BLOB NOT NULL) STRICT;",
    )?;
    let (body, hash) = (Random::new(4).bytes(ROW), Random::new(5).bytes(32));
    let mut insert = connection.prepare("INSERT INTO row (body, hash) VALUES (?1, ?2)")?;
    per_second(window, || {
        insert.execute((&body, &hash))?;
        Ok(())
    })
}

fn ed25519(window: Duration) -> Result<f64> {
    let message = Random::new(6).bytes(MESSAGE);
    let pair = Ed25519KeyPair::generate()?;
    let signature = pair.try_sign(&message)?;
    let public: &[u8] = pair.public_key().as_ref();
    let key = UnparsedPublicKey::new(&ED25519, public);
    per_second(window, || Ok(key.verify(&message, signature.as_ref())?))
}

fn p256(window: Duration) -> Result<f64> {
    let message = Random::new(7).bytes(MESSAGE);
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let signature = pair.sign(&SystemRandom::new(), &message)?;
    let public: &[u8] = pair.public_key().as_ref();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public);
    per_second(window, || Ok(key.verify(&message, signature.as_ref())?))
}

fn per_second(window: Duration, mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut count = 0u64;
    while started.elapsed() < window {
        step()?;
        count += 1;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
