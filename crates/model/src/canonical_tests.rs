//! Tests of canonical JSON, most of them against the long way: into a tree, written again, compared, out of the tree.

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::json::MAX_SAFE_INTEGER;
use crate::{Digest, ReleaseName, UnixMillis};

/// The canonical bytes by way of a tree.
fn written_by_tree<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|error| CanonicalError::NoForm(error.to_string()))?;
    let mut bytes = Vec::new();
    write(&value, &mut bytes)?;
    Ok(bytes)
}

/// What canonical bytes say, by way of a tree.
fn read_by_tree<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, CanonicalError> {
    let value = json::read(bytes, limits, Numbers::Integers)?;
    let mut again = Vec::new();
    write(&value, &mut again)?;
    if again != bytes {
        return Err(CanonicalError::NotCanonical);
    }
    json::objects::into_type(value).map_err(|error| JsonError { code: "JSON_FIELD", message: error.to_string() }.into())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude <= MAX_SAFE_INTEGER => {
                    out.extend_from_slice(number.to_string().as_bytes())
                }
                _ => return Err(CanonicalError::NoForm(format!("{number} is not an integer within 2^53 - 1"))),
            }
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            // RFC 8785, section 3.2.3: keys are ordered by their UTF-16 code units; for ASCII that is the order of bytes,
            // in which the map has them already.
            if !members.iter().all(|(key, _)| key.is_ascii()) || !members.is_sorted_by_key(|(key, _)| *key) {
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            }
            out.push(b'{');
            for (position, (key, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785, section 3.2.2.2: two-character escapes where JSON has them, `\u00xx` for other controls, nothing else.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            control if (control as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// A document with a field of every kind that documents of ours have.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    by: Made,
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<UnixMillis>,
    free: Value,
    numbers: BTreeMap<u64, i64>,
    releases: Vec<ReleaseName>,
    shape: Shape,
    so: bool,
    what: What,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Made {
    Person { name: String },
    System {},
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Shape {
    Point,
    Line(u8),
    Box { high: u8, wide: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body", deny_unknown_fields)]
enum What {
    Opened(Span),
    Closed,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    until: u64,
    since: u64,
}

fn samples() -> Vec<Sample> {
    let digest = Digest::of(b"a boat");
    let release: ReleaseName = "shop/web@1.4.2".parse().unwrap();
    vec![
        Sample {
            by: Made::Person { name: "Zo\u{eb}\n\"\u{1}\"".to_owned() },
            digest,
            expires: Some(UnixMillis(1_790_000_000_000)),
            free: json!({"\r": [], "1": {}, "a\\": null, "\u{80}": -5, "\u{1f600}": [[1], "x"], "\u{fb33}": false}),
            numbers: BTreeMap::from([(3, 0), (20, -9_007_199_254_740_991)]),
            releases: vec![release.clone(), release],
            shape: Shape::Box { high: 1, wide: 255 },
            so: true,
            what: What::Opened(Span { until: 9_007_199_254_740_991, since: 0 }),
        },
        Sample {
            by: Made::System {},
            digest,
            expires: None,
            free: Value::Null,
            numbers: BTreeMap::new(),
            releases: Vec::new(),
            shape: Shape::Point,
            so: false,
            what: What::Closed,
        },
        Sample {
            by: Made::System {},
            digest,
            expires: None,
            free: json!("plain"),
            numbers: BTreeMap::from([(1, 1)]),
            releases: Vec::new(),
            shape: Shape::Line(7),
            so: false,
            what: What::Opened(Span { until: 2, since: 1 }),
        },
    ]
}

/// Both ways give the same value, or the same error to the last word.
#[track_caller]
fn agree<T: DeserializeOwned + PartialEq + Debug>(bytes: &[u8], limits: &Limits) -> bool {
    let (short, long) = (from_slice::<T>(bytes, limits), read_by_tree::<T>(bytes, limits));
    assert_eq!(short, long, "{}", String::from_utf8_lossy(bytes));
    short.is_ok()
}

/// Both ways give the same value, or errors of one kind: of what stands where an enum belongs, the words differ.
#[track_caller]
fn agree_in_kind<T: DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let kind = |error: CanonicalError| match error {
        CanonicalError::Json(error) => error.code,
        CanonicalError::NotCanonical => "not canonical",
        CanonicalError::NoForm(_) => "no form",
    };
    let short = from_slice::<T>(bytes, &Limits::DEFAULT).map_err(kind);
    let long = read_by_tree::<T>(bytes, &Limits::DEFAULT).map_err(kind);
    assert_eq!(short, long, "{}", String::from_utf8_lossy(bytes));
    short.is_ok()
}

#[test]
fn samples_are_written_and_read_as_by_the_tree() {
    for sample in samples() {
        let bytes = to_vec(&sample).unwrap();
        assert_eq!(bytes, written_by_tree(&sample).unwrap());
        assert_eq!(from_slice::<Sample>(&bytes, &Limits::DEFAULT).unwrap(), sample);
        assert!(agree::<Sample>(&bytes, &Limits::DEFAULT) && agree::<Value>(&bytes, &Limits::DEFAULT));
    }
}

/// The text with one byte left out, doubled or exchanged for each of `others`, and cut off, at every place.
fn changed(bytes: &[u8], others: impl Iterator<Item = u8> + Clone) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |position| {
        let (before, after) = (&bytes[..position], &bytes[position + 1..]);
        let exchanged = others.clone().map(move |byte| [before, &[byte], after].concat());
        let doubled = [before, &bytes[position..=position], &bytes[position..]].concat();
        exchanged.chain([before.to_vec(), [before, after].concat(), doubled])
    })
}

#[test]
fn one_changed_byte_is_judged_as_by_the_tree() {
    let text =
        "{\"\":\"\\n\\\"\\\\\\u0001\u{e9}\",\"a\":[0,-12,9007199254740991,true,null],\"b\":{\"c\":{}},\"\u{20ac}\":[]}";
    assert!(agree::<Value>(text.as_bytes(), &Limits::DEFAULT));
    let judged = changed(text.as_bytes(), 0..=255).map(|text| agree::<Value>(&text, &Limits::DEFAULT));
    let (read, refused): (Vec<bool>, Vec<bool>) = judged.partition(|is_read| *is_read);
    assert!(read.len() > 300 && refused.len() > 5000, "{} {}", read.len(), refused.len());
    for sample in samples() {
        for text in changed(&to_vec(&sample).unwrap(), b"\0 \"\\,:{}[]-019ax\xff".iter().copied()) {
            agree::<Value>(&text, &Limits::DEFAULT);
            agree_in_kind::<Sample>(&text);
        }
    }
}

#[test]
fn what_is_wrong_with_a_field_is_said_in_the_same_words() {
    let good = String::from_utf8(to_vec(&samples()[2]).unwrap()).unwrap();
    for (from, to) in [
        ("\"so\":false", "\"so\":0"),
        ("\"so\":false,", ""),
        ("\"so\":false", "\"sp\":false"),
        ("\"since\":1", "\"since\":-1"),
        ("\"since\":1,", ""),
        ("{\"since\":1,\"until\":2}", "[1,2]"),
        ("\"line\":7", "\"line\":256"),
        ("\"line\":7", "\"ring\":7"),
        ("\"system\"", "\"nobody\""),
        ("sha256:", "sha512:"),
        ("\"releases\":[]", "\"releases\":[\"Shop@1\"]"),
        ("\"releases\":[]", "\"releases\":{}"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(good, bad);
        // A list in the body of an event is for whoever reads one to refuse (`json::objects`).
        assert!(!agree::<Sample>(bad.as_bytes(), &Limits::DEFAULT) || to == "[1,2]", "{bad}");
    }
    let error = from_slice::<Span>(br#"{"since":1}"#, &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.to_string(), "missing field `until`");
}

#[test]
fn depth_and_numbers_of_items_are_limited_as_by_the_tree() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Careless {}
    let deep = Limits { json_depth: 200, ..Limits::DEFAULT };
    for depth in [1, 2, 62, 63, 64, 65, 125, 126, 127, 128, 129, 199, 200, 201, 5000] {
        for (open, close, inside) in [("[", "]", ""), ("{\"a\":", "}", "1"), ("[{\"a\":", "}]", "{}")] {
            let text = format!("{}{inside}{}", open.repeat(depth), close.repeat(depth));
            for limits in [&Limits::DEFAULT, &deep] {
                agree::<Value>(text.as_bytes(), limits);
                agree::<Careless>(format!("{{\"a\":{text}}}").as_bytes(), limits);
            }
        }
    }
    let few = Limits { json_items: 3, json_keys: 2, ..Limits::DEFAULT };
    for (text, expected) in [
        ("[]", true),
        ("[1,2,3]", true),
        ("[1,2,3,4]", false),
        ("[[1,2,3],[1,2,3]]", true),
        ("{}", true),
        (r#"{"a":1,"b":2}"#, true),
        (r#"{"a":1,"b":2,"c":3}"#, false),
    ] {
        assert_eq!(agree::<Value>(text.as_bytes(), &few), expected, "{text}");
    }
    let none = Limits { json_items: 0, json_keys: 0, json_depth: 1, ..Limits::DEFAULT };
    for text in ["[]", "{}", "[1]", r#"{"a":1}"#, "[[]]", "1"] {
        agree::<Value>(text.as_bytes(), &none);
    }
}

/// Throws that come out the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    fn pick(&mut self, from: &[&str]) -> String {
        let at = self.roll(from.len());
        from[at].to_owned()
    }

    /// One of the usual ones; one time in `rare`, one of the others.
    fn pick_rarely(&mut self, usual: &[&str], others: &[&str], rare: usize) -> String {
        match self.roll(rare) {
            0 => self.pick(others),
            _ => self.pick(usual),
        }
    }

    fn number(&mut self) -> String {
        let usual = ["0", "1", "-1", "10", "9007199254740991", "-9007199254740991", "1000000000000000"];
        let others = [
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            "1.0",
            "0.0",
            "-0.0",
            "1.",
            ".5",
            "1e5",
            "1E5",
            "1e400",
            "1e",
            "-",
            "0x1",
            "9007199254740992",
            "-9007199254740992",
            "9999999999999999",
            "10000000000000000",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999999",
            "NaN",
            "Infinity",
        ];
        self.pick_rarely(&usual, &others, 12)
    }

    fn string(&mut self) -> String {
        let usual = [
            "a",
            "B",
            " ",
            "/",
            "\u{7f}",
            "\u{80}",
            "\u{e9}",
            "\u{20ac}",
            "\u{fb33}",
            "\u{1f600}",
            "\u{2028}",
            "\\n",
            "\\\"",
            "\\\\",
            "\\b",
            "\\f",
            "\\r",
            "\\t",
            "\\u0000",
            "\\u0007",
            "\\u000b",
            "\\u000e",
            "\\u001f",
        ];
        let others = [
            "\\/",
            "\n",
            "\t",
            "\0",
            "\\x",
            "\\",
            "\"",
            "\\u000a",
            "\\u0008",
            "\\u0009",
            "\\u000c",
            "\\u000d",
            "\\u000B",
            "\\u001F",
            "\\u0020",
            "\\u0041",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\ud83d",
            "\\ude00",
            "\\u00",
            "\\U0001",
        ];
        let pieces = self.roll(4);
        let inside: String = (0..pieces).map(|_| self.pick_rarely(&usual, &others, 40)).collect();
        format!("\"{inside}\"")
    }

    /// White space, where none belongs.
    fn gap(&mut self) -> String {
        self.pick_rarely(&[""], &[" ", "\n", "\t", "\u{a0}", "\u{feff}"], 300)
    }

    fn list(&mut self, depth: usize) -> String {
        let length = self.roll(4);
        let items: Vec<String> = (0..length).map(|_| self.value(depth + 1)).collect();
        format!("[{}{}]", items.join(","), self.pick_rarely(&[""], &[","], 100))
    }

    fn object(&mut self, depth: usize) -> String {
        // In the order of RFC 8785, section 3.2.3.
        let ordered = [
            r#""""#,
            r#""\u0000""#,
            r#""\t""#,
            r#""\n""#,
            r#""\r""#,
            r#"" ""#,
            r#""\"""#,
            r#""1""#,
            r#""10""#,
            r#""2""#,
            r#""A""#,
            r#""\\""#,
            r#""\\a""#,
            r#""a""#,
            r#""a b""#,
            r#""aa""#,
            "\"\u{7f}\"",
            "\"\u{80}\"",
            "\"\u{f6}\"",
            "\"\u{20ac}\"",
            "\"\u{d7ff}\"",
            "\"\u{1f600}\"",
            "\"\u{10ffff}\"",
            "\"\u{e000}\"",
            "\"\u{fb33}\"",
            "\"\u{ffff}\"",
        ];
        let mut keys: Vec<String> = Vec::new();
        for key in ordered {
            if self.roll(8) == 0 {
                keys.push(key.to_owned());
            }
        }
        if self.roll(12) == 0 {
            let key = self.string();
            keys.push(key);
        }
        if self.roll(25) == 0 && !keys.is_empty() {
            let (a, b) = (self.roll(keys.len()), self.roll(keys.len()));
            keys.swap(a, b);
        }
        if self.roll(40) == 0 && !keys.is_empty() {
            let at = self.roll(keys.len());
            keys.insert(at, keys[at].clone());
        }
        let mut members = Vec::new();
        for key in keys {
            members.push(format!("{key}{}:{}{}", self.gap(), self.gap(), self.value(depth + 1)));
        }
        format!("{{{}}}", members.join(","))
    }

    fn value(&mut self, depth: usize) -> String {
        let kinds = if depth < 4 { 8 } else { 4 };
        let text = match self.roll(kinds) {
            0 => self.pick_rarely(&["null", "true", "false"], &["nul", "True", "", "undefined"], 30),
            1 => self.number(),
            2 | 3 => self.string(),
            4 | 5 => self.list(depth),
            _ => self.object(depth),
        };
        format!("{}{text}{}", self.gap(), self.gap())
    }
}

#[test]
fn texts_at_random_are_judged_as_by_the_tree() {
    let (mut read, mut refused) = (0, 0);
    for seed in 0..10_000 {
        let text = Dice(seed).value(0);
        match agree::<Value>(text.as_bytes(), &Limits::DEFAULT) {
            true => read += 1,
            false => refused += 1,
        }
        // Whatever is JSON at all has one spelling, or none.
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let (short, long) = (to_vec(&value), written_by_tree(&value));
            assert!(short.is_ok() == long.is_ok() && (short.is_err() || short == long), "{text}: {short:?} {long:?}");
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} {refused}");
}

#[test]
fn what_has_no_form_or_two_is_written_as_by_the_tree() {
    #[derive(Serialize)]
    struct Outer {
        b: u8,
        #[serde(flatten)]
        inner: BTreeMap<&'static str, Value>,
        a: f64,
    }
    let outer = |a, inner: &[(&'static str, Value)]| Outer { b: 1, inner: inner.iter().cloned().collect(), a };
    // `b` is written twice, and what comes later counts.
    let twice = outer(f64::NAN, &[("b", json!({"z": 1, "y": 2})), ("0", json!(null))]);
    assert_eq!(to_vec(&twice).unwrap(), br#"{"0":null,"a":null,"b":{"y":2,"z":1}}"#);
    assert_eq!(to_vec(&twice), written_by_tree(&twice));
    for a in [0.0, -0.0, 1.0, 1.5, -3e300] {
        let broken = outer(a, &[]);
        assert!(matches!(to_vec(&broken), Err(CanonicalError::NoForm(_))), "{a}");
        assert_eq!(to_vec(&broken), written_by_tree(&broken));
    }
    for number in [MAX_SAFE_INTEGER, MAX_SAFE_INTEGER + 1, 9_999_999_999_999_999, u64::MAX] {
        assert_eq!(to_vec(&[number]), written_by_tree(&[number]));
    }
    for number in [-9_007_199_254_740_991, -9_007_199_254_740_992, i64::MIN] {
        assert_eq!(to_vec(&[number]), written_by_tree(&[number]));
    }
    let keys = BTreeMap::from([(1u64, "x"), (10, "y"), (2, "z")]);
    assert_eq!(to_vec(&keys).unwrap(), br#"{"1":"x","10":"y","2":"z"}"#);
}

#[test]
fn sorts_by_utf16_and_escapes_minimally() {
    // The key order of RFC 8785, section 3.2.3.
    let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
    let text = String::from_utf8(to_vec(&value).unwrap()).unwrap();
    assert_eq!(text, "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}");
    assert_eq!(to_vec("\u{1}\u{1f}\u{7f}/\u{2028}").unwrap(), "\"\\u0001\\u001f\u{7f}/\u{2028}\"".as_bytes());
    assert!(to_vec(&json!(1.5)).is_err());
    assert!(to_vec(&json!(1u64 << 53)).is_err());
}

#[test]
fn reads_only_the_canonical_spelling() {
    let read = |text: &str| from_slice::<Value>(text.as_bytes(), &Limits::DEFAULT);
    assert!(read(r#"{"a":1,"b":[true,null,"x"]}"#).is_ok());
    for other in [r#"{"b":1,"a":2}"#, r#"{ "a":1}"#, r#"{"a":"\u0061"}"#, r#"{"a":"\/"}"#, r#"{"a":-0}"#] {
        assert!(read(other).is_err(), "{other}");
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991i64..=9_007_199_254_740_991).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_bytes_read_back_to_the_same_value(value in document()) {
        let bytes = to_vec(&value).unwrap();
        prop_assert_eq!(&bytes, &written_by_tree(&value).unwrap());
        prop_assert_eq!(from_slice::<Value>(&bytes, &Limits::DEFAULT).unwrap(), value);
    }
}
