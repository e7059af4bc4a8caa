//! Feeds that say how urgent vulnerabilities are: CISA's KEV catalogue and FIRST's EPSS scores.
//!
//! A feed is an input like a report: it is named by the digest of its bytes and by its own date, so that a decision can
//! say which snapshot it used, and be made again with it.

use std::collections::BTreeMap;

use lockgate_model::facts::{Finding, Kev};
use lockgate_model::{Digest, Limits, UnixMillis};

use crate::cvss;
use crate::document::{Object, check_size};
use crate::error::{EvidenceError, excerpt};
use crate::stream::{self, Shape, Source};

/// A snapshot of the KEV catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KevFeed {
    /// The digest of its bytes.
    pub digest: Digest,
    /// When it was released, as it says.
    pub released_at: UnixMillis,
    /// Its version, such as `2025.08.25`.
    pub version: String,
    /// Its entries by CVE id in upper case.
    pub entries: BTreeMap<String, Kev>,
}

/// A snapshot of the EPSS scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpssFeed {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The day for which it was scored, as it says.
    pub scored_at: UnixMillis,
    /// The version of the model, such as `v2025.03.14`.
    pub model: String,
    /// The scores by CVE id in upper case, in millionths.
    pub scores: BTreeMap<String, u32>,
}

impl KevFeed {
    /// The entry of a CVE, in whatever case it is written.
    pub fn entry(&self, cve: &str) -> Option<&Kev> {
        self.entries.get(&cve.to_ascii_uppercase())
    }

    /// The first entry under one of a finding's names.
    pub fn entry_of(&self, finding: &Finding) -> Option<&Kev> {
        finding.names().find_map(|name| self.entry(name))
    }
}

impl EpssFeed {
    /// The score of a CVE in millionths, in whatever case it is written.
    pub fn score(&self, cve: &str) -> Option<u32> {
        self.scores.get(&cve.to_ascii_uppercase()).copied()
    }

    /// The highest score under any of a finding's names.
    pub fn score_of(&self, finding: &Finding) -> Option<u32> {
        finding.names().filter_map(|name| self.score(name)).max()
    }
}

static CATALOGUE: Shape = Shape::Fields(&[
    ("catalogVersion", Shape::Whole),
    ("dateReleased", Shape::Whole),
    ("count", Shape::Whole),
    ("vulnerabilities", Shape::Stream("entry", &ENTRY)),
]);

static ENTRY: Shape = Shape::Fields(&[
    ("cveID", Shape::Whole),
    ("dateAdded", Shape::Whole),
    ("dueDate", Shape::Whole),
    ("knownRansomwareCampaignUse", Shape::Whole),
]);

/// Reads the KEV catalogue in JSON (`known_exploited_vulnerabilities.json` of CISA).
///
/// # Errors
/// `FEED_MALFORMED` when it is not one, is empty, names a CVE twice, or holds another number of entries than it says;
/// `EVIDENCE_TOO_LARGE`.
pub fn kev(bytes: &[u8], limits: &Limits) -> Result<KevFeed, EvidenceError> {
    read_kev(bytes, limits).map_err(as_feed_error)
}

fn read_kev(bytes: &[u8], limits: &Limits) -> Result<KevFeed, EvidenceError> {
    let mut entries = BTreeMap::new();
    let plain = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document = stream::read(Source::Bytes(plain), &CATALOGUE, limits, &mut |item| {
        let entry = Object::part(&item.value, item.pointer)?;
        let kev = Kev {
            added_at: Some(day(&entry, "dateAdded")?.ok_or_else(|| entry.fault("has no `dateAdded`"))?),
            due_at: day(&entry, "dueDate")?,
            ransomware: entry.text("knownRansomwareCampaignUse")?.is_some_and(is_ransomware),
        };
        insert(&mut entries, entry.required_text("cveID")?, kev)
    })?;
    let root = Object::root(&document.value)?;
    let version = root.required_text("catalogVersion")?.to_owned();
    let Some(released_at) = root.moment("dateReleased")? else { return Err(root.fault("has no `dateReleased`")) };
    root.required_list("vulnerabilities")?;
    document.check_items()?;
    let stated = root.value("count")?.and_then(serde_json::Value::as_u64);
    if entries.is_empty() || stated != u64::try_from(entries.len()).ok() {
        return Err(root.fault_at("count", &format!("is not the number of its entries, which is {}", entries.len())));
    }
    Ok(KevFeed { digest: Digest::of(bytes), released_at, version, entries })
}

/// Reads a day of EPSS scores in CSV, decompressed (`epss_scores-<date>.csv` of FIRST).
///
/// # Errors
/// `FEED_MALFORMED` when it is not one, is empty, or names a CVE twice; `EVIDENCE_TOO_LARGE`.
pub fn epss(bytes: &[u8], limits: &Limits) -> Result<EpssFeed, EvidenceError> {
    read_epss(bytes, limits).map_err(as_feed_error)
}

fn read_epss(bytes: &[u8], limits: &Limits) -> Result<EpssFeed, EvidenceError> {
    check_size(bytes, limits)?;
    if bytes.starts_with(b"\x1f\x8b") {
        return Err(EvidenceError::malformed("the scores are compressed: hand in what `gunzip` makes of them"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| EvidenceError::malformed(format!("not UTF-8: {error}")))?;
    let mut lines = text.lines();
    let about = lines.next().and_then(|line| line.strip_prefix('#')).ok_or_else(|| {
        EvidenceError::malformed("the first line does not begin with `#model_version:`: hand in the CSV file of FIRST")
    })?;
    let field = |name: &str| {
        let found = about.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix(':'));
        found.ok_or_else(|| EvidenceError::malformed(format!("the first line has no `{name}`")))
    };
    let (model, date) = (field("model_version")?.to_owned(), field("score_date")?);
    // The time of day after the date is always midnight.
    let scored_at = date
        .get(..10)
        .and_then(midnight)
        .ok_or_else(|| EvidenceError::malformed(format!("`score_date` is `{}`, not a date", excerpt(date))))?;
    if lines.next() != Some("cve,epss,percentile") {
        return Err(EvidenceError::malformed("the second line is not `cve,epss,percentile`"));
    }
    let mut scores = BTreeMap::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        if scores.len() >= limits.json_items {
            return Err(EvidenceError::malformed(format!("more than {} scores", limits.json_items)));
        }
        let bad = || EvidenceError::malformed(format!("line {} is not a CVE, a score and a percentile", number + 3));
        let mut fields = line.split(',');
        let (Some(cve), Some(score), Some(_), None) = (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(bad());
        };
        let score = score.parse::<f64>().ok().and_then(cvss::millionths).ok_or_else(bad)?;
        insert(&mut scores, cve, score)?;
    }
    match scores.is_empty() {
        true => Err(EvidenceError::malformed("it holds no scores")),
        false => Ok(EpssFeed { digest: Digest::of(bytes), scored_at, model, scores }),
    }
}

fn as_feed_error(error: EvidenceError) -> EvidenceError {
    match error.code {
        "EVIDENCE_TOO_LARGE" => error,
        _ => EvidenceError::new("FEED_MALFORMED", error.message),
    }
}

fn insert<T>(into: &mut BTreeMap<String, T>, cve: &str, value: T) -> Result<(), EvidenceError> {
    let id = cve.trim().to_ascii_uppercase();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_cve = id
        .strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| year.len() == 4 && digits(year) && digits(number));
    if !is_cve {
        return Err(EvidenceError::malformed(format!("`{}` is no CVE id", excerpt(cve))));
    }
    match into.insert(id, value) {
        None => Ok(()),
        Some(_) => Err(EvidenceError::malformed(format!("`{}` stands in it twice", excerpt(cve)))),
    }
}

/// A date such as `2025-08-25`, at midnight UTC; an empty text is none.
pub(crate) fn day(entry: &Object<'_>, key: &'static str) -> Result<Option<UnixMillis>, EvidenceError> {
    let Some(text) = entry.text_or_empty(key)? else { return Ok(None) };
    // Some programs write the date with the time of midnight.
    match text.get(..10).and_then(midnight) {
        Some(moment) => Ok(Some(moment)),
        None => Err(entry.fault_at(key, &format!("is `{}`, not a date", excerpt(text)))),
    }
}

/// Whether `knownRansomwareCampaignUse` says so: it is `Known` or `Unknown`.
pub(crate) fn is_ransomware(word: &str) -> bool {
    word.trim().eq_ignore_ascii_case("known")
}

fn midnight(date: &str) -> Option<UnixMillis> {
    format!("{date}T00:00:00Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEV: &str = r#"{"title":"t","catalogVersion":"2026.11.20","dateReleased":"2026-11-20T17:04:19.9796Z","count":2,"vulnerabilities":[
        {"cveID":"CVE-2026-1","dateAdded":"2026-11-01","dueDate":"2026-11-22","knownRansomwareCampaignUse":"Known"},
        {"cveID":"CVE-2026-22222","dateAdded":"2026-11-02","knownRansomwareCampaignUse":"Unknown"}]}"#;
    const EPSS: &str = "#model_version:v2025.03.14,score_date:2026-11-20T00:00:00+0000\ncve,epss,percentile\nCVE-1999-0001,0.01025,0.8\nCVE-2026-1,1.0,1.0\n";

    #[test]
    fn kev_entries_have_dates() {
        let feed = kev(KEV.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((feed.version.as_str(), feed.digest), ("2026.11.20", Digest::of(KEV.as_bytes())));
        assert_eq!(feed.released_at.rfc3339_secs(), "2026-11-20T17:04:19Z");
        let first = &feed.entries["CVE-2026-1"];
        assert_eq!(first.added_at, Some("2026-11-01T00:00:00Z".parse().unwrap()));
        assert_eq!(first.due_at, Some("2026-11-22T00:00:00Z".parse().unwrap()));
        assert!(first.ransomware && !feed.entries["CVE-2026-22222"].ransomware);
        let advisory = |aliases: &[&str]| Finding {
            id: "GHSA-1".to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..Finding::default()
        };
        assert_eq!(feed.entry_of(&advisory(&["CVE-2026-9", "cve-2026-1"])), Some(first));
        assert_eq!(feed.entry_of(&advisory(&["CVE-2026-9"])), None);
    }

    #[test]
    fn a_catalogue_that_is_cut_or_padded_is_refused() {
        let check = |from: &str, to: &str| {
            assert!(KEV.contains(from), "{from}");
            let changed = KEV.replacen(from, to, 1);
            assert_eq!(kev(changed.as_bytes(), &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED", "{to}");
        };
        check("\"count\":2", "\"count\":3");
        check("\"count\":2", "\"count\":\"2\"");
        check("\"count\":2,", "");
        check("CVE-2026-22222", "cve-2026-1");
        check("CVE-2026-22222", "GHSA-1");
        check("2026-11-01", "soon");
        check("\"dateAdded\":\"2026-11-02\",", "");
        check("\"dateReleased\"", "\"date\"");
        check("\"vulnerabilities\"", "\"Vulnerabilities\"");
        check("\"cveID\":\"CVE-2026-1\"", "\"cveID\":null");
        for end in 0..KEV.len() {
            assert!(kev(&KEV.as_bytes()[..end], &Limits::DEFAULT).is_err(), "{end}");
        }
        let empty = r#"{"catalogVersion":"1","dateReleased":"2026-11-20T17:04:19Z","count":0,"vulnerabilities":[]}"#;
        assert_eq!(kev(empty.as_bytes(), &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED");
    }

    #[test]
    fn epss_scores_are_millionths() {
        let feed = epss(EPSS.as_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!((feed.model.as_str(), feed.scores.len()), ("v2025.03.14", 2));
        assert_eq!(feed.scored_at, "2026-11-20T00:00:00Z".parse().unwrap());
        assert_eq!((feed.scores["CVE-1999-0001"], feed.scores["CVE-2026-1"]), (10_250, 1_000_000));
        let aliases = vec!["cve-2026-1".to_owned(), "CVE-2026-9".to_owned()];
        let finding = Finding { id: "CVE-1999-0001".to_owned(), aliases, ..Finding::default() };
        assert_eq!(feed.score_of(&finding), Some(1_000_000));
        assert_eq!(feed.score("CVE-2026-9"), None);
        let check = |from: &str, to: &str| {
            assert!(EPSS.contains(from), "{from}");
            let changed = EPSS.replacen(from, to, 1);
            assert_eq!(epss(changed.as_bytes(), &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED", "{to}");
        };
        check("#model_version", "model_version");
        check("score_date:2026-11-20", "score_date:20.11.2026");
        check("cve,epss", "cve,score");
        check("0.01025", "1.01025");
        check("0.01025", "NaN");
        check("0.01025", "");
        check("CVE-1999-0001", "CVE-2026-1");
        check(",0.8", "");
        check(",0.8", ",0.8,1");
        assert_eq!(epss(b"\x1f\x8b\x08", &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED");
        assert_eq!(epss(&EPSS.as_bytes()[..83], &Limits::DEFAULT).unwrap_err().code, "FEED_MALFORMED");
    }
}
