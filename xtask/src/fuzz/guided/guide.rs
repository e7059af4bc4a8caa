//! Guide: one reader inside the program that libFuzzer drives.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal};

use super::{BROKEN, FAILED, FOLDER, PROGRESS, Progress, TARGET, TRACE, story_of};
use crate::failure::{During as _, Failure, Result};
use crate::fuzz::corpus;
use crate::fuzz::judge::{judge, quiet_panics};
use crate::fuzz::run::processor_time;
use crate::fuzz::targets::{self, Target};
use crate::mutation::Mutator;

/// How long one input may take: longer than elsewhere, because a program that counts its branches is slower.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the progress is written.
const STEP: Duration = Duration::from_secs(1);
/// The stack of the thread that reads, in bytes: as much as the threads of the server have.
const STACK_BYTES: u64 = 2 * 1024 * 1024;
/// The memory that the program may ask for, in bytes, with everything that libFuzzer keeps: who asks for more ends it
/// there and then, so that the right input is blamed.
const MEMORY_BYTES: u64 = 1024 * 1024 * 1024;

/// One reader, as libFuzzer drives it: what it is given, and what becomes of it.
pub struct Guide {
    target: Target,
    /// Where the progress is written.
    progress: PathBuf,
    /// Whether each input is written down before it is read.
    trace: bool,
    mutator: Mutex<Mutator>,
    pace: Mutex<Pace>,
}

/// How far the run is.
#[derive(Debug)]
struct Pace {
    inputs: u64,
    begun: Duration,
    written: Instant,
}

impl Guide {
    /// The reader that the environment names, within the limits that it has to keep.
    ///
    /// What goes wrong ends the process: there is nobody who could be told otherwise.
    pub fn from_environment() -> Self {
        Self::begin().unwrap_or_else(|failure| {
            eprintln!("{FAILED}{failure}");
            std::process::exit(2)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the arguments are libFuzzer's own")]
    fn begin() -> Result<Self> {
        let set = "`cargo xtask fuzz --guided` sets it";
        let name = std::env::var(TARGET).during(format!("read `{TARGET}` ({set})"))?;
        let folder = std::env::var(FOLDER).during(format!("read `{FOLDER}` ({set})"))?;
        let trace = std::env::var_os(TRACE).is_some();
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let folder = PathBuf::from(folder);
        let target = targets::targets(&story_of(&folder)?)?.into_iter().find(|target| target.name == name);
        let target = target.ok_or_else(|| Failure::new(format!("there is no target `{name}`")))?;
        for (resource, most) in [(Resource::Stack, STACK_BYTES), (Resource::Data, MEMORY_BYTES)] {
            rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        // Before this, libFuzzer's own hook ends the process at each panic, also at one that a reader catches.
        quiet_panics();
        let mutator = Mutator::new(0, targets::words(&target.seeds));
        let pace = Pace { inputs: 0, begun: processor_time(), written: Instant::now() };
        let progress = folder.join(&name).join(PROGRESS);
        Ok(Self { target, progress, trace, mutator: Mutex::new(mutator), pace: Mutex::new(pace) })
    }

    /// Reads an input; a reader that breaks a property ends the process, which is how libFuzzer learns of it.
    pub fn read(&self, input: &[u8]) {
        if self.trace {
            self.must(corpus::trace(&self.target.name, input));
        }
        if let Err(problem) = judge(&self.target, input, PATIENCE) {
            eprintln!("{BROKEN}{problem}");
            std::process::abort();
        }
        self.must(self.count());
    }

    /// Changes the first `size` bytes by what is known of formats, as the seed says, and gives the new size, at most
    /// `most`; what became longer than that stays as it was.
    pub fn change(&self, data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
        let changed = {
            let mut mutator = lock(&self.mutator);
            mutator.begin_anew(seed.into());
            let other = mutator.pick_input(&self.target.seeds);
            mutator.mutate(data.get(..size).unwrap_or_default(), other)
        };
        match data.get_mut(..changed.len()) {
            Some(place) if changed.len() <= most => {
                place.copy_from_slice(&changed);
                changed.len()
            }
            _ => size.min(most),
        }
    }

    fn count(&self) -> Result<()> {
        let mut pace = lock(&self.pace);
        pace.inputs += 1;
        if pace.written.elapsed() < STEP {
            return Ok(());
        }
        pace.written = Instant::now();
        let spent = processor_time().saturating_sub(pace.begun);
        let progress = Progress { millis: u64::try_from(spent.as_millis())?, inputs: pace.inputs };
        let fresh = self.progress.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(&progress)?).during("write the progress")?;
        fs::rename(&fresh, &self.progress).during("write the progress")
    }

    /// What fails for another reason than the reader ends the process, too, and says so.
    fn must(&self, outcome: Result<()>) {
        if let Err(failure) = outcome {
            eprintln!("{FAILED}{failure}");
            std::process::abort();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::outcome::Outcome;

    #[test]
    fn changes_follow_from_the_seed_and_fit_into_the_place_that_there_is() {
        let seeds = vec![b"{\"a\": [1, 2, 3]}".to_vec(), vec![b'x'; 300]];
        let target = Target::new("test-only", seeds.clone(), |_| Outcome::accepted(&1));
        let pace = Pace { inputs: 0, begun: Duration::ZERO, written: Instant::now() };
        let mutator = Mutex::new(Mutator::new(7, targets::words(&seeds)));
        let guide = Guide { target, progress: PathBuf::new(), trace: false, mutator, pace: Mutex::new(pace) };
        let changed = |most: usize, seed: u32| {
            let mut data = vec![b'1'; 64];
            let size = guide.change(&mut data, 16, most, seed);
            assert!(size <= most);
            data[..size].to_vec()
        };
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..500 {
            for most in [0, 5, 16, 64] {
                assert_eq!(changed(most, seed), changed(most, seed));
                found.insert(changed(most, seed));
            }
        }
        assert!(found.len() > 100, "{}", found.len());
    }
}
