"""Plan an onboarding: what a file would change in a sandbox. A plan reads, and never writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError, AepMissingConnectionError
from airflow_provider_aep.onboarding.lifecycle.profile import find_identity, is_schema_enabled, missing_tags
from airflow_provider_aep.onboarding.reconcile.decide import Action, Decision, decide
from airflow_provider_aep.onboarding.reconcile.resource_type import Difference, Observed, Replaceable
from airflow_provider_aep.onboarding.spec.chain import Chain, Credentials, Step
from airflow_provider_aep.onboarding.spec.loader import Loaded

FORMAT_VERSION = 1
SYMBOLS = {
    "create": "+",
    "unchanged": "=",
    "update": "~",
    "replace": "-/+",
    "adopt": "<",
    "take over": "<~",
    "enable": "!",
    "refuse": "?",
}
"""The symbol of each action in a plan."""

_WORDS = {
    "create": "to create", "update": "to change", "replace": "to replace", "adopt": "to adopt",
    "take over": "to take over", "unchanged": "unchanged", "enable": "irreversible", "refuse": "for you to decide",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A field that an action changes; values of credentials are never part of it."""

    path: str
    before: Any = None
    after: Any = None
    rule: str = ""


@dataclass(frozen=True)
class PlannedAction:
    """The action that an apply would take on one object.

    :param kind: Adobe's noun for the object
    :param id: ``None`` for an object that does not exist
    :param action: a key of :data:`SYMBOLS`
    :param reason: why a person must decide; empty if nobody must
    """

    kind: str
    name: str
    id: str | None
    action: str
    changes: tuple[Change, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The plan of one onboarding.

    :param onboarding: its name
    :param env: name of the environment
    :param digest: SHA-256 of the onboarding after defaults and overlay, as 16 hexadecimal digits
    """

    onboarding: str
    file: str
    env: str
    sandbox: str
    org: str
    digest: str
    actions: tuple[PlannedAction, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether an apply would write."""
        return any(a.action not in {"unchanged", "adopt"} for a in self.actions)

    @property
    def needs_decision(self) -> bool:
        """Whether a person must decide before an apply."""
        return any(a.reason for a in self.actions)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON, in a stable format."""
        return {"format_version": FORMAT_VERSION, **asdict(self), "actions": [_plain(a) for a in self.actions]}

    def text(self) -> str:
        """Return the plan for a reader."""
        lines = [f"{self.onboarding} ({self.file}) → sandbox {self.sandbox}, environment {self.env}", ""]
        width = max((len(a.name) for a in self.actions), default=0)
        for action in self.actions:
            id_ = action.id or "(known after apply)"
            lines.append(f" {SYMBOLS[action.action]:>3}  {action.kind:<18} {action.name:<{width}}  {id_}".rstrip())
            lines += [f"          {_change_text(change)}" for change in action.changes]
            if action.reason:
                lines.append(f"          {action.reason}")
        return "\n".join([*lines, "", self.summary()])

    def summary(self) -> str:
        """Return one line with the number of actions."""
        counts = {word: sum(a.action == name for a in self.actions) for name, word in _WORDS.items()}
        return "Plan: " + (", ".join(f"{n} {word}" for word, n in counts.items() if n) or "nothing") + "."


def _plain(action: PlannedAction) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(action), default=str))


def _change_text(change: Change) -> str:
    if change.rule:
        return f"{change.path}: {change.rule}"
    if change.before is None and change.after is None:
        return change.path
    return f"{change.path}  {_abbreviated(change.before)} → {_abbreviated(change.after)}"


def _abbreviated(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def make_plan(client: AepClient, loaded: Loaded, credentials: Credentials) -> Plan:
    """Return the plan of an onboarding.

    :raises AepError: AEP cannot be read
    """
    chain = Chain(client, loaded.spec, credentials)
    actions: list[PlannedAction] = []
    for step in chain.steps():
        actions.append(_planned(chain, step, _has_new_fields(actions)))
        if step.kind == "schema":
            actions += _identities(chain, _has_new_fields(actions))
        if step.kind == "dataset" and loaded.spec.profile.enabled:
            actions.append(_profile_dataset(chain))
    return Plan(
        loaded.spec.onboarding,
        str(loaded.document.file),
        loaded.env or "",
        client.settings.sandbox,
        client.settings.org_id,
        _digest(loaded),
        tuple(actions),
    )


def _digest(loaded: Loaded) -> str:
    text = json.dumps(loaded.data, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _has_new_fields(actions: Iterable[PlannedAction]) -> bool:
    """Whether an apply adds fields: their mappings and identities cannot be checked before they exist."""
    return any(a.kind in {"field group", "schema"} and a.action != "unchanged" for a in actions)


def _planned(chain: Chain, step: Step, has_new_fields: bool) -> PlannedAction:
    label, name = step.resource_type.label, chain.name(step.kind)
    if any(kind not in chain.results for kind in step.needs):
        return _of_new_parent(chain, step)
    try:
        desired = step.make()
    except AepMissingConnectionError:
        raise
    except AepConfigurationError as e:
        if step.kind == "mapping" and has_new_fields:
            observed = _find_by_name(chain, step)
            if observed:
                chain.results[step.kind] = _next_version(observed.result)
            id_ = observed.id if observed else None
            rule = "AEP checks them once the schema has its new fields"
            return PlannedAction(label, name, id_, "update" if id_ else "create", (Change("mappings", rule=rule),))
        return PlannedAction(label, name, None, "refuse", reason=str(e))
    try:
        decision = decide(chain.client, step.resource_type, desired, terms=chain.terms(step.kind))
    except (AepConfigurationError, AepConflictError) as e:
        return PlannedAction(label, name, None, "refuse", reason=str(e))
    if decision.observed and decision.action is not Action.REPLACE:
        result = decision.observed.result
        if step.kind == "mapping" and decision.action is Action.UPDATE:
            result = _next_version(result)
        chain.results[step.kind] = result
    return planned_action(decision, label, name)


def _of_new_parent(chain: Chain, step: Step) -> PlannedAction:
    """Return the action for an object that refers to one that does not exist yet, or that is replaced."""
    label, name, observed = step.resource_type.label, chain.name(step.kind), _find_by_name(chain, step)
    if observed is None or step.kind == "mapping":  # a mapping set of another schema may have the same name
        return PlannedAction(label, name, None, "create")
    id_ = observed.id
    if step.kind in chain.spec.replace and isinstance(step.resource_type, Replaceable):
        return PlannedAction(label, name, id_, "replace")
    step_ = f"Add replace: [{step.kind}], or choose" if isinstance(step.resource_type, Replaceable) else "Choose"
    reason = f"It exists, and refers to another object than the new one. {step_} another name."
    return PlannedAction(label, name, id_, "refuse", reason=reason)


def _find_by_name(chain: Chain, step: Step) -> Observed | None:
    name = chain.name(step.kind)
    found = map(step.resource_type.observe, chain.client.items(step.resource_type.find(name)))
    return next((observed for observed in found if observed.name == name), None)


def _next_version(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a mapping set after an update, which makes a new version."""
    return {**result, "version": result["version"] + 1}


def planned_action(decision: Decision[Any], label: str, name: str) -> PlannedAction:
    """Return the planned action of a decision."""
    observed = decision.observed
    if observed is None:
        return PlannedAction(label, name, None, "create")
    changes = tuple(change for difference in decision.differences for change in _changes(difference))
    if decision.action is Action.REFUSE:
        return PlannedAction(label, name, observed.id, "refuse", changes, str(decision.error))
    if decision.action is Action.REPLACE:
        return PlannedAction(label, name, observed.id, "replace", changes)
    if decision.transition:
        changes = (*changes, Change("state", observed.state, "enabled"))
    if decision.take_over:
        return PlannedAction(label, name, observed.id, "take over", changes)
    if decision.action is Action.UPDATE or decision.transition:
        return PlannedAction(label, name, observed.id, "update", changes)
    if not decision.has_our_marker:
        return PlannedAction(label, name, observed.id, "adopt")
    return PlannedAction(label, name, observed.id, "unchanged")


def _changes(difference: Difference) -> Iterator[Change]:
    if difference.path != "mappings":
        yield Change(difference.path, difference.observed, difference.desired, difference.rule)
        return
    before, after = (
        {entry["destination"]: entry["source"] for entry in entries or ()}
        for entries in (difference.observed, difference.desired)
    )
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            yield Change(f"mappings.{path}", before.get(path), after.get(path))


# -- identities and Profile -------------------------------------------------------------------------------------------


def _identities(chain: Chain, has_new_fields: bool) -> Iterator[PlannedAction]:
    schema_id = chain.results.get("schema")
    for identity in chain.spec.identities:
        name = f"{identity.path} ({identity.namespace}, {'primary' if identity.primary else 'secondary'})"
        if schema_id is None:
            yield PlannedAction("identity descriptor", name, None, "create")
            continue
        try:
            _, _, id_ = find_identity(chain.client, schema_id, identity.path, identity.namespace, identity.primary)
        except (AepConfigurationError, AepConflictError) as e:
            if has_new_fields and isinstance(e, AepConfigurationError):
                yield PlannedAction("identity descriptor", name, None, "create")
            else:
                yield PlannedAction("identity descriptor", name, None, "refuse", reason=str(e))
        else:
            yield PlannedAction("identity descriptor", name, id_, "unchanged" if id_ else "create")
    if chain.spec.profile.enabled:
        enabled = schema_id is not None and is_schema_enabled(chain.client, schema_id)
        name = f"schema {chain.name('schema')}"
        yield PlannedAction("profile", name, schema_id, "unchanged" if enabled else "enable")


def _profile_dataset(chain: Chain) -> PlannedAction:
    dataset_id = chain.results.get("dataset")
    missing: Mapping[str, Any] = {"unifiedProfile": ()}
    if dataset_id is not None:
        _, missing = missing_tags(chain.client, dataset_id, chain.spec.profile.upsert)
    name = f"dataset {chain.name('dataset')}"
    return PlannedAction("profile", name, dataset_id, "enable" if missing else "unchanged")
