//! Readers of evidence: statements, every report format, feeds.

use lockgate_evidence::claim_of;
use lockgate_evidence::{EvidenceError, Format, Statement, components, detect, feed, read, read_from};
use lockgate_model::Limits;
use lockgate_model::facts::Claim;

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::{Samples, folder, vectors};

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
