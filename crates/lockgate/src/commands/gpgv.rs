//! OpenPGP: detached signatures, verified by `gpgv`, which Debian and its kin carry for their own packages.
//!
//! The helper gets a keyring of its own and no network. Its status lines decide, as [`openpgp`] reads them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use lockgate_sigstore::{Outcome, Reason, openpgp};

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
    Ok(openpgp::outcome(&String::from_utf8_lossy(&output.stdout), output.status.success()))
}

/// Whether a keyring is in ASCII armour (RFC 9580, section 6.2), in which `gpgv` finds no key at all.
fn is_armoured(keyring: &Path) -> Result<bool, Failure> {
    let fail = |error: std::io::Error| Failure::file(keyring, &error);
    let mut start = Vec::new();
    File::open(keyring).map_err(fail)?.take(START_BYTES).read_to_end(&mut start).map_err(fail)?;
    Ok(start.trim_ascii_start().starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"))
}
