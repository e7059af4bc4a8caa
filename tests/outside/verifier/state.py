"""State: the fold over entries (docs/formats.md, "Applying an entry" and "Promotions")."""

import entries
import releases
from forms import Refused, service_of
from governance import Governance
from releases import Recorded, Release

GOVERNANCE = "governance"


class State:
    """What the entries so far say. A head is (seq, index)."""

    def __init__(self, bodies):
        self.bodies, self._governance, self.time = bodies, None, None
        self.releases, self.running, self.heads, self.whole, self.asked = {}, {}, {}, set(), {}

    @property
    def governance(self):
        if self._governance is None:
            raise Refused("LEDGER_EMPTY", "the ledger has no first entry")
        return self._governance

    def release(self, name):
        if name not in self.releases:
            raise Refused("RELEASE_UNKNOWN", f"{name} is not published")
        return self.releases[name]

    # --- The frame of an entry

    def check_governance_head(self, entry):
        head, named = self.heads.get(GOVERNANCE), entry.get("governance")
        if head is not None and (named is None or (named["seq"], named["index"]) != head):
            raise Refused("GOVERNANCE_GAP", "the entry names another newest governance entry")

    def _check_time(self, entry):
        if self.time is not None and entry["time"] < self.time:
            raise Refused("TIME_BACKWARDS", "the entry is earlier than the one before")

    def _follows(self, link):
        head = self.heads.get(link["stream"])
        expected = (0, None) if head is None else (head[0] + 1, head[1])
        return (link["seq"], link.get("prev")) == expected

    def _leaves_out(self, link):
        head, prev = self.heads.get(link["stream"]), link.get("prev")
        if head is None:
            return link["seq"] > 0
        return link["seq"] > head[0] + 1 and prev is not None and prev > head[1]

    def _check_frame(self, index, entry):
        if entry["schema"] != entries.SCHEMA:
            raise Refused("ENTRY_SCHEMA", "the entry's schema is not known")
        self._check_time(entry)
        self.check_governance_head(entry)
        seen = set()
        for link in entry["streams"]:
            fits = self._follows(link) or self._leaves_out(link)
            if not fits or link["stream"] in seen or link.get("prev", -1) >= index:
                raise Refused("STREAM_BROKEN", f"entry {index} is not the next of {link['stream']}")
            seen.add(link["stream"])
        if not seen.issuperset(entries.streams_of(entry)):
            raise Refused("STREAM_MISSING", f"entry {index} is not in every stream that it belongs to")

    def apply(self, index, entry):
        """Applies an entry that may leave others of its streams out."""
        self._check_frame(index, entry)
        self._apply_event(index, entry)
        for link in entry["streams"]:
            stream = link["stream"]
            if link["seq"] == 0:
                self.whole.add(stream)
            elif not self._follows(link):
                self.whole.discard(stream)
            self.heads[stream] = (link["seq"], index)
        self.time = entry["time"]

    def follow(self, index, entry):
        """Follows the chain of another release of the service: what it is, and its evidence. Says whether it does."""
        stream = "release:" + entries.release_of(entry)
        link = next((link for link in entry["streams"] if link["stream"] == stream), None)
        if link is None or entry["schema"] != entries.SCHEMA or (stream not in self.whole and link["seq"] > 0):
            return False
        if not self._follows(link):
            raise Refused("STREAM_BROKEN", f"entry {index} is not the next of {stream}")
        self._check_time(entry)
        self.check_governance_head(entry)
        if entry["event"]["type"] in ("release.published", "evidence.recorded"):
            self._apply_event(index, entry)
        self.whole.add(stream)
        self.heads[stream] = (link["seq"], index)
        self.time = entry["time"]
        return True

    def adopt_grant(self, index, entry):
        """Takes what runs somewhere from a grant of another release."""
        grant = entry["event"]["body"]
        stream = f"running:{grant['environment']}/{service_of(grant['release'])}"
        link = next((link for link in entry["streams"] if link["stream"] == stream), None)
        if link is None or entry["schema"] != entries.SCHEMA:
            raise Refused("BUNDLE_INVALID", f"entry {index} does not belong to this bundle")
        self.check_governance_head(entry)
        if stream in self.heads and link["seq"] <= self.heads[stream][0]:
            raise Refused("BUNDLE_INVALID", f"entry {index} does not belong to this bundle")
        self.heads[stream] = (link["seq"], index)
        self._set_running(grant, entry["time"])

    def _set_running(self, grant, time):
        running = {"release": grant["release"], "manifest": grant["manifest"], "promotion": grant["promotion"]}
        self.running[grant["environment"], service_of(grant["release"])] = running | {"since": time}

    # --- Events

    def _apply_event(self, index, entry):
        event, time = entry["event"], entry["time"]
        kind, body = event["type"], event["body"]
        if self._governance is not None and any(link["stream"] == GOVERNANCE for link in entry["streams"]):
            self._governance.time = max(self._governance.time, time)
        if kind == "ledger.created":
            if self._governance is not None or index != 0:
                raise Refused("LEDGER_EXISTS", "a ledger inside a ledger")
            self._governance = Governance(body, self.bodies)
        elif kind in entries.GOVERNANCE:
            self.governance.apply(event, index, time, entries.actor_of(entry), self.bodies)
        elif kind == "drill.recorded":
            record = self._by_somebody(Recorded(body, index, time, entries.actor_of(entry)))
            self.governance.check_drill(body, record.by)
        else:
            self._apply_of_release(kind, Recorded(body, index, time, entries.actor_of(entry)), entry)

    def _apply_of_release(self, kind, record, entry):
        body = record.event
        handlers = {
            "release.published": lambda: self._publish(record, entry),
            "evidence.recorded": lambda: self.release(body["release"]).add_evidence(self._by_somebody(record)),
            "promotion.requested": lambda: self._request(record, entry),
            "approval.recorded": lambda: self._approve(record),
            "approval.withdrawn": lambda: self._withdraw(record),
            "promotion.closed": lambda: self._close(record),
            "decision.recorded": lambda: self.release(body["release"]).decide(record),
            "attestations.issued": lambda: self._promotion(body).attestations.append(record),
            "grant.issued": lambda: self._grant(record, entry),
        }
        handlers[kind]()

    @staticmethod
    def _by_somebody(record):
        if record.by is None:
            raise Refused("ACTOR_MISSING", "somebody has to have acted")
        return record

    def _promotion(self, body):
        return self.release(body["release"]).promotion(body["promotion"])

    def _publish(self, record, entry):
        body = record.event
        if body["release"] in self.releases:
            raise Refused("RELEASE_EXISTS", f"{body['release']} is published already")
        release = Release(body, record.by, record.time, self.bodies)
        streams = {link["stream"] for link in entry["streams"]}
        if not streams.issuperset("artifact:" + digest for digest in release.artifacts):
            raise Refused("STREAM_MISSING", "the entry is not in the stream of each artifact")
        self._by_somebody(record)
        self.releases[body["release"]] = release

    def _request(self, record, entry):
        body = record.event
        self._by_somebody(record)
        number = next(link["seq"] + 1 for link in entry["streams"] if link["stream"] == "promotions")
        if body["promotion"] != f"P-{number}":
            raise Refused("PROMOTION_NUMBER", f"{body['promotion']} is not the next number")
        self.release(body["release"]).request(body, record.by, record.time, record.index)
        self.asked[body["promotion"]] = body["release"]

    def _approve(self, record):
        body = record.event
        record.document = releases.read_approval(
            body, self.bodies.required(body["document"]), self.governance, record.index
        )
        release = self.release(body["release"])
        promotion = release.promotion(body["promotion"])
        releases.check_binding(record.document, release, promotion)
        releases.check_review(record.document, promotion, record.time)
        target = (service_of(body["release"]), promotion.request["environment"])
        lent = body["verdict"] == "approve" and self.governance.lends_approval(body["approver"], *target, record.time)
        if not lent:
            self.governance.require(body["approver"], body["verdict"], *target)
        self.governance.check_device(body["signature"])
        release.approve(record)

    def _withdraw(self, record):
        releases.check_withdrawal(record.event, self.governance, record.index)
        self.release(record.event["release"]).take_back(record.event, record.index)

    def _close(self, record):
        body = record.event
        self.release(body["release"]).open_promotion(body["promotion"]).closed = body["cause"]

    def _grant(self, record, entry):
        body, governance = record.event, self.governance
        ttl = governance.policy.grant_ttl.get(body["environment"])
        if ttl is None or body["not_after"] > record.time + ttl:
            raise Refused("GRANT_UNFOUNDED", "the grant lasts longer than the policy set allows")
        if self.heads[GOVERNANCE][1] >= body["decision"]:
            raise Refused("GRANT_UNFOUNDED", "governance has changed between decision and grant")
        running = f"running:{body['environment']}/{service_of(body['release'])}"
        before = next((link.get("prev") for link in entry["streams"] if link["stream"] == running), None)
        if before is not None and before >= body["decision"]:
            raise Refused("GRANT_UNFOUNDED", "something else was granted between decision and grant")
        release = self.release(body["release"])
        decisions = release.promotion(body["promotion"]).decisions
        opened = decisions[-1].event.get("break_glass") if decisions else None
        if opened is not None:
            if release.has_used(opened):
                raise Refused("GRANT_UNFOUNDED", "the break-glass was used before")
            governance.check_break_glass_grant(opened, decisions[-1].event, body)
        release.grant(record)
        self._set_running(body, record.time)
