//! The report: rows with their goals, and whether they meet them.

/// What was measured, and how.
#[derive(Debug)]
pub struct Report {
    /// What the section is called; no two have one title.
    pub title: &'static str,
    /// The command that measures it again.
    pub command: String,
    /// What the machine is.
    pub machine: Vec<String>,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    what: String,
    goal: Option<Goal>,
    /// Absent where nothing could be measured.
    measured: Option<f64>,
    unit: &'static str,
}

#[derive(Debug)]
struct Goal {
    text: String,
    ratio: f64,
    met: bool,
}

impl Row {
    /// A figure without a goal: a limit, or context.
    pub fn figure(what: &str, measured: f64, unit: &'static str) -> Self {
        Self { what: what.to_owned(), goal: None, measured: Some(measured), unit }
    }

    /// A peer that is not installed here.
    pub fn absent(what: &str) -> Self {
        Self { what: what.to_owned(), goal: None, measured: None, unit: "" }
    }

    /// A figure whose `judged` value has to be at least `least`; `goal` says that in words.
    pub fn at_least(what: &str, judged: f64, measured: f64, least: f64, goal: &str, unit: &'static str) -> Self {
        let goal = Goal { text: format!("≥ {goal}"), ratio: judged, met: judged >= least };
        Self { what: what.to_owned(), goal: Some(goal), measured: Some(measured), unit }
    }

    /// A figure whose `judged` value has to be at most `most`; `goal` says that in words.
    pub fn at_most(what: &str, judged: f64, measured: f64, most: f64, goal: &str, unit: &'static str) -> Self {
        let goal = Goal { text: format!("≤ {goal}"), ratio: judged, met: judged <= most };
        Self { what: what.to_owned(), goal: Some(goal), measured: Some(measured), unit }
    }

    fn to_markdown(&self) -> String {
        let measured = match self.measured {
            Some(measured) => format!("{} {}", shown(measured), self.unit),
            None => "not installed".to_owned(),
        };
        match &self.goal {
            None => format!("| {} | | {measured} | | |", self.what),
            Some(goal) => {
                let met = if goal.met { "yes" } else { "**no**" };
                format!("| {} | {} | {measured} | {} | {met} |", self.what, goal.text, shown(goal.ratio))
            }
        }
    }
}

impl Report {
    /// The report as a section of a Markdown document.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("## {}\n\nMeasured and written by:\n\n```\n{}\n```\n\n", self.title, self.command);
        for fact in &self.machine {
            text.push_str(&format!("- {fact}\n"));
        }
        text.push_str("\n| what | goal | measured | judged | met? |\n|---|---|---|---|---|\n");
        for row in &self.rows {
            text.push_str(&row.to_markdown());
            text.push('\n');
        }
        text
    }
}

/// Three digits that mean something, whatever the size.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_says_so() {
        let check = |row: Row, expected: &str| assert_eq!(row.to_markdown(), expected);
        check(Row::figure("a", 1234.4, "/s"), "| a | | 1234 /s | | |");
        check(Row::at_least("a", 0.5, 10.0, 0.5, "0.5 × b", "/s"), "| a | ≥ 0.5 × b | 10.0 /s | 0.50 | yes |");
        check(Row::at_least("a", 0.49, 10.0, 0.5, "0.5 × b", "/s"), "| a | ≥ 0.5 × b | 10.0 /s | 0.49 | **no** |");
        check(Row::at_most("a", 2.0, 2.0, 1.0, "1 ms", "ms"), "| a | ≤ 1 ms | 2.00 ms | 2.00 | **no** |");
        check(Row::absent("a"), "| a | | not installed | | |");
        // What could not be measured meets no goal.
        check(Row::at_most("a", f64::NAN, 1.0, 1.0, "1 ms", "ms"), "| a | ≤ 1 ms | 1.00 ms | NaN | **no** |");
    }
}
