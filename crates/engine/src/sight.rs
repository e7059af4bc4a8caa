//! Sight: what somebody may read, asked once for each service and each promotion.
//!
//! Made for one page or one answer, and thrown away with it: rights change.

use std::collections::BTreeMap;

use lockgate_ledger::break_glass::{BreakGlassReviewed, BreakGlassSigned};
use lockgate_ledger::entry::{ApprovalRecorded, AttestationsIssued, PromotionClosed};
use lockgate_ledger::withdrawal::ApprovalWithdrawn;
use lockgate_ledger::{Event, Governance};
use lockgate_model::{EnvName, PersonId, PromotionId, ServiceName};
use lockgate_policy::Object;
use lockgate_store::Store;

use crate::authorise::may_read;
use crate::fault::{Fault, Kind};
use crate::reader;

/// What one reader may see.
pub struct Sight<'a> {
    store: &'a dyn Store,
    governance: &'a Governance,
    principal: &'a PersonId,
    /// Whether they may read everything, so that nothing has to be looked up.
    is_whole: bool,
    services: BTreeMap<ServiceName, bool>,
    promotions: BTreeMap<PromotionId, bool>,
}

impl<'a> Sight<'a> {
    /// The sight of somebody as governance stands.
    pub fn new(store: &'a dyn Store, governance: &'a Governance, principal: &'a PersonId) -> Self {
        let is_whole = may_read(governance, principal, Object::Ledger);
        Self { store, governance, principal, is_whole, services: BTreeMap::new(), promotions: BTreeMap::new() }
    }

    /// Whether they may read of a service.
    pub fn service(&mut self, service: &ServiceName) -> bool {
        if let Some(known) = self.services.get(service) {
            return *known;
        }
        let readable = may_read(self.governance, self.principal, Object::Service(service));
        self.services.insert(service.clone(), readable);
        readable
    }

    /// Whether they may read of a service in an environment.
    pub fn target(&self, service: &ServiceName, environment: &EnvName) -> bool {
        self.is_whole || may_read(self.governance, self.principal, Object::Target(service, environment))
    }

    /// Whether they may read of a promotion: of its service in its environment.
    ///
    /// # Errors
    /// What the store says.
    pub fn promotion(&mut self, promotion: PromotionId) -> Result<bool, Fault> {
        if self.is_whole {
            return Ok(true);
        }
        if let Some(known) = self.promotions.get(&promotion) {
            return Ok(*known);
        }
        let readable = match reader::request_of(self.store, promotion) {
            Ok(asked) => self.target(&asked.release.service, &asked.environment),
            Err(fault) if fault.kind == Kind::NotFound => false,
            Err(fault) => return Err(fault),
        };
        self.promotions.insert(promotion, readable);
        Ok(readable)
    }

    /// Whether they may read an entry: one about a service takes the right to read that service, one about an
    /// environment, or a promotion into one, takes that too. Governance is for everyone who may read anything.
    ///
    /// # Errors
    /// What the store says.
    pub fn event(&mut self, event: &Event) -> Result<bool, Fault> {
        Ok(match event {
            Event::PromotionRequested(event) => self.target(&event.release.service, &event.environment),
            Event::DecisionRecorded(event) => self.target(&event.release.service, &event.environment),
            Event::GrantIssued(event) => self.target(&event.release.service, &event.environment),
            // These name a promotion, and not where to it is.
            Event::ApprovalRecorded(ApprovalRecorded { promotion, .. })
            | Event::ApprovalWithdrawn(ApprovalWithdrawn { promotion, .. })
            | Event::PromotionClosed(PromotionClosed { promotion, .. })
            | Event::AttestationsIssued(AttestationsIssued { promotion, .. }) => self.promotion(*promotion)?,
            Event::WaiverRequested(event) => self.target(&event.service, &event.environment),
            Event::WaiverGranted(event) => self.target(&event.service, &event.environment),
            Event::WaiverRevoked(event) => match self.governance.waiver(event.waiver) {
                Some(known) => self.target(&known.asked.service, &known.asked.environment),
                None => false,
            },
            Event::BreakGlassOpened(event) => self.target(&event.release.service, &event.environment),
            Event::BreakGlassSigned(BreakGlassSigned { break_glass, .. })
            | Event::BreakGlassReviewed(BreakGlassReviewed { break_glass, .. }) => {
                let opened = self.governance.break_glass(*break_glass).map(|known| &known.event);
                opened.is_ok_and(|event| self.target(&event.release.service, &event.environment))
            }
            other => match other.release() {
                Some(release) => self.service(&release.service),
                None => may_read(self.governance, self.principal, Object::Anywhere),
            },
        })
    }
}
