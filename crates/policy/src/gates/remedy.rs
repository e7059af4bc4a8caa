//! Remedies: what can be done about a finding, as far as the policy set allows it.

use std::collections::BTreeSet;

use lockgate_model::facts::Finding;
use serde::Deserialize;

use crate::wording::{one_of, shown};

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
/// `vex_by` says whose statement counts, and `waiver_by` who may grant a waiver.
pub(super) fn line(allowed: &BTreeSet<Remedy>, finding: &Finding, vex_by: Option<&str>, waiver_by: &str) -> String {
    let may = |remedy| allowed.contains(&remedy);
    let patch = finding.fixes().find(|fix| is_patch(&finding.version, fix));
    let upgrade = finding.fixes().next();
    let mut ways = Vec::new();
    match (patch.filter(|_| may(Remedy::Patch)), upgrade.filter(|_| may(Remedy::Upgrade))) {
        (Some(patch), _) => ways.push(format!("patch it to {}", shown(patch))),
        (None, Some(upgrade)) => ways.push(format!("upgrade it to {}", shown(upgrade))),
        (None, None) => {}
    }
    if may(Remedy::Replace) && upgrade.is_none() {
        ways.push("replace the package".to_owned());
    }
    if let Some(by) = vex_by.filter(|_| may(Remedy::Vex)) {
        ways.push(format!("hand in a VEX statement by {by}"));
    }
    if may(Remedy::Waiver) {
        ways.push(format!("ask {waiver_by} for a waiver"));
    }
    let ways = match ways.is_empty() {
        true => "nothing that the policy set allows is known to help".to_owned(),
        false => one_of(&ways),
    };
    format!("{} in {} {}: {ways}", shown(&finding.id), shown(&finding.package), shown(&finding.version))
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
                line(&allowed, &finding, vex_by, "group approvers"),
                format!("CVE-1 in example 2.0.0: {expected}")
            );
        };
        let all = [Patch, Upgrade, Replace, Vex, Waiver];
        check(&all, &["3.0.0", "2.0.9"], None, "patch it to 2.0.9 or ask group approvers for a waiver");
        check(&[Upgrade], &["3.0.0", "2.0.9"], None, "upgrade it to 3.0.0");
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
}
