//! Signed notes: text with named Ed25519 signatures below it (C2SP `signed-note` v1.0.0).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::digest::hex;
use lockgate_model::{Hasher, Limits};

use crate::public_key::{PublicKey, is_small_order};

/// What a note key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKeyKind {
    /// Type 0x01: Ed25519 over the text of the note.
    Ed25519,
    /// Type 0x04: a timestamped Ed25519 cosignature (C2SP `tlog-cosignature`).
    CosignatureEd25519,
}

impl NoteKeyKind {
    /// The type byte in key ids and verifier keys.
    pub fn type_byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureEd25519 => 0x04,
        }
    }

    fn from_type_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureEd25519),
            _ => None,
        }
    }
}

/// Why a note, or a key for notes, is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The note is longer than the limit.
    #[error("the note has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The note has more signature lines than the limit.
    #[error("the note has more than {limit} signatures")]
    TooManySignatures {
        /// How many it may have.
        limit: usize,
    },
    /// The bytes are not text, an empty line and signature lines.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// A key name that the format cannot carry.
    #[error("`{0}` is not a note key name: it must not be empty nor hold spaces, control characters or `+`")]
    BadName(String),
    /// Not a verifier key.
    #[error("`{text}` is not a verifier key: {reason}")]
    BadVerifierKey {
        /// What was given, at most 160 characters of it.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The private key cannot be used.
    #[error("the note's private key cannot be used: give 32 random bytes")]
    BadSeed,
    /// The key signs something other than the text.
    #[error("the key `{0}` does not sign the text of notes: give a key of type Ed25519")]
    WrongKind(String),
    /// A signature under the key's name and id does not verify.
    #[error("the signature of `{0}` on the note does not verify: the note was changed or forged")]
    BadSignature(String),
    /// No signature under the key's name and id.
    #[error("the note is not signed by `{0}`")]
    NotSigned(String),
}

/// A named public key that verifies notes, written `name+<8 hex>+<base64>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: NoteKeyKind,
    key: [u8; 32],
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`NoteError::BadName`], or [`NoteError::BadVerifierKey`] for a key of small order.
    pub fn new(name: &str, kind: NoteKeyKind, key: [u8; 32]) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::BadName(name.chars().take(160).collect()));
        }
        if is_small_order(&key) {
            let reason = "it has small order, so that anyone could forge its signatures";
            return Err(NoteError::BadVerifierKey { text: name.chars().take(160).collect(), reason });
        }
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// The name; for a log it equals the origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> NoteKeyKind {
        self.kind
    }

    /// The raw Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.key
    }

    /// The first four bytes of [`VerifierKey::log_id`], as signature lines carry them.
    pub fn key_id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.log_id();
        [a, b, c, d]
    }

    /// SHA-256 of the name, a line feed, the type byte and the public key.
    pub fn log_id(&self) -> [u8; 32] {
        let mut hasher = Hasher::new();
        hasher.update(self.name.as_bytes());
        hasher.update(&[b'\n', self.kind.type_byte()]);
        hasher.update(&self.key);
        *hasher.finish().as_bytes()
    }

    /// Verifies a bare Ed25519 signature of this key over any message.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when it does not verify.
    pub fn verify_raw(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        PublicKey::from_ed25519(self.key)
            .verify(message, signature)
            .map_err(|_| NoteError::BadSignature(self.name.clone()))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = Vec::with_capacity(33);
        typed.push(self.kind.type_byte());
        typed.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.key_id()), STANDARD.encode(&typed))
    }
}
impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    /// Reads `name+<8 lower-case hex>+<base64>`; the id must be the one that name and key give.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let bad = |reason: &'static str| NoteError::BadVerifierKey { text: text.chars().take(160).collect(), reason };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("write name+id+key, as the log or witness publishes it"));
        };
        let bytes = STANDARD.decode(body).map_err(|_| bad("the key is not base64"))?;
        let (type_byte, key) = bytes.split_first().ok_or_else(|| bad("the key is empty"))?;
        let kind = NoteKeyKind::from_type_byte(*type_byte)
            .ok_or_else(|| bad("its type is neither Ed25519 (1) nor Ed25519 cosignature (4)"))?;
        let key: [u8; 32] = key.try_into().map_err(|_| bad("an Ed25519 key has 32 bytes"))?;
        let verifier = Self::new(name, kind, key)?;
        match hex(&verifier.key_id()) == id {
            true => Ok(verifier),
            false => Err(bad("the id does not belong to this name and key: copy it again")),
        }
    }
}

/// A named private key that signs notes; it never appears in `Debug` output.
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    vkey: VerifierKey,
}

impl NoteSigner {
    /// Makes the signer that belongs to a seed of 32 random bytes.
    ///
    /// # Errors
    /// [`NoteError::BadName`], or [`NoteError::BadSeed`] when the library refuses the seed.
    pub fn from_seed(name: &str, kind: NoteKeyKind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::BadSeed)?;
        let key: &[u8] = pair.public_key().as_ref();
        let key: [u8; 32] = key.try_into().map_err(|_| NoteError::BadSeed)?;
        let vkey = VerifierKey::new(name, kind, key)?;
        Ok(Self { pair, vkey })
    }

    /// The key that verifies what this one signs.
    pub fn vkey(&self) -> &VerifierKey {
        &self.vkey
    }

    /// Signs a note's text, which ends with a line feed.
    ///
    /// Only for keys of kind [`NoteKeyKind::Ed25519`]: a cosigner signs another message, and what this makes with a
    /// cosigner's key never verifies as a cosignature.
    pub fn sign_text(&self, text: &str) -> NoteSignature {
        NoteSignature {
            name: self.vkey.name.clone(),
            key_id: self.vkey.key_id(),
            signature: self.sign_raw(text.as_bytes()).to_vec(),
        }
    }

    /// Signs any bytes, for formats that build the message themselves.
    pub fn sign_raw(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0u8; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        bytes
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.vkey)
    }
}

/// A text with its signatures; nothing is believed before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The signed text; ends with a line feed.
    pub text: String,
    /// At least one signature, in the order of the note.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line of a note; shown as the line without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The id of the key: a hint to find the key, not a proof.
    pub key_id: [u8; 4],
    /// What follows the id; for type 0x01 the 64 bytes of an Ed25519 signature.
    pub signature: Vec<u8>,
}

impl Note {
    /// Reads a note: text, an empty line, and at least one signature line; unknown signatures are kept.
    ///
    /// # Errors
    /// [`NoteError`] for sizes over the limits, invalid UTF-8, control characters, or malformed signature lines.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, NoteError> {
        if bytes.len() > limits.note_bytes {
            return Err(NoteError::TooLarge { bytes: bytes.len(), limit: limits.note_bytes });
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed("it holds control characters"));
        }
        // The last empty line separates; the text may hold others.
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed("no empty line separates text and signatures"))?;
        let (text, rest) = note
            .split_at_checked(split + 1)
            .ok_or(NoteError::Malformed("no empty line separates text and signatures"))?;
        let lines = rest
            .strip_prefix('\n')
            .and_then(|lines| lines.strip_suffix('\n'))
            .ok_or(NoteError::Malformed("the last line must be a signature and end with a line feed"))?;
        let mut signatures: Vec<NoteSignature> = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() >= limits.note_signatures {
                return Err(NoteError::TooManySignatures { limit: limits.note_signatures });
            }
            signatures.push(line.parse()?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Writes the note: the text, an empty line, and one line for each signature.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.text);
        for signature in &self.signatures {
            out.push_str(&format!("{signature}\n"));
        }
        out
    }

    /// Verifies that a key of kind [`NoteKeyKind::Ed25519`] signed the text; signatures of other keys are ignored.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when any signature under the key's name and id fails, [`NoteError::NotSigned`] when
    /// there is none, [`NoteError::WrongKind`] for a cosigner's key.
    pub fn verify_ed25519(&self, key: &VerifierKey) -> Result<(), NoteError> {
        if key.kind != NoteKeyKind::Ed25519 {
            return Err(NoteError::WrongKind(key.name.clone()));
        }
        let key_id = key.key_id();
        let mut signed = false;
        for signature in &self.signatures {
            if signature.name == key.name && signature.key_id == key_id {
                key.verify_raw(self.text.as_bytes(), &signature.signature)?;
                signed = true;
            }
        }
        match signed {
            true => Ok(()),
            false => Err(NoteError::NotSigned(key.name.clone())),
        }
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = [self.key_id.as_slice(), &self.signature].concat();
        write!(f, "\u{2014} {} {}", self.name, STANDARD.encode(body))
    }
}

impl FromStr for NoteSignature {
    type Err = NoteError;

    /// Reads one signature line without its line feed.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let malformed = || NoteError::Malformed("a signature line must be an em dash, a key name and base64");
        let (name, body) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or_else(malformed)?;
        let bytes = STANDARD.decode(body).map_err(|_| malformed())?;
        let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        if !is_key_name(name) || signature.is_empty() {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
    }
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c == '+' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "lockgate.example/log/1";
    const VKEY: &str = "lockgate.example/log/1+f89eeeeb+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    const WITNESS: &str = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
    const TEXT: &str = "lockgate.example/log/1\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
    const LINES: &str = "\
        \u{2014} lockgate.example/log/1 +J7u6+dODtSyyo8UXiWfO91w3dZ0oneiwSMWW9Gu3pyJNFzbXtB0O4HJo7OJdRuFGbwqLdokd0lsfFPGMksF4yYitwg=\n\
        \u{2014} witness.example/w1 IDJKvgAAAABlU/EAK20EzPPS4SCgPuB6bFMDtGNVTvVpXASmM220met3mG+eCHiG8LzRTbrRmQsfd0rEpaB287S6j4+jPATX7FsdBQ==\n";

    fn seed(first: u8) -> [u8; 32] {
        let mut seed = [0u8; 32];
        for (byte, value) in seed.iter_mut().zip(first..) {
            *byte = value;
        }
        seed
    }

    fn log() -> NoteSigner {
        NoteSigner::from_seed(NAME, NoteKeyKind::Ed25519, &seed(0)).unwrap()
    }

    fn parse(text: &str) -> Result<Note, NoteError> {
        Note::parse(text.as_bytes(), &Limits::DEFAULT)
    }

    #[test]
    fn keys_and_signatures_are_the_known_ones() {
        let log = log();
        assert_eq!(log.vkey().to_string(), VKEY);
        assert_eq!(log.vkey(), &VKEY.parse::<VerifierKey>().unwrap());
        assert_eq!(log.vkey().log_id()[..4], log.vkey().key_id());
        let witness =
            NoteSigner::from_seed("witness.example/w1", NoteKeyKind::CosignatureEd25519, &seed(0x20)).unwrap();
        assert_eq!(witness.vkey().to_string(), WITNESS);
        assert_eq!(witness.vkey(), &WITNESS.parse::<VerifierKey>().unwrap());

        let note = parse(&format!("{TEXT}\n{LINES}")).unwrap();
        assert_eq!(note.text, TEXT);
        assert_eq!(note.to_text(), format!("{TEXT}\n{LINES}"));
        assert_eq!(note.signatures[0], log.sign_text(TEXT));
        assert_eq!(note.verify_ed25519(log.vkey()), Ok(()));
        // A cosignature is eight bytes of time and a signature over a message of its own.
        let message = format!("cosignature/v1\ntime 1700000000\n{TEXT}");
        assert_eq!(note.signatures[1].signature[8..], witness.sign_raw(message.as_bytes()));
        assert_eq!(note.verify_ed25519(witness.vkey()), Err(NoteError::WrongKind("witness.example/w1".to_owned())));
    }

    #[test]
    fn a_known_signature_that_fails_fails_the_note() {
        let log = log();
        let signed = |text: &str, signatures: Vec<NoteSignature>| Note { text: text.to_owned(), signatures };
        let good = log.sign_text("a\n");
        let stranger = NoteSigner::from_seed("other", NoteKeyKind::Ed25519, &seed(9)).unwrap();
        let same_name = NoteSigner::from_seed(NAME, NoteKeyKind::Ed25519, &seed(9)).unwrap();
        let check = |note: Note, expected: Result<(), NoteError>| assert_eq!(note.verify_ed25519(log.vkey()), expected);
        let bad = || Err(NoteError::BadSignature(NAME.to_owned()));
        let none = || Err(NoteError::NotSigned(NAME.to_owned()));
        check(signed("a\n", vec![good.clone()]), Ok(()));
        check(signed("a\n", vec![stranger.sign_text("x\n"), good.clone()]), Ok(()));
        check(signed("b\n", vec![good.clone()]), bad());
        check(signed("a\n", vec![good.clone(), log.sign_text("b\n")]), bad());
        check(signed("a\n", vec![NoteSignature { signature: vec![1], ..good.clone() }]), bad());
        check(signed("a\n", vec![stranger.sign_text("a\n")]), none());
        check(signed("a\n", vec![same_name.sign_text("a\n")]), none());
        check(signed("a\n", vec![NoteSignature { key_id: [0; 4], ..good }]), none());
    }

    #[test]
    fn the_last_empty_line_separates() {
        let line = LINES.lines().next().unwrap();
        assert_eq!(parse(&format!("a\n\nb\n\n{line}\n")).unwrap().text, "a\n\nb\n");
        assert_eq!(parse(&format!("a\n\n\n{line}\n")).unwrap().text, "a\n\n");
        for bad in [
            String::new(),
            "a\n".to_owned(),
            "a\n\n".to_owned(),
            format!("a\n{line}\n"),
            format!("a\n\n{line}"),
            format!("a\n\n{line}\nx\n"),
            format!("a\n\n{line}\n\n"),
            format!("a\t\n\n{line}\n"),
            format!("a\r\n\r\n{line}\n"),
            format!("a\n\n{}\n", line.replace('\u{2014}', "-")),
            format!("a\n\n{}\n", line.replace("wg=", "wh=")),
            format!("a\n\n{}\n", line.replace("log/1", "log+1")),
            "a\n\n\u{2014} name AAAAAA==\n".to_owned(),
        ] {
            assert!(matches!(parse(&bad), Err(NoteError::Malformed(_))), "{bad:?}");
        }
        assert!(matches!(Note::parse(b"\xff\n\n", &Limits::DEFAULT), Err(NoteError::Malformed(_))));
    }

    #[test]
    fn stops_at_the_limits_and_not_before() {
        let line = LINES.lines().next().unwrap();
        let limits = Limits { note_signatures: 2, note_bytes: 1000, ..Limits::DEFAULT };
        let parse =
            |count: usize| Note::parse(format!("a\n\n{}", format!("{line}\n").repeat(count)).as_bytes(), &limits);
        assert!(parse(2).is_ok());
        assert_eq!(parse(3), Err(NoteError::TooManySignatures { limit: 2 }));
        assert!(matches!(parse(100), Err(NoteError::TooLarge { limit: 1000, .. })));
    }

    #[test]
    fn verifier_keys_are_strict() {
        for bad in [
            String::new(),
            "name".to_owned(),
            VKEY.replace("f89eeeeb", "f89eeeec"),
            VKEY.replace("f89eeeeb", "F89EEEEB"),
            VKEY.replace("f89eeeeb+", ""),
            VKEY.replace("log/1", "log/2"),
            VKEY.replace("+AQOh", "+AgOh"),
            VKEY.replace("VTG4", "VTG"),
            format!("{VKEY}="),
            format!(" {VKEY}"),
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
            assert_eq!(VerifierKey::new(bad, NoteKeyKind::Ed25519, [3; 32]), Err(NoteError::BadName(bad.to_owned())));
        }
        assert!(VerifierKey::new("a", NoteKeyKind::Ed25519, [0; 32]).is_err());
    }

    proptest! {
        #[test]
        fn notes_and_keys_round_trip(name in "[a-z./]{1,20}", text in "([a-z]{0,9}\n){1,5}", key in any::<[u8; 32]>()) {
            let signer = NoteSigner::from_seed(&name, NoteKeyKind::Ed25519, &key).unwrap();
            prop_assert_eq!(&signer.vkey().to_string().parse::<VerifierKey>().unwrap(), signer.vkey());
            let note = Note { signatures: vec![signer.sign_text(&text), signer.sign_text("x\n")], text };
            prop_assert_eq!(Note::parse(note.to_text().as_bytes(), &Limits::DEFAULT).unwrap(), note);
        }
    }
}
