"""The table that decides whether a run went well."""

import time
from dataclasses import replace

import pytest

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Batch, Run
from airflow_provider_aep.runs import verdict as module
from airflow_provider_aep.runs.verdict import RunResult, Tolerance, evaluate_batch, evaluate_batches, evaluate_run

STATUSES = [
    (None, "waiting"),
    ("", "waiting"),
    ("queued", "waiting"),
    ("QUEUED", "waiting"),
    ("scheduled", "waiting"),
    ("pending", "waiting"),
    ("inProgress", "waiting"),
    ("IN_PROGRESS", "waiting"),
    ("in-progress", "waiting"),
    ("in progress", "waiting"),
    ("success", "succeeded"),
    ("SUCCESS", "succeeded"),
    ("completed", "succeeded"),
    ("partialSuccess", "partial"),
    ("PARTIAL_SUCCESS", "partial"),
    ("partialFailure", "partial"),
    ("PARTIAL_FAILURE", "partial"),
    ("failed", "failed"),
    ("FAILED", "failed"),
    ("failure", "failed"),
    ("cancelled", "unknown"),
    ("successful", "unknown"),
    ("something new", "unknown"),
]

BATCHES = {
    "succeeded": ["success", "Success", "active", "archived", "retained"],
    "waiting": ["queued", "loading", "loaded", "staging", "staged", "processing", "retrying", "stalled"],
    "failed": ["failed", "failure", "aborted", "abandoned", "inactive", "deleted", "DELETED"],
    "unknown": ["", "new"],
}


def run(status="success", records=None, **metrics):
    return Run.model_validate(
        {
            "id": "r",
            "flowId": "f",
            "metrics": {
                "statusSummary": {"status": status, **metrics.pop("summary", {})},
                "recordSummary": records or {},
                **metrics,
            },
            "activities": metrics.pop("activities", []),
        }
    )


@pytest.mark.parametrize(("status", "verdict"), STATUSES)
def test_every_spelling_of_a_status(status, verdict):
    assert evaluate_run(run(status, {"inputRecordCount": 1})).verdict == verdict


def test_a_success_that_is_not_counted_yet_is_waited_for():
    """AEP fills in the metrics after it has said success."""
    assert evaluate_run(run("success")).verdict == "waiting"
    assert evaluate_run(run("success", {"inputRecordCount": -1})).verdict == "succeeded"
    assert evaluate_run(run("success", activities=[{"id": "copyActivity"}])).verdict == "succeeded"


def test_every_row_of_the_table_is_tested():
    tested = {"".join(c for c in (s or "") if c not in "_- ").lower() for s, _ in STATUSES}
    assert set(module._RUN_VERDICTS) <= tested


@pytest.mark.parametrize(("status", "verdict"), [(s, v) for v, statuses in BATCHES.items() for s in statuses])
def test_every_status_of_a_batch(status, verdict):
    assert evaluate_batch(Batch.model_validate({"id": "b", "status": status})).verdict == verdict


def test_every_row_of_the_batches_is_tested():
    assert set(module._BATCH_VERDICTS) <= {s for statuses in BATCHES.values() for s in statuses}


@pytest.mark.parametrize(
    "evidence",
    [
        {"records": {"failedRecordCount": 1}},
        {"fileSummary": {"failedFileCount": 1}},
        {"summary": {"errors": [{"code": "CONNECTOR-2001-500"}]}},
        {"activities": [{"id": "copy", "statusSummary": {"errors": [{"code": "X"}]}}]},
        {"activities": [{"id": "copy", "statusSummary": {"extensions": {"errors": [{"code": "X"}]}}}]},
    ],
)
def test_a_success_with_any_evidence_against_it_is_partial(evidence):
    body = {**evidence}
    activities = body.pop("activities", [])
    made = run(**body)
    made = Run.model_validate({**made.model_dump(), "activities": activities})
    assert evaluate_run(made).verdict == "partial"


def test_evidence_does_not_mend_a_failed_run():
    assert evaluate_run(run("failed", {"failedRecordCount": 1})).verdict == "failed"
    assert evaluate_run(run("inProgress", {"failedRecordCount": 1})).verdict == "waiting"


def test_a_count_of_minus_one_is_unknown_and_no_failure():
    result = evaluate_run(run("success", {"inputRecordCount": -1, "outputRecordCount": -1, "failedRecordCount": -1}))
    assert (result.verdict, result.read, result.written, result.failed) == ("succeeded", None, None, None)
    assert evaluate_run(run(fileSummary={"failedFileCount": -1})).failed_files == 0
    assert "records read unknown, written unknown, failed unknown" in result.summary()


# Adobe's own sample in "Monitor dataflows": one of a hundred records failed, and the status is success.
SAMPLE = {
    "id": "65b7cfcc-6b2e-47c8-8194-13005b792752",
    "flowId": "f00c8762-df2f-432b-a7d7-38999fef5e8e",
    "metrics": {
        "durationSummary": {
            "startedAtUTC": 1607520205922,
            "completedAtUTC": 1607520262413,
            "extensions": {"windowStart": 1606654702000, "windowEnd": 1607519902000},
        },
        "recordSummary": {"inputRecordCount": 100, "outputRecordCount": 99, "failedRecordCount": 1},
        "fileSummary": {"inputFileCount": 1, "outputFileCount": 1, "failedFileCount": 0},
        "statusSummary": {
            "status": "success",
            "errors": [{"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}],
        },
    },
    "activities": [
        {"id": "copyActivity", "name": "Copy Activity", "statusSummary": {"status": "success"}},
        {
            "id": "promotionActivity",
            "name": "Promotion Activity",
            "statusSummary": {
                "status": "success",
                "errors": [{"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}],
                "extensions": {"errors": [{"code": "MAPPER-3700-400", "recordCount": 1, "message": "a row's text"}]},
            },
            "targetInfo": [
                {"id": "t", "reference": {"type": "Batch", "ids": ["01ES59WPQ9EZ28BQ5W9CNXB9R6"]}},
                {"id": "u", "reference": None},
            ],
        },
    ],
}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"on_partial": "ignore"},
            "on_partial is 'ignore', which is not supported. Next step: Set on_partial to fail, warn or succeed.",
        ),
        (
            {"max_failed_ratio": 1.5},
            "max_failed_ratio is 1.5, not a ratio. Next step: Set max_failed_ratio to a number from 0 to 1.",
        ),
        ({"max_failed_ratio": -0.1}, "max_failed_ratio is -0.1"),
        ({"max_failed_ratio": "1%"}, "max_failed_ratio is '1%'"),
        ({"max_failed_records": -1}, "max_failed_records is -1.*a number of records"),
        ({"max_failed_records": 1.5}, "max_failed_records is 1.5"),
        ({"max_failed_records": True}, "max_failed_records is True"),
        (
            {"on_empty": "skip"},
            "on_empty is 'skip', which is not supported. Next step: Set on_empty to fail, warn or succeed.",
        ),
    ],
)
def test_a_tolerance_that_means_nothing_is_refused(given, says):
    with pytest.raises(AepConfigurationError, match=says):
        Tolerance(**given)


@pytest.fixture
def in_tokyo(monkeypatch):
    """What a person reads is UTC, wherever a worker runs."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_adobes_sample_is_partial():
    result = evaluate_run(Run.model_validate(SAMPLE))
    assert result.verdict == "partial"
    assert (result.read, result.written, result.failed, result.failed_ratio) == (100, 99, 1, 0.01)
    assert (result.window_start, result.window_end) == (1606654702000, 1607519902000)
    assert (result.started_at, result.completed_at) == (1607520205922, 1607520262413)
    assert result.batch_ids == ["01ES59WPQ9EZ28BQ5W9CNXB9R6"]
    promotion = {"activity": "Promotion Activity", "code": "CONNECTOR-2001-500"}
    assert result.errors == [
        {"activity": "run", "code": "CONNECTOR-2001-500"},
        promotion,
        {"activity": "Promotion Activity", "code": "MAPPER-3700-400", "records": 1},
    ]
    assert result.summary() == (
        "run 65b7cfcc-6b2e-47c8-8194-13005b792752 of flow f00c8762-df2f-432b-a7d7-38999fef5e8e, "
        "started 2020-12-09 13:23:25 UTC: partial (status 'success'), records read 100, written 99, failed 1; codes "
        "CONNECTOR-2001-500 (AEP could not parse, validate or transform the data), "
        "MAPPER-3700-400 (a mapping could not be applied)"
    )
    assert "a row's text" not in str(result.as_dict())  # messages may quote rows
    assert "Error occurred" not in str(result.as_dict())


def test_a_run_without_errors_shows_no_codes():
    result = evaluate_run(run(records={"inputRecordCount": 0, "outputRecordCount": 0, "failedRecordCount": 0}))
    assert (result.read, result.written, result.failed) == (0, 0, 0)
    assert result.summary() == "run r of flow f: succeeded (status 'success'), records read 0, written 0, failed 0"


def test_an_error_without_a_code_has_a_blank_one():
    activities = [{"id": "a", "statusSummary": {"extensions": {"errors": [{"recordCount": 3}]}}}]
    assert evaluate_run(Run.model_validate({"id": "r", "activities": activities})).errors == [
        {"activity": "a", "code": "", "records": 3}
    ]


@pytest.mark.parametrize("started", [10**20, -(10**20)])
def test_a_moment_out_of_range_and_an_error_that_is_none_do_not_end_a_wait(started):
    activities = [{"id": "a", "statusSummary": {"extensions": {"errors": [None, "x", {"code": "X"}]}}}]
    metrics = {"durationSummary": {"startedAtUTC": started}}
    result = evaluate_run(Run.model_validate({"id": "r", "metrics": metrics, "activities": activities}))
    assert result.summary().startswith("run r of flow : waiting")
    assert [e["code"] for e in result.errors] == ["X"]


@pytest.mark.parametrize("errors", [5, "x", {"code": "X"}])
def test_errors_that_are_no_list_do_not_end_a_wait(errors):
    activities = [{"id": "a", "statusSummary": {"extensions": {"errors": errors}}}]
    assert evaluate_run(Run.model_validate({"id": "r", "activities": activities})).errors == []


def test_a_code_that_is_not_known_is_shown_as_it_is():
    activities = [{"id": "a", "statusSummary": {"errors": [{"code": "NEW-1"}]}}]
    assert evaluate_run(Run.model_validate({"id": "r", "activities": activities})).summary().endswith("; codes NEW-1")


def test_failed_files_are_counted():
    assert evaluate_run(run(fileSummary={"failedFileCount": 1})).failed_files == 1


def test_an_activity_without_a_name_goes_by_its_id():
    activities = [{"id": "4f008a00", "statusSummary": {"errors": [{"code": "X", "message": "m"}]}}]
    assert evaluate_run(Run.model_validate({"id": "r", "activities": activities})).errors == [
        {"activity": "4f008a00", "code": "X"}
    ]


def test_a_result_is_plain_and_survives_json():
    import json

    result = evaluate_run(Run.model_validate(SAMPLE))
    assert RunResult(**json.loads(json.dumps(result.as_dict()))) == result


def result(verdict="partial", read=100, failed=1, failed_files=0):
    return RunResult("r", "f", verdict, "s", read, None, failed, None, None, None, None, failed_files)


@pytest.mark.parametrize(
    ("tolerance", "made", "accepted"),
    [
        ({}, result("succeeded"), True),
        ({}, result("partial"), False),
        ({"max_failed_ratio": 1}, result(failed=100), True),
        ({"on_partial": "warn"}, result("partial"), True),
        ({"on_partial": "succeed"}, result("partial"), True),
        ({"on_partial": "succeed", "max_failed_ratio": 1.0}, result("failed"), False),
        ({"on_partial": "succeed", "max_failed_ratio": 1.0}, result("unknown"), False),
        ({"on_partial": "succeed", "max_failed_ratio": 1.0}, result("waiting"), False),
        ({"max_failed_ratio": 0.01}, result(failed=1), True),
        ({"max_failed_ratio": 0.01}, result(failed=2), False),
        ({"max_failed_ratio": 0.5}, result(failed=0), False),
        ({"max_failed_ratio": 0.5}, result(failed=None), False),
        ({"max_failed_ratio": 0.5}, result(read=0), False),
        ({"max_failed_ratio": 0.5}, result(read=None), False),
        ({"max_failed_ratio": 0.5}, result(failed_files=1), False),
        ({"max_failed_records": 2}, result(failed=2), True),
        ({"max_failed_records": 2}, result(failed=3), False),
        ({"max_failed_records": 0}, result(failed=1), False),
        ({"max_failed_records": 9}, result(failed=0), False),
        ({"max_failed_records": 9}, result(failed=None), False),
        ({"max_failed_records": 9}, result(failed_files=1), False),
        ({"max_failed_records": 9}, result(read=None, failed=1), True),
        ({"max_failed_records": 2, "max_failed_ratio": 0.01}, result(failed=2), False),
        ({"max_failed_records": 1, "max_failed_ratio": 0.05}, result(failed=2), False),
        ({"max_failed_records": 2, "max_failed_ratio": 0.05}, result(failed=2), True),
        ({"on_empty": "fail"}, result("succeeded", read=0, failed=0), False),
        ({"on_empty": "fail"}, result("succeeded", read=None), True),
        ({"on_empty": "fail"}, result("succeeded", read=1), True),
        ({"on_empty": "warn"}, result("succeeded", read=0), True),
        ({}, result("succeeded", read=0), True),
    ],
)
def test_what_an_author_tolerates(tolerance, made, accepted):
    assert Tolerance(**tolerance).accepts(made) is accepted


@pytest.mark.parametrize(
    ("tolerance", "made", "warns"),
    [
        ({"max_failed_records": 2}, result(failed=2), True),
        ({"on_partial": "warn"}, result(), True),
        ({"on_partial": "succeed"}, result(), False),
        ({"on_empty": "warn"}, result("succeeded", read=0), True),
        ({"on_empty": "succeed"}, result("succeeded", read=0), False),
        ({"on_empty": "warn"}, result("succeeded", read=1), False),
        ({}, result("succeeded"), False),
    ],
)
def test_what_deserves_a_warning(tolerance, made, warns):
    assert Tolerance(**tolerance).warns(made) is warns


def test_an_empty_run_says_what_to_look_at():
    assert "on_empty" in result("succeeded", read=0).next_step


@pytest.mark.parametrize(
    ("run_failed", "batches", "failed"),
    [
        (1, [(500, True)], 500),  # the batch has counted more
        (3, [(0, True)], 3),  # the run has counted what the batch has not
        (0, [(0, True)], None),
        (0, [(0, True), (1, True)], None),  # something was lost that nobody has counted
        (0, [(2, False), (1, True)], 3),
    ],
)
def test_what_a_batch_has_lost_counts_beside_what_its_run_says(run_failed, batches, failed):
    made = [
        Batch.model_validate(
            {
                "id": str(n),
                "status": "success",
                "metrics": {"failedRecordCount": lost},
                "errors": [{"code": "X"}] * coded,
            }
        )
        for n, (lost, coded) in enumerate(batches)
    ]
    judged = evaluate_batches(result("partial" if run_failed else "succeeded", failed=run_failed), made)
    assert (judged.verdict, judged.failed) == ("partial", failed)
    assert Tolerance(max_failed_records=1).accepts(judged) is False


def test_a_batch_adds_the_codes_that_its_run_does_not_name():
    coded = [{"code": "A"}, {"code": "B"}]
    batch = Batch.model_validate({"id": "b", "status": "success", "metrics": {}, "errors": coded})
    run = replace(result(), errors=[{"activity": "x", "code": "A", "records": 1}])
    assert evaluate_batches(run, [batch]).errors == [*run.errors, {"activity": "batch", "code": "B"}]
