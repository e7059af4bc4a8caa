//! Grammar: command lines that nobody wrote, made from valid ones.

use super::bounds::{self, WORD_BYTES};
use super::lines::LINES;
use super::trial::{Demand, Trial};
use crate::mutation::Mutator;

/// Words that nobody means, or at which readers of arguments go wrong.
const HOSTILE: &[&[u8]] = &[
    b"",
    b"-",
    b"--",
    b"---",
    b"=",
    b"-=",
    b"--=",
    b"--=x",
    b"a=b=c",
    b"@more.xml",
    b".",
    b"./",
    b"..",
    b"../..",
    b"policy",
    b"staging.bundle",
    b"key",
    b"key.pub",
    b"access.log",
    b"/proc/self/fd/0",
    b"/proc/self/mem",
    b"/proc/self/environ",
    b"\xff\xfe",
    b"a\xffb",
    // A surrogate, and a character that is cut off.
    b"\xed\xa0\x80",
    b"\xe2\x80",
    // What steers a terminal, turns the direction of a text, or takes no room.
    b"\x1b[2J\x1b]0;x\x07",
    b"\xc2\x9b31m",
    b"\x9b31m",
    b"\xe2\x80\xae",
    b"\xe2\x81\xa6x",
    b"\xe2\x80\x8b",
    b"\x01",
    b"\x7f",
    b"\r",
    b"two\nlines",
    b"e\xcc\x81",
    b"\xf0\x9f\x98\x80",
    b"'",
    b"\"",
    b"\\",
    b"$(id)",
    b"%s%n",
    b"{}",
    b"null",
    b"0",
    b"-0",
    b"-1",
    b"+1",
    b"1e9",
    b"0x10",
    b"255",
    b"256",
    b"65536",
    b"4294967296",
    b"9007199254740993",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"P-0",
    b"P-3",
    b"P-18446744073709551615",
    b"P-18446744073709551616",
    b"C-0",
    b"@",
    b"shop/web@",
    b"shop//web@1",
    b"0d",
    b"-5d",
    b"36501d",
    b"9999999999999999999d",
    b"1970-01-01T00:00:00Z",
    b"9999-12-31T23:59:60Z",
    b"2026-02-30",
    b"sha256:",
    b"sha256:0000000000000000000000000000000000000000000000000000000000000000",
    b"SHA256:",
    b"agent:SHA256:x",
    b"http://",
    b"http://127.0.0.1:1",
    b"http://127.0.0.1:99999",
    b"http://[::1]:1/../x",
    b"-q",
    b"-vvvv",
    b"-h",
    b"--help",
    b"--version",
    b"--yes",
];

/// What is done to a line.
#[derive(Debug, Clone, Copy)]
enum Edit {
    /// A value is another, hostile one.
    Replace,
    /// A value is changed in itself.
    Change,
    /// A value is a word of some line.
    Exchange,
    /// A hostile word is put in.
    Insert,
    /// A word of some line is put in.
    Borrow,
    /// A word is missing.
    Drop,
    /// A word stands twice.
    Double,
    /// Two words stand in each other's places.
    Swap,
    /// Two words are one, with `=` between them.
    Join,
}

/// What is done, each as often as it stands here: most lines have to get past the parser.
const EDITS: &[Edit] = &[
    Edit::Replace,
    Edit::Replace,
    Edit::Replace,
    Edit::Replace,
    Edit::Change,
    Edit::Change,
    Edit::Change,
    Edit::Exchange,
    Edit::Insert,
    Edit::Borrow,
    Edit::Drop,
    Edit::Double,
    Edit::Swap,
    Edit::Join,
];
/// How many edits a line goes through.
const STEPS: &[usize] = &[1, 1, 1, 1, 2, 3];
/// One line in so many stays as it is, so that it is noticed when it is valid no more.
const UNCHANGED: usize = 16;

/// Makes command lines.
#[derive(Debug)]
pub struct Grammar {
    mutator: Mutator,
    hostile: Vec<Vec<u8>>,
    /// The words of all lines.
    known: Vec<Vec<u8>>,
}

impl Grammar {
    /// A grammar that has to be begun.
    pub fn new() -> Self {
        let short: Vec<Vec<u8>> = HOSTILE.iter().map(|word| word.to_vec()).collect();
        let long = [b"x".repeat(255), b"x".repeat(256), b"x".repeat(WORD_BYTES), b"\xff".repeat(WORD_BYTES)];
        let known = LINES.iter().flat_map(|line| words(line)).collect();
        Self { mutator: Mutator::new(0, short.clone()), hostile: short.into_iter().chain(long).collect(), known }
    }

    /// From here on all follows from the seed and the number of the command.
    pub fn begin(&mut self, seed: u64, number: u64) {
        self.mutator.begin_anew(seed.rotate_left(32).wrapping_add(number));
    }

    /// One of some things; nothing where there is none.
    pub fn one<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.mutator.pick(from).copied()
    }

    /// Whether something happens that does so one time in so many.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Other bytes, made from these.
    pub fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.mutator.mutate(bytes, bytes)
    }

    /// A command line.
    pub fn line(&mut self) -> Trial {
        let line = self.one(LINES).unwrap_or_default();
        let (json, is_unchanged) = (self.one_in(2), self.one_in(UNCHANGED));
        let mut changed = words(line);
        let steps = if is_unchanged { 0 } else { self.one(STEPS).unwrap_or_default() };
        for _ in 0..steps {
            self.edit(&mut changed);
        }
        // Held in bounds at the very end: two harmless words can make another one.
        let held = changed.iter().map(|word| bounds::within(word));
        let words = held.filter(|word| !bounds::is_left_out(word)).collect();
        let demand = if is_unchanged { Demand::Understood } else { Demand::Ended };
        Trial { line, words, json, damage: None, demand }
    }

    fn edit(&mut self, words: &mut Vec<Vec<u8>>) {
        let edit = self.one(EDITS).unwrap_or(Edit::Insert);
        let at = match edit {
            Edit::Replace | Edit::Change | Edit::Exchange => self.value(words),
            Edit::Insert | Edit::Borrow => self.below(words.len() + 1),
            Edit::Drop | Edit::Double | Edit::Swap | Edit::Join => self.below(words.len()),
        };
        let (hostile, known, other) = (self.hostile(), self.known(), self.below(words.len()));
        match (edit, words.get(at).cloned()) {
            (Edit::Borrow, _) => words.insert(at, known),
            (Edit::Insert, _) | (_, None) => words.insert(at, hostile),
            (Edit::Replace, Some(_)) => set(words, at, hostile),
            (Edit::Exchange, Some(_)) => set(words, at, known),
            (Edit::Change, Some(word)) => {
                let changed = self.mutator.mutate(&word, &hostile);
                set(words, at, changed);
            }
            (Edit::Drop, Some(_)) => drop(words.remove(at)),
            (Edit::Double, Some(word)) => words.insert(at, word),
            (Edit::Swap, Some(_)) => words.swap(at, other),
            (Edit::Join, Some(word)) => {
                if let Some(next) = words.get(at + 1).cloned() {
                    drop(words.splice(at..=at + 1, [[word, b"=".to_vec(), next].concat()]));
                }
            }
        }
    }

    /// The place of a word that is neither the command nor an option; any place where there is no such word.
    fn value(&mut self, words: &[Vec<u8>]) -> usize {
        let is_value = |(at, word): (usize, &Vec<u8>)| (at > 0 && !word.starts_with(b"-")).then_some(at);
        let values: Vec<usize> = words.iter().enumerate().filter_map(is_value).collect();
        self.one(&values).unwrap_or_else(|| self.below(words.len()))
    }

    fn hostile(&mut self) -> Vec<u8> {
        self.mutator.pick(&self.hostile).cloned().unwrap_or_default()
    }

    fn known(&mut self) -> Vec<u8> {
        self.mutator.pick(&self.known).cloned().unwrap_or_default()
    }

    /// A number below a count; 0 where there is none.
    fn below(&mut self, count: usize) -> usize {
        let all: Vec<usize> = (0..count).collect();
        self.one(&all).unwrap_or_default()
    }
}

/// The words of a line.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn set(words: &mut [Vec<u8>], at: usize, word: Vec<u8>) {
    if let Some(place) = words.get_mut(at) {
        *place = word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(seed: u64) -> Vec<Trial> {
        let mut grammar = Grammar::new();
        let mut line = |number: u64| {
            grammar.begin(seed, number);
            grammar.line()
        };
        (0..3000).map(&mut line).collect()
    }

    #[test]
    fn a_seed_repeats_and_most_lines_are_changed() {
        let said = |seed: u64| -> Vec<String> { lines(seed).iter().map(ToString::to_string).collect() };
        assert_eq!(said(1), said(1));
        assert_ne!(said(1), said(2));
        let unchanged = lines(1).iter().filter(|trial| trial.demand == Demand::Understood).count();
        assert!((50..500).contains(&unchanged), "{unchanged}");
    }

    #[test]
    fn every_line_stays_in_bounds_and_a_valid_one_is_as_it_was() {
        for trial in lines(3) {
            for word in &trial.words {
                assert!(!bounds::is_left_out(word) && word.len() <= WORD_BYTES && !word.contains(&0), "{trial}");
                assert_eq!(bounds::within(word), *word, "{trial}");
            }
            if trial.demand == Demand::Understood {
                assert_eq!(trial.words, words(trial.line));
            }
        }
    }

    #[test]
    fn something_can_be_made_of_nothing() {
        let (mut grammar, mut line) = (Grammar::new(), Vec::new());
        for number in 0..100 {
            grammar.begin(7, number);
            grammar.edit(&mut line);
            line.truncate(2);
        }
        assert!(!line.is_empty());
    }
}
