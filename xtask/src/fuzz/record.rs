//! Record: how long each reader was fuzzed in all, added up over runs and machines, in `fuzz/record.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::Tally;
use crate::failure::{During as _, Result};
use crate::workspace;

/// Where the record is.
pub const FILE: &str = "fuzz/record.json";

/// How inputs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By chance, from inputs whose answer was new.
    Chance,
    /// By libFuzzer, from inputs that took a new branch.
    Guided,
}

/// What each target has behind it in each way, kept in a file; what is asked and added is of one way.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    way: Way,
    rows: BTreeMap<String, BTreeMap<Way, Row>>,
}

/// What one target has behind it since its last finding, which may have come in either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Time of a processor, in milliseconds.
    pub millis: u64,
    /// Inputs read.
    pub inputs: u64,
}

impl Record {
    /// Reads the record; one that is not there yet is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(way: Way) -> Result<Self> {
        Self::load_from(workspace::root().join(FILE), way)
    }

    pub(super) fn load_from(path: PathBuf, way: Way) -> Result<Self> {
        let rows = match path.is_file() {
            true => serde_json::from_slice(&fs::read(&path)?).during(format!("read `{}`", path.display()))?,
            false => BTreeMap::new(),
        };
        Ok(Self { path, way, rows })
    }

    /// What a target has behind it.
    pub fn row(&self, target: &str) -> Row {
        self.rows.get(target).and_then(|ways| ways.get(&self.way)).copied().unwrap_or_default()
    }

    /// What a target has behind it in both ways together.
    pub fn behind(&self, target: &str) -> Row {
        let ways = self.rows.get(target).into_iter().flat_map(BTreeMap::values);
        ways.fold(Row::default(), |sum, row| Row { millis: sum.millis + row.millis, inputs: sum.inputs + row.inputs })
    }

    /// Adds a run and writes the record; a finding takes a target back to the beginning.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, target: &str, tally: &Tally) -> Result<Row> {
        let before = self.row(target);
        let ways = self.rows.entry(target.to_owned()).or_default();
        let row = match tally.findings.is_empty() {
            true => Row { millis: before.millis + millis(tally.time), inputs: before.inputs + tally.inputs },
            false => {
                ways.clear();
                Row::default()
            }
        };
        ways.insert(self.way, row);
        let text = serde_json::to_string_pretty(&self.rows)? + "\n";
        // Renamed into place: a run that is ended at any time leaves a whole record.
        let fresh = self.path.with_extension("json.new");
        fs::write(&fresh, text).during(format!("write `{}`", fresh.display()))?;
        fs::rename(&fresh, &self.path)?;
        Ok(row)
    }
}

/// A time in whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn runs_add_up_and_a_finding_begins_anew() {
        let scratch = Scratch::new("fuzz-record").unwrap();
        let path = scratch.path().join("record.json");
        let mut record = Record::load_from(path.clone(), Way::Chance).unwrap();
        let tally = |inputs, findings: &[&str]| Tally {
            inputs,
            time: Duration::from_millis(1500),
            findings: findings.iter().map(|&finding| finding.to_owned()).collect(),
            ..Tally::default()
        };
        record.add("a", &tally(7, &[])).unwrap();
        let mut guided = Record::load_from(path.clone(), Way::Guided).unwrap();
        assert_eq!(guided.add("a", &tally(5, &[])).unwrap(), Row { millis: 1500, inputs: 5 });
        assert_eq!(guided.behind("a"), Row { millis: 3000, inputs: 12 });
        let mut record = Record::load_from(path.clone(), Way::Chance).unwrap();
        assert_eq!(record.add("a", &tally(8, &[])).unwrap(), Row { millis: 3000, inputs: 15 });
        assert_eq!(record.add("b", &tally(1, &[])).unwrap(), Row { millis: 1500, inputs: 1 });
        assert_eq!(record.add("a", &tally(9, &["it panics"])).unwrap(), Row::default());
        assert_eq!(Record::load_from(path.clone(), Way::Guided).unwrap().row("a"), Row::default());
        fs::write(&path, "{\"a\": 1}").unwrap();
        assert!(Record::load_from(path, Way::Chance).is_err());
    }
}
