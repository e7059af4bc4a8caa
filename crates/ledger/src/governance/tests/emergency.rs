//! Freezes and break-glass: who may, for what, how often, and what forgeries are told.

use super::*;
use crate::break_glass::{
    BREAK_GLASS_NAMESPACE, BreakGlassDocument, BreakGlassOpened, BreakGlassReviewDocument, BreakGlassReviewed,
    BreakGlassSigned,
};
use crate::freeze::{FREEZE_NAMESPACE, FreezeDocument, FreezeLiftDocument, FreezeLifted, FreezeOrdered};

const HOUR: u64 = 3_600_000;

/// Three owners, and ann and bob, who may break glass; eve audits, and rob is a machine among the approvers.
fn chain() -> Chain {
    let mut chain = Chain::with_owners();
    for name in ["ann", "bob"] {
        chain.enrol(name, &["approvers"], &["sam", "kim"]).unwrap();
    }
    chain.enrol("eve", &["auditors"], &["sam", "kim"]).unwrap();
    chain
        .apply(&Event::PersonEnrolled(enrolment("rob", SubjectKind::Machine, &["approvers"], &["sam", "kim"])))
        .unwrap();
    chain
}

fn ordered(by: &str, service: Option<&str>, environment: Option<&str>, nonce: &str) -> FreezeOrdered {
    let mut event = FreezeOrdered {
        service: service.map(|name| name.parse().unwrap()),
        environment: environment.map(|name| name.parse().unwrap()),
        reason: "incident".to_owned(),
        until: None,
        spares_rollbacks: false,
        nonce: nonce.to_owned(),
        by: person(by),
        signature: String::new(),
    };
    resign_freeze(&mut event);
    event
}

fn resign_freeze(event: &mut FreezeOrdered) {
    let document = document_bytes(&FreezeDocument::new(ORIGIN, event)).unwrap();
    event.signature = sign(event.by.as_str(), 1, FREEZE_NAMESPACE, &document);
}

fn lifted(by: &str, freeze: EntryIndex) -> Event {
    let mut event = FreezeLifted { freeze, reason: "it is over".to_owned(), by: person(by), signature: String::new() };
    let document = document_bytes(&FreezeLiftDocument::new(ORIGIN, &event)).unwrap();
    event.signature = sign(by, 1, FREEZE_NAMESPACE, &document);
    Event::FreezeLifted(event)
}

fn frozen(chain: &Chain, service: &str, environment: &str) -> usize {
    chain.governance.freezes_for(&service.parse().unwrap(), &environment.parse().unwrap()).len()
}

#[test]
fn a_freeze_stops_what_it_names_until_it_is_lifted() {
    let mut chain = chain();
    let event = ordered("sam", None, Some("production"), "1");
    let index = chain.apply(&Event::FreezeOrdered(event.clone())).unwrap();
    assert_eq!((frozen(&chain, "shop/web", "production"), frozen(&chain, "shop/web", "staging")), (1, 0));
    assert_eq!(chain.apply(&Event::FreezeOrdered(event)), Err("FREEZE_REPLAYED"));
    chain.apply(&Event::FreezeOrdered(ordered("ann", Some("shop/web"), None, "2"))).unwrap();
    assert_eq!((frozen(&chain, "shop/web", "production"), frozen(&chain, "shop/api", "dev")), (2, 0));
    // Whoever may order one may lift any; a machine lifts none, and an auditor none either.
    assert_eq!(chain.apply(&lifted("rob", index)), Err("SOD_ROBOT"));
    assert_eq!(chain.apply(&lifted("eve", index)), Err("NOT_PERMITTED"));
    assert_eq!(chain.apply(&lifted("kim", EntryIndex(1))), Err("FREEZE_UNKNOWN"));
    chain.apply(&lifted("kim", index)).unwrap();
    assert_eq!(frozen(&chain, "shop/api", "production"), 0);
    assert_eq!(chain.apply(&lifted("sam", index)), Err("FREEZE_OVER"));
}

#[test]
fn forged_freezes_are_refused() {
    let mut chain = chain();
    let check = |chain: &mut Chain, change: fn(&mut FreezeOrdered), again: bool, code: &'static str| {
        let mut event = ordered("sam", None, Some("production"), "1");
        change(&mut event);
        if again {
            resign_freeze(&mut event);
        }
        assert_eq!(chain.apply(&Event::FreezeOrdered(event)), Err(code));
    };
    check(&mut chain, |event| event.environment = None, false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.service = Some("shop/web".parse().unwrap()), false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.spares_rollbacks = true, false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.until = Some(UnixMillis(START + 1)), false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.by = person("kim"), false, "KEY_UNKNOWN");
    check(&mut chain, |event| event.by = person("eve"), true, "NOT_PERMITTED");
    check(&mut chain, |event| event.until = Some(UnixMillis(START)), true, "FREEZE_EXPIRY");
    check(&mut chain, |event| event.environment = Some("moon".parse().unwrap()), true, "FREEZE_SCOPE");
    check(&mut chain, |event| event.reason = " ".to_owned(), true, "REASON_MISSING");
    check(&mut chain, |event| event.nonce.clear(), true, "FREEZE_REPLAYED");
    assert_eq!(frozen(&chain, "shop/web", "production"), 0);
}

#[test]
fn a_lift_by_a_stolen_key_lifts_nothing() {
    let mut chain = chain();
    let index = chain.apply(&Event::FreezeOrdered(ordered("sam", None, None, "1"))).unwrap();
    let lift = chain.apply(&lifted("kim", index)).unwrap();
    assert_eq!(frozen(&chain, "shop/web", "production"), 0);
    chain.end("kim", 1, Some(lift.0), &["sam", "lee"]).unwrap();
    assert_eq!(frozen(&chain, "shop/web", "production"), 1);
    chain.apply(&lifted("lee", index)).unwrap();
    assert_eq!(frozen(&chain, "shop/web", "production"), 0);
}

fn opened(by: &str, ticket: &str) -> BreakGlassOpened {
    let mut event = BreakGlassOpened {
        release: "shop/web@1.4.2".parse().unwrap(),
        manifest: Digest::of(b"manifest"),
        environment: "production".parse().unwrap(),
        reason: "payments are down".to_owned(),
        ticket: ticket.to_owned(),
        expires_at: UnixMillis(START + 2 * HOUR),
        by: person(by),
        signature: String::new(),
    };
    resign_opened(&mut event);
    event
}

fn resign_opened(event: &mut BreakGlassOpened) {
    let document = document_bytes(&BreakGlassDocument::new(ORIGIN, event)).unwrap();
    event.signature = sign(event.by.as_str(), 1, BREAK_GLASS_NAMESPACE, &document);
}

/// Somebody's signature over a document, said to be for the break-glass of an entry.
fn also(by: &str, break_glass: EntryIndex, event: &BreakGlassOpened) -> Event {
    let document = document_bytes(&BreakGlassDocument::new(ORIGIN, event)).unwrap();
    let signature = sign(by, 1, BREAK_GLASS_NAMESPACE, &document);
    Event::BreakGlassSigned(BreakGlassSigned { break_glass, by: person(by), signature })
}

fn reviewed(by: &str, break_glass: EntryIndex) -> Event {
    let mut event = BreakGlassReviewed {
        break_glass,
        finding: "the alert was right".to_owned(),
        by: person(by),
        signature: String::new(),
    };
    let document = document_bytes(&BreakGlassReviewDocument::new(ORIGIN, &event)).unwrap();
    event.signature = sign(by, 1, BREAK_GLASS_NAMESPACE, &document);
    Event::BreakGlassReviewed(event)
}

fn unreviewed(chain: &Chain) -> usize {
    chain.governance.unreviewed().len()
}

#[test]
fn it_takes_two_people_and_alarms_until_a_third_has_reviewed_it() {
    let mut chain = chain();
    let event = opened("ann", "INC-1");
    let index = chain.apply(&Event::BreakGlassOpened(event.clone())).unwrap();
    assert_eq!((chain.governance.break_glass(index).unwrap().needed, unreviewed(&chain)), (2, 0));
    assert_eq!(chain.apply(&reviewed("eve", index)), Err("BREAK_GLASS_UNSIGNED"));
    assert_eq!(chain.apply(&also("ann", index, &event)), Err("SOD_SELF"));
    assert_eq!(chain.apply(&also("rob", index, &event)), Err("SOD_ROBOT"));
    assert_eq!(chain.apply(&also("sam", index, &event)), Err("NOT_PERMITTED"));
    let other = BreakGlassOpened { environment: "staging".parse().unwrap(), ..event.clone() };
    assert_eq!(chain.apply(&also("bob", index, &other)), Err("SIGNATURE_INVALID"));
    let other = BreakGlassOpened { manifest: Digest::of(b"other"), ..event.clone() };
    assert_eq!(chain.apply(&also("bob", index, &other)), Err("SIGNATURE_INVALID"));
    chain.apply(&also("bob", index, &event)).unwrap();
    assert_eq!(
        (chain.governance.break_glass(index).unwrap().effective, unreviewed(&chain)),
        (Some(UnixMillis(START)), 1)
    );
    // There is no next one before the review, which neither of the two signs.
    assert_eq!(chain.apply(&Event::BreakGlassOpened(opened("bob", "INC-2"))), Err("BREAK_GLASS_UNREVIEWED"));
    assert_eq!(chain.apply(&also("bob", index, &event)), Err("BREAK_GLASS_OVER"));
    for name in ["ann", "bob"] {
        assert_eq!(chain.apply(&reviewed(name, index)), Err("SOD_SELF"));
    }
    assert_eq!(chain.apply(&reviewed("rob", index)), Err("SOD_ROBOT"));
    let review = chain.apply(&reviewed("eve", index)).unwrap();
    assert_eq!((unreviewed(&chain), chain.apply(&reviewed("sam", index))), (0, Err("BREAK_GLASS_REVIEWED")));
    assert_eq!(chain.apply(&Event::BreakGlassOpened(event)), Err("BREAK_GLASS_REPLAYED"));
    chain.apply(&Event::BreakGlassOpened(opened("bob", "INC-2"))).unwrap();
    // A review by a stolen key is none, and the alarm goes on.
    chain.end("eve", 1, Some(review.0), &["sam", "kim"]).unwrap();
    assert_eq!(unreviewed(&chain), 1);
}

#[test]
fn one_person_is_enough_where_there_is_one() {
    let mut chain = Chain::with_owners();
    chain.enrol("ann", &["approvers"], &["sam", "kim"]).unwrap();
    let index = chain.apply(&Event::BreakGlassOpened(opened("ann", "INC-1"))).unwrap();
    assert_eq!((chain.governance.break_glass(index).unwrap().needed, unreviewed(&chain)), (1, 1));
}

#[test]
fn forged_break_glass_is_refused() {
    let mut chain = chain();
    let check = |chain: &mut Chain, change: fn(&mut BreakGlassOpened), again: bool, code: &'static str| {
        let mut event = opened("ann", "INC-1");
        change(&mut event);
        if again {
            resign_opened(&mut event);
        }
        assert_eq!(chain.apply(&Event::BreakGlassOpened(event)), Err(code));
    };
    check(&mut chain, |event| event.environment = "staging".parse().unwrap(), false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.manifest = Digest::of(b"other"), false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.release = "shop/web@1.4.3".parse().unwrap(), false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.expires_at = UnixMillis(START + 3 * HOUR), false, "SIGNATURE_INVALID");
    check(&mut chain, |event| event.by = person("bob"), false, "KEY_UNKNOWN");
    check(&mut chain, |event| event.by = person("rob"), true, "SOD_ROBOT");
    check(&mut chain, |event| event.by = person("sam"), true, "NOT_PERMITTED");
    check(&mut chain, |event| event.expires_at = UnixMillis(START), true, "BREAK_GLASS_EXPIRY");
    check(&mut chain, |event| event.expires_at = UnixMillis(START + 5 * HOUR), true, "BREAK_GLASS_EXPIRY");
    check(&mut chain, |event| event.reason.clear(), true, "REASON_MISSING");
    check(&mut chain, |event| event.ticket = " ".to_owned(), true, "BREAK_GLASS_TICKET");
    check(&mut chain, |event| event.environment = "moon".parse().unwrap(), true, "BREAK_GLASS_SCOPE");
    assert!(chain.governance.break_glasses().is_empty());
}

#[test]
fn nobody_signs_after_its_time() {
    let mut chain = chain();
    let event = opened("ann", "INC-1");
    let index = chain.apply(&Event::BreakGlassOpened(event.clone())).unwrap();
    chain.time = START + 2 * HOUR;
    assert_eq!(chain.apply(&also("bob", index, &event)), Err("BREAK_GLASS_OVER"));
    assert_eq!(unreviewed(&chain), 0);
}
