//! The `rego` gate: one rule of a module of the policy set finds nothing to deny.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lockgate_model::facts::Claim;
use lockgate_model::{SignerName, Span};
use serde::Deserialize;
use serde_json::Value;

use super::coverage::{Covered, Demand, every_artifact};
use super::{Assessment, Context, Problem, signer_problems};
use crate::decision::GateOutcome;
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::rego::{Answer, Answers, Denial, FOLDER, Modules, Question, Shape};
use crate::suggestion::did_you_mean;
use crate::trust::EvidenceKind;
use crate::wording::{all_of, counted, few, shown};

/// The rule that is asked where the gate names none.
const RULE: &str = "deny";

/// Demands that a rule gives an empty set or array: whatever it holds is denied, and no value, another value, an error
/// or a spent budget is too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegoGate {
    /// The module, such as `rego/branches.rego`.
    pub module: String,
    /// The rule by its full path, such as `data.lockgate.deny`; `deny` of the module's package where it is left out.
    #[serde(default)]
    pub rule: Option<String>,
    /// What the module sees as `input.parameters`, without fractions.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// Kinds of evidence that have to count for every artifact before the answer does.
    #[serde(default)]
    pub needs: Vec<EvidenceKind>,
    /// Whose signature that evidence needs; empty accepts unsigned evidence too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
    /// Whether the module reads `input.running_evidence`.
    #[serde(default)]
    pub with_running_evidence: bool,
    /// For how long back the module reads `input.neighbours`; not at all where it is left out.
    #[serde(default)]
    pub with_neighbours: Option<Span>,
}

impl RegoGate {
    /// The rule that it asks, by its full path.
    fn rule(&self, modules: &Modules) -> String {
        let own = || format!("{}.{RULE}", modules.package(&self.module).unwrap_or_default());
        self.rule.clone().unwrap_or_else(own)
    }

    /// What it asks.
    pub(crate) fn question(&self, modules: &Modules) -> Question {
        // Without a form in JSON there is nothing to read, and the answer is an error.
        let parameters = serde_json::to_string(&self.parameters).unwrap_or_default();
        Question { rule: self.rule(modules), parameters }
    }

    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let modules = policy.modules();
        let mut problems: Vec<Problem> =
            self.needs.iter().flat_map(|kind| signer_problems(&self.signed_by, *kind, policy)).collect();
        if self.needs.is_empty() && !self.signed_by.is_empty() {
            problems.push(Problem::new("`signed_by` is about the evidence that `needs` names, and it names none"));
        }
        if !self.parameters.values().all(is_plain) {
            problems
                .push(Problem::new("`parameters` hold texts, whole numbers, truths, lists and tables of these alone"));
        }
        if modules.package(&self.module).is_none() {
            problems.push(Problem::unknown("module", &self.module, FOLDER, modules.paths()));
            return problems;
        }
        let rule = self.rule(modules);
        match modules.rule(&self.module, &rule).map(|declared| declared.shape) {
            None => problems.push(Problem {
                message: format!("no rule `{}` in {}", shown(&rule), self.module),
                hint: did_you_mean(&rule, modules.rules(&self.module)),
            }),
            Some(Shape::Function) => {
                problems.push(Problem::new(format!("`{rule}` is a function: name a rule without arguments")));
            }
            Some(Shape::Truth) => problems.push(Problem::new(format!(
                "`{rule}` gives true or nothing, and nothing is no pass: write `{RULE} contains \"what is wrong\" if {{ ... }}`"
            ))),
            Some(Shape::Value) => {}
        }
        problems
    }

    /// The evidence that has to be there, whatever the module makes of it.
    fn evidence(&self, ctx: Context<'_>) -> Result<Vec<Covered>, super::coverage::Shortfall> {
        let every = |kind: &EvidenceKind| {
            let demand = Demand {
                kind: *kind,
                signed_by: &self.signed_by,
                noun: kind.as_str(),
                missing: Reason::RegoEvidenceMissing,
            };
            let of_kind = |claim| Some(claim).filter(|claim: &&Claim| kind.is_of(claim));
            every_artifact(ctx, |artifact| {
                let known = demand.counted(ctx, artifact, of_kind)?;
                let evidence = known.iter().map(|(fact, _)| fact.evidence).collect();
                Ok(Covered { text: kind.to_string(), evidence, waived: false })
            })
        };
        self.needs.iter().map(every).collect()
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let modules = ctx.policy.modules();
        let rule = self.rule(modules);
        let line = modules.rule(&self.module, &rule).map_or(1, |declared| declared.line);
        let signed = match self.signed_by.as_slice() {
            [] => String::new(),
            names => format!(", signed by {}", crate::wording::one_of(names)),
        };
        let wanted = match self.needs.as_slice() {
            [] => String::new(),
            kinds => format!("{}{signed}, and ", all_of(kinds)),
        };
        let needed = format!("{wanted}no denial by {rule} ({}:{line})", self.module);
        if let Err(shortfall) = self.evidence(ctx) {
            let who = || ctx.groups_that_may(Permission::Attest);
            let attest = || ctx.attest("--report <file>");
            return Assessment::of_coverage(Err(shortfall), needed, who, |_| attest());
        }
        let own;
        let answers = match ctx.answers {
            Some(answers) => answers,
            None => {
                own = Answers::begin(ctx.policy, &[ctx.gate], ctx.facts).answers();
                &own
            }
        };
        let at = |place: Option<String>| place.unwrap_or_else(|| format!("{}:{line}", self.module));
        let mut seen = BTreeSet::new();
        let evidence =
            ctx.facts.evidence.iter().map(|fact| fact.evidence).filter(|digest| seen.insert(*digest)).collect();
        let assessment = match answers.get(&ctx.gate.name) {
            Some(Answer::Denials(denials)) if denials.is_empty() => {
                Assessment::passed(needed, format!("no denial by {rule}"))
            }
            Some(Answer::Denials(denials)) => denied(ctx, needed, denials),
            Some(Answer::Undefined) => {
                let found = format!("{}: {rule} has no value", at(None));
                self.broken(ctx, Reason::RegoUndefined, needed, found)
            }
            Some(Answer::Exhausted { place, message }) => {
                let found = format!("{}: {}", at(place.as_ref().map(ToString::to_string)), shown(message));
                self.broken(ctx, Reason::RegoBudget, needed, found)
            }
            Some(Answer::Failed { place, message }) => {
                let found = format!("{}: {}", at(place.as_ref().map(ToString::to_string)), shown(message));
                self.broken(ctx, Reason::RegoError, needed, found)
            }
            None => self.broken(ctx, Reason::RegoError, needed, format!("{}: nobody asked it", at(None))),
        };
        Assessment { evidence, ..assessment }
    }

    /// A module that gives no answer: a matter of whoever writes the policy set.
    fn broken(&self, ctx: Context<'_>, reason: Reason, needed: String, found: String) -> Assessment {
        Assessment {
            outcome: GateOutcome::Fail,
            reason,
            needed,
            found,
            evidence: Vec::new(),
            who: ctx.policy.groups_text(Permission::Policy),
            fix: format!("correct {}, then: lockgate policy test", self.module),
        }
    }
}

fn denied(ctx: Context<'_>, needed: String, denials: &[Denial]) -> Assessment {
    let told = denials.iter().map(|denial| {
        fmt::from_fn(|text| match &denial.code {
            Some(code) => write!(text, "{} ({})", shown(&denial.message), shown(code)),
            None => text.write_str(&shown(&denial.message)),
        })
    });
    let number = u64::try_from(denials.len()).unwrap_or(u64::MAX);
    let fixes: BTreeSet<String> = denials.iter().filter_map(|denial| denial.fix.as_deref()).map(shown).collect();
    let fix = match fixes.is_empty() {
        true => format!("do what the module says, then: lockgate why {}", ctx.facts.promotion.id),
        false => few(&fixes, "; "),
    };
    Assessment {
        outcome: GateOutcome::Fail,
        reason: Reason::RegoDenied,
        needed,
        found: format!("{}: {}", counted(number, "denial"), few(told, "; ")),
        evidence: Vec::new(),
        who: ctx.groups_that_may(Permission::Attest),
        fix,
    }
}

/// Whether a parameter is the same everywhere: no fraction, and no date, which TOML has and JSON has not.
fn is_plain(value: &Value) -> bool {
    match value {
        // TOML has no null: a number that is none would read as one.
        Value::Null => false,
        Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => fields.iter().all(|(name, value)| !name.starts_with('$') && is_plain(value)),
    }
}
