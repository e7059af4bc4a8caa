//! Challenges: what someone answers with a signature to sign in.
//!
//! A challenge carries its own end and a keyed hash over what it is for, so that asking for one stores nothing: whoever
//! asks for millions of them takes no place from anyone else. Only challenges that were answered rightly are kept, until
//! they end, so that each is good for one answer.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use lockgate_model::digest::hex;
use lockgate_model::{Digest, Hasher, Span, UnixMillis};

use crate::clock::Entropy;
use crate::fault::Fault;

/// How long a challenge may be answered.
pub const TTL: Span = Span::from_secs(120);
/// From how many answered challenges on those that have ended are forgotten before one more is kept.
const ANSWERED_KEPT: usize = 1024;
/// Random bytes of one challenge.
const NONCE_BYTES: usize = 32;

/// Makes and recognises challenges; each process has a key of its own, so a restart ends all of them.
#[derive(Default)]
pub struct Challenges {
    key: OnceLock<[u8; 32]>,
    /// INVARIANT (one answer a challenge): every challenge that was answered rightly and has not ended stands here.
    answered: Mutex<HashMap<Digest, UnixMillis>>,
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges")
    }
}

impl Challenges {
    /// Makes a challenge for one purpose, such as `ssh`, about one name; it is written
    /// `<64 hex>.<end in milliseconds>.<64 hex>`.
    ///
    /// # Errors
    /// `RANDOM_FAILED`.
    pub fn issue(&self, entropy: &dyn Entropy, now: UnixMillis, purpose: &str, about: &str) -> Result<String, Fault> {
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let mut fresh = [0u8; 32];
                entropy.fill(&mut fresh)?;
                // Two threads may come here at once; both then use the one that was kept.
                self.key.get_or_init(|| fresh)
            }
        };
        let mut nonce = [0u8; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        let (nonce, end) = (hex(&nonce), now.plus(TTL));
        let seal = seal(key, &nonce, end, purpose, about);
        Ok(format!("{nonce}.{}.{}", end.0, seal.hex()))
    }

    /// Whether this is a challenge of ours for that purpose and name that has neither ended nor been answered.
    pub fn is_open(&self, challenge: &str, purpose: &str, about: &str, now: UnixMillis) -> bool {
        self.end_of(challenge, purpose, about).is_some_and(|end| end > now)
            && !self.locked().contains_key(&Digest::of(challenge.as_bytes()))
    }

    /// Uses a challenge up, once its answer was found to be right; `false` when it is not open, so that of two equal
    /// answers at the same moment one counts.
    pub fn answer(&self, challenge: &str, purpose: &str, about: &str, now: UnixMillis) -> bool {
        let Some(end) = self.end_of(challenge, purpose, about).filter(|end| *end > now) else { return false };
        let mut answered = self.locked();
        if answered.len() >= ANSWERED_KEPT {
            answered.retain(|_, end| *end > now);
        }
        answered.insert(Digest::of(challenge.as_bytes()), end).is_none()
    }

    /// When a challenge of ours ends; `None` for what we did not make for that purpose and name.
    fn end_of(&self, challenge: &str, purpose: &str, about: &str) -> Option<UnixMillis> {
        let key = self.key.get()?;
        let mut parts = challenge.splitn(3, '.');
        let (nonce, end, found) = (parts.next()?, parts.next()?, parts.next()?);
        let end: u64 = end.parse().ok()?;
        let whole = format!("{nonce}.{end}.{}", seal(key, nonce, UnixMillis(end), purpose, about).hex());
        // Hashed before they are compared, so that the time it takes tells nothing about the seal.
        let same = Digest::of(whole.as_bytes()) == Digest::of(challenge.as_bytes());
        (same && found.len() == 64).then_some(UnixMillis(end))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, UnixMillis>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keyed hash: the key, then the hash of the parts, so that nothing can be added at the end.
fn seal(key: &[u8; 32], nonce: &str, end: UnixMillis, purpose: &str, about: &str) -> Digest {
    let mut parts = Hasher::new();
    for part in [nonce, &end.0.to_string(), purpose, about] {
        parts.update(&(part.len() as u64).to_be_bytes());
        parts.update(part.as_bytes());
    }
    let mut sealed = Hasher::new();
    sealed.update(key);
    sealed.update(parts.finish().as_bytes());
    sealed.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::EntropyError;
    use std::sync::atomic::{AtomicU8, Ordering};

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
            Ok(())
        }
    }

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_challenge_is_answered_once_in_time_by_whom_it_is_for() {
        let (challenges, entropy) = (Challenges::default(), Counting(AtomicU8::new(1)));
        assert!(!challenges.is_open("x", "ssh", "sam", NOW), "nothing was made yet");
        let one = challenges.issue(&entropy, NOW, "ssh", "sam").unwrap();
        let two = challenges.issue(&entropy, NOW, "ssh", "sam").unwrap();
        assert_ne!(one, two);
        for (purpose, about) in [("ssh", "dana"), ("passkey", "sam"), ("sshs", "am")] {
            assert!(!challenges.answer(&one, purpose, about, NOW), "{purpose} {about}");
        }
        assert!(challenges.is_open(&one, "ssh", "sam", NOW));
        assert!(challenges.answer(&one, "ssh", "sam", NOW));
        assert!(!challenges.is_open(&one, "ssh", "sam", NOW));
        assert!(!challenges.answer(&one, "ssh", "sam", NOW), "twice");
        let last = UnixMillis(NOW.plus(TTL).0 - 1);
        assert!(challenges.is_open(&two, "ssh", "sam", last));
        assert!(!challenges.answer(&two, "ssh", "sam", NOW.plus(TTL)), "too late");
        assert!(!Challenges::default().is_open(&two, "ssh", "sam", NOW), "another process's");
    }

    #[test]
    fn a_challenge_cannot_be_changed() {
        let (challenges, entropy) = (Challenges::default(), Counting(AtomicU8::new(1)));
        let good = challenges.issue(&entropy, NOW, "ssh", "sam").unwrap();
        assert!(challenges.is_open(&good, "ssh", "sam", NOW));
        let later = good.replacen(&NOW.plus(TTL).0.to_string(), &NOW.plus(TTL).plus(TTL).0.to_string(), 1);
        for bad in [later, good.to_uppercase(), good.replacen('.', ".0", 1), format!("{good}0"), String::new()] {
            assert!(!challenges.is_open(&bad, "ssh", "sam", NOW), "{bad}");
        }
    }

    #[test]
    fn asking_for_many_takes_no_place() {
        let (challenges, entropy) = (Challenges::default(), Counting(AtomicU8::new(1)));
        let first = challenges.issue(&entropy, NOW, "ssh", "sam").unwrap();
        for _ in 0..10_000 {
            challenges.issue(&entropy, NOW, "ssh", "sam").unwrap();
        }
        assert!(challenges.locked().is_empty());
        assert!(challenges.answer(&first, "ssh", "sam", NOW));
    }
}
