//! People and their keys: which signature counts when.
//!
//! Ledger order decides, not clocks: a signature counts when it was recorded after the key was enrolled and before it
//! ended. Only the end that a key was given when it was enrolled is a time, and that is compared with the time that
//! the ledger recorded.

use lockgate_model::facts::SubjectKind;
use lockgate_model::{EntryIndex, EnvName, GroupName, PersonId, UnixMillis};
use lockgate_sign::ssh::SshPublicKey;

use super::{Governance, Signed};
use crate::state::ApplyError;

/// Someone enrolled.
#[derive(Debug, Clone)]
pub struct Person {
    /// A person or a machine.
    pub kind: SubjectKind,
    /// The groups, as enrolled.
    pub groups: Vec<GroupName>,
    /// Every key ever enrolled, in order.
    pub keys: Vec<Key>,
    /// When their signatures and sessions did not count, in order.
    pub suspensions: Vec<Suspension>,
    /// The entry that changed their standing last: the enrolment, a suspension or its end.
    pub standing_at: EntryIndex,
}

/// A stretch of the ledger in which someone's signatures do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The entry that began it.
    pub from: EntryIndex,
    /// The entry that ended it; absent while it lasts.
    pub until: Option<EntryIndex>,
}

impl Person {
    /// Whether they are suspended now.
    pub fn is_suspended(&self) -> bool {
        self.suspensions.last().is_some_and(|suspension| suspension.until.is_none())
    }

    /// Whether they were suspended when the ledger recorded the entry at `index`.
    pub fn suspended_at(&self, index: EntryIndex) -> bool {
        let covers =
            |suspension: &Suspension| suspension.from < index && suspension.until.is_none_or(|until| index <= until);
        self.suspensions.iter().any(covers)
    }
}

/// A key in the directory.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key.
    pub public: SshPublicKey,
    /// Its `SHA256:` fingerprint.
    pub fingerprint: String,
    /// The entry that enrolled it.
    pub enrolled_at: EntryIndex,
    /// From which index on its signatures do not count; absent while it is good.
    pub invalid_from: Option<EntryIndex>,
    /// How it ended; absent while it has not.
    pub ended: Option<Ended>,
    /// From where on its signatures turned out to be void, and where that was told; each report by itself.
    voids: Vec<Void>,
    /// The entry by which the signatures that enrolled it turned out to be void; so is then everything that it signed,
    /// until its owner is reinstated; for ever where only a void signature of the owner's own key had added it.
    pub suspect: Option<EntryIndex>,
    /// From when on, in ledger time, its signatures do not count; absent where it has no such end.
    pub expires_at: Option<UnixMillis>,
    /// The environments that it approves for; empty means all.
    pub environments: Vec<EnvName>,
}

/// A report that a key was in someone else's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Void {
    /// Signatures at this index or later are void.
    from: EntryIndex,
    /// The entry that told it.
    told_at: EntryIndex,
}

/// How a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The entry that ended it.
    pub at: EntryIndex,
    /// Why.
    pub cause: KeyEnd,
}

/// Why a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEnd {
    /// It was given up, rotated or lost: what it signed before stays valid.
    Retired,
    /// It was in someone else's hands: what it signed since then is void.
    Compromised,
}

impl KeyEnd {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retired => "retired",
            Self::Compromised => "compromised",
        }
    }
}

impl Key {
    /// A key that the entry at `index` enrols, without end and for all environments.
    pub fn new(public: &SshPublicKey, index: EntryIndex) -> Self {
        Self {
            fingerprint: public.fingerprint(),
            public: public.clone(),
            enrolled_at: index,
            invalid_from: None,
            ended: None,
            voids: Vec::new(),
            suspect: None,
            expires_at: None,
            environments: Vec::new(),
        }
    }

    /// The same with an end in time and a scope.
    #[must_use]
    pub fn limited(self, expires_at: Option<UnixMillis>, environments: &[EnvName]) -> Self {
        Self { expires_at, environments: environments.to_vec(), ..self }
    }

    /// Whether a signature that the ledger recorded at `index` counts: decided by ledger order, not by clocks.
    ///
    /// It does not look at the key's end in time, nor at its scope: see [`Governance::check_counts`].
    pub fn valid_at(&self, index: EntryIndex) -> bool {
        let ended = self.suspect.is_some() || self.invalid_from.is_some_and(|from| index >= from);
        self.enrolled_at < index && (!ended || lockgate_failpoint::planted("revoked-key-counts"))
    }

    /// Whether new signatures count, as far as ledger order is concerned.
    pub fn is_good(&self) -> bool {
        self.invalid_from.is_none() && self.suspect.is_none()
    }

    /// Whether the key has ended by itself at a moment of ledger time; the end itself is past.
    pub fn expired_at(&self, time: UnixMillis) -> bool {
        self.expires_at.is_some_and(|end| end <= time)
    }

    /// Whether it approves for an environment.
    pub fn covers(&self, environment: &EnvName) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }

    /// Whether it was found to have been in someone else's hands.
    pub fn is_compromised(&self) -> bool {
        self.ended.is_some_and(|ended| ended.cause == KeyEnd::Compromised)
    }

    /// The entry that made a signature of this key, recorded at `index`, void afterwards: the first, if several did.
    pub fn voided_by(&self, index: EntryIndex) -> Option<EntryIndex> {
        let covers = |void: &&Void| void.from <= index && index < void.told_at;
        let compromised = self.voids.iter().filter(covers).map(|void| void.told_at).min();
        let suspect = self.suspect.filter(|told_at| index < *told_at);
        compromised.into_iter().chain(suspect).min().filter(|_| self.enrolled_at < index)
    }

    /// The newest entry by which some of its signatures turned out to be void; absent while none did.
    pub fn voided_at(&self) -> Option<EntryIndex> {
        self.voids.iter().map(|void| void.told_at).chain(self.suspect).max()
    }

    /// Ends it with an entry, which it may have signed itself: a rotation is signed by the key that it retires.
    pub(super) fn retire(&mut self, at: EntryIndex) {
        self.end(EntryIndex(at.0.saturating_add(1)), Ended { at, cause: KeyEnd::Retired });
    }

    /// Makes void what it signed from `since` on, as the entry `at` tells.
    pub(super) fn compromise(&mut self, since: EntryIndex, at: EntryIndex) {
        let from = since.min(at);
        self.voids.push(Void { from, told_at: at });
        self.end(from, Ended { at, cause: KeyEnd::Compromised });
    }

    fn end(&mut self, from: EntryIndex, ended: Ended) {
        self.invalid_from = Some(self.invalid_from.map_or(from, |earlier| earlier.min(from)));
        // A worse end stands above a better one; the first entry that told it is kept.
        if self.ended.is_none_or(|known| known.cause == KeyEnd::Retired && ended.cause != KeyEnd::Retired) {
            self.ended = Some(ended);
        }
    }
}

impl Governance {
    /// Whether a person's signature with a key counts, recorded at `index` and at ledger time `time`.
    ///
    /// # Errors
    /// `PERSON_UNKNOWN`, `KEY_UNKNOWN`, `PERSON_SUSPENDED`, `KEY_REVOKED` or `KEY_EXPIRED`.
    pub fn check_counts(
        &self,
        person: &PersonId,
        fingerprint: &str,
        index: EntryIndex,
        time: UnixMillis,
    ) -> Result<(), ApplyError> {
        let record = self
            .people
            .get(person)
            .ok_or_else(|| ApplyError::new("PERSON_UNKNOWN", format!("`{person}` is not enrolled")))?;
        let key = self.known_key(person, fingerprint)?;
        if record.suspended_at(index) {
            return Err(ApplyError::new(
                "PERSON_SUSPENDED",
                format!("`{person}` is suspended; what they sign does not count until they are reinstated"),
            ));
        }
        if !key.valid_at(index) {
            return Err(ApplyError::new(
                "KEY_REVOKED",
                format!("the key {fingerprint} of `{person}` does not count any more"),
            ));
        }
        match key.expires_at.filter(|end| *end <= time) {
            None => Ok(()),
            Some(end) => Err(ApplyError::new(
                "KEY_EXPIRED",
                format!("the key {fingerprint} of `{person}` ended at {end}; use another one, or have it recovered"),
            )),
        }
    }

    /// Whether a key may be used for an environment, or, without one, for the ledger as a whole.
    ///
    /// # Errors
    /// `KEY_UNKNOWN` or `KEY_SCOPE`.
    pub fn check_scope(
        &self,
        person: &PersonId,
        fingerprint: &str,
        environment: Option<&EnvName>,
    ) -> Result<(), ApplyError> {
        let key = self.known_key(person, fingerprint)?;
        let fits = match environment {
            Some(environment) => key.covers(environment),
            None => key.environments.is_empty(),
        };
        if fits {
            return Ok(());
        }
        let only = key.environments.iter().map(EnvName::as_str).collect::<Vec<_>>().join(", ");
        Err(ApplyError::new(
            "KEY_SCOPE",
            format!("the key {fingerprint} of `{person}` signs for {only} and nothing else"),
        ))
    }

    /// Whether an approval counts as far as its key is concerned: recorded at `index` and `time` for an environment, by
    /// someone who is not suspended now.
    pub fn approval_counts(
        &self,
        person: &PersonId,
        fingerprint: &str,
        index: EntryIndex,
        time: UnixMillis,
        environment: &EnvName,
    ) -> bool {
        self.people.get(person).is_some_and(|record| !record.is_suspended())
            && self.check_counts(person, fingerprint, index, time).is_ok()
            && self.check_scope(person, fingerprint, Some(environment)).is_ok()
    }

    /// Whether someone can act at all at a moment: not suspended, with at least one key that counts. Sessions of others
    /// are worth nothing.
    pub fn can_act(&self, person: &PersonId, now: UnixMillis) -> bool {
        let usable = |key: &Key| key.is_good() && !key.expired_at(now);
        self.people.get(person).is_some_and(|record| !record.is_suspended() && record.keys.iter().any(usable))
    }

    /// A key that vouches for another cannot give it more than it has itself.
    pub(super) fn check_within(
        &self,
        person: &PersonId,
        fingerprint: &str,
        environments: &[EnvName],
    ) -> Result<(), ApplyError> {
        let own = &self.known_key(person, fingerprint)?.environments;
        let narrower = !environments.is_empty() && environments.iter().all(|environment| own.contains(environment));
        match own.is_empty() || narrower {
            true => Ok(()),
            false => self.check_scope(person, fingerprint, None),
        }
    }

    /// Whether a signature was good when it was recorded at `index`, as it is known now.
    pub(crate) fn counted_at(&self, signed: &Signed, index: EntryIndex) -> bool {
        self.key(&signed.person, &signed.key).is_some_and(|key| key.valid_at(index))
    }

    pub(super) fn known_key(&self, person: &PersonId, fingerprint: &str) -> Result<&Key, ApplyError> {
        self.key(person, fingerprint).ok_or_else(|| {
            ApplyError::new("KEY_UNKNOWN", format!("the key {fingerprint} is not enrolled for `{person}`"))
        })
    }
}
