"""Which worker answers: connections to one of a service's workers of the caller's choice."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil

from tests.e2e.asking import http_client
from tests.e2e.server import Server

MAX_CONNECTIONS = 200


@contextmanager
def client_of_each(server: Server, url: str = "") -> Iterator[dict[int, httpx.Client]]:
    """A client for every worker, by process id, each on one connection that stays open; not for several threads.

    Args:
        server: The service.
        url: Of the port to connect to; the fast one's by default.
    """
    pids = {worker.pid for worker in server.workers()}
    found: dict[int, httpx.Client] = {}
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            client = stack.enter_context(_single(url or server.fast_url))
            found.setdefault(worker_of(server, client), client)
            if set(found) == pids:
                yield found
                return
        raise RuntimeError(f"of {pids}, only {set(found)} take connections")


def worker_of(server: Server, client: httpx.Client) -> int:
    """The process at the other end of a client's only connection."""
    stream = client.get("/livez").extensions["network_stream"]
    _, port = stream.get_extra_info("client_addr")[:2]
    return next(worker.pid for worker in server.workers() if port in _peers(worker))


def _single(url: str) -> httpx.Client:
    return http_client(url, limits=httpx.Limits(max_connections=1, keepalive_expiry=600))


def _peers(process: psutil.Process) -> set[int]:
    return {connection.raddr.port for connection in process.net_connections("tcp") if connection.raddr}
