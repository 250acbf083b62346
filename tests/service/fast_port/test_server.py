"""The second port, on a real socket: its connections, its stops, and what else it is asked."""

import asyncio
import re
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import orjson
import pytest

from service.api.steps.single_steps import SingleSteps
from service.keys.key_file import add_key
from service.keys.keys import ANONYMOUS, Keys
from service.protocols import http
from tests.fakes.port import HOST, STEP, Port
from tests.fakes.process import Process, until

pytestmark = pytest.mark.anyio


async def test_steps_may_all_be_the_applications(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SingleSteps, "try_begin", None)
    session_id = await process.create(ANONYMOUS)
    port = Port(process, are_past_application=False)
    await port.listen()
    async with port.connected() as connection:
        for step in range(3):
            connection.step(session_id)
            assert orjson.loads((await connection.answer())[2])["step"] == step + 1
    await port.server.stop()


async def test_a_connection_that_is_to_be_closed_is_closed(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id, "connection: close")
        assert (await connection.answer())[0] == 200
        assert await connection.is_over()
    async with port.connected() as connection:
        connection.send(f"/sessions/{session_id}/steps", orjson.dumps(STEP), version="1.0")
        assert (await connection.answer())[0] == 200
        assert await connection.is_over()


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_is_silent_after_an_answer_is_closed(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    loop = asyncio.get_running_loop()
    async with port.connected() as connection:
        for pause in (0.0, 0.6, 0.6):  # together longer than it may be silent
            await asyncio.sleep(pause)
            connection.step(session_id)
            assert (await connection.answer())[0] == 200
        answered = loop.time()
        assert await connection.is_over()
        assert loop.time() - answered > 0.9


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
async def test_a_request_that_takes_longer_than_silence_may_is_waited_for(
    port: Port, process: Process, path: str
) -> None:
    session_id = await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    async with port.connected() as connection:
        for _ in range(2):
            graphs.gate.clear()
            connection.send(path.format(session_id), orjson.dumps(STEP))
            await until(lambda: process.steps.is_under_way(session_id))
            await asyncio.sleep(1.2)
            graphs.gate.set()
            assert (await connection.answer())[0] == 200
        assert await connection.is_over()  # and its silence is seen again


@pytest.mark.usefixtures("impatient")
async def test_who_sends_the_end_of_a_chunked_body_by_itself_is_answered_however_long_it_takes(
    port: Port, process: Process
) -> None:
    session_id = await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    graphs.gate.clear()
    body = orjson.dumps(STEP)
    head = (
        f"POST /sessions/{session_id}/steps HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    )
    async with port.connected() as connection:
        await connection.pieces(head, b"%x\r\n%b\r\n" % (len(body), body), b"0\r\n\r\n")
        await until(lambda: process.steps.is_under_way(session_id))
        await asyncio.sleep(1.3)
        graphs.gate.set()
        assert (await connection.answer())[0] == 200


async def test_no_timer_holds_on_to_a_connection_that_is_over(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id)
        assert (await connection.answer())[0] == 200
        (protocol,) = (each for each in port.connections if each.timeout_keep_alive_task is not None)
        assert not protocol.timeout_keep_alive_task.cancelled()
    await until(lambda: protocol.timeout_keep_alive_task.cancelled())


async def test_a_stop_answers_what_is_under_way_and_waits_for_nothing_else(process: Process) -> None:
    port = Port(process)
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    graphs.gate.clear()
    async with port.connected() as busy, port.connected() as idle, port.connected() as stalled:
        idle.step(await process.create(ANONYMOUS), inputs={"text": "a"})
        await idle.answer()
        stalled.writer.write(
            f"POST /sessions/{session_id}/steps HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{{".encode()
        )
        busy.step(session_id)
        await until(lambda: process.steps.is_under_way(session_id))
        stopping = asyncio.ensure_future(port.server.stop())
        assert await idle.is_over()
        assert await stalled.is_over()
        graphs.gate.set()
        status, fields, _ = await busy.answer()
        assert (status, fields["connection"]) == (200, "close")
        assert await busy.is_over()
        await asyncio.wait_for(stopping, 10)


async def test_of_a_client_that_does_not_read_no_more_is_read(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    num_steps = 20
    async with port.connected(num_buffer_bytes=10_000) as connection:
        connection.writer.transport.pause_reading()
        await until(lambda: len(port.connections) == 1)
        (accepted,) = port.connections
        accepted.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
        for _ in range(num_steps):
            connection.step(session_id, inputs={"ids": [1] * 4000}, **{"return": "logits"})
            await asyncio.sleep(0.001)
            await until(lambda: process.steps.is_idle)
        assert (await process.sessions.get(ANONYMOUS, session_id)).step < num_steps
        connection.writer.transport.resume_reading()
        heard = [orjson.loads((await connection.answer())[2])["step"] for _ in range(num_steps)]
    assert heard == list(range(1, num_steps + 1))


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
@pytest.mark.parametrize("expected", [200, 400])
async def test_a_stop_waits_for_a_body_that_is_under_way(process: Process, path: str, expected: int) -> None:
    port = Port(process)
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    body = orjson.dumps(STEP) if expected == 200 else b"{".ljust(60)  # what the application is asked after all
    head = f"POST {path.format(session_id)} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    async with port.connected() as connection:
        await connection.pieces(request[:-20])
        stopping = asyncio.ensure_future(port.server.stop())
        for piece in (request[-20:-10], request[-10:-5], request[-5:]):
            await asyncio.sleep(0.5)
            connection.writer.write(piece)
        status, fields, _ = await connection.answer()
        assert (status, fields["connection"]) == (expected, "close")
        assert await connection.is_over()
        await asyncio.wait_for(stopping, 2)


async def test_a_stop_waits_no_longer_for_a_body_that_comes_by_drops(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 1.5)
    port = Port(process)
    await port.listen()
    async with port.connected() as connection:
        await connection.pieces(b"POST /steps HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{")
        stopping = asyncio.ensure_future(port.server.stop())
        began = asyncio.get_running_loop().time()
        while not stopping.done():
            connection.writer.write(b" ")
            await asyncio.sleep(0.3)
        assert 1.4 < asyncio.get_running_loop().time() - began < 4


async def test_a_stop_waits_for_no_body_that_stalls(process: Process) -> None:
    port = Port(process)
    await port.listen()
    async with port.connected() as connection:
        connection.writer.write(b"POST /steps HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{")
        await connection.writer.drain()
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(port.server.stop())
        assert await connection.is_over()
        await asyncio.wait_for(stopping, 10)
    process.metrics.flush()
    labels = {"endpoint": "/steps", "code": "499"}
    assert process.metrics.registry.get_sample_value("rnn_requests_total", labels) == 1


async def test_what_is_refused_is_counted_once(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    token = add_key(file, ANONYMOUS)
    port = Port(process, Keys(file))
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    authorized = f"authorization: Bearer {token}"
    async with port.connected() as connection:
        for fields in ((), ("authorization: Bearer unr_a_b",), (authorized,)):
            connection.step(session_id, *fields)
            await connection.answer()
        connection.step(session_id, authorized, inputs={"ids": []})
        await connection.answer()
        connection.send(f"/sessions/{session_id}/steps", b"{", authorized)
        await connection.answer()
    await port.server.stop()
    process.metrics.flush()
    labels = {"endpoint": "/sessions/{id}/steps"}
    sample = process.metrics.registry.get_sample_value
    counted = {code: sample("rnn_requests_total", labels | {"code": code}) for code in ("200", "400", "401", "422")}
    assert counted == {"200": 1, "400": 1, "401": 2, "422": 1}


async def test_every_answer_is_dated_once(port: Port, process: Process) -> None:
    """RFC 9110, section 6.6.1: of a step, of the application, of a refused connection, and of a WebSocket."""
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for _ in range(2):  # the second one's head is known
            connection.step(session_id)
        connection.step("nobody")
        connection.send("/nothing", b"")
        connection.writer.write(b"no HTTP\r\n\r\n")
        async with asyncio.timeout(10):
            answers = await connection.reader.read(-1)
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"\r\ndate: ") == 5
    dates = re.findall(rb"\r\ndate: ([^\r]*)\r\n", answers)
    now = datetime.now(UTC)
    assert all(abs((now - parsedate_to_datetime(date.decode())).total_seconds()) < 60 for date in dates)
    async with port.stream() as stream:
        assert stream.response is not None
        assert len(stream.response.headers.get_all("date")) == 1


async def test_a_connection_to_no_stream_is_answered_404(port: Port) -> None:
    key = f"sec-websocket-key: {'A' * 22}=="
    upgrade = ("upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13", key)
    async with port.connected() as connection:
        connection.send("/streams", b"", *upgrade, method="GET")
        status, fields, body = await connection.answer()
        assert (status, fields["content-type"]) == (404, "application/problem+json")
        assert orjson.loads(body)["detail"] == "there is nothing at this path"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "DELETE"])
async def test_a_question_is_asked_by_post(port: Port, method: str) -> None:
    async with port.connected() as connection:
        connection.send("/sentiment", b"", method=method)
        status, fields, body = await connection.answer()
        assert (status, fields["allow"], orjson.loads(body)["title"]) == (405, "POST", "Method Not Allowed")
        connection.send("/sentiment/", b"{}")
        status, fields, _ = await connection.answer()
        assert (status, fields["location"]) == (307, "../sentiment")


async def test_a_question_without_a_body_has_no_fields(port: Port) -> None:
    async with port.connected() as connection:
        connection.send("/sentiment", b"")
        status, _, body = await connection.answer()
        assert (status, orjson.loads(body)["errors"][0]["message"]) == (422, "Field required")


async def test_a_port_that_fails_says_so_and_takes_no_connections(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("a bug")

    port = Port(process)
    monkeypatch.setattr(port.server._server, "main_loop", fail)
    port.server.start()
    assert port.server._task is not None
    await port.server._task
    assert caplog.messages == ["the second port has failed and answers no more requests; this worker is not ready"]
    assert port.server.has_failed
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, port.number)
    await port.server.stop()
