//! JUnit XML: which tests ran.
//!
//! There is no specification; the common form is `testsuites > testsuite (nested) > testcase > skipped | failure |
//! error`, with `testsuites` or `testsuite` as the root. Cases are counted one by one. The counters that suites carry
//! as attributes are never read, because nothing ties them to the cases.

use lockgate_model::facts::Tests;
use lockgate_model::{Limits, UnixMillis};

use crate::error::{EvidenceError, excerpt};
use crate::test_result::{FAILED_NAMES, shown};
use crate::xml::{self, Attributes, Elements};

/// The longest run whose duration is believed, in seconds: about 31 years.
const MAX_SECONDS: f64 = 1e9;
/// What `status` and `result` of a case that failed say, in any case.
const FAILURES: [&str; 4] = ["failed", "failure", "fail", "error"];

/// Reads a whole report.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `XML_DOCTYPE`, `XML_ENTITY`, `XML_TOO_DEEP`, `TOO_MANY_TESTS`.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Tests, EvidenceError> {
    let mut run = Run::new(limits);
    xml::walk(bytes, None, &mut run)?;
    Ok(run.tests)
}

/// An element that is open.
enum Element {
    Suite { name: String },
    Case(Case),
    Other,
}

/// A test case whose end has not been seen.
struct Case {
    name: String,
    failed: bool,
    skipped: bool,
}

/// The attributes that mean something; all others are checked and forgotten.
struct Marks<'a> {
    name: &'a str,
    class_name: &'a str,
    timestamp: Option<&'a str>,
    seconds: Option<&'a str>,
    failed: bool,
    not_run: bool,
}

impl<'a> Marks<'a> {
    fn of(attributes: &'a Attributes<'_>) -> Self {
        let (status, result) = (attributes.get("status"), attributes.get("result"));
        // Some writers say that a case failed in a word alone, without an element inside.
        let is_failure = |word: &str| FAILURES.iter().any(|failure| word.trim().eq_ignore_ascii_case(failure));
        let failed = status.is_some_and(is_failure) || result.is_some_and(is_failure);
        // GoogleTest has no `skipped` element for cases that it left out.
        let not_run = matches!(status, Some("notrun" | "disabled")) || result == Some("suppressed");
        Self {
            name: attributes.get("name").unwrap_or_default(),
            class_name: attributes.get("classname").unwrap_or_default(),
            timestamp: attributes.get("timestamp"),
            seconds: attributes.get("time"),
            failed,
            not_run,
        }
    }

    fn case_name(&self) -> String {
        match self.class_name.is_empty() {
            true => shown(self.name),
            false => shown(&format!("{}.{}", self.class_name, self.name)),
        }
    }

    /// When a suite ended: its start, in UTC where it has no zone, and its duration.
    ///
    /// A start that does not read is refused and not left out: a report without a time counts as of when it was recorded,
    /// so that an old one would look young.
    fn end(&self) -> Result<Option<UnixMillis>, EvidenceError> {
        let text = self.timestamp.map(str::trim).unwrap_or_default();
        // No text, and the zero of Go and of .NET, stand for none.
        if text.is_empty() || text.starts_with("0001-01-01T00:00:00") {
            return Ok(None);
        }
        // Writers in JavaScript give the form of e-mails.
        let start = text.parse::<UnixMillis>().or_else(|_| format!("{text}Z").parse::<UnixMillis>());
        let start = start.or_else(|_| UnixMillis::from_rfc2822(text));
        match start {
            Ok(start) => Ok(Some(UnixMillis(start.0.saturating_add(self.millis())))),
            Err(_) => Err(EvidenceError::new(
                "EVIDENCE_TIME",
                format!("a suite is of `{}`, which is no time: write it as in `2026-11-20T10:00:00Z`", excerpt(text)),
            )),
        }
    }

    fn millis(&self) -> u64 {
        // Some writers group thousands: `1,234.5`.
        let seconds = self.seconds.map(|text| text.trim().replace(',', ""));
        let seconds: f64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(0.0);
        match (0.0..=MAX_SECONDS).contains(&seconds) {
            true => (seconds * 1000.0).round() as u64,
            false => 0,
        }
    }
}

/// The run so far.
struct Run<'l> {
    limits: &'l Limits,
    open: Vec<Element>,
    tests: Tests,
}

impl<'l> Run<'l> {
    fn new(limits: &'l Limits) -> Self {
        let tests = Tests {
            format: "junit".to_owned(),
            passed: 0,
            failed: 0,
            skipped: 0,
            failed_names: Vec::new(),
            finished_at: None,
        };
        Self { limits, open: Vec::new(), tests }
    }

    fn suite(&mut self, marks: &Marks<'_>) -> Result<Element, EvidenceError> {
        self.tests.finished_at = self.tests.finished_at.max(marks.end()?);
        Ok(Element::Suite { name: shown(marks.name) })
    }

    /// A failure belongs to the case around it, however deep; one of a suite itself counts as a failed case.
    fn fail(&mut self) -> Result<Element, EvidenceError> {
        let mut suite = None;
        for element in self.open.iter_mut().rev() {
            match element {
                Element::Case(case) => {
                    case.failed = true;
                    return Ok(Element::Other);
                }
                Element::Suite { name } => {
                    suite = Some(name.clone());
                    break;
                }
                Element::Other => {}
            }
        }
        self.count(Case { name: suite.unwrap_or_default(), failed: true, skipped: false })?;
        Ok(Element::Other)
    }

    /// Only a direct child excuses a case.
    fn skip(&mut self) -> Element {
        if let Some(Element::Case(case)) = self.open.last_mut() {
            case.skipped = true;
        }
        Element::Other
    }

    fn count(&mut self, case: Case) -> Result<(), EvidenceError> {
        match (case.failed, case.skipped) {
            (true, _) => {
                self.tests.failed += 1;
                if self.tests.failed_names.len() < FAILED_NAMES {
                    self.tests.failed_names.push(case.name);
                }
            }
            (false, true) => self.tests.skipped += 1,
            (false, false) => self.tests.passed += 1,
        }
        match usize::try_from(self.tests.total()).is_ok_and(|total| total <= self.limits.tests_per_report) {
            true => Ok(()),
            false => Err(EvidenceError::new(
                "TOO_MANY_TESTS",
                format!("more than {} tests in one report", self.limits.tests_per_report),
            )),
        }
    }
}

impl Elements for Run<'_> {
    fn open(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<(), EvidenceError> {
        let marks = Marks::of(attributes);
        let element = match (self.open.last(), name) {
            (None | Some(Element::Suite { .. }), "testsuites" | "testsuite") => self.suite(&marks)?,
            (None, other) => {
                return Err(EvidenceError::malformed(format!(
                    "the root is `{}`: a JUnit report starts with `testsuites` or `testsuite`",
                    excerpt(other)
                )));
            }
            (Some(Element::Suite { .. }), "testcase") => {
                Element::Case(Case { name: marks.case_name(), failed: marks.failed, skipped: marks.not_run })
            }
            (Some(_), "testsuites" | "testsuite" | "testcase") => {
                return Err(EvidenceError::malformed(format!("a `{name}` stands where none belongs")));
            }
            (Some(_), "failure" | "error") => self.fail()?,
            (Some(_), "skipped") => self.skip(),
            (Some(_), _) => Element::Other,
        };
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), EvidenceError> {
        match self.open.pop() {
            Some(Element::Case(case)) => self.count(case),
            Some(Element::Suite { .. } | Element::Other) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="1" failures="0"><testsuite name="cart" tests="99" failures="0" errors="0" skipped="0" timestamp="2026-11-20T10:00:00" time="1.5">
<testcase name="adds" classname="cart"/><testcase name="pays &amp; goes" classname="cart"><failure message="no">a &lt; b &#x26;</failure></testcase>
<testsuite name="inner"><testcase name="breaks"><error/></testcase><testcase name="later"><skipped/></testcase></testsuite>
<testcase name="both"><skipped/><failure/></testcase><properties><property name="a" value="b"/></properties><system-out><![CDATA[</testcase>]]></system-out>
</testsuite></testsuites>"#;

    fn code(text: &str) -> Result<(u64, u64, u64), &'static str> {
        read(text.as_bytes(), &Limits::DEFAULT).map(|t| (t.passed, t.failed, t.skipped)).map_err(|error| error.code)
    }

    #[test]
    fn recounts_and_believes_no_counter() {
        let tests = read(SAMPLE.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((tests.passed, tests.failed, tests.skipped), (1, 3, 1));
        assert_eq!(tests.failed_names, ["cart.pays & goes", "breaks", "both"]);
        assert_eq!(tests.finished_at, Some("2026-11-20T10:00:01.5Z".parse().unwrap()));
        assert_eq!(code(r#"<testsuite tests="500" failures="0"></testsuite>"#), Ok((0, 0, 0)));
        assert_eq!(code("<testsuites/>"), Ok((0, 0, 0)));
    }

    #[test]
    fn a_failure_is_never_lost() {
        assert_eq!(code("<testsuite><testcase name='a'><x><failure/></x></testcase></testsuite>"), Ok((0, 1, 0)));
        assert_eq!(code("<testsuite name='s'><error/><testcase name='a'/></testsuite>"), Ok((1, 1, 0)));
        assert_eq!(code("<testsuite><testcase name='a'><x><skipped/></x></testcase></testsuite>"), Ok((1, 0, 0)));
        assert_eq!(code("<testsuite><testcase name='a' status='notrun'/></testsuite>"), Ok((0, 0, 1)));
        let many = format!("<testsuite>{}</testsuite>", "<testcase name='a'><failure/></testcase>".repeat(30));
        let tests = read(many.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((tests.failed, tests.failed_names.len()), (30, 20));
    }

    #[test]
    fn a_case_may_fail_in_a_word() {
        for (attributes, expected) in [
            ("status='failed'", (0, 1, 0)),
            ("status='FAILED'", (0, 1, 0)),
            ("result='failed'", (0, 1, 0)),
            ("result='Error'", (0, 1, 0)),
            ("status='run' result='failure'", (0, 1, 0)),
            ("status='notrun' result='fail'", (0, 1, 0)),
            ("status='run' result='completed'", (1, 0, 0)),
            ("status='passed'", (1, 0, 0)),
            ("status='disabled'", (0, 0, 1)),
            ("result='suppressed'", (0, 0, 1)),
        ] {
            let case = format!("<testsuite><testcase name='a' {attributes}/></testsuite>");
            assert_eq!(code(&case), Ok(expected), "{attributes}");
        }
        // It is one failure, whatever else says so, and nothing excuses it.
        assert_eq!(
            code("<testsuite><testcase status='failed'><failure/><skipped/></testcase></testsuite>"),
            Ok((0, 1, 0))
        );
        // A suite's own word is not read: its cases say it.
        assert_eq!(code("<testsuite status='failed'><testcase name='a'/></testsuite>"), Ok((1, 0, 0)));
    }

    #[test]
    fn no_declaration_no_entity() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><testsuite name=\"&b;\"/>";
        assert_eq!(code(bomb), Err("XML_DOCTYPE"));
        assert_eq!(code("<!DOCTYPE testsuite SYSTEM \"file:///etc/passwd\"><testsuite/>"), Err("XML_DOCTYPE"));
        assert_eq!(code("<!doctype testsuite><testsuite/>"), Err("XML_DOCTYPE"));
        assert_eq!(code("<testsuite>&a;</testsuite>"), Err("XML_ENTITY"));
        assert_eq!(code("<testsuite name='&a;'/>"), Err("EVIDENCE_MALFORMED"));
        assert_eq!(code("<testsuite>&#0;</testsuite>"), Err("EVIDENCE_MALFORMED"));
        assert_eq!(code("<testsuite>&#65;&quot;</testsuite>"), Ok((0, 0, 0)));
    }

    #[test]
    fn refuses_what_is_not_one_whole_report() {
        for bad in [
            "",
            "   ",
            "text",
            "<html/>",
            "<testcase/>",
            "<TestSuite/>",
            "<testsuite>",
            "</testsuite>",
            "<testsuite></testsuites>",
            "<testsuite/><testsuite/>",
            "<testsuite/>trailing",
            "<testsuite/>&amp;",
            "<testsuite/><![CDATA[x]]>",
            "before<testsuite/>",
            "<testsuite a='1' a='2'/>",
            "<testsuite a=1/>",
            "<testsuite><testcase><testcase/></testcase></testsuite>",
            "<testsuite><properties><testcase/></properties></testsuite>",
            "<testsuite><testcase><testsuite/></testcase></testsuite>",
            "<?xml version='1.0' encoding='UTF-16'?><testsuite/>",
            "<testsuite/><?xml version='1.0'?>",
        ] {
            assert_eq!(code(bad), Err("EVIDENCE_MALFORMED"), "{bad}");
        }
        assert_eq!(read(b"<testsuite>\xff</testsuite>", &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED");
        for end in (0..SAMPLE.len()).filter(|end| SAMPLE.is_char_boundary(*end)) {
            assert!(code(&SAMPLE[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn stops_at_the_limits_and_not_before() {
        let nested = |depth: usize| format!("{}{}", "<testsuite>".repeat(depth), "</testsuite>".repeat(depth));
        assert_eq!(code(&nested(64)), Ok((0, 0, 0)));
        assert_eq!(code(&nested(65)), Err("XML_TOO_DEEP"));
        let wide =
            |count: usize| format!("<testsuite {}/>", (0..count).map(|n| format!("a{n}='' ")).collect::<String>());
        assert_eq!(code(&wide(64)), Ok((0, 0, 0)));
        assert_eq!(code(&wide(65)), Err("EVIDENCE_MALFORMED"));
        let few = Limits { tests_per_report: 2, ..Limits::DEFAULT };
        let cases = |count: usize| format!("<testsuite>{}</testsuite>", "<testcase name='a'/>".repeat(count));
        assert!(read(cases(2).as_bytes(), &few).is_ok());
        assert_eq!(read(cases(3).as_bytes(), &few).unwrap_err().code, "TOO_MANY_TESTS");
    }

    #[test]
    fn the_latest_suite_ends_the_run() {
        let check = |suites: &str, expected: Option<&str>| {
            let tests = read(format!("<testsuites>{suites}</testsuites>").as_bytes(), &Limits::DEFAULT).unwrap();
            assert_eq!(tests.finished_at, expected.map(|text| text.parse().unwrap()), "{suites}");
        };
        let two = "<testsuite timestamp='2026-11-20T12:00:00+02:00' time='60'/><testsuite timestamp='2026-11-20T09:00:00Z' time='1,200'/>";
        check(two, Some("2026-11-20T10:01:00Z"));
        check("<testsuite timestamp=' '/><testsuite timestamp='0001-01-01T00:00:00Z'/>", None);
        check("<testsuite timestamp='2026-11-20T10:00:00.5'/>", Some("2026-11-20T10:00:00.5Z"));
        check("<testsuite timestamp='Fri, 20 Nov 2026 10:00:00 GMT' time='60'/>", Some("2026-11-20T10:01:00Z"));
        check("<testsuite timestamp='2026-11-20T10:00:00' time='-5'/>", Some("2026-11-20T10:00:00Z"));
        check("<testsuite timestamp='2026-11-20T10:00:00' time='NaN'/>", Some("2026-11-20T10:00:00Z"));
        check("<testsuite time='5'/>", None);
    }

    #[test]
    fn a_time_that_does_not_read_is_refused() {
        let good = "<testsuite timestamp='2026-11-20T10:00:00Z'/>";
        for bad in ["Fri Nov 20 2026", "yesterday", "1700000000", "2026-13-01T00:00:00Z", "1960-01-01T00:00:00Z"] {
            let suite = format!("<testsuite timestamp='{bad}'><testcase name='a'/></testsuite>");
            assert_eq!(code(&suite), Err("EVIDENCE_TIME"), "{bad}");
            // Nor does another suite stand in for it.
            assert_eq!(code(&format!("<testsuites>{good}{suite}</testsuites>")), Err("EVIDENCE_TIME"), "{bad}");
        }
        // A case's own is not read.
        assert_eq!(code("<testsuite><testcase name='a' timestamp='yesterday'/></testsuite>"), Ok((1, 0, 0)));
    }
}
