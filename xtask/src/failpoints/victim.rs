//! The victim: the server of one play, which is killed as planned and started again.

use std::time::Duration;

use lockgate_api::ClientError;

use super::stage::Stage;
use crate::caller::Recovery;
use crate::deadline::wait_until;
use crate::failure::{Failure, Result};
use crate::server::{Server, in_place, panic_in};

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

/// What came of a server with a fault.
#[derive(Debug)]
pub struct Closed {
    /// Whether the fault came about.
    pub fired: bool,
    /// How often a start was tried again because the port was taken.
    pub retries: usize,
    /// Everything that is wrong, in words.
    pub problems: Vec<String>,
}

/// A server with a fault.
pub struct Victim<'a> {
    /// Where it lives.
    pub stage: &'a Stage,
    fault: &'a Fault,
    /// The process that runs now.
    pub server: Server,
    /// Whether the planned kill has been seen; every other end of the server is a problem.
    killed: bool,
    /// How often a start was tried again because the port was taken.
    retries: usize,
    /// Everything that is wrong, in words.
    problems: Vec<String>,
}

impl<'a> Victim<'a> {
    /// Starts a server with its fault; where that kills the start, starts it again without.
    ///
    /// # Errors
    /// When it does not start for another reason.
    pub fn start(stage: &'a Stage, fault: &'a Fault) -> Result<Self> {
        let ((server, retries), killed) = match serve(stage, &fault.variable) {
            Ok(started) => (started, false),
            Err(_) if has_fired(stage, fault) => (serve(stage, "")?, true),
            Err(failure) => return Err(failure),
        };
        Ok(Self { stage, fault, server, killed, retries, problems: Vec::new() })
    }

    /// Its URL, the same after each start.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Whether the fault has come about.
    fn has_fired(&self) -> bool {
        has_fired(self.stage, self.fault)
    }

    /// Something is wrong with the server, or with what it did.
    pub fn blame(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Stops the server, and starts and stops it once more: what a kill on the way out left is read by the next start.
    /// Says whether the fault has come about by then, and what is wrong.
    ///
    /// # Errors
    /// When the server does not stop, or does not start again.
    pub fn close(self) -> Result<Closed> {
        let Self { stage, fault, server, killed, mut retries, mut problems } = self;
        let end = server.end()?;
        let fired = has_fired(stage, fault);
        // A place on the way out kills the server while it stops.
        let is_planned = fault.kills && fired && !killed && end.status.code().is_none();
        let problem = end.problem().filter(|_| !is_planned);
        problems.extend(problem);
        let (last, more) = serve(stage, "")?;
        retries += more;
        problems.extend(last.end()?.problem());
        // Those that were killed on the way have said something, too.
        problems.extend(panic_in(&stage.log()).map(|line| format!("a server panicked: {line}")));
        Ok(Closed { fired, retries, problems })
    }

    /// After something failed: the server was killed as planned and is started again, or the planned failure came
    /// about; else it failed for a reason of its own.
    ///
    /// # Errors
    /// That reason, or that the server does not start again.
    pub fn recover_or(&mut self, text: &str) -> Result<()> {
        match self.recover()? || self.has_fired() {
            true => Ok(()),
            false => Err(Failure::new(format!("it failed without a fault: {text}"))),
        }
    }

    /// Starts the server again, without a fault, where it has ended; whether it had.
    ///
    /// # Errors
    /// When it does not start.
    pub fn recover(&mut self) -> Result<bool> {
        let fired = self.has_fired();
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
        let (server, retries) = serve(self.stage, "")?;
        self.server = server;
        self.retries += retries;
        Ok(true)
    }
}

impl Recovery for Victim<'_> {
    fn request_failed(&mut self, error: &ClientError) -> Result<()> {
        self.recover_or(&error.to_string())
    }

    fn sign_in_failed(&mut self, error: &ClientError) -> Result<()> {
        self.recover_or(&error.to_string())
    }
}

/// Starts the server in its place; says too how often that was tried again because the port was taken.
///
/// # Errors
/// When it does not start, as planned or for a reason of its own.
fn serve(stage: &Stage, fault: &str) -> Result<(Server, usize)> {
    let place = ["serve", "--listen", stage.address.as_str()];
    let rates = ["--signed-in-rate", "1000000", "--anonymous-rate", "1000000"];
    let arguments = [place.as_slice(), rates.as_slice()].concat();
    in_place(|| Server::start(&stage.binary, &stage.home(), &arguments, &[("LOCKGATE_FAULT", fault)]))
}

fn has_fired(stage: &Stage, fault: &Fault) -> bool {
    fault.mark.as_ref().is_some_and(|mark| stage.log().contains(mark.as_str()))
}
