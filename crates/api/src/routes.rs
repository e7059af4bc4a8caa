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
    /// Someone with at least one of these permissions of the policy set; what each is good for, the verb says.
    AnyOf(&'static [&'static str]),
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

/// How a route is kept from requests that another site makes in somebody's browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Csrf {
    /// It changes nothing, so that there is nothing to forge.
    Safe,
    /// A cookie never authenticates it; the token stands in the `Authorization` header, which no other site can set.
    BearerOnly,
    /// A cookie may authenticate it, and then the request has to say that it comes from this server's own pages.
    CookieChecked,
}

impl Route {
    /// Whether it answers a browser with a page: refusals are pages then, and who is not signed in is sent to sign in.
    pub fn is_page(&self) -> bool {
        self.event.starts_with("page.") && self.name != "asset"
    }
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
    /// How it is kept from requests of other sites.
    pub csrf: Csrf,
    /// What the access log calls it.
    pub event: &'static str,
    /// What it does.
    pub summary: &'static str,
}

macro_rules! routes {
    ($($method:literal $path:literal $name:literal $access:expr, $body:ident, $rate:ident, $csrf:ident, $event:literal, $summary:literal;)*) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$(Route {
            method: $method, path: $path, name: $name, access: $access,
            body: BodyLimit::$body, rate: Rate::$rate, csrf: Csrf::$csrf, event: $event, summary: $summary,
        }),*];
    };
}

use Access::{AnyOf, Permission, Public, SignedIn};

routes! {
    "GET" "/" "page-pipeline" Permission("read"), None, Read, Safe, "page.pipeline", "What runs where";
    "GET" "/promotions/{id}" "page-promotion" Permission("read"), None, Read, Safe, "page.promotion", "One promotion: its gates, why it is blocked, what can be done";
    "GET" "/inbox" "page-inbox" Permission("read"), None, Read, Safe, "page.inbox", "What the person can decide now";
    "GET" "/services/{*name}" "page-service" Permission("read"), None, Read, Safe, "page.service", "One service: what runs where, its releases, going forward and back";
    "GET" "/releases/{*name}" "page-release" Permission("read"), None, Read, Safe, "page.release", "One release: artifacts, evidence, where it was";
    "GET" "/evidence/{digest}" "page-evidence" Permission("read"), None, Read, Safe, "page.evidence", "One piece of evidence as text, with what is read from it";
    "GET" "/diff" "page-diff" Permission("read"), None, Read, Safe, "page.diff", "What changes between two releases, `from` and `to`";
    "GET" "/timeline" "page-timeline" Permission("read"), None, Read, Safe, "page.timeline", "What happened, filtered";
    "GET" "/timeline.csv" "history-csv" Permission("read"), None, Read, Safe, "history.export", "What happened, filtered as `/v1/history`, for a spreadsheet: 2,000 entries at most, and it says where it was cut";
    "GET" "/log" "page-log" Permission("read"), None, Read, Safe, "page.log", "The newest checkpoint, and files verified in the browser";
    "GET" "/keys" "page-keys" Permission("read"), None, Read, Safe, "page.keys", "Keys and signers: whose, for what, until when; delegations and one's own sessions";
    "GET" "/access" "page-access" Permission("read"), None, Read, Safe, "page.access", "What someone may do and who may do something, by which line of the policy set";
    "GET" "/access/review" "page-access-review" Permission("read"), None, Read, Safe, "page.access-review", "Who may do what and what lies idle, filtered, with a form that signs the review";
    "GET" "/access/log" "page-access-log" Permission("audit"), None, Read, Safe, "page.access-log", "The access log, newest first, filtered";
    "GET" "/policy" "page-policy" Permission("read"), None, Read, Safe, "page.policy", "The active policy set with its source and tests, what is proposed, and a playground";
    "GET" "/freeze" "page-freeze" Permission("read"), None, Read, Safe, "page.freeze", "Freezes, break-glass, and when gates open and close";
    "GET" "/metrics" "page-metrics" Permission("read"), None, Read, Safe, "page.metrics", "How long promotions take and what they wait for, as charts and tables";
    "GET" "/drift" "page-drift" Permission("read"), None, Read, Safe, "page.drift", "What is granted compared with what was reported to run, filtered";
    "GET" "/changes" "page-changes" Permission("read"), None, Read, Safe, "page.changes", "Proposed changes of keys, people and policy, newest first";
    "GET" "/changes/{id}" "page-change" Permission("read"), None, Read, Safe, "page.change", "One proposed change: what it says, who signed it, and who may still";
    "GET" "/enrol" "page-enrol" Public, None, Read, Safe, "page.enrol", "The page that makes a passkey and asks to have it enrolled";
    "GET" "/sign-in" "page-sign-in" Public, None, Read, Safe, "page.sign-in", "The page that signs in with a passkey";
    "GET" "/approve/{id}" "page-approve" Public, None, Read, Safe, "page.approve", "The page that shows what an approval says and signs it with a passkey";
    "GET" "/assets/{name}" "asset" Public, None, Read, Safe, "page.asset", "A script, style or icon of the pages";
    "GET" "/healthz" "health" Public, None, Read, Safe, "health", "Whether the server can answer";
    "GET" "/readyz" "ready" Public, None, Read, Safe, "ready", "Whether it should be asked: 503 with the reason once something stored was found damaged, until the next start";
    "GET" "/openapi.json" "openapi" Public, None, Read, Safe, "openapi", "This document";
    "GET" "/checkpoint" "checkpoint" Public, None, Read, Safe, "log.checkpoint", "The newest signed checkpoint (C2SP tlog-tiles)";
    "GET" "/tile/{*path}" "tile" Public, None, Read, Safe, "log.tile", "A tile or entry bundle (C2SP tlog-tiles)";
    "GET" "/v1/server" "server" Public, None, Read, Safe, "server", "The ledger's identity and size";
    "GET" "/v1/trust" "trust" Public, None, Read, Safe, "trust", "What the ledger states a verifier should pin; compare it over another channel";
    "GET" "/v1/consistency" "consistency" Public, None, Read, Safe, "log.consistency", "Proof that the ledger grew from an older size";
    "POST" "/v1/setup" "setup" Public, Json, SignIn, BearerOnly, "setup", "Enrol the first owner with the one-time code";
    "POST" "/v1/challenges" "challenge" Public, Json, SignIn, BearerOnly, "sign-in.challenge", "Ask for a challenge to sign in with an SSH key";
    "POST" "/v1/sessions" "sign-in" Public, Json, SignIn, BearerOnly, "sign-in", "Answer a challenge; gives a short-lived token";
    "POST" "/v1/handovers" "handover" SignedIn, Json, Write, BearerOnly, "sessions.hand-over", "Make a one-time code that opens this session in a browser; lasts a minute";
    "POST" "/v1/handovers/claims" "handover-claim" Public, Json, SignIn, BearerOnly, "sign-in.hand-over", "Say whose session a code hands over, and with their name, open it in this browser";
    "GET" "/v1/oidc/start" "oidc-start" Public, None, SignIn, Safe, "sign-in.oidc.start", "Go to the identity provider to sign in; comes back to `return`, or to a command line";
    "GET" "/v1/oidc/callback" "oidc-callback" Public, None, SignIn, Safe, "sign-in.oidc.callback", "Where the identity provider sends the browser back to";
    "POST" "/v1/oidc/sessions" "oidc-session" Public, Json, SignIn, BearerOnly, "sign-in.oidc", "Exchange what the browser brought to the command line for a session";
    "POST" "/v1/oidc/accounts" "oidc-account" SignedIn, Json, Write, BearerOnly, "identities.prove", "Show that one has just signed in to an account, so that it can be bound";
    "GET" "/v1/identities" "identities" SignedIn, None, Read, Safe, "identities.list", "The accounts of identity providers that are bound to oneself; with `person`, to someone else";
    "POST" "/v1/identities" "identity-bind" SignedIn, Json, Write, CookieChecked, "identities.bind", "Bind an account to oneself, by a signature of one's own key";
    "POST" "/v1/identities/ends" "identity-unbind" SignedIn, Json, Write, CookieChecked, "identities.unbind", "End a binding: one's own, or with the permission to manage keys";
    "GET" "/v1/sessions" "sessions" SignedIn, None, Read, Safe, "sessions.list", "One's own sessions; with `person`, someone else's";
    "DELETE" "/v1/sessions/{id}" "session-end" SignedIn, None, Write, CookieChecked, "sessions.end", "End one session, or `all`; with `person`, someone else's";
    "DELETE" "/v1/sessions" "sign-out" SignedIn, None, Write, CookieChecked, "sign-out", "End this session";
    "GET" "/v1/whoami" "whoami" SignedIn, None, Read, Safe, "whoami", "Who is signed in, and what they may do";
    "POST" "/v1/passkeys/document" "passkey-document" Public, Json, SignIn, BearerOnly, "passkeys.document", "What a new passkey signs to be enrolled";
    "POST" "/v1/passkeys" "passkey-hand-in" Public, Json, SignIn, BearerOnly, "passkeys.hand-in", "Leave a new passkey for somebody to vouch for; waits ten minutes and counts for nothing before";
    "GET" "/v1/passkeys/{code}" "passkey-waiting" SignedIn, None, Read, Safe, "passkeys.show", "A passkey that waits";
    "GET" "/v1/passkeys/keys/{person}" "passkey-keys" Public, None, Read, Safe, "passkeys.keys", "The passkeys of a person that count, as the public ledger holds them";
    "GET" "/v1/people" "people" Permission("read"), None, Read, Safe, "people.list", "Everyone enrolled, with their keys";
    "POST" "/v1/people" "enrol" Permission("keys"), Json, Write, CookieChecked, "people.enrol", "Enrol a person or machine that the caller countersigned";
    "POST" "/v1/keys" "key-add" SignedIn, Json, Write, CookieChecked, "keys.add", "Add a further key to oneself, vouched for by an earlier one";
    "POST" "/v1/keys/revocations" "key-revoke" SignedIn, Json, Write, CookieChecked, "keys.revoke", "End a key: one's own, or with the permission to manage keys";
    "GET" "/v1/policy" "policy" Permission("read"), None, Read, Safe, "policy.show", "The active policy set's document";
    "POST" "/v1/policy" "policy-activate" Permission("policy"), LargeJson, Write, CookieChecked, "policy.activate", "Activate a policy set that the caller signed";
    "POST" "/v1/keys/rotations" "key-rotate" SignedIn, Json, Write, CookieChecked, "keys.rotate", "Put a new key in the place of one's own, signed by both";
    "POST" "/v1/keys/recoveries" "key-recover" Permission("keys"), Json, Write, CookieChecked, "keys.recover", "Give someone who lost their keys a new one";
    "POST" "/v1/people/suspensions" "suspend" Permission("keys"), Json, Write, CookieChecked, "people.suspend", "Suspend someone: their signatures and sessions stop counting";
    "POST" "/v1/people/reinstatements" "reinstate" Permission("keys"), Json, Write, CookieChecked, "people.reinstate", "Reinstate someone";
    "GET" "/v1/suspects" "suspects" Permission("read"), None, Read, Safe, "suspects.list", "What rested on keys that were found compromised later";
    "GET" "/v1/changes" "changes" Permission("read"), None, Read, Safe, "changes.list", "Proposed changes of keys, people and policy, newest first";
    "GET" "/v1/changes/{id}" "change" Permission("read"), None, Read, Safe, "changes.show", "One proposed change, with everything that a signer needs";
    "POST" "/v1/changes/{id}/signatures" "change-sign" SignedIn, Json, Write, CookieChecked, "changes.sign", "Sign a proposed change; the last signature makes it happen";
    "POST" "/v1/changes/{id}/rejection" "change-reject" SignedIn, Json, Write, CookieChecked, "changes.reject", "Reject a proposed change, which ends it";
    "POST" "/v1/ci/tokens" "ci-token" Public, Json, SignIn, BearerOnly, "ci.token", "Exchange the token of a CI job for a short-lived one that is scoped to its services";
    "GET" "/v1/ci/trusts" "ci-trusts" Permission("read"), None, Read, Safe, "ci.trusts", "Which pipelines count, and for which services";
    "POST" "/v1/ci/trusts" "ci-trust" Permission("keys"), Json, Write, CookieChecked, "ci.trust", "Trust pipelines, by a signature of the caller";
    "POST" "/v1/ci/trusts/removals" "ci-untrust" Permission("keys"), Json, Write, CookieChecked, "ci.untrust", "End a trust, by a signature of the caller";
    "GET" "/v1/waivers" "waivers" Permission("read"), None, Read, Safe, "waivers.list", "Waivers and requests for them, newest first";
    "POST" "/v1/waivers/requests" "waiver-request" SignedIn, Json, Write, CookieChecked, "waivers.request", "Ask for a waiver, by a signature; another person grants it";
    "POST" "/v1/waivers/ends" "waiver-revoke" SignedIn, Json, Write, CookieChecked, "waivers.revoke", "End a waiver or a request, by a signature of who asked, who granted, or who may";
    "GET" "/v1/feeds" "feeds" Permission("read"), None, Read, Safe, "feeds.list", "Recorded snapshots of the feeds of vulnerabilities, newest first";
    "PUT" "/v1/feeds/{kind}" "feed-update" Permission("feeds"), Blob, Write, BearerOnly, "feeds.update", "Record a snapshot of a feed, `kev` or `epss`; refused when it does not read";
    "POST" "/v1/waivers" "waive" Permission("waive"), Json, Write, CookieChecked, "waivers.grant", "Grant a waiver that another person asked for and signed";
    "PUT" "/v1/blobs" "blob-put" Permission("push"), Blob, Write, BearerOnly, "blobs.put", "Upload an artifact or a report; `Lockgate-Digest` may declare its digest";
    "GET" "/v1/blobs/{digest}" "blob-get" Permission("read"), None, Read, Safe, "blobs.get", "Download bytes by digest. Where those that are stored are others: 502 up to 1 MiB; more of them break off before the last piece, so compare the length and the digest";
    "HEAD" "/v1/blobs/{digest}" "blob-head" Permission("read"), None, Read, Safe, "blobs.head", "Whether bytes are here";
    "POST" "/v1/releases" "publish" Permission("push"), LargeJson, Write, BearerOnly, "releases.publish", "Publish a release with its evidence";
    "POST" "/v1/evidence" "attest" AnyOf(&["attest", "deploy"]), LargeJson, Write, BearerOnly, "evidence.record", "Record evidence about a release; who may deploy and no more, reports of what runs there";
    "POST" "/v1/promotions" "promote" Permission("request"), Json, Write, CookieChecked, "promotions.request", "Ask that a release be let into an environment";
    "POST" "/v1/rollbacks" "rollback" Permission("rollback"), Json, Write, CookieChecked, "rollbacks.request", "Ask to go back to an earlier release";
    "GET" "/v1/promotions/{id}" "why" Permission("read"), None, Read, Safe, "promotions.show", "A promotion with every gate";
    "GET" "/v1/promotions/{id}/document" "approval-document" Permission("read"), None, Read, Safe, "promotions.document", "What the caller would sign to approve or reject, and how it reads";
    "GET" "/v1/promotions/{id}/facts" "facts" Permission("read"), None, Read, Safe, "promotions.facts", "The facts that the gates of a promotion saw, or would see now";
    "GET" "/v1/promotions/{id}/bundle" "bundle" Permission("read"), None, Read, Safe, "promotions.bundle", "One file that proves the decision, offline";
    "POST" "/v1/promotions/{id}/approvals" "approve" SignedIn, Json, Write, CookieChecked, "promotions.approve", "Hand in a signed approval or rejection";
    "POST" "/v1/promotions/{id}/withdrawal" "withdraw" Permission("withdraw"), Json, Write, CookieChecked, "promotions.withdraw", "Take a promotion back";
    "POST" "/v1/promotions/{id}/approvals/withdrawal" "approval-withdraw" SignedIn, Json, Write, CookieChecked, "promotions.take-back", "Take one's own approvals back, by a signature";
    "GET" "/v1/delegations" "delegations" Permission("read"), None, Read, Safe, "delegations.list", "Who has lent whom the right to approve, newest first";
    "POST" "/v1/delegations" "delegate" SignedIn, Json, Write, CookieChecked, "delegations.grant", "Lend someone the right to approve, by a signature of the lender";
    "POST" "/v1/delegations/ends" "delegation-end" SignedIn, Json, Write, CookieChecked, "delegations.end", "End a delegation, by a signature of the lender, the delegate or a manager of keys";
    "GET" "/v1/freezes" "freezes" Permission("read"), None, Read, Safe, "freezes.list", "Emergency freezes, newest first";
    "POST" "/v1/freezes" "freeze" Permission("freeze"), Json, Write, CookieChecked, "freezes.order", "Stop a service, an environment or everything, by a signature";
    "POST" "/v1/freezes/lifts" "freeze-lift" Permission("freeze"), Json, Write, CookieChecked, "freezes.lift", "Lift a freeze, by a signature";
    "GET" "/v1/break-glass" "break-glasses" Permission("read"), None, Read, Safe, "break-glass.list", "What people let past the gates, and whether it was reviewed, newest first";
    "POST" "/v1/break-glass" "break-glass" Permission("break-glass"), Json, Write, CookieChecked, "break-glass.open", "Let a release past the gates in an emergency, by a signature";
    "POST" "/v1/break-glass/signatures" "break-glass-sign" Permission("break-glass"), Json, Write, CookieChecked, "break-glass.sign", "Sign what somebody else opened; the last signature makes it count";
    "POST" "/v1/break-glass/reviews" "break-glass-review" SignedIn, Json, Write, CookieChecked, "break-glass.review", "Hand in a signed review by somebody who did not sign it; it ends the alarm";
    "GET" "/v1/approvers" "approvers" Permission("audit"), None, Read, Safe, "approvers.list", "How fast people approve, and whose requests";
    "GET" "/v1/grants" "grant" Permission("read"), None, Read, Safe, "grants.find", "By which promotion an artifact may run in an environment now";
    "GET" "/v1/status" "status" Permission("read"), None, Read, Safe, "status", "What runs where, and what is open";
    "GET" "/v1/matrix" "matrix" Permission("read"), None, Read, Safe, "matrix", "What runs where and what waits for what, filtered";
    "POST" "/v1/pins" "pin" Permission("read"), Json, Write, CookieChecked, "matrix.pin", "Show a service before all others in the pipeline, or no longer, in this browser alone: the reply sets a cookie";
    "GET" "/v1/drift" "drift" Permission("read"), None, Read, Safe, "drift", "What is granted compared with what was reported to run, filtered";
    "GET" "/v1/metrics" "metrics" Permission("read"), None, Read, Safe, "metrics", "How long promotions take, what they wait for, and what fails";
    "GET" "/v1/inbox" "inbox" Permission("read"), None, Read, Safe, "inbox", "What the caller can decide now: promotions, changes, alarms";
    "POST" "/v1/inbox/snoozes/{id}" "snooze" Permission("read"), Json, Write, CookieChecked, "inbox.snooze", "Fold a promotion or change of one's own inbox away for a while, in this browser alone: the reply sets a cookie";
    "DELETE" "/v1/inbox/snoozes/{id}" "wake" Permission("read"), None, Write, CookieChecked, "inbox.wake", "Show a line of the inbox again that this browser folded away";
    "GET" "/v1/services/{*name}" "service" Permission("read"), None, Read, Safe, "services.show", "One service: what runs and ran where, its releases and their promotions";
    "GET" "/v1/releases/{*name}" "release" Permission("read"), None, Read, Safe, "releases.show", "One release: artifacts, evidence, where it runs and ran";
    "GET" "/v1/history" "history" Permission("read"), None, Read, Safe, "history", "One stream of the ledger or all of it, newest first, filtered";
    "GET" "/v1/people/{person}/access" "access-of" Permission("read"), None, Read, Safe, "rights.show", "What someone may do, where, and by which line of the policy set";
    "GET" "/v1/permissions/{permission}" "access-who" Permission("read"), None, Read, Safe, "rights.who", "Who has a permission, for a service in an environment";
    "GET" "/v1/access-reviews" "access-review" Permission("read"), None, Read, Safe, "reviews.show", "Who may do what and what lies idle, as a reviewer would sign it now";
    "POST" "/v1/access-reviews" "access-review-sign" SignedIn, LargeJson, Write, CookieChecked, "reviews.sign", "Hand in a signed access review";
    "POST" "/v1/drills" "drill-record" Permission("audit"), LargeJson, Write, BearerOnly, "drills.record", "Record what came of attacks on a copy of the data";
    "GET" "/v1/diff" "diff" Permission("read"), None, Read, Safe, "diff", "What changes between two releases, and which gates come out differently for them";
    "GET" "/v1/where" "where" Permission("read"), None, Read, Safe, "where", "Which releases contain, or were built, signed or found by something, and where they run or ran";
    "GET" "/v1/access" "access-log" Permission("audit"), None, Read, Safe, "access.list", "The access log, newest first";
    "GET" "/v1/access/checkpoint" "access-checkpoint" Permission("audit"), None, Read, Safe, "access.checkpoint", "The newest signed checkpoint of the access log";
    "GET" "/v1/access/entries" "access-entries" Permission("audit"), None, Read, Safe, "access.export", "Entries of the access log as they were hashed, one a line, oldest first";
    "GET" "/v1/events" "events" Permission("read"), None, Read, Safe, "events", "The ledger's entries as server-sent events, from an index on";
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
            let safe = matches!(route.method, "GET" | "HEAD");
            assert_eq!(route.csrf == Csrf::Safe, safe, "{}", route.path);
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
                "page-enrol",
                "page-sign-in",
                "page-approve",
                "asset",
                "health",
                "ready",
                "openapi",
                "checkpoint",
                "tile",
                "server",
                "trust",
                "consistency",
                "setup",
                "challenge",
                "sign-in",
                "handover-claim",
                "oidc-start",
                "oidc-callback",
                "oidc-session",
                "passkey-document",
                "passkey-hand-in",
                "passkey-keys",
                "ci-token"
            ]
        );
    }
}
