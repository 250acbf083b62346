"""Bodies that would hold the event loop: what they may hold, and that others come in between."""

import asyncio
import time
from itertools import pairwise

import orjson
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.api.body import parsed
from service.api.client_watch import ClientGone
from service.api.large_bodies import (
    LARGE_BYTES,
    MAX_PARTS,
    MAX_WAITING_BYTES,
    LargeBodyMiddleware,
    check_parts,
    wait_to_parse,
    wait_to_parse_for,
    waiting,
)
from service.errors import QueueFull, TooLarge
from service.forms.forecasting import MAX_READINGS
from service.forms.sentiment import SentimentRequest
from service.forms.steps import MAX_ITEMS, StepItems, StepRequest
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
LISTS = b'{"inputs":{"ids":[' + b"[]," * MAX_PARTS + b"1]}}"
KEYS = b"{%b}" % b",".join(b'"%x":1' % number for number in range(MAX_PARTS + 1))


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


async def test_the_loop_has_as_long_for_others_as_a_large_body_took() -> None:
    ends = []

    async def parse() -> None:
        await wait_to_parse()
        time.sleep(0.05)  # noqa: ASYNC251  as parsing does
        ends.append(time.perf_counter())

    await asyncio.gather(*(parse() for _ in range(3)))
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(ends))


async def test_a_client_that_goes_while_it_waits_leaves_its_turn_to_others() -> None:
    await wait_to_parse()
    gone = asyncio.ensure_future(wait_to_parse())
    await asyncio.sleep(0)
    gone.cancel()
    async with asyncio.timeout(10):
        await wait_to_parse()


async def test_what_waits_has_room_for_so_much_and_the_rest_is_refused() -> None:
    with waiting(MAX_WAITING_BYTES - 10):
        with waiting(10), pytest.raises(QueueFull), waiting(1):
            pass
        refused = await Client(LargeBodyMiddleware(reader)).post("/sentiment", b" " * (LARGE_BYTES + 1))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    with waiting(MAX_WAITING_BYTES):
        pass


async def test_a_body_that_is_larger_than_all_that_may_wait_is_kept_alone() -> None:
    with waiting(2 * MAX_WAITING_BYTES), pytest.raises(QueueFull), waiting(1):
        pass
    with waiting(1), pytest.raises(QueueFull), waiting(2 * MAX_WAITING_BYTES):
        pass


async def test_a_body_whose_client_has_gone_is_not_kept() -> None:
    await wait_to_parse()
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    waits = asyncio.ensure_future(wait_to_parse_for(bytes(MAX_WAITING_BYTES), receive))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull), waiting(1):
        pass
    gone.set()
    with pytest.raises(ClientGone):
        await waits
    with waiting(MAX_WAITING_BYTES):
        pass


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_who_sends_no_body_is_not_waited_for(method: str) -> None:
    async def receive() -> Message:
        raise AssertionError("asked for a body")

    async def send(message: Message) -> None:
        pass

    scope: Scope = {"type": "http", "method": method, "path": "/models", "headers": []}
    await LargeBodyMiddleware(Response())(scope, receive, send)


async def test_questions_are_checked_before_bentoml_parses_them() -> None:
    client = Client(LargeBodyMiddleware(reader))
    refused = await client.post("/sentiment", LISTS)
    assert (refused.status, refused.json()["type"]) == (413, "urn:unrolled:problem:too-large")
    passed = await client.post("/sentiment", b" " * (LARGE_BYTES + 1))
    assert (passed.status, passed.body) == (200, b"%d" % (LARGE_BYTES + 1))


async def test_an_import_is_no_json() -> None:
    assert (await Client(LargeBodyMiddleware(reader)).post("/sessions/import", LISTS)).status == 200
