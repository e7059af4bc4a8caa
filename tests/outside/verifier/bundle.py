"""Bundles and trust files: the steps of "Verifying a bundle" in docs/formats.md, in their order."""

import entries
import forms
import notes
import replay
import sshsig
import suspects
from forms import Malformed, Refused, digest_of, list_of, natural, service_of, shape, text, unbase64
from state import State

BUNDLE_MAX_BYTES = 512 << 20
CLOCK_SLACK = 300_000

_BUNDLE = shape(
    schema=forms.constant("https://lockgate.dev/bundle/v1"),
    promotion=forms.promotion,
    checkpoint=text,
    entries=list_of(shape(index=natural, leaf=text, proof=list_of(text))),
    anchors=list_of(shape(size=natural, proof=list_of(text))),
    bodies=forms.map_of(forms.digest, text),
)
_TRUST = shape(
    schema=forms.constant("https://lockgate.dev/trust/v1"),
    tlog_policy=text,
    genesis=forms.digest,
    root_keys=list_of(text),
    attestation_key=text,
)


class Trust:
    """A trust file: what a verifier pins."""

    def __init__(self, data):
        try:
            value = forms.read_json(data)
            _TRUST(value)
            self.root_keys = [sshsig.key_of_line(line).wire for line in value["root_keys"]]
            if not self.root_keys:
                raise Malformed("it pins no root key")
            self.policy = notes.TlogPolicy(value["tlog_policy"])
        except Malformed as error:
            raise Refused("TRUST_INVALID", f"not a trust file: {error}") from error
        self.genesis, self.attestation_key = value["genesis"], value["attestation_key"]


class Bodies:
    """The bodies of a bundle, by digest; each is what its name says."""

    def __init__(self, encoded):
        self.bodies = {}
        for digest in sorted(encoded):
            body = unbase64(encoded[digest])
            if digest_of(body) != digest:
                raise Refused("DIGEST_MISMATCH", f"a body is not {digest}")
            self.bodies[digest] = body

    def required(self, digest):
        if digest not in self.bodies:
            raise Refused("BODY_MISSING", f"the body {digest} is missing")
        return self.bodies[digest]


def verify(data, trust, query):
    """Verifies a bundle and answers whether an artifact may run.

    `query` holds artifact, service, environment and now (milliseconds). Gives the checks that passed.
    Raises Refused with the first thing that is wrong.
    """
    # 1. Form.
    bundle, bodies = read(data)
    # 2. Checkpoint.
    origin, size, root = notes.open_checkpoint(bundle["checkpoint"].encode(), trust.policy)
    checks = [("checkpoint", f"{origin} signed {size} entries")]
    # 3. Entries, each by itself; 4. the first and the last of them.
    proven, genesis = prove(bundle, size, root)
    checks.append(("inclusion", f"{len(bundle['entries'])} entries are in the ledger"))
    decision_index = _decision_index(proven, bundle["promotion"])
    # 5. Fold.
    fold = _Fold(proven, bundle["promotion"], decision_index, bodies)
    governance = fold.state.governance
    # 6. Pins.
    _check_pins(governance, genesis, trust)
    checks.append(("governance", f"{len(governance.people)} people and machines since the pinned first owner"))
    # 7. Completeness.
    _check_complete(fold)
    checks.append(("completeness", "every entry of the streams that the decision relied on is here"))
    checks.append(("decision", f"{decision_index} rests on these facts and this policy set; no gate was run again"))
    release = fold.state.release(fold.event["release"])
    promotion = release.promotion(bundle["promotion"])
    # 8. Anchors.
    _check_anchors(bundle, size, root, promotion)
    checks += [("approval", f"{one.event['approver']} with {one.event['key']}") for one in promotion.approvals]
    # 9. Suspect decisions.
    if decision_index in suspects.suspect_since(governance, release):
        raise Refused("SUSPECT_KEY", "the decision rests on a signature that was found void")
    # 10. Question.
    checks += _answer(fold, release, promotion, query)
    return checks


def read(data):
    if len(data) > BUNDLE_MAX_BYTES:
        raise Refused("BUNDLE_INVALID", "the bundle is too large")
    try:
        bundle = forms.read_json(data)
        if isinstance(bundle, dict) and str(bundle.get("mediaType")).startswith("application/vnd.dev.sigstore"):
            raise Malformed("this is a Sigstore bundle; wanted is a Lockgate bundle, as `lockgate bundle get` writes it")
        _BUNDLE(bundle)
        return bundle, Bodies(bundle["bodies"])
    except Malformed as error:
        raise Refused("BUNDLE_INVALID", f"not a bundle: {error}") from error


def _hash(encoded):
    value = unbase64(encoded)
    if len(value) != 32:
        raise Refused("INCLUSION_PROOF", "a hash has another length")
    return value


def prove(bundle, size, root):
    proven, before, genesis = [], -1, None
    for entry in bundle["entries"]:
        index = entry["index"]
        if index <= before:
            raise Refused("BUNDLE_INVALID", f"entry {index} is out of order")
        try:
            leaf, path = unbase64(entry["leaf"]), [_hash(one) for one in entry["proof"]]
        except Malformed as error:
            raise Refused("BUNDLE_INVALID", str(error)) from error
        leaf_hash = notes.leaf_hash(leaf)
        if not notes.inclusion_holds(index, size, leaf_hash, path, root):
            raise Refused("INCLUSION_PROOF", f"entry {index} is not in the ledger")
        try:
            proven.append((index, entries.read_leaf(leaf)))
        except Malformed as error:
            raise Refused("ENTRY_INVALID", f"entry {index}: {error}") from error
        genesis = leaf_hash if index == 0 else genesis
        before = index
    if not proven or before != size - 1 or proven[-1][1] is None:
        raise Refused("BUNDLE_INCOMPLETE", "the ledger's newest entry is missing")
    if genesis is None:
        raise Refused("GENESIS_MISSING", "the ledger's first entry is missing")
    return [pair for pair in proven if pair[1] is not None], "sha256:" + genesis.hex()


def _decision_index(proven, promotion):
    for index, entry in reversed(proven):
        event = entry["event"]
        if event["type"] == "decision.recorded" and event["body"]["promotion"] == promotion:
            return index
    raise Refused("DECISION_MISSING", f"no decision on {promotion}")


class _Fold:
    """The fold over a bundle's entries."""

    def __init__(self, proven, promotion, decision_index, bodies):
        self.state, self.promotion, self.decision_index = State(bodies), promotion, decision_index
        self.event = next(entry["event"]["body"] for index, entry in proven if index == decision_index)
        self.service = service_of(self.event["release"])
        self.target = f"running:{self.event['environment']}/{self.service}"
        self.ran = self.granted = self.decision = None
        newest = proven[-1][0]
        for index, entry in proven:
            self._step(index, entry, index == newest)

    def _step(self, index, entry, is_newest):
        state, kind, body = self.state, entry["event"]["type"], entry["event"]["body"]
        release = entries.release_of(entry)
        own = release == self.event["release"]
        if own and kind == "decision.recorded" and (index == self.decision_index or body["outcome"] == "allow"):
            decision = replay.replay(state, index, body, entry["time"])
            if index == self.decision_index:
                self.decision, self.ran = decision, state.heads.get(self.target)
        if release is None or own:
            state.apply(index, entry)
            if kind == "grant.issued" and body["promotion"] == self.promotion:
                links = (link["seq"] for link in entry["streams"] if link["stream"] == self.target)
                self.granted = next(links, None)
            return
        followed = service_of(release) == self.service and state.follow(index, entry)
        if kind == "grant.issued":
            state.adopt_grant(index, entry)
        elif not followed:
            if not is_newest:
                raise Refused("BUNDLE_INVALID", f"entry {index} does not belong to this bundle")
            state.check_governance_head(entry)


def _check_pins(governance, genesis, trust):
    if genesis != trust.genesis:
        raise Refused("GENESIS_MISMATCH", "another first entry than the pinned one")
    first = min(
        (person.keys[0] for person in governance.people.values() if person.keys),
        key=lambda key: key.enrolled_at,
        default=None,
    )
    if first is None:
        raise Refused("SETUP_NEEDED", "no owner is enrolled")
    if first.public.wire not in trust.root_keys:
        raise Refused("ROOT_KEY_UNKNOWN", "the first owner's key is not pinned")
    if all(log.text != governance.identity["log_key"] for log in trust.policy.logs):
        raise Refused("LOG_KEY_UNKNOWN", "the ledger names another log key")
    if governance.identity["attestation_key"] != trust.attestation_key:
        raise Refused("ATTESTATION_KEY_UNKNOWN", "the ledger names another attestation key")


def _check_complete(fold):
    named = {position["stream"] for position in fold.event["relied_on"]}
    for stream in ("governance", "release:" + fold.event["release"]):
        if stream not in named or stream not in fold.state.whole:
            raise Refused("BUNDLE_INCOMPLETE", f"the decision does not rest on the whole of {stream}")
    if fold.target not in named and not (fold.ran is None and fold.granted in (None, 0)):
        raise Refused("BUNDLE_INCOMPLETE", f"the decision does not name {fold.target}")


def _check_anchors(bundle, size, root, promotion):
    for approval in promotion.approvals:
        anchor = approval.document["predicate"]["anchor"]
        path = next((one["proof"] for one in bundle["anchors"] if one["size"] == anchor["size"]), [])
        try:
            path = [_hash(one) for one in path]
        except Malformed as error:
            raise Refused("BUNDLE_INVALID", str(error)) from error
        if not notes.consistency_holds(anchor["size"], size, path, bytes.fromhex(anchor["root"][7:]), root):
            raise Refused("ANCHOR_UNPROVEN", "what an approver saw is not proven to be the beginning of this ledger")


def _answer(fold, release, promotion, query):
    if fold.service != query["service"]:
        raise Refused("SERVICE_MISMATCH", f"the bundle is about {release.name}")
    if query["artifact"] not in release.artifacts:
        raise Refused("DIGEST_NOT_GRANTED", f"{query['artifact']} is no artifact of {release.name}")
    grant, now = promotion.grant, query["now"]
    if grant is None or fold.decision["outcome"] != "allow":
        raise Refused("NOT_GRANTED", "it was not granted")
    if grant.event["environment"] != query["environment"]:
        raise Refused("ENVIRONMENT_MISMATCH", f"it was granted into {grant.event['environment']}")
    if grant.event["not_after"] <= now:
        raise Refused("GRANT_EXPIRED", "the grant has ended")
    if grant.time > now + CLOCK_SLACK:
        raise Refused("CLOCK_BEHIND", "the grant is later than this clock")
    newest = fold.state.running.get((query["environment"], query["service"]))
    if newest is not None and newest["promotion"] != fold.promotion:
        raise Refused("GRANT_SUPERSEDED", f"it was replaced by {newest['promotion']}")
    governance = fold.state.governance
    governance.check_not_frozen(query["service"], query["environment"], promotion, now)
    checks = [("artifact", f"{query['artifact']} of {release.name}"), ("freeze", "no freeze stops it")]
    opened = fold.decision.get("break_glass")
    if opened is not None:
        reviewed = "reviewed" if governance.is_reviewed(governance.break_glass(opened)) else "NOT REVIEWED"
        checks.append(("break-glass", f"entry {opened}, {reviewed}"))
    return [*checks, ("grant", f"{fold.promotion} into {query['environment']} until {grant.event['not_after']}")]


@forms.remembered(count=64, most=notes.NOTE_MAX_BYTES)
def read_trust(data):
    """Reads a trust file.

    Raises Refused TRUST_INVALID.
    """
    return Trust(data)
