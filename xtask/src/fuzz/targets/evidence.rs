//! Readers of evidence: statements, every report format, feeds.

use std::io::Read;

use lockgate_evidence::component::{read_report, read_report_from, read_statement};
use lockgate_evidence::{
    EvidenceError, Format, Statement, claim_of, components, detect, detect_from, feed, read, read_from,
};
use lockgate_model::Limits;
use lockgate_model::facts::Claim;

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::{Samples, folder, texts, vectors};

/// How many bytes a slow stream gives at a time: less than the words that formats are told by.
const PIECE_BYTES: usize = 7;
/// Where the readers' own samples are.
const TESTDATA: &str = "crates/evidence/testdata";

/// Every target.
///
/// # Errors
/// When a sample cannot be read.
pub fn targets(samples: &Samples) -> Result<Vec<Target>> {
    let testdata = folder(TESTDATA, "")?;
    let reports = [testdata.clone(), samples.attacks(&["report"])].concat();
    let statements = [folder(TESTDATA, "provenance-v1.json")?, samples.attacks(&["statement"])].concat();
    let mut all = vec![
        Target::new("detect", reports.clone(), |input| Outcome::accepted(&detect(input))),
        Target::new("detect-stream", reports.clone(), detect_stream),
        Target::new("report-components", reports.clone(), report_components),
        Target::new("statement-components", statements.clone(), statement_components),
        Target::new("report-format", texts(&["cyclonedx", "junit", "sarif"]), Outcome::text::<Format>),
        Target::new("statement", statements, |input| {
            let statement = Statement::parse(input, &Limits::DEFAULT);
            Outcome::of(&statement.map(|statement| claim_of(&statement, &Limits::DEFAULT)))
        }),
        Target::new("feed-kev", [testdata.clone(), vectors("cisa-kev")?].concat(), |input| {
            Outcome::of(&feed::kev(input, &Limits::DEFAULT))
        }),
        Target::new("feed-epss", testdata, |input| Outcome::of(&feed::epss(input, &Limits::DEFAULT))),
    ];
    for format in Format::ALL {
        let own = match format {
            Format::CycloneDx | Format::CycloneDxVex => vectors("cyclonedx")?,
            Format::Sarif => vectors("sarif")?,
            Format::Trivy => vectors("trivy")?,
            Format::Grype => vectors("grype")?,
            _ => Vec::new(),
        };
        let seeds = [reports.clone(), own].concat();
        all.push(Target::new(&format!("report-{format}"), seeds, move |input| report(format, input)));
    }
    Ok(all)
}

/// Reads a report at once and as a stream: both have to find the same, or refuse.
fn report(format: Format, input: &[u8]) -> Outcome {
    let whole = read(format, input, &Limits::DEFAULT);
    let mut bytes = input;
    let streamed = read_from(format, &mut bytes, &Limits::DEFAULT);
    let mut outcome = Outcome::of(&whole);
    outcome.broken = difference(&whole, &streamed);
    if matches!(format, Format::CycloneDx | Format::Spdx) {
        let listed = components(format, input, &Limits::DEFAULT);
        if listed.is_ok() != whole.is_ok() {
            outcome.broken = Some("the components are read, and the claim is not, or the other way round".to_owned());
        }
    }
    outcome
}

/// A stream that comes in small pieces.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(PIECE_BYTES);
        self.0.read(into.get_mut(..most).unwrap_or_default())
    }
}

/// Tells a format from a stream, at once and in small pieces, and from the whole: a stream may leave it open, and says
/// nothing else.
fn detect_stream(input: &[u8]) -> Outcome {
    let mut bytes = input;
    let (told, slowly) = (detect_from(&mut bytes), detect_from(&mut Slow(input)));
    let mut outcome = Outcome::accepted(&told);
    outcome.shape = format!("{told:?}");
    outcome.broken = if told != slowly {
        Some("a stream that comes in small pieces has another format".to_owned())
    } else if told.is_some() && told != detect(input) {
        Some("read as a stream, it has another format".to_owned())
    } else {
        None
    };
    outcome
}

/// Reads bills of materials with every component, at once and as a stream that comes in small pieces.
fn report_components(input: &[u8]) -> Outcome {
    let read = |format| read_report(format, input, &Limits::DEFAULT);
    let mut broken = None;
    for format in [Format::CycloneDx, Format::Spdx] {
        let (whole, streamed) = (read(format), read_report_from(format, &mut Slow(input), &Limits::DEFAULT));
        broken = broken.or(match (&whole, &streamed) {
            (Ok(whole), Ok(streamed)) if whole == streamed => None,
            (Err(_), Err(_)) => None,
            _ => Some(format!("in small pieces, the components of {format} are others")),
        });
    }
    // Only one of the two can have been accepted.
    let found = read(Format::CycloneDx).or_else(|_| read(Format::Spdx));
    let mut outcome = Outcome::of(&found);
    outcome.broken = broken;
    outcome
}

/// Reads the components of a signed statement: they come with the claim that is read without them.
fn statement_components(input: &[u8]) -> Outcome {
    let statement = Statement::parse(input, &Limits::DEFAULT);
    let read = statement.as_ref().map(|statement| read_statement(statement, &Limits::DEFAULT));
    let mut outcome = Outcome::of(&read);
    if let (Ok(statement), Ok((claim, listed))) = (&statement, &read) {
        outcome.broken = if claim_of(statement, &Limits::DEFAULT) != *claim {
            Some("with its components, the statement claims something else".to_owned())
        } else if !listed.is_empty() && !matches!(claim, Claim::Sbom(_)) {
            Some("what is no bill of materials has components".to_owned())
        } else {
            None
        };
    }
    outcome
}

/// What a reader finds.
type Found = std::result::Result<Claim, EvidenceError>;

fn difference(whole: &Found, streamed: &Found) -> Option<String> {
    match (whole, streamed) {
        (Ok(whole), Ok(streamed)) if whole == streamed => None,
        (Err(_), Err(_)) => None,
        (Ok(_), Ok(_)) => Some("read as a stream, it claims something else".to_owned()),
        (Ok(_), Err(error)) => Some(format!("read as a stream, it is refused: {error}")),
        (Err(error), Ok(_)) => Some(format!("read as a stream, it is accepted, and else it is not: {error}")),
    }
}
