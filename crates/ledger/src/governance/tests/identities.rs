//! Accounts of identity providers: a signature binds one once.

use super::*;
use crate::identity::{
    BindingDocument, IDENTITY_NAMESPACE, IdentityBound, IdentityUnbound, UnbindingDocument, credential,
};

const ISSUER: &str = "https://idp.example";

/// What kim signs to bind an account.
fn bound(subject: &str, after: Option<EntryIndex>) -> IdentityBound {
    let kim = person("kim");
    let document = document_bytes(&BindingDocument::new(ORIGIN, &kim, ISSUER, subject).after(after)).unwrap();
    IdentityBound {
        signature: sign("kim", 1, IDENTITY_NAMESPACE, &document),
        person: kim,
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        after,
    }
}

fn bind(chain: &mut Chain, event: &IdentityBound) -> Applied {
    chain.apply(&Event::IdentityBound(event.clone()))
}

/// Ends the binding of kim's account.
fn unbind(chain: &mut Chain, subject: &str, by: &str) -> EntryIndex {
    let account = chain.governance.account(&credential(ISSUER, subject)).unwrap();
    let document = document_bytes(&UnbindingDocument::new(ORIGIN, account, "left")).unwrap();
    let event = IdentityUnbound {
        person: person("kim"),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        reason: "left".to_owned(),
        by: person(by),
        signature: sign(by, 1, IDENTITY_NAMESPACE, &document),
    };
    chain.apply(&Event::IdentityUnbound(event)).unwrap()
}

fn owner(chain: &Chain, subject: &str) -> Option<PersonId> {
    chain.governance.identity_owner(&credential(ISSUER, subject), UnixMillis(chain.time)).cloned()
}

#[test]
fn a_binding_that_was_ended_does_not_come_back_by_its_old_signature() {
    let mut chain = Chain::with_owners();
    let first = bound("1", None);
    bind(&mut chain, &first).unwrap();
    assert_eq!(bind(&mut chain, &first), Err("KEY_ALREADY_BOUND"));
    let ended = unbind(&mut chain, "1", "sam");
    assert_eq!(bind(&mut chain, &first), Err("IDENTITY_STALE"), "as the server's administrator can hand it in again");
    // Nor does the entry's own field help, which kim did not sign.
    let moved = IdentityBound { after: Some(ended), ..first.clone() };
    assert_eq!(bind(&mut chain, &moved), Err("SIGNATURE_INVALID"));
    assert_eq!(owner(&chain, "1"), None);

    let second = bound("1", Some(ended));
    bind(&mut chain, &second).unwrap();
    assert_eq!(owner(&chain, "1"), Some(person("kim")));
    let again = unbind(&mut chain, "1", "kim");
    for old in [&first, &second] {
        assert_eq!(bind(&mut chain, old), Err("IDENTITY_STALE"));
    }
    bind(&mut chain, &bound("1", Some(again))).unwrap();
    assert_eq!(owner(&chain, "1"), Some(person("kim")));
}

#[test]
fn an_account_whose_binding_never_ended_names_no_end() {
    let mut chain = Chain::with_owners();
    bind(&mut chain, &bound("1", None)).unwrap();
    let ended = unbind(&mut chain, "1", "kim");
    // The end of another account of the same person is none of this one.
    for after in [ended, EntryIndex(0), EntryIndex(1000)] {
        assert_eq!(bind(&mut chain, &bound("2", Some(after))), Err("IDENTITY_STALE"), "{after}");
    }
    bind(&mut chain, &bound("2", None)).unwrap();
    assert_eq!((owner(&chain, "1"), owner(&chain, "2")), (None, Some(person("kim"))));
}

/// What was signed before there were ends to name has the bytes that it had.
#[test]
fn the_document_of_a_first_binding_names_no_end() {
    let kim = person("kim");
    let bytes = document_bytes(&BindingDocument::new(ORIGIN, &kim, ISSUER, "1")).unwrap();
    assert!(!String::from_utf8(bytes).unwrap().contains("after"));
    let bytes = document_bytes(&BindingDocument::new(ORIGIN, &kim, ISSUER, "1").after(Some(EntryIndex(7)))).unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("\"after\":7"));
}
