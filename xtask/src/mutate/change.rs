//! Changes: what is done to a valid thing, one bit, field or length at a time, and how all of them are gone through.

use std::collections::BTreeMap;
use std::fmt;

use super::inside;
use super::parts::{Document, Form, Part};
use crate::random::Random;

/// How often another combination is drawn when one left the bytes as they were.
const TRIES: usize = 16;

/// What is done to one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It is taken away.
    Delete,
    /// It stands there twice.
    Double,
    /// It stands there again, saying nothing the second time.
    DoubleNothing,
    /// It says nothing.
    Nothing,
    /// It is that of another valid thing.
    Other,
    /// It changes places with its neighbour.
    Next,
}

impl Edit {
    /// Every edit.
    pub const ALL: [Self; 6] =
        [Self::Delete, Self::Double, Self::DoubleNothing, Self::Nothing, Self::Other, Self::Next];

    /// Its name in a finding.
    fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Double => "double",
            Self::DoubleNothing => "double-nothing",
            Self::Nothing => "nothing",
            Self::Other => "other",
            Self::Next => "next",
        }
    }
}

/// One change of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The bit with this number is another.
    Flip(usize),
    /// Only so many bytes are left.
    Cut(usize),
    /// One part, by its place among the parts, is edited.
    Part(usize, Edit),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip(bit) => write!(f, "flip bit {bit}"),
            Self::Cut(length) => write!(f, "cut to {length} bytes"),
            Self::Part(at, edit) => write!(f, "{} part {at}", edit.name()),
        }
    }
}

/// In which way a mutant was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One bit is another.
    Bit,
    /// It ends earlier.
    Length,
    /// One part is edited.
    Edit,
    /// Two or three of these.
    Combination,
}

/// How many there are of each way that can be gone through to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bits.
    pub bits: usize,
    /// Lengths.
    pub lengths: usize,
    /// Edits that change something.
    pub edits: usize,
}

/// A changed thing.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// In which way it was made.
    pub way: Way,
    /// What was changed, in words.
    pub changes: String,
}

/// So many of a row of changes, spread over it evenly.
#[derive(Debug, Clone, Copy)]
struct Spread {
    total: usize,
    taken: usize,
    shift: usize,
}

impl Spread {
    fn new(total: usize, most: usize, seed: u64) -> Self {
        // The seed moves the places where a row that is too long is looked at.
        Self { total, taken: total.min(most), shift: (seed % (total.max(1) as u64)) as usize }
    }

    /// The place of the one with this number, if there are so many.
    fn place(self, number: usize) -> Option<usize> {
        let far = number.checked_mul(self.total)?.checked_div(self.taken)?;
        (number < self.taken).then(|| (far + self.shift) % self.total.max(1))
    }
}

/// All mutants of one valid thing: every edit of every part, every length, every bit, each or as many of them as there
/// is room for; then combinations of two and three, by a seed.
#[derive(Debug)]
pub struct Mutations {
    /// The valid thing as it is; its insides are taken out in `base`.
    original: Vec<u8>,
    base: Document,
    form: Form,
    others: Vec<BTreeMap<String, Vec<u8>>>,
    seed: u64,
    edits: Spread,
    cuts: Spread,
    flips: Spread,
    count: usize,
}

impl Mutations {
    /// The mutants of the first sample, so many of them; the other samples give what is put in place of its parts.
    pub fn new(samples: &[Vec<u8>], form: Form, most: usize, seed: u64) -> Self {
        Self::with(samples, form, most, seed, false)
    }

    /// The same with every bit, every length and every edit, however many more that makes than there is room for.
    pub fn whole(samples: &[Vec<u8>], form: Form, most: usize, seed: u64) -> Self {
        Self::with(samples, form, most, seed, true)
    }

    fn with(samples: &[Vec<u8>], form: Form, most: usize, seed: u64, whole: bool) -> Self {
        let original = samples.first().cloned().unwrap_or_default();
        let read = |sample: &[u8]| Document::read(inside::open(sample, form), form);
        let base = read(&original);
        let others = samples.iter().skip(1).map(|other| read(other).values()).collect();
        let one_at_a_time = most - most / 4;
        let within = |room: usize| if whole { usize::MAX } else { room };
        let edits = Spread::new(base.parts.len() * Edit::ALL.len(), within(one_at_a_time / 2), seed);
        let cuts = Spread::new(base.bytes.len(), within(one_at_a_time / 8), seed);
        let left = one_at_a_time.saturating_sub(edits.taken + cuts.taken);
        let flips = Spread::new(base.bytes.len() * 8, within(left), seed);
        // However many single changes there are, a quarter of the room is left to combinations.
        let count = most.max(edits.taken + cuts.taken + flips.taken + most / 4);
        Self { original, base, form, others, seed, edits, cuts, flips, count }
    }

    /// How many mutants there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many bits, lengths and edits could be tried.
    pub fn extent(&self) -> Extent {
        let changes = |place: usize| {
            let edit = Edit::ALL.get(place % Edit::ALL.len()).copied();
            let change = edit.map(|edit| Change::Part(place / Edit::ALL.len(), edit));
            change.and_then(|change| self.apply(&self.base, change)).and_then(|bytes| self.closed(bytes)).is_some()
        };
        Extent {
            bits: self.flips.total,
            lengths: self.cuts.total,
            edits: (0..self.edits.total).filter(|place| changes(*place)).count(),
        }
    }

    /// The mutant with this number; none where nothing was found that changes anything.
    pub fn mutant(&self, number: usize) -> Option<Mutant> {
        if let Some(change) = self.single(number)
            && let Some(bytes) = self.apply(&self.base, change).and_then(|bytes| self.closed(bytes))
        {
            let way = match change {
                Change::Flip(_) => Way::Bit,
                Change::Cut(_) => Way::Length,
                Change::Part(..) => Way::Edit,
            };
            return Some(Mutant { bytes, way, changes: self.describe(change) });
        }
        let mut random = Random::new(self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..TRIES).find_map(|_| self.combination(&mut random))
    }

    /// One change alone, going through all of them.
    fn single(&self, number: usize) -> Option<Change> {
        if let Some(place) = self.edits.place(number) {
            let edit = Edit::ALL.get(place % Edit::ALL.len()).copied()?;
            return Some(Change::Part(place / Edit::ALL.len(), edit));
        }
        let number = number.checked_sub(self.edits.taken)?;
        if let Some(length) = self.cuts.place(number) {
            return Some(Change::Cut(length));
        }
        let number = number.checked_sub(self.cuts.taken)?;
        self.flips.place(number).map(Change::Flip)
    }

    /// Two or three changes, one after the other.
    fn combination(&self, random: &mut Random) -> Option<Mutant> {
        let mut document = self.base.clone();
        let mut words = Vec::new();
        for step in 0..random.between(2, 3) {
            let change = draw(&document, random);
            if let Some(bytes) = self.apply(&document, change) {
                words.push(if step == 0 { self.describe(change) } else { change.to_string() });
                document = Document::read(bytes, self.form);
            }
        }
        let changes = words.join(", then ");
        Some(Mutant { bytes: self.closed(document.bytes)?, way: Way::Combination, changes })
    }

    /// A changed thing with its insides put back; none where it is the valid thing again.
    fn closed(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        Some(inside::close(bytes, self.form)).filter(|bytes| *bytes != self.original)
    }

    fn describe(&self, change: Change) -> String {
        match change {
            Change::Part(at, _) => {
                let name = self.base.parts.get(at).map(|part| part.name.as_str()).unwrap_or_default();
                format!("{change} `{name}`")
            }
            Change::Flip(_) | Change::Cut(_) => change.to_string(),
        }
    }

    /// The bytes after a change; none where it changes nothing, or there is nothing to change.
    fn apply(&self, document: &Document, change: Change) -> Option<Vec<u8>> {
        let mut bytes = document.bytes.clone();
        match change {
            Change::Flip(bit) => *bytes.get_mut(bit / 8)? ^= 1 << (bit % 8),
            Change::Cut(length) => bytes.truncate(length),
            Change::Part(at, edit) => bytes = self.edited(document, document.parts.get(at)?, edit)?,
        }
        (bytes != document.bytes).then_some(bytes)
    }

    fn edited(&self, document: &Document, part: &Part, edit: Edit) -> Option<Vec<u8>> {
        let bytes = &document.bytes;
        let text = |range: std::ops::Range<usize>| bytes.get(range);
        let put = |range: std::ops::Range<usize>, with: &[u8]| -> Option<Vec<u8>> {
            Some([bytes.get(..range.start)?, with, bytes.get(range.end..)?].concat())
        };
        let after = part.whole.end..part.whole.end;
        match edit {
            Edit::Delete => put(part.gone.clone(), b""),
            Edit::Double => put(after, &[part.separator.as_bytes(), text(part.whole.clone())?].concat()),
            Edit::DoubleNothing => {
                let key = text(part.whole.start..part.value.start)?;
                put(after, &[part.separator.as_bytes(), key, part.nothing.as_bytes()].concat())
            }
            Edit::Nothing => put(part.value.clone(), part.nothing.as_bytes()),
            Edit::Other => {
                // The root's other is the other thing itself, which is no mutant.
                let other = self.others.iter().find_map(|values| values.get(&part.name));
                put(part.value.clone(), other.filter(|_| !part.name.is_empty())?)
            }
            Edit::Next => {
                let (own, next) = (part.value.clone(), part.next.clone()?);
                let between = text(own.end..next.start)?;
                put(own.start..next.end, &[text(next.clone())?, between, text(own.clone())?].concat())
            }
        }
    }
}

/// Any change of some bytes: half of them of parts, most of the others of bits.
fn draw(document: &Document, random: &mut Random) -> Change {
    let mut below = |count: usize| random.between(0, (count as u64).saturating_sub(1)) as usize;
    match below(10) {
        0..5 if !document.parts.is_empty() => {
            let edit = Edit::ALL.get(below(Edit::ALL.len())).copied().unwrap_or(Edit::Delete);
            Change::Part(below(document.parts.len()), edit)
        }
        9 => Change::Cut(below(document.bytes.len())),
        _ => Change::Flip(below(document.bytes.len() * 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all(samples: &[&str], form: Form, most: usize) -> BTreeSet<String> {
        let samples: Vec<Vec<u8>> = samples.iter().map(|sample| sample.as_bytes().to_vec()).collect();
        let mutations = Mutations::new(&samples, form, most, 1);
        let mutants = (0..most).filter_map(|number| mutations.mutant(number));
        mutants.map(|mutant| String::from_utf8_lossy(&mutant.bytes).into_owned()).collect()
    }

    #[test]
    fn every_edit_of_every_field_is_among_the_mutants() {
        let found = all(&[r#"{"a":[1,2],"b":3}"#, r#"{"a":[7,2],"b":8}"#], Form::Json, 2000);
        for expected in [
            r#"{"b":3}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2],"b":3}"#,
            r#"{"a":[1],"b":3}"#,
            r#"{"a":[1,2],"a":[1,2],"b":3}"#,
            r#"{"a":[1,2],"a":null,"b":3}"#,
            r#"{"a":null,"b":3}"#,
            r#"{"a":[1,2],"b":8}"#,
            r#"{"a":[7,2],"b":3}"#,
            r#"{"a":[2,1],"b":3}"#,
            r#"{"a":3,"b":[1,2]}"#,
            r#"{"a":[1,2],"b""#,
            r#"{"a":[1,2],"b":2}"#,
        ] {
            assert!(found.contains(expected), "{expected}");
        }
        assert!(!found.contains(r#"{"a":[1,2],"b":3}"#), "what is not changed is no mutant");
        // More than there are single changes: 6 edits of 5 parts, 17 lengths, 136 bits.
        assert!(found.len() > 30 + 17 + 136, "no combinations: {}", found.len());
    }

    #[test]
    fn every_line_length_and_bit_is_among_the_mutants() {
        let found = all(&["ab\n\nc\nd\n", "ab\n\nx\nd\n"], Form::Lines, 800);
        for expected in
            ["ab\n\nd\nc\n", "ab\n\nx\nd\n", "ab\n\nc\nc\nd\n", "ab\n\n\nd\n", "", "ab\n\nc", "ab\n\nb\nd\n"]
        {
            assert!(found.contains(expected), "{expected:?}");
        }
    }

    #[test]
    fn a_whole_run_leaves_no_bit_and_no_length_out() {
        let sample = vec![format!("{{\"a\":\"{}\",\"b\":null}}", "x".repeat(500)).into_bytes()];
        let length = sample[0].len();
        let tried = |mutations: &Mutations| {
            let mutants: Vec<Mutant> = (0..mutations.count()).filter_map(|number| mutations.mutant(number)).collect();
            let of = |way: Way| {
                let those = mutants.iter().filter(|mutant| mutant.way == way);
                those.map(|mutant| mutant.changes.clone()).collect::<BTreeSet<String>>().len()
            };
            let combinations = mutants.iter().filter(|mutant| mutant.way == Way::Combination).count();
            (Extent { bits: of(Way::Bit), lengths: of(Way::Length), edits: of(Way::Edit) }, combinations)
        };
        let whole = Mutations::whole(&sample, Form::Json, 400, 1);
        let extent = whole.extent();
        assert_eq!((extent.bits, extent.lengths), (length * 8, length));
        let (found, combinations) = tried(&whole);
        assert_eq!(found, extent);
        assert!(combinations >= 100, "{combinations}");
        let part = Mutations::new(&sample, Form::Json, 400, 1);
        assert_eq!((part.count(), part.extent()), (400, extent));
        let (found, _) = tried(&part);
        assert!(found.bits < extent.bits && found.lengths < extent.lengths, "{found:?}");
        assert_eq!(found.edits, extent.edits);
    }

    #[test]
    fn a_seed_repeats_and_a_long_row_is_looked_at_evenly() {
        let sample = vec![format!("{{\"a\":\"{}\"}}", "x".repeat(5000)).into_bytes()];
        let mutants = |seed: u64| -> Vec<String> {
            let mutations = Mutations::new(&sample, Form::Json, 400, seed);
            (0..400).filter_map(|number| mutations.mutant(number)).map(|mutant| mutant.changes).collect()
        };
        assert_eq!(mutants(1), mutants(1));
        assert_ne!(mutants(1), mutants(2));
        assert_eq!(mutants(1).len(), 400);
        let far = mutants(1).iter().filter_map(|change| change.strip_prefix("flip bit ")?.parse::<usize>().ok()).max();
        assert!(far.unwrap() > 39_000, "{far:?}");
    }
}
