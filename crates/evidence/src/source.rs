//! Where source came from: who wrote, reviewed and merged it.
//!
//! Lockgate's own review document (`https://lockgate.dev/review/v1`), because no vetted predicate for reviews exists;
//! the draft of the SLSA source tool; gittuf's reference authorizations. The commits of the last two are their
//! subjects'.

use std::collections::BTreeMap;

use lockgate_model::Limits;
use lockgate_model::facts::SourceRecord;
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::own;
use crate::provenance::is_commit;
use crate::statement::Subject;

/// The SLSA source tool's provenance.
pub(crate) const SLSA_SOURCE: &str = "https://github.com/slsa-framework/slsa-source-poc/source-provenance/v1-draft";
/// gittuf's authorization to move a reference.
pub(crate) const GITTUF: &str = "https://gittuf.dev/reference-authorization/v0.2";

/// Reads a review document. A reviewer counts when the last of their reviews approved exactly the commit.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`.
pub(crate) fn review(value: &Value, limits: &Limits) -> Result<SourceRecord, EvidenceError> {
    let fields = ["repository", "ref", "commit", "ref_protected", "authors", "reviews", "created_at"];
    let root = own::open(value, own::REVIEW, &fields)?;
    let commit = commit_in(&root)?;
    let source_ref = root.label("ref")?;
    if source_ref.is_some_and(|name| !name.starts_with("refs/")) {
        return Err(root.fault_at("ref", "must be a full ref, such as `refs/heads/main`"));
    }
    let authors = root.labels("authors")?;
    if authors.is_empty() {
        return Err(root.fault("names no `authors`: a review says something only beside who wrote it"));
    }
    Ok(SourceRecord {
        format: "lockgate-review".to_owned(),
        repository: Some(plain(root.required_label("repository")?)),
        source_ref: source_ref.map(str::to_owned),
        reviewers: reviewers(&root, commit, limits)?,
        commits: vec![commit.to_owned()],
        authors,
        ref_protected: root.flag("ref_protected")?,
        controls: Vec::new(),
        created_at: root.moment("created_at")?,
    })
}

fn commit_in<'a>(holder: &Object<'a>) -> Result<&'a str, EvidenceError> {
    let id = holder.required_text("commit")?;
    match is_commit(id) {
        true => Ok(id),
        false => {
            Err(holder.fault_at("commit", &format!("is `{}`: a full lower-case commit id is needed", excerpt(id))))
        }
    }
}

fn reviewers(root: &Object<'_>, commit: &str, limits: &Limits) -> Result<Vec<String>, EvidenceError> {
    let reviews = root.required_list("reviews")?;
    if reviews.len() > limits.findings_per_report {
        return Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} reviews in one document", limits.findings_per_report),
        ));
    }
    let mut last: BTreeMap<String, bool> = BTreeMap::new();
    for item in reviews.objects() {
        let item = item?;
        item.only(&["reviewer", "commit", "verdict", "at"])?;
        let approved = match item.required_text("verdict")? {
            "approved" => true,
            "changes-requested" | "dismissed" => false,
            // A remark changes no verdict.
            "commented" => continue,
            other => {
                let message =
                    format!("is `{}`, not approved, changes-requested, dismissed or commented", excerpt(other));
                return Err(item.fault_at("verdict", &message));
            }
        };
        item.moment("at")?;
        last.insert(item.required_label("reviewer")?.to_owned(), approved && commit_in(&item)? == commit);
    }
    Ok(last.into_iter().filter(|(_, counts)| *counts).map(|(reviewer, _)| reviewer).collect())
}

/// Reads the SLSA source tool's provenance, whose fields are written in either of two spellings.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `DUPLICATE_KEY`.
pub(crate) fn slsa_source(predicate: &Value, subjects: &[Subject]) -> Result<SourceRecord, EvidenceError> {
    let root = Object::root(predicate)?;
    let repository = match root.label("repoUri")? {
        Some(uri) => uri,
        None => root.required_label("repo_uri")?,
    };
    let created_at = match root.moment("createdOn")? {
        Some(moment) => Some(moment),
        None => root.moment("created_on")?,
    };
    let mut controls = Vec::new();
    if let Some(list) = root.list_or_null("controls")? {
        for control in list.objects() {
            controls.push(control?.required_label("name")?.to_owned());
        }
    }
    let branch = root.text_or_empty("branch")?.filter(|name| name.starts_with("refs/"));
    Ok(SourceRecord {
        format: "slsa-source".to_owned(),
        repository: Some(plain(repository)),
        source_ref: branch.map(str::to_owned),
        commits: commits_of(subjects),
        authors: root.text_or_empty("actor")?.into_iter().map(str::to_owned).collect(),
        reviewers: Vec::new(),
        ref_protected: None,
        controls,
        created_at,
    })
}

/// Reads gittuf's authorization; whoever authorizes is the signer of the statement, and stands nowhere in it.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
pub(crate) fn gittuf(predicate: &Value, subjects: &[Subject]) -> Result<SourceRecord, EvidenceError> {
    let root = Object::root(predicate)?;
    root.required_label("fromID")?;
    root.required_label("targetID")?;
    Ok(SourceRecord {
        format: "gittuf".to_owned(),
        repository: None,
        source_ref: Some(root.required_label("targetRef")?.to_owned()),
        commits: commits_of(subjects),
        authors: Vec::new(),
        reviewers: Vec::new(),
        ref_protected: None,
        controls: Vec::new(),
        created_at: None,
    })
}

fn commits_of(subjects: &[Subject]) -> Vec<String> {
    subjects.iter().filter_map(|subject| subject.git_commit.clone()).collect()
}

fn plain(uri: &str) -> String {
    uri.strip_prefix("git+").unwrap_or(uri).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";

    fn with(reviews: Value) -> Value {
        json!({
            "repository": "git+https://git.example/shop/web", "ref": "refs/heads/main", "commit": COMMIT,
            "ref_protected": true, "authors": ["dana"], "reviews": reviews,
        })
    }

    fn check(reviews: Value, expected: &[&str]) {
        let claim = review(&with(reviews.clone()), &Limits::DEFAULT).unwrap();
        assert_eq!(claim.reviewers, expected, "{reviews}");
        assert_eq!(claim.repository.as_deref(), Some("https://git.example/shop/web"));
    }

    #[test]
    fn the_last_verdict_on_this_commit_counts() {
        let of =
            |who: &str, commit: &str, verdict: &str| json!({"reviewer": who, "commit": commit, "verdict": verdict});
        check(json!([]), &[]);
        check(json!([of("sam", COMMIT, "approved")]), &["sam"]);
        check(json!([of("sam", OTHER, "approved")]), &[]);
        check(json!([of("sam", COMMIT, "approved"), of("sam", COMMIT, "changes-requested")]), &[]);
        check(json!([of("sam", COMMIT, "changes-requested"), of("sam", COMMIT, "approved")]), &["sam"]);
        check(json!([of("sam", COMMIT, "approved"), of("sam", COMMIT, "dismissed")]), &[]);
        check(json!([of("sam", COMMIT, "approved"), of("sam", COMMIT, "commented")]), &["sam"]);
        check(json!([of("sam", COMMIT, "approved"), of("kim", COMMIT, "approved")]), &["kim", "sam"]);
    }

    #[test]
    fn refuses_half_a_review() {
        let bad = |key: &str, value: Value| {
            let mut document = with(json!([]));
            document[key] = value;
            assert_eq!(review(&document, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED", "{document}");
        };
        bad("commit", json!("main"));
        bad("commit", json!(COMMIT.to_uppercase()));
        bad("ref", json!("main"));
        bad("authors", json!([]));
        bad("authors", json!(null));
        bad("repository", json!(""));
        bad("ref_protected", json!("true"));
        bad("reviews", json!(null));
        bad("reviews", json!([{"reviewer": "sam", "commit": COMMIT, "verdict": "LGTM"}]));
        bad("reviews", json!([{"reviewer": "sam", "commit": "0123", "verdict": "approved"}]));
        bad("reviews", json!([{"commit": COMMIT, "verdict": "approved"}]));
        bad("approved", json!(true));
    }

    #[test]
    fn reads_source_provenance_in_either_spelling() {
        let subject = Subject {
            name: None,
            sha256: None,
            others: vec!["gitCommit".to_owned()],
            git_commit: Some(COMMIT.to_owned()),
            source_refs: Vec::new(),
        };
        for value in [
            json!({"repoUri": "https://git.example/a", "actor": "dana", "branch": "refs/heads/main", "createdOn": "2026-11-20T10:00:00Z", "controls": [{"name": "REVIEW_ENFORCED"}]}),
            json!({"repo_uri": "https://git.example/a", "actor": "dana", "branch": "refs/heads/main", "created_on": "2026-11-20T10:00:00Z", "controls": [{"name": "REVIEW_ENFORCED"}]}),
        ] {
            let claim = slsa_source(&value, std::slice::from_ref(&subject)).unwrap();
            assert_eq!(claim.controls, ["REVIEW_ENFORCED"]);
            assert_eq!((claim.authors, claim.commits), (vec!["dana".to_owned()], vec![COMMIT.to_owned()]));
            assert!(claim.created_at.is_some() && claim.source_ref.is_some());
        }
        for bad in [json!({}), json!(null), json!({"repoUri": 1}), json!({"repoUri": "a", "controls": ["x"]})] {
            assert_eq!(slsa_source(&bad, &[]).unwrap_err().code, "EVIDENCE_MALFORMED", "{bad}");
        }
        let claim = gittuf(&json!({"targetRef": "refs/heads/main", "fromID": OTHER, "targetID": COMMIT}), &[]).unwrap();
        assert_eq!(claim.source_ref.as_deref(), Some("refs/heads/main"));
        assert_eq!(gittuf(&json!({"targetRef": "refs/heads/main"}), &[]).unwrap_err().code, "EVIDENCE_MALFORMED");
    }
}
