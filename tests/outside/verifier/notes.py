"""The log: signed notes, checkpoints, cosignatures, tlog-policy, and RFC 6962 proofs.

C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-policy; RFC 9162 sections 2.1.3.2 and 2.1.4.2. What
docs/formats.md narrows ("The log") is marked here.
"""

import hashlib
import re

import crypto
from forms import Malformed, Refused, is_control, read_json, unbase64

NOTE_MAX_BYTES = 256 * 1024
SIGNATURES_MAX = 32
PARTS_MAX = 128
PROOF_HASHES_MAX = 63
PROOF_HEAD_MAX_BYTES = 64 * 1024
LOG, WITNESS = 0x01, 0x04


def is_key_name(name):
    return name != "" and not any(c == "+" or c.isspace() or is_control(c) for c in name)


def decimal(text):
    """A decimal number below 2^64 without sign and leading zeros."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,19}", text, re.ASCII) or int(text) >= 1 << 64:
        raise Malformed(f"{text!r:.40} is not a number")
    return int(text)


class VerifierKey:
    """`name+hex(key id)+base64(type || key)` (signed-note, "Verifier keys")."""

    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise Malformed("a verifier key is name+id+key")
        self.text, self.name = text, parts[0]
        typed = unbase64(parts[2])
        if not is_key_name(self.name) or len(typed) != 33 or typed[0] not in (LOG, WITNESS):
            raise Malformed("not an Ed25519 verifier key")
        self.kind, self.key = typed[0], typed[1:]
        self.key_id = hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:4]
        if crypto.is_small_order(self.key) or parts[1] != self.key_id.hex():
            raise Malformed("the verifier key's id is not of its name and key")

    def signed(self, line):
        return line[0] == self.name and line[1] == self.key_id


def parse_note(data):
    """The text of a note and its signatures as (name, key id, bytes)."""
    if len(data) > NOTE_MAX_BYTES:
        raise Malformed("the note is too large")
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("the note is not UTF-8") from error
    if any(ord(c) < 0x20 and c != "\n" for c in note):
        raise Malformed("the note holds a control character")
    at = note.rfind("\n\n")
    if at < 0 or not note.endswith("\n") or len(note) < at + 3:
        raise Malformed("no signatures after an empty line")
    lines = note[at + 2 : -1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Malformed("too many signatures")
    signatures = []
    for line in lines:
        words = line.split(" ", 2)
        if len(words) != 3 or words[0] != "\u2014" or not is_key_name(words[1]):
            raise Malformed("a signature line is malformed")
        blob = unbase64(words[2])
        if len(blob) < 5:
            raise Malformed("a signature is too short")
        signatures.append((words[1], blob[:4], blob[4:]))
    return note[: at + 1], signatures


def parse_checkpoint(text):
    """(origin, size, root). Extension lines are refused (docs/formats.md, "The log")."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] != "":
        raise Malformed("a checkpoint has three lines")
    origin, size, root = lines[0], decimal(lines[1]), unbase64(lines[2])
    if origin == "" or any(map(is_control, origin)) or len(root) != 32:
        raise Malformed("the checkpoint's origin or root is malformed")
    if size == 0 and root != hashlib.sha256(b"").digest():
        raise Malformed("the empty tree has another root")
    return origin, size, root


class TlogPolicy:
    """A tlog-policy text: log keys, witnesses, groups, one quorum."""

    def __init__(self, text):
        if len(text.encode()) > NOTE_MAX_BYTES or not text.endswith("\n"):
            raise Malformed("the log policy is too long, or its last line has no line feed")
        self.logs, self.witnesses, self.groups, self.quorum = [], {}, {}, None
        for line in text[:-1].split("\n"):
            if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F for c in line):
                raise Malformed("the log policy holds a control character")
            words = [word for word in re.split(r"[ \t]", line) if word]
            if words and not words[0].startswith("#"):
                self._line(words)
        if self.quorum is None:
            raise Malformed("the log policy has no quorum")

    def _line(self, words):
        if words[0] == "log" and len(words) in (2, 3):
            self._add_key(self.logs, VerifierKey(words[1]), LOG)
        elif words[0] == "witness" and len(words) in (3, 4):
            self._new_name(words[1])
            known = list(self.witnesses.values())
            self._add_key(known, VerifierKey(words[2]), WITNESS)
            self.witnesses[words[1]] = known[-1]
        elif words[0] == "group" and len(words) >= 3:
            self._add_group(words[1], words[2], words[3:])
        elif words[0] == "quorum" and len(words) == 2 and self.quorum is None:
            if words[1] != "none" and not self._is_defined(words[1]):
                raise Malformed("the quorum is not defined")
            self.quorum = words[1]
        else:
            raise Malformed("a line of the log policy is malformed")

    @staticmethod
    def _add_key(known, key, kind):
        if key.kind != kind or len(known) >= PARTS_MAX or any(other.key == key.key for other in known):
            raise Malformed("a key of the log policy is of another kind, stands twice, or is one too many")
        known.append(key)

    def _is_defined(self, name):
        return name in self.witnesses or name in self.groups

    def _new_name(self, name):
        if name == "none" or not all(0x20 < byte != 0x7F for byte in name.encode()) or self._is_defined(name):
            raise Malformed("a name of the log policy is reserved or stands twice")

    def _add_group(self, name, threshold, members):
        self._new_name(name)
        needed = {"all": len(members), "any": 1}.get(threshold)
        needed = decimal(threshold) if needed is None else needed
        taken = [member for group in self.groups.values() for member in group[1]] + members
        if not 1 <= needed <= len(members) or len(self.groups) >= PARTS_MAX or len(set(taken)) != len(taken):
            raise Malformed("a group of the log policy is malformed")
        if not all(map(self._is_defined, members)):
            raise Malformed("a member of a group is not defined above it")
        self.groups[name] = (needed, members)

    def check_quorum(self, text, signatures):
        """Every pinned witness's cosignature on the note verifies, and there are enough of them (tlog-cosignature)."""
        witnessed = set()
        for name, key in self.witnesses.items():
            for line in filter(key.signed, signatures):
                blob = line[2]
                seconds = int.from_bytes(blob[:8], "big")
                message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
                if len(blob) != 72 or seconds >= 1 << 63 or not crypto.ed25519(key.key, message, blob[8:]):
                    raise Refused("WITNESS_QUORUM", f"the cosignature of {name} does not verify")
                witnessed.add(name)
        for name, (needed, members) in self.groups.items():
            if sum(member in witnessed for member in members) >= needed:
                witnessed.add(name)
        if self.quorum != "none" and self.quorum not in witnessed:
            raise Refused("WITNESS_QUORUM", f"{self.quorum} has not cosigned")


def _first_line(data):
    """The first line of a text; of what is no text, nothing."""
    try:
        line, feed, _ = data.decode("utf-8").partition("\n")
    except UnicodeDecodeError:
        return ""
    return line.removesuffix("\r") if feed else line


def open_checkpoint(data, policy):
    """(origin, size, root) of a checkpoint that a pinned log key signed, and enough pinned witnesses."""
    first = _first_line(data)
    error = Refused("LOG_KEY_UNKNOWN", f"no pinned log key is named {first!r:.80}")
    for key in policy.logs:
        if key.name != first:
            continue
        try:
            text, signatures = parse_note(data)
            checkpoint = parse_checkpoint(text)
            own = [line for line in signatures if key.signed(line)]
            if not own or not all(crypto.ed25519(key.key, text.encode(), line[2]) for line in own):
                raise Malformed(f"{key.name} has not signed this")
        except Malformed as malformed:
            error = Refused("CHECKPOINT_INVALID", str(malformed))
            continue
        policy.check_quorum(text, signatures)
        return checkpoint
    raise error


def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion_holds(index, size, leaf, path, root):
    """RFC 9162 section 2.1.3.2."""
    if index >= size or len(leaf) != 32:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = _node(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistency_holds(old_size, new_size, path, old_root, new_root):
    """RFC 9162 section 2.1.4.2; nothing is proven of the empty tree."""
    if old_size == 0 or old_size > new_size:
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    if not path:
        return False
    if old_size & (old_size - 1) == 0:
        path = [old_root, *path]
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = _node(c, fr), _node(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = _node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root


# --- Proofs in files (docs/formats.md, "Proofs")


def _path(texts):
    if len(texts) > PROOF_HASHES_MAX:
        raise Malformed("more hashes than any tree needs")
    path = [unbase64(text) for text in texts]
    if any(len(one) != 32 for one in path):
        raise Malformed("a hash has another length")
    return path


def read_proof_file(data):
    """(index, path, checkpoint) of a file as C2SP tlog-proof has it; `extra` proves nothing and is read over."""
    if len(data) > NOTE_MAX_BYTES + PROOF_HEAD_MAX_BYTES:
        raise Malformed("the proof file is too large")
    try:
        head, empty, checkpoint = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise Malformed("the proof file is not UTF-8") from error
    if not empty or len(head.encode()) > PROOF_HEAD_MAX_BYTES:
        raise Malformed("no empty line before the checkpoint, or too much before it")
    lines = head.split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Malformed("the first line is not c2sp.org/tlog-proof@v1")
    if lines and lines[0].startswith("extra "):
        unbase64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise Malformed("no line that gives the index")
    return decimal(lines[0].removeprefix("index ")), _path(lines[1:]), checkpoint.encode()


def verify_proof_file(data, leaf, policy):
    """(origin, index, size): a leaf's exact bytes stand at an index of a log.

    Raises Refused with PROOF_INVALID, a code of the checkpoint, or INCLUSION_PROOF.
    """
    try:
        index, path, checkpoint = read_proof_file(data)
    except Malformed as error:
        raise Refused("PROOF_INVALID", f"not a proof file: {error}") from error
    origin, size, root = open_checkpoint(checkpoint, policy)
    if not inclusion_holds(index, size, leaf_hash(leaf), path, root):
        raise Refused("INCLUSION_PROOF", f"this is not entry {index} of {size}")
    return origin, index, size


def verify_consistency_file(older, newer, data, policy):
    """(origin, older size, newer size): one checkpoint's tree continues another's. The path is a JSON list of hashes, or the
    answer of `GET /v1/consistency`, of which the field `proof` is taken and nothing else.

    Raises Refused with PROOF_INVALID, a code of either checkpoint, or CONSISTENCY_PROOF.
    """
    try:
        texts = read_json(data)
        if isinstance(texts, dict):
            texts = texts.get("proof")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Malformed("no list of hashes")
        path = _path(texts)
    except Malformed as error:
        raise Refused("PROOF_INVALID", f"not a consistency proof: {error}") from error
    old_origin, old_size, old_root = open_checkpoint(older, policy)
    origin, size, root = open_checkpoint(newer, policy)
    if old_origin != origin or not consistency_holds(old_size, size, path, old_root, root):
        raise Refused("CONSISTENCY_PROOF", f"size {size} of {origin} does not continue size {old_size} of {old_origin}")
    return origin, old_size, size
