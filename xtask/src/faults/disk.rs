//! The disk: full to the last byte, but for a block, now and then, without inodes, and read-only; in a file system in
//! memory, which takes the right to mount one.
//!
//! What a disk that is nearly full refuses, and that a server does not start on a read-only one, the integration tests
//! try with every change; here the last bytes go while the server runs, and come back.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lockgate_model::Digest;

use super::database::leaves;
use super::ground::{ARTIFACT, BUNDLE, Ground, Ran, push, remove_if_there};
use super::outcome::{Case, Part};
use super::strace::{Call, Fault, Strace, available};
use crate::deadline::wait_until;
use crate::failure::{During as _, Result};
use crate::requests::junit;

/// How large the file system is: the server keeps 64 MiB free.
const MEGABYTES: u32 = 96;
/// How many files it takes.
const INODES: u32 = 3000;
/// How soon writing has to work again.
const RESUME_LIMIT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(50);
const BLOCK: u64 = 4096;

/// A file system in memory. Dropping it takes it away.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(at).during("make a directory to mount at")?;
        let options = format!("size={MEGABYTES}m,nr_inodes={INODES},mode=700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).stderr(Stdio::null());
        let mounted = command.status().is_ok_and(|status| status.success());
        Ok(mounted.then(|| Self(at.to_owned())))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open there goes with the last process that uses it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// What is asked of the server, and what came of it.
struct Trial<'a> {
    ground: &'a Ground,
    /// The server's home, on the small file system.
    home: PathBuf,
    /// The home of whoever asks, which has room.
    client: PathBuf,
    url: String,
    part: Part,
    acks: Vec<(u64, Digest)>,
    asked: u32,
}

/// Runs the part.
///
/// # Errors
/// When a step could not be made.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("disk");
    let root = ground.scratch.join("disk");
    let Some(disk) = Disk::mount(&root)? else {
        part.skipped.push("a small file system takes the right to mount one".to_owned());
        return Ok(part);
    };
    let home = ground.copy(&ground.ready, "disk/home")?;
    let client = ground.copy(&ground.ready, "disk-client")?;
    let before = leaves(&home.join("data"))?;
    let server = ground.serve(&home)?;
    let url = server.url().to_owned();
    let mut trial = Trial { ground, home, client, url, part, acks: Vec::new(), asked: 0 };
    trial.read_only(server.process())?;
    trial.full(&disk.0.join("filler"))?;
    trial.without_inodes(&disk.0.join("many"))?;
    if let Some(problem) = server.end()?.problem() {
        trial.part.count(&Case::Found(problem));
    }
    trial.judge(&before)?;
    Ok(trial.part)
}

impl Trial<'_> {
    fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.ground.run(&self.client, Some(&self.url), arguments)
    }

    /// Records a report that nobody has recorded yet.
    fn attest(&mut self) -> Result<Ran> {
        self.asked += 1;
        let file = self.ground.work().join("disk.xml");
        fs::write(&file, junit(&format!("disk {}", self.asked))).during("write a report")?;
        let ran = self.run(&["attest", "shop/web@1.4.2", "--tests", "disk.xml"])?;
        if ran.code == 0 {
            self.acks.extend(ran.logged());
        }
        Ok(ran)
    }

    /// A write must be refused with this reason.
    fn refused(&mut self, when: &str, ran: &Ran, reason: &str) {
        let said = ran.reason();
        let case = match (ran.code, said) {
            (8, Some(said)) if said == reason => Case::Detected(said),
            (code, said) => Case::Found(format!("{when}: a write ends with {code}, {said:?}, and not with {reason}")),
        };
        self.part.count(&case);
    }

    /// A command must end like this.
    fn ends(&mut self, when: &str, ran: &Ran, code: i32) {
        let case = match ran.code == code {
            true => Case::Harmless,
            false => Case::Found(format!("{when}: it ends with {}, not {code}: {}", ran.code, ran.stderr)),
        };
        self.part.count(&case);
    }

    /// Reads and verification go on.
    fn reads(&mut self, when: &str) -> Result<()> {
        let data = self.home.join("data").display().to_string();
        let verify = ["verify", ARTIFACT, "--service", "shop/web", "--env", "staging"];
        let questions: [(&[&str], i32); 4] = [
            (&["why", "P-3"], 5),
            (&verify, 0),
            (&[&verify[..], &["--bundle", BUNDLE][..]].concat(), 0),
            (&["audit", "--data", &data], 0),
        ];
        for (arguments, code) in questions {
            let ran = self.run(arguments)?;
            self.ends(&format!("{when}, `{}`", arguments.join(" ")), &ran, code);
        }
        Ok(())
    }

    /// Opening a file for an upload fails as on a disk that was made read-only.
    fn read_only(&mut self, pid: u32) -> Result<()> {
        if !available() {
            self.part.skipped.push("a disk that becomes read-only takes strace".to_owned());
            return Ok(());
        }
        let call = Call { name: "openat".to_owned(), file: "data/tmp/{pid}-0".to_owned(), nth: 1 };
        let output = self.ground.scratch.join("disk.strace");
        let strace = Strace::attach(pid, &self.home, &output, Some((&call, Fault::Error("EROFS"))))?;
        let ran = self.run(&push("1.5.0", "app-1.5.0.bin"))?;
        self.refused("read-only", &ran, "DISK_READ_ONLY");
        drop(strace);
        let ran = self.run(&push("1.5.0", "app-1.5.0.bin"))?;
        self.acks.extend(ran.logged());
        self.ends("no longer read-only", &ran, 0);
        Ok(())
    }

    fn full(&mut self, filler: &Path) -> Result<()> {
        fill(filler)?;
        let ran = self.attest()?;
        self.refused("0 bytes left", &ran, "DISK_FULL");
        self.reads("0 bytes left")?;
        let turns = if self.ground.quick { 1 } else { 10 };
        for turn in 0..turns {
            let length = fs::metadata(filler).during("inspect the filler")?.len();
            OpenOptions::new().write(true).open(filler)?.set_len(length.saturating_sub(BLOCK))?;
            let ran = self.attest()?;
            self.refused(&format!("a block left, turn {turn}"), &ran, "DISK_FULL");
            fill(filler)?;
            let ran = self.attest()?;
            self.refused(&format!("no block left, turn {turn}"), &ran, "DISK_FULL");
        }
        remove_if_there(filler)?;
        let started = Instant::now();
        let resumed = wait_until("a write with room again", RESUME_LIMIT, STEP, || {
            Ok(Some(self.attest()?).filter(|ran| ran.code == 0))
        });
        match resumed {
            Ok(_) => {
                self.part.count(&Case::Harmless);
                self.part.notes.push(format!("writes again {} ms after there was room", started.elapsed().as_millis()));
            }
            Err(failure) => self.part.count(&Case::Found(failure.to_string())),
        }
        Ok(())
    }

    /// No file can be made any more, although there is room.
    fn without_inodes(&mut self, many: &Path) -> Result<()> {
        fs::create_dir_all(many)?;
        for number in 0..=INODES {
            if fs::File::create(many.join(number.to_string())).is_err() {
                break;
            }
        }
        let ran = self.run(&push("1.6.0", "junit.xml"))?;
        self.refused("no inode left", &ran, "DISK_FULL");
        self.reads("no inode left")?;
        fs::remove_dir_all(many)?;
        let ran = self.run(&push("1.6.0", "junit.xml"))?;
        self.acks.extend(ran.logged());
        self.ends("inodes again", &ran, 0);
        Ok(())
    }

    /// Everything that was acknowledged is there, and the ledger is sound.
    fn judge(&mut self, before: &[Digest]) -> Result<()> {
        let audit = self.ground.audit(&self.home)?;
        self.ends("the audit at the end", &audit, 0);
        let now = leaves(&self.home.join("data"))?;
        let held = |(index, leaf): &(u64, Digest)| {
            usize::try_from(*index).ok().and_then(|index| now.get(index)).is_some_and(|found| found == leaf)
        };
        let lost = self.acks.iter().filter(|ack| !held(ack)).count();
        let case = match (now.starts_with(before), lost) {
            (true, 0) => Case::Harmless,
            (_, lost) => Case::Lost(format!("{lost} acknowledged entries are not there, or older ones changed")),
        };
        self.part.count(&case);
        Ok(())
    }
}

/// Writes into a file until there is no byte left.
fn fill(filler: &Path) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(filler).during("open the filler")?;
    for size in [1 << 20, 4096, 1] {
        let piece = vec![0; size];
        while file.write_all(&piece).is_ok() {}
    }
    Ok(())
}
