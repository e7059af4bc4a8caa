//! Projections: made again from the ledger, where a store has found some of them damaged and has taken them out.
//!
//! The index of what is where has a file of its own. What only reports are made of is not made again here: who used which
//! permission last, and how quickly people approve. What was taken out of those stays out.

use std::collections::BTreeMap;

use lockgate_ledger::entry::EvidenceForm;
use lockgate_ledger::{Event, Governance, Manifest};
use lockgate_model::{Digest, EntryIndex, Limits, PromotionId, ServiceName};
use lockgate_store::projection::DAMAGED;
use lockgate_store::{Projection, Store};

use crate::authorise::BLOB_OF;
use crate::bodies::StoreBodies;
use crate::fault::Fault;
use crate::reader;
use crate::staging::{OPEN_PROMOTIONS, open_key};
use crate::where_index::{self, put};

/// How many rows one commit writes, and how many entries are read at a time.
const PAGE: usize = 4_096;

/// Makes projections again where the store says that some were damaged. The caller is the store's only writer.
///
/// A crash on the way leaves the store's mark in its place, so that the next start makes them again.
///
/// # Errors
/// What the store says, or an entry that does not read.
pub fn mend(store: &dyn Store, governance: Option<&Governance>) -> Result<(), Fault> {
    let (kind, key) = DAMAGED;
    if store.projection(kind, key)?.is_none() {
        return Ok(());
    }
    tracing::warn!("some projections were damaged: making them again from the ledger, before anything else");
    if let Some(governance) = governance {
        where_index::rebuild(store, governance)?;
    }
    remake(store)
}

/// Makes the open promotions, and what bytes belong to, again from the ledger; then nothing is damaged any more.
///
/// # Errors
/// As [`mend`].
pub fn remake(store: &dyn Store) -> Result<(), Fault> {
    let head = store.head()?;
    // Said before anything is taken away: crash from here on, and the next start makes all of it again.
    put(store, &head, vec![mark(Some(Vec::new()))])?;
    let mut rows = Vec::new();
    for (key, _) in reader::projections_under(store, OPEN_PROMOTIONS, "")? {
        rows.push(Projection { kind: OPEN_PROMOTIONS, key, value: None });
    }
    let mut open: BTreeMap<PromotionId, (String, String)> = BTreeMap::new();
    reader::each_entry(store, EntryIndex(0), head.size, |_, entry, _| {
        follow(&mut open, &entry.event);
        rows.extend(belongings(store, &entry.event)?);
        match rows.len() >= PAGE {
            true => put(store, &head, std::mem::take(&mut rows)),
            false => Ok(()),
        }
    })?;
    let still = open.into_values();
    rows.extend(still.map(|(key, release)| Projection {
        kind: OPEN_PROMOTIONS,
        key,
        value: Some(release.into_bytes()),
    }));
    // In one commit with the last rows: what is not marked is whole.
    rows.push(mark(None));
    put(store, &head, rows)
}

/// The row that says that projections are damaged.
fn mark(value: Option<Vec<u8>>) -> Projection {
    let (kind, key) = DAMAGED;
    Projection { kind, key: key.to_owned(), value }
}

/// What an event does to the promotions that are open: each has a row from its first decision on, until it ends.
fn follow(open: &mut BTreeMap<PromotionId, (String, String)>, event: &Event) {
    match event {
        Event::DecisionRecorded(event) => {
            let key = open_key(&event.environment, &event.release.service, event.promotion);
            open.insert(event.promotion, (key, event.release.to_string()));
        }
        Event::GrantIssued(event) => {
            open.remove(&event.promotion);
        }
        Event::PromotionClosed(event) => {
            open.remove(&event.promotion);
        }
        _ => {}
    }
}

/// The bytes that an event gives to a service.
///
/// # Errors
/// `STORE_FAILED` where a manifest cannot be had now.
fn belongings(store: &dyn Store, event: &Event) -> Result<Vec<Projection>, Fault> {
    let row = |digest: &Digest, service: &ServiceName| Projection {
        kind: BLOB_OF,
        key: format!("{digest}/{service}"),
        value: Some(service.as_str().as_bytes().to_vec()),
    };
    Ok(match event {
        Event::ReleasePublished(event) => {
            let bytes = StoreBodies(store).lasting(&event.manifest)?;
            let manifest = bytes.and_then(|bytes| Manifest::from_bytes(&bytes, &Limits::DEFAULT).ok());
            let mut digests = vec![event.manifest];
            if let Some(manifest) = manifest {
                digests.extend(manifest.artifact_digests());
                digests.extend(manifest.notes);
            }
            digests.iter().map(|digest| row(digest, &event.release.service)).collect()
        }
        Event::EvidenceRecorded(event) => {
            let mut digests = vec![event.evidence];
            if let EvidenceForm::Report { statement, .. } = &event.form {
                digests.push(*statement);
            }
            digests.iter().map(|digest| row(digest, &event.release.service)).collect()
        }
        _ => Vec::new(),
    })
}
