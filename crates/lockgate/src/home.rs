//! The home directory: data, keys, context.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use lockgate_api::Exit;
use lockgate_model::{Digest, PersonId};
use serde::Deserialize;

use crate::failure::Failure;
use crate::rights;
use crate::terminal::plain_json;

/// What a trust file is called, in the home and in what `trust export` writes.
pub const TRUST_FILE: &str = "trust.json";

/// How long a lock that another command holds is waited for in all: whoever holds one reads and writes a small file.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The home directory.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

/// Which server the CLI talks to, as whom, with which keys: `context.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The server's address.
    #[serde(default)]
    pub server: Option<String>,
    /// Who acts by default.
    #[serde(default)]
    pub person: Option<PersonId>,
    /// Who pushes by default: the CI identity.
    #[serde(default)]
    pub machine: Option<PersonId>,
    /// Key files by name: absolute, or relative to the home; or `agent:SHA256:...`.
    #[serde(default)]
    pub keys: BTreeMap<PersonId, String>,
}

/// What a running server says of itself: `server.json`.
#[derive(Debug, Clone, serde::Serialize, Deserialize)]
pub struct Running {
    /// Its process id.
    pub pid: u32,
    /// Its address.
    pub url: String,
    /// The real path of its home; absent where an earlier version wrote the file, or the path is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

impl Home {
    /// The directory that was named, or `~/.lockgate`.
    ///
    /// # Errors
    /// When there is neither.
    pub fn find(named: Option<PathBuf>, user_home: Option<PathBuf>) -> Result<Self, Failure> {
        let path = named.or_else(|| user_home.map(|home| home.join(".lockgate"))).ok_or_else(|| {
            Failure::usage("HOME_MISSING", "there is no home directory").hint("name one with --home or LOCKGATE_HOME")
        })?;
        let absolute = std::path::absolute(&path).map_err(|error| Failure::file(&path, &error))?;
        Ok(Self(absolute))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// The ledger's store.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }
    /// The server's own keys.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
    /// A demo person's key.
    pub fn person_key(&self, name: &PersonId) -> PathBuf {
        self.0.join("people").join(name.as_str())
    }
    /// What this CLI trusts.
    pub fn trust(&self) -> PathBuf {
        self.0.join(TRUST_FILE)
    }
    /// The newest checkpoint of a ledger that this CLI has seen.
    pub fn checkpoint(&self, origin: &str) -> PathBuf {
        self.0.join("checkpoints").join(file_name_of(origin))
    }
    /// Every file that keeps such a checkpoint; not those that a command which was killed had begun to write.
    ///
    /// # Errors
    /// When they cannot be looked at.
    pub fn checkpoints(&self) -> Result<Vec<PathBuf>, Failure> {
        files_of(&self.0.join("checkpoints"))
    }
    /// Where every file lies that keeps what this CLI has verified.
    pub fn known_directory(&self) -> PathBuf {
        self.0.join("known")
    }
    /// What this CLI has verified of the ledger with that first entry: another one may have the same name.
    pub fn known(&self, origin: &str, genesis: &Digest) -> PathBuf {
        let genesis: String = genesis.hex().chars().take(16).collect();
        self.known_directory().join(format!("{}@{genesis}", file_name_of(origin)))
    }
    /// The newest head that the server has signed, kept beside the data and not in it.
    pub fn high_water(&self) -> PathBuf {
        self.0.join("high-water")
    }
    /// The same of the access log.
    pub fn access_high_water(&self) -> PathBuf {
        self.0.join("access-high-water")
    }
    /// A cached session.
    pub fn session(&self, name: &PersonId) -> PathBuf {
        self.0.join("sessions").join(name.as_str())
    }
    /// The running server.
    pub fn running_file(&self) -> PathBuf {
        self.0.join("server.json")
    }
    /// Where `up` was told to listen last.
    pub fn listen_file(&self) -> PathBuf {
        self.0.join("listen")
    }
    /// The background server's log.
    pub fn log_file(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// Reads the context; an absent file is an empty context.
    ///
    /// # Errors
    /// When it does not parse: nothing is guessed.
    pub fn context(&self) -> Result<Context, Failure> {
        let path = self.0.join("context.toml");
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Failure::usage("CONTEXT_INVALID", format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Context::default()),
            Err(error) => Err(rights::refused(&self.0, &path, &error)),
        }
    }

    /// Writes the context.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_context(&self, context: &Context) -> Result<(), Failure> {
        // A text of JSON is one of TOML, too, but for the control characters that JSON lets stand.
        let quoted = |text: &str| plain_json(&serde_json::Value::from(text).to_string());
        let mut text = String::from("# Which server the command line talks to, and as whom.\n");
        for (name, value) in [
            ("server", context.server.as_deref()),
            ("person", context.person.as_ref().map(PersonId::as_str)),
            ("machine", context.machine.as_ref().map(PersonId::as_str)),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("{name} = {}\n", quoted(value)));
            }
        }
        text.push_str("\n[keys]\n");
        for (name, key) in &context.keys {
            text.push_str(&format!("{} = {}\n", quoted(name.as_str()), quoted(key)));
        }
        write_file(&self.0.join("context.toml"), text.as_bytes(), 0o600)
    }

    /// Removes what a server that was killed left behind of files that only the server writes: halves of new ones.
    ///
    /// The caller holds the store's lock, so that no other server of this home writes one now.
    pub fn leftovers_remove(&self) {
        let own = ["high-water", "access-high-water", "server.json"].map(|name| format!(".{name}."));
        temporaries_remove(&self.0, |name| own.iter().any(|start| name.starts_with(start.as_str())));
        temporaries_remove(&self.keys(), |_| true);
    }

    /// Where `up` was told to listen last, if that is known and reads.
    pub fn listen(&self) -> Option<SocketAddr> {
        let address: SocketAddr = fs::read_to_string(self.listen_file()).ok()?.trim().parse().ok()?;
        (address.port() != 0).then_some(address)
    }

    /// The directory itself, without links, as a text.
    pub fn real_path(&self) -> Option<String> {
        fs::canonicalize(&self.0).ok()?.into_os_string().into_string().ok()
    }

    /// Whether a server works in this home, by what it says of itself; one of an earlier version says nothing.
    pub fn is_served_by(&self, running: &Running) -> bool {
        let place = |path: &Path| fs::metadata(path).map(|facts| (facts.dev(), facts.ino())).ok();
        running.home.as_deref().is_none_or(|home| place(Path::new(home)).is_some_and(|it| place(&self.0) == Some(it)))
    }

    /// The running server, if one says so.
    pub fn running(&self) -> Option<Running> {
        serde_json::from_slice(&fs::read(self.running_file()).ok()?).ok()
    }
}

/// The files of a directory, in order of name; not those that a command which was killed had begun to write.
///
/// # Errors
/// When they cannot be looked at.
pub fn files_of(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unread = |error: io::Error| Failure::file(directory, &error);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unread)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name();
        let is_half = name.as_encoded_bytes().starts_with(b".") && name.as_encoded_bytes().ends_with(b".tmp");
        if !is_half {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// What the file about a ledger is called.
fn file_name_of(origin: &str) -> String {
    origin.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).collect()
}

/// Writes a file whole or not at all: a temporary file, flushed, then renamed. A link stays, and what it names is written;
/// a device or a pipe takes the bytes as they come.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let fail = |error: io::Error| Failure::file(path, &error);
    if fs::metadata(path).is_ok_and(|facts| !facts.is_file() && !facts.is_dir()) {
        let mut stream = fs::OpenOptions::new().write(true).open(path).map_err(fail)?;
        return stream.write_all(bytes).map_err(fail);
    }
    let path = &match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_symlink() => fs::canonicalize(path).map_err(fail)?,
        _ => path.to_owned(),
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // What is private lies in private directories.
    let private = mode & 0o077 == 0;
    make_directory(parent, if private { 0o700 } else { 0o755 }).map_err(fail)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".{name}.{}.tmp", std::process::id()));
    // A leftover of an earlier process with the same id is not written into.
    let _ = fs::remove_file(&temporary);
    let written = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    // What could not be finished takes no room.
    let renamed = written.inspect_err(|_| drop(fs::remove_file(&temporary)));
    renamed.map_err(fail)?;
    lockgate_failpoint::point("file.renamed");
    fs::File::open(parent).and_then(|directory| directory.sync_all()).map_err(fail)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    lockgate_failpoint::point("file.written");
    Ok(())
}

/// Waits until no other command holds the directory of a file, and holds it until the lock is dropped. The lock is a file
/// beside the directory, and says nothing.
///
/// # Errors
/// `HOME_LOCKED` where another one holds it for too long; when it cannot be made or locked.
pub fn lock_directory_of(path: &Path) -> Result<fs::File, Failure> {
    lock_directory(path, LOCK_WAIT)
}

/// The same, with how long is waited.
fn lock_directory(path: &Path, most: Duration) -> Result<fs::File, Failure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let lock = directory.with_extension("lock");
    let fail = |error: io::Error| Failure::file(&lock, &error);
    make_directory(directory, 0o700).map_err(fail)?;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(fs::TryLockError::Error(error)) => return Err(fail(error)),
        Err(fs::TryLockError::WouldBlock) => {}
    }
    // No system waits for a lock for a while only. A thread waits for it, and lets it go again where nobody wants it any more.
    let (had, gets) = channel();
    let waits = move || drop(had.send(file.lock().map(|()| file)));
    thread::Builder::new().spawn(waits).map_err(fail)?;
    match gets.recv_timeout(most) {
        Ok(file) => file.map_err(fail),
        Err(_) => Err(locked(&lock)),
    }
}

/// That another command holds a lock for longer than any should.
fn locked(lock: &Path) -> Failure {
    let message = format!("another command has held {} for more than {} s", lock.display(), LOCK_WAIT.as_secs());
    Failure::new(Exit::Unavailable, "HOME_LOCKED", message).hint(
        "run this again; where it ends so each time, find the `lockgate` that hangs and end it: its lock goes with it",
    )
}

/// Makes a directory and those above it that are missing, and flushes the name of each one that it makes.
///
/// A name that was not flushed can be lost in a power cut, and with it all that lies below, however well that was flushed
/// itself: of a home that the first start made, and of `keys/` in it, the recorded writes of `up --demo` showed it.
///
/// # Errors
/// When a directory cannot be made, or its name not flushed.
pub fn make_directory(path: &Path, mode: u32) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(parent, mode)?;
    match fs::DirBuilder::new().mode(mode).create(path) {
        // Another process of ours was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    fs::File::open(parent)?.sync_all()
}

/// Removes temporary files of [`write_file`]; one that cannot be removed does no harm.
fn temporaries_remove(folder: &Path, is_ours: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(".tmp") && is_ours(&name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Reads a whole file of at most `most` bytes; `-` is standard input.
///
/// # Errors
/// When it cannot be read, is a directory, or is larger.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let fail = |error: std::io::Error| Failure::file(path, &error);
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().take(most + 1).read_to_end(&mut bytes),
        false => fs::File::open(path).map_err(fail)?.take(most + 1).read_to_end(&mut bytes),
    };
    read.map_err(fail)?;
    match bytes.len() as u64 <= most {
        true => Ok(bytes),
        false => {
            Err(Failure::new(Exit::Usage, "TOO_LARGE", format!("{} is over the limit of {most} bytes", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_with_its_parents_and_a_second_time_is_no_error() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b/c");
        for _ in 0..2 {
            make_directory(&inner, 0o700).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&inner), mode(&folder.path().join("a"))], [0o700, 0o700]);
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(make_directory(&file, 0o700).is_err());
        assert!(make_directory(&file.join("below"), 0o700).is_err());
    }

    #[test]
    fn a_lock_that_another_holds_is_waited_for_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known/ledger");
        let held = lock_directory(&path, Duration::ZERO).unwrap();
        let failure = lock_directory(&path, Duration::ZERO).unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Unavailable, "HOME_LOCKED"));
        assert!(failure.message.contains("known.lock") && failure.hint.is_some(), "{failure:?}");
        // Whoever gave up before lets go of it, too.
        thread::scope(|scope| {
            let waits = scope.spawn(|| lock_directory(&path, LOCK_WAIT).map(drop));
            drop(held);
            waits.join().unwrap().unwrap();
        });
        lock_directory(&path, LOCK_WAIT).unwrap();
    }

    #[test]
    fn links_and_pipes_are_written_through_and_what_failed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, gone) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("gone"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &gone).unwrap();
        write_file(&link, b"new", 0o600).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(write_file(&gone, b"new", 0o600).unwrap_err().code, "FILE_FAILED");
        write_file(Path::new("/dev/null"), b"new", 0o600).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        // A directory takes no file's place.
        let before = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(write_file(folder.path(), b"new", 0o600).unwrap_err().code, "FILE_FAILED");
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert_eq!(write_file(&taken, b"new", 0o600).unwrap_err().code, "FILE_FAILED");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before + 1, "no half is left");
    }

    #[test]
    fn the_server_of_a_copied_home_is_told_from_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let [home, copy, link] = ["home", "copy", "link"].map(|name| Home(folder.path().join(name)));
        for home in [&home, &copy] {
            fs::create_dir(home.path()).unwrap();
        }
        std::os::unix::fs::symlink(home.path(), link.path()).unwrap();
        fs::write(home.running_file(), r#"{"pid":7,"url":"http://127.0.0.1:1"}"#).unwrap();
        let old = home.running().unwrap();
        assert!(old.home.is_none() && home.is_served_by(&old) && copy.is_served_by(&old));
        let own = Running { home: link.real_path(), ..old };
        fs::write(copy.running_file(), serde_json::to_vec(&own).unwrap()).unwrap();
        let read = copy.running().unwrap();
        assert_eq!((&read.home, read.home.is_some()), (&home.real_path(), true));
        assert!(home.is_served_by(&read) && link.is_served_by(&read) && !copy.is_served_by(&read));
        let gone = Running { home: Some(folder.path().join("gone").display().to_string()), ..read };
        assert!(!home.is_served_by(&gone) && !Home(folder.path().join("gone")).is_served_by(&gone));
    }

    #[test]
    fn halves_of_the_servers_own_files_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home(folder.path().to_owned());
        fs::create_dir(home.keys()).unwrap();
        let halves = [".high-water.7.tmp", ".access-high-water.7.tmp", ".server.json.8.tmp", "keys/.begun.7.tmp"];
        let others = [".context.toml.7.tmp", "high-water", "keys/log.key", ".server.json.old"];
        for name in halves.iter().chain(&others) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        home.leftovers_remove();
        assert!(halves.iter().all(|name| !folder.path().join(name).exists()));
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }
}
