#!/usr/bin/env python3
"""Verifies what Lockgate writes without any code of Lockgate: a second, independent verifier.

    lockgate_verify.py bundle BUNDLE --trust TRUST --service S --env E (--file FILE | --artifact DIGEST) [--now MILLIS]
    lockgate_verify.py attestation BUNDLE --trust TRUST
    lockgate_verify.py checkpoint NOTE --trust TRUST
    lockgate_verify.py proof PROOF --leaf ENTRY --trust TRUST
    lockgate_verify.py consistency OLDER NEWER PROOF --trust TRUST
    lockgate_verify.py approval DOCUMENT SIGNATURE --key LINE|FILE
    lockgate_verify.py batch < QUESTIONS.jsonl

Exit codes are those of `lockgate verify`. 0: verified. 1: a file cannot be read. 2: usage, or no sound trust file.
3: not verified; the last line begins with the reason code. 6: no such file. `batch` answers each line with one line,
and ends with 0.

Written from docs/formats.md and from public texts (RFC 6962 and 9162, C2SP signed-note, tlog-checkpoint,
tlog-cosignature and tlog-policy, PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH, WebAuthn, DSSE). It runs no gate again
and reads no evidence; it says so. Needs Python 3.11 and the module `cryptography`.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import attestation
import bundle
import entries
import forms
import notes
import releases
import sshsig
from forms import Malformed, Refused, digest_of, unbase64

VERIFIED, FAILED, UNUSABLE, NOT_VERIFIED, NOT_FOUND = 0, 1, 2, 3, 6
NOT_DONE = "no gate was run again and no evidence read: `lockgate verify` does that"


def show(checks):
    for name, found in checks:
        print(f"  + {name:<13} {found}")


def trust_of(arguments):
    try:
        return bundle.read_trust(arguments.trust.read_bytes())
    except FileNotFoundError as error:
        raise Refused("TRUST_MISSING", f"there is no trust file at {arguments.trust}") from error


def check_bundle(arguments):
    trust = trust_of(arguments)
    artifact = arguments.artifact or digest_of(arguments.file.read_bytes())
    now = time.time_ns() // 1_000_000 if arguments.now is None else arguments.now
    query = {"artifact": artifact, "service": arguments.service, "environment": arguments.env, "now": now}
    show(bundle.verify(arguments.bundle.read_bytes(), trust, query))
    print(f"  . not done      {NOT_DONE}")


def check_attestation(arguments):
    show(attestation.verify(arguments.bundle.read_bytes(), trust_of(arguments)))


def check_checkpoint(arguments):
    trust = trust_of(arguments)
    origin, size, root = notes.open_checkpoint(arguments.note.read_bytes(), trust.policy)
    show([("checkpoint", f"{origin} signed {size} entries with the root {root.hex()}")])


def check_proof(arguments):
    trust, leaf = trust_of(arguments), arguments.leaf.read_bytes()
    origin, index, size = notes.verify_proof_file(arguments.proof.read_bytes(), leaf, trust.policy)
    show([("inclusion", f"these {len(leaf)} bytes are entry {index} of the {size} that {origin} signed")])


def check_consistency(arguments):
    trust = trust_of(arguments)
    notes_and_path = [path.read_bytes() for path in (arguments.older, arguments.newer, arguments.proof)]
    origin, old_size, size = notes.verify_consistency_file(*notes_and_path, trust.policy)
    show([("consistency", f"the {size} entries of {origin} begin with the {old_size} of the older checkpoint")])


def open_approval(data, armored, line):
    """The predicate of an approval document that the key of a public key line signed."""
    try:
        document = entries.read_document(entries.APPROVAL, data)
        key = sshsig.key_of_line(line)
    except Malformed as error:
        raise Refused("DOCUMENT_INVALID", str(error)) from error
    sshsig.parse(armored)
    sshsig.verify(armored, releases.APPROVAL, data, key.wire)
    return document["predicate"]


def check_approval(arguments):
    predicate = open_approval(arguments.document.read_bytes(), arguments.signature.read_text(), arguments.key)
    show([("approval", f"{predicate['approver']} signed {predicate['verdict']} {predicate['promotion']}")])


# --- Batches: one JSON document a line


class Batch:
    """Answers questions, each a line: `[code, message]`, the code null where it is verified, or true and false.

    {"good","trust","artifact","service","environment","now"} sets what the next lines are about, and is answered too.
    {"edit":[start,end,base64]} asks about those bytes with one stretch replaced; {"bundle":base64} about others.
    {"checkpoint":base64} asks about a note under the same trust file; its message is what the note says.
    {"inclusion":{..}}, {"consistency":{..}}, {"sshsig":{..}}, {"approval":{..}} and {"decision":{..}}
    ask about single checks, which need no trust file.
    """

    def __init__(self):
        self.good, self.trust, self.query = b"", b"", {}

    def answer(self, line):
        question = json.loads(line)
        if "good" in question:
            self.good, self.trust = unbase64(question["good"]), question["trust"].encode()
            self.query = {key: question[key] for key in ("artifact", "service", "environment", "now")}
            return self._verdict(self.good)
        if "edit" in question:
            start, end, insert = question["edit"]
            return self._verdict(self.good[:start] + unbase64(insert) + self.good[end:])
        if "bundle" in question:
            return self._verdict(unbase64(question["bundle"]))
        if "checkpoint" in question:
            return self._checkpoint(unbase64(question["checkpoint"]))
        kind = next(iter(question))
        return SINGLE_CHECKS[kind](**question[kind])

    def _verdict(self, data):
        try:
            bundle.verify(data, bundle.read_trust(self.trust), self.query)
            return [None, ""]
        except Refused as refused:
            return [refused.code, str(refused)]

    def _checkpoint(self, data):
        try:
            origin, size, root = notes.open_checkpoint(data, bundle.read_trust(self.trust).policy)
            return [None, f"{origin} {size} {root.hex()}"]
        except Refused as refused:
            return [refused.code, str(refused)]


def _hashes(path):
    return [unbase64(text) for text in path or []]


def _inclusion(index, size, leaf, path, root):
    return notes.inclusion_holds(index, size, unbase64(leaf), _hashes(path), unbase64(root))


def _consistency(old, new, path, old_root, new_root):
    return notes.consistency_holds(old, new, _hashes(path), unbase64(old_root), unbase64(new_root))


def _sshsig(armored, key, namespace, message):
    try:
        sshsig.verify(armored, namespace, message.encode(), sshsig.key_of_line(key).wire)
        return [None, ""]
    except Refused as refused:
        return [refused.code, str(refused)]


def _approval(document, armored, key):
    try:
        open_approval(unbase64(document), armored, key)
        return [None, ""]
    except Refused as refused:
        return [refused.code, str(refused)]


def _decision(document):
    try:
        entries.read_document(entries.DECISION, unbase64(document))
        return [None, ""]
    except Malformed as error:
        return ["DECISION_INVALID", str(error)]


SINGLE_CHECKS = {
    "inclusion": _inclusion,
    "consistency": _consistency,
    "sshsig": _sshsig,
    "approval": _approval,
    "decision": _decision,
}


def answer_batch(_arguments):
    batch = Batch()
    for line in sys.stdin:
        print(json.dumps(batch.answer(line)), flush=True)


def form(check):
    """The type of an argument that has to have a form."""

    def read(text):
        try:
            check(text)
            return text
        except Malformed as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def key_line(text):
    """A public key line as an argument, or out of the file that the argument names."""
    try:
        sshsig.key_of_line(text)
        return text
    except Malformed:
        pass
    try:
        line = Path(text).read_text()
        sshsig.key_of_line(line)
        return line
    except (OSError, ValueError, Malformed) as error:
        raise argparse.ArgumentTypeError(f"neither a public key line nor a file with one: {error}") from error


def arguments_of(words):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("bundle", help="whether an artifact may run")
    one.add_argument("bundle", type=Path)
    one.add_argument("--trust", type=Path, required=True)
    one.add_argument("--service", type=form(forms.service), required=True)
    one.add_argument("--env", type=form(forms.name), required=True)
    one.add_argument("--now", type=int, help="milliseconds since 1970, instead of this machine's clock")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument("--file", type=Path)
    which.add_argument("--artifact", type=form(forms.digest))
    one.set_defaults(run=check_bundle)
    one = commands.add_parser("attestation", help="the attestations that a bundle carries")
    one.add_argument("bundle", type=Path, help="a Lockgate bundle, as `lockgate bundle get` writes it")
    one.add_argument("--trust", type=Path, required=True)
    one.set_defaults(run=check_attestation)
    one = commands.add_parser("checkpoint", help="a signed checkpoint")
    one.add_argument("note", type=Path)
    one.add_argument("--trust", type=Path, required=True)
    one.set_defaults(run=check_checkpoint)
    one = commands.add_parser("proof", help="that an entry is in the log: a file as C2SP tlog-proof has it")
    one.add_argument("proof", type=Path)
    one.add_argument("--leaf", type=Path, required=True, help="the entry's exact bytes")
    one.add_argument("--trust", type=Path, required=True)
    one.set_defaults(run=check_proof)
    one = commands.add_parser("consistency", help="that a newer checkpoint continues an older one")
    one.add_argument("older", type=Path)
    one.add_argument("newer", type=Path)
    one.add_argument("proof", type=Path, help="a JSON list of hashes in base64, or the answer of GET /v1/consistency")
    one.add_argument("--trust", type=Path, required=True)
    one.set_defaults(run=check_consistency)
    one = commands.add_parser("approval", help="a person's signature on an approval document")
    one.add_argument("document", type=Path)
    one.add_argument("signature", type=Path)
    one.add_argument("--key", type=key_line, required=True, help="the person's public key line, or a file with it")
    one.set_defaults(run=check_approval)
    one = commands.add_parser("batch", help="many questions, one a line")
    one.set_defaults(run=answer_batch)
    return parser.parse_args(words)


def main():
    arguments = arguments_of(sys.argv[1:])
    try:
        arguments.run(arguments)
    except Refused as refused:
        print(f"NOT VERIFIED\n{refused.code}: {refused}")
        return UNUSABLE if refused.code in ("TRUST_MISSING", "TRUST_INVALID") else NOT_VERIFIED
    except FileNotFoundError as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return FAILED
    if arguments.run is not answer_batch:
        print("VERIFIED")
    return VERIFIED


if __name__ == "__main__":
    sys.exit(main())
