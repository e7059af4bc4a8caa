//! OpenSSH's private key files (OpenSSH `PROTOCOL.key`): unencrypted Ed25519 and ECDSA, read and written.

use lockgate_model::Digest;

use crate::armor;
use crate::ssh::wire::{Reader, put_string, put_uint32};
use crate::ssh::{SshKeyKind, SshPublicKey};
use crate::ssh_signer::SignerError;

const LABEL: &str = "OPENSSH PRIVATE KEY";
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// The width that `ssh-keygen` writes.
const COLUMNS: usize = 70;
/// An unencrypted private section is padded to a multiple of this many bytes.
const BLOCK_BYTES: usize = 8;

/// What a key file holds.
pub(super) struct OpenSshKey {
    pub(super) public: SshPublicKey,
    pub(super) secret: Secret,
    pub(super) comment: String,
}

/// The private half.
pub(super) enum Secret {
    /// The seed and the public key.
    Ed25519 { seed: [u8; 32], public: [u8; 32] },
    /// The scalar in the full width of the curve, big-endian, and the uncompressed point.
    Ecdsa { scalar: Vec<u8>, point: Vec<u8> },
}

/// Reads a key file; `path` is only for messages.
pub(super) fn decode(text: &str, path: &str) -> Result<OpenSshKey, SignerError> {
    let not_openssh = || SignerError::NotOpenSsh { path: path.to_owned() };
    let damaged = || SignerError::Damaged("the file is cut short");
    let bytes = armor::decode(LABEL, text).ok_or_else(not_openssh)?;
    let mut outer = Reader::new(bytes.strip_prefix(MAGIC).ok_or_else(not_openssh)?);
    let cipher = outer.string().ok_or_else(damaged)?;
    let derivation = outer.string().ok_or_else(damaged)?;
    let _derivation_options = outer.string().ok_or_else(damaged)?;
    if outer.uint32().ok_or_else(damaged)? != 1 {
        return Err(SignerError::Damaged("the file must hold exactly one key"));
    }
    let public = SshPublicKey::from_wire(outer.string().ok_or_else(damaged)?)?;
    let section = outer.string().ok_or_else(damaged)?;
    match public.kind() {
        SshKeyKind::Ed25519 | SshKeyKind::EcdsaP256 | SshKeyKind::EcdsaP384 => {}
        SshKeyKind::SkEd25519 | SshKeyKind::SkEcdsaP256 | SshKeyKind::Rsa => {
            return Err(SignerError::AgentOnly { kind: public.kind().name(), path: path.to_owned() });
        }
    }
    if cipher != b"none" || derivation != b"none" {
        return Err(SignerError::Encrypted { path: path.to_owned() });
    }
    outer.end().ok_or(SignerError::Damaged("something follows the key"))?;
    let (secret, comment) = decode_section(section, &public)?;
    Ok(OpenSshKey { public, secret, comment })
}

/// Reads the private section: two equal check numbers, the key, its comment, and the padding 1, 2, 3...
fn decode_section(section: &[u8], public: &SshPublicKey) -> Result<(Secret, String), SignerError> {
    let damaged = || SignerError::Damaged("its private section is cut short");
    let mut reader = Reader::new(section);
    let checks = (reader.uint32().ok_or_else(damaged)?, reader.uint32().ok_or_else(damaged)?);
    if checks.0 != checks.1 {
        return Err(SignerError::Damaged("its check numbers differ"));
    }
    let mut wire = Vec::with_capacity(public.wire().len());
    let kind = reader.string().ok_or_else(damaged)?;
    put_string(&mut wire, kind);
    let secret = match public.kind() {
        SshKeyKind::Ed25519 => {
            let key = reader.string().ok_or_else(damaged)?;
            put_string(&mut wire, key);
            let pair = reader.string().ok_or_else(damaged)?;
            ed25519(key, pair).ok_or(SignerError::Damaged("its private and public half do not belong together"))?
        }
        _ => {
            put_string(&mut wire, reader.string().ok_or_else(damaged)?);
            let point = reader.string().ok_or_else(damaged)?;
            put_string(&mut wire, point);
            let scalar = reader.mpint().ok_or_else(damaged)?;
            ecdsa(scalar, point).ok_or(SignerError::Damaged("its private number is too long"))?
        }
    };
    if wire != public.wire() {
        return Err(SignerError::Damaged("its private and public half do not belong together"));
    }
    let comment = reader.text().ok_or_else(damaged)?.to_owned();
    let padding = reader.rest();
    let expected = (1u8..).take(padding.len().min(BLOCK_BYTES));
    match padding.len() < BLOCK_BYTES && padding.iter().copied().eq(expected) {
        true => Ok((secret, comment)),
        false => Err(SignerError::Damaged("its padding is wrong")),
    }
}

fn ed25519(key: &[u8], pair: &[u8]) -> Option<Secret> {
    let (seed, public) = pair.split_first_chunk::<32>()?;
    let public: [u8; 32] = public.try_into().ok()?;
    (public == key).then_some(Secret::Ed25519 { seed: *seed, public })
}

fn ecdsa(magnitude: &[u8], point: &[u8]) -> Option<Secret> {
    // An uncompressed point is one byte and two coordinates, each as wide as the scalar. The file drops leading zeros.
    let width = point.len().checked_sub(1)? / 2;
    let mut scalar = vec![0u8; width.checked_sub(magnitude.len())?];
    scalar.extend_from_slice(magnitude);
    Some(Secret::Ecdsa { scalar, point: point.to_vec() })
}

/// Writes an unencrypted key file for an Ed25519 key.
pub(super) fn encode_ed25519(seed: &[u8; 32], public: &[u8; 32], comment: &str) -> String {
    let kind = SshKeyKind::Ed25519.name().as_bytes();
    let mut wire = Vec::with_capacity(64);
    put_string(&mut wire, kind);
    put_string(&mut wire, public);

    // The check number serves only to tell a wrong passphrase; without one, any number will do.
    let [a, b, c, d, ..] = *Digest::of(public).as_bytes();
    let check = u32::from_be_bytes([a, b, c, d]);
    let mut section = Vec::with_capacity(192);
    put_uint32(&mut section, check);
    put_uint32(&mut section, check);
    put_string(&mut section, kind);
    put_string(&mut section, public);
    put_string(&mut section, &[seed.as_slice(), public.as_slice()].concat());
    put_string(&mut section, comment.as_bytes());
    for pad in 1u8.. {
        if section.len().is_multiple_of(BLOCK_BYTES) {
            break;
        }
        section.push(pad);
    }

    let mut out = MAGIC.to_vec();
    put_string(&mut out, b"none");
    put_string(&mut out, b"none");
    put_string(&mut out, b"");
    put_uint32(&mut out, 1);
    put_string(&mut out, &wire);
    put_string(&mut out, &section);
    armor::encode(LABEL, &out, COLUMNS)
}
