//! The walk over modules: everything that can be said of them before they are evaluated.
//!
//! Whoever mistypes a name in Rego gets no value, and a rule whose body has none does not deny. So a policy set loads
//! only when every function is on the list, every rule of another module is there, and every field of the input that is
//! named can be there.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Engine;
use regorus::unstable::{ArithOp, Expr, Import, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead, Span};
use regorus::utils::get_path_string;

use super::input_fields::{self, Step};
use super::{Contents, Declared, MODULE_BYTES, RULES_MAX, Shape, allowed, place};
use crate::error::PolicyError;
use crate::suggestion::did_you_mean;
use crate::wording::shown;

/// How deep `{` and `[` may stand in each other: the parser tries a set, an object and a comprehension where one begins,
/// each with all that stands inside, so that every level doubles its work.
const NESTING_MAX: usize = 10;

/// Reads modules, by path, and finds every mistake that shows before they are evaluated.
pub(super) fn examine(files: &BTreeMap<String, String>) -> Result<Contents, Vec<PolicyError>> {
    let mut engine = Engine::new();
    let mut errors = Vec::new();
    for (path, text) in files {
        if text.len() > MODULE_BYTES {
            errors.push(error(path, None, format!("{} bytes, of at most {MODULE_BYTES} in one module", text.len())));
        } else if let Some(line) = nested_too_deep(text) {
            errors.push(error(
                path,
                Some(line),
                format!("`{{` and `[` stand more than {NESTING_MAX} deep in each other"),
            ));
        } else if let Err(problem) = engine.add_policy(path.clone(), text.clone()) {
            errors.push(interpreted(path, &problem.to_string()));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let modules: Vec<Ref<Module>> = engine.get_modules().clone();
    let contents = contents(&modules)?;
    for module in &modules {
        errors.extend(Walk::over(&contents, module.as_ref()));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // What the interpreter itself finds when it orders the statements: names without a value, rules that clash.
    let any = contents
        .rules
        .iter()
        .find(|(_, declared)| declared.shape != Shape::Function)
        .map(|((file, rule), _)| (file, rule));
    if let Some((file, rule)) = any
        && let Err(problem) = engine.compile_with_entrypoint(&regorus::Rc::from(rule.as_str()))
    {
        return Err(vec![interpreted(file, &problem.to_string())]);
    }
    Ok(contents)
}

/// The first line, from 1, on which brackets stand deeper than [`NESTING_MAX`], outside of comments and texts.
fn nested_too_deep(text: &str) -> Option<usize> {
    let (mut line, mut depth) = (1usize, 0usize);
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\n' => line = line.saturating_add(1),
            '#' => {
                rest.by_ref().find(|end| *end == '\n');
                line = line.saturating_add(1);
            }
            '"' => {
                let mut escaped = false;
                for inside in rest.by_ref() {
                    line = line.saturating_add(usize::from(inside == '\n'));
                    if inside == '"' && !escaped {
                        break;
                    }
                    escaped = inside == '\\' && !escaped;
                }
            }
            '`' => {
                for inside in rest.by_ref().take_while(|end| *end != '`') {
                    line = line.saturating_add(usize::from(inside == '\n'));
                }
            }
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Some(line);
        }
    }
    None
}

/// A mistake that the interpreter tells, in the module that it names or else in this one.
fn interpreted(file: &str, message: &str) -> PolicyError {
    match place::split(message) {
        (Some(place), text) => {
            error(&place.file, Some(place.line), format!("column {}: {}", place.column, shown(&text)))
        }
        (None, text) => error(file, None, shown(&text)),
    }
}

fn error(file: &str, line: Option<usize>, message: String) -> PolicyError {
    PolicyError { file: file.to_owned(), line, message, hint: None }
}

fn line_of(span: &Span) -> usize {
    usize::try_from(span.line).unwrap_or(usize::MAX)
}

/// Every package and rule of all modules.
fn contents(modules: &[Ref<Module>]) -> Result<Contents, Vec<PolicyError>> {
    let mut contents = Contents::default();
    for module in modules {
        let module: &Module = module.as_ref();
        let file = module.package.span.source.file();
        let wrong = |span: &Span| vec![error(file, Some(line_of(span)), "a name that cannot be read".to_owned())];
        let package = get_path_string(module.package.refr.as_ref(), Some("data"));
        let package = package.map_err(|_| wrong(&module.package.span))?;
        for rule in &module.policy {
            let (refr, span, shape) = match rule.as_ref() {
                Rule::Spec { head, .. } => match head {
                    RuleHead::Compr { span, refr, assign } => {
                        (refr, span, if assign.is_some() { Shape::Value } else { Shape::Truth })
                    }
                    RuleHead::Set { span, refr, .. } => (refr, span, Shape::Value),
                    RuleHead::Func { span, refr, .. } => (refr, span, Shape::Function),
                },
                Rule::Default { span, refr, args, .. } => {
                    (refr, span, if args.is_empty() { Shape::Value } else { Shape::Function })
                }
            };
            let path = get_path_string(refr.as_ref(), Some(package.as_str())).map_err(|_| wrong(span))?;
            let declared = Declared { line: line_of(span), shape };
            contents.rules.entry((file.clone(), path)).or_insert(declared);
        }
        contents.packages.insert(file.clone(), package);
    }
    let rules = modules.iter().fold(0usize, |sum, module| sum.saturating_add(module.policy.len()));
    match rules > RULES_MAX {
        true => Err(vec![error(super::FOLDER, None, format!("{rules} rules in all modules, of at most {RULES_MAX}"))]),
        false => Ok(contents),
    }
}

/// The walk over one module.
struct Walk<'a> {
    contents: &'a Contents,
    functions: BTreeSet<&'a str>,
    package: &'a str,
    /// What imports stand for, part by part, by the names that the module uses.
    aliases: BTreeMap<String, Vec<String>>,
    errors: Vec<PolicyError>,
}

impl<'a> Walk<'a> {
    fn over(contents: &'a Contents, module: &Module) -> Vec<PolicyError> {
        let rules = contents.rules.iter();
        let functions =
            rules.filter(|(_, declared)| declared.shape == Shape::Function).map(|((_, path), _)| path.as_str());
        let package = contents.packages.get(module.package.span.source.file()).map(String::as_str);
        let mut walk = Self {
            contents,
            functions: functions.collect(),
            package: package.unwrap_or_default(),
            aliases: BTreeMap::new(),
            errors: Vec::new(),
        };
        module.imports.iter().for_each(|import| walk.import(import));
        module.policy.iter().for_each(|rule| walk.rule(rule.as_ref()));
        walk.errors
    }

    fn refuse(&mut self, span: &Span, message: &str, hint: Option<String>) {
        self.errors.push(PolicyError {
            file: span.source.file().clone(),
            line: Some(line_of(span)),
            message: format!("column {}: {message}", span.col),
            hint,
        });
    }

    fn import(&mut self, import: &Import) {
        let Some((root, steps)) = chain(import.refr.as_ref()) else { return };
        if matches!(root, "rego" | "future") {
            return;
        }
        let fields = steps.iter().filter_map(|step| match step {
            Step::Field(name) => Some(name.clone()),
            Step::Any => None,
        });
        let parts: Vec<String> = std::iter::once(root.to_owned()).chain(fields).collect();
        let alias = import.r#as.as_ref().map(|name| name.text().to_owned()).or_else(|| parts.last().cloned());
        self.path(&import.span, root, steps, true);
        if let Some(alias) = alias {
            self.aliases.insert(alias, parts);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.indices(refr.as_ref());
                        assign.iter().for_each(|assign| self.expr(assign.value.as_ref()));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.indices(refr.as_ref());
                        key.iter().for_each(|key| self.expr(key.as_ref()));
                    }
                    RuleHead::Func { args, assign, .. } => {
                        args.iter().for_each(|argument| self.expr(argument.as_ref()));
                        assign.iter().for_each(|assign| self.expr(assign.value.as_ref()));
                    }
                }
                bodies.iter().for_each(|body| self.body(body));
            }
            Rule::Default { value, .. } => self.expr(value.as_ref()),
        }
    }

    fn body(&mut self, body: &RuleBody) {
        body.assign.iter().for_each(|assign| self.expr(assign.value.as_ref()));
        self.query(body.query.as_ref());
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            if let Some(with) = statement.with_mods.first() {
                let message =
                    "`with` is not there: a gate decides on the facts as they are, with functions as they are";
                self.refuse(&with.span, message, None);
            }
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().for_each(|key| self.expr(key.as_ref()));
                    self.expr(value.as_ref());
                    self.expr(collection.as_ref());
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr.as_ref()),
                Literal::Every { domain, query, .. } => {
                    self.expr(domain.as_ref());
                    self.query(query.as_ref());
                }
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { span, .. } => self.path(span, span.text(), Vec::new(), false),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.expr(item.as_ref()))
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.expr(key.as_ref());
                    self.expr(value.as_ref());
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term.as_ref());
                self.query(query.as_ref());
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expr(key.as_ref());
                self.expr(value.as_ref());
                self.query(query.as_ref());
            }
            Expr::Call { span, fcn, params, .. } => self.call(span, fcn.as_ref(), params),
            Expr::UnaryExpr { expr, .. } => self.expr(expr.as_ref()),
            Expr::ArithExpr { span, op, lhs, rhs, .. } => {
                if *op == ArithOp::Mul && !is_number(lhs.as_ref()) && !is_number(rhs.as_ref()) {
                    let message = "`*` needs a number written out on one side, or numbers could grow without a bound: \
                                   write `product([a, b])`";
                    self.refuse(span, message, None);
                }
                self.both(lhs, rhs);
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                self.both(lhs, rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|key| self.expr(key.as_ref()));
                self.both(value, collection);
            }
        }
    }

    fn both(&mut self, one: &Ref<Expr>, other: &Ref<Expr>) {
        self.expr(one.as_ref());
        self.expr(other.as_ref());
    }

    /// What stands in the brackets of a path, and what the path is of, where that is no name.
    fn indices(&mut self, mut expr: &Expr) {
        loop {
            match expr {
                Expr::RefDot { refr, .. } => expr = refr.as_ref(),
                Expr::RefBrack { refr, index, .. } => {
                    self.expr(index.as_ref());
                    expr = refr.as_ref();
                }
                Expr::Var { .. } => return,
                other => return self.expr(other),
            }
        }
    }

    fn reference(&mut self, expr: &Expr) {
        self.indices(expr);
        if let Some((root, steps)) = chain(expr) {
            self.path(expr.span(), root, steps, false);
        }
    }

    fn call(&mut self, span: &Span, function: &Expr, arguments: &[Ref<Expr>]) {
        match get_path_string(function, None) {
            Ok(name) if self.is_function(&name) => {}
            Ok(name) if allowed::is_left_out(&name) => {
                let message = format!(
                    "`{}` is not there: a gate knows no clock, network, chance or machine, and prints nothing; \
                     `input.time` is the time of the decision",
                    shown(&name)
                );
                self.refuse(span, &message, None);
            }
            Ok(name) => {
                let known = allowed::ALLOWED.iter().map(|(name, _)| *name);
                let hint = did_you_mean(&name, known.chain(self.functions.iter().copied()));
                self.refuse(span, &format!("no function `{}`", shown(&name)), hint);
            }
            Err(_) => self.refuse(span, "only a function by its name can be called", None),
        }
        arguments.iter().for_each(|argument| self.expr(argument.as_ref()));
    }

    fn is_function(&self, name: &str) -> bool {
        let (root, rest) = name.split_once('.').map_or((name, None), |(root, rest)| (root, Some(rest)));
        let imported = self.aliases.get(root).map(|parts| match rest {
            Some(rest) => format!("{}.{rest}", parts.join(".")),
            None => parts.join("."),
        });
        // An import stands for what it names, whatever else goes by that name.
        match imported {
            Some(path) => self.functions.contains(path.as_str()),
            None => {
                allowed::is_allowed(name)
                    || self.functions.contains(name)
                    || self.functions.contains(format!("{}.{name}", self.package).as_str())
            }
        }
    }

    /// Checks a path that starts at the input, at other modules, or at an import of either.
    fn path(&mut self, span: &Span, root: &str, steps: Vec<Step>, is_import: bool) {
        let (root, steps) = match self.aliases.get(root).and_then(|parts| parts.split_first()) {
            Some((first, parts)) => {
                let fields = parts.iter().cloned().map(Step::Field);
                (first.clone(), fields.chain(steps).collect::<Vec<Step>>())
            }
            None => (root.to_owned(), steps),
        };
        match root.as_str() {
            "input" => {
                if let Some(unknown) = input_fields::unknown(&steps) {
                    let message = format!("the input has no field `{}` there", shown(&unknown.field));
                    self.refuse(span, &message, unknown.hint);
                }
            }
            "data" => self.data(span, &steps, is_import),
            _ => {}
        }
    }

    /// Checks a path into the modules of the policy set, which are all the data there is.
    fn data(&mut self, span: &Span, steps: &[Step], is_import: bool) {
        let mut path = "data".to_owned();
        for step in steps {
            let Step::Field(name) = step else { break };
            path.push('.');
            path.push_str(name);
        }
        let starts = |long: &str, short: &str| {
            long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_rule = self.contents.rules.keys().any(|(_, rule)| starts(&path, rule));
        let is_package = self.contents.packages.values().any(|package| match is_import {
            true => starts(package, &path),
            false => *package == path,
        });
        if (!is_rule && !is_package) || path == "data" {
            let known = self.contents.rules.keys().map(|(_, rule)| rule.as_str());
            let hint = did_you_mean(&path, known.chain(self.contents.packages.values().map(String::as_str)));
            self.refuse(span, &format!("no module of the policy set has `{}`", shown(&path)), hint);
        }
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Number { .. } => true,
        Expr::UnaryExpr { expr, .. } => matches!(expr.as_ref(), Expr::Number { .. }),
        _ => false,
    }
}

/// The name that a path starts at, and its steps; `None` where it starts at no name.
fn chain(expr: &Expr) -> Option<(&str, Vec<Step>)> {
    let mut steps = Vec::new();
    let mut at = expr;
    loop {
        match at {
            Expr::Var { span, .. } => {
                steps.reverse();
                return Some((span.text(), steps));
            }
            Expr::RefDot { refr, field, .. } => {
                steps.push(Step::Field(field.0.text().to_owned()));
                at = refr.as_ref();
            }
            Expr::RefBrack { refr, index, .. } => {
                steps.push(match index.as_ref() {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => {
                        value.as_string().map_or(Step::Any, |name| Step::Field(name.to_string()))
                    }
                    _ => Step::Any,
                });
                at = refr.as_ref();
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_stand_in_each_other_so_deep_and_no_deeper() {
        let within = format!("package a\n{}{}", "{[".repeat(NESTING_MAX / 2), "]}".repeat(NESTING_MAX / 2));
        assert_eq!(nested_too_deep(&within), None);
        assert_eq!(nested_too_deep(&within.repeat(100)), None);
        assert_eq!(
            nested_too_deep(&format!("package a\n# {{\n{}", "{\n".repeat(NESTING_MAX + 1))),
            Some(3 + NESTING_MAX)
        );
        let open = "[".repeat(99);
        for text in [format!("# {open}\n"), format!("\"{open}\\\"{open}\""), format!("`{open}\\`")] {
            assert_eq!(nested_too_deep(&text), None, "{text}");
        }
        for text in [format!("$\"\"{open}"), format!("\"\\\\\"{open}"), format!("`\\`{open}"), open.clone()] {
            assert_eq!(nested_too_deep(&text), Some(1), "{text}");
        }
    }

    #[test]
    fn a_module_that_would_be_parsed_without_an_end_is_refused_at_once() {
        let text = format!("package lockgate.fuzz\n\ndeny contains message if {{\n\tsome{} x", "{\n".repeat(240));
        let errors = examine(&BTreeMap::from([("rego/a.rego".to_owned(), text)])).unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| (error.line, error.message.as_str())).collect();
        assert_eq!(found, [(Some(13), "`{` and `[` stand more than 10 deep in each other")]);
    }
}
