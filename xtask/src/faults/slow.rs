//! Slow clients: a thousand connections that send, or read, one byte now and then, while a healthy client works; then
//! floods of connections.

mod flood;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;
use lockgate_api::wire::Stored;
use lockgate_model::ReleaseName;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::ground::Ground;
use super::outcome::{Case, Part};
use crate::failure::{During as _, Failure, Result};
use crate::identity::{Identity, client_as};
use crate::random::Random;
use crate::requests::{Request, upload};
use crate::server::Server;

/// How many connections are slow.
const CONNECTIONS: usize = 1000;
/// How many addresses they come from: the server gives each address 256 connections.
const ADDRESSES: usize = 4;
/// How many files this process and the server must be able to open.
const FILES: u64 = 4096;
/// The goals: the healthy client's 99th percentile, and how much more memory the server may use.
const P99_MILLIS: u128 = 250;
const GROWTH_KIB: u64 = 64 * 1024;
/// How long a kind of slowness lasts, and how long each client waits between bytes: `--quick`, and else.
const QUICK: (Duration, Duration) = (Duration::from_millis(2500), Duration::from_millis(1000));
const FULL: (Duration, Duration) = (Duration::from_secs(40), Duration::from_secs(10));
/// How long the healthy client waits between requests.
const PAUSE: Duration = Duration::from_millis(5);
/// How often a sample of `--quick`, whose percentile is nearly its slowest request, may be taken before it counts.
const QUICK_TRIES: usize = 3;
/// Most connections have to be open while one of so many requests of the healthy client is answered: limits may close
/// them later, and a percentile beside nobody says nothing.
const CROWDED: usize = 10;
/// One of so many requests of the healthy client writes.
const WRITES: u32 = 10;
/// More than the kernel takes from the server at once, so that a slow reader makes it wait.
const BLOB_BYTES: usize = 8 * 1024 * 1024;

/// In which way clients are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slowness {
    Header,
    Body,
    Reading,
}

/// Runs the part.
///
/// # Errors
/// When the server or the clients could not be set up.
pub fn run(ground: &Ground) -> Result<Part> {
    let mut part = Part::new("slow");
    let Some(files) = raise_file_limit() else {
        part.skipped.push(format!("this process may not open {FILES} files"));
        return Ok(part);
    };
    part.notes
        .push(format!("up to {files} open files; {CONNECTIONS} connections from {ADDRESSES} addresses of loopback"));
    let home = ground.copy(&ground.ready, "slow")?;
    let server = ground.serve(&home)?;
    let client = client_as(server.url(), &home, "ci")?;
    let blob = upload(&client, &Random::new(ground.seed).bytes(BLOB_BYTES))?;
    let token = Identity::load(&home, "ci")?.sign_in(&Client::new(server.url(), None))?;
    let (idle, files) = (server.memory_kib("VmRSS")?, server.open_files()?);
    let signed = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
    let phases = [
        (Slowness::Header, "GET /v1/server HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_owned()),
        (Slowness::Body, format!("PUT /v1/blobs HTTP/1.1\r\n{signed}Content-Length: 1000000\r\n\r\n")),
        (Slowness::Reading, format!("GET /v1/blobs/{} HTTP/1.1\r\n{signed}\r\n", blob.digest)),
    ];
    for (slowness, head) in phases {
        let times = if ground.quick { QUICK } else { FULL };
        let mut judged = Case::Harmless;
        let tries = tries(ground.quick);
        for number in 1..=tries {
            let seen = phase(&server, &home, slowness, &head, (times, files))?;
            let growth = seen.memory_kib.saturating_sub(idle);
            // Of those beside the slow clients alone: the others would hide them.
            let (crowded, p99) = percentile(seen.crowded, 99);
            let requests = crowded + seen.others;
            let p99 = p99.as_millis();
            part.notes.push(format!(
                "{slowness:?}, try {number} of at most {tries}: healthy p99 {p99} ms of {crowded} requests while most \
                 connections were open, of {requests} in all; memory +{growth} KiB; {} of {CONNECTIONS} closed by the \
                 server",
                seen.closed
            ));
            judged = judge(slowness, (requests, crowded), p99, growth);
            // What is wrong besides is no matter of a busy machine, and is not measured again.
            let is_late_alone = judge(slowness, (requests, crowded), 0, growth) == Case::Harmless;
            if p99 <= P99_MILLIS || !is_late_alone {
                break;
            }
        }
        part.count(&judged);
    }
    flood::run(&server, &token, files, ground.quick, &mut part)?;
    part.count(&server.end()?.problem().map_or(Case::Harmless, Case::Found));
    let audit = ground.audit(&home)?;
    part.count(&match audit.code {
        0 => Case::Harmless,
        code => Case::Found(format!("the audit at the end ends with {code}: {:?}", audit.problems())),
    });
    ground.forget(&home)?;
    Ok(part)
}

/// How often a measurement over the goal may be taken again: what else the machine does weighs on a sample.
const fn tries(quick: bool) -> usize {
    if quick { QUICK_TRIES } else { 1 }
}

/// Whether the goals are met; `crowded` of the requests were answered while most connections were open.
fn judge(slowness: Slowness, (requests, crowded): (usize, usize), p99: u128, growth: u64) -> Case {
    if crowded == 0 || crowded < requests / CROWDED {
        Case::Found(format!("{slowness:?}: most connections were open for {crowded} of {requests} requests: too few"))
    } else if p99 > P99_MILLIS {
        Case::Found(format!("{slowness:?}: p99 of a healthy client is {p99} ms"))
    } else if growth >= GROWTH_KIB {
        Case::Found(format!("{slowness:?}: the server uses {growth} KiB more"))
    } else {
        Case::Harmless
    }
}

/// What was seen while clients were slow.
struct Seen {
    /// What the healthy client waited while the server held most of the slow connections.
    crowded: Vec<Duration>,
    /// How many more requests it made.
    others: usize,
    memory_kib: u64,
    closed: usize,
}

/// `idle` is how many files the server had open when nothing was asked of it.
fn phase(
    server: &Server,
    home: &Path,
    slowness: Slowness,
    head: &str,
    (times, idle): ((Duration, Duration), usize),
) -> Result<Seen> {
    let address: SocketAddrV4 = server.address().parse().during("the server's address")?;
    let client = client_as(server.url(), home, "ci")?;
    // Before the slow ones come, who may take every place that there is for uploads.
    let artifact = upload(&client, format!("{slowness:?}").as_bytes())?;
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let mut slow = Vec::new();
        for number in 0..CONNECTIONS {
            slow.push(Slow::connect(number, address, head)?);
        }
        // What a burst of connections does is another question.
        client.get_bytes("/v1/server").during("a read after the slow clients have come")?;
        // Counted at the server: a client learns late that its connection was closed.
        let most_are_open = move || -> Result<bool> { Ok(server.open_files()?.saturating_sub(idle) > CONNECTIONS / 2) };
        let healthy = scope.spawn(move || work(&client, &artifact, slowness, most_are_open, &stopped));
        let drips = drip(&mut slow, slowness, times, || server.memory_kib("VmRSS"));
        // The other side stops when this one is gone.
        drop(stop);
        let (crowded, others) = healthy.join().unwrap_or_else(|_| Err(Failure::new("the healthy client panicked")))?;
        let memory_kib = drips?;
        Ok(Seen { crowded, others, memory_kib, closed: slow.iter().filter(|slow| slow.closed).count() })
    })
}

/// Asks again and again, and writes now and then, until the other side of `stopped` is gone. What it waited while most
/// slow connections were open, and how many more requests it made.
fn work(
    client: &Client,
    artifact: &Stored,
    slowness: Slowness,
    most_are_open: impl Fn() -> Result<bool>,
    stopped: &Receiver<()>,
) -> Result<(Vec<Duration>, usize)> {
    let (mut crowded, mut others) = (Vec::new(), 0);
    for number in 0u32.. {
        let started = Instant::now();
        match number % WRITES {
            0 => {
                let release: ReleaseName = format!("slow/{slowness:?}@1.0.{number}").to_lowercase().parse()?;
                let request = Request::publish(&release, artifact);
                request.send(client, &release.to_string()).during("a write of the healthy client")?;
            }
            _ => {
                client.get_bytes("/v1/server").during("a read of the healthy client")?;
            }
        }
        let waited = started.elapsed();
        match most_are_open()? {
            true => crowded.push(waited),
            false => others += 1,
        }
        if stopped.recv_timeout(PAUSE) == Err(mpsc::RecvTimeoutError::Disconnected) {
            break;
        }
    }
    Ok((crowded, others))
}

/// Lets every slow client do one byte at a time; gives the most memory that the server used.
fn drip(
    slow: &mut [Slow],
    slowness: Slowness,
    (length, between): (Duration, Duration),
    memory: impl Fn() -> Result<u64>,
) -> Result<u64> {
    // Nothing is ever sent: the channel only measures time.
    let (_held, time) = mpsc::channel::<()>();
    let started = Instant::now();
    let mut most = memory()?;
    while started.elapsed() < length {
        for one in slow.iter_mut() {
            one.byte(slowness);
        }
        most = most.max(memory()?);
        let _ = time.recv_timeout(between.min(length.saturating_sub(started.elapsed())));
    }
    Ok(most.max(memory()?))
}

/// A client that does one byte at a time.
struct Slow {
    stream: TcpStream,
    closed: bool,
}

impl Slow {
    /// Connects from one of the loopback addresses, and sends the beginning of a request.
    fn connect(number: usize, to: SocketAddrV4, head: &str) -> Result<Self> {
        let mut stream = connect_from(u8::try_from(2 + number % ADDRESSES)?, to)?;
        // A server that refuses closes before it has read everything.
        let closed = stream.write_all(head.as_bytes()).is_err();
        stream.set_nonblocking(true)?;
        Ok(Self { stream, closed })
    }

    fn byte(&mut self, slowness: Slowness) {
        if self.closed {
            return;
        }
        let mut byte = [b'x'];
        // Answers are read only by those who read slowly; who sends looks whether the other side is still there.
        let done = match slowness {
            Slowness::Reading => self.stream.read(&mut byte),
            Slowness::Header | Slowness::Body => self.stream.write(&byte),
        };
        self.closed = match done {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
    }
}

/// Connects from the loopback address that ends with this number.
fn connect_from(last: u8, to: SocketAddrV4) -> Result<TcpStream> {
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).during("make a socket")?;
    bind(&socket, &from).during("bind a socket to a loopback address")?;
    connect(&socket, &SocketAddr::from(to)).during("connect to the server")?;
    Ok(TcpStream::from(socket))
}

/// How many there are, and the value that so many of a hundred do not exceed.
fn percentile(mut latencies: Vec<Duration>, percent: usize) -> (usize, Duration) {
    latencies.sort();
    let place = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
    (latencies.len(), latencies.get(place).copied().unwrap_or_default())
}

/// Lets this process, and the server that it starts, open enough files; the limit, if that is allowed.
fn raise_file_limit() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= FILES);
    if !enough(now.current) && enough(now.maximum) {
        // Whether it worked is read back.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum: now.maximum });
    }
    let current = getrlimit(Resource::Nofile).current;
    enough(current).then(|| current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goal_can_be_missed() {
        assert_eq!(judge(Slowness::Body, (100, 10), P99_MILLIS, GROWTH_KIB - 1), Case::Harmless);
        let found = |requests: (usize, usize), p99: u128, growth: u64| {
            let judged = judge(Slowness::Body, requests, p99, growth);
            assert!(matches!(judged, Case::Found(_)), "{judged:?}");
        };
        found((100, 9), 1, 1);
        found((0, 0), 1, 1);
        found((100, 10), P99_MILLIS + 1, 1);
        found((100, 10), 1, GROWTH_KIB);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let millis = |count: u64| (1..=count).rev().map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentile(millis(100), 99), (100, Duration::from_millis(99)));
        assert_eq!(percentile(millis(1), 99), (1, Duration::from_millis(1)));
        assert_eq!(percentile(vec![], 99), (0, Duration::ZERO));
    }
}
