//! Samples: what the counted functions work on, made before anything is counted and handed over in a file.
//!
//! Making them takes threads and a store, which no two runs do with the same number of instructions.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_engine::audit::StoreSource;
use lockgate_engine::bundle;
use lockgate_evidence::Format;
use lockgate_ledger::bodies::required;
use lockgate_ledger::{Leaf, TrustFile};
use lockgate_model::{EntryIndex, Limits, PromotionId};
use lockgate_store::LedgerStore as _;
use lockgate_tlog::leaf_hash;
use serde::{Deserialize, Serialize};

use crate::bench::{Extent, History, documents};
use crate::failure::{During as _, Failure, Result};

/// How many entries are read at most.
const ENTRIES_MAX: usize = 200;
/// The promotion whose bundle is verified: into the second environment, granted.
const PROMOTION: PromotionId = PromotionId(2);
/// How large the bill of materials is.
const SBOM_BYTES: usize = 64 << 10;

/// A small ledger, and a bill of materials.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Samples {
    /// Every entry, in order.
    pub entries: Vec<Bytes>,
    /// Every body that the entries name.
    pub bodies: Vec<Bytes>,
    /// The bundle of a promotion.
    pub bundle: Bytes,
    /// The trust file that fits it.
    pub trust: Bytes,
    /// CycloneDX.
    pub sbom: Bytes,
}

/// Bytes, as base64.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(String);

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes))
    }

    /// The bytes themselves.
    ///
    /// # Errors
    /// When they are not base64.
    pub fn decode(&self) -> Result<Vec<u8>> {
        STANDARD.decode(&self.0).during("a sample")
    }
}

impl Samples {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = fs::read(file).during("read the samples")?;
        serde_json::from_slice(&bytes).during("read the samples")
    }
}

/// Lets the engine write a ledger of one service in `folder`, and writes the samples.
///
/// # Errors
/// What the engine refuses.
pub fn write(folder: &Path, file: &Path) -> Result<()> {
    let history = History::write(&folder.join("data"), Extent { services: 1, promotions: 1 })?;
    let entries = history.store.entries(EntryIndex(0), ENTRIES_MAX)?;
    let source = StoreSource(&*history.store);
    let mut samples = Samples::default();
    for bytes in &entries {
        samples.entries.push(Bytes::of(bytes));
        if let Leaf::Entry(entry) = Leaf::decode(bytes, &Limits::DEFAULT)? {
            for digest in entry.event.bodies() {
                samples.bodies.push(Bytes::of(&required(&source, &digest)?));
            }
        }
    }
    let first = entries.first().ok_or_else(|| Failure::new("the ledger has no entry"))?;
    let trust = TrustFile::of(&*history.engine.governance()?, leaf_hash(first))?;
    samples.trust = Bytes::of(&serde_json::to_vec(&trust)?);
    samples.bundle = Bytes::of(&bundle::build(&history.engine, PROMOTION)?);
    let sbom = documents(SBOM_BYTES)?.into_iter().find(|document| document.format == Format::CycloneDx);
    samples.sbom = Bytes::of(&sbom.ok_or_else(|| Failure::new("there is no bill of materials"))?.bytes);
    fs::write(file, serde_json::to_vec(&samples)?).during("write the samples")
}
