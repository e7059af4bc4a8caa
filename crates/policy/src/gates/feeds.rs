//! Feeds in gates: whether the snapshots that a gate asks are there, and young enough. One that is missing or old says
//! nothing, and what says nothing is never clean.

use lockgate_model::Span;
use lockgate_model::facts::FeedKind;

use super::Context;
use crate::explain::Reason;
use crate::wording::age;

/// How old a snapshot may be, in days, where the gate does not say.
pub(super) const MAX_AGE_DAYS: u64 = 14;

/// The first of these feeds that cannot be asked, why, and what was found.
pub(super) fn shortfall(
    ctx: Context<'_>,
    feeds: &[FeedKind],
    max_age_days: Option<u64>,
) -> Option<(FeedKind, Reason, String)> {
    let max_age = Span::from_secs(max_age_days.unwrap_or(MAX_AGE_DAYS).saturating_mul(86_400));
    let now = ctx.facts.time;
    feeds.iter().find_map(|feed| match ctx.facts.feed(*feed) {
        None => Some((*feed, Reason::FeedMissing, format!("no snapshot of the feed {feed}"))),
        Some(known) if known.date.plus(max_age) <= now => {
            let old = age(now.since(known.date));
            let text = format!("a snapshot of the feed {feed} of {}, {old} old", known.date);
            Some((*feed, Reason::FeedStale, text))
        }
        Some(_) => None,
    })
}

/// The command that records a newer snapshot.
pub(super) fn fix(ctx: Context<'_>, feed: FeedKind) -> String {
    format!(
        "lockgate feed update --kind {feed} --file <newest snapshot>, then: lockgate why {}",
        ctx.facts.promotion.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{TIME, check, evidence, feed, finding, on_behalf, scan};
    use lockgate_model::UnixMillis;
    use lockgate_model::facts::{Claim, Facts, FeedFact, Kev, Severity};
    use std::collections::BTreeMap;

    const GATE: &str = "kind = \"vulnerabilities\"\nblock = [\"critical\"]\n";
    const DAY: u64 = 86_400_000;

    /// One low finding, `GHSA-1`, also known as `cve-2026-1`.
    fn scanned(facts: &mut Facts) {
        let mut found = finding("GHSA-1", Severity::Low);
        found.aliases = vec!["cve-2026-1".to_owned()];
        facts.evidence = vec![evidence(1, on_behalf("robot"), Claim::Vulnerabilities(scan("trivy", vec![found])))];
    }

    #[test]
    fn feeds_add_to_what_scanners_say() {
        let with = |more: &str, feed: FeedFact, outcome, reason| {
            let change = |_: &crate::PolicySet, facts: &mut Facts| {
                scanned(facts);
                facts.feeds.retain(|known| known.feed != feed.feed);
                facts.feeds.push(feed);
            };
            check(&format!("{GATE}{more}\n"), change, outcome, reason)
        };
        let entry = Kev { added_at: None, due_at: None, ransomware: false };
        let kev =
            |cve: &str| FeedFact { kev: BTreeMap::from([(cve.to_owned(), entry.clone())]), ..feed(FeedKind::Kev) };
        let result = with("kev = true", kev("CVE-2026-1"), Fail, Reason::VulnerabilitiesFound);
        assert!(result.found.contains("known to be exploited"), "{}", result.found);
        with("kev = true", kev("CVE-2026-11"), Pass, Reason::Satisfied);
        with("", kev("CVE-2026-1"), Pass, Reason::Satisfied);
        let epss = |millionths| FeedFact {
            epss_millionths: BTreeMap::from([("CVE-2026-1".to_owned(), millionths)]),
            ..feed(FeedKind::Epss)
        };
        with("epss = \"10%\"", epss(100_000), Fail, Reason::VulnerabilitiesFound);
        with("epss = \"10%\"", epss(99_999), Pass, Reason::Satisfied);
    }

    #[test]
    fn a_feed_that_is_missing_or_old_is_never_clean() {
        let with = |more: &str, asked: FeedKind, age: Option<u64>, outcome, reason| {
            let change = |_: &crate::PolicySet, facts: &mut Facts| {
                scanned(facts);
                facts.feeds.retain(|known| known.feed != asked);
                let date = age.map(|age| UnixMillis(TIME.0 - age));
                facts.feeds.extend(date.map(|date| FeedFact { date, ..feed(asked) }));
            };
            check(&format!("{GATE}{more}\n"), change, outcome, reason)
        };
        use FeedKind::{Epss, Kev};
        let missing = with("kev = true", Kev, None, Fail, Reason::FeedMissing);
        assert!(missing.fix.starts_with("lockgate feed update --kind kev "), "{}", missing.fix);
        with("kev = true", Epss, None, Pass, Reason::Satisfied);
        let missing = with("epss = \"10%\"", Epss, None, Fail, Reason::FeedMissing);
        assert!(missing.fix.starts_with("lockgate feed update --kind epss "), "{}", missing.fix);
        with("", Kev, None, Pass, Reason::Satisfied);
        with("kev = true", Kev, Some(14 * DAY - 1), Pass, Reason::Satisfied);
        with("kev = true", Kev, Some(14 * DAY), Fail, Reason::FeedStale);
        with("kev = true\nfeed_max_age_days = 2", Kev, Some(2 * DAY - 1), Pass, Reason::Satisfied);
        with("kev = true\nfeed_max_age_days = 2", Kev, Some(2 * DAY), Fail, Reason::FeedStale);
    }
}
