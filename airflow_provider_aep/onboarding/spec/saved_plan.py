"""Save plans as JSON, and check before an apply whether they still fit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.onboarding.spec.plan import FORMAT_VERSION, Plan


def as_json(plans: Sequence[Plan]) -> str:
    """Return plans as a JSON array, in the stable format of :meth:`Plan.as_dict`."""
    return json.dumps([plan.as_dict() for plan in plans], indent=2, ensure_ascii=False) + "\n"


def read_saved(file: Path) -> list[dict[str, Any]]:
    """Return the plans of a file.

    :raises AepConfigurationError: the file cannot be read, or has no plans of this format
    """
    next_step = "Make a plan with: plan --out FILE."
    try:
        plans = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise AepConfigurationError(f"The plan {file} cannot be read: {e}", next_step=next_step) from None
    if not isinstance(plans, list) or not all(map(_is_plan, plans)):
        raise AepConfigurationError(f"{file} has no plans of format version {FORMAT_VERSION}", next_step=next_step)
    return plans


def _is_plan(plan: Any) -> bool:
    return (
        isinstance(plan, dict)
        and plan.get("format_version") == FORMAT_VERSION
        and isinstance(plan.get("onboarding"), str)
        and isinstance(plan.get("actions"), list)
        and all(isinstance(action, dict) and {"kind", "name", "action"} <= action.keys() for action in plan["actions"])
    )


def find_misfits(saved: Sequence[dict[str, Any]], plans: Sequence[Plan]) -> Iterator[str]:
    """Yield a sentence for each difference between saved plans and those of now.

    An action that is done by now is no difference, so an apply that was interrupted can be run again.
    """
    before = {plan["onboarding"]: plan for plan in saved}
    now = {plan.onboarding: plan.as_dict() for plan in plans}
    for name in [*before, *(name for name in now if name not in before)]:
        if name not in now:
            yield f"{name}: is in the plan, but in none of the files"
        elif name not in before:
            yield f"{name}: is not in the plan"
        else:
            yield from (f"{name}: {misfit}" for misfit in _misfits(before[name], now[name]))


def _misfits(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    if before.get("digest") != now["digest"]:
        yield "the file has changed"
    for key in ("env", "sandbox", "org"):
        if before.get(key) != now[key]:
            yield f"the {key} was {before.get(key)!r}, and is {now[key]!r} now"
    planned = {(action["kind"], action["name"]): action for action in before["actions"]}
    for action in now["actions"]:
        old = planned.pop((action["kind"], action["name"]), None)
        if old == action or (old and action["action"] == "unchanged"):
            continue
        was = f"was {old['action']!r}" if old else "was not planned"
        is_ = f"is {action['action']!r}" if not old or old["action"] != action["action"] else "has other changes"
        yield f"the {action['kind']} {action['name']!r} {was}, and {is_} now"
    yield from (f"the {kind} {name!r} is not in the plan of now" for kind, name in planned)
