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
    SignerUntrusted = "SIGNER_UNTRUSTED": "There is signed evidence of the right kind, and its signature may be good, but it is by no signer that the gate and `trust.toml` accept for this kind. Next: sign with an accepted key, or propose a change of the policy set that accepts this one.";
    EvidenceSignatureInvalid = "EVIDENCE_SIGNATURE_INVALID": "There is evidence of the right kind with a signature that does not verify: it, its proof, or what it was made over was changed, or it claims a key that did not make it. It counts for nothing, and stops no break-glass. Next: find out what was changed; then have it made and signed anew, and hand that in with `lockgate attest`.";
    SignatureExpired = "SIGNATURE_EXPIRED": "There is a signature, and the certificate behind it was not valid when it was made, so that it proves nobody. Renewing the certificate does not mend what was signed. No break-glass gets past a gate that asks for the artifact's own signature and found such a one. Next: have it signed again while the certificate is valid, and hand that in with `lockgate attest`.";
    EvidenceType = "EVIDENCE_TYPE": "There is a statement about the artifact whose predicate type comes near to one that is read, and is another: types are compared exactly, with case, version and ending. Next: sign it again under a type that docs/evidence.md lists, and hand that in with `lockgate attest`.";
    ProvenanceMissing = "PROVENANCE_MISSING": "No provenance about the artifact is recorded, so nothing says how and from what it was built. Next: have the build make one, and hand it in with `lockgate attest`.";
    BuilderUntrusted = "BUILDER_UNTRUSTED": "The provenance is signed by an accepted signer, but names a builder that is not on the list. Builders are compared as whole texts. Next: build on a listed builder, or propose a change of the list.";
    SourceUntrusted = "SOURCE_UNTRUSTED": "The provenance names a source repository that is not on the list, or none. Repositories are compared as whole texts, so that a longer name with a good beginning does not pass. Next: build from a listed repository, or propose a change of the list.";
    RefUntrusted = "REF_UNTRUSTED": "The artifact was built from a branch or tag that the gate does not accept, or the provenance does not say from which. Next: build from an accepted ref, such as a release tag, and publish that as the next version.";
    SbomMissing = "SBOM_MISSING": "No SBOM about the artifact is recorded. Next: make one in CycloneDX or SPDX, and hand it in with `lockgate attest --sbom`.";
    SbomTooSmall = "SBOM_TOO_SMALL": "The newest SBOM lists fewer components than the gate demands, which mostly means that the tool looked at the wrong thing. Next: make it from what is really shipped, and hand it in with `lockgate attest --sbom`.";
    SbomIncomplete = "SBOM_INCOMPLETE": "The gate demands a complete SBOM, and the newest one says that something is missing, or has components without version or without package URL or CPE. Of several that were handed in together each has to be complete. Next: let the tool resolve versions and identifiers, and hand in a new one with `lockgate attest --sbom`.";
    TestsMissing = "TESTS_MISSING": "No test results about the artifact are recorded; a run that was not reported does not count as passed. Next: hand in the report with `lockgate attest --tests`.";
    TestsFailed = "TESTS_FAILED": "More tests failed in the newest run than the gate allows. Reports that were handed in together are one run, and are added up. Next: fix them and publish the next version, or, if the run itself was at fault, run again and hand in the new report with `lockgate attest --tests`.";
    TestsTooFew = "TESTS_TOO_FEW": "Fewer tests passed in the newest run than the gate demands; skipped tests do not count. Next: find out why tests did not run, and hand in a full report with `lockgate attest --tests`.";
    TestsStale = "TESTS_STALE": "The newest test run is older than the gate allows. Next: run the tests on this very artifact again, and hand in the report with `lockgate attest --tests`.";
    ScanMissing = "SCAN_MISSING": "No vulnerability scan of the artifact is recorded; an artifact that nobody scanned does not count as clean. Next: scan it, and hand in the report with `lockgate attest --scan`.";
    ScanStale = "SCAN_STALE": "Every scan of the artifact is older than the gate allows, so newer vulnerabilities would be missed. Next: scan it again, and hand in the report with `lockgate attest --scan`.";
    VulnerabilitiesFound = "VULNERABILITIES_FOUND": "The newest scan has findings that the gate blocks. Next: upgrade the packages that `found` names and publish the next version; where that is not possible, ask for a waiver of the finding, which another person has to grant. Where the policy set ends waivers of what is known to be exploited, there is none for that.";
    WaiverEndedKev = "WAIVER_ENDED_KEV": "Somebody waived the finding, but it is known to be exploited since, and the policy set ends waivers by that. Next: upgrade the package now, as `fix` says; no waiver of it counts any more.";
    WaiverTooLong = "WAIVER_TOO_LONG": "Somebody waived the finding for longer than the policy set lets waivers last, so that it does not count. Next: ask for a shorter one with `lockgate waive request --for`, or upgrade the package, as `fix` says.";
    FeedMissing = "FEED_MISSING": "The gate asks a feed of vulnerabilities, KEV or EPSS, and no snapshot of it is recorded, so that nothing can be said. Next: fetch the newest one, and record it with `lockgate feed update`.";
    FeedStale = "FEED_STALE": "The newest recorded snapshot of a feed is older than the gate allows, so that newer warnings would be missed. Next: fetch the newest one, and record it with `lockgate feed update`.";
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
    Frozen = "FROZEN": "Somebody stopped this service, this environment or everything with an emergency freeze, and no gate of the policy set can let anything past it. Next: wait until the freeze ends or one of those whom `who` names lifts it; the promotion is then decided again.";
    PolicyExpired = "POLICY_EXPIRED": "The active policy set has said itself that it ends, and that time has come, so that everything is denied until somebody has looked at it again. Next: review it, move `expires_at` in `policy.toml`, and propose it with `lockgate policy activate`.";
    PolicyExpiresSoon = "POLICY_EXPIRES_SOON": "The active policy set ends soon; from then on everything is denied. Nothing is stopped yet. Next: review it, move `expires_at` in `policy.toml`, and propose it with `lockgate policy activate`.";
    BaselineMissing = "BASELINE_MISSING": "The gate compares with the release that runs, artifact by artifact, and nothing that counts is known about that one, or no single artifact of it has the name. What nobody reported is not better than anything. Next: hand in the same kind of report about the release that runs, or publish the next version under the names that its artifacts have, as `fix` says.";
    ArtifactUnsigned = "ARTIFACT_UNSIGNED": "Nobody signed the artifact itself, and the gate wants that; a signed statement about it, such as provenance, is another thing. Next: have one of the signers that `fix` names sign it, and hand in the bundle with `lockgate attest --attestation`.";
    ArtifactAbsent = "ARTIFACT_ABSENT": "The gate asks for the signature of an artifact by its name, and no artifact of the release is called so. Next: publish the next version with it, under that name, or propose a change of the gate's `artifacts`.";
    ArtifactSignatureInvalid = "ARTIFACT_SIGNATURE_INVALID": "There is a signature over the artifact, and it does not verify: it, its proof, or what it was made over was changed, or it claims a key that did not make it. No break-glass gets past a gate that asks for the artifact's signature and found such a one; one that is broken on other evidence counts for nothing, and stops no break-glass. Next: find out what was changed; then have the very bytes of the release signed again, and hand in the bundle, or publish them as the next version, with which nobody handed in a broken one.";
    SignatureRootUntrusted = "SIGNATURE_ROOT_UNTRUSTED": "The artifact, or evidence about it, is signed under authorities or logs that no trust root of the policy set names, so that nothing says whose signature it is. Next: have it signed under one that the policy set pins, or propose a change of the policy set that adds the root to `roots/`.";
    SignatureUnlogged = "SIGNATURE_UNLOGGED": "The artifact, or evidence about it, is signed by the right signer, and no transparency log proves it, which the gate or `trust.toml` wants. Next: sign it again with an entry in the log, and hand in that bundle.";
    SignatureUntimed = "SIGNATURE_UNTIMED": "Nothing proves when the artifact, or evidence about it, was signed, so that a certificate that was good for minutes proves nothing, or the gate wants a proved time. Next: sign it again with a timestamp or a log entry, and hand in that bundle.";
    SignatureUnverifiable = "SIGNATURE_UNVERIFIABLE": "The signature of the artifact, or of evidence about it, cannot be read, or is of a kind that this version does not verify. Next: sign it with ECDSA P-256 into a Sigstore bundle of version 0.3, and hand in the file as the tool wrote it.";
    EvidenceStale = "EVIDENCE_STALE": "Evidence of a kind that the gate wants is older than the gate allows. Next: make it again from this very artifact, and hand it in with `lockgate attest`.";
    EvidenceAbsent = "EVIDENCE_ABSENT": "Evidence of a kind that the gate wants young is not there, or none of it counts. Next: have it made from this very artifact, and hand it in with `lockgate attest`.";
    RefUnprotected = "REF_UNPROTECTED": "The branch or tag is not protected, or nobody who is believed says that it is. Next: have the forge protect the branch, build again, and publish that as the next version.";
    SlsaLevelLow = "SLSA_LEVEL_LOW": "The builder is accepted, but `trust.toml` does not believe that it reaches the SLSA build level that the gate demands. Next: build on a builder that does, or propose a change of `slsa_level` in `trust.toml`.";
    SourceRecordMissing = "SOURCE_RECORD_MISSING": "No signed record says how the very commit that was built came to be: who wrote, reviewed and merged it, and on which branch. Next: have the forge or its bridge make one, and hand it in with `lockgate attest`.";
    ReviewMissing = "REVIEW_MISSING": "Too few people besides its authors have reviewed the change. Names are compared through `aliases.toml`, and without regard to case. Next: have somebody else review it, build that, and publish it as the next version.";
    SourceLevelLow = "SOURCE_LEVEL_LOW": "No accepted verifier gives the built commit the SLSA source level that the gate demands. Next: hand in a verification summary of the source with `lockgate attest`, or build from a branch that reaches the level.";
    RebuildMissing = "REBUILD_MISSING": "Too few independent builders, each with a signer of its own, have built the same bytes. Next: have another builder build the same commit, and hand in its signed result with `lockgate attest`.";
    RebuildDiverges = "REBUILD_DIVERGES": "Another builder built other bytes. A difference is let through only when it is explained and a waiver names it. Next: make the build reproducible and publish the next version, or have each difference explained and ask for a waiver of its path.";
    SbomUnpinned = "SBOM_UNPINNED": "Components have no version, or one that stands for several: a range, `latest`, a snapshot. A reader that does not tell counts all of them. Next: pin them in the build, and hand in a new SBOM with `lockgate attest --sbom`.";
    LicenceDenied = "LICENCE_DENIED": "Something in the artifact can only be used under a licence that the gate does not accept. Next: replace it and publish the next version, or ask for a waiver of the licence expression, which another person has to grant.";
    LicenceUnknown = "LICENCE_UNKNOWN": "Components have no licence, or one that is no SPDX expression or that SPDX does not list, and what nobody says is not accepted. Next: let the tool resolve licences, and hand in a new SBOM with `lockgate attest --sbom`.";
    AnalysisMissing = "ANALYSIS_MISSING": "No analysis report about the artifact counts, or none by a tool that the gate names; what nobody analysed does not count as clean. Next: run the tool, and hand in its SARIF report with `lockgate attest --sarif`.";
    AnalysisStale = "ANALYSIS_STALE": "The newest analysis report is older than the gate allows. Next: run the tool again, and hand in its report with `lockgate attest --sarif`.";
    AnalysisFindings = "ANALYSIS_FINDINGS": "Analysis has more results than the gate allows. Next: repair what `found` names and publish the next version, or ask for a waiver of a result by its fingerprint, which another person has to grant.";
    SecretsMissing = "SECRETS_MISSING": "Nobody looked for secrets. Next: run the search, and hand in its report with `lockgate attest --report`.";
    SecretsStale = "SECRETS_STALE": "The newest search for secrets is older than the gate allows. Next: search again, and hand in the report with `lockgate attest --report`.";
    SecretsFound = "SECRETS_FOUND": "A search found more secrets than the gate allows. Next: revoke them first, because they are known; then take them out of the source and publish the next version.";
    CoverageMissing = "COVERAGE_MISSING": "No coverage report about the artifact is recorded. Next: hand in a Cobertura or LCOV report with `lockgate attest --report`.";
    CoverageLow = "COVERAGE_LOW": "Tests run less of the source than the gate demands; a report without branches proves nothing about them. Next: test more of it, and publish the next version.";
    CoverageDropped = "COVERAGE_DROPPED": "Tests run less of the source than of the release that runs, by more than the gate allows. Next: test what is new, and publish the next version.";
    CoverageStale = "COVERAGE_STALE": "The newest coverage report is older than the gate allows. Next: measure again, and hand in the report with `lockgate attest --report`.";
    PerformanceMissing = "PERFORMANCE_MISSING": "A metric of the budget was not measured, or not in the unit that the budget is written in. Next: measure it, and hand in the report with `lockgate attest --report`.";
    PerformanceOver = "PERFORMANCE_OVER": "A metric is outside its budget, or a tool says itself that a threshold was missed: in a report that gives a metric of the budget, or in the newest of its kind. Next: make it faster or smaller, and publish the next version.";
    PerformanceWorse = "PERFORMANCE_WORSE": "A metric is worse than that of the release that runs, by more than the gate allows, or the two reports disagree about whether lower or higher is better. Next: make it faster or smaller, and publish the next version.";
    PerformanceStale = "PERFORMANCE_STALE": "The newest measurement is older than the gate allows. Next: measure again, and hand in the report with `lockgate attest --report`.";
    CheckMissing = "CHECK_MISSING": "A check that the gate names has no result that counts; a check that did not run says nothing. Next: run it, and hand in the result with `lockgate attest --report`.";
    CheckFailed = "CHECK_FAILED": "A check that the gate names failed, or came out with a warning where the gate lets none through. Next: repair what it found, and publish the next version.";
    CheckStale = "CHECK_STALE": "The newest result of a check is older than the gate allows. Next: run it again, and hand in the result with `lockgate attest --report`.";
    ChangeMissing = "CHANGE_MISSING": "No ticket of a change-management system is recorded for the artifact. Next: have one made, and hand it in with `lockgate attest --report`.";
    ChangeNotApproved = "CHANGE_NOT_APPROVED": "The newest change ticket is not of an accepted system, not in an accepted state, not approved there by enough people, or does not say when it is planned for. Next: settle that in the change-management system, and hand the ticket in again with `lockgate attest --report`.";
    ChangeNotOpen = "CHANGE_NOT_OPEN": "The change ticket allows the change, but only later. Next: wait until the time that `found` names; the promotion is then decided again.";
    ChangeOver = "CHANGE_OVER": "The time for which the change ticket was planned is over. Next: have it planned anew, and hand it in again with `lockgate attest --report`.";
    ConfigurationMissing = "CONFIGURATION_MISSING": "A configuration that the gate names is not known for this environment. Next: hand in its name and digest with `lockgate attest --report`.";
    ConfigurationChanged = "CONFIGURATION_CHANGED": "A configuration differs from that of the release that runs, and the gate wants it unchanged. Next: promote with the configuration that runs, or ask for a waiver of its name, which another person has to grant.";
    FlagsMissing = "FLAGS_MISSING": "The state of the feature flags in this environment is not known. Next: read it, and hand it in with `lockgate attest --report`.";
    FlagsStale = "FLAGS_STALE": "The newest state of the feature flags is older than the gate allows, so that somebody may have set them since. Next: read the flags again, and hand them in with `lockgate attest --report`.";
    FlagState = "FLAG_STATE": "A feature flag does not stand as the gate demands. A flag that nobody reports is neither on nor off. Next: set it, read the flags again, and hand them in with `lockgate attest --report`.";
    WindowClosed = "WINDOW_CLOSED": "Nothing is let in at this time: no window allows it, or one denies it, and what denies wins. Next: wait until the time that `found` names; the promotion is then decided again.";
    NeighboursUnknown = "NEIGHBOURS_UNKNOWN": "The gate counts what all services let into the environment, and the facts do not say what the others run there. What nobody gathered is not nothing. Next: decide with a version of Lockgate that gathers it, or propose a policy set whose gate leaves `all_services` out.";
    EnvironmentBusy = "ENVIRONMENT_BUSY": "Other releases are still on their way into the environment, and it takes in only so many at once. Next: wait until the time that `found` names; the promotion is then decided again.";
    RegoDenied = "REGO_DENIED": "A module of the policy set finds something to deny; `found` has its words. Next: do what `fix` says, or what the module's words say; `lockgate policy input` shows what the module saw.";
    RegoUndefined = "REGO_UNDEFINED": "The rule that the gate asks has no value on these facts, and no value is no pass. Next: write it so that it always gives a set, as rules with `contains` do, and show that in a policy test.";
    RegoError = "REGO_ERROR": "The evaluation of a module ended in an error, or in a value that is no set or array of denials, and an error never passes. Next: see `found` for the file and line, correct the module, and run `lockgate policy test`.";
    RegoBudget = "REGO_BUDGET": "The evaluation of a module had too much of something: steps, bytes in one call, or facts to look at. The steps are counted and not timed, so that it comes out the same everywhere. Next: have the module look at less, such as by leaving out loops in loops, and run `lockgate policy test`.";
    RegoEvidenceMissing = "REGO_EVIDENCE_MISSING": "The gate names kinds of evidence in `needs`, and one of them does not count for an artifact, so that the module's answer would rest on nothing. Next: hand it in with `lockgate attest`.";
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
        include_str!("gates/analysis.rs"),
        include_str!("gates/approvals.rs"),
        include_str!("gates/capacity.rs"),
        include_str!("gates/certified.rs"),
        include_str!("gates/change_ticket.rs"),
        include_str!("gates/checks.rs"),
        include_str!("gates/configuration.rs"),
        include_str!("gates/coverage.rs"),
        include_str!("gates/ending.rs"),
        include_str!("gates/feature_flags.rs"),
        include_str!("gates/feeds.rs"),
        include_str!("gates/freshness.rs"),
        include_str!("gates/licences.rs"),
        include_str!("gates/mistyped.rs"),
        include_str!("gates/performance.rs"),
        include_str!("gates/provenance.rs"),
        include_str!("gates/rego.rs"),
        include_str!("gates/release_notes.rs"),
        include_str!("gates/reproducible.rs"),
        include_str!("gates/sbom.rs"),
        include_str!("gates/secrets.rs"),
        include_str!("gates/signature.rs"),
        include_str!("gates/source_review.rs"),
        include_str!("gates/test_coverage.rs"),
        include_str!("gates/tests.rs"),
        include_str!("gates/version.rs"),
        include_str!("gates/vulnerabilities.rs"),
        include_str!("gates/waivers.rs"),
        include_str!("gates/windows.rs"),
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
