"""Bodies that would hold the event loop: what they may hold, and that others come in between."""

import asyncio
import time
from itertools import pairwise

import orjson
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.api.body import BodyMiddleware, parsed
from service.api.body_reader import (
    LARGE_BYTES,
    MAX_PARTS,
    MAX_WAITING_BYTES,
    BodyReader,
    check_parts,
)
from service.api.client_watch import ClientGone
from service.errors import QueueFull, TooLarge
from service.forms.forecasting import MAX_READINGS
from service.forms.sentiment import SentimentRequest
from service.forms.steps import MAX_ITEMS, StepItems, StepRequest
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
LISTS = b'{"inputs":{"ids":[' + b"[]," * MAX_PARTS + b"1]}}"
KEYS = b"{%b}" % b",".join(b'"%x":1' % number for number in range(MAX_PARTS + 1))


@pytest.fixture
def bodies() -> BodyReader:
    return BodyReader(MAX_WAITING_BYTES)


async def reader(_: Scope, receive: Receive, send: Send) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(body)})


@pytest.mark.parametrize(("body", "words"), [(LISTS, "lists and objects"), (KEYS, "strings and field names")])
def test_what_would_take_long_to_parse_is_refused(body: bytes, words: str) -> None:
    for sent in (body, body.decode()):
        with pytest.raises(TooLarge, match=f"at most {MAX_PARTS} {words}"):
            parsed(StepRequest, sent)


@pytest.mark.parametrize("text", ['"' * 2040, "[" * 2048, '\\"{' * 680, "," * 2048])
def test_texts_may_hold_any_punctuation(text: str) -> None:
    assert parsed(SentimentRequest, orjson.dumps({"text": [text] * 256})).text == [text] * 256


def test_as_many_of_anything_as_a_form_takes_is_no_longer_than_this() -> None:
    check_parts(orjson.dumps({"inputs": {"x": [[0]] * MAX_READINGS}}))
    item = {"session_id": "x" * 22, "step": 1, "inputs": {"text": '"[{' * 600}, "return": None, "stream": False}
    assert len(parsed(StepItems, orjson.dumps({"items": [item] * MAX_ITEMS})).items) == MAX_ITEMS


async def test_the_loop_has_as_long_for_others_as_a_large_body_took(bodies: BodyReader) -> None:
    ends = []

    async def parse() -> None:
        await bodies.wait_to_parse()
        time.sleep(0.05)  # noqa: ASYNC251  as parsing does
        ends.append(time.perf_counter())

    await asyncio.gather(*(parse() for _ in range(3)))
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(ends))


async def test_a_client_that_goes_while_it_waits_leaves_its_turn_to_others(bodies: BodyReader) -> None:
    await bodies.wait_to_parse()
    gone = asyncio.ensure_future(bodies.wait_to_parse())
    await asyncio.sleep(0)
    gone.cancel()
    async with asyncio.timeout(10):
        await bodies.wait_to_parse()


async def test_what_waits_has_room_for_so_much_and_the_rest_is_refused(bodies: BodyReader) -> None:
    with bodies.waiting(MAX_WAITING_BYTES - 10):
        with bodies.waiting(10), pytest.raises(QueueFull), bodies.waiting(1):
            pass
        refused = await Client(BodyMiddleware(reader, bodies)).post("/sentiment", b" " * (LARGE_BYTES + 1))
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    with bodies.waiting(MAX_WAITING_BYTES):
        pass


async def test_a_body_that_is_larger_than_all_that_may_wait_is_kept_alone(bodies: BodyReader) -> None:
    with bodies.waiting(2 * MAX_WAITING_BYTES), pytest.raises(QueueFull), bodies.waiting(1):
        pass
    with bodies.waiting(1), pytest.raises(QueueFull), bodies.waiting(2 * MAX_WAITING_BYTES):
        pass


async def test_a_body_whose_client_has_gone_is_not_kept(bodies: BodyReader) -> None:
    await bodies.wait_to_parse()
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    waits = asyncio.ensure_future(bodies.wait_to_parse_for(bytes(MAX_WAITING_BYTES), receive))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull), bodies.waiting(1):
        pass
    gone.set()
    with pytest.raises(ClientGone):
        await waits
    with bodies.waiting(MAX_WAITING_BYTES):
        pass


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_who_sends_no_body_is_not_waited_for(method: str, bodies: BodyReader) -> None:
    async def receive() -> Message:
        raise AssertionError("asked for a body")

    async def send(message: Message) -> None:
        pass

    scope: Scope = {"type": "http", "method": method, "path": "/models", "headers": []}
    await BodyMiddleware(Response(), bodies)(scope, receive, send)


async def test_questions_are_checked_before_bentoml_parses_them(bodies: BodyReader) -> None:
    client = Client(BodyMiddleware(reader, bodies))
    refused = await client.post("/sentiment", LISTS)
    assert (refused.status, refused.json()["type"]) == (413, "urn:unrolled:problem:too-large")
    passed = await client.post("/sentiment", b" " * (LARGE_BYTES + 1))
    assert (passed.status, passed.body) == (200, b"%d" % (LARGE_BYTES + 1))


async def test_an_import_is_no_json(bodies: BodyReader) -> None:
    assert (await Client(BodyMiddleware(reader, bodies)).post("/sessions/import", LISTS)).status == 200
