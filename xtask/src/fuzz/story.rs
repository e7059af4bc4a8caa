//! Story: what a real ledger holds, made by the real engine for this run: samples that no file of the repository has.
//!
//! Its signatures are fresh in every run, so that targets which begin with them see other inputs under the same seed.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_engine::{bundle, why};
use lockgate_ledger::TrustFile;
use lockgate_ledger::approval::{Anchor, Consent, document_for};
use lockgate_model::facts::Verdict;
use lockgate_model::{EntryIndex, PromotionId, Span};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::LedgerStore as _;
use lockgate_tlog::leaf_hash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::{Extent, History};
use crate::failure::{During as _, Failure, Result};
use crate::scratch::Scratch;

/// How many entries are read at most.
const ENTRIES_MAX: usize = 200;
/// The promotions of the one release: into dev, staging and production, of which the last waits for approval.
const PROMOTIONS: [PromotionId; 3] = [PromotionId(1), PromotionId(2), PromotionId(3)];

/// What a ledger of one service holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Story {
    /// Its entries.
    pub entries: Vec<Vec<u8>>,
    /// The bundles of its promotions.
    pub bundles: Vec<Vec<u8>>,
    /// Every body in them: manifests, envelopes, reports, the policy set.
    pub bodies: Vec<Vec<u8>>,
    /// Their checkpoints.
    pub checkpoints: Vec<Vec<u8>>,
    /// What an approver would sign.
    pub approvals: Vec<Vec<u8>>,
    /// The trust file.
    pub trust: Vec<Vec<u8>>,
    /// A signature over it, armored.
    pub signatures: Vec<Vec<u8>>,
    /// A public key, as a line.
    pub keys: Vec<Vec<u8>>,
    /// The file of a software passkey.
    #[serde(default)]
    pub passkeys: Vec<Vec<u8>>,
}

impl Story {
    /// Lets the engine write a ledger, and reads it.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn tell() -> Result<Self> {
        let scratch = Scratch::new("fuzz")?;
        let history = History::write(&scratch.path().join("data"), Extent { services: 1, promotions: 1 })?;
        let mut story = Self { entries: history.store.entries(EntryIndex(0), ENTRIES_MAX)?, ..Self::default() };
        for promotion in PROMOTIONS {
            story.add_promotion(&history, promotion)?;
        }
        let first = story.entries.first().ok_or_else(|| Failure::new("the ledger has no entry"))?;
        let trust = TrustFile::of(&*history.engine.governance()?, leaf_hash(first))?;
        story.trust.push(serde_json::to_vec(&trust)?);
        let signer = FileSigner::ed25519_from_seed(&[5; 32], "fuzz")?;
        story.keys.push(signer.public_key().to_string().into_bytes());
        let signed = signer.sign("fuzz@lockgate.dev", b"a message")?;
        story.signatures.push(signed.to_armored().into_bytes());
        let passkey = SoftPasskey::generate(&"https://lockgate.example".parse()?)?;
        story.passkeys.push(passkey.to_json()?.into_bytes());
        story.bodies.sort();
        story.bodies.dedup();
        Ok(story)
    }

    /// The story in a file; where there is none, one is told and written there. Programs that are about the same inputs
    /// need the same keys.
    ///
    /// # Errors
    /// As [`Self::tell`], or when the file cannot be read or written.
    pub fn of_file(path: &Path) -> Result<Self> {
        if path.is_file() {
            let story: Self = serde_json::from_slice(&fs::read(path)?).during(format!("read `{}`", path.display()))?;
            // One that was told before stories had a passkey is told anew.
            if !story.passkeys.is_empty() {
                return Ok(story);
            }
        }
        let story = Self::tell()?;
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, serde_json::to_vec(&story)?).during(format!("write `{}`", fresh.display()))?;
        fs::rename(&fresh, path)?;
        Ok(story)
    }

    fn add_promotion(&mut self, history: &History, promotion: PromotionId) -> Result<()> {
        let bytes = bundle::build(&history.engine, promotion)?;
        let value: Value = serde_json::from_slice(&bytes)?;
        for body in value.get("bodies").and_then(Value::as_object).into_iter().flat_map(|bodies| bodies.values()) {
            self.bodies.push(STANDARD.decode(body.as_str().unwrap_or_default())?);
        }
        if let Some(checkpoint) = value.get("checkpoint").and_then(Value::as_str) {
            self.checkpoints.push(checkpoint.as_bytes().to_vec());
        }
        self.bundles.push(bytes);
        let (state, _, _) = why::slice(&history.engine, promotion)?;
        let published = history.engine.published();
        let consent = Consent {
            approver: "sam".parse()?,
            verdict: Verdict::Approve,
            comment: Some("looks good".to_owned()),
            expires_at: published.time.plus(Span::from_secs(3600)),
            anchor: Anchor { size: published.head.size, root: published.head.root },
        };
        // A promotion that is closed cannot be approved any more.
        if let Ok(document) = document_for(&state, promotion, consent) {
            self.approvals.push(document.to_bytes()?);
        }
        Ok(())
    }

    /// The bodies that hold a text.
    pub fn bodies_with(&self, text: &str) -> Vec<Vec<u8>> {
        let holds = |body: &&Vec<u8>| String::from_utf8_lossy(body).contains(text);
        self.bodies.iter().filter(holds).cloned().collect()
    }
}
