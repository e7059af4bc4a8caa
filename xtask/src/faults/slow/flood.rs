//! A flood: connections that are opened as fast as this machine can, while a healthy client opens its own. Afterwards the
//! server has to be what it was before.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;

use super::{GROWTH_KIB, P99_MILLIS, PAUSE, connect_from, percentile};
use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};
use crate::faults::outcome::{Case, Part};
use crate::server::Server;

/// How many connections a flood opens at least: with `--quick`, and else.
const QUICK: usize = 2_000;
const FULL: usize = 40_000;
/// How many it opens at most, while it waits for the healthy clients: each takes a port for a minute.
const MOST: usize = 150_000;
/// How many requests of healthy clients have to be answered during a flood, so that one of a hundred is not the slowest
/// alone; and how many such clients there are.
const LEAST: usize = 200;
const HEALTHY: usize = 4;
/// How many floods there are: what the first one takes, the second one has to find.
const FLOODS: usize = 2;
/// How many threads open connections, and how many of its own each leaves open behind it.
const FLOODERS: usize = 2;
const LEFT_OPEN: usize = 800;
/// One of so many connections comes from the same address, which so has more than the server gives to one; the others
/// come from so many more.
const SAME_ADDRESS: usize = 4;
const OTHER_ADDRESSES: usize = 15;
/// How long a flood may take, and how soon after it everything that it opened has to be closed.
const LENGTH: Duration = Duration::from_secs(600);
const RECOVERY: Duration = Duration::from_secs(10);
/// How often is looked whether it is over.
const STEP: Duration = Duration::from_millis(50);
/// How many more files than at first may be open: databases open files when they are written to.
const MORE_FILES: usize = 16;
/// How much memory a later flood may add.
const AGAIN_KIB: u64 = 16 * 1024;

/// What was seen of a flood.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// How many requests of the healthy clients were answered, and the value that 99 of a hundred did not exceed.
    requests: usize,
    p99: Duration,
    /// How much more memory there was at most than before the flood, and than after the one before.
    growth_kib: u64,
    again_kib: u64,
    /// Whether everything was closed in time.
    closed: bool,
}

/// Floods the server twice; `files` is how many it had open when nothing was asked of it.
///
/// # Errors
/// When a connection cannot be opened, or the healthy client is refused.
pub fn run(server: &Server, token: &str, files: usize, quick: bool, part: &mut Part) -> Result<()> {
    let connections = if quick { QUICK } else { FULL };
    let mut before = None;
    for number in 1..=FLOODS {
        let idle = server.memory_kib("VmRSS")?;
        let Flood { latencies, poured, most_kib } = flood(server, token, connections)?;
        let closed = wait_until("the end of the flood's connections", RECOVERY, STEP, || {
            Ok((server.open_files()? <= files + MORE_FILES).then_some(()))
        })
        .is_ok();
        let after = server.memory_kib("VmRSS")?;
        let (requests, p99) = percentile(latencies, 99);
        let growth_kib = most_kib.max(after).saturating_sub(idle);
        let again_kib = before.map_or(0, |before| after.saturating_sub(before));
        let seen = Seen { requests, p99, growth_kib, again_kib, closed };
        part.notes.push(format!(
            "flood {number} of {poured} connections: healthy p99 {} ms of {requests} requests, each on a connection of \
             its own; memory +{growth_kib} KiB; {} files open at the end",
            p99.as_millis(),
            server.open_files()?
        ));
        part.count(&judge(seen));
        before = Some(after);
    }
    Ok(())
}

fn judge(seen: Seen) -> Case {
    let Seen { requests, p99, growth_kib, again_kib, closed } = seen;
    if requests < LEAST {
        Case::Found(format!(
            "flood: {requests} requests of healthy clients were answered: fewer than {LEAST} say nothing"
        ))
    } else if p99.as_millis() > P99_MILLIS {
        Case::Found(format!("flood: p99 of a healthy client is {} ms of {requests} requests", p99.as_millis()))
    } else if growth_kib >= GROWTH_KIB {
        Case::Found(format!("flood: the server uses {growth_kib} KiB more"))
    } else if again_kib >= AGAIN_KIB {
        Case::Found(format!("flood: the server uses {again_kib} KiB more after each flood"))
    } else if !closed {
        Case::Found(format!("flood: connections are still open after {} s", RECOVERY.as_secs()))
    } else {
        Case::Harmless
    }
}

/// What came of one flood.
struct Flood {
    /// What the healthy clients waited.
    latencies: Vec<Duration>,
    /// How many connections it opened.
    poured: usize,
    /// The most memory that the server used.
    most_kib: u64,
}

/// One flood: so many connections, and more of them until enough requests of healthy clients are answered.
fn flood(server: &Server, token: &str, connections: usize) -> Result<Flood> {
    let address: SocketAddrV4 = server.address().parse().during("the server's address")?;
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (answered, over) = (&answered, &over);
        let healthy: Vec<_> =
            (0..HEALTHY).map(|_| scope.spawn(move || work(server.url(), token, answered, over))).collect();
        let share = (connections / FLOODERS, MOST / FLOODERS);
        let flooders: Vec<_> =
            (0..FLOODERS).map(|_| scope.spawn(move || pour(share, address, answered, over))).collect();
        let mut most_kib = 0;
        let ended = wait_until("the end of the flood", LENGTH, STEP, || {
            most_kib = most_kib.max(server.memory_kib("VmRSS")?);
            Ok(flooders.iter().all(|flooder| flooder.is_finished()).then_some(()))
        });
        // Whoever is still at it stops.
        over.store(true, Ordering::SeqCst);
        let mut poured = 0;
        for flooder in flooders {
            poured += flooder.join().unwrap_or_else(|_| Err(Failure::new("a flooder panicked")))?;
        }
        let mut latencies = Vec::new();
        for client in healthy {
            latencies.extend(client.join().unwrap_or_else(|_| Err(Failure::new("a healthy client panicked")))?);
        }
        ended?;
        Ok(Flood { latencies, poured, most_kib })
    })
}

/// Opens connections one after the other, and closes the oldest when too many are open: so many at least, and at most.
/// Says how many.
fn pour((least, most): (usize, usize), to: SocketAddrV4, answered: &AtomicUsize, over: &AtomicBool) -> Result<usize> {
    let mut open = VecDeque::with_capacity(LEFT_OPEN + 1);
    for number in 0..most {
        let is_enough = number >= least && answered.load(Ordering::SeqCst) >= LEAST;
        if is_enough || over.load(Ordering::SeqCst) {
            return Ok(number);
        }
        // One address has too few ports for what comes after the least.
        let from = match number % SAME_ADDRESS {
            0 if number < least => 0,
            _ => 1 + number % OTHER_ADDRESSES,
        };
        let mut stream = connect_from(u8::try_from(2 + from)?, to)?;
        let said = match number % 3 {
            0 => "",
            1 => "GET /v1/ser",
            _ => "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        // Where the server has refused already, nothing can be said.
        let _ = stream.write_all(said.as_bytes());
        open.push_back(stream);
        if open.len() > LEFT_OPEN {
            drop(open.pop_front());
        }
    }
    Ok(most)
}

/// Asks again and again until the flood is over; each time anew, in the same queue as the flood.
fn work(url: &str, token: &str, answered: &AtomicUsize, over: &AtomicBool) -> Result<Vec<Duration>> {
    // Nothing is ever sent: the channel only measures time.
    let (_held, time) = mpsc::channel::<()>();
    let mut latencies = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let client = Client::new(url, Some(token.to_owned()));
        let started = Instant::now();
        client.get_bytes("/v1/server").during("a read of a healthy client")?;
        latencies.push(started.elapsed());
        answered.fetch_add(1, Ordering::SeqCst);
        let _ = time.recv_timeout(PAUSE);
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goal_can_be_missed() {
        let good = Seen { requests: LEAST, p99: Duration::from_millis(250), growth_kib: 9, again_kib: 9, closed: true };
        assert_eq!(judge(good), Case::Harmless);
        let found = |seen: Seen| assert!(matches!(judge(seen), Case::Found(_)), "{seen:?}");
        found(Seen { requests: LEAST - 1, ..good });
        found(Seen { p99: Duration::from_millis(251), ..good });
        found(Seen { growth_kib: GROWTH_KIB, ..good });
        found(Seen { again_kib: AGAIN_KIB, ..good });
        found(Seen { closed: false, ..good });
    }
}
