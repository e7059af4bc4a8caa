//! Filters: the fields of the forms that pages are filtered with.

use maud::{Markup, html};

use crate::wording::visible;

/// A labelled field of one line; `kind` is the type of its input, such as `search` or `date`.
pub fn field(name: &str, label: &str, kind: &str, value: &str) -> Markup {
    html! {
        div {
            label for={ "filter-" (name) } { (label) }
            input id={ "filter-" (name) } name=(name) type=(kind) value=(visible(value)) maxlength="128" autocomplete="off";
        }
    }
}
