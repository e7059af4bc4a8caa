//! Public keys of minisign: an Ed25519 key with the id by which signatures name it (`jedisct1/minisign`, key format).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::public_key::PublicKey;

/// How the first line of a file begins that minisign wrote.
const COMMENT: &str = "untrusted comment:";

/// A public key with the id by which signatures name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinisignKey {
    id: [u8; 8],
    key: PublicKey,
}

/// Why a text is not a public key of minisign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a minisign public key: it is one line of 56 characters, the second of `minisign.pub`")]
pub struct MinisignKeyError;

impl MinisignKey {
    /// Reads a public key: the file with its comment, or the line of base64 alone.
    ///
    /// # Errors
    /// [`MinisignKeyError`], also for several keys, and for one of small order, whose signatures anyone could forge.
    pub fn parse(text: &str) -> Result<Self, MinisignKeyError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(COMMENT));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(MinisignKeyError) };
        let bytes = STANDARD.decode(line).map_err(|_| MinisignKeyError)?;
        let (algorithm, rest) = bytes.split_first_chunk::<2>().ok_or(MinisignKeyError)?;
        let (id, key) = rest.split_first_chunk::<8>().ok_or(MinisignKeyError)?;
        let key: [u8; 32] = key.try_into().map_err(|_| MinisignKeyError)?;
        if algorithm != b"Ed" {
            return Err(MinisignKeyError);
        }
        let key = PublicKey::from_spki_der(PublicKey::from_ed25519(key).spki_der()).map_err(|_| MinisignKeyError)?;
        Ok(Self { id: *id, key })
    }

    /// The id as signatures carry it. It is a hint, and no reason to believe anything.
    pub fn id(&self) -> [u8; 8] {
        self.id
    }

    /// The id as minisign shows it.
    pub fn id_text(&self) -> String {
        id_text(self.id)
    }

    /// The key itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// A key id as minisign shows it: a number in hex, whose lowest byte comes first in files.
pub fn id_text(id: [u8; 8]) -> String {
    format!("{:016X}", u64::from_le_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "RWR+fJKKzS7AO4wbeZEZrqq+FA4aBJiC8tXU0KDIX8qrZbS0X+kBHVGi";

    #[test]
    fn reads_a_key_as_minisign_writes_it() {
        let key = MinisignKey::parse(LINE).unwrap();
        assert_eq!(key.id_text(), "3BC02ECD8A927C7E");
        assert_eq!(id_text(key.id()), key.id_text());
        let file = format!("untrusted comment: minisign public key 3BC02ECD8A927C7E\n{LINE}\n");
        assert_eq!(MinisignKey::parse(&file), Ok(key.clone()));
        assert_eq!(MinisignKey::parse(&format!("  {LINE}\r\n")), Ok(key));
    }

    #[test]
    fn refuses_what_is_no_key() {
        let check = |text: &str| assert_eq!(MinisignKey::parse(text), Err(MinisignKeyError), "{text}");
        check("");
        check("untrusted comment: minisign public key\n");
        check(&LINE[..52]);
        check(&format!("{LINE}\n{LINE}"));
        check(&STANDARD.encode([b"ED".as_slice(), &[1; 8], &[9; 32]].concat()));
        // The neutral element: whatever is signed with it verifies.
        let mut neutral = [0u8; 32];
        neutral[0] = 1;
        check(&STANDARD.encode([b"Ed".as_slice(), &[1; 8], &neutral].concat()));
    }
}
