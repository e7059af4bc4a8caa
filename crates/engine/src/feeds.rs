//! Feeds: record a snapshot of KEV or EPSS, whose bytes are here already.

use lockgate_ledger::bodies::required;
use lockgate_ledger::feed::{FeedRecorded, Snapshot};
use lockgate_ledger::{Actor, Event};
use lockgate_model::facts::FeedKind;
use lockgate_model::{Digest, PersonId};
use lockgate_policy::{Object, Permission};
use serde_json::{Value, json};

use crate::authorise::permit;
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::sequencer::Submission;

/// Reads a snapshot outside of the sequencer; what is malformed is refused before anything is recorded.
///
/// # Errors
/// `BLOB_UNKNOWN`, `FEED_TOO_LARGE` or `FEED_MALFORMED`.
pub fn check(engine: &Engine, feed: FeedKind, digest: Digest) -> Result<FeedRecorded, Fault> {
    let bodies = StoreBodies(engine.store());
    let bytes = required(&bodies, &digest).map_err(|error| Fault::not_found("BLOB_UNKNOWN", error.to_string()))?;
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Snapshot::read(feed, &bytes)?.event(feed, digest, size_bytes))
}

/// Records a snapshot. One that is the newest already is not recorded twice.
///
/// Open promotions are decided again by the scheduler, as for everything that comes with time.
pub fn record(by: PersonId, event: FeedRecorded) -> Submission {
    Submission::new(move |staging, _| {
        permit(staging, &by, Permission::Feeds, Object::Ledger, None)?;
        let newest = staging.governance()?.feed(event.feed);
        if let Some(known) = newest.filter(|known| known.event == event) {
            return Ok(shown(&event, known.index.0, true));
        }
        let index = staging.append(Actor::Subject { id: by }, &[], Event::FeedRecorded(event.clone()))?;
        Ok(shown(&event, index.0, false))
    })
}

fn shown(event: &FeedRecorded, index: u64, repeated: bool) -> Value {
    json!({
        "feed": event.feed, "digest": event.digest, "date": event.date, "rows": event.rows, "index": index,
        "repeated": repeated,
    })
}
