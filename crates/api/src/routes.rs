//! The route table: the only way to a handler.

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone who can reach the server.
    Public,
    /// Anyone signed in.
    SignedIn,
    /// Someone with this permission of the policy set.
    Permission(&'static str),
}

/// How large a request body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// No body.
    None,
    /// A JSON document.
    Json,
    /// A JSON document that may carry evidence.
    LargeJson,
    /// An artifact or a report, streamed.
    Blob,
}

/// How a route is rate-limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Cheap reads.
    Read,
    /// Writes.
    Write,
    /// Sign-in and set-up: slow on purpose.
    SignIn,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `PUT`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path, with `{name}` for a part and `{*name}` for the rest.
    pub path: &'static str,
    /// A name for it; handlers are registered by this.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// How large its body may be.
    pub body: BodyLimit,
    /// How it is rate-limited.
    pub rate: Rate,
    /// What the access log calls it.
    pub event: &'static str,
    /// What it does.
    pub summary: &'static str,
}

macro_rules! routes {
    ($($method:literal $path:literal $name:literal $access:expr, $body:ident, $rate:ident, $event:literal, $summary:literal;)*) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$(Route {
            method: $method, path: $path, name: $name, access: $access,
            body: BodyLimit::$body, rate: Rate::$rate, event: $event, summary: $summary,
        }),*];
    };
}

use Access::{Permission, Public, SignedIn};

routes! {
    "GET" "/" "home" Public, None, Read, "page.home", "What this server is, for a browser";
    "GET" "/healthz" "health" Public, None, Read, "health", "Whether the server can answer";
    "GET" "/openapi.json" "openapi" Public, None, Read, "openapi", "This document";
    "GET" "/checkpoint" "checkpoint" Public, None, Read, "log.checkpoint", "The newest signed checkpoint (C2SP tlog-tiles)";
    "GET" "/tile/{*path}" "tile" Public, None, Read, "log.tile", "A tile or entry bundle (C2SP tlog-tiles)";
    "GET" "/v1/server" "server" Public, None, Read, "server", "The ledger's identity and size";
    "GET" "/v1/trust" "trust" Public, None, Read, "trust", "What the ledger states a verifier should pin; compare it over another channel";
    "GET" "/v1/consistency" "consistency" Public, None, Read, "log.consistency", "Proof that the ledger grew from an older size";
    "POST" "/v1/setup" "setup" Public, Json, SignIn, "setup", "Enrol the first owner with the one-time code";
    "POST" "/v1/challenges" "challenge" Public, Json, SignIn, "sign-in.challenge", "Ask for a challenge to sign in with an SSH key";
    "POST" "/v1/sessions" "sign-in" Public, Json, SignIn, "sign-in", "Answer a challenge; gives a short-lived token";
    "DELETE" "/v1/sessions" "sign-out" SignedIn, None, Write, "sign-out", "End this session";
    "GET" "/v1/whoami" "whoami" SignedIn, None, Read, "whoami", "Who is signed in, and what they may do";
    "GET" "/v1/people" "people" Permission("read"), None, Read, "people.list", "Everyone enrolled, with their keys";
    "POST" "/v1/people" "enrol" Permission("keys"), Json, Write, "people.enrol", "Enrol a person or machine that the caller countersigned";
    "POST" "/v1/keys" "key-add" SignedIn, Json, Write, "keys.add", "Add a further key to oneself, vouched for by an earlier one";
    "POST" "/v1/keys/revocations" "key-revoke" SignedIn, Json, Write, "keys.revoke", "End a key: one's own, or with the permission to manage keys";
    "GET" "/v1/policy" "policy" Permission("read"), None, Read, "policy.show", "The active policy set's document";
    "POST" "/v1/policy" "policy-activate" Permission("policy"), LargeJson, Write, "policy.activate", "Activate a policy set that the caller signed";
    "POST" "/v1/waivers" "waive" Permission("waive"), Json, Write, "waivers.grant", "Grant a waiver that another person asked for and signed";
    "PUT" "/v1/blobs" "blob-put" Permission("push"), Blob, Write, "blobs.put", "Upload an artifact or a report; `Lockgate-Digest` may declare its digest";
    "GET" "/v1/blobs/{digest}" "blob-get" Permission("read"), None, Read, "blobs.get", "Download bytes by digest";
    "HEAD" "/v1/blobs/{digest}" "blob-head" Permission("read"), None, Read, "blobs.head", "Whether bytes are here";
    "POST" "/v1/releases" "publish" Permission("push"), LargeJson, Write, "releases.publish", "Publish a release with its evidence";
    "POST" "/v1/evidence" "attest" Permission("attest"), LargeJson, Write, "evidence.record", "Record evidence about a release";
    "POST" "/v1/promotions" "promote" Permission("request"), Json, Write, "promotions.request", "Ask that a release be let into an environment";
    "POST" "/v1/rollbacks" "rollback" Permission("rollback"), Json, Write, "rollbacks.request", "Ask to go back to an earlier release";
    "GET" "/v1/promotions/{id}" "why" Permission("read"), None, Read, "promotions.show", "A promotion with every gate";
    "GET" "/v1/promotions/{id}/bundle" "bundle" Permission("read"), None, Read, "promotions.bundle", "One file that proves the decision, offline";
    "POST" "/v1/promotions/{id}/approvals" "approve" SignedIn, Json, Write, "promotions.approve", "Hand in a signed approval or rejection";
    "POST" "/v1/promotions/{id}/withdrawal" "withdraw" Permission("withdraw"), Json, Write, "promotions.withdraw", "Take a promotion back";
    "GET" "/v1/grants" "grant" Permission("read"), None, Read, "grants.find", "By which promotion an artifact may run in an environment now";
    "GET" "/v1/status" "status" Permission("read"), None, Read, "status", "What runs where, and what is open";
    "GET" "/v1/history" "history" Permission("read"), None, Read, "history", "One stream of the ledger, newest first";
    "GET" "/v1/diff" "diff" Permission("read"), None, Read, "diff", "What changes between two releases";
    "GET" "/v1/events" "events" Permission("read"), None, Read, "events", "The ledger's entries as server-sent events, from an index on";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_paths_are_unique_and_writes_have_a_body_limit() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        let paths: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
        assert_eq!((names.len(), paths.len()), (ROUTES.len(), ROUTES.len()));
        for route in ROUTES {
            assert!(!route.event.is_empty() && !route.summary.is_empty(), "{}", route.path);
            assert_eq!(
                route.body == BodyLimit::None,
                matches!(route.method, "GET" | "HEAD" | "DELETE"),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn only_what_must_be_public_is_public() {
        let public: Vec<_> =
            ROUTES.iter().filter(|route| route.access == Access::Public).map(|route| route.name).collect();
        assert_eq!(
            public,
            [
                "home",
                "health",
                "openapi",
                "checkpoint",
                "tile",
                "server",
                "trust",
                "consistency",
                "setup",
                "challenge",
                "sign-in"
            ]
        );
    }
}
