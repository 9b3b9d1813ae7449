"""Attempt and DAG run times of a running task, from Airflow's task context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.attempt import Attempt, task_nonce
from airflow_provider_aep.runs.window import DagRunTiming
from airflow_provider_aep.runtime.compat import task_state_store
from airflow_provider_aep.runtime.configuration import creation_grace_period


def attempt_of(context: Mapping[str, Any]) -> Attempt:
    """Return this try of a task.

    Airflow 3.3 and later keep task state between tries. In earlier versions, each retry may follow an ambiguous create.

    :param context: Airflow's context of the task; without a task instance, it is the first try of an unknown task
    """
    ti = context.get("ti")
    if ti is None:
        return Attempt(creation_grace_period=creation_grace_period())
    due = getattr(context.get("dag_run"), "run_after", None)  # Clearing a DAG run changes its start, not this.
    return Attempt(
        since=due.timestamp() if due else 0.0,
        nonce=task_nonce(ti.dag_id, ti.run_id, ti.task_id, ti.map_index),
        tried_before=ti.try_number > 1,
        store=task_state_store(context),
        creation_grace_period=creation_grace_period(),
    )


def dag_run_timing(context: Mapping[str, Any]) -> DagRunTiming:
    """Return the times of the DAG run; all are ``None`` if the context is empty.

    :param context: Airflow's context of the task
    """
    dag_run = context.get("dag_run")
    interval = [
        context.get(name) or getattr(dag_run, name, None) for name in ("data_interval_start", "data_interval_end")
    ]
    moment = context.get("logical_date") or getattr(dag_run, "run_after", None)
    start, end = (at and at.timestamp() for at in interval)
    return DagRunTiming((start, end) if start and end else None, moment and moment.timestamp())
