//! Identities: which accounts of identity providers belong to whom.
//!
//! INVARIANT (an account is bound by a key): a binding carries the signature of its person's own key, so that whoever
//! runs the identity provider, or can write to the server's disk, cannot sign in as somebody else. An account is its
//! issuer and subject, both byte for byte; an e-mail address is neither. What signs in by one can read and request:
//! approvals need a key all the same. A signature binds once: where a binding of the account has ended, it names the
//! entry that ended it, so that nobody who can write to the ledger brings a binding back that was ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, Hasher, PersonId, UnixMillis};
use lockgate_policy::Permission;

use crate::governance::{Governance, document_bytes};
use crate::state::ApplyError;

/// The SSHSIG namespace of bindings and of their ends.
pub const IDENTITY_NAMESPACE: &str = "identity-binding.v1@lockgate.dev";

/// The longest issuer, in bytes.
const ISSUER_MAX_BYTES: usize = 512;
/// The longest subject, in bytes (OpenID Connect Core 1.0, section 2).
const SUBJECT_MAX_BYTES: usize = 255;
/// How many accounts one person may have.
const IDENTITIES_MAX: usize = 16;

/// Body of `identity.bound`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityBound {
    /// Whose.
    pub person: PersonId,
    /// The issuer, as its tokens name it.
    pub issuer: String,
    /// The account, as the issuer's tokens name it.
    pub subject: String,
    /// The `identity.unbound` entry that ended the last binding of this account; absent where it has never been bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EntryIndex>,
    /// The person's signature over the binding document (SSHSIG, armored).
    pub signature: String,
}

/// Body of `identity.unbound`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityUnbound {
    /// Whose.
    pub person: PersonId,
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// The person themselves, or someone who may manage keys.
    pub by: PersonId,
    /// Their signature over the unbinding document.
    pub signature: String,
}

/// What a person signs to bind an account.
#[derive(Debug, Serialize)]
pub struct BindingDocument<'a> {
    /// Always `https://lockgate.dev/identity-binding/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// Whose.
    pub person: &'a PersonId,
    /// The issuer.
    pub issuer: &'a str,
    /// The account.
    pub subject: &'a str,
    /// The entry that ended the last binding of this account, so that the signature binds it once; absent where it has
    /// never been bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<EntryIndex>,
}

impl<'a> BindingDocument<'a> {
    /// The document for these fields, of an account that has never been bound.
    pub fn new(ledger: &'a str, person: &'a PersonId, issuer: &'a str, subject: &'a str) -> Self {
        Self { schema: "https://lockgate.dev/identity-binding/v1", ledger, person, issuer, subject, after: None }
    }

    /// The same for an account whose last binding that entry ended.
    #[must_use]
    pub fn after(self, ended: Option<EntryIndex>) -> Self {
        Self { after: ended, ..self }
    }
}

/// What is signed to end a binding.
#[derive(Debug, Serialize)]
pub struct UnbindingDocument<'a> {
    /// Always `https://lockgate.dev/identity-unbinding/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// Whose.
    pub person: &'a PersonId,
    /// The issuer.
    pub issuer: &'a str,
    /// The account.
    pub subject: &'a str,
    /// Which binding: the entry that made it, so that the signature ends no later one.
    pub bound_at: EntryIndex,
    /// Why.
    pub reason: &'a str,
}

impl<'a> UnbindingDocument<'a> {
    /// The document that ends this binding.
    pub fn new(ledger: &'a str, identity: &'a Identity, reason: &'a str) -> Self {
        Self {
            schema: "https://lockgate.dev/identity-unbinding/v1",
            ledger,
            person: &identity.person,
            issuer: &identity.issuer,
            subject: &identity.subject,
            bound_at: identity.bound_at,
            reason,
        }
    }
}

/// An account and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose; stays so after the binding has ended.
    pub person: PersonId,
    /// The issuer.
    pub issuer: String,
    /// The account.
    pub subject: String,
    /// The fingerprint of the key that bound it.
    pub key: String,
    /// The entry that bound it.
    pub bound_at: EntryIndex,
    /// The entry that ended the binding.
    pub unbound_at: Option<EntryIndex>,
}

/// Every account that was ever bound.
#[derive(Debug, Clone, Default)]
pub struct Identities(BTreeMap<Digest, Identity>);

impl Identities {
    /// Every account, bound or not any more, in no order that means anything.
    pub fn all(&self) -> impl Iterator<Item = &Identity> {
        self.0.values()
    }
}

/// The digest that stands for an account; both parts go in with their lengths, so that no other pair gives the same.
pub fn credential(issuer: &str, subject: &str) -> Digest {
    let mut hasher = Hasher::new();
    for part in [IDENTITY_NAMESPACE, issuer, subject] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

/// Checks that two texts can be an issuer and a subject.
///
/// # Errors
/// `IDENTITY_INVALID`.
pub fn check(issuer: &str, subject: &str) -> Result<(), ApplyError> {
    let printable = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    let scheme = issuer.starts_with("https://") || issuer.starts_with("http://");
    match scheme && printable(issuer, ISSUER_MAX_BYTES) && printable(subject, SUBJECT_MAX_BYTES) {
        true => Ok(()),
        false => Err(ApplyError::new(
            "IDENTITY_INVALID",
            "an account is the URL of its issuer and a subject of at most 255 printable ASCII characters".to_owned(),
        )),
    }
}

impl Governance {
    /// The accounts of one person, ended bindings included.
    pub fn identities_of(&self, person: &PersonId) -> impl Iterator<Item = &Identity> {
        self.identities.all().filter(move |identity| identity.person == *person)
    }

    /// Finds an account by its [`credential`].
    pub fn account(&self, credential: &Digest) -> Option<&Identity> {
        self.identities.0.get(credential)
    }

    /// Whose account this is now: of someone who is not suspended and has a key that counts, by a binding that has not
    /// ended and was not made with a key that was in someone else's hands by then.
    pub fn identity_owner(&self, credential: &Digest, now: UnixMillis) -> Option<&PersonId> {
        let identity = self.account(credential).filter(|identity| identity.unbound_at.is_none())?;
        let bound_well = self.key(&identity.person, &identity.key)?.valid_at(identity.bound_at);
        (bound_well && self.can_act(&identity.person, now)).then_some(&identity.person)
    }

    /// Applies `identity.bound`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn bind_identity(&mut self, event: &IdentityBound, index: EntryIndex) -> Result<(), ApplyError> {
        check(&event.issuer, &event.subject)?;
        let credential = credential(&event.issuer, &event.subject);
        if let Some(known) = self.account(&credential)
            && (known.unbound_at.is_none() || known.person != event.person)
        {
            return Err(ApplyError::new(
                "KEY_ALREADY_BOUND",
                format!("this account belongs to `{}`; one account belongs to one person", known.person),
            ));
        }
        if self.person(&event.person).is_some_and(|person| person.kind == SubjectKind::Machine) {
            return Err(ApplyError::new(
                "SOD_ROBOT",
                format!("`{}` is a machine; machines sign in with a key or a token of their platform", event.person),
            ));
        }
        if self.identities_of(&event.person).count() >= IDENTITIES_MAX {
            return Err(ApplyError::new(
                "IDENTITY_INVALID",
                format!("`{}` has {IDENTITIES_MAX} accounts already", event.person),
            ));
        }
        let ended = self.account(&credential).and_then(|known| known.unbound_at);
        if event.after != ended {
            let message = match ended {
                Some(entry) => format!("entry {entry} ended the last binding of this account; the next one names it"),
                None => "no binding of this account has ended; none is to be named".to_owned(),
            };
            return Err(ApplyError::new("IDENTITY_STALE", message));
        }
        let document = BindingDocument::new(self.origin(), &event.person, &event.issuer, &event.subject);
        let document = document_bytes(&document.after(event.after))?;
        let key = self.verify_signature(&event.person, &event.signature, IDENTITY_NAMESPACE, &document, index)?;
        let identity = Identity {
            person: event.person.clone(),
            issuer: event.issuer.clone(),
            subject: event.subject.clone(),
            key,
            bound_at: index,
            unbound_at: None,
        };
        self.identities.0.insert(credential, identity);
        Ok(())
    }

    /// Applies `identity.unbound`.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn unbind_identity(&mut self, event: &IdentityUnbound, index: EntryIndex) -> Result<(), ApplyError> {
        let credential = credential(&event.issuer, &event.subject);
        let identity = self
            .account(&credential)
            .filter(|identity| identity.person == event.person && identity.unbound_at.is_none())
            .ok_or_else(|| {
                ApplyError::new("IDENTITY_UNKNOWN", format!("`{}` has no such account bound", event.person))
            })?;
        if event.by != event.person && !self.may(&event.by, Permission::Keys) {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{}` has no role with the permission `{}`", event.by, Permission::Keys),
            ));
        }
        let document = document_bytes(&UnbindingDocument::new(self.origin(), identity, &event.reason))?;
        self.verify_signature(&event.by, &event.signature, IDENTITY_NAMESPACE, &document, index)?;
        if let Some(identity) = self.identities.0.get_mut(&credential) {
            identity.unbound_at = Some(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_both_its_parts() {
        let one = credential("https://idp.example", "1");
        assert_eq!(one, credential("https://idp.example", "1"));
        for (issuer, subject) in [
            ("https://idp.example/", "1"),
            ("https://idp.example1", ""),
            ("https://idp.exampl", "e1"),
            ("1", "https://idp.example"),
        ] {
            assert_ne!(one, credential(issuer, subject), "{issuer} {subject}");
        }
    }

    #[test]
    fn refuses_what_no_issuer_says() {
        assert!(check("https://idp.example/realm", "0f8a|auth0 1").is_ok());
        assert!(check("http://127.0.0.1:9000", "1").is_ok());
        let long = "s".repeat(256);
        for (issuer, subject) in [
            ("", "1"),
            ("idp.example", "1"),
            ("https://idp.example", ""),
            ("https://idp.example", long.as_str()),
            ("https://idp.example", "a\nb"),
            ("https://idp.example", "d\u{e4}na"),
        ] {
            assert_eq!(check(issuer, subject).unwrap_err().code, "IDENTITY_INVALID", "{issuer} {subject}");
        }
    }
}
