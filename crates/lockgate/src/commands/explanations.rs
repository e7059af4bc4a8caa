//! Explanations: what each reason code means, and what to do next, where [`super::help`] has none. In order of code.

/// Code and explanation.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "ACCESS_LOG_BEHIND",
        "The access log cannot be written, so that nothing more is answered that would have to stand in it. Make room on the server's disk; it goes on by itself. In the access log: so many requests of nobody signed in were only counted meanwhile.",
    ),
    (
        "ACCESS_LOG_ROLLED_BACK",
        "The access log is older than what this server has signed. Restore the newer data directory; starting with the old one would hide requests.",
    ),
    (
        "ACCESS_LOG_UNSOUND",
        "The access log is not what the server signed: entries were changed, left out or added. Keep the export and the checkpoint; together they are the proof.",
    ),
    (
        "ACTOR_MISSING",
        "The entry names nobody who acted, and such an event needs a person or machine. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "ADDRESS_INVALID",
        "The address to listen on does not read. Write an IP address and a port, such as `--listen 127.0.0.1:7430`.",
    ),
    (
        "ALREADY_RUNNING",
        "That release runs in that environment already, by a grant that counts for long. In the last quarter of a grant's term, after it, and after a break-glass or a compromised key, it can be asked for anew: all gates are asked again. `lockgate status` shows what runs where.",
    ),
    (
        "APPROVAL_DIGEST",
        "The signed document names other bytes than the promotion. Look at the promotion again with `lockgate why P-N`, and sign again.",
    ),
    (
        "APPROVAL_UNKNOWN",
        "You have no approval of that promotion that counts, so that there is none to take back. `lockgate why P-N` lists the approvals.",
    ),
    ("ARGUMENT_MISSING", "The command needs something that was not written. The message and the next step name it."),
    (
        "ARTIFACT_EMPTY",
        "A release holds at least one artifact, and none of them is empty. Name the files that were built.",
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
        "BACKTEST_FAILED",
        "Deciding the history again ended before every decision was made. Nothing was written; run it again, and report it if it happens again.",
    ),
    (
        "BASE64_INVALID",
        "A body that was sent along is not base64. Encode it anew with the standard alphabet and padding.",
    ),
    (
        "BLOB_MISSING",
        "Bytes that an entry names are not in the store. Restore them from a copy of the data directory; the digest says which they are.",
    ),
    ("BLOB_UNKNOWN", "No such bytes are here, or you may not read them. Upload them first, or check the digest."),
    ("BODY_BROKEN", "The request's body ended before all of it had come. Send it again."),
    (
        "BODY_MISSING",
        "A document that an entry names is not there. Get the bundle again, or restore the data directory from a copy.",
    ),
    ("BODY_TIMEOUT", "The request's body came too slowly. Send it again over a better connection."),
    (
        "BODY_UNREADABLE",
        "A document that an entry names cannot be read from the store. Look at the server's disk, and restore the data directory from a copy if it is damaged.",
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
        "BREAK_GLASS_UNKNOWN",
        "That entry opens no break-glass. `lockgate break-glass list --all` lists all, each with its entry.",
    ),
    (
        "BREAK_GLASS_UNSIGNED",
        "Too few people signed that break-glass, so that it took no effect and there is nothing to review.",
    ),
    (
        "BUNDLE_MISMATCH",
        "The server sent the proof of another promotion than the one that was asked for. Nothing was signed; find out who answers at that address.",
    ),
    (
        "CHANGE_NUMBER",
        "A proposed change does not have the next number. This is a bug of the server; nothing was recorded.",
    ),
    (
        "CHECKPOINT_MISSING",
        "There is no signed checkpoint to compare with. Name one that somebody kept with `--checkpoint FILE`, or start the server once so that it signs one.",
    ),
    (
        "CHECKPOINT_UNREADABLE",
        "A checkpoint that was kept cannot be read. Check the file; what a checkpoint is, `docs/formats.md` says.",
    ),
    (
        "CI_MACHINE_INVALID",
        "The name is a person's, or a machine's that is known with other groups. Choose another name for the machine, or leave `--group` out.",
    ),
    (
        "CI_TRUST_EXISTS",
        "Another trust has the same issuer, audience and claims. Remove it first, or demand more claims: `lockgate ci trust list` shows them.",
    ),
    (
        "CI_TRUST_GROUP",
        "The machine would hold a permission that no pipeline may have: keys, policy, waive, approve, freeze or break-glass. Name a group whose roles let it push, hand in evidence and ask.",
    ),
    (
        "CI_TRUST_INVALID",
        "The trust does not say what it has to: an `https` issuer, an audience, services and claims, each in plain text. The message names what is wrong.",
    ),
    (
        "CI_TRUST_KEYS",
        "Another trust takes the same issuer's keys from elsewhere. An issuer has one source of keys: use the same `--jwks-url`, or remove the other trust.",
    ),
    (
        "CI_TRUST_LIMIT",
        "There are as many trusts as the ledger lets count at one time. Remove one that is not needed: `lockgate ci trust remove ENTRY`.",
    ),
    (
        "CI_TRUST_REF",
        "GitHub writes whole refs into its tokens, so that another spelling would never fit. Write `refs/heads/main`, and a workflow as `OWNER/NAME/.github/workflows/FILE@refs/heads/main`.",
    ),
    (
        "CI_TRUST_REPLAYED",
        "The signature under this trust was used for an earlier entry. Sign it anew with `lockgate ci trust add`.",
    ),
    (
        "CI_TRUST_UNKNOWN",
        "No trust of that entry counts: it has ended, or there was none. `lockgate ci trust list` shows those that do.",
    ),
    ("CLIENT_GONE", "Whoever asked went away before the answer was there. It stands in the access log alone."),
    (
        "COMMAND_LINE",
        "The command line does not read. The message names the word, and `lockgate COMMAND --help` what is understood.",
    ),
    (
        "CONFIRMATION_NEEDED",
        "The command asks before it signs, and there is no terminal to ask on. Add `--yes` once you have read what is signed.",
    ),
    ("CONFLICT", "Somebody else wrote to the ledger at the same moment. Nothing was recorded; run the command again."),
    (
        "CONTEXT_INVALID",
        "The home's `context.toml` does not read. Mend the line that is named, or remove the file and sign in again.",
    ),
    (
        "DECISION_INVALID",
        "A decision in the ledger does not read, or contradicts itself. Run `lockgate audit`; this program does not write such a one.",
    ),
    (
        "DECISION_TARGET",
        "A decision names another release or environment than its promotion. The ledger was changed: run `lockgate audit`.",
    ),
    ("DELEGATION_EXPIRY", "A lent right ends within 30 days, and not in the past. Choose another end with `--for`."),
    ("DELEGATION_OVER", "The delegation was ended before. `lockgate delegate list --all` says by whom."),
    ("DELEGATION_REPLAYED", "This very delegation is recorded already. Sign a new one with `lockgate delegate add`."),
    (
        "DELEGATION_SCOPE",
        "You can lend what is yours: your own groups, for environments that the policy set has. Leave the named group or environment out.",
    ),
    ("DELEGATION_SELF", "Nobody lends a right to themselves, nor to another account of theirs. Name another person."),
    ("DELEGATION_UNKNOWN", "No delegation was granted by that entry. `lockgate delegate list --all` has the numbers."),
    (
        "DEMO_FAILED",
        "The demo did not go as it should. Run `lockgate doctor`, and report what it says with the step that failed.",
    ),
    (
        "DEMO_NOT_LOOPBACK",
        "A demo's keys lie unencrypted beside the server, so that it listens on this machine alone. Leave `--listen` out, or do without `--demo`.",
    ),
    ("DIGEST_AMBIGUOUS", "`--digest` is for one file, and several were named. Push them without it, or one by one."),
    ("DIGEST_INVALID", "The digest does not read. Write `sha256:` and 64 lower-case hex digits."),
    ("DIRECTORY_NOT_EMPTY", "There are files in the directory already, and none are written over. Name another one."),
    (
        "DISK_READ_ONLY",
        "The server's disk cannot be written. Nothing was changed; whoever runs the server has to look at it.",
    ),
    ("DOCTOR_FAILED", "Something about this installation is wrong. Each row that says FAIL has a fix beside it."),
    (
        "DOCUMENT_INVALID",
        "A document that is to be signed, or was, does not have the one form that it may have. Make it anew with the command that it belongs to.",
    ),
    ("DOCUMENT_MISMATCH", "What was signed says something else than what the ledger says. Look again, and sign again."),
    (
        "ENTRY_INVALID",
        "An entry of the ledger does not read. Stop the server, run `lockgate audit`, and restore the data from a copy.",
    ),
    (
        "ENTRY_MISSING",
        "An entry that has to be there is not. Stop the server, run `lockgate audit`, and restore the data from a copy.",
    ),
    (
        "ENTRY_SCHEMA",
        "An entry has a form that this version does not know. Use the version of Lockgate that wrote it, or a newer one.",
    ),
    (
        "ENTRY_TOO_LARGE",
        "What was handed in makes an entry that is too large for the ledger. Name fewer things, or shorter texts.",
    ),
    ("ENTRY_UNREADABLE", "An entry cannot be read from the store. Look at the disk, and restore the data from a copy."),
    (
        "ENVELOPE_BASE64",
        "The envelope's payload or a signature in it is not base64. Make the envelope anew with the tool that signs.",
    ),
    (
        "ENVELOPE_FIELD",
        "The DSSE envelope lacks a field, or has one that does not belong there. Make it anew with the tool that signs.",
    ),
    ("ENVELOPE_TOO_LARGE", "The envelope is larger than is read. Hand in a smaller statement."),
    ("EVIDENCE_EMPTY", "The evidence holds nothing. Hand in the report that the tool wrote."),
    ("EVIDENCE_MISSING", "No evidence was named. Add at least one, such as `--tests junit.xml`."),
    (
        "EVIDENCE_READ",
        "The evidence could not be read to its end. Hand it in again; if that fails too, look at the disk that it comes from.",
    ),
    (
        "EVIDENCE_TIME",
        "A time in the evidence does not read, or has no zone. Have the tool write RFC 3339, such as 2026-11-21T09:00:00Z.",
    ),
    (
        "EVIDENCE_TOO_LARGE",
        "The evidence, or all that it says, is larger than is read. Hand in a report about this release alone.",
    ),
    ("EVIDENCE_UNKNOWN", "The file is no evidence of a kind that is read. `lockgate attest --help` lists the kinds."),
    (
        "FACTS_INVALID",
        "The facts of a decision do not read. Run `lockgate audit`; this program does not write such facts.",
    ),
    (
        "FEED_TOO_LARGE",
        "The snapshot is over the limit for feeds. Hand in the feed as its maker publishes it, and nothing beside it.",
    ),
    ("FILE_EMPTY", "The file holds nothing. Name the one that was built."),
    (
        "FILE_EXISTS",
        "The file is there already, and is not written over. Choose another name, or move it out of the way.",
    ),
    ("FILE_FAILED", "The file cannot be read or written; the message says why. Check its name, and who may read it."),
    ("FILE_INVALID", "That is no file with bytes of its own, such as a directory. Name the file itself."),
    ("FILE_MISSING", "This kind of signature is over the file itself, and its digest is not enough. Name the file."),
    (
        "FREEZE_EXPIRY",
        "The freeze would have ended before it began. Name an end that is still to come with `--until`, or none.",
    ),
    (
        "FREEZE_REPLAYED",
        "This very freeze was ordered before. `lockgate freeze list --all` shows it; order it anew with the command, which signs something new each time.",
    ),
    ("FREEZE_SCOPE", "The policy set has no environment of that name. `lockgate policy show` lists those that it has."),
    ("FREEZE_UNKNOWN", "That entry orders no freeze. `lockgate freeze list --all` lists all, each with its entry."),
    ("GATE_UNKNOWN", "The active policy set has no gate of that name. `lockgate policy show` lists them."),
    ("GROUP_UNKNOWN", "The active policy set has no group of that name. `lockgate policy show` lists them."),
    (
        "HEAD_MISMATCH",
        "The stored tree does not have the root that is stored with it. Stop the server, run `lockgate audit`, and restore the data from a copy.",
    ),
    (
        "HEAD_UNREADABLE",
        "The newest head of the tree cannot be read from the store. Look at the disk, and restore the data from a copy.",
    ),
    (
        "HOME_MISSING",
        "There is no home directory to keep keys and context in. Name one with `--home DIR` or LOCKGATE_HOME.",
    ),
    ("HOST_INVALID", "The name in `--allow-host` or `--url` is no host name. Write it without scheme and path."),
    (
        "HOST_REFUSED",
        "The request is for a name that this server does not answer to, as a page on another site would make it. Whoever runs the server adds it with `--url` or `--allow-host`.",
    ),
    (
        "IDEMPOTENCY_KEY_INVALID",
        "The idempotency key is empty, too long, or no plain text. Send a random one of at most 128 characters.",
    ),
    (
        "IDENTITY_INVALID",
        "The account of the identity provider is named in a way that is not accepted. Bind it again with `lockgate login NAME --bind-oidc`.",
    ),
    ("IDENTITY_MISSING", "Nothing says who has to have signed. Name an identity with its issuer, or a key."),
    (
        "IDENTITY_UNBOUND",
        "The account is bound to nobody here who counts. Bind it once, signed with your own key: `lockgate login NAME --bind-oidc`.",
    ),
    ("IDENTITY_UNKNOWN", "No such account is bound. `lockgate identity list` shows those that are."),
    (
        "IDENTITY_UNPROVEN",
        "Nobody has just signed in to that account on this server. Begin again with `lockgate login NAME --bind-oidc`.",
    ),
    ("INPUT_CLOSED", "The answer to a question could not be read. Run the command on a terminal, or with `--yes`."),
    (
        "ISSUER_INVALID",
        "The identity provider's address does not read. Write its `https://` address as in its own configuration.",
    ),
    ("JSON_FIELD", "A field is missing, unknown, or of another kind than it has to be. The message names it."),
    ("JSON_INVALID", "The text is no JSON. The message says where it stops to be."),
    (
        "JSON_NUMBER",
        "A number is not one that every reader reads as the same: a fraction, an exponent, or one that is too large. Write whole numbers, and others as texts.",
    ),
    (
        "JSON_TOO_DEEP",
        "The JSON document is nested more deeply than is read. It is mostly no real report; hand in what the tool wrote.",
    ),
    ("JSON_TOO_MANY", "The JSON document holds more values than are read. Hand in a report about this release alone."),
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
    (
        "KEY_SINCE",
        "A key is compromised since an entry that is there; what comes later it cannot sign any more anyway. Name the first entry that may not be its owner's.",
    ),
    (
        "LEAF_MISSING",
        "The bundle lacks a leaf that one of its attestations names. Get it again from the server or another copy.",
    ),
    (
        "LEAF_UNCLAIMED",
        "The tree holds a leaf that no entry speaks of. Something else has written to the store: keep a copy, and find out what.",
    ),
    ("LEDGER_EMPTY", "The ledger has no entry yet. Start the server once with `lockgate up`, which begins it."),
    (
        "LEDGER_EXISTS",
        "The ledger has been begun already, and is never begun twice. Use another home for another ledger.",
    ),
    (
        "LEDGER_SHRUNK",
        "The stored ledger is smaller than what the server has signed. Stop it, and restore the newer data directory.",
    ),
    ("LENGTH_INVALID", "The request does not say how long it is, or in two ways. Send one `content-length`."),
    ("LISTEN_FAILED", "The address cannot be listened on. Choose another port with `--listen`, or see what holds it."),
    (
        "LOG_ENTRY_MISMATCH",
        "A leaf of the tree is not that of the attestation that names it. The bundle or the store was changed: run `lockgate audit`.",
    ),
    (
        "LOG_KEY_MISMATCH",
        "The server's log key is not the one that the ledger began with. Restore the home's `keys` directory; another key cannot continue this ledger.",
    ),
    ("MANIFEST_INVALID", "The release does not describe its artifacts as it has to. The message names what is wrong."),
    (
        "MANIFEST_MISMATCH",
        "The manifest is not that of the release that names it. The ledger was changed: run `lockgate audit`.",
    ),
    ("METHOD_UNKNOWN", "The address is there, but not for that method. `/openapi.json` lists what is understood."),
    (
        "MFA_REQUIRED",
        "The policy set demands a second factor of you for anything beyond reading. Sign in with a security key or passkey that asks for a PIN, or through the identity provider.",
    ),
    (
        "NAME_INVALID",
        "The name does not have the form of such names: lower-case letters, digits and hyphens, and a slash in services. The message says what is wrong.",
    ),
    ("NAME_RESERVED", "The server uses that name itself. Choose another one."),
    ("NOT_CONFIRMED", "You did not say yes, so that nothing was signed and nothing changed."),
    ("NO_SIGNATURE", "The envelope carries no signature. Have the builder or tool sign it."),
    (
        "OIDC_FAILED",
        "The identity provider did not vouch for the sign-in, or the sign-in was not begun here. Begin again with `lockgate login --oidc`.",
    ),
    ("OIDC_OFF", "The server has no identity provider. Sign in with a key: `lockgate login NAME`."),
    (
        "ORIGIN_INVALID",
        "A ledger's origin is one name of the shape of DNS names, without path or port. Choose another with `--origin`.",
    ),
    (
        "OUTPUT_CLOSED",
        "Nobody took the result that was printed. What the command did is done all the same; ask for it again.",
    ),
    ("OUTPUT_INVALID", "A result could not be written as JSON. This is a bug; please report it with the command."),
    ("OVERLOADED", "The server has as much to do as it takes. Nothing was recorded; try again in a moment."),
    ("PATH_INVALID", "A part of the address does not read. `/openapi.json` says what it has to be."),
    (
        "PAYLOAD_TYPE",
        "The signed envelope holds something else than an in-toto statement. Hand in the envelope that the builder or scanner signed.",
    ),
    ("PERMISSION_UNKNOWN", "A route asks for a permission that does not exist. This is a bug of the server."),
    (
        "PERSON_EXISTS",
        "Somebody of that name is enrolled already. Choose another name; a further key of theirs is added with `lockgate key add`.",
    ),
    (
        "PERSON_UNKNOWN",
        "Nobody of that name is enrolled, or no name was said. `lockgate key list` lists everyone; `--as NAME` says who you are.",
    ),
    (
        "POLICY_INVALID",
        "The policy set does not load. `lockgate policy check DIR` names every problem with its file and line.",
    ),
    ("POLICY_MISMATCH", "The signature is for another policy set than the one handed in. Sign the one that you mean."),
    ("POLICY_MISSING", "There is no policy set in that directory. `lockgate init DIR` writes a starter."),
    ("POLICY_SAME", "That policy set is the active one already; nothing was recorded."),
    (
        "POLICY_STALE",
        "Another policy set has become active since this was signed, so that it can only fail. Reject it with `lockgate change reject C-N --reason stale`, and propose it anew.",
    ),
    ("POLICY_TESTS_FAILED", "The policy set's own tests fail. `lockgate policy test DIR` shows which."),
    (
        "POLICY_TESTS_MISSING",
        "The policy set has no tests, so that nothing says what it is meant to do. Put some into `tests/*.toml`.",
    ),
    ("POLICY_TEST_UNKNOWN", "The policy set has no test of that name. The next step lists those that it has."),
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
    ("PROOF_FAILED", "The server could not make a proof out of its own tree. Stop it, and run `lockgate audit`."),
    ("PROOF_RANGE", "The ledger has no such size as a proof was asked for. Ask for one from 1 to its entries."),
    (
        "QUERY_INVALID",
        "A value behind the `?` does not read, or does not go with another. `/openapi.json` says what is understood.",
    ),
    ("RANDOM_FAILED", "The system gave no random numbers, and nothing is done without. Look at the system."),
    ("RATE_LIMITED", "Too many requests came from there. Wait as many seconds as `Retry-After` says."),
    (
        "REASON_MISSING",
        "A reason is needed, and one that is not too long: others read it later. Write it with `--reason`.",
    ),
    (
        "REASON_UNKNOWN",
        "No code is written like that. Codes stand in brackets behind `error`, and behind `reason` in `lockgate why`.",
    ),
    (
        "REJECTION_FINAL",
        "A rejection has ended the promotion and cannot be taken back. Ask anew with `lockgate promote`.",
    ),
    ("RELEASE_INVALID", "A release is written as its service and version, such as `shop/web@1.4.2`."),
    (
        "RELEASE_MISSING",
        "A diff is of two releases, or of what runs in two environments: name a second release, or a service with `--from` and `--to`.",
    ),
    (
        "RELEASE_UNKNOWN",
        "No such release is published, or you may not read it. `lockgate history --service NAME` lists a service's releases.",
    ),
    (
        "REPLAY_HEADS",
        "A decision names other heads of the ledger's streams than there were. The bundle was changed, or the decision was not made from what it names.",
    ),
    (
        "REPLAY_POLICY",
        "A decision names another policy set than was active. The bundle was changed, or the decision was not made from what it names.",
    ),
    (
        "REPLY_DAMAGED",
        "The reply that was kept for a repeated request does not read. Look at what happened with `lockgate history`, and do not repeat it.",
    ),
    (
        "REPLY_INVALID",
        "The server could not write its answer. This is a bug; what was asked for may have been done: see `lockgate history`.",
    ),
    (
        "REPORT_UNWRAPPED",
        "A report was to be recorded before it was wrapped and signed. This is a bug; nothing was recorded.",
    ),
    (
        "REPORT_VERSION",
        "The report has a version that is not read. Have the scanner write one that `lockgate attest --help` names.",
    ),
    (
        "RETURN_INVALID",
        "The sign-in was begun without a way back, or with one that leads elsewhere. Begin again with `lockgate login --oidc`.",
    ),
    (
        "REVIEW_TIME",
        "The document says that it was opened at a time that cannot be: before the promotion, or after it was handed in. Set this machine's clock, and sign again.",
    ),
    (
        "ROLLBACK_FORWARD",
        "A rollback leads to an older version than the one that runs, and this one is newer. Use `lockgate promote`: what goes forward passes every gate.",
    ),
    (
        "ROLLBACK_NEVER_RAN",
        "A rollback leads to a release that has run in that environment, and this one has not. Use `lockgate promote`.",
    ),
    (
        "ROUTES_INVALID",
        "The server's own table of routes contradicts itself. This is a bug of this version; use another.",
    ),
    ("ROUTE_UNKNOWN", "There is nothing at that address. `/openapi.json` lists what there is."),
    (
        "RUBBER_STAMP",
        "One person gave several approvals within seconds, so that hardly anything was read. It is a remark of the audit: talk to them, or demand `min_review_seconds`.",
    ),
    ("RUNTIME_FAILED", "The server could not start its threads. Look at the limits of the system."),
    ("SARIF_VERSION", "The results are not SARIF 2.1.0. Have the tool write that version."),
    (
        "SBOM_VERSION",
        "The SBOM has a version that is not read. Have the tool write CycloneDX or SPDX in a version that the message names.",
    ),
    ("SCOPE_MISSING", "A waiver is for a release or for a service. Write `--release` or `--service`."),
    ("SECRET_INVALID", "The file with the provider's secret is not text. Write the secret into it as one line."),
    ("SERVER_ENDED", "The server ended by itself. The home's `server.log` says why."),
    ("SERVER_LOST", "The server's process cannot be waited for. `lockgate doctor` says whether it runs."),
    (
        "SERVER_PROTOCOL",
        "What answered is no Lockgate server of this version. Check the address, and use the same version on both sides.",
    ),
    ("SERVER_RUNNING", "A server of this home runs already. Stop it with `lockgate down`, or use another home."),
    (
        "SERVER_UNKNOWN",
        "Nothing says which server is meant. Start one with `lockgate up`, or name one with `--server URL`.",
    ),
    ("SERVER_URL", "That is no address of a server. Write it with its scheme, such as `http://127.0.0.1:7430`."),
    ("SERVICE_INVALID", "A service is written without a version, such as `shop/web`."),
    (
        "SESSION_UNKNOWN",
        "There is no such session that was used lately. `lockgate session list` lists them; `session end --all` ends every one.",
    ),
    (
        "SETUP_CODE_WRONG",
        "That is not the one-time code of this ledger. It stands on the server's console when it begins a ledger.",
    ),
    (
        "SETUP_DONE",
        "The first owner is enrolled already, and the one-time code is for nobody else. Ask an owner to countersign your request: `lockgate key enrol NAME`.",
    ),
    (
        "SETUP_NEEDED",
        "The ledger has no owner yet. The first one enrols with the one-time code from the server's console.",
    ),
    (
        "SIGNING_FAILED",
        "The key did not sign. Check that the agent runs and holds it, and touch the security key if it is one.",
    ),
    (
        "SIGN_IN_FAILED",
        "The name, the key or the challenge does not fit; which one is not told. Sign in with a key that is enrolled for that name: `lockgate login NAME --key FILE`.",
    ),
    ("SIGN_IN_NEEDED", "Nobody is signed in. `lockgate login NAME`, or say who acts with `--as NAME`."),
    (
        "SIGN_IN_TIMEOUT",
        "Nobody came back from the identity provider in time. Run `lockgate login --oidc` again, and open the address in a browser on this machine.",
    ),
    (
        "SIZE_MISMATCH",
        "An artifact has another size than the release says. Publish it again with the bytes that were uploaded.",
    ),
    (
        "SPONSOR_INVALID",
        "An enrolment or recovery does not carry the signatures that it needs, or some that do not belong there. Make the request anew, and have an owner countersign it with `lockgate invite`.",
    ),
    ("STARTER_UNKNOWN", "There is no starter policy set of that name. The message lists those that there are."),
    ("START_FAILED", "The server did not start. The home's `server.log` says why."),
    ("START_TIMEOUT", "The server did not answer in time after its start. The home's `server.log` says what it does."),
    (
        "STATEMENT_VERSION",
        "The in-toto statement has a version that is not read. Have the tool write `https://in-toto.io/Statement/v1`.",
    ),
    (
        "STEP_UP_REQUIRED",
        "What was asked for takes a signature by your own key, and a session is none. Use the command line, or sign with a passkey on the page.",
    ),
    ("STOPPING", "The server is stopping. Nothing was recorded; try again when it runs."),
    (
        "STOP_FAILED",
        "The server could not be told to stop. `lockgate doctor` says whether it runs, and as which process.",
    ),
    ("STOP_TIMEOUT", "The server did not stop in time. Its `server.log` says what it does; wait, or end the process."),
    (
        "STORE_CORRUPT",
        "What is stored is damaged. Stop the server, run `lockgate audit`, and restore the data from a copy.",
    ),
    (
        "STORE_FAILED",
        "The server's store failed; nothing was acknowledged. Look at the server's disk and log. After a failed flush, restart the host, or run `lockgate doctor --recheck`.",
    ),
    ("STORE_MENDED", "Damaged sessions and projections were taken out. Check the disk; people sign in again."),
    ("STORE_MISSING", "There is no ledger in that directory. Check the name, or start a server with `lockgate up`."),
    (
        "STORE_PRACTICE",
        "The data directory is a copy that `lockgate drill` made, with links to the blobs of the original. Use the original, or a backup.",
    ),
    ("STORE_SCHEMA", "The data directory is of another version of Lockgate. Use that version, or a newer one."),
    (
        "STREAM_INDEX_MISMATCH",
        "The stored index of a stream is not what the entries give, so that the server would show too little or too much. Restore the database from a copy.",
    ),
    (
        "STREAM_MISSING",
        "An entry does not stand in a stream that it belongs to. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "STREAM_UNREADABLE",
        "The index of a stream cannot be read from the store. Look at the disk, and restore the data from a copy.",
    ),
    ("SUBJECT_DIGEST", "The statement names what it is about without a SHA-256 digest. Have the tool write one."),
    (
        "SUBJECT_MISSING",
        "The statement or signature does not say what it is about. Have the tool name the artifact with its digest; minisign takes it as `-t sha256:DIGEST`.",
    ),
    ("TASK_FAILED", "The request failed inside the server. This is a bug; the server's log says more."),
    ("TEXT_TOO_LONG", "A text is longer than others would read. Shorten it."),
    ("THREAD_FAILED", "The server could not start a thread. Look at the limits of the system."),
    ("TILE_INVALID", "That is no address of a tile. `docs/formats.md` says how tiles are named."),
    ("TILE_MISMATCH", "A stored tile is not what the entries give. Stop the server, and restore the data from a copy."),
    ("TILE_UNKNOWN", "The ledger has no such tile, or not that much of it yet. The checkpoint says how large it is."),
    ("TILE_UNREADABLE", "A tile cannot be read from the store. Look at the disk, and restore the data from a copy."),
    (
        "TIME_BACKWARDS",
        "An entry is earlier than the one before it. The ledger was not written by this program: run `lockgate audit`.",
    ),
    (
        "TOKEN_INVALID",
        "The request does not carry its token as it has to, or carries several. Send one `authorization: Bearer TOKEN`.",
    ),
    (
        "TOKEN_UNKNOWN",
        "The token is not known here, or its session was ended. Sign in again with `lockgate login NAME`.",
    ),
    ("TOO_LARGE", "What was handed in is larger than is taken. The message says how large it may be."),
    (
        "TOO_MANY_APPROVALS",
        "The promotion carries as many approvals as one can, or as many of one person as one may give it. Ask anew with `lockgate promote`; whoever objects can still reject.",
    ),
    (
        "TOO_MANY_ATTESTATIONS",
        "The release has as much evidence as one can have, or as many reports of what runs as it keeps of those who may deploy and not `attest`. Report what runs when it changes; what else is missed goes with the next version.",
    ),
    ("TOO_MANY_COMPONENTS", "The SBOM lists more components than are read. Make one for this release alone."),
    ("TOO_MANY_FINDINGS", "The scan lists more findings than are read. Scan this release alone."),
    ("TOO_MANY_LINES", "The coverage report has more lines and branches than one report may. Split it by module."),
    (
        "TOO_MANY_METRICS",
        "The performance report has more metrics than one report may. Keep those that a gate looks at.",
    ),
    ("TOO_MANY_SIGNATURES", "There are more signatures than are counted. Hand in those that are needed."),
    ("TOO_MANY_SUBJECTS", "The statement is about more things than are read. Make one for this release alone."),
    ("TOO_MANY_TESTS", "The report lists more tests than are read. Hand it in in several files, in one command."),
    (
        "TRUST_INVALID",
        "The file is no trust file, or is damaged. Get it again over a channel that you trust, or pin a server's own statement with `lockgate trust pin`.",
    ),
    (
        "TRUST_ROOT_UNKNOWN",
        "This version knows no trust root of that name. The message names those that it knows; any other is a file, `trusted_root.json`.",
    ),
    ("UNAVAILABLE", "The server cannot do it now. Nothing was recorded; try again in a moment."),
    (
        "URL_UNKNOWN",
        "The server does not know where people reach it, so that an identity provider could not send them back. Whoever runs it starts it with `--url https://NAME`.",
    ),
    (
        "WAIVER_UNKNOWN",
        "That entry neither grants a waiver nor asks for one. `lockgate waive list --all` lists all, each with its entry.",
    ),
    (
        "XML_DOCTYPE",
        "The report has a document type, which reports do not need and attackers like. Have the tool write it without.",
    ),
    ("XML_ENTITY", "The report uses an entity beside XML's own five. Have the tool write the characters instead."),
    ("XML_TOO_DEEP", "The report is nested more deeply than is read. Hand in what the tool wrote."),
];

#[cfg(test)]
#[path = "explanations_tests.rs"]
mod tests;
