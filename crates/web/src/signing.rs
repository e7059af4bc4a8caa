//! Signing: forms whose acts take a signature, and the dialog that shows what is signed.
//!
//! A script makes the document of what a form asks for, shows it in the dialog, and has it signed with a passkey.
//! Whoever has none signs on the command line, whose command stands beside each form. What a signature is good for, the
//! API says.

use maud::{Markup, html};

use crate::action::problem;

/// A span of time that can be chosen: its spelling, and what it is called.
pub type Span = (&'static str, &'static str);

/// A form for an act that takes a signature; `act` is its name in `assets/signing.js`, and `id` that of its button.
pub fn form(act: &str, id: &str, label: &str, fields: &Markup) -> Markup {
    html! {
        form.act data-sign=(act) data-then="promotion" method="post" {
            (fields)
            button.plain id=(id) type="submit" { (label) "…" }
            (problem())
        }
    }
}

/// A field that nobody fills in.
pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// A labelled line of text.
pub fn line(id: &str, name: &str, label: &str, required: bool) -> Markup {
    html! {
        label for=(id) { (label) }
        input id=(id) name=(name) type="text" maxlength="256" autocomplete="off" required[required];
    }
}

/// A labelled choice of how long something lasts; the first is chosen.
pub fn lasts(id: &str, label: &str, spans: &[Span]) -> Markup {
    html! {
        label for=(id) { (label) }
        select id=(id) name="lasts" { @for (span, name) in spans { option value=(span) { (name) } } }
    }
}

/// The dialog that every page has: the script fills it in.
pub fn dialog() -> Markup {
    html! {
        dialog id="signing" aria-labelledby="signing-title" {
            h2 id="signing-title" tabindex="-1" autofocus { "You are about to sign" }
            dl.facts id="signing-facts" {}
            p { "Code " code id="signing-words" {} }
            p.quiet {
                "Counted out in this browser from the exact bytes. For high stakes, sign on the command line: it shows what \
                 it verified itself."
            }
            details {
                summary { "The exact bytes, as they are signed; what does not show is written as \\u{…}" }
                pre.note id="signing-exact" tabindex="0" {}
            }
            p.quiet id="signing-status" role="status" {}
            form method="dialog" {
                button id="signing-sign" type="button" { "Sign with your passkey" }
                " " button.plain id="signing-leave" { "Sign nothing" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The acts that the script knows: the keys of its table.
    fn known() -> Vec<&'static str> {
        let script = include_str!("../assets/signing.js");
        let table = script.split("const ACTS = {\n").nth(1).unwrap().split("\n};").next().unwrap();
        let name = |line: &'static str| {
            let key = line.strip_prefix("  ")?.split_once(": ").filter(|(key, _)| !key.starts_with([' ', '}', ')']))?.0;
            Some(key.trim_matches('\''))
        };
        table.lines().filter_map(name).collect()
    }

    #[test]
    fn every_form_names_an_act_that_the_script_knows_and_the_other_way_round() {
        let pages = [
            include_str!("access/review.rs"),
            include_str!("changes.rs"),
            include_str!("ci_trusts.rs"),
            include_str!("delegations.rs"),
            include_str!("freeze.rs"),
            include_str!("keys.rs"),
            include_str!("policy/exceptions.rs"),
            include_str!("promotion.rs"),
        ];
        let mut named: Vec<&str> =
            pages.into_iter().flat_map(|page| page.split("signing::form(").skip(1)).map(first_text).collect();
        named.sort_unstable();
        named.dedup();
        let mut known = known();
        known.sort_unstable();
        assert_eq!(named, known);
    }

    /// The part of the script between two texts.
    fn part(from: &str, to: &str) -> &'static str {
        include_str!("../assets/signing.js").split(from).nth(1).unwrap().split(to).next().unwrap()
    }

    /// What stands between single quotes.
    fn quoted(code: &'static str) -> impl Iterator<Item = &'static str> {
        code.split('\'').skip(1).step_by(2)
    }

    #[test]
    fn every_act_signs_kinds_that_the_script_tells_apart_and_no_others() {
        let table = part("const KINDS = {\n", "\n};");
        let name = |line: &'static str| {
            let key = line.strip_prefix("  ")?.split_once(": {").filter(|(key, _)| !key.starts_with(' '))?.0;
            Some(key.trim_matches('\''))
        };
        let kinds: BTreeSet<&str> = table.lines().filter_map(name).collect();
        assert!(kinds.len() > 15, "{kinds:?}");
        assert_eq!(table.matches("words: '").count(), kinds.len());
        assert_eq!(table.matches("namespace: ").count(), kinds.len());
        let script = include_str!("../assets/signing.js");
        let lists: Vec<&str> =
            script.split("    signs: [").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
        // Two acts on keys and two on people are made by one function each.
        assert_eq!(lists.len(), known().len() - 2);
        let signed: BTreeSet<&str> = lists.into_iter().flat_map(quoted).collect();
        assert_eq!(signed, kinds);
        // Documents are made of kinds that are there.
        for made in script.split("schema: schema('").skip(1).map(|rest| rest.split('\'').next().unwrap()) {
            assert!(kinds.contains(made), "{made}");
        }
    }

    /// The text between the first two quotes.
    fn first_text(code: &'static str) -> &'static str {
        code.split('"').nth(1).unwrap()
    }

    #[test]
    fn a_form_says_what_it_asks_for_and_hostile_text_stays_text() {
        let hostile = "\"><script>alert(1)</script>";
        let fields = html! { (hidden("person", hostile)) (line("ticket", "ticket", "Ticket", true)) };
        let text = form("suspend", "suspend", "Suspend", &fields).into_string();
        for wanted in ["data-sign=\"suspend\"", "Suspend…", "for=\"ticket\"", "required"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("<script"), "{text}");
    }

    #[test]
    fn the_dialog_has_every_part_that_the_script_fills_in() {
        let (dialog, script) = (dialog().into_string(), include_str!("../assets/signing.js"));
        for call in ["fill('", "fillList('", "part('"] {
            for id in script.split(call).skip(1).map(|rest| rest.split('\'').next().unwrap()) {
                assert!(dialog.contains(&format!("id=\"{id}\"")), "{id}: {dialog}");
            }
        }
    }
}
