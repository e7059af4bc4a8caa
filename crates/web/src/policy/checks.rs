//! What a policy set's own tests say, which gates they see, and what it probably does not mean.

use maud::{Markup, html};

use super::source::place;
use crate::wording::{command, visible};

/// How many rows of each list are shown; the command prints all.
const ROWS: usize = 200;

/// One policy test.
#[derive(Debug, Clone)]
pub struct TestLine {
    /// Its name.
    pub name: String,
    /// The file that it is written in.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Whether everything came out as expected.
    pub passed: bool,
    /// What was expected.
    pub expected: String,
    /// What came out.
    pub found: String,
}

/// What tests see of one gate.
#[derive(Debug, Clone)]
pub struct CoverageLine {
    /// The gate.
    pub gate: String,
    /// The file that it is written in.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// How many tests would fail if it did not pass.
    pub passes: usize,
    /// How many tests would fail if it did not object.
    pub objects: usize,
}

/// One thing that a policy set probably does not mean.
#[derive(Debug, Clone)]
pub struct LintLine {
    /// Its stable code.
    pub code: String,
    /// Whether it is probably a mistake, and not only worth knowing.
    pub warning: bool,
    /// The file.
    pub file: String,
    /// The line, where one can be named.
    pub line: Option<u64>,
    /// What it says, and why that is doubtful.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that was checked of a policy set.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Its tests, those that fail first.
    pub tests: Vec<TestLine>,
    /// Its gates.
    pub coverage: Vec<CoverageLine>,
    /// How many of the two sides of every gate are seen, in whole percent.
    pub percent: u64,
    /// What is doubtful.
    pub lints: Vec<LintLine>,
}

/// The part of the page with tests, coverage and lints.
pub fn section(checks: &Checks) -> Markup {
    html! { (tests(&checks.tests)) (coverage(checks)) (lints(&checks.lints)) }
}

fn passed(passed: bool) -> Markup {
    html! {
        @if passed {
            span.state.good { span.icon aria-hidden="true" { "✓" } " passed" }
        } @else {
            span.state.bad { span.icon aria-hidden="true" { "✗" } " failed" }
        }
    }
}

fn tests(tests: &[TestLine]) -> Markup {
    let good = tests.iter().filter(|test| test.passed).count();
    html! {
        section aria-labelledby="tests-title" {
            h2 id="tests-title" { "Tests" }
            @if tests.is_empty() {
                div.empty {
                    p { "The active policy set has no tests of its own: write `tests/NAME.toml`, then:" }
                    pre { code { "lockgate policy test DIR" } }
                }
            } @else {
                p { (passed(good == tests.len())) " " (good) " of " (tests.len()) }
                details open[good < tests.len()] {
                    summary { "Every test" }
                    div.scroll { table {
                        thead { tr {
                            th scope="col" { "Test" } th scope="col" { "Result" } th scope="col" { "Expected" }
                            th scope="col" { "Came out" }
                        } }
                        tbody {
                            @for (at, test) in tests.iter().take(ROWS).enumerate() {
                                tr id={ "test-" (at) } data-row {
                                    th scope="row" { (visible(&test.name)) " " (place(&test.file, test.line)) }
                                    td { (passed(test.passed)) }
                                    td { (visible(&test.expected)) }
                                    td { (visible(&test.found)) }
                                }
                            }
                        }
                    } }
                    @if tests.len() > ROWS { p.quiet { "The first " (ROWS) " are shown; the command prints all." } }
                }
                (command("cli-test", "lockgate policy test DIR"))
            }
        }
    }
}

fn coverage(checks: &Checks) -> Markup {
    let side = |count: usize| {
        html! {
            @if count > 0 {
                span.state.good { span.icon aria-hidden="true" { "✓" } " " (count) }
            } @else {
                span.state.warn { span.icon aria-hidden="true" { "!" } " none" }
            }
        }
    };
    html! {
        section aria-labelledby="coverage-title" {
            h2 id="coverage-title" { "What the tests see" }
            p { (checks.percent) " % of the two sides of every gate: that it passes, and that it objects." }
            details {
                summary { "Every gate" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Gate" } th scope="col" { "Tests that need it to pass" }
                        th scope="col" { "Tests that need it to object" }
                    } }
                    tbody {
                        @for line in checks.coverage.iter().take(ROWS) {
                            tr id={ "coverage-of-" (visible(&line.gate)) } data-row {
                                th scope="row" { (visible(&line.gate)) " " (place(&line.file, line.line)) }
                                td { (side(line.passes)) }
                                td { (side(line.objects)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn lints(lints: &[LintLine]) -> Markup {
    html! {
        section aria-labelledby="lints-title" {
            h2 id="lints-title" { "Lints" }
            @if lints.is_empty() {
                p { span.state.good { span.icon aria-hidden="true" { "✓" } " nothing is doubtful" } }
            } @else {
                ul.inbox {
                    @for (at, lint) in lints.iter().take(ROWS).enumerate() {
                        li id={ "lint-" (at) } data-row {
                            p {
                                @if lint.warning {
                                    span.state.warn { span.icon aria-hidden="true" { "!" } " warning" }
                                } @else {
                                    span.state.plain { span.icon aria-hidden="true" { "·" } " note" }
                                }
                                " " code { (visible(&lint.code)) } " "
                                @match lint.line {
                                    Some(line) => { (place(&lint.file, line)) },
                                    None => { code { (visible(&lint.file)) } },
                                }
                            }
                            p { (visible(&lint.message)) }
                            @if let Some(hint) = &lint.hint { p.quiet { (visible(hint)) } }
                        }
                    }
                }
            }
            (command("cli-check", "lockgate policy check DIR --enrolled"))
        }
    }
}
