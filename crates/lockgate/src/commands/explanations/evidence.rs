//! Of evidence: statements, envelopes, reports, feeds, and how large they may be.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
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
    (
        "EVIDENCE_KIND",
        "The file is evidence of another kind than the option says. Hand it in with the option of the kind that the message names; `lockgate attest --help` lists them.",
    ),
    ("EVIDENCE_MISSING", "No evidence was named. Add at least one, such as `--tests junit.xml`."),
    (
        "EVIDENCE_READ",
        "The evidence could not be read to its end. Hand it in again; if that fails too, look at the disk that it comes from.",
    ),
    (
        "EVIDENCE_TIME",
        "A time in the evidence does not read, has no zone, or is an end before its beginning. Have the tool write RFC 3339, such as 2026-11-21T09:00:00Z.",
    ),
    (
        "EVIDENCE_TOO_LARGE",
        "The evidence, or all that it says, is larger than is read. Hand in a report about this release alone.",
    ),
    ("EVIDENCE_UNKNOWN", "The file is no evidence of a kind that is read. `lockgate attest --help` lists the kinds."),
    (
        "FEED_FUTURE",
        "The snapshot says that it is of a later day than the ledger's. Look at the server's clock, and at where the file comes from.",
    ),
    (
        "FEED_KNOWN",
        "This very snapshot is the newest one already, so that nothing was recorded, and nothing has to be. `lockgate feed list` shows it.",
    ),
    (
        "FEED_MALFORMED",
        "The file is no snapshot of that feed, or was cut short: KEV is `known_exploited_vulnerabilities.json` of CISA, EPSS the decompressed CSV of FIRST. Nothing was recorded; fetch it again.",
    ),
    (
        "FEED_MISMATCH",
        "The bytes of a recorded snapshot say otherwise than the entry that recorded it. Run `lockgate audit`, and look at who recorded it.",
    ),
    (
        "FEED_OLDER",
        "A newer snapshot of the feed is recorded already, and decisions never go back to an older one. Fetch the newest.",
    ),
    (
        "FEED_TOO_LARGE",
        "The snapshot is over the limit for feeds. Hand in the feed as its maker publishes it, and nothing beside it.",
    ),
    ("NO_SIGNATURE", "The envelope carries no signature. Have the builder or tool sign it."),
    (
        "PAYLOAD_TYPE",
        "The signed envelope holds something else than an in-toto statement. Hand in the envelope that the builder or scanner signed.",
    ),
    (
        "REPORT_UNWRAPPED",
        "A report was to be recorded before it was wrapped and signed. This is a bug, and nothing was recorded; please report it with the command.",
    ),
    (
        "REPORT_VERSION",
        "The report has a version that is not read. Have the tool write one that the message names; docs/evidence.md lists them.",
    ),
    ("SARIF_VERSION", "The results are not SARIF 2.1.0. Have the tool write that version."),
    (
        "SBOM_VERSION",
        "The SBOM has a version that is not read. Have the tool write CycloneDX or SPDX in a version that the message names.",
    ),
    (
        "STATEMENT_VERSION",
        "The in-toto statement has a version that is not read. Have the tool write `https://in-toto.io/Statement/v1`.",
    ),
    ("SUBJECT_DIGEST", "The statement names what it is about without a SHA-256 digest. Have the tool write one."),
    (
        "SUBJECT_ID_MISMATCH",
        "The token is a good one of a pipeline that nobody trusts here. Pipelines are known by numeric ids; a name that was given to another project has another id. `lockgate ci trust list` shows what is trusted.",
    ),
    (
        "SUBJECT_MISMATCH",
        "The evidence is about other artifacts, or names none by its SHA-256 digest. Evidence binds by digest; a name never matches. Have it made from the very files of the release, and hand that in with `lockgate attest`.",
    ),
    (
        "SUBJECT_MISSING",
        "The statement or signature does not say what it is about. Have the tool name the artifact with its digest; minisign takes it as `-t sha256:DIGEST`.",
    ),
    (
        "TOO_LARGE",
        "What was handed in is larger than is taken; SECURITY.md lists the limits. Hand in less at once, such as one report for each artifact or tool.",
    ),
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
    (
        "TOO_MANY_OPEN",
        "Somebody has as many keys, requests or delegations open as one may: every proof carries them. End one that is not needed.",
    ),
    ("TOO_MANY_SIGNATURES", "There are more signatures than are counted. Hand in those that are needed."),
    ("TOO_MANY_SUBJECTS", "The statement is about more things than are read. Make one for this release alone."),
    ("TOO_MANY_TESTS", "The report lists more tests than are read. Hand it in in several files, in one command."),
    (
        "UNSIGNED",
        "Where a signature is due, a bare statement is refused. Hand in the DSSE envelope that the builder signed.",
    ),
    (
        "XML_DOCTYPE",
        "The report has a document type, which reports do not need and attackers like. Have the tool write it without.",
    ),
    ("XML_ENTITY", "The report uses an entity beside XML's own five. Have the tool write the characters instead."),
    ("XML_TOO_DEEP", "The report is nested more deeply than is read. Hand in what the tool wrote."),
];
