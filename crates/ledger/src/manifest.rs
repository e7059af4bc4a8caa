//! Manifests: what a release is made of, once and for all.

use serde::{Deserialize, Serialize};

use lockgate_model::canonical::{self, CanonicalError};
use lockgate_model::facts::{Artifact, Source};
use lockgate_model::{Digest, Limits, ReleaseName};

/// The immutable description of a release; its digest is what approvals and grants bind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`Manifest::SCHEMA`].
    pub schema: String,
    /// `service@version`.
    pub release: ReleaseName,
    /// The artifacts; at least one, each digest once.
    pub artifacts: Vec<Artifact>,
    /// Where it was built from, as the publisher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The digest of the release notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Digest>,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not canonical JSON of that shape.
    #[error(transparent)]
    Shape(#[from] CanonicalError),
    /// No artifact, too many, or one twice.
    #[error("{0}")]
    Artifacts(String),
}

impl Manifest {
    /// The schema that this version writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/manifest/v1";

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`ManifestError::Artifacts`] when the list of artifacts is not acceptable.
    pub fn to_bytes(&self, limits: &Limits) -> Result<Vec<u8>, ManifestError> {
        self.check(limits)?;
        Ok(canonical::to_vec(self)?)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, ManifestError> {
        let manifest: Self = canonical::from_slice(bytes, limits)?;
        manifest.check(limits)?;
        // An empty optional field, or a list in the place of an object, would be a second spelling of one manifest.
        match canonical::to_vec(&manifest)? == bytes {
            true => Ok(manifest),
            false => Err(ManifestError::Shape(CanonicalError::NotCanonical)),
        }
    }

    /// The digests of the artifacts, in order.
    pub fn artifact_digests(&self) -> Vec<Digest> {
        self.artifacts.iter().map(|artifact| artifact.digest).collect()
    }

    fn check(&self, limits: &Limits) -> Result<(), ManifestError> {
        let error = |text: String| Err(ManifestError::Artifacts(text));
        if self.schema != Self::SCHEMA {
            return error(format!("`{}` is not a manifest schema that this version knows", self.schema));
        }
        if self.artifacts.is_empty() {
            return error("a release needs at least one artifact".to_owned());
        }
        if self.artifacts.len() > limits.artifacts_per_release {
            return error(format!(
                "{} artifacts are over the limit of {}",
                self.artifacts.len(),
                limits.artifacts_per_release
            ));
        }
        let mut digests = self.artifact_digests();
        digests.sort_unstable();
        digests.dedup();
        match digests.len() == self.artifacts.len() {
            true => Ok(()),
            false => error("an artifact stands twice in the release".to_owned()),
        }
    }
}
