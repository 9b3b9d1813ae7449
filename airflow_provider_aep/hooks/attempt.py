"""What Airflow knows of a task's tries, for the engine that makes sure of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_aep.onboarding.attempt import SETTLE, Attempt
from airflow_provider_aep.onboarding.identity import nonce
from airflow_provider_aep.onboarding.window import Occasion


def attempt_of(context: Mapping[str, Any], **terms: Any) -> Attempt:
    """This try of a task.

    What it notes outlives a try in Airflow 3.3 and later; before, every second try counts as suspicious.

    :param context: of the task; without one, it is somebody's first try
    :param terms: what the author of the DAG says
    """
    ti = context.get("ti")
    if ti is None:
        return Attempt(settle=settle(), **terms)
    began = getattr(context.get("dag_run"), "run_after", None)  # clearing a run moves its start, and not this
    return Attempt(
        since=began.timestamp() if began else 0.0,
        nonce=nonce(ti.dag_id, ti.run_id, ti.task_id, ti.map_index),
        tried_before=ti.try_number > 1,
        memory=context.get("task_state_store"),
        settle=settle(),
        **terms,
    )


def occasion_of(context: Mapping[str, Any]) -> Occasion:
    """The time that a DAG run is about; without a context it is about none."""
    dag_run = context.get("dag_run")
    interval = [
        context.get(name) or getattr(dag_run, name, None) for name in ("data_interval_start", "data_interval_end")
    ]
    moment = context.get("logical_date") or getattr(dag_run, "run_after", None)
    start, end = (at and at.timestamp() for at in interval)
    return Occasion((start, end) if start and end else None, moment and moment.timestamp())


def settle() -> float:
    """Seconds that are waited on suspicion, before what AEP does not list counts as not made."""
    return float(conf.getfloat("aep", "settle", fallback=SETTLE))
