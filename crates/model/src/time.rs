//! Time as data: milliseconds since 1970-01-01 UTC, and spans of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01T00:00:00Z, not before it and not after the year 9999.
///
/// Shown as RFC 3339 in UTC, carried in documents as an integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// Why a text is not a moment or a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339 with a zone.
    #[error("`{0}` is not a time: write RFC 3339 with a zone, such as 2026-11-21T09:00:00Z")]
    NotRfc3339(String),
    /// Not a number and a unit.
    #[error("`{0}` is not a duration: write a number and one of s m h d, such as 72h")]
    NotSpan(String),
}

impl UnixMillis {
    /// This moment plus a span, saturating.
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.millis()))
    }

    /// The span from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Span {
        Span::from_secs(self.0.saturating_sub(earlier.0) / 1000)
    }

    /// Whole seconds since 1970.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// A moment as e-mails and HTTP write it: RFC 5322, section 3.3, with its obsolete zones such as `GMT`.
    ///
    /// # Errors
    /// When the text is none, or lies before 1970.
    pub fn from_rfc2822(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError::NotRfc3339(text.chars().take(64).collect());
        let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).map_err(|_| error())?;
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| error())
    }

    /// RFC 3339 in UTC with whole seconds, as attestations carry it.
    pub fn rfc3339_secs(self) -> String {
        UnixMillis(self.secs() * 1000).to_string()
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}
impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for UnixMillis {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError::NotRfc3339(text.chars().take(64).collect());
        let moment: jiff::Timestamp = text.parse().map_err(|_| error())?;
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| error())
    }
}

/// A length of time in whole seconds, written `90s`, `30m`, `72h` or `30d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    secs: u64,
}

impl Span {
    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { secs }
    }
    /// Whole seconds.
    pub const fn secs(self) -> u64 {
        self.secs
    }
    /// Milliseconds, saturating.
    pub const fn millis(self) -> u64 {
        self.secs.saturating_mul(1000)
    }
    /// Whole days, rounded down.
    pub const fn days(self) -> u64 {
        self.secs / 86_400
    }
    /// Whether it is zero seconds long.
    pub const fn is_zero(self) -> bool {
        self.secs == 0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secs {
            0 => write!(f, "0s"),
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Span {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError::NotSpan(text.chars().take(64).collect());
        let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(error)?;
        let (digits, unit) = text.split_at(split);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(error()),
        };
        if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let number: u64 = digits.parse().map_err(|_| error())?;
        Ok(Self { secs: number * factor })
    }
}

crate::text_form!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spans_round_trip() {
        let moment: UnixMillis = "2026-11-21T09:00:00Z".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-21T09:00:00Z");
        assert!("2026-11-21 09:00".parse::<UnixMillis>().is_err());
        assert!("1969-01-01T00:00:00Z".parse::<UnixMillis>().is_err());
        for text in ["0s", "90s", "30m", "72h", "30d"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert_eq!("72h".parse::<Span>().unwrap().to_string(), "3d");
        for bad in ["", "h", "1", "-1h", "1.5h", "1w", "9999999999s", "１h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }
}
