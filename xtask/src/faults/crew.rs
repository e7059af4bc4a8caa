//! A crew: several threads that work through one list of cases.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::failure::{Failure, Result};
use crate::pace::Pace;

/// How many cases run at the same time: they wait more than they compute.
const WORKERS: usize = 4;

/// Does `work` for each item, with the number of the worker that does it; the results come in the items' order.
///
/// # Errors
/// The first failure; the other workers stop at their next item.
pub fn work_through<T: Sync, R: Send>(items: &[T], work: impl Fn(usize, &T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let failed = Mutex::new(None::<Failure>);
    let pace = Mutex::new(Pace::begin());
    thread::scope(|scope| {
        for worker in 0..WORKERS.min(items.len()) {
            let (next, done, failed, pace, work) = (&next, &done, &failed, &pace, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(item) = items.get(number) else { return };
                    match work(worker, item) {
                        Ok(result) => {
                            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                            done.push((number, result));
                            if pace.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
                                eprintln!("{} of {}", done.len(), items.len());
                            }
                        }
                        Err(failure) => {
                            let mut first = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            *first = first.take().or(Some(failure));
                            // Nobody finds anything to do any more.
                            next.store(items.len(), Ordering::SeqCst);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(failure) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    let mut done: Vec<(usize, R)> = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_failures_come_out() {
        let items: Vec<u32> = (0..50).collect();
        let doubled = work_through(&items, |_, item| Ok(item * 2)).unwrap();
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        let failed = work_through(&items, |_, item| match item {
            7 => Err(Failure::new("seven")),
            _ => Ok(()),
        });
        assert_eq!(failed.unwrap_err().to_string(), "seven");
    }
}
