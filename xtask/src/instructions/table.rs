//! The table: how many instructions each function takes, and what they were counted with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::failure::{During as _, Failure, Result};

/// Counts, with the programs that they depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The compiler's version.
    pub compiler: String,
    /// The counter's version.
    pub valgrind: String,
    /// Instructions of one call, by function.
    pub instructions: BTreeMap<String, u64>,
}

impl Table {
    /// Reads what [`Table::to_text`] writes: of TOML only comments, one heading, and one value a line.
    ///
    /// # Errors
    /// When a line is anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || line == "[instructions]" {
                continue;
            }
            let (name, value) =
                line.split_once(" = ").ok_or_else(|| Failure::new(format!("not a line of the table: `{line}`")))?;
            match name {
                "compiler" => table.compiler = value.trim_matches('"').to_owned(),
                "valgrind" => table.valgrind = value.trim_matches('"').to_owned(),
                _ => {
                    let count = value.replace('_', "").parse().during(format!("the instructions of `{name}`"))?;
                    table.instructions.insert(name.to_owned(), count);
                }
            }
        }
        Ok(table)
    }

    /// The table as TOML.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "# Instructions of one call, counted by callgrind: `cargo xtask instructions` compares with this file, and\n\
             # with --update writes it.\ncompiler = \"{}\"\nvalgrind = \"{}\"\n\n[instructions]\n",
            self.compiler, self.valgrind
        );
        for (name, count) in &self.instructions {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} = {count}");
        }
        text
    }

    /// The counts beside those of another table, as a Markdown table.
    pub fn beside(&self, kept: &Self) -> String {
        let mut text = String::from("| function | instructions a call | in the table | ratio |\n|---|---|---|---|\n");
        for (name, now) in &self.instructions {
            let _ = match kept.instructions.get(name) {
                Some(then) => writeln!(text, "| {name} | {now} | {then} | {:.3} |", ratio(*now, *then)),
                None => writeln!(text, "| {name} | {now} | | |"),
            };
        }
        text
    }

    /// Every function that takes more than `tolerance` times what the other table has, or that it does not have.
    pub fn worse_than(&self, kept: &Self, tolerance: f64) -> Vec<String> {
        let mut worse = Vec::new();
        for (name, now) in &self.instructions {
            match kept.instructions.get(name) {
                None => worse.push(format!("{name}, which is not in the table")),
                Some(then) if ratio(*now, *then) > tolerance => worse.push(format!("{name} ({now}, was {then})")),
                Some(_) => {}
            }
        }
        worse
    }
}

fn ratio(now: u64, then: u64) -> f64 {
    now as f64 / then.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(counts: &[(&str, u64)]) -> Table {
        let instructions = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Table { compiler: "rustc 1".to_owned(), valgrind: "valgrind-3".to_owned(), instructions }
    }

    #[test]
    fn what_is_written_is_read() {
        let table = table(&[("a-b", 12_000), ("c", 3)]);
        assert_eq!(Table::parse(&table.to_text()).unwrap(), table);
        assert_eq!(Table::parse("a = 1_000\n").unwrap().instructions.get("a"), Some(&1000));
        assert!(Table::parse("a: 1\n").is_err());
        assert!(Table::parse("a = one\n").is_err());
    }

    #[test]
    fn more_than_the_tolerance_is_worse() {
        let kept = table(&[("a", 1000), ("b", 10)]);
        let check = |now: &[(&str, u64)], expected: usize| {
            let worse = table(now).worse_than(&kept, 1.03);
            assert_eq!(worse.len(), expected, "{worse:?}");
        };
        check(&[("a", 1030), ("b", 1)], 0);
        check(&[("a", 1031), ("b", 10)], 1);
        check(&[("a", 2000), ("b", 20), ("c", 1)], 3);
        assert!(table(&[("a", 1500)]).beside(&kept).contains("| a | 1500 | 1000 | 1.500 |"));
    }
}
