//! Results: `docs/benchmarks.md`, one section a bench; each bench replaces its own section and keeps the others.

use crate::failure::Result;
use crate::workspace;

/// The file that is written.
const FILE: &str = "docs/benchmarks.md";
/// What stands before the first section.
const BEGINNING: &str = "# Benchmarks

Each section names the command that measured and wrote it. Figures are medians over rounds where a row says nothing else,
and differ from machine to machine and from hour to hour; the ratios to limits that were measured in the same run differ
less. Client, server and store share the machine. Rows without a goal are limits or context. The column \"judged\" is what
the goal compares: a ratio, or the figure itself.
";

/// Puts a section into the file, in the place of the one with the same title.
///
/// # Errors
/// When the file cannot be read or written.
pub fn write(section: &str) -> Result<()> {
    let before = match workspace::root().join(FILE).exists() {
        true => workspace::read(FILE)?,
        false => String::new(),
    };
    workspace::write(FILE, &with_section(&before, section))
}

fn with_section(before: &str, section: &str) -> String {
    let mut sections = sections(before);
    match sections.iter_mut().find(|found| title(found) == title(section)) {
        Some(found) => *found = section.to_owned(),
        None => sections.push(section.to_owned()),
    }
    let sections: Vec<&str> = sections.iter().map(|section| section.trim_end()).collect();
    format!("{BEGINNING}\n{}\n", sections.join("\n\n"))
}

/// The sections of a text; what stands before the first one belongs to none.
fn sections(text: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with("## ") {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(line);
            section.push('\n');
        }
    }
    sections
}

fn title(section: &str) -> &str {
    section.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_itself_and_nothing_else() {
        let check = |before: &str, section: &str, expected: &str| {
            assert_eq!(with_section(before, section), format!("{BEGINNING}\n{expected}"));
        };
        check("", "## A\n\none\n", "## A\n\none\n");
        check("# Other\n\n## A\n\none\n\n## B\n\ntwo\n", "## A\n\nnew\n", "## A\n\nnew\n\n## B\n\ntwo\n");
        check("## A\n\none\n\n## B\ntwo\n", "## B\n\nnew\n", "## A\n\none\n\n## B\n\nnew\n");
        check("## A\n\none\n", "## AB\n\ntwo\n", "## A\n\none\n\n## AB\n\ntwo\n");
        let once = with_section("", "## A\n\none\n");
        assert_eq!(with_section(&once, "## A\n\none\n"), once);
    }
}
