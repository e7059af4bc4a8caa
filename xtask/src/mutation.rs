//! Mutations: other inputs made from known ones, by chance that a seed repeats.

use std::ops::Range;

use serde_json::{Map, Value, json};

use crate::random::Random;

/// The longest input in bytes.
pub const INPUT_BYTES: usize = 256 * 1024;
/// The longest block that is deleted, doubled or moved, in bytes.
const BLOCK_BYTES: usize = 256;
/// How many mutations an input goes through at most.
const STEPS: u64 = 4;
/// How often a block stands after another when it is repeated many times: deeper than every limit on nesting.
const REPEATED: u64 = 600;

/// What stands in inputs of many formats, or should not.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "\u{feff}",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    ":",
    ",",
    "\n",
    "\r\n",
    "\n\n",
    "\t",
    "\0",
    " ",
    "&amp;",
    "&a;",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<a>",
    "</a>",
    "<a/>",
    "<?xml?>",
    "sha256:",
    "-----BEGIN PUBLIC KEY-----\n",
    "\n\n\u{2014} ",
    "..",
    "/",
    "//",
    "%2f",
    "\u{7f}",
    "=",
    "==",
    "A",
    "AAAA",
    ".",
    "@",
    "+",
    "-",
    "_",
    "*",
    "?",
    "(",
    ")",
    " AND ",
    " OR ",
    " WITH ",
    "2026-02-29T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "1970-01-01T00:00:00Z",
    "P1D",
    "90d",
    "1h",
    "ssh-ed25519 ",
    "\u{e9}",
    "e\u{301}",
    "https://",
    "pkg:",
    "#",
];

/// Numbers at which readers go wrong.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "00",
    "01",
    "0.5",
    "1e3",
    "1E400",
    "-1e-400",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
];

/// Makes inputs.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// A mutator whose inputs follow from the seed, and that knows these words of a format.
    pub fn new(seed: u64, words: Vec<Vec<u8>>) -> Self {
        Self { random: Random::new(seed), words }
    }

    /// From here on inputs follow from this seed, whatever was made before.
    pub fn begin_anew(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// A number below a count; 0 where there is none.
    fn below(&mut self, count: usize) -> usize {
        self.random.between(0, (count as u64).saturating_sub(1)) as usize
    }

    /// One of some things.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len());
        from.get(at)
    }

    /// One of some inputs: of two the shorter one, mostly, which is read faster and has less in it that nobody looks at.
    pub fn pick_input<'a>(&mut self, from: &'a [Vec<u8>]) -> &'a [u8] {
        let (one, other) = (self.pick(from), self.pick(from));
        let (one, other) = (one.map(Vec::as_slice).unwrap_or_default(), other.map(Vec::as_slice).unwrap_or_default());
        match self.below(4) > 0 && other.len() < one.len() {
            true => other,
            false => one,
        }
    }

    /// Another input, made from one that is known and perhaps a second.
    pub fn mutate(&mut self, parent: &[u8], other: &[u8]) -> Vec<u8> {
        let mut input = parent.to_vec();
        for _ in 0..self.random.between(1, STEPS) {
            input = self.step(input, other);
        }
        input.truncate(INPUT_BYTES);
        input
    }

    fn step(&mut self, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
        match self.below(13) {
            0 => self.flip(&mut input),
            1 => self.overwrite(&mut input),
            2 => {
                let block = self.block(input.len());
                drop(input.drain(block));
            }
            3 => self.double(&mut input),
            4 => self.insert_token(&mut input),
            5 => self.insert_number(&mut input),
            6 => {
                let at = self.below(input.len() + 1);
                input.truncate(at);
            }
            7 => return self.splice(&input, other),
            8 => self.repeat(&mut input),
            9 => self.insert_word(&mut input),
            _ => return self.restructure(input, other),
        }
        input
    }

    /// A block within so many bytes, perhaps empty.
    fn block(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length + 1);
        let most = length.saturating_sub(start).min(BLOCK_BYTES);
        start..start + self.below(most + 1)
    }

    fn flip(&mut self, input: &mut [u8]) {
        let (at, bit) = (self.below(input.len()), self.below(8));
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn overwrite(&mut self, input: &mut [u8]) {
        let (at, value) = (self.below(input.len()), self.random.draw() as u8);
        if let Some(byte) = input.get_mut(at) {
            *byte = value;
        }
    }

    /// Puts a copy of a block somewhere else.
    fn double(&mut self, input: &mut Vec<u8>) {
        let block = self.block(input.len());
        let copy = input.get(block).unwrap_or_default().to_vec();
        self.insert(input, copy);
    }

    fn repeat(&mut self, input: &mut Vec<u8>) {
        let block = self.block(input.len());
        let most = block.end.min(block.start + 8);
        let copy = input.get(block.start..most).unwrap_or_default().to_vec();
        let times = self.random.between(2, REPEATED) as usize;
        self.insert(input, copy.repeat(times));
    }

    fn insert_token(&mut self, input: &mut Vec<u8>) {
        let token = self.pick(TOKENS).copied().unwrap_or_default();
        self.insert(input, token.as_bytes().to_vec());
    }

    fn insert_word(&mut self, input: &mut Vec<u8>) {
        let at = self.below(self.words.len());
        let word = self.words.get(at).cloned().unwrap_or_default();
        self.insert(input, word);
    }

    /// Puts bytes somewhere, or in place of as many others.
    fn insert(&mut self, input: &mut Vec<u8>, bytes: Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = match self.below(2) {
            0 => at,
            _ => (at + bytes.len()).min(input.len()),
        };
        drop(input.splice(at..end, bytes));
    }

    /// Replaces a number, or what begins like one, by one at an edge.
    fn insert_number(&mut self, input: &mut Vec<u8>) {
        let number = self.pick(NUMBERS).copied().unwrap_or_default();
        let from = self.below(input.len() + 1);
        let Some(start) = input.iter().skip(from).position(u8::is_ascii_digit).map(|at| at + from) else {
            return self.insert(input, number.as_bytes().to_vec());
        };
        let length = input.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
        drop(input.splice(start..start + length, number.bytes()));
    }

    /// The beginning of one input and the end of another.
    fn splice(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let (head, tail) = (self.below(input.len() + 1), self.below(other.len() + 1));
        [input.get(..head).unwrap_or_default(), other.get(tail..).unwrap_or_default()].concat()
    }

    /// Changes a JSON document as a document: without this, few changes get past the parser. Keys come out sorted and
    /// without spaces, so that what is canonical stays so.
    fn restructure(&mut self, input: Vec<u8>, other: &[u8]) -> Vec<u8> {
        let Ok(mut document) = serde_json::from_slice::<Value>(&input) else { return input };
        let mut at = self.below(count(&document));
        self.change(&mut document, &mut at, other);
        serde_json::to_vec(&document).unwrap_or(input)
    }

    /// A value somewhere in another document, which is read only where one is wanted.
    fn graft(&mut self, other: &[u8]) -> Value {
        let document = serde_json::from_slice::<Value>(other).unwrap_or_default();
        let mut part = &document;
        loop {
            let children: Vec<&Value> = match part {
                Value::Array(items) => items.iter().collect(),
                Value::Object(fields) => fields.values().collect(),
                _ => return part.clone(),
            };
            let at = self.below(children.len() + 1);
            match children.get(at) {
                Some(child) => part = child,
                None => return part.clone(),
            }
        }
    }

    /// Changes the value at a place, counted as by [`count`].
    fn change(&mut self, value: &mut Value, at: &mut usize, other: &[u8]) {
        if *at == 0 {
            *at = usize::MAX;
            return self.replace(value, other);
        }
        *at -= 1;
        let children: Vec<&mut Value> = match value {
            Value::Array(items) => items.iter_mut().collect(),
            Value::Object(fields) => fields.values_mut().collect(),
            _ => Vec::new(),
        };
        for child in children {
            self.change(child, at, other);
            if *at == usize::MAX {
                return;
            }
        }
    }

    fn replace(&mut self, value: &mut Value, other: &[u8]) {
        let kind = self.below(6);
        match value {
            Value::Object(fields) if kind < 2 => return self.edit_fields(fields, other),
            Value::Array(items) if kind < 2 => return self.edit_items(items, other),
            Value::String(text) if kind < 4 => {
                let changed = self.mutate_text(text);
                *text = changed;
                return;
            }
            _ => {}
        }
        *value = match kind {
            4 => self.graft(other),
            _ => self.plain_value(),
        };
    }

    /// Doubles an item, takes one away, or adds one.
    fn edit_items(&mut self, items: &mut Vec<Value>, other: &[u8]) {
        let at = self.below(items.len());
        match (self.below(3), items.get(at).cloned()) {
            (0, Some(item)) => items.insert(at, item),
            (1, Some(_)) => drop(items.remove(at)),
            _ => items.push(self.graft(other)),
        }
    }

    /// Adds a field of a name that the format knows, or takes one away.
    fn edit_fields(&mut self, fields: &mut Map<String, Value>, other: &[u8]) {
        let at = self.below(fields.len() + 1);
        let key = fields.keys().nth(at).cloned();
        match key {
            Some(key) if self.below(2) == 0 => drop(fields.remove(&key)),
            _ => {
                let word = self.below(self.words.len());
                let word = self.words.get(word).map(|word| String::from_utf8_lossy(word).into_owned());
                let value = match self.below(2) {
                    0 => self.plain_value(),
                    _ => self.graft(other),
                };
                fields.insert(word.unwrap_or_default(), value);
            }
        }
    }

    fn plain_value(&mut self) -> Value {
        match self.below(17) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(false),
            3 => json!(0),
            4 => json!(-1),
            5 => json!(9_007_199_254_740_991_u64),
            6 => json!(9_007_199_254_740_992_u64),
            7 => json!(u64::MAX),
            8 => json!(i64::MIN),
            9 => json!(0.5),
            10 => json!(1e300),
            11 => json!(""),
            12 => json!("a"),
            13 => json!("\u{202e}\u{0}"),
            14 => json!([]),
            15 => json!({}),
            _ => json!([null]),
        }
    }

    fn mutate_text(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        match self.below(4) {
            0 => self.flip(&mut bytes),
            1 => self.insert_token(&mut bytes),
            2 => self.insert_number(&mut bytes),
            _ => self.insert_word(&mut bytes),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// How many values a document holds, itself included.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// The words of some inputs, each once: what stands between characters that no name has.
pub fn words(inputs: &[Vec<u8>], most: usize) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    for word in inputs.iter().flat_map(|input| input.split(|byte| !is_part(byte))) {
        if words.len() >= most {
            break;
        }
        if (2..=48).contains(&word.len()) && !words.iter().any(|known| known == word) {
            words.push(word.to_vec());
        }
    }
    words
}

fn is_part(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-:/@+".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_sizes_hold() {
        let parent = br#"{"a":[1,2,{"b":"text"}],"c":null}"#;
        let inputs = |seed: u64| -> Vec<Vec<u8>> {
            let mut mutator = Mutator::new(seed, words(&[parent.to_vec()], 10));
            (0..2000).map(|_| mutator.mutate(parent, b"[7,8]")).collect()
        };
        let first = inputs(1);
        assert_eq!(first, inputs(1));
        assert_ne!(first, inputs(2));
        assert!(first.iter().all(|input| input.len() <= INPUT_BYTES));
        let read = first.iter().filter(|input| serde_json::from_slice::<Value>(input).is_ok()).count();
        assert!(read > 200, "{read}");
        let changed = first.iter().filter(|input| input.as_slice() != parent).count();
        assert!(changed > 1500, "{changed}");
    }

    #[test]
    fn nothing_can_be_made_of_nothing() {
        let mut mutator = Mutator::new(3, Vec::new());
        assert!((0..2000).map(|_| mutator.mutate(b"", b"")).any(|input| !input.is_empty()));
        assert_eq!(words(&[b"{\"ab\": \"c\", \"ab\": 17}".to_vec()], 9), [b"ab".to_vec(), b"17".to_vec()]);
    }
}
