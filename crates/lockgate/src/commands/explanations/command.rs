//! Of commands: what was typed, files, the home and the terminal.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "ARGUMENT_MISSING",
        "The command needs something that was not written, and the message names it. Write it as the next step shows; `lockgate COMMAND --help` has the rest.",
    ),
    (
        "COMMAND_LINE",
        "The command line does not read, and the message names the word. Look at what `lockgate COMMAND --help` says is understood.",
    ),
    (
        "CONFIRMATION_NEEDED",
        "The command asks before it signs, and there is no terminal to ask on. Add `--yes` once you have read what is signed.",
    ),
    (
        "CONTEXT_INVALID",
        "The home's `context.toml` does not read. Mend the line that is named, or remove the file and sign in again.",
    ),
    ("DIRECTORY_NOT_EMPTY", "There are files in the directory already, and none are written over. Name another one."),
    ("FILE_EMPTY", "The file holds nothing. Name the one that was built."),
    (
        "FILE_EXISTS",
        "The file is there already, and is not written over. Choose another name, or move it out of the way.",
    ),
    ("FILE_FAILED", "The file cannot be read or written; the message says why. Check its name, and who may read it."),
    (
        "FILE_INVALID",
        "That is no file with bytes of its own: a directory, or an empty file, as a build that broke off leaves. Name the file itself; if it is empty, build or fetch it again.",
    ),
    ("FILE_MISSING", "This kind of signature is over the file itself, and its digest is not enough. Name the file."),
    (
        "HOME_COPIED",
        "This home was copied from one whose server runs, so that its `server.json` names that server, which was left alone. A second server with the same keys would sign a second ledger. Look at the copy with `lockgate audit`; to work with it in the place of the other, stop that one with `lockgate --home OTHER down` and never start it again.",
    ),
    (
        "HOME_LOCKED",
        "Another command has held a lock in the home for more than ten seconds, where it should be held for a moment. What it keeps may be newer than what is known here, so that nothing is verified or signed without it. Run the command again; where it ends so each time, find the `lockgate` that hangs, with `ps`, and end it: its lock goes with it.",
    ),
    (
        "HOME_MISSING",
        "There is no home directory to keep keys and context in. Name one with `--home DIR` or LOCKGATE_HOME.",
    ),
    (
        "HOME_TAKEN",
        "This home works with a ledger that is not its own, and `lockgate up` would begin another one, or put its own address and trust file in the place of what is pinned. Nothing was changed. Begin a ledger of your own in another home: `lockgate --home DIR up`, or LOCKGATE_HOME. If the other ledger is gone for good, move context.toml and trust.json away.",
    ),
    ("INPUT_CLOSED", "The answer to a question could not be read. Run the command on a terminal, or with `--yes`."),
    (
        "OUTPUT_CLOSED",
        "Nobody took the result that was printed. What the command did is done all the same; ask for it again.",
    ),
    ("OUTPUT_INVALID", "A result could not be written as JSON. This is a bug; please report it with the command."),
    (
        "REASON_MISSING",
        "A reason is needed, and one that is not too long: others read it later. Write it with `--reason`, or what a review found with `--finding`.",
    ),
    (
        "REASON_UNKNOWN",
        "No code is written like that. Copy one as it is printed: codes stand in brackets behind `error`, and behind `reason` in `lockgate why`.",
    ),
];
