//! Remedies: what can be done about findings, as far as the policy set allows it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use lockgate_model::facts::Finding;
use lockgate_model::{PromotionId, Version};
use serde::Deserialize;

use crate::wording::{counted, few, one_of, shown};

/// How many lines about findings are written out, and how many packages of a list.
const LINES_MAX: usize = 50;
/// How many findings are named in these lines. Once they are, a line names its first one.
const NAMED_MAX: usize = 200;

/// A way to be rid of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// A fixed version of the same minor line.
    Patch,
    /// Any fixed version.
    Upgrade,
    /// Another package.
    Replace,
    /// A statement that it does not matter here.
    Vex,
    /// An exception that two people answer for.
    Waiver,
}

/// What is true of a finding, and of all others that get the same line.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Help<'a> {
    package: &'a str,
    version: &'a str,
    step: Step<'a>,
    waiver_by: Option<&'a str>,
}

/// Which version is the way out.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step<'a> {
    Patch(&'a str),
    Upgrade(&'a str),
    /// One of these has the fix, and nobody can say whether it is above the installed one.
    Unordered(Vec<&'a str>),
    /// There is one above the installed one, which the policy set does not allow.
    Barred,
    /// These have the fix, and are not above the installed one or not allowed.
    Elsewhere(Vec<&'a str>),
    Unfixed,
}

impl<'a> Step<'a> {
    fn of(allowed: &BTreeSet<Remedy>, finding: &'a Finding) -> Self {
        let may = |remedy| allowed.contains(&remedy);
        let installed = finding.version.as_str();
        let upgrade = upgrade_to(finding);
        let patch = smallest(newer_fixes(finding).filter(|fix| is_patch(installed, fix) == Some(true)));
        // An upgrade may be to any version; a patch is one unless its numbers say that it is none.
        let may_take =
            |fix: &&str| may(Remedy::Upgrade) || (may(Remedy::Patch) && is_patch(installed, fix) != Some(false));
        let unordered: Vec<&str> =
            finding.fixes().filter(|fix| compared(installed, fix).is_none()).filter(may_take).collect();
        match (patch.filter(|_| may(Remedy::Patch)), upgrade.filter(|_| may(Remedy::Upgrade))) {
            (Some(patch), _) => Self::Patch(patch),
            (None, Some(upgrade)) => Self::Upgrade(upgrade),
            (None, None) if !unordered.is_empty() => Self::Unordered(unordered),
            (None, None) if upgrade.is_some() => Self::Barred,
            (None, None) if finding.fixes().next().is_some() => Self::Elsewhere(finding.fixes().collect()),
            (None, None) => Self::Unfixed,
        }
    }
}

impl Help<'_> {
    /// The line about some findings, of which the first `named` are named: everything that is allowed, and can be done.
    fn line(&self, ids: &BTreeSet<&str>, named: usize, allowed: &BTreeSet<Remedy>, vex_by: Option<&str>) -> String {
        let may = |remedy| allowed.contains(&remedy);
        let mut ways = Vec::new();
        match &self.step {
            Step::Patch(fix) => ways.push(format!("patch it to {}", shown(fix))),
            Step::Upgrade(fix) => ways.push(format!("upgrade it to {}", shown(fix))),
            Step::Unordered(fixes) => ways.push(format!("upgrade to a version that has the fix: {}", listed(fixes))),
            Step::Unfixed if may(Remedy::Replace) => ways.push("replace the package".to_owned()),
            Step::Barred | Step::Elsewhere(_) | Step::Unfixed => {}
        }
        if let Some(by) = vex_by.filter(|_| may(Remedy::Vex)) {
            ways.push(format!("hand in a VEX statement by {by}"));
        }
        if let Some(by) = self.waiver_by {
            ways.push(format!("ask {by} for a waiver"));
        }
        let ways = match ways.is_empty() {
            true => "nothing that the policy set allows is known to help".to_owned(),
            false => one_of(&ways),
        };
        let fixed = match &self.step {
            Step::Elsewhere(fixes) => format!(" (fixed in {})", listed(fixes)),
            _ => String::new(),
        };
        let ids = many(ids.iter().map(|id| shown(id)), named, ", ");
        format!("{ids} in {} {}{fixed}: {ways}", shown(self.package), shown(self.version))
    }
}

/// Lines about findings, by package, each about all that have the same remedies. With each finding comes who may grant
/// a waiver of it; `None` where one would not count. `vex_by` names those whose statement counts.
pub(super) fn lines<'a>(
    allowed: &BTreeSet<Remedy>,
    findings: impl IntoIterator<Item = (&'a Finding, Option<&'a str>)>,
    vex_by: Option<&str>,
    promotion: PromotionId,
) -> String {
    let mut groups: BTreeMap<Help<'a>, BTreeSet<&'a str>> = BTreeMap::new();
    for (finding, waiver_by) in findings {
        let help = Help {
            package: &finding.package,
            version: &finding.version,
            step: Step::of(allowed, finding),
            waiver_by: waiver_by.filter(|_| allowed.contains(&Remedy::Waiver)),
        };
        groups.entry(help).or_default().insert(&finding.id);
    }
    let mut left = NAMED_MAX;
    let mut lines: Vec<String> = Vec::new();
    for (help, ids) in groups.iter().take(LINES_MAX) {
        let named = ids.len().min(left.max(1));
        left = left.saturating_sub(named);
        lines.push(help.line(ids, named, allowed, vex_by));
    }
    let more: usize = groups.values().skip(LINES_MAX).map(BTreeSet::len).sum();
    if more > 0 {
        let more = counted(u64::try_from(more).unwrap_or(u64::MAX), "more finding");
        lines.push(format!("and {more}: `lockgate policy input {promotion}` lists every finding"));
    }
    lines.join("\n")
}

/// What to do where the policy set lists no remedies: which packages to upgrade to what, in which versions others are
/// fixed, and what nobody has fixed. With each finding comes whether a waiver of it would not count; `next` is the
/// command that comes after.
pub(super) fn upgrades<'a>(findings: impl IntoIterator<Item = (&'a Finding, bool)>, who: &str, next: &str) -> String {
    let mut upgrades: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut fixed: BTreeSet<(&str, Vec<&str>)> = BTreeSet::new();
    let mut unfixed: BTreeSet<(&str, &str)> = BTreeSet::new();
    let (mut ended, mut waivable) = (false, false);
    for (finding, is_ended) in findings {
        let package = finding.package.as_str();
        match (upgrade_to(finding), finding.fixes().next()) {
            (Some(fix), _) => {
                upgrades.insert((package, fix));
            }
            (None, Some(_)) => {
                fixed.insert((package, finding.fixes().collect()));
            }
            (None, None) => {
                unfixed.insert((finding.id.as_str(), package));
                ended |= is_ended;
                waivable |= !is_ended;
            }
        }
    }
    let mut steps: Vec<String> = Vec::new();
    if !upgrades.is_empty() {
        let told = upgrades
            .iter()
            .map(|(package, fix)| fmt::from_fn(move |text| write!(text, "{} to {}", shown(package), shown(fix))));
        steps.push(format!("upgrade {}", many(told, LINES_MAX, ", ")));
    }
    if !fixed.is_empty() {
        let told = fixed.iter().map(|(package, fixes)| {
            fmt::from_fn(move |text| write!(text, "{} is fixed in {}", shown(package), listed(fixes)))
        });
        steps.push(format!("take a version without it: {}", many(told, LINES_MAX, "; ")));
    }
    if !unfixed.is_empty() {
        let told = unfixed
            .iter()
            .map(|(id, package)| fmt::from_fn(move |text| write!(text, "{} in {}", shown(id), shown(package))));
        let of = if steps.is_empty() { String::new() } else { format!(" for {}", many(told, LINES_MAX, ", ")) };
        let waiver = match (waivable, ended) {
            (false, _) => String::new(),
            (true, false) => format!(", or ask {who} for a waiver of each finding"),
            (true, true) => format!(", or ask {who} for a waiver of each finding that is not known to be exploited"),
        };
        steps.push(format!("no fix is known{of}: replace the package{waiver}"));
    }
    match steps.as_slice() {
        [step] if waivable => step.clone(),
        [step] => format!("{step}, then: {next}"),
        steps => format!("{}\nthen: {next}", steps.join("\n")),
    }
}

/// Joins the first `most` items and says how many more there are; the rest is counted, not formatted.
fn many<T: Display>(items: impl IntoIterator<Item = T>, most: usize, separator: &str) -> String {
    let mut items = items.into_iter();
    let told: Vec<String> = items.by_ref().take(most).map(|item| item.to_string()).collect();
    let told = told.join(separator);
    match items.count() {
        0 => told,
        more => format!("{told}{separator}and {more} more"),
    }
}

/// The smallest fixed version that is known to be above the installed one: what goes back is no upgrade, and of
/// versions whose order is not known nobody can say.
pub(super) fn upgrade_to(finding: &Finding) -> Option<&str> {
    smallest(newer_fixes(finding))
}

/// In which versions it is fixed, whatever is installed: `fixed in 5.2.20, 6.2.0`.
pub(super) fn fixed_in(finding: &Finding) -> String {
    format!("fixed in {}", few(finding.fixes().map(shown), ", "))
}

/// A few of some versions.
fn listed(versions: &[&str]) -> String {
    few(versions.iter().map(|version| shown(version)), ", ")
}

/// The fixed versions that are known to be above the installed one.
fn newer_fixes(finding: &Finding) -> impl Iterator<Item = &str> {
    finding.fixes().filter(move |fix| compared(&finding.version, fix) == Some(Ordering::Less))
}

/// The smallest of some versions, and of two that cannot be compared the first.
fn smallest<'a>(versions: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    versions.reduce(|least, next| if compared(next, least) == Some(Ordering::Less) { next } else { least })
}

/// The order of two versions where both are dotted numbers, or semantic versions, or the same text; `None` of all
/// others, whose order another packager defines.
fn compared(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (one.trim().trim_start_matches('v'), other.trim().trim_start_matches('v'));
    if one == other {
        return Some(Ordering::Equal);
    }
    let numbers = compared_numbers(one, other);
    numbers.or_else(|| Some(one.parse::<Version>().ok()?.cmp(&other.parse::<Version>().ok()?)))
}

/// The order of two versions that are nothing but numbers with dots between them: a number that one lacks is 0.
fn compared_numbers(one: &str, other: &str) -> Option<Ordering> {
    let (mut one, mut other) = (one.split('.').map(number), other.split('.').map(number));
    let mut order = Ordering::Equal;
    loop {
        let (left, right) = match (one.next(), other.next()) {
            (None, None) => return Some(order),
            (left, right) => (left.unwrap_or(Some((0, "")))?, right.unwrap_or(Some((0, "")))?),
        };
        order = order.then(left.cmp(&right));
    }
}

/// A number of digits alone, however many: of those without leading zeros the longer one is larger.
fn number(part: &str) -> Option<(usize, &str)> {
    let digits = part.trim_start_matches('0');
    (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())).then_some((digits.len(), digits))
}

/// Whether a fix has the same two first numbers as what is installed; `None` where one of them does not begin with two.
fn is_patch(installed: &str, fix: &str) -> Option<bool> {
    Some(minor_line(installed)? == minor_line(fix)?)
}

fn minor_line(version: &str) -> Option<(&str, &str)> {
    let mut parts = version.trim_start_matches('v').split(['.', '-', '+']);
    let (major, minor) = (parts.next()?, parts.next()?);
    (number(major).is_some() && number(minor).is_some()).then_some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::GateOutcome::Fail;
    use crate::explain::Reason;
    use crate::sample::{check, evidence, finding, on_behalf, scan};
    use lockgate_model::facts::{Claim, Severity};

    /// The line about one finding.
    fn line(allowed: &BTreeSet<Remedy>, finding: &Finding, vex_by: Option<&str>, waiver_by: Option<&str>) -> String {
        lines(allowed, [(finding, waiver_by)], vex_by, PromotionId(3))
    }

    /// A finding in a package, with these fixes.
    fn of(id: &str, package: &str, version: &str, fixes: &[&str]) -> Finding {
        Finding {
            package: package.to_owned(),
            version: version.to_owned(),
            fixed_versions: fixes.iter().map(|fix| (*fix).to_owned()).collect(),
            ..finding(id, Severity::High)
        }
    }

    #[test]
    fn names_what_is_allowed_and_helps() {
        use Remedy::{Patch, Replace, Upgrade, Vex, Waiver};
        let check = |allowed: &[Remedy], fixes: &[&str], vex_by: Option<&str>, expected: &str| {
            let fixed_versions = fixes.iter().map(|fix| (*fix).to_owned()).collect();
            let finding = Finding { fixed_versions, ..finding("CVE-1", Severity::High) };
            let allowed = allowed.iter().copied().collect();
            assert_eq!(
                line(&allowed, &finding, vex_by, Some("group approvers")),
                format!("CVE-1 in example 2.0.0: {expected}")
            );
        };
        let all = [Patch, Upgrade, Replace, Vex, Waiver];
        check(&all, &["3.0.0", "2.0.9"], None, "patch it to 2.0.9 or ask group approvers for a waiver");
        check(&[Upgrade], &["3.0.0", "2.0.9"], None, "upgrade it to 2.0.9");
        check(&[Patch], &["3.0.0"], None, "nothing that the policy set allows is known to help");
        check(
            &all,
            &[],
            Some("scanner"),
            "replace the package, hand in a VEX statement by scanner or ask group approvers for a waiver",
        );
        check(&[Replace], &["3.0.0"], None, "nothing that the policy set allows is known to help");
        check(&[Patch], &["v2.0.1"], None, "patch it to v2.0.1");
    }

    #[test]
    fn nothing_goes_back_to_be_fixed() {
        use Remedy::{Patch, Upgrade, Waiver};
        let check = |version: &str, fixes: &[&str], to: Option<&str>, expected: &str| {
            let fixed_versions = fixes.iter().map(|fix| (*fix).to_owned()).collect();
            let finding = Finding { fixed_versions, version: version.to_owned(), ..finding("CVE-1", Severity::High) };
            assert_eq!(upgrade_to(&finding), to, "{version} {fixes:?}");
            let allowed = BTreeSet::from([Patch, Upgrade, Waiver]);
            assert_eq!(line(&allowed, &finding, None, None), format!("CVE-1 in example {version}{expected}"));
        };
        check("6.1.0", &["5.2.20", "6.2.0"], Some("6.2.0"), ": upgrade it to 6.2.0");
        check("6.1.0", &["7.0.0", "5.2.20", "6.1.9", "6.2.0"], Some("6.1.9"), ": patch it to 6.1.9");
        check("6.1.10", &["6.1.9", "6.1.11"], Some("6.1.11"), ": patch it to 6.1.11");
        check("1.2", &["1.2.0.1", "1.3"], Some("1.2.0.1"), ": patch it to 1.2.0.1");
        check("2.0.0-rc.1", &["1.9.0", "2.0.0"], Some("2.0.0"), ": patch it to 2.0.0");
        // Only older ones, and the very same one.
        let none = ": nothing that the policy set allows is known to help";
        check("6.1.0", &["5.2.20", "5.3.0"], None, &format!(" (fixed in 5.2.20, 5.3.0){none}"));
        check("6.1.0", &["6.1"], None, &format!(" (fixed in 6.1){none}"));
        check("1.1.1k-r0", &["1.1.1k-r0"], None, &format!(" (fixed in 1.1.1k-r0){none}"));
        check("99999999999999999999.1", &["1.0.0"], None, &format!(" (fixed in 1.0.0){none}"));
        check("6.1.0", &[], None, none);
    }

    #[test]
    fn where_no_order_is_known_a_version_with_the_fix_is_named() {
        use Remedy::{Patch, Replace, Upgrade, Waiver};
        let check = |allowed: &[Remedy], version: &str, fixes: &[&str], expected: &str| {
            let found = of("CVE-1", "example", version, fixes);
            assert_eq!(upgrade_to(&found), None, "{version} {fixes:?}");
            let allowed = allowed.iter().copied().collect();
            let line = line(&allowed, &found, None, Some("group approvers"));
            assert_eq!(line, format!("CVE-1 in example {version}{expected}"), "{allowed:?}");
        };
        let rows = [
            ("3.0.11-1~deb12u1", "3.0.11-1~deb12u2"),
            ("1:3.0.7-27.el9", "1:3.0.7-28.el9_4"),
            ("2024a", "2024b"),
            ("5.3.17.RELEASE", "5.3.18.RELEASE"),
            ("1.1.1k-r0", "1.1.1l-r0"),
            ("", "1.0.0"),
        ];
        for (version, fix) in rows {
            for allowed in [&[Patch, Upgrade, Replace][..], &[Upgrade], &[Patch]] {
                check(allowed, version, &[fix], &format!(": upgrade to a version that has the fix: {fix}"));
            }
            let none = "nothing that the policy set allows is known to help";
            check(&[Replace], version, &[fix], &format!(" (fixed in {fix}): {none}"));
            check(&[Waiver], version, &[fix], &format!(" (fixed in {fix}): ask group approvers for a waiver"));
        }
        // Of several those that may be above it, and as a patch none that is known to be of another line.
        let deb = "3.0.11-1~deb12u1";
        let several = &["3.0.11-1~deb12u2", "3.1.4-1~deb13u1"];
        let either = ": upgrade to a version that has the fix: 3.0.11-1~deb12u2, 3.1.4-1~deb13u1";
        check(&[Upgrade], deb, several, either);
        check(&[Patch], deb, several, ": upgrade to a version that has the fix: 3.0.11-1~deb12u2");
        let waive = " or ask group approvers for a waiver";
        let release = format!(": upgrade to a version that has the fix: 6.1.1.RELEASE{waive}");
        check(&[Upgrade, Waiver], "6.1.0", &["5.2.20", "6.1.1.RELEASE"], &release);
    }

    #[test]
    fn findings_with_the_same_remedies_share_a_line() {
        let told = |findings: &[Finding], allowed: &[Remedy]| {
            let allowed = allowed.iter().copied().collect();
            lines(&allowed, findings.iter().map(|finding| (finding, None)), None, PromotionId(3))
        };
        let all = [Remedy::Patch, Remedy::Upgrade, Remedy::Replace];
        let mut findings: Vec<Finding> =
            (1..=7).map(|number| of(&format!("CVE-{number}"), "openssl", "3.0.1", &["3.0.2"])).collect();
        findings.push(of("CVE-8", "openssl", "3.0.1", &[]));
        findings.push(of("CVE-9", "zlib", "1.2.0", &["1.3.0"]));
        // The same in another artifact.
        findings.push(of("CVE-9", "zlib", "1.2.0", &["1.3.0"]));
        let expected = "CVE-1, CVE-2, CVE-3, CVE-4, CVE-5, CVE-6, CVE-7 in openssl 3.0.1: patch it to 3.0.2\n\
            CVE-8 in openssl 3.0.1: replace the package\nCVE-9 in zlib 1.2.0: upgrade it to 1.3.0";
        assert_eq!(told(&findings, &all), expected);

        let packages: Vec<Finding> = (0..60).map(|number| of("CVE-1", &format!("p{number:02}"), "1", &[])).collect();
        let text = told(&packages, &all);
        assert_eq!(text.lines().count(), LINES_MAX + 1);
        assert!(text.ends_with("\nand 10 more findings: `lockgate policy input P-3` lists every finding"), "{text}");
        // Hostile numbers: 300 findings of each of 60 packages.
        let many = (0..60 * 300).map(|at| of(&format!("CVE-{}", at % 300), &format!("p{:02}", at / 300), "1", &[]));
        let many: Vec<Finding> = many.collect();
        let text = told(&many, &all);
        assert_eq!((text.lines().count(), text.matches("CVE-").count()), (LINES_MAX + 1, NAMED_MAX + LINES_MAX - 1));
        assert!(text.contains(", and 100 more in p00 1: replace the package\n"), "{text}");
        assert!(text.contains("\nCVE-0, and 299 more in p01 1: replace the package\n"), "{text}");
        assert!(text.contains("\nand 3000 more findings: "), "{text}");
    }

    #[test]
    fn gates_say_something_about_every_finding() {
        let fix = |more: &str, findings: Vec<Finding>| {
            let gate = format!("kind = \"vulnerabilities\"\nblock = [\"critical\", \"high\"]\n{more}\n");
            let facts = vec![evidence(1, on_behalf("robot"), Claim::Vulnerabilities(scan("trivy", findings)))];
            check(&gate, |_, known| known.evidence = facts, Fail, Reason::VulnerabilitiesFound).fix
        };
        let deb = || of("CVE-1", "openssl", "3.0.11-1~deb12u1", &["3.0.11-1~deb12u2"]);
        let next = "then: lockgate push <file> --service shop/web --version <next>";
        let listed = "remedies = [\"patch\", \"upgrade\", \"replace\"]";
        let has_fix = "upgrade to a version that has the fix: 3.0.11-1~deb12u2";
        assert_eq!(fix(listed, vec![deb()]), format!("CVE-1 in openssl 3.0.11-1~deb12u1: {has_fix}\n{next}"));
        let eight: Vec<Finding> = (1..=8).map(|n| of(&format!("CVE-{n}"), &format!("p{n}"), "1.0.0", &[])).collect();
        let lines = fix(listed, eight);
        assert_eq!(lines.lines().count(), 9, "{lines}");
        // Without a list: what has no fix gets a word beside what has one.
        let upgrade = || of("CVE-2", "zlib", "1.2.0", &["1.3.0"]);
        let unfixed = || of("CVE-3", "expat", "2.0.0", &[]);
        assert_eq!(fix("", vec![upgrade()]), format!("upgrade zlib to 1.3.0, {next}"));
        let take = "take a version without it: openssl is fixed in 3.0.11-1~deb12u2";
        assert_eq!(fix("", vec![deb()]), format!("{take}, {next}"));
        let lines = fix("", vec![upgrade(), deb(), unfixed()]);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("upgrade zlib to 1.3.0", take, next));
        assert!(lines[2].starts_with("no fix is known for CVE-3 in expat: replace the package, or ask "), "{lines:?}");
    }
}
