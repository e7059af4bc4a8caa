//! One piece of evidence: its bytes as text, what is read from them, and what they list, searched.

use std::cmp::Reverse;
use std::io::{self, Read as _, Write};

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_engine::{Engine, Fault, Kind};
use lockgate_evidence::sbom::Component;
use lockgate_evidence::statement::Statement;
use lockgate_evidence::{component, report};
use lockgate_ledger::contents::{Said, read_evidence};
use lockgate_ledger::entry::EvidenceForm;
use lockgate_ledger::facts::is_statement_type;
use lockgate_ledger::release_diff::severity_word;
use lockgate_ledger::signed;
use lockgate_model::facts::{Claim, Finding};
use lockgate_model::{Digest, Limits, PersonId};
use lockgate_policy::{Proof, TrustedSigner};
use lockgate_sign::dsse::Envelope;
use lockgate_web::evidence::{self as evidence_page, ComponentLine, Evidence, FindingLine, Listed};

use super::shell;
use crate::call::Call;
use crate::handlers::blobs::{is_visible, unreadable};
use crate::handlers::pages::page;
use crate::handlers::whole;

/// How many bytes are shown as text.
const SHOWN: usize = 200 * 1024;
/// How many bytes are read, hashed and understood at most; of what is longer only the beginning is shown.
const READ: u64 = 16 * 1024 * 1024;
/// How many lines of what it lists are shown.
const LISTED: usize = 500;

/// `GET /evidence/{digest}`.
pub async fn evidence(call: Call) -> Result<Response, Fault> {
    let (digest, person): (Digest, PersonId) = (call.part("digest")?, call.person()?);
    let words = call.query.get("q").map(|text| text.trim().to_owned()).unwrap_or_default();
    let (app, scope) = (call.app.clone(), call.scope().cloned());
    let build = move || -> Result<Response, Fault> {
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
        let evidence = described(&app.engine, (digest, size_bytes), &bytes, whole, &words)?;
        let title = format!("Evidence {}", digest.short());
        // What is shown is copied by now.
        drop(bytes);
        Ok(page(StatusCode::OK, shell.page(None, &title, &evidence_page::content(&evidence))))
    };
    whole::shown(&call, build).await
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
    reader.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(digest, &error))?;
    Ok(Some((bytes, size)))
}

fn described(
    engine: &Engine,
    (digest, size_bytes): (Digest, u64),
    bytes: &[u8],
    whole: bool,
    words: &str,
) -> Result<Evidence, Fault> {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let mut evidence = Evidence {
        digest,
        size_bytes,
        whole,
        form: "bytes".to_owned(),
        claim: None,
        listed: Listed::default(),
        signers: None,
        text: String::from_utf8_lossy(shown).into_owned(),
        truncated: (shown.len() as u64) < size_bytes,
    };
    if !whole {
        return Ok(evidence);
    }
    let limits = &Limits::DEFAULT;
    let form = signed::form_of(bytes);
    let read = match (signed::proven(&form, bytes, &engine.governance()?.policy), Envelope::parse(bytes, limits)) {
        (Some((signers, _)), _) => {
            evidence.form = form.label().to_owned();
            evidence.signers = Some(signers.iter().map(ToString::to_string).collect());
            let Said { claim, components, .. } = read_evidence(&form, bytes);
            Some((claim, components))
        }
        (None, Ok(envelope)) => {
            evidence.form = EvidenceForm::Envelope.label().to_owned();
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
            evidence.signers = Some(found.map(|signer| signer.name.to_string()).collect());
            // What a statement says stands in its payload; the envelope itself is one line of base64.
            let payload = envelope.payload.get(..SHOWN).unwrap_or(&envelope.payload);
            evidence.text = String::from_utf8_lossy(payload).into_owned();
            evidence.truncated = payload.len() < envelope.payload.len();
            let statement =
                is_statement_type(&envelope.payload_type).then(|| Statement::parse(&envelope.payload, limits));
            statement.and_then(Result::ok).map(|statement| component::read_statement(&statement, limits))
        }
        (None, Err(_)) => report::detect(bytes).and_then(|format| {
            evidence.form = format!("{format} report");
            component::read_report(format, bytes, limits).ok()
        }),
    };
    if let Some((claim, components)) = read {
        evidence.claim = Some(said(&claim)?);
        evidence.listed = listed(&claim, &components, words);
    }
    Ok(evidence)
}

/// What it lists, as far as it has these words.
fn listed(claim: &Claim, components: &[Component], words: &str) -> Listed {
    let wanted = words.to_lowercase();
    let has = |texts: [Option<&str>; 4]| {
        wanted.is_empty() || texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&wanted))
    };
    let none = Vec::new();
    let findings = if let Claim::Vulnerabilities(scan) = claim { &scan.findings } else { &none };
    let fits = |one: &&Finding| {
        has([Some(one.id.as_str()), Some(one.package.as_str()), one.purl.as_deref(), Some(severity_word(one.severity))])
    };
    let mut bad: Vec<&Finding> = findings.iter().filter(fits).collect();
    bad.sort_by_key(|one| Reverse(one.severity));
    let fits = |one: &&Component| {
        has([Some(one.name.as_str()), one.version.as_deref(), one.purl.as_deref(), one.licence.as_deref()])
    };
    let parts: Vec<&Component> = components.iter().filter(fits).collect();
    Listed {
        words: words.to_owned(),
        all: findings.len().saturating_add(components.len()),
        fitting: bad.len().saturating_add(parts.len()),
        components: parts.into_iter().take(LISTED).map(component_line).collect(),
        findings: bad.into_iter().take(LISTED).map(finding_line).collect(),
    }
}

fn component_line(one: &Component) -> ComponentLine {
    ComponentLine {
        name: one.name.clone(),
        version: one.version.clone(),
        licence: one.licence.clone(),
        purl: one.purl.clone(),
    }
}

fn finding_line(one: &Finding) -> FindingLine {
    let mut remarks: Vec<String> = one.vex.iter().map(|status| format!("vex: {}", status.as_str())).collect();
    if one.kev.is_some() {
        remarks.push("known to be exploited".to_owned());
    }
    FindingLine {
        id: one.id.clone(),
        severity: severity_word(one.severity).to_owned(),
        package: format!("{} {}", one.package, one.version),
        fixed: one.fixed.clone(),
        remark: remarks.join(", "),
    }
}

/// What sort of claim it is, and what it says; of much, the beginning, which says that it is no more than that.
fn said(claim: &Claim) -> Result<(String, String), Fault> {
    let mut beginning = Beginning::default();
    let written = serde_json::to_writer_pretty(&mut beginning, claim);
    let mut text = String::from_utf8_lossy(&beginning.bytes).into_owned();
    match written {
        Ok(()) => {}
        Err(_) if beginning.is_full => text.push_str("\n… only the beginning is shown"),
        Err(error) => return Err(Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string())),
    }
    Ok((claim.kind().to_owned(), text))
}

/// The first bytes of what is written; once there are more, writing ends, so that no more than is shown is ever in memory.
#[derive(Default)]
struct Beginning {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SHOWN.saturating_sub(self.bytes.len());
        let fits = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(fits);
        self.is_full = fits.len() < bytes.len();
        match self.is_full {
            true => Err(io::Error::other("more than is shown")),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::{Severity, Vulnerabilities};

    #[test]
    fn what_it_lists_is_searched_and_the_worst_comes_first() {
        let finding = |id: &str, package: &str, severity| Finding {
            id: id.to_owned(),
            package: package.to_owned(),
            severity,
            ..Finding::default()
        };
        let findings = vec![
            finding("CVE-1", "left", Severity::Low),
            finding("CVE-2", "right", Severity::Critical),
            finding("CVE-3", "Left-Pad", Severity::High),
        ];
        let claim = Claim::Vulnerabilities(Vulnerabilities {
            scanner: "trivy".to_owned(),
            scanner_version: None,
            scanned_at: None,
            findings,
        });
        let check = |words: &str, wanted: &[&str]| {
            let found = listed(&claim, &[], words);
            let ids: Vec<&str> = found.findings.iter().map(|one| one.id.as_str()).collect();
            assert_eq!((found.all, found.fitting, ids.as_slice()), (3, wanted.len(), wanted), "{words}");
        };
        check("", &["CVE-2", "CVE-3", "CVE-1"]);
        check("LEFT", &["CVE-3", "CVE-1"]);
        check("critical", &["CVE-2"]);
        check("nothing", &[]);
    }

    #[test]
    fn of_a_long_claim_the_beginning_is_shown() {
        let said_of = |count: usize| {
            let findings = vec![Finding { id: "CVE-2024-1234 §".to_owned(), ..Finding::default() }; count];
            let (scanner_version, scanned_at) = (None, None);
            let scan = Vulnerabilities { scanner: "trivy".to_owned(), scanner_version, scanned_at, findings };
            let claim = Claim::Vulnerabilities(scan);
            (said(&claim).unwrap(), serde_json::to_string_pretty(&claim).unwrap())
        };
        let ((kind, text), whole) = said_of(3);
        assert_eq!((kind.as_str(), text), ("vulnerabilities", whole));
        let ((_, text), whole) = said_of(10_000);
        assert!(text.len() < SHOWN + 100 && whole.len() > 2 * SHOWN, "{} of {}", text.len(), whole.len());
        let shown = text.strip_suffix("\n… only the beginning is shown").unwrap();
        assert!(whole.starts_with(shown.trim_end_matches('\u{fffd}')));
    }
}
