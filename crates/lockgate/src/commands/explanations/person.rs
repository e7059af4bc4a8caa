//! Of people: who they are, what they may, what they lend, and changes that several of them sign.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    ("CHANGE_CLOSED", "The change has happened, or was rejected. `lockgate change show C-N` says which."),
    ("CHANGE_EXPIRED", "The change did not gather enough signatures within 72 hours. Propose it anew."),
    (
        "CHANGE_INVALID",
        "A proposal does not say what its draft does, or the draft is no change that several people sign. Propose it anew with the command that it belongs to; if an audit says it, the ledger was not written by this program.",
    ),
    (
        "CHANGE_MISMATCH",
        "What the server shows of a change is not what would be signed. Nothing was signed; look at the ledger with `lockgate audit`.",
    ),
    (
        "CHANGE_NUMBER",
        "A proposed change does not have the next number, which the server gives by itself. If an audit says it, the ledger was not written by this program. Else it is a bug, and nothing was recorded; please report it.",
    ),
    ("CHANGE_OPEN", "The same change is proposed already and gathers signatures: sign that one."),
    (
        "CHANGE_SIGNED",
        "You have signed the change already; it takes other people. Ask them to run `lockgate change sign C-N`; `lockgate change show C-N` says how many are missing.",
    ),
    ("CHANGE_UNKNOWN", "No change of that number was ever proposed. `lockgate change list` lists them."),
    (
        "CHANGE_UNSIGNED",
        "The document was proposed, and somebody whose signature is handed in has not signed the newest proposal of it. Signatures of a proposal that was rejected do not carry over; reject one that should not be made again after it has expired.",
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
        "IDENTITY_INVALID",
        "The account of the identity provider is named in a way that is not accepted, or somebody has bound as many as one may, with those that were unbound since; the message says which. Bind it again with `lockgate login NAME --bind-oidc`; where there are too many, sign in with a key or with an account that is bound.",
    ),
    ("IDENTITY_MISSING", "Nothing says who has to have signed. Name an identity with its issuer, or a key."),
    (
        "IDENTITY_STALE",
        "A binding of the account has ended since this was signed, or what was signed names another end than the ledger has. Bind it anew with `lockgate login NAME --bind-oidc`.",
    ),
    (
        "IDENTITY_UNBOUND",
        "The account is bound to nobody here who counts. Bind it once, signed with your own key: `lockgate login NAME --bind-oidc`.",
    ),
    ("IDENTITY_UNKNOWN", "No such account is bound. `lockgate identity list` shows those that are."),
    (
        "IDENTITY_UNPROVEN",
        "Nobody has just signed in to that account on this server. Begin again with `lockgate login NAME --bind-oidc`.",
    ),
    (
        "NAME_INVALID",
        "The name does not have the form of such names: lower-case letters, digits, dots, underscores and hyphens, and slashes in services alone; an artifact may be called like almost any file. The message says what is wrong. Choose another one.",
    ),
    ("NAME_RESERVED", "The server uses that name itself. Choose another one."),
    (
        "PERMISSION_UNKNOWN",
        "A route asks for a permission that does not exist. This is a bug of the server; please report it with the command.",
    ),
    (
        "PERSON_EXISTS",
        "Somebody of that name is enrolled already. Choose another name; a further key of theirs is added with `lockgate key add`.",
    ),
    (
        "PERSON_SUSPENDED",
        "The person is suspended: what they sign and their sessions do not count until somebody who may manage keys reinstates them. Ask for that: `lockgate key reinstate NAME --reason \"...\"`.",
    ),
    (
        "PERSON_UNKNOWN",
        "Nobody of that name is enrolled, or no name was said. `lockgate key list` lists everyone; `--as NAME` says who you are.",
    ),
    (
        "QUORUM_GOVERNANCE",
        "A change of people, keys or policy does not carry the signatures of as many different people as the active policy set asks for. Propose it with one signature; the others sign it with `lockgate change sign C-N`.",
    ),
    (
        "SETUP_CODE_WRONG",
        "That is not the one-time code of this ledger. The server says it at each start until an owner is enrolled: on its console, or in the home's `server.log` where `lockgate up` started it. Run `lockgate up` in that home, which reads the code by itself.",
    ),
    (
        "SETUP_DONE",
        "The first owner is enrolled already, and the one-time code is for nobody else. Ask an owner to countersign your request: `lockgate key enrol NAME`.",
    ),
    (
        "SETUP_NEEDED",
        "The ledger has no owner yet, so that nothing can be pinned. Run `lockgate up` in the server's home, after `lockgate down` where the server runs: it enrols the first owner with the one-time code.",
    ),
    (
        "SPONSOR_INVALID",
        "An enrolment or recovery does not carry the signatures that it needs, or some that do not belong there. Make the request anew, and have an owner countersign it with `lockgate invite`.",
    ),
    (
        "STANDING_SAME",
        "There is nothing to change about the person's standing: they are suspended already, or neither suspended nor in doubt. `lockgate key list` shows who is suspended.",
    ),
    (
        "STANDING_STALE",
        "The person was suspended or reinstated since this was signed. Look again with `lockgate key list`, and sign again.",
    ),
];
