//! Releases and evidence.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::{AttestRequest, Body, EvidenceBody, PublishRequest};
use lockgate_engine::attest::{Checked, Evidence, Form, attest as attesting, check};
use lockgate_engine::bodies::{ROW_BYTES, Upload};
use lockgate_engine::ci::Scope;
use lockgate_engine::push::{Publish, publish as publishing};
use lockgate_engine::{Engine, Fault, Kind};
use lockgate_model::facts::{Artifact, Source};
use lockgate_model::{Digest, PersonId};

use super::blobs::is_visible;
use super::{heavy, whole, write};
use crate::app::App;
use crate::call::Call;

fn upload(body: Body) -> Result<Upload, Fault> {
    match body {
        Body::Stored(digest) => Ok(Upload::Stored(digest)),
        Body::Inline(text) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| Fault::invalid("BASE64_INVALID", format!("the inline body is not base64: {error}")))?;
            match bytes.len() <= ROW_BYTES {
                true => Ok(Upload::Inline(bytes)),
                false => Err(Fault::new(
                    Kind::TooLarge,
                    "TOO_LARGE",
                    format!("an inline body has at most {ROW_BYTES} bytes"),
                )
                .hint("upload it as a blob and name its digest")),
            }
        }
    }
}

fn checked(engine: &Engine, evidence: Vec<EvidenceBody>) -> Result<Vec<Checked>, Fault> {
    let one = |body: EvidenceBody| {
        let format = body
            .format
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: lockgate_evidence::EvidenceError| Fault::invalid(error.code, error.message))?;
        let form = if body.signed { Form::Envelope } else { Form::Report(format) };
        check(engine, Evidence { upload: upload(body.body)?, form, expect: body.expect })
    };
    evidence.into_iter().map(one).collect()
}

/// Whether some evidence was sent before: then it may be large, and is read whole. What comes with a request is small.
fn is_stored(evidence: &[EvidenceBody]) -> bool {
    bodies(evidence).any(|body| matches!(body, Body::Stored(_)))
}

fn bodies(evidence: &[EvidenceBody]) -> impl Iterator<Item = &Body> {
    evidence.iter().map(|evidence| &evidence.body)
}

/// Refuses bytes that somebody neither sent nor may read, in the words for bytes that are not here (attack A-39 of
/// `tests/attacks`).
fn check_known<'a>(
    app: &App,
    person: &PersonId,
    scope: Option<&Scope>,
    artifacts: &[Digest],
    bodies: impl Iterator<Item = &'a Body>,
) -> Result<(), Fault> {
    for digest in artifacts {
        if !is_visible(app, person, scope, digest)? {
            return Err(Fault::not_found("BLOB_UNKNOWN", format!("the artifact {digest} has not been uploaded")));
        }
    }
    for body in bodies {
        if let Body::Stored(digest) = body
            && !is_visible(app, person, scope, digest)?
        {
            let missing = format!("the body {digest} is missing");
            return Err(Fault::not_found("BLOB_UNKNOWN", missing).hint("upload it first"));
        }
    }
    Ok(())
}

/// `POST /v1/releases`.
pub async fn publish(call: Call) -> Result<Response, Fault> {
    let request: PublishRequest = call.body()?;
    call.check_service(&request.release.service)?;
    let person = call.person()?;
    let (app, engine, scope) = (call.app.clone(), call.engine().clone(), call.scope().cloned());
    let is_stored = is_stored(&request.evidence);
    let work = move || {
        let artifacts: Vec<Digest> = request.artifacts.iter().map(|artifact| artifact.digest).collect();
        check_known(&app, &person, scope.as_ref(), &artifacts, request.notes.iter().chain(bodies(&request.evidence)))?;
        let artifact = |artifact: lockgate_api::wire::ArtifactRef| Artifact {
            digest: artifact.digest,
            name: artifact.name,
            size_bytes: artifact.size_bytes,
        };
        let publish = Publish {
            release: request.release,
            artifacts: request.artifacts.into_iter().map(artifact).collect(),
            source: request.source.map(|source| Source { repository: source.repository, commit: source.commit }),
            notes: request.notes.map(upload).transpose()?,
            evidence: checked(&engine, request.evidence)?,
        };
        publishing(&engine, person, publish)
    };
    let submission = match is_stored {
        true => whole::checked(&call, work).await?,
        false => heavy(work).await?,
    };
    write(&call, submission).await
}

/// `POST /v1/evidence`.
pub async fn attest(call: Call) -> Result<Response, Fault> {
    let request: AttestRequest = call.body()?;
    call.check_service(&request.release.service)?;
    let person = call.person()?;
    check_known(&call.app, &person, call.scope(), &[], bodies(&request.evidence))?;
    let engine = call.engine().clone();
    let checked = match is_stored(&request.evidence) {
        true => whole::checked(&call, move || checked(&engine, request.evidence)).await?,
        // Small reports are read in place: handing them to another thread would cost more than reading them.
        false => checked(&engine, request.evidence)?,
    };
    let submission = attesting(call.engine(), person, request.release, checked)?;
    write(&call, submission).await
}
