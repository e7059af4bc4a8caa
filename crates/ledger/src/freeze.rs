//! Emergency freezes: one person stops a service, an environment or everything, by a logged act that they signed.
//!
//! A freeze stands in the governance stream, so that every bundle from after it shows it. It stops decisions
//! (`FROZEN`), and grants that are in use: whoever verifies one against a ledger that holds the freeze is refused.
//! Lifting one takes a person's signature too; whoever may order one may lift one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{FreezeFact, SubjectKind};
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, PersonId, ServiceName, UnixMillis};
use lockgate_policy::{Object, Permission};

use crate::governance::{Governance, Signed, document_bytes};
use crate::release::PromotionState;
use crate::state::ApplyError;

/// The SSHSIG namespace of freezes and of their end.
pub const FREEZE_NAMESPACE: &str = "freeze.v1@lockgate.dev";
/// The longest nonce in bytes.
const NONCE_MAX: usize = 64;

/// Body of `freeze.ordered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeOrdered {
    /// The only service that it stops; every service where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The only environment that it stops; every environment where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// Why.
    pub reason: String,
    /// Until when, half open; until it is lifted where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// Whether rollbacks are let through.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spares_rollbacks: bool,
    /// Something new each time, so that one signature orders one freeze.
    pub nonce: String,
    /// Who orders it.
    pub by: PersonId,
    /// Their signature over the [`FreezeDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// Body of `freeze.lifted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeLifted {
    /// The `freeze.ordered` entry that ends.
    pub freeze: EntryIndex,
    /// Why.
    pub reason: String,
    /// Who lifts it.
    pub by: PersonId,
    /// Their signature over the [`FreezeLiftDocument`] (SSHSIG, armored).
    pub signature: String,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What is signed to order a freeze.
#[derive(Debug, Serialize)]
pub struct FreezeDocument<'a> {
    /// Always `https://lockgate.dev/freeze/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The service; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'a ServiceName>,
    /// The environment; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<&'a EnvName>,
    /// Why.
    pub reason: &'a str,
    /// Until when; absent where it has to be lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// Whether rollbacks are let through.
    pub spares_rollbacks: bool,
    /// Something new each time.
    pub nonce: &'a str,
    /// Who orders it.
    pub by: &'a PersonId,
}

impl<'a> FreezeDocument<'a> {
    /// The document of an event; its signature is not part of it.
    pub fn new(ledger: &'a str, event: &'a FreezeOrdered) -> Self {
        Self {
            schema: "https://lockgate.dev/freeze/v1",
            ledger,
            service: event.service.as_ref(),
            environment: event.environment.as_ref(),
            reason: &event.reason,
            until: event.until,
            spares_rollbacks: event.spares_rollbacks,
            nonce: &event.nonce,
            by: &event.by,
        }
    }
}

/// What is signed to lift a freeze.
#[derive(Debug, Serialize)]
pub struct FreezeLiftDocument<'a> {
    /// Always `https://lockgate.dev/freeze-lift/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The entry that ordered it.
    pub freeze: EntryIndex,
    /// Why.
    pub reason: &'a str,
    /// Who lifts it.
    pub by: &'a PersonId,
}

impl<'a> FreezeLiftDocument<'a> {
    /// The document of an event; its signature is not part of it.
    pub fn new(ledger: &'a str, event: &'a FreezeLifted) -> Self {
        let schema = "https://lockgate.dev/freeze-lift/v1";
        Self { schema, ledger, freeze: event.freeze, reason: &event.reason, by: &event.by }
    }
}

/// A freeze, lifted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// What was ordered.
    pub event: FreezeOrdered,
    /// The entry.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// Every lift of it, in ledger order; a later one is there only where the earlier ones turned out to be void.
    pub lifts: Vec<Lift>,
}

/// One lift of a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lift {
    /// The entry.
    pub index: EntryIndex,
    /// Who lifted it.
    pub by: PersonId,
    /// With which key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl Freeze {
    /// The freeze as a fact, whether or not it counts now.
    fn fact(&self) -> FreezeFact {
        FreezeFact {
            index: self.index,
            service: self.event.service.clone(),
            environment: self.event.environment.clone(),
            by: self.event.by.clone(),
            reason: self.event.reason.clone(),
            since: self.time,
            until: self.event.until,
            spares_rollbacks: self.event.spares_rollbacks,
        }
    }

    /// What it stops, in words.
    pub fn what(&self) -> String {
        match (&self.event.service, &self.event.environment) {
            (None, None) => "everything".to_owned(),
            (Some(service), None) => format!("{service} everywhere"),
            (None, Some(environment)) => format!("everything in {environment}"),
            (Some(service), Some(environment)) => format!("{service} in {environment}"),
        }
    }
}

/// Every freeze ever, in ledger order, with the documents that were used up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freezes {
    all: Vec<Freeze>,
    documents: BTreeSet<Digest>,
}

impl Governance {
    /// Every freeze ever, in ledger order.
    pub fn freezes(&self) -> &[Freeze] {
        &self.freezes.all
    }

    /// The lift that ended a freeze, if one did.
    ///
    /// INVARIANT (a freeze fails safe): a freeze counts whatever becomes of the key that ordered it; a lift does not
    /// count once the key that signed it turned out to be in someone else's hands.
    pub fn lift_of<'a>(&self, freeze: &'a Freeze) -> Option<&'a Lift> {
        let good =
            |lift: &&Lift| self.counted_at(&Signed { person: lift.by.clone(), key: lift.key.clone() }, lift.index);
        freeze.lifts.iter().find(good)
    }

    /// Whether a freeze is in force at a moment: recorded, not lifted, and not over.
    pub fn is_frozen_by(&self, freeze: &Freeze, now: UnixMillis) -> bool {
        self.lift_of(freeze).is_none() && freeze.event.until.is_none_or(|until| now < until)
    }

    /// The freezes of a service in an environment that have not been lifted, as facts, in ledger order.
    pub fn freezes_for(&self, service: &ServiceName, environment: &EnvName) -> Vec<FreezeFact> {
        let fits = |freeze: &&Freeze| {
            freeze.event.service.as_ref().is_none_or(|frozen| frozen == service)
                && freeze.event.environment.as_ref().is_none_or(|frozen| frozen == environment)
                && self.lift_of(freeze).is_none()
        };
        self.freezes.all.iter().filter(fits).map(Freeze::fact).collect()
    }

    /// Every freeze that has not been lifted, as a fact, in ledger order.
    pub fn freezes_unlifted(&self) -> Vec<FreezeFact> {
        self.freezes.all.iter().filter(|freeze| self.lift_of(freeze).is_none()).map(Freeze::fact).collect()
    }

    /// Refuses a grant that is in use while its target is frozen.
    ///
    /// `now` is the clock of whoever verifies, and says only whether a freeze is over: that it was recorded is enough
    /// for it to have begun. A grant that break-glass gave knew the freezes before its decision, and went past them.
    ///
    /// # Errors
    /// `FROZEN`.
    pub fn check_not_frozen(
        &self,
        service: &ServiceName,
        environment: &EnvName,
        promotion: &PromotionState,
        now: UnixMillis,
    ) -> Result<(), ApplyError> {
        if lockgate_failpoint::planted("freeze-ignored") {
            return Ok(());
        }
        let past = promotion.decisions.last().filter(|decision| decision.event.break_glass.is_some());
        let stops = |fact: &FreezeFact| {
            let spared = fact.spares_rollbacks && promotion.is_rollback();
            let known = past.is_some_and(|decision| fact.index < decision.index);
            !spared && !known && fact.stops(service, environment, now.max(fact.since))
        };
        match self.freezes_for(service, environment).iter().find(|fact| stops(fact)) {
            None => Ok(()),
            Some(fact) => Err(ApplyError::new(
                "FROZEN",
                format!(
                    "{service} in {environment} is frozen by {} since {} (entry {}): {}",
                    fact.by, fact.since, fact.index, fact.reason
                ),
            )),
        }
    }

    /// Applies `freeze.ordered`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// `NOT_PERMITTED`, `FREEZE_SCOPE`, `FREEZE_EXPIRY`, `FREEZE_REPLAYED`, `REASON_MISSING`, or those of
    /// [`Governance::verify_signature`]; nothing changes then.
    pub fn freeze(&mut self, event: &FreezeOrdered, index: EntryIndex, time: UnixMillis) -> Result<(), ApplyError> {
        self.check_may_freeze(&event.by, event.service.as_ref(), event.environment.as_ref())?;
        if let Some(name) = event.environment.as_ref().filter(|name| self.policy.environment(name).is_none()) {
            return Err(ApplyError::new("FREEZE_SCOPE", format!("the policy set has no environment `{name}`")));
        }
        if event.until.is_some_and(|until| until <= time) {
            return Err(ApplyError::new("FREEZE_EXPIRY", "a freeze does not end in the past".to_owned()));
        }
        check_text(&event.reason)?;
        if event.nonce.is_empty() || event.nonce.len() > NONCE_MAX {
            return Err(ApplyError::new("FREEZE_REPLAYED", format!("a freeze has a nonce of 1 to {NONCE_MAX} bytes")));
        }
        let document = document_bytes(&FreezeDocument::new(self.origin(), event))?;
        let key = self.verify_signature(&event.by, &event.signature, FREEZE_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, event.environment.as_ref())?;
        if !self.freezes.documents.insert(Digest::of(&document)) {
            return Err(ApplyError::new("FREEZE_REPLAYED", "this very freeze was ordered before".to_owned()));
        }
        self.freezes.all.push(Freeze { event: event.clone(), index, time, lifts: Vec::new() });
        Ok(())
    }

    /// Applies `freeze.lifted`.
    ///
    /// # Errors
    /// `FREEZE_UNKNOWN`, `FREEZE_OVER`, `NOT_PERMITTED`, `SOD_ROBOT`, `REASON_MISSING`, or those of
    /// [`Governance::verify_signature`]; nothing changes then.
    pub fn lift_freeze(&mut self, event: &FreezeLifted, index: EntryIndex) -> Result<(), ApplyError> {
        let known = self
            .freezes
            .all
            .iter()
            .find(|known| known.index == event.freeze)
            .ok_or_else(|| ApplyError::new("FREEZE_UNKNOWN", format!("entry {} orders no freeze", event.freeze)))?;
        if let Some(lift) = self.lift_of(known) {
            return Err(ApplyError::new(
                "FREEZE_OVER",
                format!("`{}` lifted it already, with entry {}", lift.by, lift.index),
            ));
        }
        let environment = known.event.environment.clone();
        self.check_may_freeze(&event.by, known.event.service.as_ref(), environment.as_ref())?;
        if self.person(&event.by).is_some_and(|person| person.kind == SubjectKind::Machine) {
            return Err(ApplyError::new("SOD_ROBOT", format!("`{}` is a machine; people lift freezes", event.by)));
        }
        check_text(&event.reason)?;
        let document = document_bytes(&FreezeLiftDocument::new(self.origin(), event))?;
        let key = self.verify_signature(&event.by, &event.signature, FREEZE_NAMESPACE, &document, index)?;
        self.check_scope(&event.by, &key, environment.as_ref())?;
        let lift = Lift { index, by: event.by.clone(), key, reason: event.reason.clone() };
        if let Some(known) = self.freezes.all.iter_mut().find(|known| known.index == event.freeze) {
            known.lifts.push(lift);
        }
        Ok(())
    }

    /// Whoever stops more than one service in one environment needs the permission for all of it.
    fn check_may_freeze(
        &self,
        by: &PersonId,
        service: Option<&ServiceName>,
        environment: Option<&EnvName>,
    ) -> Result<(), ApplyError> {
        let object = freeze_object(service, environment);
        match self.allows(by, Permission::Freeze, object) {
            Ok(_) => Ok(()),
            Err(_) => Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{by}` has no role with the permission `{}` for all of this", Permission::Freeze),
            )),
        }
    }
}

/// The object that a freeze is about: all that it stops.
pub fn freeze_object<'a>(service: Option<&'a ServiceName>, environment: Option<&'a EnvName>) -> Object<'a> {
    match (service, environment) {
        (Some(service), Some(environment)) => Object::Target(service, environment),
        (Some(service), None) => Object::Service(service),
        (None, Some(environment)) => Object::Environment(environment),
        (None, None) => Object::Ledger,
    }
}

/// A text that people have to give, and that has a limit.
pub(crate) fn check_text(reason: &str) -> Result<(), ApplyError> {
    match !reason.trim().is_empty() && reason.len() <= Limits::DEFAULT.text_bytes {
        true => Ok(()),
        false => Err(ApplyError::new(
            "REASON_MISSING",
            format!("a reason is needed, of at most {} bytes", Limits::DEFAULT.text_bytes),
        )),
    }
}
