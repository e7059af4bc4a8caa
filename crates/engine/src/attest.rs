//! Attest: record evidence about a release, byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_evidence::component;
use lockgate_evidence::report::{self, Format};
use lockgate_evidence::statement::Statement;
use lockgate_ledger::attestation::{self, Subjects};
use lockgate_ledger::bodies::{BodyError, required, with_reader};
use lockgate_ledger::entry::{EvidenceForm, EvidenceRecorded};
use lockgate_ledger::facts::{is_statement_type, is_streamed};
use lockgate_ledger::{Actor, Event, Governance, ReleaseState, approval, detached, signed};
use lockgate_model::facts::Claim;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits, PersonId, ReleaseName, StreamName};
use lockgate_policy::{EvidenceKind, Object, Permission};
use lockgate_sign::dsse::Envelope;
use lockgate_sigstore::{Bundle, Content, ImageSignature};
use serde_json::{Value, json as value};

use crate::authorise::{authorise, belongs, permit, release_unknown, remember};
use crate::bodies::{StoreBodies, Upload};
use crate::engine::{Engine, Inner};
use crate::evaluate::evaluate_open;
use crate::fault::{Fault, Kind};
use crate::misplaced;
use crate::runs::{self, Word};
use crate::sequencer::Submission;
use crate::staging::Staging;
use crate::where_index::{self, Proven, Terms};

/// A piece of evidence, as handed in.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Its bytes.
    pub upload: Upload,
    /// Signed, or a report to be wrapped.
    pub form: Form,
    /// What the caller says it is, such as `sbom`; refused when it is something else.
    pub expect: Option<String>,
}

/// How evidence comes.
#[derive(Debug, Clone)]
pub enum Form {
    /// A DSSE envelope around an in-toto statement, a Sigstore bundle, an image's signature, or one of minisign.
    Envelope,
    /// An unsigned report, of this format or of the one that its content shows.
    Report(Option<Format>),
}

/// Evidence that was read and found acceptable.
#[derive(Debug, Clone)]
pub struct Checked {
    upload: Upload,
    digest: Digest,
    size_bytes: u64,
    form: CheckedForm,
    kind: &'static str,
    /// What it can be found by.
    terms: Arc<Terms>,
}

#[derive(Debug, Clone)]
enum CheckedForm {
    Signed { form: EvidenceForm, subjects: Vec<Digest>, media_type: String },
    Report { format: Format, wrapped: Option<Wrapped> },
}

/// The signed statement about who handed a report in.
#[derive(Debug, Clone)]
struct Wrapped {
    /// The artifacts that it is about.
    subjects: Arc<Subjects>,
    /// The envelope's bytes.
    envelope: Vec<u8>,
}

/// The artifacts of releases that evidence was handed in for lately: a release's artifacts never change, so a report
/// about one of these can be wrapped and signed before it comes to the sequencer.
#[derive(Debug, Default)]
pub struct SubjectCache(Mutex<HashMap<ReleaseName, Arc<Subjects>>>);

impl SubjectCache {
    const RELEASES: usize = 4096;

    fn get(&self, release: &ReleaseName) -> Option<Arc<Subjects>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(release).cloned()
    }

    /// The subjects of a release, which are kept.
    ///
    /// What is kept may be those of a release that was staged and never committed: they are compared, not believed.
    fn of(&self, release: &ReleaseState) -> Arc<Subjects> {
        let subjects = approval::subjects(release);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(&release.name).filter(|known| ***known == subjects) {
            return known.clone();
        }
        if kept.len() >= Self::RELEASES {
            kept.clear();
        }
        let subjects = Arc::new(subjects);
        kept.insert(release.name.clone(), subjects.clone());
        subjects
    }
}

/// Reads evidence outside the sequencer and refuses what is malformed, unsigned where a signature is due, or not what
/// the caller says it is.
///
/// # Errors
/// The reader's reason code, `UNSIGNED`, `EVIDENCE_KIND`, `PAYLOAD_TYPE`, `TOO_LARGE` or `BLOB_UNKNOWN`.
pub fn check(engine: &Engine, evidence: Evidence) -> Result<Checked, Fault> {
    let bodies = StoreBodies(engine.store());
    if let (Upload::Stored(digest), Form::Report(format)) = (&evidence.upload, &evidence.form)
        && let Some((read, size_bytes)) = check_large_report(&bodies, digest, *format)?
    {
        let digest = *digest;
        return checked(evidence, digest, size_bytes, read);
    }
    let bytes = match &evidence.upload {
        Upload::Inline(bytes) => std::borrow::Cow::Borrowed(bytes.as_slice()),
        Upload::Stored(digest) => {
            check_size(bodies.blob_size(digest).map_err(unknown)?.unwrap_or_default())?;
            std::borrow::Cow::Owned(required(&bodies, digest).map_err(unknown)?.into_owned())
        }
    };
    if bytes.is_empty() {
        return Err(Fault::invalid("EVIDENCE_EMPTY", "the evidence is empty"));
    }
    let size_bytes = bytes.len() as u64;
    check_size(size_bytes)?;
    let (form, kind, mut terms) = match &evidence.form {
        Form::Envelope => match signed::form_of(&bytes) {
            EvidenceForm::Sigstore => check_bundle(&bytes)?,
            EvidenceForm::ImageSignature => check_image(&bytes)?,
            EvidenceForm::Minisign => check_minisign(&bytes)?,
            EvidenceForm::Envelope | EvidenceForm::Report { .. } => check_envelope(&bytes)?,
        },
        Form::Report(format) => check_report(&bytes, *format)?,
    };
    if let (CheckedForm::Signed { form, .. }, Ok(governance)) = (&form, engine.governance()) {
        terms.add_signers(form, &bytes, &governance.policy);
    }
    let digest = Digest::of(&bytes);
    drop(bytes);
    checked(evidence, digest, size_bytes, (form, kind, terms))
}

fn checked(
    evidence: Evidence,
    digest: Digest,
    size_bytes: u64,
    (form, kind, terms): (CheckedForm, &'static str, Terms),
) -> Result<Checked, Fault> {
    if let Some(expected) = evidence.expect.as_deref().filter(|expected| *expected != kind) {
        return Err(Fault::invalid("EVIDENCE_KIND", format!("this is {kind} evidence, not {expected}")));
    }
    Ok(Checked { digest, size_bytes, upload: evidence.upload, form, kind, terms: Arc::new(terms) })
}

fn check_size(size_bytes: u64) -> Result<(), Fault> {
    let most = Limits::DEFAULT.evidence_bytes;
    match size_bytes <= most {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::TooLarge,
            "TOO_LARGE",
            format!("{size_bytes} bytes are over the limit of {most} for one piece of evidence"),
        )
        .hint("hand in one report for each artifact or tool")),
    }
}

/// What was never uploaded, told from what cannot be read.
pub(crate) fn unknown(error: BodyError) -> Fault {
    match error {
        BodyError::Missing(_) => Fault::not_found("BLOB_UNKNOWN", error.to_string()).hint("upload it first"),
        error => error.into(),
    }
}

/// What was checked: its form, the kind of its claim, and what an index finds it by.
type Reading = (CheckedForm, &'static str, Terms);

/// Reads a large report that is in the store already as its bytes come, first for its format and then for what it says;
/// `None` for what is read from memory.
fn check_large_report(
    bodies: &StoreBodies<'_>,
    digest: &Digest,
    format: Option<Format>,
) -> Result<Option<(Reading, u64)>, Fault> {
    let Some(size_bytes) = bodies.blob_size(digest).map_err(unknown)? else { return Ok(None) };
    check_size(size_bytes)?;
    let of_size = |format: &Format| is_streamed(*format, size_bytes);
    if !Format::ALL.iter().any(of_size) {
        return Ok(None);
    }
    let format = match format {
        Some(format) => Some(format),
        None => with_reader(bodies, digest, report::detect_from).map_err(unknown)?,
    };
    let Some(format) = format.filter(of_size) else { return Ok(None) };
    let read = with_reader(bodies, digest, |reader| component::read_report_from(format, reader, &Limits::DEFAULT));
    let (claim, components) = read.map_err(unknown)?.map_err(|error| Fault::invalid(error.code, error.message))?;
    let form = CheckedForm::Report { format, wrapped: None };
    Ok(Some(((form, claim.kind(), Terms::of(&claim, &components)), size_bytes)))
}

fn check_envelope(bytes: &[u8]) -> Result<Reading, Fault> {
    if bytes.starts_with(b"-----BEGIN PGP ") {
        return Err(Fault::invalid("SIGNATURE_UNSUPPORTED", "an OpenPGP signature is verified beside the file alone")
            .hint(
                "check it with `lockgate signature verify FILE --keyring KEYRING`; gates see minisign and Sigstore",
            ));
    }
    let envelope = Envelope::parse(bytes, &Limits::DEFAULT).map_err(|error| {
        let is_bare = error.code() != "ENVELOPE_TOO_LARGE" && Statement::parse(bytes, &Limits::DEFAULT).is_ok();
        match is_bare {
            true => Fault::invalid("UNSIGNED", "this is a bare statement without a signature")
                .hint("hand in the DSSE envelope that the builder signed"),
            false => Fault::invalid(error.code(), format!("not a DSSE envelope: {error}")),
        }
    })?;
    let (subjects, kind, terms) = check_statement(&envelope)?;
    Ok((signed_as(EvidenceForm::Envelope, subjects, "application/vnd.dsse.envelope.v1+json"), kind, terms))
}

/// A bundle is read here and verified where it is counted, under the trust roots of the policy set.
fn check_bundle(bytes: &[u8]) -> Result<Reading, Fault> {
    let bundle = Bundle::parse(bytes, &Limits::DEFAULT).map_err(|refusal| {
        Fault::invalid(refusal.reason.code(), format!("not an acceptable Sigstore bundle: {refusal}"))
            .hint(refusal.reason.next_step())
    })?;
    let (subjects, kind, terms) = match bundle.content() {
        Content::Envelope(envelope) => check_statement(envelope)?,
        Content::Message { digest: Some(digest), .. } => (vec![*digest], "signature", Terms::default()),
        Content::Message { digest: None, .. } => {
            return Err(Fault::invalid("SUBJECT_MISSING", "the bundle does not name the artifact by its SHA-256")
                .hint("sign with a tool that writes `messageDigest`, such as cosign 3"));
        }
    };
    Ok((signed_as(EvidenceForm::Sigstore, subjects, bundle.media_type()), kind, terms))
}

/// An image's signature is verified where it is counted, as a bundle is; it binds by what its payload names.
fn check_image(bytes: &[u8]) -> Result<Reading, Fault> {
    let signature = ImageSignature::parse(bytes, &Limits::DEFAULT).map_err(|refusal| {
        Fault::invalid(refusal.reason.code(), format!("not an acceptable signature of an image: {refusal}"))
            .hint(refusal.reason.next_step())
    })?;
    let form = signed_as(EvidenceForm::ImageSignature, vec![signature.image], "application/json");
    Ok((form, "signature", Terms::default()))
}

/// A signature of minisign is verified where it is counted, with the keys of the policy set; it binds by its comment.
fn check_minisign(bytes: &[u8]) -> Result<Reading, Fault> {
    let signature = detached::minisign_of(bytes).map_err(|refusal| {
        Fault::invalid(refusal.reason.code(), format!("not an acceptable minisign signature: {refusal}"))
            .hint(refusal.reason.next_step())
    })?;
    let subject = signature.subject().ok_or_else(|| {
        Fault::invalid("SUBJECT_MISSING", "the trusted comment does not begin with the artifact's SHA-256")
            .hint("sign it with `minisign -S -m FILE -t sha256:DIGEST`, so that the key vouches for the digest")
    })?;
    Ok((signed_as(EvidenceForm::Minisign, vec![subject], "text/plain"), "signature", Terms::default()))
}

fn signed_as(form: EvidenceForm, subjects: Vec<Digest>, media_type: &str) -> CheckedForm {
    CheckedForm::Signed { form, subjects, media_type: media_type.to_owned() }
}

fn check_statement(envelope: &Envelope) -> Result<(Vec<Digest>, &'static str, Terms), Fault> {
    if !is_statement_type(&envelope.payload_type) {
        return Err(Fault::invalid(
            "PAYLOAD_TYPE",
            format!("the payload type `{}` is not an in-toto statement", envelope.payload_type.escape_debug()),
        ));
    }
    let statement = Statement::parse(&envelope.payload, &Limits::DEFAULT)
        .map_err(|error| Fault::invalid(error.code, error.message))?;
    let (claim, components) = component::read_statement(&statement, &Limits::DEFAULT);
    if let Claim::Malformed { reason } = &claim {
        return Err(Fault::invalid("EVIDENCE_MALFORMED", format!("the predicate does not read: {reason}")));
    }
    if let Some(why) = statement.without_sha256() {
        return Err(Fault::new(Kind::Denied, "SUBJECT_MISMATCH", format!("this evidence is about no artifact: {why}")));
    }
    let subjects = statement.subjects.iter().filter_map(|subject| subject.sha256).collect();
    Ok((subjects, EvidenceKind::word_of(&claim), Terms::of(&claim, &components)))
}

fn check_report(bytes: &[u8], format: Option<Format>) -> Result<Reading, Fault> {
    let format = format.or_else(|| report::detect(bytes));
    if format.is_none() && bytes.trim_ascii_start().starts_with(b"{") {
        // What does not even read as JSON is told so, and not that it is unknown.
        json::read(bytes, &Limits::DEFAULT, Numbers::Any)
            .map_err(|error| Fault::invalid(error.code, format!("the report does not read: {}", error.message)))?;
    }
    let format = format.ok_or_else(|| {
        Fault::invalid("EVIDENCE_UNKNOWN", "this is no report that Lockgate reads").hint(misplaced::hint(bytes))
    })?;
    let (claim, components) = component::read_report(format, bytes, &Limits::DEFAULT)
        .map_err(|error| Fault::invalid(error.code, error.message))?;
    Ok((CheckedForm::Report { format, wrapped: None }, claim.kind(), Terms::of(&claim, &components)))
}

/// Records evidence about a published release.
///
/// The value is `{"release", "evidence": [{"kind", "digest", "repeated"}]}`; evidence that is signed also has
/// `"signature": {"class", "code", "signers", "by"}`, how its verification ended when it was checked.
///
/// # Errors
/// `SIGNING_FAILED`; the rest comes with the receipt.
pub fn attest(
    engine: &Engine,
    by: PersonId,
    release: ReleaseName,
    mut evidence: Vec<Checked>,
) -> Result<Submission, Fault> {
    let inner = engine.inner();
    // Signed here where the release's artifacts are known already, so that the sequencer does not wait for it.
    if let Some(subjects) = inner.subjects.get(&release) {
        for checked in &mut evidence {
            checked.wrap(&subjects, &release, &by, inner)?;
        }
    }
    Ok(Submission::new(move |staging, inner| {
        permit_evidence(staging, &by, &release, &evidence)?;
        let recorded = evidence
            .into_iter()
            .map(|checked| record(staging, inner, &by, &release, checked))
            .collect::<Result<Vec<_>, _>>()?;
        evaluate_open(staging, inner, &release)?;
        Ok(value!({ "release": release, "evidence": recorded }))
    }))
}

/// Authorises handing evidence in: whatever it is, with `attest`; with `deploy` alone, nothing but reports of what runs,
/// each about an environment that they may deploy that service in, and so many of a release at most.
///
/// # Errors
/// `NOT_PERMITTED`, `RELEASE_UNKNOWN`, or `TOO_MANY_ATTESTATIONS`.
fn permit_evidence(
    staging: &mut Staging<'_>,
    by: &PersonId,
    release: &ReleaseName,
    evidence: &[Checked],
) -> Result<(), Fault> {
    let governance = staging.governance()?.clone();
    let whole = Object::Service(&release.service);
    let deploys = |word: &Word| {
        let target = Object::Target(&release.service, &word.environment);
        governance.policy.environment(&word.environment).is_some()
            && authorise(&governance, by, Permission::Deploy, target).is_ok()
    };
    let reports = !evidence.is_empty() && evidence.iter().all(|checked| checked.runs().is_some_and(deploys));
    match reports && authorise(&governance, by, Permission::Attest, whole).is_err() {
        true => {
            check_share(staging, &governance, release, evidence)?;
            remember(staging, by, Permission::Deploy);
            Ok(())
        }
        false => permit(staging, by, Permission::Attest, whole, Some(release_unknown(release))),
    }
}

/// Refuses reports beyond the share of a release's places that they have whose reports are all they may hand in: places
/// that are taken are never free again, and a gate may still need one. What counts towards it is every named check that
/// somebody handed in who may not `attest` today.
///
/// # Errors
/// `TOO_MANY_ATTESTATIONS`, or `RELEASE_UNKNOWN`.
fn check_share(
    staging: &mut Staging<'_>,
    governance: &Governance,
    name: &ReleaseName,
    evidence: &[Checked],
) -> Result<(), Fault> {
    let most = Limits::DEFAULT.deployer_reports_per_release;
    let release = staging.release(name)?;
    let new = evidence.iter().filter(|checked| checked.is_new_to(&release)).count();
    let whole = Object::Service(&name.service);
    let mut attests: BTreeMap<&PersonId, bool> = BTreeMap::new();
    let mut held = 0_usize;
    for record in &release.evidence {
        let is_check =
            matches!(&record.event.form, EvidenceForm::Report { format, .. } if format == Format::Check.as_str());
        let may_attest = || authorise(governance, &record.by, Permission::Attest, whole).is_ok();
        if is_check && !*attests.entry(&record.by).or_insert_with(may_attest) {
            held += 1;
        }
    }
    match new == 0 || held.saturating_add(new) <= most {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::TooLarge,
            "TOO_MANY_ATTESTATIONS",
            format!("{name} has {held} reports by those who may not `attest`, and {most} is all that it keeps of them"),
        )
        .hint("report what runs when it changes; whoever may `attest` can hand in more")),
    }
}

impl Checked {
    /// Whether a release does not have it yet.
    pub(crate) fn is_new_to(&self, release: &ReleaseState) -> bool {
        !release.evidence.iter().any(|known| known.event.evidence == self.digest)
    }

    /// What a report says of what runs, if it does; one that is too long to count does not.
    fn runs(&self) -> Option<&Word> {
        let counts = matches!(self.form, CheckedForm::Report { .. }) && self.size_bytes <= runs::BYTES_MAX;
        self.terms.word().filter(|_| counts)
    }

    /// The entry's body, without what wraps a report.
    fn event(&self, release: &ReleaseName) -> EvidenceRecorded {
        let media_type = match &self.form {
            CheckedForm::Signed { media_type, .. } => media_type.as_str(),
            CheckedForm::Report { format, .. } => format.media_type(),
        };
        EvidenceRecorded {
            release: release.clone(),
            evidence: self.digest,
            size_bytes: self.size_bytes,
            media_type: media_type.to_owned(),
            form: EvidenceForm::Envelope,
        }
    }

    /// Signs the statement that says who handed a report in, unless that was done for these subjects.
    fn wrap(
        &mut self,
        subjects: &Arc<Subjects>,
        release: &ReleaseName,
        by: &PersonId,
        inner: &Inner,
    ) -> Result<(), Fault> {
        let event = self.event(release);
        let CheckedForm::Report { format, wrapped } = &mut self.form else { return Ok(()) };
        if wrapped.as_ref().is_some_and(|wrapped| wrapped.subjects == *subjects) {
            return Ok(());
        }
        let statement = attestation::report_statement(subjects, &event, format.as_str(), by);
        let envelope = attestation::sign(&statement, &inner.keys.attestation)?.to_json();
        *wrapped = Some(Wrapped { subjects: subjects.clone(), envelope });
        Ok(())
    }
}

/// Records one piece of evidence inside the sequencer.
///
/// # Errors
/// `SUBJECT_MISMATCH` when signed evidence is about none of the release's artifacts.
pub fn record(
    staging: &mut Staging<'_>,
    inner: &Inner,
    by: &PersonId,
    name: &ReleaseName,
    mut checked: Checked,
) -> Result<Value, Fault> {
    let release = staging.release(name)?;
    let known = release.evidence.iter().find(|known| known.event.evidence == checked.digest);
    let mut shown = value!({ "kind": checked.kind, "digest": checked.digest, "repeated": known.is_some() });
    if let (Some(proven), Some(fields)) = (checked.terms.signature(), shown.as_object_mut()) {
        let Proven { signers, by, fact } = proven;
        let told = value!({ "class": fact.class.as_str(), "code": fact.code, "signers": signers, "by": by });
        fields.insert("signature".to_owned(), told);
    }
    if known.is_some() {
        return Ok(shown);
    }
    let held: u64 = release.evidence.iter().map(|record| record.event.size_bytes).sum();
    if held.saturating_add(checked.size_bytes) > Limits::DEFAULT.evidence_bytes_per_release {
        return Err(Fault::new(
            Kind::TooLarge,
            "TOO_LARGE",
            format!("{name} has as much evidence as one bundle can carry"),
        ));
    }
    checked.wrap(&inner.subjects.of(&release), name, by, inner)?;
    let mut event = checked.event(name);
    let about = match checked.form {
        CheckedForm::Signed { form, subjects, .. } => {
            event.form = form;
            subjects_of_release(&release, &subjects)?
        }
        CheckedForm::Report { format, wrapped } => {
            let envelope = wrapped.map(|wrapped| wrapped.envelope).ok_or_else(|| {
                Fault::new(Kind::Bug, "REPORT_UNWRAPPED", "the report was not wrapped before it was recorded")
            })?;
            event.form = EvidenceForm::Report {
                format: format.as_str().to_owned(),
                artifacts: release.manifest.artifact_digests(),
                statement: staging.document(envelope),
            };
            release.manifest.artifact_digests()
        }
    };
    if let Upload::Inline(bytes) = checked.upload {
        staging.document(bytes);
    }
    belongs(staging, &event.evidence, &name.service);
    if let EvidenceForm::Report { statement, .. } = &event.form {
        belongs(staging, statement, &name.service);
    }
    let streams: Vec<StreamName> = about.iter().map(StreamName::artifact).collect();
    let signed = !matches!(event.form, EvidenceForm::Report { .. });
    let found = (&checked.digest, checked.kind);
    where_index::remember_evidence(staging, &checked.terms, name, found, signed.then_some(about.as_slice()));
    runs::remember(staging, &checked.terms, by, &event)?;
    staging.append(Actor::Subject { id: by.clone() }, &streams, Event::EvidenceRecorded(event))?;
    lockgate_failpoint::point("evidence.recorded");
    Ok(shown)
}

fn subjects_of_release(release: &ReleaseState, subjects: &[Digest]) -> Result<Vec<Digest>, Fault> {
    let about: Vec<Digest> =
        release.manifest.artifact_digests().into_iter().filter(|artifact| subjects.contains(artifact)).collect();
    match about.is_empty() {
        false => Ok(about),
        true => Err(Fault::new(
            Kind::Denied,
            "SUBJECT_MISMATCH",
            format!("this evidence is about other artifacts than those of {}", release.name),
        )
        .hint("evidence binds by digest; a name never matches")),
    }
}
