use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::lint::lints;
use crate::sample::{files, gate};

const GATE: &str = "kind = \"tests\"\n";

/// The sample policy set with these tables behind its people.
fn with(bindings: &str) -> Result<PolicySet, Vec<crate::PolicyError>> {
    let mut files: BTreeMap<String, String> = files(&gate(GATE));
    let people = files.remove("people.toml").unwrap();
    files.insert("people.toml".to_owned(), format!("{people}\n{bindings}"));
    PolicySet::from_files(files)
}

fn load(bindings: &str) -> PolicySet {
    with(bindings).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn may(policy: &PolicySet, person: &str, of: &[&str], permission: Permission, object: Object<'_>) -> bool {
    allows(policy, &person.parse().unwrap(), &groups(of), permission, object).is_ok()
}

const SCOPED: &str = "
[[bindings]]
role = \"approver\"
groups = [\"ci\"]
people = [\"sam\", \"rel-*\"]
services = [\"shop/*\"]
environments = [\"production\"]
";

#[test]
fn whoever_lends_a_group_lends_what_it_holds_and_not_what_they_hold_by_name() {
    let policy = load(SCOPED);
    let (web, production) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
    let check = |lender: &str, of: &[&str], lent: &[&str], expected: bool| {
        let object = Object::Target(&web, &production);
        let found = lends(&policy, &lender.parse().unwrap(), &groups(of), &groups(lent), Permission::Approve, object);
        assert_eq!(found, expected, "{lender} in {of:?} lends {lent:?}");
    };
    check("sam", &["developers"], &[], true);
    check("sam", &["developers"], &["developers"], false);
    check("dana", &["security", "developers"], &["security"], true);
    check("dana", &["security", "developers"], &["developers"], false);
    check("dana", &["developers"], &["security"], false);
    check("dana", &["developers"], &[], false);
}

#[test]
fn a_binding_reaches_as_far_as_its_scope() {
    let policy = load(SCOPED);
    let (web, deep, other): (ServiceName, ServiceName, ServiceName) =
        ("shop/web".parse().unwrap(), "shop/web/eu".parse().unwrap(), "bank/api".parse().unwrap());
    let (production, staging): (EnvName, EnvName) = ("production".parse().unwrap(), "staging".parse().unwrap());
    let check = |person: &str, of: &[&str], permission, object, expected: bool| {
        assert_eq!(may(&policy, person, of, permission, object), expected, "{person} {permission} {object:?}");
    };
    use Permission::{Approve, Audit, Push, Read};
    for (person, of) in [("sam", &[][..]), ("rel-eu", &[]), ("robot", &["ci"])] {
        check(person, of, Approve, Object::Target(&web, &production), true);
        check(person, of, Approve, Object::Target(&web, &staging), false);
        check(person, of, Approve, Object::Target(&other, &production), false);
        check(person, of, Approve, Object::Target(&deep, &production), false);
        check(person, of, Approve, Object::Anywhere, true);
        check(person, of, Approve, Object::Ledger, false);
        check(person, of, Approve, Object::Environment(&production), false);
        check(person, of, Approve, Object::Service(&web), false);
    }
    // A release lies in no environment: who sees the target sees the release.
    check("sam", &[], Read, Object::Service(&web), true);
    check("sam", &[], Read, Object::Service(&other), false);
    check("sam", &[], Read, Object::Target(&web, &staging), false);
    check("sam", &[], Push, Object::Service(&web), false);
    // Names are whole names, and a stranger holds nothing.
    check("sams", &[], Approve, Object::Target(&web, &production), false);
    check("rel-", &[], Approve, Object::Target(&web, &production), true);
    check("eve", &["nobody"], Approve, Object::Anywhere, false);
    // Roles of groups reach everywhere, as before.
    check("dana", &["developers"], Push, Object::Service(&other), true);
    check("ines", &["security"], Approve, Object::Target(&other, &staging), true);
    check("ines", &["security"], Approve, Object::Environment(&staging), true);
    check("pia", &["owners"], Audit, Object::Ledger, true);
}

#[test]
fn an_environment_is_covered_by_what_is_held_there_for_every_service() {
    let (production, staging): (EnvName, EnvName) = ("production".parse().unwrap(), "staging".parse().unwrap());
    let check = |scope: &str, expected: [bool; 3]| {
        let role = "[role.oncall]\npermissions = [\"read\", \"freeze\"]\n";
        let policy = load(&format!("{role}[[bindings]]\nrole = \"oncall\"\npeople = [\"otto\"]\n{scope}\n"));
        let objects = [Object::Environment(&production), Object::Environment(&staging), Object::Ledger];
        let found = objects.map(|object| may(&policy, "otto", &[], Permission::Freeze, object));
        assert_eq!(found, expected, "{scope}");
    };
    check("", [true, true, true]);
    check("environments = [\"production\"]", [true, false, false]);
    check("environments = [\"prod*\"]\nservices = [\"shop/*\", \"**\"]", [true, false, false]);
    check("services = [\"*\"]", [true, true, false]);
    check("services = [\"shop/**\"]", [false, false, false]);
    check("environments = [\"production\"]\nservices = [\"shop/*\", \"bank/*\"]", [false, false, false]);
}

#[test]
fn a_refusal_names_who_may_and_a_permit_the_line() {
    let policy = load(SCOPED);
    let (web, production): (ServiceName, EnvName) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
    let object = Object::Target(&web, &production);
    let refusal =
        allows(&policy, &"dana".parse().unwrap(), &groups(&["developers"]), Permission::Approve, object).unwrap_err();
    let names: Vec<String> = refusal.who_may.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["group approvers", "group ci", "group security", "sam", "rel-*"]);
    let permit = allows(&policy, &"sam".parse().unwrap(), &[], Permission::Approve, object).unwrap();
    assert_eq!(permit.because.role.as_str(), "approver");
    assert!(matches!(permit.because.holder, Holder::People(_)));
    let text = files(&gate(GATE)).remove("people.toml").unwrap();
    // The binding stands behind the sample's own lines, an empty one and the one that joins them.
    let line = text.lines().count() + 3;
    assert_eq!((permit.because.rule.file.as_str(), permit.because.rule.line), ("people.toml", line));
}

#[test]
fn effective_lists_every_permission_with_its_reason() {
    let policy = load(SCOPED);
    let rows = effective(&policy, &"sam".parse().unwrap(), &groups(&["owners"]));
    let shown: BTreeSet<String> = rows
        .iter()
        .map(|row| format!("{} {} {}", row.permission, row.because.holder, row.environments.is_some()))
        .collect();
    let wanted = [
        "approve sam true",
        "audit group owners false",
        "keys group owners false",
        "policy group owners false",
        "read group owners false",
        "read sam true",
        "reject sam true",
        "waive sam true",
    ];
    assert_eq!(shown, wanted.iter().map(|row| (*row).to_owned()).collect());
    assert!(rows.is_sorted_by_key(|row| row.permission));
    assert!(effective(&policy, &"eve".parse().unwrap(), &[]).is_empty());
}

#[test]
fn bindings_that_cannot_be_meant_are_refused() {
    let check = |from: &str, to: &str, part: &str, hint: Option<&str>| {
        let text = SCOPED.replace(from, to);
        assert_ne!(text, SCOPED);
        let errors = with(&text).unwrap_err();
        assert!(errors[0].message.contains(part), "{errors:#?}");
        assert_eq!((errors[0].file.as_str(), errors[0].hint.as_deref()), ("people.toml", hint), "{errors:#?}");
        assert!(errors[0].line.is_some(), "{errors:#?}");
    };
    check("\"approver\"", "\"aprover\"", "no such role", Some("did you mean `approver`?"));
    check("\"ci\"", "\"cj\"", "no group `cj`", Some("did you mean `ci`?"));
    check("[\"shop/*\"]", "[]", "`services` is empty", None);
    check("[\"production\"]", "[]", "`environments` is empty", None);
    check("[\"production\"]", "[\"prodution\"]", "no environment matches `prodution`", None);
    check("\"approver\"", "\"owner\"", "about the whole ledger", None);
    check("\"rel-*\"", "\"*\"", "everyone who is enrolled", None);
    check("groups = [\"ci\"]\npeople = [\"sam\", \"rel-*\"]\n", "", "nobody holds it", None);
    check("\"shop/*\"", "\"shop/../x\"", "is not a pattern", None);
    check("services =", "service =", "unknown field `service`", Some("did you mean `services`?"));
}

#[test]
fn lints_name_what_is_probably_not_meant() {
    let policy = load(SCOPED);
    let people: BTreeSet<PersonId> = ["sam".parse().unwrap()].into();
    let told = |people: Option<&BTreeSet<PersonId>>, part: &str| {
        lints(&policy, people).iter().filter(|lint| lint.message.contains(part)).count()
    };
    assert_eq!((told(None, "`rel-*`"), told(Some(&people), "`rel-*`"), told(Some(&people), "`sam`")), (0, 1, 0));
    assert_eq!(told(None, "nobody holds"), 0);
    let unused = load("[role.spare]\npermissions = [\"read\"]\n");
    assert!(lints(&unused, None).iter().any(|lint| lint.message.contains("`spare`")));
    // The sample's own approvers are not limited to anything.
    let everywhere = lints(&policy, None);
    assert!(everywhere.iter().any(|lint| lint.message.contains("everything")), "{everywhere:#?}");
}
