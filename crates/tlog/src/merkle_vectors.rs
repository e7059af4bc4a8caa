//! Walks the public proof vectors: each file says itself whether its proof must be refused.
//!
//! Only whole-tree proofs are walked (`inclusion`, `consistency`); proofs about subtrees are not implemented.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::{EntryIndex, TreeSize};
use serde_json::Value;

use crate::proof::{ProofError, verify_consistency_bytes, verify_inclusion_bytes};

#[expect(clippy::disallowed_methods, reason = "tests are told where the vectors are through the environment")]
fn vector_folder() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var("LOCKGATE_VECTORS").map_or_else(|_| PathBuf::from(default), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "no vectors at {}: set LOCKGATE_VECTORS", folder.display());
    eprintln!("no vectors at {}: nothing was checked", folder.display());
    None
}

fn json_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().unwrap_or_else(|| panic!("`{field}` is not a number"))
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn proof(case: &Value) -> Vec<Vec<u8>> {
    match &case["proof"] {
        Value::Null => Vec::new(),
        hashes => hashes.as_array().unwrap().iter().map(bytes).collect(),
    }
}

fn inclusion(case: &Value) -> Result<(), ProofError> {
    let (index, size) = (EntryIndex(number(case, "leafIdx")), TreeSize(number(case, "treeSize")));
    verify_inclusion_bytes(index, size, &bytes(&case["leafHash"]), &proof(case), &bytes(&case["root"]))
}

fn consistency(case: &Value) -> Result<(), ProofError> {
    let (old, new) = (TreeSize(number(case, "size1")), TreeSize(number(case, "size2")));
    verify_consistency_bytes(old, new, &proof(case), &bytes(&case["root1"]), &bytes(&case["root2"]))
}

fn check(set: &str, verify: impl Fn(&Value) -> Result<(), ProofError>) {
    let Some(folder) = vector_folder() else { return };
    let mut files = Vec::new();
    json_files(&folder.join("rfc6962-merkle").join(set), &mut files);
    files.sort();
    let mut accepted = 0;
    for file in &files {
        let case: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let refuse = case["wantErr"].as_bool().unwrap();
        let outcome = verify(&case);
        assert_eq!(outcome.is_err(), refuse, "{}: {outcome:?}", file.display());
        accepted += usize::from(!refuse);
    }
    println!("vectors | rfc6962-merkle | {set} | {accepted} accepted, {} refused", files.len() - accepted);
    assert!(!files.is_empty() && accepted > 0, "the set `{set}` has cases of both kinds");
}

#[test]
fn merkle_inclusion_vectors() {
    check("inclusion", inclusion);
}

#[test]
fn merkle_consistency_vectors() {
    check("consistency", consistency);
}
