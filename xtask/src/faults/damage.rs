//! Damage: whether a change of a stopped instance's database or blobs is noticed, or makes no difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::answers::{alarm, ledger_part};
use super::database::Content;
use super::ground::{Ground, reason_in};
use super::outcome::Case;
use crate::failure::{During as _, Failure, Result};

/// The databases of a home: the ledger's, and the access log's.
pub const DATABASES: [&str; 2] = ["data/ledger.db", "data/access/ledger.db"];

/// The code under which a server tells that it took damaged rows out.
const MENDED: &str = "STORE_MENDED";

/// A stopped instance that nothing has happened to.
#[derive(Debug)]
pub struct Untouched {
    /// Its home.
    pub home: PathBuf,
    contents: BTreeMap<&'static str, Content>,
    audit: String,
}

impl Untouched {
    /// Reads a stopped instance.
    ///
    /// # Errors
    /// When it is not sound, or was not stopped.
    pub fn read(ground: &Ground, home: PathBuf) -> Result<Self> {
        let mut contents = BTreeMap::new();
        for database in DATABASES {
            let log = fs::metadata(home.join(format!("{database}-wal"))).map_or(0, |file| file.len());
            if log > 0 {
                return Err(Failure::new(format!(
                    "`{database}` was not stopped: its write-ahead log holds {log} bytes"
                )));
            }
            contents.insert(database, Content::read(&home.join(database))?);
        }
        let audit = ground.must(&home, None, &["audit"], 0)?;
        Ok(Self { audit: audit.stdout, home, contents })
    }

    /// Judges a copy in which one file was changed; `file` is relative to the home.
    ///
    /// # Errors
    /// When a command could not be run.
    pub fn judge(&self, ground: &Ground, copy: &Path, file: &str) -> Result<Case> {
        // Read before anything starts there, which may write.
        let now = Content::read(&copy.join(file)).ok();
        let audit = ground.audit(copy)?;
        if let Some(case) = alarm(&audit) {
            return Ok(case);
        }
        let differences = match (self.contents.get(file), now) {
            (Some(before), Some(now)) => before.differences(&now),
            (Some(_), None) => vec!["what SQLite cannot read".to_owned()],
            (None, _) => vec!["the file's bytes".to_owned()],
        };
        if differences.is_empty() {
            return Ok(match ledger_part(&audit.stdout) == ledger_part(&self.audit) {
                true => Case::Harmless,
                false => Case::Found("the audit gives another answer about the same content".to_owned()),
            });
        }
        match ground.serve(copy) {
            Err(failure) => Ok(match reason_in(&failure.to_string()) {
                Some(reason) => Case::Detected(reason),
                None => Case::Found(format!("the start ends without a reason: {failure}")),
            }),
            Ok(server) => {
                if let Some(defect) = server.end()?.defect() {
                    return Ok(Case::Found(defect));
                }
                // A damaged session or projection ends no start: it is taken out, and the server says so.
                if fs::read_to_string(copy.with_extension("log")).is_ok_and(|log| log.contains(MENDED)) {
                    return Ok(Case::Detected(MENDED.to_owned()));
                }
                Ok(Case::Found(format!("audit and start notice nothing; changed: {}", differences.join(", "))))
            }
        }
    }
}

/// Writes other bytes into a file, which may be read-only: a new file takes its place.
///
/// # Errors
/// When it cannot be replaced.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let mode = fs::metadata(file).during(format!("inspect `{}`", file.display()))?.permissions();
    fs::remove_file(file).during(format!("remove `{}`", file.display()))?;
    fs::write(file, bytes).during(format!("write `{}`", file.display()))?;
    fs::set_permissions(file, mode).during(format!("seal `{}`", file.display()))
}
