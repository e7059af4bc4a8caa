//! Doctor: is this installation well, end to end?

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lockgate_api::Exit;
use lockgate_api::wire::{BreakGlassRow, ChangeRow, FreezeRow, PersonRow, WaiverRow, Whoami};
use lockgate_engine::{reader, where_index};
use lockgate_model::EntryIndex;
use lockgate_model::facts::SubjectKind;
use lockgate_model::text::argument;
use lockgate_policy::{LintLevel, Permission, PolicySet, expiry_lint, run_tests};
use lockgate_sign::ssh_signer::AgentSigner;
use lockgate_store::LedgerStore;
use lockgate_store_local::{LocalStore, Options, Recheck};
use serde_json::json;

use crate::access_log;
use crate::cli;
use crate::commands::access;
use crate::commands::audit::{Scope, alarm, examine_all};
use crate::commands::expiry::{Expiry, RED_DAYS, Warning, warnings};
use crate::commands::policy::invalid;
use crate::commands::up::alive;
use crate::commands::waive::ending_soon;
use crate::commands::{known, seen};
use crate::failure::{Failure, Outcome};
use crate::rights;
use crate::serve::{DATABASE, check_high_water, is_begun, ledger_missing};
use crate::terminal::table;
use crate::world::World;

enum Health {
    Ok,
    Warn,
    /// With how `doctor` ends where nothing else is wrong.
    Fail(Exit),
}

/// One check: how it came out, its name, what was found, and what to do about it.
type Row = (Health, &'static str, String, String);

/// What only a server can tell.
const NEED_SERVER: [&str; 4] = ["emergency", "governance", "waivers", "access review"];

/// `lockgate doctor`: exit 1 when something is wrong, 8 when that is the server alone, 9 for an integrity alarm.
///
/// # Errors
/// `DOCTOR_FAILED` with the number of failed checks.
pub fn doctor(world: &World, options: &cli::Doctor) -> Outcome {
    if options.rebuild {
        return rebuild(world);
    }
    if options.recheck {
        return recheck(world);
    }
    let mut rows = own_rows(world);
    rows.push(memory_row(world));
    let store = store_row(world);
    let starts = store.as_ref().is_none_or(|row| failed(&row.0).is_none());
    rows.extend(store);
    rows.extend(starter_rows());
    match server_rows(world) {
        Ok(found) => {
            rows.extend(found);
            rows.extend(emergency_rows(world));
            rows.extend(governance_rows(world));
            rows.extend(waiver_rows(world));
            rows.push(review_row(world));
        }
        Err(mut server) => {
            if !starts && server.3.contains("`lockgate up`") {
                server.3 = "see to the store first: `lockgate up` refuses it as it is".to_owned();
            }
            rows.push(server);
            let unseen = |name| (Health::Warn, name, "not looked at: no server".to_owned(), String::new());
            rows.extend(NEED_SERVER.map(unseen));
        }
    }
    show(world, &rows)?;
    let exits: Vec<Exit> = rows.iter().filter_map(|row| failed(&row.0)).collect();
    match exits.len() {
        0 => Ok(Exit::Done),
        count => Err(Failure::new(ending(&exits), "DOCTOR_FAILED", format!("{count} checks failed"))),
    }
}

fn failed(health: &Health) -> Option<Exit> {
    match health {
        Health::Ok | Health::Warn => None,
        Health::Fail(exit) => Some(*exit),
    }
}

/// An alarm is told whatever else is wrong; that the server is away, only where nothing else is.
fn ending(exits: &[Exit]) -> Exit {
    if exits.contains(&Exit::Integrity) {
        Exit::Integrity
    } else if exits.iter().all(|exit| *exit == Exit::Unavailable) {
        Exit::Unavailable
    } else {
        Exit::Failed
    }
}

fn show(world: &World, rows: &[Row]) -> Result<(), Failure> {
    let word = |health: &Health| match health {
        Health::Ok => "ok",
        Health::Warn => "warn",
        Health::Fail(_) => "FAIL",
    };
    let shown: Vec<_> = rows
        .iter()
        .map(|(health, name, found, fix)| json!({ "check": name, "state": word(health), "found": found, "fix": fix }))
        .collect();
    world.terminal.show(&shown, || {
        table(
            &["", "check", "found", "fix"],
            rows.iter().map(|(health, name, found, fix)| {
                let fix = if matches!(health, Health::Ok) { String::new() } else { fix.clone() };
                vec![word(health).to_owned(), (*name).to_owned(), found.clone(), fix]
            }),
        )
    })
}

/// What is on this machine: the binary, the context, the trust file and the keys.
fn own_rows(world: &World) -> Vec<Row> {
    let row = |health: Health, name: &'static str, found: String, fix: &str| (health, name, found, fix.to_owned());
    let version = row(Health::Ok, "version", format!("lockgate {}", env!("CARGO_PKG_VERSION")), "");
    let context = match world.context() {
        Ok(context) => row(Health::Ok, "context", context.server.unwrap_or_else(|| "no server yet".to_owned()), ""),
        Err(failure) => {
            let fix = failure.hint.as_deref().unwrap_or("mend or remove context.toml");
            row(Health::Fail(Exit::Failed), "context", failure.message, fix)
        }
    };
    let trust = match world.trust(None) {
        Ok(trust) => row(Health::Ok, "trust", format!("{} root key(s) pinned", trust.root_keys.len()), ""),
        Err(failure) => {
            let is_broken = ["FILE_FAILED", "TRUST_INVALID", "TRUST_WRITABLE"].contains(&failure.code.as_str());
            let (health, found) = match is_broken {
                true => (Health::Fail(Exit::Failed), format!("{}: {}", failure.code, failure.message)),
                false => (Health::Warn, failure.message),
            };
            row(health, "trust", found, failure.hint.as_deref().unwrap_or("lockgate trust pin"))
        }
    };
    let keys = match key_modes(world) {
        Ok(count) => row(Health::Ok, "keys", format!("{count} private files, readable by their owner alone"), ""),
        Err(path) => {
            let fix = format!("chmod 600 {}", argument(&path.to_string_lossy()));
            row(Health::Fail(Exit::Failed), "keys", format!("others may read {}", path.display()), &fix)
        }
    };
    let agent = match world.keyring.agent.as_ref().map(|socket| AgentSigner::list(socket)) {
        Some(Ok(keys)) => row(Health::Ok, "ssh-agent", format!("{} key(s)", keys.len()), ""),
        Some(Err(error)) => row(Health::Warn, "ssh-agent", error.to_string(), "start an agent, or name key files"),
        None => row(Health::Ok, "ssh-agent", "none runs; key files are used".to_owned(), ""),
    };
    vec![version, context, trust, keys, agent]
}

/// Whether what this machine has seen and verified of ledgers reads: a verification that needs it refuses without.
fn memory_row(world: &World) -> Row {
    // What is wrong with the trust file stands in a row of its own.
    let trust = world.trust(None).ok();
    let read = || -> Result<(usize, usize), Failure> {
        Ok((seen::check_kept(world, trust.as_ref())?, known::check_kept(world)?))
    };
    match read() {
        Ok((seen, known)) => {
            let found = format!("{seen} kept checkpoint(s), and what was verified of {known} ledger(s)");
            (Health::Ok, "memory", found, String::new())
        }
        Err(failure) => {
            let fix = "keep a copy, find out what changed it, and compare the ledger's checkpoint over another channel \
                       before you remove it";
            let found = format!("{}: {}", failure.code, failure.message);
            (Health::Fail(failure.exit), "memory", found, failure.hint.unwrap_or_else(|| fix.to_owned()))
        }
    }
}

/// Whether a server of this home would start on its data: not after a failed flush, and not on what is damaged. A server
/// that runs has looked at it.
fn store_row(world: &World) -> Option<Row> {
    let data = world.home.data();
    if Recheck::is_due(&data) || Recheck::is_due(&access_log::directory(&data)) {
        let found = "a flush failed since the host started, and no server starts".to_owned();
        let fix = "restart the host, or run `lockgate doctor --recheck`".to_owned();
        return Some((Health::Fail(Exit::Failed), "store", found, fix));
    }
    if alive(world).is_some() {
        return None;
    }
    let look = || -> Result<Option<String>, Failure> {
        if !is_begun(&world.home)? && !rights::is_there(world.home.path(), &data.join(DATABASE))? {
            return Ok(None);
        }
        rights::check_server(&world.home)?;
        look_at_store(world, &data).map(Some)
    };
    Some(match look() {
        Ok(None) => return None,
        Ok(Some(found)) => {
            let found = format!("{found}; opened and not verified, which `lockgate audit` does");
            (Health::Ok, "store", found, String::new())
        }
        Err(failure) => {
            let fix = "keep it as it is, run `lockgate audit`, and restore a backup beside it".to_owned();
            let found = format!("{}: {}", failure.code, failure.message);
            (Health::Fail(failure.exit), "store", found, failure.hint.unwrap_or(fix))
        }
    })
}

/// Opens both logs for reading, holds them against the marks of what was signed, and reads their newest entries.
fn look_at_store(world: &World, data: &Path) -> Result<String, Failure> {
    // What cannot be looked at is not gone.
    if matches!(data.join(DATABASE).try_exists(), Ok(false)) {
        return Err(ledger_missing(data));
    }
    let mark = world.home.high_water();
    let entries = look_at_log(data, Options::default(), &mark, ("LEDGER_ROLLED_BACK", "ledger"))?;
    if entries == 0 && is_begun(&world.home)? {
        return Err(ledger_missing(data));
    }
    // A start refuses a ledger whose people, keys and policy sets do not verify.
    reader::governance(&LocalStore::open_read_only(data, Options { readers: 1, ..Options::default() })?)?;
    let bytes = std::fs::metadata(data.join(DATABASE)).map_or(0, |facts| facts.len());
    let found = format!("{entries} entries, {} MiB of database", bytes.div_ceil(1024 * 1024));
    let directory = access_log::directory(data);
    // Whoever removed the ledger's mark has decided to go on with what is there: see `access_log::open`.
    let was_there = mark.exists() && world.home.access_high_water().exists();
    if !directory.join(DATABASE).exists() && !was_there {
        return Ok(found);
    }
    let own = world.home.access_high_water();
    let mark = if mark.exists() { own } else { mark };
    let requests = look_at_log(&directory, access_log::options(), &mark, ("ACCESS_LOG_ROLLED_BACK", "access log"))?;
    Ok(format!("{found}; access log of {requests} entries"))
}

fn look_at_log(dir: &Path, options: Options, mark: &Path, (code, log): (&str, &str)) -> Result<u64, Failure> {
    let store = LocalStore::open_read_only(dir, options)?;
    check_high_water(mark, &store, code, log)?;
    let size = store.head()?.size.0;
    if let Some(last) = size.checked_sub(1) {
        store.entries(EntryIndex(last), 1)?;
    }
    Ok(size)
}

/// Whether the starters that the binary carries still pass their own tests.
fn starter_rows() -> Vec<Row> {
    let row = |name: &str| {
        let failed = PolicySet::starter(name)
            .and_then(|files| PolicySet::from_files(files).ok())
            .map_or(1, |set| run_tests(&set).iter().filter(|test| !test.passed).count());
        let health = if failed == 0 { Health::Ok } else { Health::Fail(Exit::Failed) };
        let found = format!("starter `{name}`: {failed} of its tests fail");
        (health, "dry promotion", found, "reinstall: this binary is damaged".to_owned())
    };
    lockgate_policy::STARTERS.iter().map(|(name, _)| row(name)).collect()
}

/// Whether the server answers, and whether somebody is signed in to it.
///
/// # Errors
/// The one row that says why there is none.
fn server_rows(world: &World) -> Result<Vec<Row>, Row> {
    let info = world.server_info().map_err(|failure| {
        // Where none is known, as on a new machine, nothing is broken.
        let health = if failure.code == "SERVER_UNKNOWN" { Health::Warn } else { Health::Fail(failure.exit) };
        let fix = failure.hint.unwrap_or_else(|| "name the right server with --server URL".to_owned());
        (health, "server", failure.message, fix)
    })?;
    let health = if info.version == env!("CARGO_PKG_VERSION") { Health::Ok } else { Health::Warn };
    let found = format!("{}, version {}, {} entries", info.origin, info.version, info.entries);
    let server = (health, "server", found, "use the same version on both sides".to_owned());
    let server = set_back_row(world).unwrap_or(server);
    let sign_in = match world.signed_in().and_then(|client| Ok(client.get::<Whoami>("/v1/whoami")?)) {
        Ok(me) => (Health::Ok, "sign-in", format!("{}: {}", me.person, me.permissions.join(", ")), String::new()),
        Err(failure) => (Health::Warn, "sign-in", failure.message, "lockgate login NAME".to_owned()),
    };
    Ok([server].into_iter().chain(integrity_row(world)).chain([sign_in]).collect())
}

/// That the server shows less of the ledger than this machine has seen, or another one, if it does; or that it shows
/// nothing which could be compared.
fn set_back_row(world: &World) -> Option<Row> {
    let trust = world.trust(None).ok()?;
    let failure = seen::hold_against_seen(world, &world.client().ok()?, &trust).err()?;
    let health = match failure.exit {
        Exit::Integrity => Health::Fail(failure.exit),
        // What is kept and does not read stands in the row `memory`.
        _ if seen::seen_of(world, &trust).is_err() => return None,
        _ => Health::Warn,
    };
    let found = format!("{}: {}", failure.code, failure.message);
    let fix = "name the server of the pinned ledger with --server URL, or use another --home for another ledger";
    Some((health, "server", found, failure.hint.unwrap_or_else(|| fix.to_owned())))
}

/// What the server has found damaged since its start, if it has.
fn integrity_row(world: &World) -> Option<Row> {
    let refused = world.client().ok()?.get_bytes("/readyz").err()?;
    let fix = refused.hint().unwrap_or_default().to_owned();
    let found = format!("{}: {refused}", refused.code());
    (refused.exit() == Exit::Integrity).then_some((Health::Fail(Exit::Integrity), "integrity", found, fix))
}

/// Whether somebody reviewed lately who may do what.
fn review_row(world: &World) -> Row {
    match access::last_review(world) {
        Ok((recent, found)) => {
            let health = if recent { Health::Ok } else { Health::Warn };
            (health, "access review", found, "lockgate access review --sign".to_owned())
        }
        // Reviews are not everybody's: whoever may not see them all has nothing to mend.
        Err(failure) if failure.code == "NOT_PERMITTED" => {
            let found = "is for those who may read, audit or manage everything".to_owned();
            (Health::Ok, "access review", found, String::new())
        }
        Err(failure) => (Health::Warn, "access review", failure.message, "lockgate access review".to_owned()),
    }
}

/// What is frozen, and which break-glass nobody has reviewed: that one fails until somebody has.
fn emergency_rows(world: &World) -> Vec<Row> {
    let read = || -> Result<(Vec<FreezeRow>, Vec<BreakGlassRow>), Failure> {
        let client = world.signed_in()?;
        Ok((client.get("/v1/freezes")?, client.get("/v1/break-glass")?))
    };
    let (freezes, opened) = match read() {
        Ok(read) => read,
        Err(failure) => return vec![(Health::Warn, "emergency", failure.message, "lockgate login NAME".to_owned())],
    };
    let frozen = freezes.iter().filter(|row| row.open).count();
    let health = if frozen == 0 { Health::Ok } else { Health::Warn };
    let mut rows = vec![(health, "freezes", format!("{frozen} in force"), "lockgate freeze list".to_owned())];
    let count = |state: &str| opened.iter().filter(|row| row.state == state).count();
    let (unreviewed, open) = (count("unreviewed"), count("open"));
    let health = match (unreviewed, open) {
        (0, 0) => Health::Ok,
        (0, _) => Health::Warn,
        _ => Health::Fail(Exit::Failed),
    };
    let found = format!("{unreviewed} not reviewed, {open} waiting for signatures");
    rows.push((health, "break-glass", found, "lockgate break-glass list".to_owned()));
    rows
}

/// Makes the index of what is where and the other projections again, from the ledger and the bodies beside it. Every row
/// that no entry proves is looked at first, however large the database is.
fn rebuild(world: &World) -> Outcome {
    rights::check_server(&world.home)?;
    let options = Options { check_up_to_bytes: u64::MAX, ..Options::default() };
    let store = LocalStore::open(&world.home.data(), options)?;
    let mended = store.mended();
    if mended.sessions > 0 {
        world
            .terminal
            .say(format!("{} damaged sessions were taken out: whose they were signs in again", mended.sessions));
    }
    let done = where_index::rebuild_store(&store)?;
    let shown = json!({
        "entries": done.entries,
        "rows": done.rows,
        "unreadable": done.unreadable,
        "damaged": { "sessions": mended.sessions, "projections": mended.projections },
    });
    world.terminal.show(&shown, || {
        let lost = match done.unreadable {
            0 => String::new(),
            count => format!("; {count} pieces of evidence cannot be read: run `lockgate audit`"),
        };
        format!("the index has {} rows, from {} entries{lost}", done.rows, done.entries)
    })?;
    Ok(Exit::Done)
}

/// Lets a server start again after a failed flush: audits both logs, writes their databases anew, and audits them again.
/// The marks are taken away last, and only where nothing is wrong.
fn recheck(world: &World) -> Outcome {
    rights::check_server(&world.home)?;
    let data = world.home.data();
    let stores = [(data.clone(), Options::default()), (access_log::directory(&data), access_log::options())];
    let mut held = Vec::new();
    for (dir, options) in stores.into_iter().filter(|(dir, _)| Recheck::is_due(dir)) {
        held.push((Recheck::begin(&dir)?, options));
    }
    let count = held.len();
    if count > 0 {
        check_sound(world, &data)?;
        for (recheck, options) in &held {
            recheck.rewrite(options.reserve_bytes)?;
        }
        check_sound(world, &data)?;
    }
    for (recheck, _) in held {
        recheck.clear()?;
    }
    world.terminal.show(&json!({ "rechecked": count }), || match count {
        0 => "no flush has failed: there is nothing to recheck".to_owned(),
        _ => "everything was verified and written anew: a server may start".to_owned(),
    })?;
    Ok(Exit::Done)
}

/// Audits both logs of a data directory.
fn check_sound(world: &World, data: &Path) -> Result<(), Failure> {
    let scope = Scope { data, trust: None, checkpoints: &[] };
    let audited = examine_all(world, &scope, &mut |_, _, _| {})?;
    alarm(&audited).map_or(Ok(()), Err)
}

/// Which waivers end within 30 days: then what they except blocks again.
fn waiver_rows(world: &World) -> Vec<Row> {
    let read = world.signed_in().and_then(|client| Ok(client.get::<Vec<WaiverRow>>("/v1/waivers")?));
    let rows = match read {
        Ok(rows) => rows,
        Err(failure) => return vec![(Health::Warn, "waivers", failure.message, "lockgate login NAME".to_owned())],
    };
    let soon = ending_soon(&rows, world.now());
    if soon.is_empty() {
        let open = rows.iter().filter(|row| row.state == "open").count();
        let found = format!("{open} in force, none ends within 30 days");
        return vec![(Health::Ok, "waivers", found, String::new())];
    }
    soon.into_iter().map(|text| (Health::Warn, "waivers", text, "lockgate waive list".to_owned())).collect()
}

/// Which keys end soon, what waits for signatures, and whether there are enough people to keep each other in check.
fn governance_rows(world: &World) -> Vec<Row> {
    let read = || -> Result<(Vec<PersonRow>, Vec<ChangeRow>, PolicySet), Failure> {
        let client = world.signed_in()?;
        let document = client.get_bytes("/v1/policy")?;
        let policy = PolicySet::from_document(&document).map_err(|errors| invalid(&errors))?;
        Ok((client.get("/v1/people")?, client.get("/v1/changes")?, policy))
    };
    let (people, changes, policy) = match read() {
        Ok(read) => read,
        Err(failure) => {
            return vec![(Health::Warn, "governance", failure.message, "lockgate login NAME".to_owned())];
        }
    };
    let mut rows = key_rows(&people, world);
    rows.push(policy_row(&policy, world));
    rows.push(quorum_row(&people, &policy));
    rows.extend(change_rows(&changes));
    rows
}

/// Keys that end soon, or have. One's own is one's own to mend; another's is theirs.
fn key_rows(people: &[PersonRow], world: &World) -> Vec<Row> {
    let warnings = warnings(people, world.now());
    let me = world.person().ok();
    let red = |warning: &Warning| match warning.expiry {
        Expiry::Past => true,
        Expiry::Within(days) => days <= RED_DAYS,
        Expiry::Far => false,
    };
    let mut rows = Vec::new();
    if warnings.is_empty() {
        rows.push((Health::Ok, "key expiry", "no key ends within 90 days".to_owned(), String::new()));
    }
    for warning in warnings {
        let own = me.as_ref() == Some(&warning.person);
        let health = if own && red(&warning) { Health::Fail(Exit::Failed) } else { Health::Warn };
        let fix = if own { warning.fix } else { format!("{} runs: {}", warning.person, warning.fix) };
        rows.push((health, "key expiry", warning.text, fix));
    }
    rows
}

/// Whether the policy set ends soon: then everything is denied.
fn policy_row(policy: &PolicySet, world: &World) -> Row {
    match expiry_lint(policy, world.now()) {
        None => (Health::Ok, "policy expiry", "the policy set does not end soon".to_owned(), String::new()),
        Some(lint) => {
            let health = if lint.level == LintLevel::Warning { Health::Fail(Exit::Failed) } else { Health::Warn };
            (health, "policy expiry", lint.message, lint.hint.unwrap_or_default())
        }
    }
}

/// Whether there are enough people to keep each other in check.
fn quorum_row(people: &[PersonRow], policy: &PolicySet) -> Row {
    let able = |person: &&PersonRow| {
        person.subject == SubjectKind::Person
            && person.suspended_at.is_none()
            && policy.permissions_of(&person.groups).contains(&Permission::Keys)
    };
    let (owners, quorum) = (people.iter().filter(able).count(), policy.settings().governance.quorum);
    let found =
        format!("{owners} may manage keys, and the policy set asks for {quorum} of them where there are enough");
    let health = if owners > 2 && quorum > 1 { Health::Ok } else { Health::Warn };
    let fix = "have three owners and `quorum = 2`: then no single one can take over another";
    (health, "quorum", found, fix.to_owned())
}

/// What waits for signatures, and what waits in vain.
fn change_rows(changes: &[ChangeRow]) -> Vec<Row> {
    let open = changes.iter().filter(|row| row.status == "open").count();
    let health = if open == 0 { Health::Ok } else { Health::Warn };
    let mut rows = vec![(health, "changes", format!("{open} wait for signatures"), "lockgate change list".to_owned())];
    for row in changes.iter().filter(|row| row.status == "stale") {
        let fix = format!("lockgate change reject {} --reason stale", row.change);
        rows.push((Health::Warn, "changes", format!("{} is stale: it can only fail", row.change), fix));
    }
    rows
}

/// How many private files there are, here and where the context names keys; or the first that others may read.
fn key_modes(world: &World) -> Result<usize, PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for dir in [world.home.keys(), world.home.path().join("people"), world.home.path().join("sessions")] {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    let named = world.context().unwrap_or_default().keys.into_values();
    files.extend(named.filter(|entry| !entry.starts_with("agent:")).map(|entry| world.home.path().join(entry)));
    files.retain(|path| path.extension().is_none_or(|extension| extension != "pub"));
    files.sort();
    files.dedup();
    // What is not there cannot be read by anybody; signing says that it is missing.
    let exposed = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0);
    match files.iter().find(exposed) {
        Some(path) => Err(path.clone()),
        None => Ok(files.len()),
    }
}
