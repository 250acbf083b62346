"""Bodies in, responses out, of the hot paths."""

from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope

from service.api.client_watch import ClientGone
from service.api.wire import check_json, check_media_type, media_type, read_body, respond
from service.errors import MediaTypeUnknown, TooLarge

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
