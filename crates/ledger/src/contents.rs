//! Contents: what a release is made of, as its manifest and its evidence say, for comparing and for finding.
//!
//! Only what evidence claims is read here; whether somebody trusted stands behind it is for the gates. Where several
//! pieces of evidence speak of one thing, the worse counts. The reading is pure and looks at no policy set, so that it
//! comes out the same for the approver, for the server and for an auditor years later.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};

use lockgate_evidence::component;
use lockgate_evidence::error::EvidenceError;
use lockgate_evidence::report::Format;
use lockgate_evidence::sbom::Component;
use lockgate_evidence::statement::Statement;
use lockgate_model::facts::{ARTIFACT_SIGNATURE, Artifact, Claim, Finding, Source, Vulnerabilities, bare_purl, merge};
use lockgate_model::{Digest, Limits, ReleaseName, TreeSize};
use lockgate_sign::dsse::Envelope;
use lockgate_sigstore::{Bundle, Content, ImageSignature};

use crate::bodies::{Bodies, BodyError, required, with_reader};
use crate::detached::minisign_of;
use crate::entry::{EvidenceForm, EvidenceRecorded};
use crate::facts::{is_statement_type, is_streamed};
use crate::release::ReleaseState;
use crate::state::ApplyError;

/// What one piece of evidence says, whoever signed it.
#[derive(Debug, Clone)]
pub struct Said {
    /// The claim.
    pub claim: Claim,
    /// Every component, where it is a bill of materials.
    pub components: Vec<Component>,
    /// The artifacts that it names; a report names none, and is about what it was handed in for.
    pub subjects: Vec<Digest>,
}

impl Said {
    fn malformed(reason: String) -> Self {
        Self { claim: Claim::Malformed { reason }, components: Vec::new(), subjects: Vec::new() }
    }
}

/// Reads the bytes of a piece of evidence. Total: what cannot be read says [`Claim::Malformed`].
pub fn read_evidence(form: &EvidenceForm, bytes: &[u8]) -> Said {
    match form {
        EvidenceForm::Report { format, .. } => read_report(format, bytes),
        EvidenceForm::Envelope => match Envelope::parse(bytes, &Limits::DEFAULT) {
            Ok(envelope) => read_envelope(&envelope),
            Err(error) => Said::malformed(error.to_string()),
        },
        EvidenceForm::Minisign => match minisign_of(bytes) {
            Ok(signature) => signature_of(signature.subject()),
            Err(refusal) => Said::malformed(refusal.to_string()),
        },
        EvidenceForm::ImageSignature => match ImageSignature::parse(bytes, &Limits::DEFAULT) {
            Ok(signature) => signature_of(Some(signature.image)),
            Err(refusal) => Said::malformed(refusal.to_string()),
        },
        EvidenceForm::Sigstore => match Bundle::parse(bytes, &Limits::DEFAULT) {
            Err(refusal) => Said::malformed(refusal.to_string()),
            Ok(bundle) => match bundle.content() {
                Content::Envelope(envelope) => read_envelope(envelope),
                Content::Message { digest, .. } => signature_of(*digest),
            },
        },
    }
}

/// Reads a recorded piece of evidence; a large report as its bytes come.
///
/// # Errors
/// When its body cannot be had.
pub fn read_recorded(event: &EvidenceRecorded, bodies: &dyn Bodies) -> Result<Said, BodyError> {
    if let EvidenceForm::Report { format, .. } = &event.form
        && let Ok(format) = format.parse::<Format>()
        && is_streamed(format, event.size_bytes)
    {
        let read = |reader: &mut dyn Read| component::read_report_from(format, reader, &Limits::DEFAULT);
        return with_reader(bodies, &event.evidence, read).map(said);
    }
    Ok(read_evidence(&event.form, &required(bodies, &event.evidence)?))
}

/// A signature over an artifact itself, which says nothing but whose it is.
fn signature_of(subject: Option<Digest>) -> Said {
    Said {
        claim: Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() },
        components: Vec::new(),
        subjects: subject.into_iter().collect(),
    }
}

fn read_report(format: &str, bytes: &[u8]) -> Said {
    said(format.parse::<Format>().and_then(|format| component::read_report(format, bytes, &Limits::DEFAULT)))
}

fn said(read: Result<(Claim, Vec<Component>), EvidenceError>) -> Said {
    match read {
        Ok((claim, components)) => Said { claim, components, subjects: Vec::new() },
        Err(error) => Said::malformed(error.message),
    }
}

fn read_envelope(envelope: &Envelope) -> Said {
    if !is_statement_type(&envelope.payload_type) {
        return Said::malformed("the payload is not an in-toto statement".to_owned());
    }
    match Statement::parse(&envelope.payload, &Limits::DEFAULT) {
        Err(error) => Said::malformed(error.message),
        Ok(statement) => {
            let (claim, components) = component::read_statement(&statement, &Limits::DEFAULT);
            let subjects = statement.subjects.iter().filter_map(|subject| subject.sha256).collect();
            Said { claim, components, subjects }
        }
    }
}

/// What a release is made of.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Which release.
    pub name: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Its artifacts.
    pub artifacts: Vec<Artifact>,
    /// Where it was built from: as published, else as its provenance says.
    pub source: Option<Source>,
    /// Every component by name; absent without a bill of materials that reads.
    pub components: Option<BTreeMap<String, ComponentUse>>,
    /// Every component as package and version; absent where an artifact has no bill of materials that reads.
    pub packages: Option<BTreeSet<Package>>,
    /// Every finding, each told once; absent without a scan that reads.
    pub findings: Option<Vec<Finding>>,
    /// The scanners that looked at all of its artifacts.
    pub scanners: BTreeSet<String>,
    /// Its tests, of all reports together; absent without one that reads.
    pub tests: Option<TestCounts>,
    /// The lowest line coverage of all reports, in basis points.
    pub coverage: Option<u64>,
    /// The digest of each configuration, by name and environment; the last one recorded counts.
    pub configurations: BTreeMap<(String, Option<String>), Digest>,
}

/// A package, by its URL without a version or by its name, and the version; empty where none is told.
pub type Package = (String, String);

/// In which versions and under which licences a component is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentUse {
    /// Its versions; `(no version)` where the document gives none.
    pub versions: BTreeSet<String>,
    /// Its licences, as SPDX expressions.
    pub licences: BTreeSet<String>,
    /// One of its package URLs.
    pub purl: Option<String>,
}

/// How tests came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestCounts {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
}

/// A recorded scan.
struct Scanned {
    evidence: Digest,
    /// The artifacts that it is about.
    about: BTreeSet<Digest>,
    scan: Vulnerabilities,
}

/// The artifacts that a piece of evidence is about; `subjects` are those that it names itself.
fn about(form: &EvidenceForm, subjects: Vec<Digest>) -> BTreeSet<Digest> {
    match form {
        EvidenceForm::Report { artifacts, .. } => artifacts.iter().copied().collect(),
        EvidenceForm::Envelope | EvidenceForm::Sigstore | EvidenceForm::Minisign | EvidenceForm::ImageSignature => {
            subjects.into_iter().collect()
        }
    }
}

impl Contents {
    /// Reads a release with the evidence that a ledger of `known` entries held about it.
    ///
    /// # Errors
    /// What a body cannot be had for: without all evidence nothing is compared.
    pub fn read(release: &ReleaseState, known: TreeSize, bodies: &dyn Bodies) -> Result<Self, ApplyError> {
        let manifest = &release.manifest;
        let mut contents = Self::bare(release.name.clone(), release.manifest_digest, manifest.artifacts.clone());
        contents.source.clone_from(&manifest.source);
        let (mut scans, mut listed) = (Vec::new(), BTreeSet::new());
        for record in release.evidence.iter().filter(|record| record.index.0 < known.0) {
            let Said { claim, components, subjects } = read_recorded(&record.event, bodies)?;
            let about = about(&record.event.form, subjects);
            match claim {
                Claim::Vulnerabilities(scan) => {
                    scans.push(Scanned { evidence: record.event.evidence, about, scan });
                }
                claim => {
                    if matches!(claim, Claim::Sbom(_)) {
                        listed.extend(about);
                    }
                    contents.add(claim, components);
                }
            }
        }
        contents.add_scans(&scans);
        if !contents.artifacts.iter().all(|artifact| listed.contains(&artifact.digest)) {
            contents.packages = None;
        }
        Ok(contents)
    }

    /// A release of which no evidence was read.
    pub(crate) fn bare(name: ReleaseName, manifest: Digest, artifacts: Vec<Artifact>) -> Self {
        Self {
            name,
            manifest,
            artifacts,
            source: None,
            components: None,
            packages: None,
            findings: None,
            scanners: BTreeSet::new(),
            tests: None,
            coverage: None,
            configurations: BTreeMap::new(),
        }
    }

    /// Takes every finding of every scan: whether a newer scan is one that counts is for the gates, and nobody makes a
    /// finding go away by handing in another report.
    fn add_scans(&mut self, scans: &[Scanned]) {
        if scans.is_empty() {
            return;
        }
        let mut seen: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
        let mut findings = Vec::new();
        for Scanned { evidence, about, scan } in scans {
            seen.entry(&scan.scanner).or_default().extend(about);
            findings.extend(scan.findings.iter().map(|finding| finding.clone().sourced(&scan.scanner, *evidence)));
        }
        let whole = |about: &BTreeSet<Digest>| self.artifacts.iter().all(|artifact| about.contains(&artifact.digest));
        let looked = seen.iter().filter(|(_, about)| whole(about)).map(|(scanner, _)| (*scanner).to_owned());
        self.scanners = looked.collect();
        self.findings = Some(merge(findings));
    }

    fn add(&mut self, claim: Claim, components: Vec<Component>) {
        match claim {
            Claim::Sbom(_) => self.add_components(components),
            Claim::Tests(tests) => {
                let counts = self.tests.get_or_insert_default();
                counts.passed = counts.passed.saturating_add(tests.passed);
                counts.failed = counts.failed.saturating_add(tests.failed);
                counts.skipped = counts.skipped.saturating_add(tests.skipped);
            }
            Claim::Coverage(coverage) => {
                self.coverage = match (self.coverage, coverage.line_basis_points) {
                    (Some(known), Some(found)) => Some(known.min(found)),
                    (known, found) => known.or(found),
                };
            }
            Claim::Configuration(configuration) => {
                let key = (configuration.name, configuration.environment);
                self.configurations.insert(key, configuration.digest);
            }
            Claim::Provenance(provenance) if self.source.is_none() => {
                if let (Some(repository), Some(commit)) = (provenance.source_repository, provenance.source_commit) {
                    self.source = Some(Source { repository, commit });
                }
            }
            _ => {}
        }
    }

    fn add_components(&mut self, components: Vec<Component>) {
        let known = self.components.get_or_insert_default();
        let packages = self.packages.get_or_insert_default();
        for component in components {
            let Component { name, version, purl, licence } = component;
            packages.extend(packages_of(&name, purl.as_deref(), version.as_deref()));
            let uses = known.entry(name).or_default();
            uses.versions.insert(version.unwrap_or_else(|| "(no version)".to_owned()));
            uses.licences.extend(licence);
            uses.purl = uses.purl.take().or(purl);
        }
    }

    /// How many bytes its artifacts have together.
    pub fn size_bytes(&self) -> u64 {
        self.artifacts.iter().fold(0, |sum, artifact| sum.saturating_add(artifact.size_bytes))
    }
}

/// By what a bill of materials lists a package, or would: its name, and its URL where there is one.
pub(crate) fn packages_of(name: &str, purl: Option<&str>, version: Option<&str>) -> Vec<Package> {
    let url = purl.map(bare_purl);
    let in_url = url.as_ref().and_then(|(_, version)| version.as_deref());
    let version = in_url.or(version).unwrap_or_default().to_owned();
    let names = [Some(name), url.as_ref().map(|(package, _)| package.as_str())];
    let named = names.into_iter().flatten().filter(|name| !name.is_empty());
    named.map(|name| (name.to_owned(), version.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str) -> Artifact {
        Artifact { digest: Digest::of(name.as_bytes()), name: name.to_owned(), size_bytes: 1 }
    }

    /// A numbered scan, about artifacts by name, with findings by id.
    fn scanned(number: u64, scanner: &str, about: &[&str], ids: &[&str]) -> Scanned {
        let finding = |id: &&str| Finding { id: (*id).to_owned(), package: "a".to_owned(), ..Finding::default() };
        Scanned {
            evidence: Digest::of(&number.to_be_bytes()),
            about: about.iter().map(|name| artifact(name).digest).collect(),
            scan: Vulnerabilities {
                scanner: scanner.to_owned(),
                scanner_version: None,
                scanned_at: None,
                findings: ids.iter().map(finding).collect(),
            },
        }
    }

    fn contents() -> Contents {
        let artifacts = vec![artifact("app"), artifact("lib")];
        Contents::bare("shop/web@1.0.0".parse().unwrap(), Digest::of(b"manifest"), artifacts)
    }

    #[test]
    fn every_finding_counts_and_a_scanner_has_looked_where_it_saw_all_artifacts() {
        let check = |scans: &[Scanned], ids: &[&str], scanners: &[&str]| {
            let mut contents = contents();
            contents.add_scans(scans);
            let found: Vec<String> = contents.findings.unwrap().into_iter().map(|finding| finding.id).collect();
            assert_eq!(found, ids);
            assert_eq!(contents.scanners.iter().map(String::as_str).collect::<Vec<_>>(), scanners);
        };
        let both = ["app", "lib"];
        let old = || scanned(1, "trivy", &both, &["CVE-1", "CVE-2"]);
        check(&[old()], &["CVE-1", "CVE-2"], &["trivy"]);
        // A newer one takes nothing away, whoever made it.
        check(&[old(), scanned(2, "trivy", &both, &["CVE-2"])], &["CVE-1", "CVE-2"], &["trivy"]);
        check(&[old(), scanned(2, "grype", &both, &[])], &["CVE-1", "CVE-2"], &["grype", "trivy"]);
        check(&[scanned(1, "trivy", &["app"], &["CVE-1"])], &["CVE-1"], &[]);
        check(&[scanned(1, "trivy", &["app"], &["CVE-1"]), scanned(2, "trivy", &["lib"], &[])], &["CVE-1"], &["trivy"]);
        let mut nothing = contents();
        nothing.add_scans(&[]);
        assert!(nothing.findings.is_none() && nothing.scanners.is_empty());
    }

    #[test]
    fn packages_go_by_name_and_by_url() {
        let check = |name: &str, purl: Option<&str>, version: Option<&str>, expected: &[(&str, &str)]| {
            let found = packages_of(name, purl, version);
            let found: Vec<(&str, &str)> =
                found.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
            assert_eq!(found, expected);
        };
        check("a", Some("pkg:npm/a@1?x=y"), Some("2"), &[("a", "1"), ("pkg:npm/a", "1")]);
        check("a", Some("pkg:npm/a"), Some("2"), &[("a", "2"), ("pkg:npm/a", "2")]);
        check("a", None, None, &[("a", "")]);
        check("", None, Some("1"), &[]);
    }
}
