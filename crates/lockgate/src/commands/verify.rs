//! Verify: may this file run here now?

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use lockgate_api::client::query_value;
use lockgate_api::wire::GrantReply;
use lockgate_api::{Client, ClientError, Exit};
use lockgate_ledger::TrustFile;
use lockgate_ledger::bundle::{self, Query, Verified};
use lockgate_model::text::visible;
use lockgate_model::{Digest, Hasher, Limits};
use serde_json::json;

use crate::cli;
use crate::commands::known;
use crate::commands::seen::{self, fetch_newest};
use crate::failure::{Failure, Outcome};
use crate::home::read_file;
use crate::world::World;

/// The checks that the bundle at hand has passed, also where it was refused.
type Passed = RefCell<Vec<bundle::Check>>;

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
    let passed = Passed::default();
    judge(world, options, &trust, &query, &passed)
        .map_err(|failure| {
            let hint = format!("`lockgate explain {}` says more", failure.code);
            let failure = failure.or_hint(hint);
            not_verified(world, options, &artifact, &passed.take(), &failure);
            failure
        })
        .and_then(|verified| report(world, options, &artifact, &verified))
}

fn judge(
    world: &World,
    options: &cli::Verify,
    trust: &TrustFile,
    query: &Query<'_>,
    passed: &Passed,
) -> Result<Verified, Failure> {
    let Some(path) = &options.bundle else { return online(world, trust, query, passed) };
    let bytes = read_file(path, Limits::DEFAULT.bundle_bytes as u64)?;
    let verified = check(&bytes, trust, query, world, passed)?;
    seen::compare(world, trust, &verified)?;
    known::check(world, trust, query, &verified, false)?;
    Ok(verified)
}

fn online(world: &World, trust: &TrustFile, query: &Query<'_>, passed: &Passed) -> Result<Verified, Failure> {
    let client = world.signed_in().map_err(|failure| not_signed_in(world, trust, failure))?;
    let path = format!(
        "/v1/grants?artifact={}&service={}&environment={}",
        query_value(&query.artifact.to_string()),
        query_value(query.service.as_str()),
        query_value(query.environment.as_str())
    );
    // The grant is asked for with each bundle: it is a part of the state that has to be new enough.
    let (_, verified) = fetch_newest(world, &client, trust, || {
        passed.borrow_mut().clear();
        let grant: GrantReply = client.get(&path).map_err(|error| {
            keep_replacement(world, &client, trust, &error);
            Failure::from(error)
        })?;
        let bytes = client.get_bytes(&format!("/v1/promotions/{}/bundle", grant.promotion))?;
        let verified = check(&bytes, trust, query, world, passed)?;
        Ok((bytes, verified))
    })?;
    known::check(world, trust, query, &verified, true)?;
    Ok(verified)
}

/// Why nobody is signed in, with what to do next where a file is to be verified: a server of one's own would know nothing
/// of it.
fn not_signed_in(world: &World, trust: &TrustFile, failure: Failure) -> Failure {
    let failure = match failure.code.as_str() {
        "SERVER_UNKNOWN" | "SIGN_IN_NEEDED" => failure.hint(
            "verify offline with `--bundle FILE`, which needs no account; or name the server that holds the ledger with \
             `--server URL`, after you signed in there with `lockgate login --server URL NAME`",
        ),
        _ => failure,
    };
    match world.client() {
        Ok(client) => seen::refused(world, &client, trust, failure),
        Err(_) => failure,
    }
}

/// Remembers the grant that replaced the one that was asked for, where the refusal names it and its bundle proves it under
/// the pinned trust: then no bundle from before passes here. What fails on the way changes nothing of the answer.
fn keep_replacement(world: &World, client: &Client, trust: &TrustFile, refusal: &ClientError) {
    if let ClientError::Problem(problem) = refusal
        && let Some(promotion) = problem.replaced_by
        && let Ok(bytes) = client.get_bytes(&format!("/v1/promotions/{promotion}/bundle"))
    {
        known::keep_refused(world, &bytes, trust);
    }
}

fn check(
    bytes: &[u8],
    trust: &TrustFile,
    query: &Query<'_>,
    world: &World,
    passed: &Passed,
) -> Result<Verified, Failure> {
    let checked = bundle::verify(bytes, trust, query);
    *passed.borrow_mut() = match &checked {
        Ok(verified) => verified.checks.clone(),
        Err(refusal) => refusal.checks.clone(),
    };
    checked.map_err(|refusal| {
        known::keep_refused(world, bytes, trust);
        Failure::new(Exit::Denied, refusal.code, refusal.message)
    })
}

/// Reports what was not verified; best effort, as the exit code is what counts. A server that is away, or does not know
/// who asks, says nothing about the file: then programs alone are told that it was not verified.
fn not_verified(world: &World, options: &cli::Verify, artifact: &Digest, checks: &[bundle::Check], failure: &Failure) {
    let is_answer = matches!(failure.exit, Exit::Denied | Exit::Integrity);
    if world.terminal.format == cli::Format::Table && !is_answer {
        return;
    }
    let shown = json!({
        "verified": false,
        "artifact": artifact,
        "service": options.service,
        "environment": options.env,
        "checks": checks,
        "error": failure.to_json(),
    });
    let _ = world.terminal.show(&shown, || {
        let mut text = format!("NOT VERIFIED  {}  {artifact}\n", options.file.display());
        for check in checks {
            text.push_str(&format!("  + {:<13} {}\n", check.name, visible(&check.found)));
        }
        text.push_str(&format!("  x {}: {}", visible(&failure.code), visible(&failure.message)));
        text
    });
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
