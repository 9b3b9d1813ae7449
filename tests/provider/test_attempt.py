"""An Airflow context becomes an attempt, with task state and without."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_aep.attempt import task_nonce
from airflow_provider_aep.runtime.task_attempt import attempt_of

TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 2}
AFTER = datetime(2026, 1, 1, tzinfo=UTC)


def context(try_number, **more):
    run = SimpleNamespace(run_after=AFTER, start_date=datetime(2030, 1, 1, tzinfo=UTC))
    return {"ti": SimpleNamespace(**TASK, try_number=try_number), "dag_run": run, **more}


@pytest.mark.parametrize(("try_number", "tried_before"), [(1, False), (2, True), (5, True)])
def test_a_try_of_a_task(try_number, tried_before):
    attempt = attempt_of(context(try_number))
    assert attempt.nonce == task_nonce(*TASK.values())
    assert (attempt.tried_before, attempt.store) == (tried_before, None)
    assert attempt.since == AFTER.timestamp()  # and not the start, which clearing moves


def test_task_state_comes_from_the_context():
    store = object()
    assert attempt_of(context(1, task_state_store=store)).store is store


def test_without_a_task_instance_it_is_the_first_try_of_an_unknown_task():
    one, other = attempt_of({}), attempt_of({})
    assert one.nonce != other.nonce
    assert not one.tried_before


def test_the_configured_grace_period(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "7.5")
    assert attempt_of(context(1)).creation_grace_period == 7.5
    assert attempt_of({}).creation_grace_period == 7.5
