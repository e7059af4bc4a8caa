//! Tests of duties: by person, across keys, aliases and machine accounts.

use super::*;
use crate::sample::{evidence, facts, files, gate, on_behalf, provenance, signed, tests};

const ALIASES: &str = concat!(
    "[[aliases]]\nperson = \"sam\"\n",
    "names = [\"sam@example.com\", \"github:12345\", \"Samuel Doe <s@x>\", \"sam-bot\", \"sam2\"]\n",
);

fn policy(aliases: &str) -> PolicySet {
    let mut files = files(&gate("kind = \"approvals\"\n"));
    files.insert("aliases.toml".to_owned(), aliases.to_owned());
    PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// Which part somebody has, first of all.
fn part(policy: &PolicySet, facts: &Facts, account: &str) -> Option<Part> {
    let account: PersonId = account.parse().unwrap();
    Duties::of(policy, facts).part_of(&account, &BTreeSet::from(Part::ALL))
}

#[test]
fn one_person_has_one_part_under_every_name() {
    let policy = policy(ALIASES);
    let mut asked = facts();
    for account in ["sam", "sam2", "sam-bot"] {
        asked.promotion.requester = account.parse().unwrap();
        for other in ["sam", "sam2", "sam-bot"] {
            assert_eq!(part(&policy, &asked, other), Some(Part::Requester), "{account} {other}");
        }
        assert_eq!(part(&policy, &asked, "ines"), None);
    }
    // A machine account of theirs published, or handed something in.
    let mut published = facts();
    published.release.published_by = "sam-bot".parse().unwrap();
    assert_eq!(part(&policy, &published, "sam"), Some(Part::Author));
    let mut handed_in = facts();
    handed_in.evidence = vec![evidence(1, on_behalf("sam-bot"), Claim::Tests(tests()))];
    assert_eq!(part(&policy, &handed_in, "sam2"), Some(Part::Builder));
}

#[test]
fn aliases_are_whole_names_in_any_case() {
    let policy = policy(ALIASES);
    let check = |author: &str, expected: Option<Part>| {
        let mut claim = provenance();
        claim.authors = vec![author.to_owned()];
        let mut facts = facts();
        facts.evidence = vec![evidence(1, signed(&[]), Claim::Provenance(claim))];
        assert_eq!(part(&policy, &facts, "sam"), expected, "{author}");
    };
    for author in ["github:12345", "Samuel Doe <s@x>", "Other Name <sam@example.com>", "sam2", "SAM", "sam@any.example"]
        .into_iter()
        .chain(["GitHub:12345", "samuel doe <s@x>"])
    {
        check(author, Some(Part::Author));
    }
    // A forge's private address has the login and the number of the account.
    for author in [
        "Samuel <1234567+sam@users.noreply.github.com>",
        "1234567+SAM@Users.Noreply.GitHub.com",
        "sam@users.noreply.github.com",
        "12345+renamed@users.noreply.github.com",
        "Samuel <1234567-sam@users.noreply.gitlab.com>",
        "sam@users.noreply.gitlab.com",
    ] {
        check(author, Some(Part::Author));
    }
    for author in ["github:1234", "github:123456", "samuel doe <s2@x>", "samantha", "ines@example.com"]
        .into_iter()
        .chain(["1234567+ines@users.noreply.github.com", "12345-ines@users.noreply.gitlab.com"])
        .chain(["1234567+sam@other.example", "not-sam@users.noreply.gitlab.com"])
    {
        check(author, None);
    }
}

#[test]
fn names_may_be_one_persons() {
    let policy = policy(ALIASES);
    let check = |one: &str, other: &str, expected: bool| {
        let (first, second) = (names_of(&policy, one), names_of(&policy, other));
        assert_eq!(first.may_be(&second), expected, "{one} {other}");
        assert_eq!(second.may_be(&first), expected, "{other} {one}");
    };
    for (one, other) in [
        ("me", "Me <me@alice.example>"),
        ("me@alice.example", "Other Name <ME@Alice.example>"),
        ("1234567+me@users.noreply.github.com", "me"),
        ("1234567+me@users.noreply.github.com", "github:1234567"),
        ("1234567+me@users.noreply.github.com", "1234567+before@users.noreply.github.com"),
        ("1234567+me@users.noreply.github.com", "me@users.noreply.github.com"),
        ("7-me-too@users.noreply.gitlab.com", "me-too"),
        ("7-me-too@users.noreply.gitlab.com", "gitlab:7"),
        ("me-too@users.noreply.gitlab.com", "me-too"),
        // By aliases of what stands before the `@`, too.
        ("sam2@any.example", "sam"),
        ("sam@example.com", "12345+me@users.noreply.github.com"),
    ] {
        check(one, other, true);
    }
    for (one, other) in [
        ("me@alice.example", "me@bob.example"),
        ("me@alice.example", "1234567+me@users.noreply.github.com"),
        ("7+me@users.noreply.github.com", "7-me@users.noreply.gitlab.com"),
        ("7+me@users.noreply.github.com", "gitlab:7"),
        ("7+@users.noreply.github.com", "8+@users.noreply.github.com"),
        ("me-too@users.noreply.gitlab.com", "too"),
        ("me", "men@alice.example"),
        ("", ""),
        (" ", "me"),
    ] {
        check(one, other, false);
    }
}

#[test]
fn who_may_deploy_there_is_a_deployer() {
    let mut files = files(&gate("kind = \"approvals\"\n"));
    let people = files.get_mut("people.toml").unwrap();
    people.push_str("[role.deployer]\npermissions = [\"deploy\"]\n[group.deployers]\nroles = [\"deployer\"]\n");
    files.insert("aliases.toml".to_owned(), "[[aliases]]\nperson = \"sam\"\nnames = [\"robot\"]\n".to_owned());
    let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut facts = facts();
    facts.release.published_by = "dana".parse().unwrap();
    assert!(!Duties::of(&policy, &facts).is_held(Part::Deployer));
    // A machine account deploys: then the person behind it does.
    facts.people.get_mut(&"robot".parse::<PersonId>().unwrap()).unwrap().groups = vec!["deployers".parse().unwrap()];
    assert_eq!(part(&policy, &facts, "sam"), Some(Part::Deployer));
    assert_eq!(part(&policy, &facts, "ines"), None);
}
