//! VEX: what somebody says of whether a known vulnerability matters to a product.
//!
//! A statement is a claim like any other. Whether it may lower a finding is for the policy to say, by who signed it.

use serde::{Deserialize, Serialize};

use super::findings::{epoch, has_epochs, is_cve, one_spelling, qualifiers};
use super::{Finding, bare_purl};
use crate::{Digest, UnixMillis};

/// A VEX document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vex {
    /// `openvex`, `csaf` or `cyclonedx`.
    pub format: String,
    /// Such as `0.2.0`.
    pub spec_version: String,
    /// The document's id, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who wrote it, as the document says; proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was issued, as the document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<UnixMillis>,
    /// What it says, in the document's order.
    pub statements: Vec<VexStatement>,
}

/// What is said of one vulnerability in some products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VexStatement {
    /// Such as `CVE-2024-1234`.
    pub vulnerability: String,
    /// Its other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What it is about: package URLs, `sha256:` digests, or other names; none means whatever the evidence is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
    /// The parts of the products that it is about, by package URL; none means all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subcomponents: Vec<String>,
    /// What is said.
    pub status: VexStatus,
    /// Why it does not matter: one of the five words of OpenVEX and CSAF, or the format's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// The author's explanation of the impact, or what to do; its first 400 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it was said, as the document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_at: Option<UnixMillis>,
    /// Where in the document it stands: a JSON pointer (RFC 6901).
    pub pointer: String,
}

/// Whether a vulnerability matters; ordered, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VexStatus {
    /// It does not.
    NotAffected,
    /// It did, and is fixed.
    Fixed,
    /// Nobody knows yet.
    UnderInvestigation,
    /// It does.
    Affected,
}

impl VexStatus {
    /// Whether a finding with this status need not block.
    pub const fn lowers(self) -> bool {
        matches!(self, Self::NotAffected | Self::Fixed)
    }

    /// The word for it, such as `not-affected`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAffected => "not-affected",
            Self::Fixed => "fixed",
            Self::UnderInvestigation => "under-investigation",
            Self::Affected => "affected",
        }
    }
}

impl VexStatement {
    /// All names of the vulnerability, the first one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.vulnerability.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Whether a CVE is among these names.
    pub fn names_cves(&self) -> bool {
        self.names().any(is_cve)
    }

    /// Whether it is about a finding in an artifact.
    ///
    /// The vulnerability has to be named, by id or alias. A product is the artifact, by its digest, or the finding's
    /// own package, by package URL: one without a version is about every version, and every qualifier that it has must
    /// be one of the finding's, but for an epoch, which may stand in the version. Where the statement names
    /// subcomponents, one of them has to be the finding's package. A product that is the artifact and comes without
    /// subcomponents is about all that is in it. Names of other kinds match nothing, and a package without a package
    /// URL is matched only through the artifact as a whole.
    pub fn is_about(&self, finding: &Finding, artifact: &Digest) -> bool {
        self.names().any(|name| finding.is_about(name)) && self.is_about_product(finding, artifact)
    }

    /// What [`VexStatement::is_about`] says of a finding whose vulnerability is known to be named.
    pub fn is_about_product(&self, finding: &Finding, artifact: &Digest) -> bool {
        let is_package = |product: &String| finding.purl.as_deref().is_some_and(|purl| purl_matches(product, purl));
        let is_artifact = self.products.is_empty() || self.products.iter().any(|product| is_digest(product, artifact));
        match self.subcomponents.is_empty() {
            true => is_artifact || self.products.iter().any(is_package),
            false => is_artifact && self.subcomponents.iter().any(is_package),
        }
    }
}

/// Whether a product in a statement is this digest, which is written in one way alone.
fn is_digest(product: &str, digest: &Digest) -> bool {
    product.strip_prefix("sha256:").and_then(|hex| Digest::from_hex(hex).ok()) == Some(*digest)
}

/// Whether a package URL in a statement stands for the package with the URL `found`.
fn purl_matches(stated: &str, found: &str) -> bool {
    if !stated.starts_with("pkg:") || !found.starts_with("pkg:") {
        return false;
    }
    let ((package, version), (found_package, found_version)) = (bare_purl(stated), bare_purl(found));
    // The same version, though perhaps in another spelling.
    let is_same = match (&version, &found_version) {
        (Some(version), Some(found_version)) => one_spelling(stated, version) == one_spelling(found, found_version),
        _ => false,
    };
    let is_in_version = |pair: &str| is_same && has_epochs(stated) && epoch(pair).is_some();
    let theirs: Vec<&str> = qualifiers(found).collect();
    package == found_package
        && (version.is_none() || version == found_version || is_same)
        && qualifiers(stated).all(|pair| theirs.contains(&pair) || is_in_version(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(products: &[&str], subcomponents: &[&str], status: VexStatus, stated_at: Option<u64>) -> VexStatement {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        VexStatement {
            vulnerability: "CVE-2026-1".to_owned(),
            aliases: vec!["GHSA-1".to_owned()],
            products: texts(products),
            subcomponents: texts(subcomponents),
            status,
            justification: None,
            text: None,
            stated_at: stated_at.map(UnixMillis),
            pointer: String::new(),
        }
    }

    fn finding(id: &str) -> Finding {
        Finding {
            id: id.to_owned(),
            package: "openssl".to_owned(),
            version: "3.0.1".to_owned(),
            purl: Some("pkg:deb/debian/openssl@3.0.1?arch=amd64&distro=debian-12".to_owned()),
            ..Finding::default()
        }
    }

    #[test]
    fn a_statement_is_about_what_it_names() {
        let artifact = Digest::of(b"app");
        let (own, other) = (artifact.to_string(), Digest::of(b"other").to_string());
        let check = |products: &[&str], subcomponents: &[&str], expected: bool| {
            let statement = statement(products, subcomponents, VexStatus::NotAffected, None);
            assert_eq!(
                statement.is_about(&finding("CVE-2026-1"), &artifact),
                expected,
                "{products:?} {subcomponents:?}"
            );
            assert!(!statement.is_about(&finding("CVE-2026-11"), &artifact), "{products:?}");
        };
        check(&[], &[], true);
        check(&[&own], &[], true);
        check(&[&other], &[], false);
        check(&["pkg:deb/debian/openssl@3.0.1"], &[], true);
        check(&["pkg:deb/debian/openssl"], &[], true);
        check(&["pkg:deb/debian/openssl@3.0.1?arch=amd64"], &[], true);
        check(&["pkg:deb/debian/openssl@3.0.1?arch=arm64"], &[], false);
        check(&["pkg:deb/debian/openssl@3.0.10"], &[], false);
        check(&["pkg:deb/debian/openss"], &[], false);
        check(&["openssl"], &[], false);
        check(&["*"], &[], false);
        check(&[&own], &["pkg:deb/debian/openssl@3.0.1"], true);
        check(&[&own], &["pkg:deb/debian/zlib@1"], false);
        check(&[&other], &["pkg:deb/debian/openssl@3.0.1"], false);
        check(&["pkg:oci/app@1"], &["pkg:deb/debian/openssl@3.0.1"], false);
        let by_alias = statement(&[], &[], VexStatus::Fixed, None);
        assert!(by_alias.is_about(&finding("ghsa-1"), &artifact));
    }

    #[test]
    fn a_version_is_the_same_in_every_spelling() {
        let check = |stated: &str, found: &str, expected: bool| {
            assert_eq!(purl_matches(stated, found), expected, "{stated} {found}");
        };
        let (qualifier, inside) = ("pkg:deb/debian/a@2-1?arch=amd64&epoch=1", "pkg:deb/debian/a@1%3A2-1?arch=amd64");
        check("pkg:deb/debian/a@1%3A2-1", qualifier, true);
        check("pkg:deb/debian/a@2-1?epoch=1", qualifier, true);
        check("pkg:deb/debian/a@2-1?epoch=1", inside, true);
        check("pkg:deb/debian/a@1:2-1", inside, true);
        check("pkg:deb/debian/a@2-1?epoch=1&arch=arm64", inside, false);
        check("pkg:deb/debian/a@2-1?epoch=2", inside, false);
        check("pkg:deb/debian/a@2-1?epoch=2", qualifier, false);
        check("pkg:deb/debian/a@2-1?epoch=1", "pkg:deb/debian/a@2-1", false);
        check("pkg:deb/debian/a@2-1", inside, false);
        // A statement without the qualifier is about every one, as with any other qualifier.
        check("pkg:deb/debian/a@2-1", qualifier, true);
        check("pkg:deb/debian/a", inside, true);
        check("pkg:deb/debian/a?epoch=1", qualifier, true);
        check("pkg:rpm/redhat/a@2-1?epoch=0", "pkg:rpm/redhat/a@2-1", true);
        check("pkg:golang/golang.org/x/net@0.7.0", "pkg:golang/golang.org/x/net@v0.7.0", true);
        check("pkg:golang/golang.org/x/net@v0.7.0", "pkg:golang/golang.org/x/net@0.7.0", true);
        check("pkg:golang/golang.org/x/net@v0.7.1", "pkg:golang/golang.org/x/net@0.7.0", false);
        check("pkg:npm/a@1?epoch=1", "pkg:npm/a@1", false);
        check("pkg:npm/a@v1", "pkg:npm/a@1", false);
    }
}
