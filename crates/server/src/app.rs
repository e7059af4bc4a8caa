//! The application: what handlers share.

use std::sync::Arc;

use lockgate_engine::Engine;
use lockgate_engine::access_log::{self, AccessLog};
use lockgate_engine::issuer::Issuers;
use lockgate_engine::passkeys::WaitingPasskeys;
use lockgate_engine::session::Challenges;
use lockgate_engine::session::handover::Handovers;
use tokio::sync::watch;

use crate::front::Front;
use crate::gathered::GatheredCache;
use crate::places::Places;
use crate::policy_report::PolicyReports;
use crate::rate::{RateTable, Rates};
use crate::records::Records;
use crate::standing::Standings;
use crate::uploads::Uploads;

/// How many uploads and downloads may go on at the same time.
const TRANSFERS: usize = 128;
/// How many of them are one person's or machine's: several pipelines share a machine, and still leave most to others.
const OWN_TRANSFERS: usize = 32;
/// How many streams of events may be open.
const STREAMS: usize = 4096;
/// How many of them are one person's or machine's: a browser has one for each tab.
const OWN_STREAMS: usize = 32;
/// How many bundles may be built and sent at the same time.
const BUNDLES: usize = 2;
/// How many replies that show what evidence says may be made and sent at the same time.
const READINGS: usize = 4;
/// How many of them for one person.
const OWN_READINGS: usize = 2;
/// How many requests may check, or decide on, evidence that they read whole at the same time.
const CHECKS: usize = 4;
/// How many of them are one person's.
const OWN_CHECKS: usize = 2;

/// What handlers share.
pub struct App {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Open sign-in challenges.
    pub challenges: Challenges,
    /// Sessions that wait for their browsers.
    pub handovers: Handovers,
    /// What waits for whom, for the head of every page.
    pub standings: Standings,
    /// What metrics are counted from.
    pub gathered: GatheredCache,
    /// What was checked of the active policy set, and what its gates warned of.
    pub policy_reports: PolicyReports,
    /// Passkeys that wait for somebody to vouch for them.
    pub passkeys: WaitingPasskeys,
    /// Whether this is a demo instance.
    pub demo: bool,
    /// The ledger's size, for whoever waits for more.
    pub size: watch::Receiver<u64>,
    /// Places for uploads and downloads: each holds a thread.
    pub transfers: Places,
    /// Places for streams of events: each holds a connection for as long as its reader likes.
    pub streams: Places,
    /// Places for bundles: each is in memory as a whole until its client has taken it.
    pub bundles: Places,
    /// Places for replies that show what evidence says: what is read is in memory as a whole, and a large reply until its
    /// client has taken it.
    pub readings: Places,
    /// Places for what checks evidence or decides on it: given back with the work done, so that no slow reader keeps others
    /// from handing in, asking why, or approving.
    pub checks: Places,
    /// Who has sent which bytes.
    pub uploads: Uploads,
    /// Where each request's outcome goes.
    pub access: Arc<AccessLog>,
    /// Places for records that the access log has not written yet.
    pub records: Records,
    /// How many requests each caller may make.
    pub rates: RateTable,
    /// How people reach this server, and through whom they may sign in.
    pub front: Front,
    /// Token issuers and identity providers; the composition root connects them.
    pub issuers: Arc<Issuers>,
}

impl App {
    /// An application around an engine and its access log.
    pub fn new(engine: Arc<Engine>, access: Arc<AccessLog>, rates: Rates, front: Front, demo: bool) -> Arc<Self> {
        let (sender, size) = watch::channel(engine.published().head.size.0);
        engine.listen(move |head| {
            // Without listeners there is nobody to tell.
            let _ = sender.send(head.size.0);
        });
        Arc::new(Self {
            engine,
            challenges: Challenges::default(),
            handovers: Handovers::default(),
            standings: Standings::default(),
            gathered: GatheredCache::default(),
            policy_reports: PolicyReports::default(),
            passkeys: WaitingPasskeys::default(),
            demo,
            size,
            transfers: Places::new(TRANSFERS).with_own(OWN_TRANSFERS),
            streams: Places::new(STREAMS).with_own(OWN_STREAMS),
            bundles: Places::new(BUNDLES),
            readings: Places::new(READINGS).with_own(OWN_READINGS),
            checks: Places::new(CHECKS).with_own(OWN_CHECKS),
            uploads: Uploads::default(),
            access,
            // As many as the queue has room for, so that recording never waits on a network thread.
            records: Records::new(access_log::QUEUE),
            rates: RateTable::new(rates),
            front,
            issuers: Arc::default(),
        })
    }
}
