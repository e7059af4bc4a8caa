//! Places: what the tables of failpoints and planted bugs say against what the source calls.

use std::collections::BTreeSet;
use std::fs;

use lockgate_failpoint::{PLANTS, POINTS};

use crate::failure::{During as _, Result};
use crate::workspace;

const POINT: &str = "lockgate_failpoint::point(\"";
const FAILS: &str = "lockgate_failpoint::fails(\"";
const PLANTED: &str = "lockgate_failpoint::planted(\"";

/// What the source calls.
#[derive(Debug, Default)]
struct Calls {
    points: BTreeSet<String>,
    fails: BTreeSet<String>,
    planted: BTreeSet<String>,
}

/// Names that are called and not in a table, and rows of a table that nothing calls.
///
/// # Errors
/// When git does not list the source.
pub fn problems() -> Result<Vec<String>> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "crates"];
    let listed = String::from_utf8(workspace::output("git", &listed)?).during("read the list of files")?;
    let mut calls = Calls::default();
    for path in listed.split('\0').filter(|path| path.ends_with(".rs") && !path.starts_with("crates/failpoint/")) {
        // A file that git lists and that is gone calls nothing.
        calls.add(&fs::read_to_string(workspace::root().join(path)).unwrap_or_default());
    }
    Ok(compare(&calls))
}

impl Calls {
    fn add(&mut self, text: &str) {
        self.points.extend(names(text, POINT));
        self.fails.extend(names(text, FAILS));
        self.planted.extend(names(text, PLANTED));
    }
}

fn names<'a>(text: &'a str, call: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(call).skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned())
}

fn compare(calls: &Calls) -> Vec<String> {
    let table = |fails: bool| POINTS.iter().filter(move |point| point.fails == fails).map(|point| point.name);
    let mut problems = differences(&calls.points, table(false), "failpoint", "points.rs");
    problems.extend(differences(&calls.fails, table(true), "failpoint that can fail", "points.rs"));
    problems.extend(differences(&calls.planted, PLANTS.iter().map(|plant| plant.name), "planted bug", "plants.rs"));
    problems
}

fn differences<'a>(
    called: &BTreeSet<String>,
    listed: impl Iterator<Item = &'a str>,
    what: &str,
    file: &str,
) -> Vec<String> {
    let listed: BTreeSet<&str> = listed.collect();
    let unlisted = called.iter().filter(|name| !listed.contains(name.as_str()));
    let unlisted = unlisted.map(|name| format!("crates/failpoint/src/{file}: no row for the {what} `{name}`"));
    let uncalled = listed.iter().filter(|name| !called.contains(**name));
    let uncalled = uncalled.map(|name| format!("crates/failpoint/src/{file}: nothing calls the {what} `{name}`"));
    unlisted.chain(uncalled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_tables_are_compared() {
        let mut calls = Calls::default();
        calls.add(&format!("fn a() {{\n    {POINT}x.y\");\n    if {FAILS}z\") {{}}\n}}"));
        assert_eq!(calls.points, BTreeSet::from(["x.y".to_owned()]));
        assert_eq!(calls.fails, BTreeSet::from(["z".to_owned()]));
        let check = |listed: &[&str], expected: usize| {
            assert_eq!(differences(&calls.points, listed.iter().copied(), "failpoint", "points.rs").len(), expected);
        };
        check(&["x.y"], 0);
        check(&[], 1);
        check(&["x.y", "w"], 1);
        check(&["w"], 2);
    }

    #[test]
    fn every_place_is_called_and_listed() {
        assert_eq!(problems().unwrap(), Vec::<String>::new());
    }
}
