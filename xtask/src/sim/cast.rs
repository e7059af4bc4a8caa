//! Cast: who takes part, with their keys, the policy sets that they choose between, and how every run begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use lockgate_engine::clock::EntropyError;
use lockgate_engine::engine::Parts;
use lockgate_engine::{Clock, Engine, Entropy, LedgerKeys, people, setup};
use lockgate_ledger::change::Countersignature;
use lockgate_ledger::entry::{PersonEnrolled, Sponsor};
use lockgate_ledger::governance::ENROLMENT_NAMESPACE;
use lockgate_model::facts::SubjectKind;
use lockgate_model::{Digest, GroupName, PersonId, UnixMillis};
use lockgate_policy::PolicySet;
use lockgate_sign::AttestationKey;
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::Batch;

use super::shaky::Shaky;
use crate::failure::{Failure, Result};
use crate::random::Random;

/// The origin of the ledger.
pub const ORIGIN: &str = "sim.lockgate.example";
/// The code of its first owner.
const SETUP_CODE: &str = "the code of the simulation";
/// When every run begins.
pub const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);
/// How many keys everyone has in the course of a run, at most.
pub const GENERATIONS: usize = 3;
/// The services; the name of one begins with that of the other.
pub const SERVICES: &[&str] = &["shop", "shop/web"];
/// The environments, in the order in which a release rises.
pub const ENVIRONMENTS: &[&str] = &["dev", "staging", "production"];
/// Who may change keys and rules.
pub const OWNERS: &[&str] = &["olga", "omar", "oona"];
/// Who approves, or tries to: `erin` asks for promotions too, and `bot` is a machine.
pub const APPROVERS: &[&str] = &["ada", "ben", "cleo", "erin", "bot"];
/// Who asks for promotions, or tries to.
pub const REQUESTERS: &[&str] = &["dana", "dirk", "erin", "ben"];
/// The machine that publishes.
pub const PIPELINE: &str = "ci";

/// Everyone: name, kind, groups. The first owner stands first.
const PEOPLE: [(&str, SubjectKind, &[&str]); 11] = [
    ("olga", SubjectKind::Person, &["owners"]),
    ("omar", SubjectKind::Person, &["owners"]),
    ("oona", SubjectKind::Person, &["owners"]),
    ("ada", SubjectKind::Person, &["approvers"]),
    ("ben", SubjectKind::Person, &["approvers"]),
    ("cleo", SubjectKind::Person, &["approvers"]),
    ("erin", SubjectKind::Person, &["approvers", "developers"]),
    ("dana", SubjectKind::Person, &["developers"]),
    ("dirk", SubjectKind::Person, &["developers"]),
    ("ci", SubjectKind::Machine, &["ci"]),
    ("bot", SubjectKind::Machine, &["approvers"]),
];

/// A clock that the simulation moves.
#[derive(Debug)]
pub struct Hands(AtomicU64);

impl Hands {
    /// A clock that stands at a moment.
    pub fn at(time: UnixMillis) -> Self {
        Self(AtomicU64::new(time.0))
    }

    /// Puts it to a moment.
    pub fn put(&self, time: UnixMillis) {
        self.0.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// Random bytes that follow from the seed.
#[derive(Debug)]
pub struct Seeded(Mutex<Random>);

impl Seeded {
    /// Bytes that follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Random::new(seed)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> std::result::Result<(), EntropyError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
        Ok(())
    }
}

/// A policy set that can be active, and how many approvals it wants for production.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its document.
    pub document: Vec<u8>,
    /// The digest of that.
    pub digest: Digest,
    /// How many different people have to approve.
    pub approvals: usize,
}

/// What is the same in every run, and made once.
pub struct Cast {
    signers: BTreeMap<PersonId, Vec<FileSigner>>,
    attestation: Vec<u8>,
    /// The policy sets; the first is active at the beginning.
    pub rules: Vec<Rules>,
    /// The commits by which the ledger began and everyone was enrolled.
    pub beginning: Vec<Batch>,
}

impl Cast {
    /// Makes keys and policy sets, and lets the engine enrol everyone.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn new() -> Result<Self> {
        let mut signers = BTreeMap::new();
        for (name, _, _) in PEOPLE {
            let keys = (0..GENERATIONS).map(|number| key(name, number)).collect::<Result<Vec<FileSigner>>>()?;
            signers.insert(name.parse::<PersonId>()?, keys);
        }
        let rules = vec![rules("one of them", 1)?, rules("two of them", 2)?, rules("two of them, as before", 2)?];
        let attestation = AttestationKey::generate()?.to_pkcs8().to_vec();
        let mut cast = Self { signers, attestation, rules, beginning: Vec::new() };
        cast.beginning = cast.begin()?;
        Ok(cast)
    }

    /// The keys of the log, which are the same in every run.
    ///
    /// # Errors
    /// Never: they were read before.
    pub fn keys(&self) -> Result<LedgerKeys> {
        let log = NoteSigner::from_seed(ORIGIN, NoteKeyKind::Ed25519, &[9; 32])?;
        Ok(LedgerKeys { log, attestation: AttestationKey::from_pkcs8(&self.attestation)? })
    }

    /// Somebody's keys, oldest first.
    ///
    /// # Errors
    /// When they do not take part.
    pub fn signers(&self, person: &PersonId) -> Result<&[FileSigner]> {
        let signers = self.signers.get(person).ok_or_else(|| Failure::new(format!("`{person}` does not take part")))?;
        Ok(signers)
    }

    /// Somebody's signature by their first key.
    fn sign(&self, name: &str, namespace: &str, document: &[u8]) -> Result<String> {
        let signers = self.signers(&name.parse::<PersonId>()?)?;
        let first = signers.first().ok_or_else(|| Failure::new(format!("`{name}` has no key")))?;
        Ok(first.sign(namespace, document)?.to_armored())
    }

    fn begin(&self) -> Result<Vec<Batch>> {
        let store = Arc::new(Shaky::new(&[], None)?);
        let engine = Engine::open_by_hand(Parts {
            store: store.clone(),
            keys: self.keys()?,
            clock: Arc::new(Hands::at(BEGIN)),
            entropy: Arc::new(Seeded::new(0)),
            on_fatal: Box::new(|_| {}),
        })?;
        let first = self.rules.first().ok_or_else(|| Failure::new("there is no policy set"))?;
        setup::create(&engine, first.document.clone(), SETUP_CODE)?;
        let owner: PersonId = "olga".parse()?;
        for (number, (name, kind, groups)) in PEOPLE.into_iter().enumerate() {
            let vouchers = OWNERS.get(..number.min(2)).unwrap_or_default();
            let event = self.enrolment(name, kind, groups, vouchers)?;
            let submission = match number {
                0 => setup::first_owner(event)?,
                _ => people::enrol(&owner, event)?,
            };
            engine.run(submission)?;
        }
        Ok(store.batches())
    }

    fn enrolment(
        &self,
        name: &str,
        subject: SubjectKind,
        groups: &[&str],
        vouchers: &[&str],
    ) -> Result<PersonEnrolled> {
        let groups =
            groups.iter().map(|group| group.parse::<GroupName>()).collect::<std::result::Result<Vec<_>, _>>()?;
        let person: PersonId = name.parse()?;
        let own = self.signers(&person)?.first().ok_or_else(|| Failure::new(format!("`{name}` has no key")))?;
        let mut event = PersonEnrolled {
            person: person.clone(),
            subject,
            groups,
            key: own.public_key().clone(),
            proof: String::new(),
            sponsor: Sponsor::SetupCode { code: SETUP_CODE.to_owned() },
            countersigned: Vec::new(),
            expires_at: None,
            environments: Vec::new(),
        };
        let document = event.document(ORIGIN)?;
        event.proof = self.sign(name, ENROLMENT_NAMESPACE, &document)?;
        if let Some((sponsor, more)) = vouchers.split_first() {
            let signature = self.sign(sponsor, ENROLMENT_NAMESPACE, &document)?;
            event.sponsor = Sponsor::Countersigned { by: sponsor.parse::<PersonId>()?, signature };
            for voucher in more {
                let signature = self.sign(voucher, ENROLMENT_NAMESPACE, &document)?;
                event.countersigned.push(Countersignature { by: voucher.parse::<PersonId>()?, signature });
            }
        }
        Ok(event)
    }
}

/// The key of a name with a number: the same in every run.
fn key(name: &str, number: usize) -> Result<FileSigner> {
    let seed = Digest::of(format!("{name}, key {number}").as_bytes());
    Ok(FileSigner::ed25519_from_seed(seed.as_bytes(), name)?)
}

/// The smallest starter policy set, with so many approvals, and without its own tests, which are for one.
fn rules(words: &str, approvals: usize) -> Result<Rules> {
    let files = PolicySet::starter("minimal").ok_or_else(|| Failure::new("there is no minimal policy set"))?;
    let mut changed = BTreeMap::new();
    for (path, text) in files.into_iter().filter(|(path, _)| !path.starts_with("tests/")) {
        let text = text.replace("Somebody who did not ask for it, write it or build it agrees", words);
        let text = match path.starts_with("gates/") {
            true => text.replace("groups = [\"approvers\"]", &format!("groups = [\"approvers\"]\ncount = {approvals}")),
            false => text,
        };
        changed.insert(path, text);
    }
    let set = PolicySet::from_files(changed).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(errors.join("\n"))
    })?;
    let document = set.document();
    Ok(Rules { digest: Digest::of(&document), document, approvals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_enrolled_before_the_first_step() {
        let cast = Cast::new().unwrap();
        let entries: usize = cast.beginning.iter().map(|batch| batch.entries.len()).sum();
        assert_eq!(entries, 1 + PEOPLE.len());
        let digests: std::collections::BTreeSet<Digest> = cast.rules.iter().map(|rules| rules.digest).collect();
        assert_eq!(digests.len(), cast.rules.len());
    }
}
