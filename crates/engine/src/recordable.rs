//! Recordable: what is refused before it is recorded although the ledger could hold it.
//!
//! The ledger's own rules are verified again by everyone who reads it, so that after a release they can never become
//! stricter for entries that are there already. What makes no sense to record anew, or is surely a slip, is refused here
//! and nowhere else.

use lockgate_ledger::ci_trust::{CiProvider, CiTrusted};
use lockgate_ledger::delegation::DelegationGranted;
use lockgate_ledger::entry::KeyRevoked;
use lockgate_ledger::release::{ApprovalRecord, PromotionState};
use lockgate_ledger::{Event, Governance};
use lockgate_model::{EntryIndex, Limits, PersonId, UnixMillis};
use lockgate_policy::{Permission, effective, lends_anything};

use crate::fault::{Fault, Kind};
use crate::staging::Staging;

/// What no machine that pipelines act as may hold: a job would govern.
const GOVERNING: [Permission; 6] = [
    Permission::Keys,
    Permission::Policy,
    Permission::Waive,
    Permission::Approve,
    Permission::Freeze,
    Permission::BreakGlass,
];

/// Checks an event before it is recorded or proposed next.
///
/// # Errors
/// `KEY_EXPIRY`, `PERSON_UNKNOWN`, `KEY_UNKNOWN`, `KEY_SINCE`, `POLICY_SAME`, `CI_TRUST_IDS`, `CI_TRUST_REF`,
/// `CI_TRUST_GROUP`, `NOTHING_TO_LEND` or `TOO_MANY_OPEN`.
pub(crate) fn check(staging: &Staging<'_>, event: &Event) -> Result<(), Fault> {
    judge(event, staging.governance()?, staging.next_index(), staging.time())
}

fn judge(event: &Event, governance: &Governance, next: EntryIndex, now: UnixMillis) -> Result<(), Fault> {
    if let Some(end) = event.key_end().filter(|end| *end <= now) {
        return Err(Fault::invalid("KEY_EXPIRY", format!("the key would have ended at {end}, which is over"))
            .hint("sign again with an end that is still to come, such as `--expires 365d`, or with none"));
    }
    match event {
        Event::KeyRevoked(event) => {
            check_named(event, governance)?;
            check_since(event.compromised_since, next)
        }
        Event::PolicyActivated(event)
            if event.policy == governance.policy_digest
                && event.previous == governance.policy_digest
                && event.previous_at == governance.policy_at =>
        {
            Err(Fault::new(Kind::Conflict, "POLICY_SAME", "this policy set is the active one already")
                .hint("nothing was recorded; `lockgate policy show` prints the active policy set"))
        }
        Event::CiTrusted(event) => {
            check_ids(event)?;
            check_refs(event)?;
            check_groups(event, governance)
        }
        Event::KeyAdded(event) => {
            let keys = governance.person(&event.person).map(|person| person.keys.as_slice()).unwrap_or_default();
            let good = keys.iter().filter(|key| key.is_good()).count();
            check_count(&event.person, "keys that count", good, Limits::DEFAULT.keys_per_person)?;
            check_chain(&event.person, governance)
        }
        Event::KeyRotated(event) => check_chain(&event.person, governance),
        Event::WaiverRequested(event) => {
            let own = governance.waivers().iter().filter(|waiver| waiver.asked.asked_by == event.asked_by);
            let waiting = own.filter(|waiver| waiver.is_waiting(now)).count();
            let most = Limits::DEFAULT.waiting_waivers_per_person;
            check_count(&event.asked_by, "requests for waivers that wait", waiting, most)
        }
        Event::DelegationGranted(event) => {
            check_lender(event, governance)?;
            let own = governance.delegations().iter().filter(|known| known.event.from == event.from);
            let open = own.filter(|known| known.is_open(now)).count();
            check_count(&event.from, "delegations in force", open, Limits::DEFAULT.delegations_per_person)
        }
        _ => Ok(()),
    }
}

/// A chain of keys has an end: everybody reads all that a key was rotated to.
fn check_chain(person: &PersonId, governance: &Governance) -> Result<(), Fault> {
    let keys = governance.person(person).map_or(0, |person| person.keys.len());
    check_count(person, "keys, with those that have ended", keys, Limits::DEFAULT.keys_per_person_ever)
        .map_err(|fault| fault.hint("enrol another account, and name both in aliases.toml; nothing was recorded"))
}

/// Whoever mistypes a name or a fingerprint is told so, and not that a signature was refused.
fn check_named(event: &KeyRevoked, governance: &Governance) -> Result<(), Fault> {
    let (person, key) = (&event.person, &event.key);
    if governance.person(person).is_none() {
        return Err(Fault::not_found("PERSON_UNKNOWN", format!("`{person}` is not enrolled"))
            .hint("`lockgate key list` lists everyone"));
    }
    match governance.key(person, key) {
        Some(_) => Ok(()),
        None => Err(Fault::not_found("KEY_UNKNOWN", format!("`{person}` has no key `{key}`"))
            .hint("`lockgate key list` lists everyone's fingerprints")),
    }
}

/// An entry that is not there yet has no signatures that could be void.
fn check_since(since: Option<EntryIndex>, next: EntryIndex) -> Result<(), Fault> {
    match since.filter(|since| *since > next) {
        None => Ok(()),
        Some(since) => Err(Fault::invalid(
            "KEY_SINCE",
            format!("entry {since} is not there yet: the ledger has {next} entries, so that nothing would be void"),
        )
        .hint("name the first entry that may not be the owner's: `lockgate history --person NAME` lists them")),
    }
}

/// Ids are compared as texts with what issuers write, which is never `0` and never begins with one.
fn check_ids(event: &CiTrusted) -> Result<(), Fault> {
    let wrong = |name: &&&str| event.claims.get(**name).is_some_and(|id| id.starts_with('0'));
    match event.provider.id_claims().iter().find(wrong) {
        None => Ok(()),
        Some(name) => {
            Err(Fault::invalid("CI_TRUST_IDS", format!("`{name}` is no id: ids are above 0 and have no leading 0"))
                .hint("`lockgate ci trust add github --help` says where the ids are"))
        }
    }
}

/// GitHub writes whole refs into its tokens: another spelling is never met, and the trust would be for nothing.
fn check_refs(event: &CiTrusted) -> Result<(), Fault> {
    if event.provider != CiProvider::Github {
        return Ok(());
    }
    let refused = |name: &str, like: &str| {
        Err(Fault::invalid("CI_TRUST_REF", format!("`{name}` is no whole ref, so that no token would ever fit"))
            .hint(format!("write it as tokens have it, such as `{like}`")))
    };
    if event.claims.get("ref").is_some_and(|value| !value.starts_with("refs/")) {
        return refused("ref", "refs/heads/main");
    }
    let whole = |value: &String| value.starts_with("refs/") || value.contains("@refs/");
    match event.claims.get("workflow_ref").is_some_and(|value| !whole(value)) {
        true => refused("workflow_ref", "OWNER/NAME/.github/workflows/release.yml@refs/heads/main"),
        false => Ok(()),
    }
}

/// Every bundle carries what governs whole: nobody makes all of them large by asking often.
fn check_count(person: &PersonId, what: &str, open: usize, most: usize) -> Result<(), Fault> {
    match open < most {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::Conflict,
            "TOO_MANY_OPEN",
            format!("`{person}` has {open} {what}, and may have {most}"),
        )
        .hint("end one that is not needed any more; nothing was recorded")),
    }
}

/// Who may approve nothing has nothing to lend.
fn check_lender(event: &DelegationGranted, governance: &Governance) -> Result<(), Fault> {
    // Who is not enrolled, or lends a group of others, is told so by the ledger.
    let Some(person) = governance.person(&event.from) else { return Ok(()) };
    if event.groups.iter().any(|group| !person.groups.contains(group)) {
        return Ok(());
    }
    match lends_anything(&governance.policy, &event.from, &person.groups, &event.groups, Permission::Approve) {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::NotPermitted,
            "NOTHING_TO_LEND",
            format!("what `{}` would lend approves nothing", event.from),
        )
        .hint("`lockgate access show` lists what somebody may do")),
    }
}

/// Checks that an approver has not approved the promotion so often that others' approvals would find no place.
///
/// # Errors
/// `TOO_MANY_APPROVALS`.
pub(crate) fn check_approvals(
    governance: &Governance,
    promotion: &PromotionState,
    approver: &PersonId,
) -> Result<(), Fault> {
    let aliases = governance.policy.aliases();
    let own = |record: &&ApprovalRecord| aliases.person(&record.event.approver) == aliases.person(approver);
    let own = promotion.approvals.iter().filter(own).count();
    match own < Limits::DEFAULT.approvals_per_person {
        true => Ok(()),
        false => Err(Fault::new(
            Kind::TooLarge,
            "TOO_MANY_APPROVALS",
            format!("`{approver}` has approved this promotion {own} times already"),
        )
        .hint("the newest one counts; to approve again, ask anew with `lockgate promote`")),
    }
}

/// Pipelines push and ask. A machine with more than that is made by a slip, or by somebody who wants to get in.
fn check_groups(event: &CiTrusted, governance: &Governance) -> Result<(), Fault> {
    // What is wrong with a name that is known already, the ledger says better.
    if governance.person(&event.machine).is_some_and(|known| known.groups != event.groups) {
        return Ok(());
    }
    let held = effective(&governance.policy, &event.machine, &event.groups);
    match held.iter().find(|right| GOVERNING.contains(&right.permission)) {
        None => Ok(()),
        Some(right) => Err(Fault::invalid(
            "CI_TRUST_GROUP",
            format!(
                "`{}` would hold the permission `{}` by role `{}`, which no pipeline may",
                event.machine, right.permission, right.because.role
            ),
        )
        .hint("name a group whose roles let it push, hand in evidence and ask, such as `--group ci`")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn trusted(provider: CiProvider, claims: &[(&str, &str)]) -> CiTrusted {
        CiTrusted {
            provider,
            machine: "web-ci".parse().unwrap(),
            groups: Vec::new(),
            issuer: "https://ci.example".to_owned(),
            audience: "test".to_owned(),
            claims: claims
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            services: vec!["shop/web".parse().unwrap()],
            jwks_url: None,
            nonce: "0123456789abcdef".to_owned(),
            by: "sam".parse().unwrap(),
            signature: String::new(),
            countersigned: Vec::new(),
        }
    }

    #[test]
    fn ids_are_as_issuers_write_them() {
        let check = |id: &str, ok: bool| {
            let event = trusted(CiProvider::Github, &[("repository_owner_id", "123"), ("repository_id", id)]);
            assert_eq!(
                check_ids(&event).map_err(|fault| fault.code),
                if ok { Ok(()) } else { Err("CI_TRUST_IDS") },
                "{id}"
            );
        };
        check("456", true);
        check("100", true);
        check("0", false);
        check("0456", false);
        assert!(check_ids(&trusted(CiProvider::Oidc, &[("repository_id", "0")])).is_ok());
    }

    #[test]
    fn refs_are_whole() {
        let check = |name: &str, value: &str, ok: bool| {
            let event = trusted(CiProvider::Github, &[(name, value)]);
            assert_eq!(
                check_refs(&event).map_err(|fault| fault.code),
                if ok { Ok(()) } else { Err("CI_TRUST_REF") },
                "{value}"
            );
        };
        check("ref", "refs/heads/main", true);
        check("ref", "main", false);
        check("workflow_ref", "octo/web/.github/workflows/release.yml@refs/heads/main", true);
        check("workflow_ref", "release.yml", false);
        check("workflow_ref", "octo/web/.github/workflows/release.yml@main", false);
        // GitLab writes the bare name of a branch.
        assert!(check_refs(&trusted(CiProvider::Gitlab, &[("ref", "main")])).is_ok());
    }

    #[test]
    fn a_key_is_compromised_since_an_entry_that_is_there() {
        let check = |since: Option<u64>, ok: bool| {
            let found = check_since(since.map(EntryIndex), EntryIndex(7)).map_err(|fault| fault.code);
            assert_eq!(found, if ok { Ok(()) } else { Err("KEY_SINCE") }, "{since:?}");
        };
        check(None, true);
        check(Some(0), true);
        check(Some(7), true);
        check(Some(8), false);
    }
}
