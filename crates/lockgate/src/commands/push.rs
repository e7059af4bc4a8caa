//! Push and attest: hand in artifacts and evidence.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::{
    Acknowledged, ArtifactRef, AttestRequest, Attested, Body, EvidenceBody, EvidenceRow, EvidenceSignature,
    PublishRequest, Published, SourceRef,
};
use lockgate_api::{Client, ClientError, Exit};
use lockgate_evidence::statement::Statement;
use lockgate_evidence::{Format, component, report};
use lockgate_ledger::entry::EvidenceForm;
use lockgate_ledger::{detached, signed};
use lockgate_model::facts::Claim;
use lockgate_model::{Digest, Limits, PersonId, ReleaseName, SignerName};
use lockgate_policy::EvidenceKind;
use lockgate_sign::dsse::Envelope;
use lockgate_sigstore::{Bundle, Content, ImageSignature, container};

use crate::cli::{self, EvidenceArgs};
use crate::commands::verify::hash_file;
use crate::failure::{Failure, Outcome};
use crate::hashed_read::HashedRead;
use crate::home::read_file;
use crate::receipts::logged_line;
use crate::terminal::table;
use crate::world::World;

/// Up to this size a body goes with the request.
const INLINE_BYTES: usize = 32 * 1024;
/// Up to this size a report is read into memory.
const WHOLE_BYTES: u64 = 1024 * 1024;

/// `lockgate push`.
///
/// # Errors
/// What the server refuses, or a file that cannot be read.
pub fn push(world: &World, options: &cli::Push) -> Outcome {
    if options.digest.is_some() && options.files.len() != 1 {
        return Err(Failure::usage("DIGEST_AMBIGUOUS", "--digest goes with one file"));
    }
    let client = world.signed_in_as(&pusher(world)?)?;
    let release = ReleaseName { service: options.service.clone(), version: options.release_version.clone() };
    let mut artifacts = Vec::with_capacity(options.files.len());
    for file in &options.files {
        artifacts.push(upload_artifact(world, &client, file, options.digest.as_ref())?);
    }
    let notes = options.notes.as_ref().map(|path| body(&client, path)).transpose()?;
    let source = options
        .source_repository
        .clone()
        .zip(options.source_commit.clone())
        .map(|(repository, commit)| SourceRef { repository, commit });
    let (files, evidence): (Vec<PathBuf>, Vec<EvidenceBody>) =
        evidence(world, &client, &options.evidence)?.into_iter().unzip();
    let request = PublishRequest { release, artifacts, source, notes, evidence };
    let reply: Acknowledged<Published> = client
        .post("/v1/releases", &request, Some(&world.random_hex()?))
        .map_err(|error| naming_file(error, &files, &request.evidence))?;
    let published = &reply.result;
    world.acknowledged(&reply, || {
        let word = if published.repeated { "was published already, the same" } else { "is published" };
        let mut text = format!("{} {word}\n", published.release);
        for artifact in &request.artifacts {
            text.push_str(&format!(
                "  artifact   {}  {}  {} bytes\n",
                artifact.digest, artifact.name, artifact.size_bytes
            ));
        }
        text.push_str(&evidence_lines(&published.evidence));
        text.push_str(&logged_line(reply.logged.as_ref()));
        text
    })?;
    say_unread(world, &published.evidence);
    Ok(Exit::Done)
}

/// `lockgate attest`.
///
/// # Errors
/// What the server refuses, or a file that cannot be read.
pub fn attest(world: &World, options: &cli::Attest) -> Outcome {
    let client = world.signed_in_as(&pusher(world)?)?;
    let (files, evidence): (Vec<PathBuf>, Vec<EvidenceBody>) =
        evidence(world, &client, &options.evidence)?.into_iter().unzip();
    if evidence.is_empty() {
        return Err(Failure::usage("EVIDENCE_MISSING", "there is no evidence to hand in")
            .hint("add --tests, --sbom, --scan, --sarif, --report, --provenance or --attestation"));
    }
    let request = AttestRequest { release: options.release.clone(), evidence };
    let reply: Acknowledged<Attested> = client
        .post("/v1/evidence", &request, Some(&world.random_hex()?))
        .map_err(|error| naming_file(error, &files, &request.evidence))?;
    world.acknowledged(&reply, || {
        format!(
            "evidence for {}\n{}{}",
            reply.result.release,
            evidence_lines(&reply.result.evidence),
            logged_line(reply.logged.as_ref())
        )
    })?;
    say_repeated(world, &reply.result.evidence);
    say_unread(world, &reply.result.evidence);
    Ok(Exit::Done)
}

/// Who pushes: whom `--as` names, else the context's machine, else its person.
fn pusher(world: &World) -> Result<PersonId, Failure> {
    match (&world.global.person, world.context()?.machine) {
        (None, Some(machine)) => Ok(machine),
        _ => world.person(),
    }
}

fn evidence_lines(rows: &[EvidenceRow]) -> String {
    let row = |row: &EvidenceRow| {
        vec![
            "  evidence ".to_owned(),
            row.kind.clone(),
            row.digest.to_string(),
            if row.repeated { "known".to_owned() } else { String::new() },
            row.signature.as_ref().map(signature_text).unwrap_or_default(),
        ]
    };
    let lines = table(&["", "", "", "", ""], rows.iter().map(row));
    lines.lines().skip(1).map(|line| format!("{line}\n")).collect()
}

/// How the verification of a signature ended, in words.
fn signature_text(signature: &EvidenceSignature) -> String {
    let EvidenceSignature { class, code, signers, by } = signature;
    let by = by.join(" and ");
    if !signers.is_empty() {
        let names: Vec<&str> = signers.iter().map(SignerName::as_str).collect();
        return format!("verified by {} with {by}", names.join(" and "));
    }
    let word = match class.as_str() {
        "verified" | "without-log" => {
            return format!("verified with {by}, which is no signer of the policy set: counts for nothing");
        }
        "signature-invalid" => "signature invalid",
        "identity-mismatch" => "wrong signer: signed by nobody whom the policy set names",
        "untrusted-root" => "untrusted root",
        "without-time" => "nothing proves when it was signed",
        other => other,
    };
    format!("{word} ({code})")
}

/// Says which reports were there already: they do not become newer by being handed in again.
fn say_repeated(world: &World, rows: &[EvidenceRow]) {
    for row in rows.iter().filter(|row| row.repeated) {
        world.terminal.say(format!(
            "note: {} was handed in before, and counts as of then: the same bytes are recorded once\n  \
             next  where a newer report is needed, let the tool write one that says something new, such as its time",
            row.digest
        ));
    }
}

/// Says which statements were taken and will never count: whoever hands one in mostly thinks that it does.
fn say_unread(world: &World, rows: &[EvidenceRow]) {
    for row in rows.iter().filter(|row| row.kind == "unknown") {
        world.terminal.say(format!(
            "note: {} is kept and never counts: its predicate type is not read\n  \
             next  docs/evidence.md lists the types that are, which are compared exactly",
            row.digest
        ));
    }
}

/// Reads a file once: hashes what is sent, and compares with what the server hashed.
fn upload_artifact(
    world: &World,
    client: &Client,
    path: &Path,
    declared: Option<&Digest>,
) -> Result<ArtifactRef, Failure> {
    let fail = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(fail)?;
    let facts = file.metadata().map_err(fail)?;
    if !facts.is_file() {
        return Err(Failure::usage("FILE_INVALID", format!("{} is not a file", path.display()))
            .hint("name the file itself, not a directory"));
    }
    let size_bytes = facts.len();
    if size_bytes == 0 {
        return Err(Failure::usage("FILE_EMPTY", format!("{} is empty", path.display()))
            .hint("build it again: a build that broke off often leaves an empty file"));
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Failure::usage("NAME_INVALID", format!("{} has no name in UTF-8", path.display())))?
        .to_owned();
    let bar = world.terminal.progress(&name, size_bytes, true);
    let mut hashed = HashedRead::start(file.take(size_bytes)).map_err(fail)?;
    let stored = client
        .upload(&mut bar.wrap_read(&mut hashed), size_bytes, declared)
        .map_err(|error| other_bytes(path, error))?;
    bar.finish_and_clear();
    let (digest, sent) = hashed.finish();
    if stored.digest != digest || sent != size_bytes {
        return Err(Failure::new(
            Exit::Integrity,
            "DIGEST_MISMATCH",
            format!("{digest} was sent, but the server stored {}", stored.digest),
        ));
    }
    Ok(ArtifactRef { digest, name, size_bytes })
}

/// Bytes that are not those of the digest that was named are not verified: that is no mistake of the command line.
fn other_bytes(path: &Path, error: ClientError) -> Failure {
    let failure = Failure::from(error);
    match failure.code == "DIGEST_MISMATCH" {
        true => {
            let message = format!("{}: {}", path.display(), failure.message);
            Failure { exit: Exit::Denied, message, ..failure }
        }
        false => failure,
    }
}

/// Each piece of evidence, with the file that it comes from.
fn evidence(world: &World, client: &Client, options: &EvidenceArgs) -> Result<Vec<(PathBuf, EvidenceBody)>, Failure> {
    let kinds: [(&[PathBuf], bool, Option<&str>); 7] = [
        (&options.tests, false, Some("tests")),
        (&options.sbom, false, Some("sbom")),
        (&options.scan, false, Some("vulnerabilities")),
        (&options.sarif, false, Some("static-analysis")),
        (&options.report, false, None),
        (&options.provenance, true, Some("provenance")),
        (&options.attestation, true, None),
    ];
    let mut bodies = Vec::new();
    for (paths, signed, expect) in kinds {
        for path in paths {
            let (format, path) = if signed { (None, path.as_path()) } else { named_format(path)? };
            let evidence = |body| EvidenceBody {
                body,
                signed,
                format: format.map(|format| format.to_string()),
                expect: expect.map(str::to_owned),
            };
            if let (false, Some(size_bytes)) = (signed, large(path)?) {
                bodies.push((path.to_owned(), evidence(upload_report(world, client, path, size_bytes)?)));
                continue;
            }
            for bytes in pieces(path, signed)? {
                bodies.push((path.to_owned(), evidence(body_of(client, bytes)?)));
            }
        }
    }
    Ok(bodies)
}

/// `FORMAT=FILE` says which format a report has, for one that could be anyone's, such as an empty list.
///
/// # Errors
/// `EVIDENCE_UNKNOWN` where a word stands before the `=` that is no format, and no file is called so.
fn named_format(path: &Path) -> Result<(Option<Format>, &Path), Failure> {
    let Some((word, file)) = path.to_str().and_then(|text| text.split_once('=')) else { return Ok((None, path)) };
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match word.parse::<Format>() {
        Ok(format) => Ok((Some(format), Path::new(file))),
        Err(error) if is_word && !path.exists() => Err(Failure::usage(error.code, error.message)
            .hint("write --report FORMAT=FILE, or --report FILE where the content shows the format")),
        Err(_) => Ok((None, path)),
    }
}

/// The signatures of a file that holds many; a file that holds one goes as it is.
fn pieces(path: &Path, signed: bool) -> Result<Vec<Vec<u8>>, Failure> {
    let bytes = read_body(path)?;
    if !signed {
        return Ok(vec![bytes]);
    }
    let refused = |refusal: lockgate_sigstore::Refusal| {
        Failure::usage(refusal.reason.code(), format!("{}: {}", path.display(), refusal.detail))
            .hint(refusal.reason.next_step())
    };
    match container::pieces(&bytes, &Limits::DEFAULT).map_err(refused)? {
        Some(pieces) => Ok(pieces),
        None => Ok(vec![bytes]),
    }
}

/// What the server refuses, with the file that it means: the first one that does not read here either. The server knows
/// pieces by their bytes and not by names; what it thinks of them is what counts.
fn naming_file(error: ClientError, files: &[PathBuf], evidence: &[EvidenceBody]) -> Failure {
    let failure = Failure::from(error);
    if failure.exit != Exit::Usage {
        return failure;
    }
    // Only a file can be read once more; standard input and pipes are at their end.
    let is_file = |path: &Path| std::fs::metadata(path).is_ok_and(|facts| facts.is_file());
    let meant = files.iter().zip(evidence).find(|(path, asked)| is_file(path) && !is_as_asked(path, asked));
    match meant {
        Some((path, _)) => {
            let message = format!("{}: {}", path.display(), failure.message);
            Failure { message, ..failure }
        }
        None => failure,
    }
}

/// Whether a file reads as what it was handed in as.
fn is_as_asked(path: &Path, asked: &EvidenceBody) -> bool {
    let is_expected = |kind: &str| asked.expect.as_deref().is_none_or(|expected| expected == kind);
    match asked.signed {
        false => report_kind(path, asked.format.as_deref()).is_some_and(is_expected),
        true => match pieces(path, true) {
            Ok(pieces) => pieces.iter().all(|bytes| signed_kind(bytes).is_some_and(is_expected)),
            Err(_) => false,
        },
    }
}

/// What a report is evidence of; `None` where it does not read.
fn report_kind(path: &Path, format: Option<&str>) -> Option<&'static str> {
    let open = || File::open(path).map(BufReader::new).ok();
    let format = match format {
        Some(word) => word.parse::<Format>().ok()?,
        None => match large(path).ok()? {
            Some(_) => report::detect_from(&mut open()?)?,
            None => report::detect(&std::fs::read(path).ok()?)?,
        },
    };
    let (claim, _) = component::read_report_from(format, &mut open()?, &Limits::DEFAULT).ok()?;
    Some(claim.kind())
}

/// What a signature is evidence of; `None` where it does not read. Whether it is good is not asked.
fn signed_kind(bytes: &[u8]) -> Option<&'static str> {
    match signed::form_of(bytes) {
        EvidenceForm::Sigstore => match Bundle::parse(bytes, &Limits::DEFAULT).ok()?.content() {
            Content::Envelope(envelope) => statement_kind(envelope),
            Content::Message { digest, .. } => digest.map(|_| "signature"),
        },
        EvidenceForm::ImageSignature => ImageSignature::parse(bytes, &Limits::DEFAULT).ok().map(|_| "signature"),
        EvidenceForm::Minisign => detached::minisign_of(bytes).ok()?.subject().map(|_| "signature"),
        EvidenceForm::Envelope | EvidenceForm::Report { .. } => {
            statement_kind(&Envelope::parse(bytes, &Limits::DEFAULT).ok()?)
        }
    }
}

fn statement_kind(envelope: &Envelope) -> Option<&'static str> {
    let statement = Statement::parse(&envelope.payload, &Limits::DEFAULT).ok()?;
    match component::read_statement(&statement, &Limits::DEFAULT).0 {
        Claim::Malformed { .. } => None,
        claim => Some(EvidenceKind::word_of(&claim)),
    }
}

fn body(client: &Client, path: &Path) -> Result<Body, Failure> {
    body_of(client, read_body(path)?)
}

fn read_body(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read_file(path, Limits::DEFAULT.evidence_bytes)?;
    match bytes.is_empty() {
        true => Err(Failure::usage("FILE_EMPTY", format!("{} is empty", path.display()))
            .hint("write it again: a tool that broke off often leaves an empty file")),
        false => Ok(bytes),
    }
}

/// The size of a file that is not read into memory; `None` for a smaller one, and for what is no regular file.
fn large(path: &Path) -> Result<Option<u64>, Failure> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let facts = std::fs::metadata(path).map_err(|error| Failure::file(path, &error))?;
    let most = Limits::DEFAULT.evidence_bytes;
    match facts.len() {
        size_bytes if !facts.is_file() || size_bytes <= WHOLE_BYTES => Ok(None),
        size_bytes if size_bytes <= most => Ok(Some(size_bytes)),
        _ => Err(Failure::usage("TOO_LARGE", format!("{} is over the limit of {most} bytes", path.display()))
            .hint("hand in one report for each artifact or tool")),
    }
}

/// Uploads a report as it is read, after it was read for its digest: the server may have it already, and it refuses a
/// file that changes in between.
fn upload_report(world: &World, client: &Client, path: &Path, size_bytes: u64) -> Result<Body, Failure> {
    let digest = hash_file(world, path)?;
    if !client.has_blob(&digest)? {
        let file = File::open(path).map_err(|error| Failure::file(path, &error))?;
        client.upload(&mut file.take(size_bytes), size_bytes, Some(&digest))?;
    }
    Ok(Body::Stored(digest))
}

/// Small bodies go with the request, large ones before it.
fn body_of(client: &Client, bytes: Vec<u8>) -> Result<Body, Failure> {
    if bytes.len() <= INLINE_BYTES {
        return Ok(Body::Inline(STANDARD.encode(&bytes)));
    }
    let digest = Digest::of(&bytes);
    if !client.has_blob(&digest)? {
        client.upload(&mut bytes.as_slice(), bytes.len() as u64, Some(&digest))?;
    }
    Ok(Body::Stored(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_files_are_sent_as_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let check = |size_bytes: u64, expected: Result<Option<u64>, &str>| {
            let path = folder.path().join("report.json");
            File::create(&path).unwrap().set_len(size_bytes).unwrap();
            assert_eq!(large(&path).map_err(|failure| failure.code), expected.map_err(str::to_owned), "{size_bytes}");
        };
        let most = Limits::DEFAULT.evidence_bytes;
        check(0, Ok(None));
        check(WHOLE_BYTES, Ok(None));
        check(WHOLE_BYTES + 1, Ok(Some(WHOLE_BYTES + 1)));
        check(most, Ok(Some(most)));
        check(most + 1, Err("TOO_LARGE"));
        assert!(large(folder.path()).is_ok_and(|size| size.is_none()));
        assert!(large(Path::new("-")).is_ok_and(|size| size.is_none()));
    }

    #[test]
    fn a_report_may_name_its_format() {
        let check = |text: &str, format: Option<Format>, file: &str| {
            assert_eq!(named_format(Path::new(text)).unwrap(), (format, Path::new(file)), "{text}");
        };
        check("gitleaks=secrets.json", Some(Format::Gitleaks), "secrets.json");
        check("lcov=a=b.info", Some(Format::Lcov), "a=b.info");
        check("secrets.json", None, "secrets.json");
        check("./gitleaks=secrets.json", None, "./gitleaks=secrets.json");
        check("a.b=secrets.json", None, "a.b=secrets.json");
        let refused = named_format(Path::new("other=secrets.json")).unwrap_err();
        assert_eq!((refused.exit, refused.code.as_str()), (Exit::Usage, "EVIDENCE_UNKNOWN"));
        assert!(refused.message.contains("`other`") && refused.message.contains("gitleaks"), "{}", refused.message);
        // A file may be called so.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other=secrets.json");
        File::create(&file).unwrap();
        assert_eq!(named_format(&file).unwrap(), (None, file.as_path()));
    }

    #[test]
    fn it_is_told_how_verification_ended() {
        let check = |class: &str, code: &str, signers: &[&str], by: &[&str], expected: &str| {
            let signature = EvidenceSignature {
                class: class.to_owned(),
                code: code.to_owned(),
                signers: signers.iter().map(|name| name.parse().unwrap()).collect(),
                by: by.iter().map(|key| (*key).to_owned()).collect(),
            };
            let row = EvidenceRow {
                kind: "provenance".to_owned(),
                digest: Digest::of(b"evidence"),
                repeated: false,
                signature: Some(signature),
            };
            let lines = evidence_lines(&[row]);
            assert!(lines.contains(expected), "{lines}");
        };
        check("without-log", "LOG_MISSING", &["ci"], &["SHA256:abc"], "verified by ci with SHA256:abc");
        check("verified", "SIGNATURE_VERIFIED", &[], &["a@b.example"], "verified with a@b.example, which is no signer");
        check("signature-invalid", "SIGNATURE_INVALID", &[], &[], "signature invalid (SIGNATURE_INVALID)");
        check("identity-mismatch", "SIGNING_KEY_UNKNOWN", &[], &[], "wrong signer");
        check("untrusted-root", "TRUST_ROOT_MISSING", &[], &[], "untrusted root (TRUST_ROOT_MISSING)");
        check("unsigned", "SIGNATURE_MISSING", &[], &[], "unsigned (SIGNATURE_MISSING)");
    }
}
