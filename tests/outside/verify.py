#!/usr/bin/env python3
"""Checks a Lockgate ledger without any code of Lockgate: checkpoints, inclusion proofs, consistency proofs.

    verify.py checkpoint  --vkey VKEY CHECKPOINT
    verify.py proof       --vkey VKEY --leaf ENTRY PROOF.tlog-proof
    verify.py consistency --vkey VKEY OLD_CHECKPOINT NEW_CHECKPOINT PROOF.json

Prints one line. Exit 0: verified. Exit 1: not verified, or not readable. Exit 2: usage.

Written from these texts, and from nothing else: C2SP signed-note v1.0.0, C2SP tlog-checkpoint v1.0.0,
C2SP tlog-proof, RFC 6962 section 2.1 (hashing), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verification).
Needs Python 3.11 and the package `cryptography` (Ed25519).
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASH_BYTES = 32
PROOF_HASHES_MAX = 63
SIGNATURES_MAX = 32
NOTE_BYTES_MAX = 256 * 1024
ED25519 = 0x01


class Refused(Exception):
    """Why something is not verified."""


def unbase64(text):
    """Standard base64 in its one canonical spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"not base64: {text[:80]!r}") from error
    if base64.b64encode(data).decode() != text:
        raise Refused(f"not canonical base64: {text[:80]!r}")
    return data


def unhash(text):
    data = unbase64(text)
    if len(data) != HASH_BYTES:
        raise Refused(f"a hash has {len(data)} bytes instead of {HASH_BYTES}")
    return data


def decimal(text):
    """A decimal number below 2^64 without sign and leading zeros."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,19}", text) or int(text) >= 1 << 64:
        raise Refused(f"not a number: {text[:80]!r}")
    return int(text)


def is_key_name(name):
    return name != "" and "+" not in name and not any(c.isspace() for c in name)


class VerifierKey:
    """`name+hex(key id)+base64(type || key)`, Ed25519 only (signed-note, "Verifier keys")."""

    def __init__(self, vkey):
        parts = vkey.split("+", 2)
        if len(parts) != 3 or not is_key_name(parts[0]) or not re.fullmatch(r"[0-9a-f]{8}", parts[1]):
            raise Refused("the verifier key is not name+id+key")
        self.name, self.key_id, key = parts[0], bytes.fromhex(parts[1]), unbase64(parts[2])
        if len(key) != 1 + HASH_BYTES or key[0] != ED25519:
            raise Refused("the verifier key is not an Ed25519 key")
        if hashlib.sha256(self.name.encode() + b"\n" + key).digest()[:4] != self.key_id:
            raise Refused("the verifier key's id is not the hash of its name and key")
        self.key = Ed25519PublicKey.from_public_bytes(key[1:])

    def verify(self, text, signature):
        try:
            self.key.verify(signature, text)
        except InvalidSignature as error:
            raise Refused(f"the signature of {self.name} does not verify") from error


def open_note(data, key):
    """The text of a note that `key` signed (signed-note, "Verifying"); other keys' signatures are ignored."""
    if len(data) > NOTE_BYTES_MAX:
        raise Refused("the note is too large")
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("the note is not UTF-8") from error
    if any(ord(c) < 0x20 and c != "\n" for c in note):
        raise Refused("the note holds a control character")
    text, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise Refused("the note has no signatures after an empty line")
    text += "\n"
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Refused("the note has too many signatures")
    signed = False
    for line in lines:
        match = re.fullmatch(r"\u2014 ([^ ]+) ([^ ]+)", line)
        if not match or not is_key_name(match[1]):
            raise Refused("a signature line is malformed")
        blob = unbase64(match[2])
        if len(blob) < 5:
            raise Refused("a signature is too short")
        if (match[1], blob[:4]) == (key.name, key.key_id):
            key.verify(text.encode(), blob[4:])
            signed = True
    if not signed:
        raise Refused(f"{key.name} has not signed")
    return text


def open_checkpoint(data, key):
    """(size, root) of a checkpoint that the log's key signed (tlog-checkpoint)."""
    lines = open_note(data, key).split("\n")
    # Extension lines are allowed by the specification, but this ledger writes none, so that one is a forgery's mark.
    if len(lines) != 4 or lines[3] != "":
        raise Refused("the checkpoint does not have exactly three lines")
    if lines[0] != key.name:
        raise Refused(f"the checkpoint is of {lines[0][:80]!r}, not of {key.name}")
    size, root = decimal(lines[1]), unhash(lines[2])
    if size == 0 and root != hashlib.sha256(b"").digest():
        raise Refused("the checkpoint of an empty tree has a root of another tree")
    return size, root


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(index, size, leaf, path, root):
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        raise Refused(f"index {index} is outside the tree of {size}")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            raise Refused("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Refused("the inclusion proof is too short")
    if r != root:
        raise Refused("the inclusion proof leads to another root")


def check_consistency(old_size, new_size, path, old_root, new_root):
    """RFC 9162 section 2.1.4.2."""
    if old_size == 0 or old_size > new_size:
        raise Refused(f"there is no proof from size {old_size} to size {new_size}")
    if old_size == new_size:
        if path or old_root != new_root:
            raise Refused("two checkpoints of one size differ")
        return
    if not path:
        raise Refused("the consistency proof is empty")
    if old_size & (old_size - 1) == 0:
        path = [old_root, *path]
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise Refused("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Refused("the consistency proof is too short")
    if fr != old_root or sr != new_root:
        raise Refused("the newer tree does not continue the older one")


def read_proof_file(data):
    """(index, path, checkpoint bytes) of a `c2sp.org/tlog-proof@v1` file; `extra` is read over, it proves nothing."""
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise Refused("the proof file has no empty line before the checkpoint")
    try:
        lines = head.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise Refused("the proof file is not UTF-8") from error
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Refused("the first line is not c2sp.org/tlog-proof@v1")
    if lines and lines[0].startswith("extra "):
        unbase64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise Refused("the proof file has no index line")
    index = decimal(lines.pop(0).removeprefix("index "))
    if len(lines) > PROOF_HASHES_MAX:
        raise Refused("the proof has more hashes than any tree needs")
    return index, [unhash(line) for line in lines], checkpoint


def read_hashes(data):
    try:
        items = json.loads(data)
    except ValueError as error:
        raise Refused("the consistency proof is not JSON") from error
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Refused("the consistency proof is not a list of base64 strings")
    if len(items) > PROOF_HASHES_MAX:
        raise Refused("the proof has more hashes than any tree needs")
    return [unhash(item) for item in items]


def run(arguments):
    key = VerifierKey(arguments.vkey)
    if arguments.command == "checkpoint":
        size, root = open_checkpoint(arguments.checkpoint.read_bytes(), key)
        return f"{key.name} signed size {size}, root {root.hex()}"
    if arguments.command == "proof":
        index, path, checkpoint = read_proof_file(arguments.proof.read_bytes())
        size, root = open_checkpoint(checkpoint, key)
        check_inclusion(index, size, leaf_hash(arguments.leaf.read_bytes()), path, root)
        return f"{key.name} holds this entry at index {index} of {size}"
    old_size, old_root = open_checkpoint(arguments.old.read_bytes(), key)
    new_size, new_root = open_checkpoint(arguments.new.read_bytes(), key)
    check_consistency(old_size, new_size, read_hashes(arguments.proof.read_bytes()), old_root, new_root)
    return f"{key.name} at size {new_size} continues size {old_size}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, files in [("checkpoint", ["checkpoint"]), ("proof", ["proof"]), ("consistency", ["old", "new", "proof"])]:
        command = commands.add_parser(name)
        command.add_argument("--vkey", required=True, help="the log's key, name+id+key")
        if name == "proof":
            command.add_argument("--leaf", required=True, type=Path, help="the entry's exact bytes")
        for file in files:
            command.add_argument(file, type=Path)
    try:
        print(f"verified: {run(parser.parse_args())}")
    except (Refused, OSError, ValueError) as error:
        print(f"not verified: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
