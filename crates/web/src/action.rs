//! Actions: forms whose fields a script sends to the API as JSON, and what stands in their place for who may not.

use maud::{Markup, html};

use crate::Rights;
use crate::wording::visible;

/// Where a form shows why it was refused; a script fills it in.
pub fn problem() -> Markup {
    html! {
        div.problem role="alert" tabindex="-1" data-problem hidden {
            p { strong { "That was refused" } " " code data-code {} }
            p data-detail {}
            p data-hint {}
        }
    }
}

/// A control that the person may not use: it stands there, does nothing, and says who may.
pub fn refused(label: &str, rights: &Rights, permission: &str) -> Markup {
    html! {
        p.refused {
            button type="button" disabled { (label) }
            " " span.quiet { "not you: " (visible(&rights.who(permission))) " (" code { (permission) } ")" }
        }
    }
}

/// A labelled field for the reason that goes into the ledger.
pub fn reason(id: &str) -> Markup {
    html! {
        label for=(id) { "Why" }
        textarea id=(id) name="reason" rows="2" maxlength="2048" required {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_control_does_nothing_and_says_who_may() {
        let mut rights = Rights::default();
        rights.others.insert("request".to_owned(), "group <b>developers</b>".to_owned());
        let text = refused("Promote", &rights, "request").into_string();
        assert!(text.contains("disabled") && text.contains("group &lt;b&gt;developers&lt;/b&gt; may"), "{text}");
        assert!(refused("Promote", &rights, "approve").into_string().contains("nobody may"));
    }
}
