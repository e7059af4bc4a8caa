//! Judge: what every reader has to keep, asked of one input.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::outcome::Outcome;
use super::targets::Target;

/// How long one input may take.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How often a slow input is read again before that is a finding: a busy machine is slow once.
const SLOW_TURNS: usize = 3;

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what a panic says for whoever catches it, instead of printing it.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        PANIC.with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = text;
            }
        });
    }));
}

/// Reads an input, and checks every property; a slow one is read again, and the fastest time counts.
///
/// # Errors
/// The property that the reader breaks, as a sentence.
pub fn judge(target: &Target, input: &[u8], patience: Duration) -> Result<Outcome, String> {
    let started = Instant::now();
    let first = guarded(target, input)?;
    let mut fastest = started.elapsed();
    let mut turn = 1;
    while fastest > patience && turn < SLOW_TURNS {
        let again = Instant::now();
        guarded(target, input)?;
        fastest = fastest.min(again.elapsed());
        turn += 1;
    }
    if fastest > patience {
        return Err(format!("it takes {:.1} s to read", fastest.as_secs_f64()));
    }
    if let Some(broken) = &first.broken {
        return Err(broken.clone());
    }
    match guarded(target, input)? == first {
        true => Ok(first),
        false => Err("read twice, it gives two answers".to_owned()),
    }
}

fn guarded(target: &Target, input: &[u8]) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| target.read(input))).map_err(|_| {
        let text = PANIC.with(|last| last.try_borrow().map(|last| last.clone()).unwrap_or_default());
        format!("the reader panics: {}", text.lines().collect::<Vec<_>>().join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(read: impl Fn(&[u8]) -> Outcome + Send + Sync + 'static) -> Option<String> {
        told_within(PATIENCE, read)
    }

    fn told_within(patience: Duration, read: impl Fn(&[u8]) -> Outcome + Send + Sync + 'static) -> Option<String> {
        judge(&Target::new("test-only", Vec::new(), read), b"seed 12", patience).err()
    }

    #[test]
    fn every_property_can_be_broken() {
        assert_eq!(told(|input| Outcome::accepted(&input.len())), None);
        assert_eq!(told_within(Duration::ZERO, |_| Outcome::accepted(&1)).unwrap(), "it takes 0.0 s to read");
        assert!(told(|_| panic!("on purpose")).unwrap().starts_with("the reader panics"));
        let count = std::sync::atomic::AtomicU64::new(0);
        let restless = move |_: &[u8]| Outcome::accepted(&count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        assert_eq!(told(restless).unwrap(), "read twice, it gives two answers");
        let respelled = |input: &[u8]| {
            let read: Result<u8, std::num::ParseIntError> = Ok(1);
            Outcome::spelled(input, &read, |_| Ok::<_, String>(Vec::new()))
        };
        assert_eq!(told(respelled).unwrap(), "an accepted document is written in another spelling");
    }
}
