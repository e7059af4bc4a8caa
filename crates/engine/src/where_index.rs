//! The index of what is where: rows by package, vulnerability, builder, build, key and digest, each naming a release and
//! what says so.
//!
//! A projection like any other: written in the batch of the entry that it comes from, and made again from ledger and
//! bodies by [`rebuild`]. No decision rests on it. A row's key is `<term> TAB <release> TAB <via>`, the term of a
//! package being `<package URL without version> TAB <version>`; its value is `<kind> TAB <detail>`, with `TAB
//! unverified` after it where it rests on a signature that did not verify for a signer of the policy set, as that was
//! when the row was made.

mod rebuild;

use std::collections::BTreeMap;

use lockgate_evidence::sbom::Component;
use lockgate_ledger::entry::{ApprovalRecorded, EvidenceForm};
use lockgate_ledger::release_diff::severity_word;
use lockgate_ledger::{Event, Governance, Manifest, foreign, signed};
use lockgate_model::facts::{Claim, Finding, Provenance, SignatureFact, Verdict, VexStatement, bare_purl};
use lockgate_model::{Digest, EntryIndex, Limits, ReleaseName, SignerName};
use lockgate_policy::{PolicySet, Proof, TrustedSigner};
use lockgate_sign::PublicKey;
use lockgate_sign::dsse::Envelope;
use lockgate_sign::ssh::SshSignature;
use lockgate_sigstore::outcome::{Level, Log};
use lockgate_sigstore::{Outcome, Reason, Signed};

use crate::fault::Fault;
use crate::runs::Word;
use crate::staging::Staging;

pub(crate) use rebuild::put;
pub use rebuild::{Rebuilt, ensure, rebuild, rebuild_store};

/// The kind of the rows.
pub const WHERE: &str = "where";
/// The kind of the one row that says by which version of this index the rows were written.
pub const STATE: &str = "where-state";
/// The key of that row.
const STATE_KEY: &str = "version";
/// The version of this index; rows of another one are made again.
const VERSION: &str = "6";
/// What stands between the version and the number of entries that are done, while the rows are made again.
const UP_TO: &str = " up to ";
/// What a row about evidence starts with that names too much to be indexed as a whole.
pub const PARTIAL: &str = "partial";
/// What a row starts with that says which artifacts signed evidence is about.
pub const ABOUT: &str = "about";
/// What a value ends with that rests on a signature that did not verify for a signer of the policy set.
pub const UNVERIFIED: &str = "unverified";

/// The most terms of one piece of evidence; what is beyond is told as [`PARTIAL`].
const TERMS_MAX: usize = 50_000;
/// The longest text of a term in bytes.
const TEXT_MAX: usize = 400;
/// The longest detail in bytes.
const DETAIL_MAX: usize = 160;
/// How many rows one commit of a rebuild writes, and how many entries are read at a time.
const PAGE: usize = 4_096;

/// What a piece of evidence is found by.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The details of each term.
    details: BTreeMap<String, String>,
    /// What it says of what runs.
    word: Option<Word>,
    /// Whose signature is on it, where it is signed.
    signature: Option<Proven>,
}

/// Whom a signature proves to have signed, under the policy set of the moment.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The signers of the policy set for whom it verified; where there are none, it counts for nothing.
    pub signers: Vec<SignerName>,
    /// With which keys, or as which identity, where that is proved.
    pub by: Vec<String>,
    /// How the verification ended.
    pub fact: SignatureFact,
}

/// The signers of the policy set whose keys signed an envelope, with these keys, and how the verification ended. Key
/// ids are asked only where nobody did.
fn signed_envelope(bytes: &[u8], policy: &PolicySet) -> (Vec<(SignerName, PublicKey)>, SignatureFact) {
    let refused = |reason: Reason, detail: &str| (Vec::new(), Outcome::refused(reason, detail).to_fact(None));
    let Ok(envelope) = Envelope::parse(bytes, &Limits::DEFAULT) else {
        return refused(Reason::Malformed, "not a DSSE envelope");
    };
    let pinned = |signer: &TrustedSigner| match (&signer.proof, signer.root) {
        (Proof::Key(key), None) => Some((signer.name.clone(), key.clone())),
        _ => None,
    };
    let trusted: Vec<_> = policy.signers().iter().filter_map(pinned).collect();
    let keys: Vec<_> = trusted.iter().map(|(_, key)| key.clone()).collect();
    let signed: Vec<_> = envelope.verify(&keys).into_iter().filter_map(|at| trusted.get(at).cloned()).collect();
    let Some((_, key)) = signed.first() else {
        return match foreign::broken(&envelope, policy) {
            Some(fact) => (Vec::new(), fact),
            None => refused(Reason::KeyUnknown, "signed by nobody whom the policy set names"),
        };
    };
    let key = Digest::of(key.spki_der());
    let proved = Signed { identity: None, key, level: Level::ManagedKey, time: None, log: Log::Absent };
    (signed, Outcome::proved(proved).to_fact(None))
}

/// A text as part of a key: control characters are spaces, and it is cut where it is too long.
pub fn clean(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(plain.trim(), TEXT_MAX).to_owned()
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The term of a package: its URL without a version, and the version, which may be empty.
pub fn package_term(package: &str, version: &str) -> String {
    format!("{}\t{}", clean(package), clean(version))
}

/// The term of a vulnerability.
pub fn vulnerability_term(id: &str) -> String {
    format!("vuln:{}", clean(id).to_ascii_uppercase())
}

/// The term of a key, by fingerprint or by whom it belongs to.
pub fn key_term(key: &str) -> String {
    format!("key:{}", clean(key))
}

/// The term of a builder.
pub fn builder_term(builder: &str) -> String {
    format!("builder:{}", clean(builder))
}

/// The term of a build: its run, or the commit that it was made from.
pub fn build_term(build: &str) -> String {
    format!("build:{}", clean(build))
}

impl Terms {
    /// Adds one; several details of one term are told together.
    fn add(&mut self, term: String, detail: &str) {
        if self.details.len() >= TERMS_MAX && !self.details.contains_key(&term) {
            self.details.insert(PARTIAL.to_owned(), format!("only {TERMS_MAX} of its terms are indexed"));
            return;
        }
        let detail = clean(detail);
        let detail = cut(&detail, DETAIL_MAX - 1);
        let known = self.details.entry(term).or_default();
        if !detail.is_empty() && !known.contains(detail) && known.len() + detail.len() < DETAIL_MAX {
            if !known.is_empty() {
                known.push_str("; ");
            }
            known.push_str(detail);
        }
    }

    fn add_component(&mut self, component: &Component) {
        let (package, version) = match component.purl.as_deref().map(bare_purl) {
            Some((package, version)) => (package, version.or_else(|| component.version.clone())),
            // Found by name all the same, as the type of the purl specification for what has no other.
            None => (format!("pkg:generic/{}", component.name), component.version.clone()),
        };
        let term = package_term(&package, version.as_deref().unwrap_or_default());
        self.add(term, component.licence.as_deref().unwrap_or_default());
    }

    fn add_finding(&mut self, finding: &Finding) {
        let what = match finding.package.is_empty() {
            true => finding.purl.clone().unwrap_or_default(),
            false => format!("{} {}", finding.package, finding.version),
        };
        let detail = format!("{} in {what}", severity_word(finding.severity));
        for name in finding.names() {
            self.add(vulnerability_term(name), &detail);
        }
        if let Some((package, version)) = finding.purl.as_deref().map(bare_purl) {
            let version = version.unwrap_or_else(|| finding.version.clone());
            self.add(package_term(&package, &version), "");
        }
    }

    fn add_vex(&mut self, statement: &VexStatement) {
        let detail = format!("vex: {}", statement.status.as_str());
        self.add(vulnerability_term(&statement.vulnerability), &detail);
        for alias in &statement.aliases {
            self.add(vulnerability_term(alias), &detail);
        }
    }

    fn add_provenance(&mut self, provenance: &Provenance) {
        self.add(builder_term(&provenance.builder_id), "built it");
        if let Some(commit) = &provenance.source_commit {
            self.add(build_term(commit), "built from this commit");
        }
        if let Some(run) = provenance.build.as_ref().and_then(|build| build.invocation.as_ref()) {
            self.add(build_term(run), "built in this run");
        }
    }

    /// What a claim is found by.
    pub fn of(claim: &Claim, components: &[Component]) -> Self {
        let mut terms = Self::default();
        match claim {
            Claim::Sbom(sbom) => sbom.vex.iter().for_each(|statement| terms.add_vex(statement)),
            Claim::Vulnerabilities(scan) => scan.findings.iter().for_each(|finding| terms.add_finding(finding)),
            Claim::Vex(vex) => vex.statements.iter().for_each(|statement| terms.add_vex(statement)),
            Claim::Provenance(provenance) => terms.add_provenance(provenance),
            Claim::Rebuild(rebuild) => {
                let detail = if rebuild.reproduced { "built the same again" } else { "built it again, differently" };
                terms.add(builder_term(&rebuild.builder), detail);
                if let Some(rebuilt) = rebuild.rebuilt {
                    terms.add(rebuilt.to_string(), "came out of a rebuild");
                }
            }
            Claim::Check(check) => terms.word = Word::of(check),
            Claim::Configuration(configuration) => {
                terms.add(configuration.digest.to_string(), &format!("configuration {}", configuration.name));
            }
            _ => {}
        }
        for component in components {
            terms.add_component(component);
        }
        terms
    }

    /// Adds whose keys of the policy set signed these bytes; the signatures are verified here.
    pub fn add_signers(&mut self, form: &EvidenceForm, bytes: &[u8], policy: &PolicySet) {
        match form {
            EvidenceForm::Report { .. } => {}
            EvidenceForm::Envelope => {
                let (signed, fact) = signed_envelope(bytes, policy);
                for (name, key) in &signed {
                    let detail = format!("signed by {name}");
                    self.add(key_term(name.as_str()), &detail);
                    self.add(key_term(&key.keyid_ssh()), &detail);
                    self.add(key_term(&Digest::of(key.spki_der()).to_string()), &detail);
                }
                let by = signed.iter().map(|(_, key)| key.keyid_ssh()).collect();
                let signers = signed.into_iter().map(|(name, _)| name).collect();
                self.signature = Some(Proven { signers, by, fact });
            }
            EvidenceForm::Minisign => self.add_proven(form, bytes, policy, "signed with minisign"),
            EvidenceForm::ImageSignature => self.add_proven(form, bytes, policy, "signed an image"),
            EvidenceForm::Sigstore => self.add_proven(form, bytes, policy, "signed a Sigstore bundle"),
        }
    }

    fn add_proven(&mut self, form: &EvidenceForm, bytes: &[u8], policy: &PolicySet, detail: &str) {
        let Some((signers, fact)) = signed::proven(form, bytes, policy) else { return };
        for name in &signers {
            self.add(key_term(name.as_str()), &format!("signed by {name}"));
        }
        let key = fact.key.map(|key| key.to_string());
        for by in key.iter().chain(&fact.identity) {
            self.add(key_term(by), detail);
        }
        let by = fact.identity.clone().or(key).into_iter().collect();
        self.signature = Some(Proven { signers, by, fact });
    }

    /// How the verification of its signature ended, where it is signed.
    pub fn signature(&self) -> Option<&Proven> {
        self.signature.as_ref()
    }

    /// Whether it is signed, and by no signer of the policy set.
    fn is_unverified(&self) -> bool {
        self.signature.as_ref().is_some_and(|proven| proven.signers.is_empty())
    }

    /// What it says of what runs.
    pub fn word(&self) -> Option<&Word> {
        self.word.as_ref()
    }

    /// The rows of a piece of evidence about a release.
    fn rows(&self, release: &ReleaseName, evidence: &Digest, kind: &str) -> Vec<(String, Vec<u8>)> {
        let via = evidence.to_string();
        let mark = |detail: &str| match self.is_unverified() {
            true => format!("{detail}\t{UNVERIFIED}"),
            false => detail.to_owned(),
        };
        let one = |(term, detail): (&String, &String)| row(term, release, &via, kind, &mark(detail));
        let mut rows: Vec<(String, Vec<u8>)> = self.details.iter().map(one).collect();
        rows.push(row(&via, release, &via, kind, &mark("evidence")));
        rows
    }
}

fn row(term: &str, release: &ReleaseName, via: &str, kind: &str, detail: &str) -> (String, Vec<u8>) {
    (format!("{term}\t{release}\t{via}"), format!("{kind}\t{detail}").into_bytes())
}

fn stage(staging: &mut Staging<'_>, rows: Vec<(String, Vec<u8>)>) {
    for (key, value) in rows {
        staging.project(WHERE, key, Some(value));
    }
}

/// Marks a new ledger's index as written by this version from its first entry on.
pub fn begin(staging: &mut Staging<'_>) {
    staging.project(STATE, STATE_KEY.to_owned(), Some(VERSION.as_bytes().to_vec()));
}

/// Remembers a piece of evidence; `about` names the artifacts where they are not all of the release's.
pub fn remember_evidence(
    staging: &mut Staging<'_>,
    terms: &Terms,
    release: &ReleaseName,
    (evidence, kind): (&Digest, &str),
    about: Option<&[Digest]>,
) {
    stage(staging, terms.rows(release, evidence, kind));
    stage(staging, about.map(|about| about_row(release, evidence, about)).into_iter().collect());
}

fn about_row(release: &ReleaseName, evidence: &Digest, about: &[Digest]) -> (String, Vec<u8>) {
    let listed: Vec<String> = about.iter().map(ToString::to_string).collect();
    (format!("{ABOUT}\t{release}\t{evidence}"), listed.join(",").into_bytes())
}

/// Remembers what a release was published with.
pub fn remember_release(staging: &mut Staging<'_>, manifest: &Manifest, digest: &Digest) {
    stage(staging, release_rows(manifest, digest));
}

fn release_rows(manifest: &Manifest, digest: &Digest) -> Vec<(String, Vec<u8>)> {
    let release = &manifest.release;
    let one = |digest: &Digest, kind: &str, detail: &str| {
        let name = digest.to_string();
        row(&name, release, &name, kind, &clean(detail))
    };
    let mut rows = vec![one(digest, "manifest", "")];
    rows.extend(manifest.artifacts.iter().map(|artifact| one(&artifact.digest, "artifact", &artifact.name)));
    rows.extend(manifest.notes.iter().map(|notes| one(notes, "notes", "")));
    let built = "built from this commit, as published";
    let commit = manifest.source.iter().map(|source| build_term(&source.commit));
    rows.extend(commit.map(|term| row(&term, release, &digest.to_string(), "manifest", built)));
    rows
}

/// Remembers an approval or rejection, by key and by person.
pub fn remember_approval(staging: &mut Staging<'_>, event: &ApprovalRecorded, index: EntryIndex) {
    stage(staging, approval_rows(event, index));
}

fn approval_rows(event: &ApprovalRecorded, index: EntryIndex) -> Vec<(String, Vec<u8>)> {
    let (kind, verb) = match event.verdict {
        Verdict::Approve => ("approval", "approved"),
        Verdict::Reject => ("rejection", "rejected"),
    };
    let via = format!("{}/{index}", event.promotion);
    let detail = format!("{} {verb} {} with {}", event.approver, event.promotion, event.key);
    [event.key.as_str(), event.approver.as_str()]
        .into_iter()
        .map(|key| row(&key_term(key), &event.release, &via, kind, &clean(&detail)))
        .collect()
}

/// Remembers who let a release past its gates, by key and by person: who signed a break-glass, asked for a waiver, or
/// granted one.
///
/// # Errors
/// `LEDGER_EMPTY`.
pub fn remember_exception(staging: &mut Staging<'_>, event: &Event, index: EntryIndex) -> Result<(), Fault> {
    let rows = exception_rows(staging.governance()?, event, index);
    stage(staging, rows);
    Ok(())
}

/// Their `via` is `<environment>/<entry>`. A waiver that names no release, but all or an artifact, has no rows.
fn exception_rows(governance: &Governance, event: &Event, index: EntryIndex) -> Vec<(String, Vec<u8>)> {
    let (kind, release, environment, signed) = match event {
        Event::BreakGlassOpened(event) => {
            let what = format!("opened a break-glass into {}", event.environment);
            ("break-glass", &event.release, &event.environment, vec![(&event.by, &event.signature, what)])
        }
        Event::BreakGlassSigned(event) => {
            let Ok(opened) = governance.break_glass(event.break_glass) else { return Vec::new() };
            let (release, environment) = (&opened.event.release, &opened.event.environment);
            let what = format!("signed the break-glass of entry {} into {environment}", opened.index);
            ("break-glass", release, environment, vec![(&event.by, &event.signature, what)])
        }
        Event::WaiverGranted(event) => {
            let Some(release) = &event.release else { return Vec::new() };
            let finding = cut(&event.finding, DETAIL_MAX);
            let what = |verb: &str| format!("{verb} a waiver of {finding} in {}", event.environment);
            let asked = (&event.asked_by, &event.asked_signature, what("asked for"));
            let granted = (&event.granted_by, &event.granted_signature, what("granted"));
            ("waiver", release, &event.environment, vec![asked, granted])
        }
        _ => return Vec::new(),
    };
    let via = format!("{environment}/{index}");
    let mut rows = Vec::new();
    for (by, signature, what) in signed {
        let Ok(signature) = SshSignature::parse_armored(signature) else { continue };
        let key = signature.public_key().fingerprint();
        let detail = clean(&format!("{by} {what} with {key}"));
        rows.extend([key.as_str(), by.as_str()].map(|term| row(&key_term(term), release, &via, kind, &detail)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::{Severity, Vulnerabilities};
    use lockgate_sign::attestation_key::AttestationKey;

    fn keys(claim: &Claim, components: &[Component]) -> Vec<String> {
        Terms::of(claim, components).details.into_keys().collect()
    }

    #[test]
    fn packages_are_found_with_and_without_a_url() {
        let component = |name: &str, version: Option<&str>, purl: Option<&str>| Component {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            purl: purl.map(str::to_owned),
            licence: None,
        };
        let components = [
            component("session", Some("0.9.4"), Some("pkg:npm/%40acme/session@0.9.4?arch=x")),
            component("router", Some("4.1.0"), Some("pkg:npm/router")),
            component("lib\tx", None, None),
        ];
        let claim = Claim::Unknown { predicate_type: String::new() };
        assert_eq!(
            keys(&claim, &components),
            ["pkg:generic/lib x\t", "pkg:npm/@acme/session\t0.9.4", "pkg:npm/router\t4.1.0"]
        );
    }

    #[test]
    fn findings_are_found_by_every_name() {
        let finding = Finding {
            id: "CVE-2099-1".to_owned(),
            aliases: vec!["ghsa-aaaa".to_owned()],
            package: "a".to_owned(),
            version: "1".to_owned(),
            purl: Some("pkg:npm/a@1".to_owned()),
            severity: Severity::High,
            ..Finding::default()
        };
        let scan = Vulnerabilities {
            scanner: "trivy".to_owned(),
            scanner_version: None,
            scanned_at: None,
            findings: vec![finding],
        };
        let terms = Terms::of(&Claim::Vulnerabilities(scan), &[]);
        let found: Vec<(&str, &str)> =
            terms.details.iter().map(|(term, detail)| (term.as_str(), detail.as_str())).collect();
        assert_eq!(
            found,
            [("pkg:npm/a\t1", ""), ("vuln:CVE-2099-1", "high in a 1"), ("vuln:GHSA-AAAA", "high in a 1"),]
        );
    }

    #[test]
    fn what_no_trusted_key_signed_is_unverified() {
        let (own, other) = (AttestationKey::generate().unwrap(), AttestationKey::generate().unwrap());
        let (pem, id) = (own.public().to_pem(), own.public().keyid_ssh());
        let mut files = PolicySet::starter("starter").unwrap();
        let trust = format!("[[signer]]\nname = \"ci\"\nkey = \"\"\"\n{pem}\"\"\"\nsigns = [\"provenance\"]\n");
        files.insert("trust.toml".to_owned(), trust);
        let policy = PolicySet::from_files(files).unwrap();
        let release: ReleaseName = "shop/web@1.0.0".parse().unwrap();
        let check = |key: &AttestationKey, keyid: &str, class: &str, signers: &[&str]| {
            let envelope = Envelope::sign("application/vnd.in-toto+json", b"{}", key, &[keyid.to_owned()]).unwrap();
            let mut terms = Terms::default();
            terms.add(builder_term("https://ci.example"), "built it");
            terms.add_signers(&EvidenceForm::Envelope, &envelope.to_json(), &policy);
            let proven = terms.signature().unwrap();
            let names: Vec<&str> = proven.signers.iter().map(SignerName::as_str).collect();
            assert_eq!((proven.fact.class.as_str(), names.as_slice()), (class, signers), "{keyid}");
            let rows = terms.rows(&release, &Digest::of(b"evidence"), "provenance");
            for (key, value) in rows {
                assert_eq!(value.ends_with(b"\tunverified"), signers.is_empty(), "{key}");
            }
        };
        check(&own, &id, "without-log", &["ci"]);
        check(&own, "", "without-log", &["ci"]);
        check(&other, &id, "signature-invalid", &[]);
        check(&other, "", "identity-mismatch", &[]);
        // A report is signed by nobody, and says so by what it is.
        assert!(!Terms::default().is_unverified());
    }

    #[test]
    fn too_many_terms_are_told_as_such() {
        let mut terms = Terms::default();
        for number in 0..=TERMS_MAX {
            terms.add(package_term("pkg:npm/a", &number.to_string()), "");
        }
        assert!(terms.details.contains_key(PARTIAL));
        assert_eq!(terms.details.len(), TERMS_MAX + 1);
        let long = "é".repeat(TEXT_MAX);
        assert!(clean(&long).len() <= TEXT_MAX);
    }
}
