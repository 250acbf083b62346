"""The second port, on a real socket: what goes past the application is answered as the application would."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from service.api.auth import AuthMiddleware
from service.api.single_steps import SingleSteps
from service.fast_port import FastPort
from service.keys import ANONYMOUS
from tests.fakes.asgi import MAX_BYTES, Surface
from tests.fakes.process import Process, until

pytestmark = pytest.mark.anyio
HOST = "127.0.0.1"
STEP: dict[str, object] = {"inputs": {"ids": [1, 2, 3]}, "return": "none"}


class Connection:
    """A client's connection, bytes in and out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, path: str, body: bytes, *fields: str, method: str = "POST", version: str = "1.1") -> None:
        """Send a request with that body; its length is told unless the fields tell how it comes."""
        told = (
            fields
            if any("transfer-encoding" in field for field in fields)
            else (f"content-length: {len(body)}", *fields)
        )
        lines = [f"{method} {path} HTTP/{version}", "host: localhost", *told]
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)

    def step(self, session_id: str, *fields: str, **step: object) -> None:
        """Send a step."""
        self.send(f"/sessions/{session_id}/steps", orjson.dumps(STEP | step), *fields)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and body of the next response."""
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.splitlines()
            fields = dict(line.split(": ", 1) for line in lines if line)
            body = await self._reader.readexactly(int(fields["content-length"]))
        return int(status.split()[1]), fields, body

    async def is_over(self) -> bool:
        """Whether the server has closed its side, with nothing more to read."""
        async with asyncio.timeout(10):
            return await self._reader.read() == b""


class Port:
    """The port over a process."""

    def __init__(self, process: Process) -> None:
        tally = process.metrics.requests_tally
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.number = free.getsockname()[1]
        app = AuthMiddleware(Surface(process).app, None, tally)
        self.server = FastPort(app, SingleSteps(process.steps, None, tally, MAX_BYTES), HOST, self.number, MAX_BYTES)

    async def listen(self) -> None:
        """Listen."""
        self.server.start()
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, self.number)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
        writer.close()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A client's connection."""
        connection = Connection(*await asyncio.open_connection(HOST, self.number))
        try:
            yield connection
        finally:
            connection.writer.close()


@pytest.fixture
async def port(process: Process) -> AsyncIterator[Port]:
    """The port, listening."""
    port = Port(process)
    await port.listen()
    yield port
    await port.server.stop()


async def test_steps_are_answered_one_after_the_other_on_one_connection(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for step in range(3):
            connection.step(session_id, "content-type: application/json", step=step)
            status, fields, body = await connection.answer()
            assert (status, fields["content-type"]) == (200, "application/json")
            assert orjson.loads(body) == {"session_id": session_id, "step": step + 1, "outputs": {}}


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ({"step": 7}, 409),
        ({"inputs": {"ids": [1000]}}, 422),
        ({"inputs": {"ids": []}}, 422),
        ({"inputs": {"text": "ab"}, "return": None}, 200),
        ({"inputs": {"text": "fail"}, "return": None}, 500),
        ({"return": "argmax"}, 200),
        ({"unknown": 1}, 422),
        ({"stream": True}, 422),
    ],
)
async def test_refusals_and_other_steps_are_answered_as_by_the_application(
    port: Port, process: Process, step: dict[str, object], status: int
) -> None:
    session_id, other = await process.create(ANONYMOUS), await process.create(ANONYMOUS)
    app = AuthMiddleware(Surface(process).app, None, process.metrics.requests_tally)
    client = Surface(process).client
    client.app = app
    expected = await client.post(f"/sessions/{other}/steps", STEP | step)
    async with port.connected() as connection:
        connection.step(session_id, **step)
        told, fields, body = await connection.answer()
        assert told == status == expected.status
        assert fields["content-type"] == expected.headers["content-type"]
        ours, theirs = orjson.loads(body), expected.json()
        for each in (ours, theirs):
            each.pop("session_id", None)
            each.get("outputs", {}).pop("seed", None)
        assert ours == theirs
        connection.step(session_id)  # and the connection goes on
        assert (await connection.answer())[0] == 200


async def test_what_is_no_plain_request_is_the_applications(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    path, body = f"/sessions/{session_id}/steps", orjson.dumps(STEP)
    async with port.connected() as connection:
        connection.send(path, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "transfer-encoding: chunked")
        assert orjson.loads((await connection.answer())[2])["step"] == 1
        connection.send(path + "?x=1", body)
        assert orjson.loads((await connection.answer())[2])["step"] == 2
        connection.send(path.replace("/steps", "/%73teps"), body)
        assert orjson.loads((await connection.answer())[2])["step"] == 3
        connection.send(path, body, "content-type: text/plain")
        assert (await connection.answer())[0] == 415
        connection.send(path, b" " * (MAX_BYTES + 1))
        assert (await connection.answer())[0] == 413
        connection.send(path, b"{")
        assert (await connection.answer())[0] == 400
        connection.send("/sessions/nobody/steps", body)
        assert (await connection.answer())[0] == 404
        connection.send(path, b"", method="GET")
        assert (await connection.answer())[0] == 404


async def test_a_request_that_arrives_in_pieces_is_one(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    body = orjson.dumps(STEP)
    request = f"POST /sessions/{session_id}/steps HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    async with port.connected() as connection:
        for step in range(1, 3):
            for byte in request:
                connection.writer.write(bytes([byte]))
                await connection.writer.drain()
            assert orjson.loads((await connection.answer())[2])["step"] == step


async def test_requests_sent_ahead_are_answered_in_order(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for _ in range(3):
            connection.step(session_id)
            connection.send("/nothing", b"")
        heard = [await connection.answer() for _ in range(6)]
        assert [status for status, _, _ in heard] == [200, 404] * 3
        assert [orjson.loads(body)["step"] for _, _, body in heard[::2]] == [1, 2, 3]


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


async def test_a_step_whose_client_has_gone_is_taken(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    graphs.gate.clear()
    async with port.connected() as connection:
        connection.step(session_id)
        await until(lambda: process.steps.is_under_way(session_id))
    graphs.gate.set()
    await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 1


async def test_a_stop_answers_what_is_under_way_and_waits_for_nothing_else(process: Process) -> None:
    port = Port(process)
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    graphs.gate.clear()
    async with port.connected() as busy, port.connected() as idle, port.connected() as stalled:
        idle.step(await process.create(ANONYMOUS), inputs={"text": "a"})
        await idle.answer()
        stalled.writer.write(f"POST /sessions/{session_id}/steps HTTP/1.1\r\ncontent-length: 9\r\n\r\n{{".encode())
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


async def test_steps_are_counted(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for _ in range(2):
            connection.step(session_id, step=0)
            await connection.answer()
        connection.step(session_id, step=5)
        await connection.answer()
    process.metrics.flush()
    labels = {"endpoint": "/sessions/{id}/steps"}
    counted = {
        code: process.metrics.registry.get_sample_value("rnn_requests_total", labels | {"code": code})
        for code in ("200", "409")
    }
    assert counted == {"200": 2.0, "409": 1.0}
