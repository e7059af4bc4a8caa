//! Verifiers: programs that check one signature over a file, each with a key of its own.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::is_installed;
use crate::failure::{During as _, Failure, Result};

/// The SSHSIG namespace, and the name of whoever signs.
const NAMESPACE: &str = "file";
const SIGNER: &str = "bench";

/// A command that checks a file.
#[derive(Debug, Clone)]
pub struct Peer {
    program: &'static str,
    arguments: Vec<OsString>,
    stdin: Option<PathBuf>,
}

impl Peer {
    fn new(program: &'static str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Self {
        let arguments = arguments.iter().map(|one| (*one).as_ref().to_owned()).collect();
        Self { program, arguments, stdin: None }
    }

    /// The command, to be run once.
    ///
    /// # Errors
    /// When the file that it reads cannot be opened.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.program);
        command.args(&self.arguments);
        match &self.stdin {
            Some(file) => command.stdin(File::open(file)?),
            None => command.stdin(Stdio::null()),
        };
        Ok(command)
    }
}

/// `ssh-keygen -Y verify`, Ed25519.
///
/// # Errors
/// When the signature cannot be made.
pub fn ssh_keygen(folder: &Path, file: &Path) -> Result<Peer> {
    let (signers, signature) = (folder.join("allowed_signers"), folder.join("peer.sshsig"));
    let signer = FileSigner::generate_ed25519(SIGNER)?;
    fs::write(&signers, format!("{SIGNER} {}\n", signer.public_key()))?;
    // `ssh-keygen` reads nothing that others may write.
    fs::set_permissions(&signers, Permissions::from_mode(0o600))?;
    fs::write(&signature, signer.sign(NAMESPACE, &fs::read(file)?)?.to_armored())?;
    let peer = Peer::new(
        "ssh-keygen",
        &[&"-Y", &"verify", &"-I", &SIGNER, &"-n", &NAMESPACE, &"-f", &signers, &"-s", &signature],
    );
    Ok(Peer { stdin: Some(file.to_owned()), ..peer })
}

/// `minisign -V`, Ed25519 over BLAKE2b; absent where it is not installed.
///
/// # Errors
/// When the signature cannot be made.
pub fn minisign(folder: &Path, file: &Path) -> Result<Option<Peer>> {
    if !is_installed("minisign") {
        return Ok(None);
    }
    let (public, secret, signature) =
        (folder.join("minisign.pub"), folder.join("minisign.key"), folder.join("peer.minisig"));
    make(Peer::new("minisign", &[&"-G", &"-W", &"-p", &public, &"-s", &secret]))?;
    make(Peer::new("minisign", &[&"-S", &"-s", &secret, &"-x", &signature, &"-m", &file]))?;
    Ok(Some(Peer::new("minisign", &[&"-V", &"-q", &"-p", &public, &"-x", &signature, &"-m", &file])))
}

/// `gpgv`, Ed25519; absent where it or `gpg` is not installed.
///
/// # Errors
/// When the signature cannot be made.
pub fn gpgv(folder: &Path, file: &Path) -> Result<Option<Peer>> {
    if !is_installed("gpgv") || !is_installed("gpg") || !is_installed("gpgconf") {
        return Ok(None);
    }
    let home = folder.join("gpg");
    fs::create_dir_all(&home).during("make the home of gpg")?;
    fs::set_permissions(&home, Permissions::from_mode(0o700))?;
    let (keyring, signature) = (folder.join("peer.gpg"), folder.join("peer.sig"));
    let gpg = |arguments: &[&dyn AsRef<std::ffi::OsStr>]| {
        let common: [&dyn AsRef<std::ffi::OsStr>; 5] = [&"--homedir", &home, &"--batch", &"--passphrase", &""];
        make(Peer::new("gpg", &[common.as_slice(), arguments].concat()))
    };
    let made = gpg(&[&"--quick-gen-key", &SIGNER, &"ed25519", &"sign", &"never"])
        .and_then(|()| gpg(&[&"--output", &keyring, &"--export", &SIGNER]))
        .and_then(|()| gpg(&[&"--output", &signature, &"--detach-sign", &file]));
    // `gpg` has started it; it would go on.
    make(Peer::new("gpgconf", &[&"--homedir", &home, &"--kill", &"gpg-agent"]))?;
    made?;
    Ok(Some(Peer::new("gpgv", &[&"--keyring", &keyring, &signature, &file])))
}

/// `openssl dgst -verify`, P-256; absent where it is not installed.
///
/// # Errors
/// When the signature cannot be made.
pub fn openssl(folder: &Path, file: &Path) -> Result<Option<Peer>> {
    if !is_installed("openssl") {
        return Ok(None);
    }
    let (secret, public, signature) = (folder.join("peer.pem"), folder.join("peer.pub.pem"), folder.join("peer.der"));
    make(Peer::new(
        "openssl",
        &[&"genpkey", &"-algorithm", &"EC", &"-pkeyopt", &"ec_paramgen_curve:P-256", &"-out", &secret],
    ))?;
    make(Peer::new("openssl", &[&"pkey", &"-in", &secret, &"-pubout", &"-out", &public]))?;
    make(Peer::new("openssl", &[&"dgst", &"-sha256", &"-sign", &secret, &"-out", &signature, &file]))?;
    Ok(Some(Peer::new("openssl", &[&"dgst", &"-sha256", &"-verify", &public, &"-signature", &signature, &file])))
}

/// `openssl dgst -sha256`, which only hashes; absent where it is not installed.
pub fn openssl_hash(file: &Path) -> Option<Peer> {
    is_installed("openssl").then(|| Peer::new("openssl", &[&"dgst", &"-sha256", &file]))
}

/// Runs a command that makes something.
fn make(peer: Peer) -> Result<()> {
    let output = peer.command()?.output().during(format!("start `{}`", peer.program))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Failure::new(format!("`{}` ended with {}: {said}", peer.program, output.status)))
        }
    }
}
