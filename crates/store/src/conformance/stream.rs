//! Cases of the stream port.

use lockgate_model::{EntryIndex, StreamName};

use super::Script;
use crate::{Store, StreamHead};

fn person(name: &str) -> StreamName {
    format!("person:{name}").parse().unwrap()
}

/// Commits entries 0 to 5; the stream of dana holds 0, 1, 3 and 5, the promotions hold 1 and 2.
fn six(store: &dyn Store) {
    let (dana, promotions) = (person("dana"), StreamName::promotions());
    let mut script = Script::new();
    script.commit(store, &[("0", std::slice::from_ref(&dana)), ("1", &[dana.clone(), promotions.clone()])]);
    script.commit(store, &[("2", std::slice::from_ref(&promotions)), ("3", std::slice::from_ref(&dana)), ("4", &[])]);
    script.commit(store, &[("5", std::slice::from_ref(&dana))]);
}

fn pairs(page: Vec<(u64, EntryIndex)>) -> Vec<(u64, u64)> {
    page.into_iter().map(|(seq, index)| (seq, index.0)).collect()
}

pub(super) fn numbers_follow(store: &dyn Store) {
    assert_eq!(store.stream_head(&person("dana")).unwrap(), None);
    six(store);
    let head = |name: &StreamName| store.stream_head(name).unwrap();
    assert_eq!(head(&person("dana")), Some(StreamHead { seq: 3, index: EntryIndex(5) }));
    assert_eq!(head(&StreamName::promotions()), Some(StreamHead { seq: 1, index: EntryIndex(2) }));
    assert_eq!(head(&StreamName::governance()), None);
}

pub(super) fn pages_have_edges(store: &dyn Store) {
    six(store);
    let dana = person("dana");
    let up = |from, most| pairs(store.stream_page(&dana, from, most).unwrap());
    assert_eq!(up(0, 10), [(0, 0), (1, 1), (2, 3), (3, 5)]);
    assert_eq!(up(1, 2), [(1, 1), (2, 3)]);
    assert_eq!(up(3, usize::MAX), [(3, 5)]);
    assert_eq!(up(0, 0), []);
    assert_eq!(up(4, 10), []);
    assert_eq!(up(u64::MAX, 10), []);
    let down = |before, most| pairs(store.stream_page_newest(&dana, before, most).unwrap());
    assert_eq!(down(None, 2), [(3, 5), (2, 3)]);
    assert_eq!(down(Some(2), usize::MAX), [(1, 1), (0, 0)]);
    assert_eq!(down(Some(u64::MAX), 1), [(3, 5)]);
    assert_eq!(down(Some(0), 10), []);
    assert_eq!(down(None, 0), []);
    assert_eq!(pairs(store.stream_page(&person("nobody"), 0, 10).unwrap()), []);
    assert_eq!(pairs(store.stream_page_newest(&person("nobody"), None, 10).unwrap()), []);
}

pub(super) fn lists_by_prefix(store: &dyn Store) {
    let names = ["person:a", "person:b", "person:c", "promotion:P-1", "service:a"];
    let streams: Vec<StreamName> = names.iter().map(|name| name.parse().unwrap()).collect();
    let mut script = Script::new();
    script.commit(store, &[("one", &streams), ("two", std::slice::from_ref(&streams.clone().remove(1)))]);
    let list = |prefix: &str, after: Option<&str>, most| -> Vec<(String, u64)> {
        let heads = store.stream_heads(prefix, after, most).unwrap();
        heads.into_iter().map(|(name, head)| (name.to_string(), head.seq)).collect()
    };
    let row = |name: &str, seq: u64| (name.to_owned(), seq);
    assert_eq!(list("person:", None, 10), [row("person:a", 0), row("person:b", 1), row("person:c", 0)]);
    assert_eq!(list("person:", Some("person:a"), 1), [row("person:b", 1)]);
    assert_eq!(list("person:", Some("person:c"), 10), []);
    assert_eq!(list("person:", Some("environment:x"), 1), [row("person:a", 0)]);
    assert_eq!(list("p", Some("person:c"), 10), [row("promotion:P-1", 0)]);
    assert_eq!(list("", None, usize::MAX).len(), names.len());
    assert_eq!(list("person:", None, 0), []);
    assert_eq!(list("running:", None, 10), []);
}
