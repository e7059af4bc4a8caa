//! Push: a large file through the real command line into the real server, durable when the command ends.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::Sizes;
use super::commands::time_ms;
use super::limits::{sha256_mib, write_mib};
use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Result};
use crate::random::Random;
use crate::server::Server;

/// How much of the input is made at a time, in bytes.
const BLOCK: usize = 1024 * 1024;

/// Figures of pushes.
#[derive(Debug)]
pub struct Push {
    push_mib: f64,
    write_mib: f64,
    ratio: f64,
    growth_mib: f64,
}

impl Push {
    /// Pushes in rounds, each beside a plain write of the same size; the first round is thrown away.
    ///
    /// # Errors
    /// When a push fails.
    pub fn measure(binary: &Path, home: &Path, server: &Server, folder: &Path, sizes: &Sizes) -> Result<Self> {
        let input = folder.join("large.bin");
        make_input(&input, sizes.file_bytes)?;
        let before_kib = server.memory_kib("VmRSS")?;
        let (mut pushes, mut writes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=sizes.rounds as u64 {
            make_different(&input, round)?;
            let write = write_mib(&folder.join("write-limit"), sizes.file_bytes)?;
            let hash = sha256_mib(sizes.limit_window)?;
            let push = push_once(binary, home, &input, round, sizes.file_bytes)?;
            if round > 0 {
                pushes.push(push);
                writes.push(write);
                ratios.push(push / write.min(hash));
            }
        }
        let growth_kib = server.memory_kib("VmHWM")?.saturating_sub(before_kib);
        std::fs::remove_file(&input)?;
        Ok(Self {
            push_mib: median(&pushes),
            write_mib: median(&writes),
            ratio: median(&ratios),
            growth_mib: growth_kib as f64 / 1024.0,
        })
    }

    /// The rows of pushes of this size.
    pub fn rows(&self, file_bytes: u64) -> Vec<Row> {
        let size = format!("{} MiB", file_bytes >> 20);
        let goal = "0.8 × the slower of SHA-256 and that write";
        vec![
            Row::figure(&format!("limit: {size} written to a new file and flushed"), self.write_mib, "MiB/s"),
            Row::at_least(&format!("`lockgate push` of {size}"), self.ratio, self.push_mib, 0.8, goal, "MiB/s"),
            Row::at_most(
                "server's memory above idle during it",
                self.growth_mib,
                self.growth_mib,
                64.0,
                "64 MiB",
                "MiB",
            ),
        ]
    }
}

/// Pushes a file as a new version of a service, as a whole process, MiB/s.
///
/// # Errors
/// When it fails.
pub fn push_once(binary: &Path, home: &Path, input: &Path, round: u64, bytes: u64) -> Result<f64> {
    let mut command = Command::new(binary);
    command.arg("push").arg(input).args(["--service", "bench/large", "--version", &format!("1.0.{round}")]);
    let millis = time_ms(command.env("LOCKGATE_HOME", home))?;
    Ok(bytes as f64 / (1 << 20) as f64 / (millis / 1000.0))
}

/// Makes a file of this size.
///
/// # Errors
/// When the disk fails.
pub fn make_input(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path).during("make the file to push")?;
    let mut random = Random::new(8);
    let mut block = vec![0; BLOCK];
    for _ in 0..bytes / BLOCK as u64 {
        random.fill(&mut block);
        file.write_all(&block)?;
    }
    Ok(file.sync_all()?)
}

/// Changes the first bytes, so that the server has never seen the file.
///
/// # Errors
/// When the disk fails.
pub fn make_different(path: &Path, round: u64) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&round.to_le_bytes())?;
    Ok(file.sync_all()?)
}
