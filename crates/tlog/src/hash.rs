//! Hashes of the tree (RFC 6962, section 2.1): leaves, nodes and the empty tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::{Digest, Hasher};

/// The length of one hash in bytes.
pub const HASH_BYTES: usize = 32;

/// Hashes one entry to its leaf: `SHA-256(0x00 || entry)` (RFC 6962, section 2.1).
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0x00]);
    hasher.update(entry);
    hasher.finish()
}

/// Hashes two subtrees to their parent: `SHA-256(0x01 || left || right)` (RFC 6962, section 2.1).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0x01]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// The root of the tree without entries: `SHA-256("")` (RFC 6962, section 2.1).
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// Splits joined 32-byte hashes, as tiles carry them; a rest of fewer than 32 bytes is left out.
pub(crate) fn hash_list(bytes: &[u8]) -> Vec<Digest> {
    bytes
        .chunks_exact(HASH_BYTES)
        .filter_map(|chunk| <[u8; HASH_BYTES]>::try_from(chunk).ok())
        .map(Digest::from_bytes)
        .collect()
}

/// The root of a perfect subtree with these hashes at its foot; `None` unless their count is a power of two.
pub(crate) fn perfect_root(mut hashes: Vec<Digest>) -> Option<Digest> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    while hashes.len() > 1 {
        hashes = hashes
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(left, right)),
                _ => None,
            })
            .collect();
    }
    hashes.pop()
}

/// Joins the roots of adjacent perfect subtrees, strictly falling in size from left to right, into one root.
pub(crate) fn join_roots(roots: &[Digest]) -> Digest {
    match roots.split_last() {
        None => empty_root(),
        Some((smallest, larger)) => larger.iter().rev().fold(*smallest, |right, left| node_hash(left, &right)),
    }
}

/// Writes a hash as the C2SP text formats do: standard base64 with padding.
pub(crate) fn to_base64(hash: &Digest) -> String {
    STANDARD.encode(hash.as_bytes())
}

/// Reads exactly one hash in standard base64; `None` for another length or spelling.
pub(crate) fn from_base64(text: &str) -> Option<Digest> {
    let bytes = STANDARD.decode(text).ok()?;
    <[u8; HASH_BYTES]>::try_from(bytes.as_slice()).ok().map(Digest::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_spelling() {
        let text = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";
        assert_eq!(to_base64(&from_base64(text).unwrap()), text);
        // No padding, the other alphabet, set trailing bits, one byte short, white space.
        for bad in [
            "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg",
            "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz-Nw7_RgQyg=",
            "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyh=",
            "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQw==",
            "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg= ",
            "",
        ] {
            assert_eq!(from_base64(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn perfect_roots_need_a_power_of_two() {
        let leaf = leaf_hash(b"a");
        assert_eq!(perfect_root(vec![leaf]), Some(leaf));
        assert_eq!(perfect_root(vec![leaf, leaf]), Some(node_hash(&leaf, &leaf)));
        assert_eq!(perfect_root(vec![leaf; 3]), None);
        assert_eq!(perfect_root(Vec::new()), None);
    }
}
