//! Real tools' reports: every one that should read does, and its counts equal an independent recount.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockgate_evidence::{Format, detect, feed, read, read_from};
use lockgate_model::Limits;
use lockgate_model::facts::{Claim, Severity, Vulnerabilities};
use serde_json::Value;

/// The files of one set with their bytes, sorted by path; none when the vectors are not on this machine.
pub(crate) fn files_of(set: &str) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    #[expect(clippy::disallowed_methods, reason = "a test finds its vectors through the environment")]
    let (folder, in_ci) =
        (std::env::var("LOCKGATE_VECTORS").ok(), std::env::var("CI").is_ok_and(|value| value == "true"));
    let folder = folder
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")), PathBuf::from);
    let folder = folder.join(set);
    if !folder.is_dir() {
        assert!(!in_ci, "no vectors in {}: set LOCKGATE_VECTORS", folder.display());
        eprintln!("skipped: no vectors in {}; set LOCKGATE_VECTORS to their folder", folder.display());
        return None;
    }
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    paths.sort();
    Some(paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect())
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, into),
            false => into.push(path),
        }
    }
}

/// Prints the outcome of one file, for the table in `docs/vectors.md`.
fn outcome<T>(set: &str, path: &Path, accepted: &str, result: &Result<T, lockgate_evidence::EvidenceError>) {
    let said =
        result.as_ref().err().map_or_else(|| format!("accepted: {accepted}"), |no| format!("refused: {}", no.code));
    let path = path.to_string_lossy();
    let name = path.rsplit_once(&format!("/{set}/")).map_or(&*path, |(_, name)| name);
    println!("vectors | {set} | {name} | {said}");
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn vectors_cyclonedx() {
    // What makes a count, a name or an identity untrue has to be refused, not only survived.
    const MUST_FAIL: [&str; 7] = [
        "bomformat",
        "component-ref",
        "component-type",
        "empty-component",
        "missing-component-type",
        "component-versionRange",
        "license-choice",
    ];
    let Some(files) = files_of("cyclonedx") else { return };
    let (mut valid, mut invalid, mut refused) = (0, 0, 0);
    for (path, bytes) in &files {
        let name = name_of(path);
        let result = read(Format::CycloneDx, bytes, &Limits::DEFAULT);
        outcome("cyclonedx", path, "cyclonedx", &result);
        if name.starts_with("valid-") {
            valid += 1;
            let Ok(Claim::Sbom(sbom)) = result else { panic!("{}: {result:?}", path.display()) };
            assert_eq!(detect(bytes), Some(Format::CycloneDx), "{name}");
            let document: Value = serde_json::from_slice(bytes).unwrap();
            let inside = recount_components(&document["metadata"]["component"]["components"]);
            assert_eq!(sbom.components, recount_components(&document["components"]) + inside, "{name}");
            assert_eq!(document["specVersion"], sbom.spec_version.as_str(), "{name}");
        } else if let Some(kind) = name.strip_prefix("invalid-") {
            invalid += 1;
            if MUST_FAIL.iter().any(|must| kind.starts_with(must)) {
                refused += 1;
                assert!(result.is_err(), "{}: {result:?}", path.display());
            }
        }
    }
    assert!(valid > 0 && invalid > 0, "no documents");
    eprintln!(
        "cyclonedx: {valid} valid ones read, {invalid} invalid ones survived, {refused} of them refused as they must be"
    );
}

fn recount_components(list: &Value) -> u64 {
    let Some(items) = list.as_array() else { return 0 };
    items.iter().map(|item| 1 + recount_components(&item["components"])).sum()
}

#[test]
fn vectors_trivy_and_grype() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for set in ["trivy", "grype"] {
        let Some(files) = files_of(set) else { return };
        for (path, bytes) in &files {
            let Some(format) = detect(bytes) else {
                *seen.entry(format!("{set}: other")).or_default() += 1;
                println!("vectors | {set} | {} | not a report", name_of(path));
                continue;
            };
            *seen.entry(format!("{set}: {format}")).or_default() += 1;
            let result = read(format, bytes, &Limits::DEFAULT);
            outcome(set, path, format.as_str(), &result);
            let document: Value = serde_json::from_slice(bytes).unwrap();
            if format == Format::Trivy && !looked_for_vulnerabilities(&document) {
                *seen.entry(format!("{set}: no scan")).or_default() += 1;
                assert_eq!(result.unwrap_err().code, "EVIDENCE_UNKNOWN", "{}", path.display());
                continue;
            }
            let claim = result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            match (format, claim) {
                (Format::Trivy, Claim::Vulnerabilities(found)) => {
                    assert_eq!(by_severity(&found), recount_trivy(&document), "{}", path.display());
                }
                (Format::Grype, Claim::Vulnerabilities(found)) => {
                    assert_eq!(by_severity(&found), recount_grype(&document), "{}", path.display());
                }
                (Format::CycloneDx, Claim::Sbom(sbom)) => {
                    assert_eq!(sbom.components, recount_components(&document["components"]), "{}", path.display());
                }
                (Format::Spdx, Claim::Sbom(sbom)) => {
                    // One package is the root, which is not counted.
                    let packages = document["packages"].as_array().unwrap().len();
                    assert_eq!(sbom.components, u64::try_from(packages - 1).unwrap(), "{}", path.display());
                }
                (Format::Sarif, Claim::StaticAnalysis(analysis)) => {
                    let runs = document["runs"].as_array().unwrap();
                    let results: usize = runs.iter().map(|run| run["results"].as_array().unwrap().len()).sum();
                    let counted = analysis.errors + analysis.warnings + analysis.notes + analysis.suppressed;
                    assert!(counted <= u64::try_from(results).unwrap(), "{}", path.display());
                    assert!(!analysis.tools.is_empty(), "{}", path.display());
                }
                (format, claim) => panic!("{}: {format} was read as {}", path.display(), claim.kind()),
            }
        }
    }
    assert!(seen.contains_key("trivy: trivy") && seen.contains_key("grype: grype"), "{seen:?}");
    eprintln!("trivy and grype: {seen:?}");
}

fn by_severity(found: &Vulnerabilities) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for finding in &found.findings {
        let word = match finding.severity {
            Severity::Negligible => "negligible",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::Unknown => "unknown",
            Severity::High => "high",
            Severity::Critical => "critical",
        };
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Whether a report of Trivy has a result about packages; others list misconfigurations or secrets alone.
fn looked_for_vulnerabilities(document: &Value) -> bool {
    let mut results = document["Results"].as_array().into_iter().flatten();
    results.any(|result| result["Class"] == "os-pkgs" || result["Class"] == "lang-pkgs")
}

fn recount_trivy(document: &Value) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for result in document["Results"].as_array().into_iter().flatten() {
        for vulnerability in result["Vulnerabilities"].as_array().into_iter().flatten() {
            let word = vulnerability["Severity"].as_str().unwrap_or("unknown").to_lowercase();
            *counts.entry(word).or_default() += 1;
        }
    }
    counts
}

fn recount_grype(document: &Value) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for found in document["matches"].as_array().into_iter().flatten() {
        let word = found["vulnerability"]["severity"].as_str().unwrap_or("").to_lowercase();
        let word = if word.is_empty() { "unknown".to_owned() } else { word };
        *counts.entry(word).or_default() += 1;
    }
    counts
}

#[test]
fn vectors_sarif() {
    let Some(files) = files_of("sarif") else { return };
    let (mut read_ones, mut refused) = (0, 0);
    for (path, bytes) in &files {
        let text = std::str::from_utf8(bytes).unwrap().trim_start_matches('\u{feff}');
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(detect(bytes), Some(Format::Sarif), "{}", path.display());
        let result = read(Format::Sarif, bytes, &Limits::DEFAULT);
        outcome("sarif", path, "sarif", &result);
        match document["version"].as_str() {
            Some("2.1.0") => {
                read_ones += 1;
                assert!(matches!(result, Ok(Claim::StaticAnalysis(_))), "{}: {result:?}", path.display());
            }
            _ => {
                refused += 1;
                assert_eq!(result.unwrap_err().code, "SARIF_VERSION", "{}", path.display());
            }
        }
    }
    assert!(read_ones > 0 && refused > 0, "no logs");
    eprintln!("sarif: {read_ones} logs of version 2.1.0 read, {refused} others refused");
}

#[test]
fn vectors_kev() {
    let Some(files) = files_of("cisa-kev") else { return };
    let mut entries = 0;
    for (path, bytes) in &files {
        assert_eq!(detect(bytes), None, "{}", path.display());
        let feed = feed::kev(bytes, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document: Value = serde_json::from_slice(bytes).unwrap();
        let listed = document["vulnerabilities"].as_array().unwrap();
        assert_eq!(feed.entries.len(), listed.len(), "{}", path.display());
        assert_eq!(document["catalogVersion"], feed.version.as_str());
        for one in listed {
            let id = one["cveID"].as_str().unwrap();
            let entry = feed.entry(id).unwrap_or_else(|| panic!("no {id}"));
            assert_eq!(entry.ransomware, one["knownRansomwareCampaignUse"] == "Known", "{id}");
            assert!(entry.added_at.is_some_and(|added| added <= feed.released_at), "{id}");
        }
        entries += listed.len();
        // A catalogue that was cut, or padded, is none.
        assert_eq!(feed::kev(&bytes[..bytes.len() / 2], &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED");
        let text = std::str::from_utf8(bytes).unwrap();
        let count = format!("\"count\": {}", listed.len());
        let padded = text.replacen(&count, "\"count\": 1", 1);
        assert_ne!(padded, text, "{}", path.display());
        assert_eq!(feed::kev(padded.as_bytes(), &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED");
    }
    assert!(entries > 0, "no entries");
    println!("vectors | cisa-kev | {} catalogues | accepted: {entries} entries", files.len());
    eprintln!("cisa-kev: {} catalogues with {entries} entries", files.len());
}

#[test]
fn vectors_read_from_a_stream_as_from_memory() {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for set in ["cyclonedx", "grype", "sarif", "trivy"] {
        let Some(files) = files_of(set) else { return };
        for (path, bytes) in &files {
            let Some(format) = detect(bytes) else { continue };
            let whole = read(format, bytes, &Limits::DEFAULT);
            let streamed = read_from(format, &mut bytes.as_slice(), &Limits::DEFAULT);
            assert_eq!(streamed, whole, "{}", path.display());
            let (accepted, refused) = counts.entry(format!("{set}: {format}")).or_default();
            match whole {
                Ok(_) => *accepted += 1,
                Err(_) => *refused += 1,
            }
        }
    }
    assert!(!counts.is_empty(), "no reports");
    for (row, (accepted, refused)) in &counts {
        eprintln!("{row}: {accepted} accepted, {refused} refused");
    }
}

#[test]
fn vectors_name_findings_by_their_place() {
    let mut findings = 0;
    for set in ["trivy", "grype"] {
        let Some(files) = files_of(set) else { return };
        for (path, bytes) in &files {
            let Some(format @ (Format::Trivy | Format::Grype)) = detect(bytes) else { continue };
            let document: Value = serde_json::from_slice(bytes).unwrap();
            if format == Format::Trivy && !looked_for_vulnerabilities(&document) {
                continue;
            }
            let Ok(Claim::Vulnerabilities(scan)) = read(format, bytes, &Limits::DEFAULT) else {
                panic!("{} is no scan", path.display());
            };
            for finding in &scan.findings {
                findings += 1;
                let original = document.pointer(finding.pointer.as_deref().unwrap()).unwrap();
                let id = match format {
                    Format::Trivy => &original["VulnerabilityID"],
                    _ => &original["vulnerability"]["id"],
                };
                assert_eq!(*id, finding.id.as_str(), "{}", path.display());
            }
        }
    }
    assert!(findings > 0, "no findings");
    eprintln!("trivy and grype: {findings} findings lead back to where they stand");
}
