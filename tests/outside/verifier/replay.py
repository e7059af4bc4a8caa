"""Whether a recorded decision rests on the ledger as it was (docs/formats.md, "Replay without running gates").

The facts are built anew from the state, but for what is read out of evidence and feeds; the decision is compared with
facts, entry and policy set. No gate is run: whether `outcome` of a gate is right is not said here.
"""

import entries
import forms
from forms import Malformed, Refused, service_of
from releases import evidence_kind

FACTS = "https://lockgate.dev/facts/v1"


def replay(state, index, event, time):
    """Compares a decision with the state just before it; gives the decision document."""
    bodies = state.bodies
    service, environment = service_of(event["release"]), event["environment"]
    named = {position["stream"] for position in event["relied_on"]}
    for position in event["relied_on"]:
        if state.heads.get(position["stream"]) != (position["seq"], position["index"]):
            raise Refused("REPLAY_HEADS", f"decision {index} names another head of {position['stream']}")
    governance, compared = state.governance, _compared(state, environment, service)
    if compared is not None and "release:" + compared not in named:
        raise Refused("REPLAY_HEADS", f"decision {index} does not name {compared}, which it compares with")
    if event["policy"] != governance.policy_digest:
        raise Refused("REPLAY_POLICY", f"decision {index}: another policy set was active")
    asked = state.asked.get(event["promotion"])
    if asked is None:
        raise Refused("PROMOTION_UNKNOWN", f"{event['promotion']} is no promotion of this ledger")
    release = state.release(asked)
    promotion = release.promotion(event["promotion"])
    facts = _read(event["facts"], bodies, _check_facts, "REPLAY_FACTS")
    own = _facts(state, release, promotion, time)
    _compare_facts(facts, own, bodies)
    decision = _read(event["decision"], bodies, entries.DECISION, "REPLAY_DECISION")
    _compare_decision(decision, event, facts, promotion, release, governance)
    return decision


def _check_facts(value):
    """Facts are read as far as they are compared."""
    if not isinstance(value, dict) or not isinstance(value.get("evidence"), list):
        raise Malformed("not facts")


def _read(digest, bodies, check, code):
    data = bodies.required(digest)
    try:
        return entries.read_document(check, data)
    except Malformed as error:
        raise Refused(code, str(error)) from error


def _compared(state, environment, service):
    """The release that runs, where a gate compares with it."""
    compares = state.governance.policy.compares_with_running(environment, service)
    return state.running.get((environment, service), {}).get("release") if compares else None


def _facts(state, release, promotion, time):
    """The facts as far as they come from the ledger itself."""
    governance, environment = state.governance, promotion.request["environment"]
    service, manifest = service_of(release.name), release.manifest
    request = {key: promotion.request[key] for key in ("environment", "kind", "reason")}
    facts = {
        "schema": FACTS,
        "time": time,
        "promotion": request | {
            "id": promotion.request["promotion"], "requester": promotion.requester,
            "requested_at": promotion.requested_at,
        },
        "release": {
            "name": release.name, "manifest": release.manifest_digest, "artifacts": manifest["artifacts"],
            "published_by": release.published_by, "published_at": release.published_at,
            **{key: manifest[key] for key in ("source", "notes") if key in manifest},
        },
        "evidence": [_evidence(record, release) for record in release.evidence],
        "certified": [
            {"environment": one.event["environment"], "promotion": one.event["promotion"], "since": one.time}
            for one in release.grants if not release.is_past_gates(one)
        ],
        "approvals": [_approval(record, governance) for record in promotion.approvals],
        "waivers": governance.waivers_for(release.name, release.artifacts, environment),
        "people": {name: _person(governance, name, time) for name in governance.people},
    }  # fmt: skip
    compared = _compared(state, environment, service)
    span = governance.policy.neighbours_since(environment, service)
    neighbours = None
    if span is not None:
        since = max(0, time - span)
        beside = sorted(place for place in state.running if place[0] == environment and place[1] != service)
        neighbours = [state.running[place] for place in beside if state.running[place]["since"] >= since]
    feeds = [(kind, governance.feed(kind)) for kind in governance.policy.feeds_for(environment, service)]
    optional = {
        "running": state.running.get((environment, service)),
        "running_evidence": [
            _evidence(record, state.release(compared)) for record in state.release(compared).evidence
        ] if compared is not None else None,
        "running_artifacts": _several(state.release(compared).manifest["artifacts"]) if compared is not None else None,
        "delegations": governance.delegations_for(service, environment, time),
        "freezes": governance.freezes_for(service, environment),
        "break_glass": governance.break_glass_for(release, environment, time),
        "feeds": [
            {"feed": kind, "digest": known[0]["digest"], "index": known[1], "date": known[0]["date"]}
            for kind, known in feeds if known
        ],
    }  # fmt: skip
    facts |= {key: value for key, value in optional.items() if value}
    return facts if neighbours is None else facts | {"neighbours": neighbours}


def _several(artifacts):
    """Artifacts that have to be told apart."""
    return artifacts if len(artifacts) > 1 else None


def _person(governance, name, time):
    person = governance.people[name]
    fact = {"kind": person.kind, "groups": [] if person.is_suspended() else person.groups}
    keyless = person.kind == "person" and not governance.can_act(name, time)
    return fact | ({"keyless": True} if keyless else {})


def _evidence(record, release):
    """A piece of evidence without what it says; who signed it is left open where a signature says that."""
    form = record.event["form"]
    fact = {"evidence": record.event["evidence"], "index": record.index, "recorded_at": record.time}
    if form["kind"] == "report":
        fact["origin"] = {"kind": "on-behalf", "by": record.by}
        fact["artifacts"] = [one for one in release.artifacts if one in form["artifacts"]]
    return fact


def _approval(record, governance):
    event, predicate = record.event, record.document["predicate"]
    counts = governance.approval_counts(
        event["approver"], event["key"], record.index, record.time, predicate["environment"]
    )
    binds = {key: predicate[key] for key in ("promotion", "manifest", "environment", "policy")}
    if "replaces" in predicate:
        binds["replaces"] = predicate["replaces"]["manifest"]
    fact = {
        "person": event["approver"], "key": event["key"], "verdict": event["verdict"], "index": record.index,
        "recorded_at": record.time, "expires_at": predicate["expiresAt"], "binds": binds, "key_valid": counts,
    }  # fmt: skip
    if "openedAt" in predicate:
        fact["review_seconds"] = max(0, record.time - predicate["openedAt"]) // 1000
    if record.withdrawn is not None:
        fact["withdrawn"] = True
    fact["predicate"] = predicate
    return fact


_READ_OUT_OF_EVIDENCE = frozenset(("claim", "signature"))
_READ_OUT_OF_FEEDS = frozenset(("kev", "epss_millionths"))


def _compare_facts(facts, own, bodies):
    """The stored facts are the ledger's, but for what evidence and feeds say."""
    for key in facts.keys() | own.keys():
        if key in ("evidence", "running_evidence"):
            same = _same_evidence(facts.get(key, []), own.get(key, []), bodies)
        elif key == "feeds":
            same = _same_feeds(facts.get(key, []), own.get(key, []), bodies)
        elif key == "approvals":
            same = facts.get(key) == [_described(one, facts, own) for one in own[key]]
        else:
            same = key in facts and key in own and facts[key] == own[key]
        if not same:
            raise Refused("REPLAY_FACTS", f"the facts say something else of {key} than the ledger")


def _same_evidence(stored, own, bodies):
    if not isinstance(stored, list) or len(stored) != len(own):
        return False
    for theirs, ours in zip(stored, own):
        bodies.required(ours["evidence"])
        open_fields = _READ_OUT_OF_EVIDENCE | ({"origin", "artifacts"} - ours.keys())
        if not isinstance(theirs, dict) or {key: theirs[key] for key in theirs.keys() - open_fields} != ours:
            return False
    return True


def _same_feeds(stored, own, bodies):
    for known in own:
        bodies.required(known["digest"])
    if not isinstance(stored, list) or not all(isinstance(one, dict) for one in stored):
        return False
    return [{key: one[key] for key in one.keys() - _READ_OUT_OF_FEEDS} for one in stored] == own


def _described(approval, facts, own):
    """The approval's fact; `misdescribed` where its document says something else than the facts."""
    approval = dict(approval)
    predicate = approval.pop("predicate")
    running, replaced = own.get("running"), predicate.get("replaces")
    named = not (replaced and running) or replaced["manifest"] != running["manifest"]
    named = named or replaced["release"] == running["release"]
    waivers = [_waiver_line(fact) for fact in own["waivers"]]
    shown = all(line in waivers for line in predicate.get("waivers", []))
    lines = [_evidence_line(fact) for fact in facts["evidence"]]
    for line in predicate["evidence"]:
        more = {key: line[key] for key in line.keys() - {"kind"}}
        shown = shown and (line.keys() == {"kind", "digest"} or more in lines)
    return approval if named and shown else approval | {"misdescribed": True}


def _waiver_line(fact):
    line = {"gate": fact["gate"], "grantedBy": fact["granted_by"], "expiresAt": fact["expires_at"]}
    return line | ({"finding": fact["finding"]} if "finding" in fact else {})


def _evidence_line(fact):
    try:
        origin, line = fact["origin"], {"digest": fact["evidence"], "claim": fact["claim"]["kind"]}
        if origin["kind"] == "on-behalf":
            return line | {"by": origin["by"]}
        return line | ({"signers": origin["signers"]} if origin["signers"] else {})
    except (KeyError, TypeError):
        return None


def _compare_decision(decision, event, facts, promotion, release, governance):
    environment, service = promotion.request["environment"], service_of(release.name)
    policy = governance.policy
    expected = {
        "policy": governance.policy_digest, "promotion": event["promotion"], "release": release.name,
        "environment": environment, "outcome": event["outcome"], "engine": event["engine"],
    }  # fmt: skip
    gates = decision["gates"]
    same = all(decision[key] == value for key, value in expected.items())
    same = same and [{"gate": gate["gate"], "outcome": gate["outcome"]} for gate in gates] == event["gates"]
    same = same and decision.get("break_glass") == event.get("break_glass")
    feeds = [{key: fact[key] for key in ("feed", "digest", "index", "date")} for fact in facts.get("feeds", [])]
    same = same and event.get("feeds", []) == feeds
    # The gates that apply stand in the order of the policy set, after what stands for the policy set itself.
    applying = [(gate.name, gate.kind) for gate in policy.gates_for(environment, service)]
    asked = [(gate["gate"], gate["kind"]) for gate in gates]
    own, rest = asked[: len(asked) - len(applying)], asked[len(asked) - len(applying) :]
    if environment not in policy.grant_ttl or not applying:
        own, rest, applying = asked, [], []
        same = same and len(own) == 1
    else:
        stopping = [one for one in facts.get("freezes", []) if _stops(one, facts)]
        same = same and sum(kind == "freeze" for _, kind in own) == len(stopping)
    same = same and rest == applying and all(gate == "policy" for gate, _ in own)
    outcomes = {gate["outcome"] for gate in gates}
    outcome = "deny" if not gates or "fail" in outcomes else "pending" if "pending" in outcomes else "allow"
    under = facts.get("break_glass", {}).get("index")
    same = same and decision.get("break_glass") == under and (under is not None or "overridden" not in outcomes)
    if not same or outcome != event["outcome"]:
        raise Refused("REPLAY_DECISION", "the decision is not what entry, facts and policy set say")


def _stops(freeze, facts):
    """A freeze of the facts is one of the target that is not lifted; it stops from `since` until `until`."""
    spared = freeze.get("spares_rollbacks", False) and facts["promotion"]["kind"] == "rollback"
    return not spared and freeze["since"] <= facts["time"] < freeze.get("until", facts["time"] + 1)
