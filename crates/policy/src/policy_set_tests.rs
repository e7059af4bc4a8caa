//! Tests of policy sets: what is refused at load, and that one digest names all that is said.

use super::*;
use crate::sample::{PEM, files, gate, policy};

const GATE: &str = "kind = \"tests\"\n";

fn refuse(files: BTreeMap<String, String>) -> Vec<PolicyError> {
    PolicySet::from_files(files).map(|_| ()).unwrap_err()
}

#[test]
fn the_document_reads_back_to_the_same_digest() {
    let set = policy(&gate(GATE));
    let again = PolicySet::from_document(&set.document()).unwrap();
    assert_eq!((again.digest(), again.document()), (set.digest(), set.document()));
    assert_eq!(Digest::of(&set.document()), set.digest());
    assert_ne!(policy(&format!("# a comment\n{}", gate(GATE))).digest(), set.digest());
    let text = String::from_utf8(set.document()).unwrap();
    for other in [format!("{text} "), text.replace("policy-set/v1", "policy-set/v2"), "{}".to_owned(), String::new()] {
        assert!(PolicySet::from_document(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn paths_lead_through_all_that_comes_before() {
    let set = policy(&gate(GATE));
    let check = |name: &str, expected: &str| {
        let path: Vec<String> = set.path_to(&name.parse().unwrap()).iter().map(ToString::to_string).collect();
        assert_eq!(path.join(" "), expected);
    };
    check("dev", "dev");
    check("production", "dev staging production");
    check("moon", "");
    let production = set.environment(&"production".parse().unwrap()).unwrap();
    assert_eq!(production.owners, ["owners".parse::<GroupName>().unwrap()]);
    assert!(set.environment(&"moon".parse().unwrap()).is_none());
}

#[test]
fn permissions_come_from_groups_that_are_defined() {
    let set = policy(&gate(GATE));
    let of = |groups: &[&str]| {
        let groups: Vec<GroupName> = groups.iter().map(|group| group.parse().unwrap()).collect();
        set.permissions_of(&groups)
    };
    assert_eq!(
        of(&["owners"]),
        BTreeSet::from([Permission::Read, Permission::Audit, Permission::Keys, Permission::Policy])
    );
    assert!(of(&["nobody"]).is_empty());
    assert!(of(&["developers", "security"]).contains(&Permission::Approve));
    let may: Vec<String> = set.who_may(Permission::Push).iter().map(ToString::to_string).collect();
    assert_eq!(may, ["ci", "developers"]);
    assert_eq!(set.groups_text(Permission::Push), "groups ci and developers");
}

#[test]
fn files_are_known_complete_and_small() {
    let check = |change: fn(&mut BTreeMap<String, String>), file: &str, part: &str, hint: Option<&str>| {
        let mut files = files(&gate(GATE));
        change(&mut files);
        let errors = refuse(files);
        let found = errors.iter().find(|error| error.file == file && error.message.contains(part));
        assert!(found.is_some_and(|error| error.hint.as_deref() == hint), "{errors:#?}");
    };
    check(|files| drop(files.remove("policy.toml")), "policy.toml", "is missing", None);
    check(|files| drop(files.remove("people.toml")), "people.toml", "is missing", None);
    check(
        |files| drop(files.insert("polici.toml".to_owned(), String::new())),
        "polici.toml",
        "unknown file",
        Some("did you mean `policy.toml`?"),
    );
    check(
        |files| drop(files.insert("gate/a.toml".to_owned(), String::new())),
        "gate/a.toml",
        "unknown file",
        Some("did you mean `gates`?"),
    );
    for path in ["gates/../a.toml", "gates/a/b.toml", "gates/.toml", "gates//a.toml", "README.md", "/policy.toml", ""] {
        let mut files = files(&gate(GATE));
        files.insert(path.to_owned(), String::new());
        assert!(refuse(files)[0].message.contains("unknown file"), "{path}");
    }
    let big =
        |files: &mut BTreeMap<String, String>| drop(files.insert("gates/b.toml".to_owned(), "#".repeat(256 * 1024)));
    check(big, WHOLE, "bytes in all files", None);
}

#[test]
fn every_name_is_defined_and_every_gate_can_pass() {
    let check = |gates: &str, part: &str, hint: Option<&str>| {
        let errors = refuse(files(gates));
        assert!(errors[0].message.contains(part), "{errors:#?}");
        assert_eq!((errors[0].file.as_str(), errors[0].hint.as_deref()), ("gates/test.toml", hint), "{errors:#?}");
        assert!(errors[0].line.is_some());
    };
    let provenance = "kind = \"provenance\"\nsource_repositories = [\"https://git.example/shop/web\"]\n";
    let only = |fields: &str| gate(&format!("{GATE}{fields}\n"));
    check(
        &gate(GATE).replace("production", "prodution"),
        "no environment `prodution`",
        Some("did you mean `production`?"),
    );
    check(&gate(GATE).replace("\"production\"", ""), "applies to no environment", None);
    check(&only("services = []"), "applies to no service", None);
    check(&only("signed_by = [\"cj\"]"), "no signer `cj`", Some("did you mean `ci`?"));
    check(&only("signed_by = [\"scanner\"]"), "not trusted for tests", None);
    check(&only("min_passed = 0"), "an empty report would pass", None);
    check(&gate(GATE).replace("\"g\"", "\"policy\""), "`policy` stands for the policy set itself", None);
    check(&format!("{}\n{}", gate(GATE), gate(GATE)), "two gates are called `g`", None);
    check(&gate(&format!("{provenance}signers = [\"ci\"]\n")), "which builders `ci` may sign for", None);
    check(&gate(&format!("{provenance}signers = []\nbuilder_ids = [\"b\"]\n")), "`signers` is empty", None);
    for pattern in ["*", "**", "main", "heads/main"] {
        let fields = format!("{provenance}signers = [\"ci\"]\nbuilder_ids = [\"b\"]\nsource_refs = [\"{pattern}\"]\n");
        check(&gate(&fields), "is not a full ref", None);
    }
    check(&gate("kind = \"sbom\"\nmin_components = 0\n"), "proves nothing", None);
    check(&gate("kind = \"vulnerabilities\"\nblock = []\n"), "`block` is empty", None);
    check(
        &gate("kind = \"vulnerabilities\"\nblock = [\"high\"]\nleeway = { low = \"1d\" }\n"),
        "which does not block",
        None,
    );
    check(&gate("kind = \"certified\"\n").replace("production", "dev"), "demands nothing in `dev`", None);
    check(&gate("kind = \"certified\"\ncertified_in = [\"production\"]\n"), "have to be there already", None);
    check(&gate("kind = \"version\"\nno_prerelease = false\nnewer_than_running = false\n"), "demands nothing", None);
    check(
        &gate("kind = \"approvals\"\ngroups = [\"approver\"]\n"),
        "no group `approver`",
        Some("did you mean `approvers`?"),
    );
    check(&gate("kind = \"approvals\"\ngroups = [\"developers\"]\n"), "may not approve", None);
    check(&gate("kind = \"approvals\"\ncount = 0\n"), "demands nothing", None);
}

#[test]
fn environments_are_owned_by_groups_that_are_defined() {
    let mut files = files(&gate(GATE));
    let text = files["environments.toml"].replace("\"owners\"]", "\"ownars\"]");
    files.insert("environments.toml".to_owned(), text);
    let errors = refuse(files);
    assert_eq!(
        (errors[0].file.as_str(), errors[0].hint.as_deref()),
        ("environments.toml", Some("did you mean `owners`?"))
    );
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let mut files = files("[[gate]]\nkind = \"test\"\n[[gate]]\nname = \"g\"\n");
    files.insert("people.toml".to_owned(), "[rolle.x]\n".to_owned());
    files.insert("trust.toml".to_owned(), format!("[[signer]]\nname = \"a\"\nkey = \"{}\"\nsigns = []\n", PEM.len()));
    let errors = refuse(files);
    let names: Vec<&str> = errors.iter().map(|error| error.file.as_str()).collect();
    let file = "gates/test.toml";
    assert_eq!(names, ["people.toml", "trust.toml", file, file, file, file], "{errors:#?}");
}

#[test]
fn too_many_gates_are_refused() {
    let gates: String = (0..501).map(|n| gate(GATE).replace("\"g\"", &format!("\"g{n}\""))).collect();
    assert!(refuse(files(&gates))[0].message.contains("501 gates"));
}

#[test]
fn a_second_factor_is_demanded_of_roles_that_somebody_has() {
    let with = |mfa: &str| {
        let mut files = files(&gate(GATE));
        files.entry("policy.toml".to_owned()).or_default().push_str(&format!("\n[sign-in]\nmfa = {mfa}\n"));
        files
    };
    assert!(PolicySet::from_files(with("true")).is_ok() && PolicySet::from_files(with("[\"owner\"]")).is_ok());
    let errors = refuse(with("[\"ownar\"]"));
    assert_eq!((errors[0].file.as_str(), errors[0].hint.as_deref()), ("policy.toml", Some("did you mean `owner`?")));
}
