//! Corpus: inputs that were kept because a reader's answer to them was new, and findings.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_model::Digest;

use crate::failure::{During as _, Result};
use crate::workspace;

/// Where kept inputs are, one folder a target.
const CORPUS: &str = "fuzz/corpus";
/// Where findings are; in it, one folder a target, those that were mended.
const FINDINGS: &str = "fuzz/findings";
/// How many bytes of inputs are kept for one target: all of them together stay below 5 MiB.
const TARGET_BYTES: u64 = 48 * 1024;
/// How many inputs are kept for one target.
const TARGET_INPUTS: usize = 96;
/// The longest input that is kept, in bytes.
pub const KEPT_BYTES: usize = 4 * 1024;

/// The kept inputs of one target.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    inputs: usize,
    bytes: u64,
}

impl Corpus {
    /// Reads what was kept for a target.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn load(target: &str) -> Result<(Self, Vec<Vec<u8>>)> {
        let folder = path(target);
        let inputs = inputs_of(&folder)?;
        let bytes = inputs.iter().map(|input| input.len() as u64).sum();
        Ok((Self { folder, inputs: inputs.len(), bytes }, inputs))
    }

    /// Keeps an input under its digest, where there is room for it; says whether it did.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, input: &[u8]) -> Result<bool> {
        let bytes = self.bytes + input.len() as u64;
        if input.len() > KEPT_BYTES || bytes > TARGET_BYTES || self.inputs >= TARGET_INPUTS {
            return Ok(false);
        }
        write(&self.folder.join(short(input)), input)?;
        self.inputs += 1;
        self.bytes = bytes;
        Ok(true)
    }
}

/// The findings of a target that were mended: every run reads them before anything else.
///
/// # Errors
/// When their folder is there and cannot be read.
pub fn regressions(target: &str) -> Result<Vec<Vec<u8>>> {
    inputs_of(&mended(target))
}

/// Where they are; nothing for a target that has none.
pub fn regressions_folder(target: &str) -> Option<PathBuf> {
    Some(mended(target)).filter(|folder| folder.is_dir())
}

/// The names of all folders in which something is kept for a target.
///
/// # Errors
/// When a folder cannot be read.
#[cfg(test)]
pub fn folders() -> Result<Vec<String>> {
    let mut names = Vec::new();
    let places = [CORPUS, FINDINGS].map(|place| workspace::root().join(place));
    for place in places.into_iter().filter(|place| place.is_dir()) {
        for path in entries_of(&place)?.into_iter().filter(|path| path.is_dir()) {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

/// Where the kept inputs of a target are; made when it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn folder(target: &str) -> Result<PathBuf> {
    let folder = path(target);
    fs::create_dir_all(&folder).during(format!("make `{}`", folder.display()))?;
    Ok(folder)
}

/// How the path of a target's findings begins, for whoever writes them itself; their folder is made.
///
/// # Errors
/// When it cannot be made.
pub fn finding_prefix(target: &str) -> Result<String> {
    fs::create_dir_all(workspace::root().join(FINDINGS)).during(format!("make `{FINDINGS}`"))?;
    Ok(format!("{FINDINGS}/{target}-"))
}

/// Writes a finding, and says where.
///
/// # Errors
/// When it cannot be written.
pub fn finding(target: &str, input: &[u8]) -> Result<String> {
    let path = format!("{FINDINGS}/{target}-{}", short(input));
    write(&workspace::root().join(&path), input)?;
    Ok(path)
}

/// Writes the input that is about to be read, so that it is there when the process is not any more.
///
/// # Errors
/// When it cannot be written.
pub fn trace(target: &str, input: &[u8]) -> Result<()> {
    write(&workspace::root().join(FINDINGS).join(format!("{target}-last")), input)
}

fn path(target: &str) -> PathBuf {
    workspace::root().join(CORPUS).join(target)
}

fn mended(target: &str) -> PathBuf {
    workspace::root().join(FINDINGS).join(target)
}

/// The files of a folder, in order of name; none where there is no folder.
fn inputs_of(folder: &Path) -> Result<Vec<Vec<u8>>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    entries_of(folder)?.iter().map(|path| fs::read(path).during(format!("read `{}`", path.display()))).collect()
}

/// The paths in a folder, in order of name.
fn entries_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).during(format!("read `{}`", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The name of an input's file: the beginning of its digest.
pub fn short(input: &[u8]) -> String {
    Digest::of(input).hex().chars().take(16).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).during(format!("make `{}`", parent.display()))?;
    }
    fs::write(path, bytes).during(format!("write `{}`", path.display()))
}
