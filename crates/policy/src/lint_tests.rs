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
fn refs_that_are_branches_and_proposals_alike_are_told() {
    let here = [("gates/test.toml", true)];
    let provenance = "kind = \"provenance\"\nsigners = [\"ci\"]\nbuilder_ids = [\"b\"]\n\
                      source_repositories = [\"https://git.example/shop/web\"]\nsource_refs";
    let source = "kind = \"source\"\nsigned_by = [\"ci\"]\nrefs";
    for gate_with in [provenance, source] {
        let row = |refs: &str, told: &[(&str, bool)]| {
            check(&policy(&gate(&format!("{gate_with} = [{refs}]\n"))), "LINT_REFS_BROAD", told);
        };
        for broad in ["refs/**", "refs/*/**", "refs/*/*/*", "refs/*/*/merge"] {
            row(&format!("\"refs/heads/main\", \"{broad}\""), &here);
        }
        for narrow in ["refs/heads/main", "refs/heads/**", "refs/tags/v*", "refs/*/main", "refs/pull/*/merge"] {
            row(&format!("\"{narrow}\""), &[]);
        }
        row("\"refs/heads/main\", \"refs/pull/*/merge\"", &[]);
        row("", &[]);
    }
}

#[test]
fn a_severity_above_a_blocked_one_is_told() {
    let here = [("gates/test.toml", true)];
    let of = |block: &str| gate(&format!("kind = \"vulnerabilities\"\nblock = [{block}]\n"));
    let row = |gates: &str, told: &[(&str, bool)]| check(&policy(gates), "LINT_SEVERITY_GAP", told);
    let words = |block: &str| {
        let lints = lints(&policy(&of(block)), None);
        let told = lints.into_iter().find(|lint| lint.code == "LINT_SEVERITY_GAP").map(|lint| lint.message);
        told.and_then(|text| text.split(" through").next().map(str::to_owned)).unwrap_or_default()
    };
    assert_eq!(words("\"high\""), "gate `g` lets critical");
    assert_eq!(words("\"critical\", \"low\""), "gate `g` lets high, unknown and medium");
    assert_eq!(words("\"unknown\""), "gate `g` lets critical and high");
    row(&of("\"critical\", \"high\", \"low\""), &here);
    for block in ["\"critical\"", "\"critical\", \"high\"", "\"medium\", \"high\", \"critical\""] {
        row(&of(block), &[]);
    }
    // Another gate may block it, where it applies as widely.
    let with = |more: &str| format!("{}{}{more}", of("\"high\""), of("\"critical\"").replace("\"g\"", "\"h\""));
    row(&with(""), &[]);
    row(&with("mode = \"warn\"\n"), &here);
    row(&with("services = [\"shop/*\"]\n"), &here);
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

/// The messages with one code, where these people are enrolled.
fn told(policy: &PolicySet, people: Option<&BTreeSet<PersonId>>, code: &str) -> Vec<String> {
    lints(policy, people).into_iter().filter(|lint| lint.code == code).map(|lint| lint.message).collect()
}

/// Compares the one message with one code that a gate gives, by a part of it; an empty part stands for none.
#[track_caller]
fn check_told(policy: &PolicySet, people: Option<&BTreeSet<PersonId>>, code: &str, part: &str) {
    let found = told(policy, people, code);
    match part.is_empty() {
        true => assert!(found.is_empty(), "{found:?}"),
        false => assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:?}"),
    }
}

#[test]
fn what_passes_when_one_kind_of_evidence_is_kept_back_is_told() {
    let module = "package lockgate.own\n\ndeny contains \"critical\" if {\n\tsome fact in input.evidence\n\t\
                  fact.claim.kind == \"vulnerabilities\"\n\tsome finding in fact.claim.findings\n\t\
                  finding.severity == \"critical\"\n}\n";
    let row = |needs: &str, evidence: &str, part: &str| {
        let gate = gate(&format!("kind = \"rego\"\nmodule = \"rego/own.rego\"\nneeds = [{needs}]\n"));
        let test = format!(
            "[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"deny\"\n\
             gates = {{ g = \"fail\" }}\n{evidence}\n"
        );
        let set = set(&gate, &[("rego/own.rego", "", module), ("tests/a.toml", "", &test)]);
        assert!(run_tests(&set).iter().all(|result| result.passed), "{:#?}", run_tests(&set));
        check_told(&set, None, "LINT_DENY_IF_EVIDENCE", part);
    };
    let (scan, both) =
        ("vulnerabilities = { critical = 1 }", "vulnerabilities = { critical = 1 }\ntests = { passed = 1 }");
    row("", scan, "passes when there is none");
    row("", both, "passes when there is none");
    row("\"tests\"", both, "passes when `vulnerabilities` is kept back");
    row("\"tests\", \"vulnerabilities\"", both, "");
    row("\"vulnerabilities\"", both, "");
    // It objects for want of evidence, and goes on to.
    row("\"tests\"", scan, "");
}

#[test]
fn windows_that_leave_no_time_are_told() {
    let window = |side: &str, start: &str, end: &str, repeat: &str| {
        let repeat = if repeat.is_empty() { String::new() } else { format!("repeat = \"{repeat}\"\n") };
        format!("[[gate.{side}]]\nstart = \"2026-01-{start}\"\nend = \"2026-01-{end}\"\n{repeat}reason = \"r\"\n")
    };
    let row = |windows: &str, code: &str, part: &str| {
        check_told(&policy(&gate(&format!("kind = \"windows\"\n{windows}"))), None, code, part);
    };
    let denied = |end: &str, repeat: &str, part: &str| {
        row(&window("deny", "01T00:00", end, repeat), "LINT_GATE_UNSATISFIABLE", part);
    };
    denied("02T00:00", "FREQ=DAILY", "lets no promotion in from 2026-01-02T00:00:00Z on");
    denied("03T00:00", "FREQ=DAILY", "leave no gap");
    denied("08T00:00", "FREQ=WEEKLY", "leave no gap");
    denied("01T23:59", "FREQ=DAILY", "");
    denied("07T00:00", "FREQ=WEEKLY", "");
    denied("02T00:00", "FREQ=DAILY;COUNT=3", "");
    denied("02T00:00", "", "");
    let (night, day) =
        (window("deny", "01T00:00", "02T00:00", "FREQ=DAILY"), window("allow", "01T09:00", "01T17:00", "FREQ=DAILY"));
    row(&format!("{night}{day}"), "LINT_GATE_UNSATISFIABLE", "leave no gap");
    row(&day, "LINT_GATE_UNSATISFIABLE", "");
    // What is allowed once is over one day.
    let (first, last) = (window("allow", "05T09:00", "05T17:00", ""), window("allow", "07T09:00", "08T17:00", ""));
    row(&format!("{first}{last}"), "LINT_WINDOW_ENDS", "closes for good at 2026-01-08T17:00:00 UTC");
    row(&format!("{first}{last}"), "LINT_GATE_UNSATISFIABLE", "");
    row(&format!("{first}{day}"), "LINT_WINDOW_ENDS", "");
    row(&window("deny", "05T09:00", "05T17:00", ""), "LINT_WINDOW_ENDS", "");
}

#[test]
fn ways_that_lead_back_are_told() {
    let one = |environment: &str, more: &str| {
        format!(
            "[[gate]]\nname = \"{environment}\"\nkind = \"certified\"\nenvironments = [\"{environment}\"]\n{more}\n"
        )
    };
    let row = |gates: &str, part: &str| check_told(&policy(gates), None, "LINT_GATE_UNSATISFIABLE", part);
    row(&one("dev", "certified_in = [\"production\"]"), "was in `production`, and the way there leads through `dev`");
    row(&one("staging", "certified_in = [\"dev\", \"production\"]"), "leads through `staging`");
    row(&one("production", "certified_in = [\"dev\", \"staging\"]"), "");
    row(&one("production", ""), "");
    row(&format!("{}{}", one("staging", ""), one("production", "")), "");
}

#[test]
fn approvals_that_nobody_can_give_are_told() {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<BTreeSet<PersonId>>();
    let three = names(&["sam", "ines", "pat"]);
    let row = |fields: &str, people: Option<&BTreeSet<PersonId>>, part: &str| {
        let set = policy(&gate(&format!("kind = \"approvals\"\n{fields}\n")));
        check_told(&set, people, "LINT_GATE_UNSATISFIABLE", part);
    };
    row("per_group = { approvers = 12 }", Some(&three), "it takes 12 approvals, each by another person, and 3 are");
    row("per_group = { approvers = 2, security = 2 }", Some(&three), "it takes 4 approvals");
    row("count = 4", Some(&three), "it takes 4 approvals");
    row("count = 4\nat_least = 3", Some(&three), "");
    row("per_group = { approvers = 2, security = 1 }", Some(&three), "");
    row("per_group = { approvers = 12 }", None, "");
    row("required = [\"sam\", \"zoe\"]", Some(&three), "the approval of `zoe`");
    row("required = [\"sam\"]", Some(&three), "");
    // An approval counts after the window in which it was given, for `max_age` and no longer than `approval_ttl`, 72h.
    row("window = \"1h\"\nnot_before = \"2h\"", None, "");
    row("window = \"1h\"\nnot_before = \"2h\"\nmax_age = \"1h\"", None, "no approval within `window` counts so long");
    row("window = \"1h\"\nnot_before = \"2h\"\nmax_age = \"61m\"", None, "");
    row("window = \"1h\"\nnot_before = \"73h\"", None, "");
    row("window = \"1h\"\nnot_before = \"74h\"", None, "no approval within `window` counts so long");
    // A promotion is over after `promotion_ttl`, 30d.
    row("not_before = \"29d\"", None, "");
    row("not_before = \"30d\"", None, "a promotion is over after 30d");
}
