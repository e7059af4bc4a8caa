//! What several scanners, VEX documents and feeds say together of one artifact, from our own samples.

use lockgate_evidence::{Format, components, detect, feed, read, read_from};
use lockgate_model::facts::{
    Claim, Completeness, EvidenceFact, Finding, Origin, Sbom, Severity, Vex, VexStatement, VexStatus, findings_of,
};
use lockgate_model::{Digest, EntryIndex, Limits, UnixMillis};

const SAMPLES: [(Format, &str, &[u8]); 9] = [
    (Format::Trivy, "vulnerabilities", include_bytes!("../../testdata/trivy-critical.json")),
    (Format::Grype, "vulnerabilities", include_bytes!("../../testdata/grype.json")),
    (Format::Osv, "vulnerabilities", include_bytes!("../../testdata/osv-scanner.json")),
    (Format::OpenVex, "vex", include_bytes!("../../testdata/vex.openvex.json")),
    (Format::Csaf, "vex", include_bytes!("../../testdata/vex.csaf.json")),
    (Format::CycloneDxVex, "vex", include_bytes!("../../testdata/vex.cdx.json")),
    (Format::Spdx, "sbom", include_bytes!("../../testdata/sbom.spdx.json")),
    (Format::Spdx, "sbom", include_bytes!("../../testdata/sbom.spdx3.json")),
    (Format::Sarif, "static-analysis", include_bytes!("../../testdata/results.sarif")),
];
const KEV: &[u8] = include_bytes!("../../testdata/kev.json");
const EPSS: &[u8] = include_bytes!("../../testdata/epss.csv");

fn artifact() -> Digest {
    Digest::of(b"app.tar.gz")
}

/// What the samples of one kind of claim say, as the ledger would hand it to a decision.
fn evidence(kind: &str) -> Vec<EvidenceFact> {
    let rows = SAMPLES.iter().filter(|(_, its_kind, _)| *its_kind == kind);
    rows.zip(1..)
        .map(|((format, _, bytes), index)| EvidenceFact {
            evidence: Digest::of(bytes),
            index: EntryIndex(index),
            recorded_at: UnixMillis(1_795_500_000_000),
            artifacts: vec![artifact()],
            origin: Origin::OnBehalf { by: "robot".parse().unwrap() },
            claim: read(*format, bytes, &Limits::DEFAULT).unwrap(),
            signature: None,
        })
        .collect()
}

fn named<'f>(findings: &'f [Finding], id: &str) -> &'f Finding {
    findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id}: {findings:?}"))
}

#[test]
fn every_sample_is_told_and_read() {
    for (format, kind, bytes) in SAMPLES {
        assert_eq!(detect(bytes), Some(format));
        let claim = read(format, bytes, &Limits::DEFAULT).unwrap();
        assert_eq!(claim.kind(), kind, "{format}");
        let mut stream = bytes;
        assert_eq!(read_from(format, &mut stream, &Limits::DEFAULT).unwrap(), claim, "{format}");
    }
    assert_eq!(detect(KEV), None);
    assert_eq!(detect(EPSS), None);
}

#[test]
fn half_a_sample_is_never_read() {
    for (format, _, bytes) in SAMPLES {
        let whole = bytes.trim_ascii_end();
        for end in (0..whole.len()).step_by(7) {
            assert!(read(format, &whole[..end], &Limits::DEFAULT).is_err(), "{format} {end}");
        }
    }
}

#[test]
fn three_scanners_tell_one_finding_with_three_sources() {
    let findings = findings_of(&evidence("vulnerabilities"));
    let ids: Vec<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["CVE-2099-10001", "CVE-2099-10002", "CVE-2099-10003", "CVE-2099-10004"]);
    let first = named(&findings, "CVE-2099-10001");
    assert_eq!(first.severity, Severity::Critical);
    assert_eq!(first.aliases, ["GHSA-2099-aaaa-0001"]);
    assert_eq!(first.fixes().collect::<Vec<_>>(), ["1.2.9", "2.0.0"]);
    assert_eq!(first.cvss.as_ref().map(|cvss| cvss.score_tenths), Some(98));
    let rows: Vec<(&str, Severity, Option<&str>)> = first
        .sources
        .iter()
        .map(|source| (source.scanner.as_str(), source.severity, source.pointer.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            ("grype", Severity::High, Some("/matches/0")),
            ("osv-scanner", Severity::Critical, Some("/results/0/packages/0/vulnerabilities/0")),
            ("trivy", Severity::Critical, Some("/Results/0/Vulnerabilities/0")),
        ]
    );
    // The way back: what stands at the pointer, in the document with that digest, is about this vulnerability.
    for source in &first.sources {
        let (_, _, bytes) = SAMPLES.iter().find(|(_, _, bytes)| Digest::of(bytes) == source.evidence).unwrap();
        let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let original = document.pointer(source.pointer.as_deref().unwrap()).unwrap().to_string();
        assert!(original.contains("CVE-2099-10001"), "{original}");
    }
    let mut turned = evidence("vulnerabilities");
    turned.reverse();
    assert_eq!(findings_of(&turned), findings);
}

fn statements() -> Vec<VexStatement> {
    let vex = |fact: EvidenceFact| match fact.claim {
        Claim::Vex(Vex { statements, .. }) => statements,
        other => panic!("{other:?}"),
    };
    evidence("vex").into_iter().flat_map(vex).collect()
}

#[test]
fn vex_of_three_formats_is_about_the_findings() {
    let (findings, statements) = (findings_of(&evidence("vulnerabilities")), statements());
    let check = |id: &str, expected: VexStatus| {
        let about = statements.iter().filter(|one| one.is_about(named(&findings, id), &artifact()));
        let last = about.max_by_key(|one| (one.stated_at, one.status));
        assert_eq!(last.map(|one| one.status), Some(expected), "{id}");
    };
    check("CVE-2099-10001", VexStatus::Affected);
    check("CVE-2099-10002", VexStatus::NotAffected);
    check("CVE-2099-10003", VexStatus::NotAffected);
    check("CVE-2099-10004", VexStatus::UnderInvestigation);
    // The same version of another package is another package.
    let purl = Some("pkg:npm/acme-other@4.1.0".to_owned());
    let other = Finding { purl, ..named(&findings, "CVE-2099-10003").clone() };
    assert!(!statements.iter().any(|one| one.is_about(&other, &artifact())));
}

#[test]
fn feeds_know_the_findings_under_any_name() {
    let (kev, epss) = (feed::kev(KEV, &Limits::DEFAULT).unwrap(), feed::epss(EPSS, &Limits::DEFAULT).unwrap());
    assert_eq!((kev.digest, epss.digest), (Digest::of(KEV), Digest::of(EPSS)));
    let findings = findings_of(&evidence("vulnerabilities"));
    let rows: Vec<(&str, bool, Option<u32>)> = findings
        .iter()
        .map(|finding| (finding.id.as_str(), kev.entry_of(finding).is_some(), epss.score_of(finding)))
        .collect();
    assert_eq!(
        rows,
        [
            ("CVE-2099-10001", true, Some(912_340)),
            ("CVE-2099-10002", false, Some(430)),
            ("CVE-2099-10003", false, Some(1210)),
            ("CVE-2099-10004", false, None),
        ]
    );
}

#[test]
fn both_spdx_generations_say_the_same() {
    let sboms: Vec<Sbom> = evidence("sbom")
        .into_iter()
        .map(|fact| match fact.claim {
            Claim::Sbom(sbom) => sbom,
            other => panic!("{other:?}"),
        })
        .collect();
    let [old, new] = sboms.as_slice() else { panic!("{sboms:?}") };
    assert_eq!((old.spec_version.as_str(), new.spec_version.as_str()), ("2.3", "3.0.1"));
    // Only the newer one can say that it is complete.
    assert_eq!((old.completeness, new.completeness), (Completeness::Unstated, Completeness::Complete));
    let said = |sbom: &Sbom| Sbom { spec_version: String::new(), completeness: Completeness::Unstated, ..sbom.clone() };
    assert_eq!(said(old), said(new));
    assert_eq!((old.components, old.without_licence, old.unpinned), (3, Some(1), Some(0)));
    let expressions: Vec<&str> = old.licences.iter().map(|found| found.expression.as_str()).collect();
    assert_eq!(expressions, ["MIT", "MIT OR Apache-2.0"]);
    for (format, kind, bytes) in SAMPLES.into_iter().filter(|(_, kind, _)| *kind == "sbom") {
        let listed = components(format, bytes, &Limits::DEFAULT).unwrap();
        assert!(listed.iter().all(|component| component.is_pinned() && component.purl.is_some()), "{kind} {listed:?}");
    }
}
