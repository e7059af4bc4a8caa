//! Sign-in: what `policy.toml` demands of the sessions of people, in its table `[sign-in]`.

use lockgate_model::{RoleName, Span};
use serde::Deserialize;

/// How old a sign-in may be for a sensitive act that carries no signature, unless the policy set says otherwise.
const STEP_UP_AGE: Span = Span::from_secs(15 * 60);

/// What the policy set demands of the sessions of people; machines sign in on other terms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// Whose sessions need a second factor for anything beyond reading.
    pub mfa: Mfa,
    /// How old a sign-in may be for a sensitive act without a signature in the same request; `0s` demands one always.
    pub step_up_age: Span,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { mfa: Mfa::default(), step_up_age: STEP_UP_AGE }
    }
}

/// Whose sessions need a second factor: `true` for everyone's, or a list of roles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "`mfa` is `true`, `false` or a list of roles, such as [\"approver\"]")]
pub enum Mfa {
    /// Everyone's, or nobody's.
    All(bool),
    /// Those of people with one of these roles.
    Roles(Vec<RoleName>),
}

impl Default for Mfa {
    fn default() -> Self {
        Self::All(false)
    }
}

impl Mfa {
    /// Whether it is demanded of someone with these roles.
    pub fn is_for(&self, roles: &[RoleName]) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Roles(named) => named.iter().any(|role| roles.contains(role)),
        }
    }

    /// The roles that it names.
    pub fn roles(&self) -> &[RoleName] {
        match self {
            Self::All(_) => &[],
            Self::Roles(named) => named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SignIn, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_second_factor_is_for_all_or_for_roles() {
        let roles = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<RoleName>>();
        let check = |text: &str, holder: &[&str], wanted: bool| {
            assert_eq!(read(text).unwrap().mfa.is_for(&roles(holder)), wanted, "{text} {holder:?}");
        };
        check("", &["approver"], false);
        check("mfa = false", &["approver"], false);
        check("mfa = true", &[], true);
        check("mfa = [\"approver\", \"owner\"]", &["reader", "owner"], true);
        check("mfa = [\"approver\"]", &["reader"], false);
        check("mfa = []", &["reader"], false);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(read("").unwrap().step_up_age.to_string(), "15m");
        assert!(read("step_up_age = \"0s\"").unwrap().step_up_age.is_zero());
        for bad in ["mfa = \"yes\"", "mfa = 1", "step_up_age = 15", "step_up = \"1m\"", "mfa = [\"\"]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
