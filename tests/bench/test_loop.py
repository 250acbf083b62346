"""A connection that is closed while other sides are measured is opened again."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.clients.connection import Address
from bench.clients.http import request
from bench.clients.loop import http_loop, http_one_by_one

REQUEST = request("/steps", b"{}")
SECONDS = 0.05


class Impatient(BaseHTTPRequestHandler):
    """Answers, and closes a connection that is silent for a moment."""

    protocol_version = "HTTP/1.1"
    timeout = 4 * SECONDS

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[Address]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Impatient) as server:
        thread = threading.Thread(target=server.serve_forever, args=(SECONDS,))
        thread.start()
        yield ("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def test_each_measurement_opens_its_connections(address: Address) -> None:
    together, alone = http_loop(address, [[REQUEST]] * 3), http_one_by_one(address, [REQUEST])
    for _ in range(2):  # each side is silent while the other is measured
        assert together(10 * SECONDS).rate > 0
        assert alone(10 * SECONDS).rate > 0
