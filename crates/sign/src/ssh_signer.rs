//! Signing with a person's own SSH key: from a key file, or through an agent that never gives the key away.

mod agent;
mod file;
mod openssh_key;

use crate::ssh::{HashAlgorithm, SshPublicKey, SshSignature};

pub use agent::AgentSigner;
pub use file::FileSigner;

/// How messages are hashed before they are signed, as `ssh-keygen -Y sign` does by default.
pub(crate) const HASH: HashAlgorithm = HashAlgorithm::Sha512;

/// Something that signs with one SSH key.
pub trait SshSigner {
    /// The key that signs.
    fn public_key(&self) -> &SshPublicKey;

    /// Signs a message for one purpose as an SSHSIG with SHA-512.
    ///
    /// # Errors
    /// [`SignerError`] when the namespace is empty, or the key or the agent cannot or will not sign.
    fn sign(&self, namespace: &str, message: &[u8]) -> Result<SshSignature, SignerError>;
}

/// Why a key cannot be loaded, or does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The key file cannot be read.
    #[error("cannot read the key file `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The key file is encrypted.
    #[error("the key is encrypted: load it into the agent with `ssh-add {path}` and sign through the agent")]
    Encrypted {
        /// The file, or a placeholder for it.
        path: String,
    },
    /// Not a private key file of OpenSSH.
    #[error("not an OpenSSH private key: convert the file with `ssh-keygen -p -f {path}`, which rewrites it")]
    NotOpenSsh {
        /// The file, or a placeholder for it.
        path: String,
    },
    /// The file is cut short, or its parts contradict each other.
    #[error("the private key is damaged: {0}")]
    Damaged(&'static str),
    /// A kind of key that only an agent can use.
    #[error("`{kind}` keys cannot be used from a file: load the key with `ssh-add {path}` and sign through the agent")]
    AgentOnly {
        /// The kind as SSH names it.
        kind: &'static str,
        /// The file, or a placeholder for it.
        path: String,
    },
    /// Not a file of a software passkey.
    #[error("`{path}` is not a software passkey: {reason}")]
    NotPasskey {
        /// The file, or a placeholder for it.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file holds a key that is not accepted.
    #[error(transparent)]
    Key(#[from] crate::ssh::SshKeyError),
    /// The comment of a new key spans lines.
    #[error("the comment of a key must be one line without control characters")]
    BadComment,
    /// A namespace must not be empty.
    #[error("the namespace of an SSH signature must not be empty")]
    NoNamespace,
    /// The cryptographic library could not make a key or a signature.
    #[error("the cryptographic library could not make the key or the signature")]
    Failed,
    /// The agent cannot be reached, or did not answer in time.
    #[error("cannot talk to the SSH agent at `{socket}`: {reason}; start one and set SSH_AUTH_SOCK")]
    NoAgent {
        /// The agent's socket.
        socket: String,
        /// What the system says.
        reason: String,
    },
    /// The agent's answer is not what its protocol says.
    #[error("the SSH agent gave an answer that cannot be read: restart the agent")]
    BadAnswer,
    /// The agent does not hold the key, or its owner declined.
    #[error(
        "the SSH agent will not sign with `{fingerprint}`: check `ssh-add -l`, and touch the security key if it is one"
    )]
    Declined {
        /// The fingerprint of the key.
        fingerprint: String,
    },
    /// The agent's signature does not verify.
    #[error("the SSH agent returned a signature that does not verify: {0}")]
    BadSignature(#[from] crate::ssh::SshSigError),
}

/// Refuses the empty namespace, which `ssh-keygen` refuses too.
pub(crate) fn check_namespace(namespace: &str) -> Result<(), SignerError> {
    match namespace.is_empty() {
        true => Err(SignerError::NoNamespace),
        false => Ok(()),
    }
}
