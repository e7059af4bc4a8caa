//! Cases of the session port.

use lockgate_model::{Digest, UnixMillis};

use crate::{Session, Store, StoreError};

fn session(token: &str, subject: &str, expires: u64) -> Session {
    Session {
        token_hash: Digest::of(token.as_bytes()),
        subject: subject.parse().unwrap(),
        created: UnixMillis(100),
        last_used: UnixMillis(100),
        expires: UnixMillis(expires),
    }
}

pub(super) fn lives_and_ends(store: &dyn Store) {
    let mut dana = session("one", "dana", 500);
    assert_eq!(store.session_by_hash(&dana.token_hash).unwrap(), None);
    assert!(!store.session_touch(&dana.token_hash, UnixMillis(150)).unwrap());
    store.session_insert(&dana).unwrap();
    let again = store.session_insert(&session("one", "mallory", 900));
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(store.session_by_hash(&dana.token_hash).unwrap().as_ref(), Some(&dana));
    assert!(store.session_touch(&dana.token_hash, UnixMillis(150)).unwrap());
    assert!(store.session_touch(&dana.token_hash, UnixMillis(120)).unwrap());
    dana.last_used = UnixMillis(150);
    assert_eq!(store.session_by_hash(&dana.token_hash).unwrap().as_ref(), Some(&dana), "last use never goes back");
    assert!(store.session_remove(&dana.token_hash).unwrap());
    assert!(!store.session_remove(&dana.token_hash).unwrap());
    assert_eq!(store.session_by_hash(&dana.token_hash).unwrap(), None);
}

pub(super) fn ends_in_numbers(store: &dyn Store) {
    for (token, subject, expires) in
        [("one", "dana", 500), ("two", "dana", 600), ("three", "sam", 500), ("four", "sam", 700)]
    {
        store.session_insert(&session(token, subject, expires)).unwrap();
    }
    let dana = session("one", "dana", 500).subject;
    assert_eq!(store.sessions_remove_for(&dana).unwrap(), 2);
    assert_eq!(store.sessions_remove_for(&dana).unwrap(), 0);
    assert_eq!(store.sessions_expire(UnixMillis(500)).unwrap(), 0, "a session that expires at the moment itself stays");
    assert_eq!(store.sessions_expire(UnixMillis(501)).unwrap(), 1);
    assert_eq!(store.session_by_hash(&Digest::of(b"three")).unwrap(), None);
    assert!(store.session_by_hash(&Digest::of(b"four")).unwrap().is_some());
}
