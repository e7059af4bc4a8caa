//! Passkeys: what `policy.toml` demands of signatures by passkeys, in its table `[passkeys]`.

use lockgate_sign::ssh::WebOrigin;
use serde::Deserialize;

/// What the policy set demands of a signature that a passkey made in a browser.
///
/// Security keys that sign through SSH, and keys in files and agents, are not asked for any of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasskeyRules {
    /// Whether the device has to know who used it, by PIN or biometrics. Of a synced passkey it is always demanded.
    pub user_verification: bool,
    /// Whether passkeys count that are copied to their owner's other devices.
    pub synced: bool,
    /// The only origins at which passkeys may be used; without a list, every origin of the RP id that the key was
    /// enrolled for.
    pub origins: Option<Vec<WebOrigin>>,
}

impl Default for PasskeyRules {
    fn default() -> Self {
        Self { user_verification: true, synced: true, origins: None }
    }
}

impl PasskeyRules {
    /// Whether a list of origins is there and holds nothing, so that no passkey would ever count.
    pub(crate) fn allows_no_origin(&self) -> bool {
        self.origins.as_ref().is_some_and(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PasskeyRules, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn is_strict_unless_told_otherwise() {
        let rules = read("").unwrap();
        assert_eq!(rules, PasskeyRules::default());
        assert!(rules.user_verification && rules.synced && rules.origins.is_none());
        let rules =
            read("user_verification = false\nsynced = false\norigins = [\"https://lockgate.example\"]").unwrap();
        assert!(!rules.user_verification && !rules.synced && !rules.allows_no_origin());
        assert_eq!(rules.origins.unwrap(), ["https://lockgate.example".parse::<WebOrigin>().unwrap()]);
        assert!(read("origins = []").unwrap().allows_no_origin());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in [
            "user_verification = \"yes\"",
            "synced = 1",
            "uv = true",
            "origins = \"https://lockgate.example\"",
            "origins = [\"lockgate.example\"]",
            "origins = [\"http://lockgate.example\"]",
            "origins = [\"https://lockgate.example/\"]",
            "origins = [\"https://*.lockgate.example\"]",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
