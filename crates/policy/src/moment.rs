//! Moments in a policy set: a day, which begins at midnight UTC, or a time with its zone.

use std::str::FromStr;

use lockgate_model::UnixMillis;
use serde::{Deserialize, Deserializer};

/// A moment, written `2026-12-01` or `2026-12-01T09:00:00+01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) UnixMillis);

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day or a time: write 2026-12-01, which is midnight UTC, or 2026-12-01T09:00:00+01:00")]
pub(crate) struct MomentError(String);

impl FromStr for Moment {
    type Err = MomentError;
    fn from_str(text: &str) -> Result<Self, MomentError> {
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        whole.parse().map(Self).map_err(|_| MomentError(text.chars().take(64).collect()))
    }
}

/// Reads a moment that may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
    Ok(Option::<Moment>::deserialize(deserializer)?.map(|moment| moment.0))
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_utc() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Moment>().unwrap().0.to_string(), expected, "{text}");
        };
        check("2026-12-01", "2026-12-01T00:00:00Z");
        check("2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00Z");
        for bad in ["", "2026-12-1", "2026-13-01", "2026-12-01T09:00:00", "tomorrow!!"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
