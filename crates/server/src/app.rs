//! The application: what handlers share.

use std::sync::Arc;

use lockgate_engine::Engine;
use lockgate_engine::access_log::{self, AccessLog};
use lockgate_engine::issuer::Issuers;
use lockgate_engine::passkeys::WaitingPasskeys;
use lockgate_engine::session::Challenges;
use lockgate_engine::session::handover::Handovers;
use tokio::sync::{Semaphore, watch};

use crate::front::Front;
use crate::gathered::GatheredCache;
use crate::places::Places;
use crate::policy_report::PolicyReports;
use crate::rate::{RateTable, Rates};
use crate::standing::Standings;
use crate::uploads::Uploads;

/// How many uploads and downloads may go on at the same time.
const TRANSFERS: usize = 128;
/// How many bundles may be built and sent at the same time.
const BUNDLES: usize = 2;

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
    pub transfers: Arc<Semaphore>,
    /// Places for bundles: each is in memory as a whole until its client has taken it.
    pub bundles: Places,
    /// Who has sent which bytes.
    pub uploads: Uploads,
    /// Where each request's outcome goes.
    pub access: Arc<AccessLog>,
    /// Places for records that the access log has not written yet.
    pub records: Arc<Semaphore>,
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
            transfers: Arc::new(Semaphore::new(TRANSFERS)),
            bundles: Places::new(BUNDLES),
            uploads: Uploads::default(),
            access,
            // As many as the queue has room for, so that recording never waits on a network thread.
            records: Arc::new(Semaphore::new(access_log::QUEUE)),
            rates: RateTable::new(rates),
            front,
            issuers: Arc::default(),
        })
    }
}
