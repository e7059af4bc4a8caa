//! Appends: many clients that record small reports, each waiting for its acknowledgement with proof.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;
use lockgate_model::ReleaseName;
use lockgate_sign::note::VerifierKey;

use crate::failure::{Failure, Result};
use crate::receipt;
use crate::requests::{Request, junit, upload};

/// How many clients append at the same time, each to a release of its own, where nothing else is said.
pub const CLIENTS: usize = 64;
/// After how many reports a client goes on with a new release: real releases do not have thousands.
const REPORTS_PER_RELEASE: u64 = 200;
/// One of so many receipts is verified; verifying all would measure the clients.
const VERIFIED: u64 = 64;

/// Who appends, and where.
#[derive(Debug, Clone, Copy)]
pub struct Appender<'a> {
    /// The server.
    pub url: &'a str,
    /// The session that all clients share.
    pub token: &'a str,
    /// What receipts are verified with.
    pub log_key: &'a VerifierKey,
    /// How many clients append at the same time.
    pub clients: usize,
}

/// When it ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After some time.
    Elapsed(Duration),
    /// When the ledger has so many entries.
    Entries(u64),
}

/// What came of it.
#[derive(Debug)]
pub struct Appended {
    /// Acknowledgements per second.
    pub rate: f64,
    /// How long each took, in milliseconds.
    pub latencies_ms: Vec<f64>,
    /// How many entries the ledger has now, at least.
    pub entries: u64,
}

/// What all clients know.
struct Run<'a> {
    appender: Appender<'a>,
    phase: u32,
    until: Until,
    start: Barrier,
    entries: AtomicU64,
}

impl Appender<'_> {
    /// A signed-in client of its own connection.
    pub fn client(&self) -> Client {
        Client::new(self.url, Some(self.token.to_owned()))
    }

    /// Publishes a release with an artifact of its own.
    ///
    /// # Errors
    /// What the server says.
    pub fn publish(&self, client: &Client, release: &ReleaseName) -> Result<()> {
        let stored = upload(client, format!("the artifact of {release}").as_bytes())?;
        Request::publish(release, &stored).send(client, &format!("publish-{release}"))?;
        Ok(())
    }

    /// Lets all clients append; each phase has releases of its own.
    ///
    /// # Errors
    /// When the server refuses, or a receipt does not verify.
    pub fn run(&self, phase: u32, until: &Until) -> Result<Appended> {
        let (start, entries) = (Barrier::new(self.clients + 1), AtomicU64::new(0));
        let run = Run { appender: *self, phase, until: *until, start, entries };
        let run = &run;
        let (latencies, elapsed) = thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients).map(|number| scope.spawn(move || run.client(number))).collect();
            run.start.wait();
            let started = Instant::now();
            let join = |client: thread::ScopedJoinHandle<'_, Result<Vec<f64>>>| {
                client.join().unwrap_or_else(|_| Err(Failure::new("a client panicked")))
            };
            let latencies = clients.into_iter().map(join).collect::<Result<Vec<_>>>();
            (latencies, started.elapsed())
        });
        let latencies_ms = latencies?.concat();
        let rate = latencies_ms.len() as f64 / elapsed.as_secs_f64();
        Ok(Appended { rate, latencies_ms, entries: run.entries.load(Ordering::Relaxed) })
    }
}

/// Requests per second of the same clients and the same server when there is nothing to do: what HTTP alone costs.
///
/// # Errors
/// When the server does not answer.
pub fn floor(url: &str, window: Duration) -> Result<f64> {
    let counted = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        let ask = || -> Result<()> {
            let client = Client::new(url, None);
            while started.elapsed() < window {
                client.get_bytes("/healthz")?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(|_| Err(Failure::new("a client panicked"))))
    })?;
    Ok(counted.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

impl Run<'_> {
    fn client(&self, number: usize) -> Result<Vec<f64>> {
        let client = self.appender.client();
        let first = self.release(number, 0).and_then(|release| {
            self.appender.publish(&client, &release)?;
            Ok(release)
        });
        // Everyone comes here, also who cannot go on: the others wait.
        self.start.wait();
        let mut release = first?;
        let started = Instant::now();
        let mut latencies = Vec::new();
        let mut count = 0u64;
        while self.goes_on(started) {
            if count > 0 && count.is_multiple_of(REPORTS_PER_RELEASE) {
                release = self.release(number, count / REPORTS_PER_RELEASE)?;
                self.appender.publish(&client, &release)?;
            }
            let key = format!("append-{}-{number}-{count}", self.phase);
            let request = Request::attest(&release, &junit(&key));
            let asked = Instant::now();
            let reply = request.send(&client, &key)?;
            latencies.push(asked.elapsed().as_secs_f64() * 1000.0);
            let logged = reply.logged.ok_or_else(|| Failure::new(format!("`{key}` appended nothing")))?;
            if count.is_multiple_of(VERIFIED) {
                receipt::check(self.appender.log_key, &logged)?;
            }
            self.entries.fetch_max(logged.index + 1, Ordering::Relaxed);
            count += 1;
        }
        Ok(latencies)
    }

    fn goes_on(&self, started: Instant) -> bool {
        match self.until {
            Until::Elapsed(window) => started.elapsed() < window,
            Until::Entries(entries) => self.entries.load(Ordering::Relaxed) < entries,
        }
    }

    fn release(&self, client: usize, number: u64) -> Result<ReleaseName> {
        Ok(format!("bench/c{client}@1.{}.{number}", self.phase).parse()?)
    }
}
