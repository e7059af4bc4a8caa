//! Suspects: what in the ledger rested on keys that were found compromised.

use std::collections::BTreeSet;

use lockgate_ledger::governance::Person;
use lockgate_ledger::suspect::{self, Suspect};
use lockgate_ledger::{Event, Governance};
use lockgate_model::{EntryIndex, PersonId, ReleaseName, StreamName};

use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;

/// Everything that is suspect, in ledger order; of one `key.revoked` entry alone where `since` names it.
///
/// Costs what the people whose keys are in doubt have done, and nothing where no key is.
///
/// # Errors
/// What the store says.
pub fn suspects(engine: &Engine, since: Option<EntryIndex>) -> Result<Vec<Suspect>, Fault> {
    let governance = engine.governance()?;
    if !suspect::is_possible(&governance) {
        return Ok(Vec::new());
    }
    let mut found = suspect::in_governance(&governance);
    for name in doubtful_releases(engine, &governance, &found)? {
        if let Some(release) = reader::release(engine.store(), &governance, &name)? {
            found.extend(suspect::in_release(&governance, &release));
        }
    }
    found.retain(|suspect| since.is_none_or(|since| suspect.since == since));
    found.sort_by_key(|suspect| suspect.index);
    Ok(found)
}

/// The releases that people with a doubtful key approved, and those of services that a suspect waiver is for.
fn doubtful_releases(
    engine: &Engine,
    governance: &Governance,
    found: &[Suspect],
) -> Result<BTreeSet<ReleaseName>, Fault> {
    let store = engine.store();
    let mut names = BTreeSet::new();
    let doubtful = |person: &Person| person.keys.iter().any(|key| key.suspect.is_some() || key.is_compromised());
    for (id, _) in governance.people().filter(|(_, person)| doubtful(person)) {
        for event in acts(engine, id)? {
            if let Event::ApprovalRecorded(event) = event {
                names.insert(event.release);
            }
        }
    }
    for suspect in found.iter().filter(|suspect| suspect.event == "waiver.granted") {
        let Event::WaiverGranted(event) = reader::entry(store, suspect.index)?.event else { continue };
        for index in reader::stream_indices(store, &StreamName::service(&event.service))? {
            names.extend(reader::entry(store, index)?.event.release().cloned());
        }
    }
    Ok(names)
}

/// What someone did, oldest first.
fn acts(engine: &Engine, person: &PersonId) -> Result<Vec<Event>, Fault> {
    let indices = reader::stream_indices(engine.store(), &StreamName::person(person))?;
    indices.into_iter().map(|index| Ok(reader::entry(engine.store(), index)?.event)).collect()
}
