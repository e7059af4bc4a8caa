//! SLSA build provenance: how an artifact was built, and from what.
//!
//! SLSA `spec/build-provenance.md` (v1) and its section on migrating from v0.2; the older form is mapped to the newer.

use std::collections::BTreeSet;

use lockgate_model::facts::Provenance;
use serde_json::Value;

use crate::build_details;
use crate::document::{List, Object};
use crate::error::{EvidenceError, excerpt};

/// Version 1.
pub(crate) const V1: &str = "https://slsa.dev/provenance/v1";
/// Version 0.2.
pub(crate) const V02: &str = "https://slsa.dev/provenance/v0.2";

/// Where a build's source came from, as far as one part of the provenance says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Source {
    repository: Option<String>,
    reference: Option<String>,
    commit: Option<String>,
}

/// Reads a predicate of version 1.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `DUPLICATE_KEY`.
pub(crate) fn v1(predicate: &Value) -> Result<Provenance, EvidenceError> {
    let root = Object::root(predicate)?;
    let definition = root.required_object("buildDefinition")?;
    let details = root.required_object("runDetails")?;
    let builder = details.required_object("builder")?;
    let external = definition.required_object("externalParameters")?;

    let dependencies = match definition.list("resolvedDependencies")? {
        Some(list) => git_sources(&list)?,
        None => Vec::new(),
    };
    let source = agree(declared(&external)?, dependencies);
    let authors = match definition.any_object("internalParameters")? {
        Some(internal) => authors_in(&internal)?,
        None => Vec::new(),
    };
    let finished_at = match details.object("metadata")? {
        Some(metadata) => metadata.end_of("startedOn", "finishedOn")?,
        None => None,
    };
    Ok(Provenance {
        predicate_type: V1.to_owned(),
        builder_id: builder.required_text("id")?.to_owned(),
        build_type: definition.required_text("buildType")?.to_owned(),
        source_repository: source.repository,
        source_ref: source.reference,
        source_commit: source.commit,
        authors,
        finished_at,
        build: build_details::v1(&definition, &details)?,
    })
}

/// Reads a predicate of version 0.2.
///
/// # Errors
/// As [`v1`].
pub(crate) fn v02(predicate: &Value) -> Result<Provenance, EvidenceError> {
    let root = Object::root(predicate)?;
    let builder = root.required_object("builder")?;
    let materials = match root.list("materials")? {
        Some(list) => git_sources(&list)?,
        None => Vec::new(),
    };
    let (mut configured, mut authors) = (None, Vec::new());
    if let Some(invocation) = root.object("invocation")? {
        if let Some(config) = invocation.object("configSource")? {
            configured = descriptor(&config, true)?;
        }
        if let Some(environment) = invocation.any_object("environment")? {
            authors = authors_in(&environment)?;
        }
    }
    let source = agree(configured, materials);
    let finished_at = match root.object("metadata")? {
        Some(metadata) => metadata.end_of("buildStartedOn", "buildFinishedOn")?,
        None => None,
    };
    Ok(Provenance {
        predicate_type: V02.to_owned(),
        builder_id: builder.required_text("id")?.to_owned(),
        build_type: root.required_text("buildType")?.to_owned(),
        source_repository: source.repository,
        source_ref: source.reference,
        source_commit: source.commit,
        authors,
        finished_at,
        build: build_details::v02(&root)?,
    })
}

/// The source that the external parameters name. Their shape is the build type's own, so another type is no error:
/// GitHub Actions has `workflow`, Google Cloud Build `buildConfigSource`, BuildKit `configSource`, others `source`.
fn declared(external: &Object<'_>) -> Result<Option<Source>, EvidenceError> {
    for key in ["workflow", "buildConfigSource"] {
        let Some(workflow) = external.any_object(key)? else { continue };
        let Some(repository) = workflow.any_text("repository")? else { continue };
        let split = split_uri(repository);
        let reference = workflow.any_text("ref")?.map(str::to_owned).or(split.reference);
        return Ok(Some(Source { reference, ..split }));
    }
    for key in ["configSource", "source"] {
        if let Some(config) = external.any_object(key)?
            && let Some(source) = descriptor(&config, true)?
        {
            return Ok(Some(source));
        }
        if let Some(uri) = external.any_text(key)? {
            return Ok(Some(split_uri(uri)));
        }
    }
    Ok(None)
}

/// The resource descriptors of a list that are git sources.
fn git_sources(list: &List<'_>) -> Result<Vec<Source>, EvidenceError> {
    let mut sources = Vec::new();
    for item in list.objects() {
        sources.extend(descriptor(&item?, false)?);
    }
    Ok(sources)
}

/// Reads one resource descriptor; `trusted_kind` says that it is a source, whatever its URI looks like.
fn descriptor(item: &Object<'_>, trusted_kind: bool) -> Result<Option<Source>, EvidenceError> {
    let Some(uri) = item.text("uri")?.filter(|uri| !uri.is_empty()) else { return Ok(None) };
    let looks_like_git =
        uri.starts_with("git+") || uri.starts_with("git://") || uri.contains(".git#") || uri.ends_with(".git");
    let mut commit = None;
    if let Some(digests) = item.object("digest")? {
        commit = digests.text("gitCommit")?;
        if commit.is_none() && (looks_like_git || trusted_kind) {
            commit = digests.text("sha1")?;
        }
    }
    if !(looks_like_git || trusted_kind || commit.is_some()) {
        return Ok(None);
    }
    if let Some(id) = commit
        && !is_commit(id)
    {
        return Err(item.fault(&format!("has `{}` as its commit: a full lower-case commit id is needed", excerpt(id))));
    }
    let split = split_uri(uri);
    let commit = commit.map(str::to_owned).or(split.commit);
    Ok(Some(Source { commit, ..split }))
}

/// A SHA-1 or SHA-256 commit id.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Takes `git+https://host/path@ref` (SLSA, after SPDX download locations) or `https://host/path.git#ref:folder`
/// (BuildKit) apart. Only a mark after the first `/` of the path separates a ref: `git@host` is part of the address.
fn split_uri(uri: &str) -> Source {
    let plain = uri.strip_prefix("git+").unwrap_or(uri);
    let address = plain.find("://").map_or(0, |scheme| scheme + 3);
    let path = plain.get(address..).and_then(|rest| rest.find('/')).map_or(plain.len(), |slash| address + slash);
    let mark = plain.get(path..).and_then(|rest| rest.find(['@', '#'])).map(|mark| path + mark);
    let Some((repository, rest)) = mark.and_then(|mark| plain.split_at_checked(mark)) else {
        return Source { repository: Some(plain.to_owned()), ..Source::default() };
    };
    let reference = rest.get(1..).and_then(|rest| rest.split(':').next()).filter(|reference| !reference.is_empty());
    let (reference, commit) = match reference {
        Some(id) if is_commit(id) => (None, Some(id.to_owned())),
        other => (other.map(str::to_owned), None),
    };
    Source { repository: Some(repository.to_owned()), reference, commit }
}

/// Joins what was declared with what was fetched. Where sources contradict each other, nothing is said: a gate that
/// asks for a source then finds none.
fn agree(declared: Option<Source>, fetched: Vec<Source>) -> Source {
    let Some(declared) = declared else {
        let repository = common(fetched.iter().map(|source| source.repository.clone()));
        if repository.is_none() {
            return Source::default();
        }
        return Source {
            repository,
            reference: common(fetched.iter().map(|source| source.reference.clone())),
            commit: common(fetched.iter().map(|source| source.commit.clone())),
        };
    };
    let same_place = |source: &&Source| {
        same_repository(source.repository.as_deref(), declared.repository.as_deref())
            && (source.reference.is_none() || declared.reference.is_none() || source.reference == declared.reference)
    };
    let matching: Vec<&Source> = fetched.iter().filter(same_place).collect();
    let reference =
        declared.reference.clone().or_else(|| common(matching.iter().map(|source| source.reference.clone())));
    let commit = declared.commit.clone().or_else(|| common(matching.iter().map(|source| source.commit.clone())));
    Source { repository: declared.repository, reference, commit }
}

fn same_repository(a: Option<&str>, b: Option<&str>) -> bool {
    let bare = |url: &str| url.trim_end_matches('/').trim_end_matches(".git").to_owned();
    a.map(bare) == b.map(bare)
}

/// The one value that all agree on.
fn common(mut values: impl Iterator<Item = Option<String>>) -> Option<String> {
    let first = values.next()??;
    values.all(|value| value.as_deref() == Some(first.as_str())).then_some(first)
}

/// Who wrote, committed or triggered the build, as builders say it in parameters that only they can set.
///
/// GitHub's builders name `github.actor` and `github.triggering_actor` in version 1, or environment variables of the
/// same names in any spelling, with numeric ids beside them, which become `github:<id>`; some hand on the event that
/// started the run, which names pushers, committers and authors. GitLab's name `GITLAB_USER_*` and `CI_COMMIT_AUTHOR`.
fn authors_in(parameters: &Object<'_>) -> Result<Vec<String>, EvidenceError> {
    let mut authors: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |name: &str| {
        if !name.is_empty() && seen.insert(name.to_owned()) {
            authors.push(name.to_owned());
        }
    };
    if let Some(github) = parameters.any_object("github")? {
        for key in ["actor", "triggering_actor"] {
            if let Some(name) = github.any_text(key)? {
                add(name);
            }
        }
        for (key, value) in github.fields() {
            match key.as_str() {
                "actor_id" | "triggering_actor_id" => account("github", value).iter().for_each(|name| add(name)),
                "event_payload" => authors_of_event(value).iter().for_each(|name| add(name)),
                _ => {}
            }
        }
    }
    for (key, value) in parameters.fields() {
        let names_a_person =
            key.eq_ignore_ascii_case("github_actor") || key.eq_ignore_ascii_case("github_triggering_actor");
        if let (true, Some(name)) = (names_a_person, value.as_str()) {
            add(name);
        }
        match key.to_ascii_lowercase().as_str() {
            "github_actor_id" | "github_triggering_actor_id" => {
                account("github", value).iter().for_each(|name| add(name));
            }
            "gitlab_user_id" => account("gitlab", value).iter().for_each(|name| add(name)),
            "gitlab_user_login" | "gitlab_user_email" | "ci_commit_author" => {
                value.as_str().iter().for_each(|name| add(name));
            }
            "github_event_payload" => authors_of_event(value).iter().for_each(|name| add(name)),
            _ => {}
        }
    }
    Ok(authors)
}

/// A numeric account, which is never given to someone else, as `<forge>:<id>`.
fn account(forge: &str, id: &Value) -> Option<String> {
    let text = id.as_u64().map(|id| id.to_string()).or_else(|| id.as_str().map(str::to_owned))?;
    let numeric = !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    numeric.then(|| format!("{forge}:{text}"))
}

/// The people whom a GitHub event names as having made what it is about: sender, pusher, authors and committers of the
/// commits, author of the pull request. Of another shape, it names nobody.
fn authors_of_event(event: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut user = |user: Option<&Value>| {
        let Some(user) = user else { return };
        let text = |key: &str| user.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        names.extend(text("login").map(str::to_owned));
        names.extend(text("username").map(str::to_owned));
        names.extend(user.get("id").and_then(|id| account("github", id)));
        match (text("name"), text("email")) {
            (Some(name), Some(email)) => names.push(format!("{name} <{email}>")),
            (None, Some(email)) => names.push(email.to_owned()),
            (Some(name), None) => names.push(name.to_owned()),
            (None, None) => {}
        }
    };
    user(event.get("sender"));
    user(event.get("pusher"));
    user(event.get("pull_request").and_then(|request| request.get("user")));
    let commits = event.get("commits").and_then(Value::as_array).into_iter().flatten();
    for commit in event.get("head_commit").into_iter().chain(commits) {
        user(commit.get("author"));
        user(commit.get("committer"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";

    fn github() -> Value {
        json!({
            "buildDefinition": {
                "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                "externalParameters": {"workflow": {"ref": "refs/heads/main", "repository": "https://github.com/shop/web", "path": ".github/workflows/release.yml"}},
                "internalParameters": {"github": {"event_name": "push", "actor": "dana", "triggering_actor": "sam", "repository_id": "1"}},
                "resolvedDependencies": [{"uri": "git+https://github.com/shop/web@refs/heads/main", "digest": {"gitCommit": COMMIT}}],
            },
            "runDetails": {
                "builder": {"id": "https://github.com/actions/runner/github-hosted"},
                "metadata": {"startedOn": "2026-11-20T10:00:00Z", "finishedOn": "2026-11-20T10:05:00Z"},
            },
        })
    }

    #[test]
    fn reads_what_github_writes() {
        let read = v1(&github()).unwrap();
        assert_eq!(read.builder_id, "https://github.com/actions/runner/github-hosted");
        assert_eq!(read.build_type, "https://actions.github.io/buildtypes/workflow/v1");
        assert_eq!(read.source_repository.as_deref(), Some("https://github.com/shop/web"));
        assert_eq!(read.source_ref.as_deref(), Some("refs/heads/main"));
        assert_eq!(read.source_commit.as_deref(), Some(COMMIT));
        assert_eq!(read.authors, ["dana", "sam"]);
        assert_eq!(read.finished_at, Some("2026-11-20T10:05:00Z".parse().unwrap()));
    }

    #[test]
    fn maps_the_older_version() {
        let read = v02(&json!({
            "builder": {"id": "https://ci.example/builder"},
            "buildType": "https://ci.example/type",
            "invocation": {
                "configSource": {"uri": "git+https://git.example/shop/web@refs/tags/v1.4.2", "digest": {"sha1": COMMIT}, "entryPoint": "ci.yml"},
                "environment": {"github_actor": "dana", "GITHUB_TRIGGERING_ACTOR": "dana", "github_actor_id": "7"},
            },
            "metadata": {"buildStartedOn": "2026-11-20T10:00:00Z", "buildFinishedOn": "2026-11-20T10:05:00Z"},
            "materials": [{"uri": "git+https://git.example/shop/web@refs/tags/v1.4.2", "digest": {"sha1": COMMIT}}, {"uri": "pkg:docker/alpine@3", "digest": {"sha256": "00"}}],
        }))
        .unwrap();
        assert_eq!(read.predicate_type, V02);
        assert_eq!(read.source_repository.as_deref(), Some("https://git.example/shop/web"));
        assert_eq!(read.source_ref.as_deref(), Some("refs/tags/v1.4.2"));
        assert_eq!(read.source_commit.as_deref(), Some(COMMIT));
        assert_eq!(read.authors, ["dana", "github:7"]);
        assert!(read.finished_at.is_some());
    }

    #[test]
    fn finds_everyone_who_had_a_hand_in_it() {
        let mut value = github();
        value["buildDefinition"]["internalParameters"] = json!({
            "github": {
                "actor": "dana", "actor_id": "12345", "triggering_actor": "dana",
                "event_payload": {
                    "sender": {"login": "dana", "id": 12345},
                    "pusher": {"name": "pat", "email": "pat@shop.example"},
                    "pull_request": {"user": {"login": "kim", "id": 7}},
                    "head_commit": {
                        "author": {"name": "Ines Doe", "email": "ines@shop.example", "username": "ines"},
                        "committer": {"name": "web-flow", "email": "noreply@forge.example"},
                    },
                    "commits": [{"author": {"email": "tom@shop.example"}}, "nonsense"],
                },
            },
        });
        let expected = [
            "dana",
            "github:12345",
            "pat <pat@shop.example>",
            "kim",
            "github:7",
            "ines",
            "Ines Doe <ines@shop.example>",
            "web-flow <noreply@forge.example>",
            "tom@shop.example",
        ];
        assert_eq!(v1(&value).unwrap().authors, expected);
        value["buildDefinition"]["internalParameters"] = json!({
            "GITLAB_USER_LOGIN": "dana", "GITLAB_USER_ID": 42, "CI_COMMIT_AUTHOR": "Kim Doe <kim@shop.example>",
            "github": {"actor": "dana", "actor_id": "not a number", "event_payload": [1]},
        });
        let mut found = v1(&value).unwrap().authors;
        found.sort();
        assert_eq!(found, ["Kim Doe <kim@shop.example>", "dana", "gitlab:42"]);
    }

    #[test]
    fn splits_addresses() {
        let check = |uri: &str, repository: &str, reference: Option<&str>, commit: Option<&str>| {
            let found = split_uri(uri);
            let text = |part: Option<&str>| part.map(str::to_owned);
            assert_eq!(
                found,
                Source { repository: text(Some(repository)), reference: text(reference), commit: text(commit) },
                "{uri}"
            );
        };
        check("git+https://a.example/o/r@refs/heads/main", "https://a.example/o/r", Some("refs/heads/main"), None);
        check("git+https://a.example/o/r", "https://a.example/o/r", None, None);
        check("git+ssh://git@a.example/o/r@refs/heads/x", "ssh://git@a.example/o/r", Some("refs/heads/x"), None);
        check(
            "https://a.example/o/r.git#refs/heads/main:folder",
            "https://a.example/o/r.git",
            Some("refs/heads/main"),
            None,
        );
        check(&format!("git+https://a.example/o/r@{COMMIT}"), "https://a.example/o/r", None, Some(COMMIT));
        check("git+https://a.example/o/r@", "https://a.example/o/r", None, None);
        check("https://a.example", "https://a.example", None, None);
        check("", "", None, None);
        check(
            "git+https://a.example/good/repo-evil@refs/heads/main",
            "https://a.example/good/repo-evil",
            Some("refs/heads/main"),
            None,
        );
    }

    #[test]
    fn sources_that_contradict_each_other_say_nothing() {
        let mut value = github();
        value["buildDefinition"]["externalParameters"] = json!({});
        assert_eq!(v1(&value).unwrap().source_commit.as_deref(), Some(COMMIT));
        let second =
            json!({"uri": "git+https://github.com/other/repo@refs/heads/main", "digest": {"gitCommit": OTHER}});
        value["buildDefinition"]["resolvedDependencies"].as_array_mut().unwrap().push(second.clone());
        assert_eq!(v1(&value).unwrap().source_repository, None);

        let mut value = github();
        value["buildDefinition"]["resolvedDependencies"] = json!([second]);
        let read = v1(&value).unwrap();
        assert_eq!(read.source_repository.as_deref(), Some("https://github.com/shop/web"));
        assert_eq!(read.source_commit, None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused() {
        let check = |pointer: &str, replacement: Value, code: &str| {
            let mut value = github();
            *value.pointer_mut(pointer).unwrap() = replacement;
            assert_eq!(v1(&value).unwrap_err().code, code, "{pointer}");
        };
        check("/runDetails/builder", json!({}), "EVIDENCE_MALFORMED");
        check("/runDetails/builder/id", json!(""), "EVIDENCE_MALFORMED");
        check("/runDetails/builder/id", json!(null), "EVIDENCE_MALFORMED");
        check("/buildDefinition/buildType", json!(7), "EVIDENCE_MALFORMED");
        check("/buildDefinition/externalParameters", json!(null), "EVIDENCE_MALFORMED");
        check("/buildDefinition/resolvedDependencies", json!({}), "EVIDENCE_MALFORMED");
        check("/buildDefinition/resolvedDependencies/0/digest/gitCommit", json!("main"), "EVIDENCE_MALFORMED");
        check(
            "/buildDefinition/resolvedDependencies/0/digest/gitCommit",
            json!(COMMIT.to_uppercase()),
            "EVIDENCE_MALFORMED",
        );
        check("/runDetails/metadata/finishedOn", json!("2026-11-20T09:59:59Z"), "EVIDENCE_TIME");
        check("/runDetails/metadata/finishedOn", json!("2026-11-20T10:05:00"), "EVIDENCE_TIME");
        check("/runDetails/metadata/startedOn", json!("yesterday"), "EVIDENCE_TIME");
        check("/runDetails/metadata/startedOn", json!(5), "EVIDENCE_MALFORMED");
    }
}
