"""The HTTP server of an emulator: for the command line, and within the process of a test or the demo."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from aep_emulator.core.world import World
from aep_emulator.engine.scheduler import Runner
from aep_emulator.gateway.app import create_app


class Server(uvicorn.Server):
    """A uvicorn server that starts and ends within milliseconds: it waits for an event where uvicorn polls.

    :ivar ready: set once the server accepts connections
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets=sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Serve until :meth:`stop`."""
        await self.on_tick(0)
        self._loop = asyncio.get_running_loop()
        while not self.should_exit:
            await self._ending.wait()

    def stop(self) -> None:
        """End the server; from any thread, and from a signal handler."""
        self.should_exit = True
        if self._loop:
            self._loop.call_soon_threadsafe(self._ending.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the server on a signal."""
        super().handle_exit(sig, frame)
        self.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close idle connections at once, and wait for the others as uvicorn does."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # closed transports leave the set of connections
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for listening in sockets or []:
            listening.close()
        await self.lifespan.shutdown()


def server_of(app: ASGIApp, **address: Any) -> Server:
    """Return a server of an emulator's application.

    :param address: uvicorn's ``host`` and ``port``
    """
    # There is no access log: query strings of clients may contain credentials.
    return Server(
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
    """Serve a world on a free loopback port during the block; yields the URL."""
    server = server_of(create_app(world), host="127.0.0.1", port=0)

    def serve() -> None:
        try:
            server.run()
        finally:
            server.ready.set()

    thread = threading.Thread(target=serve, name="aep-emulator", daemon=True)
    runner = Runner(world)
    thread.start()
    try:
        server.ready.wait()
        if not server.started:
            raise RuntimeError("The emulator did not start; see its log above.")
        runner.start()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        thread.join(10)
        if runner.is_alive():
            runner.stop()
        world.store.close()
