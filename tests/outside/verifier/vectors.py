#!/usr/bin/env python3
"""Holds the verifier against public vectors: Project Wycheproof's signatures and the proofs of transparency-dev/merkle.

    vectors.py FOLDER

Walks whatever lies in FOLDER/wycheproof and FOLDER/rfc6962-merkle. A set of an algorithm that the verifier does not
have is named and not run; one of a kind that nobody here knows is a failure. Exit 0: every answer is the expected one.
"""

import json
import sys
from pathlib import Path

import crypto
import notes
from cryptography.hazmat.primitives import hashes
from forms import Malformed, unbase64

# The verifier's own algorithms, by the schema of a set. ECDSA is run in both of its encodings: as r and s, which is
# what SSH has, and in DER, as attestations have it.
NOT_HERE = {"rsassa_pss_verify_schema_v1.json", "mldsa_verify_schema.json"}
CURVES = {"secp256r1": ("nistp256", "SHA-256"), "secp384r1": ("nistp384", "SHA-384")}
DER_HASHES = {"SHA-256": hashes.SHA256(), "SHA-384": hashes.SHA384()}


def number(text):
    return int(text, 16)


def curve_of(group):
    curve, own_hash = CURVES[group["publicKey"]["curve"]]
    if group["sha"] != own_hash:
        raise ValueError(f"{curve} with {group['sha']} is not what the verifier does")
    return curve


def ed25519(group, message, signature):
    return crypto.ed25519(bytes.fromhex(group["publicKey"]["pk"]), message, signature)


def ecdsa_numbers(group, message, signature):
    curve = curve_of(group)
    half = crypto.CURVES[curve][1] // 2
    if len(signature) != 2 * half:
        return False
    r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    return crypto.ecdsa(curve, bytes.fromhex(group["publicKey"]["uncompressed"]), message, r, s)


def ecdsa_der(group, message, signature):
    key = crypto.ec_point(curve_of(group), bytes.fromhex(group["publicKey"]["uncompressed"]))
    return key is not None and crypto.ecdsa_der(key, DER_HASHES[group["sha"]], message, signature)


def rsa_pkcs1(group, message, signature):
    name = {"SHA-256": "rsa-sha2-256", "SHA-512": "rsa-sha2-512"}[group["sha"]]
    key = group["publicKey"]
    return crypto.rsa_pkcs1(number(key["modulus"]), number(key["publicExponent"]), name, message, signature)


SCHEMAS = {
    "eddsa_verify_schema_v1.json": ed25519,
    "ecdsa_p1363_verify_schema_v1.json": ecdsa_numbers,
    "ecdsa_verify_schema_v1.json": ecdsa_der,
    "rsassa_pkcs1_verify_schema_v1.json": rsa_pkcs1,
}


def run_set(path):
    """(accepted, refused, wrong) of one set, or None where its algorithm is none of the verifier's."""
    document = json.loads(path.read_text())
    if document["schema"] in NOT_HERE:
        return None
    verify = SCHEMAS.get(document["schema"])
    if verify is None:
        return 0, 0, [f"{path.name}: nobody here knows {document['schema']}"]
    accepted, refused, wrong = 0, 0, []
    for group in document["testGroups"]:
        for test in group["tests"]:
            # What is "acceptable" is a lax encoding: a strict verifier refuses it.
            expected = test["result"] == "valid"
            if verify(group, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])) != expected:
                wrong.append(f"{path.name} {test['tcId']}: {test['comment']}")
            accepted, refused = accepted + expected, refused + (not expected)
    return accepted, refused, wrong


def decoded(case, name):
    return unbase64(case.get(name) or "")


def holds(case):
    path = [unbase64(one) for one in case.get("proof") or []]
    if "leafIdx" in case:
        leaf, root = decoded(case, "leafHash"), decoded(case, "root")
        return notes.inclusion_holds(case["leafIdx"], case["treeSize"], leaf, path, root)
    return notes.consistency_holds(case["size1"], case["size2"], path, decoded(case, "root1"), decoded(case, "root2"))


def run_proofs(folder):
    accepted, refused, wrong = 0, 0, []
    for path in sorted(folder.rglob("*.json")):
        case = json.loads(path.read_text())
        try:
            found = holds(case)
        except Malformed:
            found = False
        if found == case["wantErr"]:
            wrong.append(str(path))
        accepted, refused = accepted + (not case["wantErr"]), refused + case["wantErr"]
    return accepted, refused, wrong


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    found = {path.name: run_set(path) for path in sorted((folder / "wycheproof").glob("*.json"))}
    # Proofs about parts of trees are of a later draft; nothing here has them.
    for kind in ("inclusion", "consistency"):
        found[f"rfc6962-merkle/{kind}"] = run_proofs(folder / "rfc6962-merkle" / kind)
    wrong, cases, sets = [], 0, 0
    for name, outcome in found.items():
        if outcome is None:
            print(f"{name}: not run, the verifier does not have this algorithm")
            continue
        print(f"{name}: {outcome[0]} accepted, {outcome[1]} refused")
        cases, sets, wrong = cases + outcome[0] + outcome[1], sets + 1, wrong + outcome[2]
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{cases} vectors of {sets} sets, {len(found) - sets} sets not run, {len(wrong)} wrong")
    return 0 if cases and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
