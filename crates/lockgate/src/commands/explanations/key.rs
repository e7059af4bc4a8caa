//! Of keys, passkeys and signatures by them.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "KEY_ALREADY_BOUND",
        "One key belongs to one person for good, and so does an account of an identity provider; the message says to whom. Use another one: `lockgate key generate FILE` makes a key.",
    ),
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
    (
        "KEY_LIMITS",
        "A passkey that was made in a browser has signed its own enrolment without an end or a scope. Leave `--expires` and `--only-for` out.",
    ),
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
        "Others on this machine may read the private key, so that it is theirs as well. Run `chmod 600 FILE`; if somebody could have copied it, rotate it with `lockgate key rotate`.",
    ),
    (
        "KEY_REVOKED",
        "The key's signatures do not count any more, or did not at that point of the ledger; the same is told of a session that such a key, or an account that was unbound, has opened. Sign in with another key of yours, `lockgate login NAME --key FILE`, or ask for a new one with `lockgate key recover`.",
    ),
    (
        "KEY_SCOPE",
        "The key was enrolled for some environments alone, and signs for nothing else: not for other environments, and not for changes of people, keys and policy. Sign in with a key that has no such limit, `lockgate login NAME --key FILE`, and this home signs with that one; `lockgate key list` shows which have.",
    ),
    (
        "KEY_SINCE",
        "A key is compromised since an entry that is there; what comes later it cannot sign any more anyway. Name the first entry that may not be its owner's.",
    ),
    (
        "KEY_UNKNOWN",
        "The key is not enrolled for that person. `lockgate key list` lists everyone's; sign in with one of yours, `lockgate login NAME --key FILE`, or have this one added with `lockgate key add`.",
    ),
    (
        "PASSKEY_MISMATCH",
        "The passkey that waits under that code is for another name, other groups, or not what the command is for. Nothing was signed; ask whoever made it for the command that the page showed.",
    ),
    (
        "PASSKEY_UNKNOWN",
        "No passkey waits under that code: codes last ten minutes and end with the server. Make another on the page `/enrol`.",
    ),
    (
        "REVOCATION_UNDERCUT",
        "The key that signs the revocation was itself enrolled by the key that it ends, at or after the entry that it names; or so many owners' keys would become suspect that those who are left could vouch for nobody. Name a later entry, or let someone sign for whom that key did not vouch; else retire the key, or first suspend whom nobody else vouches for.",
    ),
    (
        "SIGNATURE_INVALID",
        "The signature is not over these bytes, for this purpose, by that key. Sign again with the command that it belongs to; if a bundle or an audit says it, somebody changed or made up something: keep it as it is, and run `lockgate audit` where the data is.",
    ),
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
        "The passkey signed another challenge: the document was changed, or the signature is another's. Open the page again, and sign what it shows; if a bundle or an audit says it, somebody changed or made up something: keep it as it is, and run `lockgate audit` where the data is.",
    ),
    (
        "WEBAUTHN_CLIENT_DATA",
        "What the browser says that it asked for is not written as browsers write it, so two readers could read it differently. Sign again in another browser, or with an SSH key on the command line.",
    ),
    (
        "WEBAUTHN_CROSS_ORIGIN",
        "The passkey was used on a page inside another site's page. Open Lockgate itself, and sign again.",
    ),
    (
        "WEBAUTHN_FLAGS",
        "The passkey's device did not say that somebody confirmed the signature, or says more than belongs in one. Sign again, and confirm it on the device; if that does not help, use another device or an SSH key.",
    ),
    (
        "WEBAUTHN_ORIGIN",
        "The passkey was used at an origin that is not of its RP id, or that `[passkeys] origins` of the policy set does not list. Open Lockgate at the address where the passkey was made, and sign again; where the list lacks that address, propose a policy set that has it with `lockgate policy activate`.",
    ),
    (
        "WEBAUTHN_SYNCED",
        "The passkey is copied to other devices, and the policy set has `[passkeys] synced = false`. Sign with a key that stays on one device, such as a security key, or with an SSH key.",
    ),
    (
        "WEBAUTHN_TYPE",
        "A passkey makes WebAuthn assertions and nothing else; neither registrations nor SSH signatures by it count. Sign with it on Lockgate's own pages, or with an SSH key on the command line.",
    ),
    (
        "WEBAUTHN_UV",
        "The policy set wants the device to check by PIN or biometrics who uses a passkey, and always of a synced one. Sign again, and let the device check it; where it cannot, use another key.",
    ),
];
