//! Step-up: the routes that a session alone is not enough for, and what is enough.

/// What a sensitive act carries besides the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepUp {
    /// Signatures in these fields of the body, which the act verifies over its own document; one by the caller's own
    /// key is enough, and so is a fresh sign-in.
    Signed(&'static [&'static str]),
    /// No signature: only a fresh sign-in is enough.
    FreshSignIn,
}

/// Every sensitive route, by its name.
pub const STEP_UP: &[(&str, StepUp)] = &[
    ("enrol", StepUp::Signed(&["signature"])),
    ("key-add", StepUp::Signed(&["signature"])),
    ("key-revoke", StepUp::Signed(&["signature"])),
    ("key-rotate", StepUp::Signed(&["signature"])),
    ("key-recover", StepUp::Signed(&["signature"])),
    ("suspend", StepUp::Signed(&["signature"])),
    ("reinstate", StepUp::Signed(&["signature"])),
    ("change-sign", StepUp::Signed(&["signature"])),
    ("change-reject", StepUp::Signed(&["signature"])),
    ("policy-activate", StepUp::Signed(&["signature"])),
    ("ci-trust", StepUp::Signed(&["signature"])),
    ("ci-untrust", StepUp::Signed(&["signature"])),
    ("access-review-sign", StepUp::Signed(&["signature"])),
    ("waive", StepUp::Signed(&["granted_signature", "asked_signature"])),
    ("waiver-request", StepUp::Signed(&["signature"])),
    ("waiver-revoke", StepUp::Signed(&["signature"])),
    ("approve", StepUp::Signed(&["signature"])),
    ("approval-withdraw", StepUp::Signed(&["signature"])),
    ("delegate", StepUp::Signed(&["signature"])),
    ("delegation-end", StepUp::Signed(&["signature"])),
    ("freeze", StepUp::Signed(&["signature"])),
    ("freeze-lift", StepUp::Signed(&["signature"])),
    ("break-glass", StepUp::Signed(&["signature"])),
    ("break-glass-sign", StepUp::Signed(&["signature"])),
    ("break-glass-review", StepUp::Signed(&["signature"])),
    ("identity-bind", StepUp::Signed(&["signature"])),
    ("identity-unbind", StepUp::Signed(&["signature"])),
];

/// What a route asks for besides the session, if it is sensitive.
pub fn step_up(route: &str) -> Option<StepUp> {
    STEP_UP.iter().find(|(name, _)| *name == route).map(|(_, step_up)| *step_up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Access, BodyLimit, ROUTES};
    use std::collections::BTreeSet;

    #[test]
    fn sensitive_routes_exist_once_are_not_public_and_can_carry_what_they_ask_for() {
        let mut seen = BTreeSet::new();
        for (name, asks) in STEP_UP {
            assert!(seen.insert(*name), "{name} stands twice");
            let route = ROUTES.iter().find(|route| route.name == *name).unwrap_or_else(|| panic!("no route `{name}`"));
            assert!(route.access != Access::Public, "{name}");
            let json = matches!(route.body, BodyLimit::Json | BodyLimit::LargeJson);
            assert!(json || *asks == StepUp::FreshSignIn, "{name} has no body to carry a signature");
        }
    }

    #[test]
    fn whatever_changes_keys_or_policy_is_sensitive() {
        for route in ROUTES.iter().filter(|route| !matches!(route.method, "GET" | "HEAD")) {
            let names: &[&str] = match &route.access {
                Access::Public | Access::SignedIn => &[],
                Access::Permission(name) => std::slice::from_ref(name),
                Access::AnyOf(names) => names,
            };
            if names.iter().any(|name| matches!(*name, "keys" | "policy" | "waive" | "freeze" | "break-glass")) {
                assert!(step_up(route.name).is_some(), "`{}` changes who may do what: list it in STEP_UP", route.name);
            }
        }
    }
}
