//! A flood: connections that are opened as fast as this machine can, while a healthy client opens its own. Afterwards the
//! server has to be what it was before.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddrV4;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;

use super::{GROWTH_KIB, P99_MILLIS, PAUSE, connect_from, percentile};
use crate::deadline::wait_until;
use crate::failure::{During as _, Failure, Result};
use crate::faults::outcome::{Case, Part};
use crate::server::Server;

/// How many connections a flood opens: with `--quick`, and else.
const QUICK: usize = 2_000;
const FULL: usize = 40_000;
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
    /// How many requests of the healthy client were answered, and the value that 99 of a hundred did not exceed.
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
        let (latencies, most) = flood(server, token, connections)?;
        let closed = wait_until("the end of the flood's connections", RECOVERY, STEP, || {
            Ok((server.open_files()? <= files + MORE_FILES).then_some(()))
        })
        .is_ok();
        let after = server.memory_kib("VmRSS")?;
        let (requests, p99) = percentile(latencies, 99);
        let growth_kib = most.max(after).saturating_sub(idle);
        let again_kib = before.map_or(0, |before| after.saturating_sub(before));
        let seen = Seen { requests, p99, growth_kib, again_kib, closed };
        part.notes.push(format!(
            "flood {number} of {connections} connections: healthy p99 {} ms of {requests} requests, each on a connection \
             of its own; memory +{growth_kib} KiB; {} files open at the end",
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
    if requests == 0 || p99.as_millis() > P99_MILLIS {
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

/// One flood: what the healthy client waited, and the most memory that the server used.
fn flood(server: &Server, token: &str, connections: usize) -> Result<(Vec<Duration>, u64)> {
    let address: SocketAddrV4 = server.address().parse().during("the server's address")?;
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let healthy = scope.spawn(move || work(server.url(), token, &stopped));
        let flooders: Vec<_> =
            (0..FLOODERS).map(|_| scope.spawn(move || pour(connections / FLOODERS, address))).collect();
        let mut most = 0;
        let over = wait_until("the end of the flood", LENGTH, STEP, || {
            most = most.max(server.memory_kib("VmRSS")?);
            Ok(flooders.iter().all(|flooder| flooder.is_finished()).then_some(()))
        });
        // The other side stops when this one is gone.
        drop(stop);
        over?;
        for flooder in flooders {
            flooder.join().unwrap_or_else(|_| Err(Failure::new("a flooder panicked")))?;
        }
        let latencies = healthy.join().unwrap_or_else(|_| Err(Failure::new("the healthy client panicked")))?;
        Ok((latencies, most))
    })
}

/// Opens connections one after the other, and closes the oldest when too many are open.
fn pour(connections: usize, to: SocketAddrV4) -> Result<()> {
    let mut open = VecDeque::with_capacity(LEFT_OPEN + 1);
    for number in 0..connections {
        let from = match number % SAME_ADDRESS {
            0 => 0,
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
    Ok(())
}

/// Asks again and again until the other side of `stopped` is gone; each time anew, in the same queue as the flood.
fn work(url: &str, token: &str, stopped: &Receiver<()>) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let client = Client::new(url, Some(token.to_owned()));
        let started = Instant::now();
        client.get_bytes("/v1/server").during("a read of the healthy client")?;
        latencies.push(started.elapsed());
        if stopped.recv_timeout(PAUSE) == Err(mpsc::RecvTimeoutError::Disconnected) {
            return Ok(latencies);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goal_can_be_missed() {
        let good = Seen { requests: 9, p99: Duration::from_millis(250), growth_kib: 9, again_kib: 9, closed: true };
        assert_eq!(judge(good), Case::Harmless);
        let found = |seen: Seen| assert!(matches!(judge(seen), Case::Found(_)), "{seen:?}");
        found(Seen { requests: 0, ..good });
        found(Seen { p99: Duration::from_millis(251), ..good });
        found(Seen { growth_kib: GROWTH_KIB, ..good });
        found(Seen { again_kib: AGAIN_KIB, ..good });
        found(Seen { closed: false, ..good });
    }
}
