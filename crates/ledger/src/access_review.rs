//! Access reviews: someone's signed look at who may do what, and what nobody has used.
//!
//! The document is complete: people, bindings and uses, so that what is signed is what was shown. The fold compares
//! people and bindings with the state; the uses are the server's word, and anyone can check them against the entries.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, EntryIndex, GroupName, Limits, PersonId, RoleName, Span, UnixMillis, canonical};
use lockgate_policy::{Binding, Pattern, Permission, PolicySet};

use crate::bodies::{Bodies, required};
use crate::governance::Governance;
use crate::state::ApplyError;

/// The SSHSIG namespace of access reviews.
pub const ACCESS_REVIEW_NAMESPACE: &str = "access-review.v1@lockgate.dev";
/// How long a permission may lie idle before a review marks it, and how long a review is good for.
pub const REVIEW_SPAN: Span = Span::from_secs(90 * 86_400);

/// Body of `access.reviewed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessReviewed {
    /// The digest of the review document.
    pub review: Digest,
    /// Who reviewed: someone who may audit, or manage keys.
    pub by: PersonId,
    /// Their signature over the document (SSHSIG, armored).
    pub signature: String,
}

/// The newest access review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReview {
    /// The entry that recorded it.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// Who reviewed.
    pub by: PersonId,
    /// The document.
    pub review: Digest,
    /// How many entries the ledger had when it was shown.
    pub reviewed_at_index: EntryIndex,
}

/// What a reviewer signs, in canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessReview {
    /// Always [`AccessReview::SCHEMA`].
    pub schema: String,
    /// The ledger's origin.
    pub ledger: String,
    /// The policy set that was active.
    pub policy: Digest,
    /// Everyone enrolled, in order of name.
    pub people: Vec<ReviewedPerson>,
    /// Who holds which role where, in the order of lines.
    pub bindings: Vec<ReviewedBinding>,
    /// When each permission was last used, in order of person and permission; those never used are left out.
    pub uses: Vec<ReviewedUse>,
    /// What nobody has used for [`REVIEW_SPAN`], in order of person and permission.
    pub unused: Vec<UnusedRight>,
    /// How many entries the ledger had.
    pub reviewed_at_index: EntryIndex,
}

/// Someone enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewedPerson {
    /// The name.
    pub person: PersonId,
    /// A person or a machine.
    pub subject: SubjectKind,
    /// The groups.
    pub groups: Vec<GroupName>,
    /// Whether they are suspended, and may do nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspended: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// One role, held by some groups and people, in some places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewedBinding {
    /// The role.
    pub role: RoleName,
    /// What it permits.
    pub permissions: BTreeSet<Permission>,
    /// The groups that hold it.
    pub groups: Vec<GroupName>,
    /// The people that hold it by name, as patterns.
    pub people: Vec<String>,
    /// The services it is held for, as patterns; absent stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// The environments it is held for, as patterns; absent stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<String>>,
    /// The file that says so.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
}

/// The newest use of a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewedUse {
    /// Who.
    pub person: PersonId,
    /// What.
    pub permission: Permission,
    /// The entry that it wrote.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
}

/// A permission that lies idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnusedRight {
    /// Who has it.
    pub person: PersonId,
    /// What.
    pub permission: Permission,
    /// When it was last used; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<UnixMillis>,
}

/// One permission of one person, as a review shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReviewRow {
    /// Who.
    pub person: PersonId,
    /// What.
    pub permission: Permission,
    /// For which services; absent stands for all.
    pub services: Option<Vec<String>>,
    /// In which environments; absent stands for all.
    pub environments: Option<Vec<String>>,
    /// Through which role.
    pub role: RoleName,
    /// Where that is written, as `file:line`.
    pub rule: String,
    /// When it was last used; absent means never, or that using it leaves no trace.
    pub last_used: Option<UnixMillis>,
    /// Whether it has lain idle for [`REVIEW_SPAN`].
    pub unused: bool,
}

impl AccessReview {
    /// The schema that this version of Lockgate writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/access-review/v1";

    /// Everyone enrolled, as a review lists them.
    pub fn people_of(governance: &Governance) -> Vec<ReviewedPerson> {
        let row = |(id, person): (&PersonId, &crate::governance::Person)| ReviewedPerson {
            person: id.clone(),
            subject: person.kind,
            groups: person.groups.clone(),
            suspended: person.is_suspended(),
        };
        governance.people().map(row).collect()
    }

    /// The bindings of a policy set, as a review lists them.
    pub fn bindings_of(policy: &PolicySet) -> Vec<ReviewedBinding> {
        let texts = |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        let row = |binding: &Binding| ReviewedBinding {
            role: binding.role.clone(),
            permissions: binding.permissions.clone(),
            groups: binding.groups.clone(),
            people: texts(&binding.people),
            services: binding.services.as_deref().map(texts),
            environments: binding.environments.as_deref().map(texts),
            file: binding.rule.file.clone(),
            line: binding.rule.line as u64,
        };
        policy.bindings().iter().map(row).collect()
    }

    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID` when there is no canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApplyError> {
        canonical::to_vec(self).map_err(|error| ApplyError::new("DOCUMENT_INVALID", error.to_string()))
    }

    /// Reads signed bytes; any other spelling of the same document is refused.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let review: Self = canonical::from_slice(bytes, &Limits::DEFAULT)
            .map_err(|error| ApplyError::new("DOCUMENT_INVALID", format!("not an access review: {error}")))?;
        match review.schema == Self::SCHEMA && review.to_bytes()? == bytes {
            true => Ok(review),
            false => Err(ApplyError::new("DOCUMENT_INVALID", "the document is not an access review".to_owned())),
        }
    }

    /// Who may do what, one row a permission and line, in order of person and permission.
    pub fn rows(&self) -> Vec<ReviewRow> {
        let uses: BTreeMap<_, _> = self.uses.iter().map(|used| ((&used.person, used.permission), used.time)).collect();
        let unused: BTreeSet<_> = self.unused.iter().map(|right| (&right.person, right.permission)).collect();
        let mut rows = Vec::new();
        for person in &self.people {
            for binding in self.bindings.iter().filter(|binding| binding.is_held_by(person)) {
                rows.extend(binding.permissions.iter().map(|permission| ReviewRow {
                    person: person.person.clone(),
                    permission: *permission,
                    services: binding.services.clone(),
                    environments: binding.environments.clone(),
                    role: binding.role.clone(),
                    rule: format!("{}:{}", binding.file, binding.line),
                    last_used: uses.get(&(&person.person, *permission)).copied(),
                    unused: unused.contains(&(&person.person, *permission)),
                }));
            }
        }
        rows.sort_by(|a, b| (&a.person, a.permission).cmp(&(&b.person, b.permission)));
        rows
    }
}

impl ReviewedBinding {
    fn is_held_by(&self, person: &ReviewedPerson) -> bool {
        let named =
            |text: &String| text.parse::<Pattern>().is_ok_and(|pattern| pattern.matches(person.person.as_str()));
        let held = self.groups.iter().any(|group| person.groups.contains(group)) || self.people.iter().any(named);
        held && !person.suspended
    }
}

impl Governance {
    /// The newest access review, if there was one.
    pub fn last_review(&self) -> Option<&LastReview> {
        self.last_review.as_ref()
    }

    /// Applies `access.reviewed`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// `NOT_PERMITTED`, `SOD_ROBOT`, `DOCUMENT_INVALID`, `DOCUMENT_MISMATCH`, `REVIEW_TARGET`, `REVIEW_STALE`,
    /// `REVIEW_REPLAYED`, or those of [`Governance::verify_signature`]; nothing changes then.
    pub fn review(
        &mut self,
        event: &AccessReviewed,
        index: EntryIndex,
        time: UnixMillis,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        // 1. A person who may look at everything.
        if !self.may(&event.by, Permission::Audit) && !self.may(&event.by, Permission::Keys) {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{}` has no role with the permission `audit` or `keys`", event.by),
            ));
        }
        if self.person(&event.by).is_some_and(|person| person.kind == SubjectKind::Machine) {
            return Err(ApplyError::new("SOD_ROBOT", format!("`{}` is a machine; people review", event.by)));
        }
        // 2. The document that the entry names, about this ledger as it is.
        let bytes = required(bodies, &event.review)?;
        if Digest::of(&bytes) != event.review {
            return Err(ApplyError::new("DOCUMENT_MISMATCH", "the entry names another document".to_owned()));
        }
        let review = AccessReview::from_bytes(&bytes)?;
        if review.ledger != self.origin() || review.reviewed_at_index > index {
            return Err(ApplyError::new(
                "REVIEW_TARGET",
                "the review is of another ledger, or of one that is longer".to_owned(),
            ));
        }
        let current = review.policy == self.policy_digest
            && review.people == AccessReview::people_of(self)
            && review.bindings == AccessReview::bindings_of(&self.policy);
        if !current {
            return Err(ApplyError::new(
                "REVIEW_STALE",
                "people, roles or bindings are not what the review shows; look again and sign again".to_owned(),
            ));
        }
        // 3. Of a longer ledger than the last one: a review that was recorded never makes another one look recent.
        let shown_at = review.reviewed_at_index;
        if let Some(last) = self.last_review.as_ref().filter(|last| shown_at <= last.reviewed_at_index) {
            return Err(ApplyError::new(
                "REVIEW_REPLAYED",
                format!("the review in entry {} is of the same ledger or a longer one; look again", last.index),
            ));
        }
        // 4. Their signature over these bytes.
        self.verify_signature(&event.by, &event.signature, ACCESS_REVIEW_NAMESPACE, &bytes, index)?;
        self.last_review =
            Some(LastReview { index, time, by: event.by.clone(), review: event.review, reviewed_at_index: shown_at });
        Ok(())
    }
}

#[cfg(test)]
#[path = "access_review_tests.rs"]
mod tests;
