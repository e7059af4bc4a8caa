//! Model: what the ledger may say, in a few hundred lines that share nothing with the ledger's own fold.
//!
//! It reads entries in their order and keeps the little that it takes to say whether the next one is allowed: who holds
//! which key, what is frozen, who approved what. It believes no decision: before an `allow` stands, it counts itself.
//! What it demands is necessary, not sufficient: that nothing is let in too early, not that everything is let in.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_evidence::statement::Statement;
use lockgate_ledger::bodies::{Bodies, required};
use lockgate_ledger::entry::{
    ApprovalRecorded, CloseCause, DecisionRecorded, EvidenceForm, EvidenceRecorded, GrantIssued, KeyRevoked,
    PersonEnrolled, PolicyActivated, PromotionRequested, ReleasePublished,
};
use lockgate_ledger::{Actor, ApprovalDocument, Entry, Event, Leaf, Manifest};
use lockgate_model::facts::{PromotionKind, SubjectKind, Verdict};
use lockgate_model::{
    Digest, EntryIndex, EnvName, Limits, PersonId, PromotionId, ReleaseName, ServiceName, StreamName, UnixMillis,
};
use lockgate_policy::Outcome;
use lockgate_sign::dsse::Envelope;
use lockgate_tlog::leaf_hash;

use super::cast::{ENVIRONMENTS, OWNERS, Rules};
use crate::failure::{Failure, Result};

/// A key, and until which entry its signatures count.
#[derive(Debug, Clone)]
struct Key {
    enrolled: EntryIndex,
    ends: Option<EntryIndex>,
    /// The key that it replaced, and that vouched for it.
    replaces: Option<String>,
}

#[derive(Debug)]
struct Person {
    is_machine: bool,
    approves: bool,
    suspended: bool,
    keys: BTreeMap<String, Key>,
}

/// A release.
#[derive(Debug)]
pub struct Release {
    /// Its manifest.
    pub manifest: Digest,
    /// Its artifacts.
    pub artifacts: Vec<Digest>,
    /// The digests of the reports about it.
    pub evidence: BTreeSet<Digest>,
    /// When test runs were handed in last, and whether all of them passed.
    tests: Option<(UnixMillis, bool)>,
    /// Where it was granted.
    ran_in: BTreeSet<EnvName>,
}

#[derive(Debug)]
struct Approval {
    by: PersonId,
    key: String,
    index: EntryIndex,
    document: Digest,
    policy: Digest,
    replaces: Option<Digest>,
    expires: UnixMillis,
    withdrawn: bool,
}

/// Where a promotion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can still be granted.
    Open,
    /// It was.
    Granted,
    /// It was not, and never will be.
    Closed(CloseCause),
}

/// A promotion.
#[derive(Debug)]
pub struct Promotion {
    /// What.
    pub release: ReleaseName,
    /// Where to.
    pub environment: EnvName,
    /// Who asked.
    pub requester: PersonId,
    /// Where it stands.
    pub status: Status,
    kind: PromotionKind,
    requested: EntryIndex,
    expires: UnixMillis,
    approvals: Vec<Approval>,
    rejected: bool,
    decision: Option<(EntryIndex, Outcome, UnixMillis)>,
}

/// What runs somewhere.
#[derive(Debug, Clone)]
pub struct Running {
    /// Which release.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// By which promotion.
    pub promotion: PromotionId,
    /// By which entry.
    pub index: EntryIndex,
    /// Until when the grant may be used.
    pub not_after: UnixMillis,
}

/// A freeze.
#[derive(Debug)]
pub struct Freeze {
    service: Option<ServiceName>,
    environment: Option<EnvName>,
    until: Option<UnixMillis>,
    /// Whether it was lifted.
    pub lifted: bool,
}

/// What the ledger may say next.
pub struct Model {
    rules: Vec<Rules>,
    /// The leaf of each entry, as it was seen first.
    pub leaves: Vec<Digest>,
    /// The time of the newest entry.
    pub time: UnixMillis,
    /// The active policy set.
    pub policy: Digest,
    /// Releases by name.
    pub releases: BTreeMap<ReleaseName, Release>,
    /// Promotions by number.
    pub promotions: BTreeMap<PromotionId, Promotion>,
    /// What runs where.
    pub running: BTreeMap<(EnvName, ServiceName), Running>,
    /// Freezes by their entries.
    pub freezes: BTreeMap<EntryIndex, Freeze>,
    /// Decisions so far.
    pub decisions: u64,
    /// Grants so far.
    pub grants: u64,
    /// Whether a key was found to have been in someone else's hands.
    pub compromised: bool,
    /// Reports of tests that passed, and that did not, by digest.
    pub reports: BTreeMap<Digest, bool>,
    people: BTreeMap<PersonId, Person>,
    streams: BTreeMap<StreamName, (u64, EntryIndex)>,
    /// When something was asked under which reason: each once.
    pub requests: BTreeMap<(String, EnvName), UnixMillis>,
    /// Reasons that were asked under twice, and when the first time was.
    pub doubled: Vec<(String, UnixMillis)>,
}

/// Whether what vouched for a key has not become void: the rotation was signed by a key that counted in that entry.
fn stands(keys: &BTreeMap<String, Key>, key: &Key) -> bool {
    let Some(before) = key.replaces.as_ref().and_then(|replaced| keys.get(replaced)) else { return true };
    before.ends.is_none_or(|end| key.enrolled < end) && stands(keys, before)
}

/// The entry after one: what ends with an entry counts in it still.
fn after(index: EntryIndex) -> EntryIndex {
    EntryIndex(index.0.saturating_add(1))
}

impl Model {
    /// Whether somebody sees anything at all: to whom nothing is shown, nothing exists.
    pub fn may_read(&self, person: &PersonId) -> bool {
        self.people.get(person).is_some_and(|person| !person.suspended)
    }
}

/// Whether the policy sets of the simulation have a gate for approvals there.
fn asks_for_approvals(environment: &EnvName) -> bool {
    environment.as_str() == "production"
}

fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::new(message))
}

impl Model {
    /// The model of an empty ledger.
    pub fn new(rules: &[Rules]) -> Self {
        Self {
            rules: rules.to_vec(),
            leaves: Vec::new(),
            time: UnixMillis(0),
            policy: Digest::of(b""),
            releases: BTreeMap::new(),
            promotions: BTreeMap::new(),
            running: BTreeMap::new(),
            freezes: BTreeMap::new(),
            decisions: 0,
            grants: 0,
            compromised: false,
            reports: BTreeMap::new(),
            people: BTreeMap::new(),
            streams: BTreeMap::new(),
            requests: BTreeMap::new(),
            doubled: Vec::new(),
        }
    }

    /// How many entries it has read.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Whether a key of somebody's can sign what comes next.
    pub fn is_good_key(&self, person: &PersonId, fingerprint: &str) -> bool {
        let Some(keys) = self.people.get(person).map(|person| &person.keys) else { return false };
        keys.get(fingerprint).is_some_and(|key| key.ends.is_none() && stands(keys, key))
    }

    /// Whether somebody is suspended.
    pub fn is_suspended(&self, person: &PersonId) -> bool {
        self.people.get(person).is_some_and(|person| person.suspended)
    }

    /// Whether something stops a service in an environment at a moment.
    pub fn is_frozen(&self, service: &ServiceName, environment: &EnvName, now: UnixMillis) -> bool {
        self.freezes.values().any(|freeze| {
            !freeze.lifted
                && freeze.service.as_ref().is_none_or(|frozen| frozen == service)
                && freeze.environment.as_ref().is_none_or(|frozen| frozen == environment)
                && freeze.until.is_none_or(|until| now < until)
        })
    }

    /// Reads the next entry.
    ///
    /// # Errors
    /// Why the ledger must not say this.
    pub fn fold(&mut self, bytes: &[u8], bodies: &dyn Bodies) -> Result<()> {
        let index = EntryIndex(self.size());
        self.leaves.push(leaf_hash(bytes));
        let entry = match Leaf::decode(bytes, &Limits::DEFAULT)? {
            Leaf::HashedRekord => return Ok(()),
            Leaf::Entry(entry) => entry,
        };
        if entry.time < self.time {
            return wrong(format!("entry {index}: time runs back from {} to {}", self.time, entry.time));
        }
        self.time = entry.time;
        self.follow(index, &entry)?;
        match self.apply(index, &entry, bodies) {
            Ok(()) => Ok(()),
            Err(failure) => wrong(format!("entry {index}, {}: {failure}", entry.event.name())),
        }
    }

    /// Streams are chains without a gap.
    fn follow(&mut self, index: EntryIndex, entry: &Entry) -> Result<()> {
        for link in &entry.streams {
            let before = self.streams.insert(link.stream.clone(), (link.seq, index));
            let expected = before.map_or((0, None), |(seq, index)| (seq + 1, Some(index)));
            if (link.seq, link.prev) != expected {
                return wrong(format!("entry {index} is not the next of `{}`", link.stream));
            }
        }
        Ok(())
    }

    fn apply(&mut self, index: EntryIndex, entry: &Entry, bodies: &dyn Bodies) -> Result<()> {
        match &entry.event {
            Event::LedgerCreated(event) => self.policy = event.policy,
            Event::PersonEnrolled(event) => self.enrol(event, index),
            Event::KeyRotated(event) => {
                self.end_key(&event.person, &event.replaces, after(index));
                self.add_key(&event.person, event.key.fingerprint(), index, Some(event.replaces.clone()));
            }
            Event::KeyRevoked(event) => self.revoke(event, index),
            Event::PersonSuspended(event) => self.suspend(&event.person, true),
            Event::PersonReinstated(event) => self.suspend(&event.person, false),
            Event::PolicyActivated(event) => self.activate(event)?,
            Event::FreezeOrdered(event) => {
                let (service, environment) = (event.service.clone(), event.environment.clone());
                self.freezes.insert(index, Freeze { service, environment, until: event.until, lifted: false });
            }
            Event::FreezeLifted(event) => match self.freezes.get_mut(&event.freeze) {
                Some(freeze) if !freeze.lifted => freeze.lifted = true,
                _ => return wrong("it lifts no freeze"),
            },
            Event::ReleasePublished(event) => self.publish(event, bodies)?,
            Event::EvidenceRecorded(event) => self.record(event, bodies)?,
            Event::PromotionRequested(event) => self.request(event, entry, index)?,
            Event::ApprovalRecorded(event) => self.approve(event, index, bodies)?,
            Event::ApprovalWithdrawn(event) => {
                let promotion = self.open(event.promotion)?;
                for approval in promotion.approvals.iter_mut().filter(|approval| approval.by == event.approver) {
                    approval.withdrawn |= event.approvals.contains(&approval.document);
                }
            }
            Event::PromotionClosed(event) => self.open(event.promotion)?.status = Status::Closed(event.cause),
            Event::DecisionRecorded(event) => self.decide(event, index)?,
            Event::GrantIssued(event) => self.grant(event, index)?,
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, id: PromotionId) -> Result<&mut Promotion> {
        match self.promotions.get_mut(&id) {
            Some(promotion) if promotion.status == Status::Open => Ok(promotion),
            Some(promotion) => wrong(format!("{id} is {:?} already", promotion.status)),
            None => wrong(format!("there is no {id}")),
        }
    }

    fn enrol(&mut self, event: &PersonEnrolled, index: EntryIndex) {
        let approves = event.groups.iter().any(|group| group.as_str() == "approvers");
        let is_machine = event.subject == SubjectKind::Machine;
        let person = Person { is_machine, approves, suspended: false, keys: BTreeMap::new() };
        self.people.insert(event.person.clone(), person);
        self.add_key(&event.person, event.key.fingerprint(), index, None);
    }

    fn add_key(&mut self, person: &PersonId, key: String, enrolled: EntryIndex, replaces: Option<String>) {
        if let Some(person) = self.people.get_mut(person) {
            person.keys.insert(key, Key { enrolled, ends: None, replaces });
        }
    }

    fn end_key(&mut self, person: &PersonId, fingerprint: &str, from: EntryIndex) {
        if let Some(key) = self.people.get_mut(person).and_then(|person| person.keys.get_mut(fingerprint)) {
            key.ends = Some(key.ends.map_or(from, |ends| ends.min(from)));
        }
    }

    fn revoke(&mut self, event: &KeyRevoked, index: EntryIndex) {
        self.compromised |= event.compromised_since.is_some();
        let from = event.compromised_since.map_or(after(index), |since| since.min(index));
        self.end_key(&event.person, &event.key, from);
    }

    fn suspend(&mut self, person: &PersonId, suspended: bool) {
        if let Some(person) = self.people.get_mut(person) {
            person.suspended = suspended;
        }
    }

    /// Another policy set needs two of the owners, none of whom is ever suspended here.
    fn activate(&mut self, event: &PolicyActivated) -> Result<()> {
        let mut signers: BTreeSet<&str> = event.countersigned.iter().map(|signature| signature.by.as_str()).collect();
        signers.insert(event.by.as_str());
        if event.previous != self.policy || !self.rules.iter().any(|rules| rules.digest == event.policy) {
            return wrong("it is not the next policy set");
        }
        if signers.len() < 2 || !signers.iter().all(|signer| OWNERS.contains(signer)) {
            return wrong(format!("{signers:?} are not two owners"));
        }
        self.policy = event.policy;
        Ok(())
    }

    fn publish(&mut self, event: &ReleasePublished, bodies: &dyn Bodies) -> Result<()> {
        let manifest = Manifest::from_bytes(&required(bodies, &event.manifest)?, &Limits::DEFAULT)?;
        if manifest.release != event.release {
            return wrong("the manifest is another release's");
        }
        let artifacts = manifest.artifact_digests();
        let (evidence, ran_in) = (BTreeSet::new(), BTreeSet::new());
        let release = Release { manifest: event.manifest, artifacts, evidence, tests: None, ran_in };
        match self.releases.insert(event.release.clone(), release) {
            None => Ok(()),
            Some(_) => wrong(format!("{} was published before", event.release)),
        }
    }

    fn record(&mut self, event: &EvidenceRecorded, bodies: &dyn Bodies) -> Result<()> {
        let Some(release) = self.releases.get_mut(&event.release) else {
            return wrong(format!("{} is not published", event.release));
        };
        if let EvidenceForm::Report { artifacts, statement, .. } = &event.form {
            // What Lockgate signs about a report names the artifacts of this release, and no others.
            let envelope = Envelope::parse(&required(bodies, statement)?, &Limits::DEFAULT)?;
            let signed = Statement::parse(&envelope.payload, &Limits::DEFAULT)?;
            let subjects: Vec<Digest> = signed.subjects.iter().filter_map(|subject| subject.sha256).collect();
            if subjects != release.artifacts || *artifacts != release.artifacts {
                return wrong(format!("the signed report is about {subjects:?}, not about {:?}", release.artifacts));
            }
        }
        if !release.evidence.insert(event.evidence) {
            return wrong(format!("{} is recorded already", event.evidence));
        }
        let Some(passed) = self.reports.get(&event.evidence).copied() else { return Ok(()) };
        // What came at one time belongs together: of two test runs of one request, both have to pass.
        let together = release.tests.filter(|(at, _)| *at == self.time).is_none_or(|(_, before)| before);
        release.tests = Some((self.time, passed && together));
        Ok(())
    }

    fn request(&mut self, event: &PromotionRequested, entry: &Entry, index: EntryIndex) -> Result<()> {
        let Actor::Subject { id } = &entry.actor else { return wrong("nobody asked") };
        if event.promotion.0 != self.promotions.len() as u64 + 1 {
            return wrong(format!("{} is not the next number", event.promotion));
        }
        let same = |other: &Promotion| {
            other.release == event.release && other.environment == event.environment && other.status == Status::Open
        };
        if self.promotions.values().any(same) {
            return wrong("the same is asked for already");
        }
        if self.releases.get(&event.release).map(|release| release.manifest) != Some(event.manifest) {
            return wrong("the release has another manifest");
        }
        let named = (event.reason.clone(), event.environment.clone());
        if let Some(first) = self.requests.insert(named, entry.time) {
            self.doubled.push((event.reason.clone(), first));
        }
        let promotion = Promotion {
            release: event.release.clone(),
            environment: event.environment.clone(),
            requester: id.clone(),
            status: Status::Open,
            kind: event.kind,
            requested: index,
            expires: event.expires_at,
            approvals: Vec::new(),
            rejected: false,
            decision: None,
        };
        self.promotions.insert(event.promotion, promotion);
        Ok(())
    }

    fn approve(&mut self, event: &ApprovalRecorded, index: EntryIndex, bodies: &dyn Bodies) -> Result<()> {
        let person = self.people.get(&event.approver);
        let Some(person) = person.filter(|person| !person.is_machine && person.approves && !person.suspended) else {
            return wrong(format!("`{}` does not approve", event.approver));
        };
        let good = |key: &&Key| key.enrolled < index && key.ends.is_none_or(|ends| index < ends);
        if person.keys.get(&event.key).filter(good).is_none() {
            return wrong(format!("the key of `{}` does not count", event.approver));
        }
        let signed = ApprovalDocument::from_bytes(&required(bodies, &event.document)?)?.predicate;
        let promotion = self.open(event.promotion)?;
        let fits = signed.promotion == event.promotion
            && signed.release == promotion.release
            && signed.environment == promotion.environment
            && signed.kind == promotion.kind
            && signed.approver == event.approver
            && signed.verdict == event.verdict;
        if !fits {
            return wrong("another thing was signed");
        }
        if event.verdict == Verdict::Reject {
            promotion.rejected = true;
            return Ok(());
        }
        // Where nothing asks for an approval, one that is given anyway is good for nothing, whoever gives it.
        if event.approver == promotion.requester && asks_for_approvals(&promotion.environment) {
            return wrong("nobody approves what they asked for");
        }
        let again = |known: &Approval| known.document == event.document && known.by == event.approver;
        if promotion.approvals.iter().any(again) {
            return wrong("this very approval was recorded before");
        }
        promotion.approvals.push(Approval {
            by: event.approver.clone(),
            key: event.key.clone(),
            index,
            document: event.document,
            policy: signed.policy,
            replaces: signed.replaces.map(|replaced| replaced.manifest),
            expires: signed.expires_at,
            withdrawn: false,
        });
        Ok(())
    }

    fn decide(&mut self, event: &DecisionRecorded, index: EntryIndex) -> Result<()> {
        self.decisions += 1;
        if event.policy != self.policy {
            return wrong("another policy set decided");
        }
        if event.outcome == Outcome::Allow {
            self.check_allow(event)?;
        }
        let time = self.time;
        let promotion = self.open(event.promotion)?;
        if promotion.environment != event.environment || promotion.release != event.release {
            return wrong("the decision is about something else");
        }
        promotion.decision = Some((index, event.outcome, time));
        Ok(())
    }

    /// Whether all that has to be there is there.
    fn check_allow(&self, event: &DecisionRecorded) -> Result<()> {
        let Some(promotion) = self.promotions.get(&event.promotion) else { return wrong("nobody asked") };
        let Some(release) = self.releases.get(&promotion.release) else { return wrong("there is no such release") };
        let (service, environment) = (&promotion.release.service, &promotion.environment);
        if promotion.rejected || promotion.expires <= self.time {
            return wrong("it was rejected, or its time is over");
        }
        if self.is_frozen(service, environment, self.time) {
            return wrong("it is frozen");
        }
        if !release.tests.is_some_and(|(_, passed)| passed) {
            return wrong("its tests did not pass");
        }
        let place = ENVIRONMENTS.iter().position(|name| *name == environment.as_str());
        let before = place.and_then(|place| ENVIRONMENTS.get(place.checked_sub(1)?));
        if before.is_some_and(|before| !release.ran_in.iter().any(|ran| ran.as_str() == *before)) {
            return wrong("it was not let into the environment before");
        }
        if !asks_for_approvals(environment) {
            return Ok(());
        }
        let wanted = self.rules.iter().find(|rules| rules.digest == self.policy).map(|rules| rules.approvals);
        let approvers = self.approvers(promotion);
        match wanted.is_some_and(|wanted| approvers.len() >= wanted) {
            true => Ok(()),
            false => wrong(format!("it is approved by {approvers:?} alone, of {wanted:?}")),
        }
    }

    /// The people whose approvals count now.
    fn approvers<'a>(&'a self, promotion: &'a Promotion) -> BTreeSet<&'a PersonId> {
        let target = (promotion.environment.clone(), promotion.release.service.clone());
        let runs = self.running.get(&target).map(|running| running.manifest);
        let counts = |approval: &&Approval| {
            let person = self.people.get(&approval.by);
            let good = |person: &Person| {
                let key = person.keys.get(&approval.key);
                !person.suspended && key.is_some_and(|key| key.ends.is_none_or(|ends| approval.index < ends))
            };
            !approval.withdrawn
                && approval.policy == self.policy
                && approval.replaces == runs
                && self.time < approval.expires
                && person.is_some_and(good)
        };
        promotion.approvals.iter().filter(counts).map(|approval| &approval.by).collect()
    }

    fn grant(&mut self, event: &GrantIssued, index: EntryIndex) -> Result<()> {
        self.grants += 1;
        let time = self.time;
        let promotion = self.open(event.promotion)?;
        if promotion.decision != Some((event.decision, Outcome::Allow, time)) {
            return wrong("no decision of this moment allows it");
        }
        if event.environment != promotion.environment || event.release != promotion.release || event.not_after <= time {
            return wrong("something else was allowed");
        }
        promotion.status = Status::Granted;
        let Some(release) = self.releases.get_mut(&event.release) else { return wrong("there is no such release") };
        if release.manifest != event.manifest {
            return wrong("another manifest was allowed");
        }
        release.ran_in.insert(event.environment.clone());
        let running = Running {
            release: event.release.clone(),
            manifest: event.manifest,
            promotion: event.promotion,
            index,
            not_after: event.not_after,
        };
        self.running.insert((event.environment.clone(), event.release.service.clone()), running);
        Ok(())
    }

    /// What has to hold after each commit: a grant has ended everything that asked for the same place before it.
    ///
    /// # Errors
    /// Which promotion is open although it should not be.
    pub fn check_settled(&self) -> Result<()> {
        for (id, promotion) in self.promotions.iter().filter(|(_, promotion)| promotion.status == Status::Open) {
            if promotion.rejected {
                return wrong(format!("{id} was rejected and is open"));
            }
            let target = (promotion.environment.clone(), promotion.release.service.clone());
            if self.running.get(&target).is_some_and(|running| running.index > promotion.requested) {
                return wrong(format!("{id} is open although something else was granted in its place"));
            }
        }
        Ok(())
    }

    /// Whether a release ever ran in an environment.
    pub fn ran_in(&self, release: &ReleaseName, environment: &EnvName) -> bool {
        self.releases.get(release).is_some_and(|release| release.ran_in.contains(environment))
    }

    /// The newest decision on a promotion.
    pub fn decision(&self, id: PromotionId) -> Option<Outcome> {
        self.promotions.get(&id)?.decision.map(|(_, outcome, _)| outcome)
    }
}
