//! A trace: the calls that strace wrote down, with the lines on which each began and ended.
//!
//! strace is asked to write every string as `\x..`, so that no argument holds a comma, a quote or a bracket of its own.

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::failure::{Failure, Result};

/// What stands at the end of a call that another thread's line interrupts.
const UNFINISHED: &str = " <unfinished ...>";

/// One finished system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The line on which it was entered, counted from 0.
    pub begin: usize,
    /// The line on which it returned.
    pub end: usize,
    /// Its name, such as `pwrite64`.
    pub name: String,
    /// Its arguments, as strace wrote them.
    pub arguments: String,
    /// What it returned; negative when it failed.
    pub result: i64,
}

impl Call {
    /// The open file that it is made on: its number, and its path as strace knows it.
    pub fn descriptor(&self) -> Option<(i32, String)> {
        descriptor(self.argument(0)?)
    }

    /// An argument, counted from 0.
    pub fn argument(&self, number: usize) -> Option<&str> {
        self.arguments.split(", ").nth(number)
    }

    /// An argument that is a number, counted from 0.
    pub fn number(&self, number: usize) -> Option<u64> {
        self.argument(number)?.parse().ok()
    }

    /// The bytes of all its strings, one after the other, of which it took as many as it returned.
    ///
    /// # Errors
    /// When strace did not write all of them.
    pub fn data(&self) -> Result<Vec<u8>> {
        let mut bytes: Vec<u8> = strings(&self.arguments).into_iter().flatten().collect();
        let taken = usize::try_from(self.result)?;
        if bytes.len() < taken {
            return Err(Failure::new(format!("line {}: {} of {taken} bytes were recorded", self.begin, bytes.len())));
        }
        bytes.truncate(taken);
        Ok(bytes)
    }

    /// The bytes of all its strings, whatever came of them.
    pub fn offered(&self) -> Vec<u8> {
        strings(&self.arguments).into_iter().flatten().collect()
    }

    /// The absolute paths that it names; one below a directory's descriptor begins with that directory's path.
    pub fn paths(&self) -> Vec<String> {
        let mut below = String::new();
        let mut paths = Vec::new();
        for argument in self.arguments.split(", ") {
            let named = strings(argument).into_iter().next();
            match (named, argument.split_once('<')) {
                (Some(bytes), _) if bytes.first() == Some(&b'/') => paths.push(text(&bytes)),
                (Some(bytes), _) => paths.push(format!("{below}/{}", text(&bytes))),
                (None, Some((_, rest))) => below = text(&plain(rest.trim_end_matches('>'))),
                (None, None) => {}
            }
        }
        paths
    }
}

/// Reads a trace made with `-f -y -xx`.
///
/// # Errors
/// When a line cannot be read, or ends a call that was never begun.
pub fn read(trace: impl BufRead) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    let mut begun: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let line = line?;
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix(UNFINISHED) {
            begun.insert(thread.to_owned(), (number, head.to_owned()));
        } else if let Some((_, tail)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let Some((begin, head)) = begun.remove(thread) else {
                return Err(Failure::new(format!("line {number} of the trace ends a call that was not begun")));
            };
            calls.extend(call(begin, number, &format!("{head}{tail}")));
        } else {
            calls.extend(call(number, number, rest));
        }
    }
    Ok(calls)
}

/// Reads a whole call; `None` for what is none, such as the end of a thread.
fn call(begin: usize, end: usize, line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?.to_owned();
    let digits = result.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(result.len());
    // A call that never returned has a question mark.
    let result = result.get(..digits)?.parse().unwrap_or(-1);
    Some(Call { begin, end, name: name.to_owned(), arguments, result })
}

/// Reads `4<path>`: the number, and the path.
pub fn descriptor(argument: &str) -> Option<(i32, String)> {
    let (number, rest) = argument.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    Some((number.parse().ok()?, text(&plain(path))))
}

/// The bytes of every `"..."`.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    // Between the first and the second quote stands a string, between the second and the third there is none.
    arguments.split('"').skip(1).step_by(2).map(plain).collect()
}

/// The bytes that `\x..` stand for; all else stands for itself.
fn plain(written: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(written.len() / 4);
    let mut rest = written.as_bytes();
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, after @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                match (digit(*high), digit(*low)) {
                    (Some(high), Some(low)) => bytes.push((high << 4) | low),
                    _ => bytes.extend([b'\\', b'x', *high, *low]),
                }
                after
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
            [] => return bytes,
        };
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as strace 6.1 wrote them; `/h/d` is `\x2f\x68\x2f\x64`, `/h/d/w` is `\x2f\x68\x2f\x64\x2f\x77`.
    const TRACE: &str = r#"476   openat(AT_FDCWD<\x2f\x77>, "\x2f\x68\x2f\x64\x2f\x77", O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0644) = 5<\x2f\x68\x2f\x64\x2f\x77>
476   mkdir("\x2f\x68", 0700) = -1 EEXIST (File exists)
476   fsync(26<\x2f\x68\x2f\x64> <unfinished ...>
700   pwrite64(5<\x2f\x68\x2f\x64\x2f\x77>, "\x37\x7f\x06\x82", 4, 8248) = 4
476   <... fsync resumed>)              = 0
480   writev(26<\x73\x6f\x63\x6b\x65\x74\x3a\x5b\x34\x5d>, [{iov_base="\x48\x54", iov_len=2}, {iov_base="\x7b\x7d", iov_len=2}], 2) = 4
700   linkat(AT_FDCWD<\x2f\x77>, "\x2f\x68\x2f\x61", 7<\x2f\x68\x2f\x64>, "\x62", 0) = 0
700   close(27<\x2f\x68\x2f\x61>(deleted)) = 0
476   mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 6<\x2f\x68>, 0) = 0x7f5733213000
482   exit_group(0) = ?
482   +++ exited with 0 +++
"#;

    fn calls() -> Vec<Call> {
        read(TRACE.as_bytes()).unwrap()
    }

    fn named(name: &str) -> Call {
        calls().into_iter().find(|call| call.name == name).unwrap()
    }

    #[test]
    fn calls_come_in_the_order_in_which_they_ended() {
        let found: Vec<(String, usize, usize, i64)> =
            calls().into_iter().map(|call| (call.name, call.begin, call.end, call.result)).collect();
        let expected = [
            ("openat", 0, 0, 5),
            ("mkdir", 1, 1, -1),
            ("pwrite64", 3, 3, 4),
            ("fsync", 2, 4, 0),
            ("writev", 5, 5, 4),
            ("linkat", 6, 6, 0),
            ("close", 7, 7, 0),
            ("mmap", 8, 8, 0),
            ("exit_group", 9, 9, -1),
        ];
        assert_eq!(found, expected.map(|(name, begin, end, result)| (name.to_owned(), begin, end, result)));
        assert!(read("7 <... fsync resumed>) = 0\n".as_bytes()).is_err());
    }

    #[test]
    fn files_data_and_paths_are_read() {
        assert_eq!(named("pwrite64").descriptor(), Some((5, "/h/d/w".to_owned())));
        assert_eq!(named("pwrite64").data().unwrap(), [0x37, 0x7f, 0x06, 0x82]);
        assert_eq!(named("pwrite64").number(3), Some(8248));
        assert_eq!(named("writev").descriptor(), Some((26, "socket:[4]".to_owned())));
        assert_eq!(named("writev").data().unwrap(), b"HT{}");
        assert_eq!(named("close").descriptor(), Some((27, "/h/a".to_owned())));
        assert_eq!(named("fsync").descriptor(), Some((26, "/h/d".to_owned())));
        assert_eq!(named("openat").paths(), ["/h/d/w"]);
        assert_eq!(named("mkdir").paths(), ["/h"]);
        assert_eq!(named("linkat").paths(), ["/h/a", "/h/d/b"]);
    }

    #[test]
    fn a_string_that_strace_cut_short_is_noticed() {
        let calls = read("7 write(3<\\x2f>, \"\\x61\\x62\"..., 9) = 9\n".as_bytes()).unwrap();
        assert!(calls.first().unwrap().data().is_err());
    }
}
