"""Fault rules: errors, delays, lost responses and failing flow runs that a test requests.

A rule names an operation as the journal does (``POST /data/foundation/flowservice/flows``, ``POST token``), or ``RUN``
and the name of a flow. ``*`` matches any text. ``calls`` counts the matching calls from 1; without it, a rule fires at
every call. The first rule that fires decides.
"""

from __future__ import annotations

import random
import threading
import uuid
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aep_emulator.core.errors import Refusal, flow, gateway, ims, problem, xdm

Effect = Literal["answer", "reset", "hang", "slow", "cut", "revoke", "race", "lag", "login", "run"]
Outcome = Literal["failed", "partial", "unknown-counts", "no-completion", "vanish", "renamed", "stuck"]

_NEEDS: dict[str, str] = {
    "answer": "status",
    "hang": "seconds",
    "slow": "seconds",
    "cut": "bytes",
    "lag": "seconds",
    "run": "outcome",
}
_FLOW_SERVICE = "/data/foundation/flowservice"
_LOGINS = {
    f"POST {_FLOW_SERVICE}/connections",
    f"GET {_FLOW_SERVICE}/connections/{{id}}/test",
    f"GET {_FLOW_SERVICE}/connections/{{id}}/explore",
}
_OWN_COMMIT = frozenset({"answer", "reset", "hang"})


class Rule(BaseModel):
    """One fault.

    :param do: the effect. On the response: ``answer`` with a status, ``reset``, ``hang``, ``slow`` or ``cut`` the body.
        On the request: ``revoke`` its token, or ``race`` its etag. On AEP: ``lag`` a list, refuse a source's ``login``,
        or fail a flow's ``run``
    :param calls: numbers of the matching calls at which it fires; default: all
    :param rate: share of the matching calls at which it fires, drawn from ``seed``
    :param commit: whether the operation is executed: ``never``, ``now`` (and its response is lost), or that many
        seconds later; for ``answer``, ``reset`` and ``hang``
    :param code: AEP's code, such as ``1104-504``; default: the code of the status
    :param retry_after: seconds, for the header
    """

    model_config = ConfigDict(extra="forbid")

    operation: str = Field(min_length=1, max_length=200)
    do: Effect
    calls: list[int] | None = Field(None, min_length=1)
    rate: float | None = Field(None, gt=0, le=1)
    seed: int = 0
    commit: Literal["never", "now"] | float = "never"
    status: int | None = Field(None, ge=400, le=599)
    code: str | None = Field(None, pattern=r"^(\d{6}|(XDM-)?\d{4}-\d{3})$")
    retry_after: float | None = Field(None, ge=0)
    seconds: float | None = Field(None, ge=0, le=1e6)
    bytes: int | None = Field(None, ge=0)
    outcome: Outcome | None = None

    @model_validator(mode="after")
    def _check(self) -> Rule:
        needed = _NEEDS.get(self.do)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"do={self.do} needs {needed}")
        for name in {"status", "seconds", "bytes", "outcome"} - {needed}:
            if getattr(self, name) is not None:
                raise ValueError(f"do={self.do} does not use {name}")
        if self.do != "answer" and (self.code or self.retry_after is not None):
            raise ValueError(f"do={self.do} does not use code and retry_after")
        if self.code and str(self.status) != (self.code[:3] if len(self.code) == 6 else self.code[-3:]):
            raise ValueError("status and code disagree")
        if self.do not in _OWN_COMMIT and self.commit != "never":
            raise ValueError(f"do={self.do} does not use commit")
        if self.calls is not None and (self.rate is not None or min(self.calls) < 1):
            raise ValueError("calls are numbers from 1, and exclude rate")
        if (self.do == "run") != self.operation.startswith("RUN "):
            raise ValueError("do=run needs an operation RUN and the name of a flow, and that operation needs do=run")
        return self

    def applies(self, operation: str) -> bool:
        """Return whether the rule matches an operation and can have an effect there."""
        if not fnmatchcase(operation, self.operation) or (self.do == "run") != operation.startswith("RUN "):
            return False
        match self.do:
            case "race":
                return operation.startswith(f"PATCH {_FLOW_SERVICE}")
            case "lag":
                return operation.startswith("GET ") and "{" not in operation and not operation.endswith("Specs")
            case "revoke":
                return operation != "POST token"
            case "login":
                return operation in _LOGINS
        return True

    def refusal(self, operation: str) -> Refusal:
        """Return the response of ``do=answer``, in the format of the service that would send it."""
        status, message = self.status or 500, "A fault rule of the emulator requests this error"
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        code = self.code or ("429050" if status == 429 else "")
        if operation == "POST token":
            refusal = ims("temporarily_unavailable", message)
        elif len(code) == 6:
            refusal = gateway(code, "Too many requests" if code == "429050" else message)
        elif code.startswith("XDM-"):
            refusal = xdm(code, message)
        elif _FLOW_SERVICE in operation:
            code = code or {500: "1102-500", 503: "1103-503", 504: "1104-504"}.get(status, "")
            refusal = flow(code, message) if code else problem(status, "Fault", message)
        else:
            refusal = problem(status, "Fault", message)
        return Refusal(status, refusal.body, headers)


class Faults:
    """The rules in the order of their addition, with counters."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._seen: dict[str, int] = {}
        self._fired: dict[str, int] = {}
        self._draws: dict[str, random.Random] = {}
        self._lock = threading.Lock()  # requests and runs ask from different threads

    def add(self, rule: Rule) -> str:
        """Add a rule, and return its id."""
        id_ = uuid.uuid4().hex[:8]
        with self._lock:
            self._rules[id_], self._seen[id_], self._fired[id_] = rule, 0, 0
            self._draws[id_] = random.Random(rule.seed)
        return id_

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            for of_rule in (self._rules, self._seen, self._fired, self._draws):
                of_rule.clear()

    def take(self, operation: str) -> Rule | None:
        """Return the rule that fires at this call, if one does, and count the call for every rule that matches."""
        taken: Rule | None = None
        with self._lock:
            for id_, rule in self._rules.items():
                if not rule.applies(operation):
                    continue
                self._seen[id_] += 1
                if taken is None and self._fires(id_, rule):
                    self._fired[id_] += 1
                    taken = rule
        return taken

    def _fires(self, id_: str, rule: Rule) -> bool:
        if rule.rate is not None:
            return self._draws[id_].random() < rule.rate
        return rule.calls is None or self._seen[id_] in rule.calls

    def report(self) -> list[dict[str, Any]]:
        """Return each rule with the number of calls that it matched and at which it fired."""
        with self._lock:
            return [
                {"id": id_, **rule.model_dump(exclude_none=True), "seen": self._seen[id_], "fired": self._fired[id_]}
                for id_, rule in self._rules.items()
            ]
