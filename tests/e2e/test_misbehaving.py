"""Clients that misbehave over HTTP: answered or dropped, and nobody else notices."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.e2e.asking import http_client, open_session, step
from tests.e2e.exposition import await_metric, settled_metric
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e
PORTS = ["port", "fast_port"]
GARBAGE = os.urandom(10**6)
NUM_STALLED = 60
# On a noisy machine; who waits for a stalled client waits for 20 or for ever.
SLOW_SECONDS = 10.0
PATHS = [
    "/sentiment",
    "/tag",
    "/generate",
    "/forecast",
    "/sessions",
    "/sessions/x/steps",
    "/sessions/x/fork",
    "/sessions/import",
    "/steps",
    "/v2/repository/index",
    "/v2/repository/models/sentiment/load",
    "/nothing",
]
on_both_ports = pytest.mark.parametrize("port", PORTS)


@pytest.fixture(autouse=True)
def _others_notice_nothing(server: Server, pair: list[httpx.Client]) -> Iterator[None]:
    processes = [process.pid for process in server.processes()]
    yield
    for worker in pair:
        started = time.monotonic()
        assert step(worker, open_session(worker, "sentiment"), {"ids": [1]})
        assert time.monotonic() - started < SLOW_SECONDS
    assert [process.pid for process in server.processes()] == processes


def to(server: Server, port: str) -> httpx.Client:
    """A client of its own for one request."""
    return http_client(f"http://127.0.0.1:{getattr(server, port)}", timeout=30)


@contextmanager
def raw(server: Server, port: str, content: bytes) -> Iterator[socket.socket]:
    """A connection that has sent something."""
    with socket.create_connection(("127.0.0.1", getattr(server, port)), timeout=10) as connection:
        connection.sendall(content)
        yield connection


def status_line(connection: socket.socket) -> bytes:
    """The first line of what is answered, b"" where the connection is closed without."""
    try:
        return connection.recv(4096).partition(b"\r\n")[0]
    except ConnectionError:
        return b""


@on_both_ports
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream"])
def test_a_million_bytes_of_garbage_are_refused_as_a_problem(
    server: Server, port: str, path: str, media_type: str
) -> None:
    with to(server, port) as client:
        response = client.post(path, content=GARBAGE, headers={"Content-Type": media_type})
    assert response.status_code in (400, 404, 415, 422), response.text
    if path.startswith("/v2/"):
        assert set(response.json()) == {"error"}
        return
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code


@on_both_ports
@pytest.mark.parametrize("path", ["/sessions", "/sessions/x/steps", "/steps", "/sessions/import"])
def test_a_body_that_is_too_large_is_refused_announced_or_not(server: Server, port: str, path: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(9):
            yield GARBAGE

    for content in (b"a" * (8 * 2**20 + 1), parts()):
        try:
            with to(server, port) as client:
                response = client.post(path, content=content, headers={"Content-Type": "application/json"})
        except (httpx.WriteError, httpx.RemoteProtocolError):
            continue  # answered and closed while it was still being sent
        assert (response.status_code, response.json()["type"]) == (413, "urn:unrolled:problem:too-large")


@on_both_ports
def test_stalled_clients_keep_nobody_waiting(server: Server, port: str, pair: list[httpx.Client]) -> None:
    head = (
        b"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    beginnings = [b"", b"POST", b"POST /sessions HTTP/1.1\r\nHost:", head, head + b'{"mod', head[:-2]]
    with ExitStack() as stack:
        for n in range(NUM_STALLED):
            stack.enter_context(raw(server, port, beginnings[n % len(beginnings)]))
        for worker in pair:
            started = time.monotonic()
            assert step(worker, open_session(worker, "sentiment"), {"ids": [1]})
            assert time.monotonic() - started < SLOW_SECONDS


@on_both_ports
@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x00" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /steps HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /steps HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /steps HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 200_000),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_http_is_refused_or_dropped(server: Server, port: str, content: bytes) -> None:
    with raw(server, port, content) as connection:
        line = status_line(connection)
    assert line == b"" or b" 4" in line, line


@on_both_ports
@pytest.mark.parametrize(("content", "code"), [(b"nonsense\r\n\r\n", 400), (b"GET /" + b"a" * 200_000, 431)])
def test_what_is_refused_before_it_is_known_what_it_asks_is_counted(
    server: Server, client: httpx.Client, port: str, content: bytes, code: int
) -> None:
    name = f'rnn_requests_total{{code="{code}",endpoint="other"}}'
    before = settled_metric(client, name)
    with raw(server, port, content) as connection:
        assert b" %d " % code in status_line(connection)
    await_metric(client, name, before + 1)
    assert settled_metric(client, name) == before + 1


@on_both_ports
def test_a_request_that_would_rather_be_http2_is_answered_with_its_body(server: Server, port: str) -> None:
    body = b'{"text": "good"}'
    head = (
        b"POST /sentiment HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
        % len(body)
    )
    head += b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAA\r\n\r\n"
    with raw(server, port, head) as connection:
        time.sleep(0.1)
        connection.sendall(body + head + body)
        response = b""
        while response.count(b'"label"') < 2:
            received = connection.recv(4096)
            assert received, response
            response += received
    assert response.count(b"HTTP/1.1 200 OK") == response.count(b"HTTP/1.1") == 2


@on_both_ports
@pytest.mark.parametrize(
    "path", ["/sessions/%00", "/sessions/%ff%fe/steps", "/sessions/..%2f..", "/%e2%28%a1", "/sessions/" + "a" * 4000]
)
def test_odd_paths_are_not_found(server: Server, port: str, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with raw(server, port, request.encode()) as connection:
        assert b" 40" in status_line(connection)


@on_both_ports
def test_a_client_that_does_not_read_its_answers_keeps_nobody_waiting(
    server: Server, port: str, pair: list[httpx.Client]
) -> None:
    session_id = open_session(pair[0], "forecasting")
    step(pair[0], session_id, {"values": {"a": [1.0, 2.0]}})
    body = b'{"inputs": {"horizon": 720}}'
    head = b"POST /sessions/%b/steps HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    content = head % session_id.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with raw(server, port, content) as connection:
        connection.settimeout(0.5)
        try:
            for _ in range(300):
                connection.sendall(content)
        except TimeoutError:
            pass  # it is not read from any more
        for worker in pair:
            started = time.monotonic()
            assert step(worker, open_session(worker, "sentiment"), {"ids": [1]})
            assert time.monotonic() - started < SLOW_SECONDS
