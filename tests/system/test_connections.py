"""The connection test in the API server, on a worker and in the command line: the same messages."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from real_airflow import until
from test_connection_test import CASES, CONNECTED, DENIED, SANDBOXES, check_failure


@pytest.fixture
def fields(make_emulator):
    """The fields of each case's connection."""
    emulators = {denied: make_emulator(sandboxes=SANDBOXES, denied=denied) for denied in {(), *DENIED}}
    return {"good": emulators[()].connection()} | {
        case: emulators[options.get("denied", ())].connection(**changes)
        for case, (changes, options, _) in CASES.items()
    }


def on_worker(airflow, body):
    """Test a connection on a worker, as Airflow 3.3 can."""
    queued = airflow.ask("POST", "/connections/enqueue-test", json=body)
    headers = {"Airflow-Connection-Test-Token": queued["token"]}

    def result():
        answer = airflow.ask("GET", "/connections/enqueue-test", headers=headers)
        return answer if answer["result_message"] is not None else None

    answer = until(result, "The worker does not answer")
    return answer["state"] == "success", answer["result_message"]


def test_by_api_server_worker_and_command_line(airflow, fields):
    bodies = {
        case: {"connection_id": case.replace(" ", "_"), **found, "extra": json.dumps(found["extra"])}
        for case, found in fields.items()
    }
    assert on_worker(airflow, bodies["good"]) == (True, CONNECTED)

    def by_api_server(case):
        answer = airflow.ask("POST", "/connections/test", json=bodies[case])
        return answer["status"], answer["message"]

    def by_command(case):
        id_ = bodies[case]["connection_id"]
        variable = {f"AIRFLOW_CONN_{id_.upper()}": json.dumps(fields[case]), "COLUMNS": "1000"}
        _, output = airflow.command("connections", "test", id_, **variable)
        return False, " ".join(output.split())

    def results(test):
        return {case: test(case) for case in CASES}

    with ThreadPoolExecutor(3) as pool:
        ways = (by_api_server, lambda case: on_worker(airflow, bodies[case]), by_command)
        by_way = [*pool.map(results, ways)]
    for case, (*_, pattern) in CASES.items():
        for found in by_way:
            check_failure(*found[case], pattern)
    assert len({message.split(" [")[0] for _, message in by_way[0].values()}) == len(CASES)
