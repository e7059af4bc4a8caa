//! Malformed requests: every route, with paths, queries, headers and bodies that nobody wrote. No panic, no failure of
//! the server's own, nothing of its inside in an answer.

mod exchange;
mod grammar;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lockgate_api::Client;
use serde_json::Value;

use self::exchange::{Answer, exchange};
use self::grammar::{Grammar, Knock};
use super::ground::{Effort, Ground};
use super::outcome::{Case, Part};
use crate::failure::{During as _, Failure, Result};
use crate::identity::Identity;
use crate::server::log_file;

/// How many requests each sender sends, with `--quick` and without, unless `--requests` says otherwise.
const QUICK: u64 = 1_500;
const FULL: u64 = 60_000;
/// How many send at the same time.
const SENDERS: u64 = 3;
/// After how long everyone signs in again: some routes ask for a sign-in of the last quarter of an hour.
const ROUND: Duration = Duration::from_secs(600);
/// Who is signed in.
const PEOPLE: [&str; 3] = ["ci", "dana", "sam"];
/// What may be answered with a status of 500 or more: it says what the server cannot do now.
const LISTED: [&str; 2] = ["OVERLOADED", "ISSUER_UNREACHABLE"];
/// Words of the inside: a panic, a place in the source, the database.
const INSIDE: [&str; 6] = ["panicked", "/rustc/", ".rs:", "SQLITE_", "rusqlite", "thread '"];
/// The route that describes the others, and may use any word.
const DESCRIPTION: &str = "openapi";
/// How much of a request a finding shows, in bytes.
const SHOWN_BYTES: usize = 600;

/// What one sender saw.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    refused: usize,
    silent: usize,
    /// The answers that differ, by route, status and reason code.
    answers: BTreeSet<(&'static str, u16, String)>,
    /// What is wrong, once for each sort.
    findings: BTreeMap<String, String>,
}

/// Runs the part.
///
/// # Errors
/// When the server or its people could not be set up.
pub fn run(ground: &Ground) -> Result<Part> {
    Ok(storm(ground)?.0)
}

/// The same, and how many answers differ by route, status and reason code.
///
/// # Errors
/// As [`run`].
pub fn storm(ground: &Ground) -> Result<(Part, usize)> {
    let mut part = Part::new("malformed");
    let home = ground.copy(&ground.ready, "malformed")?;
    let mut server = ground.serve(&home)?;
    let client = Client::new(server.url(), None);
    let document: Value = client.get("/openapi.json").during("read the description of the routes")?;
    let to: SocketAddrV4 = server.address().parse().during("the server's address")?;
    let mut all = Vec::new();
    for (round, each) in (0..).zip(rounds(ground)) {
        let mut tokens = Vec::new();
        for name in PEOPLE {
            tokens.push(Identity::load(&home, name)?.sign_in(&client).during(format!("sign in as {name}"))?);
        }
        let first = round * SENDERS;
        all.extend(send_all(to, ground.seed, first, &document, &tokens, each, &inside(&home, &tokens))?);
        if !server.is_running()? {
            break;
        }
    }
    tally(&mut part, &all);
    let answers = all.iter().flat_map(|seen| &seen.answers).collect::<BTreeSet<_>>().len();
    if !server.is_running()? {
        let log = fs::read_to_string(log_file(&home)).unwrap_or_default();
        let last = log.lines().next_back().unwrap_or_default();
        part.count(&Case::Found(format!("the server has ended: {last}")));
        return Ok((part, answers));
    }
    let alive = client.get_bytes("/healthz").during("ask for the server's health at the end")?;
    part.notes.push(format!("health at the end: {}", String::from_utf8_lossy(&alive).trim()));
    if let Some(problem) = server.end()?.problem() {
        part.count(&Case::Found(problem));
    }
    let audit = ground.audit(&home)?;
    if audit.code != 0 {
        part.count(&Case::Found(format!("the audit at the end ends with {}: {:?}", audit.code, audit.problems())));
    }
    ground.forget(&home)?;
    Ok((part, answers))
}

/// How much each sender sends between two sign-ins: as much as there is to send, or as long as a sign-in is fresh.
fn rounds(ground: &Ground) -> Vec<Effort> {
    let most = match ground.requests {
        Some(Effort::Count(count)) => count.div_ceil(SENDERS),
        Some(Effort::Time(window)) => {
            let whole = window.as_secs() / ROUND.as_secs();
            let rest = window.saturating_sub(ROUND.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX)));
            let rest = (!rest.is_zero()).then_some(Effort::Time(rest));
            return (0..whole).map(|_| Effort::Time(ROUND)).chain(rest).collect();
        }
        None if ground.quick => QUICK,
        None => FULL,
    };
    vec![Effort::Count(most)]
}

/// Lets all senders send at the same time; each has a number, which with the seed gives what it sends.
fn send_all(
    to: SocketAddrV4,
    seed: u64,
    first: u64,
    document: &Value,
    tokens: &[String],
    each: Effort,
    inside: &[String],
) -> Result<Vec<Seen>> {
    thread::scope(|scope| {
        let senders = (first..first.saturating_add(SENDERS)).map(|number| {
            let seed = seed.wrapping_mul(SENDERS).wrapping_add(number);
            scope.spawn(move || send(to, Grammar::new(seed, document, tokens), each, inside))
        });
        let senders: Vec<_> = senders.collect();
        let seen = senders.into_iter().map(|sender| sender.join().map_err(|_| Failure::new("a sender panicked")));
        seen.collect()
    })
}

/// What no answer may hold: words of the inside, where the data lies, and tokens.
fn inside(home: &Path, tokens: &[String]) -> Vec<String> {
    let own = [home.display().to_string()];
    INSIDE.iter().map(|word| (*word).to_owned()).chain(own).chain(tokens.iter().cloned()).collect()
}

fn send(to: SocketAddrV4, mut grammar: Grammar<'_>, each: Effort, inside: &[String]) -> Seen {
    let (mut seen, started) = (Seen::default(), Instant::now());
    let goes_on = |sent: u64| match each {
        Effort::Count(most) => sent < most,
        Effort::Time(window) => started.elapsed() < window,
    };
    for _ in (0..).take_while(|sent| goes_on(*sent)) {
        let Some(knock) = grammar.knock() else { return seen };
        let mut outcome = exchange(to, &knock.bytes, knock.whole);
        if knock.whole && matches!(outcome, Ok(None)) {
            // A server that closes before it has read a whole body may take its own answer with it, but not always.
            outcome = exchange(to, &knock.bytes, knock.whole);
        }
        let wrong = match outcome {
            Ok(Some(answer)) => {
                match answer.status {
                    0..=399 => seen.answered += 1,
                    _ => seen.refused += 1,
                }
                seen.answers.insert((knock.route, answer.status, answer.code()));
                judge(&knock, &answer, inside)
            }
            Ok(None) => {
                seen.silent += 1;
                knock.whole.then(|| "it was not answered".to_owned())
            }
            Err(error) => Some(format!("it was not answered: {error}")),
        };
        if let Some(wrong) = wrong {
            let request: String = String::from_utf8_lossy(&knock.bytes).chars().take(SHOWN_BYTES).collect();
            let sort = format!("{}: {wrong}", knock.route);
            seen.findings.entry(sort).or_insert(request);
        }
    }
    seen
}

/// What is wrong with an answer.
fn judge(knock: &Knock, answer: &Answer, inside: &[String]) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.body);
    if knock.route != DESCRIPTION
        && let Some(word) = inside.iter().find(|word| text.contains(word.as_str()))
    {
        return Some(format!("the answer holds `{word}`"));
    }
    let (problem, code) = (answer.problem(), answer.code());
    if answer.status >= 500 && !LISTED.contains(&code.as_str()) {
        return Some(format!("it was answered with {} `{code}`", answer.status));
    }
    if answer.status < 400 || !knock.whole || knock.is_head || !answer.is_plain {
        return None;
    }
    let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let status = problem.as_ref().and_then(|problem| problem.get("status")?.as_u64());
    match (answer.is_problem(), answer.content_type.as_str()) {
        (true, _) if is_code && status == Some(u64::from(answer.status)) => None,
        (true, _) => Some(format!("the problem of {} does not say so: `{code}`", answer.status)),
        (false, "text/html") => None,
        (false, other) => Some(format!("{} comes as `{other}`, and says no reason", answer.status)),
    }
}

fn tally(part: &mut Part, all: &[Seen]) {
    let sum = |count: fn(&Seen) -> usize| all.iter().map(count).sum::<usize>();
    let (answered, refused, silent) = (sum(|seen| seen.answered), sum(|seen| seen.refused), sum(|seen| seen.silent));
    part.tried += answered + refused + silent;
    part.fired += answered + refused + silent;
    part.detected += refused;
    part.harmless += answered + silent;
    part.notes.push(format!("{answered} answered, {refused} refused, {silent} closed without an answer"));
    // Requests that all end at the door would try nothing behind it.
    if answered == 0 || refused == 0 {
        part.findings.push("no request was answered, or none was refused".to_owned());
    }
    let mut findings: BTreeMap<&str, &str> = BTreeMap::new();
    for (sort, request) in all.iter().flat_map(|seen| &seen.findings) {
        findings.entry(sort).or_insert(request);
    }
    part.findings.extend(findings.iter().map(|(sort, request)| format!("{sort}: {request:?}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_signs_in_again_before_a_sign_in_is_old() {
        let check = |requests: Option<Effort>, quick: bool, wanted: &[Effort]| {
            let nowhere = std::path::PathBuf::new;
            let (binary, scratch, ready) = (nowhere(), nowhere(), nowhere());
            let ground = Ground { binary, scratch, ready, seed: 1, quick, flips: 0, requests };
            assert_eq!(rounds(&ground), wanted);
        };
        let time = |seconds: u64| Effort::Time(Duration::from_secs(seconds));
        check(None, true, &[Effort::Count(QUICK)]);
        check(None, false, &[Effort::Count(FULL)]);
        check(Some(Effort::Count(10)), true, &[Effort::Count(4)]);
        check(Some(time(60)), true, &[time(60)]);
        check(Some(time(600)), true, &[time(600)]);
        check(Some(time(1500)), true, &[time(600), time(600), time(300)]);
    }

    #[test]
    fn answers_are_judged() {
        let inside = [".rs:".to_owned(), "/the/home".to_owned()];
        let check = |status: u16, content_type: &str, body: &str, good: bool| {
            let knock = Knock { route: "why", whole: true, is_head: false, bytes: Vec::new() };
            let answer = Answer {
                status,
                content_type: content_type.to_owned(),
                is_plain: true,
                body: body.as_bytes().to_vec(),
            };
            assert_eq!(judge(&knock, &answer, &inside).is_none(), good, "{status} {content_type} {body}");
        };
        let problem = "application/problem+json";
        check(200, "application/json", "{}", true);
        check(200, "application/json", "{\"at\":\"src/a.rs:7\"}", false);
        check(404, problem, "{\"code\":\"PROMOTION_UNKNOWN\",\"status\":404}", true);
        check(404, problem, "{\"code\":\"PROMOTION_UNKNOWN\",\"status\":400}", false);
        check(404, problem, "{\"code\":\"unknown\",\"status\":404}", false);
        check(404, problem, "{\"code\":\"X\",\"status\":404,\"detail\":\"/the/home/data\"}", false);
        check(404, "text/plain", "not found", false);
        check(404, "text/html", "<p>", true);
        check(500, problem, "{\"code\":\"OUTPUT_INVALID\",\"status\":500}", false);
        check(503, problem, "{\"code\":\"OVERLOADED\",\"status\":503}", true);
    }
}
