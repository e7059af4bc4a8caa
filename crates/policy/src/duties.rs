//! Duties: who had which part in a release, by person and not by account.
//!
//! The only place where parts are told apart, and where names of evidence are compared. A person is the same person
//! under every key, every alias of `aliases.toml` and every machine account that is written there. Evidence that nobody
//! trusts counts here too: to be named wrongly costs an approver, and not an approval.

use std::collections::BTreeSet;

use lockgate_model::facts::{Claim, EvidenceFact, Facts, Origin, PersonFact, SubjectKind};
use lockgate_model::{PersonId, SignerName};
use serde::Deserialize;

use crate::access::{allows, object_of};
use crate::explain::Reason;
use crate::permission::Permission;
use crate::policy_set::PolicySet;
use crate::trust::EvidenceKind;

/// A part in a release that somebody may have besides approving it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Asked for this promotion.
    Requester,
    /// Wrote, committed, reviewed as an author, triggered or published the release.
    Author,
    /// Built it, or handed in evidence about it.
    Builder,
    /// May deploy it there.
    Deployer,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Requester, Self::Author, Self::Builder, Self::Deployer];

    /// The reason code of an approval by someone with this part.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Requester => Reason::SodSelf,
            Self::Author => Reason::SodAuthor,
            Self::Builder => Reason::SodBuilder,
            Self::Deployer => Reason::SodDeployer,
        }
    }

    /// As a demand says it: not by who ...
    pub(crate) fn demanded(self) -> &'static str {
        match self {
            Self::Requester => "asked for it",
            Self::Author => "wrote it",
            Self::Builder => "built it",
            Self::Deployer => "deploys it",
        }
    }

    /// As an objection says it.
    pub(crate) fn had(self) -> &'static str {
        match self {
            Self::Requester => "asked for this promotion",
            Self::Author => "wrote or published this release",
            Self::Builder => "built this release or handed in evidence about it",
            Self::Deployer => "may deploy this release there",
        }
    }
}

/// Who had which part in one release and promotion.
#[derive(Debug)]
pub(crate) struct Duties<'a> {
    policy: &'a PolicySet,
    requester: &'a PersonId,
    publisher: Option<&'a PersonId>,
    publisher_is_machine: bool,
    /// Whom evidence names as an author, by every `wide` name of [`names_of`]: accounts have no `@`.
    authors: BTreeSet<String>,
    handed_in: BTreeSet<&'a PersonId>,
    deployers: BTreeSet<&'a PersonId>,
}

impl<'a> Duties<'a> {
    /// Gathers the parts from what is known.
    pub(crate) fn of(policy: &'a PolicySet, facts: &'a Facts) -> Self {
        let publisher = Some(policy.aliases().person(&facts.release.published_by));
        Self { publisher, ..Self::gathered(policy, facts, |_| true) }
    }

    /// Gathers the parts that may make fewer people enough: who asked, as every approver signs it, who deploys, and
    /// whom provenance names that the policy set believes.
    ///
    /// INVARIANT (nobody is talked out of the count): what anyone could say of others, or the server alone says, bars
    /// them from approving, and does not make one approval do for two.
    pub(crate) fn certain(policy: &'a PolicySet, facts: &'a Facts) -> Self {
        let believed = |name: &SignerName| {
            policy.signer(name).is_some_and(|signer| signer.signs.contains(&EvidenceKind::Provenance))
        };
        Self::gathered(policy, facts, |fact| match &fact.origin {
            Origin::Signed { signers } => signers.iter().any(believed),
            Origin::OnBehalf { .. } => false,
        })
    }

    /// Gathers the parts from what evidence there is, as far as it counts; without who published.
    fn gathered(policy: &'a PolicySet, facts: &'a Facts, counts: impl Fn(&EvidenceFact) -> bool) -> Self {
        let person = |account: &'a PersonId| policy.aliases().person(account);
        let publisher = &facts.release.published_by;
        let mut duties = Self {
            policy,
            requester: person(&facts.promotion.requester),
            publisher: None,
            publisher_is_machine: facts.people.get(publisher).map(|known| known.kind) == Some(SubjectKind::Machine),
            authors: BTreeSet::new(),
            handed_in: BTreeSet::new(),
            deployers: BTreeSet::new(),
        };
        for fact in facts.evidence.iter().filter(|fact| counts(fact)) {
            let authors = match &fact.claim {
                Claim::Provenance(provenance) => provenance.authors.as_slice(),
                Claim::Source(record) => record.authors.as_slice(),
                _ => &[],
            };
            duties.authors.extend(authors.iter().flat_map(|author| names_of(policy, author).wide));
            if let Origin::OnBehalf { by } = &fact.origin {
                duties.handed_in.insert(person(by));
            }
        }
        let (service, environment) = (&facts.release.name.service, &facts.promotion.environment);
        let object = object_of(Permission::Deploy, service, environment);
        let deploys = |(account, known): &(&'a PersonId, &'a PersonFact)| {
            allows(policy, account, &known.groups, Permission::Deploy, object).is_ok()
        };
        duties.deployers = facts.people.iter().filter(deploys).map(|(account, _)| person(account)).collect();
        duties
    }

    /// The person behind an account.
    pub(crate) fn person<'b>(&'b self, account: &'b PersonId) -> &'b PersonId {
        self.policy.aliases().person(account)
    }

    /// Whether two accounts are one person's.
    pub(crate) fn same(&self, one: &PersonId, other: &PersonId) -> bool {
        self.person(one) == self.person(other)
    }

    /// The first of these parts that the person behind an account had.
    pub(crate) fn part_of(&self, account: &PersonId, parts: &BTreeSet<Part>) -> Option<Part> {
        parts.iter().copied().find(|part| self.has(*part, account))
    }

    /// Whether anybody has this part; an empty one is not worth a word.
    pub(crate) fn is_held(&self, part: Part) -> bool {
        part != Part::Deployer || !self.deployers.is_empty()
    }

    fn has(&self, part: Part, account: &PersonId) -> bool {
        let person = self.person(account);
        match part {
            Part::Requester => person == self.requester && !lockgate_failpoint::planted("self-approval-allowed"),
            Part::Author => {
                self.publisher == Some(person)
                    || [person, account].iter().any(|name| self.authors.contains(name.as_str()))
            }
            Part::Builder => {
                (self.publisher_is_machine && self.publisher == Some(person)) || self.handed_in.contains(person)
            }
            Part::Deployer => self.deployers.contains(person),
        }
    }
}

/// Under which names a name that evidence gives may mean somebody, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// What names one person alone: the whole of it, the address in it, the forge's account in that, and the people who
    /// have any of these as an alias.
    pub(crate) exact: BTreeSet<String>,
    /// These, and what stands before the `@`, with the people who have that as an alias.
    pub(crate) wide: BTreeSet<String>,
}

impl Names {
    /// Whether it names nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.wide.is_empty()
    }

    /// Adds somebody else's names: then [`may_be`](Self::may_be) tells whether it may be any of them.
    pub(crate) fn add(&mut self, other: Self) {
        self.exact.extend(other.exact);
        self.wide.extend(other.wide);
    }

    /// Whether both may name one person. What stands before the `@` is compared with whole names and never with what
    /// stands before another one: `me@alice.example` may be `me`, and is not `me@bob.example`.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        !self.exact.is_disjoint(&other.wide) || !self.wide.is_disjoint(&other.exact)
    }
}

/// Every name under which a name that evidence gives may mean somebody; none where it names nobody.
///
/// The one rule by which names of evidence are compared: with each other by [`Names::may_be`], and with accounts, which
/// have no `@`, by `wide`.
pub(crate) fn names_of(policy: &PolicySet, name: &str) -> Names {
    let add = |names: &mut BTreeSet<String>, name: &str| {
        if !name.trim().is_empty() {
            names.extend(policy.aliases().in_any_case(name).map(ToString::to_string));
            names.insert(name.to_lowercase());
        }
    };
    let trimmed = name.trim();
    let address = trimmed.rsplit_once('<').map_or(trimmed, |(_, address)| address.trim_end_matches('>').trim());
    let mut names = Names::default();
    for name in [name, trimmed, address] {
        add(&mut names.exact, name);
    }
    if let Some((local, domain)) = address.split_once('@') {
        add(&mut names.wide, local);
        if let Some(private) = PrivateAddress::of(local, domain) {
            if let Some(id) = private.id {
                add(&mut names.exact, &format!("{}:{id}", private.forge));
            }
            if !private.login.trim().is_empty() {
                // A forge gives out the same address with the number and, of old, without it.
                add(&mut names.exact, &format!("{}@{domain}", private.login));
                add(&mut names.wide, private.login);
            }
        }
    }
    names.wide.extend(names.exact.iter().cloned());
    names
}

/// The address that a forge gives to those who keep theirs to themselves: `<id>+<login>@users.noreply.github.com`, and
/// `<id>-<login>@users.noreply.gitlab.com`.
struct PrivateAddress<'a> {
    forge: &'static str,
    /// The account's number, where the address has it.
    id: Option<&'a str>,
    login: &'a str,
}

impl<'a> PrivateAddress<'a> {
    fn of(local: &'a str, domain: &str) -> Option<Self> {
        let is_id = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (forge, parts) = match domain.to_ascii_lowercase().as_str() {
            "users.noreply.github.com" => ("github", local.split_once('+')),
            // A login may have a `-` of its own, and no `+`.
            "users.noreply.gitlab.com" => ("gitlab", local.split_once('-').filter(|(id, _)| is_id(id))),
            _ => return None,
        };
        let (id, login) = parts.map_or((None, local), |(id, login)| (Some(id), login));
        Some(Self { forge, id: id.filter(|id| is_id(id)), login })
    }
}

#[cfg(test)]
#[path = "duties_tests.rs"]
mod tests;
