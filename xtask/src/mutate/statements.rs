//! Statements: everything else that people sign for the ledger, as the events that record it, and the fold that whoever
//! reads the ledger makes of them: server, auditor and verifier alike.
//!
//! A chain of entries is folded up to where such an event is due. The event is what is changed; its entry is made around
//! it as the server makes one, because time, number and streams are the log's word and no signer's.

mod samples;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::access_review::{AccessReview, AccessReviewed};
use lockgate_ledger::entry::{Actor, Entry, Event, LedgerCreated, Position, ReleasePublished, SCHEMA};
use lockgate_ledger::state::Slice;
use lockgate_ledger::{Bodies, BodyMap, Governance, Leaf, Manifest, State};
use lockgate_model::facts::Artifact;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, ReleaseName, StreamName, UnixMillis, canonical};
use lockgate_policy::PolicySet;
use lockgate_sign::ssh::SshSignature;
use serde_json::Value;

use super::kinds::{Judgement, Kind, variant};
use super::parts::Form;
use crate::failure::{During as _, Failure, Result};

pub use samples::kinds;

/// The chain's origin.
const ORIGIN: &str = "statements.lockgate.example";
/// The code of the first owner.
const SETUP_CODE: &str = "the code of the statements";
/// When the chain begins.
const START: UnixMillis = UnixMillis(1_800_000_000_000);
/// How far entries are apart, in milliseconds.
const STEP: u64 = 1000;
/// What is published.
pub const RELEASE: &str = "shop/web@1.0.0";
/// What its artifact is made of.
pub const ARTIFACT: &[u8] = b"the bytes of shop/web@1.0.0";
/// The share of one kind of statement in all mutants.
const SHARE: usize = 4;

/// A ledger up to some entry.
#[derive(Debug, Clone)]
pub struct Chain {
    state: State,
    bodies: BodyMap,
    next: u64,
    time: UnixMillis,
}

impl Chain {
    /// A ledger with nothing but its first entry, whose policy set believes these signers.
    ///
    /// # Errors
    /// When the policy set does not load.
    pub fn begin(trust: &str) -> Result<Self> {
        let mut bodies = BodyMap::default();
        let created = LedgerCreated {
            origin: ORIGIN.to_owned(),
            log_key: String::new(),
            attestation_key: String::new(),
            policy: bodies.insert(policy(trust, "The first set")?),
            setup_code: Digest::of(SETUP_CODE.as_bytes()),
            software: "mutate".to_owned(),
        };
        let mut chain = Self { state: State::default(), bodies, next: 0, time: START };
        chain.apply(Actor::System, Event::LedgerCreated(created), &[])?;
        Ok(chain)
    }

    /// The state of keys and people.
    ///
    /// # Errors
    /// Never, because there is a first entry.
    pub fn governance(&self) -> Result<&Governance> {
        Ok(self.state.governance()?.as_ref())
    }

    /// The state as it is folded up to here.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Adds an entry that the fold accepts.
    fn apply(&mut self, actor: Actor, event: Event, also: &[StreamName]) -> Result<EntryIndex> {
        let index = EntryIndex(self.next);
        let entry = framed(&self.state, actor, self.time, event, also);
        self.state.apply(index, &entry, &self.bodies, Slice::Whole).during(entry.event.name())?;
        self.next += 1;
        self.time = UnixMillis(self.time.0 + STEP);
        Ok(index)
    }

    /// Publishes the release.
    ///
    /// # Errors
    /// What the fold refuses.
    pub fn publish(&mut self) -> Result<ReleaseName> {
        let release: ReleaseName = RELEASE.parse()?;
        let digest = Digest::of(ARTIFACT);
        let artifacts = vec![Artifact { digest, name: "app".to_owned(), size_bytes: ARTIFACT.len() as u64 }];
        let schema = Manifest::SCHEMA.to_owned();
        let manifest = Manifest { schema, release: release.clone(), artifacts, source: None, notes: None };
        let manifest = self.bodies.insert(manifest.to_bytes(&Limits::DEFAULT)?);
        let event = ReleasePublished { release: release.clone(), manifest };
        self.apply(person("dana")?, Event::ReleasePublished(event), &[StreamName::artifact(&digest)])?;
        Ok(release)
    }

    /// A kind of event that is due here, of which these two are valid.
    fn kind(&self, name: &'static str, actor: &str, events: [Event; 2]) -> Result<Kind> {
        let samples = events.iter().map(canonical::to_vec).collect::<std::result::Result<Vec<_>, _>>()?;
        let [event, _] = events;
        let due = Due { chain: self.clone(), actor: person(actor)?, event };
        Ok(Kind::new(name, (Form::Json, SHARE), samples, move |input| Judgement::of(due.judge(input))))
    }

    /// Reviews of access under the signature of the first of them; the entry names each by its own digest.
    fn reviews(&self, actor: &str, signed: AccessReviewed, samples: Vec<Vec<u8>>) -> Result<Kind> {
        let event = Event::AccessReviewed(signed.clone());
        let due = Due { chain: self.clone(), actor: person(actor)?, event };
        Ok(Kind::new("access-review", (Form::Json, SHARE), samples, move |input| {
            let judge = || -> std::result::Result<Judgement, String> {
                let mut bodies = BodyMap::default();
                let event = AccessReviewed { review: bodies.insert(input.to_vec()), ..signed.clone() };
                due.follows(&due.framed(Event::AccessReviewed(event)), &bodies)?;
                let review = AccessReview::from_bytes(input).map_err(|error| error.code.to_owned())?;
                Ok(Judgement::accepted(input, &review))
            };
            Judgement::of(judge())
        }))
    }
}

/// A policy set's document: the starter set, with another description and these signers.
fn policy(trust: &str, description: &str) -> Result<Vec<u8>> {
    let mut files = PolicySet::starter("starter").ok_or_else(|| Failure::new("there is no starter policy set"))?;
    files.retain(|path, _| !path.starts_with("tests/"));
    let settings = files.entry("policy.toml".to_owned()).or_default();
    *settings = settings.replace("A way up through dev and staging", description);
    if !trust.is_empty() {
        files.insert("trust.toml".to_owned(), trust.to_owned());
    }
    let set = PolicySet::from_files(files)
        .map_err(|errors| Failure::new(format!("the policy set does not load: {errors:?}")))?;
    Ok(set.document())
}

fn person(name: &str) -> Result<Actor> {
    let id: PersonId = name.parse()?;
    Ok(Actor::Subject { id })
}

/// The entry of an event, as it comes next in each of its streams.
fn framed(state: &State, actor: Actor, time: UnixMillis, event: Event, also: &[StreamName]) -> Entry {
    let head = state.head(&StreamName::governance());
    let streams = event.streams(&actor);
    Entry {
        schema: SCHEMA.to_owned(),
        time,
        governance: head.map(|head| Position { seq: head.seq, index: head.index }),
        streams: streams.iter().chain(also).map(|stream| state.next_link(stream)).collect(),
        actor,
        event,
    }
}

/// A place in a chain where an event is due.
struct Due {
    chain: Chain,
    actor: Actor,
    /// A valid event, whose entry also stands around what does not read as one.
    event: Event,
}

impl Due {
    /// What the fold makes of an event: its leaf is read, and it follows on the chain.
    fn judge(&self, input: &[u8]) -> std::result::Result<Judgement, String> {
        let event = serde_json::from_slice::<Event>(input).unwrap_or_else(|_| self.event.clone());
        let leaf = around(&self.framed(event), input)?;
        let leaf = Leaf::decode(&leaf, &Limits::DEFAULT).map_err(|error| variant(&error))?;
        let Leaf::Entry(entry) = leaf else { return Err("OTHER_LEAF".to_owned()) };
        self.follows(&entry, &self.chain.bodies)?;
        Ok(Judgement::accepted(input, &stated(&entry.event)))
    }

    fn framed(&self, event: Event) -> Entry {
        framed(&self.chain.state, self.actor.clone(), self.chain.time, event, &[])
    }

    fn follows(&self, entry: &Entry, bodies: &dyn Bodies) -> std::result::Result<(), String> {
        let mut state = self.chain.state.clone();
        let index = EntryIndex(self.chain.next);
        state.apply(index, entry, bodies, Slice::Whole).map_err(|error| error.code.to_owned())
    }
}

/// An entry's leaf with these bytes in place of its event.
fn around(entry: &Entry, event: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let whole = canonical::to_vec(entry).map_err(|error| variant(&error))?;
    let own = canonical::to_vec(&entry.event).map_err(|error| variant(&error))?;
    let at = whole.windows(own.len()).position(|window| window == own.as_slice()).ok_or("NO_EVENT")?;
    let before = whole.get(..at).unwrap_or_default();
    let after = whole.get(at + own.len()..).unwrap_or_default();
    Ok([before, event, after].concat())
}

/// What an event says: signatures by their bytes, however they are armored, and whoever countersigns twice, once.
fn stated(event: &Event) -> String {
    serde_json::to_value(event).map(|value| plain(value).to_string()).unwrap_or_default()
}

fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => match SshSignature::parse_armored(&text) {
            Ok(signature) => Value::String(STANDARD.encode(signature.to_bytes())),
            Err(_) => Value::String(text),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| {
                let value = plain(value);
                let value = if name == "countersigned" { each_once(value) } else { value };
                (name, value)
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        other => other,
    }
}

fn each_once(value: Value) -> Value {
    let Value::Array(items) = value else { return value };
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Value::Array(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_refuses_the_event_of_another() {
        let kinds = kinds().unwrap();
        assert!(kinds.len() > 30, "{}", kinds.len());
        for (at, kind) in kinds.iter().enumerate() {
            // Another review is none under this signature.
            let valid = if kind.name == "access-review" { 1 } else { 2 };
            for sample in kind.samples.iter().take(valid) {
                assert!(
                    matches!(kind.judge(sample), Judgement::Accepted(_)),
                    "{}: {:?}",
                    kind.name,
                    kind.judge(sample)
                );
            }
            // Nothing of what is due here is due in the ledger of the first owner, and no review is an event.
            let first = &kinds[0].samples[0];
            assert!(at == 0 || matches!(kind.judge(first), Judgement::Refused(_)), "{}", kind.name);
        }
    }

    #[test]
    fn a_statement_is_what_was_signed_and_not_how_it_is_armored() {
        let kinds = kinds().unwrap();
        let kind = kinds.iter().find(|kind| kind.name == "person-suspended").unwrap();
        let own = String::from_utf8(kind.samples[0].clone()).unwrap();
        let accepted = |text: &str| match kind.judge(text.as_bytes()) {
            Judgement::Accepted(accepted) => accepted,
            Judgement::Refused(code) => panic!("{code}"),
        };
        let spaced = own.replacen("-----END SSH SIGNATURE-----\\n", "-----END SSH SIGNATURE-----\\n\\n", 1);
        assert_ne!(spaced, own);
        assert_eq!(accepted(&spaced).statement, accepted(&own).statement);
        assert_ne!(accepted(&spaced).value, accepted(&own).value);
        let other = own.replacen("\"reason\":\"", "\"reason\":\"no ", 1);
        assert_eq!(kind.judge(other.as_bytes()), Judgement::Refused("SIGNATURE_INVALID".to_owned()));
    }
}
