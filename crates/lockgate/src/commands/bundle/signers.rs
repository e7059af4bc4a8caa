//! Signers: who signed the approvals of a bundle, as OpenSSH reads it, and until when each of their keys counted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::approval::NAMESPACE;
use lockgate_ledger::governance::{Key, Person};
use lockgate_ledger::{Bundle, Governance, Leaf};
use lockgate_model::facts::SubjectKind;
use lockgate_model::{EntryIndex, Limits, UnixMillis};

use crate::failure::Failure;

/// When the entries of a bundle were recorded, in ledger order.
pub struct Times(Vec<(EntryIndex, UnixMillis)>);

impl Times {
    /// Those of a bundle that has been verified.
    ///
    /// # Errors
    /// `BUNDLE_INVALID`.
    pub fn of(bundle: &Bundle) -> Result<Self, Failure> {
        let mut times = Vec::with_capacity(bundle.entries.len());
        for entry in &bundle.entries {
            let invalid = |error: String| Failure::usage("BUNDLE_INVALID", format!("entry {}: {error}", entry.index));
            let leaf = STANDARD.decode(&entry.leaf).map_err(|error| invalid(error.to_string()))?;
            // The leaf of an attestation has no time of its own.
            if let Leaf::Entry(read) =
                Leaf::decode(&leaf, &Limits::DEFAULT).map_err(|error| invalid(error.to_string()))?
            {
                times.push((entry.index, read.time));
            }
        }
        Ok(Self(times))
    }

    fn before(&self, index: EntryIndex) -> Option<UnixMillis> {
        self.0.iter().rev().find(|(at, _)| *at < index).map(|(_, time)| *time)
    }

    fn since(&self, index: EntryIndex) -> Option<UnixMillis> {
        self.0.iter().find(|(at, _)| *at >= index).map(|(_, time)| *time)
    }
}

/// `allowed_signers` for `ssh-keygen -Y verify`: the keys that count, as everybody else is given them, and those that
/// have ended since but made one of the `signatures`, each by its fingerprint.
///
/// What signed nothing here and counts no more is not named; neither is a key whose own enrolment turned out to be void.
pub fn allowed_signers(governance: &Governance, times: &Times, signatures: &[&str]) -> String {
    let mut text = String::new();
    // Machines never approve.
    for (id, person) in governance.people().filter(|(_, person)| person.kind == SubjectKind::Person) {
        for key in person.keys.iter().filter(|key| key.suspect.is_none()) {
            let options = match ended_from(person, key) {
                None => String::new(),
                Some(from) => {
                    let signed = signatures.contains(&key.fingerprint.as_str()) && key.enrolled_at < from;
                    let Some(end) = end_of(key, from, times).filter(|_| signed) else { continue };
                    format!(",valid-before=\"{}\"", openssh_time(end))
                }
            };
            text.push_str(&format!("{id} namespaces=\"{NAMESPACE}\"{options} {}\n", key.public));
        }
    }
    text
}

/// The first index at which a signature by this key does not count any more; absent while it counts.
fn ended_from(person: &Person, key: &Key) -> Option<EntryIndex> {
    let suspended = person.suspensions.last().filter(|suspension| suspension.until.is_none());
    let suspended = suspended.map(|suspension| EntryIndex(suspension.from.0.saturating_add(1)));
    key.invalid_from.into_iter().chain(suspended).min()
}

/// The last moment at which the key counted. Ledger order decides, and OpenSSH knows whole seconds alone: of a key that
/// was in someone else's hands, the second in which that began does not count.
fn end_of(key: &Key, from: EntryIndex, times: &Times) -> Option<UnixMillis> {
    let last = times.before(from)?;
    let end = match key.is_compromised().then(|| times.since(from)).flatten() {
        Some(void) => last.min(UnixMillis(void.secs().saturating_mul(1000).saturating_sub(1))),
        None => last,
    };
    Some(key.expires_at.map_or(end, |expires_at| end.min(expires_at)))
}

/// A moment as OpenSSH reads it, in whole seconds of UTC: `YYYYMMDDHHMMSSZ`.
pub fn openssh_time(time: UnixMillis) -> String {
    time.rfc3339_secs().chars().filter(|character| !matches!(character, '-' | ':' | 'T')).collect()
}

#[cfg(test)]
mod tests {
    use lockgate_ledger::governance::{Ended, KeyEnd};
    use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

    use super::*;

    #[test]
    fn times_are_written_as_openssh_reads_them() {
        let check = |time: &str, expected: &str| assert_eq!(openssh_time(time.parse().unwrap()), expected);
        check("2026-11-21T09:08:07Z", "20261121090807Z");
        check("2026-11-21T09:08:07.999Z", "20261121090807Z");
    }

    #[test]
    fn a_key_counts_until_the_entry_that_ended_it() {
        let signer = FileSigner::generate_ed25519("test").unwrap();
        let times = [(0, 0), (3, 3000), (5, 5400), (6, 5600), (9, 9000)];
        let times = Times(times.map(|(index, time)| (EntryIndex(index), UnixMillis(time))).to_vec());
        let key = |expires_at: Option<u64>| {
            Key::new(signer.public_key(), EntryIndex(1)).limited(expires_at.map(UnixMillis), &[])
        };
        let check = |key: &Key, from: u64, expected: Option<u64>| {
            assert_eq!(end_of(key, EntryIndex(from), &times), expected.map(UnixMillis), "{from}");
        };
        // A retired key counts up to the entry that retired it.
        check(&key(None), 6, Some(5400));
        check(&key(None), 8, Some(5600));
        check(&key(Some(2000)), 6, Some(2000));
        check(&key(None), 0, None);
        let mut stolen = key(None);
        stolen.ended = Some(Ended { at: EntryIndex(9), cause: KeyEnd::Compromised });
        // What came in the same second as what is void does not count.
        check(&stolen, 6, Some(4999));
        check(&stolen, 4, Some(3000));
        check(&stolen, 10, Some(9000));
    }
}
