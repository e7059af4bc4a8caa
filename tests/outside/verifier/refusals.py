#!/usr/bin/env python3
"""Holds the verifier against what is no input at all: it is refused with its reason code, soon.

    refusals.py tests/attacks

Policy sets that are made to take for ever, or to be met as what they are not. Exit 0: every answer is the expected one.
"""

import signal
import sys
import time
from pathlib import Path

import corpus
import forms
import plaintoml
import policyset
from forms import Malformed, Refused

# A run that hangs is ended, and no answer takes longer than that.
RUN_MAX_SECONDS, ANSWER_MAX_SECONDS = 300, 5


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
    attacks, tally = Path(sys.argv[1]), Tally()
    check_patterns(tally)
    check_toml(tally)
    check_policies(tally, attacks / "base")
    for one in tally.wrong:
        print(f"WRONG: {one}")
    print(f"{tally.count} answers, {len(tally.wrong)} wrong")
    return 0 if tally.count and not tally.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
