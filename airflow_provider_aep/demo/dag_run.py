"""Child process of the demo: run ``airflow dags test``, and write a JSON line for each task that ends.

``python -m airflow_provider_aep.demo.dag_run EVENTS DAG_ID CONF`` appends to the file EVENTS.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.__main__ import main as airflow
from airflow.listeners import hookimpl

from airflow_provider_aep.runtime.compat import add_listener


class Events:
    """Airflow listener that appends an event to a file when a task ends.

    :param file: file of JSON lines, each with ``task``, ``state``, and ``result`` or ``error``
    """

    def __init__(self, file: Path) -> None:
        """Keep the path; the file is created by the first event."""
        self._file = file

    def write(self, **event: Any) -> None:
        """Append one event."""
        with self._file.open("a") as out:
            out.write(f"{json.dumps(event)}\n")

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Write the task's return value."""
        task = task_instance.task_id
        self.write(task=task, state="success", result=task_instance.xcom_pull(task_ids=task))

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """Write the task's error."""
        self.write(task=task_instance.task_id, state="failed", error=str(error))


def main() -> None:
    """Run the DAG once. An error outside of tasks is also written as an event."""
    file, dag_id, conf = sys.argv[1:]
    events = Events(Path(file))
    add_listener(events)
    sys.argv = ["airflow", "dags", "test", dag_id, "-c", conf]
    try:
        airflow()
    except Exception as e:
        events.write(task=None, state="failed", error=str(e))
        raise


if __name__ == "__main__":
    main()
