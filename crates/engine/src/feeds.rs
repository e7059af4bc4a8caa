//! Feeds: record a snapshot of KEV or EPSS, whose bytes are here already.

use lockgate_ledger::bodies::required;
use lockgate_ledger::feed::{FeedRecorded, Snapshot};
use lockgate_ledger::{Actor, Event};
use lockgate_model::facts::FeedKind;
use lockgate_model::{Digest, EnvName, Limits, PersonId, PromotionId, ServiceName};
use lockgate_policy::{Object, Permission};
use serde_json::{Value, json};

use crate::attest::unknown;
use crate::authorise::permit;
use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::integrity::Log;
use crate::sequencer::Submission;
use crate::staging::OPEN_PROMOTIONS;
use crate::{reader, scheduler};

/// Reads a snapshot outside of the sequencer; what is malformed is refused before anything is recorded.
///
/// # Errors
/// `BLOB_UNKNOWN`, `FEED_TOO_LARGE` or `FEED_MALFORMED`.
pub fn check(engine: &Engine, feed: FeedKind, digest: Digest) -> Result<FeedRecorded, Fault> {
    let bodies = StoreBodies(engine.store());
    let most = Limits::DEFAULT.evidence_bytes;
    if bodies.blob_size(&digest)?.is_some_and(|size| size > most) {
        let message = format!("the snapshot has more bytes than the limit of {most}");
        return Err(Fault::new(Kind::TooLarge, "FEED_TOO_LARGE", message));
    }
    let bytes = required(&bodies, &digest).map_err(unknown)?;
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Snapshot::read(feed, &bytes)?.event(feed, digest, size_bytes))
}

/// Records a snapshot. One that is the newest already is not recorded twice.
///
/// Open promotions are decided again by [`decide_again`], each as a request of its own.
pub fn record(by: PersonId, event: FeedRecorded) -> Submission {
    Submission::new(move |staging, _| {
        permit(staging, &by, Permission::Feeds, Object::Ledger, None)?;
        let newest = staging.governance()?.feed(event.feed);
        if let Some(known) = newest.filter(|known| known.event == event) {
            return Ok(shown(&event, known.index.0, true));
        }
        let index = staging.append(Actor::Subject { id: by }, &[], Event::FeedRecorded(event.clone()))?;
        lockgate_failpoint::point("feed.recorded");
        Ok(shown(&event, index.0, false))
    })
}

/// Decides again on every open promotion whose gates ask this feed, and gives how many those are.
///
/// It never fails: a snapshot counts from its entry on, and what cannot be decided here is left to the scheduler, and
/// logged. So a body that is damaged holds up its own promotion and not the snapshot.
pub fn decide_again(engine: &Engine, feed: FeedKind) -> usize {
    let open = open_asking(engine, feed).unwrap_or_else(|fault| {
        tracing::warn!(code = fault.code, "open promotions could not be listed");
        engine.integrity().note(Log::Ledger, &fault);
        Vec::new()
    });
    for promotion in open.iter().copied() {
        scheduler::decide_again(engine, promotion);
    }
    open.len()
}

fn open_asking(engine: &Engine, feed: FeedKind) -> Result<Vec<PromotionId>, Fault> {
    let policy = engine.governance()?.policy.clone();
    let asks = |key: &str, service: &ServiceName| {
        let environment = key.split('/').next().and_then(|name| name.parse::<EnvName>().ok());
        environment.is_some_and(|environment| policy.feeds_for(&environment, service).contains(&feed))
    };
    let open = reader::projections_under(engine.store(), OPEN_PROMOTIONS, "")?;
    let asking = open.iter().filter_map(|(key, value)| {
        let (promotion, release) = reader::open_promotion(key, value)?;
        asks(key, &release.service).then_some(promotion)
    });
    Ok(asking.collect())
}

fn shown(event: &FeedRecorded, index: u64, repeated: bool) -> Value {
    json!({
        "feed": event.feed, "digest": event.digest, "date": event.date, "rows": event.rows, "index": index,
        "repeated": repeated,
    })
}
