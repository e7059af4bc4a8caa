//! What an entry says of an approval is what was signed, or the entry is refused.

use serde_json::{Value, json};

use crate::forgery::forger::Forger;

#[test]
fn an_entry_says_of_an_approval_what_was_signed() {
    let forger = Forger::new();
    let check = |field: &str, value: Value| {
        let bundle = forger.edited("approval.recorded", |entry| entry["event"]["body"][field] = value);
        let refused = forger.verdict(&bundle, &forger.trust).unwrap_err();
        assert_eq!(refused.0, "APPROVAL_TARGET", "{field}: {}", refused.1);
    };
    check("verdict", json!("reject"));
    check("approver", json!("dana"));
}
