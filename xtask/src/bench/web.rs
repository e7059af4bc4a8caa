//! The dashboard's first view and its filters: how fast the server answers them, and what a browser makes of them.
//!
//! Pages are asked for with a session cookie, one after the other on one connection; the time is from the request to the
//! last byte. What it takes to draw a page is measured in a browser, where there is one.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::large::{Extent, Large, TEAMS};
use super::report::Row;
use super::samples::quantile;
use super::screen;
use crate::failure::{During as _, Failure, Result};
use crate::identity;

/// How long a page may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a first visit may have, in bytes.
const VISIT_BYTES: f64 = 300.0 * 1024.0;

/// Measures the pages over the network, then in a browser; says which browser that was.
///
/// # Errors
/// When something does not start or answer; a goal that is missed is no error.
pub fn measure(large: &Large, folder: &Path) -> Result<(Vec<Row>, String)> {
    let [machine, _] = identity::NAMES;
    let token = large.sign_in(identity::APPROVER)?;
    let mut pages = Pages::connect(large.server.address(), &token)?;
    let mut rows = views(&mut pages, large.extent)?;
    rows.extend(visit(&mut pages)?);
    let (seen, browser) = screen::measure(large, &large.sign_in(machine)?, &token, folder)?;
    rows.extend(seen);
    Ok((rows, browser))
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
        ("behind by more than 2 releases", "/?state=behind&releases=2".to_owned()),
        ("waits for me", "/?state=mine".to_owned()),
        ("drift", "/?state=drift".to_owned()),
        ("older than a day", "/?state=old&days=1".to_owned()),
        ("a page from the middle", format!("/?after=team-{}%2Fservice-{middle}", middle % TEAMS)),
    ];
    let mut rows = vec![first_view(pages, extent.samples)?];
    for (what, path) in &filters {
        rows.push(view(pages, &format!("filter: {what}"), path, extent.samples, Some((100.0, "100 ms")))?);
    }
    rows.push(view(pages, "as a graph, `GET /?view=graph`", "/?view=graph", extent.samples, Some((150.0, "150 ms")))?);
    rows.push(view(pages, "`GET /metrics`, read before", "/metrics", extent.samples, None)?);
    Ok(rows)
}

/// The first view, `GET /`.
///
/// # Errors
/// What the server says.
pub fn first_view(pages: &mut Pages, samples: usize) -> Result<Row> {
    view(pages, "first view, `GET /`", "/", samples, Some((150.0, "150 ms")))
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
    let (mut bytes, mut packed) = (page.len(), pages.packed("/")?);
    let mut wanted = assets(&page);
    let mut loaded = BTreeSet::new();
    while let Some(path) = wanted.pop() {
        if !loaded.insert(path.clone()) {
            continue;
        }
        let (text, _) = pages.get(&path)?;
        bytes += text.len();
        packed += pages.packed(&path)?;
        // What is imported only where it is needed belongs to no first visit.
        let imports = text.lines().filter(|line| line.starts_with("import ") || line.starts_with("@import "));
        wanted.extend(imports.flat_map(assets));
    }
    let total = packed as f64;
    let what =
        format!("first visit, compressed: the page and {} files ({} KiB as they are)", loaded.len(), bytes / 1024);
    Ok(vec![Row::at_most(&what, total, total / 1024.0, VISIT_BYTES, "300 KiB", "KiB")])
}

/// The addresses of files that a text names.
fn assets(text: &str) -> Vec<String> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    let name = |rest: &str| rest.split(end).next().unwrap_or_default().to_owned();
    text.split("/assets/").skip(1).map(|rest| format!("/assets/{}", name(rest))).collect()
}

/// One connection with a session.
pub struct Pages {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Pages {
    /// Connects to an address.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).during("connect to the server")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned(), token: token.to_owned() })
    }

    /// The body of a page, and how many milliseconds it took.
    ///
    /// # Errors
    /// When the server answers with anything but the page.
    pub fn get(&mut self, path: &str) -> Result<(String, f64)> {
        let (body, millis) = self.ask(path, "identity")?;
        Ok((String::from_utf8_lossy(&body).into_owned(), millis))
    }

    /// How many bytes of a body cross the network for a browser.
    fn packed(&mut self, path: &str) -> Result<usize> {
        Ok(self.ask(path, "gzip")?.0.len())
    }

    fn ask(&mut self, path: &str, coding: &str) -> Result<(Vec<u8>, f64)> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: lockgate_session={}\r\nAccept: text/html\r\n\
             Accept-Encoding: {coding}\r\n\r\n",
            self.host, self.token
        );
        let started = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes()).during("ask for a page")?;
        let (status, length) = self.head()?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).during("read a page")?;
        let millis = started.elapsed().as_secs_f64() * 1000.0;
        match status {
            200 => Ok((body, millis)),
            other => Err(Failure::new(format!("`{path}` answers {other}: {}", String::from_utf8_lossy(&body)))),
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
    fn files_are_found_by_name() {
        let check = |text: &str, wanted: &[&str]| assert_eq!(assets(text), wanted, "{text}");
        check("<link href=\"/assets/a.css\"><script src=\"/assets/b-c.js\">", &["/assets/a.css", "/assets/b-c.js"]);
        check("@import url('/assets/page.css');", &["/assets/page.css"]);
        check("nothing", &[]);
    }
}
