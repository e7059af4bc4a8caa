//! A real `ssh-agent` signs and we verify.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lockgate_sign::ssh::SshSigError;
use lockgate_sign::ssh_signer::{AgentSigner, FileSigner, SignerError, SshSigner as _};

use crate::ssh_keygen::{generate, public_key, tool_verifies, write_private};

const NAMESPACE: &str = "promotion-approval.v1@lockgate.dev";

/// An agent of our own; it ends with the value.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    /// Starts the agent and waits for the line that it prints once it listens.
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent.sock");
        let mut child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh-agent of OpenSSH must be installed");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let agent = Self { child, socket };
        assert!(line.starts_with("SSH_AUTH_SOCK="), "{line}");
        agent
    }

    fn add(&self, key: &Path) {
        let status = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("ssh-add of OpenSSH must be installed");
        assert!(status.success(), "ssh-add {}", key.display());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_agent_signs_with_every_kind_it_can_hold() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(folder.path());
    assert_eq!(AgentSigner::list(&agent.socket), Ok(vec![]));

    let kinds: [&[&str]; 4] = [
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "rsa", "-b", "3072"],
    ];
    let mut keys = Vec::new();
    for (number, arguments) in kinds.into_iter().enumerate() {
        let path = generate(folder.path(), &format!("key{number}"), arguments, "");
        agent.add(&path);
        keys.push(public_key(&path));
    }
    assert_eq!(AgentSigner::list(&agent.socket), Ok(keys.clone()));

    for key in &keys {
        let signer = AgentSigner::new(&agent.socket, key.clone());
        assert_eq!(signer.public_key(), key);
        let signature = signer.sign(NAMESPACE, b"message").unwrap();
        assert_eq!(signature.verify(b"message", NAMESPACE, key), Ok(()), "{key:?}");
        assert_eq!(signature.verify(b"another", NAMESPACE, key), Err(SshSigError::Invalid), "{key:?}");
        let armored = signature.to_armored();
        assert!(tool_verifies(folder.path(), key, NAMESPACE, b"message", &armored), "{key:?}");
        assert!(!tool_verifies(folder.path(), key, NAMESPACE, b"another", &armored), "{key:?}");
    }
}

#[test]
fn the_agent_takes_our_key_files_and_declines_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(folder.path());
    let file = FileSigner::generate_ed25519("sam@example").unwrap();
    let path = folder.path().join("key");
    write_private(&path, file.to_openssh_pem());
    agent.add(&path);
    let signer = AgentSigner::new(&agent.socket, file.public_key().clone());
    // Ed25519 signatures are deterministic, so that both ways give the same bytes.
    assert_eq!(signer.sign(NAMESPACE, b"message"), file.sign(NAMESPACE, b"message"));

    let stranger = FileSigner::generate_ed25519("").unwrap();
    let declined = AgentSigner::new(&agent.socket, stranger.public_key().clone()).sign(NAMESPACE, b"message");
    assert_eq!(declined, Err(SignerError::Declined { fingerprint: stranger.public_key().fingerprint() }));
}
