//! `bench web`: how fast the dashboard's first view and its filters are answered, over many services and entries.
//!
//! Everything is handed in over HTTP, so that the real engine writes all of it: each service takes the whole way through
//! eight environments, and small reports make up the number of entries. Pages are asked for with a session cookie, one
//! after the other on one connection; the time is from the request to the last byte. No browser is started here: what it
//! takes to draw a page is not measured.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;
use lockgate_api::wire::{PromoteRequest, ServerInfo};
use lockgate_model::ReleaseName;
use lockgate_policy::PolicySet;
use lockgate_sign::note::VerifierKey;

use super::append::{Appender, Until};
use super::machine;
use super::report::{Report, Row};
use super::samples::quantile;
use crate::failure::{During as _, Failure, Result};
use crate::identity::{self, Identity};
use crate::requests::{Request, junit};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::workspace::{self, Profile};

/// The way up; each comes from the one before.
const ENVIRONMENTS: [&str; 8] = ["dev", "test", "integration", "qa", "load", "staging", "canary", "production"];
/// How many teams there are; the first one's services wait for an approval.
const TEAMS: u64 = 20;
/// How many threads hand services in.
const THREADS: usize = 16;
/// The phase of the appender, whose releases no other phase has.
const PHASE: u32 = 9;
/// How long a page may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a first visit may have, in bytes.
const VISIT_BYTES: f64 = 300.0 * 1024.0;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Services.
    pub services: u64,
    /// Entries of the ledger, at least.
    pub entries: u64,
    /// How often each page is asked for.
    pub samples: usize,
}

/// Measures, and prints the table; no file is written.
///
/// # Errors
/// When something does not build, start or answer; a goal that is missed is no error.
pub fn run(extent: Extent, command: &str) -> Result<()> {
    let binary = workspace::build_lockgate(Profile::Release)?;
    let scratch = Scratch::new("bench-web")?;
    let policy = scratch.path().join("policy");
    write_policy(&policy)?;
    let home = scratch.path().join("home");
    let server = Server::demo_with(&binary, &home, &["--policy", &policy.display().to_string()])?;
    let [name, _] = identity::NAMES;
    let token = Identity::load(&home, name)?.sign_in(&Client::new(server.url(), None))?;
    let info: ServerInfo = Client::new(server.url(), None).get("/v1/server")?;
    let log_key: VerifierKey = info.log_key.parse().during("the log's key")?;
    let appender = Appender { url: server.url(), token: &token, log_key: &log_key };

    let started = Instant::now();
    fill(&appender, extent.services)?;
    let services_took = started.elapsed();
    let entries: u64 = Client::new(server.url(), None).get::<ServerInfo>("/v1/server")?.entries;
    eprintln!("{} services took {:.0} s and {entries} entries", extent.services, services_took.as_secs_f64());
    if entries < extent.entries {
        appender.run(PHASE, &Until::Entries(extent.entries))?;
    }
    let took = started.elapsed();
    let entries: u64 = Client::new(server.url(), None).get::<ServerInfo>("/v1/server")?.entries;
    eprintln!("{entries} entries took {:.0} s", took.as_secs_f64());

    // Sign-in again: filling may have outlasted the session.
    let [_, person] = identity::NAMES;
    let token = Identity::load(&home, person)?.sign_in(&Client::new(server.url(), None))?;
    let mut pages = Pages::connect(server.address(), &token)?;
    let mut rows = vec![
        Row::figure(
            &format!("making {} services x {}", extent.services, ENVIRONMENTS.len()),
            services_took.as_secs_f64(),
            "s",
        ),
        Row::figure(&format!("making all {entries} entries"), took.as_secs_f64(), "s"),
    ];
    rows.extend(views(&mut pages, extent)?);
    rows.extend(visit(&mut pages)?);
    server.stop()?;
    let mut machine = machine::facts()?;
    machine.push(
        "server time over loopback with a session cookie; no browser, so neither painting nor long tasks".to_owned(),
    );
    println!("{}", Report { command: command.to_owned(), machine, rows }.to_markdown());
    Ok(())
}

/// The minimal starter set with eight environments: tests everywhere, and an approval for one team.
fn write_policy(folder: &Path) -> Result<()> {
    let mut files: BTreeMap<String, String> =
        PolicySet::starter("minimal").ok_or_else(|| Failure::new("there is no minimal policy set"))?;
    files.retain(|path, _| !path.starts_with("tests/") && !path.starts_with("gates/"));
    files.insert("environments.toml".to_owned(), environments());
    files.insert("gates/gates.toml".to_owned(), gates());
    for (path, text) in files {
        let file = folder.join(&path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).during(format!("make the folder of `{path}`"))?;
        }
        std::fs::write(&file, text).during(format!("write `{path}`"))?;
    }
    Ok(())
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

/// Publishes every service, hands in its tests, and asks for production.
fn fill(appender: &Appender<'_>, services: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let work = || -> Result<()> {
        let client = appender.client();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= services {
                return Ok(());
            }
            let release: ReleaseName = format!("team-{}/service-{number}@1.0.0", number % TEAMS).parse()?;
            appender.publish(&client, &release)?;
            Request::attest(&release, &junit(&release.to_string())).send(&client, &format!("tests-{number}"))?;
            let reason = "made by the bench".to_owned();
            let asked = PromoteRequest { release, environment: "production".parse()?, reason };
            Request::Promote(asked).send(&client, &format!("promote-{number}"))?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(Failure::new("a thread panicked")))
        };
        threads.into_iter().try_for_each(join)
    })
}

/// The first view and each filter, with their goals.
fn views(pages: &mut Pages, extent: Extent) -> Result<Vec<Row>> {
    let middle = extent.services / 2;
    let filters = [
        ("by team", "/?q=team-7/".to_owned()),
        ("by name", format!("/?q=service-{middle}")),
        ("by environment", "/?environment=production".to_owned()),
        ("open promotions", "/?state=open".to_owned()),
        ("frozen", "/?state=frozen".to_owned()),
        ("behind", "/?state=behind".to_owned()),
        ("older than a day", "/?state=old&days=1".to_owned()),
        ("a page from the middle", format!("/?after=team-{}%2Fservice-{middle}", middle % TEAMS)),
    ];
    let mut rows = vec![view(pages, "first view, `GET /`", "/", extent.samples, Some((150.0, "150 ms")))?];
    for (what, path) in &filters {
        rows.push(view(pages, &format!("filter: {what}"), path, extent.samples, Some((100.0, "100 ms")))?);
    }
    rows.push(view(pages, "`GET /metrics`, read before", "/metrics", extent.samples, None)?);
    Ok(rows)
}

fn view(pages: &mut Pages, what: &str, path: &str, samples: usize, goal: Option<(f64, &str)>) -> Result<Row> {
    let (mut times, mut bytes) = (Vec::with_capacity(samples), 0);
    let cold = pages.get(path)?.1;
    for _ in 0..samples {
        let (text, millis) = pages.get(path)?;
        times.push(millis);
        bytes = text.len();
    }
    let (p50, p95) = (quantile(&times, 0.5), quantile(&times, 0.95));
    let what = format!("{what}, p95 (p50 {p50:.1} ms, the first time {cold:.1} ms, {} KiB uncompressed)", bytes / 1024);
    Ok(match goal {
        Some((most, words)) => Row::at_most(&what, p95, p95, most, words, "ms"),
        None => Row::figure(&what, p95, "ms"),
    })
}

/// What a first visit loads: the page, and what that loads by name.
fn visit(pages: &mut Pages) -> Result<Vec<Row>> {
    let (page, _) = pages.get("/")?;
    let mut bytes = page.len();
    let mut wanted = assets(&page);
    let mut loaded = BTreeSet::new();
    while let Some(path) = wanted.pop() {
        if !loaded.insert(path.clone()) {
            continue;
        }
        let (text, _) = pages.get(&path)?;
        bytes += text.len();
        // What is imported only where it is needed belongs to no first visit.
        let imports = text.lines().filter(|line| line.starts_with("import ") || line.starts_with("@import "));
        wanted.extend(imports.flat_map(assets));
    }
    let total = bytes as f64;
    let what = format!("first visit, uncompressed: the page and {} files", loaded.len());
    let mut rows = vec![Row::at_most(&what, total, total / 1024.0, VISIT_BYTES, "300 KiB", "KiB")];
    if total > VISIT_BYTES {
        rows.push(Row::figure(
            "the server does not compress; for 300 KiB on the wire the first visit has to shrink to this share",
            VISIT_BYTES / total,
            "of it",
        ));
    }
    Ok(rows)
}

/// The addresses of files that a text names.
fn assets(text: &str) -> Vec<String> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    let name = |rest: &str| rest.split(end).next().unwrap_or_default().to_owned();
    text.split("/assets/").skip(1).map(|rest| format!("/assets/{}", name(rest))).collect()
}

/// One connection with a session.
struct Pages {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Pages {
    fn connect(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).during("connect to the server")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned(), token: token.to_owned() })
    }

    /// The body of a page, and how many milliseconds it took.
    fn get(&mut self, path: &str) -> Result<(String, f64)> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: lockgate_session={}\r\nAccept: text/html\r\n\r\n",
            self.host, self.token
        );
        let started = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes()).during("ask for a page")?;
        let (status, length) = self.head()?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).during("read a page")?;
        let millis = started.elapsed().as_secs_f64() * 1000.0;
        let text = String::from_utf8_lossy(&body).into_owned();
        match status {
            200 => Ok((text, millis)),
            other => Err(Failure::new(format!("`{path}` answers {other}: {text}"))),
        }
    }

    /// The status, and how long the body is.
    fn head(&mut self) -> Result<(u16, usize)> {
        let (mut status, mut length) = (None, None);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).during("read a head")? == 0 {
                return Err(Failure::new("the server closed the connection"));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
        }
        match (status, length) {
            (Some(status), Some(length)) => Ok((status, length)),
            _ => Err(Failure::new("a reply has no status or no length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_set_loads() {
        let mut files = PolicySet::starter("minimal").unwrap();
        files.retain(|path, _| !path.starts_with("tests/") && !path.starts_with("gates/"));
        files.insert("environments.toml".to_owned(), environments());
        files.insert("gates/gates.toml".to_owned(), gates());
        let policy = PolicySet::from_files(files).unwrap();
        let names: Vec<&str> = policy.environments().iter().map(|environment| environment.name.as_str()).collect();
        assert_eq!(names, ENVIRONMENTS);
    }

    #[test]
    fn files_are_found_by_name() {
        let check = |text: &str, wanted: &[&str]| assert_eq!(assets(text), wanted, "{text}");
        check("<link href=\"/assets/a.css\"><script src=\"/assets/b-c.js\">", &["/assets/a.css", "/assets/b-c.js"]);
        check("@import url('/assets/page.css');", &["/assets/page.css"]);
        check("nothing", &[]);
    }
}
