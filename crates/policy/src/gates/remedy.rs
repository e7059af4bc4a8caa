//! Remedies: what can be done about a finding, as far as the policy set allows it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use lockgate_model::Version;
use lockgate_model::facts::Finding;
use serde::Deserialize;

use crate::wording::{few, one_of, shown};

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

/// One line about one finding: everything that is allowed, and can be done.
///
/// `vex_by` names those whose statement counts, `waiver_by` those who may grant a waiver; `None` where a waiver would
/// not count.
pub(super) fn line(
    allowed: &BTreeSet<Remedy>,
    finding: &Finding,
    vex_by: Option<&str>,
    waiver_by: Option<&str>,
) -> String {
    let may = |remedy| allowed.contains(&remedy);
    let upgrade = upgrade_to(finding);
    let patch = smallest(newer_fixes(finding).filter(|fix| is_patch(&finding.version, fix)));
    let mut ways = Vec::new();
    match (patch.filter(|_| may(Remedy::Patch)), upgrade.filter(|_| may(Remedy::Upgrade))) {
        (Some(patch), _) => ways.push(format!("patch it to {}", shown(patch))),
        (None, Some(upgrade)) => ways.push(format!("upgrade it to {}", shown(upgrade))),
        (None, None) => {}
    }
    let is_fixed = finding.fixes().next().is_some();
    if may(Remedy::Replace) && !is_fixed {
        ways.push("replace the package".to_owned());
    }
    if let Some(by) = vex_by.filter(|_| may(Remedy::Vex)) {
        ways.push(format!("hand in a VEX statement by {by}"));
    }
    if let Some(by) = waiver_by.filter(|_| may(Remedy::Waiver)) {
        ways.push(format!("ask {by} for a waiver"));
    }
    let ways = match ways.is_empty() {
        true => "nothing that the policy set allows is known to help".to_owned(),
        false => one_of(&ways),
    };
    let fixed = match is_fixed && upgrade.is_none() {
        true => format!(" ({})", fixed_in(finding)),
        false => String::new(),
    };
    format!("{} in {} {}{fixed}: {ways}", shown(&finding.id), shown(&finding.package), shown(&finding.version))
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

/// The fixed versions that are known to be above the installed one.
fn newer_fixes(finding: &Finding) -> impl Iterator<Item = &str> {
    finding.fixes().filter(move |fix| compared(&finding.version, fix) == Some(Ordering::Less))
}

/// The smallest of some versions, and of two that cannot be compared the first.
fn smallest<'a>(versions: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    versions.reduce(|least, next| if compared(next, least) == Some(Ordering::Less) { next } else { least })
}

/// The order of two versions where both are dotted numbers, or semantic versions; `None` of all others, whose order
/// another packager defines.
fn compared(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (one.trim().trim_start_matches('v'), other.trim().trim_start_matches('v'));
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
            (left, right) => (left.unwrap_or(Some(0))?, right.unwrap_or(Some(0))?),
        };
        order = order.then(left.cmp(&right));
    }
}

/// A number of digits alone.
fn number(part: &str) -> Option<u64> {
    part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
}

/// Whether a fix has the same two first numbers as what is installed.
fn is_patch(installed: &str, fix: &str) -> bool {
    let line = |version: &str| -> Option<(String, String)> {
        let bare = version.trim_start_matches('v');
        let mut parts = bare.split(['.', '-', '+']);
        let (major, minor) = (parts.next()?, parts.next()?);
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (numeric(major) && numeric(minor)).then(|| (major.to_owned(), minor.to_owned()))
    };
    line(installed).is_some_and(|installed| line(fix) == Some(installed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::finding;
    use lockgate_model::facts::Severity;

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
        // Only older ones, the very same one, and those whose order a packager defines.
        let none = ": nothing that the policy set allows is known to help";
        check("6.1.0", &["5.2.20", "5.3.0"], None, &format!(" (fixed in 5.2.20, 5.3.0){none}"));
        check("6.1.0", &["6.1"], None, &format!(" (fixed in 6.1){none}"));
        check("1.1.1k-r0", &["1.1.1l-r0"], None, &format!(" (fixed in 1.1.1l-r0){none}"));
        check("", &["1.0.0"], None, &format!(" (fixed in 1.0.0){none}"));
        check("99999999999999999999.1", &["1.0.0"], None, &format!(" (fixed in 1.0.0){none}"));
        check("6.1.0", &[], None, none);
    }
}
