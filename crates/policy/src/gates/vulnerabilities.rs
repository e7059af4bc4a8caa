//! The `vulnerabilities` gate: every artifact was scanned, recently enough, and nothing that matters was found.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use lockgate_model::facts::{
    Artifact, Claim, EvidenceFact, FeedKind, Finding, Severity, VexStatement, Vulnerabilities, findings_of, vex_for,
};
use lockgate_model::{Digest, SignerName, Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact, together_by};
use super::remedy::{self, Remedy};
use super::waivers::{self, waived};
use super::{Assessment, Context, Problem, Standing, feeds, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::share::Share;
use crate::trust::EvidenceKind;
use crate::wording::{age, counted, few, one_of, shown};

/// Demands a scan of every artifact; of each scanner the newest one counts, with all that were handed in together with it,
/// and what any of them blocks is blocked.
///
/// Where several scanners looked, the same vulnerability of the same package counts once, with the worst that any of
/// them says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VulnerabilitiesGate {
    /// Which severities block. `unknown` is blocked as well wherever `high` or `medium` is.
    pub block: BTreeSet<Severity>,
    /// Whether findings without a fixed version are let through.
    #[serde(default)]
    pub fix_available_only: bool,
    /// For how long after its disclosure a finding of some severity is let through; none without a known disclosure.
    #[serde(default)]
    pub leeway: BTreeMap<Severity, Span>,
    /// Whether a finding that is known to be exploited (KEV) blocks at once, whatever its severity, fix and leeway.
    #[serde(default)]
    pub kev: bool,
    /// From which probability of being exploited on (EPSS) a finding blocks, whatever its severity and leeway.
    #[serde(default)]
    pub epss: Option<Share>,
    /// How old the snapshots of the feeds behind `kev` and `epss` may be, in days; 14 where it is left out.
    #[serde(default)]
    pub feed_max_age_days: Option<u64>,
    /// Whose VEX statements are honoured; nobody's where it is left out, and never what a report says of itself.
    #[serde(default)]
    pub vex_signed_by: Vec<SignerName>,
    /// Whether a waiver ends once its finding is known to be exploited (KEV), also where `[waivers]` does not say so.
    #[serde(default)]
    pub waivers_end_with_kev: bool,
    /// What may be done about a finding; said for each finding where something is listed.
    #[serde(default)]
    pub remedies: BTreeSet<Remedy>,
    /// How old the newest scan may be, by its own time or else by when it was recorded.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whose signature it needs; empty accepts unsigned reports too.
    #[serde(default)]
    pub signed_by: Vec<SignerName>,
}

type Scan<'a> = (&'a EvidenceFact, &'a Vulnerabilities);

impl VulnerabilitiesGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Vulnerabilities, policy);
        problems.extend(signer_problems(&self.vex_signed_by, EvidenceKind::Vex, policy));
        if self.block.is_empty() {
            problems
                .push(Problem::new("`block` is empty: name at least one severity, such as [\"critical\", \"high\"]"));
        }
        for severity in self.leeway.keys().filter(|severity| !self.is_blocked(**severity)) {
            let word = severity_word(*severity);
            problems.push(Problem::new(format!(
                "`leeway` names {word}, which does not block: add it to `block` or remove it"
            )));
        }
        if self.max_age.is_some_and(Span::is_zero) {
            problems.push(Problem::new("`max_age` is zero: no scan would ever be young enough"));
        }
        if self.epss.is_some_and(|share| share == Share::NONE || share.is_more_than_all()) {
            problems.push(Problem::new("`epss` is not between 0.01% and 100%"));
        }
        if self.feed_max_age_days == Some(0) {
            problems.push(Problem::new("`feed_max_age_days` is zero: no snapshot would ever be young enough"));
        }
        if self.feed_max_age_days.is_some() && self.feeds(false).is_empty() {
            problems.push(Problem::new("`feed_max_age_days` goes with `kev`, `epss` or `waivers_end_with_kev`"));
        }
        if self.remedies.contains(&Remedy::Vex) && self.vex_signed_by.is_empty() {
            problems.push(Problem::new("`remedies` names vex, and `vex_signed_by` names nobody whose VEX is honoured"));
        }
        problems
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Vulnerabilities,
            signed_by: &self.signed_by,
            noun: "vulnerability scan",
            missing: Reason::ScanMissing,
        }
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        // The findings of all artifacts that block, and that nothing excepts.
        let open = RefCell::new(Vec::new());
        let result =
            every_artifact(ctx, |artifact| self.check(ctx, artifact, &waived(ctx, artifact), &mut open.borrow_mut()));
        let open = open.into_inner();
        let of_feeds = result.as_ref().is_err_and(|short| is_about_feeds(short.reason));
        let who = if of_feeds { Permission::Feeds } else { Permission::Attest };
        Assessment::of_coverage(
            result,
            self.needed(),
            || ctx.groups_that_may(who),
            |reason| match reason {
                Reason::VulnerabilitiesFound | Reason::WaiverEndedKev | Reason::WaiverTooLong
                    if self.remedies.is_empty() =>
                {
                    self.upgrade_text(ctx, &open)
                }
                Reason::VulnerabilitiesFound | Reason::WaiverEndedKev | Reason::WaiverTooLong => {
                    self.remedies_text(ctx, &open)
                }
                reason if is_about_feeds(reason) => {
                    // Where the demands themselves have what they ask, a waiver asked for the catalogue.
                    let short = feeds::shortfall(ctx, &self.demanded_feeds(ctx, false), self.feed_max_age_days);
                    feeds::fix(ctx, short.map_or(FeedKind::Kev, |(feed, ..)| feed))
                }
                Reason::ScanStale => self.demand().anew(ctx, "scan it again", "--scan trivy.json"),
                _ => self.demand().fix(ctx, reason, "--scan trivy.json"),
            },
        )
    }

    /// The feeds that this gate may ask; `waivers_end` says that the policy set ends waivers by the KEV catalogue.
    pub(super) fn feeds(&self, waivers_end: bool) -> Vec<FeedKind> {
        let kev = self.kev || self.waivers_end_with_kev || waivers_end;
        let asked = [(kev, FeedKind::Kev), (self.epss.is_some(), FeedKind::Epss)];
        asked.into_iter().filter(|(asks, _)| *asks).map(|(_, feed)| feed).collect()
    }

    /// The feeds without which nothing can be said: those of the demands, and KEV for waivers that it may have ended.
    fn demanded_feeds(&self, ctx: Context<'_>, waivers_used: bool) -> Vec<FeedKind> {
        let mut feeds = self.feeds(waivers::end_with_kev(ctx));
        feeds.retain(|feed| *feed == FeedKind::Epss || self.kev || waivers_used);
        feeds
    }

    fn needed(&self) -> String {
        let severities: Vec<&str> = self.block.iter().rev().map(|severity| severity_word(*severity)).collect();
        let fixable = if self.fix_available_only { " that has a fix" } else { "" };
        let young = self.max_age.map(|age| format!(", scanned not longer than {age} ago")).unwrap_or_default();
        let leeway: Vec<String> = self
            .leeway
            .iter()
            .rev()
            .filter(|(_, span)| !span.is_zero())
            .map(|(severity, span)| format!(", {} after {span}", severity_word(*severity)))
            .collect();
        let kev = if self.kev { ", none that is known to be exploited" } else { "" };
        let feeds = self.feed_max_age_days.map(|days| format!(" (feeds not older than {days}d)")).unwrap_or_default();
        let epss = self.epss.map(|share| format!(", none with EPSS of {share} or more")).unwrap_or_default();
        let vex = match self.vex_signed_by.as_slice() {
            [] => String::new(),
            names => format!(", but for what VEX by {} says does not matter", one_of(names)),
        };
        let by = self.demand().signed_by_text();
        let severities = severities.join(" or ");
        format!("no finding of {severities}{fixable}{}{kev}{epss}{feeds}{vex}{young}{by}", leeway.concat())
    }

    /// Checks one artifact; what is open of it is added to what is open of others.
    fn check(
        &self,
        ctx: Context<'_>,
        artifact: &Artifact,
        waived: &BTreeSet<&str>,
        still_open: &mut Vec<Finding>,
    ) -> Result<Covered, Shortfall> {
        let now = ctx.facts.time;
        let newest = self.newest_scans(ctx, artifact)?;
        let scans = newest.as_slice();
        let statements = self.statements(ctx, artifact);
        let mut evidence: Vec<Digest> = scans.iter().map(|(fact, _)| fact.evidence).collect();
        let all = findings(ctx, scans);
        let (lowered, blocked): (Vec<&Finding>, Vec<&Finding>) = all
            .iter()
            .filter(|finding| self.blocks(finding, now))
            .partition(|finding| statements.lower(finding, artifact));
        let (excepted, open): (Vec<&Finding>, Vec<&Finding>) =
            blocked.iter().copied().partition(|finding| self.is_waived(ctx, finding, waived));
        // Also of a scan that counts for nothing below: whoever mends one artifact mends all.
        still_open.extend(open.iter().copied().cloned());
        let moment = |(fact, scan): &Scan<'_>| scan.scanned_at.unwrap_or(fact.recorded_at);
        if let Some(scan) = scans.iter().find(|(fact, scan)| is_from_future(scan.scanned_at, fact, now)) {
            let text = format!("a scan that says it is of {}, after it was recorded", moment(scan));
            return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
        }
        if !lowered.is_empty() {
            evidence.extend(statements.evidence());
        }
        if !open.is_empty() {
            let listed = few(open.iter().map(|finding| self.described(finding)), "; ");
            let text = format!("{}: {listed}", counted(number(open.len()), "blocked finding"));
            let ended = |finding: &&Finding| waivers::ended(ctx, artifact, finding, self.ends_waivers(ctx, finding));
            let reason = open.iter().find_map(ended).unwrap_or(Reason::VulnerabilitiesFound);
            return Err(Shortfall { reason, text, evidence });
        }
        let asked = self.demanded_feeds(ctx, !excepted.is_empty());
        if let Some((_, reason, text)) = feeds::shortfall(ctx, &asked, self.feed_max_age_days) {
            return Err(Shortfall { reason, text, evidence });
        }
        if !scans.iter().any(|(fact, scan)| is_fresh(scan.scanned_at, fact, self.max_age, now)) {
            let latest = scans.iter().map(moment).max().unwrap_or(now);
            let text = format!("a scan of {latest}, {} old", age(now.since(latest)));
            return Err(Shortfall { reason: Reason::ScanStale, text, evidence });
        }
        let scanners: BTreeSet<&str> = scans.iter().map(|(_, scan)| scan.scanner.as_str()).collect();
        let scanners = few(scanners.into_iter().map(shown), ", ");
        let vex = match lowered.is_empty() {
            true => String::new(),
            false => format!(", {} that VEX says does not matter", counted(number(lowered.len()), "finding")),
        };
        if !excepted.is_empty() {
            let listed = few(blocked.iter().map(|finding| self.described(finding)), "; ");
            let text = format!("{scanners}: {} waived: {listed}{vex}", counted(number(excepted.len()), "finding"));
            return Ok(Covered { text, evidence, waived: true });
        }
        let all = counted(number(all.len()), "finding");
        Ok(Covered { text: format!("{scanners}: {all}, none blocked{vex}"), evidence, waived: false })
    }

    /// The newest scans of each scanner, by their place in the ledger; never empty.
    fn newest_scans<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Result<Vec<Scan<'a>>, Shortfall> {
        let scans = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Vulnerabilities(scan) => Some(scan),
            _ => None,
        })?;
        Ok(together_by(scans, |scan| scan.scanner.as_str()))
    }

    /// What those say whose VEX is honoured.
    fn statements<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Statements<'a> {
        let mut found = Statements { facts: Vec::new() };
        if self.vex_signed_by.is_empty() {
            return found;
        }
        for fact in ctx.about(artifact.digest) {
            let statements = match &fact.claim {
                Claim::Vex(vex) => vex.statements.as_slice(),
                Claim::Sbom(sbom) => sbom.vex.as_slice(),
                _ => continue,
            };
            if ctx.standing(fact, EvidenceKind::Vex, &self.vex_signed_by) == Standing::Counts {
                found.facts.push((fact, statements));
            }
        }
        found
    }

    fn is_blocked(&self, severity: Severity) -> bool {
        let worse = || self.block.contains(&Severity::High) || self.block.contains(&Severity::Medium);
        self.block.contains(&severity) || (severity == Severity::Unknown && worse())
    }

    fn blocks(&self, finding: &Finding, now: UnixMillis) -> bool {
        if self.is_exploited(finding) {
            return true;
        }
        let by_severity = self.is_blocked(finding.severity) && !self.is_in_leeway(finding, now);
        (by_severity || self.is_likely(finding)) && !(self.fix_available_only && finding.fixes().next().is_none())
    }

    fn is_exploited(&self, finding: &Finding) -> bool {
        self.kev && finding.kev.is_some()
    }

    fn is_likely(&self, finding: &Finding) -> bool {
        match (self.epss, finding.epss_millionths) {
            (Some(share), Some(millionths)) => u64::from(millionths) >= share.millionths(),
            _ => false,
        }
    }

    /// A disclosure that lies in the future is no known disclosure.
    fn is_in_leeway(&self, finding: &Finding, now: UnixMillis) -> bool {
        match (finding.disclosed_at, self.leeway.get(&finding.severity)) {
            (Some(disclosed), Some(leeway)) => disclosed <= now && now < disclosed.plus(*leeway),
            _ => false,
        }
    }

    /// Whether waivers of this finding are over because it is known to be exploited.
    fn ends_waivers(&self, ctx: Context<'_>, finding: &Finding) -> bool {
        (self.waivers_end_with_kev || waivers::end_with_kev(ctx)) && finding.kev.is_some()
    }

    fn is_waived(&self, ctx: Context<'_>, finding: &Finding, waived: &BTreeSet<&str>) -> bool {
        !self.ends_waivers(ctx, finding) && waived.iter().any(|id| finding.is_about(id))
    }

    /// A line about each finding, and the command that comes after.
    fn remedies_text(&self, ctx: Context<'_>, open: &[Finding]) -> String {
        let vex_by = (!self.vex_signed_by.is_empty()).then(|| one_of(&self.vex_signed_by));
        let waiver_by = ctx.groups_that_may(Permission::Waive);
        let lines = open.iter().map(|finding| {
            // What can never count is no way out.
            let waiver_by = (!self.ends_waivers(ctx, finding)).then_some(waiver_by.as_str());
            remedy::line(&self.remedies, finding, vex_by.as_deref(), waiver_by)
        });
        format!("{}\nthen: {}", few(lines, "\n"), ctx.push_next(""))
    }

    /// What to upgrade: the first few packages with a newer fixed version. Where there is none, in which versions they are
    /// fixed, or a waiver of what can be waived.
    fn upgrade_text(&self, ctx: Context<'_>, open: &[Finding]) -> String {
        let fixable = open.iter().filter_map(|finding| Some((finding.package.as_str(), remedy::upgrade_to(finding)?)));
        let upgrades: BTreeSet<(&str, &str)> = fixable.collect();
        if !upgrades.is_empty() {
            let told = upgrades.into_iter().map(|(package, fixed)| {
                fmt::from_fn(move |text| write!(text, "{} to {}", shown(package), shown(fixed)))
            });
            return format!("upgrade {}, then: {}", few(told, ", "), ctx.push_next(""));
        }
        let fixed = open.iter().filter(|finding| finding.fixes().next().is_some());
        let fixed: BTreeSet<String> =
            fixed.map(|finding| format!("{} is {}", shown(&finding.package), remedy::fixed_in(finding))).collect();
        if !fixed.is_empty() {
            return format!("take a version without it: {}, then: {}", few(fixed, "; "), ctx.push_next(""));
        }
        let ended = open.iter().filter(|finding| self.ends_waivers(ctx, finding)).count();
        let who = ctx.groups_that_may(Permission::Waive);
        match (ended, ended == open.len()) {
            (0, _) => format!("no fix is known: replace the package, or ask {who} for a waiver of each finding"),
            (_, true) => format!("no fix is known: replace the package, then: {}", ctx.push_next("")),
            (_, false) => format!(
                "no fix is known: replace the package, or ask {who} for a waiver of each finding that is not known to be \
                 exploited"
            ),
        }
    }

    /// A finding in a list, which is not put into words before it is shown.
    fn described<'a>(&'a self, finding: &'a Finding) -> impl Display + 'a {
        fmt::from_fn(move |text| {
            let (id, package) = (shown(&finding.id), shown(&finding.package));
            let (version, severity) = (shown(&finding.version), severity_word(finding.severity));
            write!(text, "{id} in {package} {version} ({severity}, ")?;
            match (remedy::upgrade_to(finding), finding.fixes().next()) {
                (Some(fixed), _) => write!(text, "fixed in {}", shown(fixed))?,
                (None, Some(_)) => text.write_str(&remedy::fixed_in(finding))?,
                (None, None) => text.write_str("no fix")?,
            }
            if self.is_exploited(finding) {
                text.write_str(", known to be exploited")?;
            }
            if let Some(millionths) = finding.epss_millionths.filter(|_| self.is_likely(finding)) {
                write!(text, ", EPSS {}", Share::from_basis_points(u64::from(millionths / 100)))?;
            }
            if finding.sources.len() > 1 {
                let scanners: BTreeSet<&str> = finding.sources.iter().map(|source| source.scanner.as_str()).collect();
                write!(text, ", by {}", few(scanners.into_iter().map(shown), " and "))?;
            }
            text.write_str(")")
        })
    }
}

/// VEX statements that are honoured, with the evidence that they stand in.
struct Statements<'a> {
    facts: Vec<(&'a EvidenceFact, &'a [VexStatement])>,
}

impl Statements<'_> {
    fn lower(&self, finding: &Finding, artifact: &Artifact) -> bool {
        let all = self.facts.iter().flat_map(|(_, statements)| statements.iter());
        vex_for(all, finding, &artifact.digest).is_some_and(|statement| statement.status.lowers())
    }

    fn evidence(&self) -> impl Iterator<Item = Digest> + '_ {
        self.facts.iter().map(|(fact, _)| fact.evidence)
    }
}

/// The findings of one scan as it tells them, or of several, each told once; with what the feeds say of them.
fn findings<'a>(ctx: Context<'_>, scans: &[Scan<'a>]) -> Cow<'a, [Finding]> {
    let told = match scans {
        [(_, scan)] => Cow::Borrowed(scan.findings.as_slice()),
        scans => Cow::Owned(findings_of(scans.iter().map(|(fact, _)| *fact))),
    };
    match ctx.facts.feeds.is_empty() {
        true => told,
        false => Cow::Owned(told.iter().map(|finding| ctx.facts.with_feeds(finding.clone())).collect()),
    }
}

fn is_about_feeds(reason: Reason) -> bool {
    matches!(reason, Reason::FeedMissing | Reason::FeedStale)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Negligible => "negligible",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::Unknown => "unknown",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
#[path = "vulnerabilities_tests.rs"]
mod tests;
