//! Passkeys that wait: made in a browser, kept in memory for ten minutes until somebody vouches for them.
//!
//! Nothing here is trusted by anyone. Whoever vouches fetches the request, verifies the passkey's own signature on their
//! own machine, compares the code with the person, and countersigns; the ledger verifies both signatures again. What
//! waits is lost when the server stops, and is then made again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lockgate_ledger::Governance;
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_ledger::passkey::check_passkey;
use lockgate_model::facts::SubjectKind;
use lockgate_model::{GroupName, PersonId, Span, UnixMillis};
use lockgate_sign::ssh::{SshPublicKey, SshSignature};

use crate::clock::Entropy;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};

/// How long a passkey waits.
pub const TTL: Span = Span::from_secs(600);
/// How many may wait at the same time.
pub const WAITING_MAX: usize = 256;
/// How many characters a code has, beside its dash: 50 random bits, enough not to meet another's by mistake.
const CODE_LENGTH: usize = 10;
/// The characters of codes: no `I`, `L`, `O` and `U`, which people read as others.
const CODE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What a browser asks to have enrolled.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Whose passkey it is to be.
    pub person: PersonId,
    /// The groups of someone new; empty for a further key of someone who is enrolled.
    pub groups: Vec<GroupName>,
    /// The passkey.
    pub key: SshPublicKey,
}

/// A passkey that waits for somebody to vouch for it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Whose it is to be.
    pub person: PersonId,
    /// The groups that stand in the document.
    pub groups: Vec<GroupName>,
    /// Whether it is a further key of someone who is enrolled.
    pub further: bool,
    /// The passkey.
    pub key: SshPublicKey,
    /// Its own signature over the enrolment document (SSHSIG, armored).
    pub proof: String,
    /// Until when it waits.
    pub until: UnixMillis,
}

/// Every passkey that waits, by its code.
#[derive(Debug, Default)]
pub struct WaitingPasskeys(Mutex<HashMap<String, Waiting>>);

impl WaitingPasskeys {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, entropy: &dyn Entropy, now: UnixMillis, waiting: Waiting) -> Result<String, Fault> {
        let mut bytes = [0u8; CODE_LENGTH];
        entropy.fill(&mut bytes)?;
        let code = code_of(&bytes);
        let mut all = self.locked();
        all.retain(|_, waiting| waiting.until > now);
        // Those that wait are not pushed out: whoever floods this keeps others from starting, and spoils nothing.
        if all.len() >= WAITING_MAX || all.contains_key(&code) {
            return Err(Fault::new(Kind::Unavailable, "OVERLOADED", "too many passkeys wait to be vouched for")
                .hint("try again in ten minutes"));
        }
        all.insert(code.clone(), waiting);
        Ok(code)
    }

    /// Finds what waits under a code, in whichever case and with or without its dash.
    ///
    /// # Errors
    /// `PASSKEY_UNKNOWN`.
    pub fn find(&self, code: &str, now: UnixMillis) -> Result<Waiting, Fault> {
        let found = plain(code).and_then(|code| self.locked().get(&code).cloned());
        found.filter(|waiting| waiting.until > now).ok_or_else(|| {
            Fault::not_found("PASSKEY_UNKNOWN", "no passkey waits under this code")
                .hint("codes last ten minutes and end with the server; make another on the page /enrol")
        })
    }
}

/// Ten random bytes as `XXXXX-XXXXX`.
fn code_of(bytes: &[u8; CODE_LENGTH]) -> String {
    let letters = bytes.iter().filter_map(|byte| CODE_ALPHABET.get(usize::from(byte & 31)).copied());
    let mut code: String = letters.map(char::from).collect();
    code.insert(CODE_LENGTH / 2, '-');
    code
}

/// The one spelling of a code that people may have typed in another way.
fn plain(code: &str) -> Option<String> {
    let letters = code.chars().filter(|letter| *letter != '-').map(|letter| match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    let mut plain: String = letters.take(CODE_LENGTH + 1).collect();
    let known = |letter: u8| CODE_ALPHABET.contains(&letter);
    if plain.len() != CODE_LENGTH || !plain.bytes().all(known) {
        return None;
    }
    plain.insert(CODE_LENGTH / 2, '-');
    Some(plain)
}

/// The bytes that a passkey signs to be enrolled, and the groups that stand in them.
///
/// # Errors
/// `KEY_INVALID` for keys that are no passkeys, `GROUP_UNKNOWN`, `PERSON_EXISTS` and `PERSON_UNKNOWN`.
pub fn document(engine: &Engine, offer: &Offer) -> Result<(Vec<u8>, Vec<GroupName>), Fault> {
    let governance = engine.governance()?;
    if !offer.key.is_passkey() {
        return Err(Fault::invalid("KEY_INVALID", "the key is not a passkey; enrol it with `lockgate key enrol`"));
    }
    let groups = groups(&governance, offer)?;
    let document = EnrolmentDocument::new(governance.origin(), &offer.person, SubjectKind::Person, &groups, &offer.key);
    let bytes = document_bytes(&document)?;
    Ok((bytes, groups))
}

/// The groups of someone new, as asked for; those of someone enrolled, as they are.
fn groups(governance: &Governance, offer: &Offer) -> Result<Vec<GroupName>, Fault> {
    let enrolled = governance.person(&offer.person);
    match (enrolled, offer.groups.is_empty()) {
        (Some(person), true) if person.kind == SubjectKind::Person => Ok(person.groups.clone()),
        (Some(_), true) => Err(Fault::invalid("KEY_INVALID", "machines have no passkeys")),
        (Some(_), false) => {
            Err(Fault::new(Kind::Conflict, "PERSON_EXISTS", format!("`{}` is enrolled already", offer.person))
                .hint("leave the groups empty to add a further key"))
        }
        (None, true) => Err(Fault::not_found("PERSON_UNKNOWN", format!("`{}` is not enrolled", offer.person))
            .hint("name the groups of someone new")),
        (None, false) => {
            let known = governance.policy.groups();
            match offer.groups.iter().find(|group| !known.contains_key(*group)) {
                None => Ok(offer.groups.clone()),
                Some(group) => Err(Fault::invalid("GROUP_UNKNOWN", format!("the policy set has no group `{group}`"))),
            }
        }
    }
}

/// Keeps a passkey with its own signature until somebody vouches for it, and gives its code.
///
/// The signature is verified here so that a mistake is told at once; nobody relies on it.
///
/// # Errors
/// As [`document`], `SIGNATURE_MALFORMED`, `SIGNATURE_INVALID`, the reasons of [`check_passkey`], or `OVERLOADED`.
pub fn hand_in(
    engine: &Engine,
    passkeys: &WaitingPasskeys,
    offer: Offer,
    proof: String,
) -> Result<(String, UnixMillis), Fault> {
    let (document, groups) = document(engine, &offer)?;
    let signature = SshSignature::parse_armored(&proof)
        .map_err(|error| Fault::invalid("SIGNATURE_MALFORMED", format!("the signature does not parse: {error}")))?;
    let presence = signature
        .verify_presence(&document, ENROLMENT_NAMESPACE, &offer.key)
        .map_err(|error| Fault::new(Kind::Denied, error.code(), error.to_string()))?;
    check_passkey(&engine.governance()?.policy.settings().passkeys, presence.as_ref())?;
    let now = engine.inner().now();
    let until = now.plus(TTL);
    let further = offer.groups.is_empty();
    let waiting = Waiting { person: offer.person, groups, further, key: offer.key, proof, until };
    Ok((passkeys.insert(&*engine.inner().entropy, now, waiting)?, until))
}

/// The passkeys of a person that count now; none for a name that is not enrolled.
///
/// # Errors
/// `LEDGER_EMPTY`.
pub fn keys_of(engine: &Engine, person: &PersonId) -> Result<Vec<SshPublicKey>, Fault> {
    let governance = engine.governance()?;
    let keys = governance.person(person).map(|person| person.keys.as_slice()).unwrap_or_default();
    Ok(keys.iter().filter(|key| key.is_good() && key.public.is_passkey()).map(|key| key.public.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::EntropyError;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Counting(AtomicU64);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            let next = self.0.fetch_add(1, Ordering::SeqCst);
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from((next >> (5 * at)) & 31).unwrap();
            }
            Ok(())
        }
    }

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn waiting(until: UnixMillis) -> Waiting {
        let key = lockgate_sign::passkey::SoftPasskey::generate(&"https://lockgate.example".parse().unwrap()).unwrap();
        Waiting {
            person: "eve".parse().unwrap(),
            groups: Vec::new(),
            further: true,
            key: lockgate_sign::ssh_signer::SshSigner::public_key(&key).clone(),
            proof: String::new(),
            until,
        }
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        assert_eq!(code_of(&[0, 1, 10, 31, 32, 255, 16, 17, 18, 19]), "01AZ0-ZGHJK");
        for same in ["01AZ0-ZGHJK", "01az0zghjk", "OlaZo-zGhJK", "-0-1-AZ0ZGHJK-"] {
            assert_eq!(plain(same).as_deref(), Some("01AZ0-ZGHJK"), "{same}");
        }
        for bad in ["", "01AZ0-ZGHJ", "01AZ0-ZGHJKK", "01AZ0-ZGHJU", "01AZ0-ZGHJ\u{e9}", "01AZ0 ZGHJK"] {
            assert_eq!(plain(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_passkey_waits_for_ten_minutes() {
        let (passkeys, entropy) = (WaitingPasskeys::default(), Counting(AtomicU64::new(1)));
        let code = passkeys.insert(&entropy, NOW, waiting(NOW.plus(TTL))).unwrap();
        let last = UnixMillis(NOW.plus(TTL).0 - 1);
        assert_eq!(passkeys.find(&code.to_lowercase(), last).unwrap().person.as_str(), "eve");
        for (code, at) in [(code.as_str(), NOW.plus(TTL)), ("00000-00000", NOW), ("nonsense", NOW)] {
            assert_eq!(passkeys.find(code, at).unwrap_err().code, "PASSKEY_UNKNOWN", "{code}");
        }
    }

    #[test]
    fn only_so_many_wait_at_once() {
        let (passkeys, entropy) = (WaitingPasskeys::default(), Counting(AtomicU64::new(0)));
        let one = waiting(NOW.plus(TTL));
        let codes: Vec<String> =
            (0..WAITING_MAX).map(|_| passkeys.insert(&entropy, NOW, one.clone()).unwrap()).collect();
        assert_eq!(passkeys.insert(&entropy, NOW, one.clone()).unwrap_err().code, "OVERLOADED");
        assert!(passkeys.find(&codes[0], NOW).is_ok(), "those that wait stay");
        let later = NOW.plus(TTL);
        assert!(passkeys.insert(&entropy, later, Waiting { until: later.plus(TTL), ..one }).is_ok());
        assert_eq!(passkeys.locked().len(), 1, "those that ended are forgotten");
    }
}
