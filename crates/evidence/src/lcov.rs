//! LCOV tracefiles (geninfo(1)): which lines and branches the tests ran.
//!
//! `SF:<file>` opens a record, `DA:<line>,<count>[,<checksum>]` and `BRDA:<line>,<block>,<branch>,<taken>` count,
//! `end_of_record` closes it. The summaries `LF`, `LH`, `BRF` and `BRH` are never believed.

use lockgate_model::Limits;
use lockgate_model::facts::Coverage;

use crate::coverage::Covered;
use crate::document;
use crate::error::{EvidenceError, excerpt};

/// What closes a record, and so the whole file.
const END: &str = "end_of_record";

/// Records that are passed over: names, functions, conditions, summaries.
const IGNORED: [&str; 17] = [
    "TN", "VER", "FN", "FNL", "FNA", "FNDA", "FNF", "FNH", "BRF", "BRH", "MCDC", "MCF", "MCH", "LF", "LH", "BA", "BDA",
];

/// Whether bytes start and end as a tracefile does.
pub(crate) fn is_tracefile(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    (bytes.starts_with(b"TN:") || bytes.starts_with(b"SF:")) && bytes.ends_with(END.as_bytes())
}

/// Reads a whole tracefile.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `EVIDENCE_TOO_LARGE`, `TOO_MANY_LINES`.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Coverage, EvidenceError> {
    document::check_size(bytes, limits)?;
    let text = std::str::from_utf8(bytes).map_err(|error| EvidenceError::malformed(format!("not UTF-8: {error}")))?;
    let mut covered = Covered::default();
    let (mut file, mut records) = (None, 0usize);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let fault = |why: &str| EvidenceError::malformed(format!("line {}: `{}` {why}", index + 1, excerpt(line)));
        match line.split_once(':') {
            None if line.is_empty() || line.starts_with('#') => {}
            None if line == END => match file.take() {
                Some(_) => records += 1,
                None => return Err(fault("closes a record that was not opened")),
            },
            Some(("SF", _)) if file.is_some() => return Err(fault("opens a record inside another")),
            Some(("SF", "")) => return Err(fault("names no file")),
            Some(("SF", name)) => file = Some(name),
            Some((kind @ ("DA" | "BRDA"), rest)) => {
                let Some(file) = file else { return Err(fault("stands outside a record")) };
                let counted = match kind {
                    "DA" => line_of(rest).map(|(number, hit)| covered.line(file, number, hit)),
                    _ => branch_of(rest).map(|(number, name, taken)| covered.branch(file, number, name, taken)),
                };
                counted.ok_or_else(|| fault("cannot be counted"))??;
            }
            _ if line.starts_with('#') => {}
            Some((kind, _)) if IGNORED.contains(&kind) => {}
            _ => return Err(fault("is no record of a tracefile")),
        }
    }
    match (file, records) {
        (Some(_), _) => {
            Err(EvidenceError::malformed(format!("the last record has no `{END}`: the file was cut short")))
        }
        (None, 0) => Err(EvidenceError::malformed("there is no record in it")),
        (None, _) => Ok(covered.claim("lcov")),
    }
}

/// `<line>,<count>[,<checksum>]`.
fn line_of(rest: &str) -> Option<(u32, bool)> {
    let mut parts = rest.split(',');
    let line = parts.next()?.parse().ok()?;
    let count: u64 = parts.next()?.parse().ok()?;
    Some((line, count > 0))
}

/// `<line>,<block>,<branch>,<taken>`, in which the branch may hold commas, and `-` means never reached.
fn branch_of(rest: &str) -> Option<(u32, &str, bool)> {
    let (line, rest) = rest.split_once(',')?;
    let (name, taken) = rest.rsplit_once(',').filter(|(name, _)| name.contains(','))?;
    let taken = match taken {
        "-" => false,
        count => count.parse::<u64>().ok()? > 0,
    };
    Some((line.parse().ok()?, name, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "TN:unit\nSF:src/cart.rs\nFN:1,add\nFNDA:3,add\nDA:1,3\nDA:2,0\nDA:3,1,abc\nBRDA:1,0,0,3\nBRDA:1,0,1,-\nLF:900\nLH:900\nend_of_record\nTN:integration\nSF:src/cart.rs\nDA:2,5\nBRDA:1,0,1,0\nend_of_record";

    fn code(text: &str) -> &'static str {
        read(text.as_bytes(), &Limits::DEFAULT).unwrap_err().code
    }

    #[test]
    fn recounts_and_believes_no_summary() {
        let claim = read(SAMPLE.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((claim.files, claim.lines_covered, claim.lines_valid), (1, 3, 3));
        assert_eq!((claim.branches_covered, claim.branches_valid), (1, 2));
        assert_eq!((claim.line_basis_points, claim.branch_basis_points), (Some(10_000), Some(5000)));
        let windows = SAMPLE.replace('\n', "\r\n");
        assert_eq!(read(windows.as_bytes(), &Limits::DEFAULT).unwrap(), claim);
        assert!(is_tracefile(SAMPLE.as_bytes()));
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for bad in [
            "",
            "TN:\n",
            "DA:1,1\nend_of_record",
            "SF:a\nDA:1\nend_of_record",
            "SF:a\nDA:1,-1\nend_of_record",
            "SF:a\nDA:x,1\nend_of_record",
            "SF:a\nDA:1,1e3\nend_of_record",
            "SF:a\nBRDA:1,0,0\nend_of_record",
            "SF:a\nBRDA:1,0,0,x\nend_of_record",
            "SF:a\nSF:b\nend_of_record",
            "SF:\nend_of_record",
            "SF:a\nDA:1,1",
            "SF:a\nend_of_record\nend_of_record",
            "SF:a\nhello\nend_of_record",
            "SF:a\nXY:1\nend_of_record",
            "{}",
        ] {
            assert_eq!(code(bad), "EVIDENCE_MALFORMED", "{bad:?}");
        }
        assert_eq!(read(b"SF:\xff\nend_of_record", &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED");
        let small = Limits { evidence_bytes: 3, ..Limits::DEFAULT };
        assert_eq!(read(SAMPLE.as_bytes(), &small).unwrap_err().code, "EVIDENCE_TOO_LARGE");
    }

    #[test]
    fn a_record_that_was_cut_is_never_read() {
        let (first, _) = SAMPLE.split_once("end_of_record").unwrap();
        for end in 0..first.len() {
            assert!(read(&SAMPLE.as_bytes()[..end], &Limits::DEFAULT).is_err(), "{end}");
            assert!(!is_tracefile(&SAMPLE.as_bytes()[..end]), "{end}");
        }
    }
}
