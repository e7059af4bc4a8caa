//! The table of what catches which planted bug.

/// What has to fail while a planted bug is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catch {
    /// One of these tests, by parts of their names.
    Tests(&'static [&'static str]),
    /// The kill test at this place: no test that lives on can see it.
    Failpoint(&'static str),
    /// A sample of this part of the faults: no test on a machine that keeps its power can see it.
    Faults(&'static str),
}

impl Catch {
    /// What it is, in words.
    pub fn text(self) -> String {
        match self {
            Self::Tests(names) => names.join(", "),
            Self::Failpoint(point) => format!("cargo xtask failpoints --only {point}"),
            Self::Faults(part) => format!("cargo xtask faults --quick --only {part}"),
        }
    }
}

use Catch::{Failpoint, Faults, Tests};

/// One row for each planted bug.
pub const CATCHES: &[(&str, Catch)] = &[
    ("acknowledge-before-commit", Tests(&["a_commit_that_fails_before_persisting_leaves_nothing"])),
    ("half-a-request-stays", Tests(&["a_request_that_fails_half_way_leaves_nothing_of_itself"])),
    ("commit-in-two-steps", Failpoint("commit.written")),
    ("idempotency-key-ignored", Tests(&["the_same_key_gives_the_same_reply_and_refuses_another_request"])),
    ("clock-not-clamped", Tests(&["a_clock_that_goes_back_takes_nothing_back"])),
    ("superseded-stays-open", Tests(&["two_promotions_into_one_environment_have_one_outcome"])),
    (
        "approval-unbound-environment",
        Tests(&["no_field_of_an_approval_can_be_changed", "approvals_count_for_what_was_signed_and_nothing_else"]),
    ),
    ("entry-unbound-to-document", Tests(&["an_entry_says_of_an_approval_what_was_signed"])),
    ("quorum-counts-signatures", Tests(&["counts_people_and_not_signatures"])),
    (
        "self-approval-allowed",
        Tests(&[
            "an_approval_of_another_person_grants_and_the_requesters_own_does_not",
            "people_with_another_part_do_not_count",
        ]),
    ),
    ("rejection-ignored", Tests(&["a_valid_rejection_ends_it", "an_objection_and_a_withdrawal_end_it"])),
    ("expired-waiver-honoured", Tests(&["waivers_except_one_finding_of_one_gate"])),
    ("freeze-ignored", Tests(&["a_freeze_stops_decisions_and_grants_in_use"])),
    ("revoked-key-counts", Tests(&["ones_own_keys_are_ones_own_business", "lost_keys_are_recovered_by_others"])),
    ("policy-quorum-of-one", Tests(&["another_policy_set_takes_two_different_owners"])),
    (
        "missing-sbom-passes",
        Tests(&["the_newest_counts_and_other_kinds_do_not", "never_allows_without_evidence_that_a_gate_demands"]),
    ),
    ("grant-ttl-ignored", Tests(&["no_forgery_is_accepted"])),
    ("expired-grant-honoured", Tests(&["a_grant_is_good_until_its_end"])),
    ("access-check-skipped", Tests(&["what_does_not_exist_is_said_so"])),
    ("session-outlives-key", Tests(&["a_revoked_key_takes_the_sessions_that_it_opened"])),
    ("inclusion-unchecked", Tests(&["inclusion_of_entry_5_of_the_classic_eight"])),
    ("consistency-unchecked", Tests(&["consistency_of_the_classic_eight_with_their_first_three"])),
    ("older-heads-unchecked", Tests(&["a_newer_checkpoint_that_was_kept_is_an_alarm"])),
    ("checkpoint-signature-unchecked", Tests(&["opens_only_with_the_key_of_the_origin"])),
    ("blob-digest-unchecked", Tests(&["reads_only_the_bytes_that_the_digest_names"])),
    ("body-digest-unchecked", Tests(&["a_body_is_what_its_name_says"])),
    ("payload-type-unbound", Tests(&["the_protocols_own_example_verifies"])),
    ("trust-pin-ignored", Tests(&["no_forgery_is_accepted"])),
    ("governance-gap-allowed", Tests(&["no_forgery_is_accepted"])),
    ("replay-not-compared", Tests(&["no_forgery_is_accepted"])),
    ("event-skipped-on-resume", Tests(&["events_come_in_order_and_without_gaps"])),
    ("high-water-ignored", Tests(&["yesterdays_copy_is_sound_until_someone_remembers_today"])),
    ("wal-not-flushed", Faults("power")),
    ("blob-not-flushed", Faults("power")),
    ("shard-not-flushed", Faults("power")),
];
