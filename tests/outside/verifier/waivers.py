"""Waivers in the governance state (docs/formats.md, "Governance")."""

from forms import TEXT_MAX_BYTES, Refused, is_blank, service_of
from policyset import WAIVABLE

NAMESPACE = "waiver.v1@lockgate.dev"
DAY = 86_400_000
DAYS_MAX = 90
TICKET_MAX_BYTES = 256
_TERMS = (
    "gate", "finding", "service", "environment", "release", "artifact", "reason", "ticket", "expires_at", "asked_by",
)  # fmt: skip


def terms(event):
    """What a waiver is for: the fields of its document."""
    return {key: event[key] for key in _TERMS if key in event}


class Waivers:
    """A part of Governance. A waiver: {"terms", "signature", "request", "granted", "ended"}."""

    def begin_waivers(self):
        self.waivers = []

    def apply_waiver(self, kind, event, index, time):
        if kind == "waiver.requested":
            self._request_waiver(event, index, time)
        elif kind == "waiver.granted":
            self._grant_waiver(event, index, time)
        else:
            self._revoke_waiver(event, index)

    def _request_waiver(self, event, index, time):
        asked, by = terms(event), event["asked_by"]
        self._check_terms(asked)
        self._check_length(asked["expires_at"], time)
        self.require_person(by)
        self.require(by, "read", asked["service"], asked["environment"])
        if any(known["terms"] == asked for known in self.waivers):
            raise Refused("WAIVER_REPLAYED", "this very waiver was asked for before")
        key = self.verify_signature(by, event["signature"], NAMESPACE, self.document("waiver", **asked), index)
        self.check_scope(by, key, asked["environment"])
        signature = event["signature"]
        self.waivers.append(
            {"terms": asked, "signature": signature, "request": index, "granted": None, "ended": False}
        )

    def _grant_waiver(self, event, index, time):
        asked = terms(event)
        asker, granter = event["asked_by"], event["granted_by"]
        if self.policy.person(asker) == self.policy.person(granter):
            raise Refused("SOD_SELF", "a waiver takes two people")
        self._check_length(asked["expires_at"], time)
        if asked["finding"] == "" or is_blank(asked["reason"]):
            raise Refused("WAIVER_SCOPE", "a waiver names one finding and a reason")
        self.require(granter, "waive", asked["service"], asked["environment"])
        known = self._check_request(event, asked, time)
        signed = []
        for person in (asker, granter):
            self.require_person(person)
        document = self.document("waiver", **asked)
        for person, signature in ((asker, event["asked_signature"]), (granter, event["granted_signature"])):
            key = self.verify_signature(person, signature, NAMESPACE, document, index)
            self.check_scope(person, key, asked["environment"])
            signed.append((person, key))
        what = ("waiver", asked["gate"], asked["service"], asked["environment"])
        self._vouch(index, "waiver.granted", 2, signed, *what)
        if known is None:
            known = {"terms": asked, "signature": event["asked_signature"], "request": None, "ended": False}
            self.waivers.append(known)
        known["granted"] = {"index": index, "time": time, "by": granter, "signed": signed}

    def _check_request(self, event, asked, time):
        if "request" not in event:
            if self.policy.waivers and self.policy.waivers["two_people"]:
                raise Refused("WAIVER_REQUEST", "waivers are asked for in the ledger")
            if self.policy.waivers:
                self._check_terms(asked)
            self._check_unused(asked)
            return None
        known = next((known for known in self.waivers if known["request"] == event["request"]), None)
        if known is None:
            raise Refused("WAIVER_UNKNOWN", "no waiver was asked for there")
        if known["granted"] or known["ended"] or known["terms"]["expires_at"] <= time:
            raise Refused("WAIVER_OVER", "the request is not open")
        if known["terms"] != asked or known["signature"] != event["asked_signature"]:
            raise Refused("WAIVER_MISMATCH", "this is not what was asked for")
        # The same signatures may have made a waiver without this request.
        self._check_unused(asked)
        self._check_terms(asked)
        return known

    def _check_unused(self, asked):
        if any((known["granted"] or known["ended"]) and known["terms"] == asked for known in self.waivers):
            raise Refused("WAIVER_REPLAYED", "this very waiver was granted or revoked before")

    def _revoke_waiver(self, event, index):
        at, by = event["waiver"], event["by"]

        def goes_by(known):
            return at == known["request"] or bool(known["granted"]) and known["granted"]["index"] == at

        known = next(filter(goes_by, self.waivers), None)
        if known is None:
            raise Refused("WAIVER_UNKNOWN", "no waiver stands there")
        if known["ended"]:
            raise Refused("WAIVER_OVER", "it has ended already")
        asked = known["terms"]
        own = by == asked["asked_by"] or bool(known["granted"]) and known["granted"]["by"] == by
        may = self.allows(by, "waive", asked["service"], asked["environment"]) or self.allows(by, "keys")
        if not own and not may:
            raise Refused("NOT_PERMITTED", f"{by} has nothing to do with this waiver")
        self.check_text(event["reason"])
        document = self.document("waiver-end", waiver=at, reason=event["reason"])
        self.verify_signature(by, event["signature"], NAMESPACE, document, index)
        known["ended"] = True

    def _check_terms(self, asked):
        gate = next((gate for gate in self.policy.gates if gate.name == asked["gate"]), None)
        if gate is None:
            raise Refused("GATE_UNKNOWN", "the policy set has no such gate")
        if gate.kind not in WAIVABLE:
            raise Refused("WAIVER_GATE", "nothing of that gate can be waived")
        finding, only, rules = asked["finding"], asked.get("release"), self.policy.waivers
        applies = gate.applies_to(asked["environment"], asked["service"])
        if not applies or is_blank(finding) or len(finding.encode()) > TEXT_MAX_BYTES:
            raise Refused("WAIVER_SCOPE", "the gate asks nothing there, or no finding is named")
        if only is not None and service_of(only) != asked["service"]:
            raise Refused("WAIVER_SCOPE", "the release is of another service")
        if only is None and "artifact" not in asked and rules and not rules["service_wide"]:
            raise Refused("WAIVER_SCOPE", "the waiver names neither release nor artifact")
        ticket = asked.get("ticket")
        if ticket is None:
            sound = not rules or not rules["ticket"]
        else:
            sound = not is_blank(ticket) and len(ticket.encode()) <= TICKET_MAX_BYTES
        if not sound:
            raise Refused("WAIVER_TICKET", "the waiver needs a ticket")
        self.check_text(asked["reason"])

    def _check_length(self, expires_at, time):
        length = expires_at - time
        if length <= 0 or length > DAYS_MAX * DAY:
            raise Refused("WAIVER_EXPIRY", "a waiver ends within 90 days")
        if self.policy.waivers and length > self.policy.waivers["max_days"] * DAY:
            raise Refused("WAIVER_TOO_LONG", "the policy set wants shorter waivers")

    def waivers_for(self, release, artifacts, environment):
        """The waivers of the facts."""
        found = []
        for known in self.waivers:
            asked, granted = known["terms"], known["granted"]
            covers = (
                asked["service"] == service_of(release)
                and asked["environment"] == environment
                and asked.get("release", release) == release
                and ("artifact" not in asked or asked["artifact"] in artifacts)
            )
            if not granted or known["ended"] or not covers:
                continue
            if not all(self.counted_at(signed, granted["index"]) for signed in granted["signed"]):
                continue
            if granted["by"] in self.people and self.people[granted["by"]].is_suspended():
                continue
            kept = ("gate", "finding", "asked_by", "expires_at", "release", "artifact")
            fact = {key: asked[key] for key in kept if key in asked}
            fact |= {"granted_by": granted["by"], "index": granted["index"]}
            found.append(fact | ({"granted_at": granted["time"]} if self.policy.waivers else {}))
        return sorted(found, key=lambda fact: fact["index"])
