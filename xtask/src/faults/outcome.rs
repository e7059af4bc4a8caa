//! Outcomes: what a part tried, and what came of it.

use serde::Serialize;

/// What one part did.
#[derive(Debug, Default, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Cases.
    pub tried: usize,
    /// Cases in which the fault really happened.
    pub fired: usize,
    /// Cases in which it was noticed and said, with a reason code.
    pub detected: usize,
    /// Cases in which everything came out the same, or the server went on and all that was acknowledged is there.
    pub harmless: usize,
    /// Acknowledged things that are not there.
    pub lost: usize,
    /// What is wrong, with what repeats it.
    pub findings: Vec<String>,
    /// Why the part, or a step of it, did not run.
    pub skipped: Vec<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// How one case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Case {
    /// Noticed; the reason code.
    Detected(String),
    /// Nothing came of it.
    Harmless,
    /// The fault did not happen.
    NotFired,
    /// Something acknowledged is not there.
    Lost(String),
    /// Something else is wrong.
    Found(String),
}

impl Part {
    /// A part that has done nothing yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Counts a case.
    pub fn count(&mut self, case: &Case) {
        self.tried += 1;
        self.fired += usize::from(*case != Case::NotFired);
        match case {
            Case::Detected(_) => self.detected += 1,
            Case::Harmless => self.harmless += 1,
            Case::NotFired => {}
            Case::Lost(what) => {
                self.lost += 1;
                self.findings.push(what.clone());
            }
            Case::Found(what) => self.findings.push(what.clone()),
        }
    }

    /// How much is wrong: findings, what is lost among them.
    pub fn failures(&self) -> usize {
        self.findings.len()
    }
}

/// The closing table, with remarks below it.
pub fn table(parts: &[Part]) -> String {
    let mut text = format!(
        "{:<10}{:>7}{:>7}{:>10}{:>10}{:>6}{:>10}{:>7}",
        "part", "tried", "fired", "detected", "harmless", "lost", "findings", "s"
    );
    for part in parts {
        text.push_str(&format!(
            "\n{:<10}{:>7}{:>7}{:>10}{:>10}{:>6}{:>10}{:>7.1}",
            part.name,
            part.tried,
            part.fired,
            part.detected,
            part.harmless,
            part.lost,
            part.findings.len(),
            part.seconds
        ));
    }
    for part in parts {
        let skipped = part.skipped.iter().map(|why| format!("skipped: {why}"));
        for line in part.notes.iter().cloned().chain(skipped) {
            text.push_str(&format!("\n{}: {line}", part.name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_counted_once() {
        let mut part = Part::new("torn");
        for case in [
            Case::Detected("HEAD_MISMATCH".to_owned()),
            Case::Harmless,
            Case::NotFired,
            Case::Lost("an entry".to_owned()),
            Case::Found("a panic".to_owned()),
        ] {
            part.count(&case);
        }
        assert_eq!((part.tried, part.fired, part.detected, part.harmless, part.lost), (5, 4, 1, 1, 1));
        assert_eq!(part.failures(), 2);
        let text = table(&[part]);
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("torn")), "{text}");
    }
}
