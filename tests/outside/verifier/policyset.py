"""Policy sets, as far as a verifier needs them that runs no gate (docs/formats.md, "Policy set document").

People, roles, bindings, aliases, environments, the settings of governance, and whom gates are for and what they look
at. Whether a gate's own fields are sound is not looked at.
"""

import functools
import re

import forms
import plaintoml
from forms import Malformed, Refused
from sshsig import origin_host

DOCUMENT_MAX_BYTES = 256 * 1024
PERMISSIONS = {
    "read": "service", "push": "service", "attest": "service", "request": "target", "approve": "target",
    "reject": "target", "withdraw": "target", "rollback": "target", "waive": "target", "freeze": "target",
    "break-glass": "target", "feeds": "ledger", "deploy": "target", "audit": "ledger", "keys": "ledger",
    "policy": "ledger",
}  # fmt: skip
WAIVABLE = ("vulnerabilities", "analysis", "licences", "configuration", "reproducible")
_FILES = re.compile(
    r"(policy|environments|people|aliases|trust)\.toml|(gates|tests)/[^/]+\.toml|rego/[^/]+\.rego|roots/[^/]+\.json"
)


def span(text):
    """Milliseconds of a span such as `72h`."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text, re.ASCII) if isinstance(text, str) else None
    if not match:
        raise Malformed(f"{text!r:.40} is not a span")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] * 1000


def _plain(text):
    parts = text.split("/")
    graphic = all(0x21 <= ord(c) <= 0x7E and c not in "%\\" for c in text)
    return len(text) <= 256 and graphic and not any(part in ("", ".", "..") for part in parts)


def read_pattern(text):
    """A pattern over names: a check that somebody's or something's name fits."""
    if not isinstance(text, str) or any(c in "?[]{}()|^$" for c in text) or not _plain(text):
        raise Malformed(f"{text!r:.60} is not a pattern")
    parts = text.split("/")
    if ".*" in parts or any("**" in part for part in parts[:-1]) or ("**" in parts[-1] and parts[-1] != "**"):
        raise Malformed(f"{text!r:.60} is not a pattern")
    if text in ("*", "**"):
        return _plain
    return lambda given: _plain(given) and _all_fit(parts, given.split("/"))


def _all_fit(parts, given):
    if parts[-1] == "**":
        parts, given = parts[:-1], given[: len(parts) - 1] if len(given) >= len(parts) else []
    return len(parts) == len(given) and all(map(_part_fits, parts, given))


def _part_fits(part, given):
    """Whether one part fits; each piece between two `*` is found as early as it can be, and nothing tried twice."""
    first, *middle = part.split("*")
    if not middle:
        return given == first
    last, at = middle.pop(), len(first)
    for piece in middle:
        found = given.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return given.startswith(first) and at + len(last) <= len(given) and given.endswith(last)


def _texts(value):
    """A list of texts; a text alone is none, though Python would go through its letters."""
    forms.list_of(forms.text)(value)
    return value


def _text(value):
    forms.text(value)
    return value


def _patterns(value):
    return None if value is None else [read_pattern(text) for text in _texts(value)]


def _fits(patterns, given):
    return patterns is None or any(fits(given) for fits in patterns)


class Binding:
    """Who holds some permissions, and where."""

    def __init__(self, permissions, groups, people, services=None, environments=None):
        self.permissions, self.groups = frozenset(permissions), _texts(groups)
        self.people = _patterns(people)
        self.services, self.environments = _patterns(services), _patterns(environments)

    def covers(self, permission, service, environment):
        """Without both: for the whole ledger; without either: for all services there, for the service everywhere."""
        if permission not in self.permissions:
            return False
        if service is None and environment is None:
            return self.services is None and self.environments is None
        if service is None:
            every_service = self.services is None or _plain in self.services
            return every_service and _fits(self.environments, environment)
        if environment is None and PERMISSIONS[permission] != "service":
            return self.environments is None and _fits(self.services, service)
        everywhere = environment is None or _fits(self.environments, environment)
        return everywhere and _fits(self.services, service)

    def is_held_by(self, person, groups):
        by_name = person is not None and any(fits(person) for fits in self.people)
        return by_name or any(group in groups for group in self.groups)


class Gate:
    """One gate: whom it is for, and what it makes facts hold."""

    def __init__(self, table):
        self.name, self.kind = _text(table["name"]), _text(table["kind"])
        self.environments, self.services = _texts(table["environments"]), _patterns(table.get("services"))
        self.compares = (
            (self.kind == "analysis" and table.get("new_only", False))
            or (self.kind == "coverage" and "max_drop" in table)
            or (self.kind == "performance" and any("max_worse" in b for b in table.get("budget", {}).values()))
            or (self.kind == "configuration" and table.get("unchanged", False))
            or (self.kind == "rego" and table.get("with_running_evidence", False))
        )
        self.neighbours = None
        if self.kind == "capacity" and table.get("all_services", False):
            self.neighbours = span(table["settle"])
        elif self.kind == "rego" and "with_neighbours" in table:
            self.neighbours = span(table["with_neighbours"])
        scans = self.kind == "vulnerabilities"
        self.asks_kev = scans and (table.get("kev", False) or table.get("waivers_end_with_kev", False))
        self.asks_epss = scans and "epss" in table
        self.scans = scans

    def applies_to(self, environment, service):
        return environment in self.environments and _fits(self.services, service)


class PolicySet:
    """A policy set, read as far as needed."""

    def __init__(self, data):
        document = forms.read_canonical(data)
        forms.shape(
            schema=forms.constant("https://lockgate.dev/policy-set/v1"), files=forms.map_of(forms.text, forms.text)
        )(document)
        self.files = document["files"]
        size = sum(len(path.encode()) + len(text.encode()) for path, text in self.files.items())
        if size > DOCUMENT_MAX_BYTES or not all(map(_FILES.fullmatch, self.files)):
            raise Malformed("the policy set is too large, or has an unknown file")
        settings = self._table("policy.toml")
        governance = settings.get("governance", {})
        self.quorum, self.backtest = governance.get("quorum", 1), governance.get("backtest", False)
        passkeys = settings.get("passkeys", {})
        self.user_verification = passkeys.get("user_verification", True)
        self.synced, self.origins = passkeys.get("synced", True), passkeys.get("origins")
        self.waivers = None
        if "waivers" in settings:
            defaults = {"max_days": 90, "two_people": True, "service_wide": False, "ticket": False, "end_on_kev": False}
            self.waivers = defaults | settings["waivers"]
        self.break_glass_max = span(settings.get("break-glass", {}).get("max", "4h"))
        self._check_settings()
        tables = self._table("environments.toml")["environment"]
        self.grant_ttl = {name: span(table["grant_ttl"]) for name, table in tables.items()}
        self._read_people(self._table("people.toml"))
        self.aliases = {}
        if "aliases.toml" in self.files:
            for table in self._table("aliases.toml").get("aliases", []):
                self.aliases.update(dict.fromkeys(_texts(table["names"]), _text(table["person"])))
        self.gates = []
        for path in sorted(self.files):
            if path.startswith("gates/"):
                self.gates += [Gate(table) for table in self._table(path).get("gate", [])]

    def _table(self, path):
        return plaintoml.read(self.files[path])

    def _check_settings(self):
        numbers = [self.quorum, *([self.waivers["max_days"]] if self.waivers else [])]
        flags = [self.backtest, self.user_verification, self.synced]
        flags += [self.waivers[key] for key in self.waivers if key != "max_days"] if self.waivers else []
        if any(type(number) is not int for number in numbers) or any(type(flag) is not bool for flag in flags):
            raise Malformed("a setting is of another type")
        if not 1 <= self.quorum <= 16 or (self.waivers and not 1 <= self.waivers["max_days"] <= 90):
            raise Malformed("a setting is out of range")
        if not 0 < self.break_glass_max <= 24 * 3_600_000 or self.origins == []:
            raise Malformed("a setting is out of range")
        if self.origins is not None and not all(map(origin_host, _texts(self.origins))):
            raise Malformed("an origin is no web origin")

    def _read_people(self, table):
        roles = {name: _texts(role["permissions"]) for name, role in table.get("role", {}).items()}
        if any(permission not in PERMISSIONS for role in roles.values() for permission in role):
            raise Malformed("an unknown permission")
        self.groups = frozenset(table.get("group", {}))
        self.bindings = []
        for name, group in table.get("group", {}).items():
            self.bindings += [Binding(roles[role], [name], []) for role in _texts(group.get("roles", []))]
        for one in table.get("bindings", []):
            held = roles[one["role"]]
            scope = (one.get("services"), one.get("environments"))
            whole = any(PERMISSIONS[permission] == "ledger" for permission in held)
            if [] in scope or (whole and scope != (None, None)):
                raise Malformed("a binding's scope")
            self.bindings.append(Binding(held, one.get("groups", []), one.get("people", []), *scope))

    def person(self, account):
        """The person behind an account."""
        return self.aliases.get(account, account)

    def allows(self, person, groups, permission, service=None, environment=None):
        """Whether somebody in some groups may do something; without a name, whether the groups alone may.

        The reach of `permission` narrows what is compared.
        """
        reach = PERMISSIONS[permission]
        if reach == "ledger":
            service = environment = None
        elif reach == "service":
            environment = None
        bindings = (one for one in self.bindings if one.covers(permission, service, environment))
        return any(one.is_held_by(person, groups) for one in bindings)

    def gates_for(self, environment, service):
        return [gate for gate in self.gates if gate.applies_to(environment, service)]

    def compares_with_running(self, environment, service):
        return any(gate.compares for gate in self.gates_for(environment, service))

    def neighbours_since(self, environment, service):
        spans = [gate.neighbours for gate in self.gates_for(environment, service)]
        return max((one for one in spans if one is not None), default=None)

    def feeds_for(self, environment, service):
        """Which feeds facts have, in their order."""
        gates = self.gates_for(environment, service)
        ended = bool(self.waivers and self.waivers["end_on_kev"])
        kev = any(gate.asks_kev or (gate.scans and ended) for gate in gates)
        return (["kev"] if kev else []) + (["epss"] if any(gate.asks_epss for gate in gates) else [])


@functools.lru_cache(maxsize=64)
def read_policy_set(data):
    """Reads a policy set.

    Raises Refused POLICY_INVALID.
    """
    try:
        return PolicySet(data)
    except (Malformed, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused("POLICY_INVALID", f"the policy set does not load: {error}") from error
