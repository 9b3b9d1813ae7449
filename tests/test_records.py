"""Records that another release may have written: task state, trigger events and XCom."""

import pytest

from airflow_provider_aep.attempt import STATE_VERSION, TaskState
from airflow_provider_aep.client.models import Run
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runs.verdict import RunResult, evaluate_run

NEWER = {"version": 99, "added_later": {"any": "value"}}


class Store(dict):
    def set(self, key, value):
        self[key] = value


def test_a_run_selector_survives_json_of_another_release():
    selector = RunSelector("f", "r", 1.5, "window", (1, 2), 3)
    stored = {**selector.as_dict(), "window": [1, 2]}  # as JSON gives it back
    assert stored["version"] == 1
    assert RunSelector.from_dict(stored) == RunSelector.from_dict({**stored, **NEWER}) == selector


def test_a_run_selector_without_optional_keys_has_their_defaults():
    assert RunSelector.from_dict({"flow_id": "f"}) == RunSelector("f")


def test_a_run_result_survives_json_of_another_release():
    result = evaluate_run(
        Run.model_validate({"id": "r", "flowId": "f", "metrics": {"statusSummary": {"status": "success"}}})
    )
    assert RunResult.from_dict(result.as_dict()) == RunResult.from_dict({**result.as_dict(), **NEWER}) == result


def test_task_state_carries_a_version_that_its_reader_does_not_see():
    store = Store()
    TaskState(store, "key").write(id="x")
    assert store == {"key": {"id": "x", "version": STATE_VERSION}}
    assert TaskState(store, "key").read() == {"id": "x"}
    store["key"] |= {"version": 99}
    assert TaskState(store, "key").read() == {"id": "x"}


@pytest.mark.parametrize("stored", [None, "text", 5, ["id"]])
def test_task_state_that_is_no_object_counts_as_none(stored):
    assert TaskState(Store({"key": stored}), "key").read() == {}


def test_task_state_without_a_store_is_empty():
    TaskState(None, "key").write(id="x")
    assert TaskState(None, "key").read() == {}
