//! The dashboard: what the API gives for a question, as a page. One file a page.

mod access;
mod changes;
mod diff;
mod drift;
mod evidence;
mod freeze;
mod inbox;
mod keys;
mod log;
mod metrics;
mod pipeline;
mod policy;
mod policy_change;
mod promotion;
mod release;
mod service;
mod timeline;

use lockgate_engine::authorise::authorise;
use lockgate_engine::{Engine, Fault};
use lockgate_model::{EnvName, PersonId, ServiceName};
use lockgate_policy::access::object_of;
use lockgate_policy::{Object, Permission, Reach};
use lockgate_web::{Rights, Shell};

use crate::app::App;

pub use access::{access, access_log, access_review};
pub use changes::{change, changes};
pub use diff::diff;
pub use drift::drift;
pub use evidence::evidence;
pub use freeze::freeze;
pub use inbox::inbox;
pub use keys::keys;
pub use log::log;
pub use metrics::metrics;
pub use pipeline::pipeline;
pub use policy::policy;
pub use promotion::promotion;
pub use release::release;
pub use service::service;
pub use timeline::timeline;

/// How many holders of a permission a control names.
const HOLDERS_NAMED: usize = 5;

/// What is around every page.
fn shell(app: &App, person: &PersonId) -> Result<Shell, Fault> {
    let engine = &app.engine;
    let published = engine.published();
    let governance = engine.governance()?;
    let standing = app.standings.of(engine, person)?;
    Ok(Shell {
        person: person.clone(),
        origin: governance.origin().to_owned(),
        entries: published.head.size.0,
        signed: published.time,
        demo: app.demo,
        now: engine.inner().now().max(published.time),
        waiting: standing.waiting,
        alarms: standing.alarms,
    })
}

/// What somebody may do with a service in an environment, and who may what they may not. Asked of the one function that
/// says so; the controls that a page offers are a courtesy, and every request is authorised again.
fn rights(engine: &Engine, person: &PersonId, service: &ServiceName, environment: &EnvName) -> Result<Rights, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let mut rights = Rights::default();
    for permission in Permission::ALL {
        let object = object_of(*permission, service, environment);
        let lent = *permission == Permission::Approve && governance.lends_approval(person, service, environment, now);
        match authorise(&governance, person, *permission, object) {
            Err(refusal) if !lent => {
                let who: Vec<String> = refusal.who_may.iter().take(HOLDERS_NAMED).map(ToString::to_string).collect();
                rights.others.insert(permission.as_str().to_owned(), who.join(", "));
            }
            _ => rights.may.push(permission.as_str().to_owned()),
        }
    }
    Ok(rights)
}

/// As [`rights`], for pages that are about no one service and environment: what is held in at least one place counts.
fn rights_anywhere(engine: &Engine, person: &PersonId) -> Result<Rights, Fault> {
    let governance = engine.governance()?;
    let mut rights = Rights::default();
    for permission in Permission::ALL {
        let object = match permission.reach() {
            Reach::Ledger => Object::Ledger,
            Reach::Service | Reach::Target => Object::Anywhere,
        };
        match authorise(&governance, person, *permission, object) {
            Ok(_) => rights.may.push(permission.as_str().to_owned()),
            Err(refusal) => {
                let who: Vec<String> = refusal.who_may.iter().take(HOLDERS_NAMED).map(ToString::to_string).collect();
                rights.others.insert(permission.as_str().to_owned(), who.join(", "));
            }
        }
    }
    Ok(rights)
}
