//! Parsing: how fast reports are read into claims, beside a reader that knows nothing of their format.

use std::hint::black_box;
use std::time::Instant;

use lockgate_evidence::read;
use lockgate_model::Limits;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::Value;

use super::documents::{Beside, Document, documents};
use super::report::Row;
use super::samples::median;
use crate::failure::{During as _, Failure, Result};

/// How large the documents are that can grow.
const DOCUMENT_BYTES: usize = 4 << 20;
/// How many bytes one sample reads, of small documents too.
const SAMPLE_BYTES: usize = 1 << 20;
/// How many times the rounds each document is read.
const TIMES: usize = 3;
/// Which share of the other reader's throughput is enough.
const LEAST: f64 = 0.5;

/// Reads one document of every format, and lets the other reader do so, turn by turn.
///
/// # Errors
/// When a document cannot be made, or is refused.
pub fn measure(rounds: usize) -> Result<Vec<Row>> {
    documents(DOCUMENT_BYTES)?.iter().map(|document| row(document, rounds * TIMES)).collect()
}

fn row(document: &Document, turns: usize) -> Result<Row> {
    let Document { name, format, bytes, beside } = document;
    let repeated = (SAMPLE_BYTES / bytes.len().max(1)).max(1);
    let megabytes = (bytes.len() * repeated) as f64 / 1e6;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first turn warms up and is thrown away.
    for turn in 0..=turns {
        let started = Instant::now();
        for _ in 0..repeated {
            let claim = read(*format, black_box(bytes), &Limits::DEFAULT);
            black_box(claim.during(format!("read the document of {name}"))?);
        }
        let own = megabytes / started.elapsed().as_secs_f64();
        let started = Instant::now();
        for _ in 0..repeated {
            beside.read(black_box(bytes))?;
        }
        let other = megabytes / started.elapsed().as_secs_f64();
        if turn > 0 {
            ours.push(own);
            theirs.push(other);
        }
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let size = match bytes.len() {
        small @ ..10_000 => format!("{small} bytes, again and again"),
        large => format!("{:.1} MB", large as f64 / 1e6),
    };
    let what = format!("reading {name}, {size} ({}: {theirs:.0} MB/s)", beside.name());
    Ok(match beside {
        // Whatever it does with the lines, it does more than to find them.
        Beside::Lines => Row::figure(&what, ours, "MB/s"),
        _ => Row::at_least(&what, ours / theirs, ours, LEAST, &format!("{LEAST} × {}", beside.name()), "MB/s"),
    })
}

/// An XML element with everything in it, owned: what `Value` is for JSON.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "what is timed is that it is made")]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

fn unbalanced() -> Failure {
    Failure::new("an element ends that did not begin")
}

fn top(open: &mut [Element]) -> Result<&mut Element> {
    open.last_mut().ok_or_else(unbalanced)
}

impl Element {
    /// Reads a document into an element without a name that holds it.
    fn read(text: &str) -> Result<Self> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event()? {
                Event::Start(tag) => open.push(Self::of(&tag)?),
                Event::Empty(tag) => {
                    let element = Self::of(&tag)?;
                    top(&mut open)?.children.push(element);
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(unbalanced)?;
                    top(&mut open)?.children.push(element);
                }
                Event::Text(part) => {
                    top(&mut open)?.text.push_str(&part);
                }
                Event::Eof => return open.pop().ok_or_else(unbalanced),
                _ => {}
            }
        }
    }

    fn of(tag: &BytesStart<'_>) -> Result<Self> {
        let name = tag.name().into_inner().to_owned();
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute?;
            let key = attribute.key.into_inner().to_owned();
            attributes.push((key, attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned()));
        }
        Ok(Self { name, attributes, ..Self::default() })
    }
}

impl Beside {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "`serde_json::Value`",
            Self::JsonLines => "`serde_json::Value` of each line",
            Self::Xml => "a tree of `quick-xml`'s events, as `Value` is one of JSON",
            Self::Lines => "finding lines",
        }
    }

    fn read(self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Json => {
                black_box(serde_json::from_slice::<Value>(bytes)?);
            }
            Self::JsonLines => {
                for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    black_box(serde_json::from_slice::<Value>(line)?);
                }
            }
            Self::Xml => {
                black_box(Element::read(std::str::from_utf8(bytes)?)?);
            }
            Self::Lines => {
                black_box(bytes.split(|byte| *byte == b'\n').count());
            }
        }
        Ok(())
    }
}
