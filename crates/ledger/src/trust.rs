//! The trust file: what a verifier pins.

use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, Limits, json};
use lockgate_sign::note::VerifierKey;
use lockgate_sign::public_key::PublicKey;
use lockgate_sign::ssh::SshPublicKey;
use lockgate_tlog::checkpoint::SignedCheckpoint;
use lockgate_tlog::policy_file::TrustPolicy;

use crate::governance::Governance;
use crate::state::ApplyError;

/// What a verifier pins: the log key and witness quorum, the ledger's first entry, the first owner's key, and the key
/// that signs attestations.
///
/// The log key alone is not enough: whoever holds it could start another history. The first entry and the first
/// owner's key are what every later key is countersigned under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Always [`TrustFile::SCHEMA`].
    pub schema: String,
    /// The log keys, witnesses and quorum as a `tlog-policy` file.
    pub tlog_policy: String,
    /// The leaf hash of entry 0.
    pub genesis: Digest,
    /// The keys that may enrol as first owner.
    pub root_keys: Vec<SshPublicKey>,
    /// The attestation key, PEM.
    pub attestation_key: String,
}

impl TrustFile {
    /// The schema that this version knows.
    pub const SCHEMA: &'static str = "https://lockgate.dev/trust/v1";

    /// Reads a trust file.
    ///
    /// # Errors
    /// `TRUST_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let invalid = |message: String| ApplyError::new("TRUST_INVALID", format!("not a trust file: {message}"));
        let value =
            json::read(bytes, &Limits::DEFAULT, json::Numbers::Integers).map_err(|error| invalid(error.to_string()))?;
        if !value.is_object() {
            // A list would be read too, field by field.
            return Err(invalid("it is no JSON object".to_owned()));
        }
        let file: Self = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        if file.schema != Self::SCHEMA {
            return Err(invalid(format!("the schema `{}` is not known", file.schema)));
        }
        if file.root_keys.is_empty() {
            return Err(invalid("it pins no root key".to_owned()));
        }
        file.policy()?;
        Ok(file)
    }

    /// The trust file that this ledger's own governance states; whoever gets it must get it over a channel they trust.
    ///
    /// # Errors
    /// `SETUP_NEEDED` before the first owner is enrolled.
    pub fn of(governance: &Governance, genesis: Digest) -> Result<Self, ApplyError> {
        let first = governance
            .people()
            .flat_map(|(_, person)| person.keys.first())
            .min_by_key(|key| key.enrolled_at)
            .ok_or_else(|| ApplyError::new("SETUP_NEEDED", "no owner is enrolled yet".to_owned()))?;
        Ok(Self {
            schema: Self::SCHEMA.to_owned(),
            tlog_policy: format!("log {}\nquorum none\n", governance.identity.log_key),
            genesis,
            root_keys: vec![first.public.clone()],
            attestation_key: governance.identity.attestation_key.clone(),
        })
    }

    /// The parsed log policy.
    ///
    /// # Errors
    /// `TRUST_INVALID`.
    pub fn policy(&self) -> Result<TrustPolicy, ApplyError> {
        self.tlog_policy
            .parse()
            .map_err(|error| ApplyError::new("TRUST_INVALID", format!("the log policy does not parse: {error}")))
    }

    /// The attestation key.
    ///
    /// # Errors
    /// `TRUST_INVALID`.
    pub fn attestation_public_key(&self) -> Result<PublicKey, ApplyError> {
        PublicKey::from_pem(&self.attestation_key)
            .map_err(|error| ApplyError::new("TRUST_INVALID", format!("the attestation key does not parse: {error}")))
    }

    /// Opens a checkpoint: signed by a pinned log key, and by the witnesses that the policy asks for.
    ///
    /// # Errors
    /// `LOG_KEY_UNKNOWN`, `CHECKPOINT_INVALID` or `WITNESS_QUORUM`.
    pub fn open_checkpoint(&self, bytes: &[u8]) -> Result<(SignedCheckpoint, VerifierKey), ApplyError> {
        let (signed, key) = self.open_unwitnessed(bytes)?;
        self.check_witnesses(&signed)?;
        Ok((signed, key))
    }

    /// Opens a checkpoint that a pinned log key signed, whoever else has seen it.
    ///
    /// # Errors
    /// `LOG_KEY_UNKNOWN` or `CHECKPOINT_INVALID`.
    pub fn open_unwitnessed(&self, bytes: &[u8]) -> Result<(SignedCheckpoint, VerifierKey), ApplyError> {
        let policy = self.policy()?;
        let origin = std::str::from_utf8(bytes).ok().and_then(|text| text.lines().next()).unwrap_or_default();
        let mut last =
            ApplyError::new("LOG_KEY_UNKNOWN", format!("no pinned log key is named `{}`", origin.escape_debug()));
        for log in policy.logs().iter().filter(|log| log.vkey.name() == origin) {
            match SignedCheckpoint::open(bytes, &log.vkey, &Limits::DEFAULT) {
                Ok(signed) => return Ok((signed, log.vkey.clone())),
                Err(error) => last = ApplyError::new("CHECKPOINT_INVALID", error.to_string()),
            }
        }
        Err(last)
    }

    /// Whether the witnesses that the policy asks for have signed a checkpoint.
    ///
    /// # Errors
    /// `WITNESS_QUORUM`.
    pub fn check_witnesses(&self, signed: &SignedCheckpoint) -> Result<(), ApplyError> {
        let met = self.policy()?.quorum_met(&signed.note);
        met.map(|_| ()).map_err(|error| ApplyError::new("WITNESS_QUORUM", error.to_string()))
    }

    /// Checks that this governance grew from the pinned first entry and the pinned first owner.
    ///
    /// # Errors
    /// `GENESIS_MISMATCH`, `ROOT_KEY_UNKNOWN`, `LOG_KEY_UNKNOWN` or `ATTESTATION_KEY_UNKNOWN`.
    pub fn check_governance(&self, governance: &Governance, genesis: Digest) -> Result<(), ApplyError> {
        if lockgate_failpoint::planted("trust-pin-ignored") {
            return Ok(());
        }
        if genesis != self.genesis {
            return Err(ApplyError::new(
                "GENESIS_MISMATCH",
                "the ledger has another first entry than the pinned one".to_owned(),
            ));
        }
        let own = Self::of(governance, genesis)?;
        if !own.root_keys.iter().all(|key| self.root_keys.contains(key)) {
            return Err(ApplyError::new(
                "ROOT_KEY_UNKNOWN",
                "the first owner's key is not a pinned root key".to_owned(),
            ));
        }
        let log_key = governance.identity.log_key.as_str();
        if !self.policy()?.logs().iter().any(|log| log.vkey.to_string() == log_key) {
            return Err(ApplyError::new(
                "LOG_KEY_UNKNOWN",
                "the ledger names another log key than the pinned one".to_owned(),
            ));
        }
        match governance.identity.attestation_key == self.attestation_key {
            true => Ok(()),
            false => Err(ApplyError::new(
                "ATTESTATION_KEY_UNKNOWN",
                "the ledger names another attestation key than the pinned one".to_owned(),
            )),
        }
    }
}
