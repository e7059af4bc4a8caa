//! Coverage: lines and branches gathered from a report, each counted once.

use std::collections::BTreeMap;

use lockgate_model::facts::Coverage;

use crate::error::EvidenceError;

/// How many lines and branches one report may have together.
const MAX_ITEMS: usize = 4_194_304;

/// What was covered, by file.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    files: BTreeMap<String, File>,
    items: usize,
}

/// One file.
#[derive(Debug, Default)]
struct File {
    /// Whether each line ran.
    lines: BTreeMap<u32, bool>,
    /// Whether each branch of a line was taken, by its name.
    branches: BTreeMap<(u32, String), bool>,
    /// How many branches of a line were taken, of how many.
    conditions: BTreeMap<u32, (u32, u32)>,
}

impl Covered {
    /// Adds a line; a line that stands twice is covered when it ran in one of them.
    pub(crate) fn line(&mut self, file: &str, line: u32, hit: bool) -> Result<(), EvidenceError> {
        let lines = &mut self.file(file).lines;
        let before = lines.len();
        *lines.entry(line).or_default() |= hit;
        let added = lines.len() - before;
        self.grow(added)
    }

    /// Adds a branch of a line; one that stands twice is taken when it was taken in one of them.
    pub(crate) fn branch(&mut self, file: &str, line: u32, name: &str, taken: bool) -> Result<(), EvidenceError> {
        let branches = &mut self.file(file).branches;
        let before = branches.len();
        *branches.entry((line, name.to_owned())).or_default() |= taken;
        let added = branches.len() - before;
        self.grow(added)
    }

    /// Says how many branches a line has, and how many of them were taken; the larger of two statements counts.
    pub(crate) fn condition(&mut self, file: &str, line: u32, taken: u32, of: u32) -> Result<(), EvidenceError> {
        let conditions = &mut self.file(file).conditions;
        let before = conditions.len();
        let known = conditions.entry(line).or_default();
        *known = (known.0.max(taken), known.1.max(of));
        let added = conditions.len() - before;
        self.grow(added)
    }

    fn file(&mut self, name: &str) -> &mut File {
        self.files.entry(name.to_owned()).or_default()
    }

    fn grow(&mut self, by: usize) -> Result<(), EvidenceError> {
        self.items = self.items.saturating_add(by);
        match self.items <= MAX_ITEMS {
            true => Ok(()),
            false => Err(EvidenceError::new(
                "TOO_MANY_LINES",
                format!("more than {MAX_ITEMS} lines and branches in one report: split it by module"),
            )),
        }
    }

    /// Counts everything.
    pub(crate) fn claim(self, format: &str) -> Coverage {
        let (mut files, mut lines, mut branches) = (0u64, Share::default(), Share::default());
        for file in self.files.into_values() {
            files += u64::from(!file.lines.is_empty());
            file.lines.values().for_each(|hit| lines.add(u64::from(*hit), 1));
            file.branches.values().for_each(|taken| branches.add(u64::from(*taken), 1));
            file.conditions.values().for_each(|(taken, of)| branches.add(u64::from(*taken.min(of)), u64::from(*of)));
        }
        Coverage {
            format: format.to_owned(),
            files,
            lines_covered: lines.covered,
            lines_valid: lines.valid,
            line_basis_points: lines.basis_points(),
            branches_covered: branches.covered,
            branches_valid: branches.valid,
            branch_basis_points: branches.basis_points(),
            stated_basis_points: None,
            measured_at: None,
        }
    }
}

/// So many of so many.
#[derive(Debug, Default)]
struct Share {
    covered: u64,
    valid: u64,
}

impl Share {
    fn add(&mut self, covered: u64, valid: u64) {
        self.covered = self.covered.saturating_add(covered);
        self.valid = self.valid.saturating_add(valid);
    }

    /// Rounded down, so that a share never looks larger than it is; nothing of nothing is no share.
    fn basis_points(&self) -> Option<u64> {
        self.covered.saturating_mul(10_000).checked_div(self.valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_counts_once() {
        let mut covered = Covered::default();
        for (line, hit) in [(1, true), (1, false), (2, false), (2, false), (3, true)] {
            covered.line("a", line, hit).unwrap();
        }
        covered.line("b", 1, false).unwrap();
        covered.branch("a", 1, "0,0", true).unwrap();
        covered.branch("a", 1, "0,1", false).unwrap();
        covered.branch("a", 1, "0,1", false).unwrap();
        covered.condition("b", 1, 1, 2).unwrap();
        covered.condition("b", 1, 5, 4).unwrap();
        let claim = covered.claim("lcov");
        assert_eq!((claim.files, claim.lines_covered, claim.lines_valid), (2, 2, 4));
        assert_eq!(claim.line_basis_points, Some(5000));
        assert_eq!((claim.branches_covered, claim.branches_valid), (5, 6));
        assert_eq!(claim.branch_basis_points, Some(8333));
    }

    #[test]
    fn nothing_of_nothing_is_no_share() {
        let claim = Covered::default().claim("lcov");
        assert_eq!((claim.line_basis_points, claim.branch_basis_points), (None, None));
    }
}
