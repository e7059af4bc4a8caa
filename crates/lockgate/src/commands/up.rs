//! Up and down: a server on this machine, ready to use.

mod beforehand;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockgate_api::wire::{Acknowledged, Changed, Enrolment, ServerInfo};
use lockgate_api::{Client, Exit};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_ledger::{Event, Leaf, TrustFile};
use lockgate_model::facts::SubjectKind;
use lockgate_model::text::argument;
use lockgate_model::{EntryIndex, EnvName, GroupName, Limits, PersonId, UnixMillis};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner};
use lockgate_store::LedgerStore;
use lockgate_store_local::{LocalStore, Options};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::cli;
use crate::commands::trust::tell_custody;
use crate::failure::{Failure, Outcome};
use crate::home::{Context, Running, make_directory, write_file};
use crate::keyring::{public_of, sign};
use crate::serve::{is_begun, setup_code_file};
use crate::world::World;

/// Where a server listens that nobody told where.
const LISTEN: &str = "127.0.0.1:7430";
/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(20);
/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(20);
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The groups of the first owner.
const FIRST_OWNER_GROUPS: [&str; 2] = ["owners", "developers"];
/// Among how many entries of a ledger's beginning its first owner is looked for; as a rule it is the second one.
const FIRST_ENTRIES: usize = 16;

/// `lockgate up`.
///
/// # Errors
/// `SERVER_RUNNING`, `HOME_COPIED`; what is refused beforehand, in [`beforehand::check`]; when the server does not
/// start, or set-up is refused.
pub fn up(world: &World, options: &cli::Up) -> Outcome {
    check_no_copy(world)?;
    if let Some(running) = alive(world) {
        return Err(Failure::new(
            Exit::Conflict,
            "SERVER_RUNNING",
            format!("a server of this home runs already at {} (process {})", running.url, running.pid),
        )
        .hint("stop it with `lockgate down`"));
    }
    let begun = is_begun(&world.home)?;
    let listen = listen_at(world, options, begun);
    beforehand::check(world, options, &listen)?;
    let mut child = start(world, options, &listen)?;
    let running = match wait_ready(world, &mut child) {
        Ok(running) => running,
        Err(failure) => {
            // It may have ended by itself; that is what is told.
            let _ = child.kill();
            let _ = child.wait();
            return Err(failure);
        }
    };
    let info = match set_up(world, options, &running.url) {
        Ok(info) => info,
        Err(failure) => {
            stop(running.pid)?;
            return Err(failure);
        }
    };
    if let Some(named) = &options.listen {
        keep_listen(world, named);
    }
    if begun {
        note_ignored(world, options, &info);
    }
    told(world, options, &running, &info)?;
    match options.detach {
        true => Ok(Exit::Done),
        false => wait_foreground(child),
    }
}

/// Where to listen: at what was named; else, for a ledger that is there, where its server was told to listen last.
fn listen_at(world: &World, options: &cli::Up, begun: bool) -> String {
    let kept = || world.home.listen().filter(|_| begun).map(|address| address.to_string());
    options.listen.clone().or_else(kept).unwrap_or_else(|| LISTEN.to_owned())
}

/// Keeps the address that was named for the next start; a port that the system chose is another each time.
fn keep_listen(world: &World, listen: &str) {
    let Some(address) = listen.parse::<SocketAddr>().ok().filter(|address| address.port() != 0) else { return };
    if let Err(failure) = write_file(&world.home.listen_file(), format!("{address}\n").as_bytes(), 0o600) {
        world.terminal.say(format!("note: the next start has to be told --listen again: {}", failure.message));
    }
}

/// Says which options came too late: they are about the beginning of a ledger, and there is one.
fn note_ignored(world: &World, options: &cli::Up, info: &ServerInfo) {
    let enrolled = !info.setup_needed;
    let ignored: Vec<&str> = [
        ("--policy", options.policy != "starter"),
        ("--origin", options.origin.is_some()),
        ("--name", enrolled && options.name.is_some()),
        ("--key", enrolled && options.key.is_some()),
    ]
    .into_iter()
    .filter_map(|(option, is_given)| is_given.then_some(option))
    .collect();
    if ignored.is_empty() {
        return;
    }
    let next = match options.policy == "starter" {
        true => String::new(),
        false => "\n  next  `lockgate policy activate DIR --reason ...` proposes another policy set".to_owned(),
    };
    world.terminal.say(format!("note: this home has a ledger already; ignored: {}{next}", ignored.join(", ")));
}

fn start(world: &World, options: &cli::Up, listen: &str) -> Result<Child, Failure> {
    let fail = |error: std::io::Error| {
        Failure::new(Exit::Failed, "START_FAILED", format!("the server did not start: {error}"))
    };
    // A leftover of a killed server must not be taken for the new one's.
    let _ = fs::remove_file(world.home.running_file());
    make_directory(world.home.path(), 0o700).map_err(|error| Failure::file(world.home.path(), &error))?;
    let mut command = Command::new(std::env::current_exe().map_err(fail)?);
    command
        .arg("--home")
        .arg(world.home.path())
        .arg("serve")
        .arg("--listen")
        .arg(listen)
        .arg("--policy")
        .arg(&options.policy);
    if let Some(origin) = &options.origin {
        command.arg("--origin").arg(origin);
    }
    if options.demo {
        command.arg("--demo");
    }
    command.args(options.front.to_arguments());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // It holds the one-time code, as long as no owner is enrolled.
    let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(world.home.log_file()).map_err(fail)?;
    command.stderr(log);
    if options.detach {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    command.spawn().map_err(fail)
}

fn wait_ready(world: &World, child: &mut Child) -> Result<Running, Failure> {
    let deadline = Instant::now() + START;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ended(world, status));
        }
        if let Some(running) = world.home.running().filter(|running| running.pid == child.id())
            && Client::new(&running.url, None).get::<serde_json::Value>("/healthz").is_ok()
        {
            return Ok(running);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(Exit::Unavailable, "START_TIMEOUT", "the server did not answer in time")
                .hint(format!("its log is {}", world.home.log_file().display())));
        }
        std::thread::park_timeout(LOOK);
    }
}

/// A server that ended has said why in its log; its exit code is ours.
fn ended(world: &World, status: std::process::ExitStatus) -> Failure {
    let log = fs::read_to_string(world.home.log_file()).unwrap_or_default();
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let exit =
        Exit::ALL.into_iter().find(|exit| Some(exit.code()) == code && *exit != Exit::Done).unwrap_or(Exit::Failed);
    let failure = match last_error(&log) {
        Some(told) => Failure { exit, ..told },
        None => Failure::new(exit, "START_FAILED", "it said nothing"),
    };
    failure.or_hint(format!("the server's log is {}", world.home.log_file().display()))
}

/// The last error that a log tells: its reason code, its message with every line of it, and its hint.
fn last_error(log: &str) -> Option<Failure> {
    let lines: Vec<&str> = log.lines().collect();
    let start = lines.iter().rposition(|line| line.starts_with("error["))?;
    let mut lines = lines.into_iter().skip(start);
    let (code, message) = lines.next()?.strip_prefix("error[")?.split_once("]: ")?;
    let mut failure = Failure::new(Exit::Failed, code, message);
    for line in lines {
        if let Some(hint) = line.strip_prefix("  next  ") {
            return Some(failure.hint(hint));
        }
        if !line.starts_with("  ") {
            break;
        }
        failure.message.push('\n');
        failure.message.push_str(line);
    }
    Some(failure)
}

/// Enrols whoever has to be there, once; gives what the server said of itself before.
fn set_up(world: &World, options: &cli::Up, url: &str) -> Result<ServerInfo, Failure> {
    let mut context = world.context()?;
    context.server = Some(url.to_owned());
    world.home.write_context(&context)?;
    let info: ServerInfo = Client::new(url, None).get("/v1/server")?;
    if !info.setup_needed {
        return Ok(info);
    }
    let code = fs::read_to_string(setup_code_file(&world.home))
        .map_err(|error| Failure::file(&setup_code_file(&world.home), &error))?;
    let code = code.trim();
    // What the ledger is was decided when it was begun.
    match info.demo {
        true => demo_people(world, &mut context, &info.origin, url, code)?,
        false => first_owner(world, options, &mut context, &info.origin, url, code)?,
    }
    world.home.write_context(&context)?;
    let trust: TrustFile = Client::new(url, None).get("/v1/trust")?;
    let bytes = serde_json::to_vec_pretty(&trust)
        .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
    write_file(&world.home.trust(), &bytes, 0o644)?;
    tell_custody(world, &world.home.trust());
    // Used: it would be refused from now on.
    let _ = fs::remove_file(setup_code_file(&world.home));
    Ok(info)
}

fn groups(names: &[&str]) -> Result<Vec<GroupName>, Failure> {
    names
        .iter()
        .map(|name| {
            name.parse()
                .map_err(|error: lockgate_model::NameError| Failure::new(Exit::Bug, "NAME_INVALID", error.to_string()))
        })
        .collect()
}

fn name(text: &str) -> Result<PersonId, Failure> {
    text.parse().map_err(|error: lockgate_model::NameError| {
        Failure::usage("NAME_INVALID", error.to_string()).hint("choose one with --name")
    })
}

fn first_owner(
    world: &World,
    options: &cli::Up,
    context: &mut Context,
    origin: &str,
    url: &str,
    code: &str,
) -> Result<(), Failure> {
    let (person, signer) = beforehand::first_owner(world, options)?;
    let groups = groups(&FIRST_OWNER_GROUPS)?;
    let request = enrolment(origin, &person, SubjectKind::Person, &groups, signer.as_ref())?;
    let request = Enrolment { code: Some(code.to_owned()), ..request };
    let _: Acknowledged<Changed> = Client::new(url, None).post("/v1/setup", &request, None)?;
    context.keys.insert(person.clone(), world.keyring.entry(options.key.as_deref(), signer.public_key()));
    context.person = Some(person);
    Ok(())
}

/// sam owns and approves, dana develops, `ci` is the machine that pushes.
fn demo_people(world: &World, context: &mut Context, origin: &str, url: &str, code: &str) -> Result<(), Failure> {
    let (sam, dana, ci) = (name("sam")?, name("dana")?, name("ci")?);
    for person in [&sam, &dana, &ci] {
        let path = world.home.person_key(person);
        if !path.exists() {
            generate(&path, &format!("{person}@demo"))?;
        }
        context.keys.insert(person.clone(), format!("people/{person}"));
    }
    let sams = FileSigner::load(&world.home.person_key(&sam))
        .map_err(|error| Failure::usage("KEY_INVALID", error.to_string()))?;
    let request = enrolment(origin, &sam, SubjectKind::Person, &groups(&["owners", "approvers"])?, &sams)?;
    let request = Enrolment { code: Some(code.to_owned()), ..request };
    let _: Acknowledged<Changed> = Client::new(url, None).post("/v1/setup", &request, None)?;
    world.home.write_context(context)?;
    let client = world.signed_in_as(&sam)?;
    for (person, kind, group) in [(&dana, SubjectKind::Person, "developers"), (&ci, SubjectKind::Machine, "ci")] {
        let key = FileSigner::load(&world.home.person_key(person))
            .map_err(|error| Failure::usage("KEY_INVALID", error.to_string()))?;
        let request = enrolment(origin, person, kind, &groups(&[group])?, &key)?;
        let signature = sign(&sams, ENROLMENT_NAMESPACE, &enrolment_bytes(origin, &request)?)?;
        let request = Enrolment { by: Some(sam.clone()), signature: Some(signature), ..request };
        let _: Acknowledged<Changed> = client.post("/v1/people", &request, None)?;
    }
    context.person = Some(dana);
    context.machine = Some(ci);
    Ok(())
}

/// An enrolment with the new key's own signature; a sponsor's is still to come.
///
/// # Errors
/// When the key does not sign.
pub fn enrolment(
    origin: &str,
    person: &PersonId,
    subject: SubjectKind,
    groups: &[GroupName],
    signer: &dyn SshSigner,
) -> Result<Enrolment, Failure> {
    limited_enrolment(origin, person, subject, groups, signer, (None, &[]))
}

/// The same for a key that ends by itself at a moment, or signs for some environments alone.
///
/// # Errors
/// As [`enrolment`].
pub fn limited_enrolment(
    origin: &str,
    person: &PersonId,
    subject: SubjectKind,
    groups: &[GroupName],
    signer: &dyn SshSigner,
    (expires_at, environments): (Option<UnixMillis>, &[EnvName]),
) -> Result<Enrolment, Failure> {
    let document = EnrolmentDocument::new(origin, person, subject, groups, signer.public_key());
    let document = document_bytes(&document.limited(expires_at, environments))?;
    Ok(Enrolment {
        person: person.clone(),
        subject,
        groups: groups.to_vec(),
        key: signer.public_key().to_string(),
        proof: sign(signer, ENROLMENT_NAMESPACE, &document)?,
        code: None,
        by: None,
        signature: None,
        expires_at,
        environments: environments.to_vec(),
    })
}

/// The document that an enrolment's signatures cover.
///
/// # Errors
/// `KEY_INVALID`.
pub fn enrolment_bytes(origin: &str, request: &Enrolment) -> Result<Vec<u8>, Failure> {
    let key = request.key.parse().map_err(|error| Failure::usage("KEY_INVALID", format!("{error}")))?;
    let document = EnrolmentDocument::new(origin, &request.person, request.subject, &request.groups, &key);
    Ok(document_bytes(&document.limited(request.expires_at, &request.environments))?)
}

/// Makes a key file without a passphrase, and its public half.
///
/// # Errors
/// When it cannot be made or written.
pub fn generate(path: &Path, comment: &str) -> Result<(), Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, "KEY_FAILED", error);
    let public = public_of(path);
    if path.extension().is_some_and(|extension| extension == "pub") {
        return Err(Failure::usage("NAME_INVALID", format!("{} is what a public half is called", path.display()))
            .hint("name the private half: its public half is written beside it"));
    }
    for file in [path, &public] {
        if fs::symlink_metadata(file).is_ok() {
            return Err(Failure::exists(file));
        }
    }
    let signer = FileSigner::generate_ed25519(comment).map_err(|error| failed(error.to_string()))?;
    write_file(path, signer.to_openssh_pem().as_bytes(), 0o600)?;
    write_file(&public, format!("{}\n", signer.public_line()).as_bytes(), 0o644)
}

fn told(world: &World, options: &cli::Up, running: &Running, info: &ServerInfo) -> Result<(), Failure> {
    let context = world.context()?;
    let home = world.home.path().display();
    let next = match info.demo {
        true => {
            "lockgate push app.tar.gz --service shop/web --version 1.4.2 --tests junit.xml --sbom sbom.cdx.json --scan trivy.json"
                .to_owned()
        }
        false => invitation(options.front.url.as_deref(), &running.url),
    };
    let person = context.person.as_ref().map(PersonId::as_str).unwrap_or("-").to_owned();
    let owner = first_owner_on_record(world).map_or("-".to_owned(), |owner| owner.to_string());
    let shown = serde_json::json!({ "url": running.url, "pid": running.pid, "home": world.home.path().display().to_string(), "person": person, "owner": owner, "demo": info.demo, "dashboard": "lockgate dashboard", "next": next });
    world.terminal.show(&shown, || {
        let people = match (info.demo, owner == person) {
            (true, _) => "  people     dana (developer), sam (owner and approver), ci (machine)\n".to_owned(),
            (false, true) => format!("  owner      {owner}\n"),
            (false, false) => format!("  owner      {owner}\n  you        {person}\n"),
        };
        let stop = if options.detach { "lockgate down" } else { "Ctrl-C" };
        let dashboard = if info.demo { "lockgate dashboard --as sam" } else { "lockgate dashboard" };
        format!(
            "lockgate is up\n  url        {}\n  home       {home}\n{people}  dashboard  {dashboard}\n  stop       {stop}\n  next       {next}",
            running.url
        )
    })
}

/// How a second person begins, where they reach this server: not everybody reaches what it listens on.
fn invitation(told: Option<&str>, listens: &str) -> String {
    let enrol = |url: &str| format!("lockgate --server {url} key enrol NAME --group approvers");
    if let Some(url) = told {
        return format!("{}   (on the second person's machine)", enrol(url));
    }
    match listens.strip_prefix("http://").and_then(|address| address.parse::<SocketAddr>().ok()) {
        Some(address) if address.ip().is_unspecified() => {
            let url = format!("http://ADDRESS:{}", address.port());
            format!("{}   (on the second person's machine; ADDRESS is this one's, and --url URL names it)", enrol(&url))
        }
        Some(address) if address.ip().is_loopback() => {
            let how = "for others, start it with --listen ADDRESS:PORT, or behind a proxy with --url URL";
            format!("{}   (on this machine alone; {how})", enrol(listens))
        }
        _ => format!("{}   (on the second person's machine)", enrol(listens)),
    }
}

/// The first owner, as the ledger has it; the store is read beside the server, which tells nobody who is not signed in.
fn first_owner_on_record(world: &World) -> Option<PersonId> {
    let store = LocalStore::open_read_only(&world.home.data(), Options { readers: 1, ..Options::default() }).ok()?;
    let leaves = store.entries(EntryIndex(0), FIRST_ENTRIES).ok()?;
    leaves.iter().find_map(|leaf| match Leaf::decode(leaf, &Limits::DEFAULT) {
        Ok(Leaf::Entry(entry)) => match entry.event {
            Event::PersonEnrolled(enrolled) => Some(enrolled.person),
            _ => None,
        },
        _ => None,
    })
}

fn wait_foreground(mut child: Child) -> Outcome {
    // Ctrl-C reaches the server too: both are in one process group.
    let status = child.wait().map_err(|error| Failure::new(Exit::Failed, "SERVER_LOST", error.to_string()))?;
    match status.code() {
        Some(0) => Ok(Exit::Done),
        code => Err(Failure::new(Exit::Failed, "SERVER_ENDED", format!("the server ended with {code:?}"))),
    }
}

/// The server of this home, if it runs and answers.
pub fn alive(world: &World) -> Option<Running> {
    answering(world).filter(|running| world.home.is_served_by(running))
}

/// Refuses a home that was copied from one whose server runs: what its `server.json` names is not its own.
fn check_no_copy(world: &World) -> Result<(), Failure> {
    let Some(running) = answering(world).filter(|running| !world.home.is_served_by(running)) else { return Ok(()) };
    let Running { pid, url, home } = running;
    let (own, other) = (world.home.path(), home.unwrap_or_default());
    let message = format!(
        "the home {} is a copy of {other}, whose server runs at {url} (process {pid}); nothing was started or stopped",
        own.display()
    );
    let audit = format!("`lockgate --home {} audit` looks at the copy", argument(&own.to_string_lossy()));
    Err(Failure::new(Exit::Conflict, "HOME_COPIED", message).hint(match Path::new(&other).exists() {
        true => format!(
            "{audit}; to work with it in the place of the other, stop that server with `lockgate --home {} down` and \
             never start it again: two servers with one key would sign two ledgers",
            argument(&other)
        ),
        false => format!(
            "{audit}; that other home is gone: where it was moved here while its server ran, end process {pid} first"
        ),
    }))
}

/// The server that the home's `server.json` names, if it runs and answers, whosever it is.
fn answering(world: &World) -> Option<Running> {
    let running = world.home.running()?;
    let pid = Pid::from_raw(i32::try_from(running.pid).ok()?)?;
    test_kill_process(pid).ok()?;
    Client::new(&running.url, None).get::<serde_json::Value>("/healthz").ok()?;
    Some(running)
}

fn stop(pid: u32) -> Result<(), Failure> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Failure::new(Exit::Failed, "SERVER_UNKNOWN", "the process id is not one"))?;
    kill_process(pid, Signal::TERM).map_err(|error| Failure::new(Exit::Failed, "STOP_FAILED", error.to_string()))?;
    let deadline = Instant::now() + STOP;
    while test_kill_process(pid).is_ok() && !is_zombie(pid) {
        if Instant::now() > deadline {
            return Err(Failure::new(Exit::Failed, "STOP_TIMEOUT", "the server did not stop in time"));
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

/// A child of this very process that ended, but was not waited for.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// `lockgate down`.
///
/// # Errors
/// `SERVER_UNKNOWN` when none runs, `HOME_COPIED` when only that of another home does, or when it does not stop.
pub fn down(world: &World) -> Outcome {
    check_no_copy(world)?;
    let running =
        alive(world).ok_or_else(|| Failure::new(Exit::NotFound, "SERVER_UNKNOWN", "no server of this home runs"))?;
    stop(running.pid)?;
    let home = world.home.path();
    let told = format!("the server at {} has stopped; everything is in {}", running.url, home.display());
    world
        .terminal
        .done(&serde_json::json!({ "url": running.url, "home": home.display().to_string(), "stopped": true }), told)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_did_not_start_is_quoted_in_full() {
        let check = |log: &str, expected: Option<(&str, &str, Option<&str>)>| {
            let told = last_error(log);
            let told = told.as_ref().map(|told| (told.code.as_str(), told.message.as_str(), told.hint.as_deref()));
            assert_eq!(told, expected, "{log}");
        };
        check("", None);
        check("INFO ready\n", None);
        check("error[A_CODE]: short\n", Some(("A_CODE", "short", None)));
        check("error[A_CODE]: short\n  next  do it\n", Some(("A_CODE", "short", Some("do it"))));
        let policy = "error[OLD]: of another start\n  next  no\nINFO up\n\
                      error[POLICY_INVALID]: the policy set does not load:\n  gates/a.toml:3: unknown kind\n  \
                      trust.toml:1: no key\nINFO end\n  not of it\n";
        let message = "the policy set does not load:\n  gates/a.toml:3: unknown kind\n  trust.toml:1: no key";
        check(policy, Some(("POLICY_INVALID", message, None)));
    }
}
