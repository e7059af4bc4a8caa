//! Cobertura XML (DTD 04): which lines and branches the tests ran.
//!
//! `coverage > packages > package > classes > class[filename] > (methods > method >)? lines > line`. Lines are counted
//! one by one, each line of a file once, however often classes and methods repeat it. The rates and counters that
//! the elements carry are never believed; the root's is kept for showing a difference.

use lockgate_model::facts::Coverage;
use lockgate_model::{Limits, UnixMillis};

use crate::coverage::Covered;
use crate::document;
use crate::error::{EvidenceError, excerpt};
use crate::xml::{self, Attributes, Elements};

/// The root element; Clover has a root of the same name, and no `packages` inside it.
pub(crate) const ROOT: &str = "coverage";

/// The last millisecond of the year 9999.
const LAST_MILLI: u64 = 253_402_300_799_999;
/// From here on a number is read as milliseconds, below as seconds: writers differ.
const FIRST_MILLI: u64 = 100_000_000_000;

/// Reads a whole report.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TOO_LARGE`, `XML_DOCTYPE`, `XML_ENTITY`, `XML_TOO_DEEP`, `TOO_MANY_LINES`.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Coverage, EvidenceError> {
    document::check_size(bytes, limits)?;
    let mut report = Report::default();
    xml::walk(bytes, Some(ROOT), &mut report)?;
    if !report.has_packages {
        return Err(EvidenceError::malformed(
            "there is no `packages` in `coverage`: this is not Cobertura, write the report in that format",
        ));
    }
    let Report { covered, stated, timestamp, .. } = report;
    Ok(Coverage { stated_basis_points: stated, measured_at: timestamp, ..covered.claim("cobertura") })
}

/// What an open element is to us.
#[derive(Debug, PartialEq, Eq)]
enum Element {
    Root,
    Packages,
    Package { name: String },
    Class { file: String },
    Lines,
    Other,
}

#[derive(Debug, Default)]
struct Report {
    open: Vec<Element>,
    has_packages: bool,
    covered: Covered,
    stated: Option<u64>,
    timestamp: Option<UnixMillis>,
}

impl Elements for Report {
    fn open(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<(), EvidenceError> {
        let element = match (self.open.last(), name) {
            (None, ROOT) => {
                self.stated = attributes.get("line-rate").and_then(stated);
                self.timestamp = attributes.get("timestamp").and_then(timestamp);
                Element::Root
            }
            (None, other) => {
                return Err(EvidenceError::malformed(format!(
                    "the root is `{}`: a Cobertura report starts with `coverage`",
                    excerpt(other)
                )));
            }
            (Some(Element::Root), "packages") => {
                self.has_packages = true;
                Element::Packages
            }
            (Some(Element::Packages), "package") => {
                Element::Package { name: attributes.get("name").unwrap_or_default().to_owned() }
            }
            (Some(_), "class") => Element::Class { file: self.file_of(attributes)? },
            (Some(_), "lines") => Element::Lines,
            (Some(Element::Lines), "line") => {
                self.line(attributes)?;
                Element::Other
            }
            (Some(_), name @ ("packages" | "package" | "line" | ROOT)) => {
                return Err(EvidenceError::malformed(format!("a `{name}` stands where none belongs")));
            }
            (Some(_), _) => Element::Other,
        };
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), EvidenceError> {
        self.open.pop();
        Ok(())
    }
}

impl Report {
    /// A class's file, told apart by package: modules may have files of one name.
    fn file_of(&self, attributes: &Attributes<'_>) -> Result<String, EvidenceError> {
        let package = self.open.iter().rev().find_map(|element| match element {
            Element::Package { name } => Some(name.as_str()),
            _ => None,
        });
        match (package, attributes.get("filename").filter(|name| !name.is_empty())) {
            (Some(package), Some(file)) => Ok(format!("{package}\0{file}")),
            (None, _) => Err(EvidenceError::malformed("a `class` stands outside a `package`")),
            (_, None) => Err(EvidenceError::malformed("a `class` has no `filename`")),
        }
    }

    fn line(&mut self, attributes: &Attributes<'_>) -> Result<(), EvidenceError> {
        let Self { open, covered, .. } = self;
        let file = open.iter().rev().find_map(|element| match element {
            Element::Class { file } => Some(file.as_str()),
            _ => None,
        });
        let Some(file) = file else { return Err(EvidenceError::malformed("a `line` stands outside a `class`")) };
        let number = number_in(attributes, "number")?;
        let line = u32::try_from(number)
            .map_err(|_| EvidenceError::malformed(format!("`{number}` is not a line number that a file can have")))?;
        covered.line(file, line, number_in(attributes, "hits")? > 0)?;
        match attributes.get("condition-coverage") {
            None => Ok(()),
            Some(text) => {
                let (taken, of) = condition(text)?;
                covered.condition(file, line, taken, of)
            }
        }
    }
}

fn number_in(attributes: &Attributes<'_>, name: &str) -> Result<u64, EvidenceError> {
    let text = attributes
        .get(name)
        .ok_or_else(|| EvidenceError::malformed(format!("a `line` has no `{name}`: it cannot be counted")))?;
    text.parse::<u64>().map_err(|_| {
        EvidenceError::malformed(format!("a `line` has `{}` as its `{name}`, which is no whole number", excerpt(text)))
    })
}

/// Reads `50% (1/2)`.
fn condition(text: &str) -> Result<(u32, u32), EvidenceError> {
    let fault = || {
        let text = excerpt(text);
        EvidenceError::malformed(format!("`{text}` is no condition coverage: it looks like `50% (1/2)`"))
    };
    let (_, counts) = text.split_once('(').ok_or_else(fault)?;
    let (counts, _) = counts.split_once(')').ok_or_else(fault)?;
    let (taken, of) = counts.split_once('/').ok_or_else(fault)?;
    let taken: u32 = taken.trim().parse().map_err(|_| fault())?;
    let of: u32 = of.trim().parse().map_err(|_| fault())?;
    if taken > of { Err(fault()) } else { Ok((taken, of)) }
}

/// A rate from 0 to 1 in basis points; only shown.
fn stated(text: &str) -> Option<u64> {
    let rate: f64 = text.trim().parse().ok()?;
    (0.0..=1.0).contains(&rate).then(|| (rate * 10_000.0).floor() as u64)
}

/// Seconds or milliseconds since 1970; zero is none.
fn timestamp(text: &str) -> Option<UnixMillis> {
    let number: u64 = text.trim().parse().ok().filter(|number| *number > 0)?;
    let millis = if number >= FIRST_MILLI { number } else { number.saturating_mul(1000) };
    (millis <= LAST_MILLI).then_some(UnixMillis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<?xml version="1.0"?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage line-rate="1.0" branch-rate="1" lines-covered="900" lines-valid="900" timestamp="1795500000" version="1">
<sources><source>src</source></sources>
<packages><package name="cart"><classes>
<class name="Cart" filename="cart.rs" line-rate="1"><methods><method name="add"><lines><line number="1" hits="3"/></lines></method></methods>
<lines><line number="1" hits="3"/><line number="2" hits="0" branch="true" condition-coverage="50% (1/2)"/></lines></class>
<class name="Cart$Inner" filename="cart.rs"><lines><line number="2" hits="0"/><line number="3" hits="1"/></lines></class>
</classes></package><package name="pay"><classes><class name="Cart" filename="cart.rs"><lines><line number="1" hits="0"/></lines></class></classes></package></packages></coverage>"#;

    fn code(text: &str) -> &'static str {
        read(text.as_bytes(), &Limits::DEFAULT).unwrap_err().code
    }

    #[test]
    fn recounts_and_believes_no_rate() {
        let claim = read(SAMPLE.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((claim.files, claim.lines_covered, claim.lines_valid), (2, 2, 4));
        assert_eq!(claim.line_basis_points, Some(5000));
        assert_eq!((claim.branches_covered, claim.branches_valid, claim.branch_basis_points), (1, 2, Some(5000)));
        assert_eq!(claim.stated_basis_points, Some(10_000));
        assert_eq!(claim.measured_at, Some(UnixMillis(1_795_500_000_000)));
        let empty = read(b"<coverage line-rate=\"1\"><packages/></coverage>", &Limits::DEFAULT).unwrap();
        assert_eq!((empty.lines_valid, empty.line_basis_points), (0, None));
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let with = |line: &str| {
            format!(
                "<coverage><packages><package name='p'><classes><class filename='f'><lines>{line}</lines></class></classes></package></packages></coverage>"
            )
        };
        assert!(read(with("<line number='1' hits='1'/>").as_bytes(), &Limits::DEFAULT).is_ok());
        for bad in [
            "<line number='1'/>",
            "<line hits='1'/>",
            "<line number='1' hits='-1'/>",
            "<line number='1' hits='many'/>",
            "<line number='1' hits='1.5'/>",
            "<line number='4294967296' hits='1'/>",
            "<line number='1' hits='1' condition-coverage='50%'/>",
            "<line number='1' hits='1' condition-coverage='(3/2)'/>",
            "<line number='1' hits='1'><line number='2' hits='1'/></line>",
        ] {
            assert_eq!(code(&with(bad)), "EVIDENCE_MALFORMED", "{bad}");
        }
        for bad in [
            "<coverage/>",
            "<coverage generated='1'><project timestamp='1'/></coverage>",
            "<testsuite/>",
            "<coverage><packages><class filename='f'/></packages></coverage>",
            "<coverage><packages><package name='p'><classes><class/></classes></package></packages></coverage>",
            "<coverage><lines><line number='1' hits='1'/></lines></coverage>",
            "<coverage><packages>",
        ] {
            assert_eq!(code(bad), "EVIDENCE_MALFORMED", "{bad}");
        }
        assert_eq!(code("<!DOCTYPE coverage [<!ENTITY a \"b\">]><coverage/>"), "XML_DOCTYPE");
    }

    #[test]
    fn a_truncated_report_is_never_read() {
        for end in 0..SAMPLE.len() {
            assert!(read(&SAMPLE.as_bytes()[..end], &Limits::DEFAULT).is_err(), "{end}");
        }
    }
}
