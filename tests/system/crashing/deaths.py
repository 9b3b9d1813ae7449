"""Ends a task's process at one moment of its create, in its first try. The DAG's parameter ``moments`` says which."""

import os
import signal
import threading
from functools import partial
from pathlib import Path

from airflow_provider_aep.client.call import Safety
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepLostResponseError

send = AepClient.send


def die(context, *, with_supervisor=False):
    """Note the death, and kill this process."""
    with Path(os.environ["AIRFLOW_HOME"], "deaths").open("a") as deaths:
        print(context["run_id"], context["ti"].task_id, file=deaths)
    if with_supervisor:
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore:
    """A task state store that kills the process once an id is stored: a create writes nothing after that."""

    def __init__(self, store, die):
        self._store, self._die = store, die

    def get(self, key):
        return self._store.get(key)

    def set(self, key, value):
        self._store.set(key, value)
        if "id" in value:
            self._die()


def arm(context):
    """Prepare the death of a task's first try. A hook of ``pre_execute``."""
    moment, die_now = context["params"]["moments"].get(context["ti"].task_id), partial(die, context)
    if context["ti"].try_number > 1 or not moment:
        return
    if moment == "after-note":
        context["task_state_store"] = DyingStore(context["task_state_store"], die_now)
        return

    def send_and_die(self, call):
        if call.safety is not Safety.CREATE or call.method != "POST":
            return send(self, call)
        if moment == "before-send":
            die_now()
        if moment == "after-commit":  # the emulator creates the object at once and does not answer for two seconds
            threading.Timer(0.5, die_now).start()
        try:
            made = send(self, call)
        except AepLostResponseError:
            if moment == "late-commit":
                die_now()
            raise
        if moment == "after-answer":
            die_now()
        if moment == "supervisor":
            die_now(with_supervisor=True)
        return made

    AepClient.send = send_and_die
