//! CI trust: which pipelines of which token issuer may act as a machine, and for which services.
//!
//! INVARIANT (pipelines are known by ids): a trust of GitHub or GitLab names the numeric ids of owner and repository,
//! which are never given out again; names can be (attack A-07 of `tests/attacks`). Claims are compared one by one, and
//! never as a joined text.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{Digest, EntryIndex, GroupName, PersonId, ServiceName};
use lockgate_policy::Permission;
use serde::{Deserialize, Serialize};

use crate::change::{Countersignature, Demand};
use crate::governance::{Signed, document_bytes};
use crate::state::ApplyError;

/// The SSHSIG namespace of CI trusts and of their end.
pub const CI_TRUST_NAMESPACE: &str = "ci-trust.v1@lockgate.dev";
/// The issuer of tokens of GitHub Actions on github.com.
pub const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
/// The issuer of ID tokens of GitLab CI on gitlab.com.
pub const GITLAB_ISSUER: &str = "https://gitlab.com";

/// The most trusts that count at one time.
const TRUSTS_MAX: usize = 1000;
/// The most claims of one trust.
const CLAIMS_MAX: usize = 16;
/// The most services of one trust.
const SERVICES_MAX: usize = 64;
/// The longest issuer, address, audience or claim, in bytes.
const TEXT_MAX_BYTES: usize = 512;
/// Claims that are checked for every token, so that a trust cannot demand them as well.
const REGISTERED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Whose tokens they are: decides which claims a trust must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CiProvider {
    /// GitHub Actions: `repository_owner_id` and `repository_id`.
    Github,
    /// GitLab CI: `namespace_id` and `project_id`.
    Gitlab,
    /// Any other issuer of OpenID Connect tokens: at least one claim.
    Oidc,
}

impl CiProvider {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Oidc => "oidc",
        }
    }

    /// The claims that hold the numeric ids which must be named.
    pub const fn id_claims(self) -> &'static [&'static str] {
        match self {
            Self::Github => &["repository_owner_id", "repository_id"],
            Self::Gitlab => &["namespace_id", "project_id"],
            Self::Oidc => &[],
        }
    }
}

/// Body of `ci.trusted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CiTrusted {
    /// Whose tokens.
    pub provider: CiProvider,
    /// The machine that such a pipeline acts as; it has no key, and comes into being with its first trust.
    pub machine: PersonId,
    /// The machine's groups.
    pub groups: Vec<GroupName>,
    /// The issuer, byte for byte as in `iss`.
    pub issuer: String,
    /// The only audience that counts.
    pub audience: String,
    /// What each of these claims must be.
    pub claims: BTreeMap<String, String>,
    /// The services it may act on, in ascending order.
    pub services: Vec<ServiceName>,
    /// Where the issuer's keys are; absent means where its discovery document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Random hex: a signature is good for one entry, also after the trust has ended.
    pub nonce: String,
    /// Someone who may manage keys.
    pub by: PersonId,
    /// Their signature over the trust document (SSHSIG, armored).
    pub signature: String,
    /// Further signatures over the same document, up to the quorum of the policy set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned: Vec<Countersignature>,
}

impl CiTrusted {
    /// Whose signatures it needs, as an enrolment does: a machine comes into being with it.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn demand(&self, ledger: &str) -> Result<Demand<'_>, ApplyError> {
        Ok(Demand {
            permission: Permission::Keys,
            subject: None,
            namespace: CI_TRUST_NAMESPACE,
            document: document_bytes(&CiTrustDocument::new(ledger, self))?,
            by: &self.by,
            signature: &self.signature,
            more: &self.countersigned,
        })
    }
}

/// Body of `ci.untrusted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CiUntrusted {
    /// The `ci.trusted` entry that ends.
    pub trust: EntryIndex,
    /// Why.
    pub reason: String,
    /// Someone who may manage keys.
    pub by: PersonId,
    /// Their signature over the end document (SSHSIG, armored).
    pub signature: String,
}

/// What is signed for a trust.
#[derive(Debug, Serialize)]
pub struct CiTrustDocument<'a> {
    /// Always `https://lockgate.dev/ci-trust/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// As [`CiTrusted::provider`].
    pub provider: CiProvider,
    /// As [`CiTrusted::machine`].
    pub machine: &'a PersonId,
    /// As [`CiTrusted::groups`].
    pub groups: &'a [GroupName],
    /// As [`CiTrusted::issuer`].
    pub issuer: &'a str,
    /// As [`CiTrusted::audience`].
    pub audience: &'a str,
    /// As [`CiTrusted::claims`].
    pub claims: &'a BTreeMap<String, String>,
    /// As [`CiTrusted::services`].
    pub services: &'a [ServiceName],
    /// As [`CiTrusted::jwks_url`]; `null` when absent.
    pub jwks_url: Option<&'a str>,
    /// As [`CiTrusted::nonce`].
    pub nonce: &'a str,
    /// Who signs first.
    pub by: &'a PersonId,
}

impl<'a> CiTrustDocument<'a> {
    /// The document for this event.
    pub fn new(ledger: &'a str, event: &'a CiTrusted) -> Self {
        Self {
            schema: "https://lockgate.dev/ci-trust/v1",
            ledger,
            provider: event.provider,
            machine: &event.machine,
            groups: &event.groups,
            issuer: &event.issuer,
            audience: &event.audience,
            claims: &event.claims,
            services: &event.services,
            jwks_url: event.jwks_url.as_deref(),
            nonce: &event.nonce,
            by: &event.by,
        }
    }
}

/// What is signed to end a trust.
#[derive(Debug, Serialize)]
pub struct CiTrustEndDocument<'a> {
    /// Always `https://lockgate.dev/ci-trust-end/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The entry that ends.
    pub trust: EntryIndex,
    /// Why.
    pub reason: &'a str,
    /// Who signs.
    pub by: &'a PersonId,
}

impl<'a> CiTrustEndDocument<'a> {
    /// The document for these fields.
    pub fn new(ledger: &'a str, trust: EntryIndex, reason: &'a str, by: &'a PersonId) -> Self {
        Self { schema: "https://lockgate.dev/ci-trust-end/v1", ledger, trust, reason, by }
    }
}

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To another machine, over `https`.
    Remote,
    /// To this machine.
    Loopback,
}

/// Where an address leads; nothing for what is never asked: other schemes, `http` to other machines, credentials in
/// the address.
pub fn reach(url: &str) -> Option<Reach> {
    let acceptable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>');
    if url.len() > TEXT_MAX_BYTES || !url.bytes().all(acceptable) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (host, port) = literal.split_once(']')?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("443"))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "443")),
    };
    let number: u16 = port.parse().ok()?;
    let names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    if host.is_empty() || !host.bytes().all(names) || number == 0 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let loopback = matches!(host.to_ascii_lowercase().as_str(), "127.0.0.1" | "localhost" | "::1");
    match (scheme, loopback) {
        ("https" | "http", true) => Some(Reach::Loopback),
        ("https", false) => Some(Reach::Remote),
        _ => None,
    }
}

/// A trust that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct CiTrust {
    /// What it says.
    pub(crate) event: CiTrusted,
    /// How many people it took.
    pub(crate) quorum: usize,
    /// Who signed it.
    pub(crate) signed: Vec<Signed>,
}

/// The trusts that have not ended, by the entry that recorded them, and every document that was ever signed for one.
#[derive(Debug, Clone, Default)]
pub(crate) struct CiTrusts {
    pub(crate) active: BTreeMap<EntryIndex, CiTrust>,
    pub(crate) signed: BTreeSet<Digest>,
}

impl CiTrusts {
    /// Checks a trust beside the others.
    ///
    /// # Errors
    /// `CI_TRUST_REPLAYED`, `CI_TRUST_LIMIT`, `CI_TRUST_EXISTS` or `CI_TRUST_KEYS`.
    pub(crate) fn check_beside(&self, event: &CiTrusted, document: &Digest) -> Result<(), ApplyError> {
        if self.signed.contains(document) {
            return Err(refused("CI_TRUST_REPLAYED", "this signature was used for an earlier entry"));
        }
        if self.active.len() >= TRUSTS_MAX {
            return Err(refused("CI_TRUST_LIMIT", format!("there are {TRUSTS_MAX} trusts; remove one first")));
        }
        let same_pipeline = |other: &&CiTrusted| {
            other.issuer == event.issuer && other.audience == event.audience && other.claims == event.claims
        };
        let others = || self.active.values().map(|trust| &trust.event);
        if let Some(other) = others().find(same_pipeline) {
            return Err(refused(
                "CI_TRUST_EXISTS",
                format!("these pipelines act as `{}` already; remove that trust first", other.machine),
            ));
        }
        let other_source = |other: &&CiTrusted| other.issuer == event.issuer && other.jwks_url != event.jwks_url;
        match others().any(|other| other_source(&other)) {
            true => Err(refused(
                "CI_TRUST_KEYS",
                format!("another trust takes the keys of `{}` from elsewhere; an issuer has one source", event.issuer),
            )),
            false => Ok(()),
        }
    }
}

pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> ApplyError {
    ApplyError::new(code, message.into())
}

/// Checks what a trust says by itself.
///
/// # Errors
/// `CI_TRUST_INVALID` or `CI_TRUST_IDS`.
pub fn check(event: &CiTrusted) -> Result<(), ApplyError> {
    let invalid = |message: String| refused("CI_TRUST_INVALID", message);
    let plain = |text: &str| {
        (1..=TEXT_MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text
    };
    let issuer = reach(&event.issuer).filter(|_| !event.issuer.contains('?')).ok_or_else(|| {
        invalid(format!("`{}` is no issuer: write its `https://` address, as in `iss`", event.issuer.escape_debug()))
    })?;
    if let Some(url) = &event.jwks_url
        && (reach(url).is_none() || (issuer == Reach::Remote && reach(url) != Some(Reach::Remote)))
    {
        return Err(invalid(format!("`{}` is no `https://` address of keys", url.escape_debug())));
    }
    if !plain(&event.audience) {
        return Err(invalid("the audience is empty, too long, or holds control characters".to_owned()));
    }
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !(16..=64).contains(&event.nonce.len()) || !event.nonce.bytes().all(hex) {
        return Err(invalid("the nonce is not 16 to 64 lower-case hex digits".to_owned()));
    }
    let ascending = event.services.iter().zip(event.services.iter().skip(1)).all(|(one, next)| one < next);
    if event.services.is_empty() || event.services.len() > SERVICES_MAX || !ascending {
        return Err(invalid(format!("a trust names 1 to {SERVICES_MAX} services, each once and in ascending order")));
    }
    if event.claims.is_empty() || event.claims.len() > CLAIMS_MAX {
        return Err(invalid(format!("a trust names 1 to {CLAIMS_MAX} claims")));
    }
    for (name, value) in &event.claims {
        if !plain(name) || !plain(value) || name.len() > 64 || REGISTERED.contains(&name.as_str()) {
            return Err(invalid(format!("the claim `{}` cannot be demanded", name.escape_debug())));
        }
    }
    check_ids(event)
}

fn check_ids(event: &CiTrusted) -> Result<(), ApplyError> {
    let own = match event.issuer.as_str() {
        GITHUB_ISSUER => Some(CiProvider::Github),
        GITLAB_ISSUER => Some(CiProvider::Gitlab),
        _ => None,
    };
    if own.is_some_and(|own| own != event.provider) {
        return Err(refused("CI_TRUST_IDS", format!("`{}` has its own kind of trust", event.issuer)));
    }
    let ids = event.provider.id_claims();
    let numeric = |name: &&str| {
        event.claims.get(*name).is_some_and(|id| id.len() <= 20 && id.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if !ids.iter().all(numeric) {
        return Err(refused(
            "CI_TRUST_IDS",
            format!("a trust of {} names the numeric ids {}", event.provider.as_str(), ids.join(" and ")),
        ));
    }
    match !ids.is_empty() && event.claims.contains_key("sub") {
        true => Err(refused("CI_TRUST_IDS", "`sub` is joined from names that may hold its separator; name ids")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github() -> CiTrusted {
        let claims = [("repository_owner_id", "123"), ("repository_id", "456"), ("ref", "refs/heads/main")];
        CiTrusted {
            provider: CiProvider::Github,
            machine: "ci-web".parse().unwrap(),
            groups: vec!["ci".parse().unwrap()],
            issuer: GITHUB_ISSUER.to_owned(),
            audience: "log1.lockgate.example".to_owned(),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            services: vec!["shop/api".parse().unwrap(), "shop/web".parse().unwrap()],
            jwks_url: None,
            nonce: "0123456789abcdef".to_owned(),
            by: "sam".parse().unwrap(),
            signature: String::new(),
            countersigned: Vec::new(),
        }
    }

    #[track_caller]
    fn refuses(code: &str, change: impl FnOnce(&mut CiTrusted)) {
        let mut event = github();
        change(&mut event);
        assert_eq!(check(&event).unwrap_err().code, code, "{event:?}");
    }

    #[test]
    fn addresses_lead_to_https_or_to_this_machine() {
        let remote = [GITHUB_ISSUER, "https://gitlab.example:8443/base", "https://ci.example/", "https://10.0.0.1"];
        for url in remote {
            assert_eq!(reach(url), Some(Reach::Remote), "{url}");
        }
        for url in ["http://127.0.0.1:8080", "http://localhost/x?y=z", "http://[::1]:1/", "https://LOCALHOST"] {
            assert_eq!(reach(url), Some(Reach::Loopback), "{url}");
        }
        for url in [
            "http://ci.example",
            "HTTPS://ci.example",
            "ftp://ci.example",
            "https://",
            "https:///path",
            "https://user@ci.example",
            "https://ci.example:0",
            "https://ci.example:99999",
            "https://ci.example:+1",
            "https://ci.example\\@evil.example",
            "https://ci.example/#x",
            "https://ci.example/ x",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "https://[::1",
            "ci.example",
            "",
        ] {
            assert_eq!(reach(url), None, "{url}");
        }
    }

    #[test]
    fn pipelines_are_named_by_ids() {
        assert!(check(&github()).is_ok());
        refuses("CI_TRUST_IDS", |event| drop(event.claims.remove("repository_id")));
        refuses("CI_TRUST_IDS", |event| drop(event.claims.insert("repository_id".into(), "octo/web".into())));
        refuses("CI_TRUST_IDS", |event| drop(event.claims.insert("sub".into(), "repo:octo/web".into())));
        refuses("CI_TRUST_IDS", |event| event.provider = CiProvider::Oidc);
        refuses("CI_TRUST_IDS", |event| event.provider = CiProvider::Gitlab);
        let mut other = github();
        (other.provider, other.issuer) = (CiProvider::Oidc, "https://ci.example".to_owned());
        other.claims = BTreeMap::from([("sub".to_owned(), "system:serviceaccount:ci:web".to_owned())]);
        assert!(check(&other).is_ok());
    }

    #[test]
    fn refuses_what_is_not_exact() {
        let invalid = |change: fn(&mut CiTrusted)| refuses("CI_TRUST_INVALID", change);
        invalid(|event| event.issuer = "http://ci.example".to_owned());
        invalid(|event| event.issuer = "https://ci.example?x".to_owned());
        invalid(|event| event.audience = String::new());
        invalid(|event| event.audience = " x".to_owned());
        invalid(|event| event.claims.clear());
        invalid(|event| drop(event.claims.insert("aud".into(), "x".into())));
        invalid(|event| drop(event.claims.insert("ref".into(), String::new())));
        invalid(|event| drop(event.claims.insert("ref".into(), "a\nb".into())));
        invalid(|event| event.services.clear());
        invalid(|event| event.services.reverse());
        invalid(|event| event.services.push("shop/web".parse().unwrap()));
        invalid(|event| event.jwks_url = Some("http://127.0.0.1:1/keys".to_owned()));
        invalid(|event| event.nonce = "XYZ".to_owned());
    }
}
