//! Shares: parts of a whole in hundredths of a percent, written `80%` or `79.5%`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A part of a whole, in basis points: 8000 for `80%`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u64);

/// Why a text is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share: write a percentage with at most two decimals, such as 80% or 79.5%")]
pub struct ShareError(String);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// So many basis points.
    pub const fn from_basis_points(basis_points: u64) -> Self {
        Self(basis_points)
    }

    /// Hundredths of a percent.
    pub const fn basis_points(self) -> u64 {
        self.0
    }

    /// Parts of a million, as EPSS is recorded.
    pub const fn millionths(self) -> u64 {
        self.0.saturating_mul(100)
    }

    /// Whether it is more than the whole.
    pub const fn is_more_than_all(self) -> bool {
        self.0 > 10_000
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let error = || ShareError(text.chars().take(32).collect());
        let number = text.strip_suffix('%').ok_or_else(error)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 5) || !digits(decimals, 2) {
            return Err(error());
        }
        let whole: u64 = whole.parse().map_err(|_| error())?;
        let part: u64 = decimals.parse().map_err(|_| error())?;
        let part = if decimals.len() == 1 { part * 10 } else { part };
        Ok(Self(whole * 100 + part))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_trip_and_refuse_the_rest() {
        for (text, basis_points) in
            [("80%", 8000), ("79.5%", 7950), ("0.05%", 5), ("100%", 10_000), ("0%", 0), ("250%", 25_000)]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.basis_points(), share.to_string().as_str()), (basis_points, text));
        }
        assert_eq!("10%".parse::<Share>().unwrap().millionths(), 100_000);
        for bad in ["", "%", "80", "-1%", "1.234%", ".5%", "5.%", "1e2%", "８%", "999999%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad:?}");
        }
    }
}
