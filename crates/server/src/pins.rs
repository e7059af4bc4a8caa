//! Pins: which services somebody's browser shows before all others in the pipeline.
//!
//! A matter of view alone, kept as [`crate::snooze`] keeps what is folded: in a cookie of the browser and never in the
//! ledger. A pinned name shows nothing that its reader may not read, and nothing that decides reads it.
//!
//! The cookie's value is whose it is, and then names in the order in which they were pinned: `<16 hex
//! digits>:shop/web:pay/api`. No name holds a colon. A cookie with anything odd in it counts as none.

use std::collections::BTreeSet;

use lockgate_model::{Limits, PersonId, ServiceName};

use crate::snooze::owner_of;

/// What one browser shows first for one person in one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    owner: String,
    /// Oldest first; each once, never more than `Limits::pinned_services`.
    services: Vec<ServiceName>,
}

impl Pins {
    /// Reads a cookie's value. Whatever is not exactly what [`Pins::value`] writes for this person and ledger is read as
    /// nothing.
    pub fn read(value: Option<&str>, ledger: &str, person: &PersonId) -> Self {
        let owner = owner_of(ledger, person);
        let services = value.and_then(|value| names(value, &owner)).unwrap_or_default();
        Self { owner, services }
    }

    /// The cookie's value; empty when nothing is pinned.
    pub fn value(&self) -> String {
        match self.services.is_empty() {
            true => String::new(),
            false => self.services.iter().fold(self.owner.clone(), |out, service| format!("{out}:{service}")),
        }
    }

    /// Pins a service. Where there are as many as there may be, the one that was pinned first is let go.
    pub fn pin(&mut self, service: ServiceName) {
        self.unpin(&service);
        self.services.push(service);
        let limits = &Limits::DEFAULT;
        while self.services.len() > limits.pinned_services || self.value().len() > limits.pin_cookie_bytes {
            self.services.remove(0);
        }
    }

    /// Lets a service go.
    pub fn unpin(&mut self, service: &ServiceName) {
        self.services.retain(|pinned| pinned != service);
    }

    /// The services.
    pub fn services(&self) -> BTreeSet<ServiceName> {
        self.services.iter().cloned().collect()
    }
}

/// The names of a value, all of them or none.
fn names(value: &str, owner: &str) -> Option<Vec<ServiceName>> {
    let limits = &Limits::DEFAULT;
    let mut parts = value.split(':');
    if value.len() > limits.pin_cookie_bytes || parts.next() != Some(owner) {
        return None;
    }
    let mut found: Vec<ServiceName> = Vec::new();
    for part in parts {
        let service = part.parse().ok()?;
        if found.contains(&service) || found.len() >= limits.pinned_services {
            return None;
        }
        found.push(service);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = "log1.lockgate.example";

    fn read(value: &str) -> Pins {
        Pins::read(Some(value), LEDGER, &"sam".parse().unwrap())
    }

    fn name(text: &str) -> ServiceName {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut pins = read("");
        let owner = pins.owner.clone();
        assert_eq!((pins.value(), owner.len()), (String::new(), 16));
        pins.pin(name("shop/web"));
        pins.pin(name("pay/api.v2"));
        pins.pin(name("shop/web"));
        let value = format!("{owner}:pay/api.v2:shop/web");
        assert_eq!(pins.value(), value);
        assert_eq!(read(&value), pins);
        pins.unpin(&name("pay/api.v2"));
        pins.unpin(&name("never/pinned"));
        assert_eq!(pins.services(), BTreeSet::from([name("shop/web")]));
        pins.unpin(&name("shop/web"));
        assert_eq!(pins.value(), "");
    }

    #[test]
    fn a_value_with_anything_odd_in_it_is_none() {
        let owner = read("").owner;
        let good = format!("{owner}:shop/web");
        assert_eq!(read(&good).services.len(), 1);
        let many = |count: usize| (1..=count).fold(owner.clone(), |out, number| format!("{out}:s{number}"));
        assert_eq!(read(&many(20)).services.len(), 20);
        let odd = [
            many(21),
            format!("{good}:"),
            format!("{good}:shop/web"),
            format!("{good}:Shop"),
            format!("{good}:<script>"),
            format!("{good} "),
            "shop/web".to_owned(),
            ":shop/web".to_owned(),
            format!("{}:shop/web", "0".repeat(16)),
            format!("{good}:{}", "a".repeat(4000)),
            "\u{202e}".to_owned(),
        ];
        for value in odd {
            assert!(read(&value).services.is_empty(), "{value:.200}");
        }
        // What somebody else pinned here, or somewhere else, is not theirs.
        let of = |ledger: &str, person: &str| Pins::read(Some(&good), ledger, &person.parse().unwrap()).services.len();
        assert_eq!((of(LEDGER, "sam"), of(LEDGER, "dana"), of("log2.lockgate.example", "sam")), (1, 0, 0));
    }

    #[test]
    fn one_too_many_lets_the_first_go() {
        let mut pins = read("");
        for number in 0..21 {
            pins.pin(name(&format!("s{number}")));
        }
        assert_eq!((pins.services.len(), pins.services.first()), (20, Some(&name("s1"))));
        // So do names that are as long as a name can be.
        let mut pins = read("");
        for number in 10..40 {
            pins.pin(name(&format!("{}{number}", "a".repeat(126))));
        }
        assert!(pins.services.len() > 10 && pins.value().len() <= Limits::DEFAULT.pin_cookie_bytes);
        assert_eq!(read(&pins.value()), pins);
    }
}
