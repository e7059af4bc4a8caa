//! Trust roots: the authorities, logs and timestamp services that a verifier pins, named by digest.
//!
//! `sigstore/protobuf-specs`, `sigstore_trustroot.proto`, in its JSON form. A root is a file that its owner publishes;
//! nothing here fetches or renews one.

use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use serde_json::Value;
use sigstore_verify::trust_root::{SIGSTORE_GITHUB_TRUSTED_ROOT, SIGSTORE_PRODUCTION_TRUSTED_ROOT};

use crate::outcome::{Reason, Refusal};

/// What every media type of a trust root starts with.
const MEDIA_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.trustedroot";
/// The largest trust root, in bytes.
pub const ROOT_BYTES: u64 = 1024 * 1024;

/// An instance of Sigstore whose trust root comes with this version, to be looked at and pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// The public instance.
    PublicGood,
    /// GitHub's own, for artifacts of private repositories.
    GitHub,
}

impl Instance {
    /// Every instance.
    pub const ALL: [Self; 2] = [Self::PublicGood, Self::GitHub];

    /// The name that commands use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicGood => "public-good",
            Self::GitHub => "github",
        }
    }

    /// The instance of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|instance| instance.as_str() == name)
    }

    /// The trust root as this version knows it: a snapshot of what its owner published.
    ///
    /// # Errors
    /// [`Reason::TrustRootInvalid`] never happens for what was built in.
    pub fn root(self) -> Result<TrustRoot, Refusal> {
        let text = match self {
            Self::PublicGood => SIGSTORE_PRODUCTION_TRUSTED_ROOT,
            Self::GitHub => SIGSTORE_GITHUB_TRUSTED_ROOT,
        };
        TrustRoot::parse(text.as_bytes(), &Limits::DEFAULT)
    }
}

/// A trust root, read strictly; whether its keys are good is found when a verifier is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRoot {
    text: String,
    digest: Digest,
    certificate_logs: bool,
}

impl TrustRoot {
    /// Reads one `trusted_root.json`.
    ///
    /// # Errors
    /// [`Reason::TrustRootInvalid`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let invalid = |detail: &str| Refusal::new(Reason::TrustRootInvalid, format!("the trust root {detail}"));
        if bytes.len() as u64 > ROOT_BYTES {
            return Err(invalid("is larger than 1 MiB"));
        }
        let value = json::read(bytes, limits, Numbers::Any)
            .map_err(|error| invalid(&format!("does not read: {}", error.message)))?;
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        if !media_type.starts_with(MEDIA_TYPE_PREFIX) {
            return Err(invalid(&format!("has the media type `{media_type}` instead of `{MEDIA_TYPE_PREFIX}`")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))?.to_owned();
        let logs = value.get("ctlogs").and_then(Value::as_array);
        Ok(Self { text, digest: Digest::of(bytes), certificate_logs: logs.is_some_and(|logs| !logs.is_empty()) })
    }

    /// Reads a file with one root, or with one in each line, as GitHub's command line writes them.
    ///
    /// # Errors
    /// [`Reason::TrustRootInvalid`] when any of them does not read, or there is none.
    pub fn parse_all(bytes: &[u8], limits: &Limits) -> Result<Vec<Self>, Refusal> {
        if let Ok(root) = Self::parse(bytes, limits) {
            return Ok(vec![root]);
        }
        let lines: Vec<&[u8]> =
            bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
        match lines.len() {
            0 | 1 => Self::parse(bytes, limits).map(|root| vec![root]),
            _ => lines.into_iter().map(|line| Self::parse(line, limits)).collect(),
        }
    }

    /// The root as it was handed in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name: the digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it names logs that every certificate has to stand in.
    pub fn logs_certificates(&self) -> bool {
        self.certificate_logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_root_or_lines_of_them() {
        let one = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","ctlogs":[{}]}"#;
        let other = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot.v0.2+json"}"#;
        let read = |text: &str| TrustRoot::parse_all(text.as_bytes(), &Limits::DEFAULT);
        let root = &read(one).unwrap()[0];
        assert!(root.logs_certificates());
        assert_eq!(root.digest(), Digest::of(one.as_bytes()));
        let both = read(&format!("{one}\n{other}\n")).unwrap();
        assert_eq!(both.len(), 2);
        assert!(!both[1].logs_certificates());
        for bad in ["", "{}", "{\"mediaType\":\"x\"}", "[]", &format!("{one}\nx\n"), &format!("{one}{one}")] {
            assert_eq!(read(bad).unwrap_err().reason, Reason::TrustRootInvalid, "{bad}");
        }
    }

    #[test]
    fn the_built_in_roots_read() {
        for instance in Instance::ALL {
            assert!(!instance.root().unwrap().text().is_empty());
            assert_eq!(Instance::by_name(instance.as_str()), Some(instance));
        }
        assert!(Instance::PublicGood.root().unwrap().logs_certificates());
    }
}
