//! SSH keys and SSHSIG signatures: what people approve with, checkable by stock `ssh-keygen -Y verify`.

pub(crate) mod presence;
mod public_key;
mod relying_party;
mod signature;
pub(crate) mod webauthn;
pub(crate) mod wire;

pub use presence::Presence;
pub use public_key::{SSH_RSA_MIN_BITS, SshKeyError, SshKeyKind, SshPublicKey};
pub use relying_party::{RpId, RpIdError, WebOrigin, WebOriginError};
pub use signature::{HashAlgorithm, SshSigError, SshSignature, signed_data};
pub use webauthn::WebauthnError;
