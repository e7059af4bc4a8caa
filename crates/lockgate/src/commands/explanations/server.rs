//! Of the server's process: how it starts, listens and stops, and where it is.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "ADDRESS_INVALID",
        "The address to listen on does not read. Write an IP address and a port, such as `--listen 127.0.0.1:7430`.",
    ),
    ("LISTEN_FAILED", "The address cannot be listened on. Choose another port with `--listen`, or see what holds it."),
    (
        "ORIGIN_INVALID",
        "A ledger's origin is one name of the shape of DNS names, without path or port. Choose another with `--origin`.",
    ),
    ("PORT_TAKEN", "Something else listens on that address. Choose another with --listen."),
    ("RANDOM_FAILED", "The system gave no random numbers, and nothing is done without. Look at the system."),
    ("RUNTIME_FAILED", "The server could not start its threads. Look at the limits of the system."),
    (
        "SERVER_ENDED",
        "The server ended by itself. Look at the home's `server.log` for why, and start it again with `lockgate up`.",
    ),
    ("SERVER_LOST", "The server's process cannot be waited for. `lockgate doctor` says whether it runs."),
    (
        "SERVER_PROTOCOL",
        "What answered is no Lockgate server of this version. Check the address, and use the same version on both sides.",
    ),
    ("SERVER_RUNNING", "A server of this home runs already. Stop it with `lockgate down`, or use another home."),
    (
        "SERVER_UNKNOWN",
        "Nothing says which server is meant. Start one with `lockgate up`, or name one with `--server URL`. To verify a file, name the server that holds its ledger and sign in there with `lockgate login --server URL NAME`, or use `--bundle FILE`, which needs neither.",
    ),
    (
        "SERVER_UNREACHABLE",
        "The server did not answer. Verification of a bundle works without it: `lockgate verify FILE --bundle B ...`.",
    ),
    ("SERVER_URL", "That is no address of a server. Write it with its scheme, such as `http://127.0.0.1:7430`."),
    (
        "START_FAILED",
        "The server's process could not be started, or ended without saying why. Look at the message, and at the end of the home's `server.log`; `lockgate doctor` checks this installation.",
    ),
    (
        "START_TIMEOUT",
        "The server did not answer in time after its start, and was ended. Look at the home's `server.log` for what it did, and try again with `lockgate up`.",
    ),
    ("STOPPING", "The server is stopping. Nothing was recorded; try again when it runs."),
    (
        "STOP_FAILED",
        "The server could not be told to stop. `lockgate doctor` says whether it runs, and as which process.",
    ),
    ("STOP_TIMEOUT", "The server did not stop in time. Its `server.log` says what it does; wait, or end the process."),
    ("THREAD_FAILED", "The server could not start a thread. Look at the limits of the system."),
];
