//! Certificates: whom a Fulcio certificate names, read from its DER.
//!
//! RFC 5280, section 4, and `sigstore/fulcio`, `docs/oid-info.md`. Nothing here verifies a certificate: the verifier
//! has to have accepted it, and compares what it read with what is read here.

use std::collections::BTreeMap;

use lockgate_model::Digest;
use lockgate_model::facts::SignatureFact;

use crate::outcome::{Reason, Refusal};

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The subject alternative name: a URI of a workflow, or an e-mail address.
    pub name: String,
    /// The issuer of the OpenID token that the authority checked.
    pub issuer: String,
    /// What Fulcio's extensions say besides, by their names, such as `source_repository_uri`.
    pub claims: BTreeMap<String, String>,
}

/// What is read from a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it names.
    pub identity: Identity,
    /// The digest of its SubjectPublicKeyInfo.
    pub key: Digest,
}

/// The number of the first of [`SignatureFact::CLAIMS`]; 8 is the issuer, and those before are of the old form.
const FIRST_CLAIM: u8 = 9;

const FULCIO_ARC: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const ISSUER: u8 = 8;
const ISSUER_OLD: u8 = 1;

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const NAME_OTHER: u8 = 0xa0;
const NAME_EMAIL: u8 = 0x81;
const NAME_URI: u8 = 0x86;

/// The most extensions of one certificate.
const MOST_EXTENSIONS: usize = 64;

impl CertificateFacts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when it is no certificate, names nobody or two, has two issuers, or has an extension twice;
    /// [`Reason::Unsupported`] when it names no issuer, as those of GitHub's release attestations.
    pub fn parse(der: &[u8]) -> Result<Self, Refusal> {
        let malformed = |detail: &str| Refusal::new(Reason::Malformed, format!("the certificate {detail}"));
        let (key, extensions) = parts(der).ok_or_else(|| malformed("does not read as X.509 in DER"))?;
        let extensions = extensions_of(extensions).ok_or_else(|| malformed("has extensions that do not read"))?;
        let fulcio = |number: u8| value_of(&extensions, &[FULCIO_ARC, &[number]].concat());

        let name = value_of(&extensions, SUBJECT_ALTERNATIVE_NAME)
            .and_then(only_name)
            .ok_or_else(|| malformed("does not name exactly one e-mail address, URI or user"))?;
        let new = match fulcio(ISSUER) {
            Some(value) => Some(utf8(value).ok_or_else(|| malformed("has an issuer that does not read"))?),
            None => None,
        };
        let old = fulcio(ISSUER_OLD).and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned);
        let issuer = match (new, old) {
            (Some(new), Some(old)) if new != old => return Err(malformed("names two issuers")),
            (Some(issuer), _) | (None, Some(issuer)) => issuer,
            (None, None) if fulcio(ISSUER_OLD).is_some() => {
                return Err(malformed("has an issuer that does not read"));
            }
            (None, None) => {
                let detail = format!("the certificate names no issuer: nothing says who vouches for `{name}`");
                return Err(Refusal::new(Reason::Unsupported, detail));
            }
        };
        let mut claims = BTreeMap::new();
        for (number, claim) in (FIRST_CLAIM..).zip(SignatureFact::CLAIMS) {
            if let Some(value) = fulcio(number) {
                let value = utf8(value).ok_or_else(|| malformed("has an extension of Fulcio's that does not read"))?;
                claims.insert(claim.to_owned(), value);
            }
        }
        Ok(Self { identity: Identity { name, issuer, claims }, key: Digest::of(key) })
    }
}

/// The SubjectPublicKeyInfo, whole, and the content of the extensions.
fn parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader(der);
    let mut certificate = Reader(outer.take(SEQUENCE)?);
    outer.end()?;
    let mut signed = Reader(certificate.take(SEQUENCE)?);
    certificate.take(SEQUENCE)?;
    certificate.take(BIT_STRING)?;
    certificate.end()?;
    signed.take(VERSION)?;
    // Serial number, signature algorithm, issuer, validity, subject.
    for _ in 0..5 {
        signed.element()?;
    }
    let key = signed.whole(SEQUENCE)?;
    loop {
        let (tag, content) = signed.element()?;
        if tag == EXTENSIONS {
            signed.end()?;
            let mut holder = Reader(content);
            let extensions = holder.take(SEQUENCE)?;
            holder.end()?;
            return Some((key, extensions));
        }
    }
}

fn value_of<'a>(extensions: &[(&'a [u8], &'a [u8])], oid: &[u8]) -> Option<&'a [u8]> {
    extensions.iter().find(|(id, _)| *id == oid).map(|(_, value)| *value)
}

/// Object identifiers with their values; no identifier stands twice.
fn extensions_of(content: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut list = Reader(content);
    let mut found: Vec<(&[u8], &[u8])> = Vec::new();
    while !list.0.is_empty() {
        let mut extension = Reader(list.take(SEQUENCE)?);
        let id = extension.take(OID)?;
        if extension.0.first() == Some(&BOOLEAN) {
            extension.take(BOOLEAN)?;
        }
        let value = extension.take(OCTET_STRING)?;
        extension.end()?;
        if found.len() >= MOST_EXTENSIONS || found.iter().any(|(other, _)| *other == id) {
            return None;
        }
        found.push((id, value));
    }
    Some(found)
}

/// The one name of a subject alternative name.
fn only_name(value: &[u8]) -> Option<String> {
    let mut outer = Reader(value);
    let mut names = Reader(outer.take(SEQUENCE)?);
    outer.end()?;
    let (tag, content) = names.element()?;
    names.end()?;
    match tag {
        NAME_EMAIL | NAME_URI => plain(content),
        // A user name in the form of Fulcio: an identifier, and an explicitly tagged string.
        NAME_OTHER => {
            let mut other = Reader(content);
            let id = other.take(OID)?;
            let mut tagged = Reader(other.take(NAME_OTHER)?);
            other.end()?;
            let name = tagged.take(UTF8_STRING)?;
            tagged.end()?;
            (id == [FULCIO_ARC, &[7]].concat()).then(|| plain(name)).flatten()
        }
        _ => None,
    }
}

fn utf8(value: &[u8]) -> Option<String> {
    let mut reader = Reader(value);
    let content = reader.take(UTF8_STRING)?;
    reader.end()?;
    plain(content)
}

/// Text without control characters, so that no name can pretend to be two.
fn plain(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Reads DER elements one after another; every length must be in its shortest form (X.690, section 10.1).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag and content.
    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(long & 0x0f))?;
                let length = digits.iter().fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit));
                let shortest = digits.first() != Some(&0) && length >= 0x80;
                (shortest.then_some(length)?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The next element with its header, which must have this tag.
    fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.take(tag)?;
        let length = before.len().checked_sub(self.0.len())?;
        before.split_at_checked(length).map(|(element, _)| element)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match content.len() {
            short @ 0..=0x7f => out.push(short as u8),
            middle @ 0x80..=0xff => out.extend([0x81, middle as u8]),
            long => out.extend([0x82, (long >> 8) as u8, long as u8]),
        }
        out.extend_from_slice(content);
        out
    }

    fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
        put(SEQUENCE, &[put(OID, id), put(OCTET_STRING, value)].concat())
    }

    fn fulcio(number: u8, text: &str) -> Vec<u8> {
        extension(&[FULCIO_ARC, &[number]].concat(), &put(UTF8_STRING, text.as_bytes()))
    }

    fn names(names: &[Vec<u8>]) -> Vec<u8> {
        extension(SUBJECT_ALTERNATIVE_NAME, &put(SEQUENCE, &names.concat()))
    }

    fn uri(text: &str) -> Vec<u8> {
        put(NAME_URI, text.as_bytes())
    }

    fn certificate(extensions: &[Vec<u8>]) -> Vec<u8> {
        let key = put(SEQUENCE, b"key");
        let fields = [
            put(VERSION, &[2, 1, 2]),
            put(0x02, &[1]),
            put(SEQUENCE, &[]),
            put(SEQUENCE, &[]),
            put(SEQUENCE, &[]),
            put(SEQUENCE, &[]),
            key,
            put(EXTENSIONS, &put(SEQUENCE, &extensions.concat())),
        ];
        put(SEQUENCE, &[put(SEQUENCE, &fields.concat()), put(SEQUENCE, &[]), put(BIT_STRING, &[0])].concat())
    }

    const WORKFLOW: &str = "https://ci.example/acme/shop/release.yml@refs/heads/main";

    #[test]
    fn names_issuer_and_claims_are_read() {
        let der = certificate(&[
            names(&[uri(WORKFLOW)]),
            fulcio(ISSUER, "https://ci.example"),
            fulcio(12, "https://ci.example/acme/shop"),
            fulcio(24, "repo:acme/shop"),
        ]);
        let facts = CertificateFacts::parse(&der).unwrap();
        assert_eq!(facts.identity.name, WORKFLOW);
        assert_eq!(facts.identity.issuer, "https://ci.example");
        assert_eq!(facts.identity.claims["source_repository_uri"], "https://ci.example/acme/shop");
        assert_eq!(facts.identity.claims.len(), 2);
        assert_eq!(facts.key, Digest::of(&put(SEQUENCE, b"key")));
        for end in 0..der.len() {
            assert!(CertificateFacts::parse(&der[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_certificate_without_an_issuer_is_well_formed_and_counts_for_nobody() {
        let refused = |extensions: &[Vec<u8>]| CertificateFacts::parse(&certificate(extensions)).unwrap_err();
        let refusal = refused(&[names(&[uri("https://dotcom.releases.example")])]);
        assert_eq!(refusal.reason, Reason::Unsupported);
        assert!(refusal.detail.contains("names no issuer"), "{refusal}");
        assert!(refusal.detail.contains("`https://dotcom.releases.example`"), "{refusal}");
        // One that does not read is none that is not there.
        let broken = extension(&[FULCIO_ARC, &[ISSUER]].concat(), b"\x0c\x05x");
        assert_eq!(refused(&[names(&[uri(WORKFLOW)]), broken]).reason, Reason::Malformed);
        let broken = extension(&[FULCIO_ARC, &[ISSUER_OLD]].concat(), b"\xff");
        assert_eq!(refused(&[names(&[uri(WORKFLOW)]), broken]).reason, Reason::Malformed);
    }

    #[test]
    fn doubtful_certificates_name_nobody() {
        let issuer = || fulcio(ISSUER, "https://ci.example");
        let old = |text: &str| extension(&[FULCIO_ARC, &[ISSUER_OLD]].concat(), text.as_bytes());
        for bad in [
            vec![issuer()],
            vec![names(&[uri(WORKFLOW)])],
            vec![names(&[uri(WORKFLOW), uri("https://other.example")]), issuer()],
            vec![names(&[]), issuer()],
            vec![names(&[uri("https://ci.example\nhttps://other.example")]), issuer()],
            vec![names(&[put(0x82, b"dns.example")]), issuer()],
            vec![names(&[uri(WORKFLOW)]), issuer(), issuer()],
            vec![names(&[uri(WORKFLOW)]), issuer(), old("https://other.example")],
        ] {
            assert!(CertificateFacts::parse(&certificate(&bad)).is_err(), "{bad:?}");
        }
        let both = certificate(&[names(&[uri(WORKFLOW)]), issuer(), old("https://ci.example")]);
        assert!(CertificateFacts::parse(&both).is_ok());
        let user = put(
            NAME_OTHER,
            &[put(OID, &[FULCIO_ARC, &[7]].concat()), put(NAME_OTHER, &put(UTF8_STRING, b"dana"))].concat(),
        );
        let facts = CertificateFacts::parse(&certificate(&[names(&[user]), issuer()])).unwrap();
        assert_eq!(facts.identity.name, "dana");
    }
}
