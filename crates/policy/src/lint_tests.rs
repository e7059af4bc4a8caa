use super::*;
use crate::STARTERS;
use crate::sample::{TIME, files as sample_files, gate, policy};

/// The sample policy set with these gates, and each text, once in its file, by another.
fn set(gates: &str, changes: &[(&str, &str, &str)]) -> PolicySet {
    let mut files = sample_files(gates);
    for (path, from, to) in changes {
        let text = files.entry((*path).to_owned()).or_default();
        assert!(from.is_empty() || text.matches(from).count() == 1, "{from} in {path}");
        *text = if from.is_empty() { format!("{text}{to}") } else { text.replace(from, to) };
    }
    PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

#[track_caller]
fn check(policy: &PolicySet, code: &str, expected: &[(&str, bool)]) {
    let found: Vec<(String, bool)> = lints(policy, None)
        .into_iter()
        .filter(|lint| lint.code == code)
        .map(|lint| (lint.file, lint.line.is_some()))
        .collect();
    let expected: Vec<(String, bool)> = expected.iter().map(|(file, line)| ((*file).to_owned(), *line)).collect();
    assert_eq!(found, expected, "{code}");
}

const TESTS: &str = "kind = \"tests\"\n";

#[test]
fn codes_are_stable_in_shape_and_explained() {
    let codes: BTreeSet<&str> = LINTS.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes.len(), LINTS.len());
    for (code, text) in LINTS {
        assert!(code.starts_with("LINT_") && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
        assert!(text.ends_with('.') && !text.contains('\n'), "{code}");
    }
}

#[test]
fn starters_have_no_warnings() {
    for (name, _) in STARTERS {
        let files = PolicySet::starter(name).unwrap();
        let set = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
        let warnings: Vec<Lint> =
            lints(&set, None).into_iter().filter(|lint| lint.level == LintLevel::Warning).collect();
        assert!(warnings.is_empty(), "{name}: {warnings:#?}");
    }
}

#[test]
fn gates_that_never_apply_or_never_block_are_told() {
    let here = [("gates/test.toml", true)];
    check(&policy(&gate(&format!("{TESTS}services = [\"Shop/*\"]\n"))), "LINT_GATE_UNREACHABLE", &here);
    check(&policy(&gate(&format!("{TESTS}services = [\"a/b/c/d/e\"]\n"))), "LINT_GATE_UNREACHABLE", &here);
    check(&policy(&gate(&format!("{TESTS}services = [\"Shop/*\", \"shop/**\"]\n"))), "LINT_GATE_UNREACHABLE", &[]);
    let late = gate(&format!("{TESTS}enforce_from = \"2027-01-01\"\n"));
    let ends = |day: &str| {
        let line = format!("promotion_ttl = \"30d\"\nexpires_at = \"{day}\"");
        set(&late, &[("policy.toml", "promotion_ttl = \"30d\"", &line)])
    };
    check(&ends("2027-01-01"), "LINT_GATE_NEVER_ENFORCED", &here);
    check(&ends("2027-01-02"), "LINT_GATE_NEVER_ENFORCED", &[]);
}

#[test]
fn a_signature_that_nothing_can_carry_is_told() {
    let here = [("gates/test.toml", true)];
    let row = |fields: &str, kind: &str, expected: &[(&str, bool)]| {
        let signs = ("trust.toml", "signs = [\"provenance\"", format!("signs = [\"{kind}\", \"provenance\""));
        let set = set(&gate(fields), &[(signs.0, signs.1, &signs.2)]);
        check(&set, "LINT_GATE_UNSATISFIABLE", expected);
    };
    row("kind = \"coverage\"\nmin_lines = \"80%\"\nsigned_by = [\"ci\"]\n", "coverage", &here);
    row("kind = \"coverage\"\nmin_lines = \"80%\"\n", "coverage", &[]);
    row("kind = \"secrets\"\nsigned_by = [\"ci\"]\n", "secrets", &here);
    row("kind = \"tests\"\nsigned_by = [\"ci\"]\n", "coverage", &[]);
}

#[test]
fn signatures_by_name_are_told() {
    let of = |fields: &str| policy(&gate(&format!("kind = \"signature\"\nsigned_by = [\"ci\"]\n{fields}\n")));
    check(&of("artifacts = [\"*.tar.gz\"]"), "LINT_SIGNATURE_PARTIAL", &[("gates/test.toml", true)]);
    check(&of(""), "LINT_SIGNATURE_PARTIAL", &[]);
}

#[test]
fn of_twins_the_narrower_or_later_one_is_told() {
    let twins = |first: &str, second: &str| {
        let one = |name: &str, fields: &str| format!("[[gate]]\nname = \"{name}\"\nkind = \"tests\"\n{fields}");
        let set = policy(&format!("{}{}", one("a", first), one("b", second)));
        let found: Vec<String> = lints(&set, None)
            .into_iter()
            .filter(|lint| lint.code == "LINT_GATE_REDUNDANT")
            .map(|lint| lint.message.split('`').nth(1).unwrap_or_default().to_owned())
            .collect();
        found.join(" ")
    };
    let (both, one) = ("environments = [\"dev\", \"production\"]\n", "environments = [\"production\"]\n");
    assert_eq!(twins(one, one), "b");
    assert_eq!(twins(one, both), "a");
    assert_eq!(twins(both, one), "b");
    assert_eq!(twins(both, &format!("{one}max_failed = 1\n")), "");
    // The wider one only warns, so the narrower one is needed.
    assert_eq!(twins(one, &format!("{both}mode = \"warn\"\n")), "");
}

#[test]
fn environments_that_nothing_or_nobody_reaches_are_told() {
    let environments = [("environments.toml", true)];
    let bare = [environments[0], environments[0]];
    check(&policy(&gate(TESTS)), "LINT_ENVIRONMENT_WITHOUT_GATES", &bare);
    check(&policy(&gate(&format!("{TESTS}mode = \"warn\"\n"))), "LINT_ENVIRONMENT_ONLY_WARNS", &environments);
    check(&policy(&gate(TESTS)), "LINT_ENVIRONMENT_ONLY_WARNS", &[]);
    check(&policy(&gate(TESTS)), "LINT_ENVIRONMENT_UNREACHABLE", &[]);
}

#[test]
fn identities_that_match_everything_are_told() {
    let all = "\n[[bindings]]\nrole = \"developer\"\npeople = [\"*\"]\n";
    check(&set(&gate(TESTS), &[("people.toml", "", all)]), "LINT_IDENTITY_MATCHES_ALL", &[("people.toml", true)]);
    let spare = "\n[role.spare]\npermissions = [\"read\"]\n";
    check(&set(&gate(TESTS), &[("people.toml", "", spare)]), "LINT_ROLE_UNUSED", &[("people.toml", true)]);
}

#[test]
fn tests_that_are_missing_are_told() {
    check(&policy(&gate(TESTS)), "LINT_TESTS_MISSING", &[("tests/", false)]);
    let good = "[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"allow\"\ntests = { passed = 1 }\n";
    let tested = set(&gate(TESTS), &[("tests/a.toml", "", good)]);
    check(&tested, "LINT_GATE_UNTESTED", &[("gates/test.toml", true)]);
    check(&tested, "LINT_TESTS_MISSING", &[]);
    // A gate that demands its evidence does not pass without it.
    let bad = good.replace("allow", "deny").replace("passed = 1", "failed = 1");
    check(&set(&gate(TESTS), &[("tests/a.toml", "", &bad)]), "LINT_DENY_IF_EVIDENCE", &[]);
}

#[test]
fn an_end_is_told_a_month_before() {
    let ends = |day: &str| {
        let line = format!("promotion_ttl = \"30d\"\nexpires_at = \"{day}\"");
        let set = set(&gate(TESTS), &[("policy.toml", "promotion_ttl = \"30d\"", &line)]);
        expiry_lint(&set, TIME).map(|lint| (lint.code, lint.line))
    };
    assert_eq!(expiry_lint(&policy(&gate(TESTS)), TIME), None);
    assert_eq!(ends("2026-02-01"), None);
    assert_eq!(ends("2026-01-31"), Some(("LINT_POLICY_EXPIRES_SOON", Some(8))));
    assert_eq!(ends("2026-01-01"), Some(("LINT_POLICY_EXPIRED", Some(8))));
}
