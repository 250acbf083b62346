"""Answers in many logits: the same on every surface, and the room that they take is free again whatever happens."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Never

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from service.api.body_reader import LARGE_BYTES, BodyReader
from service.api.media_types import OCTETS
from service.api.steps.items import item_json
from service.api.stream.messages import Messages
from service.api.stream.outbox import INTERNAL_ERROR
from service.steps.answer_room import AnswerRoom
from service.steps.large_logits import MANY_LOGITS
from service.steps.turn import Turn
from tests.fakes.asgi import MAX_BYTES, ChannelSocket, Exchange, Socket, Surface
from tests.fakes.binary import binary_message
from tests.fakes.graphs import V, logits_of
from tests.fakes.process import Process, settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
IDS = [1] * (MANY_LOGITS // V + 1)
LOGITS = logits_of(np.cumsum(IDS))
Logits = NDArray[np.float32]
HALF_OF_ALL = [1] * 12_000  # more than half of the room below
ROOM_BYTES = 2**20


def parsed(outputs: dict[str, Any]) -> Logits:
    return np.array(outputs["logits"], np.float32)


async def by_step(surface: Surface, session_id: str) -> Logits:
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"ids": IDS}})
    assert "content-length" not in answered.headers
    return parsed(answered.json()["outputs"])


async def by_steps(surface: Surface, session_id: str) -> Logits:
    items = [{"session_id": "nobody", "inputs": {"ids": [1]}}, {"session_id": session_id, "inputs": {"ids": IDS}}]
    refused, answered = (await surface.client.post("/steps", {"items": items})).json()["items"]
    assert (refused["status"], answered["status"]) == (404, 200)
    return parsed(answered["outputs"])


async def by_binary_steps(surface: Surface, session_id: str) -> Logits:
    content = binary_message([session_id], np.array([IDS]))
    length = str(int.from_bytes(content[:4], "little"))
    headers = {"content-type": OCTETS, "inference-header-content-length": length}
    answered = await surface.client.post("/steps", content[4:], headers)
    return from_tensor(answered.body, int(answered.headers["inference-header-content-length"]))


async def by_message(surface: Surface, session_id: str) -> Logits:
    async with surface.connected() as socket:
        socket.say(session_id=session_id, inputs={"ids": IDS})
        return parsed((await socket.heard())["outputs"])


async def by_binary_message(surface: Surface, session_id: str) -> Logits:
    async with surface.connected() as socket:
        socket.say_bytes(binary_message([session_id], np.array([IDS])))
        content = (await socket.told())["bytes"]
        return from_tensor(content[4:], int.from_bytes(content[:4], "little"))


async def by_sequence(surface: Surface, _: str) -> Logits:
    return await inferred(surface, {"sequence_id": 7, "sequence_start": True})


async def by_inference(surface: Surface, _: str) -> Logits:
    return await inferred(surface, {})


async def inferred(surface: Surface, parameters: dict[str, object]) -> Logits:
    tensor = {"name": "x", "shape": [1, len(IDS)], "datatype": "INT64", "data": IDS}
    body = {"parameters": parameters, "inputs": [tensor], "outputs": [{"name": "logits"}]}
    (output,) = (await surface.client.post("/v2/models/sum/infer", body)).json()["outputs"]
    return np.array(output["data"], np.float32).reshape(-1, V)


def from_tensor(body: bytes, length: int) -> Logits:
    assert orjson.loads(body[:length])["items"][0]["status"] == 200
    return np.frombuffer(body[length:], np.float32).reshape(-1, V)


@pytest.mark.parametrize("socket_type", [Socket, ChannelSocket])
@pytest.mark.parametrize(
    "asked", [by_step, by_steps, by_binary_steps, by_message, by_binary_message, by_sequence, by_inference]
)
async def test_the_logits_are_the_same_and_their_room_is_free_again(
    surface: Surface, process: Process, asked: Callable[[Surface, str], Awaitable[Logits]], socket_type: type[Socket]
) -> None:
    surface.socket_type = socket_type
    np.testing.assert_array_equal(await asked(surface, await process.create()), LOGITS)
    await until(lambda: process.core.answer_room.num_bytes == 0)
    assert process.core.answer_room.has_emptied()


async def test_a_repeated_step_is_computed_again_and_answered_the_same(surface: Surface, process: Process) -> None:
    path = f"/sessions/{await process.create()}/steps"
    body = {"step": 0, "inputs": {"ids": IDS}}
    first, again = [await surface.client.post(path, body) for _ in range(2)]
    assert first.body == again.body
    assert process.core.answer_room.num_bytes == 0


@pytest.fixture
async def narrow() -> AsyncIterator[Process]:
    """A worker that has little room."""
    async with Process(FaultyStore(), timeout_seconds=60.0, max_answer_bytes=ROOM_BYTES) as process:
        yield process


@pytest.fixture
async def impatient() -> AsyncIterator[Process]:
    """One that waits for room for three seconds."""
    async with Process(FaultyStore(), timeout_seconds=3.0, max_answer_bytes=ROOM_BYTES) as process:
        yield process


def begin(surface: Surface, session_id: str, ids: list[int]) -> Exchange:
    """Ask for a step's logits."""
    return surface.client.begin("POST", f"/sessions/{session_id}/steps", orjson.dumps({"inputs": {"ids": ids}}))


async def unread(surface: Surface, process: Process) -> Exchange:
    """A large answer whose client does not read it."""
    slow = begin(surface, await process.create(), HALF_OF_ALL)
    slow.may_read.clear()
    await until(lambda: process.core.answer_room.num_bytes > 0 and process.steps.is_idle)
    return slow


async def test_an_answer_that_is_not_read_holds_up_large_ones_only(narrow: Process) -> None:
    surface = Surface(narrow)
    slow = await unread(surface, narrow)
    large = begin(surface, await narrow.create(), HALF_OF_ALL)
    assert (await begin(surface, await narrow.create(), [1]).answered()).status == 200
    assert not large.sent
    slow.may_read.set()
    assert [(await each.answered()).json()["step"] for each in (slow, large)] == [1, 1]
    assert narrow.core.answer_room.num_bytes == 0


async def test_a_stop_does_not_wait_for_the_room_of_a_message(narrow: Process) -> None:
    surface = Surface(narrow)
    slow = await unread(surface, narrow)
    session_id = await narrow.create()
    async with surface.connected() as socket:
        socket.say(session_id=session_id, inputs={"ids": HALF_OF_ALL})
        await settle()
        async with asyncio.timeout(5):
            await asyncio.gather(narrow.steps.drain(), surface.stream.stop())
        assert (await socket.heard())["problem"]["type"].endswith("shutting-down")
        assert (await socket.told())["code"] == 1012
    assert (await narrow.sessions.get("ann", session_id)).step == 0
    await slow.cancel()
    assert narrow.core.answer_room.num_bytes == 0


async def test_a_message_that_begins_to_wait_for_room_as_the_service_stops_is_refused(narrow: Process) -> None:
    answers: list[dict[str, Any]] = []

    def answer(make: Callable[[], Any], _: object, __: bool) -> None:
        answers.append(orjson.loads(make()["text"]))

    room, session_id = narrow.core.answer_room, await narrow.create()
    messages = Messages("ann", narrow.steps, room, narrow.metrics.requests_tally, MAX_BYTES, answer)
    await narrow.steps.drain()
    with room.of_bytes(ROOM_BYTES):
        draining = asyncio.ensure_future(messages.drain())
        messages.read({"text": orjson.dumps({"session_id": session_id, "inputs": {"ids": HALF_OF_ALL}}).decode()})
        async with asyncio.timeout(5):
            await draining
    assert [each["status"] for each in answers] == [503]


async def test_a_message_whose_wait_for_room_breaks_is_answered_and_the_log_says_why(
    narrow: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: AnswerRoom, __: int) -> None:
        raise ValueError("no such room")

    monkeypatch.setattr(AnswerRoom, "wait", broken)
    session_id = await narrow.create()
    with narrow.core.answer_room.of_bytes(ROOM_BYTES):
        async with Surface(narrow).connected() as socket:
            socket.say(session_id=session_id, inputs={"ids": HALF_OF_ALL})
            assert (await socket.heard())["status"] == 500
    assert "ValueError: no such room" in caplog.text
    assert (await narrow.sessions.get("ann", session_id)).step == 0


async def test_an_answer_that_finds_no_room_in_time_is_late(impatient: Process) -> None:
    surface = Surface(impatient)
    slow = await unread(surface, impatient)
    session_id = await impatient.create()
    assert (await begin(surface, session_id, HALF_OF_ALL).answered()).status == 504
    assert (await impatient.sessions.get("ann", session_id)).step == 0
    await slow.cancel()
    assert impatient.core.answer_room.num_bytes == 0


async def test_steps_of_one_session_and_requests_that_wait_hold_nobody_up_for_ever(narrow: Process) -> None:
    surface = Surface(narrow)
    first, second = [await narrow.create() for _ in range(2)]
    large = {"inputs": {"ids": HALF_OF_ALL}}
    async with surface.connected() as socket:
        for n in range(2):
            socket.say(id=n, session_id=second, **large)
        items = [{"session_id": first, **large}, {"session_id": second, **large}]
        many = surface.client.begin("POST", "/steps", orjson.dumps({"items": items}))
        assert [(await socket.heard())["status"] for _ in range(2)] == [200, 200]
        assert [item["status"] for item in (await many.answered()).json()["items"]] == [200, 200]
    await until(lambda: narrow.core.answer_room.num_bytes == 0)


@pytest.mark.parametrize("socket_type", [Socket, ChannelSocket])
async def test_messages_behind_one_that_waits_are_answered_in_order(narrow: Process, socket_type: type[Socket]) -> None:
    surface = Surface(narrow)
    surface.socket_type = socket_type
    slow = await unread(surface, narrow)
    session_id = await narrow.create()
    async with surface.connected() as socket:
        for n, ids in enumerate((HALF_OF_ALL, [1], HALF_OF_ALL, [1])):
            socket.say(id=n, session_id=session_id, step=n, inputs={"ids": ids})
        await settle()
        assert narrow.steps.is_idle
        slow.may_read.set()
        told = [await socket.heard() for _ in range(4)]
    assert [(each["id"], each["status"]) for each in told] == [(n, 200) for n in range(4)]
    await until(lambda: narrow.core.answer_room.num_bytes == 0)


@pytest.mark.parametrize("socket_type", [Socket, ChannelSocket])
async def test_a_stream_that_goes_while_it_waits_leaves_nothing(impatient: Process, socket_type: type[Socket]) -> None:
    surface = Surface(impatient)
    surface.socket_type = socket_type
    slow = await unread(surface, impatient)
    session_id = await impatient.create()
    async with surface.connected() as socket:
        socket.say(session_id=session_id, inputs={"ids": HALF_OF_ALL})
        socket.say_bytes(binary_message([session_id], np.array([HALF_OF_ALL[: MAX_BYTES // 8 - 100]])))
        await settle()
    slow.may_read.set()
    await slow.answered()
    await until(lambda: impatient.core.answer_room.num_bytes == 0 and impatient.steps.is_idle)
    assert (await impatient.sessions.get("ann", session_id)).step == 0


@pytest.mark.parametrize("is_computed", [False, True])
async def test_a_stream_that_goes_before_its_large_answers_are_sent_leaves_their_room(
    surface: Surface, process: Process, is_computed: bool
) -> None:
    ids = [await process.create() for _ in range(3)]
    async with surface.connected() as socket:
        socket.may_read.clear()
        if not is_computed:
            process.graphs["0"].gate.clear()
        for session_id in ids:
            socket.say(session_id=session_id, inputs={"ids": IDS})
        await until(lambda: process.core.answer_room.num_bytes > 0 and process.steps.is_idle == is_computed)
        await settle()
    process.graphs["0"].gate.set()
    await until(lambda: process.steps.is_idle)
    assert process.core.answer_room.num_bytes == 0


async def test_a_stream_that_goes_while_it_waits_is_noticed_at_once(narrow: Process) -> None:
    surface = Surface(narrow)
    session_id = await narrow.create()
    with narrow.core.answer_room.of_bytes(ROOM_BYTES):
        async with surface.connected() as socket:
            socket.say(session_id=session_id, inputs={"ids": HALF_OF_ALL})
            await settle()
            socket.hang_up()
            async with asyncio.timeout(10):
                await socket.task
    assert narrow.core.answer_room.num_bytes == 0
    assert (await narrow.sessions.get("ann", session_id)).step == 0


async def test_a_message_that_finds_no_room_in_time_is_late(impatient: Process) -> None:
    surface = Surface(impatient)
    slow = await unread(surface, impatient)
    session_id = await impatient.create()
    async with surface.connected() as socket:
        socket.say(session_id=session_id, inputs={"ids": HALF_OF_ALL})
        assert (await socket.heard())["status"] == 504
        socket.say(session_id=session_id, inputs={"ids": [1]}, step=0)
        assert (await socket.heard())["status"] == 200
    await slow.cancel()


async def test_small_answers_on_a_stream_that_is_not_read_hold_nobody_up(narrow: Process) -> None:
    surface = Surface(narrow)
    async with surface.connected() as silent:
        silent.may_read.clear()
        for _ in range(80):
            silent.say(session_id=await narrow.create(), inputs={"ids": [1] * 3000})
        answered = await begin(surface, await narrow.create(), [1] * 3000).answered()
        assert answered.status == 200
        silent.may_read.set()


async def test_who_hangs_up_while_waiting_is_not_computed(narrow: Process) -> None:
    surface = Surface(narrow)
    slow = await unread(surface, narrow)
    session_id = await narrow.create()
    gone = begin(surface, session_id, HALF_OF_ALL)
    await settle()
    gone.hang_up()
    assert (await gone.answered()).status == 499
    slow.may_read.set()
    await slow.answered()
    assert (await narrow.sessions.get("ann", session_id)).step == 0
    assert narrow.core.answer_room.num_bytes == 0


async def test_a_client_of_http_1_0_is_told_the_length(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    body = {"inputs": {"ids": IDS}}
    old = surface.client.begin("POST", f"/sessions/{session_id}/steps", orjson.dumps(body), http_version="1.0")
    answered = await old.answered()
    assert answered.headers["content-length"] == str(len(answered.body))
    np.testing.assert_array_equal(parsed(answered.json()["outputs"]), LOGITS)


async def test_who_does_not_read_in_time_is_answered_no_further(
    narrow: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.api.wire.SLOW_READER_SECONDS", 0.1)
    slow = begin(Surface(narrow), await narrow.create(), HALF_OF_ALL)
    await until(lambda: bool(slow.sent))
    slow.may_read.clear()
    await slow.answered()
    assert slow.sent[-1]["more_body"]
    assert narrow.core.answer_room.num_bytes == 0
    assert caplog.messages == ["a client does not read its answer to /sessions/{id}/steps; closing its connection"]


@pytest.mark.parametrize("socket_type", [Socket, ChannelSocket])
async def test_a_large_message_is_made_in_a_thread_and_overtaken_by_none_behind_it(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch, socket_type: type[Socket]
) -> None:
    makes, goes_on = threading.Event(), threading.Event()

    def slowly(turn: Turn) -> bytes:
        if threading.current_thread() is not threading.main_thread():
            makes.set()
            goes_on.wait(30)
        return item_json(turn)

    monkeypatch.setattr("service.api.stream.messages.item_json", slowly)
    surface.socket_type = socket_type
    session_id = await process.create()
    async with surface.connected() as socket:
        for n, ids in enumerate((IDS, [1])):
            socket.say(id=n, session_id=session_id, step=n, inputs={"ids": ids})
        await until(lambda: makes.is_set() and process.steps.is_idle)
        await settle()
        goes_on.set()
        assert [(await socket.heard())["id"] for _ in range(2)] == [0, 1]


async def test_a_large_message_counts_as_sent_once_it_is_read(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_read = asyncio.Event()

    async def drained(_: ChannelSocket) -> None:
        await is_read.wait()

    monkeypatch.setattr(ChannelSocket, "drained", drained)
    monkeypatch.setattr("service.api.stream.outbox.LARGE_ANSWER_BYTES", 1)
    surface.socket_type = ChannelSocket
    session_id = await process.create()
    async with surface.connected() as socket:
        for n in range(2):
            socket.say(id=n, session_id=session_id, inputs={"ids": [1]})
        assert (await socket.heard())["id"] == 0
        following = asyncio.ensure_future(socket.heard())
        await until(lambda: process.steps.is_idle)
        await settle()
        assert not following.done()
        is_read.set()
        assert (await following)["id"] == 1


async def test_a_large_message_that_cannot_be_made_ends_the_connection(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Turn) -> Never:
        raise RuntimeError("a secret")

    monkeypatch.setattr("service.api.stream.messages.item_json", fail)
    async with surface.connected() as socket:
        socket.say(session_id=await process.create(), inputs={"ids": IDS})
        closed = await socket.told()
        assert (closed["type"], closed["code"]) == ("websocket.close", INTERNAL_ERROR)
    assert len(caplog.records) == 1
    assert process.core.answer_room.num_bytes == 0


async def test_a_request_has_its_time_from_when_it_was_asked_and_not_from_when_it_has_room(
    narrow: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    surface, started = Surface(narrow), list[float]()
    slow = await unread(surface, narrow)
    submit = narrow.steps.submit
    monkeypatch.setattr(narrow.steps, "submit", lambda turn: (started.append(turn.started), submit(turn)))
    session_id = await narrow.create()
    one = begin(surface, session_id, HALF_OF_ALL)
    items = [{"session_id": session_id, "inputs": {"ids": HALF_OF_ALL}}]
    many = surface.client.begin("POST", "/steps", orjson.dumps({"items": items}))
    await settle()
    assert started == []
    had_no_room = time.perf_counter()
    slow.may_read.set()
    for each in (one, many):
        await each.answered()
    assert [begun <= had_no_room for begun in started] == [True, True]


@pytest.mark.parametrize("path", ["/sessions/{}/steps", "/steps"])
async def test_the_time_of_a_request_counts_while_its_body_waits_to_be_parsed(
    process: Process, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    may_parse, started = asyncio.Event(), list[float]()

    async def wait_to_parse(_: BodyReader) -> None:
        await may_parse.wait()

    monkeypatch.setattr(BodyReader, "wait_to_parse", wait_to_parse)
    submit = process.steps.submit
    monkeypatch.setattr(process.steps, "submit", lambda turn: (started.append(turn.started), submit(turn)))
    session_id = await process.create()
    step = {"inputs": {"ids": [1]}}
    body = orjson.dumps(step if "{" in path else {"items": [{"session_id": session_id, **step}]})
    exchange = Surface(process).client.begin("POST", path.format(session_id), body + b" " * LARGE_BYTES)
    await settle()
    was_waiting = time.perf_counter()
    may_parse.set()
    assert (await exchange.answered()).status == 200
    assert [each <= was_waiting for each in started] == [True]
