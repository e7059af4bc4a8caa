//! The `analysis` gate: static or dynamic analysis ran, and found nothing that matters, or nothing that is new.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::{AnalysisLevel, AnalysisResult, Artifact, Claim, EvidenceFact, StaticAnalysis};
use lockgate_model::{SignerName, Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact, together_by};
use super::waivers::waived;
use super::{Assessment, Context, Problem, is_fresh, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{age, counted, few, shown};

/// Demands a report about every artifact; of each set of tools the newest one counts, with all that were handed in
/// together with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisGate {
    /// Which tools have to have looked, by name; any one where it is left out. Only their reports count.
    #[serde(default)]
    pub tools: Vec<String>,
    /// How many errors are let through; none where it is left out.
    #[serde(default)]
    pub max_errors: u64,
    /// How many warnings are let through; any number where it is left out.
    #[serde(default)]
    pub max_warnings: Option<u64>,
    /// How many notes are let through; any number where it is left out.
    #[serde(default)]
    pub max_notes: Option<u64>,
    /// Whether only results count that the release that runs does not have as often, at that level or a higher one.
    #[serde(default)]
    pub new_only: bool,
    /// How old a report may be, by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

type Report<'a> = (&'a EvidenceFact, &'a StaticAnalysis);

/// How often what runs has a result, by tool, fingerprint and level.
///
/// Several results may have one fingerprint, such as those of one rule and message in one file. Each of what runs makes
/// one result known that has its level or a lower one.
#[derive(Debug, Default)]
struct Known<'a>(BTreeMap<(&'a str, &'a str, AnalysisLevel), u64>);

/// How many results there are of each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    errors: u64,
    warnings: u64,
    notes: u64,
}

impl AnalysisGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::StaticAnalysis, policy);
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no report would ever be young enough"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::StaticAnalysis,
            signed_by: &self.signed_by,
            noun: "analysis report",
            missing: Reason::AnalysisMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact, &waived(ctx, artifact)));
        Assessment::of_coverage(
            result,
            self.needed(),
            || ctx.groups_that_may(Permission::Attest),
            |reason| match reason {
                Reason::AnalysisFindings => format!(
                    "repair what it found, then: {}\nor ask {} for a waiver by fingerprint",
                    ctx.push_next(""),
                    ctx.groups_that_may(Permission::Waive)
                ),
                Reason::BaselineMissing => ctx.attest_running("--sarif report.sarif"),
                Reason::AnalysisStale => self.demand().anew(ctx, "run the tool again", "--sarif report.sarif"),
                _ => self.demand().fix(ctx, reason, "--sarif report.sarif"),
            },
        )
    }

    fn needed(&self) -> String {
        let tools = if self.tools.is_empty() { String::new() } else { format!(" by {}", few(&self.tools, " and ")) };
        let new = if self.new_only { "new " } else { "" };
        let mut limits = vec![format!("at most {} {new}errors", self.max_errors)];
        limits.extend(self.max_warnings.map(|most| format!("{most} {new}warnings")));
        limits.extend(self.max_notes.map(|most| format!("{most} {new}notes")));
        let young = self.max_age.map(|age| format!(", not older than {age}")).unwrap_or_default();
        format!("analysis{tools}, {}{young}{}", limits.join(", "), self.demand().signed_by_text())
    }

    fn counts(&self, analysis: &StaticAnalysis) -> bool {
        match self.tools.is_empty() {
            true => !analysis.tools.is_empty(),
            false => analysis.tools.iter().any(|tool| self.tools.contains(tool)),
        }
    }

    /// Of each set of tools the newest reports.
    fn newest<'a>(&self, mut reports: Vec<Report<'a>>) -> Vec<Report<'a>> {
        reports.retain(|(_, analysis)| self.counts(analysis));
        together_by(reports, |analysis| analysis.tools.as_slice())
    }

    /// What is missing because a tool that is asked about did not run to its end in its newest report, or, where any
    /// tool will do, because the newest report of all is of no run. Where nothing is, and any will do, a report has
    /// `tools`: the newest one names a tool, and that one ended.
    fn unfinished(&self, reports: &[Report<'_>]) -> Option<Shortfall> {
        let short = |text, evidence| Some(Shortfall { reason: Reason::AnalysisMissing, text, evidence });
        if self.tools.is_empty()
            && let Some(fact) = without_runs(reports)
        {
            return short("a report in which no tool ran to its end".to_owned(), vec![fact.evidence]);
        }
        let mut newest: BTreeMap<&str, UnixMillis> = BTreeMap::new();
        for (fact, report) in reports {
            for tool in report.tools.iter().chain(&report.unfinished) {
                let time = newest.entry(tool.as_str()).or_insert(fact.recorded_at);
                *time = fact.recorded_at.max(*time);
            }
        }
        let asked = |tool: &String| self.tools.is_empty() || self.tools.contains(tool);
        let mut tools: BTreeSet<&str> = BTreeSet::new();
        let mut evidence = Vec::new();
        for (fact, report) in reports {
            let last = |tool: &str| newest.get(tool) == Some(&fact.recorded_at);
            let mut here = report.unfinished.iter().filter(|tool| asked(tool) && last(tool)).peekable();
            if here.peek().is_some() {
                evidence.push(fact.evidence);
            }
            tools.extend(here.map(String::as_str));
        }
        let whose = match tools.len() {
            0 => return None,
            1 => "its",
            _ => "their",
        };
        let named = few(tools.iter().map(|tool| shown(tool)), ", ");
        short(format!("{named} did not run to {whose} end"), evidence)
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact, waived: &BTreeSet<&str>) -> Result<Covered, Shortfall> {
        let all = self.demand().counted(ctx, artifact, analysis)?;
        if let Some(shortfall) = self.unfinished(&all) {
            return Err(shortfall);
        }
        let reports = self.newest(all);
        let evidence: Vec<_> = reports.iter().map(|(fact, _)| fact.evidence).collect();
        let silent = |tool: &&String| !reports.iter().any(|(_, analysis)| analysis.tools.contains(tool));
        let missing: Vec<&String> = self.tools.iter().filter(silent).collect();
        if !missing.is_empty() {
            let text = format!("no analysis report by {}", few(missing.iter().map(|tool| shown(tool)), ", "));
            return Err(Shortfall { reason: Reason::AnalysisMissing, text, evidence });
        }
        if let Some((fact, _)) = reports.iter().find(|(fact, _)| !is_fresh(None, fact, self.max_age, ctx.facts.time)) {
            let old = age(ctx.facts.time.since(fact.recorded_at));
            let text = format!("a report of {}, {old} old", fact.recorded_at);
            return Err(Shortfall { reason: Reason::AnalysisStale, text, evidence });
        }
        let mut results: Vec<&AnalysisResult> = reports.iter().flat_map(|(_, report)| &report.results).collect();
        if self.new_only {
            results = self.known(ctx, artifact)?.without_known(results);
        }
        let mut counts = Counts::default();
        reports.iter().for_each(|(_, report)| counts.add_unlisted(report));
        let mut excepted = 0u64;
        let mut named = Vec::new();
        for result in results {
            if waived.contains(result.fingerprint.as_str()) {
                excepted = excepted.saturating_add(1);
                continue;
            }
            counts.add(result.level, 1);
            named.push(result);
        }
        let text = counts.worded(if self.new_only { "new " } else { "" });
        if self.is_over(counts) {
            let listed = few(
                named.iter().map(|result| {
                    let rule = result.rule.as_deref().unwrap_or("a rule without a name");
                    let file = result.file.as_deref().map(|file| format!(" in {}", shown(file))).unwrap_or_default();
                    format!("{}{file} [{}]", shown(rule), shown(&result.fingerprint))
                }),
                "; ",
            );
            let text = if listed.is_empty() { text } else { format!("{text}: {listed}") };
            return Err(Shortfall { reason: Reason::AnalysisFindings, text, evidence });
        }
        match excepted {
            0 => Ok(Covered { text, evidence, waived: false }),
            _ => {
                Ok(Covered { text: format!("{text}, {} waived", counted(excepted, "result")), evidence, waived: true })
            }
        }
    }

    /// The results of what runs; none where nothing runs.
    fn known<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Result<Known<'a>, Shortfall> {
        let baseline = self.newest(self.demand().baseline(ctx, artifact, analysis)?.unwrap_or_default());
        let mut known = Known::default();
        for result in baseline.into_iter().flat_map(|(_, report)| &report.results) {
            let place = (result.tool.as_str(), result.fingerprint.as_str(), result.level);
            let count = known.0.entry(place).or_default();
            *count = count.saturating_add(1);
        }
        Ok(known)
    }

    fn is_over(&self, counts: Counts) -> bool {
        counts.errors > self.max_errors
            || self.max_warnings.is_some_and(|most| counts.warnings > most)
            || self.max_notes.is_some_and(|most| counts.notes > most)
    }
}

fn analysis(claim: &Claim) -> Option<&StaticAnalysis> {
    match claim {
        Claim::StaticAnalysis(analysis) => Some(analysis),
        _ => None,
    }
}

impl<'a> Known<'a> {
    /// The results that are new, worst first: a worse one is looked for first, because fewer can make it known.
    fn without_known(mut self, mut results: Vec<&'a AnalysisResult>) -> Vec<&'a AnalysisResult> {
        results.sort_by_key(|result| Reverse(result.level));
        results.retain(|&result| !self.take(result));
        results
    }

    /// Whether one is left that makes this result known; it is used up.
    fn take(&mut self, result: &'a AnalysisResult) -> bool {
        let (tool, fingerprint) = (result.tool.as_str(), result.fingerprint.as_str());
        let as_bad = (tool, fingerprint, result.level)..=(tool, fingerprint, AnalysisLevel::Error);
        let Some((_, left)) = self.0.range_mut(as_bad).find(|(_, left)| **left > 0) else { return false };
        *left = left.saturating_sub(1);
        true
    }
}

impl Counts {
    fn add(&mut self, level: AnalysisLevel, more: u64) {
        let count = match level {
            AnalysisLevel::Error => &mut self.errors,
            AnalysisLevel::Warning => &mut self.warnings,
            AnalysisLevel::Note => &mut self.notes,
        };
        *count = count.saturating_add(more);
    }

    /// Results that are counted, and that the report's list leaves out: nobody can say that they are not new.
    fn add_unlisted(&mut self, report: &StaticAnalysis) {
        let listed = |level| {
            let all = report.results.iter().filter(|result| result.level == level);
            u64::try_from(all.count()).unwrap_or(u64::MAX)
        };
        let totals = [
            (AnalysisLevel::Error, report.errors),
            (AnalysisLevel::Warning, report.warnings),
            (AnalysisLevel::Note, report.notes),
        ];
        for (level, total) in totals {
            self.add(level, total.saturating_sub(listed(level)));
        }
    }

    fn worded(self, new: &str) -> String {
        let errors = counted(self.errors, &format!("{new}error"));
        let warnings = counted(self.warnings, &format!("{new}warning"));
        format!("{errors}, {warnings}, {}", counted(self.notes, &format!("{new}note")))
    }
}

/// The newest report, where it names no tool at all.
fn without_runs<'a>(reports: &[Report<'a>]) -> Option<&'a EvidenceFact> {
    let newest = reports.iter().map(|(fact, _)| fact.recorded_at).max();
    let is_empty = |report: &StaticAnalysis| report.tools.is_empty() && report.unfinished.is_empty();
    reports.iter().find(|(fact, report)| is_empty(report) && Some(fact.recorded_at) == newest).map(|(fact, _)| *fact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass, Waived};
    use crate::sample::{TIME, check, evidence, on_behalf, running, waiver};
    use lockgate_model::facts::{AnalysisResult, Facts};

    fn report(tool: &str, results: &[(AnalysisLevel, &str)]) -> StaticAnalysis {
        let count = |level| results.iter().filter(|(of, _)| *of == level).count() as u64;
        let result = |(level, fingerprint): &(AnalysisLevel, &str)| AnalysisResult {
            tool: tool.to_owned(),
            rule: Some("sql-injection".to_owned()),
            level: *level,
            fingerprint: (*fingerprint).to_owned(),
            file: Some("src/db.rs".to_owned()),
            pointer: String::new(),
        };
        StaticAnalysis {
            tools: vec![tool.to_owned()],
            errors: count(AnalysisLevel::Error),
            warnings: count(AnalysisLevel::Warning),
            notes: count(AnalysisLevel::Note),
            results: results.iter().map(result).collect(),
            ..StaticAnalysis::default()
        }
    }

    fn fact(index: u64, report: StaticAnalysis) -> EvidenceFact {
        evidence(index, on_behalf("robot"), Claim::StaticAnalysis(report))
    }

    #[test]
    fn counts_by_level_and_tool() {
        use AnalysisLevel::{Error, Note, Warning};
        let row = |fields: &str, facts: Vec<EvidenceFact>, outcome, reason| {
            check(&format!("kind = \"analysis\"\n{fields}\n"), |_, known| known.evidence = facts, outcome, reason)
        };
        let of = |results: &[(AnalysisLevel, &str)]| vec![fact(1, report("semgrep", results))];
        row("", of(&[]), Pass, Reason::Satisfied);
        let result = row("", of(&[(Error, "f1")]), Fail, Reason::AnalysisFindings);
        assert_eq!(result.found, "app.tar.gz: 1 error, 0 warnings, 0 notes: sql-injection in src/db.rs [f1]");
        row("max_errors = 1", of(&[(Error, "f1")]), Pass, Reason::Satisfied);
        row("", of(&[(Warning, "f1"), (Note, "f2")]), Pass, Reason::Satisfied);
        row("max_warnings = 0", of(&[(Warning, "f1")]), Fail, Reason::AnalysisFindings);
        row("max_notes = 0", of(&[(Note, "f1")]), Fail, Reason::AnalysisFindings);
        row("tools = [\"zap\"]", of(&[]), Fail, Reason::AnalysisMissing);
        row("tools = [\"semgrep\"]", of(&[]), Pass, Reason::Satisfied);
        row("", vec![], Fail, Reason::AnalysisMissing);
        row("max_age = \"1h\"", of(&[]), Pass, Reason::Satisfied);
        // The newest report of each tool counts, and errors of any tool.
        let earlier = EvidenceFact {
            recorded_at: UnixMillis(TIME.0 - 108_097_000),
            ..fact(1, report("semgrep", &[(Error, "f1")]))
        };
        row("", vec![earlier, fact(2, report("semgrep", &[]))], Pass, Reason::Satisfied);
        // None of several that were handed in together hides another one.
        let together = || vec![fact(1, report("semgrep", &[(Error, "f1")])), fact(2, report("semgrep", &[]))];
        row("", together(), Fail, Reason::AnalysisFindings);
        row("", together().into_iter().rev().collect(), Fail, Reason::AnalysisFindings);
        let old = EvidenceFact { recorded_at: UnixMillis(TIME.0 - 108_097_000), ..fact(1, report("semgrep", &[])) };
        let result = row("max_age = \"1h\"", vec![old], Fail, Reason::AnalysisStale);
        assert!(result.found.ends_with(", 30 hours old"), "{}", result.found);
        let two = vec![fact(1, report("zap", &[(Error, "f1")])), fact(2, report("semgrep", &[]))];
        row("", two.clone(), Fail, Reason::AnalysisFindings);
        row("tools = [\"semgrep\"]", two, Pass, Reason::Satisfied);
        // Results that the list leaves out are counted all the same.
        let unlisted = StaticAnalysis { results: vec![], ..report("semgrep", &[(Error, "f1")]) };
        row("", vec![fact(1, unlisted)], Fail, Reason::AnalysisFindings);
    }

    #[test]
    fn a_report_in_which_no_tool_ran_to_its_end_is_none() {
        let row = |reports: &[&[&str]], outcome, reason| {
            let of = |(index, tools): (u64, &&[&str])| {
                let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
                let report = StaticAnalysis { tools, ..report("semgrep", &[]) };
                EvidenceFact { recorded_at: UnixMillis(index), ..fact(index, report) }
            };
            let facts: Vec<EvidenceFact> = (1u64..).zip(reports).map(of).collect();
            check("kind = \"analysis\"\n", |_, known| known.evidence = facts, outcome, reason)
        };
        let result = row(&[&[]], Fail, Reason::AnalysisMissing);
        assert_eq!(result.found, "app.tar.gz: a report in which no tool ran to its end");
        row(&[&["semgrep"], &[]], Fail, Reason::AnalysisMissing);
        row(&[&[], &["semgrep"]], Pass, Reason::Satisfied);
    }

    #[test]
    fn the_newest_report_of_a_tool_says_whether_it_ran_to_its_end() {
        // Of each report when it was recorded, the tools, and those that did not run to their end.
        type Row<'a> = (u64, &'a [&'a str], &'a [&'a str]);
        let row = |fields: &str, reports: &[Row<'_>], missing: Option<&str>| {
            let owned = |tools: &[&str]| tools.iter().map(|tool| (*tool).to_owned()).collect::<Vec<String>>();
            let of = |(index, (time, tools, unfinished)): (u64, &Row<'_>)| {
                let (tools, unfinished) = (owned(tools), owned(unfinished));
                let report = StaticAnalysis { tools, unfinished, ..report("semgrep", &[]) };
                EvidenceFact { recorded_at: UnixMillis(*time), ..fact(index, report) }
            };
            let facts: Vec<EvidenceFact> = (1u64..).zip(reports).map(of).collect();
            let (outcome, reason) = match missing {
                None => (Pass, Reason::Satisfied),
                Some(_) => (Fail, Reason::AnalysisMissing),
            };
            let fields = format!("kind = \"analysis\"\n{fields}\n");
            let result = check(&fields, |_, known| known.evidence = facts, outcome, reason);
            if let Some(text) = missing {
                assert_eq!(result.found, format!("app.tar.gz: {text}"), "{reports:?}");
            }
        };
        let semgrep = "tools = [\"semgrep\"]";
        let (semgrep_failed, zap_failed) = (Some("semgrep did not run to its end"), Some("zap did not run to its end"));
        // Another tool's failure is nothing to a gate that names tools, and is to one that does not.
        let other: &[Row<'_>] = &[(1, &["semgrep"], &[]), (2, &[], &["zap"])];
        row(semgrep, other, None);
        row("", other, zap_failed);
        // Another tool's good report hides no failure.
        let hidden: &[Row<'_>] = &[(1, &["semgrep"], &[]), (2, &[], &["semgrep"]), (3, &["zap"], &[])];
        row(semgrep, hidden, semgrep_failed);
        row("", hidden, semgrep_failed);
        row("tools = [\"zap\"]", hidden, None);
        // A log of two runs, one of which failed.
        let log: &[Row<'_>] = &[(1, &["semgrep"], &["zap"])];
        row(semgrep, log, None);
        row("", log, zap_failed);
        row("tools = [\"semgrep\", \"zap\"]", log, zap_failed);
        // A tool that ran again mends it, in whatever order the reports are listed.
        row("", &[(1, &["semgrep"], &["zap"]), (2, &["zap"], &[])], None);
        row(semgrep, &[(2, &["semgrep"], &[]), (1, &[], &["semgrep"])], None);
        row(semgrep, &[(2, &[], &["semgrep"]), (1, &["semgrep"], &[])], semgrep_failed);
        // Of reports that were handed in together, none hides a failure.
        row(semgrep, &[(1, &["semgrep"], &[]), (1, &[], &["semgrep"])], semgrep_failed);
        row(semgrep, &[(1, &[], &["semgrep"]), (1, &["semgrep"], &[])], semgrep_failed);
        row("", &[(1, &[], &["zap"]), (2, &[], &["semgrep"])], Some("semgrep, zap did not run to their end"));
        // No run at all.
        let none = Some("a report in which no tool ran to its end");
        row("", &[(1, &["semgrep"], &[]), (2, &[], &[])], none);
        row("", &[(1, &[], &["semgrep"]), (2, &[], &[])], none);
        row("", &[(1, &[], &[]), (2, &[], &["semgrep"])], semgrep_failed);
        row(semgrep, &[(1, &["semgrep"], &[]), (2, &[], &[])], None);
        row(semgrep, &[(1, &[], &[])], Some("no analysis report by semgrep"));
    }

    #[test]
    fn only_new_results_may_count() {
        use AnalysisLevel::Error;
        let row = |ours: &[(AnalysisLevel, &str)], theirs: Option<Vec<EvidenceFact>>, outcome, reason| {
            let ours = vec![fact(2, report("semgrep", ours))];
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = ours;
                facts.running = theirs.as_ref().map(|_| running("1.4.1"));
                facts.running_evidence = theirs.unwrap_or_default();
            };
            check("kind = \"analysis\"\nnew_only = true\n", change, outcome, reason)
        };
        let old = || Some(vec![fact(1, report("semgrep", &[(Error, "f1")]))]);
        row(&[(Error, "f1")], old(), Pass, Reason::Satisfied);
        let result = row(&[(Error, "f1"), (Error, "f2")], old(), Fail, Reason::AnalysisFindings);
        assert!(result.found.contains("1 new error") && result.found.contains("[f2]"), "{}", result.found);
        // Where nothing runs, everything is new; where nobody looked at what runs, nothing can be compared.
        row(&[(Error, "f1")], None, Fail, Reason::AnalysisFindings);
        row(&[], None, Pass, Reason::Satisfied);
        let result = row(&[], Some(vec![]), Fail, Reason::BaselineMissing);
        assert!(result.fix.starts_with("lockgate attest shop/web@1.4.1 "), "{}", result.fix);
        // Another tool's fingerprint is another result.
        let other = Some(vec![fact(1, report("zap", &[(Error, "f1")]))]);
        row(&[(Error, "f1")], other, Fail, Reason::AnalysisFindings);
    }

    #[test]
    fn a_result_of_what_runs_makes_one_known_that_is_no_worse() {
        use AnalysisLevel::{Error, Note, Warning};
        let row = |before: &[AnalysisLevel], now: &[AnalysisLevel], new: [u64; 3]| {
            let of = |index: u64, levels: &[AnalysisLevel]| {
                let results: Vec<_> = levels.iter().map(|level| (*level, "f1")).collect();
                fact(index, report("gosec", &results))
            };
            let change = |_: &PolicySet, facts: &mut Facts| {
                facts.evidence = vec![of(2, now)];
                facts.running = Some(running("1.4.1"));
                facts.running_evidence = vec![of(1, before)];
            };
            let (outcome, reason) = match new {
                [0, 0, 0] => (Pass, Reason::Satisfied),
                _ => (Fail, Reason::AnalysisFindings),
            };
            let fields = "kind = \"analysis\"\nnew_only = true\nmax_warnings = 0\nmax_notes = 0\n";
            let result = check(fields, change, outcome, reason);
            let [errors, warnings, notes] = new;
            let expected = Counts { errors, warnings, notes }.worded("new ");
            assert!(result.found.starts_with(&format!("app.tar.gz: {expected}")), "{}", result.found);
        };
        row(&[Error, Error], &[Error, Error], [0, 0, 0]);
        row(&[Error, Error], &[Error], [0, 0, 0]);
        row(&[Error], &[Error, Error, Error], [2, 0, 0]);
        row(&[Note], &[Error], [1, 0, 0]);
        row(&[Note], &[Error; 7], [7, 0, 0]);
        row(&[Note], &[Error, Note], [1, 0, 0]);
        row(&[Error], &[Warning], [0, 0, 0]);
        row(&[Error, Warning], &[Warning, Note], [0, 0, 0]);
        row(&[Error, Warning], &[Warning, Warning, Warning], [0, 1, 0]);
        // The worst come first, in whatever order they are listed.
        row(&[Error], &[Note, Error], [0, 0, 1]);
        row(&[Warning, Error], &[Note, Error, Warning], [0, 0, 1]);
    }

    #[test]
    fn a_waiver_is_for_one_fingerprint() {
        let row = |fingerprint: &str, outcome, reason| {
            let waiver = waiver("g", fingerprint);
            let change = |_: &PolicySet, facts: &mut Facts| {
                // Every result of that fingerprint.
                facts.evidence = vec![fact(1, report("semgrep", &[(AnalysisLevel::Error, "f1"); 2]))];
                facts.waivers = vec![waiver];
            };
            check("kind = \"analysis\"\n", change, outcome, reason)
        };
        let result = row("f1", Waived, Reason::Waived);
        assert!(result.found.ends_with(", 2 results waived"), "{}", result.found);
        row("f2", Fail, Reason::AnalysisFindings);
    }
}
