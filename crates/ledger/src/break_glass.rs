//! Break-glass: a signed, reasoned, expiring decision to let one release past the gates of one environment.
//!
//! It takes two people where two may, each with the permission `break-glass`, and is used once. From the moment it
//! takes effect it alarms, until somebody who did not sign it has reviewed it; until then there is no next one. What
//! it can and cannot let past is for the policy room to say (`docs/adr/0013-break-glass.md`).
//!
//! INVARIANT (break-glass is never silent): it stands in the governance stream, so that every bundle from after it
//! shows it, and a decision under it names its entry.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{BreakGlassFact, SubjectKind};
use lockgate_model::{Digest, EntryIndex, EnvName, PersonId, ReleaseName, Span, UnixMillis};
use lockgate_policy::{Object, Permission};
use lockgate_sign::quorum::{Signer, count_distinct_signers};

use crate::entry::{DecisionRecorded, GrantIssued};
use crate::freeze::check_text;
use crate::governance::{Governance, Signed, Vouched, document_bytes};
use crate::release::ReleaseState;
use crate::state::ApplyError;

/// The SSHSIG namespace of break-glass and of its review.
pub const BREAK_GLASS_NAMESPACE: &str = "break-glass.v1@lockgate.dev";
/// How far the clock of whoever signs may be ahead of the ledger's.
const CLOCK_SLACK: Span = Span::from_secs(300);
/// How many people sign one, where so many may.
pub const BREAK_GLASS_PEOPLE: usize = 2;

/// Body of `break-glass.opened`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassOpened {
    /// What is let past.
    pub release: ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Where to.
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// The ticket or incident.
    pub ticket: String,
    /// Until when, half open; the policy set says how long that may be.
    pub expires_at: UnixMillis,
    /// Who signs first.
    pub by: PersonId,
    /// Their signature over the [`BreakGlassDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// Body of `break-glass.signed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassSigned {
    /// The `break-glass.opened` entry.
    pub break_glass: EntryIndex,
    /// Who signs too.
    pub by: PersonId,
    /// Their signature over the same [`BreakGlassDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// Body of `break-glass.reviewed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassReviewed {
    /// The `break-glass.opened` entry.
    pub break_glass: EntryIndex,
    /// What the review found.
    pub finding: String,
    /// Who reviewed it: nobody who signed it.
    pub by: PersonId,
    /// Their signature over the [`BreakGlassReviewDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// What everyone signs who lets a release past the gates.
#[derive(Debug, Serialize)]
pub struct BreakGlassDocument<'a> {
    /// Always `https://lockgate.dev/break-glass/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// What is let past.
    pub release: &'a ReleaseName,
    /// Its manifest.
    pub manifest: Digest,
    /// Where to.
    pub environment: &'a EnvName,
    /// Why.
    pub reason: &'a str,
    /// The ticket or incident.
    pub ticket: &'a str,
    /// Until when.
    pub expires_at: UnixMillis,
    /// Who signs first.
    pub opened_by: &'a PersonId,
}

impl<'a> BreakGlassDocument<'a> {
    /// The document of an event; signatures are not part of it.
    pub fn new(ledger: &'a str, event: &'a BreakGlassOpened) -> Self {
        Self {
            schema: "https://lockgate.dev/break-glass/v1",
            ledger,
            release: &event.release,
            manifest: event.manifest,
            environment: &event.environment,
            reason: &event.reason,
            ticket: &event.ticket,
            expires_at: event.expires_at,
            opened_by: &event.by,
        }
    }
}

/// What a reviewer signs.
#[derive(Debug, Serialize)]
pub struct BreakGlassReviewDocument<'a> {
    /// Always `https://lockgate.dev/break-glass-review/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The entry that opened it.
    pub break_glass: EntryIndex,
    /// What the review found.
    pub finding: &'a str,
    /// Who reviewed it.
    pub by: &'a PersonId,
}

impl<'a> BreakGlassReviewDocument<'a> {
    /// The document of an event; its signature is not part of it.
    pub fn new(ledger: &'a str, event: &'a BreakGlassReviewed) -> Self {
        let schema = "https://lockgate.dev/break-glass-review/v1";
        Self { schema, ledger, break_glass: event.break_glass, finding: &event.finding, by: &event.by }
    }
}

/// A break-glass with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// What was opened.
    pub event: BreakGlassOpened,
    /// The entry.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// How many different people have to sign it.
    pub needed: usize,
    /// Who signed it, in ledger order.
    pub signatures: Vec<BreakGlassSignature>,
    /// Since when it has enough signatures.
    pub effective: Option<UnixMillis>,
    /// Its reviews; a later one is there only where the earlier ones turned out to be void.
    pub reviews: Vec<BreakGlassReview>,
}

/// One signature of a break-glass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlassSignature {
    /// Who.
    pub by: PersonId,
    /// With which key.
    pub key: String,
    /// The entry.
    pub index: EntryIndex,
}

/// One review of a break-glass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlassReview {
    /// Who.
    pub by: PersonId,
    /// With which key.
    pub key: String,
    /// The entry.
    pub index: EntryIndex,
    /// What was found.
    pub finding: String,
}

/// Every break-glass ever, in ledger order, with the documents that were used up.
#[derive(Debug, Clone, Default)]
pub(crate) struct BreakGlasses {
    all: Vec<BreakGlass>,
    documents: BTreeSet<Digest>,
}

impl Governance {
    /// Every break-glass ever, in ledger order.
    pub fn break_glasses(&self) -> &[BreakGlass] {
        &self.break_glasses.all
    }

    /// One break-glass, by the entry that opened it.
    ///
    /// # Errors
    /// `BREAK_GLASS_UNKNOWN`.
    pub fn break_glass(&self, index: EntryIndex) -> Result<&BreakGlass, ApplyError> {
        self.break_glasses
            .all
            .iter()
            .find(|known| known.index == index)
            .ok_or_else(|| ApplyError::new("BREAK_GLASS_UNKNOWN", format!("entry {index} opens no break-glass")))
    }

    /// The review that ended the alarm of a break-glass, if one did.
    pub fn review_of<'a>(&self, opened: &'a BreakGlass) -> Option<&'a BreakGlassReview> {
        let good = |review: &&BreakGlassReview| {
            self.counted_at(&Signed { person: review.by.clone(), key: review.key.clone() }, review.index)
        };
        opened.reviews.iter().find(good)
    }

    /// The break-glasses that took effect and that nobody has reviewed: what alarms, and blocks the next one.
    pub fn unreviewed(&self) -> Vec<&BreakGlass> {
        let alarms = |opened: &&BreakGlass| opened.effective.is_some() && self.review_of(opened).is_none();
        self.break_glasses.all.iter().filter(alarms).collect()
    }

    /// The break-glass that counts for a release into an environment at a moment of ledger time, as a fact.
    ///
    /// One is used once: after a grant under it there is none for the same release any more.
    pub fn break_glass_for(
        &self,
        release: &ReleaseState,
        environment: &EnvName,
        time: UnixMillis,
    ) -> Option<BreakGlassFact> {
        let counts = |opened: &&BreakGlass| {
            opened.event.release == release.name
                && opened.event.manifest == release.manifest_digest
                && opened.event.environment == *environment
                && time < opened.event.expires_at
                && self.review_of(opened).is_none()
                && self.good_signers(opened) >= opened.needed
                && !is_used(release, opened.index)
        };
        let opened = self.break_glasses.all.iter().filter(|opened| opened.effective.is_some()).find(counts)?;
        Some(BreakGlassFact {
            index: opened.index,
            manifest: opened.event.manifest,
            environment: opened.event.environment.clone(),
            reason: opened.event.reason.clone(),
            ticket: opened.event.ticket.clone(),
            signed_by: opened.signatures.iter().map(|signature| signature.by.clone()).collect(),
            since: opened.effective.unwrap_or(opened.time),
            expires_at: opened.event.expires_at,
        })
    }

    /// Checks that a grant under a break-glass is for what was signed, and does not outlast it.
    ///
    /// # Errors
    /// `BREAK_GLASS_UNKNOWN` or `GRANT_UNFOUNDED`.
    pub(crate) fn check_break_glass_grant(
        &self,
        index: EntryIndex,
        decision: &DecisionRecorded,
        grant: &GrantIssued,
    ) -> Result<(), ApplyError> {
        let opened = self.break_glass(index)?;
        let fits = opened.effective.is_some()
            && opened.event.release == grant.release
            && opened.event.manifest == grant.manifest
            && opened.event.environment == grant.environment
            && decision.environment == grant.environment
            && grant.not_after <= opened.event.expires_at;
        match fits {
            true => Ok(()),
            false => Err(ApplyError::new(
                "GRANT_UNFOUNDED",
                format!("the grant of {} is not what the break-glass of entry {index} lets past", grant.promotion),
            )),
        }
    }

    /// How many different people have to sign a break-glass: two, where two could, and at least one.
    fn break_glass_quorum(&self, release: &ReleaseName, environment: &EnvName, time: UnixMillis) -> usize {
        let aliases = self.policy.aliases();
        let able = self.people().filter(|(id, person)| {
            person.kind == SubjectKind::Person
                && self.may_for(id, Permission::BreakGlass, &release.service, environment)
                && self.can_act(id, time)
        });
        let able: BTreeSet<&PersonId> = able.map(|(id, _)| aliases.person(id)).collect();
        able.len().clamp(1, BREAK_GLASS_PEOPLE)
    }

    /// Counts the people whose signatures were good when they were recorded, as the keys are known now.
    fn good_signers(&self, opened: &BreakGlass) -> usize {
        let aliases = self.policy.aliases();
        let good = |signature: &&BreakGlassSignature| {
            self.counted_at(&Signed { person: signature.by.clone(), key: signature.key.clone() }, signature.index)
        };
        count_distinct_signers(
            opened
                .signatures
                .iter()
                .filter(good)
                .map(|signature| Signer { person: aliases.person(&signature.by), key: &signature.key }),
        )
    }

    /// Applies `break-glass.opened`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// `NOT_PERMITTED`, `SOD_ROBOT`, `BREAK_GLASS_SCOPE`, `BREAK_GLASS_EXPIRY`, `BREAK_GLASS_TICKET`,
    /// `BREAK_GLASS_UNREVIEWED`, `BREAK_GLASS_REPLAYED`, `REASON_MISSING`, or those of
    /// [`Governance::verify_signature`]; nothing changes then.
    pub fn open_break_glass(
        &mut self,
        event: &BreakGlassOpened,
        index: EntryIndex,
        time: UnixMillis,
    ) -> Result<(), ApplyError> {
        // 1. Somebody who may, for something that is there, for a reason and a while.
        self.check_breaker(&event.by, event)?;
        if self.policy.environment(&event.environment).is_none() {
            return Err(ApplyError::new(
                "BREAK_GLASS_SCOPE",
                format!("the policy set has no environment `{}`", event.environment),
            ));
        }
        check_text(&event.reason)?;
        check_text(&event.ticket).map_err(|_| {
            ApplyError::new("BREAK_GLASS_TICKET", "a break-glass names a ticket or incident".to_owned())
        })?;
        let max = self.policy.settings().break_glass.max;
        if event.expires_at <= time || event.expires_at > time.plus(max).plus(CLOCK_SLACK) {
            return Err(ApplyError::new(
                "BREAK_GLASS_EXPIRY",
                format!("a break-glass ends within {max}, and not in the past"),
            ));
        }
        // 2. None before it waits for its review.
        self.check_reviewed()?;
        // 3. They signed it, for this ledger, and it is used once.
        let document = document_bytes(&BreakGlassDocument::new(self.origin(), event))?;
        let key = self.verify_signature(&event.by, &event.signature, BREAK_GLASS_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, Some(&event.environment))?;
        if !self.break_glasses.documents.insert(Digest::of(&document)) {
            return Err(ApplyError::new("BREAK_GLASS_REPLAYED", "this very break-glass was opened before".to_owned()));
        }
        let needed = self.break_glass_quorum(&event.release, &event.environment, time);
        let opened = BreakGlass {
            event: event.clone(),
            index,
            time,
            needed,
            signatures: Vec::new(),
            effective: None,
            reviews: Vec::new(),
        };
        self.break_glasses.all.push(opened);
        self.add_break_glass_signature(index, BreakGlassSignature { by: event.by.clone(), key, index }, time);
        Ok(())
    }

    /// Applies `break-glass.signed`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// `BREAK_GLASS_UNKNOWN`, `BREAK_GLASS_OVER`, `NOT_PERMITTED`, `SOD_ROBOT`, `SOD_SELF`, `BREAK_GLASS_UNREVIEWED`,
    /// or those of [`Governance::verify_signature`]; nothing changes then.
    pub fn sign_break_glass(
        &mut self,
        event: &BreakGlassSigned,
        index: EntryIndex,
        time: UnixMillis,
    ) -> Result<(), ApplyError> {
        let opened = self.break_glass(event.break_glass)?.clone();
        if opened.effective.is_some() || opened.event.expires_at <= time {
            return Err(ApplyError::new(
                "BREAK_GLASS_OVER",
                format!("the break-glass of entry {} is signed by enough people, or over", event.break_glass),
            ));
        }
        self.check_breaker(&event.by, &opened.event)?;
        if self.has_signed(&opened, &event.by) {
            return Err(ApplyError::new(
                "SOD_SELF",
                format!("`{}` signed it already; another person has to", event.by),
            ));
        }
        self.check_reviewed()?;
        let document = document_bytes(&BreakGlassDocument::new(self.origin(), &opened.event))?;
        let key = self.verify_signature(&event.by, &event.signature, BREAK_GLASS_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, Some(&opened.event.environment))?;
        self.add_break_glass_signature(opened.index, BreakGlassSignature { by: event.by.clone(), key, index }, time);
        Ok(())
    }

    /// Applies `break-glass.reviewed`.
    ///
    /// # Errors
    /// `BREAK_GLASS_UNKNOWN`, `BREAK_GLASS_UNSIGNED`, `BREAK_GLASS_REVIEWED`, `NOT_PERMITTED`, `SOD_ROBOT`, `SOD_SELF`,
    /// `REASON_MISSING`, or those of [`Governance::verify_signature`]; nothing changes then.
    pub fn review_break_glass(&mut self, event: &BreakGlassReviewed, index: EntryIndex) -> Result<(), ApplyError> {
        let opened = self.break_glass(event.break_glass)?;
        if opened.effective.is_none() {
            return Err(ApplyError::new(
                "BREAK_GLASS_UNSIGNED",
                format!("too few people signed the break-glass of entry {}; it took no effect", event.break_glass),
            ));
        }
        if let Some(review) = self.review_of(opened) {
            return Err(ApplyError::new(
                "BREAK_GLASS_REVIEWED",
                format!("`{}` reviewed it already, with entry {}", review.by, review.index),
            ));
        }
        let (service, environment) = (&opened.event.release.service, &opened.event.environment);
        let may = self.allows(&event.by, Permission::Audit, Object::Ledger).is_ok()
            || self.may_for(&event.by, Permission::BreakGlass, service, environment);
        if !may {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{}` has neither the permission `audit` nor `break-glass` for it", event.by),
            ));
        }
        self.check_person(&event.by)?;
        if self.has_signed(opened, &event.by) {
            return Err(ApplyError::new(
                "SOD_SELF",
                format!("`{}` signed the break-glass; somebody else reviews it", event.by),
            ));
        }
        check_text(&event.finding)?;
        let document = document_bytes(&BreakGlassReviewDocument::new(self.origin(), event))?;
        let key = self.verify_signature(&event.by, &event.signature, BREAK_GLASS_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, Some(environment))?;
        let review = BreakGlassReview { by: event.by.clone(), key, index, finding: event.finding.clone() };
        if let Some(known) = self.break_glasses.all.iter_mut().find(|known| known.index == event.break_glass) {
            known.reviews.push(review);
        }
        Ok(())
    }

    /// Adds a verified signature; with the last one that it takes, the break-glass takes effect.
    fn add_break_glass_signature(&mut self, opened: EntryIndex, signature: BreakGlassSignature, time: UnixMillis) {
        let at = signature.index;
        if let Some(known) = self.break_glasses.all.iter_mut().find(|known| known.index == opened) {
            known.signatures.push(signature);
        }
        let Some(known) = self.break_glasses.all.iter().find(|known| known.index == opened).cloned() else { return };
        if self.good_signers(&known) < known.needed {
            return;
        }
        let signer =
            |signature: &BreakGlassSignature| Signed { person: signature.by.clone(), key: signature.key.clone() };
        let signed = known.signatures.iter().map(signer).collect();
        let what = Vouched::BreakGlass {
            opened,
            release: known.event.release.clone(),
            environment: known.event.environment.clone(),
        };
        self.vouch_break_glass(at, known.needed, signed, what);
        if let Some(known) = self.break_glasses.all.iter_mut().find(|known| known.index == opened) {
            known.effective = Some(time);
        }
    }

    fn has_signed(&self, opened: &BreakGlass, by: &PersonId) -> bool {
        let aliases = self.policy.aliases();
        opened.signatures.iter().any(|signature| aliases.person(&signature.by) == aliases.person(by))
    }

    fn check_breaker(&self, by: &PersonId, event: &BreakGlassOpened) -> Result<(), ApplyError> {
        self.require_for(by, Permission::BreakGlass, &event.release.service, &event.environment)?;
        self.check_person(by)
    }

    fn check_person(&self, by: &PersonId) -> Result<(), ApplyError> {
        match self.person(by).map(|person| person.kind) {
            Some(SubjectKind::Person) => Ok(()),
            Some(SubjectKind::Machine) => {
                Err(ApplyError::new("SOD_ROBOT", format!("`{by}` is a machine; people break glass and review it")))
            }
            None => Err(ApplyError::new("PERSON_UNKNOWN", format!("`{by}` is not enrolled"))),
        }
    }

    fn check_reviewed(&self) -> Result<(), ApplyError> {
        match self.unreviewed().first() {
            None => Ok(()),
            Some(open) => Err(ApplyError::new(
                "BREAK_GLASS_UNREVIEWED",
                format!(
                    "the break-glass of entry {} for {} into {} is not reviewed yet; there is no next one before",
                    open.index, open.event.release, open.event.environment
                ),
            )),
        }
    }
}

/// Whether a release was granted under this break-glass already.
pub fn is_used(release: &ReleaseState, opened: EntryIndex) -> bool {
    release.promotions.values().any(|promotion| {
        promotion.grant.is_some()
            && promotion.decisions.last().is_some_and(|decision| decision.event.break_glass == Some(opened))
    })
}
