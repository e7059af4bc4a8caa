//! Doctor: is this installation well, end to end?

use std::os::unix::fs::PermissionsExt;

use lockgate_api::Exit;
use lockgate_api::wire::{ChangeRow, PersonRow, Whoami};
use lockgate_model::facts::SubjectKind;
use lockgate_policy::{Permission, PolicySet, run_tests};
use lockgate_sign::ssh_signer::AgentSigner;
use serde_json::json;

use crate::commands::access;
use crate::commands::expiry::{Expiry, RED_DAYS, Warning, warnings};
use crate::commands::policy::invalid;
use crate::failure::{Failure, Outcome};
use crate::terminal::table;
use crate::world::World;

enum Health {
    Ok,
    Warn,
    Fail,
}

/// `lockgate doctor`: exit 1 when something is wrong.
///
/// # Errors
/// `DOCTOR_FAILED` with the number of failed checks.
pub fn doctor(world: &World) -> Outcome {
    let mut rows: Vec<(Health, &str, String, String)> = Vec::new();
    let mut row =
        |health: Health, name: &'static str, found: String, fix: &str| rows.push((health, name, found, fix.to_owned()));
    row(Health::Ok, "version", format!("lockgate {}", env!("CARGO_PKG_VERSION")), "");
    match world.context() {
        Ok(context) => row(Health::Ok, "context", context.server.unwrap_or_else(|| "no server yet".to_owned()), ""),
        Err(failure) => row(Health::Fail, "context", failure.message, "mend or remove context.toml"),
    }
    match world.trust(None) {
        Ok(trust) => row(Health::Ok, "trust", format!("{} root key(s) pinned", trust.root_keys.len()), ""),
        Err(failure) => row(Health::Warn, "trust", failure.message, "lockgate trust pin"),
    }
    match key_modes(world) {
        Ok(count) => row(Health::Ok, "keys", format!("{count} private files, readable by their owner alone"), ""),
        Err(found) => row(Health::Fail, "keys", found, "chmod 600 the named file"),
    }
    match world.keyring.agent.as_ref().map(|socket| AgentSigner::list(socket)) {
        Some(Ok(keys)) => row(Health::Ok, "ssh-agent", format!("{} key(s)", keys.len()), ""),
        Some(Err(error)) => row(Health::Warn, "ssh-agent", error.to_string(), "start an agent, or name key files"),
        None => row(Health::Ok, "ssh-agent", "none runs; key files are used".to_owned(), ""),
    }
    for (name, _) in lockgate_policy::STARTERS {
        let failed = PolicySet::starter(name)
            .and_then(|files| PolicySet::from_files(files).ok())
            .map_or(1, |set| run_tests(&set).iter().filter(|test| !test.passed).count());
        let health = if failed == 0 { Health::Ok } else { Health::Fail };
        row(
            health,
            "dry promotion",
            format!("starter `{name}`: {failed} of its tests fail"),
            "reinstall: this binary is damaged",
        );
    }
    match world.server_info() {
        Ok(info) => {
            let same = info.version == env!("CARGO_PKG_VERSION");
            row(
                if same { Health::Ok } else { Health::Warn },
                "server",
                format!("{}, version {}, {} entries", info.origin, info.version, info.entries),
                "use the same version on both sides",
            );
            match world.signed_in().and_then(|client| Ok(client.get::<Whoami>("/v1/whoami")?)) {
                Ok(me) => row(Health::Ok, "sign-in", format!("{}: {}", me.person, me.permissions.join(", ")), ""),
                Err(failure) => row(Health::Warn, "sign-in", failure.message, "lockgate login NAME"),
            }
        }
        Err(failure) => row(Health::Warn, "server", failure.message, "lockgate up"),
    }
    for (health, name, found, fix) in governance_rows(world) {
        row(health, name, found, fix);
    }
    match access::last_review(world) {
        Ok((recent, found)) => {
            let health = if recent { Health::Ok } else { Health::Warn };
            row(health, "access review", found, "lockgate access review --sign");
        }
        Err(failure) => row(Health::Warn, "access review", failure.message, "lockgate access review"),
    }
    let failed = rows.iter().filter(|row| matches!(row.0, Health::Fail)).count();
    let word = |health: &Health| match health {
        Health::Ok => "ok",
        Health::Warn => "warn",
        Health::Fail => "FAIL",
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
    })?;
    match failed {
        0 => Ok(Exit::Done),
        _ => Err(Failure::new(Exit::Failed, "DOCTOR_FAILED", format!("{failed} checks failed"))),
    }
}

/// Which keys end soon, what waits for signatures, and whether there are enough people to keep each other in check.
fn governance_rows(world: &World) -> Vec<(Health, &'static str, String, &'static str)> {
    let read = || -> Result<(Vec<PersonRow>, Vec<ChangeRow>, PolicySet), Failure> {
        let client = world.signed_in()?;
        let document = client.get_bytes("/v1/policy")?;
        let policy = PolicySet::from_document(&document).map_err(|errors| invalid(&errors))?;
        Ok((client.get("/v1/people")?, client.get("/v1/changes")?, policy))
    };
    let (people, changes, policy) = match read() {
        Ok(read) => read,
        Err(failure) => return vec![(Health::Warn, "governance", failure.message, "lockgate login NAME")],
    };
    let warnings = warnings(&people, world.now());
    let red = |warning: &Warning| match warning.expiry {
        Expiry::Past => true,
        Expiry::Within(days) => days <= RED_DAYS,
        Expiry::Far => false,
    };
    let mut rows = Vec::new();
    if warnings.is_empty() {
        rows.push((Health::Ok, "key expiry", "no key ends within 90 days".to_owned(), ""));
    }
    for warning in warnings {
        let health = if red(&warning) { Health::Fail } else { Health::Warn };
        rows.push((health, "key expiry", warning.text, "lockgate key rotate, or key recover"));
    }
    let able = |person: &&PersonRow| {
        person.subject == SubjectKind::Person
            && person.suspended_at.is_none()
            && policy.permissions_of(&person.groups).contains(&Permission::Keys)
    };
    let (owners, quorum) = (people.iter().filter(able).count(), policy.settings().governance.quorum);
    let found =
        format!("{owners} may manage keys, and the policy set asks for {quorum} of them where there are enough");
    let health = if owners > 2 && quorum > 1 { Health::Ok } else { Health::Warn };
    rows.push((
        health,
        "quorum",
        found,
        "have three owners and `quorum = 2`: then no single one can take over another",
    ));
    let open = changes.iter().filter(|row| row.status == "open").count();
    let health = if open == 0 { Health::Ok } else { Health::Warn };
    rows.push((health, "changes", format!("{open} wait for signatures"), "lockgate change list"));
    rows
}

fn key_modes(world: &World) -> Result<usize, String> {
    let mut count = 0;
    for dir in [world.home.keys(), world.home.path().join("people"), world.home.path().join("sessions")] {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let public = entry.path().extension().is_some_and(|extension| extension == "pub");
            let mode = entry.metadata().map_err(|error| error.to_string())?.permissions().mode();
            if !public && mode & 0o077 != 0 {
                return Err(format!("{} is readable by others", entry.path().display()));
            }
            count += usize::from(!public);
        }
    }
    Ok(count)
}
