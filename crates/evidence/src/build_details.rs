//! What SLSA provenance says about the build itself, beyond its source: the inputs to judging a build level.
//!
//! Taken from places that only the builder fills (`internalParameters` of version 1, `invocation.environment` of
//! version 0.2), except for the names of external parameters and the workflow's path, which are the caller's.

use lockgate_model::facts::BuildDetails;
use serde_json::Value;

use crate::document::Object;
use crate::error::EvidenceError;
use crate::test_result::shown;

/// How many names of external parameters are kept.
const PARAMETERS: usize = 64;

/// Reads version 1; none when it says nothing of it.
pub(crate) fn v1(definition: &Object<'_>, details: &Object<'_>) -> Result<Option<Box<BuildDetails>>, EvidenceError> {
    let external = definition.required_object("externalParameters")?;
    let mut build = BuildDetails { external_parameters: names_in(&external), ..BuildDetails::default() };
    if let Some(workflow) = external.any_object("workflow")? {
        build.workflow = workflow.any_text("path")?.map(shown);
    }
    if let Some(internal) = definition.any_object("internalParameters")? {
        circumstances(&internal, &mut build)?;
    }
    (build.dependencies, build.dependencies_without_digest) = dependencies(definition, "resolvedDependencies")?;
    if let Some(metadata) = details.object("metadata")? {
        build.invocation = text_of(&metadata, "invocationId");
        build.started_at = metadata.moment("startedOn")?;
    }
    Ok(kept(build))
}

/// Reads version 0.2; none when it says nothing of it.
pub(crate) fn v02(root: &Object<'_>) -> Result<Option<Box<BuildDetails>>, EvidenceError> {
    let mut build = BuildDetails::default();
    if let Some(invocation) = root.object("invocation")? {
        if let Some(parameters) = invocation.any_object("parameters")? {
            build.external_parameters = names_in(&parameters);
        }
        if let Some(config) = invocation.object("configSource")? {
            build.workflow = config.any_text("entryPoint")?.map(shown);
        }
        if let Some(environment) = invocation.any_object("environment")? {
            circumstances(&environment, &mut build)?;
        }
    }
    (build.dependencies, build.dependencies_without_digest) = dependencies(root, "materials")?;
    if let Some(metadata) = root.object("metadata")? {
        build.invocation = text_of(&metadata, "buildInvocationId");
        build.started_at = metadata.moment("buildStartedOn")?;
    }
    Ok(kept(build))
}

/// A text that is only shown, under a key that builders spell in two ways: `invocationId` and `invocationID`.
fn text_of(metadata: &Object<'_>, wanted: &str) -> Option<String> {
    let found = metadata.fields().iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
    found.and_then(|(_, value)| value.as_str()).filter(|text| !text.is_empty()).map(shown)
}

fn kept(build: BuildDetails) -> Option<Box<BuildDetails>> {
    (build != BuildDetails::default()).then(|| Box::new(build))
}

/// The names of top-level parameters, sorted.
fn names_in(parameters: &Object<'_>) -> Vec<String> {
    let mut names: Vec<String> = parameters.fields().keys().map(|name| shown(name)).collect();
    names.sort();
    names.truncate(PARAMETERS);
    names
}

/// How many dependencies there are, and how many of them have no digest.
fn dependencies(holder: &Object<'_>, key: &'static str) -> Result<(u64, u64), EvidenceError> {
    let (mut all, mut without) = (0, 0);
    if let Some(list) = holder.list(key)? {
        for item in list.objects() {
            let has_digest = item?.any_object("digest")?.is_some_and(|digest| !digest.fields().is_empty());
            all += 1;
            without += u64::from(!has_digest);
        }
    }
    Ok((all, without))
}

/// Reads GitHub's `github` object and the variables of GitHub's and GitLab's runners, in any spelling.
fn circumstances(parameters: &Object<'_>, build: &mut BuildDetails) -> Result<(), EvidenceError> {
    if let Some(github) = parameters.any_object("github")? {
        for (key, value) in github.fields() {
            circumstance(&format!("github_{key}"), value, build);
        }
    }
    for (key, value) in parameters.fields() {
        circumstance(&key.to_ascii_lowercase(), value, build);
    }
    Ok(())
}

/// The first statement of each kind is kept, except for protection, where one "no" is enough.
fn circumstance(key: &str, value: &Value, build: &mut BuildDetails) {
    let text = || value.as_str().filter(|text| !text.is_empty()).map(shown);
    let fill = |field: &mut Option<String>| {
        if field.is_none() {
            *field = text();
        }
    };
    match key {
        "github_event_name" | "ci_pipeline_source" => fill(&mut build.trigger),
        "github_triggering_actor" | "gitlab_user_login" => fill(&mut build.triggering_actor),
        "github_runner_environment" | "runner_environment" => fill(&mut build.runner),
        "github_workflow_ref" | "github_job_workflow_ref" | "ci_config_ref_uri" => fill(&mut build.workflow_ref),
        "github_ref_protected" | "ci_commit_ref_protected" => {
            if let Some(protected) = truth(value) {
                build.ref_protected = Some(protected && build.ref_protected != Some(false));
            }
        }
        "github_event_payload" => {
            for reviewer in reviewers(value) {
                if !build.reviewers.contains(&reviewer) {
                    build.reviewers.push(reviewer);
                }
            }
        }
        _ => {}
    }
}

/// A boolean, or the word for one, as environment variables have it.
fn truth(value: &Value) -> Option<bool> {
    match (value, value.as_str()) {
        (Value::Bool(truth), _) => Some(*truth),
        (_, Some("true")) => Some(true),
        (_, Some("false")) => Some(false),
        _ => None,
    }
}

/// Whoever approved the pull request in the event that started the run; people who were only asked are not named.
fn reviewers(event: &Value) -> Vec<String> {
    let review = event.get("review");
    let approved = review.and_then(|review| review.get("state")).and_then(Value::as_str) == Some("approved");
    let login = review.and_then(|review| review.get("user")).and_then(|user| user.get("login"));
    login.and_then(Value::as_str).filter(|login| approved && !login.is_empty()).map(shown).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_v1(internal: Value) -> BuildDetails {
        let value = json!({
            "buildDefinition": {
                "externalParameters": {"workflow": {"path": ".github/workflows/release.yml"}, "inputs": {}},
                "internalParameters": internal,
                "resolvedDependencies": [{"uri": "git+https://git.example/a", "digest": {"gitCommit": "0".repeat(40)}}, {"uri": "pkg:generic/tool"}],
            },
            "runDetails": {"metadata": {"invocationId": "https://ci.example/runs/7", "startedOn": "2026-11-20T10:00:00Z"}},
        });
        let root = Object::root(&value).unwrap();
        let definition = root.required_object("buildDefinition").unwrap();
        let details = root.required_object("runDetails").unwrap();
        *v1(&definition, &details).unwrap().unwrap()
    }

    #[test]
    fn reads_the_circumstances() {
        let build = read_v1(json!({"github": {
            "event_name": "push", "triggering_actor": "dana", "runner_environment": "github-hosted", "ref_protected": true,
            "event_payload": {"review": {"state": "approved", "user": {"login": "sam"}}},
        }}));
        assert_eq!(build.workflow.as_deref(), Some(".github/workflows/release.yml"));
        assert_eq!(build.external_parameters, ["inputs", "workflow"]);
        assert_eq!((build.trigger.as_deref(), build.triggering_actor.as_deref()), (Some("push"), Some("dana")));
        assert_eq!((build.runner.as_deref(), build.ref_protected), (Some("github-hosted"), Some(true)));
        assert_eq!(build.invocation.as_deref(), Some("https://ci.example/runs/7"));
        assert_eq!(build.reviewers, ["sam"]);
        assert_eq!((build.dependencies, build.dependencies_without_digest), (2, 1));
        assert!(build.started_at.is_some());
    }

    #[test]
    fn protection_and_reviews_are_never_guessed() {
        let check = |internal: Value, protected: Option<bool>, reviewers: &[&str]| {
            let build = read_v1(internal.clone());
            assert_eq!(build.ref_protected, protected, "{internal}");
            assert_eq!(build.reviewers, reviewers, "{internal}");
        };
        check(json!({}), None, &[]);
        check(json!({"GITHUB_REF_PROTECTED": "true"}), Some(true), &[]);
        check(json!({"CI_COMMIT_REF_PROTECTED": "yes"}), None, &[]);
        check(json!({"github": {"ref_protected": "false"}, "GITHUB_REF_PROTECTED": "true"}), Some(false), &[]);
        check(
            json!({"github": {"event_payload": {"review": {"state": "commented", "user": {"login": "sam"}}}}}),
            None,
            &[],
        );
        check(
            json!({"github": {"event_payload": {"pull_request": {"requested_reviewers": [{"login": "sam"}]}}}}),
            None,
            &[],
        );
    }

    #[test]
    fn reads_the_older_version() {
        let value = json!({
            "invocation": {"configSource": {"uri": "git+https://git.example/a", "entryPoint": "ci.yml"}, "parameters": {"b": 1, "a": 2}, "environment": {"github_event_name": "push"}},
            "materials": [{"uri": "git+https://git.example/a"}],
            "metadata": {"buildInvocationID": "7"},
        });
        let build = *v02(&Object::root(&value).unwrap()).unwrap().unwrap();
        assert_eq!((build.workflow.as_deref(), build.trigger.as_deref()), (Some("ci.yml"), Some("push")));
        assert_eq!(build.external_parameters, ["a", "b"]);
        assert_eq!((build.dependencies, build.dependencies_without_digest), (1, 1));
        assert_eq!(build.invocation.as_deref(), Some("7"));
        assert!(v02(&Object::root(&json!({})).unwrap()).unwrap().is_none());
    }
}
