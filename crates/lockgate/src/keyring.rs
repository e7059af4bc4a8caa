//! Which key someone signs with: a file, or a running agent.

use std::path::{Path, PathBuf};

use lockgate_model::PersonId;
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::SshPublicKey;
use lockgate_sign::ssh_signer::{AgentSigner, FileSigner, SshSigner};

use crate::failure::Failure;
use crate::home::{Context, Home};

/// Where keys may be found.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The home.
    pub home: Home,
    /// `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// `~/.ssh`.
    pub ssh_dir: Option<PathBuf>,
}

impl Keyring {
    /// The key that was named, else the context's key of this person, else the agent's first key, else
    /// `~/.ssh/id_ed25519`.
    ///
    /// # Errors
    /// `KEY_MISSING` when there is none, or what the key file or agent says.
    pub fn signer(
        &self,
        context: &Context,
        person: &PersonId,
        named: Option<&Path>,
    ) -> Result<Box<dyn SshSigner>, Failure> {
        if let Some(path) = named {
            return self.file_signer(path);
        }
        match context.keys.get(person) {
            Some(entry) => match entry.strip_prefix("agent:") {
                Some(fingerprint) => self.agent_signer(Some(fingerprint)),
                None => self.file_signer(&self.home.path().join(entry)),
            },
            None => self.own(),
        }
    }

    /// The caller's own key: the agent's first, else `~/.ssh/id_ed25519`.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn own(&self) -> Result<Box<dyn SshSigner>, Failure> {
        if self.agent.is_some()
            && let Ok(signer) = self.agent_signer(None)
        {
            return Ok(signer);
        }
        let missing = || {
            Failure::usage("KEY_MISSING", "no SSH key was found: no agent holds one, and there is no ~/.ssh/id_ed25519")
                .hint("name one with --key, or make one with `ssh-keygen -t ed25519`")
        };
        let path =
            self.ssh_dir.as_ref().map(|dir| dir.join("id_ed25519")).filter(|path| path.exists()).ok_or_else(missing)?;
        self.file_signer(&path)
    }

    /// How the context names a key that was found.
    pub fn entry(&self, named: Option<&Path>, key: &SshPublicKey) -> String {
        let path = named.map(Path::to_owned).or_else(|| {
            let own = self.ssh_dir.as_ref()?.join("id_ed25519");
            (FileSigner::load(&own).ok()?.public_key() == key).then_some(own)
        });
        match path {
            Some(path) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
            None => format!("agent:{}", key.fingerprint()),
        }
    }

    /// The key in a file. A file `*.passkey.json` is a software passkey, which has no hardware and asks nobody: it is
    /// there for demonstrations and tests.
    fn file_signer(&self, path: &Path) -> Result<Box<dyn SshSigner>, Failure> {
        if path.to_string_lossy().ends_with(SoftPasskey::FILE_SUFFIX) {
            return match SoftPasskey::load(path) {
                Ok(passkey) => Ok(Box::new(passkey)),
                Err(error) => Err(Failure::usage("KEY_INVALID", error.to_string())),
            };
        }
        match FileSigner::load(path) {
            Ok(signer) => Ok(Box::new(signer)),
            Err(error) => {
                // A key with a passphrase, or one that lives in hardware: the agent may hold it.
                let public = std::fs::read_to_string(path.with_extension("pub"))
                    .ok()
                    .and_then(|text| text.parse::<SshPublicKey>().ok());
                if let Some(public) = public
                    && let Ok(signer) = self.agent_signer(Some(&public.fingerprint()))
                {
                    return Ok(signer);
                }
                Err(Failure::usage("KEY_INVALID", format!("{}: {error}", path.display())))
            }
        }
    }

    fn agent_signer(&self, fingerprint: Option<&str>) -> Result<Box<dyn SshSigner>, Failure> {
        let missing = |message: String| {
            Failure::usage("KEY_MISSING", message).hint("add it with `ssh-add`, or name a key file with --key")
        };
        let socket = self.agent.as_ref().ok_or_else(|| missing("no ssh-agent is running".to_owned()))?;
        let keys = AgentSigner::list(socket).map_err(|error| missing(error.to_string()))?;
        let key = keys
            .into_iter()
            .find(|key| fingerprint.is_none_or(|wanted| key.fingerprint() == wanted))
            .ok_or_else(|| missing(format!("the agent does not hold {}", fingerprint.unwrap_or("any key"))))?;
        Ok(Box::new(AgentSigner::new(socket, key)))
    }
}

/// Signs bytes for a purpose.
///
/// # Errors
/// `SIGNING_FAILED`.
pub fn sign(signer: &dyn SshSigner, namespace: &str, message: &[u8]) -> Result<String, Failure> {
    signer.sign(namespace, message).map(|signature| signature.to_armored()).map_err(|error| {
        Failure::new(lockgate_api::Exit::Failed, "SIGNING_FAILED", format!("the key did not sign: {error}"))
    })
}
