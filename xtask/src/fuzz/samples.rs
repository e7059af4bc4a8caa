//! Samples: the inputs to begin with, from the repository's own test data, its attacks, and the vectors beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::failure::{During as _, Failure, Result};
use crate::mutation::INPUT_BYTES;
use crate::workspace;

/// Where attacks are, by the reader that they attack.
const ATTACKS: &str = "tests/attacks";
/// The fields of an attack that hold bytes or texts for a reader.
const FIELDS: [&str; 14] = [
    "inputs",
    "control",
    "report",
    "statement",
    "envelope",
    "text",
    "note",
    "proof",
    "old",
    "new",
    "vkey",
    "gates",
    "policy",
    "client",
];
/// How many files of one folder are used.
const FILES_MAX: usize = 60;

/// The samples that several readers share.
#[derive(Debug)]
pub struct Samples {
    attacks: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Samples {
    /// Reads every attack.
    ///
    /// # Errors
    /// When one cannot be read, or there is none.
    pub fn load() -> Result<Self> {
        let mut attacks: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (path, bytes) in files(&workspace::root().join(ATTACKS))? {
            let Ok(case) = serde_json::from_slice::<Value>(&bytes) else { continue };
            let Some(target) = case.get("target").and_then(Value::as_str) else { continue };
            let found = attacks.entry(target.to_owned()).or_default();
            for field in ["inputs", "control"] {
                collect(case.get(field).unwrap_or(&Value::Null), found).during(&path)?;
            }
        }
        match attacks.is_empty() {
            true => Err(Failure::new(format!("there is no attack in {ATTACKS}"))),
            false => Ok(Self { attacks }),
        }
    }

    /// What attacks one of these readers is made of.
    pub fn attacks(&self, readers: &[&str]) -> Vec<Vec<u8>> {
        readers.iter().filter_map(|reader| self.attacks.get(*reader)).flatten().cloned().collect()
    }
}

/// The files of a folder of the workspace, and of those in it; only such whose name ends so.
///
/// # Errors
/// When the folder cannot be read.
pub fn folder(path: &str, suffix: &str) -> Result<Vec<Vec<u8>>> {
    let all = files(&workspace::root().join(path))?;
    Ok(all.into_iter().filter(|(name, _)| name.ends_with(suffix)).map(|(_, bytes)| bytes).collect())
}

/// The files of one set of vectors; none where the vectors are not beside the checkout.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn vectors(set: &str) -> Result<Vec<Vec<u8>>> {
    match workspace::vectors().map(|root| root.join(set)).filter(|folder| folder.is_dir()) {
        Some(folder) => Ok(files(&folder)?.into_iter().map(|(_, bytes)| bytes).collect()),
        None => Ok(Vec::new()),
    }
}

/// Texts as inputs.
pub fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Every file in a folder and in those in it, by path, as long as an input may be and not too many.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).during(format!("read `{}`", folder.display()))? {
            let path = entry?.path();
            let name = path.to_string_lossy().into_owned();
            match fs::metadata(&path)? {
                about if about.is_dir() => folders.push(path),
                about if about.len() <= INPUT_BYTES as u64 => drop(found.insert(name, path)),
                _ => {}
            }
        }
    }
    let all_attacks = folder.ends_with(ATTACKS);
    let most = if all_attacks { usize::MAX } else { FILES_MAX };
    found.into_iter().take(most).map(|(name, path)| Ok((name, fs::read(path)?))).collect()
}

/// Takes inputs out of an attack: texts, bytes in base64 or in parts, and the documents in named fields.
fn collect(value: &Value, found: &mut Vec<Vec<u8>>) -> Result<()> {
    match value {
        Value::String(text) => found.push(text.as_bytes().to_vec()),
        Value::Array(items) => {
            for item in items {
                collect(item, found)?;
            }
        }
        Value::Object(fields) => {
            if let Some(text) = fields.get("base64").and_then(Value::as_str) {
                found.push(STANDARD.decode(text)?);
            } else if let Some(parts) = fields.get("parts").and_then(Value::as_array) {
                found.push(joined(parts));
            } else if let Some(files) = fields.get("files").and_then(Value::as_object) {
                files.values().try_for_each(|file| collect(file, found))?;
            } else if FIELDS.iter().any(|field| fields.contains_key(*field)) {
                for field in FIELDS {
                    collect(fields.get(field).unwrap_or(&Value::Null), found)?;
                }
            } else {
                found.push(serde_json::to_vec(value)?);
            }
        }
        _ => {}
    }
    Ok(())
}

/// A text in parts, each of them repeated; not longer than an input may be.
fn joined(parts: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
        for _ in 0..part.get("times").and_then(Value::as_u64).unwrap_or(1) {
            if text.is_empty() || bytes.len() + text.len() > INPUT_BYTES {
                break;
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inputs_are_found_in_every_form() {
        let check = |value: Value, expected: &[&str]| {
            let mut found = Vec::new();
            collect(&value, &mut found).unwrap();
            assert_eq!(found, texts(expected), "{value}");
        };
        check(json!(["a", {"base64": "Yg=="}, null]), &["a", "b"]);
        check(json!({"parts": [{"text": "[", "times": 3}, {"text": "]"}]}), &["[[[]"]);
        check(json!({"report": "r", "format": "trivy"}), &["r"]);
        check(json!({"files": {"a.toml": "x = 1", "b.toml": null}}), &["x = 1"]);
        check(json!({"note": {"base64": "Yg=="}, "vkey": "k"}), &["b", "k"]);
        check(json!({"claims": 1}), &["{\"claims\":1}"]);
    }

    #[test]
    fn every_reader_that_is_attacked_has_samples() {
        let samples = Samples::load().unwrap();
        for reader in ["report", "statement", "envelope", "checkpoint", "proof", "policy", "approval", "bundle", "name"]
        {
            assert!(!samples.attacks(&[reader]).is_empty(), "{reader}");
        }
        assert!(samples.attacks(&["nothing"]).is_empty());
        assert!(folder("crates/evidence/testdata", ".json").unwrap().len() > 10);
    }
}
