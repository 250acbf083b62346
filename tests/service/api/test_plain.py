"""What the plain application is given, and how it refuses connections that are no streams."""

import orjson
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from service.api.plain import PlainFirst
from tests.fakes.asgi import Client, Surface

pytestmark = pytest.mark.anyio


async def nobody(*_: object) -> None:
    """An application that is to be given nothing."""
    raise AssertionError


async def connecting(app: ASGIApp, path: str, *extensions: str) -> list[Message]:
    """What a client is sent that asks for a connection."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "headers": [], "extensions": {name: {} for name in extensions}}
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/", "/streams", "/sessions/x/steps", "/sentiment"])
async def test_a_connection_to_a_path_that_is_no_stream_is_answered_404(surface: Surface, path: str) -> None:
    start, body = await connecting(PlainFirst(nobody, surface.app), path, "websocket.http.response")
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (404, b"application/problem+json")
    assert orjson.loads(body["body"])["detail"] == "there is nothing at this path"


async def test_a_server_that_cannot_answer_such_a_connection_closes_it(surface: Surface) -> None:
    sent = await connecting(surface.app, "/streams")
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "streams are at /stream"}]


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        *((path, b"ours") for path in ("/v1", "/v1/", "/v1/x", "/v2", "/steps", "/sessions/x/y", "/ui/main.js")),
        *((path, b"theirs") for path in ("/v1x", "/stepsx", "/sessionsx/y", "/uix", "/tag", "/tagged", "/", "//v1")),
        *((path, b"theirs") for path in ("*", "", "steps")),
    ],
)
async def test_the_first_segment_of_a_path_tells_whose_it_is_on_bentomls_port(path: str, whose: bytes) -> None:
    app = PlainFirst(PlainTextResponse("theirs"), PlainTextResponse("ours"))
    assert (await Client(app).request("GET", path)).body == whose
