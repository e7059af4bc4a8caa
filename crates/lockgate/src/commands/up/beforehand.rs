//! Beforehand: what `up` refuses while nothing is written yet. A ledger is begun once, under one policy set and with one
//! first owner, so that a mistake which came out after its beginning would stay.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use lockgate_api::Exit;
use lockgate_ledger::TrustFile;
use lockgate_model::{Limits, PersonId, RoleName};
use lockgate_policy::{PolicySet, effective};
use lockgate_sign::ssh_signer::SshSigner;

use super::{FIRST_OWNER_GROUPS, groups, name};
use crate::cli;
use crate::failure::Failure;
use crate::home::read_file;
use crate::rights;
use crate::serve::{demo_policy, first_policy, is_begun, is_demo, log_seed};
use crate::world::World;

/// What a key signs to show whether it asks for a PIN or fingerprint; such a signature counts for nothing anywhere.
const FACTOR_NAMESPACE: &str = "factor-probe.v1@lockgate.dev";

/// Checks everything that can be known before a server starts.
///
/// # Errors
/// `HOME_TAKEN`, `LEDGER_EXISTS`, `DEMO_ONE_FACTOR`, `MFA_REQUIRED`, `GROUP_UNKNOWN`, `NAME_INVALID`, `KEY_MISSING`,
/// `POLICY_INVALID`, `ADDRESS_INVALID`, `PORT_TAKEN`, or what a file says.
pub fn check(world: &World, options: &cli::Up, listen: &str) -> Result<(), Failure> {
    rights::check_server(&world.home)?;
    let begun = is_begun(&world.home)?;
    if options.demo && begun && !is_demo(&world.home) {
        return Err(Failure::new(Exit::Conflict, "LEDGER_EXISTS", "this home has a ledger already, and it is no demo")
            .hint("leave --demo out to start its server, or begin a demo elsewhere: `lockgate --home DIR up --demo`"));
    }
    check_own(world, begun)?;
    if begun {
        return Ok(());
    }
    match options.demo {
        true => demo_policy(&options.policy)?,
        false => check_first_owner(world, options)?,
    }
    check_address(listen)
}

/// Who becomes the first owner, and with which key.
///
/// # Errors
/// `NAME_INVALID`, `KEY_MISSING`, or what the key says.
pub fn first_owner(world: &World, options: &cli::Up) -> Result<(PersonId, Box<dyn SshSigner>), Failure> {
    let person = match &options.name {
        Some(person) => person.clone(),
        None => {
            let unknown = || {
                Failure::usage("NAME_INVALID", "no user name is known here: $USER is not set")
                    .hint("say who is to own the ledger with --name NAME")
            };
            name(&world.user.as_ref().ok_or_else(unknown)?.to_lowercase())?
        }
    };
    let signer = match &options.key {
        Some(path) => world.keyring.signer(&world.context()?, &person, Some(path))?,
        None => world.keyring.own()?,
    };
    Ok((person, signer))
}

/// Refuses a home that works with somebody else's ledger: `up` would begin another one, and put its address and its trust
/// file in the place of theirs.
fn check_own(world: &World, begun: bool) -> Result<(), Failure> {
    let own = log_seed(&world.home).ok().map(|(origin, _)| origin);
    let pinned = pinned_origins(world, begun)?;
    let is_own = own.as_ref().is_some_and(|own| pinned.contains(own));
    if !pinned.is_empty() && !is_own {
        // Without its keys a ledger that was begun does not go on, and the server says so.
        if begun && own.is_none() {
            return Ok(());
        }
        return Err(taken(world, begun, &format!("pins the ledger `{}`", pinned.join("`, `"))));
    }
    match world.context()?.server.filter(|_| !begun) {
        None => Ok(()),
        Some(server) => Err(taken(world, begun, &format!("works with the server {server}"))),
    }
}

fn taken(world: &World, begun: bool, how: &str) -> Failure {
    let home = world.home.path().display();
    let message = match begun {
        true => format!("the home {home} {how}, which is another than its own"),
        false => format!("the home {home} {how}, and has no ledger of its own"),
    };
    let hint = match begun {
        true => {
            "`lockgate serve` starts this home's own server and changes neither; to work with it again, pin its trust file \
             with --replace"
        }
        false => {
            "begin a ledger of your own in another home, with `lockgate --home DIR up` or LOCKGATE_HOME; the server that \
             this home works with is started where it runs"
        }
    };
    Failure::new(Exit::Conflict, "HOME_TAKEN", message).hint(hint)
}

/// The ledgers that the home's trust file pins. One that does not read is no reason against a ledger that is there; before
/// one is begun, it would be written over.
fn pinned_origins(world: &World, begun: bool) -> Result<Vec<String>, Failure> {
    let path = world.home.trust();
    if !rights::is_there(world.home.path(), &path)? {
        return Ok(Vec::new());
    }
    let read = || -> Result<Vec<String>, Failure> {
        let trust = TrustFile::from_bytes(&read_file(&path, Limits::DEFAULT.note_bytes as u64)?)?;
        Ok(trust.policy()?.logs().iter().map(|log| log.vkey.name().to_owned()).collect())
    };
    match read() {
        Err(_) if begun => Ok(Vec::new()),
        Err(failure) => {
            Err(failure.or_hint(format!("look at {}, and move it away if nothing needs it", path.display())))
        }
        read => read,
    }
}

/// Refuses to begin a ledger under a policy set that its first owner could not work with.
fn check_first_owner(world: &World, options: &cli::Up) -> Result<(), Failure> {
    let policy = first_policy(&options.policy)?;
    let (person, signer) = first_owner(world, options)?;
    let groups = groups(&FIRST_OWNER_GROUPS)?;
    if let Some(group) = groups.iter().find(|group| !policy.groups().contains_key(*group)) {
        return Err(Failure::usage(
            "GROUP_UNKNOWN",
            format!(
                "the policy set has no group `{group}`, and its first owner is enrolled in {}",
                FIRST_OWNER_GROUPS.join(" and ")
            ),
        )
        .hint("add the group to the policy set's people.toml"));
    }
    let roles: Vec<RoleName> =
        effective(&policy, &person, &groups).into_iter().map(|effective| effective.because.role).collect();
    match policy.settings().sign_in.mfa.is_for(&roles) && !is_second_factor(signer.as_ref())? {
        false => Ok(()),
        true => Err(one_factor(&policy, &options.policy, signer.as_ref())),
    }
}

/// Whether a session that this key opens has two factors, as the server judges it: hardware that checked who used it.
fn is_second_factor(signer: &dyn SshSigner) -> Result<bool, Failure> {
    if !signer.public_key().is_security_key() {
        return Ok(false);
    }
    let signature = signer
        .sign(FACTOR_NAMESPACE, b"factor probe")
        .map_err(|error| Failure::new(Exit::Failed, "SIGNING_FAILED", format!("the key did not sign: {error}")))?;
    Ok(signature.presence().is_some_and(|presence| presence.user_verified))
}

fn one_factor(policy: &PolicySet, named: &str, signer: &dyn SshSigner) -> Failure {
    let message = format!(
        "the policy set `{}` demands a second factor of its first owner, and {} is one: nobody could ever go on",
        policy.settings().name,
        signer.public_key().fingerprint()
    );
    let open = match PolicySet::starter(named) {
        Some(_) => format!(
            "`lockgate init my-policy --starter {named}`, write `mfa = false` in my-policy/policy.toml, `lockgate up \
             --policy my-policy`"
        ),
        None => format!("write `mfa = false` in {named}/policy.toml"),
    };
    Failure::new(Exit::NotPermitted, "MFA_REQUIRED", message).hint(format!(
        "name a security key that asks for a PIN with --key (`ssh-keygen -t ed25519-sk -O verify-required`); or begin \
         without: {open}, and activate the stricter set once its owners have passkeys"
    ))
}

/// Refuses an address that cannot be listened on: the server opens it after the ledger was begun.
fn check_address(listen: &str) -> Result<(), Failure> {
    let address: SocketAddr = listen.parse().map_err(|_| {
        Failure::usage("ADDRESS_INVALID", format!("`{listen}` is not an address: write 127.0.0.1:7430"))
    })?;
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(Failure::new(Exit::Conflict, "PORT_TAKEN", format!("something else listens on {address}"))
                .hint("choose another port with --listen 127.0.0.1:0"))
        }
        Err(error) => {
            Err(Failure::new(Exit::Unavailable, "LISTEN_FAILED", format!("cannot listen on {address}: {error}"))
                .hint("choose an address of this machine, and a port that you may open, with --listen"))
        }
    }
}
