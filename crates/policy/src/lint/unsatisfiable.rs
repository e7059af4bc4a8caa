//! Gates that nothing can pass, whatever a release brings: what they demand excludes itself, or comes to an end.

use std::collections::BTreeSet;

use lockgate_model::{EnvName, PersonId, Span, UnixMillis};

use super::{GATE_UNSATISFIABLE, Lint, WINDOW_ENDS, at_gate};
use crate::gate::{Enforcement, Gate};
use crate::gates::{ApprovalsGate, CertifiedGate, GateKind, WindowsGate};
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{all_of, counted};

/// How much later a local time can be anywhere than in UTC, and more.
const ZONES_APART: Span = Span::from_secs(86_400);

/// Why nothing can pass a gate, or nothing from some moment on. How many people there are is only asked where `people`,
/// all who are enrolled, are given.
pub(super) fn of_gate(policy: &PolicySet, gate: &Gate, people: Option<&BTreeSet<PersonId>>) -> Vec<Lint> {
    let mut lints: Vec<Lint> = never_signed(gate).into_iter().collect();
    match &gate.kind {
        GateKind::Windows(config) => lints.extend(ending(gate, config).or_else(|| closed(gate, config))),
        GateKind::Certified(config) => lints.extend(circular(policy, gate, config)),
        GateKind::Approvals(config) => {
            lints.extend(too_late(policy, gate, config));
            lints.extend(people.and_then(|people| too_few(policy, gate, config, people)));
        }
        _ => {}
    }
    lints
}

/// That a gate wants a kind of evidence signed which only plain reports carry (docs/evidence.md, predicates).
fn never_signed(gate: &Gate) -> Option<Lint> {
    let plain = |kind: &&EvidenceKind| matches!(kind, EvidenceKind::Coverage | EvidenceKind::Secrets);
    let kind = match &gate.kind {
        GateKind::Coverage(config) if !config.signed_by.is_empty() => EvidenceKind::Coverage,
        GateKind::Secrets(config) if !config.signed_by.is_empty() => EvidenceKind::Secrets,
        GateKind::Rego(config) if !config.signed_by.is_empty() => config.needs.iter().find(plain).copied()?,
        _ => return None,
    };
    let message = format!("always objects: it wants {kind} signed, and no signed statement of {kind} is read");
    let hint = "leave `signed_by` out, or demand a named check that is signed";
    Some(at_gate(GATE_UNSATISFIABLE, gate, &message, hint))
}

/// When the last of the windows that let something in is over, where none of them comes again.
fn ending(gate: &Gate, config: &WindowsGate) -> Option<Lint> {
    if config.allow.iter().any(|window| window.repeat.is_some()) {
        return None;
    }
    let end = config.allow.iter().map(|window| window.end).max()?;
    let zone = &config.time_zone;
    let message = format!("closes for good at {end} {zone}: no window that it allows comes again");
    let hint = "give a window of `[[gate.allow]]` a `repeat`, or say in `[[gate.deny]]` when nothing may be let in";
    Some(at_gate(WINDOW_ENDS, gate, &message, hint))
}

/// That no gap is found between windows once all of them have begun.
fn closed(gate: &Gate, config: &WindowsGate) -> Option<Lint> {
    let last = config.allow.iter().chain(&config.deny).map(|window| window.start).max()?;
    let begun = format!("{last}Z").parse::<UnixMillis>().ok()?.plus(ZONES_APART);
    let state = config.state_at(begun);
    if state.open || state.changes_at.is_some() {
        return None;
    }
    let message = format!("lets no promotion in from {begun} on: its windows leave no gap, as far as is looked ahead");
    let hint = "let windows of `[[gate.deny]]` end before they come again, or leave time in those of `[[gate.allow]]`";
    Some(at_gate(GATE_UNSATISFIABLE, gate, &message, hint))
}

/// That a gate wants a release to have been where it can only come from here.
fn circular(policy: &PolicySet, gate: &Gate, config: &CertifiedGate) -> Vec<Lint> {
    let mut lints = Vec::new();
    for environment in gate.environments.iter().filter_map(|name| policy.environment(name)) {
        let name = &environment.name;
        for from in config.certified_in.as_deref().unwrap_or(&environment.after) {
            if all_before(policy, from).contains(name) {
                let message = format!(
                    "lets nothing new into `{name}`: it wants a release that was in `{from}`, and the way there leads \
                     through `{name}`"
                );
                let hint = "name environments in `certified_in` that come before this one";
                lints.push(at_gate(GATE_UNSATISFIABLE, gate, &message, hint));
            }
        }
    }
    lints
}

/// Every environment that a release has to have been in before it comes into one.
fn all_before<'a>(policy: &'a PolicySet, name: &EnvName) -> BTreeSet<&'a EnvName> {
    let mut found: BTreeSet<&'a EnvName> = BTreeSet::new();
    let mut waiting: Vec<&'a EnvName> = before(policy, name);
    while let Some(next) = waiting.pop() {
        if found.insert(next) {
            waiting.extend(before(policy, next));
        }
    }
    found
}

/// The environments that `after` and `certified_in` name, for every service, where they are about one environment.
fn before<'a>(policy: &'a PolicySet, name: &EnvName) -> Vec<&'a EnvName> {
    let mut found: Vec<&'a EnvName> = Vec::new();
    if let Some(environment) = policy.environment(name) {
        found.extend(&environment.after);
    }
    for gate in policy.gates() {
        let binds = gate.enforcement == Enforcement::Always && gate.services.is_none();
        if let GateKind::Certified(config) = &gate.kind
            && binds
            && gate.environments.contains(name)
        {
            found.extend(config.certified_in.iter().flatten());
        }
    }
    found
}

/// That the time when approvals count is over before the gate lets anything in.
fn too_late(policy: &PolicySet, gate: &Gate, config: &ApprovalsGate) -> Option<Lint> {
    let settings = policy.settings();
    let not_before = config.not_before?;
    let ttl = settings.promotion_ttl;
    let (message, hint) = match config.counts_until(settings.approval_ttl) {
        _ if not_before >= ttl => (
            format!("lets nothing in for {not_before} (`not_before`), and a promotion is over after {ttl}"),
            "shorten `not_before`, or let promotions last longer: `promotion_ttl` in policy.toml",
        ),
        Some(until) if not_before >= until => (
            format!("lets nothing in for {not_before} (`not_before`), and no approval within `window` counts so long"),
            "shorten `not_before`, or lengthen `window`, `max_age` or, in policy.toml, `approval_ttl`",
        ),
        _ => return None,
    };
    Some(at_gate(GATE_UNSATISFIABLE, gate, &message, hint))
}

/// That a gate wants approvals by more people than are enrolled, or by somebody who is not.
///
/// Who is in which group is not known here, nor who is a machine: fewer can approve than are counted.
fn too_few(policy: &PolicySet, gate: &Gate, config: &ApprovalsGate, people: &BTreeSet<PersonId>) -> Option<Lint> {
    let there: BTreeSet<&PersonId> = people.iter().map(|account| policy.aliases().person(account)).collect();
    let count = u64::try_from(there.len()).unwrap_or(u64::MAX);
    let seats = config.per_group.values().fold(0u64, |sum, seats| sum.saturating_add(*seats));
    let wanted = config.at_least.unwrap_or(config.count).max(seats);
    let absent: Vec<String> = config
        .required
        .iter()
        .filter(|name| !there.contains(policy.aliases().person(name)))
        .map(|name| format!("`{name}`"))
        .collect();
    let message = match absent.is_empty() {
        true if wanted <= count => return None,
        true => {
            let approvals = counted(wanted, "approval");
            format!("always waits: it takes {approvals}, each by another person, and {count} are enrolled in all")
        }
        false => {
            format!("always waits: it takes the approval of {}, and nobody of that name is enrolled", all_of(&absent))
        }
    };
    let hint = "enrol more people, or lower `count`, `per_group` or `required`";
    Some(at_gate(GATE_UNSATISFIABLE, gate, &message, hint))
}
