//! Of freezes, break-glasses and waivers.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "BREAK_GLASS_EXPIRY",
        "A break-glass ends, at the latest after what `max` of `[break-glass]` in the policy set says. Ask for less time.",
    ),
    (
        "BREAK_GLASS_OVER",
        "Enough people have signed that break-glass, or its time is over. `lockgate break-glass list --all` says which; open another one if it is still needed.",
    ),
    (
        "BREAK_GLASS_REPLAYED",
        "This very break-glass was opened before. `lockgate break-glass list --all` shows it; open another one if it is needed again.",
    ),
    (
        "BREAK_GLASS_REVIEWED",
        "Somebody has reviewed that break-glass already, and one review ends its alarm. `lockgate break-glass list --all` shows what it found.",
    ),
    (
        "BREAK_GLASS_SCOPE",
        "The policy set has no environment of that name. `lockgate policy show` lists those that it has.",
    ),
    (
        "BREAK_GLASS_TARGET",
        "The manifest that was signed is not that of the release. Nothing was recorded; look at who handed it in.",
    ),
    ("BREAK_GLASS_TICKET", "A break-glass names the ticket or incident that it is for: add `--ticket`."),
    (
        "BREAK_GLASS_UNKNOWN",
        "That entry opens no break-glass. `lockgate break-glass list --all` lists all, each with its entry.",
    ),
    (
        "BREAK_GLASS_UNREVIEWED",
        "A break-glass took effect and nobody has reviewed it; there is no next one before. Have somebody who did not sign it run `lockgate break-glass review ENTRY --finding \"...\"`.",
    ),
    (
        "BREAK_GLASS_UNSIGNED",
        "Too few people have signed that break-glass, so that it took no effect and there is nothing to review. `lockgate break-glass list --all` says how many have signed, or that its time is over; while it is open, have another person run `lockgate break-glass sign ENTRY`.",
    ),
    (
        "FREEZE_EXPIRY",
        "The freeze would have ended before it began. Name an end that is still to come with `--until`, or none.",
    ),
    ("FREEZE_OVER", "Somebody has lifted that freeze already. `lockgate freeze list` shows those in force."),
    (
        "FREEZE_REPLAYED",
        "This very freeze was ordered before. `lockgate freeze list --all` shows it; order it anew with the command, which signs something new each time.",
    ),
    ("FREEZE_SCOPE", "The policy set has no environment of that name. `lockgate policy show` lists those that it has."),
    ("FREEZE_UNKNOWN", "That entry orders no freeze. `lockgate freeze list --all` lists all, each with its entry."),
    ("SCOPE_MISSING", "A waiver is for a release or for a service. Write `--release` or `--service`."),
    ("WAIVER_EXPIRY", "A waiver ends within 90 days, and not in the past. Ask for a shorter time with `--for`."),
    (
        "WAIVER_GATE",
        "Nothing of this gate can be waived. Waivers are for single findings of vulnerability and analysis gates, licences, configurations and differences between builds; approvals, provenance, freezes and the like have none. Do what the gate asks for instead: `lockgate why P-N` names it, and who can.",
    ),
    (
        "WAIVER_MISMATCH",
        "What was granted is not what was asked for. Nothing was recorded; grant the entry as `lockgate waive list` shows it.",
    ),
    (
        "WAIVER_OVER",
        "That waiver or request is over: granted, revoked or past its end. `lockgate waive list --all` shows it; ask anew.",
    ),
    (
        "WAIVER_REPLAYED",
        "This very waiver was asked for, granted or revoked before. Ask anew: the new request has another end.",
    ),
    (
        "WAIVER_REQUEST",
        "The policy set wants waivers to be asked for in the ledger. Have whoever asks run `lockgate waive request` without `--file`, and grant the entry that it names with `lockgate waive grant ENTRY`.",
    ),
    (
        "WAIVER_SCOPE",
        "A waiver is for one finding of one gate that applies there, and, unless the policy set says `service_wide = true`, for one release or artifact: add `--release` or `--artifact`.",
    ),
    ("WAIVER_TICKET", "The policy set wants a waiver to name the ticket that follows it up: add `--ticket`."),
    (
        "WAIVER_UNKNOWN",
        "That entry neither grants a waiver nor asks for one. `lockgate waive list --all` lists all, each with its entry.",
    ),
];
