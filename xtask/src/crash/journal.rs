//! Journals: what the server has acknowledged, written down durably by whoever it was told to.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use lockgate_model::{Digest, PromotionId, ReleaseName};
use serde::{Deserialize, Serialize};

use crate::failure::{During as _, Result};
use crate::receipt::Proven;

/// One acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The request's idempotency key; for bytes, which have none, a name for the upload.
    pub key: String,
    /// What was acknowledged.
    pub what: What,
    /// Where the request's entries stand, as its receipt proves; bytes have none.
    pub entry: Option<Proven>,
}

/// What was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// Bytes are stored.
    Blob(Digest),
    /// A release is published.
    Published(ReleaseName),
    /// Evidence is recorded.
    Attested(Digest),
    /// Promotions are asked for and decided, on the way up; each with its status as it was told.
    Promoted(Vec<(PromotionId, String)>),
    /// An approval of a promotion is recorded by the digest of its document, and the promotion granted.
    Approved(PromotionId, Digest),
}

/// The journal of one writer.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Starts a journal.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path, writer: u64) -> Result<Self> {
        let path = folder.join(format!("{writer}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self(file.during(format!("open the journal `{}`", path.display()))?))
    }

    /// Writes an acknowledgement down; durable when it returns.
    ///
    /// # Errors
    /// When the file cannot be written or flushed.
    pub fn append(&mut self, ack: &Ack) -> Result<()> {
        let mut line = serde_json::to_vec(ack)?;
        line.push(b'\n');
        self.0.write_all(&line).and_then(|()| self.0.sync_data()).during("write the journal")
    }
}

/// Reads all journals of a folder.
///
/// # Errors
/// When one cannot be read, or holds something else.
pub fn read_all(folder: &Path) -> Result<Vec<Ack>> {
    let mut acks = Vec::new();
    for file in fs::read_dir(folder).during("list the journals")? {
        let text = fs::read_to_string(file?.path()).during("read a journal")?;
        for line in text.lines() {
            acks.push(serde_json::from_str(line).during("read a line of a journal")?);
        }
    }
    Ok(acks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_written_down_is_read_back() {
        let scratch = Scratch::new("journal-test").unwrap();
        let entry = Some(Proven { index: 7, leaf: Digest::of(b"leaf"), size: 9, root: Digest::of(b"root") });
        let release: ReleaseName = "crash/w0@1.0.1".parse().unwrap();
        let acks = [
            Ack { key: "a".to_owned(), what: What::Blob(Digest::of(b"x")), entry: None },
            Ack { key: "b".to_owned(), what: What::Published(release), entry },
            Ack { key: "c".to_owned(), what: What::Promoted(vec![(PromotionId(3), "granted".to_owned())]), entry },
            Ack { key: "d".to_owned(), what: What::Approved(PromotionId(3), Digest::of(b"d")), entry },
        ];
        let mut journal = Journal::create(scratch.path(), 0).unwrap();
        for ack in &acks {
            journal.append(ack).unwrap();
        }
        assert_eq!(read_all(scratch.path()).unwrap(), acks);
    }
}
