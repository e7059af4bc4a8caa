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
    for author in ["github:1234", "github:123456", "samuel doe <s2@x>", "samantha", "ines@example.com"] {
        check(author, None);
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
