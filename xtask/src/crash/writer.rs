//! A writer: publishes, attests and promotes releases of its own, and writes down what is acknowledged.

use lockgate_api::problem::ProblemKind;
use lockgate_api::{Client, ClientError};
use lockgate_model::{Digest, ReleaseName};

use super::Ground;
use super::arena::Arena;
use super::journal::{Ack, Journal, What};
use crate::failure::{Failure, Result};
use crate::identity::{self, Identity};
use crate::random::Random;
use crate::receipt;
use crate::requests::{Reply, Request, junit, upload};

/// The smallest artifact, in bytes.
const ARTIFACT_BYTES: u64 = 4 * 1024;
/// How often that is doubled at most: to 1 MiB.
const DOUBLINGS: u64 = 8;
/// How many reports a release gets.
const REPORTS: (u64, u64) = (1, 3);
/// How often one request is sent before the writer gives up.
const TRIES: usize = 2000;

/// What a writer did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Acknowledgements written down.
    pub acknowledged: usize,
    /// Requests whose first outcome was not known.
    pub unknown: usize,
}

impl Tally {
    /// Adds what another writer did.
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
    }
}

/// One writer.
pub struct Writer<'a> {
    ground: &'a Ground,
    arena: &'a Arena,
    number: u64,
    identity: Identity,
    client: Client,
    journal: Journal,
    random: Random,
    sent: u64,
    tally: Tally,
}

impl<'a> Writer<'a> {
    /// A writer that is not signed in yet; half of them are the pipeline, half the developer.
    ///
    /// # Errors
    /// When its key or its journal cannot be opened.
    pub fn open(ground: &'a Ground, arena: &'a Arena, number: u64) -> Result<Self> {
        let [ci, dana] = identity::NAMES;
        let name = if number.is_multiple_of(2) { ci } else { dana };
        Ok(Self {
            ground,
            arena,
            number,
            identity: Identity::load(&ground.home, name)?,
            client: Client::new(&ground.url, None),
            journal: Journal::create(&ground.journals, number)?,
            random: Random::new(ground.seed ^ (number + 1).wrapping_mul(0x0001_0000_0001)),
            sent: 0,
            tally: Tally::default(),
        })
    }

    /// Makes one release after the other until the run ends.
    ///
    /// # Errors
    /// When the server refuses what it should do, changes an outcome, or stays away.
    pub fn run(mut self) -> Result<Tally> {
        let mut made = 0;
        while self.arena.is_open() {
            made += 1;
            let release: ReleaseName = format!("crash/w{}@1.0.{made}", self.number).parse()?;
            self.make(&release)?;
        }
        Ok(self.tally)
    }

    /// One release: bytes, publication, reports, promotion into dev.
    fn make(&mut self, release: &ReleaseName) -> Result<()> {
        // As many small ones as large ones.
        let base = ARTIFACT_BYTES << self.random.between(0, DOUBLINGS - 1);
        let size = self.random.between(base, base * 2);
        let bytes = self.random.bytes(usize::try_from(size)?);
        let key = self.next_key();
        let (stored, _) = self.until_known(|client| upload(client, &bytes))?;
        if stored.digest != Digest::of(&bytes) {
            return Err(Failure::new(format!("the server stored {} for other bytes", stored.digest)));
        }
        self.write_down(Ack { key, what: What::Blob(stored.digest), entry: None })?;
        self.record(&Request::publish(release, &stored), |_| Some(What::Published(release.clone())))?;
        for _ in 0..self.random.between(REPORTS.0, REPORTS.1) {
            let report = junit(&format!("{release} {}", self.sent));
            let digest = Digest::of(report.as_bytes());
            let what = |reply: &Reply| (reply.evidence == Some(digest)).then_some(What::Attested(digest));
            self.record(&Request::attest(release, &report), what)?;
        }
        let what = |reply: &Reply| {
            let (promotion, status) = reply.promotion.as_ref()?;
            (status == "granted").then(|| What::Promoted(release.clone(), *promotion))
        };
        self.record(&Request::promote(release)?, what)
    }

    /// Sends a request until its outcome is known, checks it, and writes it down.
    fn record(&mut self, request: &Request, what: impl Fn(&Reply) -> Option<What>) -> Result<()> {
        let key = self.next_key();
        let (reply, was_unknown) = self.until_known(|client| request.send(client, &key))?;
        let Some(logged) = reply.logged.clone() else {
            return Err(Failure::new(format!("`{key}` was acknowledged without an entry")));
        };
        receipt::check(&self.ground.log_key, &logged)?;
        if was_unknown {
            let (again, _) = self.until_known(|client| request.send(client, &key))?;
            let entry = again.logged.as_ref().map(|again| (again.index, again.leaf, again.repeated));
            let same = entry == Some((logged.index, logged.leaf, true))
                && (&again.evidence, &again.promotion) == (&reply.evidence, &reply.promotion);
            if !same {
                return Err(Failure::new(format!("the outcome of `{key}` changed from {reply:?} to {again:?}")));
            }
        }
        match what(&reply) {
            Some(what) => self.write_down(Ack { key, what, entry: Some((logged.index, logged.leaf)) }),
            None => Err(Failure::new(format!("`{key}` was answered with something else: {reply:?}"))),
        }
    }

    /// Calls until there is an answer; says too whether an earlier call may have been applied unseen.
    fn until_known<T>(&mut self, call: impl Fn(&Client) -> std::result::Result<T, ClientError>) -> Result<(T, bool)> {
        let mut unknown = false;
        for _ in 0..TRIES {
            let error = match call(&self.client) {
                Ok(value) => {
                    self.tally.unknown += usize::from(unknown);
                    return Ok((value, unknown));
                }
                Err(error) => error,
            };
            match &error {
                ClientError::Problem(problem) if problem.kind == ProblemKind::Unauthenticated => self.sign_in()?,
                ClientError::Problem(problem) if problem.kind != ProblemKind::Unavailable => {
                    return Err(Failure::new(format!("refused with {}: {}", problem.code, problem.detail)));
                }
                ClientError::Problem(_) | ClientError::Unreachable { .. } | ClientError::Protocol(_) => {
                    unknown = true;
                    self.arena.wait_to_repeat()?;
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
                // A challenge does not outlive the server that made it, so a refusal can come from a restart.
                Err(_) => self.arena.wait_to_repeat()?,
            }
        }
        Err(Failure::new(format!("no sign-in after {TRIES} tries")))
    }

    fn next_key(&mut self) -> String {
        self.sent += 1;
        format!("crash-{}-{}-{}", self.ground.seed, self.number, self.sent)
    }

    fn write_down(&mut self, ack: Ack) -> Result<()> {
        self.journal.append(&ack)?;
        self.tally.acknowledged += 1;
        Ok(())
    }
}
