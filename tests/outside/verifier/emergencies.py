"""Freezes, break-glass and delegations in the governance state (docs/formats.md, "Governance")."""

from forms import Refused, count_distinct, digest_of, service_of

FREEZE, BREAK_GLASS, DELEGATION = "freeze.v1@lockgate.dev", "break-glass.v1@lockgate.dev", "delegation.v1@lockgate.dev"
NONCE_MAX_BYTES = 64
CLOCK_SLACK = 300_000
BREAK_GLASS_PEOPLE = 2
DELEGATION_MAX = 30 * 86_400_000


class Emergencies:
    """A part of Governance."""

    def begin_emergencies(self):
        self.freezes, self.break_glasses, self.delegations, self._used_documents = [], [], [], set()

    def apply_emergency(self, kind, event, index, time):
        handlers = {
            "freeze.ordered": lambda: self._freeze(event, index, time),
            "freeze.lifted": lambda: self._lift(event, index),
            "break-glass.opened": lambda: self._open_break_glass(event, index, time),
            "break-glass.signed": lambda: self._sign_break_glass(event, index, time),
            "break-glass.reviewed": lambda: self._review_break_glass(event, index),
            "delegation.granted": lambda: self._delegate(event, index, time),
            "delegation.ended": lambda: self._end_delegation(event, index),
        }
        handlers[kind]()

    def _use_once(self, document, code):
        digest = digest_of(document)
        if digest in self._used_documents:
            raise Refused(code, "this very document was used before")
        self._used_documents.add(digest)

    # --- Freezes: {"event", "index", "time", "lifts"}

    def _may_freeze(self, by, event):
        self.require(by, "freeze", event.get("service"), event.get("environment"))

    def _freeze(self, event, index, time):
        by, environment = event["by"], event.get("environment")
        self._may_freeze(by, event)
        if environment is not None and environment not in self.policy.grant_ttl:
            raise Refused("FREEZE_SCOPE", "the policy set has no such environment")
        if event.get("until", time + 1) <= time:
            raise Refused("FREEZE_EXPIRY", "a freeze does not end in the past")
        self.check_text(event["reason"])
        if not 1 <= len(event["nonce"].encode()) <= NONCE_MAX_BYTES:
            raise Refused("FREEZE_REPLAYED", "the nonce has another length")
        kept = ("service", "environment", "reason", "until", "nonce", "by")
        fields = {key: event[key] for key in kept if key in event}
        document = self.document("freeze", spares_rollbacks=event.get("spares_rollbacks", False), **fields)
        key = self.verify_signature(by, event["signature"], FREEZE, document, index)
        self.check_scope(by, key, environment)
        self._use_once(document, "FREEZE_REPLAYED")
        self.freezes.append({"event": event, "index": index, "time": time, "lifts": []})

    def _is_lifted(self, freeze):
        return any(self.counted_at(signed, index) for signed, index in freeze["lifts"])

    def _lift(self, event, index):
        freeze = next((known for known in self.freezes if known["index"] == event["freeze"]), None)
        if freeze is None:
            raise Refused("FREEZE_UNKNOWN", "no freeze was ordered there")
        if self._is_lifted(freeze):
            raise Refused("FREEZE_OVER", "it was lifted already")
        by = event["by"]
        self._may_freeze(by, freeze["event"])
        self.require_person(by)
        self.check_text(event["reason"])
        document = self.document("freeze-lift", freeze=event["freeze"], reason=event["reason"], by=by)
        key = self.verify_signature(by, event["signature"], FREEZE, document, index)
        self.check_scope(by, key, freeze["event"].get("environment"))
        freeze["lifts"].append(((by, key), index))

    def freezes_for(self, service, environment):
        """The freezes of the facts: those that nobody lifted, also when they are over."""
        found = []
        for freeze in self.freezes:
            event = freeze["event"]
            fits = event.get("service", service) == service and event.get("environment", environment) == environment
            if fits and not self._is_lifted(freeze):
                kept = ("service", "environment", "by", "reason", "until", "spares_rollbacks")
                fact = {key: event[key] for key in kept if key in event}
                found.append(fact | {"index": freeze["index"], "since": freeze["time"]})
        return found

    def check_not_frozen(self, service, environment, promotion, now):
        decision = promotion.decisions[-1]
        for fact in self.freezes_for(service, environment):
            spared = fact.get("spares_rollbacks", False) and promotion.request["kind"] == "rollback"
            known = "break_glass" in decision.event and fact["index"] < decision.index
            over = "until" in fact and fact["until"] <= max(now, fact["since"])
            if not spared and not known and not over:
                raise Refused("FROZEN", f"entry {fact['index']} froze it")

    # --- Break-glass: {"event", "index", "needed", "signatures", "effective", "reviews"}

    def break_glass(self, index):
        known = next((known for known in self.break_glasses if known["index"] == index), None)
        if known is None:
            raise Refused("BREAK_GLASS_UNKNOWN", f"entry {index} opens no break-glass")
        return known

    def _may_break(self, by, event):
        self.require(by, "break-glass", service_of(event["release"]), event["environment"])
        self.require_person(by, must_exist=True)

    def is_reviewed(self, opened):
        return any(self.counted_at(signed, index) for signed, index in opened["reviews"])

    def _check_reviewed(self):
        if any(one["effective"] is not None and not self.is_reviewed(one) for one in self.break_glasses):
            raise Refused("BREAK_GLASS_UNREVIEWED", "an earlier one waits for its review")

    def _break_glass_document(self, event):
        kept = ("release", "manifest", "environment", "reason", "ticket", "expires_at")
        return self.document("break-glass", opened_by=event["by"], **{key: event[key] for key in kept})

    def _open_break_glass(self, event, index, time):
        by, environment = event["by"], event["environment"]
        self._may_break(by, event)
        if environment not in self.policy.grant_ttl:
            raise Refused("BREAK_GLASS_SCOPE", "the policy set has no such environment")
        self.check_text(event["reason"])
        self.check_text(event["ticket"], "BREAK_GLASS_TICKET")
        if not time < event["expires_at"] <= time + self.policy.break_glass_max + CLOCK_SLACK:
            raise Refused("BREAK_GLASS_EXPIRY", "it is over already, or too long")
        self._check_reviewed()
        document = self._break_glass_document(event)
        key = self.verify_signature(by, event["signature"], BREAK_GLASS, document, index)
        self.check_scope(by, key, environment)
        self._use_once(document, "BREAK_GLASS_REPLAYED")
        able = {
            self.policy.person(name)
            for name, person in self.people.items()
            if person.kind == "person" and self.can_act(name, time)
            and self.allows(name, "break-glass", service_of(event["release"]), environment)
        }  # fmt: skip
        opened = {"event": event, "index": index, "signatures": [], "effective": None, "reviews": []}
        opened["needed"] = max(1, min(BREAK_GLASS_PEOPLE, len(able)))
        self.break_glasses.append(opened)
        self._add_signature(opened, (by, key), index, time)

    def _add_signature(self, opened, signed, index, time):
        opened["signatures"].append((signed, index))
        if self._good_signers(opened) >= opened["needed"]:
            everyone = [one for one, _ in opened["signatures"]]
            self._vouch(index, "break-glass.opened", opened["needed"], everyone, "break-glass", opened["index"])
            opened["effective"] = time

    def _good_signers(self, opened):
        good = (signed for signed, index in opened["signatures"] if self.counted_at(signed, index))
        return count_distinct((self.policy.person(by), key) for by, key in good)

    def _has_signed(self, opened, by):
        return any(self.policy.person(one) == self.policy.person(by) for (one, _), _ in opened["signatures"])

    def _sign_break_glass(self, event, index, time):
        opened, by = self.break_glass(event["break_glass"]), event["by"]
        if opened["effective"] is not None or opened["event"]["expires_at"] <= time:
            raise Refused("BREAK_GLASS_OVER", "it is signed by enough people, or over")
        self._may_break(by, opened["event"])
        if self._has_signed(opened, by):
            raise Refused("SOD_SELF", f"{by} has signed it")
        self._check_reviewed()
        document = self._break_glass_document(opened["event"])
        key = self.verify_signature(by, event["signature"], BREAK_GLASS, document, index)
        self.check_scope(by, key, opened["event"]["environment"])
        self._add_signature(opened, (by, key), index, time)

    def _review_break_glass(self, event, index):
        opened, by = self.break_glass(event["break_glass"]), event["by"]
        if opened["effective"] is None:
            raise Refused("BREAK_GLASS_UNSIGNED", "it took no effect")
        if self.is_reviewed(opened):
            raise Refused("BREAK_GLASS_REVIEWED", "it is reviewed already")
        what, environment = opened["event"]["release"], opened["event"]["environment"]
        if not self.allows(by, "audit") and not self.allows(by, "break-glass", service_of(what), environment):
            raise Refused("NOT_PERMITTED", f"{by} may not review it")
        self.require_person(by, must_exist=True)
        if self._has_signed(opened, by):
            raise Refused("SOD_SELF", f"{by} has signed it")
        self.check_text(event["finding"])
        document = self.document(
            "break-glass-review", break_glass=event["break_glass"], finding=event["finding"], by=by
        )
        key = self.verify_signature(by, event["signature"], BREAK_GLASS, document, index)
        self.check_scope(by, key, environment)
        opened["reviews"].append(((by, key), index))

    def break_glass_for(self, release, environment, time):
        """The break-glass of the facts: the first that counts for a release, or None."""
        for opened in self.break_glasses:
            event = opened["event"]
            target = (event["release"], event["manifest"], event["environment"])
            if (
                opened["effective"] is not None
                and target == (release.name, release.manifest_digest, environment)
                and time < event["expires_at"]
                and not self.is_reviewed(opened)
                and self._good_signers(opened) >= opened["needed"]
                and not release.has_used(opened["index"])
            ):
                fact = {key: event[key] for key in ("manifest", "environment", "reason", "ticket", "expires_at")}
                signed_by = [by for (by, _), _ in opened["signatures"]]
                return fact | {"index": opened["index"], "since": opened["effective"], "signed_by": signed_by}
        return None

    def check_break_glass_grant(self, index, decision, grant):
        opened = self.break_glass(index)
        event = opened["event"]
        same = all(event[key] == grant[key] for key in ("release", "manifest", "environment"))
        in_time = grant["not_after"] <= event["expires_at"]
        if opened["effective"] is None or not same or decision["environment"] != grant["environment"] or not in_time:
            raise Refused("GRANT_UNFOUNDED", "the grant is not what the break-glass lets past")

    # --- Delegations: {"event", "index", "time", "key", "ended"}

    def _delegate(self, event, index, time):
        lender, to = event["from"], event["to"]
        if self.policy.person(lender) == self.policy.person(to):
            raise Refused("DELEGATION_SELF", "nobody lends a right to themselves")
        for name in (lender, to):
            self.require_person(name, must_exist=True)
        if any(group not in self.people[lender].groups for group in event.get("groups", [])):
            raise Refused("DELEGATION_SCOPE", "the lender is not in that group")
        if any(name not in self.policy.grant_ttl for name in event.get("environments", [])):
            raise Refused("DELEGATION_SCOPE", "the policy set has no such environment")
        if not time < event["expires_at"] <= time + DELEGATION_MAX:
            raise Refused("DELEGATION_EXPIRY", "a delegation ends within 30 days")
        self.check_text(event["reason"])
        lists = {key: event.get(key, []) for key in ("groups", "environments", "services")}
        document = self.document(
            "delegation", to=to, expires_at=event["expires_at"], reason=event["reason"], **lists, **{"from": lender}
        )
        key = self.verify_signature(lender, event["signature"], DELEGATION, document, index)
        for environment in event.get("environments", [None]):
            self.check_scope(lender, key, environment)
        self._use_once(document, "DELEGATION_REPLAYED")
        self._vouch(index, "delegation.granted", 1, [(lender, key)], "delegation", lender, to)
        self.delegations.append({"event": event, "index": index, "key": key, "ended": None})

    def _end_delegation(self, event, index):
        known = next((one for one in self.delegations if one["index"] == event["delegation"]), None)
        if known is None:
            raise Refused("DELEGATION_UNKNOWN", "no delegation was granted there")
        if known["ended"] is not None:
            raise Refused("DELEGATION_OVER", "it has ended already")
        by = event["by"]
        if by not in (known["event"]["from"], known["event"]["to"]) and not self.allows(by, "keys"):
            raise Refused("NOT_PERMITTED", f"{by} has nothing to do with this delegation")
        self.check_text(event["reason"])
        document = self.document("delegation-end", delegation=event["delegation"], reason=event["reason"])
        self.verify_signature(by, event["signature"], DELEGATION, document, index)
        known["ended"] = index

    @staticmethod
    def delegation_covers(known, service, environment):
        event = known["event"]
        return service in event.get("services", [service]) and environment in event.get("environments", [environment])

    def delegations_for(self, service, environment, time):
        """The delegations of the facts."""
        found = []
        for known in self.delegations:
            event = known["event"]
            is_open = known["ended"] is None and time < event["expires_at"]
            lends = not self.people[event["from"]].is_suspended() and is_open
            good = self.counted_at((event["from"], known["key"]), known["index"])
            if lends and good and self.delegation_covers(known, service, environment):
                kept = ("from", "to", "groups", "expires_at")
                found.append({key: event[key] for key in kept if key in event} | {"index": known["index"]})
        return found

    def lends_approval(self, to, service, environment, time):
        """Whether somebody has been lent the right to approve there."""
        known = self.people.get(to)
        if known is None or known.is_suspended() or known.kind != "person":
            return False
        for fact in self.delegations_for(service, environment, time):
            groups, lent = self.people[fact["from"]].groups, fact.get("groups", [])
            # What somebody holds by name is no group's to lend.
            lender = None if lent else fact["from"]
            groups = [one for one in groups if not lent or one in lent]
            own = self.policy.person(fact["to"]) == self.policy.person(to)
            if own and self.policy.allows(lender, groups, "approve", service, environment):
                return True
        return False
