"""Releases and promotions, folded from their own stream (docs/formats.md, "Promotions", "Approval document")."""

import entries
from forms import Malformed, Refused, digest_of

APPROVAL, WITHDRAWAL = "promotion-approval.v1@lockgate.dev", "approval-withdrawal.v1@lockgate.dev"
EVIDENCE_MAX, APPROVALS_MAX, ARTIFACTS_MAX, REASON_MAX_BYTES = 1000, 64, 64, 4096
CLOCK_SLACK = 300_000


class Recorded:
    """An event with where and when it was recorded."""

    def __init__(self, event, index, time, by=None):
        self.event, self.index, self.time, self.by = event, index, time, by
        self.document = self.withdrawn = None


class Promotion:
    """One promotion of a release."""

    def __init__(self, request, by, time, index):
        self.request, self.requester, self.requested_at, self.index = request, by, time, index
        self.approvals, self.decisions, self.attestations, self.closed, self.grant = [], [], [], None, None

    def is_open(self):
        return self.grant is None and self.closed is None


class Release:
    """One release."""

    def __init__(self, event, by, time, bodies):
        self.name, self.manifest_digest = event["release"], event["manifest"]
        self.published_by, self.published_at = by, time
        self.manifest = self._read_manifest(bodies.required(event["manifest"]))
        self.artifacts = [artifact["digest"] for artifact in self.manifest["artifacts"]]
        self.evidence, self.promotions, self.grants = [], {}, []

    def _read_manifest(self, data):
        try:
            manifest = entries.read_document(entries.MANIFEST, data)
        except Malformed as error:
            raise Refused("MANIFEST_INVALID", str(error)) from error
        digests = {artifact["digest"] for artifact in manifest["artifacts"]}
        if not 1 <= len(manifest["artifacts"]) <= ARTIFACTS_MAX or len(digests) != len(manifest["artifacts"]):
            raise Refused("MANIFEST_INVALID", "no artifact, too many, or one twice")
        if manifest["release"] != self.name:
            raise Refused("MANIFEST_MISMATCH", "the manifest is of another release")
        return manifest

    def promotion(self, name):
        if name not in self.promotions:
            raise Refused("PROMOTION_UNKNOWN", f"{name} is no promotion of {self.name}")
        return self.promotions[name]

    def open_promotion(self, name):
        promotion = self.promotion(name)
        if not promotion.is_open():
            raise Refused("PROMOTION_CLOSED", f"{name} is over")
        return promotion

    def add_evidence(self, record):
        if len(self.evidence) >= EVIDENCE_MAX:
            raise Refused("TOO_MANY_ATTESTATIONS", "the release has too much evidence")
        self.evidence.append(record)

    def request(self, event, by, time, index):
        environment = event["environment"]
        if event["manifest"] != self.manifest_digest:
            raise Refused("MANIFEST_MISMATCH", "another manifest is asked for")
        if event["kind"] == "rollback" and all(grant.event["environment"] != environment for grant in self.grants):
            raise Refused("ROLLBACK_NEVER_RAN", f"{self.name} has not run in {environment}")
        if any(one.request["environment"] == environment and one.is_open() for one in self.promotions.values()):
            raise Refused("PROMOTION_OPEN", "the same is asked for and open")
        if event["promotion"] in self.promotions:
            raise Refused("PROMOTION_EXISTS", f"{event['promotion']} exists")
        self.promotions[event["promotion"]] = Promotion(event, by, time, index)

    def approve(self, record):
        promotion = self.open_promotion(record.event["promotion"])
        if record.event["verdict"] == "approve" and len(promotion.approvals) >= APPROVALS_MAX:
            raise Refused("TOO_MANY_APPROVALS", "the promotion has too many approvals")
        own = (record.event["document"], record.event["key"])
        if any((known.event["document"], known.event["key"]) == own for known in promotion.approvals):
            raise Refused("APPROVAL_REPLAYED", "this very approval is recorded")
        promotion.approvals.append(record)

    def take_back(self, event, index):
        promotion, approver, taken = self.open_promotion(event["promotion"]), event["approver"], event["approvals"]
        own = [
            known
            for known in promotion.approvals
            if known.event["approver"] == approver and known.event["verdict"] == "approve" and known.withdrawn is None
        ]
        open_documents = {known.event["document"] for known in own}
        if not taken or len(set(taken)) != len(taken) or not set(taken) <= open_documents:
            raise Refused("APPROVAL_UNKNOWN", f"{approver} has no such approval")
        for known in own:
            if known.event["document"] in taken:
                known.withdrawn = index

    def decide(self, record):
        promotion = self.open_promotion(record.event["promotion"])
        if record.event["environment"] != promotion.request["environment"]:
            raise Refused("DECISION_TARGET", "the decision names another environment")
        promotion.decisions.append(record)

    def grant(self, record):
        event, decided = record.event, record.event["decision"]
        evidence_known = all(known.index < decided for known in self.evidence)
        promotion = self.open_promotion(event["promotion"])
        known = (
            one.index < decided and (one.withdrawn is None or one.withdrawn < decided) for one in promotion.approvals
        )
        last = promotion.decisions[-1] if promotion.decisions else None
        allowed = last is not None and last.event["outcome"] == "allow"
        allowed = allowed and (last.index, last.time) == (decided, record.time)
        same = (event["manifest"], event["environment"]) == (self.manifest_digest, promotion.request["environment"])
        in_time = record.time < promotion.request["expires_at"]
        if not (allowed and evidence_known and all(known) and in_time and same):
            raise Refused("GRANT_UNFOUNDED", "no decision allows what was granted")
        promotion.grant = record
        self.grants.append(record)

    def is_past_gates(self, grant):
        """Whether a grant rests on a break-glass, so that it certifies nothing."""
        decisions = self.promotion(grant.event["promotion"]).decisions
        decision = next((one for one in decisions if one.index == grant.event["decision"]), None)
        return decision is not None and decision.event.get("break_glass") is not None

    def has_used(self, opened):
        """Whether a grant rests on the break-glass of an entry."""
        return any(
            promotion.grant is not None and promotion.decisions[-1].event.get("break_glass") == opened
            for promotion in self.promotions.values()
        )


def evidence_kind(event):
    """What an approval document calls a piece of evidence."""
    form = event["form"]
    return form["format"] if form["kind"] == "report" else form["kind"]


def read_approval(event, data, governance, index):
    """The approval document of an entry, its signature verified.

    Whether the key counts is for the decision to say (`key_valid` of the facts).
    """
    if digest_of(data) != event["document"]:
        raise Refused("DOCUMENT_MISMATCH", "the entry names other bytes")
    try:
        document = entries.read_document(entries.APPROVAL, data)
    except Malformed as error:
        raise Refused("DOCUMENT_INVALID", str(error)) from error
    predicate, approver = document["predicate"], event["approver"]
    same = all(predicate[key] == event[key] for key in ("promotion", "release", "verdict", "approver"))
    if not same or predicate["ledger"] != governance.origin:
        raise Refused("APPROVAL_TARGET", "the document is for another promotion, person or ledger")
    governance.require_person(approver, must_exist=True)
    key = governance.verify_key(approver, event["signature"], APPROVAL, data)
    if key.enrolled_at >= index:
        raise Refused("KEY_UNKNOWN", "the key was enrolled later")
    if key.fingerprint != event["key"]:
        raise Refused("KEY_MISMATCH", "the entry names another key")
    return document


def check_binding(document, release, promotion):
    """What was signed is what was asked."""
    predicate, request = document["predicate"], promotion.request
    same = all(predicate[key] == request[key] for key in ("promotion", "environment", "kind", "reason"))
    size = predicate["anchor"]["size"]
    if not same or predicate["requester"] != promotion.requester or size <= promotion.index:
        raise Refused("APPROVAL_TARGET", "the document is for another request")
    artifacts = release.manifest["artifacts"]
    subject = [{"name": one["name"], "digest": {"sha256": one["digest"][7:]}} for one in artifacts]
    shown = {(line["kind"], line["digest"]) for line in predicate["evidence"]}
    left_out = any(
        one.index < size and (evidence_kind(one.event), one.event["evidence"]) not in shown for one in release.evidence
    )
    known = shown <= {(evidence_kind(one.event), one.event["evidence"]) for one in release.evidence}
    if predicate["manifest"] != request["manifest"] or document["subject"] != subject or left_out or not known:
        raise Refused("APPROVAL_DIGEST", "the document is for other bytes or evidence")
    changes = predicate.get("changes")
    if changes is not None:
        against = predicate.get("replaces", {}).get("manifest")
        after = sum(one["size_bytes"] for one in artifacts)
        if changes["against"] != against or changes["sizeBytes"]["after"] != after:
            raise Refused("APPROVAL_DIGEST", "the document compares other releases")
        if predicate["verdict"] == "reject" and "gates" in changes:
            raise Refused("APPROVAL_DIGEST", "a rejection names gates, which nobody checks")


def check_review(document, promotion, time):
    """What a document says of its own review is possible."""
    predicate = document["predicate"]
    opened, listed = predicate.get("openedAt"), predicate.get("evidenceOpened", [])
    if opened is not None and not promotion.requested_at <= opened <= time + CLOCK_SLACK:
        raise Refused("REVIEW_TIME", "the document was opened before the request, or after it was handed in")
    known = {line["digest"] for line in predicate["evidence"]}
    if len(set(listed)) != len(listed) or not set(listed) <= known:
        raise Refused("APPROVAL_DIGEST", "what was opened is not listed once")


def check_withdrawal(event, governance, index):
    """The signature of an approval's withdrawal."""
    approver, reason = event["approver"], event.get("reason", "")
    if len(reason.encode()) > REASON_MAX_BYTES:
        raise Refused("TEXT_TOO_LONG", "the reason is too long")
    governance.require_person(approver)
    document = governance.document(
        "approval-withdrawal", promotion=event["promotion"], release=event["release"], approver=approver,
        approvals=event["approvals"], reason=reason,
    )  # fmt: skip
    key = governance.verify_key(approver, event["signature"], WITHDRAWAL, document)
    if key.enrolled_at >= index:
        raise Refused("KEY_UNKNOWN", "the key was enrolled later")
    governance.check_device(event["signature"])
