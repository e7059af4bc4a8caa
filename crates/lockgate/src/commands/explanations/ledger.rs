//! Of the ledger: its entries, streams, tree and checkpoints, and what an audit says of them.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "ACTOR_MISSING",
        "The entry names nobody who acted, and such an event needs a person or machine. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "ANCHOR_UNPROVEN",
        "The ledger that an approver verified before signing is not proven to be the beginning of this one. The history before the approval was rewritten, or the bundle lacks the proof. Get the bundle again with `lockgate bundle get P-N`; if that one is the same, run `lockgate audit` where the data is.",
    ),
    (
        "ATTESTATION_INVALID",
        "An attestation of the server does not verify, or does not say what the ledger says. Get the bundle again from another source, and run `lockgate audit`.",
    ),
    (
        "ATTESTATION_KEY_UNKNOWN",
        "The attestation key is not the one that the trust file pins. Compare the trust file over another channel; never take a key from the server that it is to check.",
    ),
    (
        "ATTESTATION_MISSING",
        "A decision that allows or denies comes with two attestations, and this one has none. Something else has written to the store: keep a copy, and find out what.",
    ),
    (
        "AUDIT_FAILED",
        "The ledger contradicts itself, its signatures or what was kept of it. Each problem is listed with its entry; the first is often the cause of the others, and `lockgate explain CODE` says what each means. Stop the server with `lockgate down`, keep a copy of the data as it is, and mend it as docs/operations.md says under \"Damaged data\".",
    ),
    (
        "CHECKPOINT_INVALID",
        "The checkpoint does not read, or is not signed by the pinned log key. It was changed, or comes from another ledger. Keep it, and get the bundle again from the server or another copy. Where the message names a file in `checkpoints` of the home, that file was changed: compare the ledger's checkpoint over another channel before you remove it. If an audit says it, mend the data as docs/operations.md says under \"Damaged data\".",
    ),
    (
        "CHECKPOINT_MISSING",
        "The data holds no signed checkpoint of the ledger, or of its access log. Start its server once, so that it stores one, and audit again; if there was one before, something else has written to the store: keep a copy, and find out what.",
    ),
    (
        "CHECKPOINT_UNREADABLE",
        "The signed checkpoint cannot be read from the store. Look at the disk; if it is damaged, docs/operations.md says under \"Damaged data\" what to do.",
    ),
    ("CLOCK_BEHIND", "The grant is later than this machine's clock. Set the clock, or find out who set it back."),
    ("CONFLICT", "Somebody else wrote to the ledger at the same moment. Nothing was recorded; run the command again."),
    (
        "ENTRY_CHANGED",
        "A row of the database is not what the tree was made of. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "ENTRY_INVALID",
        "An entry of the ledger does not read. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "ENTRY_MISSING",
        "An entry that has to be there is not. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "ENTRY_SCHEMA",
        "An entry has a form that this version does not know. Use the version of Lockgate that wrote it, or a newer one.",
    ),
    (
        "ENTRY_TOO_LARGE",
        "What was handed in makes an entry that is too large for the ledger. Name fewer things, or shorter texts.",
    ),
    (
        "ENTRY_TO_COME",
        "The server named an entry that its ledger does not have yet, so that what you sign about it could be kept for whatever comes there. Nothing was signed. Find out why from whoever is responsible for the server, and sign nothing for it until then.",
    ),
    (
        "ENTRY_UNREADABLE",
        "An entry cannot be read from the store. Look at the disk; if it is damaged, docs/operations.md says under \"Damaged data\" what to do.",
    ),
    (
        "EQUIVOCATION",
        "Two checkpoints of one ledger contradict each other. Keep both: together they prove that the log's owner showed different histories.",
    ),
    (
        "FACTS_INVALID",
        "The facts of a decision do not read. Run `lockgate audit`; this program does not write such facts.",
    ),
    (
        "GENESIS_MISMATCH",
        "The ledger begins with another entry than the pinned one: it is another ledger, even if the key is the same. Find out over another channel which one is meant; pin another one in a home of its own with `lockgate --home DIR trust pin`, or get the bundle from the right server.",
    ),
    (
        "GENESIS_MISSING",
        "The bundle does not start with the ledger's first entry. Get it again from the server or another copy.",
    ),
    (
        "GOVERNANCE_GAP",
        "An entry names a newer governance entry than the bundle holds: a revocation, an enrolment or a policy change was left out, or made up. Get the bundle again from another source.",
    ),
    (
        "HEAD_MISMATCH",
        "The stored tree does not have the root that is stored with it. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "HEAD_UNREADABLE",
        "The newest head of the tree cannot be read from the store. Look at the disk; if it is damaged, docs/operations.md says under \"Damaged data\" what to do.",
    ),
    (
        "HISTORY_CHANGED",
        "The entries before a kept checkpoint, or before what an approver saw, are others now. Keep both; together they are the proof.",
    ),
    (
        "INCLUSION_PROOF",
        "An entry is not proven to be in the ledger that the checkpoint signs. The bundle, or the receipt of a write, was changed or made up. Keep it, and run `lockgate audit` where the data is.",
    ),
    (
        "LEAF_MISSING",
        "The bundle lacks a leaf that one of its attestations names. Get it again from the server or another copy.",
    ),
    (
        "LEAF_UNCLAIMED",
        "The tree holds a leaf that no entry speaks of. Something else has written to the store: keep a copy, and find out what.",
    ),
    (
        "LEDGER_DOUBTFUL",
        "The server has read something of the ledger that is not what was signed: it appends nothing to it, and finds no grant in it, because a freeze or a lost key could not be recorded. The message has the code of what was found, and the server's log what it was. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\": `lockgate audit` names what is damaged, and a start ends the doubt. Bundles go on to verify without the server.",
    ),
    ("LEDGER_EMPTY", "The ledger has no entry yet. Start the server once with `lockgate up`, which begins it."),
    (
        "LEDGER_EXISTS",
        "The ledger has been begun already, and is never begun twice. Use another home for another ledger.",
    ),
    (
        "LEDGER_MISSING",
        "The server's keys have begun a ledger before, but its data is gone. A ledger is never begun twice with one key: move away what is in the place of the data directory, then restore it.",
    ),
    (
        "LEDGER_ROLLED_BACK",
        "The data directory is older than what this server has signed. Serving it would fork history. Restore the newer data directory.",
    ),
    (
        "LEDGER_SHRUNK",
        "The stored ledger is smaller than what the server has signed. Stop it, and restore the newer data directory.",
    ),
    (
        "LEDGER_UNKNOWN",
        "The server speaks for another ledger than the one pinned here. Nothing was signed for it. Name the right server with `--server URL`, or pin the other ledger in a home of its own with `lockgate --home DIR trust pin`.",
    ),
    (
        "LOG_ENTRY_MISMATCH",
        "A leaf of the tree is not that of the attestation that names it. The bundle or the store was changed: run `lockgate audit`.",
    ),
    (
        "LOG_KEY_MISMATCH",
        "The server's log key is not the one that the ledger began with. Restore the home's `keys` directory; another key cannot continue this ledger.",
    ),
    (
        "LOG_KEY_UNKNOWN",
        "The log is not one that your trust file pins. Compare the trust file over another channel; never take a new key from the server that it is to check.",
    ),
    ("PROOF_FAILED", "The server could not make a proof out of its own tree. Stop it, and run `lockgate audit`."),
    ("PROOF_RANGE", "The ledger has no such size as a proof was asked for. Ask for one from 1 to its entries."),
    (
        "REPLAY_DECISION",
        "The decision comes out differently on the same facts and policy set, or its entry says otherwise than the decision. The bundle was changed, or the decision was not made from what it names. Get the bundle again with `lockgate bundle get P-N`; if that one is the same, run `lockgate audit` where the data is.",
    ),
    (
        "REPLAY_FACTS",
        "The facts come out differently from the ledger's entries and evidence than when the decision was made. The bundle was changed, or the decision was not made from what it names. Get the bundle again with `lockgate bundle get P-N`; if that one is the same, run `lockgate audit` where the data is.",
    ),
    (
        "REPLAY_HEADS",
        "A decision names other heads of the ledger's streams than there were. The bundle was changed, or the decision was not made from what it names. Get the bundle again with `lockgate bundle get P-N`; if that one is the same, run `lockgate audit` where the data is.",
    ),
    (
        "REPLAY_POLICY",
        "A decision names another policy set than was active. The bundle was changed, or the decision was not made from what it names. Get the bundle again with `lockgate bundle get P-N`; if that one is the same, run `lockgate audit` where the data is.",
    ),
    (
        "ROOT_KEY_UNKNOWN",
        "The first owner's key is not the pinned one. Whoever made this ledger is not who you trust. Compare the trust file over another channel; never take a key from the server that it is to check.",
    ),
    (
        "ROOT_MISMATCH",
        "The entries do not have the root that is stored with them, or that the checkpoint signs. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "RUBBER_STAMP",
        "One person gave several approvals within seconds, so that hardly anything was read. It is a remark of the audit: talk to them, or demand `min_review_seconds`.",
    ),
    (
        "STREAM_BROKEN",
        "An entry does not follow the one before it in its chain: an entry was removed, inserted or moved. Get a bundle again from the server or another copy; if the server or an audit says it, mend the data as docs/operations.md says under \"Damaged data\".",
    ),
    (
        "STREAM_INDEX_MISMATCH",
        "The stored index of a stream is not what the entries give, so that the server would show too little or too much. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "STREAM_MISSING",
        "An entry does not stand in a stream that it belongs to. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "STREAM_UNREADABLE",
        "The index of a stream cannot be read from the store. Look at the disk; if it is damaged, docs/operations.md says under \"Damaged data\" what to do.",
    ),
    ("TILE_INVALID", "That is no address of a tile. Write it as C2SP tlog-tiles does, such as `/tile/0/000`."),
    (
        "TILE_MISMATCH",
        "A stored tile is not what the entries give. Stop the server, and mend the data as docs/operations.md says under \"Damaged data\"; `lockgate audit` names what is wrong.",
    ),
    (
        "TILE_UNKNOWN",
        "The ledger has no such tile, or not that much of it yet. Ask for no more than `/checkpoint` says that there is.",
    ),
    (
        "TILE_UNREADABLE",
        "A tile cannot be read from the store. Look at the disk; if it is damaged, docs/operations.md says under \"Damaged data\" what to do.",
    ),
    (
        "TIME_BACKWARDS",
        "An entry is earlier than the one before it. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "WITNESS_QUORUM",
        "The trust file demands cosignatures of witnesses that the checkpoint does not carry, and this server asks no witness for any. Ask whoever made the trust file where to get checkpoints that its witnesses have signed.",
    ),
];
