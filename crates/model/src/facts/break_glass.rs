//! Break-glass: people let a release past the gates in an emergency, and answer for it.

use serde::{Deserialize, Serialize};

use crate::{Digest, EntryIndex, EnvName, PersonId, UnixMillis};

/// A break-glass of this release into this environment that enough people signed and nobody has used yet.
///
/// It counts in the half-open interval from `since` to `expires_at`, for one manifest in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassFact {
    /// Where the ledger recorded it.
    pub index: EntryIndex,
    /// The manifest that it lets past the gates.
    pub manifest: Digest,
    /// Where to.
    pub environment: EnvName,
    /// Why.
    pub reason: String,
    /// The ticket or incident.
    pub ticket: String,
    /// Who signed it, in ledger order; as many as it took.
    pub signed_by: Vec<PersonId>,
    /// Since when it counts, in ledger time: when the last of them signed.
    pub since: UnixMillis,
    /// Until when, half open.
    pub expires_at: UnixMillis,
}

impl BreakGlassFact {
    /// Whether it counts for a manifest in an environment at this moment.
    pub fn opens(&self, manifest: &Digest, environment: &EnvName, now: UnixMillis) -> bool {
        self.manifest == *manifest
            && self.environment == *environment
            && !self.signed_by.is_empty()
            && self.since <= now
            && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_one_manifest_in_one_environment_for_a_while() {
        let fact = BreakGlassFact {
            index: EntryIndex(7),
            manifest: Digest::of(b"manifest"),
            environment: "production".parse().unwrap(),
            reason: "payments are down".to_owned(),
            ticket: "INC-1".to_owned(),
            signed_by: vec!["sam".parse().unwrap()],
            since: UnixMillis(10),
            expires_at: UnixMillis(20),
        };
        let check = |fact: &BreakGlassFact, manifest: &[u8], environment: &str, now: u64, expected: bool| {
            let opens = fact.opens(&Digest::of(manifest), &environment.parse().unwrap(), UnixMillis(now));
            assert_eq!(opens, expected, "{environment} at {now}");
        };
        check(&fact, b"manifest", "production", 9, false);
        check(&fact, b"manifest", "production", 10, true);
        check(&fact, b"manifest", "production", 19, true);
        check(&fact, b"manifest", "production", 20, false);
        check(&fact, b"other", "production", 15, false);
        check(&fact, b"manifest", "staging", 15, false);
        let unsigned = BreakGlassFact { signed_by: vec![], ..fact.clone() };
        check(&unsigned, b"manifest", "production", 15, false);
        let text = serde_json::to_string(&fact).unwrap();
        assert_eq!(serde_json::from_str::<BreakGlassFact>(&text).unwrap(), fact);
    }
}
