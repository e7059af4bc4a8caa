//! Growth: the same requests on a small and on a large ledger; nothing may search history.

use std::time::Instant;

use lockgate_api::Client;
use lockgate_api::wire::{HistoryReply, PromotionReply};
use lockgate_model::{PromotionId, ReleaseName};

use super::append::Appender;
use super::report::Row;
use super::samples::median;
use crate::failure::{Failure, Result};
use crate::requests::{Request, junit};

/// Median latencies of one client, in milliseconds.
#[derive(Debug)]
pub struct Latencies {
    append: f64,
    promote: f64,
    why: f64,
    history: f64,
}

impl Latencies {
    /// Asks one after the other; each phase has releases of its own.
    ///
    /// # Errors
    /// What the server says, or that a promotion is not granted.
    pub fn measure(appender: &Appender<'_>, phase: u32, samples: usize) -> Result<Self> {
        let client = appender.client();
        let release: ReleaseName = format!("bench/growth-{phase}@0.1.0").parse()?;
        appender.publish(&client, &release)?;
        let append = timed(samples, |number| {
            let key = format!("growth-{phase}-{number}");
            let request = Request::attest(&release, &junit(&key));
            clock(|| Ok(request.send(&client, &key)?)).map(|(millis, _)| millis)
        })?;
        let mut newest = None;
        let promote = timed(samples.div_ceil(2), |number| {
            let (millis, promotion) = promote_one(appender, &client, phase, number)?;
            newest = Some(promotion);
            Ok(millis)
        })?;
        let promotion = newest.ok_or_else(|| Failure::new("no promotion was measured"))?;
        let why = timed(samples, |_| {
            let reply = clock(|| Ok(client.get::<PromotionReply>(&format!("/v1/promotions/{promotion}"))?))?;
            Ok(reply.0)
        })?;
        let history = timed(samples, |_| {
            let reply = clock(|| Ok(client.get::<HistoryReply>("/v1/history?limit=50")?))?;
            Ok(reply.0)
        })?;
        Ok(Self { append, promote, why, history })
    }

    /// The large ledger's latencies beside the small one's, which are these.
    pub fn rows(&self, large: &Self, small_entries: u64, large_entries: u64) -> Vec<Row> {
        let row = |what: &str, small: f64, large: f64, most: f64| {
            let what = format!("{what}, one client, p50 at {large_entries} entries ({small:.2} ms at {small_entries})");
            Row::at_most(&what, large / small, large, most, &format!("{most} × at {small_entries}"), "ms")
        };
        vec![
            row("append", self.append, large.append, 1.15),
            row("promote", self.promote, large.promote, 1.15),
            row("why", self.why, large.why, 1.3),
            row("history, newest 50", self.history, large.history, 1.3),
        ]
    }
}

/// Publishes a release with a report, and times only the promotion.
fn promote_one(appender: &Appender<'_>, client: &Client, phase: u32, number: usize) -> Result<(f64, PromotionId)> {
    let release: ReleaseName = format!("bench/growth-{phase}@1.0.{number}").parse()?;
    appender.publish(client, &release)?;
    Request::attest(&release, &junit(&format!("promote {release}"))).send(client, &format!("attest-{release}"))?;
    let request = Request::promote(&release)?;
    let (millis, reply) = clock(|| Ok(request.send(client, &format!("promote-{release}"))?))?;
    match reply.granted() {
        Some(promotion) => Ok((millis, promotion)),
        None => Err(Failure::new(format!("{release} was not granted: {reply:?}"))),
    }
}

/// The median of so many calls, after one that is thrown away.
fn timed(samples: usize, mut one: impl FnMut(usize) -> Result<f64>) -> Result<f64> {
    let times = (0..=samples).map(&mut one).collect::<Result<Vec<f64>>>()?;
    Ok(median(times.get(1..).unwrap_or_default()))
}

fn clock<T>(call: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let started = Instant::now();
    let value = call()?;
    Ok((started.elapsed().as_secs_f64() * 1000.0, value))
}
