//! The table of planted bugs: deliberate defects, each of which the tests have to catch.

/// A deliberate defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plant {
    /// Its name.
    pub name: &'static str,
    /// What is wrong while it is there.
    pub says: &'static str,
}

const fn bug(name: &'static str, says: &'static str) -> Plant {
    Plant { name, says }
}

/// Every planted bug; `cargo xtask tidy` compares it with the calls in the source.
pub const PLANTS: &[Plant] = &[
    bug("acknowledge-before-commit", "writes are acknowledged before they are committed"),
    bug("half-a-request-stays", "what a failed request had staged is committed"),
    bug("commit-in-two-steps", "entries and head are committed one after the other"),
    bug("idempotency-key-ignored", "a repeated request is made again"),
    bug("clock-not-clamped", "the ledger's time follows the clock back"),
    bug("superseded-stays-open", "a grant leaves other promotions into its place open"),
    bug("approval-unbound-environment", "an approval counts for another environment than was signed"),
    bug("entry-unbound-to-document", "an entry may say something else of an approval than was signed"),
    bug("quorum-counts-signatures", "signatures are counted instead of people"),
    bug("self-approval-allowed", "whoever asked may approve"),
    bug("rejection-ignored", "a rejected promotion goes on"),
    bug("expired-waiver-honoured", "a waiver counts after its end"),
    bug("freeze-ignored", "an emergency freeze stops nothing"),
    bug("revoked-key-counts", "signatures of an ended key count"),
    bug("policy-quorum-of-one", "one signature changes policy, people and keys"),
    bug("missing-sbom-passes", "the SBOM gate passes where there is none"),
    bug("grant-ttl-ignored", "a grant may last longer than the policy set allows"),
    bug("expired-grant-honoured", "a grant is good after its end"),
    bug("access-check-skipped", "everyone may ask for a promotion"),
    bug("session-outlives-key", "a session goes on when the key that opened it ends"),
    bug("inclusion-unchecked", "any path proves that an entry is in the ledger"),
    bug("consistency-unchecked", "any path proves that one ledger grew from another"),
    bug("older-heads-unchecked", "an audit does not compare with older heads that were kept"),
    bug("checkpoint-signature-unchecked", "anyone may sign a checkpoint"),
    bug("blob-digest-unchecked", "stored bytes are not hashed again when they are read"),
    bug("body-digest-unchecked", "a bundle's bodies are not hashed"),
    bug("payload-type-unbound", "a DSSE signature does not cover the payload's type"),
    bug("trust-pin-ignored", "any first entry and first owner will do"),
    bug("governance-gap-allowed", "a bundle may leave out newer governance entries"),
    bug("replay-not-compared", "a decision is run again and not compared"),
    bug("event-skipped-on-resume", "whoever resumes the event stream misses an entry"),
    bug("high-water-ignored", "the server signs on top of an older copy of its ledger"),
    bug("wal-not-flushed", "writes are acknowledged before they are on the disk"),
    bug("blob-not-flushed", "a blob is acknowledged before its bytes are on the disk"),
    bug("shard-not-flushed", "a blob is acknowledged before its name is on the disk"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_there_are_enough() {
        let mut names: Vec<&str> = PLANTS.iter().map(|plant| plant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLANTS.len());
        assert!(names.len() >= 20, "{}", names.len());
    }
}
