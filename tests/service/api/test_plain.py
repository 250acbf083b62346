"""What the plain application is given, and how it refuses connections that are no streams."""

from typing import Never

import orjson
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.client_watch import ClientGone
from service.api.endpoint import Endpoint
from service.api.endpoints import END_SESSION, LIST_SESSIONS, OPEN_SESSION, TAKE_STEPS
from service.api.plain import PlainApp, PlainFirst
from service.api.routes import HotHandler
from service.api.wire import respond
from service.errors import SessionUnknown
from tests.fakes.asgi import Client, Surface
from tests.fakes.process import Process, settle

pytestmark = pytest.mark.anyio


async def nobody(*_: object) -> Never:
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


async def test_what_is_neither_a_request_nor_a_connection_is_bentomls() -> None:
    kinds: list[str] = []

    async def theirs(scope: Scope, _: Receive, __: Send) -> None:
        kinds.append(scope["type"])

    await PlainFirst(theirs, nobody)({"type": "lifespan"}, nobody, nobody)
    assert kinds == ["lifespan"]


def count_of(process: Process, endpoint: str, code: int) -> tuple[float | None, float | None]:
    """How many requests were answered so, and the seconds that all at the endpoint took."""
    process.metrics.requests_tally.flush()
    sample = process.metrics.registry.get_sample_value
    seconds = sample("rnn_request_duration_seconds_sum", {"endpoint": endpoint})
    return sample("rnn_requests_total", {"endpoint": endpoint, "code": str(code)}), seconds


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        (None, 204, b""),
        (SessionUnknown("no such session"), 404, b"no such session"),
        (ClientGone(), 499, b""),
        (ValueError("a secret"), 500, b"its log says why"),
    ],
)
async def test_a_hot_path_is_answered_and_counted_whatever_comes_of_it(
    surface: Surface, process: Process, outcome: Exception | None, status: int, told: bytes
) -> None:
    async def answer(_: Scope, __: Receive, send: Send) -> int:
        if outcome is not None:
            raise outcome
        await respond(send, b"", status=204)
        return 204

    client = Client(PlainApp({TAKE_STEPS: answer}, surface.stream, nobody, nobody, process.metrics.requests_tally))
    answered = await client.post("/steps", b"{}")
    assert answered.status == status
    assert told in answered.body
    assert b"secret" not in answered.body
    num, seconds = count_of(process, "/steps", status)
    assert (num, 0 < (seconds or 0) < 60) == (1, True)


@pytest.mark.parametrize("error", [ValueError("a secret"), SessionUnknown("no such session")])
async def test_an_answer_that_fails_halfway_ends_with_its_connection(
    surface: Surface, process: Process, error: Exception
) -> None:
    async def answer(_: Scope, __: Receive, send: Send) -> int:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    app = PlainApp({TAKE_STEPS: answer}, surface.stream, nobody, nobody, process.metrics.requests_tally)
    exchange = Client(app).begin("POST", "/steps", b"{}")
    with pytest.raises(type(error)):
        await exchange.answered()
    assert [message["type"] for message in exchange.sent] == ["http.response.start"]
    assert count_of(process, "/steps", 500)[0] == 1


async def test_a_request_that_the_server_gives_up_is_counted(surface: Surface, process: Process) -> None:
    async def answer(_: Scope, receive: Receive, __: Send) -> int:
        while True:
            await receive()

    app = PlainApp({TAKE_STEPS: answer}, surface.stream, nobody, nobody, process.metrics.requests_tally)
    exchange = Client(app).begin("POST", "/steps", b"{}")
    await settle()
    await exchange.cancel()
    assert count_of(process, "/steps", 500)[0] == 1


async def test_what_is_not_found_below_v1_is_answered_by_its_own_form(surface: Surface, process: Process) -> None:
    async def refuse(_: Scope, __: Receive, send: Send) -> int:
        await respond(send, b"{}", status=404)
        return 404

    client = Client(PlainApp({}, surface.stream, refuse, nobody, process.metrics.requests_tally))
    assert (await client.request("GET", "/v1/x")).status == 404


async def test_a_connection_that_is_refused_is_counted(surface: Surface, process: Process) -> None:
    await connecting(surface.app, "/sessions")
    assert count_of(process, "/sessions", 404) == (1, 0)


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
