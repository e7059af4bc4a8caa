//! Emergency freezes: somebody stopped everything, or some of it, at once.

use serde::{Deserialize, Serialize};

use crate::{EntryIndex, EnvName, PersonId, ServiceName, UnixMillis};

use super::is_false;

/// An emergency freeze that was recorded for this service and environment and has not been lifted.
///
/// It counts in the half-open interval from `since` to `until`; without `until` it counts until it is lifted, after
/// which it is in no facts any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeFact {
    /// Where the ledger recorded it.
    pub index: EntryIndex,
    /// The only service it stops; every service where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The only environment it stops; every environment where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvName>,
    /// Who ordered it.
    pub by: PersonId,
    /// Why.
    pub reason: String,
    /// Since when, in ledger time.
    pub since: UnixMillis,
    /// Until when, half open; until it is lifted where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// Whether rollbacks are let through.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spares_rollbacks: bool,
}

impl FreezeFact {
    /// Whether it stops something of this service in this environment at this moment.
    pub fn stops(&self, service: &ServiceName, environment: &EnvName, now: UnixMillis) -> bool {
        self.service.as_ref().is_none_or(|frozen| frozen == service)
            && self.environment.as_ref().is_none_or(|frozen| frozen == environment)
            && self.since <= now
            && self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_what_it_covers_in_a_half_open_interval() {
        let freeze = FreezeFact {
            index: EntryIndex(1),
            service: Some("shop/web".parse().unwrap()),
            environment: None,
            by: "sam".parse().unwrap(),
            reason: "incident".to_owned(),
            since: UnixMillis(10),
            until: Some(UnixMillis(20)),
            spares_rollbacks: false,
        };
        let check = |service: &str, now: u64, expected: bool| {
            let stops = freeze.stops(&service.parse().unwrap(), &"production".parse().unwrap(), UnixMillis(now));
            assert_eq!(stops, expected, "{service} at {now}");
        };
        check("shop/web", 9, false);
        check("shop/web", 10, true);
        check("shop/web", 19, true);
        check("shop/web", 20, false);
        check("shop/api", 15, false);
        let text = serde_json::to_string(&freeze).unwrap();
        assert!(!text.contains("environment") && !text.contains("spares"), "{text}");
        assert_eq!(serde_json::from_str::<FreezeFact>(&text).unwrap(), freeze);
    }
}
