//! Attacks on what is stored beside the entries, and on the log as a whole.

use lockgate_engine::audit::StoreSource;
use lockgate_ledger::bodies::required;
use lockgate_ledger::entry::Event;
use lockgate_ledger::{ApplyError, Manifest};
use lockgate_model::{Digest, Limits, StreamName, TreeSize};
use lockgate_store::Head;

use super::attack::{Halt, Made, Shown, TOO_SHORT};
use super::history::other_policy;
use super::scene::{Scene, failed};

const NO_RELEASE: &str = "no release is published in this ledger yet";
const NO_HIGH_WATER: (&str, &str) =
    ("high-water", "this home has no `high-water`, which a server keeps: run it with the server's home");
const NO_ANCHOR: (&str, &str) = (
    "a kept checkpoint",
    "this home has kept no checkpoint of the ledger: verify something with it first, or run it with the server's home",
);

pub fn document_edited(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (_, active) = scene.subject.survey.policy.ok_or_else(|| failed("the ledger has no policy set"))?;
    let other = other_policy(Some(active))?;
    scene.copy.damage()?.document_put(&active, &other.document())?;
    Ok(Made::copy(format!("the bytes under the name of the active policy set {active} are another one's")))
}

pub fn index_edited(scene: &Scene<'_>) -> Result<Made, Halt> {
    let stream = StreamName::governance();
    scene.copy.damage()?.stream_entry_remove(&stream, 0)?;
    Ok(Made::copy(format!("the first row of the index of `{stream}` was removed")))
}

/// The smallest artifact of the newest release, with the name of that release.
fn newest_artifact(scene: &Scene<'_>) -> Result<(Digest, String), Halt> {
    let (_, entry) = scene.found(scene.subject.survey.published, NO_RELEASE)?;
    let Event::ReleasePublished(event) = entry.event else { return Err(failed("the survey is wrong")) };
    let store = scene.store()?;
    let bytes = required(&StoreSource(&store), &event.manifest)?.into_owned();
    let manifest = Manifest::from_bytes(&bytes, &Limits::DEFAULT)
        .map_err(|error| ApplyError::new("MANIFEST_INVALID", error.to_string()))?;
    let smallest = manifest.artifacts.iter().min_by_key(|artifact| artifact.size_bytes);
    let smallest = smallest.ok_or_else(|| failed(format!("{} has no artifact", event.release)))?;
    Ok((smallest.digest, event.release.to_string()))
}

fn artifact(digest: Digest, did: String) -> Made {
    Made { did, shown: Shown::Ledger { checkpoint: None, kept: false, artifact: Some(digest) } }
}

pub fn artifact_edited(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (digest, release) = newest_artifact(scene)?;
    scene.copy.blob_flip(&digest)?;
    Ok(artifact(digest, format!("one bit of the artifact {digest} of {release} was flipped")))
}

pub fn artifact_removed(scene: &Scene<'_>) -> Result<Made, Halt> {
    let (digest, release) = newest_artifact(scene)?;
    scene.copy.blob_remove(&digest)?;
    Ok(artifact(digest, format!("the artifact {digest} of {release} was removed")))
}

/// A size that the ledger had: before the newest request for a promotion, or else before the newest entry.
fn earlier(scene: &Scene<'_>) -> Result<u64, Halt> {
    let subject = scene.subject;
    let newest = subject.head.size.0.saturating_sub(1);
    match subject.survey.requests.back().map_or(newest, |index| index.0) {
        0 => Err(Halt::Skipped(TOO_SHORT.to_owned())),
        size => Ok(size),
    }
}

fn kept(checkpoint: Option<Vec<u8>>, did: String) -> Made {
    Made { did, shown: Shown::Ledger { checkpoint, kept: true, artifact: None } }
}

/// The newest entry that the log has stored a checkpoint of is gone, with all behind it; the stored checkpoint stays.
pub fn log_truncated(scene: &Scene<'_>) -> Result<Made, Halt> {
    let subject = scene.subject;
    // A server stores its checkpoint a moment after it has answered: what is newer, the copy alone would not miss.
    let newest = subject.signed.0.saturating_sub(1);
    if newest == 0 {
        return Err(Halt::Skipped(TOO_SHORT.to_owned()));
    }
    scene.rewrite(newest, &[])?;
    Ok(kept(None, format!("the log was cut off before entry {newest}, and the head rolled back")))
}

/// Nothing in it is wrong: it is what the log was, as the log signed it then. It takes somebody who has seen more.
pub fn old_copy(scene: &Scene<'_>) -> Result<Made, Halt> {
    let signer = scene.signer()?;
    let memory = &scene.subject.memory;
    let seen = memory.newest();
    let size = memory.outgrown(scene, earlier(scene)?, seen, NO_ANCHOR)?;
    let head = scene.rewrite(size, &[])?;
    let checkpoint = scene.checkpoint(&head, signer).into_bytes();
    Ok(kept(Some(checkpoint), came_back(size, seen, "kept checkpoints")))
}

pub fn old_copy_started(scene: &Scene<'_>) -> Result<Made, Halt> {
    let memory = &scene.subject.memory;
    let size = memory.outgrown(scene, earlier(scene)?, memory.mark, NO_HIGH_WATER)?;
    scene.rewrite(size, &[])?;
    Ok(Made { did: came_back(size, memory.mark, "`high-water`"), shown: Shown::Started })
}

/// That a state came back to a home that remembers `seen` entries, and what to do where that is too little.
fn came_back(size: u64, seen: Option<TreeSize>, by: &str) -> String {
    match seen {
        Some(seen) if seen.0 > size => {
            format!("the state of {size} entries came back to a home that has seen {seen} by its {by}")
        }
        Some(seen) => format!(
            "the state of {size} entries came back, and by its {by} this home has seen {seen} alone: start its server, \
             which keeps `high-water`, and read its log"
        ),
        None => format!(
            "the state of {size} entries came back, and this home has no {by}: start its server, which keeps \
             `high-water`"
        ),
    }
}

/// Another root for as many entries; nothing else is touched.
pub fn another_head(head: &Head) -> Head {
    Head { size: head.size, root: Digest::of(b"a history that never was") }
}

pub fn checkpoint_forged(scene: &Scene<'_>) -> Result<Made, Halt> {
    let head = another_head(&scene.subject.head);
    scene.sealed(&head, format!("another root for {} entries was signed with the log's own key", head.size))
}

pub fn checkpoint_foreign(scene: &Scene<'_>) -> Result<Made, Halt> {
    let head = &scene.subject.head;
    let checkpoint = Some(scene.checkpoint(head, &scene.subject.foreign).into_bytes());
    let did = format!("the true root of {} entries was signed with another key of the log's name", head.size);
    Ok(Made { did, shown: Shown::Ledger { checkpoint, kept: false, artifact: None } })
}
