//! Names of services, environments, people, groups, roles, gates and signers.

use std::fmt;
use std::str::FromStr;

/// The longest name in bytes (`SECURITY.md`, Limits).
pub const NAME_MAX_BYTES: usize = 128;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: use 1 to 128 of `a-z 0-9 . _ -`, starting with a letter or digit{more}")]
pub struct NameError {
    text: String,
    kind: &'static str,
    more: &'static str,
}

fn is_segment(text: &str) -> bool {
    text.as_bytes().first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        && !text.ends_with('.')
        && !text.contains("..")
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $segments:literal, $more:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let fits = text.len() <= NAME_MAX_BYTES
                    && text.split('/').count() <= $segments
                    && text.split('/').all(is_segment);
                match fits {
                    true => Ok(Self(text.to_owned())),
                    false => Err(NameError { text: text.chars().take(160).collect(), kind: $kind, more: $more }),
                }
            }
        }
        crate::text_form!($type);
    };
}

name!(
    /// What is released, such as `payments/api`: up to four segments joined by `/`.
    ServiceName, "a service name", 4, ", in up to 4 parts joined by `/`"
);
name!(
    /// A place releases are deployed to.
    EnvName, "an environment name", 1, ""
);
name!(
    /// A person or machine; pseudonymous, because it is logged for ever.
    PersonId, "a person or machine name", 1, ""
);
name!(
    /// A set of people, named in the policy set.
    GroupName, "a group name", 1, ""
);
name!(
    /// A set of permissions, named in the policy set.
    RoleName, "a role name", 1, ""
);
name!(
    /// One named demand of the policy set.
    GateName, "a gate name", 1, ""
);
name!(
    /// A key that the policy set trusts to sign evidence, such as a builder.
    SignerName, "a signer name", 1, ""
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_name() {
        for bad in ["", "A", "../x", "a//b", "/a", "a/", ".a", "a.", "a..b", "a b", "é", "a\0", "-a", "a/b/c/d/e"] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(129).parse::<EnvName>().is_err());
        assert!("a".repeat(128).parse::<EnvName>().is_ok());
        assert!("a/b".parse::<EnvName>().is_err());
        assert!("shop/web".parse::<ServiceName>().is_ok());
    }

    proptest! {
        #[test]
        fn display_round_trips(text in "[a-z0-9][a-z0-9_-]{0,20}(/[a-z0-9][a-z0-9_-]{0,20}){0,3}") {
            let name: ServiceName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text);
        }
    }
}
