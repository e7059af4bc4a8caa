//! Misplaced files: what was handed in as a report and is something else, and where it goes.

use serde::Deserialize;
use serde::de::IgnoredAny;

const KEV: &str = "the KEV catalogue is about no release: `lockgate feed update --kind kev --file FILE` records it";
const EPSS: &str = "EPSS scores are about no release: `lockgate feed update --kind epss --file FILE` records them";
const SIGNED: &str = "this is signed: hand it in with --attestation, or with --provenance";
const UNSIGNED: &str = "this is a bare statement: hand in the DSSE envelope that its maker signed, with --attestation";
const UNKNOWN: &str = "name the format, which an empty report does not show: --report FORMAT=FILE, such as osv=FILE or \
                       gitleaks=FILE; docs/evidence.md lists what it reads; signed evidence goes in as a DSSE envelope";

/// How a detached signature begins.
const DETACHED: [&[u8]; 2] = [b"untrusted comment:", b"-----BEGIN PGP "];

/// The keys by which other documents show what they are.
#[derive(Deserialize)]
struct Marks {
    #[serde(rename = "catalogVersion")]
    catalogue: Option<IgnoredAny>,
    #[serde(rename = "payloadType")]
    payload_type: Option<IgnoredAny>,
    #[serde(rename = "verificationMaterial")]
    material: Option<IgnoredAny>,
    #[serde(rename = "_type")]
    statement: Option<IgnoredAny>,
}

/// Says what to do with a file that is no report, so far as its content shows what it is.
pub(crate) fn hint(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"#model_version:") || text.starts_with(b"cve,epss") {
        return EPSS;
    }
    if DETACHED.iter().any(|mark| text.starts_with(mark)) {
        return SIGNED;
    }
    // A list could be read as the fields in their order.
    if !text.starts_with(b"{") {
        return UNKNOWN;
    }
    match serde_json::from_slice::<Marks>(bytes) {
        Ok(Marks { catalogue: Some(_), .. }) => KEV,
        Ok(Marks { payload_type: Some(_), .. } | Marks { material: Some(_), .. }) => SIGNED,
        Ok(Marks { statement: Some(_), .. }) => UNSIGNED,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_wrong_place_is_told_where_it_goes() {
        let check = |text: &str, expected: &str| assert_eq!(hint(text.as_bytes()), expected, "{text}");
        check(r#"{"title": "a", "catalogVersion": "2026.11.20", "vulnerabilities": []}"#, KEV);
        check("#model_version:v2025.03.14,score_date:2026-11-20T00:00:00+0000\ncve,epss,percentile\n", EPSS);
        check("cve,epss,percentile\nCVE-2026-1,0.1,0.5\n", EPSS);
        check(r#"{"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": []}"#, SIGNED);
        check(r#"{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {}}"#, SIGNED);
        check("untrusted comment: signature from minisign secret key\nRUR\ntrusted comment: sha256:\n", SIGNED);
        check(r#"{"_type": "https://in-toto.io/Statement/v1", "subject": []}"#, UNSIGNED);
        for other in ["", "text", "[]", "[1, 2, 3, 4]", "{}", r#"{"title": "catalogVersion"}"#] {
            check(other, UNKNOWN);
        }
        check(r#"{"catalogVersion": null}"#, UNKNOWN);
    }
}
