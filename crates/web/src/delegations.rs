//! Delegations: the forms that lend the right to approve and that end what was lent, for every page that shows some.

use lockgate_api::wire::DelegationRow;
use lockgate_model::PersonId;
use maud::{Markup, html};

use crate::Rights;
use crate::action::reason;
use crate::signing::{self, Span, hidden, lasts, line};
use crate::wording::{command, visible};

/// How long a delegation can last.
const SPANS: [Span; 4] = [("7d", "7 days"), ("24h", "1 day"), ("14d", "14 days"), ("30d", "30 days")];

/// A form that lends the right to approve; `place` are its fields that say for which services and environments, and `id`
/// is that of its button.
pub fn lend(id: &str, place: &Markup) -> Markup {
    let fields = html! {
        (line(&format!("{id}-to"), "to", "Who may approve in your place", true))
        (place)
        (line(&format!("{id}-groups"), "groups", "In which of your groups, apart by commas; left empty, in all", false))
        (lasts(&format!("{id}-lasts"), "For how long", &SPANS))
        (reason(&format!("{id}-reason")))
    };
    signing::form("delegate", id, "Lend it", &fields)
}

/// The fields for one service in one environment, which nobody fills in.
pub fn one_place(service: &str, environment: &str) -> Markup {
    html! { (hidden("services", service)) (hidden("environments", environment)) }
}

/// The fields for services and environments of the lender's choice.
pub fn any_place(id: &str) -> Markup {
    html! {
        (line(&format!("{id}-services"), "services", "For which services, apart by commas; left empty, for all", false))
        (line(
            &format!("{id}-environments"),
            "environments",
            "For which environments, apart by commas; left empty, for all",
            false,
        ))
    }
}

/// What ends a delegation before its time, for whom that is; otherwise who may.
pub fn end(one: &DelegationRow, rights: &Rights, person: &PersonId) -> Markup {
    let (entry, from, to) = (one.delegation, one.from.as_str(), one.to.as_str());
    let may = one.from == *person || one.to == *person || rights.may("keys");
    let fields = html! {
        (hidden("delegation", &entry.to_string()))
        (reason(&format!("delegation-reason-{entry}")))
    };
    html! {
        @if may {
            details id={ "delegation-more-" (entry) } {
                summary { "End it" }
                (signing::form("delegation-end", &format!("delegation-end-{entry}"), "End it", &fields))
            }
            (command(
                &format!("cli-delegation-{entry}"),
                &format!("lockgate delegate end {entry} --reason REASON --as {person}"),
            ))
        } @else {
            span.quiet { "not you: " (from) ", " (to) ", and " (visible(&rights.who("keys"))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::UnixMillis;

    #[test]
    fn a_delegation_is_ended_by_who_gave_or_got_it_or_manages_keys_and_others_are_told_who_may() {
        let one = DelegationRow {
            delegation: 31,
            from: "sam".parse().unwrap(),
            to: "kim".parse().unwrap(),
            groups: Vec::new(),
            environments: Vec::new(),
            services: Vec::new(),
            granted_at: UnixMillis(0),
            expires_at: UnixMillis(1),
            reason: "away".to_owned(),
            open: true,
            ended_by: None,
        };
        let check = |person: &str, rights: &Rights, may: bool| {
            let text = end(&one, rights, &person.parse().unwrap()).into_string();
            assert_eq!(text.contains("data-sign=\"delegation-end\""), may, "{person}: {text}");
            assert_eq!(text.contains("lockgate delegate end 31 --reason REASON"), may, "{person}: {text}");
            assert_eq!(text.contains("not you: sam, kim, and group owners may"), !may, "{person}: {text}");
        };
        let mut nothing = Rights::default();
        nothing.others.insert("keys".to_owned(), "group owners".to_owned());
        check("sam", &nothing, true);
        check("kim", &nothing, true);
        check("dana", &nothing, false);
        check("dana", &Rights { may: vec!["keys".to_owned()], ..Rights::default() }, true);
    }

    #[test]
    fn what_is_lent_for_one_place_names_it_and_is_otherwise_for_the_lender_to_say() {
        let hostile = "\"><script>alert(1)</script>";
        let here = lend("lend-P-3", &one_place(hostile, "production")).into_string();
        for wanted in ["data-sign=\"delegate\"", "name=\"to\"", "name=\"environments\" value=\"production\""] {
            assert!(here.contains(wanted), "{wanted}: {here}");
        }
        assert!(!here.contains("<script"), "{here}");
        let anywhere = lend("lend", &any_place("lend")).into_string();
        for wanted in ["id=\"lend-services\" name=\"services\" type=\"text\"", "for=\"lend-environments\""] {
            assert!(anywhere.contains(wanted), "{wanted}: {anywhere}");
        }
    }
}
