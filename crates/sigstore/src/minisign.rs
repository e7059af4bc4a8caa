//! Minisign: detached Ed25519 signatures with a signed comment (`jedisct1/minisign`, signature format).

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::Digest;
use lockgate_model::digest::hex;
use lockgate_sign::PublicKey;

use crate::blake2b::Blake2b;
use crate::outcome::{Level, Log, Outcome, Reason, Refusal, Signed};

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";
/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// The largest file whose signature covers the bytes themselves and not their hash.
const LEGACY_BYTES: u64 = 256 * 1024 * 1024;

/// A public key with the id by which signatures name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinisignKey {
    id: [u8; 8],
    key: PublicKey,
}

/// A signature as read; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinisignSignature {
    id: [u8; 8],
    hashed: bool,
    signature: [u8; 64],
    comment: String,
    over_comment: [u8; 64],
}

impl MinisignKey {
    /// Reads a public key: the file with its comment, or the line of base64 alone.
    ///
    /// # Errors
    /// [`Reason::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = || Refusal::new(Reason::Malformed, "not a minisign public key");
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(UNTRUSTED.trim_end()));
        let bytes = STANDARD.decode(line.ok_or_else(malformed)?).map_err(|_| malformed())?;
        let (algorithm, rest) = bytes.split_first_chunk::<2>().ok_or_else(malformed)?;
        let (id, key) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
        let key: [u8; 32] = key.try_into().map_err(|_| malformed())?;
        match algorithm {
            b"Ed" => Ok(Self { id: *id, key: PublicKey::from_ed25519(key) }),
            _ => Err(malformed()),
        }
    }

    /// Whether a text looks like a signature of minisign.
    pub fn announced(text: &str) -> bool {
        text.starts_with(UNTRUSTED.trim_end()) && text.lines().any(|line| line.starts_with(TRUSTED.trim_end()))
    }

    /// Verifies a signature over a file, which is read once.
    ///
    /// A good signature is [`Outcome::WithoutLog`]: no log and no clock stands behind it, only the pinned key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn verify(&self, signature: &MinisignSignature, file: &mut dyn Read) -> std::io::Result<Outcome> {
        if signature.id != self.id {
            let (found, given) = (hex(&signature.id), hex(&self.id));
            let detail = format!("signed with the key {found}, and the key {given} was given");
            return Ok(Outcome::refused(Reason::KeyUnknown, detail));
        }
        let message = match signature.hashed {
            true => hashed(file)?,
            false => {
                let mut bytes = Vec::new();
                if file.take(LEGACY_BYTES + 1).read_to_end(&mut bytes)? as u64 > LEGACY_BYTES {
                    let detail = "a signature of the old form over a large file: sign it again with `minisign -H`";
                    return Ok(Outcome::refused(Reason::Unsupported, detail));
                }
                bytes
            }
        };
        let over_comment = [signature.signature.as_slice(), signature.comment.as_bytes()].concat();
        if self.key.verify(&message, &signature.signature).is_err() {
            return Ok(Outcome::refused(Reason::SignatureInvalid, "the signature does not belong to this file"));
        }
        if self.key.verify(&over_comment, &signature.over_comment).is_err() {
            return Ok(Outcome::refused(Reason::SignatureInvalid, "the trusted comment was changed"));
        }
        Ok(Outcome::proved(Signed {
            identity: None,
            key: Digest::of(self.key.spki_der()),
            level: Level::ManagedKey,
            time: None,
            log: Log::Absent,
        }))
    }
}

impl MinisignSignature {
    /// Reads a signature file: comment, signature, trusted comment, and the signature over both.
    ///
    /// # Errors
    /// [`Reason::Malformed`] or [`Reason::Unsupported`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = |detail: &str| Refusal::new(Reason::Malformed, format!("the minisign signature {detail}"));
        let mut lines = text.lines();
        let mut next = || lines.next().map(|line| line.trim_end_matches('\r'));
        next().filter(|line| line.starts_with(UNTRUSTED.trim_end())).ok_or_else(|| malformed("has no comment"))?;
        let bytes = next().and_then(|line| STANDARD.decode(line).ok()).ok_or_else(|| malformed("has no base64"))?;
        let comment = next().and_then(|line| line.strip_prefix(TRUSTED));
        let comment = comment.ok_or_else(|| malformed("has no trusted comment"))?.to_owned();
        let global = next().and_then(|line| STANDARD.decode(line).ok());
        let over_comment = global
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .ok_or_else(|| malformed("has no signature over its trusted comment"))?;
        let (algorithm, rest) = bytes.split_first_chunk::<2>().ok_or_else(|| malformed("is too short"))?;
        let (id, signature) = rest.split_first_chunk::<8>().ok_or_else(|| malformed("is too short"))?;
        let signature: [u8; 64] = signature.try_into().map_err(|_| malformed("has another length than 74 bytes"))?;
        let hashed = match algorithm {
            b"ED" => true,
            b"Ed" => false,
            _ => return Err(Refusal::new(Reason::Unsupported, "a minisign signature of an unknown algorithm")),
        };
        Ok(Self { id: *id, hashed, signature, comment, over_comment })
    }
}

fn hashed(file: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut hash = Blake2b::new();
    let mut piece = vec![0u8; PIECE_BYTES];
    loop {
        let length = file.read(&mut piece)?;
        match piece.get(..length) {
            Some([]) | None => return Ok(hash.finish().to_vec()),
            Some(bytes) => hash.update(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::facts::SignatureClass;
    use lockgate_sign::note::{NoteKeyKind, NoteSigner};

    const ID: [u8; 8] = *b"lockgate";

    fn signer() -> NoteSigner {
        NoteSigner::from_seed("minisign.example", NoteKeyKind::Ed25519, &[7; 32]).unwrap()
    }

    fn raw_key() -> [u8; 32] {
        // A verifier key ends with its kind and its 32 bytes in base64.
        let vkey = signer().vkey().to_string();
        let bytes = STANDARD.decode(vkey.splitn(3, '+').nth(2).unwrap()).unwrap();
        bytes[1..].try_into().unwrap()
    }

    fn key() -> MinisignKey {
        let line = STANDARD.encode([b"Ed".as_slice(), &ID, &raw_key()].concat());
        MinisignKey::parse(&format!("untrusted comment: minisign public key\n{line}\n")).unwrap()
    }

    fn sign(algorithm: &[u8; 2], message: &[u8], comment: &str) -> String {
        let signature = signer().sign_raw(message).to_vec();
        let global = signer().sign_raw(&[signature.as_slice(), comment.as_bytes()].concat()).to_vec();
        let line = STANDARD.encode([algorithm.as_slice(), &ID, &signature].concat());
        format!("untrusted comment: x\n{line}\ntrusted comment: {comment}\n{}\n", STANDARD.encode(global))
    }

    fn outcome(text: &str, file: &[u8]) -> (SignatureClass, &'static str) {
        let signature = MinisignSignature::parse(text).unwrap();
        let outcome = key().verify(&signature, &mut &file[..]).unwrap();
        (outcome.class(), outcome.code())
    }

    fn hash(bytes: &[u8]) -> Vec<u8> {
        hashed(&mut &bytes[..]).unwrap()
    }

    #[test]
    fn both_forms_verify_and_nothing_else_does() {
        let (good, log) = (SignatureClass::WithoutLog, "LOG_MISSING");
        assert_eq!(outcome(&sign(b"ED", &hash(b"file"), "v1"), b"file"), (good, log));
        assert_eq!(outcome(&sign(b"Ed", b"file", "v1"), b"file"), (good, log));
        let bad = (SignatureClass::SignatureInvalid, "SIGNATURE_INVALID");
        assert_eq!(outcome(&sign(b"ED", &hash(b"file"), "v1"), b"other"), bad);
        assert_eq!(outcome(&sign(b"ED", b"file", "v1"), b"file"), bad);
        assert_eq!(outcome(&sign(b"ED", &hash(b"file"), "v1").replace(": v1", ": v2"), b"file"), bad);
        let other = sign(b"ED", &hash(b"file"), "v1");
        let mut signature = MinisignSignature::parse(&other).unwrap();
        signature.id = [0; 8];
        let refused = key().verify(&signature, &mut &b"file"[..]).unwrap();
        assert_eq!((refused.class(), refused.code()), (SignatureClass::IdentityMismatch, "SIGNING_KEY_UNKNOWN"));
    }

    #[test]
    fn unreadable_files_are_refused() {
        let good = sign(b"ED", b"x", "v1");
        assert!(MinisignKey::announced(&good));
        for end in 0..good.trim_end().len() {
            assert!(MinisignSignature::parse(&good[..end]).is_err(), "{end}");
        }
        let unknown = sign(b"EE", b"x", "v1");
        assert_eq!(MinisignSignature::parse(&unknown).unwrap_err().reason, Reason::Unsupported);
        for bad in ["", "untrusted comment: x\n", "RWQ", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"] {
            assert_eq!(MinisignKey::parse(bad).is_ok(), bad.len() == 56, "{bad}");
        }
    }
}
