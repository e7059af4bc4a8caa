//! OpenPGP: detached signatures, verified by `gpgv`, which Debian and its kin carry for their own packages.
//!
//! The helper gets a keyring of its own and no network. Its status lines (`DETAILS` of GnuPG) decide, not its exit code:
//! exactly one signature has to be there, and it has to be both good and valid.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use lockgate_model::Digest;
use lockgate_sigstore::outcome::{Level, Log, Signed};
use lockgate_sigstore::{Outcome, Reason};

use crate::commands::signature::EMPTY;
use crate::failure::Failure;

/// How much of a keyring shows whether it is in armour.
const START_BYTES: u64 = 256;

/// Verifies a detached signature over a file with the keys of a keyring.
///
/// # Errors
/// `KEY_INVALID` for a keyring in ASCII armour, `HELPER_MISSING` when `gpgv` is not on this machine.
pub fn verify(keyring: &Path, signature: &Path, file: &Path) -> Result<Outcome, Failure> {
    let missing = |error: std::io::Error| {
        Failure::new(lockgate_api::Exit::Failed, "HELPER_MISSING", format!("gpgv did not start: {error}"))
            .hint("install the package `gpgv`; nothing else here reads OpenPGP")
    };
    // A keyring without a slash would be looked for in the user's own directory.
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Failure::file(path, &error));
    let metadata = |path: &Path| std::fs::metadata(path).map_err(|error| Failure::file(path, &error));
    let (keys, signed) = (metadata(keyring)?, metadata(signature)?);
    metadata(file)?;
    if signed.is_file() && signed.len() == 0 {
        return Ok(Outcome::refused(Reason::SignatureMissing, EMPTY));
    }
    // What comes through a pipe can be read once, and that is for `gpgv` to do.
    if keys.is_file() && is_armoured(keyring)? {
        let message =
            format!("{} is in ASCII armour, and `gpgv` reads a keyring in its binary form", keyring.display());
        return Err(Failure::usage("KEY_INVALID", message).hint("export it without `-a`: gpg --export"));
    }
    let output = Command::new("gpgv")
        .args(["--quiet", "--status-fd", "1", "--keyring"])
        .arg(absolute(keyring)?)
        .arg("--")
        .arg(absolute(signature)?)
        .arg(absolute(file)?)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(missing)?;
    Ok(outcome(&String::from_utf8_lossy(&output.stdout), output.status.success()))
}

/// Whether a keyring is in ASCII armour (RFC 9580, section 6.2), in which `gpgv` finds no key at all.
fn is_armoured(keyring: &Path) -> Result<bool, Failure> {
    let fail = |error: std::io::Error| Failure::file(keyring, &error);
    let mut start = Vec::new();
    File::open(keyring).map_err(fail)?.take(START_BYTES).read_to_end(&mut start).map_err(fail)?;
    Ok(start.trim_ascii_start().starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"))
}

/// What the status lines say.
fn outcome(status: &str, success: bool) -> Outcome {
    let lines: Vec<Vec<&str>> = status
        .lines()
        .filter_map(|line| line.strip_prefix("[GNUPG:] "))
        .map(|line| line.split_ascii_whitespace().collect())
        .collect();
    let count = |word: &str| lines.iter().filter(|line| line.first() == Some(&word)).count();
    let has = |word: &str| count(word) > 0;
    let refuse = |reason: Reason, detail: &str| Outcome::refused(reason, detail);
    if has("BADSIG") {
        return refuse(Reason::SignatureInvalid, "the OpenPGP signature does not belong to this file");
    }
    if has("REVKEYSIG") {
        return refuse(Reason::KeyRevoked, "the OpenPGP key was revoked by its owner");
    }
    if has("EXPKEYSIG") || has("EXPSIG") {
        return refuse(Reason::CertificateExpired, "the OpenPGP key or signature has expired");
    }
    if has("NO_PUBKEY") || has("ERRSIG") {
        return refuse(Reason::KeyUnknown, "the OpenPGP signature is by a key that the keyring does not hold");
    }
    if has("NODATA") || !(has("NEWSIG") || has("VALIDSIG")) {
        return refuse(Reason::Malformed, "not an OpenPGP signature");
    }
    let valid = lines.iter().find(|line| line.first() == Some(&"VALIDSIG"));
    match valid {
        Some(fields) if success && count("VALIDSIG") == 1 && count("GOODSIG") == 1 => {
            let fingerprint = fields.get(1).copied().unwrap_or_default();
            Outcome::proved(Signed {
                identity: None,
                key: Digest::of(fingerprint.as_bytes()),
                level: Level::ManagedKey,
                // What the signer's own clock said proves nothing.
                time: None,
                log: Log::Absent,
            })
        }
        _ => refuse(Reason::SignatureInvalid, "not exactly one good and valid OpenPGP signature"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_good_and_valid_signature_counts() {
        let valid = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123 Dana\n[GNUPG:] VALIDSIG ABCD 2026-01-01 1767225600 0 4 0 22 10 00 ABCD\n";
        let check =
            |status: &str, success: bool, code: &str| assert_eq!(outcome(status, success).code(), code, "{status}");
        check(valid, true, "LOG_MISSING");
        check(valid, false, "SIGNATURE_INVALID");
        check(&valid.repeat(2), true, "SIGNATURE_INVALID");
        check("", true, "SIGNATURE_MALFORMED");
        check("VALIDSIG ABCD\nGOODSIG x\n", true, "SIGNATURE_MALFORMED");
        check("[GNUPG:] NODATA 1\n", false, "SIGNATURE_MALFORMED");
        check("[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 0123 Dana\n", false, "SIGNATURE_INVALID");
        check(&format!("{valid}[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 0123 Dana\n"), true, "SIGNATURE_INVALID");
        check("[GNUPG:] NEWSIG\n[GNUPG:] REVKEYSIG 0123 Dana\n", true, "SIGNING_KEY_REVOKED");
        check("[GNUPG:] NEWSIG\n[GNUPG:] EXPKEYSIG 0123 Dana\n", true, "CERTIFICATE_EXPIRED");
        check(
            "[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 0123 22 10 00 1 9 -\n[GNUPG:] NO_PUBKEY 0123\n",
            false,
            "SIGNING_KEY_UNKNOWN",
        );
    }
}
