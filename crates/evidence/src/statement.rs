//! In-toto statements: who is spoken about, and what kind of thing is said.
//!
//! in-toto attestation framework, `spec/v1/statement.md`, and its predecessor v0.1. The bytes are those that the
//! DSSE signature covers; they are parsed once, strictly, and never written again.

use std::collections::BTreeSet;

use lockgate_model::{Digest, Limits};
use serde_json::Value;

use crate::document::{self, Object};
use crate::error::{EvidenceError, excerpt};
use crate::provenance::is_commit;

/// The predicate type of Lockgate's own statement around a report that came without one.
pub const REPORT_PREDICATE: &str = "https://lockgate.dev/report/v1";

/// How many algorithms of digests are named in a message.
const ALGORITHMS_NAMED: usize = 5;

/// Which version of the statement format was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementVersion {
    /// `https://in-toto.io/Statement/v0.1`.
    V0_1,
    /// `https://in-toto.io/Statement/v1`.
    V1,
}

impl StatementVersion {
    /// The `_type` of the version.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1 => "https://in-toto.io/Statement/v0.1",
            Self::V1 => "https://in-toto.io/Statement/v1",
        }
    }
}

/// One thing that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What the maker calls it; never compared.
    pub name: Option<String>,
    /// What it is, when the maker used SHA-256.
    pub sha256: Option<Digest>,
    /// The algorithms of its other digests, such as `sha512`; these are never compared.
    pub others: Vec<String>,
    /// Which commit it is, when it is one: a full lower-case id.
    pub git_commit: Option<String>,
    /// The full refs that the maker names in its annotations (SLSA source track).
    pub source_refs: Vec<String>,
}

/// A statement, read but not yet understood: see [`crate::claim_of`].
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Which version of the format.
    pub version: StatementVersion,
    /// What it is about; at least one.
    pub subjects: Vec<Subject>,
    /// What kind of thing it says: an exact text, never compared loosely.
    pub predicate_type: String,
    /// What it says; null when the statement has no predicate.
    pub predicate: Value,
}

impl Statement {
    /// Reads a DSSE payload of type `application/vnd.in-toto+json`.
    ///
    /// Does not check signatures, and does not look into the predicate.
    ///
    /// # Errors
    /// `EVIDENCE_TOO_LARGE`, `DUPLICATE_KEY`, `JSON_TOO_DEEP`, `JSON_TOO_MANY`, `EVIDENCE_MALFORMED`,
    /// `STATEMENT_VERSION`, `SUBJECT_MISSING`, `SUBJECT_DIGEST` or `TOO_MANY_SUBJECTS`.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Self, EvidenceError> {
        // 1. One strict JSON document.
        let mut value = document::parse(payload, limits)?;
        let root = Object::root(&value)?;

        // 2. A version that we know.
        let version = match root.required_text("_type")? {
            "https://in-toto.io/Statement/v1" => StatementVersion::V1,
            "https://in-toto.io/Statement/v0.1" => StatementVersion::V0_1,
            other => {
                return Err(EvidenceError::new(
                    "STATEMENT_VERSION",
                    format!(
                        "`{}` is not an in-toto statement type that is read: use {}",
                        excerpt(other),
                        StatementVersion::V1.as_str()
                    ),
                ));
            }
        };

        // 3. Subjects, each with a digest.
        let subjects = subjects_of(&root, limits)?;

        // 4. A predicate type; whether it is known is the reader's question.
        let predicate_type = root.required_text("predicateType")?.to_owned();
        root.value("predicate")?;
        let predicate = value.get_mut("predicate").map(Value::take).unwrap_or(Value::Null);
        Ok(Self { version, subjects, predicate_type, predicate })
    }

    /// Which of `artifacts` the statement is about, in their order; only SHA-256 digests decide.
    pub fn about(&self, artifacts: &[Digest]) -> Vec<Digest> {
        let is_subject =
            |artifact: &Digest| self.subjects.iter().any(|subject| subject.sha256.as_ref() == Some(artifact));
        artifacts.iter().filter(|artifact| is_subject(artifact)).copied().collect()
    }

    /// Why it can be about no artifact at all, where none of its subjects has a SHA-256; npm's provenance is such a one.
    pub fn without_sha256(&self) -> Option<String> {
        if self.subjects.iter().any(|subject| subject.sha256.is_some()) {
            return None;
        }
        let others: BTreeSet<&str> =
            self.subjects.iter().flat_map(|subject| &subject.others).map(String::as_str).collect();
        let others: Vec<&str> = others.into_iter().take(ALGORITHMS_NAMED).collect();
        Some(format!("its subjects name no sha256 digest, only {}: Lockgate compares SHA-256", others.join(", ")))
    }
}

fn subjects_of(root: &Object<'_>, limits: &Limits) -> Result<Vec<Subject>, EvidenceError> {
    let missing = || {
        EvidenceError::new(
            "SUBJECT_MISSING",
            "the statement names no subject: list each artifact with its sha256 digest",
        )
    };
    let Some(list) = root.list("subject")? else { return Err(missing()) };
    if list.is_empty() {
        return Err(missing());
    }
    if list.len() > limits.statement_subjects {
        return Err(EvidenceError::new(
            "TOO_MANY_SUBJECTS",
            format!(
                "{} subjects are more than the limit of {}: split the statement",
                list.len(),
                limits.statement_subjects
            ),
        ));
    }
    list.objects().map(|subject| subject_of(&subject?)).collect()
}

/// ResourceDescriptor and DigestSet (`spec/v1/resource_descriptor.md`, `spec/v1/digest_set.md`).
fn subject_of(subject: &Object<'_>) -> Result<Subject, EvidenceError> {
    let fault = |message: &str| EvidenceError::new("SUBJECT_DIGEST", subject.fault(message).message);
    let name = subject.text("name")?.map(str::to_owned);
    let Some(digests) = subject.object("digest")? else {
        return Err(fault("has no `digest`: a name alone names nothing"));
    };
    if digests.fields().is_empty() {
        return Err(fault("has an empty `digest`: a name alone names nothing"));
    }
    for (algorithm, digest) in digests.fields() {
        if digest.as_str().is_none_or(str::is_empty) {
            return Err(fault(&format!("has no text as its `{}` digest", excerpt(algorithm))));
        }
    }
    let sha256 = match digests.text("sha256")? {
        None => None,
        Some(hex) => match Digest::from_hex(hex) {
            Ok(digest) => Some(digest),
            Err(_) => return Err(fault(&format!("has `{}` as sha256: write 64 lower-case hex digits", excerpt(hex)))),
        },
    };
    let others = digests.fields().keys().filter(|name| *name != "sha256").map(|name| excerpt(name)).collect();
    let git_commit = digests.any_text("gitCommit")?.filter(|id| is_commit(id)).map(str::to_owned);
    Ok(Subject { name, sha256, others, git_commit, source_refs: source_refs_of(subject)? })
}

/// `annotations.sourceRefs` (SLSA 1.2, source requirements); of another shape, it names none.
fn source_refs_of(subject: &Object<'_>) -> Result<Vec<String>, EvidenceError> {
    let Some(annotations) = subject.any_object("annotations")? else { return Ok(Vec::new()) };
    let refs = annotations.value("sourceRefs")?.and_then(Value::as_array).into_iter().flatten();
    Ok(refs.filter_map(Value::as_str).filter(|text| text.starts_with("refs/")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Statement, &'static str> {
        Statement::parse(text.as_bytes(), &Limits::DEFAULT).map_err(|error| error.code)
    }

    fn with(subject: Value) -> String {
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": "x", "predicate": {}})
            .to_string()
    }

    fn hex(text: &str) -> String {
        Digest::of(text.as_bytes()).hex()
    }

    #[test]
    fn reads_both_versions() {
        let text = with(json!([{"name": "a", "digest": {"sha256": hex("a"), "sha512": "00"}}]));
        let statement = parse(&text).unwrap();
        assert_eq!(statement.version, StatementVersion::V1);
        let subject = Subject {
            name: Some("a".to_owned()),
            sha256: Some(Digest::of(b"a")),
            others: vec!["sha512".to_owned()],
            git_commit: None,
            source_refs: Vec::new(),
        };
        assert_eq!(statement.subjects, [subject]);
        assert_eq!(statement.predicate, json!({}));
        let old = text.replace("Statement/v1", "Statement/v0.1");
        assert_eq!(parse(&old).unwrap().version, StatementVersion::V0_1);
        for other in ["Statement/v2", "statement/v1", "Statement/v1/", "Statement/v1.0"] {
            assert_eq!(parse(&text.replace("Statement/v1", other)), Err("STATEMENT_VERSION"), "{other}");
        }
    }

    #[test]
    fn names_never_match_only_digests() {
        let text = with(json!([
            {"name": "ours", "digest": {"sha256": hex("theirs")}},
            {"name": "other", "digest": {"sha512": "00"}},
            {"name": "third", "digest": {"sha256": hex("b")}},
        ]));
        let statement = parse(&text).unwrap();
        let ours = Digest::of(b"ours");
        assert!(statement.about(&[ours]).is_empty());
        assert_eq!(
            statement.about(&[ours, Digest::of(b"b"), Digest::of(b"theirs")]),
            [Digest::of(b"b"), Digest::of(b"theirs")]
        );
    }

    #[test]
    fn subjects_without_sha256_are_told() {
        let two = json!([{"digest": {"sha512": "00"}}, {"digest": {"gitCommit": "00", "sha512": "01"}}]);
        for (subjects, others) in [
            (json!([{"digest": {"sha512": "00"}}]), Some("sha512")),
            (two, Some("gitCommit, sha512")),
            (json!([{"digest": {"sha512": "00", "sha256": hex("a")}}]), None),
            (json!([{"digest": {"sha512": "00"}}, {"digest": {"sha256": hex("a")}}]), None),
        ] {
            let told = parse(&with(subjects.clone())).unwrap().without_sha256();
            let text = |others| format!("its subjects name no sha256 digest, only {others}: Lockgate compares SHA-256");
            assert_eq!(told, others.map(text), "{subjects}");
        }
    }

    #[test]
    fn a_subject_without_a_digest_is_refused() {
        let good = hex("a");
        for (subject, code) in [
            (json!([]), "SUBJECT_MISSING"),
            (json!([{"name": "a"}]), "SUBJECT_DIGEST"),
            (json!([{"name": "a", "digest": {}}]), "SUBJECT_DIGEST"),
            (json!([{"digest": {"sha256": good}}, {"name": "a"}]), "SUBJECT_DIGEST"),
            (json!([{"digest": {"sha256": good.to_uppercase()}}]), "SUBJECT_DIGEST"),
            (json!([{"digest": {"sha256": format!("sha256:{good}")}}]), "SUBJECT_DIGEST"),
            (json!([{"digest": {"sha256": 1}}]), "SUBJECT_DIGEST"),
            (json!([{"digest": {"sha256": null}}]), "SUBJECT_DIGEST"),
            (json!([{"digest": {"SHA256": good}}]), "DUPLICATE_KEY"),
            (json!([{"digest": "a"}]), "EVIDENCE_MALFORMED"),
            (json!(["a"]), "EVIDENCE_MALFORMED"),
            (json!({}), "EVIDENCE_MALFORMED"),
            (json!(null), "EVIDENCE_MALFORMED"),
        ] {
            assert_eq!(parse(&with(subject.clone())), Err(code), "{subject}");
        }
        assert_eq!(parse(r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}"#), Err("SUBJECT_MISSING"));
        let many = Limits { statement_subjects: 1, ..Limits::DEFAULT };
        let two = with(json!([{"digest": {"sha256": good}}, {"digest": {"sha256": good}}]));
        assert_eq!(Statement::parse(two.as_bytes(), &many).unwrap_err().code, "TOO_MANY_SUBJECTS");
    }

    #[test]
    fn two_readers_never_see_two_statements() {
        let text = with(json!([{"digest": {"sha256": hex("a")}}]));
        let twice = |key: &str| text.replacen('{', &format!("{{\"{key}\":[],"), 1);
        for key in ["subject", "\\u0073ubject", "Subject", "predicateType", "PredicateType", "predicate", "Predicate"] {
            assert_eq!(parse(&twice(key)), Err("DUPLICATE_KEY"), "{key}");
        }
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(parse(&text.replace("{}", &deep)), Err("JSON_TOO_DEEP"));
        for end in 0..text.len() {
            assert!(Statement::parse(&text.as_bytes()[..end], &Limits::DEFAULT).is_err(), "{end}");
        }
    }

    #[test]
    fn a_predicate_type_is_needed_and_a_predicate_is_not() {
        let text = with(json!([{"digest": {"sha256": hex("a")}}]));
        assert_eq!(parse(&text.replace("\"x\"", "\"\"")), Err("EVIDENCE_MALFORMED"));
        assert_eq!(parse(&text.replace("\"x\"", "null")), Err("EVIDENCE_MALFORMED"));
        let bare = json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": hex("a")}}], "predicateType": "x"});
        assert_eq!(parse(&bare.to_string()).unwrap().predicate, Value::Null);
    }
}
