//! Whereabouts: how long the question takes what runs where, over many services.

use std::hint::black_box;
use std::time::Instant;

use lockgate_engine::whereabouts::{Query, Question, ROWS_MAX, find};
use lockgate_model::PersonId;

use super::history::{self, History};
use super::report::Row;
use super::samples::quantile;
use crate::failure::{Failure, Result};
use crate::random::Random;

/// The packages and vulnerabilities that are asked for are drawn with it.
const SEED: u64 = 11;

/// Asks for packages and for vulnerabilities, each of another one; what is asked runs somewhere, and the answers say so.
///
/// # Errors
/// When a question is refused, or nothing is ever found.
pub fn measure(history: &History, questions: usize) -> Result<Vec<Row>> {
    let package = |number: u64| history::package(number);
    let vulnerability = |number: u64| format!("cve:{}", history::vulnerability(number));
    Ok(vec![row(history, "a package", questions, package)?, row(history, "a vulnerability", questions, vulnerability)?])
}

fn row(history: &History, what: &str, questions: usize, query: impl Fn(u64) -> String) -> Result<Row> {
    let asker: PersonId = "dana".parse()?;
    let mut random = Random::new(SEED);
    let (mut times, mut hits) = (Vec::new(), 0usize);
    // The first turn warms up and is thrown away.
    for turn in 0..=questions {
        let query: Query = query(random.draw()).parse()?;
        let question = Question { query, at: None, environment: None, most: ROWS_MAX };
        let started = Instant::now();
        let answer = black_box(find(&history.engine, &asker, &question)?);
        if turn > 0 {
            times.push(started.elapsed().as_secs_f64() * 1e3);
            hits += answer.hits.len();
        }
    }
    if hits == 0 {
        return Err(Failure::new(format!("no question for {what} found anything")));
    }
    let what = format!(
        "`where` for {what} over {} services, p95 ({:.2} ms at the median, {:.1} releases found on average)",
        history.extent.services,
        quantile(&times, 0.5),
        hits as f64 / questions.max(1) as f64
    );
    Ok(Row::figure(&what, quantile(&times, 0.95), "ms"))
}
