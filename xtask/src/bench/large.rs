//! `bench web` and `bench large`: a ledger of 2,000 services in eight environments and a million entries.
//!
//! Everything is handed in over HTTP, so that the real engine writes all of it: each service takes the whole way through
//! eight environments, and small reports about later versions of the same services make up the number of entries. Of
//! these, a hundred come in one request, which is the only thing that sets the bulk apart: one request is one batch of the
//! engine, and each report is signed, bound to its release and logged as any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;
use lockgate_api::wire::{PromoteRequest, ServerInfo};
use lockgate_model::ReleaseName;
use lockgate_policy::PolicySet;
use lockgate_sign::note::VerifierKey;

use super::append::{Appender, CLIENTS};
use super::report::{Report, Row};
use super::{machine, pictures, restart, results, web};
use crate::failure::{During as _, Failure, Result};
use crate::identity::{self, Identity};
use crate::requests::{Request, junit};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::workspace::{self, Profile};

/// The way up; each comes from the one before.
const ENVIRONMENTS: [&str; 8] = ["dev", "test", "integration", "qa", "load", "staging", "canary", "production"];
/// How many teams there are; the first one's services wait for an approval.
pub const TEAMS: u64 = 20;
/// How many threads hand in.
const THREADS: usize = 16;
/// How many reports one request of the bulk has.
const REPORTS_EACH: u64 = 100;
/// How many such requests there are about one release.
const REQUESTS_EACH: u64 = 2;
/// How many entries a release of the bulk has: itself, and its reports.
const ENTRIES_EACH: u64 = 1 + REPORTS_EACH * REQUESTS_EACH;
/// After how many releases of the bulk the console hears of it.
const SAID_EVERY: u64 = 500;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Services.
    pub services: u64,
    /// Entries of the ledger, at least.
    pub entries: u64,
    /// How often each page is asked for.
    pub samples: usize,
    /// How often a browser visits, how many updates it waits for, and how often the server starts.
    pub turns: usize,
    /// How long a browser follows live updates.
    pub live: Duration,
}

/// The ledger, with a server that runs on it.
pub struct Large {
    /// The program.
    pub binary: PathBuf,
    /// Where its data is.
    pub home: PathBuf,
    /// The server.
    pub server: Server,
    /// How many entries there are.
    pub entries: u64,
    /// How large it was to be.
    pub extent: Extent,
    services_took: Duration,
    took: Duration,
}

/// Makes the ledger and measures the dashboard on it; with `whole`, restarts and memory too. Each has a section of its
/// own in `docs/benchmarks.md`, which is written as soon as it is measured. `pictures` is where screenshots go, if any.
///
/// # Errors
/// When something does not build, start or answer; a goal that is missed is no error.
pub fn run(whole: bool, extent: Extent, command: &str, pictures: Option<&Path>) -> Result<()> {
    let binary = workspace::build_lockgate(Profile::Release)?;
    let scratch = Scratch::new("bench-large")?;
    let large = Large::make(&binary, scratch.path(), extent)?;
    let made = large.rows();
    let mut machine = machine::facts()?;
    let (seen, browser) = web::measure(&large, &scratch.path().join("browser"))?;
    machine.push("server time over loopback with a session cookie".to_owned());
    machine.push(browser);
    let rows = made.into_iter().chain(seen).collect();
    publish(&Report { title: "The dashboard", command: command.to_owned(), machine, rows })?;
    if let Some(folder) = pictures {
        let taken =
            pictures::take(&large, &large.sign_in(identity::APPROVER)?, &scratch.path().join("pictures"), folder)?;
        eprintln!("{taken} pictures of pages in {}", folder.display());
    }
    if !whole {
        return large.server.stop();
    }
    let mut machine = machine::facts()?;
    machine.push("the ledger's files are in the page cache: it was written just before".to_owned());
    let rows = restart::measure(large)?;
    publish(&Report { title: "Restart and memory", command: command.to_owned(), machine, rows })
}

fn publish(report: &Report) -> Result<()> {
    let text = report.to_markdown();
    println!("{text}");
    results::write(&text)
}

impl Large {
    fn make(binary: &Path, folder: &Path, extent: Extent) -> Result<Self> {
        let policy = folder.join("policy");
        write_policy(&policy)?;
        let home = folder.join("home");
        let server = Server::demo_with(binary, &home, &["--policy", &policy.display().to_string()])?;
        let [name, _] = identity::NAMES;
        let token = Identity::load(&home, name)?.sign_in(&Client::new(server.url(), None))?;
        let log_key = log_key(&server)?;
        let appender = Appender { url: server.url(), token: &token, log_key: &log_key, clients: CLIENTS };
        let started = Instant::now();
        fill(&appender, extent.services)?;
        let services_took = started.elapsed();
        let entries = entries(&server)?;
        eprintln!("{} services took {:.0} s and {entries} entries", extent.services, services_took.as_secs_f64());
        bulk(&appender, extent.services, extent.entries.saturating_sub(entries))?;
        let took = started.elapsed();
        let entries = self::entries(&server)?;
        eprintln!("{entries} entries took {:.0} s", took.as_secs_f64());
        if entries < extent.entries {
            return Err(Failure::new(format!("the ledger has {entries} entries instead of {}", extent.entries)));
        }
        Ok(Self { binary: binary.to_owned(), home, server, entries, extent, services_took, took })
    }

    /// Signs one of the demo's people in; filling may have outlasted an earlier session.
    ///
    /// # Errors
    /// What the server says.
    pub fn sign_in(&self, name: &str) -> Result<String> {
        Ok(Identity::load(&self.home, name)?.sign_in(&Client::new(self.server.url(), None))?)
    }

    /// What receipts of the server are verified with.
    ///
    /// # Errors
    /// When the server does not say.
    pub fn log_key(&self) -> Result<VerifierKey> {
        log_key(&self.server)
    }

    fn rows(&self) -> Vec<Row> {
        let Extent { services, .. } = self.extent;
        let what = format!("making {services} services x {}", ENVIRONMENTS.len());
        vec![
            Row::figure(&what, self.services_took.as_secs_f64(), "s"),
            Row::figure(&format!("making all {} entries", self.entries), self.took.as_secs_f64(), "s"),
        ]
    }
}

fn log_key(server: &Server) -> Result<VerifierKey> {
    let info: ServerInfo = Client::new(server.url(), None).get("/v1/server")?;
    info.log_key.parse().during("the log's key")
}

fn entries(server: &Server) -> Result<u64> {
    Ok(Client::new(server.url(), None).get::<ServerInfo>("/v1/server")?.entries)
}

/// The minimal starter set with eight environments: tests everywhere, and an approval for one team.
fn write_policy(folder: &Path) -> Result<()> {
    for (path, text) in policy_files()? {
        let file = folder.join(&path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).during(format!("make the folder of `{path}`"))?;
        }
        std::fs::write(&file, text).during(format!("write `{path}`"))?;
    }
    Ok(())
}

fn policy_files() -> Result<BTreeMap<String, String>> {
    let mut files = PolicySet::starter("minimal").ok_or_else(|| Failure::new("there is no minimal policy set"))?;
    files.retain(|path, _| !path.starts_with("tests/") && !path.starts_with("gates/"));
    files.insert("environments.toml".to_owned(), environments());
    files.insert("gates/gates.toml".to_owned(), gates());
    Ok(files)
}

fn environments() -> String {
    let mut before: Option<&str> = None;
    let one = |name: &'static str| {
        let after = before.replace(name).map(|before| format!("after = [\"{before}\"]\n")).unwrap_or_default();
        format!(
            "[environment.{name}]\npurpose = \"Step on the way\"\nowners = [\"owners\"]\nrisk = \"low\"\n{after}\
             grant_ttl = \"90d\"\n\n"
        )
    };
    ENVIRONMENTS.into_iter().map(one).collect()
}

fn gates() -> String {
    let all: Vec<String> = ENVIRONMENTS.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "[[gate]]\nname = \"tests\"\nkind = \"tests\"\nenvironments = [{}]\n\n\
         [[gate]]\nname = \"approvals\"\nkind = \"approvals\"\nenvironments = [\"production\"]\n\
         services = [\"team-0/*\"]\ngroups = [\"approvers\"]\n",
        all.join(", ")
    )
}

/// The name of a service: numbers go round among the teams.
pub fn service(number: u64) -> String {
    format!("team-{}/service-{number}", number % TEAMS)
}

/// Publishes every service, hands in its tests, and asks for production.
fn fill(appender: &Appender<'_>, services: u64) -> Result<()> {
    let connect = || appender.client();
    each(services, connect, |client, number| {
        let release: ReleaseName = format!("{}@1.0.0", service(number)).parse()?;
        appender.publish(client, &release)?;
        Request::attest(&release, &junit(&release.to_string())).send(client, &format!("tests-{number}"))?;
        let reason = "made by the bench".to_owned();
        let asked = PromoteRequest { release, environment: "production".parse()?, reason };
        Request::Promote(asked).send(client, &format!("promote-{number}"))?;
        Ok(())
    })
}

/// Publishes later versions with many reports, until there are so many entries more.
fn bulk(appender: &Appender<'_>, services: u64, entries: u64) -> Result<()> {
    let releases = entries.div_ceil(ENTRIES_EACH);
    let connect = || appender.client();
    each(releases, connect, |client, number| {
        if number.is_multiple_of(SAID_EVERY) {
            eprintln!("{number} of {releases} releases with {REPORTS_EACH} x {REQUESTS_EACH} reports");
        }
        let (about, version) = (number % services.max(1), number / services.max(1));
        let release: ReleaseName = format!("{}@1.1.{version}", service(about)).parse()?;
        appender.publish(client, &release)?;
        for part in 0..REQUESTS_EACH {
            let report = |at: u64| junit(&format!("{release} {part} {at}"));
            let reports: Vec<String> = (0..REPORTS_EACH).map(report).collect();
            Request::attest_all(&release, &reports).send(client, &format!("bulk-{number}-{part}"))?;
        }
        Ok(())
    })
}

/// Does something for each number below `count`, in many threads with something of their own, such as a connection; the
/// first failure ends its thread.
fn each<T>(count: u64, begin: impl Fn() -> T + Sync, work: impl Fn(&T, u64) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicU64::new(0);
    let one = || -> Result<()> {
        let own = begin();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            work(&own, number)?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(Failure::new("a thread panicked")))
        };
        threads.into_iter().try_for_each(join)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_set_loads() {
        let policy = PolicySet::from_files(policy_files().unwrap()).unwrap();
        let names: Vec<&str> = policy.environments().iter().map(|environment| environment.name.as_str()).collect();
        assert_eq!(names, ENVIRONMENTS);
    }

    #[test]
    fn each_number_comes_once() {
        let sum = AtomicU64::new(0);
        let add = |(): &(), number: u64| {
            sum.fetch_add(number, Ordering::Relaxed);
            Ok(())
        };
        each(1000, || (), add).unwrap();
        assert_eq!(sum.into_inner(), 499_500);
        let fail = |(): &(), number: u64| if number == 7 { Err(Failure::new("seven")) } else { Ok(()) };
        assert!(each(10, || (), fail).is_err());
    }
}
