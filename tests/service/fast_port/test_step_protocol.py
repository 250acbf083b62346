"""Steps on the second port, on a real socket: past the application they are answered as it would answer them."""

import asyncio
import socket
from pathlib import Path

import orjson
import pytest

from service.api.auth import AuthMiddleware
from service.api.problem import problem_of
from service.api.refusals import failure
from service.fast_port.step_protocol import StepCycle
from service.keys.key_file import add_key
from service.keys.keys import ANONYMOUS, Keys
from service.steps.turn import Answer
from tests.fakes.asgi import MAX_BYTES, Surface
from tests.fakes.clock import Clock
from tests.fakes.port import ALLOWED_ORIGIN, STEP, Port
from tests.fakes.process import Process, until

pytestmark = pytest.mark.anyio

BODY = orjson.dumps(STEP)


def request_of(session_id: str) -> bytes:
    """A step, as bytes."""
    body = orjson.dumps(STEP)
    return (
        f"POST /sessions/{session_id}/steps HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


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


async def test_answers_bear_the_id_of_their_request(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for request_id, step, status in (("a", 0, 200), ("b", 1, 200), ("b", 5, 409), ("c", 0, 409), ("c d", 0, 409)):
            connection.step(session_id, f"x-request-id: {request_id}", step=step)
            told, fields, _ = await connection.answer()
            assert (told, fields.get("x-request-id")) == (status, request_id if len(request_id) == 1 else None)
        connection.step(session_id, step=2)
        assert "x-request-id" not in (await connection.answer())[1]


async def test_what_is_no_plain_request_is_the_applications(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    path, body = f"/sessions/{session_id}/steps", orjson.dumps(STEP)
    async with port.connected() as connection:
        connection.send(path, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "transfer-encoding: chunked")
        assert orjson.loads((await connection.answer())[2])["step"] == 1
        connection.send(path + "?", body)
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
        assert (await connection.answer())[0] == 405


async def test_a_request_that_arrives_in_pieces_is_one(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(session_id)
    async with port.connected() as connection:
        for step in range(1, 3):
            for byte in request:
                connection.writer.write(bytes([byte]))
                await connection.writer.drain()
            assert orjson.loads((await connection.answer())[2])["step"] == step


async def test_a_head_that_was_sent_before_is_read_again_with_what_follows_it(port: Port, process: Process) -> None:
    ann, bob = await process.create(ANONYMOUS), await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for session_id, ids in ((ann, 1), (ann, 2), (bob, 4), (ann, 3), (bob, 5)):
            connection.step(session_id, inputs={"ids": [ids]})
            assert orjson.loads((await connection.answer())[2])["session_id"] == session_id
        connection.send(
            f"/sessions/{ann}/steps", b"{" + b" " * (len(orjson.dumps(STEP | {"inputs": {"ids": [1]}})) - 1)
        )
        assert (await connection.answer())[0] == 400
        connection.step(ann, inputs={"ids": [7]})
        assert (await connection.answer())[0] == 200
    assert (await process.count(ann, ANONYMOUS), await process.count(bob, ANONYMOUS)) == (13, 9)


async def test_a_known_head_is_parsed_no_more(port: Port, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id)
        assert (await connection.answer())[0] == 200
        (protocol,) = port.connections
        monkeypatch.setattr(protocol, "parser", None)
        connection.step(session_id)
        assert (await connection.answer())[0] == 200
        monkeypatch.undo()
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 2


async def test_a_step_of_a_page_of_the_service_goes_past_the_application(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    fields = ("origin: http://localhost",)
    async with port.connected() as connection:
        for _ in range(2):
            connection.step(session_id, *fields)
            status, told, _ = await connection.answer()
            assert (status, set(told)) == (200, {"content-type", "content-length", "date"})
        (protocol,) = port.connections
        assert isinstance(protocol.cycle, StepCycle)
        assert protocol._head_cache._heads


async def test_a_step_of_a_page_that_may_call_is_answered_with_its_origin(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for _ in range(2):
            connection.step(session_id, f"origin: {ALLOWED_ORIGIN}")
            status, told, _ = await connection.answer()
            assert (status, told["access-control-allow-origin"]) == (200, ALLOWED_ORIGIN)


async def test_a_step_of_a_page_that_may_not_call_is_not_taken(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id)
        await connection.answer()
        connection.step(session_id, "origin: https://evil.example")
        status, _, body = await connection.answer()
        assert (status, orjson.loads(body)["type"]) == (403, "urn:unrolled:problem:origin-not-allowed")
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 1


async def test_a_known_request_within_another_is_no_request(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(session_id)
    async with port.connected() as connection:
        await connection.pieces(request)
        assert (await connection.answer())[0] == 200
        for beginning in (f"host: localhost\r\ncontent-length: {len(request)}\r\n\r\n", "x: "):
            await connection.pieces(f"POST /nothing HTTP/1.1\r\n{beginning}".encode(), request)
            assert (await connection.answer())[0] == 404
        await connection.pieces(request)
        assert orjson.loads((await connection.answer())[2])["step"] == 2


async def test_the_end_of_a_head_is_not_learnt_as_one(port: Port, process: Process) -> None:
    request = request_of(await process.create(ANONYMOUS))
    cut = request.index(b"content-length")
    async with port.connected() as connection:
        await connection.pieces(request[:cut], request[cut:])
        assert (await connection.answer())[0] == 200
        await connection.pieces(request[cut:])
        assert (await connection.answer())[0] == 400


async def test_a_known_head_waits_for_the_rest_of_its_body(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    request = request_of(session_id)
    async with port.connected() as connection:
        for cut in (len(request), len(request) - 3, len(request)):
            await connection.pieces(request[:cut], request[cut:] + request)
            assert [(await connection.answer())[0] for _ in range(2)] == [200, 200]
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 6


async def test_requests_sent_ahead_are_answered_in_order(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for _ in range(3):
            connection.step(session_id)
            connection.send("/nothing", b"")
        heard = [await connection.answer() for _ in range(6)]
        assert [status for status, _, _ in heard] == [200, 404] * 3
        assert [orjson.loads(body)["step"] for _, _, body in heard[::2]] == [1, 2, 3]


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


async def test_an_answer_that_cannot_be_made_is_a_failure_and_the_connection_goes_on(
    port: Port, process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Answer) -> bytes:
        raise RuntimeError("a secret")

    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        with monkeypatch.context() as broken:
            broken.setattr(Answer, "json", fail)
            connection.step(session_id, "x-request-id: a", step=0)
            status, fields, body = await connection.answer()
        assert (status, fields["x-request-id"], b"secret" in body) == (500, "a", False)
        assert orjson.loads(body) == problem_of(failure())
        connection.step(session_id, step=0)
        assert (await connection.answer())[0] == 200
    process.metrics.flush()
    labels = {"endpoint": "/sessions/{id}/steps"}
    counted = {
        code: process.metrics.registry.get_sample_value("rnn_requests_total", labels | {"code": code})
        for code in ("200", "500")
    }
    assert counted == {"200": 1.0, "500": 1.0}
    assert [record.exc_info is not None for record in caplog.records] == [True]


HANDSHAKE = (
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def test_a_websocket_behind_a_step_repeats_no_step(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id)
        assert (await connection.answer())[0] == 200
        connection.send("/stream", b"", *HANDSHAKE, method="GET")
        assert (await connection.answer())[0] == 101
        await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 1


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/sessions/{}/steps?"])
async def test_no_websocket_begins_before_the_step_ahead_of_it_is_answered(
    port: Port, process: Process, path: str
) -> None:
    session_id = await process.create(ANONYMOUS)
    graphs = process.graphs["0"]
    graphs.gate.clear()
    async with port.connected() as connection:
        connection.send(path.format(session_id), orjson.dumps(STEP))
        connection.send("/stream", b"", *HANDSHAKE, method="GET")
        await until(lambda: process.steps.is_under_way(session_id))
        graphs.gate.set()
        status, _, body = await connection.answer()
        assert (status, orjson.loads(body)["step"]) == (200, 1)
        status, fields, _ = await connection.answer()
        assert (status, fields["connection"]) == (400, "close")
        assert await connection.is_over()
    await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 1


@pytest.mark.parametrize("path", ["/sessions//steps", "/sessions/steps", "/sessions/a/b/steps", "/sessions/%61/steps"])
async def test_a_path_without_a_session_is_the_applications(port: Port, process: Process, path: str) -> None:
    client = Surface(process).client
    client.app = AuthMiddleware(Surface(process).app, None, process.metrics.requests_tally)
    expected = await client.post(path.replace("%61", "a"), STEP)
    async with port.connected() as connection:
        connection.send(path, orjson.dumps(STEP))
        status, _, body = await connection.answer()
    assert (status, body) == (expected.status, expected.body)


async def test_a_key_that_is_removed_takes_no_further_step(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    token = add_key(file, ANONYMOUS)
    time = Clock()
    port = Port(process, Keys(file, time))
    await port.listen()
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        for _ in range(2):  # the second time its head is known
            connection.step(session_id, f"authorization: Bearer {token}")
            assert (await connection.answer())[0] == 200
        file.write_text("")
        time.now += 2
        connection.step(session_id, f"authorization: Bearer {token}")
        assert (await connection.answer())[0] == 401
    await port.server.stop()
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 2


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/nothing"])
async def test_a_connection_keeps_no_body_that_was_answered(port: Port, process: Process, path: str) -> None:
    session_id = await process.create(ANONYMOUS)
    body = orjson.dumps(STEP).ljust(50_000)
    async with port.connected() as connection:
        for _ in range(2):  # the second time its head is known
            connection.send(path.format(session_id), body)
            await connection.answer()
            (protocol,) = (each for each in port.connections if each.cycle is not None)
            assert not protocol.cycle.body


async def test_a_known_head_does_not_overtake_the_step_under_way(port: Port, process: Process) -> None:
    first, second = [await process.create(ANONYMOUS) for _ in range(2)]
    async with port.connected() as connection:
        for each in (first, second):
            connection.step(each, step=9)
            assert (await connection.answer())[0] == 409
        process.graphs["0"].gate.clear()
        connection.step(first, step=0)
        await until(lambda: process.steps.is_under_way(first))
        connection.step(second, step=9)
        await asyncio.sleep(0.1)
        process.graphs["0"].gate.set()
        assert [(await connection.answer())[0] for _ in range(2)] == [200, 409]


async def test_a_known_head_after_a_refused_handshake_is_no_step(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    handshake = ["connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 8"]
    async with port.connected() as connection:
        connection.step(session_id)
        assert (await connection.answer())[0] == 200
        connection.send("/stream", b"", *handshake, "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", method="GET")
        assert (await connection.answer())[0] == 426
        connection.step(session_id)
        await asyncio.sleep(0.2)
        await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 1


@pytest.mark.parametrize("is_known", [False, True])
async def test_of_a_client_that_reads_no_answer_no_more_steps_are_taken(
    port: Port, process: Process, is_known: bool
) -> None:
    session_id, num_steps = await process.create(ANONYMOUS), 1200
    async with port.connected(num_buffer_bytes=10_000) as connection:
        connection.step(session_id)
        await connection.answer()
        connection.writer.transport.pause_reading()
        (accepted,) = port.connections
        accepted.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
        for n in range(num_steps):
            connection.step(session_id, f"x-request-id: {'a' * 100}{'' if is_known else n}")
            await asyncio.sleep(0.001)  # each arrives alone
            await until(lambda: process.steps.is_idle)
        assert (await process.sessions.get(ANONYMOUS, session_id)).step < num_steps
        connection.writer.transport.resume_reading()
        steps = [orjson.loads((await connection.answer())[2])["step"] for _ in range(num_steps)]
    assert steps == list(range(2, num_steps + 2))


async def test_a_short_body_is_asked_for_if_its_client_expects_that(port: Port, process: Process) -> None:
    path = f"/sessions/{await process.create(ANONYMOUS)}/steps"
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    async with port.connected() as connection, asyncio.timeout(10):
        connection.writer.write(f"{head}content-length: {len(BODY)}\r\nexpect: 100-continue\r\n\r\n".encode())
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        connection.writer.write(BODY)
        assert (await connection.answer())[0] == 200


async def test_a_body_that_is_said_to_be_packed_is_no_step(port: Port, process: Process) -> None:
    session_id = await process.create(ANONYMOUS)
    async with port.connected() as connection:
        connection.step(session_id, "content-encoding: gzip")
        assert (await connection.answer())[0] == 415
    assert (await process.sessions.get(ANONYMOUS, session_id)).step == 0


async def test_a_client_of_http_1_0_is_answered_and_told_that_this_is_the_end(port: Port, process: Process) -> None:
    path = f"/sessions/{await process.create(ANONYMOUS)}/steps"
    async with port.connected() as connection:
        connection.send(path, BODY, "connection: keep-alive", "content-type: application/json", version="1.0")
        assert (await connection.answer())[0] == 200
        assert await connection.is_over()
