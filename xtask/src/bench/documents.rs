//! Documents: one of every report format, of some megabytes where the format has anything to repeat.
//!
//! They are the readers' own samples. What a list of them holds is repeated until the document is large, with names of
//! its own where a format has each of them once.

use std::fs;

use lockgate_evidence::Format;
use serde_json::Value;

use crate::failure::{During as _, Failure, Result};
use crate::workspace;

/// Where the readers' samples are.
const SAMPLES: &str = "crates/evidence/testdata";

/// What is counted against the reader of Lockgate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// `serde_json::Value`, of the whole document.
    Json,
    /// `serde_json::Value`, of one line after the other.
    JsonLines,
    /// The events of `quick-xml`.
    Xml,
    /// The lines alone.
    Lines,
}

/// A document to be read.
#[derive(Debug)]
pub struct Document {
    /// The word for it: the format, and its version where there are two readers.
    pub name: String,
    /// Its format.
    pub format: Format,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What else reads it.
    pub beside: Beside,
}

/// A sample in JSON, with a list in it that grows.
struct Growing {
    name: &'static str,
    format: Format,
    sample: &'static str,
    /// The list, as a JSON pointer (RFC 6901).
    list: &'static str,
    /// Only items of this `type` are repeated; empty repeats all.
    of_type: &'static str,
    /// A field that differs from item to item; empty for none.
    unique: &'static str,
}

const fn growing(name: &'static str, format: Format, sample: &'static str, list: &'static str) -> Growing {
    Growing { name, format, sample, list, of_type: "", unique: "" }
}

const GROWING: [Growing; 14] = [
    Growing { unique: "bom-ref", ..growing("cyclonedx", Format::CycloneDx, "sbom.cdx.json", "/components") },
    growing("cyclonedx-vex", Format::CycloneDxVex, "vex.cdx.json", "/vulnerabilities"),
    Growing { unique: "SPDXID", ..growing("spdx 2.3", Format::Spdx, "sbom.spdx.json", "/packages") },
    Growing {
        unique: "spdxId",
        of_type: "software_Package",
        ..growing("spdx 3.0", Format::Spdx, "sbom.spdx3.json", "/@graph")
    },
    growing("openvex", Format::OpenVex, "vex.openvex.json", "/statements"),
    growing("csaf", Format::Csaf, "vex.csaf.json", "/vulnerabilities"),
    growing("osv", Format::Osv, "osv-scanner.json", "/results"),
    growing("trivy", Format::Trivy, "trivy-critical.json", "/Results/0/Vulnerabilities"),
    growing("grype", Format::Grype, "grype.json", "/matches"),
    growing("sarif", Format::Sarif, "results.sarif", "/runs/0/results"),
    growing("gitleaks", Format::Gitleaks, "gitleaks.json", ""),
    Growing { unique: "name", ..growing("performance", Format::Performance, "performance.json", "/metrics") },
    Growing { unique: "path", ..growing("rebuild", Format::Rebuild, "rebuild.json", "/divergences") },
    Growing { unique: "name", ..growing("flags", Format::Flags, "flags.json", "/flags") },
];

/// Samples in JSON that have nothing to repeat.
const SMALL: [(Format, &str); 6] = [
    (Format::Criterion, "criterion-estimates.json"),
    (Format::K6, "k6-summary.json"),
    (Format::Change, "change.json"),
    (Format::Check, "check.json"),
    (Format::Configuration, "configuration.json"),
    (Format::Review, "review.json"),
];

/// One document of every format; those that can grow have at least so many bytes.
///
/// # Errors
/// When a sample cannot be read.
pub fn documents(least_bytes: usize) -> Result<Vec<Document>> {
    let mut all = GROWING.iter().map(|growing| growing.document(least_bytes)).collect::<Result<Vec<_>>>()?;
    all.extend([junit(least_bytes), cobertura(least_bytes), lcov(least_bytes), trufflehog(least_bytes)?]);
    for (format, sample) in SMALL {
        let bytes = compact(&json(sample)?)?;
        all.push(Document { name: format.as_str().to_owned(), format, bytes, beside: Beside::Json });
    }
    Ok(all)
}

fn json(sample: &str) -> Result<Value> {
    serde_json::from_str(&workspace::read(&format!("{SAMPLES}/{sample}"))?).during(format!("the sample {sample}"))
}

/// Without the samples' spaces, as tools write reports.
fn compact(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

impl Growing {
    fn document(&self, least_bytes: usize) -> Result<Document> {
        let mut whole = json(self.sample)?;
        let missing = || Failure::new(format!("{} has no list at `{}`", self.sample, self.list));
        let list = whole.pointer_mut(self.list).and_then(Value::as_array_mut).ok_or_else(missing)?;
        let is_repeated =
            |item: &&Value| self.of_type.is_empty() || item.get("type").and_then(Value::as_str) == Some(self.of_type);
        let pattern: Vec<Value> = list.iter().filter(is_repeated).cloned().collect();
        let pattern_bytes = serde_json::to_vec(&pattern)?.len();
        for turn in 0..least_bytes / pattern_bytes + 1 {
            list.extend(pattern.iter().map(|item| self.again(item, turn)));
        }
        Ok(Document { name: self.name.to_owned(), format: self.format, bytes: compact(&whole)?, beside: Beside::Json })
    }

    fn again(&self, item: &Value, turn: usize) -> Value {
        let mut item = item.clone();
        if let Some(Value::String(text)) = item.get_mut(self.unique) {
            text.push_str(&format!("-{turn}"));
        }
        item
    }
}

fn text(format: Format, beside: Beside, text: String) -> Document {
    Document { name: format.as_str().to_owned(), format, bytes: text.into_bytes(), beside }
}

fn junit(least_bytes: usize) -> Document {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"shop/web\">\n");
    let mut suite = 0;
    while out.len() < least_bytes {
        out.push_str(&format!("  <testsuite name=\"suite {suite}\" tests=\"10\" failures=\"0\" time=\"0.1\">\n"));
        for case in 0..10 {
            out.push_str(&format!(
                "    <testcase classname=\"shop.suite{suite}\" name=\"does what it should, case {case}\" time=\"0.011\"/>\n"
            ));
        }
        out.push_str("  </testsuite>\n");
        suite += 1;
    }
    out.push_str("</testsuites>\n");
    text(Format::Junit, Beside::Xml, out)
}

fn cobertura(least_bytes: usize) -> Document {
    let (mut classes, mut class) = (String::new(), 0);
    while classes.len() < least_bytes {
        classes.push_str(&format!(
            "    <class name=\"C{class}\" filename=\"src/c{class}.rs\" line-rate=\"0.5\">\n     <lines>\n"
        ));
        for line in 1..=20 {
            classes.push_str(&format!("      <line number=\"{line}\" hits=\"{}\"/>\n", line % 2));
        }
        classes.push_str("     </lines>\n    </class>\n");
        class += 1;
    }
    let (valid, covered) = (class * 20, class * 10);
    let out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<coverage line-rate=\"0.5\" lines-covered=\"{covered}\" \
         lines-valid=\"{valid}\" version=\"1\" timestamp=\"1795514400000\">\n <packages>\n  <package name=\"shop\" \
         line-rate=\"0.5\">\n   <classes>\n{classes}   </classes>\n  </package>\n </packages>\n</coverage>\n"
    );
    text(Format::Cobertura, Beside::Xml, out)
}

fn lcov(least_bytes: usize) -> Document {
    let (mut out, mut file) = (String::from("TN:unit\n"), 0);
    while out.len() < least_bytes {
        out.push_str(&format!("SF:src/c{file}.rs\n"));
        for line in 1..=20 {
            out.push_str(&format!("DA:{line},{}\n", line % 2));
        }
        out.push_str("LF:20\nLH:10\nend_of_record\n");
        file += 1;
    }
    text(Format::Lcov, Beside::Lines, out)
}

fn trufflehog(least_bytes: usize) -> Result<Document> {
    let path = workspace::root().join(SAMPLES).join("trufflehog.jsonl");
    let sample = fs::read_to_string(path).during("the sample trufflehog.jsonl")?;
    let sample = sample.trim_end();
    let times = least_bytes / sample.len().max(1) + 1;
    Ok(text(Format::Trufflehog, Beside::JsonLines, format!("{sample}\n").repeat(times)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_evidence::read;
    use lockgate_model::Limits;

    #[test]
    fn every_format_has_a_document_that_its_reader_accepts() {
        let least = 100_000;
        let all = documents(least).unwrap();
        for format in Format::ALL {
            assert!(all.iter().any(|document| document.format == format), "{format}");
        }
        for document in &all {
            let grown = document.bytes.len() >= least;
            assert_eq!(grown, !SMALL.iter().any(|(format, _)| *format == document.format), "{}", document.name);
            if let Err(error) = read(document.format, &document.bytes, &Limits::DEFAULT) {
                panic!("{}: {error}", document.name);
            }
        }
    }
}
