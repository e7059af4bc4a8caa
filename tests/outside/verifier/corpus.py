#!/usr/bin/env python3
"""Holds the verifier against the attack corpus: what has to be refused is refused, every control is accepted.

    corpus.py tests/attacks

Runs the cases whose target this verifier reads: JSON and names, policy sets, trust files, checkpoints, witnesses,
proofs, bundles, approvals and passkeys (tests/attacks/README.md says what the inputs are). Where the corpus gives the
reason code that a verifier prints, the code has to be that one; where it gives the name of an error inside a library,
the table below says which code stands for it. Exit 0: every answer is the expected one.
"""

import base64
import hashlib
import json
import re
import sys
import types
from collections import Counter
from pathlib import Path

import bundle
import crypto
import entries
import forms
import governance
import notes
import policyset
import releases
import sshsig
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from forms import Malformed, Refused

ACCEPTED, MALFORMED = "ACCEPTED", "MALFORMED"
# The targets that are for whoever reads evidence, runs gates or answers requests.
NOT_HERE = {
    "backtest", "ci-token", "envelope", "facts", "feed", "image-signature", "lint", "minisign", "report", "sign-in",
    "signature", "statement", "story", "text",
}  # fmt: skip
# Of a policy set this verifier reads a part, so that it accepts more; these are about the part that it reads.
POLICY_READ = ("A-13-",)


def bytes_of(value):
    if isinstance(value, str):
        return value.encode()
    if "base64" in value:
        return base64.b64decode(value["base64"])
    return "".join(part["text"] * part["times"] for part in value["parts"]).encode()


def merged(document, patch):
    """A JSON merge patch (RFC 7396), as the corpus uses it."""
    for key, value in (patch or {}).items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            merged(document[key], value)
        else:
            document[key] = value
    return document


def policy_of(vkey):
    return notes.TlogPolicy(f"log {vkey}\nquorum none\n")


# --- Witnesses

LOG = "log1.lockgate.example"


class NoteKey:
    """A key that signs notes, from its seed."""

    def __init__(self, name, kind, seed):
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        typed = bytes([kind]) + self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.name, self.key_id = name, crypto.sha256(name.encode() + b"\n" + typed)[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{base64.b64encode(typed).decode()}"


def witness(word):
    return NoteKey(f"w{word[1:]}.example", notes.WITNESS, int(word[1:]))


def line(name, key_id, signature):
    return f"\u2014 {name} {base64.b64encode(key_id + signature).decode()}\n"


def cosignature(asked, body):
    """One cosignature line, with what is wrong with it."""
    key = witness(asked["by"])
    message = f"cosignature/v1\ntime {asked['time']}\n{body}".encode()
    signature = bytearray(asked["time"].to_bytes(8, "big") + key.private.sign(message))
    change = asked.get("change")
    if change in ("flip", "time"):
        signature[40 if change == "flip" else 7] ^= 1
    elif change == "sign-bit":
        signature[0] = 0x80
    elif change == "cut":
        del signature[71:]
    elif change == "longer":
        signature.append(0)
    elif change is not None:
        raise ValueError(f"{change} is no change")
    name, key_id = key.name, key.key_id
    if "as" in asked:
        other = witness(asked["as"])
        name, key_id = other.name, other.key_id if asked.get("key_id") else key_id
    return line(asked.get("name", name), key_id, bytes(signature))


def witnesses(_base, value):
    own = NoteKey(LOG, notes.LOG, 99)
    text = value["policy"].replace("$W1B", NoteKey("w1b.example", notes.WITNESS, 1).vkey).replace("$LOG", own.vkey)
    text = re.sub(r"\$(W[1-6])", lambda found: witness(found[1]).vkey, text)
    policy = notes.TlogPolicy(text)
    root = base64.b64encode(crypto.sha256(b"root")).decode()
    body = f"{LOG}\n8\n{root}\n"
    note = f"{body}\n" + line(LOG, own.key_id, own.private.sign(body.encode()))
    note += "".join(cosignature(one, body) for one in value["cosigned"])
    notes.open_checkpoint(note.encode(), policy)


# --- Passkeys

RP_ID, ORIGIN, MESSAGE = "lockgate.example", "https://lockgate.example", '{"promotion":"P-3"}'
CLIENT = '{"type":"webauthn.get","challenge":"$CHALLENGE","origin":"$ORIGIN","crossOrigin":false}'
PASSKEY_KEY = "sk-ecdsa-sha2-nistp256@openssh.com"


def ssh(*parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def challenge(namespace, message):
    signed = b"SSHSIG" + ssh(namespace.encode(), b"", b"sha512", hashlib.sha512(message).digest())
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def mpint(number):
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return b"\x00" + content if content[:1] >= b"\x80" else content


def armored(wire, blob):
    data = b"SSHSIG" + (1).to_bytes(4, "big") + ssh(wire, releases.APPROVAL.encode(), b"", b"sha512", blob)
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(data).decode()}\n-----END SSH SIGNATURE-----\n"


def passkey(_base, value):
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    wire = ssh(PASSKEY_KEY.encode(), b"nistp256", point, RP_ID.encode())
    if value.get("key") == "other":
        private = ec.generate_private_key(ec.SECP256R1())
    origin, flags = value.get("origin", ORIGIN), bytes([value.get("flags", 5)])
    extensions = base64.b64decode(value.get("extensions", ""))
    signed = bytes_of(value.get("message", MESSAGE))
    client = value.get("client", CLIENT)
    client = client.replace("$CHALLENGE", challenge(value.get("namespace", releases.APPROVAL), signed))
    client = client.replace("$OTHER", challenge(releases.APPROVAL, b"another message"))
    client = client.replace("$ORIGIN", origin).encode()
    message = crypto.sha256(RP_ID.encode()) + flags + bytes(4) + extensions + crypto.sha256(client)
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    if value.get("signature") == "flip":
        s ^= 1 << 184
    numbers = b"" if value.get("signature") == "empty" else ssh(mpint(r), mpint(s))
    numbers = numbers or ssh(b"", b"")
    parts = ssh(sshsig.PASSKEY_SIGNATURE.encode(), numbers) + flags + bytes(4) + ssh(origin.encode(), client, extensions)
    signature = armored(wire, parts)
    sshsig.verify(signature, releases.APPROVAL, MESSAGE.encode(), wire)
    rules = {"user_verification": True, "synced": True, "origins": None} | value.get("rules", {})
    governance.Governance.check_device(types.SimpleNamespace(policy=types.SimpleNamespace(**rules)), signature)


# --- The other targets: each raises Refused or Malformed, or accepts


def name(_base, value):
    kinds = {"service": forms.service, "release": forms.release}
    kinds.get(value["kind"], forms.name)(bytes_of(value["text"]).decode())


def approval(_base, value):
    try:
        entries.read_document(entries.APPROVAL, bytes_of(value))
    except Malformed as error:
        raise Refused("DOCUMENT_INVALID", str(error)) from error


def trust(base, value):
    data = bytes_of(value["text"]) if "text" in value else None
    if data is None:
        document = merged(json.loads((base / "trust.json").read_text()), value.get("merge"))
        data = json.dumps(document).encode()
    bundle.Trust(data)


def files_of(base):
    paths = ("policy.toml", "environments.toml", "people.toml", "trust.toml", "gates/base.toml")
    return {path: (base / "policy" / path).read_text() for path in paths}


def policy(base, value):
    files = files_of(base)
    for path, over in value.get("files", {}).items():
        files.pop(path, None)
        if over is not None:
            files[path] = bytes_of(over).decode()
    if "gates" in value:
        files["gates/base.toml"] = value["gates"]
    document = {"schema": "https://lockgate.dev/policy-set/v1", "files": files}
    policyset.read_policy_set(forms.canonical(document))


def policy_document(base, value):
    document = {"schema": "https://lockgate.dev/policy-set/v1", "files": files_of(base)}
    given = value.get("document")
    data = forms.canonical(merged(document, value.get("merge"))) if given is None else bytes_of(given)
    policyset.read_policy_set(data)


def consistency(_base, value):
    path = json.dumps(value["path"]).encode()
    notes.verify_consistency_file(bytes_of(value["old"]), bytes_of(value["new"]), path, policy_of(value["vkey"]))


def proof(_base, value):
    notes.verify_proof_file(bytes_of(value["proof"]), bytes_of(value["leaf"]), policy_of(value["vkey"]))


TARGETS = {
    "approval": approval,
    "bundle": lambda _base, value: bundle.read(bytes_of(value)),
    "canonical": lambda _base, value: forms.read_canonical(bytes_of(value)),
    "checkpoint": lambda _base, value: notes.open_checkpoint(bytes_of(value["note"]), policy_of(value["vkey"])),
    "consistency": consistency,
    "digest": lambda _base, value: forms.digest(bytes_of(value).decode()),
    "json": lambda _base, value: forms.read_json(bytes_of(value)),
    "name": name,
    "passkey": passkey,
    "policy": policy,
    "policy-document": policy_document,
    "proof": proof,
    "trust": trust,
    "witnesses": witnesses,
}
CHECKPOINT = {"CHECKPOINT_INVALID", "LOG_KEY_UNKNOWN"}
# The codes of a verifier for the errors that the corpus names; what is not here is expected as it stands.
CODES = {
    "canonical": {MALFORMED},
    "digest": {MALFORMED},
    "json": {MALFORMED},
    "name": {MALFORMED},
    "checkpoint": CHECKPOINT,
    "NOTE_BAD_VERIFIER_KEY": {MALFORMED},
    "CHECKPOINT_NOT_LOG_KEY": {MALFORMED},
    "CHECKPOINT_OTHER_LOG": {"LOG_KEY_UNKNOWN"},
    "PROOF_FORM": {"PROOF_INVALID"},
    "PROOF_TOO_MANY_HASHES": {"PROOF_INVALID"},
    "PROOF_INDEX_OUT_OF_RANGE": {"INCLUSION_PROOF"},
    "PROOF_PATH_LENGTH": {"INCLUSION_PROOF", "CONSISTENCY_PROOF"},
    "PROOF_ROOT_MISMATCH": {"INCLUSION_PROOF", "CONSISTENCY_PROOF"},
    "PROOF_SIZES_OUT_OF_ORDER": {"CONSISTENCY_PROOF"},
    "TRUST_UNKNOWN_LOG": CHECKPOINT,
    "TRUST_POLICY_LINE": {MALFORMED},
    "TRUST_POLICY_WHOLE": {MALFORMED},
    "TRUST_COSIGNATURE": {"WITNESS_QUORUM"},
    "TRUST_QUORUM_NOT_MET": {"WITNESS_QUORUM"},
}


def wanted(target, code):
    """The codes that count as the expected answer."""
    return CODES.get(code) or CODES.get(target) or {code}


def answer(target, base, value):
    try:
        TARGETS[target](base, value)
        return ACCEPTED
    except Refused as refused:
        return refused.code
    except (Malformed, UnicodeError):
        return MALFORMED


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    counts, elsewhere, lenient, wrong = Counter(), Counter(), 0, []
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text())
        target = case["target"]
        if target not in TARGETS:
            elsewhere[target] += 1
            if target not in NOT_HERE:
                wrong.append(f"{path.name}: nobody here knows the target {target}")
            continue
        codes = wanted(target, case["expect"]["code"])
        for number, value in enumerate(case["inputs"]):
            found = answer(target, folder / "base", value)
            counts[target] += 1
            if found == ACCEPTED and target == "policy" and not path.name.startswith(POLICY_READ):
                lenient += 1
            elif found not in codes:
                wrong.append(f"{path.name}, input {number}: wanted {' or '.join(sorted(codes))}, found {found}")
        if "control" in case and (found := answer(target, folder / "base", case["control"])) != ACCEPTED:
            wrong.append(f"{path.name}, control: {found}")
    for target, count in sorted(counts.items()):
        print(f"{target}: {count} inputs")
    for one in wrong:
        print(f"WRONG: {one}")
    print(
        f"{counts.total()} inputs, {lenient} of them left to whoever loads gates, {elsewhere.total()} cases of "
        f"{len(elsewhere)} targets not for this verifier, {len(wrong)} wrong"
    )
    return 0 if counts and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
