"""The second port, on a real socket: what goes past the application is answered as the application would."""

import asyncio
import socket
from pathlib import Path

import orjson
import pytest

from service.api.auth import AuthMiddleware
from service.api.steps.single_steps import SingleSteps
from service.fast_port import guarded
from service.fast_port.http import StepCycle
from service.keys.key_file import add_key
from service.keys.keys import ANONYMOUS, Keys
from tests.fakes.asgi import MAX_BYTES, Surface
from tests.fakes.clock import Clock
from tests.fakes.port import ALLOWED_ORIGIN, STEP, Port
from tests.fakes.process import Process, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def impatient(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may be silent for a second."""
    monkeypatch.setattr(guarded, "KEEP_ALIVE_SECONDS", 1)
    port.config.timeout_keep_alive = 1


def request_of(session_id: str) -> bytes:
    """A step, as bytes."""
    body = orjson.dumps(STEP)
    return f"POST /sessions/{session_id}/steps HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


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


async def test_steps_may_all_be_the_applications(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SingleSteps, "begin", None)
    session_id = await process.create(ANONYMOUS)
    port = Port(process, are_past_application=False)
    await port.listen()
    async with port.connected() as connection:
        for step in range(3):
            connection.step(session_id)
            assert orjson.loads((await connection.answer())[2])["step"] == step + 1
    await port.server.stop()


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
            assert (status, set(told)) == (200, {"content-type", "content-length"})
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
        for beginning in (f"content-length: {len(request)}\r\n\r\n", "x: "):
            await connection.pieces(f"POST /nothing HTTP/1.1\r\nhost: localhost\r\n{beginning}".encode(), request)
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
    head = f"POST /sessions/{session_id}/steps HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".encode()
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
    head = f"POST {path.format(session_id)} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
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
    monkeypatch.setattr(guarded, "BODY_SECONDS", 1.5)
    port = Port(process)
    await port.listen()
    async with port.connected() as connection:
        await connection.pieces(b"POST /steps HTTP/1.1\r\ncontent-length: 99\r\n\r\n{")
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
        connection.writer.write(b"POST /steps HTTP/1.1\r\ncontent-length: 9\r\n\r\n{")
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
