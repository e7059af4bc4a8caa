//! The build with the feature: what the environment asks for happens at the place that it names.

#[cfg(not(debug_assertions))]
compile_error!("the feature `faults` is for test builds alone: leave it out, or build without --release");

use std::cell::Cell;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{PLANTS, POINTS};

/// What was asked of this process; read once.
static PLAN: OnceLock<Plan> = OnceLock::new();

thread_local! {
    /// Whether this thread has staged the event from which on passes count. The commit of a request follows in the same
    /// thread, and no other thread's commit is taken for it.
    static REACHED: Cell<bool> = const { Cell::new(false) };
}

/// Passes a named place, which is where the process may end.
pub fn point(name: &'static str) {
    let _ = pass(name);
}

/// Passes a named place, which is where the process may end; says whether the step behind it has to fail.
#[must_use]
pub fn fails(name: &'static str) -> bool {
    pass(name)
}

/// Tells that an entry is staged: where passes count from this event on, they do from here on in this thread.
pub fn staged(event: &'static str) {
    if let Fault::At { behind: Some(behind), .. } = &plan().fault
        && behind == event
    {
        REACHED.set(true);
    }
}

/// Whether a deliberate defect is switched on.
#[must_use]
pub fn planted(name: &'static str) -> bool {
    plan().plant.as_deref() == Some(name)
}

/// What was asked of this process.
#[derive(Debug)]
struct Plan {
    fault: Fault,
    /// How often the place of the fault has been passed.
    passed: AtomicU64,
    plant: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    None,
    Trace,
    List,
    At { name: String, how: How, nth: u64, behind: Option<String> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Kill,
    Error,
}

fn plan() -> &'static Plan {
    PLAN.get_or_init(Plan::of_environment)
}

fn pass(name: &str) -> bool {
    let plan = plan();
    match &plan.fault {
        Fault::None => false,
        Fault::Trace => {
            tell(&format!("failpoint {name} passed"));
            false
        }
        Fault::List => list(),
        Fault::At { name: planned, how, nth, behind } => {
            if planned != name || (behind.is_some() && !REACHED.get()) {
                return false;
            }
            if plan.passed.fetch_add(1, Ordering::SeqCst).saturating_add(1) != *nth {
                return false;
            }
            match how {
                How::Kill => {
                    tell(&format!("failpoint {name} kills"));
                    std::process::abort()
                }
                How::Error => {
                    tell(&format!("failpoint {name} fails"));
                    true
                }
            }
        }
    }
}

impl Plan {
    #[expect(clippy::disallowed_methods, reason = "test builds alone; see the crate's text")]
    fn of_environment() -> Self {
        let fault = read(&std::env::var("LOCKGATE_FAULT").unwrap_or_default());
        let plant = read_plant(&std::env::var("LOCKGATE_PLANT").unwrap_or_default());
        match (fault, plant) {
            (Ok(fault), Ok(plant)) => Self { fault, passed: AtomicU64::new(0), plant },
            // A slip of the pen must not look like a fault that did no harm.
            (Err(message), _) | (_, Err(message)) => {
                tell(&message);
                std::process::exit(2)
            }
        }
    }
}

fn read(text: &str) -> Result<Fault, String> {
    match text {
        "" => return Ok(Fault::None),
        "trace" => return Ok(Fault::Trace),
        "list" => return Ok(Fault::List),
        _ => {}
    }
    let form = || {
        format!(
            "`{text}` is not a fault: write LOCKGATE_FAULT=<point>:kill@<n>, :error@<n>, the same with /<event>, trace or list"
        )
    };
    let (name, what) = text.split_once(':').ok_or_else(form)?;
    let (what, behind) = match what.split_once('/') {
        Some((_, "")) => return Err(form()),
        Some((what, event)) => (what, Some(event.to_owned())),
        None => (what, None),
    };
    let (how, nth) = what.split_once('@').unwrap_or((what, "1"));
    let how = match how {
        "kill" => How::Kill,
        "error" => How::Error,
        _ => return Err(form()),
    };
    let nth = nth.parse::<u64>().ok().filter(|nth| *nth > 0).ok_or_else(form)?;
    let known = POINTS.iter().find(|point| point.name == name);
    let known = known.ok_or_else(|| format!("`{name}` is not a failpoint: LOCKGATE_FAULT=list prints them"))?;
    if how == How::Error && !known.fails {
        return Err(format!("the step behind `{name}` cannot fail: only :kill is possible there"));
    }
    Ok(Fault::At { name: name.to_owned(), how, nth, behind })
}

fn read_plant(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        _ if PLANTS.iter().any(|plant| plant.name == text) => Ok(Some(text.to_owned())),
        _ => Err(format!("`{text}` is not a planted bug: LOCKGATE_PLANT takes a name of `cargo xtask planted --list`")),
    }
}

fn list() -> ! {
    let mut out = io::stdout().lock();
    for point in POINTS {
        // Whoever closed the pipe has seen enough.
        let _ = writeln!(out, "{}\t{}\t{}", point.name, point.when.as_str(), point.says);
    }
    std::process::exit(0)
}

/// Writes one line for whoever watches; a closed pipe changes nothing.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_a_place_and_a_time() {
        let at = |name: &str, how, nth| Ok(Fault::At { name: name.to_owned(), how, nth, behind: None });
        let behind = |name: &str, how, nth, event: &str| {
            Ok(Fault::At { name: name.to_owned(), how, nth, behind: Some(event.to_owned()) })
        };
        let check = |text: &str, expected: Result<Fault, ()>| {
            assert_eq!(read(text).map_err(|_| ()), expected, "{text}");
        };
        check("", Ok(Fault::None));
        check("trace", Ok(Fault::Trace));
        check("list", Ok(Fault::List));
        check("sequencer.committed:kill@2", at("sequencer.committed", How::Kill, 2));
        check("sequencer.committed:kill", at("sequencer.committed", How::Kill, 1));
        check("transaction.before-commit:error@3", at("transaction.before-commit", How::Error, 3));
        let text = "transaction.before-commit:error@2/key.rotated";
        check(text, behind("transaction.before-commit", How::Error, 2, "key.rotated"));
        check("transaction.committed:kill/key.rotated", behind("transaction.committed", How::Kill, 1, "key.rotated"));
        assert!(read("transaction.committed:kill@1/").is_err());
        for bad in ["x", "sequencer.committed", "nowhere:kill@1", "sequencer.committed:kill@0", "blob.linked:error@1"] {
            check(bad, Err(()));
        }
        assert!(read_plant("quorum-counts-signatures").is_ok() && read_plant("nothing").is_err());
    }
}
