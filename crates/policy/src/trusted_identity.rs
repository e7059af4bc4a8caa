//! Trusted identities: signers that have no key of their own, only a certificate for who they are.

use std::collections::BTreeMap;

use lockgate_model::facts::{SignatureClass, SignatureFact};
use lockgate_sign::{MinisignKey, PublicKey};
use serde::Deserialize;

use crate::wording::shown;

/// By what a signer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A public key.
    Key(PublicKey),
    /// A public key of minisign, which signs artifacts and nothing else.
    Minisign(MinisignKey),
    /// An identity, proved by a certificate of Sigstore's kind.
    Identity(TrustedIdentity),
}

impl Proof {
    /// The key, where it is one.
    pub fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Minisign(key) => Some(key.key()),
            Self::Identity(_) => None,
        }
    }

    /// Whether it is the same key, in whatever form it is written, or the same identity.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self == other || (self.key().is_some() && self.key() == other.key())
    }
}

/// Whom a certificate has to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIdentity {
    issuer: String,
    name: Name,
    claims: BTreeMap<String, String>,
    log: LogDemand,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exact(String),
    StartsWith(String),
}

/// Whether a signature has to stand in a transparency log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LogDemand {
    #[default]
    Required,
    Optional,
}

/// `[signer.sigstore]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityEntry {
    issuer: String,
    identity: String,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    log: LogDemand,
}

impl TrustedIdentity {
    /// Reads the table; says what is wrong with it.
    pub(crate) fn read(entry: IdentityEntry) -> Result<Self, String> {
        let IdentityEntry { issuer, identity, claims, log } = entry;
        if !issuer.starts_with("https://") || issuer.contains('*') {
            return Err(format!("`{}` is no issuer: write the whole address of who issues the tokens", shown(&issuer)));
        }
        if let Some((claim, _)) = claims.iter().find(|(claim, _)| !SignatureFact::CLAIMS.contains(&claim.as_str())) {
            let known = SignatureFact::CLAIMS.join(", ");
            return Err(format!("`{}` is no claim of a certificate: it is one of {known}", shown(claim)));
        }
        if let Some((claim, _)) = claims.iter().find(|(_, value)| value.is_empty() || value.contains('*')) {
            return Err(format!("the claim `{claim}` has to be one whole text: it is compared exactly"));
        }
        Ok(Self { issuer, name: Name::read(&identity)?, claims, log })
    }

    /// Whom it names, such as `https://ci.example/acme/* of https://issuer.example`.
    pub fn described(&self) -> String {
        match &self.name {
            Name::Exact(whole) => format!("{whole} of {}", self.issuer),
            Name::StartsWith(start) => format!("{start}* of {}", self.issuer),
        }
    }

    /// Whether it is everyone of one owner: a host and an owner, whatever comes behind, and no claim besides.
    pub fn is_broad(&self) -> bool {
        match &self.name {
            Name::Exact(_) => false,
            Name::StartsWith(start) => self.claims.is_empty() && parts_of(start) <= 2,
        }
    }

    /// Whether a verified signature is by this identity, and logged as well as it has to be.
    pub fn signed(&self, fact: &SignatureFact) -> bool {
        let logged = match (fact.class, self.log) {
            (SignatureClass::Verified, _) | (SignatureClass::WithoutLog, LogDemand::Optional) => true,
            (SignatureClass::WithoutLog, LogDemand::Required)
            | (
                SignatureClass::WithoutTime
                | SignatureClass::SignatureInvalid
                | SignatureClass::IdentityMismatch
                | SignatureClass::UntrustedRoot
                | SignatureClass::Malformed
                | SignatureClass::Unsupported
                | SignatureClass::Unsigned,
                _,
            ) => false,
        };
        logged && self.is_named(fact)
    }

    /// Whether a proved signature is by this identity, logged or not.
    pub(crate) fn is_named(&self, fact: &SignatureFact) -> bool {
        fact.issuer.as_deref() == Some(self.issuer.as_str())
            && fact.identity.as_deref().is_some_and(|name| self.name.matches(name))
            && self.claims.iter().all(|(claim, value)| fact.claims.get(claim) == Some(value))
    }
}

/// How many parts the start of an identity names, the host first.
fn parts_of(start: &str) -> usize {
    start.strip_prefix("https://").map_or(0, |rest| rest.split(['/', '@']).filter(|part| !part.is_empty()).count())
}

impl Name {
    /// A whole name, or the start of one with `*` behind it; a start ends with a part, so that `acme/` never matches
    /// `acme-evil/`, and names more than a host, so that it never matches everyone there.
    fn read(text: &str) -> Result<Self, String> {
        let Some(start) = text.strip_suffix('*') else {
            let whole = !text.is_empty() && !text.contains('*');
            let message = || format!("`{}` is no identity: write it whole, or with one `*` at its end", shown(text));
            return whole.then(|| Self::Exact(text.to_owned())).ok_or_else(message);
        };
        let ends = start.ends_with('/') || start.ends_with('@');
        match !start.contains('*') && ends && parts_of(start) >= 2 {
            true => Ok(Self::StartsWith(start.to_owned())),
            false => Err(format!(
                "`{}` would match too many: write `https://`, a host, an owner, and `/` or `@` before the `*`",
                shown(text)
            )),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(whole) => whole == name,
            // What could be read in two ways matches no start.
            Self::StartsWith(start) => {
                name.strip_prefix(start.as_str()).is_some_and(|rest| !rest.is_empty()) && !name.contains("..")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://token.ci.example";
    const WORKFLOW: &str = "https://ci.example/acme/shop/release.yml@refs/tags/v1";

    fn identity(text: &str, claims: &[(&str, &str)], log: LogDemand) -> Result<TrustedIdentity, String> {
        let claims = claims.iter().map(|(claim, value)| ((*claim).to_owned(), (*value).to_owned())).collect();
        TrustedIdentity::read(IdentityEntry { issuer: ISSUER.to_owned(), identity: text.to_owned(), claims, log })
    }

    fn fact(class: SignatureClass, name: &str) -> SignatureFact {
        let repository = "https://ci.example/acme/shop".to_owned();
        SignatureFact {
            class,
            code: String::new(),
            root: None,
            identity: Some(name.to_owned()),
            issuer: Some(ISSUER.to_owned()),
            claims: BTreeMap::from([("source_repository_uri".to_owned(), repository)]),
            key: None,
            signed_at: None,
        }
    }

    #[test]
    fn matches_whole_parts_only() {
        let check = |text: &str, name: &str, expected: bool| {
            let identity = identity(text, &[], LogDemand::Required).unwrap();
            assert_eq!(identity.signed(&fact(SignatureClass::Verified, name)), expected, "{text} {name}");
        };
        check(WORKFLOW, WORKFLOW, true);
        check(WORKFLOW, &format!("{WORKFLOW}0"), false);
        check("https://ci.example/acme/shop/release.yml@*", WORKFLOW, true);
        check("https://ci.example/acme/*", WORKFLOW, true);
        check("https://ci.example/acme/*", "https://ci.example/acme-evil/shop", false);
        check("https://ci.example/acme/*", "https://ci.example/acme/../evil/shop", false);
        check("https://ci.example/acme/*", "https://ci.example/acme/", false);
    }

    #[test]
    fn a_whole_owner_is_broad() {
        let check = |text: &str, claims: &[(&str, &str)], expected: bool| {
            assert_eq!(identity(text, claims, LogDemand::Required).unwrap().is_broad(), expected, "{text}");
        };
        check("https://ci.example/acme/*", &[], true);
        check("https://ci.example/acme/*", &[("build_trigger", "push")], false);
        check("https://ci.example/acme/shop/*", &[], false);
        check(WORKFLOW, &[], false);
    }

    #[test]
    fn what_matches_everyone_is_refused() {
        for bad in [
            "",
            "*",
            "https://*",
            "https://ci.example/*",
            "https://ci.example/ac*",
            "https://*/acme/",
            "http://ci.example/acme/*",
            "a*b",
        ] {
            assert!(identity(bad, &[], LogDemand::Required).is_err(), "{bad}");
        }
        for claims in [[("source_repository", "x")], [("build_trigger", "")], [("build_trigger", "push*")]] {
            assert!(identity(WORKFLOW, &claims, LogDemand::Required).is_err(), "{claims:?}");
        }
    }

    #[test]
    fn claims_issuer_and_log_count() {
        let signed = |claims: &[(&str, &str)], log, class| {
            identity(WORKFLOW, claims, log).unwrap().signed(&fact(class, WORKFLOW))
        };
        let repository = [("source_repository_uri", "https://ci.example/acme/shop")];
        assert!(signed(&repository, LogDemand::Required, SignatureClass::Verified));
        assert!(!signed(&[("source_repository_uri", "x")], LogDemand::Required, SignatureClass::Verified));
        assert!(!signed(&[("build_trigger", "push")], LogDemand::Required, SignatureClass::Verified));
        assert!(!signed(&[], LogDemand::Required, SignatureClass::WithoutLog));
        assert!(signed(&[], LogDemand::Optional, SignatureClass::WithoutLog));
        assert!(!signed(&[], LogDemand::Optional, SignatureClass::SignatureInvalid));
        let other = SignatureFact { issuer: Some("https://x".to_owned()), ..fact(SignatureClass::Verified, WORKFLOW) };
        assert!(!identity(WORKFLOW, &[], LogDemand::Required).unwrap().signed(&other));
    }
}
