//! Stock `ssh-keygen -Y verify` accepts what a passkey signs, and refuses it for anything else.

use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::WebOrigin;
use lockgate_sign::ssh_signer::SshSigner as _;

use crate::ssh_keygen::tool_verifies;

const NAMESPACE: &str = "promotion-approval.v1@lockgate.dev";
const MESSAGE: &[u8] = b"{\"promotion\":\"P-3\"}";

#[test]
fn ssh_keygen_verifies_what_a_passkey_signs() {
    for origin in ["https://lockgate.example", "https://lockgate.example:8443", "http://localhost:7070"] {
        let folder = tempfile::tempdir().unwrap();
        let origin: WebOrigin = origin.parse().unwrap();
        for passkey in [SoftPasskey::generate(&origin).unwrap(), SoftPasskey::generate(&origin).unwrap().synced()] {
            let key = passkey.public_key();
            // Several times, because now and then r or s has a leading zero or its highest bit set.
            for round in 0..8u8 {
                let message = [MESSAGE, &[round]].concat();
                let armored = passkey.sign(NAMESPACE, &message).unwrap().to_armored();
                let verifies =
                    |namespace: &str, message: &[u8]| tool_verifies(folder.path(), key, namespace, message, &armored);
                assert!(verifies(NAMESPACE, &message), "{origin}");
                assert!(!verifies(NAMESPACE, b"other"), "{origin}");
                assert!(!verifies("other", &message), "{origin}");
                let stranger = SoftPasskey::generate(&origin).unwrap();
                assert!(!tool_verifies(folder.path(), stranger.public_key(), NAMESPACE, &message, &armored));
            }
        }
    }
}
