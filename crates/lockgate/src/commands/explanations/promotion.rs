//! Of promotions: approvals, decisions, grants, rollbacks.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "ALREADY_RUNNING",
        "That release runs in that environment already, by a grant that counts for long. In the last quarter of a grant's term, after it, and after a break-glass or a compromised key, it can be asked for anew: all gates are asked again. `lockgate status` shows what runs where.",
    ),
    (
        "APPROVAL_CHANGES",
        "The counts in the signed document, of what changes against what runs in the target, are not those that the two releases have with the evidence of that time, or the gates that it names are not those that came out otherwise. Open the promotion again and sign what is shown; if an audit says it, somebody signed a document that another tool made.",
    ),
    (
        "APPROVAL_DIGEST",
        "The signed document names other bytes than the promotion. Look at the promotion again with `lockgate why P-N`, and sign again.",
    ),
    (
        "APPROVAL_ENGINE",
        "Approvals name gates that come out otherwise, as another version of Lockgate decided them. It is a remark of the audit: this version cannot decide by those rules, so that it did not compare them. Everything else about these approvals was checked; run `lockgate audit` of the version of that time to check these too.",
    ),
    (
        "APPROVAL_EXPIRED",
        "The approval's end is past, or later than the policy set allows. Set this machine's clock if it is wrong, and sign again with `lockgate approve P-N`.",
    ),
    (
        "APPROVAL_REPLAYED",
        "This very approval is recorded already, and nothing more was recorded. `lockgate why P-N` says what is still missing; sign anew with `lockgate approve P-N` if it was taken back.",
    ),
    (
        "APPROVAL_STALE",
        "What runs in the target, the policy set, what is listed in the document, or which gates come out otherwise than for what runs there, has changed since the document was shown. Look again and sign again.",
    ),
    (
        "APPROVAL_TARGET",
        "The signed document is for another promotion, environment, person or ledger than the one it was handed in for. Look at the promotion with `lockgate why P-N`, and sign what `lockgate approve P-N` shows.",
    ),
    (
        "APPROVAL_UNKNOWN",
        "You have no approval of that promotion that counts, so that there is none to take back. `lockgate why P-N` lists the approvals.",
    ),
    (
        "DECISION_INVALID",
        "A decision in the ledger does not read, or contradicts itself. Run `lockgate audit`; this program does not write such a one.",
    ),
    (
        "DECISION_MISSING",
        "There is no decision on that promotion yet, or the bundle holds none. Look at the promotion with `lockgate why P-N`, and get the bundle again with `lockgate bundle get P-N`.",
    ),
    (
        "DECISION_TARGET",
        "A decision names another release or environment than its promotion. The ledger was changed: run `lockgate audit`.",
    ),
    (
        "DOCUMENT_INVALID",
        "A document that is to be signed, or was, does not have the one form that it may have. Make it anew with the command that it belongs to.",
    ),
    ("DOCUMENT_MISMATCH", "What was signed says something else than what the ledger says. Look again, and sign again."),
    ("GRANT_EXPIRED", "The grant has ended. Promote the release again; the gates are evaluated on today's facts."),
    (
        "GRANT_SUPERSEDED",
        "These bytes were granted there, but a later grant of the same service replaced them. Ask for a rollback with `lockgate rollback` to go back: it is a decision of its own.",
    ),
    (
        "GRANT_UNFOUNDED",
        "A grant is longer than the policy set allows, or no decision allows what it grants. Let nothing run by it; the ledger was not written by this program, or the bundle was changed: run `lockgate audit` where the data is.",
    ),
    (
        "NOTHING_RUNS",
        "The service has never been let into that environment, so that there is nothing to compare. `lockgate status` shows what runs where.",
    ),
    (
        "NOTHING_TO_LEND",
        "Whoever lends the right to approve has to have it. `lockgate access show NAME` lists what somebody may do, and by which role.",
    ),
    (
        "NOT_CONFIRMED",
        "You did not say yes, so that nothing was signed and nothing changed. Run the command again and answer `y` if you want it.",
    ),
    ("NOT_GRANTED", "The promotion was denied, or is still pending. `lockgate why P-N` names every gate."),
    (
        "NOT_PERMITTED",
        "No role with that permission is bound to you for that service and environment. `lockgate access show` lists what you may do and why; `lockgate access who PERMISSION` names those who may.",
    ),
    ("PROMOTION_CLOSED", "The promotion has ended; nothing can be added to it. Ask again with `lockgate promote`."),
    (
        "PROMOTION_EXISTS",
        "The ledger has a promotion of that number already. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "PROMOTION_NUMBER",
        "A promotion does not have the next number. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "PROMOTION_OPEN",
        "The same release waits for the same environment already. `lockgate status` shows the open promotion.",
    ),
    ("PROMOTION_UNKNOWN", "There is no such promotion, or you may not read it. `lockgate status` shows the open ones."),
    (
        "REJECTION_FINAL",
        "A rejection has ended the promotion and cannot be taken back. Ask anew with `lockgate promote`.",
    ),
    (
        "REVIEW_REPLAYED",
        "An access review of the same ledger, or of a longer one, is recorded already. Look again with `lockgate access review`, and sign what it shows then.",
    ),
    (
        "REVIEW_STALE",
        "People, roles or bindings have changed since the access review was shown. Look again and sign again.",
    ),
    (
        "REVIEW_TARGET",
        "The access review is of another ledger, or of one that is longer than this. Look again with `lockgate access review` at the server that is meant, and sign what it shows then.",
    ),
    (
        "REVIEW_TIME",
        "The document says that it was opened at a time that cannot be: before the promotion, or after it was handed in. Set this machine's clock, and sign again.",
    ),
    (
        "ROLLBACK_DETECTED",
        "This machine has seen a longer ledger than is shown now. Entries were taken back, as by a restored backup, or somebody between here and the server shows an older state. Ask over another network; where the server itself has no more, restore the newer data. Keep both checkpoints as proof. Of a bundle: this machine has verified a later grant, a freeze or a compromised key that the bundle is too old to know. Fetch it anew; to go back to an older release, ask for a rollback.",
    ),
    (
        "ROLLBACK_FORWARD",
        "A rollback leads to an older version than the one that runs, and this one is newer. Use `lockgate promote`: what goes forward passes every gate.",
    ),
    (
        "ROLLBACK_NEVER_RAN",
        "A rollback leads to a release that has run in that environment, and this one has not. Use `lockgate promote`.",
    ),
];
