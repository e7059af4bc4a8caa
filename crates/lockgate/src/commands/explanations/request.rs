//! Of requests: what a server refuses before it does anything, or answers in place of it.

/// Code and explanation, in order of code.
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
        "BASE64_INVALID",
        "A body that was sent along is not base64. Encode it anew with the standard alphabet and padding.",
    ),
    (
        "CLIENT_GONE",
        "Whoever asked went away before the answer was there. It stands in the access log alone; `lockgate history` says whether what was asked for was done all the same.",
    ),
    (
        "DUPLICATE_KEY",
        "A JSON document has one key twice, or twice but for the case of its letters, so that two readers could see two documents. It is refused whole. Have the tool write each key once.",
    ),
    ("HOST_INVALID", "The name in `--allow-host` or `--url` is no host name. Write it without scheme and path."),
    (
        "HOST_REFUSED",
        "The request is for a name that this server does not answer to, as a page on another site would make it. Ask whoever runs the server to add it with `--url` or `--allow-host`.",
    ),
    (
        "IDEMPOTENCY_KEY_INVALID",
        "The idempotency key is empty, too long, or no plain text. Send a random one of at most 128 characters.",
    ),
    ("IDEMPOTENCY_MISMATCH", "An idempotency key stands for one request. Use a new key for a new request."),
    (
        "JSON_FIELD",
        "A field is missing, unknown, or of another kind than it has to be. The message says which, or what was expected. Correct it; `/openapi.json` has the form of every request.",
    ),
    (
        "JSON_INVALID",
        "The text is no JSON. The message says where it stops to be. Mend it there, or have the tool write it again.",
    ),
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
        "LENGTH_INVALID",
        "The request's `content-length` is no number. Send the number of the body's bytes, or leave it out.",
    ),
    (
        "METHOD_UNKNOWN",
        "The address is there, but not for that method. Look in `/openapi.json` for those that are understood.",
    ),
    ("OVERLOADED", "The server has as much to do as it takes. Nothing was recorded; try again in a moment."),
    ("PATH_INVALID", "A part of the address does not read. Look in `/openapi.json` for what it has to be."),
    (
        "QUERY_INVALID",
        "A value behind the `?` does not read, or does not go with another. The message says which; look in `/openapi.json` for what is understood.",
    ),
    ("RATE_LIMITED", "Too many requests came from there. Wait as many seconds as `Retry-After` says."),
    (
        "REPLY_DAMAGED",
        "The reply that was kept for a repeated request does not read. Look at what happened with `lockgate history`, and do not repeat it.",
    ),
    (
        "REPLY_INVALID",
        "The server could not write its answer. This is a bug; what was asked for may have been done: see `lockgate history`.",
    ),
    (
        "ROUTES_INVALID",
        "The server's own table of routes contradicts itself. This is a bug of this version; use another.",
    ),
    ("ROUTE_UNKNOWN", "There is nothing at that address. Look in `/openapi.json` for what there is."),
    (
        "TASK_FAILED",
        "The request failed inside the server. This is a bug; please report it with what the server's log says.",
    ),
    ("TEXT_TOO_LONG", "A text is longer than others would read. Shorten it."),
    ("UNAVAILABLE", "The server cannot do it now. Nothing was recorded; try again in a moment."),
    (
        "URL_UNKNOWN",
        "The server does not know where people reach it, so that an identity provider could not send them back. Ask whoever runs it to start it with `--url https://NAME`.",
    ),
];
