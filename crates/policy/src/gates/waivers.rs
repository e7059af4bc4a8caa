//! Waivers: what somebody has excepted from a gate, and may. The only place where waivers are honoured.

use std::collections::BTreeSet;

use lockgate_model::facts::{Artifact, FeedKind, Finding, SubjectKind, WaiverFact};

use super::Context;
use crate::explain::Reason;
use crate::permission::Permission;
use crate::waivers::lasts_longer;

/// What is excepted from this gate for one artifact, one thing each: a finding, a licence, a difference. Never a whole
/// gate.
pub(super) fn waived<'a>(ctx: Context<'a>, artifact: &Artifact) -> BTreeSet<&'a str> {
    let counted = in_force(ctx, artifact).filter(|waiver| !is_too_long(waiver, ctx) && !is_ended_by_kev(waiver, ctx));
    counted.filter_map(|waiver| waiver.finding.as_deref()).collect()
}

/// Whether the policy set ends waivers once their vulnerability is known to be exploited.
pub(super) fn end_with_kev(ctx: Context<'_>) -> bool {
    ctx.policy.settings().waivers.as_ref().is_some_and(|rules| rules.end_on_kev)
}

/// Why a waiver that somebody granted for this very finding does not count, if there is one: what a gate says instead
/// of that there is none.
///
/// `exploited` says that the gate, or the policy set, ends waivers of such a finding.
pub(super) fn ended(ctx: Context<'_>, artifact: &Artifact, finding: &Finding, exploited: bool) -> Option<Reason> {
    let mut about =
        in_force(ctx, artifact).filter(|waiver| waiver.finding.as_deref().is_some_and(|id| finding.is_about(id)));
    about.find_map(|waiver| match (exploited || is_ended_by_kev(waiver, ctx), is_too_long(waiver, ctx)) {
        (true, _) => Some(Reason::WaiverEndedKev),
        (false, true) => Some(Reason::WaiverTooLong),
        (false, false) => None,
    })
}

/// The waivers of this gate whose scope covers the artifact, that have not expired, and that one person asked for and
/// another granted, who may.
fn in_force<'a>(ctx: Context<'a>, artifact: &Artifact) -> impl Iterator<Item = &'a WaiverFact> {
    let digest = artifact.digest;
    ctx.facts.waivers.iter().filter(move |waiver| {
        waiver.gate == ctx.gate.name
            && waiver.release.as_ref().is_none_or(|release| *release == ctx.facts.release.name)
            && waiver.artifact.is_none_or(|artifact| artifact == digest)
            && is_valid(waiver, ctx)
    })
}

/// A waiver counts until, and not at, its expiry, and when another person than the one who asked granted it, who may.
fn is_valid(waiver: &WaiverFact, ctx: Context<'_>) -> bool {
    let may_grant = ctx.facts.people.get(&waiver.granted_by).is_some_and(|person| {
        person.kind == SubjectKind::Person && ctx.may(&waiver.granted_by, &person.groups, Permission::Waive)
    });
    let aliases = ctx.policy.aliases();
    let two_people = aliases.person(&waiver.granted_by) != aliases.person(&waiver.asked_by);
    let lasts = ctx.facts.time < waiver.expires_at || lockgate_failpoint::planted("expired-waiver-honoured");
    may_grant && two_people && lasts
}

/// Whether it lasts longer than the policy set lets waivers last now, whatever was so when it was granted.
fn is_too_long(waiver: &WaiverFact, ctx: Context<'_>) -> bool {
    match (&ctx.policy.settings().waivers, waiver.granted_at) {
        (Some(rules), Some(granted_at)) => lasts_longer(rules.max_days, granted_at, waiver.expires_at),
        // Who gathers the facts says when a waiver was granted wherever the policy set has rules about them.
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether the newest snapshot of the KEV catalogue lists what it is for, where the policy set ends waivers by that.
fn is_ended_by_kev(waiver: &WaiverFact, ctx: Context<'_>) -> bool {
    let listed = |id: &str| ctx.facts.feed(FeedKind::Kev).is_some_and(|feed| feed.kev_of(id).is_some());
    end_with_kev(ctx) && waiver.finding.as_deref().is_some_and(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::{self, Fail, Waived};
    use crate::decision::GateResult;
    use crate::sample::{TIME, evidence, facts, feed, files, finding, gate, on_behalf, scan, waiver};
    use crate::{PolicySet, decide};
    use lockgate_model::facts::{Claim, Facts, FeedFact, Kev, Severity};
    use lockgate_model::{Digest, UnixMillis};
    use std::collections::BTreeMap;

    const DAY: u64 = 86_400_000;

    /// Decides on one critical finding, `GHSA-1`, also known as `CVE-2026-1`, with a waiver of it granted just now.
    fn decided(rules: &str, change: impl FnOnce(&mut Facts)) -> GateResult {
        let mut files = files(&gate("kind = \"vulnerabilities\"\nblock = [\"critical\"]\n"));
        files.entry("policy.toml".to_owned()).or_default().push_str(rules);
        let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let mut facts = facts();
        let mut found = finding("GHSA-1", Severity::Critical);
        found.aliases = vec!["CVE-2026-1".to_owned()];
        facts.evidence = vec![evidence(1, on_behalf("robot"), Claim::Vulnerabilities(scan("trivy", vec![found])))];
        facts.waivers = vec![WaiverFact { granted_at: Some(TIME), ..waiver("g", "GHSA-1") }];
        change(&mut facts);
        decide(&policy, &facts).gates.remove(0)
    }

    #[track_caller]
    fn check(rules: &str, change: impl FnOnce(&mut Facts), outcome: GateOutcome, reason: Reason) {
        let result = decided(rules, change);
        assert_eq!((result.outcome, result.reason.as_str()), (outcome, reason.as_str()), "{rules}\n{result:#?}");
    }

    #[test]
    fn a_waiver_is_for_its_release_and_its_artifact() {
        let found = Reason::VulnerabilitiesFound;
        let release = |name: &str| Some(name.parse().unwrap());
        check("", |facts| facts.waivers[0].release = release("shop/web@1.4.2"), Waived, Reason::Waived);
        check("", |facts| facts.waivers[0].release = release("shop/web@1.4.3"), Fail, found);
        check("", |facts| facts.waivers[0].artifact = Some(Digest::of(b"app")), Waived, Reason::Waived);
        check("", |facts| facts.waivers[0].artifact = Some(Digest::of(b"other")), Fail, found);
    }

    #[test]
    fn a_waiver_longer_than_the_policy_set_allows_does_not_count() {
        let rules = "[waivers]\nmax_days = 7\n";
        let lasts = |days: u64| move |facts: &mut Facts| facts.waivers[0].expires_at = UnixMillis(TIME.0 + days * DAY);
        check(rules, lasts(7), Waived, Reason::Waived);
        check(rules, lasts(8), Fail, Reason::WaiverTooLong);
        let longer = |facts: &mut Facts| facts.waivers[0].expires_at = UnixMillis(TIME.0 + 7 * DAY + 1);
        check(rules, longer, Fail, Reason::WaiverTooLong);
        check("", lasts(8), Waived, Reason::Waived);
        // Where nobody says when it was granted, nobody can say that it is short enough.
        check(rules, |facts| facts.waivers[0].granted_at = None, Fail, Reason::WaiverTooLong);
    }

    #[test]
    fn a_waiver_ends_once_the_catalogue_lists_the_vulnerability() {
        let listed = |cve: &str| {
            let entry = (cve.to_owned(), Kev { added_at: None, due_at: None, ransomware: false });
            vec![FeedFact { kev: BTreeMap::from([entry]), ..feed(FeedKind::Kev) }]
        };
        let rules = "[waivers]\nend_on_kev = true\n";
        check(rules, |facts| facts.feeds = listed("CVE-2026-1"), Fail, Reason::WaiverEndedKev);
        check(rules, |facts| facts.feeds = listed("CVE-2026-2"), Waived, Reason::Waived);
        check("[waivers]\n", |facts| facts.feeds = listed("CVE-2026-1"), Waived, Reason::Waived);
        // A catalogue that nobody recorded, or that is old, cannot say that the waiver still counts.
        check(rules, |facts| facts.feeds.clear(), Fail, Reason::FeedMissing);
        let old = |facts: &mut Facts| facts.feeds.iter_mut().for_each(|feed| feed.date = UnixMillis(TIME.0 - 14 * DAY));
        check(rules, old, Fail, Reason::FeedStale);
        check("", |facts| facts.feeds.clear(), Waived, Reason::Waived);
    }
}
