#!/usr/bin/env python3
"""Holds the verifier against what is no input at all: it is refused with its reason code, soon, and a batch goes on.

    refusals.py tests/attacks

Bytes that are no text, lines that are no questions, files and lines that are too long, policy sets that are made to
take for ever. Exit 0: every answer is the expected one.
"""

import base64
import contextlib
import hashlib
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bundle
import corpus
import entries
import forms
import inputs
import lockgate_verify
import notes
import plaintoml
import policyset
import releases
import sshsig
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from forms import Malformed, Refused

VERIFIER = Path(__file__).with_name("lockgate_verify.py")
# A run that hangs is ended, and no answer takes longer than that.
RUN_MAX_SECONDS, ANSWER_MAX_SECONDS = 300, 5


def encoded(data):
    return base64.b64encode(data).decode()


class Signer:
    """An Ed25519 key that signs as `ssh-keygen -Y sign` does."""

    def __init__(self):
        self.private = Ed25519PrivateKey.generate()
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.wire = corpus.ssh(b"ssh-ed25519", raw)
        self.line = f"ssh-ed25519 {encoded(self.wire)}"

    def sign(self, data):
        hashed = hashlib.sha512(data).digest()
        signed = b"SSHSIG" + corpus.ssh(releases.APPROVAL.encode(), b"", b"sha512", hashed)
        return corpus.armored(self.wire, corpus.ssh(b"ssh-ed25519", self.private.sign(signed)))


class Tally:
    """How many answers there were, and which were wrong."""

    def __init__(self):
        self.count, self.wrong = 0, []

    def check(self, what, wanted, found):
        self.count += 1
        if found != wanted:
            self.wrong.append(f"{what}: wanted {wanted}, found {found}")

    def outcome(self, what, wanted, run):
        """Runs something that may refuse: the code, or what it gives, in time."""
        began = time.monotonic()
        try:
            found = run()
        except Refused as refused:
            found = refused.code
        self.check(what, wanted, found)
        self.check(f"{what}, in time", True, time.monotonic() - began < ANSWER_MAX_SECONDS)


# --- The command line: (exit code, reason code)


def run(folder, *words):
    process = subprocess.run([sys.executable, "-B", VERIFIER, *words], capture_output=True, cwd=folder, check=False)
    last = process.stdout.decode().rstrip("\n").rpartition("\n")[2]
    return process.returncode, last.partition(": ")[0] if process.returncode else last


def put(folder, name, data):
    (folder / name).write_bytes(data)
    return name


def check_approvals(tally, folder, document, signer):
    armored = signer.sign(document).encode()
    put(folder, "document", document)
    put(folder, "key", signer.line.encode())
    signatures = {
        "as it is": (armored, (0, "VERIFIED")),
        "of CR and LF": (armored.replace(b"\n", b"\r\n"), (0, "VERIFIED")),
        "of CR alone": (armored.replace(b"\n", b"\r"), (3, "SIGNATURE_MALFORMED")),
        "of other bytes": (signer.sign(document + b" ").encode(), (3, "SIGNATURE_INVALID")),
        "no UTF-8": (armored[:40] + b"\xff" + armored[40:], (3, "SIGNATURE_MALFORMED")),
        "no text": (bytes(range(256)), (3, "SIGNATURE_MALFORMED")),
        "nothing": (b"", (3, "SIGNATURE_MALFORMED")),
        "a byte order mark": (b"\xef\xbb\xbf" + armored, (3, "SIGNATURE_MALFORMED")),
        "the longest": (armored.ljust(sshsig.ARMORED_MAX_BYTES), (0, "VERIFIED")),
        "too long": (armored.ljust(sshsig.ARMORED_MAX_BYTES + 1), (3, "SIGNATURE_MALFORMED")),
    }
    for what, (data, wanted) in signatures.items():
        found = run(folder, "approval", "document", put(folder, "signature", data), "--key", "key")
        tally.check(f"a signature, {what}", wanted, found)
    put(folder, "signature", armored)
    documents = {
        "no UTF-8": (document[:-1] + b"\xff}", (3, "DOCUMENT_INVALID")),
        "nothing": (b"", (3, "DOCUMENT_INVALID")),
        "the longest": (document.ljust(inputs.DOCUMENT_MAX_BYTES), (3, "DOCUMENT_INVALID")),
        "too long": (document.ljust(inputs.DOCUMENT_MAX_BYTES + 1), (2, "TOO_LARGE")),
    }
    for what, (data, wanted) in documents.items():
        found = run(folder, "approval", put(folder, "other", data), "signature", "--key", "key")
        tally.check(f"an approval, {what}", wanted, found)
    # What is wrong with the document comes before what is wrong with the signature.
    put(folder, "signature", b"\xff")
    tally.check("both", (3, "DOCUMENT_INVALID"), run(folder, "approval", "signature", "signature", "--key", "key"))
    keys = {"no UTF-8": b"\xff", "too long": signer.line.encode().ljust(sshsig.LINE_MAX_BYTES + 1), "nothing": b""}
    for what, data in keys.items():
        found = run(folder, "approval", "document", "signature", "--key", put(folder, "other", data))
        tally.check(f"a key, {what}", 2, found[0])


def check_files(tally, folder, trust):
    """Each file at its limit is read, and refused for what it holds; with one byte more for its length."""
    put(folder, "trust", trust)
    put(folder, "small", b"x")
    put(folder, "list", b"[]")
    unknown, no_proof = (3, "LOG_KEY_UNKNOWN"), (3, "PROOF_INVALID")
    files = {
        "checkpoint small --trust FILE": (inputs.TRUST_MAX_BYTES, (2, "TRUST_INVALID")),
        "checkpoint FILE --trust trust": (notes.NOTE_MAX_BYTES, unknown),
        "consistency FILE small list --trust trust": (notes.NOTE_MAX_BYTES, unknown),
        "consistency small FILE list --trust trust": (notes.NOTE_MAX_BYTES, unknown),
        "consistency small small FILE --trust trust": (inputs.DOCUMENT_MAX_BYTES, no_proof),
        "proof FILE --leaf small --trust trust": (inputs.PROOF_MAX_BYTES, no_proof),
        "proof small --leaf FILE --trust trust": (entries.ENTRY_MAX_BYTES, no_proof),
    }
    for words, (most, wanted) in files.items():
        for size, expected in ((most, wanted), (most + 1, (2, "TOO_LARGE"))):
            put(folder, "FILE", b"\xff" * size)
            tally.check(f"{words} of {size} bytes", expected, run(folder, *words.split()))
    # A path that cannot be printed.
    tally.check("no trust file", (2, "TRUST_MISSING"), run(folder, "checkpoint", "small", "--trust", b"\xff\n\x1b[2J"))


def check_bundles(tally, folder):
    """The limit of bundles, lowered: half a gigabyte is not written for a test."""
    kept, bundle.BUNDLE_MAX_BYTES = bundle.BUNDLE_MAX_BYTES, 1000
    words = ["attestation", str(folder / "file"), "--trust", str(folder / "trust")]
    try:
        for size, wanted in ((1000, "BUNDLE_INVALID"), (1001, "TOO_LARGE")):
            put(folder, "file", b" " * size)
            tally.outcome(f"a bundle of {size} bytes", wanted, lambda: _run_here(words))
    finally:
        bundle.BUNDLE_MAX_BYTES = kept
    put(folder, "file", b"some artifact")
    tally.check("digest", forms.digest_of(b"some artifact"), inputs.digest_of_file(folder / "file"))


def _run_here(words):
    arguments = lockgate_verify.arguments_of(words)
    arguments.run(arguments)


# --- Batches: each line has one answer, and what follows is answered


def questions(document, signer, trust):
    """Lines, with the code that each has to get; null where it is verified, true and false where that is the answer."""
    armored = signer.sign(document)
    approval = {"document": encoded(document), "armored": armored, "key": signer.line}
    good = {"good": "AA==", "trust": trust.decode(), "artifact": "sha256:" + "0" * 64}
    good |= {"service": "shop/web", "environment": "production", "now": 0}
    inclusion = {"index": 0, "size": 1, "leaf": encoded(bytes(32)), "path": [], "root": encoded(bytes(32))}
    consistency = {"old": 1, "new": 1, "path": [], "old_root": "AA==", "new_root": "AA=="}
    decision = {"document": encoded(document)}
    asked = [
        ({"approval": approval}, None), ({"inclusion": inclusion}, True), ({"consistency": consistency}, True),
        ({"decision": decision}, "DECISION_INVALID"), ({"bundle": "AA=="}, "TRUST_INVALID"),
        (good, "BUNDLE_INVALID"), ({"bundle": "AA=="}, "BUNDLE_INVALID"), ({"edit": [0, 1, "e30="]}, "BUNDLE_INVALID"),
        ({"checkpoint": ""}, "LOG_KEY_UNKNOWN"),
        ({"approval": approval | {"armored": "\u00ff"}}, "SIGNATURE_MALFORMED"),
        ({"approval": approval | {"document": "AA=="}}, "DOCUMENT_INVALID"),
        ({"sshsig": {"armored": armored, "key": signer.line, "namespace": "ns", "message": ""}}, "SIGNATURE_INVALID"),
    ]  # fmt: skip
    lines = [(json.dumps(question).encode(), wanted) for question, wanted in asked]
    malformed = [
        None, True, 5, "text", [], {}, [good], {"unknown": 1}, {"edit": None}, {"edit": []}, {"edit": [0, 1]},
        {"edit": [0, 1, 2]}, {"edit": [1, 0, ""]}, {"edit": [0, 2, ""]}, {"edit": [-1, 0, ""]}, {"edit": ["", 0, ""]},
        {"edit": [0, 1, "?"]}, {"edit": [0, 1, ""], "bundle": "AA=="}, {"bundle": 5}, {"bundle": "AA"}, {"bundle": {}},
        {"checkpoint": "AB=="}, {"inclusion": None}, {"inclusion": {}}, {"inclusion": inclusion | {"index": "0"}},
        {"inclusion": inclusion | {"path": None}}, {"inclusion": inclusion | {"path": ["?"]}},
        {"inclusion": inclusion | {"more": 1}}, {"consistency": consistency | {"old": [1]}}, {"sshsig": []},
        {"consistency": consistency | {"old_root": {}}}, {"approval": approval | {"key": "no key"}},
        {"approval": approval | {"key": None}}, {"approval": approval | {"armored": []}}, {"decision": {"document": 1}},
    ]  # fmt: skip
    lines += [(json.dumps(question).encode(), "JSON_FIELD") for question in malformed]
    text = json.dumps({"approval": approval}).encode()
    no_json = [
        b"", b" ", b"\r", b"no JSON", b"\xff", b"\xef\xbb\xbf" + text, text[:-1], text + b"}", b"[" * 100_000,
        b'{"a":' * 100_000, b'{"bundle":"\\ud800"}', b'{"bundle":"\xed\xa0\x80"}', b'{"bundle":1,"bundle":1}', b"NaN",
        b'{"edit":[0,1.0,""]}', b'{"edit":[0,1e400,""]}', b'{"edit":[0,' + b"9" * 100_000 + b',""]}', b'"\x00"',
    ]  # fmt: skip
    lines += [(line, "JSON_INVALID") for line in no_json]
    # CR ends no line, and is white space before LF.
    lines += [(text.replace(b": ", b":\r") + b"\r", None), (text, None)]
    # Where the bundle that the next lines are about is not known, nothing is verified under the one before.
    for broken in ({"trust": 1}, {"service": "no service"}, {"now": -1}, {"good": "?"}, {"more": 1}):
        lines += [(json.dumps(good).encode(), "BUNDLE_INVALID"), (json.dumps(good | broken).encode(), "JSON_FIELD")]
        lines += [(b'{"edit":[0,0,""]}', "TRUST_INVALID")]
    return lines


def check_batch(tally, lines):
    data = b"\n".join(line for line, _ in lines)
    for what, end in (("with", b"\n"), ("without", b"")):
        command = [sys.executable, "-B", VERIFIER, "batch"]
        process = subprocess.run(command, input=data + end, capture_output=True, check=False)
        answers = [json.loads(line) for line in process.stdout.splitlines()]
        said = (process.returncode, len(answers), process.stderr)
        tally.check(f"a batch {what} a last LF", (0, len(lines), b""), said)
        for (line, wanted), answer in zip(lines, answers):
            tally.check(f"{line[:100]}", wanted, answer if isinstance(answer, bool) else answer[0])


def check_lines(tally):
    cases = [
        (b"", []), (b"\n", [b"\n"]), (b"12345", [b"12345"]), (b"12345\n", [b"12345\n"]), (b"123456", [None]),
        (b"123456\n", [None]), (b"1\n\n123456\n2\n", [b"1\n", b"\n", None, b"2\n"]),
        (b"1234567890" * 500_000 + b"\n1", [None, b"1"]),
    ]  # fmt: skip
    for text, lines in cases:
        tally.check(f"the lines of {text[:20]}", lines, list(inputs.lines(io.BytesIO(text), most=5)))
    batch = lockgate_verify.Batch()
    tally.check("a line that is too long", "TOO_LARGE", batch.answer(None)[0])
    # What nobody thought of is no verdict, and does not end the batch.
    kept, lockgate_verify.SINGLE_CHECKS["decision"] = lockgate_verify.SINGLE_CHECKS["decision"], lambda document: 1 / 0
    with contextlib.redirect_stderr(io.StringIO()) as told:
        tally.check("a bug", "VERIFIER_BUG", batch.answer(b'{"decision":{"document":""}}')[0])
    lockgate_verify.SINGLE_CHECKS["decision"] = kept
    tally.check("a bug is told", True, "ZeroDivisionError" in told.getvalue())
    tally.check("after it", "DECISION_INVALID", batch.answer(b'{"decision":{"document":""}}')[0])


def check_memory(tally):
    """Short arguments are remembered, long ones are not: a batch that is long holds no more than one that is short."""
    calls = []

    @forms.remembered(count=2, most=3)
    def length(text):
        calls.append(text)
        return len(text)

    answers = [length(text) for text in ("abc", "abc", "abcd", "abcd", "abc")]
    tally.check("what is remembered", ([3, 3, 4, 4, 3], ["abc", "abcd", "abcd"]), (answers, calls))


# --- Policy sets


def check_patterns(tally):
    cases = [
        ("*", "shop/web", True), ("**", "shop/web", True), ("shop/*", "shop/web", True),
        ("shop/*", "shop/web/eu", False), ("shop/*", "shop", False), ("shop/*", "workshop/web", False),
        ("shop/**", "shop/web/eu", True), ("shop/**", "shop", False), ("shop/web", "shop/web-evil", False), ("release-*", "release-1.4", True),
        ("v*.*", "v1.4", True), ("v*.*", "v1", False), ("a*b*c", "axxbyyc", True), ("a*b*c", "axxcyyb", False),
        ("ab*ba", "aba", False), ("ab*ba", "abba", True), ("a.b", "axb", False), ("*/b", "a/b", True),
        ("*", "a//b", False),
        ("*a" * 60 + "*b", "a" * 128, False), ("x/" + "*a" * 60 + "*b/**", "x/" + "a" * 128 + "/y", False),
    ]  # fmt: skip
    for pattern, text, wanted in cases:
        tally.outcome(f"{pattern[:20]} on {text[:20]}", wanted, lambda: policyset.read_pattern(pattern)(text))


def check_toml(tally):
    deep, long, points = plaintoml.DEPTH_MAX, ".".join("a" * 120_000), "." * 500
    cases = {
        "the longest key": (".".join("a" * deep) + " = 1", True),
        "a longer key": (".".join("a" * (deep + 1)) + " = 1", False),
        "a key without end": (f"{long} = 1", False),
        "quoted": (".".join(['"a"'] * 60_000) + " = 1", False),
        "spaced": (" . ".join("a" * 60_000) + " = 1", False),
        "a table": (f"[{long}]", False),
        "in a table": (f"x = {{{long} = 1}}", False),
        "the deepest list": ("x = " + "[" * deep + "]" * deep, True),
        "a deeper list": ("x = " + "[" * 100_000, False),
        "tables in each other": ("x = " + "{a=" * 80_000, False),
        "digits": ("x = " + "9" * 200_000, False),
        "points elsewhere": (f'# {points}\nx = "{points}" # {points}\ny = [{"1.5, " * 500}]', True),
    }

    def reads(text):
        try:
            plaintoml.read(text)
            return True
        except Malformed:
            return False

    for what, (text, wanted) in cases.items():
        tally.outcome(f"TOML, {what}", wanted, lambda: reads(text))


def check_policies(tally, base):
    """Values of another type are refused when the set is read, and not met when somebody asks it."""
    gate = '[[gate]]\nname = "g"\nkind = "x"\nenvironments = ["production"]\n'
    group = '[role.r]\npermissions = ["read"]\n[group.g]\nroles = ["r"]\n'
    binding = group + '[[bindings]]\nrole = "r"\n'
    changes = [
        ("gates/base.toml", gate, "read"),
        ("gates/base.toml", gate.replace('["production"]', '"production"'), "POLICY_INVALID"),
        ("gates/base.toml", gate.replace('["production"]', "5"), "POLICY_INVALID"),
        ("gates/base.toml", gate.replace('["production"]', "[5]"), "POLICY_INVALID"),
        ("gates/base.toml", gate.replace('"g"', "[]"), "POLICY_INVALID"),
        ("gates/base.toml", gate.replace('"x"', "{}"), "POLICY_INVALID"),
        ("gates/base.toml", gate + 'services = "shop"\n', "POLICY_INVALID"),
        ("gates/base.toml", "gate = 5\n", "POLICY_INVALID"),
        ("people.toml", binding, "read"),
        ("people.toml", binding + 'groups = "g"\n', "POLICY_INVALID"),
        ("people.toml", binding + "groups = 5\n", "POLICY_INVALID"),
        ("people.toml", binding + 'people = "sam"\n', "POLICY_INVALID"),
        ("people.toml", binding + "services = 5\n", "POLICY_INVALID"),
        ("people.toml", group.replace('["r"]', '"r"'), "POLICY_INVALID"),
        ("people.toml", group.replace('["read"]', '"read"'), "POLICY_INVALID"),
        ("aliases.toml", '[[aliases]]\nperson = "sam"\nnames = ["s"]\n', "read"),
        ("aliases.toml", '[[aliases]]\nperson = ["sam"]\nnames = ["s"]\n', "POLICY_INVALID"),
        ("aliases.toml", '[[aliases]]\nperson = "sam"\nnames = "s"\n', "POLICY_INVALID"),
        ("gates/base.toml", ".".join("a" * 100_000) + " = 1\n", "POLICY_INVALID"),
    ]

    def read(path, text):
        files = corpus.files_of(base) | {path: text}
        document = {"schema": "https://lockgate.dev/policy-set/v1", "files": files}
        policyset.read_policy_set(forms.canonical(document))
        return "read"

    for path, text, wanted in changes:
        tally.outcome(f"{path}: {text[:80]!r}", wanted, lambda: read(path, text))


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    signal.alarm(RUN_MAX_SECONDS)
    attacks, tally, signer = Path(sys.argv[1]), Tally(), Signer()
    document = corpus.bytes_of(json.loads((attacks / "A-33-approval-spelling.json").read_text())["control"])
    trust = (attacks / "base" / "trust.json").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_approvals(tally, folder, document, signer)
        check_files(tally, folder, trust)
        check_bundles(tally, folder)
    check_batch(tally, questions(document, signer, trust))
    check_lines(tally)
    check_memory(tally)
    check_patterns(tally)
    check_toml(tally)
    check_policies(tally, attacks / "base")
    for one in tally.wrong:
        print(f"WRONG: {one}")
    print(f"{tally.count} answers, {len(tally.wrong)} wrong")
    return 0 if tally.count and not tally.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
