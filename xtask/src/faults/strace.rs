//! strace: which system calls an operation makes, and making one of them fail.
//!
//! strace counts `when=n` for each thread by itself. So a call is named by its name, the file that it touches, and how
//! many of that name its thread has made on that file since strace was attached; and only calls on that file are counted
//! (`-P`). strace is attached to the running server for each operation anew, so that counting begins with it. Where more
//! than one thread gets as far, the fault happens more than once, which is still a fault; what really happened is read
//! from strace's own output.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};

/// The calls that are traced; a question mark stands before those that not every architecture has.
const CALLS: &str = "openat,read,pread64,write,pwrite64,fsync,fdatasync,ftruncate,close,linkat,unlinkat,mkdirat,\
                     renameat,renameat2,?rename,?link,?unlink,?mkdir";
/// The calls that are recorded: those that change files or names, those that open, close and flush files, and those that
/// send.
const RECORDED: &str = "openat,?open,?creat,close,lseek,write,pwrite64,writev,pwritev,pwritev2,ftruncate,?truncate,\
                        fallocate,copy_file_range,sendfile,splice,mmap,fsync,fdatasync,?sync_file_range,?mkdir,\
                        mkdirat,?unlink,unlinkat,?rmdir,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,\
                        ?dup,?dup2,dup3,sendto,sendmsg";
/// How many bytes of each written string are recorded: more than the server writes at once.
const RECORDED_BYTES: &str = "4194304";
/// What stands for the server's process id in the names of files.
const PID: &str = "{pid}";
/// How long strace may take to attach.
const ATTACH_LIMIT: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(2);

/// One system call of an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Its name, such as `fsync`.
    pub name: String,
    /// The file, relative to the home; the server's process id in it stands as `{pid}`.
    pub file: String,
    /// The how-manieth of this name on this file in its thread, from 1.
    pub nth: u32,
}

impl Call {
    /// Whether it flushes something.
    pub fn is_flush(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync")
    }

    /// Whether it changes something on the disk.
    pub fn is_write(&self) -> bool {
        !matches!(self.name.as_str(), "read" | "pread64" | "close")
    }
}

/// What happens instead of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this error.
    Error(&'static str),
    /// The process is killed there.
    Kill,
}

impl Fault {
    /// How strace writes it.
    fn rule(self) -> String {
        match self {
            Self::Error(name) => format!("error={name}"),
            Self::Kill => "signal=SIGKILL".to_owned(),
        }
    }
}

/// Whether there is a strace here that may trace.
pub fn available() -> bool {
    let tried = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// A strace at work. Dropping it ends it; what it traced goes on.
#[derive(Debug)]
pub struct Strace(Child);

impl Strace {
    /// Attaches to a running process, and to all of its threads.
    ///
    /// # Errors
    /// When strace does not start or cannot attach.
    pub fn attach(pid: u32, home: &Path, output: &Path, fault: Option<(&Call, Fault)>) -> Result<Self> {
        let mut command = Self::command(pid, home, output, fault);
        command.args(["-p", &pid.to_string()]);
        let mut strace = Self(command.spawn().during("start strace")?);
        wait_until("strace at every thread", ATTACH_LIMIT, STEP, || {
            if let Some(status) = strace.0.try_wait()? {
                return Err(Failure::new(format!("strace could not attach: it ended with {status}")));
            }
            Ok(all_traced(pid).then_some(()))
        })?;
        Ok(strace)
    }

    /// Starts a program under strace; the child's exit code is the program's.
    ///
    /// # Errors
    /// When strace does not start.
    pub fn start(program: &Program<'_>, output: &Path, fault: Option<(&Call, Fault)>) -> Result<Self> {
        // No file of the program's own process id is watched: the id is not known yet.
        Self::run(Self::command(0, program.home, output, fault), program)
    }

    /// Starts a program, and writes down each call that may change its files, with every byte that it writes.
    ///
    /// # Errors
    /// When strace does not start.
    pub fn record(program: &Program<'_>, output: &Path) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-xx", "-s", RECORDED_BYTES, "-e", "signal=none", "-o"]).arg(output);
        command.args(["-e", &format!("trace={RECORDED}")]);
        command.stdin(Stdio::null());
        Self::run(command, program)
    }

    /// Starts a program under a strace that is ready to start.
    fn run(mut command: Command, program: &Program<'_>) -> Result<Self> {
        command.arg("--").arg(program.binary).args(program.arguments).env("LOCKGATE_HOME", program.home);
        let log = fs::File::create(program.log).during("make the server's log")?;
        Ok(Self(command.stdout(log.try_clone()?).stderr(log).spawn().during("start strace")?))
    }

    fn command(pid: u32, home: &Path, output: &Path, fault: Option<(&Call, Fault)>) -> Command {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-o"]).arg(output);
        match fault {
            None => {
                command.args(["-e", &format!("trace={CALLS}")]);
            }
            Some((call, fault)) => {
                let file = home.join(call.file.replace(PID, &pid.to_string()));
                let (name, rule, nth) = (&call.name, fault.rule(), call.nth);
                command.arg("-P").arg(file);
                command.args(["-e", &format!("trace={name}"), "-e", &format!("inject={name}:{rule}:when={nth}")]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Whether what it traces has ended, and strace with it: the exit status of a program that it started.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // It lets go of what it traces.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// How often a fault happened, by what strace wrote.
pub fn fired(output: &Path) -> usize {
    let text = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // A call in which a process is killed never returns, so its line says nothing; its threads say that they were killed.
    text.matches("(INJECTED)").count().max(usize::from(text.contains("+++ killed by SIGKILL +++")))
}

/// A program to start under strace.
#[derive(Debug)]
pub struct Program<'a> {
    /// The binary.
    pub binary: &'a Path,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// Its home.
    pub home: &'a Path,
    /// Where its talk goes.
    pub log: &'a Path,
}

/// Whether every thread of a process has a tracer.
fn all_traced(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut some = false;
    for task in tasks.flatten() {
        // A thread that has just ended needs no tracer.
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        if status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|id| id.trim() == "0")) {
            return false;
        }
        some = true;
    }
    some
}

/// The calls of a trace that touch files of `home`, each once; `pid` is the server's process id.
pub fn calls(trace: &str, home: &Path, pid: u32) -> Vec<Call> {
    let mut counts: BTreeMap<(String, String, String), u32> = BTreeMap::new();
    let home = format!("{}/", home.display());
    for line in trace.lines() {
        let Some((thread, name, file)) = touched(line, &home) else { continue };
        let file = file.replace(&format!("/{pid}-"), &format!("/{PID}-"));
        let file = file.replace(&format!(".{pid}.tmp"), &format!(".{PID}.tmp"));
        *counts.entry((thread.to_owned(), name.to_owned(), file)).or_default() += 1;
    }
    let mut most: BTreeMap<(String, String), u32> = BTreeMap::new();
    for ((_, name, file), count) in counts {
        let held = most.entry((name, file)).or_default();
        *held = count.max(*held);
    }
    let all = most.into_iter().flat_map(|((name, file), count)| {
        (1..=count).map(move |nth| Call { name: name.clone(), file: file.clone(), nth })
    });
    all.collect()
}

/// The thread, the name and the first file below `home` of one line of a trace.
fn touched<'a>(line: &'a str, home: &str) -> Option<(&'a str, &'a str, String)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, arguments) = rest.trim_start().split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return None;
    }
    // Of a call on an open file, `4</path>`; of a call on a name, `"/path"`.
    let by_name = !arguments.bytes().next()?.is_ascii_digit();
    let (open, close) = if by_name { ('"', '"') } else { ('<', '>') };
    let (_, after) = arguments.split_once(open)?;
    let (path, _) = after.split_once(close)?;
    let file = path.strip_prefix(home)?;
    (!file.is_empty()).then(|| (thread, name, file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, &str, &str)>) {
        let found = touched(line, "/h/");
        let found = found.as_ref().map(|(thread, name, file)| (*thread, *name, file.as_str()));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_line_names_its_thread_call_and_file() {
        check("12  fsync(5</h/data/ledger.db-wal>) = 0", Some(("12", "fsync", "data/ledger.db-wal")));
        check(
            r#"12  openat(AT_FDCWD</elsewhere>, "/h/data/tmp/7-0", O_WRONLY|O_CREAT, 0600) = 27</h/data/tmp/7-0>"#,
            Some(("12", "openat", "data/tmp/7-0")),
        );
        check(
            r#"12  pwrite64(5</h/data/ledger.db>, "/h/x", 4, 0 <unfinished ...>"#,
            Some(("12", "pwrite64", "data/ledger.db")),
        );
        check("12  <... fsync resumed>) = 0", None);
        check("12  read(9<socket:[1]>, \"/h/x\", 4) = 4", None);
        check("12  +++ exited with 0 +++", None);
        check(r#"12  mkdir("/h", 0700) = -1 EEXIST (File exists)"#, None);
    }

    #[test]
    fn calls_are_counted_by_thread() {
        let trace =
            "1  fsync(5</h/a>) = 0\n2  fsync(5</h/a>) = 0\n1  fsync(5</h/a>) = 0\n1  close(6</h/data/tmp/77-3>) = 0\n";
        let call = |name: &str, file: &str, nth| Call { name: name.to_owned(), file: file.to_owned(), nth };
        let expected = [call("close", "data/tmp/{pid}-3", 1), call("fsync", "a", 1), call("fsync", "a", 2)];
        assert_eq!(calls(trace, Path::new("/h"), 77), expected);
    }
}
