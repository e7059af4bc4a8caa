//! Minisign: detached Ed25519 signatures with a signed comment (`jedisct1/minisign`, signature format).

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::Digest;
pub use lockgate_sign::MinisignKey;
use lockgate_sign::minisign_key::id_text;

use crate::blake2b::Blake2b;
use crate::outcome::{Level, Log, Outcome, Reason, Refusal, Signed};

const UNTRUSTED: &str = "untrusted comment:";
const TRUSTED: &str = "trusted comment: ";
/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// The largest file whose signature covers the bytes themselves and not their hash.
const LEGACY_BYTES: u64 = 256 * 1024 * 1024;
/// The first byte of the order of Ed25519's group, which the last byte of a signature does not exceed.
const ORDER_TOP_BYTE: u8 = 0x10;

/// A signature as read; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinisignSignature {
    id: [u8; 8],
    hashed: bool,
    signature: [u8; 64],
    comment: String,
    over_comment: [u8; 64],
}

impl MinisignSignature {
    /// The longest file that is read; minisign's own comments are at most 9 KiB.
    pub const BYTES_MAX: usize = 16 * 1024;

    /// Whether a text looks like a signature of minisign.
    pub fn announced(text: &str) -> bool {
        text.starts_with(UNTRUSTED) && text.lines().any(|line| line.starts_with(TRUSTED.trim_end()))
    }

    /// Reads a signature file: comment, signature, trusted comment, and the signature over both.
    ///
    /// # Errors
    /// [`Reason::Malformed`] or [`Reason::Unsupported`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = |detail: &str| Refusal::new(Reason::Malformed, format!("the minisign signature {detail}"));
        if text.len() > Self::BYTES_MAX {
            return Err(malformed("is too long"));
        }
        let mut lines = text.lines();
        let mut next = || lines.next().map(|line| line.trim_end_matches('\r'));
        next().filter(|line| line.starts_with(UNTRUSTED)).ok_or_else(|| malformed("has no comment"))?;
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

    /// The artifact that the trusted comment names: it begins with `sha256:` and 64 lower-case hex digits, and ends there
    /// or goes on after a space or a tab. Unverified, as everything that was read.
    pub fn subject(&self) -> Option<Digest> {
        self.comment.split([' ', '\t']).next()?.parse().ok()
    }

    /// Whether it names this key; a hint, and no reason to believe anything.
    pub fn names(&self, key: &MinisignKey) -> bool {
        self.id == key.id()
    }

    /// Verifies a signature over a file, which is read once.
    ///
    /// A good signature is [`Outcome::WithoutLog`]: no log and no clock stands behind it, only the pinned key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn verify(&self, key: &MinisignKey, file: &mut dyn Read) -> std::io::Result<Outcome> {
        if !self.names(key) {
            return Ok(self.by_another(key));
        }
        let message = match self.hashed {
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
        if key.key().verify(&message, &self.signature).is_err() {
            return Ok(Outcome::refused(Reason::SignatureInvalid, "the signature does not belong to this file"));
        }
        Ok(self.verify_comment(key))
    }

    /// Verifies the trusted comment, without the file: the key signed the signature together with the comment, so that
    /// neither can be changed or exchanged. What the comment says is the signer's word, and nothing is known of the file.
    ///
    /// A good signature is [`Outcome::WithoutLog`], as of [`Self::verify`].
    pub fn verify_comment(&self, key: &MinisignKey) -> Outcome {
        if !self.names(key) {
            return self.by_another(key);
        }
        // A key that also signs files as they are could have signed one that begins like this: a signature of Ed25519 ends
        // with a number below the order of its group (RFC 8032, section 5.1.7), and text does not.
        if self.signature.last().is_none_or(|byte| *byte > ORDER_TOP_BYTE) {
            return Outcome::refused(
                Reason::SignatureInvalid,
                "what the trusted comment stands beside is no signature",
            );
        }
        let signed = [self.signature.as_slice(), self.comment.as_bytes()].concat();
        match key.key().verify(&signed, &self.over_comment) {
            Err(_) => Outcome::refused(Reason::SignatureInvalid, "the signature or its trusted comment was changed"),
            Ok(()) => Outcome::proved(Signed {
                identity: None,
                key: Digest::of(key.key().spki_der()),
                level: Level::ManagedKey,
                time: None,
                log: Log::Absent,
            }),
        }
    }

    fn by_another(&self, key: &MinisignKey) -> Outcome {
        let detail = format!("signed with the key {}, and the key {} was given", id_text(self.id), key.id_text());
        Outcome::refused(Reason::KeyUnknown, detail)
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
        let outcome = signature.verify(&key(), &mut &file[..]).unwrap();
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
        let refused = signature.verify(&key(), &mut &b"file"[..]).unwrap();
        assert_eq!((refused.class(), refused.code()), (SignatureClass::IdentityMismatch, "SIGNING_KEY_UNKNOWN"));
    }

    #[test]
    fn a_comment_names_an_artifact_and_verifies_without_it() {
        let digest = Digest::of(b"file");
        let subject = |comment: &str| MinisignSignature::parse(&sign(b"ED", b"x", comment)).unwrap().subject();
        assert_eq!(subject(&digest.to_string()), Some(digest));
        assert_eq!(subject(&format!("{digest} v1.4.2")), Some(digest));
        assert_eq!(subject(&format!("{digest}\tv1.4.2")), Some(digest));
        let upper = digest.to_string().to_uppercase();
        for none in ["", "v1", &format!(" {digest}"), &format!("v1 {digest}"), &format!("{digest}0"), &upper] {
            assert_eq!(subject(none), None, "{none}");
        }
        let code = |text: &str| MinisignSignature::parse(text).unwrap().verify_comment(&key()).code();
        let good = sign(b"ED", &hash(b"file"), &digest.to_string());
        assert_eq!(code(&good), "LOG_MISSING");
        let other = Digest::of(b"other").to_string();
        assert_eq!(code(&good.replace(&digest.to_string(), &other)), "SIGNATURE_INVALID");
        // Another signature by the same key does not fit under this comment.
        let line = sign(b"ED", &hash(b"other"), "v1").lines().nth(1).unwrap().to_owned();
        assert_eq!(code(&good.replace(good.lines().nth(1).unwrap(), &line)), "SIGNATURE_INVALID");
        // A text file that was signed as it is, cut into what looks like a signature and a comment.
        let text = [b'x'; 64];
        let global = signer().sign_raw(&[text.as_slice(), digest.to_string().as_bytes()].concat()).to_vec();
        let line = STANDARD.encode([b"ED".as_slice(), &ID, &text].concat());
        let cut = format!("untrusted comment: x\n{line}\ntrusted comment: {digest}\n{}\n", STANDARD.encode(global));
        assert_eq!(code(&cut), "SIGNATURE_INVALID");
    }

    #[test]
    fn unreadable_files_are_refused() {
        let good = sign(b"ED", b"x", "v1");
        assert!(MinisignSignature::announced(&good));
        for end in 0..good.trim_end().len() {
            assert!(MinisignSignature::parse(&good[..end]).is_err(), "{end}");
        }
        let long = sign(b"ED", b"x", &"v".repeat(MinisignSignature::BYTES_MAX));
        assert_eq!(MinisignSignature::parse(&long).unwrap_err().reason, Reason::Malformed);
        let unknown = sign(b"EE", b"x", "v1");
        assert_eq!(MinisignSignature::parse(&unknown).unwrap_err().reason, Reason::Unsupported);
        for bad in ["", "untrusted comment: x\n", "RWQ", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"] {
            assert_eq!(MinisignKey::parse(bad).is_ok(), bad.len() == 56, "{bad}");
        }
    }
}
