//! The access log: who asked for what, and what came of it; a second log of the same kind as the ledger.
//!
//! Its origin is that of the ledger with `access.` before it, and the ledger's own log key signs it under that name. An
//! entry changes nothing and no decision rests on one: it is evidence of reads and of what was refused.

use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, EntryIndex, Limits, TreeSize, UnixMillis, canonical};
use lockgate_sign::note::{Note, NoteError, NoteKeyKind, VerifierKey};
use lockgate_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tree::Tree;

use crate::audit::{Anchor, AuditSource, Problem};
use crate::state::ApplyError;

/// What stands before the ledger's origin in the access log's.
const ORIGIN_PREFIX: &str = "access.";
/// How long one text of an entry may be, in bytes.
pub const FIELD_BYTES: usize = 256;
/// How many entries are read at a time.
const PAGE: usize = 1024;
/// After how many problems the audit stops listing them.
const MAX_PROBLEMS: usize = 100;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessOutcome {
    /// It was answered.
    Allowed,
    /// It was turned down: not signed in, not permitted, or not acceptable.
    Refused,
    /// The server could not do it.
    Failed,
}

impl AccessOutcome {
    /// The outcome that an HTTP status tells.
    pub fn of_status(status: u16) -> Self {
        match status {
            0..=399 => Self::Allowed,
            400..=499 => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for AccessOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not an outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an outcome: write allowed, refused or failed")]
pub struct AccessOutcomeError(String);

impl std::str::FromStr for AccessOutcome {
    type Err = AccessOutcomeError;
    fn from_str(text: &str) -> Result<Self, AccessOutcomeError> {
        let all = [Self::Allowed, Self::Refused, Self::Failed];
        let found = all.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| AccessOutcomeError(text.chars().take(64).collect()))
    }
}

/// One request and its outcome; kept as canonical JSON. Holds no token, no body and no query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessEntry {
    /// Always [`AccessEntry::SCHEMA`].
    pub schema: String,
    /// When the answer was ready; never earlier than the entry before.
    pub time: UnixMillis,
    /// The person or machine that was signed in, or `-`.
    pub principal: String,
    /// The address of the connection's other end; what a header says about it does not count.
    pub address: String,
    /// The access event of the route, such as `promotions.approve`.
    pub action: String,
    /// What it was about: the parts of the path, or the name that a sign-in is for; empty when there is none.
    pub object: String,
    /// What came of it.
    pub outcome: AccessOutcome,
    /// The HTTP status.
    pub status: u16,
    /// The reason code, when it was not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The first eight hex digits of the session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl AccessEntry {
    /// The schema that this version of Lockgate writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/access/v1";

    /// The bytes that are hashed: canonical JSON.
    ///
    /// # Errors
    /// `ENTRY_INVALID` for a time beyond 2^53 - 1.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApplyError> {
        canonical::to_vec(self).map_err(|error| ApplyError::new("ENTRY_INVALID", error.to_string()))
    }

    /// Reads an entry back; only its canonical spelling is accepted.
    ///
    /// # Errors
    /// `ENTRY_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let invalid = |message: String| ApplyError::new("ENTRY_INVALID", format!("not an access entry: {message}"));
        let entry: Self = canonical::from_slice(bytes, &Limits::DEFAULT).map_err(|error| invalid(error.to_string()))?;
        if entry.schema != Self::SCHEMA {
            return Err(invalid(format!("the schema `{}` is not known", entry.schema)));
        }
        let texts = [&entry.principal, &entry.address, &entry.action, &entry.object];
        if texts.iter().any(|text| text.len() > FIELD_BYTES) {
            return Err(invalid(format!("a text is longer than {FIELD_BYTES} bytes")));
        }
        Ok(entry)
    }
}

/// A text from outside as an entry may carry it: control characters and direction marks escaped, at most
/// [`FIELD_BYTES`] bytes; what was cut off shows as `...`.
pub fn field(text: &str) -> String {
    // Escaping makes a text longer, never shorter: no more than this many characters can fit.
    let head: String = text.chars().take(FIELD_BYTES).collect();
    let shown = lockgate_model::text::visible(&head);
    if shown.len() <= FIELD_BYTES && head.len() == text.len() {
        return shown;
    }
    let mut cut = String::with_capacity(FIELD_BYTES);
    for character in shown.chars() {
        if cut.len() + character.len_utf8() > FIELD_BYTES - 3 {
            break;
        }
        cut.push(character);
    }
    cut + "..."
}

/// The access log's origin for a ledger's origin.
pub fn origin_of(ledger: &str) -> String {
    format!("{ORIGIN_PREFIX}{ledger}")
}

/// The key that verifies the access log's checkpoints: the ledger's log key under the access log's name.
///
/// # Errors
/// When the name cannot be a note key's.
pub fn verifier_of(log_key: &VerifierKey) -> Result<VerifierKey, NoteError> {
    VerifierKey::new(&origin_of(log_key.name()), NoteKeyKind::Ed25519, log_key.public_key())
}

/// What an audit of an access log found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AccessReport {
    /// Entries read.
    pub entries: u64,
    /// The root that they have.
    pub root: Option<Digest>,
    /// Requests that were answered.
    pub allowed: u64,
    /// Requests that were turned down.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Kept tree heads that the log grew from.
    pub anchors: u64,
    /// Whether the stored checkpoint was verified with a key.
    pub signed: bool,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

/// Reads entries one by one, oldest first: form, order of time, and the tree over them. The audit of a store and the
/// check of an export are both this.
#[derive(Debug)]
pub struct Walk {
    tree: Tree,
    time: UnixMillis,
    report: AccessReport,
}

impl Default for Walk {
    fn default() -> Self {
        Self { tree: Tree::empty(), time: UnixMillis(0), report: AccessReport::default() }
    }
}

impl Walk {
    /// Takes the next entry.
    pub fn entry(&mut self, bytes: &[u8]) {
        let index = EntryIndex(self.report.entries);
        self.tree.append(leaf_hash(bytes));
        self.report.entries += 1;
        match AccessEntry::from_bytes(bytes) {
            Ok(entry) => {
                if entry.time < self.time {
                    self.problem("TIME_BACKWARDS", Some(index), format!("entry {index} is older than the one before"));
                }
                self.time = self.time.max(entry.time);
                match entry.outcome {
                    AccessOutcome::Allowed => self.report.allowed += 1,
                    AccessOutcome::Refused => self.report.refused += 1,
                    AccessOutcome::Failed => self.report.failed += 1,
                }
            }
            Err(error) => self.problem(error.code, Some(index), error.message),
        }
    }

    /// The root of the entries so far.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Ends the walk.
    pub fn finish(mut self) -> AccessReport {
        self.report.root = Some(self.tree.root());
        self.report
    }

    fn problem(&mut self, code: &'static str, index: Option<EntryIndex>, message: String) {
        if self.report.problems.len() < MAX_PROBLEMS {
            self.report.problems.push(Problem { code, index, message });
        }
    }

    /// Compares the anchors that the walk has reached; a reached anchor is done.
    fn check_anchors(&mut self, anchors: &mut Vec<Anchor>) {
        let size = TreeSize(self.report.entries);
        if !anchors.iter().any(|anchor| anchor.size == size) {
            return;
        }
        let root = self.tree.root();
        for anchor in anchors.iter().filter(|anchor| anchor.size == size) {
            match anchor.root == root {
                true => self.report.anchors += 1,
                false => self.problem(
                    "HISTORY_CHANGED",
                    None,
                    format!("{} kept another root for the first {size} entries of the access log", anchor.source),
                ),
            }
        }
        anchors.retain(|anchor| anchor.size != size);
    }

    fn check_tiles<S: AuditSource>(&mut self, source: &S) {
        for tile in self.tree.take_tiles() {
            let (level, index) = (tile.level, tile.index);
            match source.tile(level, index) {
                Ok(Some(stored)) if stored.starts_with(&tile.hashes) => {}
                Ok(_) => self.problem(
                    "TILE_MISMATCH",
                    None,
                    format!("tile {index} of level {level} of the access log is not what the entries give"),
                ),
                Err(error) => self.problem("TILE_UNREADABLE", None, error),
            }
        }
    }

    /// The stored checkpoint: signed by the log key, and an anchor like any other.
    fn check_checkpoint(&mut self, stored: Option<&[u8]>, key: Option<&VerifierKey>) -> Option<Anchor> {
        let stored = stored?;
        let checkpoint = match key {
            Some(key) => {
                self.report.signed = true;
                SignedCheckpoint::open(stored, key, &Limits::DEFAULT)
                    .map(|signed| signed.checkpoint)
                    .map_err(|error| error.to_string())
            }
            None => Note::parse(stored, &Limits::DEFAULT)
                .map_err(|error| error.to_string())
                .and_then(|note| Checkpoint::parse_body(&note.text).map_err(|error| error.to_string())),
        };
        match checkpoint {
            Ok(checkpoint) => Some(Anchor {
                source: "the stored checkpoint".to_owned(),
                size: checkpoint.size,
                root: checkpoint.root,
            }),
            Err(error) => {
                self.report.signed = false;
                self.problem("CHECKPOINT_INVALID", None, format!("the access log's checkpoint: {error}"));
                None
            }
        }
    }
}

/// Audits a whole access log: canonical entries, times that never go back, the tree over them, its tiles, the stored
/// head, the signed checkpoint, and every older head that somebody kept.
///
/// `key` verifies its checkpoints ([`verifier_of`]); without one, they are compared but not verified.
pub fn audit<S: AuditSource>(source: &S, key: Option<&VerifierKey>, mut anchors: Vec<Anchor>) -> AccessReport {
    let mut walk = Walk::default();
    // Read before the head: the log may grow while it is audited.
    let checkpoint = source.checkpoint();
    let (size, root) = match source.size_and_root() {
        Ok(head) => head,
        Err(error) => {
            walk.problem("HEAD_UNREADABLE", None, error);
            return walk.finish();
        }
    };
    match &checkpoint {
        Ok(stored) => {
            anchors.extend(walk.check_checkpoint(stored.as_deref(), key));
            if stored.is_none() && size.0 > 0 {
                walk.problem("CHECKPOINT_MISSING", None, "the access log has no signed checkpoint".to_owned());
            }
        }
        Err(error) => walk.problem("CHECKPOINT_UNREADABLE", None, error.clone()),
    }
    walk.check_anchors(&mut anchors);
    while walk.report.entries < size.0 && walk.report.problems.len() < MAX_PROBLEMS {
        let first = EntryIndex(walk.report.entries);
        let page = match source.page(first, PAGE) {
            Ok(page) if !page.is_empty() => page,
            Ok(_) => {
                walk.problem(
                    "ENTRY_MISSING",
                    Some(first),
                    format!("entry {first} of the access log is missing, though its head counts {size}"),
                );
                break;
            }
            Err(error) => {
                walk.problem("ENTRY_UNREADABLE", Some(first), error);
                break;
            }
        };
        for bytes in page.iter().take(usize::try_from(size.0 - first.0).unwrap_or(PAGE)) {
            walk.entry(bytes);
            walk.check_anchors(&mut anchors);
        }
        walk.check_tiles(source);
    }
    if walk.report.entries == size.0 && walk.root() != root {
        walk.problem(
            "ROOT_MISMATCH",
            None,
            "the access log's entries do not have the root that its head says".to_owned(),
        );
    }
    for anchor in anchors {
        walk.problem(
            "ROLLBACK_DETECTED",
            None,
            format!("{} has seen {} entries of the access log, which has {size}", anchor.source, anchor.size),
        );
    }
    walk.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time: u64, object: &str) -> AccessEntry {
        AccessEntry {
            schema: AccessEntry::SCHEMA.to_owned(),
            time: UnixMillis(time),
            principal: "-".to_owned(),
            address: "127.0.0.1".to_owned(),
            action: "whoami".to_owned(),
            object: object.to_owned(),
            outcome: AccessOutcome::Refused,
            status: 401,
            code: Some("SIGN_IN_NEEDED".to_owned()),
            session: None,
        }
    }

    #[test]
    fn entries_have_one_spelling() {
        let bytes = sample(7, "P-3").to_bytes().unwrap();
        assert_eq!(AccessEntry::from_bytes(&bytes).unwrap(), sample(7, "P-3"));
        let text = String::from_utf8(bytes).unwrap();
        for bad in [
            text.replacen(":7", ": 7", 1),
            text.replacen("access/v1", "access/v2", 1),
            text.replacen("refused", "REFUSED", 1),
            text.replacen("\"status\"", "\"extra\":1,\"status\"", 1),
            text.replacen("P-3", &"x".repeat(FIELD_BYTES + 1), 1),
        ] {
            assert_ne!(bad, text);
            assert!(AccessEntry::from_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
        let listed = serde_json::json!([
            AccessEntry::SCHEMA,
            7,
            "-",
            "127.0.0.1",
            "whoami",
            "P-3",
            "refused",
            401,
            "SIGN_IN_NEEDED",
            null
        ]);
        let error = AccessEntry::from_bytes(&canonical::to_vec(&listed).unwrap()).unwrap_err();
        assert!(error.message.contains("sequence"), "{error}");
    }

    #[test]
    fn texts_from_outside_are_escaped_and_bounded() {
        fn check(text: &str, expected: &str) {
            assert_eq!(field(text), expected);
        }
        check("P-3", "P-3");
        check("a\nb\u{1b}[0m", "a\\u{a}b\\u{1b}[0m");
        check(&"x".repeat(256), &"x".repeat(256));
        check(&"x".repeat(257), &format!("{}...", "x".repeat(253)));
        for text in ["\n".repeat(10_000), "\u{10ffff}".repeat(300), "\u{e9}".repeat(200)] {
            assert!(field(&text).len() <= FIELD_BYTES);
            assert!(field(&text).ends_with("..."));
        }
    }

    #[test]
    fn statuses_and_words_of_outcomes() {
        for (status, outcome) in
            [(200, "allowed"), (304, "allowed"), (401, "refused"), (429, "refused"), (503, "failed")]
        {
            assert_eq!(AccessOutcome::of_status(status).as_str(), outcome, "{status}");
            assert_eq!(outcome.parse::<AccessOutcome>().unwrap(), AccessOutcome::of_status(status));
        }
        assert!("Allowed".parse::<AccessOutcome>().is_err());
    }

    #[test]
    fn a_walk_names_what_is_out_of_order() {
        let mut walk = Walk::default();
        for time in [5, 5, 4, 6] {
            walk.entry(&sample(time, "").to_bytes().unwrap());
        }
        walk.entry(b"{}");
        let report = walk.finish();
        let codes: Vec<_> = report.problems.iter().map(|problem| (problem.code, problem.index)).collect();
        assert_eq!(codes, [("TIME_BACKWARDS", Some(EntryIndex(2))), ("ENTRY_INVALID", Some(EntryIndex(4)))]);
        assert_eq!((report.entries, report.refused), (5, 4));
    }

    #[test]
    fn the_access_logs_key_is_the_log_key_under_another_name() {
        let log = lockgate_sign::note::NoteSigner::from_seed("log1.example", NoteKeyKind::Ed25519, &[3; 32]).unwrap();
        let access =
            lockgate_sign::note::NoteSigner::from_seed("access.log1.example", NoteKeyKind::Ed25519, &[3; 32]).unwrap();
        let key = verifier_of(log.vkey()).unwrap();
        assert_eq!(&key, access.vkey());
        // A head of one log is never taken for one of the other.
        let head = Checkpoint {
            origin: "log1.example".to_owned(),
            size: TreeSize(0),
            root: lockgate_tlog::hash::empty_root(),
        };
        let note = head.sign(&log).to_text();
        assert!(SignedCheckpoint::open(note.as_bytes(), log.vkey(), &Limits::DEFAULT).is_ok());
        assert!(SignedCheckpoint::open(note.as_bytes(), &key, &Limits::DEFAULT).is_err());
    }
}
