//! Starter policy sets: files to begin with, whose comments teach what they do.

use std::collections::BTreeMap;

/// The starter policy sets: name and description.
pub const STARTERS: &[(&str, &str)] = &[
    ("starter", "dev, staging and production; tests, SBOM, scan and approvals by people on the way up"),
    ("minimal", "tests that passed, the way through staging, and one approval for production"),
    ("strict", "signed provenance, complete SBOMs, release notes, a day of soaking and two approvals"),
    ("slsa-3", "builds of SLSA level 3 from reviewed source on a protected branch; rebuilds are announced"),
    ("regulated", "change management for SOC 2, ISO 27001 and PCI DSS, with the controls named at each gate"),
    (
        "high-assurance",
        "every kind of gate but rego and signature: reproducible builds, signed evidence, reviewed by people who take their time",
    ),
];

/// The files of one starter policy set.
pub(crate) fn files(name: &str) -> Option<BTreeMap<String, String>> {
    let files = match name {
        "starter" => STARTER,
        "minimal" => MINIMAL,
        "strict" => STRICT,
        "slsa-3" => SLSA_3,
        "regulated" => REGULATED,
        "high-assurance" => HIGH_ASSURANCE,
        _ => return None,
    };
    Some(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

type Files = &'static [(&'static str, &'static str)];

/// The four files that every starter has, and some more.
macro_rules! set {
    ($name:literal, $($path:literal),*) => {
        &[
            ("policy.toml", include_str!(concat!("../starter/", $name, "/policy.toml"))),
            ("environments.toml", include_str!(concat!("../starter/", $name, "/environments.toml"))),
            ("people.toml", include_str!(concat!("../starter/", $name, "/people.toml"))),
            ("trust.toml", include_str!(concat!("../starter/", $name, "/trust.toml"))),
            $(($path, include_str!(concat!("../starter/", $name, "/", $path))),)*
        ]
    };
}

const STARTER: Files = set!(
    "starter",
    "gates/approvals.toml",
    "gates/evidence.toml",
    "gates/order.toml",
    "tests/production.toml",
    "tests/way-up.toml"
);
const MINIMAL: Files = set!("minimal", "gates/gates.toml", "tests/gates.toml");
const STRICT: Files = set!(
    "strict",
    "gates/approvals.toml",
    "gates/evidence.toml",
    "gates/order.toml",
    "tests/production.toml",
    "tests/way-up.toml"
);
const SLSA_3: Files =
    set!("slsa-3", "gates/evidence.toml", "gates/order.toml", "tests/production.toml", "tests/way-up.toml");
const REGULATED: Files =
    set!("regulated", "gates/change.toml", "gates/evidence.toml", "tests/change.toml", "tests/evidence.toml");
const HIGH_ASSURANCE: Files = set!(
    "high-assurance",
    "gates/change.toml",
    "gates/origin.toml",
    "gates/quality.toml",
    "tests/change.toml",
    "tests/origin.toml",
    "tests/production.toml",
    "tests/quality.toml"
);

#[cfg(test)]
mod tests {
    use crate::{GateKind, Permission, PolicySet, STARTERS, coverage, run_tests};
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
            let covered = coverage(&set, &results);
            assert_eq!(covered.percent(), 100, "{name}: {covered:#?}");
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

    /// Rego is left to the policy sets that need it, and signatures over artifacts to those that have a signer for them.
    #[test]
    fn high_assurance_shows_every_kind_that_is_built_in() {
        let set = load("high-assurance");
        let shown: BTreeSet<&str> = set.gates().iter().map(|gate| gate.kind.name()).collect();
        let all: BTreeSet<&str> =
            GateKind::NAMES.iter().copied().filter(|name| !["rego", "signature"].contains(name)).collect();
        assert_eq!(shown, all);
    }

    /// Auditors ask by control, so that no gate of a set for them may be without.
    #[test]
    fn gates_of_the_sets_for_auditors_name_their_controls() {
        for name in ["minimal", "slsa-3", "regulated", "high-assurance"] {
            let set = load(name);
            let without: Vec<&str> =
                set.gates().iter().filter(|gate| gate.controls.is_empty()).map(|gate| gate.name.as_str()).collect();
            assert!(without.is_empty(), "{name}: {without:?}");
        }
        let controls: BTreeSet<String> =
            load("regulated").gates().iter().flat_map(|gate| gate.controls.clone()).collect();
        for framework in ["SOC2 ", "ISO27001 ", "PCI-DSS ", "CM-3"] {
            assert!(controls.iter().any(|control| control.starts_with(framework)), "{framework}");
        }
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
