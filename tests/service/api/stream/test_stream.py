"""Many sessions on one WebSocket."""

import asyncio
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from starlette.types import Message

from service.api.auth import KEY_REMOVED, AuthMiddleware
from service.api.body_reader import LARGE_BYTES, BodyReader
from service.api.stream.connection import MAX_IN_FLIGHT
from service.api.stream.outbox import INTERNAL_ERROR
from service.api.stream.stream import SERVICE_RESTART
from service.keys.key_file import add_key, remove_key
from service.keys.keys import Keys
from tests.fakes.asgi import MAX_BYTES, ChannelSocket, Socket, Surface
from tests.fakes.binary import binary_message
from tests.fakes.graphs import logits_of
from tests.fakes.process import Process, noted_sources, settle, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[Socket, ChannelSocket], autouse=True)
def _socket_type(request: pytest.FixtureRequest, surface: Surface) -> None:
    surface.socket_type = request.param


async def test_an_answer_echoes_the_clients_id(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        for step, client_id in enumerate(["a", 7, -(2**63), 2**63 - 1, None, ""]):
            socket.say(session_id=session_id, inputs={"text": "ab"}, id=client_id, step=step)
            heard = await socket.heard()
            assert heard["outputs"].pop("seed") >= 0
            assert heard == {
                "id": client_id,
                "status": 200,
                "session_id": session_id,
                "step": step + 1,
                "outputs": {"count": 2 * step + 2},
            }
        socket.say(session_id=session_id, inputs={"text": "ab"})
        assert (await socket.heard())["id"] is None


async def test_refusals_are_answers_and_the_connection_goes_on(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say_text("{")
        socket.say_text('{"session_id":"x","inputs":{"text":"\\ud800"}}')
        socket.say(session_id=session_id, inputs={"text": "a"}, id=2**70)
        socket.say(session_id=session_id, inputs={"text": "a"}, id=[1])
        socket.say(session_id=session_id, inputs={"text": "a"}, other=1)
        socket.say(session_id=session_id, inputs={"text": "a"}, stream=True)
        socket.say_text(" " * (MAX_BYTES + 1))
        heard = [await socket.heard() for _ in range(7)]
        assert [each["status"] for each in heard] == [400, 400, 422, 422, 422, 422, 413]
        assert [each["id"] for each in heard] == [None] * 7
        socket.say(session_id=session_id, inputs={"text": "a"}, step=4, id="x")
        refused = await socket.heard()
        assert (refused["id"], refused["session_id"], refused["status"]) == ("x", session_id, 409)
        assert refused["problem"]["expected_step"] == 0
        socket.say(session_id="nobody", inputs={"text": "a"}, id="y")
        assert (await socket.heard())["status"] == 404
        socket.say(session_id=session_id, inputs={"text": "fail"}, id="z")
        failed = await socket.heard()
        assert (failed["id"], failed["status"]) == ("z", 500)
        assert "the model failed" not in str(failed)
        socket.say(session_id=session_id, inputs={"text": "a"}, step=0)
        assert (await socket.heard())["step"] == 1


async def test_steps_of_one_session_are_answered_in_the_order_in_which_they_came(
    surface: Surface, process: Process
) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        for n in range(40):
            inputs: dict[str, object] = {"text": "ab"} if n % 3 else {"ids": [2] * (n % 7 + 1)}
            socket.say(session_id=session_id, inputs=inputs, id=n, step=n)
        assert [(await socket.heard())["id"] for _ in range(40)] == list(range(40))


async def test_answers_come_as_they_are_there_and_no_session_waits_for_another(
    surface: Surface, process: Process
) -> None:
    slow, *others = [await process.create() for _ in range(5)]
    async with surface.connected() as socket:
        socket.say(session_id=slow, inputs={"text": "wait"}, id="slow")
        for session_id in others:
            socket.say(session_id=session_id, inputs={"text": "a"}, id="quick")
        assert [(await socket.heard())["id"] for _ in others] == ["quick"] * 4
        process.model.go.set()
        assert (await socket.heard())["id"] == "slow"


@pytest.mark.parametrize(
    ("client_id", "told"), [("7", 7), ('"\\ud83c"', None), (str(2**63), None), (str(-(2**63)), -(2**63))]
)
async def test_a_text_that_was_cut_within_a_character_is_refused_under_its_id(
    surface: Surface, client_id: str, told: object
) -> None:
    """As JavaScript cuts them: an emoji has two halves there."""
    async with surface.connected() as socket:
        socket.say_text(f'{{"id":{client_id},"session_id":"s","inputs":{{"text":"great \\ud83c"}}}}')
        refused = await socket.heard()
        assert (refused["id"], refused["session_id"], refused["status"]) == (told, "s", 400)
        assert "half a character" in refused["problem"]["detail"]


async def test_pythons_slow_parser_is_only_used_where_half_a_character_may_be_the_cause(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly_read: list[str] = []
    monkeypatch.setattr(json, "loads", slowly_read.append)
    async with surface.connected() as socket:
        for text, told in (
            ('{"id":1,"session_id":"s","step":-1,"inputs":{"text":"\\ud83c\\udf89"}}', 1),
            ('{"id":2,"session_id":"s","inputs":{"ids":[NaN]}}', 2),
            ('{"id":3,"session_id":"s"', None),
        ):
            socket.say_text(text)
            assert (await socket.heard())["id"] == told
        assert slowly_read == []
        socket.say_text(half := '{"id":4,"session_id":"s","inputs":{"text":"\\ud83c"}}')
        await socket.heard()
        assert slowly_read == [half]


async def test_a_message_of_more_levels_than_python_reads_is_refused(surface: Surface) -> None:
    async with surface.connected() as socket:
        socket.say_text("[" * (MAX_BYTES // 2) + "]" * (MAX_BYTES // 2))
        assert (await socket.heard())["id"] is None


@pytest.mark.parametrize(
    ("item", "told", "wrong"),
    [
        ({"id": 10, "step": -1}, 10, "step"),
        ({"id": "a", "more": 1}, "a", "more"),
        ({"id": 2.5}, None, "id"),
        ({"id": True}, None, "id"),
        ({"id": ["a"]}, None, "id"),
    ],
)
async def test_a_message_that_is_no_item_is_refused_under_its_id(
    surface: Surface, process: Process, item: dict[str, object], told: object, wrong: str
) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say(**{"session_id": session_id, "inputs": {"text": "a"}} | item)
        refused = await socket.heard()
        assert (refused["id"], refused["session_id"], refused["status"]) == (told, session_id, 422)
        assert refused["problem"]["errors"][0]["location"] == [wrong]


async def test_a_binary_frame_may_have_an_item_that_is_none(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(2)]
    async with surface.connected() as socket:
        content = binary_message(ids, np.array([[1], [2]]), **{"return": "none"})
        spoiled = content.replace(b'{"session_id":"' + ids[0].encode(), b'{"session-id":"' + ids[0].encode())
        socket.say_bytes(spoiled)
        told = (await socket.told())["bytes"]
        assert [item["status"] for item in orjson.loads(told[4:])["items"]] == [422, 200]


async def test_a_session_of_another_owner_does_not_exist(surface: Surface, process: Process) -> None:
    session_id = await process.create("ann")
    async with surface.connected("eve") as socket:
        socket.say(session_id=session_id, inputs={"text": "a"})
        assert (await socket.heard())["status"] == 404


async def test_a_binary_frame_is_the_binary_form_behind_its_jsons_length(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(2)]
    values = np.array([[1, 2, 3], [4, 5, 6]])
    async with surface.connected() as socket:
        socket.say_bytes(binary_message([*ids, "nobody"], np.concatenate([values, values[:1]])))
        content = (await socket.told())["bytes"]
        (length,) = struct.unpack_from("<I", content)
        head = orjson.loads(content[4 : 4 + length])
        assert [item["status"] for item in head["items"]] == [200, 200, 404]
        logits = np.frombuffer(content[4 + length :], np.float32).reshape(head["outputs"][0]["shape"])
        np.testing.assert_array_equal(logits[:2], logits_of(np.cumsum(values, axis=1)))


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda _: b"", 400),
        (lambda content: content[:3], 400),
        (lambda content: b"\xff\xff\xff\xff" + content[4:], 400),
        (lambda content: b"\0\0\0\0" + content[4:], 400),
        (lambda content: content[:-1], 400),
        (lambda content: content + bytes(MAX_BYTES), 413),
    ],
)
async def test_a_malformed_binary_frame_is_refused_and_the_connection_goes_on(
    surface: Surface, process: Process, spoil: Callable[[bytes], bytes], status: int
) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say_bytes(spoil(binary_message([session_id], np.array([[1]]))))
        content = (await socket.told())["bytes"]
        assert orjson.loads(content[4:])["status"] == status
        socket.say_bytes(binary_message([session_id], np.array([[1]]), **{"return": "none"}))
        content = (await socket.told())["bytes"]
        assert orjson.loads(content[4:])["items"] == [{"session_id": session_id, "status": 200, "step": 1}]


async def test_the_steps_of_a_connection_share_a_source_with_no_other(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = noted_sources(process, monkeypatch)
    session_id = await process.create()
    async with surface.connected() as one, surface.connected() as other:
        for socket in (one, other):
            socket.say(session_id=session_id, inputs={"ids": [1]})
            await socket.told()
            socket.say_bytes(binary_message([session_id], np.array([[1]]), **{"return": "none"}))
            await socket.told()
    assert None not in sources
    assert sources[0] is sources[1] is not sources[2] is sources[3]


async def test_who_sends_faster_than_it_is_answered_is_not_read_from(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(3)]
    async with surface.connected() as socket:
        for n in range(2 * MAX_IN_FLIGHT):
            socket.say(session_id=ids[n % 3], inputs={"text": "wait"}, id=n)
        await settle()
        assert socket.num_unread == MAX_IN_FLIGHT
        process.model.go.set()
        heard = [(await socket.heard())["id"] for _ in range(2 * MAX_IN_FLIGHT)]
    assert sorted(heard) == list(range(2 * MAX_IN_FLIGHT))
    assert [n for n in heard if n % 3 == 1] == list(range(1, 2 * MAX_IN_FLIGHT, 3))


async def test_of_a_client_that_sends_much_at_a_time_less_is_read(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say(session_id=session_id, inputs={"text": "wait"}, id=0)
        for n in range(1, 10):
            socket.say(session_id=session_id, inputs={"text": "+" * (MAX_BYTES // 2)}, id=n)
        await settle()
        assert socket.num_unread == 9 - 2
        process.model.go.set()
        assert [(await socket.heard())["id"] for _ in range(10)] == list(range(10))
        session_ids = [await process.create()] * 16
        for _ in range(3):
            socket.say_bytes(binary_message(session_ids, np.ones((16, MAX_BYTES // 16 // 8 - 20), dtype=np.int64)))
            await socket.told()
    assert process.steps.is_idle


async def test_a_client_that_does_not_read_is_read_from_no_further_and_dropped(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.may_read.clear()
        for n in range(2 * MAX_IN_FLIGHT):
            socket.say(session_id=session_id, inputs={"ids": [1]}, id=n)
        await until(lambda: socket.num_unread <= MAX_IN_FLIGHT and process.steps.is_idle)
        assert socket.num_unread >= MAX_IN_FLIGHT - 1
        await surface.stream.drop_slow_readers()
        await settle()
        assert not socket.task.done()
        monkeypatch.setattr("service.api.stream.outbox.SLOW_READER_SECONDS", 0.0)
        await surface.stream.drop_slow_readers()
        async with asyncio.timeout(10):
            await socket.task


async def test_who_reads_a_large_answer_slowly_has_time_by_its_size(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.stream.outbox.SLOW_READER_SECONDS", 0.0)
    monkeypatch.setattr("service.api.stream.outbox.SLOW_BYTES_PER_SECOND", 0.01)
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.may_read.clear()
        socket.say(session_id=session_id, inputs={"ids": [1]})
        await until(lambda: socket.num_unread == 0 and process.steps.is_idle)
        await settle()
        await surface.stream.drop_slow_readers()
        await settle()
        assert not socket.task.done()
        monkeypatch.setattr("service.api.stream.outbox.SLOW_BYTES_PER_SECOND", 1e12)
        await surface.stream.drop_slow_readers()
        async with asyncio.timeout(10):
            await socket.task


async def test_a_client_that_reads_is_not_dropped(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.stream.outbox.SLOW_READER_SECONDS", 0.0)
    session_id = await process.create()
    async with surface.connected() as socket:
        for _ in range(3):
            socket.say(session_id=session_id, inputs={"ids": [1]})
            assert (await socket.heard())["status"] == 200
            await surface.stream.drop_slow_readers()


async def test_steps_of_a_client_that_goes_are_called_off(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say(session_id=session_id, inputs={"text": "wait"}, step=0)
        socket.say(session_id=session_id, inputs={"text": "ab"})
        await until(lambda: process.model.num_computed == 1)
    process.model.go.set()
    await settle()
    assert process.steps.is_idle
    assert (await process.text(session_id, "abc", 0)).step == 1
    process.metrics.flush()
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/stream", "code": "499"}) == 2


async def test_a_stop_closes_a_connection_behind_its_last_answers(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.may_read.clear()
        for n in range(3):
            socket.say(session_id=session_id, inputs={"ids": [1]}, id=n)
        await until(lambda: socket.num_unread == 0)
        await process.steps.drain()
        stopping = asyncio.create_task(surface.stream.stop())
        await settle()
        socket.may_read.set()
        assert [(await socket.heard())["id"] for _ in range(3)] == [0, 1, 2]
        closed = await socket.told()
        assert (closed["type"], closed["code"]) == ("websocket.close", SERVICE_RESTART)
        await stopping


async def test_a_stop_does_not_wait_for_who_does_not_read(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.stream.connection.CLOSE_SECONDS", 0.01)
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.may_read.clear()
        socket.say(session_id=session_id, inputs={"ids": [1]})
        await until(lambda: process.steps.is_idle and socket.num_unread == 0)
        async with asyncio.timeout(5):
            await surface.stream.stop()
        socket.may_read.set()


async def test_a_stop_waits_on_each_connection_for_its_own_steps_only(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as busy, surface.connected() as idle:
        busy.say(session_id=session_id, inputs={"text": "wait"}, id="first")
        busy.say(session_id=session_id, inputs={"text": "a"}, id="second")
        await until(lambda: process.model.num_waiting == 1)
        stopping = asyncio.gather(process.steps.drain(), surface.stream.stop())
        closed = await idle.told()
        assert (closed["type"], closed["code"]) == ("websocket.close", SERVICE_RESTART)
        busy.say(session_id=session_id, inputs={"text": "a"}, id="late")
        refused = await busy.heard()
        assert (refused["id"], refused["status"], refused["problem"]["retry_after"]) == ("late", 503, 1)
        process.model.go.set()
        answers = [await busy.heard() for _ in range(2)]
        assert [(each["id"], each["status"]) for each in answers] == [("first", 200), ("second", 200)]
        assert (await busy.told())["code"] == SERVICE_RESTART
        await stopping


async def test_a_stop_refuses_new_connections(surface: Surface, process: Process) -> None:
    await surface.stream.stop()
    socket = surface.socket_type(surface.app, "ann")
    socket.scope["extensions"] = {"websocket.http.response": {}}
    refused = await socket.told()
    assert (refused["status"], dict(refused["headers"])[b"retry-after"]) == (503, b"1")
    page = surface.socket_type(surface.app, "ann")
    page.scope["subprotocols"] = ["unrolled"]
    accepted, closed = await page.told(), await page.told()
    assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "unrolled")
    assert (closed["type"], closed["code"]) == ("websocket.close", SERVICE_RESTART)
    await asyncio.gather(socket.task, page.task)
    process.metrics.flush()
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/stream", "code": "503"}) == 2


async def test_a_connection_that_breaks_while_it_is_written_to_ends(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:

        async def broken(*_: object) -> bool:
            raise OSError("the connection is lost")

        socket.may_read.wait = broken  # type: ignore[method-assign,assignment]
        for n in range(2 * MAX_IN_FLIGHT):
            socket.say(session_id=session_id, inputs={"ids": [1]}, id=n)
        socket.hang_up()
        async with asyncio.timeout(10):
            await socket.task
        assert process.steps.is_idle


async def test_every_message_of_a_stream_is_counted(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        for inputs in ({"ids": [1]}, {"ids": [1]}, {"ids": [-1]}, "no inputs"):
            socket.say(session_id=session_id, inputs=inputs)
            await socket.heard()
        socket.say_bytes(b"?")
        await socket.told()
    process.metrics.flush()
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/stream", "code": "200"}) == 2
    assert sample("rnn_requests_total", {"endpoint": "/stream", "code": "422"}) == 2
    assert sample("rnn_requests_total", {"endpoint": "/stream", "code": "400"}) == 1


async def test_only_the_last_answer_to_steps_under_way_is_sent_at_once(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    surface.socket_type = ChannelSocket
    sent: list[bool] = []
    send_now = ChannelSocket.send_now

    def noted(socket: ChannelSocket, message: Message, at_once: bool) -> None:
        sent.append(at_once)
        send_now(socket, message, at_once)

    monkeypatch.setattr(ChannelSocket, "send_now", noted)
    ids = [await process.create() for _ in range(3)]
    async with surface.connected() as socket:
        for session_id in ids:
            socket.say(session_id=session_id, inputs={"ids": [1]})
        socket.say_text("{")  # what cannot be read often comes in numbers
        socket.say_bytes(b"?")
        for _ in range(5):
            await socket.told()
        assert sent == [False, False, False, False, True]


async def test_no_answer_overtakes_one_that_waits_to_be_read(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.may_read.clear()
        socket.say(session_id=session_id, inputs={"ids": [1]}, id="first")
        await until(lambda: process.steps.is_idle and socket.num_unread == 0)
        await settle()
        socket.may_read.set()
        socket.say_text("{")
        assert [(await socket.heard())["status"] for _ in range(2)] == [200, 400]


async def test_a_message_that_breaks_the_service_ends_its_connection(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("service.api.steps.binary.read", fail)
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say_bytes(b"12345")
        socket.say(session_id=session_id, inputs={"ids": [1]})
        closed = await socket.told()
        assert (closed["type"], closed["code"]) == ("websocket.close", INTERNAL_ERROR)
        assert "secret" not in closed["reason"]
        await settle()
    assert (await process.sessions.get("ann", session_id)).step == 0
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize("made_by", ["item_json", "binary.write"])
async def test_an_answer_that_cannot_be_made_ends_its_connection(
    surface: Surface,
    process: Process,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    made_by: str,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(f"service.api.stream.messages.{made_by}", fail)
    session_id = await process.create()
    async with surface.connected() as socket:
        socket.say_text("{")
        if made_by == "item_json":
            socket.say(session_id=session_id, inputs={"ids": [1]})
        else:
            socket.say_bytes(binary_message([session_id], np.array([[1]])))
        assert (await socket.heard())["status"] == 400
        closed = await socket.told()
        assert (closed["type"], closed["code"]) == ("websocket.close", INTERNAL_ERROR)
        assert "secret" not in closed["reason"]
        socket.say(session_id=session_id, inputs={"ids": [1]})
        await settle()
    assert (await process.sessions.get("ann", session_id)).step == 1
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_limit_in_bytes_counts_bytes(surface: Surface) -> None:
    async with surface.connected() as socket:
        socket.say_text(f'{{"session_id": "{"é" * (MAX_BYTES // 2)}"}}')
        assert (await socket.heard())["status"] == 413


async def test_a_large_message_waits_for_its_turn_and_those_behind_it_for_it(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[BodyReader] = []
    wait_to_parse = BodyReader.wait_to_parse

    async def turn(bodies: BodyReader) -> None:
        await wait_to_parse(bodies)
        turns.append(bodies)

    monkeypatch.setattr(BodyReader, "wait_to_parse", turn)
    session_id = await process.create()
    async with surface.connected() as socket:
        for n, text in enumerate(["a", "b" * (LARGE_BYTES + 1), "c", "d" * (LARGE_BYTES + 1)]):
            socket.say(id=n, session_id=session_id, inputs={"text": text})
        answers = [await socket.heard() for _ in range(4)]
    assert sorted(answer["id"] for answer in answers) == [0, 1, 2, 3]
    assert [answer["step"] for answer in sorted(answers, key=lambda answer: answer["id"]) if "step" in answer]
    assert len(turns) == 2


class Keyed:
    """A connection of a client whose key may be removed."""

    def __init__(self, surface: Surface, process: Process, file: Path) -> None:
        self._process, self._file = process, file
        self._token = add_key(file, "ann")
        app = AuthMiddleware(surface.app, Keys(file, process.clock), process.metrics.requests_tally)
        self.socket = surface.socket_type(app, "nobody")
        self.socket.scope["headers"] = [(b"authorization", f"Bearer {self._token}".encode())]

    def revoke(self) -> None:
        """Remove the key, and let the second pass after which that is noticed."""
        remove_key(self._file, self._token.split("_")[1])
        self._process.clock.now += 1

    async def end(self) -> Message:
        """The message that closes the connection."""
        while (message := await self.socket.told())["type"] != "websocket.close":
            pass
        await self.socket.task
        return message


@pytest.mark.parametrize("num_under_way", [0, MAX_IN_FLIGHT])
async def test_no_message_is_read_once_the_key_of_its_connection_is_removed(
    surface: Surface, process: Process, tmp_path: Path, num_under_way: int
) -> None:
    keyed = Keyed(surface, process, tmp_path / "keys")
    session_id, late = await process.create(), await process.create()
    for _ in range(num_under_way):
        keyed.socket.say(session_id=session_id, inputs={"text": "wait"})
    if num_under_way:
        await until(lambda: process.model.num_waiting == 1)
        keyed.socket.say(session_id=late, inputs={"ids": [1]})
        await settle()
    keyed.revoke()
    keyed.socket.say(session_id=late, inputs={"ids": [1]})
    process.model.go.set()
    assert await keyed.end() == KEY_REMOVED
    assert await process.count(late) == 0


async def test_a_large_message_that_waits_for_its_turn_is_not_read_once_its_key_is_removed(
    surface: Surface, process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = Keyed(surface, process, tmp_path / "keys")
    wait_to_parse = BodyReader.wait_to_parse

    async def turn(bodies: BodyReader) -> None:
        await wait_to_parse(bodies)
        keyed.revoke()

    monkeypatch.setattr(BodyReader, "wait_to_parse", turn)
    session_id = await process.create()
    keyed.socket.say(session_id=session_id, inputs={"text": "a" * (LARGE_BYTES + 1)})
    assert await keyed.end() == KEY_REMOVED
    assert await process.count(session_id) == 0
