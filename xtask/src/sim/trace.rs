//! Trace: the last things that happened in a run, for whoever has to find out why it failed.

use std::collections::VecDeque;

/// How many steps are remembered.
const STEPS: u64 = 30;

/// What happened lately.
#[derive(Debug, Default)]
pub struct Trace {
    step: u64,
    lines: VecDeque<(u64, String)>,
    aloud: bool,
}

impl Trace {
    /// A trace that is printed as it is written, or only kept.
    pub fn new(aloud: bool) -> Self {
        Self { aloud, ..Self::default() }
    }

    /// Begins a step.
    pub fn begin(&mut self, step: u64) {
        self.step = step;
        while self.lines.front().is_some_and(|(written, _)| written + STEPS <= step) {
            self.lines.pop_front();
        }
    }

    /// Writes a line.
    pub fn say(&mut self, line: String) {
        if self.aloud {
            println!("{:>5}  {line}", self.step);
        }
        self.lines.push_back((self.step, line));
    }

    /// The step that runs.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What is remembered, a line each.
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|(step, line)| format!("{step:>5}  {line}")).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_steps_alone() {
        let mut trace = Trace::new(false);
        for step in 1..=100 {
            trace.begin(step);
            trace.say(format!("line {step}"));
        }
        assert_eq!((trace.step(), trace.text().lines().count()), (100, 30));
        assert!(trace.text().starts_with("   71  line 71"));
    }
}
