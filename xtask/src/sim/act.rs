//! Acts: what somebody asks of the engine. An act can be handed in again, word for word.

use lockgate_engine::approve::{Approve, approve};
use lockgate_engine::attest::{self, Evidence, Form};
use lockgate_engine::bodies::Upload;
use lockgate_engine::promote::{Promote, promote, rollback};
use lockgate_engine::push::{Publish, publish};
use lockgate_engine::sequencer::request_digest;
use lockgate_engine::{Engine, Fault, Submission, change, freeze, people, policy, take_back, withdraw};
use lockgate_ledger::Event;
use lockgate_ledger::change::{ChangeRejected, KeyRotated, StandingChanged};
use lockgate_ledger::entry::{KeyRevoked, PolicyActivated};
use lockgate_ledger::freeze::{FreezeLifted, FreezeOrdered};
use lockgate_ledger::withdrawal::ApprovalWithdrawn;
use lockgate_model::facts::Artifact;
use lockgate_model::{ChangeId, Digest, EnvName, PersonId, PromotionId, ReleaseName};

/// How a test run ended, as its report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every test passed.
    Passed,
    /// One failed.
    Failed,
    /// The report does not read.
    Garbage,
}

/// A report of a test run; another name makes it another report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tests {
    /// What makes it different from others.
    pub name: String,
    /// How it ended.
    pub ending: Ending,
}

impl Tests {
    /// The report, as JUnit writes it.
    pub fn text(&self) -> String {
        let name = &self.name;
        match self.ending {
            Ending::Passed => crate::requests::junit(name),
            Ending::Failed => format!(
                "<testsuites><testsuite name=\"sim\"><testcase classname=\"sim\" name=\"{name}\" time=\"0.001\">\
                 <failure message=\"no\"/></testcase></testsuite></testsuites>"
            ),
            Ending::Garbage => format!("<testsuites><testsuite name=\"{name}\">"),
        }
    }

    /// The digest of the report.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    fn evidence(&self) -> Evidence {
        Evidence { upload: Upload::Inline(self.text().into_bytes()), form: Form::Report(None), expect: None }
    }
}

/// Content of a release; the engine has to have its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(pub String);

impl Content {
    /// The digest of the only artifact.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    fn artifact(&self) -> Artifact {
        Artifact { digest: self.digest(), name: "app".to_owned(), size_bytes: self.0.len() as u64 }
    }
}

/// What somebody asks of the engine.
#[derive(Debug, Clone)]
pub enum Act {
    /// Publishes a release, with reports.
    Push { by: PersonId, release: ReleaseName, content: Content, tests: Vec<Tests> },
    /// Hands a report in later.
    Attest { by: PersonId, release: ReleaseName, tests: Tests },
    /// Asks that a release be let in.
    Promote { by: PersonId, release: ReleaseName, environment: EnvName },
    /// Asks that an earlier release come back.
    Rollback { by: PersonId, release: ReleaseName, environment: EnvName },
    /// Takes a request back.
    Withdraw { by: PersonId, promotion: PromotionId },
    /// Approves or rejects.
    Approve { by: PersonId, request: Approve },
    /// Takes an approval back.
    TakeBack { by: PersonId, event: ApprovalWithdrawn },
    /// Stops something.
    Freeze { event: FreezeOrdered },
    /// Lets it go on.
    Lift { event: FreezeLifted },
    /// Puts a new key in the place of an old one.
    Rotate { event: KeyRotated },
    /// Ends a key.
    Revoke { event: KeyRevoked },
    /// Suspends or reinstates.
    Stand { event: StandingChanged, suspended: bool },
    /// Proposes or activates a policy set.
    Activate { document: Vec<u8>, event: PolicyActivated },
    /// Signs a proposed change.
    Sign { by: PersonId, change: ChangeId, signature: String },
    /// Rejects one.
    Refuse { event: ChangeRejected },
}

impl Act {
    /// The request that the engine gets; `words` is the reason where one is given.
    ///
    /// # Errors
    /// What is refused before it comes to the sequencer.
    pub fn submission(&self, engine: &Engine, words: &str) -> Result<Submission, Fault> {
        let asked = |release: &ReleaseName, environment: &EnvName| Promote {
            release: release.clone(),
            environment: environment.clone(),
            reason: words.to_owned(),
        };
        match self.clone() {
            Self::Push { by, release, content, tests } => {
                let evidence = tests.iter().map(|tests| attest::check(engine, tests.evidence()));
                let evidence = evidence.collect::<Result<Vec<_>, Fault>>()?;
                let artifacts = vec![content.artifact()];
                publish(engine, by, Publish { release, artifacts, source: None, notes: None, evidence })
            }
            Self::Attest { by, release, tests } => {
                let checked = attest::check(engine, tests.evidence())?;
                attest::attest(engine, by, release, vec![checked])
            }
            Self::Promote { by, release, environment } => promote(by, asked(&release, &environment)),
            Self::Rollback { by, release, environment } => rollback(by, asked(&release, &environment)),
            Self::Withdraw { by, promotion } => Ok(withdraw::withdraw(by, promotion, words.to_owned())),
            Self::Approve { by, request } => approve(by, request),
            Self::TakeBack { by, event } => {
                let promotion = event.promotion;
                take_back::take_back(&by, promotion, event)
            }
            Self::Freeze { event } => freeze::order(&event.by.clone(), event),
            Self::Lift { event } => freeze::lift(&event.by.clone(), event),
            Self::Rotate { event } => people::rotate_key(&event.person.clone(), event),
            Self::Revoke { event } => people::revoke_key(&event.by.clone(), event),
            Self::Stand { event, suspended } => people::change_standing(&event.by.clone(), event, suspended),
            Self::Activate { document, event } => policy::activate(&event.by.clone(), document, event),
            Self::Sign { by, change, signature } => Ok(change::sign(by, change, signature)),
            Self::Refuse { event } => change::reject(&event.by.clone(), event),
        }
    }

    /// Who asks.
    pub fn by(&self) -> &PersonId {
        match self {
            Self::Push { by, .. }
            | Self::Attest { by, .. }
            | Self::Promote { by, .. }
            | Self::Rollback { by, .. }
            | Self::Withdraw { by, .. }
            | Self::Approve { by, .. }
            | Self::TakeBack { by, .. }
            | Self::Sign { by, .. } => by,
            Self::Freeze { event } => &event.by,
            Self::Lift { event } => &event.by,
            Self::Rotate { event } => &event.person,
            Self::Revoke { event } => &event.by,
            Self::Stand { event, .. } => &event.by,
            Self::Activate { event, .. } => &event.by,
            Self::Refuse { event } => &event.by,
        }
    }

    /// The event that it hands in whole, where it hands in one.
    pub fn event(&self) -> Option<Event> {
        Some(match self.clone() {
            Self::TakeBack { event, .. } => Event::ApprovalWithdrawn(event),
            Self::Freeze { event } => Event::FreezeOrdered(event),
            Self::Lift { event } => Event::FreezeLifted(event),
            Self::Rotate { event } => Event::KeyRotated(event),
            Self::Revoke { event } => Event::KeyRevoked(event),
            Self::Stand { event, suspended: true } => Event::PersonSuspended(event),
            Self::Stand { event, suspended: false } => Event::PersonReinstated(event),
            Self::Activate { event, .. } => Event::PolicyActivated(event),
            Self::Refuse { event } => Event::ChangeRejected(event),
            _ => return None,
        })
    }

    /// The first signature of a change that takes more than one, and is proposed where it has no other.
    pub fn first_signature(&self) -> Option<&str> {
        match self {
            Self::Stand { event, .. } => Some(&event.signature),
            Self::Activate { event, .. } => Some(&event.signature),
            _ => None,
        }
    }

    /// Whose key signed it, where one person signs for themselves, and the signature (SSHSIG, armored).
    pub fn signed(&self) -> Option<(&PersonId, &str)> {
        match self {
            Self::Approve { by, request } => Some((by, &request.signature)),
            Self::TakeBack { by, event } => Some((by, &event.signature)),
            Self::Freeze { event } => Some((&event.by, &event.signature)),
            Self::Lift { event } => Some((&event.by, &event.signature)),
            Self::Rotate { event } => Some((&event.person, &event.signature)),
            Self::Revoke { event } => Some((&event.by, &event.signature)),
            _ => None,
        }
    }

    /// What it is, for the trace.
    pub fn told(&self) -> String {
        match self {
            Self::Push { release, tests, .. } => {
                let endings: Vec<Ending> = tests.iter().map(|tests| tests.ending).collect();
                format!("push {release} {endings:?}")
            }
            Self::Attest { release, tests, .. } => format!("attest {release} {:?}", tests.ending),
            Self::Promote { by, release, environment } => format!("{by} promotes {release} to {environment}"),
            Self::Rollback { by, release, environment } => format!("{by} rolls {environment} back to {release}"),
            Self::Withdraw { by, promotion } => format!("{by} withdraws {promotion}"),
            Self::Approve { by, request } => format!("{by} decides on {}", request.promotion),
            Self::TakeBack { by, event } => format!("{by} takes back what they said of {}", event.promotion),
            Self::Freeze { event } => {
                let service = event.service.as_ref().map_or("everything", |service| service.as_str());
                let environment = event.environment.as_ref().map_or("everywhere", |environment| environment.as_str());
                format!("{} freezes {service}, {environment}", event.by)
            }
            Self::Lift { event } => format!("{} lifts the freeze of entry {}", event.by, event.freeze),
            Self::Rotate { event } => format!("{} rotates their key", event.person),
            Self::Revoke { event } => {
                let since = event.compromised_since.map(|since| format!(", compromised since {since}"));
                format!("{} ends a key{}", event.person, since.unwrap_or_default())
            }
            Self::Stand { event, suspended: true } => format!("{} suspends {}", event.by, event.person),
            Self::Stand { event, suspended: false } => format!("{} reinstates {}", event.by, event.person),
            Self::Activate { event, .. } => {
                format!("{} and {} others activate {}", event.by, event.countersigned.len(), event.policy.short())
            }
            Self::Sign { by, change, .. } => format!("{by} signs {change}"),
            Self::Refuse { event } => format!("{} rejects {}", event.by, event.change),
        }
    }
}

/// An act with the key under which it can be handed in again.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The idempotency key.
    pub key: String,
    /// What tells it from another request with the same key.
    pub request: Digest,
    /// What is asked.
    pub act: Act,
}

impl Intent {
    /// An act under a key.
    pub fn new(key: String, act: Act) -> Self {
        let request = request_digest(&[format!("{act:?}").as_bytes()]);
        Self { key, request, act }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_evidence::report::{Format, detect, read};
    use lockgate_model::Limits;

    use super::*;

    #[track_caller]
    fn check(ending: Ending, reads: bool) {
        let tests = Tests { name: "a".to_owned(), ending };
        let format = detect(tests.text().as_bytes()).unwrap_or(Format::Junit);
        assert_eq!(read(format, tests.text().as_bytes(), &Limits::DEFAULT).is_ok(), reads, "{ending:?}");
    }

    #[test]
    fn reports_read_as_they_should() {
        check(Ending::Passed, true);
        check(Ending::Failed, true);
        check(Ending::Garbage, false);
    }
}
