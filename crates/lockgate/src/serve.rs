//! Serve: the composition root. Wires store, keys, engine, scheduler and server together.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::Exit;
use lockgate_engine::clock::Entropy as _;
use lockgate_engine::engine::{OnFatal, Parts, TreeHead};
use lockgate_engine::integrity::Log;
use lockgate_engine::{Engine, LedgerKeys, scheduler, session, setup};
use lockgate_ledger::ApplyError;
use lockgate_model::text::argument;
use lockgate_model::{Limits, TreeSize};
use lockgate_policy::PolicySet;
use lockgate_server::outbound::Network;
use lockgate_server::rate::Limit;
use lockgate_server::{App, Front, Hosts, Rates, oidc};
use lockgate_sign::attestation_key::AttestationKey;
use lockgate_sign::note::{Note, NoteKeyKind, NoteSigner};
use lockgate_store::LedgerStore;
use lockgate_store_local::{LocalStore, Mended, Options};
use lockgate_tlog::checkpoint::Checkpoint;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::access_log;
use crate::cli;
use crate::commands::policy::read_policy;
use crate::failure::{Failure, Outcome};
use crate::home::{Home, Running, read_file, write_file};
use crate::rights;
use crate::server_clock::ServerClock;
use crate::world::{SystemEntropy, World};

/// The file of a store.
pub const DATABASE: &str = "ledger.db";
/// How often time is allowed to change decisions.
const TICK: Duration = Duration::from_secs(5);

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start; nothing is guessed.
pub fn serve(world: &World, options: &cli::Serve) -> Outcome {
    start_log(world);
    let limits = limits_within(open_files_raise());
    lockgate_failpoint::point("start.begun");
    let home = &world.home;
    let address = options.listen.parse::<std::net::SocketAddr>().map_err(|_| {
        Failure::usage("ADDRESS_INVALID", format!("`{}` is not an address: write 127.0.0.1:7430", options.listen))
    })?;
    if (options.demo || is_demo(home)) && !address.ip().is_loopback() {
        return Err(Failure::usage(
            "DEMO_NOT_LOOPBACK",
            "a demo instance listens on loopback only: its keys lie on this disk",
        ));
    }
    if options.demo && !is_begun(home)? {
        demo_policy(&options.policy)?;
    }
    let front = front(&options.front, address.ip())?;
    let remembered = rights::is_there(home.path(), &home.high_water())?;
    let engine = Arc::new(open(home, options)?);
    lockgate_failpoint::point("start.engine-opened");
    let access = Arc::new(access_log::open(home, remembered)?);
    lockgate_failpoint::point("start.access-log-opened");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "RUNTIME_FAILED", error.to_string()))?;
    let app = App::new(engine.clone(), access.clone(), rates(options), front, is_demo(home));
    app.issuers.connect(Arc::new(Network::new(&options.front.local_issuer)));
    let (stop, stopped) = channel::<()>();
    let ticking = {
        let (engine, access, home) = (engine.clone(), access.clone(), home.clone());
        std::thread::spawn(move || {
            let tick = || {
                if let Err(fault) = scheduler::tick(&engine) {
                    tracing::warn!(code = fault.code, "the scheduler could not run");
                    engine.integrity().note(Log::Ledger, &fault);
                }
                keep_high_water(&home.high_water(), &engine.published().head);
                keep_high_water(&home.access_high_water(), &access.head());
                lockgate_failpoint::point("tick.marks-kept");
            };
            until_stopped(&stopped, TICK, tick, &stop_at_once());
        })
    };
    let served = runtime.block_on(listen(world, address, app, &limits));
    lockgate_failpoint::point("stop.served");
    drop(stop);
    // A scheduler that panicked has stopped the process.
    let _ = ticking.join();
    lockgate_failpoint::point("stop.scheduler-ended");
    keep_high_water(&home.high_water(), &engine.published().head);
    runtime.shutdown_timeout(Duration::from_secs(2));
    // No request is left that could be recorded; what was recorded is written now.
    access.close();
    lockgate_failpoint::point("stop.access-log-closed");
    keep_high_water(&home.access_high_water(), &access.head());
    // Where the home was removed and begun anew meanwhile, the file is another server's.
    if home.running().is_some_and(|running| running.pid == std::process::id()) {
        let _ = fs::remove_file(home.running_file());
    }
    lockgate_failpoint::point("stop.done");
    served.map(|()| Exit::Done)
}

/// Ticks until the other end of `stopped` is gone. Without its scheduler a server would go on to answer while nothing ends
/// that should end, so the process stops when a defect ends it.
fn until_stopped(stopped: &Receiver<()>, each: Duration, tick: impl Fn(), on_fatal: &OnFatal) {
    let ticks = || {
        while stopped.recv_timeout(each) == Err(RecvTimeoutError::Timeout) {
            tick();
        }
    };
    if catch_unwind(AssertUnwindSafe(ticks)).is_err() {
        on_fatal("the scheduler broke off".to_owned());
    }
}

async fn listen(world: &World, address: std::net::SocketAddr, app: Arc<App>, limits: &Limits) -> Result<(), Failure> {
    // Before anybody can know that there is a server to be told.
    let told = until_told();
    let listener = lockgate_server::accept::listen(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::new(Exit::Conflict, "PORT_TAKEN", format!("something else listens on {address}"))
                .hint("choose another port with --listen 127.0.0.1:0")
        }
        _ => Failure::new(Exit::Unavailable, "LISTEN_FAILED", format!("cannot listen on {address}: {error}")),
    })?;
    let local =
        listener.local_addr().map_err(|error| Failure::new(Exit::Unavailable, "LISTEN_FAILED", error.to_string()))?;
    let url = format!("http://{local}");
    let home = world.home.real_path();
    let running = serde_json::to_vec(&Running { pid: std::process::id(), url: url.clone(), home })
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    write_file(&world.home.running_file(), &running, 0o600)?;
    lockgate_failpoint::point("start.announced");
    tracing::info!(%url, "listening");
    if setup::is_needed(&app.engine)?
        && let Ok(code) = fs::read_to_string(setup_code_file(&world.home))
    {
        world.terminal.say(format!("no owner is enrolled yet; the one-time code is {}", code.trim()));
    }
    lockgate_server::serve(listener, app, limits, told)
        .await
        .map_err(|error| Failure::new(Exit::Bug, "ROUTES_INVALID", error))
}

/// Ends when the process is told to stop; from the call on, the signals no longer end it by themselves.
fn until_told() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    async move {
        // Where one has no handler, that signal ends the process; what was acknowledged is durable anyway.
        let told = signals.map(|registered| {
            Box::pin(async move {
                match registered {
                    Ok(mut signal) => drop(signal.recv().await),
                    Err(_) => std::future::pending().await,
                }
            })
        });
        let [terminate, interrupt] = told;
        tokio::select! {
            () = terminate => {}
            () = interrupt => {}
        }
        tracing::info!("stopping");
        lockgate_failpoint::point("stop.told");
    }
}

fn start_log(world: &World) {
    let level = match world.global.verbose {
        0 => tracing::Level::INFO,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    // A log that is set up already stays.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(world.terminal.colour)
        // The library would tell on standard error that standard error cannot be written, and panic when that fails: a
        // full disk with the log on it would end whichever thread has something to say.
        .log_internal_errors(false)
        .try_init();
}

/// Lets this process open as many files as it may allow itself, and gives how many these are. Most systems begin with
/// 1,024, and allow many times that.
fn open_files_raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Whether it worked is read back.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The limits of a server that may open so many files.
fn limits_within(open_files: u64) -> Limits {
    let most = Limits::DEFAULT.connections;
    let connections = lockgate_server::accept::connections_within(most, open_files);
    if connections < most {
        tracing::warn!(
            connections,
            most,
            open_files,
            "fewer connections than usual: few files may be open; raise `ulimit -Hn`, or `LimitNOFILE=`"
        );
    }
    Limits { connections, ..Limits::DEFAULT }
}

/// Opens the ledger, or begins a new one in an empty home.
fn open(home: &Home, options: &cli::Serve) -> Result<Engine, Failure> {
    let data = home.data();
    rights::check_server(home)?;
    let was_begun = is_begun(home)?;
    // Before anything is made: what is restored must not find an empty directory in its place.
    if was_begun && matches!(data.join(DATABASE).try_exists(), Ok(false)) {
        return Err(ledger_missing(&data));
    }
    let store = LocalStore::open(&data, Options::default())?;
    stop_with(&store);
    tell_mended(&store);
    lockgate_failpoint::point("start.store-opened");
    home.leftovers_remove();
    let begun = store.head()?.size > TreeSize(0);
    if !begun && was_begun {
        return Err(ledger_missing(&data));
    }
    let keys = match begun || rights::is_there(home.path(), &home.keys().join("log.key"))? {
        true => load_keys(home)?,
        false => create_keys(home, options.origin.as_deref())?,
    };
    check_high_water(&home.high_water(), &store, "LEDGER_ROLLED_BACK", "ledger")?;
    lockgate_failpoint::point("start.marks-checked");
    let parts = Parts {
        store: Arc::new(store),
        keys,
        clock: Arc::new(ServerClock::default()),
        entropy: Arc::new(SystemEntropy),
        on_fatal: stop_at_once(),
    };
    let engine = Engine::open(parts)?;
    // Before anybody is answered: what has expired by now stays so, whatever the next start takes for now.
    if let Err(fault) = session::tidy(&engine) {
        tracing::warn!(code = fault.code, "the sessions that have expired could not be removed; it is tried again");
    }
    if !begun {
        begin(home, options, &engine)?;
    }
    if !is_begun(home)? {
        // From here on an empty store beside these keys is an alarm.
        write_file(&begun_marker(home), b"a ledger was begun with these keys\n", 0o600)?;
        lockgate_failpoint::point("begin.marked");
    }
    keep_high_water(&home.high_water(), &engine.published().head);
    Ok(engine)
}

/// The data of a home whose keys have begun a ledger is not there.
pub fn ledger_missing(data: &Path) -> Failure {
    let (place, never) = (data.display(), "a ledger is never begun twice with one key");
    let named = argument(&data.to_string_lossy());
    // A copy of a directory onto one that is there ends up inside it.
    let hint = match data.exists() {
        true => format!(
            "move {place} away first, then restore it from a copy; where it is a mount and empty, mount the right one, or \
             `cp -a COPY/. {named}`; {never}"
        ),
        false => format!("restore {place} from a copy; {never}"),
    };
    let message = "the keys of this home have begun a ledger before, but its data is gone";
    Failure::new(Exit::Integrity, "LEDGER_MISSING", message).hint(hint)
}

/// What is done when a flush has failed: nothing may be built on top of it.
pub fn stop_at_once() -> OnFatal {
    Box::new(|reason| {
        tracing::error!(%reason, "stopping at once: what is on disk is read again at the next start");
        std::process::exit(i32::from(Exit::Unavailable.code()));
    })
}

/// Stops the process when a commit or a flush of a store fails, in whatever part of it: also of a blob or of a session.
pub fn stop_with(store: &LocalStore) {
    let stop = stop_at_once();
    store.on_failure(move |reason| stop(reason.to_owned()));
}

/// Tells what was taken out of a store when it was opened.
fn tell_mended(store: &LocalStore) {
    let Mended { sessions, projections } = store.mended();
    if !store.mended().is_nothing() {
        tracing::warn!(
            code = "STORE_MENDED",
            sessions,
            projections,
            "rows were not what was written, and were taken out: people sign in again, projections are made again; check the disk"
        );
    }
}

/// How people reach the server, and through whom they may sign in.
fn front(options: &cli::FrontArgs, listens: std::net::IpAddr) -> Result<Front, Failure> {
    let hosts = Hosts::new(&options.allow_host, Some(listens), options.url.as_deref())
        .map_err(|error| Failure::usage("HOST_INVALID", error))?;
    let (Some(issuer), Some(client_id)) = (&options.oidc_issuer, &options.oidc_client_id) else {
        return Ok(Front { hosts, oidc: None });
    };
    if lockgate_ledger::ci_trust::reach(issuer).is_none() {
        return Err(Failure::usage("ISSUER_INVALID", format!("`{issuer}` is not an address of an identity provider"))
            .hint(
                "write it as the provider does, such as https://idp.example; only this machine may be asked over http",
            ));
    }
    let secret = match &options.oidc_client_secret_file {
        None => None,
        Some(path) => {
            let text = String::from_utf8(read_file(path, 4096)?)
                .map_err(|_| Failure::usage("SECRET_INVALID", format!("{} is not text", path.display())))?;
            Some(text.trim().to_owned()).filter(|secret| !secret.is_empty())
        }
    };
    let mfa_amr = match options.oidc_mfa_amr.is_empty() {
        true => vec!["mfa".to_owned()],
        false => options.oidc_mfa_amr.clone(),
    };
    let settings = oidc::Settings {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: secret,
        mfa_amr,
        mfa_acr: options.oidc_mfa_acr.clone(),
    };
    let network = Arc::new(Network::new(&options.local_issuer));
    Ok(Front { hosts, oidc: Some(Arc::new(oidc::Oidc::new(settings, network))) })
}

/// How many requests each caller may make: the defaults, where the command line says nothing else.
fn rates(options: &cli::Serve) -> Rates {
    let limit = |per_second: u32| Limit { per_second, burst: per_second.saturating_mul(2) };
    let defaults = Rates::default();
    Rates {
        read: options.signed_in_rate.map_or(defaults.read, limit),
        write: options.signed_in_rate.map_or(defaults.write, limit),
        anonymous: options.anonymous_rate.map_or(defaults.anonymous, limit),
        sign_in: defaults.sign_in,
    }
}

/// Entry 0 of a new ledger.
fn begin(home: &Home, options: &cli::Serve, engine: &Engine) -> Result<(), Failure> {
    let policy = first_policy(&options.policy)?;
    let code = setup::fresh_code(&SystemEntropy)?;
    write_file(&setup_code_file(home), format!("{code}\n").as_bytes(), 0o600)?;
    lockgate_failpoint::point("begin.code-written");
    if options.demo {
        write_file(&home.keys().join("demo"), b"the keys of this instance mean nothing\n", 0o600)?;
    }
    setup::create(engine, policy.document(), &code)?;
    lockgate_failpoint::point("begin.ledger-created");
    Ok(())
}

/// The file that says that the keys of a home have begun a ledger.
pub fn begun_marker(home: &Home) -> std::path::PathBuf {
    home.keys().join("begun")
}

/// Whether the keys of a home have begun a ledger.
///
/// # Errors
/// `FILE_FAILED` where that cannot be looked at.
pub fn is_begun(home: &Home) -> Result<bool, Failure> {
    rights::is_there(home.path(), &begun_marker(home))
}

/// The one-time code, until the first owner has used it.
pub fn setup_code_file(home: &Home) -> std::path::PathBuf {
    home.keys().join("setup-code")
}

/// Whether the ledger of a home is a demo.
pub fn is_demo(home: &Home) -> bool {
    home.keys().join("demo").exists()
}

/// A policy set by the name of a starter, or from a directory.
///
/// # Errors
/// `POLICY_INVALID`.
pub fn first_policy(named: &str) -> Result<PolicySet, Failure> {
    match PolicySet::starter(named) {
        Some(files) => PolicySet::from_files(files).map_err(|errors| crate::commands::policy::invalid(&errors)),
        None => read_policy(Path::new(named)),
    }
}

/// The groups of whoever enrols the other people of a demo.
const DEMO_OWNER_GROUPS: [&str; 2] = ["owners", "approvers"];

/// Refuses to begin a demo under a policy set that its owner cannot satisfy: the key is a plain file, which is one factor,
/// and nobody else could ever be enrolled.
///
/// # Errors
/// `DEMO_ONE_FACTOR`, or as [`first_policy`].
pub fn demo_policy(named: &str) -> Result<(), Failure> {
    let policy = first_policy(named)?;
    let groups = policy.groups().iter().filter(|(name, _)| DEMO_OWNER_GROUPS.contains(&name.as_str()));
    let roles: Vec<_> = groups.flat_map(|(_, group)| group.roles.iter().cloned()).collect();
    if !policy.settings().sign_in.mfa.is_for(&roles) {
        return Ok(());
    }
    let name = &policy.settings().name;
    let message = format!("the policy set `{name}` demands a second factor, and the keys of a demo are plain files");
    let hint = match PolicySet::starter(named) {
        Some(_) => format!(
            "lockgate init my-policy --starter {named}; write `mfa = false` in my-policy/policy.toml; lockgate up --demo \
             --policy my-policy"
        ),
        None => format!("write `mfa = false` in {named}/policy.toml for the demo, or leave --demo out"),
    };
    Err(Failure::usage("DEMO_ONE_FACTOR", message).hint(hint))
}

const LOG_KEY_HEADER: &str = "lockgate-log-key-v1";
/// What to do without one of the server's own keys.
const KEY_ADVICE: &str = "restore it from a backup of the keys: no other key goes on with the ledger that it began";

fn create_keys(home: &Home, origin: Option<&str>) -> Result<LedgerKeys, Failure> {
    let mut seed = [0u8; 32];
    let mut tag = [0u8; 4];
    let random = |error: lockgate_engine::clock::EntropyError| {
        Failure::new(Exit::Unavailable, "RANDOM_FAILED", error.to_string())
    };
    SystemEntropy.fill(&mut seed).map_err(random)?;
    SystemEntropy.fill(&mut tag).map_err(random)?;
    let origin = match origin {
        Some(origin) => origin.to_owned(),
        None => format!("log1.{}.lockgate.internal", lockgate_model::digest::hex(&tag)),
    };
    check_origin(&origin)?;
    let attestation =
        AttestationKey::generate().map_err(|error| Failure::new(Exit::Failed, "KEY_FAILED", error.to_string()))?;
    let text = format!("{LOG_KEY_HEADER} {origin} {}\n", STANDARD.encode(seed));
    // The log key last: that it is there says that both are.
    write_file(&home.keys().join("attestation.key"), STANDARD.encode(attestation.to_pkcs8()).as_bytes(), 0o600)?;
    lockgate_failpoint::point("keys.attestation-written");
    write_file(&home.keys().join("log.key"), text.as_bytes(), 0o600)?;
    lockgate_failpoint::point("keys.written");
    load_keys(home)
}

/// One DNS-shaped name, without path or port: Sigstore clients derive the note's key name from a bare host.
fn check_origin(origin: &str) -> Result<(), Failure> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match origin.len() <= 253 && origin.contains('.') && origin.split('.').all(label) {
        true => Ok(()),
        false => Err(Failure::usage(
            "ORIGIN_INVALID",
            format!("`{origin}` is not a DNS-shaped name such as log1.lockgate.example"),
        )),
    }
}

fn read_key(home: &Home, path: &Path) -> Result<Vec<u8>, Failure> {
    rights::check(home.path(), path, rights::READ)?;
    read_file(path, 4096).map_err(|failure| failure.hint(KEY_ADVICE))
}

/// The origin and the seed of the log key.
///
/// # Errors
/// `KEY_INVALID`.
pub fn log_seed(home: &Home) -> Result<(String, [u8; 32]), Failure> {
    let path = home.keys().join("log.key");
    let invalid = |what: &str| Failure::new(Exit::Failed, "KEY_INVALID", format!("{}: {what}", path.display()));
    let bytes = read_key(home, &path)?;
    let text = String::from_utf8(bytes).map_err(|_| invalid("not text"))?;
    let mut parts = text.split_whitespace();
    let (Some(LOG_KEY_HEADER), Some(origin), Some(seed), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid("not a log key"));
    };
    let seed: [u8; 32] =
        STANDARD.decode(seed).ok().and_then(|seed| seed.try_into().ok()).ok_or_else(|| invalid("not a log key"))?;
    Ok((origin.to_owned(), seed))
}

/// The server's own keys.
///
/// # Errors
/// `KEY_INVALID`, or when they cannot be read.
pub fn load_keys(home: &Home) -> Result<LedgerKeys, Failure> {
    let invalid = |what: &str| Failure::new(Exit::Failed, "KEY_INVALID", format!("{}: {what}", home.keys().display()));
    let (origin, seed) = log_seed(home)?;
    let log =
        NoteSigner::from_seed(&origin, NoteKeyKind::Ed25519, &seed).map_err(|error| invalid(&error.to_string()))?;
    let attestation = read_key(home, &home.keys().join("attestation.key"))?;
    let attestation =
        STANDARD.decode(attestation.trim_ascii()).map_err(|_| invalid("the attestation key is not base64"))?;
    let attestation = AttestationKey::from_pkcs8(&attestation).map_err(|error| invalid(&error.to_string()))?;
    Ok(LedgerKeys { log, attestation })
}

/// The rollback guard: the data must hold everything that was ever signed.
///
/// # Errors
/// `code`, when the store of this log is behind its mark or has another history.
pub fn check_high_water(mark: &Path, store: &LocalStore, code: &str, log: &str) -> Result<(), Failure> {
    if lockgate_failpoint::planted("high-water-ignored") {
        return Ok(());
    }
    let Some(seen) = read_checkpoint(mark)? else { return Ok(()) };
    let head = store.head()?;
    let behind = |message: String| {
        Failure::new(Exit::Integrity, code, message)
            .hint("the data directory is older than what was signed; restore the newer one, and run `lockgate audit`")
    };
    if head.size < seen.size {
        return Err(behind(format!("this server has signed {} entries, but the {log} has {}", seen.size, head.size)));
    }
    if seen.size == TreeSize(0) {
        return Ok(());
    }
    let tiles = crate::commands::audit::Tiles(store);
    let root = lockgate_tlog::proof::root_at(seen.size, &tiles).map_err(|error| behind(error.to_string()))?;
    match root == seen.root {
        true => Ok(()),
        false => {
            Err(behind(format!("this server has signed another root for the first {} entries of the {log}", seen.size)))
        }
    }
}

/// Reads a kept checkpoint; its signature is checked by whoever relies on it.
///
/// # Errors
/// When the file is there but does not parse, or cannot be looked at.
pub fn read_checkpoint(path: &Path) -> Result<Option<Checkpoint>, Failure> {
    Ok(read_note(path)?.map(|(checkpoint, _)| checkpoint))
}

/// The same with the note that carries it.
///
/// # Errors
/// As [`read_checkpoint`].
pub fn read_note(path: &Path) -> Result<Option<(Checkpoint, Note)>, Failure> {
    // What cannot be looked at is not taken for absent.
    if !path.try_exists().map_err(|error| Failure::file(path, &error))? {
        return Ok(None);
    }
    let invalid =
        |error: String| Failure::from(ApplyError::new("CHECKPOINT_INVALID", format!("{}: {error}", path.display())));
    let bytes = read_file(path, Limits::DEFAULT.note_bytes as u64)?;
    let note = Note::parse(&bytes, &Limits::DEFAULT).map_err(|error| invalid(error.to_string()))?;
    let checkpoint = Checkpoint::parse_body(&note.text).map_err(|error| invalid(error.to_string()))?;
    Ok(Some((checkpoint, note)))
}

/// The origin that a checkpoint names in its first line.
fn origin_of(checkpoint: &str) -> Option<&str> {
    checkpoint.lines().next()
}

fn keep_high_water(mark: &Path, head: &TreeHead) {
    let kept = read_checkpoint(mark).ok().flatten();
    // The mark of another ledger is that of another server, whose home took the place of this one's.
    if kept.is_some_and(|kept| kept.size >= head.size || origin_of(&head.checkpoint) != Some(kept.origin.as_str())) {
        return;
    }
    if let Err(failure) = write_file(mark, head.checkpoint.as_bytes(), 0o600) {
        tracing::warn!(message = failure.message, "the high-water file could not be written");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use lockgate_model::Digest;

    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_there_are_allowed() {
        let open_files = open_files_raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current.unwrap_or(u64::MAX), open_files);
        assert_eq!((limit, open_files), (getrlimit(Resource::Nofile), open_files_raise()), "a second time is no other");
        assert_eq!(limits_within(u64::MAX), Limits::DEFAULT);
        assert_eq!(limits_within(1024).connections, 768);
    }

    #[test]
    fn the_command_that_restores_a_ledger_is_one_for_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("my data");
        fs::create_dir(&data).unwrap();
        let hint = ledger_missing(&data).hint.unwrap();
        assert!(hint.contains(&format!("`cp -a COPY/. '{}'`", data.display())), "{hint}");
    }

    #[test]
    fn a_kept_checkpoint_that_cannot_be_looked_at_is_not_taken_for_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(read_checkpoint(&file).unwrap().is_none());
        fs::write(&file, "x").unwrap();
        assert_eq!(read_checkpoint(&file).unwrap_err().code, "CHECKPOINT_INVALID");
        assert_eq!(read_checkpoint(&file.join("below")).unwrap_err().code, "FILE_FAILED");
    }

    #[test]
    fn the_mark_of_another_ledger_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("high-water");
        let head = |origin: &str, size: u64| {
            let (size, root) = (TreeSize(size), Digest::of(b"root"));
            let signer = NoteSigner::from_seed(origin, NoteKeyKind::Ed25519, &[1; 32]).unwrap();
            let note = Checkpoint { origin: origin.to_owned(), size, root }.sign(&signer);
            TreeHead { size, root, checkpoint: note.to_text() }
        };
        let kept = || read_checkpoint(&mark).unwrap().map(|kept| (kept.origin, kept.size.0));
        keep_high_water(&mark, &head("a.example/log", 5));
        assert_eq!(kept(), Some(("a.example/log".to_owned(), 5)));
        keep_high_water(&mark, &head("b.example/log", 9));
        keep_high_water(&mark, &head("a.example/log", 4));
        assert_eq!(kept(), Some(("a.example/log".to_owned(), 5)));
        keep_high_water(&mark, &head("a.example/log", 6));
        assert_eq!(kept(), Some(("a.example/log".to_owned(), 6)));
    }

    #[test]
    fn a_defect_that_ends_the_scheduler_stops_the_process() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        let on_fatal: OnFatal = Box::new(move |reason| hears.lock().unwrap().push(reason));
        let (stop, stopped) = channel::<()>();
        until_stopped(&stopped, Duration::from_millis(1), || panic!("on purpose"), &on_fatal);
        assert_eq!(*told.lock().unwrap(), ["the scheduler broke off"]);
        drop(stop);
        // Told to stop, it ends and says nothing.
        until_stopped(&stopped, Duration::from_millis(1), || panic!("nobody ticks"), &on_fatal);
        assert_eq!(told.lock().unwrap().len(), 1);
    }
}
