"""WebSockets of the second port, on a real socket, on both event loops that it may run on."""

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.api.body_reader import LARGE_BYTES as LARGE_BODY_BYTES
from service.api.stream.connection import MAX_IN_FLIGHT
from service.fast_port.channel_protocol import FRAMES_AT_ONCE
from service.keys.key_file import add_key
from service.keys.keys import ANONYMOUS, Keys
from service.steps.large_logits import MANY_LOGITS
from tests.fakes.asgi import MAX_BYTES
from tests.fakes.clock import Clock
from tests.fakes.port import Port
from tests.fakes.process import Process, until

pytestmark = pytest.mark.anyio

UPGRADE = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13")
KEY = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """BentoML takes uvloop where it is installed."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def _nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    logged = caplog.get_records("call")
    assert [record.getMessage() for record in logged if record.levelno >= logging.ERROR] == []


def step(session_id: str, client_id: int = 0, **item: object) -> str:
    """A message for a step."""
    return json.dumps({"session_id": session_id, "inputs": {"ids": [1]}, "id": client_id, **item})


async def heard(stream: ClientConnection) -> Any:  # noqa: ANN401  whatever JSON can hold
    """The next answer."""
    async with asyncio.timeout(10):
        return orjson.loads(await stream.recv())


async def end_of(stream: ClientConnection) -> int | None:
    """The code that the server closes a connection with, once all answers were read."""
    async with asyncio.timeout(10):
        try:
            while True:
                await stream.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def counted(process: Process, code: str) -> float | None:
    """How many messages were answered with a code."""
    process.metrics.flush()
    labels = {"endpoint": "/stream", "code": code}
    return process.metrics.registry.get_sample_value("rnn_requests_total", labels)


async def test_fragments_are_one_message(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    text = step(session_id, inputs={"text": "ü"}).replace("\\u00fc", "ü").encode()
    middle = text.index("ü".encode()) + 1
    async with port.stream() as stream:
        stream.protocol.send_text(text[:middle], fin=False)
        stream.send_data()
        for _ in range(1000):
            stream.protocol.send_continuation(b"", fin=False)
        stream.send_data()
        async with asyncio.timeout(10):
            await (await stream.ping())
        (accepted,) = port.connections
        assert len(accepted.frames) == 1
        stream.protocol.send_continuation(text[middle:], fin=True)
        stream.send_data()
        answer = await heard(stream)
    assert (answer["status"], answer["outputs"]["count"]) == (200, 1)


async def test_an_answer_does_not_wait_for_the_client_to_acknowledge_the_one_before(port: Port) -> None:
    async with port.stream():
        (protocol,) = port.connections
        connection = protocol.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_an_empty_message_is_refused_and_the_connection_goes_on(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.stream() as stream:
        await stream.send("")
        assert (await heard(stream))["status"] == 400
        await stream.send(b"")
        async with asyncio.timeout(10):
            assert orjson.loads((await stream.recv())[4:])["status"] == 400
        await stream.send(step(session_id))
        assert (await heard(stream))["status"] == 200


async def test_a_flood_of_small_messages_leaves_the_loop_to_others(
    port: Port, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await process.create(ANONYMOUS)
    num_sent, turn, refused_in = 20_000, 0, Counter[int]()
    count = process.metrics.requests_tally.add

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    def add(endpoint: str, status: int, seconds: float) -> None:
        count(endpoint, status, seconds)
        refused_in[turn] += status == 400

    monkeypatch.setattr(process.metrics.requests_tally, "add", add)
    async with port.stream() as flood:
        for _ in range(num_sent):
            flood.protocol.send_text(b"")
        flood.send_data()
        turns = asyncio.ensure_future(count_turns())
        for _ in range(num_sent):
            assert (await heard(flood))["status"] == 400
        turns.cancel()
        await flood.send(step(session_id))
        assert (await heard(flood))["status"] == 200
    assert refused_in.total() == num_sent
    assert max(refused_in.values()) <= 2 * FRAMES_AT_ONCE, "one turn may receive, and go on with what was received"


async def test_of_many_pings_of_a_client_that_does_not_read_the_latest_is_answered(port: Port) -> None:
    async with port.stream() as stream:
        async with asyncio.timeout(10):
            await (await stream.ping())
        (accepted,) = port.connections
        accepted.pause_writing()
        pongs = [await stream.ping(bytes([n])) for n in range(5)]
        await asyncio.sleep(0.05)
        assert not any(pong.done() for pong in pongs)
        accepted.resume_writing()
        async with asyncio.timeout(10):
            await pongs[-1]


async def test_what_is_no_text_ends_the_connection(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.stream() as stream:
        stream.protocol.send_text(b'{"id":"\xff"}')
        stream.protocol.send_text(step(session_id).encode())
        stream.send_data()
        assert await end_of(stream) == 1007
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 0


async def test_who_closes_behind_a_refused_message_is_not_cut_off(port: Port, process: Process) -> None:
    for _ in range(3):
        async with port.stream() as stream:
            stream.protocol.send_text(b"{")
            stream.protocol.send_close(1000)
            stream.send_data()
            assert await end_of(stream) == 1000
    assert counted(process, "400") == 3


async def test_steps_of_who_closes_are_called_off(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.stream() as stream:
        for n in range(3):
            await stream.send(step(session_id, n, inputs={"text": "wait"}))
        await until(lambda: process.model.num_waiting == 1)
    await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 0
    assert counted(process, "499") == 3


async def test_steps_of_who_breaks_off_are_called_off(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.stream() as stream:
        for n in range(3):
            await stream.send(step(session_id, n, inputs={"text": "wait"}))
        await until(lambda: process.model.num_waiting == 1)
        stream.transport.abort()
        await until(lambda: process.steps.is_idle)
    await until(lambda: not port.connections)
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 0


async def test_who_is_ahead_is_read_on_once_it_is_answered(port: Port, process: Process) -> None:
    session_ids = [await process.create(ANONYMOUS) for _ in range(3)]
    num_messages = 20 * MAX_IN_FLIGHT
    async with port.stream() as stream:

        async def send() -> None:
            for n in range(num_messages):
                await stream.send(step(session_ids[n % 3], n, **({"inputs": {"text": "wait"}} if n < 3 else {})))

        sending = asyncio.ensure_future(send())
        (accepted,) = port.connections
        await until(lambda: accepted.read_paused)
        await asyncio.sleep(0.1)
        assert counted(process, "200") is None
        process.model.go.set()
        answers = [await heard(stream) for _ in range(num_messages)]
        await sending
        for first in range(3):
            own = [answer["id"] for answer in answers if answer["id"] % 3 == first]
            assert own == list(range(first, num_messages, 3))
        assert {answer["status"] for answer in answers} == {200}
        assert not accepted.read_paused


async def test_who_is_ahead_is_not_taken_for_dead(port: Port, process: Process) -> None:
    port.config.ws_ping_interval, port.config.ws_ping_timeout = 0.02, 0.3
    session_id = await process.create(ANONYMOUS)
    num_messages = 2 * MAX_IN_FLIGHT
    async with port.stream() as stream:
        for n in range(num_messages):
            await stream.send(step(session_id, n, **({} if n else {"inputs": {"text": "wait"}})))
        await asyncio.sleep(0.7)
        process.model.go.set()
        assert [(await heard(stream))["id"] for n in range(num_messages)] == list(range(num_messages))
        assert await asyncio.wait_for(await stream.ping(), 10) >= 0


async def test_who_answers_no_ping_is_taken_for_dead(port: Port) -> None:
    port.config.ws_ping_interval = port.config.ws_ping_timeout = 0.02
    async with port.stream() as stream:
        stream.transport.pause_reading()
        await until(lambda: not port.connections)
        stream.transport.resume_reading()
        assert await end_of(stream) == 1011


async def test_a_ping_is_answered_while_steps_are_under_way(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.stream() as stream:
        await stream.send(step(session_id, inputs={"text": "wait"}))
        assert await asyncio.wait_for(await stream.ping(), 10) >= 0
        process.model.go.set()
        assert (await heard(stream))["status"] == 200


async def test_who_does_not_read_is_read_from_no_further(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    num_messages = 2 * MAX_IN_FLIGHT
    async with port.stream(num_buffer_bytes=10_000) as stream:
        (accepted,) = port.connections
        accepted.transport.set_write_buffer_limits(1000)
        stream.transport.pause_reading()
        for n in range(num_messages):
            await stream.send(step(session_id, n, inputs={"text": "long"} if n < 80 else {"ids": [1]}))
        await until(lambda: accepted.read_paused and not accepted.writable.is_set() and process.steps.is_idle)
        stream.transport.resume_reading()
        answers = [await heard(stream) for _ in range(num_messages)]
    assert [answer["id"] for answer in answers] == list(range(num_messages))


async def test_who_goes_while_a_message_waits_for_room_is_noticed_at_once(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    with process.core.answer_room.of_bytes(2**30):
        async with port.stream() as stream:
            await stream.send(step(session_id, inputs={"ids": [1] * MANY_LOGITS}))
            (accepted,) = port.connections
            await until(lambda: accepted._take is not None and accepted._take.__self__._messages.is_waiting)
            stream.transport.abort()
            await until(lambda: not port.connections)
    await until(lambda: counted(process, "499") == 1)


async def test_answers_to_earlier_messages_let_nobody_send_on_while_one_waits_behind_a_large_one(
    port: Port, process: Process
) -> None:
    session_id = await process.create(ANONYMOUS)
    padded = step(session_id) + " " * (MAX_BYTES - 500)
    assert len(padded) > LARGE_BODY_BYTES

    async def send_on() -> None:
        while True:
            await stream.send(padded)

    async with port.stream() as stream:
        (accepted,), (served,) = port.connections, port.surface.stream._connections
        await stream.send(padded)
        assert (await heard(stream))["status"] == 200
        with process.core.answer_room.of_bytes(2**30):
            for n in range(10):
                await stream.send(step(session_id, n, inputs={"text": "wait"}))
            await stream.send(step(session_id, inputs={"ids": [1] * MANY_LOGITS}))
            await until(lambda: served._messages.is_waiting)
            sending = asyncio.ensure_future(send_on())
            await asyncio.sleep(0.1)
            num_queued = accepted.queue.qsize()
            accepted.pause_writing()
            process.model.go.set()
            await until(lambda: len(served._messages) == 1)
            accepted.resume_writing()
            assert [(await heard(stream))["id"] for _ in range(10)] == list(range(10))
            await asyncio.sleep(0.1)
            assert (accepted.queue.qsize(), accepted.read_paused) == (num_queued, True)
            sending.cancel()


async def test_no_message_behind_the_removal_of_its_key_is_served(process: Process, tmp_path: Path) -> None:
    file, time = tmp_path / "keys", Clock()
    token = add_key(file, ANONYMOUS)
    port = Port(process, Keys(file, time))
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    async with port.stream(token) as stream, port.stream(token) as ahead:
        await stream.send(step(session_id))
        assert (await heard(stream))["status"] == 200
        for n in range(2 * MAX_IN_FLIGHT):
            await ahead.send(step(session_id, n, inputs={"text": "wait"}))
        await until(lambda: process.model.num_waiting == 1)
        file.write_text("")
        time.now += 2
        for n in range(3):
            await stream.send(step(session_id, n))
        assert await end_of(stream) == 1008
        process.model.go.set()
        assert await end_of(ahead) == 1008
        await until(lambda: process.steps.is_idle)
    await port.server.stop()
    assert (await process.sessions.get(ANONYMOUS, session_id)).step <= 1 + MAX_IN_FLIGHT


async def test_a_message_that_was_read_ahead_is_not_served_once_its_key_is_removed(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on BentoML's port, which offers no channel."""
    monkeypatch.setattr("service.api.stream.connection.channel_of", lambda _: None)
    file, time = tmp_path / "keys", Clock()
    token = add_key(file, ANONYMOUS)
    port = Port(process, Keys(file, time))
    await port.listen()
    large, behind = [await process.create(ANONYMOUS) for _ in range(2)]
    async with port.stream(token) as stream:
        (accepted,) = port.connections
        with process.core.answer_room.of_bytes(2**30):
            await stream.send(step(large, inputs={"ids": [1] * MANY_LOGITS}))
            await stream.send(step(behind))
            async with asyncio.timeout(10):
                await (await stream.ping())
            await until(accepted.queue.empty)
            file.write_text("")
            time.now += 2
        assert await end_of(stream) == 1008
    await until(lambda: process.steps.is_idle)
    await port.server.stop()
    assert (await process.sessions.get(ANONYMOUS, behind)).step == 0


async def test_who_has_no_key_is_refused_and_counted(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    token = add_key(file, ANONYMOUS)
    port = Port(process, Keys(file))
    await port.listen()
    for wrong in ("", token + "x", "ä"):
        with pytest.raises(InvalidStatus) as refused:
            async with port.stream(wrong):
                pass
        assert refused.value.response.status_code == 401
    await port.server.stop()
    assert counted(process, "401") == 3


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("POST", [KEY], 405),
        ("GET", [KEY, *["x: 1"] * 200], 431),
        ("GET", [KEY, f"x: {'1' * 10_000}"], 431),
    ],
)
async def test_a_handshake_that_websockets_refuses_is_answered_and_counted(
    port: Port, method: str, fields: list[str], status: int
) -> None:
    async with port.connected() as connection:
        connection.send("/stream", b"", *UPGRADE, *fields, method=method)
        answered, told, body = await connection.answer()
        assert (answered, told["content-type"]) == (status, "application/problem+json")
        assert (told["connection"], told.get("allow")) == ("close", "GET" if status == 405 else None)
        assert orjson.loads(body)["status"] == status
        assert await connection.is_over()
    assert port.refusals == [status]


@pytest.mark.parametrize("versions", [["8"], ["14"], ["13, 8"], ["13", "8"], ["13", "13"], []])
async def test_another_version_of_websocket_is_told_the_one_that_is_spoken(port: Port, versions: list[str]) -> None:
    """RFC 6455, section 4.4."""
    fields = [*UPGRADE[:2], KEY, *(f"sec-websocket-version: {version}" for version in versions)]
    async with port.connected() as connection:
        connection.send("/stream", b"", *fields, method="GET")
        status, told, body = await connection.answer()
        assert (status, told["sec-websocket-version"], told["connection"]) == (426, "13", "close, upgrade")
        assert (told["upgrade"], told["content-type"]) == ("websocket", "application/problem+json")
        assert orjson.loads(body)["type"] == "urn:unrolled:problem:upgrade-needed"
        assert await connection.is_over()
    assert port.refusals == [426]


NO_KEYS = ["short", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBsZSBub2!5jZQ=="]  # the last but one: 17 bytes


@pytest.mark.parametrize("fields", [[], [KEY, KEY], *([f"sec-websocket-key: {key}"] for key in NO_KEYS)])
async def test_a_websocket_without_its_key_is_refused_as_everything_is(port: Port, fields: list[str]) -> None:
    async with port.connected() as connection:
        connection.send("/stream", b"", *UPGRADE, *fields, method="GET")
        status, told, body = await connection.answer()
        assert (status, told["content-type"]) == (400, "application/problem+json")
        assert "Sec-WebSocket-Key" in orjson.loads(body)["detail"]
    assert port.refusals == [400]


async def test_a_stop_tells_every_client_to_go_elsewhere(process: Process) -> None:
    port = Port(process)
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    async with port.stream() as stream, port.stream() as idle:
        for n in range(3):
            await stream.send(step(session_id, n))
        answers = [await heard(stream) for _ in range(3)]
        stopping = asyncio.ensure_future(port.surface.stream.stop())
        assert await end_of(stream) == await end_of(idle) == 1012
        with pytest.raises(InvalidStatus) as refused:
            async with port.stream():
                pass
        await stopping
    response = refused.value.response
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    await port.server.stop()
    assert [answer["id"] for answer in answers] == [0, 1, 2]


async def test_reading_stays_paused_once_a_burst_is_processed(port: Port, process: Process) -> None:
    session_id, num_messages = await process.create(ANONYMOUS), MAX_IN_FLIGHT + 3 * FRAMES_AT_ONCE
    async with port.stream() as stream:
        (accepted,) = port.connections
        for n in range(num_messages):
            stream.protocol.send_text(step(session_id, n, inputs={"text": "wait"}).encode())
        stream.send_data()
        await until(lambda: accepted.read_paused and not accepted._is_held)
        assert not accepted.transport.is_reading()
        process.model.go.set()
        for _ in range(num_messages):
            await heard(stream)
