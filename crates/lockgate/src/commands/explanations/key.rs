//! Of keys, passkeys and signatures by them.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    ("KEY_ALREADY_BOUND", "One key belongs to one person."),
    (
        "KEY_EXPIRED",
        "The key was enrolled with an end, and ledger time has passed it. Rotate a key before its end; afterwards have it recovered with `lockgate key recover`.",
    ),
    (
        "KEY_EXPIRY",
        "A key's end lies in the future. Sign again with a later one, such as `--expires 365d`, or with none.",
    ),
    (
        "KEY_FAILED",
        "A key could not be made, read or written. Look at the home's `keys` directory, and at who may read it.",
    ),
    (
        "KEY_INVALID",
        "The file holds no key that can be used. Name the private half of an Ed25519 or ECDSA key as `ssh-keygen` writes it, or load the key into the agent.",
    ),
    ("KEY_LIMITS", "A passkey that was made in a browser has signed its own enrolment without an end or a scope."),
    (
        "KEY_MISMATCH",
        "The signature is by another key than the one that is named. Sign with that key, or name the other.",
    ),
    (
        "KEY_MISSING",
        "No key was found to sign with. Name one with `--key FILE`, load one with `ssh-add`, or make one with `lockgate key generate FILE`.",
    ),
    (
        "KEY_MODE",
        "Others on this machine may read the private key, so that it is theirs as well. `chmod 600 FILE`; if somebody could have copied it, rotate it with `lockgate key rotate`.",
    ),
    ("KEY_REVOKED", "The key's signatures do not count any more, or did not at that point of the ledger."),
    (
        "KEY_SCOPE",
        "The key was enrolled for some environments alone, and signs for nothing else: not for other environments, and not for changes of people, keys and policy.",
    ),
    (
        "KEY_SINCE",
        "A key is compromised since an entry that is there; what comes later it cannot sign any more anyway. Name the first entry that may not be its owner's.",
    ),
    ("KEY_UNKNOWN", "The key is not enrolled for that person."),
    (
        "PASSKEY_MISMATCH",
        "The passkey that waits under that code is for another name, other groups, or not what the command is for.",
    ),
    (
        "PASSKEY_UNKNOWN",
        "No passkey waits under that code: codes last ten minutes and end with the server. Make another on the page `/enrol`.",
    ),
    (
        "REVOCATION_UNDERCUT",
        "The key that signs the revocation was itself enrolled by the key that it ends, at or after the entry that it names. Name a later entry, or let someone sign for whom that key did not vouch.",
    ),
    ("SIGNATURE_INVALID", "The signature is not over these bytes, for this purpose, by that key."),
    (
        "SIGNING_FAILED",
        "The key did not sign. Check that the agent runs and holds it, and touch the security key if it is one.",
    ),
    (
        "SUSPECT_KEY",
        "The decision counted a signature by a key that was found compromised later, or by a key that such a key had enrolled. The bundle is genuine, but what it proves is in doubt. Look at what happened, and promote again; `lockgate why P-N` names the signatures.",
    ),
    (
        "WEBAUTHN_CHALLENGE",
        "The passkey signed another challenge: the document was changed, or the signature is another's.",
    ),
    (
        "WEBAUTHN_CLIENT_DATA",
        "What the browser says that it asked for is not written as browsers write it, so two readers could read it differently.",
    ),
    (
        "WEBAUTHN_CROSS_ORIGIN",
        "The passkey was used on a page inside another site's page. Open Lockgate itself, and sign again.",
    ),
    (
        "WEBAUTHN_FLAGS",
        "The passkey's device did not say that somebody confirmed the signature, or says more than belongs in one.",
    ),
    (
        "WEBAUTHN_ORIGIN",
        "The passkey was used at an origin that is not of its RP id, or that `[passkeys] origins` of the policy set does not list.",
    ),
    ("WEBAUTHN_SYNCED", "The passkey is copied to other devices, and the policy set has `[passkeys] synced = false`."),
    (
        "WEBAUTHN_TYPE",
        "A passkey makes WebAuthn assertions and nothing else; neither registrations nor SSH signatures by it count.",
    ),
    (
        "WEBAUTHN_UV",
        "The policy set wants the device to check by PIN or biometrics who uses a passkey, and always of a synced one.",
    ),
];
