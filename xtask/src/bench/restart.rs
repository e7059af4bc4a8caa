//! Restart and memory: how soon a server on a large ledger answers, and what it holds in memory.

use std::time::Instant;

use super::append::{Appender, CLIENTS};
use super::large::{Extent, Large, service};
use super::report::Row;
use super::samples::{median, quantile};
use super::web::{Pages, first_view};
use crate::failure::{Failure, Result};
use crate::identity;
use crate::requests::{Request, junit};
use crate::server::Server;

/// How often the server is stopped or killed before one row.
const TURNS: usize = 5;
/// How many requests read before memory is looked at again.
const READS: u64 = 1000;
/// How many promotions a service has: one into each environment.
const PROMOTIONS_EACH: u64 = 8;
/// The goals: seconds, and MiB.
const READY_SECS: f64 = 2.0;
const MEMORY_MIB: f64 = 200.0;

/// How a server ends before it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
}

/// Restarts the server again and again, then reads.
///
/// # Errors
/// When the server does not start or answer; a goal that is missed is no error.
pub fn measure(large: Large) -> Result<Vec<Row>> {
    let [machine, person] = identity::NAMES;
    let (writer, reader, log_key) = (large.sign_in(machine)?, large.sign_in(person)?, large.log_key()?);
    let Large { binary, home, mut server, entries, extent, .. } = large;
    let (url, address) = (server.url().to_owned(), server.address().to_owned());
    let appender = Appender { url: &url, token: &writer, log_key: &log_key, clients: CLIENTS };
    let mut rows = Vec::new();
    for end in [End::Stopped, End::Killed] {
        let mut seconds = Vec::new();
        for turn in 0..TURNS {
            write_one(&appender, end, turn)?;
            match end {
                End::Stopped => server.stop()?,
                End::Killed => server.kill()?,
            }
            let started = Instant::now();
            server = Server::serve(&binary, &home, &address)?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        rows.push(ready(end, entries, &seconds));
    }
    let started = server.memory_kib("VmRSS")?;
    let mut pages = Pages::connect(&address, &reader)?;
    rows.push(first_view(&mut pages, extent.samples)?);
    read(&mut pages, extent)?;
    let read = server.memory_kib("VmRSS")?;
    let highest = mib(server.memory_kib("VmHWM")?);
    rows.push(memory(&format!("resident memory at {entries} entries, after the start"), started));
    let what = format!("resident memory after {READS} mixed reads (at most {highest:.1} MiB meanwhile)");
    rows.push(memory(&what, read));
    server.stop()?;
    Ok(rows)
}

/// The last thing before the end is an acknowledged entry, so that there is something newer than the last pause.
fn write_one(appender: &Appender<'_>, end: End, turn: usize) -> Result<()> {
    let client = appender.client();
    let release = "watch/restarts@1.0.0".parse()?;
    if (end, turn) == (End::Stopped, 0) {
        appender.publish(&client, &release)?;
    }
    let key = format!("restart-{end:?}-{turn}");
    Request::attest(&release, &junit(&key)).send(&client, &key)?;
    Ok(())
}

fn ready(end: End, entries: u64, seconds: &[f64]) -> Row {
    let how = match end {
        End::Stopped => "an orderly stop",
        End::Killed => "SIGKILL",
    };
    let (p50, longest) = (median(seconds), quantile(seconds, 1.0));
    let what = format!(
        "restart at {entries} entries after {how}: from the start of the process to the first 200 of `GET /healthz`, \
         median of {TURNS} (longest {longest:.2} s)"
    );
    Row::at_most(&what, p50, p50, READY_SECS, "2 s", "s")
}

fn memory(what: &str, kib: u64) -> Row {
    Row::at_most(what, mib(kib), mib(kib), MEMORY_MIB, "200 MiB", "MiB")
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Reads pages, histories, decisions and bundles, of another service each time.
fn read(pages: &mut Pages, extent: Extent) -> Result<()> {
    let services = extent.services.max(1);
    for number in 0..READS {
        // A stride that is prime reaches all of them, far apart.
        let other = number * 7919;
        let path = path(number, other % services, 1 + other % (services * PROMOTIONS_EACH))
            .ok_or_else(|| Failure::new("there is nothing to read"))?;
        pages.get(&path)?;
    }
    Ok(())
}

/// What the request with a number reads, of one service and one promotion.
fn path(number: u64, about: u64, promotion: u64) -> Option<String> {
    let service = service(about);
    let paths = [
        "/".to_owned(),
        format!("/services/{service}"),
        format!("/promotions/P-{promotion}"),
        format!("/v1/promotions/P-{promotion}"),
        format!("/releases/{service}@1.0.0"),
        "/v1/history?limit=50".to_owned(),
        format!("/v1/promotions/P-{promotion}/bundle"),
        "/timeline".to_owned(),
        format!("/?q={service}"),
        "/log".to_owned(),
        "/?state=open".to_owned(),
        "/v1/matrix".to_owned(),
        "/inbox".to_owned(),
        "/keys".to_owned(),
        "/metrics".to_owned(),
        "/checkpoint".to_owned(),
    ];
    let place = usize::try_from(number).ok()?.checked_rem(paths.len())?;
    paths.into_iter().nth(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_mixed() {
        let paths: Vec<String> = (0..32).filter_map(|number| path(number, number, 1 + number)).collect();
        assert_eq!(paths.len(), 32);
        assert_eq!(paths.first().map(String::as_str), Some("/"));
        assert_eq!(paths.get(1).map(String::as_str), Some("/services/team-1/service-1"));
        assert_eq!(paths.get(18).map(String::as_str), Some("/promotions/P-19"));
    }
}
