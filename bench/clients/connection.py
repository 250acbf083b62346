"""One connection with at most one request in flight, independent of the protocol."""

import itertools
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

RECEIVE_BYTES = 1 << 18
TIMEOUT_SECONDS = 60.0

Address = tuple[str, int]


class AnswerRefused(Exception):
    """The service gave an answer that the benchmark cannot use. The message shows it."""


class Connection(ABC):
    """Sends prebuilt requests in turn.

    It is opened for each measurement: a service closes connections that are silent for long, as they are while other
    sides of a comparison are measured.

    Args:
        address: Host and port.
        requests: Bytes of whole requests, sent in a cycle.
    """

    socket: socket.socket

    def __init__(self, address: Address, requests: Sequence[bytes]) -> None:
        self._address = address
        self._requests = itertools.cycle(requests)
        self._received = b""
        self.sent_at = 0.0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold it open."""
        with socket.create_connection(self._address, TIMEOUT_SECONDS) as self.socket:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._received = b""
            yield

    def send(self) -> None:
        """Send the next request."""
        request = next(self._requests)
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read what has arrived.

        Returns:
            Whether the answer is complete now.

        Raises:
            AnswerRefused: The answer is a refusal, or the connection was closed.
        """
        received = self.socket.recv(RECEIVE_BYTES)
        if not received:
            raise AnswerRefused(f"the connection was closed after {self._received[:1000]!r}")
        self._received = self._received + received if self._received else received
        while length := self.answer_length(self._received):
            answer, self._received = self._received[:length], self._received[length:]
            if self.accepts(answer):
                return True
        return False

    def ask(self) -> float:
        """Send a request and wait for its answer. Returns the seconds that it took."""
        self.send()
        while not self.receive():
            pass
        return time.perf_counter() - self.sent_at

    @abstractmethod
    def answer_length(self, received: bytes) -> int:
        """Return the length of the first complete answer in the received bytes, or 0 if there is none."""

    @abstractmethod
    def accepts(self, answer: bytes) -> bool:
        """Whether this is the answer to the request, not a ping or the like.

        Raises:
            AnswerRefused: It is a refusal.
        """
