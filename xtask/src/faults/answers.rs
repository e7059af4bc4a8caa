//! Answers: what an instance says when it is started, asked, audited, and when its bundle is verified.

use std::path::Path;

use serde_json::Value;

use super::ground::{ARTIFACT, BUNDLE, Ground, Ran, reason_in};
use super::outcome::Case;
use crate::failure::Result;
use crate::server::End;

/// Exit codes that nobody may see: a bug of ours, a panic, a signal.
const NEVER: [i32; 3] = [70, 101, -1];

/// What was asked, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers(Vec<Answer>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    question: &'static str,
    code: i32,
    /// The result of a success, the reason of anything else.
    said: Option<String>,
}

impl Answer {
    fn of(question: &'static str, ran: &Ran, said: impl Fn(&str) -> String) -> Self {
        match ran.code {
            0 => Self { question, code: 0, said: Some(said(&ran.stdout)) },
            code => Self { question, code, said: ran.problems().into_iter().next() },
        }
    }

    /// How a server ended that was asked to stop. A panic is one, whatever its exit code says.
    fn of_end(end: &End) -> Self {
        let question = "stop";
        match (end.defect(), end.status.code()) {
            (None, Some(0)) => Self { question, code: 0, said: None },
            (None, code) => Self { question, code: code.unwrap_or(-1), said: end.reason().map(ToOwned::to_owned) },
            (Some(defect), _) => Self { question, code: -1, said: Some(defect) },
        }
    }
}

/// Starts the server of a home and asks it; then asks without it. `note` is a checkpoint that somebody kept.
///
/// # Errors
/// When a command could not be run; what it says is an answer.
pub fn ask(ground: &Ground, home: &Path, note: &Path) -> Result<Answers> {
    let mut answers = Vec::new();
    let as_it_is = |text: &str| text.to_owned();
    match ground.serve(home) {
        Err(failure) => {
            answers.push(Answer { question: "start", code: 9, said: reason_in(&failure.to_string()) });
        }
        Ok(server) => {
            for arguments in [&["whoami"][..], &["whoami", "--as", "sam"][..], &["whoami", "--as", "ci"][..]] {
                answers.push(Answer::of("whoami", &ground.run(home, Some(server.url()), arguments)?, as_it_is));
            }
            answers.push(Answer::of_end(&server.end()?));
        }
    }
    let note = note.display().to_string();
    answers.push(Answer::of("audit", &ground.run(home, None, &["audit", "--checkpoint", &note])?, ledger_part));
    let verify = ["verify", ARTIFACT, "--service", "shop/web", "--env", "staging", "--bundle", BUNDLE];
    answers.push(Answer::of("verify", &ground.run(home, None, &verify)?, placeless_part));
    Ok(Answers(answers))
}

/// What an audit says of the ledger; the access log grows with each question. How many checkpoints this machine has kept,
/// for the audit to compare with, is not of the ledger.
pub fn ledger_part(report: &str) -> String {
    without(&without(report, "access"), "anchors")
}

/// What a verification says, wherever the trust file lies.
fn placeless_part(report: &str) -> String {
    without(report, "trust")
}

fn without(report: &str, field: &str) -> String {
    match serde_json::from_str::<Value>(report) {
        Ok(Value::Object(mut report)) => {
            report.remove(field);
            Value::Object(report).to_string()
        }
        _ => report.to_owned(),
    }
}

impl Answers {
    /// How they differ from those of the untouched instance.
    pub fn against(&self, untouched: &Self) -> Case {
        if let Some(answer) = self.0.iter().find(|answer| answer.code != 0) {
            let Answer { question, code, said } = answer;
            return match said {
                Some(reason) if !NEVER.contains(code) => Case::Detected(reason.clone()),
                Some(said) => Case::Found(format!("{question} ended with {code}: {said}")),
                None => Case::Found(format!("{question} ended with {code} and without a reason")),
            };
        }
        match self == untouched {
            true => Case::Harmless,
            false => {
                let other = self.0.iter().zip(&untouched.0).find(|(one, other)| one != other);
                let question = other.map_or("something", |(answer, _)| answer.question);
                Case::Found(format!("{question} gives another answer, and nothing is said"))
            }
        }
    }

    /// Whether nothing was refused.
    pub fn all_well(&self) -> bool {
        self.0.iter().all(|answer| answer.code == 0)
    }
}

/// How a command ended that only reads: `None` when it succeeded.
pub fn alarm(ran: &Ran) -> Option<Case> {
    match (ran.code, ran.problems().into_iter().next()) {
        (0, _) => None,
        (code, Some(reason)) if !NEVER.contains(&code) => Some(Case::Detected(reason)),
        (code, _) => Some(Case::Found(format!("it ended with {code} and without a reason: {}", ran.stderr))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn answers(code: i32, said: &str) -> Answers {
        Answers(vec![Answer { question: "audit", code, said: Some(said.to_owned()).filter(|said| !said.is_empty()) }])
    }

    #[test]
    fn a_server_that_panics_is_a_finding_and_one_that_stops_with_a_reason_is_not() {
        let stopped = |raw, log: &str| {
            let end = End { status: ExitStatus::from_raw(raw), log: log.to_owned() };
            Answers(vec![Answer::of_end(&end)])
        };
        let untouched = stopped(0, "stopping");
        assert_eq!(stopped(0, "").against(&untouched), Case::Harmless);
        let refused = stopped(8 << 8, "error[STORE_FAILED]: x");
        assert_eq!(refused.against(&untouched), Case::Detected("STORE_FAILED".to_owned()));
        for (raw, log) in [(0, "thread 'main' panicked at x"), (6, ""), (8 << 8, ""), (70 << 8, "error[BUG]: x")] {
            assert!(matches!(stopped(raw, log).against(&untouched), Case::Found(_)), "{raw}, {log}");
        }
    }

    #[test]
    fn a_changed_answer_is_a_finding_and_a_reason_is_none() {
        let untouched = answers(0, "sound");
        assert_eq!(answers(0, "sound").against(&untouched), Case::Harmless);
        assert_eq!(answers(9, "HEAD_MISMATCH").against(&untouched), Case::Detected("HEAD_MISMATCH".to_owned()));
        assert!(matches!(answers(0, "sound too").against(&untouched), Case::Found(_)));
        assert!(matches!(answers(9, "").against(&untouched), Case::Found(_)));
        assert!(matches!(answers(70, "BUG").against(&untouched), Case::Found(_)));
        assert_eq!(ledger_part(r#"{"entries":3,"access":{"entries":9},"anchors":2}"#), r#"{"entries":3}"#);
    }
}
