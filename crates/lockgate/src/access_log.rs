//! The access log of this installation: where its store lies, and with which key it signs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockgate_api::Exit;
use lockgate_engine::access_log::{AccessLog, Parts};
use lockgate_ledger::access_log::origin_of;
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_store_local::{LocalStore, Options};

use crate::failure::Failure;
use crate::home::Home;
use crate::serve::{check_high_water, log_seed, stop_at_once, stop_with};

/// Bytes kept free on the disk: fewer than the ledger keeps, so that what a full disk refuses is still recorded.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Where the access log of a data directory lies.
pub fn directory(data: &Path) -> PathBuf {
    data.join("access")
}

/// How its store is opened: few readers, because only auditors read it.
pub fn options() -> Options {
    Options { reserve_bytes: RESERVE_BYTES, readers: 1, ..Options::default() }
}

/// Opens the access log of a home for writing; makes an empty one where there is none yet. `remembered` says whether
/// the home had a mark of the ledger itself.
///
/// # Errors
/// `ACCESS_LOG_ROLLED_BACK` when it is behind what this server has signed; `KEY_INVALID`; what the store says.
pub fn open(home: &Home, remembered: bool) -> Result<AccessLog, Failure> {
    let mark = home.access_high_water();
    // Whoever removed the ledger's mark has decided to begin with what is there; one mark without the other says nothing.
    if !remembered {
        // It is not there, as a rule.
        let _ = fs::remove_file(&mark);
    }
    let store = LocalStore::open(&directory(&home.data()), options())?;
    stop_with(&store);
    check_high_water(&mark, &store, "ACCESS_LOG_ROLLED_BACK", "access log")?;
    let (origin, seed) = log_seed(home)?;
    let signer = NoteSigner::from_seed(&origin_of(&origin), NoteKeyKind::Ed25519, &seed)
        .map_err(|error| Failure::new(Exit::Failed, "KEY_INVALID", error.to_string()))?;
    Ok(AccessLog::open(Parts { store: Arc::new(store), signer, on_fatal: stop_at_once() })?)
}
