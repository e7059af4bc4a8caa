//! Reports that tools write without a statement around them.
//!
//! The format is told by the structure of the document, never by a file's name, and a report is read as one format
//! and no other.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;

use lockgate_model::Limits;
use lockgate_model::facts::Claim;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::document;
use crate::error::{EvidenceError, excerpt};
use crate::sbom::{Bom, Component};
use crate::stream::Source;
use crate::{
    change, check, cobertura, configuration, criterion, csaf, cyclonedx, flags, grype, junit, k6, lcov, openvex, osv,
    own, performance, rebuild, sarif, secrets, source, spdx, trivy, xml,
};

/// A report format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// CycloneDX 1.4 to 1.7 in JSON.
    CycloneDx,
    /// CycloneDX 1.4 to 1.7 in JSON, of which only what it says of vulnerabilities is read.
    CycloneDxVex,
    /// SPDX 2.2 or 2.3 in JSON, or 3.0 in JSON-LD.
    Spdx,
    /// OpenVEX 0.2.0.
    OpenVex,
    /// CSAF 2.0, VEX profile.
    Csaf,
    /// OSV: what `osv-scanner` found, or records of the OSV schema.
    Osv,
    /// JUnit XML.
    Junit,
    /// Trivy's JSON, schema version 2.
    Trivy,
    /// Grype's JSON.
    Grype,
    /// SARIF 2.1.0.
    Sarif,
    /// Cobertura XML, DTD 04.
    Cobertura,
    /// An LCOV tracefile.
    Lcov,
    /// Performance results in Lockgate's own format.
    Performance,
    /// Criterion's `estimates.json`.
    Criterion,
    /// A summary of k6, of either kind.
    K6,
    /// Results of a rebuild in Lockgate's own format.
    Rebuild,
    /// A change ticket in Lockgate's own format.
    Change,
    /// A named check in Lockgate's own format.
    Check,
    /// Gitleaks' JSON.
    Gitleaks,
    /// TruffleHog's JSON lines.
    Trufflehog,
    /// A configuration's digest in Lockgate's own format.
    Configuration,
    /// The state of feature flags in Lockgate's own format.
    Flags,
    /// A review of source in Lockgate's own format.
    Review,
}

impl Format {
    /// Every format, in the order in which help texts name them.
    pub const ALL: [Self; 23] = [
        Self::CycloneDx,
        Self::CycloneDxVex,
        Self::Spdx,
        Self::OpenVex,
        Self::Csaf,
        Self::Osv,
        Self::Junit,
        Self::Trivy,
        Self::Grype,
        Self::Sarif,
        Self::Cobertura,
        Self::Lcov,
        Self::Performance,
        Self::Criterion,
        Self::K6,
        Self::Rebuild,
        Self::Change,
        Self::Check,
        Self::Gitleaks,
        Self::Trufflehog,
        Self::Configuration,
        Self::Flags,
        Self::Review,
    ];

    /// The word for it, such as `cyclonedx`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx",
            Self::CycloneDxVex => "cyclonedx-vex",
            Self::Spdx => "spdx",
            Self::OpenVex => "openvex",
            Self::Csaf => "csaf",
            Self::Osv => "osv",
            Self::Junit => "junit",
            Self::Trivy => "trivy",
            Self::Grype => "grype",
            Self::Sarif => "sarif",
            Self::Cobertura => "cobertura",
            Self::Lcov => "lcov",
            Self::Performance => "performance",
            Self::Criterion => "criterion",
            Self::K6 => "k6",
            Self::Rebuild => "rebuild",
            Self::Change => "change",
            Self::Check => "check",
            Self::Gitleaks => "gitleaks",
            Self::Trufflehog => "trufflehog",
            Self::Configuration => "configuration",
            Self::Flags => "flags",
            Self::Review => "review",
        }
    }

    /// The media type to store it under; tools that registered none get the plain one.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx | Self::CycloneDxVex => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
            Self::Junit => "application/xml",
            Self::Trivy | Self::Grype | Self::OpenVex | Self::Csaf | Self::Osv => "application/json",
            Self::Sarif => "application/sarif+json",
            Self::Cobertura => "application/xml",
            Self::Lcov => "text/plain",
            Self::Trufflehog => "application/x-ndjson",
            Self::Performance
            | Self::Criterion
            | Self::K6
            | Self::Rebuild
            | Self::Change
            | Self::Check
            | Self::Gitleaks
            | Self::Configuration
            | Self::Flags
            | Self::Review => "application/json",
        }
    }

    /// Whether it is read in one pass that keeps only what the claim needs; of the others the whole is held.
    pub const fn is_streamed(self) -> bool {
        matches!(
            self,
            Self::CycloneDx
                | Self::CycloneDxVex
                | Self::Spdx
                | Self::OpenVex
                | Self::Csaf
                | Self::Osv
                | Self::Trivy
                | Self::Grype
                | Self::Sarif
        )
    }

    /// The schema of a format of Lockgate's own (`docs/schemas`).
    pub const fn schema(self) -> Option<&'static str> {
        match self {
            Self::Performance => Some(own::PERFORMANCE),
            Self::Rebuild => Some(own::REBUILD),
            Self::Change => Some(own::CHANGE),
            Self::Check => Some(own::CHECK),
            Self::Configuration => Some(own::CONFIGURATION),
            Self::Flags => Some(own::FLAGS),
            Self::Review => Some(own::REVIEW),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = EvidenceError;
    fn from_str(text: &str) -> Result<Self, EvidenceError> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|format| format.as_str()).collect();
            EvidenceError::new(
                "EVIDENCE_UNKNOWN",
                format!("`{}` is not a report format: use one of {}", excerpt(text), known.join(", ")),
            )
        })
    }
}

/// The keys by which JSON formats are told apart.
#[derive(Deserialize)]
struct TopLevel {
    #[serde(rename = "bomFormat")]
    bom_format: Option<IgnoredAny>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<IgnoredAny>,
    #[serde(rename = "SchemaVersion")]
    schema_version: Option<IgnoredAny>,
    #[serde(rename = "Results")]
    results: Option<IgnoredAny>,
    #[serde(rename = "ArtifactName")]
    artifact_name: Option<IgnoredAny>,
    components: Option<IgnoredAny>,
    vulnerabilities: Option<IgnoredAny>,
    #[serde(rename = "@context")]
    context: Option<Value>,
    #[serde(rename = "@graph")]
    graph: Option<IgnoredAny>,
    statements: Option<IgnoredAny>,
    document: Option<IgnoredAny>,
    product_tree: Option<IgnoredAny>,
    vulns: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    modified: Option<IgnoredAny>,
    affected: Option<IgnoredAny>,
    #[serde(rename = "results")]
    scan_results: Option<IgnoredAny>,
    matches: Option<IgnoredAny>,
    descriptor: Option<IgnoredAny>,
    runs: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    schema: Option<Value>,
    mean: Option<IgnoredAny>,
    median: Option<IgnoredAny>,
    std_dev: Option<IgnoredAny>,
    metrics: Option<IgnoredAny>,
    root_group: Option<IgnoredAny>,
    #[serde(rename = "DetectorName")]
    detector_name: Option<IgnoredAny>,
    #[serde(rename = "SourceMetadata")]
    source_metadata: Option<IgnoredAny>,
    #[serde(rename = "RuleID")]
    rule_id: Option<IgnoredAny>,
    #[serde(rename = "Fingerprint")]
    fingerprint: Option<IgnoredAny>,
}

impl TopLevel {
    /// The format of Lockgate's own that the schema names, in whatever version.
    fn own(&self) -> Option<Format> {
        let named = self.schema.as_ref()?.as_str()?;
        Format::ALL
            .into_iter()
            .find(|format| format.schema().is_some_and(|schema| named == schema || own::is_version_of(named, schema)))
    }

    fn context_begins(&self, with: &str) -> bool {
        self.context.as_ref().and_then(Value::as_str).is_some_and(|context| context.starts_with(with))
    }

    /// CycloneDX that lists no components, but vulnerabilities, is written to say something of these.
    fn is_cyclonedx_vex(&self) -> bool {
        self.bom_format.is_some() && self.vulnerabilities.is_some() && self.components.is_none()
    }

    fn is_osv_record(&self) -> bool {
        self.vulns.is_some() || (self.id.is_some() && self.modified.is_some() && self.affected.is_some())
    }

    fn is_trufflehog(&self) -> bool {
        self.detector_name.is_some() && self.source_metadata.is_some()
    }

    /// The one format whose marks it has; none where it has those of two.
    fn format(&self, is_osv_scan: bool) -> Option<Format> {
        let top = self;
        let marks = [
            (Format::CycloneDx, top.bom_format.is_some() && !top.is_cyclonedx_vex()),
            (Format::CycloneDxVex, top.is_cyclonedx_vex()),
            (Format::Spdx, top.spdx_version.is_some()),
            (Format::Spdx, top.graph.is_some() && top.context_begins("https://spdx.org/")),
            (Format::OpenVex, top.statements.is_some() && top.context_begins("https://openvex.dev/")),
            (Format::Csaf, top.document.is_some() && (top.product_tree.is_some() || top.vulnerabilities.is_some())),
            (Format::Osv, top.is_osv_record()),
            (Format::Osv, is_osv_scan),
            (Format::Trivy, top.schema_version.is_some() && (top.results.is_some() || top.artifact_name.is_some())),
            (Format::Grype, top.matches.is_some() && top.descriptor.is_some()),
            (Format::Sarif, top.runs.is_some() && top.version.is_some()),
            (Format::Criterion, top.mean.is_some() && top.median.is_some() && top.std_dev.is_some()),
            (Format::K6, top.metrics.is_some() && top.root_group.is_some()),
            (Format::Trufflehog, top.is_trufflehog()),
        ];
        let mut found = marks.into_iter().filter(|(_, marked)| *marked).map(|(format, _)| format).chain(top.own());
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// Whether every line is a finding of TruffleHog, of which there is at least one.
fn is_trufflehog(bytes: &[u8]) -> bool {
    let mut lines =
        bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).peekable();
    let finding = |line: &[u8]| serde_json::from_slice::<TopLevel>(line).is_ok_and(|top| top.is_trufflehog());
    lines.peek().is_some() && lines.all(finding)
}

/// Whether a list holds findings of Gitleaks; an empty list could be anyone's.
fn is_gitleaks(bytes: &[u8]) -> bool {
    let list: Result<Vec<TopLevel>, _> = serde_json::from_slice(bytes);
    list.is_ok_and(|list| list.first().is_some_and(|first| first.rule_id.is_some() && first.fingerprint.is_some()))
}

/// Tells which format a report has, by its structure.
///
/// None when it has none of the known ones, or the marks of two; says nothing about whether [`read`] will accept it.
pub fn detect(bytes: &[u8]) -> Option<Format> {
    let bytes = without_mark(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'<' => match xml::root_name(bytes)?.as_str() {
            "testsuites" | "testsuite" => Some(Format::Junit),
            cobertura::ROOT => Some(Format::Cobertura),
            _ => None,
        },
        b'T' | b'S' => lcov::is_tracefile(bytes).then_some(Format::Lcov),
        b'[' => is_gitleaks(bytes).then_some(Format::Gitleaks),
        b'{' => {
            let Ok(top) = serde_json::from_slice::<TopLevel>(bytes) else {
                return is_trufflehog(bytes).then_some(Format::Trufflehog);
            };
            top.format(top.scan_results.is_some() && osv::is_scan(bytes))
        }
        _ => None,
    }
}

/// Tells the format of a JSON object of which only the outermost keys are looked at, as [`detect`] does, without holding
/// the rest of it.
///
/// None also where that takes the whole document: for what is no JSON object, and for what may be the output of
/// `osv-scanner`. Reads to the end unless the stream fails or the document does not read.
pub fn detect_from(mut from: &mut dyn Read) -> Option<Format> {
    let mut start = Vec::with_capacity(3);
    Read::by_ref(&mut from).take(3).read_to_end(&mut start).ok()?;
    let mut all = BufReader::with_capacity(64 * 1024, without_mark(&start).chain(from));
    loop {
        let (blank, next) = {
            let waiting = all.fill_buf().ok()?;
            // Blank to JSON, which a form feed is not: it must not matter where a piece of the stream ends.
            let blank = waiting.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            (blank, waiting.get(blank).copied())
        };
        match (blank, next) {
            (0, None) => return None,
            (_, None) => all.consume(blank),
            (_, Some(b'{')) => break,
            (_, Some(_)) => return None,
        }
    }
    let top: TopLevel = serde_json::from_reader(all).ok()?;
    if top.scan_results.is_some() {
        return None;
    }
    top.format(false)
}

/// Reads a report of a format into what it claims.
///
/// # Errors
/// [`EvidenceError`] with the code that says why; nothing is ever read in part.
pub fn read(format: Format, bytes: &[u8], limits: &Limits) -> Result<Claim, EvidenceError> {
    match format {
        Format::CycloneDx
        | Format::CycloneDxVex
        | Format::Spdx
        | Format::OpenVex
        | Format::Csaf
        | Format::Osv
        | Format::Trivy
        | Format::Grype
        | Format::Sarif => {
            document::check_size(bytes, limits)?;
            in_one_pass(format, Source::Bytes(without_mark(bytes)), limits)
        }
        Format::Junit => {
            document::check_size(bytes, limits)?;
            junit::read(without_mark(bytes), limits).map(Claim::Tests)
        }
        Format::Cobertura => cobertura::read(without_mark(bytes), limits).map(Claim::Coverage),
        Format::Lcov => lcov::read(without_mark(bytes), limits).map(Claim::Coverage),
        Format::Criterion => criterion::read(&parse(bytes, limits)?).map(Claim::Performance),
        Format::K6 => k6::read(&parse(bytes, limits)?, limits).map(Claim::Performance),
        Format::Gitleaks => secrets::gitleaks(&parse(bytes, limits)?, limits).map(Claim::Secrets),
        Format::Trufflehog => secrets::trufflehog(without_mark(bytes), limits).map(Claim::Secrets),
        Format::Performance => performance::read(&own_document(format, bytes, limits)?, limits).map(Claim::Performance),
        Format::Rebuild => rebuild::read(&own_document(format, bytes, limits)?, limits).map(Claim::Rebuild),
        Format::Change => change::read(&own_document(format, bytes, limits)?).map(Claim::Change),
        Format::Check => check::read(&own_document(format, bytes, limits)?).map(Claim::Check),
        Format::Configuration => configuration::read(&own_document(format, bytes, limits)?).map(Claim::Configuration),
        Format::Flags => flags::read(&own_document(format, bytes, limits)?, limits).map(Claim::Flags),
        Format::Review => source::review(&own_document(format, bytes, limits)?, limits).map(Claim::Source),
    }
}

/// Reads a report from a stream, which need not fit into memory.
///
/// CycloneDX, SPDX, VEX, OSV, Trivy, Grype and SARIF are read in one pass, and of them only what the claim needs is kept;
/// of the other formats the whole is held.
///
/// # Errors
/// As [`read`], and `EVIDENCE_READ` when the stream fails.
pub fn read_from(format: Format, from: &mut dyn Read, limits: &Limits) -> Result<Claim, EvidenceError> {
    match format.is_streamed() {
        true => after_mark(from, |source| in_one_pass(format, source, limits)),
        false => {
            let mut bytes = Vec::new();
            from.take(limits.evidence_bytes.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|error| failed(&error))?;
            read(format, &bytes, limits)
        }
    }
}

fn failed(error: &io::Error) -> EvidenceError {
    EvidenceError::new("EVIDENCE_READ", format!("the evidence cannot be read to its end: {error}"))
}

/// Reads a stream from behind its byte order mark, where it has one.
fn after_mark<T>(
    mut from: &mut dyn Read,
    read: impl FnOnce(Source<'_>) -> Result<T, EvidenceError>,
) -> Result<T, EvidenceError> {
    let mut start = Vec::with_capacity(3);
    Read::by_ref(&mut from).take(3).read_to_end(&mut start).map_err(|error| failed(&error))?;
    let mut all = without_mark(&start).chain(from);
    read(Source::Reader(&mut all))
}

/// Reads a bill of materials from a stream.
///
/// # Errors
/// As [`read_from`], and `EVIDENCE_UNKNOWN` for a format that is none.
pub(crate) fn bom_from(format: Format, from: &mut dyn Read, limits: &Limits) -> Result<Bom, EvidenceError> {
    after_mark(from, |source| bom(format, source, limits))
}

fn in_one_pass(format: Format, source: Source<'_>, limits: &Limits) -> Result<Claim, EvidenceError> {
    match format {
        Format::CycloneDxVex => cyclonedx::read_vex(source, limits).map(Claim::Vex),
        Format::OpenVex => openvex::read(source, limits).map(Claim::Vex),
        Format::Csaf => csaf::read(source, limits).map(Claim::Vex),
        Format::Osv => osv::read(source, limits).map(Claim::Vulnerabilities),
        Format::Trivy => trivy::read(source, limits).map(Claim::Vulnerabilities),
        Format::Grype => grype::read(source, limits).map(Claim::Vulnerabilities),
        Format::Sarif => sarif::read(source, limits).map(Claim::StaticAnalysis),
        _ => Ok(Claim::Sbom(bom(format, source, limits)?.claim())),
    }
}

/// Lists the components of a bill of materials, nested ones included, in the document's order.
///
/// # Errors
/// As [`read`], and `EVIDENCE_UNKNOWN` for a format that is no bill of materials.
pub fn components(format: Format, bytes: &[u8], limits: &Limits) -> Result<Vec<Component>, EvidenceError> {
    document::check_size(bytes, limits)?;
    bom(format, Source::Bytes(without_mark(bytes)), limits).map(Bom::into_components)
}

fn bom(format: Format, source: Source<'_>, limits: &Limits) -> Result<Bom, EvidenceError> {
    match format {
        Format::CycloneDx => cyclonedx::read(source, limits),
        Format::Spdx => spdx::read(source, limits),
        _ => Err(EvidenceError::new(
            "EVIDENCE_UNKNOWN",
            format!("`{format}` is not a bill of materials: use cyclonedx or spdx"),
        )),
    }
}

/// A document of Lockgate's own, which names its schema when no statement does.
fn own_document(format: Format, bytes: &[u8], limits: &Limits) -> Result<Value, EvidenceError> {
    let value = parse(bytes, limits)?;
    let named = value.get("schema").is_some();
    match (named, format.schema()) {
        (false, Some(schema)) => {
            Err(EvidenceError::malformed(format!("the document has no `schema`: write `\"schema\": \"{schema}\"`")))
        }
        _ => Ok(value),
    }
}

fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, EvidenceError> {
    document::check_size(bytes, limits)?;
    document::parse(without_mark(bytes), limits)
}

/// Leaves out one UTF-8 byte order mark, which tools for Windows write (RFC 8259, section 8.1, allows a reader that).
/// Statements get no such leniency: their bytes are signed.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [(Format, &str); 12] = [
        (
            Format::CycloneDxVex,
            r#"{"bomFormat":"CycloneDX","specVersion":"1.6","vulnerabilities":[{"id":"C","analysis":{"state":"exploitable"},"affects":[{"ref":"a"}]}]}"#,
        ),
        (
            Format::Spdx,
            r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{"type":"CreationInfo","specVersion":"3.0.1"},{"type":"software_Package","spdxId":"a","name":"a"}]}"#,
        ),
        (
            Format::OpenVex,
            r#"{"@context":"https://openvex.dev/ns/v0.2.0","author":"a","timestamp":"2026-11-20T10:00:00Z","statements":[{"vulnerability":{"name":"C"},"status":"fixed"}]}"#,
        ),
        (
            Format::Csaf,
            r#"{"document":{"category":"csaf_vex","csaf_version":"2.0","publisher":{"name":"a"},"tracking":{"id":"1","current_release_date":"2026-11-20T10:00:00Z"}},"product_tree":{"full_product_names":[{"product_id":"a"}]},"vulnerabilities":[{"cve":"C","product_status":{"fixed":["a"]}}]}"#,
        ),
        (Format::Osv, r#"{"id":"C","modified":"2026-11-20T10:00:00Z","affected":[{"package":{"name":"a"}}]}"#),
        (Format::Osv, r#"{"results":[{"packages":[{"package":{"name":"a"},"vulnerabilities":[{"id":"C"}]}]}]}"#),
        (
            Format::CycloneDx,
            r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"a"}]}"#,
        ),
        (Format::Spdx, r#"{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-a","name":"a"}]}"#),
        (Format::Junit, r#"<testsuite name="a"><testcase name="b"/></testsuite>"#),
        (
            Format::Trivy,
            r#"{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"C","PkgName":"p"}]}]}"#,
        ),
        (Format::Grype, r#"{"matches":[],"descriptor":{"name":"grype"}}"#),
        (Format::Sarif, r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"results":[{}]}]}"#),
    ];

    fn code(format: Format, text: &str) -> &'static str {
        read(format, text.as_bytes(), &Limits::DEFAULT).unwrap_err().code
    }

    #[test]
    fn words_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
        for other in ["", "CycloneDX", "junit ", "xml"] {
            assert_eq!(other.parse::<Format>().unwrap_err().code, "EVIDENCE_UNKNOWN", "{other}");
        }
    }

    #[test]
    fn the_structure_tells_the_format() {
        for (format, text) in SAMPLES {
            assert_eq!(detect(text.as_bytes()), Some(format), "{text}");
            assert_eq!(detect(format!("\u{feff}\n {text}\n").as_bytes()), Some(format), "{text}");
            assert!(read(format, text.as_bytes(), &Limits::DEFAULT).is_ok(), "{text}");
        }
        for other in [
            "",
            "{}",
            "[]",
            "null",
            "\"bomFormat\"",
            "{\"version\":1}",
            "{\"matches\":[]}",
            "<html/>",
            "{\"bomFormat\":",
            "[1,2,3,4,5,6,7,8,9]",
        ] {
            assert_eq!(detect(other.as_bytes()), None, "{other}");
        }
        assert_eq!(detect(br#"{"bomFormat":"CycloneDX","spdxVersion":"SPDX-2.3"}"#), None);
        assert_eq!(detect(b"<!DOCTYPE x><testsuite/>"), Some(Format::Junit));
        for ambiguous in [
            r#"{"bomFormat":"CycloneDX","vulnerabilities":[],"@context":"https://openvex.dev/ns/v0.2.0","statements":[]}"#,
            r#"{"document":{},"vulnerabilities":[],"runs":[],"version":"2.1.0"}"#,
            r#"{"results":[]}"#,
            r#"{"results":{"packages":[]}}"#,
            r#"{"results":[{"packages":{}}]}"#,
            r#"{"@context":"https://example.org/","@graph":[]}"#,
            r#"{"vulnerabilities":[],"catalogVersion":"1"}"#,
        ] {
            assert_eq!(detect(ambiguous.as_bytes()), None, "{ambiguous}");
        }
    }

    #[test]
    fn a_stream_shows_the_format_that_its_bytes_show() {
        let check = |text: &str, expected: Option<Format>| {
            assert_eq!(detect_from(&mut text.as_bytes()), expected, "{text}");
        };
        for (format, text) in SAMPLES {
            // The output of a scan needs a second look, and other formats are not read as streams.
            let is_told = text.starts_with('{') && !text.starts_with("{\"results\"");
            check(text, is_told.then_some(format));
            check(&format!("\u{feff} \r\n\t{text}\n "), is_told.then_some(format));
            // No blank of JSON, also where the pieces of the stream end behind it.
            assert_eq!(detect_from(&mut b"\x0c\n".chain(text.as_bytes())), None, "{text}");
            check(&format!("\u{c}\n{text}"), None);
            let padded = format!("{}{text}", " ".repeat(200_000));
            check(&padded, is_told.then_some(format));
            check(&format!("{text}x"), None);
        }
        for other in ["", " ", "[]", "null", "{}", "{", r#"{"results":[]}"#, "<testsuite/>"] {
            check(other, None);
        }
        check(r#"{"bomFormat":"CycloneDX","spdxVersion":"SPDX-2.3"}"#, None);
    }

    #[test]
    fn a_stream_reads_as_its_bytes_do() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        for (format, text) in SAMPLES {
            let marked = format!("\u{feff}{text}");
            for text in [text, marked.as_str()] {
                let streamed = read_from(format, &mut text.as_bytes(), &Limits::DEFAULT);
                assert_eq!(streamed, read(format, text.as_bytes(), &Limits::DEFAULT), "{text}");
            }
            let (start, _) = text.split_at(text.len() / 2);
            let mut cut = start.as_bytes().chain(Broken);
            assert_eq!(read_from(format, &mut cut, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_READ", "{format}");
            let small = Limits { evidence_bytes: 8, ..Limits::DEFAULT };
            let code = read_from(format, &mut text.as_bytes(), &small).unwrap_err().code;
            assert_eq!(code, "EVIDENCE_TOO_LARGE", "{format}");
        }
    }

    #[test]
    fn a_truncated_report_is_never_read() {
        for (format, text) in SAMPLES {
            for end in 0..text.len() {
                assert!(read(format, &text.as_bytes()[..end], &Limits::DEFAULT).is_err(), "{format} {end}");
                assert_eq!(
                    detect(&text.as_bytes()[..end]).filter(|found| *found != Format::Junit),
                    None,
                    "{format} {end}"
                );
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics() {
        for (format, text) in SAMPLES {
            for position in 0..text.len() {
                for replacement in [0, b'"', b'{', b']', b'<', b'9', 0xff] {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes[position] = replacement;
                    let _ = read(format, &bytes, &Limits::DEFAULT);
                    let _ = detect(&bytes);
                }
            }
        }
    }

    #[test]
    fn refuses_duplicates_depth_size_and_trailing_junk() {
        for (format, text) in SAMPLES.into_iter().filter(|(format, _)| *format != Format::Junit) {
            let first = text.split('"').nth(1).unwrap();
            let twice = text.replacen('{', &format!("{{\"{first}\":1,"), 1);
            assert_eq!(code(format, &twice), "DUPLICATE_KEY", "{format}");
            let deep = text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(70), "]".repeat(70)), 1);
            assert_eq!(code(format, &deep), "JSON_TOO_DEEP", "{format}");
            assert_eq!(code(format, &format!("{text}x")), "EVIDENCE_MALFORMED", "{format}");
            assert_eq!(code(format, "null"), "EVIDENCE_MALFORMED", "{format}");
        }
        for (format, text) in SAMPLES {
            let small = Limits { evidence_bytes: 8, ..Limits::DEFAULT };
            assert_eq!(read(format, text.as_bytes(), &small).unwrap_err().code, "EVIDENCE_TOO_LARGE", "{format}");
        }
    }

    #[test]
    fn only_bills_of_materials_have_components() {
        for (format, text) in SAMPLES {
            let found = components(format, text.as_bytes(), &Limits::DEFAULT);
            match format {
                Format::CycloneDx | Format::Spdx => {
                    assert_eq!(found.unwrap(), [Component { name: "a".to_owned(), ..Component::default() }]);
                }
                _ => assert_eq!(found.unwrap_err().code, "EVIDENCE_UNKNOWN", "{format}"),
            }
        }
    }
}
