//! Explanations: what each reason code of a decision means, and what to do next.

use std::fmt;
use std::str::FromStr;

macro_rules! reasons {
    ($($name:ident = $code:literal: $text:literal;)*) => {
        /// Why a gate came out as it did. Codes are stable: scripts and documents rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code, such as `TESTS_MISSING`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What the code means and what to do next, in one paragraph.
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        /// Every code with its explanation.
        pub const REASONS: &[(&str, &str)] = &[$(($code, $text),)*];
    };
}

reasons! {
    Satisfied = "SATISFIED": "Everything that the gate demands is there. Next: nothing; `found` names what it counted, and `evidence` the digests to check it with.";
    Waived = "WAIVED": "The gate objects only to findings that a person with the permission `waive` has excepted, and the waivers have not expired. Next: fix the findings before the waivers end, because then the gate fails again.";
    EnvironmentUnknown = "ENVIRONMENT_UNKNOWN": "The promotion names an environment that the active policy set does not define, so nothing says what it demands, and the answer is no. Next: ask for one of the environments of the policy set, or add it to `environments.toml`.";
    NoGates = "NO_GATES": "No gate of the policy set applies to this service in this environment. An environment that demands nothing lets nothing in. Next: add a gate for it under `gates/` and run `lockgate policy test`.";
    FactsUnknown = "FACTS_UNKNOWN": "The facts are of a schema that this version does not decide on. Next: decide with the version of Lockgate that wrote them, or a newer one.";
    NoArtifacts = "NO_ARTIFACTS": "The release holds no artifact, so no evidence can be about it. Next: publish a release with at least one artifact with `lockgate push`.";
    EvidenceUnsigned = "EVIDENCE_UNSIGNED": "There is evidence of the right kind, but somebody handed it in unsigned, and the gate wants the signature of its maker. Next: have the builder or tool sign it, and hand in the signed envelope with `lockgate attest`.";
    EvidenceMalformed = "EVIDENCE_MALFORMED": "There is evidence about the artifact that could not be read, and none that can be counted. Next: see `found` for what is wrong with it, and hand in a correct one with `lockgate attest`.";
    EvidenceFromFuture = "EVIDENCE_FROM_FUTURE": "The evidence says that it was made more than five minutes after the ledger recorded it, so its time cannot be believed. Next: set the clock of the machine that made it, and hand in a new one with `lockgate attest`.";
    SignerUntrusted = "SIGNER_UNTRUSTED": "There is signed evidence of the right kind, but no signature on it is by a signer that the gate and `trust.toml` accept for this kind. Next: sign with an accepted key, or propose a change of the policy set that accepts this one.";
    ProvenanceMissing = "PROVENANCE_MISSING": "No provenance about the artifact is recorded, so nothing says how and from what it was built. Next: have the build make one, and hand it in with `lockgate attest`.";
    BuilderUntrusted = "BUILDER_UNTRUSTED": "The provenance is signed by an accepted signer, but names a builder that is not on the list. Builders are compared as whole texts. Next: build on a listed builder, or propose a change of the list.";
    SourceUntrusted = "SOURCE_UNTRUSTED": "The provenance names a source repository that is not on the list, or none. Repositories are compared as whole texts, so that a longer name with a good beginning does not pass. Next: build from a listed repository, or propose a change of the list.";
    RefUntrusted = "REF_UNTRUSTED": "The artifact was built from a branch or tag that the gate does not accept, or the provenance does not say from which. Next: build from an accepted ref, such as a release tag, and publish that as the next version.";
    SbomMissing = "SBOM_MISSING": "No SBOM about the artifact is recorded. Next: make one in CycloneDX or SPDX, and hand it in with `lockgate attest --sbom`.";
    SbomTooSmall = "SBOM_TOO_SMALL": "The newest SBOM lists fewer components than the gate demands, which mostly means that the tool looked at the wrong thing. Next: make it from what is really shipped, and hand it in with `lockgate attest --sbom`.";
    SbomIncomplete = "SBOM_INCOMPLETE": "The gate demands a complete SBOM, and the newest one says that something is missing, or has components without version or without package URL or CPE. Next: let the tool resolve versions and identifiers, and hand in a new one with `lockgate attest --sbom`.";
    TestsMissing = "TESTS_MISSING": "No test results about the artifact are recorded; a run that was not reported does not count as passed. Next: hand in the report with `lockgate attest --tests`.";
    TestsFailed = "TESTS_FAILED": "More tests failed in the newest run than the gate allows. Next: fix them and publish the next version, or, if the run itself was at fault, run again and hand in the new report with `lockgate attest --tests`.";
    TestsTooFew = "TESTS_TOO_FEW": "Fewer tests passed in the newest run than the gate demands; skipped tests do not count. Next: find out why tests did not run, and hand in a full report with `lockgate attest --tests`.";
    TestsStale = "TESTS_STALE": "The newest test run is older than the gate allows. Next: run the tests on this very artifact again, and hand in the report with `lockgate attest --tests`.";
    ScanMissing = "SCAN_MISSING": "No vulnerability scan of the artifact is recorded; an artifact that nobody scanned does not count as clean. Next: scan it, and hand in the report with `lockgate attest --scan`.";
    ScanStale = "SCAN_STALE": "Every scan of the artifact is older than the gate allows, so newer vulnerabilities would be missed. Next: scan it again, and hand in the report with `lockgate attest --scan`.";
    VulnerabilitiesFound = "VULNERABILITIES_FOUND": "The newest scan has findings that the gate blocks. Next: upgrade the packages that `found` names and publish the next version; where that is not possible, ask for a waiver of the finding, which another person has to grant.";
    NotCertified = "NOT_CERTIFIED": "This very release has not been allowed in an environment that it has to come from. Next: promote it there first with `lockgate promote`.";
    Soaking = "SOAKING": "The release has been allowed where it has to come from, but not for long enough. Next: wait until the time that `found` names; the promotion is then decided again.";
    VersionPrerelease = "VERSION_PRERELEASE": "The version is a pre-release, such as 2.0.0-rc.1, and the gate accepts none. Next: publish the final version with `lockgate push`.";
    VersionNotNewer = "VERSION_NOT_NEWER": "The environment runs the same or a newer version, by the order of semantic versions. Next: to go back on purpose, ask for a rollback with `lockgate rollback`, which is recorded as one; otherwise publish a newer version.";
    ReleaseNotesMissing = "RELEASE_NOTES_MISSING": "The release was published without release notes, and a release cannot be changed afterwards. Next: publish the next version with notes with `lockgate push --notes`.";
    QuorumNotMet = "QUORUM_NOT_MET": "Too few different people have approved. An approval counts when a person of the right group gave it, with a key of their own, for exactly this promotion, and had no other part in the release. Next: one of those whom `who` names runs `lockgate approve`.";
    QuorumGroup = "QUORUM_GROUP": "Every listed group has to be represented by people of its own, and one of them is not yet. Next: someone of the group that `found` names runs `lockgate approve`.";
    SodSelf = "SOD_SELF": "Whoever asked for a promotion cannot approve it, whatever their groups; no role is exempt. Next: ask one of those whom `lockgate why` names to approve.";
    SodAuthor = "SOD_AUTHOR": "Whoever published the release, or is named as author by its provenance, cannot approve it. Next: ask one of those whom `lockgate why` names to approve.";
    SodBuilder = "SOD_BUILDER": "Whoever built the release, or handed in evidence about it, cannot approve it. Next: ask one of those whom `lockgate why` names to approve.";
    SodDeployer = "SOD_DEPLOYER": "Whoever may deploy the release there, in person or through a machine account of theirs, cannot approve it. Next: ask one of those whom `lockgate why` names to approve.";
    SodRobot = "SOD_ROBOT": "Machines can publish and ask, and never approve. Next: ask one of the people whom `lockgate why` names to approve.";
    ApproverUnsuitable = "APPROVER_UNSUITABLE": "The policy set counts no approval by this person here: not enrolled, not in one of the groups that approve, or without a role that permits it. Next: ask one of those whom `lockgate why` names, or have an owner enrol the person in a group that approves.";
    ApproverRequired = "APPROVER_REQUIRED": "The gate names people whose own approval it wants, and not all of them have given it; a delegate cannot stand in for them. Next: those whom `who` names run `lockgate approve`.";
    ApprovalTooFast = "APPROVAL_TOO_FAST": "The gate wants every approval to be reviewed for a while, and one was signed sooner after its document was opened, or does not say when that was. Next: open it with `lockgate approve --open`, read it, and sign it again.";
    ApprovalWindowOver = "APPROVAL_WINDOW_OVER": "Approvals had to be given within a window after the request, and it has ended without enough of them. Next: ask anew with `lockgate promote`.";
    Deferred = "DEFERRED": "There are enough approvals, and the gate wants some time to pass after the request before anything is let in. Next: wait until the time that `found` names; the promotion is then decided again.";
    Rejected = "REJECTED": "A person rejected this promotion, which ends it. Next: settle the objection, then ask anew with `lockgate promote`; earlier approvals do not carry over.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a reason code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a reason code: `lockgate explain` lists them")]
pub struct ReasonError(String);

impl FromStr for Reason {
    type Err = ReasonError;
    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let found = Self::ALL.iter().find(|reason| reason.as_str() == text);
        found.copied().ok_or_else(|| ReasonError(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The sources of everything that makes gate results.
    const PRODUCERS: &[&str] = &[
        include_str!("decide.rs"),
        include_str!("duties.rs"),
        include_str!("gates/mod.rs"),
        include_str!("gates/coverage.rs"),
        include_str!("gates/approvals.rs"),
        include_str!("gates/certified.rs"),
        include_str!("gates/provenance.rs"),
        include_str!("gates/release_notes.rs"),
        include_str!("gates/sbom.rs"),
        include_str!("gates/tests.rs"),
        include_str!("gates/version.rs"),
        include_str!("gates/vulnerabilities.rs"),
    ];

    #[test]
    fn every_code_is_stable_in_shape_and_says_what_next() {
        let codes: BTreeSet<&str> = REASONS.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let (code, text) = (reason.as_str(), reason.explanation());
            assert!(REASONS.contains(&(code, text)));
            assert_eq!(code.parse::<Reason>().unwrap(), *reason);
            assert!(code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
            assert!(text.contains(" Next: ") && !text.contains('\n'), "{code}");
        }
    }

    #[test]
    fn every_code_is_produced_by_a_gate_or_the_decision() {
        for reason in Reason::ALL {
            let name = format!("Reason::{reason:?}");
            let used = PRODUCERS.iter().any(|source| {
                let code = source.split("#[cfg(test)]").next().unwrap_or_default();
                code.match_indices(&name)
                    .any(|(at, _)| !code[at + name.len()..].starts_with(|c: char| c.is_alphanumeric()))
            });
            assert!(used, "{name} is never produced: remove it, or its gate forgot it");
        }
    }
}
