//! Cases of the projection port.

use lockgate_model::{Digest, UnixMillis};

use super::Script;
use crate::{Projection, Reply, Store};

fn row(kind: &'static str, key: &str, value: Option<&str>) -> Projection {
    Projection { kind, key: key.to_owned(), value: value.map(|value| value.as_bytes().to_vec()) }
}

fn commit(store: &dyn Store, script: &mut Script, projections: Vec<Projection>, replies: Vec<Reply>) {
    let mut batch = script.batch(&[("entry", &[])]);
    batch.projections = projections;
    batch.replies = replies;
    store.commit(&batch).unwrap();
    script.accept(&batch);
}

pub(super) fn rows_change_with_entries(store: &dyn Store) {
    let mut script = Script::new();
    let rows = vec![row("release", "b", Some("2")), row("release", "a", Some("1")), row("grant", "a", Some("9"))];
    commit(store, &mut script, rows, Vec::new());
    let all = |kind: &str, after: Option<&str>, most| -> Vec<(String, String)> {
        let rows = store.projections(kind, after, most).unwrap();
        rows.into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap())).collect()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(all("release", None, 10), [pair("a", "1"), pair("b", "2")]);
    assert_eq!(all("release", None, 1), [pair("a", "1")]);
    assert_eq!(all("release", Some("a"), usize::MAX), [pair("b", "2")]);
    assert_eq!(all("release", Some("b"), 10), []);
    assert_eq!(all("release", None, 0), []);
    assert_eq!(all("none", None, 10), []);
    let rows = vec![
        row("release", "a", None),
        row("release", "zz", None),
        row("release", "b", Some("3")),
        row("release", "b", Some("4")),
    ];
    commit(store, &mut script, rows, Vec::new());
    assert_eq!(all("release", None, 10), [pair("b", "4")]);
    assert_eq!(store.projection("release", "a").unwrap(), None);
    assert_eq!(store.projection("grant", "a").unwrap().as_deref(), Some(b"9".as_slice()));
}

pub(super) fn replies_stand_and_expire(store: &dyn Store) {
    let reply = |key: &str, at: u64| Reply {
        key: key.to_owned(),
        request: Digest::of(key.as_bytes()),
        body: format!("body of {key}").into_bytes(),
        at: UnixMillis(at),
    };
    let mut script = Script::new();
    commit(store, &mut script, Vec::new(), vec![reply("one", 10), reply("two", 20), reply("three", 30)]);
    assert_eq!(store.reply("one").unwrap(), Some(reply("one", 10)));
    assert_eq!(store.reply("four").unwrap(), None);
    assert_eq!(store.replies_expire(UnixMillis(10)).unwrap(), 0, "a reply at the moment itself stays");
    assert_eq!(store.replies_expire(UnixMillis(21)).unwrap(), 2);
    assert_eq!(store.reply("two").unwrap(), None);
    assert_eq!(store.reply("three").unwrap(), Some(reply("three", 30)));
    commit(store, &mut script, Vec::new(), vec![reply("one", 40)]);
    assert_eq!(store.reply("one").unwrap(), Some(reply("one", 40)), "an expired key is free again");
}
