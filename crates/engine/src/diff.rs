//! Diff: what changes between two releases of a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_evidence::report::{self, Format};
use lockgate_ledger::ReleaseState;
use lockgate_ledger::bodies::required;
use lockgate_ledger::entry::EvidenceForm;
use lockgate_model::facts::Artifact;
use lockgate_model::{Limits, ReleaseName};

use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;

/// What changes from one release to another.
#[derive(Debug, Clone)]
pub struct Diff {
    /// From.
    pub from: ReleaseName,
    /// To.
    pub to: ReleaseName,
    /// Artifacts that only `from` has, and that only `to` has.
    pub artifacts_removed: Vec<Artifact>,
    /// Artifacts that only `to` has.
    pub artifacts_added: Vec<Artifact>,
    /// Components by name with the version before and after; `None` where it is not there.
    pub components: Vec<ComponentChange>,
    /// Whether each side has an SBOM at all; without one the list says nothing.
    pub sboms: (bool, bool),
    /// Source commits, where the publisher named them.
    pub commits: (Option<String>, Option<String>),
}

/// One component that differs.
#[derive(Debug, Clone)]
pub struct ComponentChange {
    /// Its name.
    pub name: String,
    /// The versions before, joined; absent when it was not there.
    pub before: Option<String>,
    /// The versions after, joined; absent when it is gone.
    pub after: Option<String>,
}

/// Compares two releases.
///
/// # Errors
/// `RELEASE_UNKNOWN`, or what the store says.
pub fn diff(engine: &Engine, from: &ReleaseName, to: &ReleaseName) -> Result<Diff, Fault> {
    let (old, new) = (release(engine, from)?, release(engine, to)?);
    let only_in = |one: &ReleaseState, other: &ReleaseState| -> Vec<Artifact> {
        let elsewhere = other.manifest.artifact_digests();
        one.manifest.artifacts.iter().filter(|artifact| !elsewhere.contains(&artifact.digest)).cloned().collect()
    };
    let (before, after) = (components(engine, &old)?, components(engine, &new)?);
    let commit = |release: &ReleaseState| release.manifest.source.as_ref().map(|source| source.commit.clone());
    Ok(Diff {
        from: from.clone(),
        to: to.clone(),
        artifacts_removed: only_in(&old, &new),
        artifacts_added: only_in(&new, &old),
        sboms: (before.is_some(), after.is_some()),
        components: changes(before.unwrap_or_default(), after.unwrap_or_default()),
        commits: (commit(&old), commit(&new)),
    })
}

fn release(engine: &Engine, name: &ReleaseName) -> Result<Arc<ReleaseState>, Fault> {
    reader::release(engine.store(), &engine.governance()?, name)?
        .ok_or_else(|| Fault::not_found("RELEASE_UNKNOWN", format!("no release {name} is published")))
}

/// Every component of the release's SBOMs, with its versions; `None` without an SBOM.
fn components(engine: &Engine, release: &ReleaseState) -> Result<Option<BTreeMap<String, Vec<String>>>, Fault> {
    let mut found: Option<BTreeMap<String, Vec<String>>> = None;
    for record in &release.evidence {
        let EvidenceForm::Report { format, .. } = &record.event.form else { continue };
        let Some(format) =
            format.parse::<Format>().ok().filter(|format| matches!(format, Format::CycloneDx | Format::Spdx))
        else {
            continue;
        };
        let bodies = StoreBodies(engine.store());
        let bytes = required(&bodies, &record.event.evidence)?;
        let listed = report::components(format, &bytes, &Limits::DEFAULT)
            .map_err(|error| Fault::invalid(error.code, error.message))?;
        let known = found.get_or_insert_default();
        for component in listed {
            let versions = known.entry(component.name).or_default();
            let version = component.version.unwrap_or_else(|| "(no version)".to_owned());
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    Ok(found)
}

fn changes(mut before: BTreeMap<String, Vec<String>>, after: BTreeMap<String, Vec<String>>) -> Vec<ComponentChange> {
    let join = |mut versions: Vec<String>| {
        versions.sort();
        versions.join(", ")
    };
    let mut changes: Vec<ComponentChange> = after
        .into_iter()
        .filter_map(|(name, versions)| {
            let after = join(versions);
            let before = before.remove(&name).map(join);
            (before.as_ref() != Some(&after)).then_some(ComponentChange { name, before, after: Some(after) })
        })
        .collect();
    changes.extend(before.into_iter().map(|(name, versions)| ComponentChange {
        name,
        before: Some(join(versions)),
        after: None,
    }));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}
