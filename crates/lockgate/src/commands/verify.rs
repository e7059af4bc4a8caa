//! Verify: may this file run here now?

use std::fs::File;
use std::io::Read;
use std::path::Path;

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::wire::GrantReply;
use lockgate_ledger::TrustFile;
use lockgate_ledger::bundle::{self, Query, Refusal, Verified};
use lockgate_model::text::visible;
use lockgate_model::{Digest, Hasher, Limits};
use serde_json::json;

use crate::cli;
use crate::commands::known;
use crate::commands::seen::{self, fetch_newest};
use crate::failure::{Failure, Outcome};
use crate::home::read_file;
use crate::world::World;

/// `lockgate verify`. Exit 0 only when every check ran and passed, and nothing that was verified here before stands
/// against it.
///
/// # Errors
/// The first check that did not pass, with exit 3; an integrity alarm with exit 9.
pub fn verify(world: &World, options: &cli::Verify) -> Outcome {
    // Trust comes from the file that was named, or from the home; never from the working directory or the server.
    let trust = world.trust(options.trust.as_deref())?;
    let artifact = hash_file(world, &options.file)?;
    let query = Query { artifact, service: &options.service, environment: &options.env, now: world.now() };
    let verified = match &options.bundle {
        Some(path) => {
            let bytes = read_file(path, Limits::DEFAULT.bundle_bytes as u64)?;
            let verified = check(&bytes, &trust, &query, world, &options.file)?;
            seen::compare(world, &verified)?;
            known::check(world, &query, &verified, false)?;
            verified
        }
        None => online(world, options, &trust, &query)?,
    };
    report(world, options, &artifact, &verified)
}

fn online(world: &World, options: &cli::Verify, trust: &TrustFile, query: &Query<'_>) -> Result<Verified, Failure> {
    let client = world.signed_in()?;
    let path = format!(
        "/v1/grants?artifact={}&service={}&environment={}",
        query_value(&query.artifact.to_string()),
        query_value(query.service.as_str()),
        query_value(query.environment.as_str())
    );
    // The grant is asked for with each bundle: it is a part of the state that has to be new enough.
    let (_, verified) = fetch_newest(world, &client, trust, || {
        let grant: GrantReply = client.get(&path).map_err(|error| {
            let failure = Failure::from(error);
            if failure.exit == Exit::Denied {
                let _ = not_verified(world, &options.file, &query.artifact, &failure.code, &failure.message, &[]);
            }
            failure
        })?;
        let bytes = client.get_bytes(&format!("/v1/promotions/{}/bundle", grant.promotion))?;
        let verified = check(&bytes, trust, query, world, &options.file)?;
        Ok((bytes, verified))
    })?;
    known::check(world, query, &verified, true)?;
    Ok(verified)
}

fn check(bytes: &[u8], trust: &TrustFile, query: &Query<'_>, world: &World, file: &Path) -> Result<Verified, Failure> {
    bundle::verify(bytes, trust, query).map_err(|refusal| {
        // The report is best effort; the exit code is what counts.
        let _ = not_verified(world, file, &query.artifact, refusal.code, &refusal.message, &refusal.checks);
        known::keep_refused(world, bytes, trust);
        refused(&refusal)
    })
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::new(Exit::Denied, refusal.code, refusal.message.clone())
        .hint(format!("`lockgate explain {}` says more", refusal.code))
}

fn not_verified(
    world: &World,
    file: &Path,
    artifact: &Digest,
    code: &str,
    message: &str,
    checks: &[bundle::Check],
) -> Result<(), Failure> {
    if world.terminal.format == cli::Format::Json {
        return Ok(());
    }
    let mut text = format!("NOT VERIFIED  {}  {artifact}\n", file.display());
    for check in checks {
        text.push_str(&format!("  + {:<13} {}\n", check.name, visible(&check.found)));
    }
    text.push_str(&format!("  x {code}: {}", visible(message)));
    world.terminal.result(text)
}

fn report(world: &World, options: &cli::Verify, artifact: &Digest, verified: &Verified) -> Outcome {
    let trusting = world.trust_path(options.trust.as_deref()).display().to_string();
    let shown = json!({
        "verified": true,
        "artifact": artifact,
        "release": verified.release.name,
        "environment": options.env,
        "promotion": verified.promotion,
        "grantedUntil": verified.grant.as_ref().map(|grant| grant.event.not_after),
        "ledgerSize": verified.checkpoint_size,
        "offline": options.bundle.is_some(),
        "trust": trusting,
        "checks": verified.checks,
    });
    world.terminal.show(&shown, || {
        let mut text = format!("VERIFIED  {}  {artifact}\n", options.file.display());
        for check in &verified.checks {
            text.push_str(&format!("  + {:<13} {}\n", check.name, visible(&check.found)));
        }
        let how = if options.bundle.is_some() {
            "offline; what happened later is not known here"
        } else {
            "with the server's newest state"
        };
        text.push_str(&format!("  as of a ledger of {} entries, {how}\n", verified.checkpoint_size));
        text.push_str(&format!("  trusting what {} pins", visible(&trusting)));
        text
    })?;
    Ok(Exit::Done)
}

/// Hashes a file, with progress.
///
/// # Errors
/// When it is no readable file, or empty.
pub fn hash_file(world: &World, path: &Path) -> Result<Digest, Failure> {
    let fail = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(fail)?;
    let facts = file.metadata().map_err(fail)?;
    if !facts.is_file() || facts.len() == 0 {
        return Err(Failure::usage("FILE_INVALID", format!("{} is not a file with content", path.display())));
    }
    let bar = world.terminal.progress("hashing", facts.len(), true);
    let mut reader = bar.wrap_read(file);
    let mut hasher = Hasher::new();
    let mut buffer = vec![0u8; 256 * 1024];
    loop {
        let count = reader.read(&mut buffer).map_err(fail)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => break,
        }
    }
    bar.finish_and_clear();
    Ok(hasher.finish())
}
