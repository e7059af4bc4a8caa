//! Of releases: artifacts, manifests, services, environments.

/// Code and explanation, in order of code.
pub const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "ARTIFACT_EMPTY",
        "A release holds at least one artifact, and none of them is empty. Name the files that were built.",
    ),
    (
        "ENVIRONMENT_MISMATCH",
        "The grant is for another environment than the one that was asked for. `lockgate bundle show FILE` says for which; verify with `--env` of that one, or get the bundle of the promotion into yours with `lockgate bundle get P-N` (`lockgate status` names it).",
    ),
    (
        "MANIFEST_INVALID",
        "The release does not describe its artifacts as it has to. The message names what is wrong. Correct that, and push it again with `lockgate push`; if an audit says it, the ledger was not written by this program.",
    ),
    (
        "MANIFEST_MISMATCH",
        "The manifest is not that of the release that names it. The ledger was changed: run `lockgate audit`.",
    ),
    (
        "RELEASE_EXISTS",
        "That version is published with other content. The same version never names other bytes: publish a new version.",
    ),
    ("RELEASE_INVALID", "That is no release. Write it as its service and version, such as `shop/web@1.4.2`."),
    (
        "RELEASE_MISSING",
        "A diff is of two releases, or of what runs in two environments: name a second release, or a service with `--from` and `--to`.",
    ),
    (
        "RELEASE_UNKNOWN",
        "No such release is published, or you may not read it. `lockgate history --service NAME` lists a service's releases.",
    ),
    ("SERVICE_INVALID", "That is no service. Write it without a version, such as `shop/web`."),
    (
        "SERVICE_MISMATCH",
        "The bundle is about another service than the one that was asked for. `lockgate bundle show FILE` says about which; name that one with `--service`, or get the right bundle with `lockgate bundle get P-N`.",
    ),
    (
        "SERVICE_UNKNOWN",
        "No release of that service is published, or it is one that you may not read. `lockgate status` lists those that you may.",
    ),
];
