"""TOML as policy sets are written: what TOML 1.0 and 1.1 read alike, and no dates (docs/formats.md, "Policy set document").

Python's own reader knows 1.0 alone up to Python 3.14, and 1.1 from 3.15 on. What only 1.1 knows is refused here by
itself, so that no answer depends on the Python.
"""

import datetime
import re
import tomllib

from forms import Malformed

# How many parts a key has, and how deep brackets stand in each other, at most. Nothing of a policy set comes near;
# Python's reader takes time by the square of the one, and a call for each of the other.
DEPTH_MAX = 80
_DATES = (datetime.date, datetime.time)
# What matters outside of texts, and how texts begin.
_TOKEN = re.compile(r"""#[^\n]*|\"{3}|'{3}|["']|[\[\]{},\n]|[^#"'\[\]{},\n \t\r]+""")
_BASIC = {'"': re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL), '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)}
_LITERAL = {"'": re.compile(r"[^']*'"), "'''": re.compile(r"(?:[^']|'(?!''))*'{3,5}")}
_NEW_ESCAPE = re.compile(r"(?:[^\\]|\\[^ex])*\\[ex]", re.DOTALL)


def check_plain(text):
    """Refuses what only TOML 1.1 knows; of a text that is no TOML at all it may say anything.

    Raises Malformed.
    """
    if text.startswith("\ufeff"):
        raise Malformed("it begins with a byte order mark")
    at, opened, comma, parts = 0, [], False, 0
    while (token := _TOKEN.search(text, at)) is not None:
        at, found = token.end(), token.group()
        after_comma, comma = comma, False
        parts = 0 if found in ",[]{}\n" else parts + (found[0] != "#" and found.count("."))
        if parts >= DEPTH_MAX or len(opened) > DEPTH_MAX:
            raise Malformed("a key has too many parts, or brackets stand too deep in each other")
        if found[0] in "\"'":
            body = (_BASIC | _LITERAL)[found].match(text, at)
            if body is None:
                raise Malformed("a text does not end")
            if found in _BASIC and _NEW_ESCAPE.match(body.group()):
                raise Malformed(r"the escapes \e and \x are of TOML 1.1 alone")
            if len(found) == 3 and "\r" in body.group():
                raise Malformed("readers differ on a carriage return in a text of several lines")
            at = body.end()
        elif found in "[{":
            opened.append(found)
        elif found in "]}":
            if found == "}" and after_comma:
                raise Malformed("a comma before the end of an inline table is of TOML 1.1 alone")
            if opened:
                opened.pop()
        elif found == ",":
            comma = True
        elif found == "\n" or found[0] == "#":
            if found == "\n" and opened and opened[-1] == "{":
                raise Malformed("a line break in an inline table is of TOML 1.1 alone")
            comma = after_comma


def _check_dates(value):
    if isinstance(value, _DATES):
        raise Malformed("a policy set holds no dates and times")
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_dates(item)


def read(text):
    """The table of a TOML file.

    Raises Malformed.
    """
    check_plain(text)
    try:
        table = tomllib.loads(text)
        _check_dates(table)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not TOML: {error}") from error
    return table
