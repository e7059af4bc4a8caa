//! Which key someone signs with: a file, or a running agent.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::text::argument;
use lockgate_model::{Limits, PersonId};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::SshPublicKey;
use lockgate_sign::ssh_signer::{AgentSigner, FileSigner, SignerError, SshSigner};

use crate::failure::Failure;
use crate::home::{Context, Home};

/// How many of an agent's keys are tried to sign in, as SSH servers let one try.
const CANDIDATES_MAX: usize = 6;
/// The rights of others to a file.
const OTHERS: u32 = 0o077;

/// Where keys may be found.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The home.
    pub home: Home,
    /// `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// `~/.ssh`.
    pub ssh_dir: Option<PathBuf>,
}

impl Keyring {
    /// The key that was named, else the context's key of this person, else the agent's first key, else
    /// `~/.ssh/id_ed25519`.
    ///
    /// # Errors
    /// `KEY_MISSING` when there is none, or what the key file or agent says.
    pub fn signer(
        &self,
        context: &Context,
        person: &PersonId,
        named: Option<&Path>,
    ) -> Result<Box<dyn SshSigner>, Failure> {
        if let Some(path) = named {
            return self.file_signer(path);
        }
        match context.keys.get(person) {
            Some(entry) => match entry.strip_prefix("agent:") {
                Some(fingerprint) => self.agent_signer(Some(fingerprint)),
                None => self.file_signer(&self.home.path().join(entry)),
            },
            None => self.own().map_err(|failure| unknown_name(context, person, failure)),
        }
    }

    /// The keys that somebody may mean to sign in with: the one of [`Self::signer`] where it is named or known here, else
    /// every one that the agent holds, in its order.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn candidates(
        &self,
        context: &Context,
        person: &PersonId,
        named: Option<&Path>,
    ) -> Result<Vec<Box<dyn SshSigner>>, Failure> {
        if named.is_none()
            && !context.keys.contains_key(person)
            && let Some(socket) = &self.agent
            && let Ok(keys) = AgentSigner::list(socket)
            && keys.len() > 1
        {
            let signer = |key| Box::new(AgentSigner::new(socket, key)) as Box<dyn SshSigner>;
            return Ok(keys.into_iter().take(CANDIDATES_MAX).map(signer).collect());
        }
        Ok(vec![self.signer(context, person, named)?])
    }

    /// The caller's own key: the agent's first, else `~/.ssh/id_ed25519`.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn own(&self) -> Result<Box<dyn SshSigner>, Failure> {
        if self.agent.is_some()
            && let Ok(signer) = self.agent_signer(None)
        {
            return Ok(signer);
        }
        let missing = || {
            Failure::usage("KEY_MISSING", "no SSH key was found: no agent holds one, and there is no ~/.ssh/id_ed25519")
                .hint("name one with --key, or make one with `ssh-keygen -t ed25519`")
        };
        let path =
            self.ssh_dir.as_ref().map(|dir| dir.join("id_ed25519")).filter(|path| path.exists()).ok_or_else(missing)?;
        self.file_signer(&path)
    }

    /// How the context names a key that was found.
    pub fn entry(&self, named: Option<&Path>, key: &SshPublicKey) -> String {
        let path = named.map(Path::to_owned).or_else(|| {
            let own = self.ssh_dir.as_ref()?.join("id_ed25519");
            (FileSigner::load(&own).ok()?.public_key() == key).then_some(own)
        });
        match path {
            Some(path) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
            None => format!("agent:{}", key.fingerprint()),
        }
    }

    /// The key in a file. A file `*.passkey.json` is a software passkey, which has no hardware and asks nobody: it is
    /// there for demonstrations and tests.
    fn file_signer(&self, path: &Path) -> Result<Box<dyn SshSigner>, Failure> {
        if path.to_string_lossy().ends_with(SoftPasskey::FILE_SUFFIX) {
            return match SoftPasskey::load(path) {
                Ok(passkey) => Ok(Box::new(passkey)),
                Err(error) => Err(Failure::usage("KEY_INVALID", error.to_string())),
            };
        }
        check_mode(path)?;
        match FileSigner::load(path) {
            Ok(signer) => Ok(Box::new(signer)),
            Err(error) => {
                // A public half was named, or a key with a passphrase, or one in hardware: the agent may hold it.
                if let Some(public) = public_half(path)
                    && let Ok(signer) = self.agent_signer(Some(&public.fingerprint()))
                {
                    return Ok(signer);
                }
                Err(unusable(path, &error))
            }
        }
    }

    fn agent_signer(&self, fingerprint: Option<&str>) -> Result<Box<dyn SshSigner>, Failure> {
        let missing = |message: String| {
            Failure::usage("KEY_MISSING", message).hint("add it with `ssh-add`, or name a key file with --key")
        };
        let socket = self.agent.as_ref().ok_or_else(|| missing("no ssh-agent is running".to_owned()))?;
        let keys = AgentSigner::list(socket).map_err(|error| missing(error.to_string()))?;
        let key = keys
            .into_iter()
            .find(|key| fingerprint.is_none_or(|wanted| key.fingerprint() == wanted))
            .ok_or_else(|| missing(format!("the agent does not hold {}", fingerprint.unwrap_or("any key"))))?;
        Ok(Box::new(AgentSigner::new(socket, key)))
    }
}

/// A private key that others may read is theirs too; SSH does not use such a file either.
///
/// # Errors
/// `KEY_MODE`.
fn check_mode(path: &Path) -> Result<(), Failure> {
    // What is no private key, or not there, is told in the words for that.
    let private = read_text(path).is_ok_and(|text| text.starts_with("-----BEGIN"));
    let exposed = private && std::fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & OTHERS != 0);
    match exposed {
        false => Ok(()),
        true => {
            let (file, named) = (path.display(), argument(&path.to_string_lossy()));
            Err(Failure::usage("KEY_MODE", format!("others on this machine may read the private key {file}")).hint(
                format!("take the right away: `chmod 600 {named}`; if others could have copied it, rotate the key"),
            ))
        }
    }
}

/// The text of a key file, as far as one may reach.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(Limits::DEFAULT.key_file_bytes).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the public half of a key lies: NAME.pub beside NAME, and beside NAME.key.
pub fn public_of(path: &Path) -> PathBuf {
    match path.extension().is_some_and(|extension| extension == "key") {
        true => path.with_extension("pub"),
        false => {
            let mut name = path.as_os_str().to_owned();
            name.push(".pub");
            PathBuf::from(name)
        }
    }
}

/// The public key in a file, or beside a private one.
fn public_half(path: &Path) -> Option<SshPublicKey> {
    let files = [path.to_owned(), public_of(path)];
    files.iter().find_map(|file| read_text(file).ok()?.parse::<SshPublicKey>().ok())
}

/// Why a key file is of no use, with the file that was meant.
fn unusable(path: &Path, error: &SignerError) -> Failure {
    let file = path.display();
    let invalid = |message: String| Failure::usage("KEY_INVALID", message);
    let text = match read_text(path) {
        Err(read) if read.kind() == std::io::ErrorKind::NotFound => {
            return invalid(format!("there is no key file {file}"))
                .hint("name one with --key FILE, or make one with `lockgate key generate FILE`");
        }
        read => read.unwrap_or_default(),
    };
    if text.parse::<SshPublicKey>().is_ok() {
        // Both ways of naming the two halves are met: NAME and NAME.pub, NAME.key and NAME.pub.
        let named_key = path.with_extension("key");
        let private = if named_key.is_file() { named_key } else { path.with_extension("") };
        return invalid(format!("{file} is the public half of a key, and does not sign"))
            .hint(format!("name the private half, such as {}, or load it with `ssh-add`", private.display()));
    }
    match std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() == 0) {
        true => invalid(format!("{file} is empty, and no private key"))
            .hint("name another file, or make a key with `lockgate key generate FILE`"),
        false => invalid(format!("{file}: {error}"))
            .hint("name an OpenSSH private key with --key FILE, or load it with `ssh-add`"),
    }
}

/// The names whose keys are known here; `None` where there are none.
pub fn known_names(context: &Context) -> Option<String> {
    let names: Vec<&str> = context.keys.keys().map(PersonId::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// A name that was mistyped is the likelier reason for a missing key, where others have theirs here.
fn unknown_name(context: &Context, person: &PersonId, failure: Failure) -> Failure {
    match known_names(context).filter(|_| failure.code == "KEY_MISSING") {
        None => failure,
        Some(names) => Failure::usage("KEY_MISSING", format!("`{person}` is not known here, and {}", failure.message))
            .hint(format!("known here: {names}; for another key of yours, `lockgate login {person} --key FILE`")),
    }
}

/// Signs bytes for a purpose.
///
/// # Errors
/// `SIGNING_FAILED`.
pub fn sign(signer: &dyn SshSigner, namespace: &str, message: &[u8]) -> Result<String, Failure> {
    signer.sign(namespace, message).map(|signature| signature.to_armored()).map_err(|error| {
        Failure::new(lockgate_api::Exit::Failed, "SIGNING_FAILED", format!("the key did not sign: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn keyring(home: &Path) -> Keyring {
        Keyring { home: Home::find(Some(home.to_owned()), None).unwrap(), agent: None, ssh_dir: None }
    }

    #[test]
    fn a_key_file_that_does_not_sign_says_why_and_which_one_would() {
        let dir = tempfile::tempdir().unwrap();
        let signer = FileSigner::ed25519_from_seed(&[7; 32], "test").unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let check = |path: &Path, code: &str, words: &str| {
            let found = keyring(dir.path()).file_signer(path).map(|_| ()).unwrap_err();
            let told = format!("{} {}", found.message, found.hint.unwrap_or_default());
            assert_eq!(found.code, code, "{told}");
            assert!(told.contains(words), "{told}");
        };
        let private = write("good", signer.to_openssh_pem(), 0o600);
        assert!(keyring(dir.path()).file_signer(&private).is_ok());
        let exposed = write("exposed", signer.to_openssh_pem(), 0o644);
        check(&exposed, "KEY_MODE", &format!("chmod 600 {}", exposed.display()));
        let spaced = write("my key", signer.to_openssh_pem(), 0o644);
        check(&spaced, "KEY_MODE", &format!("chmod 600 '{}'", spaced.display()));
        check(&write("good.pub", &signer.public_line(), 0o644), "KEY_INVALID", &private.display().to_string());
        check(&write("empty", "", 0o600), "KEY_INVALID", "is empty");
        check(&dir.path().join("absent"), "KEY_INVALID", "there is no key file");
    }
}
