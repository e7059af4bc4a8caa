//! Our own sample reports of every format beside scans and bills of materials: what they say, and that half of one, or
//! one of another tool, is never read as one of them.

use lockgate_evidence::{Format, Statement, claim_of, detect, read};
use lockgate_model::facts::{CheckOutcome, Claim};
use lockgate_model::{Digest, Limits};

use crate::vectors::files_of;

const SAMPLES: [(Format, &str, &[u8]); 13] = [
    (Format::Cobertura, "coverage", include_bytes!("../../testdata/coverage.cobertura.xml")),
    (Format::Lcov, "coverage", include_bytes!("../../testdata/coverage.lcov")),
    (Format::Performance, "performance", include_bytes!("../../testdata/performance.json")),
    (Format::Criterion, "performance", include_bytes!("../../testdata/criterion-estimates.json")),
    (Format::K6, "performance", include_bytes!("../../testdata/k6-summary.json")),
    (Format::Rebuild, "rebuild", include_bytes!("../../testdata/rebuild.json")),
    (Format::Change, "change", include_bytes!("../../testdata/change.json")),
    (Format::Check, "check", include_bytes!("../../testdata/check.json")),
    (Format::Gitleaks, "secrets", include_bytes!("../../testdata/gitleaks.json")),
    (Format::Trufflehog, "secrets", include_bytes!("../../testdata/trufflehog.jsonl")),
    (Format::Configuration, "configuration", include_bytes!("../../testdata/configuration.json")),
    (Format::Flags, "flags", include_bytes!("../../testdata/flags.json")),
    (Format::Review, "source", include_bytes!("../../testdata/review.json")),
];

fn sample(wanted: Format) -> Claim {
    let (format, _, bytes) = SAMPLES.iter().find(|(format, _, _)| *format == wanted).unwrap();
    read(*format, bytes, &Limits::DEFAULT).unwrap()
}

#[test]
fn every_sample_is_told_and_read() {
    for (format, kind, bytes) in SAMPLES {
        assert_eq!(detect(bytes), Some(format));
        assert_eq!(read(format, bytes, &Limits::DEFAULT).unwrap().kind(), kind, "{format}");
        for (other, _, _) in SAMPLES.iter().filter(|(other, _, _)| *other != format) {
            assert!(read(*other, bytes, &Limits::DEFAULT).is_err(), "{format} was read as {other}");
        }
    }
}

#[test]
fn both_coverage_formats_agree() {
    for format in [Format::Cobertura, Format::Lcov] {
        let Claim::Coverage(claim) = sample(format) else { panic!("not coverage") };
        assert_eq!((claim.lines_covered, claim.lines_valid, claim.line_basis_points), (4, 5, Some(8000)), "{format}");
        assert_eq!((claim.branches_covered, claim.branches_valid), (1, 2), "{format}");
    }
}

#[test]
fn performance_is_in_whole_units() {
    let value = |format: Format, name: &str| {
        let Claim::Performance(claim) = sample(format) else { panic!("not performance") };
        claim.metric(name).map(|metric| (metric.value, metric.unit.clone()))
    };
    assert_eq!(value(Format::Performance, "checkout.p95"), Some((41_250, "us".to_owned())));
    assert_eq!(value(Format::Criterion, "mean"), Some((1_230_125, "ps".to_owned())));
    assert_eq!(value(Format::K6, "http_req_duration.p95"), Some((41_250, "us".to_owned())));
    assert_eq!(value(Format::K6, "http_req_failed.rate"), Some((50, "bp".to_owned())));
    assert_eq!(value(Format::K6, "checks.rate"), Some((10_000, "bp".to_owned())));
    let Claim::Performance(k6) = sample(Format::K6) else { panic!("not performance") };
    assert_eq!(k6.missed_thresholds, ["http_req_duration: p(95)<40"]);
}

#[test]
fn the_rest_says_what_it_says() {
    let Claim::Rebuild(rebuild) = sample(Format::Rebuild) else { panic!("not a rebuild") };
    assert!(!rebuild.reproduced && rebuild.artifact == Digest::from_bytes([0; 32]));
    assert_eq!(rebuild.divergences.iter().filter(|divergence| divergence.explanation.is_none()).count(), 1);
    let Claim::Change(change) = sample(Format::Change) else { panic!("not a change") };
    assert_eq!((change.state.as_str(), change.approved_by.len()), ("approved", 1));
    let Claim::Check(check) = sample(Format::Check) else { panic!("not a check") };
    assert_eq!((check.name.as_str(), check.outcome), ("accessibility", CheckOutcome::Pass));
    let Claim::Secrets(gitleaks) = sample(Format::Gitleaks) else { panic!("not secrets") };
    assert_eq!(gitleaks.places, ["generic-api-key deploy/values.yaml:12"]);
    let Claim::Secrets(trufflehog) = sample(Format::Trufflehog) else { panic!("not secrets") };
    assert_eq!((trufflehog.found, trufflehog.verified), (2, Some(1)));
    let Claim::Flags(flags) = sample(Format::Flags) else { panic!("not flags") };
    assert!(flags.flag("new-checkout").unwrap().enabled);
    let Claim::Source(review) = sample(Format::Review) else { panic!("not a review") };
    assert_eq!((review.reviewers, review.ref_protected), (vec!["sam".to_owned()], Some(true)));
}

#[test]
fn a_summary_of_source_names_its_commit() {
    let bytes = include_bytes!("../../testdata/source-vsa.json");
    let statement = Statement::parse(bytes, &Limits::DEFAULT).unwrap();
    let Claim::Summary(summary) = claim_of(&statement, &Limits::DEFAULT) else { panic!("not a summary") };
    assert!(summary.passed);
    assert_eq!(summary.commits, ["5f2c1d9a7b3e4860a1c2d3e4f5061728394a5b6c"]);
    assert_eq!(summary.refs, ["refs/heads/main"]);
    assert_eq!(summary.levels, ["SLSA_SOURCE_LEVEL_4", "ORG_SOURCE_SIGNED"]);
}

#[test]
fn half_a_sample_is_never_read() {
    for (format, _, bytes) in SAMPLES {
        // TruffleHog writes lines: what ends between two of them is a whole, shorter output.
        let trimmed = bytes.trim_ascii_end();
        let whole_line = |end: usize| bytes[..end].ends_with(b"\n") || bytes[end..].starts_with(b"\n");
        for end in (0..trimmed.len()).filter(|end| format != Format::Trufflehog || !whole_line(*end)) {
            let cut = &trimmed[..end];
            assert!(read(format, cut, &Limits::DEFAULT).is_err(), "{format} {end}");
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    for (format, _, sample) in SAMPLES {
        for position in 0..sample.len() {
            for replacement in [0, b'"', b'{', b']', b'<', b'9', b':', b',', 0xff] {
                let mut bytes = sample.to_vec();
                bytes[position] = replacement;
                let _ = read(format, &bytes, &Limits::DEFAULT);
                let _ = detect(&bytes);
            }
        }
    }
}

#[test]
fn documents_of_our_own_name_their_schema_and_version() {
    for (format, _, bytes) in SAMPLES {
        let Some(schema) = format.schema() else { continue };
        let text = std::str::from_utf8(bytes).unwrap();
        let code = |text: &str| read(format, text.as_bytes(), &Limits::DEFAULT).unwrap_err().code;
        let newer = text.replace(schema, &schema.replace("/v1", "/v2"));
        assert_eq!(detect(newer.as_bytes()), Some(format));
        assert_eq!(code(&newer), "REPORT_VERSION", "{format}");
        assert_eq!(code(&text.replacen("\"schema\"", "\"scheme\"", 1)), "EVIDENCE_MALFORMED", "{format}");
        let twice = text.replacen('{', "{\"schema\": \"x\",", 1);
        assert_eq!(code(&twice), "DUPLICATE_KEY", "{format}");
    }
}

#[test]
fn vectors_of_other_formats_are_none_of_these() {
    let mut files = 0;
    for set in ["cisa-kev", "cyclonedx", "grype", "sarif", "trivy"] {
        let Some(found) = files_of(set) else { return };
        for (path, bytes) in &found {
            files += 1;
            for (format, _, _) in SAMPLES {
                assert_ne!(detect(bytes), Some(format), "{}", path.display());
                assert!(read(format, bytes, &Limits::DEFAULT).is_err(), "{} was read as {format}", path.display());
            }
        }
    }
    assert!(files > 0, "no files");
    eprintln!("reports: {files} files of other formats, refused as each of {} formats", SAMPLES.len());
}

#[test]
fn the_published_schemas_name_every_field() {
    const SCHEMAS: [(Format, &str); 7] = [
        (Format::Performance, include_str!("../../../../docs/schemas/performance.v1.json")),
        (Format::Rebuild, include_str!("../../../../docs/schemas/rebuild.v1.json")),
        (Format::Change, include_str!("../../../../docs/schemas/change.v1.json")),
        (Format::Check, include_str!("../../../../docs/schemas/check.v1.json")),
        (Format::Configuration, include_str!("../../../../docs/schemas/configuration.v1.json")),
        (Format::Flags, include_str!("../../../../docs/schemas/flags.v1.json")),
        (Format::Review, include_str!("../../../../docs/schemas/review.v1.json")),
    ];
    assert_eq!(Format::ALL.into_iter().filter(|format| format.schema().is_some()).count(), SCHEMAS.len());
    for (format, text) in SCHEMAS {
        let schema: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(schema["$id"].as_str(), format.schema(), "{format}");
        assert_eq!(schema["additionalProperties"], false, "{format}");
        let (_, _, bytes) = SAMPLES.into_iter().find(|(other, _, _)| *other == format).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        for key in whole.as_object().unwrap().keys() {
            assert!(schema["properties"].get(key).is_some(), "{format} {key}");
        }
        // A field that is required is missed; one that the schema does not have is refused.
        for key in schema["required"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str) {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(key);
            assert!(read(format, less.to_string().as_bytes(), &Limits::DEFAULT).is_err(), "{format} without {key}");
        }
        let mut more = whole.clone();
        more["other"] = serde_json::json!(1);
        assert!(read(format, more.to_string().as_bytes(), &Limits::DEFAULT).is_err(), "{format}");
        for key in schema["properties"].as_object().unwrap().keys() {
            let mut wrong = whole.clone();
            wrong[key.as_str()] = serde_json::json!([[1]]);
            assert!(read(format, wrong.to_string().as_bytes(), &Limits::DEFAULT).is_err(), "{format} {key}");
        }
    }
}
