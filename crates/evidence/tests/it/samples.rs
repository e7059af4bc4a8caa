//! Our own sample reports, which the documentation shows: they say what it says they do.

use lockgate_evidence::{Format, Statement, claim_of, components, detect, read};
use lockgate_model::facts::{Claim, Completeness, Severity};
use lockgate_model::{Digest, Limits};

const JUNIT: &[u8] = include_bytes!("../../testdata/junit.xml");
const SBOM: &[u8] = include_bytes!("../../testdata/sbom.cdx.json");
const TRIVY: &[u8] = include_bytes!("../../testdata/trivy.json");
const TRIVY_CRITICAL: &[u8] = include_bytes!("../../testdata/trivy-critical.json");
const GRYPE: &[u8] = include_bytes!("../../testdata/grype.json");
const SARIF: &[u8] = include_bytes!("../../testdata/results.sarif");
const PROVENANCE: &[u8] = include_bytes!("../../testdata/provenance-v1.json");

fn claim(format: Format, bytes: &[u8]) -> Claim {
    assert_eq!(detect(bytes), Some(format));
    read(format, bytes, &Limits::DEFAULT).unwrap()
}

#[test]
fn twelve_tests_pass() {
    let Claim::Tests(tests) = claim(Format::Junit, JUNIT) else { panic!("not tests") };
    assert_eq!((tests.passed, tests.failed, tests.skipped), (12, 0, 0));
    assert_eq!(tests.finished_at, None);
}

#[test]
fn six_components_are_pinned() {
    let Claim::Sbom(sbom) = claim(Format::CycloneDx, SBOM) else { panic!("not an SBOM") };
    assert_eq!((sbom.components, sbom.without_version, sbom.without_identifier), (6, 0, 0));
    assert_eq!(sbom.completeness, Completeness::Complete);
    let listed = components(Format::CycloneDx, SBOM, &Limits::DEFAULT).unwrap();
    assert!(listed.iter().all(|component| component.version.is_some() && component.purl.is_some()));
}

#[test]
fn scans_find_what_they_should() {
    let Claim::Vulnerabilities(clean) = claim(Format::Trivy, TRIVY) else { panic!("not a scan") };
    assert!(clean.findings.is_empty());
    let Claim::Vulnerabilities(bad) = claim(Format::Trivy, TRIVY_CRITICAL) else { panic!("not a scan") };
    let severities: Vec<Severity> = bad.findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Critical, Severity::Medium, Severity::Medium]);
    let fixed: Vec<Option<&str>> = bad.findings.iter().map(|finding| finding.fixed.as_deref()).collect();
    assert_eq!(fixed, [Some("1.2.9"), Some("2.8.6"), None]);
    assert!(bad.findings.iter().all(|finding| finding.disclosed_at.is_some() && finding.purl.is_some()));
    let Claim::Vulnerabilities(grype) = claim(Format::Grype, GRYPE) else { panic!("not a scan") };
    let rows: Vec<(&str, Severity)> =
        grype.findings.iter().map(|finding| (finding.id.as_str(), finding.severity)).collect();
    assert_eq!(rows, [("CVE-2099-10001", Severity::High), ("CVE-2099-10004", Severity::Low)]);
}

#[test]
fn static_analysis_finds_little() {
    let Claim::StaticAnalysis(analysis) = claim(Format::Sarif, SARIF) else { panic!("not static analysis") };
    assert_eq!((analysis.errors, analysis.warnings, analysis.notes, analysis.suppressed), (0, 1, 1, 1));
    assert_eq!(analysis.tools, ["shoplint"]);
}

#[test]
fn provenance_names_its_source() {
    let statement = Statement::parse(PROVENANCE, &Limits::DEFAULT).unwrap();
    let artifact = Digest::from_bytes([0; 32]);
    assert_eq!(statement.about(&[Digest::of(b"other"), artifact]), [artifact]);
    let Claim::Provenance(provenance) = claim_of(&statement, &Limits::DEFAULT) else { panic!("not provenance") };
    assert_eq!(provenance.source_repository.as_deref(), Some("https://git.example/shop/web"));
    assert_eq!(provenance.source_ref.as_deref(), Some("refs/tags/v1.4.2"));
    assert_eq!(provenance.source_commit.as_deref(), Some("5f2c1d9a7b3e4860a1c2d3e4f5061728394a5b6c"));
    assert_eq!(provenance.authors, ["dana"]);
    assert!(provenance.finished_at.is_some());
}
