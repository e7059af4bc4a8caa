#!/usr/bin/env python3
"""Verifies what Lockgate writes without any code of Lockgate: a second, independent verifier.

    lockgate_verify.py bundle BUNDLE --trust TRUST --service S --env E (--file FILE | --artifact DIGEST) [--now MILLIS]
    lockgate_verify.py attestation BUNDLE --trust TRUST
    lockgate_verify.py checkpoint NOTE --trust TRUST
    lockgate_verify.py proof PROOF --leaf ENTRY --trust TRUST
    lockgate_verify.py consistency OLDER NEWER PROOF --trust TRUST
    lockgate_verify.py approval DOCUMENT SIGNATURE --key LINE|FILE
    lockgate_verify.py batch < QUESTIONS.jsonl

Exit codes are those of `lockgate verify`. 0: verified. 1: a file cannot be read. 2: usage, no sound trust file, or a
file that is larger than is read. 3: not verified; the last line begins with the reason code. 6: no such file. 70: a bug
of this verifier. `batch` answers each line with one line, whatever stands in it, and ends with 0.

Written from docs/formats.md and from public texts (RFC 6962 and 9162, C2SP signed-note, tlog-checkpoint,
tlog-cosignature and tlog-policy, PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH, WebAuthn, DSSE). It runs no gate again
and reads no evidence; it says so. Needs Python 3.11 and the module `cryptography`.
"""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path

import attestation
import bundle
import entries
import forms
import inputs
import notes
import releases
import sshsig
from forms import Malformed, Refused, list_of, natural, shape, text, unbase64

VERIFIED, FAILED, UNUSABLE, NOT_VERIFIED, NOT_FOUND, BUG = 0, 1, 2, 3, 6, 70
UNUSABLE_CODES = ("TRUST_MISSING", "TRUST_INVALID", "TOO_LARGE")
NOT_DONE = "no gate was run again and no evidence read: `lockgate verify` does that"


def visible(said):
    """A text on one line, without anything that a terminal obeys or that cannot be printed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(said))


def show(checks):
    for name, found in checks:
        print(f"  + {name:<13} {visible(found)}")


def trust_of(arguments):
    try:
        return bundle.read_trust(inputs.read_file(arguments.trust, inputs.TRUST_MAX_BYTES))
    except FileNotFoundError as error:
        raise Refused("TRUST_MISSING", f"there is no trust file at {arguments.trust}") from error


def read_bundle(arguments):
    return inputs.read_file(arguments.bundle, bundle.BUNDLE_MAX_BYTES)


def read_note(path):
    return inputs.read_file(path, notes.NOTE_MAX_BYTES)


def check_bundle(arguments):
    trust = trust_of(arguments)
    artifact = arguments.artifact or inputs.digest_of_file(arguments.file)
    now = time.time_ns() // 1_000_000 if arguments.now is None else arguments.now
    query = {"artifact": artifact, "service": arguments.service, "environment": arguments.env, "now": now}
    show(bundle.verify(read_bundle(arguments), trust, query))
    print(f"  . not done      {NOT_DONE}")


def check_attestation(arguments):
    trust = trust_of(arguments)
    show(attestation.verify(read_bundle(arguments), trust))


def check_checkpoint(arguments):
    trust = trust_of(arguments)
    origin, size, root = notes.open_checkpoint(read_note(arguments.note), trust.policy)
    show([("checkpoint", f"{origin} signed {size} entries with the root {root.hex()}")])


def check_proof(arguments):
    trust, leaf = trust_of(arguments), inputs.read_file(arguments.leaf, entries.ENTRY_MAX_BYTES)
    proof = inputs.read_file(arguments.proof, inputs.PROOF_MAX_BYTES)
    origin, index, size = notes.verify_proof_file(proof, leaf, trust.policy)
    show([("inclusion", f"these {len(leaf)} bytes are entry {index} of the {size} that {origin} signed")])


def check_consistency(arguments):
    trust = trust_of(arguments)
    older, newer = read_note(arguments.older), read_note(arguments.newer)
    proof = inputs.read_file(arguments.proof, inputs.DOCUMENT_MAX_BYTES)
    origin, old_size, size = notes.verify_consistency_file(older, newer, proof, trust.policy)
    show([("consistency", f"the {size} entries of {origin} begin with the {old_size} of the older checkpoint")])


def open_approval(data, signature, line):
    """The predicate of an approval document that the key of a public key line signed; the signature is in bytes."""
    try:
        document = entries.read_document(entries.APPROVAL, data)
    except Malformed as error:
        raise Refused("DOCUMENT_INVALID", str(error)) from error
    sshsig.verify(sshsig.armored_text(signature), releases.APPROVAL, data, sshsig.key_of_line(line).wire)
    return document["predicate"]


def check_approval(arguments):
    document = inputs.read_file(arguments.document, inputs.DOCUMENT_MAX_BYTES)
    # One byte more than a signature has is enough to refuse it for its length.
    signature = inputs.read_at_most(arguments.signature, sshsig.ARMORED_MAX_BYTES + 1)
    predicate = open_approval(document, signature, arguments.key)
    show([("approval", f"{predicate['approver']} signed {predicate['verdict']} {predicate['promotion']}")])


# --- Batches: one JSON document a line


class Batch:
    """Answers questions, each a line: `[code, message]`, the code null where it is verified, or true and false.

    {"good","trust","artifact","service","environment","now"} sets what the next lines are about, and is answered too.
    {"edit":[start,end,base64]} asks about those bytes with one stretch replaced; {"bundle":base64} about others.
    {"checkpoint":base64} asks about a note under the same trust file; its message is what the note says.
    {"inclusion":{..}}, {"consistency":{..}}, {"sshsig":{..}}, {"approval":{..}} and {"decision":{..}}
    ask about single checks, which need no trust file.
    What is no such question is refused: JSON_INVALID where it is no strict JSON, JSON_FIELD where it has another form,
    also of its base64 and of its keys, TOO_LARGE where the line is longer than is read. After a "good" that is no
    question nothing is verified until the next one.
    """

    def __init__(self):
        self._forget()

    def _forget(self):
        self.good, self.trust, self.query = b"", b"", {}

    def answer(self, line):
        """The answer to one line; None stands for one that is longer than is read."""
        try:
            return self._answer(line)
        except Refused as refused:
            return [refused.code, str(refused)]
        except Exception as error:
            # Nothing is verified, whatever went wrong, and the lines that follow are answered.
            traceback.print_exc()
            return ["VERIFIER_BUG", f"{type(error).__name__}: {error}"]

    def _answer(self, line):
        if line is None:
            raise Refused("TOO_LARGE", f"the line is over the limit of {inputs.LINE_MAX_BYTES} bytes")
        try:
            question = forms.read_question(line)
        except Malformed as error:
            raise Refused("JSON_INVALID", f"no question: {error}") from error
        try:
            return self._ask(question)
        except Malformed as error:
            raise Refused("JSON_FIELD", f"no question: {error}") from error

    def _ask(self, question):
        kind = next((kind for kind in QUESTIONS if isinstance(question, dict) and kind in question), None)
        if kind is None:
            raise Malformed("nothing that is known is asked")
        if kind == "good":
            self._forget()
        QUESTIONS[kind](question)
        asked = question[kind]
        if kind == "good":
            good, trust = unbase64(asked), question["trust"].encode()
            self.query = {key: question[key] for key in ("artifact", "service", "environment", "now")}
            self.good, self.trust = good, trust
            return self._verdict(good)
        if kind == "edit":
            start, end, insert = asked
            if not start <= end <= len(self.good):
                raise Malformed("the stretch is not one of those bytes")
            return self._verdict(self.good[:start] + unbase64(insert) + self.good[end:])
        if kind == "bundle":
            return self._verdict(unbase64(asked))
        if kind == "checkpoint":
            origin, size, root = notes.open_checkpoint(unbase64(asked), bundle.read_trust(self.trust).policy)
            return [None, f"{origin} {size} {root.hex()}"]
        return SINGLE_CHECKS[kind](**asked)

    def _verdict(self, data):
        bundle.verify(data, bundle.read_trust(self.trust), self.query)
        return [None, ""]


def _hashes(path):
    return [unbase64(one) for one in path]


def _inclusion(index, size, leaf, path, root):
    return notes.inclusion_holds(index, size, unbase64(leaf), _hashes(path), unbase64(root))


def _consistency(old, new, path, old_root, new_root):
    return notes.consistency_holds(old, new, _hashes(path), unbase64(old_root), unbase64(new_root))


def _sshsig(armored, key, namespace, message):
    sshsig.verify(armored, namespace, message.encode(), sshsig.key_of_line(key).wire)
    return [None, ""]


def _approval(document, armored, key):
    open_approval(unbase64(document), armored.encode(), key)
    return [None, ""]


def _decision(document):
    data = unbase64(document)
    try:
        entries.read_document(entries.DECISION, data)
    except Malformed as error:
        raise Refused("DECISION_INVALID", str(error)) from error
    return [None, ""]


SINGLE_CHECKS = {
    "inclusion": _inclusion,
    "consistency": _consistency,
    "sshsig": _sshsig,
    "approval": _approval,
    "decision": _decision,
}


def _stretch(value):
    if not isinstance(value, list) or len(value) != 3:
        raise Malformed("not a start, an end and base64")
    for check, one in zip((natural, natural, text), value):
        check(one)


# The form of each question, by the field that tells which it is.
QUESTIONS = {
    "good": shape(
        good=text, trust=text, artifact=forms.digest, service=forms.service, environment=forms.name, now=natural
    ),
    "edit": shape(edit=_stretch),
    "bundle": shape(bundle=text),
    "checkpoint": shape(checkpoint=text),
    "inclusion": shape(inclusion=shape(index=natural, size=natural, leaf=text, path=list_of(text), root=text)),
    "consistency": shape(consistency=shape(old=natural, new=natural, path=list_of(text), old_root=text, new_root=text)),
    "sshsig": shape(sshsig=shape(armored=text, key=text, namespace=text, message=text)),
    "approval": shape(approval=shape(document=text, armored=text, key=text)),
    "decision": shape(decision=shape(document=text)),
}


def answer_batch(_arguments):
    batch = Batch()
    for line in inputs.lines(sys.stdin.buffer):
        print(json.dumps(batch.answer(line)), flush=True)


def form(check):
    """The type of an argument that has to have a form."""

    def read(word):
        try:
            check(word)
            return word
        except Malformed as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def key_line(word):
    """A public key line as an argument, or out of the file that the argument names."""
    try:
        sshsig.key_of_line(word)
        return word
    except (Malformed, UnicodeEncodeError):
        pass
    try:
        line = inputs.read_file(Path(word), sshsig.LINE_MAX_BYTES).decode("utf-8")
        sshsig.key_of_line(line)
        return line
    except (OSError, ValueError, Malformed, Refused) as error:
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
        print(f"NOT VERIFIED\n{refused.code}: {visible(refused)}")
        return UNUSABLE if refused.code in UNUSABLE_CODES else NOT_VERIFIED
    except FileNotFoundError as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return FAILED
    except Exception as error:
        traceback.print_exc()
        print(f"NOT VERIFIED\nVERIFIER_BUG: {visible(f'{type(error).__name__}: {error}')}")
        return BUG
    if arguments.run is not answer_batch:
        print("VERIFIED")
    return VERIFIED


if __name__ == "__main__":
    # Whatever the language of this machine, what is printed can be printed.
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
