"""The second port: the plain application without BentoML's layers, in the worker's own event loop."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from service.api.steps.single_steps import SingleSteps
from service.fast_port.channel_protocol import ChannelProtocol
from service.fast_port.coalesced_writes import CoalescingProtocol
from service.fast_port.lock import hold_port
from service.fast_port.step_protocol import StepProtocol
from service.process.graceful import GRACEFUL_SECONDS
from service.protocols.http import OnRefused

logger = logging.getLogger(__name__)

BACKLOG = 2048


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the one that BentoML runs."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class FastPort:
    """The second port, which listens between `start` and `stop`.

    Attributes:
        has_failed: Whether it has stopped because of an error.

    Args:
        app: The application.
        single_steps: Answers single steps, bypassing the application. None if the application answers them.
        refused: Called with the status of each request that neither of them sees.
        host: Address to listen on.
        port: Port to listen on, the same for all workers of a service.
        max_message_bytes: Length of the largest WebSocket message. One of more than twice that ends the connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        single_steps: SingleSteps | None,
        refused: OnRefused,
        host: str,
        port: int,
        max_message_bytes: int,
    ) -> None:
        self._host = host
        self._port = port
        self._server = EmbeddedServer(
            uvicorn.Config(
                app,
                http=cast(Any, _http_protocol(refused, single_steps)),
                ws=cast(Any, partial(ChannelProtocol, refused, max_message_bytes)),
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACEFUL_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self._lock = contextlib.ExitStack()
        self.has_failed = False

    def start(self) -> None:
        """Listen.

        Raises:
            PortTaken: Another service listens on the port.
            DirectoryUnusable: There is no room to say that this one does.
        """
        self._lock = hold_port(self._port, os.getppid())
        sockets = [_shared_socket(*address) for address in _addresses(self._host, self._port)]
        self._task = asyncio.get_running_loop().create_task(self._serve(sockets))

    async def _serve(self, sockets: list[socket.socket]) -> None:
        try:
            await self._server.serve(sockets)
        except Exception:
            self.has_failed = True
            logger.exception("the second port has failed and answers no more requests; this worker is not ready")
        finally:
            for server in getattr(self._server, "servers", ()):
                server.close()
            for each in sockets:  # else the kernel goes on handing connections to them
                each.close()

    async def stop(self) -> None:
        """Stop listening, and wait for the answers that are under way."""
        if self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)
            self._lock.close()
            self._task = None


def _http_protocol(refused: OnRefused, single_steps: SingleSteps | None) -> Callable[..., CoalescingProtocol]:
    if single_steps is None:
        return partial(CoalescingProtocol, refused)
    return partial(StepProtocol, refused, single_steps)


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    """Return the family and the address of each interface that a host name stands for."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, address) for family, _, _, _, address in found]


def _shared_socket(family: int, address: Any) -> socket.socket:  # noqa: ANN401  each family has its own
    """Return a listening socket on a port that the workers share: the kernel spreads connections among them."""
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY for these only
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    return listener
