//! The application: what handlers share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_engine::Engine;
use lockgate_engine::session::Challenges;
use lockgate_model::UnixMillis;
use tokio::sync::{Semaphore, watch};

/// How many uploads and downloads may go on at the same time.
const TRANSFERS: usize = 128;
/// How many sign-in and set-up requests one address may make in a minute.
const SIGN_INS_PER_MINUTE: u32 = 240;

/// What handlers share.
pub struct App {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Open sign-in challenges.
    pub challenges: Challenges,
    /// Whether this is a demo instance.
    pub demo: bool,
    /// The ledger's size, for whoever waits for more.
    pub size: watch::Receiver<u64>,
    /// Places for uploads and downloads: each holds a thread.
    pub transfers: Arc<Semaphore>,
    sign_ins: Mutex<HashMap<IpAddr, (u64, u32)>>,
}

impl App {
    /// An application around an engine.
    pub fn new(engine: Arc<Engine>, demo: bool) -> Arc<Self> {
        let (sender, size) = watch::channel(engine.published().head.size.0);
        engine.listen(move |head| {
            // Without listeners there is nobody to tell.
            let _ = sender.send(head.size.0);
        });
        Arc::new(Self {
            engine,
            challenges: Challenges::default(),
            demo,
            size,
            transfers: Arc::new(Semaphore::new(TRANSFERS)),
            sign_ins: Mutex::new(HashMap::new()),
        })
    }

    /// Whether one more sign-in request from this address is acceptable.
    pub(crate) fn may_sign_in(&self, address: IpAddr, now: UnixMillis) -> bool {
        let minute = now.secs() / 60;
        let mut seen = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > 10_000 {
            seen.retain(|_, (at, _)| *at == minute);
        }
        let (at, count) = seen.entry(address).or_insert((minute, 0));
        if *at != minute {
            (*at, *count) = (minute, 0);
        }
        *count += 1;
        *count <= SIGN_INS_PER_MINUTE
    }
}
