//! The names of all types of events.

use crate::entry::Event;

impl Event {
    /// Every name that [`Self::name`] can give, in the order of the types.
    pub const NAMES: [&'static str; 38] = [
        "ledger.created",
        "person.enrolled",
        "key.added",
        "key.revoked",
        "key.rotated",
        "key.recovered",
        "person.suspended",
        "person.reinstated",
        "identity.bound",
        "identity.unbound",
        "change.proposed",
        "change.signed",
        "change.rejected",
        "policy.activated",
        "waiver.requested",
        "waiver.granted",
        "waiver.revoked",
        "feed.recorded",
        "ci.trusted",
        "ci.untrusted",
        "access.reviewed",
        "drill.recorded",
        "delegation.granted",
        "delegation.ended",
        "freeze.ordered",
        "freeze.lifted",
        "break-glass.opened",
        "break-glass.signed",
        "break-glass.reviewed",
        "release.published",
        "evidence.recorded",
        "promotion.requested",
        "approval.recorded",
        "approval.withdrawn",
        "promotion.closed",
        "decision.recorded",
        "attestations.issued",
        "grant.issued",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_event_is_named() {
        let renamed = |line: &'static str| line.trim().strip_prefix("#[serde(rename = \"")?.strip_suffix("\")]");
        let source = include_str!("entry.rs").lines().filter_map(renamed).filter(|name| name.contains('.'));
        assert_eq!(source.collect::<Vec<_>>(), Event::NAMES);
    }
}
