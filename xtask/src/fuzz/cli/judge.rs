//! The judge: what is wrong with how a command ended, and with what it printed.

use std::fs;
use std::path::Path;

use lockgate_api::Exit;
use serde_json::Value;

use super::process::{End, Ran};
use super::trial::{Demand, Trial};
use crate::failure::{During as _, Result};
use crate::faults::ground::files_below;
use crate::server::panic_in;

/// The exit codes that are a result of some commands, and those commands: a promotion that waits, what differs.
const RESULTS: [Exit; 2] = [Exit::Denied, Exit::Pending];
const TELLING: &[&str] =
    &["why", "drift", "promote", "rollback", "approve", "break-glass", "policy", "key", "invite", "change", "ci"];
/// Commands and options whose result is another text than JSON, whatever is asked for.
const OTHER_TEXT: &[&str] = &["completions", "help-all", "csv", "markdown", "conformance"];
/// The code of a command line that is not understood.
const MISUSED: &str = "COMMAND_LINE";
/// Where secrets lie in a home: private keys, and tokens.
const SECRET: [&str; 3] = ["people", "keys", "sessions"];
/// How long a piece of a secret is, in characters: a shorter one may stand anywhere.
const PIECE_BYTES: usize = 32;

/// Judges what came of commands.
#[derive(Debug, Default)]
pub struct Judge {
    /// What no output may hold.
    secrets: Vec<String>,
}

impl Judge {
    /// A judge that knows the secrets of a home.
    ///
    /// # Errors
    /// When the home cannot be read.
    pub fn of(home: &Path) -> Result<Self> {
        let mut public = String::new();
        let mut private = Vec::new();
        for file in files_below(home)? {
            let is_public =
                file.extension().is_some_and(|end| end == "pub") || file.as_path() == Path::new("trust.json");
            if is_public || SECRET.iter().any(|folder| file.starts_with(folder)) {
                let bytes = fs::read(home.join(&file)).during("read a file of the home")?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                match is_public {
                    true => public.push_str(&text),
                    false => private.push(text),
                }
            }
        }
        let mut secrets: Vec<String> = private.iter().flat_map(|text| pieces(text)).collect();
        secrets.retain(|piece| !public.contains(piece.as_str()));
        Ok(Self { secrets })
    }

    /// How many pieces of secrets it knows.
    pub fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// What is wrong, if anything is.
    pub fn wrong(&self, trial: &Trial, ran: &Ran) -> Option<String> {
        if let Some(line) = panic_in(&String::from_utf8_lossy(&ran.stderr)) {
            // Which thread it was differs from run to run.
            let place = line.split_once("panicked").map_or(line, |(_, place)| place);
            return Some(format!("it panicked{place}"));
        }
        let code = match ran.end {
            End::Code(code) => code,
            End::Signal(signal) => return Some(format!("signal {signal} ended it")),
            End::Late => return Some("it did not come to an end, and was killed".to_owned()),
        };
        if !Exit::ALL.iter().any(|exit| *exit != Exit::Bug && i32::from(exit.code()) == code) {
            return Some(format!("it ended with {code}"));
        }
        let (Ok(stdout), Ok(stderr)) = (str::from_utf8(&ran.stdout), str::from_utf8(&ran.stderr)) else {
            return Some("it printed what is no text".to_owned());
        };
        demanded(trial, code, stderr)
            .or_else(|| unexplained(trial, code, stdout, stderr))
            .or_else(|| no_json(trial, stdout))
            .or_else(|| steering(stdout, trial.json).map(|found| format!("its result holds {found}")))
            .or_else(|| steering(stderr, false).map(|found| format!("its talk holds {found}")))
            .or_else(|| self.leaked(&[stdout, stderr]))
    }

    fn leaked(&self, texts: &[&str]) -> Option<String> {
        let is_leaked = |secret: &&String| texts.iter().any(|text| text.contains(secret.as_str()));
        self.secrets.iter().find(is_leaked).map(|_| "it printed a part of a private key or of a token".to_owned())
    }
}

/// The reason code that a command gave, if it gave one.
pub fn reason(stderr: &[u8]) -> Option<String> {
    let stderr = String::from_utf8_lossy(stderr);
    let coded = stderr.lines().find_map(|line| line.strip_prefix("error[")?.split_once("]: "));
    let is_code = |code: &&str| code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    coded.map(|(code, _)| code).filter(is_code).filter(|code| !code.is_empty()).map(ToOwned::to_owned)
}

/// The longer words of a text, in pieces.
fn pieces(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=-_.".contains(c);
    let words = text.split(|c: char| !is_part(c));
    let pieces = words.flat_map(|word| word.as_bytes().chunks_exact(PIECE_BYTES));
    pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}

/// What a command line is told that is not understood, or that lacks a command.
fn is_misuse(code: i32, stderr: &str) -> bool {
    code == i32::from(Exit::Usage.code()) && (stderr.starts_with("error: ") || is_help(stderr))
}

fn is_help(text: &str) -> bool {
    text.contains("Usage: lockgate") || text.starts_with(concat!("lockgate ", env!("CARGO_PKG_VERSION")))
}

fn demanded(trial: &Trial, code: i32, stderr: &str) -> Option<String> {
    let is_misused = is_misuse(code, stderr) || reason(stderr.as_bytes()).as_deref() == Some(MISUSED);
    match trial.demand {
        Demand::Understood if is_misused => Some("a valid command line is not understood".to_owned()),
        Demand::Refused if code == 0 => Some("it succeeded, and would be refused in a sound home".to_owned()),
        Demand::Ended | Demand::Understood | Demand::Refused => None,
    }
}

/// Whoever fails says why, under a code.
fn unexplained(trial: &Trial, code: i32, stdout: &str, stderr: &str) -> Option<String> {
    let is_result =
        RESULTS.iter().any(|exit| i32::from(exit.code()) == code) && !stdout.trim().is_empty() && trial.has(TELLING);
    let is_explained = code == 0 || is_result || is_misuse(code, stderr) || reason(stderr.as_bytes()).is_some();
    (!is_explained).then(|| format!("it ended with {code}, and gave no reason"))
}

/// Whoever is asked for JSON prints one document, or nothing.
fn no_json(trial: &Trial, stdout: &str) -> Option<String> {
    let is_other = !trial.json || stdout.trim().is_empty() || is_help(stdout) || trial.mentions(OTHER_TEXT);
    let error = serde_json::from_str::<Value>(stdout).err().filter(|_| !is_other)?;
    Some(format!("its result is not one document in JSON: {error}"))
}

/// What steers a terminal, or turns the direction of a text; the second may stand in JSON.
fn steering(text: &str, is_json: bool) -> Option<String> {
    let is_steering = |c: char| matches!(c, '\u{7}' | '\u{8}' | '\u{1b}' | '\u{7f}'..='\u{9f}');
    let is_turning =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let found = text.chars().find(|c| is_steering(*c) || (!is_json && is_turning(*c)))?;
    Some(format!("the character {}", found.escape_unicode()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn trial(line: &'static str, json: bool) -> Trial {
        let words = super::super::grammar::words(line);
        Trial { line, words, json, damage: None, demand: Demand::Ended }
    }

    fn ran(code: i32, stdout: &str, stderr: &str) -> Ran {
        Ran { end: End::Code(code), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[track_caller]
    fn check(trial: &Trial, ran: &Ran, wrong: Option<&str>) {
        let judge = Judge { secrets: vec!["AAAAsecretAAAA".to_owned()] };
        let found = judge.wrong(trial, ran);
        match (&found, wrong) {
            (None, None) => {}
            (Some(found), Some(wrong)) if found.contains(wrong) => {}
            _ => panic!("{found:?}, not {wrong:?}, for {ran:?}"),
        }
    }

    #[test]
    fn a_command_ends_in_a_way_that_is_published() {
        let trial = trial("status", false);
        check(&trial, &ran(0, "", ""), None);
        check(&trial, &ran(9, "", "error[EQUIVOCATION]: x"), None);
        check(&trial, &ran(70, "", "error[BUG]: x"), Some("70"));
        check(&trial, &ran(101, "", ""), Some("101"));
        let panicked = "\nthread 'main' (7) panicked at a.rs:1:2:\nx";
        check(&trial, &ran(70, "", panicked), Some("it panicked at a.rs:1:2:"));
        check(&trial, &ran(0, "", panicked), Some("it panicked at a.rs:1:2:"));
        check(&trial, &Ran { end: End::Signal(6), ..ran(0, "", "") }, Some("signal 6"));
        check(&trial, &Ran { end: End::Late, ..ran(0, "", "") }, Some("was killed"));
    }

    #[test]
    fn whoever_fails_says_why() {
        let status = trial("status", false);
        check(&status, &ran(3, "", ""), Some("gave no reason"));
        check(&status, &ran(3, "denied", ""), Some("gave no reason"));
        check(&status, &ran(3, "", "it is error[LOW]: x"), Some("gave no reason"));
        check(&status, &ran(3, "", "error[low]: x"), Some("gave no reason"));
        check(&status, &ran(3, "", "note: y\nerror[DENIED]: x"), None);
        check(&status, &ran(2, "", "error: unexpected argument"), None);
        check(&status, &ran(3, "", "error: unexpected argument"), Some("gave no reason"));
        check(&trial("why P-3", false), &ran(5, "P-3 is pending", ""), None);
        check(&trial("why P-3", false), &ran(5, "", ""), Some("gave no reason"));
        check(&trial("why P-3", false), &ran(6, "P-3", ""), Some("gave no reason"));
    }

    #[test]
    fn demands_are_kept() {
        let valid = Trial { demand: Demand::Understood, ..trial("status", false) };
        check(&valid, &ran(2, "", "error: unexpected argument"), Some("not understood"));
        check(&valid, &ran(2, "", "error[COMMAND_LINE]: x"), Some("not understood"));
        check(&valid, &ran(2, "", "error[CONTEXT_INVALID]: x"), None);
        let refused = Trial { demand: Demand::Refused, ..trial("verify x", false) };
        check(&refused, &ran(0, "VERIFIED", ""), Some("succeeded"));
        check(&refused, &ran(3, "", "error[TRUST_INVALID]: x"), None);
    }

    #[test]
    fn json_is_one_document() {
        let status = trial("status", true);
        check(&status, &ran(0, "[]\n", ""), None);
        check(&status, &ran(0, "", ""), None);
        check(&status, &ran(0, "{}\n{}\n", ""), Some("not one document"));
        check(&status, &ran(0, "shop/web", ""), Some("not one document"));
        check(&status, &ran(0, "Usage: lockgate status", ""), None);
        check(&trial("history --csv", true), &ran(0, "a,b", ""), None);
        check(&trial("status", false), &ran(0, "shop/web", ""), None);
    }

    #[test]
    fn nothing_that_is_printed_steers_or_tells_secrets() {
        let (table, json) = (trial("status", false), trial("status", true));
        check(&table, &ran(0, "a\u{1b}[2J", ""), Some("\\u{1b}"));
        check(&table, &ran(0, "a\u{202e}", ""), Some("\\u{202e}"));
        check(&json, &ran(0, "\"a\u{202e}\"", ""), None);
        check(&json, &ran(0, "\"a\u{9b}\"", ""), Some("\\u{9b}"));
        check(&json, &ran(0, "", "note: \u{202e}"), Some("its talk holds"));
        check(&table, &ran(0, "a\tb\n", ""), None);
        check(&table, &Ran { stdout: vec![b'a', 0x9b], ..ran(0, "", "") }, Some("no text"));
        check(&table, &ran(0, "xAAAAsecretAAAAx", ""), Some("private key or of a token"));
        check(&table, &ran(0, "", "AAAAsecretAAAA"), Some("private key or of a token"));
    }

    #[test]
    fn secrets_are_what_is_in_private_files_and_in_no_public_one() {
        let scratch = Scratch::new("judge-test").unwrap();
        let (public, private, token) = ("P".repeat(PIECE_BYTES), "K".repeat(PIECE_BYTES + 9), "T".repeat(PIECE_BYTES));
        let write = |name: &str, text: &str| {
            let file = scratch.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("people/dana", &format!("-----BEGIN-----\n{private}\n{public}\n"));
        write("people/dana.pub", &format!("ssh-ed25519 {public}"));
        write("sessions/dana", &format!("{{\"token\":\"{token}\"}}"));
        write("context.toml", &"C".repeat(99));
        let judge = Judge::of(scratch.path()).unwrap();
        assert_eq!(judge.secrets, ["K".repeat(PIECE_BYTES), token]);
    }
}
