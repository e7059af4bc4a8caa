//! SSH keys and SSHSIG signatures: what people approve with, checkable by stock `ssh-keygen -Y verify`.

mod public_key;
mod signature;
pub(crate) mod wire;

pub use public_key::{SSH_RSA_MIN_BITS, SshKeyError, SshKeyKind, SshPublicKey};
pub use signature::{HashAlgorithm, SshSigError, SshSignature, signed_data};
