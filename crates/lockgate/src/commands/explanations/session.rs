//! Of sessions: signing in, tokens, providers and pipelines.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "CI_MACHINE_INVALID",
        "The name is a person's, or a machine's that is known with other groups. Choose another name for the machine, or leave `--group` out.",
    ),
    (
        "CI_TOKEN_MISSING",
        "The job has no token of its CI system, or the CI system gave it none. Give a job of GitHub `permissions: id-token: write`, and one of GitLab an `id_tokens` entry of the name LOCKGATE_ID_TOKEN; elsewhere put the token into that variable.",
    ),
    (
        "CI_TRUST_ENDED",
        "The trust that this token came of was removed, or one of its signatures counts no more. `lockgate ci trust list` shows those that count; ask somebody who may manage keys to add it anew with `lockgate ci trust add`.",
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
        "CI_TRUST_IDS",
        "A trust of GitHub or GitLab names the numeric ids of owner and repository, because names can be given to others. Use `lockgate ci trust add github` or `lockgate ci trust add gitlab`; `--help` of the first says how GitHub's ids are found.",
    ),
    (
        "CI_TRUST_INVALID",
        "The trust does not say what it has to: an `https` issuer, an audience, services and claims, each in plain text. The message names what is wrong. Correct that, and sign it anew with `lockgate ci trust add`.",
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
    (
        "HANDOVER_INVALID",
        "The link from `lockgate dashboard` was used, is older than a minute, names another person, or the session that it was made in has ended. Get another.",
    ),
    (
        "ISSUER_INVALID",
        "The identity provider's address does not read. Write its `https://` address as in its own configuration.",
    ),
    (
        "ISSUER_UNREACHABLE",
        "The issuer's keys could not be fetched, so its tokens cannot be verified now. Try again in a moment.",
    ),
    (
        "MFA_REQUIRED",
        "The policy set demands a second factor of you for anything beyond reading. Sign in with a security key or passkey that asks for a PIN, or through the identity provider.",
    ),
    (
        "OIDC_FAILED",
        "The identity provider did not vouch for the sign-in, or the sign-in was not begun here. Begin again with `lockgate login --oidc`.",
    ),
    ("OIDC_OFF", "The server has no identity provider. Sign in with a key: `lockgate login NAME`."),
    (
        "RETURN_INVALID",
        "The sign-in was begun without a way back, or with one that leads elsewhere. Begin again with `lockgate login --oidc`.",
    ),
    ("SECRET_INVALID", "The file with the provider's secret is not text. Write the secret into it as one line."),
    (
        "SESSION_UNKNOWN",
        "There is no such session that was used lately. `lockgate session list` lists them; `session end --all` ends every one.",
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
        "STEP_UP_REQUIRED",
        "What was asked for takes a sign-in that is not long ago, or a signature by your own key in the same request. Sign in again with `lockgate login NAME`, or on the page that asks for it.",
    ),
    (
        "TOKEN_AUDIENCE",
        "The token was made for another server or another use. Exchange the one that the CI system issued to the job with `lockgate login --ci`; its audience is the one that the trust names, as a rule the ledger's origin: `--audience NAME` asks GitHub for another, and `aud` under `id_tokens` GitLab.",
    ),
    (
        "TOKEN_EXPIRED",
        "The token or session has ended. Sign in again; in a CI job, ask for a new token just before it is needed.",
    ),
    (
        "TOKEN_INVALID",
        "The request does not carry its token as it has to, or carries several. Send one `authorization: Bearer TOKEN`.",
    ),
    (
        "TOKEN_ISSUER",
        "No trust names that issuer. Issuers are compared byte for byte: a slash at the end is another one. `lockgate ci trust list` shows those that are trusted; ask somebody who may manage keys to add it with `lockgate ci trust add`.",
    ),
    (
        "TOKEN_KEY_UNTRUSTED",
        "No key that the trusted issuer publishes signed the token, or it brings a key or an address along, or it is not signed. Nothing in a token decides which key verifies it. Ask the CI system for a new one, and exchange that with `lockgate login --ci`; if it is refused too, find out who issues it.",
    ),
    ("TOKEN_LIFETIME", "The token counts for longer than 24 hours; configure the issuer to make shorter ones."),
    (
        "TOKEN_MALFORMED",
        "Not a signed JWT in the one strict form that is read, or a claim that has to be there is not. Hand in the token as the CI system issued it, with `lockgate login --ci`.",
    ),
    (
        "TOKEN_NOT_YET_VALID",
        "The token begins more than 30 seconds from now: one of the two clocks is wrong. Set that one, and exchange a new token with `lockgate login --ci`.",
    ),
    ("TOKEN_REPLAYED", "A CI job's token is exchanged once. Ask the CI system for another."),
    (
        "TOKEN_SCOPE",
        "A pipeline's token is for the services of its trust, and for pushing, asking and reading there. Leave the rest to a person; for a further service, ask somebody who may manage keys for a trust that has it: `lockgate ci trust add`.",
    ),
    (
        "TOKEN_UNKNOWN",
        "The token is not known here, or its session was ended. Sign in again with `lockgate login NAME`.",
    ),
];
