"""Closed loops: every connection sends its next request as soon as the last one is answered."""

import selectors
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from bench.clients.connection import TIMEOUT_SECONDS, Address, Connection
from bench.clients.http import HttpConnection
from bench.clients.websocket import WebSocketConnection
from bench.load import Load, Stopwatch


class ClosedLoop:
    """Keeps one request in flight on each of several connections.

    Args:
        connections: Connections, which are opened for each measurement.
        weight: What one answer counts as, for instance 64 rows.
    """

    def __init__(self, connections: Sequence[Connection], weight: int = 1) -> None:
        self._connections = connections
        self._weight = weight

    def __call__(self, seconds: float) -> Load:
        """Send for `seconds`, then wait for what is in flight. All answers and all of the time count."""
        with self._selector() as selector:
            return self._send(seconds, selector)

    @contextmanager
    def _selector(self) -> Iterator[selectors.BaseSelector]:
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for connection in self._connections:
                stack.enter_context(connection.opened())
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            yield selector

    def _send(self, seconds: float, selector: selectors.BaseSelector) -> Load:
        watch = Stopwatch()
        until = watch.started + seconds
        latencies: list[float] = []
        for connection in self._connections:
            connection.send()
        in_flight = len(self._connections)
        while in_flight:
            ready = selector.select(TIMEOUT_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer for {TIMEOUT_SECONDS:.0f} s")
            for key, _ in ready:
                connection = key.data
                if connection.receive():
                    now = time.perf_counter()
                    latencies.append(now - connection.sent_at)
                    if now < until:
                        connection.send()
                    else:
                        in_flight -= 1
        return watch.load(len(latencies) * self._weight, latencies)


class OneByOne:
    """Sends one request after another on one blocking socket, with nothing between the socket and the clock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, seconds: float) -> Load:
        """Send for `seconds`."""
        latencies: list[float] = []
        with self._connection.opened():
            watch = Stopwatch()
            until = watch.started + seconds
            while time.perf_counter() < until:
                latencies.append(self._connection.ask())
            return watch.load(len(latencies), latencies)


def http_loop(
    address: Address, requests: Sequence[Sequence[bytes]], weight: int = 1, expected: tuple[bytes, int] | None = None
) -> ClosedLoop:
    """Make a closed loop over HTTP. `requests` holds the requests of each connection."""
    return ClosedLoop([HttpConnection(address, own, expected) for own in requests], weight)


def websocket_loop(
    address: Address, frames: Sequence[Sequence[bytes]], headers: Mapping[str, str] | None = None
) -> ClosedLoop:
    """Make a closed loop over WebSocket. `frames` holds the frames of each connection."""
    return ClosedLoop([WebSocketConnection(address, own, headers) for own in frames])


def http_one_by_one(address: Address, requests: Sequence[bytes]) -> OneByOne:
    """Make a loop of one request after another over HTTP."""
    return OneByOne(HttpConnection(address, requests))


def websocket_one_by_one(
    address: Address, frames: Sequence[bytes], headers: Mapping[str, str] | None = None
) -> OneByOne:
    """Make a loop of one message after another over WebSocket."""
    return OneByOne(WebSocketConnection(address, frames, headers))
