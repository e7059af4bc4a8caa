//! What clients read of servers: problems, receipts, an inbox.

use std::fmt::Debug;

use lockgate_api::wire::{Acknowledged, InboxReply, Stored};
use lockgate_api::{Problem, ProblemKind};
use lockgate_model::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::texts;
use crate::fuzz::story::Story;

/// Every target.
///
/// # Errors
/// When a sample cannot be made.
pub fn targets(story: &Story) -> Result<Vec<Target>> {
    let problem = |hint| Problem::new(ProblemKind::Denied, "APPROVALS_MISSING", "one approval is missing", hint);
    let problems = [problem(None), problem(Some("ask sam".to_owned()))].map(|problem| serde_json::to_vec(&problem));
    let problems = problems.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    let digest = Digest::of(b"an artifact");
    let checkpoint = story.checkpoints.first().map(|note| String::from_utf8_lossy(note).into_owned());
    let receipt = json!({
        "result": { "digest": digest, "size_bytes": 11 },
        "logged": {
            "index": 7,
            "leaf": digest,
            "proof": ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],
            "checkpoint": checkpoint.unwrap_or_default(),
            "repeated": false,
        },
    });
    let bare = json!({ "result": { "digest": digest, "size_bytes": 11 } });
    let waiting = json!({
        "promotions": [{
            "promotion": "P-6",
            "release": "shop/web@1.4.2",
            "environment": "production",
            "kind": "promotion",
            "requester": "dana",
            "reason": "weekly release",
            "requested_at": 1_800_000_000_000_u64,
            "expires_at": 1_800_000_600_000_u64,
            "missing": [],
            "lent": [],
        }],
        "changes": [],
        "suspects": [],
        "next": "P-6",
    });
    let empty = "{\"promotions\":[],\"changes\":[],\"suspects\":[]}";
    Ok(vec![
        reply::<Problem>("reply-problem", problems),
        reply::<Acknowledged<Stored>>("reply-receipt", texts(&[&receipt.to_string(), &bare.to_string()])),
        reply::<InboxReply>("reply-inbox", texts(&[empty, &waiting.to_string()])),
    ])
}

/// A reply that is read as clients read it: written again, it has to be read as the same.
fn reply<T: Serialize + DeserializeOwned + Debug + 'static>(name: &str, seeds: Vec<Vec<u8>>) -> Target {
    Target::new(name, seeds, |input| {
        let write = |reply: &T| serde_json::to_vec(reply).unwrap_or_default();
        Outcome::again(input, |bytes| serde_json::from_slice::<T>(bytes), write)
    })
}
