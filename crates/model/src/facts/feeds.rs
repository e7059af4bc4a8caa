//! Feeds: what the world knows of vulnerabilities, as the ledger recorded it, cut down to what one decision asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Claim, EvidenceFact, Facts, Finding, Kev, WaiverFact};
use crate::{Digest, EntryIndex, UnixMillis};

/// Which feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedKind {
    /// CISA's catalogue of known exploited vulnerabilities.
    Kev,
    /// FIRST's scores of how likely a vulnerability is to be exploited.
    Epss,
}

/// Why a text names no feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a feed: use kev or epss")]
pub struct FeedKindError(String);

impl FeedKind {
    /// Every feed.
    pub const ALL: &'static [Self] = &[Self::Kev, Self::Epss];

    /// The word that people and the ledger use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kev => "kev",
            Self::Epss => "epss",
        }
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FeedKind {
    type Err = FeedKindError;
    fn from_str(text: &str) -> Result<Self, FeedKindError> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| FeedKindError(text.chars().take(64).collect()))
    }
}

/// The newest snapshot of one feed, with its rows about the vulnerabilities that these facts name.
///
/// The rows are recomputed from the snapshot's own bytes wherever a decision is made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedFact {
    /// Which feed.
    pub feed: FeedKind,
    /// The digest of the snapshot's bytes.
    pub digest: Digest,
    /// Where the ledger recorded it.
    pub index: EntryIndex,
    /// The snapshot's own date.
    pub date: UnixMillis,
    /// Entries of the KEV catalogue, by CVE id in upper case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kev: BTreeMap<String, Kev>,
    /// EPSS scores in millionths, by CVE id in upper case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub epss_millionths: BTreeMap<String, u32>,
}

impl FeedFact {
    /// The entry of the KEV catalogue about a vulnerability that goes by this name.
    pub fn kev_of(&self, name: &str) -> Option<&Kev> {
        self.kev.get(&name.to_ascii_uppercase())
    }

    /// The EPSS score of a vulnerability that goes by this name, in millionths.
    pub fn epss_of(&self, name: &str) -> Option<u32> {
        self.epss_millionths.get(&name.to_ascii_uppercase()).copied()
    }
}

impl Facts {
    /// The newest snapshot of a feed, where these facts have one.
    pub fn feed(&self, kind: FeedKind) -> Option<&FeedFact> {
        self.feeds.iter().find(|fact| fact.feed == kind)
    }

    /// A finding with what the feeds say of it, under any of its names, besides what its report says.
    ///
    /// A report that calls it exploited is believed as before; a feed adds to that, and never takes away. Of scores the
    /// highest counts.
    #[must_use]
    pub fn with_feeds(&self, mut finding: Finding) -> Finding {
        if let Some(feed) = self.feed(FeedKind::Kev) {
            let told = finding.names().find_map(|name| feed.kev_of(name)).cloned();
            finding.kev = finding.kev.or(told);
        }
        if let Some(feed) = self.feed(FeedKind::Epss) {
            let told = finding.names().filter_map(|name| feed.epss_of(name)).max();
            finding.epss_millionths = finding.epss_millionths.max(told);
        }
        finding
    }
}

/// The vulnerabilities that feeds are asked about: every CVE id, in upper case, that a finding of this evidence or a
/// waiver names.
pub fn feed_names(evidence: &[EvidenceFact], waivers: &[WaiverFact]) -> BTreeSet<String> {
    let scans = evidence.iter().filter_map(|fact| match &fact.claim {
        Claim::Vulnerabilities(scan) => Some(scan),
        _ => None,
    });
    let found = scans.flat_map(|scan| &scan.findings).flat_map(Finding::names);
    let waived = waivers.iter().filter_map(|waiver| waiver.finding.as_deref());
    let names = found.chain(waived).map(str::to_ascii_uppercase);
    names.filter(|name| name.starts_with("CVE-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(kind: FeedKind) -> FeedFact {
        FeedFact {
            feed: kind,
            digest: Digest::of(b"feed"),
            index: EntryIndex(3),
            date: UnixMillis(0),
            kev: BTreeMap::from([("CVE-2026-1".to_owned(), Kev { added_at: None, due_at: None, ransomware: true })]),
            epss_millionths: BTreeMap::from([("CVE-2026-1".to_owned(), 20_000), ("CVE-2026-2".to_owned(), 30_000)]),
        }
    }

    #[test]
    fn words_round_trip_and_agree_with_serde() {
        for kind in FeedKind::ALL {
            assert_eq!(kind.as_str().parse::<FeedKind>().unwrap(), *kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!("KEV".parse::<FeedKind>().unwrap_err().to_string().contains("`KEV`"));
    }

    #[test]
    fn rows_are_found_by_any_case() {
        let feed = feed(FeedKind::Kev);
        assert!(feed.kev_of("cve-2026-1").is_some() && feed.kev_of("CVE-2026-10").is_none());
        assert_eq!((feed.epss_of("cve-2026-2"), feed.epss_of("GHSA-1")), (Some(30_000), None));
    }

    #[test]
    fn empty_rows_take_no_room() {
        let bare = FeedFact { kev: BTreeMap::new(), epss_millionths: BTreeMap::new(), ..feed(FeedKind::Epss) };
        let text = serde_json::to_string(&bare).unwrap();
        assert!(!text.contains("\"kev\"") && !text.contains("millionths"), "{text}");
        assert_eq!(serde_json::from_str::<FeedFact>(&text).unwrap(), bare);
    }
}
