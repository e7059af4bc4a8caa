//! Attacks on bundles: what somebody shows to a verifier that has the pinned trust, and no server to ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::Bundle;
use lockgate_ledger::entry::{Event, Leaf};
use lockgate_model::{Digest, EnvName, Limits};
use lockgate_sign::note::{Note, NoteSigner};
use lockgate_store::Head;
use lockgate_tlog::checkpoint::Checkpoint;

use super::attack::{Halt, Made, Shown};
use super::history::other_policy;
use super::log::another_head;
use super::proof::Proof;
use super::scene::{Scene, failed};

/// The bundle that verifies; without one, there is nothing to attack.
fn proof<'a>(scene: &Scene<'a>) -> Result<&'a Proof, Halt> {
    scene.subject.proof.as_ref().map_err(Clone::clone)
}

fn shown(bundle: &Bundle, artifact: Digest, environment: EnvName, did: String) -> Result<Made, Halt> {
    Ok(Made { did, shown: Shown::Bundle { bytes: bundle.to_bytes()?, artifact, environment } })
}

/// Another bundle to the same question.
fn changed(proof: &Proof, bundle: &Bundle, did: String) -> Result<Made, Halt> {
    shown(bundle, proof.artifact, proof.environment.clone(), did)
}

pub fn elsewhere(scene: &Scene<'_>) -> Result<Made, Halt> {
    let proof = proof(scene)?;
    let did = format!("the bundle of {} was shown in {}", proof.environment, proof.elsewhere);
    shown(&proof.bundle, proof.artifact, proof.elsewhere.clone(), did)
}

pub fn other_file(scene: &Scene<'_>) -> Result<Made, Halt> {
    let proof = proof(scene)?;
    let did = format!("the bundle of {} was shown for a file of other bytes", proof.bundle.promotion);
    shown(&proof.bundle, Digest::of(b"other bytes"), proof.environment.clone(), did)
}

/// The newest approval is left out, or else the newest grant.
pub fn shortened(scene: &Scene<'_>) -> Result<Made, Halt> {
    let proof = proof(scene)?;
    let mut bundle = proof.bundle.clone();
    let (mut approval, mut grant) = (None, None);
    for (at, entry) in bundle.entries.iter().enumerate() {
        let leaf = STANDARD.decode(&entry.leaf).map_err(failed)?;
        if let Leaf::Entry(entry) = Leaf::decode(&leaf, &Limits::DEFAULT).map_err(failed)? {
            match entry.event {
                Event::ApprovalRecorded(_) => approval = Some(at),
                Event::GrantIssued(_) => grant = Some(at),
                _ => {}
            }
        }
    }
    let at = approval.or(grant).ok_or_else(|| failed("the bundle holds neither an approval nor a grant"))?;
    let removed = bundle.entries.remove(at);
    changed(proof, &bundle, format!("entry {} was taken out of the bundle", removed.index))
}

pub fn policy_swapped(scene: &Scene<'_>) -> Result<Made, Halt> {
    let proof = proof(scene)?;
    let mut bundle = proof.bundle.clone();
    let (_, active) = scene.subject.survey.policy.ok_or_else(|| failed("the ledger has no policy set"))?;
    let other = other_policy(Some(active))?;
    bundle.bodies.insert(active, STANDARD.encode(other.document()));
    changed(proof, &bundle, format!("the policy set {active} in the bundle is another one"))
}

/// The head that the bundle's own checkpoint is about.
fn head_of(bundle: &Bundle) -> Result<Head, Halt> {
    let note = Note::parse(bundle.checkpoint.as_bytes(), &Limits::DEFAULT).map_err(failed)?;
    let checkpoint = Checkpoint::parse_body(&note.text).map_err(failed)?;
    Ok(Head { size: checkpoint.size, root: checkpoint.root })
}

fn signed(scene: &Scene<'_>, head: &Head, signer: &NoteSigner, did: String) -> Result<Made, Halt> {
    let proof = proof(scene)?;
    let bundle = Bundle { checkpoint: scene.checkpoint(head, signer), ..proof.bundle.clone() };
    changed(proof, &bundle, did)
}

pub fn forged(scene: &Scene<'_>) -> Result<Made, Halt> {
    let head = another_head(&head_of(&proof(scene)?.bundle)?);
    let did = format!("another root for {} entries was signed for the bundle, with the log's own key", head.size);
    signed(scene, &head, scene.signer()?, did)
}

pub fn foreign(scene: &Scene<'_>) -> Result<Made, Halt> {
    let head = head_of(&proof(scene)?.bundle)?;
    let did = "the bundle's own root was signed with another key of the log's name".to_owned();
    signed(scene, &head, &scene.subject.foreign, did)
}
