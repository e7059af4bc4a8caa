//! Of trust: bundles, trust files and what was verified before, as verifiers meet them.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "BUNDLE_INCOMPLETE",
        "Entries were left out of a chain that the decision rests on. Get the bundle again from the server or another copy.",
    ),
    (
        "BUNDLE_INVALID",
        "The file is not a bundle of this version, or it is damaged. Get it again with `lockgate bundle get P-N`; a `*.sigstore.json` file is for other tools, and not a Lockgate bundle.",
    ),
    (
        "BUNDLE_MISMATCH",
        "The server sent the proof of another promotion than the one that was asked for, or of another release than runs there. Nothing was signed; find out who answers at that address.",
    ),
    (
        "KNOWN_ACCESS",
        "What this machine has verified of the ledger is kept in `known` of the home, and the user who verifies may not read or write it, as after a command that root ran in that home. Nothing is verified without it, or an older state could pass. Find out what changed it, and give it back with `chown` or `chmod`, as the next step says; or verify as the user whose it is.",
    ),
    (
        "KNOWN_FULL",
        "What this machine has verified of the ledger is kept in `known` of the home, in a file that has room for a hundred thousand targets, and what was verified now does not fit. It would not be known afterwards, so that it does not count. Verify some of the services in another home, with the same trust file: `lockgate --home DIR verify`.",
    ),
    (
        "KNOWN_INVALID",
        "What this machine has verified of the ledger is kept in `known` of the home, and does not read. Nothing is verified without it, or an older state could pass. Keep a copy and find out what changed it; compare the ledger's checkpoint over another channel before you remove the file.",
    ),
    (
        "TRUST_INVALID",
        "The file is no trust file, or is damaged. Get it again over a channel that you trust, or pin a server's own statement with `lockgate trust pin`.",
    ),
    (
        "TRUST_MISSING",
        "A verifier needs a trust file from a channel that it trusts; the server's own word is not enough. Name one with `--trust FILE`, or pin it with `lockgate trust pin FILE`; without FILE that pins what the server states, once you have compared it over another channel.",
    ),
    (
        "TRUST_PINNED",
        "Another ledger is pinned here already, with another beginning, log key or first owner, or other witnesses. Nothing was changed. Find out over another channel why; pin it in another home with `lockgate --home DIR trust pin`, or in its place with `--replace`.",
    ),
    (
        "TRUST_ROOT_UNKNOWN",
        "This version knows no trust root of that name. Choose one of those that the message names; any other is a file, `trusted_root.json`, which its owner gives out.",
    ),
    (
        "TRUST_WRITABLE",
        "Everybody on this machine may write the trust file, or put another in its place or in that of a directory on the way to it, so that anyone could decide what is believed. Compare it over another channel, then take the right away with `chmod o-w`, of the file or of the directory that the message names, or copy it into a directory of your own.",
    ),
];
