//! `ssh-keygen` signs and we verify; we sign and `ssh-keygen` verifies.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lockgate_sign::ssh::{SshKeyKind, SshPublicKey, SshSigError, SshSignature};
use lockgate_sign::ssh_signer::{FileSigner, SignerError, SshSigner as _};

const NAMESPACE: &str = "promotion-approval.v1@lockgate.dev";
const MESSAGE: &[u8] = b"{\"promotion\":\"P-3\"}";

/// Key types with the arguments that make `ssh-keygen` generate them.
const FILE_KEYS: [(&[&str], SshKeyKind); 3] = [
    (&["-t", "ed25519"], SshKeyKind::Ed25519),
    (&["-t", "ecdsa", "-b", "256"], SshKeyKind::EcdsaP256),
    (&["-t", "ecdsa", "-b", "384"], SshKeyKind::EcdsaP384),
];

/// A kind that we verify but do not load from files.
const RSA_KEY: (&[&str], SshKeyKind) = (&["-t", "rsa", "-b", "3072"], SshKeyKind::Rsa);

/// Generates a key file; the public key stands beside it in a `.pub` file.
pub fn generate(folder: &Path, name: &str, arguments: &[&str], passphrase: &str) -> PathBuf {
    let path = folder.join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-C", "dana@example", "-N", passphrase, "-f"])
        .arg(&path)
        .args(arguments)
        .status()
        .expect("ssh-keygen of OpenSSH must be installed");
    assert!(status.success(), "ssh-keygen {arguments:?}");
    path
}

/// Reads the `.pub` file beside a key file.
pub fn public_key(path: &Path) -> SshPublicKey {
    std::fs::read_to_string(path.with_extension("pub")).unwrap().parse().unwrap()
}

/// Lets `ssh-keygen -Y sign` sign.
fn sign_with_tool(folder: &Path, key: &Path, message: &[u8]) -> String {
    let file = folder.join("message");
    std::fs::write(&file, message).unwrap();
    let status = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .arg(&file)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let signature = folder.join("message.sig");
    let text = std::fs::read_to_string(&signature).unwrap();
    std::fs::remove_file(signature).unwrap();
    text
}

/// Asks `ssh-keygen -Y verify` for its verdict.
pub fn tool_verifies(folder: &Path, key: &SshPublicKey, namespace: &str, message: &[u8], armored: &str) -> bool {
    let (allowed, signature, file) = (folder.join("allowed"), folder.join("verify.sig"), folder.join("verify"));
    std::fs::write(&allowed, format!("dana@example {key}\n")).unwrap();
    std::fs::write(&signature, armored).unwrap();
    std::fs::write(&file, message).unwrap();
    Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "dana@example", "-n", namespace, "-f"])
        .arg(&allowed)
        .arg("-s")
        .arg(&signature)
        .stdin(std::fs::File::open(&file).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[test]
fn ssh_keygen_verifies_what_we_sign() {
    for (arguments, kind) in FILE_KEYS {
        let folder = tempfile::tempdir().unwrap();
        let path = generate(folder.path(), "key", arguments, "");
        let signer = FileSigner::load(&path).unwrap();
        let key = public_key(&path);
        assert_eq!(signer.public_key(), &key);
        assert_eq!(key.kind(), kind);
        assert_eq!(signer.public_line(), std::fs::read_to_string(path.with_extension("pub")).unwrap().trim_end());

        // Several times, because now and then r or s has a leading zero or its highest bit set.
        for round in 0..8u8 {
            let message = [MESSAGE, &[round]].concat();
            let armored = signer.sign(NAMESPACE, &message).unwrap().to_armored();
            assert!(tool_verifies(folder.path(), &key, NAMESPACE, &message, &armored), "{arguments:?}");
            assert!(!tool_verifies(folder.path(), &key, NAMESPACE, b"other", &armored), "{arguments:?}");
            assert!(!tool_verifies(folder.path(), &key, "other", &message, &armored), "{arguments:?}");
        }
    }
}

#[test]
fn we_verify_what_ssh_keygen_signs() {
    for (arguments, kind) in FILE_KEYS.into_iter().chain([RSA_KEY]) {
        let folder = tempfile::tempdir().unwrap();
        let path = generate(folder.path(), "key", arguments, "");
        let key = public_key(&path);
        assert_eq!(key.kind(), kind);
        let text = sign_with_tool(folder.path(), &path, MESSAGE);
        let signature = SshSignature::parse_armored(&text).unwrap();
        assert_eq!(signature.to_armored(), text, "{arguments:?}");
        assert_eq!(signature.verify(MESSAGE, NAMESPACE, &key), Ok(()), "{arguments:?}");

        assert_eq!(signature.verify(b"other", NAMESPACE, &key), Err(SshSigError::Invalid));
        assert!(matches!(signature.verify(MESSAGE, "other", &key), Err(SshSigError::OtherNamespace { .. })));
        let rebuilt = |key: &SshPublicKey, namespace: &str| {
            SshSignature::new(key.clone(), namespace, signature.hash_algorithm(), signature.blob().to_vec())
        };
        let renamed = rebuilt(&key, "other");
        assert_eq!(renamed.verify(MESSAGE, "other", &key), Err(SshSigError::Invalid));

        let stranger = public_key(&generate(folder.path(), "stranger", arguments, ""));
        assert!(matches!(signature.verify(MESSAGE, NAMESPACE, &stranger), Err(SshSigError::OtherKey { .. })));
        let claimed = rebuilt(&stranger, NAMESPACE);
        assert_eq!(claimed.verify(MESSAGE, NAMESPACE, &stranger), Err(SshSigError::Invalid), "{arguments:?}");

        for cut in [1, text.len() / 2, text.len() - 10] {
            assert_eq!(SshSignature::parse_armored(&text[..cut]), Err(SshSigError::NotArmored));
        }
    }
}

#[test]
fn our_key_files_work_in_ssh_keygen() {
    let folder = tempfile::tempdir().unwrap();
    let signer = FileSigner::generate_ed25519("sam@example").unwrap();
    let path = folder.path().join("key");
    write_private(&path, signer.to_openssh_pem());
    let text = sign_with_tool(folder.path(), &path, MESSAGE);
    let signature = SshSignature::parse_armored(&text).unwrap();
    assert_eq!(signature.verify(MESSAGE, NAMESPACE, signer.public_key()), Ok(()));

    let shown = Command::new("ssh-keygen").args(["-y", "-f"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim_end(), signer.public_line());
}

#[test]
fn keys_that_cannot_be_used_from_a_file_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let encrypted = generate(folder.path(), "encrypted", &["-t", "ed25519", "-a", "1"], "a passphrase");
    let error = FileSigner::load(&encrypted).unwrap_err();
    assert_eq!(error, SignerError::Encrypted { path: encrypted.display().to_string() });
    assert!(error.to_string().contains(&format!("ssh-add {}", encrypted.display())));

    let rsa = generate(folder.path(), "rsa", &["-t", "rsa", "-b", "3072"], "");
    assert!(matches!(FileSigner::load(&rsa), Err(SignerError::AgentOnly { kind: "ssh-rsa", .. })));
    let pem = generate(folder.path(), "pem", &["-t", "ecdsa", "-m", "PEM"], "");
    assert!(matches!(FileSigner::load(&pem), Err(SignerError::NotOpenSsh { .. })));
}

/// Writes a file that only its owner can read, as `ssh-keygen` and `ssh-add` demand.
pub fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
