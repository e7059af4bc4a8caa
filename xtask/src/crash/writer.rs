//! A writer: publishes, attests and promotes releases of its own, has some of them approved for production, and writes
//! down what is acknowledged.

use lockgate_api::Client;
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, PromotionId, ReleaseName};

use super::Ground;
use super::arena::Arena;
use super::journal::{Ack, Journal, What};
use crate::caller::{Caller, Settled};
use crate::failure::{Failure, Result};
use crate::identity;
use crate::random::Random;
use crate::requests::{Reply, Request, approval_document, junit, sbom, scan, upload};

/// The smallest artifact, in bytes.
const ARTIFACT_BYTES: u64 = 4 * 1024;
/// How often that is doubled at most: to 1 MiB.
const DOUBLINGS: u64 = 8;
/// How many reports a release gets.
const REPORTS: (u64, u64) = (1, 3);
/// How often one request is sent before the writer gives up.
const TRIES: usize = 2000;
/// Every how many releases one goes up to production.
const RISES: u64 = 4;

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

/// In whose name a request is sent.
#[derive(Debug, Clone, Copy)]
enum By {
    Own,
    Approver,
}

/// One writer.
pub struct Writer<'a> {
    ground: &'a Ground,
    arena: &'a Arena,
    number: u64,
    own: Caller,
    approver: Caller,
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
            own: Caller::open(&ground.url, &ground.home, name, TRIES)?,
            approver: Caller::open(&ground.url, &ground.home, identity::APPROVER, TRIES)?,
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
            match u64::is_multiple_of(made, RISES) {
                true => self.rise(&release)?,
                false => self.promote(&release)?,
            }
        }
        Ok(self.tally)
    }

    /// One release: bytes, publication, reports of tests.
    fn make(&mut self, release: &ReleaseName) -> Result<()> {
        // As many small ones as large ones.
        let base = ARTIFACT_BYTES << self.random.between(0, DOUBLINGS - 1);
        let size = self.random.between(base, base * 2);
        let bytes = self.random.bytes(usize::try_from(size)?);
        let key = self.next_key();
        let (stored, was_unknown) = self.own.until_known(&mut self.arena, |client| upload(client, &bytes))?;
        self.tally.unknown += usize::from(was_unknown);
        if stored.digest != Digest::of(&bytes) {
            return Err(Failure::new(format!("the server stored {} for other bytes", stored.digest)));
        }
        self.write_down(Ack { key, what: What::Blob(stored.digest), entry: None })?;
        self.record(By::Own, &Request::publish(release, &stored), |_| Some(What::Published(release.clone())))?;
        for _ in 0..self.random.between(REPORTS.0, REPORTS.1) {
            let report = junit(&format!("{release} {}", self.sent));
            self.attest(&Request::attest(release, &report), report.as_bytes())?;
        }
        Ok(())
    }

    /// The promotion into dev, which nobody has to approve.
    fn promote(&mut self, release: &ReleaseName) -> Result<()> {
        let what = |reply: &Reply| reply.granted().map(|_| What::Promoted(reply.promotions.clone()));
        self.record(By::Own, &Request::promote(release)?, what).map(|_| ())
    }

    /// The way up to production in one request: what its gates demand, three promotions, and an approval of the last.
    fn rise(&mut self, release: &ReleaseName) -> Result<()> {
        for report in [sbom(release), scan(release)] {
            self.attest(&Request::attest_any(release, &report), report.as_bytes())?;
        }
        let what = |reply: &Reply| {
            reply.last_with("pending")?;
            (reply.promotions.len() == 3).then(|| What::Promoted(reply.promotions.clone()))
        };
        let reply = self.record(By::Own, &Request::promote_to(release, "production")?, what)?;
        match reply.last_with("pending") {
            Some(promotion) => self.approve(promotion),
            None => Err(Failure::new(format!("{release} is not pending: {reply:?}"))),
        }
    }

    /// An approval that is signed once, and handed in until that is known.
    fn approve(&mut self, promotion: PromotionId) -> Result<()> {
        let ask = |client: &Client| approval_document(client, promotion, Verdict::Approve);
        let (offer, _) = self.approver.until_known(&mut self.arena, ask)?;
        let digest = Digest::of(offer.document.as_bytes());
        let request = Request::Approve(promotion, self.approver.identity().approve(offer)?);
        let what = |reply: &Reply| {
            let same = reply.granted() == Some(promotion) && reply.recorded == Some(digest);
            same.then_some(What::Approved(promotion, digest))
        };
        self.record(By::Approver, &request, what).map(|_| ())
    }

    fn attest(&mut self, request: &Request, report: &[u8]) -> Result<()> {
        let digest = Digest::of(report);
        let what = |reply: &Reply| (reply.recorded == Some(digest)).then_some(What::Attested(digest));
        self.record(By::Own, request, what).map(|_| ())
    }

    /// Sends a request until its outcome is known, checks it, and writes it down.
    fn record(&mut self, by: By, request: &Request, what: impl Fn(&Reply) -> Option<What>) -> Result<Reply> {
        let key = self.next_key();
        let caller = match by {
            By::Own => &mut self.own,
            By::Approver => &mut self.approver,
        };
        let Settled { reply, proven, was_unknown, changed } =
            caller.settle(&mut self.arena, request, &key, &self.ground.log_key)?;
        if let Some(problem) = changed {
            return Err(Failure::new(problem));
        }
        self.tally.unknown += usize::from(was_unknown);
        match what(&reply) {
            Some(what) => self.write_down(Ack { key, what, entry: Some(proven) })?,
            None => return Err(Failure::new(format!("`{key}` was answered with something else: {reply:?}"))),
        }
        Ok(reply)
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
