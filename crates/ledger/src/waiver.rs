//! Waivers in the ledger: one person asks and signs, another grants and signs the same document, either may end it.
//!
//! A waiver is for one finding of one gate, for a release, an artifact or a service in one environment, until a date.
//! Whether it counts for a promotion is for the gate to say, each time anew; here it is recorded, or refused.

use serde::{Deserialize, Serialize};

use lockgate_model::facts::{SubjectKind, WaiverFact};
use lockgate_model::{Digest, EntryIndex, EnvName, GateName, Limits, PersonId, ReleaseName, ServiceName, UnixMillis};
use lockgate_policy::{Permission, WAIVER_DAYS_MAX, WaiverRules, lasts_longer};

use crate::entry::WaiverGranted;
use crate::governance::{Governance, Signed, Vouched, WAIVER_NAMESPACE, WaiverDocument, document_bytes};
use crate::state::ApplyError;

/// The longest name of a ticket in bytes.
const TICKET_MAX_BYTES: usize = 256;

/// Body of `waiver.requested`: what somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverRequested {
    /// The gate it is for.
    pub gate: GateName,
    /// The finding it is for: a CVE, a licence, a result, a name.
    pub finding: String,
    /// The service it is for.
    pub service: ServiceName,
    /// The environment it is for.
    pub environment: EnvName,
    /// The only release it is for; every release of the service where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// The only artifact it is for; every artifact where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// Why.
    pub reason: String,
    /// Where it is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Until when it counts.
    pub expires_at: UnixMillis,
    /// Who asks for it.
    pub asked_by: PersonId,
    /// Their signature over the [`WaiverDocument`] (SSHSIG, armored).
    pub signature: String,
}

impl WaiverRequested {
    /// Whether another request asks for the very same; signatures of one key may differ.
    fn is_same(&self, other: &Self) -> bool {
        Self { signature: other.signature.clone(), ..self.clone() } == *other
    }
}

impl<'a> WaiverDocument<'a> {
    /// The document of a request; its signature is not part of it.
    pub fn new(ledger: &'a str, asked: &'a WaiverRequested) -> Self {
        Self {
            schema: "https://lockgate.dev/waiver/v1",
            ledger,
            gate: &asked.gate,
            finding: &asked.finding,
            service: &asked.service,
            environment: &asked.environment,
            release: asked.release.as_ref(),
            artifact: asked.artifact,
            reason: &asked.reason,
            ticket: asked.ticket.as_deref(),
            expires_at: asked.expires_at,
            asked_by: &asked.asked_by,
        }
    }
}

impl WaiverGranted {
    /// What was asked for.
    pub fn asked(&self) -> WaiverRequested {
        WaiverRequested {
            gate: self.gate.clone(),
            finding: self.finding.clone(),
            service: self.service.clone(),
            environment: self.environment.clone(),
            release: self.release.clone(),
            artifact: self.artifact,
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            expires_at: self.expires_at,
            asked_by: self.asked_by.clone(),
            signature: self.asked_signature.clone(),
        }
    }
}

/// Body of `waiver.revoked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverRevoked {
    /// The `waiver.granted` entry that ends, or the `waiver.requested` entry that nobody may grant any more.
    pub waiver: EntryIndex,
    /// Why.
    pub reason: String,
    /// Who asked or granted, or someone who may grant waivers there, or who may manage keys.
    pub by: PersonId,
    /// Their signature over the [`WaiverEndDocument`] (SSHSIG, armored).
    pub signature: String,
}

/// What is signed to end a waiver.
#[derive(Debug, Serialize)]
pub struct WaiverEndDocument<'a> {
    /// Always `https://lockgate.dev/waiver-end/v1`.
    pub schema: &'static str,
    /// The ledger's origin.
    pub ledger: &'a str,
    /// The entry that granted it, or asked for it.
    pub waiver: EntryIndex,
    /// Why.
    pub reason: &'a str,
}

impl<'a> WaiverEndDocument<'a> {
    /// The document for these fields.
    pub fn new(ledger: &'a str, waiver: EntryIndex, reason: &'a str) -> Self {
        Self { schema: "https://lockgate.dev/waiver-end/v1", ledger, waiver, reason }
    }
}

/// A waiver, from its request to its end.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// What was asked for.
    pub asked: WaiverRequested,
    /// The entry that asked for it; absent where the request was handed over outside of the ledger.
    pub request: Option<EntryIndex>,
    /// By whom and when it was granted; absent while it is a request.
    pub granted: Option<WaiverGrant>,
    /// The entry that ended it before its time, and who did.
    pub ended: Option<(EntryIndex, PersonId)>,
}

/// The grant of a waiver.
#[derive(Debug, Clone)]
pub struct WaiverGrant {
    /// The entry.
    pub index: EntryIndex,
    /// When, in ledger time.
    pub time: UnixMillis,
    /// Who.
    pub by: PersonId,
    /// The keys that signed it.
    pub(crate) signed: Vec<Signed>,
}

impl Waiver {
    /// The entry that it goes by: its grant, or else its request.
    pub fn index(&self) -> Option<EntryIndex> {
        self.granted.as_ref().map(|granted| granted.index).or(self.request)
    }

    /// Whether it is granted and neither ended nor over at a moment of ledger time.
    pub fn is_open(&self, time: UnixMillis) -> bool {
        self.granted.is_some() && self.ended.is_none() && time < self.asked.expires_at
    }

    /// Whether somebody may still grant it at a moment of ledger time.
    pub fn is_waiting(&self, time: UnixMillis) -> bool {
        self.granted.is_none() && self.ended.is_none() && time < self.asked.expires_at
    }

    fn goes_by(&self, index: EntryIndex) -> bool {
        self.request == Some(index) || self.granted.as_ref().is_some_and(|granted| granted.index == index)
    }

    fn covers(&self, release: &ReleaseName, artifacts: &[Digest], environment: &EnvName) -> bool {
        let asked = &self.asked;
        asked.service == release.service
            && asked.environment == *environment
            && asked.release.as_ref().is_none_or(|only| only == release)
            && asked.artifact.is_none_or(|only| artifacts.contains(&only))
    }
}

/// Every waiver ever, in ledger order of their first entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waivers(Vec<Waiver>);

impl Governance {
    /// Every waiver and request ever, in ledger order of their first entries.
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers.0
    }

    /// The waiver or request that goes by an entry: its grant, or its request.
    pub fn waiver(&self, index: EntryIndex) -> Option<&Waiver> {
        self.waivers.0.iter().find(|known| known.goes_by(index))
    }

    /// The waivers that were granted for this release in this environment, in ledger order, expired ones included; not
    /// those that were revoked, nor those that a key signed which turned out to be in someone else's hands then, nor
    /// those of somebody who is suspended.
    pub fn waivers_for(&self, release: &ReleaseName, artifacts: &[Digest], environment: &EnvName) -> Vec<WaiverFact> {
        // Sets without rules about waivers leave the facts as they were before there were such rules.
        let has_rules = self.policy.settings().waivers.is_some();
        let fact = |waiver: &Waiver| {
            let granted = waiver.granted.as_ref().filter(|_| waiver.ended.is_none())?;
            let good = granted.signed.iter().all(|signed| self.counted_at(signed, granted.index))
                && self.person(&granted.by).is_none_or(|person| !person.is_suspended());
            let asked = &waiver.asked;
            (good && waiver.covers(release, artifacts, environment)).then(|| WaiverFact {
                gate: asked.gate.clone(),
                finding: Some(asked.finding.clone()),
                asked_by: asked.asked_by.clone(),
                granted_by: granted.by.clone(),
                expires_at: asked.expires_at,
                index: granted.index,
                release: asked.release.clone(),
                artifact: asked.artifact,
                granted_at: has_rules.then_some(granted.time),
            })
        };
        let mut facts: Vec<WaiverFact> = self.waivers.0.iter().filter_map(fact).collect();
        facts.sort_by_key(|fact| fact.index);
        facts
    }

    /// Applies `waiver.requested`, recorded at ledger time `time`.
    ///
    /// # Errors
    /// `GATE_UNKNOWN`, `WAIVER_GATE`, `WAIVER_SCOPE`, `WAIVER_TICKET`, `WAIVER_EXPIRY`, `WAIVER_TOO_LONG`,
    /// `WAIVER_REPLAYED`, `REASON_MISSING`, `SOD_ROBOT`, `NOT_PERMITTED`, or those of
    /// [`Governance::verify_signature`]; nothing changes then.
    pub fn request_waiver(
        &mut self,
        event: &WaiverRequested,
        index: EntryIndex,
        time: UnixMillis,
    ) -> Result<(), ApplyError> {
        // 1. It is for something that can be waived, and ends.
        self.check_terms(event)?;
        self.check_length(event.expires_at, time)?;
        // 2. A person asks, who knows what it is about.
        self.check_is_person(&event.asked_by)?;
        self.require_for(&event.asked_by, Permission::Read, &event.service, &event.environment)?;
        // 3. They signed it, for this ledger, and it is used once.
        if self.waivers.0.iter().any(|known| known.asked.is_same(event)) {
            return Err(ApplyError::new("WAIVER_REPLAYED", "this very waiver was asked for before".to_owned()));
        }
        let document = document_bytes(&WaiverDocument::new(self.origin(), event))?;
        let key = self.verify_signature(&event.asked_by, &event.signature, WAIVER_NAMESPACE, &document, index)?;
        self.check_scope(&event.asked_by, &key, Some(&event.environment))?;
        self.waivers.0.push(Waiver { asked: event.clone(), request: Some(index), granted: None, ended: None });
        Ok(())
    }

    /// Applies `waiver.granted`, recorded at ledger time `time`.
    ///
    /// A grant without a request in the ledger is what ledgers held before there were any; a policy set with
    /// `two_people` in `[waivers]` takes none of these any more.
    ///
    /// # Errors
    /// Those of [`Governance::request_waiver`], `SOD_SELF`, `WAIVER_REQUEST`, `WAIVER_UNKNOWN`, `WAIVER_OVER` or
    /// `WAIVER_MISMATCH`; nothing changes then.
    pub fn waive(&mut self, event: &WaiverGranted, index: EntryIndex, time: UnixMillis) -> Result<(), ApplyError> {
        // 1. Two people, whatever the policy set says.
        let aliases = self.policy.aliases();
        if aliases.person(&event.asked_by) == aliases.person(&event.granted_by) {
            return Err(ApplyError::new(
                "SOD_SELF",
                "a waiver is asked for by one person and granted by another".to_owned(),
            ));
        }
        // 2. It ends, and is for one thing.
        self.check_length(event.expires_at, time)?;
        if event.finding.is_empty() || event.reason.trim().is_empty() {
            return Err(ApplyError::new("WAIVER_SCOPE", "a waiver names one finding and a reason".to_owned()));
        }
        // 3. Whoever grants it may, and it is what was asked for; both are people.
        self.require_for(&event.granted_by, Permission::Waive, &event.service, &event.environment)?;
        let asked = event.asked();
        let place = self.check_request(event, &asked, time)?;
        for person in [&event.asked_by, &event.granted_by] {
            self.check_is_person(person)?;
        }
        // 4. Both signed the same document.
        let document = document_bytes(&WaiverDocument::new(self.origin(), &asked))?;
        let mut signed = Vec::with_capacity(2);
        for (person, signature) in
            [(&event.asked_by, &event.asked_signature), (&event.granted_by, &event.granted_signature)]
        {
            let key = self.verify_signature(person, signature, WAIVER_NAMESPACE, &document, index)?;
            self.check_scope(person, &key, Some(&event.environment))?;
            signed.push(Signed { person: person.clone(), key });
        }
        let what = Vouched::Waiver {
            gate: event.gate.clone(),
            finding: event.finding.clone(),
            service: event.service.clone(),
            environment: event.environment.clone(),
        };
        self.vouch_waiver(index, signed.clone(), what);
        let granted = Some(WaiverGrant { index, time, by: event.granted_by.clone(), signed });
        let Some(place) = place else {
            self.waivers.0.push(Waiver { asked, request: None, granted, ended: None });
            return Ok(());
        };
        if let Some(known) = self.waivers.0.get_mut(place) {
            known.granted = granted;
        }
        Ok(())
    }

    /// The place of the request that a grant names; `None` where it needs none, and names none.
    fn check_request(
        &self,
        event: &WaiverGranted,
        asked: &WaiverRequested,
        time: UnixMillis,
    ) -> Result<Option<usize>, ApplyError> {
        let Some(request) = event.request else {
            if self.policy.settings().waivers.as_ref().is_some_and(|rules| rules.two_people) {
                return Err(ApplyError::new(
                    "WAIVER_REQUEST",
                    "the policy set wants waivers to be asked for in the ledger: `lockgate waive request`".to_owned(),
                ));
            }
            // A set that has rules about waivers has them for all of them.
            if self.policy.settings().waivers.is_some() {
                self.check_terms(asked)?;
            }
            return self.check_unused(asked).map(|()| None);
        };
        let place = self.waivers.0.iter().position(|known| known.request == Some(request));
        let known = place.and_then(|place| self.waivers.0.get(place)).ok_or_else(|| unknown(request))?;
        if !known.is_waiting(time) {
            return Err(ApplyError::new("WAIVER_OVER", format!("the request of entry {request} is not open any more")));
        }
        if known.asked != *asked {
            return Err(ApplyError::new(
                "WAIVER_MISMATCH",
                format!("this is not what was asked for by entry {request}"),
            ));
        }
        // The same signatures may have made a waiver without this request.
        self.check_unused(asked)?;
        // The policy set may be another one than when it was asked for.
        self.check_terms(asked)?;
        Ok(place)
    }

    /// A waiver does not come twice by its signatures, nor back once it was revoked.
    fn check_unused(&self, asked: &WaiverRequested) -> Result<(), ApplyError> {
        let used = |known: &Waiver| (known.granted.is_some() || known.ended.is_some()) && known.asked.is_same(asked);
        match self.waivers.0.iter().any(used) {
            true => {
                Err(ApplyError::new("WAIVER_REPLAYED", "this very waiver was granted or revoked before".to_owned()))
            }
            false => Ok(()),
        }
    }

    /// Applies `waiver.revoked`.
    ///
    /// # Errors
    /// `WAIVER_UNKNOWN`, `WAIVER_OVER`, `NOT_PERMITTED`, `REASON_MISSING`, or those of
    /// [`Governance::verify_signature`]; nothing changes then.
    pub fn revoke_waiver(&mut self, event: &WaiverRevoked, index: EntryIndex) -> Result<(), ApplyError> {
        let known = self.waiver(event.waiver).ok_or_else(|| unknown(event.waiver))?;
        if let Some((at, by)) = &known.ended {
            return Err(ApplyError::new("WAIVER_OVER", format!("`{by}` ended it already, with entry {at}")));
        }
        let own =
            event.by == known.asked.asked_by || known.granted.as_ref().is_some_and(|granted| granted.by == event.by);
        let (service, environment) = (&known.asked.service, &known.asked.environment);
        let may =
            self.may_for(&event.by, Permission::Waive, service, environment) || self.may(&event.by, Permission::Keys);
        if !own && !may {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{}` neither asked for nor granted this waiver, and may not grant any there", event.by),
            ));
        }
        check_reason(&event.reason)?;
        let document = document_bytes(&WaiverEndDocument::new(self.origin(), event.waiver, &event.reason))?;
        self.verify_signature(&event.by, &event.signature, WAIVER_NAMESPACE, &document, index)?;
        for known in self.waivers.0.iter_mut().filter(|known| known.goes_by(event.waiver)) {
            known.ended = Some((index, event.by.clone()));
        }
        Ok(())
    }

    /// What a waiver may be for, under the policy set that is active now. None is for a whole gate.
    fn check_terms(&self, asked: &WaiverRequested) -> Result<(), ApplyError> {
        let gate =
            self.policy.gates().iter().find(|gate| gate.name == asked.gate).ok_or_else(|| {
                ApplyError::new("GATE_UNKNOWN", format!("the policy set has no gate `{}`", asked.gate))
            })?;
        if !gate.kind.can_be_waived() {
            return Err(ApplyError::new(
                "WAIVER_GATE",
                format!("nothing of gate `{}` can be waived: it is of kind {}", gate.name, gate.kind.name()),
            ));
        }
        let scope = |message: String| Err(ApplyError::new("WAIVER_SCOPE", message));
        if !gate.applies_to(&asked.environment, &asked.service) {
            let (service, environment) = (&asked.service, &asked.environment);
            return scope(format!("gate `{}` asks nothing of {service} in {environment}", gate.name));
        }
        if asked.finding.trim().is_empty() || asked.finding.len() > Limits::DEFAULT.text_bytes {
            return scope("a waiver names one finding; none is for a whole gate".to_owned());
        }
        if asked.release.as_ref().is_some_and(|release| release.service != asked.service) {
            return scope("the release is one of another service".to_owned());
        }
        let rules = self.policy.settings().waivers.as_ref();
        let wide = asked.release.is_none() && asked.artifact.is_none();
        if wide && rules.is_some_and(|rules| !rules.service_wide) {
            let what = "the policy set wants a waiver to name a release or an artifact";
            return scope(format!("{what}: add `--release` or `--artifact`"));
        }
        let named = |ticket: &String| !ticket.trim().is_empty() && ticket.len() <= TICKET_MAX_BYTES;
        if !asked.ticket.as_ref().map_or(rules.is_none_or(|rules| !rules.ticket), named) {
            return Err(ApplyError::new(
                "WAIVER_TICKET",
                format!("a waiver names a ticket, of at most {TICKET_MAX_BYTES} bytes"),
            ));
        }
        check_reason(&asked.reason)
    }

    /// A waiver ends, and within what the policy set allows from now on; never later than the ledger itself allows.
    fn check_length(&self, expires_at: UnixMillis, time: UnixMillis) -> Result<(), ApplyError> {
        if expires_at <= time || lasts_longer(WAIVER_DAYS_MAX, time, expires_at) {
            return Err(ApplyError::new(
                "WAIVER_EXPIRY",
                format!("a waiver ends within {WAIVER_DAYS_MAX} days, and not in the past"),
            ));
        }
        let too_long = |rules: &&WaiverRules| lasts_longer(rules.max_days, time, expires_at);
        match self.policy.settings().waivers.as_ref().filter(too_long) {
            None => Ok(()),
            Some(rules) => Err(ApplyError::new(
                "WAIVER_TOO_LONG",
                format!("the policy set lets a waiver last {} days at most", rules.max_days),
            )),
        }
    }

    fn check_is_person(&self, id: &PersonId) -> Result<(), ApplyError> {
        match self.person(id).is_some_and(|person| person.kind == SubjectKind::Machine) {
            true => Err(ApplyError::new("SOD_ROBOT", format!("`{id}` is a machine; people sign waivers"))),
            false => Ok(()),
        }
    }
}

fn unknown(index: EntryIndex) -> ApplyError {
    ApplyError::new("WAIVER_UNKNOWN", format!("entry {index} neither grants a waiver nor asks for one"))
}

fn check_reason(reason: &str) -> Result<(), ApplyError> {
    match !reason.trim().is_empty() && reason.len() <= Limits::DEFAULT.text_bytes {
        true => Ok(()),
        false => Err(ApplyError::new(
            "REASON_MISSING",
            format!("a reason is needed, of at most {} bytes", Limits::DEFAULT.text_bytes),
        )),
    }
}

#[cfg(test)]
#[path = "waiver_tests.rs"]
mod tests;
