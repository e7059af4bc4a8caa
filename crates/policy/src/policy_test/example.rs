//! Examples: a policy test as the facts that it describes.

use std::collections::BTreeMap;

use lockgate_model::facts::{
    ARTIFACT_SIGNATURE, ApprovalFact, Artifact, Binding, Certified, CheckOutcome, Claim, DelegationFact, EvidenceFact,
    Facts, FeedFact, FeedKind, FreezeFact, NamedCheck, Origin, PersonFact, PromotionFacts, PromotionKind, ReleaseFacts,
    Running, SubjectKind, Verdict, WaiverFact,
};
use lockgate_model::{
    Digest, EntryIndex, GroupName, PersonId, PromotionId, ReleaseName, ServiceName, SignerName, Span, UnixMillis,
};

use super::claim::{ago, configuration, flags};
use super::entry::{FreezeEntry, TestEntry, WaiverEntry};
use crate::policy_set::PolicySet;

/// The time of every policy test that does not say another: 2026-01-01T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

const PROMOTION: PromotionId = PromotionId(2);
const EARLIER: PromotionId = PromotionId(1);

/// What a test says about the release and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) release: ReleaseName,
    pub(super) requester: PersonId,
    pub(super) entry: TestEntry,
}

/// A claim, who signed it, and when it was recorded.
type Said<'a> = (Claim, Option<&'a SignerName>, UnixMillis);

impl Example {
    fn now(&self) -> UnixMillis {
        self.entry.at.map_or(NOW, |moment| moment.0)
    }

    fn publisher(&self) -> &PersonId {
        self.entry.publisher.as_ref().unwrap_or(&self.requester)
    }

    /// Makes the facts that the example describes.
    pub(super) fn facts(&self, policy: &PolicySet) -> Facts {
        let (entry, now) = (&self.entry, self.now());
        let running = self.running();
        let certified = entry.certified.iter().map(|(environment, age)| Certified {
            environment: environment.clone(),
            promotion: EARLIER,
            since: ago(now, *age),
        });
        let neighbours = entry.neighbours.iter().map(|(service, age)| self.neighbour(service, *age));
        Facts {
            schema: Facts::SCHEMA.to_owned(),
            time: now,
            promotion: self.promotion(),
            release: self.release_facts(),
            evidence: self.evidence(policy),
            running_evidence: if running.is_some() { self.evidence_before() } else { Vec::new() },
            running_artifacts: if running.is_some() { self.artifacts_before() } else { Vec::new() },
            running,
            neighbours: Some(neighbours.collect()),
            freezes: entry.freeze.iter().map(|freeze| frozen(freeze, now)).collect(),
            break_glass: None,
            certified: certified.collect(),
            approvals: self.approvals(policy),
            waivers: entry.waivers.iter().map(|waiver| waived(waiver, now)).collect(),
            feeds: FeedKind::ALL.iter().map(|kind| fresh(*kind, now)).collect(),
            delegations: entry.delegations.iter().map(|(to, from)| delegation(to, from, now)).collect(),
            people: entry.people.iter().map(|(person, groups)| (person.clone(), enrolled(groups))).collect(),
        }
    }

    fn promotion(&self) -> PromotionFacts {
        PromotionFacts {
            id: PROMOTION,
            environment: self.entry.environment.clone(),
            kind: if self.entry.rollback { PromotionKind::Rollback } else { PromotionKind::Promotion },
            requester: self.requester.clone(),
            reason: "policy test".to_owned(),
            requested_at: self.entry.requested.map_or(self.now(), |age| ago(self.now(), age)),
        }
    }

    fn release_facts(&self) -> ReleaseFacts {
        ReleaseFacts {
            name: self.release.clone(),
            manifest: self.manifest(),
            artifacts: vec![Artifact { digest: artifact(), name: "artifact".to_owned(), size_bytes: 1 }],
            source: None,
            notes: self.entry.notes.then(|| Digest::of(b"release notes of a policy test")),
            published_by: self.publisher().clone(),
            published_at: self.now(),
        }
    }

    fn manifest(&self) -> Digest {
        Digest::of(self.release.to_string().as_bytes())
    }

    fn running(&self) -> Option<Running> {
        let version = self.entry.running.clone()?;
        let release = ReleaseName { service: self.release.service.clone(), version };
        let manifest = Digest::of(release.to_string().as_bytes());
        let since = self.entry.running_for.map_or(UnixMillis(0), |age| ago(self.now(), age));
        Some(Running { release, manifest, since, promotion: EARLIER })
    }

    fn artifacts_before(&self) -> Vec<Artifact> {
        let artifact = |name: &String| Artifact { digest: artifact_before(name), name: name.clone(), size_bytes: 1 };
        self.entry.running_artifacts.iter().map(artifact).collect()
    }

    fn neighbour(&self, service: &ServiceName, age: Span) -> Running {
        let release = ReleaseName { service: service.clone(), version: self.release.version.clone() };
        let manifest = Digest::of(release.to_string().as_bytes());
        Running { release, manifest, since: ago(self.now(), age), promotion: EARLIER }
    }

    fn approvals(&self, policy: &PolicySet) -> Vec<ApprovalFact> {
        let binds = Binding {
            promotion: PROMOTION,
            manifest: self.manifest(),
            environment: self.entry.environment.clone(),
            policy: policy.digest(),
            replaces: self.running().map(|running| running.manifest),
        };
        let verdicts = self.entry.approvals.iter().map(|person| (person, Verdict::Approve));
        let verdicts = verdicts.chain(self.entry.rejections.iter().map(|person| (person, Verdict::Reject)));
        verdicts
            .map(|(person, verdict)| ApprovalFact {
                person: person.clone(),
                key: format!("SHA256:{person}"),
                verdict,
                index: EntryIndex(100),
                recorded_at: self.now(),
                expires_at: self.now().plus(policy.settings().approval_ttl),
                binds: binds.clone(),
                key_valid: true,
                review_seconds: self.entry.reviewed.map(Span::secs),
                withdrawn: false,
                misdescribed: false,
            })
            .collect()
    }

    /// Everything that is known about the release, a signature over its artifact last.
    fn evidence(&self, policy: &PolicySet) -> Vec<EvidenceFact> {
        let mut facts = self.numbered(self.said());
        if let Some(entry) = &self.entry.signature {
            let last = facts.last().map_or(0, |fact| fact.index.0);
            facts.push(EvidenceFact {
                evidence: Digest::of(b"signature of a policy test"),
                index: EntryIndex(last.saturating_add(1)),
                recorded_at: self.now(),
                artifacts: vec![artifact()],
                origin: Origin::Signed { signers: entry.proven() },
                claim: Claim::Unknown { predicate_type: ARTIFACT_SIGNATURE.to_owned() },
                signature: Some(Box::new(entry.proof(policy, self.now()))),
            });
        }
        facts
    }

    /// Everything that is known about the release that runs: about all of its artifacts, where a claim names none.
    fn evidence_before(&self) -> Vec<EvidenceFact> {
        let mut facts = self.numbered(self.said_before());
        let all: Vec<Digest> = self.entry.running_artifacts.iter().map(|name| artifact_before(name)).collect();
        if !all.is_empty() {
            facts.iter_mut().for_each(|fact| fact.artifacts.clone_from(&all));
        }
        // The claims come last.
        let claims = self.entry.claims.iter().filter(|one| one.of_running);
        for (fact, claim) in facts.iter_mut().rev().zip(claims.rev()) {
            if let Some(name) = &claim.artifact {
                fact.artifacts = vec![artifact_before(name)];
            }
        }
        facts
    }

    /// What is known about the release.
    fn said(&self) -> Vec<Said<'_>> {
        let (entry, now) = (&self.entry, self.now());
        let mut said: Vec<Said<'_>> = Vec::new();
        said.extend(entry.provenance.as_ref().map(|one| (one.claim(now), one.signer.as_ref(), now)));
        said.extend(entry.source.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.rebuilds.iter().map(|one| (one.claim(artifact()), one.signer.as_ref(), now)));
        said.extend(entry.sbom.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.tests.as_ref().map(|one| (one.claim(now), one.signer.as_ref(), now)));
        said.extend(entry.coverage.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.performance.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.vulnerabilities.as_ref().map(|one| (one.claim(now), one.signer.as_ref(), now)));
        said.extend(entry.vex.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.analysis.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.secrets.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        said.extend(entry.checks.iter().map(|(name, outcome)| (checked(name, *outcome), None, now)));
        said.extend(entry.change.as_ref().map(|one| (one.claim(), one.signer.as_ref(), now)));
        let configurations = entry.configuration.iter();
        said.extend(configurations.map(|(name, text)| (configuration(name, text, &entry.environment), None, now)));
        if !entry.flags.is_empty() {
            said.push((flags(&entry.flags), None, now));
        }
        said.extend(self.claims(false));
        said
    }

    /// What is known about the release that runs.
    fn said_before(&self) -> Vec<Said<'_>> {
        let (entry, now) = (&self.entry, self.now());
        let mut said: Vec<Said<'_>> = Vec::new();
        let coverage = entry.coverage.as_ref().and_then(|one| Some((one.before()?, one.signer.as_ref(), now)));
        let performance = entry.performance.as_ref().and_then(|one| Some((one.before()?, one.signer.as_ref(), now)));
        let analysis = entry.analysis.as_ref().and_then(|one| Some((one.before()?, one.signer.as_ref(), now)));
        said.extend(coverage.into_iter().chain(performance).chain(analysis));
        let configurations = entry.configuration_before.iter();
        said.extend(configurations.map(|(name, text)| (configuration(name, text, &entry.environment), None, now)));
        said.extend(self.claims(true));
        said
    }

    fn claims(&self, of_running: bool) -> impl Iterator<Item = Said<'_>> {
        let now = self.now();
        let wanted = self.entry.claims.iter().filter(move |one| one.of_running == of_running);
        wanted.map(move |one| {
            let recorded_at = one.age.map_or(now, |age| ago(now, age));
            (one.claim.clone(), one.signer.as_ref(), recorded_at)
        })
    }

    /// Evidence of claims, in order.
    fn numbered(&self, said: Vec<Said<'_>>) -> Vec<EvidenceFact> {
        (1u64..)
            .zip(said)
            .map(|(index, (claim, signer, recorded_at))| EvidenceFact {
                evidence: Digest::of(format!("{} {index}", claim.kind()).as_bytes()),
                index: EntryIndex(index),
                recorded_at,
                artifacts: vec![artifact()],
                origin: match signer {
                    Some(signer) => Origin::Signed { signers: vec![signer.clone()] },
                    None => Origin::OnBehalf { by: self.publisher().clone() },
                },
                claim,
                signature: None,
            })
            .collect()
    }
}

fn artifact() -> Digest {
    Digest::of(b"artifact of a policy test")
}

/// An artifact of the release that runs.
fn artifact_before(name: &str) -> Digest {
    Digest::of(format!("{name} of what runs in a policy test").as_bytes())
}

fn checked(name: &str, outcome: CheckOutcome) -> Claim {
    Claim::Check(NamedCheck {
        name: name.to_owned(),
        outcome,
        detail: None,
        tool: None,
        tool_version: None,
        checked_at: None,
    })
}

fn enrolled(groups: &[GroupName]) -> PersonFact {
    PersonFact { kind: SubjectKind::Person, groups: groups.to_vec(), keyless: false }
}

/// A delegation from before the approvals, of all groups, for another day.
fn delegation(to: &PersonId, from: &PersonId, now: UnixMillis) -> DelegationFact {
    DelegationFact {
        from: from.clone(),
        to: to.clone(),
        groups: Vec::new(),
        expires_at: now.plus(Span::from_secs(86_400)),
        index: EntryIndex(99),
    }
}

fn waived(entry: &WaiverEntry, now: UnixMillis) -> WaiverFact {
    WaiverFact {
        gate: entry.gate.clone(),
        finding: Some(entry.finding.clone()),
        asked_by: entry.asked_by.clone(),
        granted_by: entry.granted_by.clone(),
        expires_at: now.plus(entry.left),
        index: EntryIndex(98),
        release: None,
        artifact: None,
        granted_at: Some(now),
    }
}

/// A snapshot of the feed of this very moment; what a test says of its findings is all that is known of them.
fn fresh(feed: FeedKind, now: UnixMillis) -> FeedFact {
    FeedFact {
        feed,
        digest: Digest::of(feed.as_str().as_bytes()),
        index: EntryIndex(96),
        date: now,
        kev: BTreeMap::new(),
        epss_millionths: BTreeMap::new(),
    }
}

fn frozen(entry: &FreezeEntry, now: UnixMillis) -> FreezeFact {
    FreezeFact {
        index: EntryIndex(97),
        service: None,
        environment: None,
        by: entry.by.clone(),
        reason: entry.reason.clone(),
        since: ago(now, Span::from_secs(60)),
        until: None,
        spares_rollbacks: entry.spares_rollbacks,
    }
}

#[cfg(test)]
mod tests {
    use crate::policy_test::run_tests;
    use crate::sample::{files, gate};
    use crate::{PolicyError, PolicySet};

    /// A test of `p95` = 110, whose release has an artifact called `artifact`, and a gate that lets it be 10% worse.
    fn with(fields: &str) -> Result<PolicySet, Vec<PolicyError>> {
        let budget = "budget = { p95 = { unit = \"us\", max_worse = \"10%\" } }";
        let mut files = files(&gate(&format!("kind = \"performance\"\n{budget}\n")));
        let test = "[[test]]\nname = \"t\"\nenvironment = \"production\"\nexpect = \"allow\"\nrunning = \"1.4.1\"";
        files.insert("tests/a.toml".to_owned(), format!("{test}\n{fields}\n"));
        PolicySet::from_files(files)
    }

    fn measured(artifact: &str, value: u64) -> String {
        let metric = format!("{{ name = \"p95\", unit = \"us\", value = {value}, better = \"lower\" }}");
        let claim =
            format!("{{ kind = \"performance\", format = \"k6\", metrics = [{metric}], missed_thresholds = [] }}");
        format!("{{ of_running = true, {artifact}claim = {claim} }}")
    }

    #[test]
    fn a_claim_can_be_about_one_artifact_of_what_runs() {
        let now = "performance = { metrics = { p95 = { value = 110, unit = \"us\" } } }";
        let row = |names: &str, claims: &[(&str, u64)], reason: &str| {
            let claims: Vec<String> = claims.iter().map(|(artifact, value)| measured(artifact, *value)).collect();
            let set = with(&format!("{now}\nrunning_artifacts = [{names}]\nclaims = [{}]", claims.join(", "))).unwrap();
            let result = run_tests(&set).remove(0);
            assert!(result.detail.contains(reason), "{names}: {}", result.detail);
        };
        let (own, worker) = ("artifact = \"artifact\", ", "artifact = \"worker\", ");
        let names = "\"artifact\", \"worker\"";
        row(names, &[(own, 100), (worker, 10)], "SATISFIED");
        row(names, &[(own, 10), (worker, 100)], "PERFORMANCE_WORSE");
        row(names, &[(worker, 100)], "BASELINE_MISSING");
        // About all of them, and as without any of them the newest counts.
        row(names, &[(worker, 10), ("", 100)], "SATISFIED");
        row("", &[("", 10), ("", 100)], "SATISFIED");
        row("", &[("", 100), ("", 10)], "PERFORMANCE_WORSE");
        row("\"worker\"", &[(worker, 10)], "PERFORMANCE_WORSE");
        row("\"worker\", \"web\"", &[("", 100)], "SATISFIED");
    }

    #[test]
    fn a_claim_about_an_artifact_that_is_not_there_is_refused() {
        let row = |fields: &str| {
            let errors = with(fields).map(|_| ()).unwrap_err();
            assert!(errors[0].message.contains("a claim about `worker`"), "{errors:?}");
        };
        row(&format!("claims = [{}]", measured("artifact = \"worker\", ", 1)));
        let own = measured("artifact = \"worker\", ", 1).replace("of_running = true", "of_running = false");
        row(&format!("running_artifacts = [\"worker\"]\nclaims = [{own}]"));
    }
}
