//! A history: what a trace did to the files and directories below one directory, by object and not by name, so that a
//! name that is lost does not take away what was written under another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Call;
use crate::failure::{During as _, Failure, Result};

/// A file or a directory, by its number.
pub type Id = usize;
/// The directory that all others are below.
pub const ROOT: Id = 0;
/// How many bytes of writes are kept at most: they are kept in memory.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// What a file or a directory was before the first call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A directory with these names.
    Directory(BTreeMap<String, Id>),
    /// A file with the content of this one.
    File(PathBuf),
    /// A file that was made since.
    NewFile,
}

/// A change of one object, or a flush of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Bytes at a place.
    Write(u64, Vec<u8>),
    /// Another length.
    Resize(u64),
    /// Names in a directory that now stand for something else, or for nothing; all of them at once.
    Names(Vec<(String, Option<Id>)>),
    /// All earlier changes of this object are on the disk.
    Flush,
}

/// One change, with the lines on which its call began and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The line on which the call began.
    pub begin: usize,
    /// The line on which it ended.
    pub end: usize,
    /// What was changed.
    pub object: Id,
    /// How.
    pub change: Change,
}

/// Bytes that were handed to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The line on which the call began: whatever it says is said from there on.
    pub begin: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All that happened.
#[derive(Debug)]
pub struct History {
    /// The objects, by number.
    pub objects: Vec<Base>,
    /// The changes, in the order in which they ended.
    pub steps: Vec<Step>,
    /// What was sent.
    pub sent: Vec<Sent>,
    /// One more than the last line.
    pub lines: usize,
}

impl History {
    /// Reads the calls of one process that worked in `home`, which was a copy of `before` when it began.
    ///
    /// # Errors
    /// When a call changes files in a way that is not known here, so that nothing is left out in silence.
    pub fn read(calls: &[Call], home: &Path, before: &Path) -> Result<Self> {
        let mut reader = Reader {
            home: home.display().to_string(),
            objects: Vec::new(),
            names: BTreeMap::new(),
            open: BTreeMap::new(),
            steps: Vec::new(),
            sent: Vec::new(),
            bytes: 0,
        };
        reader.load(before)?;
        for call in calls {
            reader.take(call).map_err(|failure| Failure::new(format!("line {} of the trace: {failure}", call.end)))?;
        }
        let lines = calls.iter().map(|call| call.end + 1).max().unwrap_or_default();
        Ok(Self { objects: reader.objects, steps: reader.steps, sent: reader.sent, lines })
    }

    /// The first line on which these bytes were handed to a socket.
    pub fn told(&self, bytes: &[u8]) -> Option<usize> {
        let holds = |sent: &&Sent| sent.bytes.windows(bytes.len().max(1)).any(|window| window == bytes);
        self.sent.iter().find(holds).map(|sent| sent.begin)
    }
}

/// An open file.
#[derive(Debug, Clone, Copy)]
struct Open {
    object: Id,
    position: u64,
}

/// What is known while reading.
struct Reader {
    home: String,
    objects: Vec<Base>,
    /// The names in each directory as they are by now.
    names: BTreeMap<Id, BTreeMap<String, Id>>,
    open: BTreeMap<i32, Open>,
    steps: Vec<Step>,
    sent: Vec<Sent>,
    bytes: usize,
}

impl Reader {
    /// Numbers what is in a directory before the first call; the directory itself comes before all in it.
    fn load(&mut self, directory: &Path) -> Result<Id> {
        let id = self.objects.len();
        self.objects.push(Base::Directory(BTreeMap::new()));
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(directory).during(format!("list `{}`", directory.display()))? {
            let path = entry?.path();
            let inner = match path.is_dir() {
                true => self.load(&path)?,
                false => {
                    self.objects.push(Base::File(path.clone()));
                    self.objects.len() - 1
                }
            };
            names.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), inner);
        }
        if let Some(base) = self.objects.get_mut(id) {
            *base = Base::Directory(names.clone());
        }
        self.names.insert(id, names);
        Ok(id)
    }

    fn take(&mut self, call: &Call) -> Result<()> {
        if let ("write" | "writev" | "sendto" | "sendmsg", Some((_, path))) = (call.name.as_str(), call.descriptor())
            && !path.starts_with('/')
        {
            if path.starts_with("socket:") || path.starts_with("TCP") {
                self.sent.push(Sent { begin: call.begin, bytes: call.offered() });
            }
            return Ok(());
        }
        if call.result < 0 {
            return Ok(());
        }
        match call.name.as_str() {
            "openat" | "open" | "creat" => self.opened(call),
            "close" => {
                // Known by its number alone: it may have lost its name.
                if let Some((number, _)) = call.descriptor() {
                    self.open.remove(&number);
                }
                Ok(())
            }
            "lseek" | "write" | "pwrite64" | "writev" | "ftruncate" | "fsync" | "fdatasync" => self.changed(call),
            "mkdir" | "mkdirat" | "unlink" | "unlinkat" | "rmdir" | "rename" | "renameat" | "renameat2" | "link"
            | "linkat" => self.named(call),
            // It asks for writing to begin, and waits for no disk.
            "sync_file_range" => Ok(()),
            // The index of a write-ahead log is made anew from the log whenever the first process opens it.
            "mmap" if !is_shared_for_writing(call) || call.argument(4).is_some_and(is_log_index) => Ok(()),
            _ => match self.concerns(call) {
                true => Err(Failure::new(format!("`{}({})` is not known here", call.name, call.arguments))),
                false => Ok(()),
            },
        }
    }

    /// Whether a call names anything in the home.
    fn concerns(&self, call: &Call) -> bool {
        let by_name = call.paths().iter().any(|path| self.relative(path).is_some());
        let parts = call.arguments.split(", ").filter_map(super::trace::descriptor);
        by_name || parts.into_iter().any(|(_, path)| self.relative(&path).is_some())
    }

    /// A path below the home, relative to it; empty for the home itself.
    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.home.as_str())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// What a relative path stands for.
    fn find(&self, relative: &str) -> Option<Id> {
        let mut parts = relative.split('/').filter(|part| !part.is_empty());
        parts.try_fold(ROOT, |directory, part| self.names.get(&directory)?.get(part).copied())
    }

    /// The directory of a relative path, and the name in it.
    fn place(&self, relative: &str) -> Result<(Id, String)> {
        let (directory, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        match self.find(directory) {
            Some(directory) => Ok((directory, name.to_owned())),
            None => Err(Failure::new(format!("the directory of `{relative}` is not known"))),
        }
    }

    fn add(&mut self, call: &Call, object: Id, change: Change) {
        self.steps.push(Step { begin: call.begin, end: call.end, object, change });
    }

    /// Changes names in a directory.
    fn rename(&mut self, call: &Call, directory: Id, changes: Vec<(String, Option<Id>)>) {
        let names = self.names.entry(directory).or_default();
        for (name, object) in &changes {
            match object {
                Some(object) => names.insert(name.clone(), *object),
                None => names.remove(name),
            };
        }
        self.add(call, directory, Change::Names(changes));
    }

    fn make(&mut self, call: &Call, relative: &str, base: Base) -> Result<Id> {
        let (directory, name) = self.place(relative)?;
        let id = self.objects.len();
        if matches!(base, Base::Directory(_)) {
            self.names.insert(id, BTreeMap::new());
        }
        self.objects.push(base);
        self.rename(call, directory, vec![(name, Some(id))]);
        Ok(id)
    }

    fn opened(&mut self, call: &Call) -> Result<()> {
        let number = i32::try_from(call.result)?;
        // The number stood for something that was closed in a way that is not traced.
        self.open.remove(&number);
        let paths = call.paths();
        let Some(relative) = paths.first().and_then(|path| self.relative(path)).map(ToOwned::to_owned) else {
            return Ok(());
        };
        let flag = |name: &str| call.arguments.contains(name);
        if flag("O_TMPFILE") || flag("O_APPEND") {
            return Err(Failure::new("a file without a name, or one that is appended to, is not known here"));
        }
        let object = match self.find(&relative) {
            Some(object) => {
                if flag("O_TRUNC") || call.name == "creat" {
                    self.add(call, object, Change::Resize(0));
                }
                object
            }
            None if flag("O_CREAT") || call.name == "creat" => self.make(call, &relative, Base::NewFile)?,
            None => return Err(Failure::new(format!("`{relative}` was opened, and never made"))),
        };
        self.open.insert(number, Open { object, position: 0 });
        Ok(())
    }

    fn changed(&mut self, call: &Call) -> Result<()> {
        let Some((number, path)) = call.descriptor() else { return Ok(()) };
        let Some(Open { object, position }) = self.open.get(&number).copied() else {
            return match self.relative(&path) {
                Some(_) => Err(Failure::new(format!("`{path}` is changed, and was not opened"))),
                None => Ok(()),
            };
        };
        let missing = || Failure::new(format!("`{}` has no place", call.arguments));
        match call.name.as_str() {
            "fsync" | "fdatasync" => self.add(call, object, Change::Flush),
            "ftruncate" => {
                let length = call.number(1).ok_or_else(missing)?;
                self.add(call, object, Change::Resize(length));
            }
            "lseek" => {
                let position = u64::try_from(call.result)?;
                self.open.insert(number, Open { object, position });
            }
            "pwrite64" => {
                let place = call.number(3).ok_or_else(missing)?;
                self.written(call, object, place)?;
            }
            _ => {
                let length = self.written(call, object, position)?;
                self.open.insert(number, Open { object, position: position + length });
            }
        }
        Ok(())
    }

    fn written(&mut self, call: &Call, object: Id, place: u64) -> Result<u64> {
        let data = call.data()?;
        self.bytes += data.len();
        if self.bytes > MOST_BYTES {
            return Err(Failure::new(format!("more than {MOST_BYTES} bytes were written")));
        }
        let length = data.len() as u64;
        self.add(call, object, Change::Write(place, data));
        Ok(length)
    }

    fn named(&mut self, call: &Call) -> Result<()> {
        let paths = call.paths();
        let inside: Vec<String> = paths.iter().filter_map(|path| self.relative(path)).map(ToOwned::to_owned).collect();
        match (call.name.as_str(), inside.as_slice()) {
            (_, []) => Ok(()),
            ("mkdir" | "mkdirat", [made]) => self.make(call, made, Base::Directory(BTreeMap::new())).map(|_| ()),
            ("unlink" | "unlinkat" | "rmdir", [gone]) => {
                let (directory, name) = self.place(gone)?;
                self.rename(call, directory, vec![(name, None)]);
                Ok(())
            }
            (how, [from, to]) if !call.arguments.contains("RENAME_EXCHANGE") => {
                let ((old, old_name), (new, new_name)) = (self.place(from)?, self.place(to)?);
                let object = self.find(from).ok_or_else(|| Failure::new(format!("`{from}` was never made")))?;
                let added = (new_name, Some(object));
                match (how.starts_with("link"), old == new) {
                    (true, _) => self.rename(call, new, vec![added]),
                    // In one directory the old name goes in the same moment.
                    (false, true) => self.rename(call, new, vec![(old_name, None), added]),
                    (false, false) => {
                        self.rename(call, new, vec![added]);
                        self.rename(call, old, vec![(old_name, None)]);
                    }
                }
                Ok(())
            }
            _ => Err(Failure::new(format!("`{}({})` is not known here", call.name, call.arguments))),
        }
    }
}

fn is_shared_for_writing(call: &Call) -> bool {
    call.arguments.contains("MAP_SHARED") && call.arguments.contains("PROT_WRITE")
}

fn is_log_index(argument: &str) -> bool {
    super::trace::descriptor(argument).is_some_and(|(_, path)| path.ends_with("-shm"))
}

#[cfg(test)]
mod tests {
    use super::super::trace;
    use super::*;
    use crate::scratch::Scratch;

    fn history(name: &str, lines: &str) -> Result<History> {
        let scratch = Scratch::new(&format!("history-test-{name}")).unwrap();
        fs::create_dir_all(scratch.path().join("d")).unwrap();
        fs::write(scratch.path().join("d/old"), "old").unwrap();
        History::read(&trace::read(lines.as_bytes()).unwrap(), Path::new("/h"), scratch.path())
    }

    // Nothing is escaped here, which reads the same.
    #[test]
    fn a_file_is_followed_through_its_names() {
        let lines = r#"1 openat(AT_FDCWD</w>, "/h/d/new", O_WRONLY|O_CREAT|O_EXCL, 0600) = 4</h/d/new>
1 write(4</h/d/new>, "ab", 2) = 2
1 write(4</h/d/new>, "cd", 2) = 2
1 rename("/h/d/new", "/h/d/old") = 0
1 fsync(4</h/d/old>) = 0
1 openat(AT_FDCWD</w>, "/h/d", O_RDONLY|O_CLOEXEC) = 5</h/d>
1 fsync(5</h/d>) = 0
1 write(9<socket:[1]>, "told", 4) = 4
1 write(2</elsewhere>, "x", 1) = 1
"#;
        let history = history("names", lines).unwrap();
        // The root, `d`, `d/old`, and what was made.
        let (directory, made) = (1, 3);
        let expected = [
            (0, directory, Change::Names(vec![("new".to_owned(), Some(made))])),
            (1, made, Change::Write(0, b"ab".to_vec())),
            (2, made, Change::Write(2, b"cd".to_vec())),
            (3, directory, Change::Names(vec![("new".to_owned(), None), ("old".to_owned(), Some(made))])),
            (4, made, Change::Flush),
            (6, directory, Change::Flush),
        ];
        let expected = expected.map(|(line, object, change)| Step { begin: line, end: line, object, change });
        assert_eq!(history.steps, expected);
        assert_eq!((history.told(b"old"), history.told(b"untold"), history.lines), (Some(7), None, 9));
    }

    #[test]
    fn what_is_not_known_is_not_left_out_in_silence() {
        let check = |name: &str, line: &str, is_known: bool| {
            assert_eq!(history(name, line).is_ok(), is_known, "{line}");
        };
        check("copy", "1 copy_file_range(3</w>, NULL, 4</h/d/old>, NULL, 9, 0) = 9\n", false);
        check("elsewhere", "1 copy_file_range(3</w>, NULL, 4</v>, NULL, 9, 0) = 9\n", true);
        check("map", "1 mmap(NULL, 8, PROT_READ|PROT_WRITE, MAP_SHARED, 4</h/d/old>, 0) = 0x7f\n", false);
        check("index", "1 mmap(NULL, 8, PROT_READ|PROT_WRITE, MAP_SHARED, 4</h/d/x-shm>, 0) = 0x7f\n", true);
        check("unopened", "1 write(4</h/d/old>, \"x\", 1) = 1\n", false);
        check("failed", "1 write(4</h/d/old>, \"x\", 1) = -1 EIO (Input/output error)\n", true);
    }
}
