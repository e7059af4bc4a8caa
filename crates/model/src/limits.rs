//! Every limit of every parser, in one place.

/// How large, deep and many an input may be. Units are in the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One HTTP header block.
    pub header_bytes: usize,
    /// How many HTTP headers.
    pub header_count: usize,
    /// A JSON request body.
    pub json_body_bytes: usize,
    /// A piece of evidence or a report.
    pub evidence_bytes: u64,
    /// A DSSE envelope, or a Sigstore bundle: both are read whole.
    pub envelope_bytes: usize,
    /// An image's signature of cosign's older form, certificates and all.
    pub image_signature_bytes: usize,
    /// The payload of an image's signature.
    pub image_payload_bytes: usize,
    /// A snapshot of a feed of vulnerabilities: a bundle carries those that its decision used.
    pub feed_bytes: u64,
    /// An artifact.
    pub artifact_bytes: u64,
    /// JSON nesting.
    pub json_depth: usize,
    /// Keys in one JSON object.
    pub json_keys: usize,
    /// Items in one JSON array.
    pub json_items: usize,
    /// Signatures in one DSSE envelope.
    pub envelope_signatures: usize,
    /// Evidence considered for one release.
    pub evidence_per_release: usize,
    /// Of these, reports of named checks by those who may not hand in evidence of other kinds.
    pub deployer_reports_per_release: usize,
    /// All evidence of one release together: a bundle has to carry it.
    pub evidence_bytes_per_release: u64,
    /// Artifacts in one release.
    pub artifacts_per_release: usize,
    /// Subjects of one statement.
    pub statement_subjects: usize,
    /// One ledger entry.
    pub entry_bytes: usize,
    /// Hashes in one inclusion or consistency proof.
    pub proof_hashes: usize,
    /// Signature lines in one signed note.
    pub note_signatures: usize,
    /// One signed note.
    pub note_bytes: usize,
    /// A file with a key of a person or machine.
    pub key_file_bytes: u64,
    /// Approvals counted for one promotion.
    pub approvals_per_promotion: usize,
    /// Approvals of one promotion by one person, also those that were taken back.
    pub approvals_per_person: usize,
    /// Keys of one person that count.
    pub keys_per_person: usize,
    /// Keys that a person may add, or rotate to, in all, with those that have ended.
    pub keys_per_person_ever: usize,
    /// Requests for waivers of one person that wait.
    pub waiting_waivers_per_person: usize,
    /// Delegations by one person that are in force.
    pub delegations_per_person: usize,
    /// All files of a policy set together.
    pub policy_bytes: usize,
    /// Gates in one policy set.
    pub policy_gates: usize,
    /// Gates that an approval document names for each thing that comes of them; the others are counted.
    pub gates_named: usize,
    /// Findings read from one report.
    pub findings_per_report: usize,
    /// What one report says once and means for many items, said out for each of them.
    pub claim_bytes: usize,
    /// Components read from one SBOM.
    pub components_per_sbom: usize,
    /// Test cases read from one report.
    pub tests_per_report: usize,
    /// One bundle file.
    pub bundle_bytes: usize,
    /// One free text, such as a reason or a comment.
    pub text_bytes: usize,
    /// Lines of an inbox that one browser keeps snoozed.
    pub snoozed_lines: usize,
    /// The cookie in which it does.
    pub snooze_cookie_bytes: usize,
    /// The longest that a line is snoozed.
    pub snooze_secs: u64,
    /// Services that one browser keeps pinned.
    pub pinned_services: usize,
    /// The cookie in which it does.
    pub pin_cookie_bytes: usize,
    /// For how long it does after the last of them was pinned.
    pub pin_secs: u64,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Connections in all.
    pub connections: usize,
    /// What an upload or a download has to move at least in a minute of waiting for its client; a slower one is broken off.
    pub transfer_bytes_per_minute: u64,
}

impl Limits {
    /// The limits that the server, the CLI and the verifier use (`SECURITY.md`).
    pub const DEFAULT: Self = Self {
        header_bytes: 32 * 1024,
        header_count: 100,
        json_body_bytes: 1024 * 1024,
        evidence_bytes: 256 * 1024 * 1024,
        envelope_bytes: 16 * 1024 * 1024,
        image_signature_bytes: 1024 * 1024,
        image_payload_bytes: 64 * 1024,
        feed_bytes: 64 * 1024 * 1024,
        artifact_bytes: 50 * 1024 * 1024 * 1024,
        json_depth: 64,
        json_keys: 10_000,
        json_items: 1_000_000,
        envelope_signatures: 16,
        evidence_per_release: 1000,
        deployer_reports_per_release: 200,
        evidence_bytes_per_release: 320 * 1024 * 1024,
        artifacts_per_release: 64,
        statement_subjects: 1024,
        entry_bytes: 16 * 1024,
        proof_hashes: 63,
        note_signatures: 32,
        note_bytes: 256 * 1024,
        key_file_bytes: 64 * 1024,
        approvals_per_promotion: 64,
        approvals_per_person: 8,
        keys_per_person: 16,
        keys_per_person_ever: 512,
        waiting_waivers_per_person: 32,
        delegations_per_person: 32,
        policy_bytes: 256 * 1024,
        policy_gates: 500,
        gates_named: 8,
        findings_per_report: 100_000,
        claim_bytes: 32 * 1024 * 1024,
        components_per_sbom: 1_000_000,
        tests_per_report: 1_000_000,
        bundle_bytes: 512 * 1024 * 1024,
        text_bytes: 4096,
        snoozed_lines: 20,
        snooze_cookie_bytes: 1024,
        snooze_secs: 7 * 86_400,
        pinned_services: 20,
        pin_cookie_bytes: 3072,
        pin_secs: 365 * 86_400,
        connections_per_address: 256,
        connections: 10_000,
        transfer_bytes_per_minute: 256 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
