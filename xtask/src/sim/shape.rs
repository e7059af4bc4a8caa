//! Shape: a digest of a whole ledger that two runs of one seed share.
//!
//! Lockgate's own attestations are signed with ECDSA, which is not deterministic, and whatever is hashed over them
//! differs from run to run with them. So digests are numbered in the order in which they first appear, signatures are
//! left out, and all the rest is compared byte for byte: who did what, when, in which order, and what came of it.

use std::collections::BTreeMap;

use lockgate_model::{Digest, Hasher};
use serde_json::Value;

use crate::failure::Result;

/// Hashes leaves, one after the other.
#[derive(Default)]
pub struct Shape {
    hasher: Hasher,
    numbers: BTreeMap<String, usize>,
}

impl Shape {
    /// Adds the next leaf.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn add(&mut self, leaf: &[u8]) -> Result<()> {
        let mut value: Value = serde_json::from_slice(leaf)?;
        if value.get("kind").and_then(Value::as_str) == Some("hashedrekord") {
            value = Value::Null;
        }
        self.plain(&mut value);
        self.hasher.update(serde_json::to_string(&value)?.as_bytes());
        self.hasher.update(b"\n");
        Ok(())
    }

    /// The digest of all.
    pub fn finish(self) -> Digest {
        self.hasher.finish()
    }

    fn plain(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with("-----BEGIN") => text.clear(),
            Value::String(text) if text.parse::<Digest>().is_ok() => {
                let next = self.numbers.len();
                let number = *self.numbers.entry(text.clone()).or_insert(next);
                *text = format!("digest {number}");
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.plain(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.plain(field)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(leaves: &[Value]) -> Digest {
        let mut shape = Shape::default();
        for leaf in leaves {
            shape.add(leaf.to_string().as_bytes()).unwrap();
        }
        shape.finish()
    }

    fn leaf(digest: Digest, other: Digest, time: u64, signature: &str) -> Value {
        json!({ "time": time, "bodies": [digest, other], "signature": format!("-----BEGIN {signature}") })
    }

    #[test]
    fn signatures_and_digests_may_differ_and_nothing_else() {
        let [a, b] = [Digest::of(b"a"), Digest::of(b"b")];
        let one = shape(&[leaf(a, a, 1, "x")]);
        assert_eq!(one, shape(&[leaf(b, b, 1, "y")]));
        assert_ne!(one, shape(&[leaf(a, b, 1, "x")]), "which digests are the same stays");
        assert_ne!(one, shape(&[leaf(a, a, 2, "x")]));
        let rekord = |body: &str| json!({ "kind": "hashedrekord", "spec": body });
        assert_eq!(shape(&[rekord("x")]), shape(&[rekord("y")]));
    }
}
