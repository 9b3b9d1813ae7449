"""Serves an emulator; from within a process too: the demo and the tests end, and it is gone."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from airflow_provider_aep.emulator.app import create_app
from airflow_provider_aep.emulator.runs import Runner
from airflow_provider_aep.emulator.service import World


def server_of(app: ASGIApp, **address: Any) -> uvicorn.Server:
    """A server of an emulator's application; ``address`` is uvicorn's."""
    # No access log: query strings of other clients may carry credentials.
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            date_header=False,
            ws="none",
            log_level="warning",
            timeout_graceful_shutdown=3,
            **address,
        )
    )


@contextmanager
def running(world: World) -> Generator[str, None, None]:
    """Serve on a free loopback port for the length of the block; yields the URL."""
    server = server_of(create_app(world), host="127.0.0.1", port=0)
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
