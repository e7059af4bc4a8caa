//! `mutate`: valid things with a bit, a field or an end that is another, and the verifiers that have to refuse them.
//!
//! For each kind every edit of every field, every length and every bit is tried, or as many of them, evenly, as there is
//! room for, which the table tells; then combinations of two and three. What a verifier accepts has to be what it
//! accepted before, word for word. `docs/mutation.md` says what that means for each kind.

mod change;
mod evidence;
mod inside;
mod kinds;
mod parts;
mod statements;
mod story;
mod tally;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::Args;

use self::change::Mutations;
use self::kinds::{Accepted, Judgement, Kind};
use self::tally::Tally;
use crate::failure::{Failure, Result};

/// How many mutants a thread takes at a time.
const CHUNK: usize = 64;
/// From so many mutants on every bit, length and edit of every kind is tried, whatever its share.
const WHOLE: usize = 1_000_000;

/// `mutate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many mutants are judged, of all kinds together; from 1,000,000 on also every bit, length and edit that is left
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    mutants: usize,
    /// Where long rows of changes are looked at, and which combinations are drawn
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only the kind of this name, or else kinds whose name starts so
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,
}

/// Judges mutants of every kind, and prints what became of them.
///
/// # Errors
/// When one was accepted, there is no such kind, or a valid sample cannot be made or is refused.
pub fn run(arguments: &Arguments) -> Result<()> {
    let prefix = arguments.kind.as_deref().unwrap_or_default();
    let mut all = kinds::kinds("run")?;
    // A whole name is that kind alone, also where other names go on from it: so a finding is looked for again.
    let is_whole = all.iter().any(|kind| kind.name == prefix);
    all.retain(|kind| if is_whole { kind.name == prefix } else { kind.name.starts_with(prefix) });
    if all.is_empty() {
        return Err(Failure::new(format!("no kind of valid thing starts with `{prefix}`")));
    }
    let began = Instant::now();
    let rows: Vec<Row<'_>> = rows(&all, arguments)?;
    let tallies = judge_all(&rows)?;
    println!("{}", tally::heading());
    let mut sum = Tally::default();
    for (row, tally) in rows.iter().zip(tallies) {
        println!("{}", tally.line(row.kind.name));
        println!("{}", tally.tried_line(row.mutations.extent()));
        // A kind alone has all the room, so that a whole run is repeated by a whole run.
        let most = if arguments.mutants >= WHOLE { row.most.max(WHOLE) } else { row.most };
        let (name, seed) = (row.kind.name, arguments.seed);
        tally::keep(row.kind, &tally, &format!("cargo xtask mutate --kind {name} --mutants {most} --seed {seed}"))?;
        sum.add(tally);
    }
    println!("{} mutants in {:.1} s, seed {}", sum.mutants, began.elapsed().as_secs_f64(), arguments.seed);
    match sum.accepted {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} mutants were accepted; they are in mutate/findings"))),
    }
}

/// One kind with its mutants, and what its verifier says of what is valid.
struct Row<'a> {
    kind: &'a Kind,
    mutations: Mutations,
    known: Vec<Accepted>,
    most: usize,
}

/// Shares the mutants out among the kinds; the last kind gets what is left over.
fn rows<'a>(kinds: &'a [Kind], arguments: &Arguments) -> Result<Vec<Row<'a>>> {
    let shares: usize = kinds.iter().map(|kind| kind.share).sum();
    let mut left = arguments.mutants;
    let mut rows = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let share = arguments.mutants.saturating_mul(kind.share).checked_div(shares).unwrap_or_default();
        let most = if at + 1 == kinds.len() { left } else { share.min(left) };
        left -= most;
        rows.push(row(kind, most, arguments)?);
    }
    Ok(rows)
}

fn row<'a>(kind: &'a Kind, most: usize, arguments: &Arguments) -> Result<Row<'a>> {
    let accepted = |sample: &Vec<u8>| match kind.judge(sample) {
        Judgement::Accepted(accepted) => Ok(accepted),
        Judgement::Refused(code) => Err(code),
    };
    let own = kind.samples.first().ok_or_else(|| Failure::new(format!("{} has no sample", kind.name)))?;
    let own = accepted(own).map_err(|code| Failure::new(format!("{}: the valid sample: {code}", kind.name)))?;
    // Another valid sample may be a mutant's end, where the verifier takes any of them.
    let others = kind.samples.iter().skip(1).filter_map(|sample| accepted(sample).ok());
    let known = std::iter::once(own).chain(others).collect();
    let mutations = match arguments.mutants >= WHOLE {
        true => Mutations::whole(&kind.samples, kind.form, most, arguments.seed),
        false => Mutations::new(&kind.samples, kind.form, most, arguments.seed),
    };
    let most = mutations.count();
    Ok(Row { kind, mutations, known, most })
}

/// Judges the mutants of all rows, on as many threads as there are cores.
fn judge_all(rows: &[Row<'_>]) -> Result<Vec<Tally>> {
    let chunks: Vec<(usize, usize)> = rows
        .iter()
        .enumerate()
        .flat_map(|(at, row)| (0..row.most).step_by(CHUNK).map(move |first| (at, first)))
        .collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let work = || {
        let mut tallies: Vec<Tally> = rows.iter().map(|_| Tally::default()).collect();
        while let Some((at, first)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (Some(row), Some(tally)) = (rows.get(*at), tallies.get_mut(*at)) else { continue };
            for number in *first..row.most.min(first + CHUNK) {
                if let Some(mutant) = row.mutations.mutant(number) {
                    tally.judge(row.kind, &row.known, mutant);
                }
            }
        }
        tallies
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sums: Vec<Tally> = rows.iter().map(|_| Tally::default()).collect();
        for thread in threads {
            let tallies = thread.join().map_err(|_| Failure::new("a thread panicked"))?;
            for (sum, tally) in sums.iter_mut().zip(tallies) {
                sum.add(tally);
            }
        }
        Ok(sums)
    })
}

#[cfg(test)]
mod tests {
    use super::parts::Form;
    use super::*;
    use lockgate_model::Digest;

    fn tallies(kinds: &[Kind], mutants: usize) -> Vec<Tally> {
        let rows = rows(kinds, &Arguments { mutants, seed: 1, kind: None }).unwrap();
        judge_all(&rows).unwrap()
    }

    #[test]
    fn every_verifier_refuses_its_mutants() {
        let kinds = kinds::kinds("test").unwrap();
        let tallies = tallies(&kinds, 4000);
        for (kind, tally) in kinds.iter().zip(&tallies) {
            assert_eq!(tally.accepted, 0, "{}: {:?}", kind.name, tally.findings);
            assert!(tally.refused_count() > 0, "{}", kind.name);
        }
        assert_eq!(tallies.iter().map(|tally| tally.mutants).sum::<usize>(), 4000);
    }

    #[test]
    fn a_verifier_that_accepts_everything_is_found_out() {
        let yes = |input: &[u8]| {
            let digest = Digest::of(input);
            Judgement::Accepted(Accepted { value: digest, statement: digest })
        };
        // This one overlooks what the text says, but nothing else.
        let lenient = move |input: &[u8]| match serde_json::from_slice::<serde_json::Value>(input) {
            Ok(_) => yes(b"always the same"),
            Err(_) => Judgement::Refused("SYNTAX".to_owned()),
        };
        let samples = || vec![br#"{"a":1,"b":[2,3]}"#.to_vec(), br#"{"a":4,"b":[5]}"#.to_vec()];
        let kinds = [
            Kind::new("yes", (Form::Json, 30), samples(), yes),
            Kind::new("lenient", (Form::Json, 30), samples(), lenient),
            Kind::new("panics", (Form::Json, 40), samples(), move |input| match input.len() {
                15 | 17 => yes(input),
                _ => panic!("this verifier gives up"),
            }),
        ];
        let tallies = tallies(&kinds, 600);
        let [first, second, third] = tallies.as_slice() else { panic!("three kinds") };
        // All but the other sample and the sample itself, whose answers are known.
        assert!(first.accepted > 150, "{first:?}");
        assert_eq!(first.findings.len(), 10);
        assert_eq!((second.accepted, second.same_statement), (0, 0), "{second:?}");
        assert!(second.same_value > 0 && second.refused_count() > 0, "{second:?}");
        assert!(third.accepted > 0, "{third:?}");
    }
}
