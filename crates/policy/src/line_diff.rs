//! Line by line: which lines one text has and another has not.

/// How many pairs of lines are compared to find the fewest that differ.
const COMPARED_MAX: usize = 4_000_000;

/// A line that only one of two texts has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineChange {
    /// Whether it is the second text that has it.
    pub added: bool,
    /// Its number in its own text, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// The lines that one text has and the other has not: first those that are gone, then those that are new. A line that
/// moved is told in both places, because under another heading it says something else.
pub fn line_changes(old: &str, new: &str) -> Vec<LineChange> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (before, after) = (old.get(same..).unwrap_or_default(), new.get(same..).unwrap_or_default());
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(|(old, new)| old == new).count();
    let before = before.get(..before.len() - tail).unwrap_or_default();
    let after = after.get(..after.len() - tail).unwrap_or_default();
    let (taken, put) = apart(before, after);
    let change = |added: bool, lines: &[&str], at: usize| {
        lines.get(at).map(|text| LineChange { added, line: same + at + 1, text: (*text).to_owned() })
    };
    let taken = taken.into_iter().filter_map(|at| change(false, before, at));
    let put = put.into_iter().filter_map(|at| change(true, after, at));
    taken.chain(put).collect()
}

/// Which lines of each side are not in their longest common subsequence; all of them where finding it would take long.
fn apart(old: &[&str], new: &[&str]) -> (Vec<usize>, Vec<usize>) {
    if old.len().saturating_mul(new.len()) > COMPARED_MAX {
        return ((0..old.len()).collect(), (0..new.len()).collect());
    }
    // How many lines the rests from each line on have in common; from the last line on, there are none.
    let mut rows: Vec<Vec<u32>> = vec![vec![0; new.len() + 1]];
    for line in old.iter().rev() {
        let below = rows.last().cloned().unwrap_or_default();
        let common = |at: usize| below.get(at).copied().unwrap_or(0);
        let (mut row, mut right) = (vec![0], 0);
        for (at, other) in new.iter().enumerate().rev() {
            right = if line == other { common(at + 1) + 1 } else { common(at).max(right) };
            row.push(right);
        }
        row.reverse();
        rows.push(row);
    }
    rows.reverse();
    let common = |one: usize, other: usize| rows.get(one).and_then(|row| row.get(other)).copied().unwrap_or(0);
    let (mut one, mut other) = (0, 0);
    let (mut taken, mut put) = (Vec::new(), Vec::new());
    while one < old.len() || other < new.len() {
        if one < old.len() && other < new.len() && old.get(one) == new.get(other) {
            (one, other) = (one + 1, other + 1);
        } else if one < old.len() && (other == new.len() || common(one + 1, other) >= common(one, other + 1)) {
            taken.push(one);
            one += 1;
        } else {
            put.push(other);
            other += 1;
        }
    }
    (taken, put)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_differs_is_told_with_its_number() {
        let check = |old: &str, new: &str, expected: &[(bool, usize, &str)]| {
            let found = line_changes(old, new);
            let found: Vec<_> = found.iter().map(|one| (one.added, one.line, one.text.as_str())).collect();
            assert_eq!(found, expected, "{old:?} {new:?}");
        };
        check("a\nb\n", "a\nb\n", &[]);
        check("a\nb\nc\n", "a\nx\nc\n", &[(false, 2, "b"), (true, 2, "x")]);
        check("a\nb\nc\nd\ne", "a\nc\nd\nx\ne", &[(false, 2, "b"), (true, 4, "x")]);
        check("", "a", &[(true, 1, "a")]);
        check("a", "", &[(false, 1, "a")]);
    }
}
