"""What the plain application is given, and how it refuses connections that are no streams."""

import orjson
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.endpoint import Endpoint
from service.api.endpoints import END_SESSION, LIST_SESSIONS, OPEN_SESSION
from service.api.plain import PlainApp, PlainFirst
from service.api.routes import HotHandler
from service.api.wire import respond
from tests.fakes.asgi import Client, Surface
from tests.fakes.process import Process

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


async def test_a_hot_path_answers_each_of_its_methods_in_its_own_way(surface: Surface, process: Process) -> None:
    def answers(endpoint: Endpoint) -> HotHandler:
        async def answer(_: Scope, __: Receive, send: Send, *ids: str) -> int:
            await respond(send, " ".join([endpoint.method, *ids]).encode())
            return 200

        return answer

    hot = {endpoint: answers(endpoint) for endpoint in (LIST_SESSIONS, OPEN_SESSION, END_SESSION)}
    rest = PlainTextResponse("the rest")
    client = Client(PlainApp(hot, surface.stream, answers(LIST_SESSIONS), rest, process.metrics.requests_tally))
    assert (await client.request("GET", "/sessions")).body == (await client.request("HEAD", "/sessions")).body == b"GET"
    assert (await client.request("POST", "/sessions")).body == b"POST"
    assert (await client.request("DELETE", "/sessions/x")).body == b"DELETE x"
    for method, path in (("PUT", "/sessions"), ("GET", "/sessions/x"), ("HEAD", "/sessions/x")):
        assert (await client.request(method, path)).body == b"the rest"
