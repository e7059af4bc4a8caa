//! What each event does to the state, and when it is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockgate_model::facts::Running;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, StreamName};

use super::{ApplyError, State};
use crate::approval::Approval;
use crate::bodies::{Bodies, required};
use crate::break_glass::is_used;
use crate::entry::{
    ApprovalRecorded, AttestationsIssued, Entry, Event, EvidenceRecorded, GrantIssued, LedgerCreated, PromotionClosed,
    PromotionRequested, ReleasePublished,
};
use crate::governance::Governance;
use crate::manifest::Manifest;
use crate::release::{EvidenceRecord, ReleaseState};
use crate::withdrawal::ApprovalWithdrawn;

impl State {
    /// Applies the event of the entry at `index`, whose frame was checked before.
    pub(super) fn apply_event(
        &mut self,
        index: EntryIndex,
        entry: &Entry,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        let is_governance = entry.link(&StreamName::governance()).is_some();
        let advanced = self.governance.as_mut().filter(|_| is_governance);
        let before = advanced.map(|governance| Arc::make_mut(governance).advance(entry.time));
        let outcome = self.change(index, entry, bodies);
        if let (Err(_), Some(before), Some(governance)) = (&outcome, before, &mut self.governance) {
            Arc::make_mut(governance).turn_back(before);
        }
        outcome
    }

    /// What the event changes; nothing, when it is refused.
    fn change(&mut self, index: EntryIndex, entry: &Entry, bodies: &dyn Bodies) -> Result<(), ApplyError> {
        let time = entry.time;
        match &entry.event {
            Event::LedgerCreated(event) => self.create_ledger(index, event, bodies),
            Event::PersonEnrolled(event) => self.governance_mut()?.enrol(event, index),
            Event::KeyAdded(event) => self.governance_mut()?.add_key(event, index),
            Event::KeyRevoked(event) => self.governance_mut()?.revoke_key(event, index),
            Event::KeyRotated(event) => self.governance_mut()?.rotate_key(event, index),
            Event::KeyRecovered(event) => self.governance_mut()?.recover_key(event, index),
            Event::PersonSuspended(event) => self.governance_mut()?.suspend(event, index),
            Event::PersonReinstated(event) => self.governance_mut()?.reinstate(event, index),
            Event::IdentityBound(event) => self.governance_mut()?.bind_identity(event, index),
            Event::IdentityUnbound(event) => self.governance_mut()?.unbind_identity(event, index),
            Event::ChangeProposed(event) => self.governance_mut()?.propose(event, index, bodies),
            Event::ChangeSigned(event) => self.governance_mut()?.sign_change(event, index),
            Event::ChangeRejected(event) => self.governance_mut()?.reject_change(event, index),
            Event::PolicyActivated(event) => self.governance_mut()?.activate(event, index, bodies),
            Event::WaiverRequested(event) => self.governance_mut()?.request_waiver(event, index, time),
            Event::WaiverGranted(event) => self.governance_mut()?.waive(event, index, time),
            Event::WaiverRevoked(event) => self.governance_mut()?.revoke_waiver(event, index),
            Event::FeedRecorded(event) => {
                let by = actor(entry)?;
                self.governance_mut()?.record_feed(event, index, time, &by)
            }
            Event::AccessReviewed(event) => self.governance_mut()?.review(event, index, time, bodies),
            Event::DrillRecorded(event) => self.governance()?.check_drill(event, &actor(entry)?),
            Event::CiTrusted(event) => self.governance_mut()?.trust_ci(event, index),
            Event::CiUntrusted(event) => self.governance_mut()?.untrust_ci(event, index),
            Event::DelegationGranted(event) => self.governance_mut()?.delegate(event, index, time),
            Event::DelegationEnded(event) => self.governance_mut()?.end_delegation(event, index),
            Event::FreezeOrdered(event) => self.governance_mut()?.freeze(event, index, time),
            Event::FreezeLifted(event) => self.governance_mut()?.lift_freeze(event, index),
            Event::BreakGlassOpened(event) => self.governance_mut()?.open_break_glass(event, index, time),
            Event::BreakGlassSigned(event) => self.governance_mut()?.sign_break_glass(event, index, time),
            Event::BreakGlassReviewed(event) => self.governance_mut()?.review_break_glass(event, index),
            Event::ReleasePublished(event) => self.publish(index, entry, event, bodies),
            Event::EvidenceRecorded(event) => self.record_evidence(index, entry, event),
            Event::PromotionRequested(event) => self.request_promotion(index, entry, event),
            Event::ApprovalRecorded(event) => self.record_approval(index, entry, event, bodies),
            Event::ApprovalWithdrawn(event) => self.withdraw_approval(index, event),
            Event::PromotionClosed(event) => self.close_promotion(event),
            Event::DecisionRecorded(event) => self.release_mut(&event.release)?.decide(event, time, index),
            Event::AttestationsIssued(event) => self.record_attestations(event),
            Event::GrantIssued(event) => self.issue_grant(index, entry, event),
        }
    }

    fn create_ledger(
        &mut self,
        index: EntryIndex,
        event: &LedgerCreated,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        if self.governance.is_some() || index != EntryIndex(0) {
            return Err(ApplyError::new("LEDGER_EXISTS", format!("entry {index} creates a ledger inside a ledger")));
        }
        self.governance = Some(Arc::new(Governance::create(event, bodies)?));
        Ok(())
    }

    fn publish(
        &mut self,
        index: EntryIndex,
        entry: &Entry,
        event: &ReleasePublished,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        if self.releases.contains_key(&event.release) {
            return Err(ApplyError::new(
                "RELEASE_EXISTS",
                format!("{} is published already; the same version never names other bytes", event.release),
            ));
        }
        let bytes = required(bodies, &event.manifest)?;
        let manifest = Manifest::from_bytes(&bytes, &Limits::DEFAULT)
            .map_err(|error| ApplyError::new("MANIFEST_INVALID", error.to_string()))?;
        if manifest.release != event.release {
            return Err(ApplyError::new(
                "MANIFEST_MISMATCH",
                format!("the manifest names {}, not {}", manifest.release, event.release),
            ));
        }
        let artifacts_listed = manifest
            .artifact_digests()
            .iter()
            .all(|digest: &Digest| entry.link(&StreamName::artifact(digest)).is_some());
        if !artifacts_listed {
            return Err(ApplyError::new(
                "STREAM_MISSING",
                format!("entry {index} does not stand in the stream of each artifact"),
            ));
        }
        let state = ReleaseState {
            name: event.release.clone(),
            manifest_digest: event.manifest,
            manifest,
            published_by: actor(entry)?,
            published_at: entry.time,
            published_index: index,
            evidence: Vec::new(),
            promotions: BTreeMap::new(),
            grants: Vec::new(),
        };
        self.releases.insert(event.release.clone(), Arc::new(state));
        Ok(())
    }

    fn record_evidence(
        &mut self,
        index: EntryIndex,
        entry: &Entry,
        event: &EvidenceRecorded,
    ) -> Result<(), ApplyError> {
        let by = actor(entry)?;
        let release = self.release_mut(&event.release)?;
        if release.evidence.len() >= Limits::DEFAULT.evidence_per_release {
            return Err(ApplyError::new(
                "TOO_MANY_ATTESTATIONS",
                format!("{} has as much evidence as a release may have", event.release),
            ));
        }
        release.evidence.push(Arc::new(EvidenceRecord { index, time: entry.time, by, event: event.clone() }));
        Ok(())
    }

    fn request_promotion(
        &mut self,
        index: EntryIndex,
        entry: &Entry,
        event: &PromotionRequested,
    ) -> Result<(), ApplyError> {
        let by = actor(entry)?;
        let number = entry.link(&StreamName::promotions()).map(|link| link.seq + 1);
        if number != Some(event.promotion.0) {
            return Err(ApplyError::new("PROMOTION_NUMBER", format!("{} is not the next number", event.promotion)));
        }
        self.release_mut(&event.release)?.request(event, &by, entry.time, index)?;
        self.promotions.insert(event.promotion, event.release.clone());
        Ok(())
    }

    fn record_approval(
        &mut self,
        index: EntryIndex,
        entry: &Entry,
        event: &ApprovalRecorded,
        bodies: &dyn Bodies,
    ) -> Result<(), ApplyError> {
        let time = entry.time;
        let document = required(bodies, &event.document)?;
        let approval = Approval::verify(event, &document, self.governance()?, index)?;
        let release = self.release(&event.release)?;
        let promotion = release.promotion(event.promotion)?;
        approval.check_binding(release, promotion)?;
        approval.check_review(promotion, time)?;
        // Asked only where the governance state is that of the entry: a right that was lost later must not make the
        // entry unreadable. Every slice that starts with the governance stream knows its head.
        if self.head(&StreamName::governance()).is_some() {
            self.governance()?.require_verdict(&approval.predicate, time)?;
            self.governance()?.check_device(&event.signature)?;
        }
        let limit = Limits::DEFAULT.approvals_per_promotion;
        self.release_mut(&event.release)?.approve(event, approval, time, index, limit)
    }

    fn withdraw_approval(&mut self, index: EntryIndex, event: &ApprovalWithdrawn) -> Result<(), ApplyError> {
        event.verify(self.governance()?, index)?;
        if self.head(&StreamName::governance()).is_some() {
            self.governance()?.check_device(&event.signature)?;
        }
        self.release_mut(&event.release)?.take_back(event, index)
    }

    fn close_promotion(&mut self, event: &PromotionClosed) -> Result<(), ApplyError> {
        let promotion = self.release_mut(&event.release)?.open_promotion_mut(event.promotion)?;
        promotion.closed = Some((event.cause, event.reason.clone()));
        Ok(())
    }

    fn record_attestations(&mut self, event: &AttestationsIssued) -> Result<(), ApplyError> {
        let release = self.release_mut(&event.release)?;
        let promotion = release
            .promotions
            .get_mut(&event.promotion)
            .ok_or_else(|| ApplyError::new("PROMOTION_UNKNOWN", format!("{} is unknown", event.promotion)))?;
        promotion.attestations.push(event.clone());
        Ok(())
    }

    fn issue_grant(&mut self, index: EntryIndex, entry: &Entry, event: &GrantIssued) -> Result<(), ApplyError> {
        let time = entry.time;
        let latest = self.governance()?.policy.environment(&event.environment).map(|known| time.plus(known.grant_ttl));
        // Asked only where the governance state is that of the entry, as for approvals: the grant must stay readable
        // under a later policy set with a shorter `grant_ttl`, or without the environment.
        let head = self.head(&StreamName::governance());
        let endless = lockgate_failpoint::planted("grant-ttl-ignored");
        if head.is_some() && latest.is_none_or(|latest| event.not_after > latest) && !endless {
            return Err(ApplyError::new(
                "GRANT_UNFOUNDED",
                format!("the grant of {} lasts longer than the policy set allows", event.promotion),
            ));
        }
        if head.is_some_and(|head| head.index >= event.decision) {
            return Err(ApplyError::new(
                "GRANT_UNFOUNDED",
                format!("governance has changed between the decision on {} and its grant", event.promotion),
            ));
        }
        // Nor has anything else been let in there meanwhile: the decision, and whoever approved, looked at what ran before.
        let running = StreamName::running(&event.environment, &event.release.service);
        if entry.link(&running).and_then(|link| link.prev).is_some_and(|last| last >= event.decision) {
            return Err(ApplyError::new(
                "GRANT_UNFOUNDED",
                format!("something else was granted between the decision on {} and its grant", event.promotion),
            ));
        }
        self.check_break_glass(event)?;
        self.release_mut(&event.release)?.grant(event, time, index)?;
        let running = Running {
            release: event.release.clone(),
            manifest: event.manifest,
            since: time,
            promotion: event.promotion,
        };
        self.adopt_running(event.environment.clone(), running);
        Ok(())
    }

    /// A grant under a break-glass is for what was signed, and once.
    fn check_break_glass(&self, event: &GrantIssued) -> Result<(), ApplyError> {
        let release = self.release(&event.release)?;
        let Some(decision) = release.promotion(event.promotion)?.decisions.last() else { return Ok(()) };
        let Some(opened) = decision.event.break_glass else { return Ok(()) };
        if is_used(release, opened) {
            return Err(ApplyError::new(
                "GRANT_UNFOUNDED",
                format!("the break-glass of entry {opened} was used before; it is good for one grant"),
            ));
        }
        self.governance()?.check_break_glass_grant(opened, &decision.event, event)
    }
}

fn actor(entry: &Entry) -> Result<PersonId, ApplyError> {
    entry
        .actor
        .person()
        .cloned()
        .ok_or_else(|| ApplyError::new("ACTOR_MISSING", format!("`{}` needs a person or machine", entry.event.name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{ChangeId, UnixMillis};
    use lockgate_policy::PolicySet;

    use crate::bodies::BodyMap;
    use crate::change::ChangeRejected;
    use crate::entry::{Actor, Position, SCHEMA};
    use crate::state::Slice;

    #[test]
    fn a_refused_entry_changes_nothing() {
        let mut bodies = BodyMap::default();
        let files = PolicySet::starter("starter").unwrap();
        let created = LedgerCreated {
            origin: "log1.test.example".to_owned(),
            log_key: String::new(),
            attestation_key: String::new(),
            policy: bodies.insert(PolicySet::from_files(files).unwrap().document()),
            setup_code: Digest::of(b"code"),
            software: "test".to_owned(),
        };
        let mut state = State::default();
        let entry = |state: &State, time: u64, event: Event| Entry {
            schema: SCHEMA.to_owned(),
            time: UnixMillis(time),
            actor: Actor::System,
            governance: state.head(&StreamName::governance()).map(|head| Position { seq: head.seq, index: head.index }),
            streams: vec![state.next_link(&StreamName::governance())],
            event,
        };
        let first = entry(&state, 1_800_000_000_000, Event::LedgerCreated(created));
        state.apply(EntryIndex(0), &first, &bodies, Slice::Whole).unwrap();
        let before = format!("{state:?}");
        // A year later somebody rejects a change that nobody proposed.
        let rejected = Event::ChangeRejected(ChangeRejected {
            change: ChangeId(1),
            reason: "no".to_owned(),
            by: "sam".parse().unwrap(),
            signature: String::new(),
        });
        let second = entry(&state, 1_830_000_000_000, rejected);
        let refused = state.apply(EntryIndex(1), &second, &bodies, Slice::Whole).unwrap_err();
        assert_eq!(refused.code, "CHANGE_UNKNOWN");
        assert_eq!(format!("{state:?}"), before);
    }
}
