"""The attestations of a bundle: envelopes and their log leaves (docs/formats.md, "Attestations"; DSSE v1.0.2).

A bundle's verdict does not rest on them: they are for other tools. So this is a question of its own.
"""

import bundle
import crypto
import entries
import forms
import notes
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from forms import Malformed, Refused, digest_of, list_of, shape, text, unbase64

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_ENVELOPE = shape(payload=text, payloadType=text, signatures=list_of(shape(keyid=text, sig=text)))


def _key(pem):
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused("TRUST_INVALID", "the attestation key does not parse") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise Refused("TRUST_INVALID", "the attestation key is not of P-256")
    return key


def pae(payload_type, payload):
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


def verify(data, trust):
    """Verifies every attestation that a bundle carries; gives what was found.

    Raises Refused with ATTESTATION_INVALID and a sentence, or a code of the bundle's form.
    """
    parsed, bodies = bundle.read(data)
    key = _key(trust.attestation_key)
    _, size, root = notes.open_checkpoint(parsed["checkpoint"].encode(), trust.policy)
    leaves = {entry["index"]: entry["leaf"] for entry in parsed["entries"]}
    found = []
    for entry in bundle.prove(parsed, size, root)[0]:
        event = entry[1]["event"]
        if event["type"] != "attestations.issued":
            continue
        for issued in event["body"]["issued"]:
            if issued["envelope"] not in bodies.bodies:
                continue
            logged = _check(issued, bodies.required(issued["envelope"]), key, leaves)
            found.append(("attestation", f"{issued['predicate_type']} by the pinned key, {logged}"))
    return found


def _check(issued, envelope, key, leaves):
    try:
        value = forms.read_json(envelope)
        _ENVELOPE(value)
        payload = unbase64(value["payload"])
        statement = forms.read_json(payload, any_number=True)
        signatures = [unbase64(one["sig"]) for one in value["signatures"]]
        signed = pae(value["payloadType"], payload)
        good = all(crypto.ecdsa_der(key, hashes.SHA256(), signed, one) for one in signatures)
        same = isinstance(statement, dict) and statement.get("predicateType") == issued["predicate_type"]
        if not signatures or not good or not same or value["payloadType"] != PAYLOAD_TYPE:
            raise Malformed("not signed by the pinned key, or of another predicate")
        if issued["leaf"] not in leaves:
            return "its leaf is not in this bundle"
        leaf = unbase64(leaves[issued["leaf"]])
        if entries.read_leaf(leaf) is not None:
            raise Malformed("its leaf is an entry")
        spec = forms.read_json(leaf)["spec"]["hashedRekordV002"]
        logged = (spec["data"]["digest"], spec["signature"]["content"])
        if unbase64(logged[0]).hex() != digest_of(signed)[7:] or unbase64(logged[1]) not in signatures:
            raise Malformed("its leaf is of something else")
        return f"logged as entry {issued['leaf']}"
    except Malformed as error:
        raise Refused("ATTESTATION_INVALID", str(error)) from error
