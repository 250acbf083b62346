"""A network that does what networks do: it loses requests and answers, repeats requests, and delivers some late."""

import contextlib
import socket
from collections.abc import Callable
from enum import Enum, auto

CHUNK = 65536
END_OF_HEAD = b"\r\n\r\n"


class Fate(Enum):
    """What becomes of one request."""

    DELIVERED = auto()
    REQUEST_LOST = auto()
    ANSWER_LOST = auto()
    ANSWER_CUT = auto()
    REPEATED = auto()
    LATE = auto()


class Proxy:
    """Takes one request a connection, whose fate is asked for, and passes it on to a port of this machine.

    A request that is late is lost for its client, and arrives after the next one that is delivered.
    """

    def __init__(self, upstream_port: int, fate: Callable[[], Fate]) -> None:
        self._upstream_port = upstream_port
        self._fate = fate
        self._late: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.fates: list[Fate] = []

    def serve(self) -> None:
        """Take connections one after the other until the listener is shut."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(ConnectionError):
                    self._handle(client)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _handle(self, client: socket.socket) -> None:
        request = _read_message(client)
        if not request:
            return
        fate = self._fate()
        self.fates.append(fate)
        if fate is Fate.REQUEST_LOST:
            return
        if fate is Fate.LATE:
            self._late.append(request)
            return
        answer = self._ask(request)
        if fate is Fate.REPEATED:
            answer = self._ask(request)
        late, self._late = self._late, []
        for each in late:
            self._ask(each)
        if fate is Fate.ANSWER_CUT:
            client.sendall(answer[: len(answer) // 2])
        elif fate is not Fate.ANSWER_LOST:
            client.sendall(answer)

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._upstream_port)) as upstream:
            upstream.sendall(request)
            return _read_message(upstream)


def _read_message(stream: socket.socket) -> bytes:
    """One HTTP message whose head tells its length, or that ends with the connection."""
    content = b""
    while END_OF_HEAD not in content:
        part = stream.recv(CHUNK)
        if not part:
            return content
        content += part
    head, _, body = content.partition(END_OF_HEAD)
    length = _length(head)
    while length is None or len(body) < length:
        part = stream.recv(CHUNK)
        if not part:
            break
        body += part
        content += part
    return content


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None
