"""Entries: every event with its fields and streams, and the documents beside them (docs/formats.md, "Entry")."""

import forms
from forms import Malformed, Optional, boolean, digest, list_of, name, natural, release, service, shape, some_of, text
from policyset import PERMISSIONS
from sshsig import ssh_key

ENTRY_MAX_BYTES = 16 * 1024
SCHEMA = "https://lockgate.dev/entry/v1"

_end = {"expires_at": Optional(natural), "environments": some_of(name)}
_more = {"countersigned": some_of(shape(by=name, signature=text))}
_signed = {"by": name, "signature": text}
_exception = {
    "gate": name, "finding": text, "service": service, "environment": name, "release": Optional(release),
    "artifact": Optional(digest), "reason": text, "ticket": Optional(text), "expires_at": natural, "asked_by": name,
}  # fmt: skip
_standing = shape(person=name, previous_at=natural, reason=text, **_signed, **_more)
_asked = {"promotion": forms.promotion, "release": release}

subject = forms.one_of("person", "machine")
verdict = forms.one_of("approve", "reject")
kind = forms.one_of("promotion", "rollback")
outcome = forms.one_of("allow", "deny", "pending")
gate_outcome = forms.one_of("pass", "fail", "pending", "waived", "warn", "overridden")
feed = forms.one_of("kev", "epss")

EVENTS = {
    "ledger.created": shape(
        origin=text, log_key=text, attestation_key=text, policy=digest, setup_code=digest, software=text
    ),
    "person.enrolled": shape(
        person=name, subject=subject, groups=list_of(name), key=ssh_key, proof=text, **_end, **_more,
        sponsor=forms.tagged("kind", setup_code={"code": text}, countersigned=_signed),
    ),
    "key.added": shape(person=name, key=ssh_key, proof=text, **_signed, **_end),
    "key.revoked": shape(
        person=name, key=text, compromised_since=Optional(natural), reason=text, **_signed, **_more
    ),
    "key.rotated": shape(person=name, key=ssh_key, proof=text, replaces=text, signature=text, **_end),
    "key.recovered": shape(person=name, key=ssh_key, proof=text, reason=text, **_signed, **_more, **_end),
    "person.suspended": _standing,
    "person.reinstated": _standing,
    "identity.bound": shape(person=name, issuer=text, subject=text, after=Optional(natural), signature=text),
    "identity.unbound": shape(person=name, issuer=text, subject=text, reason=text, **_signed),
    "change.proposed": shape(change=forms.change, draft=digest, document=digest, expires_at=natural, **_signed),
    "change.signed": shape(change=forms.change, **_signed),
    "change.rejected": shape(change=forms.change, reason=text, **_signed),
    "policy.activated": shape(
        policy=digest, previous=digest, previous_at=natural, reason=text, backtest=Optional(digest), **_signed, **_more
    ),
    "waiver.requested": shape(**_exception, signature=text),
    "waiver.granted": shape(
        **_exception, asked_signature=text, granted_by=name, granted_signature=text, request=Optional(natural)
    ),
    "waiver.revoked": shape(waiver=natural, reason=text, **_signed),
    "feed.recorded": shape(feed=feed, digest=digest, size_bytes=natural, date=natural, rows=natural),
    "ci.trusted": shape(
        provider=forms.one_of("github", "gitlab", "oidc"), machine=name, groups=list_of(name), issuer=text,
        audience=text, claims=forms.map_of(text, text), services=list_of(service), jwks_url=Optional(text), nonce=text,
        **_signed, **_more,
    ),
    "ci.untrusted": shape(trust=natural, reason=text, **_signed),
    "access.reviewed": shape(review=digest, **_signed),
    "delegation.granted": shape(
        to=name, groups=some_of(name), environments=some_of(name), services=some_of(service), expires_at=natural,
        reason=text, signature=text, **{"from": name},
    ),
    "delegation.ended": shape(delegation=natural, reason=text, **_signed),
    "freeze.ordered": shape(
        service=Optional(service), environment=Optional(name), reason=text, until=Optional(natural),
        spares_rollbacks=Optional(boolean, empty=False), nonce=text, **_signed,
    ),
    "freeze.lifted": shape(freeze=natural, reason=text, **_signed),
    "break-glass.opened": shape(
        release=release, manifest=digest, environment=name, reason=text, ticket=text, expires_at=natural, **_signed
    ),
    "break-glass.signed": shape(break_glass=natural, **_signed),
    "break-glass.reviewed": shape(break_glass=natural, finding=text, **_signed),
    "drill.recorded": shape(
        report=digest, tried=natural, caught=natural, skipped=natural, entries=natural, ran_at=natural, tool=text
    ),
    "release.published": shape(release=release, manifest=digest),
    "evidence.recorded": shape(
        release=release, evidence=digest, size_bytes=natural, media_type=text,
        form=forms.tagged(
            "kind", envelope={}, sigstore={}, minisign={}, image_signature={},
            report={"format": text, "artifacts": list_of(digest), "statement": digest},
        ),
    ),
    "promotion.requested": shape(
        **_asked, manifest=digest, environment=name, kind=kind, reason=text, expires_at=natural
    ),
    "approval.recorded": shape(**_asked, verdict=verdict, approver=name, key=text, document=digest, signature=text),
    "approval.withdrawn": shape(
        **_asked, approver=name, approvals=list_of(digest), reason=Optional(text, empty=""), signature=text
    ),
    "promotion.closed": shape(
        **_asked, cause=forms.one_of("rejected", "withdrawn", "expired", "superseded"), reason=text
    ),
    "decision.recorded": shape(
        **_asked, environment=name, outcome=outcome, decision=digest, facts=digest, policy=digest, engine=text,
        break_glass=Optional(natural), feeds=some_of(shape(feed=feed, digest=digest, index=natural, date=natural)),
        gates=list_of(shape(gate=name, outcome=gate_outcome)),
        relied_on=list_of(shape(stream=forms.stream, seq=natural, index=natural)),
    ),
    "attestations.issued": shape(
        **_asked, decision=natural, issued=list_of(shape(predicate_type=text, envelope=digest, leaf=natural))
    ),
    "grant.issued": shape(**_asked, manifest=digest, environment=name, decision=natural, not_after=natural),
}  # fmt: skip

GOVERNANCE = frozenset(list(EVENTS)[: list(EVENTS).index("drill.recorded")])
# Events that stand in the stream of who acted, and in no other.
APART = frozenset(["drill.recorded"])
_WITHOUT_RELEASE = GOVERNANCE | APART

_event = shape(type=forms.one_of(*EVENTS), body=lambda body: None)


def event(value):
    """A check that a value is an event: type and body."""
    _event(value)
    EVENTS[value["type"]](value["body"])


_entry = shape(
    schema=text,
    time=natural,
    actor=forms.tagged("kind", subject={"id": name}, system={}),
    governance=Optional(shape(seq=natural, index=natural)),
    streams=list_of(shape(stream=forms.stream, seq=natural, prev=Optional(natural))),
    event=event,
)

_hashedrekord = shape(
    apiVersion=text,
    kind=text,
    spec=shape(
        hashedRekordV002=shape(
            data=shape(algorithm=text, digest=text),
            signature=shape(content=text, verifier=shape(keyDetails=text, publicKey=shape(rawBytes=text))),
        )
    ),
)


@forms.remembered(count=4096, most=ENTRY_MAX_BYTES)
def read_leaf(leaf):
    """The entry of a leaf; None for the leaf of an attestation. Whoever gets one must not change it.

    Raises Malformed.
    """
    if len(leaf) > ENTRY_MAX_BYTES:
        raise Malformed("the entry is too large")
    value = forms.read_canonical(leaf)
    if leaf.startswith(b'{"apiVersion":"0.0.2","kind":"hashedrekord"'):
        _hashedrekord(value)
        return None
    _entry(value)
    return value


def actor_of(entry):
    """Who acted, or None where Lockgate itself did."""
    return entry["actor"].get("id")


def release_of(entry):
    """The release that an event is about, where it belongs to that release's stream."""
    if entry["event"]["type"] in _WITHOUT_RELEASE:
        return None
    return entry["event"]["body"]["release"]


def streams_of(entry):
    """The streams that an entry has to stand in; the artifacts of a release come on top."""
    kind_of, body = entry["event"]["type"], entry["event"]["body"]
    if kind_of in GOVERNANCE:
        streams = ["governance"]
    elif kind_of in APART:
        streams = []
    else:
        streams = ["release:" + body["release"]]
        what = forms.service_of(body["release"])
        if kind_of == "release.published":
            streams.append("service:" + what)
        elif kind_of == "promotion.requested":
            streams.append("promotions")
        elif kind_of in ("decision.recorded", "grant.issued"):
            streams.append("environment:" + body["environment"])
        if kind_of == "grant.issued":
            streams.append(f"running:{body['environment']}/{what}")
        if kind_of not in ("release.published", "evidence.recorded", "attestations.issued"):
            streams.append("promotion:" + body["promotion"])
    person = actor_of(entry)
    return streams + ["person:" + person] if person else streams


# --- Documents in bodies

_count = natural


def permissions(value):
    """Permissions, each once and in their order."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Malformed("not a list of permissions")
    if value != [one for one in PERMISSIONS if one in value]:
        raise Malformed("permissions that are not known, or not in their order")


_line = shape(
    kind=text, digest=digest, claim=Optional(text), signers=some_of(name), by=Optional(name)
)
_tests = shape(passed=_count, failed=_count, skipped=_count)
_pair = shape(before=_count, after=_count)
_group = Optional(shape(count=_count, names=list_of(name)))
_changes = shape(
    against=digest, artifacts=shape(added=_count, removed=_count), sizeBytes=_pair,
    coverage=Optional(shape(before=Optional(_count), after=Optional(_count))),
    commits=Optional(shape(before=Optional(text), after=Optional(text))),
    dependencies=Optional(shape(added=_count, removed=_count, changed=_count, relicensed=_count)),
    findings=Optional(shape(
        added=_count, fixed=_count,
        worst=Optional(forms.one_of("negligible", "low", "medium", "unknown", "high", "critical")),
    )),
    testsBefore=Optional(_tests), testsAfter=Optional(_tests), configurations=_count,
    gates=Optional(shape(
        engine=text, fail=_group, pending=_group, warn=_group, waived=_group, overridden=_group, removed=_group,
        **{"pass": _group},
    )),
)  # fmt: skip

APPROVAL = shape(
    type_=forms.constant("https://in-toto.io/Statement/v1"),
    subject=list_of(shape(name=text, digest=shape(sha256=text))),
    predicateType=forms.constant("https://lockgate.dev/approval/v1"),
    predicate=shape(
        ledger=text, **_asked, kind=kind, manifest=digest, environment=name,
        replaces=Optional(shape(release=release, manifest=digest)), changes=Optional(_changes), policy=digest,
        evidence=list_of(_line),
        waivers=some_of(shape(gate=name, finding=Optional(text), grantedBy=name, expiresAt=natural)),
        requester=name, reason=text, approver=name, verdict=verdict, comment=Optional(text),
        openedAt=Optional(natural), evidenceOpened=some_of(digest), expiresAt=natural,
        anchor=shape(size=natural, root=digest),
    ),
)  # fmt: skip

MANIFEST = shape(
    schema=forms.constant("https://lockgate.dev/manifest/v1"),
    release=release,
    artifacts=list_of(shape(digest=digest, name=text, size_bytes=natural)),
    source=Optional(shape(repository=text, commit=text)),
    notes=Optional(digest),
)

DECISION = shape(
    schema=forms.constant("https://lockgate.dev/decision/v1"),
    engine=text, policy=digest, **_asked, environment=name, outcome=outcome,
    would_block=Optional(natural, empty=0), break_glass=Optional(natural),
    gates=list_of(shape(
        gate=name, kind=text, outcome=gate_outcome, reason=text, rule=shape(file=text, line=natural), needed=text,
        found=text, evidence=list_of(digest), who=text, fix=text, controls=some_of(text),
        enforced_from=Optional(natural),
    )),
)  # fmt: skip

_flip = {"entry": natural, **_asked, "environment": name, "before": outcome}
BACKTEST = shape(
    schema=forms.constant("https://lockgate.dev/backtest/v1"),
    ledger=text, base=digest, proposed=digest, engine=text, first_entry=natural, tree_size=natural, root=digest,
    decisions=natural, unchanged=natural, totals=forms.map_of(text, natural),
    would_block=Optional(list_of(shape(gate=name, decisions=natural, enforced_from=Optional(natural)))),
    flips=list_of(shape(**_flip, time=natural, after=outcome, gates=list_of(shape(
        gate=name, before=Optional(gate_outcome), after=Optional(gate_outcome), reason=Optional(text),
        rule=Optional(shape(file=text, line=natural)),
    )))),
    errors=list_of(shape(**_flip, code=text, message=text)),
)  # fmt: skip

REVIEW = shape(
    schema=forms.constant("https://lockgate.dev/access-review/v1"),
    ledger=text, policy=digest,
    people=list_of(shape(
        person=name, subject=subject, groups=list_of(name), suspended=Optional(boolean, empty=False)
    )),
    bindings=list_of(shape(
        role=name, permissions=permissions, groups=list_of(name), people=list_of(text),
        services=Optional(list_of(text)), environments=Optional(list_of(text)), file=text, line=natural,
    )),
    uses=list_of(shape(person=name, permission=forms.one_of(*PERMISSIONS), index=natural, time=natural)),
    unused=list_of(shape(person=name, permission=forms.one_of(*PERMISSIONS), last_used=Optional(natural))),
    reviewed_at_index=natural,
)  # fmt: skip


@forms.remembered(count=256, most=256 * 1024)
def read_document(check, data):
    """A body in canonical spelling that has a shape. Whoever gets one must not change it.

    Raises Malformed.
    """
    value = forms.read_canonical(data)
    check(value)
    return value
