//! Tests of entries: a leaf says what its event has, and nothing besides.

use lockgate_model::json::{self, Numbers};

use super::*;

const CLOSED: &str = r#""body":{"cause":"withdrawn","promotion":"P-1","reason":"no","release":"shop/web@1.0.0"},"type":"promotion.closed""#;

/// A leaf with this actor and event, each as the text between its braces.
fn leaf(actor: &str, event: &str) -> Result<Leaf, LeafError> {
    let text = format!(
        r#"{{"actor":{{{actor}}},"event":{{{event}}},"schema":"https://lockgate.dev/entry/v1","streams":[],"time":5}}"#
    );
    Leaf::decode(text.as_bytes(), &Limits::DEFAULT)
}

fn evidence(form: &str) -> String {
    let digest = Digest::of(b"evidence");
    format!(
        r#""body":{{"evidence":"{digest}","form":{{{form}}},"media_type":"text/xml","release":"shop/web@1.0.0","size_bytes":1}},"type":"evidence.recorded""#
    )
}

#[track_caller]
fn reads(actor: &str, event: &str) -> Entry {
    match leaf(actor, event) {
        Ok(Leaf::Entry(entry)) => *entry,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_refused(actor: &str, event: &str) {
    // Its spelling is canonical: what is refused is what it says.
    let read = leaf(actor, event);
    assert!(matches!(read, Err(LeafError::Shape(CanonicalError::Json(_)))), "{read:?}");
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    let (system, dana) = (r#""kind":"system""#, r#""id":"dana","kind":"subject""#);
    assert_eq!(reads(system, CLOSED).actor, Actor::System);
    assert_eq!(reads(dana, CLOSED).event.name(), "promotion.closed");
    is_refused(system, &CLOSED.replace("\"type\"", "\"extra\":1,\"type\""));
    is_refused(system, &CLOSED.replace("\"promotion\":", "\"extra\":1,\"promotion\":"));
    is_refused(system, &CLOSED.replace("promotion.closed", "promotion.forgotten"));
    is_refused(r#""id":"dana","kind":"system""#, CLOSED);
    is_refused(r#""extra":1,"id":"dana","kind":"subject""#, CLOSED);
    is_refused(r#""kind":"nobody""#, CLOSED);
}

#[test]
fn forms_of_evidence_without_fields_take_none() {
    let dana = r#""id":"dana","kind":"subject""#;
    for form in ["envelope", "sigstore", "minisign", "image-signature"] {
        let event = evidence(&format!(r#""kind":"{form}""#));
        let entry = reads(dana, &event);
        // What is read is written again as it was.
        let again = String::from_utf8(entry.to_leaf(&Limits::DEFAULT).unwrap()).unwrap();
        assert!(again.contains(&event), "{again}");
        is_refused(dana, &evidence(&format!(r#""format":"junit","kind":"{form}""#)));
    }
    let statement = Digest::of(b"statement");
    let report = format!(r#""artifacts":[],"format":"junit","kind":"report","statement":"{statement}""#);
    reads(dana, &evidence(&report));
    is_refused(dana, &evidence(&report.replace("\"format\"", "\"extra\":1,\"format\"")));
}

/// An entry read by way of a tree of values, which is written again and compared.
fn by_tree(bytes: &[u8]) -> Result<Entry, CanonicalError> {
    let limits = &Limits::DEFAULT;
    let value = json::read(bytes, limits, Numbers::Integers)?;
    match canonical::to_vec(&value)? == bytes {
        true => Ok(json::read_as(bytes, limits, Numbers::Integers)?),
        false => Err(CanonicalError::NotCanonical),
    }
}

#[test]
fn a_changed_leaf_is_judged_as_by_the_tree() {
    let kind = |error: CanonicalError| match error {
        CanonicalError::Json(error) => error.code,
        CanonicalError::NotCanonical => "not canonical",
        CanonicalError::NoForm(_) => "no form",
    };
    let agree = |bytes: &[u8]| {
        let short = canonical::from_slice::<Entry>(bytes, &Limits::DEFAULT).map_err(kind);
        assert_eq!(short, by_tree(bytes).map_err(kind), "{}", String::from_utf8_lossy(bytes));
        short.is_ok()
    };
    let dana = r#""id":"dana","kind":"subject""#;
    for event in [CLOSED.to_owned(), evidence(r#""kind":"envelope""#)] {
        let entry = Entry {
            governance: Some(Position { seq: 3, index: EntryIndex(9) }),
            streams: vec![Link { stream: StreamName::governance(), seq: 4, prev: Some(EntryIndex(9)) }],
            ..reads(dana, &event)
        };
        let bytes = entry.to_leaf(&Limits::DEFAULT).unwrap();
        assert!(agree(&bytes));
        let mut read = 0;
        for position in 0..bytes.len() {
            let (before, after) = (&bytes[..position], &bytes[position + 1..]);
            for other in *b"\0\"\\,:{}[]-019a\xff" {
                read += usize::from(agree(&[before, &[other], after].concat()));
            }
            read += usize::from(agree(&[before, after].concat()));
            assert!(!agree(before));
        }
        assert!(read > 100, "{read}");
    }
}
