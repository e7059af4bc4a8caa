//! Of people: who they are, what they may, what they lend, and changes that several of them sign.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    ("CHANGE_CLOSED", "The change has happened, or was rejected. `lockgate change show C-N` says which."),
    ("CHANGE_EXPIRED", "The change did not gather enough signatures within 72 hours. Propose it anew."),
    (
        "CHANGE_INVALID",
        "A proposal does not say what its draft does, or the draft is no change that several people sign.",
    ),
    (
        "CHANGE_MISMATCH",
        "What the server shows of a change is not what would be signed. Nothing was signed; look at the ledger with `lockgate audit`.",
    ),
    (
        "CHANGE_NUMBER",
        "A proposed change does not have the next number. This is a bug of the server; nothing was recorded.",
    ),
    ("CHANGE_OPEN", "The same change is proposed already and gathers signatures: sign that one."),
    ("CHANGE_SIGNED", "You have signed the change already; it takes other people."),
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
        "The account of the identity provider is named in a way that is not accepted. Bind it again with `lockgate login NAME --bind-oidc`.",
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
        "The name does not have the form of such names: lower-case letters, digits and hyphens, and a slash in services. The message says what is wrong.",
    ),
    ("NAME_RESERVED", "The server uses that name itself. Choose another one."),
    ("PERMISSION_UNKNOWN", "A route asks for a permission that does not exist. This is a bug of the server."),
    (
        "PERSON_EXISTS",
        "Somebody of that name is enrolled already. Choose another name; a further key of theirs is added with `lockgate key add`.",
    ),
    (
        "PERSON_SUSPENDED",
        "The person is suspended: what they sign and their sessions do not count until somebody who may manage keys reinstates them.",
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
        "SPONSOR_INVALID",
        "An enrolment or recovery does not carry the signatures that it needs, or some that do not belong there. Make the request anew, and have an owner countersign it with `lockgate invite`.",
    ),
    ("STANDING_SAME", "There is nothing to change about the person's standing."),
    (
        "STANDING_STALE",
        "The person was suspended or reinstated since this was signed. Look again with `lockgate key list`, and sign again.",
    ),
];
