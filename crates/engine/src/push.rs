//! Push: publish a release with its evidence, all in one batch.

use lockgate_ledger::entry::ReleasePublished;
use lockgate_ledger::{Actor, Event, Manifest};
use lockgate_model::facts::{Artifact, Source};
use lockgate_model::{Digest, Limits, PersonId, ReleaseName, StreamName};
use lockgate_policy::{Object, Permission};
use serde_json::json;

use crate::attest::{self, Checked};
use crate::authorise::{belongs, permit};
use crate::bodies::Upload;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::sequencer::Submission;
use crate::where_index;

/// A release to be published.
#[derive(Debug, Clone)]
pub struct Publish {
    /// `service@version`.
    pub release: ReleaseName,
    /// Its artifacts, sent before as blobs.
    pub artifacts: Vec<Artifact>,
    /// Where it was built from, as the publisher says.
    pub source: Option<Source>,
    /// The release notes.
    pub notes: Option<Upload>,
    /// Evidence that was read and found acceptable.
    pub evidence: Vec<Checked>,
}

/// Publishes a release. The same release again is no error; the same name for other bytes is.
///
/// The value is `{"release", "manifest", "repeated", "evidence": [...]}`.
///
/// # Errors
/// `MANIFEST_INVALID`, `BLOB_UNKNOWN` or `SIZE_MISMATCH`; the rest comes with the receipt.
pub fn publish(engine: &Engine, by: PersonId, request: Publish) -> Result<Submission, Fault> {
    for artifact in &request.artifacts {
        check_artifact(engine, artifact)?;
    }
    let manifest = Manifest {
        schema: Manifest::SCHEMA.to_owned(),
        release: request.release.clone(),
        artifacts: request.artifacts,
        source: request.source,
        notes: request.notes.as_ref().map(Upload::digest),
    };
    let bytes =
        manifest.to_bytes(&Limits::DEFAULT).map_err(|error| Fault::invalid("MANIFEST_INVALID", error.to_string()))?;
    let digest = Digest::of(&bytes);
    let Publish { release, notes, evidence, .. } = request;
    Ok(Submission::new(move |staging, inner| {
        permit(staging, &by, Permission::Push, Object::Service(&release.service), None)?;
        let known = staging.release_if_any(&release)?;
        if known.as_ref().is_some_and(|known| known.manifest_digest != digest) {
            return Err(Fault::new(
                Kind::Conflict,
                "RELEASE_EXISTS",
                format!("{release} is published already with other content"),
            )
            .hint("the same version never names other bytes; publish a new version"));
        }
        // What is handed in about a release that is there already takes the same right as by itself.
        if known.as_ref().is_some_and(|known| evidence.iter().any(|checked| checked.is_new_to(known))) {
            permit(staging, &by, Permission::Attest, Object::Service(&release.service), None)?;
        }
        if known.is_none() {
            let manifest_bytes = staging.document(bytes);
            belongs(staging, &manifest_bytes, &release.service);
            where_index::remember_release(staging, &manifest, &manifest_bytes);
            for artifact in manifest.artifact_digests().iter().chain(&manifest.notes) {
                belongs(staging, artifact, &release.service);
            }
            if let Some(Upload::Inline(notes)) = notes {
                staging.document(notes);
            }
            let streams: Vec<StreamName> = manifest.artifact_digests().iter().map(StreamName::artifact).collect();
            let event = ReleasePublished { release: release.clone(), manifest: digest };
            staging.append(Actor::Subject { id: by.clone() }, &streams, Event::ReleasePublished(event))?;
            lockgate_failpoint::point("push.published");
        }
        let recorded = evidence
            .into_iter()
            .map(|checked| attest::record(staging, inner, &by, &release, checked))
            .collect::<Result<Vec<_>, _>>()?;
        crate::evaluate::evaluate_open(staging, inner, &release)?;
        lockgate_failpoint::point("push.evaluated");
        Ok(json!({ "release": release, "manifest": digest, "repeated": known.is_some(), "evidence": recorded }))
    }))
}

fn check_artifact(engine: &Engine, artifact: &Artifact) -> Result<(), Fault> {
    let size = engine.store().stat(&artifact.digest)?.ok_or_else(|| {
        Fault::not_found("BLOB_UNKNOWN", format!("the artifact {} has not been uploaded", artifact.digest))
    })?;
    if artifact.name.is_empty()
        || artifact.name.len() > 256
        || artifact.name.chars().any(|c| c.is_control() || c == '/' || c == '\\')
        // Whoever puts it into a folder by its name would name the folder, or the one above.
        || matches!(artifact.name.as_str(), "." | "..")
    {
        return Err(Fault::invalid(
            "NAME_INVALID",
            "an artifact's name is 1 to 256 bytes without `/`, `\\` and control characters, and not `.` or `..`",
        ));
    }
    if size == 0 {
        return Err(Fault::invalid("ARTIFACT_EMPTY", "an artifact without content is no artifact"));
    }
    match size == artifact.size_bytes {
        true => Ok(()),
        false => Err(Fault::invalid(
            "SIZE_MISMATCH",
            format!("{} has {size} bytes, not {}", artifact.digest, artifact.size_bytes),
        )),
    }
}
