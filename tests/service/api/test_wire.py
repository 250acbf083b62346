"""Bodies in, responses out, of the hot paths."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.api.client_watch import ClientGone
from service.api.wire import PIECE_BYTES, check_json, check_media_type, media_type, read_body, respond
from service.errors import MediaTypeUnknown, TooLarge
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
MAX_BYTES = 10


def scope_of(**fields: bytes) -> Scope:
    """A request with these header fields."""
    return {"type": "http", "headers": [(name.replace("_", "-").encode(), value) for name, value in fields.items()]}


def receiving(messages: Iterable[Message]) -> Receive:
    """A server that has these messages and no more."""
    pending = iter(messages)

    async def receive() -> Message:
        return next(pending)

    return receive


def pieces(*sizes: int, goes_on: bool = False) -> list[Message]:
    """A body in pieces; the last is the end unless it goes on."""
    last = len(sizes) - 1
    return [
        {"type": "http.request", "body": bytes([n]) * size, "more_body": goes_on or n < last}
        for n, size in enumerate(sizes)
    ]


async def test_the_pieces_of_a_body_are_put_together() -> None:
    assert await read_body(scope_of(), receiving(pieces(3, 0, 4, 3)), MAX_BYTES) == b"\0" * 3 + b"\2" * 4 + b"\3" * 3


@pytest.mark.parametrize("messages", [pieces(11), pieces(4, 4, 3), pieces(10, 1), pieces(6, 5, goes_on=True)])
async def test_a_body_is_read_up_to_its_limit(messages: list[Message]) -> None:
    with pytest.raises(TooLarge, match="at most 10 bytes"):
        await read_body(scope_of(), receiving(messages), MAX_BYTES)


async def never() -> Message:
    """A server that would tell the client to send its body (`Expect: 100-continue`) if it were asked for it."""
    raise AssertionError


async def test_a_body_that_is_announced_as_too_large_is_not_asked_for() -> None:
    with pytest.raises(TooLarge, match="at most 10 bytes"):
        await read_body(scope_of(content_length=b"11"), never, MAX_BYTES)
    assert len(await read_body(scope_of(content_length=b"10"), receiving(pieces(1, 9)), MAX_BYTES)) == 10


@pytest.mark.parametrize("messages", [[], pieces(2, goes_on=True)])
async def test_a_client_that_goes_within_its_body_is_gone(messages: list[Message]) -> None:
    with pytest.raises(ClientGone):
        await read_body(scope_of(), receiving([*messages, {"type": "http.disconnect"}]), MAX_BYTES)


async def test_a_response_tells_the_type_and_the_length_of_its_body() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await respond(send, b"12345", b"text/plain", 201, [(b"x-more", b"1")])
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"5"), (b"x-more", b"1")]
    assert sent == [
        {"type": "http.response.start", "status": 201, "headers": fields},
        {"type": "http.response.body", "body": b"12345"},
    ]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", "application/json"),
        (b"Application/JSON", "application/json"),
        (b"application/json; charset=utf-8", "application/json"),
        (b"application/json ;charset=utf-8", "application/json"),
        (b"text/\xff", "text/\ufffd"),
    ],
)
def test_a_media_type_is_read_as_http_reads_it(value: bytes, kind: str) -> None:
    assert media_type(scope_of(content_type=value)) == kind


def test_types_that_are_written_in_json_are_json() -> None:
    check_media_type("application/vnd.ours+json")
    check_media_type("text/plain", ["text/plain"])
    with pytest.raises(MediaTypeUnknown, match="not as 'text/plain'"):
        check_media_type("text/plain")


@pytest.mark.parametrize(
    "scope",
    [
        scope_of(content_type=b"text/plain"),
        scope_of(content_encoding=b"gzip"),
        scope_of(content_encoding=b"\xff"),
    ],
)
def test_what_is_not_sent_as_plain_json_is_refused(scope: Scope) -> None:
    with pytest.raises(MediaTypeUnknown):
        check_json(scope)


@pytest.mark.parametrize("encoding", [b"", b"identity", b" Identity "])
def test_a_body_that_is_not_encoded_may_say_so(encoding: bytes) -> None:
    check_json(scope_of(content_encoding=encoding))


@pytest.mark.parametrize(("num_bytes", "num_pieces"), [(PIECE_BYTES, 1), (PIECE_BYTES + 1, 2), (3 * PIECE_BYTES, 3)])
async def test_a_large_response_is_sent_whole_and_in_pieces(num_bytes: int, num_pieces: int) -> None:
    body = (b"0123456789" * num_bytes)[:num_bytes]

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await respond(send, body, b"text/plain", 201, [(b"x-more", b"1")])

    exchange = Client(app).begin("POST", "/", b"")
    answered = await exchange.answered()
    assert (answered.status, answered.body) == (201, body)
    assert answered.headers == {"content-type": "text/plain", "content-length": str(num_bytes), "x-more": "1"}
    assert len([message for message in exchange.sent if message.get("body")]) == num_pieces


async def test_who_reads_a_large_response_slowly_has_time_by_what_it_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.wire.SLOW_READER_SECONDS", 0.05)
    monkeypatch.setattr("service.api.wire.SLOW_BYTES_PER_SECOND", PIECE_BYTES / 60)  # a piece in a minute

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 3:  # the second piece
            await asyncio.sleep(0.1)

    await respond(send, bytes(2 * PIECE_BYTES))
    assert sum(len(message.get("body", b"")) for message in sent) == 2 * PIECE_BYTES
