//! A log of static analysis that is larger than the memory it may take.

use std::io::{self, Read};
use std::process::Command;

use lockgate_evidence::{Format, read_from};
use lockgate_model::Limits;
use lockgate_model::facts::{Claim, StaticAnalysis};

/// The test's own name, by which it starts itself again.
const NAME: &str = "large::a_large_log_is_read_in_little_memory";
/// What tells it that it is alone in its process, so that the process's memory is its own.
const ALONE: &str = "LOCKGATE_TEST_ALONE";

/// 100 MiB of results of 4 KiB; a quarter of that without optimisation, where the reader is slow.
const RESULTS: usize = if cfg!(debug_assertions) { 6_400 } else { 25_600 };
/// The least that the log is long.
const LEAST_BYTES: usize = RESULTS * 4096;
/// The most that the whole process may have held at once.
const MOST_KIB: u64 = 64 * 1024;

/// A log that is written as it is read.
struct Log {
    text: String,
    part: usize,
    rest: Vec<u8>,
    written: usize,
}

impl Log {
    fn new() -> Self {
        Self { text: "x".repeat(4096), part: 0, rest: Vec::new(), written: 0 }
    }

    fn next_part(&self) -> Option<String> {
        match self.part {
            0 => Some(r#"{"version":"2.1.0","runs":[{"results":["#.to_owned()),
            number if number <= RESULTS => {
                let comma = if number == 1 { "" } else { "," };
                let (rule, file, text) = (number % 3, number % 100, &self.text);
                Some(format!(
                    r#"{comma}{{"ruleIndex":{rule},"message":{{"text":"problem {number}"}},"locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"src/{file}.rs"}}}}}}],"codeFlows":[{{"message":{{"text":"{text}"}}}}]}}"#
                ))
            }
            number if number == RESULTS + 1 => {
                // The rules come last: levels can only be told once everything has been read.
                let rules = r#"{"id":"A","defaultConfiguration":{"level":"error"}},{"id":"B"},{"id":"C","defaultConfiguration":{"level":"note"}}"#;
                Some(format!(r#"],"tool":{{"driver":{{"name":"lint","rules":[{rules}]}}}}}}]}}"#))
            }
            _ => None,
        }
    }
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let Some(part) = self.next_part() else { return Ok(0) };
            self.part += 1;
            self.rest = part.into_bytes();
        }
        let count = self.rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.rest.drain(..count)) {
            *to = from;
        }
        self.written += count;
        Ok(count)
    }
}

#[test]
fn a_large_log_is_read_in_little_memory() {
    #[expect(clippy::disallowed_methods, reason = "the test starts itself again, and tells itself so")]
    let is_alone = std::env::var(ALONE).is_ok();
    if is_alone {
        return read_and_measure();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
    eprintln!("{}", errors.trim());
}

fn read_and_measure() {
    let before = peak_kib();
    let mut log = Log::new();
    let claim = read_from(Format::Sarif, &mut log, &Limits::DEFAULT).unwrap();
    let Claim::StaticAnalysis(analysis) = claim else { panic!("not static analysis") };
    assert!(log.written >= LEAST_BYTES, "{}", log.written);
    let counted = analysis.errors + analysis.warnings + analysis.notes;
    assert_eq!(counted, u64::try_from(RESULTS).unwrap());
    assert!(analysis.errors > 0 && analysis.warnings > 0 && analysis.notes > 0);
    assert_eq!(analysis.results.len(), StaticAnalysis::RESULTS);
    assert_eq!(analysis.results_left_out, u64::try_from(RESULTS - StaticAnalysis::RESULTS).unwrap());
    let (Some(before), Some(after)) = (before, peak_kib()) else {
        eprintln!("large: memory cannot be measured here");
        return;
    };
    eprintln!("large: {} bytes read, {} KiB more than before, {after} KiB in all", log.written, after - before);
    assert!(after <= MOST_KIB, "{after} KiB");
    let log_kib = u64::try_from(log.written / 1024).unwrap();
    assert!(after - before < log_kib / 2, "{before} KiB before, {after} KiB after, for a log of {log_kib} KiB");
}

/// The most that this process has held so far, where the system says so.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
