"""A short storm: onboardings in processes that are killed at random (``make storm`` is the long one)."""

import json
import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parents[2] / "benchmarks" / "storm.py"


def test_nothing_is_doubled_lost_or_left_over():
    command = [sys.executable, str(STORM), "--onboardings", "60", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])  # Airflow has its say before
    assert found["complete"] == 60, found
    assert (found["doubled"], found["lost"], found["wrong_id"], found["stuck"]) == ({}, 0, 0, {})
    assert found["killed"] > 10
    assert sum(found["faults"].values()) > found["requests"] / 5
