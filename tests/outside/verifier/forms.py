"""JSON as Lockgate writes and reads it, and the texts that stand in it (docs/formats.md, "Shared rules")."""

import base64
import binascii
import functools
import hashlib
import json
import math
import re

SAFE_INTEGER = (1 << 53) - 1
WIDE_INTEGER = (1 << 64) - 1
DEPTH_MAX = 64
KEYS_MAX = 10_000
ITEMS_MAX = 1_000_000
TEXT_MAX_BYTES = 4096


class Refused(Exception):
    """Why something is not verified: a reason code and a sentence."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Malformed(Exception):
    """Why bytes are not what they are read as; whoever reads them gives it a reason code."""


def remembered(count, most):
    """A cache of the last `count` answers, like lru_cache, of calls whose texts and bytes have `most` bytes together.

    What is longer is worked out each time, so that whoever asks much and long does not fill the memory.
    """

    def decorate(function):
        cached = functools.lru_cache(maxsize=count)(function)

        @functools.wraps(function)
        def call(*arguments):
            size = sum(len(one) for one in arguments if isinstance(one, (bytes, str)))
            return cached(*arguments) if size <= most else function(*arguments)

        return call

    return decorate


# Unicode's White_Space.
_WHITE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | set(map(chr, range(0x2000, 0x200B)))


def is_blank(text):
    """Whether a text is empty, or nothing but white space."""
    return all(character in _WHITE for character in text)


def is_control(character):
    """Whether a character is of Unicode's category Cc."""
    return ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F


def count_distinct(signers):
    """How many of (person, key) count, in order: a person or key that has been seen before does not."""
    people, keys, count = set(), set(), 0
    for person, key in signers:
        count += person not in people and key not in keys
        people.add(person)
        keys.add(key)
    return count


# --- JSON


def _pairs(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a key stands twice in one object")
    if len(pairs) > KEYS_MAX:
        raise Malformed("an object has too many keys")
    return members


def _integer(text):
    if text == "-0" or len(text) > 17 or abs(int(text)) > SAFE_INTEGER:
        raise Malformed(f"{text[:40]} is not an integer within 2^53 - 1")
    return int(text)


def _wide_integer(text):
    if text == "-0" or len(text) > 20 or abs(int(text)) > WIDE_INTEGER:
        raise Malformed(f"{text[:40]} is not an integer within 2^64 - 1")
    return int(text)


def _no_number(text):
    raise Malformed(f"{text[:40]} is not an integer")


_READER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number
)


# Questions are ours, and ask about trees of any size.
_WIDE_READER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_wide_integer, parse_float=_no_number, parse_constant=_no_number
)


def _finite(text):
    number = float(text)
    if math.isinf(number):
        raise Malformed(f"{text[:40]} is beyond every number")
    return number


# Statements in other tools' formats may hold any number that is one.
_LOOSE_READER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_finite, parse_float=_finite, parse_constant=_no_number
)


def _check_shape(value, depth):
    """Depth, and texts that have no UTF-8."""
    if isinstance(value, str):
        value.encode()
        return
    if isinstance(value, (dict, list)):
        if depth >= DEPTH_MAX:
            raise Malformed("nested too deep")
        if isinstance(value, dict):
            for key, item in value.items():
                key.encode()
                _check_shape(item, depth + 1)
        else:
            if len(value) > ITEMS_MAX:
                raise Malformed("a list has too many items")
            for item in value:
                _check_shape(item, depth + 1)


def read_json(data, any_number=False):
    """One JSON document: UTF-8, no key twice, integers within 2^53 - 1, nested to at most 64, nothing after it."""
    return _read(_LOOSE_READER if any_number else _READER, data)


def read_question(data):
    """As `read_json`, with integers within 2^64 - 1."""
    return _read(_WIDE_READER, data)


def _read(reader, data):
    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            raise Malformed("it begins with a byte order mark")
        value = reader.decode(text)
        _check_shape(value, 0)
        return value
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error


def canonical(value):
    """The canonical bytes of a value (RFC 8785; integers only)."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    if not text.isascii():
        # Keys are ordered by UTF-16 code units, which for ASCII is the order that they are in already.
        text = json.dumps(_in_utf16_order(value), separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _in_utf16_order(value):
    if isinstance(value, dict):
        return {key: _in_utf16_order(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_in_utf16_order(item) for item in value]
    return value


def read_canonical(data):
    """A document that has to be in its canonical spelling."""
    value = read_json(data)
    if canonical(value) != data:
        raise Malformed("not in canonical spelling")
    return value


# --- Base64 and digests


@remembered(count=16384, most=4096)
def unbase64(text):
    """Standard base64 with padding in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Malformed("base64 in another spelling")
    return data


@remembered(count=16384, most=4096)
def digest_of(data):
    """`sha256:` and the hex digits of the SHA-256 of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- Texts


def pattern(expression, max_bytes, what):
    """A check that a value is a text of one form."""
    compiled = re.compile(expression, re.ASCII)

    def check(value):
        if not isinstance(value, str) or len(value) > max_bytes or not compiled.fullmatch(value):
            raise Malformed(f"{value!r:.80} is not {what}")

    return check


_SEGMENT = r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE}(?:\.{_PRE})*)?"

name = pattern(_SEGMENT, 128, "a name")
service = pattern(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,3}}", 128, "a service")
_version_form = pattern(_VERSION, 64, "a version")
digest = pattern(r"sha256:[0-9a-f]{64}", 71, "a digest")
_promotion_form = pattern(r"P-[1-9][0-9]{0,19}", 22, "a promotion")
_change_form = pattern(r"C-[1-9][0-9]{0,19}", 22, "a change")


def _is_u64(digits):
    return int(digits) < 1 << 64


def promotion(value):
    _promotion_form(value)
    if not _is_u64(value[2:]):
        raise Malformed("the promotion's number is too large")


def change(value):
    _change_form(value)
    if not _is_u64(value[2:]):
        raise Malformed("the change's number is too large")


def version(value):
    _version_form(value)
    if not all(_is_u64(part) for part in value.split("-", 1)[0].split(".")):
        raise Malformed("a version's number is too large")


def release(value):
    if not isinstance(value, str):
        raise Malformed("not a release")
    left, at, right = value.partition("@")
    if not at:
        raise Malformed(f"{value!r:.80} is not a release")
    service(left)
    version(right)


def service_of(release_name):
    """The service of a release's name."""
    return release_name.partition("@")[0]


def stream(value):
    """A stream's name."""
    if not isinstance(value, str):
        raise Malformed("not a stream")
    kind, colon, rest = value.partition(":")
    if not colon and value in ("governance", "promotions"):
        return
    forms = {
        "release": release,
        "promotion": promotion,
        "artifact": digest,
        "service": service,
        "environment": name,
        "person": name,
    }
    if kind == "running" and colon:
        environment, slash, what = rest.partition("/")
        if slash:
            name(environment)
            service(what)
            return
    if not colon or kind not in forms:
        raise Malformed(f"{value!r:.80} is not a stream")
    forms[kind](rest)


def text(value):
    if not isinstance(value, str):
        raise Malformed("not a text")


def natural(value):
    """An integer from 0 to 2^53 - 1: an index, a size, a moment."""
    if type(value) is not int or value < 0:
        raise Malformed("not a natural number")


def boolean(value):
    if not isinstance(value, bool):
        raise Malformed("not true or false")


def one_of(*words):
    def check(value):
        if not isinstance(value, str) or value not in words:
            raise Malformed(f"{value!r:.80} is none of {', '.join(words)}")

    return check


def list_of(item_check):
    def check(value):
        if not isinstance(value, list):
            raise Malformed("not a list")
        for item in value:
            item_check(item)

    return check


def map_of(key_check, item_check):
    def check(value):
        if not isinstance(value, dict):
            raise Malformed("not an object")
        for key, item in value.items():
            key_check(key)
            item_check(item)

    return check


# --- Objects


class Optional:
    """A field that is left out where there is nothing to say: never null, never empty."""

    def __init__(self, check, empty=None):
        self.check, self.empty = check, empty

    def __call__(self, value):
        if self.empty is not None and value == self.empty and type(value) is type(self.empty):
            raise Malformed("an optional field is written though it says nothing")
        self.check(value)


def some_of(item_check):
    """A list that is left out where it is empty."""
    return Optional(list_of(item_check), empty=[])


def shape(**fields):
    """A check that a value is an object with these fields and no others; `type_` stands for `_type`."""
    fields = {("_type" if key == "type_" else key): check for key, check in fields.items()}
    needed = {key for key, check in fields.items() if not isinstance(check, Optional)}

    def check(value):
        if not isinstance(value, dict):
            raise Malformed("not an object")
        for key, item in value.items():
            if key not in fields:
                raise Malformed(f"unknown field {key!r:.80}")
            try:
                fields[key](item)
            except Malformed as error:
                raise Malformed(f"{key}: {error}") from error
        for key in needed:
            if key not in value:
                raise Malformed(f"the field {key} is missing")

    check.fields = frozenset(fields)
    return check


def constant(wanted):
    def check(value):
        if value != wanted or type(value) is not type(wanted):
            raise Malformed(f"{value!r:.80} is not {wanted!r}")

    return check


def tagged(tag, **kinds):
    """A check for an object whose field `tag` says which of several shapes it has; `_` in a kind stands for `-`."""
    kinds = {kind.replace("_", "-"): shape(**{tag: text}, **fields) for kind, fields in kinds.items()}

    def check(value):
        if not isinstance(value, dict) or not isinstance(value.get(tag), str) or value[tag] not in kinds:
            raise Malformed(f"no known {tag}")
        kinds[value[tag]](value)

    return check
