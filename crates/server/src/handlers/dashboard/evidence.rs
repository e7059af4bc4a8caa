//! One piece of evidence: its bytes as text, and what is read from them.

use std::io::Read as _;

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::{Engine, Fault, Kind};
use lockgate_evidence::report;
use lockgate_evidence::statement::Statement;
use lockgate_ledger::facts::is_statement_type;
use lockgate_model::facts::Claim;
use lockgate_model::{Digest, Limits, PersonId};
use lockgate_policy::{Proof, TrustedSigner};
use lockgate_sign::dsse::Envelope;
use lockgate_web::evidence::{self as evidence_page, Evidence};

use super::shell;
use crate::call::Call;
use crate::handlers::blobs::is_visible;
use crate::handlers::heavy;
use crate::handlers::pages::page;

/// How many bytes are shown as text.
const SHOWN: usize = 200 * 1024;
/// How many bytes are read, hashed and understood at most; of what is longer only the beginning is shown.
const READ: u64 = 16 * 1024 * 1024;

/// `GET /evidence/{digest}`.
pub async fn evidence(call: Call) -> Result<Response, Fault> {
    let (digest, person): (Digest, PersonId) = (call.part("digest")?, call.person()?);
    let (app, scope) = (call.app.clone(), call.scope().cloned());
    let text = heavy(move || {
        let unknown = || Fault::not_found("BLOB_UNKNOWN", format!("no bytes are stored as {digest}"));
        if !is_visible(&app, &person, scope.as_ref(), &digest)? {
            return Err(unknown());
        }
        let shell = shell(&app, &person)?;
        let (bytes, size_bytes) = bytes_of(&app.engine, &digest)?.ok_or_else(unknown)?;
        let whole = bytes.len() as u64 == size_bytes;
        if whole && Digest::of(&bytes) != digest {
            let message = format!("the bytes stored as {digest} are others");
            return Err(Fault::new(Kind::Integrity, "DIGEST_MISMATCH", message).hint("run `lockgate audit`"));
        }
        let evidence = described(&app.engine, digest, size_bytes, &bytes, whole)?;
        let title = format!("Evidence {}", digest.short());
        Ok(shell.page(None, &title, &evidence_page::content(&evidence)))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// The bytes, or the beginning of many, and how many there are.
fn bytes_of(engine: &Engine, digest: &Digest) -> Result<Option<(Vec<u8>, u64)>, Fault> {
    if let Some(bytes) = engine.store().document(digest)? {
        let size = bytes.len() as u64;
        return Ok(Some((bytes, size)));
    }
    let Some(reader) = engine.store().open(digest)? else { return Ok(None) };
    let size = reader.len();
    let most = if size <= READ { READ } else { SHOWN as u64 };
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes).map_err(|error| Fault {
        context: Some(error.to_string()),
        ..Fault::new(Kind::Integrity, "DIGEST_MISMATCH", format!("the bytes stored as {digest} cannot be read whole"))
    })?;
    Ok(Some((bytes, size)))
}

fn described(engine: &Engine, digest: Digest, size_bytes: u64, bytes: &[u8], whole: bool) -> Result<Evidence, Fault> {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let mut evidence = Evidence {
        digest,
        size_bytes,
        whole,
        form: "bytes".to_owned(),
        claim: None,
        signers: Vec::new(),
        text: String::from_utf8_lossy(shown).into_owned(),
        truncated: (shown.len() as u64) < size_bytes,
    };
    if !whole {
        return Ok(evidence);
    }
    let limits = &Limits::DEFAULT;
    let claim = match Envelope::parse(bytes, limits) {
        Ok(envelope) => {
            evidence.form = "signed envelope".to_owned();
            let governance = engine.governance()?;
            let by_key = |signer: &&TrustedSigner| matches!(signer.proof, Proof::Key(_));
            let trusted: Vec<&TrustedSigner> = governance.policy.signers().iter().filter(by_key).collect();
            let keys: Vec<_> = trusted
                .iter()
                .filter_map(|signer| match &signer.proof {
                    Proof::Key(key) => Some(key.clone()),
                    _ => None,
                })
                .collect();
            let found = envelope.verify(&keys).into_iter().filter_map(|at| trusted.get(at));
            evidence.signers = found.map(|signer| signer.name.to_string()).collect();
            // What a statement says stands in its payload; the envelope itself is one line of base64.
            let payload = envelope.payload.get(..SHOWN).unwrap_or(&envelope.payload);
            evidence.text = String::from_utf8_lossy(payload).into_owned();
            evidence.truncated = payload.len() < envelope.payload.len();
            let statement =
                is_statement_type(&envelope.payload_type).then(|| Statement::parse(&envelope.payload, limits));
            statement.and_then(Result::ok).map(|statement| lockgate_evidence::claim_of(&statement, limits))
        }
        Err(_) => report::detect(bytes).and_then(|format| {
            evidence.form = format!("{format} report");
            report::read(format, bytes, limits).ok()
        }),
    };
    evidence.claim = claim.as_ref().map(said).transpose()?;
    Ok(evidence)
}

/// What sort of claim it is, and all of it.
fn said(claim: &Claim) -> Result<(String, String), Fault> {
    let text = serde_json::to_string_pretty(claim)
        .map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
    Ok((claim.kind().to_owned(), text))
}
