//! Guide: one reader inside the program that libFuzzer drives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{FOLDER, PROGRESS, Progress, SEEDS, TARGET, WORDS};
use crate::failure::{During as _, Failure, Result};
use crate::fuzz::corpus::short;
use crate::fuzz::judge::{judge, quiet_panics};
use crate::fuzz::run::processor_time;
use crate::fuzz::targets::{self, Target};
use crate::mutation::Mutator;

/// How long one input may take: longer than elsewhere, because a program that counts its branches is slower.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the progress is written.
const STEP: Duration = Duration::from_secs(1);
/// The longest word that libFuzzer is told of, in bytes; it knows none of more than 64.
const WORD_BYTES: usize = 48;
/// The longest sample that libFuzzer begins with, in bytes.
pub const SEED_BYTES: usize = 64 * 1024;

/// One reader, as libFuzzer drives it: what it is given, and what becomes of it.
pub struct Guide {
    target: Target,
    /// Where the progress is written; absent when libFuzzer only sorts inputs.
    folder: Option<PathBuf>,
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
    /// The reader that the environment names; its samples and words are written where libFuzzer will look for them.
    ///
    /// What goes wrong ends the process: there is nobody who could be told otherwise.
    pub fn from_environment() -> Self {
        Self::begin().unwrap_or_else(|failure| {
            eprintln!("guided: {failure}");
            std::process::exit(2)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the arguments are libFuzzer's own")]
    fn begin() -> Result<Self> {
        let name = std::env::var(TARGET).during(format!("read `{TARGET}`: `cargo xtask fuzz --guided` sets it"))?;
        let folder = std::env::var_os(FOLDER).map(PathBuf::from);
        let target = targets::targets()?.into_iter().find(|target| target.name == name);
        let target = target.ok_or_else(|| Failure::new(format!("there is no target `{name}`")))?;
        let words = targets::words(&target.seeds);
        if let Some(folder) = &folder {
            write_seeds(&folder.join(SEEDS), &target.seeds)?;
            fs::write(folder.join(WORDS), dictionary(&words))?;
        }
        // Before this, libFuzzer's own hook ends the process at each panic, also at one that a reader catches.
        quiet_panics();
        let pace = Pace { inputs: 0, begun: processor_time(), written: Instant::now() };
        Ok(Self { target, folder, mutator: Mutex::new(Mutator::new(1, words)), pace: Mutex::new(pace) })
    }

    /// Reads an input; a reader that breaks a property ends the process, which is how libFuzzer learns of it.
    pub fn read(&self, input: &[u8]) {
        if let Err(problem) = judge(&self.target, input, PATIENCE) {
            eprintln!("{}{problem}", super::SAID);
            std::process::abort();
        }
        if let Some(folder) = &self.folder
            && let Err(failure) = self.count(folder)
        {
            eprintln!("guided: {failure}");
            std::process::abort();
        }
    }

    /// Changes the first `size` bytes by what is known of formats, and gives the new size, at most `most`; what became
    /// longer than that stays as it was.
    pub fn change(&self, data: &mut [u8], size: usize, most: usize) -> usize {
        let changed = {
            let mut mutator = lock(&self.mutator);
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

    fn count(&self, folder: &Path) -> Result<()> {
        let mut pace = lock(&self.pace);
        pace.inputs += 1;
        if pace.written.elapsed() < STEP {
            return Ok(());
        }
        pace.written = Instant::now();
        let spent = processor_time().saturating_sub(pace.begun);
        let progress = Progress { millis: u64::try_from(spent.as_millis())?, inputs: pace.inputs };
        fs::write(folder.join(PROGRESS), serde_json::to_vec(&progress)?).during("write the progress")
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes samples in place of those of the run before, which other keys signed.
fn write_seeds(folder: &Path, seeds: &[Vec<u8>]) -> Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for seed in seeds.iter().filter(|seed| seed.len() <= SEED_BYTES) {
        fs::write(folder.join(short(seed)), seed)?;
    }
    Ok(())
}

/// Words in libFuzzer's form: one a line, in quotes, every byte escaped.
fn dictionary(words: &[Vec<u8>]) -> String {
    let fit = words.iter().filter(|word| !word.is_empty() && word.len() <= WORD_BYTES);
    fit.map(|word| {
        let escaped: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{escaped}\"\n")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::outcome::Outcome;
    use crate::scratch::Scratch;

    #[test]
    fn changes_fit_into_the_place_that_there_is() {
        let seeds = vec![b"{\"a\": [1, 2, 3]}".to_vec(), vec![b'x'; 300]];
        let target = Target::new("test-only", seeds.clone(), |_| Outcome::accepted(&1));
        let pace = Pace { inputs: 0, begun: Duration::ZERO, written: Instant::now() };
        let mutator = Mutex::new(Mutator::new(7, targets::words(&seeds)));
        let guide = Guide { target, folder: None, mutator, pace: Mutex::new(pace) };
        let mut sizes = std::collections::BTreeSet::new();
        for turn in 0..2000 {
            let most = [0, 5, 16, 64][turn % 4];
            let mut data = vec![b'1'; 64];
            let size = guide.change(&mut data, 16, most);
            assert!(size <= most);
            sizes.insert(size);
        }
        assert!(sizes.len() > 10, "{sizes:?}");
    }

    #[test]
    fn words_and_samples_are_written_as_libfuzzer_reads_them() {
        assert_eq!(dictionary(&[b"a\"".to_vec(), Vec::new(), vec![b'x'; WORD_BYTES + 1]]), "\"\\x61\\x22\"\n");
        let scratch = Scratch::new("fuzz-seeds").unwrap();
        let folder = scratch.path().join("seeds");
        write_seeds(&folder, &[b"old".to_vec()]).unwrap();
        write_seeds(&folder, &[b"a".to_vec(), b"b".to_vec(), vec![0; SEED_BYTES + 1]]).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }
}
