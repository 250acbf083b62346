"""A connection that is closed while other sides are measured is opened again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.clients.http import request
from bench.clients.loop import http_loop, http_one_by_one

REQUEST = request("/steps", b"{}")
SECONDS = 0.1


class Answers(BaseHTTPRequestHandler):
    """Answers on connections that stay open until the server closes them."""

    protocol_version = "HTTP/1.1"
    server: "ClosingServer"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class ClosingServer(ThreadingHTTPServer):
    """Closes connections when it is told to, as a service does with those that are silent for long."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), Answers)

    def close_connections(self) -> None:
        while self.connections:
            with self.connections.pop() as connection, suppress(OSError):  # its client may have closed it first
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server() -> Iterator[ClosingServer]:
    with ClosingServer() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def test_each_measurement_opens_its_connections(server: ClosingServer) -> None:
    address = ("127.0.0.1", server.server_port)
    together, alone = http_loop(address, [[REQUEST]] * 3), http_one_by_one(address, [REQUEST])
    for measure in (together, alone, together, alone):
        assert measure(SECONDS).rate > 0
        server.close_connections()
