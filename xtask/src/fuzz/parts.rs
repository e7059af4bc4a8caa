//! Parts: which readers a plan of fuzzing counts together, because they read one kind of thing.
//!
//! Time is planned for a part: an SBOM has four readers and a checkpoint five, and neither deserves more for it.

use std::time::Duration;

use super::record::Record;
use super::targets::Target;

/// Readers of one kind of thing.
pub struct Part {
    /// What they read.
    name: &'static str,
    /// How its targets are called or, where it ends with a `-`, how their names begin.
    readers: &'static [&'static str],
}

/// Every part, in the order of the rooms.
const PARTS: &[Part] = &[
    Part {
        name: "names, times, JSON",
        readers: &[
            "json",
            "canonical",
            "digest",
            "digest-start",
            "service-name",
            "environment-name",
            "person-id",
            "group-name",
            "role-name",
            "signer-name",
            "gate-name",
            "release-name",
            "version",
            "stream-name",
            "promotion-id",
            "change-id",
            "time",
            "span",
            "feed-kind",
            "reason-code",
            "permission",
            "local-time",
            "line-diff",
        ],
    },
    Part { name: "keys and signatures", readers: &["key-", "ssh-", "sshsig", "sshsig-", "openpgp-", "minisign-"] },
    Part { name: "passkeys", readers: &["rp-id", "web-origin", "passkey-"] },
    Part { name: "tokens and their issuers", readers: &["jwt", "jwt-", "jwks", "oidc-"] },
    Part { name: "envelopes and statements", readers: &["dsse", "statement", "statement-"] },
    Part { name: "Sigstore bundles", readers: &["sigstore-"] },
    Part { name: "notes and checkpoints", readers: &["note", "note-", "checkpoint", "checkpoint-", "verifier-"] },
    Part { name: "proofs and tiles", readers: &["proof-", "tile-", "entry-bundle", "entry-bundle-", "trust-policy"] },
    Part { name: "reports and feeds", readers: &["report-", "detect", "detect-", "feed-kev", "feed-epss"] },
    Part {
        name: "policy sets",
        readers: &[
            "policy-settings",
            "policy-environments",
            "policy-people",
            "policy-trust",
            "policy-aliases",
            "policy-gates",
            "policy-tests",
            "policy-document",
            "policy-lint",
            "policy-diff",
            "policy-explain",
            "licence-expression",
            "recurrence",
            "time-zone",
            "pattern",
            "share",
        ],
    },
    Part { name: "decisions", readers: &["policy-rego", "facts", "backtest-"] },
    Part {
        name: "entries and state",
        readers: &["entry", "manifest", "change-draft", "access-", "drill-", "state-", "row-"],
    },
    Part { name: "bundles", readers: &["approval", "bundle", "bundle-", "trust-file"] },
    Part {
        name: "requests and replies",
        readers: &["query", "history-", "where-", "cookies", "cookie-", "host-", "reply-"],
    },
];

impl Part {
    /// Whether a target is one of its readers.
    fn has(&self, target: &str) -> bool {
        let named = |reader: &&str| *reader == target || (reader.ends_with('-') && target.starts_with(*reader));
        self.readers.iter().any(named)
    }
}

/// For how long one reader is to run, if its part is to have so much time in all.
pub fn share(time: Duration, target: &str, all: &[String]) -> Duration {
    let Some(part) = PARTS.iter().find(|part| part.has(target)) else { return time };
    let readers = all.iter().filter(|target| part.has(target)).count();
    time / u32::try_from(readers.max(1)).unwrap_or(u32::MAX)
}

/// One line for each part: its readers, what the one with the least time has behind it, and what all have.
pub fn table(all: &[Target], record: &Record) -> Vec<String> {
    let minutes = |millis: u64| format!("{:.1}", Duration::from_millis(millis).as_secs_f64() / 60.0);
    let row = |part: &Part| {
        let times: Vec<u64> = all
            .iter()
            .filter(|target| part.has(&target.name))
            .map(|target| record.behind(&target.name).millis)
            .collect();
        let (least, sum) = (times.iter().min().copied().unwrap_or_default(), times.iter().sum());
        format!(
            "{:<26} {:>3} readers {:>8} min the least {:>8} min in all",
            part.name,
            times.len(),
            minutes(least),
            minutes(sum)
        )
    };
    PARTS.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::story::Story;
    use crate::fuzz::targets;

    #[test]
    fn every_reader_is_in_one_part_and_no_part_names_another() {
        let all = targets::targets(&Story::tell().unwrap()).unwrap();
        for target in &all {
            let parts: Vec<&str> = PARTS.iter().filter(|part| part.has(&target.name)).map(|part| part.name).collect();
            assert_eq!(parts.len(), 1, "{}: {parts:?}", target.name);
        }
        for reader in PARTS.iter().flat_map(|part| part.readers) {
            let named =
                |target: &Target| target.name == *reader || reader.ends_with('-') && target.name.starts_with(reader);
            assert!(all.iter().any(named), "{reader}");
        }
    }

    #[test]
    fn readers_of_one_part_have_equal_shares_of_its_time() {
        let all = ["jwt", "jwks", "jwt-claims", "note"].map(str::to_owned);
        assert_eq!(share(Duration::from_secs(90), "jwt-claims", &all), Duration::from_secs(30));
        assert_eq!(share(Duration::from_secs(90), "note", &all), Duration::from_secs(90));
    }
}
