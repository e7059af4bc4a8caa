//! One play: the story against one server that is killed on the way, and what it left.

use std::collections::BTreeMap;
use std::time::Duration;

use lockgate_api::problem::ProblemKind;
use lockgate_api::{Client, ClientError};
use lockgate_model::{Digest, ReleaseName};

use super::remains;
use super::stage::Stage;
use super::story::{STEPS, Step};
use crate::crash::journal::{self, Ack, Journal, What};
use crate::crash::verdict;
use crate::deadline::wait_until;
use crate::failure::{Failure, Result};
use crate::identity::Identity;
use crate::receipt;
use crate::requests::{Reply, Request, junit, upload};
use crate::server::Server;

/// How often one request is sent before the play gives up.
const TRIES: usize = 6;
/// How often a start in the same place is tried: the port may be taken for a moment.
const STARTS: usize = 5;
/// How long a process may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(20);
/// How often something is looked at.
const STEP: Duration = Duration::from_millis(5);

/// What the server is told to do, and the words by which its log says that it did.
#[derive(Debug)]
pub struct Fault {
    /// The value of `LOCKGATE_FAULT`.
    pub variable: String,
    /// Absent where nothing happens.
    pub mark: Option<String>,
    kills: bool,
}

impl Fault {
    /// Only tells which places are passed.
    pub fn trace() -> Self {
        Self { variable: "trace".to_owned(), mark: None, kills: false }
    }

    /// Nothing happens.
    pub fn none() -> Self {
        Self { variable: String::new(), mark: None, kills: false }
    }

    /// Kills the server at the n-th pass of a place.
    pub fn kill(name: &str, nth: u64) -> Self {
        Self { variable: format!("{name}:kill@{nth}"), mark: Some(format!("failpoint {name} kills")), kills: true }
    }

    /// Lets the step behind a place fail at its n-th pass.
    pub fn error(name: &str, nth: u64) -> Self {
        Self { variable: format!("{name}:error@{nth}"), mark: Some(format!("failpoint {name} fails")), kills: false }
    }
}

/// What a play without a fault comes to.
#[derive(Debug, Default)]
pub struct Reference {
    /// How often each place is passed.
    pub passes: BTreeMap<String, u64>,
    /// How often each event stands in the ledger.
    pub events: BTreeMap<&'static str, usize>,
}

/// What a play came to.
#[derive(Debug)]
pub struct Ended {
    /// Whether the fault came about.
    pub fired: bool,
    /// Requests whose first outcome nobody was told.
    pub unknown: usize,
    /// Everything that is wrong, in words.
    pub problems: Vec<String>,
    /// How often each event stands in the ledger.
    pub events: BTreeMap<&'static str, usize>,
}

/// A play that is on.
pub struct Play<'a> {
    stage: &'a Stage,
    fault: &'a Fault,
    server: Server,
    /// Whether the planned kill has been seen; every other end of the server is a problem.
    killed: bool,
    identity: Identity,
    client: Client,
    journal: Journal,
    sent: u64,
    unknown: usize,
    problems: Vec<String>,
}

impl<'a> Play<'a> {
    /// Sets the stage and starts the server with its fault; where that kills the start, starts it again without.
    ///
    /// # Errors
    /// When the server does not start for another reason.
    pub fn begin(stage: &'a Stage, fault: &'a Fault) -> Result<Self> {
        stage.fresh()?;
        let (server, killed) = match serve(stage, &fault.variable, fault.mark.as_deref()) {
            Ok(server) => (server, false),
            Err(_) if has_fired(stage, fault) => (serve(stage, "", None)?, true),
            Err(failure) => return Err(failure),
        };
        Ok(Self {
            stage,
            fault,
            killed,
            identity: Identity::load(&stage.home(), "ci")?,
            client: Client::new(server.url(), None),
            journal: Journal::create(&stage.journals(), 0)?,
            server,
            sent: 0,
            unknown: 0,
            problems: Vec::new(),
        })
    }

    /// Plays the story: first over HTTP, then with the program's own commands.
    ///
    /// # Errors
    /// When something is refused, or stays without an answer.
    pub fn perform(&mut self) -> Result<()> {
        self.sign_in()?;
        self.requests()?;
        STEPS.iter().try_for_each(|step| self.step(step))
    }

    /// Waits until the server's log holds these words.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_for(&mut self, words: &str, limit: Duration) -> Result<()> {
        let stage = self.stage;
        wait_until(&format!("`{words}`"), limit, STEP * 10, || Ok(stage.log().contains(words).then_some(())))?;
        self.recover()?;
        Ok(())
    }

    /// Stops the server, starts and stops it once more, and looks at what is left.
    ///
    /// # Errors
    /// When the server does not start again, or what is left cannot be read.
    pub fn close(self, reference: Option<&Reference>) -> Result<Ended> {
        let Self { stage, fault, server, mut problems, unknown, .. } = self;
        let home = stage.home();
        server.stop()?;
        // What a kill on the way out left is read by the next start.
        serve(stage, "", None)?.stop()?;
        let verdict = verdict::judge(&home.join("data"), &journal::read_all(&stage.journals())?)?;
        problems.extend(verdict.problems().map(ToOwned::to_owned));
        let events = remains::counts(&remains::events(&home)?);
        if let Some(reference) = reference.filter(|reference| reference.events != events) {
            let wanted = &reference.events;
            problems.push(format!("the ledger holds {events:?}, and without a fault it holds {wanted:?}"));
        }
        problems.extend(remains::leftovers(&home)?);
        problems.extend(remains::audit(&stage.binary, &home)?);
        Ok(Ended { fired: has_fired(stage, fault), unknown, problems, events })
    }

    /// An upload, a release, a report and a promotion, each under an idempotency key and with its receipt checked.
    fn requests(&mut self) -> Result<()> {
        let release: ReleaseName = "crash/story@1.0.0".parse()?;
        let (stored, _) = self.until_known(|client| upload(client, b"the bytes of a story"))?;
        self.sent += 1;
        let key = format!("upload-{}", self.sent);
        self.journal.append(&Ack { key, what: What::Blob(stored.digest), entry: None })?;
        self.record(&Request::publish(&release, &stored), |_| Some(What::Published(release.clone())))?;
        let report = junit("story");
        let digest = Digest::of(report.as_bytes());
        let attested = |reply: &Reply| (reply.recorded == Some(digest)).then_some(What::Attested(digest));
        self.record(&Request::attest(&release, &report), attested)?;
        self.record(&Request::promote(&release)?, |reply| Some(What::Promoted(vec![reply.granted()?])))
    }

    /// Sends a request until its outcome is known, checks it, and writes it down.
    fn record(&mut self, request: &Request, what: impl Fn(&Reply) -> Option<What>) -> Result<()> {
        self.sent += 1;
        let key = format!("story-{}", self.sent);
        let (reply, was_unknown) = self.until_known(|client| request.send(client, &key))?;
        let Some(logged) = reply.logged.clone() else {
            return Err(Failure::new(format!("`{key}` was acknowledged without an entry")));
        };
        receipt::check(&self.stage.log_key, &logged)?;
        if was_unknown {
            self.unknown += 1;
            let (again, _) = self.until_known(|client| request.send(client, &key))?;
            let entry = again.logged.as_ref().map(|again| (again.index, again.leaf, again.repeated));
            if entry != Some((logged.index, logged.leaf, true)) {
                self.problems.push(format!("the outcome of `{key}` changed from {reply:?} to {again:?}"));
            }
        }
        match what(&reply) {
            Some(what) => self.journal.append(&Ack { key, what, entry: Some((logged.index, logged.leaf)) }),
            None => Err(Failure::new(format!("`{key}` was answered with something else: {reply:?}"))),
        }
    }

    /// Calls until there is an answer; says too whether an earlier call may have been applied unseen.
    fn until_known<T>(&mut self, call: impl Fn(&Client) -> std::result::Result<T, ClientError>) -> Result<(T, bool)> {
        let mut unknown = false;
        for _ in 0..TRIES {
            let error = match call(&self.client) {
                Ok(value) => return Ok((value, unknown)),
                Err(error) => error,
            };
            match &error {
                ClientError::Problem(problem) if problem.kind == ProblemKind::Unauthenticated => self.sign_in()?,
                _ => {
                    unknown = true;
                    self.recover_or(&error.to_string())?;
                }
            }
        }
        Err(Failure::new(format!("no answer after {TRIES} tries")))
    }

    fn sign_in(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            match self.identity.sign_in(&self.client) {
                Ok(token) => {
                    self.client.sign_in_with(token);
                    return Ok(());
                }
                Err(error) => self.recover_or(&error.to_string())?,
            }
        }
        Err(Failure::new(format!("no sign-in after {TRIES} tries")))
    }

    /// Gives one command until it is acknowledged, or the ledger shows that it was applied unseen.
    fn step(&mut self, step: &Step) -> Result<()> {
        let before = self.count(step.event)?;
        let arguments = self.arguments(step)?;
        for _ in 0..TRIES {
            let output = self.stage.lockgate(&arguments)?;
            let acknowledged = output.status.code() == Some(step.exit);
            if !acknowledged {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let text = format!("`lockgate {}` ended with {}: {said}", arguments.join(" "), output.status);
                self.recover_or(&text)?;
            }
            let found = self.count(step.event)?.saturating_sub(before);
            match (acknowledged, found) {
                (true, found) if found == step.count => return Ok(()),
                (true, found) => {
                    let (event, count) = (step.event, step.count);
                    self.problems.push(format!("{found} of `{event}` after an acknowledgement, and not {count}"));
                    return Ok(());
                }
                // Applied, and nobody was told.
                (false, found) if found == step.count => {
                    self.unknown += 1;
                    return Ok(());
                }
                (false, 0) => {}
                (false, found) => {
                    let (event, count) = (step.event, step.count);
                    self.problems.push(format!("{found} of `{event}` after a fault, and neither none nor {count}"));
                }
            }
        }
        Err(Failure::new(format!("`lockgate {}` was not done in {TRIES} tries", arguments.join(" "))))
    }

    fn arguments(&self, step: &Step) -> Result<Vec<String>> {
        let events = remains::events(&self.stage.home())?;
        let word = |word: &&'static str| match word.strip_prefix('@') {
            None => Ok((*word).to_owned()),
            Some("key") => Ok(self.stage.extra_key.clone()),
            Some(event) => {
                let newest = events.iter().rev().find(|(_, name)| *name == event);
                newest
                    .map(|(index, _)| index.to_string())
                    .ok_or_else(|| Failure::new(format!("the ledger holds no `{event}`")))
            }
        };
        step.arguments.iter().map(word).collect()
    }

    fn count(&self, event: &str) -> Result<usize> {
        Ok(remains::events(&self.stage.home())?.iter().filter(|(_, name)| *name == event).count())
    }

    /// After something failed: the server was killed as planned and is started again, or the planned failure came
    /// about; else it failed for a reason of its own.
    fn recover_or(&mut self, text: &str) -> Result<()> {
        match self.recover()? || has_fired(self.stage, self.fault) {
            true => Ok(()),
            false => Err(Failure::new(format!("it failed without a fault: {text}"))),
        }
    }

    /// Starts the server again, without a fault, where it has ended.
    fn recover(&mut self) -> Result<bool> {
        let fired = has_fired(self.stage, self.fault);
        if self.fault.kills && fired && !self.killed {
            // The log is written before the process ends.
            let server = &mut self.server;
            wait_until("the end of the killed server", END_LIMIT, STEP, || Ok(server.has_ended()?.then_some(())))?;
        }
        if !self.server.has_ended()? {
            return Ok(false);
        }
        if !(self.fault.kills && fired && !self.killed) {
            self.problems.push("the server ended by itself".to_owned());
        }
        self.killed = true;
        self.server = serve(self.stage, "", None)?;
        Ok(true)
    }
}

/// Starts the server in its place; where its log holds the words of `mark`, it ended as planned and is not tried again.
fn serve(stage: &Stage, fault: &str, mark: Option<&str>) -> Result<Server> {
    let place = ["serve", "--listen", stage.address.as_str()];
    let rates = ["--signed-in-rate", "1000000", "--anonymous-rate", "1000000"];
    let arguments = [place.as_slice(), rates.as_slice()].concat();
    let start = || Server::start(&stage.binary, &stage.home(), &arguments, &[("LOCKGATE_FAULT", fault)]);
    let mut outcome = start();
    for _ in 1..STARTS {
        if outcome.is_ok() || mark.is_some_and(|mark| stage.log().contains(mark)) {
            break;
        }
        outcome = start();
    }
    outcome
}

fn has_fired(stage: &Stage, fault: &Fault) -> bool {
    fault.mark.as_ref().is_some_and(|mark| stage.log().contains(mark.as_str()))
}
