//! Passkeys: whether a passkey's verified signature is one that the policy set of that moment counts.

use lockgate_policy::PasskeyRules;
use lockgate_sign::ssh::{Presence, SshSignature};

use crate::state::ApplyError;

/// Checks what a verified signature says about the person, the device and the browser against the policy set.
///
/// Keys that are no passkeys are not asked for anything here: `presence` is absent for them, or has no origin.
///
/// # Errors
/// `WEBAUTHN_ORIGIN`, `WEBAUTHN_SYNCED` or `WEBAUTHN_UV`.
pub fn check_passkey(rules: &PasskeyRules, presence: Option<&Presence>) -> Result<(), ApplyError> {
    let Some((presence, origin)) = presence.and_then(|presence| Some((presence, presence.origin.as_ref()?))) else {
        return Ok(());
    };
    // 1. The key's own RP id was compared when the signature was verified; a list allows less than that.
    if rules.origins.as_ref().is_some_and(|allowed| !allowed.contains(origin)) {
        return Err(ApplyError::new(
            "WEBAUTHN_ORIGIN",
            format!("the passkey was used at `{origin}`, which is not an origin that the policy set lists"),
        ));
    }
    // 2. A key that lives on one device only, where the policy set wants that.
    if presence.backed_up && !rules.synced {
        return Err(ApplyError::new(
            "WEBAUTHN_SYNCED",
            "the passkey is synced to other devices, and the policy set wants keys that stay on one".to_owned(),
        ));
    }
    // 3. The device knew who it was. A synced passkey may be on a device that others hold, so it always has to.
    match presence.user_verified || !(rules.user_verification || presence.backed_up) {
        true => Ok(()),
        false => Err(ApplyError::new(
            "WEBAUTHN_UV",
            "the passkey was used without PIN or biometrics; sign again and let the device check who you are"
                .to_owned(),
        )),
    }
}

/// What the device behind a signature said, in words with a space before them; empty where there was no device.
///
/// It repeats what the signature claims: show it only of a signature that has been verified.
pub fn presence_words(armored: &str) -> String {
    let presence = SshSignature::parse_armored(armored).ok().and_then(|signature| signature.presence());
    let Some(presence) = presence else { return String::new() };
    let user = if presence.user_verified { "user present, user verified" } else { "user present" };
    match presence.origin {
        Some(origin) => format!(" (passkey at {origin}: {user})"),
        None => format!(" (security key: {user})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_sign::passkey::SoftPasskey;
    use lockgate_sign::ssh::WebOrigin;
    use lockgate_sign::ssh_signer::{FileSigner, SshSigner};

    fn outcome(rules: &PasskeyRules, signer: &dyn SshSigner) -> &'static str {
        let signature = signer.sign("ns", b"message").unwrap();
        let presence = signature.verify_presence(b"message", "ns", signer.public_key()).unwrap();
        check_passkey(rules, presence.as_ref()).err().map_or("OK", |error| error.code)
    }

    #[test]
    fn counts_what_the_policy_set_wants() {
        let fresh = || SoftPasskey::generate(&"https://lockgate.example".parse().unwrap()).unwrap();
        let keys = [
            ("as it is", fresh()),
            ("synced", fresh().synced()),
            ("unverified", fresh().without_user_verification()),
            ("synced and unverified", fresh().synced().without_user_verification()),
        ];
        let check = |rules: PasskeyRules, expected: [&str; 4]| {
            let found = keys.each_ref().map(|(_, key)| outcome(&rules, key));
            assert_eq!(found, expected, "{rules:?} {:?}", keys.each_ref().map(|(name, _)| *name));
        };
        let usual = PasskeyRules::default;
        let parse = |origin: &&str| origin.parse::<WebOrigin>().unwrap();
        let listed = |origins: &[&str]| Some(origins.iter().map(parse).collect::<Vec<_>>());
        check(usual(), ["OK", "OK", "WEBAUTHN_UV", "WEBAUTHN_UV"]);
        check(PasskeyRules { user_verification: false, ..usual() }, ["OK", "OK", "OK", "WEBAUTHN_UV"]);
        check(PasskeyRules { synced: false, ..usual() }, ["OK", "WEBAUTHN_SYNCED", "WEBAUTHN_UV", "WEBAUTHN_SYNCED"]);
        let here = listed(&["https://other.example", "https://lockgate.example"]);
        check(PasskeyRules { origins: here, ..usual() }, ["OK", "OK", "WEBAUTHN_UV", "WEBAUTHN_UV"]);
        for elsewhere in ["https://lockgate.example:8443", "https://sub.lockgate.example", "http://localhost"] {
            check(PasskeyRules { origins: listed(&[elsewhere]), ..usual() }, ["WEBAUTHN_ORIGIN"; 4]);
        }
    }

    #[test]
    fn other_keys_are_not_asked() {
        let file = FileSigner::ed25519_from_seed(&[7; 32], "").unwrap();
        let rules = PasskeyRules { user_verification: true, synced: false, origins: Some(Vec::new()) };
        assert_eq!(outcome(&rules, &file), "OK");
    }

    #[test]
    fn says_what_the_device_said() {
        let check = |signer: &dyn SshSigner, expected: &str| {
            assert_eq!(presence_words(&signer.sign("ns", b"message").unwrap().to_armored()), expected);
        };
        let fresh = || SoftPasskey::generate(&"https://lockgate.example:8443".parse().unwrap()).unwrap();
        check(&fresh(), " (passkey at https://lockgate.example:8443: user present, user verified)");
        let unverified = fresh().without_user_verification();
        check(&unverified, " (passkey at https://lockgate.example:8443: user present)");
        check(&FileSigner::ed25519_from_seed(&[7; 32], "").unwrap(), "");
        assert_eq!(presence_words("no signature"), "");
    }
}
