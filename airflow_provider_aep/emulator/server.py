"""Serves an emulator from within a process: the demo and the tests end, and it is gone."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from airflow_provider_aep.emulator.app import create_app
from airflow_provider_aep.emulator.runs import Runner
from airflow_provider_aep.emulator.service import World


@contextmanager
def running(world: World) -> Generator[str, None, None]:
    """Serve on a free loopback port for the length of the block; yields the URL."""
    # No access log: query strings of other clients may carry credentials.
    config = uvicorn.Config(
        create_app(world),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="aep-emulator", daemon=True)
    runner = Runner(world)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            if not thread.is_alive():
                raise RuntimeError("The emulator did not start; see its log above.")
        runner.start()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        runner.stop()
        world.store.close()
