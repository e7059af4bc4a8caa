//! The `source` gate: the commit that was built lies on a protected branch of an accepted repository, and others than
//! its authors have reviewed it (SLSA source track).

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::SignerName;
use lockgate_model::facts::{Artifact, Claim, EvidenceFact, Origin, SourceRecord};
use serde::Deserialize;

use super::coverage::{Covered, Demand, Shortfall, every_artifact};
use super::{Assessment, Context, Problem, Standing, signer_problems};
use crate::duties::{Names, names_of};
use crate::explain::Reason;
use crate::pattern::Pattern;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;
use crate::wording::{counted, few, shown};

/// What a summary's level starts with when it is about source (SLSA 1.2, source track).
const LEVEL_PREFIX: &str = "SLSA_SOURCE_LEVEL_";

/// Demands a signed record about the very commit that signed provenance names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceGate {
    /// Whose signature on the record counts; names of `trust.toml`.
    pub signed_by: Vec<SignerName>,
    /// Which repositories are accepted, compared as whole texts; every one where it is left out.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// Which refs the commit may be on; every one where it is left out.
    #[serde(default)]
    pub refs: Vec<Pattern>,
    /// Whether the ref has to be protected; it has to where it is left out.
    #[serde(default = "yes")]
    pub protected: bool,
    /// How many people besides the authors have to have reviewed it; 1 where it is left out. Where no author is known,
    /// nobody has.
    #[serde(default = "one")]
    pub reviewers: u64,
    /// Which SLSA source level a verification summary by one of `level_signed_by` has to give it.
    #[serde(default)]
    pub level: Option<u8>,
    /// Whose verification summaries of source count; names of `trust.toml`.
    #[serde(default)]
    pub level_signed_by: Vec<SignerName>,
}

const fn yes() -> bool {
    true
}

const fn one() -> u64 {
    1
}

impl SourceGate {
    pub(super) fn problems(&self, policy: &PolicySet) -> Vec<Problem> {
        let mut problems = signer_problems(&self.signed_by, EvidenceKind::Source, policy);
        problems.extend(signer_problems(&self.level_signed_by, EvidenceKind::Summary, policy));
        if self.signed_by.is_empty() {
            problems.push(Problem::new("`signed_by` is empty: name at least one signer of trust.toml"));
        }
        if self.level.is_some_and(|level| !(1..=4).contains(&level)) {
            problems.push(Problem::new("`level` is not a source level: write 1 to 4 (SLSA 1.2, source track)"));
        }
        if self.level.is_some() == self.level_signed_by.is_empty() {
            problems.push(Problem::new("`level` and `level_signed_by` go together: write both or neither"));
        }
        for pattern in
            self.refs.iter().filter(|pattern| pattern.is_everything() || !pattern.as_str().starts_with("refs/"))
        {
            problems.push(Problem::new(format!(
                "`{pattern}` is not a full ref: write one such as `refs/heads/main` or `refs/tags/v*`"
            )));
        }
        problems
    }

    pub(super) fn assess(&self, ctx: Context<'_>) -> Assessment {
        let result = every_artifact(ctx, |artifact| self.check(ctx, artifact));
        Assessment::of_coverage(
            result,
            self.needed(),
            || ctx.groups_that_may(Permission::Attest),
            |reason| match reason {
                Reason::ProvenanceMissing => ctx.attest("--provenance provenance.dsse.json"),
                Reason::SourceLevelLow => ctx.attest("--attestation source.dsse.json"),
                Reason::SourceRecordMissing
                | Reason::EvidenceUnsigned
                | Reason::SignerUntrusted
                | Reason::EvidenceSignatureInvalid
                | Reason::SignatureExpired
                | Reason::SignatureRootUntrusted
                | Reason::SignatureUntimed
                | Reason::SignatureUnlogged
                | Reason::SignatureUnverifiable
                | Reason::EvidenceType => self.demand().fix(ctx, reason, "--attestation source.dsse.json"),
                Reason::ReviewMissing => {
                    format!("have somebody else review the change and merge it, then: {}", ctx.push_next(""))
                }
                _ => format!("merge it into an accepted, protected branch, build that, then: {}", ctx.push_next("")),
            },
        )
    }

    fn needed(&self) -> String {
        let mut needed = "a source record of the built commit".to_owned();
        if !self.repositories.is_empty() {
            needed.push_str(&format!(", from {}", few(&self.repositories, " or ")));
        }
        if !self.refs.is_empty() {
            needed.push_str(&format!(" at {}", few(&self.refs, " or ")));
        }
        if self.protected {
            needed.push_str(", a protected ref");
        }
        if self.reviewers > 0 {
            needed.push_str(&format!(", reviewed by {} besides its authors", counted(self.reviewers, "person")));
        }
        if let Some(level) = self.level {
            needed.push_str(&format!(", SLSA source level {level} or more"));
        }
        needed + &self.demand().signed_by_text()
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            kind: EvidenceKind::Source,
            signed_by: &self.signed_by,
            noun: "source record",
            missing: Reason::SourceRecordMissing,
        }
    }

    fn check(&self, ctx: Context<'_>, artifact: &Artifact) -> Result<Covered, Shortfall> {
        let Built { commits, authors, mut evidence } = built_from(ctx, artifact);
        if commits.is_empty() {
            let text = "no signed provenance that says from which commit it was built".to_owned();
            return Err(Shortfall { reason: Reason::ProvenanceMissing, text, evidence });
        }
        let records = self.demand().counted(ctx, artifact, |claim| match claim {
            Claim::Source(record) => Some(record),
            _ => None,
        })?;
        let about =
            |(_, record): &(&EvidenceFact, &SourceRecord)| commits.iter().all(|commit| record.commits.contains(commit));
        let newest = records.into_iter().filter(about).max_by_key(|(fact, _)| fact.index);
        let Some((fact, record)) = newest else {
            let text = format!("no source record of commit {}", few(commits.iter().map(|commit| shown(commit)), ", "));
            return Err(Shortfall { reason: Reason::SourceRecordMissing, text, evidence });
        };
        evidence.push(fact.evidence);
        let shortfall = |reason, text, evidence| Err(Shortfall { reason, text, evidence });
        let repository = record.repository.as_deref().map_or("no repository".to_owned(), shown);
        if !self.repositories.is_empty()
            && !record.repository.as_ref().is_some_and(|given| self.repositories.contains(given))
        {
            return shortfall(Reason::SourceUntrusted, format!("source from {repository}"), evidence);
        }
        let source_ref = record.source_ref.as_deref().map_or("no ref".to_owned(), shown);
        let has_ref = |given: &str| self.refs.iter().any(|pattern| pattern.matches(given));
        if !self.refs.is_empty() && !record.source_ref.as_deref().is_some_and(has_ref) {
            return shortfall(Reason::RefUntrusted, format!("source from {source_ref} of {repository}"), evidence);
        }
        if self.protected && record.ref_protected != Some(true) {
            let text = format!("source from {source_ref} of {repository}, which is not said to be protected");
            return shortfall(Reason::RefUnprotected, text, evidence);
        }
        let mut by_name = Names::default();
        for name in &record.authors {
            by_name.add(names_of(ctx.policy, name));
        }
        if by_name.is_empty() {
            // Provenance names who began the build: a reviewer, mostly, who merged it. Better than nobody.
            for name in authors {
                by_name.add(names_of(ctx.policy, name));
            }
        }
        let authors = by_name;
        let has_author = !authors.is_empty();
        let reviewers = independent(ctx, record, &authors);
        if u64::try_from(reviewers.len()).unwrap_or(u64::MAX) < self.reviewers {
            let by = match (reviewers.is_empty(), has_author) {
                (false, _) => few(reviewers.iter().map(|name| shown(name)), ", "),
                (true, true) => "nobody besides its authors".to_owned(),
                (true, false) => "nobody who is known not to have written it: no author is named".to_owned(),
            };
            return shortfall(Reason::ReviewMissing, format!("reviewed by {by}"), evidence);
        }
        let level = self.level_text(ctx, artifact, &commits, &mut evidence)?;
        let by = few(reviewers.iter().map(|name| shown(name)), ", ");
        let reviewed = if by.is_empty() { String::new() } else { format!(", reviewed by {by}") };
        Ok(Covered { text: format!("{source_ref} of {repository}{reviewed}{level}"), evidence, waived: false })
    }

    /// The source level that summaries give to the commits, in words; nothing where none is demanded.
    fn level_text(
        &self,
        ctx: Context<'_>,
        artifact: &Artifact,
        commits: &BTreeSet<&String>,
        evidence: &mut Vec<lockgate_model::Digest>,
    ) -> Result<String, Shortfall> {
        let Some(wanted) = self.level else { return Ok(String::new()) };
        let mut best: Option<(u8, &EvidenceFact)> = None;
        for fact in ctx.about(artifact.digest) {
            let Claim::Summary(summary) = &fact.claim else { continue };
            let counts = summary.passed
                && ctx.standing(fact, EvidenceKind::Summary, &self.level_signed_by) == Standing::Counts
                && commits.iter().all(|commit| summary.commits.contains(commit));
            let levels = summary.levels.iter().filter_map(|level| level.strip_prefix(LEVEL_PREFIX)?.parse::<u8>().ok());
            let level = levels.max().filter(|level| counts && best.is_none_or(|(known, _)| *level > known));
            best = level.map(|level| (level, fact)).or(best);
        }
        match best {
            Some((level, fact)) if level >= wanted => {
                evidence.push(fact.evidence);
                Ok(format!(", SLSA source level {level}"))
            }
            other => {
                let text = match other {
                    Some((level, _)) => format!("SLSA source level {level}"),
                    None => "no verification summary of the built commit".to_owned(),
                };
                Err(Shortfall { reason: Reason::SourceLevelLow, text, evidence: evidence.clone() })
            }
        }
    }
}

/// What signed provenance says of the source.
#[derive(Debug, Default)]
struct Built<'a> {
    commits: BTreeSet<&'a String>,
    authors: BTreeSet<&'a String>,
    /// Where it names a commit.
    evidence: Vec<lockgate_model::Digest>,
}

fn built_from<'a>(ctx: Context<'a>, artifact: &Artifact) -> Built<'a> {
    let mut built = Built::default();
    for fact in ctx.about(artifact.digest) {
        let Claim::Provenance(claim) = &fact.claim else { continue };
        let signed = matches!(fact.origin, Origin::Signed { .. })
            && ctx.standing(fact, EvidenceKind::Provenance, &[]) == Standing::Counts;
        if !signed {
            continue;
        }
        built.authors.extend(&claim.authors);
        if let Some(commit) = &claim.source_commit {
            built.commits.insert(commit);
            built.evidence.push(fact.evidence);
        }
    }
    built
}

/// The reviewers who are none of the authors, in whatever order the record has them: those who may be each other count
/// once, as the first of them. None where no author is known: nobody can tell then that they are others.
fn independent<'a>(ctx: Context<'_>, record: &'a SourceRecord, authors: &Names) -> Vec<&'a str> {
    if authors.is_empty() {
        return Vec::new();
    }
    let named = record.reviewers.iter().map(|name| (name.as_str(), names_of(ctx.policy, name)));
    let named: Vec<(&str, Names)> = named.filter(|(_, names)| !names.is_empty()).collect();
    // Whoever may be an author is none of the others under any other name that is surely theirs.
    let exact: Vec<BTreeSet<&str>> =
        named.iter().map(|(_, names)| names.exact.iter().map(String::as_str).collect()).collect();
    let people = first_of_group(&exact);
    let with_person = || named.iter().zip(&people);
    let may_be_author = |((_, names), person): (&(&str, Names), &usize)| names.may_be(authors).then_some(*person);
    let barred: BTreeSet<usize> = with_person().filter_map(may_be_author).collect();
    let others: Vec<&(&str, Names)> =
        with_person().filter(|(_, person)| !barred.contains(*person)).map(|(named, _)| named).collect();
    // Two may be each other where one has a name that is surely the other's.
    let sure: BTreeSet<&str> = others.iter().flat_map(|(_, names)| names.exact.iter().map(String::as_str)).collect();
    let shared: Vec<BTreeSet<&str>> = others
        .iter()
        .map(|(_, names)| names.wide.iter().map(String::as_str).filter(|name| sure.contains(name)).collect())
        .collect();
    let firsts = first_of_group(&shared).into_iter().enumerate();
    firsts.zip(&others).filter(|((at, first), _)| at == first).map(|(_, (name, _))| *name).collect()
}

/// Of each set, which is the first in its group; sets that share a name are in one group, directly or through others.
fn first_of_group(sets: &[BTreeSet<&str>]) -> Vec<usize> {
    let mut holders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, names) in sets.iter().enumerate() {
        for name in names {
            holders.entry(*name).or_default().push(at);
        }
    }
    let mut firsts: BTreeMap<usize, usize> = BTreeMap::new();
    for first in 0..sets.len() {
        let mut open = vec![first];
        while let Some(at) = open.pop() {
            if firsts.contains_key(&at) {
                continue;
            }
            firsts.insert(at, first);
            // Each name is followed once.
            for name in sets.get(at).into_iter().flatten() {
                open.extend(holders.remove(name).into_iter().flatten());
            }
        }
    }
    firsts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide;
    use crate::decision::GateOutcome::{Fail, Pass};
    use crate::sample::{check, evidence, facts, files, gate, on_behalf, provenance, signed};
    use lockgate_model::facts::{Provenance, VerificationSummary};

    const GATE: &str = r#"
kind = "source"
signed_by = ["ci"]
repositories = ["https://git.example/shop/good"]
refs = ["refs/heads/main"]
"#;
    const COMMIT: &str = "3f786850e387550fdab836ed7e6dc881de23001b";

    fn built() -> EvidenceFact {
        let claim = Provenance { source_commit: Some(COMMIT.to_owned()), ..provenance() };
        evidence(1, signed(&["ci"]), Claim::Provenance(claim))
    }

    fn record() -> SourceRecord {
        SourceRecord {
            format: "lockgate-review".to_owned(),
            repository: Some("https://git.example/shop/good".to_owned()),
            source_ref: Some("refs/heads/main".to_owned()),
            commits: vec![COMMIT.to_owned()],
            authors: vec!["dana".to_owned()],
            reviewers: vec!["sam".to_owned()],
            ref_protected: Some(true),
            controls: vec![],
            created_at: None,
        }
    }

    #[test]
    fn the_built_commit_is_reviewed_on_a_protected_branch() {
        let row = |more: &str, change: fn(&mut SourceRecord), outcome, reason| {
            let mut record = record();
            change(&mut record);
            let facts = vec![built(), evidence(2, signed(&["ci"]), Claim::Source(record))];
            check(&format!("{GATE}{more}\n"), |_, known| known.evidence = facts, outcome, reason)
        };
        let result = row("", |_| {}, Pass, Reason::Satisfied);
        assert_eq!(result.evidence.len(), 2);
        row("", |record| record.commits = vec!["0".repeat(40)], Fail, Reason::SourceRecordMissing);
        row(
            "",
            |record| record.repository = Some("https://git.example/shop/good-evil".to_owned()),
            Fail,
            Reason::SourceUntrusted,
        );
        row("", |record| record.repository = None, Fail, Reason::SourceUntrusted);
        row("", |record| record.source_ref = Some("refs/heads/mainly".to_owned()), Fail, Reason::RefUntrusted);
        row("", |record| record.ref_protected = None, Fail, Reason::RefUnprotected);
        row("", |record| record.ref_protected = Some(false), Fail, Reason::RefUnprotected);
        row("protected = false", |record| record.ref_protected = None, Pass, Reason::Satisfied);
        row("", |record| record.reviewers.clear(), Fail, Reason::ReviewMissing);
        // Nobody reviews what they wrote, in whatever case they write their name, and nobody counts twice.
        row("", |record| record.reviewers = vec!["Dana ".to_owned()], Fail, Reason::ReviewMissing);
        row(
            "reviewers = 2",
            |record| record.reviewers = vec!["sam".to_owned(), "SAM".to_owned()],
            Fail,
            Reason::ReviewMissing,
        );
        row("reviewers = 2", |record| record.reviewers.push("ines".to_owned()), Pass, Reason::Satisfied);
        row("reviewers = 0", |record| record.reviewers.clear(), Pass, Reason::Satisfied);
    }

    #[test]
    fn nobody_reviews_what_they_wrote_under_another_name() {
        const ALIASES: &str =
            "[[aliases]]\nperson = \"dan\"\nnames = [\"dana@example.com\", \"github:12345\", \"DD\"]\n";
        let row = |wanted: u64, built_by: &[&str], authors: &[&str], reviewers: &[&str], expected: Reason| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
            let claim = Provenance { source_commit: Some(COMMIT.to_owned()), authors: owned(built_by), ..provenance() };
            let record = SourceRecord { authors: owned(authors), reviewers: owned(reviewers), ..record() };
            let mut facts = facts();
            facts.evidence = vec![
                evidence(1, signed(&["ci"]), Claim::Provenance(claim)),
                evidence(2, signed(&["ci"]), Claim::Source(record)),
            ];
            let mut files = files(&gate(&format!("{GATE}reviewers = {wanted}\n")));
            files.insert("aliases.toml".to_owned(), ALIASES.to_owned());
            let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
            let result = decide(&policy, &facts).gates.remove(0);
            assert_eq!(result.reason, expected.as_str(), "{built_by:?} {authors:?} {reviewers:?}: {}", result.found);
            result.found
        };
        let (missing, met) = (Reason::ReviewMissing, Reason::Satisfied);
        row(1, &[], &["Dana Doe <dana@example.com>"], &["dana@example.com"], missing);
        row(1, &[], &["dana@example.com"], &["Dana Doe < Dana@Example.com >"], missing);
        row(1, &[], &["Dana Doe <dana@example.com>"], &["dana"], missing);
        row(1, &[], &["dana"], &["DANA@any.example"], missing);
        // By alias, in whatever case evidence writes it.
        row(1, &[], &["GitHub:12345"], &["D <DANA@example.com>"], missing);
        row(1, &[], &["Dana@Example.com"], &["dan"], missing);
        row(1, &[], &["dd"], &["Dan"], missing);
        // One person under two names is one reviewer.
        row(2, &[], &["kim"], &["sam@example.com", "Sam <sam@example.com>"], missing);
        row(2, &[], &["kim"], &["github:12345", "dan"], missing);
        row(2, &[], &["kim"], &["sam@example.com", "ines@example.com"], met);
        // A forge's private address has the login and the number of the account.
        const PRIVATE: &str = "Dana <1234567+dana@users.noreply.github.com>";
        row(1, &[], &[PRIVATE], &["dana"], missing);
        row(1, &[], &["dana"], &[PRIVATE], missing);
        row(1, &[], &[PRIVATE], &["github:1234567"], missing);
        row(1, &[], &[PRIVATE], &["dana@users.noreply.github.com"], missing);
        row(1, &[], &["12345+sam@users.noreply.github.com"], &["dan"], missing);
        row(1, &[], &["Dana <1234567-dana@users.noreply.gitlab.com>"], &["dana"], missing);
        row(1, &[], &["Dana <1234567-dana@users.noreply.gitlab.com>"], &["gitlab:1234567"], missing);
        row(1, &[], &[PRIVATE], &["sam"], met);
        row(1, &[], &[PRIVATE], &["1234568+sam@users.noreply.github.com"], met);
        row(1, &[], &[PRIVATE], &["dana@other.example"], met);
        // Addresses of different domains are different people's, whatever stands before the `@`.
        row(1, &[], &["me@alice.example"], &["me@bob.example"], met);
        row(1, &[], &["me@alice.example"], &["me"], missing);
        row(2, &[], &["kim"], &["me@alice.example", "me@bob.example"], met);
        // Whoever may be two others counts once with them, in any order; whoever may be an author counts for nobody.
        for reviewers in [
            ["me", "me@alice.example", "me@bob.example"],
            ["me@alice.example", "me", "me@bob.example"],
            ["me@bob.example", "me@alice.example", "me"],
        ] {
            row(1, &[], &["kim"], &reviewers, met);
            row(2, &[], &["kim"], &reviewers, missing);
            row(1, &[], &["me@alice.example"], &reviewers, met);
            row(2, &[], &["me@alice.example"], &reviewers, missing);
        }
        // Nor does the same person under another name.
        row(1, &[], &["dana"], &[PRIVATE, "github:1234567"], missing);
        row(1, &[], &["dana"], &["github:1234567", PRIVATE], missing);
        // Where the record names none, who began the build counts as one, and not beside its authors: reviewers merge.
        row(1, &["dana"], &[], &["dana@example.com"], missing);
        row(1, &["dana"], &["kim"], &["dana"], met);
        row(1, &["dana"], &[], &["sam"], met);
        let found = row(1, &[], &[], &["sam"], missing);
        assert!(found.ends_with("nobody who is known not to have written it: no author is named"), "{found}");
        row(1, &[" "], &[""], &["sam"], missing);
        row(0, &[], &[], &["sam"], met);
        // Others who are named alike in part.
        row(1, &[], &["dana@example.com"], &["danae@example.com"], met);
        row(1, &[], &["@kim"], &["@sam"], met);
        row(1, &[], &["kim"], &["", " "], missing);
    }

    #[test]
    fn only_what_is_signed_counts() {
        let row = |facts: Vec<EvidenceFact>, reason| check(GATE, |_, known| known.evidence = facts, Fail, reason);
        row(vec![], Reason::ProvenanceMissing);
        row(vec![built()], Reason::SourceRecordMissing);
        row(vec![built(), evidence(2, on_behalf("robot"), Claim::Source(record()))], Reason::EvidenceUnsigned);
        row(vec![built(), evidence(2, signed(&["scanner"]), Claim::Source(record()))], Reason::SignerUntrusted);
        let unsigned = EvidenceFact { origin: on_behalf("robot"), ..built() };
        row(vec![unsigned, evidence(2, signed(&["ci"]), Claim::Source(record()))], Reason::ProvenanceMissing);
        // Nor does unsigned provenance name an author.
        let claim = Provenance { authors: vec!["kim".to_owned()], ..provenance() };
        let named = evidence(3, on_behalf("robot"), Claim::Provenance(claim));
        let record = Claim::Source(SourceRecord { authors: vec![], ..record() });
        row(vec![built(), evidence(2, signed(&["ci"]), record), named], Reason::ReviewMissing);
    }

    #[test]
    fn a_level_is_another_verifiers_word() {
        let row = |levels: &[&str], commit: &str, signer: &str, outcome, reason| {
            let summary = VerificationSummary {
                format: "vsa".to_owned(),
                verifier: "https://git.example/verifier".to_owned(),
                passed: true,
                levels: levels.iter().map(|level| (*level).to_owned()).collect(),
                resource_uri: None,
                policy_uri: None,
                policy_digest: None,
                inputs: 0,
                commits: vec![commit.to_owned()],
                refs: vec![],
                verified_at: None,
            };
            let facts = vec![
                built(),
                evidence(2, signed(&["ci"]), Claim::Source(record())),
                evidence(3, signed(&[signer]), Claim::Summary(summary)),
            ];
            let gate = format!("{GATE}level = 3\nlevel_signed_by = [\"ci\"]\n");
            check(&gate, |_, known| known.evidence = facts, outcome, reason);
        };
        row(&["SLSA_SOURCE_LEVEL_3"], COMMIT, "ci", Pass, Reason::Satisfied);
        row(&["SLSA_SOURCE_LEVEL_1", "SLSA_SOURCE_LEVEL_4"], COMMIT, "ci", Pass, Reason::Satisfied);
        row(&["SLSA_SOURCE_LEVEL_2"], COMMIT, "ci", Fail, Reason::SourceLevelLow);
        row(&["SLSA_BUILD_LEVEL_3"], COMMIT, "ci", Fail, Reason::SourceLevelLow);
        row(&["SLSA_SOURCE_LEVEL_3"], "other", "ci", Fail, Reason::SourceLevelLow);
        row(&["SLSA_SOURCE_LEVEL_3"], COMMIT, "scanner", Fail, Reason::SourceLevelLow);
    }
}
