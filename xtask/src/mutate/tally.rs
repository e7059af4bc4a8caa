//! Tally: what became of the mutants of one kind, and what is kept of a mutant that was accepted.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lockgate_model::Digest;

use super::change::{Extent, Mutant, Way};
use super::kinds::{Accepted, Judgement, Kind};
use crate::failure::{During as _, Result};
use crate::workspace;

/// Where findings are.
const FINDINGS: &str = "mutate/findings";
/// How many findings of one kind are kept.
const FINDINGS_MAX: usize = 10;
/// How many reason codes of one kind are shown.
const CODES_SHOWN: usize = 4;

/// What became of some mutants.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were judged.
    pub mutants: usize,
    /// How many of them were a bit, a length or an edit alone.
    pub tried: Extent,
    /// How many were refused, by reason code.
    pub refused: BTreeMap<String, usize>,
    /// How many were read as the very same value in another spelling.
    pub same_value: usize,
    /// How many differ in something that nobody signed and the verifier says nothing about: it says the very same.
    pub same_statement: usize,
    /// How many were accepted as something else, or made the verifier panic.
    pub accepted: usize,
    /// The first of these.
    pub findings: Vec<Finding>,
}

/// A mutant that should have been refused.
#[derive(Debug)]
pub struct Finding {
    /// What came of it.
    pub what: &'static str,
    /// The mutant.
    pub mutant: Mutant,
}

impl Tally {
    /// Judges a mutant. `known` is what the verifier says of the valid samples.
    pub fn judge(&mut self, kind: &Kind, known: &[Accepted], mutant: Mutant) {
        self.mutants += 1;
        match mutant.way {
            Way::Bit => self.tried.bits += 1,
            Way::Length => self.tried.lengths += 1,
            Way::Edit => self.tried.edits += 1,
            Way::Combination => {}
        }
        // A panic is printed as always; here it counts as an answer that a verifier must not give.
        let judgement = catch_unwind(AssertUnwindSafe(|| kind.judge(&mutant.bytes)));
        let what = match judgement {
            Ok(Judgement::Refused(code)) => {
                *self.refused.entry(code).or_default() += 1;
                return;
            }
            Ok(Judgement::Accepted(found)) if known.iter().any(|valid| valid.value == found.value) => {
                self.same_value += 1;
                return;
            }
            Ok(Judgement::Accepted(found)) if known.iter().any(|valid| valid.statement == found.statement) => {
                self.same_statement += 1;
                return;
            }
            Ok(Judgement::Accepted(_)) => "accepted with another meaning",
            Err(_) => "the verifier panicked",
        };
        self.accepted += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { what, mutant });
        }
    }

    /// Adds what another thread has judged.
    pub fn add(&mut self, other: Self) {
        self.mutants += other.mutants;
        self.tried.bits += other.tried.bits;
        self.tried.lengths += other.tried.lengths;
        self.tried.edits += other.tried.edits;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.same_value += other.same_value;
        self.same_statement += other.same_statement;
        self.accepted += other.accepted;
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    /// How many were refused.
    pub fn refused_count(&self) -> usize {
        self.refused.values().sum()
    }

    /// The most frequent reason codes, and how many others there were.
    fn codes(&self) -> String {
        let mut codes: Vec<(&String, &usize)> = self.refused.iter().collect();
        codes.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
        let mut shown: Vec<String> =
            codes.iter().take(CODES_SHOWN).map(|(code, count)| format!("{code} {count}")).collect();
        if codes.len() > CODES_SHOWN {
            shown.push(format!("{} others", codes.len() - CODES_SHOWN));
        }
        shown.join("; ")
    }

    /// A line of the table.
    pub fn line(&self, name: &str) -> String {
        format!(
            "{name:25} {:>9} {:>9} {:>11} {:>15} {:>9}  {}",
            self.mutants,
            self.refused_count(),
            self.same_value,
            self.same_statement,
            self.accepted,
            self.codes()
        )
    }

    /// The line below it: how much was tried of what there is.
    pub fn tried_line(&self, all: Extent) -> String {
        let Extent { bits, lengths, edits } = self.tried;
        let combinations = self.mutants.saturating_sub(bits + lengths + edits);
        format!(
            "{:25} bits {bits} of {}, lengths {lengths} of {}, edits {edits} of {}, combinations {combinations}",
            "", all.bits, all.lengths, all.edits
        )
    }
}

/// The table's first line.
pub fn heading() -> String {
    format!(
        "{:25} {:>9} {:>9} {:>11} {:>15} {:>9}  refused as",
        "kind", "mutants", "refused", "same value", "same statement", "accepted"
    )
}

/// Writes the findings of one kind, with the sample that they were made of and the command that looks for them again.
///
/// # Errors
/// When they cannot be written.
pub fn keep(kind: &Kind, tally: &Tally, command: &str) -> Result<()> {
    for finding in &tally.findings {
        let name: String = Digest::of(&finding.mutant.bytes).hex().chars().take(16).collect();
        let folder = workspace::root().join(FINDINGS).join(format!("{}-{name}", kind.name));
        fs::create_dir_all(&folder).during(format!("make `{}`", folder.display()))?;
        let words = format!("{}: {}\n{}\n{command}\n", kind.name, finding.what, finding.mutant.changes);
        let sample = kind.samples.first().map(Vec::as_slice).unwrap_or_default();
        for (file, bytes) in
            [("finding.txt", words.as_bytes()), ("mutant", finding.mutant.bytes.as_slice()), ("sample", sample)]
        {
            fs::write(folder.join(file), bytes).during(format!("write `{file}` in `{}`", folder.display()))?;
        }
        eprintln!("{}: {} ({}): {FINDINGS}/{}-{name}", kind.name, finding.what, finding.mutant.changes, kind.name);
    }
    Ok(())
}
