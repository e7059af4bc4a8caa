//! Starter policy sets: files to begin with, whose comments teach what they do.

use std::collections::BTreeMap;

/// The starter policy sets: name and description.
pub const STARTERS: &[(&str, &str)] = &[
    ("starter", "dev, staging and production; tests, SBOM, scan and approvals by people on the way up"),
    ("strict", "the same with signed provenance, complete SBOMs, release notes, a day of soaking and two approvals"),
];

/// The files of one starter policy set.
pub(crate) fn files(name: &str) -> Option<BTreeMap<String, String>> {
    let files = match name {
        "starter" => STARTER,
        "strict" => STRICT,
        _ => return None,
    };
    Some(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

const STARTER: &[(&str, &str)] = &[
    ("policy.toml", include_str!("../starter/starter/policy.toml")),
    ("environments.toml", include_str!("../starter/starter/environments.toml")),
    ("people.toml", include_str!("../starter/starter/people.toml")),
    ("trust.toml", include_str!("../starter/starter/trust.toml")),
    ("gates/approvals.toml", include_str!("../starter/starter/gates/approvals.toml")),
    ("gates/evidence.toml", include_str!("../starter/starter/gates/evidence.toml")),
    ("gates/order.toml", include_str!("../starter/starter/gates/order.toml")),
    ("tests/production.toml", include_str!("../starter/starter/tests/production.toml")),
    ("tests/way-up.toml", include_str!("../starter/starter/tests/way-up.toml")),
];

const STRICT: &[(&str, &str)] = &[
    ("policy.toml", include_str!("../starter/strict/policy.toml")),
    ("environments.toml", include_str!("../starter/strict/environments.toml")),
    ("people.toml", include_str!("../starter/strict/people.toml")),
    ("trust.toml", include_str!("../starter/strict/trust.toml")),
    ("gates/approvals.toml", include_str!("../starter/strict/gates/approvals.toml")),
    ("gates/evidence.toml", include_str!("../starter/strict/gates/evidence.toml")),
    ("gates/order.toml", include_str!("../starter/strict/gates/order.toml")),
    ("tests/production.toml", include_str!("../starter/strict/tests/production.toml")),
    ("tests/way-up.toml", include_str!("../starter/strict/tests/way-up.toml")),
];

#[cfg(test)]
mod tests {
    use crate::{GateKind, Permission, PolicySet, STARTERS, run_tests};
    use std::collections::BTreeSet;

    fn load(name: &str) -> PolicySet {
        PolicySet::from_files(PolicySet::starter(name).unwrap()).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"))
    }

    #[test]
    fn every_starter_loads_and_passes_its_own_tests() {
        for (name, _) in STARTERS {
            let set = load(name);
            let results = run_tests(&set);
            assert!(results.len() >= 8, "{name} has {} tests", results.len());
            let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
            assert!(failed.is_empty(), "{name}: {failed:#?}");
        }
        assert!(PolicySet::starter("other").is_none());
    }

    #[test]
    fn every_gate_of_every_starter_is_seen_failing_or_waiting() {
        for (name, _) in STARTERS {
            let set = load(name);
            let expected: BTreeSet<&str> = set
                .tests()
                .iter()
                .flat_map(|test| &test.gates)
                .filter(|(_, outcome)| !matches!(outcome, crate::GateOutcome::Pass))
                .map(|(gate, _)| gate.as_str())
                .collect();
            let gates: BTreeSet<&str> = set.gates().iter().map(|gate| gate.name.as_str()).collect();
            assert_eq!(gates, expected, "{name}");
        }
    }

    #[test]
    fn strict_shows_every_kind_of_gate() {
        let set = load("strict");
        let shown: BTreeSet<&str> = set.gates().iter().map(|gate| gate.kind.name()).collect();
        let all: BTreeSet<&str> = GateKind::NAMES.iter().copied().collect();
        assert_eq!(shown, all);
    }

    #[test]
    fn starters_keep_duties_apart() {
        for (name, _) in STARTERS {
            let set = load(name);
            for group in set.groups().values() {
                let may = |permission| group.permissions.contains(&permission);
                assert!(may(Permission::Read), "{name}: {}", group.name);
                assert!(
                    !(may(Permission::Approve) && (may(Permission::Request) || may(Permission::Push))),
                    "{name}: {}",
                    group.name
                );
                assert!(!(may(Permission::Approve) && may(Permission::Policy)), "{name}: {}", group.name);
            }
            let order: Vec<&str> = set.environments().iter().map(|environment| environment.name.as_str()).collect();
            assert_eq!(order, ["dev", "staging", "production"]);
        }
    }
}
