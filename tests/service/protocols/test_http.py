"""What both ports do for clients that are odd or hostile, on a real socket, on both event loops."""

import asyncio
import gc
import os
import socket
import struct
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import uvicorn
from starlette.types import Receive, Scope
from uvicorn.config import HTTP_PROTOCOLS
from websockets.exceptions import InvalidStatus

from service.api.steps import steps
from service.concurrency.failures import FailureLog
from service.keys.keys import ANONYMOUS
from service.protocols import http
from service.protocols.connections import HTTP, WEBSOCKET, connections
from service.protocols.http import MAX_HEAD_BYTES, UNREAD_MILLISECONDS, GuardedHttpProtocol, use_guarded_http
from tests.fakes.asgi import MAX_BYTES
from tests.fakes.port import STEP, Connection, Port
from tests.fakes.process import Process, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio

H2C = (
    "connection: Upgrade, HTTP2-Settings",
    "upgrade: h2c",
    "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)
WEBSOCKET_FIELDS = (
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)
GARBAGE = b"no HTTP\r\n\r\n"
CHUNKED = b"POST /steps HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """BentoML takes uvloop where it is installed."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def process(store: FaultyStore) -> AsyncIterator[Process]:
    """A worker: how many there are changes nothing of its connections."""
    async with Process(store) as opened:
        yield opened


def request_of(path: str, body: bytes, *fields: str) -> bytes:
    """A request, as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


async def steps_of(connection: Connection, num_steps: int) -> list[int]:
    """The steps that the next answers tell."""
    return [orjson.loads((await connection.answer())[2])["step"] for _ in range(num_steps)]


def test_a_server_that_is_told_no_protocol_has_the_guarded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    statuses: list[int] = []
    use_guarded_http(statuses.append)
    config = uvicorn.Config("a:b", log_config=None)
    config.load_app = lambda: None  # type: ignore[method-assign]
    config.load()
    made: Any = config.http_protocol_class
    assert (made.func, made.args) == (GuardedHttpProtocol, (statuses.append,))


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
async def test_a_request_that_would_rather_be_http2_is_answered_with_its_body(
    port: Port, process: Process, path: str
) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(path.format(session_id), orjson.dumps(STEP), *H2C)
    body = request.index(b"\r\n\r\n") + 4
    async with port.connected() as connection:
        await connection.pieces(request)
        await connection.pieces(request[:body], request[body:])
        await connection.pieces(request[: body - 30], request[body - 30 : body + 5], request[body + 5 :])
        assert await steps_of(connection, 3) == [1, 2, 3]
        await connection.pieces(
            request + request, request + request_of(f"/sessions/{session_id}/steps", b"{") + request
        )
        assert await steps_of(connection, 3) == [4, 5, 6]
        assert (await connection.answer())[0] == 400
        assert await steps_of(connection, 1) == [7]


async def test_the_body_of_a_request_that_would_rather_be_http2_is_no_request(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    inner = request_of(f"/sessions/{session_id}/steps", orjson.dumps(STEP))
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    outer = request_of("/nothing", inner, *H2C)
    other = request_of("/nothing", b"", *H2C, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    async with port.connected() as connection:
        await connection.pieces(outer.removesuffix(inner), inner, outer, other, chunked, other + chunked)
        assert [(await connection.answer())[0] for _ in range(4)] == [404] * 4
        await connection.pieces(inner)
        assert await steps_of(connection, 1) == [1]


async def test_garbage_behind_an_ignored_upgrade_is_refused(port: Port) -> None:
    async with port.connected() as connection:
        connection.writer.write(request_of("/nothing", b"", *H2C) + GARBAGE)
        assert [(await connection.answer())[0] for _ in range(2)] == [404, 400]
        assert await connection.is_over()


async def test_a_thousand_upgrades_in_one_packet_are_a_thousand_requests(port: Port) -> None:
    async with port.connected() as connection:
        connection.writer.write(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" * 1000
        )
        assert {(await connection.answer())[0] for _ in range(1000)} == {404}


async def test_who_closes_behind_an_ignored_upgrade_is_answered(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id, "connection: close, upgrade", "upgrade: h2c")
        assert await steps_of(connection, 1) == [1]
        assert await connection.is_over()


@pytest.mark.parametrize("target", ["localhost:80", "/sessions"])
async def test_no_tunnel_is_begun(port: Port, target: str) -> None:
    async with port.connected() as connection:
        connection.send(target, b"GET / HTTP/1.1\r\n\r\n", method="CONNECT")
        assert (await connection.answer())[0] == 400
        assert await connection.is_over()


async def test_a_client_that_would_leave_no_files_to_the_service_is_cut_off(
    port: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http, "_too_many", FailureLog("new clients are disconnected"))
    async with port.connected() as first:
        await first.pieces(request_of("/nothing", b""))
        assert (await first.answer())[0] == 404
        next_free = os.dup(0)
        os.close(next_free)
        monkeypatch.setattr(http, "first_reserved_descriptor", lambda: next_free)
        for _ in range(2):
            async with port.connected() as another:
                assert await another.is_over()
        await first.pieces(request_of("/nothing", b""))
        assert (await first.answer())[0] == 404
    assert caplog.messages == ["new clients are disconnected"]
    await until(lambda: not port.connections)


async def test_the_last_connections_that_the_limit_leaves_are_for_one_request_each(
    port: Port, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await process.create(ANONYMOUS)
    monkeypatch.setattr(http, "first_short_descriptor", lambda: 0)
    async with port.connected() as connection:
        connection.step(session_id)
        status, fields, _ = await connection.answer()
        assert (status, fields["connection"]) == (200, "close")
        assert await connection.is_over()
    with pytest.raises(InvalidStatus) as refused:
        async with port.stream():
            pass
    response = refused.value.response
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert port.refusals == [503]
    monkeypatch.setattr(http, "STALLED_SECONDS", 0.01)
    async with port.connected() as silent:
        assert await silent.is_over()


async def test_open_connections_are_counted_by_kind(port: Port) -> None:
    before = connections.num_open.copy()

    def num_more(kind: str) -> int:
        return connections.num_open[kind] - before[kind]

    async with port.connected() as connection:
        connection.send("/nothing", b"", method="GET")
        await connection.answer()
        async with port.stream(), port.stream():
            assert (num_more(HTTP), num_more(WEBSOCKET)) == (1, 2)
    await until(lambda: not num_more(HTTP) and not num_more(WEBSOCKET))


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
async def test_a_request_with_garbage_behind_it_is_answered_first(port: Port, process: Process, path: str) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(path.format(session_id), orjson.dumps(STEP))
    async with port.connected() as connection:
        await connection.pieces(request, request + request + GARBAGE, request)
        assert await steps_of(connection, 3) == [1, 2, 3]
        status, fields, body = await connection.answer()
        assert (status, fields["content-type"], fields["connection"]) == (400, "application/problem+json", "close")
        assert orjson.loads(body)["type"] == "urn:unrolled:problem:malformed"
        assert await connection.is_over()
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 3


async def test_a_body_that_is_no_body_is_answered_behind_what_came_before_it(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    step = request_of(f"/sessions/{session_id}/steps", orjson.dumps(STEP))
    chunked = CHUNKED + b"zz\r\n"
    for before, expected in ((b"", []), (step, [200]), (step + step, [200, 200])):
        async with port.connected() as connection:
            await connection.pieces(before + chunked)
            assert [(await connection.answer())[0] for _ in (*expected, chunked)] == [*expected, 400]
            assert await connection.is_over()


@pytest.mark.parametrize(
    ("sent", "expected", "told"),
    [
        (GARBAGE, [400], [400]),
        (b"POST / HTTP/1.1\r\nx: " + b"y" * 2 * MAX_HEAD_BYTES, [431], [431]),
        (request_of("/nothing", b"") + GARBAGE, [404, 400], [400]),
        (request_of("/nothing", b"") * 2 + CHUNKED + b"zz\r\n", [404, 404, 400], [400]),
        (CHUNKED + b"zz\r\n", [400], []),
        (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", [400], [400]),
    ],
    ids=["garbage", "long head", "garbage behind a request", "body in a queue", "body", "tunnel"],
)
async def test_a_refusal_is_told_unless_the_application_has_the_request(
    port: Port, sent: bytes, expected: list[int], told: list[int]
) -> None:
    async with port.connected() as connection:
        await connection.pieces(sent)
        assert [(await connection.answer())[0] for _ in expected] == expected
        assert await connection.is_over()
    assert port.refusals == told


@pytest.mark.parametrize(
    ("fields", "version", "status"),
    [
        ([], "1.1", 400),
        ([], "1.0", 404),
        (["host:"], "1.1", 400),
        (["host: "], "1.0", 400),
        (["host: localhost"], "1.1", 404),
        (["Host: localhost", "host: elsewhere"], "1.1", 400),
        (["host: localhost", "host: localhost"], "1.0", 400),
        ([], "1.1\r\nconnection: upgrade\r\nupgrade: h2c", 400),
    ],
)
async def test_a_request_names_its_host_once(port: Port, fields: list[str], version: str, status: int) -> None:
    """RFC 9112, section 3.2."""
    async with port.connected() as connection:
        head = "".join(f"{line}\r\n" for line in (f"GET /nothing HTTP/{version}", *fields))
        await connection.pieces(head.encode() + b"\r\n")
        told, headers, _ = await connection.answer()
        assert (told, headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HEAD /stream HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 405),
        (b"HEAD /livez HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_a_refusal_of_head_has_no_body(port: Port, head: bytes, status: int) -> None:
    async with port.connected() as connection:
        connection.writer.write(head)
        answered = await connection.reader.readuntil(b"\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 %d " % status)
        assert b"content-length: 0" not in answered
        assert await connection.is_over()
    assert port.refusals == [status]


async def test_a_refusal_of_what_follows_head_has_its_body(port: Port) -> None:
    async with port.connected() as connection:
        connection.writer.write(b"HEAD /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        connection.writer.write(GARBAGE)
        status, _, body = await connection.answer()
        assert (status, orjson.loads(body)["status"]) == (400, 400)


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
async def test_a_step_names_its_host_once(port: Port, process: Process, path: str) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(path.format(session_id), orjson.dumps(STEP))
    for wrong in (request.replace(b"host: localhost\r\n", b""), request_of(path, b"{}", "host: other")):
        async with port.connected() as connection:
            await connection.pieces(wrong)
            assert (await connection.answer())[0] == 400
            assert await connection.is_over()
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 0


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
async def test_who_closes_its_side_behind_a_request_is_answered(port: Port, process: Process, path: str) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(path.format(session_id), orjson.dumps(STEP))
    for num_whole, sent in enumerate((request[:-1], request, request + request + request[:-1])):
        async with port.connected() as connection:
            connection.writer.write(sent)
            connection.writer.write_eof()
            assert len(await steps_of(connection, num_whole)) == num_whole
            assert await connection.is_over()
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/nothing", b"", 404),
        ("POST", "/sessions", b"{}", 422),
        ("POST", "/sessions", b'{"model": "sum"}', 201),
    ],
)
async def test_who_closes_its_side_is_answered_what_takes_no_time(
    port: Port, method: str, path: str, body: bytes, expected: int
) -> None:
    for _ in range(10):
        async with port.connected() as connection:
            connection.send(path, body, method=method)
            connection.writer.write_eof()
            assert (await connection.answer())[0] == expected
            assert await connection.is_over()


@pytest.mark.parametrize(("length", "status"), [(MAX_BYTES + 1, 413), (2, 422)])
async def test_a_client_that_waits_for_100_continue_has_one_answer_on_its_connection(
    port: Port, length: int, status: int
) -> None:
    head = f"POST /steps HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    async with port.connected() as connection:
        await connection.pieces(head.encode())
        if length < MAX_BYTES:
            assert (await connection.answer())[0] == 100
            await connection.pieces(b"{}")
        answered, fields, _ = await connection.answer()
        assert (answered, fields["connection"]) == (status, "close")
        assert await connection.is_over()


async def test_a_step_is_waited_for_by_who_has_closed_its_side_and_other_work_is_called_off(
    port: Port, process: Process
) -> None:
    ann, bob = await process.create(ANONYMOUS), await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    graphs.gate.clear()
    async with port.connected() as waiting, port.connected() as gone:
        waiting.step(ann)
        gone.step(bob, inputs={"text": "wait"}, **{"return": None})
        for connection in (waiting, gone):
            connection.writer.write_eof()
        assert await gone.is_over()
        graphs.gate.set()
        assert await steps_of(waiting, 1) == [1]
        assert await waiting.is_over()
    await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get(ANONYMOUS, bob)).step == 0


async def test_a_refusal_reaches_who_is_still_sending(port: Port) -> None:
    async with port.connected() as connection:
        connection.writer.write(GARBAGE + b"x" * 5_000_000)
        assert (await connection.answer())[0] == 400
        assert await connection.is_over()
    await until(lambda: not any(each.cycle is None for each in port.connections))


def head_of(num_bytes: int, path: str = "/nothing") -> bytes:
    """A request without a body whose head has so many bytes."""
    fields = [f"x{n}: {'y' * 60}" for n in range(num_bytes // 70)]
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-length: 0", *fields, "x: "]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.replace("x: ", f"x: {'y' * (num_bytes - len(head))}").encode()


@pytest.mark.parametrize("path", ["/nothing", "/sessions/a/steps"])
async def test_a_long_head_is_refused_and_a_shorter_one_is_not(port: Port, path: str) -> None:
    for num_bytes, statuses in ((MAX_HEAD_BYTES - 500, {404, 422}), (MAX_HEAD_BYTES + 5000, {431})):
        for num_pieces in (1, 5):
            head = head_of(num_bytes, path)
            cut = -(-len(head) // num_pieces)
            async with port.connected() as connection:
                await connection.pieces(*(head[at : at + cut] for at in range(0, len(head), cut)))
                status, fields, _ = await connection.answer()
                assert status in statuses
                assert fields["content-type"] == "application/problem+json"
                if status == 431:
                    assert await connection.is_over()


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES,
        b"POST /" + b"a" * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 2 * MAX_HEAD_BYTES,
    ],
    ids=["value", "fields", "target", "trailer", "chunk's extension"],
)
async def test_what_has_no_end_is_not_held(port: Port, sent: bytes) -> None:
    async with port.connected() as connection:
        await connection.pieces(sent[:100], sent[100:])
        statuses = [(await connection.answer())[0]]
        while statuses[-1] != 431:
            statuses.append((await connection.answer())[0])
        assert await connection.is_over()
        assert statuses in ([431], [404, 431])


async def test_a_body_of_any_length_is_no_head(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    body = orjson.dumps(STEP).ljust(3 * MAX_HEAD_BYTES)
    request = request_of(f"/sessions/{session_id}/steps", body)
    async with port.connected() as connection:
        await connection.pieces(request, request + request[:50], request[50:])
        assert [(await connection.answer())[0] for _ in range(3)] == [413] * 3
    request = request_of(f"/sessions/{session_id}/steps", orjson.dumps(STEP).ljust(50_000))
    half = head_of(MAX_HEAD_BYTES // 2)
    async with port.connected() as connection:
        await connection.pieces(request[:-40_000], request[-40_000:] + half[:-9], half[-9:] + request)
        assert [(await connection.answer())[0] for _ in range(3)] == [200, 404, 200]


@pytest.mark.usefixtures("impatient")
async def test_who_says_nothing_or_half_a_head_or_stalls_within_a_body_is_not_waited_for(
    port: Port, process: Process
) -> None:
    session_id = await process.create(ANONYMOUS)
    loop = asyncio.get_running_loop()
    step, to_app = (request_of(f"/sessions/{session_id}/steps{end}", orjson.dumps(STEP)) for end in ("", "?x=1"))

    async def seconds_open(*pieces: bytes) -> float:
        async with port.connected() as connection:
            for piece in pieces:
                began = loop.time()
                connection.writer.write(piece)
                await asyncio.sleep(0.4)
            await asyncio.wait_for(connection.reader.read(), 10)
            return loop.time() - began

    def drops(request: bytes) -> list[bytes]:
        return [request, step[:9], step[9:20], step[20:30]]

    silences = (
        b"",
        b"\r\n",
        step[:20],
        to_app[:20],
        step[:-1],
        to_app[:-1],
        step + step[:-1],
        to_app * 2 + to_app[:-1],
    )
    for seconds in await asyncio.gather(*map(seconds_open, silences)):
        assert 0.9 < seconds < 5
    for seconds in await asyncio.gather(seconds_open(*drops(step)), seconds_open(*drops(to_app))):
        assert seconds < 0.9  # since the last drop


@pytest.mark.parametrize(("of_the_server", "expected"), [(5, 75), (75, 75), (100, 100)])
async def test_a_server_that_waits_for_less_is_overruled(port: Port, of_the_server: int, expected: int) -> None:
    port.config.timeout_keep_alive = of_the_server  # BentoML's is 5 unless it is told
    async with port.connected():
        await until(lambda: any(each.timeout_keep_alive == expected for each in port.connections))


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_comes_slowly_is_waited_for(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for path in (f"/sessions/{session_id}/steps", f"/sessions/{session_id}/steps?"):
            request = request_of(path, orjson.dumps(STEP))
            for piece in (request[:-4], request[-4:-3], request[-3:-2], request[-2:]):
                await asyncio.sleep(0.6)
                connection.writer.write(piece)
            assert (await connection.answer())[0] == 200


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_the_service_does_not_read_yet_is_waited_for(
    port: Port, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await process.create(ANONYMOUS)
    read_body = steps.read_body

    async def read_late(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
        await asyncio.sleep(1.5)
        return await read_body(scope, receive, max_bytes)

    monkeypatch.setattr(steps, "read_body", read_late)
    request = request_of(f"/sessions/{session_id}/steps?", orjson.dumps(STEP).ljust(MAX_BYTES))
    async with port.connected() as connection:
        await connection.pieces(request[:-9])
        await until(lambda: any(each.flow.read_paused for each in port.connections))
        await asyncio.sleep(1.2)
        await connection.pieces(request[-9:])
        assert (await connection.answer())[0] == 200


@pytest.mark.usefixtures("impatient")
async def test_a_websocket_may_be_silent(port: Port) -> None:
    async with port.stream() as stream:
        await asyncio.sleep(1.5)
        async with asyncio.timeout(10):
            await (await stream.ping())


async def test_a_connection_that_its_client_has_reset_is_not_held(port: Port) -> None:
    async with port.connected() as connection:
        await until(lambda: bool(port.connections))
        (protocol,) = port.connections
        held = weakref.ref(protocol)
        del protocol
        client = connection.writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.writer.transport.abort()
        await until(lambda: not port.connections)

    def is_collected() -> bool:
        gc.collect()
        return held() is None

    await until(is_collected)


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux's sockets")
async def test_a_connection_whose_client_does_not_read_is_broken_by_the_kernel(port: Port) -> None:
    async with port.connected() as connection:
        connection.send("/nothing", b"", method="GET")
        await connection.answer()
        (protocol,) = port.connections
        opened = protocol.transport.get_extra_info("socket")
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MILLISECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux's sockets")
async def test_connections_that_the_kernel_breaks_are_counted(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "UNREAD_MILLISECONDS", 100)
    connections.take_broken()
    num_broken = 0
    async with port.connected(num_buffer_bytes=4096) as plain, port.connected(num_buffer_bytes=4096) as stream:
        plain.send("/nothing", b"", method="GET")
        stream.send("/stream", b"", *WEBSOCKET_FIELDS, method="GET")
        assert [(await each.answer())[0] for each in (plain, stream)] == [404, 101]
        for protocol in port.connections:
            protocol.transport.write(bytes(2**25))
        async with asyncio.timeout(30):
            while num_broken < 2:
                await asyncio.sleep(0.01)
                num_broken += connections.take_broken()
    assert num_broken == 2
