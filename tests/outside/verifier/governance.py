"""Governance: people, keys, policy sets and proposals, folded entry by entry (docs/formats.md, "Governance")."""

import entries
import forms
import policyset
import sshsig
from emergencies import Emergencies
from forms import Malformed, Refused, canonical, count_distinct, digest_of, is_blank
from outsiders import Outsiders
from waivers import Waivers

ENROLMENT, POLICY = "key-enrolment.v1@lockgate.dev", "policy-approval.v1@lockgate.dev"
REJECTION, CI_TRUST = "change-rejection.v1@lockgate.dev", "ci-trust.v1@lockgate.dev"
CHANGE_TTL = 72 * 3_600_000
COUNTERSIGNATURES_MAX = 16
BACKTEST_MAX_BYTES = 3 << 20


class Key:
    """A key in the directory."""

    def __init__(self, line, index, event):
        self.public = sshsig.key_of_line(line)
        self.fingerprint, self.enrolled_at = self.public.fingerprint, index
        self.expires_at, self.environments = event.get("expires_at"), event.get("environments", [])
        self.invalid_from = self.suspect = None
        self.compromised, self.voids = False, []

    def valid_at(self, index):
        return self.enrolled_at < index and self.is_good(index)

    def is_good(self, index=None):
        """Whether it counts, at an index or for good."""
        ended = self.invalid_from is not None and (index is None or index >= self.invalid_from)
        return self.suspect is None and not ended

    def expired_at(self, time):
        return self.expires_at is not None and self.expires_at <= time

    def end(self, told_at, since=None):
        """Ends it after the entry that tells so, or from where it was in somebody else's hands."""
        invalid_from = told_at + 1 if since is None else min(since, told_at)
        self.invalid_from = invalid_from if self.invalid_from is None else min(self.invalid_from, invalid_from)
        if since is not None:
            self.compromised = True
            self.voids.append((invalid_from, told_at))

    def voided_by(self, index):
        """The entry that made a signature of this key, recorded at `index`, void afterwards."""
        told = [told_at for since, told_at in self.voids if since <= index < told_at]
        if self.suspect is not None and index < self.suspect:
            told.append(self.suspect)
        return min(told, default=None) if self.enrolled_at < index else None


class Person:
    """Someone enrolled."""

    def __init__(self, kind, groups, keys, index):
        self.kind, self.groups, self.keys, self.standing_at = kind, groups, keys, index
        self.suspensions = []  # [from, until or None]

    def is_suspended(self):
        return bool(self.suspensions) and self.suspensions[-1][1] is None

    def suspended_at(self, index):
        return any(since < index and (until is None or index <= until) for since, until in self.suspensions)

    def key(self, fingerprint):
        return next((key for key in self.keys if key.fingerprint == fingerprint), None)


class Demand:
    """What a change asks of its signers, and who signed."""

    def __init__(self, permission, subject, namespace, document, by, signature, more):
        self.permission, self.subject, self.namespace = permission, subject, namespace
        self.document, self.digest = document, digest_of(document)
        self.signatures = [(by, signature)] + [(one["by"], one["signature"]) for one in more]


class Vouching:
    """Something that rests on signatures: `what` is a kind and a name."""

    def __init__(self, index, event, quorum, signed, what):
        self.index, self.event, self.quorum, self.signed, self.what = index, event, quorum, signed, what


class Governance(Waivers, Emergencies, Outsiders):
    """The governance state at one point of the ledger."""

    def __init__(self, event, bodies):
        self.origin, self.identity = event["origin"], event
        self.people, self.changes, self.vouchings, self.time = {}, [], [], 0
        self._activate(event["policy"], 0, bodies)
        self.begin_waivers()
        self.begin_emergencies()
        self.begin_outsiders()

    def _activate(self, digest, index, bodies):
        self.policy = policyset.read_policy_set(bodies.required(digest))
        self.policy_digest, self.policy_at = digest, index

    def document(self, name, **fields):
        """The bytes that people sign: a document of one schema about this ledger."""
        schema = f"https://lockgate.dev/{name}/v1"
        return canonical({"schema": schema, "ledger": self.origin, **fields})

    def apply(self, event, index, time, actor, bodies):
        """Applies an event of the governance stream."""
        kind, body = event["type"], event["body"]
        handlers = {
            "person.enrolled": lambda: self._enrol(body, index),
            "key.added": lambda: self._add_key(body, index),
            "key.revoked": lambda: self._revoke_key(body, index),
            "key.rotated": lambda: self._rotate_key(body, index),
            "key.recovered": lambda: self._recover_key(body, index),
            "person.suspended": lambda: self._change_standing(body, index, kind),
            "person.reinstated": lambda: self._change_standing(body, index, kind),
            "change.proposed": lambda: self._propose(body, index, bodies),
            "change.signed": lambda: self._sign_change(body, index),
            "change.rejected": lambda: self._reject_change(body, index),
            "policy.activated": lambda: self._activate_policy(body, index, bodies),
        }
        if kind in handlers:
            handlers[kind]()
        elif kind.startswith("waiver."):
            self.apply_waiver(kind, body, index, time)
        elif kind.startswith(("freeze.", "break-glass.", "delegation.")):
            self.apply_emergency(kind, body, index, time)
        else:
            self.apply_outsider(kind, body, index, time, actor, bodies)

    # --- Who may do what

    @staticmethod
    def check_text(text, code="REASON_MISSING"):
        if is_blank(text) or len(text.encode()) > forms.TEXT_MAX_BYTES:
            raise Refused(code, "a text is needed, of at most 4096 bytes")

    @staticmethod
    def new_machine(groups, index):
        return Person("machine", groups, [], index)

    def allows(self, person, permission, service=None, environment=None):
        known = self.people.get(person)
        if known is None or known.is_suspended():
            return False
        return self.policy.allows(person, known.groups, permission, service, environment)

    def require(self, person, permission, service=None, environment=None):
        if not self.allows(person, permission, service, environment):
            raise Refused("NOT_PERMITTED", f"{person} may not {permission} there")

    def is_machine(self, person):
        return person in self.people and self.people[person].kind == "machine"

    def require_person(self, person, must_exist=False):
        if must_exist and person not in self.people:
            raise Refused("PERSON_UNKNOWN", f"{person} is not enrolled")
        if self.is_machine(person):
            raise Refused("SOD_ROBOT", f"{person} is a machine")

    def can_act(self, person, time):
        known = self.people[person]
        return not known.is_suspended() and any(key.is_good() and not key.expired_at(time) for key in known.keys)

    # --- Signatures

    def verify_key(self, person, armored, namespace, message):
        """A person's key that made a signature, whether or not it counts."""
        signature = sshsig.parse(armored)
        if person not in self.people:
            raise Refused("PERSON_UNKNOWN", f"{person} is not enrolled")
        key = self.people[person].key(signature.key.fingerprint)
        if key is None:
            raise Refused("KEY_UNKNOWN", f"the key is not enrolled for {person}")
        sshsig.verify(armored, namespace, message, key.public.wire)
        return key

    def check_device(self, armored):
        """Whether the policy set counts the passkey that made a signature."""
        presence = sshsig.parse(armored).presence()
        if presence is None or presence[1] is None:
            return
        flags, origin = presence
        if self.policy.origins is not None and origin not in self.policy.origins:
            raise Refused("WEBAUTHN_ORIGIN", "the policy set does not list the origin")
        backed_up = flags & sshsig.BACKED_UP
        if backed_up and not self.policy.synced:
            raise Refused("WEBAUTHN_SYNCED", "the policy set wants no synced passkeys")
        if not flags & sshsig.VERIFIED and (self.policy.user_verification or backed_up):
            raise Refused("WEBAUTHN_UV", "the device did not check who it was")

    def verify_signature(self, person, armored, namespace, message, index):
        """Verifies a signature that has to count in entry `index`; gives the key's fingerprint."""
        key = self.verify_key(person, armored, namespace, message)
        self.check_device(armored)
        self.check_counts(person, key, index, self.time)
        return key.fingerprint

    def check_counts(self, person, key, index, time):
        if self.people[person].suspended_at(index):
            raise Refused("PERSON_SUSPENDED", f"{person} is suspended")
        if not key.valid_at(index):
            raise Refused("KEY_REVOKED", f"the key of {person} does not count")
        if key.expired_at(time):
            raise Refused("KEY_EXPIRED", f"the key of {person} has ended")

    def check_scope(self, person, fingerprint, environment=None):
        environments = self.people[person].key(fingerprint).environments
        if environments and environment not in environments:
            raise Refused("KEY_SCOPE", f"the key of {person} is for some environments alone")

    def check_within(self, person, fingerprint, environments):
        own = self.people[person].key(fingerprint).environments
        if own and not (environments and all(one in own for one in environments)):
            raise Refused("KEY_SCOPE", f"the key of {person} vouches for a wider one")

    def approval_counts(self, person, fingerprint, index, time, environment):
        """`key_valid` of the facts."""
        if self.people[person].is_suspended():
            return False
        try:
            self.check_counts(person, self.people[person].key(fingerprint), index, time)
            self.check_scope(person, fingerprint, environment)
            return True
        except Refused:
            return False

    def counted_at(self, signed, index):
        key = self.people[signed[0]].key(signed[1])
        return key is not None and key.valid_at(index)

    def _prove_possession(self, line, proof, document):
        sshsig.parse(proof)
        sshsig.verify(proof, ENROLMENT, document, sshsig.key_of_line(line).wire)
        self.check_device(proof)

    def _refuse_bound_key(self, line):
        material = sshsig.key_of_line(line).material
        if any(key.public.material == material for person in self.people.values() for key in person.keys):
            raise Refused("KEY_ALREADY_BOUND", "the key belongs to somebody")

    # --- Quorum

    def _is_subject(self, account, subject):
        return subject is not None and self.policy.person(account) == self.policy.person(subject)

    def effective_quorum(self, permission, subject):
        able = {
            self.policy.person(name)
            for name, person in self.people.items()
            if person.kind == "person" and not self._is_subject(name, subject) and self.allows(name, permission)
        }
        return max(1, min(self.policy.quorum, len(able)))

    def check_signer(self, by, permission, subject=None):
        if by in self.people and self.people[by].is_suspended():
            raise Refused("PERSON_SUSPENDED", f"{by} is suspended")
        self.require(by, permission)
        self.require_person(by)
        if self._is_subject(by, subject):
            raise Refused("SOD_SELF", f"the change is about {by}")

    def verify_signers(self, demand, index):
        if len(demand.signatures) > COUNTERSIGNATURES_MAX + 1:
            raise Refused("TOO_MANY_SIGNATURES", "a change carries at most 16 further signatures")
        signed = []
        for by, signature in demand.signatures:
            self.check_signer(by, demand.permission, demand.subject)
            key = self.verify_signature(by, signature, demand.namespace, demand.document, index)
            self.check_scope(by, key)
            signed.append((by, key))
        return signed

    def check_quorum(self, demand, signed):
        self._check_proposal(demand, signed)
        needed = self.effective_quorum(demand.permission, demand.subject)
        if count_distinct((self.policy.person(by), key) for by, key in signed) < needed:
            raise Refused("QUORUM_GOVERNANCE", f"this takes {needed} people")
        return needed

    def stands(self, vouching):
        """Whether something still rests on enough good signatures."""
        good = [signed for signed in vouching.signed if self.counted_at(signed, vouching.index)]
        return count_distinct(good) >= vouching.quorum

    def _vouch(self, index, event, quorum, signed, *what):
        self.vouchings.append(Vouching(index, event, quorum, signed, what))

    # --- People and keys

    def demand_of(self, kind, event):
        """What a change asks of its signers; None where nobody else has to sign it."""
        namespace, permission, subject = ENROLMENT, "keys", event.get("person")
        by, signature, more = event.get("by"), event.get("signature"), event.get("countersigned", [])
        end = {key: event[key] for key in ("expires_at", "environments") if key in event}
        if kind == "person.enrolled":
            if event["sponsor"]["kind"] == "setup-code":
                return None
            by, signature, subject = event["sponsor"]["by"], event["sponsor"]["signature"], None
            document = self._enrolment(event, event["subject"], event["groups"])
        elif kind == "key.revoked":
            if by == subject:
                return None
            document = self._revocation(event)
        elif kind == "key.recovered":
            document = self.document("recovery", person=subject, key=event["key"], reason=event["reason"], **end)
        elif kind in ("person.suspended", "person.reinstated"):
            document = self.document(
                "standing", person=subject, suspended=kind == "person.suspended",
                previous_at=event["previous_at"], reason=event["reason"],
            )  # fmt: skip
        elif kind == "policy.activated":
            namespace, permission, subject = POLICY, "policy", None
            fields = ("policy", "previous", "previous_at", "reason", "backtest")
            document = self.document("policy-activation", **{key: event[key] for key in fields if key in event})
        elif kind == "ci.trusted":
            namespace, subject = CI_TRUST, None
            document = self.ci_trust_document(event)
        else:
            return None
        return Demand(permission, subject, namespace, document, by, signature, more)

    def _enrolment(self, event, subject, groups):
        end = {key: event[key] for key in ("expires_at", "environments") if key in event}
        return self.document(
            "enrolment", person=event["person"], subject=subject, groups=groups, key=event["key"], **end
        )

    def _revocation(self, event):
        since = event.get("compromised_since")
        return self.document(
            "revocation", person=event["person"], key=event["key"], compromised_since=since, reason=event["reason"]
        )

    def _enrol(self, event, index):
        person = event["person"]
        if person in self.people:
            raise Refused("PERSON_EXISTS", f"{person} is enrolled already")
        self._refuse_bound_key(event["key"])
        if any(group not in self.policy.groups for group in event["groups"]):
            raise Refused("GROUP_UNKNOWN", "the policy set has no such group")
        self._prove_possession(event["key"], event["proof"], self._enrolment(event, event["subject"], event["groups"]))
        demand, vouched = self.demand_of("person.enrolled", event), None
        if demand is None:
            self._check_setup(event)
        else:
            signed = self.verify_signers(demand, index)
            vouched = (self.check_quorum(demand, signed), signed)
        self.settle(demand)
        key = Key(event["key"], index, event)
        if vouched:
            self._vouch(index, "person.enrolled", *vouched, "key", person, key.fingerprint)
        self.people[person] = Person(event["subject"], event["groups"], [key], index)

    def _check_setup(self, event):
        if self.people:
            raise Refused("SETUP_DONE", "the one-time code enrols the first owner only")
        if digest_of(event["sponsor"]["code"].encode()) != self.identity["setup_code"]:
            raise Refused("SETUP_CODE_WRONG", "this is not the one-time code")
        if "countersigned" in event:
            raise Refused("SPONSOR_INVALID", "nobody countersigns the first owner")

    def _add_key(self, event, index):
        person = event["person"]
        self._refuse_bound_key(event["key"])
        if person not in self.people:
            raise Refused("PERSON_UNKNOWN", f"{person} is not enrolled")
        known = self.people[person]
        document = self._enrolment(event, known.kind, known.groups)
        self._prove_possession(event["key"], event["proof"], document)
        if event["by"] != person:
            raise Refused("NOT_PERMITTED", "a further key is vouched for by its owner")
        by = self.verify_signature(person, event["signature"], ENROLMENT, document, index)
        self.check_within(person, by, event.get("environments", []))
        key = Key(event["key"], index, event)
        self._vouch(index, "key.added", 1, [(person, by)], "key", person, key.fingerprint)
        known.keys.append(key)

    def _rotate_key(self, event, index):
        person = event["person"]
        self._refuse_bound_key(event["key"])
        end = {key: event[key] for key in ("expires_at", "environments") if key in event}
        document = self.document("rotation", person=person, key=event["key"], replaces=event["replaces"], **end)
        self._prove_possession(event["key"], event["proof"], document)
        by = self.verify_signature(person, event["signature"], ENROLMENT, document, index)
        if by != event["replaces"]:
            raise Refused("KEY_MISMATCH", "a rotation is signed by the key that it replaces")
        self.check_within(person, by, event.get("environments", []))
        key = Key(event["key"], index, event)
        self._vouch(index, "key.rotated", 1, [(person, by)], "key", person, key.fingerprint)
        self.people[person].key(by).end(index)
        self.people[person].keys.append(key)

    def _recover_key(self, event, index):
        person = event["person"]
        if person not in self.people:
            raise Refused("PERSON_UNKNOWN", f"{person} is not enrolled")
        self._refuse_bound_key(event["key"])
        demand = self.demand_of("key.recovered", event)
        self._prove_possession(event["key"], event["proof"], demand.document)
        signed = self.verify_signers(demand, index)
        quorum = self.check_quorum(demand, signed)
        self.settle(demand)
        key = Key(event["key"], index, event)
        self._vouch(index, "key.recovered", quorum, signed, "key", person, key.fingerprint)
        for earlier in self.people[person].keys:
            earlier.end(index)
        self.people[person].keys.append(key)

    def _revoke_key(self, event, index):
        person, fingerprint, since = event["person"], event["key"], event.get("compromised_since")
        demand = self.demand_of("key.revoked", event)
        if demand is None:
            if "countersigned" in event:
                raise Refused("SPONSOR_INVALID", "nobody countersigns the end of an own key")
            by = self.verify_signature(person, event["signature"], ENROLMENT, self._revocation(event), index)
            signed, quorum = [(person, by)], 1
        else:
            signed = self.verify_signers(demand, index)
        key = self.people[person].key(fingerprint) if person in self.people else None
        if key is None:
            raise Refused("KEY_UNKNOWN", f"{person} has no such key")
        if demand is None:
            self.check_within(person, by, key.environments)
        else:
            quorum = self.check_quorum(demand, signed)
        needed = min(self._others_in_charge(person), self.policy.quorum)
        key.end(index, since)
        if since is not None:
            self._cascade(index)
            suspect = [self.people[by].key(one).suspect for by, one in signed if one != fingerprint]
            if any(told is not None for told in suspect):
                raise Refused("REVOCATION_UNDERCUT", "a key that signs this falls with it")
            if self._others_in_charge(person) < needed:
                raise Refused("REVOCATION_UNDERCUT", "too few would be left in charge")
        self.settle(demand)
        self._vouch(index, "key.revoked", quorum, signed, "end", person, fingerprint)

    def _cascade(self, index):
        """Marks keys suspect for which no vouching stands any more, and then those that they vouched for."""
        vouched, rests_on = {}, {}
        for vouching in self.vouchings:
            if vouching.what[0] == "key":
                name = vouching.what[1:]
                vouched.setdefault(name, []).append(vouching)
                for signer in vouching.signed:
                    rests_on.setdefault(signer, []).append(name)
        keys = {(name, key.fingerprint): key for name, person in self.people.items() for key in person.keys}
        left = list(vouched)
        while left:
            name = left.pop()
            key = keys.get(name)
            if key is None or key.suspect is not None or any(map(self.stands, vouched[name])):
                continue
            key.suspect = index
            left.extend(rests_on.get(name, ()))

    def _others_in_charge(self, one):
        def usable(key):
            return key.is_good() and not key.environments and not key.expired_at(self.time)

        return len({
            self.policy.person(name)
            for name, person in self.people.items()
            if self.policy.person(name) != self.policy.person(one) and person.kind == "person"
            and self.allows(name, "keys") and any(map(usable, person.keys))
        })  # fmt: skip

    def _change_standing(self, event, index, kind):
        name, suspends = event["person"], kind == "person.suspended"
        if name not in self.people:
            raise Refused("PERSON_UNKNOWN", f"{name} is not enrolled")
        person = self.people[name]
        if event["previous_at"] != person.standing_at:
            raise Refused("STANDING_STALE", f"the standing of {name} has changed")
        doubtful = any(key.suspect is not None for key in person.keys)
        if person.is_suspended() if suspends else not person.is_suspended() and not doubtful:
            raise Refused("STANDING_SAME", f"{name} has that standing already")
        demand = self.demand_of(kind, event)
        signed = self.verify_signers(demand, index)
        quorum = self.check_quorum(demand, signed)
        self.settle(demand)
        if suspends:
            person.suspensions.append([index, None])
        elif person.is_suspended():
            person.suspensions[-1][1] = index
        person.standing_at = index
        if not suspends:
            self._vouch_anew(name, index, quorum, signed)
        self._vouch(index, kind, quorum, signed, "standing", name)

    def _vouch_anew(self, name, index, quorum, signed):
        """Reinstating vouches for the key by which others let somebody in last, and so for what that key let in."""
        person = self.people[name]
        for one in reversed(self.vouchings):
            if one.what[:2] == ("key", name) and one.event in ("person.enrolled", "key.recovered"):
                key = person.key(one.what[2])
                if key is not None and key.suspect is not None:
                    self._vouch(index, "person.reinstated", quorum, signed, "key", name, key.fingerprint)
                    key.suspect = None
                break
        while True:
            standing = [
                key
                for key in person.keys
                if key.suspect is not None
                and any(self.stands(one) for one in self.vouchings if one.what == ("key", name, key.fingerprint))
            ]
            if not standing:
                return
            for key in standing:
                key.suspect = None

    # --- Policy sets

    def _activate_policy(self, event, index, bodies):
        if event["previous"] != self.policy_digest or event["previous_at"] != self.policy_at:
            raise Refused("POLICY_STALE", "another policy set is active")
        demand = self.demand_of("policy.activated", event)
        signed = self.verify_signers(demand, index)
        policyset.read_policy_set(bodies.required(event["policy"]))
        self._check_backtest(event, index, bodies)
        quorum = self.check_quorum(demand, signed)
        self.settle(demand)
        self._vouch(index, "policy.activated", quorum, signed, "policy", event["policy"])
        self._activate(event["policy"], index, bodies)

    def _check_backtest(self, event, index, bodies):
        if "backtest" not in event:
            if self.policy.backtest:
                raise Refused("BACKTEST_MISSING", "the policy set demands a backtest")
            return
        data = bodies.required(event["backtest"])
        if len(data) > BACKTEST_MAX_BYTES:
            raise Refused("BACKTEST_TOO_LARGE", "the backtest is too large")
        try:
            report = entries.read_document(entries.BACKTEST, data)
        except Malformed as error:
            raise Refused("BACKTEST_INVALID", str(error)) from error
        if len(report["flips"]) + len(report["errors"]) + report["unchanged"] != report["decisions"]:
            raise Refused("BACKTEST_INVALID", "the backtest does not account for every decision")
        totals = {}
        for flip in report["flips"]:
            if flip["before"] == flip["after"]:
                raise Refused("BACKTEST_INVALID", "the backtest lists a flip that is none")
            kind = f"{flip['before']} to {flip['after']}"
            totals[kind] = totals.get(kind, 0) + 1
        if totals != report["totals"]:
            raise Refused("BACKTEST_INVALID", "the totals of the backtest are not those of its flips")
        warned = report.get("would_block", [])
        names = [row["gate"] for row in warned]
        if names != sorted(set(names)) or any(not 1 <= row["decisions"] <= report["decisions"] for row in warned):
            raise Refused("BACKTEST_INVALID", "the backtest does not count each gate that only warns once, in order")
        about = (report["ledger"], report["proposed"], report["base"])
        if about != (self.origin, event["policy"], event["previous"]) or report["tree_size"] > index:
            raise Refused("BACKTEST_STALE", "the backtest is about something else")
        if self.policy.backtest and report["first_entry"] != 0:
            raise Refused("BACKTEST_MISSING", "the policy set demands a backtest of the whole history")

    # --- Proposals: {"number", "document", "demand", "expires_at", "signed", "state"}

    def settle(self, demand):
        """Closes the proposals of what has happened now."""
        if demand is None:
            return
        for change in self.changes:
            if change["document"] == demand.digest and self._state(change) == "open":
                change["state"] = "applied"

    def _state(self, change):
        expired = change["state"] == "open" and change["expires_at"] <= self.time
        return "expired" if expired else change["state"]

    def _check_open(self, change):
        state = self._state(change)
        if state != "open":
            raise Refused("CHANGE_EXPIRED" if state == "expired" else "CHANGE_CLOSED", f"the change is {state}")

    def _change(self, name):
        number = int(name[2:])
        if number > len(self.changes):
            raise Refused("CHANGE_UNKNOWN", f"{name} is not known")
        return self.changes[number - 1]

    def _check_unspent(self, document, signed):
        for change in self.changes:
            if change["document"] == document and change["state"] == "rejected":
                if any(one in change["signed"] for one in signed):
                    raise Refused("CHANGE_CLOSED", "what was signed was rejected")

    def _check_proposal(self, demand, signed):
        self._check_unspent(demand.digest, signed)
        own = [change for change in self.changes if change["document"] == demand.digest]
        if own and len(demand.signatures) > 1:
            self._check_open(own[-1])
            if any(one not in own[-1]["signed"] for one in signed):
                raise Refused("CHANGE_UNSIGNED", "somebody has not signed the proposal")

    def _propose(self, event, index, bodies):
        if event["change"] != f"C-{len(self.changes) + 1}":
            raise Refused("CHANGE_NUMBER", "not the next number")
        if event["expires_at"] != self.time + CHANGE_TTL:
            raise Refused("CHANGE_INVALID", "a proposal lasts 72 hours")
        try:
            draft = entries.read_document(entries.event, bodies.required(event["draft"]))
        except Malformed as error:
            raise Refused("CHANGE_INVALID", str(error)) from error
        demand = self.demand_of(draft["type"], draft["body"])
        same = demand is not None and demand.signatures == [(event["by"], event["signature"])]
        if not same or demand.digest != event["document"]:
            raise Refused("CHANGE_INVALID", "the draft is not what the proposal says")
        signed = self.verify_signers(demand, index)
        self._check_unspent(demand.digest, signed)
        if any(one["document"] == demand.digest and self._state(one) == "open" for one in self.changes):
            raise Refused("CHANGE_OPEN", "the same is proposed and open")
        change = {"document": demand.digest, "demand": demand, "expires_at": event["expires_at"], "signed": signed}
        self.changes.append({**change, "number": event["change"], "state": "open"})

    def _sign_change(self, event, index):
        change, by = self._change(event["change"]), event["by"]
        self._check_open(change)
        if any(person == by for person, _ in change["signed"]):
            raise Refused("CHANGE_SIGNED", f"{by} has signed it")
        if len(change["signed"]) > COUNTERSIGNATURES_MAX:
            raise Refused("TOO_MANY_SIGNATURES", "a change carries at most 16 further signatures")
        demand = change["demand"]
        self.check_signer(by, demand.permission, demand.subject)
        key = self.verify_signature(by, event["signature"], demand.namespace, demand.document, index)
        self.check_scope(by, key)
        self._check_unspent(demand.digest, [(by, key)])
        change["signed"].append((by, key))

    def _reject_change(self, event, index):
        change, by = self._change(event["change"]), event["by"]
        self._check_open(change)
        self.check_signer(by, change["demand"].permission, change["demand"].subject)
        document = self.document(
            "change-rejection", change=event["change"], document=change["document"], reason=event["reason"]
        )
        key = self.verify_signature(by, event["signature"], REJECTION, document, index)
        self.check_scope(by, key)
        change["state"] = "rejected"
