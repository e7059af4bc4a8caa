//! Of rehearsals: demo, doctor and drills.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "DEMO_FAILED",
        "The demo did not go as it should. Run `lockgate doctor`, and report what it says with the step that failed.",
    ),
    (
        "DEMO_NOT_LOOPBACK",
        "A demo's keys lie unencrypted beside the server, so that it listens on this machine alone. Leave `--listen` out, or do without `--demo`.",
    ),
    (
        "DEMO_ONE_FACTOR",
        "The policy set demands a second factor of owners or approvers, and whoever begins a demo has a key in a plain file, which is one factor, so that nobody else could be enrolled. Nothing was created. Write the set into a directory with `lockgate init DIR --starter NAME`, set `mfa = false` in its policy.toml, and start the demo with `--policy DIR`; or leave `--demo` out, and sign in with a security key, a passkey or an identity provider.",
    ),
    (
        "DOCTOR_FAILED",
        "Something about this installation is wrong. Do what stands beside each row that says FAIL, and run `lockgate doctor` again.",
    ),
    (
        "DRILL_FAILED",
        "An attack could not be made on a copy, or the copy not be looked at, so that it was neither caught nor missed. The report says what stood in the way, and what came of the others; the data itself was not touched. Clear away what stood in the way, and make the attack again with `lockgate drill --only NAME`.",
    ),
    (
        "DRILL_INVALID",
        "A report of a drill does not read, its numbers do not fit each other, or it is about another ledger than the server's. `lockgate drill` makes the report, and records it at the server of the home.",
    ),
    (
        "DRILL_MISSED",
        "An attack on a copy of the data went unnoticed, or was noticed only for another reason than the one that it was made for: the report says which. Do not rely on that check before you know why; `lockgate drill --only NAME --keep DIR` makes the same copy again, to look at. Where an older state came back unnoticed, this home does not remember enough: start its server, which keeps `high-water`.",
    ),
    (
        "DRILL_NOTHING",
        "No attack was made: the ledger is empty, or has nothing yet that could be attacked in the ways that were chosen; each row says why it was skipped. Publish, approve and grant something first, and run `lockgate drill` again.",
    ),
    (
        "DRILL_SKIPPED",
        "Attacks were not made, because something is missing that should be there: the server's own keys, or what its home remembers. The report says of each what to do; run the drill where the server runs, with its home. `--allow-skips NUMBER` accepts so many, `--only NAME` makes some attacks alone.",
    ),
    ("DRILL_UNKNOWN", "There is no attack of that name. `lockgate drill --list` names them all."),
    (
        "DRILL_UNSOUND",
        "The copy is not sound before anything was attacked, so that a drill would prove nothing, and none was made. Run `lockgate audit`, and mend first what it names, as docs/operations.md says under \"Damaged data\".",
    ),
];
