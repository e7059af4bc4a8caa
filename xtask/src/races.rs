//! `races`: many clients ask the same few things of one server at the same time, and what they were told has to be what
//! some serial order would have told them.
//!
//! Each place, a service in an environment, is a register: a promotion sets what runs there, unless that runs already, and
//! anyone reads it. Clients share idempotency keys, too. What they saw is checked without looking at the ledger; then
//! the ledger is audited. Beside them others read the event stream, and hang up again and again. Then many clients end
//! the same promotions in different ways, and evidence turns bad while somebody approves.

mod ending;
mod order;
mod people;
mod stream;
mod turning;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use lockgate_api::wire::StatusReply;
use lockgate_api::{Client, ClientError};
use lockgate_model::ReleaseName;

use self::ending::Endings;
use self::order::{Asked, Operation, Told, check};
use self::people::People;
use self::stream::Reading;
use self::turning::Turns;
use crate::crash::clock_seed;
use crate::deadline::wait_until;
use crate::failpoints::remains;
use crate::failure::{During as _, Failure, Result};
use crate::identity::Identity;
use crate::random::Random;
use crate::requests::{Request, junit, upload};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::workspace::{self, Profile};

/// How many services there are: few, so that clients meet.
const SERVICES: u64 = 4;
/// How many releases each of them has.
const RELEASES: u64 = 5;
/// Of a hundred operations, how many read, and how many promotions come under a key that others use.
const READS: u64 = 35;
const SHARED_KEYS: u64 = 30;
/// After how many operations of a client keys are left behind, and how many are in use beside each other.
const KEY_LIFE: u64 = 10;
const KEYS_AT_ONCE: u64 = 3;
/// The environment of the starter policy set that lets everything in that was tested.
const ENVIRONMENT: &str = "dev";

/// How long readers of the event stream may take to the end, once nothing more happens, and how often that is looked at.
const READ_LIMIT: Duration = Duration::from_secs(300);
const READ_STEP: Duration = Duration::from_millis(50);

/// `races`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many operations there are, all clients together
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    operations: u64,
    /// How many clients ask at the same time
    #[arg(long, value_name = "N", default_value_t = 8)]
    clients: u64,
    /// How many read the event stream meanwhile, and hang up at random
    #[arg(long, value_name = "N", default_value_t = 4)]
    readers: u64,
    /// How many promotions 64 clients approve, reject and take back at the same moment, one after the other
    #[arg(long, value_name = "N", default_value_t = 20)]
    endings: u64,
    /// How many promotions are approved while a scan that finds something arrives
    #[arg(long, value_name = "N", default_value_t = 100)]
    turns: u64,
    /// Repeat the choices of an earlier run, not their timing [default: from the clock]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Use the release build
    #[arg(long)]
    release: bool,
}

/// What one client did, by service.
type History = Vec<(u64, Operation)>;

/// Lets the clients race, and looks for an order.
///
/// # Errors
/// When there is none, when a client is told something that it cannot be told, or when the audit finds something.
pub fn run(arguments: &Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(clock_seed);
    println!("seed {seed}");
    let binary = workspace::build_lockgate(if arguments.release { Profile::Release } else { Profile::Dev })?;
    let mut scratch = Scratch::new("races")?;
    let outcome = run_in(scratch.path(), &binary, arguments, seed);
    if outcome.is_err() {
        scratch.keep();
        eprintln!("the home is left in {}", scratch.path().display());
    }
    outcome
}

fn run_in(scratch: &Path, binary: &Path, arguments: &Arguments, seed: u64) -> Result<()> {
    let home = scratch.join("home");
    fs::create_dir_all(&home).during("make the home")?;
    let mut server = Server::demo(binary, &home)?;
    let url = server.url().to_owned();
    let token_of = |name: &str| -> Result<String> {
        Identity::load(&home, name)?.sign_in(&Client::new(&url, None)).during(format!("sign in as {name}"))
    };
    let (ci, dana) = (token_of("ci")?, token_of("dana")?);
    let people = People::sign_in(&url, &home)?;
    publish(&Client::new(&url, Some(ci.clone())))?;
    let began = Instant::now();
    let until = AtomicU64::new(u64::MAX);
    let (histories, took, single, readings) = thread::scope(|scope| {
        let readers: Vec<_> = (0..arguments.readers)
            .map(|number| {
                let client = Client::new(&url, Some(dana.clone()));
                let (mut random, until) = (Random::new(!seed.wrapping_add(number)), &until);
                scope.spawn(move || stream::follow(&client, &mut random, until))
            })
            .collect();
        let histories = race(&url, &ci, arguments, seed, began);
        let took = began.elapsed();
        let single = match &histories {
            Ok(_) => end_and_turn(&people, arguments, &mut Random::new(seed.rotate_left(32))),
            Err(_) => Ok(Default::default()),
        };
        let size = stream::size_of(&Client::new(&url, Some(ci.clone())));
        // Where the clients failed, nobody has to read to the end.
        let end = if histories.is_ok() && single.is_ok() { size.as_ref().copied().unwrap_or_default() } else { 0 };
        until.store(end, Ordering::SeqCst);
        let ended = wait_until("the end of the event stream's readers", READ_LIMIT, READ_STEP, || {
            Ok(readers.iter().all(|reader| reader.is_finished()).then_some(()))
        });
        if let Err(failure) = ended {
            // Who waits for more is told that there is nothing.
            server.kill()?;
            return Err(failure);
        }
        let read = readers.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(Failure::new("a reader panicked"))));
        let readings = read.collect::<Result<Vec<Reading>>>();
        size.and(Ok((histories?, took, single?, readings?)))
    })?;
    server.stop()?;
    let counts = judge(histories.concat())?;
    println!(
        "{counts} in {:.1} s, {} clients; an order was found for each of {SERVICES} places",
        took.as_secs_f64(),
        arguments.clients.max(1)
    );
    let (endings, turns) = single;
    println!("{endings}\n{turns}");
    println!("{}", judge_readings(&home, &readings)?);
    match remains::audit(binary, &home)? {
        None => Ok(()),
        Some(problem) => Err(Failure::new(problem)),
    }
}

/// The races about single promotions.
fn end_and_turn(people: &People, arguments: &Arguments, random: &mut Random) -> Result<(Endings, Turns)> {
    Ok((ending::race(people, arguments.endings, random)?, turning::race(people, arguments.turns, random)?))
}

/// Lets the clients race to their end.
fn race(url: &str, token: &str, arguments: &Arguments, seed: u64, began: Instant) -> Result<Vec<History>> {
    let clients = arguments.clients.max(1);
    let each = arguments.operations.div_ceil(clients);
    thread::scope(|scope| {
        let all = (0..clients).map(|number| {
            let racer = Racer {
                number,
                client: Client::new(url, Some(token.to_owned())),
                random: Random::new(seed.wrapping_mul(1000).wrapping_add(number)),
                began,
            };
            scope.spawn(move || racer.race(each))
        });
        let all: Vec<_> = all.collect();
        let ended = all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(Failure::new("a client panicked"))));
        ended.collect::<Result<Vec<History>>>()
    })
}

/// Compares what each reader got with the ledger; says in words how much that was.
fn judge_readings(home: &Path, readings: &[Reading]) -> Result<String> {
    let ledger = stream::written(home)?;
    for (number, reading) in readings.iter().enumerate() {
        reading.compare(&ledger).during(format!("reader {number}, over {} connections", reading.connections))?;
    }
    let connections: u64 = readings.iter().map(|reading| reading.connections).sum();
    // Readers that never hang up resume nothing.
    if !readings.is_empty() && connections <= readings.len() as u64 {
        return Err(Failure::new(format!("{} readers connected {connections} times: too few", readings.len())));
    }
    Ok(format!(
        "{} readers got all {} entries, each once and in order, over {connections} connections",
        readings.len(),
        ledger.len()
    ))
}

/// Publishes every release, each with a passed test.
fn publish(client: &Client) -> Result<()> {
    for service in 0..SERVICES {
        for release in 0..RELEASES {
            let name = release_name(service, release)?;
            let stored = upload(client, name.to_string().as_bytes()).during("upload an artifact")?;
            Request::publish(&name, &stored).send(client, &format!("publish-{name}")).during("publish")?;
            Request::attest(&name, &junit(&name.to_string()))
                .send(client, &format!("attest-{name}"))
                .during("attest")?;
        }
    }
    Ok(())
}

fn release_name(service: u64, release: u64) -> Result<ReleaseName> {
    format!("race/s{service}@1.{release}.0").parse::<ReleaseName>().during("the name of a release")
}

/// One client.
struct Racer {
    number: u64,
    client: Client,
    random: Random,
    /// Every client's times are counted from here.
    began: Instant,
}

impl Racer {
    fn race(mut self, operations: u64) -> Result<History> {
        let mut history = Vec::new();
        for turn in 0..operations {
            let service = self.random.between(0, SERVICES - 1);
            let asked = match self.random.between(1, 100) <= READS {
                true => Asked::Read,
                false => self.promotion(turn),
            };
            let called = self.nanos();
            let told = match asked {
                Asked::Read => self.read(service)?,
                Asked::Promote { release, key } => self.promote(service, release, key, turn)?,
            };
            history.push((service, Operation { called, answered: self.nanos(), asked, told }));
        }
        Ok(history)
    }

    /// A release to promote; under a key that others use too, mostly the one that they mean by it.
    fn promotion(&mut self, turn: u64) -> Asked {
        let release = self.random.between(0, RELEASES - 1);
        match self.random.between(1, 100) <= SHARED_KEYS {
            false => Asked::Promote { release, key: None },
            true => {
                let key = turn / KEY_LIFE * KEYS_AT_ONCE + self.random.between(0, KEYS_AT_ONCE - 1);
                let release = if self.random.between(0, 9) == 0 { release } else { key % RELEASES };
                Asked::Promote { release, key: Some(key) }
            }
        }
    }

    fn promote(&self, service: u64, release: u64, key: Option<u64>, turn: u64) -> Result<Told> {
        let request = Request::promote(&release_name(service, release)?)?;
        let key = match key {
            Some(key) => format!("shared-{service}-{key}"),
            None => format!("own-{}-{turn}", self.number),
        };
        match request.send(&self.client, &key) {
            Ok(reply) => match (reply.granted(), reply.logged.as_ref()) {
                (Some(promotion), Some(logged)) => Ok(match logged.repeated {
                    true => Told::Repeated(promotion.0),
                    false => Told::Granted(promotion.0),
                }),
                _ => Err(Failure::new(format!("`{key}` was answered with something else: {reply:?}"))),
            },
            Err(ClientError::Problem(problem)) if problem.code == "ALREADY_RUNNING" => Ok(Told::AlreadyRuns),
            Err(ClientError::Problem(problem)) if problem.code == "IDEMPOTENCY_MISMATCH" => Ok(Told::OtherRequest),
            Err(error) => Err(Failure::new(format!("`{key}` was refused with {}: {error}", error.code()))),
        }
    }

    fn read(&self, service: u64) -> Result<Told> {
        let status: StatusReply = self.client.get("/v1/status").during("read what runs")?;
        let column = status.environments.iter().position(|environment| environment.as_str() == ENVIRONMENT);
        let column = column.ok_or_else(|| Failure::new(format!("there is no environment `{ENVIRONMENT}`")))?;
        let name = format!("race/s{service}");
        let row = status.services.iter().find(|row| row.service.as_str() == name);
        let row = row.ok_or_else(|| Failure::new(format!("there is no service `{name}`")))?;
        Ok(Told::Runs(row.running.get(column).and_then(Option::as_ref).map(|cell| cell.promotion.0)))
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Looks for an order at each place; says in words how much there was to be ordered.
fn judge(history: History) -> Result<String> {
    let of = |wanted: fn(&Operation) -> bool| history.iter().filter(|(_, operation)| wanted(operation)).count();
    let granted = of(|operation| matches!(operation.told, Told::Granted(_)));
    let repeated = of(|operation| matches!(operation.told, Told::Repeated(_)));
    let refused = of(|operation| matches!(operation.told, Told::AlreadyRuns | Told::OtherRequest));
    for service in 0..SERVICES {
        let place: Vec<Operation> =
            history.iter().filter(|(of, _)| *of == service).map(|(_, operation)| *operation).collect();
        let count = place.len();
        if let Err((fit, next)) = check(place) {
            return Err(Failure::new(format!(
                "race/s{service}: no serial order tells everyone what they were told; {fit} of {count} operations fit, \
                 and then not {next:?}"
            )));
        }
    }
    // Clients that never meet race with nobody.
    if granted == 0 || repeated == 0 || refused == 0 {
        return Err(Failure::new(format!("{granted} grants, {repeated} repetitions, {refused} refusals: too few")));
    }
    Ok(format!("{} operations: {granted} grants, {repeated} repetitions, {refused} refusals", history.len()))
}
