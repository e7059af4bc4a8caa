//! Signing through an SSH agent (draft-ietf-sshm-ssh-agent, sections 3.4 and 3.6).

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ssh::wire::{Reader, put_string, put_uint32};
use crate::ssh::{SshKeyKind, SshPublicKey, SshSignature, signed_data};
use crate::ssh_signer::{HASH, SignerError, SshSigner, check_namespace};

/// SSH_AGENTC_REQUEST_IDENTITIES.
const REQUEST_IDENTITIES: u8 = 11;
/// SSH_AGENT_IDENTITIES_ANSWER.
const IDENTITIES_ANSWER: u8 = 12;
/// SSH_AGENTC_SIGN_REQUEST.
const SIGN_REQUEST: u8 = 13;
/// SSH_AGENT_SIGN_RESPONSE.
const SIGN_RESPONSE: u8 = 14;
/// SSH_AGENT_RSA_SHA2_512.
const FLAG_RSA_SHA2_512: u32 = 4;
/// The longest answer in bytes, which is also the agent's own limit.
const ANSWER_MAX_BYTES: u32 = 256 * 1024;
/// How long the agent may keep silent; a person needs time to touch a security key or to enter a PIN.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Signs with one key that an agent holds.
#[derive(Debug, Clone)]
pub struct AgentSigner {
    socket: PathBuf,
    key: SshPublicKey,
}

impl AgentSigner {
    /// Names a key in the agent that listens on `socket`; the agent is asked only when it is time to sign.
    pub fn new(socket: impl Into<PathBuf>, key: SshPublicKey) -> Self {
        Self { socket: socket.into(), key }
    }

    /// Lists the agent's keys in its order, without those of kinds that Lockgate does not accept.
    ///
    /// # Errors
    /// [`SignerError::NoAgent`] when nobody answers, [`SignerError::BadAnswer`] when the answer cannot be read.
    pub fn list(socket: &Path) -> Result<Vec<SshPublicKey>, SignerError> {
        Self::read_keys(&ask(socket, &[REQUEST_IDENTITIES])?)
    }

    /// Reads what an agent answers when it is asked for its keys.
    ///
    /// # Errors
    /// [`SignerError::BadAnswer`].
    pub fn read_keys(answer: &[u8]) -> Result<Vec<SshPublicKey>, SignerError> {
        identities(answer).ok_or(SignerError::BadAnswer)
    }

    /// Reads what the agent answers when it is asked to sign a message.
    ///
    /// # Errors
    /// [`SignerError::Declined`], [`SignerError::BadAnswer`], or [`SignerError::BadSignature`] when it signed something
    /// else: the agent is another program, and is not believed.
    pub fn read_signature(&self, namespace: &str, message: &[u8], answer: &[u8]) -> Result<SshSignature, SignerError> {
        let mut reader = Reader::new(answer);
        if reader.byte() != Some(SIGN_RESPONSE) {
            return Err(SignerError::Declined { fingerprint: self.key.fingerprint() });
        }
        let blob = reader.string().ok_or(SignerError::BadAnswer)?;
        reader.end().ok_or(SignerError::BadAnswer)?;
        let signature = SshSignature::new(self.key.clone(), namespace, HASH, blob.to_vec());
        signature.verify(message, namespace, &self.key)?;
        Ok(signature)
    }
}

impl SshSigner for AgentSigner {
    fn public_key(&self) -> &SshPublicKey {
        &self.key
    }

    fn sign(&self, namespace: &str, message: &[u8]) -> Result<SshSignature, SignerError> {
        check_namespace(namespace)?;
        let flags = match self.key.kind() {
            SshKeyKind::Rsa => FLAG_RSA_SHA2_512,
            SshKeyKind::Ed25519
            | SshKeyKind::EcdsaP256
            | SshKeyKind::EcdsaP384
            | SshKeyKind::SkEd25519
            | SshKeyKind::SkEcdsaP256 => 0,
        };
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, self.key.wire());
        put_string(&mut request, &signed_data(namespace, HASH, message));
        put_uint32(&mut request, flags);
        self.read_signature(namespace, message, &ask(&self.socket, &request)?)
    }
}

fn identities(answer: &[u8]) -> Option<Vec<SshPublicKey>> {
    let mut reader = Reader::new(answer);
    if reader.byte()? != IDENTITIES_ANSWER {
        return None;
    }
    let mut keys = Vec::new();
    for _ in 0..reader.uint32()? {
        let wire = reader.string()?;
        let _comment = reader.string()?;
        if let Ok(key) = SshPublicKey::from_wire(wire) {
            keys.push(key);
        }
    }
    reader.end()?;
    Some(keys)
}

/// Sends one request and reads one answer: each is a uint32 length and that many bytes.
fn ask(socket: &Path, request: &[u8]) -> Result<Vec<u8>, SignerError> {
    let mut framed = Vec::with_capacity(request.len() + 4);
    put_string(&mut framed, request);
    exchange(socket, &framed)
        .map_err(|error| SignerError::NoAgent { socket: socket.display().to_string(), reason: error.to_string() })?
        .ok_or(SignerError::BadAnswer)
}

fn exchange(socket: &Path, framed: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    stream.write_all(framed)?;
    let mut length = [0u8; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length == 0 || length > ANSWER_MAX_BYTES {
        return Ok(None);
    }
    let mut answer = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut answer)?;
    Ok((answer.len() as u64 == u64::from(length)).then_some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    use crate::ssh_signer::FileSigner;

    /// Runs `client` against an agent that gives one prepared answer.
    fn against<T>(answer: &[u8], client: impl FnOnce(&Path) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut length = [0u8; 4];
                stream.read_exact(&mut length).unwrap();
                let mut request = vec![0u8; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(answer).unwrap();
            });
            client(&socket)
        })
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_string(&mut out, body);
        out
    }

    #[test]
    fn lists_the_keys_it_understands() {
        let key = FileSigner::ed25519_from_seed(&[7; 32], "").unwrap().public_key().clone();
        let mut body = vec![IDENTITIES_ANSWER];
        put_uint32(&mut body, 2);
        put_string(&mut body, b"\0\0\0\x07ssh-dss");
        put_string(&mut body, b"old key");
        put_string(&mut body, key.wire());
        put_string(&mut body, b"new key");
        assert_eq!(against(&framed(&body), AgentSigner::list), Ok(vec![key]));
    }

    #[test]
    fn refuses_answers_that_are_not_in_the_protocol() {
        let check =
            |answer: &[u8]| assert_eq!(against(answer, AgentSigner::list), Err(SignerError::BadAnswer), "{answer:?}");
        check(&framed(&[5]));
        check(&framed(&[IDENTITIES_ANSWER, 0, 0, 0, 1]));
        check(&framed(&[IDENTITIES_ANSWER, 0, 0, 0, 0, 9]));
        check(&framed(&[IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff]));
        check(&[0, 0, 0, 0]);
        check(&[0, 4, 0, 1, IDENTITIES_ANSWER]);
        check(&[0, 0, 0, 9, IDENTITIES_ANSWER]);
        assert!(matches!(against(&[0], AgentSigner::list), Err(SignerError::NoAgent { .. })));
    }

    #[test]
    fn does_not_believe_the_agent() {
        let file = FileSigner::ed25519_from_seed(&[7; 32], "").unwrap();
        let sign = |answer: &[u8]| {
            against(answer, |socket| AgentSigner::new(socket, file.public_key().clone()).sign("ns", b"message"))
        };
        let response = |message: &[u8]| {
            let mut body = vec![SIGN_RESPONSE];
            put_string(&mut body, file.sign("ns", message).unwrap().blob());
            framed(&body)
        };
        assert_eq!(sign(&response(b"message")), file.sign("ns", b"message"));
        assert!(matches!(sign(&response(b"another")), Err(SignerError::BadSignature(_))));
        assert!(matches!(sign(&framed(&[5])), Err(SignerError::Declined { .. })));
        let gone = AgentSigner::list(Path::new("/nonexistent/agent.sock"));
        assert!(matches!(gone, Err(SignerError::NoAgent { .. })));
    }
}
