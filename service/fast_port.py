"""The second port: the plain application on Granian, in the worker's own event loop."""

import asyncio
import os
import socket

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from service.port_lock import hold_port

BACKLOG = 1024


class FastPort:
    """Listens while it is started.

    Args:
        app: What answers.
        host: Address.
        port: Port, which all workers of a service listen on.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = -1

    def start(self) -> None:
        """Listen.

        Raises:
            PortTaken: Another service does.
        """
        self._lock = hold_port(self._port, os.getppid())
        self._server = Server(
            self._app,
            address=socket.gethostbyname(self._host),
            port=self._port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            backlog=BACKLOG,
            log_enabled=False,
        )
        self._task = asyncio.get_running_loop().create_task(self._server.serve())

    async def stop(self) -> None:
        """Stop listening, and wait for the answers that are under way."""
        if self._server is None or self._task is None:
            return
        self._server.stop()  # type: ignore[no-untyped-call]
        await asyncio.gather(self._task, return_exceptions=True)
        os.close(self._lock)
        self._server = None
