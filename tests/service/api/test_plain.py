"""What the plain application is given, and how it refuses connections that are no streams."""

import orjson
import pytest
from starlette.types import ASGIApp, Message

from service.api.plain import PlainFirst
from tests.fakes.asgi import Surface

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
