//! Kinds: every kind of valid thing, with the verifier that somebody relies on, and what that verifier said.
//!
//! `docs/mutation.md` says for each of them what being accepted means.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::approval::Approval;
use lockgate_ledger::bundle::{self, Query};
use lockgate_ledger::entry::ApprovalRecorded;
use lockgate_ledger::{ApprovalDocument, Bundle, TrustFile};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, PersonId, canonical};
use lockgate_policy::PolicySet;
use lockgate_sign::dsse::Envelope;
use lockgate_sign::ssh::SshSignature;
use lockgate_sign::{AttestationKey, PublicKey};
use lockgate_tlog::proof::{hash_from_slice, verify_consistency};
use lockgate_tlog::{ProofFile, QuorumMet, SignedCheckpoint, TrustPolicy};
use serde_json::Value;

use super::parts::Form;
use super::story::{ENVIRONMENT, Growth, Signed, Story};
use super::{evidence, statements};
use crate::failure::{Failure, Result};

/// An index after every entry of the story: whoever is enrolled there was so before.
const AFTERWARDS: EntryIndex = EntryIndex(1_000_000);
/// The payload type of the envelopes.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What a verifier said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// No, with this reason code.
    Refused(String),
    /// Yes.
    Accepted(Accepted),
}

/// What a verifier accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The digest of what was read, written again in its one spelling.
    pub value: Digest,
    /// The digest of what the verifier tells whoever relies on it.
    pub statement: Digest,
}

impl Judgement {
    /// Yes: the spelling of what was read, and what is told of it.
    pub fn accepted(value: &[u8], statement: &impl Debug) -> Self {
        let statement = Digest::of(format!("{statement:?}").as_bytes());
        Self::Accepted(Accepted { value: Digest::of(value), statement })
    }

    /// Something was accepted that nobody ever meant: whatever it is, it is not what a valid sample says.
    fn wrong(input: &[u8]) -> Self {
        Self::accepted(input, &("wrong", input))
    }

    /// No, where there is a reason code.
    pub fn of(result: std::result::Result<Self, String>) -> Self {
        result.unwrap_or_else(Self::Refused)
    }
}

/// What judges an input.
type Judge = Arc<dyn Fn(&[u8]) -> Judgement + Send + Sync>;

/// One kind of valid thing.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What it is written in.
    pub form: Form,
    /// Its part of all mutants, beside those of the others.
    pub share: usize,
    /// The valid thing that is changed, and others of its kind.
    pub samples: Vec<Vec<u8>>,
    judge: Judge,
}

impl Kind {
    /// A kind with its samples and verifier.
    pub fn new(
        name: &'static str,
        (form, share): (Form, usize),
        samples: Vec<Vec<u8>>,
        judge: impl Fn(&[u8]) -> Judgement + Send + Sync + 'static,
    ) -> Self {
        Self { name, form, share, samples, judge: Arc::new(judge) }
    }

    /// The same things and the same verifier, changed in another form.
    pub fn inside(&self, name: &'static str, (form, share): (Form, usize)) -> Self {
        Self { name, form, share, samples: self.samples.clone(), judge: Arc::clone(&self.judge) }
    }

    /// What the verifier says of an input.
    pub fn judge(&self, input: &[u8]) -> Judgement {
        (self.judge)(input)
    }
}

/// Every kind, of a ledger that is written for this.
///
/// # Errors
/// When the ledger cannot be written, or a sample not be made.
pub fn kinds(name: &str) -> Result<Vec<Kind>> {
    let story = Arc::new(Story::tell(&format!("{name}-ours"), 10)?);
    let foreign = Arc::new(Story::tell(&format!("{name}-theirs"), 60)?);
    let policy = story.trust.policy()?;
    let envelope = envelopes(&story)?;
    let checkpoint = checkpoints(&story, policy.clone());
    let inclusion = inclusions(&story, policy.clone())?;
    let consistency = consistencies(&story, policy)?;
    let by_ssh = signatures("signature-ssh", &story, &story.by_ssh)?;
    let by_passkey = signatures("signature-passkey", &story, &story.by_passkey)?;
    let mut kinds = vec![
        bundles(&story),
        bundle_insides(&story),
        envelope.inside("envelope-inside", (Form::JsonInside, 8)),
        envelope,
        checkpoint.inside("checkpoint-inside", (Form::LinesInside, 6)),
        checkpoint,
        inclusion.inside("inclusion-inside", (Form::LinesInside, 6)),
        inclusion,
        consistency.inside("consistency-inside", (Form::JsonInside, 6)),
        consistency,
        documents("approval-ssh", &story, &story.by_ssh)?,
        signature_bytes("signature-ssh-inside", &by_ssh)?,
        by_ssh,
        documents("approval-passkey", &story, &story.by_passkey)?,
        signature_bytes("signature-passkey-inside", &by_passkey)?,
        by_passkey,
        policies(&story)?,
        trusts(&story, &foreign)?,
    ];
    kinds.extend(statements::kinds()?);
    kinds.extend(evidence::kinds()?);
    Ok(kinds)
}

impl Story {
    /// What `lockgate verify --bundle` says, asked about the first release.
    fn verify(&self, bytes: &[u8], trust: &TrustFile) -> std::result::Result<Judgement, String> {
        let [(artifact, release), _] = &self.artifacts;
        let environment: EnvName = ENVIRONMENT.parse().map_err(|_| "NO_ENVIRONMENT".to_owned())?;
        let query = Query { artifact: *artifact, service: &release.service, environment: &environment, now: self.now };
        let verified = bundle::verify(bytes, trust, &query).map_err(|refusal| refusal.code.to_owned())?;
        let value = Bundle::from_bytes(bytes).and_then(|bundle| bundle.to_bytes());
        // What is said beside a check may count what the bundle carries, such as the leaves of attestations, which prove
        // nothing about the grant.
        let checks: Vec<&str> = verified.checks.iter().map(|check| check.name).collect();
        let statement = (
            verified.promotion,
            &verified.grant,
            &verified.decision,
            verified.decision_index,
            verified.checkpoint_size,
            verified.checkpoint_root,
            &verified.release,
            &verified.suspects,
            checks,
        );
        Ok(Judgement::accepted(&value.map_err(|error| error.code.to_owned())?, &statement))
    }
}

fn bundles(story: &Arc<Story>) -> Kind {
    let own = Arc::clone(story);
    Kind::new("bundle", (Form::Json, 22), story.bundles.clone(), move |input| {
        Judgement::of(own.verify(input, &own.trust))
    })
}

/// Bundles that are changed within their entries, proofs and bodies; what is refused because a body goes by another name
/// is read again with each body under its own.
fn bundle_insides(story: &Arc<Story>) -> Kind {
    let own = Arc::clone(story);
    Kind::new("bundle-inside", (Form::JsonInside, 22), story.bundles.clone(), move |input| {
        let as_it_is = Judgement::of(own.verify(input, &own.trust));
        if matches!(as_it_is, Judgement::Refused(_))
            && let Some(renamed) = renamed(input)
        {
            return Judgement::of(own.verify(&renamed, &own.trust));
        }
        as_it_is
    })
}

/// A bundle with each body under its own name, where one is not.
fn renamed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bundle = Bundle::from_bytes(bytes).ok()?;
    let mut bodies = BTreeMap::new();
    for body in bundle.bodies.values() {
        bodies.insert(Digest::of(&STANDARD.decode(body).ok()?), body.clone());
    }
    if bodies == bundle.bodies {
        return None;
    }
    bundle.bodies = bodies;
    bundle.to_bytes().ok()
}

/// Envelopes that count when both of two keys have signed.
fn envelopes(story: &Story) -> Result<Kind> {
    let pair = [AttestationKey::generate()?, AttestationKey::generate()?];
    let signed = |payload: &[u8], names: [&str; 2]| -> Result<Vec<u8>> {
        let ([first, second], [its, other]) = (&pair, names);
        let mut envelope = Envelope::sign(PAYLOAD_TYPE, payload, first, &[its.to_owned()])?;
        envelope.signatures.extend(Envelope::sign(PAYLOAD_TYPE, payload, second, &[other.to_owned()])?.signatures);
        Ok(envelope.to_json())
    };
    let payloads: Vec<&Vec<u8>> = story.by_ssh.iter().map(|signed| &signed.document).collect();
    let mut samples = Vec::new();
    for (payload, names) in payloads.into_iter().zip([["build", "release"], ["one", "two"]]) {
        samples.push(signed(payload, names)?);
    }
    let keys: Vec<PublicKey> = pair.iter().map(|key| key.public().clone()).collect();
    Ok(Kind::new("envelope", (Form::Json, 14), samples, move |input| {
        let judge = || -> std::result::Result<Judgement, String> {
            let envelope = Envelope::parse(input, &Limits::DEFAULT).map_err(|error| error.code().to_owned())?;
            match envelope.verify(&keys).len() == keys.len() {
                true => Ok(Judgement::accepted(&envelope.to_json(), &(&envelope.payload_type, &envelope.payload))),
                false => Err("SIGNATURE_INVALID".to_owned()),
            }
        };
        Judgement::of(judge())
    }))
}

fn checkpoints(story: &Story, policy: TrustPolicy) -> Kind {
    let samples = vec![story.head.clone().into_bytes(), story.older.clone().into_bytes()];
    Kind::new("checkpoint", (Form::Lines, 12), samples, move |input| match policy.open(input, &Limits::DEFAULT) {
        Ok((signed, quorum)) => Judgement::accepted(signed.note.to_text().as_bytes(), &(signed.checkpoint, quorum)),
        Err(error) => Judgement::Refused(variant(&error)),
    })
}

/// Proof files for the entry that the first of them is about.
fn inclusions(story: &Story, policy: TrustPolicy) -> Result<Kind> {
    let samples = story.proofs.iter().map(|(_, proof)| proof.to_text().into_bytes()).collect();
    let (entry, _) = story.proofs.first().cloned().ok_or_else(|| Failure::new("there is no proof"))?;
    Ok(Kind::new("inclusion", (Form::Lines, 12), samples, move |input| {
        let limits = &Limits::DEFAULT;
        let judge = || -> std::result::Result<Judgement, String> {
            let file = ProofFile::parse(input, limits).map_err(|error| variant(&error))?;
            let verified = file.verify(&entry, &policy, limits).map_err(|error| variant(&error))?;
            Ok(Judgement::accepted(file.to_text().as_bytes(), &verified))
        };
        Judgement::of(judge())
    }))
}

/// Two heads and the path between them, as `{"new", "old", "path"}`.
fn consistencies(story: &Story, policy: TrustPolicy) -> Result<Kind> {
    let sample = |growth: &Growth| -> Result<Vec<u8>> {
        let path: Vec<String> = growth.path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        Ok(canonical::to_vec(&serde_json::json!({ "new": story.head, "old": growth.old, "path": path }))?)
    };
    let samples = story.growths.iter().map(sample).collect::<Result<Vec<_>>>()?;
    Ok(Kind::new("consistency", (Form::Json, 12), samples, move |input| Judgement::of(grown(input, &policy))))
}

fn grown(input: &[u8], policy: &TrustPolicy) -> std::result::Result<Judgement, String> {
    let limits = &Limits::DEFAULT;
    let value = json::read(input, limits, Numbers::Integers).map_err(|error| error.code.to_owned())?;
    let fields = value.as_object().filter(|fields| fields.len() == 3).ok_or("FORM")?;
    let open = |name: &str| -> std::result::Result<(SignedCheckpoint, QuorumMet), String> {
        let text = fields.get(name).and_then(Value::as_str).ok_or("FORM")?;
        policy.open(text.as_bytes(), limits).map_err(|error| variant(&error))
    };
    let ((old, old_seen), (new, new_seen)) = (open("old")?, open("new")?);
    let mut path = Vec::new();
    for hash in fields.get("path").and_then(Value::as_array).ok_or("FORM")? {
        let bytes = STANDARD.decode(hash.as_str().ok_or("FORM")?).map_err(|_| "FORM")?;
        path.push(hash_from_slice(&bytes).map_err(|error| variant(&error))?);
    }
    let (old, new) = (old.checkpoint, new.checkpoint);
    verify_consistency(old.size, new.size, &path, &old.root, &new.root).map_err(|error| variant(&error))?;
    let value = canonical::to_vec(&value).map_err(|error| variant(&error))?;
    Ok(Judgement::accepted(&value, &(old, old_seen, new, new_seen)))
}

/// What a server does with a document and a signature that somebody hands in; everything but the promotion itself.
fn approved(story: &Story, document: &[u8], signature: &str) -> std::result::Result<Approval, String> {
    let read = ApprovalDocument::from_bytes(document).map_err(|error| error.code.to_owned())?;
    let parsed = SshSignature::parse_armored(signature).map_err(|error| variant(&error))?;
    let event = ApprovalRecorded {
        promotion: read.predicate.promotion,
        release: read.predicate.release,
        verdict: read.predicate.verdict,
        approver: read.predicate.approver,
        key: parsed.public_key().fingerprint(),
        document: Digest::of(document),
        signature: signature.to_owned(),
    };
    Approval::verify(&event, document, &story.governance, AFTERWARDS).map_err(|error| error.code.to_owned())
}

/// Approval documents under the signature of the first of them.
fn documents(name: &'static str, story: &Arc<Story>, approvals: &[Signed]) -> Result<Kind> {
    let samples = approvals.iter().map(|signed| signed.document.clone()).collect();
    let (own, first) = (Arc::clone(story), first(approvals)?);
    Ok(Kind::new(name, (Form::Json, 5), samples, move |input| match approved(&own, input, &first.signature) {
        Ok(approval) => Judgement::accepted(input, &approval),
        Err(code) => Judgement::Refused(code),
    }))
}

/// Signatures over the document of the first of them.
fn signatures(name: &'static str, story: &Arc<Story>, approvals: &[Signed]) -> Result<Kind> {
    let samples = approvals.iter().map(|signed| signed.signature.clone().into_bytes()).collect();
    let (own, first) = (Arc::clone(story), first(approvals)?);
    Ok(Kind::new(name, (Form::Lines, 5), samples, move |input| {
        let judge = || -> std::result::Result<Judgement, String> {
            let text = std::str::from_utf8(input).map_err(|_| "NO_TEXT")?;
            let approval = approved(&own, &first.document, text)?;
            let signature = SshSignature::parse_armored(text).map_err(|error| variant(&error))?;
            let by: (&PersonId, String) = (&approval.predicate.approver, signature.public_key().fingerprint());
            Ok(Judgement::accepted(&signature.to_bytes(), &(by, &approval, signature.presence())))
        };
        Judgement::of(judge())
    }))
}

/// The bytes within armored signatures, judged as these are.
fn signature_bytes(name: &'static str, armored: &Kind) -> Result<Kind> {
    let mut samples = Vec::new();
    for sample in &armored.samples {
        samples.push(SshSignature::parse_armored(std::str::from_utf8(sample)?)?.to_bytes());
    }
    let judge = Arc::clone(&armored.judge);
    Ok(Kind::new(name, (Form::Bytes, 5), samples, move |input| {
        let text = STANDARD.encode(input);
        judge(format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n").as_bytes())
    }))
}

fn first(approvals: &[Signed]) -> Result<Signed> {
    approvals.first().cloned().ok_or_else(|| Failure::new("there is no approval"))
}

/// Policy sets. Another text may well be another policy set: then it has another digest, and a bundle that carries it in
/// place of the pinned one is refused, under the old name as under its own.
fn policies(story: &Arc<Story>) -> Result<Kind> {
    let other = PolicySet::starter("minimal").ok_or_else(|| Failure::new("there is no starter policy set"))?;
    let other = PolicySet::from_files(other).map_err(|errors| Failure::new(format!("{errors:?}")))?;
    let own = Arc::clone(story);
    let genuine = Bundle::from_bytes(story.bundles.first().map(Vec::as_slice).unwrap_or_default())?;
    let pinned = Digest::of(&story.policy);
    Ok(Kind::new("policy-set", (Form::Json, 4), vec![story.policy.clone(), other.document()], move |input| {
        let Ok(set) = PolicySet::from_document(input) else { return Judgement::Refused("POLICY_INVALID".to_owned()) };
        if set.digest() == pinned {
            return Judgement::accepted(input, &set.document());
        }
        if set.document() != input || set.digest() != Digest::of(input) {
            return Judgement::wrong(input);
        }
        let mut last = String::new();
        for name in [pinned, set.digest()] {
            let mut forged = genuine.clone();
            forged.bodies.remove(&pinned);
            forged.bodies.insert(name, STANDARD.encode(input));
            let bytes = forged.to_bytes().map_err(|error| error.code.to_owned());
            match bytes.and_then(|bytes| own.verify(&bytes, &own.trust)) {
                Ok(_) => return Judgement::wrong(input),
                Err(code) => last = code,
            }
        }
        Judgement::Refused(format!("OTHER_DIGEST, {last}"))
    }))
}

/// Trust files. Another text may well pin something else: then it has another digest; and one that pins no more than
/// three other things does not take in whoever set up a whole other ledger.
fn trusts(story: &Arc<Story>, foreign: &Arc<Story>) -> Result<Kind> {
    let samples = vec![canonical::to_vec(&story.trust)?, canonical::to_vec(&foreign.trust)?];
    let (pinned, theirs) = (pins(&story.trust)?, Arc::clone(foreign));
    Ok(Kind::new("trust-file", (Form::Json, 4), samples, move |input| {
        let judge = || -> std::result::Result<Judgement, String> {
            let trust = TrustFile::from_bytes(input).map_err(|error| error.code.to_owned())?;
            let found = pins(&trust).map_err(|_| "TRUST_INVALID")?;
            if found == pinned {
                let value = canonical::to_vec(&trust).map_err(|error| variant(&error))?;
                return Ok(Judgement::accepted(&value, &found));
            }
            let forged = theirs.bundles.first().map(Vec::as_slice).unwrap_or_default();
            match theirs.verify(forged, &trust) {
                Ok(_) => Ok(Judgement::wrong(input)),
                Err(code) => Err(format!("OTHER_DIGEST, {code}")),
            }
        };
        Judgement::of(judge())
    }))
}

/// What a trust file pins, whatever else stands in it: comments and addresses decide nothing.
fn pins(trust: &TrustFile) -> Result<String> {
    let policy = trust.policy()?;
    let logs: Vec<String> = policy.logs().iter().map(|log| log.vkey.to_string()).collect();
    let witnesses: Vec<(&str, String)> =
        policy.witnesses().iter().map(|witness| (witness.name.as_str(), witness.vkey.to_string())).collect();
    let mut keys: Vec<String> = trust.root_keys.iter().map(ToString::to_string).collect();
    keys.sort_unstable();
    keys.dedup();
    let parts = (logs, witnesses, policy.groups(), policy.quorum(), trust.genesis, keys, &trust.attestation_key);
    Ok(format!("{parts:?}"))
}

/// The names of an error's variants, outermost first.
pub fn variant(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    let names: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || "_(".contains(*c)).collect();
    names.trim_end_matches('(').replace('(', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_sample_is_accepted_and_every_kind_has_another() {
        let all = kinds("samples").unwrap();
        let names: std::collections::BTreeSet<&str> = all.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), all.len(), "two kinds have one name");
        for kind in &all {
            assert!(kind.share > 0, "{}", kind.name);
            let own = &kind.samples[0];
            assert!(matches!(kind.judge(own), Judgement::Accepted(_)), "{}: {:?}", kind.name, kind.judge(own));
            assert_eq!(kind.judge(own), kind.judge(own), "{}", kind.name);
            assert!(kind.samples.len() > 1 && kind.samples[1] != *own, "{}", kind.name);
            assert!(matches!(kind.judge(b""), Judgement::Refused(_)), "{}", kind.name);
        }
    }

    #[test]
    fn variants_are_told_apart() {
        let check = |text: &str, expected: &str| {
            struct Shown<'a>(&'a str);
            impl Debug for Shown<'_> {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(self.0)
                }
            }
            assert_eq!(variant(&Shown(text)), expected);
        };
        check("Trust(Checkpoint(Note(Malformed(\"x\"))))", "Trust/Checkpoint/Note/Malformed");
        check("Hash { found: 1 }", "Hash");
    }
}
