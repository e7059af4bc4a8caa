//! The state that entries are folded into: entries out of order, entries that contradict what came before.
//!
//! Whoever runs the log can sign whatever they like into it, so that a verifier folds entries that no engine wrote. Each has
//! to be refused or taken, and a state that took some has to answer every question without a panic.

use std::collections::BTreeSet;
use std::sync::Arc;

use lockgate_ledger::entry::{Position, SCHEMA};
use lockgate_ledger::replay::deliberate;
use lockgate_ledger::state::Slice;
use lockgate_ledger::{ApplyError, BodyMap, ClaimCache, Entry, Leaf, State};
use lockgate_model::{EntryIndex, Limits, StreamName, UnixMillis};

use super::Target;
use crate::failure::{Failure, Result};
use crate::fuzz::outcome::{NotRead, Outcome};
use crate::fuzz::story::Story;

/// How many entries of one input are applied.
const ENTRIES_MAX: usize = 4;
/// How many promotions of a state are decided on.
const PROMOTIONS_MAX: usize = 2;

/// A real ledger, and its state before and after each of its entries.
struct Ledger {
    /// The state before the entry at each place, and after the last one.
    states: Vec<State>,
    bodies: BodyMap,
}

/// Every target.
///
/// # Errors
/// When no entry of the samples can be applied.
pub fn targets(story: &Story) -> Result<Vec<Target>> {
    let ledger = Ledger::fold(story)?;
    let last = ledger.states.len() - 1;
    let mut seeds = Vec::new();
    for (at, bytes) in story.entries.iter().enumerate() {
        seeds.push(input(at, &[bytes]));
        seeds.push(input(at, &[bytes, bytes]));
        // What has happened long ago, once more.
        seeds.push(input(last, &[bytes]));
    }
    for (at, pair) in story.entries.windows(2).enumerate() {
        if let [one, other] = pair {
            seeds.push(input(at, &[other, one]));
        }
    }
    Ok(vec![Target::new("state-apply", seeds, move |input| ledger.apply(input))])
}

/// How an input says after how many entries of the ledger its own come.
fn input(at: usize, entries: &[&Vec<u8>]) -> Vec<u8> {
    let mut bytes = at.to_string().into_bytes();
    for entry in entries {
        bytes.push(b'\n');
        bytes.extend_from_slice(entry);
    }
    bytes
}

impl Ledger {
    fn fold(story: &Story) -> Result<Self> {
        let mut bodies = BodyMap::default();
        for body in &story.bodies {
            bodies.insert(body.clone());
        }
        let mut states = vec![State::default()];
        let mut state = State::default();
        for (index, bytes) in (0..).zip(&story.entries) {
            // Of what no promotion rests on, the bodies are not here: the ledger ends before it.
            if let Leaf::Entry(entry) = Leaf::decode(bytes, &Limits::DEFAULT)?
                && state.apply(EntryIndex(index), &entry, &bodies, Slice::Whole).is_err()
            {
                break;
            }
            states.push(state.clone());
        }
        match states.len() {
            0 | 1 => Err(Failure::new("the first entry of the ledger cannot be applied")),
            _ => Ok(Self { states, bodies }),
        }
    }

    /// Applies entries to the state that the first line names: as they are, as if entries before them had been left out,
    /// and as if whoever wrote them had put them into the right places.
    fn apply(&self, input: &[u8]) -> Outcome {
        let mut lines = input.split(|byte| *byte == b'\n');
        let first = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse::<usize>().ok());
        let at = first.unwrap_or_default().min(self.states.len().saturating_sub(1));
        let Some(start) = self.states.get(at) else { return Outcome::no_text() };
        let (mut state, mut index) = (start.clone(), EntryIndex(at as u64));
        let mut told = Vec::new();
        let mut broken = None;
        let mut refused = None;
        for line in lines.take(ENTRIES_MAX) {
            let entry = match Leaf::decode(line, &Limits::DEFAULT) {
                Ok(Leaf::Entry(entry)) => entry,
                Ok(Leaf::HashedRekord) => continue,
                Err(error) => {
                    refused = Some(NotRead(error.to_string()));
                    continue;
                }
            };
            let fitted = fitted(&state, &entry);
            let mut partial = state.clone();
            for (tried, entry, slice) in [
                (&mut state.clone(), &*entry, Slice::Whole),
                (&mut partial, &*entry, Slice::Partial),
                (&mut state, &fitted, Slice::Whole),
            ] {
                let before = tried.clone();
                let came = tried.apply(index, entry, &self.bodies, slice);
                if came.is_err() && !is_same(&before, tried) {
                    broken = Some(format!("a refused `{}` has changed the state", entry.event.name()));
                }
                told.push(word(&came));
            }
            told.push(self.ask(&partial));
            index = EntryIndex(index.0 + 1);
        }
        told.push(self.ask(&state));
        let mut outcome = match refused.filter(|_| told.len() == 1) {
            Some(error) => Outcome::refused(&error),
            None => Outcome::accepted(&told),
        };
        outcome.shape = told.join(" ").chars().take(160).collect();
        outcome.broken = broken;
        outcome
    }

    /// Asks a state what it is asked of every promotion, and says how that came out.
    fn ask(&self, state: &State) -> String {
        let time = state.time().unwrap_or(UnixMillis(0));
        let asked = state.releases().flat_map(|release| release.promotions.keys().copied());
        let mut said = BTreeSet::new();
        for promotion in asked.take(PROMOTIONS_MAX) {
            let decided = deliberate(state, promotion, time, &self.bodies, &ClaimCache::default());
            said.insert(match decided {
                Ok(decided) => decided.decision.outcome.as_str().to_owned(),
                Err(error) => error.code.to_owned(),
            });
        }
        said.into_iter().collect::<Vec<_>>().join(",")
    }
}

/// How applying came out.
fn word(came: &std::result::Result<(), ApplyError>) -> String {
    match came {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.code.to_owned(),
    }
}

/// Whether two states are one; what they share is not looked at.
fn is_same(before: &State, after: &State) -> bool {
    let governed = match (before.governance(), after.governance()) {
        (Ok(before), Ok(after)) => Arc::ptr_eq(before, after) || format!("{before:?}") == format!("{after:?}"),
        (before, after) => before.is_ok() == after.is_ok(),
    };
    let releases = |state: &State| format!("{:?}", state.releases().collect::<Vec<_>>());
    let heads = |state: &State| format!("{:?}", state.heads().collect::<Vec<_>>());
    governed && before.time() == after.time() && heads(before) == heads(after) && releases(before) == releases(after)
}

/// The same event in an entry that comes next: what only somebody who runs the log can write.
fn fitted(state: &State, entry: &Entry) -> Entry {
    let listed = entry.streams.iter().map(|link| link.stream.clone());
    let mut streams: Vec<StreamName> = entry.event.streams(&entry.actor);
    streams.extend(listed);
    let mut seen = BTreeSet::new();
    streams.retain(|stream| seen.insert(stream.clone()));
    let head = state.head(&StreamName::governance());
    Entry {
        schema: SCHEMA.to_owned(),
        time: state.time().map_or(entry.time, |time| time.max(entry.time)),
        actor: entry.actor.clone(),
        governance: head.map(|head| Position { seq: head.seq, index: head.index }),
        streams: streams.iter().map(|stream| state.next_link(stream)).collect(),
        event: entry.event.clone(),
    }
}
