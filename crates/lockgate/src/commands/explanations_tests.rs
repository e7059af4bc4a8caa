//! Whether every reason code is explained, once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::commands::signature;

/// What is written like a code and is none: variables of environments, and words of other people's formats.
const NO_CODES: [&str; 6] = ["DESCRIBED_BY", "LC_ALL", "NO_COLOR", "NO_PUBKEY", "SHA2_256", "SSH_AUTH_SOCK"];
const NO_CODES_BEGIN: [&str; 4] = ["ACTIONS_", "CARGO_", "LOCKGATE_", "PKIX_"];
/// What a next step begins with, where that is no command: what somebody does. Another verb is added once it is used.
const STEPS: &str = "add ask begin bind change check choose clear compare configure copy correct do encode end enrol \
                     exchange fetch find get give grant hand have install keep leave let look make mend move name \
                     open pin promote propose publish push put reject remove renew report restore review rotate run \
                     scan see send set shorten sign split start stop talk try upload use verify wait write";
/// The only code after which nothing is left to do.
const DONE: &str = "SIGNATURE_VERIFIED";

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "conformance" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "merkle_vectors.rs" {
            found.push(path);
        }
    }
}

/// The texts between quotes that are written like codes of several words, in what is not a test.
fn codes(text: &str) -> BTreeSet<String> {
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    let code = |word: &&str| {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.contains('_')
            && !word.ends_with('_')
            && word.bytes().all(plain)
    };
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2).filter(code).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The explanations of gates, of the lints of policy sets, and of outside signatures.
fn elsewhere() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [lockgate_policy::REASONS, lockgate_policy::LINTS, signature::REASONS].into_iter().flatten()
}

/// Whether a text says what its reader does now: a part of it begins with something to do, or with a command.
fn says_what_next(text: &str) -> bool {
    let parts = text.split(". ").flat_map(|part| part.split("; ")).flat_map(|part| part.split(": "));
    let mut parts = parts.map(|part| part.trim_start_matches("then ").trim_start_matches("please "));
    parts.any(|part| {
        let word = part.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
        part.starts_with("`lockgate ") || STEPS.split(' ').any(|step| step.eq_ignore_ascii_case(word))
    })
}

#[test]
fn every_code_has_an_explanation() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    assert!(files.len() > 100, "{}", files.len());
    let explained: BTreeSet<&str> = elsewhere().chain(explanations()).map(|(code, _)| *code).collect();
    let mut missing = BTreeSet::new();
    for file in files {
        let found = codes(&fs::read_to_string(&file).unwrap());
        let real = |code: &String| {
            !NO_CODES.contains(&code.as_str()) && !NO_CODES_BEGIN.iter().any(|begin| code.starts_with(begin))
        };
        let unexplained = found.into_iter().filter(real).filter(|code| !explained.contains(code.as_str()));
        missing.extend(unexplained.map(|code| format!("{code} of {}", file.display())));
    }
    assert!(missing.is_empty(), "without an explanation: {missing:#?}");
}

#[test]
fn no_code_is_explained_twice_and_all_are_in_order() {
    for noun in NOUNS {
        let sorted: BTreeSet<&str> = noun.iter().map(|(code, _)| *code).collect();
        assert!(noun.iter().map(|(code, _)| *code).eq(sorted.iter().copied()), "{sorted:?}");
    }
    let here: BTreeSet<&str> = explanations().map(|(code, _)| *code).collect();
    assert_eq!(here.len(), explanations().count());
    let others: BTreeSet<&str> = elsewhere().map(|(code, _)| *code).collect();
    assert!(others.is_disjoint(&here), "{:?}", others.intersection(&here));
    assert!(explanations().all(|(_, text)| text.ends_with('.')));
}

#[test]
fn every_explanation_says_what_to_do_next() {
    // Those of gates have a `Next:`, which `lockgate_policy` looks for.
    let others = [lockgate_policy::LINTS, signature::REASONS].into_iter().flatten();
    let lacking: Vec<&str> = others
        .chain(explanations())
        .filter(|(code, text)| *code != DONE && !says_what_next(text))
        .map(|(code, _)| *code)
        .collect();
    assert!(lacking.is_empty(), "without a next step: {lacking:?}");
}

#[test]
fn what_is_wrong_is_not_yet_what_to_do_next() {
    let check = |text: &str, expected: bool| assert_eq!(says_what_next(text), expected, "{text}");
    check("One key belongs to one person.", false);
    check("The server ended by itself. The home's `server.log` says why.", false);
    check("The name is reserved: the server uses it; nothing was recorded.", false);
    check("Names are in lower case, as `lockgate policy check` says.", false);
    check("That name is taken. Choose another one.", true);
    check("This is a bug; please report it.", true);
    check("The disk is full: make room.", true);
    check("The promotion is pending. `lockgate why P-N` names every gate.", true);
}

#[test]
fn what_a_reader_or_auditor_meets_first_has_a_way_on() {
    let check = |code: &str| {
        let found = explanations().find(|(name, _)| *name == code);
        assert!(found.is_some_and(|(_, text)| text.contains("`lockgate ")), "{code}: {found:?}");
    };
    check("AUDIT_FAILED");
    check("BUNDLE_INVALID");
    check("CONTROL_UNKNOWN");
    check("DIGEST_MISMATCH");
    check("ENVIRONMENT_MISMATCH");
    check("GENESIS_MISMATCH");
    check("REPLAY_HEADS");
    check("SERVICE_MISMATCH");
    check("STORE_MISSING");
}

#[test]
fn codes_with_one_first_word_stand_in_one_file() {
    let mut files: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (file, noun) in NOUNS.iter().enumerate() {
        for word in noun.iter().filter_map(|(code, _)| code.split('_').next()) {
            files.entry(word).or_default().insert(file);
        }
    }
    let torn: Vec<&str> = files.into_iter().filter(|(_, files)| files.len() > 1).map(|(word, _)| word).collect();
    assert!(torn.is_empty(), "in several files: {torn:?}");
}

#[test]
fn codes_are_found_where_they_are_used() {
    let text = "// \"NOT_THIS\"\nx(\"A_CODE\", \"a text\"); y(\"B_2\")\nmod tests {\n\"NOR_THIS\"";
    assert_eq!(codes(text), BTreeSet::from(["A_CODE".to_owned(), "B_2".to_owned()]));
}
