//! Of the store: disks, stored bytes and their digests.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "BLOB_BROKEN",
        "A download ended before all of it had come. Try again. A server also breaks off bytes that are not what their name says, before the last of them; then its log names them, `lockgate doctor` has a row for it, and whoever runs it mends the data as docs/operations.md says under \"Damaged data\".",
    ),
    (
        "BLOB_MISSING",
        "Bytes that an entry names are not in the store. Put them back from a backup, as docs/operations.md says under \"Damaged data\"; the digest says which file it is.",
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
    ("DIGEST_AMBIGUOUS", "`--digest` is for one file, and several were named. Push them without it, or one by one."),
    ("DIGEST_INVALID", "The digest does not read. Write `sha256:` and 64 lower-case hex digits."),
    (
        "DIGEST_MISMATCH",
        "Bytes are not what their name says. On an upload: send the file again. On a read: the store is damaged; `lockgate audit` where the data is names every such file, and docs/operations.md says under \"Damaged data\" how to put it back from a backup.",
    ),
    (
        "DIGEST_NOT_GRANTED",
        "Nothing lets these bytes run in that environment. Either the file was changed after it was promoted, or it was never promoted there. `lockgate where sha256:...`, with the digest of the file, lists the releases that hold these bytes and where they run; `lockgate status SERVICE` shows what runs instead.",
    ),
    (
        "DISK_FULL",
        "The server's disk is full, or that of the directory in which a drill makes its copies; the message says so. Nothing was acknowledged and nothing is half-written; make room and try again.",
    ),
    (
        "DISK_READ_ONLY",
        "The server's disk cannot be written, or the directory in which a drill makes its copies; the message says which. Nothing was changed. Ask whoever runs the server to look at its disk; for a drill, choose another place with TMPDIR or `--keep DIR`.",
    ),
    (
        "SIZE_MISMATCH",
        "An artifact has another size than the release says. Publish it again with the bytes that were uploaded.",
    ),
    (
        "STORE_CORRUPT",
        "What is stored is damaged. Stop the server, keep a copy of the data as it is, run `lockgate audit`, and restore a backup beside it: docs/operations.md, \"Damaged data\".",
    ),
    (
        "STORE_FAILED",
        "The server's store failed; nothing was acknowledged. Look at the server's disk and log. After a failed flush, restart the host, or run `lockgate doctor --recheck`.",
    ),
    (
        "STORE_LOCKED",
        "Another process uses this data directory. Two writers of one ledger would fork it. Stop the other one first, a server with `lockgate down`, or choose another home with `--home DIR`.",
    ),
    ("STORE_MENDED", "Damaged sessions and projections were taken out. Check the disk; people sign in again."),
    (
        "STORE_MISSING",
        "There is no ledger in that directory. Name it with `--data DIR`: an audit runs where the data is, or on a copy of it. Or start a server with `lockgate up`.",
    ),
    (
        "STORE_PRACTICE",
        "The data directory is a copy that `lockgate drill` made, with links to the blobs of the original. Use the original, or a backup.",
    ),
    ("STORE_SCHEMA", "The data directory is of another version of Lockgate. Use that version, or a newer one."),
];
