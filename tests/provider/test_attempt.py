"""What Airflow knows of a task's tries becomes an attempt, with a store of notes and without."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_aep.hooks.attempt import attempt_of
from airflow_provider_aep.onboarding.identity import nonce

TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 2}
AFTER = datetime(2026, 1, 1, tzinfo=UTC)


def context(try_number, **more):
    run = SimpleNamespace(run_after=AFTER, start_date=datetime(2030, 1, 1, tzinfo=UTC))
    return {"ti": SimpleNamespace(**TASK, try_number=try_number), "dag_run": run, **more}


@pytest.mark.parametrize(("try_number", "tried_before"), [(1, False), (2, True), (5, True)])
def test_a_try_of_a_task(try_number, tried_before):
    attempt = attempt_of(context(try_number))
    assert attempt.nonce == nonce(*TASK.values())
    assert (attempt.tried_before, attempt.memory) == (tried_before, None)
    assert attempt.since == AFTER.timestamp()  # and not the start, which clearing moves


def test_where_airflow_keeps_notes_they_are_the_memory():
    store = object()
    assert attempt_of(context(1, task_state_store=store)).memory is store


def test_without_a_task_it_is_somebodys_first_try():
    one, other = attempt_of({}), attempt_of({})
    assert one.nonce != other.nonce
    assert not one.tried_before


def test_the_terms_and_the_deployers_patience(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AEP__SETTLE", "7.5")
    attempt = attempt_of(context(1), if_exists="adopt", concurrent_writers=True)
    assert (attempt.settle, attempt.if_exists, attempt.concurrent_writers) == (7.5, "adopt", True)
