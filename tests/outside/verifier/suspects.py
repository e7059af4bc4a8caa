"""Decisions that rested on a signature which was found void later (docs/formats.md, "Suspect decisions")."""


def _told_at(governance, vouching):
    """The entry by which something lost its last good signatures; None while it stands."""
    if governance.stands(vouching):
        return None
    keys = (governance.people[person].key(key) for person, key in vouching.signed)
    told = [key.voided_by(vouching.index) for key in keys]
    return max((at for at in told if at is not None), default=None)


def suspect_since(governance, release):
    """The suspect decisions of a release: each one's index, and the entry since when."""
    void = {one.index: at for one in governance.vouchings if (at := _told_at(governance, one)) is not None}
    decisions = [
        (decision, promotion)
        for promotion in release.promotions.values()
        for decision in promotion.decisions
        if decision.event["outcome"] == "allow"
    ]
    found, granted = {}, []
    for decision, promotion in sorted(decisions, key=lambda pair: pair[0].index):
        causes = list(_causes(governance, void, release, promotion, decision))
        causes += [(at, since) for environment, at, since in granted if environment != promotion.request["environment"]]
        told = [since for at, since in causes if at < decision.index < since]
        if not told:
            continue
        found[decision.index] = min(told)
        if promotion.grant is not None and promotion.grant.event["decision"] == decision.index:
            granted.append((promotion.grant.event["environment"], promotion.grant.index, min(told)))
    return found


def _causes(governance, void, release, promotion, decision):
    """(index, told at) of every void signature that the decision could rest on."""
    for record in promotion.approvals:
        key = governance.people[record.event["approver"]].key(record.event["key"])
        if key is not None and (at := key.voided_by(record.index)) is not None:
            yield record.index, at
    service, environment = release.name.partition("@")[0], promotion.request["environment"]
    activations = [one.index for one in governance.vouchings if one.what[0] == "policy" and one.index < decision.index]
    relevant = {max(activations)} if activations else set()
    waived = {line["gate"] for line in decision.event["gates"] if line["outcome"] == "waived"}
    for one in governance.vouchings:
        if one.what[0] == "waiver" and one.what[1] in waived and one.what[2:] == (service, environment):
            relevant.add(one.index)
        elif one.what == ("break-glass", decision.event.get("break_glass")):
            relevant.add(one.index)
    for lent in governance.delegations:
        if governance.delegation_covers(lent, service, environment) and _used(governance, lent, promotion):
            relevant.add(lent["index"])
    for index in relevant & void.keys():
        yield index, void[index]


def _used(governance, lent, promotion):
    to, until, ended = lent["event"]["to"], lent["event"]["expires_at"], lent["ended"]
    return any(
        record.event["verdict"] == "approve"
        and record.withdrawn is None
        and governance.policy.person(record.event["approver"]) == governance.policy.person(to)
        and lent["index"] < record.index
        and record.time < until
        and (ended is None or record.index < ended)
        for record in promotion.approvals
    )
