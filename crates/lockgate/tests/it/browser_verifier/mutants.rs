//! Mutants: a good bundle with something changed; the same ones each time.

use lockgate_model::canonical;
use serde_json::Value;

use crate::forgery::forger::Forger;

/// Choices that look like chance, and come out the same each time.
pub struct Chance(u64);

impl Chance {
    /// Choices that follow from a number, which is not 0.
    pub fn new(state: u64) -> Self {
        Self(state)
    }

    /// A number below another; 0 where there is none.
    pub fn draw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }

    /// Bytes with one bit changed, or cut off: what was done, and what is left.
    pub fn flip(&mut self, good: &[u8]) -> (String, Vec<u8>) {
        let mut bytes = good.to_vec();
        let at = self.draw(bytes.len());
        if self.draw(20) == 0 {
            bytes.truncate(at);
            return (format!("cut at {at}"), bytes);
        }
        bytes[at] ^= 1 << self.draw(8);
        (format!("a bit of byte {at}"), bytes)
    }

    /// Changes one place of a document, however deep: says which.
    pub fn mutate(&mut self, value: &mut Value) -> String {
        let mut places = Vec::new();
        collect(value, String::new(), &mut places);
        let (one, other) = (self.draw(places.len()), self.draw(places.len()));
        let (path, from) = (places[one].clone(), places[other].clone());
        let taken = value.pointer(&from).cloned().unwrap_or_default();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let (kind, step) = (self.draw(6), self.draw(3));
        match kind {
            0 => remove(value.pointer_mut(parent).unwrap(), name),
            1 => repeat(value.pointer_mut(parent).unwrap(), name),
            2 => *value.pointer_mut(&path).unwrap() = Value::Null,
            3 => *value.pointer_mut(&path).unwrap() = taken,
            _ => change(value.pointer_mut(&path).unwrap(), step),
        }
        format!("{path} ({kind})")
    }
}

/// Makes mutants of a bundle, and of the history behind it.
pub struct Mutants<'a> {
    forger: &'a Forger,
    good: &'a [u8],
    value: Value,
    chance: Chance,
}

impl<'a> Mutants<'a> {
    /// A maker that always begins with the same ones.
    pub fn new(forger: &'a Forger, good: &'a [u8]) -> Self {
        let value = serde_json::from_slice(good).unwrap();
        Self { forger, good, value, chance: Chance::new(0x9e37_79b9_7f4a_7c15) }
    }

    /// One mutant: what was done, and its bytes, which do not say the same as before.
    pub fn make(&mut self, number: usize) -> (String, Vec<u8>) {
        loop {
            let (what, bytes) = match number % 4 {
                0 => self.chance.flip(self.good),
                1 => self.outer(),
                // The log's own key signs these: only what the entries say is wrong.
                _ => self.inner(),
            };
            // What has no `a` to write as `b`, or is put in its own place, has not changed.
            if !serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value == self.value) {
                return (format!("mutant {number}, {what}"), bytes);
            }
        }
    }

    fn outer(&mut self) -> (String, Vec<u8>) {
        let mut value = self.value.clone();
        let what = self.chance.mutate(&mut value);
        (what, serde_json::to_vec(&value).unwrap())
    }

    fn inner(&mut self) -> (String, Vec<u8>) {
        let mut history = self.forger.history();
        let at = self.chance.draw(history.leaves.len());
        let mut entry = history.entry(at);
        let what = self.chance.mutate(&mut entry);
        if let Ok(leaf) = canonical::to_vec(&entry) {
            history.leaves[at] = leaf;
        }
        // Links and heads fit again where the entry still is one.
        if self.chance.draw(4) == 0
            && entry["event"]["type"].is_string()
            && history.leaves[at].starts_with(b"{\"actor\"")
        {
            let readable = lockgate_ledger::Leaf::decode(&history.leaves[at], &lockgate_model::Limits::DEFAULT).is_ok();
            if readable {
                history.settle();
            }
        }
        (format!("entry {at}: {what}"), self.forger.bundle(&history).to_bytes().unwrap())
    }
}

fn remove(holder: &mut Value, name: &str) {
    if let Value::Array(items) = holder {
        items.remove(name.parse().unwrap());
    } else if let Value::Object(members) = holder {
        members.remove(&name.replace("~1", "/").replace("~0", "~"));
    }
}

/// A list's item once more; members of objects stay as they are.
fn repeat(holder: &mut Value, name: &str) {
    if let Value::Array(items) = holder {
        let at: usize = name.parse().unwrap();
        items.insert(at, items[at].clone());
    }
}

/// The places of a document, as JSON pointers.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    let mut below = |name: String, inner: &Value| {
        let path = format!("{at}/{name}");
        places.push(path.clone());
        collect(inner, path, places);
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(number, item)| below(number.to_string(), item)),
        Value::Object(members) => {
            members.iter().for_each(|(name, item)| below(name.replace('~', "~0").replace('/', "~1"), item));
        }
        _ => {}
    }
}

/// The same kind of value, but another one.
fn change(value: &mut Value, step: usize) {
    match value {
        Value::Number(number) => {
            let old = number.as_u64().unwrap_or_default();
            *value = Value::from(match step {
                0 => old + 1,
                1 => old.saturating_sub(1),
                _ => 0,
            });
        }
        Value::String(text) => match step {
            0 => text.push('x'),
            1 => {
                let _ = text.pop();
            }
            _ => *text = text.replacen('a', "b", 1),
        },
        Value::Bool(flag) => *flag = !*flag,
        Value::Array(items) => items.reverse(),
        _ => *value = Value::from(1),
    }
}
