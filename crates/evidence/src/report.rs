//! Reports that tools write without a statement around them.
//!
//! The format is told by the structure of the document, never by a file's name, and a report is read as one format
//! and no other.

use std::fmt;
use std::str::FromStr;

use lockgate_model::Limits;
use lockgate_model::facts::Claim;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::document;
use crate::error::{EvidenceError, excerpt};
use crate::sbom::{Bom, Component};
use crate::{cyclonedx, grype, junit, sarif, spdx, trivy};

/// A report format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// CycloneDX 1.4 to 1.7 in JSON.
    CycloneDx,
    /// SPDX 2.2 or 2.3 in JSON.
    Spdx,
    /// JUnit XML.
    Junit,
    /// Trivy's JSON, schema version 2.
    Trivy,
    /// Grype's JSON.
    Grype,
    /// SARIF 2.1.0.
    Sarif,
}

impl Format {
    /// Every format, in the order in which help texts name them.
    pub const ALL: [Self; 6] = [Self::CycloneDx, Self::Spdx, Self::Junit, Self::Trivy, Self::Grype, Self::Sarif];

    /// The word for it, such as `cyclonedx`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
            Self::Junit => "junit",
            Self::Trivy => "trivy",
            Self::Grype => "grype",
            Self::Sarif => "sarif",
        }
    }

    /// The media type to store it under; tools that registered none get the plain one.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
            Self::Junit => "application/xml",
            Self::Trivy | Self::Grype => "application/json",
            Self::Sarif => "application/sarif+json",
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
    matches: Option<IgnoredAny>,
    descriptor: Option<IgnoredAny>,
    runs: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
}

/// Tells which format a report has, by its structure.
///
/// None when it has none of the known ones, or the marks of two; says nothing about whether [`read`] will accept it.
pub fn detect(bytes: &[u8]) -> Option<Format> {
    let bytes = without_mark(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'<' => junit::root_name(bytes)
            .filter(|name| matches!(name.as_str(), "testsuites" | "testsuite"))
            .map(|_| Format::Junit),
        b'{' => {
            let top: TopLevel = serde_json::from_slice(bytes).ok()?;
            let marks = [
                (Format::CycloneDx, top.bom_format.is_some()),
                (Format::Spdx, top.spdx_version.is_some()),
                (Format::Trivy, top.schema_version.is_some() && (top.results.is_some() || top.artifact_name.is_some())),
                (Format::Grype, top.matches.is_some() && top.descriptor.is_some()),
                (Format::Sarif, top.runs.is_some() && top.version.is_some()),
            ];
            let mut found = marks.into_iter().filter(|(_, marked)| *marked).map(|(format, _)| format);
            let first = found.next()?;
            found.next().is_none().then_some(first)
        }
        _ => None,
    }
}

/// Reads a report of a format into what it claims.
///
/// # Errors
/// [`EvidenceError`] with the code that says why; nothing is ever read in part.
pub fn read(format: Format, bytes: &[u8], limits: &Limits) -> Result<Claim, EvidenceError> {
    match format {
        Format::CycloneDx | Format::Spdx => Ok(Claim::Sbom(bom(format, bytes, limits)?.claim())),
        Format::Junit => {
            document::check_size(bytes, limits)?;
            junit::read(without_mark(bytes), limits).map(Claim::Tests)
        }
        Format::Trivy => trivy::read(&parse(bytes, limits)?, limits).map(Claim::Vulnerabilities),
        Format::Grype => grype::read(&parse(bytes, limits)?, limits).map(Claim::Vulnerabilities),
        Format::Sarif => sarif::read(&parse(bytes, limits)?, limits).map(Claim::StaticAnalysis),
    }
}

/// Lists the components of a bill of materials, nested ones included, in the document's order.
///
/// # Errors
/// As [`read`], and `EVIDENCE_UNKNOWN` for a format that is no bill of materials.
pub fn components(format: Format, bytes: &[u8], limits: &Limits) -> Result<Vec<Component>, EvidenceError> {
    bom(format, bytes, limits).map(Bom::into_components)
}

fn bom(format: Format, bytes: &[u8], limits: &Limits) -> Result<Bom, EvidenceError> {
    match format {
        Format::CycloneDx => cyclonedx::read(&parse(bytes, limits)?, limits),
        Format::Spdx => spdx::read(&parse(bytes, limits)?, limits),
        Format::Junit | Format::Trivy | Format::Grype | Format::Sarif => Err(EvidenceError::new(
            "EVIDENCE_UNKNOWN",
            format!("`{format}` is not a bill of materials: use cyclonedx or spdx"),
        )),
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

    const SAMPLES: [(Format, &str); 6] = [
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
                    assert_eq!(found.unwrap(), [Component { name: "a".to_owned(), version: None, purl: None }]);
                }
                _ => assert_eq!(found.unwrap_err().code, "EVIDENCE_UNKNOWN", "{format}"),
            }
        }
    }
}
