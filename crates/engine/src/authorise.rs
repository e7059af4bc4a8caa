//! Authorise: whether somebody may do something to an object. The one function that says so, for every route and verb.
//!
//! The server asks it before a request's body is read, whether the permission is held anywhere; each verb asks it again
//! inside the sequencer, on current state, with the service and the environment that it is about.

use lockgate_ledger::entry::{PersonEnrolled, Sponsor};
use lockgate_ledger::{Event, Governance};
use lockgate_model::{
    Digest, EntryIndex, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, StreamName, UnixMillis,
};
use lockgate_policy::access::Refusal;
use lockgate_policy::{Object, Permission, Permit};
use lockgate_store::Store;

use crate::engine::Engine;
use crate::fault::{Fault, Kind};
use crate::reader;
use crate::staging::Staging;

/// The projection of newest uses: key `<person>/<permission>`, value `<index> <time in milliseconds>`.
pub const LAST_USED: &str = "last-used";

/// The projection of what bytes belong to: key `<digest>/<service>`, value the service.
pub const BLOB_OF: &str = "blob-of";

/// How many holders a refusal names.
const HOLDERS_NAMED: usize = 5;

/// The one authorisation function.
///
/// # Errors
/// [`Refusal`] with who may.
pub fn authorise(
    governance: &Governance,
    principal: &PersonId,
    action: Permission,
    object: Object<'_>,
) -> Result<Permit, Refusal> {
    governance.allows(principal, action, object)
}

/// Whether somebody may read about an object.
pub fn may_read(governance: &Governance, principal: &PersonId, object: Object<'_>) -> bool {
    authorise(governance, principal, Permission::Read, object).is_ok()
}

/// Authorises, or says what a caller is told.
///
/// INVARIANT (what one may not read does not exist): where the object's service is not readable for the caller,
/// `unknown` is told, the same as for an object that does not exist (attacks of `tests/attacks`).
///
/// # Errors
/// `NOT_PERMITTED`, or `unknown`.
pub fn check(
    governance: &Governance,
    principal: &PersonId,
    action: Permission,
    object: Object<'_>,
    unknown: Option<Fault>,
) -> Result<(), Fault> {
    if action == Permission::Request && lockgate_failpoint::planted("access-check-skipped") {
        return Ok(());
    }
    if let Some(unknown) = unknown {
        hide(governance, principal, action, object, unknown)?;
    }
    let refused = |refusal: Refusal| refused(governance, principal, object, &refusal);
    authorise(governance, principal, action, object).map(|_| ()).map_err(refused)
}

/// The first half of [`check`], for verbs that have more to say to whoever may read: `unknown` for everyone else.
///
/// # Errors
/// `unknown`.
pub fn hide(
    governance: &Governance,
    principal: &PersonId,
    action: Permission,
    object: Object<'_>,
    unknown: Fault,
) -> Result<(), Fault> {
    let hidden = object.service().is_some_and(|service| !may_read(governance, principal, Object::Service(service)));
    match hidden && authorise(governance, principal, action, object).is_err() {
        true => Err(unknown),
        false => Ok(()),
    }
}

/// As [`hide`], for a promotion: it does not exist for whoever may not read its service in its environment, the same as
/// where it is read ([`check_promotion`]).
///
/// # Errors
/// `PROMOTION_UNKNOWN`.
pub fn hide_promotion(
    governance: &Governance,
    principal: &PersonId,
    action: Permission,
    (service, environment): (&ServiceName, &EnvName),
    promotion: PromotionId,
) -> Result<(), Fault> {
    let target = Object::Target(service, environment);
    match may_read(governance, principal, target) || authorise(governance, principal, action, target).is_ok() {
        true => Ok(()),
        false => Err(promotion_unknown(promotion)),
    }
}

/// Authorises a verb inside the sequencer, and remembers the use. It is forgotten again where the verb fails.
///
/// # Errors
/// As [`check`].
pub fn permit(
    staging: &mut Staging<'_>,
    principal: &PersonId,
    action: Permission,
    object: Object<'_>,
    unknown: Option<Fault>,
) -> Result<(), Fault> {
    let governance = staging.governance()?.clone();
    check(&governance, principal, action, object, unknown)?;
    remember(staging, principal, action);
    Ok(())
}

/// Remembers that a permission was used for what is staged next.
pub fn remember(staging: &mut Staging<'_>, principal: &PersonId, action: Permission) {
    let value = format!("{} {}", staging.next_index().0, staging.time().0).into_bytes();
    staging.project(LAST_USED, format!("{principal}/{action}"), Some(value));
}

/// Remembers which permission a change of governance used; the fold has the last word on whether it was there.
pub fn remember_governing(staging: &mut Staging<'_>, event: &Event) {
    let used = match event {
        Event::PersonEnrolled(PersonEnrolled { sponsor: Sponsor::Countersigned { by, .. }, .. }) => {
            Some((by, Permission::Keys))
        }
        Event::KeyRevoked(event) if event.by != event.person => Some((&event.by, Permission::Keys)),
        Event::KeyRecovered(event) => Some((&event.by, Permission::Keys)),
        Event::PersonSuspended(event) | Event::PersonReinstated(event) => Some((&event.by, Permission::Keys)),
        Event::PolicyActivated(event) => Some((&event.by, Permission::Policy)),
        Event::CiTrusted(event) => Some((&event.by, Permission::Keys)),
        Event::CiUntrusted(event) => Some((&event.by, Permission::Keys)),
        _ => None,
    };
    if let Some((by, permission)) = used {
        remember(staging, by, permission);
    }
}

/// The newest use of each permission by one person, as far as it is known.
///
/// # Errors
/// What the store says.
pub fn last_uses(store: &dyn Store, person: &PersonId) -> Result<Vec<(Permission, EntryIndex, UnixMillis)>, Fault> {
    let prefix = format!("{person}/");
    let rows = reader::projections_under(store, LAST_USED, &prefix)?;
    let row = |(key, value): &(String, Vec<u8>)| {
        let permission = key.strip_prefix(&prefix)?.parse::<Permission>().ok()?;
        let (index, time) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some((permission, EntryIndex(index.parse().ok()?), UnixMillis(time.parse().ok()?)))
    };
    Ok(rows.iter().filter_map(row).collect())
}

fn refused(governance: &Governance, principal: &PersonId, object: Object<'_>, refusal: &Refusal) -> Fault {
    let has_it_for_less = || authorise(governance, principal, refusal.needed, Object::Anywhere).is_ok();
    let place = match object {
        Object::Ledger | Object::Environment(_) if has_it_for_less() => " for all of this".to_owned(),
        Object::Anywhere | Object::Ledger | Object::Environment(_) => String::new(),
        Object::Service(service) => format!(" for {service}"),
        Object::Target(service, environment) => format!(" for {service} in {environment}"),
    };
    let holders: Vec<String> = refusal.who_may.iter().take(HOLDERS_NAMED).map(ToString::to_string).collect();
    let who = match holders.is_empty() {
        true => "nobody has it".to_owned(),
        false => format!("{} may", holders.join(", ")),
    };
    Fault::new(
        Kind::NotPermitted,
        "NOT_PERMITTED",
        format!("`{principal}` has no role with the permission `{}`{place}", refusal.needed),
    )
    .hint(format!("{who}; `lockgate access show {principal}` lists what you may do, and why"))
}

/// What is told about a release that does not exist, or that the caller may not read.
pub fn release_unknown(name: &ReleaseName) -> Fault {
    Fault::not_found("RELEASE_UNKNOWN", format!("no release {name} is published"))
}

/// What is told about a promotion that does not exist, or that the caller may not read.
pub fn promotion_unknown(promotion: PromotionId) -> Fault {
    Fault::not_found("PROMOTION_UNKNOWN", format!("{promotion} is not a promotion of this ledger"))
        .hint("see `lockgate status`")
}

/// Remembers that bytes belong to a service: whoever may read the service may read them.
pub fn belongs(staging: &mut Staging<'_>, digest: &Digest, service: &ServiceName) {
    staging.project(BLOB_OF, format!("{digest}/{service}"), Some(service.as_str().as_bytes().to_vec()));
}

/// Whether somebody may read bytes that they know the digest of.
///
/// # Errors
/// What the store says.
pub fn may_read_blob(engine: &Engine, principal: &PersonId, digest: &Digest) -> Result<bool, Fault> {
    let governance = engine.governance()?;
    if may_read(&governance, principal, Object::Ledger) {
        return Ok(true);
    }
    let prefix = format!("{digest}/");
    let rows = reader::projections_under(engine.store(), BLOB_OF, &prefix)?;
    let readable = |(key, _): &(String, Vec<u8>)| {
        let service = key.strip_prefix(&prefix).and_then(|name| name.parse::<ServiceName>().ok());
        service.is_some_and(|service| may_read(&governance, principal, Object::Service(&service)))
    };
    Ok(rows.iter().any(readable))
}

/// Refuses a promotion that somebody may not read as if it did not exist.
///
/// # Errors
/// `PROMOTION_UNKNOWN`, or what the store says.
pub fn check_promotion(engine: &Engine, principal: &PersonId, promotion: PromotionId) -> Result<(), Fault> {
    let asked = reader::request_of(engine.store(), promotion)?;
    let target = Object::Target(&asked.release.service, &asked.environment);
    let governance = engine.governance()?;
    match may_read(&governance, principal, target) {
        true => Ok(()),
        false => Err(promotion_unknown(promotion)),
    }
}

/// Refuses a release that somebody may not read as if it did not exist.
///
/// # Errors
/// `RELEASE_UNKNOWN`.
pub fn check_release(engine: &Engine, principal: &PersonId, name: &ReleaseName) -> Result<(), Fault> {
    let governance = engine.governance()?;
    match may_read(&governance, principal, Object::Service(&name.service)) {
        true => Ok(()),
        false => Err(release_unknown(name)),
    }
}

/// Whether somebody may know that a stream exists. Streams of people, environments, artifacts and governance are read
/// entry by entry, with [`Sight::event`](crate::sight::Sight::event).
///
/// # Errors
/// What the store says.
pub fn may_read_stream(engine: &Engine, principal: &PersonId, stream: &StreamName) -> Result<bool, Fault> {
    let governance = engine.governance()?;
    let of_service = |service: &ServiceName| may_read(&governance, principal, Object::Service(service));
    Ok(match stream.as_str().split_once(':') {
        Some(("service", name)) => name.parse::<ServiceName>().is_ok_and(|service| of_service(&service)),
        Some(("release", name)) => name.parse::<ReleaseName>().is_ok_and(|release| of_service(&release.service)),
        Some(("running", name)) => name
            .split_once('/')
            .and_then(|(environment, service)| Some((environment.parse().ok()?, service.parse().ok()?)))
            .is_some_and(|(environment, service): (EnvName, ServiceName)| {
                may_read(&governance, principal, Object::Target(&service, &environment))
            }),
        Some(("promotion", name)) => match name.parse::<PromotionId>() {
            Ok(promotion) => match check_promotion(engine, principal, promotion) {
                Ok(()) => true,
                Err(fault) if fault.kind == Kind::NotFound => false,
                Err(fault) => return Err(fault),
            },
            Err(_) => false,
        },
        _ => true,
    })
}

/// Whether somebody may know that governance names a service: who may read it, and who governs or audits all of them.
pub fn may_see_service(governance: &Governance, principal: &PersonId, service: &ServiceName) -> bool {
    may_read(governance, principal, Object::Service(service))
        || governance.may(principal, Permission::Keys)
        || governance.may(principal, Permission::Audit)
}

/// Whether an entry of governance, which everyone who may read anything may read, names a service that somebody may not
/// know of; who gave or got a lent right, or ordered a freeze, knows what it is for.
pub fn names_hidden_service(governance: &Governance, principal: &PersonId, event: &Event) -> bool {
    let hidden = |service: &ServiceName| !may_see_service(governance, principal, service);
    match event {
        Event::CiTrusted(event) => event.services.iter().any(hidden),
        Event::DelegationGranted(event) => {
            event.from != *principal && event.to != *principal && event.services.iter().any(hidden)
        }
        Event::FreezeOrdered(event) => event.by != *principal && event.service.as_ref().is_some_and(hidden),
        // Those that are about a service are read by who may read it, and by nobody else: `Sight::event`.
        Event::WaiverRequested(_)
        | Event::WaiverGranted(_)
        | Event::WaiverRevoked(_)
        | Event::BreakGlassOpened(_)
        | Event::BreakGlassSigned(_)
        | Event::BreakGlassReviewed(_)
        | Event::ReleasePublished(_)
        | Event::EvidenceRecorded(_)
        | Event::PromotionRequested(_)
        | Event::ApprovalRecorded(_)
        | Event::ApprovalWithdrawn(_)
        | Event::PromotionClosed(_)
        | Event::DecisionRecorded(_)
        | Event::AttestationsIssued(_)
        | Event::GrantIssued(_) => false,
        // These name no service.
        Event::LedgerCreated(_)
        | Event::PersonEnrolled(_)
        | Event::KeyAdded(_)
        | Event::KeyRevoked(_)
        | Event::KeyRotated(_)
        | Event::KeyRecovered(_)
        | Event::PersonSuspended(_)
        | Event::PersonReinstated(_)
        | Event::IdentityBound(_)
        | Event::IdentityUnbound(_)
        | Event::ChangeProposed(_)
        | Event::ChangeSigned(_)
        | Event::ChangeRejected(_)
        | Event::PolicyActivated(_)
        | Event::FeedRecorded(_)
        | Event::CiUntrusted(_)
        | Event::AccessReviewed(_)
        | Event::DrillRecorded(_)
        | Event::DelegationEnded(_)
        | Event::FreezeLifted(_) => false,
    }
}
