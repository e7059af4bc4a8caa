//! One play: the story against one server that is killed on the way, and what it left.

use std::collections::BTreeMap;
use std::time::Duration;

use lockgate_model::{Digest, ReleaseName};

use super::remains;
use super::stage::Stage;
use super::story::{Step, Story};
use super::victim::{Closed, Fault, Victim};
use crate::caller::{Caller, Settled};
use crate::crash::journal::{self, Ack, Journal, What};
use crate::crash::verdict;
use crate::deadline::wait_until;
use crate::failure::{Failure, Result};
use crate::requests::{Reply, Request, junit, upload};

/// How often one request is sent before the play gives up.
const TRIES: usize = 6;
/// How often something is looked at.
const STEP: Duration = Duration::from_millis(50);

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
    /// Whether every fault came about.
    pub fired: bool,
    /// Requests whose first outcome nobody was told, and commands that were done unseen.
    pub unknown: usize,
    /// How often a start was tried again because the port was taken.
    pub retries: usize,
    /// Everything that is wrong, in words.
    pub problems: Vec<String>,
    /// How often each event stands in the ledger.
    pub events: BTreeMap<&'static str, usize>,
}

/// A play that is on.
pub struct Play<'a> {
    story: &'static Story,
    victim: Victim<'a>,
    caller: Caller,
    journal: Journal,
    sent: u64,
    unknown: usize,
}

impl<'a> Play<'a> {
    /// Sets the stage and starts the server with the first of its faults; each start gets the next one, and the last ones
    /// none.
    ///
    /// # Errors
    /// When the server does not start for another reason.
    pub fn begin(stage: &'a Stage, faults: &'a [Fault], story: &'static Story) -> Result<Self> {
        stage.fresh()?;
        let victim = Victim::start(stage, faults)?;
        let caller = Caller::open(victim.url(), &stage.home(), "ci", TRIES)?;
        let journal = Journal::create(&stage.journals(), 0)?;
        Ok(Self { story, victim, caller, journal, sent: 0, unknown: 0 })
    }

    /// Plays the story: first over HTTP, then with the program's own commands.
    ///
    /// # Errors
    /// When something is refused, or stays without an answer.
    pub fn perform(&mut self) -> Result<()> {
        if self.story.over_http {
            self.caller.sign_in(&mut self.victim)?;
            self.requests()?;
        }
        self.story.steps.iter().try_for_each(|step| self.step(step))
    }

    /// Waits until the server's log holds these words.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_for(&mut self, words: &str, limit: Duration) -> Result<()> {
        let stage = self.victim.stage;
        wait_until(&format!("`{words}`"), limit, STEP, || Ok(stage.log().contains(words).then_some(())))?;
        self.victim.recover()?;
        Ok(())
    }

    /// Stops the server, starts and stops it once more, and looks at what is left.
    ///
    /// # Errors
    /// When the server does not start again, or what is left cannot be read.
    pub fn close(self, reference: Option<&Reference>) -> Result<Ended> {
        let Self { victim, unknown, .. } = self;
        let stage = victim.stage;
        let home = stage.home();
        let Closed { fired, retries, mut problems } = victim.close()?;
        let verdict = verdict::judge(&home.join("data"), &journal::read_all(&stage.journals())?)?;
        problems.extend(verdict.problems().map(ToOwned::to_owned));
        let events = remains::counts(&remains::events(&home)?);
        if let Some(reference) = reference.filter(|reference| reference.events != events) {
            let wanted = &reference.events;
            problems.push(format!("the ledger holds {events:?}, and without a fault it holds {wanted:?}"));
        }
        problems.extend(remains::leftovers(&home)?);
        problems.extend(remains::audit(&stage.binary, &home)?);
        Ok(Ended { fired, unknown, retries, problems, events })
    }

    /// An upload, a release, a report and a promotion, each under an idempotency key and with its receipt checked.
    fn requests(&mut self) -> Result<()> {
        let release: ReleaseName = "crash/story@1.0.0".parse()?;
        let (stored, _) =
            self.caller.until_known(&mut self.victim, |client| upload(client, b"the bytes of a story"))?;
        self.sent += 1;
        let key = format!("upload-{}", self.sent);
        self.journal.append(&Ack { key, what: What::Blob(stored.digest), entry: None })?;
        self.record(&Request::publish(&release, &stored), |_| Some(What::Published(release.clone())))?;
        let report = junit("story");
        let digest = Digest::of(report.as_bytes());
        let attested = |reply: &Reply| (reply.recorded == Some(digest)).then_some(What::Attested(digest));
        self.record(&Request::attest(&release, &report), attested)?;
        self.record(&Request::promote(&release)?, |reply| {
            reply.granted().map(|_| What::Promoted(reply.promotions.clone()))
        })
    }

    /// Sends a request until its outcome is known, checks it, and writes it down.
    fn record(&mut self, request: &Request, what: impl Fn(&Reply) -> Option<What>) -> Result<()> {
        self.sent += 1;
        let key = format!("story-{}", self.sent);
        let log_key = &self.victim.stage.log_key;
        let Settled { reply, proven, was_unknown, changed } =
            self.caller.settle(&mut self.victim, request, &key, log_key)?;
        self.unknown += usize::from(was_unknown);
        if let Some(problem) = changed {
            self.victim.blame(problem);
        }
        match what(&reply) {
            Some(what) => self.journal.append(&Ack { key, what, entry: Some(proven) }),
            None => Err(Failure::new(format!("`{key}` was answered with something else: {reply:?}"))),
        }
    }

    /// Gives one command until it is acknowledged, or the ledger shows that it was applied unseen.
    fn step(&mut self, step: &Step) -> Result<()> {
        let before = self.count(step.event)?;
        let arguments = self.arguments(step)?;
        for _ in 0..TRIES {
            let output = self.victim.stage.lockgate(&arguments)?;
            let acknowledged = output.status.code() == Some(step.exit);
            if !acknowledged {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let text = format!("`lockgate {}` ended with {}: {said}", arguments.join(" "), output.status);
                self.victim.recover_or(&text)?;
            }
            let found = self.count(step.event)?.saturating_sub(before);
            match (acknowledged, found) {
                (true, found) if found == step.count => return Ok(()),
                (true, found) => {
                    let (event, count) = (step.event, step.count);
                    self.victim.blame(format!("{found} of `{event}` after an acknowledgement, and not {count}"));
                    return Ok(());
                }
                // Applied, and nobody was told. It is not given again: under another key it would be done twice.
                (false, found) if found == step.count && found > 0 => {
                    self.unknown += 1;
                    return Ok(());
                }
                (false, 0) => {}
                (false, found) => {
                    let (event, count) = (step.event, step.count);
                    self.victim.blame(format!("{found} of `{event}` after a fault, and neither none nor {count}"));
                }
            }
        }
        Err(Failure::new(format!("`lockgate {}` was not done in {TRIES} tries", arguments.join(" "))))
    }

    fn arguments(&self, step: &Step) -> Result<Vec<String>> {
        let events = remains::events(&self.victim.stage.home())?;
        let word = |word: &&'static str| match word.strip_prefix('@') {
            None => Ok((*word).to_owned()),
            Some("key") => Ok(self.victim.stage.extra_key.clone()),
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
        Ok(remains::events(&self.victim.stage.home())?.iter().filter(|(_, name)| *name == event).count())
    }
}
