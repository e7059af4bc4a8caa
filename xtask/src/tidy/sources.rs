//! Sources: how long files are, and what must not be left in them.

use std::fs;

use crate::failure::{During as _, Result};
use crate::workspace;

/// How many lines a Rust file outside of tests has at most.
const LINES_MAX: usize = 700;

/// What no file holds: work that is announced and not done. Written in halves, so that this file passes its own check.
const LEFT_OVER: &[&str] = &[concat!("TO", "DO:"), concat!("FIX", "ME")];

/// What no Rust file holds: tests that are switched off, code that is not there.
const LEFT_OUT: &[&str] = &[concat!("#[", "ignore"), concat!("to", "do!")];

/// Problems of every file that git knows or would add.
///
/// # Errors
/// When git does not list them.
pub fn problems() -> Result<Vec<String>> {
    let listed = workspace::output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let listed = String::from_utf8(listed).during("read the list of files")?;
    let mut problems = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A file that git lists and that is gone will not be committed; one that is not text holds no words.
        if let Ok(text) = fs::read_to_string(workspace::root().join(path)) {
            problems.extend(file_problems(path, &text));
        }
    }
    Ok(problems)
}

fn file_problems(path: &str, text: &str) -> Vec<String> {
    let is_rust = path.ends_with(".rs");
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if is_rust && !is_test(path) && lines > LINES_MAX {
        problems.push(format!("{path}: {lines} lines, of at most {LINES_MAX}; split it by noun"));
    }
    let words = LEFT_OVER.iter().chain(LEFT_OUT.iter().filter(|_| is_rust));
    for word in words {
        for (number, _) in (1..).zip(text.lines()).filter(|(_, line)| line.contains(word)) {
            problems.push(format!("{path}:{number}: holds `{word}`; do it now, or drop it"));
        }
    }
    problems
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests") || path.ends_with("_tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: usize) {
        let problems = file_problems(path, text);
        assert_eq!(problems.len(), expected, "{path}: {problems:?}");
    }

    #[test]
    fn long_files_and_left_overs_are_found() {
        let long = "x\n".repeat(LINES_MAX + 1);
        check("crates/a/src/b.rs", &long, 1);
        check("crates/a/src/b.rs", &"x\n".repeat(LINES_MAX), 0);
        check("crates/a/tests/it/b.rs", &long, 0);
        check("crates/a/src/b_tests.rs", &long, 0);
        check("docs/long.md", &long, 0);
        for word in LEFT_OVER {
            check("docs/a.md", &format!("one\n{word} two\n{word}\n"), 2);
        }
        for word in LEFT_OUT {
            check("crates/a/tests/it/b.rs", word, 1);
            check("docs/a.md", word, 0);
        }
    }

    #[test]
    fn this_file_passes_its_own_check() {
        check("xtask/src/tidy/sources.rs", include_str!("sources.rs"), 0);
    }
}
