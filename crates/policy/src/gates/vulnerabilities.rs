//! The `vulnerabilities` gate: every artifact was scanned, recently enough, and nothing that matters was found.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use lockgate_model::facts::{
    Artifact, Claim, EvidenceFact, FeedKind, Finding, Origin, Severity, VexStatement, VexStatus, Vulnerabilities,
    findings_of,
};
use lockgate_model::{Digest, SignerName, Span, UnixMillis};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact, together_by};
use super::remedy::{self, Remedy};
use super::waivers::{self, waived};
use super::{Assessment, Context, Problem, Standing, ending, feeds, is_fresh, is_from_future, signer_problems};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::share::Share;
use crate::trust::EvidenceKind;
use crate::wording::{age, counted, few, one_of, shown};

/// Demands a scan of every artifact; of each scanner the newest one counts, signed ones and plain reports each by
/// themselves, with all that were handed in together with it, and what any of them blocks is blocked.
///
/// Where several scanners looked, the same vulnerability of the same package counts once, with the worst that any of
/// them says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VulnerabilitiesGate {
    /// Which severities block. `unknown` is blocked as well wherever `high` or `medium` is.
    pub block: BTreeSet<Severity>,
    /// Whether findings of which a report says that there is no fix are let through, where none names one.
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
        let (lowered, blocked): (Vec<Judged<'_>>, Vec<Judged<'_>>) = all
            .iter()
            .filter(|finding| self.blocks(finding, now))
            .map(|finding| (finding, statements.lowered(finding, artifact)))
            .partition(|(finding, lowered)| finding.parts().all(|part| lowered.contains(part)));
        let (excepted, open): (Vec<&Judged<'_>>, Vec<&Judged<'_>>) = blocked
            .iter()
            .partition(|(finding, lowered)| self.is_waived(ctx, finding, waived, |part| lowered.contains(part)));
        let open: Vec<&Finding> = open.into_iter().map(|(finding, _)| *finding).collect();
        // Also of a scan that counts for nothing below: whoever mends one artifact mends all.
        still_open.extend(open.iter().copied().cloned());
        let moment = |(fact, scan): &Scan<'_>| scan.scanned_at.unwrap_or(fact.recorded_at);
        if let Some(scan) = scans.iter().find(|(fact, scan)| is_from_future(scan.scanned_at, fact, now)) {
            let text = format!("a scan that says it is of {}, after it was recorded", moment(scan));
            return Err(Shortfall { reason: Reason::EvidenceFromFuture, text, evidence });
        }
        if !lowered.is_empty() || excepted.iter().any(|(_, lowered)| !lowered.is_empty()) {
            evidence.extend(&statements.evidence);
        }
        if !open.is_empty() {
            let listed = few(open.iter().map(|finding| self.described(finding)), "; ");
            let uncounted = self.uncounted_vex(ctx, artifact, &open);
            let text = format!("{}: {listed}{uncounted}", counted(number(open.len()), "blocked finding"));
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
            let listed = few(blocked.iter().map(|(finding, _)| self.described(finding)), "; ");
            let text = format!("{scanners}: {} waived: {listed}{vex}", counted(number(excepted.len()), "finding"));
            return Ok(Covered { text, evidence, waived: true });
        }
        let all = counted(number(all.len()), "finding");
        Ok(Covered { text: format!("{scanners}: {all}, none blocked{vex}"), evidence, waived: false })
    }

    /// The newest scans of each scanner, by their place in the ledger; never empty. Signed and unsigned ones do not
    /// replace one another: a statement may say less than the scanner's own report.
    fn newest_scans<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Result<Vec<Scan<'a>>, Shortfall> {
        let scans = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Vulnerabilities(scan) => Some(scan),
            _ => None,
        })?;
        let (signed, plain): (Vec<Scan<'a>>, Vec<Scan<'a>>) =
            scans.into_iter().partition(|(fact, _)| matches!(fact.origin, Origin::Signed { .. }));
        let mut newest = together_by(plain, |scan| scan.scanner.as_str());
        newest.extend(together_by(signed, |scan| scan.scanner.as_str()));
        newest.sort_by(|(_, one), (_, other)| one.scanner.cmp(&other.scanner));
        Ok(newest)
    }

    /// What those say whose VEX is honoured. What lowers and comes from the future is not believed; what does not lower
    /// and does is the newest that was said when it was recorded, so that no fast clock loses a warning.
    fn statements<'a>(&self, ctx: Context<'a>, artifact: &Artifact) -> Statements<'a> {
        let mut found = Statements::default();
        if self.vex_signed_by.is_empty() {
            return found;
        }
        // By when it was recorded, the latest time that is believed.
        let mut latest: BTreeMap<UnixMillis, UnixMillis> = BTreeMap::new();
        let mut warnings = Vec::new();
        for fact in ctx.about(artifact.digest) {
            let Some(statements) = vex_of(fact) else { continue };
            if ctx.standing(fact, EvidenceKind::Vex, &self.vex_signed_by) != Standing::Counts {
                continue;
            }
            found.evidence.push(fact.evidence);
            let newest = latest.entry(fact.recorded_at).or_insert(fact.recorded_at);
            let mut warns = false;
            for one in statements {
                match (is_from_future(one.stated_at, fact, ctx.facts.time), one.status.lowers()) {
                    (true, true) => {}
                    (true, false) => warns = true,
                    (false, _) => {
                        *newest = one.stated_at.map_or(*newest, |at| at.max(*newest));
                        found.add(one, one.stated_at);
                    }
                }
            }
            if warns {
                warnings.push((fact, statements));
            }
        }
        let mut newest = UnixMillis(0);
        for at in latest.values_mut() {
            newest = newest.max(*at);
            *at = newest;
        }
        for (fact, statements) in warnings {
            let then = latest.get(&fact.recorded_at).copied().unwrap_or(fact.recorded_at);
            let is_late = |one: &&VexStatement| is_from_future(one.stated_at, fact, ctx.facts.time);
            for one in statements.iter().filter(is_late).filter(|one| !one.status.lowers()) {
                found.add(one, Some(then));
            }
        }
        found
    }

    /// Why VEX that would lower what is open does not, as the end of a sentence; empty where there is none.
    fn uncounted_vex(&self, ctx: Context<'_>, artifact: &Artifact, open: &[&Finding]) -> String {
        if self.vex_signed_by.is_empty() {
            return String::new();
        }
        let mut by_name: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
        for finding in open {
            for name in finding.names() {
                by_name.entry(name.to_ascii_uppercase()).or_default().push(*finding);
            }
        }
        let under = |name: &str| by_name.get(&name.to_ascii_uppercase());
        let mut told: BTreeSet<&str> = BTreeSet::new();
        let (mut is_unsigned, mut is_elsewhere, mut untrusted) = (false, false, Vec::new());
        for fact in ctx.about(artifact.digest) {
            let Some(statements) = vex_of(fact) else { continue };
            let standing = ctx.standing(fact, EvidenceKind::Vex, &self.vex_signed_by);
            let lowering = statements.iter().filter(|one| one.status.lowers());
            let named: Vec<&str> = lowering
                .filter_map(|one| {
                    let name = one.names().find(|name| under(name).is_some())?;
                    let mut all = one.names().filter_map(under).flatten();
                    let mut is_about = || all.any(|finding| one.is_about_product(finding, &artifact.digest));
                    (standing != Standing::Counts || !is_about()).then_some(name)
                })
                .collect();
            match standing {
                _ if named.is_empty() => {}
                Standing::Counts => is_elsewhere = true,
                Standing::Unsigned => is_unsigned = true,
                Standing::Untrusted => untrusted.push(fact),
            }
            told.extend(named);
        }
        if told.is_empty() {
            return String::new();
        }
        let ended = (!untrusted.is_empty())
            .then(|| ending::shortfall(ctx, EvidenceKind::Vex, &self.vex_signed_by, "one", &untrusted).text);
        let unsigned = is_unsigned.then(|| "one without a signature".to_owned());
        let elsewhere = is_elsewhere.then(|| "one about another product".to_owned());
        let why = [ended, unsigned, elsewhere].into_iter().flatten();
        format!("; VEX about {} does not count: {}", few(told.into_iter().map(shown), ", "), few(why, ", "))
    }

    /// Whether a severity blocks.
    pub(crate) fn is_blocked(&self, severity: Severity) -> bool {
        let worse = || self.block.contains(&Severity::High) || self.block.contains(&Severity::Medium);
        self.block.contains(&severity) || (severity == Severity::Unknown && worse())
    }

    /// The severities, worst first, that are worse than one in `block` and that `blocks` says to be let through.
    pub(crate) fn passed_over(&self, blocks: impl Fn(Severity) -> bool) -> Vec<&'static str> {
        use Severity::{Critical, High, Low, Medium, Unknown};
        let least = self.block.first().copied();
        let worse = [Critical, High, Unknown, Medium, Low].into_iter().filter(|severity| Some(*severity) > least);
        worse.filter(|severity| !blocks(*severity)).map(severity_word).collect()
    }

    fn blocks(&self, finding: &Finding, now: UnixMillis) -> bool {
        if self.is_exploited(finding) {
            return true;
        }
        let by_severity = self.is_blocked(finding.severity) && !self.is_in_leeway(finding, now);
        (by_severity || self.is_likely(finding)) && !(self.fix_available_only && finding.is_unfixed())
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

    /// Whether waivers except all of a finding, but for the parts of which `lowers` says that VEX lowers them.
    fn is_waived(
        &self,
        ctx: Context<'_>,
        finding: &Finding,
        waived: &BTreeSet<&str>,
        lowers: impl Fn(&str) -> bool,
    ) -> bool {
        let excepts = |part: &str| waived.iter().any(|id| id.eq_ignore_ascii_case(part) || finding.is_wholly_about(id));
        !self.ends_waivers(ctx, finding)
            && waived.iter().any(|id| finding.is_about(id))
            && finding.parts().all(|part| excepts(part) || lowers(part))
    }

    /// What may be done about each finding, and the command that comes after.
    fn remedies_text(&self, ctx: Context<'_>, open: &[Finding]) -> String {
        let vex_by = (!self.vex_signed_by.is_empty()).then(|| one_of(&self.vex_signed_by));
        let waiver_by = ctx.groups_that_may(Permission::Waive);
        // What can never count is no way out.
        let waivable = |finding: &Finding| (!self.ends_waivers(ctx, finding)).then_some(waiver_by.as_str());
        let findings = open.iter().map(|finding| (finding, waivable(finding)));
        let lines = remedy::lines(&self.remedies, findings, vex_by.as_deref(), ctx.facts.promotion.id);
        format!("{lines}\nthen: {}", ctx.push_next(""))
    }

    /// What to upgrade, or else to do, and the command that comes after.
    fn upgrade_text(&self, ctx: Context<'_>, open: &[Finding]) -> String {
        let findings = open.iter().map(|finding| (finding, self.ends_waivers(ctx, finding)));
        remedy::upgrades(findings, &ctx.groups_that_may(Permission::Waive), &ctx.push_next(""))
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
                (None, None) if finding.fix_unknown => text.write_str("fix unknown")?,
                (None, None) => text.write_str("no fix")?,
            }
            if finding.has_several_cves() {
                // What a waiver or VEX has to be about that does not name the advisory itself.
                write!(text, ", about {}", few(finding.parts().map(shown), " and "))?;
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

/// A finding, and which of its parts VEX lowers.
type Judged<'f> = (&'f Finding, BTreeSet<&'f str>);

/// What a statement says and when: the latest one counts, and of several that are as late the worst.
type Word = (Option<UnixMillis>, VexStatus);

/// VEX statements that are honoured, by the names of their vulnerabilities.
#[derive(Default)]
struct Statements<'a> {
    /// The evidence that they stand in.
    evidence: Vec<Digest>,
    /// Each with when it was said, and whether it names a CVE.
    all: Vec<(&'a VexStatement, Option<UnixMillis>, bool)>,
    /// The places of those with a name, in upper case.
    by_name: BTreeMap<String, Vec<usize>>,
}

impl<'a> Statements<'a> {
    fn add(&mut self, statement: &'a VexStatement, stated_at: Option<UnixMillis>) {
        let place = self.all.len();
        for name in statement.names() {
            let places = self.by_name.entry(name.to_ascii_uppercase()).or_default();
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
        self.all.push((statement, stated_at, statement.names_cves()));
    }

    /// The parts of a finding that the last word on them lowers.
    fn lowered<'f>(&self, finding: &'f Finding, artifact: &Artifact) -> BTreeSet<&'f str> {
        if self.all.is_empty() {
            return BTreeSet::new();
        }
        // The names that each statement shares with the finding.
        let mut shared: BTreeMap<usize, Vec<&'f str>> = BTreeMap::new();
        for name in finding.names() {
            for place in self.by_name.get(&name.to_ascii_uppercase()).into_iter().flatten() {
                shared.entry(*place).or_default().push(name);
            }
        }
        let mut of_all: Option<Word> = None;
        let mut of_one: BTreeMap<&'f str, Word> = BTreeMap::new();
        for (place, names) in shared {
            let Some((statement, stated_at, names_cves)) = self.all.get(place) else { continue };
            if !statement.is_about_product(finding, &artifact.digest) {
                continue;
            }
            let word = (*stated_at, statement.status);
            if finding.is_told_whole(&names, statement.status, *names_cves) {
                of_all = of_all.max(Some(word));
                continue;
            }
            for name in names {
                let last = of_one.entry(name).or_insert(word);
                *last = word.max(*last);
            }
        }
        let last = |part: &str| of_all.max(of_one.get(part).copied());
        finding.parts().filter(|part| last(part).is_some_and(|(_, status)| status.lowers())).collect()
    }
}

/// What evidence says of whether vulnerabilities matter; `None` where it is of a kind that says nothing of that.
fn vex_of(fact: &EvidenceFact) -> Option<&[VexStatement]> {
    match &fact.claim {
        Claim::Vex(vex) => Some(vex.statements.as_slice()),
        Claim::Sbom(sbom) => Some(sbom.vex.as_slice()),
        _ => None,
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
