//! Proof: how someone proved who they are when a session began.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use lockgate_model::{Digest, UnixMillis};

/// What proved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A signature by an enrolled key: SSH key, security key or passkey.
    Key,
    /// A token of an identity provider, for an identity that the person bound with their key.
    Oidc,
}

impl Method {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Oidc => "oidc",
        }
    }
}

/// How strongly it was proven (RFC 8176), as far as Lockgate tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amr(u8);

impl Amr {
    /// A key that software holds.
    pub const SOFTWARE_KEY: Self = Self(1);
    /// A key that hardware holds.
    pub const HARDWARE_KEY: Self = Self(1 << 1);
    /// The hardware checked who used it: PIN, fingerprint, face.
    pub const USER_VERIFIED: Self = Self(1 << 2);
    /// An identity provider saw more than one factor.
    pub const MULTI_FACTOR: Self = Self(1 << 3);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::SOFTWARE_KEY, "swk"),
        (Self::HARDWARE_KEY, "hwk"),
        (Self::USER_VERIFIED, "user"),
        (Self::MULTI_FACTOR, "mfa"),
    ];

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it holds all of another.
    pub const fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it counts as more than one factor: something that the person has, and something that they are or know.
    pub const fn is_multi_factor(self) -> bool {
        self.holds(Self::MULTI_FACTOR) || self.holds(Self::HARDWARE_KEY.and(Self::USER_VERIFIED))
    }

    /// The names of RFC 8176.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.into_iter().filter(|(one, _)| self.holds(*one)).map(|(_, name)| name).collect()
    }
}

/// How someone proved who they are, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// With what.
    pub method: Method,
    /// How strongly.
    pub amr: Amr,
    /// When; for an identity provider, when the person proved it there.
    pub auth_time: UnixMillis,
    /// What it rests on: the hash of the key in SSH's wire format, or of the bound identity.
    pub credential: Digest,
}

/// The only version of [`Proof::encode`].
const VERSION: u8 = 1;

impl Proof {
    /// The credential's fingerprint, as keys have one.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(self.credential.as_bytes()))
    }

    /// The text that stands in a token behind its secret.
    ///
    /// INVARIANT (a proof is its server's word): the whole token is stored as one hash, so whoever changes this text
    /// has a token that nobody knows.
    pub(super) fn encode(&self) -> String {
        let method = match self.method {
            Method::Key => 0,
            Method::Oidc => 1,
        };
        let mut bytes = vec![VERSION, method, self.amr.0];
        bytes.extend_from_slice(&self.auth_time.0.to_be_bytes());
        bytes.extend_from_slice(self.credential.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads it back out of a whole token; nothing when an earlier version made the token.
    pub(super) fn of_token(token: &str) -> Option<Self> {
        let (_, text) = token.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, rest) = bytes.split_at_checked(3)?;
        let (time, credential) = rest.split_at_checked(8)?;
        let &[VERSION, method, amr] = head else { return None };
        let method = match method {
            0 => Method::Key,
            1 => Method::Oidc,
            _ => return None,
        };
        Some(Self {
            method,
            amr: Amr(amr),
            auth_time: UnixMillis(u64::from_be_bytes(time.try_into().ok()?)),
            credential: Digest::from_bytes(credential.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_stands_behind_the_secret_and_reads_back() {
        let proof = Proof {
            method: Method::Oidc,
            amr: Amr::HARDWARE_KEY.and(Amr::USER_VERIFIED),
            auth_time: UnixMillis(1_800_000_000_123),
            credential: Digest::of(b"key"),
        };
        let token = format!("secret.{}", proof.encode());
        assert_eq!(Proof::of_token(&token), Some(proof));
        assert!(token.len() < 128, "{}", token.len());
        for other in ["secret", "secret.", "secret.AQ", &token[..token.len() - 2], &token.replace('.', ".AA")] {
            assert_eq!(Proof::of_token(other), None, "{other}");
        }
    }

    #[test]
    fn two_factors_are_a_key_in_hardware_that_knows_its_user_or_an_outside_word() {
        let check = |amr: Amr, names: &[&str], wanted: bool| {
            assert_eq!((amr.names(), amr.is_multi_factor()), (names.to_vec(), wanted));
        };
        check(Amr::default(), &[], false);
        check(Amr::SOFTWARE_KEY, &["swk"], false);
        check(Amr::HARDWARE_KEY, &["hwk"], false);
        check(Amr::HARDWARE_KEY.and(Amr::USER_VERIFIED), &["hwk", "user"], true);
        check(Amr::USER_VERIFIED, &["user"], false);
        check(Amr::MULTI_FACTOR, &["mfa"], true);
    }
}
