//! Actors: who asks what next. They know what everyone can read, and now and then do what they should not.

use lockgate_engine::approve::Approve;
use lockgate_engine::{change, consent};
use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::change::{
    ChangeRejected, Countersignature, KeyRotated, REJECTION_NAMESPACE, StandingChanged, read_draft, rejection_bytes,
};
use lockgate_ledger::entry::{KeyRevoked, PolicyActivated};
use lockgate_ledger::freeze::{FREEZE_NAMESPACE, FreezeDocument, FreezeLiftDocument, FreezeLifted, FreezeOrdered};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, POLICY_NAMESPACE, document_bytes};
use lockgate_ledger::withdrawal::{ApprovalWithdrawn, WITHDRAWAL_NAMESPACE, WithdrawalDocument, withdrawable};
use lockgate_model::facts::Verdict;
use lockgate_model::{ChangeId, EntryIndex, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, Span};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::BlobStore as _;

use super::act::{Act, Content, Ending, Intent, Tests};
use super::cast::{APPROVERS, ENVIRONMENTS, ORIGIN, OWNERS, PIPELINE, REQUESTERS, SERVICES};
use super::model::Status;
use super::world::World;
use crate::failure::{Failure, Result};
use crate::random::Random;

/// Versions of a service: few, so that requests meet.
const VERSIONS: u64 = 6;

/// One of several, if there are any.
fn one_of<'a, T>(random: &mut Random, all: &'a [T]) -> Option<&'a T> {
    let most = (all.len() as u64).checked_sub(1)?;
    all.get(usize::try_from(random.between(0, most)).ok()?)
}

impl<'a> World<'a> {
    /// What somebody does next; nothing, where there is nothing to do.
    ///
    /// # Errors
    /// When something that was to be signed cannot be.
    pub fn intend(&mut self) -> Result<Option<Intent>> {
        if let Some(intent) = self.again() {
            return Ok(Some(intent));
        }
        let Some(act) = self.act()? else { return Ok(None) };
        self.keys += 1;
        // Now and then a key that stood for something else.
        let old = if self.happens(2) { one_of(&mut self.random, &self.journal.asked) } else { None };
        let key = old.map_or_else(|| format!("k{}", self.keys), |old| old.key.clone());
        Ok(Some(Intent::new(key, act)))
    }

    /// Somebody who was not answered asks again, and so does somebody who was.
    fn again(&mut self) -> Option<Intent> {
        if !self.journal.open.is_empty() && self.happens(60) {
            return self.journal.open.pop();
        }
        match self.happens(8) {
            true => one_of(&mut self.random, &self.journal.asked).cloned(),
            false => None,
        }
    }

    fn act(&mut self) -> Result<Option<Act>> {
        Ok(match self.random.between(1, 100) {
            1..=16 => self.push()?,
            17..=22 => self.attest()?,
            23..=44 => self.promote()?,
            45..=48 => self.roll_back()?,
            49..=51 => self.withdraw()?,
            52..=76 => self.approve()?,
            77..=80 => self.take_back()?,
            81..=83 => self.freeze()?,
            84..=88 => self.lift()?,
            89..=91 => self.rotate()?,
            92 => self.revoke()?,
            93..=94 => self.stand()?,
            95..=97 => self.activate()?,
            98..=99 => self.sign_change()?,
            _ => self.refuse_change()?,
        })
    }

    fn someone(&mut self, names: &[&str]) -> Result<PersonId> {
        let name = one_of(&mut self.random, names).ok_or_else(|| Failure::new("nobody is there"))?;
        Ok(name.parse::<PersonId>()?)
    }

    fn some_release(&mut self) -> Option<ReleaseName> {
        let names: Vec<&ReleaseName> = self.model.releases.keys().collect();
        one_of(&mut self.random, &names).map(|name| (*name).clone())
    }

    /// A release and an environment.
    ///
    /// # Errors
    /// Never: the names are names.
    pub(super) fn some_target(&mut self) -> Result<Option<(ReleaseName, EnvName)>> {
        let Some(release) = self.some_release() else { return Ok(None) };
        let name = match self.happens(60) {
            true => "production",
            false => one_of(&mut self.random, ENVIRONMENTS).copied().unwrap_or_default(),
        };
        Ok(Some((release, name.parse::<EnvName>()?)))
    }

    /// An open promotion, rather one for production.
    fn some_promotion(&mut self) -> Option<PromotionId> {
        let open = self.model.promotions.iter().filter(|(_, promotion)| promotion.status == Status::Open);
        let open: Vec<PromotionId> = open.map(|(id, _)| *id).collect();
        match self.happens(95) {
            true => one_of(&mut self.random, &open).copied(),
            false => {
                let all: Vec<PromotionId> = self.model.promotions.keys().copied().collect();
                one_of(&mut self.random, &all).copied()
            }
        }
    }

    /// The key that somebody signs with: their newest good one, now and then another of theirs.
    fn signer(&mut self, person: &PersonId) -> Result<&'a FileSigner> {
        let all: &'a [FileSigner] = self.cast.signers(person)?;
        let good = |signer: &&FileSigner| self.model.is_good_key(person, &signer.public_key().fingerprint());
        let newest = all.iter().rev().find(good);
        let other = if self.happens(6) { one_of(&mut self.random, all) } else { None };
        other.or(newest).or(all.first()).ok_or_else(|| Failure::new(format!("`{person}` has no key")))
    }

    fn signature(&mut self, person: &PersonId, namespace: &str, document: &[u8]) -> Result<String> {
        Ok(self.signer(person)?.sign(namespace, document)?.to_armored())
    }

    fn tests(&mut self, release: &ReleaseName) -> Tests {
        let ending = match self.random.between(1, 100) {
            1..=84 => Ending::Passed,
            85..=95 => Ending::Failed,
            _ => Ending::Garbage,
        };
        self.keys += 1;
        let tests = Tests { name: format!("{release}, run {}", self.keys), ending };
        self.model.reports.insert(tests.digest(), ending == Ending::Passed);
        tests
    }

    /// The pipeline publishes; now and then a version that is there already, with other content.
    fn push(&mut self) -> Result<Option<Act>> {
        let service = one_of(&mut self.random, SERVICES).copied().unwrap_or_default();
        let version = self.random.between(1, VERSIONS);
        let release: ReleaseName = format!("{service}@1.{version}.0").parse()?;
        let content = Content(format!("{release}, build {}", self.random.between(1, 2)));
        let mut staged = self.store.stage()?;
        staged.write(content.0.as_bytes())?;
        staged.commit(None)?;
        let mut tests = Vec::new();
        for _ in 0..self.random.between(0, 2) {
            tests.push(self.tests(&release));
        }
        let by = if self.happens(95) { PIPELINE } else { "ada" };
        Ok(Some(Act::Push { by: by.parse::<PersonId>()?, release, content, tests }))
    }

    fn attest(&mut self) -> Result<Option<Act>> {
        let Some(release) = self.some_release() else { return Ok(None) };
        let tests = self.tests(&release);
        Ok(Some(Act::Attest { by: PIPELINE.parse::<PersonId>()?, release, tests }))
    }

    fn promote(&mut self) -> Result<Option<Act>> {
        let by = self.someone(REQUESTERS)?;
        let target = self.some_target()?;
        Ok(target.map(|(release, environment)| Act::Promote { by, release, environment }))
    }

    fn roll_back(&mut self) -> Result<Option<Act>> {
        let by = self.someone(REQUESTERS)?;
        let target = self.some_target()?;
        Ok(target.map(|(release, environment)| Act::Rollback { by, release, environment }))
    }

    fn withdraw(&mut self) -> Result<Option<Act>> {
        let Some(promotion) = self.some_promotion() else { return Ok(None) };
        let requester = self.model.promotions.get(&promotion).map(|promotion| promotion.requester.clone());
        let by = match requester.filter(|_| self.happens(85)) {
            Some(requester) => requester,
            None => self.someone(REQUESTERS)?,
        };
        Ok(Some(Act::Withdraw { by, promotion }))
    }

    /// Somebody looks at a promotion and decides; what they sign may be old when it arrives.
    fn approve(&mut self) -> Result<Option<Act>> {
        let Some(promotion) = self.some_promotion() else { return Ok(None) };
        let by = self.someone(APPROVERS)?;
        let verdict = if self.happens(92) { Verdict::Approve } else { Verdict::Reject };
        self.keys += 1;
        let review = consent::Review {
            approver: by.clone(),
            verdict,
            comment: Some(format!("look {}", self.keys)),
            opened_at: None,
            evidence_opened: Vec::new(),
        };
        // What is closed shows no document.
        let Ok(document) = consent::document(self.engine()?, promotion, review) else { return Ok(None) };
        let document = document.to_bytes()?;
        let signature = self.signature(&by, NAMESPACE, &document)?;
        Ok(Some(Act::Approve { by, request: Approve { promotion, document, signature } }))
    }

    fn take_back(&mut self) -> Result<Option<Act>> {
        let Some(promotion) = self.some_promotion() else { return Ok(None) };
        let Ok((_, release, asked)) = lockgate_engine::why::slice(self.engine()?, promotion) else { return Ok(None) };
        let approvers: Vec<PersonId> = asked.approvals.iter().map(|record| record.event.approver.clone()).collect();
        let Some(by) = one_of(&mut self.random, &approvers).cloned() else { return Ok(None) };
        let mut event = ApprovalWithdrawn {
            promotion,
            release: release.name.clone(),
            approver: by.clone(),
            approvals: withdrawable(&asked, &by),
            reason: "found something".to_owned(),
            signature: String::new(),
        };
        let document = document_bytes(&WithdrawalDocument::new(ORIGIN, &event))?;
        event.signature = self.signature(&by, WITHDRAWAL_NAMESPACE, &document)?;
        Ok(Some(Act::TakeBack { by, event }))
    }

    fn freeze(&mut self) -> Result<Option<Act>> {
        let by = self.someone(OWNERS)?;
        let service = one_of(&mut self.random, SERVICES).map(|name| name.parse::<ServiceName>()).transpose()?;
        let service = service.filter(|_| self.happens(70));
        let environment = if self.happens(50) { Some("production".parse::<EnvName>()?) } else { None };
        let until = if self.happens(50) { Some(self.now().plus(Span::from_secs(5400))) } else { None };
        self.keys += 1;
        let mut event = FreezeOrdered {
            service,
            environment,
            reason: "incident".to_owned(),
            until,
            spares_rollbacks: false,
            nonce: format!("n{}", self.keys),
            by: by.clone(),
            signature: String::new(),
        };
        let document = document_bytes(&FreezeDocument::new(ORIGIN, &event))?;
        event.signature = self.signature(&by, FREEZE_NAMESPACE, &document)?;
        Ok(Some(Act::Freeze { event }))
    }

    fn lift(&mut self) -> Result<Option<Act>> {
        let by = self.someone(OWNERS)?;
        let freezes: Vec<EntryIndex> = self.model.freezes.keys().copied().collect();
        let Some(freeze) = one_of(&mut self.random, &freezes).copied() else { return Ok(None) };
        let mut event = FreezeLifted { freeze, reason: "over".to_owned(), by: by.clone(), signature: String::new() };
        let document = document_bytes(&FreezeLiftDocument::new(ORIGIN, &event))?;
        event.signature = self.signature(&by, FREEZE_NAMESPACE, &document)?;
        Ok(Some(Act::Lift { event }))
    }

    /// Owners rotate as approvers do; a run has few keys for each.
    fn rotate(&mut self) -> Result<Option<Act>> {
        let names: &[&str] = if self.happens(30) { OWNERS } else { APPROVERS };
        let person = self.someone(names)?;
        let all: &'a [FileSigner] = self.cast.signers(&person)?;
        let old = self.signer(&person)?;
        let after = all.iter().skip_while(|signer| signer.public_key() != old.public_key()).nth(1);
        let Some(new) = after else { return Ok(None) };
        let mut event = KeyRotated {
            person,
            key: new.public_key().clone(),
            proof: String::new(),
            replaces: old.public_key().fingerprint(),
            signature: String::new(),
            expires_at: None,
            environments: Vec::new(),
        };
        let document = event.document(ORIGIN)?;
        event.proof = new.sign(ENROLMENT_NAMESPACE, &document)?.to_armored();
        event.signature = old.sign(ENROLMENT_NAMESPACE, &document)?.to_armored();
        Ok(Some(Act::Rotate { event }))
    }

    /// An approver ends a key of their own, and may have to say that it was in someone else's hands.
    fn revoke(&mut self) -> Result<Option<Act>> {
        let by = self.someone(APPROVERS)?;
        let all: &'a [FileSigner] = self.cast.signers(&by)?;
        let Some(key) = one_of(&mut self.random, all) else { return Ok(None) };
        let newest = self.model.size().saturating_sub(1);
        let since = EntryIndex(self.random.between(newest.saturating_sub(20), newest));
        let mut event = KeyRevoked {
            person: by.clone(),
            key: key.public_key().fingerprint(),
            compromised_since: if self.happens(50) { Some(since) } else { None },
            reason: "lost".to_owned(),
            by: by.clone(),
            signature: String::new(),
            countersigned: Vec::new(),
        };
        let document = event.document(ORIGIN)?;
        event.signature = self.signature(&by, ENROLMENT_NAMESPACE, &document)?;
        Ok(Some(Act::Revoke { event }))
    }

    /// Two different owners.
    fn two_owners(&mut self) -> Result<(PersonId, PersonId)> {
        let first = self.someone(OWNERS)?;
        let others: Vec<&str> = OWNERS.iter().copied().filter(|name| *name != first.as_str()).collect();
        Ok((first, self.someone(&others)?))
    }

    /// Owners suspend an approver, or take them in again.
    fn stand(&mut self) -> Result<Option<Act>> {
        let person = self.someone(APPROVERS)?;
        let (by, other) = self.two_owners()?;
        let suspended = !self.model.is_suspended(&person);
        let known = self.engine()?.governance()?;
        let Some(previous_at) = known.person(&person).map(|person| person.standing_at) else { return Ok(None) };
        let mut event = StandingChanged {
            person,
            previous_at,
            reason: "away".to_owned(),
            by: by.clone(),
            signature: String::new(),
            countersigned: Vec::new(),
        };
        let document = event.demand(ORIGIN, suspended)?.document;
        event.signature = self.signature(&by, ENROLMENT_NAMESPACE, &document)?;
        if self.happens(85) {
            let signature = self.signature(&other, ENROLMENT_NAMESPACE, &document)?;
            event.countersigned.push(Countersignature { by: other, signature });
        }
        Ok(Some(Act::Stand { event, suspended }))
    }

    /// Somebody proposes other rules, or hands them in with two signatures, or with one twice.
    fn activate(&mut self) -> Result<Option<Act>> {
        let Some(rules) = one_of(&mut self.random, &self.cast.rules).cloned() else { return Ok(None) };
        let (by, other) = self.two_owners()?;
        let known = self.engine()?.governance()?;
        let mut event = PolicyActivated {
            policy: rules.digest,
            previous: known.policy_digest,
            previous_at: known.policy_at,
            reason: "other rules".to_owned(),
            by: by.clone(),
            signature: String::new(),
            countersigned: Vec::new(),
            backtest: None,
        };
        let document = event.demand(ORIGIN)?.document;
        event.signature = self.signature(&by, POLICY_NAMESPACE, &document)?;
        let second = match self.random.between(1, 100) {
            1..=45 => None,
            46..=55 => Some(by),
            _ => Some(other),
        };
        if let Some(second) = second {
            let signature = self.signature(&second, POLICY_NAMESPACE, &document)?;
            event.countersigned.push(Countersignature { by: second, signature });
        }
        Ok(Some(Act::Activate { document: rules.document, event }))
    }

    fn some_change(&mut self) -> Result<Option<ChangeId>> {
        let known = self.engine()?.governance()?;
        let changes: Vec<ChangeId> = known.changes().iter().rev().take(2).map(|change| change.id).collect();
        Ok(one_of(&mut self.random, &changes).copied())
    }

    fn sign_change(&mut self) -> Result<Option<Act>> {
        let Some(id) = self.some_change()? else { return Ok(None) };
        let by = self.someone(OWNERS)?;
        let view = change::show(self.engine()?, id)?;
        let event = read_draft(&view.draft)?;
        let Some(demand) = event.demand(ORIGIN)? else { return Ok(None) };
        let signature = self.signature(&by, demand.namespace, &demand.document)?;
        Ok(Some(Act::Sign { by, change: id, signature }))
    }

    fn refuse_change(&mut self) -> Result<Option<Act>> {
        let Some(id) = self.some_change()? else { return Ok(None) };
        let by = self.someone(OWNERS)?;
        let known = self.engine()?.governance()?;
        let reason = "not now".to_owned();
        let document = rejection_bytes(ORIGIN, id, known.change(id)?.document, &reason)?;
        let signature = self.signature(&by, REJECTION_NAMESPACE, &document)?;
        Ok(Some(Act::Refuse { event: ChangeRejected { change: id, reason, by, signature } }))
    }
}
