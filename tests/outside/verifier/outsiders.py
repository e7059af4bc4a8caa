"""CI trust, accounts of identity providers, feeds and access reviews (docs/formats.md, "Governance")."""

import re

import entries
from forms import Malformed, Refused, is_blank, is_control

IDENTITY, REVIEW = "identity-binding.v1@lockgate.dev", "access-review.v1@lockgate.dev"
CI_TRUST = "ci-trust.v1@lockgate.dev"
TRUSTS_MAX, CLAIMS_MAX, SERVICES_MAX, TEXT_MAX, IDENTITIES_MAX = 1000, 16, 64, 512, 16
REGISTERED = ("iss", "aud", "exp", "nbf", "iat", "jti")
IDS = {"github": ("repository_owner_id", "repository_id"), "gitlab": ("namespace_id", "project_id"), "oidc": ()}
OWN_PROVIDER = {"https://token.actions.githubusercontent.com": "github", "https://gitlab.com": "gitlab"}
FEED_MAX_BYTES = 64 << 20
AHEAD_MAX = 86_400_000
DRILL_TOOL_MAX_BYTES = 128
_URL = re.compile(r"(https?)://(?:\[([A-Za-z0-9.:-]+)\]|([A-Za-z0-9.-]+))(?::([0-9]+))?(?:[/?].*)?", re.ASCII)


def reach(url):
    """`remote` or `loopback`; None for what is no address that counts."""
    if len(url) > TEXT_MAX or not all(0x21 <= ord(c) <= 0x7E and c not in '#\\"<>' for c in url):
        return None
    match = _URL.fullmatch(url)
    if not match or not 0 < int(match[4] or "443") <= 0xFFFF:
        return None
    loopback = (match[2] or match[3]).lower() in ("127.0.0.1", "localhost", "::1")
    if loopback:
        return "loopback"
    return "remote" if match[1] == "https" else None


def _is_plain(text):
    edges = text[:1] + text[-1:]
    return 1 <= len(text.encode()) <= TEXT_MAX and not any(map(is_control, text)) and not any(map(is_blank, edges))


class Outsiders:
    """A part of Governance."""

    def begin_outsiders(self):
        self.ci_trusts, self._ci_documents, self._accounts, self.feeds = {}, set(), {}, []
        self._reviewed_at = -1

    def apply_outsider(self, kind, event, index, time, actor, bodies):
        handlers = {
            "ci.trusted": lambda: self._trust_ci(event, index),
            "ci.untrusted": lambda: self._untrust_ci(event, index),
            "identity.bound": lambda: self._bind(event, index),
            "identity.unbound": lambda: self._unbind(event, index),
            "feed.recorded": lambda: self._record_feed(event, index, time, actor),
            "access.reviewed": lambda: self._review(event, index, bodies),
        }
        handlers[kind]()

    # --- CI trust

    def ci_trust_document(self, event):
        fields = ("provider", "machine", "groups", "issuer", "audience", "claims", "services", "nonce", "by")
        return self.document("ci-trust", jwks_url=event.get("jwks_url"), **{key: event[key] for key in fields})

    def _trust_ci(self, event, index):
        self._check_ci_form(event)
        demand = self.demand_of("ci.trusted", event)
        signed = self.verify_signers(demand, index)
        self._check_ci_beside(event, demand.digest)
        machine = self.people.get(event["machine"])
        if machine is not None and (machine.kind != "machine" or machine.groups != event["groups"]):
            raise Refused("CI_MACHINE_INVALID", "a person, or a machine with other groups")
        if machine is None and any(group not in self.policy.groups for group in event["groups"]):
            raise Refused("GROUP_UNKNOWN", "the policy set has no such group")
        quorum = self.check_quorum(demand, signed)
        self.settle(demand)
        if machine is None:
            self.people[event["machine"]] = self.new_machine(event["groups"], index)
        self._vouch(index, "ci.trusted", quorum, signed, "ci", event["machine"])
        self._ci_documents.add(demand.digest)
        self.ci_trusts[index] = event

    def _check_ci_beside(self, event, digest):
        if digest in self._ci_documents:
            raise Refused("CI_TRUST_REPLAYED", "this document was used before")
        if len(self.ci_trusts) >= TRUSTS_MAX:
            raise Refused("CI_TRUST_LIMIT", "there are too many trusts")
        for other in self.ci_trusts.values():
            if all(other[key] == event[key] for key in ("issuer", "audience", "claims")):
                raise Refused("CI_TRUST_EXISTS", "these pipelines act already")
        for other in self.ci_trusts.values():
            if other["issuer"] == event["issuer"] and other.get("jwks_url") != event.get("jwks_url"):
                raise Refused("CI_TRUST_KEYS", "the issuer has another source of keys")

    @staticmethod
    def _check_ci_form(event):
        issuer, url = reach(event["issuer"]), event.get("jwks_url")
        sound = issuer is not None and "?" not in event["issuer"]
        sound = sound and (url is None or (reach(url) is not None and (issuer == "loopback" or reach(url) == "remote")))
        sound = sound and _is_plain(event["audience"]) and re.fullmatch(r"[0-9a-f]{16,64}", event["nonce"], re.ASCII)
        services, claims = event["services"], event["claims"]
        sound = sound and 1 <= len(services) <= SERVICES_MAX and sorted(set(services)) == services
        sound = sound and 1 <= len(claims) <= CLAIMS_MAX
        for name, value in claims.items():
            sound = sound and _is_plain(name) and _is_plain(value)
            sound = sound and len(name.encode()) <= 64 and name not in REGISTERED
        if not sound:
            raise Refused("CI_TRUST_INVALID", "the trust's fields are not what they should be")
        ids = IDS[event["provider"]]
        numeric = all(re.fullmatch(r"[0-9]{0,20}", claims.get(name, "-"), re.ASCII) for name in ids)
        own = OWN_PROVIDER.get(event["issuer"], event["provider"])
        if own != event["provider"] or not numeric or (ids and "sub" in claims):
            raise Refused("CI_TRUST_IDS", "the trust does not name what it has to name")

    def _untrust_ci(self, event, index):
        by = event["by"]
        self.check_signer(by, "keys")
        document = self.document("ci-trust-end", trust=event["trust"], reason=event["reason"], by=by)
        key = self.verify_signature(by, event["signature"], CI_TRUST, document, index)
        self.check_scope(by, key)
        if self.ci_trusts.pop(event["trust"], None) is None:
            raise Refused("CI_TRUST_UNKNOWN", "no trust counts there")

    # --- Accounts of identity providers: {"person", "bound_at", "ended"} by issuer and subject; None while it is bound

    def _bind(self, event, index):
        person, account = event["person"], (event["issuer"], event["subject"])
        graphic = all(re.fullmatch(r"[\x20-\x7e]+", text, re.ASCII) for text in account)
        scheme = account[0].startswith(("https://", "http://"))
        if not graphic or not scheme or len(account[0]) > 512 or len(account[1]) > 255:
            raise Refused("IDENTITY_INVALID", "not an account")
        known = self._accounts.get(account)
        if known and (known["ended"] is None or known["person"] != person):
            raise Refused("KEY_ALREADY_BOUND", "the account belongs to somebody")
        self.require_person(person)
        if sum(one["person"] == person for one in self._accounts.values()) >= IDENTITIES_MAX:
            raise Refused("IDENTITY_INVALID", f"{person} has too many accounts")
        if event.get("after") != (known["ended"] if known else None):
            raise Refused("IDENTITY_STALE", "the binding names another end than the account's last")
        after = {"after": event["after"]} if "after" in event else {}
        document = self.document("identity-binding", person=person, issuer=account[0], subject=account[1], **after)
        self.verify_signature(person, event["signature"], IDENTITY, document, index)
        self._accounts[account] = {"person": person, "bound_at": index, "ended": None}

    def _unbind(self, event, index):
        person, by, account = event["person"], event["by"], (event["issuer"], event["subject"])
        known = self._accounts.get(account)
        if not known or known["ended"] is not None or known["person"] != person:
            raise Refused("IDENTITY_UNKNOWN", f"{person} has no such account")
        if by != person:
            self.require(by, "keys")
        document = self.document(
            "identity-unbinding", person=person, issuer=account[0], subject=account[1], bound_at=known["bound_at"],
            reason=event["reason"],
        )  # fmt: skip
        self.verify_signature(by, event["signature"], IDENTITY, document, index)
        known["ended"] = index

    # --- Feeds: (event, index)

    def feed(self, kind):
        """The newest snapshot of a kind as (event, index), or None."""
        return next((known for known in reversed(self.feeds) if known[0]["feed"] == kind), None)

    def _record_feed(self, event, index, time, actor):
        if actor is None:
            raise Refused("ACTOR_MISSING", "somebody records a feed")
        self.require(actor, "feeds")
        if event["rows"] == 0 or event["size_bytes"] == 0:
            raise Refused("FEED_MALFORMED", "a snapshot tells of something")
        if event["size_bytes"] > FEED_MAX_BYTES:
            raise Refused("FEED_TOO_LARGE", "the snapshot is too large")
        if event["date"] > time + AHEAD_MAX:
            raise Refused("FEED_FUTURE", "the snapshot is of the future")
        newest = self.feed(event["feed"])
        if newest and newest[0]["digest"] == event["digest"]:
            raise Refused("FEED_KNOWN", "this snapshot is the newest already")
        if newest and event["date"] < newest[0]["date"]:
            raise Refused("FEED_OLDER", "the snapshot is older than the newest")
        self.feeds.append((event, index))

    # --- Drills, which no decision rests on

    def check_drill(self, event, by):
        self.require(by, "audit")
        tool = event["tool"]
        plain = 1 <= len(tool.encode()) <= DRILL_TOOL_MAX_BYTES and not any(map(is_control, tool))
        if event["tried"] == 0 or event["caught"] > event["tried"] or not plain:
            raise Refused("DRILL_INVALID", "the numbers or the tool of a drill")

    # --- Access reviews

    def _review(self, event, index, bodies):
        by = event["by"]
        if not self.allows(by, "audit") and not self.allows(by, "keys"):
            raise Refused("NOT_PERMITTED", f"{by} may not review")
        self.require_person(by)
        data = bodies.required(event["review"])
        try:
            review = entries.read_document(entries.REVIEW, data)
        except Malformed as error:
            raise Refused("DOCUMENT_INVALID", str(error)) from error
        if review["ledger"] != self.origin or review["reviewed_at_index"] > index:
            raise Refused("REVIEW_TARGET", "the review is of another ledger")
        people = []
        for name in sorted(self.people):
            person = self.people[name]
            row = {"person": name, "subject": person.kind, "groups": person.groups}
            people.append(row | ({"suspended": True} if person.is_suspended() else {}))
        if review["policy"] != self.policy_digest or review["people"] != people:
            raise Refused("REVIEW_STALE", "the review shows other people")
        if review["reviewed_at_index"] <= self._reviewed_at:
            raise Refused("REVIEW_REPLAYED", "a review of the same ledger, or of a longer one, is recorded already")
        self.verify_signature(by, event["signature"], REVIEW, data, index)
        self._reviewed_at = review["reviewed_at_index"]
