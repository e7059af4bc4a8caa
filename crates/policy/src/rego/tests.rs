//! Custom gates as whole: from the files of a policy set to the bytes of a decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lockgate_model::facts::{Claim, EvidenceFact, Facts, LicenceUse, Sbom};

use super::evaluate::{Prepared, Question, answer};
use super::input::value_of;
use super::verdict::Answer;
use super::{Modules, budget};
use crate::decision::GateOutcome::{self, Fail, Pass};
use crate::sample::{evidence, facts, files, gate, on_behalf, sbom, signed, tests};
use crate::{Decision, GateResult, PolicyError, PolicySet, Reason, decide};

const GATE: &str = "kind = \"rego\"\nmodule = \"rego/own.rego\"\n";

/// A policy set with one gate for production and these modules.
fn set(fields: &str, modules: &[(&str, &str)]) -> Result<PolicySet, Vec<PolicyError>> {
    let mut files = files(&gate(fields));
    files.extend(modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    PolicySet::from_files(files)
}

fn decided(fields: &str, module: &str, facts: &Facts) -> GateResult {
    let policy = set(fields, &[("rego/own.rego", module)]).unwrap_or_else(|errors| panic!("{errors:#?}\n{module}"));
    let Decision { gates, .. } = decide(&policy, facts);
    let [result] = <[GateResult; 1]>::try_from(gates).unwrap();
    result
}

/// Decides on the sample facts with one module.
fn check(module: &str, outcome: GateOutcome, reason: Reason, found: &str) -> GateResult {
    let result = decided(GATE, module, &facts());
    assert_eq!((result.outcome, result.reason.as_str()), (outcome, reason.as_str()), "{module}\n{result:#?}");
    assert!(result.found.contains(found), "{found}\n{result:#?}");
    let settled = outcome == Pass;
    assert_eq!((result.who.is_empty(), result.fix.is_empty()), (settled, settled), "{result:#?}");
    result
}

/// The only mistake of a policy set with one gate and this module.
fn refused(module: &str, line: usize, part: &str) -> PolicyError {
    let errors = set(GATE, &[("rego/own.rego", module)]).err().unwrap_or_else(|| panic!("loads: {module}"));
    let error = errors.first().unwrap().clone();
    assert_eq!((error.file.as_str(), error.line), ("rego/own.rego", Some(line)), "{errors:#?}\n{module}");
    assert!(error.message.contains(part), "{errors:#?}\n{module}");
    error
}

#[test]
fn passes_and_denies_with_its_words() {
    let passed = check(
        "package lockgate\ndeny contains \"never\" if input.promotion.environment == \"moon\"\n",
        Pass,
        Reason::Satisfied,
        "no denial by data.lockgate.deny",
    );
    assert_eq!(passed.needed, "no denial by data.lockgate.deny (rego/own.rego:2)");
    let denied = check(
        "package lockgate\ndeny contains msg if {\n  some who\n  input.people[who].kind == \"machine\"\n  \
         msg := sprintf(\"%s is a machine\", [who])\n}\n",
        Fail,
        Reason::RegoDenied,
        "1 denial: robot is a machine",
    );
    assert_eq!(denied.fix, "do what the module says, then: lockgate why P-3");
    let denied = check(
        "package lockgate\ndeny contains {\"msg\": \"too late\", \"code\": \"LATE\", \"fix\": \"be early\"}\n",
        Fail,
        Reason::RegoDenied,
        "1 denial: too late (LATE)",
    );
    assert_eq!(denied.fix, "be early");
    check("package a.b\nimport rego.v1\ndeny := []\n", Pass, Reason::Satisfied, "no denial by data.a.b.deny");
    check("package a\ndeny := [m | some m in [\"y\", \"x\", \"y\"]]\n", Fail, Reason::RegoDenied, "2 denials: x; y");
}

#[test]
fn what_says_nothing_denies() {
    check(
        "package a\ndeny := [] if input.time == 0\n",
        Fail,
        Reason::RegoUndefined,
        "rego/own.rego:2: data.a.deny has no value",
    );
    check("package a\ndeny := false\n", Fail, Reason::RegoError, "rego/own.rego:2: the rule gives false");
    check("package a\ndeny := {\"a\": 1}\n", Fail, Reason::RegoError, "the rule gives an object");
    check("package a\ndeny := [1]\n", Fail, Reason::RegoError, "a denial is a number");
    // A-84: an error is no value, and never a pass; it says where.
    let by_zero = "package a\nzero := input.time - input.time\ndeny contains \"x\" if {\n  1 / zero > 1\n}\n";
    check(by_zero, Fail, Reason::RegoError, "rego/own.rego:4:");
    let types = "package a\ndeny contains \"x\" if {\n  input.time + input.promotion.reason > 1\n}\n";
    check(types, Fail, Reason::RegoError, "rego/own.rego:3:");
    let negated = "package a\ndeny contains \"x\" if {\n  not lower(input.time) == \"y\"\n}\n";
    check(negated, Fail, Reason::RegoError, "rego/own.rego:3:");
    let round = "package a\none := two\ntwo := one\ndeny contains \"x\" if one == 1\n";
    if let Ok(policy) = set(GATE, &[("rego/own.rego", round)]) {
        assert_eq!(decide(&policy, &facts()).gates.first().unwrap().reason, Reason::RegoError.as_str());
    }
    // What panics in the interpreter is an answer like any other error.
    let panics =
        "package a\nempty := trim_prefix(\"a\", \"a\")\ndeny contains \"x\" if strings.count(\"aa\", empty) > 9\n";
    check(panics, Fail, Reason::RegoError, "the interpreter broke off");
}

/// Reading, evaluating and dropping go as deep as a chain of operators is long; no caller has a stack for that.
#[test]
fn a_long_chain_of_operators_is_dropped_on_any_stack() {
    let chain = format!("{}\n", "+ 1 ".repeat(200)).repeat(75);
    let policy = set(GATE, &[("rego/own.rego", &format!("package a\ndeny := [] if 0\n{chain} > 1\n"))]).unwrap();
    let short = std::thread::Builder::new().stack_size(128 * 1024);
    short.spawn(move || drop(policy)).unwrap().join().unwrap();
}

#[test]
fn a_spent_budget_denies() {
    // A-89: loops in loops, calls that double, texts that double.
    let loops = "package a\nmany := numbers.range(1, 1000)\ndeny contains \"x\" if {\n  some i in many\n  some j in many\n  \
                 some k in many\n  i + j + k < 0\n}\n";
    check(loops, Fail, Reason::RegoBudget, "took more than 500000 steps");
    let mut calls = "package a\nf0(x) := x + 1\n".to_owned();
    let mut texts = "package a\nt0 := \"0123456789\"\n".to_owned();
    for level in 1..=40 {
        let below = level - 1;
        calls.push_str(&format!("f{level}(x) := f{below}(f{below}(x))\n"));
        texts.push_str(&format!("t{level} := concat(\"\", [t{below}, t{below}])\n"));
    }
    calls.push_str("deny contains \"x\" if f40(0) == 0\n");
    texts.push_str("deny contains \"x\" if t40 == \"\"\n");
    check(&calls, Fail, Reason::RegoBudget, "took more than 500000 steps");
    check(&texts, Fail, Reason::RegoBudget, "rego/own.rego:");
    let range = "package a\ndeny contains \"x\" if count(numbers.range(1, 100000000)) == 0\n";
    check(range, Fail, Reason::RegoBudget, "a call takes or makes more than");
    let wide = "package a\ndeny contains \"x\" if sprintf(\"%0999999999d\", [1]) == \"\"\n";
    check(wide, Fail, Reason::RegoBudget, "a call takes or makes more than");
    // A budget that ran out stays so where the module would go on without the value.
    let negated = "package a\ndeny contains \"x\" if {\n  not count(numbers.range(1, 100000000)) == 0\n  1 == 2\n}\n";
    check(negated, Fail, Reason::RegoBudget, "a call takes or makes more than");
}

#[test]
fn facts_that_are_too_large_deny() {
    let mut large = facts();
    large.promotion.reason = "x".repeat(budget::INPUT_BYTES);
    let result = decided(GATE, "package a\ndeny := []\n", &large);
    assert_eq!((result.outcome, result.reason.as_str()), (Fail, Reason::RegoBudget.as_str()), "{}", result.found);
}

#[test]
fn nothing_of_the_world_is_there() {
    let refuse = |call: &str, part: &str| {
        refused(&format!("package a\n\ndeny contains \"x\" if {{\n  y := {call}\n  y == 1\n}}\n"), 4, part);
    };
    for call in [
        "time.now_ns()",
        "rand.intn(\"x\", 9)",
        "http.send({\"url\": \"https://a.example\", \"method\": \"get\"})",
        "opa.runtime()",
        "io.jwt.decode_verify(\"a\", {})",
        "uuid.rfc4122(\"x\")",
        "net.lookup_ip_addr(\"a.example\")",
        "trace(\"x\")",
        "crypto.x509.parse_certificates(\"x\")",
    ] {
        refuse(call, "is not there: a gate knows no clock");
    }
    refuse("print(\"x\")", "is not there");
    refuse("bits.lsh(1, 99999999)", "no function `bits.lsh`");
    refuse("strings.replace_n({}, \"x\")", "no function `strings.replace_n`");
    let error = refused("package a\ndeny contains \"x\" if counts([]) == 1\n", 2, "no function `counts`");
    assert_eq!(error.hint.as_deref(), Some("did you mean `count`?"));
    // Forbidden functions are not reached by another name either.
    refused(
        "package a\ndeny contains \"x\" if {\n  count([]) == 1 with count as time.now_ns\n}\n",
        3,
        "`with` is not there",
    );
    refused(
        "package a\ndeny contains \"x\" if {\n  input.time == 1 with input.time as 1\n}\n",
        3,
        "`with` is not there",
    );
    refused("package a\nx := input.time * input.time\ndeny := []\n", 2, "`*` needs a number");
}

#[test]
fn mistakes_are_told_when_the_policy_set_loads() {
    refused(
        "package a\ndeny contains \"x\" if {\n  input.promotion.enviroment == \"dev\"\n}\n",
        3,
        "no field `enviroment`",
    );
    refused("package a\nimport input.relaese as r\ndeny := []\n", 2, "no field `relaese`");
    refused("package a\nimport input.release as r\ndeny contains \"x\" if r.nmae == 1\n", 3, "no field `nmae`");
    refused("package a\ndeny contains \"x\" if data.b.c == 1\n", 2, "no module of the policy set has `data.b.c`");
    refused("package a\ndeny contains \"x\" if data == 1\n", 2, "no module of the policy set has `data`");
    refused("package a\n\ndeny contains \"x\" if {\n  nobody == 1\n}\n", 4, "");
    refused("package a\ndeny contains \"x\" {\n  true\n}\n", 2, "");
    let check = |fields: &str, module: &str, part: &str| {
        let errors = set(fields, &[("rego/own.rego", module)]).unwrap_err();
        let error = errors.first().unwrap();
        assert_eq!((error.file.as_str(), error.line), ("gates/test.toml", Some(1)), "{errors:#?}");
        assert!(error.message.contains(part), "{errors:#?}");
    };
    let good = "package a\ndeny := []\nf(x) := x\n";
    check("kind = \"rego\"\nmodule = \"rego/other.rego\"\n", good, "no module `rego/other.rego` in rego/");
    check(&format!("{GATE}rule = \"data.a.dney\"\n"), good, "no rule `data.a.dney` in rego/own.rego");
    check(&format!("{GATE}rule = \"data.a.f\"\n"), good, "is a function");
    check(GATE, "package a\ndeny if input.time == 0\n", "gives true or nothing");
    check(&format!("{GATE}parameters = {{ share = 0.5 }}\n"), good, "`parameters` hold");
    check(&format!("{GATE}parameters = {{ day = 2026-01-01 }}\n"), good, "`parameters` hold");
    check(&format!("{GATE}signed_by = [\"ci\"]\n"), good, "`needs`");
    check(&format!("{GATE}needs = [\"sbom\"]\nsigned_by = [\"ci\"]\n"), good, "is not trusted for sbom");
    let long = format!("package a\ndeny := []\n{}", "# x\n".repeat(20_000));
    let errors = set(GATE, &[("rego/own.rego", &long)]).unwrap_err();
    assert!(errors.first().unwrap().message.contains("of at most 65536 in one module"), "{errors:?}");
}

#[test]
fn modules_use_each_other_and_their_parameters() {
    let library = "package lib.text\nlong(x) if count(x) > 8\nwords contains w if some w in input.parameters.words\n";
    let own = "package own\nimport data.lib.text\nimport data.lib.text.words\n\
               deny contains w if {\n  some w in words\n  text.long(w)\n}\n\
               deny contains \"none\" if count(data.lib.text.words) == 0\n";
    let fields = format!("{GATE}[gate.parameters]\nwords = [\"short\", \"much longer\"]\n");
    let policy = set(&fields, &[("rego/own.rego", own), ("rego/text.rego", library)]).unwrap();
    let decision = decide(&policy, &facts());
    assert_eq!(decision.gates.first().unwrap().found, "1 denial: much longer");
    // Without parameters there are none to read, and two gates do not see each other's.
    let two = format!(
        "{}\n[[gate]]\nname = \"h\"\nenvironments = [\"production\"]\nkind = \"rego\"\nmodule = \"rego/own.rego\"\n",
        fields
    );
    let policy = set(&two, &[("rego/own.rego", own), ("rego/text.rego", library)]).unwrap();
    let found: Vec<String> = decide(&policy, &facts()).gates.into_iter().map(|gate| gate.found).collect();
    assert_eq!(found, ["1 denial: much longer", "1 denial: none"]);
}

#[test]
fn evidence_that_is_needed_is_proved_before() {
    let module = "package a\ndeny := []\n";
    let check = |fields: &str, known: Vec<EvidenceFact>, outcome: GateOutcome, reason: Reason| {
        let mut facts = facts();
        facts.evidence = known;
        let result = decided(&format!("{GATE}{fields}"), module, &facts);
        assert_eq!((result.outcome, result.reason.as_str()), (outcome, reason.as_str()), "{result:#?}");
    };
    let needs = "needs = [\"sbom\", \"tests\"]\n";
    let bill = |origin| evidence(1, origin, Claim::Sbom(sbom()));
    let run = || evidence(2, on_behalf("robot"), Claim::Tests(tests()));
    check("", vec![], Pass, Reason::Satisfied);
    check(needs, vec![], Fail, Reason::RegoEvidenceMissing);
    check(needs, vec![bill(on_behalf("robot"))], Fail, Reason::RegoEvidenceMissing);
    check(needs, vec![bill(on_behalf("robot")), run()], Pass, Reason::Satisfied);
    check(needs, vec![bill(signed(&[])), run()], Fail, Reason::SignerUntrusted);
    check(
        "needs = [\"sbom\"]\nsigned_by = [\"scanner\"]\n",
        vec![bill(on_behalf("robot"))],
        Fail,
        Reason::EvidenceUnsigned,
    );
    check("needs = [\"sbom\"]\nsigned_by = [\"scanner\"]\n", vec![bill(signed(&["scanner"]))], Pass, Reason::Satisfied);
}

const KINDS: &str = "package a\ndeny := [sprintf(\"%s %d\", [e.claim.kind, e.index]) | some e in input.evidence]\n";

#[test]
fn the_same_facts_in_another_order_give_the_same_bytes() {
    let policy = set(GATE, &[("rego/own.rego", KINDS)]).unwrap();
    let mut known = facts();
    known.evidence = vec![
        evidence(1, on_behalf("robot"), Claim::Tests(tests())),
        evidence(2, on_behalf("robot"), Claim::Sbom(sbom())),
        evidence(3, on_behalf("robot"), Claim::Tests(tests())),
    ];
    let bytes = decide(&policy, &known).to_bytes();
    assert!(String::from_utf8_lossy(&bytes).contains("3 denials: sbom 2; tests 1; tests 3"));
    for _ in 0..3 {
        known.evidence.rotate_left(1);
        assert_eq!(decide(&policy, &known).to_bytes(), bytes);
    }
    let reread = PolicySet::from_document(&policy.document()).unwrap();
    assert_eq!(decide(&reread, &known).to_bytes(), bytes);
}

#[test]
fn steps_are_counted_alike_every_time() {
    let files = BTreeMap::from([("rego/own.rego".to_owned(), KINDS.to_owned())]);
    let mut known = facts();
    known.evidence = (1..=50).map(|index| evidence(index, on_behalf("robot"), Claim::Tests(tests()))).collect();
    let input = value_of(&known).unwrap();
    let question = Question { rule: "data.a.deny".to_owned(), parameters: "{}".to_owned() };
    let prepared = Prepared::new(&files);
    let left = || {
        let mut engine = prepared.engine().unwrap();
        let answers: Vec<(Answer, u64)> = (0..3)
            .map(|_| (answer(&mut engine, &input, &question, &Arc::new(AtomicBool::new(false))), budget::left()))
            .collect();
        assert!(matches!(answers.first(), Some((Answer::Denials(denials), _)) if denials.len() == 50));
        answers
    };
    let here = left();
    assert!(here.iter().all(|one| *one == here[0]), "what ran before on an engine counts");
    assert!(here.iter().all(|(_, left)| *left < budget::STEPS));
    let there = std::thread::scope(|scope| scope.spawn(left).join().unwrap());
    assert_eq!(here, there);
}

#[test]
fn a_set_without_modules_has_none() {
    assert!(Modules::read(&files("")).unwrap().paths().next().is_none());
    let unknown = [("rego/Own.txt", "package a\n")];
    let errors = set("kind = \"release-notes\"\n", &unknown).unwrap_err();
    assert!(errors.first().unwrap().message.contains("`rego/<name>.rego`"), "{errors:?}");
}

/// The example of `docs/rego.md`, which has to do what the page says.
#[test]
fn the_example_of_the_page_works() {
    let page = include_str!("../../../../docs/rego.md");
    let block = |mark: &str| {
        let rest = page.split_once(mark).unwrap_or_else(|| panic!("no {mark}")).1;
        rest.split_once("```\n").unwrap().0.to_owned()
    };
    let module = block("```rego\n");
    let own_gate = block("```toml\n");
    let mut files = files(&own_gate);
    files.insert("rego/licences.rego".to_owned(), module);
    let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut known = facts();
    let licence = |expression: &str| {
        let used = LicenceUse { expression: expression.to_owned(), components: 2, names: vec![] };
        vec![evidence(1, signed(&["scanner"]), Claim::Sbom(Sbom { licences: vec![used], ..sbom() }))]
    };
    let outcome = |known: &Facts| {
        let decision = decide(&policy, known);
        let gate = decision.gates.first().unwrap().clone();
        (gate.outcome, gate.reason, gate.found)
    };
    assert_eq!(outcome(&known).1, Reason::RegoEvidenceMissing.as_str());
    known.evidence = licence("MIT");
    assert_eq!(outcome(&known).0, Pass, "{:?}", outcome(&known));
    known.evidence = licence("SSPL-1.0");
    let (found_outcome, reason, found) = outcome(&known);
    assert_eq!((found_outcome, reason.as_str()), (Fail, Reason::RegoDenied.as_str()));
    assert_eq!(found, "1 denial: SSPL-1.0 is on no list (LICENCE)");
}

#[test]
fn the_page_lists_every_function() {
    let page = include_str!("../../../../docs/rego.md");
    for (name, _) in super::allowed::ALLOWED {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    for number in ["500,000 steps", "10,000 numbers", "64 KiB", "500 rules"] {
        assert!(page.contains(number), "{number}");
    }
}
